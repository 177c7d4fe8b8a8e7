"""What a debugger's commands give: a place in a run, a Stop there, or something Said.

Left out: what brings it there (`debugger`), and how it looks, which views know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bpfnb.cbpf.machine import State
from bpfnb.cbpf.trace import Step, Trace

if TYPE_CHECKING:
    from bpfnb.packets.packet import PacketBatch

__all__ = ["Place", "Said", "Stop", "Tally", "count"]


@dataclass(frozen=True)
class Place:
    """Where a debugger stands: before step `position` of the run on packet `packet`.

    `halted` says that a run stopped here: the next one must get past it.
    """

    packet: int
    position: int
    trace: Trace = field(repr=False)
    halted: bool = False

    @property
    def ended(self) -> bool:
        """Whether all steps have run."""
        return self.position == len(self.trace.steps)

    @property
    def fresh(self) -> bool:
        """Whether a run may stop right here: nothing has run yet, nor stopped here."""
        return self.position == 0 and not self.halted


@dataclass(frozen=True)
class Stop:
    """Where a command left off, and why; the state there.

    `moved` is how many steps forwards (or, negative, back) a `step` went; `accepted`
    and `rejected` count the packets that a `run` brought to their end; `logged` is what
    logpoints said on the way.
    """

    place: Place
    reason: str
    batch: PacketBatch = field(repr=False)
    moved: int = 0
    accepted: int = 0
    rejected: int = 0
    logged: tuple[str, ...] = ()

    @property
    def trace(self) -> Trace:
        """The whole run on this packet."""
        return self.place.trace

    @property
    def packet(self) -> int:
        """The packet's number, from 1."""
        return self.place.packet

    @property
    def position(self) -> int:
        """How many steps have run."""
        return self.place.position

    @property
    def ended(self) -> bool:
        """Whether all steps have run."""
        return self.place.ended

    @property
    def step(self) -> Step | None:
        """The step that runs next; None at the end."""
        return None if self.ended else self.trace.steps[self.position]

    @property
    def state(self) -> State:
        """The registers, as the next step finds them or as the last one left them."""
        step = self.step
        if step is not None:
            return step.before
        return self.trace.steps[-1].after if self.trace.steps else State()

    @property
    def ret(self) -> int | None:
        """The verdict, once all steps have run; None too where the run was stopped."""
        return self.trace.ret if self.ended else None


@dataclass(frozen=True)
class Said:
    """An answer in words; `code` says that it is a program's, not sentences."""

    words: str
    code: bool = False


@dataclass
class Tally:
    """What a run passes on its way: verdicts, and what logpoints say."""

    accepted: int = 0
    rejected: int = 0
    logged: list[str] = field(default_factory=list)

    def end(self, ret: int) -> None:
        """A packet has come to its end."""
        if ret:
            self.accepted += 1
        else:
            self.rejected += 1

    @property
    def ended(self) -> int:
        """How many packets have come to their end."""
        return self.accepted + self.rejected

    def words(self) -> str:
        """How many packets, and how many of them were accepted.

        >>> Tally(2, 1).words()
        '3 packets: 2 accepted, 1 rejected'
        """
        packets = count(self.ended, "packet")
        return f"{packets}: {self.accepted} accepted, {self.rejected} rejected"


def count(number: int, word: str) -> str:
    """A number with its noun."""
    return f"{number} {word}{'' if number == 1 else 's'}"
