"""Names for what a program reads: byte 23 is IP.proto, where that is certain.

`headers` tells from the facts which header lies where; `name_of` what some bits
are called then.  Where several protocols are possible and all have the field,
the name has them all: TCP/UDP.sport.  Where the tests on the way have not fixed
the protocol there is no name, and `places` says which bytes are read.

A header above IPv4 is named though nobody has looked whether this is a later
fragment, whose bytes there are data; `Name.unless` has the fragment offset
that must then be 0.

Left out: how facts are found (`flow`) and the table of fields (`headers`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bpfnb.analysis.naming.headers import (
    EITHER,
    FLAGS,
    HEADERS,
    MAX_802_3,
    RAW,
    ROOTS,
    Field,
    Protocol,
)
from bpfnb.analysis.naming.headers import show as show_field
from bpfnb.analysis.naming.places import apart
from bpfnb.analysis.naming.values import MASK, Bits, Facts, Note, Place, Sum, Term

__all__ = [
    "ASSUMED",
    "Header",
    "Name",
    "headers",
    "name_of",
    "read",
    "rests_on",
    "term_name",
]

ETHERNET = 1  # LINKTYPE_ number that is assumed where none is known
ASSUMED = "the program has no link type: Ethernet is assumed"  # where neither has its packet
FRAMED = "PPP is taken to begin with an address byte and a control byte, as libpcap takes it"
MOST_HEADERS = 48


@dataclass(frozen=True)
class Header:
    """One of `protocols` begins at `place`; unless the bits `unless` are not 0."""

    place: Place
    protocols: tuple[str, ...]
    unless: Bits | None = None


@dataclass(frozen=True)
class Name:
    """What some bits are called, and how their value is read.

    `text` is the name.  A register's value, moved right by `drop` bits (left
    where it is negative), is the field's value; `kind` is how that is shown.
    `fields` has the names of the table's fields; `whole` says that there is one,
    and that the bits are all of it.
    """

    text: str
    fields: tuple[str, ...] = ()
    kind: str = "hex"
    drop: int = 0
    whole: bool = False
    unless: Bits | None = None

    def value(self, register: int) -> int:
        """The field's value when the register holds this."""
        return register >> self.drop if self.drop >= 0 else register

    def divides(self, register: int) -> bool:
        """Whether the register can hold this, as far as its lowest bits tell."""
        return self.drop <= 0 or register & ((1 << self.drop) - 1) == 0

    def show(self, value: int) -> str:
        """A value as people write it."""
        return show_field(value, self.kind)


def rests_on(linktype: int | None) -> str:
    """What names in a packet of this link type rest on, besides itself; "" for nothing."""
    if linktype is None:
        return ASSUMED
    return FRAMED if ROOTS.get(linktype) == "HDLC" else ""


def headers(facts: Facts, linktype: int | None) -> tuple[Header, ...]:
    """Which headers lie where, the outermost first."""
    found: list[Header] = []
    work = list(roots(facts, linktype))
    while work and len(found) < MOST_HEADERS:
        header = work.pop(0)
        found.append(header)
        if len(header.protocols) == 1:
            work += above(facts, header, HEADERS[header.protocols[0]])
    return tuple(found)


def roots(facts: Facts, linktype: int | None) -> Iterator[Header]:
    """The headers that a packet begins with."""
    root = ROOTS.get(ETHERNET if linktype is None else linktype)
    if root == RAW:
        yield Header(Place(0), versions(facts))
    elif root is not None:
        yield Header(Place(0), (root,))
    if root == "Ether":
        yield Header(Place(0, base="link"), (root,))
    values = facts.about(Note("proto")).values
    if names := alternatives(HEADERS["Ether"], values):
        yield Header(Place(0, base="net"), names)


def versions(facts: Facts) -> tuple[str, ...]:
    """Which of the two IPs a packet without a link header can be."""
    values = about(facts, Place(0), EITHER.fields[0])
    return alternatives(EITHER, values) or tuple(EITHER.above.values())


def alternatives(protocol: Protocol, values: frozenset[int] | None) -> tuple[str, ...]:
    """What these values of the key field stand for; () when one of them is not known."""
    names = {protocol.above.get(value, "") for value in values or ()}
    return () if "" in names else tuple(sorted(names, key=list(HEADERS).index))


def bits_of(header: Place, field: Field) -> Bits:
    """A field's bits in the packet, as the smallest load that has them."""
    first, last = field.start // 8, (field.stop - 1) // 8
    size = next(size for size in (1, 2, 4) if size > last - first)
    low = 8 * (first + size) - field.stop
    return Bits(header + first, size, ((1 << field.bits) - 1) << low, low)


def about(facts: Facts, header: Place, field: Field) -> frozenset[int] | None:
    """The values that a field can have, where they are few."""
    bits = bits_of(header, field)
    values = facts.about(bits.plain).values
    return None if values is None else frozenset(value >> bits.shift for value in values)


