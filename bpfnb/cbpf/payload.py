"""What three of Linux's extensions compute: poff, nla and nlan.

`payload_offset` walks the headers as the kernel's flow dissector does and adds
the transport header; the other two look for netlink attributes.  These look at
the packet's bytes alone.

Left out of the dissector: PPPoE, GRE, HSR and PRP, batman-adv, TIPC, FCoE, PTP
and CFM, where the kernel finds an offset and we give 0; a BPF program attached in
the dissector's place.

Source: net/core/flow_dissector.c (__skb_flow_dissect, __skb_get_poff),
net/core/filter.c (bpf_skb_get_nlattr), net/netlink.h (nla_ok, nla_next), each
held against a running kernel in tests/test_extensions.py.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

__all__ = ["find_attribute", "find_nested_attribute", "payload_offset"]

ETH_IP, ETH_IPV6 = 0x0800, 0x86DD
VLANS = frozenset({0x8100, 0x88A8})
ARPS = frozenset({0x0806, 0x8035})  # ARP, RARP: no header follows
MPLS = frozenset({0x8847, 0x8848})
TCP, FRAGMENT = 6, 44
IPIP, IPV6_IN_IP, MPLS_IN_IP, GRE = 4, 41, 137, 47
IPV6_OPTIONS = frozenset({0, 43, 60})  # hop by hop, routing, destination
MAX_HEADERS = 15  # MAX_FLOW_DISSECT_HDRS

# IP protocol -> bytes of its fixed header: UDP, UDP-Lite, ICMP, ICMPv6, IGMP, DCCP, SCTP
TRANSPORT = {17: 8, 136: 8, 1: 8, 58: 8, 2: 8, 33: 12, 132: 12}


class Malformed(Exception):  # noqa: N818  what the dissector calls a bad packet
    """A header is cut off, or nothing the dissector knows."""


@dataclass
class Walk:
    """Where the dissector stands: `offset` of the next header, what that is."""

    data: bytes
    offset: int
    proto: int  # an EtherType
    ip_proto: int = 0
    later_fragment: bool = False
    headers: int = 0

    def header(self, size: int) -> bytes:
        """The next `size` bytes; Malformed where the packet ends first."""
        end = self.offset + size
        if self.offset < 0 or end > len(self.data):
            raise Malformed
        return self.data[self.offset : end]

    def allowed(self) -> bool:
        """Count one more header; False beyond the dissector's limit."""
        self.headers += 1
        return self.headers <= MAX_HEADERS


def payload_offset(data: bytes, proto: int, net_offset: int, vlan_present: int = 0) -> int:
    """Find the byte behind the transport header; 0 where the headers make no sense.

    `proto` is the EtherType of the header at byte `net_offset`.  A fragment
    after the first has no transport header: the answer is the end of its IP
    header then.  A VLAN tag that was taken out (`vlan_present`) still counts as one
    of the fifteen headers that the dissector passes at most.

    >>> udp = bytes.fromhex("4500 001d 0000 0000 4011 0000 0a000001 0a000002") + bytes(9)
    >>> payload_offset(udp, 0x800, 0)
    28
    """
    walk = Walk(data, net_offset, proto, headers=1 if vlan_present else 0)
    try:
        while link_step(walk) and ip_steps(walk):
            if not walk.allowed():
                break
    except Malformed:
        return 0
    offset = min(walk.offset & 0xFFFF, len(data) & 0xFFFF)
    return offset if walk.later_fragment else offset + transport_length(walk, offset)


def link_step(walk: Walk) -> bool:
    """Pass what an EtherType names.  False: stop here, the IP protocol stands."""
    while walk.proto in VLANS:
        tag = walk.header(4)
        walk.proto = int.from_bytes(tag[2:], "big")
        walk.offset += 4
        if not walk.allowed():
            return False
    if walk.proto == ETH_IP:
        return ipv4(walk)
    if walk.proto == ETH_IPV6:
        walk.ip_proto = walk.header(40)[6]
        walk.offset += 40
        return True
    if walk.proto in MPLS:
        walk.offset += 4
    elif walk.proto not in ARPS:
        raise Malformed
    return False


