"""How often each instruction ran, and each way out of it was taken.

Counts over the traces of many packets, for listing and graph to show.  Left
out: making the traces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

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
