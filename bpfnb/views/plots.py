"""Numbers compared: verdict counts, instructions per packet, ns per packet.

    VerdictCounts({"icmp": icmp.run_many(capture), "arp": arp.run_many(capture)})
    InstructionCounts.of({"optimised": short, "as written": long}, capture)
    Times({"native": [4.0, 4.2, 4.1], "libpcap": [48.0, 47.5, 50.2]})

Each answers one question, which its caption says behind the answer; below the
picture the same numbers stand as a table.  Left out: measuring, which
`%bpf --time` does.
"""

from bpfnb.views.plots_instructions import InstructionCounts
from bpfnb.views.plots_times import Times
from bpfnb.views.plots_verdicts import VerdictCounts

__all__ = ["InstructionCounts", "Times", "VerdictCounts"]
