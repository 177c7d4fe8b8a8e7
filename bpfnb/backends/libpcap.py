"""The backend `libpcap`: pcap's own evaluator, from the library that compiles expressions.

`bpf_filter` is called for each packet where it lies in the batch's buffer, and the
program held against pcap's validator once.  What its machine cannot do is
refused with a sentence: the extensions, of which it has none, and programs that
could abort or hold up this process.

Where libpcap and Linux differ by design, this gives what libpcap gives:
`backends.differences` has their names.  Left out: the VLAN notes that libpcap
hands its evaluator while it captures.

Source: libpcap's bpf_filter.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import CheckError, PacketError, UnavailableError
from bpfnb.pcap.library import Evaluator, load
from bpfnb.progress import progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

    Rets = npt.NDArray[np.uint32]

__all__ = ["run_many"]

PIECE = 4096  # packets between two looks at whether a mapped file still has its bytes
BACKWARD = 1 << 31  # libpcap takes a ja's k for signed: from here on it jumps back


def run_many(
    program: Program, batch: PacketBatch, budget: int | None = None, jobs: int = 1
) -> Rets:
    """Run on each packet: uint32 of shape (len(batch),).

    PacketError when a packet lies outside the batch's buffer.
    """
    import numpy as np

    if budget is not None:
        raise UnavailableError(
            "libpcap runs no unchecked program: that could abort this process, or never end"
        )
    evaluator = prepared(program)
    size = len(batch)
    rets = np.empty(size, np.uint32)
    with progress(size, "packets") as done:
        for first in range(0, size, PIECE):
            last = min(first + PIECE, size)
            rets[first:last] = piece(evaluator, batch, first, last)
            done(last - first)
    return rets


def prepared(program: Program) -> Evaluator:
    """The evaluator of a program that libpcap's machine can run as it is meant."""
    for pc, insn in enumerate(program.insns):
        row = BY_CODE.get(insn.code)
        if row and row.form is Form.ABS and insn.k in BY_K:
            raise UnavailableError(
                f"libpcap has no extensions: ({pc:03d}) {row.mnemonic} {BY_K[insn.k].name} "
                "is a load far past the end there"
            )
        if row and row.form is Form.TARGET and insn.k >= BACKWARD:
            raise UnavailableError(
                f"libpcap might never come back: ({pc:03d}) {row.mnemonic} jumps backwards"
            )
    try:
        return load().evaluator(program)
    except CheckError as error:
        broken = error.faults[0]
        raise UnavailableError(
            f"libpcap takes no such program: ({broken.pc:03d}) {broken.message} [{broken.rule}]"
        ) from None


def piece(evaluator: Evaluator, batch: PacketBatch, first: int, last: int) -> list[int]:
    """The rets of packets first … last - 1; the buffer is looked at anew."""
    import numpy as np

    memory = np.frombuffer(batch.buffer, np.uint8)
    offsets = batch.columns.offsets[first:last]
    caplens = batch.columns.lengths[first:last]
    room = np.uint64(len(memory))
    outside = np.flatnonzero((offsets > room) | (caplens > room - offsets))
    if len(outside):
        raise PacketError(f"packet {first + int(outside[0]) + 1} lies outside the batch's buffer")
    addresses = offsets + np.uint64(memory.__array_interface__["data"][0])
    wirelens = batch.columns.wirelens[first:last]
    return list(evaluator.run_at(addresses.tolist(), wirelens.tolist(), caplens.tolist()))
