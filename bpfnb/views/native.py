"""A program beside what LLVM makes of it: each instruction, LLVM's text, the processor's code.

LLVM's text is the one the program is translated to, where each instruction still
stands for itself; the processor's code is what is left after optimisation, sorted by
the instruction it came from.  Its numbers are the processor's order.  Code that LLVM
merged or moved is of no single instruction: `shared` stands where it was met.

It is the function for one packet of any length.  For many packets the backend `native`
adds a loop, and a copy without checks of length for packets that are long enough.
Left out: sorting (`located`), compiling (`jit`), all instructions behind the 200th.
Without llvmlite LLVM's text stands alone, and a line says what is missing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import zip_longest
from typing import ClassVar

from bpfnb import jit
from bpfnb.backends.flow import choices, known_bytes, reached
from bpfnb.backends.llvm_module import located_module
from bpfnb.cbpf.disasm import line as listed
from bpfnb.cbpf.disasm import transfer
from bpfnb.errors import UnavailableError, brief
from bpfnb.views import style
from bpfnb.views.code import Code
from bpfnb.views.listing import hint, labels
from bpfnb.views.located import Group, Groups, Line, align, assembly, ir_lines

__all__ = ["NativeCode"]

MOST = 200  # instructions shown
DEEP = 80  # lines shown of one instruction's code
BPF = 38  # columns of the listing in HTML
WIDE = 100  # columns of LLVM's text where it stands alone
INDENT = 4  # columns before LLVM's text
IR_TEXT, IR_HTML = 57, 52  # columns of LLVM's text
CODE_TEXT, CODE_HTML = 37, 38  # columns of the processor's code
ROOM = ";line-height:18px;padding-top:2px;padding-bottom:3px"
SMALL = ";font-size:12px" + ROOM
RULE = f";border-top:1px solid {style.LINE}"
FAR = "far"
HEADERS = "@far: offsets that count from a header"
ORDER = "numbers: the processor's order"
SHARED = "shared: merged or moved by LLVM, of no single instruction"


@dataclass(frozen=True)
class Compiled:
    """What LLVM made: the processor's lines and tables, the optimised text, bytes, a name.

    `far` are the processor's lines of the function of that name.
    """

    code: list[Line]
    tables: list[str]
    far: list[Line]
    optimized: list[Line]
    size: int
    processor: str


@dataclass(frozen=True)
class NativeCode(Code):
    """The listing, LLVM's text and the processor's code, instruction by instruction.

    What it shows depends on the processor it is made on, and on nothing else.
    """

    language: ClassVar[str] = "native code"

    @cached_property
    def module(self) -> str:
        """The text that LLVM is given."""
        return located_module(self.program)

    @cached_property
    def made(self) -> Compiled | str:
        """What LLVM made of it, or what is missing here."""
        try:
            code = jit.compile_ir(self.module)
        except UnavailableError as error:
            return brief(str(error))
        triple = re.search(r'^target triple = "([^-"]+)', code.ir, re.M)
        name = triple[1].replace("_", "-") if triple else "native code"
        optimized = [*ir_lines(code.ir), *ir_lines(code.ir, FAR)]
        far, _ = assembly(code.assembly, FAR)
        return Compiled(*assembly(code.assembly), far, optimized, code.size, name)

    @cached_property
    def translated(self) -> list[Line]:
        """The lines of that text."""
        return ir_lines(self.module)

    @cached_property
    def far(self) -> Group:
        """The function for offsets that count from a header, where it is called."""
        code = [] if isinstance(self.made, str) else self.made.far
        return Group(ir_lines(self.module, FAR), code)

    @cached_property
    def groups(self) -> Groups:
        """All lines by the instruction they came from."""
        code = [] if isinstance(self.made, str) else self.made.code
        return align(len(self.program), self.translated, code)

    @cached_property
    def nothing(self) -> dict[int, str]:
        """Why instructions have no code of their own, by pc."""
        chosen = choices(self.program)
        ways = reached(self.program, chosen)
        words = dict.fromkeys(
            (pc for pc, known in enumerate(known_bytes(self.program, 0)) if known is None),
            "nothing leads here",
        )
        for pc, choice in chosen.items():
            if ways[pc]:
                together = (each for each in choice.others if not ways[each])
                words |= dict.fromkeys(together, f"asked together with ({pc:03d})")
        return words

    @property
    def shown(self) -> range:
        """The pcs that are shown."""
        return range(min(len(self.program), MOST))

    def answer(self) -> str:
        """How much there is of each, in words."""
        ir = counted([*self.translated, *self.far.ir])
        said = f"{style.plural(len(self.program), 'instruction')} of BPF, {ir:,} of LLVM"
        if isinstance(self.made, str):
            return said
        count, optimized = counted([*self.made.code, *self.far.code]), counted(self.made.optimized)
        size = style.plural(self.made.size, "byte")
        return (
            f"{said}, {optimized:,} after optimisation, {count:,} of {self.made.processor}: {size}"
        )

    def legend(self) -> str:
        """What the columns' signs mean, as far as they are there."""
        shared = any(group.shared for group in self.groups.at)
        return f"{ORDER}; {SHARED}" if shared else ORDER

    # Text

    def code_text(self) -> str:
        """The answer, then under each instruction LLVM's lines and the processor's beside them."""
        lines = [self.answer()]
        if isinstance(self.made, str):
            lines.append(f"⚠ {self.made}")
        else:
            lines += [self.legend(), f"{'':{INDENT}}{'LLVM IR':<{IR_TEXT}}  {self.made.processor}"]
        lines += self.block("entry", self.groups.entry)
        for pc in self.shown:
            group, words = self.groups.at[pc], self.nothing.get(pc, "")
            head = f"({pc:03d}) {listed(self.program.insns[pc], pc)}".expandtabs().rstrip()
            lines += self.block(f"{head}   {words}" if words else head, group)
            if group.shared:
                lines += self.block(f"{'':{INDENT}}shared", Group(code=group.shared))
        lines += self.block("reject", self.groups.out)
        lines += self.block(HEADERS, self.far)
        if not isinstance(self.made, str) and self.made.tables:
            lines += ["tables", *(f"{'':{INDENT}}{each}" for each in table_lines(self.made))]
        if len(self.program) > MOST:
            more = style.plural(len(self.program) - MOST, "instruction")
            lines.append(f"… {more} behind these not shown")
        return "\n".join(lines)

    def block(self, head: str, group: Group) -> Iterator[str]:
        """A head and the lines under it, in two columns; nothing of an empty group of no pc."""
        ir = wrapped(group.ir, IR_TEXT, 0)
        code = wrapped(group.code, CODE_TEXT, self.digits)
        if ir or code or head.startswith("("):
            yield head
        for left, right in zip_longest(ir, code, fillvalue=""):
            yield f"{'':{INDENT}}{left:<{IR_TEXT}}  {right}".rstrip()

    @property
    def digits(self) -> int:
        """How wide the processor's numbers are."""
        count = 0 if isinstance(self.made, str) else len(self.made.code)
        return len(str(max(count, 1)))

    # HTML

    def code_html(self) -> str:
        """The same as a table, folded after twenty instructions."""
        html = style.caption(escape(self.answer()))
        if isinstance(self.made, str):
            sign = f'<b style="color:{style.REJECT}">⚠</b>'
            html += style.caption(f"{sign} {escape(self.made)}")
        processor = "" if isinstance(self.made, str) else self.made.processor
        names = [
            ("pc", "right"),
            ("\N{NO-BREAK SPACE}BPF", "left"),
            ("LLVM IR", "left"),
            (processor, "left"),
        ]
        html += style.table(self.rows(), "instruction", style.heads(names))
        html += style.left_out(len(self.program) - MOST, "instruction")
        if not isinstance(self.made, str):
            html += style.caption(style.muted(escape(self.legend())))
            html += folded_ir(self.made.optimized)
        return html

    def rows(self) -> list[str]:
        """One string for each instruction shown; what belongs to none stands with a neighbour."""
        rows = [self.instruction(pc) for pc in self.shown]
        if rows:
            rows[0] = self.row("", style.muted("entry"), self.groups.entry) + rows[0]
            rows[-1] += self.row("", style.muted("reject"), self.groups.out)
            rows[-1] += self.row("", style.muted(HEADERS), self.far)
            if not isinstance(self.made, str) and self.made.tables:
                tables = [Line(each, None) for each in table_lines(self.made)]
                rows[-1] += self.row("", style.muted("tables"), Group(code=tables))
        return rows

    def instruction(self, pc: int) -> str:
        """The row of an instruction, and one of the shared code behind it."""
        insn, group = self.program.insns[pc], self.groups.at[pc]
        name = escape(f"{self.names[pc]:>{max(map(len, self.names))}}")
        head = f"(000) {listed(insn, pc)}".expandtabs()[6:].rstrip()
        words = self.nothing.get(pc, transfer(insn, pc))
        head = f"{escape(f'{head:<{BPF}}')}\n{style.muted(escape(words, quote=False))}"
        row = self.row(name, head, group, style.tone(insn.code), hint(self.program, pc))
        if group.shared:
            row += self.row("", style.muted("shared"), Group(code=group.shared))
        return row

    def row(self, name: str, head: str, group: Group, tone: str = "", hover: str = "") -> str:
        """A row of the table; a tone is an instruction's."""
        if not (tone or group.ir or group.code):
            return ""
        top = RULE if tone else ""
        bar = f";border-left:4px solid {tone}" if tone else ""
        ir = wrapped(group.ir, IR_HTML, 0) or [""]
        ir[0] = f"{ir[0]:<{self.ir_width}}"
        code = marked(wrapped(group.code, CODE_HTML, self.digits), self.digits)
        return style.row(
            [
                style.cell(style.muted(name), "right", right=10, more=top + ROOM),
                style.cell(
                    head, left=8 if tone else 10, right=16, more=top + bar + ROOM, hover=hover
                ),
                style.cell(marked(ir, 0), right=16, more=top + SMALL),
                style.cell(code, more=top + SMALL),
            ]
        )

    @cached_property
    def names(self) -> list[str]:
        """What stands before each instruction shown: its label and its pc."""
        found = labels(self.program)
        return [f"{found.get(pc, '')} {pc}".strip() for pc in self.shown]

    @cached_property
    def ir_width(self) -> int:
        """How wide LLVM's text is: the same in the table shown and in the folded one."""
        groups = [self.groups.entry, *(self.groups.at[pc] for pc in self.shown)]
        lines = [each for group in groups for each in wrapped(group.ir, IR_HTML, 0)]
        return max(map(len, lines), default=0)


