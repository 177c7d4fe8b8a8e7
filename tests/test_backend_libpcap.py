"""The backend libpcap: pcap's own evaluator on a batch, where its bytes lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bpfnb import backends
from bpfnb.backends import libpcap
from bpfnb.backends.differences import explains
from bpfnb.cbpf.ancillary import EXTENSIONS, Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, CaptureError, CheckError, PacketError, UnavailableError
from bpfnb.packets import filebytes
from bpfnb.packets.capture import open_capture
from bpfnb.packets.columns import Columns
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.pcap.library import PLACES, Library, load
from tests.strategies import legal_programs, packet_bytes


def missing() -> str:
    """Why there is no libpcap here, or nothing."""
    try:
        load()
    except UnavailableError as error:
        return error.message
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")
LAST_BYTE = assemble("ld len\nsub #1\ntax\nldb [x + 0]\nret a")
FIRST_BYTE = assemble("ldb [0]\nret a")
LEN = assemble("ld len\nret a")


def batch(*packets: bytes | Packet) -> PacketBatch:
    return PacketBatch.of(p if isinstance(p, Packet) else Packet(p) for p in packets)


def rets(program: Program, packets: PacketBatch) -> list[int]:
    found = libpcap.run_many(program, packets)
    assert found.dtype == np.uint32
    assert found.shape == (len(packets),)
    return [int(ret) for ret in found]


@settings(max_examples=200, deadline=None)
@given(legal_programs(), st.lists(st.tuples(packet_bytes(), st.integers(0, 2000)), max_size=6))
def test_a_batch_gets_what_each_packet_gets_alone(
    program: Program, drawn: list[tuple[bytes, int]]
) -> None:
    packets = batch(*(Packet(data, len(data) + cut) for data, cut in drawn))
    try:
        found = rets(program, packets)
    except UnavailableError:
        assume(False)
    assert found == [load().evaluate(program, each.data, each.wirelen) for each in packets]


@settings(max_examples=300, deadline=None)
@given(legal_programs(), packet_bytes(), st.sampled_from([0, 1, 5000]))
def test_it_agrees_with_our_machine_but_for_the_differences_with_a_name(
    program: Program, data: bytes, cut: int
) -> None:
    packets = batch(Packet(data, len(data) + cut))
    try:
        found = rets(program, packets)
    except UnavailableError:
        assume(False)
    if found != backends.run_many(program, packets, "interp").tolist():
        between = ("interp", "libpcap")
        assert explains(program, data, len(data) + cut, between=between) is not None


def test_what_differs_is_not_hidden() -> None:
    for text, ret in (
        ("ld #1\nldx #33\nlsh x\nret a", 0),
        ("ldx #0xffffffff\nldb [x + 2]\nret a", 0),
        ("ldb [0xfff00001]\nret a", 0),
    ):
        assert rets(assemble(text), batch(b"\0\x07")) == [ret]
        assert backends.run_many(assemble(text), batch(b"\0\x07"), "interp").tolist() != [ret]


def test_packets_are_read_where_they_lie_and_none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = batch(*(bytes([n]) * (n % 5 + 1) for n in range(200)))

    def made(*_: object) -> Iterator[Packet]:
        raise AssertionError("a packet was made")

    monkeypatch.setattr(PacketBatch, "_made", made)
    assert rets(FIRST_BYTE, packets) == list(range(200))
    backwards = packets.take(list(range(199, -1, -3)))
    assert rets(LAST_BYTE, backwards) == list(range(199, -1, -3))


def test_the_validator_is_asked_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = Library.validate

    def validate(library: Library, program: Program) -> bool:
        asked.append(program)
        return real(library, program)

    monkeypatch.setattr(Library, "validate", validate)
    monkeypatch.setattr(libpcap, "PIECE", 7)
    assert rets(FIRST_BYTE, batch(*[b"\x09"] * 100)) == [9] * 100
    assert len(asked) == 1


def test_a_packet_ends_where_it_was_captured_though_others_lie_behind() -> None:
    program = assemble("ldh [1]\nret #1")
    assert rets(program, batch(b"ab", b"abc", b"", Packet(b"ab", 1500))) == [0, 1, 0, 0]


def test_the_wire_length_is_each_packets_own_in_all_32_bits() -> None:
    packets = batch(b"abc", Packet(b"abc", 1500), Packet(b"", 0xFFFFFFFF), b"")
    assert rets(LEN, packets) == [3, 1500, 0xFFFFFFFF, 0]
    assert rets(assemble("ret #0xffffffff"), packets) == [0xFFFFFFFF] * 4


def test_no_packets_give_no_rets() -> None:
    assert rets(FIRST_BYTE, batch()) == []


def test_notes_of_the_packets_do_not_matter_where_none_is_asked() -> None:
    assert rets(FIRST_BYTE, batch(Packet(b"\x05", ancillary=Ancillary(mark=9)))) == [5]


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 100 records of two bytes, mapped however small it is."""
    monkeypatch.setattr(filebytes, "WHOLE", 0)
    path = tmp_path / "x.pcap"
    records = (struct.pack("<IIII", 0, 0, 2, 60) + bytes([n, n + 1]) for n in range(100))
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    path.write_bytes(head + b"".join(records))
    return path


