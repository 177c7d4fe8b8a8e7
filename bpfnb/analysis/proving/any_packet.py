"""A packet of which nothing is known: bytes, lengths and notes as unknowns of z3.

    packet = AnyPacket(max_len)
    inside, word = packet.load(12, 2)       whether it has these bytes, and what they are

Its bytes are an array with an unknown length; what the kernel's extensions would say of it
is unknown too, each note a word of its own (`NOTES`).
Left out: what a program does with it (`formula`).
"""

from __future__ import annotations

from typing import Any

from bpfnb.analysis.proving.terms import Condition, Word, least, most, term, z3
from bpfnb.cbpf.ancillary import LL_OFF
from bpfnb.cbpf.machine import MASK
from bpfnb.errors import BpfError

__all__ = ["DEVICE", "FAR", "NOTES", "AnyPacket"]

FAR = 0xFFFF  # where a header may begin, and how many bits an offset in it has

# What each extension reads: the field of Ancillary, and the largest value it holds.
NOTES: dict[str, tuple[str, int]] = {
    "proto": ("proto", 0xFFFF),
    "type": ("pkttype", 7),
    "ifidx": ("ifindex", 0x7FFFFFFF),
    "mark": ("mark", MASK),
    "queue": ("queue", 0xFFFF),
    "hatype": ("hatype", 0xFFFF),
    "rxhash": ("rxhash", MASK),
    "cpu": ("cpu", 0xFFFF),
    "vlan_tci": ("vlan_tci", 0xFFFF),
    "vlan_avail": ("vlan_present", 1),
    "vlan_tpid": ("vlan_tpid", 0xFFFF),
}
DEVICE = {"ifidx", "hatype"}  # there may be none; then the program ends


class AnyPacket:
    """A packet of which nothing is known but its greatest length.

    `given` are the conditions that every packet meets.  `notes` holds each note that a
    program has asked for, by its extension's name; `draws` says that one asked for random
    numbers, `guessed` which extensions the formula lets answer anything.
    """

    def __init__(self, max_len: int) -> None:
        if not 0 <= max_len < LL_OFF:
            raise BpfError(f"max_len is {max_len}; it is a number of bytes, 0–{LL_OFF - 1}")
        self.max_len = max_len
        self.bytes = z3.Array("P", z3.BitVecSort(32), z3.BitVecSort(8))
        self.caplen = z3.BitVec("caplen", 32)
        self.wirelen = z3.BitVec("wirelen", 32)
        self.given: list[Any] = [
            z3.ULE(self.caplen, max_len), z3.UGE(self.wirelen, self.caplen)
        ]  # fmt: skip
        self.notes: dict[str, Any] = {}
        self.guessed: set[str] = set()
        self.draws = False
        self.random = z3.Array("random", z3.BitVecSort(32), z3.BitVecSort(32))
        self._loads: dict[tuple[bool, int, int], tuple[Condition, Word]] = {}
        self._read: list[tuple[Word, int]] = []
        self._spans: list[tuple[int, int]] = []

    def note(self, name: str, most: int = MASK) -> Any:
        """A note that the kernel has on this packet."""
        if name not in self.notes:
            self.notes[name] = z3.BitVec(name, 32)
            if most < MASK:
                self.given.append(z3.ULE(self.notes[name], most))
        return self.notes[name]

    def lacks(self, name: str) -> Any:
        """Whether a note is not there: no device, no link header."""
        return self.notes.setdefault(f"no {name}", z3.Bool(f"no {name}"))

    def load(self, at: Word, size: int) -> tuple[Condition, Word]:
        """Whether the packet has `size` bytes at `at`, and P[at:size] if it has."""
        key = (isinstance(at, int), at if isinstance(at, int) else at.get_id(), size)
        if key not in self._loads:
            inside = z3.And(z3.UGE(self.caplen, size), z3.ULE(term(at), self.caplen - size))
            if isinstance(at, int):
                inside = at + size <= self.max_len and z3.UGE(self.caplen, at + size)
            # The terms are kept, so that z3 gives no other one their number.
            self._loads[key] = (inside, self.number(term(at), size))
            self._read.append((at, size))
        return self._loads[key]

    def places(self) -> list[tuple[int, int]]:
        """Where programs may read: the first offset and the one behind the last, of each load."""
        for at, size in self._read[len(self._spans) :]:
            self._spans.append((least(at), min(most(at) + size, self.max_len)))
        return self._spans

    def number(self, at: Any, size: int) -> Any:
        """P[at:size] in network order, wherever it lies."""
        octets = [z3.Select(self.bytes, z3.simplify(at + n) if n else at) for n in range(size)]
        joined = octets[0] if size == 1 else z3.Concat(*octets)
        return joined if size == 4 else z3.ZeroExt(32 - 8 * size, joined)
