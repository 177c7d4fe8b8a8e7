"""Tab inside %bpf, %%bpf and %%cspf: options and their values on the line, assembly in the body.

A matcher for IPython's completer.  On the line it knows flags, views,
backends, link types and, behind -p, the user's variables and the sample
captures; in a body mnemonics, this cell's labels, extensions and well-known
constants; behind %bpf_hint and --exercise the course's exercises.  Left out: file
names, which IPython's own matcher gives beside these.

Source: IPython's completer, matcher API v2.  Its `cursor_position` is a column,
though `full_text` is the whole cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.error import UsageError

from bpfnb.cbpf.ancillary import EXTENSIONS
from bpfnb.cbpf.asm import MNEMONICS, READERS
from bpfnb.cbpf.checker import RULES
from bpfnb.cbpf.constants import CONSTANTS
from bpfnb.cbpf.cspf_text import NAMES
from bpfnb.jupyter.cspf_magic import TAKEN
from bpfnb.jupyter.cspf_magic import VIEWS as STACK_VIEWS
from bpfnb.jupyter.grammar import BY_FLAG, end_of_value, parse
from bpfnb.jupyter.options import VIEWS

if TYPE_CHECKING:
    from IPython.core.completer import IPCompleter, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["complete", "register"]

IDENTIFIER = "bpfnb.bpf"
LINE = re.compile(r"\s*(?:[\w.,\s]+=\s*)?(?:%%?bpf|%%cspf)(?:\s+(?P<rest>.*))?$", re.S)
LESSON = re.compile(r"\s*%(?P<magic>bpf_hint|bpf_progress)\s+(?P<word>\S*)$")
PACKETS = re.compile(r"(?:^|\s)(?:-p|--packets[ =])\s*")
LABEL = re.compile(r"^\s*([A-Za-z_]\w*)\s*:", re.M)
STATEMENT = re.compile(r"\s*(?:[A-Za-z_]\w*\s*:)?\s*(?P<mnemonic>[A-Za-z]+)\s+(?P<operand>.*)$")
NAME = re.compile(r"[A-Za-z_][\w.]*$")
JUMPS = ("j", "ja", "jmp")

# What there is to choose from: (words, what they are called in the menu).
Choice = tuple[Iterable[str], str]


def register(shell: InteractiveShell) -> None:
    """Give a shell's completer this matcher, in place of one given before."""
    completer = shell.Completer
    if completer is None:
        return

    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        fragment, choices, alone = complete(
            context.full_text, context.cursor_line, context.cursor_position, completer
        )
        found = [
            SimpleCompletion(each, type=kind)
            for words, kind in choices
            for each in dict.fromkeys(words)
        ]
        return {"completions": found, "suppress": alone, "matched_fragment": fragment}

    others = [
        each
        for each in completer.custom_matchers
        if getattr(each, "matcher_identifier", "") != IDENTIFIER
    ]
    completer.custom_matchers = [*others, context_matcher(identifier=IDENTIFIER)(matcher)]


def complete(
    text: str, line: int, column: int, completer: IPCompleter | None = None
) -> tuple[str, list[Choice], bool]:
    """What may stand at a place of a cell.

    `line` counts from 0.  Return the word begun there, the choices that begin
    like it, and whether no other completer has anything to add.
    """
    lines = text.split("\n")
    before = lines[line][:column]
    if lesson := LESSON.match(before):
        words, kind = LESSONS[lesson["magic"]]
        return lesson["word"], [(beginning(lesson["word"], words()), kind)], True
    start, stack = LINE.match(before), text.lstrip().startswith("%%cspf")
    if start and (line == 0 or not text.lstrip().startswith("%%")):
        word, choices, alone = on_line(start["rest"], completer)
        return word, [of_cspf(each) for each in choices] if stack else choices, alone
    if line and stack:
        return in_stack_body(before, completer)
    if line and text.lstrip().startswith("%%bpf"):
        return in_body("\n".join(lines[1:]), before, completer)
    return "", [], False


def on_line(rest: str | None, completer: IPCompleter | None) -> tuple[str, list[Choice], bool]:
    """Complete an option or its value; `rest` is what stands behind %bpf."""
    if rest is None:
        return "", [], False
    if (python := begun_packets(rest)) is not None:
        word, choices, alone = in_python(python, completer)
        if word == python:
            choices.append((sample_paths(word), "path"))
        return word, choices, alone
    *before, word = re.split(r"\s+", rest)
    flag, equals, value = word.partition("=")
    if equals and flag in VALUES:
        return in_values(flag, value)
    if before and before[-1] in VALUES:
        return in_values(before[-1], word)
    if word.startswith("-") and only_options(rest.removesuffix(word)):
        return word, [(beginning(word, BY_FLAG), "option")], True
    return "", [], False


