"""A process that reads from a listener: it sleeps, gets a buffer, works, and reads again.

    Reader(monitor, per_read=2 * MILLISECOND, per_packet=100 * MICROSECOND)

How fast it is decides whether packets are dropped.  While it works it does not read, and
what was handed to it no longer occupies a buffer.  Left out: what it does with packets.
"""

from __future__ import annotations

from bpfnb.course.tap.clock import Cpu
from bpfnb.course.tap.listener import Listening

__all__ = ["Reader"]


class Reader:
    """A process in a loop of reads; `reads` has time, packets and bytes of each.

    It works `per_read` ns for a read, and `per_packet` more for each packet in it, on a
    processor of its own unless `cpu` is one that others work on too.  Reads that time out
    with nothing are counted in `empty` and asked again; those in a long silence are worked
    out when it is over, or a clock with nothing else to do would go on for ever.
    """

    def __init__(
        self, listener: Listening, per_read: int = 0, per_packet: int = 0, cpu: Cpu | None = None
    ) -> None:
        self.listener, self.clock = listener, listener.clock
        self.per_read, self.per_packet = per_read, per_packet
        self.cpu = cpu or Cpu(self.clock)
        self.reads: list[tuple[int, int, int]] = []
        self.buffers: list[bytes] = []
        self.empty = 0
        self._turn = 0
        self.clock.at(self.clock.now, self.read)

    def read(self) -> None:
        """Ask for a buffer: get one, or sleep."""
        self._turn += 1
        if self.listener.ready():
            self._take()
        else:
            self._sleep(self.clock.now + self.listener.timeout_ns)

    def _sleep(self, deadline: int) -> None:
        """Sleep until there is something, or the time is over."""
        turn = self._turn
        self.listener.sleeper = lambda: self.clock.at(self.clock.now, lambda: self._woken(turn))
        if self.listener.timeout_ns:
            self.clock.at(deadline, lambda: self._timed_out(turn))

    def _woken(self, turn: int) -> None:
        if turn == self._turn:
            self.read()

    def _timed_out(self, turn: int) -> None:
        if turn != self._turn:
            return
        self.listener.sleeper = None
        if self.listener.expire():
            self._take()
            return
        self.empty += 1
        asked = self.clock.now
        self.listener.first_stored = lambda: self._go_on(asked)

    def _go_on(self, asked: int) -> None:
        """The first packet after a silence; `asked` is when the last read before it began."""
        missed, waited = divmod(self.clock.now - asked, self.listener.timeout_ns)
        self.empty += missed
        self._turn += 1
        if self.listener.ready():
            self._take()
        else:
            self._sleep(self.clock.now - waited + self.listener.timeout_ns)

    def _take(self) -> None:
        self._turn += 1
        data, packets = self.listener.take()
        self.reads.append((self.clock.now, packets, len(data)))
        self.buffers.append(data)
        self.cpu.spend(self.per_read + packets * self.per_packet, self.read)
