"""Exercises in a notebook: `--exercise`, and the magics %bpf_hint and %bpf_progress.

    %%bpf --exercise 07.2          hold the body against an exercise
    %bpf_hint 07.2                 its next hint; %bpf_hint 07.2 1 the first one
    %bpf_progress                  what is right so far; --forget deletes it

Left out: which exercises there are (`course.exercises`), what is right (`course.judging`),
what is kept (`course.progress`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from bpfnb.errors import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from bpfnb.analysis.cost import Cost
    from bpfnb.cbpf.program import Program
    from bpfnb.course.exercises import Exercise
    from bpfnb.course.judging import Answer
    from bpfnb.packets.packet import Packet
    from bpfnb.views.exercise import Answered, Hint, Progress

__all__ = ["examine", "register"]

MOST_DIGITS = 4  # of a hint's number


def examine(
    exercise: Exercise, program: Program, packets: Sequence[Packet] = (), written: bool = True
) -> tuple[Answered, Packet | None]:
    """An answer as a view, and the packet that shows it; the try is kept.

    `written` is False for a program that libpcap compiled.
    """
    from bpfnb.course.progress import Progress
    from bpfnb.views.exercise import Answered

    answer = judged(exercise, program, packets)
    progress = Progress.read()
    progress.answered(exercise.id, answer.right)
    lines = [*reason(answer, program), *comparison(answer), *cut(answer, program), *answer.notes]
    if answer.packet is not None and packets and not exercise.reaches:
        lines.append("below is the packet that shows it, not those of -p")
    if not written and answer.right:
        lines.append("libpcap wrote this one")
    if not answer.right:
        lines.append(f"%bpf_hint {exercise.id} gives a hint")
    lines += progress.notes
    title = exercise.title
    view = Answered(exercise.id, title, answer.right, sentence(answer), tuple(lines))
    return view, answer.packet


def judged(exercise: Exercise, program: Program, packets: Sequence[Packet]) -> Answer:
    """What is found of an answer; one that the kernel would refuse is not run."""
    from bpfnb.cbpf import checker
    from bpfnb.course.judging import Answer, judge

    faults = checker.check(program)
    if faults:
        first = faults[0]
        at = "" if first.pc is None else f" at ({first.pc:03d})"
        return Answer(exercise, False, f"the kernel refuses it{at}: {first.message}")
    return judge(exercise, program, packets)


def sentence(answer: Answer) -> str:
    """The answer's sentence, with the word for a proof."""
    said = answer.sentence[:1].upper() + answer.sentence[1:]
    return f"{said}: proved" if answer.proved and answer.right else said


def reason(answer: Answer, program: Program) -> Iterator[str]:
    """Why the program says what it says of a packet that it gets wrong."""
    from bpfnb.analysis.why import why
    from bpfnb.cbpf.trace import trace

    packet = answer.packet
    exercise = answer.exercise
    if packet is None or answer.right or exercise.reaches or exercise.machine != "bpf":
        return
    ran = trace(program, packet.data, packet.wirelen, packet.ancillary)
    yield f"your filter: {why(ran, packet.linktype).sentence}"


def comparison(answer: Answer) -> Iterator[str]:
    """How a right program compares with the reference."""
    mine, reference = answer.mine, answer.reference
    if mine is None or reference is None or not answer.right:
        return
    ours, theirs = figures(mine), figures(reference)
    if ours == theirs:
        yield f"{described(mine)}, like the reference"
    elif all(a <= b for a, b in zip(ours, theirs, strict=True)):
        yield f"{described(mine)}: better than the reference, which has {described(reference)}"
    else:
        yield f"{described(mine)}; the reference has {described(reference)}"


