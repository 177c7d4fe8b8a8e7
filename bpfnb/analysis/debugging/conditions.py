"""Conditions on one step of a trace: `A == 0x800 and not reads 23`.

    condition   test, or tests joined by `and`, or tests joined by `or`
    test        value op value       op is one of == != < <= > >=
                reads                the step reads bytes of the packet
                reads n, reads n-m   it reads byte n, or any byte from n to m
                changed              it changes a register or a word of M[]
                changed A            it changes this one; also X, M (any word), M[n]
                jumped               the next instruction is not the one below
                missed               it loads past the end, which ends the program
                not test, (condition)
    value       term, or term & term
    term        A X pc len caplen ret M[n] P[n] P[n:2] P[n:4] and numbers
    n           a number: decimal, 0x…, or an IPv4 address; 0 to 0xffffffff

What it means, to be written a second time in another language:
1. A condition looks at one step, just before it runs.  `pc` is the instruction's
   index; A, X and M[] are as the instruction finds them; `reads`, `changed`,
   `jumped`, `missed` and `ret` are what it is about to do, which a trace knows.
   `len` is the length on the wire, `caplen` that of the bytes P, read in network order.
2. Every value is a 32-bit unsigned number, and so is every comparison.
3. `ret` is absent but in the step that ends the program, P[n:size] where not all its
   bytes were captured.  `&` with something absent is absent; each comparison with
   something absent is false, `!=` too.
4. `&` binds tighter than comparisons, and `not` takes in the one test behind it.  `and`
   beside `or` without parentheses is an error, and so is `1 < A < 5`.
5. Words are read in any case.  Blanks are spaces and tabs.  A text is cut into tokens
   first, then read from the left: the first thing that does not fit is the error.
   Columns count characters from 1; what is missing at the end is behind the last token.

Left out: arithmetic but `&`, names for numbers, anything about other steps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from bpfnb.analysis.debugging.predicates import (
    OPERATORS,
    Bytes,
    Changed,
    Compare,
    Condition,
    Facts,
    Flag,
    Joined,
    Masked,
    Not,
    Number,
    Reads,
    Register,
    Term,
    Test,
    Value,
    Word,
    evaluate,
    facts,
    value_of,
)
from bpfnb.cbpf.opcodes import MEMWORDS
from bpfnb.cbpf.source import did_you_mean
from bpfnb.errors import ConditionError

__all__ = ["Condition", "Facts", "evaluate", "facts", "parse", "parse_value", "value_of"]

MASK = 0xFFFFFFFF
DEEPEST = 32  # parentheses and nots within each other
SIZES = (1, 2, 4)  # bytes that P[n:size] can have

REGISTERS = {name.lower(): name for name in ("A", "X", "pc", "len", "caplen", "ret")}
FLAGS = ("jumped", "missed")
WORDS = (*REGISTERS, "m", "p", "reads", "changed", *FLAGS, "and", "or", "not")
FOREIGN = {
    "=": "write ==",
    "<>": "write !=",
    "!": "write not",
    "&&": "write and",
    "||": "write or",
    "|": "write or; of arithmetic there is only &",
    "-": "registers are unsigned: -1 is 0xffffffff",
}  # signs from elsewhere, and what to write here

TOKEN = re.compile(
    r"(?P<foreign>&&|\|\||<>|=(?!=)|!(?!=))"
    r"|(?P<number>[0-9][0-9A-Za-z_.]*)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<sign>==|!=|<=|>=|[][<>&():-])"
    r"|(?P<other>[^ \t])"
)
QUAD = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
NUMBER = re.compile(r"0|[1-9][0-9]*|0[xX][0-9a-fA-F]+")


def parse(text: str, start: int = 0) -> Condition:
    """Read a condition; it begins at offset `start` of a line whose columns errors count.

    Raises ConditionError.

    >>> parse("A & 0xff == 1").tree
    Compare(op='==', left=Masked(left=Register(name='A'), right=Number(value=255)), right=Number(value=1))
    """  # noqa: E501  the tree is one line
    reader = Reader(text, start, len(text))
    tree = reader.condition(0)
    reader.finish()
    return Condition(text[start:].strip(" \t"), tree)


def parse_value(text: str, start: int = 0, stop: int | None = None) -> Value:
    """Read a value alone, from text[start:stop]; raises ConditionError."""
    reader = Reader(text, start, len(text) if stop is None else stop)
    found = reader.value()
    if reader.peek().kind != "end":
        reader.fail(reader.peek(), f"{reader.peek().text!r} does not belong behind a value")
    return found


@dataclass(frozen=True)
class Token:
    """A piece of the text: its kind, its text, its offset."""

    kind: str
    text: str
    offset: int

    @property
    def word(self) -> str:
        """The text in lower case."""
        return self.text.lower()


class Reader:
    """Reads tokens from the left; one method a rule of the grammar."""

    def __init__(self, text: str, start: int, stop: int) -> None:
        self.text, self.at = text, 0
        self.tokens: list[Token] = []
        behind = start
        for match in TOKEN.finditer(text, start, stop):
            token = Token(str(match.lastgroup), match[0], match.start())
            if token.kind in ("foreign", "other"):
                cure = FOREIGN.get(token.text, "")
                self.fail(token, f"{token.text!r} is no sign of a condition", cure)
            self.tokens.append(token)
            behind = match.end()
        self.end = Token("end", "", behind)

    def fail(self, token: Token, message: str, hint: str = "") -> NoReturn:
        """Raise the error of a token."""
        raise self.error(token, message, hint)

    def error(self, token: Token, message: str, hint: str) -> ConditionError:
        """The error of a token, with its place."""
        return ConditionError(self.text, token.offset + 1, len(token.text), message, hint)

    def peek(self) -> Token:
        """The next token, left where it is."""
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        self.at += 1
        return token

    def expect(self, sign: str, what: str) -> None:
        """Take `sign`, which closes or opens `what`."""
        token = self.take()
        if token.text != sign:
            self.fail(token, f"{sign!r} is missing here", f"write {what}")

    def finish(self) -> None:
        """Nothing may follow."""
        token = self.peek()
        if token.kind == "end":
            return
        cure = "put and or or between tests"
        if token.text in OPERATORS:
            cure = "one comparison at a time: 1 < A and A < 5"
        elif token.text == ")":
            cure = "there is no ( for it"
        self.fail(token, f"{token.text!r} does not belong here", cure)

    def condition(self, depth: int) -> Test:
        """One test, or several joined by the same word."""
        tests = [self.test(depth)]
        word = self.peek().word
        while self.peek().word in ("and", "or"):
            token = self.take()
            if token.word != word:
                cure = "put parentheses around what belongs together"
                self.fail(token, f"{token.word} beside {word} can be read in two ways", cure)
            tests.append(self.test(depth))
        return tests[0] if len(tests) == 1 else Joined(word, tuple(tests))

    def test(self, depth: int) -> Test:
        """A comparison, a word that is a test, or one of these within not or parentheses."""
        token = self.peek()
        if depth > DEEPEST:
            self.fail(token, f"more than {DEEPEST} parentheses and nots within each other")
        if token.word == "not":
            self.take()
            return Not(self.test(depth + 1))
        if token.text == "(":
            self.take()
            inner = self.condition(depth + 1)
            if self.peek().text != ")":
                self.fail(self.peek(), "')' is missing here", "put and, or or ) behind a test")
            self.take()
            return inner
        if token.word == "reads":
            return self.reads()
        if token.word == "changed":
            return self.changed()
        if token.word in FLAGS:
            return Flag(self.take().word)
        return self.comparison()

    def comparison(self) -> Compare:
        """Value op value."""
        left = self.value()
        op = self.take()
        if op.text not in OPERATORS:
            cure = f"put one of {' '.join(OPERATORS)} and a value behind it"
            self.fail(op, "a comparison is missing here", cure)
        return Compare(op.text, left, self.value())

    def value(self) -> Value:
        """A term, or two with & between."""
        left = self.term()
        if self.peek().text != "&":
            return left
        self.take()
        return Masked(left, self.term())

    def term(self) -> Term:
        """A register, M[n], P[n:size] or a number."""
        token = self.take()
        if token.kind == "number":
            return Number(self.number(token))
        if token.word in REGISTERS:
            return Register(REGISTERS[token.word])
        if token.word == "m":
            return Word(self.scratch())
        if token.word == "p":
            return self.bytes()
        message, cure = f"{token.text!r} is no value", "A, X, M[3], P[23], pc, len, ret, a number"
        if token.kind == "end":
            message = "a value is missing here"
        elif token.text == "-":
            message, cure = "there are no negative numbers", FOREIGN["-"]
        elif token.kind == "word":
            cure = did_you_mean(token.word, WORDS) or cure
        raise self.error(token, message, cure)

    def number(self, token: Token) -> int:
        """A token's number."""
        text = token.text
        if QUAD.fullmatch(text):
            octets = [int(part) for part in text.split(".")]
            if max(octets) > 255:
                self.fail(token, f"{text} is no IPv4 address", "each part is 0–255")
            return int.from_bytes(octets, "big")
        if not NUMBER.fullmatch(text):
            octal = "; octal is not read" if text[0] == "0" and text.isdigit() else ""
            cure = f"numbers are decimal, 0x… or an IPv4 address{octal}"
            self.fail(token, f"{text!r} is no number", cure)
        digits = text.lstrip("0xX")
        # Ten digits at most, so that no text makes Python work on a giant number.
        found = int(text, 0) if len(digits) <= 10 else MASK + 1
        if found > MASK:
            self.fail(token, f"{text} is too big", "registers hold 0–0xffffffff")
        return found

    def index(self, what: str) -> tuple[Token, int]:
        """The number within brackets, and its token."""
        token = self.take()
        if token.kind != "number":
            self.fail(token, "a number is missing here", f"write {what}")
        return token, self.number(token)

    def scratch(self) -> int:
        """[n] behind M."""
        self.expect("[", "M[3]")
        token, found = self.index("M[3]")
        if found >= MEMWORDS:
            self.fail(token, f"M[{found}] does not exist", f"M[0]–M[{MEMWORDS - 1}] do")
        self.expect("]", "M[3]")
        return found

    def bytes(self) -> Bytes:
        """[n] or [n:size] behind P."""
        form = "P[23] or P[12:2]"
        self.expect("[", form)
        _, offset = self.index(form)
        size = 1
        if self.peek().text == ":":
            self.take()
            token, size = self.index(form)
            if size not in SIZES:
                self.fail(token, f"there are no loads of {size} bytes", "of 1, 2 or 4")
        self.expect("]", form)
        return Bytes(offset, size)

    def reads(self) -> Reads:
        """Behind reads: nothing, a byte, or a range of bytes."""
        self.take()
        if self.peek().kind != "number":
            return Reads()
        first = last = self.number(self.take())
        if self.peek().text == "-":
            self.take()
            token, last = self.index("reads 12-13")
            if last < first:
                self.fail(token, "a range goes upwards", f"write reads {last}-{first}")
        return Reads(first, last)

    def changed(self) -> Changed:
        """Behind changed: nothing, A, X, M or M[n]."""
        self.take()
        token = self.peek()
        if token.kind != "word" or token.word in ("and", "or"):
            return Changed()
        self.take()
        if token.word not in ("a", "x", "m"):
            self.fail(token, f"{token.text} does not change", "A, X, M and M[3] do")
        if token.word == "m" and self.peek().text == "[":
            return Changed(f"M[{self.scratch()}]")
        return Changed(token.word.upper())
