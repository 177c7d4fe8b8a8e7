"""A CSPF program as a formula of tests: what its stack would hold, written out.

    formula(program)       And(P[12:2] == 0x800, P[22:2]&0xff == 1)

Nothing jumps, so what stands where on the stack is the same for every packet.  Comparisons
become tests, AND and OR of truth values And and Or, and a short-circuit operator an And or
Or with all that follows it.  The machine reads whatever its words name, in their order:
those words are the `needs` of the first test behind them, so that the formula accepts
exactly what the program accepts, short packets included.

Raises BpfError where a truth value is calculated with like a number.

Left out: what the tree looks like (`views.cspf`), how it becomes jumps (`jump_code`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not, Or, both, negated
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.symbols import Calculation, Load, Number, Seen, Symbol
from bpfnb.cbpf.cspf import CspfProgram, CspfWord
from bpfnb.cbpf.cspf_opcodes import MASK, NOPUSH, PUSHLIT, PUSHWORD, Operator
from bpfnb.errors import BpfError

__all__ = ["formula"]

Value = Symbol | Formula  # a formula is 1 or 0
SYMBOLIC = (Number, Load, Calculation)
FORMULAS = (Constant, And, Or, Not, Test)
SIDES: dict[str, tuple[str, bool]] = {  # operator: the test's, and the outcome wanted
    "EQ": ("==", True),
    "NEQ": ("==", False),
    "GT": (">", True),
    "LE": (">", False),
    "GE": (">=", True),
    "LT": (">=", False),
}
BITS = {"AND": "and", "OR": "or", "XOR": "xor"}
SUMS = {"ADD": "add", "SUB": "sub", "LSH": "lsh", "RSH": "rsh"}
HEAVY = 60  # parts of a calculation


@dataclass
class Unstacking:
    """The work on one program: the stack, and the words read since the last test."""

    stack: list[Value] = field(default_factory=lambda: [Number(1)])
    needs: list[Load] = field(default_factory=list)

    def take(self) -> tuple[Load, ...]:
        """The words read, to be put before a test."""
        taken = tuple(dict.fromkeys(self.needs))
        self.needs.clear()
        return taken


def formula(program: CspfProgram) -> Formula:
    """What a program accepts.

    >>> from bpfnb.cbpf.cspf_text import assemble
    >>> found = formula(assemble("PUSHWORD+6 PUSHLIT|CAND 0x800 PUSHWORD+11 PUSH00FF|AND"))
    >>> [str(each) for each in found.parts]
    ['P[12:2] == 0x800', 'P[22:2]&0xff != 0']
    """
    work = Unstacking()
    ends: list[tuple[type[And] | type[Or], Formula]] = []
    for pc, (insn, depth) in enumerate(zip(program.insns, program.depths, strict=True)):
        push(work, insn)
        if depth is None:
            last = after(work.take(), Constant(False))
            break
        op = insn.operator
        if not op.code:
            continue
        top, below = work.stack.pop(), work.stack.pop()
        if op.ends is None:
            work.stack.append(applied(pc, op, below, top))
            continue
        # It goes on where the two are not `equal`; it ends the program where they are.
        equal = compared(pc, "EQ", below, top)
        ending = equal if op.equal else negated(equal)
        kind = Or if op.ends else And
        ends.append((kind, after(work.take(), ending if op.ends else negated(ending))))
    else:
        last = after(work.take(), truth(len(program) - 1, work.stack[-1]))
    for kind, part in reversed(ends):
        last = both(kind, part, last)
    return last


def push(work: Unstacking, insn: CspfWord) -> None:
    """What an instruction's action leaves on the stack."""
    action = insn.action
    if action.code == NOPUSH:
        return
    if action.code == PUSHLIT:
        work.stack.append(Number(insn.literal))
    elif action.pushes is not None:
        work.stack.append(Number(action.pushes))
    elif action.code == PUSHWORD:
        work.needs.append(Load(2 * insn.word, 2))
        work.stack.append(work.needs[-1])
    elif len(work.stack) > 1:
        number = symbol(work.stack.pop(), "PUSHIND")
        at = calculated("mul", Number(2), number)
        load = Load(at.k, 2) if isinstance(at, Number) else Load(0, 2, at)
        work.needs.append(load)
        work.stack.append(load)


def after(needs: tuple[Load, ...], formula: Formula) -> Formula:
    """A formula that reads all of `needs` first."""
    if not needs:
        return formula
    if isinstance(formula, Test):
        return replace(formula, needs=(*needs, *formula.needs))
    if isinstance(formula, Not):
        return Not(after(needs, formula.part))
    if isinstance(formula, Constant):
        reads = Test(0, "", Number(0), Number(0), needs)
        return And((reads, formula))
    first, *rest = formula.parts
    return type(formula)((after(needs, first), *rest))


