"""How long things take, as distributions under each other: a small histogram a row.

    Spread({"direct": [52e3, 49e3, …], "2 proxies": [199e3, 187e3, …]}, "request", "direct")

All rows are over one scale of times, and a mark stands at each median.  What is far out at
the right is counted, not drawn: one hiccup of a machine would squeeze all the rest.
Left out: taking the times.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bpfnb.errors import BpfError, brief
from bpfnb.views import style
from bpfnb.views.plots_canvas import (
    FOOT,
    HEAD,
    RULE,
    SMALL,
    SOFT,
    Sheet,
    dot,
    drawn,
    rule,
)
from bpfnb.views.plots_table import Plot, factor, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Spread", "duration"]

PITCH, TALL = 38.0, 26.0  # pixels of a row, and of its highest bar
BINS = 90  # over the whole scale
FAR = 12.0  # times the lowest from which the scale is logarithmic
TENTH = 10  # parts that the middle leaves one of at each side
BEYOND = 1.6  # times the farthest ninth tenth: what is farther out is not drawn
MARK = "#8a8a8a"
UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
ROUND = (1, 2, 5)
TICKS = 5


@dataclass(frozen=True)
class Spread(Plot):
    """Times in ns by name, at least one each; `what` is what takes them.

    `against` is the name that the others are compared with, else the first; `said` is the
    answer in place of who is slowest.

    >>> print(Spread({"direct": [50e3, 52e3, 54e3], "2 proxies": [190e3, 200e3]}, "request"))
    2 proxies: 3.8× the time of direct
      name        median      middle 80%  against direct
      direct     52.0 µs  50.0 – 54.0 µs            1.0×
      2 proxies   195 µs    190 – 200 µs            3.8×
    """

    times: Mapping[str, Sequence[float]]
    what: str = ""
    against: str = ""
    said: str = ""
    asked: str = "How long does it take?  A bar: how many of these times; ▲ their median"

    def __post_init__(self) -> None:
        for name, found in self.times.items():
            if not len(found) or not all(math.isfinite(each) and each > 0 for each in found):
                raise BpfError(f"{named(name)}: these are no times", "give the ns of one or more")
        if self.against and self.against not in self.times:
            raise BpfError(f"there are no times of {named(self.against)}")

    @property
    def question(self) -> str:
        """What it answers."""
        return self.asked

    def empty(self) -> bool:
        """Whether there is no name."""
        return not self.times

    @property
    def medians(self) -> dict[str, float]:
        """As many times were shorter as longer."""
        return {name: statistics.median(each) for name, each in self.times.items()}

    @property
    def measure(self) -> str:
        """The name that the others are compared with."""
        return self.against or next(iter(self.times), "")

    def ratio(self, name: str) -> float:
        """How many times as long as that one it takes, by their medians."""
        return self.medians[name] / self.medians[self.measure]

    def answer(self) -> str:
        """First the answer: the slowest against the one to compare with."""
        if self.said or not self.times:
            return self.said or "no times to compare"
        slowest = max(self.medians, key=self.medians.__getitem__)
        if len(self.times) == 1:
            return f"{named(slowest)}: {duration(self.medians[slowest])}"
        return f"{named(slowest)}: {factor(self.ratio(slowest))} the time of {named(self.measure)}"

    @property
    def alt(self) -> str:
        """The chart in words."""
        return super().alt.replace("bar chart", "histograms", 1)

    def heads(self) -> list[str]:
        """The median, what most of them lie between, and against the first."""
        return ["name", "median", "middle 80%", f"against {named(self.measure)}"]

    def cells(self) -> list[list[str]]:
        """A row a name."""
        return [
            [named(name), duration(self.medians[name]), between(*middle(each)),
             factor(self.ratio(name))]
            for name, each in self.times.items()
        ]  # fmt: skip

    def drawn(self) -> str:
        """The histograms."""
        rows = list(self.times.items())[: style.FOLD]
        height = HEAD + PITCH * len(rows) + FOOT
        low, high = ends([each for _, each in rows])
        cells = [(row[1], row[3]) for row in self.cells()]
        beyond = sum(value > high for _, each in rows for value in each)

        def base(at: int) -> float:
            return HEAD + PITCH * (at + 1) - 8

        def paint(figure: Figure) -> None:
            sheet = Sheet(figure, height, [name for name, _ in rows], ("median", "×"), cells)
            sheet.columns(lambda at: base(at) - 8)
            plot = sheet.plot()
            if high / low > FAR:
                plot.set_xscale("log")
                plot.set_xlim(low / 1.2, high * 1.1)
            else:
                plot.set_xlim(0, high * 1.02)
            edges = bins(plot)
            words = f"time of a {self.what}" if self.what else "time"
            words += ", logarithmic scale" if plot.get_xscale() == "log" else ""
            words += f"; {beyond:,} took longer than is drawn" if beyond else ""
            scale(plot, words)
            for at, (name, each) in enumerate(rows):
                sheet.label(name, base(at) - 8)
                rule(plot, plot.get_xlim(), (base(at), base(at)), RULE, 0.6)
                paint_row(plot, edges, each, base(at))
                dot(plot, self.medians[name], base(at) + 5, "^", 5)

        return drawn(height, self.alt, paint)


def paint_row(plot: Axes, edges: Sequence[float], times: Sequence[float], base: float) -> None:
    """One histogram, its highest bar as high as the row."""
    import numpy as np

    counts, _ = np.histogram(times, edges)
    most = max(int(counts.max()), 1)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            tall = max(TALL * float(count) / most, 1.0)
            plot.bar(left, -tall, right - left, base, align="edge", color=MARK, linewidth=0,
                     clip_on=False)  # fmt: skip


def bins(plot: Axes) -> list[float]:
    """The edges of bars that are alike on the scale."""
    left, right = plot.get_xlim()
    if plot.get_xscale() == "log":
        return [left * (right / left) ** (at / BINS) for at in range(BINS + 1)]
    return [left + (right - left) * at / BINS for at in range(BINS + 1)]


def ends(rows: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The ends of the scale: the shortest time, and a little beyond what most take."""
    high = BEYOND * max(middle(each)[1] for each in rows)
    return min(min(each) for each in rows), min(high, max(max(each) for each in rows))


