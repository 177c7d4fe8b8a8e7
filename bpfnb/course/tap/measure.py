"""The paper's experiment on this machine: a packet's time under both orders of work.

    measured()      Measured: ns per packet by verdict, tap and length

Packets lie in a ring of slots, as a card's DMA leaves them, and are too many for the
processor's nearer caches.  What is timed is what the taps do in a different order:

    NIT   copy the packet; filter the copy;    copy it out where it was accepted
    BPF   filter it where it lies;  copy it into the store buffer, and out, likewise

Filters are run by `native`, copies made by numpy, both in compiled code over some
thousand packets, a turn.  Each turn's time is the least of several rounds, in which the
four ways follow each other: what disturbs a machine only adds to a time.

Left out: interrupts, streams, system calls and all else that a kernel does for a packet,
which the paper's times have in them.  So the ratios are to be compared, not the times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bpfnb import jit
from bpfnb.cbpf.asm import assemble
from bpfnb.course.tap.costs import Costs, fitted
from bpfnb.course.tap.traffic import sized
from bpfnb.errors import UnavailableError
from bpfnb.packets.columns import Columns
from bpfnb.packets.linktype import EN10MB
from bpfnb.packets.packet import PacketBatch

if TYPE_CHECKING:
    from bpfnb.backends.native import Native

__all__ = ["LENGTHS", "Measured", "measured"]

LENGTHS = (64, 256, 512, 768, 1024, 1280, 1514)
SLOT, SLOTS, TURN = 2048, 16384, 2048  # bytes of a slot; slots of the ring; packets in a turn
ROUNDS = 7
FILTER = "ldh [12]\njeq #{}, +0, +1\nret #-1\nret #0"
VERDICTS = {"accept": "0x800", "reject": "0x806"}


@dataclass(frozen=True)
class Measured:
    """ns per packet: `times[verdict, tap]` has one for each of `lengths`."""

    lengths: tuple[int, ...]
    times: dict[tuple[str, str], tuple[float, ...]]

    @property
    def costs(self) -> Costs:
        """A line through each of the four."""
        return {key: fitted(self.lengths, each) for key, each in self.times.items()}

    def ratios(self, verdict: str) -> tuple[float, ...]:
        """How many times as long NIT's order takes, by length."""
        nit, bpf = self.times[verdict, "NIT"], self.times[verdict, "BPF"]
        return tuple(a / b for a, b in zip(nit, bpf, strict=True))

    def points(self, verdict: str, tap: str) -> list[tuple[float, float]]:
        """Length and ns per packet, for a chart."""
        return [*zip(map(float, self.lengths), self.times[verdict, tap], strict=True)]


class Ring:
    """Packets of one length in slots, and the same slots as filters see them."""

    def __init__(self, slots: int) -> None:
        import numpy as np

        self.memory = np.zeros((slots, SLOT), np.uint8)

    def turns(self, length: int) -> list[PacketBatch]:
        """The slots as packets of that length, TURN at a time."""
        import numpy as np

        slots = len(self.memory)
        sizes = np.full(TURN, length, np.uint32)
        found = []
        for first in range(0, slots, TURN):
            offsets = (np.arange(TURN, dtype=np.uint64) + np.uint64(first)) * np.uint64(SLOT)
            columns = Columns(offsets, sizes, sizes, EN10MB)
            found.append(PacketBatch(self.memory.data.cast("B"), columns))  # type: ignore[arg-type]
        return found


def measured(
    lengths: Sequence[int] = LENGTHS, slots: int = SLOTS, rounds: int = ROUNDS
) -> Measured:
    """Measure.  Takes a second or two, and twice the ring's 32 MiB of memory.

    `slots` is a multiple of TURN.  Raises UnavailableError where llvmlite is missing.
    """
    import numpy as np

    if not jit.works():
        raise UnavailableError("this is measured with native code: pip install 'bpfnb[native]'")
    from bpfnb.backends.native import compiled

    card, kernel, user = Ring(slots), Ring(slots), Ring(TURN)
    packets = np.frombuffer(b"".join(each.data for each in sized(max(lengths), 1)), np.uint8)
    card.memory[:, : len(packets)] = packets
    programs = {verdict: compiled(assemble(FILTER.format(k))) for verdict, k in VERDICTS.items()}
    times: dict[tuple[str, str], list[float]] = {}
    for length in lengths:
        lying, copied = card.turns(length), kernel.turns(length)
        ways: dict[tuple[str, str], Callable[[int], None]] = {
            (verdict, tap): way(program, tap, verdict, length, (card, kernel, user), lying, copied)
            for verdict, program in programs.items()
            for tap in ("NIT", "BPF")
        }
        least = {key: [float("inf")] * len(lying) for key in ways}
        for _ in range(rounds + 1):  # the first warms up
            for key, work in ways.items():
                for turn in range(len(lying)):
                    begin = time.perf_counter_ns()
                    work(turn)
                    least[key][turn] = min(least[key][turn], time.perf_counter_ns() - begin)
        for key, turns in least.items():
            times.setdefault(key, []).append(sum(turns) / slots)
    return Measured(tuple(lengths), {key: tuple(each) for key, each in times.items()})


def way(
    program: Native,
    tap: str,
    verdict: str,
    length: int,
    rings: tuple[Ring, Ring, Ring],
    lying: Sequence[PacketBatch],
    copied: Sequence[PacketBatch],
) -> Callable[[int], None]:
    """A turn's work in a tap's order."""
    card, kernel, user = (ring.memory for ring in rings)

    def copy(target: Any, first: int, source: Any, start: int) -> None:
        target[first : first + TURN, :length] = source[start : start + TURN, :length]

    def work(turn: int) -> None:
        first = turn * TURN
        if tap == "NIT":
            copy(kernel, first, card, first)
            program.scan(copied[turn])
        else:
            program.scan(lying[turn])
            if verdict == "accept":
                copy(kernel, first, card, first)
        if verdict == "accept":
            copy(user, 0, kernel, first)

    return work
