"""Captures and filters shipped with the package, each with a one-line story.

The captures are of real Linux stacks, recorded by `python -m
bpfnb.samples.record` in network namespaces of its own; the filters are
hand-written.  `captures` and `filters` are the two shelves.  The module
itself stands for the first: iterate over it, or show it in a notebook.
Left out: opening of files, which is `bpfnb.packets.capture`'s.

>>> from bpfnb import samples
>>> samples.path("dns").name
'dns.pcap'
>>> samples.ALICE.ipv4, samples.BOB.ipv4
('192.0.2.1', '192.0.2.2')
>>> [sample.name for sample in samples if sample.linktype != "EN10MB"]
['any', 'raw']
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bpfnb.samples.hosts import ALICE, BOB, Host
from bpfnb.samples.shelf import Filter, Sample, Shelf

if TYPE_CHECKING:
    from bpfnb.packets.capture import Capture

__all__ = [
    "ALICE",
    "BOB",
    "Filter",
    "Host",
    "Sample",
    "Shelf",
    "captures",
    "filters",
    "names",
    "open",
    "path",
    "story",
]

HERE = Path(__file__).parent

CAPTURES = (
    ("mixed", "EN10MB", "a bit of everything on one wire: what to try a filter on"),
    ("arp", "EN10MB", "a neighbour asked for and found, another asked for three times in vain"),
    ("ping", "EN10MB", "three pings and their answers, the neighbour asked for first"),
    ("icmp_errors", "EN10MB", (
        "seven ways in which a packet is sent back: port, protocol, network, host, "
        "prohibited, time, too big"
    )),
    ("udp", "EN10MB", "datagrams of 0 to 1472 bytes both ways, one broadcast, one multicast"),
    ("dns", "EN10MB", (
        "four lookups by UDP: an IPv4 and an IPv6 address, a name that does not exist, "
        "an answer too long and asked for again by TCP"
    )),
    ("tcp", "EN10MB", (
        "five connections: in order, with urgent data, refused, reset, and to a silent "
        "host, whose SYN is sent again and again"
    )),
    ("http", "EN10MB", "one connection, two pages: one found in three segments, one not found"),
    ("snapped", "EN10MB", (
        "lookups and a page with at most 60 bytes of each packet kept: loads past them fail"
    )),
    ("fragments", "EN10MB", "UDP and ping too big for one frame: only first fragments have ports"),
    ("ip_options", "EN10MB", (
        "IPv4 headers of 20 to 60 bytes: record route, timestamp, padding, router "
        "alert"
    )),
    ("ipv6", "EN10MB", "ping, DNS, a web page and a closed port, all by IPv6"),
    ("ndp", "EN10MB", (
        "a host comes up by IPv6: its address checked, groups joined, a router and "
        "neighbours asked for"
    )),
    ("ipv6_extensions", "EN10MB", (
        "UDP and TCP behind hop-by-hop options, destination options and fragment "
        "headers"
    )),
    ("vlan", "EN10MB", "one wire, three networks: untagged, VLAN 10, and VLAN 20 with priority 5"),
    ("qinq", "EN10MB", "two tags: VLAN 10 of a customer inside VLAN 100 of a provider"),
    ("mpls", "EN10MB", "IPv4 behind one MPLS label (100), then behind two (1000 over 200)"),
    ("vxlan", "EN10MB", "Ethernet inside UDP: an overlay network, VNI 42"),
    ("stp", "EN10MB", "a bridge says hello once a second: 802.3 frames, a length for EtherType"),
    ("loopback", "EN10MB", "a host talks to itself: no MAC addresses, checksums left unfinished"),
    ("any", "LINUX_SLL2", "all interfaces of a host at once, each packet with its direction"),
    ("raw", "RAW", "a tunnel: IP packets with no link layer before them"),
)  # fmt: skip

FILTERS = (
    ("p1_ip", "the paper's first: IP packets"),
    ("p2_not_from", "the paper's second: IP packets from neither of two networks"),
    ("p3_header_length", "the paper's third: the IP header's length, given back as ret"),
    ("p4_port", "the paper's fourth: a destination port, the header length worked out by hand"),
    ("p5_port_msh", "the paper's fifth: the same port with the instruction made for it"),
    ("p6_tcp_port", "the paper's sixth: the same port, with everything checked first"),
    ("host_foo", "the paper's figure 7: IP, ARP and RARP to or from one host"),
    ("fragment", "any fragment of an IPv4 packet, the first one too"),
    ("vlan_10", "frames of VLAN 10, by the tag's own bytes"),
    ("tcp_syn", "the first packet of each TCP connection over IPv4"),
    ("http_get", "TCP data that begins with GET: two headers of unknown length in a row"),
)

captures: Shelf[Sample] = Shelf(
    "sample",
    [Sample(n, HERE / "captures" / f"{n}.pcap", text, link) for n, link, text in CAPTURES],
)
filters: Shelf[Filter] = Shelf(
    "filter", [Filter(n, HERE / "filters" / f"{n}.bpf", text) for n, text in FILTERS]
)


def names() -> tuple[str, ...]:
    """Return the names of all captures."""
    return captures.names()


def path(name: str) -> Path:
    """Return where a capture file lies.  Raises BpfError for a wrong name."""
    return captures.path(name)


def story(name: str) -> str:
    """Return a capture's one-line story.  Raises BpfError for a wrong name."""
    return captures.story(name)


def open(name: str) -> Capture:
    """Open a capture.  Raises BpfError for a wrong name.

    >>> from bpfnb import samples
    >>> len(samples.open("ping"))
    8
    """
    return captures[name].open()


class SamplesModule(ModuleType):
    """This module, so that it can be iterated over and shown as a table."""

    def __iter__(self) -> Iterator[Sample]:
        return iter(captures)

    def __len__(self) -> int:
        return len(captures)

    def __repr__(self) -> str:
        return repr(captures)

    def _repr_html_(self) -> str:
        return captures._repr_html_()


sys.modules[__name__].__class__ = SamplesModule
