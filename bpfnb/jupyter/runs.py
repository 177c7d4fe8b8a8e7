"""A program run on many packets: rets by backend, hit counts, rows to show.

The counts are interp's, whichever backends are asked for, or for a large batch
native's, if it is one of them: only these two see the path.  The rows are interp's.
Packets are taken one at a time and no trace is kept, so that a large capture
costs no memory but four bytes a packet and backend; `Traces` makes a packet's trace
anew when it is asked for.
Left out: timing (`timing`) and pictures (`views`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, overload

from bpfnb.backends import first_difference, quickest, run_many
from bpfnb.backends.differences import explains
from bpfnb.backends.facts import needed
from bpfnb.backends.questions import EVERY
from bpfnb.cbpf import machine
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import RunError, UnavailableError
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.progress import progress
from bpfnb.views.hits import Hits
from bpfnb.views.verdicts import VerdictRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rets = npt.NDArray[np.uint32]

__all__ = ["Run", "Traces", "run_all"]

ROWS = 200  # packets that get a row with summary and path
DIFFERING = 1000  # further rows for packets on which backends differ
OFTEN = 1000  # packets between two looks at the clock


@dataclass(frozen=True)
class Run:
    """What came of running on each packet of a batch.

    `rets[backend]` is an array of uint32, one a packet; `missing[backend]` says
    why a backend that was asked for could not run.  `rows` are the first
    packets, and behind them those on which backends differ; `why` names the
    first difference, where it has a name.  Rets are not `compared` where each
    backend is right to give another.  `steps` has how many packets took each number
    of instructions; None where native counted, which does not see it.
    """

    backends: tuple[str, ...]
    rets: Mapping[str, Rets]
    missing: Mapping[str, str] = field(default_factory=dict)
    hits: Hits = field(default_factory=lambda: Hits(()))
    rows: tuple[VerdictRow, ...] = ()
    why: str = ""
    compared: bool = True
    steps: Mapping[int, int] | None = None

    @property
    def ret(self) -> Rets:
        """The rets of the first backend that ran."""
        return next(iter(self.rets.values()))

    @property
    def differences(self) -> int:
        """How many packets the backends differ on."""
        return int(differing(self.rets).sum()) if self.compared else 0


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

    A backend that cannot run it here is left out and named in `missing`; when
    none is left its UnavailableError is raised.  `budget` bounds the steps of a
    program that was not checked.
    """
    counted = "native" in names and quickest(program, len(batch), budget) == "native"
    found, hits, steps = (count if counted else walk)(program, batch, budget)
    rets: dict[str, Rets] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            rets[name] = found[name] if name in found else run_many(program, batch, name, budget)
        except UnavailableError as error:
            missing[name] = error.message
            if len(missing) == len(names):
                raise
    shown = tuple(rows(Traces(program, batch, budget), rets))
    compared = budget is not None or "rand" not in needed(program)
    why = reason(program, batch, rets) if compared else ""
    return Run(tuple(rets), rets, missing, hits, shown, why, compared, steps)


def reason(program: Program, batch: PacketBatch, rets: Mapping[str, Rets]) -> str:
    """The name of what backends differ on, at the first packet where they do; "" without one."""
    first = first_difference(rets)
    if first is None:
        return ""
    packet = batch[first]
    kinds = {name if name in EVERY else "interp" for name in rets}
    return explains(program, packet.data, packet.wirelen, packet.ancillary, kinds) or ""


def count(
    program: Program, batch: PacketBatch, budget: int | None
) -> tuple[Mapping[str, Rets], Hits, None]:
    """Run natively: its rets by its name, hit counts, and no numbers of instructions."""
    from bpfnb.backends import native

    rets, counts = native.compiled(program).count(batch)
    return {"native": rets}, Hits.from_counts(program, counts.tolist(), len(batch)), None


def walk(
    program: Program, batch: PacketBatch, budget: int | None
) -> tuple[Mapping[str, Rets], Hits, Counter[int]]:
    """Run on our machine: the same, and how many packets took each number of instructions."""
    walked = Walk(program, batch, budget)
    hits = Hits.from_paths(program, walked)
    return {"interp": walked.rets}, hits, walked.steps


class Walk:
    """One pass of the machine over a batch; iterating gives each packet's path."""

    def __init__(self, program: Program, batch: PacketBatch, budget: int | None) -> None:
        import numpy as np

        self.program, self.batch, self.budget = program, batch, budget
        self.rets: Rets = np.zeros(len(batch), np.uint32)
        self.steps: Counter[int] = Counter()

    def __iter__(self) -> Iterator[list[int]]:
        with progress(len(self.batch), "packets") as done:
            for number, packet in enumerate(self.batch):
                try:
                    path, ret = follow(self.program, packet, self.budget)
                except RunError as error:
                    raise RunError(f"packet {number + 1}: {error.message}", error.hint) from None
                self.rets[number] = ret
                self.steps[len(path)] += 1
                if number % OFTEN == OFTEN - 1:
                    done(OFTEN)
                yield path


def follow(program: Program, packet: Packet, budget: int | None) -> tuple[list[int], int]:
    """Run on one packet: the pcs in order, and ret.  A trace without its states."""
    return machine.follow(program, packet.data, packet.wirelen, lambda: packet.ancillary, budget)


def rows(traces: Traces, rets: Mapping[str, Rets]) -> Iterator[VerdictRow]:
    """A row for each of the first packets, and for others that backends differ on."""
    for number in range(min(ROWS, len(traces))):
        yield row(traces, number, rets)
    for number in differing(rets)[ROWS:].nonzero()[0][:DIFFERING]:
        yield row(traces, ROWS + int(number), rets)


def differing(rets: Mapping[str, Rets]) -> npt.NDArray[np.bool_]:
    """For each packet whether any backend differs from the first."""
    first, *others = rets.values()
    differs: npt.NDArray[np.bool_] = first != first
    for other in others:
        differs |= first != other
    return differs


def row(traces: Traces, number: int, rets: Mapping[str, Rets]) -> VerdictRow:
    """The row of packet `number` (from 0); it is shown counted from 1."""
    shown = VerdictRow.of(number + 1, traces.batch.summary(number), traces[number])
    return replace(shown, rets=tuple(int(each[number]) for each in rets.values()))
