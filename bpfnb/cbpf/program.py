"""A program and where it came from: instructions, labels, source lines.

This is the plain data that every floor passes on; the Program that users
hold (`bpfnb.face`) is this one with run, trace, text and pictures added.
Left out: anything that reads an instruction's meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from bpfnb.cbpf.insn import Insn, pack, unpack
from bpfnb.errors import BpfError

__all__ = ["Program", "Row", "SourceLine"]

Row = tuple[int, int, int, int]  # (code, jt, jf, k)


@dataclass(frozen=True)
class SourceLine:
    """Where an instruction stood in its text: line number (from 1) and words."""

    number: int
    text: str


@dataclass(frozen=True, eq=False)
class Program:
    """A sequence of instructions; two are equal when their instructions are.

    BpfError for a field that holds more, or less, than the kernel's own has room for.
    `labels` maps a name to the pc it stands before.  `lines` has one entry an
    instruction, or none at all where there was no text.  `linktype` is the
    LINKTYPE_ number the offsets were written for, None when unknown.
    `origin` says in a few words where it came from (an expression, a dialect).
    """

    insns: tuple[Insn, ...]
    labels: Mapping[str, int] = field(default_factory=dict)
    lines: tuple[SourceLine, ...] = ()
    linktype: int | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.insns, str):
            raise BpfError(
                "a program is made of instructions, not of text",
                "assemble reads a program's text, compile_filter an expression",
            )
        insns = tuple(insn_of(pc, row) for pc, row in enumerate(self.insns))
        object.__setattr__(self, "insns", insns)

    @classmethod
    def from_insns(cls, insns: Iterable[Iterable[int]], linktype: int | None = None) -> Self:
        """Make a program from (code, jt, jf, k) rows, each field range-checked."""
        return cls(tuple(insns), linktype=linktype)  # type: ignore[arg-type]  # made Insns here

    @classmethod
    def from_bytes(cls, data: bytes, linktype: int | None = None) -> Self:
        """Make a program from `struct sock_filter[]`."""
        return cls(unpack(data), linktype=linktype)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The instructions as bare tuples, which Python takes apart quicker; made once."""
        return tuple((code, jt, jf, k) for code, jt, jf, k in self.insns)

    def __len__(self) -> int:
        return len(self.insns)

    def __bytes__(self) -> bytes:
        return pack(self.insns)

    def __eq__(self, other: object) -> bool:
        return self.insns == other.insns if isinstance(other, Program) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.insns)


def insn_of(pc: int, row: Iterable[int]) -> Insn:
    """The instruction at pc from its four fields, each held against its width."""
    try:
        return Insn.checked(row)
    except BpfError as error:
        raise BpfError(f"({pc:03d}) {error.message}", error.hint) from None
