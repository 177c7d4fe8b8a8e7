"""The options of %bpf and %%bpf: one table, read by parser, help and completion.

`Option` is a row of it, `Given` an option as it stands on a line, `Options` all
that a line asks for.  Left out: how a line is cut into options and expression
(`grammar`), and whether what it asks for goes together (`settle`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from IPython.core.magic_arguments import argument

from bpfnb.backends import NAMES
from bpfnb.cbpf.asm import READERS
from bpfnb.cbpf.checker import RULES
from bpfnb.cbpf.disasm import DIALECTS

__all__ = [
    "MAXIMUM_SNAPLEN",
    "OPTIONS",
    "VIEWS",
    "Given",
    "Option",
    "Options",
    "Takes",
    "declare",
    "nearest",
]

VIEWS = (
    "listing",
    "verdicts",
    "cfg",
    "dominators",
    "tree",
    "optimizer",
    "bytes",
    "trace",
    "log",
    "step",
    "why",
    "explain",
    "lint",
    "native",
    "pygen",
    "plots",
    *DIALECTS,
)
MAXIMUM_SNAPLEN = 262144  # tcpdump's; -s 0 means this


class Takes(Enum):
    """What stands behind an option."""

    NOTHING = "nothing"
    WORD = "a word, or quoted text"
    PYTHON = "text up to the end of its brackets, or quoted text"
    NUMBER = "nothing, or a number after ="


@dataclass(frozen=True)
class Option:
    """One row: `name` is the field of `Options`, `metavar` its value in the help."""

    name: str
    flags: tuple[str, ...]
    help: str
    takes: Takes = Takes.NOTHING
    metavar: str = ""


def word(name: str, flags: str, metavar: str, words: str) -> Option:
    """A row whose option takes a word."""
    return Option(name, tuple(flags.split()), words, Takes.WORD, metavar)


def flag(name: str, flags: str, words: str) -> Option:
    """A row whose option takes nothing."""
    return Option(name, tuple(flags.split()), words)


OPTIONS: tuple[Option, ...] = (
    Option(
        "packets",
        ("-p", "--packets"),
        "packets to run on: a Python expression (one scapy packet, a list, bytes …) up to the "
        "end of its brackets, or quoted; or a capture file: a word with / or ending in .pcap, "
        ".pcapng, .gz",
        Takes.PYTHON,
        "EXPR",
    ),
    word("read", "-r", "FILE", "packets from a capture file, as tcpdump's -r"),
    word(
        "on",
        "--on",
        "BACKENDS",
        f"where to run: {', '.join(NAMES)} (default {NAMES[0]}), several with commas between, or "
        "all; the verdicts then stand side by side",
    ),
    word(
        "show",
        "--show",
        "VIEWS",
        f"what to show instead: any of {', '.join(VIEWS)}, with commas between; dominators is "
        "the graph with the tests that all packets of a block have passed, tree the filter as AND, "
        "OR and NOT, optimizer an expression's program without and with it, native LLVM's "
        "and this processor's code beside the listing, pygen the program as Python, plots the "
        "verdicts and the instructions executed a packet, counted, and with --time the times",
    ),
    flag("cfg", "--cfg", "short for --show cfg: the control flow graph"),
    Option(
        "bytes",
        ("--bytes",),
        "short for --show bytes: packet N byte by byte, counted from 1, with its fields and what "
        "the program reads of it; without N the first",
        Takes.NUMBER,
        "N",
    ),
    Option(
        "trace",
        ("--trace",),
        "short for --show trace: each step on packet N, counted from 1, as in --trace=2; "
        "without N on the first",
        Takes.NUMBER,
        "N",
    ),
    Option(
        "why",
        ("--why",),
        "short for --show why: why packet N got its verdict, in words and field names, counted "
        "from 1; without N the first",
        Takes.NUMBER,
        "N",
    ),
    Option(
        "step",
        ("--step",),
        "short for --show step: step through the program in the page, forwards and back, "
        "beginning with packet N",
        Takes.NUMBER,
        "N",
    ),
    flag(
        "time",
        "--time",
        "also show ns per packet on each backend: the median of several runs, their spread, and "
        "the ratio to libpcap",
    ),
    flag("dump", "-d", "the listing (default); -dd: rows of C; -ddd: decimal numbers"),
    flag("unoptimized", "-O", "compile without libpcap's optimiser"),
    word(
        "linktype",
        "-y",
        "LINKTYPE",
        "link type of the program, like EN10MB, RAW or LINUX_SLL2; else the packets' own, else "
        "Ethernet; an assembled program has none until it is given one",
    ),
    word(
        "interface",
        "-i",
        "INTERFACE",
        "any: link type LINUX_SLL2 where packets do not say; others are ignored",
    ),
    flag(
        "any_linktype",
        "--any-linktype",
        "run on packets of another link type than the program is made for",
    ),
    word("snaplen", "-s", "SNAPLEN", "what an accepting ret returns (default 262144)"),
    word("netmask", "--netmask", "MASK", "netmask for `ip broadcast`, like 255.255.255.0; else 0"),
    word(
        "libpcap",
        "--libpcap",
        "LIBRARY",
        "which libpcap compiles: carried (default), system, or a path",
    ),
    word("rules", "--rules", "SET", f"whose rules to check: {' or '.join(RULES)} (default linux)"),
    flag(
        "unchecked",
        "--unchecked",
        "run it though the check fails: on interp, with a bound on its steps",
    ),
    word(
        "dialect",
        "--dialect",
        "NAME",
        f"read the body as one of {', '.join(READERS)} (found out when left out)",
    ),
    word(
        "exercise",
        "--exercise",
        "ID",
        "hold the program against an exercise of the course, like 07.2: right, or a packet that "
        "it gets wrong; %bpf_hint 07.2 gives a hint, %bpf_progress says how far you are",
    ),
    word("file", "-F", "FILE", "take the expression or the body from a file"),
    word("out", "-o --out", "NAME", "the result into the variable NAME"),
    word("program", "--program", "NAME", "the program into the variable NAME"),
    flag("quiet", "-q --quiet", "show nothing and return None; use with -o"),
    flag("version", "--version", "the versions of bpfnb and libpcap"),
)


@dataclass(frozen=True)
class Given:
    """An option as it stands on a line; `quoted` when its value stood in quotes."""

    option: Option
    value: str = ""
    quoted: bool = False


@dataclass(frozen=True)
class Options:
    """What a line asks for.  Empty strings and tuples: not asked for.

    `show` has views in order; `bytes`, `trace`, `step` and `why`
    are numbers of packets, from 1;
    `ignored` the flags of tcpdump that mean nothing here.
    """

    packets: str = ""
    packets_quoted: bool = False
    read: str = ""
    on: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    bytes: int = 1
    trace: int = 1
    step: int = 1
    why: int = 1
    time: bool = False
    optimize: bool = True
    linktype: str = ""
    interface: str = ""
    any_linktype: bool = False
    snaplen: int = MAXIMUM_SNAPLEN
    netmask: str = ""
    libpcap: str = ""
    rules: str = "linux"
    unchecked: bool = False
    dialect: str = ""
    exercise: str = ""
    file: str = ""
    out: str = ""
    program: str = ""
    quiet: bool = False
    version: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def has_packets(self) -> bool:
        """Whether there is something to run on."""
        return bool(self.packets or self.read)


def declare(magic: Callable[..., Any], rows: Sequence[Option] = OPTIONS) -> Callable[..., Any]:
    """Declare options of the table on a magic, for its help."""
    for row in reversed(rows):
        words = row.help.replace("%", "%%")
        if row.takes is Takes.WORD or row.takes is Takes.PYTHON:
            magic = argument(*row.flags, metavar=row.metavar, help=words)(magic)
        else:
            attached = f"[={row.metavar}]" if row.takes is Takes.NUMBER else ""
            flags = [f"{each}{attached}" for each in row.flags]
            magic = argument(*flags, dest=row.name, action="store_true", help=words)(magic)
    return magic


def nearest(word: str, known: Iterable[str]) -> str:
    """A cure that names the nearest known word, or nothing.

    >>> nearest("--pakets", ["--packets", "--on"])
    '; did you mean --packets?'
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
