"""A row of the table of differences, and how to tell that a run meets it.

A program that all its machines take differs in one of its steps (`executed`); one
that they do not all take differs in who refuses it (`refused`).  A `Ran` is what
there is to tell it from: the program and a packet, on our machine.

Left out: the rows (`differences`), and asking any other machine (`conformance`).

Source: Linux's net/core/filter.c and libpcap's bpf_filter.c, for what decides.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

from bpfnb.backends.flow import SIGNED
from bpfnb.cbpf.ancillary import BY_K, Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import check, unsafe_reads
from bpfnb.cbpf.machine import MASK, run
from bpfnb.cbpf.opcodes import BY_CODE, RET_X, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Step, Trace, trace
from bpfnb.errors import BpfError

__all__ = ["EVERY", "Question", "Ran"]

EVERY = ("interp", "linux", "libpcap")  # the kinds of machines, named as their backends are
OURS_AND_LINUX, OURS_AND_LIBPCAP = frozenset({"interp", "linux"}), frozenset({"interp", "libpcap"})

BUDGET = 100_000  # steps after which an unchecked program counts as one that never ends
ONE_PIECE = 16_000  # bytes of a datagram that Linux surely keeps in one piece


@dataclass(frozen=True)
class Ran:
    """A program and a packet, as our machine runs them."""

    program: Program
    data: bytes
    wirelen: int
    ancillary: Ancillary | None = None

    @cached_property
    def rules(self) -> frozenset[str]:
        """The checker's rules that the program breaks."""
        return frozenset(fault.rule for fault in check(self.program))

    @cached_property
    def trace(self) -> Trace:
        """Every step of a legal program."""
        return trace(self.program, self.data, self.wirelen, self.ancillary)

    @cached_property
    def trouble(self) -> str:
        """What stops our machine when it runs the program unchecked; "" where it returns."""
        try:
            run(self.program, self.data, self.wirelen, self.ancillary, BUDGET)
        except BpfError as error:
            return error.message
        return ""


@dataclass(frozen=True)
class Question:
    """One row: a program and a packet to ask each machine about.

    `stake` is what hangs on it, `paper` what the paper of 1993 says, `why` the reason
    of a difference.  `executed` finds it in a step of a legal program, `refused` in
    a program that somebody does not take; a row on which all agree has neither.
    `alike` are the machines that agree all the same.
    """

    name: str
    stake: str
    text: str
    data: bytes = b""
    wirelen: int | None = None
    paper: str = "does not say"
    why: str = ""
    executed: Callable[[Ran, Step], bool] | None = None
    refused: Callable[[Ran], bool] | None = None
    alike: frozenset[str] = OURS_AND_LINUX

    @cached_property
    def program(self) -> Program:
        """The program; no text is the empty one."""
        return assemble(self.text) if self.text else Program(())

    @property
    def differs(self) -> bool:
        """Whether machines are known to differ on it."""
        return self.executed is not None or self.refused is not None

    def parts(self, machines: Collection[str]) -> bool:
        """Whether it is a difference between these machines."""
        return self.differs and not self.alike.issuperset(machines)


# How to tell, in a step


def form(step: Step) -> Form:
    """The operand's form of the instruction executed."""
    return BY_CODE[step.insn.code].form


def extension(step: Step) -> str:
    """The name of the extension that a step reads, or nothing."""
    return BY_K[step.insn.k].name if form(step) is Form.ABS and step.insn.k in BY_K else ""


def shifts_too_far(ran: Ran, step: Step) -> bool:
    # A <- A << X, where something is left of it by X & 31
    shift = BY_CODE[step.insn.code].mnemonic in ("lsh", "rsh") and form(step) is Form.X
    return shift and step.before.X >= 32 and step.after.A != 0


def wraps(ran: Ran, step: Step) -> bool:
    # A <- P[X+k:size], where the sum is only inside the packet in 32 bits
    beyond = form(step) is Form.IND and step.before.X + step.insn.k > MASK
    return beyond and bool(step.reads)


def counts_from_a_header(ran: Ran, step: Step) -> bool:
    # P[k:size] of a k that Linux takes for negative
    k = step.insn.k + (step.before.X if form(step) is Form.IND else 0)
    return bool(step.reads) and SIGNED <= k <= MASK


def asks_length_of_a_cut_packet(ran: Ran, step: Step) -> bool:
    # A <- len
    return form(step) is Form.LEN and ran.wirelen != len(ran.data)


def lies_in_pieces(ran: Ran, step: Step) -> bool:
    # A <- nla
    return extension(step) in ("nla", "nlan") and len(ran.data) > ONE_PIECE


def lacks_a_device(ran: Ran, step: Step) -> bool:
    # return A
    return extension(step) in ("ifidx", "hatype") and step.after.ret is not None


def reads_a_tag_by_ldb(ran: Ran, step: Step) -> bool:
    # A <- vlan_tci
    loads = BY_CODE[step.insn.code].mnemonic == "ldb"
    return loads and extension(step) in ("vlan_tci", "vlan_avail")


# How to tell, from a program that is refused


def breaks(rule: str) -> Callable[[Ran], bool]:
    """The program breaks this rule of the kernel's."""
    return lambda ran: rule in ran.rules


def has_ret_x(ran: Ran) -> bool:
    """It comes to a ret x."""
    return "known_opcode" in ran.rules and f"opcode {RET_X:#04x}" in ran.trouble


def passes_it_by(ran: Ran) -> bool:
    """It has an unknown opcode, and does not come to it."""
    return "known_opcode" in ran.rules and "opcode" not in ran.trouble


def loops(ran: Ran) -> bool:
    """It jumps backwards, and does not end."""
    return "jump_target" in ran.rules and bool(ran.trouble)


def is_safe(ran: Ran) -> bool:
    """Every way to a read of M[] has written it."""
    return "scratch_written" in ran.rules and not unsafe_reads(ran.program)


def meets(limit: str) -> Callable[[Ran], bool]:
    """It is legal, and this kernel's translation of it meets a limit of that name."""

    def met(ran: Ran) -> bool:
        if ran.rules or sys.platform != "linux":
            return False
        from bpfnb.linux.limits import environment_limit

        found = environment_limit(ran.program)
        return found is not None and found.name == limit

    return met
