"""A program in words: what is read, what each test asks, where its ways lead.

`explain` gives a `Line` for every instruction and a `Paragraph` for every basic
block, with what is known when it is reached, and what is accepted.  Fields have
names where the tests before have fixed the protocol on all ways; elsewhere the
bytes are told.

Left out: laying it out (`views.why`), and any single packet (`why`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bpfnb.analysis.naming.asked import asked, facts_words
from bpfnb.analysis.naming.flow import START, State, after, along, forward, loaded
from bpfnb.analysis.naming.headers import ROOTS
from bpfnb.analysis.naming.names import Header, headers, rests_on, term_name
from bpfnb.analysis.naming.places import indirect_words, is_are, place_words
from bpfnb.analysis.naming.values import MASK, Bits
from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import graph, successors
from bpfnb.cbpf.disasm import sentence
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program

__all__ = ["Account", "Line", "Paragraph", "explain"]

MOST_WAYS = 6  # that are told one by one
MOST_STEPS = 3000  # in looking for them


@dataclass(frozen=True)
class Line:
    """One instruction.

    `field` is the name of what it loads or tests, None where none is certain; a
    load of several fields has them joined.  `fields` has them one by one.  Where
    `unless` is True the name holds if this is no later fragment, which nobody
    has tested.  `reached` is False where no packet comes.
    """

    pc: int
    sentence: str
    field: str | None = None
    fields: tuple[str, ...] = ()
    unless: bool = False
    reached: bool = True


@dataclass(frozen=True)
class Paragraph:
    """Instructions `start` to `stop` - 1 in one sentence; `known` is what holds before them."""

    start: int
    stop: int
    sentence: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """A program in words.

    `lines` has an entry an instruction, `paragraphs` one a basic block;
    `accepted` says what is accepted, `notes` what all this rests on.
    """

    program: Program
    lines: tuple[Line, ...]
    paragraphs: tuple[Paragraph, ...]
    accepted: tuple[str, ...]
    notes: tuple[str, ...] = ()


def explain(program: Program, linktype: int | None = None) -> Account:
    """Tell a program in words.

    `linktype` is that of its packets, for a program that has none of its own.

    >>> rows = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (6, 0, 0, 96), (6, 0, 0, 0)]
    >>> explain(Program.from_insns(rows)).paragraphs[0].sentence
    'Ether.type is read; 0x0800 (IPv4) is accepted at 2, anything else is rejected at 3'
    """
    linktype = program.linktype if program.linktype is not None else linktype
    states = forward(program)
    known = [headers(each.facts, linktype) if each else () for each in states]
    lines = tuple(line_of(program, pc, states[pc], known[pc]) for pc in range(len(program)))
    paragraphs = []
    for block in graph(program).blocks:
        state = states[block.start]
        told = tuple(facts_words(state.facts, known[block.start])) if state else ()
        paragraphs.append(Paragraph(block.start, block.stop, joined(lines, block.pcs), told))
    return Account(
        program,
        lines,
        tuple(paragraphs),
        accepted(program, states, linktype),
        notes(program, lines, linktype),
    )


def joined(lines: tuple[Line, ...], pcs: range) -> str:
    """The sentences of a block as one; a test right after its load does not repeat the name."""
    said: list[str] = []
    for pc in pcs:
        words = lines[pc].sentence
        if said:
            subject = re.sub(" ((is|are) read|is kept of it)$", "", said[-1])
            words = words.removeprefix(f"{subject}: ") if subject != said[-1] else words
        said.append(words)
    return "; ".join(said)


def line_of(program: Program, pc: int, state: State | None, known: tuple[Header, ...]) -> Line:
    """One instruction in words, given what is known before it."""
    insn = program.insns[pc]
    row = BY_CODE.get(insn.code)
    if state is None:
        return Line(pc, "no packet comes here", reached=False)
    if row is None:
        return Line(pc, sentence(insn, pc))
    if row.form.jumps:
        return question_line(program, pc, state, known)
    if row.size:
        return load_line(pc, insn, state, known)
    if row.form is Form.LEN:
        return Line(pc, "len is read" if row.cls is Class.LD else "X gets len", "len", ("len",))
    if row.cls is Class.RET:
        return Line(pc, ending(insn))
    if row.cls is Class.ALU:
        return arithmetic_line(pc, insn, state, known)
    if row.form is Form.TARGET:
        return Line(pc, f"it {goes(program, pc + 1 + insn.k & MASK)}")
    return Line(pc, sentence(insn, pc))


def arithmetic_line(pc: int, insn: Insn, state: State, known: tuple[Header, ...]) -> Line:
    """Arithmetic, which may leave a field alone in A."""
    result = after(state, insn).A
    term = result.single if result is not None else None
    name = term_name(term, known) if isinstance(term, Bits) else None
    if name is None:
        return Line(pc, sentence(insn, pc))
    said = f"A is then {times(name.text, name.drop)}" if name.drop else f"{name.text} is kept of it"
    return Line(pc, said, name.text, name.fields, name.unless is not None)


def times(text: str, drop: int) -> str:
    """So many times a field."""
    return f"{1 << drop}*{text}" if drop > 0 else text


def load_line(pc: int, insn: Insn, state: State, known: tuple[Header, ...]) -> Line:
    """A load from the packet, or of one of the kernel's notes."""
    row = BY_CODE[insn.code]
    term = loaded(state, insn)
    if row.form is Form.ABS and insn.k in BY_K:
        note = BY_K[insn.k]
        return Line(pc, f"{note.name} is read", note.name, (note.name,))
    if not isinstance(term, Bits):
        if row.form is Form.IND:
            at = indirect_words(f"X + {insn.k}", row.size)
            return Line(pc, f"{at} {is_are(at)} read")
        return Line(pc, sentence(insn, pc))
    name = term_name(term, known)
    if name is None:
        if row.form is Form.MSH:
            return Line(pc, f"X gets four times the low half of {place_words(term.place, 1)}")
        at = place_words(term.place, row.size)
        return Line(pc, f"{at} {is_are(at)} read")
    said = f"{name.text} {is_are(name.text)} read"
    if row.form is Form.MSH:
        said = f"X gets {times(name.text, name.drop)}"
        if name.text == "IP.ihl":
            said += ", the IP header's length"
    return Line(pc, said, name.text, name.fields, name.unless is not None)


