"""Packets that take a program's ways, made without a solver: by flipping one test after another.

    sampling = Sampling(program); sampling.explore(seconds)
    sampling.ways          how many packets take a way, by (pc, next pc)
    sampling.taking        some of them

A run's own way says which bytes a test compares (`flow`); these are changed so that the
test goes the other way, and the changed packet runs.  What a run shows is certain; what
none shows is not, and has to be asked of `proofs`.

Left out: ways that need more than the change of one test, and the kernel's notes.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from bpfnb.analysis.naming.flow import START, State, after, along, compared
from bpfnb.analysis.naming.names import read
from bpfnb.analysis.naming.values import MASK, Bits, Note
from bpfnb.cbpf import machine
from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Step, trace

__all__ = ["Made", "Sample", "Sampling"]

SIZE = 128  # bytes of the first packets
LONGEST = 4096  # bytes of a packet made here
EACH = 2  # packets wanted on each way
FEW = 12  # packets kept for each way
MOST_STEPS = 50_000  # of runs that are looked at step by step


class Sample(Protocol):
    """A packet to run on."""

    @property
    def data(self) -> bytes:
        """Its bytes."""

    @property
    def wirelen(self) -> int:
        """Its length on the wire."""

    @property
    def ancillary(self) -> Ancillary | None:
        """The kernel's notes, anew for each run."""


@dataclass(frozen=True)
class Made:
    """A packet without notes."""

    data: bytes
    wirelen: int
    ancillary: None = None


class Sampling:
    """A program's runs on packets of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.samples: list[Sample] = []
        self.paths: list[list[int]] = []
        self.ways: dict[tuple[int, int], int] = defaultdict(int)
        self.taking: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.fresh: deque[int] = deque()

    def explore(self, seconds: float) -> None:
        """Packets on as many ways as can be, within a time."""
        deadline = time.monotonic() + seconds
        if not self.samples:
            self.add(Made(bytes(SIZE), SIZE))
            self.add(Made(bytes(n * 37 + 11 & 0xFF for n in range(SIZE)), SIZE))
            self.add(Made(b"", 0))
        while self.fresh and time.monotonic() < deadline:
            at = self.fresh.popleft()
            if any(self.ways[way] < EACH for way in self.other_ways(self.paths[at])):
                for made in self.flipped(self.samples[at], self.paths[at]):
                    self.add(made)

    def add(self, sample: Sample) -> None:
        """Run on one more packet."""
        path, _ = machine.follow(self.program, sample.data, sample.wirelen, sample.ancillary)
        new = False
        for way in zip(path, [*path[1:], -1], strict=True):
            self.ways[way] += 1
            new |= self.ways[way] <= EACH
        if new:
            self.paths.append(path)
            self.samples.append(sample)
            self.fresh.append(len(self.samples) - 1)
            for way in pairwise(path):
                if len(self.taking[way]) < FEW:
                    self.taking[way].append(len(self.samples) - 1)

    def other_ways(self, path: list[int]) -> Iterator[tuple[int, int]]:
        """The ways that a run passed by."""
        for pc, following in pairwise(path):
            insn = self.program.insns[pc]
            if BY_CODE[insn.code].form.jumps and insn.jt != insn.jf:
                true, false = pc + 1 + insn.jt, pc + 1 + insn.jf
                yield pc, false if following == true else true

    def flipped(self, sample: Sample, path: list[int]) -> Iterator[Made]:
        """The packet changed, once for each test whose other way wants packets."""
        state: State | None = START
        for pc, following in pairwise(path):
            if state is None:
                return
            insn = self.program.insns[pc]
            state = after(state, insn)
            if not BY_CODE[insn.code].form.jumps or insn.jt == insn.jf:
                continue
            held = following == pc + 1 + insn.jt
            other = pc + 1 + (insn.jf if held else insn.jt)
            if self.ways[pc, other] < EACH:
                yield from changes(state, insn, sample, not held)
            state = along(state, insn, held)

    def steps(self) -> Iterator[Step]:
        """Runs step by step, as many as there is patience for."""
        done = 0
        for sample in self.samples:
            if done > MOST_STEPS:
                return
            run = trace(self.program, sample.data, sample.wirelen, sample.ancillary)
            done += len(run.steps)
            yield from run.steps


def changes(state: State, insn: Insn, sample: Sample, wanted: bool) -> Iterator[Made]:
    """A packet changed so that a test has the outcome that is wanted, if one is seen."""
    A, k = state.A, compared(state, insn)
    if A is None or k is None or len(A.terms) != 1:
        return
    term = A.terms[0]
    for number in numbers(BY_CODE[insn.code].mnemonic, k, wanted):
        value = number - A.k & MASK
        if isinstance(term, Note):
            if term.name == "len" and value <= LONGEST:
                yield Made(sample.data[:value].ljust(min(value, SIZE), b"\0"), value)
            continue
        raw = term.raw(value)
        data = None if raw is None else written(sample.data, term, raw)
        if data is not None:
            yield Made(data, max(len(data), sample.wirelen))
            return


def numbers(test: str, k: int, wanted: bool) -> Iterator[int]:
    """Numbers of which a test is true, or false."""
    if test == "jset":
        yield from (k & -k, k) if wanted else (0,)
    elif test == "jeq":
        yield from (k,) if wanted else (k ^ 1, k ^ 0x10, k ^ 0x100, 0, MASK)
    else:
        least = k + (test == "jgt")  # that is true
        if wanted and least <= MASK:
            yield from (least, least + 15 & ~15, least + 255 & ~255)
        elif not wanted and least:
            yield from (least - 1, 0)


def written(data: bytes, bits: Bits, raw: int) -> bytes | None:
    """A packet with some bits set to a value; None where their place is not in it."""
    at = bits.place.k
    for term in bits.place.terms:
        part = read(term, data) if isinstance(term, Bits) else None
        if part is None:
            return None
        at += part
    at &= MASK
    if bits.place.base or at + bits.size > LONGEST:
        return None
    data = data.ljust(at + bits.size, b"\0")
    old = int.from_bytes(data[at : at + bits.size], "big")
    new = (old & ~bits.mask | raw).to_bytes(bits.size, "big")
    return data[:at] + new + data[at + bits.size :]
