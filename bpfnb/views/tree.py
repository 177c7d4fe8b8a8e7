"""A filter as a tree: which tests it is made of, and how they are joined.

Operators are round, tests are boxes: above what a test wants in the names of fields,
where these are certain, below what it calculates.  The root is on top; a wide tree
lies on its side, root left.  The caption counts what the paper counts: a machine that
evaluates trees does all of it on every packet, BPF walks a graph and stops early.

Its twin in text has a line for each operator and test.  Left out: how a program
becomes a tree (`analysis.tree`), and trees of more than 250 tests.

Source: McCanne & Jacobson 1993, figures 4 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from bpfnb.analysis.tree import Tree, tree
from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not, Or
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.spoken import spoken
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.boxes import ADVANCE, INK, PALE, RULE
from bpfnb.views.cfg import CARD, EDGE_OF_CARD, framed, twin
from bpfnb.views.edges import MARGIN, PLAIN
from bpfnb.views.hits import Hits
from bpfnb.views.svg import Svg, curve, number
from bpfnb.views.view import Picture

__all__ = ["FilterTree", "Placed", "below", "drawn", "name", "shortened"]

Words = Mapping[int, tuple[str, str]]
ABREAST = 1000.0  # pixels up to which the tree stands upright
LONGEST = 56  # characters of a line in a box
PILL, LEAF = (46.0, 26.0), 42.0  # an operator's size, a test's height
GAPS = (18.0, 10.0)  # between two tests, side by side and one above the other
STEP = 44.0  # between two levels


@dataclass
class Placed:
    """A part of the tree to be drawn: its lines, its size, the middle of it."""

    lines: tuple[str, ...]
    pc: str
    tone: str
    width: float
    height: float
    below: list[Placed] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0

    def everything(self) -> Iterator[Placed]:
        """This and all below."""
        yield self
        for each in self.below:
            yield from each.everything()


@dataclass(frozen=True)
class FilterTree(Picture):
    """The tree of a program; `hits`, from a run on packets, say what its graph took."""

    tree: Tree
    words: Words = field(default_factory=dict)
    hits: Hits | None = None

    @classmethod
    def of(
        cls, program: Program, hits: Hits | None = None, linktype: int | None = None
    ) -> FilterTree:
        """The tree of a program; BpfError where it has none that could be read."""
        return cls(tree(program), spoken(program, linktype), hits)

    def headline(self) -> str:
        """The comparison that the paper makes, in numbers."""
        made, graph = self.tree, self.tree.graph
        if isinstance(made.root, Constant):
            return f"every packet is {'accepted' if made.root.accepted else 'rejected'}: no tests"
        operations = style.plural(made.operations, "operation")
        return (
            f"the tree: {style.plural(made.tests, 'test')} and {operations}, all for each packet; "
            f"the graph: {style.plural(graph.tests, 'test')}, at most {graph.most} for a packet"
        )

    def notes(self) -> tuple[str, ...]:
        """What else there is to say."""
        if isinstance(self.tree.root, Constant):
            return ()
        mean = float(self.tree.graph.mean)
        said = [f"in the graph {mean:.2f} tests on average, if each were a coin's toss"]
        if self.hits is not None and self.hits.packets:
            taken = sum(self.hits.pcs[pc] for pc in tests_of(self.tree.program))
            of = style.plural(self.hits.packets, "packet")
            said[0] += f"; {taken / self.hits.packets:.2f} on these {of}"
        said.append(
            "a test whose load lies past the packet's end rejects the packet, if it is looked at "
            "from left to right"
        )
        if len(accepting(self.tree.program)) > 1:
            said.append("how much is accepted differs from way to way; the tree only says that")
        return tuple(said)

    def text(self) -> str:
        """A line for each operator and test, further in than its operator."""
        return "\n".join([self.headline(), *self.notes(), "", *self.rows(self.tree.root, 0)])

    def rows(self, formula: Formula, depth: int) -> Iterator[str]:
        """The lines of a part."""
        indent = "    " * depth
        if isinstance(formula, (Test, Constant)):
            first, *rest = self.said(formula)
            place = f"({formula.pc:03d}) " if isinstance(formula, Test) else ""
            yield f"{indent}{place}{first}{f'   {rest[0]}' if rest else ''}"
            return
        yield f"{indent}{name(formula)}"
        for part in below(formula):
            yield from self.rows(part, depth + 1)

    def said(self, formula: Test | Constant) -> tuple[str, ...]:
        """A leaf's words: with field names where these are known, then as calculated."""
        if isinstance(formula, Constant):
            return ("accept" if formula.accepted else "reject",)
        pair = self.words.get(formula.pc)
        loads = str(formula)
        return (pair[not formula.wanted], loads) if pair and formula.op else (loads,)

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        return f"the filter as a tree: {self.headline()}"

    @property
    def svg(self) -> str:
        """The picture as a document of its own."""
        return drawn(self.placed(self.tree.root), self.alt)

    def placed(self, formula: Formula) -> Placed:
        """What is to be drawn, without places."""
        if isinstance(formula, (Test, Constant)):
            lines = tuple(shortened(each) for each in self.said(formula))
            pc = str(formula.pc) if isinstance(formula, Test) else ""
            tone = tone_of(self, formula) if isinstance(formula, Test) else style.GREY
            longest = max(map(len, lines)) + (len(pc) + 1 if pc else 0)
            height = LEAF if len(lines) > 1 else LEAF - 16
            return Placed(lines, pc, tone, 26 + ADVANCE * longest, height)
        under = [self.placed(part) for part in below(formula)]
        return Placed((name(formula),), "", "", *PILL, under)

    def html(self) -> str:
        """The picture, and its twin in text folded under it."""
        said = f"<b>{escape(self.headline())}</b>"
        notes = "".join(f"<br>{style.muted(escape(each))}" for each in self.notes())
        picture = framed(self.svg, self.alt)
        return style.scroll(style.caption(said + notes) + picture) + twin(self.text())


