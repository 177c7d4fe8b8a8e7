"""What stands on a magic's line -> `Options`: values read, misfits refused.

One setter for each option whose value is more than a word.  Wrong options raise
IPython's `UsageError`; everything else that can be wrong, a file or a program,
is a BpfError and is raised when it is used.  Left out: the table itself
(`options`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

from IPython.core.error import UsageError

from bpfnb.backends import NAMES
from bpfnb.cbpf.asm import READERS
from bpfnb.cbpf.checker import RULES
from bpfnb.errors import brief
from bpfnb.jupyter.options import MAXIMUM_SNAPLEN, OPTIONS, VIEWS, Given, Options, Takes, nearest

__all__ = ["settle"]

NEED_PACKETS = ("verdicts", "bytes", "trace", "log", "step", "why", "plots")  # views of a run
MOST_DIGITS = 20  # of a number on a magic's line
MEANT = {"graph": "cfg", "steps": "step", "hex": "bytes"}  # other words for views
DUMPS = ("listing", "c", "decimal")  # what -d, -dd and -ddd show


def settle(given: Sequence[Given], ignored: Sequence[str] = ()) -> Options:
    """Make `Options` of what stands on a line; UsageError where it does not go together."""
    fields: dict[str, Any] = {}
    shown: list[str] = []
    dumps = 0
    for each in given:
        name = each.option.name
        if name == "dump":
            dumps += 1
        elif name == "show":
            shown += names(each, VIEWS, "view")
        elif name in ("cfg", "bytes", "trace", "step", "why"):
            shown.append(name)
        if name in SETTERS:
            fields.update(SETTERS[name](each))
    if dumps:
        shown.insert(0, DUMPS[min(dumps, len(DUMPS)) - 1])
    fields["show"] = tuple(dict.fromkeys(shown))
    if fields.get("interface", "any") != "any":
        ignored = (*ignored, f"-i {fields.pop('interface')}")
    options = Options(**fields, ignored=tuple(ignored))
    refuse_misfits(options)
    return options


def refuse_misfits(options: Options) -> None:
    """Options that do not go together."""
    if options.packets and options.read:
        raise UsageError("packets are given twice, by -p and by -r; leave one out")
    if options.unchecked and options.on and "interp" not in options.on:
        raise UsageError(
            "--unchecked needs --on interp: the others run only programs that pass the check"
        )
    if options.has_packets:
        return
    needy = [f"--show {view}" for view in options.show if view in NEED_PACKETS]
    needy += [f"--{name}" for name in ("on", "time", "unchecked") if getattr(options, name)]
    if needy:
        raise UsageError(f"{needy[0]} needs packets to run on: add -p EXPR")


def names(given: Given, known: Sequence[str], what: str) -> list[str]:
    """The words of a list with commas, each a known one."""
    words = [each.strip() for each in given.value.split(",")]
    for each in words:
        if not each:
            raise UsageError(
                f"{given.option.flags[-1]} lacks a word: "
                "it takes some, with commas and no blanks between"
            )
        if each not in known:
            near = nearest(each, known) or f"; there are {', '.join(known)}"
            if each in MEANT and MEANT[each] in known:
                near = f"; did you mean {MEANT[each]}?"
            raise UsageError(f"there is no {what} {each!r}{near}")
    return words


def backends(given: Given) -> dict[str, Any]:
    """--on: names of backends, each once; all is all of them."""
    chosen = names(given, (*NAMES, "all"), "backend")
    return {"on": tuple(NAMES) if "all" in chosen else tuple(dict.fromkeys(chosen))}


def packet_number(given: Given) -> dict[str, Any]:
    """--trace[=N] and its like: N counts packets from 1."""
    text, flag = given.value or "1", given.option.flags[-1]
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) == 0:
        raise UsageError(f"{flag}={brief(text)}: packets count from 1, as in {flag}=2")
    return {given.option.name: int(text)}


def snaplen(given: Given) -> dict[str, Any]:
    """-s: 0 to 262144, as tcpdump has it."""
    text = given.value
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) > MAXIMUM_SNAPLEN:
        raise UsageError(f"-s {brief(text)}: a snapshot length is a number, 0–{MAXIMUM_SNAPLEN}")
    return {"snaplen": int(text) or MAXIMUM_SNAPLEN}


def packets(given: Given) -> dict[str, Any]:
    """-p: any text; what it means is seen when it is used."""
    if not given.value.strip():
        raise UsageError("-p wants a value: packets, or a capture file")
    return {"packets": given.value, "packets_quoted": given.quoted}


def one_of(known: Sequence[str], what: str) -> Callable[[Given], dict[str, Any]]:
    """A setter for a word out of a few."""

    def setter(given: Given) -> dict[str, Any]:
        (found, *more) = names(given, known, what)
        if more:
            raise UsageError(f"{given.option.flags[-1]} takes one {what}")
        return {given.option.name: found}

    return setter


def variable(given: Given) -> dict[str, Any]:
    """-o and --program: a name that Python takes."""
    name = given.value
    taken = name == "get_ipython" or (name.startswith("__") and name.endswith("__"))
    if not name.isidentifier() or iskeyword(name) or taken:
        raise UsageError(f"{given.option.flags[-1]} {brief(name)}: this is no name for a variable")
    return {given.option.name: given.value}


def plain(given: Given) -> dict[str, Any]:
    """A word as it stands, or a switch."""
    return {given.option.name: True if given.option.takes is Takes.NOTHING else given.value}


SETTERS: dict[str, Callable[[Given], dict[str, Any]]] = {
    **{row.name: plain for row in OPTIONS if row.name not in ("dump", "show", "cfg")},
    "packets": packets,
    "on": backends,
    **{row.name: packet_number for row in OPTIONS if row.takes is Takes.NUMBER},
    "unoptimized": lambda given: {"optimize": False},
    "snaplen": snaplen,
    "rules": one_of(tuple(RULES), "rule set"),
    "dialect": one_of(tuple(READERS), "dialect"),
    "out": variable,
    "program": variable,
}
