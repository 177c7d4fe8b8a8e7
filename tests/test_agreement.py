"""All backends on all cases, and on random programs × packets: they agree.

Where libpcap's evaluator is known to differ, `bpfnb.backends.differences` has the
difference by its name; any other disagreement fails here.  A backend that cannot
run something says so in one line, and only where its rule says it may.
"""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb import backends, samples
from bpfnb.backends.differences import explains
from bpfnb.cbpf.ancillary import BY_K, Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError
from bpfnb.linux.limits import environment_limit
from bpfnb.linux.probe import attempt, socket_filters
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.pcap import compile_filter
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes
from tests.test_cases import RUN, Case, named
from tests.test_expressions import CORPUS

HERE = attempt("socket filters", socket_filters)
OTHERS = [name for name in backends.NAMES if name not in ("interp", "linux")]
BOTH = ("interp", "libpcap")
ETHERNET = 1


def ran(program: Program, batch: PacketBatch, name: str) -> list[int] | None:
    """One ret a packet; None where this backend may say that it cannot, and does."""
    try:
        return [int(ret) for ret in backends.run_many(program, batch, name)]
    except UnavailableError as error:
        said = str(error)
    assert "\n" not in said
    assert may_refuse(program, name), f"{name}: {said}"
    return None


def may_refuse(program: Program, name: str) -> bool:
    """libpcap's machine has no extensions; a socket pair has no device and no cut packets."""
    return name == "linux" or (name == "libpcap" and bool(extensions(program)))


def extensions(program: Program) -> list[str]:
    """The extensions that a program can read."""
    absolute = [insn.k for insn in program.insns if BY_CODE[insn.code].form is Form.ABS]
    return [BY_K[k].name for k in absolute if k in BY_K]


def agree(program: Program, batch: PacketBatch, name: str) -> None:
    """This backend and our machine give the same, but for what has a name."""
    expected = ran(program, batch, "interp")
    rets = ran(program, batch, name)
    if rets is None or expected is None:
        return
    for packet, ret, right in zip(batch, rets, expected, strict=True):
        if ret != right:
            assert name == "libpcap"
            assert explains(program, packet.data, packet.wirelen, packet.ancillary, between=BOTH)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("case", named(RUN))
def test_every_backend_returns_what_a_case_says(case: Case, name: str) -> None:
    packets = [Packet(each.data, each.wirelen, each.ancillary) for each in case.examples]
    rets = ran(case.program, PacketBatch.of(packets), name)
    for at, each in enumerate(case.examples if rets is not None else ()):
        assert rets is not None
        if rets[at] != each.ret:
            assert name == "libpcap"
            assert explains(case.program, each.data, each.wirelen, each.ancillary, between=BOTH)


def test_every_backend_runs_most_cases() -> None:
    """A backend that refuses everything would agree with everybody."""
    for name in [*OTHERS, *(["linux"] if HERE.works else [])]:
        batch = [(case.program, PacketBatch.of([Packet(b"")])) for case in RUN]
        assert sum(ran(program, one, name) is not None for program, one in batch) > len(RUN) // 2


def batches() -> st.SearchStrategy[PacketBatch]:
    """Odd sizes, empty packets, packets cut short."""
    cut = st.builds(Packet, packet_bytes(), st.integers(0, 0xFFFFFFFF), linktype=st.just(1))
    whole = st.builds(Packet, packet_bytes())
    return st.builds(PacketBatch.of, st.lists(cut, max_size=5) | st.lists(whole, max_size=5))


@pytest.mark.parametrize("name", [*OTHERS, "linux"])
@settings(max_examples=150, deadline=None)
@given(program=legal_programs(), batch=batches())
def test_every_backend_agrees_with_the_machine(
    name: str, program: Program, batch: PacketBatch
) -> None:
    if name == "linux" and not HERE.works:
        pytest.skip(f"socket filters: {HERE.reason}")
    if "rand" in extensions(program):
        return  # nobody can foretell it
    agree(program, batch, name)


@pytest.mark.parametrize("name", [*OTHERS, "linux"])
@settings(max_examples=400, deadline=None)
@given(program=close_programs(), packets=st.lists(close_packets(), min_size=1, max_size=8))
def test_every_backend_agrees_where_tests_are_met(
    name: str, program: Program, packets: list[bytes]
) -> None:
    if name == "linux" and not HERE.works:
        pytest.skip(f"socket filters: {HERE.reason}")
    agree(program, PacketBatch.of([Packet(each) for each in packets]), name)


