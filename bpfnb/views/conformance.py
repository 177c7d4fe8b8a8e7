"""The conformance table: how many machines differ on what, then each one's answers.

In text a row has a line for each different answer, with who gives it; in HTML a
column for each machine.  Rows on which machines differ come first, with ≠.  What
the paper of 1993 says stands beside the machines and counts as none of them.

Left out: asking the machines (`backends.conformance`).  The rows are plain values.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from html import escape

from bpfnb.backends.conformance import Machine, Outcome, Row
from bpfnb.backends.questions import EVERY
from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["Conformance"]

PAPER = "the paper"
SILENT = "does not say"
MOST = 8  # instructions, and bytes, that a line shows


@dataclass(frozen=True)
class Conformance(View):
    """What each machine for classic BPF answers, question by question.

    `rows` each have `name`, `question` (with `program`, `data`, `why`), `answers` in the
    order of `names`, and `differs`; `missing` has a line for each machine not here.
    """

    outcome: Outcome

    @property
    def rows(self) -> tuple[Row, ...]:
        """All questions, those first on which machines differ."""
        return self.outcome.rows

    @property
    def differences(self) -> tuple[Row, ...]:
        """The rows on which machines differ."""
        return tuple(row for row in self.rows if row.differs)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Who was asked."""
        return self.outcome.machines

    @property
    def names(self) -> tuple[str, ...]:
        """The machines' names, with their versions."""
        return tuple(machine.name for machine in self.machines)

    @property
    def missing(self) -> tuple[str, ...]:
        """A line for each machine that could not be asked."""
        return self.outcome.missing

    @property
    def surprises(self) -> tuple[Row, ...]:
        """Rows that are not as the table knows them: a machine behaves otherwise than others did.

        That two of them agree is one only where each kind of machine was asked.
        """
        complete = {machine.kind for machine in self.machines} >= set(EVERY)
        return tuple(
            row
            for row in self.rows
            if row.differs != row.question.differs and (row.differs or complete)
        )

    def row(self, name: str) -> Row:
        """The row of that name; BpfError where there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        near = get_close_matches(name, [row.name for row in self.rows], 1, 0.3)
        raise BpfError(f"there is no row {name!r}", f"did you mean {near[0]!r}?" if near else "")

    def answer(self) -> str:
        """How many differ on how many, in words."""
        count = len(self.differences)
        found = f"they differ on {count}" if count else "they agree on all"
        machines, programs = (
            style.plural(len(self.machines), "machine"),
            style.plural(len(self.rows), "program"),
        )
        return f"{machines}, {programs}: {found}"

    def alarm(self) -> str:
        """The loud line, empty where all is as it is known."""
        names = ", ".join(row.name for row in self.surprises)
        return f"NOT AS THE TABLE KNOWS THESE MACHINES: {names}" if names else ""

    def about(self) -> list[str]:
        """Who was asked, and who could not be."""
        asked = [f"{machine.name}: {machine.version}" for machine in self.machines]
        return [*asked, *(f"not here: {line}" for line in self.missing)]

    def text(self) -> str:
        """The answer, the machines, then the rows: name, answer, who gives it."""
        lines = [self.answer()]
        if self.alarm():
            lines.append(f"✗ {self.alarm()}")
        lines += [f"  {line}" for line in self.about()]
        table = [(row, *cells) for row in self.rows for cells in self.cells(row)]
        name_width = max((len(row.name) for row in self.rows), default=0)
        said_width = max((len(said) for _, said, _ in table), default=0)
        before = None
        for row, said, who in table:
            head = f"{mark(row)} {row.name}" if row is not before else ""
            lines.append(f"{head:<{name_width + 2}}  {said:<{said_width}}  {who}".rstrip())
            before = row
        return "\n".join(lines)

    def cells(self, row: Row) -> list[tuple[str, str]]:
        """A row's different answers, each with who gives it; the paper's where it has one."""
        found = []
        for group in row.groups:
            answers = [row.answers[at] for at in group]
            names = [self.names[at] for at in group]
            alike = len({answer.words for answer in answers}) == 1
            if not alike:  # all refuse, each with its own word
                names = [f"{n} ({a.detail})" for n, a in zip(names, answers, strict=True)]
            who = f"all {len(names)}" if not row.differs else together(names)
            found.append((answers[0].words if alike else answers[0].kind, who))
        if row.question.paper != SILENT:
            found.append((row.question.paper, PAPER))
        return found

    def html(self) -> str:
        """The same as a table, a column a machine; folded after twenty rows."""
        html = style.caption(f"<b>{escape(self.answer())}</b>")
        if self.alarm():
            shape = f'<span style="color:{style.REJECT}">✗</span>'
            html += style.caption(f"<b>{shape} {escape(self.alarm())}</b>")
        first = self.names[0] if self.names else ""
        html += style.caption(style.muted(f"≠ marks an answer that is not {escape(first)}’s"))
        heads = [("program", "left"), *((name, "left") for name in self.names), (PAPER, "left")]
        rows = [self.html_row(row) for row in self.rows]
        html += style.table(rows, "program", style.heads(heads)) + self.reasons()
        html += "".join(style.caption(style.muted(escape(line))) for line in self.about())
        return style.scroll(html)

    def html_row(self, row: Row) -> str:
        """One question: its name over what is at stake, then an answer a machine."""
        colour = style.REJECT if row.differs else style.ACCEPT
        name = (
            f'<b style="color:{colour}">{mark(row)}</b> {style.plain(escape(row.name))}<br>'
            f"{style.muted(style.plain(escape(row.question.stake), 12))}"
        )
        wide = ";white-space:normal;min-width:220px;padding-bottom:6px"
        cells = [style.cell(name, more=wide, hover=row.question.text[:400])]
        for answer in row.answers:
            shown = escape(answer.words)
            if not answer.agrees(row.answers[0]):
                shown = f'<b style="border-bottom:2px solid {style.REJECT}">≠ {shown}</b>'
            cells.append(style.cell(shown, more=";white-space:normal;min-width:96px"))
        cells.append(style.cell(style.plain(escape(row.question.paper), 12)))
        return style.row(cells)

    def reasons(self) -> str:
        """Why machines differ, and on which program, folded; nothing where they agree."""
        rows = [
            style.caption(
                f"<b>{escape(row.name)}</b>: {escape(row.question.why)}<br>"
                f'<span style="font-family:{style.MONO}">{escape(in_a_line(row))}</span>'
            )
            for row in self.differences
        ]
        if not rows:
            return ""
        summary = '<summary style="cursor:pointer;font-size:13px;line-height:24px">'
        return f"<details>{summary}why they differ</summary>{''.join(rows)}</details>"


def mark(row: Row) -> str:
    """The shape before a row's name."""
    return "≠" if row.differs else "="


def in_a_line(row: Row) -> str:
    """The program in one line, its first instructions where it is long, and its packet."""
    lines = row.question.text.splitlines()
    shown = lines if len(lines) <= MOST else [*lines[: MOST - 1], f"… {len(lines)} in all"]
    data = row.question.data
    packet = data.hex(" ") if len(data) <= MOST else style.plural(len(data), "byte")
    wire = "" if row.question.wirelen is None else f", {row.question.wirelen} on the wire"
    return " · ".join(shown) + (f"   on {packet}{wire}" if data else "")


def together(names: list[str]) -> str:
    """Names in a list; a word that the one before begins with is said once.

    >>> together(["bpfnb", "libpcap 1.10.6", "libpcap 1.9.1"])
    'bpfnb, libpcap 1.10.6, 1.9.1'
    """
    shown, last = [], ""
    for name in names:
        first, space, rest = name.partition(" ")
        shown.append(rest if space and first == last else name)
        last = first
    return ", ".join(shown)
