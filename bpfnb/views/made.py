"""Packets that were made: one, byte by byte, or a set that takes every branch.

`MadePacket` says what the packet does, what scapy sees in it, and shows its bytes with
their fields and what the program read; or the proof that there is none.
`CoveringPackets` has a row a packet: what it is, its verdict, and the branches that none
before it takes.  Both are also the plain values that `analysis` made.

Left out: making them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from typing import Self

from bpfnb.analysis.covering import Branch, Covering
from bpfnb.analysis.synthesis import Made
from bpfnb.cbpf.trace import trace
from bpfnb.packets.dissect import summary
from bpfnb.packets.packet import Packet
from bpfnb.views import style
from bpfnb.views.packet import PacketBytes
from bpfnb.views.view import View

__all__ = ["CoveringPackets", "MadePacket"]

COLUMNS = (("#", "right"), ("packet", "left"), ("bytes", "right"), ("verdict", "left"),
           ("takes, and none before it", "left"))  # fmt: skip
NAMED = 8  # branches that a line names


@dataclass(frozen=True)
class MadePacket(Made, View):
    """A packet that was made: `packet`, `data`, `trace`, `sentence`; false where there is none."""

    @classmethod
    def of(cls, made: Made) -> Self:
        """Make a view of what was made."""
        return cls(**{each.name: getattr(made, each.name) for each in fields(made)})

    @cached_property
    def bytes(self) -> PacketBytes | None:
        """The packet's bytes, and which of them the program read."""
        return None if self.packet is None else PacketBytes.of(self.trace, self.packet)

    @property
    def sign(self) -> str:
        """Whether there is one."""
        return "✓" if self else "✗"

    def remarks(self) -> list[str]:
        """What scapy sees in it, and what the kernel would know of it."""
        if self.packet is None:
            return []
        return [seen(self.packet), *noted(self.packet)]

    def text(self) -> str:
        """The answer, what scapy sees, the bytes."""
        lines = [f"{self.sign} {self.sentence}", *(f"  {each}" for each in self.remarks())]
        return "\n".join([*lines, *([] if self.bytes is None else [self.bytes.text()])])

    def html(self) -> str:
        """The same."""
        tone = style.ACCEPT if self else style.REJECT
        html = style.caption(
            f'<b><span style="color:{tone}">{self.sign}</span> {escape(self.sentence)}</b>'
        )
        html += "".join(style.caption(escape(each)) for each in self.remarks())
        return html + ("" if self.bytes is None else self.bytes.html())


@dataclass(frozen=True)
class CoveringPackets(Covering, View):
    """Packets that together take every branch; a sequence of them, to give to -p."""

    @classmethod
    def of(cls, covering: Covering) -> Self:
        """Make a view of a covering."""
        return cls(**{each.name: getattr(covering, each.name) for each in fields(covering)})

    def __str__(self) -> str:
        return View.__str__(self)

    @cached_property
    def rows(self) -> list[list[str]]:
        """A packet's words, a string a column."""
        rows = []
        for number, packet in enumerate(self.packets):
            run = trace(self.program, packet.data, packet.wirelen, packet.ancillary)
            said = "; ".join([seen(packet), *noted(packet)])
            size = f"{len(packet):,}"
            rows.append([str(number + 1), said, size, style.verdict(run.ret or 0),
                         listed(self.new(number))])  # fmt: skip
        return rows

    def remarks(self) -> list[str]:
        """The branches that none takes, those that are open."""
        found = []
        for said, which in (("no packet takes", self.untaken), ("not decided", self.undecided)):
            if which:
                # Tests tell more than loads that lie within what was read before.
                order = sorted(which, key=lambda each: (each.way == "load", each))
                found.append(f"{said}: {listed(order, NAMED)}")
        return found

    def text(self) -> str:
        """The answer, a line a packet, the branches that are left."""
        rows = [[name for name, _ in COLUMNS], *self.rows[: style.MOST]]
        widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
        lines = [self.sentence]
        for row in rows:
            cells = [
                f"{each:>{width}}" if side == "right" else f"{each:<{width}}"
                for each, width, (_, side) in zip(row, widths, COLUMNS, strict=True)
            ]
            lines.append(f"  {'  '.join(cells)}".rstrip())
        return "\n".join([*lines, *self.remarks()])

    def html(self) -> str:
        """The same as a table, folded after twenty packets."""
        rows = [self.row(each) for each in self.rows[: style.MOST]]
        html = style.caption(f"<b>{escape(self.sentence)}</b>")
        html += style.table(rows, "packet", style.heads(COLUMNS))
        html += style.left_out(len(self.rows) - len(rows), "packet")
        html += "".join(style.caption(style.muted(escape(each))) for each in self.remarks())
        return style.scroll(html)

    def row(self, words: list[str]) -> str:
        """One packet."""
        cells = []
        for (name, side), each in zip(COLUMNS, words, strict=True):
            shown = escape(each)
            if name == "verdict":
                shown = style.verdict_html(int(each.startswith("✓")))
            elif name in ("packet", COLUMNS[-1][0]):
                shown = style.plain(shown)
            cells.append(style.cell(shown, side))
        return style.row(cells)


def seen(packet: Packet) -> str:
    """What scapy sees in a packet; nothing is in one without bytes."""
    return summary(packet.data, packet.linktype) if packet.data else "no bytes at all"


def noted(packet: Packet) -> list[str]:
    """What a program asks for that is not in the bytes."""
    known = []
    if packet.wirelen != len(packet):
        known.append(f"{packet.wirelen:,} bytes on the wire")
    notes = packet.given_ancillary
    if notes is not None:
        usual = Packet(packet.data, linktype=packet.linktype).ancillary
        known += [
            f"{each.name} = {getattr(notes, each.name)}"
            for each in fields(notes)
            if each.name != "random" and getattr(notes, each.name) != getattr(usual, each.name)
        ]
    return [f"with {', '.join(known)}"] if known else []


def listed(branches: Iterable[Branch], most: int | None = None) -> str:
    """Branches in words; the rest counted."""
    shown = [str(each) for each in branches]
    if most is not None and len(shown) > most:
        shown[most:] = [f"and {len(shown) - most} more"]
    return ", ".join(shown)
