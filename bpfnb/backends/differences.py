"""The one table of what machines for classic BPF disagree on, each row by a name.

    DIFFERENCES                 a name, what is at stake, a program, a packet, why
    explains(program, packet)   the name of the row that a disagreement belongs to

"Linux" is the kernel behind a socket pair, "libpcap" its evaluator bpf_filter.  What
each of them answers is not said here but asked, by `bpf.conformance()`.

Left out: running anything (`conformance`), and machines that are not here to be
asked: the BSDs' kernels, Go's x/net/bpf.

Source: libpcap's bpf_filter.c, Linux's net/core/filter.c and net/unix/af_unix.c;
McCanne & Jacobson 1993.  What stands behind "read:" was read there and not run.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence

from bpfnb.backends.questions import (
    EVERY,
    OURS_AND_LIBPCAP,
    Question,
    Ran,
    asks_length_of_a_cut_packet,
    breaks,
    counts_from_a_header,
    extension,
    has_ret_x,
    is_safe,
    lacks_a_device,
    lies_in_pieces,
    loops,
    meets,
    passes_it_by,
    reads_a_tag_by_ldb,
    shifts_too_far,
    wraps,
)
from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.program import Program

__all__ = ["DIFFERENCES", "explains"]

LARGE = 400  # instructions up to which no program meets a limit of the kernel's translation

NO_EXTENSIONS = "has no extensions"
NOT_IN_TABLES = "not in its tables"
NO_CYCLES = "a filter's graph has no cycles"
EXTENSION_WHY = (
    "an extension is a load from an offset of 0xfffff000 and up: Linux reads its notes about the "
    "packet there, libpcap's machine the packet, and that ends long before"
)
ANY_ORDER = (
    "libpcap's validator only looks whether M[k] exists; Linux wants each word written first, "
    "which it tells in one pass down the listing and not by paths (check_load_and_stores)"
)
KNOWN_WHY = (
    "libpcap's validator looks at an opcode's class and mode alone, and its evaluator aborts on "
    "what it has no case for; Linux compares the whole opcode with its list"
)
SUM_OF_M = "ld M[0]\n" + "".join(f"ldx M[{k}]\nadd x\n" for k in range(1, 16)) + "ret a"

DIFFERENCES: tuple[Question, ...] = (
    Question(
        "shift by X of 32 or more",
        "how far to shift is in X, where no check of the program sees it",
        "ld #1\nldx #33\nlsh x\nret a",
        why="libpcap gives 0 from 32 on; Linux makes it a 32-bit shift of eBPF, by X & 31",
        executed=shifts_too_far,
    ),
    Question(
        "X + k beyond 32 bits",
        "whether a load can come back to the packet's front from behind its end",
        "ldx #0xffffffff\nldb [x + 2]\nret a",
        b"\0\x07",
        why="libpcap holds k and X against the length one by one; Linux adds them in 32 bits",
        executed=wraps,
    ),
    Question(
        "load from the network header",
        "an offset of 0xfff00000 and up counts from the network header, in Linux alone",
        "ldb [0xfff00001]\nret a",
        b"\0\x07",
        paper="has one packet, from its first byte",
        why="Linux takes such an offset as signed (SKF_NET_OFF), libpcap as far past the end",
        executed=counts_from_a_header,
    ),
    Question(
        "length of a packet cut short",
        "whether len is what was on the wire or what is there",
        "ld #len\nret a",
        bytes(4),
        wirelen=1500,
        paper="the packet's length",
        why="libpcap is told both lengths and gives the wire's; Linux filters a packet before "
        "it is cut, and what a socket pair is sent is all there is",
        executed=asks_length_of_a_cut_packet,
        alike=OURS_AND_LIBPCAP,
    ),
    Question(
        "attribute in a packet of several pieces",
        "whether nla finds the same in a large packet as in a small one",
        "ldx #1\nld #0\nld nla\nret a",
        struct.pack("=HHHH", 4, 9, 4, 1) + bytes(100_000),
        paper=NO_EXTENSIONS,
        why="Linux keeps a large datagram in several pieces and searches no packet that lies so; "
        "ours lies in one; libpcap's machine has no extensions",
        executed=lies_in_pieces,
        alike=frozenset(),
    ),
    Question(
        "extension without a device",
        "what a filter gets that asks for an interface where there is none",
        "ld #7\nld ifidx\nret #1",
        paper=NO_EXTENSIONS,
        why="Linux ends the program there and returns A as it stands; " + EXTENSION_WHY,
        executed=lacks_a_device,
    ),
    Question(
        "VLAN extension by ldb",
        "libpcap's own programs for a live capture ask for the tag in this way",
        "ldb vlan_avail\nadd #5\nret a",
        paper=NO_EXTENSIONS,
        why="libpcap's evaluator knows these two, and ends with 0 where it is handed no notes, "
        "as bpf_filter never is; Linux reads its notes",
        executed=reads_a_tag_by_ldb,
    ),
    Question(
        "extension",
        "what of a packet is not in its bytes",
        "ldx #3\nld #5\nld alu_xor_x\nret a",
        paper=NO_EXTENSIONS,
        why=EXTENSION_WHY,
        executed=lambda ran, step: bool(extension(step)),
    ),
    Question(
        "unknown extension",
        "whether a load from an extension that there is not is a mistake or a miss",
        "ld [0xfffff040]\nret #1",
        paper=NO_EXTENSIONS,
        why="Linux refuses it in every program; to libpcap it is an offset past the end",
        refused=breaks("extension"),
    ),
    Question(
        "constant shift by 32 or more",
        "what a shift by all bits or more leaves",
        "ld #1\nlsh #33\nret a",
        why="libpcap 1.10 leaves it to C, which does not define it; Linux refuses it "
        "(read: so does libpcap's development source)",
        refused=breaks("shift_width"),
    ),
    Question(
        "opcode never reached",
        "whether unknown code matters that does not run",
        "ret #1\nret x",
        paper=NOT_IN_TABLES,
        why=KNOWN_WHY,
        refused=passes_it_by,
    ),
    Question(
        "ret x",
        "an assembler writes it and a validator passes it, and no machine runs it",
        "ldx #1\nret x",
        paper=NOT_IN_TABLES,
        why=KNOWN_WHY,
        refused=has_ret_x,
    ),
    Question(
        "opcode outside the 49",
        "what becomes of a process that runs a program from elsewhere",
        ".insn 0xb0, 0, 0, 0\nret #1",
        paper=NOT_IN_TABLES,
        why=KNOWN_WHY,
        refused=breaks("known_opcode"),
    ),
    Question(
        "jump backwards without end",
        "whether every filter ends",
        "top: ja top\nret #1",
        paper=NO_CYCLES,
        why="libpcap takes a ja's k as signed and has no bound on the steps (read: its development "
        "source allows 64 jumps back); to Linux k is past the end",
        refused=loops,
    ),
    Question(
        "jump backwards that ends",
        "libpcap's own programs for protochain loop in this way",
        "ld #3\ntop: sub #1\njeq #0, out, on\non: ja top\nout: ret #1",
        paper=NO_CYCLES,
        why="libpcap takes a ja's k as signed; to Linux it is past the end",
        refused=breaks("jump_target"),
    ),
    Question(
        "more than 4096 instructions",
        "how long a filter may be",
        "ret #0\n" * 4097,
        why="Linux takes BPF_MAXINSNS, 4096; libpcap's validator has no such limit",
        refused=breaks("length"),
    ),
    Question(
        "scratch word written on every way",
        "whether a safe program can be refused",
        "jeq #0, w, no\nw: st M[3]\nja r\nno: ret #0\nr: ld M[3]\nadd #1\nret a",
        why=ANY_ORDER,
        refused=is_safe,
    ),
    Question(
        "scratch word read unwritten",
        "whether a filter can read what is not its own",
        SUM_OF_M,
        why="libpcap 1.10 keeps M[] on its stack as it finds it (read: 0 in its development "
        "source); Linux refuses such a read, in one pass down the listing",
        refused=breaks("scratch_written"),
    ),
    Question(
        "translation beyond a jump's reach",
        "whether a program that breaks no rule of Linux is taken by it",
        "ja end\n" + "ldh [0]\n" * 3000 + "end: ret #1",
        bytes(2),
        why="the kernel translates to eBPF, whose jumps span at most 32767 instructions",
        refused=meets("jump reach"),
        alike=OURS_AND_LIBPCAP,
    ),
    Question(
        "translation beyond a socket's memory",
        "the same, where it is the length that Linux minds",
        "ldh [0]\n" * 4095 + "ret #1",
        bytes(2),
        why="the kernel's translation has to fit net.core.optmem_max",
        refused=meets("socket memory"),
        alike=OURS_AND_LIBPCAP,
    ),
)


def explains(
    program: Program,
    packet: bytes,
    wirelen: int | None = None,
    ancillary: Ancillary | None = None,
    between: Collection[str] = EVERY,
) -> str | None:
    """The name of the row on which the machines in `between` differ here; None: they do not.

    The first such step names it, else the first row by which the program is refused.

    >>> explains(Program.from_insns([(0x0E, 0, 0, 0)]), b"")
    'ret x'
    """
    ran = Ran(program, packet, len(packet) if wirelen is None else wirelen, ancillary)
    rows = [row for row in DIFFERENCES if row.parts(between)]
    if ran.rules:
        return None if check(program, "libpcap") else not_taken(ran, rows)
    for step in ran.trace.steps:
        for row in rows:
            if row.executed and row.executed(ran, step):
                return row.name
    return not_taken(ran, rows) if len(program) > LARGE else None


def not_taken(ran: Ran, rows: Sequence[Question]) -> str | None:
    """The first row whose refusal this is."""
    return next((row.name for row in rows if row.refused and row.refused(ran)), None)
