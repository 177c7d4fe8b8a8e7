"""The backend `linux`: the running kernel, on a socket pair, without privilege.

It gives all 32 bits of ret, which takes several runs for each packet
(`linux.readout`).  A packet sent over a socket pair is only its bytes: it has no
device, protocol, mark, VLAN tag or link header, and its wire length is the
length sent.  A program that asks for what a packet of the batch has and the
socket pair has not is refused with a sentence, not run on other facts.  Whether a
load at X + k counts from the network or link header only running tells: where X can
be large enough, our machine runs first.

Left out: `ret` is read from packets' lengths, and so costs four runs and more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF, UNIX_SOCKET, Ancillary
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.errors import UnavailableError
from bpfnb.linux.limits import environment_limit
from bpfnb.linux.readout import rets
from bpfnb.linux.sockfilter import KernelRefused, SocketPair
from bpfnb.progress import progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import Packet, PacketBatch

__all__ = ["run_many"]

NOTES: dict[str, Callable[[Ancillary], object]] = {
    "proto": lambda notes: notes.proto,
    "type": lambda notes: notes.pkttype,
    "ifidx": lambda notes: notes.ifindex,
    "mark": lambda notes: notes.mark,
    "queue": lambda notes: notes.queue,
    "hatype": lambda notes: notes.hatype,
    "rxhash": lambda notes: notes.rxhash,
    "vlan_tci": lambda notes: notes.vlan_tci,
    "vlan_avail": lambda notes: notes.vlan_present,
    "vlan_tpid": lambda notes: notes.vlan_tpid,
    "poff": lambda notes: (notes.proto, notes.net_offset),
    "the network header": lambda notes: notes.net_offset,
    "the link header": lambda notes: notes.link_offset,
}
PIECE = 4096  # packets whose bytes are copied at a time
FICKLE = {"rand", "cpu"}
HEADERS = ("the network header", "the link header")
WORD = 0xFFFFFFFF


def run_many(
    program: Program, batch: PacketBatch, budget: int | None = None, jobs: int = 1
) -> npt.NDArray[np.uint32]:
    """Run on each packet: uint32 of shape (len(batch),).

    UnavailableError also for a program that is legal but meets a limit of this kernel.
    """
    import numpy as np

    if budget is not None:
        raise UnavailableError("linux runs no unchecked program: the kernel takes legal ones only")
    refuse_unlike(program, batch)
    found = np.empty(len(batch), np.uint32)
    with SocketPair() as pair, progress(len(batch), "packets") as done:
        attach(pair, program)  # it must be legal, also where there is no packet
        for first in range(0, len(batch), PIECE):
            data = [packet.data for packet in batch[first : first + PIECE]]
            found[first : first + PIECE] = rets(program, data, pair, first + 1)
            done(len(data))
    return found


def attach(pair: SocketPair, program: Program) -> None:
    """Attach a legal program; UnavailableError with the limit that it meets."""
    try:
        pair.attach(program)
    except KernelRefused as error:
        if check(program):
            raise
        limit = environment_limit(program)
        raise UnavailableError(f"linux takes no such program: {limit or error}") from None


def refuse_unlike(program: Program, batch: PacketBatch) -> None:
    """UnavailableError where the program reads what a socket pair would answer otherwise."""
    for name in dict.fromkeys(asked(program)):
        if name in FICKLE:
            raise UnavailableError(
                f"linux reads ret in several runs, and {name} can differ from run to run"
            )
        for number, packet in enumerate(batch):
            if unlike(name, packet):
                raise UnavailableError(
                    f"linux filters on a socket pair, where {name} is not what packet "
                    f"{number + 1} has"
                )

    if not reaches_headers(program):
        return
    for number, packet in enumerate(batch):
        if any(unlike(name, packet) for name in HEADERS) and counts(program, packet):
            raise UnavailableError(
                f"linux filters on a socket pair, which has no headers where packet "
                f"{number + 1} has them, and a load at X + k counts from one"
            )


def reaches_headers(program: Program) -> bool:
    """Whether X + k of an indirect load may be an offset from a header."""
    most, ks = 0, [0]
    for insn in program.insns:
        row = BY_CODE.get(insn.code)
        if row and row.form is Form.IND:
            ks.append(insn.k)
        elif row and row.mnemonic in ("ldx", "ldxb", "tax"):
            most = max(most, {Form.MSH: 60, Form.IMM: insn.k}.get(row.form, WORD))
    return len(ks) > 1 and (most + max(ks) >= LL_OFF)


def counts(program: Program, packet: Packet) -> bool:
    """Whether a load at X + k counts from a header on this packet, on our machine."""
    steps = trace(program, packet.data, packet.wirelen, packet.ancillary).steps
    indirect = (step for step in steps if BY_CODE[step.insn.code].form is Form.IND)
    return any(step.before.X + step.insn.k & WORD >= LL_OFF for step in indirect)


def asked(program: Program) -> Iterator[str]:
    """What the program reads beside the packet's own bytes, by name."""
    for insn in program.insns:
        row = BY_CODE.get(insn.code)  # None: the kernel will refuse it
        if row and row.form is Form.LEN:
            yield "len"
        elif row and row.form in (Form.ABS, Form.MSH):
            yield from special(insn, row.form)


def special(insn: Insn, form: Form) -> Iterator[str]:
    """The extension or header that a load from a large constant reads."""
    note = BY_K.get(insn.k) if form is Form.ABS else None
    if note is not None:
        if note.name in NOTES or note.name in FICKLE:
            yield note.name
    elif insn.k >= NET_OFF:
        yield "the network header"
    elif insn.k >= LL_OFF:
        yield "the link header"


def unlike(name: str, packet: Packet) -> bool:
    """True when the socket pair's answer would not be the packet's."""
    if name == "len":
        return packet.wirelen != len(packet.data)
    read = NOTES[name]
    return read(packet.ancillary) != read(UNIX_SOCKET)
