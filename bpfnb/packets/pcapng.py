"""The pcapng file: where its packets are, and writing one.

Reads sections in both byte orders, any number of interfaces with link types and
clocks of their own, enhanced, simple and obsolete packet blocks; other blocks
are passed over.  A file is trusted in nothing: no length it claims is used
before it is compared with what is there.
Left out: names, comments, statistics and secrets, which `Capture.write` copies
unread, and times finer than a nanosecond, which are cut.

Source: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from itertools import islice
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

from bpfnb import jit
from bpfnb.errors import CaptureError
from bpfnb.packets.columns import NO_TIME, Columns, Index
from bpfnb.packets.filebytes import FileBytes
from bpfnb.packets.lanes import COLUMNS, Record
from bpfnb.packets.linktype import by_number
from bpfnb.packets.records import LONG, Rows, follow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

__all__ = ["MAGIC", "PACKET_BLOCKS", "Broken", "blocks", "encode", "index", "read_header"]

MAGIC = b"\x0a\x0d\x0d\x0a"  # a section header block's type, the same both ways round
SECTION, INTERFACE, OBSOLETE, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
PACKET_BLOCKS = frozenset({OBSOLETE, SIMPLE, ENHANCED})
ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
SMALLEST = {SECTION: 28, INTERFACE: 20, OBSOLETE: 32, SIMPLE: 16, ENHANCED: 32}
TSRESOL, TSOFFSET = 9, 14
NANO = 1_000_000_000
WORD = {order: struct.Struct(f"{order}I").unpack_from for order in "<>"}
PAIR = {order: struct.Struct(f"{order}II").unpack_from for order in "<>"}
ENHANCED_HEAD = {order: struct.Struct(f"{order}IIIII").unpack_from for order in "<>"}
PART = 1 << 18  # packets whose times are made at once
FEW, MANY = 16, 1 << 16  # blocks that Python looks at before native code is asked (again)
OBSOLETE_HEAD = {order: struct.Struct(f"{order}HxxIIII").unpack_from for order in "<>"}

# A block: where it begins, its type, how many bytes it has, its section's byte order, "<" or ">".
Block = tuple[int, int, int, str]


class Broken(Exception):  # noqa: N818  control flow: becomes a CaptureError with the record
    """What is wrong with a block."""


class Interface(NamedTuple):
    """An interface: `units` of its clock in a second, `offset` seconds added."""

    linktype: int
    snaplen: int
    units: int
    offset: int

    def time_ns(self, ticks: int) -> int:
        """A time of its clock in nanoseconds; NO_TIME when it leaves 64 bits."""
        time = ticks * NANO // self.units + self.offset * NANO
        return time if NO_TIME < time < -NO_TIME else NO_TIME

    def times_ns(self, ticks: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The same for many times."""
        import numpy as np

        most = int(ticks.max(initial=0))
        latest = most * NANO // self.units + abs(self.offset) * NANO
        if NANO % self.units or not latest < -NO_TIME:
            return np.array([self.time_ns(each) for each in ticks.tolist()], np.int64)
        times: npt.NDArray[np.int64] = ticks.astype(np.int64)
        times *= NANO // self.units
        times += self.offset * NANO
        return times


def blocks(
    view: Any, end: int | None = None, position: int = 0, order: str = "<"
) -> Iterator[Block]:
    """The blocks of a file, or of its first `end` bytes, one after the other.

    From `position` on, where a block in this byte order begins.  Raises Broken where
    one cannot be.
    """
    size = len(view) if end is None else end
    head, word = PAIR[order], WORD[order]
    smallest = SMALLEST.get
    while position < size:
        left = size - position
        if left < 12:
            raise Broken(f"the file ends in the block at byte {position}")
        kind, length = head(view, position)
        if kind == SECTION:  # in either byte order
            order = byte_order(view, position)
            head, word = PAIR[order], WORD[order]
            kind, length = head(view, position)
        if length > left:
            raise Broken(f"the file ends in the block at byte {position}, {left} of {length} bytes")
        if length < smallest(kind, 12) or length % 4:
            raise Broken(f"the block at byte {position} says it is {length} bytes long")
        (again,) = word(view, position + length - 4)
        if again != length:
            raise Broken(
                f"the block at byte {position} is {length} bytes long at its start,"
                f" {again} at its end"
            )
        yield position, kind, length, order
        position += length


