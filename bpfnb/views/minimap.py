"""The small graph in the stepper, as numbers and paths: where blocks stand, how edges run.

    minimap(program)

It is placed once, here; `minimap.js` draws it live in the page, and marks there the way
so far.  Blocks show the numbers of their instructions alone: the listing stands beside.
A graph that is too large to be taken in at a glance is left out, and says so.

Left out: placing (`layout`); what the page does with it; the large picture (`cfg`).
"""

from __future__ import annotations

from typing import Any

from bpfnb.cbpf.cfg import BasicBlock, Cfg, graph
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.layout import Layout, Link, Track, layout
from bpfnb.views.svg import curve, number, polyline

__all__ = ["MOST", "minimap"]

MOST = 100  # blocks; placing so many takes a tenth of a second at worst
DENSE = 2.0  # blocks are placed this much larger than they are drawn, so gaps come out smaller
ADVANCE, BESIDE, TALL = 7.4, 38.0, 24.0  # a character's width, a mark's room at both sides, height
MARGIN = 10.0  # for thick outlines, and for the ear of a jump to itself
TIP, HALF = 7.0, 3.5  # an arrow's tip

Point = tuple[float, float]


def minimap(program: Program) -> dict[str, Any]:
    """The graph to draw; where there are too many blocks, `left` says what is not here.

    >>> minimap(Program.from_insns([(6, 0, 0, 5)]))["blocks"][0]["label"]
    '0 ✓'
    """
    cfg = graph(program)
    if len(cfg.blocks) > MOST:
        return {"left": f"{len(cfg.blocks):,} basic blocks are too many for a small graph"}
    labels = [label(program, block) for block in cfg.blocks]
    widths = [ADVANCE * len(each) + BESIDE for each in labels]
    links = [Link(edge.source, edge.target, edge.kind) for edge in cfg.edges]
    placed = layout([(width * DENSE, TALL * DENSE) for width in widths], links)
    return {
        "width": round(placed.width / DENSE + 2 * MARGIN, 1),
        "height": round(placed.height / DENSE + 2 * MARGIN, 1),
        "blocks": [
            {
                "start": block.start,
                "stop": block.stop,
                "label": words,
                "x": round(drawn(corner)[0], 1),
                "y": round(drawn(corner)[1], 1),
                "width": round(width, 1),
                "height": TALL,
                "reachable": block.index in cfg.reachable,
            }
            for block, words, width, corner in zip(
                cfg.blocks, labels, widths, placed.corners, strict=True
            )
        ],
        "edges": edges(cfg, placed),
        "tracks": [*(piece(cfg, track) for track in placed.tracks), *ears(cfg, placed)],
    }


def label(program: Program, block: BasicBlock) -> str:
    """A block's instructions by number, and the verdict it ends with."""
    first, last = block.start, block.stop - 1
    pcs = f"{first}" if first == last else f"{first}–{last}"
    insn = program.insns[last]
    row = BY_CODE.get(insn.code)
    if row is None or row.mnemonic != "ret":
        return pcs
    return f"{pcs} {style.verdict(insn.k)[0] if row.form is Form.IMM else 'ret'}"


def drawn(point: Point) -> Point:
    """A place of the layout, as it is drawn."""
    return MARGIN + point[0] / DENSE, MARGIN + point[1] / DENSE


def edges(cfg: Cfg, placed: Layout) -> list[dict[str, Any]]:
    """Each edge by the instructions it joins; where its word stands, and on which side."""
    starts: dict[int, tuple[Point, bool]] = {}
    for track in placed.tracks:
        for at in track.links:
            if track.back and track.enters:
                starts[at] = drawn(track.end), True
            elif track.leaves and not track.back:
                starts[at] = drawn(track.start), False
    rightmost: dict[int, float] = {}
    for at, ((x, _), _) in starts.items():
        source = cfg.edges[at].source
        rightmost[source] = max(rightmost.get(source, x), x)
    found = []
    for at, edge in enumerate(cfg.edges):
        block = cfg.blocks[edge.source]
        x, y = drawn(placed.corners[edge.source])
        start, up = starts.get(at, ((x, y + TALL), False))
        found.append(
            {
                "from": block.stop - 1,
                "to": cfg.blocks[edge.target].start,
                "kind": edge.kind,
                "x": round(start[0], 1),
                "y": round(start[1] + (-5 if up else 13), 1),
                "left": start[0] < rightmost.get(edge.source, x),
            }
        )
    return found


def piece(cfg: Cfg, track: Track) -> dict[str, Any]:
    """A piece of edge, with a tip where it enters its block."""
    start, knee, end = drawn(track.start), drawn(track.knee), drawn(track.end)
    enters = track.enters and not track.back
    climbs = track.leaves and track.back
    last = (end[0], end[1] - (TIP if enters else 0))
    first = (start[0], start[1] + (TIP if climbs else 0))
    line = polyline([first])
    if knee[1] > first[1]:
        line += f"V{number(knee[1])}"
    tip = arrow(end, -TIP) if enters else arrow(start, TIP) if climbs else ""
    kind = cfg.edges[track.links[0]].kind
    return {"d": line + curve(knee, last), "tip": tip, "kind": kind, "edges": list(track.links)}


def arrow(at: Point, length: float) -> str:
    """A tip at a point; it comes from above where `length` is below 0."""
    x, y = at
    return polyline([(x - HALF, y + length), (x, y), (x + HALF, y + length)]) + "Z"


def ears(cfg: Cfg, placed: Layout) -> list[dict[str, Any]]:
    """Jumps to the block itself: a small ear on its left."""
    found = []
    for at, edge in enumerate(cfg.edges):
        if edge.source == edge.target:
            x, y = drawn(placed.corners[edge.source])
            tip = polyline([(x - 5, y + 4.5), (x, y + 8), (x - 5, y + 11.5)]) + "Z"
            line = f"M{number(x)} {number(y + 18)}h-8v-10h3"
            found.append({"d": line, "tip": tip, "kind": edge.kind, "edges": [at]})
    return found
