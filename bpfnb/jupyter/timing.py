"""How long a packet takes on each backend: the median of several runs, and spread.

A run is as many passes over all packets as fill RUN_SECONDS, so that the clock's
own steps do not count.  What is timed is a batch run as a user's call is; but on
"linux" it is the length accepted, by two system calls a packet, and not all 32
bits of ret, which take several runs: a line says so.

Left out: benchmarks over many filters (`benchmarks/`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.backends import run_many
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError
from bpfnb.packets.packet import PacketBatch
from bpfnb.views import style
from bpfnb.views.plots_table import factor
from bpfnb.views.plots_times import Times, nanoseconds
from bpfnb.views.view import View

__all__ = ["Timing", "Timings", "measure"]

RUNS = 7
RUN_SECONDS = 0.05  # a run repeats the batch until it takes this long
ALL_SECONDS = 10.0  # after this no further run is started
LEAST = 1000  # packets in a call: beside them the call itself counts for little
YARDSTICK = "libpcap"  # the backend that the others are compared with
LINUX = "linux: one run a packet; reading all 32 bits of ret takes several"


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
    """ns per packet on each backend, and how each compares with libpcap.

    >>> print(Timings((Timing("interp", (5100.0, 5000.0, 5400.0)),), 100))
    ns per packet over 100 packets: median of 3 runs (fastest – slowest)
      interp  5,100  (5,000 – 5,400)
    >>> print(Timings((Timing("native", (4.0,)), Timing("libpcap", (48.0,))), 9).text())
    ns per packet over 9 packets: median of 1 run (fastest – slowest)
      native    4.0  (4.0 – 4.0)    12× as fast as libpcap
      libpcap  48.0  (48.0 – 48.0)
    """

    timings: tuple[Timing, ...]
    packets: int

    @property
    def plot(self) -> Times:
        """The same as a picture."""
        return Times({each.backend: each.runs for each in self.timings}, self.packets)

    def headline(self) -> str:
        """What the numbers are."""
        runs = sorted({len(each.runs) for each in self.timings})
        shown = " or ".join(str(each) for each in runs)
        over = style.plural(self.packets, "packet")
        said = "run" if runs == [1] else "runs"
        return f"ns per packet over {over}: median of {shown} {said} (fastest – slowest)"

    def cells(self) -> list[tuple[str, str, str, str]]:
        """A row a backend: name, median, spread, comparison with libpcap."""
        yardstick = next((e.median for e in self.timings if e.backend == YARDSTICK), None)
        return [
            (
                each.backend,
                nanoseconds(each.median),
                f"({nanoseconds(min(each.runs))} – {nanoseconds(max(each.runs))})",
                compared(each, yardstick),
            )
            for each in self.timings
        ]

    def text(self) -> str:
        """The headline, and a line a backend."""
        rows = self.cells()
        name, median, spread = (max(len(row[at]) for row in rows) for at in (0, 1, 2))
        lines = [
            f"  {row[0]:<{name}}  {row[1]:>{median}}  {row[2]:<{spread}}  {row[3]}".rstrip()
            for row in rows
        ]
        return "\n".join([self.headline(), *lines, *(f"  {each}" for each in self.notes())])

    def notes(self) -> list[str]:
        """What must be known to read the rows."""
        linux = any(each.backend == "linux" for each in self.timings)
        return [LINUX] if linux else []

    def html(self) -> str:
        """The same as a table."""
        rows = [
            style.row(
                [
                    style.cell(row[0]),
                    style.cell(row[1], "right"),
                    style.cell(style.muted(row[2])),
                    style.cell(style.plain(row[3])),
                ]
            )
            for row in ([escape(each) for each in cells] for cells in self.cells())
        ]
        html = style.caption(escape(self.headline())) + style.table(rows, "backend")
        notes = (style.caption(style.muted(escape(each))) for each in self.notes())
        return style.scroll(html + "".join(notes))


def compared(timing: Timing, yardstick: float | None) -> str:
    """How fast a backend is beside libpcap, in words; nothing for libpcap itself."""
    if yardstick is None or timing.backend == YARDSTICK:
        return ""
    times = yardstick / timing.median
    if times >= 1:
        return f"{factor(times)} as fast as libpcap"
    return f"takes {factor(1 / times)} libpcap's time"


def measure(
    program: Program, batch: PacketBatch, names: Sequence[str], budget: int | None = None
) -> Timings:
    """Time a program over a batch on each backend named, and on libpcap to compare with.

    A small batch is handed over many times in one call, so that it is packets
    that are timed and not calls.
    """
    many = repeated(batch)
    timings = [timed(program, many, name, budget) for name in names]
    if YARDSTICK not in names:
        try:
            timings.append(timed(program, many, YARDSTICK, budget))
        except UnavailableError:
            pass  # it cannot run this program: then there is no comparison
    return Timings(tuple(timings), len(batch))


def repeated(batch: PacketBatch) -> PacketBatch:
    """The packets over and over, until there are LEAST of them; the bytes are shared."""
    import numpy as np

    if not 0 < len(batch) < LEAST:
        return batch
    return batch.take(np.tile(np.arange(len(batch)), -(-LEAST // len(batch))))


def timed(program: Program, batch: PacketBatch, name: str, budget: int | None) -> Timing:
    """One backend's runs."""
    return Timing(name, time_runs(runner(program, batch, name, budget), max(len(batch), 1)))


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
