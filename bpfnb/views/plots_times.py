"""How long a packet takes, compared: medians and spread.

Left out: taking the times; a table beside libpcap's is `%bpf --time`'s own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.plots_charts import Span, spans
from bpfnb.views.plots_table import Plot, factor, named

__all__ = ["Times", "nanoseconds"]

FAR = 20.0  # times the fastest from which the scale is logarithmic
ENDLESS = 1e12  # ns, a quarter of an hour, from which digits say nothing
FEW = 100  # ns below which a decimal counts


@dataclass(frozen=True)
class Times(Plot):
    """How many nanoseconds a packet takes: the median of some runs, and their spread.

    `runs` has for each name the ns per packet of each run; `packets` is how many there
    were in one.  Such numbers are never the same twice: tag the cell that shows them.

    >>> print(Times({"native": [4.0, 4.4, 4.1], "libpcap": [48.0]}))
    native is fastest, 4.1 ns a packet; libpcap slowest, 48.0, 12× the time
      name     ns per packet  fastest  slowest  runs
      native             4.1      4.0      4.4     3
      libpcap           48.0     48.0     48.0     1
    """

    runs: Mapping[str, Sequence[float]]
    packets: int | None = None

    def __post_init__(self) -> None:
        for name, runs in self.runs.items():
            if not len(runs) or not all(math.isfinite(each) and each >= 0 for each in runs):
                raise BpfError(
                    f"{named(name)}: these are no times", "give the ns of one run or more"
                )

    @property
    def question(self) -> str:
        """What it answers."""
        return "How long does a packet take?  Median; thin: from the fastest run to the slowest"

    def empty(self) -> bool:
        """Whether there is no name."""
        return not self.runs

    @property
    def medians(self) -> dict[str, float]:
        """ns per packet: as many runs were faster as slower."""
        return {name: statistics.median(runs) for name, runs in self.runs.items()}

    @property
    def logarithmic(self) -> bool:
        """Whether the times are too far apart for one scale from 0."""
        found = self.medians.values()
        least = min((min(runs) for runs in self.runs.values()), default=0)
        return least > 0 and max(found) / min(found) > FAR

    def answer(self) -> str:
        """Who is fastest and who slowest."""
        medians = self.medians
        if not medians:
            return "no times to compare"
        over = "" if self.packets is None else f", over {style.plural(self.packets, 'packet')}"
        fastest = min(medians, key=medians.__getitem__)
        slowest = max(medians, key=medians.__getitem__)
        least, most = medians[fastest], medians[slowest]
        if len(medians) == 1:
            return f"{named(fastest)} takes {nanoseconds(least)} ns a packet{over}"
        times = f", {factor(most / least)} the time" if least else ""
        return (
            f"{named(fastest)} is fastest, {nanoseconds(least)} ns a packet; "
            f"{named(slowest)} slowest, {nanoseconds(most)}{times}{over}"
        )

    def heads(self) -> list[str]:
        """The median and the spread."""
        return ["name", "ns per packet", "fastest", "slowest", "runs"]

    def cells(self) -> list[list[str]]:
        """A row a name."""
        return [
            [named(name), *map(nanoseconds, (self.medians[name], min(runs), max(runs))),
             str(len(runs))]
            for name, runs in self.runs.items()
        ]  # fmt: skip

    def drawn(self) -> str:
        """Bars from 0, or dots over a logarithmic scale."""
        rows = []
        for name, runs in list(self.runs.items())[: style.FOLD]:
            median, least, most = self.medians[name], min(runs), max(runs)
            spread = f"{nanoseconds(least)} – {nanoseconds(most)}"
            rows.append(Span(str(name), median, least, most, (nanoseconds(median), spread)))
        heads = ("ns", "fastest – slowest")
        return spans(rows, heads, self.logarithmic, self.alt)


def nanoseconds(ns: float) -> str:
    """Nanoseconds, with a decimal where they are few.

    >>> nanoseconds(4.23), nanoseconds(5100.4), nanoseconds(10.0**20)
    ('4.2', '5,100', '1e+20')
    """
    if ns >= ENDLESS:
        return f"{ns:.3g}"
    return f"{ns:,.1f}" if ns < FEW else f"{ns:,.0f}"
