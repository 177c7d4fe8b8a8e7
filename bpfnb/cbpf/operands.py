"""Operands: the words behind a mnemonic, read token by token.

`Reader` reads whatever operand stands there, in any spelling people use;
`encode` finds the opcode for it or says what the mnemonic takes.  Left out:
lines, labels and comments (`language`); the lines of listings (`listings`).

Source: the operand forms of Linux's tools/bpf/bpf_asm and of the paper's
Table 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bpfnb.cbpf.ancillary import BY_NAME as EXTENSION_NAMES
from bpfnb.cbpf.constants import CONSTANTS
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import OPCODES, RET_X, Form, Opcode, find
from bpfnb.cbpf.source import Source

__all__ = [
    "MNEMONICS",
    "SWAPPED",
    "Blamed",
    "Operand",
    "Reader",
    "Token",
    "encode",
    "forms_rule",
    "tokenize",
]

SWAPPED = {"jneq": "jeq", "jne": "jeq", "jlt": "jge", "jle": "jgt"}
ALIASES = {"jmp": "ja", "ldi": "ld", "ldxi": "ldx", **SWAPPED}
MNEMONICS = tuple(dict.fromkeys([row.mnemonic for row in OPCODES] + list(ALIASES)))
LENGTH_NAMES = ("len", "pktlen")

TOKEN = re.compile(
    r"(?P<quad>[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)"
    r"|(?P<number>0[xX][0-9a-fA-F]\w*|0[bB][01]\w*|[0-9]\w*)"
    r"|(?P<word>[A-Za-z_.][\w.]*)"
    r"|(?P<sign>[][()#%,:&*+-])"
    r"|(?P<other>\S)"
)


@dataclass(frozen=True)
class Token:
    """A piece of a line: its kind, its text, its offset in the whole source."""

    kind: str
    text: str
    offset: int

    @property
    def end(self) -> int:
        """The offset just behind it."""
        return self.offset + len(self.text)


@dataclass(frozen=True)
class Operand:
    """What stands behind a mnemonic; targets are label tokens or offsets."""

    form: Form
    k: int = 0
    targets: tuple[Token, ...] = ()


class Blamed(Exception):  # noqa: N818  control flow: the problem is already noted
    """This statement is wrong and said so; go on with the next line."""


@dataclass
class Reader:
    """Reads one line's tokens, left to right."""

    source: Source
    tokens: list[Token]
    end: int
    at: int = 0
    mnemonic: str = field(default="", init=False)

    def peek(self, *texts: str, ahead: int = 0) -> bool:
        """Whether the next token is one of `texts`, in any case."""
        index = self.at + ahead
        return index < len(self.tokens) and self.tokens[index].text.lower() in texts

    def take(self) -> Token:
        """The next token; at the end of the line an empty one."""
        if self.at < len(self.tokens):
            self.at += 1
            return self.tokens[self.at - 1]
        return Token("end", "", self.end)

    def fail(self, token: Token, message: str, rule: str = "", hint: str = "") -> Blamed:
        """Note a problem at a token; to be raised."""
        self.source.blame(token.offset, len(token.text), message, rule, hint)
        return Blamed()

    def expect(self, text: str) -> Token:
        """Take exactly `text`."""
        token = self.take()
        if token.text.lower() != text:
            found = f"found {token.text!r}" if token.text else "the line ends"
            raise self.fail(token, f"expected {text!r} here, {found}", forms_rule(self.mnemonic))
        return token

    def value(self) -> int:
        """A number, signed or not, an IPv4 address, or a well-known name."""
        token = self.take()
        if token.text in ("-", "+") and self.at < len(self.tokens):
            digits = self.take()
            return self.source.number(token.text + digits.text, token.offset)
        if token.kind == "number":
            return self.source.number(token.text, token.offset)
        if token.kind == "quad":
            octets = [int(part) if len(part) < 4 else 256 for part in token.text.split(".")]
            if max(octets) > 255:
                raise self.fail(token, f"{token.text} is no IPv4 address", "each part is 0–255")
            return int.from_bytes(octets, "big")
        if token.text.upper() in CONSTANTS:
            return CONSTANTS[token.text.upper()]
        shown = (
            f"{token.text!r} is no number and no name known here"
            if token.text
            else "a number is missing"
        )
        hint = self.source.near(token.text, [name.lower() for name in CONSTANTS]).upper()
        hint = hint.replace("DID YOU MEAN", "did you mean")
        raise self.fail(token, shown, "numbers are decimal, 0x…, 0b… or octal", hint)

    def operand(self) -> Operand:
        """Whatever operand stands here, whether or not the mnemonic takes it."""
        if self.at >= len(self.tokens):
            return Operand(Form.NONE)
        if self.peek("["):
            return self.bracket()
        if self.peek("#"):
            return self.immediate()
        if self.peek("m") and self.peek("[", ahead=1):
            self.at += 2
            k = self.value()
            self.expect("]")
            return Operand(Form.MEM, k)
        if self.peek("4") and self.peek("*", ahead=1):
            return self.header_length()
        return self.name()

    def bracket(self) -> Operand:
        """[k], [x+k], or an extension as listings write it: [proto]."""
        self.expect("[")
        if self.peek("%"):
            self.at += 1
        if self.peek("x") and self.peek("]", "+", "-", ahead=1):
            self.at += 1
            if (self.peek("+") and self.peek("-", "+", ahead=1)) or self.peek("+"):
                self.at += 1
            k = 0 if self.peek("]") else self.value()
            self.expect("]")
            return Operand(Form.IND, k)
        if self.at < len(self.tokens) and self.tokens[self.at].text.lower() in EXTENSION_NAMES:
            k = EXTENSION_NAMES[self.take().text.lower()].k
        else:
            k = self.value()
        self.expect("]")
        return Operand(Form.ABS, k)

    def immediate(self) -> Operand:
        """#k, #len, #proto; with targets behind it in a jump."""
        self.expect("#")
        word = self.tokens[self.at].text.lower() if self.at < len(self.tokens) else ""
        if word in LENGTH_NAMES:
            self.at += 1
            return Operand(Form.LEN)
        if word in EXTENSION_NAMES:
            self.at += 1
            return Operand(Form.ABS, EXTENSION_NAMES[word].k)
        k = self.value()
        targets = self.targets()
        return Operand(Form.IMM_TARGETS, k, targets) if targets else Operand(Form.IMM, k)

    def header_length(self) -> Operand:
        """4*([k]&0xf), and no other number in it."""
        for text in "4", "*", "(", "[":
            self.expect(text)
        k = self.value()
        for text in "]", "&":
            self.expect(text)
        mask = self.take()
        if mask.text.lower() not in ("0xf", "15", "0x0f"):
            raise self.fail(
                mask, f"the mask here is 0xf, not {mask.text}", "4*([k]&0xf) is one instruction"
            )
        self.expect(")")
        return Operand(Form.MSH, k)

    def name(self) -> Operand:
        """a, x, len, an extension, or where to jump; a bare number last."""
        if self.peek("%"):
            self.at += 1
        token = self.tokens[self.at] if self.at < len(self.tokens) else Token("end", "", self.end)
        word = token.text.lower()
        if self.mnemonic in ("ja", "jmp"):
            return Operand(Form.TARGET, targets=(self.target(),))
        if word in ("a", "x"):
            self.at += 1
            targets = self.targets()
            if targets:
                return Operand(Form.X_TARGETS, 0, targets)
            return Operand(Form.A if word == "a" else Form.X)
        if word in LENGTH_NAMES:
            self.at += 1
            return Operand(Form.LEN)
        if word in EXTENSION_NAMES:
            self.at += 1
            return Operand(Form.ABS, EXTENSION_NAMES[word].k)
        if token.kind in ("number", "quad") or word in ("-", "+"):
            k = self.value()
            if self.mnemonic in ("ldi", "ldxi"):
                return Operand(Form.IMM, k)
            raise self.fail(
                token,
                "a bare number",
                forms_rule(self.mnemonic),
                spelt(self.mnemonic, token.text),
            )
        hint = self.source.near(token.text, [*LENGTH_NAMES, *EXTENSION_NAMES])
        raise self.fail(token, f"{token.text!r} is no operand", forms_rule(self.mnemonic), hint)

    def targets(self) -> tuple[Token, ...]:
        """`, Lt` or `, Lt, Lf` in a jump; nothing elsewhere."""
        found = []
        while self.peek(","):
            self.at += 1
            found.append(self.target())
        return tuple(found)

    def target(self) -> Token:
        """A label, or +n."""
        token = self.take()
        if token.text == "+" and self.at < len(self.tokens):
            number = self.take()
            return Token("skip", str(self.source.number(number.text, number.offset)), token.offset)
        if token.kind == "word":
            return token
        hint = f"put a label there, or write +{token.text}: that many instructions are skipped"
        raise self.fail(
            token,
            "a target is a label" + (f", not {token.text!r}" if token.text else ""),
            "jumps: #k,Lt,Lf · #k,Lt · x,Lt,Lf",
            hint if token.kind == "number" else "",
        )

    def rest(self) -> None:
        """Nothing but a comment may follow."""
        if self.at < len(self.tokens) and not self.peek("#"):
            token = self.tokens[self.at]
            raise self.fail(
                token,
                f"{token.text!r} does not belong here",
                "one instruction a line",
                "comments start with ; or #",
            )


