"""The reference interpreter: what each instruction does, as one switch.

`advance` fetches, decodes and executes.  `run` lets it go to the end, `step`
stops it after one instruction, `follow` notes the pcs: what you step through
is what runs.

The switch is written for speed: instructions are bare tuples, and the opcodes
that filters execute most come first.  Its loads take bytes that are in the
packet; a load that does not fit falls through to the last branches, for Linux's
notes (`linux_loads`) and the end of the packet.

Arithmetic is exact in 32 bits.  A load past the end, a division by X = 0 and
an extension that lacks its device end the program.  Left out: refusing bad
programs (`checker`); unchecked ones need a step budget.

Source: McCanne & Jacobson 1993, section 3.3; where the paper is silent, what
Linux does (shifts by X use X & 31; X + k wraps), checked against the kernel.

Legend: A accumulator, X index register, M scratch memory, pc program counter
(always of the *next* instruction while one executes), P the packet.
"""
# ruff: noqa: SIM300  A and X are registers, no constants to be compared with

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from struct import Struct
from typing import Protocol

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.linux_loads import Notes, extension, far_load
from bpfnb.cbpf.opcodes import BY_NAME, MEMWORDS, OPCODES, Form
from bpfnb.cbpf.program import Program, Row
from bpfnb.errors import RunError

__all__ = ["State", "follow", "run", "step", "watch"]

MASK = 0xFFFFFFFF
ONCE = (None,)  # steps for one turn of the loop


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


def codes(form: Form, *mnemonics: str) -> tuple[int, ...]:
    """The opcodes of mnemonics with one operand form, from the one table."""
    return tuple(BY_NAME[mnemonic, form].code for mnemonic in mnemonics)


LD_ABS, LDH_ABS, LDB_ABS = codes(Form.ABS, "ld", "ldh", "ldb")
LD_IND, LDH_IND, LDB_IND = codes(Form.IND, "ld", "ldh", "ldb")
LDXB_MSH, *_ = codes(Form.MSH, "ldxb")
LD_IMM, LDX_IMM, AND_K, RET_K = codes(Form.IMM, "ld", "ldx", "and", "ret")
LD_LEN, LDX_LEN = codes(Form.LEN, "ld", "ldx")
LD_MEM, LDX_MEM, ST, STX = codes(Form.MEM, "ld", "ldx", "st", "stx")
JEQ_K, JGT_K, JGE_K, JSET_K = codes(Form.IMM_TARGETS, "jeq", "jgt", "jge", "jset")
JEQ_X, JGT_X, JGE_X, JSET_X = codes(Form.X_TARGETS, "jeq", "jgt", "jge", "jset")
JA, *_ = codes(Form.TARGET, "ja")
NEG, TAX, TXA = codes(Form.NONE, "neg", "tax", "txa")
RET_A, *_ = codes(Form.A, "ret")

INDIRECT = {LD_IND, LDH_IND, LDB_IND}
SIZES = {row.code: row.size for row in OPCODES if row.size}  # bytes that packet loads read
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, v: a + v & MASK,
    "sub": lambda a, v: a - v & MASK,
    "mul": lambda a, v: a * v & MASK,
    "div": lambda a, v: a // v,
    "mod": lambda a, v: a % v,
    "and": lambda a, v: a & v,
    "or": lambda a, v: a | v,
    "xor": lambda a, v: a ^ v,
    "lsh": lambda a, v: a << (v & 31) & MASK,
    "rsh": lambda a, v: a >> (v & 31),
}
WITH_K = dict(zip(codes(Form.IMM, *OPERATIONS), OPERATIONS.values(), strict=True))
WITH_X = dict(zip(codes(Form.X, *OPERATIONS), OPERATIONS.values(), strict=True))
DIVISIONS = {*codes(Form.IMM, "div", "mod"), *codes(Form.X, "div", "mod")}

word = Struct(">I").unpack_from  # P[k:4], as a tuple of one


class Rows(Protocol):
    """What instructions are fetched from: a program's rows, or `Watched` ones."""

    def __getitem__(self, pc: int, /) -> Row: ...
    def __len__(self) -> int: ...


