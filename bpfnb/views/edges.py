"""The edges of a control flow graph, drawn: curves, tips, loops.

Left out: where they run (`layout`), what they mean and say (`cfg`).
"""

from __future__ import annotations

from bpfnb.views.layout import Track
from bpfnb.views.svg import Svg, Value, curve, number, polyline

__all__ = ["MARGIN", "PLAIN", "draw_loop", "draw_track"]

MARGIN = 20.0  # of the card around the graph
PLAIN = "#8a8a8a"


def draw_track(drawing: Svg, track: Track, colour: str, width: float, dashed: bool) -> None:
    """A piece of edge, with a tip where it enters its node."""
    points = (track.start, track.knee, track.end)
    start, knee, end = ((MARGIN + x, MARGIN + y) for x, y in points)
    tip = 5.0 + width
    enters = track.enters and not track.back
    last = (end[0], end[1] - (tip if enters else 0))
    rise = (start[0], start[1] + (tip if track.back and track.leaves else 0))
    d = polyline([rise])
    if knee[1] > rise[1]:
        d += f"V{number(knee[1])}"
    dashes: dict[str, Value] = {"stroke_dasharray": "6 4"} if dashed else {}
    line: dict[str, Value] = {"fill": "none", "stroke": colour, "stroke_width": width}
    drawing.add("path", d=d + curve(knee, last), **line, **dashes)
    half = 2.6 + width * 0.8
    if enters:
        draw_tip(drawing, end, -tip - 1, half, colour)
    if track.back and track.leaves:
        draw_tip(drawing, start, tip + 1, half, colour)


def draw_tip(
    drawing: Svg, at: tuple[float, float], length: float, half: float, colour: str
) -> None:
    """An arrow's tip at a point; it comes from above where `length` is below 0."""
    x, y = at
    points = [(x - half, y + length), (x, y), (x + half, y + length)]
    drawing.add("path", d=polyline(points) + "Z", fill=colour)


def draw_loop(drawing: Svg, x: float, y: float) -> None:
    """A jump to itself: a small ear on the block's left."""
    drawing.add(
        "path", d=f"M{number(x)} {number(y + 24)}h-14v-14h8", fill="none", stroke=PLAIN,
        stroke_width=1.3,
    )  # fmt: skip
    tip = [(x - 6, y + 6.5), (x, y + 10), (x - 6, y + 13.5)]
    drawing.add("path", d=polyline(tip) + "Z", fill=PLAIN)