def drawn(root: Placed, alt: str) -> str:
    """A tree as a document of its own."""
    upright = width_of(root) <= ABREAST
    place(root, upright)
    parts = list(root.everything())
    left = min(each.x - each.width / 2 for each in parts) - MARGIN
    width = max(each.x + each.width / 2 for each in parts) - left + MARGIN
    height = max(each.y + each.height / 2 for each in parts) + MARGIN
    drawing = Svg(width, height, alt)
    drawing.add(
        "rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=8, fill=CARD,
        stroke=EDGE_OF_CARD,
    )  # fmt: skip
    for each in parts:
        each.x -= left
    for each in parts:
        for under in each.below:
            drawing.add(
                "path", d=line_to(each, under, upright), fill="none", stroke=PLAIN,
                stroke_width=1.3,
            )  # fmt: skip
    for each in parts:
        (draw_operator if each.below else draw_leaf)(drawing, each)
    return str(drawing)


def name(formula: Formula) -> str:
    """An operator's word."""
    return type(formula).__name__.upper()


def below(formula: Formula) -> tuple[Formula, ...]:
    """An operator's parts."""
    if isinstance(formula, Not):
        return (formula.part,)
    return formula.parts if isinstance(formula, (And, Or)) else ()


def tests_of(program: Program) -> list[int]:
    """The pcs of tests that have two ways."""
    return [
        pc
        for pc, insn in enumerate(program.insns)
        if (row := BY_CODE.get(insn.code)) and row.form.jumps and insn.jt != insn.jf
    ]


def accepting(program: Program) -> set[int | None]:
    """What the rets that can accept return; None for A."""
    rets = [i for i in program.insns if (row := BY_CODE.get(i.code)) and row.mnemonic == "ret"]
    return {insn.k if insn.code == 0x06 else None for insn in rets if insn.code != 0x06 or insn.k}


def tone_of(view: FilterTree, test: Test) -> str:
    """The tone of the instruction that tests."""
    return style.tone(view.tree.program.insns[test.pc].code)


def shortened(words: str) -> str:
    """A line that fits; the text has it whole."""
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def width_of(part: Placed) -> float:
    """The room that a part takes when its tests stand side by side."""
    if not part.below:
        return part.width
    return max(part.width, sum(map(width_of, part.below)) + GAPS[0] * (len(part.below) - 1))


def place(root: Placed, upright: bool) -> None:
    """Tests one after another, an operator over the middle of its first and last part."""
    edge = MARGIN

    def put(part: Placed, level: float) -> None:
        nonlocal edge
        deep = part.height if upright else part.width
        if upright:
            part.y = level + deep / 2
        else:
            part.x = level + deep / 2
        size = part.width if upright else part.height
        if not part.below:
            middle = edge + size / 2
            edge += size + GAPS[0 if upright else 1]
        for each in part.below:
            put(each, level + deep + STEP)
        if part.below:
            first, last = part.below[0], part.below[-1]
            middle = (first.x + last.x) / 2 if upright else (first.y + last.y) / 2
        if upright:
            part.x = middle
        else:
            part.y = middle
            edge = max(edge, part.y + part.height / 2 + GAPS[1])

    put(root, MARGIN)


def line_to(part: Placed, under: Placed, upright: bool) -> str:
    """The `d` of the line from an operator to a part of it."""
    if upright:
        start = part.x, part.y + part.height / 2
        return f"M{number(start[0])} {number(start[1])}" + curve(
            start, (under.x, under.y - under.height / 2)
        )
    x, y = part.x + part.width / 2, part.y
    end, down = under.x - under.width / 2, under.y
    middle = (x + end) / 2
    pairs = ((middle, y), (middle, down), (end, down))
    return f"M{number(x)} {number(y)}C" + " ".join(f"{number(a)} {number(b)}" for a, b in pairs)


def draw_operator(drawing: Svg, part: Placed) -> None:
    """A round box with a word."""
    drawing.add(
        "rect", x=part.x - part.width / 2, y=part.y - part.height / 2, width=part.width,
        height=part.height, rx=part.height / 2, fill="#ffffff", stroke=INK, stroke_width=1.4,
    )  # fmt: skip
    drawing.text(
        part.x, part.y + 4.5, part.lines[0], font_family=style.SANS, font_size=12,
        font_weight="bold", fill=INK, text_anchor="middle",
    )  # fmt: skip


def draw_leaf(drawing: Svg, part: Placed) -> None:
    """A box with a test's words, and under them what is calculated."""
    left, top = part.x - part.width / 2, part.y - part.height / 2
    drawing.add(
        "rect", x=left, y=top, width=part.width, height=part.height, rx=5, fill="#ffffff",
        stroke=RULE, stroke_width=1.2,
    )  # fmt: skip
    drawing.add("rect", x=left + 6, y=top + 6, width=4, height=part.height - 12, fill=part.tone)
    indent = ADVANCE * (len(part.pc) + 1) if part.pc else 0.0
    words = [(0.0, part.pc, PALE), *((indent, each, INK) for each in part.lines[:1])]
    words += [(indent, each, PALE) for each in part.lines[1:]]
    for at, (x, said, ink) in enumerate(words):
        drawing.text(
            left + 16 + x, top + 17 + 16 * max(at - 1, 0), said, font_family=style.MONO,
            font_size=12, fill=ink, style="white-space:pre",
        )  # fmt: skip
