"""The assembly language of people: bpf_asm source and the paper's notation.

One instruction a line:

    label:  jeq #ETHERTYPE_IP, yes, no     ; a comment, /* another */

Comments also start with `#` at the start of a line or behind an instruction.
`jneq jne jlt jle` swap jt and jf of `jeq` and the like; a missing second target is
the next line; `+n` as a target skips n instructions; `.insn code, jt, jf, k`
gives any instruction at all, legal or not.  Each mistake gets its place, its
rule and a cure.  Left out: what tools print (`listings`).

Source: the syntax of Linux's tools/bpf/bpf_asm, widened: one-letter labels,
`[x+14]` as well as `[x + 14]`, numbers of either sign in every base.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bpfnb.cbpf.insn import LIMITS, Insn
from bpfnb.cbpf.opcodes import Form, Opcode, find
from bpfnb.cbpf.operands import (
    MNEMONICS,
    SWAPPED,
    Blamed,
    Operand,
    Reader,
    Token,
    encode,
    forms_rule,
    tokenize,
)
from bpfnb.cbpf.program import Program, SourceLine
from bpfnb.cbpf.source import Source, blanked

__all__ = ["read_source"]

COMMENT = re.compile(r"/\*|;[^\n]*|^[ \t]*#[^\n]*", re.M)


@dataclass
class Statement:
    """One instruction as written; its targets are put in when all labels are known."""

    mnemonic: Token
    insn: Insn
    targets: tuple[tuple[str, Token], ...] = ()  # ("jt" | "jf" | "ja", where to)


def lines_of_tokens(source: Source) -> list[list[Token]]:
    """The tokens of each line."""
    clean = blanked(source.text, COMMENT).split("\n")
    return [tokenize(line, start) for start, line in zip(source.starts, clean, strict=False)]


def read_source(source: Source) -> Program:
    """Read assembly: labels and statements first, then targets."""
    statements: list[Statement] = []
    labels: dict[str, int] = {}
    lines: list[SourceLine] = []
    for number, tokens in enumerate(lines_of_tokens(source), 1):
        end = source.starts[number - 1] + len(source.lines[number - 1].rstrip())
        reader = Reader(source, tokens, end)
        while reader.peek(":", ahead=1) and tokens[reader.at].kind in ("word", "number"):
            define(source, labels, reader.take(), len(statements))
            reader.at += 1
        if reader.at >= len(tokens) or reader.peek("#"):
            continue
        lines.append(SourceLine(number, source.lines[number - 1].strip()))
        try:
            statements.append(statement(reader))
        except Blamed:
            statements.append(Statement(tokens[reader.at - 1], Insn(0, 0, 0, 0)))
    insns = tuple(resolve(source, each, pc, labels) for pc, each in enumerate(statements))
    if not insns and not source.problems:
        source.blame(0, 1, "there is no instruction here", "", "the shortest program is: ret #0")
    source.finish()
    return Program(insns, labels, tuple(lines), origin="assembly")


def define(source: Source, labels: dict[str, int], token: Token, pc: int) -> None:
    """Note a label."""
    if token.kind == "number":
        source.blame(
            token.offset,
            len(token.text),
            f"{token.text} is no label",
            "a label starts with a letter or _",
            f"write L{token.text}:",
        )
    elif token.text in labels:
        source.blame(
            token.offset,
            len(token.text),
            f"label {token.text} stands here a second time",
            "each label stands once",
            "rename one of them",
        )
    else:
        labels[token.text] = pc


def statement(reader: Reader) -> Statement:
    """One instruction: mnemonic, operand, and nothing behind it."""
    mnemonic = reader.take()
    reader.mnemonic = mnemonic.text.lower()
    if reader.mnemonic == ".insn":
        return raw_insn(reader, mnemonic)
    if reader.mnemonic not in MNEMONICS:
        hint = reader.source.near(mnemonic.text, MNEMONICS)
        if mnemonic.text.startswith("/"):
            hint = "comments start with ; or #, or stand in /* */"
        raise reader.fail(
            mnemonic,
            f"there is no instruction {mnemonic.text!r}",
            "" if hint else "mnemonics: " + " ".join(MNEMONICS),
            hint,
        )
    first = (
        reader.tokens[reader.at] if reader.at < len(reader.tokens) else Token("end", "", reader.end)
    )
    operand = trailing_comment(reader) or reader.operand()
    row, insn = encode(reader, first, operand)
    reader.rest()
    if row is None:
        return Statement(mnemonic, insn)
    return Statement(mnemonic, insn, placed_targets(reader, row, operand))


def trailing_comment(reader: Reader) -> Operand | None:
    """No operand where the mnemonic can do without and only a comment follows."""
    alone = find(reader.mnemonic, Form.NONE) is not None
    return Operand(Form.NONE) if alone and reader.peek("#") else None


def raw_insn(reader: Reader, mnemonic: Token) -> Statement:
    """.insn code, jt, jf, k: four numbers as they are."""
    fields = []
    for index, limit in enumerate(LIMITS.values()):
        if index:
            reader.expect(",")
        token = reader.take()
        if token.kind != "number":
            raise reader.fail(token, "a number is missing", ".insn takes code, jt, jf, k")
        fields.append(reader.source.number(token.text, token.offset, limit))
    reader.rest()
    return Statement(mnemonic, Insn(*fields))


def placed_targets(reader: Reader, row: Opcode, operand: Operand) -> tuple[tuple[str, Token], ...]:
    """Which field each target goes to; jneq and the like swap jt and jf."""
    fields = ("ja",) if row.form is Form.TARGET else ("jt", "jf")
    if reader.mnemonic in SWAPPED:
        fields = ("jf", "jt")
    if len(operand.targets) > len(fields):
        extra = operand.targets[len(fields)]
        raise reader.fail(extra, f"a target too many: {extra.text}", forms_rule(reader.mnemonic))
    return tuple(zip(fields, operand.targets, strict=False))


def resolve(source: Source, each: Statement, pc: int, labels: dict[str, int]) -> Insn:
    """Put the targets' offsets in."""
    insn = each.insn
    for name, token in each.targets:
        if token.kind != "skip" and token.text not in labels:
            hint = source.near(token.text, labels) or f"put {token.text}: before an instruction"
            source.blame(
                token.offset,
                len(token.text),
                f"there is no label {token.text}",
                "a target is a label of this program",
                hint,
            )
            continue
        offset = int(token.text) if token.kind == "skip" else labels[token.text] - pc - 1
        if name == "ja":
            insn = insn._replace(k=offset & 0xFFFFFFFF)
        elif offset < 0:
            source.blame(
                token.offset,
                len(token.text),
                f"{token.text} lies {-offset - 1} instructions back",
                "a test only jumps forward",
                "turn the order of the blocks round",
            )
        elif offset > 255:
            source.blame(
                token.offset,
                len(token.text),
                f"{name} would skip {offset} instructions, the field holds 0–255",
                "jt and jf have 8 bits, ja has 32",
                'put the target behind a "ja"',
            )
        else:
            insn = insn._replace(**{name: offset})
    return insn
