"""A run, kept: one Step for each instruction executed.

A trace is a tuple of values, so "back" is an index.  A run that has a step budget, as
one of an unchecked program has, may be `stopped`: by its budget, or where the machine
cannot go on.  Its first steps are kept all the same, to see why.  Left out: showing one
(`views.trace`) and saying why it ended as it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.linux_loads import Notes, place
from bpfnb.cbpf.machine import MASK, State, out_of_steps, step, watch
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import RunError

__all__ = ["Read", "Step", "Trace", "trace"]

KEPT = 1000  # steps of a run that does not end in time
MOST_SAID = 8  # pcs of a loop that are told


@dataclass(frozen=True)
class Read:
    """Bytes of the packet: `size` of them at `offset`."""

    offset: int
    size: int


@dataclass(frozen=True)
class Step:
    """One instruction executed: the state before it and after it.

    `reads` are the packet bytes it loaded; `missed` the load past the end that
    ended the program, None otherwise.  `number` counts from 0.
    """

    number: int
    before: State
    insn: Insn
    after: State
    reads: tuple[Read, ...] = ()
    missed: Read | None = None

    @property
    def pc(self) -> int:
        """Index of the instruction executed."""
        return self.before.pc


@dataclass(frozen=True)
class Trace:
    """All steps of one program on one packet, and the verdict `ret`.

    A run that was `stopped`, which says why, has no verdict: `ret` is None.  Where it
    did not end within its budget `loop` has the pcs that it went round and round, and
    `steps` are the first ones.
    """

    program: Program
    data: bytes = field(repr=False)
    wirelen: int
    steps: tuple[Step, ...] = field(repr=False)
    ret: int | None
    stopped: str = ""
    loop: tuple[int, ...] = ()

    @property
    def path(self) -> tuple[int, ...]:
        """The pcs executed, in order."""
        return tuple(each.pc for each in self.steps)


def trace(
    program: Program,
    data: bytes,
    wirelen: int | None = None,
    ancillary: Notes = None,
    budget: int | None = None,
) -> Trace:
    """Run like `machine.run`, keeping each step.

    With a `budget` a run that does not end is stopped, and so is one that cannot go on;
    without one they raise RunError.

    >>> trace(Program.from_insns([(6, 0, 0, 5)]), b"").ret
    5
    >>> trace(Program.from_insns([(5, 0, 0, 0xffffffff)]), b"", budget=9).stopped
    'stopped after 9 steps: it loops, (000) → (000)'
    """
    length = len(data) if wirelen is None else wirelen
    path = endless(program, data, length, ancillary, budget)
    limit = min(KEPT, budget or 0) if path else len(program) if budget is None else budget
    steps: list[Step] = []
    try:
        steps.extend(walk(program, data, length, ancillary, limit))
    except RunError as error:
        if budget is None or not len(program):
            raise
        return Trace(program, data, length, tuple(steps), None, f"stopped: {error.message}")
    ret = steps[-1].after.ret if steps else None
    if ret is not None:
        return Trace(program, data, length, tuple(steps), ret)
    if budget is None or not steps:
        raise out_of_steps(program, limit)
    loop = innermost(path or [each.pc for each in steps])
    said = f"stopped after {budget:,} steps: it loops, {loop_words(loop)}"
    return Trace(program, data, length, tuple(steps), None, said, loop)


def walk(
    program: Program, data: bytes, wirelen: int, ancillary: Notes, limit: int
) -> Iterator[Step]:
    """The steps of a run, `limit` of them at most."""
    state = State()
    for number in range(limit):
        if state.ret is not None:
            return
        after = step(state, program, data, wirelen, ancillary)
        insn = program.insns[state.pc]
        reads, missed = packet_reads(insn, state.X, data, ancillary)
        yield Step(number, state, insn, after, reads, missed)
        state = after


def endless(
    program: Program, data: bytes, wirelen: int, ancillary: Notes, budget: int | None
) -> list[int]:
    """The pcs of a run that does not end within its budget; none of any other.

    It is run quickly first, since so many steps would take a second to keep.
    """
    if budget is None:
        return []
    try:
        path, ret = watch(program, data, wirelen, ancillary, range(budget))
    except RunError:
        return []
    return path if ret is None else []


def innermost(path: list[int]) -> tuple[int, ...]:
    """The pcs of the last round of the loop that a path ends in, the lowest first.

    >>> innermost([0, 1, 2, 3, 4, 2, 3, 4, 2, 3])
    (2, 3, 4)
    """
    seen: dict[int, int] = {}
    for at in range(len(path) - 1, -1, -1):
        if path[at] in seen:
            loop = path[at : seen[path[at]]]
            first = loop.index(min(loop))
            return (*loop[first:], *loop[:first])
        seen[path[at]] = at
    return ()


def loop_words(loop: tuple[int, ...]) -> str:
    """A loop's pcs, back to the first.

    >>> loop_words((2, 3))
    '(002) → (003) → (002)'
    """
    shown = [f"({pc:03d})" for pc in loop]
    if len(shown) > MOST_SAID:
        shown = [*shown[: MOST_SAID - 1], "…", shown[-1]]
    return " → ".join([*shown, *shown[:1]])


def packet_reads(
    insn: Insn, X: int, data: bytes, notes: Notes
) -> tuple[tuple[Read, ...], Read | None]:
    """The packet bytes that an instruction reads, and the load that lies past the end.

    >>> packet_reads(Insn(0x48, 0, 0, 14), 20, bytes(60), None)
    ((Read(offset=34, size=2),), None)
    """
    row = BY_CODE[insn.code]
    if not row.size or (row.form is Form.ABS and insn.k in BY_K):
        return (), None
    k = X + insn.k & MASK if row.form is Form.IND else insn.k
    start = place(k, row.size, data, notes)
    return ((), Read(k, row.size)) if start is None else ((Read(start, row.size),), None)
