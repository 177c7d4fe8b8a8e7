"""What a program may ask beside a packet's bytes, as rows of numbers for native code.

Only the facts that a program can ask for are looked up: most programs need
none, and those with loads at X + k only where the headers start, which is one
row for all packets of a link type.  What depends on registers or chance is
asked by a callback (`ASKED`).
Left out: what the facts mean, which `cbpf.ancillary` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from bpfnb.backends.flow import SIGNED
from bpfnb.cbpf.ancillary import BY_K, Ancillary, derive
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.payload import find_attribute, find_nested_attribute, payload_offset
from bpfnb.cbpf.program import Program

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import Packet, PacketBatch

    Facts = npt.NDArray[np.int64]

__all__ = ["ASKED", "NOTES", "answer", "each", "needed", "shared"]

MASK = 0xFFFFFFFF
NOWHERE = -(1 << 40)  # an offset that no sum with 32 bits brings into a packet, nor its opposite
NO_DEVICE = -1


def offset(given: int | None) -> int:
    """Where headers start, as 64 bits can hold it: beyond NOWHERE it is as far off as can be."""
    return NOWHERE if given is None else max(NOWHERE, min(given, -NOWHERE))


ASKED = ("nla", "nlan", "rand")
OFFSETS = {"net_offset", "link_offset"}
READERS: dict[str, Callable[[bytes, Ancillary], int]] = {
    "net_offset": lambda data, notes: offset(notes.net_offset),
    "link_offset": lambda data, notes: offset(notes.link_offset),
    "proto": lambda data, notes: notes.proto & MASK,
    "type": lambda data, notes: notes.pkttype & MASK,
    "ifidx": lambda data, notes: NO_DEVICE if notes.ifindex is None else notes.ifindex & MASK,
    "mark": lambda data, notes: notes.mark & MASK,
    "queue": lambda data, notes: notes.queue & MASK,
    "hatype": lambda data, notes: NO_DEVICE if notes.hatype is None else notes.hatype & MASK,
    "rxhash": lambda data, notes: notes.rxhash & MASK,
    "cpu": lambda data, notes: notes.cpu & MASK,
    "vlan_tci": lambda data, notes: notes.vlan_tci & MASK,
    "vlan_avail": lambda data, notes: notes.vlan_present & MASK,
    "vlan_tpid": lambda data, notes: notes.vlan_tpid & MASK,
    "poff": lambda data, notes: (
        payload_offset(data, notes.proto, notes.net_offset, notes.vlan_present) & MASK
    ),
}
NOTES = tuple(READERS)


def nothing(data: bytes, notes: Ancillary) -> int:
    """A fact that nobody asks for."""
    return 0


def needed(program: Program) -> set[str]:
    """The facts that a program can ask for, and those of ASKED."""
    return set(asked(program))


def asked(program: Program) -> Iterator[str]:
    """The same, as often as an instruction asks."""
    for insn in program.insns:
        form = BY_CODE[insn.code].form
        if form is Form.ABS and insn.k in BY_K:
            yield BY_K[insn.k].name
        elif form is Form.IND or (form in (Form.ABS, Form.MSH) and insn.k >= SIGNED):
            yield from OFFSETS


def shared(batch: PacketBatch, names: set[str]) -> Facts | None:
    """The one row of facts that all packets of a batch have; None where they differ.

    Facts are int64, in the order of NOTES, 0 for those not in `names`.
    """
    if not names <= OFFSETS or batch.notes is not None or batch.columns.linktypes is not None:
        return None
    return of_linktype(batch.linktype)


@cache
def of_linktype(linktype: int | None) -> Facts:
    """Where the headers of a link type start: one row."""
    import numpy as np

    alike = derive(b"", linktype)
    rows = [read(b"", alike) if name in OFFSETS else 0 for name, read in READERS.items()]
    return np.array(rows, np.int64)


def each(batch: PacketBatch, names: set[str]) -> Facts:
    """A row of facts for each packet: shape (len(batch), len(NOTES))."""
    import numpy as np

    readers = [READERS[name] if name in names else nothing for name in NOTES]
    rows = [[read(packet.data, packet.ancillary) for read in readers] for packet in batch]
    return np.array(rows, np.int64).reshape(len(batch), len(NOTES))


def answer(packet: Packet, which: int, A: int, X: int) -> int:
    """The callback: what the extension ASKED[which] reads."""
    name = ASKED[which]
    if name == "rand":
        return packet.ancillary.random() & MASK
    find = find_attribute if name == "nla" else find_nested_attribute
    return find(packet.data, A, X) & MASK
