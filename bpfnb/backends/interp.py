"""The backend `interp`: our own machine, packet by packet.

It is the reference that the others are held against, and the only one that
runs unchecked programs.  Left out: speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

__all__ = ["run_many"]


def run_many(
    program: Program, batch: PacketBatch, budget: int | None = None
) -> npt.NDArray[np.uint32]:
    """Run on each packet: uint32 of shape (len(batch),)."""
    import numpy as np

    rets = (run(program, p.data, p.wirelen, p.ancillary, budget) for p in batch)
    return np.fromiter(rets, np.uint32, len(batch))
