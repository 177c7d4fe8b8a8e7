"""The backend pygen: its source, and programs that nest badly.

That it returns what the others do on cases and random programs is in `test_agreement`.
"""

from __future__ import annotations

import ast
import random
import struct
import traceback
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.backends import pygen
from bpfnb.backends.pygen import compiled, source
from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.pcap import compile_filter
from tests.strategies import legal_programs, packet_bytes

TCP_PORT_80 = '''\
def accepts(P, wirelen, notes):
    """Return how many bytes of the packet P to accept; 0 rejects it."""
    try:
        if P[13] == 0xdd and P[12] == 0x86:             # 0 ldh [12]; 1 jeq #0x86dd
            if P[20] != 6:                              # 2 ldb [20]; 3 jeq #0x6
                return 0                                # 19 ret #0
            if P[55] == 80 and P[54] == 0:              # 4 ldh [54]; 5 jeq #0x50
                return 262144                           # 18 ret #262144
            if P[57] == 80 and P[56] == 0:              # 6 ldh [56]; 7 jeq #0x50
                return 262144                           # 18 ret #262144
            return 0                                    # 19 ret #0
        if P[13] != 0x00 or P[12] != 0x08:              # 8 jeq #0x800
            return 0                                    # 19 ret #0
        if P[23] != 6:                                  # 9 ldb [23]; 10 jeq #0x6
            return 0                                    # 19 ret #0
        if P[21] or P[20] & 0x1f:                       # 11 ldh [20]; 12 jset #0x1fff
            return 0                                    # 19 ret #0
        X = 4 * (P[14] & 15)                            # 13 ldxb 4*([14]&0xf)
        if P[X + 15] == 80 and P[X + 14] == 0:          # 14 ldh [x + 14]; 15 jeq #0x50
            return 262144                               # 18 ret #262144
        if P[X + 17] == 80 and P[X + 16] == 0:          # 16 ldh [x + 16]; 17 jeq #0x50
            return 262144                               # 18 ret #262144
        return 0                                        # 19 ret #0
    except IndexError:
        return 0                                        # a load past the end'''

# Ways that part at 1 and meet at 8, one of which goes by the meeting at 6.
MEETINGS = """
        ldb [0]
        jeq #1, first, second
first:  ldb [1]
        jgt #5, six, eight
second: ldb [2]
        jgt #7, six, eight
six:    add #1
        tax
eight:  ldx #3
        add x
        ret a
"""
MEETINGS_IN_PYTHON = '''\
def accepts(P, wirelen, notes):
    """Return how many bytes of the packet P to accept; 0 rejects it."""
    try:
        if P[0] == 1:                                   # 0 ldb [0]; 1 jeq #0x1
            A = P[1]                                    # 2 ldb [1]
            if A > 5:                                   # 3 jgt #0x5
                at = 6
            else:
                at = 8
        else:
            A = P[2]                                    # 4 ldb [2]
            if A > 7:                                   # 5 jgt #0x7
                at = 6
            else:
                at = 8
        if at == 6:
            A = (A + 1) & 0xffffffff                    # 6 add #1
            X = A                                       # 7 tax
        X = 3                                           # 8 ldx #0x3
        A = (A + X) & 0xffffffff                        # 9 add x
        return A                                        # 10 ret
    except IndexError:
        return 0                                        # a load past the end'''


def test_a_filter_reads_like_python() -> None:
    assert source(compile_filter("tcp port 80")) == TCP_PORT_80


def test_ways_that_meet_go_on_below() -> None:
    assert source(assemble(MEETINGS)) == MEETINGS_IN_PYTHON


@settings(max_examples=200, deadline=None)
@given(legal_programs(60), st.lists(packet_bytes(), min_size=1, max_size=4))
def test_long_programs_agree_with_the_machine(program: Program, data: list[bytes]) -> None:
    if any(insn.k == 0xFFFFF038 for insn in program.insns):
        return  # nobody can foretell rand
    accepts = compiled(program)
    for each in data:
        assert accepts(each, len(each), None) == run(program, each)


@settings(max_examples=100, deadline=None)
@given(legal_programs(40))
def test_the_source_has_no_loop_and_is_the_same_each_time(program: Program) -> None:
    text = source(program)
    assert text == source(program)
    kinds = {type(node) for node in ast.walk(ast.parse(text))}
    assert not kinds & {ast.While, ast.For, ast.Lambda, ast.ListComp}