def test_a_mapped_capture_is_read_in_place(capture: Path) -> None:
    opened = open_capture(capture)
    assert rets(assemble("ldb [1]\nret a"), opened) == list(range(1, 101))
    assert rets(LEN, opened) == [60] * 100


def test_a_file_that_became_shorter_is_told_and_not_read(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_capture(capture)
    assert len(opened) == 100
    capture.write_bytes(capture.read_bytes()[:40])
    with pytest.raises(CaptureError, match="shorter"):
        libpcap.run_many(FIRST_BYTE, opened)


@pytest.mark.parametrize(("offset", "length"), [(8, 3), (11, 0), (0, 11), ((1 << 64) - 1, 4)])
def test_a_packet_outside_the_buffer_is_never_read(offset: int, length: int) -> None:
    columns = Columns(
        np.array([0, offset], np.uint64), np.array([4, length], np.uint32), np.zeros(2, np.uint32)
    )
    with pytest.raises(PacketError, match="packet 2 lies outside"):
        libpcap.run_many(FIRST_BYTE, PacketBatch(bytes(10), columns))


# What is refused


def refusal(program: Program, budget: int | None = None) -> str:
    with pytest.raises(UnavailableError) as caught:
        libpcap.run_many(program, batch(b"abc"), budget)
    message = str(caught.value)
    assert "\n" not in message
    assert "libpcap" in message
    return message


def test_every_extension_is_refused_by_its_name() -> None:
    for row in EXTENSIONS:
        for load_ in ("ld", "ldh", "ldb"):
            said = refusal(assemble(f"tax\n{load_} {row.name}\nret a"))
            assert f"(001) {load_} {row.name} " in said


def test_unchecked_programs_are_refused() -> None:
    assert "unchecked" in refusal(FIRST_BYTE, budget=1000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ret #1\nret x", "opcode 0x0e"),
        (".insn 0x01b1, 0, 0, 0\nret #1", "opcode 0x1b1"),
        ("tax\nst M[16]\nret #1", "(001) M[16]"),
        ("ret #1\ntax", "not a ret"),
        ("top: tax\nja top\nret #1", "(001) ja jumps backwards"),
    ],
)
def test_what_could_abort_or_hold_up_this_process_is_refused(text: str, words: str) -> None:
    assert words in refusal(assemble(text))


def test_the_empty_program_is_refused() -> None:
    assert "empty" in refusal(Program(()))


# The evaluator in the library


@pytest.mark.parametrize("place", PLACES)
def test_an_evaluator_keeps_its_program(place: str) -> None:
    try:
        library = load(place)
    except UnavailableError as error:
        pytest.skip(str(error))
    evaluators = [library.evaluator(assemble(f"ldb [0]\nadd #{n}\nret a")) for n in range(50)]
    assert [each.run(b"\x05") for each in evaluators] == list(range(5, 55))
    assert library.evaluator(LEN).run(b"abc", 1500) == 1500


def test_an_evaluator_is_refused_where_it_would_abort_unless_that_is_wanted() -> None:
    passed_by = assemble("ret #3\nret x")
    with pytest.raises(CheckError, match="0x0e would abort this process"):
        load().evaluator(passed_by)
    assert load().evaluator(passed_by, guarded=False).run(b"") == 3
    with pytest.raises(CheckError, match="M\\[16\\]"):
        load().evaluator(assemble("st M[16]\nret #1"), guarded=False)


def test_the_registry_has_it() -> None:
    assert backends.run_many(FIRST_BYTE, batch(b"\x07"), "libpcap").tolist() == [7]
    with pytest.raises(BpfError, match="did you mean libpcap"):
        backends.get("libcap")
