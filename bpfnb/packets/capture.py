"""A capture file as a batch of packets: pcap and pcapng, plain or in gzip.

    open_capture("x.pcap")     <Capture x.pcap: 12 packets, EN10MB>

The file is looked through when its packets are first asked for.  What is
damaged ends the batch, not the work: the packets before it are there, and
`error` says which record is bad and why.
Left out: the formats (`pcapfile`, `pcapng`), getting at the bytes (`filebytes`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Protocol

from bpfnb.errors import CaptureError, PacketError, brief
from bpfnb.packets import pcapfile, pcapng
from bpfnb.packets.columns import Columns, Index
from bpfnb.packets.filebytes import UNPACKED_LIMIT, FileBytes, load
from bpfnb.packets.packet import PacketBatch
from bpfnb.packets.savefile import family, write_capture, write_pieces

PIECE = 1 << 20  # bytes that are copied at a time

__all__ = ["Capture", "open_capture", "write_capture"]


class Format(Protocol):
    """One file format, its file header read."""

    family: str

    def index(self, file: FileBytes) -> Index:
        """Find the packets."""

    def pieces(self, view: Any, found: Index, kept: Any) -> Iterator[bytes]:
        """A file of the same format with the packets for which `kept` is true."""


class Capture(PacketBatch):
    """The packets of a file, as `open_capture` makes it.

    `path` is the file's name as given, `family` its format.  All that a
    PacketBatch can do, and `write`.
    """

    def __init__(self, file: FileBytes, form: Format) -> None:
        self._file, self._format = file, form
        self.path, self.family = file.path, form.family
        self._found: Index | None = None
        self._bytes = file
        self._notes = self.sources = self._rebuild = None

    def _index(self) -> Index:
        """Look through the file, once."""
        if self._found is None:
            found = self._format.index(self._file)
            if self._file.flaw:
                record, hint = len(found.columns.offsets) + 1, "the packets before it can be used"
                error = CaptureError(self.path, record, self._file.flaw, hint)
                found = found._replace(error=error)
            self._found = found
        return self._found

    @property
    def columns(self) -> Columns:
        """Offsets, lengths, wirelens, link types and times, one entry a packet."""
        return self._index().columns

    @property
    def error(self) -> CaptureError | None:
        """What is wrong with the file behind its last good packet; None: nothing."""
        return self._index().error

    def __repr__(self) -> str:
        bad = f"; {self.error.message.removeprefix(f'{brief(self.path)}, ')}" if self.error else ""
        return f"<Capture {brief(os.path.basename(self.path))}: {self._described()}{bad}>"

    def write(self, path: str | os.PathLike[str], mask: Any = None) -> int:
        """Write the packets where `mask` is true, or all; how many were written.

        A name that asks for this file's own format, or for none, gets every
        record copied byte for byte, and a pcapng file its other blocks too.
        Raises PacketError when the file cannot be written.
        """
        import numpy as np

        kept = np.ones(len(self), bool) if mask is None else np.asarray(mask) != 0
        if kept.shape != (len(self),):
            raise PacketError(
                f"the mask has shape {kept.shape}, the capture {len(self)} packets",
                "give one truth value or ret a packet, as prog.run_many(capture) does",
            )
        shown = os.fspath(path)
        if family(shown) not in ("", self.family):
            return write_capture(path, self.take(np.flatnonzero(kept)))
        pieces = self._format.pieces(self.buffer, self._index(), kept)
        write_pieces(shown, pieces, int(self.columns.lengths[kept].sum()))
        return int(kept.sum())


class Pcap:
    """The classic format."""

    family = "pcap"

    def __init__(self, header: pcapfile.Header) -> None:
        self.header = header

    def index(self, file: FileBytes) -> Index:
        """Find the packets."""
        return pcapfile.index(file, self.header)

    def pieces(self, view: Any, found: Index, kept: Any) -> Iterator[bytes]:
        """The file header and the kept records, as they are."""
        import numpy as np

        yield view[: pcapfile.HEADER]
        columns = found.columns
        # Records side by side go together: such a run begins and ends where `kept` changes.
        changes = np.flatnonzero(np.diff(kept, prepend=False, append=False))
        firsts, lasts = changes[::2], changes[1::2] - 1
        begins = columns.offsets[firsts] - np.uint64(self.header.record)
        ends = columns.offsets[lasts] + columns.lengths[lasts]
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield from cut(view, begin, end)


class Pcapng:
    """The format with blocks."""

    family = "pcapng"

    def index(self, file: FileBytes) -> Index:
        """Find the packets."""
        return pcapng.index(file)

    def pieces(self, view: Any, found: Index, kept: Any) -> Iterator[bytes]:
        """All blocks but those of packets left out, as they are, up to a fault."""
        verdicts = iter(kept.tolist())
        begin = 0
        for position, kind, length, _ in pcapng.blocks(view, found.end):
            if kind in pcapng.PACKET_BLOCKS and not next(verdicts):
                yield from cut(view, begin, position)
                begin = position + length
        yield from cut(view, begin, found.end)


def cut(view: Any, begin: int, end: int) -> Iterator[bytes]:
    """Bytes of a file, some at a time."""
    for start in range(begin, end, PIECE):
        yield view[start : min(start + PIECE, end)]


def open_capture(
    path: str | os.PathLike[str], *, strict: bool = False, limit: int = UNPACKED_LIMIT
) -> Capture:
    """Open a pcap or pcapng file, plain or packed by gzip.

    A damaged record ends the batch and is told by `Capture.error`; `strict`
    raises it instead.  gzip may unpack to `limit` bytes, in a temporary file.
    Raises PacketError when there is no such file, CaptureError when its first
    bytes are no capture's.
    """
    shown = os.fspath(path)
    if not isinstance(shown, str):
        raise PacketError(f"a path is text, not {type(shown).__name__}")
    file = load(shown, limit)
    view = file.view()
    if len(view) < 4:
        size = f"{len(view)} bytes are too few for a capture" if len(view) else "the file is empty"
        raise CaptureError(shown, None, size, file.flaw)
    form: Format
    if view[:4] == pcapng.MAGIC:
        pcapng.read_header(view, shown)
        form = Pcapng()
    else:
        form = Pcap(pcapfile.read_header(view, shown))
    capture = Capture(file, form)
    if strict and capture.error is not None:
        raise capture.error
    return capture
