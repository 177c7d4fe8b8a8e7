"""Goals 5 and 6: what compiling costs, what a second thread gains, how much memory a scan takes.

Memory is that of a fresh process which opens, indexes and filters the capture:
its anonymous memory (RssAnon of /proc/PID/status: all but pages of files, such as
the mapped capture), asked for every millisecond from outside.  The target is held
against how far its peak lies above what the process had after its imports.
"""

from __future__ import annotations

import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bpfnb.backends import native
from bpfnb.face import Program
from filters import EXPRESSIONS, HUNDRED, TWENTY, deny_list, mixture
from host import cores
from rounds import Spread, spread, take_turns
from rows import MS, Heading, NotMeasured, Row, alone, faster
from setting import Setting

__all__ = ["compiling", "memory", "threads"]

MIB = 1 << 20
KEPT = 24  # bytes a packet that the index may take
BESIDE = 64  # MiB that all else may take
CHILD = Path(__file__).parent / "scan_once.py"
EVERY = 0.001  # seconds between two looks


def compiling(setting: Setting) -> Iterator[Row]:
    """Programs of 100 and of 4096 instructions, each compiled anew."""
    programs = (
        ("an expression", setting.programs[HUNDRED], 100, 11),
        ("a deny list", deny_list(), 2000, 5),
        ("a mixture of everything", mixture(), 2000, 5),
    )
    for what, program, at_most, rounds in programs:
        heading = Heading(5, "compiling to native", f"{len(program)} instructions", what)
        taken = compiled_anew(program, setting.rounds(rounds))
        yield alone(heading, "ms", taken.times(MS), at_most)


def compiled_anew(program: Program, rounds: int) -> Spread:
    """Seconds to compile it, none of it kept from before."""
    return spread(take_turns({"native": lambda: native.Native(program)}, rounds)["native"])


def threads(setting: Setting) -> Iterator[Row]:
    """Two threads against one, over the capture in memory."""
    for name in (TWENTY, HUNDRED):
        group = "native by two threads against one"
        heading = Heading(5, group, setting.mapped.where, setting.label(name))
        if cores() < 2:
            yield Row(heading, missing="one core")
            continue
        times, size = one_and_two(setting, name), len(setting.mapped)
        yield faster(heading, times["two"], times["one"], (size, size), 1.7)


def one_and_two(setting: Setting, name: str) -> dict[str, list[float]]:
    """Seconds of a scan by one thread and by two."""
    compiled, batch = native.compiled(setting.programs[name]), setting.mapped.batch
    racers = {
        "one": lambda: compiled.scan(batch, jobs=1),
        "two": lambda: compiled.scan(batch, jobs=2),
    }
    return take_turns(racers, setting.rounds(25))


def memory(setting: Setting) -> Iterator[Row]:
    """A fresh process over the capture: how far it grew, and all it had."""
    group = "memory besides the mapped file"
    grown, whole = (
        Heading(6, group, setting.mapped.where, what)
        for what in ("peak over the imports", "peak, Python and modules counted")
    )
    try:
        found = [watched(setting.path, EXPRESSIONS[HUNDRED]) for _ in range(setting.rounds(5))]
    except NotMeasured as reason:
        yield Row(grown, missing=str(reason))
        return
    at_most = round(BESIDE + KEPT * setting.packets / MIB, 1)
    yield alone(grown, "MiB", spread([(peak - before) / MIB for before, peak in found]), at_most)
    yield alone(whole, "MiB", spread([peak / MIB for _, peak in found]), None)


def watched(path: Path, expression: str) -> tuple[int, int]:
    """Bytes of anonymous memory of a scan's process: after its imports, and at its peak."""
    command = [sys.executable, str(CHILD), str(path), expression]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        told, told_by = child.stdin, child.stdout
        assert told is not None
        assert told_by is not None
        told_by.readline()
        looks = [anonymous(child.pid)]
        told.write(b"\n")
        told.flush()
        while not select.select([told_by], [], [], EVERY)[0]:
            looks.append(anonymous(child.pid))
        looks.append(anonymous(child.pid))
        answer = told_by.readline()
        told.write(b"\n")
    if child.returncode or not answer.strip().isdigit():
        raise RuntimeError(f"{CHILD.name} said {answer!r} and ended with {child.returncode}")
    return looks[0], max(looks)


def anonymous(pid: int) -> int:
    """Bytes of a process that are no file's pages; NotMeasured where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        raise NotMeasured("no /proc here") from None
    found = re.search(r"^RssAnon:\s*(\d+) kB$", status, re.M)
    if not found:
        raise NotMeasured("this kernel does not tell RssAnon")
    return int(found[1]) * 1024
