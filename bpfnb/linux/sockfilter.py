"""The running kernel's own classic BPF, without privilege.

A filter on a socket of one's own needs no rights.  On an AF_UNIX datagram
socket pair it sees the sent bytes from offset 0, so any frame can be put
through the kernel: the length received is min(ret, length), and nothing
received is ret 0.

The filter runs inside the sender's send(), so a packet is in the queue when
send() returns or never.  `verdicts` does not rest on that: after the last packet
the filter is taken off and a sentinel sent, which nothing can reject; it must
be the next thing received, which proves that no packet was merely late.

Left out: what such a socket cannot show.  The wire length is always the
length sent; there is no device, link header, mark or VLAN tag; and verdicts
show no more of ret than the packet has bytes (`linux.readout` shows all of it).

Source: socket(7), unix(7), linux/filter.h, net/core/filter.c; tried on Linux 6.18.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from bpfnb.cbpf.insn import SOCK_FILTER, Insn, unpack
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, PacketError, UnavailableError

__all__ = [
    "AttachResult",
    "KernelRefused",
    "SocketPair",
    "accepts",
    "attach",
    "detach",
    "overhead",
    "verdicts",
]

# asm-generic/socket.h; Python's socket module has none of them
SO_ATTACH_FILTER = SO_GET_FILTER = 26
SO_DETACH_FILTER = 27
SO_LOCK_FILTER = 44
SO_MEMINFO = 55
MEMINFO_WORDS, OPTMEM = 9, 6  # what SO_MEMINFO gives, and which word counts filters
SOCK_FPROG = struct.Struct("HP")  # len, pointer
TRANSLATED_SIZE = 8  # bytes of one eBPF instruction

REASONS = {
    errno.EINVAL: "the program breaks one of its rules, or a jump is too long once translated; "
    "the kernel never says which: prog.check() names the rule",
    errno.ENOMEM: "once translated the program is larger than the memory a socket may use "
    "(net.core.optmem_max)",
    errno.EPERM: "the filter on this socket is locked (SO_LOCK_FILTER)",
}


class KernelRefused(BpfError):  # noqa: N818  named for what happened, like PermissionError's kin
    """The kernel did not take a program.  `errno` is its only word on why."""

    def __init__(self, number: int) -> None:
        name = errno.errorcode.get(number, str(number))
        super().__init__(f"the kernel refuses this program: {name}", REASONS.get(number, ""))
        self.errno = number


@dataclass(frozen=True)
class AttachResult:
    """What the kernel says of a program.

    `errno` is 0 when it takes it, and `translated` the length of its eBPF
    translation in instructions; otherwise the error number, and None.
    """

    errno: int
    translated: int | None = None

    @property
    def accepted(self) -> bool:
        """True when the kernel takes the program."""
        return self.errno == 0

    @property
    def reason(self) -> str:
        """The error's name and what it can mean; empty when there is none."""
        return "" if self.accepted else str(KernelRefused(self.errno))


def attach(sock: socket.socket, program: Program) -> None:
    """Put a program on any socket of one's own; KernelRefused when it is not taken."""
    if len(program) > 0xFFFF:
        raise BpfError(
            f"{len(program)} instructions cannot be handed to the kernel: sock_fprog counts "
            f"up to {0xFFFF}",
            "the kernel takes programs of at most 4096",
        )
    code = bytes(program)
    buffer = ctypes.create_string_buffer(code, len(code) or 1)
    set_option(sock, SO_ATTACH_FILTER, SOCK_FPROG.pack(len(program), ctypes.addressof(buffer)))


def detach(sock: socket.socket) -> None:
    """Take a socket's filter off."""
    set_option(sock, SO_DETACH_FILTER, struct.pack("i", 0))


