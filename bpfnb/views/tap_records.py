"""What a read gives, byte by byte: records with headers, packets and padding between.

Sixteen bytes a row, a line over each stretch with its name: solid over headers, double
over packets, hatched boxes for padding.  Left out: taking the records apart
(`bpfnb.course.tap.framing`); stretches come as plain rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape

from bpfnb.errors import brief
from bpfnb.views import style
from bpfnb.views.cfg import CARD, EDGE_OF_CARD, framed, twin
from bpfnb.views.svg import Svg
from bpfnb.views.view import Picture

__all__ = ["ReadBytes", "Stretch"]

ROW, BYTE, LEFT, TOP, PITCH = 16, 38.0, 58.0, 20.0, 44.0
INK, PALE = "#1c1c1c", "#5f5f5f"
TONES = {"header": style.BLUE, "packet": style.GREEN, "padding": style.GREY}
LETTER = 6.0  # pixels of a letter over a stretch
MOST = 40  # rows that are drawn


@dataclass(frozen=True)
class Stretch:
    """Bytes that belong together: from `start` to before `stop`, of a kind, with words."""

    start: int
    stop: int
    kind: str
    words: str


@dataclass(frozen=True)
class ReadBytes(Picture):
    """The first bytes of what a read gave, `whole` bytes and `packets` packets in all."""

    data: bytes
    stretches: tuple[Stretch, ...]
    whole: int
    packets: int

    def headline(self) -> str:
        """First the answer."""
        padding = sum(each.stop - each.start for each in self.stretches if each.kind == "padding")
        shown = f"; shown: the first {len(self.data):,}" if len(self.data) < self.whole else ""
        return (
            f"one read: {style.plural(self.packets, 'packet')} in {self.whole:,} bytes{shown}, "
            f"{style.plural(padding, 'byte')} of them padding"
        )

    def text(self) -> str:
        """A line a stretch."""
        lines = [self.headline(), "  bytes        what"]
        for each in self.stretches:
            span = (
                f"{each.start}–{each.stop - 1}" if each.stop - each.start > 1 else f"{each.start}"
            )
            shown = self.data[each.start : each.stop][:ROW].hex(" ")
            more = " …" if each.stop - each.start > ROW else ""
            lines.append(f"  {span:<11}  {each.kind:<7}  {brief(each.words)}: {shown}{more}")
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """The picture, and its twin in text folded under it."""
        legend = "blue: header; green: packet; hatched: padding"
        html = style.caption(f"<b>{escape(self.headline())}</b> &nbsp; {style.muted(legend)}")
        return style.scroll(html + framed(self.svg, self.alt)) + twin(self.text())

    @property
    def alt(self) -> str:
        """The picture in words."""
        said = "; ".join(f"{each.kind} {brief(each.words)}" for each in self.stretches[:6])
        return f"bytes of a read: {self.headline()}; {said}"

    @cached_property
    def svg(self) -> str:
        """The picture as a document of its own."""
        rows = min(-(-len(self.data) // ROW), MOST)
        width, height = LEFT + ROW * BYTE + 16, TOP + rows * PITCH + 10
        drawing = Svg(width, height, self.alt)
        drawing.add(
            "rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=8, fill=CARD,
            stroke=EDGE_OF_CARD,
        )  # fmt: skip
        for row in range(rows):
            base = TOP + row * PITCH + 30
            drawing.text(LEFT - 10, base, f"{row * ROW}", text_anchor="end", fill=PALE,
                         font_family=style.MONO, font_size=12)  # fmt: skip
        for each in self.stretches:
            for row in range(each.start // ROW, min(-(-each.stop // ROW), rows)):
                self.draw_part(drawing, each, row)
        return str(drawing)

    def draw_part(self, drawing: Svg, each: Stretch, row: int) -> None:
        """What of a stretch lies in a row."""
        first, last = max(each.start, row * ROW), min(each.stop, (row + 1) * ROW)
        x, wide = LEFT + (first - row * ROW) * BYTE, (last - first) * BYTE
        top = TOP + row * PITCH + 14
        tone = TONES.get(each.kind, style.GREY)
        drawing.add("rect", x=x + 1.5, y=top, width=wide - 3, height=3, fill=tone)
        if each.kind == "padding":
            drawing.add("rect", x=x + 2, y=top + 5, width=wide - 4, height=16, fill="#e2e2e2",
                        stroke=style.GREY, stroke_dasharray="2 2")  # fmt: skip
        room = int((wide - 6) / LETTER)
        words = brief(each.words) if first == each.start else ""
        if room >= 2 and words:
            shown = words if len(words) <= room else f"{words[: room - 1]}…"
            drawing.text(x + 3, top - 4, shown, fill=PALE, font_family=style.SANS, font_size=11)
        for k in range(first, last):
            drawing.text(
                LEFT + (k - row * ROW + 0.5) * BYTE, top + 16, f"{self.data[k]:02x}",
                text_anchor="middle", fill=INK, font_family=style.MONO, font_size=12,
            )  # fmt: skip
