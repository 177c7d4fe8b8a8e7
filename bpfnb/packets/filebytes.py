"""The bytes of a file: read whole, mapped, or unpacked from gzip first.

A file up to WHOLE bytes is read, a larger one mapped: a mapped file that
another program cuts short (`tcpdump -w` on the same name does) would end this
process at the next look, so its size is asked for before each; what is cut off
in the middle of one cannot be told in time.  gzip is unpacked
to a temporary file, up to a limit.
Left out: what the bytes mean, and other compressions, which are named.
"""

from __future__ import annotations

import mmap
import os
import stat
import tempfile
import zlib
from difflib import get_close_matches
from typing import IO

from bpfnb.errors import CaptureError, PacketError

__all__ = ["UNPACKED_LIMIT", "WHOLE", "FileBytes", "load"]

WHOLE = 64 << 20  # bytes; up to this a file is read into memory
UNPACKED_LIMIT = 1 << 30  # bytes that a gzip file may unpack to
PIECE = 1 << 18  # bytes at a time
LOOKS = 64  # places of a file that are looked at

GZIP = b"\x1f\x8b"
PACKED: dict[bytes, tuple[str, str]] = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"\xfd7zXZ\0": ("xz", "xz -d"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\x04\x22\x4d\x18": ("lz4", "lz4 -d"),
    b"PK\x03\x04": ("zip", "unzip"),
}


class FileBytes:
    """A file's bytes under the file's name.

    `flaw` says what is wrong behind the last byte (a gzip stream that ends too
    early), and is empty when nothing is.
    """

    def __init__(
        self, path: str, data: bytes | mmap.mmap, flaw: str = "", file: IO[bytes] | None = None
    ) -> None:
        self.path, self.flaw = path, flaw
        self._data, self._file = data, file
        self._size = len(data)

    def view(self) -> bytes | mmap.mmap:
        """The bytes.  Raises CaptureError when the file has shrunk since."""
        if isinstance(self._data, mmap.mmap) and self._data.size() < self._size:
            raise CaptureError(
                self.path, None, "the file became shorter while it was open", "open it again"
            )
        return self._data

    def in_memory(self) -> bool:
        """Whether a mapped file seems to be in memory whole, by a look at some of its bytes."""
        if self._file is None or not hasattr(os, "RWF_NOWAIT"):
            return True
        try:
            for start in range(0, self._size, max(1, self._size // LOOKS)):
                os.preadv(self._file.fileno(), [bytearray(1)], start, os.RWF_NOWAIT)
        except BlockingIOError:  # it would have to wait for the disk
            return False
        except OSError:
            pass  # this file system cannot tell
        return True

    def bring(self, begin: int, end: int) -> None:
        """Read a part of a mapped file into memory, in order.

        Read page by page, as one comes by, a file takes four times as long; and its
        pages are small ones then, for whoever comes next.  Raises CaptureError where
        the disk does not give it: looked at in the map, that would end this process.
        """
        if self._file is None:
            return
        room = bytearray(PIECE)
        try:
            for start in range(begin, end, PIECE):
                os.preadv(self._file.fileno(), [room], start)
        except OSError as error:
            what = f"byte {start} cannot be read: {error.strerror or error}"
            raise CaptureError(self.path, None, what) from None


def load(path: str, limit: int = UNPACKED_LIMIT) -> FileBytes:
    """Open a regular file; gzip may unpack to `limit` bytes.

    Raises PacketError when it cannot be read, CaptureError when it is packed in
    another way or unpacks to too much.
    """
    shown = os.path.expanduser(path)
    try:
        mode = os.stat(shown).st_mode
        if not stat.S_ISREG(mode):
            what = "a directory" if stat.S_ISDIR(mode) else "a device or a pipe"
            raise PacketError(f"{path}: this is {what}", "give a regular file")
        with open(shown, "rb") as file:
            head = file.read(6)
            file.seek(0)
            if head.startswith(GZIP):
                return unpack(path, file, limit)
            for magic, (kind, command) in PACKED.items():
                if head.startswith(magic):
                    raise CaptureError(
                        path, None, f"the file is packed by {kind}", f"unpack it with {command}"
                    )
            if os.fstat(file.fileno()).st_size <= WHOLE:
                return FileBytes(path, file.read())
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return FileBytes(path, mapped, file=os.fdopen(os.dup(file.fileno()), "rb"))
    except FileNotFoundError:
        raise PacketError(f"{path}: there is no such file", nearest(shown)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PacketError(f"{path}: {reason}") from None


def nearest(path: str) -> str:
    """A hint with the file name in the same folder that is most alike, or nothing."""
    folder, wanted = os.path.split(path)
    try:
        near = get_close_matches(wanted, os.listdir(folder or "."), n=1)
    except OSError:
        return f"there is no folder {folder} either"
    return f"did you mean {os.path.join(folder, near[0])}?" if near else ""


def unpack(path: str, file: IO[bytes], limit: int) -> FileBytes:
    """Unpack gzip into a temporary file that goes with its last user."""
    with tempfile.TemporaryFile(prefix="bpfnb-") as spill:
        flaw = inflate(path, file, spill, limit)
        spill.flush()
        if spill.tell() == 0:
            return FileBytes(path, b"", flaw)
        return FileBytes(path, mmap.mmap(spill.fileno(), 0, access=mmap.ACCESS_READ), flaw)


def inflate(path: str, file: IO[bytes], spill: IO[bytes], limit: int) -> str:
    """Unpack all members of a gzip file; what is wrong with it, or nothing."""
    inflater = zlib.decompressobj(wbits=31)
    waiting = b""
    while True:
        waiting = waiting or file.read(PIECE)
        if not waiting:
            return "" if inflater.eof else "the gzip stream ends too early"
        if inflater.eof:
            waiting = waiting.lstrip(b"\0")  # padding between members
            if waiting:
                inflater = zlib.decompressobj(wbits=31)
            continue
        before = inflater.copy()
        try:
            spill.write(inflater.decompress(waiting, PIECE))
        except zlib.error as error:
            spill.write(salvage(before, waiting))
            return f"the gzip stream is broken ({error})"
        waiting = inflater.unconsumed_tail or inflater.unused_data
        if spill.tell() > limit:
            raise CaptureError(
                path,
                None,
                f"the file unpacks to more than {limit} bytes",
                "open_capture(path, limit=BYTES) allows more; or gunzip it first",
            )


def salvage(inflater: zlib._Decompress, packed: bytes) -> bytes:
    """What comes out of a broken piece before the break."""
    found = bytearray()
    for at in range(len(packed)):
        try:
            found += inflater.decompress(packed[at : at + 1])
        except zlib.error:
            break
    return bytes(found)
