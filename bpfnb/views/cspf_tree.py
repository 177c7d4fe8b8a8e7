"""The stack machine's tree, and what one filter costs as a tree and as a graph.

`StackTree` draws a CSPF program as the expression that its stack calculates: operators
round, comparisons in boxes, of 16 bits each, as the machine has them.

`Models` has one filter in both models: its tree and its control flow graph beside each
other, and what CSPF, calculating everything, CSPF with short-circuit operators, and BPF did
on packets.  A row counts instructions executed, predicates evaluated and reads of the packet.

Left out: how a tree becomes a program (`analysis.trees.stack_code`, `analysis.trees.jump_code`).

Source: McCanne & Jacobson 1993, figures 4, 5, 6 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from bpfnb.analysis.trees.boolean import Constant, Formula, leaves, operations
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.stack_tree import formula
from bpfnb.analysis.trees.symbols import Calculation, Load, Number
from bpfnb.cbpf import trace as bpf_trace
from bpfnb.cbpf.cspf import CspfProgram, trace
from bpfnb.cbpf.opcodes import BY_CODE, Class
from bpfnb.cbpf.program import Program
from bpfnb.packets.packet import PacketBatch
from bpfnb.views import style
from bpfnb.views.boxes import ADVANCE
from bpfnb.views.cfg import Graph, framed, twin
from bpfnb.views.cspf import plain_table
from bpfnb.views.tree import LEAF, PILL, FilterTree, Placed, below, drawn, name, shortened
from bpfnb.views.view import Picture, View

__all__ = ["Cost", "Models", "StackTree"]

MOST = 10_000  # packets that are run
FLEX = "display:flex;flex-wrap:wrap;gap:8px 28px;align-items:flex-start"
SIDE = "flex:1 1 386px;min-width:0;overflow-x:auto"  # two fit from 800 pixels on
HEADS = ("machine", "instructions", "executed", "at most", "predicates", "packet reads")


@dataclass(frozen=True)
class StackTree(Picture):
    """A CSPF program as a tree; BpfError where it has none that could be read."""

    program: CspfProgram
    root: Formula

    @classmethod
    def of(cls, program: CspfProgram) -> StackTree:
        """The tree of a program."""
        return cls(program, formula(program))

    def headline(self) -> str:
        """What it is made of."""
        if isinstance(self.root, Constant):
            return f"every packet is {'accepted' if self.root.accepted else 'rejected'}: no tests"
        tests = style.plural(sum(1 for _ in leaves(self.root)), "comparison")
        joined = style.plural(operations(self.root), "operation")
        early = sum(insn.operator.ends is not None for insn in self.program.insns)
        all_done = "all of it is calculated for each packet"
        if early:
            all_done = f"{early} of the comparisons can end it early"
        return f"the tree: {tests} of 16 bits and {joined}; {all_done}"

    def text(self) -> str:
        """A line for each operator and comparison, further in than its operator."""
        return "\n".join([self.headline(), "", *self.rows(self.root, 0)])

    def rows(self, part: Formula, depth: int) -> Iterator[str]:
        """The lines of a part."""
        indent = "    " * depth
        if isinstance(part, (Test, Constant)):
            place = f"({part.pc:02d}) " if isinstance(part, Test) else ""
            yield f"{indent}{place}{'   '.join(said(part))}"
            return
        yield f"{indent}{name(part)}"
        for each in below(part):
            yield from self.rows(each, depth + 1)

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        return f"the stack program as a tree: {self.headline()}"

    @property
    def svg(self) -> str:
        """The picture as a document of its own."""
        return drawn(placed(self.root), self.alt)

    def html(self) -> str:
        """The picture, and its twin in text folded under it."""
        head = style.caption(f"<b>{escape(self.headline())}</b>")
        return style.scroll(head + framed(self.svg, self.alt)) + twin(self.text())


def said(part: Test | Constant) -> tuple[str, ...]:
    """A leaf's words: what is compared, and the packet's word that is read for it."""
    if isinstance(part, Constant):
        return ("accept" if part.accepted else "reject",)
    symbol = part.left
    while isinstance(symbol, Calculation) and isinstance(symbol.right, Number):
        symbol = symbol.left
    plain = isinstance(symbol, Load) and symbol.index is None
    return (str(part), f"word {symbol.k // 2}") if plain else (str(part),)  # type: ignore[union-attr]


def placed(part: Formula) -> Placed:
    """What is to be drawn, without places."""
    if isinstance(part, (Test, Constant)):
        lines = tuple(map(shortened, said(part)))
        pc = str(part.pc) if isinstance(part, Test) else ""
        tone = style.TONES[Class.JMP] if isinstance(part, Test) else style.GREY
        longest = max(map(len, lines)) + (len(pc) + 1 if pc else 0)
        height = LEAF if len(lines) > 1 else LEAF - 16
        return Placed(lines, pc, tone, 26 + ADVANCE * longest, height)
    return Placed((name(part),), "", "", *PILL, [placed(each) for each in below(part)])


@dataclass(frozen=True)
class Cost:
    """What a program did on packets: one number a packet, in each field."""

    machine: str
    instructions: int
    executed: tuple[int, ...]
    predicates: tuple[int, ...]
    reads: tuple[int, ...]
    accepted: tuple[bool, ...] = field(repr=False, default=())

    @classmethod
    def of_cspf(cls, machine: str, program: CspfProgram, packets: Iterable[bytes]) -> Cost:
        """Of a stack program."""
        runs = [trace(program, data) for data in packets]
        return cls(
            machine, len(program), tuple(len(run.steps) for run in runs),
            tuple(run.comparisons for run in runs), tuple(run.reads for run in runs),
            tuple(run.accepted for run in runs),
        )  # fmt: skip

    @classmethod
    def of_bpf(cls, machine: str, program: Program, batch: Sequence[object]) -> Cost:
        """Of a BPF program."""
        runs = [
            bpf_trace.trace(program, each.data, each.wirelen, each.ancillary)  # type: ignore[attr-defined]
            for each in batch
        ]
        return cls(
            machine, len(program), tuple(len(run.steps) for run in runs),
            tuple(sum(asks(step.insn.code) and step.insn.jt != step.insn.jf for step in run.steps)
                  for run in runs),
            tuple(sum(len(step.reads) for step in run.steps) for run in runs),
            tuple(bool(run.ret) for run in runs),
        )  # fmt: skip

    def cells(self) -> list[str]:
        """The row: means over all packets."""
        return [
            self.machine, str(self.instructions), mean(self.executed),
            str(max(self.executed, default=0)), mean(self.predicates), mean(self.reads),
        ]  # fmt: skip


def asks(code: int) -> bool:
    """Whether an opcode is a conditional jump."""
    row = BY_CODE.get(code)
    return row is not None and row.form.jumps


def mean(numbers: Sequence[int]) -> str:
    """A mean with two decimals; "" of nothing."""
    return f"{sum(numbers) / len(numbers):.2f}" if numbers else ""


@dataclass(frozen=True)
class Models(View):
    """One filter in both models; `costs` are empty where there were no packets.

    `lacking` says why there is no stack program, where there is none.
    """

    tree: FilterTree
    graph: Graph
    costs: tuple[Cost, ...] = ()
    packets: int = 0
    left_out: int = 0
    lacking: str = ""

    @classmethod
    def of(
        cls,
        tree: FilterTree,
        graph: Graph,
        make: Callable[[bool], CspfProgram],
        batch: PacketBatch | None,
        lacking: str = "",
    ) -> Models:
        """Run all three on a batch; `make` gives the stack program, short-circuit or not."""
        if batch is None:
            return cls(tree, graph, lacking=lacking)
        some = [batch[at] for at in range(min(len(batch), MOST))]
        costs = [] if lacking else [
            Cost.of_cspf(said, make(short), (each.data for each in some))
            for short, said in ((False, "CSPF, everything"), (True, "CSPF, short-circuit"))
        ]  # fmt: skip
        costs.append(Cost.of_bpf("BPF", graph.program, some))
        return cls(tree, graph, tuple(costs), len(some), len(batch) - len(some), lacking)

    @property
    def differing(self) -> int:
        """On how many packets the verdicts are not the same."""
        rows = zip(*(cost.accepted for cost in self.costs), strict=True)
        return sum(len(set(row)) > 1 for row in rows)

    def headline(self) -> str:
        """First the answer."""
        if not self.costs:
            return self.tree.headline()
        first, last = (sum(each.executed) for each in (self.costs[0], self.costs[-1]))
        on = style.plural(self.packets, "packet")
        if self.lacking or not last:
            return f"on {on}"
        return (
            f"on {on} CSPF executed {first / last:.2f} times as many instructions as BPF, "
            "each machine its own"
        )

    def notes(self) -> list[str]:
        """What else there is to say."""
        said = [self.lacking] if self.lacking else []
        if self.differing:
            said.append(
                f"✗ the verdicts differ on {style.plural(self.differing, 'packet')}: a tree "
                "machine rejects packets that lack a word it names"
            )
        elif len(self.costs) > 1:
            said.append("✓ the verdicts are the same on all of them")
        if self.left_out:
            said.append(f"{style.plural(self.left_out, 'packet')} behind these not run")
        return said

    def rows(self) -> list[list[str]]:
        """A row a machine."""
        return [cost.cells() for cost in self.costs]

    def text(self) -> str:
        """The numbers, then tree and graph."""
        numbers = table(self.rows()) if self.costs else []
        head = [self.headline()] if self.costs else []
        said = "\n".join([*head, *numbers, *self.notes()])
        return "\n\n".join([*([said] if said else []), self.tree.text(), self.graph.text()])

    def html(self) -> str:
        """The pictures beside each other, the numbers under them."""
        sides = [f'<div style="{SIDE}">{part.html()}</div>' for part in (self.tree, self.graph)]
        html = f'<div style="{FLEX}">{"".join(sides)}</div>'
        if self.costs:
            html += style.caption(f"<b>{escape(self.headline())}</b>")
            rows = [
                style.row(
                    style.cell(escape(words), "right" if at else "left")
                    for at, words in enumerate(row)
                )
                for row in self.rows()
            ]
            heads = style.heads((head, "right" if at else "left") for at, head in enumerate(HEADS))
            html += style.scroll(style.table(rows, "machine", heads))
        for each in self.notes():
            shown = escape(each)
            for shape, colour in (("✓", style.ACCEPT), ("✗", style.REJECT)):
                shown = shown.replace(shape, f'<b style="color:{colour}">{shape}</b>')
            html += style.caption(shown)
        return html


def table(rows: list[list[str]]) -> list[str]:
    """The numbers as text, on the right."""
    width = max(len(row[0]) for row in [list(HEADS), *rows])
    lines = plain_table(HEADS[:1], [[row[0]] for row in rows])
    widths = [max(len(row[at]) for row in [list(HEADS), *rows]) for at in range(len(HEADS))]
    return [
        f"{line:<{width}}  "
        + "  ".join(f"{e:>{w}}" for e, w in zip(row[1:], widths[1:], strict=True))
        for line, row in zip(lines, [list(HEADS), *rows], strict=True)
    ]
