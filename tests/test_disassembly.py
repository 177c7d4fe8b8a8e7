"""Program -> text: six dialects, and every line as libpcap itself prints it."""

from __future__ import annotations

import pytest

from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.disasm import DIALECTS, line, sentence, text, transfer
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import OPCODES, Class, Form, Opcode, Since
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.pcap import load

ICMP = assemble("6,40 0 0 12,21 0 3 2048,48 0 0 23,21 0 1 1,6 0 0 262144,6 0 0 0")
NUMBERS = (0, 1, 12, 255, 0x7FFFFFFF, 0x80000000, 0xFFF00000, 0xFFFFF001, 0xFFFFFFFF)
EXTENSIONS = tuple(0xFFFFF000 + offset for offset in range(0, 56, 4))


def test_icmp_is_tcpdumps_listing_to_the_byte() -> None:
    assert text(ICMP) == (
        "(000) ldh      [12]\n"
        "(001) jeq      #0x800           jt 2\tjf 5\n"
        "(002) ldb      [23]\n"
        "(003) jeq      #0x1             jt 4\tjf 5\n"
        "(004) ret      #262144\n"
        "(005) ret      #0"
    )


@pytest.mark.parametrize("row", OPCODES, ids=lambda row: row.name)
def test_each_line_is_libpcaps(row: Opcode) -> None:
    code = row.code
    for k in (*NUMBERS, *EXTENSIONS):
        insn = Insn(code, 3, 250, k)
        assert f"(007) {line(insn, 7)}" == load().image(insn, 7)


def test_later_extensions_are_named_as_a_newer_libpcap_names_them() -> None:
    insns = [Insn(0x20, 0, 0, 0xFFFFF038), Insn(0x20, 0, 0, 0xFFFFF03C)]
    assert [line(insn, 0) for insn in insns] == ["ld       [random]", "ld       [vlan_tpid]"]
    try:
        system = [load("system").image(insn, 0) for insn in insns]
    except UnavailableError:
        pytest.skip("no system libpcap to compare with")
    assert system == ["(000) ld       [random]", "(000) ld       [vlan_tpid]"]


def test_asm_keeps_labels_and_makes_up_the_others() -> None:
    program = assemble("ldh [12]\njeq #0x800, good, +1\ngood: ret #-1\nret #0")
    assert text(program, "asm").split() == (
        [
            "ldh",
            "[12]",
            "jeq",
            "#0x800,",
            "good,",
            "L1",
            "good:",
            "ret",
            "#0xffffffff",
            "L1:",
            "ret",
            "#0",
        ]
    )


def test_paper_names_the_well_known() -> None:
    shown = text(ICMP, "paper")
    assert "jeq   #ETHERTYPE_IP, L1, L3" in shown
    assert "jeq   #IPPROTO_ICMP, L2, L3" in shown
    assert "L3:     ret   #0" in shown


def test_what_no_mnemonic_says_is_written_as_it_is() -> None:
    odd = Program((Insn(0xFFFF, 1, 2, 3), Insn(0x28, 0, 7, 12), Insn(0x15, 9, 9, 1)))
    assert text(odd, "asm").split("\n") == [
        "        .insn 0xffff, 1, 2, 0x3",
        "        .insn 0x28, 0, 7, 0xc",
        "        .insn 0x15, 9, 9, 0x1",
    ]


def test_the_table_counts_as_the_paper_does() -> None:
    assert len(OPCODES) == 49
    assert sum(row.since is Since.PAPER for row in OPCODES) == 40
    assert len({row.code for row in OPCODES}) == 49
    paper = {
        "ldx" if row.mnemonic == "ldxb" else row.mnemonic
        for row in OPCODES
        if row.since is Since.PAPER
    }
    assert len(paper) == 22  # ja is the paper's jmp


@pytest.mark.parametrize("row", OPCODES, ids=lambda row: row.name)
def test_every_opcode_has_words(row: Opcode) -> None:
    insn = Insn(row.code, 1, 2, 3)
    for words in (transfer(insn, 0), sentence(insn, 0)):
        assert words
        assert "{" not in words
    if row.cls is Class.JMP:
        assert transfer(insn, 0).startswith("pc <- ")
    if row.form is Form.MEM:
        assert "M[3]" in transfer(insn, 0)


def test_an_unknown_dialect_names_the_known() -> None:
    with pytest.raises(BpfError, match="paper"):
        text(ICMP, "intel")
    assert list(DIALECTS) == ["tcpdump", "asm", "c", "decimal", "xt_bpf", "paper"]
