"""Where two programs part: their listings side by side, and whether it matters.

    difference(p, q).rows        pairs of instructions, with "=", "≠", "−" or "+"
    difference(p, q).answer      a Proof, or a Counterexample: the packet that tells them apart
    difference(p, q).parting     the last instructions that both runs on it have in common

Instructions are aligned by opcode and operand; targets are compared by where they lead in the
alignment, so that a program with an instruction more differs in that one alone.

Left out: laying it out (`views.difference`), and the proof itself (`equivalence`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from bpfnb.cbpf.checker import require
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import UndecidedError

if TYPE_CHECKING:
    from bpfnb.analysis.equivalence import Counterexample, Proof, Question

__all__ = ["Difference", "Row", "difference", "rows"]

Sign = Literal["=", "≠", "−", "+"]


@dataclass(frozen=True)
class Row:
    """An instruction of the first program beside one of the second; None where it has none.

    `sign` is "=" where they are the same and lead to the same, "≠" where they differ, "−"
    where only the first program has one, "+" where only the second.
    """

    p: int | None
    q: int | None
    sign: Sign


@dataclass(frozen=True)
class Parting:
    """Where the runs on one packet part: behind `p` and `q`, to `p_next` and `q_next`.

    None for a program whose run has ended there, or, at the start, has not begun.
    """

    p: int | None
    q: int | None
    p_next: int | None
    q_next: int | None


@dataclass(frozen=True)
class Difference:
    """Two programs side by side; `answer` is None where it is `undecided`, which says why."""

    p: Program
    q: Program
    rows: tuple[Row, ...]
    answer: Proof | Counterexample | None = None
    undecided: str = ""

    @property
    def differs(self) -> bool | None:
        """Whether a packet tells the programs apart; None where that is not decided."""
        return None if self.answer is None else not self.answer

    @cached_property
    def region(self) -> range:
        """The rows from the first that differs to the last."""
        apart = [at for at, row in enumerate(self.rows) if row.sign != "="]
        return range(apart[0], apart[-1] + 1) if apart else range(0)

    @cached_property
    def parting(self) -> Parting | None:
        """Where the runs on the packet part; None where no packet was found."""
        if self.answer is None or not hasattr(self.answer, "traces"):
            return None
        one, two = self.answer.traces
        return parting(one.path, two.path, self.rows)


def difference(question: Question, seconds: float) -> Difference:
    """Two programs side by side, and whether they mean the same.

    Without z3 UnavailableError; CheckError for a program that the rules refuse.
    """
    from bpfnb.analysis.equivalence import equivalent

    for each in question.programs:
        require(each, question.rules)
    aligned = rows(question.p, question.q)
    try:
        answer = equivalent(question, seconds)
    except UndecidedError as error:
        return Difference(question.p, question.q, aligned, None, error.message)
    return Difference(question.p, question.q, aligned, answer)


def rows(p: Program, q: Program) -> tuple[Row, ...]:
    """The instructions of two programs in pairs.

    >>> one = Program.from_insns([(0x30, 0, 0, 9), (0x15, 0, 1, 6), (6, 0, 0, 1), (6, 0, 0, 0)])
    >>> two = Program.from_insns([(0x30, 0, 0, 9), (0x15, 0, 1, 17), (6, 0, 0, 1), (6, 0, 0, 0)])
    >>> "".join(row.sign for row in rows(one, two))
    '=≠=='
    """
    pairs = list(paired(p, q))
    ahead = (next_pair(pairs, 0), next_pair(pairs, 1))
    return tuple(Row(one, two, sign(p, q, one, two, ahead)) for one, two in pairs)


def next_pair(pairs: Sequence[tuple[int | None, int | None]], which: int) -> dict[int, int]:
    """For each pc of one program the pair that it stands in, or comes to first."""
    found, at = {}, len(pairs)
    for index in range(len(pairs) - 1, -1, -1):
        pc = pairs[index][which]
        if None not in pairs[index]:
            at = index
        if pc is not None:
            found[pc] = at
    return found


def paired(p: Program, q: Program) -> Iterator[tuple[int | None, int | None]]:
    """Instructions that belong together, by opcode and operand, else by opcode."""
    matcher = SequenceMatcher(None, keys(p.insns), keys(q.insns), autojunk=False)
    for kind, start, stop, start_q, stop_q in matcher.get_opcodes():
        if kind == "equal":
            yield from zip(range(start, stop), range(start_q, stop_q), strict=True)
        else:
            yield from alike(p, q, range(start, stop), range(start_q, stop_q))


def keys(insns: Sequence[Insn]) -> list[tuple[int, int]]:
    """What instructions are aligned by: all but where they lead."""
    return [(i.code, 0 if BY_CODE[i.code].form is Form.TARGET else i.k) for i in insns]


def alike(
    p: Program, q: Program, ours: range, theirs: range
) -> Iterator[tuple[int | None, int | None]]:
    """Of instructions that differ, those with one opcode beside each other."""
    codes = [p.insns[pc].code for pc in ours], [q.insns[pc].code for pc in theirs]
    matcher = SequenceMatcher(None, *codes, autojunk=False)
    for kind, start, stop, start_q, stop_q in matcher.get_opcodes():
        if kind == "equal":
            yield from zip(ours[start:stop], theirs[start_q:stop_q], strict=True)
        else:
            yield from ((pc, None) for pc in ours[start:stop])
            yield from ((None, pc) for pc in theirs[start_q:stop_q])


def sign(
    p: Program,
    q: Program,
    one: int | None,
    two: int | None,
    ahead: tuple[dict[int, int], dict[int, int]],
) -> Sign:
    """Whether two instructions are the same, and lead to the same pair, or ret."""
    if one is None or two is None:
        return "−" if two is None else "+"
    mine, theirs = p.insns[one], q.insns[two]
    if keys([mine]) != keys([theirs]):
        return "≠"
    ways = zip(targets(mine, one), targets(theirs, two), strict=True)
    alike = all(ahead[0][a] == ahead[1][b] or same_end(p, q, a, b) for a, b in ways)
    return "=" if alike else "≠"


def targets(insn: Insn, pc: int) -> tuple[int, ...]:
    """Where a jump leads, as pcs."""
    form = BY_CODE[insn.code].form
    if form is Form.TARGET:
        return (pc + 1 + insn.k,)
    return (pc + 1 + insn.jt, pc + 1 + insn.jf) if form.jumps else ()


def same_end(p: Program, q: Program, one: int, two: int) -> bool:
    """Whether two targets are the same ret."""
    mine, theirs = p.insns[one], q.insns[two]
    return BY_CODE[mine.code].mnemonic == "ret" and (mine.code, mine.k) == (theirs.code, theirs.k)


def parting(one: Sequence[int], two: Sequence[int], aligned: Sequence[Row]) -> Parting:
    """The last instructions that two runs have in common, and where each goes on."""
    beside = {row.p: row.q for row in aligned if row.p is not None and row.q is not None}
    at = 0
    while at < min(len(one), len(two)) and beside.get(one[at]) == two[at]:
        at += 1
    ahead = [path[at] if at < len(path) else None for path in (one, two)]
    if not at:
        return Parting(None, None, *ahead)
    return Parting(one[at - 1], two[at - 1], *ahead)
