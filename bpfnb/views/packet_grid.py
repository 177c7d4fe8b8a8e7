"""A packet's bytes as a grid in HTML: layers over them, fields under them.

Sixteen bytes a row.  Bytes that were read have a solid box around them, those
that could be a dashed one; hovering a byte or a field says all there is.
Left out: what stands where (`packet_layout`) and words around it (`packet`).

Source: the header diagrams of RFC 791.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.packets.fields import at
from bpfnb.views import style
from bpfnb.views.packet_layout import ROW, Layout, Segment

__all__ = ["Grid"]

BYTE, OFFSET = 45, 46  # pixels: a byte's cell, and each of the two before it
ENOUGH = 5  # bytes over a value
TONES = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.VERMILLION)
PLAIN = "text-align:center;padding:0;border:0"
CELL = f"{PLAIN};vertical-align:top;white-space:nowrap;overflow:hidden"


@dataclass(frozen=True)
class Grid:
    """The picture of a layout."""

    layout: Layout

    def tone(self, layer: str) -> str:
        """A layer's tone; grey for what is no header."""
        names = [each for each in self.layout.names if each not in ("Raw", "Padding")]
        return TONES[names.index(layer) % len(TONES)] if layer in names else style.GREY

    def html(self) -> str:
        """The bytes in rows, each under its layers and over its fields."""
        if not self.layout.data:
            return ""
        columns = min(ROW, len(self.layout.data))
        rows = [ruler(columns)]
        for row in self.layout.rows:
            rows.append(self.layer_row(row))
            rows.append(self.byte_row(row))
            rows.append(self.name_row(row))
            if gap := self.layout.left_out_behind(row):
                words = style.plain(f"… {style.plural(gap, 'more byte')}", 12)
                rows.append(grid_row([spread(style.muted(words), columns)]))
        return (
            '<table style="border-collapse:collapse;table-layout:fixed;border:0;margin:0 0 6px 0;'
            f'width:{2 * OFFSET + columns * BYTE}px;font-family:{style.MONO};font-size:13px">'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    def layer_row(self, row: int) -> str:
        """The layers' brackets over a row."""
        cells = []
        for each in self.layout.segments(row, self.layout.layers):
            if not each.item.layer:
                cells.append(spread("", each.size))
                continue
            line = f"2px solid {self.tone(each.item.layer)}"
            edges = f";border-left:{line}" if each.begins else ""
            edges += f";border-right:{line}" if each.ends else ""
            label = escape(each.item.layer)
            label = f"<b>{label}</b>" if each.begins else style.muted(label)
            cells.append(
                spread(
                    f'<div style="margin:0 1px;height:15px;border-top:{line}{edges};'
                    "padding:0 0 0 5px;text-align:left;overflow:hidden;text-overflow:ellipsis;"
                    f'font-family:{style.SANS};font-size:11px;line-height:15px">{label}</div>',
                    each.size,
                    each.item.layer,
                )
            )
        return grid_row(cells)

    def byte_row(self, row: int) -> str:
        """The offsets and the bytes, those that are read in boxes."""
        first = row * ROW
        line = "line-height:24px"
        shown = [
            f'<td style="{CELL};text-align:right;padding:0 8px 0 0;{line}">{style.muted(each)}</td>'
            for each in (str(first), f"{first:#05x}")
        ]
        for k in range(first, min(first + ROW, len(self.layout.data))):
            value, byte = self.layout.data[k], f"{self.layout.data[k]:02x}"
            look = box(self.layout.mark(k), [self.layout.mark(k - 1), self.layout.mark(k + 1)])
            words = f"byte {k} ({k:#x}) is {value} ({value:#04x}): {at(self.layout.fields, k, 1)}"
            if self.layout.mark(k) == "did":
                byte = f"<b>{byte}</b>"
            shown.append(f'<td title="{escape(words)}" style="{PLAIN};{line}{look}">{byte}</td>')
        return f'<tr style="background:transparent">{"".join(shown)}</tr>'

    def name_row(self, row: int) -> str:
        """The fields under a row, with name and value where they are longest."""
        cells = []
        for each in self.layout.segments(row, self.layout.boxes):
            item = each.item
            if not item.layer:
                cells.append(spread("", each.size))
                continue
            name = escape(item.name or item.layer)
            value = escape(item.value) if roomy(each, row) else ""
            here = any(self.layout.mark(k) == "did" for k in range(item.start, item.stop))
            name = f"<b>{name}</b>" if here else style.muted(name)
            hint = f"{at([item], item.start, item.size)}: {item.value}"
            cells.append(
                spread(
                    f'<div style="margin:3px 2px 9px 2px;padding:1px 0 0 0;height:28px;'
                    f"border-top:2px solid {self.tone(item.layer)};font-family:{style.SANS};"
                    "overflow:hidden;text-overflow:ellipsis;font-size:11px;"
                    f'line-height:14px">{name}<br>{value}</div>',
                    each.size,
                    hint,
                )
            )
        return grid_row(cells)


def roomy(segment: Segment, row: int) -> bool:
    """Whether a value is shown here: the first segment wide enough, else the widest."""
    item = segment.item
    rows = range(item.start // ROW, (item.stop - 1) // ROW + 1)[:3]
    sizes = [min(item.stop, (each + 1) * ROW) - max(item.start, each * ROW) for each in rows]
    best = next((at for at, size in enumerate(sizes) if size >= ENOUGH), sizes.index(max(sizes)))
    return row == rows[best]


def ruler(columns: int) -> str:
    """The row of the bytes' places; it gives the columns their widths."""
    heads = ["", "", *map(str, range(columns))]
    widths = [OFFSET, OFFSET, *[BYTE] * columns]
    cells = [
        f'<td style="{PLAIN};width:{width}px;line-height:20px;font-size:11px">'
        f"{style.muted(head)}</td>"
        for head, width in zip(heads, widths, strict=True)
    ]
    return f'<tr style="background:transparent">{"".join(cells)}</tr>'


def spread(html: str, columns: int, hover: str = "") -> str:
    """A cell over some bytes."""
    hint = f' title="{escape(hover)}"' if hover else ""
    return f'<td colspan="{columns}"{hint} style="{CELL};text-align:left">{html}</td>'


def grid_row(cells: Iterable[str]) -> str:
    """A row of the grid beside nothing."""
    lead = f'<td colspan="2" style="{CELL}"></td>'
    return f'<tr style="background:transparent">{lead}{"".join(cells)}</tr>'


def box(mark: str, neighbours: Sequence[str]) -> str:
    """The border of a byte: around all bytes of one mark together."""
    if not mark:
        return ""
    line = "2px solid" if mark == "did" else f"1px dashed {style.LINE}"
    look = f";border-top:{line};border-bottom:{line}"
    for side_, neighbour in zip(("left", "right"), neighbours, strict=True):
        look += f";border-{side_}:{line}" if neighbour != mark else ""
    return look
