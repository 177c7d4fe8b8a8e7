"""Programs that could take this process along run in one of their own.

    ask("libpcap", path, jobs)    one Answer a job, whatever becomes of the process

libpcap's evaluator aborts on an opcode it does not know, and a program that jumps
backwards may never end.  So a second Python is started, without a shell, handed
the jobs, and says a line an answer.  When it is lost, the job it was at has
that for its answer, and another one goes on behind it.  A job may use one second of
the processor; nothing is left behind, no process and no core file.

Left out: keeping a process for the next call, and limits on memory.

Source: setitimer(2), core(5), prctl(2).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bpfnb.cbpf.checker import check
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, UnavailableError, brief

__all__ = ["SECONDS", "Answer", "Job", "ask", "serve"]

SECONDS = 1.0  # of the processor, for one job
WALL = 120.0 if hasattr(signal, "setitimer") else 10.0  # by the clock, for one process
KINDS = ("ret", "refused", "varies", "failed")  # what a process says; the others become of it
READY = "ready"
PR_SET_DUMPABLE = 4  # linux/prctl.h
START = "import sys; sys.path.append(sys.argv[1]); from bpfnb.backends.child import serve; serve()"


class Job(NamedTuple):
    """A program and one packet; `wirelen` None is the packet's own length."""

    program: Program
    data: bytes = b""
    wirelen: int | None = None


@dataclass(frozen=True)
class Answer:
    """What one machine makes of a job; `ret` is None where there is none.

    `kind` is ret, refused (it does not take the program), varies (the same run gives
    another ret), failed (it could not be asked), killed or endless.  `detail` is the
    machine's own word on it.
    """

    kind: str
    detail: str = ""
    ret: int | None = None

    @property
    def words(self) -> str:
        """The answer as it is shown."""
        shown = {
            "ret": f"ret {self.ret}",
            "refused": f"refused: {self.detail}",
            "varies": "ret varies",
            "endless": f"does not end within {self.detail}",
        }
        return shown.get(self.kind, self.detail)

    def __str__(self) -> str:
        return self.words

    def agrees(self, other: Answer) -> bool:
        """True for the same ret, or the same fate; each machine refuses in its own words."""
        if self.kind == other.kind == "refused":
            return True
        return (self.kind, self.words) == (other.kind, other.words)


# This process


def ask(
    machine: str, path: str, jobs: Sequence[Job], seconds: float = SECONDS
) -> tuple[Answer, ...]:
    """One answer a job, in order; `machine` is one of MACHINES, `path` libpcap's file.

    UnavailableError, its message one line, where no second Python can be had.
    """
    answers: list[Answer] = []
    while len(answers) < len(jobs):
        rest = jobs[len(answers) :]
        status, said, error = attend(request(machine, path, rest, seconds))
        got = parse(said, len(rest), error)
        answers += got
        if len(got) < len(rest):
            answers.append(fate(status, seconds))
    return tuple(answers)


def request(machine: str, path: str, jobs: Sequence[Job], seconds: float) -> bytes:
    """What the second Python reads."""
    rows = [(bytes(job.program).hex(), job.data.hex(), job.wirelen) for job in jobs]
    asked = {"machine": machine, "path": path, "seconds": seconds, "jobs": rows}
    return json.dumps(asked).encode("ascii")


