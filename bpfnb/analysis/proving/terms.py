"""Words and conditions that are known or not: Python's own values, or z3's terms.

A word is an int or a term of 32 bits; a condition a bool or a term.  What is known
stays Python's, so that most of a filter is calculated here and never reaches z3.

    combined("add", 2, 3), compared("jeq", A, 0x800), choose(condition, 1, X)

Left out: what they mean for a program (`formula`).

Source: z3's Python interface; X & 31 and the exact arithmetic are `cbpf.machine`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpfnb.cbpf.machine import MASK, OPERATIONS
from bpfnb.errors import UnavailableError

try:
    import z3
except ImportError as error:
    raise UnavailableError(
        "proofs and made packets need z3, which is not installed", "pip install 'bpfnb[prove]'"
    ) from error

__all__ = [
    "Condition",
    "Word",
    "all_of",
    "any_of",
    "choose",
    "combined",
    "compared",
    "differ",
    "least",
    "most",
    "negated",
    "nonzero",
    "term",
    "truth",
    "z3",  # for others to take from here, where its absence is told
]

Word = Any  # int, or a z3 term of 32 bits
Condition = Any  # bool, or a z3 term

BITS = 32
COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, v: a + v,
    "sub": lambda a, v: a - v,
    "mul": lambda a, v: a * v,
    "div": z3.UDiv,
    "mod": z3.URem,
    "and": lambda a, v: a & v,
    "or": lambda a, v: a | v,
    "xor": lambda a, v: a ^ v,
    "lsh": lambda a, v: a << (v & 31),
    "rsh": lambda a, v: z3.LShR(a, v & 31),
}
COMPARE: dict[str, tuple[Callable[[int, int], bool], Callable[[Any, Any], Any]]] = {
    "jeq": (lambda a, v: a == v, lambda a, v: a == v),
    "jgt": (lambda a, v: a > v, z3.UGT),
    "jge": (lambda a, v: a >= v, z3.UGE),
    "jset": (lambda a, v: a & v != 0, lambda a, v: a & v != 0),
}


def term(word: Word) -> Any:
    """A word as z3's."""
    return z3.BitVecVal(word, BITS) if isinstance(word, int) else word


def truth(condition: Condition) -> Any:
    """A condition as z3's."""
    return z3.BoolVal(condition) if isinstance(condition, bool) else condition


def negated(condition: Condition) -> Condition:
    """Not."""
    return not condition if isinstance(condition, bool) else z3.Not(condition)


def all_of(*conditions: Condition) -> Condition:
    """And.

    >>> all_of(True, True), all_of()
    (True, True)
    """
    open_ones = [each for each in conditions if each is not True]
    if any(each is False for each in open_ones):
        return False
    if len(open_ones) < 2:
        return open_ones[0] if open_ones else True
    return z3.And(*open_ones)


def any_of(*conditions: Condition) -> Condition:
    """Or.

    >>> any_of(False, True), any_of()
    (True, False)
    """
    open_ones = [each for each in conditions if each is not False]
    if any(each is True for each in open_ones):
        return True
    if len(open_ones) < 2:
        return open_ones[0] if open_ones else False
    return z3.Or(*open_ones)


def same(one: Word, other: Word) -> bool:
    """Whether two words are written alike."""
    if isinstance(one, int) or isinstance(other, int):
        return isinstance(one, int) and isinstance(other, int) and one == other
    return one is other or bool(one.eq(other))


def choose(condition: Condition, yes: Word, no: Word) -> Word:
    """Yes where the condition holds, else no.

    >>> choose(True, 1, 2)
    1
    """
    if isinstance(condition, bool):
        return yes if condition else no
    return yes if same(yes, no) else z3.If(condition, term(yes), term(no))


def combined(name: str, A: Word, value: Word) -> Word:
    """A op value, for a mnemonic of arithmetic; the divisor is not 0.

    >>> combined("sub", 1, 2) == MASK
    True
    """
    if isinstance(A, int) and isinstance(value, int):
        return OPERATIONS[name](A, value)
    return COMBINE[name](term(A), term(value))


def compared(name: str, A: Word, value: Word) -> Condition:
    """Whether a test with this mnemonic holds.

    >>> compared("jset", 6, 4), compared("jgt", 1, 1)
    (True, False)
    """
    known, unknown = COMPARE[name]
    if isinstance(A, int) and isinstance(value, int):
        return known(A, value)
    return unknown(term(A), term(value))


def negative(word: Word) -> Word:
    """-A, in 32 bits."""
    return -word & MASK if isinstance(word, int) else -word


def nonzero(word: Word) -> Condition:
    """Whether a word is not 0: what accepts."""
    return word != 0


def differ(one: Word, other: Word) -> Condition:
    """Whether two words are not equal."""
    return False if same(one, other) else one != other


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
