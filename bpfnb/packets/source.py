"""Whatever people have packets in -> PacketBatch.

    packets([IP(dst="10.0.0.1") / TCP(), b"..."])
    packets("x.pcap")
    packets("0x0000:  4500 0028 ...")

A scapy packet with lists or ranges in its fields stands for all of them, as it
does when scapy sends it.
Left out: reading files (`capture`) and dumps (`hexdump`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from decimal import Decimal
from typing import Any

from bpfnb.errors import PacketError
from bpfnb.packets import dissect, hexdump
from bpfnb.packets.capture import open_capture
from bpfnb.packets.packet import Packet, PacketBatch

__all__ = ["is_path", "packets"]

BYTES = (bytes, bytearray, memoryview)
FILE_ENDS = (".pcap", ".pcapng", ".cap", ".ntar", ".dmp", ".gz", ".pcap0", ".trace")
LATEST = 9_000_000_000  # seconds; more nanoseconds than that leave 64 bits
ACCEPTED = "scapy packets, bytes, a list of these, a hex dump, or a path to pcap or pcapng"


def packets(obj: Any, linktype: str | int | None = None) -> PacketBatch:
    """Make a batch from `obj`.

    One packet: scapy's, ours, bytes.  Many: a PacketList, a list, tuple or any
    iterable of packets and bytes, a batch.  Text: a path (see `is_path`), else
    a hex dump.  A Path.

    A packet's link type is what its outermost scapy layer or its file says, or
    the look of a hex dump (see `hexdump`); bytes take the one that the others
    in their list share.  `linktype`, a name or LINKTYPE_ number, is for those
    still unknown; to overrule what they say, use `relabel` on the batch.

    Raises PacketError for anything else, and what reading a file or a dump
    raises.

    >>> packets([b"abc", b""], linktype="EN10MB")
    <PacketBatch: 2 packets, EN10MB>
    """
    batch = gathered(obj)
    return batch if linktype is None else batch.with_default_linktype(linktype)


def is_path(text: str) -> bool:
    """Whether text is a file's name: one line, with "/" in it or a capture's ending.

    >>> is_path("x.pcapng"), is_path("45 00 00 28")
    (True, False)
    """
    line = text.strip()
    return "\n" not in line and ("/" in line or line.lower().endswith(FILE_ENDS))


def gathered(obj: Any) -> PacketBatch:
    """The batch, with the link types that the packets tell themselves."""
    if isinstance(obj, PacketBatch):
        return obj
    if isinstance(obj, os.PathLike):
        return open_capture(obj)
    if isinstance(obj, str):
        return open_capture(obj) if is_path(obj) else PacketBatch.of(hexdump.parse(obj))
    if isinstance(obj, (Packet, *BYTES)) or dissect.is_packet(obj):
        return of_many([obj], list, "the packet")
    if dissect.is_packet_list(obj):
        return of_many(obj.res, lambda kept: type(obj)(kept, obj.listname))
    if isinstance(obj, Iterable) and not isinstance(obj, (Mapping, Set)):
        return of_many(obj, tuple if isinstance(obj, tuple) else list)
    raise PacketError(
        f"{kind(obj)} is no packet",
        f"give {ACCEPTED}",
    )


def of_many(given: Iterable[Any], rebuild: Any, one: str = "") -> PacketBatch:
    """A batch of single packets of any kind; `one` names them when there is but one."""
    made: list[Packet] = []
    sources: list[Any] = []
    for number, each in enumerate(given, 1):
        for source, packet in single(each, one or f"packet {number}"):
            sources.append(source)
            made.append(packet)
    return PacketBatch.of(made, sources, rebuild)


def single(each: Any, where: str) -> Iterator[tuple[Any, Packet]]:
    """The packets that one object stands for, each with the object to give back."""
    if isinstance(each, Packet):
        yield each, each
    elif isinstance(each, BYTES):
        yield each, Packet(bytes(each))
    elif dissect.is_packet(each):
        for meant in dissect.meant(each, where):
            yield meant, from_scapy(meant, where)
    else:
        cure = "a list holds scapy packets and bytes"
        if isinstance(each, str):
            cure += "; bytes.fromhex makes bytes of hex digits"
        elif isinstance(each, tuple):
            cure += "; of pairs of question and answer take one side"
        raise PacketError(f"{where} is {kind(each)}", cure)


def from_scapy(packet: Any, where: str) -> Packet:
    """Our packet from scapy's, with its link type, wirelen and time."""
    data = dissect.build(packet, where)
    wirelen = getattr(packet, "wirelen", None)
    return Packet(
        data,
        wirelen=wirelen if isinstance(wirelen, int) and wirelen > len(data) else None,
        linktype=dissect.layer_linktype(packet),
        time_ns=time_ns(packet.time),
    )


def time_ns(time: Any) -> int | None:
    """Scapy's time, seconds as Decimal or float, in nanoseconds; a float holds no more than µs.

    None for what is no time, or leaves 64 bits.
    """
    if not isinstance(time, (Decimal, int, float)) or not abs(float(time)) < LATEST:
        return None
    if isinstance(time, Decimal):
        return int(time * 1_000_000_000)
    return round(time * 1_000_000) * 1000


def kind(obj: object) -> str:
    """What an object is: its type's name with the article."""
    if obj is None:
        return "None"
    name = type(obj).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
