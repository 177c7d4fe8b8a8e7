"""Writing a file whole or not at all, and which format its name asks for.

A reader never sees half a file: the pieces go to a new file beside it, which
takes its place when it is complete.
Left out: the formats themselves (`pcapfile`, `pcapng`).
"""

from __future__ import annotations

import gzip
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from bpfnb.errors import LinktypeError, PacketError
from bpfnb.packets import pcapfile, pcapng
from bpfnb.packets.linktype import find, phrase
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.progress import progress

__all__ = ["family", "replace_file", "write_capture", "write_pieces"]

BLOCK = 1 << 20  # bytes that are written at a time


def family(path: str) -> str:
    """The format that a name asks for: "pcapng", "pcap", or "" for neither.

    >>> family("a/b.pcapng.gz"), family("b.pcap"), family("b.out")
    ('pcapng', 'pcap', '')
    """
    name = path.lower().removesuffix(".gz")
    if name.endswith((".pcapng", ".ntar")):
        return "pcapng"
    return "pcap" if name.endswith((".pcap", ".cap", ".dmp")) else ""


def write_capture(
    path: str | os.PathLike[str],
    packets: PacketBatch | Iterable[Packet],
    linktype: str | int | None = None,
    ns: bool | None = None,
) -> int:
    """Write packets to a capture file; the number of packets written.

    The name tells the format: .pcapng, else pcap; with .gz behind it the file is
    packed.  Times, lengths and wirelens are kept exactly: `ns` None writes
    nanoseconds where a time needs them (pcapng has them always).  An unknown
    time is written as 0.  `linktype` is for packets whose own is unknown.

    Raises LinktypeError when a link type is unknown, or pcap would have to hold
    several; PacketError when the file cannot be written.
    """
    batch = packets if isinstance(packets, PacketBatch) else PacketBatch.of(packets)
    if linktype is not None:
        batch = batch.with_default_linktype(linktype)
    shown = os.fspath(path)
    if family(shown) == "pcapng":
        if any(packet.linktype is None for packet in batch):
            raise unknown_linktype()
        pieces = pcapng.encode(batch)
    else:
        only = find(linktype).number if linktype is not None and not len(batch) else batch.linktype
        if only is None and len(batch.linktypes) > 1:
            raise LinktypeError(
                f"a pcap file has one link type, these packets are {phrase(batch.linktypes)}",
                "write a .pcapng file, or choose with batch.relabel",
            )
        if only is None:
            raise unknown_linktype()
        fine = pcapfile.needs_ns(batch.columns) if ns is None else ns
        pieces = pcapfile.encode(batch, only, fine)
    write_pieces(shown, pieces, int(batch.columns.lengths.sum()))
    return len(batch)


def unknown_linktype() -> LinktypeError:
    """The error for packets that cannot be labelled in a file."""
    return LinktypeError("the packets' link type is unknown", 'say it: linktype="EN10MB"')


def write_pieces(path: str, pieces: Iterable[bytes], size: int) -> None:
    """Write pieces to a file, whole or not at all; `size` bytes in all or so, for the bar."""
    with replace_file(path) as file, progress(size, "bytes") as done:
        for block in blocks(pieces):
            file.write(block)
            done(len(block))


def blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of BLOCK bytes and more, but for the last."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    yield b"".join(waiting)


@contextmanager
def replace_file(path: str) -> Iterator[IO[bytes]]:
    """A new file that becomes `path` when the block ends well, and goes when not.

    A name that ends in .gz packs what is written.  Raises PacketError when the
    file cannot be written, or `path` is no regular file.
    """
    if "\0" in path:
        raise PacketError(f"{path!r}: a file's name has no NUL in it")
    try:
        target = os.path.realpath(os.path.expanduser(path))
    except UnicodeEncodeError:
        raise PacketError(f"{path}: no file can have this name") from None
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    try:
        if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            raise PacketError(f"{path}: this is no regular file", "give another name")
        with open(beside, "xb") as raw:
            if name.lower().endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
        os.replace(beside, target)
    except OSError as error:
        raise PacketError(f"{path}: cannot write: {error.strerror or error}") from None
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
