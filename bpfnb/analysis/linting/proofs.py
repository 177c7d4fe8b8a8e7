"""What no packet does: asked of z3 where no run has shown the opposite.

    proofs = Proofs(program, rules, seconds)
    proofs.reached[pc], proofs.dead       what some packet comes to, ways that none takes
    proofs.before(pc)                     the tests that each packet there has behind it
    proofs.core(literals, condition)      those of them that rule a condition out

A `Literal` is what an instruction has found, (pc, way): a test that was true or false, or,
with None, a load or a division that did not end the program.  What is not decided in time
counts as possible, and `open` counts such questions.

Left out: what it means to a reader (`lint` and its neighbours).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bpfnb.analysis.linting.sampling import Sampling
from bpfnb.analysis.proving.any_packet import AnyPacket
from bpfnb.analysis.proving.formula import mean
from bpfnb.analysis.proving.solve import Search
from bpfnb.analysis.proving.terms import Condition, all_of, negated, truth
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.checker import require, unsafe_reads
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import UndecidedError

__all__ = ["Literal", "Proofs"]

Literal = tuple[int, bool | None]
SHORT = 512  # bytes of a packet that z3 is asked for first
SHARE = 0.25  # of the time left that one question may take
AT_MOST = 0.3  # of the time that is spent on packets


@dataclass(frozen=True)
class Link:
    """A literal that all packets at some place have behind them, and those before it."""

    literal: Literal
    parent: Link | None
    depth: int


class Proofs:
    """Everything that lint asks about one program."""

    def __init__(self, program: Program, rules: str, seconds: float, max_len: int) -> None:
        require(program, rules)
        self.program, self.rules, self.seconds = program, rules, seconds
        self.about = AnyPacket(max_len)
        self.search = Search(self.about, seconds)
        self.deadline = self.search.deadline
        self.meaning = mean(program, self.about, rules, self.deadline)
        self.sampling = Sampling(program)
        if runs_alike(program, rules):
            self.sampling.explore(AT_MOST * seconds)
        self.open = 0
        self.dead: set[Literal] = set()
        self.reached = [False] * len(program)
        self.links: dict[int, Link | None] = {}
        self.decide()

    def model(self, *conditions: Condition) -> Any:
        """A model, None where there is none; UndecidedError when its share of time is over."""
        if any(each is False for each in conditions):
            return None
        now = time.monotonic()
        self.search.deadline = min(self.deadline, now + max(SHARE * (self.deadline - now), 0.05))
        return self.search.model([each for each in conditions if each is not True])

    def never(self, *conditions: Condition) -> bool:
        """Whether it is proved that no packet meets all conditions; False where it is not known."""
        try:
            return self.model(*conditions) is None
        except UndecidedError:
            self.open += 1
            return False

    def possible(self, pc: int, *conditions: Condition) -> bool:
        """Whether a packet meets conditions at pc; it is kept, for others to run on."""
        try:
            model = self.model(self.meaning.reached[pc], *conditions)
            if model is None:
                return False
            short = self.model(self.meaning.reached[pc], *conditions, self.about.caplen <= SHORT)
        except UndecidedError:
            self.open += 1
            return True
        if short is not None and runs_alike(self.program, self.rules) and not self.about.guessed:
            length = self.search.number(short, self.about.caplen)
            self.sampling.add(self.search.read(short, length))
            self.sampling.explore(AT_MOST * max(self.deadline - time.monotonic(), 0))
        return True

    @property
    def late(self) -> bool:
        """Whether time is over."""
        return time.monotonic() > self.deadline

    @property
    def left_open(self) -> str:
        """What was not decided, in words; "" for nothing."""
        if not self.open and not self.late:
            return ""
        return f"not all was decided within {self.seconds:g} s: there may be more"

    def decide(self) -> None:
        """Which instructions packets come to, and by which ways, in the program's order."""
        arriving: dict[int, list[Link | None]] = {0: [None]}
        for pc in range(len(self.program)):
            if pc not in arriving:
                continue
            self.reached[pc] = True
            self.links[pc] = meeting(arriving.pop(pc))
            for target, literal in self.ways(pc):
                if literal is None:
                    arriving.setdefault(target, []).append(self.links[pc])
                elif self.taken(pc, literal, target):
                    arriving.setdefault(target, []).append(link(literal, self.links[pc]))
                else:
                    self.dead.add(literal)

    def ways(self, pc: int) -> list[tuple[int, Literal | None]]:
        """Where it goes on, each with what has been found then."""
        if pc in self.meaning.ways:
            insn = self.program.insns[pc]
            return [(pc + 1 + insn.jt, (pc, True)), (pc + 1 + insn.jf, (pc, False))]
        literal = (pc, None) if pc in self.meaning.passes else None
        return [(target, literal) for target, _ in successors(self.program.insns, pc)]

    def taken(self, pc: int, literal: Literal, target: int) -> bool:
        """Whether a packet takes a way."""
        if self.sampling.ways.get((pc, target)):
            return True
        if literal[1] is False and (pc, True) in self.dead:
            return True  # pc is reached, and one of two ways is taken
        return self.possible(pc, self.condition(literal))

    def condition(self, literal: Literal) -> Condition:
        """A literal as a condition."""
        pc, way = literal
        if way is None:
            return self.meaning.passes[pc]
        return self.meaning.ways[pc] if way else negated(self.meaning.ways[pc])

    def before(self, pc: int) -> list[Literal]:
        """What each packet that comes to pc has behind it, the first one first."""
        found, at = [], self.links.get(pc)
        while at is not None:
            found.append(at.literal)
            at = at.parent
        return found[::-1]

    def core(self, literals: Sequence[Literal], *conditions: Condition) -> list[Literal] | None:
        """As few of the literals as rule the conditions out; None where all of them do not."""
        kept = list(literals)
        wanted = self.blamed(kept, conditions)
        if wanted is None:
            return None
        kept = wanted
        for each in list(kept):
            without = [other for other in kept if other != each]
            less = self.blamed(without, conditions)
            if less is not None:
                kept = [other for other in kept if other in less]
        return kept

    def blamed(
        self, literals: Sequence[Literal], conditions: Sequence[Condition]
    ) -> list[Literal] | None:
        """Those literals that z3 needed, None where they do not contradict the conditions."""
        known = [(each, self.condition(each)) for each in literals]
        if any(condition is False for condition in conditions):
            return []
        for each, condition in known:
            if condition is False:
                return [each]
        if not self.never(*(condition for _, condition in known), *conditions):
            return None
        core = {each.get_id() for each in self.search.solver.unsat_core()}
        return [each for each, condition in known if truth(condition).get_id() in core]

    def always_passes(self, pc: int) -> bool:
        """Whether it is proved that pc ends no program that has come to it."""
        passes = self.meaning.passes.get(pc, True)
        return passes is True or self.never(self.meaning.reached[pc], negated(passes))

    def arrives(self, pc: int, *conditions: Condition) -> Condition:
        """That a packet comes to pc and meets conditions there."""
        return all_of(self.meaning.reached[pc], *conditions)


def link(literal: Literal, parent: Link | None) -> Link:
    """One literal more."""
    return Link(literal, parent, parent.depth + 1 if parent else 1)


def meeting(links: Sequence[Link | None]) -> Link | None:
    """What all have in common."""
    one, *others = links
    for other in others:
        two = other
        while one is not two:
            deep = (one.depth if one else 0) >= (two.depth if two else 0)
            if deep and one is not None:
                one = one.parent
            elif two is not None:
                two = two.parent
    return one


def runs_alike(program: Program, rules: str) -> bool:
    """Whether our own machine, which is Linux's, shows what one with these rules does."""
    if rules == "linux":
        return True
    for insn in program.insns:
        row = BY_CODE[insn.code]
        if row.form is Form.IND or (row.form is Form.X and row.mnemonic in ("lsh", "rsh")):
            return False
        if row.size and insn.k >= 1 << 30:
            return False
    return not unsafe_reads(program)
