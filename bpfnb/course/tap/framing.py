"""How packets lie in a buffer: one behind the other, each behind a header.

    framed(packet, caplen, time_ns)     bpf_hdr and packet, as bytes
    records(buffer)                     the packets of what a read gave

BPF's header has a time stamp, how many bytes are there (caplen), how many there were
(datalen), and its own length, because that is not always the same: it is made so long
that the *network* header behind the link header begins on a word.  The next record
begins on a word too, so there may be padding between two.

NIT's header (nit_bufhdr) has two lengths: of the message, and of all with padding.

Numbers are in the machine's own byte order, which was big-endian on the paper's
Sparcstation and is so here.  Source: net/bpf.h and net/bpf.c of 4.4BSD-Lite2 (bpfattach,
catchpacket; SIZEOF_BPF_HDR is 18 on 32-bit machines, BPF_WORDALIGN goes to 4 bytes);
SunOS 4.1's net/nit_buf.h.  Left out: 64-bit machines, whose words have 8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from bpfnb.errors import BpfError

__all__ = ["BPF_HDR", "NIT_HDR", "WORD", "Record", "framed", "hdrlen", "records", "wordalign"]

WORD = 4  # BPF_ALIGNMENT
BPF_HDR = Struct(">IIIIH")  # tv_sec, tv_usec, caplen, datalen, hdrlen
NIT_HDR = Struct(">II")  # nhb_msglen, nhb_totlen
LINK_HEADERS = {1: 14, 101: 0, 113: 16, 276: 20}  # LINKTYPE_ number: bytes of link header


def wordalign(size: int) -> int:
    """The next multiple of a word (BPF_WORDALIGN).

    >>> [wordalign(size) for size in (60, 61, 63, 64, 65)]
    [60, 64, 64, 64, 68]
    """
    return (size + WORD - 1) & ~(WORD - 1)


def hdrlen(linktype: int | None) -> int:
    """How long bpf_hdr is on a link, its padding included.

    >>> hdrlen(1), hdrlen(101)      # Ethernet: 18 + 14 is a multiple of 4 already
    (18, 20)
    """
    link = LINK_HEADERS.get(linktype or 1, 0)
    return wordalign(link + BPF_HDR.size) - link


@dataclass(frozen=True)
class Record:
    """One packet in what a read gave, and where: its header begins at `start`."""

    start: int
    time_ns: int
    caplen: int
    datalen: int
    hdrlen: int
    data: bytes

    @property
    def stop(self) -> int:
        """Where its last byte is followed by padding, or by nothing."""
        return self.start + self.hdrlen + self.caplen

    @property
    def next(self) -> int:
        """Where the next record begins."""
        return wordalign(self.stop)


def framed(data: bytes, caplen: int, datalen: int, time_ns: int, header: int) -> bytes:
    """A record of the packet's first `caplen` bytes, without padding behind it.

    >>> framed(bytes.fromhex("ffff"), 2, 60, 1_500_000_000, 18).hex(" ", -4)
    '00000001 0007a120 00000002 0000003c 0012ffff'
    """
    seconds, rest = divmod(time_ns, 10**9)
    head = BPF_HDR.pack(seconds & 0xFFFFFFFF, rest // 1000, caplen, datalen, header)
    return head.ljust(header, b"\0") + data[:caplen]


def records(buffer: bytes) -> Iterator[Record]:
    """The packets of what a read gave.  Each header says where the next one is.

    Raises BpfError where the bytes end within a record.
    """
    at = 0
    while at < len(buffer):
        if len(buffer) < at + BPF_HDR.size:
            raise BpfError(f"a header begins at byte {at}, and {len(buffer) - at} bytes are left")
        seconds, micros, caplen, datalen, header = BPF_HDR.unpack_from(buffer, at)
        first = at + header
        data = bytes(buffer[first : first + caplen])
        if header < BPF_HDR.size or len(data) < caplen:
            raise BpfError(f"the record at byte {at} says that it is longer than what is there")
        found = Record(at, seconds * 10**9 + micros * 1000, caplen, datalen, header, data)
        yield found
        at = found.next
