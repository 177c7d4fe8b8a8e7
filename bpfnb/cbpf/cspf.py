"""The stack machine that came before: the CMU/Stanford packet filter.

A program is a row of 16-bit words.  Each word pushes something, then may do something with
the two topmost values: `cspf_opcodes` is the one table of both.  Nothing
jumps: a program runs from its first word to its last, unless a short-circuit operator
ends it.

    program = CspfProgram.from_words([16 + 6, 1 | 1 << 10, 0x0800])
    program.run(packet)            True: accepted
    trace(program, packet)         one Step a word, with the stack before and after

The packet is seen as 16-bit words in network order, by their number; the last byte of a
packet of odd length cannot be seen.  A packet is accepted if the value on top is not zero
at the end.  TRUE lies at the bottom of the stack from the start, so an empty program
accepts.  A push of a word that is not there, an operator without two operands, and a full
stack reject.

The paper's authors gave their CSPF an indirection operator and do not say how it was
encoded; here it is Mach's PUSHIND, with the arithmetic that Mach has beside it.  All
values have 16 bits, as CMU's stack had them.

Left out: priorities and the queue of filters, which are the device's, and its limit of
DEEPEST words for a program, which `too_long` only tells; text (`cspf_text`).

Source: J. Mogul, R. Rashid, M. Accetta, *The Packet Filter: An Efficient Mechanism for
User-level Network Code*, SOSP 1987; CMU's enet.c (enDoFilter), DEC's pfilt.c; Mach's
device/net_io.c (net_do_filter).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bpfnb.cbpf.cspf_opcodes import (
    ACTION,
    ACTION_BITS,
    DEEPEST,
    LONGEST,
    MASK,
    NOPUSH,
    OPERATOR,
    PUSHIND,
    PUSHLIT,
    PUSHWORD,
    Action,
    Operator,
)
from bpfnb.errors import BpfError, brief

__all__ = ["CspfProgram", "CspfStep", "CspfTrace", "CspfWord", "decode", "trace"]


@dataclass(frozen=True)
class CspfWord:
    """One instruction: what it pushes and what it does then.

    `word` is the packet's word for PUSHWORD, `literal` the program's next word for PUSHLIT.
    """

    action: Action
    operator: Operator
    word: int = 0
    literal: int = 0

    @property
    def words(self) -> tuple[int, ...]:
        """The one or two 16-bit words that encode it."""
        first = self.operator.code << ACTION_BITS | self.action.code + self.word
        return (first, self.literal) if self.action.code == PUSHLIT else (first,)

    def __str__(self) -> str:
        shown = self.action.name
        if self.action.code == PUSHWORD:
            shown = f"PUSHWORD+{self.word}"
        if self.operator.code:
            shown = self.operator.name if not self.action.code else f"{shown}|{self.operator.name}"
        elif not self.action.code:
            shown = "NOP"
        return f"{shown} {self.literal:#06x}" if self.action.code == PUSHLIT else shown


@dataclass(frozen=True)
class CspfProgram:
    """A program for the stack machine.

    >>> program = CspfProgram.from_words([22, 1025, 0x0800])
    >>> [str(each) for each in program.insns], program.run(bytes(12) + bytes([8, 0]))
    (['PUSHWORD+6', 'PUSHLIT|EQ 0x0800'], True)
    """

    insns: tuple[CspfWord, ...]

    @classmethod
    def from_words(cls, words: Iterable[int]) -> CspfProgram:
        """Decode 16-bit words; a BpfError names the one that is none."""
        given = list(words)
        insns, at = [], 0
        while at < len(given):
            insn = decode(given, at)
            insns.append(insn)
            at += len(insn.words)
        return cls(tuple(insns))

    @property
    def words(self) -> tuple[int, ...]:
        """The program as it is encoded."""
        return tuple(word for insn in self.insns for word in insn.words)

    @property
    def too_long(self) -> bool:
        """Whether it has more words than CMU's device took."""
        return len(self.words) > DEEPEST

    @property
    def depths(self) -> tuple[int | None, ...]:
        """Values on the stack behind each instruction, TRUE not counted.

        Nothing jumps, so they are the same for every packet that comes so far; None from
        where on none does, because an operator found too little or a push too much.
        """
        depth: int | None = 0
        found = []
        for insn in self.insns:
            depth = None if depth is None else deeper(insn, depth)
            found.append(depth)
        return tuple(found)

    def __len__(self) -> int:
        return len(self.insns)

    def __str__(self) -> str:
        return "\n".join(map(str, self.insns))

    def run(self, packet: bytes) -> bool:
        """Whether the program accepts a packet."""
        return trace(self, packet).accepted


def deeper(insn: CspfWord, depth: int) -> int | None:
    """The values on the stack behind an instruction, by those before it."""
    if insn.action.code == PUSHIND and not depth:
        return None
    depth += insn.action.code not in (NOPUSH, PUSHIND)
    if depth > DEEPEST - 2:
        return None
    if not insn.operator.code:
        return depth
    if depth < 2:
        return None
    return depth - 1 if insn.operator.apply is not None else depth - 2


