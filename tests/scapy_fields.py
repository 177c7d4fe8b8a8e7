"""What scapy says of a packet's fields: where each one stands, and its value.

For tests that hold our names against another implementation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from bpfnb.packets.dissect import layer_class, steady
from bpfnb.packets.packet import Packet

LAYERS = {
    "Ether": "Ether", "Dot3": "Ether", "Dot1Q": "VLAN", "Dot1AD": "VLAN", "LLC": "LLC",
    "CookedLinux": "SLL", "CookedLinuxV2": "SLL2", "ARP": "ARP", "IP": "IP", "IPv6": "IPv6",
    "IPv6ExtHdrFragment": "Fragment", "TCP": "TCP", "UDP": "UDP", "SCTP": "SCTP", "ICMP": "ICMP",
    "MPLS": "MPLS", "Loopback": "Null", "LoopbackOpenBSD": "Loop", "HDLC": "HDLC", "PPP": "PPP",
}  # fmt: skip
FIELDS = {
    "Ether.len": "Ether.type", "VLAN.vlan": "VLAN.id", "VLAN.id": "VLAN.dei",
    "Null.type": "Null.family", "Loop.type": "Loop.family",
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """A field as scapy has it: `start` to `stop` - 1 in bits of the packet, and its value."""

    name: str
    start: int
    stop: int
    value: int | None


def spans(packet: Packet) -> list[Span]:
    """All fields of fixed size of the layers in LAYERS."""
    layer = layer_class(packet.linktype)
    assert layer is not None
    with steady():
        __import__("scapy.contrib.mpls")
        return list(walk(layer(packet.data)))


def walk(layer: Any) -> Iterator[Span]:
    start = 0
    while layer and type(layer).__name__ != "NoPayload":
        kind = type(layer).__name__
        ours = LAYERS.get(kind, "ICMPv6" if kind.startswith("ICMPv6") else "")
        at = 8 * start
        for field in layer.fields_desc:
            if hasattr(field, "_find_fld_pkt"):
                field = field._find_fld_pkt(layer)
            if hasattr(field, "cond"):
                if not field._evalcond(layer):
                    continue
                field = field.fld
            bits = abs(field.size) if hasattr(field, "rev") else 8 * int(field.sz)
            if bits == 0 or getattr(field, "length_from", None) or getattr(field, "islist", 0):
                break
            name = f"{ours}.{field.name}"
            if ours:
                value = number(layer.getfieldval(field.name))
                yield Span(FIELDS.get(name, name), at, at + bits, value)
            at += bits
        start += len(layer.raw_packet_cache or b"")
        layer = layer.payload


def number(value: Any) -> int | None:
    """A field's value as an integer."""
    try:
        return int(value)
    except (TypeError, ValueError):
        pass
    text = str(value)
    for kind in (IPv4Address, IPv6Address):
        try:
            return int(kind(text))
        except ValueError:
            pass
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        return None
