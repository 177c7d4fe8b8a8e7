"""The program as a graph: basic blocks, edges, what is reachable, dominators.

A basic block is a run of instructions entered only at its first and left only
after its last.  Jumps out of the program are left out as edges: the checker
says what is wrong with them.

Source: McCanne & Jacobson 1993, section 3.2.1, for the graph; dominators by
the plain fixed-point definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    def dominators(self) -> tuple[frozenset[int], ...]:
        """For each block the blocks that every path to it passes, itself included.

        Empty for an unreachable block.
        """
        everything = frozenset(self.reachable)
        found = [
            everything if i in self.reachable else frozenset() for i in range(len(self.blocks))
        ]
        sources = self.predecessors
        changed = True
        while changed:
            changed = False
            for index in sorted(self.reachable):
                ways = [found[s] for s in sources[index] if s in self.reachable]
                through = frozenset.intersection(*ways) if ways and index else frozenset()
                mine = through | {index}
                changed |= mine != found[index]
                found[index] = mine
        return tuple(found)

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
