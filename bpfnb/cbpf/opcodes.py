"""The one table of the 49 legal opcodes of classic BPF.

Assembler, disassembler, checker, machine, views, help and tests all read it:
a fact about an opcode stands here and nowhere else.  Left out: what an opcode
*does* as code (`machine`) and the extensions of Linux (`ancillary`).

Source: McCanne & Jacobson 1993, tables 1 and 2; linux/bpf_common.h; the nine
that its tables lack (neg, mod, xor, jumps that compare with x) by running kernels.

Legend: A accumulator, X index register, M[] scratch memory, P[] packet,
k the instruction's constant, pc the number of the *next* instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["BY_CODE", "OPCODES", "Class", "Form", "Opcode", "Since", "find"]

MAXINSNS = 4096  # BPF_MAXINSNS
MEMWORDS = 16  # BPF_MEMWORDS


class Class(Enum):
    """Instruction classes: the low three bits of a code."""

    LD = 0
    LDX = 1
    ST = 2
    STX = 3
    ALU = 4
    JMP = 5
    RET = 6
    MISC = 7


class Form(Enum):
    """How the operand is written; the paper's Table 2, and what came later.

    The value is a template: `{k}` is the constant, `{t}` and `{f}` the targets.
    """

    NONE = ""
    IMM = "#{k}"
    LEN = "#len"
    MEM = "M[{k}]"
    ABS = "[{k}]"
    IND = "[x+{k}]"
    MSH = "4*([{k}]&0xf)"
    A = "a"
    X = "x"
    TARGET = "{t}"
    IMM_TARGETS = "#{k},{t},{f}"
    X_TARGETS = "x,{t},{f}"

    @property
    def jumps(self) -> bool:
        """True for the two conditional jumps, which use jt and jf."""
        return self in (Form.IMM_TARGETS, Form.X_TARGETS)

    @property
    def uses_k(self) -> bool:
        """True where the field k means something."""
        return "{k}" in self.value or self is Form.TARGET


class Since(Enum):
    """Whether the 1993 paper's tables have the opcode, or it is known from later.

    Only mod and xor were really made later; neg and the tests against X stand
    in the code of 1991 already, and not in the tables.
    """

    PAPER = "1993"
    LATER = "later"


@dataclass(frozen=True)
class Opcode:
    """One row: `size` is the bytes a packet load reads, 0 elsewhere.

    `transfer` is the register transfer, `sentence` the same in words; both may
    hold `{k}`.  `hexadecimal` says that the constant is a bit pattern.
    """

    code: int
    mnemonic: str
    form: Form
    transfer: str
    sentence: str
    since: Since = Since.PAPER
    size: int = 0
    hexadecimal: bool = False

    @property
    def cls(self) -> Class:
        """The instruction class."""
        return Class(self.code & 0x07)

    @property
    def name(self) -> str:
        """Mnemonic and operand form as people write them: `ldh [k]`."""
        operand = self.form.value.format(k="k", t="L" if self.form is Form.TARGET else "Lt", f="Lf")
        return f"{self.mnemonic} {operand}".rstrip()


def loads() -> list[Opcode]:
    """ld, ldh, ldb, ldx: into A and X."""
    sizes = [
        (0x00, "ld", 4, "the word"),
        (0x08, "ldh", 2, "the half word"),
        (0x10, "ldb", 1, "the byte"),
    ]
    rows = []
    for bits, mnemonic, size, words in sizes:
        rows.append(
            Opcode(
                0x20 | bits,
                mnemonic,
                Form.ABS,
                f"A <- P[{{k}}:{size}]",
                f"load {words} at byte {{k}} of the packet into A",
                size=size,
            )
        )
        rows.append(
            Opcode(
                0x40 | bits,
                mnemonic,
                Form.IND,
                f"A <- P[X+{{k}}:{size}]",
                f"load {words} at byte X + {{k}} of the packet into A",
                size=size,
            )
        )
    return [
        *rows,
        Opcode(0x80, "ld", Form.LEN, "A <- len", "load the packet's length on the wire into A"),
        Opcode(0x00, "ld", Form.IMM, "A <- {k}", "load the number {k} into A", hexadecimal=True),
        Opcode(0x60, "ld", Form.MEM, "A <- M[{k}]", "load scratch word {k} into A"),
        Opcode(0x01, "ldx", Form.IMM, "X <- {k}", "load the number {k} into X", hexadecimal=True),
        Opcode(0x61, "ldx", Form.MEM, "X <- M[{k}]", "load scratch word {k} into X"),
        Opcode(0x81, "ldx", Form.LEN, "X <- len", "load the packet's length on the wire into X"),
        Opcode(
            0xB1,
            "ldxb",
            Form.MSH,
            "X <- 4*(P[{k}:1]&0xf)",
            "load four times the low half of byte {k} into X: an IPv4 header's length",
            size=1,
        ),
    ]


def arithmetic() -> list[Opcode]:
    """A with the constant k, then the same with X; neg has neither."""
    words = [
        (0x00, "add", "+", "add {v} to A"),
        (0x10, "sub", "-", "subtract {v} from A"),
        (0x20, "mul", "*", "multiply A by {v}"),
        (0x30, "div", "/", "divide A by {v}"),
        (0x90, "mod", "%", "leave in A the rest of A divided by {v}"),
        (0x50, "and", "&", "keep in A the bits that {v} has set"),
        (0x40, "or", "|", "set in A the bits that {v} has set"),
        (0xA0, "xor", "^", "flip in A the bits that {v} has set"),
        (0x60, "lsh", "<<", "shift A left by {v} bits"),
        (0x70, "rsh", ">>", "shift A right by {v} bits"),
    ]
    rows = []
    for bits, mnemonic, sign, words_ in words:
        since = Since.LATER if mnemonic in ("mod", "xor") else Since.PAPER
        bitwise = mnemonic in ("and", "or", "xor")
        for source, form, operand in ((0x00, Form.IMM, "{k}"), (0x08, Form.X, "X")):
            sentence = words_.format(v=operand)
            if mnemonic in ("div", "mod") and form is Form.X:
                sentence += "; when X is 0, end with 0"
            rows.append(
                Opcode(
                    0x04 | bits | source,
                    mnemonic,
                    form,
                    f"A <- A {sign} {operand}",
                    sentence,
                    since,
                    hexadecimal=bitwise,
                )
            )
    negate = Opcode(0x84, "neg", Form.NONE, "A <- -A", "change A's sign, in 32 bits", Since.LATER)
    return [*rows, negate]


def jumps() -> list[Opcode]:
    """ja, and four comparisons with k and with X."""
    words = [
        (0x10, "jeq", "A == {v}", "if A equals {v}"),
        (0x20, "jgt", "A > {v}", "if A is above {v}"),
        (0x30, "jge", "A >= {v}", "if A is {v} or above"),
        (0x40, "jset", "A & {v}", "if A has any bit of {v} set"),
    ]
    rows = [Opcode(0x05, "ja", Form.TARGET, "pc += {k}", "jump over {k} instructions")]
    for bits, mnemonic, test, condition in words:
        for source, form, operand, since in (
            (0x00, Form.IMM_TARGETS, "{k}", Since.PAPER),
            (0x08, Form.X_TARGETS, "X", Since.LATER),
        ):
            rows.append(
                Opcode(
                    0x05 | bits | source,
                    mnemonic,
                    form,
                    f"pc += ({test.format(v=operand)}) ? jt : jf",
                    f"{condition.format(v=operand)}, jump over jt instructions, else over jf",
                    since,
                    hexadecimal=True,
                )
            )
    return rows


def others() -> list[Opcode]:
    """Stores, the two returns, and moves between A and X."""
    return [
        Opcode(0x02, "st", Form.MEM, "M[{k}] <- A", "store A in scratch word {k}"),
        Opcode(0x03, "stx", Form.MEM, "M[{k}] <- X", "store X in scratch word {k}"),
        Opcode(0x06, "ret", Form.IMM, "return {k}", "end: accept the first {k} bytes, 0 rejects"),
        Opcode(0x16, "ret", Form.A, "return A", "end: accept the first A bytes, 0 rejects"),
        Opcode(0x07, "tax", Form.NONE, "X <- A", "copy A into X"),
        Opcode(0x87, "txa", Form.NONE, "A <- X", "copy X into A"),
    ]


OPCODES: tuple[Opcode, ...] = (*loads(), *others()[:2], *arithmetic(), *jumps(), *others()[2:])
BY_CODE: dict[int, Opcode] = {row.code: row for row in OPCODES}
RET_X = 0x0E  # `ret x`: bpf_asm and libpcap's validator know it, no machine runs it


def find(mnemonic: str, form: Form) -> Opcode | None:
    """The row for a mnemonic with an operand form, None when there is none.

    >>> hex(find("ldh", Form.ABS).code)
    '0x28'
    """
    return BY_NAME.get((mnemonic, form))


BY_NAME: dict[tuple[str, Form], Opcode] = {(row.mnemonic, row.form): row for row in OPCODES}