def byte_order(view: Any, position: int) -> str:
    """The byte order of the section that starts here."""
    if len(view) - position < SMALLEST[SECTION]:
        raise Broken(f"the file ends in the block at byte {position}")
    mark = bytes(view[position + 8 : position + 12])
    if mark not in ORDERS:
        raise Broken(f"the section at byte {position} has the byte-order magic {mark.hex()}")
    (version,) = struct.unpack_from(f"{ORDERS[mark]}H", view, position + 12)
    if version != 1:
        raise Broken(f"the section at byte {position} has version {version}; 1 is read here")
    return ORDERS[mark]


def read_header(view: Any, path: str) -> None:
    """Read the first block.  Raises CaptureError when it is no section header."""
    try:
        next(blocks(view))
    except Broken as reason:
        raise CaptureError(path, None, str(reason)) from None


def index(file: FileBytes) -> Index:
    """Find the packets of a file whose first block is sound.

    Columns of the good ones, and what is wrong behind them.  Packets in enhanced blocks
    are found natively where the file is long; whatever stands between them is not.
    """
    view = file.view()
    indexer, error = Indexer(view), None
    native = len(view) >= LONG and jit.works()
    end, order, patience = 0, "<", FEW if native else len(view)
    try:
        while end < len(view):
            for block in islice(blocks(view, None, end, order), patience):
                indexer.block(block)
                end, order = block[0] + block[2], block[3]
            if native and indexer.interfaces:
                begin, end = end, indexer.enhanced(file, end, order)
                patience = min(2 * patience, MANY) if end == begin else FEW
    except Broken as reason:
        indexer.keep()
        record = indexer.rows.count + 1
        error = CaptureError(file.path, record, str(reason), "the packets before it can be used")
    return Index(indexer.columns(), end, error)


