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
from typing import TYPE_CHECKING, Any, NamedTuple

from bpfnb.errors import CaptureError
from bpfnb.packets.columns import NO_TIME, Columns, Index
from bpfnb.packets.linktype import by_number

if TYPE_CHECKING:
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


def blocks(view: Any, end: int | None = None) -> Iterator[Block]:
    """The blocks of a file, or of its first `end` bytes, one after the other.

    Raises Broken where one cannot be.
    """
    size, position, order = len(view) if end is None else end, 0, "<"
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


def index(view: Any, path: str) -> Index:
    """Find the packets of a file whose first block is sound.

    Columns of the good ones, and what is wrong behind them.
    """
    indexer, end, error = Indexer(view), 0, None
    try:
        for block in blocks(view):
            kind = block[1]
            if kind in PACKET_BLOCKS:
                indexer.packet(block)
            elif kind == INTERFACE:
                indexer.interface(block)
            elif kind == SECTION:
                indexer.interfaces = []
            end = block[0] + block[2]
    except Broken as reason:
        record = len(indexer.offsets) + 1
        error = CaptureError(path, record, str(reason), "the packets before it can be used")
    return Index(indexer.columns(), end, error)


class Indexer:
    """Collects the columns, one block at a time."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self.interfaces: list[Interface] = []  # of the section at hand
        self.announced: set[int] = set()  # link types of all interfaces so far
        self.offsets, self.lengths, self.wirelens = array("Q"), array("I"), array("I")
        self.linktypes, self.times = array("i"), array("q")

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
        import numpy as np

        columns = Columns(
            offsets=np.array(self.offsets, np.uint64),
            lengths=np.array(self.lengths, np.uint32),
            wirelens=np.array(self.wirelens, np.uint32),
            times_ns=np.array(self.times, np.int64),
        )
        if len(self.offsets) == 0:
            return columns.labelled(self.announced.pop()) if len(self.announced) == 1 else columns
        return columns.labelled(np.array(self.linktypes, np.int32))


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
