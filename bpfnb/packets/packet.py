"""Packets that filters run on: one Packet, and a PacketBatch of any number.

A batch keeps its packets in one buffer, with numpy columns for where each one
starts and how long it is, so that a million packets cost no Python object
each; a Packet is made when it is asked for.  A batch remembers what it was made
from and gives accepted packets back as that.
Left out: telling what was given (`source`), files (`capture`), reading headers
(`dissect`).

data: the bytes there are, caplen of them; wirelen: how many there were on the
wire; time_ns: nanoseconds since 1970, None when unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from bpfnb.cbpf.ancillary import Ancillary, derive
from bpfnb.errors import CaptureError, PacketError
from bpfnb.packets.columns import NO_TIME, UNKNOWN, Columns
from bpfnb.packets.filebytes import FileBytes
from bpfnb.packets.linktype import find, name, phrase, refuse_other_linktype

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Packet", "PacketBatch"]

LONGEST = 0xFFFFFFFF  # what a record's 32-bit lengths can say
CHUNK = 4096  # packets whose columns are turned into Python numbers at a time


class Packet:
    """One packet.

    `wirelen` is len(data) unless given; `linktype` the LINKTYPE_ number or None;
    `ancillary` the kernel's notes, told from the bytes unless given.

    >>> Packet(bytes.fromhex("ffffffffffff 001122334455 0806"), linktype=1).ancillary.proto
    2054
    """

    __slots__ = ("_derived", "_given", "data", "linktype", "time_ns", "wirelen")

    def __init__(
        self,
        data: bytes,
        wirelen: int | None = None,
        ancillary: Ancillary | None = None,
        linktype: int | None = None,
        time_ns: int | None = None,
    ) -> None:
        self.data = bytes(data)
        self.wirelen = len(self.data) if wirelen is None else wirelen
        if not 0 <= self.wirelen <= LONGEST:
            raise PacketError(f"wirelen is {self.wirelen}; it counts 0–{LONGEST} bytes")
        self.linktype, self.time_ns = linktype, time_ns
        self._given = ancillary
        self._derived: Ancillary | None = None

    @property
    def ancillary(self) -> Ancillary:
        """The kernel's notes about this packet."""
        if self._given is not None:
            return self._given
        if self._derived is None:
            self._derived = derive(self.data, self.linktype)
        return self._derived

    @property
    def given_ancillary(self) -> Ancillary | None:
        """The notes that came with the packet; None when they are told from its bytes."""
        return self._given

    def noted(self, wirelen: int | None = None, ancillary: Ancillary | None = None) -> Packet:
        """This packet with another wirelen, other notes; None keeps what it has."""
        return Packet(
            self.data,
            self.wirelen if wirelen is None else wirelen,
            self._given if ancillary is None else ancillary,
            self.linktype,
            self.time_ns,
        )

    def _key(self) -> tuple[object, ...]:
        return (self.data, self.wirelen, self._given, self.linktype, self.time_ns)

    def __len__(self) -> int:
        return len(self.data)

    def __bytes__(self) -> bytes:
        return self.data

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Packet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        cut = f" of {self.wirelen}" if self.wirelen != len(self.data) else ""
        return f"<Packet: {len(self.data)}{cut} bytes, {name(self.linktype)}>"


