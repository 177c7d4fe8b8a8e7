"""What came when, and out of what: a few things on one scale of years.

    History((Event(1993, "BPF", "…", "the paper", "CSPF"), …), "twelve years")

A row for each, a mark at its year, and a thin line from what it came of.  In words there is
a table, with the source of each date.  Left out: the events (`bpfnb.course.history`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape

from bpfnb.errors import BpfError, brief, showable
from bpfnb.views import style
from bpfnb.views.cfg import CARD, EDGE_OF_CARD
from bpfnb.views.svg import Svg, element, number
from bpfnb.views.view import Picture

__all__ = ["Event", "History"]

INK, PALE, RULE = "#1c1c1c", "#5f5f5f", "#dadada"
WIDTH, MARGIN, TOP, PITCH, FOOT = 760.0, 26.0, 20.0, 28.0, 34.0
WORDS = 262.0  # pixels that are kept for the words of the last event
STEP = 5  # years between two ticks
NEAR = 10.0  # pixels that a line keeps from marks that are not its own


@dataclass(frozen=True)
class Event:
    """What came in which year, in a few words; `source` says where the year is from.

    `of` is the name of the event that it came of, "" for none.
    """

    year: int
    name: str
    words: str
    source: str
    of: str = ""


@dataclass(frozen=True)
class History(Picture):
    """Events in the order of their years, and what they say together."""

    events: tuple[Event, ...]
    said: str

    def __post_init__(self) -> None:
        names = [each.name for each in self.events]
        for at, each in enumerate(self.events):
            if each.of and each.of not in names[:at]:
                raise BpfError(f"{brief(each.name)} comes of what did not come before it")

    def text(self) -> str:
        """The answer, and a line for each event."""
        wide = max((len(each.name) for each in self.events), default=0)
        return "\n".join(
            [self.said, *(f"  {each.year}  {each.name:<{wide}}  {each.words}"
                          for each in self.events)]
        )  # fmt: skip

    @property
    def alt(self) -> str:
        """The picture in words."""
        rows = (f"{each.year} {each.name}" + (f", from {each.of}" if each.of else "")
                for each in self.events)  # fmt: skip
        return f"time line: {self.said}; " + "; ".join(rows)

    def html(self) -> str:
        """The picture, and a table with the sources under it."""
        note = style.muted("When did it come?  A line: out of what")
        html = style.caption(f"<b>{escape(self.said)}</b> &nbsp; {note}")
        html += style.image(self.svg, self.alt, WIDTH, self.height, "max-width:100%;height:auto")
        heads = style.heads([("year", "left"), ("name", "left"), ("source", "left")])
        rows = [
            style.row([style.cell(str(each.year)), style.cell(escape(each.name)),
                       style.cell(style.plain(escape(each.source)))])
            for each in self.events
        ]  # fmt: skip
        summary = '<summary style="cursor:pointer;font-size:13px;line-height:24px">sources'
        table = style.table(rows, "row", heads)
        return style.scroll(f"{html}<details>{summary}</summary>{table}</details>")

    @property
    def height(self) -> float:
        """Pixels."""
        return TOP + PITCH * len(self.events) + FOOT

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The first year and the last of the scale."""
        years = [each.year for each in self.events] or [0]
        return min(years) // STEP * STEP, -(-(max(years) + 1) // STEP) * STEP

    def x(self, year: int) -> float:
        """Where a year stands."""
        first, last = self.ends
        return MARGIN + (WIDTH - 2 * MARGIN - WORDS) * (year - first) / (last - first)

    @staticmethod
    def y(at: int) -> float:
        """The middle of a row."""
        return TOP + PITCH * (at + 0.5)

    @cached_property
    def svg(self) -> str:
        """The picture."""
        drawing = Svg(WIDTH, self.height, self.said)
        drawing.add("rect", x=0.5, y=0.5, width=WIDTH - 1, height=self.height - 1, rx=8, fill=CARD,
                    stroke=EDGE_OF_CARD)  # fmt: skip
        first, last = self.ends
        bottom = self.height - FOOT + 6
        for year in range(first, last + 1, STEP):
            x = self.x(year)
            drawing.add("line", x1=x, y1=TOP - 6, x2=x, y2=bottom, stroke=RULE, stroke_width=0.8)
            drawing.text(x, bottom + 16, str(year), text_anchor="middle", font_family=style.SANS,
                         font_size=11, fill=PALE)  # fmt: skip
        rows = {each.name: at for at, each in enumerate(self.events)}
        for at, each in enumerate(self.events):
            if each.of:
                self.draw_line(drawing, rows[each.of], at)
        for at, each in enumerate(self.events):
            self.draw_event(drawing, at, each)
        return str(drawing)

    def draw_line(self, drawing: Svg, above: int, at: int) -> None:
        """Down from where it came of, past other marks, then across."""
        parent, child = self.events[above], self.events[at]
        x, y = self.x(parent.year), self.y(at)
        path = f"M{number(x)} {number(self.y(above))}"
        if any(abs(self.x(each.year) - x) < NEAR for each in self.events[above + 1 : at]):
            x -= NEAR
            path += f"H{number(x)}"
        path += f"V{number(y)}H{number(self.x(child.year))}"
        drawing.add("path", d=path, fill="none", stroke="#909090", stroke_width=1.2)

    def draw_event(self, drawing: Svg, at: int, each: Event) -> None:
        """A mark, the name beside it, and words."""
        x, y = self.x(each.year), self.y(at)
        drawing.add("circle", cx=x, cy=y, r=4.5, fill=style.BLUE)
        drawing.add(
            "text",
            f"{element('tspan', escape(showable(each.name)), font_weight='bold')}\u2002"
            f"{escape(showable(each.words))}",
            x=x + 11, y=y + 4, font_family=style.SANS, font_size=12, fill=INK,
        )  # fmt: skip
