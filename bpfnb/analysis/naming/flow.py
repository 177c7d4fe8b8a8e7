"""What each instruction finds known: one pass over the program, in its order.

`forward` gives the `State` before every instruction, joined over all ways that
lead there; `after` and `along` are one instruction and one way out of a test,
for following a single run.  An edge that no packet can take is left out, and so
the state of an instruction that only such edges reach is None.

A jump backwards, which Linux refuses, finds nothing known at its target.
Left out: names for what is known (`names`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bpfnb.analysis.naming.values import MASK, Bits, Facts, Known, Note, Place, Sum
from bpfnb.cbpf.ancillary import AD_OFF, BY_K, LL_OFF, NET_OFF
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import OPERATIONS
from bpfnb.cbpf.opcodes import BY_CODE, MEMWORDS, Class, Form, Opcode
from bpfnb.cbpf.program import Program

__all__ = ["START", "State", "after", "along", "compared", "forward", "loaded", "possible"]

# Extensions whose answer depends on A and X, or changes from one read to the next.
UNSTEADY = {"nla", "nlan", "alu_xor_x", "rand"}


@dataclass(frozen=True)
class State:
    """What A, X and M[] hold, and what the tests so far have fixed."""

    A: Sum | None = None
    X: Sum | None = None
    M: tuple[Sum | None, ...] = (None,) * MEMWORDS
    facts: Facts = field(default_factory=Facts)

    def join(self, other: State) -> State:
        """What holds in both."""
        if self is other:
            return self
        M = tuple(a if a == b else None for a, b in zip(self.M, other.M, strict=True))
        return State(
            self.A if self.A == other.A else None,
            self.X if self.X == other.X else None,
            M,
            self.facts.join(other.facts),
        )


START = State(Sum(0), Sum(0))  # M[] is 0 on some machines only


def forward(program: Program) -> tuple[State | None, ...]:
    """The state before each instruction; None where no packet comes."""
    insns = program.insns
    states: list[State | None] = [None] * len(insns)
    if insns:
        states[0] = START
    for pc in range(len(insns)):
        for target, _ in successors(insns, pc):
            if target <= pc:
                states[target] = State()
    for pc, insn in enumerate(insns):
        state = states[pc]
        if state is None:
            continue
        left = after(state, insn)
        for target, kind in successors(insns, pc):
            taken = along(left, insn, kind == "true") if kind in ("true", "false") else left
            if taken is not None and target > pc:
                known = states[target]
                states[target] = taken if known is None else known.join(taken)
    return tuple(states)


def loaded(state: State, insn: Insn) -> Bits | Note | None:
    """What a load leaves in its register; None where its place is not fixed, or no load."""
    row = BY_CODE.get(insn.code)
    if row is None or not row.size:
        return None
    k, place = insn.k, None
    whole = (1 << 8 * row.size) - 1
    if row.form is Form.IND:
        if state.X is not None:
            at = state.X.k + k & MASK
            place = Place(at, state.X.terms) if at < LL_OFF or state.X.terms else None
    elif row.form is Form.ABS and k in BY_K:
        name = BY_K[k].name
        return None if name in UNSTEADY else Note(name)
    elif k >= AD_OFF:
        return None
    elif k >= NET_OFF:
        place = Place(k - NET_OFF, base="net")
    elif k >= LL_OFF:
        place = Place(k - LL_OFF, base="link")
    else:
        place = Place(k)
    if place is None:
        return None
    bits = Bits(place, row.size, whole)
    return bits.masked(0x0F).shifted(-2) if row.form is Form.MSH else bits


def after(state: State, insn: Insn) -> State:
    """The state behind an instruction; a test changes nothing by itself."""
    row = BY_CODE.get(insn.code)
    if row is None:
        return replace(state, A=None, X=None, M=(None,) * MEMWORDS)
    if row.cls in (Class.ST, Class.STX):
        M = list(state.M)
        if insn.k < MEMWORDS:
            M[insn.k] = state.A if row.cls is Class.ST else state.X
        return replace(state, M=tuple(M))
    if row.cls is Class.ALU:
        return replace(state, A=calculated(state, row, insn.k))
    if row.mnemonic == "tax":
        return replace(state, X=state.A)
    if row.mnemonic == "txa":
        return replace(state, A=state.X)
    if row.cls is Class.LD:
        return replace(state, A=fetched(state, row, insn))
    if row.cls is Class.LDX:
        return replace(state, X=fetched(state, row, insn))
    return state


def fetched(state: State, row: Opcode, insn: Insn) -> Sum | None:
    """What a load into A or X leaves there."""
    if row.form is Form.IMM:
        return Sum(insn.k)
    if row.form is Form.LEN:
        return Sum(0, (Note("len"),))
    if row.form is Form.MEM:
        return state.M[insn.k] if insn.k < MEMWORDS else None
    term = loaded(state, insn)
    return None if term is None else Sum.of(0, (term,))


def calculated(state: State, row: Opcode, k: int) -> Sum | None:
    """A behind an arithmetic instruction."""
    A = state.A
    if row.form is Form.NONE:  # neg
        return Sum(-A.k & MASK) if A is not None and not A.terms else None
    v = Sum(k) if row.form is Form.IMM else state.X
    if A is None or v is None:
        return None
    name = row.mnemonic
    if name == "add":
        return Sum.of(A.k + v.k, (*A.terms, *v.terms))
    number = v.constant
    if number is None:
        return None
    if A.constant is not None:
        return Sum(OPERATIONS[name](A.k, number)) if number or name not in ("div", "mod") else None
    if name == "sub":
        return Sum.of(A.k - number, A.terms)
    return bitwise(A, name, number)


def bitwise(A: Sum, name: str, number: int) -> Sum | None:
    """A with its bits moved or masked by a constant; None where they are mixed."""
    if name in ("mul", "div"):
        if number.bit_count() != 1:
            return None
        name, number = {"mul": "lsh", "div": "rsh"}[name], number.bit_length() - 1
    if name in ("or", "xor", "add") and not number:
        return A
    if name == "lsh":
        if any(isinstance(term, Note) for term in A.terms):
            return None
        moved = [term.shifted(-(number & 31)) for term in A.terms if isinstance(term, Bits)]
        return Sum.of(A.k << (number & 31), tuple(moved))
    term = A.single
    if not isinstance(term, Bits):
        return None
    if name == "and":
        return Sum.of(0, (term.masked(number),))
    return Sum.of(0, (term.shifted(number & 31),)) if name == "rsh" else None


def compared(state: State, insn: Insn) -> int | None:
    """The number that a test holds A against; None where it is not fixed."""
    row = BY_CODE[insn.code]
    if row.form is Form.X_TARGETS:
        return state.X.constant if state.X is not None else None
    return insn.k


def along(state: State, insn: Insn, true: bool) -> State | None:
    """The state on one way out of a test; None when no packet takes it."""
    A, k = state.A, compared(state, insn)
    if A is None or k is None:
        return state
    test = BY_CODE[insn.code].mnemonic
    if A.constant is not None:
        held = {"jeq": A.k == k, "jgt": A.k > k, "jge": A.k >= k, "jset": bool(A.k & k)}[test]
        return state if held == true else None
    if test == "jeq" and len(A.terms) == 1:
        k = k - A.k & MASK
    elif A.single is None:
        return state
    term = A.terms[0]
    facts = bits_tested(state.facts, term, test, k, true)
    return None if facts is None else replace(state, facts=facts)


def bits_tested(facts: Facts, term: Bits | Note, test: str, k: int, true: bool) -> Facts | None:
    """What is known behind a test of a term's value against k; None when it cannot be."""
    if test == "jset":
        if isinstance(term, Note):
            return facts
        term, test, k, true = term.masked(k), "jeq", 0, not true
        if not term.mask:
            return facts if true else None
    if isinstance(term, Bits):
        if test == "jeq":
            raw = term.raw(k)
            if raw is None:
                return None if true else facts
            k = raw
        elif term.shift > 0:
            # (raw >> s) > k  is  raw > k << s with the lowest bits set
            k = (k << term.shift) + ((1 << term.shift) - 1 if test == "jgt" else 0)
        elif term.shift < 0:
            # (raw << s) > k  is  raw > k >> s;  >= rounds up
            down = -term.shift
            k = k >> down if test == "jgt" else -(-k >> down)
        term = term.plain
    known = facts.about(term)
    low = k + 1 if test == "jgt" else k
    if test == "jeq":
        found = known.equal(k) if true else known.other(k)
    else:
        found = known.between(low, MASK) if true else known.between(0, low - 1)
    if found is None:
        return None
    if isinstance(term, Bits) and term.mask.bit_count() == 1 and not found.permits(0):
        found = Known(term.mask, term.mask, frozenset({term.mask}))
    return facts.learn(term, found)


def possible(program: Program) -> list[frozenset[bool]]:
    """From each pc, the kinds of verdict that a ret ahead can give; loads past the end aside."""
    insns = program.insns
    kinds: list[frozenset[bool]] = [frozenset()] * len(insns)
    changed = True
    while changed:  # once for a legal program, whose jumps all lead forward
        changed = False
        for pc in range(len(insns) - 1, -1, -1):
            insn = insns[pc]
            row = BY_CODE.get(insn.code)
            if row is not None and row.cls is Class.RET:
                mine = frozenset({True, False} if row.form is Form.A else {insn.k > 0})
            else:
                ahead = [kinds[target] for target, _ in successors(insns, pc)]
                mine = frozenset().union(*ahead)
            changed |= mine != kinds[pc]
            kinds[pc] = mine
    return kinds
