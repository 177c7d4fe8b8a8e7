"""Limits of the environment: why the kernel refuses a program that is legal.

The kernel translates a program to eBPF before it runs.  The translation must
fit the memory a socket may use (net.core.optmem_max), and its jumps a signed
16-bit offset.  Neither is one of the rules of classic BPF, so `check` does not
know them; both depend on the kernel and its settings.  So they are measured:
the length of each instruction's translation is read from this kernel.

Left out: memory limits of the whole machine or of a control group.

Source: net/core/filter.c (bpf_convert_filter, __sk_filter_charge); where the
limits lie exactly was tried on Linux 6.18, as the tests do again.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.checker import require
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError
from bpfnb.linux.sockfilter import TRANSLATED_SIZE, SocketPair, accepts, overhead

__all__ = ["Limit", "environment_limit", "prologue", "translated_lengths"]

OPTMEM_MAX = Path("/proc/sys/net/core/optmem_max")
FARTHEST = 0x7FFF  # what a signed 16-bit jump offset reaches
RET = Insn(0x06, 0, 0, 0)
LDB = Insn(0x30, 0, 0, 0)


@dataclass(frozen=True)
class Limit:
    """A limit that a program meets: its name, the errno it causes, the numbers."""

    name: str
    errno: int
    message: str

    def __str__(self) -> str:
        return f"{self.message} [{self.name}: {errno.errorcode[self.errno]}]"


def environment_limit(program: Program) -> Limit | None:
    """Say which limit of this kernel a legal program meets; None: it attaches.

    CheckError for a program that is not legal.
    """
    require(program)
    lengths = translated_lengths(program)
    starts = list(accumulate(lengths, initial=prologue(program)))
    return jump_limit(program, starts) or memory_limit(starts[-1])


def memory_limit(instructions: int) -> Limit | None:
    """ENOMEM: the translation is larger than a socket's memory for options."""
    room = int(OPTMEM_MAX.read_text())
    size = overhead() + instructions * TRANSLATED_SIZE
    if size < room:
        return None
    return Limit(
        "socket memory",
        errno.ENOMEM,
        f"translated it has {instructions} instructions, {size} bytes; a socket has {room} "
        f"({OPTMEM_MAX.name})",
    )


def jump_limit(program: Program, starts: list[int]) -> Limit | None:
    """EINVAL: a jump of the translation spans more than 32767 instructions.

    On its first pass the kernel takes forward targets for instruction 0, so a
    jump that merely stands beyond 32767 is refused too.
    """
    for pc, insn in enumerate(program.insns):
        row = BY_CODE[insn.code]
        if not row.form.jumps and row.form is not Form.TARGET:
            continue
        place = starts[pc + 1] - 1
        # jt and jf reach 255 instructions, far too few to matter here
        span = starts[pc + 1 + insn.k] - starts[pc + 1] if row.form is Form.TARGET else 0
        if max(span, place) > FARTHEST:
            what = f"({pc:03d}) jumps over {span} translated instructions"
            if span <= FARTHEST:
                what = f"({pc:03d}) is a jump at translated instruction {place}"
            return Limit("jump reach", errno.EINVAL, f"{what}; the limit is {FARTHEST}")
    return None


def translated_lengths(program: Program) -> tuple[int, ...]:
    """How many eBPF instructions this kernel makes of each instruction.

    Without the prologue that stands before them all.
    """
    return tuple(
        measure(insn.code, min(insn.jt, 1), min(insn.jf, 1), 0 if insn.code == 0x05 else insn.k)
        for insn in program.insns
    )


@lru_cache(maxsize=1 << 14)
def measure(code: int, jt: int, jf: int, k: int) -> int:
    """The length of one instruction's translation: a program with two less one with one."""
    insn = Insn(code, jt, jf, k)
    row = BY_CODE[code]
    before = [Insn(0x02, 0, 0, k)] if row.form is Form.MEM and row.cls is not Class.ST else []
    with SocketPair() as pair:
        one = attached_length([*before, insn, RET, RET], pair)
        return attached_length([*before, insn, insn, RET, RET], pair) - one


def attached_length(insns: list[Insn], pair: SocketPair) -> int:
    """The translated length of a short program, prologue and all."""
    result = accepts(Program(tuple(insns)), pair)
    if result.translated is None:
        raise BpfError(f"this kernel does not take {insns[-3]!r}: {result.reason}")
    return result.translated


@lru_cache(maxsize=2)
def prologue_length(loads: bool) -> int:
    """Instructions before the first: more when the packet is read."""
    ret = measure(*RET[:3], RET.k)
    with SocketPair() as pair:
        if not loads:
            return attached_length([RET], pair) - ret
        return attached_length([LDB, RET], pair) - ret - measure(*LDB[:3], LDB.k)


def prologue(program: Program) -> int:
    """The length of a program's prologue."""
    return prologue_length(any(BY_CODE[i.code].size and not reads_note(i) for i in program.insns))


def reads_note(insn: Insn) -> bool:
    """True for a load that reads an extension and no packet byte."""
    return BY_CODE[insn.code].form is Form.ABS and insn.k in BY_K
