"""scapy's layers -> spans of bytes: byte 23 is IP.proto.

scapy says what layers a packet has and what their fields hold, but not where
they lie.  So each layer's header is read once more, field by field, and what a
field takes from the bytes is where it lies.  Every step is held against the
packet's own bytes: where a layer was rewritten (decompressed, turned round) or
reads itself in its own way, its fields get no places.  A header that the
packet's end cuts off keeps the fields that are whole.
MPLS is read here: scapy's own module for it would, once imported, change what the
user's scapy makes of such packets.
Left out: fields inside fields, such as one DNS name or one TCP option, what layers are
called (`layer_names`), and how values are `written`.

start, size: in bytes, from 0 of the data a program is given.  bit, width: of a
field that does not fill its bytes.  rest: the bytes not yet read.

Source: scapy's documentation, "Build and dissect" (`getfield`); RFC 3032 for MPLS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bpfnb.packets.dissect import MOST_BYTES, is_packet, layer_class, one_line, steady
from bpfnb.packets.layer_names import LABEL, NAMES, called, is_labelled
from bpfnb.packets.written import written

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

__all__ = ["Field", "at", "fields"]

# scapy itself catches this much when it reads a layer: some fields raise no less.
FAILS = (Exception,)


@dataclass(frozen=True)
class Field:
    """A field of one packet: `size` bytes from `start`, and what they hold.

    A field that does not fill its bytes has `width` bits, from `bit` of its
    first byte on, the highest being 0 (counted from the last byte where the
    layer has its bytes turned round).  `name` is "" for a part of a layer whose
    fields have no known places.  A second layer of a kind is called "IP:2".
    """

    layer: str
    name: str
    start: int
    size: int
    value: str = ""
    bit: int | None = None
    width: int | None = None

    @property
    def stop(self) -> int:
        """The byte behind the last."""
        return self.start + self.size

    @property
    def title(self) -> str:
        """Layer and name: "IP.proto"."""
        return f"{self.layer}.{self.name}" if self.name else self.layer


def fields(data: bytes, linktype: int | None, source: Any = None) -> tuple[Field, ...]:
    """The fields of a packet in the order of their bytes, as scapy dissects it.

    `source`, the scapy packet it was made from, tells the layer where there is
    no link type; with neither there are no fields.  Never raises, whatever the
    bytes; bytes that scapy does not place are in no field.

    >>> ip = bytes.fromhex("45000014000000004011000001020304 05060708")
    >>> for each in fields(ip, 101)[-4:]:
    ...     print(each.start, each.size, each.title, each.value)
    9 1 IP.proto 17 (udp)
    10 2 IP.chksum 0x0000
    12 4 IP.src 1.2.3.4
    16 4 IP.dst 5.6.7.8
    """
    layer = layer_class(linktype)
    if layer is None and linktype is None and source is not None and is_packet(source):
        layer = type(source)
    if layer is None:
        return ()
    with steady():
        spans = list(Walk().packet(layer, data[:MOST_BYTES]))
    spans.sort(key=lambda each: (each.start, -1 if each.bit is None else each.bit, each.stop))
    return tuple(spans)


def at(fields: Sequence[Field], offset: int, size: int) -> str:
    """What a read of `size` bytes at `offset` reads, by name.

    A part of a field is written as a load is, `[k:size]` or `[k]`, counted from
    the field's first byte.  Bytes in no field are named by their offsets.

    >>> ip = (Field("IP", "src", 26, 4), Field("IP", "dst", 30, 4))
    >>> at(ip, 26, 4), at(ip, 28, 4), at(ip, 33, 2)
    ('IP.src', 'IP.src[2:2], IP.dst[0:2]', 'IP.dst[3], byte 34')
    """
    names, place, stop = [], offset, offset + size
    for field in fields:
        if field.start >= stop or field.stop <= offset:
            continue
        if field.start > place:
            names.append(numbered(place, field.start))
        begin, end = max(field.start, offset), min(field.stop, stop)
        place = max(place, end)
        if (begin, end) == (field.start, field.stop):
            names.append(field.title)
        else:
            part = f":{end - begin}" if end - begin > 1 else ""
            names.append(f"{field.title}[{begin - field.start}{part}]")
    if place < stop:
        names.append(numbered(place, stop))
    return ", ".join(names)


def numbered(start: int, stop: int) -> str:
    """Bytes without a name.

    >>> numbered(3, 4), numbered(3, 5)
    ('byte 3', 'bytes 3–4')
    """
    return f"byte {start}" if stop - start == 1 else f"bytes {start}–{stop - 1}"


class Walk:
    """One way through a packet's layers."""

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()

    def name(self, kind: type[ScapyPacket] | str) -> str:
        """A layer's name; the second of its kind has its number behind it."""
        word = kind if isinstance(kind, str) else called(kind)
        self.met[word] += 1
        return word if self.met[word] == 1 else f"{word}:{self.met[word]}"

    def packet(self, kind: type[ScapyPacket], data: bytes) -> Iterator[Field]:
        """The fields of all layers, those of `kind` first."""
        try:
            layer: Any = kind(data)
        except FAILS:
            yield from self.cut_off(kind, data, 0)
            return
        place, under = 0, None
        while layer.fields and isinstance(layer.original, bytes):
            original: bytes = layer.original
            if data[place : place + len(original)] != original:
                return  # it was made of other bytes than these
            if cut := self.behind(layer, under, place):
                yield from cut
                return
            if is_labelled(layer, under):
                yield from self.labels(original, place)
                return
            header = Header(type(layer), original, under)
            size = len(original) if header.stopped else header.size
            cache = layer.raw_packet_cache
            if header.stopped and cache is not None and original.startswith(cache):
                size = len(cache)
            name = self.name(type(layer))
            yield from placed(header.fields, name, place)
            if header.stopped and header.size < size:
                yield Field(name, "", place + header.size, size - header.size)
            place, under, layer = place + size, layer, layer.payload

    def labels(self, data: bytes, place: int) -> Iterator[Field]:
        """A stack of MPLS labels, and the IP packet behind the last of them."""
        from scapy.layers.inet import IP
        from scapy.layers.inet6 import IPv6

        at, last = 0, False
        while not last and at + 4 <= len(data):
            entry = int.from_bytes(data[at : at + 4], "big")
            name, last = self.name("MPLS"), bool(entry & 0x100)
            for title, bit, width in LABEL:
                value = str(entry >> 32 - bit - width & (1 << width) - 1)
                begin, stop = bit // 8, -(-(bit + width) // 8)
                part = Field(name, title, place + at + begin, stop - begin, value)
                yield part if title == "ttl" else replace(part, bit=bit % 8, width=width)
            at += 4
        if at == len(data):
            return
        above = {4: IP, 6: IPv6}.get(data[at] >> 4) if last else None
        if above is None:
            yield Field(self.name("Raw" if last else "MPLS"), "", place + at, len(data) - at)
            return
        for each in self.packet(above, data[at:]):
            yield replace(each, start=each.start + place + at)

    def behind(self, layer: Any, under: Any, place: int) -> list[Field]:
        """What scapy gave up as raw bytes since they end within a header."""
        from scapy.packet import Raw

        if under is None or type(layer) is not Raw:
            return []
        try:
            kind = under.guess_payload_class(layer.original)
        except FAILS:
            return []
        return [] if kind is Raw else list(self.cut_off(kind, layer.original, place, under))

    def cut_off(
        self, kind: type[ScapyPacket], data: bytes, place: int, under: Any = None
    ) -> Iterator[Field]:
        """The whole fields of a header that the packet's end cuts off, and what is left."""
        try:
            hook = getattr(kind, "dispatch_hook", None)
            kind = hook(data, _underlayer=under) if hook else kind
        except FAILS:
            return
        header = Header(kind, data, under)
        if header.short and header.fields:
            name = self.name(kind)
            yield from placed(header.fields, name, place)
            if header.size < len(data):
                yield Field(name, "", place + header.size, len(data) - header.size)


