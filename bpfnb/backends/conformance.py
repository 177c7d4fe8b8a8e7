"""The conformance table of classic BPF, run live: every machine here, every question.

The questions are the named differences and, beside them, AGREEMENTS: places where
machines could differ as easily and do not.  Each answer comes from a process of
its own (`child`), for some of the programs abort or never end.  The machines are
ours, the running kernel's, and each libpcap that can be loaded; one that is
missing is said in a line, and the rest goes on.

Left out: showing it (`views.conformance`).

Source: `differences`; the paper's answers from McCanne & Jacobson 1993, section 3
and its two tables.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bpfnb.backends.child import Answer, Job, ask
from bpfnb.backends.differences import DIFFERENCES, NOT_IN_TABLES
from bpfnb.backends.questions import Question
from bpfnb.errors import UnavailableError
from bpfnb.linux.probe import attempt, socket_filters
from bpfnb.pcap.library import CHOICE, PLACES, load

__all__ = ["AGREEMENTS", "Machine", "Outcome", "Row", "conform"]

ENDS = "ends with 0"
ENDS_IT = "ends the program"

AGREEMENTS: tuple[Question, ...] = (
    Question(
        "division by X of 0",
        "what becomes of a division that no check could see",
        "ld #6\ndiv x\nret #1",
        paper=ENDS_IT,
    ),
    Question(
        "modulo by X of 0",
        "the same for the rest of a division",
        "ld #6\nmod x\nret #1",
        paper=NOT_IN_TABLES,
    ),
    Question(
        "division by the constant 0",
        "whether a mistake that can be seen is refused",
        "div #0\nret #1",
        paper=ENDS_IT,
    ),
    Question(
        "division of a large number",
        "whether A is a number with a sign",
        "ld #0xfffffffe\ndiv #2\nrsh #24\nret a",
    ),
    Question(
        "comparison with a large number",
        "the same for a test",
        "ld #0xffffffff\njgt #1, yes, no\nyes: ret #1\nno: ret #0",
    ),
    Question(
        "product beyond 32 bits",
        "what is kept of it",
        "ld #0x10001\nldx #0x10001\nmul x\nand #0xfffff\nret a",
        paper="A has 32 bits",
    ),
    Question("neg", "whether there is a change of sign", "ld #-5\nneg\nret a", paper=NOT_IN_TABLES),
    Question(
        "mod and xor",
        "whether later instructions are there",
        "ld #17\nmod #10\nxor #2\nret a",
        paper=NOT_IN_TABLES,
    ),
    Question(
        "test against X",
        "whether the other operand may be X",
        "ldx #3\nld #3\njeq x, yes, no\nyes: ret #1\nno: ret #0",
        paper="in section 3.3, not in its tables",
    ),
    Question(
        "word at the very end",
        "whether the last bytes can be read",
        "ld [1]\nret a",
        bytes([9, 0, 0, 0, 7]),
        paper="reads it",
    ),
    Question(
        "word one byte past the end",
        "whether three bytes of four are enough",
        "ld [2]\nret #1",
        bytes(5),
        paper=ENDS,
    ),
    Question("ldxb past the end", "whether X's own load ends it too", "ldxb 4*([1]&0xf)\nret #1",
             b"\x45", paper=ENDS),
    Question(
        "load past the captured bytes",
        "whether what was on the wire and is not here can be read",
        "ldb [4]\nret #1",
        bytes(4),
        wirelen=1500,
        paper=ENDS,
    ),
    Question(
        "offset of 2**31",
        "whether an offset that no header has is far off or before the packet",
        "ldb [0x80000000]\nret #1",
        bytes(4),
        paper=ENDS,
    ),
    Question("empty packet", "whether a filter runs on nothing", "ret #1"),
    Question(
        "ret above the packet's length",
        "whether a ret is cut to the packet",
        "ret #262144",
        bytes(4),
        paper="accepts the smaller of both",
    ),
    Question("empty program", "whether no filter is a filter", ""),
    Question("M[16]", "whether there are more than 16 scratch words", "st M[16]\nret #1"),
    Question("jump past the end", "where a program can leave itself", "ja +1\nret #1"),
    Question("last instruction no ret", "the same, by walking on", "ret #1\ntax"),
    Question(
        "broken rule never reached",
        "whether code matters that does not run",
        "ret #1\nst M[16]\nret #1",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """One that can be asked: `kind` as in `child.MACHINES`, `path` libpcap's file.

    `name` has its version, `version` its own words for it.
    """

    name: str
    kind: str
    version: str = ""
    path: str = ""


@dataclass(frozen=True)
class Row:
    """A question with the answer of each machine, in the table's order of machines."""

    question: Question
    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        """The question's name."""
        return self.question.name

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The machines' indices, those together that agree."""
        groups: list[list[int]] = []
        for index, answer in enumerate(self.answers):
            for group in groups:
                if answer.agrees(self.answers[group[0]]):
                    group.append(index)
                    break
            else:
                groups.append([index])
        return tuple(map(tuple, groups))

    @property
    def differs(self) -> bool:
        """Whether two machines give different answers."""
        return len(self.groups) > 1


