"""The way of a question from one process to another, and past which others it comes.

    Route(("client", "proxy", "proxy", "server"))

Processes stand above a line, the kernel is below it; each way over the line is a system
call and a copy.  Left out: what a packet does inside the kernel, where there may be more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape

from bpfnb.errors import BpfError, brief
from bpfnb.views import style
from bpfnb.views.cfg import CARD, EDGE_OF_CARD
from bpfnb.views.svg import Svg, number
from bpfnb.views.view import Picture

__all__ = ["Route"]

INK, PALE, RULE = "#1c1c1c", "#5f5f5f", "#c4c4c4"
DOWN, UP = style.BLUE, style.VERMILLION
WIDTH, MARGIN, TOP, TALL = 720.0, 18.0, 28.0, 42.0  # of the picture; of a box
LINE, FOOT, HEIGHT = 100.0, 132.0, 186.0  # where the kernel begins, where the way runs
LEAST, MOST = 2, 8


@dataclass(frozen=True)
class Route(Picture):
    """The processes that a question passes, from the one that asks to the one that answers.

    >>> print(Route(("client", "server")))
    client to server: 2 crossings for the question, 2 for the answer
      client    write ↓
      kernel    client → server
      server    read  ↑
    """

    stops: tuple[str, ...]

    def __post_init__(self) -> None:
        if not LEAST <= len(self.stops) <= MOST:
            raise BpfError(f"{len(self.stops)} processes: give {LEAST} to {MOST}")

    @property
    def crossings(self) -> int:
        """How often the question's bytes cross the line between a process and the kernel."""
        return 2 * (len(self.stops) - 1)

    def headline(self) -> str:
        """First the answer."""
        between = len(self.stops) - 2
        through = "" if not between else f" through {style.plural(between, 'process', 'processes')}"
        return (
            f"{brief(self.stops[0])} to {brief(self.stops[-1])}{through}: "
            f"{self.crossings} crossings for the question, {self.crossings} for the answer"
        )

    def text(self) -> str:
        """A line for each crossing and each way inside the kernel."""
        width = max(len("kernel"), *(len(brief(each)) for each in self.stops)) + 4
        lines = [self.headline()]
        for who, what in self.told():
            lines.append(f"  {who:<{width}}{what}")
        return "\n".join(lines)

    def told(self) -> Iterator[tuple[str, str]]:
        """Who does what, in order."""
        stops = [brief(each) for each in self.stops]
        for at, name in enumerate(stops):
            if at:
                yield "kernel", f"{stops[at - 1]} → {name}"
                yield name, "read  ↑"
            if at + 1 < len(stops):
                yield name, "write ↓"

    def html(self) -> str:
        """The picture; the same in words is its text for who cannot see it."""
        note = style.muted("each number: a system call and a copy")
        html = style.caption(f"<b>{escape(self.headline())}</b> &nbsp; {note}")
        html += style.image(self.svg, self.alt, WIDTH, HEIGHT, "max-width:100%;height:auto")
        return style.scroll(html)

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"{self.headline()}: " + ", ".join(f"{who}: {what}" for who, what in self.told())

    @cached_property
    def svg(self) -> str:
        """The picture."""
        drawing = Svg(WIDTH, HEIGHT, self.headline())
        drawing.add("rect", x=0.5, y=0.5, width=WIDTH - 1, height=HEIGHT - 1, rx=8, fill=CARD,
                    stroke=EDGE_OF_CARD)  # fmt: skip
        drawing.add("rect", x=1, y=LINE, width=WIDTH - 2, height=HEIGHT - LINE - 1.5, rx=7,
                    fill="#eef1f4")  # fmt: skip
        drawing.add("line", x1=1, y1=LINE, x2=WIDTH - 1, y2=LINE, stroke="#808080",
                    stroke_width=1.4, stroke_dasharray="6 4")  # fmt: skip
        self.words(drawing, MARGIN, 18, "user space", PALE, "start")
        self.words(drawing, MARGIN, HEIGHT - 12, "kernel", PALE, "start")
        for at, name in enumerate(self.stops):
            self.draw_stop(drawing, at, name)
            if at:
                self.draw_way(drawing, at)
        return str(drawing)

    def place(self, at: int) -> float:
        """The middle of a process's box."""
        room = (WIDTH - 2 * MARGIN) / len(self.stops)
        return MARGIN + room * (at + 0.5)

    @property
    def wide(self) -> float:
        """Pixels of a box."""
        return min(124.0, (WIDTH - 2 * MARGIN) / len(self.stops) - 18)

    def draw_stop(self, drawing: Svg, at: int, name: str) -> None:
        """A process."""
        drawing.add("rect", x=self.place(at) - self.wide / 2, y=TOP, width=self.wide, height=TALL,
                    rx=5, fill="#ffffff", stroke="#6a6a6a", stroke_width=1.2)  # fmt: skip
        letters = int(self.wide / 6.6)
        shown = brief(name)
        shown = shown if len(shown) <= letters else f"{shown[: letters - 1]}…"
        self.words(drawing, self.place(at), TOP + TALL / 2 + 4, shown, INK)

    def draw_way(self, drawing: Svg, at: int) -> None:
        """Out of one process, through the kernel, into the next; both crossings numbered."""
        aside = min(22.0, self.wide / 4)
        start, end, edge = self.place(at - 1) + aside, self.place(at) - aside, TOP + TALL
        path = f"M{number(start)} {number(edge)}V{number(FOOT)}H{number(end)}V{number(edge + 7)}"
        drawing.add("path", d=path, fill="none", stroke="#6a6a6a", stroke_width=1.6)
        drawing.add("path", d=f"M{number(end - 4)} {number(edge + 9)}L{number(end)} "
                    f"{number(edge + 1)}L{number(end + 4)} {number(edge + 9)}Z",
                    fill="#6a6a6a")  # fmt: skip
        words = "the network stack" if end - start > 100 else "stack"
        self.words(drawing, (start + end) / 2, FOOT + 17, words, PALE)
        for x, count, tone in ((start, 2 * at - 1, DOWN), (end, 2 * at, UP)):
            drawing.add("circle", cx=x, cy=LINE, r=9, fill="#ffffff", stroke=tone, stroke_width=2)
            self.words(drawing, x, LINE + 4, str(count), INK)

    @staticmethod
    def words(
        drawing: Svg, x: float, y: float, words: str, tone: str, anchor: str = "middle"
    ) -> None:
        """A few words."""
        drawing.text(x, y, words, text_anchor=anchor, font_family=style.SANS, font_size=12,
                     fill=tone)  # fmt: skip