def placed(spans: Sequence[Field], layer: str, place: int) -> Iterator[Field]:
    """A header's fields, put where their layer stands."""
    kind = layer.partition(":")[0]
    for each in spans:
        name = NAMES.get(f"{kind}.{each.name}", each.name)
        yield replace(each, layer=layer, name=name, start=each.start + place)


class Header:
    """A layer's header read once more: `fields` from its first byte, `size` bytes of it.

    `stopped` when a field could not be read; `short` when the bytes ended
    before the last field did.
    """

    def __init__(
        self,
        kind: type[ScapyPacket],
        data: bytes,
        under: Any,
    ) -> None:
        self.data = data
        self.fields: list[Field] = []
        self.size, self.stopped, self.short = 0, True, False
        self.shared: list[tuple[Field, int, int]] = []  # bit-fields of the bytes being read
        try:
            layer: Any = kind.__new__(kind)
            kind.__init__(layer, _underlayer=under)
            layer.original = data
            if self.reads_plainly(kind, layer):
                self.stopped = not self.read(layer)
        except FAILS:
            return

    def reads_plainly(self, kind: Any, layer: Any) -> bool:
        """Whether this layer is read field by field, from the bytes as they are."""
        from scapy.packet import Packet

        own = kind.pre_dissect is not Packet.pre_dissect
        return kind.do_dissect is Packet.do_dissect and not (
            own and layer.pre_dissect(self.data) != self.data
        )

    def read(self, layer: Any) -> bool:
        """Read all fields; False where one could not be."""
        rest: Any = self.data
        for each in layer.fields_desc:
            if not rest:
                self.short = bits(each, layer) is not None
                return True
            begin = self.position(rest)
            try:
                rest, value = each.getfield(layer, rest)
            except FAILS:
                wanted = bits(each, layer)
                self.short = wanted is not None and begin + wanted > 8 * len(self.data)
                return False
            end = self.position(rest)
            if end < begin or not self.is_behind(rest):
                return False
            if value is None and end == begin:
                continue  # a field that this packet does not have
            layer.fields[each.name] = value
            if end > begin:
                self.note(each, layer, value, begin, end)
            if not isinstance(rest, tuple):
                self.settle(end, getattr(inner(each, layer), "rev", False))
        return not isinstance(rest, tuple)

    def position(self, rest: Any) -> int:
        """How many bits were read; scapy has a pair while inside a byte."""
        left, bit = rest if isinstance(rest, tuple) else (rest, 0)
        return 8 * (len(self.data) - len(left)) + int(bit)

    def is_behind(self, rest: Any) -> bool:
        """Whether the rest is the end of the bytes; known between bytes only."""
        if isinstance(rest, tuple):
            return True
        return isinstance(rest, bytes) and self.data.endswith(rest)

    def note(self, field: Any, layer: Any, value: Any, begin: int, end: int) -> None:
        """Remember one field from bit `begin` to `end`."""
        try:
            words = written(inner(field, layer), layer, value, end - begin)
        except FAILS:
            words = ""
        self.shared.append((Field("", one_line(str(field.name)), 0, 0, words), begin, end))

    def settle(self, end: int, turned: bool) -> None:
        """Give the noted fields their bytes, which end at bit `end`."""
        first, last = self.size, end // 8
        for field, begin, stop in self.shared:
            begins, ends = begin // 8, -(-stop // 8)
            if turned:  # the group's bytes were read from last to first
                begins, ends = first + last - ends, first + last - begins
            aligned = begin % 8 == stop % 8 == 0
            self.fields.append(
                replace(
                    field,
                    start=begins,
                    size=ends - begins,
                    bit=None if aligned else begin % 8,
                    width=None if aligned else stop - begin,
                )
            )
        self.shared, self.size = [], last


def inner(field: Any, layer: Any) -> Any:
    """The field within those that only say whether, or which, it is."""
    while True:
        if getattr(field, "fld", None) is not None:
            field = field.fld
        elif hasattr(field, "_find_fld_pkt"):
            field = field._find_fld_pkt(layer)
        else:
            return field


def bits(field: Any, layer: Any) -> int | None:
    """The bits that a field always takes; None for one of varying size."""
    kind = inner(field, layer)
    size = kind.size if hasattr(kind, "rev") else getattr(kind, "sz", None)
    if not isinstance(size, (int, float)):
        return None
    return int(size) if hasattr(kind, "rev") else int(8 * size)
