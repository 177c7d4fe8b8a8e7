"""One visual language for every view: tones, words, shapes, fonts.

Each instruction class has one Okabe–Ito tone; it is a narrow bar beside the
mnemonic, never the only sign.  A verdict has a word and a shape beside its
tone.  Text takes the page's own colour, so that it can be read on light and
on dark; muted text is the same colour, thinner.

Static forms must survive JupyterLab's sanitiser: inline styles only, with
literal values, and pictures as `<img>` with a data address.  Left out: live
widgets, which have style sheets of their own.

Source: M. Okabe, K. Ito, *Color Universal Design*, 2002, for the eight tones.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from bpfnb.cbpf.opcodes import BY_CODE, Class

__all__ = [
    "ACCEPT",
    "BAR",
    "FOLD",
    "LINE",
    "MONO",
    "MOST",
    "MUTED",
    "PATH",
    "REJECT",
    "SANS",
    "TONES",
    "caption",
    "cell",
    "heads",
    "image",
    "left_out",
    "muted",
    "plain",
    "plural",
    "row",
    "scroll",
    "share",
    "table",
    "tone",
    "verdict",
    "verdict_html",
]

ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY = "#808080"  # for the eighth tone, black, which a dark page would swallow

TONES: dict[Class, str] = {
    Class.LD: BLUE,
    Class.LDX: BLUE,
    Class.ST: PURPLE,
    Class.STX: PURPLE,
    Class.ALU: SKY,
    Class.JMP: ORANGE,
    Class.RET: GREY,
    Class.MISC: GREEN,
}
ACCEPT, REJECT = GREEN, VERMILLION
LINE = "#909090"  # thin rules and jumps: seen on white and on black
PATH = "#808080"  # the way taken: as neutral, but thick
BAR = "#909090"  # how often: a length, not a colour

MONO = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace"
SANS = "system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
MUTED = "opacity:0.7"
CELL = "vertical-align:top;line-height:22px;white-space:pre;border:0;padding:0 "

FOLD = 20  # rows shown before a table folds
MOST = 1000  # rows that HTML holds at all: a notebook has to carry them


def tone(code: int) -> str:
    """The tone of an opcode's class; grey where there is no such opcode.

    >>> tone(0x28) == TONES[Class.LD]
    True
    """
    row = BY_CODE.get(code)
    return TONES[row.cls] if row else GREY


def verdict(ret: int) -> str:
    """Word and shape for a ret.

    >>> verdict(0), verdict(96)
    ('✗ reject', '✓ accept')
    """
    return "✓ accept" if ret else "✗ reject"


def verdict_html(ret: int) -> str:
    """The same with the shape in its tone; the word keeps the page's colour."""
    shape, word = verdict(ret).split()
    colour = ACCEPT if ret else REJECT
    return f'<b style="color:{colour}">{shape}</b> {word}'


def plural(number: int, word: str, words: str = "") -> str:
    """A number with its noun; thousands set off.

    >>> plural(1, "packet"), plural(4096, "packet")
    ('1 packet', '4,096 packets')
    """
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def share(part: int, whole: int) -> str:
    """A share in per cent that never calls some "none" or most "all".

    >>> share(2, 3), share(1, 1000), share(999, 1000), share(0, 0)
    ('67%', '<1%', '>99%', '')
    """
    if not whole:
        return ""
    rounded = round(100 * part / whole)
    if rounded == 0 and part:
        return "<1%"
    if rounded == 100 and part < whole:
        return ">99%"
    return f"{rounded}%"


def caption(html: str) -> str:
    """The line above a view: first the answer.  Takes HTML, already escaped."""
    return f'<div style="font-size:13px;line-height:20px;margin:0 0 6px 0">{html}</div>'


def scroll(html: str) -> str:
    """A box that is never wider than its cell."""
    return f'<div style="overflow-x:auto;max-width:100%;margin:2px 0">{html}</div>'


def cell(
    html: str, align: str = "left", left: int = 0, right: int = 14, more: str = "", hover: str = ""
) -> str:
    """A table's cell, against the page's own habits; takes HTML, already escaped.

    `left` and `right` are pixels of padding, `more` further style, `hover` words.
    """
    hint = f' title="{escape(hover)}"' if hover else ""
    return f'<td{hint} style="text-align:{align};{CELL}{right}px 0 {left}px{more}">{html}</td>'


def row(cells: Iterable[str], height: int = 22) -> str:
    """A table's row of ready cells."""
    return f'<tr style="height:{height}px;background:transparent">{"".join(cells)}</tr>'


def heads(names: Iterable[tuple[str, str]]) -> str:
    """The row of names over a table; each comes with its alignment."""
    cells = [
        f'<th style="text-align:{align};{CELL}14px 0 0;font-weight:normal;white-space:normal;'
        f'border-bottom:1px solid {LINE}">{muted(escape(name))}</th>'
        for name, align in names
    ]
    return f'<tr style="background:transparent">{"".join(cells)}</tr>'


def muted(html: str) -> str:
    """The page's own colour, thinner."""
    return f'<span style="{MUTED}">{html}</span>'


def left_out(number: int, what: str) -> str:
    """The line under a table of only its first MOST rows; "" where it has them all."""
    return caption(f"{plural(number, what)} behind these not shown") if number > 0 else ""


def plain(html: str, size: int = 13, least: int = 0) -> str:
    """A sentence among monospaced cells: the page's font, and it may wrap.

    `least` is the width in pixels that it keeps where the page is narrow.
    """
    keeps = f";display:inline-block;min-width:{least}px" if least else ""
    look = f"font-family:{SANS};font-size:{size}px;white-space:normal{keeps}"
    return f'<span style="{look}">{html}</span>'


def table(rows: Sequence[str], what: str, head: str = "") -> str:
    """A table of ready rows; those after the twentieth folded, their number said.

    `what` is one row's name: "packet".
    """
    shown, folded = rows[:FOLD], rows[FOLD:]
    if len(folded) == 1:
        shown, folded = rows, []
    html = whole_table(shown, head)
    if folded:
        html += (
            '<details><summary style="cursor:pointer;font-size:13px;line-height:24px">'
            f"{plural(len(folded), f'more {what}')}</summary>{whole_table(folded, head)}</details>"
        )
    return html


def whole_table(rows: Sequence[str], head: str = "") -> str:
    """All rows, in a table of no habits of its own."""
    top = f"<thead>{head}</thead>" if head else ""
    return (
        '<table style="border-collapse:collapse;border:0;margin:0;table-layout:auto;'
        f'font-size:13px;font-family:{MONO}">{top}<tbody>{"".join(rows)}</tbody></table>'
    )


def image(svg: str, alt: str, width: float, height: float, style: str = "") -> str:
    """An `<img>` that carries its SVG, with the words for who cannot see it.

    >>> image("<svg/>", 'a "b"', 10, 20)
    '<img alt="a &quot;b&quot;" width="10" height="20" src="data:image/svg+xml;base64,PHN2Zy8+">'
    """
    data = base64.b64encode(svg.encode()).decode()
    look = f' style="{escape(style)}"' if style else ""
    return (
        f'<img alt="{escape(alt)}" width="{width:g}" height="{height:g}"{look}'
        f' src="data:image/svg+xml;base64,{data}">'
    )
