"""The stack machine's runs: one step by step, and what became of many packets.

A trace shows the stack before and after each step, its top on the right; TRUE, which lies
at the bottom from the start, is not shown.  Verdicts come with what each run cost.

Left out: running anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.cbpf.cspf import CspfStep, CspfTrace
from bpfnb.cbpf.cspf_opcodes import PUSHIND
from bpfnb.views import style
from bpfnb.views.cspf import does, html_heads, plain_table, side, tone
from bpfnb.views.verdicts import WHOLE, clip
from bpfnb.views.view import View

__all__ = ["CspfSteps", "CspfVerdict", "CspfVerdicts"]

EMPTY = "–"  # a stack with nothing above TRUE
STEPPED = ("step", "pc", "instruction", "word read", "stack before", "stack after", "what happens")
JUDGED = ("#", "packet", "verdict", "ran", "comparisons", "words read", "why")


def stacked(stack: Iterable[int]) -> str:
    """A stack above TRUE, its top on the right.

    >>> stacked((1, 0x0800, 1)), stacked((1,))
    ('0x0800 1', '–')
    """
    return " ".join(map(number, list(stack)[1:])) or EMPTY


def number(value: int) -> str:
    """A value as the views show it: truth values and other small ones without 0x."""
    return f"{value:#06x}" if value > 9 else str(value)


def happening(step: CspfStep) -> str:
    """One step in words, with this run's numbers."""
    op = step.insn.operator
    if step.failed:
        return f"✗ reject: {step.why}"
    if step.why:
        return f"{style.verdict(int(bool(op.ends)))}: {step.why}"
    if op.ends is not None:
        return f"{'!=' if op.equal else '=='}, so go on"
    if not op.code:
        word = f"push the packet's word {step.read}"
        return word if step.insn.action.code == PUSHIND else does(step.insn).partition(" (")[0]
    below, top = step.operands or (0, 0)
    return f"{number(below)} {op.name} {number(top)} is {number(step.after[-1])}"


@dataclass(frozen=True)
class CspfSteps(View):
    """A run step by step; `title` says which packet it was."""

    trace: CspfTrace
    title: str = ""

    def headline(self) -> str:
        """First the answer."""
        run = self.trace
        lead = f"{self.title}: " if self.title else ""
        steps = style.plural(len(run.steps), "step")
        return f"{lead}{style.verdict(int(run.accepted))} after {steps}: {run.why}"

    def rows(self) -> list[list[str]]:
        """A row a step."""
        return [
            [
                str(number),
                f"({step.pc:02d})",
                str(step.insn),
                "" if step.read is None else str(step.read),
                stacked(step.before),
                stacked(step.after),
                happening(step),
            ]
            for number, step in enumerate(self.trace.steps)
        ]

    def text(self) -> str:
        """The verdict, then all steps."""
        rows = self.rows()
        return "\n".join([self.headline(), *(plain_table(STEPPED, rows) if rows else [])])

    def html(self) -> str:
        """The same as a table, folded after twenty steps."""
        shape, _, words = self.headline().removeprefix(f"{self.title}: ").partition(" ")
        colour = style.ACCEPT if self.trace.accepted else style.REJECT
        lead = f"{escape(self.title)}: " if self.title else ""
        html = style.caption(
            f'{lead}<b><span style="color:{colour}">{shape}</span> {escape(words)}</b>'
        )
        rows = [
            self.html_row(step, row)
            for step, row in zip(self.trace.steps, self.rows()[: style.MOST], strict=False)
        ]
        html += style.table(rows, "step", html_heads(STEPPED)) if rows else ""
        return style.scroll(html + style.left_out(len(self.trace.steps) - len(rows), "step"))

    def html_row(self, step: CspfStep, row: list[str]) -> str:
        """One step."""
        cells = []
        for head, words in zip(STEPPED, row, strict=True):
            shown = escape(words)
            if head == "instruction":
                edge = f";border-left:4px solid {tone(step.insn)}"
                cells.append(style.cell(shown, left=8, more=edge, hover=does(step.insn)))
                continue
            if head == "what happens":
                for shape, colour in (("✓", style.ACCEPT), ("✗", style.REJECT)):
                    shown = shown.replace(shape, f'<b style="color:{colour}">{shape}</b>')
                shown = style.plain(shown)
            elif head in ("step", "pc", "stack before"):
                shown = style.muted(shown)
            cells.append(style.cell(shown, side(head)))
        return style.row(cells)


@dataclass(frozen=True)
class CspfVerdict:
    """What became of one packet: `number` as its user counts, `summary` a line about it."""

    number: int
    summary: str
    accepted: bool
    ran: int
    comparisons: int
    reads: int
    why: str

    @classmethod
    def of(cls, number: int, summary: str, run: CspfTrace) -> CspfVerdict:
        """The row of a run."""
        ran, asked = len(run.steps), run.comparisons
        return cls(number, summary, run.accepted, ran, asked, run.reads, run.why)


@dataclass(frozen=True)
class CspfVerdicts(View):
    """Verdicts on packets: all of `total`, of which `rows` may be the first."""

    rows: Sequence[CspfVerdict]
    total: int
    accepted: int

    def answer(self) -> str:
        """How many were accepted, in words."""
        return f"{self.accepted:,} of {style.plural(self.total, 'packet')} accepted"

    def cells(self, row: CspfVerdict) -> list[str]:
        """One packet's words."""
        return [
            str(row.number), clip(row.summary), style.verdict(int(row.accepted)), str(row.ran),
            str(row.comparisons), str(row.reads), row.why,
        ]  # fmt: skip

    def text(self) -> str:
        """The answer, and up to twenty rows."""
        shown = list(self.rows)
        if self.total > style.FOLD + 1:
            shown = shown[: style.FOLD]
        lines = [self.answer(), *plain_table(JUDGED, [self.cells(row) for row in shown])]
        if self.total > len(shown):
            lines.append(f"… and {style.plural(self.total - len(shown), 'more packet')}")
        return "\n".join(lines)

    def html(self) -> str:
        """The same as a table, folded after twenty rows."""
        rows = []
        for row in self.rows[: style.MOST]:
            cells = []
            for head, words in zip(JUDGED, self.cells(row), strict=True):
                shown, hover = escape(words), ""
                if head == "verdict":
                    shown = style.verdict_html(int(row.accepted))
                elif head == "why":
                    shown = style.plain(shown, 12)
                elif head == "packet":
                    hover = " ".join(row.summary.split())
                    shown = style.plain(escape(hover[:WHOLE]), 12)
                cells.append(style.cell(shown, side(head), hover=hover))
            rows.append(style.row(cells))
        html = style.caption(f"<b>{escape(self.answer())}</b>")
        html += style.table(rows, "packet", html_heads(JUDGED))
        return style.scroll(html + style.left_out(self.total - len(rows), "packet"))
