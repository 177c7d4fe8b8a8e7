"""Goals 1 and 2: native against loops in C, in the cache and over the whole capture.

Before anything is timed every contender's rets are compared, on all packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bpfnb.backends import native
from c_loops import Loops
from rounds import take_turns
from rows import Heading, NotMeasured, Row, faster, share
from setting import InMemory, Setting

__all__ = ["contenders", "measured"]

EVALUATOR = "native against a loop in C over libpcap's bpf_filter"
BY_HAND = "native against the same filter by hand in C, gcc -O3"
AHEAD = "native against that C with prefetch, which native has"
NOISE = "native against itself: the noise"
SIX = "six filters"


def measured(setting: Setting) -> Iterator[Row]:
    """The rows of both states, or rows that say why there are none."""
    try:
        loops = Loops(setting.folder)
    except NotMeasured as reason:
        for goal, group in ((1, EVALUATOR), (2, BY_HAND), (2, AHEAD)):
            yield Row(Heading(goal, group, "", SIX), missing=str(reason))
        return
    for memory, rounds, again in ((setting.hot, 61, 4), (setting.mapped, 21, 0)):
        times = {
            name: take_turns(
                contenders(setting, loops, memory, name), setting.rounds(rounds), again
            )
            for name in setting.programs
        }
        yield from compared(setting, memory, times)


def contenders(
    setting: Setting, loops: Loops, memory: InMemory, name: str
) -> dict[str, Callable[[], object]]:
    """The racers over these packets, found to agree; AssertionError where they do not."""
    program = setting.programs[name]
    compiled = native.compiled(program)
    wanted = compiled.scan(memory.batch)
    rets = np.empty(len(memory), np.uint32)
    rivals = {
        "bpf_filter": loops.bpf_filter(program, memory, rets),
        "by hand": loops.by_hand(name, memory, rets, prefetch=False),
        "by hand, ahead": loops.by_hand(name, memory, rets, prefetch=True),
    }
    for rival, run in rivals.items():
        rets[:] = 1  # what no filter here returns
        run()
        wrong = np.flatnonzero(rets != wanted)
        if len(wrong):
            raise AssertionError(f"{name}: {rival} and native differ on packet {wrong[0] + 1}")

    def ours() -> object:
        return compiled.scan(memory.batch)

    first = rivals.pop("bpf_filter")
    return {"native": ours, "bpf_filter": first, "native again": ours, **rivals}


def compared(
    setting: Setting, memory: InMemory, times: dict[str, dict[str, list[float]]]
) -> Iterator[Row]:
    """The rows of one state, group by group."""
    size = len(memory)
    for name, taken in times.items():
        heading = Heading(1, EVALUATOR, memory.where, setting.label(name))
        yield faster(heading, taken["native"], taken["bpf_filter"], (size, size), 3)
    groups: list[tuple[int, str, str, float | None]] = [
        (2, BY_HAND, "by hand", 0.9),
        (2, AHEAD, "by hand, ahead", 1.0),
        (0, NOISE, "native again", None),
    ]
    for goal, group, rival, at_most in groups:
        for name, taken in times.items():
            heading = Heading(goal, group, memory.where, setting.label(name))
            yield share(heading, taken["native"], taken[rival], size, at_most)
