"""Our machine and checker against the running kernel, millions of times.  Run by hand:

    python tests/soak_kernel.py --cases 10000000

Draws programs over all 49 opcodes, most legal and some nearly so, and packets.
The kernel must take exactly the programs that the checker finds legal, and
return the same ret.  Packets of 256 bytes and more show all 32 bits of it;
of shorter ones min(ret, length) is compared, and all 32 bits in every
sixteenth program.

Work comes in blocks of programs, each drawn from its own seed, so that a run
goes on where it stopped (`--first BLOCK`) and a difference can be met again.

Not compared, by name: `ld rand`, whose answer nobody can foretell; it stands in
programs with its result masked away.  `ld cpu` is compared: a worker stays on
one CPU.
"""

from __future__ import annotations

import argparse
import errno
import multiprocessing
import os
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bpfnb.cbpf.ancillary import AD_OFF, BY_NAME, EXTENSIONS, LL_OFF, NET_OFF, Ancillary
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.opcodes import OPCODES, Class, Form, Opcode
from bpfnb.cbpf.program import Program
from bpfnb.linux.limits import environment_limit
from bpfnb.linux.readout import rets
from bpfnb.linux.sockfilter import SocketPair, accepts

PROGRAMS = 250  # in a block
LONG, SHORT = 12, 4  # packets for each program
WHOLE = 256  # bytes from which a packet shows digits of 8 bits
EDGES = [
    0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 33, 63, 127, 128, 255, 256, 257, 1500, 0x7FFF, 0x8000,
    0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF,
]  # fmt: skip
FAR = [
    NET_OFF, NET_OFF + 1, NET_OFF + 14, NET_OFF + 255, NET_OFF + 300, NET_OFF - 1, LL_OFF,
    LL_OFF + 12, LL_OFF - 1, AD_OFF - 1, AD_OFF - 4, 0x7FFFFFFF, 0x7FFFFFFC, 0x80000000, 0xFFFFF,
]  # fmt: skip
RAND, DEVICE = BY_NAME["rand"], {"ifidx", "hatype"}
AND_0 = Insn(0x54, 0, 0, 0)
LOADS = {row.code for row in OPCODES if row.form is Form.ABS}


@dataclass
class Tally:
    """What a block compared; `differences` are texts to read."""

    counts: Counter[str] = field(default_factory=Counter)
    opcodes: Counter[int] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.opcodes += other.opcodes
        self.differences += other.differences


