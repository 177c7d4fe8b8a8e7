"""The packet: its bytes, what they are called, and which of them a program reads.

Sixteen bytes a row, with layers as labelled brackets over them, and fields with
names and values under them.  Bytes that were read on this packet stand in a
solid box, those that another packet's run would read in a dashed one; in text
these are [ ] and ( ).  A table has all that is read, field by field: by which
instructions, whether here, and on how many packets.

Long stretches that no program reads and no header covers are left out, and
their number said.  Left out too: running anything, which `reads` is made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

from bpfnb.cbpf.trace import Trace
from bpfnb.packets.fields import Field, fields, numbered
from bpfnb.packets.packet import Packet
from bpfnb.views import style
from bpfnb.views.packet_grid import Grid
from bpfnb.views.packet_layout import ROW, Layout, Line, Segment
from bpfnb.views.reads import Reads, reads
from bpfnb.views.view import View

__all__ = ["PacketBytes"]

NAMED = 8  # fields that the first line names
LISTED = 60  # lines of the text's table
OPENS, CLOSES = {"did": "[", "can": "("}, {"did": "]", "can": ")"}


@dataclass(frozen=True)
class PacketBytes(View):
    """One packet's bytes with their fields; with `reads`, what a program reads.

    `title` says which packet it is, `wirelen` how long it was on the wire, `total` how
    many packets there are, `reader` which program reads.

    >>> fields = (Field("L", "a", 0, 1, "0"), Field("L", "b", 1, 2, "0"))
    >>> print(PacketBytes(bytes(3), fields, Reads(did={1: (0,), 2: (0,)}, ran=True)))
    this program read 2 of 3 bytes: L.b
                 0  1  2
               ┌ L ────┐
       0 0x000   00[00 00]
         [ ] read on this packet
      bytes  field  value  read by  here
          0  L.a    0
        1–2  L.b    0      (000)    read
    """

    data: bytes = field(repr=False)
    fields: tuple[Field, ...] = field(default=(), repr=False)
    reads: Reads | None = field(default=None, repr=False)
    title: str = ""
    wirelen: int | None = None
    total: int = 0
    reader: str = "this program"

    @classmethod
    def of(
        cls,
        trace: Trace,
        packet: Packet,
        others: Iterable[Trace] = (),
        source: object = None,
        title: str = "",
        total: int = 0,
    ) -> PacketBytes:
        """The bytes of a traced packet; `others` are the traces of all, or of the first of `total`.

        `source` is scapy's packet where there is one.  A packet of no known link
        type is read as the program's.
        """
        data = packet.data
        known = fields(data, packet.linktype, source)
        if packet.linktype is None and not known:
            known = fields(data, trace.program.linktype)
        return cls(data, known, reads(trace.program, trace, others), title, packet.wirelen, total)

    @cached_property
    def layout(self) -> Layout:
        """What stands where."""
        return Layout(self.data, self.fields, self.reads)

    @cached_property
    def grid(self) -> Grid:
        """The bytes as a grid in HTML."""
        return Grid(self.layout)

    def answer(self) -> str:
        """First the answer: which bytes are read, by their names."""
        have = style.plural(len(self.data), "byte")
        if self.wirelen is not None and self.wirelen != len(self.data):
            have += f" captured of {self.wirelen:,}"
        if self.reads is None:
            names = listed(self.layout.names)
            return f"{have}: {names}" if names else have
        ran = self.reads.ran
        places = self.reads.did if ran else [k for k in self.reads.can if k < len(self.data)]
        names = listed(
            line.title for lines in self.layout.of_item for line in lines if line.here or not ran
        )
        said = f"{self.reader} {'read' if ran else 'can read'} {len(places) or 'none'} of {have}"
        return f"{said}{f': {names}' if names else ''}{beyond(self.reads)}"

    def remarks(self, did: str = "[ ]", can: str = "( )") -> list[str]:
        """What must be known to read the picture; `did` and `can` are its marks."""
        known = self.reads
        if known is None:
            return []
        marks = {self.layout.mark(k) for k in range(len(self.data))}
        said = [f"{did} read on this packet"] if "did" in marks else []
        if "can" in marks:
            said.append(f"{can} read on other ways through the program" if known.ran else "")
        lines = ["; ".join(filter(None, said))]
        if known.unsettled:
            pcs = listed(f"({pc:03d})" for pc in known.unsettled)
            many = len(known.unsettled) > 1
            offsets = "their offsets are" if many else "its offset is"
            lines.append(f"{pcs}: {offsets} known only when {'they run' if many else 'it runs'}")
        return list(filter(None, lines))

    def heads(self) -> list[str]:
        """The columns of what is read."""
        known = self.reads
        if known is None or not self.layout.touched:
            return ["bytes", "field", "value"]
        ran = ["here"] if known.ran else []
        first = "the first " if self.total > known.packets else ""
        times = [f"of {first}{style.plural(known.packets, 'packet')}"] if known.packets else []
        return ["bytes", "field", "value", "read by", *ran, *times]

    def cells(self, line: Line) -> list[str]:
        """One line's words, for all the columns there may be."""
        touched = bool(line.by or line.times)
        return [
            line.where,
            line.title,
            line.value,
            ", ".join(f"({pc:03d})" for pc in line.by),
            *([("read" if line.here else "–") if touched else ""] if self.ran else []),
            f"{line.times:,}" if touched else "",
        ][: len(self.heads())]

    @property
    def ran(self) -> bool:
        """Whether there was a run on this packet."""
        return self.reads is not None and self.reads.ran

    def text(self) -> str:
        """The answer, the rows of bytes, a line for each field."""
        lines = [f"{self.title}: {self.answer()}" if self.title else self.answer()]
        if self.data:
            ruler = "".join(f"{each:>3}" for each in range(min(ROW, len(self.data))))
            lines.append(" " * 11 + ruler)
        for row in self.layout.rows:
            over = brackets(self.layout.segments(row, self.layout.layers))
            lines += [" " * 11 + over] if over.strip() else []
            lines.append(f"{row * ROW:>4} {row * ROW:#05x}  {self.row(row)}")
            if gap := self.layout.left_out_behind(row):
                lines.append(f"     … {style.plural(gap, 'more byte')}")
        lines += [f"     {each}" for each in self.remarks()]
        return "\n".join(each.rstrip() for each in [*lines, *self.table_text()])

    def row(self, row: int) -> str:
        """Sixteen bytes, [read] and (readable)."""
        first = row * ROW
        cells = [f"{byte:02x}" for byte in self.data[first : first + ROW]]
        marks = ["", *(self.layout.mark(first + each) for each in range(len(cells))), ""]
        shown = ""
        for place, cell in enumerate([*cells, ""]):
            before, after = marks[place], marks[place + 1]
            edge = CLOSES.get(before, "") + OPENS.get(after, "") if before != after else ""
            shown += ("|" if len(edge) > 1 else edge or " ") + cell
        return shown

    def table_text(self) -> list[str]:
        """A line for each field; of many, those that are read."""
        every = list(self.layout.every())
        kept = every if len(every) <= LISTED else list(self.layout.touched) or every
        kept = kept[:LISTED]
        if not kept:
            return []
        rows = [self.heads(), *map(self.cells, kept)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            first, *others = zip(row, widths, strict=True)
            shown = [f"{first[0]:>{first[1]}}", *(f"{each:<{width}}" for each, width in others)]
            lines.append(f"  {'  '.join(shown)}")
        if len(every) > len(kept):
            lines.append(f"  … and {style.plural(len(every) - len(kept), 'more field')}")
        return lines

    def html(self) -> str:
        """The same: what is read in a table, all fields in one that is folded."""
        lead = f"{escape(self.title)}: " if self.title else ""
        html = style.caption(f"{lead}<b>{escape(self.answer())}</b>") + self.grid.html()
        for each in self.remarks("solid box:", "dashed:"):
            html += style.caption(style.muted(escape(each)))
        if self.layout.touched:
            html += style.table(*self.table(self.layout.touched, self.heads()))
        if self.fields:
            every = list(self.layout.every())
            rows, _, top = self.table(every, self.heads()[:3])
            html += (
                '<details><summary style="cursor:pointer;font-size:13px;line-height:24px">'
                f"{style.plural(len(every), 'field')}, all of them</summary>"
                f"{style.whole_table(rows, top)}</details>"
            )
        return style.scroll(html)

    def table(self, lines: Sequence[Line], heads: Sequence[str]) -> tuple[list[str], str, str]:
        """The rows of a table of lines, what one is called, and the row of names over them."""
        rows = [
            style.row(
                style.cell(
                    self.html_cell(line, head, words), side(head), hover=hexadecimal(line, head)
                )
                for head, words in zip(heads, self.cells(line), strict=False)
            )
            for line in lines[: style.MOST]
        ]
        top = style.heads((head, side(head)) for head in heads)
        return rows, "field", top

    def html_cell(self, line: Line, head: str, words: str) -> str:
        """One cell; the field behind its layer's tone."""
        shown = escape(words)
        if head == "field":
            tone = self.grid.tone(line.title.partition(".")[0])
            name = f"<b>{shown}</b>" if line.here else shown
            return f'<span style="border-left:4px solid {tone};padding-left:6px">{name}</span>'
        return style.muted(shown) if head in ("bytes", "read by") else shown


def beyond(known: Reads) -> str:
    """What a load wanted that this packet lacks; nothing where none did."""
    if known.missed is None:
        return ""
    pc, read = known.missed
    wanted = numbered(read.offset, read.offset + read.size)
    if read.offset >= 0x80000000:
        wanted = f"{style.plural(read.size, 'byte')} at {read.offset:#x}"
    return f"; ({pc:03d}) wanted {wanted}, past the end"


def listed(names: Iterable[str]) -> str:
    """Names with commas; of many the first, and how many more."""
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def brackets(segments: Sequence[Segment]) -> str:
    """The layers over a row, as text: three characters a byte."""
    shown = ""
    for each in segments:
        size = 3 * each.size
        if not each.item.layer:
            shown += " " * size
            continue
        room = size - each.begins - each.ends
        label = f" {each.item.layer} "[:room]
        label = label if each.item.layer in label else ""
        shown += "┌" * each.begins + label.ljust(room, "─") + "┐" * each.ends
    return shown


def side(head: str) -> str:
    """Words stand left, numbers right."""
    return "right" if head == "bytes" or head.startswith("of ") else "left"


def hexadecimal(line: Line, head: str) -> str:
    """What hovering the offsets says."""
    if head != "bytes":
        return ""
    last = line.start + line.size - 1
    return f"{line.start:#x}" + (f"–{last:#x}" if line.size > 1 else "")