def advance(  # noqa: C901, PLR0915  one branch an opcode: the switch is the machine
    rows: Rows,
    P: bytes,
    wirelen: int,
    notes: Notes,
    pc: int,
    A: int,
    X: int,
    M: dict[int, int],
    steps: Iterable[object],
) -> int | tuple[int, int, int]:
    """Execute an instruction for each item of `steps`, unless the program ends before.

    The result is ret when it ended, else the registers (pc, A, X).  M holds the
    words that were stored, the others are 0; it is changed in place.  An
    instruction that ends the program changes nothing.
    """
    caplen = len(P)
    try:
        for _ in steps:
            code, jt, jf, k = rows[pc]
            pc += 1
            if code == JEQ_K:
                # pc += (A == k) ? jt : jf
                pc += jt if A == k else jf
            elif code == LDH_ABS and k + 2 <= caplen:
                # A <- P[k:2]
                A = P[k] << 8 | P[k + 1]
            elif code == RET_K:
                # return k
                return k
            elif code == LDB_ABS and k < caplen:
                # A <- P[k:1]
                A = P[k]
            elif code == LD_ABS and k + 4 <= caplen:
                # A <- P[k:4]
                (A,) = word(P, k)
            elif code == LDH_IND and X + k + 2 <= caplen:
                # A <- P[X+k:2]
                A = P[X + k] << 8 | P[X + k + 1]
            elif code == JSET_K:
                # pc += (A & k) ? jt : jf
                pc += jt if A & k else jf
            elif code == LDXB_MSH and k < caplen:
                # X <- 4*(P[k:1]&0xf)
                X = 4 * (P[k] & 0xF)
            elif code == AND_K:
                # A <- A & k
                A = A & k
            elif code == JGT_K:
                # pc += (A > k) ? jt : jf
                pc += jt if A > k else jf
            elif code == JGE_K:
                # pc += (A >= k) ? jt : jf
                pc += jt if A >= k else jf
            elif code == LDB_IND and X + k < caplen:
                # A <- P[X+k:1]
                A = P[X + k]
            elif code == LD_IND and X + k + 4 <= caplen:
                # A <- P[X+k:4]
                (A,) = word(P, X + k)
            elif code in WITH_K and (k or code not in DIVISIONS):
                # A <- A op k
                A = WITH_K[code](A, k)
            elif code in WITH_X and (X or code not in DIVISIONS):
                # A <- A op X
                A = WITH_X[code](A, X)
            elif code == LD_MEM and k < MEMWORDS:
                # A <- M[k]
                A = M.get(k, 0)
            elif code == LDX_MEM and k < MEMWORDS:
                # X <- M[k]
                X = M.get(k, 0)
            elif code == ST and k < MEMWORDS:
                # M[k] <- A
                M[k] = A
            elif code == STX and k < MEMWORDS:
                # M[k] <- X
                M[k] = X
            elif code == TAX:
                # X <- A
                X = A
            elif code == TXA:
                # A <- X
                A = X
            elif code == LD_IMM:
                # A <- k
                A = k
            elif code == LDX_IMM:
                # X <- k
                X = k
            elif code == LD_LEN:
                # A <- len
                A = wirelen & MASK
            elif code == LDX_LEN:
                # X <- len
                X = wirelen & MASK
            elif code == RET_A:
                # return A
                return A
            elif code == JA:
                # pc += k, in 32 bits: an unchecked program may jump backwards
                pc = pc + k & MASK
            elif code == JEQ_X:
                # pc += (A == X) ? jt : jf
                pc += jt if A == X else jf
            elif code == JGT_X:
                # pc += (A > X) ? jt : jf
                pc += jt if A > X else jf
            elif code == JGE_X:
                # pc += (A >= X) ? jt : jf
                pc += jt if A >= X else jf
            elif code == JSET_X:
                # pc += (A & X) ? jt : jf
                pc += jt if A & X else jf
            elif code == NEG:
                # A <- -A
                A = -A & MASK
            elif code in DIVISIONS:
                # by 0: return 0
                return 0
            elif k in BY_K and code in (LD_ABS, LDH_ABS, LDB_ABS):
                # A <- what the extension k reads; without a device: return A
                read = extension(k, A, X, P, notes)
                if read is None:
                    return A
                A = read
            elif code in SIZES:
                # A or X <- P[k:size] counted from a header; past the end: return 0
                at = X + k & MASK if code in INDIRECT else k
                read = far_load(at, SIZES[code], P, notes)
                if read is None:
                    return 0
                if code == LDXB_MSH:
                    X = 4 * (read & 0xF)
                else:
                    A = read
            else:
                raise astray(pc - 1, code, k)
    except IndexError:  # from rows[pc]; asking before each fetch would take longer
        if pc < len(rows):
            raise
        raise past_end(pc, len(rows)) from None
    return pc, A, X


