"""A checked program as nodes that nest: what leads where, who dominates whom, what is live.

A node is a run of instructions entered only at its first; a run of jeqs with one
aim counts as one test (`flow.choices`).  Jumps only go forward, so each pass is one
walk over the pcs.
Left out: writing any language (`python_source`).

Source: dominators of an acyclic graph by K. Cooper, T. Harvey, K. Kennedy, *A
Simple, Fast Dominance Algorithm*, 2001.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bpfnb.backends.flow import Choice, choices, reached, targets
from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program

__all__ = ["ASKS", "Node", "Structure", "is_extension", "structure", "uses"]

# The registers that extensions ask for; those of a device return A where there is none.
ASKS = {
    "alu_xor_x": {"A", "X"},
    "nla": {"A", "X"},
    "nlan": {"A", "X"},
    "ifidx": {"A"},
    "hatype": {"A"},
}


@dataclass
class Node:
    """Instructions `pcs`; `targets` are none for a ret, two for a test: true, false.

    `meets` are the nodes that follow on this one and others both: ways that parted
    here meet there.  `beyond` is where ways out of all that this one dominates lead.
    """

    pcs: list[int]
    targets: tuple[int, ...] = ()
    choice: Choice | None = None
    meets: list[int] = field(default_factory=list)
    beyond: set[int] = field(default_factory=set)
    live: frozenset[str] = frozenset()

    @property
    def start(self) -> int:
        """The pc of its first instruction, its name."""
        return self.pcs[0]


@dataclass(frozen=True)
class Structure:
    """The nodes by their first pc; `ways` is how many lead to each, `chosen` the tests.

    `live` has for each pc the registers that are read behind it before they are written.
    """

    program: Program
    nodes: Mapping[int, Node]
    ways: Mapping[int, int]
    chosen: Mapping[int, Choice]
    live: dict[int, frozenset[str]] = field(default_factory=dict)

    def is_meeting(self, pc: int) -> bool:
        """Whether several ways lead there and it is more than a ret, which costs no line more."""
        return self.ways[pc] > 1 and not self.is_ret(pc)

    def targets(self, pc: int) -> tuple[int, ...]:
        """Where control goes after an instruction: true before false."""
        return targets(self.program, self.chosen, pc)

    def is_ret(self, pc: int) -> bool:
        """Whether there is nothing but a ret."""
        return BY_CODE[self.program.insns[pc].code].cls is Class.RET


def structure(program: Program) -> Structure:
    """Nodes, dominators and liveness of a program."""
    chosen = choices(program)
    ways = reached(program, chosen)
    nodes = make_nodes(program, chosen, ways)
    made = Structure(program, nodes, ways, chosen)
    dominate(made)
    find_live(made)
    return made


def make_nodes(
    program: Program, chosen: Mapping[int, Choice], ways: Mapping[int, int]
) -> dict[int, Node]:
    """Instructions joined as long as one leads only to the next and nothing else does."""
    nodes: dict[int, Node] = {}
    part: set[int] = set()
    for start in range(len(program)):
        if not ways[start] or start in part:
            continue
        node = nodes[start] = Node([start])
        while True:
            pc = node.pcs[-1]
            node.targets, node.choice = targets(program, chosen, pc), chosen.get(pc)
            if len(node.targets) != 1 or ways[node.targets[0]] != 1:
                break
            node.pcs.append(node.targets[0])
            part.add(node.targets[0])
    return nodes


def dominate(made: Structure) -> None:
    """Give each node its meets and what lies beyond it."""
    parent: dict[int, int] = {}
    depth = {0: 0}
    for pc in sorted(made.nodes):
        for target in made.nodes[pc].targets:
            known = parent.get(target)
            parent[target] = pc if known is None else common(parent, depth, known, pc)
            depth[target] = depth[parent[target]] + 1
    for pc in sorted(parent):
        if made.is_meeting(pc):
            made.nodes[parent[pc]].meets.append(pc)
    for pc in sorted(made.nodes, reverse=True):
        node = made.nodes[pc]
        node.beyond.update(t for t in node.targets if made.is_meeting(t))
        node.beyond -= set(node.meets)
        if pc:
            above = made.nodes[parent[pc]]
            above.beyond |= node.beyond - set(above.meets)


def common(parent: Mapping[int, int], depth: Mapping[int, int], one: int, two: int) -> int:
    """The nearest node that dominates both."""
    while one != two:
        if depth[one] < depth[two]:
            one, two = two, one
        one = parent[one]
    return one


def find_live(made: Structure) -> None:
    """Give each node, and each pc, the registers that what follows reads before it writes them."""
    for pc in sorted(made.nodes, reverse=True):
        node = made.nodes[pc]
        live: set[str] = set()
        for target in node.targets:
            live |= made.nodes[target].live
        for each in reversed(node.pcs):
            made.live[each] = frozenset(live)
            reads, writes = uses(made.program.insns[each])
            live = (live - writes) | reads
        node.live = frozenset(live)


def uses(insn: Insn) -> tuple[set[str], set[str]]:
    """The registers that an instruction reads, and those it writes."""
    row = BY_CODE[insn.code]
    memory = {f"M{insn.k}"} if row.form is Form.MEM else set()
    with_x = {"X"} if row.form in (Form.X, Form.IND, Form.X_TARGETS) else set()
    if row.cls in (Class.ST, Class.STX):
        return ({"A"} if row.cls is Class.ST else {"X"}), memory
    if row.cls in (Class.LD, Class.LDX):
        special = ASKS.get(BY_K[insn.k].name, set()) if is_extension(insn) else set()
        return with_x | memory | special, {"A"} if row.cls is Class.LD else {"X"}
    if row.cls is Class.MISC:
        return ({"A"}, {"X"}) if row.mnemonic == "tax" else ({"X"}, {"A"})
    if row.cls is Class.RET:
        return ({"A"} if row.form is Form.A else set()), set()
    if row.cls is Class.JMP:
        return (set() if row.form is Form.TARGET else {"A"} | with_x), set()
    return {"A"} | with_x, {"A"}


def is_extension(insn: Insn) -> bool:
    """Whether it reads one of Linux's extensions."""
    return BY_CODE[insn.code].form is Form.ABS and insn.k in BY_K
