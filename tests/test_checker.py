"""The kernel's rules one by one; that it agrees is asked in test_kernel_agreement."""

from __future__ import annotations

import pytest

from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import RULES, check, require, unsafe_reads
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, CheckError
from bpfnb.pcap import load

REFUSED = [
    ("length", Program(())),
    ("length", Program((Insn(6, 0, 0, 0),) * 4097)),
    ("known_opcode", assemble("ret x\nret #0")),
    ("known_opcode", assemble(".insn 0x0166, 0, 0, 0\nret #0")),
    ("constant_divisor", assemble("div #0\nret a")),
    ("constant_divisor", assemble("mod #0\nret a")),
    ("shift_width", assemble("lsh #32\nret a")),
    ("scratch_index", assemble("st M[16]\nret a")),
    ("jump_target", assemble("jeq #0, +1, +0\nret #0")),
    ("jump_target", assemble("a: tax\nja a\nret #0")),
    ("extension", assemble("ld [0xfffff041]\nret a")),
    ("last_instruction", assemble("ret #0\ntax")),
    ("scratch_written", assemble("ld M[3]\nret a")),
]


@pytest.mark.parametrize(("rule", "program"), REFUSED, ids=lambda value: str(value)[:24])
def test_a_rule_refuses_with_place_and_cure(rule: str, program: Program) -> None:
    faults = check(program)
    assert [fault.rule for fault in faults] == [rule]
    assert faults[0].hint
    assert f"({faults[0].pc:03d})" in str(faults[0])
    with pytest.raises(CheckError) as caught:
        require(program)
    assert caught.value.faults == faults


def test_every_rule_of_linux_has_its_program() -> None:
    assert {rule.__name__ for rule in RULES["linux"]} == {rule for rule, _ in REFUSED}


def test_all_broken_rules_are_named_in_the_order_of_lines() -> None:
    program = assemble("lsh #99\nld M[3]\nst M[77]\ndiv #0\ntax")
    assert [fault.pc for fault in check(program)] == [0, 1, 2, 3, 4]


SAFE_BUT_REFUSED = assemble("jeq #0, a, b\na: st M[3]\nja c\nb: ret #0\nc: ld M[3]\nret a")


def test_the_kernels_one_pass_refuses_a_safe_program() -> None:
    assert [fault.rule for fault in check(SAFE_BUT_REFUSED)] == ["scratch_written"]
    assert unsafe_reads(SAFE_BUT_REFUSED) == ()


def test_an_unsafe_read_names_a_way_to_it() -> None:
    program = assemble("jeq #0, a, b\na: st M[3]\nja c\nb: tax\nc: ld M[3]\nret a")
    (read,) = unsafe_reads(program)
    assert (read.pc, read.word, read.path) == (4, 3, (0, 3, 4))
    assert "0 → 3 → 4" in str(read)


def test_unreachable_code_reads_nothing() -> None:
    program = assemble("ret #1\nld M[3]\nret a")
    assert unsafe_reads(program) == ()
    assert [fault.rule for fault in check(program)] == ["scratch_written"]


def test_libpcaps_validator_agrees_on_every_opcode() -> None:
    passed = set()
    for code in range(0x10000):
        for k in (0, 1, 16):
            program = Program((Insn(code, 0, 0, k), Insn(6, 0, 0, 0)))
            verdict = load().validate(program)
            assert (check(program, "libpcap") == ()) == verdict, (hex(code), k)
            if verdict and code < 256:
                passed.add(code)
    assert len(passed) == 208


def test_an_unknown_rule_set_names_the_known() -> None:
    with pytest.raises(BpfError, match="libpcap"):
        check(SAFE_BUT_REFUSED, "bsd")


def test_a_label_with_nothing_behind_it_is_named() -> None:
    fault = check(assemble("jeq #1, +0, no\nret #1\nno:"))[0]
    assert (fault.rule, fault.hint) == (
        "jump_target",
        "put an instruction behind the label no: ret #0, say",
    )
    assert "count from the next" in check(assemble("jeq #1, +0, +9\nret #1"))[0].hint
