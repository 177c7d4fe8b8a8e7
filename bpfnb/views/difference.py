"""Two programs side by side: where their listings differ, and a packet that shows it.

A sign between the listings says how a pair of instructions stands: "=" the same, "≠" not the
same, "−" only in the first program, "+" only in the second; "→" marks where the runs on the
packet part.  The text is a unified diff.  Long stretches without a difference are counted.

Left out: aligning and deciding (`analysis.difference`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import escape
from typing import Self

from bpfnb.analysis import difference, equivalence
from bpfnb.analysis.difference import Row
from bpfnb.cbpf.disasm import line
from bpfnb.cbpf.program import Program
from bpfnb.errors import brief
from bpfnb.views import style
from bpfnb.views.proof import Counterexample, Proof
from bpfnb.views.view import View

__all__ = ["Difference"]

AROUND = 3  # rows without a difference that are shown beside one that has it
SIGNS = {"=": "the same", "≠": "not the same", "−": "only in the first", "+": "only in the second"}


@dataclass(frozen=True)
class Difference(difference.Difference, View):
    """Two programs side by side: `rows`, `region`, `parting`, `answer`, `differs`."""

    @classmethod
    def of(cls, found: difference.Difference) -> Self:
        """Make a view of a difference, its answer a view too."""
        parts = {each.name: getattr(found, each.name) for each in fields(found)}
        if found.answer is not None:
            parts["answer"] = shown(found.answer)
        return cls(**parts)

    @property
    def sentence(self) -> str:
        """First the answer."""
        if self.answer is None:
            return f"{self.undecided}: whether they mean the same is open"
        return f"{'✓' if self.answer else '✗'} {self.view.sentence}"

    @property
    def view(self) -> Proof | Counterexample:
        """The answer as a view."""
        assert isinstance(self.answer, Proof | Counterexample)
        return self.answer

    @property
    def counted(self) -> str:
        """How much of the listings differs."""
        sizes = f"{style.plural(len(self.p), 'instruction')} and {len(self.q):,}"
        count = {sign: sum(row.sign == sign for row in self.rows) for sign in SIGNS}
        if count["="] == len(self.rows):
            return f"{sizes}: the listings are the same"
        said = [f"{count[sign]:,} {words}" for sign, words in SIGNS.items() if count[sign]]
        return f"{sizes}: {', '.join(said)}"

    @property
    def parted(self) -> str:
        """Where the runs on the packet part, in a sentence; "" for no packet."""
        at = self.parting
        if at is None:
            return ""
        if at.p is None or at.q is None:
            return "the runs on it part at the first instruction"
        ways = [
            f"{who} goes on at ({pc:03d})" if pc is not None else f"{who} ends"
            for who, pc in (("the first", at.p_next), ("the second", at.q_next))
        ]
        return f"the runs on it part behind ({at.p:03d}) and ({at.q:03d}): {' and '.join(ways)}"

    def shown(self) -> Iterator[Row | int]:
        """The rows near a difference; a number for those that are left out."""
        near = {
            other
            for at, row in enumerate(self.rows)
            if row.sign != "=" or self.is_parting(row)
            for other in range(at - AROUND, at + AROUND + 1)
        }
        left_out = 0
        for at, row in enumerate(self.rows):
            if at in near or (left_out == 0 and at + 1 in near):
                if left_out:
                    yield left_out
                yield row
                left_out = 0
            else:
                left_out += 1
        if left_out:
            yield left_out

    def is_parting(self, row: Row) -> bool:
        """Whether the runs part behind this row."""
        at = self.parting
        return at is not None and row.p == at.p and row.q == at.q and at.p is not None

    def text(self) -> str:
        """The answer, a unified diff, the packet."""
        lines = [self.sentence, self.counted]
        if self.parted:
            lines.append(self.parted)
        lines += [f"--- {named(self.p, 'the first')}", f"+++ {named(self.q, 'the second')}"]
        for row in self.shown():
            lines += [f"@@ {alike(row)} @@"] if isinstance(row, int) else self.lines(row)
        if self.answer is not None and not self.answer:
            lines += self.view.text().splitlines()[1:]
        return "\n".join(lines)

    def lines(self, row: Row) -> list[str]:
        """One row of the unified diff, or two."""
        mark = "→" if self.is_parting(row) else " "
        if row.sign == "=":
            return [f" {mark}{instruction(self.p, row.p)}"]
        sides = (("-", self.p, row.p), ("+", self.q, row.q))
        return [
            f"{sign}{mark}{instruction(program, pc)}"
            for sign, program, pc in sides
            if pc is not None
        ]

    def html(self) -> str:
        """The answer, both listings side by side, the packet."""
        said = [f"<b>{escape(self.sentence)}</b>", escape(self.counted)]
        if self.parted:
            said.append(escape(f"→ {self.parted}"))
        names = ((named(self.p, "the first"), "left"), ("", "left"))
        heads = style.heads([*names, (named(self.q, "the second"), "left")])
        rows = [
            gap(row) if isinstance(row, int) else self.row(row)
            for row in list(self.shown())[: style.MOST]
        ]
        html = "".join(map(style.caption, said)) + style.table(rows, "row", heads)
        html = style.scroll(html)
        if isinstance(self.answer, Counterexample):
            why = zip(("the first", "the second"), self.answer.reasons, strict=True)
            lines = [*self.answer.noted, *(f"{who}: {words}" for who, words in why)]
            html += "".join(style.caption(escape(each)) for each in lines)
            html += self.answer.bytes.html()
        return html

    def row(self, row: Row) -> str:
        """A pair of instructions with its sign between them; muted where they are the same."""
        sign = style.muted("=") if row.sign == "=" else f"<b>{row.sign}</b>"
        if self.is_parting(row):
            sign += " <b>→</b>"
        return style.row(
            [
                side(self.p, row.p, row.sign),
                style.cell(sign, "center", 6, 6, hover=SIGNS[row.sign]),
                side(self.q, row.q, row.sign),
            ]
        )


def shown(answer: equivalence.Proof | equivalence.Counterexample) -> Proof | Counterexample:
    """An answer as a view."""
    if isinstance(answer, equivalence.Proof):
        return Proof.of(answer)
    return Counterexample.of(answer)


def side(program: Program, pc: int | None, sign: str) -> str:
    """One program's half of a row."""
    if pc is None:
        return style.cell("")
    shown = escape(instruction(program, pc).expandtabs().rstrip())
    tone = style.tone(program.insns[pc].code)
    look = f";border-left:4px solid {tone}" + (";opacity:0.7" if sign == "=" else "")
    return style.cell(shown, left=8, more=look)


def instruction(program: Program, pc: int | None) -> str:
    """An instruction as tcpdump lists it."""
    assert pc is not None
    return f"({pc:03d}) {line(program.insns[pc], pc)}"


def named(program: Program, other: str) -> str:
    """What a program is called: by where it came from, if that is known."""
    return brief(program.origin) if program.origin else other


def alike(count: int) -> str:
    """So many rows without a difference."""
    return f"{style.plural(count, 'row')} without a difference"


def gap(count: int) -> str:
    """A row for those that are left out."""
    return style.row(
        [style.cell(style.muted(style.plain(f"… {alike(count)}"))), style.cell(""), style.cell("")]
    )
