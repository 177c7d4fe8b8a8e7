"""What a test wants, as a short sentence with its field's name: IP.proto is 6 (TCP).

For both outcomes of each test, where the tests before it have fixed the protocol on
all ways.  Left out: tests of bytes without a name, which `symbols` can write.
"""

from __future__ import annotations

from bpfnb.analysis.naming.asked import Asked, asked
from bpfnb.analysis.naming.flow import forward
from bpfnb.analysis.naming.names import headers
from bpfnb.analysis.naming.places import is_are
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program

__all__ = ["spoken"]


def spoken(program: Program, linktype: int | None = None) -> dict[int, tuple[str, str]]:
    """By pc: what holds when the test jumps by jt, and when by jf.

    >>> rows = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (6, 0, 0, 96), (6, 0, 0, 0)]
    >>> spoken(Program.from_insns(rows))
    {1: ('Ether.type is 0x0800 (IPv4)', 'Ether.type is not 0x0800 (IPv4)')}
    """
    linktype = program.linktype if program.linktype is not None else linktype
    found = {}
    for pc, state in enumerate(forward(program)):
        row = BY_CODE.get(program.insns[pc].code)
        if state is None or row is None or not row.form.jumps:
            continue
        test = asked(state, program.insns[pc], headers(state.facts, linktype))
        if test.field:
            found[pc] = sentence(test, test.true), sentence(test, test.false)
    return found


def sentence(test: Asked, wanted: str) -> str:
    """Subject and what is wanted; flags it has, a value it is."""
    verb = "has" if test.false.startswith(("no ", "neither ")) else is_are(test.subject)
    return f"{test.subject} {verb} {wanted.replace('anything but', 'not')}"