class PacketBatch(Sequence[Packet]):
    """Any number of packets in one buffer.

    A sequence of Packet.  For scanning in bulk: `buffer` (bytes, or a mapped
    file) and the arrays of `columns`.  `sources` are the objects the packets
    were made from, one a packet, and `rebuild` makes the type given out of some
    of them; without them `select` gives a batch.
    """

    def __init__(
        self,
        buffer: bytes | FileBytes,
        columns: Columns,
        *,
        notes: Sequence[Ancillary | None] | None = None,
        sources: Sequence[Any] | None = None,
        rebuild: Callable[[list[Any]], Any] | None = None,
        error: CaptureError | None = None,
    ) -> None:
        self._bytes, self._columns, self._error = buffer, columns, error
        columns.require_inside(len(self.buffer))
        if notes is not None and len(notes) != len(columns.offsets):
            raise PacketError(f"there are notes on {len(notes)} of {len(columns.offsets)} packets")
        self._notes, self.sources, self._rebuild = notes, sources, rebuild

    @classmethod
    def of(
        cls,
        packets: Iterable[Packet],
        sources: Sequence[Any] | None = None,
        rebuild: Callable[[list[Any]], Any] | None = None,
    ) -> PacketBatch:
        """A batch of packets, `sources` and `rebuild` as in the class.

        Packets without a link type take the one that all the others share.

        >>> PacketBatch.of([Packet(b"abc", linktype=1), Packet(b"")])
        <PacketBatch: 2 packets, EN10MB>
        """
        kept = tuple(packets)
        notes = [each.given_ancillary for each in kept]
        return PacketBatch(
            b"".join(each.data for each in kept),
            Columns.in_a_row(
                [len(each.data) for each in kept],
                [each.wirelen for each in kept],
                [each.linktype for each in kept],
                [each.time_ns for each in kept],
            ),
            notes=notes if any(note is not None for note in notes) else None,
            sources=sources,
            rebuild=rebuild,
        )

    @property
    def buffer(self) -> Any:
        """What `columns.offsets` count in: bytes or mmap, with the buffer protocol.

        Raises CaptureError when a mapped file has shrunk since it was opened.
        """
        return self._bytes.view() if isinstance(self._bytes, FileBytes) else self._bytes

    @property
    def columns(self) -> Columns:
        """Offsets, lengths, wirelens, link types and times, one entry a packet."""
        return self._columns

    @property
    def notes(self) -> Sequence[Ancillary | None] | None:
        """The kernel's notes that came with the packets; None: all are told from the bytes."""
        return self._notes

    @property
    def error(self) -> CaptureError | None:
        """What is wrong with the file behind the last packet; None: nothing."""
        return self._error

    @property
    def linktype(self) -> int | None:
        """The packets' LINKTYPE_ number; None when they differ or it is unknown."""
        return self.columns.linktype

    @property
    def linktypes(self) -> tuple[int, ...]:
        """The LINKTYPE_ numbers that occur, ascending."""
        import numpy as np

        columns = self.columns
        if columns.linktypes is None:
            return () if columns.linktype is None else (columns.linktype,)
        return tuple(int(each) for each in np.unique(columns.linktypes) if each != UNKNOWN)

    def __len__(self) -> int:
        return len(self.columns.offsets)

    @overload
    def __getitem__(self, index: int) -> Packet: ...
    @overload
    def __getitem__(self, index: slice) -> PacketBatch: ...
    def __getitem__(self, index: int | slice) -> Packet | PacketBatch:
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        number = self._at(index)
        return next(self._made(number, number + 1))

    def __iter__(self) -> Iterator[Packet]:
        for start in range(0, len(self), CHUNK):
            yield from self._made(start, min(start + CHUNK, len(self)))

    def _at(self, index: int) -> int:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"packet {number} of {len(self)}")
        return number % len(self)

    def _made(self, start: int, stop: int) -> Iterator[Packet]:
        """The packets start..stop-1, made."""
        buffer, columns = self.buffer, self.columns
        count = stop - start
        linktypes: list[int | None] = [columns.linktype] * count
        if columns.linktypes is not None:
            found = columns.linktypes[start:stop].tolist()
            linktypes = [None if each == UNKNOWN else each for each in found]
        times: list[int | None] = [None] * count
        if columns.times_ns is not None:
            read = columns.times_ns[start:stop].tolist()
            times = [None if each == NO_TIME else each for each in read]
        rows = zip(
            columns.offsets[start:stop].tolist(),
            columns.lengths[start:stop].tolist(),
            columns.wirelens[start:stop].tolist(),
            self._notes[start:stop] if self._notes else [None] * count,
            linktypes,
            times,
            strict=True,
        )
        for offset, length, wirelen, note, linktype, time_ns in rows:
            yield Packet(buffer[offset : offset + length], wirelen, note, linktype, time_ns)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._described()}>"

    def _described(self) -> str:
        """How many packets of which link types."""
        count = f"{len(self)} packet{'' if len(self) == 1 else 's'}"
        return f"{count}, {phrase(self.linktypes) or name(None)}"

    def summary(self, index: int) -> str:
        """One line about packet `index`, by scapy; plain text, whatever the bytes."""
        from bpfnb.packets.dissect import summary

        packet = self[index]
        source = self.sources[self._at(index)] if self.sources else None
        return summary(packet.data, packet.linktype, source)

    def require_linktype(self, linktype: int | None) -> None:
        """Raise LinktypeError when a packet is known to be of another link type.

        The message names the first such packet, counted from 1, when not all are.
        """
        kinds = self.columns.linktypes
        if kinds is None:
            refuse_other_linktype(linktype, self.linktype)
        elif linktype is not None:
            wrong = ((kinds != find(linktype).number) & (kinds != UNKNOWN)).nonzero()[0]
            if len(wrong):
                where = f"packet {int(wrong[0]) + 1}"
                refuse_other_linktype(linktype, int(kinds[wrong[0]]), where)

    def relabel(self, linktype: str | int) -> PacketBatch:
        """The same packets, all said to be of this link type, whatever they say."""
        return self._with(self.columns.labelled(find(linktype).number))

    def with_default_linktype(self, linktype: str | int) -> PacketBatch:
        """The same packets; those whose link type is unknown get this one."""
        columns = self.columns.filled(find(linktype).number)
        return self if columns is self.columns else self._with(columns)

    def _with(self, columns: Columns) -> PacketBatch:
        return PacketBatch(
            self._bytes,
            columns,
            notes=self._notes,
            sources=self.sources,
            rebuild=self._rebuild,
            error=self.error,
        )

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> PacketBatch:
        """A batch of the packets with these indices; the bytes are shared."""
        import numpy as np

        rows = np.asarray(indices, dtype=np.int64)
        kept = rows.tolist() if self._notes or self.sources is not None else []
        return PacketBatch(
            self._bytes,
            self.columns.take(rows),
            notes=[self._notes[each] for each in kept] if self._notes else None,
            sources=[self.sources[each] for each in kept] if self.sources is not None else None,
            rebuild=self._rebuild,
        )

    def select(self, mask: Any) -> Any:
        """The packets where `mask` is true, in the type that was given.

        `mask` has one entry a packet: truth values, or rets.  A list gives a
        list of the same objects, a PacketList a PacketList, a single packet a
        list, a capture a PacketBatch.
        """
        import numpy as np

        chosen = np.asarray(mask)
        if chosen.shape != (len(self),):
            raise PacketError(f"the mask has shape {chosen.shape}, the batch {len(self)} packets")
        rows = np.flatnonzero(chosen)
        if self.sources is None or self._rebuild is None:
            return self.take(rows)
        return self._rebuild([self.sources[each] for each in rows.tolist()])
