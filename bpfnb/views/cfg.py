"""The control flow graph: which ways lead through a program, which were taken.

Basic blocks top to bottom, with their instructions; a true edge is solid, a
false edge dashed, and each says its word.  One packet's way is thick; over many
packets, edges are as thick as they were busy, with their count and share.  What
nothing reaches is dashed grey and says so.

The picture is an SVG on a light card, so it can be read on any page; its twin
is a list of blocks and edges in plain text.  Left out: placing (`layout`), and
graphs of more than 400 blocks, which no eye follows: they get the twin alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import pairwise

from bpfnb.cbpf.cfg import BasicBlock, Cfg, Edge, graph
from bpfnb.cbpf.disasm import line
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.boxes import Box, box, draw_box
from bpfnb.views.edges import MARGIN, PLAIN, draw_loop, draw_track
from bpfnb.views.hits import Hits
from bpfnb.views.layout import Layout, Link, Track, layout
from bpfnb.views.svg import Svg
from bpfnb.views.view import Picture

__all__ = ["Graph"]

MOST = 400  # blocks that are drawn
MANY_WAYS = 1_000_000
CARD, EDGE_OF_CARD = "#fdfdfd", "#d4d4d4"
FAINT, BUSY, STRONG = "#c6c6c6", "#5a5a5a", "#1c1c1c"
LABEL = 11.0  # size of an edge's words
LABEL_ADVANCE = 6.2  # pixels a character of them
WIDE = 1100.0  # pixels a picture may be scaled down from
TALL = 2400.0  # pixels from which it scrolls in a box of its own


@dataclass(frozen=True)
class Graph(Picture):
    """The graph of a program, with one run or many.

    `path` is the pcs of one run in order, `hits` the counts of many; beside the
    path of their only packet, counts say nothing more and are left out.
    """

    program: Program
    hits: Hits | None = None
    path: Sequence[int] | None = None
    caption: str = ""

    @property
    def counted(self) -> Hits | None:
        """The counts, where they say more than the path."""
        alone = self.hits is not None and self.hits.packets <= 1 and self.path is not None
        return None if alone else self.hits

    @cached_property
    def cfg(self) -> Cfg:
        """Blocks and edges."""
        return graph(self.program)

    @cached_property
    def taken(self) -> frozenset[tuple[int, int]]:
        """Pairs of blocks that the path passes one after the other."""
        if self.path is None:
            return frozenset()
        steps = set(pairwise(self.path))
        blocks = self.cfg.blocks
        ends = {(block.stop - 1, block.index) for block in blocks}
        starts = {block.start: block.index for block in blocks}
        last = dict(ends)
        return frozenset(
            (last[pc], starts[after]) for pc, after in steps if pc in last and after in starts
        )

    @cached_property
    def entered(self) -> frozenset[int]:
        """Blocks that the path runs through."""
        ran = set(self.path or ())
        return frozenset(block.index for block in self.cfg.blocks if block.start in ran)

    def count(self, edge: Edge) -> int | None:
        """How many packets took an edge; None where nobody counted."""
        if self.counted is None:
            return None
        blocks = self.cfg.blocks
        way = (blocks[edge.source].stop - 1, blocks[edge.target].start)
        return self.counted.ways.get(way, 0)

    def visits(self, block: BasicBlock) -> int | None:
        """How many packets entered a block."""
        return None if self.counted is None else self.counted.pcs[block.start]

    def words(self, edge: Edge) -> str:
        """What stands beside an edge: its kind, and its count and share."""
        kind = edge.kind if edge.kind in ("true", "false") else ""
        count = self.count(edge)
        if count is None:
            return kind
        whole = self.visits(self.cfg.blocks[edge.source]) or 0
        part = style.share(count, whole)
        return " ".join(filter(None, (kind, f"{count:,}", f"· {part}" if kind and count else "")))

    def headline(self) -> str:
        """First the answer: how many ways there are, and which was taken."""
        if self.caption:
            return self.caption
        blocks = style.plural(len(self.cfg.blocks), "basic block")
        said = f"{style.plural(len(self.program), 'instruction')} in {blocks}, {ways(self.cfg)}"
        if self.counted is not None:
            said += f"; numbers and thickness: {style.plural(self.counted.packets, 'packet')}"
            return f"{said}; black: the way of one" if self.path is not None else said
        return f"{said}; thick: the way taken" if self.path is not None else said

    def text(self) -> str:
        """Blocks in program order, each with its instructions and its edges."""
        lines = [self.headline()]
        for block in self.cfg.blocks:
            lines += ["", self.block_title(block)]
            lines += [
                f"    ({pc:03d}) {line(self.program.insns[pc], pc)}".rstrip() for pc in block.pcs
            ]
            for edge in block.edges:
                strong = "  <- taken" if (edge.source, edge.target) in self.taken else ""
                kind = {"always": "goes", "next": "runs on"}.get(edge.kind, "")
                words = " ".join(filter(None, (kind, self.words(edge))))
                lines.append(f"  {words} -> block {edge.target}{strong}")
        return "\n".join(lines)

    def note(self, block: BasicBlock) -> str:
        """What a view of another question says on top of a block."""
        return ""

    def block_title(self, block: BasicBlock) -> str:
        """A block's number, what is known of it, and whether it ran."""
        notes = []
        if block.index not in self.cfg.reachable:
            notes.append("unreachable")
        if said := self.note(block):
            notes.append(said)
        visits = self.visits(block)
        if visits is not None:
            notes.append(style.plural(visits, "packet"))
        if block.index in self.entered:
            notes.append("on the way taken")
        return f"block {block.index}" + (f" ({', '.join(notes)})" if notes else "")

    @cached_property
    def svg(self) -> str:
        """The picture as a document of its own."""
        blocks = self.cfg.blocks
        if len(blocks) > MOST:
            return sentence_card(
                f"{len(blocks):,} basic blocks are too many to draw: the text form lists them"
            )
        boxes = [self.box(block) for block in blocks]
        sizes = [
            (self.room(block, made), made.height) for block, made in zip(blocks, boxes, strict=True)
        ]
        links = [Link(edge.source, edge.target, edge.kind) for edge in self.cfg.edges]
        placed = layout(sizes, links)
        width, height = placed.width + 2 * MARGIN, placed.height + 2 * MARGIN
        drawing = Svg(width, height, self.alt)
        drawing.add(
            "rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=8, fill=CARD,
            stroke=EDGE_OF_CARD,
        )  # fmt: skip
        self.draw_tracks(drawing, placed)
        for made, (left, top), (room, _) in zip(boxes, placed.corners, sizes, strict=True):
            draw_box(drawing, made, MARGIN + left + (room - made.width) / 2, MARGIN + top)
        self.draw_words(drawing, placed)
        return str(drawing)

    @property
    def legend(self) -> str:
        """How the edges are read."""
        return "solid: true; dashed: false"

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        return f"control flow graph: {self.headline()}"

    def box(self, block: BasicBlock) -> Box:
        """What is drawn for a block."""
        whole = self.counted.packets if self.counted else 0
        return box(
            self.program,
            block,
            reachable=block.index in self.cfg.reachable,
            strong=block.index in self.entered,
            visits=self.visits(block),
            packets=whole,
            note=self.note(block),
        )

    def room(self, block: BasicBlock, made: Box) -> float:
        """The width a block needs, the words of its edges included."""
        words = [LABEL_ADVANCE * len(self.words(edge)) for edge in block.edges]
        return max(made.width, 2 * max(words, default=0.0) + 72 if len(words) > 1 else 0.0)

    def draw_tracks(self, drawing: Svg, placed: Layout) -> None:
        """All pieces of edge, those taken last, so that they lie on top."""
        edges = self.cfg.edges
        looks = []
        for track in placed.tracks:
            here = [edges[at] for at in track.links]
            looks.append((*self.stroke(here), here[0].kind, track))
        for width, colour, kind, track in sorted(looks, key=lambda look: look[0]):
            draw_track(drawing, track, colour, width, dashed=kind == "false")
        for block, (left, top) in zip(self.cfg.blocks, placed.corners, strict=True):
            if any(edge.target == block.index for edge in block.edges):
                draw_loop(drawing, MARGIN + left, MARGIN + top)

    def stroke(self, here: Sequence[Edge]) -> tuple[float, str]:
        """Width and colour of a piece that some edges share."""
        if any((edge.source, edge.target) in self.taken for edge in here):
            return 3.2, STRONG
        if self.counted is None:
            return 1.3, PLAIN if self.path is None else FAINT
        busy, whole = sum(self.count(edge) or 0 for edge in here), self.counted.packets
        if not busy:
            return 1.2, FAINT
        return 1.4 + 3.0 * busy / max(whole, 1), BUSY

    def draw_words(self, drawing: Svg, placed: Layout) -> None:
        """Each edge's words, beside its first piece, on the side away from the other's."""
        leaving: dict[int, list[tuple[float, Track, Edge]]] = {}
        for track in placed.tracks:
            for edge in (self.cfg.edges[at] for at in track.links):
                if track.back and track.enters:
                    leaving.setdefault(edge.source, []).append((track.end[0], track, edge))
                elif track.leaves and not track.back:
                    leaving.setdefault(edge.source, []).append((track.start[0], track, edge))
        for each in leaving.values():
            each.sort(key=lambda way: way[0])
            for index, (x, track, edge) in enumerate(each):
                left = len(each) > 1 and index == 0
                y = track.end[1] - 8 if track.back else track.start[1] + 15
                drawing.text(
                    MARGIN + x + (-6 if left else 6), MARGIN + y, self.words(edge),
                    text_anchor="end" if left else "start", font_family=style.SANS,
                    font_size=LABEL, fill="#333", stroke=CARD, stroke_width=4,
                    stroke_linejoin="round", paint_order="stroke",
                )  # fmt: skip

    def html(self) -> str:
        """The picture, and its twin in text folded under it."""
        html = style.caption(
            f"<b>{escape(self.headline())}</b> &nbsp; {style.muted(escape(self.legend))}"
        )
        return style.scroll(html + framed(self.svg, self.alt)) + twin(self.text())


