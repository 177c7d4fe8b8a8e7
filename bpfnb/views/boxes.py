"""A basic block as a box: its instructions, how often it ran, how it ends.

Left out: where it stands (`layout`) and its edges (`cfg`).
"""

from __future__ import annotations

from dataclasses import dataclass

from bpfnb.cbpf.cfg import BasicBlock
from bpfnb.cbpf.disasm import line, operand
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.svg import Svg, Value

__all__ = ["Box", "Line", "box", "draw_box"]

ADVANCE = 7.3  # pixels a character of the monospaced font, the widest of the usual ones
LINE, PAD, HEAD = 18.0, 7.0, 20.0
TALL, KEEP = 18, 3  # a longer block shows its start and its last lines
INK, PALE, RULE, STRONG = "#1c1c1c", "#8a8a8a", "#bdbdbd", "#1c1c1c"


@dataclass(frozen=True)
class Line:
    """One line of a box: the instruction's number, its words, its class's tone.

    `ret` is the verdict of a `ret #k`, None for everything else.
    """

    pc: int | None
    words: str
    tone: str
    ret: int | None = None


@dataclass(frozen=True)
class Box:
    """What is drawn, and its size.  `head` is the line on top, "" for none.

    `share` is the part of all packets that came here; None: nobody counted.
    """

    lines: tuple[Line, ...]
    head: str
    share: float | None
    width: float
    height: float
    strong: bool
    faint: bool
    digits: int


def box(
    program: Program,
    block: BasicBlock,
    reachable: bool,
    strong: bool,
    visits: int | None,
    packets: int,
    note: str = "",
) -> Box:
    """Make a block's box; `note` is further words for its head."""
    pcs = list(block.pcs)
    lines = [instruction(program, pc) for pc in pcs]
    if len(lines) > TALL:
        left = len(lines) - TALL + 1
        lines = [*lines[: TALL - KEEP - 1], Line(None, f"… {left} more …", RULE), *lines[-KEEP:]]
    came = "" if visits is None else f"{visits:,} of {packets:,}"
    head = ", ".join(filter(None, ("" if reachable else "unreachable", note, came)))
    digits = len(str(pcs[-1]))
    longest = max(digits + 2 + len(each.words) + len(mark(each)) for each in lines)
    width = max(
        24 + ADVANCE * longest, 24 + 6.4 * len(head) + (40 if visits is not None else 0), 84
    )
    height = 2 * PAD + LINE * len(lines) + (HEAD if head else 0)
    share = None if visits is None else visits / max(packets, 1)
    faint = not reachable or visits == 0
    return Box(tuple(lines), head, share, width, height, strong, faint, digits)


def instruction(program: Program, pc: int) -> Line:
    """One instruction; a test without its targets, which are the edges."""
    insn = program.insns[pc]
    row = BY_CODE.get(insn.code)
    if row is None:
        return Line(pc, " ".join(line(insn, pc).split()), style.tone(insn.code))
    ret = insn.k if row.mnemonic == "ret" and row.form is Form.IMM else None
    words = f"{row.mnemonic:<5}{operand(insn, pc)}".rstrip()
    return Line(pc, words, style.tone(insn.code), ret)


def mark(shown: Line) -> str:
    """The verdict behind a ret."""
    return "" if shown.ret is None else "  " + style.verdict(shown.ret)


def draw_box(drawing: Svg, made: Box, x: float, y: float) -> None:
    """Draw a box with its upper left corner at (x, y)."""
    frame: dict[str, Value] = {"stroke": RULE, "stroke_width": 1.2}
    if made.strong:
        frame = {"stroke": STRONG, "stroke_width": 2.4}
    if made.head.startswith("unreachable"):
        frame["stroke_dasharray"] = "3 3"
    ink = PALE if made.faint else INK
    drawing.add(
        "rect", x=x, y=y, width=made.width, height=made.height, rx=5, fill="#ffffff", **frame
    )
    top = y + PAD
    if made.head:
        draw_head(drawing, made, x, top)
        top += HEAD
    for at, shown in enumerate(made.lines):
        base = top + LINE * at
        drawing.add("rect", x=x + 6, y=base, width=4, height=LINE, fill=shown.tone)
        if shown.pc is not None:
            drawing.text(
                x + 16, base + 13, f"{shown.pc:>{made.digits}}", font_family=style.MONO,
                font_size=12, fill=PALE, style="white-space:pre",
            )  # fmt: skip
        words_x = x + 16 + ADVANCE * (made.digits + 1)
        drawing.text(
            words_x, base + 13, shown.words, font_family=style.MONO, font_size=12, fill=ink,
            style="white-space:pre",
        )  # fmt: skip
        if shown.ret is not None:
            draw_mark(drawing, shown, words_x + ADVANCE * (len(shown.words) + 2), base + 13)


def draw_mark(drawing: Svg, shown: Line, x: float, y: float) -> None:
    """The verdict's shape in its tone, its word in ink."""
    shape, word = style.verdict(shown.ret or 0).split()
    tone = style.ACCEPT if shown.ret else style.REJECT
    drawing.text(x, y, shape, font_family=style.SANS, font_size=13, font_weight="bold", fill=tone)
    drawing.text(x + 14, y, word, font_family=style.SANS, font_size=12, fill=INK)


def draw_head(drawing: Svg, made: Box, x: float, y: float) -> None:
    """How many packets came here, as words and as a bar over the box's width."""
    if made.share is not None:
        whole = made.width - 12
        drawing.add("rect", x=x + 6, y=y - 2, width=whole, height=3, fill="#ececec")
        drawing.add("rect", x=x + 6, y=y - 2, width=whole * made.share, height=3, fill="#6a6a6a")
    drawing.text(
        x + made.width - 7, y + 13, made.head, font_family=style.SANS, font_size=11, fill=PALE,
        text_anchor="end",
    )  # fmt: skip
