"""Tests of a BPF program as the stack machine can ask them: comparisons of 16 bits.

    P[26:4] == 0xc0000201      ("AND", (word 13 EQ 0xc000, word 14 EQ 0x0201))
    P[23:1] == 6               word 11, PUSH00FF|AND, EQ 6
    P[4*(P[14:1]&0xf)+16:2]    word 7, shifted and masked, plus 8, PUSHIND

Raises BpfError for what CSPF cannot say: the packet's length, Linux's notes, values of more
than 16 bits in arithmetic, a variable place that may be odd.

Left out: what stands before what in the program (`stack_code`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.symbols import Calculation, Load, Number, Symbol
from bpfnb.cbpf.cspf import CspfWord
from bpfnb.cbpf.cspf_opcodes import ACTIONS, LONGEST, MASK, OPERATORS, PUSHWORD
from bpfnb.errors import BpfError

__all__ = ["Compare", "Compares", "compares", "push", "word"]

ACTION = {row.name: row for row in ACTIONS}
OPERATOR = {row.name: row for row in OPERATORS}
SHORT = {0: "PUSHZERO", 1: "PUSHONE", 0xFFFF: "PUSHFFFF", 0xFF: "PUSH00FF", 0xFF00: "PUSHFF00"}
OPPOSITE = {"EQ": "NEQ", "NEQ": "EQ", "GT": "LE", "LE": "GT", "GE": "LT", "LT": "GE"}
ARITHMETIC = {"add": "ADD", "sub": "SUB", "and": "AND", "or": "OR", "xor": "XOR", "lsh": "LSH",
              "rsh": "RSH"}  # fmt: skip


@dataclass(frozen=True)
class Compare:
    """A comparison of 16 bits: `left` leaves one value, `right` another; then `operator`."""

    left: tuple[CspfWord, ...]
    operator: str
    right: tuple[CspfWord, ...]

    def negated(self) -> Compare:
        """The opposite."""
        return Compare(self.left, OPPOSITE[self.operator], self.right)


Compares = Compare | tuple[str, tuple["Compares", ...]] | bool  # a tuple begins with AND or OR


def word(action: str, operator: str = "NOP", number: int = 0, literal: int = 0) -> CspfWord:
    """An instruction by its names."""
    return CspfWord(ACTION[action], OPERATOR[operator], number, literal)


def push(number: int, operator: str = "NOP") -> CspfWord:
    """An instruction that pushes a constant, in one word if it can."""
    if number in SHORT:
        return word(SHORT[number], operator)
    return word("PUSHLIT", operator, literal=number)


def compares(formula: Formula, wanted: bool) -> Compares:
    """A formula, or its opposite, as comparisons of 16 bits under AND and OR."""
    if isinstance(formula, Constant):
        return formula.accepted == wanted
    if isinstance(formula, Not):
        return compares(formula.part, not wanted)
    if isinstance(formula, Test):
        made = of_test(formula)
        return made if formula.wanted == wanted else opposite(made)
    kind = "AND" if isinstance(formula, And) == wanted else "OR"
    return under(kind, *(compares(part, wanted) for part in formula.parts))


def under(kind: str, *parts: Compares) -> Compares:
    """Parts under one operator; those of its kind taken out, constants decided."""
    flat: list[Compares] = []
    for part in parts:
        if isinstance(part, bool):
            if part is (kind == "OR"):
                return part
        elif isinstance(part, tuple) and part[0] == kind:
            flat += part[1]
        else:
            flat.append(part)
    if not flat:
        return kind == "AND"
    return flat[0] if len(flat) == 1 else (kind, tuple(flat))


def opposite(made: Compares) -> Compares:
    """De Morgan's law."""
    if isinstance(made, bool):
        return not made
    if isinstance(made, Compare):
        return made.negated()
    return ("OR" if made[0] == "AND" else "AND", tuple(map(opposite, made[1])))


