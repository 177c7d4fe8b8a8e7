"""Hypothesis strategies: programs over all 49 opcodes, and packets.

`legal_programs` draws what the checker and the kernel take, with every field
that means nothing at 0, as an assembler leaves it.  `near_legal_programs` draws
legal ones, some with a field changed.  `packet_bytes` draws bytes, some of
which are netlink attributes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hypothesis import strategies as st

from bpfnb.cbpf.ancillary import AD_OFF, EXTENSIONS, LL_OFF, NET_OFF
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_NAME, OPCODES, Class, Form, Opcode
from bpfnb.cbpf.program import Program

EDGES = [0, 1, 2, 31, 32, 33, 255, 256, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
FAR = [NET_OFF, NET_OFF + 12, NET_OFF - 1, LL_OFF, LL_OFF + 12, LL_OFF - 1, 0x7FFFFFFF, 0x80000000]
EVERYTHING = 0xFFFF  # all sixteen scratch words written
RETS = [row for row in OPCODES if row.cls is Class.RET]
OTHERS = [row for row in OPCODES if row.cls is not Class.RET]


def words() -> st.SearchStrategy[int]:
    """32-bit constants, edges often."""
    return st.sampled_from(EDGES) | st.integers(0, 64) | st.integers(0, 0xFFFFFFFF)


def offsets() -> st.SearchStrategy[int]:
    """Where a load reads: mostly near the front of a packet."""
    return st.integers(0, 32) | st.integers(0, 400) | st.sampled_from(FAR)


@dataclass
class Draft:
    """A program being written; `written` as the kernel's one pass sees M[]."""

    size: int
    insns: list[Insn] = field(default_factory=list)
    written: int = 0
    arriving: dict[int, int] = field(default_factory=dict)

    def readable(self) -> list[int]:
        """The scratch words that the next instruction may read."""
        self.written &= self.arriving.get(len(self.insns), EVERYTHING)
        return [k for k in range(16) if self.written >> k & 1]

    def add(self, row: Opcode, k: int, jt: int = 0, jf: int = 0) -> None:
        pc = len(self.insns)
        if row.form.jumps or row.form is Form.TARGET:
            for way in (jt, jf) if row.form.jumps else (k,):
                target = pc + 1 + way
                self.arriving[target] = self.arriving.get(target, EVERYTHING) & self.written
            self.written = EVERYTHING
        elif row.cls in (Class.ST, Class.STX):
            self.written |= 1 << k
        self.insns.append(Insn(row.code, jt, jf, k))


def constant(draw: st.DrawFn, row: Opcode, draft: Draft) -> int | None:
    """k for a row; None where there is no legal one, as for M[] before a store."""
    readable = draft.readable()
    if not row.form.uses_k:
        return 0
    if row.form is Form.TARGET:
        return draw(st.integers(0, min(draft.size - len(draft.insns) - 2, 300)))
    if row.form is Form.MEM:
        if row.cls in (Class.ST, Class.STX):
            return draw(st.integers(0, 15))
        return draw(st.sampled_from(readable)) if readable else None
    if row.form is Form.ABS and draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(EXTENSIONS)).k
    if row.size:
        return draw(offsets())
    if row.mnemonic in ("lsh", "rsh"):
        return draw(st.integers(0, 31))
    if row.mnemonic in ("div", "mod"):
        return draw(words().filter(bool))
    return draw(words())


@st.composite
def legal_programs(draw: st.DrawFn, max_size: int = 24) -> Program:
    """Programs that the kernel takes, of 1 to `max_size` instructions."""
    draft = Draft(draw(st.integers(1, max_size)))
    while (left := draft.size - 1 - len(draft.insns)) > 0:
        row = draw(st.sampled_from(OPCODES if draw(st.integers(0, 9)) == 0 else OTHERS))
        k = constant(draw, row, draft)
        ways = st.integers(0, min(left - 1, 255))
        if k is not None:
            jumps = row.form.jumps
            draft.add(row, k, draw(ways) if jumps else 0, draw(ways) if jumps else 0)
        else:
            draft.add(OPCODES[0], draw(st.integers(0, 32)))
    row = draw(st.sampled_from(RETS))
    draft.add(row, draw(words()) if row.form.uses_k else 0)
    return Program(tuple(draft.insns))


FEW = st.sampled_from([0, 1, 2, 3])  # bytes of `close_packets`, and numbers they are compared with
LOADS = {size: (BY_NAME["ld" + suffix, Form.ABS], BY_NAME["ld" + suffix, Form.IND])
         for size, suffix in ((1, "b"), (2, "h"), (4, ""))}  # fmt: skip


def close_packets(max_size: int = 16) -> st.SearchStrategy[bytes]:
    """Short packets of few different bytes: a test may well be met, a load may well miss."""
    return st.lists(FEW, max_size=max_size).map(bytes)


