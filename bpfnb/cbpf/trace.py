"""A run, kept: one Step for each instruction executed.

A trace is a tuple of values, so "back" is an index.  Left out: showing one
(`views.trace`) and saying why it ended as it did.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.linux_loads import Notes, place
from bpfnb.cbpf.machine import MASK, State, out_of_steps, step
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program

__all__ = ["Read", "Step", "Trace", "trace"]


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
    """All steps of one program on one packet, and the verdict `ret`."""

    program: Program
    data: bytes = field(repr=False)
    wirelen: int
    steps: tuple[Step, ...] = field(repr=False)
    ret: int

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

    >>> trace(Program.from_insns([(6, 0, 0, 5)]), b"").ret
    5
    """
    insns = program.insns
    length = len(data) if wirelen is None else wirelen
    limit = len(insns) if budget is None else budget
    steps: list[Step] = []
    state = State()
    while state.ret is None:
        if len(steps) >= limit:
            raise out_of_steps(program, limit)
        after = step(state, program, data, length, ancillary)
        insn = insns[state.pc]
        reads, missed = packet_reads(insn, state.X, data, ancillary)
        steps.append(Step(len(steps), state, insn, after, reads, missed))
        state = after
    return Trace(program, data, length, tuple(steps), state.ret)


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
