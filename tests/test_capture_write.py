"""Writing captures: exact, whole or not at all, readable by others."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapReader, rdpcap

from bpfnb.errors import LinktypeError, PacketError
from bpfnb.packets.capture import open_capture, write_capture
from bpfnb.packets.packet import Packet, PacketBatch
from tests.capture_files import (
    MAGIC_NS,
    MAGIC_US,
    Frame,
    block,
    epb,
    idb,
    option,
    pcap,
    pcapng,
    shb,
    spb,
)

FRAMES = [
    Frame(bytes(range(60)), 1500, 1_700_000_001_000_001_000),
    Frame(b"\xff" * 14, 14, 0),
    Frame(bytes(15), 60, 0xFFFFFFFF * 10**9),
]


def batch(frames: list[Frame], linktype: int | None = 1) -> PacketBatch:
    return PacketBatch.of(
        Packet(each.data, each.wirelen, linktype=linktype, time_ns=each.time_ns) for each in frames
    )


def rows(path: Path) -> list[Frame]:
    capture = open_capture(path, strict=True)
    return [Frame(each.data, each.wirelen, each.time_ns) for each in capture]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MAGIC_US, MAGIC_NS])
@pytest.mark.parametrize("name", ["y.pcap", "y.out"])
def test_a_capture_copies_its_records_byte_for_byte(
    tmp_path: Path, order: str, magic: int, name: str
) -> None:
    source = tmp_path / "x.pcap"
    source.write_bytes(pcap(FRAMES, order, magic, 0x14000001))
    capture = open_capture(source)
    assert capture.write(tmp_path / name) == 3
    assert (tmp_path / name).read_bytes() == source.read_bytes()
    assert capture.write(tmp_path / name, np.array([5, 0, 1])) == 2
    expected = pcap([FRAMES[0], FRAMES[2]], order, magic, 0x14000001)
    assert (tmp_path / name).read_bytes() == expected


def test_a_pcapng_keeps_its_other_blocks(tmp_path: Path) -> None:
    comment = option("<", 1, b"kept")
    first = shb("<") + idb("<", 1, options=comment)
    last = block("<", 5, bytes(12)) + shb(">") + idb(">", 101) + spb(">", b"raw", 3)
    middle = epb("<", 0, 7, b"one", 3, comment), epb("<", 0, 8, b"two", 3)
    source = tmp_path / "x.pcapng"
    source.write_bytes(first + middle[0] + middle[1] + last)
    capture = open_capture(source)
    capture.write(tmp_path / "y.pcapng", [True, False, True])
    assert (tmp_path / "y.pcapng").read_bytes() == first + middle[0] + last


def test_only_the_sound_part_of_a_damaged_file_is_written(tmp_path: Path) -> None:
    unknown_interface = epb("<", 9, 0, b"bad", 3)
    for name, data, good in [
        ("x.pcap", pcap(FRAMES)[:-3], pcap(FRAMES[:2])),
        ("x.pcapng", pcapng(FRAMES, "<")[:-3], pcapng(FRAMES[:2], "<")),
        ("z.pcapng", pcapng(FRAMES, "<") + unknown_interface, pcapng(FRAMES, "<")),
    ]:
        (tmp_path / name).write_bytes(data)
        open_capture(tmp_path / name).write(tmp_path / f"good-{name}")
        assert (tmp_path / f"good-{name}").read_bytes() == good


def test_a_capture_may_be_written_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(FRAMES))
    capture = open_capture(path)
    capture.write(path, [0, 1, 0])
    assert rows(path) == [FRAMES[1]]
    assert len(list(capture)) == 3


@pytest.mark.parametrize("names", [("x.pcap", "y.pcapng"), ("x.pcapng", "y.pcap")])
def test_from_one_format_to_the_other(tmp_path: Path, names: tuple[str, str]) -> None:
    source, target = tmp_path / names[0], tmp_path / names[1]
    write_capture(source, batch(FRAMES))
    open_capture(source).write(target, [1, 0, 1])
    assert open_capture(target).family == target.suffix[1:]
    assert rows(target) == [FRAMES[0], FRAMES[2]]


def test_a_name_in_gz_packs_and_always_the_same(tmp_path: Path) -> None:
    for name in ("x.pcap.gz", "y.pcap.gz", "x.pcapng.gz"):
        write_capture(tmp_path / name, batch(FRAMES))
        assert rows(tmp_path / name) == FRAMES
    packed = (tmp_path / "x.pcap.gz").read_bytes()
    assert packed == (tmp_path / "y.pcap.gz").read_bytes()
    assert gzip.decompress(packed)[:4] == b"\xd4\xc3\xb2\xa1"


def test_nanoseconds_are_written_where_a_time_needs_them(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    fine = [FRAMES[0]._replace(time_ns=1_700_000_000_000_000_001), FRAMES[1]]
    write_capture(path, batch(FRAMES))
    assert path.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
    write_capture(path, batch(fine))
    assert path.read_bytes()[:4] == b"\x4d\x3c\xb2\xa1"
    assert rows(path) == fine
    write_capture(path, batch(fine), ns=False)
    assert rows(path)[0].time_ns == 1_700_000_000_000_000_000


@pytest.mark.parametrize("linktype", [0, 1, 101, 113, 147, 276])
def test_link_types_are_kept(tmp_path: Path, linktype: int) -> None:
    for name in ("x.pcap", "x.pcapng"):
        write_capture(tmp_path / name, batch(FRAMES, linktype))
        assert open_capture(tmp_path / name).linktype == linktype


def test_several_link_types_need_pcapng(tmp_path: Path) -> None:
    mixed = [*batch(FRAMES[:1], 101), *batch(FRAMES[1:], 1)]
    assert write_capture(tmp_path / "x.pcapng", mixed) == 3
    assert [each.linktype for each in open_capture(tmp_path / "x.pcapng")] == [101, 1, 1]
    with pytest.raises(LinktypeError) as caught:
        write_capture(tmp_path / "x.pcap", mixed)
    assert "EN10MB and RAW" in caught.value.message
    assert ".pcapng" in caught.value.hint


def test_an_unknown_link_type_must_be_said(tmp_path: Path) -> None:
    for name in ("x.pcap", "x.pcapng"):
        path = tmp_path / name
        with pytest.raises(LinktypeError, match="unknown"):
            write_capture(path, batch(FRAMES, None))
        assert not path.exists()
        write_capture(path, batch(FRAMES, None), "RAW")
        assert open_capture(path).linktype == 101
        write_capture(path, [], linktype="LINUX_SLL")
        assert (len(open_capture(path)), open_capture(path).error) == (0, None)
    with pytest.raises(LinktypeError, match="unknown"):
        write_capture(tmp_path / "x.pcap", [])


def test_times_before_1970_need_pcapng(tmp_path: Path) -> None:
    early = [FRAMES[0]._replace(time_ns=-1_500_000_001), FRAMES[1]]
    write_capture(tmp_path / "x.pcapng", batch(early))
    assert rows(tmp_path / "x.pcapng") == early
    with pytest.raises(PacketError, match="packet 1: its time is -2 s"):
        write_capture(tmp_path / "x.pcap", batch(early))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    write_capture(path, batch(FRAMES))
    before = path.read_bytes()
    with pytest.raises(PacketError):
        write_capture(path, batch([*FRAMES, FRAMES[0]._replace(time_ns=-1)]))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.pcap"]


def test_what_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    for path in ("/dev/null", str(tmp_path), f"{tmp_path}/none/x.pcap", "a\0.pcap"):
        with pytest.raises(PacketError):
            write_capture(path, batch(FRAMES))
    assert Path("/dev/null").is_char_device()
    write_capture(tmp_path / "x.pcap", batch(FRAMES))
    capture = open_capture(tmp_path / "x.pcap")
    with pytest.raises(PacketError, match="mask"):
        capture.write(tmp_path / "y.pcap", [True])


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "x.pcap"
    link.symlink_to(tmp_path / "real" / "y.pcap")
    write_capture(link, batch(FRAMES))
    assert link.is_symlink()
    assert rows(tmp_path / "real" / "y.pcap") == FRAMES


@pytest.mark.parametrize("name", ["x.pcap", "x.pcapng"])
def test_scapy_and_tcpdump_read_what_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_capture(path, batch(FRAMES))
    read = rdpcap(str(path))
    assert [(bytes(each), each.wirelen) for each in read] == [each[:2] for each in FRAMES]
    if name == "x.pcap":
        with RawPcapReader(str(path)) as reader:
            times = [meta.sec * 10**9 + meta.usec * 1000 for _, meta in reader]
        assert times == [each.time_ns for each in FRAMES]
    if shutil.which("tcpdump") is None:
        pytest.skip("this machine has no tcpdump")
    again = tmp_path / "again.pcap"
    command = ["tcpdump", "--nano", "-r", str(path), "-w", str(again)]
    subprocess.run(command, check=True, capture_output=True)
    assert rows(again) == FRAMES


FRAME_SETS = st.lists(
    st.builds(
        Frame,
        st.binary(max_size=70),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF * 10**9),
    ),
    max_size=6,
)


@given(FRAME_SETS, st.sampled_from(["x.pcap", "x.pcapng", "x.pcap.gz"]))
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, frames: list[Frame], name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    write_capture(path, batch(frames), "EN10MB")
    assert rows(path) == frames
