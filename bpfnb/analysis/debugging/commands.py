"""Lines of text -> calls of a Debugger, in the words of the kernel's bpf_dbg.

    step -1
    breakpoint 4 if A == 0x800
    log 3 A is {A:#x}

COMMANDS is their one table: bpf_dbg's eight, then ours.  As there, a command may be cut
short as long as it can be no other.  Left out: doing anything (`debugger`).

Source: bpf_dbg of Linux's tools/bpf.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bpfnb.analysis.debugging.conditions import parse
from bpfnb.analysis.debugging.templates import parse_template
from bpfnb.cbpf.source import did_you_mean
from bpfnb.errors import BpfError, brief

if TYPE_CHECKING:
    from bpfnb.analysis.debugging.debugger import Debugger
    from bpfnb.analysis.debugging.stops import Said, Stop

__all__ = ["COMMANDS", "do", "summary"]

WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
WORD = re.compile(r"[ \t]*([^ \t]*)[ \t]*")
NUMBER_AND_REST = re.compile(r"([0-9]{1,9})(?:[ \t]+|$)")
WHAT = re.compile(r"(bpf|pcap)[ \t]+(.+)", re.DOTALL)
IF = re.compile(r"if\b[ \t]*", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A command line; its arguments begin at offset `start`."""

    text: str
    start: int

    @property
    def rest(self) -> str:
        """The arguments."""
        return self.text[self.start :].strip(" \t")


@dataclass(frozen=True)
class Command:
    """A command: its name, its arguments as people write them, and what it does."""

    name: str
    form: str
    sentence: str
    do: Callable[[Debugger, Line], Any]

    @property
    def usage(self) -> str:
        """Name and arguments."""
        return f"{self.name} {self.form}".rstrip()

    def wrong(self, line: Line) -> BpfError:
        """The error of arguments that are none."""
        found = f"does not take {brief(line.rest)!r}" if line.rest else "takes something more"
        return BpfError(f"{self.name} {found}", f"it is used as: {self.usage}")


def do(debugger: Debugger, line: str) -> Stop | Said:
    """Do one line; an empty one shows where the debugger stands."""
    text = line.rstrip("\r\n")
    word = WORD.match(text)
    assert word is not None  # it matches everything
    if not word[1]:
        return debugger.here
    command = find(word[1])
    answer: Stop | Said = command.do(debugger, Line(text, word.end()))
    return answer


def find(word: str) -> Command:
    """The command of a name, or of its beginning."""
    wanted = word.lower()
    names = ", ".join(each.name for each in COMMANDS)
    if wanted in BY_NAME:
        return BY_NAME[wanted]
    near = [each for each in COMMANDS if each.name.startswith(wanted)]
    if len(near) == 1:
        return near[0]
    if near:
        either = " or ".join(each.name for each in near)
        raise BpfError(f"{brief(word)!r} may be {either}", f"the commands are {names}")
    cure = did_you_mean(wanted, BY_NAME)
    said = f"{cure} " if cure else ""
    raise BpfError(f"there is no command {brief(word)!r}", f"{said}the commands are {names}")


def summary() -> str:
    """All commands, a line each."""
    width = max(len(each.usage) for each in COMMANDS)
    return "\n".join(f"{each.usage:<{width}}  {each.sentence}" for each in COMMANDS)


def number(command: str, line: Line, default: int | None = None) -> int:
    """The one number behind a command; `default` where there is none."""
    if not line.rest and default is not None:
        return default
    if not WHOLE.fullmatch(line.rest):
        raise BY_NAME[command].wrong(line)
    return int(line.rest)


def alone(command: str, line: Line) -> None:
    """Nothing may stand behind a command."""
    if line.rest:
        raise BY_NAME[command].wrong(line)


def place(command: str, line: Line) -> tuple[int, int] | None:
    """The pc behind a command and where what follows it begins; None: nothing is there."""
    if not line.rest:
        return None
    match = NUMBER_AND_REST.match(line.text, line.start)
    if match is None:
        raise BY_NAME[command].wrong(line)
    return int(match[1]), match.end()


def load(debugger: Debugger, line: Line) -> Stop | Said:
    """Load bpf PROGRAM, or pcap FILE."""
    match = WHAT.fullmatch(line.rest)
    if match is None:
        raise BY_NAME["load"].wrong(line)
    what, given = match.groups()
    if what == "bpf":
        return debugger.load_bpf(given)
    from pathlib import Path

    return debugger.load_pcap(Path(given))


def select(debugger: Debugger, line: Line) -> Stop:
    """Select N."""
    return debugger.select(number("select", line))


def step(debugger: Debugger, line: Line) -> Stop:
    """Step, forwards or back."""
    return debugger.step(number("step", line, 1))


def run(debugger: Debugger, line: Line) -> Stop:
    """Run, over at most N packets."""
    return debugger.run(number("run", line) if line.rest else None)


def breakpoint_(debugger: Debugger, line: Line) -> Said:
    """Breakpoint PC, with or without a condition; or reset."""
    if line.rest == "reset":
        return debugger.breakpoint("reset")
    found = place("breakpoint", line)
    if found is None:
        return debugger.breakpoint()
    pc, behind = found
    if behind >= len(line.text.rstrip(" \t")):
        return debugger.breakpoint(pc)
    word = IF.match(line.text, behind)
    if word is None:
        raise BY_NAME["breakpoint"].wrong(line)
    return debugger.breakpoint(pc, parse(line.text, word.end()))


def watch(debugger: Debugger, line: Line) -> Said:
    """Watch CONDITION; or reset."""
    if not line.rest or line.rest == "reset":
        return debugger.watch(line.rest or None)
    return debugger.watch(parse(line.text, line.start))


def log(debugger: Debugger, line: Line) -> Said:
    """Log PC and a template; or reset."""
    if line.rest == "reset":
        return debugger.logpoint("reset")
    found = place("log", line)
    if found is None:
        return debugger.logpoint()
    pc, behind = found
    if behind >= len(line.text):
        raise BY_NAME["log"].wrong(line)
    return debugger.logpoint(pc, parse_template(line.text, behind))


def bare(name: str) -> Callable[[Debugger, Line], Said]:
    """A command without arguments: the debugger's method of its name."""

    def doing(debugger: Debugger, line: Line) -> Said:
        alone(name, line)
        answer: Said = getattr(debugger, name)()
        return answer

    return doing


COMMANDS = (
    Command("load", "bpf PROGRAM | pcap FILE", "another program, in any dialect; packets", load),
    Command("select", "N", "stand before the first step on packet N, from 1", select),
    Command("step", "[+N|-N]", "one step on, N steps on, N steps back", step),
    Command("run", "[N]", "to the next stop, over all packets or at most N", run),
    Command("breakpoint", "[PC [if CONDITION] | reset]", "stop before PC; list them", breakpoint_),
    Command("disassemble", "", "the listing; ● breakpoint, → what runs next", bare("disassemble")),
    Command("dump", "", "the program as numbers", bare("dump")),
    Command("quit", "", "let go of everything", bare("quit")),
    Command("watch", "[CONDITION | reset]", "stop where it becomes true; list them", watch),
    Command("log", "[PC WORDS {A:#x} | reset]", "say so whenever PC runs; list them", log),
    Command("help", "", "these lines", bare("help")),
)  # fmt: skip
BY_NAME = {each.name: each for each in COMMANDS}
