"""What a detour is made of, measured here and now: requests, system calls, copies.

    latencies()      ns of each request: directly, through 1 proxy, through 2
    prices()         ns of a call, a system call, a copy by size, another process woken

Everything that is compared is measured in turns, so that what disturbs the machine
disturbs all of it.  Compare medians, as ratios: times are of this machine and this moment.
Python's own share, a loop and a call, is in all of them.

Left out: drawing (`views.plots_spread`).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from itertools import repeat
from statistics import median

from bpfnb.course.detour.chain import Chain, Hop
from bpfnb.errors import BpfError, UnavailableError

__all__ = ["SIZES", "latencies", "medians", "prices"]

SIZES = (64, 1024, 1 << 14, 1 << 17, 1 << 20)  # bytes of a copy
WARM = 30  # requests before those that count
BATCH = 30_000.0  # ns that a batch of calls should take at least
ROUNDS = 41


def latencies(requests: int = 400, size: int = 64, proxies: int = 2) -> dict[str, list[float]]:
    """Ask `requests` times on each way, in turns, with `size` bytes; ns of each.

    UnavailableError where there is no loopback.
    """
    names = ["direct", *(f"{n} {'proxy' if n == 1 else 'proxies'}" for n in range(1, proxies + 1))]
    times: dict[str, list[float]] = {name: [] for name in names}
    question = bytes(size)
    with Chain(proxies) as chain:
        for round_ in range(WARM + requests):
            for through, name in enumerate(names):
                begin = time.perf_counter_ns()
                answer = chain.ask(question, through)
                took = time.perf_counter_ns() - begin
                if answer != question:
                    raise BpfError("the answer is not what was asked for")
                if round_ >= WARM:
                    times[name].append(took)
    return times


def prices(sizes: tuple[int, ...] = SIZES, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Measure each thing `rounds` times, in turns; ns of one, by name."""
    acts: dict[str, Callable[[], object]] = {
        "a call": gc.isenabled,  # of a function in C that does next to nothing
        "a system call": os.getppid,  # as little, but in the kernel
    }
    for size in sizes:
        acts[f"copy {amount(size)}"] = copier(size)
    with Pipe() as pipe:
        acts["wake a process"] = pipe.ask
        counts = {name: counted(act) for name, act in acts.items()}
        times: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(rounds):
            for name, act in acts.items():
                times[name].append(batch(act, counts[name]))
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: median(each) for name, each in times.items()}


def copier(size: int) -> Callable[[], object]:
    """What copies so many bytes from one place in memory to another."""
    source, target = memoryview(bytes(size)), memoryview(bytearray(size))

    def copy() -> None:
        target[:] = source

    return copy


class Pipe:
    """A process that answers on a pipe, with one byte for one."""

    def __enter__(self) -> Pipe:
        self.hop = Hop("pipe")
        assert self.hop.process.stdin is not None
        assert self.hop.process.stdout is not None
        self.there, self.back = self.hop.process.stdin.fileno(), self.hop.process.stdout.fileno()
        try:
            self.ask()  # it has started
        except BaseException:
            self.hop.end()
            raise
        return self

    def ask(self) -> None:
        """Wake it, and be woken by its answer."""
        try:
            os.write(self.there, b"?")
            answer = os.read(self.back, 1)
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise UnavailableError("no process can be started here: it ended at once")

    def __exit__(self, *_: object) -> None:
        self.hop.end()


def counted(act: Callable[[], object]) -> int:
    """How many times it is to be done in a batch."""
    return max(1, round(BATCH / max(batch(act, 5), 1.0)))


def batch(act: Callable[[], object], count: int) -> float:
    """Do it so many times; ns of one."""
    begin = time.perf_counter_ns()
    for _ in repeat(None, count):
        act()
    return (time.perf_counter_ns() - begin) / count


def amount(size: int) -> str:
    """A number of bytes, in words.

    >>> amount(64), amount(16384), amount(1 << 20)
    ('64 B', '16 KiB', '1 MiB')
    """
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:,.10g} {name}"
    return f"{size} B"
