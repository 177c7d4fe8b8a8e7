"""A program's text while it is read: places, and all mistakes found so far.

A reader goes on after a mistake, so that one run names them all.  Left out:
any language's grammar (`asm`, `listings`).
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Iterable, Iterator

from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program, SourceLine
from bpfnb.errors import MOST_SHOWN, AssemblyError, Problem

__all__ = ["Source", "blanked", "did_you_mean", "finished"]


class Source:
    """A text and the problems found in it; places are offsets into the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.starts = [0]
        for each in self.lines:
            self.starts.append(self.starts[-1] + len(each) + 1)
        self.problems: list[Problem] = []

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect.bisect_right(self.starts, offset, hi=len(self.lines)) - 1
        return line + 1, offset - self.starts[line] + 1

    def blame(self, offset: int, length: int, message: str, rule: str = "", hint: str = "") -> None:
        """Note a problem with `length` characters at `offset`."""
        line, column = self.place(offset)
        text = self.lines[line - 1]
        length = max(1, min(length, len(text) - column + 1))
        self.problems.append(Problem(line, column, length, text, message, rule, hint))

    def finish(self) -> None:
        """Raise AssemblyError if anything was blamed."""
        if self.problems:
            ordered = sorted(self.problems, key=lambda each: (each.line, each.column))
            raise AssemblyError(tuple(ordered))

    def near(self, word: str, known: Iterable[str]) -> str:
        """A cure as of `did_you_mean`, for as many problems as a message shows."""
        return did_you_mean(word, known) if len(self.problems) < MOST_SHOWN else ""

    def number(self, word: str, offset: int, limit: int = 0xFFFFFFFF) -> int:
        """The value of a number in any base, wrapped to 32 bits; 0 when blamed.

        Octal starts with 0, as in C.  Negative numbers count from 2**32.
        """
        digits = word.lower().lstrip("+-")
        try:
            value = int(digits, 8 if re.fullmatch("0[0-9]+", digits) else 0)
        except ValueError:
            octal = re.fullmatch("0[0-9]+", digits) is not None
            self.blame(
                offset,
                len(word),
                f"{word[:40]} is not a number" + (" in octal" if octal else ""),
                "numbers are decimal, 0x…, 0b… or octal with a leading 0",
                f"write {digits.lstrip('0')}" if octal else "",
            )
            return 0
        value = -value if word.startswith("-") else value
        if not -(1 << 31) <= value <= limit:
            self.blame(
                offset,
                len(word),
                f"{word[:40]} does not fit: the field holds 0–{limit}"
                + (" or, signed, −2147483648 up" if limit > 0xFFFF else ""),
                "k has 32 bits, jt and jf have 8, the opcode 16",
            )
            return 0
        return value & 0xFFFFFFFF


def comments(text: str, mark: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where each comment starts and ends; `mark` matches `/*` or a whole other comment.

    A `/*` that nothing closes is none.
    """
    at, last = 0, text.rfind("*/")
    while found := mark.search(text, at):
        start, at = found.span()
        if found[0] == "/*":
            if at > last:
                continue
            at = text.index("*/", at) + 2
        yield start, at


def blanked(text: str, mark: re.Pattern[str]) -> str:
    """The text with its comments blanked, so that every column stays where it was."""
    parts, at = [], 0
    for start, end in comments(text, mark):
        parts += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A cure that names the nearest known word, or nothing.

    >>> did_you_mean("jeqq", ["jeq", "ldh"])
    'did you mean jeq?'
    """
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""


def finished(source: Source, insns: list[Insn], lines: list[SourceLine], origin: str) -> Program:
    """The program, or all that is wrong with it."""
    if not insns and not source.problems:
        source.blame(0, 1, "there is no instruction here")
    source.finish()
    return Program(tuple(insns), lines=tuple(lines), origin=origin)
