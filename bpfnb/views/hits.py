"""How often each instruction ran, and each way out of it was taken.

Counts over many packets, for listing and graph to show.  Left out: running them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace

__all__ = ["Hits"]


@dataclass(frozen=True)
class Hits:
    """`pcs[pc]` is how often pc ran; `ways[pc, next]` how often next came after it."""

    pcs: tuple[int, ...]
    ways: Mapping[tuple[int, int], int] = field(default_factory=dict)
    packets: int = 0

    @classmethod
    def of(cls, program: Program, traces: Iterable[Trace]) -> Hits:
        """Count over traces of one program.

        >>> from bpfnb.cbpf.trace import trace
        >>> tiny = Program.from_insns([(0x80, 0, 0, 0), (0x16, 0, 0, 0)])
        >>> Hits.of(tiny, [trace(tiny, b""), trace(tiny, b"x")]).pcs
        (2, 2)
        """
        return cls.from_paths(program, (each.path for each in traces))

    @classmethod
    def from_paths(cls, program: Program, paths: Iterable[Sequence[int]]) -> Hits:
        """Count over paths, each the pcs of one run in order."""
        pcs: Counter[int] = Counter()
        ways: Counter[tuple[int, int]] = Counter()
        packets = 0
        for path in paths:
            packets += 1
            pcs.update(path)
            ways.update(pairwise(path))
        counts = tuple(pcs[pc] for pc in range(len(program)))
        return cls(counts, MappingProxyType(dict(sorted(ways.items()))), packets)

    @classmethod
    def from_counts(cls, program: Program, counts: Sequence[Sequence[int]], packets: int) -> Hits:
        """Counts that a backend has kept: for each pc how often it ran, jumped by jt, ended.

        >>> tiny = Program.from_insns([(0x15, 0, 1, 7), (6, 0, 0, 1), (6, 0, 0, 0)])
        >>> dict(Hits.from_counts(tiny, [(9, 2, 0), (2, 0, 0), (7, 0, 0)], 9).ways)
        {(0, 1): 2, (0, 2): 7}
        """
        ways: Counter[tuple[int, int]] = Counter()
        for pc, (ran, jumped, ended) in enumerate(counts):
            targets = [target for target, _ in successors(program.insns, pc)]
            if len(targets) == 2:
                ways[pc, targets[0]] += jumped
                ways[pc, targets[1]] += ran - jumped
            elif targets:
                ways[pc, targets[0]] += ran - ended
        taken = {way: count for way, count in sorted(ways.items()) if count}
        return cls(tuple(ran for ran, _, _ in counts), MappingProxyType(taken), packets)
