"""Why one packet got its verdict: where it ended, and the test that decided.

The run's own way tells which header lies where, so a name is certain here even
where `explain`, which speaks of all ways at once, has none.  The test that
decided is the last one whose other way could have ended in the other kind of
verdict; where nothing decides, the verdict is the program's alone.

Left out: laying it out (`views.why`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bpfnb.analysis.naming.asked import asked
from bpfnb.analysis.naming.flow import START, State, after, along, compared, loaded, possible
from bpfnb.analysis.naming.names import ASSUMED, FRAMED, Header, headers, read, rests_on, term_name
from bpfnb.analysis.naming.places import is_are
from bpfnb.analysis.naming.values import Bits
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Read, Step, Trace

__all__ = ["Missed", "Reason", "Outcome", "why"]

UNKNOWN = -1  # a link type without names
SHORTEST = 20  # bytes of an IP or a TCP header
MOST_FAILED = 4  # tests that are told


@dataclass(frozen=True)
class Missed:
    """A load past the end: `size` bytes at `offset` were wanted, the packet has `have`."""

    offset: int
    size: int
    have: int


@dataclass(frozen=True)
class Outcome:
    """A test that ran: what it compared, what was found, and what each way wants.

    `field` is the name where one is certain; `subject` is that name, or the
    bytes; `found` the value, `shown` as people write it; `held` whether it was
    true.  `wanted` is what the other way wants.
    """

    pc: int
    subject: str
    field: str | None
    found: int
    shown: str
    held: bool
    wanted: str

    @property
    def found_words(self) -> str:
        """What was found: IP.proto is 17 (UDP)."""
        return f"{self.subject} {is_are(self.subject)} {self.shown}"


@dataclass(frozen=True)
class Reason:
    """Why a packet got its verdict.

    `ended` is the pc of the last instruction, `decided` that of the test which
    decided, or of the load past the end; None where nothing did.  `tests` are all
    that ran, in order.  `field`, `found` and `wanted` are those of the test that
    decided; `missed` is the load past the end; `notes` what the names rest on.  A run
    that was stopped has no verdict: `ret` is None.
    """

    sentence: str
    ret: int | None
    kept: int
    ended: int
    decided: int | None = None
    field: str | None = None
    found: int | None = None
    wanted: str | None = None
    missed: Missed | None = None
    tests: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the packet was accepted."""
        return bool(self.ret)


@dataclass(frozen=True)
class Passed:
    """A step, with what was known before it."""

    step: Step
    state: State
    known: tuple[Header, ...]


def why(run: Trace, linktype: int | None = None) -> Reason:
    """Why the packet of a run got its verdict.

    `linktype` is the packet's, for a program that has none of its own.

    >>> from bpfnb.cbpf.trace import trace
    >>> icmp = Program.from_insns([(0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (6, 0, 0, 96),
    ...                            (6, 0, 0, 0)])
    >>> why(trace(icmp, bytes.fromhex("ffffffffffff 001122334455 0806"))).sentence
    'rejected: (001) Ether.type is 0x0806 (ARP), 0x0800 (IPv4) was wanted'
    """
    linktype = run.program.linktype if run.program.linktype is not None else linktype
    if rests_on(linktype) == FRAMED and run.data[:1] != b"\xff":
        linktype = UNKNOWN
    reason = reason_of(run, follow(run, linktype))
    names = [reason.field, *(test.field for test in reason.tests)]
    assumed = linktype is None and any("." in (name or "") for name in names)
    return replace(reason, notes=(ASSUMED,)) if assumed else reason


def reason_of(run: Trace, passed: tuple[Passed, ...]) -> Reason:
    """The reason of a run, by how it ended."""
    if run.ret is None:
        ended = run.steps[-1].pc if run.steps else 0
        said = f"no verdict: {run.stopped}"
        return Reason(said, None, 0, ended, tests=outcomes(run, passed))
    kept = min(run.ret, len(run.data))
    asked_for = "1 byte" if run.ret == 1 else f"{run.ret} bytes"
    lead = f"accepted, {asked_for} asked, {kept} kept" if run.ret else "rejected"
    last = run.steps[-1]
    if last.missed is not None:
        return missing(run, passed, lead)
    row = BY_CODE[last.insn.code]
    if row.cls is not Class.RET:
        what = "divides by X, which is 0" if row.cls is Class.ALU else "finds no device"
        return Reason(f"{lead}: ({last.pc:03d}) {what}", run.ret, kept, last.pc, last.pc,
                      tests=outcomes(run, passed))  # fmt: skip
    return decided(run, passed, lead, kept)


def follow(run: Trace, linktype: int | None) -> tuple[Passed, ...]:
    """What was known before each step of a run, on its own way."""
    state, passed = START, []
    known = headers(state.facts, linktype)
    for each in run.steps:
        passed.append(Passed(each, state, known))
        left = after(state, each.insn)
        if is_test(each):
            taken = along(left, each.insn, held(each))
            left = taken if taken is not None else State()
        if left.facts is not state.facts:
            found = headers(left.facts, linktype)
            known = tuple(header for header in found if really(header, run.data))
        state = left
    return tuple(passed)


