"""Tests and facts in words: what a test asks and each way wants, what is known behind it.

    jeq #6 on IP.proto      true "6 (TCP)", false "anything but 6 (TCP)"
    jset #0x1fff on byte 20 of an IPv4 packet: IP.frag, true "anything but 0", false "0"

Left out: where the two ways lead, and what a packet has there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bpfnb.analysis.naming.flow import State, compared
from bpfnb.analysis.naming.headers import FLAGS, flag_names
from bpfnb.analysis.naming.names import Header, Name, term_name
from bpfnb.analysis.naming.places import bytes_words, is_are
from bpfnb.analysis.naming.values import MASK, Bits, Facts, Known, Sum, Term
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE

__all__ = ["Asked", "asked", "facts_words", "name_or_words", "sum_words"]

MOST_VALUES = 8  # of a fact that are told


@dataclass(frozen=True)
class Asked:
    """A test in words.

    `subject` is what is compared; `name` says how its value is shown, and `field`
    its name as far as one is certain.  A's value becomes the subject's by `add`,
    then `mask`.  `true` and `false` are what each way wants.
    """

    subject: str
    name: Name
    true: str
    false: str
    field: str | None = None
    add: int = 0
    mask: int = MASK

    def value(self, A: int) -> int:
        """The subject's value when A holds this."""
        return self.name.value(A + self.add & self.mask)

    def show(self, A: int) -> str:
        """The same as people write it."""
        return self.name.show(self.value(A))


def name_or_words(term: Term, known: tuple[Header, ...]) -> tuple[Name, bool]:
    """A term's name, and True; where none is certain its bytes, and False."""
    name = term_name(term, known)
    if name is not None:
        return name, True
    assert isinstance(term, Bits)  # every note has a name
    small = term.size == 1 and term.mask == 0xFF and not term.shift
    return Name(bytes_words(term), kind="number" if small else "hex"), False


def sum_words(value: Sum | None, known: tuple[Header, ...], register: str) -> str:
    """What a register holds: a term's name, a number, or the register's own name."""
    if value is None or len(value.terms) > 1 or (value.terms and value.k):
        return register
    if not value.terms:
        return f"{value.k:#x}" if value.k > 9 else str(value.k)
    return scaled(name_or_words(value.terms[0], known)[0], 1).text


def scaled(name: Name, k: int) -> Name:
    """The name that fits a comparison with k: of the field, or of so many times the field."""
    if name.divides(k):
        return name
    return replace(name, text=f"{1 << name.drop}*{name.text}", kind="number", drop=0)


def asked(state: State, insn: Insn, known: tuple[Header, ...]) -> Asked:
    """What the test `insn` asks when this is known before it."""
    test, k = BY_CODE[insn.code].mnemonic, compared(state, insn)
    A = state.A
    one = A is not None and len(A.terms) == 1 and (A.k == 0 or test == "jeq")
    if k is None or not one or A is None:
        single = A.single if A is not None else None
        name, certain = name_or_words(single, known) if single else (Name("A"), False)
        name = scaled(name, 1)
        other = sum_words(state.X, known, "X") if k is None else f"{k:#x}"
        return question(test, name, name.text if certain else None, other)
    add = -A.k & MASK
    k = k + add & MASK
    term = A.terms[0]
    if test == "jset" and isinstance(term, Bits):
        return bits_asked(term, k, known)
    found, certain = name_or_words(term, known)
    name = scaled(found, k)
    field = name.text if certain else None
    return replace(question(test, name, field, name.show(name.value(k))), add=add)


def question(test: str, name: Name, field: str | None, k: str) -> Asked:
    """Both ways out of a test against what `k` says."""
    true, false = {
        "jeq": (k, f"anything but {k}"),
        "jgt": (f"more than {k}", f"{k} or less"),
        "jge": (f"{k} or more", f"less than {k}"),
        "jset": (f"a bit of {k}", f"no bit of {k}"),
    }[test]
    return Asked(name.text, name, true, false, field)


def bits_asked(term: Bits, k: int, known: tuple[Header, ...]) -> Asked:
    """A test of single bits: flags by their names, other fields against 0."""
    whole, certain = name_or_words(term, known)
    flags = flag_names(whole.value(k), whole.kind) if certain and whole.kind in FLAGS else []
    if flags and whole.whole and len(flags) == whole.value(k).bit_count():
        true, false = " or ".join(flags), f"neither {' nor '.join(flags)}"
        return Asked(whole.text, whole, true, false if len(flags) > 1 else f"no {true}", whole.text)
    name, certain = name_or_words(term.masked(k), known) if term.masked(k).mask else (whole, False)
    field = name.text if certain else None
    return Asked(name.text, name, "anything but 0", "0", field, mask=k)


def facts_words(facts: Facts, known: tuple[Header, ...]) -> Iterator[str]:
    """What the tests so far have fixed, field by field."""
    for term, about in facts.terms.items():
        if said := known_words(term, about, known):
            yield said


def known_words(term: Term, about: Known, known: tuple[Header, ...]) -> str:
    """What is known of one field; "" where that is nothing."""
    name, _ = name_or_words(term, known)
    limit = term.mask if isinstance(term, Bits) else MASK

    def shown(values: list[int]) -> str:
        said = [name.show(name.value(each)) for each in values[:MOST_VALUES]]
        if len(values) > MOST_VALUES:
            said.append(f"one of {len(values) - MOST_VALUES} more")
        return " or ".join(filter(None, (", ".join(said[:-1]), said[-1])))

    if name.kind in FLAGS and limit.bit_count() == 1 and about.values is not None:
        has = "has" if about.permits(limit) else "lacks"
        return (
            f"{name.text.partition(' & ')[0]} {has} {flag_names(name.value(limit), name.kind)[0]}"
        )
    if about.values is not None:
        return f"{name.text} {is_are(name.text)} {shown(sorted(about.values))}"
    parts = []
    if about.low == 1 and about.high == limit:
        parts.append("not 0")
    elif about.low:
        parts.append(f"at least {shown([about.low])}")
    if about.high < limit:
        parts.append(f"at most {shown([about.high])}")
    if about.excluded:
        parts.append(f"not {shown(sorted(about.excluded))}")
    return f"{name.text} {is_are(name.text)} {' and '.join(parts)}" if parts else ""
