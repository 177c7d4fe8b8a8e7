"""The packet that meets conditions with the fewest changes to one of some given packets.

    desk = Desk(search, linktype)
    contest(Attempt(desk, data, conditions) for data in usual_ones)

Each attempt wishes that its packet stays as it is, two bytes a wish.  A set of wishes that
z3 finds in the way of the conditions costs one change at least; attempts are asked in turn,
the one with the fewest such sets first, and so the first that can be is the nearest.  Then
all that may stay as it was is put back, to the bit.

Left out: which packets are given, and what is put right afterwards (`sensible`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count
from typing import Any

from bpfnb.analysis.proving.solve import Found, Search
from bpfnb.analysis.proving.terms import Condition, term, z3
from bpfnb.analysis.proving.whole import skeleton
from bpfnb.cbpf.ancillary import derive

__all__ = ["Attempt", "Desk", "contest"]

TOGETHER = 2  # bytes that one wish is about; a header's fields stand at even places


class Desk:
    """What all attempts share: which bytes matter, and the wishes made of them."""

    def __init__(self, search: Search, linktype: int | None) -> None:
        self.search, self.linktype = search, linktype
        self.spans = dict.fromkeys(search.about.places())
        self.octets: dict[int, Any] = search.kept.setdefault("octets", {})
        self.wishes: dict[tuple[int, bytes], Any] = search.kept.setdefault("wishes", {})

    def apart(self, likes: Iterable[bytes]) -> list[bytes]:
        """Of packets that differ in no byte that may be read the first, which is most usual."""
        found: dict[bytes, bytes] = {}
        for like in likes:
            found.setdefault(bytes(like[at] for at in self.read(len(like))), like)
        return list(found.values())

    def read(self, size: int) -> list[int]:
        """The offsets, of a packet of this length, that may be read."""
        return sorted({at for start, stop in self.spans for at in range(start, min(stop, size))})

    def octet(self, at: int) -> Any:
        """A byte of the packet."""
        if at not in self.octets:
            self.octets[at] = z3.Select(self.search.about.bytes, term(at))
        return self.octets[at]

    def bones(self, like: bytes) -> list[Any]:
        """That a packet has the headers of another."""
        parts = skeleton(like, self.linktype).items()
        return [self.octet(at) & mask == value for at, (mask, value) in parts]

    def same(self, start: int, value: bytes) -> Any:
        """That bytes are these."""
        key = start, value
        if key not in self.wishes:
            each = [self.octet(start + at) == byte for at, byte in enumerate(value)]
            self.wishes[key] = each[0] if len(each) == 1 else z3.And(*each)
        return self.wishes[key]


class Attempt:
    """A packet to be like, and the wishes that it stays as it is: `kept`, and `dropped`.

    `fixed` is what must be.
    """

    def __init__(self, desk: Desk, like: bytes, fixed: Sequence[Condition]) -> None:
        self.desk, self.search, self.like, self.fixed = desk, desk.search, like, fixed
        self.kept: list[Condition] = list(self.search.plain(derive(like, desk.linktype)))
        self.dropped: list[tuple[int, int]] = []
        self.places: dict[int, tuple[int, int]] = {}
        self.model: Any = None
        for start in dict.fromkeys(at - at % TOGETHER for at in desk.read(len(like))):
            stop = min(start + TOGETHER, len(like))
            wish = self.same(start, stop)
            self.kept.append(wish)
            self.places[wish.get_id()] = start, stop

    def same(self, start: int, stop: int) -> Any:
        """That some bytes are as they were."""
        return self.desk.same(start, self.like[start:stop])

    def ask(self) -> bool | None:
        """Whether all that is kept can be; if not, drop what is in the way.  None: it never can."""
        self.model = self.search.model(self.fixed, *self.kept)
        if self.model is not None:
            return True
        blamed = {each.get_id() for each in self.search.solver.unsat_core()}
        left = [each for each in self.kept if each.get_id() not in blamed]
        if len(left) == len(self.kept):
            return None
        self.dropped += [self.places[each] for each in blamed if each in self.places]
        self.kept = left
        return False

    def least(self) -> int:
        """The least length that such a packet can have."""
        caplen = self.search.about.caplen
        longest = self.search.number(self.model, caplen)
        if self.may_be(caplen == len(self.like)):
            return len(self.like)
        return self.search.shortest([*self.fixed, *self.kept], longest)

    def may_be(self, wish: Condition) -> bool:
        """Whether one more wish can be kept; then it is."""
        known = z3.is_true(self.model.eval(wish, model_completion=True))
        model = self.model if known else self.search.model(self.fixed, *self.kept, wish)
        if model is None:
            return False
        self.model = model
        self.kept.append(wish)
        return True

    def packet(self, size: int) -> Found:
        """The packet, with all put back that may be as it was."""
        self.may_be(self.search.about.caplen == size)
        for start, stop in sorted(self.dropped):
            if not self.may_be(self.same(start, stop)) and not self.settled(start, stop):
                for at in range(start, stop):
                    if not self.may_be(self.same(at, at + 1)) and not self.settled(at, at + 1):
                        self.put_back(at)
        found = self.search.read(self.model, size)
        data = bytearray(self.like[:size].ljust(size, b"\0"))
        for at in self.desk.read(size):
            data[at] = found.data[at]
        return replace(found, data=bytes(data))

    def settled(self, start: int, stop: int) -> bool:
        """Whether bytes can only be what they are."""
        now = self.desk.same(start, bytes(self.value(at) for at in range(start, stop)))
        if self.search.model(self.fixed, *self.kept, z3.Not(now)) is not None:
            return False
        self.kept.append(now)
        return True

    def value(self, at: int) -> int:
        """What a byte is."""
        return self.search.number(self.model, self.desk.octet(at))

    def put_back(self, at: int) -> None:
        """A byte as near to what it was as may be, from its highest bit on."""
        for bit in reversed(range(8)):
            part = z3.Extract(bit, bit, self.desk.octet(at))
            if not self.may_be(part == (self.like[at] >> bit & 1)):
                self.kept.append(part == 1 - (self.like[at] >> bit & 1))


def contest(attempts: Iterator[Attempt]) -> Attempt | None:
    """The attempt that needs the fewest changes; None where none can be."""
    waiting: list[tuple[int, int, Attempt]] = []
    number = count()
    fresh: Attempt | None = next(attempts, None)
    while fresh is not None or waiting:
        if fresh is not None:  # none of its wishes is dropped yet, so it is the first to be asked
            changes, place, attempt = 0, next(number), fresh
            fresh = next(attempts, None)
        else:
            changes, place, attempt = heappop(waiting)
        answer = attempt.ask()
        if answer:
            return attempt
        if answer is False:
            heappush(waiting, (changes + 1, place, attempt))
    return None
