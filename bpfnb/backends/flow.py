"""Passes over a checked program before other code is made of it; each finds one thing.

    known_bytes     how long the packet surely is before each instruction
    choices         runs of jeqs that ask whether A is one of several numbers
    pairs           two loads, each compared with numbers, that lead to one place
    reached         which instructions are left when choices are asked at once

Choices and pairs are what filters for ports and addresses are made of.  As one
comparison without a branch between they leave the processor less to guess.
Left out: making code of what is found (`lowering`, `structure` and `python_source`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form, find
from bpfnb.cbpf.program import Program

__all__ = [
    "SIGNED",
    "Choice",
    "Pair",
    "choices",
    "constant_end",
    "known_bytes",
    "pairs",
    "reached",
    "targets",
]

SIGNED = 0x80000000  # offsets from here on count from the network or link header
LANES = 16  # numbers that are compared at once
JEQ = find("jeq", Form.IMM_TARGETS)


@dataclass(frozen=True)
class Choice:
    """pc <- true if A is one of ks, else false.

    `rest` are the pcs behind the first jeq that nothing else leads to, `shared` those
    behind them that others lead to as well: they are asked here and stay for the others.
    """

    ks: tuple[int, ...]
    true: int
    false: int
    rest: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()

    @property
    def others(self) -> tuple[int, ...]:
        """The pcs that are asked together with the first."""
        return self.rest + self.shared


@dataclass(frozen=True)
class Pair:
    """Loads at `first` and `second`; A one of the ks of either leads to `true`, else `false`."""

    first: int
    second: int
    choices: tuple[Choice, Choice]

    @property
    def true(self) -> int:
        """Where one that is met leads."""
        return self.choices[0].true

    @property
    def false(self) -> int:
        """Where none leads."""
        return self.choices[1].false


def constant_end(insn: Insn) -> int | None:
    """One past the last byte that a load at a constant offset reads; None for others."""
    row = BY_CODE[insn.code]
    if row.form not in (Form.ABS, Form.MSH) or insn.k >= SIGNED:
        return None
    return insn.k + row.size


def known_bytes(program: Program, trusted: int) -> list[int | None]:
    """How many bytes the packet has for certain before each instruction; None: none leads there.

    `trusted` bytes it has at the start; a load that went well proves more.  Ways
    that meet know what the poorest of them knew.
    """
    known: list[int | None] = [None] * len(program)
    known[0] = trusted
    for pc, insn in enumerate(program.insns):
        before = known[pc]
        if before is None:
            continue
        after = max(before, constant_end(insn) or 0)
        for target, _ in successors(program.insns, pc):
            there = known[target]
            known[target] = after if there is None else min(there, after)
    return known


def ways_in(program: Program) -> Counter[int]:
    """How many instructions lead to each."""
    return Counter(
        target for pc in range(len(program)) for target, _ in successors(program.insns, pc)
    )


def choices(program: Program) -> dict[int, Choice]:
    """The jeqs, each with those that follow where it fails and lead to the same place.

    A jeq that is part of another's choice has none of its own.
    """
    ways, found, part = ways_in(program), dict[int, Choice](), set[int]()
    for pc, insn in enumerate(program.insns):
        if BY_CODE[insn.code] is JEQ and pc not in part:
            found[pc] = choice(program, ways, pc)
            part.update(found[pc].rest)
    return found


def choice(program: Program, ways: Mapping[int, int], pc: int) -> Choice:
    """The choice that begins with the jeq at pc."""
    insns = program.insns
    true, false = pc + 1 + insns[pc].jt, pc + 1 + insns[pc].jf
    ks, rest, shared = [insns[pc].k], list[int](), list[int]()
    while len(ks) < LANES and BY_CODE[insns[false].code] is JEQ:
        if false + 1 + insns[false].jt != true:
            break
        ks.append(insns[false].k)
        (rest if ways[false] == 1 and not shared else shared).append(false)
        false += 1 + insns[false].jf
    return Choice(tuple(ks), true, false, tuple(rest), tuple(shared))


def targets(program: Program, chosen: Mapping[int, Choice], pc: int) -> tuple[int, ...]:
    """Where control goes after pc: true before false."""
    insn = program.insns[pc]
    row = BY_CODE[insn.code]
    if row.cls is Class.RET:
        return ()
    if pc in chosen:
        found: tuple[int, ...] = (chosen[pc].true, chosen[pc].false)
    elif row.form.jumps:
        found = (pc + 1 + insn.jt, pc + 1 + insn.jf)
    else:
        found = (pc + 1 + insn.k if row.form is Form.TARGET else pc + 1,)
    return found[:1] if len(set(found)) == 1 else found


def reached(program: Program, chosen: Mapping[int, Choice]) -> Counter[int]:
    """How many ways lead to each instruction that is reached at all."""
    ways = Counter({0: 1})
    for pc in range(len(program)):
        if ways[pc]:
            ways.update(targets(program, chosen, pc))
    return ways


def pairs(program: Program, chosen: Mapping[int, Choice]) -> dict[int, Pair]:
    """By the pc of its first load: two loads in a row that one comparison can judge."""
    ways, found = ways_in(program), dict[int, Pair]()
    for pc, insn in enumerate(program.insns):
        one = chosen.get(pc + 1)
        if one is None or not plain_load(insn) or ways[pc + 1] != 1 or ways[one.false] != 1:
            continue
        second, two = program.insns[one.false], chosen.get(one.false + 1)
        if two is None or two.true != one.true or ways[one.false + 1] != 1:
            continue
        if plain_load(second) and BY_CODE[second.code].form is BY_CODE[insn.code].form:
            found[pc] = Pair(pc, one.false, (one, two))
    return found


def plain_load(insn: Insn) -> bool:
    """Whether it loads A from the packet's own bytes."""
    form = BY_CODE[insn.code].form
    return form is Form.IND or (form is Form.ABS and insn.k < SIGNED and insn.k not in BY_K)
