"""libpcap's optimiser off and on: the two programs of one expression, side by side.

First come the numbers: how many instructions, how long the longest way; with packets,
how many instructions ran for each, and whether the verdicts are the same.  In each
listing a sign and a bar mark what only this one has; the two graphs stand under them.
Where there is no room for two columns they stand one above the other.

Instructions are compared as they are written, without their targets, in order.  Left
out: which of libpcap's passes did what; packets behind the first 10,000.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from html import escape
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

from bpfnb.analysis.cost import cost
from bpfnb.cbpf.cfg import graph
from bpfnb.cbpf.disasm import line, operand
from bpfnb.cbpf.machine import follow
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.errors import brief
from bpfnb.views import style
from bpfnb.views.cfg import Graph, size_of, twin
from bpfnb.views.view import View

if TYPE_CHECKING:
    from bpfnb.packets.packet import PacketBatch

__all__ = ["Measured", "Optimizer"]

LEGEND = "− stands only before, + only after: compared in order, without targets"
MOST = 10_000  # packets that are run
LONG, TALL = 60, 1200  # lines from which a listing scrolls, and how tall it is then
BUDGET = 100_000  # steps on one of them: an unoptimised program may loop
FLEX = "display:flex;flex-wrap:wrap;gap:8px 28px;align-items:flex-start"
SIDE = "flex:1 1 386px;min-width:0;overflow-x:auto"  # two fit from 800 pixels on


@dataclass(frozen=True)
class Measured:
    """Both programs on packets: how many instructions ran in all, and where verdicts differ.

    `differing` are the first packets' numbers, from 1, of `differences` in all.
    """

    packets: int
    before: int
    after: int
    differences: int = 0
    differing: tuple[int, ...] = ()
    left_out: int = 0

    @classmethod
    def of(cls, before: Program, after: Program, batch: PacketBatch) -> Measured:
        """Run both on the first packets."""
        ran: tuple[list[int], list[int]] = ([], [])
        differing: list[int] = []
        for number, packet in enumerate(islice(batch, MOST), 1):
            rets = []
            for program, counts in zip((before, after), ran, strict=True):
                path, ret = follow(program, packet.data, packet.wirelen, packet.ancillary, BUDGET)
                counts.append(len(path))
                rets.append(ret)
            if rets[0] != rets[1]:
                differing.append(number)
        done, totals = len(ran[0]), [sum(counts) for counts in ran]
        return cls(
            done, totals[0], totals[1], len(differing), tuple(differing[:5]), len(batch) - done
        )

    def sentence(self) -> str:
        """How much ran for a packet, and whether the verdicts are the same."""
        if not self.packets:
            return "no packets to run on"
        said = style.plural(self.packets, "packet")
        if self.left_out:
            said = f"the first {self.packets:,} of {self.packets + self.left_out:,} packets"
        before, after = self.before / self.packets, self.after / self.packets
        ran = f"on {said}: {before:.1f} instructions each became {after:.1f}"
        if not self.differences:
            return f"{ran}; ✓ the same verdict on all"
        first = ", ".join(map(str, self.differing))
        more = ", …" if self.differences > len(self.differing) else ""
        return (
            f"{ran}; ✗ the verdicts differ on {style.plural(self.differences, 'packet')}: "
            f"{first}{more}"
        )


@dataclass(frozen=True)
class Optimizer(View):
    """An expression's program without and with the optimiser; `measured` has its packets."""

    before: Program
    after: Program
    expression: str = ""
    measured: Measured | None = None

    @cached_property
    def kept(self) -> tuple[frozenset[int], frozenset[int]]:
        """The pcs of instructions that both have, in either."""
        words = [[bare(program, pc) for pc in range(len(program))] for program in self.programs]
        matcher = SequenceMatcher(None, words[0], words[1], autojunk=False)
        left: set[int] = set()
        right: set[int] = set()
        for a, b, size in matcher.get_matching_blocks():
            left.update(range(a, a + size))
            right.update(range(b, b + size))
        return frozenset(left), frozenset(right)

    @property
    def programs(self) -> tuple[Program, Program]:
        """Before and after."""
        return self.before, self.after

    def headline(self) -> str:
        """The numbers first."""
        size = style.plural(len(self.before), "instruction")
        if self.before == self.after:
            return f"the optimiser changed nothing: {size}, longest way {way(self.before)}"
        return (
            f"{size} became {len(self.after):,}; longest way {way(self.before)} → {way(self.after)}"
        )

    def text(self) -> str:
        """Both listings in columns."""
        titles = self.titles()
        sides = [list(self.lines(at)) for at in (0, 1)]
        width = max(map(len, [titles[0], *sides[0]]))
        rows = [(titles[0], titles[1]), *zip_longest(*sides, fillvalue="")]
        said = [self.headline(), *([self.measured.sentence()] if self.measured else [])]
        said += [LEGEND, ""] if self.before != self.after else [""]
        return "\n".join([*said, *(f"{a:<{width}}   {b}".rstrip() for a, b in rows)])

    def titles(self) -> tuple[str, str]:
        """What stands over the listings."""
        before, after = (style.plural(len(each), "instruction") for each in self.programs)
        return f"optimiser off: {before}", f"optimiser on: {after}"

    def lines(self, side: int) -> Iterator[str]:
        """One listing, each line with its sign."""
        program, kept, sign = self.programs[side], self.kept[side], "−+"[side]
        for pc, insn in enumerate(program.insns):
            words = line(insn, pc).replace("\t", " ")
            yield f"{' ' if pc in kept else sign} ({pc:03d}) {words}".rstrip()

    def html(self) -> str:
        """Numbers, listings, graphs; the text folded under them."""
        said = f"<b>{escape(self.headline())}</b>"
        if self.expression:
            said += f" &nbsp; {style.muted(escape(brief(self.expression)))}"
        if self.measured:
            said += f"<br>{signed(self.measured.sentence())}"
        if self.before != self.after:
            said += f"<br>{style.muted(LEGEND)}"
        listings = beside(self.listing(at) for at in (0, 1))
        graphs = (
            '<details><summary style="cursor:pointer;font-size:13px;line-height:24px">as graphs'
            f"</summary>{beside(self.picture(at) for at in (0, 1))}</details>"
        )
        return style.caption(said) + listings + graphs + twin(self.text())

    def listing(self, side: int) -> str:
        """One listing; a bar beside what only this one has."""
        rows, kept = [], self.kept[side]
        for pc, words in enumerate(self.lines(side)):
            bar = "transparent" if pc in kept else style.PATH
            rows.append(
                f'<div style="border-left:4px solid {bar};padding-left:8px">{escape(words)}</div>'
            )
        title = style.caption(escape(self.titles()[side]))
        tall = f"max-height:{TALL}px;overflow-y:auto;" if len(rows) > LONG else ""
        return (
            f'{title}<div style="{tall}font-family:{style.MONO};font-size:13px;line-height:20px;'
            f'white-space:pre">{"".join(rows)}</div>'
        )

    def picture(self, side: int) -> str:
        """One graph, as wide as there is room."""
        shown = Graph(self.programs[side], caption=self.titles()[side])
        drawing = shown.svg
        image = style.image(drawing, shown.alt, *size_of(drawing), "max-width:100%;height:auto")
        return style.caption(escape(self.titles()[side])) + image


def beside(columns: Iterable[str]) -> str:
    """Two columns where there is room, else one above the other."""
    inner = "".join(f'<div style="{SIDE}">{each}</div>' for each in columns)
    return f'<div style="{FLEX}">{inner}</div>'


def signed(sentence: str) -> str:
    """A sentence whose ✓ or ✗ has its tone."""
    words = escape(sentence)
    for sign, tone in (("✓", style.ACCEPT), ("✗", style.REJECT)):
        words = words.replace(sign, f'<b style="color:{tone}">{sign}</b>')
    return words


def bare(program: Program, pc: int) -> str:
    """An instruction without its targets."""
    insn = program.insns[pc]
    row = BY_CODE.get(insn.code)
    return line(insn, pc) if row is None else f"{row.mnemonic} {operand(insn, pc)}"


def way(program: Program) -> str:
    """The longest way in instructions, in words.

    >>> way(Program.from_insns([(0x15, 1, 0, 0), (6, 0, 0, 1), (6, 0, 0, 0)]))
    '2'
    """
    if any(edge.target <= edge.source for edge in graph(program).edges):
        return "without end"
    return f"{cost(program).steps:,}"
