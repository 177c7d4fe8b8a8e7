"""An interface: its driver hands each packet to the tap's listeners and to the stack.

    le0 = Interface("le0", ALICE.mac)
    monitor = le0.listen("network monitor", program, promiscuous=True)
    le0.play(arrivals)
    le0.clock.run()

The card takes frames for its own address, broadcasts and multicasts; in promiscuous
mode, which is the *card's* and not a listener's, all there are.  Every listener then gets
every frame that was taken, and the protocol stack those that are for it.  Frames that the
host sends go past the listeners on their way out.

With a `Cpu` and prices the kernel's work takes time: frames wait in the card's ring, and
where the ring is full the card loses them before any tap has seen them.
Left out: how a card decides by a hash which groups it takes, and errors on the wire.

Source: the paper, section 2 and figure 1; net/bpf.c of 4.4BSD-Lite2 (bpf_tap, ifpromisc).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from bpfnb.cbpf import checker
from bpfnb.cbpf.program import Program
from bpfnb.course.tap.clock import Clock, Cpu
from bpfnb.course.tap.listener import BUFSIZE, Listener, Listening
from bpfnb.course.tap.nit import CHUNK, NitStream
from bpfnb.course.tap.traffic import Arrival
from bpfnb.packets.linktype import EN10MB
from bpfnb.packets.packet import Packet

__all__ = ["RING", "Interface", "Price"]

RING = 32  # frames that wait in the card, in this model
Price = Callable[[Listening, int, int], int]  # listener, bytes, ret -> ns of the kernel's time


class Interface:
    """A card on an Ethernet, its driver, and who listens.

    `seen` counts frames on the wire, `taken` those that the card took, `lost` those it
    had no room for, `sent` those that this host sent, `to_stack` those for its protocols.
    """

    def __init__(
        self,
        name: str = "le0",
        mac: str = "",
        clock: Clock | None = None,
        linktype: int = EN10MB,
        cpu: Cpu | None = None,
        price: Price | None = None,
        ring: int = RING,
    ) -> None:
        self.name, self.linktype = name, linktype
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.clock = clock or (cpu.clock if cpu else Clock())
        self.cpu, self.price, self.ring = cpu, price, ring
        self.up = True
        self.promiscuous = 0  # how many listeners asked for it
        self.listeners: list[Listening] = []
        self.seen = self.taken = self.lost = self.sent = self.to_stack = 0
        self._waiting = 0

    def listen(
        self,
        name: str,
        program: Program | None = None,
        *,
        bufsize: int = BUFSIZE,
        promiscuous: bool = False,
        immediate: bool = False,
        timeout_ns: int = 0,
    ) -> Listener:
        """Open BPF on this interface.  An illegal program raises CheckError."""
        if program is not None:
            checker.require(program)
        made = Listener(name, program, self.clock, bufsize, self.linktype)
        made.immediate, made.timeout_ns = immediate, timeout_ns
        if promiscuous:
            made.promiscuous = True
            self.promiscuous += 1
        self.listeners.append(made)
        return made

    def listen_by_nit(
        self, name: str, program: Program | None = None, *, chunksize: int = CHUNK, **more: Any
    ) -> NitStream:
        """Open a NIT stream on this interface, `more` as in NitStream."""
        if program is not None:
            checker.require(program)
        made = NitStream(name, program, self.clock, chunksize, **more)
        self.listeners.append(made)
        return made

    def play(self, arrivals: Iterable[Arrival]) -> None:
        """Let frames come; their times count from now."""
        start = self.clock.now
        for each in arrivals:
            self.clock.at(start + each.time_ns, partial(self.receive, each.packet))

    def addressed(self, data: bytes) -> bool:
        """Whether a frame is for this host: its address, or a group's."""
        return self.linktype != EN10MB or data[:6] == self.mac or bool(data[:1] and data[0] & 1)

    def receive(self, packet: Packet) -> None:
        """A frame passes on the wire, now."""
        self.seen += 1
        data = packet.data
        own = self.linktype == EN10MB and data[6:12] == self.mac
        if not (own or self.promiscuous or self.addressed(data)):
            return
        if self.cpu is None or self.price is None:
            self._tap(packet, own, [each.judge(packet) for each in self.listeners])
            return
        if self._waiting >= self.ring:
            self.lost += 1
            return
        self._waiting += 1
        rets = [each.judge(packet) for each in self.listeners]
        work = sum(
            self.price(each, len(data), ret) for each, ret in zip(self.listeners, rets, strict=True)
        )
        self.cpu.interrupt(work, lambda: self._tap(packet, own, rets, waited=True))

    def _tap(self, packet: Packet, own: bool, rets: Sequence[int], waited: bool = False) -> None:
        """Bpf_tap, for each listener; then the protocol stack."""
        self._waiting -= waited
        self.taken += 1
        for listener, ret in zip(self.listeners, rets, strict=True):
            listener.tap(packet, ret)
        if own:
            self.sent += 1
        elif self.addressed(packet.data):
            self.to_stack += 1

    def __repr__(self) -> str:
        taken = f"{self.taken} of {self.seen} frames taken"
        return f"<{self.name}: {taken}, {len(self.listeners)} listening>"
