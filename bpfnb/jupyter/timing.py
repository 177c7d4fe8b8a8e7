"""How long a packet takes on each backend: the median of several runs, and spread.

A run is as many passes over all packets as fill a tenth of a second or so, so
that the clock's own steps do not count.  What is timed is a batch run as a
user's call is; on "linux" that is the length accepted, by two system calls a
packet, and not all 32 bits of ret, which would take several runs.

Left out: plots, and benchmarks over many filters (`benchmarks/`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.backends import run_many
from bpfnb.cbpf.program import Program
from bpfnb.packets.packet import PacketBatch
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["Timing", "Timings", "measure"]

RUNS = 7
RUN_SECONDS = 0.05  # a run repeats the batch until it takes this long
ALL_SECONDS = 10.0  # after this no further run is started


@dataclass(frozen=True)
class Timing:
    """One backend's ns per packet, a number for each run."""

    backend: str
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """ns per packet: as many runs were faster as slower."""
        return statistics.median(self.runs)


@dataclass(frozen=True)
class Timings(View):
    """ns per packet on each backend.

    >>> print(Timings((Timing("interp", (5100.0, 5000.0, 5400.0)),), 100))
    ns per packet over 100 packets: median of 3 runs (fastest – slowest)
      interp  5,100  (5,000 – 5,400)
    """

    timings: tuple[Timing, ...]
    packets: int

    def headline(self) -> str:
        """What the numbers are."""
        runs = sorted({len(each.runs) for each in self.timings})
        shown = " or ".join(str(each) for each in runs)
        over = style.plural(self.packets, "packet")
        return f"ns per packet over {over}: median of {shown} runs (fastest – slowest)"

    def cells(self) -> list[tuple[str, str, str]]:
        """A row a backend: name, median, spread."""
        return [
            (
                each.backend,
                f"{each.median:,.0f}",
                f"({min(each.runs):,.0f} – {max(each.runs):,.0f})",
            )
            for each in self.timings
        ]

    def text(self) -> str:
        """The headline, and a line a backend."""
        rows = self.cells()
        name, median = (max(len(row[at]) for row in rows) for at in (0, 1))
        lines = [f"  {row[0]:<{name}}  {row[1]:>{median}}  {row[2]}" for row in rows]
        return "\n".join([self.headline(), *lines])

    def html(self) -> str:
        """The same as a table."""
        rows = [
            style.row(
                [style.cell(row[0]), style.cell(row[1], "right"), style.cell(style.muted(row[2]))]
            )
            for row in ([escape(each) for each in cells] for cells in self.cells())
        ]
        return style.scroll(style.caption(escape(self.headline())) + style.table(rows, "backend"))


def measure(
    program: Program, batch: PacketBatch, names: Sequence[str], budget: int | None = None
) -> Timings:
    """Time a program over a batch on each backend named."""
    timings = [
        Timing(name, time_runs(runner(program, batch, name, budget), max(len(batch), 1)))
        for name in names
    ]
    return Timings(tuple(timings), len(batch))


def runner(
    program: Program, batch: PacketBatch, name: str, budget: int | None
) -> Callable[[], object]:
    """One pass over the batch: on "linux" a send and a receive for each packet."""
    if name == "linux":
        from bpfnb.linux.sockfilter import verdicts

        data = [packet.data for packet in batch]
        return lambda: verdicts(program, data)
    return lambda: run_many(program, batch, name, budget)


def time_runs(run: Callable[[], object], packets: int) -> tuple[float, ...]:
    """ns per packet of up to RUNS runs, after one that warms up and tells the size."""
    began = time.monotonic()
    once = elapsed(run, 1)
    times = max(1, round(RUN_SECONDS / max(once, 1e-9)))
    found: list[float] = []
    while len(found) < RUNS and (not found or time.monotonic() - began < ALL_SECONDS):
        found.append(elapsed(run, times) / times / packets * 1e9)
    return tuple(found)


def elapsed(run: Callable[[], object], times: int) -> float:
    """Seconds that `times` runs take."""
    began = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - began
