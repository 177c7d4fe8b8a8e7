"""The backend `interp`: our own machine, packet by packet.

It is the reference that the others are held against, and the only one that
runs unchecked programs.  A packet costs no Packet object, and its notes are
derived when an instruction reads them.  Left out: speed beyond plain Python's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bpfnb.cbpf.ancillary import Ancillary, derive
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.packets.columns import UNKNOWN
from bpfnb.progress import progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.columns import Columns
    from bpfnb.packets.packet import PacketBatch

__all__ = ["contents", "run_many"]

PIECE = 4096  # packets whose columns are turned into Python numbers at a time


def run_many(
    program: Program, batch: PacketBatch, budget: int | None = None, jobs: int = 1
) -> npt.NDArray[np.uint32]:
    """Run on each packet: uint32 of shape (len(batch),)."""
    import numpy as np

    rets = (run(program, *each, budget) for each in contents(batch))
    return np.fromiter(rets, np.uint32, len(batch))


def contents(batch: PacketBatch) -> Iterator[tuple[bytes, int, Callable[[], Ancillary]]]:
    """Data, wirelen and notes of each packet in turn; the notes are made when they are called."""

    def notes() -> Ancillary:
        """Those of the packet at hand."""
        given = batch.notes[number] if batch.notes else None
        return derive(data, linktype(columns, number)) if given is None else given

    columns, number = batch.columns, -1
    with progress(len(batch), "packets") as done:
        for start in range(0, len(batch), PIECE):
            piece = slice(start, start + PIECE)
            buffer = batch.buffer  # asked for anew: a mapped file may have shrunk meanwhile
            offsets, lengths = columns.offsets[piece].tolist(), columns.lengths[piece].tolist()
            wirelens = columns.wirelens[piece].tolist()
            for offset, length, wirelen in zip(offsets, lengths, wirelens, strict=True):
                number += 1
                data = buffer[offset : offset + length]
                yield data, wirelen, notes
            done(len(offsets))


def linktype(columns: Columns, number: int) -> int | None:
    """The LINKTYPE_ number of one packet; None: unknown."""
    if columns.linktypes is None:
        return columns.linktype
    found = int(columns.linktypes[number])
    return None if found == UNKNOWN else found
