"""What every plot is: an answer, a chart, and the same numbers as a table.

A chart has the first twenty rows of many; the table folds after them.  Left out:
the numbers (a module for each plot) and the drawing (`plots_charts`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from bpfnb.cbpf import checker
from bpfnb.cbpf.program import Program
from bpfnb.errors import brief
from bpfnb.views import style
from bpfnb.views.plots_canvas import sentence
from bpfnb.views.view import Picture

if TYPE_CHECKING:
    from bpfnb.packets.packet import PacketBatch

__all__ = ["Plot", "factor", "listed", "named", "ready", "together"]

TOLD = 6  # rows that a picture's words for who cannot see it tell
NAME = 56  # letters of a name
ALIKE = 3  # names that stand for one number
SOLE = "the program"


class Plot(Picture):
    """A chart and its table."""

    @property
    @abstractmethod
    def question(self) -> str:
        """What it answers."""

    @abstractmethod
    def answer(self) -> str:
        """First the answer."""

    @abstractmethod
    def heads(self) -> list[str]:
        """The table's columns; the first has the names."""

    @abstractmethod
    def cells(self) -> list[list[str]]:
        """The table, a row for each bar."""

    @abstractmethod
    def empty(self) -> bool:
        """Whether there is nothing to draw."""

    @abstractmethod
    def drawn(self) -> str:
        """The chart as SVG."""

    @cached_property
    def svg(self) -> str:
        """The chart as a document of its own."""
        return sentence(self.answer()) if self.empty() else self.drawn()

    @property
    def alt(self) -> str:
        """The chart in words: its answer, and its first rows."""
        heads, rows = self.heads(), self.cells()
        said = [
            f"{row[0]}: " + ", ".join(f"{head} {each}" for head, each in zip(heads[1:], row[1:],
                                                                            strict=True) if each)
            for row in rows[:TOLD]
        ]  # fmt: skip
        if len(rows) > TOLD:
            said.append(f"and {style.plural(len(rows) - TOLD, 'more row')} in the table")
        return f"bar chart: {'; '.join([self.answer(), *said])}"

    def text(self) -> str:
        """The answer, then the table."""
        heads, rows = self.heads(), self.cells()
        shown = [heads, *rows[: style.FOLD]] if rows else []
        widths = [max(len(row[at]) for row in shown) for at in range(len(heads) if shown else 0)]
        lines = [self.answer()]
        for row in shown:
            fields = [
                f"{each:<{width}}" if at in self.left() else f"{each:>{width}}"
                for at, (each, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(fields)}".rstrip())
        if len(rows) > style.FOLD:
            lines.append(f"  … and {style.plural(len(rows) - style.FOLD, 'more row')}")
        return "\n".join(lines)

    def left(self) -> tuple[int, ...]:
        """Columns that hold words, not numbers."""
        return (0,)

    def html(self) -> str:
        """The answer and the question, the chart, and its table folded under it."""
        question = self.question
        if len(self.cells()) > style.FOLD:
            question += f"  The first {style.FOLD} of {len(self.cells()):,} rows are drawn"
        asked = f" &nbsp; {style.muted(escape(question))}" if question else ""
        html = f"<b>{escape(self.answer())}</b>{asked}"
        html = style.caption(html)
        picture = self.svg
        width, height = picture.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()
        look = "max-width:100%;height:auto"
        html += style.image(picture, self.alt, float(width), float(height), look)
        sides = ["left" if at in self.left() else "right" for at in range(len(self.heads()))]
        rows = [
            style.row(style.cell(escape(each), side) for each, side in zip(row, sides, strict=True))
            for row in self.cells()[: style.MOST]
        ]
        if not rows:
            return style.scroll(html)
        table = style.table(rows, "row", style.heads(zip(self.heads(), sides, strict=True)))
        table += style.left_out(len(self.cells()) - len(rows), "row")
        summary = '<summary style="cursor:pointer;font-size:13px;line-height:24px">as a table'
        return style.scroll(f"{html}<details>{summary}</summary>{table}</details>")


def ready(
    programs: Mapping[str, Program] | Program, packets: Any, check: bool = True
) -> list[tuple[str, Program, PacketBatch]]:
    """Programs by name, each with its packets: legal ones, and of its link type."""
    from bpfnb.packets import source

    if isinstance(programs, Program):
        programs = {programs.origin or SOLE: programs}
    batch = source.packets(packets)
    found = []
    for name, program in programs.items():
        if check:
            checker.require(program)
        linktype = program.linktype
        known = batch if linktype is None else batch.with_default_linktype(linktype)
        known.require_linktype(linktype)
        found.append((name, program, known))
    return found


def together(number: int) -> str:
    """All of some, in words."""
    return "both" if number == 2 else f"all {number:,}"


def listed(names: Sequence[str]) -> str:
    """Some names in words; of many the first.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d"])
    ('a', 'a, b and c', 'a, b and 2 more')
    """
    shown = [named(each) for each in names]
    if len(shown) > ALIKE:
        shown[ALIKE - 1 :] = [f"{len(shown) - ALIKE + 1:,} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def named(name: object) -> str:
    """A name in one line, cut where it is long."""
    words = brief(" ".join(str(name).split()))
    return words if len(words) <= NAME else f"{words[: NAME - 1]}…"


def factor(times: float) -> str:
    """A ratio to two digits or so.

    >>> factor(1.26), factor(12.6), factor(1260)
    ('1.3×', '13×', '1,260×')
    """
    return f"{times:.1f}×" if times < 10 else f"{times:,.0f}×"
