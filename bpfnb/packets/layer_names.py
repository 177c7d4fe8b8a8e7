"""What scapy's layers and fields are called here: one name for one thing.

As `analysis.naming.headers` calls them, where scapy's classes have names that only its users
know, or several for one header.  Left out: where they lie (`fields`).

Source: RFC 3032 for MPLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpfnb.packets.dissect import one_line

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

__all__ = ["LABEL", "NAMES", "called", "is_labelled"]

LAYERS = {
    "CookedLinux": "SLL", "CookedLinuxV2": "SLL2", "Dot1AD": "VLAN", "Dot1Q": "VLAN",
    "Dot3": "Ether", "IPv6ExtHdrFragment": "Fragment", "Loopback": "Null",
    "LoopbackOpenBSD": "Loop",
}  # fmt: skip
NAMES = {
    "VLAN.vlan": "id", "VLAN.id": "dei",  # an older scapy calls it so
    "Null.type": "family", "Loop.type": "family",
}  # fmt: skip
LABELS = (0x8847, 0x8848)  # EtherTypes of MPLS
LABEL = (("label", 0, 20), ("cos", 20, 3), ("s", 23, 1), ("ttl", 24, 8))  # name, bit, width


def called(kind: type[ScapyPacket]) -> str:
    """What a layer of this class is called."""
    from scapy.layers.inet6 import _ICMPv6

    if issubclass(kind, _ICMPv6):  # scapy has a class a type
        return "ICMPv6"
    return LAYERS.get(kind.__name__) or one_line(kind.__name__)


def is_labelled(layer: Any, under: Any) -> bool:
    """Whether a layer that scapy left as raw bytes begins with an MPLS label."""
    from scapy.packet import Raw

    fields = {} if under is None else under.fields
    return type(layer) is Raw and any(fields.get(key) in LABELS for key in ("type", "proto"))
