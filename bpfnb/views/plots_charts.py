"""Three charts of one build, as SVG: bars of verdicts, times, histograms.

A row has its label at the left, marks over a scale in the middle and its numbers
in columns at the right.  Left out: what the numbers are, and the paper drawn on
(`plots_canvas`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bpfnb.views import style
from bpfnb.views.plots_canvas import (
    FOOT,
    HEAD,
    INK,
    MARGIN,
    RULE,
    SMALL,
    SOFT,
    Sheet,
    dot,
    drawn,
    rule,
    scale,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Bar", "Histogram", "Span", "bars", "histograms", "spans"]

PITCH, THICK = 26.0, 14.0  # from row to row; a bar
TALL, MIDDLE, LOW = 120.0, 62.0, 40.0  # rows of a histogram: where there is one, few, many
MANY = 8
BINS = 60  # bars of a histogram
SHORTEST = 8  # numbers of instructions on its scale
APART = 4.0  # times the lowest peak from which each row has a scale of its own
LEAST = 1.5  # pixels of a bar that is not nothing
DIGIT = 6.3  # pixels of a digit over a bar
MARK = "#8a8a8a"  # how often, how long: a length, not a colour
SIGNS: tuple[tuple[str, str, str | None], ...] = (
    ("✓", style.ACCEPT, None),
    ("✗", style.REJECT, "////"),
)


@dataclass(frozen=True)
class Bar:
    """A row of `bars`: packets accepted and rejected.  Without `cells` it is a heading."""

    label: str
    accepted: int = 0
    rejected: int = 0
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """A row of `spans`: ns of the middle run, the fastest and the slowest."""

    label: str
    median: float
    fastest: float
    slowest: float
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Histogram:
    """A row of `histograms`: how many packets took each number of instructions."""

    label: str
    counts: Mapping[int, int]
    mean: float
    cells: tuple[str, ...]


def bars(rows: Sequence[Bar], heads: Sequence[str], alt: str) -> str:
    """Bars of accepted packets, solid, and behind them rejected ones, hatched.

    A head that begins with a verdict's sign has its tone and hatch before it.
    """
    height = HEAD + PITCH * len(rows) + MARGIN / 2

    def paint(figure: Figure) -> None:
        labels = [row.label for row in rows if row.cells]
        sheet = Sheet(figure, height, labels, heads, [row.cells for row in rows])
        sheet.columns(middle)
        most = max((row.accepted + row.rejected for row in rows), default=0)
        pixels = (sheet.right - sheet.left) / (most or 1)
        for at, row in enumerate(rows):
            if row.cells:
                sheet.label(row.label, middle(at))
            else:
                sheet.heading(row.label, middle(at))
            lengths = [
                max(count * pixels, LEAST) if count else 0 for count in (row.accepted, row.rejected)
            ]
            start = sheet.left
            for length, (_, tone, hatch) in zip(lengths, SIGNS, strict=True):
                bar(sheet.page, start, middle(at) - THICK / 2, length, THICK, tone, hatch)
                start += length
        for sign, tone, hatch in SIGNS:
            x = sheet.swatch(sign)
            if x is not None:
                bar(sheet.page, x, 13, 11, 10, tone, hatch)

    return drawn(height, alt, paint)


def spans(rows: Sequence[Span], heads: Sequence[str], logarithmic: bool, alt: str) -> str:
    """Medians over a scale from 0 as bars, over a logarithmic one as dots; thin: all runs."""
    height = HEAD + PITCH * len(rows) + FOOT

    def paint(figure: Figure) -> None:
        labels = [row.label for row in rows]
        sheet = Sheet(figure, height, labels, heads, [row.cells for row in rows])
        sheet.columns(middle)
        plot = sheet.plot()
        low, high = min(row.fastest for row in rows), max(row.slowest for row in rows)
        if logarithmic:
            plot.set_xscale("log")
            plot.set_xlim(low / 1.5, high * 1.5)
        else:
            plot.set_xlim(0, high * 1.04 or 1)
        scale(plot, "ns per packet" + (", logarithmic scale" if logarithmic else ""))
        for at, row in enumerate(rows):
            y = middle(at)
            sheet.label(row.label, y)
            if logarithmic:
                rule(plot, (plot.get_xlim()[0], row.median), (y, y), RULE, 1.0)
                dot(plot, row.median, y, "o", 5)
            else:
                plot.barh(y, row.median, THICK, color=MARK, linewidth=0, clip_on=False)
            rule(plot, (row.fastest, row.slowest), (y, y), INK, 1.4)
            for end in (row.fastest, row.slowest):
                rule(plot, (end, end), (y - 4, y + 4), INK, 1.4)

    return drawn(height, alt, paint)


def histograms(rows: Sequence[Histogram], heads: Sequence[str], alt: str) -> str:
    """A histogram a row over one scale; a bar's height is the share of the row's packets.

    Where a row's tallest bar would leave no height for another's, each has its own scale.
    """
    pitch = TALL if len(rows) == 1 else MIDDLE if len(rows) <= MANY else LOW
    height = HEAD + pitch * len(rows) + FOOT

    def base(at: int) -> float:
        return HEAD + pitch * (at + 1) - 12

    def paint(figure: Figure) -> None:
        labels = [row.label for row in rows]
        sheet = Sheet(figure, height, labels, heads, [row.cells for row in rows])
        sheet.columns(lambda at: base(at) - 10)
        plot = sheet.plot()
        longest = max(max(row.counts, default=0) for row in rows)
        width = bin_width(longest)
        plot.set_xlim(-0.5, max(longest + width, SHORTEST) + 0.5)
        binned = [into_bins(row.counts, width) for row in rows]
        peaks = [max(shares(each).values(), default=1.0) for each in binned]
        apart = max(peaks) > APART * min(peaks)
        words = "instructions executed for a packet; ▲ mean"
        words += f"; {width} a bar" if width > 1 else ""
        scale(plot, words + ("; heights by row" if apart else ""), whole=True)
        low, high = plot.get_xlim()
        room = (sheet.right - sheet.left) / (high - low) * width
        for at, (row, each) in enumerate(zip(rows, binned, strict=True)):
            y = base(at)
            rule(plot, (low, high), (y, y), RULE, 1.0)
            sheet.label(row.label, y - 10)
            fits = pitch > LOW and all(DIGIT * len(f"{n:,}") < room for n in each.values())
            tallest = (pitch - (32 if pitch > LOW else 18)) / (peaks[at] if apart else max(peaks))
            for start, part in shares(each).items():
                tall = max(part * tallest, LEAST)
                middle_of_bin = start + (width - 1) / 2
                plot.bar(
                    middle_of_bin, -tall, 0.72 * width, y, color=MARK, linewidth=0, clip_on=False
                )
                if fits:
                    count = f"{each[start]:,}"
                    write(plot, middle_of_bin, y - tall - 3, count, SMALL, SOFT, ha="center")
            if row.counts:
                dot(plot, row.mean, y + 5, "^", 6)

    return drawn(height, alt, paint)


def middle(at: int) -> float:
    """The middle of a row of bars or spans."""
    return HEAD + PITCH * (at + 0.5)


def bar(
    page: Axes, x: float, y: float, wide: float, tall: float, tone: str, hatch: str | None
) -> None:
    """A bar in a verdict's tone; nothing where it has no length."""
    from matplotlib.patches import Rectangle

    if wide:
        made = Rectangle((x, y), wide, tall, facecolor=tone, hatch=hatch, linewidth=0)
        page.add_patch(made).set_clip_on(False)


def bin_width(longest: int) -> int:
    """How many neighbouring numbers share a bar: 1, or 2, 5 times a power of ten.

    >>> bin_width(60), bin_width(61), bin_width(4096)
    (1, 2, 100)
    """
    if longest <= BINS:
        return 1
    power: int = 10 ** int(math.log10(longest / BINS))
    return next(power * step for step in (1, 2, 5, 10) if power * step * BINS >= longest)


def into_bins(counts: Mapping[int, int], width: int) -> dict[int, int]:
    """Counts by the first number of each bin, in order.

    >>> into_bins({7: 1, 4: 2, 5: 3}, 5)
    {0: 2, 5: 4}
    """
    found: dict[int, int] = {}
    for value, count in sorted(counts.items()):
        start = value // width * width
        found[start] = found.get(start, 0) + count
    return found


def shares(counts: Mapping[int, int]) -> dict[int, float]:
    """Each count's part of the whole."""
    whole = sum(counts.values()) or 1
    return {value: count / whole for value, count in counts.items() if count}
