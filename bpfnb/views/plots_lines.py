"""Curves over one scale: what something costs, or how much is lost, as a number grows.

    Lines({"NIT": [(64, 103.0), (1514, 416.2)]}, "bytes", "µs per packet", answer)

Each curve has a shape of its marks beside its tone, and its name at its end.
Left out: where the numbers come from, and an answer, which is to be given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.plots_canvas import INK, RULE, SMALL, SOFT, TICKS, Sheet, clip, drawn, write
from bpfnb.views.plots_table import Plot, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Lines"]

HEIGHT, TOP, FOOT, LEFT, RIGHT, WIDTH = 300.0, 34.0, 46.0, 62.0, 190.0, 640.0
TONES = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
SHAPES = ("o", "s", "^", "D", "v", "P")
APART = 14.0  # pixels between the names of two curves


@dataclass(frozen=True)
class Lines(Plot):
    """Curves of (x, y), by name; `said` is the answer, `asked` the question.

    `points` are drawn without a line between them: what was measured beside a line.
    `logarithmic` is for the scale of y.

    >>> print(Lines({"a": [(1, 2.0), (2, 4.0)]}, "n", "ms", "a grows"))
    a grows
      n    a
      1  2.0
      2  4.0
    """

    series: Mapping[str, Sequence[tuple[float, float]]]
    x: str
    y: str
    said: str
    asked: str = ""
    points: tuple[str, ...] = ()
    logarithmic: bool = False

    def __post_init__(self) -> None:
        for name, found in self.series.items():
            if not found or (self.logarithmic and min(y for _, y in found) <= 0):
                raise BpfError(f"{named(name)}: there is nothing to draw on this scale")

    @property
    def question(self) -> str:
        """What it answers."""
        return self.asked

    def answer(self) -> str:
        """First the answer."""
        return self.said

    def empty(self) -> bool:
        """Whether there is no curve."""
        return not self.series

    @property
    def alt(self) -> str:
        """The chart in words."""
        return super().alt.replace("bar chart", "line chart", 1)

    def heads(self) -> list[str]:
        """What x is, then the names."""
        return [self.x, *map(named, self.series)]

    def left(self) -> tuple[int, ...]:
        """No column holds words."""
        return ()

    def cells(self) -> list[list[str]]:
        """A row for each x."""
        found = {name: dict(each) for name, each in self.series.items()}
        places = sorted({x for each in found.values() for x in each})
        return [
            [f"{x:,.10g}", *(shown(each[x]) if x in each else "" for each in found.values())]
            for x in places
        ]

    def drawn(self) -> str:
        """The curves, each with its name at its end."""

        def paint(figure: Figure) -> None:
            page = Sheet(figure, HEIGHT).page
            bottom = HEIGHT - FOOT
            plot = figure.add_axes(
                (
                    LEFT / WIDTH,
                    FOOT / HEIGHT,
                    (WIDTH - LEFT - RIGHT) / WIDTH,
                    (bottom - TOP) / HEIGHT,
                ),
                facecolor="none",
            )
            if self.logarithmic:
                plot.set_yscale("log")
            for at, (name, found) in enumerate(self.series.items()):
                wide = 0.0 if name in self.points else 1.6
                xs, ys = zip(*found, strict=True)
                plot.plot(xs, ys, linewidth=wide, markersize=4.5, markeredgewidth=0,
                          clip_on=False, color=TONES[at % len(TONES)],
                          marker=SHAPES[at % len(SHAPES)])  # fmt: skip
            self.scales(plot)
            write(page, LEFT - 46, 22, named(self.y), SMALL, SOFT, family="sans-serif")
            write(page, LEFT, HEIGHT - 12, named(self.x), SMALL, SOFT, family="sans-serif")
            self.names(plot, page)

        return drawn(HEIGHT, self.alt, paint)

    def scales(self, plot: Axes) -> None:
        """Ticks in plain numbers, thin rules across."""
        from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

        ends = [x for found in self.series.values() for x, _ in found]
        tops = [y for found in self.series.values() for _, y in found]
        plot.set_xlim(min(0, *ends), max(ends) or 1)
        if self.logarithmic:
            plot.yaxis.set_major_locator(LogLocator(numticks=TICKS))
            plot.yaxis.set_minor_locator(NullLocator())
        else:
            plot.set_ylim(0, max(tops) * 1.05 or 1)
            plot.yaxis.set_major_locator(MaxNLocator(6))
        plot.xaxis.set_major_locator(MaxNLocator(TICKS, integer=True))
        for axis in (plot.xaxis, plot.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        plot.tick_params(length=3, color=RULE, labelcolor=SOFT, labelsize=SMALL, pad=3)
        plot.grid(axis="y", color=RULE, linewidth=0.5)
        plot.set_axisbelow(True)
        for side, spine in plot.spines.items():
            spine.set_visible(side in ("bottom", "left"))
            spine.set_color(RULE)

    def names(self, plot: Axes, page: Axes) -> None:
        """Each name beside the end of its curve; those too near are moved apart."""
        places = []
        for at, (name, found) in enumerate(self.series.items()):
            x, y = max(found)
            across, up = plot.transData.transform((x, y))
            places.append([HEIGHT - up, at, name, across])
        last = TOP - APART
        for place in sorted(places):
            place[0] = last = max(place[0], last + APART)
        over = max(0.0, last - (HEIGHT - FOOT))
        for y, at, name, _ in places:
            mark, left = SHAPES[at % len(SHAPES)], WIDTH - RIGHT + 14
            page.plot([left], [y - over], mark, color=TONES[at % len(TONES)], markersize=5,
                      markeredgewidth=0, clip_on=False)  # fmt: skip
            write(page, left + 10, y - over + 4, clip(str(name)), tone=INK)


def shown(value: float) -> str:
    """A number with as many decimals as say something.

    >>> shown(416.22), shown(4.6), shown(12), shown(0.034)
    ('416.2', '4.6', '12.0', '0.034')
    """
    if value and abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:,.1f}"
