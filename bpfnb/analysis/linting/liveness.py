"""Which values are read later: of A, X and each scratch word, by the graph alone.

`reads` and `writes` are an instruction's registers; `unread` lists the instructions
whose result nothing reads.  A result that only such instructions read is read by
none.  Left out: ways that no packet takes, which are taken to be possible.

Source: backward analysis as in every compiler; of the kernel's extensions,
Documentation/networking/filter.rst.
"""

from __future__ import annotations

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import graph, successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program

__all__ = ["OF_A", "may_end", "reached_by_jumps", "reads", "unread", "unset_x", "writes"]

Register = str | int  # "A", "X", or the number of a scratch word

OF_BOTH = {"nla", "nlan", "alu_xor_x"}  # extensions that read A and X
OF_A = {"ifidx", "hatype"}  # without a device these return A


def reads(insn: Insn, rules: str = "linux") -> frozenset[Register]:
    """The registers whose value an instruction depends on."""
    row = BY_CODE[insn.code]
    found: set[Register] = set()
    if row.form is Form.MEM and row.cls in (Class.LD, Class.LDX):
        found.add(insn.k)
    elif row.form is Form.ABS and rules == "linux" and insn.k in BY_K:
        name = BY_K[insn.k].name
        found |= {"A", "X"} if name in OF_BOTH else {"A"} if name in OF_A else set()
    if row.form in (Form.IND, Form.X, Form.X_TARGETS):
        found.add("X")
    if row.cls is Class.ALU or row.cls is Class.ST or row.form is Form.A:
        found.add("A")
    if row.form.jumps:
        found = found | {"A"} if insn.jt != insn.jf else set()
    if row.cls is Class.STX or row.mnemonic == "txa":
        found.add("X")
    if row.mnemonic == "tax":
        found.add("A")
    return frozenset(found)


def writes(insn: Insn) -> Register | None:
    """The one register that an instruction sets; None for a jump or a ret."""
    row = BY_CODE[insn.code]
    if row.cls in (Class.LD, Class.ALU) or row.mnemonic == "txa":
        return "A"
    if row.cls is Class.LDX or row.mnemonic == "tax":
        return "X"
    return insn.k if row.cls in (Class.ST, Class.STX) else None


def may_end(insn: Insn) -> bool:
    """Whether an instruction that sets a register can end the program instead."""
    row = BY_CODE[insn.code]
    return bool(row.size) or (row.mnemonic in ("div", "mod") and row.form is Form.X)


def reached_by_jumps(program: Program) -> frozenset[int]:
    """The pcs that some way through the graph reaches."""
    whole = graph(program)
    return frozenset(pc for index in whole.reachable for pc in whole.blocks[index].pcs)


def unread(program: Program, rules: str = "linux", through: bool = True) -> tuple[int, ...]:
    """The pcs of a legal program whose result nothing reads.

    With `through` also those whose result is read only for results that nothing reads.
    """
    reached = reached_by_jumps(program)
    wanted: list[frozenset[Register]] = [frozenset()] * len(program)
    found = []
    for pc in range(len(program) - 1, -1, -1):
        if pc not in reached:
            continue
        insn = program.insns[pc]
        ahead = [wanted[target] for target, _ in successors(program.insns, pc) if target > pc]
        behind = frozenset[Register]().union(*ahead)
        result = writes(insn)
        if result is not None and result not in behind:
            found.append(pc)
            counts = may_end(insn) or not through
            wanted[pc] = behind | (reads(insn, rules) if counts else frozenset())
        else:
            wanted[pc] = behind - {result} | reads(insn, rules)
    return tuple(reversed(found))


def unset_x(program: Program, rules: str = "linux") -> tuple[int, ...]:
    """The pcs that use X where no way has set it."""
    insns = program.insns
    reached = reached_by_jumps(program)
    after_set = [False] * len(insns)
    for pc in sorted(reached):
        known = after_set[pc] or writes(insns[pc]) == "X"
        for target, _ in successors(insns, pc):
            after_set[target] |= known
    return tuple(
        pc
        for pc in sorted(reached)
        if not after_set[pc]
        and "X" in reads(insns[pc], rules)
        and BY_CODE[insns[pc].code].form in (Form.IND, Form.X, Form.X_TARGETS)
    )
