"""Two programs side by side: the alignment, and the packet under it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.analysis.difference import rows
from bpfnb.cbpf import machine
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program
from bpfnb.errors import CheckError
from bpfnb.pcap import compile_filter
from tests.strategies import close_programs, legal_programs

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.difference import difference
from bpfnb.analysis.equivalence import Question
from bpfnb.views.difference import Difference


def diff(p: Program, q: Program, seconds: float = 10, rules: str = "linux") -> Difference:
    return Difference.of(difference(Question(p, q, rules=rules), seconds))


def signs(p: Program, q: Program) -> str:
    return "".join(row.sign for row in rows(p, q))


def test_a_number_that_differs_is_one_row() -> None:
    tcp, udp = (compile_filter(f"ip proto {name}") for name in ("\\tcp", "\\udp"))
    found = diff(tcp, udp)
    assert signs(tcp, udp) == "===≠=="
    assert found.region == range(3, 4)
    assert found.differs is True
    parting = found.parting
    assert parting is not None
    assert (parting.p, parting.q) == (3, 3)


def test_an_instruction_more_is_one_row_though_all_targets_move() -> None:
    text = "ldh [12]\njeq #0x800, ip, drop\nip: {}ldb [23]\njeq #6, keep, drop\n"
    text += "keep: ret #-1\ndrop: ret #0"
    plain, more = assemble(text.format("")), assemble(text.format("ldxb 4*([14]&0xf)\n"))
    assert signs(plain, more) == "==+===="
    assert signs(more, plain) == "==−===="
    assert diff(plain, plain).counted.endswith("the listings are the same")


def test_two_listings_of_one_meaning_are_proved_the_same() -> None:
    found = diff(compile_filter("ip or arp"), compile_filter("arp or ip"))
    assert found.differs is False
    assert found.parting is None
    assert str(found).startswith("✓ both give the same ret: proved for every packet")
    assert "--- ip or arp\n+++ arp or ip" in str(found)


def test_the_packet_and_both_reasons_stand_under_the_listings() -> None:
    found = diff(compile_filter("tcp port 80"), compile_filter("tcp dst port 80"))
    text = str(found)
    assert text.startswith("✗ they differ on a packet of ")
    assert "the runs on it part behind (0" in text
    assert " the first: accepted" in text
    assert " the second: rejected" in text
    assert "@@ " in text
    page = found.html()
    assert ">−<" in page
    assert "<b>→</b>" in page
    assert "only in the first" in page


def test_what_is_not_decided_is_said_and_shown_all_the_same() -> None:
    p, q = compile_filter("tcp port 80"), compile_filter("tcp dst port 80")
    found = diff(p, q, seconds=0)
    assert found.differs is None
    assert "not decided" in found.undecided
    assert "whether they mean the same is open" in str(found)
    assert "- (005)" in str(found)
    assert found.html()


def test_rule_sets_differ() -> None:
    shifted = assemble("ldx #32\nld #1\nlsh x\nret a")
    one, none = assemble("ld #1\nret a"), assemble("ld #0\nret a")
    assert diff(shifted, one).differs is False
    assert diff(shifted, none).differs is True
    assert diff(shifted, one, rules="libpcap").differs is True
    assert diff(shifted, none, rules="libpcap").differs is False


def test_an_illegal_program_is_refused() -> None:
    bad = Program((Insn(0x99, 0, 0, 0),))
    with pytest.raises(CheckError):
        diff(bad, compile_filter("ip"))


@settings(max_examples=150)
@given(legal_programs() | close_programs(), legal_programs() | close_programs())
def test_each_instruction_stands_in_one_row_in_order(p: Program, q: Program) -> None:
    found = rows(p, q)
    assert [row.p for row in found if row.p is not None] == list(range(len(p)))
    assert [row.q for row in found if row.q is not None] == list(range(len(q)))
    assert all((row.sign == "−") == (row.q is None) for row in found)
    assert all((row.sign == "+") == (row.p is None) for row in found)
    assert {row.sign for row in rows(p, p)} == {"="}


@settings(max_examples=60)
@given(st.data())
def test_the_runs_part_where_it_is_said(data: st.DataObject) -> None:
    p = data.draw(close_programs())
    pc = data.draw(st.integers(0, len(p) - 1))
    insn = p.insns[pc]
    changed = insn._replace(k=insn.k ^ 1) if insn.code & 7 in (5, 6) else insn
    q = Program((*p.insns[:pc], changed, *p.insns[pc + 1 :]))
    if insn.code == 0x05:
        return
    found = diff(p, q)
    where = found.parting
    if where is None:
        return
    answer = found.answer
    assert answer is not None
    one, two = (run.path for run in answer.traces)  # type: ignore[union-attr]
    assert machine.run(p, answer.found.data) != machine.run(q, answer.found.data)  # type: ignore[union-attr]
    assert where.p is None or where.p in one
    assert where.q is None or where.q in two
    assert str(found)
    assert found.html()
