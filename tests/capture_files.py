"""Capture files made byte by byte, for the tests; not by what they test."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

MAGIC_US, MAGIC_NS = 0xA1B2C3D4, 0xA1B23C4D


class Frame(NamedTuple):
    """What a file says about a packet."""

    data: bytes
    wirelen: int
    time_ns: int | None


def pcap_header(order: str, magic: int, linktype: int = 1) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)


def pcap(
    frames: Iterable[Frame], order: str = "<", magic: int = MAGIC_US, linktype: int = 1
) -> bytes:
    parts = [pcap_header(order, magic, linktype)]
    for each in frames:
        seconds, rest = divmod(each.time_ns or 0, 10**9)
        fraction = rest if magic == MAGIC_NS else rest // 1000
        parts.append(struct.pack(f"{order}IIII", seconds, fraction, len(each.data), each.wirelen))
        parts.append(each.data)
    return b"".join(parts)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def block(order: str, kind: int, body: bytes) -> bytes:
    body = padded(body)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + padded(value)


def shb(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))


def idb(order: str, linktype: int, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(f"{order}HHI", linktype, 0, snaplen) + options)


def epb(
    order: str, interface: int, ticks: int, data: bytes, wirelen: int, options: bytes = b""
) -> bytes:
    head = (interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wirelen)
    return block(order, 6, struct.pack(f"{order}IIIII", *head) + padded(data) + options)


def spb(order: str, data: bytes, wirelen: int) -> bytes:
    return block(order, 3, struct.pack(f"{order}I", wirelen) + data)


def pcapng(frames: Iterable[Frame], order: str) -> bytes:
    blocks = [
        epb(order, 0, (each.time_ns or 0) // 1000, each.data, each.wirelen) for each in frames
    ]
    return shb(order) + idb(order, 1) + b"".join(blocks)
