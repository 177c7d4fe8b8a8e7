"""Formulas of tests: And, Or, Not; what they hold on a packet, and their opposites.

Operators look at their parts from left to right, and stop when they know.  Nothing
here changes that order, so that a formula rewritten here ends where it did before.

Left out: how a program becomes one (`tree`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.symbols import Seen

__all__ = [
    "And",
    "Constant",
    "Formula",
    "Not",
    "Or",
    "both",
    "grouped",
    "holds",
    "leaves",
    "negated",
    "operations",
]


@dataclass(frozen=True)
class Constant:
    """Every packet, or none."""

    accepted: bool


@dataclass(frozen=True)
class And:
    """All of the parts."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Or:
    """Any of the parts."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Not:
    """Not the part."""

    part: Formula


Formula = Constant | And | Or | Not | Test


def leaves(formula: Formula) -> Iterator[Test]:
    """The tests, from left to right."""
    work = [formula]
    while work:
        each = work.pop()
        if isinstance(each, Test):
            yield each
        elif isinstance(each, Not):
            work.append(each.part)
        elif isinstance(each, (And, Or)):
            work += reversed(each.parts)


def operations(formula: Formula) -> int:
    """How many binary operations and Nots."""
    if isinstance(formula, (And, Or)):
        return len(formula.parts) - 1 + sum(map(operations, formula.parts))
    return 1 + operations(formula.part) if isinstance(formula, Not) else 0


def holds(formula: Formula, seen: Seen) -> bool:
    """A formula's value; parts from left to right, as far as they are needed."""
    if isinstance(formula, Test):
        return formula.value(seen)
    if isinstance(formula, Constant):
        return formula.accepted
    if isinstance(formula, Not):
        return not holds(formula.part, seen)
    decisive = isinstance(formula, Or)
    for part in formula.parts:
        if holds(part, seen) is decisive:
            return decisive
    return not decisive


def negated(formula: Formula) -> Formula:
    """The opposite, with the nots in the tests; looked at in the same order."""
    if isinstance(formula, Test):
        return formula.negated()
    if isinstance(formula, Constant):
        return Constant(not formula.accepted)
    if isinstance(formula, Not):
        return formula.part
    other = Or if isinstance(formula, And) else And
    return other(tuple(negated(part) for part in formula.parts))


def both(kind: type[And] | type[Or], *parts: Formula) -> Formula:
    """Parts under one operator; those of the same kind within are taken out."""
    flat: list[Formula] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    return kind(tuple(flat))


def grouped(formula: Formula) -> Formula:
    """Neighbours that want "no" under one Not.

    >>> from bpfnb.analysis.trees.symbols import Number
    >>> tests = [Test(0, "==", Number(k), Number(k), wanted=False) for k in (1, 2)]
    >>> found = grouped(And(tuple(tests)))
    >>> type(found.part).__name__, [str(test) for test in found.part.parts]
    ('Or', ['1 == 1', '2 == 2'])
    """
    if not isinstance(formula, (And, Or)):
        return formula
    dual = Or if isinstance(formula, And) else And
    made: list[Formula] = []
    for run in runs(formula.parts):
        if len(run) > 1:
            made.append(Not(grouped(both(dual, *map(negated, run)))))
        elif refuses(run[0]) and not isinstance(run[0], Test):
            made.append(Not(grouped(negated(run[0]))))
        else:
            made.append(grouped(run[0]))
    return type(formula)(tuple(made)) if len(made) > 1 else made[0]


def runs(parts: Sequence[Formula]) -> Iterator[list[Formula]]:
    """Parts one by one, but from one that wants "no" to the next ones together."""
    run: list[Formula] = []
    maybe: list[Formula] = []  # what may belong to the run, if another "no" follows
    for part in parts:
        if run and refuses(part):
            run += [*maybe, part]
            maybe = []
        elif run and isinstance(part, Test) and part.op not in ("==", ""):
            maybe.append(part)
        else:
            yield from filter(None, (run, *([each] for each in maybe)))
            run, maybe = ([part], []) if refuses(part) else ([], [])
            if not run:
                yield [part]
    yield from filter(None, (run, *([each] for each in maybe)))


def refuses(formula: Formula) -> bool:
    """Whether its tests want "no"; one of bits or bounds says so as plainly as its opposite."""
    tests = list(leaves(formula))
    equal = [test for test in tests if test.op in ("==", "")]
    return bool(equal) and not any(test.wanted for test in equal)
