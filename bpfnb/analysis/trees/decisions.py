"""A program as its tests alone: each says where its two ways lead, to tests or to a verdict.

    Decision(Test((001), P[12:2] == 0x800), true=1, false=False)

Loads and arithmetic are written out into the tests that they lead to (`symbols`).
Where ways meet with different values in a register that is still read, what follows
stands there once for each.  What a way loads before a test is with the test: it ends
the run when it lies past the packet's end.

Raises BpfError for programs without such a form: ways back, rand, calculations or
meetings that grow beyond reading.

Left out: the verdict's number, all that accept count alike; and trees (`tree`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from bpfnb.analysis.trees.symbols import (
    Calculation,
    Ended,
    Length,
    Load,
    Note,
    Number,
    Seen,
    Symbol,
)  # fmt: skip
from bpfnb.backends.structure import ASKS, uses
from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.checker import require
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form, Opcode
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

__all__ = ["COMPARE", "Decision", "Test", "decisions"]

HEAVY = 60  # parts of a calculation
MANY = 4000  # decisions
COMPARE = {"jeq": "==", "jgt": ">", "jge": ">=", "jset": "&"}
NEGATED = {"==": "!=", ">": "<=", ">=": "<"}
Registers = tuple[tuple[str, Symbol], ...]
Way = int | bool  # a decision's index, or the verdict


@dataclass(frozen=True)
class Test:
    """The comparison at `pc`; `wanted` is the outcome that makes it true.

    `op` is ==, >, >=, & (bits in common), or "" for what only loads.  `needs` are the
    loads on the way to it, which come first.
    """

    pc: int
    op: str
    left: Symbol
    right: Symbol
    needs: tuple[Symbol, ...] = ()
    wanted: bool = True

    __test__ = False  # no test of pytest's

    def value(self, seen: Seen) -> bool:
        """Whether the packet passes; raises Ended where the run ends in it."""
        for each in self.needs:
            each.value(seen)
        return self.holds(self.left.value(seen), self.right.value(seen)) == self.wanted

    def holds(self, left: int, right: int) -> bool:
        """The comparison, as jt takes it."""
        if self.op == "&":
            return left & right != 0
        return {"==": left == right, ">": left > right, ">=": left >= right, "": True}[self.op]

    def negated(self) -> Test:
        """The same test, with the other outcome wanted."""
        return replace(self, wanted=not self.wanted)

    def __str__(self) -> str:
        if not self.op:
            return f"{', '.join(map(str, self.needs))} there{'' if self.wanted else ', and reject'}"
        if self.op == "&":
            return f"{self.left}&{self.right} {'!=' if self.wanted else '=='} 0"
        return f"{self.left} {self.op if self.wanted else NEGATED[self.op]} {self.right}"


@dataclass(frozen=True)
class Decision:
    """A test and its two ways."""

    test: Test
    true: Way
    false: Way


@dataclass
class Unfolding:
    """The work on one program: `found[key]` is the index of what begins at (pc, registers)."""

    program: Program
    live: list[frozenset[str]]
    found: dict[tuple[int, Registers], int] = field(default_factory=dict)
    work: list[tuple[int, Registers]] = field(default_factory=list)

    def index(self, pc: int, registers: dict[str, Symbol]) -> int:
        """The number of what begins here, the same for equal values of what is read later."""
        kept = tuple((name, registers.get(name, Number(0))) for name in sorted(self.live[pc]))
        key = (pc, kept)
        if key not in self.found:
            if len(self.found) >= MANY:
                raise BpfError(
                    "this program has no tree that could be read: its ways meet with so many "
                    f"different values that more than {MANY:,} tests would be told apart"
                )
            self.found[key] = len(self.found)
            self.work.append(key)
        return self.found[key]


def decisions(program: Program) -> tuple[tuple[Decision, ...], Way]:
    """The tests of a program that the checker takes, in an order of its ways; and the first.

    >>> icmp = Program.from_insns([(0x30, 0, 0, 23), (0x15, 0, 1, 1), (6, 0, 0, 9), (6, 0, 0, 0)])
    >>> found, first = decisions(icmp)
    >>> first, str(found[0].test), found[0].true, found[0].false
    (0, 'P[23:1] == 1', True, False)
    """
    require(program)
    made = Unfolding(program, lives(program))
    made.index(0, {})
    raw: dict[int, tuple[int, Decision | Way]] = {}
    while made.work:
        pc, registers = made.work.pop()
        number = made.found[pc, registers]
        raw[number] = pc, walk(made, pc, dict(registers))
    return settled(raw)


def settled(raw: dict[int, tuple[int, Decision | Way]]) -> tuple[tuple[Decision, ...], Way]:
    """Numbered anew in program order, without what decides nothing."""
    ends: dict[int, Way] = {}
    kept: list[tuple[int, Decision]] = []
    for number, (_, each) in sorted(raw.items(), key=lambda item: -item[1][0]):
        if not isinstance(each, Decision):
            ends[number] = each if isinstance(each, bool) else ends[each]
            continue
        true, false = (w if isinstance(w, bool) else ends[w] for w in (each.true, each.false))
        if true is false or (true == false and type(true) is type(false)):
            test = each.test
            if not test.needs:
                ends[number] = true
                continue
            # Whatever it finds, only its loads matter: they end the run or they do not.
            each = Decision(replace(test, op="", wanted=True), true, true)
        ends[number] = number
        kept.append((number, replace(each, true=true, false=false)))
    kept.reverse()
    place = {number: at for at, (number, _) in enumerate(kept)}

    def way(old: Way) -> Way:
        return old if isinstance(old, bool) else place[old]

    made = tuple(replace(e, true=way(e.true), false=way(e.false)) for _, e in kept)
    return made, way(ends[0])


def lives(program: Program) -> list[frozenset[str]]:
    """For each pc the registers that are read from there on before they are written."""
    live: list[frozenset[str]] = [frozenset()] * len(program)
    for pc in reversed(range(len(program))):
        reads, writes = uses(program.insns[pc])
        onward = {name for target, _ in successors(program.insns, pc) for name in live[target]}
        live[pc] = frozenset((onward - writes) | reads)
    return live


def walk(made: Unfolding, pc: int, registers: dict[str, Symbol]) -> Decision | Way:
    """From here to the next test, verdict, or place where ways meet."""
    needs: list[Symbol] = []
    insns = made.program.insns
    while True:
        insn = insns[pc]
        row = BY_CODE[insn.code]
        A, X = registers.get("A", Number(0)), registers.get("X", Number(0))
        if row.cls is Class.RET:
            return ending(pc, row, insn, A, X, needs)
        if row.form.jumps and insn.jt != insn.jf:
            right = X if row.form is Form.X_TARGETS else Number(insn.k)
            test = Test(pc, COMPARE[row.mnemonic], A, right, tuple(needs))
            true, false = pc + 1 + insn.jt, pc + 1 + insn.jf
            if not (isinstance(A, Number) and isinstance(right, Number)):
                return Decision(test, made.index(true, registers), made.index(false, registers))
            pc = true if test.holds(A.k, right.k) else false
        elif row.form.jumps or row.form is Form.TARGET:
            pc += 1 + (insn.jt if row.form.jumps else insn.k)
        else:
            execute(row, insn, registers, needs)
            pc += 1


def ending(
    pc: int, row: Opcode, insn: Insn, A: Symbol, X: Symbol, needs: list[Symbol]
) -> Decision | Way:
    """A ret: a verdict, or a test of A where that is not fixed."""
    result: Symbol = A if row.form is Form.A else X if row.form is Form.X else Number(insn.k)
    if not isinstance(result, Number):
        return Decision(Test(pc, "==", result, Number(0), tuple(needs)), False, True)
    accepted = result.k != 0
    # A load in vain before a rejection changes nothing, unless a note returns A in its place.
    if needs and (accepted or any(isinstance(each, Note) for each in needs)):
        nothing = Number(0)
        return Decision(Test(pc, "", nothing, nothing, tuple(needs)), accepted, accepted)
    return accepted


def execute(row: Opcode, insn: Insn, registers: dict[str, Symbol], needs: list[Symbol]) -> None:
    """One instruction that is no jump and no ret; `needs` gets what can end the run."""
    A, X = registers.get("A", Number(0)), registers.get("X", Number(0))
    if row.cls in (Class.ST, Class.STX):
        registers[f"M{insn.k}"] = A if row.cls is Class.ST else X
    elif row.mnemonic == "tax":
        registers["X"] = A
    elif row.mnemonic == "txa":
        registers["A"] = X
    elif row.cls is Class.ALU:
        registers["A"] = calculated(row, insn, A, X, needs)
    else:
        name = "A" if row.cls is Class.LD else "X"
        registers[name] = fetched(row, insn, registers, needs)


def calculated(row: Opcode, insn: Insn, A: Symbol, X: Symbol, needs: list[Symbol]) -> Symbol:
    """What arithmetic leaves in A."""
    if row.mnemonic == "neg":
        made = Calculation("sub", Number(0), A)
    else:
        right = X if row.form is Form.X else Number(insn.k)
        made = Calculation(row.mnemonic, A, right)
        if row.mnemonic in ("div", "mod") and not divides(right):
            needs.append(made)
    if made.weight > HEAVY:
        raise BpfError(
            f"this program has no tree that could be read: what it calculates grows beyond "
            f"{HEAVY} parts"
        )
    if all(isinstance(each, Number) for each in (made.left, made.right)):
        with suppress(Ended):  # a division by 0, which is one of `needs`
            return Number(made.value(Seen(b"", 0)))
    return made


def divides(symbol: Symbol) -> bool:
    """Whether a divisor is never 0."""
    return isinstance(symbol, Number) and symbol.k != 0


def fetched(row: Opcode, insn: Insn, registers: dict[str, Symbol], needs: list[Symbol]) -> Symbol:
    """What a load leaves in its register."""
    A, X = registers.get("A", Number(0)), registers.get("X", Number(0))
    if row.form is Form.IMM:
        return Number(insn.k)
    if row.form is Form.LEN:
        return Length()
    if row.form is Form.MEM:
        return registers.get(f"M{insn.k}", Number(0))
    if row.form is Form.ABS and insn.k in BY_K:
        name = BY_K[insn.k].name
        if name == "rand":
            raise BpfError("this program has no tree: it reads rand, another number each time")
        asks, nothing = ASKS.get(name, set()), Number(0)
        note = Note(insn.k, A if "A" in asks else nothing, X if "X" in asks else nothing)
        needs.append(note)
        return note
    if row.form is Form.IND and isinstance(X, Number):
        load = Load(X.k + insn.k & 0xFFFFFFFF, row.size)
    else:
        load = Load(insn.k, row.size, X if row.form is Form.IND else None)
    needs.append(load)
    if row.form is not Form.MSH:
        return load
    return Calculation("mul", Number(4), Calculation("and", load, Number(0xF)))
