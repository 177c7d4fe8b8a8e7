"""How many instructions each machine executes for a packet, and a figure of such numbers.

    executed(packets)["BPF"]                        a mean for each of the four filters
    beside({"the paper": PAPER, "here": …}, said)   bars and table

Left out: what the processor executes for them (`processor`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpfnb.cbpf import cspf
from bpfnb.course.figure8.filters import BPF, CSPF, FILTERS, SHORT, Costs, Filter
from bpfnb.packets.source import packets
from bpfnb.views.plots_instructions import steps
from bpfnb.views.plots_panels import Panels

__all__ = ["beside", "executed"]


def executed(given: Any) -> Costs:
    """Instructions that the two machines execute, the mean of some packets.

    >>> executed(bytes(60))["CSPF"]
    (2.0, 14.0, 66.0, 65.0)
    """
    batch = packets(given)
    found: dict[str, list[float]] = {BPF: [], CSPF: [], SHORT: []}
    for each in FILTERS.values():
        totals = dict.fromkeys(found, 0)
        for packet in batch:
            totals[BPF] += steps(each.bpf, packet, None)
            totals[CSPF] += len(cspf.trace(each.cspf, packet.data).steps)
            totals[SHORT] += len(cspf.trace(each.short, packet.data).steps)
        for name, total in totals.items():
            found[name].append(total / (len(batch) or 1))
    return {name: tuple(means) for name, means in found.items()}


def beside(panels: Mapping[str, Costs], said: str, asked: str = "") -> Panels:
    """The four filters' costs as bars, a panel for each of some titles."""
    return Panels(tuple(titled(each) for each in FILTERS.values()), panels, said, asked)


def titled(each: Filter) -> str:
    """A filter's number and words."""
    return f"{each.number}  {each.words}"
