"""Filter expressions, by libpcap: compile them, and ask which libpcap it is."""

from __future__ import annotations

from bpfnb.pcap.expression import compile_filter
from bpfnb.pcap.library import load, version

__all__ = ["compile_filter", "load", "version"]
