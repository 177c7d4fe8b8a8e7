"""The kernel's rules for a legal program, one function each.

The kernel answers every broken rule with the same EINVAL; here each has a
name, a message with the place and the number, and a cure.  Two rule sets:
"linux" is exactly the kernel's verdict, "libpcap" that of libpcap's validator,
which lets through much more.  Beside the verdict stands `unsafe_reads`: which
reads of scratch memory some path reaches unwritten, whatever the kernel says.

Left out: limits of the environment that depend on the socket (memory for the
translated program, reach of its jumps): see `linux.limits`.

Source: net/core/filter.c (bpf_check_classic, check_load_and_stores); libpcap
1.10 bpf_filter.c (bpf_validate); both asked in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bpfnb.cbpf.ancillary import AD_OFF, BY_K
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.opcodes import BY_CODE, MAXINSNS, MEMWORDS, RET_X, Class, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, CheckError, Fault

__all__ = ["RULES", "UnsafeRead", "check", "require", "unsafe_reads"]

Rule = Callable[[Program], Iterator[Fault]]
SCRATCH = {Class.ST, Class.STX}


def length(program: Program) -> Iterator[Fault]:
    """1 to 4096 instructions (BPF_MAXINSNS)."""
    if len(program) == 0:
        yield Fault("length", 0, "the program is empty", "the shortest program is: ret #0")
    if len(program) > MAXINSNS:
        yield Fault(
            "length",
            MAXINSNS,
            f"{counted(len(program))}; the kernel takes at most {MAXINSNS}",
            "split the filter, or test a range where you now test each value",
        )


def known_opcode(program: Program) -> Iterator[Fault]:
    """The opcode is one of the 49."""
    for pc, insn in enumerate(program.insns):
        if insn.code in BY_CODE:
            continue
        if insn.code == RET_X:
            message, hint = "no machine runs ret x", "move X into A first: txa, then ret a"
        else:
            message = f"{insn.code:#04x} is none of the 49 opcodes"
            hint = "see the instruction card for the opcodes there are"
        yield Fault("known_opcode", pc, message, hint)


def constant_divisor(program: Program) -> Iterator[Fault]:
    """div and mod by a constant 0 are refused before they can run."""
    for pc, insn in enumerate(program.insns):
        row = BY_CODE.get(insn.code)
        if row and row.mnemonic in ("div", "mod") and row.form is Form.IMM and insn.k == 0:
            yield Fault(
                "constant_divisor",
                pc,
                f"{row.mnemonic} by the constant 0",
                "give a divisor of 1 or more",
            )


def shift_width(program: Program) -> Iterator[Fault]:
    """A constant shift is by 0 to 31 bits."""
    for pc, insn in enumerate(program.insns):
        row = BY_CODE.get(insn.code)
        if row and row.mnemonic in ("lsh", "rsh") and row.form is Form.IMM and insn.k > 31:
            yield Fault(
                "shift_width",
                pc,
                f"{row.mnemonic} by {insn.k} bits; A has 32, a shift is by 0–31",
                "to clear A, write: ld #0",
            )


def scratch_index(program: Program) -> Iterator[Fault]:
    """M[] has 16 words, 0 to 15 (BPF_MEMWORDS)."""
    for pc, insn in enumerate(program.insns):
        row = BY_CODE.get(insn.code)
        if row and row.form is Form.MEM and insn.k >= MEMWORDS:
            yield Fault(
                "scratch_index",
                pc,
                f"M[{insn.k}] does not exist: there are {MEMWORDS} scratch words, 0–{MEMWORDS - 1}",
                "use a word from M[0] to M[15]",
            )


def counted(number: int) -> str:
    """So many instructions, in words."""
    return f"{number} instruction{'' if number == 1 else 's'}"


def jump_target(program: Program) -> Iterator[Fault]:
    """Both targets of a test, and that of ja, lie inside the program."""
    last = len(program) - 1
    for pc, insn in enumerate(program.insns):
        row = BY_CODE.get(insn.code)
        ways: list[tuple[str, int]] = []
        if row and row.form is Form.TARGET:
            ways = [("the jump", insn.k)]
        elif row and row.form.jumps:
            ways = [("jt", insn.jt), ("jf", insn.jf)]
        for way, offset in ways:
            if pc + 1 + offset > last:
                backward = way == "the jump" and offset >= 1 << 31
                label = next((name for name, at in program.labels.items() if at > last), "")
                counted_again = "count from the next instruction: 0 is the one below"
                if label and pc + 1 + offset == last + 1:
                    counted_again = f"put an instruction behind the label {label}: ret #0, say"
                yield Fault(
                    "jump_target",
                    pc,
                    f"{way} goes backwards, by {counted((1 << 32) - offset)}"
                    if backward
                    else f"{way} goes to {pc + 1 + offset}; the last instruction is {last}",
                    "jumps only go forward: this is what makes every filter end"
                    if backward
                    else counted_again,
                )


def extension(program: Program) -> Iterator[Fault]:
    """A packet load from 0xfffff000 up is one of Linux's extensions."""
    for pc, insn in enumerate(program.insns):
        row = BY_CODE.get(insn.code)
        if row and row.form is Form.ABS and insn.k >= AD_OFF and insn.k not in BY_K:
            yield Fault(
                "extension",
                pc,
                f"{row.mnemonic} from {insn.k:#x}: there is no extension {insn.k - AD_OFF}",
                "use an extension's name: " + ", ".join(row.name for row in BY_K.values()),
            )


