"""A word or two beside each instruction of a listing: the field it reads, the value it wants.

    ldh [12]         Ether.type
    jeq #0x800       IPv4

Only what is fixed on all ways, as in `explain`, and not where it would hold for all
but later fragments.  A test has its field's name only where the line above has not said
it.  Left out: sentences (`explain`), and programs too long to be read line by line.
"""

from __future__ import annotations

from bpfnb.analysis.naming.asked import Asked, asked
from bpfnb.analysis.naming.flow import State, after, forward, loaded
from bpfnb.analysis.naming.headers import FLAGS
from bpfnb.analysis.naming.names import Header, Name, headers, rests_on, term_name
from bpfnb.analysis.naming.values import Bits, Note
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program

__all__ = ["footnote", "meanings"]

MOST = 400  # instructions; more take longer than a cell should (a tenth of a millisecond each)


def meanings(program: Program, linktype: int | None = None) -> dict[int, str]:
    """The words by pc.

    `linktype` is that of the packets, for a program that has none of its own.

    >>> rows = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (6, 0, 0, 96), (6, 0, 0, 0)]
    >>> meanings(Program.from_insns(rows))
    {0: 'Ether.type', 1: 'IPv4'}
    """
    if len(program) > MOST:
        return {}
    linktype = program.linktype if program.linktype is not None else linktype
    found: dict[int, str] = {}
    known: dict[int, tuple[Header, ...]] = {}  # by the facts that they follow from
    above = ""
    for pc, state in enumerate(forward(program)):
        if state is None:
            continue
        at = id(state.facts)
        if at not in known:
            known[at] = headers(state.facts, linktype)
        field, words, tested = meaning(program.insns[pc], state, known[at])
        if tested and field != above:
            words = f"{field} {words}".strip()
        if words:
            found[pc] = words
        above = field or above
    return found


def footnote(program: Program, linktype: int | None, found: dict[int, str]) -> str:
    """What the words rest on, where neither program nor packets have said it; else ""."""
    own = program.linktype if program.linktype is not None else linktype
    return rests_on(own) if any("." in words for words in found.values()) else ""


def meaning(insn: Insn, state: State, known: tuple[Header, ...]) -> tuple[str, str, bool]:
    """The field that an instruction reads, keeps or tests; words; whether it is a test.

    A test's words are what its value is called.
    """
    row = BY_CODE.get(insn.code)
    if row is None:
        return "", "", False
    if row.form.jumps and insn.jt != insn.jf:
        test = asked(state, insn, known)
        certain = test.field is not None and sure(test.name)
        return (test.field or "", value(test, row.mnemonic), True) if certain else ("", "", True)
    term = None
    if row.size:
        term = loaded(state, insn)
    elif row.cls is Class.ALU or row.form is Form.LEN:
        left = after(state, insn)
        kept = left.X if row.cls is Class.LDX else left.A
        term = kept.single if kept else None
    if isinstance(term, Note):
        return term.name, "", False  # which the instruction says itself
    name = term_name(term, known) if isinstance(term, Bits) else None
    if name is None or not sure(name):
        return "", "", False
    if name.drop <= 0:
        return name.text, name.text, False
    whole = f"({name.text})" if " " in name.text else name.text
    return name.text, f"{1 << name.drop}*{whole}", False


def sure(name: Name) -> bool:
    """Whether a name holds whatever the packet; one of a later fragment's may not."""
    return bool(name.fields) and name.unless is None


def value(test: Asked, mnemonic: str) -> str:
    """What the value that a test wants is called; "" where it is but a number.

    0x0800 (IPv4) is IPv4, 192.0.2.1 itself.
    """
    if mnemonic == "jset":
        return test.true if test.name.kind in FLAGS and test.name.whole else ""
    if mnemonic == "jeq":
        number, _, name = test.true.partition(" (")
        return name.removesuffix(")") or (number if test.name.kind in ("ipv4", "mac") else "")
    return ""
