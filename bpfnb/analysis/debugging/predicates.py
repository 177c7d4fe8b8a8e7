"""What a condition is made of, and what it means: trees, the facts of a step, `evaluate`.

The meaning is that of the module `conditions`, which reads trees from text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from bpfnb.cbpf.opcodes import MEMWORDS
from bpfnb.cbpf.trace import Read, Trace

__all__ = [
    "OPERATORS",
    "Bytes",
    "Changed",
    "Compare",
    "Condition",
    "Facts",
    "Flag",
    "Joined",
    "Masked",
    "Not",
    "Number",
    "Reads",
    "Register",
    "Term",
    "Test",
    "Value",
    "Word",
    "evaluate",
    "facts",
    "value_of",
]

MASK = 0xFFFFFFFF

OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: int


@dataclass(frozen=True)
class Register:
    """A, X, pc, len, caplen or ret."""

    name: str


@dataclass(frozen=True)
class Word:
    """M[index]."""

    index: int


@dataclass(frozen=True)
class Bytes:
    """P[offset:size]."""

    offset: int
    size: int = 1


@dataclass(frozen=True)
class Masked:
    """Both, bit by bit."""

    left: Term
    right: Term


@dataclass(frozen=True)
class Compare:
    """Two values and what is asked of them."""

    op: str
    left: Value
    right: Value


@dataclass(frozen=True)
class Reads:
    """Whether a byte from `first` to `last` is read; None: any byte."""

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Changed:
    """Whether A, X, M[n], any M, or (None) any of them changes."""

    name: str | None = None


@dataclass(frozen=True)
class Flag:
    """Jumped or missed."""

    name: str


@dataclass(frozen=True)
class Not:
    """The opposite."""

    test: Test


@dataclass(frozen=True)
class Joined:
    """Several tests of which all hold (`and`), or any (`or`)."""

    word: str
    tests: tuple[Test, ...]


Term = Number | Register | Word | Bytes
Value = Term | Masked
Test = Compare | Reads | Changed | Flag | Not | Joined


@dataclass(frozen=True)
class Condition:
    """A condition: its text, and its tree."""

    text: str
    tree: Test

    def __str__(self) -> str:
        return self.text

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of a step."""
        return evaluate(self.tree, facts)


@dataclass(frozen=True)
class Facts:
    """All that a condition can ask of a step; see the module's first rule.

    `changed` names registers and words as they are written: "A", "M[3]".
    """

    pc: int = 0
    A: int = 0
    X: int = 0
    M: tuple[int, ...] = (0,) * MEMWORDS
    P: bytes = b""
    len: int = 0
    ret: int | None = None
    reads: tuple[Read, ...] = ()
    changed: frozenset[str] = frozenset()
    jumped: bool = False
    missed: bool = False


def facts(trace: Trace, number: int) -> Facts:
    """The facts of step `number`, counted from 0.

    >>> from bpfnb.cbpf.program import Program
    >>> from bpfnb.cbpf.trace import trace
    >>> facts(trace(Program.from_insns([(0, 0, 0, 7), (6, 0, 0, 5)]), b""), 0).changed
    frozenset({'A'})
    """
    step = trace.steps[number]
    before, after = step.before, step.after
    changed = {name for name in ("A", "X") if getattr(before, name) != getattr(after, name)}
    if before.M != after.M:
        changed |= {f"M[{k}]" for k in range(MEMWORDS) if before.M[k] != after.M[k]}
    return Facts(
        before.pc,
        before.A,
        before.X,
        before.M,
        trace.data,
        trace.wirelen,
        after.ret,
        step.reads,
        frozenset(changed),
        jumped=after.ret is None and after.pc != before.pc + 1,
        missed=step.missed is not None,
    )


def evaluate(test: Test, facts: Facts) -> bool:
    """Whether a test is true of a step."""
    match test:
        case Compare(op, left, right):
            a, b = value_of(left, facts), value_of(right, facts)
            return a is not None and b is not None and OPERATORS[op](a, b)
        case Reads(None):
            return bool(facts.reads)
        case Reads(first, last):
            wanted = range(first or 0, (last or 0) + 1)
            return any(
                read.offset < wanted.stop and wanted.start < read.offset + read.size
                for read in facts.reads
            )
        case Changed(None):
            return bool(facts.changed)
        case Changed("M"):
            return any(name.startswith("M[") for name in facts.changed)
        case Changed(name):
            return name in facts.changed
        case Flag(name):
            return facts.jumped if name == "jumped" else facts.missed
        case Not(inner):
            return not evaluate(inner, facts)
        case Joined(word, tests):
            held = (evaluate(each, facts) for each in tests)
            return all(held) if word == "and" else any(held)


def value_of(value: Value, facts: Facts) -> int | None:
    """A value in a step; None where it is absent.

    >>> value_of(Bytes(0, 2), Facts(P=bytes([8, 6]))), value_of(Register("ret"), Facts())
    (2054, None)
    """
    match value:
        case Number(number):
            return number
        case Register("caplen"):
            return len(facts.P)
        case Register(name):
            found: int | None = getattr(facts, name)
            return None if found is None else found & MASK
        case Word(index):
            return facts.M[index]
        case Bytes(offset, size):
            there = facts.P[offset : offset + size]
            return int.from_bytes(there, "big") if len(there) == size else None
        case Masked(left, right):
            a, b = value_of(left, facts), value_of(right, facts)
            return None if a is None or b is None else a & b
