"""NIT's way: copy first, then filter; then gather chunks.

SunOS 4's Network Interface Tap was a stream of modules:

    nit_if    copies every packet of the interface into a message
    nit_pf    filters the messages; what it rejects is freed again
    nit_buf   gathers messages to chunks, each behind a nit_bufhdr, and passes a full
              chunk up; a process reads a chunk at a time

So a packet is copied whether anybody wants it or not, and filter and reader see a copy.
A model of that order, of chunk sizes and time-outs, and of a stream head that takes so
many bytes until it is read.  Messages are cut at `snaplen` before the filter sees them;
gathering copies nothing here.

Left out: NIT's own filter language, a relative of CSPF's (programs here are classic BPF,
so that both taps judge alike), nit_if's optional headers, and how streams really do
flow control.  Source: SunOS 4.1's net/nit_buf.h; the paper, section 2.2.
"""

from __future__ import annotations

from collections import deque

from bpfnb.cbpf.program import Program
from bpfnb.course.tap.clock import Clock
from bpfnb.course.tap.framing import NIT_HDR, wordalign
from bpfnb.course.tap.listener import ALL, Listening
from bpfnb.packets.packet import Packet

__all__ = ["CHUNK", "NitStream"]

CHUNK = 8192  # NB_DFLT_CHUNK
QUEUED = 2  # chunks that the stream head takes, in this model


class NitStream(Listening):
    """One open stream on an interface; as a listener it is read like BPF's."""

    def __init__(
        self,
        name: str,
        program: Program | None,
        clock: Clock,
        chunksize: int = CHUNK,
        snaplen: int = ALL,
        room: int | None = None,
    ) -> None:
        super().__init__(name, program, clock)
        self.chunksize, self.snaplen = chunksize, snaplen
        self.room = QUEUED * chunksize if room is None else room
        self.chunk = bytearray()
        self.in_chunk = 0
        self.head: deque[tuple[bytes, int]] = deque()

    def judge(self, packet: Packet) -> int:
        """The filter's ret for the copy, which `snaplen` has cut."""
        copy = Packet(
            packet.data[: self.snaplen], packet.wirelen, packet.given_ancillary, packet.linktype
        )
        return super().judge(copy)

    def catch(self, packet: Packet, ret: int) -> None:
        """Copy, and only then do what the filter says."""
        message = packet.data[: self.snaplen]  # nit_if: copied, whatever the filter says
        self.copied += len(message)
        if not ret:  # nit_pf
            self.rejected += 1
            return
        total = wordalign(NIT_HDR.size + len(message))
        if self.chunk and len(self.chunk) + total > self.chunksize and not self.pass_up():
            self.dropped += 1
            self.log("dropped")
            return
        self.chunk += NIT_HDR.pack(len(message), total) + message
        self.chunk += bytes(-len(self.chunk) % 4)
        self.in_chunk += 1
        self.log("stored")
        if self.immediate:
            self.pass_up()

    def pass_up(self) -> bool:
        """Nit_buf hands its chunk to the stream head; False where there is no room."""
        waiting = sum(len(data) for data, _ in self.head)
        if waiting and waiting + len(self.chunk) > self.room:
            return False
        self.head.append((bytes(self.chunk), self.in_chunk))
        self.chunk.clear()
        self.in_chunk = 0
        self.log("passed up")
        self.wake()
        return True

    def ready(self) -> bool:
        """Whether a chunk is at the stream head; in immediate mode what is gathered goes there."""
        if self.immediate and self.chunk and not self.head:
            self.pass_up()
        return bool(self.head)

    def expire(self) -> bool:
        """Pass up what there is, if anything."""
        return bool(self.head) or (bool(self.chunk) and self.pass_up())

    def take(self) -> tuple[bytes, int]:
        """Copy the oldest chunk out."""
        data, packets = self.head.popleft()
        self.reads += 1
        self.delivered += packets
        self.copied += len(data)
        self.log("read")
        return data, packets

    @property
    def buffered(self) -> int:
        """Packets in the chunk and at the stream head."""
        return self.in_chunk + sum(packets for _, packets in self.head)

    def log(self, what: str) -> None:
        """Remember a moment with the chunk's and the stream head's levels."""
        self.note(
            what, ("chunk", len(self.chunk)), ("head", sum(len(data) for data, _ in self.head))
        )
