"""A filter as a tree: And, Or and Not over tests, as the machines before BPF had it.

    And(Ether.type is IPv4, Or(IP.src is 192.0.2.1, IP.dst is 192.0.2.1))

Any program without a way back has one, but may need tests again and again that its
graph shares.  Passes, each on what the one before made:

    decisions   the program as its tests alone (`decisions`)
    merge       a test and the only one before it become one formula, while they
                share a way: And, Or
    split       where several lead to one, each gets its own
    grouped     tests that all want "no" stand under a Not

`Tree.accepts` is the program's verdict on every packet.  Operators look at their
parts from left to right and stop when they know; a test whose load lies past the
packet's end rejects the whole packet, when it is looked at.  A tree machine that
calculates all tests first has to keep such a test's outcome open.

Left out: what an accepting ret says beside "accept"; the smallest tree.

Source: McCanne & Jacobson 1993, sections 3.1 and 3.2.1, for trees against graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from bpfnb.analysis.trees.boolean import (
    And,
    Constant,
    Formula,
    Not,
    Or,
    both,
    grouped,
    holds,
    leaves,
    negated,
    operations,
)  # fmt: skip
from bpfnb.analysis.trees.decisions import Decision, Test, Way, decisions
from bpfnb.analysis.trees.implied import may_be, must_be
from bpfnb.analysis.trees.symbols import Ended, Seen
from bpfnb.cbpf.cfg import Cfg, graph
from bpfnb.cbpf.linux_loads import Notes
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

__all__ = ["And", "Constant", "Cost", "Formula", "Not", "Or", "Test", "Tree", "leaves", "tree"]

MOST = 250  # tests of a tree


@dataclass(frozen=True)
class Cost:
    """How many tests there are, and how many of them a packet meets.

    `most` on the longest way, `mean` when every test is a coin's toss.
    """

    tests: int
    most: int
    mean: Fraction


@dataclass(frozen=True)
class Tree:
    """A program's tree; `graph` is what the tests of its graph cost."""

    program: Program
    root: Formula
    graph: Cost

    @property
    def tests(self) -> int:
        """The leaves, all of which a tree machine evaluates on every packet."""
        return sum(1 for _ in leaves(self.root))

    @property
    def operations(self) -> int:
        """Boolean operations of two operands, and Nots: evaluated as well."""
        return operations(self.root)

    def accepts(self, data: bytes, wirelen: int | None = None, notes: Notes = None) -> bool:
        """Whether a packet is accepted: by the program, and so by its tree."""
        seen = Seen(data, len(data) if wirelen is None else wirelen, notes)
        try:
            return holds(self.root, seen)
        except Ended as end:
            return end.ret != 0


def tree(program: Program) -> Tree:
    """The tree of a legal program; BpfError where it has none that could be read.

    >>> icmp = Program.from_insns([(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23),
    ...                            (0x15, 0, 1, 1), (6, 0, 0, 96), (6, 0, 0, 0)])
    >>> [str(test) for test in leaves(tree(icmp).root)]
    ['P[12:2] == 0x800', 'P[23:1] == 1']
    """
    found, first = decisions(program)
    root = Constant(first) if isinstance(first, bool) else Merging.of(found, first).done()
    return Tree(program, grouped(root), cost(graph(program)))


@dataclass
class Node:
    """A formula and its two ways, while nodes are merged."""

    formula: Formula
    true: Way
    false: Way
    size: int = 1

    def leads_to(self) -> list[int]:
        """The nodes that follow."""
        return [way for way in (self.true, self.false) if not isinstance(way, bool)]