class Indexer:
    """Collects the packets: `rows` of them, but for the last that Python has found."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self.rows = Rows()
        self.interfaces: list[Interface] = []  # of the section at hand
        self.announced: set[int] = set()  # link types of all interfaces so far
        self.offsets, self.lengths, self.wirelens = array("Q"), array("I"), array("I")
        self.linktypes, self.times = array("I"), array("q")

    def block(self, block: Block) -> None:
        """Note what a block says."""
        kind = block[1]
        if kind in PACKET_BLOCKS:
            self.packet(block)
        elif kind == INTERFACE:
            self.interface(block)
        elif kind == SECTION:
            self.interfaces = []

    def enhanced(self, file: FileBytes, position: int, order: str) -> int:
        """Note the enhanced packet blocks from here on; where the first other block is."""
        import numpy as np

        self.keep()
        first = self.rows.count
        record = Record(ENHANCED_BLOCK, order, SMALLEST[ENHANCED], 4)
        end = follow(file, record, self.rows, position, len(self.interfaces))
        *_, times, named = self.rows.since(first)
        linktypes = np.array([face.linktype for face in self.interfaces], np.uint32)
        for start in range(0, len(times), PART):
            part, its_face = times[start : start + PART], named[start : start + PART]
            for number in np.unique(its_face).tolist():
                its = its_face == number
                part[its] = self.interfaces[number].times_ns(part[its].view(np.uint64))
            its_face[:] = linktypes[its_face]
        return end

    def keep(self) -> None:
        """Put what Python has found into the rows."""
        found = (self.offsets, self.lengths, self.wirelens, self.times, self.linktypes)
        if len(self.offsets):
            self.rows.add(*found)
        for each in found:
            del each[:]

    def interface(self, block: Block) -> None:
        """Note an interface."""
        start, _, _, order = block
        linktype, _, snaplen = struct.unpack_from(f"{order}HHI", self.view, start + 8)
        options = dict(read_options(self.view, block, start + 16))
        offset = options.get(TSOFFSET, bytes(8))
        resolution = options.get(TSRESOL, b"\6")
        if len(offset) != 8 or len(resolution) != 1:
            raise Broken(f"the interface at byte {start} has a clock option of a wrong length")
        base, power = (2, resolution[0] & 0x7F) if resolution[0] & 0x80 else (10, resolution[0])
        number = by_number(linktype).number
        self.announced.add(number)
        (seconds,) = struct.unpack(f"{order}q", offset)
        self.interfaces.append(Interface(number, snaplen, base**power, seconds))

    def packet(self, block: Block) -> None:
        """Note a packet."""
        position, kind, length, order = block
        if kind == SIMPLE:
            (wirelen,) = WORD[order](self.view, position + 8)
            face = self.of(0, position)
            caplen = min(wirelen, face.snaplen or wirelen)
            start, room, time = position + 12, length - 16, NO_TIME
        else:
            head = ENHANCED_HEAD[order] if kind == ENHANCED else OBSOLETE_HEAD[order]
            number, high, low, caplen, wirelen = head(self.view, position + 8)
            face = self.of(number, position)
            start, room, time = position + 28, length - 32, face.time_ns(high << 32 | low)
        if caplen > room:
            raise Broken(f"caplen at byte {position} is {caplen}, the block has room for {room}")
        self.offsets.append(start)
        self.lengths.append(caplen)
        self.wirelens.append(wirelen)
        self.linktypes.append(face.linktype)
        self.times.append(time)

    def of(self, number: int, position: int) -> Interface:
        """The interface a packet names."""
        if number >= len(self.interfaces):
            raise Broken(
                f"the packet at byte {position} is of interface {number},"
                f" its section has {len(self.interfaces)} so far"
            )
        return self.interfaces[number]

    def columns(self) -> Columns:
        """What was collected, as arrays."""
        self.keep()
        offsets, lengths, wirelens, times_ns, linktypes = self.rows.since(0)
        columns = Columns(offsets, lengths, wirelens, times_ns=times_ns)
        if len(offsets) == 0:
            return columns.labelled(*self.announced) if len(self.announced) == 1 else columns
        return columns.labelled(linktypes.view("i4"))


# An enhanced packet block for native code (`lanes`): type, length, interface, upper and lower
# half of the time, caplen, wirelen, the packet, perhaps options, the length again.
ENHANCED_BLOCK = Template("""
define internal i64 @next(ptr readonly %base, i64 %size, i64 %faces, i64 %p) nounwind alwaysinline {
  %least = add i64 %p, $SMALLEST
  %whole = icmp ule i64 %least, %size
  br i1 %whole, label %read, label %none
read:
  %kind = call i32 @number(ptr %base, i64 %p)
  %enhanced = icmp eq i32 %kind, $KIND
  %length.at = add i64 %p, 4
  %length = call i32 @number(ptr %base, i64 %length.at)
  %bytes = zext i32 %length to i64
  %enough = icmp uge i64 %bytes, $SMALLEST
  %odd = and i64 %bytes, 3
  %even = icmp eq i64 %odd, 0
  %end = add i64 %p, %bytes
  %inside = icmp ule i64 %end, %size
  %sized = and i1 %enough, %even
  %placed = and i1 %enhanced, %inside
  %block = and i1 %sized, %placed
  br i1 %block, label %look, label %none
look:
  %again.at = sub i64 %end, 4
  %again = call i32 @number(ptr %base, i64 %again.at)
  %same = icmp eq i32 %again, %length
  %face.at = add i64 %p, 8
  %face = call i32 @number(ptr %base, i64 %face.at)
  %face.wide = zext i32 %face to i64
  %known = icmp ult i64 %face.wide, %faces
  %caplen.at = add i64 %p, 20
  %caplen = call i32 @number(ptr %base, i64 %caplen.at)
  %caplen.wide = zext i32 %caplen to i64
  %room = sub i64 %bytes, $SMALLEST
  %fits = icmp ule i64 %caplen.wide, %room
  %named = and i1 %same, %known
  %good = and i1 %named, %fits
  %next = select i1 %good, i64 %end, i64 0
  ret i64 %next
none:
  ret i64 0
}

