"""CSPF programs as text, and back: `assemble(text(program)) == program`.

    PUSHWORD+6                  names: an instruction a line, its literal behind it
    PUSHLIT|EQ 0x0800

    ENF_PUSHWORD + 6,           c: what stood between the braces of a struct enfilter
    ENF_PUSHLIT | ENF_EQ, 0x0800,

    22 1025 2048                decimal: the program's words

Names come with ENF_ before them, NETF_ as in Mach, or bare, in either case; action and
operator in any order; commas and line ends may stand or not.  A literal is a number, or a
name like ETHERTYPE_IP; `htons(…)` around it changes nothing here, where words are in
network order already.  Comments are /* … */, or from ; or # on, or //.

Every mistake is reported at once, with place, rule and cure.  Left out: what programs do
(`cspf`), and the priority and length that stand before them in C.

Source: SOSP 1987, figures 3-8 and 3-9, for the way programs are written down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bpfnb.cbpf.constants import CONSTANTS
from bpfnb.cbpf.cspf import CspfProgram, CspfWord, decode
from bpfnb.cbpf.cspf_opcodes import (
    ACTION_BITS,
    ACTIONS,
    LONGEST,
    MASK,
    OPERATORS,
    PUSHLIT,
    PUSHWORD,
)
from bpfnb.cbpf.source import Source, blanked
from bpfnb.errors import BpfError, brief

__all__ = ["DIALECTS", "NAMES", "assemble", "text"]

DIALECTS = ("names", "c", "decimal")
COMMENT = re.compile(r"/\*|(?:;|#|//)[^\n]*")
TOKEN = re.compile(r"(?P<name>[A-Za-z_]\w*)|(?P<number>[+-]?\d\w*)|(?P<sign>[|+,])|(?P<other>\S)")
CODES: dict[str, int] = {
    **{row.name: row.code for row in ACTIONS},
    **{row.name: row.code << ACTION_BITS for row in OPERATORS},
}
NAMES = tuple(CODES)
OF_ACTIONS = {row.name for row in ACTIONS}
LAST_WORD = LONGEST - 1 - PUSHWORD


def text(program: CspfProgram, dialect: str = "names") -> str:
    """A program in a dialect, without a final newline.

    >>> program = CspfProgram.from_words([22, 1025, 0x0800])
    >>> print(text(program, "c"))
    ENF_PUSHWORD + 6,
    ENF_PUSHLIT | ENF_EQ, 0x0800,
    """
    if dialect == "names":
        return "\n".join(map(str, program.insns))
    if dialect == "c":
        return "\n".join(map(in_c, program.insns))
    if dialect == "decimal":
        return " ".join(map(str, program.words))
    raise BpfError(f"there is no dialect {brief(dialect)!r}", f"it is one of {', '.join(DIALECTS)}")


def in_c(insn: CspfWord) -> str:
    """One instruction with the names of enet.h."""
    first, *literal = str(insn).split(" ")
    names = [f"ENF_{each.replace('+', ' + ')}" for each in first.split("|")]
    return ", ".join([" | ".join(names), *literal]) + ","


@dataclass(frozen=True)
class Token:
    """A piece of the text: what kind it is, and where it begins."""

    kind: str
    text: str
    offset: int


@dataclass
class Term:
    """Tokens joined by | or +, and what they come to: one word of the program.

    `bare` is a single number, whose `code` stands for itself.
    """

    tokens: list[Token]
    bare: bool = False
    code: int = 0
    known: bool = True
    seen: set[str] = field(default_factory=set)

    @property
    def offset(self) -> int:
        """Where it begins."""
        return self.tokens[0].offset

    @property
    def length(self) -> int:
        """How many characters it takes."""
        return self.tokens[-1].offset + len(self.tokens[-1].text) - self.offset


def assemble(text: str) -> CspfProgram:
    r"""Read a program in any dialect; AssemblyError has every mistake.

    >>> print(assemble("pushword+6, pushlit|eq 0x800"))
    PUSHWORD+6
    PUSHLIT|EQ 0x0800
    """
    source = Source(text.replace("\r\n", "\n").replace("\r", "\n"))
    terms = [read(source, tokens) for tokens in split(source)]
    numbers = all(term.bare for term in terms)
    insns: list[CspfWord] = []
    at = 0
    while at < len(terms):
        insn, at = instruction(source, terms, at, numbers)
        insns.append(insn)
    source.finish()
    return CspfProgram(tuple(insns))


def split(source: Source) -> list[list[Token]]:
    """The tokens of each term."""
    clean = blanked(source.text, COMMENT)
    terms: list[list[Token]] = []
    joined = False
    for found in TOKEN.finditer(re.sub(r"\bhtons\s*\((.*?)\)", unwrapped, clean)):
        token = Token(found.lastgroup or "", found[0], found.start())
        if token.kind == "other":
            cure = "leave out the braces, and priority and length" if token.text in "{}" else ""
            source.blame(token.offset, 1, f"{token.text} has no meaning here", "", cure)
        elif token.text in ("|", "+"):
            if not terms or joined:
                source.blame(token.offset, 1, f"there is nothing before this {token.text}")
            joined = True
        elif token.text == ",":
            refuse_open(source, terms, joined)
            joined = False
        elif joined and terms:
            terms[-1].append(token)
            joined = False
        elif token.text[0] == "+" and terms and terms[-1][-1].kind == "name":
            terms[-1].append(Token("number", token.text[1:], token.offset + 1))  # PUSHWORD+6
        else:
            terms.append([token])
            joined = False
    refuse_open(source, terms, joined)
    return terms


def unwrapped(found: re.Match[str]) -> str:
    """What htons() holds, where it stood."""
    return " " * (found.start(1) - found.start()) + found[1] + " "


def refuse_open(source: Source, terms: list[list[Token]], joined: bool) -> None:
    """A | or + with nothing behind it."""
    if joined and terms:
        last = terms[-1][-1]
        source.blame(last.offset, len(last.text), f"something is missing behind {last.text}")


def read(source: Source, tokens: list[Token]) -> Term:
    """Add up one term: at most one action, one operator and, for PUSHWORD, a number."""
    term = Term(tokens)
    if len(tokens) == 1 and tokens[0].kind == "number":
        term.bare, term.code = True, number(source, tokens[0], MASK)
        return term
    for token in tokens:
        word = re.sub("^(ENF|NETF)_", "", token.text.upper())
        if token.kind == "number":
            add_number(source, term, token)
        elif word in CODES:
            add_name(source, term, token, word)
        elif len(tokens) == 1 and token.text in CONSTANTS and CONSTANTS[token.text] <= MASK:
            term.bare, term.code = True, CONSTANTS[token.text]
        else:
            term.known = False
            hint = source.near(word, (each.lower() for each in CODES)).upper()
            cure = hint.replace("DID YOU MEAN", "did you mean")
            rule = "" if cure else "there are " + " ".join(NAMES)
            said = f"there is no action or operator {token.text[:40]!r}"
            source.blame(token.offset, len(token.text), said, rule, cure)
    return term


def add_name(source: Source, term: Term, token: Token, word: str) -> None:
    """An action or an operator, of which a word has one each."""
    kind = "action" if word in OF_ACTIONS else "operator"
    if kind in term.seen:
        said = f"{word} is a second {kind} in one word"
        rule = "a word has one action, which comes first, and one operator"
        source.blame(token.offset, len(token.text), said, rule, "give it a word of its own")
    term.seen |= {kind, word}
    term.code |= CODES[word]


def add_number(source: Source, term: Term, token: Token) -> None:
    """The number of the packet's word."""
    value = number(source, token, MASK)
    if "PUSHWORD" not in term.seen or "number" in term.seen:
        said = f"{token.text[:40]} does not belong here"
        cure = "a literal stands behind its word: PUSHLIT|EQ 0x0800"
        source.blame(token.offset, len(token.text), said, "only PUSHWORD takes + a number", cure)
    elif value > LAST_WORD:
        said = f"there is no word {value}"
        rule = f"the field has {ACTION_BITS} bits, and holds PUSHWORD+0 to PUSHWORD+{LAST_WORD}"
        source.blame(token.offset, len(token.text), said, rule, "words count two bytes each")
    else:
        term.code += value
    term.seen.add("number")


