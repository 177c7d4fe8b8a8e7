"""A formula of tests -> a BPF program: a graph of jumps that stops when it knows.

    jump_code(tree.root)

The tests become a graph (`jump_graph`).  Loads stand before the tests, and are left out where
every way brings the value in A or X; a test that jumps too far gets a `ja` for each way.

So a tree's repeated tests become what its graph shares.  The program accepts what the
formula accepts, on every packet: tests are met from left to right, and a load that ended
the run still does.  Left out: how much is accepted, which is all or nothing.

Source: McCanne & Jacobson 1993, section 3.2.1, for the graph; libpcap's optimize.c does
the same to its own graphs, and more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bpfnb.analysis.trees.boolean import Formula
from bpfnb.analysis.trees.decisions import COMPARE, Test
from bpfnb.analysis.trees.jump_graph import Node, Way, asked_graph, can_end, used
from bpfnb.analysis.trees.symbols import Calculation, Length, Load, Note, Number, Symbol, parts
from bpfnb.backends.structure import ASKS
from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import Form, find
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

__all__ = ["jump_code"]

FARTHEST = 255  # that jt and jf can jump
WORDS = 16  # M[]
MNEMONIC = {sign: name for name, sign in COMPARE.items()}


def jump_code(formula: Formula, accept: int = 0xFFFFFFFF) -> Program:
    """A program that returns `accept` where a formula holds, else 0.

    >>> ip, arp = (Test(0, "==", Load(12, 2), Number(k)) for k in (0x800, 0x806))
    >>> from bpfnb.analysis.trees.boolean import Or
    >>> [tuple(each) for each in jump_code(Or((ip, arp)), 96).insns]
    [(40, 0, 0, 12), (21, 1, 0, 2048), (21, 0, 1, 2054), (6, 0, 0, 96), (6, 0, 0, 0)]
    """
    return Program(tuple(code(*asked_graph(formula), accept)), origin="a tree")


@dataclass
class Held:
    """What registers hold on every way to a place, and what was read on all of them."""

    A: Symbol | None = None
    X: Symbol | None = None
    read: frozenset[Symbol] = frozenset()

    def met(self, other: Held) -> Held:
        """On both of two ways."""
        return Held(
            self.A if self.A == other.A else None,
            self.X if self.X == other.X else None,
            self.read & other.read,
        )


@dataclass
class Writing:
    """The instructions of one node, and what the registers hold behind them."""

    held: Held
    insns: list[Insn] = field(default_factory=list)
    spilt: int = 0

    def emit(self, mnemonic: str, form: Form, k: int = 0) -> None:
        """Add an instruction by its name."""
        row = find(mnemonic, form)
        assert row is not None, (mnemonic, form)
        self.insns.append(Insn(row.code, 0, 0, k))

    def test(self, test: Test) -> None:
        """Everything that comes before a test's jump."""
        for each in test.needs:
            if not frozenset(filter(can_end, parts(each))) <= self.held.read:
                self.bring(each)
        if not test.op:
            return
        if isinstance(test.right, Number):
            self.bring(test.left)
        else:
            self.both(test.left, test.right)

    def both(self, left: Symbol, right: Symbol) -> None:
        """One into A and one into X."""
        if right == self.held.X and simple(left):
            self.bring(left)
            return
        if self.spilt == WORDS:
            raise BpfError("this tree calculates more than the scratch memory holds")
        word, self.spilt = self.spilt, self.spilt + 1
        self.bring(right)
        self.emit("st", Form.MEM, word)
        self.bring(left)
        self.emit("ldx", Form.MEM, word)
        self.held.X = right
        self.spilt -= 1

    def bring(self, symbol: Symbol) -> None:
        """Bring a value into A, if it is not there."""
        if symbol == self.held.A:
            return
        if isinstance(symbol, Number):
            self.emit("ld", Form.IMM, symbol.k)
        elif isinstance(symbol, Length):
            self.emit("ld", Form.LEN)
        elif isinstance(symbol, Load):
            self.load(symbol)
        elif isinstance(symbol, Note):
            self.note(symbol)
        else:
            self.calculate(symbol)
        self.held = Held(symbol, self.held.X, self.held.read | set(filter(can_end, parts(symbol))))

    def load(self, load: Load) -> None:
        """A <- P[…]."""
        mnemonic = {1: "ldb", 2: "ldh", 4: "ld"}[load.size]
        if load.index is None:
            self.emit(mnemonic, Form.ABS, load.k)
            return
        if load.index != self.held.X:
            self.index(load.index)
        self.emit(mnemonic, Form.IND, load.k)

    def index(self, symbol: Symbol) -> None:
        """X <- an index: in one instruction where it is an IPv4 header's length."""
        if header := header_length(symbol):
            self.emit("ldxb", Form.MSH, header.k)
        else:
            self.bring(symbol)
            self.emit("tax", Form.NONE)
        self.held.X = symbol

    def note(self, note: Note) -> None:
        """What the kernel knows; some of it is asked with A and X."""
        asks = ASKS.get(BY_K[note.k].name, set())
        if "X" in asks:
            self.both(note.A, note.X)
        elif "A" in asks:
            self.bring(note.A)
        self.emit("ld", Form.ABS, note.k)

    def calculate(self, symbol: Calculation) -> None:
        """A <- left op right."""
        if isinstance(symbol.right, Number):
            self.bring(symbol.left)
            self.emit(symbol.op, Form.IMM, symbol.right.k)
        else:
            self.both(symbol.left, symbol.right)
            self.emit(symbol.op, Form.X)


