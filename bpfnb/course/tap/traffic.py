"""What comes along the wire: real captures, and a model of traffic.

    replay(capture)                       as it was recorded, from time 0 on
    steady(packets, every=67_200)         one every so many ns
    bursts(packets, size=40, every=…, pause=…)
    sized(1514, 100)                      UDP datagrams, whole frames of so many bytes

Everything is worked out, nothing drawn by lot.  Left out: running it (`interface`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpfnb.errors import BpfError
from bpfnb.packets.linktype import EN10MB
from bpfnb.packets.packet import Packet
from bpfnb.packets.source import packets

__all__ = ["LARGEST", "SMALLEST", "Arrival", "bursts", "replay", "sized", "steady", "wire_ns"]

SMALLEST, LARGEST = 60, 1514  # bytes of an Ethernet frame, as a tap sees it: without the CRC
CRC, PREAMBLE, GAP = 4, 8, 12  # what else takes time on the wire, in bytes
HEADERS = 42  # Ethernet, IPv4, UDP


@dataclass(frozen=True)
class Arrival:
    """A frame, and when its last bit is there."""

    time_ns: int
    packet: Packet


def replay(given: Any, speed: float = 1.0) -> list[Arrival]:
    """Packets with their own times, the first at 0; `speed` times as fast.

    Packets without a time come a millisecond after the one before.
    """
    found: list[Arrival] = []
    first: int | None = None
    now = 0
    for packet in packets(given):
        if packet.time_ns is not None:
            first = packet.time_ns if first is None else first
            now = max(now, round((packet.time_ns - first) / speed))
        elif found:
            now += round(1_000_000 / speed)
        found.append(Arrival(now, packet))
    return found


def steady(given: Any, every: int) -> list[Arrival]:
    """Packets one after the other, `every` so many ns, the first at once."""
    return [Arrival(at * every, packet) for at, packet in enumerate(packets(given))]


def bursts(given: Any, size: int, every: int, pause: int) -> list[Arrival]:
    """Packets in bursts of `size`, `every` ns apart in one and `pause` ns between two.

    >>> [each.time_ns for each in bursts(sized(60, 5), size=2, every=10, pause=100)]
    [0, 10, 110, 120, 220]
    """
    length = (size - 1) * every + pause
    return [
        Arrival(at // size * length + at % size * every, packet)
        for at, packet in enumerate(packets(given))
    ]


def sized(length: int, count: int = 1) -> list[Packet]:
    """UDP datagrams from Alice to Bob in frames of `length` bytes, numbered in their data.

    >>> [len(packet) for packet in sized(1514, 2)]
    [1514, 1514]
    """
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    from bpfnb.samples import ALICE, BOB

    if not HEADERS <= length <= LARGEST:
        raise BpfError(f"a frame of {length} bytes: there can be {HEADERS} to {LARGEST}")
    wire = Ether(src=ALICE.mac, dst=BOB.mac) / IP(src=ALICE.ipv4, dst=BOB.ipv4)
    head = bytes(wire / UDP(sport=5000, dport=9, chksum=0) / bytes(length - HEADERS))[:HEADERS]
    return [
        Packet(head + bytes(at + i & 0xFF for i in range(length - HEADERS)), linktype=EN10MB)
        for at in range(count)
    ]


def wire_ns(length: int, megabits: float = 10) -> int:
    """How long a frame takes on an Ethernet until the next can begin, in ns.

    `length` is without the CRC.  Source: IEEE 802.3: eight bytes of preamble before a
    frame, four of CRC at its end, and a gap of twelve behind it.

    >>> wire_ns(60), wire_ns(1514)
    (67200, 1230400)
    """
    return round((PREAMBLE + max(length, SMALLEST) + CRC + GAP) * 8000 / megabits)
