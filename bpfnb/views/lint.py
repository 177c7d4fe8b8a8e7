"""What lint has to say: how much, then a line a remark with its cure.

The view is also the report that `analysis.lint` made.  Left out: finding anything.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from typing import Self

from bpfnb.analysis.linting.remarks import KINDS, Remark, Report
from bpfnb.cbpf.disasm import line
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["Lint"]

COLUMNS = (("pc", "right"), ("instruction", "left"), ("what is odd, and the cure", "left"))


@dataclass(frozen=True)
class Lint(Report, View):
    """Remarks on a program: `remarks`, each with kind, pc, message and hint.

    `undecided` says what was left open, "" for nothing.
    """

    @classmethod
    def of(cls, report: Report) -> Self:
        """Make a view of a report."""
        return cls(**{each.name: getattr(report, each.name) for each in fields(report)})

    @property
    def answer(self) -> str:
        """First the answer."""
        size = style.plural(len(self.program), "instruction")
        if self.remarks:
            return f"⚠ {style.plural(len(self.remarks), 'remark')} on {size}"
        if self.undecided:
            return f"no remark on {size} so far"
        return f"✓ nothing odd in {size}"

    @property
    def scope(self) -> str:
        """What the remarks hold for."""
        rules = "" if self.rules == "linux" else f", by {self.rules}'s rules"
        return f"proved for every packet of up to {self.max_len:,} bytes{rules}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines under the remarks."""
        return tuple(filter(None, (self.undecided or self.scope, self.basis)))

    def text(self) -> str:
        """The answer, then each remark and its cure."""
        lines = [self.answer]
        for each in self.remarks[: style.MOST]:
            lines += [f"{where(each)} {each.message}", f"      cure: {each.hint}"]
        return "\n".join([*lines, *self.notes])

    def html(self) -> str:
        """The same as a table, folded after twenty remarks."""
        tone = style.REJECT if self.remarks else style.ACCEPT
        sign, _, rest = self.answer.partition(" ")
        said = f'<b style="color:{tone}">{escape(sign)}</b> <b>{escape(rest)}</b>'
        if not self.remarks and self.undecided:
            said = escape(self.answer)
        rows = [self.row(each) for each in self.remarks[: style.MOST]]
        html = style.caption(said)
        if rows:
            html += style.table(rows, "remark", style.heads(COLUMNS))
            html += style.left_out(len(self.remarks) - len(rows), "remark")
        html += "".join(style.caption(style.muted(escape(each))) for each in self.notes)
        return style.scroll(html)

    def row(self, remark: Remark) -> str:
        """One remark: its instruction, what is so, and the cure under it."""
        said = style.plain(escape(remark.message), least=240)
        cure = style.muted(style.plain(f"cure: {escape(remark.hint)}", 12))
        shown, edge = style.muted(style.plain("the whole program")), ""
        if remark.pc is not None:
            insn = self.program.insns[remark.pc]
            shown = escape(f"(000) {line(insn, remark.pc)}".expandtabs()[6:].rstrip())
            edge = f";border-left:4px solid {style.tone(insn.code)}"
        return style.row(
            [
                style.cell("" if remark.pc is None else style.muted(f"{remark.pc:03d}"), "right"),
                style.cell(shown, left=8, more=edge, hover=KINDS[remark.kind]),
                style.cell(f"{said}<br>{cure}", more=";min-width:300px"),
            ]
        )


def where(remark: Remark) -> str:
    """A remark's place, as listings number it; as wide where it is the whole program."""
    return "     " if remark.pc is None else f"({remark.pc:03d})"
