"""Whether two programs mean the same: a proof, or a packet on which they differ.

    equivalent(p, q)                     same ret on every packet
    equivalent(p, q, same="kept")        as many bytes of the packet kept
    equivalent(p, q, same="verdict")     same accept or reject
    equivalent(p, q, complete=True)      where neither ends in a load past the end
    equivalent(p, q, given=arp)          on the packets that a third filter accepts

The difference of two formulas is asked for; no packet has it, or one is shown, which
looks real if it can and has been run on both.  What cannot be decided is an UndecidedError.

Left out: laying it out (`views.proof`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from bpfnb.analysis.proving.any_packet import AnyPacket
from bpfnb.analysis.proving.formula import Meaning, mean
from bpfnb.analysis.proving.sensible import sensible, shortest
from bpfnb.analysis.proving.solve import SECONDS, Found, Search
from bpfnb.analysis.proving.terms import (
    Condition,
    Word,
    all_of,
    any_of,
    choose,
    compared,
    differ,
    negated,
)
from bpfnb.analysis.sameness import Same, tells_apart
from bpfnb.backends import run_many
from bpfnb.cbpf import machine
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.source import did_you_mean
from bpfnb.cbpf.trace import Trace
from bpfnb.errors import BpfError, UndecidedError
from bpfnb.packets.packet import Packet, PacketBatch

__all__ = ["LONGEST", "Counterexample", "Proof", "Question", "equivalent"]

LONGEST = 262_144  # bytes of a packet: what tcpdump takes of one


@dataclass(frozen=True)
class Question:
    """What is asked: two programs, what must be the same, and on which packets.

    `same` is "ret", "kept" or "verdict"; `given` a filter that accepts the packets that matter;
    `complete` leaves those out on which a program ends in a load past the end; `max_len`
    is a packet's greatest length, `rules` says whose machine it is.
    """

    p: Program
    q: Program
    same: Same = "ret"
    given: Program | None = None
    complete: bool = False
    max_len: int = LONGEST
    rules: str = "linux"

    def __post_init__(self) -> None:
        ways = get_args(Same)
        if self.same not in ways:
            hint = did_you_mean(str(self.same), ways) or f"it is one of {', '.join(ways)}"
            raise BpfError(f"same is {self.same!r}, which says nothing here", hint)

    @property
    def programs(self) -> tuple[Program, ...]:
        """All programs there are."""
        return (self.p, self.q) if self.given is None else (self.p, self.q, self.given)


@dataclass(frozen=True)
class Proof:
    """No packet tells the programs apart.  True where a condition is wanted."""

    question: Question

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True)
class Counterexample:
    """A packet that tells the programs apart.  False where a condition is wanted.

    `rets` are both verdicts on it, as the machine gave them.
    """

    question: Question
    found: Found
    rets: tuple[int, int]

    def __bool__(self) -> bool:
        return False

    @property
    def traces(self) -> tuple[Trace, Trace]:
        """Both runs."""
        return self.found.trace(self.question.p), self.found.trace(self.question.q)


def equivalent(
    question: Question, seconds: float = SECONDS, like: bytes = b"", short: bool = False
) -> Proof | Counterexample:
    """Decide whether two programs mean the same.

    A counterexample is a whole, sensible packet if one tells them apart, or the nearest to
    the bytes `like`; with `short`, the shortest there is.  Raises UndecidedError when it is
    not decided within `seconds`, CheckError for a program that the rules refuse.

    >>> ip, arp = (Program.from_insns([(40, 0, 0, 12), (21, 0, 1, k), (6, 0, 0, 1), (6, 0, 0, 0)])
    ...            for k in (0x800, 0x806))
    >>> bool(equivalent(Question(ip, ip))), len(equivalent(Question(ip, arp)).found.data)
    (True, 54)
    >>> len(equivalent(Question(ip, arp), short=True).found.data)
    14
    """
    about = AnyPacket(question.max_len)
    search = Search(about, seconds)
    meanings = [mean(each, about, question.rules, search.deadline) for each in question.programs]
    asked = search, conditions(question, meanings, about.caplen), question.programs
    found = shortest(*asked) if short else sensible(*asked, like=like)
    if found is None:
        return Proof(question)
    p, q, *given = (run(each, found, question.rules) for each in question.programs)
    if not tells_apart(question.same, p, q, len(found.data)) or not all(given):
        raise unconfirmed(about)
    return Counterexample(question, found, (p, q))


def conditions(question: Question, meanings: Sequence[Meaning], caplen: Word) -> list[Condition]:
    """What a packet meets that tells the programs apart."""
    p, q, *given = meanings
    both = p.accepts, q.accepts
    apart = any_of(all_of(both[0], negated(both[1])), all_of(negated(both[0]), both[1]))
    if question.same == "ret":
        apart = differ(p.ret, q.ret)
    elif question.same == "kept":
        apart = any_of(apart, differ(kept(p, caplen), kept(q, caplen)))
    whole = [negated(each.fails) for each in (p, q)] if question.complete else []
    return [apart, *whole, *(each.accepts for each in given)]


def kept(meaning: Meaning, caplen: Word) -> Word:
    """How many bytes a ret keeps of a packet."""
    return choose(compared("jgt", meaning.ret, caplen), caplen, meaning.ret)


def run(program: Program, found: Found, rules: str) -> int:
    """The verdict on a packet that was found, from the machine itself."""
    if rules == "linux":
        return machine.run(program, found.data, found.wirelen, found.ancillary)
    packet = Packet(found.data, found.wirelen, found.ancillary)
    return int(run_many(program, PacketBatch.of([packet]), rules)[0])


def unconfirmed(about: AnyPacket) -> UndecidedError:
    """The error of a packet that does not do it when it is run."""
    if about.guessed:
        names = ", ".join(sorted(about.guessed))
        return UndecidedError(f"not decided: it depends on what {names} reads, which is not known")
    return UndecidedError("not decided: formula and machine disagree on the packet that was found")
