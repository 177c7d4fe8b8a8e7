"""Instructions that do nothing, or not what they seem to: repeated loads, results that are fixed.

Runs on packets sort out nearly all; what they leave is proved, or not said.

    repeated    A or X holds already, on every packet, what is put there
    fixed       arithmetic whose result is the same whatever A was
    needless    a test: going on one fixed way gives each packet the same ret
    wide        a shift by X, where some packet has more than 31 in X
    swapped     a number compared with Ether.type, its two bytes the wrong way round

Left out: what the graph alone shows (`liveness`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from bpfnb.analysis.linting.findings import Findings
from bpfnb.analysis.linting.liveness import writes
from bpfnb.analysis.linting.proofs import Proofs
from bpfnb.analysis.linting.remarks import Remark
from bpfnb.analysis.naming.flow import compared
from bpfnb.analysis.naming.names import name_of
from bpfnb.analysis.naming.values import Bits
from bpfnb.analysis.proving import terms
from bpfnb.analysis.proving.formula import mean
from bpfnb.analysis.proving.terms import Word, differ, negated, same
from bpfnb.cbpf import machine
from bpfnb.cbpf.checker import unwritten_paths
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, BY_NAME, Class, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Step
from bpfnb.errors import UndecidedError

__all__ = ["idle", "needless", "swapped", "wide"]

OFTEN = {0x0800, 0x0806, 0x8100, 0x86DD}  # types whose bytes people turn round
JA = BY_NAME["ja", Form.TARGET].code
SHIFTS = {BY_NAME[name, Form.X].code for name in ("lsh", "rsh")}
Values = dict[int, set[tuple[int, int]]]


def idle(proofs: Proofs, findings: Findings) -> Iterator[Remark]:
    """A remark an instruction that changes nothing, or whose result is fixed."""
    seen = values(proofs)
    for pc, insn in enumerate(proofs.program.insns):
        register = writes(insn)
        left = proofs.meaning.left.get(pc)
        before = proofs.meaning.states[pc]
        if not proofs.reached[pc] or register is None or left is None or before is None:
            continue
        if (pc, None) in proofs.dead or left.drawn is not before.drawn:
            continue
        pairs = seen[pc]
        if all(one == two for one, two in pairs) and repeated(proofs, pc):
            yield said_again(proofs.program, findings, pc)
        elif BY_CODE[insn.code].cls is Class.ALU and (k := fixed(proofs, pc, pairs)) is not None:
            shown = f"{k:#x}" if k > 9 else str(k)
            yield Remark("constant_result", pc, f"A is {shown} after this, whatever it was before",
                         f"write ld #{shown}, or mend the number")  # fmt: skip


def values(proofs: Proofs) -> Values:
    """What the register that an instruction sets held before it and after, on runs."""
    found: Values = defaultdict(set)
    insns = proofs.program.insns
    last: Step
    for last in proofs.sampling.steps():
        register = writes(insns[last.pc])
        if register is not None and last.after.ret is None and len(found[last.pc]) < 16:
            found[last.pc].add((held(last.before, register), held(last.after, register)))
    return found


def held(state: Any, register: str | int) -> Any:
    """What a register holds in a state of the machine, or of the formula."""
    return state.M[register] if isinstance(register, int) else getattr(state, register)


def repeated(proofs: Proofs, pc: int) -> bool:
    """Whether it is proved that pc changes nothing, and lets every packet go on."""
    register = writes(proofs.program.insns[pc])
    if isinstance(register, int) and pc in unwritten_paths(proofs.program, register):
        return False  # what lies in a word that was not written differs by machine
    assert register is not None
    old = held(proofs.meaning.states[pc], register)
    new = held(proofs.meaning.left[pc], register)
    if not same(old, new) and not proofs.never(proofs.meaning.reached[pc], differ(old, new)):
        return False
    return proofs.always_passes(pc)


def said_again(program: Program, findings: Findings, pc: int) -> Remark:
    """The remark on an instruction that changes nothing."""
    insn, register = program.insns[pc], writes(program.insns[pc])
    row = BY_CODE[insn.code]
    if row.size:
        assert isinstance(register, str)
        what = findings.held(pc, register)
        said = f"{register} holds {what if what != register else 'this'} already"
        return Remark("repeated_load", pc, said, "leave it out")
    if row.cls is Class.ALU:
        return Remark("no_effect", pc, "A is the same after this as before", "leave it out")
    return Remark("no_effect", pc, already(insn), "leave it out")


def already(insn: Insn) -> str:
    """What is so before an instruction that copies what is there."""
    row, register = BY_CODE[insn.code], writes(insn)
    where = f"M[{register}]" if isinstance(register, int) else register
    if row.form is Form.NONE:
        return "A and X are the same already"
    if row.form is Form.IMM:
        return f"{where} is {insn.k:#x} already" if insn.k > 9 else f"{where} is {insn.k} already"
    if row.form is Form.LEN:
        return f"{where} is len already"
    other = "X" if row.cls in (Class.LDX, Class.STX) else "A"
    return f"M[{insn.k}] and {other} are the same already"


def fixed(proofs: Proofs, pc: int, pairs: set[tuple[int, int]]) -> int | None:
    """The one result of an instruction whatever the packet is; None where there are several.

    Where A was one number before, too, that is nothing to speak of.
    """
    old, new = proofs.meaning.states[pc], proofs.meaning.left[pc].A
    results = {after for _, after in pairs}
    if old is None or isinstance(old.A, int) or len(results) > 1:
        return None
    k = new if isinstance(new, int) else next(iter(results), None)
    if k is None or len({before for before, _ in pairs}) < 2:
        return None
    return k if proofs.never(differ(new, k)) else None


def needless(proofs: Proofs) -> Iterator[Remark]:
    """A remark a test that could go on one fixed way without changing any verdict."""
    ret = proofs.meaning.ret
    for pc in sorted(proofs.meaning.ways):
        ways = [
            way for way in (True, False)
            if proofs.reached[pc] and not {(pc, True), (pc, False)} & proofs.dead
            and does_not_matter(proofs, ret, pc, way)
        ]  # fmt: skip
        insn = proofs.program.insns[pc]
        if len(ways) == 2:
            yield Remark("needless_test", pc, "no verdict depends on it: both ways give each "
                         "packet the same", "leave it out")  # fmt: skip
        elif ways:
            target = pc + 1 + (insn.jt if ways[0] else insn.jf)
            yield Remark("needless_test", pc, "no verdict depends on it: every packet gets the "
                         f"same if all go on at ({target:03d})",
                         "leave it out, unless it is there to save time")  # fmt: skip


def does_not_matter(proofs: Proofs, ret: Word, pc: int, way: bool) -> bool:
    """Whether it is proved that all packets could go one way."""
    forced = forced_way(proofs.program, pc, way)
    if differs(proofs, forced, pc, way):
        return False
    meaning = mean(forced, proofs.about, proofs.rules, proofs.deadline)
    return proofs.never(
        proofs.meaning.reached[pc],
        negated(proofs.condition((pc, way))),
        differ(ret, meaning.ret),
    )


def differs(proofs: Proofs, forced: Program, pc: int, way: bool) -> bool:
    """Whether a sample that goes the other way shows that it matters."""
    insn, samples = proofs.program.insns[pc], proofs.sampling.samples
    other = pc + 1 + (insn.jf if way else insn.jt)
    for at in proofs.sampling.taking[pc, other]:
        data, wirelen = samples[at].data, samples[at].wirelen
        rets = [
            machine.run(each, data, wirelen, samples[at].ancillary)
            for each in (proofs.program, forced)
        ]
        if rets[0] != rets[1]:
            return True
    return False


def forced_way(program: Program, pc: int, way: bool) -> Program:
    """The program with a test that always goes one way."""
    insn = program.insns[pc]
    jump = Insn(JA, 0, 0, insn.jt if way else insn.jf)
    return Program((*program.insns[:pc], jump, *program.insns[pc + 1 :]))


def wide(proofs: Proofs) -> Iterator[Remark]:
    """A remark a shift by X where X can be more than 31."""
    for pc, insn in enumerate(proofs.program.insns):
        state = proofs.meaning.states[pc]
        if insn.code not in SHIFTS or not proofs.reached[pc] or state is None:
            continue
        more = terms.compared("jgt", state.X, 31)
        if more is not False and can_be(proofs, pc, more):
            yield Remark("wide_shift", pc, "X can be more than 31 here: Linux then shifts by "
                         "X & 31, libpcap gives 0", "keep X below 32: and #31, tax")  # fmt: skip


def can_be(proofs: Proofs, pc: int, condition: Any) -> bool:
    """Whether it is certain that some packet meets a condition at pc."""
    try:
        return proofs.model(proofs.meaning.reached[pc], condition) is not None
    except UndecidedError:
        return False


def swapped(proofs: Proofs, findings: Findings) -> Iterator[Remark]:
    """A remark a test of Ether.type against a number whose bytes are the wrong way round."""
    for pc, insn in enumerate(proofs.program.insns):
        if pc not in proofs.meaning.ways or BY_CODE[insn.code].mnemonic != "jeq":
            continue
        k = compared(findings.states[pc], insn)
        A = findings.states[pc].A
        bits = A.single if A is not None else None
        if k is None or k > 0xFFFF or not isinstance(bits, Bits):
            continue
        other = (k & 0xFF) << 8 | k >> 8
        name = name_of(bits, findings.known(pc))
        if name and name.kind == "ethertype" and name.whole and other in OFTEN:
            yield Remark("byte_order", pc, f"{name.text} is compared with {k:#06x}: that is "
                             f"{name.show(other)} with its bytes the wrong way round",
                             f"write jeq #{other:#06x}: loads turn bytes themselves")  # fmt: skip
