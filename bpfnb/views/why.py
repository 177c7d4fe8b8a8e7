"""Why a packet got its verdict, and a program in words.

`Why` is one sentence with the tests that led there under it; `Explanation` a
numbered sentence a basic block, what is known when it is reached, and what is
accepted.  Both are also the plain values that `analysis` made.

Left out: finding any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from typing import Self

from bpfnb.analysis.explain import Account, Paragraph
from bpfnb.analysis.why import Outcome, Reason
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["Explanation", "Why"]

TESTS = (("pc", "right"), ("test", "left"), ("is", "left"), ("the other way wants", "left"))
PARAGRAPHS = (("pc", "right"), ("what happens", "left"), ("known there", "left"))


@dataclass(frozen=True)
class Why(Reason, View):
    """Why one packet got its verdict.

    `sentence` says it; `accepted`, `ended`, `decided`, `field`, `found`, `wanted`,
    `missed` and `tests` are its parts, as in `analysis.why.Reason`.  `title` says
    which packet it was.
    """

    title: str = ""

    @classmethod
    def of(cls, reason: Reason, title: str = "") -> Self:
        """Make a view of a reason."""
        parts = {each.name: getattr(reason, each.name) for each in fields(reason)}
        return cls(**parts, title=title)

    @property
    def answer(self) -> str:
        """The sentence behind its sign, and the packet's title."""
        sign = "✓" if self.accepted else "✗"
        return f"{self.title}: {sign} {self.sentence}" if self.title else f"{sign} {self.sentence}"

    def text(self) -> str:
        """The sentence, then a line a test."""
        rows = [self.words(test) for test in self.shown]
        lines = [self.answer]
        if rows:
            heads = [name for name, _ in TESTS]
            widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
            for mark, row in zip(["", *map(self.mark, self.shown)], [heads, *rows], strict=True):
                cells = [f"{each:<{width}}" for each, width in zip(row, widths, strict=True)]
                lines.append(f"{mark:<2}{'  '.join(cells)}".rstrip())
        if len(self.tests) > len(rows):
            before = style.plural(len(self.tests) - len(rows), "test")
            lines.insert(1, f"  the last {len(rows)} tests, {before} before")
        return "\n".join([*lines, *self.notes])

    @property
    def shown(self) -> tuple[Outcome, ...]:
        """The tests of the text: the last ones."""
        return self.tests[-style.FOLD :]

    def mark(self, test: Outcome) -> str:
        """The sign of the test that decided."""
        return "→" if test.pc == self.decided else ""

    def words(self, test: Outcome) -> list[str]:
        """One test's words, a string a column."""
        return [f"({test.pc:03d})", test.subject, test.shown, test.wanted]

    def html(self) -> str:
        """The same as a table, folded after twenty tests."""
        sign, tone = ("✓", style.ACCEPT) if self.accepted else ("✗", style.REJECT)
        lead = f"{escape(self.title)}: " if self.title else ""
        said = f'{lead}<b><span style="color:{tone}">{sign}</span> {escape(self.sentence)}</b>'
        html = style.caption(said)
        if self.tests:
            rows = [self.row(test) for test in self.tests[: style.MOST]]
            html += style.table(rows, "test", style.heads(TESTS))
            html += style.left_out(len(self.tests) - len(rows), "test")
        html += "".join(style.caption(style.muted(escape(each))) for each in self.notes)
        return style.scroll(html)

    def row(self, test: Outcome) -> str:
        """One test; the one that decided is bold, behind an arrow."""
        chosen = test.pc == self.decided
        cells = []
        for (name, side), words in zip(TESTS, self.words(test), strict=True):
            shown = escape(words)
            if name == "pc":
                shown = f"<b>→</b> {shown}" if chosen else style.muted(shown)
            elif name == "the other way wants":
                shown = style.plain(shown)
            cells.append(style.cell(f"<b>{shown}</b>" if chosen and name != "pc" else shown, side))
        return style.row(cells)


@dataclass(frozen=True)
class Explanation(Account, View):
    """A program in words.

    `lines` has the sentence and the field of every instruction, `paragraphs`
    those of every basic block, `accepted` what is accepted, `notes` what the
    names rest on.
    """

    @classmethod
    def of(cls, account: Account) -> Self:
        """Make a view of an account."""
        return cls(**{each.name: getattr(account, each.name) for each in fields(account)})

    def fields_by_pc(self) -> dict[int, str]:
        """The name of what each instruction reads or tests, where one is certain."""
        return {line.pc: line.field for line in self.lines if line.field}

    def text(self) -> str:
        """What is accepted, then a line a block."""
        lines = [self.summary, *(f"      {each}" for each in self.accepted)]
        for each in self.paragraphs[: style.MOST]:
            lines.append(f"({pcs(each)}) {each.sentence}")
            if each.known:
                lines.append(f"      known: {known(each)}")
        return "\n".join([*lines, *self.notes])

    @property
    def summary(self) -> str:
        """The line over what is accepted."""
        return "accepted:" if self.accepted else "nothing is accepted"

    def html(self) -> str:
        """The answer first: what is accepted; then a row a block."""
        html = style.caption(f"<b>{escape(self.summary)}</b>")
        for each in self.accepted:
            html += style.caption(f'<b style="color:{style.ACCEPT}">✓</b> {escape(each)}')
        rows = [self.row(each) for each in self.paragraphs[: style.MOST]]
        html += style.table(rows, "block", style.heads(PARAGRAPHS))
        html += style.left_out(len(self.paragraphs) - len(rows), "block")
        html += "".join(style.caption(style.muted(escape(each))) for each in self.notes)
        return style.scroll(html)

    def row(self, paragraph: Paragraph) -> str:
        """One block: its pcs, its sentence, what is known there."""
        last = self.program.insns[paragraph.stop - 1]
        return style.row(
            [
                style.cell(style.muted(pcs(paragraph)), "right"),
                style.cell(
                    style.plain(escape(paragraph.sentence)),
                    left=8,
                    more=f";border-left:4px solid {style.tone(last.code)};min-width:300px",
                ),
                style.cell(style.muted(style.plain(escape(known(paragraph)), 12))),
            ]
        )


def pcs(paragraph: Paragraph) -> str:
    """The numbers of a block's instructions: 000–001."""
    first, last = paragraph.start, paragraph.stop - 1
    return f"{first:03d}" if first == last else f"{first:03d}–{last:03d}"


def known(paragraph: Paragraph) -> str:
    """What is known at a block's start, on one line."""
    return "; ".join(paragraph.known)
