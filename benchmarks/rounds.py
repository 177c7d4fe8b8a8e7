"""Contenders timed in turns: A B A B …, so that a slow spell of the machine meets all.

    times = take_turns({"ours": f, "theirs": g}, rounds=30)
    ratio(times["theirs"], times["ours"])      Spread of the rounds' own ratios

A ratio is taken within each round; what is shown is the median of those, with
quartiles.  Everybody runs once unmeasured; Python's garbage collector is off.
Who works in the cache starts each turn with a call that is not measured (`again`):
else it would pay for what the one before it left in the cache and in the
predictor of branches.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Spread", "on_one_core", "ratio", "spread", "take_turns"]


class Spread(NamedTuple):
    """A median between quartiles."""

    low: float
    median: float
    high: float

    def times(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(*(factor * each for each in self))


def take_turns(
    contenders: Mapping[str, Callable[[], object]], rounds: int, again: int = 0
) -> dict[str, list[float]]:
    """Seconds of each contender's call in each round.

    With `again`, a turn is one call unmeasured and then so many, of which the mean counts.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, contender in contenders.items():
                if again:
                    contender()
                taken[name].append(seconds(contender, again or 1))
    finally:
        gc.enable()
    return taken


def seconds(contender: Callable[[], object], calls: int) -> float:
    """Of one call, the mean of several; the last one's result goes after the clock has stopped."""
    last: object = None
    begin = time.perf_counter()
    for _ in range(calls):
        last = contender()
    taken = time.perf_counter() - begin
    del last
    return taken / calls


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; two values or more."""
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The rounds' ratios."""
    return spread([over / under for over, under in zip(above, below, strict=True)])


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this process and those it starts on one core, where the system can be asked to."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
