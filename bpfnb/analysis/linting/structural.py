"""What the graph alone shows to be odd: code that nothing leads to, results that nothing reads.

`unreachable` says more where it is given what packets really come to, and `unused` where it
is given the loads that never miss; all of it is right without.

Left out: what has to be proved (`one_way`, `idle`, `endings`).
"""

from __future__ import annotations

from collections.abc import Iterator

from bpfnb.analysis.linting.findings import among
from bpfnb.analysis.linting.liveness import OF_A, may_end, reached_by_jumps, unread, unset_x, writes
from bpfnb.analysis.linting.remarks import Remark
from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program

__all__ = ["single_target", "unreachable", "unset", "unused"]


def unreachable(program: Program, reached: frozenset[int]) -> Iterator[Remark]:
    """A remark a run of instructions that no packet comes to: that are not `reached`."""
    by_jumps = reached_by_jumps(program)
    lost = [pc for pc in range(len(program)) if pc not in reached]
    while lost:
        run = [lost[0]]
        while run[-1] + 1 in lost and (run[-1] + 1 in by_jumps) == (run[0] in by_jumps):
            run.append(run[-1] + 1)
        lost = lost[len(run) :]
        yield nothing_comes(program, run, run[0] in by_jumps, reached)


def nothing_comes(
    program: Program, run: list[int], by_jumps: bool, reached: frozenset[int]
) -> Remark:
    """The remark on some instructions in a row."""
    count = "this instruction" if len(run) == 1 else f"these {len(run)} instructions"
    hint = f"leave {'it' if len(run) == 1 else 'them'} out"
    if not by_jumps:
        return Remark("unreachable", run[0], f"nothing leads to {count}", hint, tuple(run))
    ways = [
        pc for pc in sorted(reached) for target, _ in successors(program.insns, pc) if target in run
    ]
    leads = among([f"({pc:03d})" for pc in dict.fromkeys(ways)]) if ways else ""
    hint = f"mend what keeps packets away, or {hint}"
    said = f"no packet comes to {count}"
    if leads:
        said += f": only {leads} would lead here, and never {'do' if len(ways) > 1 else 'does'}"
    return Remark("unreachable", run[0], said, hint, tuple(run), tuple(dict.fromkeys(ways)))


def single_target(program: Program) -> Iterator[Remark]:
    """A remark a test both of whose ways lead to one place."""
    for pc in sorted(reached_by_jumps(program)):
        insn = program.insns[pc]
        if BY_CODE[insn.code].form.jumps and insn.jt == insn.jf:
            target = pc + 1 + insn.jt
            cure = (
                "leave it out" if not insn.jt else f"write ja to ({target:03d}), or mend a target"
            )
            yield Remark("no_effect", pc, f"both its ways lead to ({target:03d})", cure)


def unused(program: Program, rules: str, certain: frozenset[int]) -> Iterator[Remark]:
    """A remark a result that nothing reads; `certain` are loads that never miss."""
    plainly = unread(program, rules, through=False)
    for pc in unread(program, rules):
        insn = program.insns[pc]
        result = writes(insn)
        if insn.k in BY_K and BY_K[insn.k].name == "rand" and BY_CODE[insn.code].size:
            continue  # the next random number is another one without it
        if isinstance(result, int):
            said, hint = f"nothing reads M[{result}] after this", "leave it out"
            if pc not in plainly:
                said = f"M[{result}] is read after this only for what is unused itself"
                hint = "leave it out, with what reads it"
            yield Remark("unused", pc, said, hint)
            continue
        said, hint = f"nothing uses what this puts in {result}", "leave it out"
        if pc not in plainly:
            said = f"what this puts in {result} is used only for what is unused itself"
            hint = "leave it out, with what uses it"
        if pc not in certain and (does := ends_by(insn, rules)):
            said += f"; all it does is that it {does}"
            hint = "leave it out, unless that is what it is for"
        yield Remark("unused", pc, said, hint)


def ends_by(insn: Insn, rules: str) -> str:
    """How an instruction that sets a register may end the program instead; "" for not at all."""
    row = BY_CODE[insn.code]
    if row.form is Form.ABS and insn.k in BY_K and rules == "linux":
        device = BY_K[insn.k].name in OF_A
        return "ends the program where there is no device" if device else ""
    if row.size:
        return "has a packet that lacks the bytes rejected"
    return "ends the program where X is 0" if may_end(insn) else ""


def unset(program: Program, rules: str) -> Iterator[Remark]:
    """A remark an instruction that uses X where nothing has set it."""
    for pc in unset_x(program, rules):
        row = BY_CODE[program.insns[pc].code]
        hint = "set X first: ldx, ldxb or tax"
        if row.form is Form.IND:
            hint = "set X first, as by ldxb 4*([14]&0xf); or load without it"
        yield Remark("unset_x", pc, "X is 0 here: nothing before has set it", hint)
