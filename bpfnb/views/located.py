"""LLVM's texts line by line, each line with the instruction of BPF it came from.

    ir_lines(text)         a function in LLVM's language, before or after optimisation
    assembly(text)         the processor's instructions, and the tables they read
    align(size, ir, code)  both, sorted by pc

The text is that of `backends.llvm_module.located_module`, whose debug lines are pcs,
counted from 1: LLVM hands them on, as `!dbg` in its own language and as `.loc` in
assembly.  Line 0 is what it writes where it merged or moved code of several.
Left out: how it is shown (`native`); bytes, which no assembly text has.

Source: the LLVM language reference, *How to Update Debug Info*; GNU as, `.loc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Group", "Groups", "Line", "align", "assembly", "ir_lines"]

PLACE = re.compile(r"^!(\d+) = !DILocation\(line: (\d+)", re.M)
WHERE = re.compile(r", !dbg !(\d+)")
NOTES = re.compile(r"(, ![\w.]+ !\d+)+$")  # what LLVM notes behind a line: !dbg, !prof …
LABEL = re.compile(r"""([\w.$-]+|"[^"]*"):""")
NAME = re.compile(r"[A-Za-z_.][\w.]*")
LOC = re.compile(r"\s*\.loc\s+\d+\s+(\d+)")
TABLE = re.compile(r"\.(long|quad|octa|byte|short|zero|word|hword|xword|[248]byte)\s+(.*)")


@dataclass(frozen=True)
class Line:
    """A line of code; `pc` is None where it came from no instruction, or from several.

    `number` counts the text's instructions in its own order, from 1; 0 is a label's.
    """

    text: str
    pc: int | None
    number: int = 0


@dataclass
class Group:
    """What came from one instruction; `shared` follows on `code` and came from no single one."""

    ir: list[Line] = field(default_factory=list)
    code: list[Line] = field(default_factory=list)
    shared: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Groups:
    """All code: before the first instruction, a Group each, and the way out behind them."""

    entry: Group
    at: tuple[Group, ...]
    out: Group


def ir_lines(text: str, function: str = "filter") -> list[Line]:
    r"""The lines of a module's function, its notes taken off; labels go with what they head.

    There are none where the module does not have it.

    >>> text = "define void @filter() {\non2:\n  ret void, !dbg !7\n}\n!7 = !DILocation(line: 3)"
    >>> [(line.text, line.pc) for line in ir_lines(text)]
    [('on2:', 2), ('ret void', 2)]
    """
    places = {number: int(line) - 1 for number, line in PLACE.findall(text)}
    found: list[tuple[str, int | None]] = []
    for line in whole_lines(text, function):
        if label := LABEL.match(line):
            found.append((label[0], None))
        elif line.strip():
            where = WHERE.search(line)
            pc = places.get(where[1], -1) if where else -1
            found.append((NOTES.sub("", line.strip()), None if pc < 0 else pc))
    return numbered(found)


def whole_lines(text: str, function: str) -> Iterator[str]:
    """The lines between a function's braces; a switch, which LLVM sets in several, is one."""
    head = re.search(rf"^define [^@\n]*@{function}\([^{{]*{{\n", text, re.M)
    body = text[head.end() :] if head else ""
    begun = ""
    for line in body.split("\n"):
        if line == "}":
            return
        begun = f"{begun} {line.strip()}" if begun else line
        if "[" not in begun or begun.count("[") == begun.count("]"):
            yield begun
            begun = ""


def assembly(text: str, function: str = "filter") -> tuple[list[Line], list[str]]:
    """A function's instructions, with the labels that are jumped to; the tables they read.

    A table is its label, then its numbers.  Directives and debug sections are left out.
    There is nothing where the text does not have the function.
    """
    lines = text.splitlines()
    heads = (f"{function}:", f"_{function}:")
    first = next((at + 1 for at, line in enumerate(lines) if line in heads), 0)
    if not first:
        return [], []
    last = next(at for at in range(first, len(lines)) if "func_end" in lines[at])
    code = [line for line in lines[first:last] if LOC.match(line) or not is_directive(line)]
    named = names(line for line in code if not (LABEL.match(line) or LOC.match(line)))
    tables = [
        part
        for label, parts in tables_of([*lines[: first - 1], *lines[last:]])
        if label in named
        for part in (f"{label}:", *parts)
    ]
    return numbered(placed(code, named | names(tables))), tables


def is_directive(line: str) -> bool:
    """Whether it speaks to the assembler, or says nothing."""
    return not line.strip() or (line[0].isspace() and line.lstrip().startswith("."))


def names(lines: Iterable[str]) -> set[str]:
    """All names that lines mention."""
    return {name for line in lines for name in NAME.findall(line)}


def placed(code: Iterable[str], named: set[str]) -> list[tuple[str, int | None]]:
    """Instructions with the pc of the last `.loc` before them, and labels that are named."""
    found: list[tuple[str, int | None]] = []
    pc: int | None = None
    for line in code:
        if place := LOC.match(line):
            pc = int(place[1]) - 1 if int(place[1]) else None
        elif label := LABEL.match(line):
            if label[1] in named:
                found.append((label[0], None))
        else:
            mnemonic, _, operands = line.strip().partition("\t")
            found.append((f"{mnemonic:<6} {operands}".strip(), pc))
    return found


def tables_of(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Labels outside the function, each with the numbers under it, those of a kind in a line."""
    label, parts = "", list[str]()
    for line in lines:
        if head := LABEL.match(line):
            if parts:
                yield label, parts
            label, parts = head[1], []
        elif row := TABLE.match(line.strip()):
            lead = f".{row[1]:<6} "
            if parts and parts[-1].startswith(lead):
                parts[-1] += f", {row[2]}"
            else:
                parts.append(lead + row[2])
        elif ".section" in line:
            if parts:
                yield label, parts
            label, parts = "", []
    if parts:
        yield label, parts


def numbered(found: Sequence[tuple[str, int | None]]) -> list[Line]:
    """Count the instructions; a label belongs to the instruction it stands before."""
    lines: list[Line] = []
    pc: int | None = None
    left = sum(not text.endswith(":") for text, _ in found)
    for text, own in reversed(found):
        if text.endswith(":"):
            lines.append(Line(text, pc))
        else:
            pc = own
            lines.append(Line(text, pc, left))
            left -= 1
    return lines[::-1]


def align(size: int, ir: Sequence[Line], code: Sequence[Line]) -> Groups:
    """Sort lines by pc, of `size` instructions; those without stand where they were met."""
    groups = Groups(Group(), tuple(Group() for _ in range(size)), Group())
    begun = False
    for line in ir:
        begun = begun or line.pc is not None
        without = groups.out if begun else groups.entry
        (without if line.pc is None else groups.at[line.pc]).ir.append(line)
    after = None
    for line in code:
        if line.pc is not None:
            after = groups.at[line.pc]
            after.code.append(line)
        else:
            (after.shared if after else groups.entry.code).append(line)
    return groups
