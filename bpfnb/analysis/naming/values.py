"""What registers hold and what is known, without running: places, bits, sums, facts.

A register holds a `Sum`: a constant and up to MOST_TERMS terms, each some bits
of the packet or one of the kernel's notes; None where nothing is known of it.
An IPv4 header's length is such a term, four times the low half of a byte, and
so the place of a TCP port is a sum as well.  `Facts` are what the tests on the
way have fixed about terms; joined, they keep what all ways agree on.

Left out: instructions, which change these (`flow`), and names (`names`).
All numbers are of 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

__all__ = ["MASK", "Bits", "Facts", "Known", "Note", "Place", "Sum", "Term"]

MASK = 0xFFFFFFFF
MOST_TERMS = 3  # of a sum
MOST_DEPTH = 4  # of places within places
MOST_VALUES = 24  # that are told one by one
MOST_FACTS = 96  # of each kind


@dataclass(frozen=True)
class Note:
    """One of the kernel's notes about a packet, or `len`."""

    name: str
    depth: int = field(default=0, init=False, compare=False)


@dataclass(frozen=True)
class Place:
    """Byte `k` of the packet, counted from `base`, with the values of `terms` added.

    `base` is "" for the packet's first byte, "net" and "link" for the kernel's
    network and link header.
    """

    k: int
    terms: tuple[Term, ...] = ()
    base: str = ""

    def __add__(self, count: int) -> Place:
        return replace(self, k=self.k + count & MASK)

    def beyond(self, other: Place) -> int | None:
        """How many bytes this place lies behind another; None where that is not fixed."""
        same = self.base == other.base and self.terms == other.terms
        return self.k - other.k if same else None

    @property
    def depth(self) -> int:
        """How many places lie in this one's terms."""
        return max((term.depth for term in self.terms), default=0)


@dataclass(frozen=True)
class Bits:
    """(P[place:size] & mask) >> shift; a negative shift is one to the left."""

    place: Place
    size: int
    mask: int
    shift: int = 0
    depth: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", self.place.depth + 1)

    @property
    def plain(self) -> Bits:
        """The same bits where they stand."""
        return replace(self, shift=0)

    def masked(self, mask: int) -> Bits:
        """Those of the bits that `mask` keeps of the value."""
        there = mask << self.shift if self.shift >= 0 else (mask & MASK) >> -self.shift
        return replace(self, mask=self.mask & there)

    def shifted(self, count: int) -> Bits:
        """The value shifted right by `count`; left where it is negative."""
        shift = self.shift + count
        lost = (1 << max(shift, 0)) - 1  # bits shifted out at the right end
        kept = MASK if shift >= 0 else MASK >> min(-shift, 32)
        return replace(self, mask=self.mask & ~lost & kept, shift=shift)

    def raw(self, value: int) -> int | None:
        """The bits where they stand when the value is this; None when it cannot be."""
        if self.shift < 0 and value & ((1 << -self.shift) - 1):
            return None
        there = value << self.shift if self.shift >= 0 else value >> -self.shift
        return there if there & ~self.mask == 0 else None


Term = Bits | Note


@dataclass(frozen=True)
class Sum:
    """k and the values of the terms, added up in 32 bits."""

    k: int
    terms: tuple[Term, ...] = ()

    @classmethod
    def of(cls, k: int, terms: tuple[Term, ...]) -> Sum | None:
        """A sum in its one form; None where it grows too large to follow."""
        terms = tuple(each for each in terms if isinstance(each, Note) or each.mask)
        if len(terms) > MOST_TERMS or any(term.depth > MOST_DEPTH for term in terms):
            return None
        return cls(k & MASK, tuple(sorted(terms, key=repr)))

    @property
    def constant(self) -> int | None:
        """The number, where there are no terms."""
        return None if self.terms else self.k

    @property
    def single(self) -> Term | None:
        """The one term, where there is nothing else."""
        return self.terms[0] if len(self.terms) == 1 and not self.k else None


