"""A listener: a filter, its buffers, its counts, and when its process may read.

Everything a tap knows of one open device (`struct bpf_d` in the BSD code).  Each packet
of its interface is counted, then judged by the filter *where it lies*; only what is
accepted is copied, as much of it as `ret` says.

A read gives the hold buffer.  Where nothing is held, the process sleeps until the store
buffer is full, until its time-out, or, in immediate mode, until the next packet.

`Listening` is what every kind of listener has; NIT's is another (`nit`).
Left out: processes (`reader`), the device's calls and their refusals (`ioctls`).

Source: net/bpf.c of 4.4BSD-Lite2 (bpf_tap, catchpacket, bpfread), bpf(4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from bpfnb.cbpf import machine
from bpfnb.cbpf.program import Program
from bpfnb.course.tap.buffers import Buffers, Put
from bpfnb.course.tap.clock import Action, Clock
from bpfnb.course.tap.framing import framed, hdrlen
from bpfnb.packets.packet import Packet

__all__ = ["BUFSIZE", "Counts", "Listener", "Listening", "Moment"]

BUFSIZE = 4096  # BPF_BUFSIZE
ALL = 0xFFFFFFFF  # what no filter at all says: (u_int)-1


@dataclass(frozen=True)
class Counts:
    """What became of the packets of one listener.

    recv = rejected + accepted, and accepted = dropped + buffered + delivered.  `copied`
    counts bytes: of packets copied in the kernel, and of what reads copied out of it.
    """

    recv: int = 0
    rejected: int = 0
    accepted: int = 0
    dropped: int = 0
    buffered: int = 0
    delivered: int = 0
    reads: int = 0
    copied: int = 0


@dataclass(frozen=True)
class Moment:
    """What happened at a time, and how full each buffer was then.

    `buffers` has for each its role and its bytes.
    """

    time_ns: int
    what: str
    buffers: tuple[tuple[str, int], ...]


class Listening(ABC):
    """What a tap hands packets to, and a process reads from."""

    def __init__(self, name: str, program: Program | None, clock: Clock) -> None:
        self.name, self.program, self.clock = name, program, clock
        self.immediate = False
        self.timeout_ns = 0  # 0: it waits as long as it takes
        self.recv = self.rejected = self.dropped = self.delivered = 0
        self.reads = self.copied = 0
        self.moments: list[Moment] = []
        self.sleeper: Action | None = None  # wakes a process that sleeps in a read
        self.first_stored: Action | None = None  # is told of the next packet stored

    def judge(self, packet: Packet) -> int:
        """The filter's ret; without a filter everything is accepted."""
        if self.program is None:
            return ALL
        return machine.run(self.program, packet.data, packet.wirelen, packet.ancillary)

    def tap(self, packet: Packet, ret: int | None = None) -> None:
        """Count a packet, judge it, and keep it or not; `ret` where it is known already."""
        self.recv += 1
        self.catch(packet, self.judge(packet) if ret is None else ret)
        if self.first_stored is not None and self.buffered:
            told, self.first_stored = self.first_stored, None
            told()

    @abstractmethod
    def catch(self, packet: Packet, ret: int) -> None:
        """Do what the filter says."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether a read would give something at once."""

    @abstractmethod
    def expire(self) -> bool:
        """A sleeping read timed out: whether there is something for it."""

    @abstractmethod
    def take(self) -> tuple[bytes, int]:
        """What a read gives, and how many packets that is."""

    def poll(self) -> bytes:
        """A read that does not sleep; b"" where nothing is ready."""
        return self.take()[0] if self.ready() else b""

    @property
    @abstractmethod
    def buffered(self) -> int:
        """Packets that wait to be read."""

    def wake(self) -> None:
        """Wake the process that sleeps in a read."""
        if self.sleeper is not None:
            sleeper, self.sleeper = self.sleeper, None
            sleeper()

    def note(self, what: str, *levels: tuple[str, int]) -> None:
        """Remember a moment."""
        self.moments.append(Moment(self.clock.now, what, levels))

    @property
    def counts(self) -> Counts:
        """What became of its packets so far."""
        accepted = self.recv - self.rejected
        return Counts(
            self.recv, self.rejected, accepted, self.dropped, self.buffered, self.delivered,
            self.reads, self.copied,
        )  # fmt: skip

    def __repr__(self) -> str:
        found = self.counts
        return (
            f"<{self.name}: {found.recv} received, {found.rejected} rejected, "
            f"{found.dropped} dropped, {found.buffered} buffered, {found.delivered} delivered>"
        )


class Listener(Listening):
    """BPF's: the packet is filtered where it lies, then copied into the store buffer."""

    def __init__(
        self,
        name: str,
        program: Program | None,
        clock: Clock,
        bufsize: int = BUFSIZE,
        linktype: int | None = 1,
    ) -> None:
        super().__init__(name, program, clock)
        self.buffers = Buffers(bufsize)
        self.hdrlen = hdrlen(linktype)
        self.promiscuous = False

    @property
    def bufsize(self) -> int:
        """Bytes of a buffer, and what a read has to ask for."""
        return self.buffers.size

    @property
    def buffered(self) -> int:
        """Packets in the store and hold buffers."""
        return self.buffers.packets

    def catch(self, packet: Packet, ret: int) -> None:
        """Catchpacket: copy min(ret, length) bytes behind a header, as far as there is room."""
        if not ret:
            self.rejected += 1
            return
        caplen = min(ret, len(packet.data), self.bufsize - self.hdrlen)
        record = framed(packet.data, caplen, packet.wirelen, self.clock.now, self.hdrlen)
        done = self.buffers.put(record)
        if done is Put.DROPPED:
            self.dropped += 1
            self.log("dropped")
            return
        self.copied += caplen
        self.log(done.value)
        if done is Put.ROTATED or self.immediate:
            self.wake()

    def ready(self) -> bool:
        """Whether something is held; in immediate mode whatever is stored is held now."""
        if self.buffers.hold is None and self.immediate and self.buffers.store.packets:
            self.buffers.rotate()
            self.log("rotated")
        return self.buffers.hold is not None

    def expire(self) -> bool:
        """Hold what is stored, if anything is."""
        if self.buffers.hold is None and self.buffers.store.packets:
            self.buffers.rotate()
            self.log("timed out")
        return self.buffers.hold is not None

    def take(self) -> tuple[bytes, int]:
        """Copy the hold buffer out; it is free then."""
        data, packets = self.buffers.take()
        self.reads += 1
        self.delivered += packets
        self.copied += len(data)
        self.log("read")
        return data, packets

    def flush(self) -> None:
        """BIOCFLUSH: forget what is buffered, and count from 0."""
        self.buffers.flush()
        self.recv = self.rejected = self.dropped = self.delivered = 0
        self.reads = self.copied = 0
        self.log("flushed")

    def log(self, what: str) -> None:
        """Remember a moment with both buffers' levels."""
        pair = self.buffers
        self.note(what, *((pair.role(each), len(each.data)) for each in pair.all))