def attend(asked: bytes) -> tuple[int | None, str, str]:
    """Run a second Python to its end: exit status (None: out of time), its words, its errors.

    It has no site, no user's settings and no working directory among its imports.
    """
    if not sys.executable:
        raise UnavailableError("no second Python to start: sys.executable is empty")
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-I", "-S", "-c", START, root]
    try:
        done = subprocess.run(
            command,
            input=asked,
            capture_output=True,
            timeout=WALL,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        return None, text(error.stdout), text(error.stderr)
    except OSError as error:
        raise UnavailableError(
            f"a second Python does not start from {sys.executable}: {error.strerror or error}"
        ) from None
    return done.returncode, text(done.stdout), text(done.stderr)


def text(output: bytes | None) -> str:
    """What a process wrote, as text that can hold anything."""
    return (output or b"").decode("utf-8", "replace")


def parse(said: str, jobs: int, error: str) -> list[Answer]:
    """The answers in a process's words; a line that is cut off is none."""
    lines = said.split("\n")[:-1]
    if not lines or lines[0] != READY:
        reason = (error.strip().splitlines() or ["it says nothing"])[-1]
        raise UnavailableError(f"a second Python does not start: {brief(reason)}")
    if len(lines) - 1 > jobs:
        raise UnavailableError(f"the second Python gives {len(lines) - 1} answers to {jobs} jobs")
    return [parse_line(number, line) for number, line in enumerate(lines[1:])]


def parse_line(number: int, line: str) -> Answer:
    """One line: [number, kind, detail, ret]; anything else is refused."""
    try:
        found, kind, detail, ret = json.loads(line)
    except (ValueError, TypeError):
        found = kind = detail = ret = None
    good = type(found) is int and found == number and kind in KINDS and isinstance(detail, str)
    if kind == "ret":
        good = good and type(ret) is int and 0 <= ret < 1 << 32
    else:
        good = good and ret is None
    if not good:
        raise UnavailableError(f"the second Python says what is no answer: {brief(line)}")
    return Answer(kind, detail, ret)


def fate(status: int | None, seconds: float) -> Answer:
    """What became of a process that was lost at a job."""
    if status is None:
        return Answer("endless", f"{WALL:g} s")
    if status >= 0:
        return Answer("killed", f"ends the process (exit status {status})")
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    if name == "SIGPROF":
        return Answer("endless", f"{seconds:g} s")
    return Answer("killed", f"{'aborts' if name == 'SIGABRT' else 'ends the process'} ({name})")


# The second process


def serve() -> None:
    """Read jobs from the standard input, and say what becomes of each at once."""
    leave_no_core()
    asked = json.load(sys.stdin)
    evaluate = MACHINES[asked["machine"]](asked["path"])
    say(READY)
    for number, (code, data, wirelen) in enumerate(asked["jobs"]):
        limit(asked["seconds"])
        job = Job(Program.from_bytes(bytes.fromhex(code)), bytes.fromhex(data), wirelen)
        try:
            answer = evaluate(job)
        except BpfError as error:
            answer = Answer("failed", brief(error.message))
        say(json.dumps([number, answer.kind, answer.detail, answer.ret]))
    limit(0)


def say(line: str) -> None:
    """One line, written whole before the next job can end this process."""
    os.write(1, f"{line}\n".encode())


def limit(seconds: float) -> None:
    """From here on, so much of the processor; then SIGPROF ends this process.  0: no limit."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def leave_no_core() -> None:
    """Write no core file and hand none to a program, however this process ends."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


Evaluate = Callable[[Job], Answer]


def interp(path: str) -> Evaluate:
    """Our machine, behind the checker."""

    def evaluate(job: Job) -> Answer:
        faults = check(job.program)
        if faults:
            return Answer("refused", faults[0].rule)
        return Answer("ret", ret=run(job.program, job.data, job.wirelen))

    return evaluate


def linux(path: str) -> Evaluate:
    """The running kernel, on a socket pair; it knows no wire length."""
    import errno

    from bpfnb.linux.readout import ret
    from bpfnb.linux.sockfilter import KernelRefused

    def evaluate(job: Job) -> Answer:
        try:
            return Answer("ret", ret=ret(job.program, job.data))
        except KernelRefused as error:
            return Answer("refused", errno.errorcode.get(error.errno, str(error.errno)))

    return evaluate


def libpcap(path: str) -> Evaluate:
    """The libpcap at `path`: its validator, then its evaluator, whatever the opcodes.

    Run twice, the second time on a stack of its own: what hangs on the memory
    around it shows itself.
    """
    from bpfnb.pcap.library import Library

    library = Library(path)

    def evaluate(job: Job) -> Answer:
        if not library.validate(job.program):
            return Answer("refused", "bpf_validate")
        evaluator = library.evaluator(job.program, guarded=False)
        rets = [evaluator.run(job.data, job.wirelen)]
        again = threading.Thread(target=lambda: rets.append(evaluator.run(job.data, job.wirelen)))
        again.start()
        again.join()
        return Answer("ret", ret=rets[0]) if rets[0] == rets[1] else Answer("varies")

    return evaluate


MACHINES: dict[str, Callable[[str], Evaluate]] = {
    "interp": interp,
    "linux": linux,
    "libpcap": libpcap,
}
