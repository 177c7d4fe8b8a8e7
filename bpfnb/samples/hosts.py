"""The two hosts of every sample, and of the packets crafted in the course.

Their addresses are set aside for documentation and belong to nobody: MAC
00:00:5e:00:53:00-ff (RFC 7042), IPv4 192.0.2.0/24 (RFC 5737), IPv6
2001:db8::/32 (RFC 3849), groups 233.252.0.0/24 (RFC 6676).  Left out: names
in the DNS; the samples call the second one bob.example.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALICE", "BOB", "BROADCAST", "GROUP", "NOBODY", "Host"]


@dataclass(frozen=True)
class Host:
    """A host's addresses, as people write them and as scapy takes them.

    `link_local` is the IPv6 address Linux makes of the MAC (RFC 4291).
    """

    name: str
    mac: str
    ipv4: str
    ipv6: str
    link_local: str


ALICE = Host("alice", "00:00:5e:00:53:01", "192.0.2.1", "2001:db8::1", "fe80::200:5eff:fe00:5301")
BOB = Host("bob", "00:00:5e:00:53:02", "192.0.2.2", "2001:db8::2", "fe80::200:5eff:fe00:5302")

# An address that no host has, all hosts of the wire, and a multicast group.
NOBODY, BROADCAST, GROUP = "192.0.2.99", "192.0.2.255", "233.252.0.1"
