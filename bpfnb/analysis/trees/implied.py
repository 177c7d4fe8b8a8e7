"""What one formula of tests leaves to another: it cannot hold, or it must.

    where P[12:2] == 0x800 holds, P[12:2] == 0x806 cannot

Each way in which the first can hold gives facts about the symbols it compares; the
other is then looked at, as far as these decide it.  Answers are safe: "may" where
it is not known.  Left out: facts about bytes that several symbols share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpfnb.analysis.naming.values import MASK, Known
from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not, Or
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.symbols import Note, Number, Symbol, parts

__all__ = ["may_be", "must_be"]

WAYS = 24  # in which a formula can hold, that are told apart


@dataclass(frozen=True)
class Facts:
    """What is known of compared symbols, which bit tests had which outcome, what was read."""

    values: dict[Symbol, Known] = field(default_factory=dict)
    bits: dict[tuple[Symbol, int], bool] = field(default_factory=dict)
    read: frozenset[Symbol] = frozenset()

    def learn(self, test: Test) -> Facts | None:
        """With a test that holds; None where it cannot."""
        read = self.read | {p for s in (*test.needs, test.left) for p in parts(s)}
        if not isinstance(test.right, Number) or not test.op:
            return Facts(self.values, self.bits, read)
        k = test.right.k
        if test.op == "&":
            if self.bits.get((test.left, k), test.wanted) != test.wanted:
                return None
            return Facts(self.values, {**self.bits, (test.left, k): test.wanted}, read)
        known = narrowed(self.values.get(test.left, Known()), test.op, k, test.wanted)
        return None if known is None else Facts({**self.values, test.left: known}, self.bits, read)

    def decide(self, test: Test) -> bool | None:
        """The outcome of a test, where it is fixed."""
        can = self.learn(test) is not None
        cannot = self.learn(test.negated()) is not None
        known = test.left in self.values or any(left == test.left for left, _ in self.bits)
        return can if known and can != cannot else None


def narrowed(known: Known, op: str, k: int, wanted: bool) -> Known | None:
    """What is known of a number after a comparison with k."""
    if op == "==":
        return known.equal(k) if wanted else known.other(k)
    low = k + 1 if op == ">" else k
    return known.between(low, MASK) if wanted else known.between(0, low - 1)


def ways(formula: Formula, wanted: bool, facts: Facts) -> list[Facts]:
    """The facts of each way in which a formula holds, or does not; those given where many."""
    if isinstance(formula, Test):
        learned = facts.learn(formula if wanted else formula.negated())
        return [] if learned is None else [learned]
    if isinstance(formula, Constant):
        return [facts] if formula.accepted == wanted else []
    if isinstance(formula, Not):
        return ways(formula.part, not wanted, facts)
    decisive = isinstance(formula, Or)
    assert isinstance(formula, (And, Or))
    found: list[Facts] = []
    open_ones = [facts]
    for part in formula.parts:
        if wanted is decisive:
            found += [new for old in open_ones for new in ways(part, decisive, old)]
        open_ones = [new for old in open_ones for new in ways(part, not decisive, old)]
        if len(open_ones) + len(found) > WAYS:
            return [facts]
    return found if wanted is decisive else open_ones


def may_be(formula: Formula, given: Formula) -> bool:
    """False where a formula cannot hold on a packet on which `given` does.

    A run that ends in it does not hold either; a note that may return A is left open.
    """
    return any(possible(formula, facts) for facts in ways(given, True, Facts()))


def must_be(formula: Formula, given: Formula) -> bool:
    """True where a formula holds on each packet on which `given` does, and reads nothing new."""
    return all(outcome(formula, facts) is True for facts in ways(given, True, Facts()))


def possible(formula: Formula, facts: Facts) -> bool:
    """Whether a formula may hold."""
    if isinstance(formula, Test):
        notes = any(isinstance(p, Note) for s in (*formula.needs, formula.left) for p in parts(s))
        return notes or facts.decide(formula) is not False
    if isinstance(formula, Constant):
        return formula.accepted
    if isinstance(formula, Not):
        return True
    each = [possible(part, facts) for part in formula.parts]
    return all(each) if isinstance(formula, And) else any(each)


def outcome(formula: Formula, facts: Facts) -> bool | None:
    """A formula's value, where it is fixed without reading anything new."""
    if isinstance(formula, Test):
        return facts.decide(formula) if set(formula.needs) <= facts.read else None
    if isinstance(formula, Constant):
        return formula.accepted
    if isinstance(formula, Not):
        inner = outcome(formula.part, facts)
        return None if inner is None else not inner
    decisive = isinstance(formula, Or)
    for part in formula.parts:
        value = outcome(part, facts)
        if value is None or value is decisive:
            return value
    return not decisive
