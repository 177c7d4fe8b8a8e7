"""Whether an answer is right, and if not, one packet that it gets wrong.

    answer = judge(find("07.2"), program)
    answer.right, answer.sentence, answer.packet

An answer is held against what its exercise asks for, the cheapest first: the packets
that matter, then the reference by proof on every packet, then how long it may be and how
it must be written.  Where no proof can be had the samples' packets are tried, and the
answer says that this is none.

Left out: programs that the check refuses (the magic has said so before), and how an
answer looks (`views.exercise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from bpfnb.analysis.cost import Cost, cost
from bpfnb.analysis.debugging import conditions
from bpfnb.analysis.debugging.predicates import facts
from bpfnb.analysis.sameness import tells_apart, told
from bpfnb.cbpf import machine
from bpfnb.cbpf.ancillary import derive
from bpfnb.cbpf.opcodes import BY_CODE, Since
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.course.exercises import Exercise
from bpfnb.errors import UnavailableError, UndecidedError
from bpfnb.packets.packet import Packet, PacketBatch

__all__ = ["Answer", "judge"]

SECONDS = 10.0  # how long a proof may take
LONGEST = 2048  # bytes of a packet that an answer must get right
MADE = "a packet made for your filter"
WRITTEN = {  # dialect: what a program of it says of its origin, and what to ask for
    "asm": ("assembly", "in mnemonics"),
    "c": ("C array", "as rows of C, like those of -dd"),
    "decimal": ("tcpdump -ddd", "as decimal numbers, like those of -ddd"),
}


@dataclass(frozen=True)
class Answer:
    """What was found of an answer.

    `sentence` says it.  A wrong program comes with a `packet`, its `name`, and the
    `rets` of answer and reference on it; where a packet is asked for it is that one.
    `proved` says that no packet tells it from the reference; else `tried` packets have
    not, and `notes` say why there is no proof.  `mine` and `reference` are the costs.
    """

    exercise: Exercise
    right: bool
    sentence: str
    packet: Packet | None = None
    name: str = ""
    rets: tuple[int, int] = (0, 0)
    proved: bool = False
    tried: int = 0
    mine: Cost | None = None
    reference: Cost | None = None
    notes: tuple[str, ...] = ()


def judge(
    exercise: Exercise,
    program: Program,
    packets: Sequence[Packet] = (),
    seconds: float = SECONDS,
) -> Answer:
    """Hold a program against an exercise; where a packet is asked for, `packets`.

    A proof gets so many `seconds`.

    >>> from bpfnb.course.exercises import find
    >>> exercise = find("00.1")
    >>> judge(exercise, exercise.assembled(exercise.starter)).sentence
    'a ping: your filter accepts it; it should reject it'
    """
    if exercise.reaches:
        return judge_packets(exercise, program, packets)
    answer = compared(exercise, program, seconds)
    if answer.right and (lack := shortcoming(exercise, program)):
        return replace(answer, right=False, sentence=f"its answers are right, but {lack}")
    return answer


def compared(exercise: Exercise, program: Program, seconds: float) -> Answer:
    """Whether a program answers as the reference does: on the packets that matter, on all."""
    found = Answer(exercise, True, "")
    if exercise.machine == "bpf":
        found = replace(found, mine=cost(program), reference=cost(exercise.program))
    for name, each in exercise.packets.items():
        if differs(exercise, program, each):
            return wrong(found, program, each, name)
    try:
        counterexample = prove(exercise, program, seconds)
    except (UnavailableError, UndecidedError) as error:
        return tried(found, program, error.message)
    if counterexample is None:
        said = f"{agreement(exercise)}, on {exercise.among} up to {LONGEST:,} bytes long"
        return replace(found, proved=True, sentence=said)
    made = PacketBatch.of([counterexample]).summary(0)
    found = replace(found, notes=noted(counterexample))
    return wrong(found, program, counterexample, f"{MADE} ({made})")


def noted(packet: Packet) -> tuple[str, ...]:
    """What extensions read of a packet where its bytes alone do not tell."""
    plain, given = derive(packet.data, packet.linktype), packet.ancillary
    said = [
        f"{each.name} is {getattr(given, each.name)}"
        for each in fields(given)
        if each.name != "random" and getattr(given, each.name) != getattr(plain, each.name)
    ]
    return (f"beside its bytes, as the kernel's extensions read: {', '.join(said)}",) * bool(said)


def differs(exercise: Exercise, program: Program, packet: Packet) -> bool:
    """Whether a packet that matters gets another answer than the reference's."""
    if exercise.filter is not None and not run(exercise.filter, packet):
        return False
    return tells_apart(exercise.same, *both(exercise, program, packet), len(packet))


def run(program: Program, packet: Packet) -> int:
    """The verdict of a checked program."""
    return machine.run(program, packet.data, packet.wirelen, packet.ancillary)


def both(exercise: Exercise, program: Program, packet: Packet) -> tuple[int, int]:
    """The rets of an answer and of the reference."""
    return run(program, packet), run(exercise.program, packet)


