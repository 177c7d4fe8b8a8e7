"""How many instructions the processor executes in each evaluator, for a packet.

    counted(packets)     by valgrind, here; UnavailableError without it or gcc
    recorded()           a recording of the same, by benchmarks/valgrind_counts.py
    counts()             the one where it can be had, else the other, which says so
    timed(packets)       the same two evaluators by the clock

libpcap's bpf_filter, of the library that compiles expressions, runs the programs for BPF;
cspf_filter in `evaluators.c`, ours, those for CSPF.  valgrind's callgrind executes both,
instruction by instruction, and counts those from an evaluator's first to its last.  The
numbers hang on both compilers and on the processor's architecture, and not on how busy the
machine is: the same binaries give the same counts each time.

Left out: times of a filter that runs alone; callgrind's own are none.
Source: valgrind's manual, section Callgrind, for --toggle-collect and --dump-before.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from typing import Any

from bpfnb.cbpf.cspf import CspfProgram
from bpfnb.cbpf.program import Program
from bpfnb.course.figure8.filters import FILTERS, MACHINES, Costs
from bpfnb.course.figure8.traffic import campus
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.packets.packet import PacketBatch
from bpfnb.packets.source import packets
from bpfnb.pcap.library import load

__all__ = ["Counts", "counted", "counts", "missing", "recorded", "timed"]

HERE = Path(__file__).parent
RECORDING = HERE / "recorded.json"
FLAGS = ("-O2",)
PATIENCE = 300  # seconds


@dataclass(frozen=True)
class Counts:
    """Instructions for a packet by machine, a mean for each filter.

    `accepted` has how many packets each program accepted, in the order of `programs`;
    `about` says how the numbers came to be.
    """

    costs: Costs
    packets: int
    accepted: tuple[int, ...]
    about: Mapping[str, str] = field(default_factory=dict)
    recorded: bool = False

    @property
    def origin(self) -> str:
        """Where the numbers are from, in a few words."""
        if not self.recorded:
            return "counted here"
        about = self.about
        tools = f"{about['valgrind']}, {about['gcc']}, {about['kernel']} on {about['architecture']}"
        return f"{about.get('instead', '')}recorded on {about['date']} with {tools}"

    def json(self) -> str:
        """The recording's text."""
        return json.dumps(asdict(self), indent=1) + "\n"


def programs() -> Iterator[Program | CspfProgram]:
    """What is run: for each machine, each filter."""
    for name in MACHINES:
        for each in FILTERS.values():
            yield each.programs[name]


def missing() -> str:
    """What is not installed of what counting needs; "" where nothing is missing."""
    if not sys.platform.startswith("linux"):
        return "Linux"
    return " and ".join(name for name in ("valgrind", "gcc") if shutil.which(name) is None)


@cache
def recorded() -> Counts:
    """The recording that is shipped.

    >>> recorded().costs["BPF"][0] < recorded().costs["CSPF"][3]
    True
    """
    row = json.loads(RECORDING.read_text(encoding="utf-8"))
    costs = {name: tuple(means) for name, means in row["costs"].items()}
    return Counts(costs, row["packets"], tuple(row["accepted"]), row["about"], recorded=True)


def counted(given: Any) -> Counts:
    """Count here.  Takes some seconds; UnavailableError without valgrind and gcc."""
    if lack := missing():
        raise UnavailableError(f"counting instructions here needs {lack}")
    batch = packets(given)
    if not len(batch):
        raise BpfError("there are no packets to count instructions for")
    with TemporaryDirectory(prefix="bpfnb-") as name:
        folder = Path(name)
        out = folder / "counts"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                "--toggle-collect=bpf_filter", "--toggle-collect=cspf_filter",
                "--dump-before=next_program"]  # fmt: skip
        said = run([*tool, *built(folder, batch)])
        # The first was written before any program ran; the one without a number is the rest.
        counts = [totals(Path(f"{out}.{number + 2}")) for number, _ in enumerate(programs())]
    means = iter(count / len(batch) for count in counts)
    costs = {name: tuple(next(means) for _ in FILTERS) for name in MACHINES}
    verdicts = tuple(int(line.split()[0]) for line in said.splitlines())
    return Counts(costs, len(batch), verdicts)


def counts() -> Counts:
    """What is counted here of the made-up traffic; where that fails, the recording."""
    try:
        return counted(campus())
    except BpfError as error:
        old = recorded()
        return replace(old, about={**old.about, "instead": f"{error.message}; "})


def timed(given: Any, passes: int = 50) -> Costs:
    """ns for a packet in both evaluators without Python: the fastest pass of some.

    Empty where gcc is missing.
    """
    if "gcc" in missing() or not sys.platform.startswith("linux"):
        return {}
    with TemporaryDirectory(prefix="bpfnb-") as name:
        said = run([*built(Path(name), packets(given)), str(passes)])
    times = iter(float(line.split()[1]) for line in said.splitlines())
    return {name: tuple(next(times) for _ in FILTERS) for name in MACHINES}


def accepted(given: Any) -> tuple[int, ...]:
    """How many packets each of `programs` accepts in these evaluators."""
    with TemporaryDirectory(prefix="bpfnb-") as name:
        said = run(built(Path(name), packets(given)))
    return tuple(int(line.split()[0]) for line in said.splitlines())


def built(folder: Path, batch: PacketBatch) -> tuple[str, str, str]:
    """The command that runs the evaluators: it is built, and its input is written."""
    binary, data = folder / "evaluators", folder / "input"
    run(["gcc", *FLAGS, str(HERE / "evaluators.c"), "-o", str(binary), "-ldl"])
    data.write_bytes(b"".join(written(batch)))
    return str(binary), load().path, str(data)


def written(batch: PacketBatch) -> Iterator[bytes]:
    """The input, as `evaluators.c` describes it."""
    rows = list(programs())
    yield pack("=II", len(rows), len(batch))
    for program in rows:
        if isinstance(program, CspfProgram):
            words = program.words
            yield pack(f"=II{len(words)}H", 1, len(words), *words) + bytes(len(words) % 2 * 2)
        else:
            yield pack("=II", 0, len(program)) + bytes(program)
    for packet in batch:
        size = len(packet.data)
        yield pack("=II", size, packet.wirelen) + packet.data + bytes(-size % 4)


def totals(path: Path) -> int:
    """The instructions that one of callgrind's files counts."""
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text("ascii"), re.M)
    if found is None:
        raise BpfError(f"callgrind's file {path.name} has no total")
    return int(found[1])


def run(command: Sequence[str]) -> str:
    """What a command says; BpfError with its last line where it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd="/"
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise BpfError(f"{Path(command[0]).name} fails: {last}")
    return done.stdout
