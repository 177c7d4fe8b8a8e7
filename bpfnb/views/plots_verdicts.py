"""How many packets filters, or backends, accept: bars and counts.

Left out: which packets they are (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from bpfnb.backends import run_many
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.plots_charts import Bar, bars
from bpfnb.views.plots_table import Plot, listed, named, ready, together

__all__ = ["VerdictCounts"]

RETS = 8  # different rets of one filter that are told apart


@dataclass(frozen=True, eq=False)
class VerdictCounts(Plot):
    """How many packets each of several filters, or backends, accepts and rejects.

    `rets` has for each name a ret a packet: what `run_many` gives.  Where a filter
    accepts with different rets, each has its row; `by_ret` asks for that or for the
    contrary.  It counts, and does not tell which packets.

    >>> print(VerdictCounts({"icmp": [96, 0, 96], "arp": [0, 0, 0]}))
    most accepted: icmp, 2 of 3 packets; fewest: arp, 0
      name  ✓ accept  share  ✗ reject  share  packets
      icmp         2    67%         1    33%        3
      arp          0     0%         3   100%        3
    """

    rets: Mapping[str, Any]
    by_ret: bool | None = None

    @classmethod
    def of(
        cls, programs: Mapping[str, Program] | Program, packets: Any, backend: str = "auto"
    ) -> Self:
        """Run programs on the same packets; what is not legal raises CheckError."""
        return cls(
            {
                name: run_many(program, batch, backend)
                for name, program, batch in ready(programs, packets)
            }
        )

    @cached_property
    def counts(self) -> dict[str, dict[int, int]]:
        """For each name how many packets got which ret, the smallest first."""
        return {str(name): tally(rets) for name, rets in self.rets.items()}

    @property
    def apart(self) -> bool:
        """Whether each ret has its row."""
        if self.by_ret is not None:
            return self.by_ret
        return any(sum(ret > 0 for ret in each) > 1 for each in self.counts.values())

    def accepted(self) -> dict[str, tuple[int, int]]:
        """For each name how many of how many packets were accepted."""
        return {
            name: (sum(each.values()) - each.get(0, 0), sum(each.values()))
            for name, each in self.counts.items()
        }

    @property
    def question(self) -> str:
        """What it answers."""
        return f"How many packets does {'it' if len(self.rets) == 1 else 'each'} accept?"

    def answer(self) -> str:
        """Who accepts most and fewest."""
        accepted = self.accepted()
        if not accepted:
            return "no verdicts to count"
        shares = {name: yes / (whole or 1) for name, (yes, whole) in accepted.items()}
        low, high = min(shares.values()), max(shares.values())
        most = [name for name in shares if shares[name] == high]
        fewest = [name for name in shares if shares[name] == low]
        (yes, whole), (few, of_few) = accepted[most[0]], accepted[fewest[0]]
        of = f"{yes:,} of {style.plural(whole, 'packet')}"
        if len(accepted) == 1:
            return f"{named(most[0])} accepts {of}{self.different(most[0])}"
        if len(set(accepted.values())) == 1:
            return f"{together(len(accepted))} accept {of}"
        least = f"{few:,}" if whole == of_few else f"{few:,} of {of_few:,}"
        return f"most accepted: {listed(most)}, {of}; fewest: {listed(fewest)}, {least}"

    def different(self, name: str) -> str:
        """How many rets there are, where it matters."""
        rets = sum(ret > 0 for ret in self.counts[name])
        return f", with {rets:,} different rets" if self.apart and rets > 1 else ""

    def heads(self) -> list[str]:
        """Names and counts; or a ret and its packets."""
        if self.apart:
            return ["name", "ret", "verdict", "packets", "share"]
        return ["name", "✓ accept", "share", "✗ reject", "share", "packets"]

    def left(self) -> tuple[int, ...]:
        """The name; with rets apart the verdict too."""
        return (0, 2) if self.apart else (0,)

    def cells(self) -> list[list[str]]:
        """A row a name; with rets apart a row a ret."""
        if self.apart:
            return [
                [named(name), ret, style.verdict(accepts), f"{count:,}", style.share(count, whole)]
                for name, each in self.counts.items()
                for whole in (sum(each.values()),)
                for ret, accepts, count in kinds(each)
            ]
        return [
            [named(name), f"{yes:,}", style.share(yes, whole), f"{whole - yes:,}",
             style.share(whole - yes, whole), f"{whole:,}"]
            for name, (yes, whole) in self.accepted().items()
        ]  # fmt: skip

    def empty(self) -> bool:
        """Whether there is no name."""
        return not self.rets

    def drawn(self) -> str:
        """Bars, accepted packets solid and rejected ones hatched."""
        if self.apart:
            return bars(self.rows_by_ret(), ("packets", ""), self.alt)
        rows = [
            Bar(name, yes, whole - yes, (f"{yes:,}", style.share(yes, whole), f"{whole - yes:,}"))
            for name, (yes, whole) in list(self.accepted().items())[: style.FOLD]
        ]
        return bars(rows, ("✓ accept", "", "✗ reject"), self.alt)

    def rows_by_ret(self) -> list[Bar]:
        """A bar a ret, under its name where there are several."""
        rows: list[Bar] = []
        room = style.FOLD
        for name, each in self.counts.items():
            found = kinds(each)[:room]
            room -= len(found)
            if found and len(self.counts) > 1:
                rows.append(Bar(name))
            whole = sum(each.values())
            for ret, accepts, count in found:
                label = f"{style.verdict(accepts)[0]} {f'ret {ret}' if ret.isdigit() else ret}"
                yes, no = (count, 0) if accepts else (0, count)
                rows.append(Bar(label, yes, no, (f"{count:,}", style.share(count, whole))))
        return rows


def tally(rets: Any) -> dict[int, int]:
    """How often each ret is there, the smallest first.

    >>> tally([96, 0, 96])
    {0: 1, 96: 2}
    """
    import numpy as np

    try:
        given = np.asarray(rets)
    except ValueError:  # rows of several lengths
        given = np.asarray(None)
    whole = given.ndim == 1 and (not given.size or given.dtype.kind in "iub")
    if not whole or (given.size and given.min() < 0):
        raise BpfError("these are no rets", "give a whole number for each packet, as run_many does")
    values, counts = np.unique(given, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def kinds(counts: Mapping[int, int]) -> list[tuple[str, int, int]]:
    """Each ret in words, whether it accepts, its packets; the rarest of many put together."""
    shown = sorted(counts, key=lambda ret: (ret > 0, -counts[ret], ret))
    if len(shown) > RETS + 1:
        shown = shown[:RETS]
    rows = [(str(ret), ret, counts[ret]) for ret in sorted(shown)]
    others = len(counts) - len(shown)
    if others:
        left = sum(counts.values()) - sum(counts[ret] for ret in shown)
        rows.append((f"{others:,} others", 1, left))
    return rows
