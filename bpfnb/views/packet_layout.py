"""What stands where in a packet's picture: rows, layers, fields, and what is read.

A row is sixteen bytes.  An item is a field, or bytes that are in none; a
segment is what of it lies in one row.  A line is what the table says of bytes
of one item that are read alike.
Left out: any drawing (`packet`, `packet_grid`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bpfnb.packets.fields import Field, at, numbered
from bpfnb.views import style
from bpfnb.views.reads import Reads

__all__ = ["ROW", "Layout", "Line", "Segment"]

ROW = 16  # bytes
TAIL = 2  # rows of payload that are shown where nobody reads them
PAYLOAD = ("", "Raw", "Padding")  # layers whose bytes are nobody's header


@dataclass(frozen=True)
class Line:
    """Bytes of one field that are read as often, and all or none of them here."""

    title: str
    start: int
    size: int
    value: str
    by: tuple[int, ...] = ()
    here: bool = False
    times: int = 0

    @property
    def where(self) -> str:
        """The bytes' offsets."""
        return numbered(self.start, self.start + self.size).partition(" ")[2]


@dataclass(frozen=True)
class Segment:
    """What of `item` lies in a row: from byte `start` of the row to before `stop`."""

    item: Field
    start: int
    stop: int
    begins: bool
    ends: bool

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.stop - self.start


@dataclass(frozen=True)
class Layout:
    """A packet's bytes, its fields, and what a program reads of them."""

    data: bytes
    fields: tuple[Field, ...]
    reads: Reads | None

    @cached_property
    def items(self) -> tuple[Field, ...]:
        """The fields, and what lies between them as fields without a name."""
        found, place = [], 0
        for each in self.fields:
            if each.start > place:
                found.append(Field("", "", place, each.start - place))
            found.append(each)
            place = max(place, each.stop)
        if place < len(self.data):
            found.append(Field("", "", place, len(self.data) - place))
        return tuple(found)

    @cached_property
    def layers(self) -> tuple[Field, ...]:
        """Each layer from its first byte to its last."""
        return merged(self.items, lambda last, item: last.layer == item.layer)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The layers' names, each once."""
        return tuple(dict.fromkeys(each.layer for each in self.layers if each.layer))

    @cached_property
    def boxes(self) -> tuple[Field, ...]:
        """The items, those that share bytes as one, with their names side by side."""
        return merged(self.items, lambda last, item: item.start < last.stop)

    @cached_property
    def of_item(self) -> tuple[tuple[Line, ...], ...]:
        """For each item the lines of its bytes that are read."""
        return tuple(tuple(self.read_of(item)) for item in self.items)

    @cached_property
    def touched(self) -> tuple[Line, ...]:
        """All lines of bytes that are read, those past the packet's end last."""
        return (*(line for lines in self.of_item for line in lines), *self.past)

    @cached_property
    def past(self) -> tuple[Line, ...]:
        """The lines of bytes that are read and that this packet lacks."""
        places = sorted(k for k in self.places if k >= len(self.data))
        return tuple(
            self.line(numbered(start, stop), start, stop, "not in this packet")
            for start, stop in runs(places, self.alike)
        )

    def alike(self, k: int) -> tuple[bool, int]:
        """Whether byte k is read here, and how often."""
        known = self.reads or Reads()
        return k in known.did, known.times.get(k, 0)

    def line(self, title: str, start: int, stop: int, value: str) -> Line:
        """The line of bytes that are read alike."""
        known = self.reads or Reads()
        by = {pc for k in range(start, stop) for pc in known.by(k)}
        return Line(title, start, stop - start, value, tuple(sorted(by)), *self.alike(start))

    def read_of(self, item: Field) -> Iterator[Line]:
        """The lines of an item's bytes that are read."""
        marked = [k for k in range(item.start, item.stop) if k in self.places]
        for start, stop in runs(marked, self.alike):
            size = stop - start
            whole = size == item.size and item.title
            value = item.value if whole else in_hex(self.data[start:stop])
            name = at([item] if item.title else [], start, size)
            yield self.line(name, start, stop, value)

    def every(self) -> Iterator[Line]:
        """A line for each item, those of its bytes that are read behind it or in its place."""
        for item, read in zip(self.items, self.of_item, strict=True):
            if not any(line.size == item.size for line in read):
                name = item.title or numbered(item.start, item.stop)
                yield Line(name, item.start, item.size, item.value)
            yield from read
        yield from self.past

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """The rows that are shown: with headers, with reads, and the first of others."""
        kept: set[int] = set()
        for item in self.items:
            first, last = item.start // ROW, (item.stop - 1) // ROW
            if item.layer.partition(":")[0] in PAYLOAD:
                last = min(last, first + TAIL - 1)
            kept.update(range(first, last + 1))
        kept.update(k // ROW for k in self.places if k < len(self.data))
        # A single row is not worth being left out.
        final = -(-len(self.data) // ROW) - 1
        lone = {row + 1 for row in kept if row + 2 in kept or row + 1 == final}
        return tuple(sorted(kept | lone)[: style.MOST])

    def left_out_behind(self, row: int) -> int:
        """How many bytes are not shown between a row and the next that is."""
        behind = next((each * ROW for each in self.rows if each > row), len(self.data))
        return max(0, behind - (row + 1) * ROW)

    def segments(self, row: int, items: Sequence[Field]) -> list[Segment]:
        """What of some items lies in a row."""
        first = row * ROW
        return [
            Segment(
                item,
                max(item.start - first, 0),
                min(item.stop - first, ROW),
                begins=item.start >= first,
                ends=item.stop <= first + ROW,
            )
            for item in items
            if item.start < first + ROW and item.stop > first
        ]

    @cached_property
    def places(self) -> frozenset[int]:
        """The bytes that are read, here or elsewhere, or could be."""
        return self.reads.places if self.reads else frozenset()

    def mark(self, k: int) -> str:
        """How byte k is marked: "did" where it was read, "can" where it could be, or ""."""
        if self.reads is None or k not in self.places:
            return ""
        return "did" if k in self.reads.did else "can"


def merged(items: Sequence[Field], together: Callable[[Field, Field], bool]) -> tuple[Field, ...]:
    """Neighbours that belong together as one, names and values side by side."""
    found: list[Field] = []
    for item in items:
        if found and together(found[-1], item):
            last = found.pop()
            stop = max(last.stop, item.stop)
            name, value = f"{last.name} {item.name}", f"{last.value} · {item.value}"
            found.append(Field(last.layer, name, last.start, stop - last.start, value))
        else:
            found.append(Field(item.layer, item.name, item.start, item.size, item.value))
    return tuple(found)


def runs(places: Sequence[int], key: Callable[[int], object]) -> Iterator[tuple[int, int]]:
    """Neighbours of one key: their first, and the place behind their last.

    >>> list(runs([3, 4, 5, 9], lambda place: place == 5))
    [(3, 5), (5, 6), (9, 10)]
    """
    start = 0
    for index in range(1, len(places) + 1):
        last = places[index - 1]
        if index == len(places) or places[index] != last + 1 or key(places[index]) != key(last):
            yield places[start], last + 1
            start = index


def in_hex(data: bytes) -> str:
    """Bytes in hex, long ones cut."""
    return data[:ROW].hex(" ") + " …" * (len(data) > ROW)
