"""The stack machine that came before: the CMU/Stanford packet filter.

A program is a row of 16-bit words.  Each word pushes something, then may do something with
the two topmost values: `ACTIONS` and `OPERATORS` are the one table of both.  Nothing
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
encoded; here it is Mach's PUSHIND, with the arithmetic that came there with it.

Left out: priorities and the queue of filters, which are the device's; text (`cspf_text`).

Source: J. Mogul, R. Rashid, M. Accetta, *The Packet Filter: An Efficient Mechanism for
User-level Network Code*, SOSP 1987; CMU's enet.h and enet.c (ENF_*, ENMAXFILTERS), DEC's
pfilt.c; Mach's device/net_status.h (NETF_PUSHIND, NETF_LSH and what follows it).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bpfnb.errors import BpfError

__all__ = [
    "ACTIONS",
    "DEEPEST",
    "OPERATORS",
    "Action",
    "CspfProgram",
    "CspfStep",
    "CspfTrace",
    "CspfWord",
    "Operator",
    "trace",
]

ACTION_BITS = 10  # ENF_NBPA; the other six are the operator's
MASK = 0xFFFF
DEEPEST = 40  # ENMAXFILTERS: values on the stack, and words of a program
LONGEST = 1 << ACTION_BITS


@dataclass(frozen=True)
class Action:
    """What a word pushes; `pushes` is the constant, None where it depends on the packet."""

    code: int
    name: str
    sentence: str
    pushes: int | None = None
    mach: bool = False


@dataclass(frozen=True)
class Operator:
    """What a word then does with the two topmost values, `below op top`.

    A short-circuit operator compares both; where they are `equal`, or are not, it `ends`
    the program with True or False, and pushes nothing where it does not.
    """

    code: int
    name: str
    sentence: str
    apply: Callable[[int, int], int] | None = field(default=None, repr=False)
    equal: bool = False
    ends: bool | None = None
    mach: bool = False


NOPUSH, PUSHLIT, PUSHIND, PUSHWORD = 0, 1, 14, 16
ACTIONS: tuple[Action, ...] = (
    Action(NOPUSH, "NOPUSH", "push nothing"),
    Action(PUSHLIT, "PUSHLIT", "push the next word of the program"),
    Action(2, "PUSHZERO", "push 0", 0),
    Action(3, "PUSHONE", "push 1", 1),
    Action(4, "PUSHFFFF", "push 0xffff", 0xFFFF),
    Action(5, "PUSH00FF", "push 0x00ff", 0x00FF),
    Action(6, "PUSHFF00", "push 0xff00", 0xFF00),
    Action(PUSHIND, "PUSHIND", "pop a number, push the packet's word of that number", mach=True),
    Action(PUSHWORD, "PUSHWORD", "push a word of the packet, by its number"),
)

OPERATORS: tuple[Operator, ...] = (
    Operator(0, "NOP", "do nothing more"),
    Operator(1, "EQ", "push 1 if both are equal, else 0", operator.eq),
    Operator(2, "LT", "push 1 if the lower one is less", operator.lt),
    Operator(3, "LE", "push 1 if the lower one is less or equal", operator.le),
    Operator(4, "GT", "push 1 if the lower one is greater", operator.gt),
    Operator(5, "GE", "push 1 if the lower one is greater or equal", operator.ge),
    Operator(6, "AND", "push the bits that both have", operator.and_),
    Operator(7, "OR", "push the bits that either has", operator.or_),
    Operator(8, "XOR", "push the bits that one has and the other has not", operator.xor),
    Operator(9, "COR", "if both are equal, end: accept", equal=True, ends=True),
    Operator(10, "CAND", "if both are not equal, end: reject", equal=False, ends=False),
    Operator(11, "CNOR", "if both are equal, end: reject", equal=True, ends=False),
    Operator(12, "CNAND", "if both are not equal, end: accept", equal=False, ends=True),
    Operator(13, "NEQ", "push 1 if both are not equal, else 0", operator.ne),
    Operator(14, "LSH", "push the lower one shifted left", lambda a, b: a << min(b, 16), mach=True),
    Operator(
        15, "RSH", "push the lower one shifted right", lambda a, b: a >> min(b, 16), mach=True
    ),
    Operator(16, "ADD", "push the sum", operator.add, mach=True),
    Operator(17, "SUB", "push the difference", operator.sub, mach=True),
)
ACTION = {row.code: row for row in ACTIONS}
OPERATOR = {row.code: row for row in OPERATORS}
PLACE = {row.name: row for row in ACTIONS}


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

    def __len__(self) -> int:
        return len(self.insns)

    def __str__(self) -> str:
        return "\n".join(map(str, self.insns))

    def run(self, packet: bytes) -> bool:
        """Whether the program accepts a packet."""
        return trace(self, packet).accepted


def decode(words: Sequence[int], at: int) -> CspfWord:
    """The instruction at a place of a row of words."""
    word = words[at]
    if not 0 <= word <= MASK:
        raise BpfError(f"word {at} is {word}; a word has 16 bits, 0–{MASK}")
    code, op = word & LONGEST - 1, word >> ACTION_BITS
    action = ACTION[PUSHWORD] if code >= PUSHWORD else ACTION.get(code)
    if action is None or op not in OPERATOR:
        what = f"action {code}" if action is None else f"operator {op}"
        raise BpfError(f"word {at} is {word:#06x}: there is no {what}")
    if action.code != PUSHLIT:
        return CspfWord(action, OPERATOR[op], code - action.code)
    if at + 1 == len(words):
        raise BpfError(f"word {at} is PUSHLIT, and there is no word behind it to push")
    return CspfWord(action, OPERATOR[op], literal=words[at + 1])


@dataclass(frozen=True)
class CspfStep:
    """One instruction executed: the stack before and after, its top last.

    `read` is the packet's word it pushed, by its number; `why` says why it ended the
    program, where it did.
    """

    pc: int
    insn: CspfWord
    before: tuple[int, ...]
    after: tuple[int, ...]
    read: int | None = None
    why: str = ""


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

    def ended(verdict: bool, why: str) -> tuple[CspfStep, bool]:
        return CspfStep(pc, insn, before, stack, read, why), verdict

    if missed:
        return ended(False, missed)
    if len(stack) > DEEPEST - 1:
        return ended(False, f"the stack is full: it holds {DEEPEST - 1} values")
    if not op.code:
        return CspfStep(pc, insn, before, stack, read), None
    if len(stack) < 3:
        return ended(False, f"{op.name} wants two values, and {len(stack) - 1} was pushed")
    *rest, below, top = stack
    if op.apply is not None:
        after = (*rest, int(op.apply(below, top)) & MASK)
        return CspfStep(pc, insn, before, after, read), None
    if (below == top) is op.equal:
        sign = "==" if op.equal else "!="
        verdict = bool(op.ends)
        return ended(verdict, f"{below:#06x} {sign} {top:#06x}")
    return CspfStep(pc, insn, before, tuple(rest), read), None


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
