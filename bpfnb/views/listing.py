"""The listing: what the instructions are, how often each ran, where jumps go.

The text form is the listing of `tcpdump -d` to the byte; what there is to say
beside it (counts, meaning, faults) stands in columns after it or in lines under
it.  The HTML form has the same columns, jumps as arcs in the margin, and folds
after twenty rows.

Left out: running the program and checking it; the counts and faults are given.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

from bpfnb.cbpf.checker import UnsafeRead
from bpfnb.cbpf.disasm import line, sentence, transfer
from bpfnb.cbpf.program import Program
from bpfnb.errors import Fault, brief
from bpfnb.views import style
from bpfnb.views.arcs import ROW, Arcs
from bpfnb.views.view import View

__all__ = ["Listing", "hint", "labels"]

EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR_CHARACTERS, BAR_PIXELS = 8, 48
WRAP = 84  # characters of a line under an instruction


@dataclass(frozen=True)
class Listing(View):
    """A program's listing, with what is known of its runs.

    `hits[pc]` is how often pc ran, over `packets` packets; `path` the pcs of one
    run.  `faults` and `warnings` stand under their instruction.  `notes[pc]` are
    words for the column of meanings, and `footnote` what they rest on; in text they
    stand where there are columns.  `caption` replaces the line above.

    >>> print(Listing(Program.from_insns([(0x28, 0, 0, 12), (6, 0, 0, 0)]), hits=[3, 3]))
    (000) ldh      [12]  3 ████████  A <- P[12:2]
    (001) ret      #0    3 ████████  return 0
    """

    program: Program
    hits: Sequence[int] | None = None
    packets: int | None = None
    path: Sequence[int] | None = None
    faults: Sequence[Fault] = ()
    warnings: Sequence[Fault | UnsafeRead] = ()
    notes: Mapping[int, str] = field(default_factory=dict)
    footnote: str = ""
    caption: str = ""

    @property
    def counts(self) -> tuple[int, ...] | None:
        """How often each instruction ran; from the path where only that is given."""
        if self.hits is not None:
            return tuple(self.hits)
        if self.path is None:
            return None
        counts = [0] * len(self.program)
        for pc in self.path:
            counts[pc] += 1
        return tuple(counts)

    @property
    def most(self) -> int:
        """What a full bar stands for."""
        return max(self.packets or 0, *(self.counts or ()), 1)

    def text(self) -> str:
        """tcpdump's listing, and columns after it when it ran."""
        program = self.program
        lines = [f"({pc:03d}) {line(insn, pc)}" for pc, insn in enumerate(program.insns)]
        columns = self.counts is not None
        if columns:
            width = max((len(each.expandtabs()) for each in lines), default=0)
            lines = [
                f"{shown}{' ' * (width - len(shown.expandtabs()))}{self.columns(pc)}"
                for pc, shown in enumerate(lines)
            ]
        under = remarks(self)
        shown = [
            row
            for pc in range(max([len(lines), *(at + 1 for at in under)]))
            for row in [*lines[pc : pc + 1], *(f"      {each}" for each in under.get(pc, ()))]
        ]
        return "\n".join([*shown, self.footnote] if columns and self.footnote else shown)

    def columns(self, pc: int) -> str:
        """Count, bar and meaning of one instruction, as text."""
        counts, shown = self.counts, ""
        if self.hits is None and counts is not None:
            shown = "  •" if counts[pc] else "   "
        elif counts is not None:
            digits = len(str(max(counts, default=0)))
            shown = f"  {counts[pc]:>{digits}} {bar(counts[pc], self.most):<{BAR_CHARACTERS}}"
        return f"{shown}  {self.meaning(pc)}".rstrip()

    def meaning(self, pc: int) -> str:
        """What an instruction means: its note, then its transfer.

        Names come first: where a cell is narrow they are what must be seen.
        """
        words = transfer(self.program.insns[pc], pc)
        return f"{self.notes.get(pc, ''):<{self.notes_width}}  {words}" if self.notes else words

    def html(self) -> str:
        """A table a reader can run a finger down, folded after twenty rows."""
        arcs = Arcs(self.program, self.path or ())
        html = style.caption(self.headline()) + style.table(self.rows(arcs), "instruction")
        if arcs.dropped:
            jumps = style.plural(arcs.dropped, "more jump")
            html += style.caption(f"{jumps} than the margin has room for: see jt and jf")
        html += style.left_out(len(self.program) - style.MOST, "instruction")
        if self.footnote:
            html += style.caption(style.muted(escape(self.footnote)))
        return style.scroll(html)

    def headline(self) -> str:
        """First the answer, as HTML."""
        size = style.plural(len(self.program), "instruction")
        if self.caption:
            return escape(self.caption)
        if self.faults:
            said = style.plural(len(self.faults), "fault")
            return f'<b style="color:{style.REJECT}">✗</b> <b>{said}</b> in {size}'
        if self.path is not None and self.hits is None:
            return f"{len(set(self.path))} of {size} ran on this packet"
        if self.counts is None:
            return size
        ran = sum(count > 0 for count in self.counts)
        over = f" on {style.plural(self.packets, 'packet')}" if self.packets else ""
        return f"{ran} of {size} ran{over}; the bar says how often"

    def rows(self, arcs: Arcs) -> list[str]:
        """One string for each of the first instructions, remarks under it included."""
        under, counts = remarks(self), self.counts
        lead = leads(self)
        columns = 3 if arcs.width else 2
        rows = []
        for pc in range(min(len(self.program), style.MOST)):
            margin = arc_cell(arcs.row(pc)) if arcs.width else ""
            dim = counts is not None and counts[pc] == 0
            cells = "".join(self.instruction_cells(pc, lead[pc], ";opacity:0.5" if dim else ""))
            rows.append(style.row([margin, cells], ROW))
            rows[-1] += remark_rows(arcs, pc, under.get(pc, []), columns)
        if extra := [each for pc, row in under.items() if pc >= len(self.program) for each in row]:
            rows.append(remark_rows(arcs, len(self.program), extra, columns))
        return rows

    def instruction_cells(self, pc: int, lead: str, look: str) -> list[str]:
        """Number and count; tcpdump's line behind its class's bar; what it means."""
        insn = self.program.insns[pc]
        shown = f"(000) {line(insn, pc)}".expandtabs()[6:].rstrip()
        shown = f"{shown:<40}" if self.has_jumps else f"{shown:<24}"
        edge = f";border-left:4px solid {style.tone(insn.code)}{look}"
        return [
            style.cell(lead, right=10, more=look),
            style.cell(
                escape(shown) + style.muted(f"  {escape(self.meaning(pc), quote=False)}"),
                left=8,
                more=edge,
                hover=hint(self.program, pc),
            ),
        ]

    @cached_property
    def notes_width(self) -> int:
        """Characters of the widest note."""
        return max(map(len, self.notes.values()), default=0)

    @property
    def has_jumps(self) -> bool:
        """Whether any line needs the columns for jt and jf."""
        return any(insn.code & 0x07 == 5 for insn in self.program.insns)


