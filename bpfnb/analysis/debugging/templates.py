"""What a logpoint says: `A is {A:#x}, byte 23 {P[23]}`.

A field is a value of the grammar in `conditions`, in braces; `{{` and `}}` are braces
themselves.  Behind a colon stands how it is written, decimal otherwise:

    d x b       decimal, hex in lower case, binary
    #x #b       with 0x, 0b before it
    08x #010x   that wide, prefix included, filled with zeros
    8d          that wide, filled with blanks on the left; at most 99
    ip          as an IPv4 address

A value that is absent in a step is written as "none".  Left out: everything else that
Python's format strings can do, so that a page can do the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bpfnb.analysis.debugging.conditions import parse_value
from bpfnb.analysis.debugging.predicates import Facts, Value, value_of
from bpfnb.errors import ConditionError

__all__ = ["Field", "Template", "parse_template"]

PIECE = re.compile(
    r"(?P<brace>\{\{|\}\})"
    r"|\{(?P<value>[^{}]*?)(?::(?P<form>[^{}:\[\]]*))?\}"
    r"|(?P<words>[^{}]+)"
    r"|(?P<lone>[{}])"
)
WIDTH = "0?[1-9][0-9]?"
FORM = re.compile(rf"(?:{WIDTH})?d|#?(?:{WIDTH})?[xb]|{WIDTH}|ip")


@dataclass(frozen=True)
class Field:
    """A value and how it is written."""

    value: Value
    form: str = "d"

    def words(self, facts: Facts) -> str:
        """The value in a step, written."""
        found = value_of(self.value, facts)
        if found is None:
            return "none"
        if self.form == "ip":
            return ".".join(map(str, found.to_bytes(4, "big")))
        return format(found, self.form)


@dataclass(frozen=True)
class Template:
    """A template: its text, and its words and fields in order."""

    text: str
    parts: tuple[str | Field, ...]

    def __str__(self) -> str:
        return self.text

    def fill(self, facts: Facts) -> str:
        """What it says of a step.

        >>> parse_template("A is {A:#x}").fill(Facts(A=2048))
        'A is 0x800'
        """
        return "".join(
            each.words(facts) if isinstance(each, Field) else each for each in self.parts
        )


def parse_template(text: str, start: int = 0) -> Template:
    """Read a template; it begins at offset `start` of a line whose columns errors count.

    Raises ConditionError.
    """
    parts: list[str | Field] = []
    for match in PIECE.finditer(text, start):
        if match["lone"]:
            closing = match["lone"] == "}"
            message = "there is no { for it" if closing else "there is no } for it"
            cure = f"write {match['lone'] * 2} for a brace itself"
            raise ConditionError(text, match.start() + 1, 1, message, cure)
        if match["value"] is None:
            parts.append(match["words"] or match["brace"][0])
            continue
        form = match["form"] if match["form"] is not None else "d"
        if not form or not FORM.fullmatch(form):
            column = match.start("form") + 1
            raise ConditionError(
                text, column, len(form), f"{form!r} is no way to write a number",
                "one of d, x, #x, 08x, #010x, b, ip",
            )  # fmt: skip
        value = parse_value(text, match.start("value"), match.end("value"))
        parts.append(Field(value, form if form[-1] in "dxbp" else f"{form}d"))
    return Template(text[start:], tuple(parts))
