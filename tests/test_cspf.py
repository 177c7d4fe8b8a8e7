"""The stack machine and its text: cases by hand, an independent machine, laws."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpfnb import cspf
from bpfnb.cbpf import cspf as plain
from bpfnb.cbpf.cspf_opcodes import ACTIONS, DEEPEST, OPERATORS, PUSHLIT, PUSHWORD, Action, Operator
from bpfnb.cbpf.cspf_text import DIALECTS, assemble, text
from bpfnb.errors import AssemblyError, BpfError
from tests.cspf_reference import accepts

numbers = st.one_of(st.sampled_from([0, 1, 2, 3, 7, 8, 15, 16, 255, 0x800, 0xFFFF]),
                    st.integers(0, 0xFFFF))  # fmt: skip


@st.composite
def instructions(draw: st.DrawFn) -> plain.CspfWord:
    action = draw(st.sampled_from(ACTIONS))
    op = draw(st.sampled_from([OPERATORS[0]] * 6 + [OPERATORS[1]] * 3 + list(OPERATORS)))
    word = draw(st.integers(0, 5)) if action.code == PUSHWORD else 0
    return plain.CspfWord(action, op, word, draw(numbers) if action.code == PUSHLIT else 0)


programs = st.lists(instructions(), max_size=50).map(lambda each: plain.CspfProgram(tuple(each)))
packets = st.lists(st.sampled_from([0, 1, 2, 8, 255]), max_size=15).map(bytes)

PUP = bytes([1, 2, 0, 2, 0, 26, 0, 50, 9, 9, 9, 9, 9, 9, 0, 0, 0, 35])
TYPES = """
    PUSHWORD+1  PUSHLIT|EQ 2        ; packet type == PUP
    PUSHWORD+3  PUSH00FF|AND        ; the lower byte
    PUSHZERO|GT                     ; PupType > 0
    PUSHWORD+3  PUSH00FF|AND
    PUSHLIT|LE 100                  ; PupType <= 100
    AND  AND
"""
SOCKET = """
    ENF_PUSHWORD + 8, ENF_PUSHLIT | ENF_CAND, 35,   /* low word of socket == 35 */
    ENF_PUSHWORD + 7, ENF_PUSHZERO | ENF_CAND,      /* high word of socket == 0 */
    ENF_PUSHWORD + 1, ENF_PUSHLIT | ENF_EQ, 2       /* packet type == PUP */
