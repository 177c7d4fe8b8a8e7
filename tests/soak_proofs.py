"""Every proof about the corpus against runs: branches, lengths, mutations.  Run by hand:

    python -m tests.soak_proofs

For each expression of tests/expressions libpcap's optimised program is proved to mean what
the unoptimised one means (where neither ends in a load past the end, for the few that
differ there).  Then both run on packets that must not tell them apart: those that take each
branch of either, each of these cut off at every length around every load, and ten thousand
mutations of them, whose bytes are often the numbers that the programs compare with.

A wrong encoding may prove what is not so; it has no hand in what these runs give.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bpfnb.analysis.covering import covering_packets
from bpfnb.analysis.equivalence import Counterexample, Proof, Question, equivalent
from bpfnb.backends import run_many
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import ExpressionError
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.pcap import compile_filter
from tests.test_expressions import CORPUS

MUTATIONS = 10_000
AROUND = (-2, -1, 0, 1)  # bytes beyond a load's last one
SEED = 1993


@dataclass(frozen=True)
class Pair:
    """Two programs that are to mean the same, by name."""

    name: str
    p: Program
    q: Program


def pairs(every: int = 1, largest: int = 1 << 16) -> Iterator[Pair]:
    """Both programs of every so manieth expression of the corpus; none longer than `largest`."""
    for linktype, expression in CORPUS[::every]:
        try:
            p, q = (
                compile_filter(expression, linktype, netmask=0, optimize=optimize)
                for optimize in (True, False)
            )
        except ExpressionError:
            continue
        if not check(p) and not check(q) and max(len(p), len(q)) <= largest:
            yield Pair(f"{linktype}: {expression}", p, q)


def proved(pair: Pair) -> Proof | None:
    """The proof that two programs mean the same; with "complete" where that is needed."""
    question = Question(pair.p, pair.q)
    answer = equivalent(question)
    if isinstance(answer, Counterexample):
        answer = equivalent(Question(pair.p, pair.q, complete=True))
    return answer if isinstance(answer, Proof) else None


def branches(programs: Sequence[Program]) -> list[Packet]:
    """The packets that take each branch of each program."""
    return list(dict.fromkeys(packet for each in programs for packet in covering_packets(each)))


def run(program: Program, packet: Packet) -> Trace:
    return trace(program, packet.data, packet.wirelen, packet.ancillary)


def with_data(packet: Packet, data: bytes) -> Packet:
    return Packet(data, None, packet.given_ancillary, packet.linktype)


def lengths(programs: Sequence[Program], packets: Iterable[Packet]) -> list[Packet]:
    """The packets cut off, or made longer, to every length around each load."""
    found: dict[Packet, None] = {}
    for packet in packets:
        ends = {len(packet.data)}
        for program in programs:
            for step in run(program, packet).steps:
                spans = [*step.reads, *([step.missed] if step.missed else [])]
                ends |= {each.offset + each.size for each in spans}
        for end in ends:
            for size in (end + around for around in AROUND):
                if 0 <= size <= 4096:
                    cut = with_data(packet, packet.data[:size].ljust(size, b"\0"))
                    found[cut] = None
    return list(found)


def numbers(programs: Sequence[Program]) -> list[bytes]:
    """What tests compare with, one more, one less, as bytes of each size."""
    ks = {
        insn.k + near & 0xFFFFFFFF
        for program in programs
        for insn in program.insns
        if BY_CODE[insn.code].form in (Form.IMM, Form.IMM_TARGETS)
        for near in (-1, 0, 1)
    }
    sizes = ((1, 0xFF), (2, 0xFFFF), (4, 0xFFFFFFFF))
    return sorted({k.to_bytes(size, "big") for k in ks for size, most in sizes if k <= most})


def mutations(
    programs: Sequence[Program], packets: Sequence[Packet], count: int, rng: random.Random
) -> Iterator[Packet]:
    """The packets with bytes changed, most of them where a program reads."""
    places = {}
    for packet in packets:
        read = {each.offset for program in programs for step in run(program, packet).steps
                for each in (*step.reads, *([step.missed] if step.missed else []))}  # fmt: skip
        places[packet] = sorted(at for at in read if at < 4096) or [0]
    values = numbers(programs) or [b"\0"]
    for _ in range(count):
        packet = rng.choice(packets)
        data = bytearray(packet.data)
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.choice(places[packet]) if rng.random() < 0.9 else rng.randrange(64)
            value = rng.choice(values) if rng.random() < 0.7 else rng.randbytes(rng.choice((1, 2)))
            if len(data) >= at + len(value):
                data[at : at + len(value)] = value
        if rng.random() < 0.1:
            del data[rng.randrange(len(data) + 1) :]
        yield with_data(packet, bytes(data))


@dataclass
class Tally:
    """What was run, and the packets that told a proved pair apart."""

    packets: int = 0
    mutated: int = 0
    apart: tuple[Packet, ...] = ()


def cross_check(proof: Proof, count: int = MUTATIONS, backend: str = "auto") -> Tally:
    """Run both programs of a proof on packets that must not tell them apart."""
    programs = proof.question.p, proof.question.q
    base = branches(programs)
    tried = [*base, *lengths(programs, base)]
    # Short ones get few mutations: they end in the same load, whatever is in them.
    tried = [*tried, *mutations(programs, tried, count, random.Random(SEED))]
    batch = PacketBatch.of(tried)
    p, q = (run_many(each, batch, backend) for each in programs)
    wrong = [tried[int(at)] for at in (p != q).nonzero()[0]]
    if proof.question.complete:
        wrong = [each for each in wrong if not any(
            run(program, each).steps[-1].missed for program in programs)]  # fmt: skip
    return Tally(len(tried), count, tuple(wrong))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--every", type=int, default=1, help="every so manieth expression")
    parser.add_argument("--mutations", type=int, default=MUTATIONS, help="for each pair")
    arguments = parser.parse_args()
    began, count, packets, bad = time.monotonic(), 0, 0, 0
    for pair in pairs(arguments.every):
        proof = proved(pair)
        if proof is None:
            print(f"not proved: {pair.name}")
            bad += 1
            continue
        tally = cross_check(proof, arguments.mutations)
        count, packets, bad = count + 1, packets + tally.packets, bad + bool(tally.apart)
        for each in tally.apart[:3]:
            print(f"told apart: {pair.name}: {each.data.hex()}, {each.wirelen} on the wire")
        if count % 25 == 0:
            print(
                f"{time.monotonic() - began:6.0f} s  {count} proofs  {packets} packets", flush=True
            )
    print(f"{count} proofs, {packets} packets, {bad} wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
