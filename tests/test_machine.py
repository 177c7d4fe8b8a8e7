"""The machine's own ways to run: to the end, step by step, along the path, with notes or none."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpfnb.backends import interp
from bpfnb.cbpf.ancillary import AD_OFF, LL_OFF, NET_OFF, Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import State, follow, out_of_steps, run, step
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Read, innermost, loop_words, trace
from bpfnb.errors import BpfError, RunError
from bpfnb.packets.packet import Packet, PacketBatch
from tests.strategies import legal_programs, near_legal_programs, packet_bytes

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
YARDSTICK = runpy.run_path(str(BENCHMARKS / "tuple_dispatch.py"))["run"]
SURE = Ancillary(net_offset=2, link_offset=1, random=lambda: 4)
BUDGET = 40


def said(run_it: Callable[[], tuple[Sequence[int], int]]) -> tuple[Sequence[int], int] | str:
    """The path and ret of a run, or the words with which it fails."""
    try:
        path, ret = run_it()
    except BpfError as error:
        return str(error)
    return list(path), ret


def stepped(program: Program, data: bytes) -> tuple[list[int], int]:
    """Path and ret, one instruction at a time."""
    state = State()
    path: list[int] = []
    while state.ret is None:
        if len(path) == BUDGET:
            raise out_of_steps(program, BUDGET)
        path.append(state.pc)
        state = step(state, program, data, ancillary=SURE)
    return path, state.ret


# One switch, entered in four ways


@given(near_legal_programs(), packet_bytes())
def test_what_you_step_through_is_what_runs(program: Program, data: bytes) -> None:
    given_all = (program, data, None, SURE, BUDGET)

    found = said(lambda: stepped(program, data))
    path = () if isinstance(found, str) else found[0]
    assert said(lambda: follow(*given_all)) == found
    whole = trace(*given_all)
    if isinstance(found, str):
        assert whole.ret is None
        assert whole.stopped.removeprefix("stopped: ") in found or len(whole.steps) == BUDGET
    else:
        assert (list(whole.path), whole.ret, whole.stopped) == (*found, "")
    assert said(lambda: (path, run(*given_all))) == found


@given(legal_programs(), packet_bytes(), st.integers(0, 0xFFFFFFFF))
def test_the_benchmarks_plain_loop_gives_the_same_rets(
    drawn: Program, data: bytes, wirelen: int
) -> None:
    program = Program(tuple(near(insn) for insn in drawn.insns))
    # X + k may still become an offset from a header: this one lies nowhere
    nowhere = Ancillary(net_offset=-(1 << 32))
    assert YARDSTICK(program.rows, data, wirelen) == run(program, data, wirelen, nowhere)


def near(insn: Insn) -> Insn:
    """The instruction, its constant in the packet's reach where it was Linux's."""
    far = BY_CODE[insn.code].size and insn.k >= LL_OFF
    return insn._replace(k=insn.k % 64) if far else insn


@pytest.mark.parametrize(
    ("line", "packet"),
    [("ldh [7]", "00"), ("div x", ""), ("ld ifidx", ""), ("ldxb 4*([1]&0xf)", "00"), ("ret a", "")],
)
def test_an_instruction_that_ends_the_program_changes_no_register(line: str, packet: str) -> None:
    before = State(0, 9, 0, tuple(range(16)))
    after = step(before, assemble(f"{line}\nret #1"), bytes.fromhex(packet))
    assert after.ret == (9 if line in ("ld ifidx", "ret a") else 0)
    assert (after.pc, after.A, after.X, after.M) == (before.pc, before.A, before.X, before.M)
    assert step(after, assemble("ld #1\nret a"), b"") is after


def test_a_step_leaves_the_state_before_it_as_it_was() -> None:
    before = State(0, 5)
    assert step(before, assemble("st M[3]\nret #1"), b"").M[3] == 5
    assert before == State(0, 5)
    assert run(assemble("ld M[3]\nret a"), b"") == 0


# Programs that were not checked

BACK = Program.from_insns([(0x05, 0, 0, 1), (0x06, 0, 0, 7), (0x05, 0, 0, 0xFFFFFFFE)])


def test_a_jump_backwards_counts_in_32_bits() -> None:
    assert follow(BACK, b"") == ([0, 2, 1], 7)
    assert run(BACK, b"", budget=3) == 7


@pytest.mark.parametrize(
    ("program", "budget", "words"),
    [
        (BACK, 2, "did not end within 2 steps"),
        (Program.from_insns([(0x05, 0, 0, 0xFFFFFFFF)]), None, "did not end within 1 steps"),
        (Program(()), None, "the program is empty"),
        (Program(()), 1, "pc is 0, the last instruction -1"),
        (Program.from_insns([(0x00, 0, 0, 1)]), 9, "pc is 1, the last instruction 0"),
        (Program.from_insns([(0x15, 0, 255, 9)]), 9, "pc is 256, the last instruction 0"),
        (Program.from_insns([(0x05, 0, 0, 0xFFFFFFF0)]), 9, "pc is 4294967281"),
        (Program.from_insns([(0x60, 0, 0, 16)]), 9, r"M\[16\] does not exist"),
        (Program.from_insns([(0x03, 0, 0, 0xFFFFFFFF)]), 9, r"M\[4294967295\] does not exist"),
        (Program.from_insns([(0x00, 0, 0, 1), (0x0E, 0, 0, 0)]), 9, r"\(001\) .* opcode 0x0e"),
    ],
)
def test_an_unchecked_program_that_goes_astray_is_stopped(
    program: Program, budget: int | None, words: str
) -> None:
    for go in (run, follow):
        with pytest.raises(RunError, match=words):
            go(program, b"", budget=budget)
    if budget is None or not program.insns:
        with pytest.raises(RunError):
            trace(program, b"", budget=budget)
    else:
        stopped = trace(program, b"", budget=budget)
        assert stopped.ret is None
        assert re.search(f"{words}|stopped after {budget} steps", stopped.stopped)


def test_of_a_run_that_does_not_end_the_first_steps_are_kept_and_its_loop_named() -> None:
    loop = assemble("ld #7\nagain: sub #1\nja again\nret #0")
    found = trace(loop, b"", budget=5000)
    assert found.stopped == "stopped after 5,000 steps: it loops, (001) → (002) → (001)"
    assert (found.ret, found.loop, len(found.steps)) == (None, (1, 2), 1000)
    assert found.path[:4] == (0, 1, 2, 1)
    assert [step.after.A for step in found.steps[:4]] == [7, 6, 6, 5]
    few = trace(loop, b"", budget=9)
    assert (few.loop, len(few.steps)) == ((1, 2), 9)


def test_a_long_loop_that_ends_within_its_budget_is_kept_whole() -> None:
    count = assemble("again: add #1\njeq #2000, done, more\nmore: ja again\ndone: ret #7")
    found = trace(count, b"", budget=100_000)
    assert (found.ret, found.stopped, len(found.steps)) == (7, "", 6000)
    exact = trace(count, b"", budget=6000)
    assert (exact.ret, exact.stopped) == (7, "")
    assert trace(count, b"", budget=5999).ret is None


def test_a_loop_is_the_innermost_and_begins_with_its_lowest_pc() -> None:
    assert innermost([0, 1, 2, 1, 2, 0, 1, 2, 1, 2, 0]) == (1, 2)
    assert innermost([3, 2, 3]) == (2, 3)
    assert innermost([0, 1]) == ()
    assert loop_words(tuple(range(20))).endswith("(006) → … → (019) → (000)")


@given(near_legal_programs(), packet_bytes())
def test_no_unchecked_program_makes_a_trace_with_a_budget_raise(
    program: Program, data: bytes
) -> None:
    found = trace(program, data, budget=BUDGET)
    assert (found.ret is None) == bool(found.stopped)
    assert len(found.steps) <= BUDGET


@pytest.mark.parametrize("code", [0x34, 0x94])
def test_a_division_by_the_constant_0_ends_with_0_where_nobody_checked(code: int) -> None:
    assert run(Program.from_insns([(code, 0, 0, 0), (0x06, 0, 0, 5)]), b"") == 0


# Notes


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("ldh [12]", False),
        ("ldh [19]", False),
        ("ldh [x + 2]", False),
        ("ld [0x7ffffffe]", False),
        ("ld proto", True),
        (f"ldb [{NET_OFF:#x}]", True),
        (f"ldh [x + {LL_OFF:#x}]", True),
        (f"ldxb 4*([{NET_OFF + 1:#x}]&0xf)", True),
    ],
)
def test_notes_are_made_when_an_instruction_reads_them_and_not_before(
    line: str, reads: bool
) -> None:
    made: list[Ancillary] = []

    def notes() -> Ancillary:
        made.append(Ancillary(proto=0x806, net_offset=14, link_offset=0))
        return made[-1]

    program = assemble(f"{line}\nret a")
    ret = run(program, bytes(range(20)), ancillary=notes)
    assert bool(made) is reads
    assert ret == run(program, bytes(range(20)), ancillary=notes())


def test_a_trace_names_the_bytes_where_they_are() -> None:
    def spans(line: str) -> tuple[tuple[Read, ...], Read | None]:
        first = trace(assemble(f"{line}\nret a"), bytes(20), ancillary=SURE).steps[0]
        return first.reads, first.missed

    assert spans(f"ldh [{NET_OFF + 3:#x}]") == ((Read(5, 2),), None)
    assert spans(f"ldb [x + {LL_OFF:#x}]") == ((Read(1, 1),), None)
    assert spans("ld [17]") == ((), Read(17, 4))
    assert spans(f"ld [{AD_OFF:#x}]") == ((), None)
    assert spans("ld #3") == ((), None)


# Many packets

MIXED = [
    Packet(bytes.fromhex("ffffffffffff 001122334455 0806"), linktype=1),
    Packet(bytes.fromhex("45" + "00" * 19), wirelen=1000, linktype=101),
    Packet(b"", linktype=228),
    Packet(b"abc", ancillary=Ancillary(proto=0x1234), linktype=1),
    Packet(bytes.fromhex("60" + "00" * 50), linktype=101),
]


@pytest.mark.parametrize("text", ["ld proto\nret a", "ld #len\nret a", "ldb [0]\nret a", "ret #9"])
def test_interp_gives_each_packet_of_a_batch_its_own_notes(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interp, "PIECE", 2)
    program = assemble(text)
    alone = [run(program, each.data, each.wirelen, each.ancillary) for each in MIXED]
    assert interp.run_many(program, PacketBatch.of(MIXED)).tolist() == alone
    plain = [Packet(each.data) for each in MIXED]
    unknown = [run(program, each.data, each.wirelen) for each in plain]
    assert interp.run_many(program, PacketBatch.of(plain)).tolist() == unknown


def test_the_rows_are_the_instructions_as_bare_tuples_made_once() -> None:
    program = assemble("ldh [12]\njeq #0x806, +0, +1\nret #9\nret #0")
    assert program.rows == program.insns
    assert {type(row) for row in program.rows} == {tuple}
    assert program.rows is program.rows
