"""The paper's two tables, made from the opcode table: 1993's rows, or all 49.

    InstructionSet    table 1: which mnemonic takes which addressing mode, by code
    AddressingModes   table 2: what each addressing mode stands for, and who takes it

The paper writes `jmp` for what listings call `ja`, and `ldx` where they write
`ldxb`; both tables use its words, so that the old and the new one can be laid
side by side.  Left out: the bits of a code (`encoding`) and Linux's
extensions, which are packet offsets and no opcodes (`cbpf.ancillary`).

Source: McCanne & Jacobson 1993, tables 1 and 2, for the arrangement.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from bpfnb.cbpf.opcodes import OPCODES, Class, Form, Opcode, Since
from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["AddressingModes", "InstructionSet", "Row"]

PAPER_WORDS = {"ja": "jmp", "ldxb": "ldx"}
CLASSES = (
    Class.LD, Class.LDX, Class.ST, Class.STX, Class.JMP, Class.ALU, Class.RET, Class.MISC
)  # fmt: skip
# In table 2's order; its meaning beside each.
MODES: dict[Form, str] = {
    Form.IMM: "the number k itself",
    Form.LEN: "the packet's length on the wire",
    Form.MEM: "word k of the scratch memory",
    Form.ABS: "word, half word or byte of the packet at byte k",
    Form.IND: "the same at byte X + k",
    Form.MSH: "four times the low half of byte k",
    Form.TARGET: "go on at L, k instructions behind the next",
    Form.IMM_TARGETS: "test A against k: skip jt if true, else jf",
    Form.X_TARGETS: "test A against X: skip jt if true, else jf",
    Form.X: "what X holds",
    Form.A: "what A holds",
    Form.NONE: "no operand",
}
LATER = "+"  # stands before what the paper's tables lack


@dataclass(frozen=True)
class Row:
    """One mnemonic: its class, and its opcode in each addressing mode it takes."""

    mnemonic: str
    cls: Class
    opcodes: dict[Form, Opcode]


@dataclass(frozen=True)
class OpcodeTable(View):
    """What both tables share: `since` is "paper" for 1993's rows, "all" for the 49."""

    since: str = "all"

    def __post_init__(self) -> None:
        if self.since not in ("paper", "all"):
            raise BpfError(f"there is no table of {self.since!r}", 'ask for since="paper" or "all"')

    @property
    def opcodes(self) -> tuple[Opcode, ...]:
        """The opcodes that the table holds."""
        return tuple(row for row in OPCODES if self.since == "all" or row.since is Since.PAPER)

    @property
    def modes(self) -> tuple[Form, ...]:
        """The addressing modes that they use, in table 2's order."""
        used = {row.form for row in self.opcodes}
        return tuple(form for form in MODES if form in used)


@dataclass(frozen=True)
class InstructionSet(OpcodeTable):
    """Table 1: a line a mnemonic, a column an addressing mode, and the code where they meet.

    >>> table = InstructionSet(since="paper")
    >>> len(table.rows), len(table.opcodes)
    (22, 40)
    """

    @property
    def rows(self) -> tuple[Row, ...]:
        """The mnemonics, class by class as in the paper; loads from narrow to wide."""
        found: dict[str, Row] = {}
        for row in sorted(self.opcodes, key=lambda row: (CLASSES.index(row.cls), width(row))):
            name = paper_word(row)
            found.setdefault(name, Row(name, row.cls, {})).opcodes[row.form] = row
        return tuple(found.values())

    def text(self) -> str:
        """Columns under their modes; what the paper lacks carries a +."""
        heads = [mode_name(form) for form in self.modes]
        lines = [f"{'':8}{'  '.join(f'{head:<5}' for head in heads)}"]
        for row in self.rows:
            cells = [code(row.opcodes.get(form)) for form in self.modes]
            columns = zip(cells, heads, strict=True)
            lines.append(
                f"{row.mnemonic:<8}" + "  ".join(f"{c:<{max(len(h), 5)}}" for c, h in columns)
            )
        return "\n".join([self.headline(), *(line.rstrip() for line in lines)])

    def headline(self) -> str:
        """How many there are."""
        count = f"{len(self.rows)} mnemonics, {len(self.opcodes)} opcodes"
        if self.since == "paper":
            return f"{count}: table 1 of 1993"
        later = sum(row.since is not Since.PAPER for row in self.opcodes)
        return f"{count}: table 1 of 1993 and {later} more, marked {LATER}"

    def html(self) -> str:
        """The same, a bar in its class's tone before each mnemonic; never folded."""
        heads = style.heads((name, "left") for name in ("", *map(mode_name, self.modes)))
        rows, before = [], None
        for row in self.rows:
            rows.append(self.html_row(row, height=22 if before in (None, row.cls) else 30))
            before = row.cls
        table = style.whole_table(rows, heads)
        return style.scroll(style.caption(escape(self.headline())) + table)

    def html_row(self, row: Row, height: int) -> str:
        """One mnemonic's line; a higher one sets its class off from the one above."""
        top = f";padding-top:{height - 22}px"
        bar = f"{top};border-left:4px solid {style.TONES[row.cls]}"
        name = style.cell(escape(row.mnemonic), left=10, more=bar)
        codes = [opcode_cell(row.opcodes.get(form), top) for form in self.modes]
        return style.row([name, *codes], height)