def forms_rule(mnemonic: str) -> str:
    """What a mnemonic takes: `ldh takes [k] · [x+k]`."""
    forms = forms_of(mnemonic)
    return f"{mnemonic} takes {' · '.join(forms)}" if forms else ""


def forms_of(mnemonic: str) -> list[str]:
    """The operands that a mnemonic takes, as people write them."""
    name = ALIASES.get(mnemonic, mnemonic)
    forms = [row.name.partition(" ")[2] or "no operand" for row in OPCODES if row.mnemonic == name]
    if mnemonic in ("ldi", "ldxi"):
        forms = ["#k", "k"]
    if mnemonic == "ldx":
        forms.append("4*([k]&0xf)")
    return forms


def spelt(mnemonic: str, number: str) -> str:
    """How a bare number behind a mnemonic could be meant.

    >>> spelt("add", "12"), spelt("ldh", "12")
    ('a constant is written #12', 'a packet offset is written [12]')
    """
    taken = {form.partition(",")[0] for form in forms_of(mnemonic)}
    kinds = (
        ("#k", "a constant", f"#{number}"),
        ("[k]", "a packet offset", f"[{number}]"),
        ("M[k]", "a scratch word", f"M[{number}]"),
    )
    meant = [(noun, shown) for form, noun, shown in kinds if form in taken]
    return ", ".join(
        f"{noun} {shown}" if at else f"{noun} is written {shown}"
        for at, (noun, shown) in enumerate(meant)
    )


