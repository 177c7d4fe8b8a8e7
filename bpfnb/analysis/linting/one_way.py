"""Tests that can only go one way, and loads that always miss, with the reason.

A test is such a one where `proofs` has found that no packet takes one of its ways; its
reason is looked for from the nearest on: the number itself, the tests that every packet
has behind it, what all ways to it have in common.

Left out: proving it (`proofs`), and words for single tests (`findings`).
"""

from __future__ import annotations

from collections.abc import Iterator

from bpfnb.analysis.linting.findings import Findings, among
from bpfnb.analysis.linting.proofs import Proofs
from bpfnb.analysis.linting.remarks import Remark
from bpfnb.analysis.naming.flow import compared
from bpfnb.analysis.naming.values import Bits
from bpfnb.cbpf.opcodes import BY_CODE, Form

__all__ = ["always_ends", "one_way"]

OTHER_SIZE = {1: "ldh reads two bytes, ld four", 2: "ld reads four bytes"}


def one_way(proofs: Proofs, findings: Findings) -> Iterator[Remark]:
    """A remark a test that always has the same outcome."""
    for pc, way in sorted((pc, way) for pc, way in proofs.dead if way is not None):
        insn = proofs.program.insns[pc]
        said = "never true" if way else "always true"
        why, because = reason(proofs, findings, pc, way)
        limited = proofs.never(proofs.condition((pc, way)))
        target = pc + 1 + (insn.jf if way else insn.jt)
        hint = f"leave it out: it always goes on at ({target:03d})"
        if limited and (other := other_number(findings, pc)):
            hint = other
        yield Remark("one_way", pc, f"{said}: {why}", hint, (pc,), because)


def reason(proofs: Proofs, findings: Findings, pc: int, way: bool) -> tuple[str, tuple[int, ...]]:
    """Why a test never goes one way, and the instructions that decide it."""
    wanted = proofs.condition((pc, way))
    if proofs.never(wanted):
        return findings.limit(pc), ()
    core = proofs.core(proofs.before(pc), wanted)
    if core:
        found = among([findings.found(*each) for each in core])
        return found, tuple(at for at, _ in core)
    if known := findings.facts(pc):
        return f"on every way here {known}", ()
    return "the tests on each way here rule it out", ()


def other_number(findings: Findings, pc: int) -> str:
    """The cure of a comparison with what a load of this size cannot hold."""
    A = findings.states[pc].A
    bits = A.single if A is not None else None
    insn = findings.program.insns[pc]
    k = compared(findings.states[pc], insn)
    if not isinstance(bits, Bits) or k is None or not k or BY_CODE[insn.code].mnemonic == "jset":
        return ""
    whole = bits.mask == (1 << 8 * bits.size) - 1 and not bits.shift
    if whole and bits.size in OTHER_SIZE:
        return f"compare with a number that fits, or load more: {OTHER_SIZE[bits.size]}"
    return "compare with a number that can be there after the mask and the shift"


def always_ends(proofs: Proofs, findings: Findings) -> Iterator[Remark]:
    """A remark a load that is always past the end, and a division that is always by 0."""
    for pc in sorted(pc for pc, way in proofs.dead if way is None):
        insn = proofs.program.insns[pc]
        row = BY_CODE[insn.code]
        if not row.size:
            yield Remark("always_ends", pc, "X is always 0 here: this ends the program",
                         "give X a divisor first")  # fmt: skip
            continue
        core = proofs.core(proofs.before(pc), proofs.condition((pc, None)))
        why = f"no packet has more than {proofs.about.max_len:,} bytes"
        if core:
            why = among([findings.found(*each) for each in core])
        elif row.form is Form.IND:
            why = "X leads out of every packet"
        said = f"always past the end of the packet: {why}"
        hint = "every packet that comes here is rejected: mend the offset"
        because = tuple(at for at, _ in core or ())
        yield Remark("always_ends", pc, said, hint, (pc,), because)
