"""A field's value as people write it: 17 (udp), 0x0800 (IPv4), 192.0.2.1.

Decimal where values count, hex where their bits matter, and a name behind the
number where it has one.  A value is one line of plain text that depends on the
bytes alone: names that scapy reads from this machine's files are ours instead.
Left out: where the field lies (`fields`).
"""

from __future__ import annotations

from typing import Any

from bpfnb.packets.dissect import PROTOCOLS, is_packet, one_line

__all__ = ["written"]

WIDEST = 60  # characters of a value
MOST_SHOWN = 16  # bytes of a value that is no text
MOST_ITEMS = 12  # of a list, such as options

# scapy has the names of EtherTypes from this machine's /etc/ethertypes.
ETHERTYPES = {
    0x0800: "IPv4", 0x0806: "ARP", 0x22F3: "TRILL", 0x6558: "Ethernet", 0x8035: "RARP",
    0x8100: "802.1Q", 0x86DD: "IPv6", 0x8847: "MPLS", 0x8848: "MPLS multicast",
    0x8863: "PPPoE discovery", 0x8864: "PPPoE", 0x888E: "802.1X", 0x88A8: "802.1ad",
    0x88CC: "LLDP", 0x88E5: "MACsec", 0x88F7: "PTP", 0x8906: "FCoE", 0x9000: "loopback",
}  # fmt: skip


def written(field: Any, layer: Any, value: Any, width: int) -> str:
    """A field's value as people write it, on one line: 17 (udp), 0x0800 (IPv4)."""
    from scapy.fields import FlagValue

    if isinstance(value, bytes):
        return in_bytes(value)
    if isinstance(value, FlagValue):
        number, said = f"{int(value):#0{2 + -(-width // 4)}x}", str(value)
    elif isinstance(value, int):
        bitwise = type(field).__name__.startswith("X")
        number = f"{value:#0{2 + -(-width // 4)}x}" if bitwise else str(value)
        said = named(field, layer, value)
    elif isinstance(value, (list, tuple)):
        return clipped(in_words(value)) or "empty"
    elif is_packet(value):
        return clipped(in_words(value))
    else:
        said = str(field.i2repr(layer, value))
        return clipped(said.strip("'") if isinstance(value, str) else said)
    said = clipped(said.strip("'\""))
    return f"{number} ({said})" if said and not is_number(said) else number


def named(field: Any, layer: Any, value: int) -> str:
    """What a number is called; by our names where scapy's are this machine's."""
    names = getattr(field, "i2s", None) or {}
    if 0x88A8 in names:
        return ETHERTYPES.get(value, "")
    if names.get(17) == "udp":
        return PROTOCOLS.get(value, "")
    return str(field.i2repr(layer, value))


def is_number(word: str) -> bool:
    """Whether a word says no more than a number does."""
    try:
        int(word, 0)
    except ValueError:
        return word.isdecimal()
    return True


def in_words(value: Any) -> str:
    """A value within a list: an option, a record, an address."""
    if is_packet(value):
        return type(value).__name__
    if isinstance(value, bytes):
        return in_bytes(value) if value else ""
    if isinstance(value, tuple):  # an option: its name, and what it has
        return " ".join(filter(None, (in_words(each) for each in value)))
    if isinstance(value, list):
        more = ", …" if len(value) > MOST_ITEMS else ""
        return ", ".join(in_words(each) for each in value[:MOST_ITEMS]) + more
    return "" if value is None else str(value)


def in_bytes(value: bytes) -> str:
    r"""Bytes as text where they are text, else in hex; long ones cut.

    >>> print(in_bytes(b"GET /"), in_bytes(b"\x00\xff"), in_bytes(b""))
    "GET /" 00 ff empty
    """
    if not value:
        return "empty"
    if all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in value):
        return clipped('"' + value[:WIDEST].decode("ascii") + '"' + "…" * (len(value) > WIDEST))
    return value[:MOST_SHOWN].hex(" ") + " …" * (len(value) > MOST_SHOWN)


def clipped(words: str) -> str:
    """Words on one line, without control characters, no longer than WIDEST."""
    line = one_line(" ".join(words.split(" ")))
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