"""


def test_the_examples_of_1987() -> None:
    types, socket = cspf.assemble(TYPES), cspf.assemble(SOCKET)
    assert (len(types.words), len(socket.words)) == (12, 8)  # as the paper's structs say
    assert types.run(PUP)
    assert not types.run(PUP[:7] + bytes([101]) + PUP[8:])
    assert socket.run(PUP)
    assert not socket.run(PUP[:17] + bytes([36]))
    assert [step.pc for step in socket.trace(PUP[:17] + bytes([36])).steps] == [0, 1]


@given(programs, packets)
def test_it_agrees_with_a_machine_written_from_the_description(
    program: plain.CspfProgram, packet: bytes
) -> None:
    assert plain.trace(program, packet).accepted == accepts(program.words, packet)


@given(programs, packets)
def test_depths_are_those_of_every_run(program: plain.CspfProgram, packet: bytes) -> None:
    run = plain.trace(program, packet)
    for step in run.steps:
        depth = program.depths[step.pc]
        if step.failed:
            missing = step.why.startswith("wanted word")
            assert depth is None or missing
        elif not step.why:
            assert len(step.after) - 1 == depth
    assert run.reads <= len(run.steps)
    assert run.comparisons <= len(run.steps)


@given(programs, st.sampled_from(DIALECTS))
def test_text_is_read_back(program: plain.CspfProgram, dialect: str) -> None:
    assert assemble(text(program, dialect)) == program
    assert plain.CspfProgram.from_words(program.words) == program


@given(st.lists(st.integers(-2, 70000), max_size=8))
def test_any_words_are_a_program_or_a_bpf_error(words: list[int]) -> None:
    try:
        program = plain.CspfProgram.from_words(words)
    except BpfError:
        return
    assert list(program.words) == words


PIECES = ["PUSHWORD", "pushlit", "ENF_EQ", "|", "+", ",", "6", "0x800", "09", "-1", "\n", " ", "{",
          "htons(", ")", "/*", "*/", ";", "#", "é", "\0", "ETHERTYPE_IP", "70000",
          "CAN"]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_no_text_raises_anything_but_a_bpf_error(words: str) -> None:
    try:
        program = assemble(words)
    except AssemblyError as error:
        first = error.problems[0]
    else:
        assert assemble(str(program)) == program
        return
    assert str(first).startswith(f"line {first.line}, column {first.column}: ")


# What each row of the table does, on a stack of two


@pytest.mark.parametrize(
    ("operator", "below", "top", "left"),
    [
        ("EQ", 5, 5, 1), ("EQ", 5, 6, 0), ("NEQ", 5, 6, 1), ("NEQ", 5, 5, 0),
        ("LT", 4, 5, 1), ("LT", 5, 5, 0), ("LE", 5, 5, 1), ("LE", 6, 5, 0),
        ("GT", 6, 5, 1), ("GT", 5, 5, 0), ("GE", 5, 5, 1), ("GE", 4, 5, 0),
        ("AND", 12, 10, 8), ("OR", 12, 10, 14), ("XOR", 12, 10, 6),
        ("LSH", 0x8001, 1, 2), ("LSH", 1, 16, 0), ("RSH", 0x8001, 1, 0x4000), ("RSH", 1, 16, 0),
        ("ADD", 0xFFFF, 2, 1), ("SUB", 1, 2, 0xFFFF),
    ],
)  # fmt: skip
def test_an_operator(operator: str, below: int, top: int, left: int) -> None:
    run = cspf.assemble(f"PUSHLIT {below} PUSHLIT|{operator} {top}").trace(b"")
    assert run.steps[-1].after == (1, left)
    assert run.steps[-1].operands == (below, top)


@pytest.mark.parametrize(
    ("operator", "top", "verdict"),
    [
        ("COR", 5, True), ("COR", 6, None), ("CAND", 6, False), ("CAND", 5, None),
        ("CNOR", 5, False), ("CNOR", 6, None), ("CNAND", 6, True), ("CNAND", 5, None),
    ],
)  # fmt: skip
def test_a_short_circuit(operator: str, top: int, verdict: bool | None) -> None:
    for last, otherwise in (("PUSHZERO", False), ("PUSHONE", True)):
        run = cspf.assemble(f"PUSHLIT 5 PUSHLIT|{operator} {top} {last}").trace(b"")
        assert run.accepted == (otherwise if verdict is None else verdict)
        assert len(run.steps) == (3 if verdict is None else 2)
        if verdict is None:
            assert run.steps[1].after == (1,)  # both are gone


def test_every_row_of_the_table_was_tried_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for row in (*ACTIONS, *OPERATORS):
        assert isinstance(row, Action | Operator)
        assert re.search(rf"\b{row.name}\b", source) or row.name == "NOPUSH", row.name


def test_constants_and_indirection() -> None:
    run = cspf.assemble("PUSHZERO PUSHONE PUSHFFFF PUSH00FF PUSHFF00 PUSHIND|NOP").trace(bytes(4))
    assert run.steps[-2].after == (1, 0, 1, 0xFFFF, 0x00FF, 0xFF00)
    assert not run.accepted  # there is no word 0xff00
    found = cspf.assemble("PUSHONE PUSHIND PUSHLIT|EQ 0x0203")
    assert found.run(bytes([9, 9, 2, 3]))
    assert found.trace(bytes([9, 9, 2, 3])).steps[1].read == 1
    assert not cspf.assemble("PUSHIND").run(bytes(4))


def test_the_last_byte_of_an_odd_packet_cannot_be_seen() -> None:
    assert cspf.assemble("PUSHWORD+1").run(bytes([0, 0, 0, 7]))
    assert not cspf.assemble("PUSHWORD+1").run(bytes([0, 0, 7]))
    assert cspf.assemble("PUSHWORD+1").trace(bytes([0, 0, 7])).why == (
        "(00) PUSHWORD+1: wanted word 1, the packet has 1"
    )


def test_an_empty_program_and_a_bare_stack_accept() -> None:
    assert cspf.assemble("").run(b"")
    assert cspf.assemble("PUSHONE|CAND").run(b"") is False  # one value: an operator wants two
    assert cspf.assemble("PUSHONE PUSHONE|CAND").run(b"")  # both popped, TRUE is left


def test_the_stack_is_as_deep_as_in_the_kernel() -> None:
    full = plain.CspfProgram.from_words([3] * (DEEPEST - 2))
    assert full.run(b"")
    assert accepts(full.words, b"")
    over = plain.CspfProgram.from_words([3] * (DEEPEST - 1))
    assert not over.run(b"")
    assert not accepts(over.words, b"")
    assert over.depths[-1] is None
    assert not full.too_long
    assert plain.CspfProgram.from_words([3] * (DEEPEST + 1)).too_long


@pytest.mark.parametrize(
    ("words", "place", "said"),
    [
        ("PUSHWORD+6\nPUSHLIT|EQQ 5", (2, 9), "no action or operator 'EQQ'"),
        ("PUSHLIT|EQ", (1, 1), "the number to push is missing"),
        ("PUSHWORD+6 0x800", (1, 12), "a number, and no PUSHLIT that wants it"),
        ("PUSHWORD+1008", (1, 10), "there is no word 1008"),
        ("PUSHLIT|EQ 65536", (1, 12), "65536 does not fit"),
        ("PUSHLIT|EQ 08", (1, 12), "08 is not a number in octal"),
        ("PUSHONE+3", (1, 9), "3 does not belong here"),
        ("PUSHONE|PUSHZERO", (1, 9), "PUSHZERO is a second action"),
        ("PUSHONE|EQ|AND", (1, 12), "AND is a second operator"),
        ("{ 10, 2, PUSHWORD+1 }", (1, 1), "{ has no meaning here"),
        ("PUSHWORD+", (1, 1), "something is missing behind PUSHWORD"),
        ("| EQ", (1, 1), "there is nothing before this |"),
        ("7", (1, 1), "there is no action 7"),
    ],
)
def test_a_mistake_has_its_place(words: str, place: tuple[int, int], said: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble(words)
    first = caught.value.problems[0]
    assert (first.line, first.column) == place
    assert said in first.message


def test_all_mistakes_are_told_at_once_and_a_literal_is_not_blamed_for_its_word() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble("PUSHLIT|EQQ 5\nPUSHWORD+6 7\nhtons(")
    assert [each.line for each in caught.value.problems] == [1, 2, 3, 3]


def test_ways_of_writing_one_program() -> None:
    want = (22, 1025, 0x0800)
    for words in (
        "PUSHWORD+6\nPUSHLIT|EQ 0x0800",
        "pushword + 6 eq|pushlit ETHERTYPE_IP",
        "ENF_PUSHWORD + 6, ENF_PUSHLIT | ENF_EQ, htons(0x800),",
        "NETF_PUSHWORD+6, NETF_PUSHLIT|NETF_EQ, htons (ETHERTYPE_IP) // type\n",
        "22 1025 2048",
        "/* raw */ 026, 02001, 04000",
    ):
        assert assemble(words).words == want, words


def test_a_program_takes_packets_as_bpf_does() -> None:
    ip = cspf.assemble("PUSHWORD+6 PUSHLIT|EQ ETHERTYPE_IP")
    two = [bytes(12) + b"\x08\x00", bytes(14)]
    assert ip.run_many(two).tolist() == [True, False]
    assert ip.filter(two) == two[:1]
    assert repr(ip) == "<CSPF program: 2 instructions in 3 words>"
    with pytest.raises(BpfError, match="one packet is wanted"):
        ip.run(two)
    with pytest.raises(BpfError, match="there is no dialect 'asm'"):
        ip.text("asm")
