"""Jumps as arcs in a listing's margin, one small picture a row.

All jumps to one target share a lane: a line that starts at the first of them
and ends in an arrow at the target.  Lanes lie side by side, the shortest next
to the text.  The way one packet took is the same line, thicker, with a dot
beside each instruction that ran.

A picture a row, not one for the table: so rows may have any height, tables may
fold, and where a page drops our styles the pieces still stand in their rows.
Left out: jumps to the next line, which the eye sees, and jumps out of the
program, which the checker names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.svg import Svg, number, polyline

__all__ = ["ROW", "Arcs"]

ROW = 22  # pixels a row
PITCH = 9  # between lanes
ARRIVE, LEAVE = 8.0, 14.0  # a row can be a target and a source: two heights
ROUND = 4.0
LANES = 12  # beyond these a margin says nothing any more


@dataclass(frozen=True)
class Lane:
    """All jumps from `sources` to `target`, drawn on line `place`."""

    target: int
    sources: frozenset[int]
    place: int

    @property
    def first(self) -> int:
        """The topmost row the lane touches."""
        return min(self.target, *self.sources)

    @property
    def last(self) -> int:
        """The lowest row the lane touches."""
        return max(self.target, *self.sources)


class Arcs:
    """The margin of one program's listing.

    `path` is the pcs of one run in order, empty for none.
    """

    def __init__(self, program: Program, path: Sequence[int] = ()) -> None:
        self.lanes, self.dropped = place(jumps(program))
        self.path = frozenset(path)
        self.taken = frozenset(pairwise(path))
        lanes = 1 + max((lane.place for lane in self.lanes), default=-1)
        self.spine = 8 + PITCH * lanes
        self.width = self.spine + 8 if lanes or path else 0
        self.rows: dict[int, list[Lane]] = {}
        for lane in self.lanes:
            for row in range(lane.first, lane.last + 1):
                self.rows.setdefault(row, []).append(lane)

    def row(self, pc: int) -> str:
        """The picture beside instruction `pc`, as an `<img>`."""
        here = self.rows.get(pc, [])
        thin = [self.part(lane, lane.sources, pc) for lane in here]
        thick = [self.part(lane, self.strong(lane), pc) for lane in here]
        drawing = Svg(self.width, ROW)
        stroke(drawing, "".join(thin), strong=False)
        stroke(drawing, "".join([*thick, self.spine_part(pc)]), strong=True)
        for lane in here:
            if lane.target == pc:
                self.arrow(drawing, bool(self.strong(lane)))
        if pc in self.path:
            drawing.add("circle", cx=self.spine, cy=ROW / 2, r=4, fill=style.PATH)
        targets = sorted(lane.target for lane in here if pc in lane.sources)
        alt = f"jumps to {' or '.join(map(str, targets))}" if targets else ""
        return style.image(str(drawing), alt, self.width, ROW, "display:block;max-width:none")

    def between(self, pc: int, height: int) -> str:
        """The picture beside what stands under instruction `pc`: lines going on."""
        drawing = Svg(self.width, height)
        for strong in (False, True):
            d = ""
            for lane in self.rows.get(pc, ()):
                rows = {lane.target, *(self.strong(lane) if strong else lane.sources)}
                if min(rows) <= pc < max(rows):
                    d += f"M{number(self.x(lane))} 0V{height}"
            if strong and self.runs_on(pc):
                d += f"M{self.spine} 0V{height}"
            stroke(drawing, d, strong)
        return style.image(str(drawing), "", self.width, height, "display:block;max-width:none")

    def x(self, lane: Lane) -> float:
        """Where a lane stands."""
        return self.spine - 8 - PITCH * lane.place

    def strong(self, lane: Lane) -> frozenset[int]:
        """Those of a lane's jumps that the path took."""
        return frozenset(pc for pc in lane.sources & self.path if (pc, lane.target) in self.taken)

    def runs_on(self, pc: int) -> bool:
        """Whether the path goes from `pc` to the next line."""
        return (pc, pc + 1) in self.taken

    def part(self, lane: Lane, sources: frozenset[int], pc: int) -> str:
        """What row `pc` shows of a lane, for those of its jumps in `sources`."""
        first, last = min((lane.target, *sources)), max((lane.target, *sources))
        if not sources or not first <= pc <= last:
            return ""
        heights = [ARRIVE] if pc == lane.target else []
        heights += [LEAVE] if pc in sources else []
        return bend(self.x(lane), self.spine, heights, up=first < pc, down=last > pc)

    def arrow(self, drawing: Svg, strong: bool) -> None:
        """The tip at a lane's target."""
        end = self.spine - (3 if strong else 0)  # before the dot
        tip = ((end - 5, ARRIVE - 3.5), (end + 1, ARRIVE), (end - 5, ARRIVE + 3.5))
        drawing.add("path", d=polyline(tip) + "Z", fill=style.PATH if strong else style.LINE)

    def spine_part(self, pc: int) -> str:
        """The way to and from the lines next to `pc`."""
        top = "0" if self.runs_on(pc - 1) else f"{ROW // 2}"
        bottom = f"{ROW}" if self.runs_on(pc) else f"{ROW // 2}"
        return f"M{self.spine} {top}V{bottom}" if top != bottom else ""


def jumps(program: Program) -> dict[int, set[int]]:
    """Target to the jumps that lead there, without those to the next line."""
    found: dict[int, set[int]] = {}
    for pc in range(len(program)):
        for target, kind in successors(program.insns, pc):
            if kind != "next" and target != pc + 1:
                found.setdefault(target, set()).add(pc)
    return found


def place(found: dict[int, set[int]]) -> tuple[tuple[Lane, ...], int]:
    """Give each target a lane where no other is in its rows; count those left over."""
    taken = [0] * LANES  # one bit a row
    lanes, dropped = [], 0
    spans = sorted(
        (max(target, *sources) - min(target, *sources), target, sources)
        for target, sources in found.items()
    )
    for length, target, sources in spans:
        rows = ((1 << length + 1) - 1) << min(target, *sources)
        free = next((at for at, used in enumerate(taken) if not used & rows), None)
        if free is None:
            dropped += len(sources)
            continue
        taken[free] |= rows
        lanes.append(Lane(target, frozenset(sources), free))
    return tuple(lanes), dropped


def bend(x: float, end: float, heights: Iterable[float], up: bool, down: bool) -> str:
    """A lane's path in one row: its vertical, and a round corner to each height.

    `up` and `down` say whether the lane goes on in the rows above and below.
    """
    heights = list(heights)
    top = 0.0 if up else min(heights, default=0.0) + ROUND
    bottom = float(ROW) if down else max(heights, default=0.0) - ROUND
    parts = [f"M{number(x)} {number(top)}V{number(bottom)}"] if bottom > top else []
    for height in heights:
        # Leave upwards only where the lane goes on upwards alone.
        towards = height - ROUND if (up and not down) or height > min(heights) else height + ROUND
        parts.append(
            f"M{number(x)} {number(towards)}Q{number(x)} {number(height)} "
            f"{number(x + ROUND)} {number(height)}H{number(end)}"
        )
    return "".join(parts)


def stroke(drawing: Svg, d: str, strong: bool) -> None:
    """Draw lines of the margin, if there are any."""
    if not d:
        return
    colour, width = (style.PATH, 3.0) if strong else (style.LINE, 1.2)
    drawing.add("path", d=d, fill="none", stroke=colour, stroke_width=width)
