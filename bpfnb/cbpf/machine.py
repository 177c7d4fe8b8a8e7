"""The reference interpreter: what each instruction does, once.

`step(state, insn, packet)` gives the state after one instruction; `run` does
that until the program ends, on registers that it may change.  Both use the
same one-line operations below, so that what you step through is what runs.

Arithmetic is exact in 32 bits.  A load past the end, a division by X = 0 and
an extension that lacks its device end the program.  Left out: refusing bad
programs (`checker`); unchecked ones need a step budget.

Source: McCanne & Jacobson 1993, section 3.3; where the paper is silent, what
Linux does (shifts by X use X & 31; X + k wraps), checked against the kernel.

Legend: A accumulator, X index register, M scratch memory, pc program counter
(always of the *next* instruction while one executes), P the packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF, UNIX_SOCKET, Ancillary
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import MEMWORDS, OPCODES, Form, Opcode
from bpfnb.cbpf.payload import find_attribute, find_nested_attribute, payload_offset
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

__all__ = ["PacketView", "State", "run", "step"]

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class State:
    """The machine between two instructions.

    `pc` is the index of the instruction to execute next.  `ret` is None until
    the program has ended; then it is the verdict: how many bytes to accept.
    """

    pc: int = 0
    A: int = 0
    X: int = 0
    M: tuple[int, ...] = (0,) * MEMWORDS
    ret: int | None = None


@dataclass
class PacketView:
    """A packet as the machine sees it: the bytes captured and the notes.

    `reads` collects (offset, size) of each packet load, `missed` the one that
    lay past the end.
    """

    data: bytes
    wirelen: int
    ancillary: Ancillary
    reads: list[tuple[int, int]] = field(default_factory=list)
    missed: tuple[int, int] | None = None

    @classmethod
    def of(
        cls, data: bytes, wirelen: int | None = None, ancillary: Ancillary | None = None
    ) -> PacketView:
        """Fill in what was not given: wire length as captured, no device."""
        length = len(data) if wirelen is None else wirelen
        return cls(data, length, UNIX_SOCKET if ancillary is None else ancillary)

    def load(self, k: int, size: int) -> int:
        """Read `size` bytes at `k` in network order; end the program past the end.

        >>> arp = bytes.fromhex("ffffffffffff 001122334455 0806")
        >>> hex(PacketView.of(arp).load(12, 2))
        '0x806'
        """
        start = k if k < 0x80000000 else self.negative(k)
        if start is None or start < 0 or start + size > len(self.data):
            self.missed = (k, size)
            raise Ended(0)
        self.reads.append((start, size))
        return int.from_bytes(self.data[start : start + size], "big")

    def negative(self, k: int) -> int | None:
        """Turn an offset from the network or link header into one from the start."""
        if k >= NET_OFF:
            return self.ancillary.net_offset + k - NET_OFF
        if k >= LL_OFF and self.ancillary.link_offset is not None:
            return self.ancillary.link_offset + k - LL_OFF
        return None


class Ended(Exception):  # noqa: N818  an end of the program is no error
    """Control flow of the machine: the program has ended with `ret`."""

    def __init__(self, ret: int) -> None:
        super().__init__(ret)
        self.ret = ret


class Registers:
    """The machine while it runs: the same names as `State`, but changeable."""

    __slots__ = ("A", "M", "X", "pc")

    def __init__(self, state: State) -> None:
        self.pc, self.A, self.X, self.M = state.pc, state.A, state.X, list(state.M)


Operation = Callable[[Registers, Insn, PacketView], None]


def packet_load(row: Opcode) -> Operation:
    """ld, ldh, ldb, ldxb: everything that reads P."""
    size = row.size

    def absolute(r: Registers, i: Insn, p: PacketView) -> None:
        # A <- P[k:size], or what the extension k reads
        r.A = extension(i.k, r, p) if i.k in BY_K else p.load(i.k, size)

    def indirect(r: Registers, i: Insn, p: PacketView) -> None:
        # A <- P[X+k:size]
        r.A = p.load((r.X + i.k) & MASK, size)

    def header_length(r: Registers, i: Insn, p: PacketView) -> None:
        # X <- 4*(P[k:1]&0xf)
        r.X = 4 * (p.load(i.k, 1) & 0xF)

    return {Form.ABS: absolute, Form.IND: indirect, Form.MSH: header_length}[row.form]


def plain_load(row: Opcode) -> Operation:
    """ld and ldx of what is not in the packet."""

    def value(r: Registers, i: Insn, p: PacketView) -> int:
        if row.form is Form.MEM:
            return r.M[scratch(i.k)]
        return i.k if row.form is Form.IMM else p.wirelen & MASK

    def into_a(r: Registers, i: Insn, p: PacketView) -> None:
        # A <- k, len or M[k]
        r.A = value(r, i, p)

    def into_x(r: Registers, i: Insn, p: PacketView) -> None:
        # X <- k, len or M[k]
        r.X = value(r, i, p)

    return into_a if row.mnemonic == "ld" else into_x


def scratch(k: int) -> int:
    """The index `k` of a scratch word; an unchecked program may go astray here."""
    if k >= MEMWORDS:
        raise BpfError(f"M[{k}] does not exist: there are {MEMWORDS} scratch words, 0–15")
    return k


def store_a(r: Registers, i: Insn, p: PacketView) -> None:
    # M[k] <- A
    r.M[scratch(i.k)] = r.A


def store_x(r: Registers, i: Insn, p: PacketView) -> None:
    # M[k] <- X
    r.M[scratch(i.k)] = r.X


def divide(a: int, v: int) -> int:
    """A / v, ending the program with 0 when v is 0."""
    if v == 0:
        raise Ended(0)
    return a // v


def modulo(a: int, v: int) -> int:
    """A % v, ending the program with 0 when v is 0."""
    if v == 0:
        raise Ended(0)
    return a % v


ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, v: a + v & MASK,
    "sub": lambda a, v: a - v & MASK,
    "mul": lambda a, v: a * v & MASK,
    "div": divide,
    "mod": modulo,
    "and": lambda a, v: a & v,
    "or": lambda a, v: a | v,
    "xor": lambda a, v: a ^ v,
    "lsh": lambda a, v: a << (v & 31) & MASK,
    "rsh": lambda a, v: a >> (v & 31),
}
TESTS: dict[str, Callable[[int, int], bool]] = {
    "jeq": lambda a, v: a == v,
    "jgt": lambda a, v: a > v,
    "jge": lambda a, v: a >= v,
    "jset": lambda a, v: a & v != 0,
}


def arithmetic(row: Opcode) -> Operation:
    """A <- A op k, or A op X."""
    operate = ARITHMETIC[row.mnemonic]

    def with_k(r: Registers, i: Insn, p: PacketView) -> None:
        # A <- A op k
        r.A = operate(r.A, i.k)

    def with_x(r: Registers, i: Insn, p: PacketView) -> None:
        # A <- A op X
        r.A = operate(r.A, r.X)

    return with_x if row.form is Form.X else with_k


def conditional(row: Opcode) -> Operation:
    """pc += (A test k) ? jt : jf, or with X."""
    test = TESTS[row.mnemonic]

    def with_k(r: Registers, i: Insn, p: PacketView) -> None:
        # pc += (A test k) ? jt : jf
        r.pc += i.jt if test(r.A, i.k) else i.jf

    def with_x(r: Registers, i: Insn, p: PacketView) -> None:
        # pc += (A test X) ? jt : jf
        r.pc += i.jt if test(r.A, r.X) else i.jf

    return with_x if row.form is Form.X_TARGETS else with_k


def jump(r: Registers, i: Insn, p: PacketView) -> None:
    # pc += k, in 32 bits: an unchecked program may jump backwards
    r.pc = (r.pc + i.k) & MASK


def negate(r: Registers, i: Insn, p: PacketView) -> None:
    # A <- -A
    r.A = -r.A & MASK


def return_k(r: Registers, i: Insn, p: PacketView) -> None:
    # return k
    raise Ended(i.k)


def return_a(r: Registers, i: Insn, p: PacketView) -> None:
    # return A
    raise Ended(r.A)


def tax(r: Registers, i: Insn, p: PacketView) -> None:
    # X <- A
    r.X = r.A


def txa(r: Registers, i: Insn, p: PacketView) -> None:
    # A <- X
    r.A = r.X


ALONE: dict[tuple[str, Form], Operation] = {
    ("st", Form.MEM): store_a,
    ("stx", Form.MEM): store_x,
    ("ja", Form.TARGET): jump,
    ("neg", Form.NONE): negate,
    ("ret", Form.IMM): return_k,
    ("ret", Form.A): return_a,
    ("tax", Form.NONE): tax,
    ("txa", Form.NONE): txa,
}


def operation(row: Opcode) -> Operation:
    """The operation of one row of the opcode table."""
    if alone := ALONE.get((row.mnemonic, row.form)):
        return alone
    if row.size:
        return packet_load(row)
    if row.form.jumps:
        return conditional(row)
    return arithmetic(row) if row.mnemonic in ARITHMETIC else plain_load(row)


OPERATIONS: dict[int, Operation] = {row.code: operation(row) for row in OPCODES}


def extension(k: int, r: Registers, p: PacketView) -> int:
    """What `ld [k]` reads when k is one of Linux's extensions."""
    notes, name = p.ancillary, BY_K[k].name
    if name in ("ifidx", "hatype"):
        note = notes.ifindex if name == "ifidx" else notes.hatype
        if note is None:
            raise Ended(r.A)
        return note & MASK
    special: dict[str, Callable[[], int]] = {
        "nla": lambda: find_attribute(p.data, r.A, r.X),
        "nlan": lambda: find_nested_attribute(p.data, r.A, r.X),
        "alu_xor_x": lambda: r.A ^ r.X,
        "poff": lambda: payload_offset(p.data, notes.proto, notes.net_offset, notes.vlan_present),
        "rand": notes.random,
        "type": lambda: notes.pkttype,
        "vlan_avail": lambda: notes.vlan_present,
    }
    value = special[name]() if name in special else getattr(notes, name)
    return int(value) & MASK