@dataclass(frozen=True)
class Known:
    """What is known of a number: from `low` to `high`, one of `values`, none of `excluded`."""

    low: int = 0
    high: int = MASK
    values: frozenset[int] | None = None
    excluded: frozenset[int] = frozenset()

    def permits(self, value: int) -> bool:
        """Whether the number can be this one."""
        if self.values is not None and value not in self.values:
            return False
        return self.low <= value <= self.high and value not in self.excluded

    def equal(self, value: int) -> Known | None:
        """It is this; None when it cannot be."""
        return Known(value, value, frozenset({value})) if self.permits(value) else None

    def other(self, value: int) -> Known | None:
        """It is not this; None when it must be."""
        excluded = self.excluded | {value} if len(self.excluded) < MOST_VALUES else self.excluded
        return replace(self, excluded=excluded).settled()

    def between(self, low: int, high: int) -> Known | None:
        """It is within these bounds; None when it cannot be."""
        return replace(self, low=max(low, self.low), high=min(high, self.high)).settled()

    def settled(self) -> Known | None:
        """The same without what its parts rule out; None when nothing is left."""
        low, high, values = self.low, self.high, self.values
        while low in self.excluded and low <= high:
            low += 1
        while high in self.excluded and low <= high:
            high -= 1
        if values is not None:
            values = frozenset(each for each in values if self.permits(each))
            if not values:
                return None
            low, high = max(low, min(values)), min(high, max(values))
        elif low == high:
            values = frozenset({low})
        excluded = frozenset(each for each in self.excluded if low < each < high)
        return Known(low, high, values, excluded) if low <= high else None

    def join(self, other: Known) -> Known:
        """What holds of both."""
        values = None
        if self.values is not None and other.values is not None:
            both = self.values | other.values
            values = both if len(both) <= MOST_VALUES else None
        low, high = min(self.low, other.low), max(self.high, other.high)
        mentioned = self.excluded | other.excluded
        excluded = {v for v in mentioned if not self.permits(v) and not other.permits(v)}
        return Known(low, high, values, frozenset(excluded))


@dataclass(frozen=True)
class Facts:
    """What is known of terms, and of single bytes: (mask, value) of bits that are fixed."""

    terms: Mapping[Term, Known] = field(default_factory=lambda: MappingProxyType({}))
    bytes: Mapping[Place, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))

    def about(self, term: Term) -> Known:
        """All that is known of a term; its shift must be 0."""
        if isinstance(term, Note):
            return self.terms.get(term, Known())
        known = self.terms.get(term) or Known(high=term.mask)
        fixed, value = 0, 0
        for at in range(term.size):
            mask, part = self.bytes.get(term.place + at, (0, 0))
            fixed, value = fixed << 8 | mask, value << 8 | part
        if term.mask & ~fixed == 0:
            known = known.equal(value & term.mask) or known
        return known

    def learn(self, term: Term, known: Known) -> Facts:
        """With this known of a term as well."""
        terms, fixed = dict(self.terms), dict(self.bytes)
        if len(terms) < MOST_FACTS or term in terms:
            terms[term] = known
        if isinstance(term, Bits) and known.values is not None and len(known.values) == 1:
            (value,) = known.values
            for at in range(term.size):
                down = 8 * (term.size - 1 - at)
                place, mask = term.place + at, term.mask >> down & 0xFF
                if mask and (len(fixed) < MOST_FACTS or place in fixed):
                    old, part = fixed.get(place, (0, 0))
                    fixed[place] = old | mask, part & ~mask & 0xFF | value >> down & mask
        return Facts(terms, fixed)

    def join(self, other: Facts) -> Facts:
        """What both know."""
        if self is other:
            return self
        mentioned = dict.fromkeys([*self.terms, *other.terms])
        terms = {}
        for term in mentioned:
            known = self.about(term).join(other.about(term))
            if known != self.nothing(term):
                terms[term] = known
        fixed = {}
        for place in self.bytes.keys() & other.bytes.keys():
            (mask, value), (mask2, value2) = self.bytes[place], other.bytes[place]
            if agreed := mask & mask2 & ~(value ^ value2):
                fixed[place] = agreed, value & agreed
        return Facts(terms, fixed)

    @staticmethod
    def nothing(term: Term) -> Known:
        """What is known of any such term."""
        return Known(high=term.mask) if isinstance(term, Bits) else Known()
