"""What a program does on every packet at once: one exact formula, for z3.

    packet = AnyPacket(max_len)
    meaning = mean(program, packet)
    meaning.accepts, meaning.ret, meaning.ends, meaning.ways

Classic BPF has no loops, so one pass in program order is exact: where ways join, A, X
and M[] become a choice between what each way brings, and no list of paths is made.

Exact but for `poff`, `nla` and `nlan`: the formula lets them answer anything, as long as
they answer the same for both programs.  So a proof with them holds, and a packet found
with them has to be run (`solve` does).  Left out: programs with a way back.

Source: `cbpf.machine` for Linux's meaning, which is checked against the kernel;
libpcap's bpf_filter.c for that of "libpcap".

Legend: A, X, M as always; P the packet's bytes; `when` the packets on which something
happens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bpfnb.analysis.proving import terms
from bpfnb.analysis.proving.any_packet import DEVICE, FAR, NOTES, AnyPacket
from bpfnb.analysis.proving.terms import (
    Condition,
    Word,
    all_of,
    any_of,
    choose,
    most,
    negated,
    term,
    z3,
)
from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF
from bpfnb.cbpf.checker import require
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import MASK
from bpfnb.cbpf.opcodes import BY_CODE, MEMWORDS, Class, Form, Opcode
from bpfnb.cbpf.program import Program
from bpfnb.errors import UndecidedError

__all__ = ["End", "Meaning", "mean"]

End_kind = Literal["ret", "load", "division", "device"]


@dataclass(frozen=True)
class State:
    """A, X, M[], and how many random numbers have been drawn."""

    A: Word = 0
    X: Word = 0
    M: tuple[Word, ...] = (0,) * MEMWORDS
    drawn: Word = 0


@dataclass(frozen=True)
class End:
    """Where a program ends `when`: a ret, or an instruction that ends it.

    `kind` "load" is one past the end, "division" one by X = 0, "device" an extension
    without its device, which returns A.
    """

    pc: int
    kind: End_kind
    when: Condition
    ret: Word


@dataclass
class Meaning:
    """A program's meaning on an AnyPacket.

    `reached[pc]` says on which packets pc runs, `states[pc]` what A, X and M[] hold before
    it (None where nothing leads there), `ways[pc]` for a test on which packets it is true,
    of those that reach it, `passes[pc]` the same for what may end the program: on which
    it goes on.  `left[pc]` is the state behind what is no jump and no ret.
    """

    program: Program
    ends: list[End] = field(default_factory=list)
    reached: list[Condition] = field(default_factory=list)
    states: list[State | None] = field(default_factory=list)
    ways: dict[int, Condition] = field(default_factory=dict)
    passes: dict[int, Condition] = field(default_factory=dict)
    left: dict[int, State] = field(default_factory=dict)

    @property
    def ret(self) -> Word:
        """The verdict."""
        word: Word = 0
        for end in self.ends:
            word = choose(end.when, end.ret, word)
        return word

    @property
    def accepts(self) -> Condition:
        """Whether the verdict is not 0."""
        return any_of(*(all_of(each.when, terms.nonzero(each.ret)) for each in self.ends))

    @property
    def fails(self) -> Condition:
        """Whether it ends in a load past the end."""
        return any_of(*(each.when for each in self.ends if each.kind == "load"))


def mean(
    program: Program, packet: AnyPacket, rules: str = "linux", deadline: float | None = None
) -> Meaning:
    """The meaning of a legal program; CheckError for another one.

    `rules` says whose machine runs it, "linux" or "libpcap".  `deadline` is a time of
    `time.monotonic`; UndecidedError behind it.
    """
    require(program, rules)
    return Reading(program, packet, rules, deadline).read()


class Reading:
    """One pass over a program, in its order."""

    def __init__(
        self, program: Program, packet: AnyPacket, rules: str, deadline: float | None
    ) -> None:
        self.program, self.packet, self.deadline = program, packet, deadline
        self.linux = rules == "linux"
        self.arriving: list[list[tuple[Condition, State]]] = [[] for _ in program.insns]
        self.meaning = Meaning(program)

    def read(self) -> Meaning:
        """All instructions, each after all that lead to it."""
        start = State()
        if not self.linux:
            # What lies in M[] is left over from others, there.
            start = State(M=tuple(self.packet.note(f"unwritten M[{k}]") for k in range(MEMWORDS)))
        self.arriving[0].append((True, start))
        for pc, insn in enumerate(self.program.insns):
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise UndecidedError(f"not decided in time: the formula was made up to ({pc:03d})")
            ways = self.arriving[pc]
            when = any_of(*(each for each, _ in ways))
            self.meaning.reached.append(when)
            self.meaning.states.append(joined(ways) if when is not False else None)
            if (state := self.meaning.states[pc]) is not None:
                self.execute(pc, insn, when, state)
            ways.clear()
        return self.meaning

    def go(self, target: int, when: Condition, state: State) -> None:
        """Control arrives at `target` with this state."""
        if when is not False:
            self.arriving[target].append((when, state))

    def end(self, pc: int, kind: End_kind, when: Condition, ret: Word = 0) -> None:
        """The program ends at `pc`."""
        if when is not False:
            self.meaning.ends.append(End(pc, kind, when, ret))

    def execute(self, pc: int, insn: Insn, when: Condition, state: State) -> None:
        """One instruction, on the packets that reach it."""
        row = BY_CODE[insn.code]
        if row.cls is Class.RET:
            # return k, or A
            self.end(pc, "ret", when, insn.k if row.form is Form.IMM else state.A)
        elif row.cls is Class.JMP:
            self.jump(pc, insn, row, when, state)
        else:
            when, state = self.after(pc, insn, row, when, state)
            self.meaning.left[pc] = state
            self.go(pc + 1, when, state)

    def jump(self, pc: int, insn: Insn, row: Opcode, when: Condition, state: State) -> None:
        """pc += (A op k or X) ? jt : jf."""
        if row.form is Form.TARGET or insn.jt == insn.jf:
            skip = insn.k if row.form is Form.TARGET else insn.jt
            target = pc + 1 + skip & MASK
            if target <= pc:
                raise UndecidedError(
                    f"({pc:03d}) jumps back to ({target:03d}); what loops is not decided here",
                    'Linux takes no such program: give rules="linux" to see its word',
                )
            self.go(target, when, state)
            return
        value = insn.k if row.form is Form.IMM_TARGETS else state.X
        holds = terms.compared(row.mnemonic, state.A, value)
        self.meaning.ways[pc] = holds
        self.go(pc + 1 + insn.jt, all_of(when, holds), state)
        self.go(pc + 1 + insn.jf, all_of(when, negated(holds)), state)

    def after(
        self, pc: int, insn: Insn, row: Opcode, when: Condition, state: State
    ) -> tuple[Condition, State]:
        """The packets that go on, and the state behind what is no jump and no ret."""
        A, X, k = state.A, state.X, insn.k
        if row.size:
            return self.load(pc, insn, row, when, state)
        if row.cls is Class.ALU and row.form is not Form.NONE:
            return self.calculate(pc, insn, row, when, state)
        if row.cls in (Class.ST, Class.STX):
            M = list(state.M)
            M[k] = A if row.cls is Class.ST else X
            return when, State(A, X, tuple(M), state.drawn)
        value: Word = k
        if row.form is Form.LEN:
            value = self.packet.wirelen
        elif row.form is Form.MEM:
            value = state.M[k]
        elif row.form is Form.NONE:
            value = {"tax": A, "txa": X, "neg": terms.negative(A)}[row.mnemonic]
        into_X = row.cls is Class.LDX or row.mnemonic == "tax"
        return when, State(A if into_X else value, value if into_X else X, state.M, state.drawn)

    def calculate(
        self, pc: int, insn: Insn, row: Opcode, when: Condition, state: State
    ) -> tuple[Condition, State]:
        """A <- A op k, or X."""
        value: Word = insn.k if row.form is Form.IMM else state.X
        name = row.mnemonic
        if name in ("div", "mod"):
            self.end(pc, "division", all_of(when, value == 0))
            self.meaning.passes[pc] = value != 0
            when = all_of(when, value != 0)
            if when is False:
                return when, state
        A = terms.combined(name, state.A, value)
        if name in ("lsh", "rsh") and not self.linux:
            A = choose(terms.compared("jgt", value, 31), 0, A)
        return when, State(A, state.X, state.M, state.drawn)

    def load(
        self, pc: int, insn: Insn, row: Opcode, when: Condition, state: State
    ) -> tuple[Condition, State]:
        """A or X <- P[at:size], or what an extension reads."""
        if self.linux and row.form is Form.ABS and insn.k in BY_K:
            return self.extension(pc, BY_K[insn.k].name, when, state)
        at: Word = insn.k
        wraps: Condition = False
        if row.form is Form.IND:
            at = terms.combined("add", state.X, insn.k)
            wraps = terms.compared("jgt", insn.k, at)
        inside, word = self.packet.load(at, row.size)
        if self.linux:
            inside, word = self.beside_headers(at, row.size, inside, word)
        else:
            inside = all_of(inside, negated(wraps))
        self.end(pc, "load", all_of(when, negated(inside)))
        self.meaning.passes[pc] = inside
        when = all_of(when, inside)
        if row.form is Form.MSH:
            # X <- 4*(P[k:1]&0xf)
            X = terms.combined("lsh", terms.combined("and", word, 0xF), 2)
            return when, State(state.A, X, state.M, state.drawn)
        return when, State(word, state.X, state.M, state.drawn)

    def beside_headers(
        self, at: Word, size: int, inside: Condition, word: Word
    ) -> tuple[Condition, Word]:
        """The same where `at` may be counted from the network or the link header."""
        if most(at) < LL_OFF:
            return inside, word
        net = self.packet.note("net_offset", FAR)
        link = self.packet.note("link_offset", FAR)
        from_net = terms.compared("jge", at, NET_OFF)
        from_link = all_of(terms.compared("jge", at, LL_OFF), negated(from_net))
        if isinstance(at, int):
            place: Word = net + (at - NET_OFF) if from_net else link + (at - LL_OFF)
        else:
            place = choose(
                from_net, net + (at - NET_OFF), choose(from_link, link + (at - LL_OFF), at)
            )
        within, number = self.packet.load(place, size)
        missing = all_of(from_link, self.packet.lacks("link_offset"))
        return all_of(within, negated(missing)), number

    def extension(
        self, pc: int, name: str, when: Condition, state: State
    ) -> tuple[Condition, State]:
        """A <- what the extension reads."""
        A, X, drawn = state.A, state.X, state.drawn
        if name == "alu_xor_x":
            value = terms.combined("xor", A, X)
        elif name == "rand":
            self.packet.draws = True
            value = z3.Select(self.packet.random, term(drawn))
            drawn = terms.combined("add", drawn, 1)
        elif name in ("nla", "nlan"):
            self.packet.guessed.add(name)
            value = z3.Function(name, *[z3.BitVecSort(32)] * 3)(term(A), term(X))
        else:
            if name not in NOTES:
                self.packet.guessed.add(name)
            value = self.packet.note(name, NOTES.get(name, ("", MASK))[1])
        if name in DEVICE:
            missing = self.packet.lacks(name)
            self.end(pc, "device", all_of(when, missing), A)
            self.meaning.passes[pc] = negated(missing)
            when = all_of(when, negated(missing))
        return when, State(value, X, state.M, drawn)


def joined(ways: Sequence[tuple[Condition, State]]) -> State:
    """What holds behind several ways: for each register the choice between them."""
    (_, state), *others = reversed(ways)
    for when, other in others:
        M = state.M
        if other.M is not M:
            M = tuple(choose(when, a, b) for a, b in zip(other.M, M, strict=True))
        state = State(
            choose(when, other.A, state.A),
            choose(when, other.X, state.X),
            M,
            choose(when, other.drawn, state.drawn),
        )
    return state
