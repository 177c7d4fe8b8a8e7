"""Which packets a program accepts: first the answer, then a line a packet.

With several backends their rets stand side by side; where two differ, a loud
line above the table names the first packet, and each such row is marked.

Left out: running anything.  The rows are plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.cbpf.disasm import line
from bpfnb.cbpf.opcodes import BY_CODE, Class
from bpfnb.cbpf.trace import Step, Trace
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["VerdictRow", "Verdicts"]

LATE = 5  # rows beyond the fold that are shown in text since backends differ
SUMMARY, WHOLE = 56, 160  # characters of a packet's summary, in text and in HTML
CROWDED = 4  # backends beside which there is no room for the last instruction's words
SIDES = {"#": "right", "packet": "left", "verdict": "left", "ended at": "left"}


@dataclass(frozen=True)
class VerdictRow:
    """What became of one packet.

    `number` is the packet's, as its user counts; `summary` one line about it.
    `rets` has one ret for each backend, None where it could not run.  `caplen`
    is how many bytes were captured.  `steps` is the number of instructions run,
    `ended` the pc of the last, `ended_at` its words; None and "" when not known.
    """

    number: int
    summary: str
    rets: tuple[int | None, ...]
    caplen: int
    steps: int | None = None
    ended: int | None = None
    ended_at: str = ""

    @classmethod
    def of(
        cls, number: int, summary: str, trace: Trace, others: Sequence[int | None] = ()
    ) -> VerdictRow:
        """The row of a traced run; `others` are the rets of further backends."""
        rets = (trace.ret, *others)
        words, ended = "", None
        if trace.steps:
            last = trace.steps[-1]
            ended = last.pc
            words = " ".join(line(last.insn, last.pc).split()) + early(last)
        return cls(number, summary, rets, len(trace.data), len(trace.steps), ended, words)

    @property
    def ret(self) -> int:
        """The first ret there is, 0 when there is none."""
        return next((ret for ret in self.rets if ret is not None), 0)

    @property
    def accepted(self) -> int:
        """How many bytes the reader gets: min(caplen, ret)."""
        return min(self.caplen, self.ret)

    @property
    def differs(self) -> bool:
        """Whether two backends that ran gave different rets."""
        return len({ret for ret in self.rets if ret is not None}) > 1


@dataclass(frozen=True)
class Verdicts(View):
    """Verdicts on packets, on one or several backends.

    `rows` may be the first ones of many: then `total`, `accepted` and, on several
    backends, `differences` count all.  `why` names the first difference; where
    `compared` is False the rets are shown and not compared.

    >>> print(Verdicts([VerdictRow(1, "ICMP", (96,), 42, 4, 3, "ret #96")]))
    1 of 1 packet accepted
      #  packet  verdict   ret  accepted bytes  ran  ended at
      1  ICMP    ✓ accept   96              42    4  (003) ret #96
    """

    rows: Sequence[VerdictRow]
    backends: Sequence[str] = ("interp",)
    total: int | None = None
    accepted: int | None = None
    caption: str = ""
    differences: int | None = None
    why: str = ""
    compared: bool = True

    @property
    def count(self) -> int:
        """How many packets there were."""
        return len(self.rows) if self.total is None else self.total

    @property
    def accepted_count(self) -> int:
        """How many of them were accepted."""
        if self.accepted is not None:
            return self.accepted
        return sum(row.ret > 0 for row in self.rows)

    @property
    def differing(self) -> tuple[VerdictRow, ...]:
        """The rows on which backends differ."""
        return tuple(row for row in self.rows if self.differs(row))

    def differs(self, row: VerdictRow) -> bool:
        """Whether backends differ on a packet, as far as they are compared."""
        return self.compared and row.differs

    def answer(self) -> str:
        """How many were accepted, in words."""
        of = f"{self.accepted_count:,} of {style.plural(self.count, 'packet')} accepted"
        said = f"{self.caption}: {of}" if self.caption else of
        if tuple(self.backends) == ("interp",):
            return said
        said = f"{said} by {self.backends[0]}"
        if len(self.backends) > 1:
            said += "; each backend's ret side by side"
        path = "interp" not in self.backends and "ran" in self.heads()
        return f"{said}; ran and ended at are interp's" if path else said

    def alarm(self) -> str:
        """The loud line, empty where all backends agree."""
        rows = self.differing
        if not rows:
            return ""
        first = rows[0]
        together: dict[int, list[str]] = {}
        for name, ret in zip(self.backends, first.rets, strict=True):
            if ret is not None:
                together.setdefault(ret, []).append(name)
        named = "; ".join(
            f"{', '.join(names)} {'gives' if len(names) == 1 else 'give'} {ret}"
            for ret, names in together.items()
        )
        on = style.plural(self.differences or len(rows), "packet")
        why = f" ({self.why})" if self.why else ""
        return f"THE BACKENDS DIFFER on {on}, first on packet {first.number}: {named}{why}"

    def heads(self) -> list[str]:
        """The columns' names."""
        rets = ["ret"] if len(self.backends) == 1 else list(self.backends)
        heads = ["#", "packet", "verdict", *rets, "accepted bytes"]
        if any(row.steps is not None for row in self.rows[: style.MOST]):
            heads += ["ran", "ended at"]
        return heads

    def cells(self, row: VerdictRow) -> list[str]:
        """One row's words, a string a column."""
        rets = ["–" if ret is None else str(ret) for ret in row.rets]
        shown = [str(row.number), clip(row.summary), style.verdict(row.ret), *rets]
        shown.append(str(row.accepted))
        if "ran" in self.heads():
            ended = "" if row.ended is None else f"({row.ended:03d})"
            if ended and len(self.backends) < CROWDED:
                ended += f" {row.ended_at}"
            shown += ["" if row.steps is None else str(row.steps), ended]
        return shown

    def text(self) -> str:
        """The answer, the loud line, then twenty rows and the first that differ."""
        shown = list(self.rows)
        if len(shown) > style.FOLD + 1:
            late = [row for row in shown[style.FOLD :] if self.differs(row)]
            shown = [*shown[: style.FOLD], *late[:LATE]]
        heads, body = self.heads(), [self.cells(row) for row in shown]
        widths = [max(len(row[at]) for row in [heads, *body]) for at in range(len(heads))]
        lines = [self.answer()]
        if self.alarm():
            lines.append(f"✗ {self.alarm()}")
        marks = [" ", *("≠" if self.differs(row) else " " for row in shown)]
        for mark, row in zip(marks, [heads, *body], strict=True):
            fields = [
                f"{each:>{width}}" if side(head) == "right" else f"{each:<{width}}"
                for each, width, head in zip(row, widths, heads, strict=True)
            ]
            lines.append(f"{mark} {'  '.join(fields)}".rstrip())
        if self.count > len(shown):
            lines.append(f"  … and {style.plural(self.count - len(shown), 'more packet')}")
        return "\n".join(lines)

    def html(self) -> str:
        """The same as a table, folded after twenty rows."""
        html = style.caption(f"<b>{escape(self.answer())}</b>")
        if self.alarm():
            shape = f'<span style="color:{style.REJECT}">✗</span>'
            html += (
                f'<div style="border-left:6px solid {style.REJECT};padding:4px 10px;'
                f'margin:0 0 8px 0;font-size:14px;line-height:22px"><b>{shape} '
                f"{escape(self.alarm())}</b></div>"
            )
        names = self.heads()
        rows = [self.html_row(row, names) for row in self.rows[: style.MOST]]
        html += style.table(rows, "packet", style.heads((name, side(name)) for name in names))
        html += style.left_out(self.count - len(rows), "packet")
        return style.scroll(html)

    def html_row(self, row: VerdictRow, names: list[str]) -> str:
        """One packet; a rejected one is no fainter than an accepted one."""
        cells, differs = [], self.differs(row)
        for name, words in zip(names, self.cells(row), strict=True):
            shown, hover = escape(words), ""
            if name == "verdict":
                shown = style.verdict_html(row.ret)
            elif name == "packet":
                words = " ".join(row.summary.split())
                shown, hover = style.plain(escape(words[:WHOLE]), 12), words
            elif differs and name == "#":
                shown = f"<b>≠ {shown}</b>"
            elif differs and name in self.backends and words not in ("–", str(row.ret)):
                shown = f'<b style="border-bottom:2px solid {style.REJECT}">{shown}</b>'
            cells.append(style.cell(shown, side(name), hover=hover))
        return style.row(cells)


def early(last: Step) -> str:
    """Why a program ended at an instruction that is no ret; nothing for a ret."""
    row = BY_CODE[last.insn.code]
    if last.missed:
        return ", past the end"
    return {Class.RET: "", Class.ALU: ", by 0"}.get(row.cls, ", no device")


def side(name: str) -> str:
    """Words stand left, numbers right."""
    return SIDES.get(name, "right")


def clip(summary: str) -> str:
    """A summary on one line, cut where it is long."""
    words = " ".join(summary.split())
    return words if len(words) <= SUMMARY else words[: SUMMARY - 1] + "…"
