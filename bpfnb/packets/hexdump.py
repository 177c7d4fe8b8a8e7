r"""Packets from hex as people paste it.

Reads what `tcpdump -x -xx -X -XX`, Wireshark, tshark, `xxd` and `hexdump -C`
print, offsets checked, text columns passed over; and plain hex: with or without
spaces, colons, commas, `0x` or `\x`.  Several packets: each begins at offset 0
or, in plain hex, behind an empty line or a line of tcpdump's that begins with
a time.  Other lines between rows of a dump are passed over.

The link type is told from the bytes, since a dump does not say: `-x` and `-X`
leave the link header out.  RAW, when a packet's IP header agrees with its
length (or, when it is cut, with its own checksum); EN10MB, when what follows 14
bytes does, or is ARP, say.  When both are found, or neither, it is unknown.
Left out: dumps in octal or in words of the host's byte order.

Source: tcpdump(1), xxd(1), hexdump(1), their output read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bpfnb.errors import PacketError
from bpfnb.packets.linktype import EN10MB, RAW, find
from bpfnb.packets.packet import Packet

__all__ = ["guess_linktype", "parse"]

DIGITS = "[0-9a-fA-F]"
# How a row of a dump begins, by the program that made it; what is caught is the offset.
STYLES = (
    re.compile(rf"\s*0x({DIGITS}{{4,8}}):(?=\s|$)"),  # tcpdump
    re.compile(rf"\s*({DIGITS}{{4,8}}):(?=\s+{DIGITS}{{2}}|\s*$)"),  # xxd
    re.compile(rf"\s*({DIGITS}{{4,8}})(?=\s|$)"),  # hexdump -C, Wireshark
)
# The last is taken for a dump only when it begins with offset 0 and a wide gap or a byte.
BARE_START = re.compile(rf"\s*0{{4,8}}(?:\t|\s{{2,}}|\s{DIGITS}{{2}}(?:\s|$))")
HOST_WORDS = re.compile(rf"\s*0{{7}}\s+{DIGITS}{{4}}(?:\s|$)")
SUMMARY = re.compile(r"\s*(?:\d+\s+)?(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(?:\.\d+)? ")
WORD = re.compile(r"(\s*)(\S+)")
PLAIN = re.compile(rf"""(?P<hex>(?:0x|\\x)?{DIGITS}+)|[\s:,;"'{{}}\[\]()-]+|(?P<bad>.)""")
SHOWN = 72  # characters of a line in a message


@dataclass(frozen=True)
class Row:
    """A row of a dump: line number from 1, the line, its offset, where its bytes begin."""

    number: int
    line: str
    offset: int
    start: int


def parse(text: str, linktype: str | int | None = None) -> tuple[Packet, ...]:
    """The packets of a hex dump, at least one.

    `linktype` None: it is told from the bytes.  Raises PacketError with line,
    column and cure when the text is no dump.

    >>> [packet.data.hex() for packet in parse("0x0000:  4500 0014  E...")]
    ['45000014']
    """
    lines = text.splitlines()
    style = find_style(lines)
    found = list(plain(lines) if style is None else rows_to_packets(rows(lines, style)))
    if not found:
        raise PacketError(
            "there is no byte in this hex dump",
            "paste rows as tcpdump -x prints them, or hex digits; a file is given by its path",
        )
    number = guess_linktype(found) if linktype is None else find(linktype).number
    return tuple(Packet(data, linktype=number) for data in found)


