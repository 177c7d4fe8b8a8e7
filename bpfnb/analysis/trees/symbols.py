"""What a register holds on one way through a program, written out: P[12:2] & 0xff00.

Each is a value that can be said (`str`) and calculated for a packet (`value`).  A
symbol never changes its meaning, so two equal ones are equal on every packet.
What ends the run while it is calculated, a load past the end, a division by 0, a
note without a device, raises `Ended`.

`weight` counts a symbol's parts, which can double with every instruction.

Left out: what is known of a value (`values`), and the notes that differ from one
read to the next.

Source: `cbpf.machine`, whose arithmetic and loads are used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF
from bpfnb.cbpf.linux_loads import Notes, extension, far_load
from bpfnb.cbpf.machine import MASK, OPERATIONS

__all__ = ["Calculation", "Ended", "Length", "Load", "Note", "Number", "Seen", "Symbol", "parts"]

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "and": "&", "or": "|",
         "xor": "^", "lsh": "<<", "rsh": ">>"}  # fmt: skip


class Ended(Exception):  # noqa: N818  no error: the run is over
    """The run ended with `ret`."""

    def __init__(self, ret: int) -> None:
        super().__init__(ret)
        self.ret = ret


@dataclass(frozen=True)
class Seen:
    """A packet as a program sees it."""

    data: bytes
    wirelen: int
    notes: Notes = None


@dataclass(frozen=True)
class Number:
    """A constant."""

    k: int
    weight: ClassVar[int] = 1

    def value(self, seen: Seen) -> int:
        """The number."""
        return self.k

    def __str__(self) -> str:
        return str(self.k) if self.k < 10 else f"{self.k:#x}"


@dataclass(frozen=True)
class Length:
    """The packet's length on the wire."""

    weight: ClassVar[int] = 1

    def value(self, seen: Seen) -> int:
        """In 32 bits."""
        return seen.wirelen & MASK

    def __str__(self) -> str:
        return "len"


@dataclass(frozen=True)
class Load:
    """P[k:size], or P[index+k:size]."""

    k: int
    size: int
    index: Symbol | None = None
    weight: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", 1 + (self.index.weight if self.index else 0))

    def value(self, seen: Seen) -> int:
        """The bytes in network order."""
        at = self.k if self.index is None else self.index.value(seen) + self.k & MASK
        read = far_load(at, self.size, seen.data, seen.notes)
        if read is None:
            raise Ended(0)
        return read

    def __str__(self) -> str:
        k, base = self.k, ""
        if self.index is not None:
            base, k = str(self.index), k - (1 << 32) if k >> 31 else k
        elif k >= NET_OFF:
            base, k = "net", k - NET_OFF
        elif k >= LL_OFF:
            base, k = "link", k - LL_OFF
        place = f"{base}{'-' if k < 0 else '+'}{abs(k)}" if base else str(k)
        return f"P[{place}:{self.size}]"


@dataclass(frozen=True)
class Note:
    """What the kernel's extension k reads; A is what is returned where there is no device."""

    k: int
    A: Symbol
    X: Symbol
    weight: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", 1 + self.A.weight + self.X.weight)

    def value(self, seen: Seen) -> int:
        """What the kernel knows of the packet."""
        A = self.A.value(seen)
        read = extension(self.k, A, self.X.value(seen), seen.data, seen.notes)
        if read is None:
            raise Ended(A)
        return read

    def __str__(self) -> str:
        return BY_K[self.k].name


@dataclass(frozen=True)
class Calculation:
    """`left` op `right`, in 32 bits; `op` is the instruction's mnemonic.  neg is 0 - right."""

    op: str
    left: Symbol
    right: Symbol
    weight: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", 1 + self.left.weight + self.right.weight)

    def value(self, seen: Seen) -> int:
        """As the machine does it."""
        left, right = self.left.value(seen), self.right.value(seen)
        if self.op in ("div", "mod") and not right:
            raise Ended(0)
        return OPERATIONS[self.op](left, right)

    def __str__(self) -> str:
        said = [f"({each})" if isinstance(each, Calculation) else str(each)
                for each in (self.left, self.right)]  # fmt: skip
        tight = self.op in ("and", "mul")  # 4*(P[14:1]&0xf), as assemblers write it
        return f"{SIGNS[self.op]}".join(said) if tight else f" {SIGNS[self.op]} ".join(said)


Symbol = Number | Length | Load | Note | Calculation


def parts(symbol: Symbol) -> Iterator[Symbol]:
    """A symbol and all that is within it.

    >>> [str(each) for each in parts(Load(14, 2, Calculation("and", Load(14, 1), Number(15))))]
    ['P[P[14:1]&0xf+14:2]', 'P[14:1]&0xf', 'P[14:1]', '0xf']
    """
    work: list[Symbol | None] = [symbol]
    while work:
        each = work.pop()
        if each is None:
            continue
        yield each
        if isinstance(each, Calculation):
            work += [each.right, each.left]
        elif isinstance(each, Load):
            work.append(each.index)
        elif isinstance(each, Note):
            work += [each.X, each.A]
