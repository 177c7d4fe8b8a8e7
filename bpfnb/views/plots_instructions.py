"""How many instructions programs execute for a packet: a histogram for each.

The reference interpreter counts, on evenly chosen packets where they are very
many.  Left out: which instructions they are (the listing's hit counts).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from bpfnb.cbpf import machine
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.plots_charts import Histogram, histograms
from bpfnb.views.plots_table import Plot, factor, listed, named, ready, together

if TYPE_CHECKING:
    from bpfnb.packets.packet import Packet, PacketBatch

__all__ = ["InstructionCounts"]

COUNTED = 100_000  # packets on which instructions are counted
VALUES = 12  # different numbers of instructions that the table tells apart


@dataclass(frozen=True)
class InstructionCounts(Plot):
    """How many instructions programs execute for a packet.

    `counts` has for each name how many packets took each number of instructions;
    `sizes` how long the programs are.  Where only every n-th packet was run, `every`
    is n.

    >>> print(InstructionCounts({"icmp": {4: 90, 6: 12}}))
    icmp takes 4.2 instructions a packet on average, 6 at most, over 102 packets
      name  mean  least  most  packets  packets by instructions
      icmp   4.2      4     6      102  4: 90, 6: 12
    """

    counts: Mapping[str, Mapping[int, int]]
    sizes: Mapping[str, int] = field(default_factory=dict)
    every: int = 1

    @classmethod
    def of(
        cls,
        programs: Mapping[str, Program] | Program,
        packets: Any,
        budget: int | None = None,
    ) -> Self:
        """Run programs on the same packets, evenly chosen ones where they are very many.

        What is not legal raises CheckError, unless a `budget` of steps is given.
        """
        found = ready(programs, packets, check=budget is None)
        every = -(-max((len(batch) for _, _, batch in found), default=0) // COUNTED) or 1
        counts = {name: walked(program, batch, every, budget) for name, program, batch in found}
        return cls(counts, {name: len(program) for name, program, _ in found}, every)

    def packets(self, name: str) -> int:
        """How many packets were run."""
        return sum(self.counts[name].values())

    def mean(self, name: str) -> float:
        """Instructions a packet, on average; 0 without packets."""
        total = sum(steps * packets for steps, packets in self.counts[name].items())
        return total / (self.packets(name) or 1)

    @property
    def question(self) -> str:
        """What it answers."""
        return "How many instructions are executed for a packet?"

    def answer(self) -> str:
        """Who takes fewest and most."""
        if self.empty():
            return "no instructions to count: no packets were run"
        means = {name: self.mean(name) for name in self.counts if self.packets(name)}
        over = f"over {style.plural(max(map(self.packets, means)), 'packet')}"
        if self.every > 1:
            over += f", one in {self.every:,}"
        low, high = min(means.values()), max(means.values())
        fewest = listed([name for name in means if means[name] == low])
        most = listed([name for name in means if means[name] == high])
        if len(means) == 1:
            longest = max(max(self.counts[name]) for name in means)
            said = f"{most} takes {high:,.1f} instructions a packet on average"
            return f"{said}, {longest:,} at most, {over}"
        if low == high:
            said = f"{together(len(means))} take {low:,.1f} instructions a packet"
            return f"{said} on average, {over}"
        times = f", {factor(high / low)} as many" if low else ""
        return (
            f"fewest instructions a packet: {fewest}, {low:,.1f} on average; "
            f"most: {most}, {high:,.1f}{times}; {over}"
        )

    def empty(self) -> bool:
        """Whether no packet was run."""
        return not any(map(self.packets, self.counts))

    def heads(self) -> list[str]:
        """Mean and range, the program's length where it is known, the whole distribution."""
        size = ["length"] if self.sizes else []
        return ["name", "mean", "least", "most", *size, "packets", "packets by instructions"]

    def left(self) -> tuple[int, ...]:
        """Name and distribution."""
        return (0, len(self.heads()) - 1)

    def cells(self) -> list[list[str]]:
        """A row a program."""
        return [
            [
                named(name),
                f"{self.mean(name):,.1f}",
                f"{min(each, default=0):,}",
                f"{max(each, default=0):,}",
                *([f"{self.sizes[name]:,}" if name in self.sizes else ""] if self.sizes else []),
                f"{self.packets(name):,}",
                spelled(each),
            ]
            for name, each in self.counts.items()
        ]

    def drawn(self) -> str:
        """A histogram a program."""
        rows = [
            Histogram(
                str(name),
                each,
                self.mean(name),
                (f"{self.mean(name):,.1f}", f"{max(each, default=0):,}"),
            )
            for name, each in list(self.counts.items())[: style.FOLD]
        ]
        return histograms(rows, ("mean", "most"), self.alt)


def walked(program: Program, batch: PacketBatch, every: int, budget: int | None) -> Counter[int]:
    """How many packets took each number of instructions, of every so many."""
    chosen = batch if every == 1 else batch.take(range(0, len(batch), every))
    return Counter(steps(program, packet, budget) for packet in chosen)


def steps(program: Program, packet: Packet, budget: int | None) -> int:
    """How many instructions one packet takes."""
    path, _ = machine.follow(program, packet.data, packet.wirelen, lambda: packet.ancillary, budget)
    return len(path)


def spelled(counts: Mapping[int, int]) -> str:
    """A distribution in words.

    >>> spelled({4: 90, 6: 12})
    '4: 90, 6: 12'
    """
    parts = [f"{value:,}: {count:,}" for value, count in sorted(counts.items())]
    if len(parts) > VALUES:
        parts[VALUES - 1 :] = [f"… {len(parts) - VALUES + 1:,} more"]
    return ", ".join(parts)
