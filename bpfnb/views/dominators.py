"""The control flow graph, asked which tests every packet that comes to a block has passed.

A block dominates another when every path to the other passes it.  On top of each
box stands the last test that all its packets have passed, and which way: follow it
up, and you have all of them.  Thick is an edge that is the only way into its block;
where thin ones meet, packets of several ways come together and what was asked since
they parted is forgotten.

The text twin has each block's tests one by one, and the tree that dominators make.
Left out: what the tests say about the packet (`analysis.explain`).

Source: R. Prosser, *Applications of Boolean Matrices to the Analysis of Flow
Diagrams*, 1959, for the word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bpfnb.cbpf.cfg import BasicBlock, Edge
from bpfnb.views import style
from bpfnb.views.cfg import STRONG, Graph
from bpfnb.views.edges import PLAIN

__all__ = ["Dominators", "Passed"]


@dataclass(frozen=True)
class Passed:
    """A test that every packet of a block has passed: its pc, and "true", "false" or "either"."""

    pc: int
    way: str

    def __str__(self) -> str:
        return f"({self.pc:03d}) {self.way}" + (" way" if self.way == "either" else "")


@dataclass(frozen=True)
class Dominators(Graph):
    """The graph with what dominates each block; counts and paths are left to `Graph`."""

    def passed(self, index: int) -> tuple[Passed, ...]:
        """The tests that every packet that comes to a block has passed, the first one first."""
        found = []
        for above, below in pairwise(self.cfg.chain(index)):
            if len(self.cfg.blocks[above].edges) == 2:
                only = self.cfg.only_way(below)
                found.append(
                    Passed(self.cfg.blocks[above].stop - 1, only.kind if only else "either")
                )
        return tuple(found)

    def headline(self) -> str:
        """The question, and how many blocks it is answered for."""
        blocks = style.plural(len(self.cfg.blocks), "basic block")
        question = "which tests has every packet that comes here passed?"
        return self.caption or f"{blocks}: {question}"

    @property
    def legend(self) -> str:
        """How the picture is read."""
        return (
            "on top of a box: the last of these tests, and its way; thick: the only way in; "
            "solid: true; dashed: false"
        )

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        return f"control flow graph with dominators: {self.headline()}"

    def note(self, block: BasicBlock) -> str:
        """The last test that every packet here has passed."""
        if block.index not in self.cfg.reachable:
            return ""
        last = self.passed(block.index)[-1:]
        return f"after {last[0]}" if last else "every packet"

    def stroke(self, here: Sequence[Edge]) -> tuple[float, str]:
        """Thick where it is the only way in."""
        return (
            (2.6, STRONG) if any(self.cfg.only_way(e.target) == e for e in here) else (1.2, PLAIN)
        )

    def text(self) -> str:
        """The blocks, each with the tests passed, then the tree."""
        found = [super().text(), "", "passed by every packet that comes there:"]
        for block in self.cfg.blocks:
            tests = "; ".join(map(str, self.passed(block.index))) or "no test"
            if block.index in self.cfg.reachable:
                found.append(f"  block {block.index}: {tests}")
        return "\n".join([*found, "", "the tree of dominators:", *self.tree()])

    def tree(self) -> Iterator[str]:
        """A line for each reachable block, further in than the one that dominates it."""
        below: dict[int | None, list[int]] = {}
        for index in sorted(self.cfg.reachable):
            below.setdefault(self.cfg.immediate_dominators[index], []).append(index)
        work = [(index, 1) for index in reversed(below.get(None, []))]
        while work:
            index, depth = work.pop()
            yield f"{'  ' * depth}block {index}"
            work += [(each, depth + 1) for each in reversed(below.get(index, []))]
