"""The debugger as people hold it: its answers are views, and so is where it stands.

A Stop is shown as bpf_dbg shows one: the instruction, both ways on, registers, and the
packet's bytes; the bytes that the instruction is about to read stand in brackets.
Left out: everything it does (`analysis.debugging.debugger`).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from bpfnb.analysis.debugging import debugger, stops
from bpfnb.cbpf.trace import Read
from bpfnb.views import style
from bpfnb.views.trace import headline, log, registers
from bpfnb.views.view import View

__all__ = ["Debugger", "SaidView", "StopView", "hexdump"]

WIDTH = 16  # bytes a row
LOGGED = 20  # lines of logpoints that are shown


@dataclass(frozen=True)
class StopView(stops.Stop, View):
    """Where a command left off: why, the registers, the packet."""

    def text(self) -> str:
        """First why, then what logpoints said, the state, the packet."""
        return "\n\n".join(part for part in (self.title, *self.parts()) if part)

    def html(self) -> str:
        """The same, why in the page's font."""
        body = escape("\n\n".join(part for part in self.parts() if part))
        return style.scroll(style.caption(escape(self.title)) + pre(body))

    @property
    def title(self) -> str:
        """Which packet, and why it stopped here."""
        summary = self.batch.summary(self.packet - 1)
        return f"packet {self.packet} of {len(self.batch)}, {summary}: {self.reason}"

    def parts(self) -> tuple[str, str, str]:
        """What was logged, the state, the packet."""
        return "\n".join(last(self.logged)), self.machine(), self.packet_bytes()

    def machine(self) -> str:
        """The step that runs next; at the end the verdict, and the registers it left."""
        if self.step is None:
            return f"{headline(self.trace, '')}\n{registers(self.state)}"
        return log(self.trace, self.step)

    def packet_bytes(self) -> str:
        """The packet's length and bytes."""
        have, wirelen = len(self.trace.data), self.trace.wirelen
        cut = f", {have:,} of them captured" if have != wirelen else ""
        reads = () if self.step is None else self.step.reads
        head = f"packet, {style.plural(wirelen, 'byte')}{cut}"
        return "\n".join([head, *hexdump(self.trace.data, reads)])


@dataclass(frozen=True)
class SaidView(stops.Said, View):
    """An answer in words."""

    def text(self) -> str:
        """The words."""
        return self.words

    def html(self) -> str:
        """Sentences in the page's font; code, and what stands in columns, in monospace."""
        if self.code or "\n" in self.words:
            return style.scroll(pre(escape(self.words)))
        return style.caption(escape(self.words))


class Debugger(debugger.Debugger):
    """A debugger whose answers show themselves; so does it, as where it stands."""

    stop_type, said_type = StopView, SaidView

    def __str__(self) -> str:
        return str(self.here)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("…" if cycle else str(self))

    def _repr_html_(self) -> str:
        here = self.here
        assert isinstance(here, (StopView, SaidView))  # stop_type and said_type
        return here._repr_html_()


def pre(html: str) -> str:
    """Monospaced lines of ready HTML."""
    return (
        f'<pre style="font-family:{style.MONO};font-size:13px;line-height:20px;margin:0;'
        f'background:transparent">{html}</pre>'
    )


def last(lines: tuple[str, ...]) -> list[str]:
    """The last lines, and how many there were before them."""
    left = len(lines) - LOGGED
    return [f"… {style.plural(left, 'line')} before", *lines[-LOGGED:]] if left > 0 else [*lines]


def hexdump(data: bytes, reads: tuple[Read, ...] = ()) -> list[str]:
    """Rows of sixteen bytes, offsets in decimal and hex; bytes read are in brackets.

    The first twenty rows, and those with bytes that are read.

    >>> hexdump(b"ABCDEFGH", (Read(2, 2),))
    ['     0 0x0000   41 42[43 44]45 46 47 48                           ABCDEFGH']
    """
    marked = {at for read in reads for at in range(read.offset, read.offset + read.size)}
    starts = range(0, len(data), WIDTH)
    shown = [s for s in starts if s < style.FOLD * WIDTH or marked & {*range(s, s + WIDTH)}]
    rows, behind = [], 0
    for start in shown:
        if start > behind:
            rows.append(gap(start - behind))
        rows.append(hex_row(data, start, marked))
        behind = start + WIDTH
    if len(data) > behind:
        rows.append(gap(len(data) - behind))
    return rows


def gap(size: int) -> str:
    """Bytes that are left out."""
    return f"     … {style.plural(size, 'byte')} not shown"


def hex_row(data: bytes, start: int, marked: set[int]) -> str:
    """One row: offset twice, bytes in hex, what of them is ASCII."""
    row = data[start : start + WIDTH]
    cells = ""
    for at, byte in enumerate(row, start):
        inside, joined = at in marked, at - 1 in marked and at > start
        sign = "[" if inside and not joined else "]" if joined and not inside else " "
        cells += f"{sign}{byte:02x}"
    cells += "]" if start + len(row) - 1 in marked else ""
    ascii_ = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
    return f"{start:6} {start:#06x}  {cells:<{3 * WIDTH + 1}}  {ascii_}"