def really(header: Header, data: bytes) -> bool:
    """Whether a header is there: not in a later fragment, which has data in its place.

    Nor behind an IP or TCP header that says it is shorter than one can be.
    """
    lengths = [read(each, data) for each in header.place.terms if isinstance(each, Bits)]
    if any(each is not None and each < SHORTEST for each in lengths):
        return False
    return header.unless is None or read(header.unless, data) == 0


def is_test(each: Step) -> bool:
    """Whether a step was a test with two ways out."""
    row = BY_CODE.get(each.insn.code)
    return row is not None and row.form.jumps and each.insn.jt != each.insn.jf


def held(each: Step) -> bool:
    """Whether a test was true."""
    return each.after.pc == each.pc + 1 + each.insn.jt


def outcomes(run: Trace, passed: tuple[Passed, ...]) -> tuple[Outcome, ...]:
    """All tests of a run."""
    return tuple(outcome(each) for each in passed if is_test(each.step))


def outcome(each: Passed) -> Outcome:
    """A test with what this packet has."""
    insn, before, true = each.step.insn, each.step.before, held(each.step)
    test = asked(each.state, insn, each.known)
    wanted = test.false if true else test.true
    if compared(each.state, insn) is None:
        wanted += f", {test.name.show(before.X)},"
    return Outcome(
        each.step.pc,
        test.subject,
        test.field,
        test.value(before.A),
        test.show(before.A),
        true,
        wanted,
    )


def missing(run: Trace, passed: tuple[Passed, ...], lead: str) -> Reason:
    """The reason of a run that ended in a load past the end."""
    last, have = run.steps[-1], len(run.data)
    assert last.missed is not None
    at = last.missed
    term = loaded(passed[-1].state, last.insn)
    name = term_name(term, passed[-1].known) if term is not None else None
    if at.offset > 0x7FFFFFFF:
        said = f"wanted {at.size} bytes at {at.offset:#x}, which this packet does not have"
    else:
        said = f"wanted {span(at)}{f' ({name.text})' if name else ''}, the packet has {have}"
    if have < run.wirelen and at.offset + at.size <= run.wirelen:
        said += f" of its {run.wirelen}"
    return Reason(
        f"{lead}: ({last.pc:03d}) {said}",
        run.ret,
        0,
        last.pc,
        last.pc,
        name.text if name else None,
        missed=Missed(at.offset, at.size, have),
        tests=outcomes(run, passed),
    )


def span(at: Read) -> str:
    """The bytes of a read: bytes 54–55, byte 23."""
    if at.size == 1:
        return f"byte {at.offset}"
    return f"bytes {at.offset}–{at.offset + at.size - 1}"


def decided(run: Trace, passed: tuple[Passed, ...], lead: str, kept: int) -> Reason:
    """The reason of a run that ended in a ret, from the test that decided."""
    kinds = possible(run.program)
    last = run.steps[-1].pc
    found = outcomes(run, passed)
    deciding = [test for test in found if (not run.ret) in kinds[other_way(run.program, test)]]
    if not deciding:
        said = "whatever the packet is, " + ("it is accepted" if run.ret else "it is rejected")
        if BY_CODE[run.steps[-1].insn.code].form is Form.A:
            said = f"A is {run.ret} at the end"
        return Reason(f"{lead}: ({last:03d}) {said}", run.ret, kept, last, tests=found)
    test = deciding[-1]
    if run.ret:
        said = f"{test.found_words}{but(test)}"
        wanted = None
    else:
        wanted = alternatives(deciding)
        said = f"{test.found_words}, {wanted} was wanted"
        for each in sufficient(run.program, deciding, kinds)[-MOST_FAILED:]:
            said += f"; or {each.wanted} at ({each.pc:03d}), where {each.found_words}"
    return Reason(
        f"{lead}: ({test.pc:03d}) {said}",
        run.ret,
        kept,
        last,
        test.pc,
        test.field,
        test.found,
        wanted,
        tests=found,
    )


def but(test: Outcome) -> str:
    """For a test that let a packet through: what it kept out, unless that is the rest."""
    rest = test.wanted.startswith(("anything but", "no ", "neither "))
    return "" if rest else f", not {test.wanted}"


def alternatives(deciding: list[Outcome]) -> str:
    """What would have been wanted: of a row of tests of one field, all that would have done."""
    last = deciding[-1]
    row = [last]
    for test in reversed(deciding[:-1]):
        if (test.subject, test.found) != (last.subject, last.found):
            break
        row.append(test)
    plain = not any(each.wanted.startswith("anything but") for each in row)
    if len(row) == 1 or not plain:
        return last.wanted
    words = list(dict.fromkeys(each.wanted for each in reversed(row)))
    if len(words) > MOST_FAILED:
        words = [*words[:MOST_FAILED], f"one of {len(words) - MOST_FAILED} more"]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def sufficient(
    program: Program, deciding: list[Outcome], kinds: list[frozenset[bool]]
) -> list[Outcome]:
    """Earlier tests of other fields whose other way can only end in the other verdict."""
    last = deciding[-1]
    mine = kinds[other_way(program, last)]
    return [
        test
        for test in deciding[:-1]
        if test.subject != last.subject
        and kinds[other_way(program, test)] == mine
        and len(mine) == 1
    ]


def other_way(program: Program, test: Outcome) -> int:
    """Where a test did not lead."""
    insn = program.insns[test.pc]
    return test.pc + 1 + (insn.jf if test.held else insn.jt)
