"""The yardstick for the interpreter: the plain loop that one would write oneself.

Instructions are bare tuples, a chain of `if`s tells the opcode, packet bytes are
indexed where they are wanted, opcodes are numbers; those that filters execute
most come first.  It runs all 49 opcodes as Linux does, and expects a checked
program.  Left out: Linux's extensions and offsets from a header (those loads lie
past the end here), step budgets, traces, errors; in short, what costs time.

Legend: A accumulator, X index register, M scratch memory, pc the number of the
next instruction; P the packet.
"""
# ruff: noqa: SIM300  A and X are registers, no constants to be compared with

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["run"]

MASK = 0xFFFFFFFF


def run(  # noqa: C901, PLR0915  one branch an opcode
    rows: Sequence[tuple[int, int, int, int]], P: bytes, wirelen: int
) -> int:
    """Run a program, a (code, jt, jf, k) an instruction, on one packet: ret."""
    caplen = len(P)
    A = X = pc = 0
    M = [0] * 16
    while True:
        code, jt, jf, k = rows[pc]
        pc += 1
        if code == 0x15:  # jeq #k
            pc += jt if A == k else jf
        elif code == 0x28:  # ldh [k]
            if k + 2 > caplen:
                return 0
            A = P[k] << 8 | P[k + 1]
        elif code == 0x06:  # ret #k
            return k
        elif code == 0x30:  # ldb [k]
            if k >= caplen:
                return 0
            A = P[k]
        elif code == 0x20:  # ld [k]
            if k + 4 > caplen:
                return 0
            A = P[k] << 24 | P[k + 1] << 16 | P[k + 2] << 8 | P[k + 3]
        elif code == 0x48:  # ldh [x + k]
            i = X + k & MASK
            if i + 2 > caplen:
                return 0
            A = P[i] << 8 | P[i + 1]
        elif code == 0x45:  # jset #k
            pc += jt if A & k else jf
        elif code == 0xB1:  # ldxb 4*([k]&0xf)
            if k >= caplen:
                return 0
            X = 4 * (P[k] & 0xF)
        elif code == 0x54:  # and #k
            A &= k
        elif code == 0x25:  # jgt #k
            pc += jt if A > k else jf
        elif code == 0x35:  # jge #k
            pc += jt if A >= k else jf
        elif code == 0x50:  # ldb [x + k]
            i = X + k & MASK
            if i >= caplen:
                return 0
            A = P[i]
        elif code == 0x40:  # ld [x + k]
            i = X + k & MASK
            if i + 4 > caplen:
                return 0
            A = P[i] << 24 | P[i + 1] << 16 | P[i + 2] << 8 | P[i + 3]
        elif code == 0x04:  # add #k
            A = A + k & MASK
        elif code == 0x0C:  # add x
            A = A + X & MASK
        elif code == 0x14:  # sub #k
            A = A - k & MASK
        elif code == 0x1C:  # sub x
            A = A - X & MASK
        elif code == 0x74:  # rsh #k
            A >>= k
        elif code == 0x64:  # lsh #k
            A = A << k & MASK
        elif code == 0x60:  # ld M[k]
            A = M[k]
        elif code == 0x61:  # ldx M[k]
            X = M[k]
        elif code == 0x02:  # st M[k]
            M[k] = A
        elif code == 0x03:  # stx M[k]
            M[k] = X
        elif code == 0x07:  # tax
            X = A
        elif code == 0x87:  # txa
            A = X
        elif code == 0x00:  # ld #k
            A = k
        elif code == 0x01:  # ldx #k
            X = k
        elif code == 0x80:  # ld #len
            A = wirelen
        elif code == 0x81:  # ldx #len
            X = wirelen
        elif code == 0x16:  # ret a
            return A
        elif code == 0x05:  # ja
            pc += k
        elif code == 0x1D:  # jeq x
            pc += jt if A == X else jf
        elif code == 0x2D:  # jgt x
            pc += jt if A > X else jf
        elif code == 0x3D:  # jge x
            pc += jt if A >= X else jf
        elif code == 0x4D:  # jset x
            pc += jt if A & X else jf
        elif code == 0x5C:  # and x
            A &= X
        elif code == 0x44:  # or #k
            A |= k
        elif code == 0x4C:  # or x
            A |= X
        elif code == 0xA4:  # xor #k
            A ^= k
        elif code == 0xAC:  # xor x
            A ^= X
        elif code == 0x24:  # mul #k
            A = A * k & MASK
        elif code == 0x2C:  # mul x
            A = A * X & MASK
        elif code == 0x34:  # div #k
            A //= k
        elif code == 0x3C:  # div x
            if X == 0:
                return 0
            A //= X
        elif code == 0x94:  # mod #k
            A %= k
        elif code == 0x9C:  # mod x
            if X == 0:
                return 0
            A %= X
        elif code == 0x6C:  # lsh x
            A = A << (X & 31) & MASK
        elif code == 0x7C:  # rsh x
            A >>= X & 31
        elif code == 0x84:  # neg
            A = -A & MASK
        else:
            raise ValueError(f"opcode {code:#x}")
