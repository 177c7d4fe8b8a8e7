"""C arrays -> Program: { code, jt, jf, k }, named fields, BPF_STMT and BPF_JUMP.

Sums of numbers and names are understood, C itself is not: comments and
declarations around the rows are passed over.

Source: linux/filter.h and linux/bpf_common.h for the names.
"""

from __future__ import annotations

import re

from bpfnb.cbpf.ancillary import AD_OFF, EXTENSIONS, LL_OFF, NET_OFF
from bpfnb.cbpf.constants import CONSTANTS
from bpfnb.cbpf.insn import LIMITS, Insn
from bpfnb.cbpf.operands import Blamed
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.source import Source, blanked, finished

__all__ = ["read_c"]

C_COMMENT = re.compile(r"/\*|//[^\n]*")
C_ROW = re.compile(
    r"(?P<macro>BPF_STMT|BPF_JUMP)\s*\((?P<body>(?:[^()]|\([^()]*\))*)\)"
    r"|\{(?!\s*\.(?:len|filter)\b)(?P<row>[^{}()]*(?:\([^(){}]*\)[^{}()]*)*)\}"
)
C_ROW_BEGUN = re.compile(
    r"(?:BPF_STMT|BPF_JUMP)\s*\(|\{(?=\s*(?:[\d(-]|BPF_(?!STMT|JUMP)|\.code\b))"
)
C_NAMES: dict[str, int] = {
    **{
        name: value
        for value, name in enumerate(
            ["BPF_LD", "BPF_LDX", "BPF_ST", "BPF_STX", "BPF_ALU", "BPF_JMP", "BPF_RET", "BPF_MISC"]
        )
    },
    "BPF_W": 0x00,
    "BPF_H": 0x08,
    "BPF_B": 0x10,
    **{
        name: 0x20 * at
        for at, name in enumerate(
            ["BPF_IMM", "BPF_ABS", "BPF_IND", "BPF_MEM", "BPF_LEN", "BPF_MSH"]
        )
    },
    **{
        name: 0x10 * at
        for at, name in enumerate(
            [
                "BPF_ADD",
                "BPF_SUB",
                "BPF_MUL",
                "BPF_DIV",
                "BPF_OR",
                "BPF_AND",
                "BPF_LSH",
                "BPF_RSH",
                "BPF_NEG",
                "BPF_MOD",
                "BPF_XOR",
            ]
        )
    },
    **{
        name: 0x10 * at
        for at, name in enumerate(["BPF_JA", "BPF_JEQ", "BPF_JGT", "BPF_JGE", "BPF_JSET"])
    },
    "BPF_K": 0x00,
    "BPF_X": 0x08,
    "BPF_A": 0x10,
    "BPF_TAX": 0x00,
    "BPF_TXA": 0x80,
    "SKF_AD_OFF": AD_OFF,
    "SKF_NET_OFF": NET_OFF,
    "SKF_LL_OFF": LL_OFF,
    **CONSTANTS,
    **{name.replace("ETHERTYPE", "ETH_P"): value for name, value in CONSTANTS.items()},
}
SKF_NAMES = {
    "proto": "PROTOCOL",
    "type": "PKTTYPE",
    "ifidx": "IFINDEX",
    "nla": "NLATTR",
    "nlan": "NLATTR_NEST",
    "vlan_tci": "VLAN_TAG",
    "vlan_avail": "VLAN_TAG_PRESENT",
    "poff": "PAY_OFFSET",
    "rand": "RANDOM",
}
for _row in EXTENSIONS:
    C_NAMES["SKF_AD_" + SKF_NAMES.get(_row.name, _row.name.upper())] = _row.offset


def read_c(source: Source) -> Program:
    """C initialisers: { code, jt, jf, k }, { .code = … }, BPF_STMT and BPF_JUMP."""
    clean = blanked(source.text, C_COMMENT)
    insns = []
    for match in C_ROW.finditer(clean):
        group = "body" if match["macro"] else "row"
        parts = split_commas(match[group], match.start(group))
        try:
            insns.append(c_row(source, match["macro"], parts))
        except Blamed:
            insns.append(Insn(0, 0, 0, 0))
    refuse_begun(source, C_ROW.sub(lambda row: " " * len(row[0]), clean))
    return finished(source, insns, [], "C array")


def refuse_begun(source: Source, rest: str) -> None:
    """Blame each row that begins in what is left of a text, and does not end."""
    for match in C_ROW_BEGUN.finditer(rest):
        closing = ")" if match[0].endswith("(") else "}"
        source.blame(
            match.start(), len(match[0]), "this row does not end", "", f"close it with {closing}"
        )


Part = tuple[str, int]  # a piece of text and its offset


def split_commas(text: str, start: int) -> list[Part]:
    """The pieces between commas, with their offsets."""
    parts, at = [], start
    for piece in text.split(","):
        parts.append((piece.strip(), at + len(piece) - len(piece.lstrip())))
        at += len(piece) + 1
    return [part for part in parts if part[0]]


def c_row(source: Source, macro: str | None, parts: list[Part]) -> Insn:
    """One initialiser: its fields by name, by place, or by macro."""
    order = {
        None: ("code", "jt", "jf", "k"),
        "BPF_STMT": ("code", "k"),
        "BPF_JUMP": ("code", "k", "jt", "jf"),
    }[macro]
    values = dict.fromkeys(LIMITS, 0)
    if len(parts) > len(order):
        piece, offset = parts[len(order)]
        source.blame(
            offset, len(piece), f"a value too many: {piece}", f"the fields are {', '.join(order)}"
        )
        raise Blamed
    for name, (piece, offset) in zip(order, parts, strict=False):
        named = re.match(r"\.(\w+)\s*=\s*", piece)
        if named and named[1] not in LIMITS:
            source.blame(
                offset, len(named[1]) + 1, f"there is no field {named[1]}", "fields: code jt jf k"
            )
            raise Blamed
        lead = named.end() if named else 0
        target = named[1] if named else name
        values[target] = c_value(source, piece[lead:], offset + lead, LIMITS[target])
    return Insn(**values)


def c_value(source: Source, text: str, offset: int, limit: int) -> int:
    """A sum of numbers and names: BPF_LD|BPF_H|BPF_ABS, SKF_AD_OFF + 4, -1."""
    total, sign = 0, "+"
    for word in re.finditer(r"\(\s*\w+\s*\)(?=\s*[-\w(])|[-+|()]|\w+|\S", text):
        token = word[0]
        if token in ("+", "|", "-"):
            sign = token
            continue
        if token in "()" or token.startswith("("):
            continue  # brackets only group sums here, and (u_int) is a cast
        value = c_word(source, token, offset + word.start())
        total = total | value if sign == "|" else total + (-value if sign == "-" else value)
        sign = "+"
    total &= 0xFFFFFFFF
    if total > limit:
        source.blame(offset, len(text), f"{text} is {total}; the field holds 0–{limit}")
        raise Blamed
    return total


def c_word(source: Source, word: str, offset: int) -> int:
    """One number or one name of C."""
    if word[0].isdigit():
        return source.number(re.sub(r"(?<=[0-9a-fA-F])[uUlL]+$", "", word), offset)
    if word in C_NAMES:
        return C_NAMES[word]
    cure = source.near(word, [name.lower() for name in C_NAMES])
    cure = cure.replace("did you mean ", "").upper()
    source.blame(
        offset,
        len(word),
        f"{word} is no name known here",
        "numbers, BPF_… and SKF_… names",
        f"did you mean {cure}" if cure else "",
    )
    raise Blamed
