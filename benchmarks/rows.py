"""The rows of the table: what was measured on both sides, and against which target.

A Row holds both sides in one unit and `figure`, which the target is about: their
ratio, or our own figure where there is no other side.  `lines` shows rows to
people, `as_json` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from rounds import Spread, ratio, spread

__all__ = [
    "Heading",
    "NotMeasured",
    "Row",
    "Target",
    "alone",
    "as_json",
    "faster",
    "lines",
    "share",
    "short",
]

NS, MS = 1e9, 1e3  # in a second
PARTS = ("ours", "theirs", "figure")


class NotMeasured(Exception):  # noqa: N818  it is no error that a rival is not installed
    """Why there is nothing to measure: "no gcc"."""


class Heading(NamedTuple):
    """Where a row stands: the goal's number, its group, over which packets, what it is.

    Goal 0 is none: such rows tell how far the others can be trusted.
    """

    goal: int
    group: str
    where: str
    what: str


class Target(NamedTuple):
    """`sign` is ≥ or ≤."""

    sign: str
    value: float

    def reached(self, figure: float) -> bool:
        """Whether a figure reaches it."""
        return figure >= self.value if self.sign == "≥" else figure <= self.value


@dataclass(frozen=True)
class Row:
    """One comparison: `ours` and `theirs` in `unit`; `missing` says why there is none."""

    heading: Heading
    unit: str = ""
    ours: Spread | None = None
    theirs: Spread | None = None
    figure: Spread | None = None
    target: Target | None = None
    missing: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; None: nothing to judge."""
        if self.target is None or self.figure is None:
            return None
        return self.target.reached(self.figure.median)


def faster(
    heading: Heading,
    ours: Sequence[float],
    theirs: Sequence[float],
    packets: tuple[int, int],
    at_least: float,
) -> Row:
    """How many times faster ours is: seconds of each, for as many packets as each had."""
    mine, other = packets
    sides = spread(ours).times(NS / mine), spread(theirs).times(NS / other)
    times = ratio(theirs, ours).times(mine / other)
    return Row(heading, "ns", *sides, times, Target("≥", at_least))


def share(
    heading: Heading,
    ours: Sequence[float],
    theirs: Sequence[float],
    packets: int,
    at_most: float | None,
) -> Row:
    """Which part of their time ours takes: seconds of each, for so many packets."""
    sides = spread(ours).times(NS / packets), spread(theirs).times(NS / packets)
    target = None if at_most is None else Target("≤", at_most)
    return Row(heading, "ns", *sides, ratio(ours, theirs), target)


def alone(heading: Heading, unit: str, figure: Spread, at_most: float | None) -> Row:
    """Our own figure, held against a target in its unit."""
    target = None if at_most is None else Target("≤", at_most)
    return Row(heading, unit, figure, None, figure, target)


def as_json(row: Row) -> dict[str, Any]:
    """A row as JSON has it; spreads are [low quartile, median, high quartile]."""
    parts = {part: getattr(row, part) for part in PARTS}
    rounded = {
        part: value and [float(f"{each:.4g}") for each in value] for part, value in parts.items()
    }
    judged = {"target": row.target, "reached": row.reached, "missing": row.missing}
    return {**row.heading._asdict(), "unit": row.unit, **rounded, **judged}


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """The table, as its rows come: a heading for each group, a line for each row."""
    for (goal, group, where), members in groupby(rows, lambda row: row.heading[:3]):
        over = f": {where}" if where else ""
        yield f"\n{goal or ' '}  {group}{over}"
        yield from map(line, members)


def line(row: Row) -> str:
    """What, ours, theirs, figure with quartiles, target, mark."""
    start = f"   {row.heading.what:38}"
    if row.figure is None:
        return f"{start} not measured: {row.missing}"
    sides = "".join(f"{value(side, row.unit):>12}" for side in (row.ours, row.theirs))
    figure = short(row.figure.median) + (" ×" if row.theirs else "  ")
    quartiles = f"[{short(row.figure.low)}–{short(row.figure.high)}]"
    target = f"{row.target.sign} {row.target.value:g}" if row.target else ""
    mark = {True: "✓", False: "✗", None: ""}[row.reached]
    return f"{start}{sides}{figure:>10} {quartiles:<16}{target:<8}{mark}".rstrip()


def value(side: Spread | None, unit: str) -> str:
    """A side's median with its unit."""
    return "" if side is None else f"{short(side.median)} {unit}"


def short(number: float) -> str:
    """Three digits or so: 0.83, 14.5, 1,234."""
    return f"{number:,.{2 if abs(number) < 10 else 1 if abs(number) < 100 else 0}f}"
