"""A formula of tests -> a graph of them that asks nothing twice.

    Node(Test(P[12:2] == 0x800), true=1, false=False)

Passes, each on what the one before made:

    wired      each test once, its two ways leading on to tests or to a verdict
    threaded   a way that leads to a test whose outcome is known goes on to what follows it
    merged     tests that ask the same and lead to the same become one
    reached    without those that no packet comes to

Left out: instructions (`jump_code`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.implied import Facts
from bpfnb.analysis.trees.symbols import Calculation, Load, Note, Symbol, parts

__all__ = ["Node", "Way", "can_end", "asked_graph", "used"]

Way = int | bool


@dataclass(frozen=True)
class Node:
    """A test, and where it leads: to a node of a greater number, or to a verdict."""

    test: Test
    true: Way
    false: Way


def asked_graph(formula: Formula) -> tuple[dict[int, Node], Way]:
    """The graph of a formula: its nodes in an order of their ways, and where it begins.

    >>> from bpfnb.analysis.trees.boolean import Or
    >>> from bpfnb.analysis.trees.symbols import Number
    >>> ip, arp = (Test(0, "==", Load(12, 2), Number(k)) for k in (0x800, 0x806))
    >>> nodes, start = asked_graph(And((Or((ip, arp)), ip)))
    >>> [(str(node.test), node.true, node.false) for node in nodes.values()]
    [('P[12:2] == 0x800', True, False)]
    """
    nodes: list[Node] = []
    first = wired(formula, True, False, nodes)
    last = len(nodes) - 1

    def turned(way: Way) -> Way:
        return way if isinstance(way, bool) else last - way

    made = {
        at: Node(node.test, turned(node.true), turned(node.false))
        for at, node in enumerate(reversed(nodes))
    }
    start = turned(first)
    read = threaded(made, start)
    start = merged(made, start, read)
    return reached(made, start), start


def wired(formula: Formula, true: Way, false: Way, nodes: list[Node]) -> Way:
    """Where a formula begins; its last test comes first into `nodes`."""
    if isinstance(formula, Constant):
        return true if formula.accepted else false
    if isinstance(formula, Not):
        return wired(formula.part, false, true, nodes)
    if isinstance(formula, Test):
        if not formula.wanted:
            true, false = false, true
        if not formula.op:  # it only loads: the other way is never taken
            false = true
        nodes.append(Node(replace(formula, wanted=True), true, false))
        return len(nodes) - 1
    every = isinstance(formula, And)
    onward = true if every else false
    for part in reversed(formula.parts):
        ways = (onward, false) if every else (true, onward)
        onward = wired(part, *ways, nodes)
    return onward


def threaded(nodes: dict[int, Node], start: Way) -> set[int]:
    """Lead ways past tests whose outcome is fixed there; which nodes read nothing new."""
    known: dict[int, list[Facts]] = {}
    nothing_new = set()

    def skip(way: Way, facts: Facts) -> Way:
        while not isinstance(way, bool):
            node = nodes[way]
            if not reads(node.test) <= facts.read:
                return way
            held = facts.decide(node.test) if node.test.op else True
            if held is None:
                return way
            way = node.true if held else node.false
        return way

    if not isinstance(start, bool):
        known[start] = [Facts()]
    for at in sorted(nodes):
        if at not in known:
            continue
        here, node = met(known[at]), nodes[at]
        if reads(node.test) <= here.read:
            nothing_new.add(at)
        yes = here.learn(node.test) or here
        no = here.learn(node.test.negated()) or here
        node = nodes[at] = Node(node.test, skip(node.true, yes), skip(node.false, no))
        for way, facts in zip(used(node), (yes, no), strict=False):
            if not isinstance(way, bool):
                known.setdefault(way, []).append(facts)
    return nothing_new


def reads(test: Test) -> frozenset[Symbol]:
    """What a test reads of the packet, or asks of the kernel."""
    within = (p for each in (*test.needs, test.left, test.right) for p in parts(each))
    return frozenset(each for each in within if can_end(each))


def can_end(symbol: Symbol) -> bool:
    """Whether it can end the run."""
    division = isinstance(symbol, Calculation) and symbol.op in ("div", "mod")
    return isinstance(symbol, (Load, Note)) or division


def met(ways: list[Facts]) -> Facts:
    """What is known on all of several ways."""
    first, *rest = ways
    values = {s: v for s, v in first.values.items() if all(o.values.get(s) == v for o in rest)}
    bits = {b: v for b, v in first.bits.items() if all(o.bits.get(b) == v for o in rest)}
    return Facts(values, bits, first.read.intersection(*(other.read for other in rest)))


def merged(nodes: dict[int, Node], start: Way, nothing_new: set[int]) -> Way:
    """One in place of equal ones, the last first; none where both ways are one."""
    same: dict[tuple[object, ...], Way] = {}
    place: dict[int, Way] = {}

    def now(way: Way) -> Way:
        return way if isinstance(way, bool) else place[way]

    for at in sorted(nodes, reverse=True):
        test = nodes[at].test
        node = nodes[at] = Node(test, now(nodes[at].true), now(nodes[at].false))
        if at in nothing_new and len({told(way) for way in used(node)}) == 1:
            place[at] = node.true
            continue
        key = (test.op, test.left, test.right, test.needs, told(node.true), told(node.false))
        place[at] = same.setdefault(key, at)
    return now(start)


def told(way: Way) -> tuple[bool, int]:
    """A way that True and 1 are not the same in."""
    return isinstance(way, bool), int(way)


def reached(nodes: dict[int, Node], start: Way) -> dict[int, Node]:
    """The nodes that some packet may come to."""
    found: set[int] = set()
    work = [start]
    while work:
        way = work.pop()
        if not isinstance(way, bool) and way not in found:
            found.add(way)
            work += used(nodes[way])
    return {at: nodes[at] for at in sorted(found)}


def used(node: Node) -> Iterable[Way]:
    """The ways that a node's test can take."""
    return (node.true, node.false) if node.test.op else (node.true,)
