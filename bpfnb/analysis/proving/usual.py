"""Packets as they usually are, by link type: what a made packet is to look like.

    stack("IP/TCP", EN10MB)     one packet of these layers, whole and valid
    usual(EN10MB)               a dozen, the most usual first

They go from alice to bob, whose addresses belong to nobody.  Headers are written from the
ONE table of fields (`headers`), with the values below; lengths and checksums are put in by
`whole`.  Left out: link types whose header that table has not; they have no usual packet.

Source: the RFCs in `headers`; `samples.hosts` for addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from itertools import zip_longest

from bpfnb.analysis.naming.headers import HEADERS, RAW, ROOTS, Protocol
from bpfnb.analysis.proving.whole import layers, put_right
from bpfnb.errors import PacketError
from bpfnb.packets.linktype import EN10MB, name
from bpfnb.samples.hosts import ALICE, BOB

__all__ = ["STACKS", "Usual", "link_header", "others", "stack", "usual"]


@dataclass(frozen=True)
class Usual:
    """One packet: the names of its layers, and its bytes."""

    layers: str
    data: bytes


def mac(text: str) -> int:
    """A MAC address as a number."""
    return int(text.replace(":", ""), 16)


FROM_MAC, TO_MAC = mac(ALICE.mac), mac(BOB.mac)
PORT = 49152  # the first that belongs to no service
VALUES: dict[str, Mapping[str, int]] = {
    "Ether": {"dst": TO_MAC, "src": FROM_MAC},
    "VLAN": {"id": 7},
    "MPLS": {"label": 16, "s": 1, "ttl": 64},
    "SLL": {"lladdrtype": 1, "lladdrlen": 6, "src": FROM_MAC << 16},
    "SLL2": {"ifindex": 2, "lladdrtype": 1, "lladdrlen": 6, "src": FROM_MAC << 16},
    "HDLC": {"address": 0xFF, "control": 3},
    "ARP": {"hwtype": 1, "ptype": 0x0800, "hwlen": 6, "plen": 4, "op": 1, "hwsrc": FROM_MAC,
            "psrc": int(ip_address(ALICE.ipv4)), "pdst": int(ip_address(BOB.ipv4))},
    "IP": {"version": 4, "ihl": 5, "id": 1, "ttl": 64,
           "src": int(ip_address(ALICE.ipv4)), "dst": int(ip_address(BOB.ipv4))},
    "IPv6": {"version": 6, "hlim": 64,
             "src": int(ip_address(ALICE.ipv6)), "dst": int(ip_address(BOB.ipv6))},
    "Fragment": {"id": 1},
    "TCP": {"sport": PORT, "dport": 80, "seq": 1, "dataofs": 5, "flags": 2, "window": 64240},
    "UDP": {"sport": PORT, "dport": 9},
    "SCTP": {"sport": PORT, "dport": 9, "tag": 1},
    "ICMP": {"type": 8},
    "ICMPv6": {"type": 128},
}  # fmt: skip
NAMED = {each.lower(): each for each in HEADERS if " " not in each}
NAMED["dot1q"] = "VLAN"  # as scapy calls it
ON_TOP = {"ICMP": bytes([0, 1, 0, 1]), "ICMPv6": bytes([0, 1, 0, 1])}  # identifier, number
NO_LINK = {RAW: ("IP", "IPv6"), "IP": ("IP",), "IPv6": ("IPv6",)}
ON_IP = {"IP": 4, "IPv6": 41}  # IP in IP, which no program's names follow
STACKS = (
    "IP/TCP", "IP/UDP", "IP/ICMP", "ARP", "IPv6/TCP", "IPv6/UDP", "IPv6/ICMPv6", "VLAN/IP/TCP",
    "IP/SCTP", "IPv6/SCTP", "VLAN/IPv6/UDP", "VLAN/ARP", "MPLS/IP/TCP", "IPv6/Fragment/UDP",
)  # fmt: skip
PLAIN = ("IP/TCP", "IP/UDP", "IP/ICMP")  # those that also come with data, with options
ROUTER_ALERT, MSS = bytes.fromhex("94040000"), bytes.fromhex("020405b4")  # RFC 2113, 9293
PAYLOAD = 32  # bytes


@cache
def usual(linktype: int | None) -> tuple[Usual, ...]:
    """Usual packets of a link type, the most usual first; none where its header is not known.

    >>> [each.layers for each in usual(101)][:3], len(usual(1)[0].data), usual(147)
    (['IP/TCP', 'IP/UDP', 'IP/ICMP'], 54, ())
    """
    if linktype not in ROOTS:
        return ()
    made = []
    for each in STACKS:
        with suppress(PacketError):  # a link type carries not all of them
            made.append(Usual(each, stack(each, linktype)))
    plain = [each for each in made if each.layers in PLAIN]
    made += [other for each in plain for other in others(each, linktype)]
    return tuple(made)


def others(packet: Usual, linktype: int) -> tuple[Usual, ...]:
    """The same layers with data in them, with options, as a later fragment.

    >>> [each.layers for each in others(Usual("IP/TCP", stack("IP/TCP", 101)), 101)]
    ['IP/TCP, data', 'IP/TCP, TCP options', 'IP/TCP, IP options', 'IP/TCP, later fragment']
    """
    data, found = packet.data, {}
    rows = {each.row.name: each for each in layers(data, linktype)}
    ip, tcp = rows.get("IP"), rows.get("TCP")
    carried = data
    if tcp is not None:
        carried = changed(data, tcp.start + 13, b"\x18")  # PSH and ACK: no SYN carries data
        found["TCP options"] = changed(data, tcp.start + 12, b"\x60") + MSS
    if ip is not None:
        optional = changed(data, ip.start, b"\x46")
        found["IP options"] = optional[: ip.stop] + ROUTER_ALERT + optional[ip.stop :]
        late = changed(data, ip.start + 6, b"\x00\xb9")  # the 185th eight bytes
        found["later fragment"] = late[: ip.stop] + bytes(PAYLOAD)
    found = {"data": carried + bytes(PAYLOAD), **found}
    return tuple(
        Usual(f"{packet.layers}, {what}", put_right(each, linktype)) for what, each in found.items()
    )


def changed(data: bytes, at: int, part: bytes) -> bytes:
    """The packet with other bytes in it."""
    return data[:at] + part + data[at + len(part) :]


def stack(names: str, linktype: int = EN10MB) -> bytes:
    """A whole, valid packet of these layers, the link layer's header before them.

    PacketError for a layer that is not known, or cannot stand there.

    >>> stack("IP/UDP", 101).hex(" ", 4)
    '4500001c 00010000 4011f6cc c0000201 c0000202 c0000009 0008bbd0'
    """
    stacked = [known(each) for each in names.split("/") if each.strip()]
    if not stacked:
        raise PacketError("there are no layers", 'name them from outside in: "IP/TCP"')
    if stacked[0] == ROOTS.get(linktype) and stacked[0] not in NO_LINK:
        stacked.pop(0)
    data = link_header(linktype, stacked[0] if stacked else "")
    for each, above in zip_longest(stacked, stacked[1:], fillvalue=""):
        data += header(each, above)
    return put_right(data + ON_TOP.get(stacked[-1] if stacked else "", b""), linktype)


def known(layer: str) -> str:
    """A layer's name as it is written here, however it was written."""
    word = layer.strip().lower()
    if word not in NAMED:
        near = get_close_matches(word, NAMED, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(NAMED[each] for each in near)}?" if near else ""
        raise PacketError(f"there is no layer {layer.strip()!r}", hint or f"try {STACKS[0]!r}")
    return NAMED[word]


