"""Asking z3 for a packet: the shortest one that meets a condition, really run.

    search = Search(AnyPacket(1500), seconds=10)
    search.packet([condition], programs)     a Found, None where there is none

`None` is a proof that no packet up to the greatest length meets the conditions.  A
packet that is found is as short as can be, and plain: as many bytes on the wire as
captured, the notes of a packet without any, like a given one where that can be, 0 in
each byte that no program reads.  An answer that is not there in time is an
UndecidedError, never a guess.

Left out: what is asked (`equivalence`, `synthesis`), and which packets look real
(`templates_of`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from bpfnb.analysis.proving.any_packet import NOTES, AnyPacket
from bpfnb.analysis.proving.terms import Condition, term, truth, z3
from bpfnb.cbpf.ancillary import UNIX_SOCKET, Ancillary
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import UndecidedError

__all__ = ["SECONDS", "Found", "Search"]

SECONDS = 10.0  # how long a question may take
# A question is first asked without a clock, which would cost more than most answers do.
EFFORT, NO_CLOCK = 500_000, 0xFFFFFFFF
DRAWS = 16  # random numbers that a packet comes with
NOTE_OF = {name: attribute for name, (attribute, _) in NOTES.items()}
ABSENT = object()  # no field of Ancillary


@dataclass(frozen=True)
class Found:
    """A packet: its bytes, its length on the wire, and what the kernel would know of it.

    `notes` are fields of Ancillary that a program asked for, by name; `draws` the
    random numbers, in order.
    """

    data: bytes
    wirelen: int
    notes: tuple[tuple[str, Any], ...] = ()
    draws: tuple[int, ...] = ()

    @property
    def ancillary(self) -> Ancillary | None:
        """The notes, None where no program asks for any; each time with the first draw next."""
        if not self.notes and not self.draws:
            return None
        return Ancillary(**dict(self.notes), random=cycle(self.draws or (0,)).__next__)

    def trace(self, program: Program) -> Trace:
        """A program's run on it."""
        return trace(program, self.data, self.wirelen, self.ancillary)

    def places(self, programs: Sequence[Program]) -> set[int]:
        """The offsets of all bytes that programs read of it."""
        return {
            at
            for program in programs
            for step in self.trace(program).steps
            for each in step.reads
            for at in range(each.offset, each.offset + each.size)
        }