class Author:
    """Writes random programs from one source of randomness."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.insns: list[Insn] = []
        self.written = 0  # scratch words, one bit each, as the kernel's one pass sees them
        self.arriving: dict[int, int] = {}  # the same at the targets of jumps

    def word(self) -> int:
        """A constant: an edge, a small number, few bits or any."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.4:
            return rng.choice(EDGES)
        if kind < 0.6:
            return rng.randrange(64)
        if kind < 0.7:
            return (1 << rng.randrange(32)) - 1
        return rng.getrandbits(32)

    def offset(self) -> int:
        """Where to load from: mostly inside a packet, at times at its end or far off."""
        kind = self.rng.random()
        if kind < 0.9:
            return self.rng.randrange(0, 48)
        if kind < 0.98:
            return self.rng.randrange(0, 420)
        return self.rng.choice(FAR)

    def program(self) -> list[Insn]:
        """Write one, legal but for scratch words and chance, then perhaps spoil it."""
        rng = self.rng
        size = int(rng.expovariate(1 / 14)) + 1 if rng.random() < 0.98 else rng.randrange(200, 700)
        self.insns, self.written, self.arriving = [], 0, {}
        while len(self.insns) < size:
            self.instruction(rng.choice(OPCODES), size - len(self.insns))
        self.ending()
        if rng.random() < 0.15:
            self.spoil()
        return self.insns

    def ending(self) -> None:
        """Bring X and some of M[] into A, so that a difference in them shows."""
        rng = self.rng
        if words := self.words():
            self.put(0x07)  # tax
            self.put(0x60, rng.choice(words))
        if rng.random() < 0.6:
            self.put(rng.choice([0xAC, 0x0C]))  # xor x, add x
        self.insns.append(
            Insn(0x16, 0, 0, 0) if rng.random() < 0.9 else Insn(0x06, 0, 0, self.word())
        )

    def put(self, code: int, k: int = 0) -> None:
        self.insns.append(Insn(code, 0, 0, k))

    def words(self) -> list[int]:
        """The scratch words that the next instruction may read."""
        self.written &= self.arriving.get(len(self.insns), 0xFFFF)
        return [k for k in range(16) if self.written >> k & 1]

    def instruction(self, row: Opcode, left: int) -> None:
        """One instruction of a row, or a few that belong together."""
        rng = self.rng
        self.words()
        if row.form.jumps or row.form is Form.TARGET:
            self.jump(row, left)
        elif row.mnemonic == "ret":
            if rng.random() < 0.2:
                self.put(row.code, self.word())
        elif row.size:
            self.load(row)
        elif row.form is Form.MEM:
            self.scratch(row)
        elif row.form is Form.IMM and row.cls is Class.ALU:
            k = rng.randrange(32) if row.mnemonic in ("lsh", "rsh") else self.word()
            self.put(row.code, k or int(row.mnemonic in ("div", "mod")))
        elif row.mnemonic in ("div", "mod"):
            self.put(0x01, self.word() if rng.random() < 0.9 else 0)
            self.put(row.code)
        else:
            self.put(row.code, self.word() if rng.random() < 0.9 else 0)

    def jump(self, row: Opcode, left: int) -> None:
        rng, pc = self.rng, len(self.insns)
        near = min(left - 1, 255)
        jt, jf, k = rng.randrange(near + 1), rng.choice([0, rng.randrange(near + 1)]), self.word()
        if rng.random() < 0.3:
            jt, jf = jf, jt
        if row.form is Form.TARGET:
            jt = jf = 0
            k = rng.randrange(min(left - 1, 4) + 1)
        self.insns.append(Insn(row.code, jt, jf, k))
        for way in [k] if row.form is Form.TARGET else [jt, jf]:
            target = pc + 1 + way
            self.arriving[target] = self.arriving.get(target, 0xFFFF) & self.written
        self.written = 0xFFFF

    def load(self, row: Opcode) -> None:
        """A packet load, or an extension with what it wants in A and X."""
        rng, k = self.rng, self.offset()
        if row.form is Form.IND and rng.random() < 0.8:
            self.put(0x01, rng.choice([rng.randrange(200), -rng.randrange(1, 40) & 0xFFFFFFFF]))
        if row.form is not Form.ABS or rng.random() < 0.5:
            self.put(row.code, k)
            return
        note = rng.choice(EXTENSIONS)
        if note.name in DEVICE and rng.random() < 0.9:
            return
        if note.name in ("nla", "nlan") and rng.random() < 0.9:
            self.put(0x01, rng.randrange(6))
            self.put(0x00, rng.choice([0, 4, 8, 12, 16, 1]))
        self.put(row.code, note.k)
        if note is RAND:
            self.insns.append(AND_0)

    def scratch(self, row: Opcode) -> None:
        k, words = self.rng.randrange(16), self.words()
        if row.cls in (Class.ST, Class.STX):
            self.written |= 1 << k
        elif k not in words:
            if not words:
                return
            k = self.rng.choice(words)
        self.put(row.code, k)

    def spoil(self) -> None:
        """Break something, perhaps: another opcode, constant, target, order or end."""
        rng, insns = self.rng, self.insns
        pc = rng.randrange(len(insns))
        code, jt, jf, k = insns[pc]
        kind = rng.randrange(7)
        if kind == 0:
            near = rng.choice(OPCODES).code ^ (1 << rng.randrange(16))
            insns[pc] = Insn(rng.choice([near, rng.randrange(256), rng.getrandbits(16)]), jt, jf, k)
        elif kind == 1:
            insns[pc] = Insn(
                code,
                jt,
                jf,
                rng.choice(
                    [0, 16, 15, 32, 31, AD_OFF + 64, AD_OFF + 2, k + 1 & 0xFFFFFFFF, len(insns)]
                ),
            )
        elif kind == 2:
            insns[pc] = Insn(code, rng.randrange(256), rng.randrange(256), k)
        elif kind == 3:
            rng.shuffle(insns)
        elif kind == 4:
            insns[-1] = Insn(rng.choice(OPCODES).code, 0, 0, k)
        elif kind == 5:
            insns[pc] = Insn(rng.choice([0x60, 0x61, 0x02, 0x03]), 0, 0, rng.randrange(18))
        else:
            insns[pc : pc + 1] = [Insn(0x60, 0, 0, rng.randrange(16))]