def simple(symbol: Symbol) -> bool:
    """Whether it comes into A and leaves X alone."""
    if isinstance(symbol, Load):
        return symbol.index is None
    if isinstance(symbol, Calculation):
        return isinstance(symbol.right, Number) and simple(symbol.left)
    return isinstance(symbol, (Number, Length))


def header_length(symbol: Symbol) -> Load | None:
    """The byte of 4*(P[k:1]&0xf), if that is what it is."""
    if not (isinstance(symbol, Calculation) and symbol.op == "mul" and symbol.left == Number(4)):
        return None
    low = symbol.right
    if not (isinstance(low, Calculation) and low.op == "and" and low.right == Number(0xF)):
        return None
    byte = low.left
    return byte if isinstance(byte, Load) and byte.size == 1 and byte.index is None else None


def code(nodes: dict[int, Node], start: Way, accept: int) -> list[Insn]:
    """The instructions: nodes in their order, then the two rets that are needed."""
    if isinstance(start, bool):
        return [Insn(0x06, 0, 0, accept if start else 0)]
    held: dict[int, Held] = {start: Held()}
    bodies: dict[int, list[Insn]] = {}
    for at, node in nodes.items():
        work = Writing(replace(held[at]))
        work.test(node.test)
        bodies[at] = work.insns
        for way in used(node):
            if not isinstance(way, bool):
                held[way] = held[way].met(work.held) if way in held else replace(work.held)
    far: set[int] = set()
    while True:
        found = placed(nodes, bodies, far, accept)
        if not isinstance(found, set):
            return found
        far |= found


def placed(
    nodes: dict[int, Node], bodies: dict[int, list[Insn]], far: set[int], accept: int
) -> list[Insn] | set[int]:
    """All in a row; or the nodes whose jump is too short and needs `ja`."""
    ways = [way for node in nodes.values() for way in used(node)]
    places: dict[str, int] = {}
    pc = 0
    for at in nodes:
        places[str(at)] = pc
        pc += len(bodies[at]) + 1 + 2 * (at in far)
    for verdict in (True, False):
        if any(way is verdict for way in ways):
            places[f"{verdict}"] = pc
            pc += 1
    found: list[Insn] = []
    too_far = set()
    for at, node in nodes.items():
        found += bodies[at]
        true, false = (places[str(way)] - len(found) - 1 for way in (node.true, node.false))
        if not node.test.op:
            found.append(Insn(0x05, 0, 0, true))
        elif at in far:
            found += [
                jump(node.test, 0, 1),
                Insn(0x05, 0, 0, true - 1),
                Insn(0x05, 0, 0, false - 2),
            ]
        elif max(true, false) > FARTHEST:
            too_far.add(at)
            found.append(jump(node.test, 0, 0))
        else:
            found.append(jump(node.test, true, false))
    rets = {"True": Insn(0x06, 0, 0, accept), "False": Insn(0x06, 0, 0, 0)}
    found += [ret for verdict, ret in rets.items() if verdict in places]
    return too_far or found


def jump(test: Test, jt: int, jf: int) -> Insn:
    """The jump of a test."""
    by_x = not isinstance(test.right, Number)
    row = find(MNEMONIC[test.op], Form.X_TARGETS if by_x else Form.IMM_TARGETS)
    assert row is not None
    k = test.right.k if isinstance(test.right, Number) else 0
    return Insn(row.code, jt, jf, k)
