"""The one table of the stack machine's actions and operators, which all of CSPF reads.

A program's word is an action and an operator: `ACTION_BITS` of the one, the rest of the
other.  Left out: what they do to a stack (`cspf`).

Source: CMU's enet.h (ENF_*, ENMAXFILTERS); Mach's device/net_status.h (NETF_PUSHIND,
NETF_LSH and what follows it), marked `mach`.  Sun's headers have the codes of PUSH00FF and
PUSHFF00 the other way round.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["ACTION", "ACTIONS", "DEEPEST", "OPERATOR", "OPERATORS", "Action", "Operator"]

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

    @property
    def compares(self) -> bool:
        """Whether it asks how two values stand to each other: a predicate."""
        return self.ends is not None or self.name in ("EQ", "NEQ", "LT", "LE", "GT", "GE")


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
