"""A million packets of mixed kinds and sizes, the same on every machine.

    capture(folder, MILLION)     the path of a pcap file, made where there is none

The file is made in parts of 50,000 packets, each from a seed of its own, so that a
small file is the beginning of the large one.  Random numbers are the raw words of
numpy's PCG64, which numpy promises to keep; everything else is arithmetic on
them.  SHA256 pins what comes out.

Sizes are as on the Internet: many small, many full, and some between, about
754 bytes in the mean.  Kinds, addresses and ports are in random order.
Left out: the headers (`frames`), payloads with a meaning.

Source: pcap-savefile(5).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

import numpy as np

from frames import KINDS, WORD

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.int64]
    Sizes = npt.NDArray[np.int64]
    Bytes = npt.NDArray[np.uint8]

__all__ = ["MILLION", "QUICK", "capture"]

MILLION, QUICK = 1_000_000, 50_000
SEED = 1993
SHA256 = {
    MILLION: "7319d68faae0d6c33077501d6ca505cb1b50898010763f7b795952c6df16b46b",
    QUICK: "d157036d12300d23caa820084705b8ee21fb289301535603b3473c0976eb7dce",
}
PART = 50_000  # packets made at a time
RECORD = 16  # bytes before each packet in the file
START = 1_700_000_000  # the first packet's second
SMALL, FULL = 37, 42  # of a hundred packets; 8 more have 576 bytes, the others any size
PAYLOAD = 1 << 16  # random bytes, repeated


def capture(folder: Path, packets: int) -> Path:
    """The pcap file of so many packets; ValueError where its bytes are not the pinned ones."""
    path = folder / f"traffic-{SEED}-{packets}.pcap"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as unfinished:
            made = Path(unfinished) / path.name
            with made.open("wb") as file:
                file.writelines(pieces(packets))
            os.replace(made, path)
    with path.open("rb") as file:
        forget(file)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256.get(packets, found):
        raise ValueError(f"{path} is not the pinned input: its SHA-256 is {found}; remove it")
    return path


def forget(file: IO[bytes]) -> None:
    """Drop a file's pages, so that reading it in order now leaves them as a copy would.

    What a page cache's pages are like, large or small, hangs on how the file was read
    last, and mapping it costs twice as much with small ones.
    """
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def pieces(packets: int) -> Iterator[bytes | memoryview]:
    """The file header, for Ethernet and microseconds, and the parts."""
    fields = (0xA1B2C3D4, 2 | 4 << 16, 0, 0, 262144, 1)
    yield b"".join(each.to_bytes(4, "little") for each in fields)
    for part in range(packets // PART):
        yield records(part).data


def records(part: int) -> Bytes:
    """The records of a part, as they lie in the file."""
    random = np.random.PCG64([SEED, part])
    words = numbers(random.random_raw(PART * len(WORD))).reshape(len(WORD), PART)
    payload = random.random_raw(PAYLOAD // 8).astype("<u8").view(np.uint8)
    shares = [kind.share for kind in KINDS.values()]
    kinds = np.repeat(np.arange(len(KINDS)), shares)[words[WORD["kind"]] % 1000]
    least, most = (
        np.array([getattr(kind, bound) for kind in KINDS.values()])[kinds]
        for bound in ("least", "most")
    )
    sizes = np.clip(drawn_sizes(words[WORD["size"]]), least, most)
    ends = np.cumsum(sizes + RECORD)
    starts = ends - sizes
    image: Bytes = np.resize(payload, int(ends[-1]))
    place(image, starts - RECORD, record_headers(part, sizes))
    for number, kind in enumerate(KINDS.values()):
        rows = np.flatnonzero(kinds == number)
        place(image, starts[rows], kind.maker(words[:, rows], sizes[rows]))
    return image


def numbers(raw: npt.NDArray[np.uint64]) -> Words:
    """63 bits of each word: signed, they mix with every other number."""
    return (raw >> np.uint64(1)).astype(np.int64)


def drawn_sizes(words: Words) -> Sizes:
    """Sizes in bytes without the check sequence, 60 to 1514."""
    draw, among = words % 100, words >> 32
    between = 90 + among % 1424
    small = 60 + among % 30
    choices = [draw < SMALL, draw < SMALL + FULL, draw < SMALL + FULL + 8]
    chosen = np.select(choices, [small, np.full(len(words), 1514), np.full(len(words), 576)])
    return np.where(chosen, chosen, between).astype(np.int64)


def record_headers(part: int, sizes: Sizes) -> Bytes:
    """Seconds, microseconds and both lengths: a packet every two microseconds."""
    times = 2 * (PART * part + np.arange(len(sizes)))
    columns = (START + times // 1_000_000, times % 1_000_000, sizes, sizes)
    return np.stack(columns, axis=1).astype("<u4").view(np.uint8)


def place(image: Bytes, starts: Sizes, rows: Bytes) -> None:
    """Write each row into the image where it starts."""
    image[starts[:, None] + np.arange(rows.shape[1])] = rows
