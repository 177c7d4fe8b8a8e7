"""A real queue that overflows: a socket of one's own, on this machine's Linux.

    overflow(200, 4096)     Overflow(sent=200, received=…, dropped=…)

A UDP socket on loopback is sent more than its receive buffer holds, and nobody reads in
the meantime.  The kernel drops what does not fit and counts it, as BPF does, and says
the count with a later packet (SO_RXQ_OVFL).  No privilege is needed.
Left out: AF_PACKET sockets, whose queue is the same and which need CAP_NET_RAW.

Source: socket(7), SO_RXQ_OVFL and SO_RCVBUF.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass

from bpfnb.errors import UnavailableError

__all__ = ["Overflow", "overflow"]

SO_RXQ_OVFL = 40
COUNT = struct.Struct("=I")
PATIENCE = 5.0  # seconds for one packet over loopback


@dataclass(frozen=True)
class Overflow:
    """How many packets were sent, how many a reader got, how many the kernel says it dropped."""

    sent: int
    received: int
    dropped: int


def overflow(count: int, size: int) -> Overflow:
    """Send `count` packets to a socket whose buffer was asked to have `size` bytes.

    Raises UnavailableError where there is no Linux, or no loopback.
    """
    if not sys.platform.startswith("linux"):
        raise UnavailableError("this asks Linux for a socket's drops; there is none here")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        receiver.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        receiver.settimeout(PATIENCE)
        try:
            receiver.bind(("127.0.0.1", 0))
            sender.connect(receiver.getsockname())
            for _ in range(count):
                sender.send(bytes(200))
        except OSError as error:
            reason = error.strerror or error
            raise UnavailableError(f"loopback cannot be used here: {reason}") from error
        received = drain(receiver)
        sender.send(b"")  # comes behind all that was dropped, and says how much it was
        _, notes, _, _ = receiver.recvmsg(1, socket.CMSG_SPACE(COUNT.size))
        counts = [COUNT.unpack(data)[0] for _, kind, data in notes if kind == SO_RXQ_OVFL]
        return Overflow(count, received, counts[0] if counts else 0)


def drain(receiver: socket.socket) -> int:
    """Take all that waits; how many packets it was."""
    receiver.setblocking(False)
    taken = 0
    try:
        while True:
            receiver.recv(1)
            taken += 1
    except BlockingIOError:
        receiver.settimeout(PATIENCE)
        return taken
