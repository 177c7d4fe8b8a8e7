"""A listener's two buffers over time: which one stores, which is held, and what is lost.

Each buffer has a lane, filled as far as it was full: solid while it stores, hatched while
it is held, empty while it is free.  Under the lanes stand the reads, and the packets that
found no room.  Left out: the run itself (`bpfnb.course.tap`); moments come as plain rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import groupby, pairwise

from bpfnb.errors import brief
from bpfnb.views import style
from bpfnb.views.cfg import CARD, EDGE_OF_CARD, framed, twin
from bpfnb.views.svg import Svg, element, polyline
from bpfnb.views.view import Picture

__all__ = ["BufferTimeline", "Row"]

INK, PALE, RULE = "#1c1c1c", "#5f5f5f", "#c4c4c4"
TONES = {"store": style.BLUE, "hold": style.ORANGE, "chunk": style.BLUE, "head": style.ORANGE}
HELD = ("hold", "head")
WIDTH, LEFT, RIGHT, TOP, LANE, GAP = 720.0, 92.0, 20.0, 34.0, 62.0, 14.0
TICKS, STEPS = 6, (1, 2, 5, 10)
LETTER = 7.0  # pixels of a role's letter
SAID = 40  # rows of the text form

# time in ns, what happened, and each buffer's role and bytes then
Row = tuple[int, str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class BufferTimeline(Picture):
    """What happened in the buffers of `name`, `size` bytes each, from 0 to `until` ns."""

    name: str
    size: int
    rows: tuple[Row, ...]
    until: int

    def times(self, what: str) -> list[int]:
        """When something happened."""
        return [time for time, each, _ in self.rows if each == what]

    def headline(self) -> str:
        """First the answer: how much was read in how many turns, and what was lost."""
        stored = len(self.times("stored")) + len(self.times("rotated"))
        dropped, reads = len(self.times("dropped")), len(self.times("read"))
        return (
            f"{brief(self.name)}: {style.plural(stored, 'packet')} stored, "
            f"{style.plural(reads, 'read')}, {style.plural(dropped, 'packet')} dropped"
        )

    def text(self) -> str:
        """A line for each change, packets in a row as one."""
        lines = [self.headline(), "      time ms  what happened          buffer A        buffer B"]
        told = list(self.told())
        for time, what, levels in told[:SAID]:
            cells = "".join(f"  {role:<5} {level:>8,}" for role, level in levels)
            lines.append(f"  {time / 1e6:>11,.3f}  {what:<19}{cells}".rstrip())
        if len(told) > SAID:
            lines.append(f"  … and {style.plural(len(told) - SAID, 'more line')}")
        return "\n".join(lines)

    def told(self) -> Iterator[Row]:
        """The rows, those in a row that say the same as one, with its last levels."""
        for what, same in groupby(self.rows, lambda row: row[1]):
            run = list(same)
            words = what if len(run) == 1 else f"{what} × {len(run):,}"
            yield run[-1][0], brief(words), run[-1][2]

    def html(self) -> str:
        """The picture, and its twin in text folded under it."""
        legend = "solid: stores; hatched: held for the process; empty: free"
        html = style.caption(f"<b>{escape(self.headline())}</b> &nbsp; {style.muted(legend)}")
        return style.scroll(html + framed(self.svg, self.alt)) + twin(self.text())

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        return f"buffers over time: {self.headline()}"

    @property
    def lanes(self) -> int:
        """How many buffers there are."""
        return max((len(levels) for _, _, levels in self.rows), default=2)

    def x(self, time: int) -> float:
        """Where a time stands."""
        return LEFT + (WIDTH - LEFT - RIGHT) * min(time / max(self.until, 1), 1)

    @cached_property
    def svg(self) -> str:
        """The picture as a document of its own."""
        foot = TOP + self.lanes * (LANE + GAP)
        height = foot + 74
        drawing = Svg(WIDTH, height, self.alt)
        drawing.add(
            "rect", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=8, fill=CARD,
            stroke=EDGE_OF_CARD,
        )  # fmt: skip
        stripe = element("path", d="M0 4L4 0", stroke=style.ORANGE, stroke_width=1.6)
        pattern = element(
            "pattern", stripe, id="held", width=4, height=4, patternUnits="userSpaceOnUse"
        )
        drawing.add("defs", pattern)
        drawing.text(LEFT, 20, f"{self.size:,} bytes each", font_family=style.SANS, font_size=11,
                     fill=PALE)  # fmt: skip
        for lane in range(self.lanes):
            self.draw_lane(drawing, lane, TOP + lane * (LANE + GAP))
        self.draw_marks(drawing, "read", foot + 8, "▲", INK)
        self.draw_marks(drawing, "dropped", foot + 26, "✗", style.REJECT)
        self.draw_scale(drawing, foot + 40)
        return str(drawing)

    def draw_lane(self, drawing: Svg, lane: int, top: float) -> None:
        """One buffer: its level by time, in the look of what it was doing."""
        base = top + LANE
        label = f"buffer {'ABCDEFGH'[lane % 8]}"
        drawing.text(LEFT - 10, base - LANE / 2 + 4, label, text_anchor="end",
                     font_family=style.SANS, font_size=12, fill=INK)  # fmt: skip
        drawing.add("rect", x=LEFT, y=top, width=WIDTH - LEFT - RIGHT, height=LANE, fill="#ffffff",
                    stroke=RULE)  # fmt: skip
        for role, points in self.stretches(lane):
            first, last = self.x(points[0][0]), self.x(points[-1][0])
            tone = TONES.get(role)
            if tone is not None:
                outline = [(first, base)]
                for (time, level), (after, _) in pairwise(points):
                    y = base - (LANE - 2) * min(level / max(self.size, 1), 1)
                    outline += [(self.x(time), y), (self.x(after), y)]
                outline.append((last, base))
                fill = "url(#held)" if role in HELD else tone
                drawing.add("path", d=f"{polyline(outline)}Z", fill=fill, stroke=tone,
                            stroke_width=0.8, fill_opacity=0.75)  # fmt: skip
            if last - first > LETTER * (len(role) + 1):
                drawing.text(
                    (first + last) / 2, top + 13, role, text_anchor="middle",
                    font_family=style.SANS, font_size=11, fill=INK, stroke="#ffffff",
                    stroke_width=3, paint_order="stroke",
                )  # fmt: skip

    def stretches(self, lane: int) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """What a buffer did one after the other: a role, and its levels by time."""
        points: list[tuple[int, str, int]] = [(0, self.first_role(lane), 0)]
        for time, _, levels in self.rows:
            if lane < len(levels):
                points.append((time, *levels[lane]))
        for at, (role, same) in enumerate(groups := self.by_role(points)):
            end = groups[at + 1][1][0][0] if at + 1 < len(groups) else self.until
            yield role, [*((time, level) for time, _, level in same), (max(end, same[-1][0]), 0)]

    @staticmethod
    def by_role(
        points: Sequence[tuple[int, str, int]],
    ) -> list[tuple[str, list[tuple[int, str, int]]]]:
        """Points in a row of one role together."""
        return [(role, list(same)) for role, same in groupby(points, lambda point: point[1])]

    def first_role(self, lane: int) -> str:
        """What a buffer does before anything happened."""
        roles = [levels[lane][0] for _, _, levels in self.rows if lane < len(levels)]
        if roles and roles[0] in ("chunk", "head"):
            return roles[0]
        return "free" if lane else "store"

    def draw_marks(self, drawing: Svg, what: str, y: float, sign: str, tone: str) -> None:
        """A sign for each time, and how many there are at the left."""
        times = self.times(what)
        words = f"{what} {len(times):,}"
        drawing.text(LEFT - 10, y + 4, words, text_anchor="end", font_family=style.SANS,
                     font_size=12, fill=INK)  # fmt: skip
        last = -9.0
        for time in times:
            x = self.x(time)
            if x - last >= 3:  # nearer ones would be one blot
                drawing.text(x, y + 4, sign, text_anchor="middle", font_family=style.SANS,
                             font_size=11, fill=tone)  # fmt: skip
                last = x

    def draw_scale(self, drawing: Svg, y: float) -> None:
        """Time in milliseconds."""
        step = step_of(self.until / 1e6)
        drawing.add("line", x1=LEFT, y1=y, x2=WIDTH - RIGHT, y2=y, stroke=RULE)
        at = 0
        while at * step <= self.until / 1e6 + step / 1e6:
            x = self.x(round(at * step * 1e6))
            drawing.add("line", x1=x, y1=y, x2=x, y2=y + 4, stroke=RULE)
            words = f"{at * step:,.10g}" + (" ms" if at == 0 else "")
            drawing.text(x, y + 17, words, text_anchor="middle", font_family=style.SANS,
                         font_size=11, fill=PALE)  # fmt: skip
            at += 1


def step_of(length: float) -> float:
    """A round distance between at most TICKS marks.

    >>> step_of(100), step_of(0.42)
    (20.0, 0.1)
    """
    rough = max(length, 1e-9) / TICKS
    power = 1.0
    while power > rough:
        power /= 10
    while power * 10 <= rough:
        power *= 10
    return next((power * each for each in STEPS if power * each >= rough), power * 10)