define internal i64 @seek(ptr readonly %base, i64 %size, i64 %from, i64 %to) nounwind {
start:
  br label %try
try:
  %p = phi i64 [ %from, %start ], [ %p.next, %on ]
  %behind = add i64 %p, 4
  %near = icmp ugt i64 %behind, %size
  %late = icmp uge i64 %p, %to
  %over = or i1 %near, %late
  br i1 %over, label %none, label %look
look:
  %kind = call i32 @number(ptr %base, i64 %p)
  %enhanced = icmp eq i32 %kind, $KIND
  br i1 %enhanced, label %found, label %on
found:
  ret i64 %p
on:
  %p.next = add i64 %p, 4
  br label %try
none:
  ret i64 %to
}

define internal i1 @usual(ptr readonly %base, i64 %p) nounwind alwaysinline {
  ret i1 true
}

define internal void @note(ptr readonly %base, i64 %p, i64 %row, $COLUMNS) nounwind alwaysinline {
  %offset = add i64 %p, 28
  %caplen.at = add i64 %p, 20
  %caplen = call i32 @number(ptr %base, i64 %caplen.at)
  %wirelen.at = add i64 %p, 24
  %wirelen = call i32 @number(ptr %base, i64 %wirelen.at)
  %high.at = add i64 %p, 12
  %high = call i32 @number(ptr %base, i64 %high.at)
  %low.at = add i64 %p, 16
  %low = call i32 @number(ptr %base, i64 %low.at)
  %high.wide = zext i32 %high to i64
  %low.wide = zext i32 %low to i64
  %high.up = shl i64 %high.wide, 32
  %ticks = or i64 %high.up, %low.wide
  call void @put(i64 %row, i64 %offset, i32 %caplen, i32 %wirelen, i64 %ticks, ptr %offsets,
      ptr %lengths, ptr %wires, ptr %times)
  %face.at = add i64 %p, 8
  %face = call i32 @number(ptr %base, i64 %face.at)
  %face.to = getelementptr i32, ptr %faces.of, i64 %row
  store i32 %face, ptr %face.to
  ret void
}""").substitute(KIND=ENHANCED, SMALLEST=SMALLEST[ENHANCED], COLUMNS=COLUMNS)


def read_options(view: Any, block: Block, start: int) -> Iterator[tuple[int, bytes]]:
    """The options of a block, code and value, from byte `start` of the file."""
    position, _, size, order = block
    end = position + size - 4
    while start + 4 <= end:
        code, length = struct.unpack_from(f"{order}HH", view, start)
        if code == 0:
            return
        if start + 4 + length > end:
            raise Broken(f"option {code} at byte {start} does not fit in its block")
        yield code, bytes(view[start + 4 : start + 4 + length])
        start += 4 + length + -length % 4


def encode(batch: PacketBatch) -> Iterator[bytes]:
    """The pieces of a pcapng file: one section, an interface for each link type.

    Times are in nanoseconds; an unknown one is written as 0.  Link types must
    be known.
    """
    yield framed(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    times = batch.columns.times_ns
    first = 0 if times is None else int(times.min(initial=0, where=times != NO_TIME)) // NANO
    interfaces = {linktype: number for number, linktype in enumerate(batch.linktypes)}
    clock = struct.pack("<HHBxxxHHq", TSRESOL, 1, 9, TSOFFSET, 8, first) + bytes(4)
    for linktype in interfaces:
        yield framed(INTERFACE, struct.pack("<HHI", linktype, 0, 0) + clock)
    for packet in batch:
        ticks = 0 if packet.time_ns is None else packet.time_ns
        ticks -= first * NANO
        number = interfaces[packet.linktype or 0]
        lengths = (len(packet.data), packet.wirelen)
        head = struct.pack("<IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, *lengths)
        yield framed(ENHANCED, head + packet.data)


def framed(kind: int, body: bytes) -> bytes:
    """A block around a body, little-endian."""
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
