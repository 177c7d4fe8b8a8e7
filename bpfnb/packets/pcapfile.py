"""The classic pcap file: where its packets are, and writing one.

Reads both byte orders, times in microseconds and nanoseconds, and Kuznetzov's
variant of the 1990s, whose record headers are longer.  A file is trusted in
nothing: no length it claims is used before it is compared with the file's size.
Left out: pcap before version 2.4, and what no reader uses (thiszone, sigfigs).

Source: draft-ietf-opsawg-pcap, pcap-savefile(5).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any

from bpfnb import jit
from bpfnb.errors import CaptureError, PacketError
from bpfnb.packets.columns import NO_TIME, Columns, Index
from bpfnb.packets.filebytes import FileBytes
from bpfnb.packets.lanes import COLUMNS, Record
from bpfnb.packets.linktype import by_number
from bpfnb.packets.records import LONG, Rows, follow

if TYPE_CHECKING:
    from bpfnb.packets.packet import PacketBatch

__all__ = ["HEADER", "MAGICS", "Header", "encode", "index", "needs_ns", "read_header"]

HEADER = 24  # bytes before the first record
# magic as a big-endian file has it: (nanoseconds, bytes of a record's header)
MAGICS: dict[int, tuple[bool, int]] = {
    0xA1B2C3D4: (False, 16),
    0xA1B23C4D: (True, 16),
    0xA1B2CD34: (False, 24),  # Kuznetzov's: interface, protocol, packet type
}
MAX_SNAPLEN = 262144  # libpcap's; a record that claims more, and more than snaplen, is damaged
WIDEST_SNAPLEN = 0x7FFFFFFF
NANO = 1_000_000_000


@dataclass(frozen=True)
class Header:
    """What a file's header says.  `order` is "<" or ">", `record` 16 or 24 bytes."""

    order: str
    ns: bool
    record: int
    snaplen: int
    linktype: int

    @property
    def limit(self) -> int:
        """The most bytes a record can hold and be believed."""
        return max(MAX_SNAPLEN, min(self.snaplen, WIDEST_SNAPLEN))


def read_header(view: Any, path: str) -> Header:
    """Read the file header.  Raises CaptureError when it is none."""
    order = next((each for each in "<>" if struct.unpack_from(f"{each}I", view)[0] in MAGICS), None)
    if order is None:
        raise CaptureError(
            path,
            None,
            f"the first bytes are {bytes(view[:4]).hex()}; no capture begins so",
            "give a pcap or pcapng file; for a hex dump pass its text",
        )
    if len(view) < HEADER:
        raise CaptureError(path, None, f"the file ends in its header, at byte {len(view)} of 24")
    magic, major, minor, _, _, snaplen, network = struct.unpack_from(f"{order}IHHiIII", view)
    if (major, minor) < (2, 4) or major > 2:
        raise CaptureError(
            path,
            None,
            f"pcap version {major}.{minor}; 2.4 is read here",
            "rewrite it with tcpdump -r OLD -w NEW",
        )
    ns, record = MAGICS[magic]
    # The upper half of the field tells the length of the frame check sequence.
    return Header(order, ns, record, snaplen, by_number(network & 0xFFFF).number)


def index(file: FileBytes, header: Header) -> Index:
    """Find the packets: columns of the good ones, and what is wrong behind them."""
    rows, native = Rows(), len(file.view()) >= LONG and jit.works()
    if native:
        end = follow(file, record(header), rows, HEADER)
    else:
        end = walk(file.view(), header, rows)
    offsets, lengths, wirelens, times_ns, _ = rows.since(0)
    columns = Columns(offsets, lengths, wirelens, header.linktype, None, times_ns)
    return Index(columns, end, fault(file.view(), file.path, header, rows.count, end))


def walk(view: Any, header: Header, rows: Rows) -> int:
    """Add a row for each good record, without llvmlite; where the last of them ends."""
    import numpy as np

    starts, end = found(view, header)
    positions = np.array(starts, np.uint64)
    words = np.zeros((0, 4), np.uint32)
    if len(positions):
        # Every 16 bytes of the file as one overlapping item: no copy until chosen from.
        windows: Any = np.ndarray((len(view) - 15,), "V16", view, 0, (1,))
        words = windows[positions].view(f"{header.order}u4").reshape(-1, 4)
    seconds, fraction = words[:, 0].astype(np.int64), words[:, 1].astype(np.int64)
    times_ns = seconds * NANO + fraction * (1 if header.ns else 1000)
    offsets = positions + np.uint64(header.record)
    rows.add(offsets, words[:, 2], words[:, 3], times_ns, np.zeros(len(positions), np.uint32))
    return end


