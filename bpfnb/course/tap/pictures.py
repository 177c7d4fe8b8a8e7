"""A tap's pictures: what the views need, taken from a run.

    overview(le0)             figure 1, with counts
    timeline(monitor)         its two buffers over time
    read_bytes(buffer)        what a read gave, byte by byte

Left out: how they look (`bpfnb.views`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bpfnb.course.tap.framing import BPF_HDR, Record, records
from bpfnb.course.tap.interface import Interface
from bpfnb.course.tap.listener import Listener, Listening
from bpfnb.course.tap.nit import NitStream
from bpfnb.views.tap_overview import Slot, TapDriver, TapListener, TapOverview
from bpfnb.views.tap_records import ReadBytes, Stretch
from bpfnb.views.tap_timeline import BufferTimeline

__all__ = ["overview", "read_bytes", "timeline"]

ROLES = ("store", "hold", "free")
FIELDS = ((0, 4, "tv_sec"), (4, 8, "tv_usec"), (8, 12, "caplen"), (12, 16, "datalen"),
          (16, 18, "hdrlen"))  # fmt: skip
ROWS = 16  # of sixteen bytes, that a picture of a read shows


def overview(*interfaces: Interface, filters: Mapping[str, str] | None = None) -> TapOverview:
    """Figure 1 of some interfaces; `filters` has words for filters, by their listeners' names."""
    words = filters or {}
    drivers = tuple(
        TapDriver(each.name, each.seen, each.taken, each.to_stack, each.sent, each.lost,
                  bool(each.promiscuous))
        for each in interfaces
    )  # fmt: skip
    return TapOverview(
        drivers,
        tuple(
            shown(each, at, words.get(each.name, ""))
            for at, interface in enumerate(interfaces)
            for each in interface.listeners
        ),
    )


def shown(each: Listening, driver: int, words: str) -> TapListener:
    """One listener."""
    if not words:
        words = "everything" if each.program is None else each.program.origin or "a program"
    found = each.counts
    size, kind = 0, "NIT"
    slots: tuple[Slot, ...] = ()
    if isinstance(each, Listener):
        size, kind = each.bufsize, "BPF"
        roles = {each.buffers.role(buffer): buffer for buffer in each.buffers.all}
        slots = tuple(
            Slot(role, len(roles[role].data), roles[role].packets) if role in roles
            else Slot(role, 0, 0)
            for role in ROLES
        )  # fmt: skip
    elif isinstance(each, NitStream):
        size = each.chunksize
        waiting = sum(packets for _, packets in each.head)
        slots = (
            Slot("chunk", len(each.chunk), each.in_chunk),
            Slot("head", sum(len(data) for data, _ in each.head), waiting),
        )
    return TapListener(
        each.name, words, driver, found.recv, found.rejected, found.dropped, found.delivered,
        found.reads, size, slots, kind,
    )  # fmt: skip


def timeline(each: Listening, until: int | None = None) -> BufferTimeline:
    """A listener's buffers from time 0 to its clock's, or to another time."""
    end = each.clock.now if until is None else until
    size = each.bufsize if isinstance(each, Listener) else getattr(each, "room", 0)
    rows = tuple(
        (moment.time_ns, moment.what, moment.buffers)
        for moment in each.moments
        if moment.time_ns <= end
    )
    return BufferTimeline(each.name, size, rows, end)


def read_bytes(buffer: bytes, rows: int = ROWS) -> ReadBytes:
    """What a read gave: its records, as far as they begin in the first rows of bytes."""
    found = list(records(buffer))
    size = min(rows * 16, len(buffer))
    parts = tuple(part for at, each in enumerate(found) for part in stretches(each, at + 1, buffer))
    return ReadBytes(
        buffer[:size],
        tuple(
            Stretch(part.start, min(part.stop, size), part.kind, part.words)
            for part in parts
            if part.start < size
        ),
        len(buffer),
        len(found),
    )


def stretches(record: Record, number: int, buffer: bytes) -> Iterator[Stretch]:
    """The header's fields, the packet, and the padding behind each."""
    values = (record.time_ns // 10**9, record.time_ns // 1000 % 10**6, record.caplen,
              record.datalen, record.hdrlen)  # fmt: skip
    start = record.start
    for (first, last, name), value in zip(FIELDS, values, strict=True):
        yield Stretch(start + first, start + last, "header", f"{name} {value:,}")
    data = start + record.hdrlen
    if record.hdrlen > BPF_HDR.size:
        yield Stretch(start + BPF_HDR.size, data, "padding", "pad")
    yield Stretch(data, record.stop, "packet", f"packet {number}: {record.caplen:,} bytes")
    behind = min(record.next, len(buffer))
    if behind > record.stop:
        yield Stretch(record.stop, behind, "padding", "pad")