def last_instruction(program: Program) -> Iterator[Fault]:
    """The last instruction is ret #k or ret a, so no path runs off the end."""
    if not program.insns:
        return
    row = BY_CODE.get(program.insns[-1].code)
    if row is None or row.mnemonic != "ret":
        shown = row.name if row else f"opcode {program.insns[-1].code:#04x}"
        yield Fault(
            "last_instruction",
            len(program) - 1,
            f"the last instruction is {shown}, not a ret",
            "end with: ret #0 (reject) or ret #0xffffffff (accept all of it)",
        )


def scratch_written(program: Program) -> Iterator[Fault]:
    """M[] is written before it is read, as one pass in program order sees it.

    The kernel follows no paths.  It carries the set of written words down the
    listing; a jump hands its set on to its targets and the next line then
    starts with "everything written".  A `ret` does not: after it the set before
    it goes on.  So a safe program can be refused.
    """
    insns = program.insns
    everything = (1 << MEMWORDS) - 1
    arriving = [everything] * len(insns)
    written = 0
    for pc, insn in enumerate(insns):
        written &= arriving[pc]
        row = BY_CODE.get(insn.code)
        if row is None:
            continue
        if row.form.jumps or row.form is Form.TARGET:
            for target, _ in successors(insns, pc):
                arriving[target] &= written
            written = everything
        elif row.cls in SCRATCH:
            written |= 1 << insn.k if insn.k < MEMWORDS else 0
        elif row.form is Form.MEM and insn.k < MEMWORDS and not written >> insn.k & 1:
            yield Fault(
                "scratch_written",
                pc,
                f"M[{insn.k}] is read unwritten, in the kernel's one pass down the listing",
                f"write it on every way here and before the jump: st M[{insn.k}]",
            )


def loose_last(program: Program) -> Iterator[Fault]:
    """libpcap: the last instruction's class is RET, whatever its form."""
    if program.insns and program.insns[-1].code & 0x07 != Class.RET.value:
        yield Fault(
            "last_instruction",
            len(program) - 1,
            "the last instruction is not a ret",
            "end with: ret #0",
        )


def loose_opcode(program: Program) -> Iterator[Fault]:
    """libpcap: class and mode or operation exist; other bits are not looked at."""
    for pc, insn in enumerate(program.insns):
        cls, mode, operation = Class(insn.code & 0x07), insn.code & 0xE0, insn.code & 0xF0
        good = True
        if cls in (Class.LD, Class.LDX):
            good = mode <= 0xA0
        elif cls is Class.ALU:
            good = operation <= 0xA0
        elif cls is Class.JMP:
            good = operation <= 0x40
        if not good:
            yield Fault("known_opcode", pc, f"{insn.code:#04x} is no opcode of libpcap's", "")


def loose_divisor(program: Program) -> Iterator[Fault]:
    """libpcap: no division by a constant 0, the source bit decides which."""
    for pc, insn in enumerate(program.insns):
        divides = insn.code & 0x07 == Class.ALU.value and insn.code & 0xF0 in (0x30, 0x90)
        if divides and not insn.code & 0x08 and insn.k == 0:
            yield Fault(
                "constant_divisor",
                pc,
                "division by the constant 0",
                "give a divisor of 1 or more",
            )