@dataclass
class Merging:
    """Nodes by number, all that lead to one before it; `sources` counts the ways to each."""

    nodes: dict[int, Node]
    first: int
    sources: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Sequence[Decision], first: int) -> Merging:
        """Begin with one node a test."""
        nodes = {}
        for at, each in enumerate(found):
            true, false = each.true, each.false
            if not each.test.op:  # it only loads; the other way is never taken
                false = true is False
            nodes[at] = Node(each.test, true, false)
        made = cls(nodes, first)
        for way in (first, *(way for node in nodes.values() for way in node.leads_to())):
            made.sources[way] = made.sources.get(way, 0) + 1
        return made

    def done(self) -> Formula:
        """Merge and split until one node is left."""
        while True:
            if sum(node.size for node in self.nodes.values()) > MOST:
                raise BpfError(
                    f"this program's tree would hold more than {MOST} tests: a tree repeats "
                    "what its graph shares"
                )
            self.merge()
            if len(self.nodes) == 1:
                (last,) = self.nodes.values()
                return last.formula if last.true is True else negated(last.formula)
            self.split()

    def merge(self) -> None:
        """Merge all that can be, the last nodes first."""
        changed = True
        while changed:
            changed = False
            for at in sorted(self.nodes, reverse=True):
                changed |= self.merge_into(at)

    def merge_into(self, at: int) -> bool:
        """Merge what follows into a node, as far as it goes; whether anything was."""
        changed = False
        while at in self.nodes and (self.step(at, True) or self.step(at, False) or self.ite(at)):
            changed = True
        return changed

    def alone(self, way: Way) -> Node | None:
        """The node that a way leads to, where it is the only way there."""
        return None if isinstance(way, bool) or self.sources[way] > 1 else self.nodes[way]

    def step(self, at: int, side: bool) -> bool:
        """Merge the node behind one way, where it shares the other."""
        node = self.nodes[at]
        way, other = (node.true, node.false) if side else (node.false, node.true)
        below = self.alone(way)
        if below is None:
            return False
        here = node.formula if side else negated(node.formula)  # true: on to `below`
        if same(below.false, other):
            ways, formula = (below.true, other), both(And, here, below.formula)
        elif same(below.true, other):
            ways, formula = (other, below.false), both(Or, negated(here), below.formula)
        else:
            return False
        self.drop(way, other)
        self.nodes[at] = Node(formula, *ways, node.size + below.size)
        return True

    def ite(self, at: int) -> bool:
        """Merge both nodes behind a test, where they have the same two ways."""
        node = self.nodes[at]
        yes, no = self.alone(node.true), self.alone(node.false)
        if yes is None or no is None or {*yes.leads_to()} != {*no.leads_to()}:
            return False
        if same(yes.true, no.true) and same(yes.false, no.false):
            other = no.formula
        elif same(yes.true, no.false) and same(yes.false, no.true):
            other = negated(no.formula)
        else:
            return False
        self.drop(node.true, yes.true)
        self.drop(node.false, yes.false)
        formula = either(node.formula, yes.formula, other)
        size = sum(1 for _ in leaves(formula))
        self.nodes[at] = Node(formula, yes.true, yes.false, size)
        return True

    def drop(self, gone: Way, shared: Way) -> None:
        """Forget a node that was merged; one way less leads to what was shared."""
        assert not isinstance(gone, bool)
        del self.nodes[gone], self.sources[gone]
        if not isinstance(shared, bool):
            self.sources[shared] -= 1

    def split(self) -> None:
        """Give each way to the smallest node at the end one of its own."""
        ends = [at for at, node in self.nodes.items()
                if self.sources[at] > 1 and not node.leads_to()]  # fmt: skip
        least = min(ends, key=lambda at: (self.nodes[at].size * (self.sources[at] - 1), -at))
        node, fresh = self.nodes[least], max(self.nodes)
        for other in list(self.nodes.values()):
            for side in ("true", "false"):
                if same(getattr(other, side), least) and self.sources[least] > 1:
                    fresh += 1
                    self.nodes[fresh] = Node(node.formula, node.true, node.false, node.size)
                    self.sources[fresh] = 1
                    self.sources[least] -= 1
                    setattr(other, side, fresh)


def same(one: Way, other: Way) -> bool:
    """Whether two ways lead to one place; True is not node 1."""
    return one is other or (one == other and type(one) is type(other))


def either(test: Formula, yes: Formula, no: Formula) -> Formula:
    """`yes` where the test holds, else `no`; the test stands twice only where it must.

    `no` needs no test before it when it cannot hold where the test does, and so on.
    """
    opposite = negated(test)
    if not may_be(no, test):
        return both(Or, both(And, test, yes), no)
    if must_be(no, test):
        return both(And, both(Or, opposite, yes), no)
    if not may_be(yes, opposite):
        return both(Or, both(And, opposite, no), yes)
    if must_be(yes, opposite):
        return both(And, both(Or, test, no), yes)
    return both(Or, both(And, test, yes), both(And, opposite, no))


def cost(cfg: Cfg) -> Cost:
    """The tests of a graph without ways back, and how many of them a packet meets."""
    most = [0] * len(cfg.blocks)
    mean = [Fraction(0)] * len(cfg.blocks)
    for block in reversed(cfg.blocks):
        ways = [edge.target for edge in block.edges]
        if ways:
            asks = len(ways) - 1
            most[block.index] = asks + max(most[way] for way in ways)
            mean[block.index] = asks + sum((mean[way] for way in ways), Fraction(0)) / len(ways)
    tests = sum(len(cfg.blocks[index].edges) == 2 for index in cfg.reachable)
    return Cost(tests, most[0], mean[0])