def run(
    program: Program,
    data: bytes,
    wirelen: int | None = None,
    ancillary: Notes = None,
    budget: int | None = None,
) -> int:
    """Run a program on the bytes of one packet: ret, 0 <= ret < 2**32.

    `wirelen` is what `len` gives (as captured when None).  `ancillary` may be a
    function: it is called when an instruction reads the notes, and not before.
    `budget` bounds the steps of a program that was not checked; beyond it a
    RunError is raised.

    >>> run(Program.from_insns([(0x80, 0, 0, 0), (0x16, 0, 0, 0)]), b"seven b")
    7
    """
    rows = program.rows
    # a checked program takes at most one step for each of its instructions
    steps = rows if budget is None else range(budget)
    length = len(data) if wirelen is None else wirelen
    end = advance(rows, data, length, ancillary, 0, 0, 0, {}, steps)
    if isinstance(end, int):
        return end
    raise out_of_steps(program, len(steps))


def step(
    state: State,
    program: Program,
    data: bytes,
    wirelen: int | None = None,
    ancillary: Notes = None,
) -> State:
    """The state after the instruction at `state.pc`.

    >>> step(State(A=1), Program.from_insns([(0x04, 0, 0, 2)]), b"").A
    3
    """
    if state.ret is not None:
        return state
    length = len(data) if wirelen is None else wirelen
    M = dict(enumerate(state.M))
    end = advance(program.rows, data, length, ancillary, state.pc, state.A, state.X, M, ONCE)
    return replace(state, ret=end) if isinstance(end, int) else State(*end, tuple(M.values()))


class Watched:
    """Rows that note in `path` the pc of each instruction fetched."""

    __slots__ = ("path", "rows")

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self.rows = rows
        self.path: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, pc: int) -> Row:
        self.path.append(pc)
        return self.rows[pc]


def follow(
    program: Program,
    data: bytes,
    wirelen: int | None = None,
    ancillary: Notes = None,
    budget: int | None = None,
) -> tuple[list[int], int]:
    """Run like `run`: the pcs executed, in order, and ret.

    >>> follow(Program.from_insns([(0x15, 1, 0, 0), (6, 0, 0, 0), (6, 0, 0, 5)]), b"")
    ([0, 2], 5)
    """
    steps = program.rows if budget is None else range(budget)
    path, ret = watch(program, data, wirelen, ancillary, steps)
    if ret is None:
        raise out_of_steps(program, len(steps))
    return path, ret


def watch(
    program: Program,
    data: bytes,
    wirelen: int | None,
    ancillary: Notes,
    steps: Iterable[object],
) -> tuple[list[int], int | None]:
    """The same for as many steps as there are items; ret is None where they did not do."""
    watched = Watched(program.rows)
    length = len(data) if wirelen is None else wirelen
    end = advance(watched, data, length, ancillary, 0, 0, 0, {}, steps)
    return watched.path, end if isinstance(end, int) else None


def out_of_steps(program: Program, budget: int) -> RunError:
    """The error of a program that did not end in time."""
    if not len(program):
        return RunError("the program is empty", "the shortest program is: ret #0")
    return RunError(
        f"the program did not end within {budget} steps; it may loop",
        "prog.trace(packet, check=False) and --unchecked --step show its first steps",
    )


def past_end(pc: int, size: int) -> RunError:
    """The error of a program of `size` instructions that has none at pc."""
    return RunError(
        f"the program ran past its end: pc is {pc}, the last instruction {size - 1}",
        "end every path with a ret",
    )


def astray(pc: int, code: int, k: int) -> RunError:
    """The error of an instruction that a checker refuses: its opcode, or its M[k]."""
    if code in (LD_MEM, LDX_MEM, ST, STX):
        return RunError(f"M[{k}] does not exist: there are {MEMWORDS} scratch words, 0–15")
    return RunError(f"({pc:03d}) no machine runs opcode {code:#04x}")