def cut(answer: Answer, program: Program) -> Iterator[str]:
    """That a right program keeps little of what it accepts, where only accepting is asked for."""
    from bpfnb.course.judging import LONGEST
    from bpfnb.views.style import plural

    if not answer.right or answer.exercise.same != "verdict":
        return
    kept, pc = shortest(program)
    if kept < min(LONGEST, shortest(answer.exercise.program)[0]):
        size = plural(kept, "byte")
        yield f"({pc:03d}) keeps no more than {size} of a packet: ret #-1 keeps all of it"


def shortest(program: Program) -> tuple[int, int]:
    """The least that a `ret #k` of a program keeps when it accepts, and its pc."""
    from bpfnb.cbpf.opcodes import BY_CODE

    found = [
        (insn.k, pc)
        for pc, insn in enumerate(program.insns)
        if BY_CODE[insn.code].name == "ret #k" and insn.k
    ]
    return min(found, default=(1 << 32, 0))


def figures(cost: Cost) -> tuple[int, ...]:
    """A cost's figures; less is better in each."""
    return cost.instructions, cost.steps, cost.loads, cost.bytes


def described(cost: Cost) -> str:
    """A cost in words."""
    from bpfnb.views.style import plural

    loads = f"at most {plural(cost.loads, 'load')} ({plural(cost.bytes, 'byte')})"
    size = f"{plural(cost.instructions, 'instruction')}, at most {cost.steps} run"
    return f"{size}, {loads if cost.loads else 'no load from the packet'}"


def hint(line: str) -> Hint:
    """Show the next hint for an exercise of the course.

    %bpf_hint 07.2 gives the next one each time, from a first nudge to nearly the answer;
    %bpf_hint 07.2 1 gives the first one again.  Which ones you have seen is kept with
    your progress, on this computer alone: %bpf_progress shows it.
    """
    from bpfnb.course.exercises import find
    from bpfnb.course.progress import Progress
    from bpfnb.views.exercise import Hint

    words = line.split()
    if not 1 <= len(words) <= 2:
        raise UsageError("%bpf_hint wants an exercise, as in %bpf_hint 07.2")
    exercise = find(words[0])
    total = len(exercise.hints)
    progress = Progress.read()
    number = min(progress[exercise.id].hints + 1, total)
    if len(words) == 2:
        asked = words[1]
        if not asked.isdecimal() or len(asked) > MOST_DIGITS or not 1 <= int(asked) <= total:
            raise UsageError(f"{exercise.id} has hints 1–{total}, not {brief(asked)!r}")
        number = int(asked)
    progress.hinted(exercise.id, number)
    return Hint(exercise.id, number, total, exercise.hints[number - 1], tuple(progress.notes))


def progress(line: str) -> Progress:
    """Show which exercises of the course you have right, chapter by chapter.

    Tries and hints are counted beside them.  It is kept in one small file on this computer,
    named below the tables, and sent nowhere; the environment variable BPFNB_DATA_DIR names
    another folder for it.  %bpf_progress --forget deletes it.
    """
    from bpfnb.course import progress as kept
    from bpfnb.course.exercises import chapters
    from bpfnb.course.notebooks import titles
    from bpfnb.views.exercise import Chapter, Progress, Standing

    asked = line.strip()
    if asked not in ("", "--forget"):
        raise UsageError(f"%bpf_progress takes --forget or nothing, not {brief(asked)!r}")
    known = kept.Progress.read()
    if asked:
        known.forget()
    rows, names = [], titles()
    for chapter, exercises in chapters().items():
        standings = []
        for each in exercises:
            record = known[each.id]
            state = "right" if record.right else "tried" if record.tries else "open"
            standings.append(Standing(each.id, each.title, state, record.tries, record.hints))
        rows.append(Chapter(chapter, names.get(chapter, ""), tuple(standings)))
    return Progress(tuple(rows), str(known.path), tuple(known.notes))


def register(shell: InteractiveShell) -> None:
    """Add %bpf_hint and %bpf_progress to a shell."""
    register_function: Any = shell.register_magic_function
    register_function(hint, "line", "bpf_hint")
    register_function(progress, "line", "bpf_progress")