def begun_packets(rest: str) -> str | None:
    """The value of -p that the cursor stands in, None when it stands in none."""
    starts = [match.end() for match in PACKETS.finditer(rest)]
    for start in starts:
        try:
            if end_of_value(rest, start) == len(rest):
                return rest[start:]
        except UsageError:
            return rest[start:]
    return None


def only_options(before: str) -> bool:
    """Whether no expression has begun."""
    try:
        return not parse(before)[1]
    except UsageError:
        return False


def in_values(flag: str, word: str) -> tuple[str, list[Choice], bool]:
    """Complete the value of an option, after the last comma of a list."""
    fragment = word.rpartition(",")[2]
    words, kind = VALUES[flag]
    return fragment, [(beginning(fragment, words()), kind)], True


def in_python(text: str, completer: IPCompleter | None) -> tuple[str, list[Choice], bool]:
    """Complete the name at the end of a Python expression."""
    found = NAME.search(text)
    name = found.group() if found else ""
    if completer is None or not name:
        return name, [], False
    matches = completer.attr_matches if "." in name else completer.global_matches
    return name, [(matches(name), "instance")], False


def sample_paths(begun: str) -> list[str]:
    """The sample captures whose names begin like this."""
    from bpfnb.samples import captures

    return [str(each.path) for each in captures if each.name.startswith(begun)]


def in_body(
    body: str, before: str, completer: IPCompleter | None
) -> tuple[str, list[Choice], bool]:
    """Complete an instruction of the body; `before` is its line up to the cursor."""
    opened = before.rfind("{{")
    if opened > before.rfind("}}"):
        return in_python(before[opened + 2 :], completer)
    if ";" in before or "/*" in before:
        return "", [], True
    found = NAME.search(before)
    word = found.group() if found else ""
    statement = STATEMENT.match(before)
    if statement is None:
        return word, [(beginning(word, MNEMONICS), "mnemonic")], True
    mnemonic = statement["mnemonic"].lower()
    if before.removesuffix(word).endswith("#"):
        return word, [(beginning(word, ("len", *CONSTANTS)), "constant")], True
    choices: list[Choice] = []
    if mnemonic in ("ld", "ldh", "ldb"):
        choices.append((beginning(word, (row.name for row in EXTENSIONS)), "extension"))
    elif mnemonic.startswith(JUMPS):
        choices.append((beginning(word, LABEL.findall(body)), "label"))
    return word, choices, True


def in_stack_body(before: str, completer: IPCompleter | None) -> tuple[str, list[Choice], bool]:
    """Complete an action, an operator or a literal of the stack machine's."""
    opened = before.rfind("{{")
    if opened > before.rfind("}}"):
        return in_python(before[opened + 2 :], completer)
    if any(mark in before for mark in (";", "#", "//", "/*")):
        return "", [], True
    found = NAME.search(before)
    word = found.group() if found else ""
    literal = re.search(r"PUSHLIT\S*\s+$", before.removesuffix(word), re.I)
    words, kind = (CONSTANTS, "constant") if literal else (NAMES, "mnemonic")
    return word, [(beginning(word, words), kind)], True


def of_cspf(choice: Choice) -> Choice:
    """Only those options and views that %%cspf takes."""
    words, kind = choice
    if kind == "option":
        return [each for each in words if BY_FLAG[each].name in TAKEN], kind
    return ([each for each in words if each in STACK_VIEWS], kind) if kind == "view" else choice


def beginning(begun: str, words: Iterable[str]) -> list[str]:
    """The words that begin like this, in any case.

    >>> beginning("ethertype_a", ["ETHERTYPE_IP", "ETHERTYPE_ARP"])
    ['ETHERTYPE_ARP']
    """
    return [each for each in words if each.lower().startswith(begun.lower())]


def backends() -> Iterable[str]:
    """The backends there are, and all of them."""
    from bpfnb.backends import NAMES

    return (*NAMES, "all")


def linktypes() -> Iterable[str]:
    """The link types' names."""
    from bpfnb.packets.linktype import LINKTYPES

    return [row.name for row in LINKTYPES]


def exercises() -> Iterable[str]:
    """The course's exercises, by their ids."""
    from bpfnb.course.exercises import known

    return known()


VALUES: dict[str, tuple[Callable[[], Iterable[str]], str]] = {
    "--on": (backends, "backend"),
    "--show": (lambda: VIEWS, "view"),
    "--rules": (lambda: RULES, "rule set"),
    "--dialect": (lambda: READERS, "dialect"),
    "--exercise": (exercises, "exercise"),
    "--libpcap": (lambda: ("carried", "system"), "library"),
    "-y": (linktypes, "link type"),
    "-i": (lambda: ("any",), "interface"),
    "-r": (lambda: sample_paths(""), "path"),
}

# What stands behind the magics of the course.
LESSONS: dict[str, tuple[Callable[[], Iterable[str]], str]] = {
    "bpf_hint": (exercises, "exercise"),
    "bpf_progress": (lambda: ("--forget",), "option"),
}