def counted(lines: Sequence[Line]) -> int:
    """How many are instructions."""
    return sum(line.number > 0 for line in lines)


def wrapped(lines: Sequence[Line], width: int, digits: int) -> list[str]:
    """Lines no wider than that, instructions set in, behind their numbers if these have digits."""
    margin = digits + 1 if digits else 0
    found: list[str] = []
    for line in lines[:DEEP]:
        number = f"{line.number or '':>{digits}} " if digits else ""
        lead = "  " if line.number else ""
        found += textwrap.wrap(
            line.text,
            width,
            initial_indent=number + lead,
            subsequent_indent=" " * (margin + 6),
            break_on_hyphens=False,
        )
    if len(lines) > DEEP:
        found.append(f"{'':{margin}}… {style.plural(len(lines) - DEEP, 'more line')}")
    return found


def marked(lines: Sequence[str], digits: int) -> str:
    """Lines as HTML, numbers and labels muted."""
    shown = []
    for line in lines:
        number, text = line[:digits], line[digits:]
        html = escape(text, quote=False)
        if text.rstrip().endswith(":"):
            html = style.muted(html)
        shown.append((style.muted(number) if number.strip() else number) + html)
    return "\n".join(shown)


def table_lines(made: Compiled) -> list[str]:
    """The tables that the code reads, labels flush, the first rows of many."""
    lines = [each if each.endswith(":") else f"  {each}" for each in made.tables[:DEEP]]
    more = len(made.tables) - DEEP
    return [*lines, f"… {style.plural(more, 'more line')}"] if more > 0 else lines


def folded_ir(lines: Sequence[Line]) -> str:
    """LLVM's text after optimisation, each line behind its pc, folded."""
    pcs, texts, before = list[str](), list[str](), ""
    for line in lines[: style.MOST]:
        rows = wrapped([line], WIDE, 0)
        pc = "–" if line.pc is None else str(line.pc)
        pcs += ["" if pc == before else pc, *[""] * (len(rows) - 1)]
        texts += rows
        before = pc
    count = style.plural(counted(lines), "instruction")
    cells = [
        style.cell(style.muted("\n".join(pcs)), "right", right=10, more=SMALL),
        style.cell(marked(texts, 0), more=SMALL),
    ]
    return (
        '<details><summary style="cursor:pointer;font-size:13px;line-height:24px">'
        f"LLVM IR after optimisation, {count}</summary>"
        f"{style.whole_table([style.row(cells)])}"
        f"{style.left_out(len(lines) - style.MOST, 'line')}</details>"
    )