def set_option(sock: socket.socket, name: int, value: bytes) -> None:
    """Set a socket option, the kernel's error as KernelRefused."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, name, value)
    except OSError as error:
        raise KernelRefused(error.errno or 0) from error


class SocketPair:
    """Two connected datagram sockets; the receiving one can carry a filter.

    Use it in a `with` statement.  UnavailableError where there is no Linux.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise UnavailableError(f"socket filters are Linux's; this is {sys.platform}")
        self.sender, self.receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sender.setblocking(False)
        self.receiver.setblocking(False)
        self.sentinels = 0

    def __enter__(self) -> SocketPair:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close both sockets."""
        self.sender.close()
        self.receiver.close()

    def attach(self, program: Program) -> None:
        """Put a program on the receiving socket, in place of one already there.

        KernelRefused when the kernel does not take it; the old one then stays.
        While it is replaced the old one counts against the socket's memory.
        """
        attach(self.receiver, program)

    def detach(self) -> None:
        """Take the filter off: everything is accepted again."""
        detach(self.receiver)

    def lock(self) -> None:
        """Forbid every later attach and detach on this socket; there is no way back."""
        set_option(self.receiver, SO_LOCK_FILTER, struct.pack("i", 1))

    def instructions(self) -> tuple[Insn, ...]:
        """Read the attached program back (SO_GET_FILTER); empty when there is none.

        This option's length counts instructions, not bytes: asked with a byte
        count, as Python's getsockopt asks, the kernel would write too far.
        """
        count = self.get_filter(None, 0)
        buffer = ctypes.create_string_buffer(count * SOCK_FILTER.size or 1)
        written = self.get_filter(buffer, count) if count else 0
        return unpack(buffer.raw[: written * SOCK_FILTER.size])

    def get_filter(self, buffer: ctypes.Array[ctypes.c_char] | None, count: int) -> int:
        """getsockopt(SO_GET_FILTER) into room for `count` instructions; their number."""
        library = ctypes.CDLL(None, use_errno=True)
        length = ctypes.c_uint32(count)
        failed = library.getsockopt(
            self.receiver.fileno(),
            socket.SOL_SOCKET,
            SO_GET_FILTER,
            buffer,
            ctypes.byref(length),
        )
        if failed:
            raise KernelRefused(ctypes.get_errno())
        return length.value

    def memory(self) -> int:
        """Bytes the attached filter counts for (SO_MEMINFO); 0 without a filter."""
        raw = self.receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO_WORDS * 4)
        return int(struct.unpack(f"{MEMINFO_WORDS}I", raw)[OPTMEM])

    def send(
        self, packets: Sequence[bytes], numbers: Sequence[int] | None = None
    ) -> list[int | None]:
        """Send packets one by one: the length of each as received, None where rejected.

        An accepted empty packet gives 0.  PacketError for a packet longer than
        the sender's buffer may grow (net.core.wmem_max), which is called by its
        number: `numbers` has them, else they are counted from 1.
        """
        send, receive = self.sender.send, self.receiver.recv_into
        scrap, flags = bytearray(1), socket.MSG_TRUNC | socket.MSG_DONTWAIT
        got: list[int | None] = []
        for at, packet in enumerate(packets):
            try:
                send(packet)
            except OSError as error:
                self.send_large(numbers[at] if numbers else at + 1, packet, error)
            try:
                got.append(receive(scrap, 1, flags))
            except BlockingIOError:
                got.append(None)
        return got

    def send_large(self, number: int, packet: bytes, error: OSError) -> None:
        """Let the send buffer grow, and try once more."""
        if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS, errno.EAGAIN):
            raise error
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(packet))
        try:
            self.sender.send(packet)
        except OSError as again:
            room = self.sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            raise PacketError(
                f"packet {number} has {len(packet)} bytes; a datagram here has less than {room}",
                "cut it to its first bytes, or raise net.core.wmem_max",
            ) from again

    def prove(self) -> None:
        """Show that nothing sent so far is still on its way; takes the filter off.

        Sends a sentinel, which must be the next thing received.
        """
        if self.memory():
            self.detach()
        self.sentinels += 1
        sentinel = b"bpfnb sentinel %d" % self.sentinels
        self.sender.send(sentinel)
        got = self.receiver.recv(2 * len(sentinel))
        if got != sentinel:
            raise BpfError(
                f"a packet arrived late: the sentinel was to come next, {len(got)} bytes came"
            )


def verdicts(
    program: Program, packets: Sequence[bytes], pair: SocketPair | None = None
) -> list[int]:
    """Run a program in the kernel: the length accepted of each packet.

    That is min(ret, length), 0 for a rejected packet (and for an empty one).
    `pair` may be a SocketPair to use again; it is left without a filter.
    KernelRefused when the kernel does not take the program.
    """
    if pair is None:
        with SocketPair() as own:
            return verdicts(program, packets, own)
    pair.attach(program)
    got = pair.send(packets)
    pair.prove()
    return [length or 0 for length in got]


def accepts(program: Program, pair: SocketPair | None = None) -> AttachResult:
    """Ask the kernel whether it takes a program, without running it."""
    if pair is None:
        with SocketPair() as own:
            return accepts(program, own)
    try:
        pair.attach(program)
    except KernelRefused as refused:
        return AttachResult(refused.errno)
    translated = (pair.memory() - overhead()) // TRANSLATED_SIZE
    pair.detach()
    return AttachResult(0, translated)


SHORTEST = Program.from_insns([(0x06, 0, 0, 0)])  # ret #0
SHORTEST_TRANSLATED = 5  # three instructions of prologue, two for ret #k


def overhead() -> int:
    """Bytes a filter counts for beside its translated instructions."""
    with SocketPair() as pair:
        pair.attach(SHORTEST)
        return pair.memory() - SHORTEST_TRANSLATED * TRANSLATED_SIZE
