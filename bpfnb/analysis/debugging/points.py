"""Where a run stops and what it says on its way: breakpoints, watches, logpoints.

A breakpoint stops before an instruction, if its condition holds.  A watch stops at the
first step of which its condition is true, in each packet anew, and again when it has
been false in between.  A logpoint stops nothing: it says something when its instruction
runs.  Left out: running (`debugger`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bpfnb.analysis.debugging.predicates import Condition, Facts
from bpfnb.analysis.debugging.templates import Template

__all__ = ["Points"]


@dataclass(frozen=True)
class Points:
    """All points that are set; a value, replaced when one is added.

    Breakpoints and logpoints are by pc; a breakpoint without a condition has None.
    """

    breakpoints: Mapping[int, Condition | None] = field(default_factory=dict)
    watches: tuple[Condition, ...] = ()
    logpoints: Mapping[int, Template] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.breakpoints or self.watches or self.logpoints)

    @property
    def pcs(self) -> frozenset[int]:
        """The instructions with a breakpoint or a logpoint."""
        return frozenset(self.breakpoints) | frozenset(self.logpoints)

    def halt(self, before: Facts | None, now: Facts) -> str:
        """Why a run stops at a step, "" when it does not; `before` is the step before it."""
        if now.pc in self.breakpoints:
            condition = self.breakpoints[now.pc]
            if condition is None or condition.holds(now):
                return f"breakpoint at {phrase(now.pc, condition)}"
        for watch in self.watches:
            if watch.holds(now) and not (before is not None and watch.holds(before)):
                return f"watch: {watch} became true"
        return ""

    def said(self, now: Facts) -> str | None:
        """What a logpoint says of a step that runs; None: there is none here."""
        template = self.logpoints.get(now.pc)
        return None if template is None else template.fill(now)

    def lines(self, *kinds: str) -> Iterator[str]:
        """What is set, a line each; of "breakpoint", "watch" and "log" those in `kinds`."""
        if "breakpoint" in kinds:
            for pc, condition in sorted(self.breakpoints.items(), key=lambda item: item[0]):
                yield f"breakpoint {phrase(pc, condition)}"
        if "watch" in kinds:
            yield from (f"watch      {each}" for each in self.watches)
        if "log" in kinds:
            for pc, template in sorted(self.logpoints.items(), key=lambda item: item[0]):
                yield f"log        ({pc:03d}) {template}"


def phrase(pc: int, condition: Condition | None) -> str:
    """A breakpoint's place and condition."""
    return f"({pc:03d})" + (f" if {condition}" if condition else "")
