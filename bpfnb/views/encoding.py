"""One instruction drawn bit by bit: code, jt, jf, k, and the parts of the code.

A code is a sum.  Its low three bits are the class; what the others say depends
on it: size and mode in loads, operation and source in arithmetic and jumps.
The names are those of the C header, without their BPF_.

Left out: what the instruction does when it runs, and the order in which its
eight bytes lie in memory, which is the machine's own.

Source: McCanne & Jacobson 1993, section 3.3, for the four fields;
linux/bpf_common.h for the names of the parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.disasm import bare, line, signed, transfer
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.views import style
from bpfnb.views.cfg import CARD, EDGE_OF_CARD
from bpfnb.views.svg import Svg, number, polyline
from bpfnb.views.view import Picture

__all__ = ["Encoding", "Part", "parts"]

SIZES = {0x00: "W", 0x08: "H", 0x10: "B"}
MODES = {0x00: "IMM", 0x20: "ABS", 0x40: "IND", 0x60: "MEM", 0x80: "LEN", 0xA0: "MSH"}
SOURCES = {0x00: "K", 0x08: "X"}
RVALS = {0x00: "K", 0x08: "X", 0x10: "A"}

CELL, TALL = 22, 24  # pixels of one bit
LEFT, TOP, LABEL = 10, 26, 15
INK, FAINT, SET, GRID = "#202020", "#666666", "#e6e6e6", "#b8b8b8"


@dataclass(frozen=True)
class Part:
    """Some bits of a code: `high` to `low`, their value in place, and what they say.

    `name` is "class", "size", "mode", "op", "src", "rval", or "" for bits
    that are always 0; `word` the header's name, "" where it has none.
    """

    name: str
    high: int
    low: int
    value: int
    word: str

    @property
    def bits(self) -> str:
        """The bits as digits."""
        width = self.high - self.low + 1
        return f"{self.value >> self.low:0{width}b}"

    @property
    def shown(self) -> str:
        """Word and value: `ABS 0x20`."""
        return f"{self.word or '?'} {self.value:#04x}"


def parts(code: int) -> tuple[Part, ...]:
    """The parts of a code, from its highest bit to its lowest.

    >>> [part.shown for part in parts(0x28) if part.name]
    ['ABS 0x20', 'H 0x08', 'LD 0x00']
    """
    cls = Class(code & 0x07)

    def part(name: str, high: int, low: int, words: dict[int, str]) -> Part:
        value = code & ((2 << high) - (1 << low))
        return Part(name, high, low, value, words.get(value, ""))

    if cls in (Class.LD, Class.LDX):
        middle = [part("mode", 7, 5, MODES), part("size", 4, 3, SIZES)]
    elif cls in (Class.ALU, Class.JMP):
        middle = [part("op", 7, 4, operations(cls, 0xF0)), part("src", 3, 3, SOURCES)]
    elif cls is Class.RET:
        middle = [part("", 7, 5, {}), part("rval", 4, 3, RVALS)]
    elif cls is Class.MISC:
        middle = [part("op", 7, 3, operations(cls, 0xF8))]
    else:
        middle = [part("", 7, 3, {})]
    return (part("", 15, 8, {}), *middle, Part("class", 2, 0, code & 0x07, cls.name))


def operations(cls: Class, mask: int) -> dict[int, str]:
    """The operations of a class, by their bits: mnemonics in capitals."""
    rows = [row for row in BY_CODE.values() if row.cls is cls]
    return {row.code & mask: row.mnemonic.upper() for row in rows}


@dataclass(frozen=True)
class Encoding(Picture):
    """The 64 bits of one instruction, each field with its name and value.

    `pc` is the instruction's place in the program, from which a jump's targets
    are counted.  A number too large for its field is a BpfError.

    >>> print(Encoding(Insn(0x28, 0, 0, 12)))
    ldh [12]   A <- P[12:2]
    code  00000000 001 01 000                  0x0028 = mode ABS 0x20 + size H 0x08 + class LD 0x00
    jt    00000000                             0   not used
    jf    00000000                             0   not used
    k     00000000 00000000 00000000 00001100  12
    """

    insn: Insn
    pc: int = 0

    def __post_init__(self) -> None:
        Insn.checked(self.insn)

    @property
    def name(self) -> str:
        """The instruction in a line: mnemonic, operand, and where a jump leads."""
        row = BY_CODE.get(self.insn.code)
        if row is None:
            return f"opcode {self.insn.code:#04x}"
        if row.form.jumps or row.form is Form.TARGET:
            return " ".join(line(self.insn, self.pc).split())
        return " ".join(bare(self.insn)).rstrip()

    @property
    def sum(self) -> str:
        """The code as the sum of its named parts."""
        named = [part for part in parts(self.insn.code) if part.name or part.value]
        terms = " + ".join(f"{part.name or 'bits'} {part.shown}" for part in named)
        return f"{self.insn.code:#06x} = {terms}"

    def remark(self, field: str) -> str:
        """What stands beside a field's value: where a jump leads, or that it is not used."""
        row = BY_CODE.get(self.insn.code)
        if row is None:
            return ""
        if field == "k":
            if row.form is Form.ABS and self.insn.k in BY_K:
                return f"the extension {BY_K[self.insn.k].name}"
            if row.form is Form.TARGET:
                return f"{self.pc} + 1 + {self.insn.k} = {self.pc + 1 + self.insn.k}"
            return "" if row.form.uses_k else "not used"
        if not row.form.jumps:
            return "not used"
        skip = self.insn.jt if field == "jt" else self.insn.jf
        return (
            f"{'true' if field == 'jt' else 'false'}: {self.pc} + 1 + {skip} = {self.pc + 1 + skip}"
        )

    def value(self, field: str) -> str:
        """A field's number; a large k in hex too, and signed where its top bit is set."""
        value = int(getattr(self.insn, field))
        return str(value) if value < 256 else f"{value:#x} = {signed(value)}"

    def text(self) -> str:
        """A line a field: bits, value, what it says."""
        groups = " ".join(part.bits for part in parts(self.insn.code))
        k = f"{self.insn.k:032b}"
        bits = {
            "jt": f"{self.insn.jt:08b}",
            "jf": f"{self.insn.jf:08b}",
            "k": " ".join(k[at : at + 8] for at in range(0, 32, 8)),
        }
        lines = [f"{self.name}   {transfer(self.insn, self.pc)}", f"code  {groups:<35}  {self.sum}"]
        for field, digits in bits.items():
            shown = f"{field:<5} {digits:<35}  {self.value(field)}   {self.remark(field)}"
            lines.append(shown.rstrip())
        return "\n".join(lines)

    def html(self) -> str:
        """The picture, under the instruction in words."""
        said = (
            f'<span style="font-family:{style.MONO}"><b>{escape(self.name)}</b>'
            f'<span style="{style.MUTED}">   {escape(transfer(self.insn, self.pc))}</span></span>'
        )
        width, height = self.size
        look = "display:block;max-width:none"
        picture = style.image(self.svg, self.text(), width, height, look)
        return style.scroll(style.caption(said) + picture)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels."""
        return 2 * LEFT + 32 * CELL, 2 * TOP + 2 * TALL + 4 * LABEL + 8

    @property
    def svg(self) -> str:
        """Two rows of 32 bits: code, jt and jf over k."""
        drawing = Svg(*self.size, words=f"{self.name}: {self.sum}")
        width, height = self.size
        around = polyline([(1, 1), (width - 1, 1), (width - 1, height - 1), (1, height - 1)]) + "Z"
        drawing.add("path", d=around, fill=CARD, stroke=EDGE_OF_CARD, stroke_linejoin="round")
        insn, y = self.insn, float(TOP)
        code = f"code  0x{insn.code:04x} = {insn.code}"
        self.field(drawing, (0, y), f"{insn.code:016b}", code, "")
        for part in parts(insn.code):
            self.bracket(drawing, part, y + TALL)
        for at, name in ((16, "jt"), (24, "jf")):
            digits = f"{getattr(insn, name):08b}"
            self.field(drawing, (at, y), digits, f"{name}  {self.value(name)}", self.remark(name))
        y += TALL + 3 * LABEL + TOP
        self.field(drawing, (0, y), f"{insn.k:032b}", f"k  {self.value('k')}", self.remark("k"))
        return str(drawing)

    def field(
        self, drawing: Svg, at: tuple[int, float], digits: str, head: str, remark: str
    ) -> None:
        """One field: its name and value above, a cell a bit, a remark below."""
        x, y = LEFT + at[0] * CELL, at[1]
        drawing.text(x + 2, y - 7, head, **font(13, INK))
        ones = "".join(
            f"M{x + place * CELL} {number(y)}h{CELL}v{TALL}h-{CELL}Z"
            for place, digit in enumerate(digits)
            if digit == "1"
        )
        if ones:
            drawing.add("path", d=ones, fill=SET)
        grid = "".join(f"M{x + place * CELL} {number(y)}v{TALL}" for place in range(1, len(digits)))
        drawing.add("path", d=grid, stroke=GRID)
        drawing.add(
            "rect", x=x, y=y, width=len(digits) * CELL, height=TALL, fill="none", stroke=INK
        )
        for digit, colour in (("0", FAINT), ("1", INK)):
            middles = [
                number(x + (place + 0.5) * CELL)
                for place, each in enumerate(digits)
                if each == digit
            ]
            if middles:
                look = {**font(13, colour), "text_anchor": "middle", "x": " ".join(middles)}
                drawing.add("text", digit * len(middles), y=y + 17, **look)
        if remark:
            drawing.text(x + 2, y + TALL + LABEL, remark, **font(11, FAINT))

    def bracket(self, drawing: Svg, part: Part, y: float) -> None:
        """A part of the code: a bar under its bits, its name, word and value."""
        x, width = LEFT + (15 - part.high) * CELL, (part.high - part.low + 1) * CELL
        middle = x + width / 2
        if not part.name:
            words = "always 0" if not part.value else "no opcode has these"
            drawing.text(middle, y + LABEL, words, text_anchor="middle", **font(11, FAINT))
            return
        tone = style.tone(self.insn.code) if part.name == "class" else style.LINE
        drawing.add("rect", x=x + 2, y=y + 2, width=width - 4, height=3, fill=tone)
        for row, (words, colour) in enumerate(
            ((part.name, FAINT), (part.word or "?", INK), (f"{part.value:#04x}", INK)), 1
        ):
            drawing.text(
                middle, y + 2 + row * LABEL, words, text_anchor="middle", **font(11, colour)
            )


def font(size: int, fill: str) -> dict[str, str]:
    """How text is set."""
    return {"font_family": style.MONO, "font_size": str(size), "fill": fill}
