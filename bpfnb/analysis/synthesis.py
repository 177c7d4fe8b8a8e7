"""A packet made for a program: one that it accepts, or rejects, or that gets somewhere.

    synthesize(program)                       the shortest packet that is accepted
    synthesize(program, reaches=7)            that comes to (007); ret=96: that gets this ret
    synthesize(program, layers="IP/TCP")      a whole one of these layers
    synthesize(program, like=packet)          the nearest to one that there is

What is made has been run.  Where there is none, that is proved, and the tests are named
that stand in the way.  What cannot be decided in time is an UndecidedError.

Left out: how packets come to look real (`sensible`), and laying it out (`views.made`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle
from typing import Any

from bpfnb.analysis.equivalence import LONGEST, unconfirmed
from bpfnb.analysis.proving.any_packet import AnyPacket
from bpfnb.analysis.proving.formula import Meaning, mean
from bpfnb.analysis.proving.goals import Goal, leading, pc_of
from bpfnb.analysis.proving.sensible import linktype_of, nearest, sensible, shortest
from bpfnb.analysis.proving.solve import SECONDS, Found, Search
from bpfnb.analysis.proving.terms import Condition, negated
from bpfnb.analysis.proving.usual import Usual, link_header, others, stack, usual
from bpfnb.analysis.proving.whole import layers as found_layers
from bpfnb.analysis.proving.whole import put_right
from bpfnb.cbpf.ancillary import BY_NAME, Ancillary, derive
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.disasm import text
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import BpfError, UndecidedError
from bpfnb.packets.linktype import EN10MB
from bpfnb.packets.packet import Packet
from bpfnb.packets.source import packets

__all__ = ["Goal", "Made", "made_packet", "synthesize"]

MOST_BLAMED = 3  # tests that are named
RAND = BY_NAME["rand"].k
NEVER = {"true": "never true", "false": "always true", "next": "always the end", "always": "dead"}


@dataclass(frozen=True)
class Made:
    """A packet that was made, or the proof that there is none; true or false as a condition.

    `packet` is None where there is none, and `blamed` the tests that stand in the way:
    those whose way there no packet takes.
    """

    goal: Goal = field(repr=False)
    packet: Packet | None
    sentence: str
    blamed: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.packet is not None

    @property
    def data(self) -> bytes:
        """The packet's bytes.  BpfError where there is none."""
        return self.there.data

    @cached_property
    def trace(self) -> Trace:
        """The program's run on it, by Linux's rules.  BpfError where there is none."""
        packet = self.there
        return trace(self.goal.program, packet.data, packet.wirelen, packet.ancillary)

    @property
    def there(self) -> Packet:
        """The packet, which must be there."""
        if self.packet is None:
            raise BpfError(self.sentence)
        return self.packet


def synthesize(
    program: Program,
    accept: bool | None = None,
    ret: int | None = None,
    reaches: int | str | None = None,
    like: Any = None,
    layers: Any = None,
    max_len: int = LONGEST,
    rules: str = "linux",
    seconds: float = SECONDS,
) -> Made:
    """Make a packet: accepted, unless a `ret` or a pc or label that it `reaches` is asked for.

    It is the shortest there is, its bytes as in usual packets.  With `like`, a packet of
    any kind, it is the nearest to that, no shorter; with `layers`, names ("IP/TCP") or
    scapy's, it has these, whole.  `max_len` is its greatest length, `rules` says whose
    machine runs it.  Raises UndecidedError after `seconds`, CheckError for a program that
    the rules refuse.

    >>> arp = Program.from_insns([(40, 0, 0, 12), (21, 0, 1, 0x806), (6, 0, 0, 9), (6, 0, 0, 0)])
    >>> made = synthesize(arp)
    >>> made.data.hex(), made.sentence
    ('00005e00530200005e0053010806', 'this packet of 14 bytes is accepted; no shorter one is')
    >>> print(synthesize(arp, ret=7).sentence)
    no packet of up to 262,144 bytes gets ret 7
    """
    if accept is None and ret is None and reaches is None:
        accept = True
    goal = Goal(program, accept, ret, pc_of(program, reaches), max_len, rules)
    about = AnyPacket(max_len)
    search = Search(about, seconds)
    meaning = mean(program, about, rules, search.deadline)
    return Maker(goal, search, meaning).made(like, layers)


