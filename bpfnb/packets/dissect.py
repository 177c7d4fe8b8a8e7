"""What scapy knows: a packet's layers in one line, its link type, its bytes.

Beside `fields`, `layer_names` and `written` the only module that touches scapy.  It is imported
where it is first needed, since that takes a second.  A summary depends on the bytes and the
link type alone: names of ports are left as numbers (they come from this
machine's /etc/services), names of IP protocols from the few below, nothing is
looked up.
Left out: fields and their places (`fields`).

Source: scapy's documentation, "Build and dissect".
"""

from __future__ import annotations

import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from bpfnb.errors import PacketError
from bpfnb.packets.linktype import by_number, name, of_layer

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

__all__ = ["build", "is_packet", "is_packet_list", "layer_linktype", "meant", "summary"]

WIDEST = 160  # characters of a summary
MOST_BYTES = 0xFFFF  # that are dissected; scapy's own limit
MOST_MEANT = 1 << 16  # packets that one scapy packet may stand for

# All that scapy's layers were seen to raise on strange bytes and strange fields.
SCAPY_FAILS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
SCALARS = (int, str, bytes, float, type(None))  # values of a field that stand for one
PROTOCOLS = {
    0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre",
    50: "esp", 51: "ah", 58: "ipv6_icmp", 88: "eigrp", 89: "ospf", 103: "pim", 112: "vrrp",
    132: "sctp", 136: "udplite",
}  # fmt: skip
STEADY = threading.RLock()


def summary(data: bytes, linktype: int | None, source: Any = None) -> str:
    """One line about a packet, as scapy dissects it from its link type.

    `source`, the scapy packet it was made from, tells the layer where there is
    no link type.  Never raises, whatever the bytes.

    >>> summary(bytes.fromhex("45000014000000004000000001020304 05060708"), 101)
    '1.2.3.4 > 5.6.7.8 hopopt'
    """
    count = f"{len(data)} byte{'' if len(data) == 1 else 's'}"
    layer = layer_class(linktype)
    if layer is None and linktype is None and source is not None and is_packet(source):
        layer = type(source)
    if layer is None or not data:  # of no bytes scapy makes a packet of its defaults
        start = data[:16].hex(" ", 2)
        told = f": {start}{' …' if len(data) > 16 else ''}" if data else ""
        return f"{name(linktype)}, {count}{told}"
    with steady() as fails:
        try:
            text = layer(data[:MOST_BYTES]).summary()
        except fails:
            return f"{layer.__name__}, {count} that scapy cannot read"
    return one_line(text)


def one_line(text: str) -> str:
    """A line safe to show: control characters escaped, no longer than WIDEST."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= WIDEST else f"{safe[: WIDEST - 1]}…"


def layer_class(linktype: int | None) -> type[ScapyPacket] | None:
    """The scapy class for a link type; None when scapy has none."""
    path = by_number(linktype).layer if linktype is not None else ""
    if not path:
        return None
    import_module("scapy.layers.all")  # a summary must not depend on what else is loaded
    module, _, layer = path.rpartition(".")
    try:
        found: type[ScapyPacket] = getattr(import_module(f"scapy.layers.{module}"), layer)
    except (ImportError, AttributeError):  # an older scapy lacks a few
        return None
    return found


@contextmanager
def steady() -> Iterator[tuple[type[BaseException], ...]]:
    """Scapy set so that it depends on the bytes alone; gives what it may raise."""
    from scapy.config import Resolve, conf
    from scapy.error import Scapy_Exception, log_runtime
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.sctp import SCTP

    numbers = Resolve()
    numbers.add(
        *(getattr(layer, port) for layer in (TCP, UDP, SCTP) for port in ("sport", "dport"))
    )
    with STEADY:
        kept = {each: getattr(conf, each) for each in ("noenum", "resolve", "debug_dissector")}
        protocol: Any = next(each for each in IP.fields_desc if each.name == "proto")
        names, silent = protocol.i2s, log_runtime.disabled
        conf.noenum, conf.resolve, conf.debug_dissector = numbers, Resolve(), False
        protocol.i2s, log_runtime.disabled = PROTOCOLS, True
        try:
            yield (*SCAPY_FAILS, Scapy_Exception)
        finally:
            protocol.i2s, log_runtime.disabled = names, silent
            for each, value in kept.items():
                setattr(conf, each, value)


def is_packet(given: object) -> bool:
    """Whether this is a scapy packet; does not import scapy."""
    module = sys.modules.get("scapy.packet")
    return module is not None and isinstance(given, module.Packet)


def is_packet_list(given: object) -> bool:
    """Whether this is a PacketList of scapy packets; does not import scapy."""
    module = sys.modules.get("scapy.plist")
    return module is not None and isinstance(given, module.PacketList)


def layer_linktype(packet: ScapyPacket) -> int | None:
    """The link type of a scapy packet, by its outermost layer; None when it has none."""
    return of_layer(each.__name__ for each in type(packet).__mro__)


def meant(packet: ScapyPacket, where: str) -> list[ScapyPacket]:
    """The packets that one with lists or ranges in its fields stands for.

    [packet] itself where it stands for one.  Raises PacketError when they are
    more than MOST_MEANT, or scapy cannot tell them.
    """
    from scapy.error import Scapy_Exception

    if all(isinstance(each, SCALARS) for layer in layers(packet) for each in layer.fields.values()):
        return [packet]  # the usual case; asking scapy would cost a copy
    try:
        found = list(islice(packet, MOST_MEANT + 1))
    except (*SCAPY_FAILS, Scapy_Exception) as error:
        raise unbuildable(packet, where, error) from None
    if len(found) > MOST_MEANT:
        raise PacketError(
            f"{where} stands for more than {MOST_MEANT} packets",
            "take a smaller network or range of ports",
        )
    return found if len(found) > 1 else [packet]


def layers(packet: ScapyPacket) -> Iterator[ScapyPacket]:
    """The layers of a packet, the outermost first."""
    while packet.fields or packet.payload:
        yield packet
        packet = packet.payload


def build(packet: ScapyPacket, where: str) -> bytes:
    """The bytes of a scapy packet.  Raises PacketError with scapy's reason."""
    from scapy.error import Scapy_Exception

    try:
        return bytes(packet)
    except (*SCAPY_FAILS, Scapy_Exception) as error:
        raise unbuildable(packet, where, error) from None


def unbuildable(packet: ScapyPacket, where: str, error: BaseException) -> PacketError:
    """The error for a packet that scapy itself refuses to build."""
    names = " / ".join(each.__name__ for each in packet.layers()[:8])
    reason = one_line(str(error)) or type(error).__name__
    return PacketError(
        f"{where} ({names}): scapy cannot build it: {reason}", "look at its fields with .show()"
    )
