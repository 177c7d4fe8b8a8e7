"""What a program does on every packet at once: one exact formula, for z3.

    packet = AnyPacket(max_len)
    meaning = mean(program, packet)
    meaning.accepts, meaning.ret, meaning.ends, meaning.ways

Classic BPF has no loops, so one pass in program order is exact: where ways join, A, X
and M[] become a choice between what each way brings, and no list of paths is made.
The packet is an array of unknown bytes with an unknown length; what the kernel's
extensions would say of it is unknown too, each note a word of its own.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bpfnb.analysis import terms
from bpfnb.analysis.terms import Condition, Word, all_of, any_of, choose, negated, term, z3
from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF
from bpfnb.cbpf.checker import require
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import MASK
from bpfnb.cbpf.opcodes import BY_CODE, MEMWORDS, Class, Form, Opcode
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, UndecidedError

__all__ = ["NOTES", "AnyPacket", "End", "Meaning", "mean"]

End_kind = Literal["ret", "load", "division", "device"]
FAR = 0xFFFF  # where a header may begin, and how many bits an offset in it has

# What each extension reads: the field of Ancillary, and the largest value it holds.
NOTES: dict[str, tuple[str, int]] = {
    "proto": ("proto", 0xFFFF),
    "type": ("pkttype", 7),
    "ifidx": ("ifindex", 0x7FFFFFFF),
    "mark": ("mark", MASK),
    "queue": ("queue", 0xFFFF),
    "hatype": ("hatype", 0xFFFF),
    "rxhash": ("rxhash", MASK),
    "cpu": ("cpu", 0xFFFF),
    "vlan_tci": ("vlan_tci", 0xFFFF),
    "vlan_avail": ("vlan_present", 1),
    "vlan_tpid": ("vlan_tpid", 0xFFFF),
}
DEVICE = {"ifidx", "hatype"}  # there may be none; then the program ends


class AnyPacket:
    """A packet of which nothing is known but its greatest length.

    `given` are the conditions that every packet meets.  `notes` holds each note that a
    program has asked for, by its extension's name; `draws` says that one asked for random
    numbers, `guessed` which extensions the formula lets answer anything.
    """

    def __init__(self, max_len: int) -> None:
        if not 0 <= max_len < LL_OFF:
            raise BpfError(f"max_len is {max_len}; it is a number of bytes, 0–{LL_OFF - 1}")
        self.max_len = max_len
        self.bytes = z3.Array("P", z3.BitVecSort(32), z3.BitVecSort(8))
        self.caplen = z3.BitVec("caplen", 32)
        self.wirelen = z3.BitVec("wirelen", 32)
        self.given: list[Any] = [
            z3.ULE(self.caplen, max_len), z3.UGE(self.wirelen, self.caplen)
        ]  # fmt: skip
        self.notes: dict[str, Any] = {}
        self.guessed: set[str] = set()
        self.draws = False
        self.random = z3.Array("random", z3.BitVecSort(32), z3.BitVecSort(32))
        self._loads: dict[tuple[bool, int, int], tuple[Condition, Word]] = {}
        self._read: list[tuple[Word, int]] = []
        self._spans: list[tuple[int, int]] = []

    def note(self, name: str, most: int = MASK) -> Any:
        """A note that the kernel has on this packet."""
        if name not in self.notes:
            self.notes[name] = z3.BitVec(name, 32)
            if most < MASK:
                self.given.append(z3.ULE(self.notes[name], most))
        return self.notes[name]

    def lacks(self, name: str) -> Any:
        """Whether a note is not there: no device, no link header."""
        return self.notes.setdefault(f"no {name}", z3.Bool(f"no {name}"))

    def load(self, at: Word, size: int) -> tuple[Condition, Word]:
        """Whether the packet has `size` bytes at `at`, and P[at:size] if it has."""
        key = (isinstance(at, int), at if isinstance(at, int) else at.get_id(), size)
        if key not in self._loads:
            inside = z3.And(z3.UGE(self.caplen, size), z3.ULE(term(at), self.caplen - size))
            if isinstance(at, int):
                inside = at + size <= self.max_len and z3.UGE(self.caplen, at + size)
            # The terms are kept, so that z3 gives no other one their number.
            self._loads[key] = (inside, self.number(term(at), size))
            self._read.append((at, size))
        return self._loads[key]

    def places(self) -> list[tuple[int, int]]:
        """Where programs may read: the first offset and the one behind the last, of each load."""
        for at, size in self._read[len(self._spans) :]:
            self._spans.append((least(at), min(most(at) + size, self.max_len)))
        return self._spans

    def number(self, at: Any, size: int) -> Any:
        """P[at:size] in network order, wherever it lies."""
        octets = [z3.Select(self.bytes, z3.simplify(at + n) if n else at) for n in range(size)]
        joined = octets[0] if size == 1 else z3.Concat(*octets)
        return joined if size == 4 else z3.ZeroExt(32 - 8 * size, joined)


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


def most(word: Any, depth: int = 12) -> int:
    """A number that a word is never above, told from how it is written.

    Enough for an X that is four times a half byte, or a byte or two, and k added.
    """
    if isinstance(word, int):
        return word
    kind, parts = word.decl().kind(), word.children()
    if kind == z3.Z3_OP_BNUM:
        return int(word.as_long())
    if kind == z3.Z3_OP_ZERO_EXT:
        return int((1 << parts[0].size()) - 1)
    if not depth or kind not in BOUNDS:
        return MASK
    if kind == z3.Z3_OP_ITE:
        parts = parts[1:]
    return min(BOUNDS[kind]([most(each, depth - 1) for each in parts]), MASK)


def least(word: Any, depth: int = 12) -> int:
    """A number that a word is never below: k, where something is added to it."""
    if isinstance(word, int):
        return word
    kind, parts = word.decl().kind(), word.children()
    if kind == z3.Z3_OP_BNUM:
        return int(word.as_long())
    if depth and kind == z3.Z3_OP_BADD and sum(map(most, parts)) <= MASK:
        return sum(least(each, depth - 1) for each in parts)
    if depth and kind == z3.Z3_OP_ITE:
        return min(least(each, depth - 1) for each in parts[1:])
    return 0


BOUNDS: dict[int, Callable[[list[int]], int]] = {
    z3.Z3_OP_BADD: sum,
    z3.Z3_OP_BAND: min,
    z3.Z3_OP_BSHL: lambda sides: sides[0] << min(sides[1], 32),
    z3.Z3_OP_ITE: max,
}


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
