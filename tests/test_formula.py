"""The formula of a program, held against the interpreter: a wrong encoding cannot hide."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.analysis.proving.any_packet import NOTES, AnyPacket
from bpfnb.analysis.proving.formula import mean
from bpfnb.cbpf import machine
from bpfnb.cbpf.ancillary import BY_K, Ancillary
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes

z3 = pytest.importorskip("z3", reason="z3 is not installed")

ATTRIBUTE = {name: attribute for name, (attribute, _) in NOTES.items()}
UNSOLVED = {"nla", "nlan", "poff"}


def concrete(about: AnyPacket, word: Any, data: bytes, wirelen: int, notes: Ancillary) -> Any:
    """A word or a condition of the formula, with one packet put in."""
    if isinstance(word, bool | int):
        return word
    octets = z3.K(z3.BitVecSort(32), z3.BitVecVal(0, 8))
    for at, byte in enumerate(data):
        octets = z3.Store(octets, at, byte)
    known = [
        (about.bytes, octets),
        (about.caplen, z3.BitVecVal(len(data), 32)),
        (about.wirelen, z3.BitVecVal(wirelen, 32)),
        (about.random, z3.K(z3.BitVecSort(32), z3.BitVecVal(notes.random(), 32))),
    ]
    for name, term in about.notes.items():
        value = getattr(notes, ATTRIBUTE.get(name.removeprefix("no "), name.removeprefix("no ")))
        lacks = z3.BoolVal(value is None)
        known.append((term, lacks if name.startswith("no ") else z3.BitVecVal(value or 0, 32)))
    found = z3.simplify(z3.substitute(word, *known))
    return z3.is_true(found) if z3.is_bool(found) else found.as_long()


def solvable(program: Program) -> bool:
    """Whether the formula knows all that the program reads."""
    names = {BY_K[insn.k].name for insn in program.insns if insn.k in BY_K}
    return not names & UNSOLVED


def compare(program: Program, data: bytes, wirelen: int, notes: Ancillary) -> None:
    """The formula on one packet against the run on it: verdict, end, way."""
    about = AnyPacket(4096)
    meaning = mean(program, about)

    def is_so(word: Any) -> Any:
        return concrete(about, word, data, wirelen, notes)

    ran = trace(program, data, wirelen, notes)
    assert is_so(meaning.ret) == ran.ret == machine.run(program, data, wirelen, notes)
    assert is_so(meaning.accepts) == (ran.ret != 0)
    assert is_so(meaning.fails) == (ran.steps[-1].missed is not None)
    assert [pc for pc, when in enumerate(meaning.reached) if is_so(when)] == list(ran.path)
    assert [end.pc for end in meaning.ends if is_so(end.when)] == [ran.path[-1]]
    for pc, way in meaning.ways.items():
        if pc in ran.path:
            insn = program.insns[pc]
            after = ran.path[ran.path.index(pc) + 1]
            assert after == pc + 1 + (insn.jt if is_so(way) else insn.jf)


notes = st.builds(
    Ancillary,
    proto=st.sampled_from([0, 0x800, 0xFFFF]),
    pkttype=st.integers(0, 4),
    ifindex=st.none() | st.integers(1, 9),
    mark=st.integers(0, 0xFFFFFFFF),
    hatype=st.none() | st.just(1),
    vlan_tci=st.integers(0, 0xFFFF),
    vlan_present=st.integers(0, 1),
    net_offset=st.sampled_from([0, 14]),
    link_offset=st.none() | st.just(0),
    random=st.just(lambda: 4),
)


@settings(max_examples=300)
@given(legal_programs().filter(solvable), packet_bytes(), notes, st.integers(0, 9))
def test_the_formula_of_any_program_is_the_interpreter_on_any_packet(
    program: Program, data: bytes, notes: Ancillary, cut: int
) -> None:
    compare(program, data, len(data) + cut, notes)


@settings(max_examples=300)
@given(close_programs(), close_packets())
def test_the_formula_of_tests_and_loads_is_the_interpreter(program: Program, data: bytes) -> None:
    compare(program, data, len(data), Ancillary())
