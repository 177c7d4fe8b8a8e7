"""Packet filters in time, each with the source of its year.

    timeline()       a picture

Years of Linux versions are those of their release.  Left out: what each of them is, which
later chapters show, and everything that is no filter in a kernel.
"""

from __future__ import annotations

from bpfnb.views.history import Event, History

__all__ = ["EVENTS", "timeline"]

EVENTS = (
    Event(1980, "Enet", "a packet filter in a kernel: Accetta and Rashid, CMU",
          "bpf(4), on its history"),
    Event(1987, "CSPF", "the CMU/Stanford filter, published by Mogul, Rashid and Accetta",
          "The Packet Filter: An Efficient Mechanism for User-level Network Code, SOSP 1987",
          "Enet"),
    Event(1987, "NIT", "Sun's tap, in modules; CSPF's language in one of them",
          "the manual page nit of SunOS 4, dated 18 June 1987; bpf(4) on its filter", "CSPF"),
    Event(1990, "BPF", "written in summer; published in January 1993",
          "bpf(4), on its history, for the summer; USENIX Winter 1993", "CSPF"),
    Event(1999, "Linux Socket Filter", "BPF on any socket",
          "socket(7): SO_ATTACH_FILTER since Linux 2.2", "BPF"),
    Event(2012, "seccomp", "BPF for system calls",
          "PR_SET_SECCOMP(2const): SECCOMP_MODE_FILTER since Linux 3.5", "Linux Socket Filter"),
    Event(2014, "eBPF", "a larger machine, beneath the old one",
          "bpf(2): since Linux 3.18", "Linux Socket Filter"),
    Event(2016, "XDP", "eBPF in the driver, before the stack",
          "Høiland-Jørgensen and others, The eXpress Data Path, CoNEXT 2018; Linux 4.8", "eBPF"),
)  # fmt: skip


def timeline() -> History:
    """All of it, drawn."""
    first, ebpf = EVENTS[0].year, next(each.year for each in EVENTS if each.name == "eBPF")
    return History(EVENTS, f"{ebpf - first} years from Enet to eBPF")