def prove(exercise: Exercise, program: Program, seconds: float) -> Packet | None:
    """A packet that tells the program from the reference; None: there is none."""
    from bpfnb.analysis.equivalence import Counterexample, Question, equivalent

    question = Question(program, exercise.program, exercise.same, exercise.filter, max_len=LONGEST)
    answer = equivalent(question, seconds)
    if not isinstance(answer, Counterexample):
        return None
    found, linktype = answer.found, exercise.program.linktype
    notes = found.ancillary
    if notes is not None:  # what no program asks for is as the bytes have it
        plain = derive(found.data, linktype)
        notes = replace(plain, **dict(found.notes), random=notes.random)
    return Packet(found.data, found.wirelen, notes, linktype)


def tried(found: Answer, program: Program, why: str) -> Answer:
    """Without a proof: the answer by the packets of all samples of this link type."""
    from bpfnb import samples

    exercise = found.exercise
    count = len(exercise.packets)
    for sample in samples.captures:
        batch = sample.open()
        if batch.linktype != exercise.program.linktype:
            continue
        for number, each in enumerate(batch, 1):
            if differs(exercise, program, each):
                return wrong(found, program, each, f"packet {number} of the sample {sample.name}")
        count += len(batch)
    said = f"{agreement(exercise)}, on the {count:,} packets that were tried"
    return replace(found, tried=count, sentence=said, notes=(f"this is no proof: {why}",))


def wrong(found: Answer, program: Program, packet: Packet, name: str) -> Answer:
    """The answer that gets a packet wrong."""
    rets = both(found.exercise, program, packet)
    yours, wanted = (told(found.exercise.same, ret, len(packet)) for ret in rets)
    said = f"{name}: your filter {yours}; it should {infinitive(wanted)}"
    return replace(found, right=False, sentence=said, packet=packet, name=name, rets=rets)


def infinitive(words: str) -> str:
    """What something does, as what it should do.

    >>> infinitive("keeps 42 bytes of it"), infinitive("rejects it")
    ('keep 42 bytes of it', 'reject it')
    """
    verb, *rest = words.split(" ")
    return " ".join([verb.removesuffix("s"), *rest])


def agreement(exercise: Exercise) -> str:
    """What an answer does that is right."""
    sides = {"verdict": "accepts what it should", "kept": "keeps what it should"}
    return f"it {sides.get(exercise.same, 'returns what it should')}"


def shortcoming(exercise: Exercise, program: Program) -> str:
    """What a right answer lacks all the same; "" where it lacks nothing."""
    if exercise.dialect:
        origin, words = WRITTEN[exercise.dialect]
        if program.origin != origin:
            return f"it is to be written {words}"
    mine = cost(program)
    if exercise.instructions and mine.instructions > exercise.instructions:
        return f"it has {mine.instructions} instructions, and {exercise.instructions} are enough"
    if exercise.loads and mine.loads > exercise.loads:
        return (
            f"one way through it loads from the packet {mine.loads} times, "
            f"and {exercise.loads} {'is' if exercise.loads == 1 else 'are'} enough"
        )
    if exercise.bytes and mine.bytes > exercise.bytes:
        return f"one way through it reads {mine.bytes} bytes, and {exercise.bytes} are enough"
    return misused(exercise, program)


def misused(exercise: Exercise, program: Program) -> str:
    """Which instruction is missing, or should not be there."""
    rows = [BY_CODE[insn.code] for insn in program.insns]
    missing = [each for each in exercise.uses if each not in {row.mnemonic for row in rows}]
    if missing:
        return f"it is to be done with {' and '.join(missing)}"
    for pc, row in enumerate(rows):
        if row.mnemonic in exercise.without:
            return f"({pc:03d}) is {row.name}; do it without {' and '.join(exercise.without)}"
        if exercise.paper and row.since is not Since.PAPER:
            return f"({pc:03d}) is {row.name}, which Table 1 of the paper does not have"
    return ""


def judge_packets(exercise: Exercise, program: Program, packets: Sequence[Packet]) -> Answer:
    """Whether one of the packets brings the exercise's own program where it should come."""
    if program.insns != exercise.program.insns:
        return Answer(exercise, False, "the program is part of the question: leave it as it was")
    if not packets:
        return Answer(exercise, False, "a packet is asked for: give one with -p")
    wanted = conditions.parse(exercise.reaches)
    for number, each in enumerate(packets, 1):
        which = "the packet" if len(packets) == 1 else f"packet {number}"
        ran = trace(program, each.data, each.wirelen, each.ancillary)
        for at in range(len(ran.steps)):
            if wanted.holds(facts(ran, at)):
                said = f"{which} gets there: step {at} has {exercise.reaches}"
                return Answer(exercise, True, said, each, which, tried=len(packets))
    return Answer(exercise, False, astray(exercise, packets), packets[0], "packet 1")


def astray(exercise: Exercise, packets: Sequence[Packet]) -> str:
    """Where the first of some packets comes instead."""
    first = packets[0]
    last = trace(exercise.program, first.data, first.wirelen, first.ancillary).steps[-1]
    gets, who = "the packet does not get", "it"
    if len(packets) > 1:
        gets, who = f"none of the {len(packets)} packets gets", "the first"
    held = f"with {last.before.A:,} in A and {last.before.X:,} in X"
    return f"{gets} there, no step has {exercise.reaches}: {who} ends at ({last.pc:03d}), {held}"