def deep(levels: int) -> Program:
    """Tests each inside the other, with work to do on both ways out of each."""
    rows: list[tuple[int, int, int, int]] = [(0x30, 0, 0, 0)]
    for level in range(levels):
        rows += [(0x25, 0, 1, level), (0x05, 0, 0, 2 * levels - 2 * level), (0x04, 0, 0, 1)]
        if len(rows) > 3900:
            break
    size = max(at + 1 + k for at, (code, _, _, k) in enumerate(rows) if code == 5) + 1
    return Program.from_insns([*rows, *[(0x04, 0, 0, 2)] * (size - len(rows)), (0x16, 0, 0, 0)])


def tangle(size: int) -> Program:
    """Each test leads to the next two lines, so that every line is a meeting."""
    tests = [(0x45, 0, 1, 1 << at % 8) if at % 2 else (0x04, 0, 0, at) for at in range(size)]
    return Program.from_insns([(0x30, 0, 0, 0), *tests, (0x04, 0, 0, 1), (0x16, 0, 0, 0)])


def drawn(size: int, seed: int) -> Program:
    """Jumps to anywhere below."""
    chance = random.Random(seed)
    rows = []
    for at in range(size):
        left = min(255, size - at - 1)
        if chance.random() < 0.5:
            test = chance.choice([0x15, 0x25, 0x35, 0x45])
            rows.append((test, chance.randint(0, left), chance.randint(0, left), at % 256))
        else:
            rows.append(chance.choice([(0x30, 0, 0, at % 60), (0x04, 0, 0, at), (0x07, 0, 0, 0)]))
    return Program.from_insns([*rows, (0x16, 0, 0, 0)])


@pytest.mark.parametrize(
    "program",
    [deep(30), deep(200), deep(1200), tangle(60), tangle(4000), drawn(300, 1), drawn(4000, 2)],
    ids=["deep", "deeper", "deepest", "tangle", "large tangle", "drawn", "large drawn"],
)
def test_what_nests_badly_runs_all_the_same(program: Program) -> None:
    text = source(program)
    assert len(text) < 300 * len(program) + 1000  # nothing is written more often than needed
    accepts = compiled(program)
    for each in (b"", b"\0", b"\1" * 9, bytes(range(256)), b"\xff" * 60, b"\x80\x07" * 40):
        assert accepts(each, len(each), None) == run(program, each)


def test_a_hostile_origin_stays_out_of_the_source() -> None:
    origin = '"""\nraise SystemExit\n#'
    text = source(replace(Program.from_insns([(6, 0, 0, 1)]), origin=origin))
    assert "SystemExit" not in text


def test_notes_are_asked_for_when_they_are_read() -> None:
    asked = []

    def notes() -> Ancillary:
        asked.append(1)
        return Ancillary(mark=9)

    program = assemble("ldb [0]\njeq #1, yes, no\nyes: ld mark\nret a\nno: ret #0")
    accepts = compiled(program)
    assert accepts(b"\0", 1, notes) == 0
    assert asked == []
    assert accepts(b"\1", 1, notes) == 9
    assert asked == [1]


def test_an_error_in_it_shows_its_line() -> None:
    def broken() -> Ancillary:
        raise RuntimeError("no notes")

    accepts = compiled(assemble("ld mark\nret a"))
    with pytest.raises(RuntimeError) as caught:
        accepts(b"", 0, broken)
    shown = "".join(traceback.format_exception(caught.value))
    assert "A = extension(0xfffff014, 0, 0, P, notes)" in shown


@pytest.mark.parametrize("error", [IndexError, struct.error])
def test_an_error_of_the_notes_is_no_load_past_the_end(error: type[Exception]) -> None:
    def fail() -> int:
        raise error("no chance")

    batch = PacketBatch.of([Packet(b"a", ancillary=Ancillary(random=fail))])
    with pytest.raises(error, match="no chance"):
        pygen.run_many(assemble("ld rand\nldb [0]\nret a"), batch)


def test_a_load_that_is_still_wanted_is_made_before_its_X_changes() -> None:
    program = assemble("ldx #1\nldb [x + 0]\njeq #5, a, b\na: ldx #0\nret a\nb: ret #0")
    assert compiled(program)(bytes([0, 5, 7]), 3, None) == 5
    unwanted = assemble("ldx #1\nldb [x + 0]\njeq #5, a, b\na: ldx #0\nret #9\nb: ret #0")
    assert "A =" not in source(unwanted)


def test_unchecked_programs_are_refused() -> None:
    with pytest.raises(UnavailableError, match="unchecked"):
        pygen.run_many(assemble("ret #1"), PacketBatch.of([]), 1000)