class Search:
    """Questions about one AnyPacket, all of them within `seconds`."""

    def __init__(self, about: AnyPacket, seconds: float = SECONDS) -> None:
        self.about = about
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.solver = z3.SolverFor("QF_AUFBV")
        self.told = 0
        self.kept: dict[str, dict[Any, Any]] = {}  # terms that others make once for all questions

    def model(self, conditions: Sequence[Condition], *wishes: Condition) -> Any:
        """A model of all of it, None where it contradicts itself."""
        given = self.about.given
        self.solver.add(*given[self.told :])
        self.told = len(given)
        asked = list(map(truth, [*conditions, *wishes]))
        answer = z3.unknown
        if time.monotonic() < self.deadline:
            self.solver.set("timeout", NO_CLOCK, "rlimit", EFFORT)
            answer = self.solver.check(*asked)
        left = self.deadline - time.monotonic()
        if answer == z3.unknown and left > 0:
            self.solver.set("timeout", max(int(1000 * left), 1), "rlimit", 0)
            answer = self.solver.check(*asked)
        if answer == z3.sat:
            return self.solver.model()
        if answer == z3.unsat:
            return None
        raise UndecidedError(
            f"not decided within {self.seconds:g} s", "give it more time: seconds=60"
        )

    def packet(
        self, conditions: Sequence[Condition], programs: Sequence[Program], like: bytes = b""
    ) -> Found | None:
        """The shortest packet that meets the conditions; in it, as much of `like` as can be."""
        model = self.model(conditions)
        if model is None:
            return None
        length = self.shortest(conditions, self.number(model, self.about.caplen))
        return self.of_length(length, conditions, programs, like)

    def of_length(
        self, length: int, conditions: Sequence[Condition], programs: Sequence[Program], like: bytes
    ) -> Found | None:
        """A plain packet of `length` bytes, None where there is none."""
        fixed = [*conditions, self.about.caplen == length]
        if self.model(fixed) is None:
            return None
        for wish in self.plain():
            if self.model(fixed, wish) is not None:
                fixed.append(wish)
        fixed += self.nearest(fixed, like[:length])
        found = self.read(self.model(fixed), length)
        # What these read is not noted as read.
        return found if self.about.guessed else without_unread(found, programs, like)

    def shortest(self, conditions: Sequence[Condition], longest: int) -> int:
        """The least length, where one of `longest` is known to do."""
        low, high = 0, longest
        while low < high:
            middle = (low + high) // 2
            model = self.model(conditions, z3.ULE(self.about.caplen, middle))
            if model is None:
                low = middle + 1
            else:
                high = self.number(model, self.about.caplen)
        return low

    def plain(self, usual: Ancillary = UNIX_SOCKET) -> Iterator[Condition]:
        """What a packet should be, if nothing speaks against it: with such notes."""
        yield self.about.wirelen == self.about.caplen
        for name, known in list(self.about.notes.items()):
            absent = name.startswith("no ")
            name = name.removeprefix("no ")
            value = getattr(usual, NOTE_OF.get(name, name), ABSENT)
            if absent:
                yield known == (value is None)
            elif isinstance(value, int):
                yield known == value
        if self.about.draws:  # all the same, so that it does not matter who draws first
            yield z3.And(*(self.draw(at) == self.draw(0) for at in range(1, DRAWS)))

    def draw(self, at: int) -> Any:
        """A random number that a packet comes with."""
        return z3.Select(self.about.random, term(at))

    def nearest(self, fixed: Sequence[Condition], like: bytes) -> list[Condition]:
        """Wishes for bytes as they are in `like`, as many as go together."""
        wishes = [self.about.number(term(at), 1) == byte for at, byte in enumerate(like)]
        kept, dropped = wishes, []
        while kept and self.model(fixed, *kept) is None:
            core = {each.get_id() for each in self.solver.unsat_core()}
            blamed = [each for each in kept if each.get_id() in core]
            if not blamed:
                return []
            dropped += blamed
            kept = [each for each in kept if each.get_id() not in core]
        for wish in dropped:
            if self.model(fixed, *kept, wish) is not None:
                kept = [*kept, wish]
        return kept

    def number(self, model: Any, word: Any) -> int:
        """A word in a model."""
        return int(model.eval(word, model_completion=True).as_long())

    def read(self, model: Any, length: int) -> Found:
        """The packet that a model is."""
        data = bytes(self.number(model, z3.Select(self.about.bytes, at)) for at in range(length))
        notes: dict[str, Any] = {}
        for name, known in self.about.notes.items():
            attribute = NOTE_OF.get(name, name)
            if name.startswith("no "):
                if z3.is_true(model.eval(known, model_completion=True)):
                    notes[NOTE_OF.get(name[3:], name[3:])] = None
            elif attribute in Ancillary.__dataclass_fields__:
                notes.setdefault(attribute, self.number(model, known))
        draws = [self.number(model, self.draw(at)) for at in range(DRAWS)]
        return Found(
            data,
            self.number(model, self.about.wirelen),
            tuple(sorted(notes.items())),
            tuple(draws) if self.about.draws else (),
        )


def without_unread(found: Found, programs: Sequence[Program], like: bytes) -> Found:
    """The packet with 0, or what stands in `like`, in each byte that no program reads."""
    read = found.places(programs)
    plain = like[: len(found.data)].ljust(len(found.data), b"\0")
    data = bytes(
        byte if at in read else other
        for at, (byte, other) in enumerate(zip(found.data, plain, strict=True))
    )
    return Found(data, found.wirelen, found.notes, found.draws)
