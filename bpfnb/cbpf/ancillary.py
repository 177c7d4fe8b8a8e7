"""What Linux's extensions read: facts about a packet that are not in it.

`ld` from a constant at or above 0xfffff000 reads no packet byte but the
kernel's notes about the packet.  EXTENSIONS is their one table; `Ancillary`
the notes; `derive` fills in what can be told from the bytes themselves.
Left out: everything an extension could read that only a device knows; there
the record's default stands.

Source: linux/filter.h (SKF_AD_*), net/core/filter.c, net/core/flow_dissector.c;
each extension checked against a running kernel in the tests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["AD_OFF", "EXTENSIONS", "LL_OFF", "NET_OFF", "Ancillary", "Extension", "derive"]

AD_OFF = 0xFFFFF000  # SKF_AD_OFF, -0x1000
NET_OFF = 0xFFF00000  # SKF_NET_OFF, -0x100000
LL_OFF = 0xFFE00000  # SKF_LL_OFF, -0x200000


@dataclass(frozen=True)
class Extension:
    """One extension: `offset` counts from AD_OFF, `sentence` says what A gets.

    `listed` is what libpcap's listings call it, where that differs from `name`.
    """

    offset: int
    name: str
    sentence: str
    aliases: tuple[str, ...] = ()
    listed: str = ""

    @property
    def k(self) -> int:
        """The constant that `ld [k]` carries."""
        return AD_OFF + self.offset


EXTENSIONS: tuple[Extension, ...] = (
    Extension(0, "proto", "the protocol above the link layer (0x800 is IPv4)"),
    Extension(
        4, "type", "to whom: 0 this host, 1 broadcast, 2 multicast, 3 another host, 4 outgoing"
    ),
    Extension(8, "ifidx", "the interface's number; ends the program where there is none"),
    Extension(12, "nla", "the offset of the netlink attribute of type X, searched from A; 0: none"),
    Extension(16, "nlan", "the same inside the attribute at A"),
    Extension(20, "mark", "the packet's mark"),
    Extension(24, "queue", "the receive queue's number"),
    Extension(28, "hatype", "the interface's ARPHRD_ type; ends the program where there is none"),
    Extension(32, "rxhash", "the flow's hash"),
    Extension(36, "cpu", "the number of the CPU that runs the filter"),
    Extension(40, "alu_xor_x", "A xor X", listed="xor_x"),
    Extension(44, "vlan_tci", "the VLAN tag that was taken out of the frame"),
    Extension(48, "vlan_avail", "1 when a VLAN tag was taken out, else 0", ("vlan_pr",), "vlanp"),
    Extension(52, "poff", "the offset of the payload behind the transport header"),
    Extension(56, "rand", "a random number", listed="random"),
    Extension(60, "vlan_tpid", "the type of the VLAN tag that was taken out (0x8100)"),
)
BY_K: dict[int, Extension] = {row.k: row for row in EXTENSIONS}
BY_NAME: dict[str, Extension] = {
    name: row for row in EXTENSIONS for name in (row.name, *row.aliases, row.listed) if name
}


def random_word() -> int:
    """A random 32-bit number."""
    return random.getrandbits(32)


@dataclass(frozen=True)
class Ancillary:
    """The kernel's notes about one packet.

    None in `ifindex` and `hatype` means: the packet has no device.  `net_offset`
    is where the network header starts, `link_offset` where the link header does;
    None: there is none (as on an AF_UNIX socket, where `net_offset` is 0).
    """

    proto: int = 0
    pkttype: int = 0
    ifindex: int | None = None
    mark: int = 0
    queue: int = 0
    hatype: int | None = None
    rxhash: int = 0
    cpu: int = 0
    vlan_tci: int = 0
    vlan_present: int = 0
    vlan_tpid: int = 0
    net_offset: int = 0
    link_offset: int | None = None
    random: Callable[[], int] = field(default=random_word, repr=False)


UNIX_SOCKET = Ancillary()  # what a filter on an AF_UNIX socket pair sees

# LINKTYPE_ numbers whose headers say something of what is above
EN10MB, RAW, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = 1, 101, 113, 228, 229, 276
IP_VERSIONS = {4: 0x0800, 6: 0x86DD}
FIRST_ETHERTYPE = 0x0600  # below, the field is a length: IEEE 802.3
ETH_P_802_3, ETH_P_802_2 = 1, 4  # the kernel's numbers for such frames
ARPHRD_ETHER = 1
TO_US, TO_ALL, TO_GROUP = 0, 1, 2  # PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST


def derive(data: bytes, linktype: int | None) -> Ancillary:
    """Fill in the kernel's notes from the packet's own bytes.

    `linktype` is the LINKTYPE_ number: for Ethernet the notes are those of a
    frame received on an AF_PACKET SOCK_RAW socket; for LINUX_SLL and
    LINUX_SLL2 the file's own header tells them; a raw IP packet tells its
    version.  None gives `UNIX_SOCKET`, and so what the kernel's filter sees on
    a socket pair.

    What no byte tells keeps the record's default: the interface's number, the
    mark, the hash.  A frame to somebody else's address counts as to this host,
    since the address of the interface is not known.  The kernel takes a VLAN
    tag out of a frame before the filter sees it; a tag still in `data` is left
    there, `vlan_tci` is 0 then and `proto` 0x8100.

    >>> derive(bytes.fromhex("ffffffffffff 001122334455 0806"), 1).proto
    2054
    """
    reader = READERS.get(linktype) if linktype is not None else None
    if reader is not None:
        return reader(data)
    return UNIX_SOCKET if linktype is None else Ancillary(link_offset=0)


def from_ethernet(data: bytes) -> Ancillary:
    """What the kernel's eth_type_trans finds; `proto` is 0 in a cut-off header."""
    proto = field_at(data, 12, 2)
    if len(data) >= 14 and proto < FIRST_ETHERTYPE:
        proto = ETH_P_802_3 if data[14:16] == b"\xff\xff" else ETH_P_802_2
    pkttype = TO_US
    if data[:6] == b"\xff" * 6:
        pkttype = TO_ALL
    elif data and data[0] & 1:
        pkttype = TO_GROUP
    return Ancillary(proto, pkttype, hatype=ARPHRD_ETHER, net_offset=14, link_offset=0)