@dataclass(frozen=True)
class AddressingModes(OpcodeTable):
    """Table 2: each addressing mode, what it stands for, and which mnemonics take it.

    >>> AddressingModes(since="paper").takers(Form.LEN)
    ('ld', 'ldx')
    """

    def takers(self, form: Form) -> tuple[str, ...]:
        """The mnemonics that take a mode."""
        return tuple(row.mnemonic for row in InstructionSet(self.since).rows if form in row.opcodes)

    def text(self) -> str:
        """Mode, meaning, mnemonics."""
        wide = max(len(MODES[form]) for form in self.modes)
        lines = [
            f"{mode_name(form):<12} {MODES[form]:<{wide}}  {self.taken_by(form)}"
            for form in self.modes
        ]
        return "\n".join([self.headline(), *lines])

    def taken_by(self, form: Form) -> str:
        """The mnemonics in a line; where the paper has none of them, a + stands first."""
        rows = [row for row in self.opcodes if row.form is form]
        mark = "" if any(row.since is Since.PAPER for row in rows) else f"{LATER} "
        return mark + " ".join(self.takers(form))

    def headline(self) -> str:
        """How many there are, and for how many opcodes."""
        return f"{len(self.modes)} ways to write an operand, for {len(self.opcodes)} opcodes"

    def html(self) -> str:
        """The same, meanings in the page's own font."""
        rows = [
            style.row(
                [
                    style.cell(escape(mode_name(form))),
                    style.cell(style.plain(escape(MODES[form]))),
                    style.cell(escape(self.taken_by(form))),
                ]
            )
            for form in self.modes
        ]
        return style.scroll(style.caption(escape(self.headline())) + style.whole_table(rows))


def paper_word(row: Opcode) -> str:
    """A mnemonic as the paper writes it."""
    return PAPER_WORDS.get(row.mnemonic, row.mnemonic)


def width(row: Opcode) -> int:
    """What sorts ldb before ldh before ld; 0 outside the class ld."""
    sizes = [each.size for each in OPCODES if each.mnemonic == row.mnemonic]
    return max(sizes) if row.cls is Class.LD else 0


def mode_name(form: Form) -> str:
    """A mode as the paper writes it: `[x+k]`; `none` for no operand."""
    shown = form.value.format(k="k", t="L" if form is Form.TARGET else "Lt", f="Lf")
    return shown or "none"


def code(row: Opcode | None) -> str:
    """An opcode in hex, marked where the paper's table lacks it."""
    if row is None:
        return ""
    return f"{'' if row.since is Since.PAPER else LATER}{row.code:#04x}"


def opcode_cell(row: Opcode | None, look: str) -> str:
    """A code; what it does on hover; bold where the paper's table lacks it."""
    if row is None:
        return style.cell("", more=look)
    shown = code(row) if row.since is Since.PAPER else f"<b>{code(row)}</b>"
    return style.cell(shown, more=look, hover=f"{row.name}: {row.transfer.format(k='k')}")
