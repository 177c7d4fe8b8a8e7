"""Bars of several numbers a row, in panels beside each other, each with a scale of its own.

    Panels(("filter 1", "filter 2"), {"paper": {"BPF": (62, 160), "CSPF": (96, 549)}}, answer)

Behind a bar stand its number and how many times the row's first bar of that panel it is.
Series have a tone and a hatch.  Left out: where the numbers come from, and an answer,
which is to be given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.plots_canvas import (
    ADVANCE,
    MARGIN,
    RULE,
    SMALL,
    SOFT,
    WIDTH,
    Sheet,
    drawn,
    line,
    rule,
    write,
)
from bpfnb.views.plots_charts import LEAST, bar
from bpfnb.views.plots_table import Plot, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panels"]

TOP, TITLED, GAP = 34.0, 26.0, 22.0  # the legend; panels' titles; between panels
PITCH, THICK, HEADED, BETWEEN = 15.0, 11.0, 19.0, 9.0  # a bar, a row's name, and what follows
MOST = 3  # panels that have room beside each other, and series that have a look
LOOKS = ((style.BLUE, None), (style.VERMILLION, "////"), (style.ORANGE, "...."))
SWATCH, LETTER = 11.0, 0.93  # a letter of the smaller size
FEW = 100  # below which a decimal counts

Series = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Panels(Plot):
    """A number a row and series, in panels; `said` is the answer, `asked` the question.

    >>> print(Panels(("ip",), {"paper": {"BPF": (62,), "CSPF": (96,)}}, "BPF takes less"))
    BPF takes less
                paper
      ip  BPF      62
          CSPF     96  1.5×
    """

    rows: Sequence[str]
    panels: Mapping[str, Series]
    said: str
    asked: str = ""

    def __post_init__(self) -> None:
        names = {name for panel in self.panels.values() for name in panel}
        if len(self.panels) > MOST or len(names) > len(LOOKS):
            raise BpfError(f"there is room for {MOST} panels, and in each for {len(LOOKS)} series")
        if any(len(each) != len(self.rows) for panel in self.panels.values()
               for each in panel.values()):  # fmt: skip
            raise BpfError("each series wants a number a row")

    @property
    def question(self) -> str:
        """What it answers."""
        return self.asked

    def answer(self) -> str:
        """First the answer."""
        return self.said

    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.rows or not self.panels

    @property
    def series(self) -> list[str]:
        """All names, in order."""
        return list(dict.fromkeys(name for panel in self.panels.values() for name in panel))

    def heads(self) -> list[str]:
        """A panel's numbers, and behind them how many times the first each is."""
        return ["", "", *(cell for title in self.panels for cell in (named(title), ""))]

    def left(self) -> tuple[int, ...]:
        """The row's name and the series'."""
        return (0, 1)

    def cells(self) -> list[list[str]]:
        """A line a row and series; the row's name stands on its first."""
        found = []
        for at, row in enumerate(self.rows):
            for number, name in enumerate(self.series):
                line = ["" if number else named(row), named(name)]
                for panel in self.panels.values():
                    bars = dict(zip(panel, self.bars(panel, at), strict=True))
                    value, times = bars.get(name, (None, ""))
                    line += ["" if value is None else shown(value), times]
                found.append(line)
        return found

    @staticmethod
    def bars(panel: Series, at: int) -> Iterator[tuple[float, str]]:
        """A row's numbers, and how many times the first each is; nothing for the first."""
        first: float | None = None
        for each in panel.values():
            yield each[at], ratio(each[at], first)
            first = each[at] if first is None else first

    @property
    def alt(self) -> str:
        """The chart in words."""
        said = []
        for at, row in enumerate(self.rows):
            for title, panel in self.panels.items():
                bars = zip(panel, self.bars(panel, at), strict=True)
                numbers = ", ".join(f"{name} {shown(value)}" for name, (value, _) in bars)
                said.append(f"{named(row)}, {named(title)}: {numbers}")
        return f"bar chart: {'; '.join([self.answer(), *said])}"

    def drawn(self) -> str:
        """A panel a column, a group of bars a row."""
        lines = max((len(panel) for panel in self.panels.values()), default=0)
        pitch = HEADED + PITCH * lines + BETWEEN
        height = TOP + TITLED + pitch * len(self.rows) + MARGIN / 2
        across = (WIDTH - 2 * MARGIN - GAP * (len(self.panels) - 1)) / len(self.panels)

        def paint(figure: Figure) -> None:
            page = Sheet(figure, height).page
            self.legend(page)
            for at, row in enumerate(self.rows):
                y = TOP + TITLED + pitch * at
                rule(page, (MARGIN, WIDTH - MARGIN), (y - 3, y - 3), RULE, 0.6)
                write(page, MARGIN, y + 12, row, family="sans-serif", weight="bold")
            for number, (title, panel) in enumerate(self.panels.items()):
                left = MARGIN + number * (across + GAP)
                write(page, left, TOP + 14, title, SMALL, SOFT, family="sans-serif")
                self.column(page, panel, (left, across), pitch)

        return drawn(height, self.alt, paint)

    def column(self, page: Axes, panel: Series, place: tuple[float, float], pitch: float) -> None:
        """One panel's bars; the longest leaves room for what stands behind it."""
        left, across = place
        most = max((max(each) for each in panel.values()), default=0) or 1
        told = [
            [shown(value) + f" ({times})" * bool(times) for value, times in self.bars(panel, at)]
            for at in range(len(self.rows))
        ]
        room = across - 6 - LETTER * ADVANCE * max(len(each) for row in told for each in row)
        for at, row in enumerate(told):
            for number, (name, words) in enumerate(zip(panel, row, strict=True)):
                y = TOP + TITLED + pitch * at + HEADED + PITCH * number
                value = panel[name][at]
                wide = max(room * value / most, LEAST) if value else 0.0
                bar(page, left, y, wide, THICK, *LOOKS[self.series.index(name)])
                write(page, left + wide + 5, y + 9, words, SMALL)

    def legend(self, page: Axes) -> None:
        """Each series' look and its name."""
        x = MARGIN
        for name, look in zip(self.series, LOOKS, strict=False):
            bar(page, x, 13, SWATCH, SWATCH, *look)
            write(page, x + SWATCH + 6, 22, name, SMALL)
            x += SWATCH + 6 + ADVANCE * len(line(name)) + GAP


def shown(value: float) -> str:
    """A number, with a decimal where that counts.

    >>> shown(62), shown(5.07), shown(120.97)
    ('62', '5.1', '121')
    """
    return f"{value:,.1f}" if value != int(value) and value < FEW else f"{value:,.0f}"


def ratio(value: float, first: float | None) -> str:
    """How many times as much, to three digits or so; nothing for the first itself.

    >>> ratio(96, 62), ratio(2330, 129), ratio(1, None)
    ('1.5×', '18.1×', '')
    """
    if not first:
        return ""
    times = value / first
    return f"{times:.1f}×" if times < 100 else f"{times:,.0f}×"