def from_raw_ip(data: bytes) -> Ancillary:
    """An IP packet without a link header: the version is the first half byte."""
    return Ancillary(IP_VERSIONS.get(data[0] >> 4, 0) if data else 0, link_offset=0)


def from_sll(data: bytes) -> Ancillary:
    """A "cooked" capture: type:2, ARPHRD_:2, address:10, proto:2."""
    return Ancillary(
        field_at(data, 14, 2), field_at(data, 0, 2), hatype=field_at(data, 2, 2), net_offset=16
    )


def from_sll2(data: bytes) -> Ancillary:
    """Its second version: proto:2, zero:2, ifindex:4, ARPHRD_:2, type:1, address:9."""
    return Ancillary(
        field_at(data, 0, 2),
        field_at(data, 10, 1),
        ifindex=field_at(data, 4, 4),
        hatype=field_at(data, 8, 2),
        net_offset=20,
    )


def field_at(data: bytes, start: int, size: int) -> int:
    """A number in network order; 0 where the packet ends before it does."""
    part = data[start : start + size]
    return int.from_bytes(part, "big") if len(part) == size else 0


READERS: dict[int, Callable[[bytes], Ancillary]] = {
    EN10MB: from_ethernet,
    RAW: from_raw_ip,
    IPV4: from_raw_ip,
    IPV6: from_raw_ip,
    LINUX_SLL: from_sll,
    LINUX_SLL2: from_sll2,
}