def loose_scratch(program: Program) -> Iterator[Fault]:
    """libpcap: the index of a scratch word is below 16."""
    for pc, insn in enumerate(program.insns):
        cls = insn.code & 0x07
        scratch = cls in (2, 3) or (cls in (0, 1) and insn.code & 0xE0 == 0x60)
        if scratch and insn.k >= MEMWORDS:
            yield Fault(
                "scratch_index",
                pc,
                f"M[{insn.k}] does not exist: there are {MEMWORDS} scratch words",
                "",
            )


def loose_target(program: Program) -> Iterator[Fault]:
    """libpcap: targets lie in the program; a ja may go backwards to them."""
    size = len(program)
    for pc, insn in enumerate(program.insns):
        if insn.code & 0x07 != Class.JMP.value:
            continue
        ways = [insn.k] if insn.code & 0xF0 == 0 else [insn.jt, insn.jf]
        for offset in ways:
            if (pc + 1 + offset) & 0xFFFFFFFF >= size:
                yield Fault("jump_target", pc, f"a jump leaves the program of {counted(size)}", "")


def not_empty(program: Program) -> Iterator[Fault]:
    """libpcap: at least one instruction."""
    if len(program) == 0:
        yield Fault("length", 0, "the program is empty", "the shortest program is: ret #0")


RULES: dict[str, tuple[Rule, ...]] = {
    "linux": (
        length,
        known_opcode,
        constant_divisor,
        shift_width,
        scratch_index,
        jump_target,
        extension,
        last_instruction,
        scratch_written,
    ),
    "libpcap": (not_empty, loose_opcode, loose_divisor, loose_scratch, loose_target, loose_last),
}


def check(program: Program, rules: str = "linux") -> tuple[Fault, ...]:
    """All rules of a set that a program breaks, in the order of its lines.

    >>> [fault.rule for fault in check(Program.from_insns([(0x60, 0, 0, 3), (0x16, 0, 0, 0)]))]
    ['scratch_written']
    """
    if rules not in RULES:
        raise BpfError(f"there is no rule set {rules!r}", f"it is one of {', '.join(RULES)}")
    faults = [fault for rule in RULES[rules] for fault in rule(program)]
    return tuple(sorted(faults, key=lambda fault: fault.pc))


def require(program: Program, rules: str = "linux") -> None:
    """Raise CheckError unless the program is legal."""
    faults = check(program, rules)
    if faults:
        raise CheckError(faults, rules)


@dataclass(frozen=True)
class UnsafeRead:
    """Instruction `pc` reads M[`word`], which `path` (of pcs) reaches unwritten."""

    pc: int
    word: int
    path: tuple[int, ...]

    def __str__(self) -> str:
        way = " → ".join(str(pc) for pc in self.path)
        return f"({self.pc:03d}) reads M[{self.word}], unwritten on the way {way}"


def unsafe_reads(program: Program) -> tuple[UnsafeRead, ...]:
    """Reads of M[] that some path from the start reaches unwritten.

    A true path analysis: unreachable code reads nothing, and a loop-free
    program is exact.  Source of the difference to the kernel: `scratch_written`.
    """
    insns = program.insns
    found = []
    for word in sorted({i.k for i in insns if is_scratch_load(i.code) and i.k < MEMWORDS}):
        came_from = unwritten_paths(program, word)
        for pc, insn in enumerate(insns):
            if is_scratch_load(insn.code) and insn.k == word and pc in came_from:
                found.append(UnsafeRead(pc, word, walk_back(came_from, pc)))
    return tuple(sorted(found, key=lambda read: read.pc))


def is_scratch_load(code: int) -> bool:
    """ld M[k] or ldx M[k]."""
    row = BY_CODE.get(code)
    return row is not None and row.form is Form.MEM and row.cls not in SCRATCH


def unwritten_paths(program: Program, word: int) -> dict[int, int | None]:
    """Each pc that is reached with M[word] unwritten, with the pc before it."""
    insns = program.insns
    came_from: dict[int, int | None] = {0: None} if insns else {}
    work = list(came_from)
    while work:
        pc = work.pop()
        insn = insns[pc]
        row = BY_CODE.get(insn.code)
        if row is None or (row.cls in SCRATCH and insn.k == word):
            continue
        for target, _ in successors(insns, pc):
            if target not in came_from:
                came_from[target] = pc
                work.append(target)
    return came_from


def walk_back(came_from: dict[int, int | None], pc: int) -> tuple[int, ...]:
    """The path from the start to `pc`."""
    path: list[int] = []
    at: int | None = pc
    while at is not None:
        path.append(at)
        at = came_from[at]
    return tuple(reversed(path))
