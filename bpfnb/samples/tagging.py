"""VLAN tags and MPLS labels: putting them into frames and taking them out.

Left out: the devices that do so, which `Lab.tagged` makes, and time to live,
which a label carries but never loses here: both ends are one hop apart.

Source: IEEE 802.1Q, RFC 3032 (MPLS label stack), packet(7).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

__all__ = ["PACKET_AUXDATA", "SOL_PACKET", "Tag", "mpls", "read_frame", "vlans"]

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10


@dataclass(frozen=True)
class Tag:
    """Bytes that a device of `Lab.tagged` puts into a frame behind the addresses.

    `instead` says whether they replace the EtherType (MPLS does) or stand
    before it (a VLAN tag does).
    """

    data: bytes
    instead: bool = False

    def push(self, frame: bytes) -> bytes | None:
        """Return the frame with the tag; None where it has no place for one."""
        if not self.instead:
            return frame[:12] + self.data + frame[12:]
        if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
            return None
        return frame[:12] + self.data + frame[14:]

    def pop(self, frame: bytes) -> bytes | None:
        """Return the frame without the tag; None where it has another, or none."""
        rest = frame[12 + len(self.data) :]
        if not frame[12:].startswith(self.data) or not rest:
            return None
        if not self.instead:
            return frame[:12] + rest
        return frame[:12] + (b"\x08\x00" if rest[0] >> 4 == 4 else b"\x86\xdd") + rest


def vlans(*tags: tuple[int, int], priority: int = 0) -> Tag:
    """Return VLAN tags, outermost first, each as (EtherType, VLAN).

    >>> vlans((0x88A8, 100), (0x8100, 10)).data.hex(" ", 4)
    '88a80064 8100000a'
    """
    return Tag(b"".join(struct.pack("!HH", kind, priority << 13 | vlan) for kind, vlan in tags))


def mpls(*labels: int) -> Tag:
    """Return an MPLS label stack, top first, time to live 64.

    >>> mpls(100).data.hex(" ")
    '88 47 00 06 41 40'
    """
    last = len(labels) - 1
    entries = (label << 12 | (i == last) << 8 | 64 for i, label in enumerate(labels))
    return Tag(struct.pack(f"!H{len(labels)}I", 0x8847, *entries), instead=True)


def read_frame(wire: socket.socket) -> bytes:
    """Read one incoming frame, its VLAN tag put back; empty for one we sent.

    Linux takes the outermost VLAN tag out of a frame before any socket sees
    it, and tells it in `struct tpacket_auxdata`.
    """
    frame, notes, _, sender = wire.recvmsg(65536, 256)
    if sender[2] == socket.PACKET_OUTGOING:
        return b""
    for level, kind, data in notes:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame
