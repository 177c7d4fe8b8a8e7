"""What tools print -> Program: tcpdump -d and -ddd, xt_bpf, ss -0b.

The inverse of `disasm`, forgiving about what a paste brings along: the prompt,
tcpdump's "Warning: assuming Ethernet".  Left out: source for people
(`language`) and C (`c_arrays`).

Source: outputs of tcpdump 4.99.3 and iproute2's ss.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bpfnb.cbpf.c_arrays import read_c
from bpfnb.cbpf.insn import LIMITS, Insn
from bpfnb.cbpf.opcodes import Form
from bpfnb.cbpf.operands import Blamed, Operand, Reader, Token, encode, tokenize
from bpfnb.cbpf.program import Program, SourceLine
from bpfnb.cbpf.source import Source, finished

__all__ = ["READERS", "guess"]

CHATTER = re.compile(r"\s*($|[$#>] |tcpdump:|warning:)", re.I)
NUMBERED = r"\s*+\((?P<pc>[0-9]{1,9})\)\s++(?P<mnemonic>\S++)"
TARGETS = r"\s++jt\s++(?P<jt>[0-9]{1,9})\s++jf\s++(?P<jf>[0-9]{1,9})"
LISTED_TEST = re.compile(NUMBERED + r"(?P<operand>(?:.*\S)?)" + TARGETS)
LISTED = re.compile(NUMBERED + r"(?P<operand>.*)(?P<jt>(?!))?(?P<jf>(?!))?")  # no targets
ROW = re.compile(r"\S+")
SS = re.compile(r"bpf filter \(([0-9]+)\):(?:\s*(?:0[xX][0-9a-fA-F]+|[0-9]+)(?=[\s,]|\Z),?)*")
COMMAND = re.compile(r"--bytecode[ =]\s*(\"[^\"]*\"|'[^']*'|\S*)")
NUMBERS = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
MARKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ss", re.compile(r"bpf filter \([0-9]+\):")),
    ("tcpdump", re.compile(r"^[ \t]*+\([0-9]+\)\s", re.M)),
    ("c", re.compile(r"\{[^{},]*+,[^{}]*+\}|BPF_(STMT|JUMP)\s*\(")),
    (
        "xt_bpf",
        re.compile(r"(?:\A|--bytecode[ =])\s*['\"]?[0-9]+,\s*[0-9]+ [0-9]+ [0-9]+ [0-9]+"),
    ),
    (
        "decimal",
        re.compile(r"^[ \t]*+[0-9]++[ \t]*+\n[ \t]*+(?:[0-9]++ ){3}[0-9]++[ \t]*+$", re.M),
    ),
)


def guess(text: str) -> str:
    """The dialect of a text, by what only that dialect has; else "asm".

    >>> guess("{ 0x6, 0, 0, 0x00000000 },")
    'c'
    """
    return next((name for name, mark in MARKS if mark.search(text)), "asm")


def read_tcpdump(source: Source) -> Program:
    """The listing of tcpdump -d: targets are absolute."""
    insns: list[Insn] = []
    lines: list[SourceLine] = []
    for number, (start, line) in enumerate(zip(source.starts, source.lines, strict=False), 1):
        match = LISTED_TEST.fullmatch(line.rstrip()) or LISTED.fullmatch(line.rstrip())
        if match is None:
            if not CHATTER.match(line):
                lead = len(line) - len(line.lstrip())
                source.blame(
                    start + lead,
                    len(line.strip()),
                    "this is no line of a listing",
                    "(pc) mnemonic operand, and in a test: jt N  jf N",
                )
            continue
        if int(match["pc"]) != len(insns):
            source.blame(
                start + match.start("pc"),
                len(match["pc"]),
                f"this line is numbered {match['pc']}, but {len(insns)} comes here",
                "jt and jf are line numbers, so every line must be there",
            )
        lines.append(SourceLine(number, line.strip()))
        try:
            insns.append(listed_insn(source, match, start, len(insns)))
        except Blamed:
            insns.append(Insn(0, 0, 0, 0))
    return finished(source, insns, lines, "tcpdump -d listing")


def listed_insn(source: Source, match: re.Match[str], start: int, pc: int) -> Insn:
    """One line of a listing."""
    mnemonic = match["mnemonic"].lower()
    words = match["operand"].strip()
    place = start + match.end("operand") - len(match["operand"].lstrip())
    if mnemonic == "unimp":  # libpcap's word for what its table lacks
        return Insn(source.number(words, place, LIMITS["code"]), 0, 0, 0)
    reader = Reader(source, tokenize(words, place), start + match.end())
    reader.mnemonic = mnemonic
    if mnemonic == "ja":
        target = source.number(words, place)
        return Insn(0x05, 0, 0, (target - pc - 1) & 0xFFFFFFFF)
    operand = reader.operand()
    if operand.targets:
        raise reader.fail(
            operand.targets[0], "no target stands here", "targets of a listing: jt N  jf N"
        )
    reader.rest()
    if match["jt"] is not None:
        forms = {Form.IMM: Form.IMM_TARGETS, Form.X: Form.X_TARGETS}
        operand = Operand(forms.get(operand.form, operand.form), operand.k)
    token = Token("word", match["mnemonic"], start + match.start("mnemonic"))
    row, insn = encode(reader, token, operand)
    if row is None or not row.form.jumps:
        return insn
    return insn._replace(
        jt=relative(source, match, start, "jt", pc), jf=relative(source, match, start, "jf", pc)
    )


def relative(source: Source, match: re.Match[str], start: int, name: str, pc: int) -> int:
    """The offset to an absolute target, held against its field's 8 bits."""
    offset = int(match[name]) - pc - 1
    if not 0 <= offset <= 255:
        source.blame(
            start + match.start(name),
            len(match[name]),
            f"{name} {match[name]} from line {pc} is an offset of {offset}, the field holds 0–255",
            "a test only jumps forward, by 1 to 256 lines",
        )
        return 0
    return offset


def read_decimal(source: Source) -> Program:
    """tcpdump -ddd: the count, then a line of four numbers each."""
    words = list(ROW.finditer(source.text))
    return counted(source, words, "tcpdump -ddd")


def read_xt_bpf(source: Source) -> Program:
    """The count and the rows in one line, behind commas; quotes may stand around it.

    Of a command line of iptables it is what stands behind --bytecode.
    """
    command = COMMAND.search(source.text)
    start, stop = command.span(1) if command else (0, len(source.text))
    words = list(re.compile(r"[^\s,'\"]+").finditer(source.text, start, stop))
    return counted(source, words, "xt_bpf string")


def read_ss(source: Source) -> Program:
    """What ss -0b prints behind `bpf filter (N):`; what follows it is left alone."""
    match = SS.search(source.text)
    if match is None:
        source.blame(0, 1, "no `bpf filter (N):` stands here", "as ss -0b prints it")
        source.finish()
    words = list(NUMBERS.finditer(source.text, match.start(1), match.end())) if match else []
    return counted(source, words, "ss -0b")


def counted(source: Source, words: list[re.Match[str]], origin: str) -> Program:
    """A count and as many rows of four numbers."""
    numbers = [source.number(word[0], word.start()) for word in words]
    if not words:
        source.blame(0, 1, "there is no number here", "the count of instructions comes first")
    elif len(words) - 1 != 4 * numbers[0]:
        source.blame(
            words[0].start(),
            len(words[0][0]),
            f"{words[0][0][:20]} instructions are announced, but {len(words) - 1} numbers follow",
            "four numbers an instruction: code jt jf k",
            f"{(len(words) - 1) // 4} would fit"
            if len(words) % 4 == 1
            else "a number is missing or too many",
        )
    insns = [
        row(source, list(zip(words[at : at + 4], numbers[at : at + 4], strict=True)))
        for at in range(1, len(words) - 3, 4)
    ]
    return finished(source, insns, [], origin)


def row(source: Source, fields: list[tuple[re.Match[str], int]]) -> Insn:
    """Four numbers, each held against its field's width."""
    for (name, limit), (word, value) in zip(LIMITS.items(), fields, strict=True):
        if value > limit:
            source.blame(
                word.start(), len(word[0]), f"{name} is {word[0]}; the field holds 0–{limit}"
            )
    return Insn(*(value & limit for (_, value), limit in zip(fields, LIMITS.values(), strict=True)))


READERS: dict[str, Callable[[Source], Program]] = {
    "tcpdump": read_tcpdump,
    "c": read_c,
    "decimal": read_decimal,
    "xt_bpf": read_xt_bpf,
    "ss": read_ss,
}