def tokenize(text: str, start: int) -> list[Token]:
    """The tokens of a piece of text that stands at offset `start`."""
    return [
        Token(str(match.lastgroup), match[0], start + match.start())
        for match in TOKEN.finditer(text)
    ]


def encode(reader: Reader, first: Token, operand: Operand) -> tuple[Opcode | None, Insn]:
    """Mnemonic and operand form -> opcode; targets are still 0."""
    name = ALIASES.get(reader.mnemonic, reader.mnemonic)
    form = operand.form
    if form is Form.NONE and name == "ret":
        form = Form.A  # as listings write it
    if name == "ret" and form is Form.X:
        return None, Insn(RET_X, 0, 0, 0)
    if reader.mnemonic in ("ldi", "ldxi") and form is not Form.IMM:
        row = None
    else:
        row = find("ldxb" if name == "ldx" and form is Form.MSH else name, form)
    if row is None and name.startswith("j") and form in (Form.IMM, Form.X):
        raise reader.fail(
            reader.take(),
            f"{reader.mnemonic} needs a target",
            forms_rule(reader.mnemonic),
            "name the label to go to when the test holds",
        )
    if row is None:
        width = max(
            1, (reader.tokens[reader.at - 1].end if reader.tokens else first.end) - first.offset
        )
        shown = "without an operand" if form is Form.NONE else f"with {form_name(form)}"
        reader.source.blame(
            first.offset,
            width,
            f"there is no {reader.mnemonic} {shown}",
            forms_rule(reader.mnemonic),
            instead(name, form),
        )
        raise Blamed
    return row, Insn(row.code, 0, 0, operand.k)


def instead(mnemonic: str, form: Form) -> str:
    """How to have what a mnemonic does not do."""
    if form in (Form.ABS, Form.IND):
        if mnemonic == "ldx":
            return "what is in the packet is loaded into A; then copy it: tax"
        if mnemonic in ("st", "stx"):
            return f"a packet cannot be changed; a scratch word is written: {mnemonic} M[0]"
    if mnemonic in ("ldh", "ldb") and form is Form.IMM:
        return "a constant is loaded with ld"
    return ""


def form_name(form: Form) -> str:
    """An operand form as people write it."""
    return form.value.format(k="k", t="Lt", f="Lf")