@dataclass(frozen=True)
class Outcome:
    """All rows, those first on which machines differ; `missing` has a line a machine not here."""

    machines: tuple[Machine, ...]
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()


def conform(questions: Sequence[Question] = (*DIFFERENCES, *AGREEMENTS)) -> Outcome:
    """Ask every machine here every question; takes a few seconds, none of them in this process."""
    machines, missing = present()
    jobs = [Job(each.program, each.data, each.wirelen) for each in questions]
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        asked = list(pool.map(lambda machine: answers(machine, jobs), machines))
    there, columns = [], []
    for machine, found in zip(machines, asked, strict=True):
        if isinstance(found, str):
            missing.append(f"{machine.name}: {found}")
        else:
            there.append(machine)
            columns.append(found)
    rows = [
        Row(question, tuple(column[at] for column in columns))
        for at, question in enumerate(questions)
    ]
    return Outcome(
        tuple(there), tuple(sorted(rows, key=lambda row: not row.differs)), tuple(missing)
    )


def answers(machine: Machine, jobs: Sequence[Job]) -> tuple[Answer, ...] | str:
    """A machine's answers; where it cannot be asked, why not, in one line."""
    try:
        return ask(machine.kind, machine.path, jobs)
    except UnavailableError as error:
        return error.message


def present() -> tuple[list[Machine], list[str]]:
    """The machines that are here, and a line for each that is not."""
    machines, missing = [Machine("bpfnb", "interp", "the interpreter of this package")], []
    for find in (kernel, *(libpcap_at(place) for place in places())):
        try:
            machine = find()
        except UnavailableError as error:
            missing.append(error.message)
        else:
            if machine.path not in [each.path for each in machines if each.path]:
                machines.append(distinct(machine, machines))
    return machines, missing


def kernel() -> Machine:
    """The running kernel, where its socket filters work."""
    ability = attempt("socket filters", socket_filters)
    if not ability.works:
        raise UnavailableError(f"Linux: {ability.reason}")
    release = platform.release()
    number = release.partition("-")[0]
    return Machine(f"Linux {number}", "linux", f"{release} on {platform.machine()}")


def places() -> list[str]:
    """Where to look for libpcap: the known places, then the one the user chose."""
    chosen = os.environ.get(CHOICE, "")
    return [*PLACES, *([chosen] if chosen and chosen not in PLACES else [])]


def libpcap_at(place: str) -> Callable[[], Machine]:
    """How to find the libpcap of one place."""

    def find() -> Machine:
        library = load(place)
        number = library.version.removeprefix("libpcap version ").split()[0]
        return Machine(
            f"libpcap {number}",
            "libpcap",
            f"{library.version.removeprefix('libpcap version ')}, {place}",
            library.path,
        )

    return find


def distinct(machine: Machine, others: Sequence[Machine]) -> Machine:
    """The same under a name that no other has."""
    alike = sum(each.name.partition(" #")[0] == machine.name for each in others)
    if not alike:
        return machine
    return Machine(f"{machine.name} #{alike + 1}", machine.kind, machine.version, machine.path)
