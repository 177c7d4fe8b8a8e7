"""What follows from a packet's other bytes: lengths and checksums; and its skeleton.

    put_right(data, linktype)       every length and checksum as it must be
    skeleton(data, linktype)        the bits that say which header follows which

A made packet is to be whole: IP's length is what is there, its checksum right.  Each step
of `STEPS` can be taken alone, since a filter may want one of these fields otherwise.
Left out: SCTP's checksum, and those of a fragment's payload, which is not all there.

Source: RFC 791, 768, 793, 1071, 8200 (section 8.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bpfnb.analysis.naming.headers import EITHER, HEADERS, RAW, ROOTS, Protocol

__all__ = ["STEPS", "Layer", "checksummed", "extended", "layers", "put_right", "skeleton"]

MOST_LAYERS = 24
LONGEST = 0xFFFF
CHECKED = {"TCP": 16, "UDP": 6, "ICMP": 2, "ICMPv6": 2}  # where the checksum stands
NUMBERS = {"TCP": 6, "UDP": 17, "ICMPv6": 58}
BONES = ("version", "ihl", "frag", "dataofs", "offset", "s")


@dataclass(frozen=True)
class Layer:
    """A header in a packet: its row of the table, and its bytes `start` to `stop` - 1."""

    row: Protocol
    start: int
    stop: int

    def value(self, data: bytes, name: str) -> int:
        """What a field holds."""
        field = self.row.named(name)
        number = int.from_bytes(data[self.start : self.start + self.row.length], "big")
        return number >> 8 * self.row.length - field.stop & (1 << field.bits) - 1


def layers(data: bytes, linktype: int | None) -> list[Layer]:
    r"""The headers that are whole, the outermost first.

    >>> [each.row.name for each in layers(bytes(12) + b"\x08\x06" + bytes(28), 1)]
    ['Ether', 'ARP']
    """
    return list(walk(data, ROOTS.get(-1 if linktype is None else linktype, "")))


def walk(data: bytes, name: str) -> Iterator[Layer]:
    """The headers from the one of this name on."""
    at = 0
    for _ in range(MOST_LAYERS):
        if name == RAW:
            name = EITHER.above.get(data[at] >> 4, "") if at < len(data) else ""
        row = HEADERS.get(name)
        if row is None or not row.length or at + row.length > len(data):
            return
        layer = Layer(row, at, at + row.length)
        if row.longer:
            counted = 4 * layer.value(data, row.longer)
            layer = Layer(row, at, max(layer.stop, min(at + counted, len(data))))
        yield layer
        if row.fragment and layer.value(data, row.fragment):
            return
        at, name = layer.stop, above(layer, data)


def above(layer: Layer, data: bytes) -> str:
    """What a header says is behind it."""
    row = layer.row
    if row.key:
        return row.above.get(layer.value(data, row.key), "")
    if row.name == "MPLS":
        return RAW if layer.value(data, "s") else "MPLS"
    return row.payload


def skeleton(data: bytes, linktype: int | None) -> dict[int, tuple[int, int]]:
    r"""Which bits make a packet have its layers: offset -> mask, and what these bits are.

    >>> skeleton(bytes(12) + b"\x08\x06" + bytes(28), 1)
    {12: (255, 8), 13: (255, 6)}
    """
    bones: dict[int, int] = {}
    found = layers(data, linktype)
    for at, layer in enumerate(found):
        for field in layer.row.fields:
            key = field.name == layer.row.key and at + 1 < len(found)
            if key or field.name in BONES:
                for bit in range(8 * layer.start + field.start, 8 * layer.start + field.stop):
                    bones[bit // 8] = bones.get(bit // 8, 0) | 0x80 >> bit % 8
    return {at: (mask, data[at] & mask) for at, mask in bones.items()}


def put_right(data: bytes, linktype: int | None) -> bytes:
    """The packet with all its lengths and checksums as they must be."""
    for each in STEPS:
        data = each(data, linktype)
    return data


def with_put(data: bytes, at: int, value: int, size: int = 2) -> bytes:
    """The packet with a number in it; as it is where that is not all in it."""
    if at + size > len(data):
        return data
    return data[:at] + value.to_bytes(size, "big") + data[at + size :]


def extended(data: bytes, linktype: int | None) -> bytes:
    """The packet with as much behind it as its IP header says there is."""
    for layer in layers(data, linktype):
        if layer.row.name == "IP":
            said = layer.start + layer.value(data, "len")
        elif layer.row.name == "IPv6":
            said = layer.stop + layer.value(data, "plen")
        else:
            continue
        return data.ljust(min(said, LONGEST), b"\0")
    return data


def counted(data: bytes, linktype: int | None) -> bytes:
    """IP.len, IPv6.plen, UDP.len."""
    for layer in layers(data, linktype):
        left = len(data) - layer.start
        if left > LONGEST:
            continue
        if layer.row.name == "IP":
            data = with_put(data, layer.start + 2, left)
        elif layer.row.name == "IPv6":
            data = with_put(data, layer.start + 4, left - 40)
        elif layer.row.name == "UDP":
            data = with_put(data, layer.start + 4, left)
    return data


def checksummed(data: bytes, linktype: int | None) -> bytes:
    """IP.chksum."""
    for layer in layers(data, linktype):
        if layer.row.name == "IP":
            bare = with_put(data, layer.start + 10, 0)
            data = with_put(bare, layer.start + 10, checksum(bare[layer.start : layer.stop]))
    return data


def summed(data: bytes, linktype: int | None) -> bytes:
    """The checksums of TCP, UDP, ICMP and ICMPv6, where all that they count is there."""
    found = layers(data, linktype)
    ip = next((each for each in reversed(found) if each.row.name in ("IP", "IPv6")), None)
    top = found[-1] if found else None
    if ip is None or top is None or top.row.name not in CHECKED:
        return data
    if any(partial(each, data) for each in found):
        return data
    at = top.start + CHECKED[top.row.name]
    bare = with_put(data, at, 0)
    size = ip.value(data, "len") - (ip.stop - ip.start) if ip.row.name == "IP" else (
        ip.stop + ip.value(data, "plen") - top.start)  # fmt: skip
    part = bare[top.start : top.start + max(size, 0)]
    pseudo = b""
    if top.row.name in NUMBERS:
        ends = slice(ip.start + 12, ip.start + 20) if ip.row.name == "IP" else (
            slice(ip.start + 8, ip.start + 40))  # fmt: skip
        pseudo = data[ends] + len(part).to_bytes(4, "big") + bytes([0, 0, 0, NUMBERS[top.row.name]])
    found_sum = checksum(pseudo + part)
    if top.row.name == "UDP" and not found_sum:
        found_sum = 0xFFFF  # 0 would say that there is none
    return with_put(bare, at, found_sum)


def partial(layer: Layer, data: bytes) -> bool:
    """Whether a header says that more of this packet comes in others."""
    if layer.row.name == "IP":
        return bool(layer.value(data, "flags") & 1)
    return layer.row.name == "Fragment" and bool(layer.value(data, "m"))


def checksum(data: bytes) -> int:
    """The internet checksum.

    >>> hex(checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    padded = data + b"\0" if len(data) % 2 else data
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


STEPS: tuple[Callable[[bytes, int | None], bytes], ...] = (counted, checksummed, summed)
