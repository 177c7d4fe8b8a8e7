"""The exercises: what is asked, what is right, and what helps on the way.

    exercise = find("07.2")
    exercise.statement, exercise.hints, exercise.program

A chapter's exercises stand in `sheets/NN.toml`, as rows of the fields of Exercise.  Beside
them stand what they share: `packets.toml` has packets by the names that readers see,
and each `.bpf` file says which packets matter, in its first line in words.

Left out: whether an answer is right (`judging`), and what is kept of a reader's progress
(`progress`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from bpfnb import cspf
from bpfnb.analysis.sameness import Same
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, brief
from bpfnb.packets.linktype import by_name
from bpfnb.packets.packet import Packet

__all__ = ["SHEETS", "Exercise", "Wrong", "chapters", "find", "known"]

SHEETS = Path(__file__).parent / "sheets"
INCLUDE = re.compile(r"^[ \t]*include[ \t]+(\w+)[ \t]*\n", re.M)
ENDS = "        ret  #1\nno:     ret  #0\n"  # of a filter that says which packets matter


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer, and words that its message must have.

    `line` is the magic's line, where the answer is a packet.
    """

    says: str
    program: str = ""
    line: str = ""


@dataclass(frozen=True)
class Exercise:
    """One exercise, as its sheet has it.

    `starter` is what the reader begins with, `reference` a right answer; their `_line`s
    are the rest of the magic's line.  `same` says what must agree, `given` which packets
    matter: the name of a `.bpf` file, all if empty.  There may be at most so many
    `instructions`, `loads` from the packet on any way, and `bytes` that they read; there
    must be the mnemonics of `uses`, and none of `without`; only the paper's opcodes
    where `paper` is true.  `dialect` is the one that an answer must be written in.

    Where `machine` is "cspf", programs are for the stack machine: their meaning is that of
    the BPF program that accepts exactly the same.

    `packets` are tried first, by their names.  Where `reaches` is a condition on a step,
    the answer is not a program but a packet on which the reference comes to such a step.
    """

    id: str
    title: str
    statement: str
    starter: str
    reference: str
    solution: str
    hints: tuple[str, ...]
    starter_line: str = ""
    reference_line: str = ""
    machine: str = "bpf"
    linktype: str = "EN10MB"
    same: Same = "verdict"
    given: str = ""
    instructions: int = 0
    loads: int = 0
    bytes: int = 0
    uses: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    paper: bool = False
    dialect: str = ""
    reaches: str = ""
    packets: Mapping[str, Packet] = field(default_factory=dict)
    wrong: tuple[Wrong, ...] = ()

    @property
    def chapter(self) -> str:
        """Its chapter's number."""
        return self.id.partition(".")[0]

    @property
    def slug(self) -> str:
        """Its id, as part of a cell's id."""
        return self.id.replace(".", "-")

    @cached_property
    def program(self) -> Program:
        """The reference, assembled."""
        return self.assembled(self.reference)

    def assembled(self, text: str) -> Program:
        """A program for this exercise's machine and link type, in BPF."""
        linktype = by_name(self.linktype).number
        if self.machine == "cspf":
            return replace(cspf.assemble(text).to_bpf(), linktype=linktype)
        return assemble(text, None, linktype)

    @cached_property
    def filter(self) -> Program | None:
        """The filter that accepts the packets that matter; None where all do."""
        if not self.given:
            return None
        return assemble(included(self.given) + ENDS, None, by_name(self.linktype).number)

    @property
    def among(self) -> str:
        """The packets that matter, in words."""
        if not self.given:
            return "every packet"
        return text_of(self.given).partition("\n")[0].removeprefix(";").strip()

    def cell(self, body: str, line: str) -> str:
        """The source of a code cell with an answer."""
        first = f"%%{self.machine} --exercise {self.id} {line.strip()}".rstrip()
        return first + "\n" + body.strip("\n")


def text_of(name: str) -> str:
    """The text of a filter that says which packets matter."""
    return (SHEETS / f"{name}.bpf").read_text(encoding="utf-8")


def included(name: str) -> str:
    """The same, with what it includes in its place."""
    return INCLUDE.sub(lambda found: included(found[1]), text_of(name))


@cache
def chapters() -> Mapping[str, tuple[Exercise, ...]]:
    """All exercises, by their chapter's number."""
    return {path.stem: tuple(sheet(path)) for path in sorted(SHEETS.glob("[0-9][0-9].toml"))}


@cache
def known() -> Mapping[str, Exercise]:
    """All exercises, by their ids."""
    return {each.id: each for chapter in chapters().values() for each in chapter}


def sheet(path: Path) -> Iterator[Exercise]:
    """The exercises of one file."""
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["exercise"]:
        parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        for name in ("statement", "solution"):
            parts[name] = row[name].strip()
        linktype = by_name(row.get("linktype", "EN10MB")).number
        parts["packets"] = dict(packet(each, linktype) for each in row.get("packets", ()))
        parts["wrong"] = tuple(Wrong(**each) for each in row.get("wrong", ()))
        yield Exercise(**parts)


def packet(row: str | Mapping[str, Any], linktype: int) -> tuple[str, Packet]:
    """A packet and its name: a shared one by that, or a name with `hex` or so many `zeros`."""
    if isinstance(row, str):
        return row, Packet(bytes.fromhex(shared()[row]), linktype=linktype)
    data = bytes.fromhex(row["hex"]) if "hex" in row else bytes(row["zeros"])
    return row["name"], Packet(data, linktype=linktype)


@cache
def shared() -> Mapping[str, str]:
    """Packets that several exercises share, in hex by their names."""
    return tomllib.loads((SHEETS / "packets.toml").read_text(encoding="utf-8"))


def find(id: str, machine: str = "") -> Exercise:
    """The exercise of that id; a BpfError that names the nearest for an unknown one.

    One for another machine than the one asked for is a BpfError too.

    >>> find("07.1").id
    '07.1'
    """
    there = known()
    if id in there:
        found = there[id]
        if machine and found.machine != machine:
            raise BpfError(
                f"exercise {id} is not for %%{machine}",
                f"%%{found.machine} --exercise {id} takes it",
            )
        return found
    near = get_close_matches(id, there, n=1, cutoff=0.5)
    chapter = [each.id for each in chapters().get(id[:2], ())]
    hint = f"there are {', '.join(chapter)}"
    if not chapter:
        hint = f"chapters {', '.join(chapters())} have some, the first is like {min(there)}"
    if near and not chapter:
        hint = f"did you mean {near[0]}?"
    raise BpfError(f"there is no exercise {brief(id)!r}", hint)
