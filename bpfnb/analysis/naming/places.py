"""Bytes by their place in the packet, for where they have no name: bytes 20–21 & 0x1fff.

Left out: names, and which bytes have one (`names`).
"""

from __future__ import annotations

from bpfnb.analysis.naming.values import Bits, Note, Place, Term

__all__ = ["apart", "bytes_words", "indirect_words", "is_are", "place_words"]


def apart(bits: Bits) -> str:
    """What was done to loaded bytes: a mask, a shift."""
    said = "" if bits.mask == (1 << 8 * bits.size) - 1 else f" & {bits.mask:#x}"
    if bits.shift:
        said += f" {'>>' if bits.shift > 0 else '<<'} {abs(bits.shift)}"
    return said


def bytes_words(bits: Bits) -> str:
    """Bits by their place in the packet.

    >>> bytes_words(Bits(Place(20), 2, 0x1fff))
    'bytes 20–21 & 0x1fff'
    """
    return f"{place_words(bits.place, bits.size)}{apart(bits)}"


def place_words(place: Place, size: int) -> str:
    """The bytes of a load.

    >>> place_words(Place(23), 1), place_words(Place(9, base="net"), 1)
    ('byte 23', 'byte 9 of the network header')
    """
    k = place.k
    if place.terms:
        k = k - (1 << 32) if k >> 31 else k
        index = " + ".join(map(index_words, place.terms))
        return indirect_words(f"{index} {'-' if k < 0 else '+'} {abs(k)}", size)
    said = f"byte {k}" if size == 1 else f"bytes {k}–{k + size - 1}"
    return f"{said} of the {WORDS[place.base]} header" if place.base else said


def is_are(subject: str) -> str:
    """The verb for one field or byte, or for several.

    >>> is_are("byte 23"), is_are("bytes 12–13"), is_are("IP.flags and IP.frag")
    ('is', 'are', 'are')
    """
    several = subject.startswith(("bytes ", "the 2 bytes", "the 4 bytes"))
    return "are" if several or " and " in subject or " to " in subject else "is"


def indirect_words(at: str, size: int) -> str:
    """The bytes of a load whose place is known only when it runs.

    >>> indirect_words("X + 14", 2)
    'the 2 bytes at X + 14'
    """
    return f"the {size} bytes at {at}" if size > 1 else f"the byte at {at}"


def index_words(term: Term) -> str:
    """A term of an index as assemblers write it."""
    if isinstance(term, Note):
        return term.name
    bare = not term.place.terms and not term.place.base
    if bare and (term.size, term.mask, term.shift) == (1, 0x0F, -2):
        return f"4*([{term.place.k}]&0xf)"
    return f"({bytes_words(term)})"


WORDS = {"net": "network", "link": "link"}
