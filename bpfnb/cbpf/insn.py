"""One instruction, as the kernel stores it: `struct sock_filter`.

    opcode:16  jt:8  jf:8
    k:32

jt and jf count instructions from the *next* one.  Left out: what an opcode
means, which `opcodes` says.  Source: McCanne & Jacobson 1993, section 3.3;
linux/filter.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from bpfnb.errors import BpfError

__all__ = ["Insn", "pack", "unpack"]

SOCK_FILTER = struct.Struct("=HBBI")  # host byte order, as the kernel reads it
LIMITS = {"code": 0xFFFF, "jt": 0xFF, "jf": 0xFF, "k": 0xFFFFFFFF}


class Insn(NamedTuple):
    """`code`, `jt`, `jf`, `k`: immutable, equal to the plain tuple.

    >>> Insn(0x28, 0, 0, 12)
    Insn(code=40, jt=0, jf=0, k=12)
    """

    code: int
    jt: int
    jf: int
    k: int

    def __bytes__(self) -> bytes:
        return SOCK_FILTER.pack(*self)

    @classmethod
    def checked(cls, fields: Iterable[int]) -> Insn:
        """Make one from four numbers, each held against its field's width."""
        values = tuple(fields)
        if len(values) != len(LIMITS):
            raise BpfError(
                f"an instruction has 4 fields (code, jt, jf, k), not {len(values)}: {values!r}"
            )
        for (name, limit), value in zip(LIMITS.items(), values, strict=True):
            if not isinstance(value, int) or not 0 <= value <= limit:
                raise BpfError(f"{name} is {value!r}; the field holds 0–{limit}")
        return cls(*map(int, values))  # of a subclass, the number alone


def pack(insns: Iterable[Insn]) -> bytes:
    """Eight bytes an instruction, in host byte order.

    >>> pack([Insn(6, 0, 0, 0)]) == Insn(6, 0, 0, 0).__bytes__()
    True
    """
    return b"".join(SOCK_FILTER.pack(*insn) for insn in insns)


def unpack(data: bytes) -> tuple[Insn, ...]:
    """Read instructions back from `struct sock_filter[]`.

    >>> unpack(pack([Insn(0x28, 0, 0, 12)]))
    (Insn(code=40, jt=0, jf=0, k=12),)
    """
    if len(data) % SOCK_FILTER.size:
        raise BpfError(f"{len(data)} bytes are no whole number of instructions: each has 8")
    return tuple(Insn(*fields) for fields in SOCK_FILTER.iter_unpack(data))
