"""Packets that take every branch of a program: a test set by construction.

    covering_packets(program)      both ways of each test, each ret, each load past the end …

Usual packets are run first, since what they take need not be searched.  For every branch
that is left z3 makes a packet, or proves that none takes it; each new packet is run, and
all that it takes is crossed off.  Of the packets those are kept that are needed, chosen
greedily: few, not always the fewest.

Left out: making one packet (`synthesis`), and laying all out (`views.made`).

Source: V. Chvátal, *A Greedy Heuristic for the Set-Covering Problem*, 1979.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

from bpfnb.analysis.equivalence import LONGEST
from bpfnb.analysis.proving.any_packet import DEVICE, AnyPacket
from bpfnb.analysis.proving.formula import Meaning, mean
from bpfnb.analysis.proving.sensible import linktype_of, nearest, sensible, shortest
from bpfnb.analysis.proving.solve import SECONDS, Search
from bpfnb.analysis.proving.terms import Condition, all_of, any_of, negated
from bpfnb.analysis.proving.usual import Usual, usual
from bpfnb.analysis.synthesis import made_packet
from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import UndecidedError
from bpfnb.packets.linktype import EN10MB
from bpfnb.packets.packet import Packet

__all__ = ["Branch", "Covering", "branches", "covering_packets", "taken"]

Way = Literal["true", "false", "ret", "load", "division", "device"]
RELATIVES = 3  # packets that another is made from
SHARE = 0.5  # of the time, that is spent on packets that look real


@dataclass(frozen=True, order=True)
class Branch:
    """One way on from an instruction, or one end of the program there.

    `way` is "true" or "false" for a test; "ret"; "load" for one past the packet's end,
    "division" for one by X = 0, "device" for an extension of a device that is not there.
    """

    pc: int
    way: Way

    def __str__(self) -> str:
        return f"({self.pc:03d}) {WORDS[self.way]}"


WORDS: dict[str, str] = {
    "true": "true",
    "false": "false",
    "ret": "ret",
    "load": "past the end",
    "division": "by zero",
    "device": "no device",
}


@dataclass(frozen=True)
class Covering(Sequence[Packet]):
    """Packets that together take every branch that can be taken; a sequence of them.

    `takes[i]` are the branches of packet i, `untaken` those that no packet of up to
    `max_len` bytes takes, which is proved, `undecided` those that are open, for `reason`.
    """

    program: Program = field(repr=False)
    packets: tuple[Packet, ...]
    takes: tuple[frozenset[Branch], ...] = field(repr=False)
    untaken: tuple[Branch, ...] = field(default=(), repr=False)
    undecided: tuple[Branch, ...] = field(default=(), repr=False)
    max_len: int = LONGEST
    reason: str = ""

    @property
    def taken(self) -> tuple[Branch, ...]:
        """All branches that some packet takes."""
        return tuple(sorted(frozenset().union(*self.takes)))

    def new(self, index: int) -> tuple[Branch, ...]:
        """The branches that a packet takes, and none before it."""
        before = frozenset().union(*self.takes[:index])
        return tuple(sorted(self.takes[index] - before))

    def __len__(self) -> int:
        return len(self.packets)

    @overload
    def __getitem__(self, index: int) -> Packet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Packet]: ...
    def __getitem__(self, index: int | slice) -> Packet | Sequence[Packet]:
        return self.packets[index]

    @property
    def sentence(self) -> str:
        """First the answer."""
        many = "1 packet takes" if len(self) == 1 else f"{len(self)} packets take"
        count = len(self.taken)
        every = count + len(self.untaken) + len(self.undecided)
        if count == every:
            return f"{many} {f'all {every} branches' if every > 1 else 'the only branch'}"
        said = f"{many} {count} of {every} branches"
        if self.untaken:
            said += f"; no packet of up to {self.max_len:,} bytes takes {len(self.untaken)}"
        if self.undecided:
            said += f"; {len(self.undecided)} not decided {self.reason}"
        return said


def covering_packets(
    program: Program,
    max_len: int = LONGEST,
    seconds: float = SECONDS,
    linktype: int | None = None,
) -> Covering:
    """Packets that together take every branch of a program, by Linux's rules.

    `linktype` says what usual packets look like where the program does not.  Raises
    CheckError for a program that is not legal; what is not decided within `seconds` is
    named in `undecided`.

    >>> arp = Program.from_insns([(40, 0, 0, 12), (21, 0, 1, 0x806), (6, 0, 0, 9), (6, 0, 0, 0)])
    >>> covering = covering_packets(arp)
    >>> [len(each) for each in covering], [str(each) for each in covering.new(2)]
    ([54, 42, 0], ['(000) past the end'])
    """
    linktype = linktype_of([program]) if linktype is None else linktype
    search = Search(AnyPacket(max_len), seconds)
    wanted, late = branches(program), f"within {seconds:g} s"
    try:
        meaning = mean(program, search.about, deadline=search.deadline)
    except UndecidedError:
        return Covering(program, (), (), (), wanted, max_len, late)
    guessed = ", ".join(sorted(search.about.guessed))
    if guessed and linktype is None:
        linktype = EN10MB  # what these extensions find in usual packets is known at least
    gathering = Gathering(program, meaning, search, linktype)
    for each in usual(linktype):
        if len(each.data) <= max_len:
            gathering.add(Packet(each.data, linktype=linktype))
    untaken, undecided = gathering.complete(wanted)
    packets, takes = gathering.needed()
    reason = f"where it depends on what {guessed} reads" if guessed else late
    return Covering(program, packets, takes, untaken, undecided, max_len, reason)


def branches(program: Program) -> tuple[Branch, ...]:
    """All branches that a program has as it is written, whether they can be taken or not."""
    return tuple(Branch(pc, way) for pc, insn in enumerate(program.insns) for way in ways_of(insn))


def ways_of(insn: Insn) -> Iterator[Way]:
    """The branches of one instruction."""
    row = BY_CODE[insn.code]
    if row.cls is Class.RET:
        yield "ret"
    elif row.form.jumps and insn.jt != insn.jf:
        yield "true"
        yield "false"
    elif row.form is Form.ABS and insn.k in BY_K:
        if BY_K[insn.k].name in DEVICE:
            yield "device"
    elif row.size:
        yield "load"
    elif row.mnemonic in ("div", "mod") and row.form is not Form.IMM:
        yield "division"


def taken(run: Trace) -> frozenset[Branch]:
    """The branches that a run took.

    >>> run = trace(Program.from_insns([(21, 0, 1, 0), (6, 0, 0, 1), (6, 0, 0, 0)]), b"")
    >>> [str(each) for each in sorted(taken(run))]
    ['(000) true', '(001) ret']
    """
    found = set()
    for step in run.steps:
        insn, row = step.insn, BY_CODE[step.insn.code]
        if row.form.jumps and insn.jt != insn.jf:
            found.add(
                Branch(step.pc, "true" if step.after.pc == step.pc + 1 + insn.jt else "false")
            )
    last = run.steps[-1]
    row = BY_CODE[last.insn.code]
    end: Way = "device"
    if row.cls is Class.RET:
        end = "ret"
    elif last.missed is not None:
        end = "load"
    elif row.cls is Class.ALU:
        end = "division"
    return frozenset(found | {Branch(last.pc, end)})


class Gathering:
    """Packets found so far, and what they take."""

    def __init__(
        self, program: Program, meaning: Meaning, search: Search, linktype: int | None
    ) -> None:
        self.program, self.meaning = program, meaning
        self.search, self.linktype = search, linktype
        self.found: dict[Packet, frozenset[Branch]] = {}
        self.reach: dict[int, list[bytes]] = {}  # packets that come to a pc, the first few
        self.plain_until = time.monotonic() + SHARE * search.seconds

    def add(self, packet: Packet) -> frozenset[Branch]:
        """One more packet, run; what it takes."""
        run = trace(self.program, packet.data, packet.wirelen, packet.ancillary)
        self.found[packet] = taken(run)
        for pc in run.path:
            known = self.reach.setdefault(pc, [])
            if len(known) < RELATIVES:
                known.append(packet.data)
        return self.found[packet]

    def complete(self, wanted: Iterable[Branch]) -> tuple[tuple[Branch, ...], tuple[Branch, ...]]:
        """Search packets for all branches; those that none takes, and those not decided."""
        left = set(wanted) - frozenset().union(*self.found.values())
        untaken, undecided = [], []
        while left:
            # First those that some packet is near to; of these the last, since who comes to
            # it takes most others.
            branch = max(left, key=lambda each: (each.pc in self.reach, each))
            left.discard(branch)
            try:
                packet = self.packet_for(branch)
            except UndecidedError:
                undecided.append(branch)
                continue
            if packet is None:
                untaken.append(branch)
                continue
            takes = self.add(packet)
            if branch not in takes:  # an extension answers otherwise than was guessed
                undecided.append(branch)
            left -= takes
        covered = frozenset().union(*self.found.values())
        return tuple(sorted(untaken)), tuple(sorted(set(undecided) - covered))

    def packet_for(self, branch: Branch) -> Packet | None:
        """A packet that takes a branch; None where none does."""
        wanted, programs = [self.condition(branch)], [self.program]
        if self.search.model(wanted) is None:
            return None
        found = None
        if time.monotonic() < self.plain_until:
            kinds = [Usual("", data) for data in self.reach.get(branch.pc, ())]
            asked = self.search, wanted, programs, self.linktype
            if branch.way == "load":
                found = shortest(*asked, kinds or None)
            else:
                found = (nearest(*asked, kinds) if kinds else None) or sensible(*asked)
        found = found or self.search.packet(wanted, programs)
        return None if found is None else made_packet(found, self.linktype, self.program)

    def condition(self, branch: Branch) -> Condition:
        """What a packet meets that takes a branch."""
        pc, way = branch.pc, branch.way
        if way in ("true", "false"):
            test = self.meaning.ways.get(pc, False)
            holds = test if way == "true" else negated(test)
            return all_of(self.meaning.reached[pc], holds)
        ends = self.meaning.ends
        return any_of(*(end.when for end in ends if (end.pc, end.kind) == (pc, way)))

    def needed(self) -> tuple[tuple[Packet, ...], tuple[frozenset[Branch], ...]]:
        """The packets that take all there is to take, the one that takes most first."""
        left = set(frozenset().union(*self.found.values()))
        chosen: list[Packet] = []
        while left:
            best = max(self.found, key=lambda packet: len(self.found[packet] & left))
            chosen.append(best)
            left -= self.found[best]
        for packet in chosen[::-1]:  # one that later ones made unneeded
            others = [self.found[each] for each in chosen if each is not packet]
            if self.found[packet] <= frozenset().union(*others):
                chosen.remove(packet)
        return tuple(chosen), tuple(self.found[each] for each in chosen)