def of_test(test: Test) -> Compares:
    """A test, as if it were wanted to hold."""
    if not test.op:
        return True  # it only loads: whole packets have it
    left, mask = masked(test.left)
    if isinstance(test.right, Number) and isinstance(left, Load) and aligned(left):
        return of_pieces(test, list(pieces(left, mask)), test.right.k)
    name = {"==": "EQ", ">": "GT", ">=": "GE"}.get(test.op)
    if name is None:
        common = Calculation("and", test.left, test.right)
        return Compare(tuple(value(common)), "NEQ", (push(0),))
    if isinstance(test.right, Number) and test.right.k > MASK:
        value(test.left)  # that has 16 bits
        return False
    return Compare(tuple(value(test.left)), name, tuple(value(test.right)))


def masked(symbol: Symbol) -> tuple[Symbol, int]:
    """A load, and which of its bits are kept."""
    mask = 0xFFFFFFFF
    while isinstance(symbol, Calculation) and symbol.op == "and":
        kept = symbol.right
        if not isinstance(kept, Number):
            break
        symbol, mask = symbol.left, mask & kept.k
    return symbol, mask


def pieces(load: Load, mask: int) -> Iterator[tuple[tuple[CspfWord, ...], int, int]]:
    """The words that a load lies in, the upper first: how each is pushed, how its value lies.

    Each comes with its mask, and the bits by which the load's value must be shifted right,
    left where that is negative, to lie as the word does.
    """
    first, last = load.k // 2, (load.k + load.size - 1) // 2
    for number in range(first, last + 1):
        shift = 8 * (load.k + load.size - 2 * number - 2)
        inside = mask & (1 << 8 * load.size) - 1
        yield pushed(load, number), shifted(inside, shift) & MASK, shift


def pushed(load: Load, number: int) -> tuple[CspfWord, ...]:
    """How a word of the packet is pushed: by its number, behind an index or not."""
    if load.index is None:
        if number > LONGEST - 1 - PUSHWORD:
            raise BpfError(f"CSPF cannot say this filter: its words end at byte {2 * LONGEST - 33}")
        return (word("PUSHWORD", number=number),)
    if number > MASK:
        raise BpfError(f"CSPF cannot say this filter: it has no word at {load}")
    return (*indexed(load.index), push(number, "ADD"), word("PUSHIND"))