def wrong(number: int, line: str, column: int, what: str, cure: str) -> PacketError:
    """An error at a place of the text; `column` counts from 0, the message from 1."""
    begin = max(0, column - SHOWN // 2)
    excerpt = "".join(c if c.isprintable() else " " for c in line[begin : begin + SHOWN])
    return PacketError(
        f"line {number}, column {column + 1}: {what}\n    {excerpt}\n    {' ' * (column - begin)}^",
        cure,
    )


def find_style(lines: Sequence[str]) -> re.Pattern[str] | None:
    """How the rows of this dump begin; None for plain hex."""
    tcpdump, xxd, bare = STYLES
    for number, line in enumerate(lines, 1):
        if tcpdump.match(line):
            return tcpdump
        if xxd.match(line):
            return xxd
        if HOST_WORDS.match(line):
            what = "rows of words have their bytes in the host's order"
            raise wrong(number, line, 0, what, "make the dump with hexdump -C or xxd")
        if BARE_START.match(line):
            return bare
    return None


def rows(lines: Sequence[str], style: re.Pattern[str]) -> Iterator[Row]:
    """The rows among the lines."""
    for number, line in enumerate(lines, 1):
        match = style.match(line)
        if match:
            yield Row(number, line, int(match[1], 16), match.end())
        elif line.strip() == "*":
            what = '"*" stands for rows that were left out'
            raise wrong(number, line, line.index("*"), what, "make the dump with hexdump -v")
        elif style is STYLES[0] and line.lstrip().lower().startswith("0x"):
            column = line.lower().index("0x")
            what = "this row has no offset"
            raise wrong(number, line, column, what, "a row begins as 0x0010: does")


def rows_to_packets(found: Iterator[Row]) -> Iterator[bytes]:
    """Put rows together; a packet begins at offset 0."""
    packet, width = b"", 0
    kept = list(found)
    for row, after in zip(kept, [*kept[1:], None], strict=True):
        if row.offset == 0:
            if packet:
                yield packet
            packet, width = b"", 0
        if row.offset != len(packet):
            what = f"offset {row.offset:#06x} where {len(packet):#06x} bytes came before"
            column = len(row.line) - len(row.line.lstrip())
            cure = "a row is missing, short or there twice; offsets count in hex"
            raise wrong(row.number, row.line, column, what, cure)
        step = after.offset - row.offset if after is not None and after.offset else 0
        data = row_bytes(row, step if step > 0 else width)
        width = width or len(data)
        packet += data
    if packet:
        yield packet


def row_bytes(row: Row, most: int) -> bytes:
    """The bytes of a row, up to its text column; `most` of them when that is not 0."""
    line = re.sub(r"\s\|.*\|?\s*$", "", row.line)  # hexdump -C's text column
    data = bytearray()
    position, single = row.start, True
    while (match := WORD.match(line, position)) and not (most and len(data) >= most):
        gap, word = len(match[1].expandtabs()), match[2]
        between_eights = single and len(data) == 8  # where some leave a wider gap
        if data and gap > (2 if between_eights else 1):
            break
        if not re.fullmatch(f"(?:{DIGITS}{{2}})+", word):
            what = f"{word[:20]!r} is no group of bytes in hex"
            cure = "a byte has two hex digits; a text column stands behind two spaces"
            raise wrong(row.number, row.line, match.start(2), what, cure)
        data += bytes.fromhex(word)
        single = single and len(word) == 2
        position = match.end()
    return bytes(data)


def plain(lines: Sequence[str]) -> Iterator[bytes]:
    """Packets of plain hex, separated by empty lines and lines that begin with a time."""
    packet = bytearray()
    for number, line in enumerate(lines, 1):
        if not line.strip() or SUMMARY.match(line):
            if packet:
                yield bytes(packet)
            packet.clear()
        elif not line.lstrip().startswith(("#", "//")):
            packet += plain_line(number, line)
    if packet:
        yield bytes(packet)


def plain_line(number: int, line: str) -> bytes:
    """The bytes of one line of plain hex."""
    data = bytearray()
    matches = list(PLAIN.finditer(line))
    for match in matches:
        if match["bad"]:
            cure = "plain hex has digits, spaces, colons and commas; give a file as a Path"
            raise wrong(number, line, match.start(), f"{match['bad']!r} is not hex", cure)
    for match in matches:
        word = match["hex"] or ""
        digits = word[2:] if word[:2] in ("0x", "\\x") else word
        if len(digits) == 1 and digits != word:
            digits = f"0{digits}"
        if len(digits) % 2:
            what = f"{word[:20]!r} is half a byte" if len(digits) == 1 else ""
            what = what or f"{word[:20]!r} has {len(digits)} digits"
            raise wrong(number, line, match.start(), what, "a byte has two hex digits")
        data += bytes.fromhex(digits)
    return bytes(data)


def guess_linktype(found: Sequence[bytes]) -> int | None:
    """The link type of a paste, by what its packets look like; None when that is not clear.

    >>> guess_linktype([bytes.fromhex("ffffffffffff 001122334455 0806 0001 0800 0604")])
    1
    """
    raw = any(looks_like_ip(data) for data in found)
    ethernet = any(looks_like_ethernet(data) for data in found)
    if raw == ethernet:
        return None
    return RAW if raw else EN10MB


SHORTEST = 46  # bytes that Ethernet fills a shorter packet up to


def looks_like_ip(data: bytes) -> bool:
    """Whether an IP header stands here and agrees with the length of what there is."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4])
        if not 20 <= header <= min(total, len(data)):
            return False
        return total_agrees(total, len(data)) or (total > len(data) and sums_up(data[:header]))
    if len(data) >= 40 and data[0] >> 4 == 6:
        return total_agrees(int.from_bytes(data[4:6]) + 40, len(data))
    return False


def total_agrees(total: int, there: int) -> bool:
    """Whether a packet of `total` bytes fits `there`, filled up perhaps."""
    return total == there or total < there <= SHORTEST


def sums_up(header: bytes) -> bool:
    """Whether an IPv4 header's checksum is right."""
    total = sum(int.from_bytes(header[at : at + 2]) for at in range(0, len(header), 2))
    return total % 0xFFFF == 0


def looks_like_ethernet(data: bytes) -> bool:
    """Whether an Ethernet header stands here, by what follows it."""
    while data[12:14] in (b"\x81\x00", b"\x88\xa8"):  # VLAN tags
        data = data[:12] + data[16:]
    kind, rest = int.from_bytes(data[12:14]), data[14:]
    if kind in (0x0800, 0x86DD):
        version = 4 if kind == 0x0800 else 6
        return rest[:1] != b"" and rest[0] >> 4 == version and looks_like_ip(rest)
    if kind == 0x0806:
        return rest.startswith(bytes.fromhex("000108000604"))
    if 3 <= kind <= 1500:  # an 802.3 length, of an LLC header at least
        return total_agrees(kind, len(rest))
    return data.startswith(b"\x01\x80\xc2\x00\x00")  # bridges and their neighbours