def link_header(linktype: int, above: str) -> bytes:
    """The link layer's header before a layer.

    >>> link_header(1, "ARP").hex()[24:], link_header(101, "IP")
    ('0806', b'')
    """
    root = ROOTS.get(linktype, "")
    if root in NO_LINK and above in NO_LINK[root]:
        return b""
    if not root or root in NO_LINK:
        raise PacketError(f"no packet of {name(linktype)} begins with {above or 'nothing'}")
    if HEADERS[root].payload:  # PPP behind HDLC's two bytes
        return header(root, "") + header(HEADERS[root].payload, above)
    return header(root, above)


def header(layer: str, above: str) -> bytes:
    """One header from the table, which says what is above it."""
    row, values = HEADERS[layer], dict(VALUES.get(layer, {}))
    if above:
        if (value := announced(row, above)) is not None:
            values[row.key] = value
        elif layer != "MPLS":
            whole = next((each for each in STACKS if each.split("/")[-1] == above), "")
            hint = f"name the layers between, as in {whole!r}" if "/" in whole else ""
            raise PacketError(f"{layer} does not carry {above}", hint)
    number = 0
    for each in row.fields:
        number = number << each.bits | values.get(each.name, 0)
    return number.to_bytes(row.length, "big")


def announced(row: Protocol, above: str) -> int | None:
    """What a header's key says for a layer above."""
    found = next((value for value, each in row.above.items() if each == above), None)
    if row.name == "Null" and found is not None:
        return found << 24  # in the byte order of most who write such files
    return ON_IP.get(above) if found is None and row.name in ("IP", "IPv6") else found