def found(view: Any, header: Header) -> tuple[array[int], int]:
    """Where each good record starts, and where the last of them ends."""
    caplen_at = struct.Struct(f"{header.order}I").unpack_from
    size, record, limit = len(view), header.record, header.limit
    starts = array("Q")
    add = starts.append
    position = HEADER
    last = size - record
    while position <= last:
        (caplen,) = caplen_at(view, position + 8)
        after = position + record + caplen
        if after > size or caplen > limit:
            break
        add(position)
        position = after
    return starts, position


def record(header: Header) -> Record:
    """What a record is, for native code."""
    unit = 1 if header.ns else 1000
    functions = RECORD.substitute(
        HEAD=header.record, LIMIT=header.limit, UNIT=unit, UNITS=NANO // unit, COLUMNS=COLUMNS,
        **dict(zip(UPPER, UPPER_AT[header.order], strict=True)),
    )  # fmt: skip
    return Record(functions, header.order, header.record)


# Where in a record's header the upper two bytes of caplen and wirelen stand, by byte order.
UPPER = ("CAPLEN_1", "CAPLEN_2", "WIRELEN_1", "WIRELEN_2")
UPPER_AT = {"<": (11, 10, 15, 14), ">": (8, 9, 12, 13)}
# The same for native code (`lanes`): seconds, fraction, caplen, wirelen, then the packet.
RECORD = Template("""
define internal i64 @next(ptr readonly %base, i64 %size, i64 %faces, i64 %p) nounwind alwaysinline {
  %packet = add i64 %p, $HEAD
  %whole = icmp ule i64 %packet, %size
  br i1 %whole, label %read, label %none
read:
  %caplen.at = add i64 %p, 8
  %caplen = call i32 @number(ptr %base, i64 %caplen.at)
  %believed = icmp ule i32 %caplen, $LIMIT
  %bytes = zext i32 %caplen to i64
  %end = add i64 %packet, %bytes
  %inside = icmp ule i64 %end, %size
  %good = and i1 %believed, %inside
  %next = select i1 %good, i64 %end, i64 0
  ret i64 %next
none:
  ret i64 0
}

; Sixteen places at a time: where both lengths are less than 5 * 2**16.
define internal i64 @seek(ptr readonly %base, i64 %size, i64 %from, i64 %to) nounwind {
start:
  br label %try
try:
  %p = phi i64 [ %from, %start ], [ %p.next, %on ]
  %behind = add i64 %p, 32
  %near = icmp ugt i64 %behind, %size
  %late = icmp uge i64 %p, %to
  %over = or i1 %near, %late
  br i1 %over, label %none, label %look
look:
  %place = getelementptr i8, ptr %base, i64 %p
  %caplen.1.at = getelementptr i8, ptr %place, i64 $CAPLEN_1
  %caplen.1 = load <16 x i8>, ptr %caplen.1.at, align 1
  %caplen.2.at = getelementptr i8, ptr %place, i64 $CAPLEN_2
  %caplen.2 = load <16 x i8>, ptr %caplen.2.at, align 1
  %wirelen.1.at = getelementptr i8, ptr %place, i64 $WIRELEN_1
  %wirelen.1 = load <16 x i8>, ptr %wirelen.1.at, align 1
  %wirelen.2.at = getelementptr i8, ptr %place, i64 $WIRELEN_2
  %wirelen.2 = load <16 x i8>, ptr %wirelen.2.at, align 1
  %upper = or <16 x i8> %caplen.1, %wirelen.1
  %upper.0 = icmp eq <16 x i8> %upper, zeroinitializer
  %caplen.4 = icmp ult <16 x i8> %caplen.2, splat (i8 5)
  %wirelen.4 = icmp ult <16 x i8> %wirelen.2, splat (i8 5)
  %both.4 = and <16 x i1> %caplen.4, %wirelen.4
  %all = and <16 x i1> %upper.0, %both.4
  %bits = bitcast <16 x i1> %all to i16
  %some = icmp ne i16 %bits, 0
  br i1 %some, label %found, label %on
found:
  %first = call i16 @llvm.cttz.i16(i16 %bits, i1 true)
  %ahead = zext i16 %first to i64
  %found.at = add i64 %p, %ahead
  ret i64 %found.at
on:
  %p.next = add i64 %p, 16
  br label %try
none:
  ret i64 %to
}
declare i16 @llvm.cttz.i16(i16, i1)

define internal i1 @usual(ptr readonly %base, i64 %p) nounwind alwaysinline {
  %fraction.at = add i64 %p, 4
  %fraction = call i32 @number(ptr %base, i64 %fraction.at)
  %part = icmp ult i32 %fraction, $UNITS
  %caplen.at = add i64 %p, 8
  %caplen = call i32 @number(ptr %base, i64 %caplen.at)
  %some = icmp ne i32 %caplen, 0
  %wirelen.at = add i64 %p, 12
  %wirelen = call i32 @number(ptr %base, i64 %wirelen.at)
  %cut = icmp ule i32 %caplen, %wirelen
  %lengths = and i1 %some, %cut
  %all = and i1 %part, %lengths
  ret i1 %all
}

define internal void @note(ptr readonly %base, i64 %p, i64 %row, $COLUMNS) nounwind alwaysinline {
  %offset = add i64 %p, $HEAD
  %caplen.at = add i64 %p, 8
  %caplen = call i32 @number(ptr %base, i64 %caplen.at)
  %wirelen.at = add i64 %p, 12
  %wirelen = call i32 @number(ptr %base, i64 %wirelen.at)
  %seconds = call i32 @number(ptr %base, i64 %p)
  %fraction.at = add i64 %p, 4
  %fraction = call i32 @number(ptr %base, i64 %fraction.at)
  %seconds.wide = zext i32 %seconds to i64
  %fraction.wide = zext i32 %fraction to i64
  %seconds.ns = mul i64 %seconds.wide, 1000000000
  %fraction.ns = mul i64 %fraction.wide, $UNIT
  %time = add i64 %seconds.ns, %fraction.ns
  call void @put(i64 %row, i64 %offset, i32 %caplen, i32 %wirelen, i64 %time, ptr %offsets,
      ptr %lengths, ptr %wires, ptr %times)
  ret void
}""")


