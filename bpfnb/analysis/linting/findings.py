"""What an instruction has found, in words: Ether.type is 0x0800 (IPv4), bytes 12–13 are there.

For lint, which names the tests that decide another one.  Names are those that are certain
on all ways; where there is none, bytes are told, and what they would be in an IPv4 packet.

Left out: finding which tests decide (`proofs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bpfnb.analysis.naming.asked import Asked, asked, facts_words, sum_words
from bpfnb.analysis.naming.flow import State, compared, forward, loaded
from bpfnb.analysis.naming.headers import HEADERS, ROOTS
from bpfnb.analysis.naming.names import Header, bits_of, headers, term_name
from bpfnb.analysis.naming.places import index_words, indirect_words, is_are, place_words
from bpfnb.analysis.naming.values import MASK, Bits, Facts, Known, Place
from bpfnb.analysis.trees.spoken import sentence
from bpfnb.cbpf.opcodes import BY_CODE, BY_NAME, Form
from bpfnb.cbpf.program import Program

__all__ = ["Findings", "among", "conflict"]

ETHERNET = 1


@dataclass(frozen=True)
class Findings:
    """The words for a program's tests; `linktype` is its packets', else its own."""

    program: Program
    linktype: int | None = None
    rules: str = "linux"

    @cached_property
    def states(self) -> tuple[State, ...]:
        """What is known before each instruction, on all ways; by Linux's rules of shifts."""
        if self.rules != "linux" and any(i.code in SHIFTS_BY_X for i in self.program.insns):
            return (State(),) * len(self.program)
        return tuple(State() if each is None else each for each in forward(self.program))

    def known(self, pc: int, state: State | None = None) -> tuple[Header, ...]:
        """Which headers lie where."""
        return headers((state or self.states[pc]).facts, self.linktype)

    def asked(self, pc: int, state: State | None = None) -> Asked:
        """A test in words."""
        return asked(state or self.states[pc], self.program.insns[pc], self.known(pc, state))

    def words(self, pc: int, way: bool | None, state: State | None = None) -> str:
        """What holds where the test was true, or false, or the instruction went on."""
        if way is None:
            return self.passed(pc, state)
        test = self.asked(pc, state)
        said = sentence(test, test.true if way else test.false)
        return said.replace("anything but", "not")

    def found(self, pc: int, way: bool | None) -> str:
        """The same with its pc: (001) has found that Ether.type is 0x0800 (IPv4)."""
        return f"({pc:03d}) has found that {self.words(pc, way)}"

    def passed(self, pc: int, state: State | None = None) -> str:
        """What holds behind an instruction that may end the program and did not."""
        insn = self.program.insns[pc]
        row = BY_CODE[insn.code]
        if not row.size:
            return "X is not 0"
        term = loaded(state or self.states[pc], insn)
        if isinstance(term, Bits):
            place = place_words(term.place, row.size)
        elif row.form is Form.IND:
            place = indirect_words(f"X + {insn.k}", row.size)
        else:
            return "there is a device"
        return f"{place} {is_are(place)} there"

    def held(self, pc: int, register: str) -> str:
        """What a register holds before pc, by its name; the register where that is not known."""
        value = getattr(self.states[pc], register)
        bits = value.single if value is not None else None
        if register == "X" and isinstance(bits, Bits) and term_name(bits, self.known(pc)) is None:
            return index_words(bits)
        return sum_words(value, self.known(pc), register)

    def as_ipv4(self, pc: int, state: State) -> Asked | None:
        """A test of bytes that have no certain name, in words as if the packet were IPv4."""
        root = ROOTS.get(ETHERNET if self.linktype is None else self.linktype)
        protocol = HEADERS.get(root or "")
        if protocol is None or not protocol.key or self.asked(pc, state).field:
            return None
        key = bits_of(Place(0), protocol.named(protocol.key)).plain
        number = next((k for k, name in protocol.above.items() if name == "IP"), None)
        if number is None or state.facts.about(key).values is not None:
            return None
        raw = number * (key.mask & -key.mask)
        facts = state.facts.learn(key, Known(raw, raw, frozenset({raw})))
        test = asked(state, self.program.insns[pc], headers(facts, self.linktype))
        return test if test.field else None

    def limit(self, pc: int) -> str:
        """Why a test has one outcome whatever the packet is."""
        insn, state = self.program.insns[pc], self.states[pc]
        test, k = BY_CODE[insn.code].mnemonic, compared(state, insn)
        A = state.A
        if A is not None and A.constant is not None:
            return f"A is {A.constant:#x} here" if A.constant > 9 else f"A is {A.constant} here"
        if k is not None and (test, k) in EMPTY:
            return EMPTY[test, k]
        bits = A.single if A is not None else None
        if not isinstance(bits, Bits):
            return "that is so whatever the packet is"
        name = sum_words(A, self.known(pc), "A")
        most = bits.mask >> bits.shift if bits.shift >= 0 else bits.mask << -bits.shift & MASK
        if test in ("jgt", "jge") or (test == "jeq" and k is not None and k > most):
            return f"{name} {is_are(name)} at most {most:,}"
        return f"of {name} only the bits {most:#x} can be set"

    def facts(self, pc: int) -> str:
        """What is known of a test's subject on all ways; "" for nothing."""
        A = self.states[pc].A
        if A is None or len(A.terms) != 1:
            return ""
        term = A.terms[0]
        plain = term.plain if isinstance(term, Bits) else term
        facts = self.states[pc].facts
        about = facts.terms.get(plain)
        if about is None:
            return ""
        return next(iter(facts_words(Facts({plain: about}), self.known(pc))), "")


SHIFTS_BY_X = {BY_NAME[name, Form.X].code for name in ("lsh", "rsh")}
EMPTY = {
    ("jset", 0): "0 has no bit that could be set",
    ("jge", 0): "no number is less than 0",
    ("jgt", MASK): "no number of 32 bits is more",
}


def among(words: Sequence[str], joint: str = "and") -> str:
    """Words in a row: a, b and c.

    >>> among(["a", "b", "c"])
    'a, b and c'
    """
    return f" {joint} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def conflict(tests: Sequence[tuple[Asked, bool]]) -> str | None:
    """Outcomes of tests of one subject, which exclude each other; None for several subjects."""
    subjects = {test.subject for test, _ in tests}
    if len(subjects) != 1 or len(tests) < 2:
        return None
    wanted = sorted(test.true if way else test.false for test, way in tests)
    if len(wanted) == 2:
        return f"{subjects.pop()} cannot be both {among(wanted)}"
    return f"{subjects.pop()} cannot be {among(wanted)} at once"