def ipv4(walk: Walk) -> bool:
    """Pass an IPv4 header.  False for a fragment, which nothing is sought behind."""
    header = walk.header(20)
    length = 4 * (header[0] & 0xF)
    if length < 20:
        raise Malformed
    walk.offset += length
    walk.ip_proto = header[9]
    more_and_offset = int.from_bytes(header[6:8], "big") & 0x3FFF
    walk.later_fragment = more_and_offset & 0x1FFF != 0
    return more_and_offset == 0


def ip_steps(walk: Walk) -> bool:
    """Pass extension headers.  True: another EtherType's header follows."""
    while walk.proto == ETH_IPV6 and walk.ip_proto in IPV6_OPTIONS:
        kind, length = walk.header(2)
        walk.ip_proto = kind
        walk.offset += (length + 1) * 8
        if not walk.allowed():
            return False
    if walk.proto == ETH_IPV6 and walk.ip_proto == FRAGMENT:
        header = walk.header(8)
        walk.ip_proto = header[0]
        walk.offset += 8
        walk.later_fragment = int.from_bytes(header[2:4], "big") & 0xFFF8 != 0
        return False
    inner = {IPIP: ETH_IP, IPV6_IN_IP: ETH_IPV6, MPLS_IN_IP: 0x8847}.get(walk.ip_proto)
    if walk.ip_proto == GRE:
        raise Malformed
    walk.proto = walk.proto if inner is None else inner
    return inner is not None


def transport_length(walk: Walk, offset: int) -> int:
    """Bytes of the transport header at `offset`; 0 for a protocol without one."""
    if walk.ip_proto != TCP:
        return TRANSPORT.get(walk.ip_proto, 0)
    if offset + 13 > len(walk.data):
        return 0
    return max(20, (walk.data[offset + 12] & 0xF0) >> 2)


# Netlink attributes: length:16, type:16 in host order, the length counts these
# four bytes; the next one starts at a multiple of four from this one.
ATTRIBUTE = 4
TYPE_MASK = 0x3FFF  # the upper two bits are flags


def attribute(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """(length, type) of the attribute at `at`; None where none fits before `end`."""
    if at + ATTRIBUTE > end:
        return None
    length = int.from_bytes(data[at : at + 2], sys.byteorder)
    kind = int.from_bytes(data[at + 2 : at + 4], sys.byteorder)
    if length < ATTRIBUTE or at + length > end:
        return None
    return length, kind & TYPE_MASK


def search(data: bytes, at: int, end: int, kind: int) -> int:
    """Offset of the first attribute of type `kind` in data[at:end]; 0: none."""
    while found := attribute(data, at, end):
        if found[1] == kind:
            return at
        at += -(-found[0] // ATTRIBUTE) * ATTRIBUTE
    return 0


def find_attribute(data: bytes, a: int, x: int) -> int:
    """nla: offset of the netlink attribute of type `x` at or after byte `a`; 0: none.

    >>> import struct
    >>> two = struct.pack("=HHI", 8, 1, 0) + struct.pack("=HHI", 8, 2, 0)
    >>> find_attribute(two, 0, 2)
    8
    """
    return search(data, a, len(data), x)


def find_nested_attribute(data: bytes, a: int, x: int) -> int:
    """nlan: the same among the attributes inside the one at byte `a`; 0: none.

    >>> import struct
    >>> find_nested_attribute(struct.pack("=HHHHI", 12, 7, 8, 2, 0), 0, 2)
    4
    """
    outer = attribute(data, a, len(data))
    return 0 if outer is None else search(data, a + ATTRIBUTE, a + outer[0], x)