def fault(view: Any, path: str, header: Header, good: int, position: int) -> CaptureError | None:
    """What is wrong at `position`, behind `good` records; None at the file's end."""
    left = len(view) - position
    if left == 0:
        return None
    where = f"at byte {position}"
    hint = "the packets before it can be used"
    if left < header.record:
        what = f"the file ends in the record's header {where}, {left} of {header.record} bytes"
        return CaptureError(path, good + 1, what, hint)
    (caplen,) = struct.unpack_from(f"{header.order}I", view, position + 8)
    if caplen > header.limit:
        what = f"caplen {where} is {caplen}; no more than {header.limit} is believed"
        return CaptureError(path, good + 1, what, hint)
    what = f"the file ends in the record {where}, with {left - header.record} of {caplen} bytes"
    return CaptureError(path, good + 1, what, hint)


def encode(batch: PacketBatch, linktype: int, ns: bool) -> Iterator[bytes]:
    """The pieces of a pcap file, little-endian; an unknown time is written as 0.

    Raises PacketError for a time that the format cannot hold.
    """
    longest = int(batch.columns.lengths.max()) if len(batch) else 0
    magic = 0xA1B23C4D if ns else 0xA1B2C3D4
    yield struct.pack("<IHHiIII", magic, 2, 4, 0, 0, max(MAX_SNAPLEN, longest), linktype)
    unit = 1 if ns else 1000
    for number, packet in enumerate(batch, 1):
        seconds, rest = divmod(packet.time_ns or 0, NANO)
        if not 0 <= seconds <= 0xFFFFFFFF:
            raise PacketError(
                f"packet {number}: its time is {seconds} s; pcap holds 0–{0xFFFFFFFF}",
                "write a .pcapng file",
            )
        head = (seconds, rest // unit, len(packet.data), packet.wirelen)
        yield struct.pack("<IIII", *head) + packet.data


def needs_ns(columns: Columns) -> bool:
    """Whether a time is finer than a microsecond."""
    times = columns.times_ns
    return times is not None and bool(((times % 1000 != 0) & (times != NO_TIME)).any())
