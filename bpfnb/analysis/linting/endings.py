"""A filter that rejects everything, or accepts everything, and why in field names.

Where z3 has proved it, the ways through the program are gone, and each is left at the test
that contradicts those before it: what they say together is the reason.  Beside that: what
accepting rets keep.

Left out: single tests that are decided (`one_way`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bpfnb.analysis.linting.findings import Findings, among, conflict
from bpfnb.analysis.linting.proofs import Literal, Proofs
from bpfnb.analysis.linting.remarks import Kind, Remark
from bpfnb.analysis.naming.flow import START, State, after, along, possible
from bpfnb.analysis.proving import terms
from bpfnb.analysis.proving.terms import negated
from bpfnb.cbpf.disasm import signed
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form

__all__ = ["all_alike", "kept"]

MOST_WAYS = 60  # that are gone before giving up
MOST_REASONS = 4  # that are told
NO_STATE = State()


@dataclass(frozen=True)
class Way:
    """A way from the start to pc: what it has found, with the flow's state at each test."""

    pc: int
    state: State
    found: tuple[tuple[Literal, State], ...] = ()

    @property
    def literals(self) -> list[Literal]:
        """What was found."""
        return [literal for literal, _ in self.found]


def all_alike(proofs: Proofs, findings: Findings) -> Iterator[Remark]:
    """The remark on a filter all of whose verdicts are the same, if it is one."""
    accepts, fails = proofs.meaning.accepts, proofs.meaning.fails
    if proofs.never(accepts):
        yield remark(proofs, findings, "rejects_all", "rejects every packet", True)
    elif proofs.never(negated(accepts)):
        yield remark(proofs, findings, "accepts_all", "accepts every packet", False)
    elif proofs.never(negated(accepts), negated(fails)):
        said = "accepts every packet that is long enough for its loads"
        yield remark(proofs, findings, "accepts_all", said, False)


def remark(proofs: Proofs, findings: Findings, kind: Kind, said: str, wanted: bool) -> Remark:
    """The remark with its reasons."""
    reasons = Reasons(proofs, findings, wanted)
    reasons.look()
    told = reasons.told[:MOST_REASONS]
    if len(reasons.told) > MOST_REASONS or not reasons.complete:
        told.append("and more of that kind")
    if not reasons.told:
        told = [f"no ret that {'accepts' if wanted else 'rejects'} can be reached"]
        hint = f"add a test with a way to {'a ret that is not 0' if wanted else 'ret #0'}"
    elif wanted:
        hint = "leave out one of the tests that exclude each other, or join them by “or”"
    else:
        said, hint = f"{said}; none can be rejected", "look at the tests that are meant to reject"
    return Remark(kind, None, f"{said}: {'; '.join(told)}", hint, (), tuple(sorted(reasons.pcs)))


