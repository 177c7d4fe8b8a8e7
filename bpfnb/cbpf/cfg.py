"""The program as a graph: basic blocks, edges, what is reachable, dominators.

A basic block is a run of instructions entered only at its first and left only
after its last.  Jumps out of the program are left out as edges: the checker
says what is wrong with them.

Source: McCanne & Jacobson 1993, section 3.2.1, for the graph; K. Cooper, T. Harvey,
K. Kennedy, *A Simple, Fast Dominance Algorithm*, 2001, for dominators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Literal

from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program

__all__ = ["BasicBlock", "Cfg", "Edge", "graph", "successors"]

Kind = Literal["true", "false", "always", "next"]


@dataclass(frozen=True)
class Edge:
    """From block `source` to block `target`.

    `kind` is "true" or "false" for the two ways out of a test, "always" for
    a ja and for a test both of whose ways lead to one place, "next" where one
    block runs on into the following one.
    """

    source: int
    target: int
    kind: Kind


@dataclass(frozen=True)
class BasicBlock:
    """Instructions `start` to `stop` - 1, and the edges that leave."""

    index: int
    start: int
    stop: int
    edges: tuple[Edge, ...] = ()

    @property
    def pcs(self) -> range:
        """The instructions' indices."""
        return range(self.start, self.stop)


def successors(insns: Sequence[Insn], pc: int) -> tuple[tuple[int, Kind], ...]:
    """Where control can go after instruction `pc`: absolute targets, in the program.

    >>> successors([Insn(0x15, 0, 1, 0), Insn(6, 0, 0, 1), Insn(6, 0, 0, 0)], 0)
    ((1, 'true'), (2, 'false'))
    """
    insn = insns[pc]
    row = BY_CODE.get(insn.code)
    ways: list[tuple[int, Kind]]
    if insn.code & 0x07 == Class.RET.value:
        ways = []
    elif row is not None and row.form.jumps and insn.jt == insn.jf:
        ways = [(pc + 1 + insn.jt, "always")]
    elif row is not None and row.form.jumps:
        ways = [(pc + 1 + insn.jt, "true"), (pc + 1 + insn.jf, "false")]
    elif row is not None and row.form is Form.TARGET:
        ways = [((pc + 1 + insn.k) & 0xFFFFFFFF, "always")]
    else:
        ways = [(pc + 1, "next")]
    return tuple((target, kind) for target, kind in ways if target < len(insns))


@dataclass(frozen=True)
class Cfg:
    """The graph of one program.  Block 0 is the entry."""

    program: Program
    blocks: tuple[BasicBlock, ...]

    def block_of(self, pc: int) -> BasicBlock:
        """The block that holds instruction `pc`."""
        return next(block for block in self.blocks if pc in block.pcs)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, in the order of their source block."""
        return tuple(edge for block in self.blocks for edge in block.edges)

    @cached_property
    def reachable(self) -> frozenset[int]:
        """Indices of the blocks that some path from the entry reaches."""
        seen: set[int] = set()
        work = [0] if self.blocks else []
        while work:
            index = work.pop()
            if index not in seen:
                seen.add(index)
                work += [edge.target for edge in self.blocks[index].edges]
        return frozenset(seen)

    @cached_property
    def immediate_dominators(self) -> tuple[int | None, ...]:
        """For each block the last other one that every path to it passes.

        None for the entry and for an unreachable block.
        """
        parent = {0: 0} if self.blocks else {}
        changed = True
        while changed:
            changed = False
            for index in list(self.order)[1:]:
                known = [source for source in self.predecessors[index] if source in parent]
                mine = reduce(lambda one, two: meeting(one, two, parent, self.order), known)
                changed |= parent.get(index) != mine
                parent[index] = mine
        return tuple(parent.get(i) if i else None for i in range(len(self.blocks)))

    @cached_property
    def dominators(self) -> tuple[frozenset[int], ...]:
        """For each block the blocks that every path to it passes, itself included.

        Empty for an unreachable block.
        """
        return tuple(
            frozenset(self.chain(block.index)) if block.index in self.reachable else frozenset()
            for block in self.blocks
        )

    def chain(self, index: int) -> tuple[int, ...]:
        """The blocks that every path to one passes: from the entry to the block itself."""
        found = [index]
        while (above := self.immediate_dominators[found[-1]]) is not None:
            found.append(above)
        return tuple(reversed(found))

    def only_way(self, index: int) -> Edge | None:
        """The one edge over which every path first enters a block; None where there are more."""
        ways = [
            edge
            for source in dict.fromkeys(self.predecessors[index])
            if source in self.reachable and not self.dominates(index, source)
            for edge in self.blocks[source].edges
            if edge.target == index
        ]
        return ways[0] if len(ways) == 1 else None

    def dominates(self, index: int, other: int) -> bool:
        """Whether every path to the other block, a reachable one, passes this one."""
        above: int | None = other
        while above is not None and self.order[above] > self.order[index]:
            above = self.immediate_dominators[above]
        return above == index

    @cached_property
    def order(self) -> dict[int, int]:
        """The reachable blocks, each with its place: all that lead to it stand before it.

        Ways back are not counted: that is a walk's postorder, reversed.
        """
        ended: list[int] = []
        seen: set[int] = set()
        work = [(0, False)] if self.blocks else []
        while work:
            index, done = work.pop()
            if done:
                ended.append(index)
            elif index not in seen:
                seen.add(index)
                work.append((index, True))
                work += [(edge.target, False) for edge in reversed(self.blocks[index].edges)]
        return {index: place for place, index in enumerate(reversed(ended))}

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """For each block the blocks with an edge to it."""
        sources: list[list[int]] = [[] for _ in self.blocks]
        for edge in self.edges:
            sources[edge.target].append(edge.source)
        return tuple(tuple(each) for each in sources)

    def paths(self, limit: int = 10_000) -> Iterator[tuple[int, ...]]:
        """Paths of block indices from the entry to an end, true branch first.

        At most `limit` of them: their number can double with every test.
        """
        work: list[tuple[int, ...]] = [(0,)] if self.blocks else []
        given = 0
        while work and given < limit:
            path = work.pop()
            onward = [e.target for e in self.blocks[path[-1]].edges if e.target not in path]
            if onward:
                work += [(*path, target) for target in reversed(onward)]
            else:
                given += 1
                yield path


def meeting(one: int, two: int, parent: Mapping[int, int], order: Mapping[int, int]) -> int:
    """The last block that dominates both, as far as the parents are known."""
    while one != two:
        if order[one] < order[two]:
            one, two = two, one
        one = parent[one]
    return one


def graph(program: Program) -> Cfg:
    """Cut a program into basic blocks.

    >>> test_and_two_ends = Program.from_insns([(0x15, 0, 1, 0), (6, 0, 0, 1), (6, 0, 0, 0)])
    >>> [block.pcs for block in graph(test_and_two_ends).blocks]
    [range(0, 1), range(1, 2), range(2, 3)]
    """
    insns = program.insns
    starts = {0}
    for pc in range(len(insns)):
        ways = successors(insns, pc)
        if [kind for _, kind in ways] != ["next"]:
            starts |= {pc + 1, *(target for target, _ in ways)}
    bounds = sorted(start for start in starts if start < len(insns))
    index_at = {start: index for index, start in enumerate(bounds)}
    blocks = []
    for index, (start, stop) in enumerate(pairwise([*bounds, len(insns)])):
        ways = successors(insns, stop - 1)
        edges = tuple(Edge(index, index_at[target], kind) for target, kind in ways)
        blocks.append(BasicBlock(index, start, stop, edges))
    return Cfg(program, tuple(blocks))
