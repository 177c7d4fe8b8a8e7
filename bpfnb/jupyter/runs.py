"""A program run on many packets: rets by backend, hit counts, rows to show.

The counts and rows are interp's, whichever backends are asked for: it alone
sees the path.  Packets are taken one at a time and no trace is kept, so that a
large capture costs no memory but four bytes a packet and backend; `Traces`
makes a packet's trace anew when it is asked for.  Long work shows a progress
bar on stderr.  Left out: timing (`timing`) and pictures (`views`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, overload

from bpfnb.backends import run_many
from bpfnb.cbpf import machine
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import UnavailableError
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.views.hits import Hits
from bpfnb.views.verdicts import VerdictRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rets = npt.NDArray[np.uint32]

__all__ = ["Run", "Traces", "run_all"]

ROWS = 200  # packets that get a row with summary and path
DIFFERING = 1000  # further rows for packets on which backends differ
PATIENCE = 3.0  # seconds before the progress bar appears
SLOW = 2000  # packets between two looks at the clock
PIECE = 65536  # packets that another backend is given at a time


@dataclass(frozen=True)
class Run:
    """What came of running on each packet of a batch.

    `rets[backend]` is an array of uint32, one a packet; `missing[backend]` says
    why a backend that was asked for could not run.  `rows` are the first
    packets, and behind them those on which backends differ.
    """

    backends: tuple[str, ...]
    rets: Mapping[str, Rets]
    missing: Mapping[str, str] = field(default_factory=dict)
    hits: Hits = field(default_factory=lambda: Hits(()))
    rows: tuple[VerdictRow, ...] = ()

    @property
    def ret(self) -> Rets:
        """The rets of the first backend that ran."""
        return next(iter(self.rets.values()))

    @property
    def differences(self) -> int:
        """How many packets the backends differ on."""
        return int(differing(self.rets).sum())


class Traces(Sequence[Trace]):
    """The traces of a batch, each made when it is asked for."""

    def __init__(self, program: Program, batch: PacketBatch, budget: int | None = None) -> None:
        self.program, self.batch, self.budget = program, batch, budget

    def __len__(self) -> int:
        return len(self.batch)

    def __repr__(self) -> str:
        return f"<Traces: {len(self)}>"

    @overload
    def __getitem__(self, index: int) -> Trace: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trace]: ...
    def __getitem__(self, index: int | slice) -> Trace | list[Trace]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        packet = self.batch[index]
        return trace(self.program, packet.data, packet.wirelen, packet.ancillary, self.budget)


def run_all(
    program: Program, batch: PacketBatch, names: Sequence[str], budget: int | None = None
) -> Run:
    """Run on every packet, on every backend named.

    A backend that this machine lacks is left out and named in `missing`; when
    none is left its UnavailableError is raised.  `budget` bounds the steps of a
    program that was not checked.
    """
    walk = Walk(program, batch, budget)
    hits = Hits.from_paths(program, walk)
    rets: dict[str, Rets] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            rets[name] = walk.rets if name == "interp" else elsewhere(program, batch, name)
        except UnavailableError as error:
            missing[name] = error.message
            if len(missing) == len(names):
                raise
    return Run(tuple(rets), rets, missing, hits, tuple(rows(walk, rets)))


class Walk:
    """One pass of the machine over a batch; iterating gives each packet's path."""

    def __init__(self, program: Program, batch: PacketBatch, budget: int | None) -> None:
        import numpy as np

        self.program, self.batch, self.budget = program, batch, budget
        self.rets: Rets = np.zeros(len(batch), np.uint32)

    def __iter__(self) -> Iterator[list[int]]:
        for number, packet in progress(self.batch):
            path, ret = follow(self.program, packet, self.budget)
            self.rets[number] = ret
            yield path


def follow(program: Program, packet: Packet, budget: int | None) -> tuple[list[int], int]:
    """Run on one packet: the pcs in order, and ret.  A trace without its states."""
    return machine.follow(program, packet.data, packet.wirelen, lambda: packet.ancillary, budget)


def progress(batch: PacketBatch) -> Iterator[tuple[int, Packet]]:
    """Each packet with its number from 0, and a bar on stderr when it takes long."""
    began, bar = time.monotonic(), None
    try:
        for number, packet in enumerate(batch):
            yield number, packet
            if bar is not None:
                bar.update()
            elif number % SLOW == SLOW - 1 and time.monotonic() - began > PATIENCE:
                bar = import_module("tqdm").tqdm(
                    total=len(batch), initial=number + 1, unit=" packets", leave=False
                )
    finally:
        if bar is not None:
            bar.close()


def elsewhere(program: Program, batch: PacketBatch, name: str) -> Rets:
    """Run on a backend that is not our machine, some packets at a time."""
    import numpy as np

    if len(batch) <= PIECE:
        return run_many(program, batch, name)
    pieces = [
        run_many(program, batch[start : start + PIECE], name)
        for start in range(0, len(batch), PIECE)
    ]
    return np.concatenate(pieces)


def rows(walk: Walk, rets: Mapping[str, Rets]) -> Iterator[VerdictRow]:
    """A row for each of the first packets, and for others that backends differ on."""
    for number in range(min(ROWS, len(walk.batch))):
        yield row(walk, number, rets)
    for number in differing(rets)[ROWS:].nonzero()[0][:DIFFERING]:
        yield row(walk, ROWS + int(number), rets)


def differing(rets: Mapping[str, Rets]) -> npt.NDArray[np.bool_]:
    """For each packet whether any backend differs from the first."""
    first, *others = rets.values()
    differs: npt.NDArray[np.bool_] = first != first
    for other in others:
        differs |= first != other
    return differs


def row(walk: Walk, number: int, rets: Mapping[str, Rets]) -> VerdictRow:
    """The row of packet `number` (from 0); it is shown counted from 1."""
    run = Traces(walk.program, walk.batch, walk.budget)[number]
    shown = VerdictRow.of(number + 1, walk.batch.summary(number), run)
    return replace(shown, rets=tuple(int(each[number]) for each in rets.values()))