def middle(times: Sequence[float]) -> tuple[float, float]:
    """What a tenth is below, and what a tenth is above.

    >>> middle(range(1, 102))
    (11, 91)
    """
    ordered = sorted(times)
    step = (len(ordered) - 1) / TENTH
    return ordered[round(step)], ordered[round(len(ordered) - 1 - step)]


def scale(plot: Axes, words: str) -> None:
    """Ticks at round durations, and what they are."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    plot.xaxis.set_major_locator(FixedLocator(ticks(*plot.get_xlim(), plot.get_xscale() == "log")))
    plot.xaxis.set_minor_locator(NullLocator())
    plot.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    plot.tick_params(axis="x", length=3, color=RULE, labelcolor=SOFT, labelsize=SMALL, pad=3)
    said = brief(words)
    plot.set_xlabel(said, fontsize=SMALL, color=SOFT, labelpad=2, loc="left", parse_math=False)


def ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round numbers between the two.

    >>> ticks(0, 420, False), ticks(20, 3000, True)
    ([0, 100, 200, 300, 400], [100, 1000])
    """
    if logarithmic:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        return [10**power for power in powers]
    power = 10 ** math.floor(math.log10(high / TICKS))
    step = next((power * each for each in ROUND if power * each >= high / TICKS), power * 10)
    return [step * at for at in range(int(high / step) + 1)]


def duration(ns: float) -> str:
    """A time in the unit that suits it, to three digits.

    >>> duration(82.4), duration(52_994), duration(199_758), duration(1.5e6)
    ('82.4 ns', '53.0 µs', '200 µs', '1.50 ms')
    """
    size, unit = next((each for each in UNITS if ns >= each[0]), UNITS[-1])
    value = ns / size
    return f"{value:.{2 if value < 10 else 1 if value < 99.95 else 0}f} {unit}"


def plain(ns: float) -> str:
    """A round time, for a scale.

    >>> plain(0), plain(100_000)
    ('0', '100 µs')
    """
    size, unit = next((each for each in UNITS if ns >= each[0]), UNITS[-1])
    return f"{ns / size:,.10g} {unit}" if ns else "0"


def between(low: float, high: float) -> str:
    """Two times, the unit once where it is the same.

    >>> between(50e3, 54e3), between(900, 1100)
    ('50.0 – 54.0 µs', '900 ns – 1.10 µs')
    """
    first, last = duration(low), duration(high)
    number, unit = first.split()
    return f"{number} – {last}" if unit == last.split()[1] else f"{first} – {last}"
