"""Native code between guard pages, against random programs.  Runs as a child, since a
stray read kills the process:

    python -m tests.guard_native --examples 300 [--seed N] [--blind]

Each packet lies flush against a page that nobody may touch, once with that page
behind its last byte and once before its first.  A read outside of it is SIGSEGV,
and the program at hand stands in the last line of stdout.  What is returned must
be what the machine returns.  `--blind` leaves out the checks of loads at constant
offsets, to show that the guard bites and the programs reach it.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import sys

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bpfnb.backends.lowering import Lowering
from bpfnb.backends.native import Native
from bpfnb.cbpf.ancillary import BY_NAME
from bpfnb.cbpf.disasm import decimal
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.opcodes import OPCODES, Form
from bpfnb.cbpf.program import Program
from bpfnb.packets.columns import Columns
from bpfnb.packets.packet import Packet, PacketBatch
from tests.strategies import legal_programs, packet_bytes

PAGE = mmap.PAGESIZE
NOBODY, READ, WRITE = 0, 1, 2
ETHERNET = 1
LOADS = [row.code for row in OPCODES if row.size]
WILD = [0x7FFFFFFB, 0x7FFFFFFF, 0x80000000, 0xFFEFFFFF, 0xFFF00000, 0xFFFFFFFC, 0xFFFFFFFF]


class Guarded:
    """Two pages of memory between two that nobody may touch."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 4 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) + PAGE
        self.end = self.start + 2 * PAGE
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (self.start - PAGE, self.end):
            if libc.mprotect(ctypes.c_void_p(page), PAGE, NOBODY):
                raise OSError(ctypes.get_errno(), "mprotect")

    def at_end(self, data: bytes) -> ctypes.Array[ctypes.c_char]:
        """The bytes with a forbidden page behind them."""
        return self.put(self.end - len(data), data)

    def at_start(self, data: bytes) -> ctypes.Array[ctypes.c_char]:
        """The bytes with a forbidden page before them."""
        return self.put(self.start, data)

    def put(self, address: int, data: bytes) -> ctypes.Array[ctypes.c_char]:
        """The bytes at an address."""
        ctypes.memmove(address, data, len(data))
        return (ctypes.c_char * len(data)).from_address(address)


def batch(memory: ctypes.Array[ctypes.c_char], wirelen: int) -> PacketBatch:
    """One packet that is the whole memory."""
    columns = Columns.in_a_row([len(memory)], [wirelen], [ETHERNET], [None])
    return PacketBatch(memory, columns)  # type: ignore[arg-type]  # any buffer will do


def edges(size: int) -> st.SearchStrategy[int]:
    """Constants of loads: about the packet's end, and about where 32 bits wrap."""
    near = st.integers(max(0, size - 6), size + 2)
    return near | st.integers(0, 64) | st.sampled_from(WILD) | st.integers(0, 0xFFFFFFFF)


@st.composite
def wild_programs(draw: st.DrawFn, size: int) -> Program:
    """Loads of every kind at strange offsets, X among them."""
    rows = [row for row in OPCODES if row.size]
    insns = []
    for _ in range(draw(st.integers(1, 12))):
        row = draw(st.sampled_from(rows))
        k = draw(edges(size))
        if row.form is Form.ABS and k >= 0xFFFFF000:
            k -= 0x1000  # no extension, and no fault
        if row.form is Form.IND:
            insns.append(Insn(0x01, 0, 0, draw(edges(size))))  # X <- k
        insns.append(Insn(row.code, 0, 0, k))
        if draw(st.booleans()):
            insns.append(Insn(0x07, 0, 0, 0))  # X <- A
    return Program((*insns, Insn(0x16, 0, 0, 0)))


@st.composite
def runs(draw: st.DrawFn) -> tuple[Program, bytes, int]:
    """A program, a packet and its wirelen."""
    data = draw(packet_bytes())
    program = draw(legal_programs() | wild_programs(len(data)))
    rand = BY_NAME["rand"].k
    if any(insn.code in LOADS and insn.k == rand for insn in program.insns):
        program = Program((Insn(0x16, 0, 0, 0),))  # nobody can foretell rand
    return program, data, draw(st.integers(len(data), 0xFFFFFFFF) | st.just(len(data)))


def blind(lowering: Lowering, k: int, size: int) -> str:
    """`Lowering.at_constant` as it must not be."""
    return lowering.read(str(k), size)


def main() -> None:
    """Run as many examples as asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true")
    given_ = parser.parse_args()
    memory = Guarded()
    if given_.blind:
        Lowering.at_constant = blind  # type: ignore[assignment, method-assign]

    @seed(given_.seed)
    @settings(
        max_examples=given_.examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(runs())
    def agrees(example: tuple[Program, bytes, int]) -> None:
        program, data, wirelen = example
        print(decimal(program).replace("\n", ","), data.hex(), wirelen, flush=True)
        notes = Packet(data, wirelen, linktype=ETHERNET).ancillary
        expected = run(program, data, wirelen, notes)
        native = Native(program)
        for placed in (memory.at_end(data), memory.at_start(data)):
            assert native.scan(batch(placed, wirelen)).tolist() == [expected]
            rets, counts = native.count(batch(placed, wirelen))
            assert rets.tolist() == [expected]
            assert int(counts[0, 0]) == 1

    agrees()
    print("agreed", file=sys.stderr)


if __name__ == "__main__":
    main()