def indexed(index: Symbol) -> list[CspfWord]:
    """What leaves half of an index, which must be even."""
    if isinstance(index, Calculation):
        number, other = index.right, index.left
        if index.op == "lsh" and isinstance(number, Number) and number.k > 0:
            return shifted_left(other, number.k - 1)
        if isinstance(other, Number):
            number, other = other, number
        if index.op == "mul" and isinstance(number, Number) and number.k % 2 == 0:
            return times(other, number.k // 2)
    raise BpfError(f"CSPF cannot say this filter: PUSHIND counts words, and {index} counts bytes")


def times(symbol: Symbol, factor: int) -> list[CspfWord]:
    """A product, by a shift."""
    if factor.bit_count() != 1:
        raise BpfError(f"CSPF cannot say this filter: it has no multiplication, by {factor}")
    return shifted_left(symbol, factor.bit_length() - 1)


def shifted_left(symbol: Symbol, shift: int) -> list[CspfWord]:
    """A value shifted left, if at all."""
    return value(Calculation("lsh", symbol, Number(shift)) if shift else symbol)


def aligned(load: Load) -> bool:
    """Whether it is known in which words it lies, if not where they are."""
    return load.index is None or load.k < 1 << 16


def of_pieces(test: Test, found: list[tuple[tuple[CspfWord, ...], int, int]], k: int) -> Compares:
    """A field against a number, piece by piece."""
    load, mask = masked(test.left)
    assert isinstance(load, Load)
    whole = mask & (1 << 8 * load.size) - 1
    if test.op == "&":
        bits = [(how, kept & shifted(k, by)) for how, kept, by in found]
        return under("OR", *(Compare(kept_of(how, m), "NEQ", (push(0),)) for how, m in bits if m))
    if test.op == "==":
        if k & ~whole:
            return False
        return under(
            "AND",
            *(
                Compare(kept_of(how, m), "EQ", (push(shifted(k, by) & m),))
                for how, m, by in found
                if m
            ),
        )
    return greater(found, test.op, k, whole)


def greater(
    found: list[tuple[tuple[CspfWord, ...], int, int]], op: str, k: int, whole: int
) -> Compares:
    """Greater, or as great: in the upper word, or there the same and in the lower ones."""
    if op == ">=":
        if k == 0:
            return True
        op, k = ">", k - 1  # now only > is to be said
    if k >= whole:
        return False
    made: Compares = False
    for how, mask, by in reversed(found):
        left = kept_of(how, mask)
        there = shifted(k, by) & MASK
        if not mask:
            made = made if not there else False
            continue
        # bits of k outside the mask: a masked word is greater than k's word or it is not
        above = Compare(left, "GT", (push(there),))
        if made is False:
            made = above
        elif there & ~mask:
            made = above  # the two words cannot be the same
        else:
            made = under("OR", above, under("AND", Compare(left, "EQ", (push(there),)), made))
    return made


def shifted(k: int, by: int) -> int:
    """A number where a word has it."""
    return k >> by if by >= 0 else k << -by & MASK


def kept_of(how: tuple[CspfWord, ...], mask: int) -> tuple[CspfWord, ...]:
    """A word of the packet, and only some of its bits."""
    return how if mask == MASK else (*how, push(mask, "AND"))


def value(symbol: Symbol) -> list[CspfWord]:
    """What leaves a value of up to 16 bits on the stack."""
    if most(symbol) > MASK:
        raise BpfError(f"CSPF cannot say this filter: {symbol} may have more than 16 bits")
    if isinstance(symbol, Number):
        return [push(symbol.k)]
    if isinstance(symbol, Load):
        return loaded(symbol)
    if isinstance(symbol, Calculation):
        if symbol.op == "mul":
            number, other = symbol.left, symbol.right
            if isinstance(other, Number):
                number, other = other, number
            if isinstance(number, Number):
                return times(other, number.k)
        elif symbol.op in ARITHMETIC:
            *first, last = value(symbol.right)
            name = ARITHMETIC[symbol.op]
            if first or last.operator.code or last.action.name == "PUSHIND":
                return [*value(symbol.left), *first, last, word("NOPUSH", name)]
            return [*value(symbol.left), word(last.action.name, name, last.word, last.literal)]
    raise BpfError(f"CSPF cannot say this filter: it has no word for {symbol}")


def loaded(load: Load) -> list[CspfWord]:
    """A byte or a half word, in the lower bits."""
    found = list(pieces(load, MASK))
    if len(found) == 1:
        ((how, mask, by),) = found
        left = list(kept_of(how, mask))
        return [*left, push(-by, "RSH")] if by < 0 else left
    (upper, _, _), (lower, _, _) = found
    return [
        *kept_of(upper, 0xFF), push(8, "LSH"), *lower, push(8, "RSH"), word("NOPUSH", "OR"),
    ]  # fmt: skip


def most(symbol: Symbol) -> int:
    """A bound of a value; a great one where none is known."""
    unknown = 1 << 32
    if isinstance(symbol, Number):
        return symbol.k
    if isinstance(symbol, Load):
        return (1 << 8 * symbol.size) - 1
    if not isinstance(symbol, Calculation):
        return unknown
    left, right = most(symbol.left), most(symbol.right)
    if symbol.op == "and":
        return min(left, right)
    if symbol.op in ("or", "xor"):
        return (1 << max(left, right).bit_length()) - 1
    if symbol.op in ("add", "mul"):
        return min(left + right if symbol.op == "add" else left * right, unknown)
    if symbol.op == "rsh":
        return left >> symbol.right.k if isinstance(symbol.right, Number) else left
    if symbol.op == "lsh" and isinstance(symbol.right, Number) and symbol.right.k < 32:
        return min(left << symbol.right.k, unknown)
    return unknown
