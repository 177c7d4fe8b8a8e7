"""The ONE table of header fields: where they stand, what they are called, how they are shown.

A protocol's layout is a line of `name:bits` or `name:bits:kind`, as its header
is drawn in an RFC.  Names are those that people write: scapy's, but for VLAN and
its id and the link layers' own; `packets.fields` says the same of a packet.  `key`
is the field that says what is above, `above` which protocol its values stand for.

Left out: options and extension headers but IPv6's fragment header, and what
lies in a payload.

Source: RFC 791, 792, 793, 768, 826, 4443, 4960, 8200; IEEE 802.1Q, 802.2, 802.3;
https://www.tcpdump.org/linktypes.html for the link layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from bpfnb.cbpf.constants import ETHERTYPES, PROTOCOLS

__all__ = ["EITHER", "HEADERS", "RAW", "ROOTS", "Field", "Protocol", "show"]

UNBOUNDED = 1 << 32  # bits of a payload


@dataclass(frozen=True)
class Field:
    """Bits `start` to `start` + `bits` - 1 of a header; `kind` is how a value is shown."""

    name: str
    start: int
    bits: int
    kind: str = "number"

    @property
    def stop(self) -> int:
        """The first bit behind it."""
        return self.start + self.bits


@dataclass(frozen=True)
class Protocol:
    """A header.  `length` is its bytes; `longer` names a field that counts them in fours.

    `fragment` names the field that is 0 only where what is above begins here.
    """

    name: str
    fields: tuple[Field, ...]
    length: int
    key: str = ""
    above: Mapping[int, str] = field(default_factory=dict, compare=False)
    longer: str = ""
    fragment: str = ""
    payload: str = ""

    def named(self, name: str) -> Field:
        """The field of this name."""
        return next(each for each in self.fields if each.name == name)


def protocol(
    name: str, layout: str, key: str = "", above: Mapping[int, str] | None = None, **more: str
) -> Protocol:
    """A row: fields follow each other without gaps."""
    fields, start = [], 0
    for part in layout.split():
        title, bits, *kind = part.split(":")
        fields.append(Field(title, start, int(bits), *kind))
        start += int(bits)
    return Protocol(name, tuple(fields), start // 8, key, above or {}, **more)


VLAN_TYPES = (0x8100, 0x88A8, 0x9100, 0x9200)
ON_LINK = {
    0x0800: "IP",
    0x86DD: "IPv6",
    0x0806: "ARP",
    0x8035: "ARP",  # RARP has the same header
    **dict.fromkeys(VLAN_TYPES, "VLAN"),
    0x8847: "MPLS",
}
ON_IP = {1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP"}
ON_IPV6 = {6: "TCP", 17: "UDP", 132: "SCTP", 58: "ICMPv6", 44: "Fragment"}
ON_PPP = {0x21: "IP", 0x57: "IPv6"}
FAMILIES = {2: "IP", 10: "IPv6", 24: "IPv6", 28: "IPv6", 30: "IPv6"}  # AF_INET6 differs by system
SWAPPED = {family << 24: name for family, name in FAMILIES.items()}  # the writer's byte order
RAW = "IP or IPv6"
MAX_802_3 = 1500  # up to here Ether.type is a length, and LLC is above

HEADERS: dict[str, Protocol] = {
    row.name: row
    for row in (
        protocol("Ether", "dst:48:mac src:48:mac type:16:ethertype", "type", ON_LINK),
        protocol("VLAN", "prio:3 dei:1 id:12 type:16:ethertype", "type", ON_LINK),
        protocol("MPLS", "label:20 cos:3 s:1 ttl:8"),
        protocol("LLC", "dsap:8:hex ssap:8:hex ctrl:8:hex"),
        protocol(
            "SLL",
            "pkttype:16 lladdrtype:16 lladdrlen:16 src:64:hex proto:16:ethertype",
            "proto",
            ON_LINK,
        ),
        protocol(
            "SLL2",
            "proto:16:ethertype reserved:16 ifindex:32 lladdrtype:16 pkttype:8 lladdrlen:8 "
            "src:64:hex",
            "proto",
            ON_LINK,
        ),
        protocol("Null", "family:32:hex", "family", {**FAMILIES, **SWAPPED}),
        protocol("Loop", "family:32", "family", FAMILIES),
        protocol("HDLC", "address:8:hex control:8:hex", payload="PPP"),
        protocol("PPP", "proto:16:hex", "proto", ON_PPP),
        protocol(
            "ARP",
            "hwtype:16 ptype:16:ethertype hwlen:8 plen:8 op:16:arp "
            "hwsrc:48:mac psrc:32:ipv4 hwdst:48:mac pdst:32:ipv4",
        ),
        protocol(
            "IP",
            "version:4 ihl:4 tos:8:hex len:16 id:16 flags:3:ipflags frag:13 ttl:8 "
            "proto:8:protocol chksum:16:hex src:32:ipv4 dst:32:ipv4",
            "proto",
            ON_IP,
            longer="ihl",
            fragment="frag",
        ),
        protocol(
            "IPv6",
            "version:4 tc:8:hex fl:20:hex plen:16 nh:8:protocol hlim:8 src:128:hex dst:128:hex",
            "nh",
            ON_IPV6,
        ),
        protocol(
            "Fragment",
            "nh:8:protocol res1:8 offset:13 res2:2 m:1 id:32",
            "nh",
            ON_IPV6,
            fragment="offset",
        ),
        protocol(
            "TCP",
            "sport:16 dport:16 seq:32 ack:32 dataofs:4 reserved:4 flags:8:tcpflags "
            "window:16 chksum:16:hex urgptr:16",
            longer="dataofs",
            payload="TCP data",
        ),
        protocol("UDP", "sport:16 dport:16 len:16 chksum:16:hex", payload="UDP data"),
        protocol("SCTP", "sport:16 dport:16 tag:32:hex chksum:32:hex"),
        protocol("ICMP", "type:8:icmp code:8 chksum:16:hex"),
        protocol("ICMPv6", "type:8:icmpv6 code:8 cksum:16:hex"),
        Protocol("TCP data", (Field("", 0, UNBOUNDED, "hex"),), 0),
        Protocol("UDP data", (Field("", 0, UNBOUNDED, "hex"),), 0),
    )
}

# What a packet without a link header begins with: its first half byte tells which IP it is.
EITHER = Protocol(RAW, (Field("version", 0, 4),), 0, "version", {4: "IP", 6: "IPv6"})

# The first header of a packet, by LINKTYPE_ number.  PPP is read as libpcap reads it:
# with address and control bytes before the protocol.
ROOTS: dict[int, str] = {
    0: "Null",
    1: "Ether",
    9: "HDLC",
    50: "HDLC",
    101: RAW,
    108: "Loop",
    113: "SLL",
    228: "IP",
    229: "IPv6",
    276: "SLL2",
}

WORDS = {"IP": "IPv4", "IPV6": "IPv6", "REVARP": "RARP", "ICMPV6": "ICMPv6"}


def shortened(names: Mapping[str, int]) -> dict[int, str]:
    """Numbers to the names people say: 0x800 is IPv4."""
    bare = {number: name.partition("_")[2] for name, number in names.items()}
    return {number: WORDS.get(name, name) for number, name in bare.items()}


NAMED: dict[str, dict[int, str]] = {
    "ethertype": shortened(ETHERTYPES),
    "protocol": {**shortened(PROTOCOLS), 4: "IPv4 in IP", 41: "IPv6 in IP"},
    "arp": {1: "request", 2: "reply", 3: "RARP request", 4: "RARP reply"},
    "icmp": {
        0: "echo reply",
        3: "unreachable",
        5: "redirect",
        8: "echo request",
        11: "time exceeded",
    },
    "icmpv6": {
        1: "unreachable",
        2: "packet too big",
        3: "time exceeded",
        128: "echo request",
        129: "echo reply",
        133: "router solicitation",
        134: "router advertisement",
        135: "neighbour solicitation",
        136: "neighbour advertisement",
    },
}
FLAGS: dict[str, tuple[str, ...]] = {
    "tcpflags": ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"),
    "ipflags": ("MF", "DF", "evil"),
}  # bit 0 first


def show(value: int, kind: str) -> str:
    """A field's value as people write it.

    >>> show(0x800, "ethertype"), show(17, "protocol"), show(0x12, "tcpflags")
    ('0x0800 (IPv4)', '17 (UDP)', '0x12 (SYN, ACK)')
    >>> show(0xC0000201, "ipv4"), show(0x0242c0000201, "mac")
    ('192.0.2.1', '02:42:c0:00:02:01')
    """
    if kind == "ipv4":
        return str(IPv4Address(value & 0xFFFFFFFF))
    if kind == "mac":
        return value.to_bytes(6, "big").hex(":")
    if kind == "hex":
        return f"{value:#x}"
    if kind in FLAGS:
        names = ", ".join(flag_names(value, kind))
        return f"{value:#04x} ({names})" if names else f"{value:#x}"
    number = f"0x{value:04x}" if kind == "ethertype" else str(value)
    name = NAMED.get(kind, {}).get(value)
    return f"{number} ({name})" if name else number


def flag_names(value: int, kind: str) -> list[str]:
    """The names of the bits that are set."""
    return [name for bit, name in enumerate(FLAGS[kind]) if value >> bit & 1]