@st.composite
def close_programs(draw: st.DrawFn, max_size: int = 30) -> Program:
    """Legal programs of loads, each compared at once, and changes of X around them.

    What filters are made of: runs of jeqs on one load, two loads with one aim, loads
    at X + k whose X is then changed while A is still wanted.
    """
    draft = Draft(draw(st.integers(2, max_size)))

    def left() -> int:
        return draft.size - 1 - len(draft.insns)

    def tests(size: int) -> None:
        for _ in range(draw(st.integers(1, 4))):
            if left() < 1:
                return
            mnemonic = draw(st.sampled_from(["jeq", "jeq", "jeq", "jset", "jgt", "jge"]))
            k = int.from_bytes(bytes(draw(st.lists(FEW, min_size=size, max_size=size))), "big")
            ways = st.integers(0, min(left() - 1, 6)) | st.just(0)
            draft.add(BY_NAME[mnemonic, Form.IMM_TARGETS], k, draw(ways), draw(ways))

    def either() -> None:
        """Two loads, each compared with the same numbers, all with one aim: ports, addresses."""
        count, size = draw(st.integers(1, 9)), draw(st.sampled_from([1, 2, 2, 4]))
        behind = left() - 2 * (1 + count)
        if behind < 2:
            return
        row, at = draw(st.sampled_from(LOADS[size])), draw(st.integers(0, 10))
        apart = draw(st.sampled_from([size, size, 0, 1, 3]))
        ks = [int.from_bytes(bytes(draw(st.lists(FEW, min_size=size, max_size=size))), "big")
              for _ in range(count)]  # fmt: skip
        aim = len(draft.insns) + 2 * (1 + count) + draw(st.integers(0, min(behind - 1, 200)))
        for k in (at, at + apart):
            draft.add(row, k)
            for each in ks:
                draft.add(BY_NAME["jeq", Form.IMM_TARGETS], each, aim - len(draft.insns) - 1)

    while left() > 0:
        kind = draw(st.integers(0, 10))
        if kind == 10:
            either()
        elif kind < 6:
            size = draw(st.sampled_from([1, 1, 2, 4]))
            draft.add(draw(st.sampled_from(LOADS[size])), draw(st.integers(0, 12)))
            tests(size)
        elif kind < 7:
            draft.add(BY_NAME["ldxb", Form.MSH], draw(st.integers(0, 12)))
        elif kind < 8:
            draft.add(BY_NAME["ldx", Form.IMM], draw(st.integers(0, 12)))
        else:
            change = draw(st.sampled_from(["tax", "txa"]))
            draft.add(BY_NAME[change, Form.NONE], 0)
    row = draw(st.sampled_from(RETS))
    draft.add(row, draw(FEW) if row.form.uses_k else 0)
    return Program(tuple(draft.insns))


@st.composite
def near_legal_programs(draw: st.DrawFn, max_size: int = 24) -> Program:
    """Legal programs, and legal programs with one or two fields changed."""
    program = draw(legal_programs(max_size))
    insns = list(program.insns)
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        pc = draw(st.integers(0, len(insns) - 1))
        insns[pc] = draw(changed(insns[pc]))
    return Program(tuple(insns))


def changed(insn: Insn) -> st.SearchStrategy[Insn]:
    """The instruction with another opcode, constant or targets."""
    near = [AD_OFF + 64, AD_OFF + 2, AD_OFF - 1, 15, 16, 31, 32, 0, insn.k + 1 & 0xFFFFFFFF]
    known = st.sampled_from([row.code for row in OPCODES])
    codes = known | st.integers(0, 0xFF) | st.integers(0, 0xFFFF)
    return st.one_of(
        codes.map(lambda code: insn._replace(code=code)),
        st.sampled_from(near).map(lambda k: insn._replace(k=k)),
        st.integers(0, 255).map(lambda jt: insn._replace(jt=jt)),
        st.integers(0, 255).map(lambda jf: insn._replace(jf=jf)),
    )


def attributes() -> st.SearchStrategy[bytes]:
    """Netlink attributes one after another, some nested, some with a wrong length."""
    kinds = st.integers(0, 5) | st.sampled_from([0x8001, 0x4002, 0xC003])
    leaf = st.builds(attribute, kinds, st.binary(max_size=9), st.sampled_from([0, 0, 0, 1, -3, 40]))
    nested = st.builds(attribute, kinds, st.lists(leaf, max_size=3).map(b"".join), st.just(0))
    return st.lists(leaf | nested, max_size=6).map(b"".join)


def attribute(kind: int, payload: bytes, error: int) -> bytes:
    """One attribute; its length is off by `error`."""
    length = max(0, 4 + len(payload) + error)
    return struct.pack("=HH", length, kind) + payload + bytes(-len(payload) % 4)


def packet_bytes(max_size: int = 400) -> st.SearchStrategy[bytes]:
    """The bytes of a packet, any from none to `max_size`."""
    sized = st.integers(0, max_size).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    return st.binary(max_size=64) | sized | attributes().map(lambda data: data[:max_size])