def number(source: Source, token: Token, limit: int) -> int:
    """A number in any base; 0 where it is blamed."""
    digits = token.text.lower().removeprefix("+")
    octal = re.fullmatch("0[0-9]+", digits) is not None
    try:
        value = int(digits, 8 if octal else 0)
    except ValueError:
        said = f"{token.text[:40]} is not a number{' in octal' if octal else ''}"
        rule = "numbers are decimal, 0x…, 0b… or octal with a leading 0"
        cure = f"write {digits.lstrip('0')}" if octal else ""
        source.blame(token.offset, len(token.text), said, rule, cure)
        return 0
    if not 0 <= value <= limit:
        said = f"{token.text[:40]} does not fit: a word holds 0–{limit}"
        cure = "compare a longer field in pieces of 16 bits"
        source.blame(token.offset, len(token.text), said, "a word has 16 bits", cure)
        return 0
    return value


def instruction(source: Source, terms: list[Term], at: int, numbers: bool) -> tuple[CspfWord, int]:
    """The instruction that begins with a term, and where the next one begins."""
    term = terms[at]
    nothing = CspfWord(ACTIONS[0], OPERATORS[0])
    if not term.known:
        literal = "PUSHLIT" in term.seen and at + 1 < len(terms) and terms[at + 1].bare
        return nothing, at + 2 if literal else at + 1
    if term.bare and not numbers:
        cure = "put PUSHLIT before it to push it"
        if at < 2 and any(not each.bare for each in terms[:3]):
            cure = "leave out priority and length, which stand before a program in C"
        source.blame(term.offset, term.length, "a number, and no PUSHLIT that wants it", "", cure)
        return nothing, at + 1
    try:
        insn = decode([term.code, 0], 0)
    except BpfError as error:
        source.blame(term.offset, term.length, error.message.partition(": ")[2])
        return nothing, at + 1
    if insn.action.code != PUSHLIT:
        return insn, at + 1
    if at + 1 == len(terms) or not (terms[at + 1].bare or not terms[at + 1].known):
        rule = "PUSHLIT pushes the next word of the program"
        cure = "write it behind: PUSHLIT|EQ 0x0800"
        source.blame(term.offset, term.length, "the number to push is missing", rule, cure)
        return nothing, at + 1
    return CspfWord(insn.action, insn.operator, literal=terms[at + 1].code), at + 2