NOTES = st.builds(
    Ancillary,
    mark=st.integers(0, 9),
    ifindex=st.none() | st.integers(0, 9),
    net_offset=st.integers(-20, 40) | st.sampled_from([1 << 63, -(1 << 63), 1 << 32]),
    link_offset=st.none() | st.integers(-20, 20) | st.just(1 << 64),
)


@pytest.mark.parametrize("name", ["pygen", "native"])
@settings(max_examples=200, deadline=None)
@given(program=legal_programs(), data=st.data())
def test_notes_and_link_types_of_all_sorts_change_nothing(
    name: str, program: Program, data: st.DataObject
) -> None:
    if "rand" in extensions(program):
        return
    linktypes = st.sampled_from([None, 1, 101, 113, 276])
    packet = st.builds(Packet, packet_bytes(), st.integers(0, 2000), st.none() | NOTES, linktypes)
    agree(program, PacketBatch.of(data.draw(st.lists(packet, max_size=5))), name)


@cache
def captured() -> tuple[bytes, ...]:
    """Really captured Ethernet frames, and each of them cut off in two places."""
    frames = [packet.data for name in samples.names() for packet in samples.open(name)
              if packet.linktype == ETHERNET]  # fmt: skip
    chance = Random(1993)
    cuts = [frame[: chance.randrange(len(frame))] for frame in frames for _ in range(2)]
    return tuple(dict.fromkeys([*frames, *cuts]))


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("name", [*OTHERS, "linux"])
def test_every_backend_agrees_on_what_libpcap_compiles(name: str, optimize: bool) -> None:
    """Every expression on every frame; where that is slow, every few."""
    if name == "linux" and not HERE.works:
        pytest.skip(f"socket filters: {HERE.reason}")
    expressions = [text for linktype, text in CORPUS if linktype == "EN10MB"]
    batch = PacketBatch.of([Packet(data) for data in captured()])
    accepted = 0
    for text in expressions[:: {"native": 4, "linux": 10}.get(name, 1)]:
        program = compile_filter(text, optimize=optimize, netmask=0)
        if not check(program):
            agree(program, batch, name)
            accepted += int((backends.run_many(program, batch, "interp") != 0).sum())
    assert accepted > 100


LONGEST: dict[str, list[tuple[int, int, int, int]]] = {
    "loads one byte further each time": [
        *[(0x30, 0, 0, at) for at in range(4095)],
        (0x16, 0, 0, 0),
    ],
    "255-long jumps": [
        *[row for _ in range(15) for row in [(0x15, 255, 255, 0), *[(6, 0, 0, 1)] * 255]],
        (6, 0, 0, 9),
    ],
    "one ja over all": [(5, 0, 0, 4094), *[(6, 0, 0, 1)] * 4094, (6, 0, 0, 9)],
    "two thousand diamonds": [
        (0x20, 0, 0, 0),
        *[(0x45, 0, 1, 1), (4, 0, 0, 3)] * 2047,
        (0x16, 0, 0, 0),
    ],
    "a ladder of tests": [
        (0x30, 0, 0, 0),
        *[(0x15, 0, 1, 200), (6, 0, 0, 7)] * 2047,
        (0x16, 0, 0, 0),
    ],
}


@pytest.mark.parametrize("name", [*OTHERS, "linux"])
@pytest.mark.parametrize("words", LONGEST)
def test_the_longest_programs_agree(words: str, name: str) -> None:
    if name == "linux" and not HERE.works:
        pytest.skip(f"socket filters: {HERE.reason}")
    program = Program.from_insns(LONGEST[words])
    assert len(program) <= 4096
    assert check(program) == ()
    packets = [bytes(range(256)) * 20, b"\xc8" * 60, b"\1" * 4095, b"\0", b""]
    batch = PacketBatch.of([Packet(each) for each in packets])
    if name == "linux" and environment_limit(program) is not None:
        return  # its own limits are another test's
    agree(program, batch, name)


def test_as_many_loads_as_a_sockets_memory_takes_run_in_the_kernel() -> None:
    if not HERE.works:
        pytest.skip(f"socket filters: {HERE.reason}")
    most = assemble("ldh [0]\n" * 1100 + "ret #7")
    assert environment_limit(most) is None
    assert backends.run_many(most, PacketBatch.of([Packet(b"ab")]), "linux").tolist() == [7]
