"""What a packet costs in a tap: the paper's lines, and other lines made like them.

    PAPER["accept", "BPF"].ns(1514)      figure 2's line, at 1,514 bytes
    priced(PAPER)                        a price for an Interface with a Cpu

A cost is a fixed part for each packet and a slope for each of its bytes.
Left out: taking times on this machine (`measure`).

Source: the paper, figures 2 and 3, as printed on them (SunOS 4.1.1, Sparcstation 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bpfnb.course.tap.interface import Price
from bpfnb.course.tap.listener import Listener, Listening

__all__ = ["PAPER", "Costs", "Line", "fitted", "priced", "ratio"]


@dataclass(frozen=True)
class Line:
    """Cost = fixed + slope × bytes, in ns.

    >>> Line(5_700, 148).ns(1514)
    229772
    """

    fixed: float
    per_byte: float

    def ns(self, length: int) -> int:
        """What a packet of that length costs."""
        return round(self.fixed + self.per_byte * length)


Costs = Mapping[tuple[str, str], Line]  # ("accept" or "reject", "BPF" or "NIT")

PAPER: Costs = {
    ("accept", "NIT"): Line(89_200, 216),
    ("accept", "BPF"): Line(5_700, 148),
    ("reject", "NIT"): Line(136_000, 210),
    ("reject", "BPF"): Line(4_600, 0),
}


def ratio(costs: Costs, verdict: str, length: int) -> float:
    """How many times as much NIT costs.

    >>> round(ratio(PAPER, "reject", 1514), 1)
    98.7
    """
    return costs[verdict, "NIT"].ns(length) / costs[verdict, "BPF"].ns(length)


def priced(costs: Costs) -> Price:
    """A price for `Interface`: what each listener's line says."""

    def price(listener: Listening, length: int, ret: int) -> int:
        kind = "BPF" if isinstance(listener, Listener) else "NIT"
        return costs["accept" if ret else "reject", kind].ns(length)

    return price


def fitted(lengths: Sequence[int], times: Sequence[float]) -> Line:
    """The line with the least squares through measured times.

    >>> fitted([0, 10, 20], [5, 25, 45])
    Line(fixed=5.0, per_byte=2.0)
    """
    count = len(lengths)
    mean, middle = sum(lengths) / count, sum(times) / count
    spread = sum((x - mean) ** 2 for x in lengths)
    slope = sum((x - mean) * (y - middle) for x, y in zip(lengths, times, strict=True)) / spread
    return Line(middle - slope * mean, slope)