def packet(rng: random.Random, size: int) -> bytes:
    """Random bytes, few bits, or netlink attributes with random tails."""
    kind = rng.random()
    if kind < 0.5:
        return rng.randbytes(size)
    if kind < 0.6:
        return bytes(size)
    if kind < 0.7:
        return bytes(rng.choices((0, 1, 0xFF, 0x45, 6), k=size))
    attributes = b""
    while len(attributes) < size:
        inside = rng.choice([0, 1, 3, 4, 8, 12, 16, 24])
        length = 4 + inside if rng.random() < 0.95 else rng.getrandbits(16) >> rng.randrange(16)
        flags = rng.choice([0, 0, 0, 0x8000, 0x4000])
        attributes += struct.pack("=HH", length, rng.randrange(6) | flags)
        if inside >= 8 and rng.random() < 0.6:
            attributes += struct.pack(
                "=HHI", inside - rng.randrange(2), rng.randrange(6), rng.getrandbits(32)
            )
            inside -= 8
        attributes += rng.randbytes(-(-inside // 4) * 4)
    return attributes[:size]


class Drawer:
    """A block's packets, from which each program gets some."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.long = [packet(rng, rng.randrange(WHOLE, 420)) for _ in range(8 * LONG)]
        self.long.append(rng.randbytes(rng.choice([4096, 9000, 15000])))
        self.short = [packet(rng, min(255, int(rng.expovariate(1 / 50)))) for _ in range(8 * SHORT)]

    def draw(self) -> tuple[list[bytes], list[bytes]]:
        """Long ones, which show all of ret, and short ones."""
        return self.rng.sample(self.long, LONG), self.rng.sample(self.short, SHORT)


def shown(program: Program, data: bytes | None, ours: object, theirs: object) -> str:
    """A difference, to be met again."""
    rows = [list(insn) for insn in program.insns]
    text = f"ours {ours}, the kernel's {theirs}\n  Program.from_insns({rows})"
    return text if data is None else f"{text}\n  bytes.fromhex('{data.hex()}')"


def random_shows(program: Program) -> bool:
    """True when spoiling took the mask away that stood behind `ld rand`."""
    pairs = zip(program.insns, [*program.insns[1:], None], strict=True)
    return any(i.k == RAND.k and i.code in LOADS and after != AND_0 for i, after in pairs)


def legality(program: Program, pair: SocketPair, tally: Tally) -> bool:
    """Hold the checker against the kernel; True when the program can run."""
    faults, answer = check(program, "linux"), accepts(program, pair)
    tally.counts["programs"] += 1
    for fault in faults:
        tally.counts[f"refused by {fault.rule}"] += 1
    if answer.accepted and not faults:
        if random_shows(program):
            tally.counts["legal, but shows a random number"] += 1
            return False
        return True
    if faults and answer.errno == errno.EINVAL:
        tally.counts["refused"] += 1
    elif not faults and (limit := environment_limit(program)) and limit.errno == answer.errno:
        tally.counts[f"limit: {limit.name}"] += 1
    else:
        rules = ", ".join(fault.rule for fault in faults) or "legal"
        tally.differences.append(shown(program, None, rules, f"errno {answer.errno}"))
    return False


def returns(
    program: Program, drawn: tuple[list[bytes], list[bytes]], whole: bool, pair: SocketPair,
    notes: Ancillary, tally: Tally,
) -> None:  # fmt: skip
    """Hold every ret against the kernel's."""
    long, short = drawn
    theirs = rets(program, long, pair)
    for data, ret in zip(long, theirs, strict=True):
        ours = run(program, data, ancillary=notes)
        if ours != ret:
            tally.differences.append(shown(program, data, ours, ret))
        tally.counts["ret 0" if ret == 0 else "ret not 0"] += 1
    tally.counts["cases, 32 bits"] += len(long)
    if whole:
        found = rets(program, short, pair)
    else:
        pair.attach(program)
        found = [length or 0 for length in pair.send(short)]
        pair.prove()
    tally.counts["cases, 32 bits" if whole else "cases, min(ret, length)"] += len(short)
    for data, ret in zip(short, found, strict=True):
        ours = run(program, data, ancillary=notes)
        if (ours if whole else min(ours, len(data))) != ret:
            tally.differences.append(shown(program, data, ours, ret))


def block(job: tuple[int, int]) -> tuple[int, Tally]:
    """Draw and compare the programs of block `job[1]` of seed `job[0]`."""
    rng = random.Random(f"{job[0]}:{job[1]}")
    author, drawer, tally = Author(rng), Drawer(rng), Tally()
    cpu = min(os.sched_getaffinity(0))
    notes = Ancillary(cpu=cpu)
    with SocketPair() as pair:
        for number in range(PROGRAMS):
            program = Program(tuple(author.program()))
            if legality(program, pair, tally):
                tally.opcodes.update(insn.code for insn in program.insns)
                returns(program, drawer.draw(), number % 16 == 0, pair, notes, tally)
    return job[1], tally


def stay(cpus: multiprocessing.Queue[int]) -> None:
    """Keep this worker on one CPU, so that `ld cpu` is known."""
    os.sched_setaffinity(0, {cpus.get()})
    os.nice(10)


def blocks(arguments: argparse.Namespace) -> Iterator[tuple[int, Tally]]:
    """Compare block after block, in several processes."""
    numbers: Iterable[tuple[int, int]] = (
        (arguments.seed, n) for n in range(arguments.first, 1 << 40)
    )
    cpus: multiprocessing.Queue[int] = multiprocessing.Queue()
    allowed = sorted(os.sched_getaffinity(0))
    for worker in range(arguments.processes):
        cpus.put(allowed[worker % len(allowed)])
    with multiprocessing.Pool(arguments.processes, stay, (cpus,)) as pool:
        window = [
            pool.apply_async(block, (next(iter(numbers)),)) for _ in range(arguments.processes * 2)
        ]
        while True:
            yield window.pop(0).get()
            window.append(pool.apply_async(block, (next(iter(numbers)),)))


def say(line: str) -> None:
    """Tell how far it is, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def soak(arguments: argparse.Namespace) -> int:
    """Run until enough cases were compared; 1 where anything differed."""
    total, began, told = Tally(), time.monotonic(), 0.0
    for number, tally in blocks(arguments):
        total.add(tally)
        cases = sum(n for name, n in total.counts.items() if name.startswith("cases"))
        spent = time.monotonic() - began
        for text in tally.differences[:3]:
            say(f"block {number}: {text}")
        done = total.counts["cases, 32 bits"] >= arguments.cases or len(total.differences) >= 20
        if spent - told > 10 or done:
            told = spent
            say(f"{spent:6.0f} s  block {number}  {cases} cases  {cases / spent:.0f}/s  "
                  f"{len(total.differences)} differences")  # fmt: skip
        if done:
            break
    say(f"seed {arguments.seed}, blocks {arguments.first}–{number}, {os.uname().release}")
    for name, count in sorted(total.counts.items()):
        say(f"{count:12d}  {name}")
    missing = [row.name for row in OPCODES if not total.opcodes[row.code]]
    rare = min(total.opcodes[row.code] for row in OPCODES)
    say(f"{rare:12d}  times the rarest opcode stood in a program that ran; missing: {missing}")
    say(f"{len(total.differences):12d}  differences")
    return 1 if total.differences or missing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=10_000_000, help="of 32 bits to compare")
    parser.add_argument("--seed", type=int, default=1993)
    parser.add_argument("--first", type=int, default=0, help="block to begin with")
    parser.add_argument("--processes", type=int, default=2)
    return soak(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