def fetched(words: Sequence[int], at: int) -> int:
    """A word of a row, if it is one."""
    word = words[at]
    if not 0 <= word <= MASK:
        raise BpfError(f"word {at} is {brief(str(word))}; a word has 16 bits, 0–{MASK}")
    return word


def decode(words: Sequence[int], at: int) -> CspfWord:
    """The instruction at a place of a row of words."""
    word = fetched(words, at)
    code, op = word & LONGEST - 1, word >> ACTION_BITS
    action = ACTION[PUSHWORD] if code >= PUSHWORD else ACTION.get(code)
    if action is None or op not in OPERATOR:
        what = f"action {code}" if action is None else f"operator {op}"
        raise BpfError(f"word {at} is {word:#06x}: there is no {what}")
    if action.code != PUSHLIT:
        return CspfWord(action, OPERATOR[op], code - action.code)
    if at + 1 == len(words):
        raise BpfError(f"word {at} is PUSHLIT, and there is no word behind it to push")
    return CspfWord(action, OPERATOR[op], literal=fetched(words, at + 1))


@dataclass(frozen=True)
class CspfStep:
    """One instruction executed: the stack before and after, its top last.

    `read` is the packet's word it pushed, by its number, and `operands` the two values that
    its operator took.  `why` says why it ended the program, where it did, and `failed`
    that it could not be done.
    """

    pc: int
    insn: CspfWord
    before: tuple[int, ...]
    after: tuple[int, ...]
    read: int | None = None
    why: str = ""
    failed: bool = False
    operands: tuple[int, int] | None = None


@dataclass(frozen=True)
class CspfTrace:
    """A run, and whether the packet was accepted."""

    program: CspfProgram
    data: bytes = field(repr=False)
    steps: tuple[CspfStep, ...] = field(repr=False)
    accepted: bool

    @property
    def reads(self) -> int:
        """How often the packet was read."""
        return sum(step.read is not None for step in self.steps)

    @property
    def comparisons(self) -> int:
        """How many predicates were evaluated."""
        return sum(step.insn.operator.compares and not step.failed for step in self.steps)

    @property
    def why(self) -> str:
        """The verdict's reason, in short."""
        last = self.steps[-1] if self.steps else None
        if last is not None and last.why:
            return f"({last.pc:02d}) {last.insn}: {last.why}"
        if last is None or len(last.after) == 1:
            return "the stack is empty at the end"
        return f"{last.after[-1]} is on top at the end"


def trace(program: CspfProgram, packet: bytes) -> CspfTrace:
    """Run a program on a packet, keeping each step.

    >>> trace(CspfProgram(()), b"").accepted
    True
    """
    stack: tuple[int, ...] = (1,)
    steps: list[CspfStep] = []
    for pc, insn in enumerate(program.insns):
        step, verdict = execute(pc, insn, stack, packet)
        steps.append(step)
        if verdict is not None:
            return CspfTrace(program, packet, tuple(steps), verdict)
        stack = step.after
    return CspfTrace(program, packet, tuple(steps), stack[-1] != 0)


def execute(
    pc: int, insn: CspfWord, before: tuple[int, ...], packet: bytes
) -> tuple[CspfStep, bool | None]:
    """One instruction, and the verdict if it ends the program."""
    stack, read, missed = pushed(insn, before, packet)
    op = insn.operator

    if len(stack) > DEEPEST - 1 and not missed:
        missed = f"the stack is full: it has room for {DEEPEST - 2} values"
    if op.code and len(stack) < 3 and not missed:
        missed = f"{op.name} wants two values, and {('none', 'one')[len(stack) - 1]} was pushed"
    if missed:
        return CspfStep(pc, insn, before, stack, read, missed, True), False
    if not op.code:
        return CspfStep(pc, insn, before, stack, read), None
    *rest, below, top = stack
    after, why, verdict = tuple(rest), "", None
    if op.apply is not None:
        after = (*rest, int(op.apply(below, top)) & MASK)
    elif (below == top) is op.equal:
        verdict, after = op.ends, stack
        why = f"{below:#06x} {'==' if op.equal else '!='} {top:#06x}"
    return CspfStep(pc, insn, before, after, read, why, operands=(below, top)), verdict


def pushed(
    insn: CspfWord, stack: tuple[int, ...], packet: bytes
) -> tuple[tuple[int, ...], int | None, str]:
    """The stack after a push, the packet's word that was read, and why it could not be."""
    action, number = insn.action, insn.word
    if action.code == NOPUSH:
        return stack, None, ""
    if action.code == PUSHLIT:
        return (*stack, insn.literal), None, ""
    if action.pushes is not None:
        return (*stack, action.pushes), None, ""
    if action.code == PUSHIND:
        if len(stack) < 2:
            return stack, None, "PUSHIND wants a number, and none was pushed"
        *rest, number = stack
        stack = tuple(rest)
    if 2 * number + 2 > len(packet):
        have = len(packet) // 2
        return stack, None, f"wanted word {number}, the packet has {have}"
    return (*stack, int.from_bytes(packet[2 * number : 2 * number + 2], "big")), number, ""
