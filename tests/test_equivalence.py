"""Proofs and counterexamples, each held against runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb.cbpf import machine
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.equivalence import Question, equivalent
from bpfnb.errors import UndecidedError


@st.composite
def changed(draw: st.DrawFn, programs: st.SearchStrategy[Program]) -> tuple[Program, Program]:
    """A program, and the same with one field changed."""
    program = draw(programs)
    pc = draw(st.integers(0, len(program) - 1))
    insn = program.insns[pc]
    other = Insn(
        insn.code,
        insn.jf if draw(st.booleans()) else insn.jt,
        insn.jf,
        draw(st.sampled_from([insn.k, insn.k ^ 1, insn.k + 1 & 0xFFFFFFFF, 0])),
    )
    return program, Program((*program.insns[:pc], other, *program.insns[pc + 1 :]))


@settings(max_examples=400)
@given(
    changed(legal_programs() | close_programs()).filter(lambda pair: not check(pair[1])),
    st.lists(packet_bytes() | close_packets(), min_size=5, max_size=30),
)
def test_what_is_proved_holds_on_packets_and_what_is_found_is_confirmed(
    pair: tuple[Program, Program], packets: list[bytes]
) -> None:
    p, q = pair
    try:
        answer = equivalent(Question(p, q))
    except UndecidedError as error:
        if "depends on" not in error.message:
            raise
        return
    if answer:
        for data in packets:
            assert machine.run(p, data) == machine.run(q, data)


def test_an_answer_in_a_list_is_one_line() -> None:
    ip, arp = (bpf.compile_filter(each) for each in ("ip", "arp"))
    assert repr(bpf.equivalent(ip, ip)).startswith("<Proof: both give the same ret: proved for ")
    assert repr(bpf.equivalent(ip, arp)).startswith("<Counterexample: they differ on a packet of ")
