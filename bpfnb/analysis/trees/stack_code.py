"""A formula of tests -> a CSPF program, the way filters were written before BPF.

    stack_code(tree.root)                        everything, then AND and OR
    stack_code(tree.root, short_circuit=True)    CAND and COR where they fit

Passes, each on what the one before made:

    compares    each test becomes comparisons of 16 bits (`stack_compares`)
    code        from left to right, operands before their operator

A short-circuit operator ends the whole program.  So it stands for an operator on top, an
AND or an OR, and for what is below its last part; everything else is calculated.

The program accepts what the formula accepts, on packets that have all the words it names:
a tree machine evaluates all of them, and rejects a packet that lacks one.  Raises BpfError
for what CSPF cannot say.

Source: SOSP 1987, figures 3-8 and 3-9.
"""

from __future__ import annotations

from bpfnb.analysis.trees.boolean import Formula
from bpfnb.analysis.trees.stack_compares import Compare, Compares, compares, push, word
from bpfnb.cbpf.cspf import CspfProgram, CspfWord

__all__ = ["stack_code"]


def stack_code(formula: Formula, short_circuit: bool = False) -> CspfProgram:
    """A program that accepts what a formula accepts.

    >>> from bpfnb.analysis.trees.boolean import And
    >>> from bpfnb.analysis.trees.decisions import Test
    >>> from bpfnb.analysis.trees.symbols import Load, Number
    >>> ip = Test(0, "==", Load(12, 2), Number(0x800))
    >>> icmp = Test(0, "==", Load(23, 1), Number(1))
    >>> print(stack_code(And((ip, icmp)), short_circuit=True))
    PUSHWORD+6
    PUSHLIT|CAND 0x0800
    PUSHWORD+11
    PUSH00FF|AND
    PUSHONE|EQ
    """
    asked = compares(formula, True)
    insns = spine(asked) if short_circuit else code(asked)
    return CspfProgram(tuple(insns))


def code(asked: Compares) -> list[CspfWord]:
    """Everything, operands before their operator: what leaves 1 or 0."""
    if isinstance(asked, bool):
        return [push(int(asked))]
    if isinstance(asked, Compare):
        return closed(asked, asked.operator)
    kind, (first, *rest) = asked
    made = code(first)
    for part in rest:
        made += [*code(part), word("NOPUSH", kind)]
    return made


def closed(asked: Compare, operator: str) -> list[CspfWord]:
    """Both values, and an operator in the last word if that has room for it."""
    *first, last = asked.right
    if first or last.operator.code:
        return [*asked.left, *asked.right, word("NOPUSH", operator)]
    merged = word(last.action.name, operator, last.word, last.literal)
    return [*asked.left, merged]


def spine(asked: Compares) -> list[CspfWord]:
    """The same with short-circuit operators: for the operator on top, and below its last part."""
    if isinstance(asked, (bool, Compare)):
        return code(asked)
    kind, (*early, last) = asked
    made: list[CspfWord] = []
    for part in early:
        made += ending(part, kind)
    return [*made, *spine(last)]


def ending(part: Compares, kind: str) -> list[CspfWord]:
    """A part that ends the program if it decides it."""
    same, other = ("CAND", "CNOR") if kind == "AND" else ("COR", "CNAND")
    if isinstance(part, Compare) and part.operator in ("EQ", "NEQ"):
        return closed(part, same if part.operator == "EQ" else other)
    return [*code(part), push(1, same)]
