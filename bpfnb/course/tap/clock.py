"""A virtual clock, and processors that share their time between kernel and readers.

    clock = Clock()
    clock.at(5_000, action)       # nanoseconds
    clock.run()                   # everything, in order; `clock.now` is the time

What is due at one time happens in the order in which it was asked for, so that the same
traffic always gives the same run.  Left out: real time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

__all__ = ["MICROSECOND", "MILLISECOND", "SECOND", "Action", "Clock", "Cpu"]

Action = Callable[[], object]
MICROSECOND, MILLISECOND, SECOND = 1_000, 1_000_000, 1_000_000_000


class Clock:
    """Time in nanoseconds, and what is to happen."""

    def __init__(self) -> None:
        self.now = 0
        self._due: list[tuple[int, int, Action]] = []
        self._asked = 0

    def at(self, when: int, action: Action) -> None:
        """Let an action happen; what lies in the past happens now."""
        self._asked += 1
        heapq.heappush(self._due, (max(when, self.now), self._asked, action))

    @property
    def due(self) -> int | None:
        """When the next action is due; None where there is none."""
        return self._due[0][0] if self._due else None

    def step(self) -> bool:
        """Go on to the next action; False where nothing is due."""
        if not self._due:
            return False
        self.now, _, action = heapq.heappop(self._due)
        action()
        return True

    def run(self, until: int | None = None) -> int:
        """Let everything happen that is due, up to a time; the time then.

        >>> clock = Clock()
        >>> clock.at(7, lambda: clock.at(9, lambda: None))
        >>> clock.run()
        9
        """
        while self._due and (until is None or self._due[0][0] <= until):
            self.step()
        if until is not None:
            self.now = max(self.now, until)
        return self.now


class Cpu:
    """One processor.  The kernel's work comes first, and readers wait for their turn.

    `kernel_ns` and `reader_ns` say how long it worked for each of them.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.kernel_ns = self.reader_ns = 0
        self._kernel_free = 0  # when the last of the kernel's work is done
        self._jobs: deque[tuple[int, Action]] = deque()
        self._end = 0  # when the job at the front is done, as far as is known

    def interrupt(self, ns: int, then: Action) -> None:
        """Do work in the kernel behind what it has to do already, then an action."""
        self._kernel_free = max(self._kernel_free, self.clock.now) + ns
        self.kernel_ns += ns
        if self._jobs:
            self._end += ns
        self.clock.at(self._kernel_free, then)

    def spend(self, ns: int, then: Action) -> None:
        """Let a reader work so long, whenever the kernel leaves it time; then an action."""
        self._jobs.append((ns, then))
        if len(self._jobs) == 1:
            self._begin()

    def _begin(self) -> None:
        ns, _ = self._jobs[0]
        self._end = max(self.clock.now, self._kernel_free) + ns
        self.clock.at(self._end, self._finish)

    def _finish(self) -> None:
        if self.clock.now < self._end:  # the kernel came between
            self.clock.at(self._end, self._finish)
            return
        ns, then = self._jobs.popleft()
        self.reader_ns += ns
        if self._jobs:
            self._begin()
        then()