def symbol(value: Value, name: str) -> Symbol:
    """A value that is a number."""
    if isinstance(value, SYMBOLIC):
        return value
    raise BpfError(f"this program has no tree that could be read: {name} takes a truth value")


def truth(pc: int, value: Value) -> Formula:
    """Whether a value is not 0."""
    return value if isinstance(value, FORMULAS) else compared(pc, "NEQ", value, Number(0))


def applied(pc: int, op: Operator, below: Value, top: Value) -> Value:
    """What an operator that is no short-circuit leaves."""
    if op.name in SIDES:
        return compared(pc, op.name, below, top)
    if isinstance(below, SYMBOLIC) and isinstance(top, SYMBOLIC):
        return calculated({**BITS, **SUMS}[op.name], below, top)
    if op.name in BITS:
        return joined(pc, op.name, below, top)
    return calculated("", symbol(below, op.name), symbol(top, op.name))


def compared(pc: int, name: str, below: Value, top: Value) -> Formula:
    """A comparison, of numbers or of truth values."""
    op, wanted = SIDES[name]
    if isinstance(below, SYMBOLIC) and isinstance(top, SYMBOLIC):
        if isinstance(below, Number) and not isinstance(top, Number):
            op, wanted = {"==": ("==", wanted), ">": (">=", not wanted),
                          ">=": (">", not wanted)}[op]  # fmt: skip
            below, top = top, below
        test = Test(pc, op, below, top, wanted=wanted)
        if isinstance(below, Number) and isinstance(top, Number):
            return Constant(test.holds(below.k, top.k) == wanted)
        return test
    return by_cases(pc, lambda a, b: compared(pc, name, a, b), below, top)


def joined(pc: int, name: str, below: Value, top: Value) -> Formula:
    """AND, OR and XOR where one at least is a truth value."""
    if isinstance(below, SYMBOLIC) and isinstance(top, SYMBOLIC):
        return truth(pc, calculated(BITS[name], below, top))
    if isinstance(below, FORMULAS) and isinstance(top, FORMULAS):
        if name == "AND":
            return both(And, below, top)
        if name == "OR":
            return both(Or, below, top)
        return compared(pc, "NEQ", below, top)
    number = below if isinstance(below, SYMBOLIC) else top
    is_bit = isinstance(number, Number) and number.k < 2
    if name != "AND" and not is_bit:
        symbol(below, name), symbol(top, name)
    if name == "AND" and not isinstance(number, Number):  # all but the last bit is lost
        last = calculated("and", symbol(number, name), Number(1))
        other = top if number is below else below
        return both(And, truth(pc, other), compared(pc, "EQ", last, Number(1)))
    return by_cases(pc, lambda a, b: joined(pc, name, a, b), below, top)


def by_cases(pc: int, made: Callable[[Value, Value], Formula], below: Value, top: Value) -> Formula:
    """An operator on truth values: what it comes to where one holds, and where not."""
    value, other = (top, below) if isinstance(below, SYMBOLIC) else (below, top)
    assert isinstance(value, FORMULAS)

    def case(bit: int) -> Formula:
        number = Number(bit)
        return made(number, other) if value is below else made(other, number)

    yes, no = case(1), case(0)
    if yes == no:
        return yes
    if isinstance(yes, Constant) and isinstance(no, Constant):
        return value if yes.accepted else negated(value)
    if isinstance(yes, Constant):
        return both(Or, value, no) if yes.accepted else both(And, negated(value), no)
    if isinstance(no, Constant):
        return both(Or, negated(value), yes) if no.accepted else both(And, value, yes)
    return both(Or, both(And, value, yes), both(And, negated(value), no))


def calculated(op: str, left: Symbol, right: Symbol) -> Symbol:
    """What arithmetic leaves, in 16 bits."""
    if op in ("lsh", "rsh"):
        if not isinstance(right, Number):
            raise BpfError(
                "this program has no tree that could be read: how far it shifts depends on "
                "the packet"
            )
        right = Number(min(right.k, 16))
    made: Symbol = Calculation(op, left, right)
    if op in ("add", "sub", "lsh"):
        made = Calculation("and", made, Number(MASK))
    if made.weight > HEAVY:
        raise BpfError(
            "this program has no tree that could be read: what it calculates grows beyond "
            f"{HEAVY} parts"
        )
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(made.value(Seen(b"", 0)))
    return made
