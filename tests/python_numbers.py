"""Python's ints for z3, none of them cut to a word: what `python_meaning` calculates with.

A number is kept by its bounds.  Between 0 and 2³²-1 a word of 32 bits is all of it; where
the bounds go beyond, 72 bits with a sign hold it exactly; what may need more, and what is
not known here, raises Unsupported.

    calculated("mul", a, b)          a * b, whatever it comes to
    holding("<", a, b)               whether a < b

Source: Python's language reference, 6.7 and 6.10.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bpfnb.analysis.proving.terms import (
    Condition,
    Word,
    all_of,
    any_of,
    choose,
    combined,
    compared,
    negated,
    term,
    z3,
)
from bpfnb.cbpf.machine import MASK

BITS = 72  # for a product of two words and some sums
PYTHONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.floordiv,
    "mod": operator.mod, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "lsh": operator.lshift, "rsh": operator.rshift,
}  # fmt: skip
# What words are compared by, and 72 bits with a sign; whether the answer stays.
ORDER: dict[str, tuple[str, Callable[[Any, Any], Any], bool]] = {
    "==": ("jeq", operator.eq, True),
    "!=": ("jeq", operator.eq, False),
    ">": ("jgt", operator.gt, True),
    "<=": ("jgt", operator.gt, False),
    ">=": ("jge", operator.ge, True),
    "<": ("jge", operator.ge, False),
}


class Unsupported(Exception):  # noqa: N818  said of the source, which may be right
    """Python that the formula does not know."""


@dataclass(frozen=True)
class Number:
    """An int between bounds, or None where `none`, or no value yet where `unset`.

    `low` are its last 32 bits, all of it when the bounds are a word's; else `full` is it.
    """

    low: Word
    least: int
    most: int
    full: Any = None
    none: Condition = False
    unset: Condition = False

    @property
    def is_word(self) -> bool:
        return self.least >= 0 and self.most <= MASK

    @property
    def exact(self) -> Any:
        """Itself in 72 bits, with a sign."""
        if self.least == self.most:
            return z3.BitVecVal(self.least, BITS)
        return z3.ZeroExt(BITS - 32, term(self.low)) if self.full is None else self.full


UNSET = Number(0, 0, 0, unset=True)


def known(value: int) -> Number:
    return Number(value & MASK, value, value)


def bounded(low: Word, least: int, most: int, full: Callable[[], Any]) -> Number:
    """A number between bounds, made in 72 bits only where it needs more than 32."""
    if least == most:
        return known(least)
    if least >= 0 and most <= MASK:
        return Number(low, least, most)
    if not -(1 << BITS - 1) <= least <= most < 1 << BITS - 1:
        raise Unsupported(f"a number that may be {least} or {most}")
    return Number(low, least, most, full())


def either(when: Condition, a: Condition, b: Condition) -> Condition:
    return a if a is b else any_of(all_of(when, a), all_of(negated(when), b))


def chosen(when: Condition, a: Number, b: Number) -> Number:
    """The one or the other; the value of a name that is unset is any."""
    none, unset = either(when, a.none, b.none), either(when, a.unset, b.unset)
    if a.unset is True or b.unset is True:
        return replace(b if a.unset is True else a, none=none, unset=unset)
    made = bounded(choose(when, a.low, b.low), min(a.least, b.least), max(a.most, b.most),
                   lambda: z3.If(when, a.exact, b.exact))  # fmt: skip
    return replace(made, none=none, unset=unset)


def holding(sign: str, a: Number, b: Number) -> Condition:
    """Whether a sign b, neither of which is None."""
    name, exact, stays = ORDER[sign]
    words = a.is_word and b.is_word
    holds = compared(name, a.low, b.low) if words else exact(a.exact, b.exact)
    return holds if stays else negated(holds)


def bounds(name: str, a: Number, b: Number) -> tuple[int, int]:
    """What A op b is never below and never above."""
    match name:
        case "add":
            return a.least + b.least, a.most + b.most
        case "sub":
            return a.least - b.most, a.most - b.least
        case "mul":
            products = [x * y for x in (a.least, a.most) for y in (b.least, b.most)]
            return min(products), max(products)
        case "and":
            return 0, min(each.most for each in (a, b) if each.least >= 0)
        case "or" | "xor":
            return 0, (1 << max(a.most, b.most).bit_length()) - 1
        case "lsh":
            return 0, a.most << b.most
        case "rsh":
            return 0, a.most >> b.least
        case "div":
            return 0, a.most // max(b.least, 1)
    return 0, min(a.most, max(b.most - 1, 0))  # mod


def calculated(name: str, a: Number, b: Number) -> Number:
    """A op b, as Python's ints have it; the divisor is not 0."""
    signs = a.least < 0, b.least < 0
    if any(signs) and not (name in ("add", "sub", "mul") or (name == "and" and not all(signs))):
        raise Unsupported(f"{name} of what may be negative")
    if name in ("lsh", "rsh") and b.most >= BITS:
        raise Unsupported(f"a shift by {b.most}")
    if a.least == a.most and b.least == b.most:
        return known(PYTHONS[name](a.least, b.least))
    least, most = bounds(name, a, b)
    if name in ("div", "mod", "rsh") and not (a.is_word and b.is_word):
        full = {"div": z3.UDiv, "mod": z3.URem, "rsh": z3.LShR}[name](a.exact, b.exact)
        return bounded(z3.Extract(31, 0, full), least, most, lambda: full)
    whole = name == "and" and b.low == MASK if isinstance(b.low, int) else False
    low = a.low if whole else combined(name, a.low, b.low)
    if name == "add" and b.most < 256 and z3.is_app_of(low, z3.Z3_OP_BADD):
        low = z3.simplify(low, mul2concat=True)  # P[k] * 256 + P[k + 1] as two bytes side by side
    if name in ("lsh", "rsh"):  # `combined` takes X & 31
        low = choose(compared("jgt", b.low, 31), 0, low)
    return bounded(low, least, most, lambda: PYTHONS[name](a.exact, b.exact))
