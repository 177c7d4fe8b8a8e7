"""Which bytes of a packet a program reads: can read, did read, and how often.

"Can" is told from the loads at constant offsets that some path reaches; where a
load's offset hangs on X, or on where the network header is, nothing is known
until it runs.  "Did" and "how often" are told from traces.
Left out: what the bytes are called (`packets.fields`) and showing it (`packet`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bpfnb.cbpf.ancillary import BY_K, LL_OFF
from bpfnb.cbpf.cfg import graph
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Read, Trace

__all__ = ["Reads", "reads"]

Pcs = Mapping[int, tuple[int, ...]]
FARTHEST = 0x10000  # offsets beyond this are in no packet that is shown


@dataclass(frozen=True)
class Reads:
    """A program's reads.

    `can[k]` are the pcs of the loads at constant offsets that read byte k;
    `did[k]` the pcs that read it on this packet; `seen[k]` those that did on
    any of `packets` packets, and `times[k]` on how many.  `unsettled` are the
    pcs of loads whose offset is known only when they run; `missed` is the load
    that ended the run, with its pc.  `ran` says whether there was a run.
    """

    can: Pcs = field(default_factory=dict)
    did: Pcs = field(default_factory=dict)
    seen: Pcs = field(default_factory=dict)
    times: Mapping[int, int] = field(default_factory=dict)
    packets: int = 0
    unsettled: tuple[int, ...] = ()
    missed: tuple[int, Read] | None = None
    ran: bool = False

    @property
    def places(self) -> frozenset[int]:
        """All bytes that are read here, elsewhere, or could be."""
        return frozenset({*self.can, *self.did, *self.seen})

    def by(self, k: int) -> tuple[int, ...]:
        """The pcs that can read byte k, or did."""
        return tuple(
            sorted({pc for each in (self.can, self.did, self.seen) for pc in each.get(k, ())})
        )


def reads(program: Program, trace: Trace | None = None, others: Iterable[Trace] = ()) -> Reads:
    """What a program reads: `trace` is of the packet shown, `others` of all packets.

    >>> ldh = Program.from_insns([(0x28, 0, 0, 12), (0x48, 0, 0, 14), (6, 0, 0, 0)])
    >>> reads(ldh).can, reads(ldh).unsettled
    ({12: (0,), 13: (0,)}, (1,))
    """
    can, unsettled = loads(program)
    missed = None
    if trace is not None and trace.steps and trace.steps[-1].missed is not None:
        missed = (trace.steps[-1].pc, trace.steps[-1].missed)
    times: Counter[int] = Counter()
    seen: dict[int, set[int]] = {}
    packets = 0
    for packets, each in enumerate(others, 1):  # noqa: B007  # their number is wanted
        read = by_byte(each)
        times.update(read.keys())
        for k, pcs in read.items():
            seen.setdefault(k, set()).update(pcs)
    return Reads(
        can,
        settled(by_byte(trace)) if trace is not None else {},
        settled(seen),
        times,
        packets,
        unsettled,
        missed,
        trace is not None,
    )


def by_byte(trace: Trace) -> dict[int, set[int]]:
    """The bytes that a run read, each with the pcs that did."""
    found: dict[int, set[int]] = {}
    for step in trace.steps:
        for read in step.reads:
            for k in span(read):
                found.setdefault(k, set()).add(step.pc)
    return found


def settled(found: Mapping[int, Iterable[int]]) -> Pcs:
    """The same in order."""
    return {k: tuple(sorted(found[k])) for k in sorted(found)}


def loads(program: Program) -> tuple[Pcs, tuple[int, ...]]:
    """Byte by byte, the loads at constant offsets that some path reaches; and the other loads."""
    can: dict[int, tuple[int, ...]] = {}
    unsettled = []
    cfg = graph(program)
    for pc in (pc for index in sorted(cfg.reachable) for pc in cfg.blocks[index].pcs):
        insn = program.insns[pc]
        row = BY_CODE.get(insn.code)
        if row is None or not row.size or (row.form is Form.ABS and insn.k in BY_K):
            continue
        if row.form is Form.IND or insn.k >= LL_OFF:
            unsettled.append(pc)
        elif insn.k < FARTHEST:
            for k in span(Read(insn.k, row.size)):
                can[k] = (*can.get(k, ()), pc)
    return can, tuple(unsettled)


def span(read: Read) -> range:
    """The offsets of a read's bytes."""
    return range(read.offset, read.offset + read.size)