def framed(drawing: str, alt: str) -> str:
    """A picture for a page: scaled down to fit, but neither below reading nor without end."""
    width, height = size_of(drawing)
    look = "max-width:none" if width > WIDE else "max-width:100%;height:auto"
    picture = style.image(drawing, alt, width, height, look)
    if height > TALL:
        picture = f'<div style="max-height:{TALL:g}px;overflow-y:auto">{picture}</div>'
    return picture


def twin(text: str) -> str:
    """A picture's text, folded under it."""
    return (
        '<details><summary style="cursor:pointer;font-size:13px;line-height:24px">as text'
        f'</summary><pre style="font-family:{style.MONO};font-size:13px;line-height:20px;'
        f'margin:0;background:transparent">{escape(text)}</pre></details>'
    )


def ways(cfg: Cfg) -> str:
    """How many ways lead through, in words; loops make them endless.

    >>> ways(graph(Program.from_insns([(0x15, 0, 1, 0), (6, 0, 0, 1), (6, 0, 0, 0)])))
    '2 ways through'
    """
    counts = [0] * len(cfg.blocks)
    for block in reversed(cfg.blocks):
        if any(edge.target <= block.index for edge in block.edges):
            return "with a way back"
        counts[block.index] = sum(counts[edge.target] for edge in block.edges) or 1
    total = counts[0] if counts else 0
    if total > MANY_WAYS:
        return "more than a million ways through"
    return f"{style.plural(total, 'way')} through"


def sentence_card(words: str) -> str:
    """A picture that only says something."""
    width = 24 + 7.2 * len(words)
    drawing = Svg(width, 40, words)
    drawing.add(
        "rect", x=0.5, y=0.5, width=width - 1, height=39, rx=8, fill=CARD, stroke=EDGE_OF_CARD
    )
    drawing.text(12, 25, words, font_family=style.SANS, font_size=13, fill="#333")
    return str(drawing)


def size_of(drawing: str) -> tuple[float, float]:
    """Width and height as an SVG of ours says them.

    >>> size_of(str(Svg(30, 20.5)))
    (30.0, 20.5)
    """
    parts = drawing.split('"', 8)
    return float(parts[3]), float(parts[5])