class Reasons:
    """The contradictions on all ways to a kind of verdict: accepting where `wanted`."""

    def __init__(self, proofs: Proofs, findings: Findings, wanted: bool) -> None:
        self.proofs, self.findings, self.wanted = proofs, findings, wanted
        self.kinds = possible(proofs.program)
        self.cores: list[frozenset[Literal]] = []
        self.told: list[str] = []
        self.pcs: set[int] = set()
        self.complete = True

    def look(self) -> None:
        """Go all ways, each up to where it contradicts itself."""
        work, gone = [Way(0, START)], 0
        while work:
            way = work.pop()
            gone += 1
            if gone > MOST_WAYS * 10 or len(self.cores) > MOST_WAYS:
                self.complete = False
                return
            if self.wanted in self.kinds[way.pc]:
                work += reversed(list(self.onward(way)))

    def onward(self, way: Way) -> Iterator[Way]:
        """The ways on from one, those that no packet takes left out."""
        pc, insn = way.pc, self.proofs.program.insns[way.pc]
        row = BY_CODE[insn.code]
        if row.cls is Class.RET:
            if row.form is Form.A:
                self.ends_by_a(way)
            return
        left = after(way.state, insn)
        for target, literal in self.proofs.ways(pc):
            if literal is None:
                yield Way(target, left, way.found)
                continue
            state = left
            if literal[1] is not None:
                state = along(left, insn, literal[1]) or NO_STATE
            longer = Way(target, state, (*way.found, (literal, way.state)))
            if self.wanted in self.kinds[target] and not self.contradicts(longer):
                yield longer

    def ends_by_a(self, way: Way) -> None:
        """A way that ends in ret a, which is 0, or never is."""
        state = self.proofs.meaning.states[way.pc]
        if state is not None:
            accepts = terms.nonzero(state.A)
            core = self.proofs.core(way.literals, accepts if self.wanted else negated(accepts))
            said = f"A is {'always' if self.wanted else 'never'} 0 at ({way.pc:03d})"
            if core is not None and said not in self.told:
                self.told.append(said)
                self.pcs |= {way.pc, *(pc for pc, _ in core)}

    def contradicts(self, way: Way) -> bool:
        """Whether no packet takes a way; its reason is kept."""
        literals = way.literals
        if any(core <= set(literals) for core in self.cores):
            return True
        core = self.proofs.core(literals)
        if core is None:
            return False
        self.cores.append(frozenset(core))
        said = self.said([each for each in way.found if each[0] in core])
        if said not in self.told:
            self.told.append(said)
        self.pcs |= {pc for pc, _ in core}
        return True

    def said(self, found: Sequence[tuple[Literal, State]]) -> str:
        """What excludes itself, in words."""
        tests = [
            (self.findings.asked(pc, state), way) for (pc, way), state in found if way is not None
        ]
        if len(tests) == len(found) == 1:
            ((pc, way), _), *_ = found
            return f"({pc:03d}) is {'never' if way else 'always'} true: {self.findings.limit(pc)}"
        if len(tests) == len(found) and (said := conflict(tests)):
            return self.perhaps_ipv4(found, said)
        words = [f"{self.findings.words(pc, way, state)} ({pc:03d})" for (pc, way), state in found]
        return f"no packet has all of this: {among(words)}"

    def perhaps_ipv4(self, found: Sequence[tuple[Literal, State]], said: str) -> str:
        """A conflict of bytes without a certain name, by the name that they have in IPv4."""
        tests = [(self.findings.as_ipv4(pc, state), way) for (pc, way), state in found]
        named = [(test, way) for test, way in tests if test is not None and way is not None]
        if len(named) < len(found) or (better := conflict(named)) is None:
            return said
        return f"{better} ({said.partition(' cannot')[0]}, if this is IPv4)"


def kept(proofs: Proofs) -> Iterator[Remark]:
    """Remarks on how many bytes accepting rets keep."""
    rets: dict[int, list[int]] = {}
    for pc, insn in enumerate(proofs.program.insns):
        row = BY_CODE[insn.code]
        if proofs.reached[pc] and row.cls is Class.RET and row.form is Form.IMM and insn.k:
            rets.setdefault(insn.k, []).append(pc)
    for pc in rets.get(1, ()):
        yield Remark("short_ret", pc, "an accepted packet is cut to 1 byte: ret says how many "
                     "bytes to keep", "to keep all of it: ret #-1")  # fmt: skip
    if len(rets) > 1:
        words = [f"ret #{signed(k)} at {numbers(pcs)}" for k, pcs in rets.items()]
        yield Remark("ret_lengths", None, f"accepted packets are cut differently: {among(words)}",
                     "give all accepting rets one number, unless that is meant",
                     (), tuple(pc for pcs in rets.values() for pc in pcs))  # fmt: skip


def numbers(pcs: Sequence[int]) -> str:
    """Instructions by their numbers."""
    return among([f"({pc:03d})" for pc in pcs])
