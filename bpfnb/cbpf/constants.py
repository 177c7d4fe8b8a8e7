"""Well-known numbers by name, as the paper's listings write them.

`#ETHERTYPE_IP` in a program's text is 0x800.  Only numbers that filters
compare with stand here.  Sources: IEEE 802 numbers and protocol numbers as
IANA lists them; ETHERPROTO_ is the paper's other spelling of ETHERTYPE_.
"""

from __future__ import annotations

__all__ = ["CONSTANTS", "ETHERTYPES", "PROTOCOLS"]

ETHERTYPES: dict[str, int] = {
    "ETHERTYPE_PUP": 0x0200,
    "ETHERTYPE_IP": 0x0800,
    "ETHERTYPE_ARP": 0x0806,
    "ETHERTYPE_REVARP": 0x8035,
    "ETHERTYPE_VLAN": 0x8100,
    "ETHERTYPE_IPV6": 0x86DD,
    "ETHERTYPE_MPLS": 0x8847,
    "ETHERTYPE_PPPOED": 0x8863,
    "ETHERTYPE_PPPOES": 0x8864,
    "ETHERTYPE_QINQ": 0x88A8,
    "ETHERTYPE_LOOPBACK": 0x9000,
}
PROTOCOLS: dict[str, int] = {
    "IPPROTO_HOPOPTS": 0,
    "IPPROTO_ICMP": 1,
    "IPPROTO_IGMP": 2,
    "IPPROTO_TCP": 6,
    "IPPROTO_UDP": 17,
    "IPPROTO_ROUTING": 43,
    "IPPROTO_FRAGMENT": 44,
    "IPPROTO_GRE": 47,
    "IPPROTO_ESP": 50,
    "IPPROTO_AH": 51,
    "IPPROTO_ICMPV6": 58,
    "IPPROTO_DSTOPTS": 60,
    "IPPROTO_SCTP": 132,
}
CONSTANTS: dict[str, int] = {
    **ETHERTYPES,
    **{name.replace("TYPE_", "PROTO_"): value for name, value in ETHERTYPES.items()},
    "ETHERTYPE_RARP": ETHERTYPES["ETHERTYPE_REVARP"],
    "ETHERPROTO_RARP": ETHERTYPES["ETHERTYPE_REVARP"],
    **PROTOCOLS,
    "TRUE": 0xFFFFFFFF,  # all of the packet; the paper's `ret #TRUE`
    "FALSE": 0,
}
