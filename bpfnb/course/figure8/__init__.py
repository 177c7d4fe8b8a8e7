"""Figure 8 of the paper again: four filters, two machines, and what each costs for a packet.

    figure8.PAPER                            the paper's numbers
    figure8.FILTERS[2].bpf, .cspf, .short    filter 2 for BPF, for CSPF, with short cuts
    figure8.campus()                         traffic of many hosts, made up
    figure8.executed(campus)                 instructions of each machine, a packet
    figure8.recorded(), figure8.counts()     the processor's own, as recorded; and here
    figure8.timed(campus)                    ns of both evaluators, without Python
    figure8.beside({"BPF and CSPF": …})      table and bars, beside the paper's

Left out: the chapter's text.
"""

from bpfnb.course.figure8.counting import beside, executed
from bpfnb.course.figure8.filters import FILTERS, MACHINES, PAPER, Costs, Filter
from bpfnb.course.figure8.processor import Counts, counted, counts, recorded, timed
from bpfnb.course.figure8.traffic import campus

__all__ = [
    "FILTERS",
    "MACHINES",
    "PAPER",
    "Costs",
    "Counts",
    "Filter",
    "beside",
    "campus",
    "counted",
    "counts",
    "executed",
    "recorded",
    "timed",
]
