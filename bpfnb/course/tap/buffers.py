"""Two buffers in three places: store, hold and free.

The kernel stores into one buffer while a process reads the other, so neither waits.
There are two pieces of memory and three names for what one is doing:

    store   packets are put here
    hold    full, or asked for: waits for the process to read it
    free    read, and ready to be the next store

Rotating: hold <- store, store <- free, free <- none.  It takes a free buffer, so where
the process has not read yet, there is none, and what does not fit is dropped.
Left out: headers (`framing`), and when to rotate before the buffer is full (`listener`).

Source: net/bpf.c of 4.4BSD-Lite2 (ROTATE_BUFFERS, catchpacket, bpfread).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from bpfnb.course.tap.framing import wordalign

__all__ = ["MAXBUFSIZE", "MINBUFSIZE", "Buffer", "Buffers", "Put"]

MINBUFSIZE, MAXBUFSIZE = 32, 0x8000  # BPF_MINBUFSIZE, BPF_MAXBUFSIZE


class Put(Enum):
    """What became of a record."""

    STORED = "stored"
    ROTATED = "rotated"  # stored, in the next buffer
    DROPPED = "dropped"


@dataclass
class Buffer:
    """One piece of memory; `packets` are the records in it."""

    name: str
    data: bytearray = field(default_factory=bytearray)
    packets: int = 0

    def clear(self) -> None:
        """Forget what is in it."""
        self.data.clear()
        self.packets = 0


class Buffers:
    """The two buffers of a listener, `size` bytes each, and what each is doing."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.all = (Buffer("A"), Buffer("B"))
        self.store: Buffer = self.all[0]
        self.free: Buffer | None = self.all[1]
        self.hold: Buffer | None = None

    def put(self, record: bytes) -> Put:
        """Store a record; where it does not fit rotate first, or drop it.

        >>> pair = Buffers(32)
        >>> [pair.put(bytes(20)).value for _ in range(3)]
        ['stored', 'rotated', 'dropped']
        """
        end = wordalign(len(self.store.data))
        done = Put.STORED
        if end + len(record) > self.size:
            if self.free is None:
                return Put.DROPPED
            self.rotate()
            end, done = 0, Put.ROTATED
        self.store.data.extend(bytes(end - len(self.store.data)))
        self.store.data.extend(record)
        self.store.packets += 1
        return done

    def rotate(self) -> None:
        """Hold <- store, store <- free, free <- none.  There has to be a free buffer."""
        assert self.free is not None
        assert self.hold is None
        self.hold, self.store, self.free = self.store, self.free, None
        self.store.clear()

    def take(self) -> tuple[bytes, int]:
        """What is held, and its packets; the buffer is free then."""
        held = self.hold
        assert held is not None
        found = bytes(held.data), held.packets
        held.clear()
        self.hold, self.free = None, held
        return found

    def flush(self) -> int:
        """Forget all packets; how many they were."""
        lost = sum(each.packets for each in self.all)
        if self.hold is not None:
            self.hold, self.free = None, self.hold
        for each in self.all:
            each.clear()
        return lost

    @property
    def packets(self) -> int:
        """The packets in both."""
        return sum(each.packets for each in self.all)

    def role(self, buffer: Buffer) -> str:
        """What a buffer is doing."""
        if buffer is self.store:
            return "store"
        return "hold" if buffer is self.hold else "free"