def question_line(program: Program, pc: int, state: State, known: tuple[Header, ...]) -> Line:
    """A test: what each way wants, and where it leads."""
    insn = program.insns[pc]
    true, false = pc + 1 + insn.jt, pc + 1 + insn.jf
    if true == false:
        return Line(pc, f"either way it {goes(program, true)}")
    test = asked(state, insn, known)
    fields = test.name.fields if test.field else ()
    unless = test.name.unless is not None
    ways = [along(state, insn, way) is not None for way in (True, False)]
    if not all(ways):
        only, target = (test.true, true) if ways[0] else (test.false, false)
        said = f"{test.subject}: always {only}, so it {goes(program, target)}"
        return Line(pc, said, test.field, fields, unless)
    other = "anything else" if test.false.startswith("anything but") else test.false
    first = f"{test.true} {goes(program, true)}"
    said = f"{test.subject}: {first}, {other} {goes(program, false)}"
    return Line(pc, said, test.field, fields, unless)


def goes(program: Program, pc: int) -> str:
    """Where a way leads: on, or to an end."""
    insn = program.insns[pc] if pc < len(program) else None
    if insn is not None and insn.code & 0x07 == Class.RET.value and BY_CODE.get(insn.code):
        if BY_CODE[insn.code].form is Form.A:
            return f"ends at {pc}"
        return f"is {'accepted' if insn.k else 'rejected'} at {pc}"
    return f"goes on at {pc}" if insn is not None else f"would leave the program, to {pc}"


def ending(insn: Insn) -> str:
    """A ret in words."""
    if BY_CODE[insn.code].form is Form.A:
        return "the end: A bytes are accepted, 0 rejects"
    return f"accepted, at most {count(insn.k)}" if insn.k else "rejected"


def count(k: int) -> str:
    """So many bytes."""
    return "1 byte" if k == 1 else f"{k} bytes"


def accepted(
    program: Program, states: tuple[State | None, ...], linktype: int | None
) -> tuple[str, ...]:
    """What is accepted: way by way where they are few, else what they have in common."""
    ends = list(ways(program))
    if len(ends) > MOST_WAYS or None in ends:
        ends = [
            (pc, state)
            for pc, state in enumerate(states)
            if state is not None and accepts(program.insns[pc])
        ]
    told = []
    for end in ends:
        if end is not None:
            pc, state = end
            words = list(facts_words(state.facts, headers(state.facts, linktype)))
            insn = program.insns[pc]
            how = "A bytes" if BY_CODE[insn.code].form is Form.A else count(insn.k)
            told.append(f"({pc:03d}) {how}: {'; '.join(words) or 'whatever the packet is'}")
    return tuple(dict.fromkeys(told))


def accepts(insn: Insn) -> bool:
    """Whether this is a ret that can accept."""
    row = BY_CODE.get(insn.code)
    return row is not None and row.cls is Class.RET and (row.form is Form.A or insn.k > 0)


def ways(program: Program) -> Iterator[tuple[int, State] | None]:
    """Each way to an accepting ret, with what is known at its end; None where they are many."""
    work, steps, found = [(0, START)] if len(program) else [], 0, 0
    while work:
        pc, state = work.pop()
        steps += 1
        if steps > MOST_STEPS or found > MOST_WAYS:
            yield None
            return
        insn = program.insns[pc]
        if accepts(insn):
            found += 1
            yield pc, state
        left = after(state, insn)
        for target, kind in reversed(successors(program.insns, pc)):
            taken = along(left, insn, kind == "true") if kind in ("true", "false") else left
            if taken is not None:
                work.append((target, taken))


def notes(program: Program, lines: tuple[Line, ...], linktype: int | None) -> tuple[str, ...]:
    """What the names rest on."""
    said = []
    if any("." in (each.field or "") for each in lines) and rests_on(linktype):
        said.append(rests_on(linktype))
    elif linktype is not None and linktype not in ROOTS:
        said.append("bytes have no names: this link type's header is not known here")
    unless = sorted({each.field for each in lines if each.unless and each.field})
    if unless:
        said.append(
            f"the fragment offset was not tested: in a later fragment there is data, and "
            f"no {', '.join(unless)}"
        )
    if any((row := BY_CODE.get(insn.code)) and row.size for insn in program.insns):
        said.append("a load past the end of the packet rejects it")
    return tuple(said)