def execute(r: Registers, insns: Sequence[Insn], packet: PacketView) -> None:
    """Fetch, move pc on, operate.  An end raises `Ended`."""
    if r.pc >= len(insns):
        raise BpfError(
            f"the program ran past its end: pc is {r.pc}, the last instruction {len(insns) - 1}",
            "end every path with a ret",
        )
    insn = insns[r.pc]
    operate = OPERATIONS.get(insn.code)
    if operate is None:
        raise BpfError(f"({r.pc:03d}) no machine runs opcode {insn.code:#04x}")
    r.pc += 1
    operate(r, insn, packet)


def step(state: State, insns: Sequence[Insn], packet: PacketView) -> State:
    """The state after the instruction at `state.pc`."""
    if state.ret is not None:
        return state
    r = Registers(state)
    try:
        execute(r, insns, packet)
    except Ended as end:
        return State(state.pc, r.A, r.X, tuple(r.M), end.ret)
    return State(r.pc, r.A, r.X, tuple(r.M))


def run(
    program: Program,
    data: bytes,
    wirelen: int | None = None,
    ancillary: Ancillary | None = None,
    budget: int | None = None,
) -> int:
    """Run a program on the bytes of one packet: ret, 0 <= ret < 2**32.

    `wirelen` is what `len` gives (as captured when None).  `budget` bounds the
    steps of a program that was not checked; beyond it a BpfError is raised.

    >>> run(Program.from_insns([(0x80, 0, 0, 0), (0x16, 0, 0, 0)]), b"seven b")
    7
    """
    insns = program.insns
    packet = PacketView.of(data, wirelen, ancillary)
    r = Registers(State())
    left = len(insns) if budget is None else budget
    try:
        while left > 0:
            execute(r, insns, packet)
            left -= 1
    except Ended as end:
        return end.ret
    raise out_of_steps(len(insns) if budget is None else budget)


def out_of_steps(budget: int) -> BpfError:
    """The error of a program that did not end in time."""
    return BpfError(f"the program did not end within {budget} steps; it may loop")
