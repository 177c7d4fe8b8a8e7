"""The bar: it is there when work is long, and nowhere else."""

from __future__ import annotations

import pytest

import bpfnb as bpf
from bpfnb import backends, progress
from bpfnb.backends import native
from bpfnb.packets import pcapfile, records
from bpfnb.packets.filebytes import FileBytes
from tests.capture_files import Frame, pcap

PROGRAM = bpf.assemble("ldb [0]\nret a")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["interp", "pygen", "native", "libpcap"])
def test_every_backend_says_how_far_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "PIECE", 1000)
    rets = PROGRAM.run_many([b"\5"] * 10_000, backend=name)
    assert rets.tolist() == [5] * 10_000
    assert "/10000" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_looking_through_a_file_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    data = pcap([Frame(bytes(60), 60, 0)] * 1000)
    record = pcapfile.record(pcapfile.read_header(data, "x"))
    records.follow(FileBytes("x", data), record, records.Rows(), 24, part=4096)
    assert "/76.0k" in capsys.readouterr().err


def test_short_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for name in backends.NAMES[:4]:
        PROGRAM.run_many([b"\5"] * 100, backend=name)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_the_bar_goes_when_the_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with progress.progress(100, "packets") as done:
            done(10)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capsys.readouterr().err.endswith("\r")