def above(facts: Facts, header: Header, protocol: Protocol) -> Iterator[Header]:
    """What lies on a header, as far as its fields are fixed."""
    unless = header.unless
    if protocol.fragment:
        offset = bits_of(header.place, protocol.named(protocol.fragment))
        if facts.about(offset.plain).values != frozenset({0}):
            unless = offset.plain
    names: tuple[str, ...] = (protocol.payload,) if protocol.payload else ()
    if protocol.key:
        key = bits_of(header.place, protocol.named(protocol.key))
        known = facts.about(key.plain)
        names = alternatives(protocol, about(facts, header.place, protocol.named(protocol.key)))
        if not names and protocol.above.get(0x0800) and known.high <= MAX_802_3:
            names = ("LLC",)
    if names:
        for place in ends(facts, header.place, protocol):
            yield Header(place, names, unless)


def ends(facts: Facts, start: Place, protocol: Protocol) -> Iterator[Place]:
    """Where a header ends: behind a fixed length, or behind a length it says itself."""
    if not protocol.longer:
        yield start + protocol.length
        return
    length = protocol.named(protocol.longer)
    bits = bits_of(start, length)
    end = Sum.of(start.k, (*start.terms, bits.shifted(-2)))
    if end is not None:
        yield Place(end.k, end.terms, start.base)
    values = about(facts, start, length)
    if values is not None and len(values) == 1 and 4 * min(values) >= protocol.length:
        yield start + 4 * min(values)


def name_of(bits: Bits, known: tuple[Header, ...]) -> Name | None:
    """What bits are called; None where that is not certain, or the table has no name."""
    if not bits.mask:
        return None
    named: list[Name | None] = []
    for header in known:
        behind = bits.place.beyond(header.place)
        if behind is None or behind < 0:
            continue
        names = [in_header(bits, behind, HEADERS[each]) for each in header.protocols]
        if any(names):
            named.append(together(header, names))
    # Two headers that both claim the bytes: the tests contradict each other.
    different = {(each.text, each.drop) if each else None for each in named}
    return named[0] if len(different) == 1 else None


def together(header: Header, names: list[Name | None]) -> Name | None:
    """One name for the same field of several protocols; None when it is not the same."""
    first = names[0]
    if first is None or None in names:
        return None
    if len(names) == 1:
        return Name(first.text, first.fields, first.kind, first.drop, first.whole, header.unless)
    locals_ = {(each.text.partition(".")[2], each.drop) for each in names if each}
    if len(locals_) > 1:
        return None
    lead = "/".join(header.protocols)
    fields = tuple(field for each in names if each for field in each.fields)
    text = f"{lead}.{first.text.partition('.')[2]}"
    return Name(text, fields, first.kind, first.drop, first.whole, header.unless)


def in_header(bits: Bits, behind: int, protocol: Protocol) -> Name | None:
    """The name of bits that begin `behind` bytes into a header of this protocol."""
    width = 8 * bits.size
    start = 8 * behind + width - bits.mask.bit_length()
    stop = 8 * behind + width - ((bits.mask & -bits.mask).bit_length() - 1)
    fields = [each for each in protocol.fields if each.start < stop and each.stop > start]
    if not fields or fields[-1].stop < stop:
        return None
    if len(fields) > 1:
        shown = [f"{protocol.name}.{each.name}" for each in fields]
        text = " and ".join(shown) if len(shown) == 2 else f"{shown[0]} to {shown[-1]}"
        return Name(f"{text}{apart(bits)}", tuple(shown))
    return in_field(bits, behind, protocol, fields[0])


def in_field(bits: Bits, behind: int, protocol: Protocol, field: Field) -> Name:
    """The name of bits that lie in one field, be they all of it or some."""
    full = f"{protocol.name}.{field.name}" if field.name else protocol.name
    load_start, load_stop = 8 * behind, 8 * (behind + bits.size)
    low = max(load_stop - field.stop, 0)  # the field's lowest bit, in the loaded number
    high = min(load_stop - load_start, load_stop - field.start)
    all_there = ((1 << high) - 1) & ~((1 << low) - 1)
    text, kind = full, field.kind
    inside = field.start >= load_start and field.stop <= load_stop
    if not inside:
        first = (max(field.start, load_start) - field.start) // 8
        size = -(-(min(field.stop, load_stop) - field.start) // 8) - first
        text, kind = f"{full}[{first}:{size}]" if size > 1 else f"{full}[{first}]", "hex"
    missing = all_there & ~bits.mask
    if missing:
        text = f"{text} & {bits.mask >> low:#x}"
        kind = kind if kind in ("ipv4", *FLAGS) else "hex"
    drop = low - bits.shift
    if drop < 0:
        text = f"{text} >> {-drop}"
        kind = "number"
    return Name(text, (full,), kind, drop, inside and not missing)


def term_name(term: Term, known: tuple[Header, ...]) -> Name | None:
    """The name of a term of a sum: of bits, of a note; None where there is none."""
    if isinstance(term, Note):
        kind = "ethertype" if term.name in ("proto", "vlan_tpid") else "number"
        return Name(term.name, (term.name,), kind, whole=True)
    return name_of(term, known)


def read(bits: Bits, data: bytes) -> int | None:
    """The value of bits in a packet; None where they are not in it, or not fixed by it."""
    total = bits.place.k
    if bits.place.base:
        return None
    for term in bits.place.terms:
        part = read(term, data) if isinstance(term, Bits) else None
        if part is None:
            return None
        total += part
    total &= MASK
    if total + bits.size > len(data):
        return None
    value = int.from_bytes(data[total : total + bits.size], "big") & bits.mask
    return value >> bits.shift if bits.shift >= 0 else value << -bits.shift & MASK