def bar(count: int, most: int) -> str:
    """A bar of eight characters, in eighths of one; never empty for a count.

    >>> bar(1, 2), bar(1, 1000), bar(0, 3)
    ('████', '▏', '')
    """
    eighths = max(round(8 * BAR_CHARACTERS * count / most), 1 if count else 0)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def hit_bar(count: int, most: int, digits: int) -> str:
    """The count, and a bar behind it."""
    width = max(round(BAR_PIXELS * count / most), 2 if count else 0)
    return (
        f"{count:>{digits}} "
        f'<span style="display:inline-block;width:{width}px;height:9px;'
        f'margin-right:{BAR_PIXELS - width}px;background:{style.BAR}"></span>'
    )


def leads(listing: Listing) -> list[str]:
    """For each row its label, number and hit bar, as HTML."""
    names = labels(listing.program)
    indent = max((len(name) + 1 for name in names.values()), default=0)
    digits = len(str(max(len(listing.program) - 1, 0)))
    counts = listing.counts if listing.hits is not None else None
    width = len(str(max(counts or (), default=0)))
    found = []
    for pc in range(len(listing.program)):
        number = escape(f"{names.get(pc, ''):<{indent}}{pc:>{digits}}")
        shown = style.muted(number)
        if counts is not None:
            shown += "   " + hit_bar(counts[pc], listing.most, width)
        found.append(shown)
    return found


def hint(program: Program, pc: int) -> str:
    """What hovering an instruction says: the sentence for it, and its source line if it has one."""
    said = sentence(program.insns[pc], pc)
    if pc < len(program.lines):
        source = program.lines[pc]
        said += f"\nline {source.number}: {brief(source.text.strip())}"
    return said


def labels(program: Program) -> dict[int, str]:
    """Labels by the pc they stand before; several joined by a comma."""
    found: dict[int, list[str]] = {}
    for name, pc in program.labels.items():
        found.setdefault(pc, []).append(brief(name))
    return {pc: ", ".join(names) + ":" for pc, names in found.items()}


def remarks(listing: Listing) -> dict[int, list[str]]:
    """Lines to stand under each pc: faults with rule and cure, then warnings."""
    found: dict[int, list[str]] = {}
    for shape, given in (("✗", listing.faults), ("⚠", listing.warnings)):
        for each in given:
            if isinstance(each, Fault):
                said = f"{each.rule}: {each.message}"
            else:
                way = " → ".join(map(str, each.path))
                said = f"M[{each.word}] can be read unwritten, on the way {way}"
            rows = textwrap.wrap(said, WRAP, initial_indent=f"{shape} ", subsequent_indent="  ")
            if isinstance(each, Fault) and each.hint:
                rows += textwrap.wrap(
                    each.hint, WRAP, initial_indent="  cure: ", subsequent_indent="        "
                )
            found.setdefault(each.pc, []).extend(rows)
    return found


def remark_rows(arcs: Arcs, pc: int, rows: list[str], columns: int) -> str:
    """The lines under an instruction, the margin's lines going on beside them."""
    if not rows:
        return ""
    height = ROW * len(rows)
    first = arc_cell(arcs.between(pc, height)) if arcs.width else ""
    shown = "\n".join(escape(row) for row in rows)
    for shape in "✗⚠":
        shown = shown.replace(shape, f'<b style="color:{style.REJECT}">{shape}</b>')
    cell = style.cell(shown, left=24).replace("<td", f'<td colspan="{columns - bool(first)}"', 1)
    return style.row([first, cell], height)


def arc_cell(html: str) -> str:
    """A cell that is filled by its picture."""
    return f'<td style="vertical-align:top;line-height:0;border:0;padding:0">{html}</td>'
