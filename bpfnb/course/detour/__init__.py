"""A detour through user space that one can take: chapter 01's measurement.

    from bpfnb.course import detour

    detour.latencies()         a request directly, through one proxy, through two
    detour.prices()            what it is made of: a system call, a copy, a process woken

Left out: how it looks (`bpfnb.views.route`, `bpfnb.views.plots_spread`).
"""

from bpfnb.course.detour.chain import Chain, Counts
from bpfnb.course.detour.measured import latencies, medians, prices

__all__ = ["Chain", "Counts", "latencies", "medians", "prices"]
