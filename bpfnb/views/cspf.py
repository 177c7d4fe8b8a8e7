"""The stack machine's listing: its instructions, and how deep the stack is behind each.

The depth is the same for every packet, since nothing jumps.  TRUE, which lies at the
bottom from the start, is not counted.

Left out: running anything; what runs look like (`cspf_runs`), and trees (`cspf_tree`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.cbpf.cspf import CspfProgram, CspfWord
from bpfnb.cbpf.cspf_opcodes import DEEPEST, PUSHLIT, PUSHWORD
from bpfnb.cbpf.opcodes import Class
from bpfnb.views import style
from bpfnb.views.listing import bar, hit_bar
from bpfnb.views.view import View

__all__ = ["CspfListing", "does", "html_heads", "plain_table", "side", "tone"]

LISTED = ("pc", "instruction", "stack", "what it does")
RIGHT = {"step", "stack", "#", "ran", "comparisons", "words read", "hits"}


def plain_table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Columns as text, numbers on the right."""
    rows = [list(heads), *map(list, body)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads))]
    return [
        "  ".join(
            f"{each:>{width}}" if head in RIGHT else f"{each:<{width}}"
            for each, width, head in zip(row, widths, heads, strict=True)
        ).rstrip()
        for row in rows
    ]


def html_heads(heads: Sequence[str]) -> str:
    """The row of names."""
    return style.heads((head, side(head)) for head in heads)


def side(head: str) -> str:
    """Words stand left, numbers right."""
    return "right" if head in RIGHT else "left"


def tone(insn: CspfWord) -> str:
    """The tone of what an instruction does: compare, calculate, read the packet, push."""
    op = insn.operator
    if op.compares:
        return style.TONES[Class.JMP]
    if op.code:
        return style.TONES[Class.ALU]
    return style.TONES[Class.LD] if insn.action.code >= PUSHWORD else style.TONES[Class.MISC]


def does(insn: CspfWord) -> str:
    """One instruction in words.

    >>> program = CspfProgram.from_words([22, 1025, 0x0800])
    >>> [does(each) for each in program.insns]
    ['push word 6 (bytes 12–13)', 'push 0x0800, then push 1 if both are equal, else 0']
    """
    said = insn.action.sentence
    if insn.action.code == PUSHWORD:
        said = f"push word {insn.word} (bytes {2 * insn.word}–{2 * insn.word + 1})"
    elif insn.action.code == PUSHLIT:
        said = f"push {insn.literal:#06x}"
    if not insn.operator.code:
        return said if insn.action.code else insn.operator.sentence
    return f"{said}, then {insn.operator.sentence}" if insn.action.code else insn.operator.sentence


@dataclass(frozen=True)
class CspfListing(View):
    """A program's instructions, the stack's depth behind each, what each does.

    `hits[pc]` is how often pc ran, over `packets` packets.

    >>> print(CspfListing(CspfProgram.from_words([22, 1025, 0x0800])))
    2 instructions in 3 words
    pc    instruction        stack  what it does
    (00)  PUSHWORD+6             1  push word 6 (bytes 12–13)
    (01)  PUSHLIT|EQ 0x0800      1  push 0x0800, then push 1 if both are equal, else 0
    """

    program: CspfProgram
    hits: Sequence[int] | None = None
    packets: int = 0

    def headline(self) -> str:
        """Its size, and what ran."""
        size = style.plural(len(self.program), "instruction")
        said = f"{size} in {style.plural(len(self.program.words), 'word')}"
        if self.hits is not None:
            said += f"; the bar says how often each ran on {style.plural(self.packets, 'packet')}"
        return said

    def warnings(self) -> list[str]:
        """What would not have worked."""
        found = []
        if self.program.too_long:
            found.append(f"⚠ CMU's device took programs of up to {DEEPEST} words")
        if None in self.program.depths:
            at = self.program.depths.index(None)
            found.append(
                f"⚠ every packet that comes to ({at:02d}) is rejected there: "
                "the stack has too few values for it, or no room"
            )
        return found

    def rows(self) -> list[list[str]]:
        """A row an instruction, without hits."""
        depths = ["✗" if depth is None else str(depth) for depth in self.program.depths]
        return [
            [f"({pc:02d})", str(insn), depths[pc], does(insn)]
            for pc, insn in enumerate(self.program.insns)
        ]

    def text(self) -> str:
        """Columns, and the hits between them."""
        heads, body = list(LISTED), self.rows()
        if self.hits is not None:
            heads.insert(2, "hits")
            digits = len(str(max(self.hits, default=0)))
            for row, hits in zip(body, self.hits, strict=True):
                row.insert(2, f"{hits:>{digits}} {bar(hits, max(self.packets, 1)):<8}")
        table = plain_table(heads, body) if body else ["an empty program accepts every packet"]
        return "\n".join([self.headline(), *table, *self.warnings()])

    def html(self) -> str:
        """The same as a table, folded after twenty instructions."""
        rows = [self.html_row(pc, row) for pc, row in enumerate(self.rows()[: style.MOST])]
        html = style.caption(escape(self.headline()))
        html += style.table(rows, "instruction", html_heads(LISTED)) if rows else ""
        html += style.left_out(len(self.program) - len(rows), "instruction")
        if not rows:
            html += style.caption("an empty program accepts every packet")
        for each in self.warnings():
            sign = f'<b style="color:{style.REJECT}">⚠</b>'
            html += style.caption(escape(each).replace("⚠", sign))
        return style.scroll(html)

    def html_row(self, pc: int, row: list[str]) -> str:
        """Number and hits; the instruction behind its bar; the stack; words."""
        number, shown, depth, words = map(escape, row)
        lead = style.muted(number)
        look = ""
        if self.hits is not None:
            lead += "  " + hit_bar(self.hits[pc], max(self.packets, 1), len(str(self.packets)))
            look = "" if self.hits[pc] else ";opacity:0.5"
        edge = f";border-left:4px solid {tone(self.program.insns[pc])}{look}"
        return style.row(
            [
                style.cell(lead, right=10, more=look),
                style.cell(shown, left=8, more=edge),
                style.cell(depth, "right"),
                style.cell(style.muted(style.plain(words)), more=look),
            ]
        )