class Maker:
    """Makes one packet."""

    def __init__(self, goal: Goal, search: Search, meaning: Meaning) -> None:
        self.goal, self.search, self.meaning = goal, search, meaning
        self.conditions = goal.conditions(meaning)
        self.linktype = linktype_of([goal.program])

    def made(self, like: Any, layers: Any) -> Made:
        """The packet, as it was asked for."""
        if layers is not None:
            return self.layered(*self.stacked(layers))
        if like is not None:
            return self.near(one_packet(like, self.goal.program.linktype))
        return self.least()

    def least(self) -> Made:
        """The shortest."""
        found = shortest(self.search, self.conditions, [self.goal.program], self.linktype)
        if found is None:
            return self.impossible(self.goal)
        verb = "is" if self.goal.accept is not None else "does"
        said = f"this packet of {plural(len(found.data))} {self.goal.words}; no shorter one {verb}"
        return self.confirmed(self.goal, found, said)

    def near(self, like: Packet) -> Made:
        """The nearest to a packet."""
        goal = replace(self.goal, like=like)
        linktype = self.linktype if like.linktype is None else like.linktype
        asked = self.search, self.conditions, [goal.program], linktype
        found = sensible(*asked, like=like.data) if like.data else shortest(*asked)
        if found is None:
            return self.impossible(goal)
        changed = sum(a != b for a, b in zip(found.data, like.data, strict=False))
        said = f"this packet of {plural(len(found.data))} {goal.words}"
        if found.data == like.data:
            said += ", as it was given"
        elif changed:
            said += f"; {plural(changed)} of it {'is' if changed == 1 else 'are'} changed"
        return self.confirmed(goal, found, said, linktype)

    def stacked(self, layers: Any) -> tuple[list[Usual], int]:
        """Packets of the layers that were given, and their link type."""
        linktype = EN10MB if self.linktype is None else self.linktype
        if isinstance(layers, str):
            plain = Usual(layers, stack(layers, linktype))
            return [
                plain,
                *(each for each in others(plain, linktype) if "fragment" not in each.layers),
            ], linktype
        packet = one_packet(layers, None)
        data, kind = packet.data, packet.linktype
        if kind is not None and kind != linktype:
            version = "IPv6" if data[:1] and data[0] >> 4 == 6 else "IP"
            data = put_right(link_header(linktype, version) + data, linktype)
        names = "/".join(each.row.name for each in found_layers(data, linktype))
        return [Usual(names, data)], linktype

    def layered(self, kinds: list[Usual], linktype: int) -> Made:
        """A whole packet of these layers."""
        goal = replace(self.goal, layers=kinds[0].layers)
        asked = self.search, self.conditions, [goal.program], linktype, kinds
        found = nearest(*asked, rigid=True)
        if found is None:
            return self.impossible(goal)
        said = f"this packet of {plural(len(found.data))}, {goal.layers}, {goal.words}"
        return self.confirmed(goal, found, said, linktype)

    def confirmed(
        self, goal: Goal, found: Found, sentence: str, linktype: int | None = None
    ) -> Made:
        """What was found, after it has been run; of extensions that nobody knows, by trying."""
        linktype = self.linktype if linktype is None else linktype
        if goal.met(made_packet(found, linktype, goal.program)):
            return Made(goal, made_packet(found, linktype, goal.program), sentence)
        guessed = self.search.about.guessed
        kind = EN10MB if linktype is None else linktype
        for each in usual(kind) if guessed and goal.like is None and not goal.layers else ():
            packet = Packet(each.data, linktype=kind)
            if goal.met(packet):
                return Made(goal, packet, f"this packet of {plural(len(packet))} {goal.words}")
        raise unconfirmed(self.search.about)

    def impossible(self, goal: Goal) -> Made:
        """That there is none, and the tests that are to blame."""
        if goal.layers:
            said = f"no {goal.layers} packet of up to {goal.max_len:,} bytes {goal.words}"
            return Made(goal, None, f"{said}; options of other lengths were not tried")
        said = f"no packet of up to {goal.max_len:,} bytes {goal.words}"
        try:
            ends = self.dead_ends()
        except UndecidedError:
            ends = []  # the proof stands without a reason
        if 0 < len(ends) <= MOST_BLAMED:
            said += f": {' and '.join(each for _, each in ends)}"
        return Made(goal, None, said, tuple(dict.fromkeys(pc for pc, _ in ends)))

    def dead_ends(self) -> list[tuple[int, str]]:
        """The instructions that packets come to, but leave on no way that leads to the goal."""
        program, live, ends = self.goal.program, {0}, []
        wanted = leading(program, self.goal.places())
        for pc in range(len(program)):
            for target, kind in successors(program.insns, pc) if pc in live else ():
                if target not in wanted or self.search.model(self.way(pc, kind)) is not None:
                    live.add(target)
                else:
                    ends.append((pc, f"({pc:03d}) {words(program, pc)} is {NEVER[kind]}"))
        return ends

    def way(self, pc: int, kind: str) -> list[Condition]:
        """What a packet meets that leaves an instruction on this way."""
        here = [self.meaning.reached[pc]]
        if kind in ("true", "false"):
            way = self.meaning.ways[pc]
            here.append(way if kind == "true" else negated(way))
        elif kind == "next":
            here += [negated(end.when) for end in self.meaning.ends if end.pc == pc]
        return here


def words(program: Program, pc: int) -> str:
    """A test as it is written: jeq #0x806."""
    line = text(Program(program.insns)).splitlines()[pc]
    return " ".join(line.split()[1:3])


def one_packet(given: Any, linktype: int | None) -> Packet:
    """The one packet that is meant."""
    batch = packets(given)
    if len(batch) != 1:
        raise BpfError(f"one packet is wanted here, not {len(batch)}")
    batch = batch if linktype is None else batch.with_default_linktype(linktype)
    if linktype is not None:
        batch.require_linktype(linktype)
    return batch[0]


def made_packet(found: Found, linktype: int | None, program: Program) -> Packet:
    """What was found, as a packet; with notes where the program asks for some.

    The random numbers begin again with each run of the program.
    """
    notes: Ancillary | None = found.ancillary
    if notes is not None:
        steps = found.trace(program).steps if found.draws else ()
        draws = found.draws[: sum(each.insn.k == RAND for each in steps)] or (0,)
        random = cycle(draws).__next__
        notes = replace(derive(found.data, linktype), **dict(found.notes), random=random)
    return Packet(found.data, found.wirelen, notes, linktype)


def plural(size: int) -> str:
    """So many bytes."""
    return f"{size:,} byte{'' if size == 1 else 's'}"
