"""What a magic takes from Python: the packets of -p, and `{{expr}}` in a body.

Expressions are evaluated in the user's namespace; an exception they raise is
the user's own and comes through with its traceback.

A value of -p is a file when it is a word with `/` or ending in .pcap, .pcapng
or .gz (an `Ether()/IP()` has brackets, an `eth/ip` two names of variables, and
so are none); anything else is Python.  Left out: what can be a packet
(`packets.source`).
"""

from __future__ import annotations

import ast
import ipaddress
import linecache
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from bpfnb.cbpf.asm import assemble
from bpfnb.errors import BpfError
from bpfnb.jupyter.grammar import end_of_value

__all__ = ["evaluate", "fill", "is_file", "packets_value", "read_text"]

CAPTURES = (".pcap", ".pcapng", ".gz")
NO_WORD = re.compile(r"[()\[\]{}'\",=]")
# A row in braces whose first field is a number or a name of linux/filter.h: C, not ours.
C_ARRAY = re.compile(
    r"\{\s*+(?:0[xX][0-9a-fA-F]++|\d++|\.code\s*+=[^,{}]*+|BPF_[\w\s|+]*+)\s*+,|\bBPF_(?:STMT|JUMP)\s*\("
)

WIDEST = 64  # bits of a number that is put into a program; what is wrong beyond 32 it says itself
COMMENT_OR_BRACES = re.compile(r"/\*|;[^\n]*|^[ \t]*#[^\n]*|\{\{", re.M)


def packets_value(text: str, namespace: dict[str, Any]) -> Any:
    """The object that -p names: a Path, or the value of a Python expression."""
    __tracebackhide__ = True
    return Path(text).expanduser() if is_file(text, namespace) else evaluate(text, namespace, "-p")


def is_file(text: str, namespace: Mapping[str, Any]) -> bool:
    """Whether a value of -p is a file's path and no Python.

    >>> is_file("captures/x", {}), is_file("x.pcap", {}), is_file("Ether()/IP()", {})
    (True, True, False)
    >>> is_file("eth/ip", {"eth": 1, "ip": 2}), is_file("packets", {})
    (False, False)
    """
    if NO_WORD.search(text):
        return False
    if text.endswith(CAPTURES) or text.startswith(("/", "./", "../", "~/")):
        return True
    return "/" in text and not is_known(text, namespace)


def is_known(text: str, namespace: Mapping[str, Any]) -> bool:
    """Whether this is Python whose every name has a value."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return all(each.id in namespace for each in ast.walk(tree) if isinstance(each, ast.Name))


def evaluate(text: str, namespace: dict[str, Any], where: str) -> Any:
    """The value of a Python expression; `where` names it in a traceback."""
    __tracebackhide__ = True  # IPython leaves such frames out: the mistake is the user's own
    name = f"<{where}>"
    linecache.cache[name] = (len(text), None, [f"{text}\n"], name)
    return eval(compile(text.strip(), name, "eval"), namespace)


def fill(body: str, namespace: dict[str, Any]) -> str:
    """Put the values of all `{{expr}}` into a body; comments and C arrays are left alone.

    >>> fill("ret #{{snaplen // 2}}", {"snaplen": 96})
    'ret #48'
    """
    __tracebackhide__ = True
    if "{{" not in body or C_ARRAY.search(body):
        return body
    parts: list[str] = []
    at, last = 0, body.rfind("*/")
    while found := COMMENT_OR_BRACES.search(body, at):
        start = end = found.end()
        if found.group() == "{{":
            place = f"{{{{…}}}} on line {body.count(chr(10), 0, start) + 1}"
            try:
                end = end_of_value(body, start, place, stop="}}")
            except UsageError as error:
                raise BpfError(str(error), "close it: {{expression}}") from error
            parts += [body[at : start - 2], written(body[start:end], namespace, place)]
            at = end + 2
        else:
            if found.group() == "/*" and start <= last:  # one that nothing closes is no comment
                end = body.index("*/", start) + 2
            parts.append(body[at:end])
            at = end
    return "".join([*parts, body[at:]])


def written(expression: str, namespace: dict[str, Any], place: str) -> str:
    """One value as a program's text has it: a number, or words as they are."""
    __tracebackhide__ = True
    if not expression.strip():
        raise BpfError(f"{place} is empty", "put a Python expression between the braces")
    value = evaluate(expression, namespace, place)
    if isinstance(value, (str, ipaddress.IPv4Address)):
        return str(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise BpfError(
            f"{place}: {expression.strip()} is of type {type(value).__name__}",
            "a whole number, a str or an IPv4Address can be put into a program",
        ) from None
    if number.bit_length() > WIDEST:
        raise BpfError(f"{place}: a number of {number.bit_length()} bits", "k has 32 bits")
    return str(number)


def swallowed(text: str) -> Iterator[str]:
    """A sentence for each comment that is an instruction: `;` separates none.

    >>> list(swallowed("ldb [0]; tax"))
    ['line 1: ";" begins a comment, so "tax" is no part of the program']
    """
    for number, line in enumerate(text.splitlines(), 1):
        code, _, comment = line.partition(";")
        words = comment.partition(";")[0].strip()
        if code.strip() and words and is_instruction(words):
            yield f'line {number}: ";" begins a comment, so "{words}" is no part of the program'


def is_instruction(words: str) -> bool:
    """Whether words are an instruction that needs no label."""
    try:
        return len(assemble(words, "asm")) == 1
    except BpfError:
        return False


def read_text(path: str) -> str:
    """The text of a file that -F names."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BpfError(f"-F {path}: cannot be read: it is no text in UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise BpfError(f"-F {path}: cannot be read: {reason}") from error
