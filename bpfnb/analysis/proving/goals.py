"""What is wanted of a packet: a verdict, a ret, an instruction that it comes to.

    Goal(program, accept=True).conditions(meaning)     the same of any packet, for z3
    Goal(program, reaches=7).met(packet)               of this one, which is run

Left out: finding a packet (`synthesis`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpfnb.analysis.equivalence import LONGEST
from bpfnb.analysis.proving.formula import Meaning
from bpfnb.analysis.proving.terms import Condition, negated
from bpfnb.backends import run_many
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError
from bpfnb.packets.packet import Packet, PacketBatch

__all__ = ["Goal", "leading", "marked", "pc_of"]


@dataclass(frozen=True)
class Goal:
    """What is wanted of a packet: to be accepted or rejected, a ret, a pc that it comes to.

    None where it does not matter.  `like` and `layers` are in words what it is to look like.
    """

    program: Program
    accept: bool | None = None
    ret: int | None = None
    reaches: int | None = None
    max_len: int = LONGEST
    rules: str = "linux"
    layers: str = ""
    like: Packet | None = field(default=None, repr=False)

    def conditions(self, meaning: Meaning) -> list[Condition]:
        """The same of any packet."""
        wanted: list[Condition] = []
        if self.accept is not None:
            wanted.append(meaning.accepts if self.accept else negated(meaning.accepts))
        if self.ret is not None:
            wanted.append(meaning.ret == self.ret)
        if self.reaches is not None:
            wanted.append(meaning.reached[self.reaches])
        return wanted

    def met(self, packet: Packet) -> bool:
        """Whether a packet does it, as the machine runs it."""
        ret = self.run(self.program, packet)
        if self.accept is not None and bool(ret) != self.accept:
            return False
        if self.ret is not None and ret != self.ret:
            return False
        return self.reaches is None or bool(self.run(marked(self.program, self.reaches), packet))

    def run(self, program: Program, packet: Packet) -> int:
        """The verdict of the machine whose rules these are."""
        backend = "interp" if self.rules == "linux" else self.rules
        return int(run_many(program, PacketBatch.of([packet]), backend)[0])

    def places(self) -> set[int]:
        """The instructions where it would be met."""
        insns = self.program.insns
        if self.reaches is not None:
            return {self.reaches}
        rets = {pc for pc, insn in enumerate(insns) if BY_CODE[insn.code].cls is Class.RET}
        unknown = {pc for pc in rets if BY_CODE[insns[pc].code].form is Form.A}
        if self.ret is not None:
            return unknown | {pc for pc in rets if insns[pc].k == self.ret}
        return unknown | {pc for pc in rets if bool(insns[pc].k) == self.accept}

    @property
    def words(self) -> str:
        """What a packet does that is wanted: is accepted, reaches (003)."""
        said = [] if self.accept is None else ["is accepted" if self.accept else "is rejected"]
        said += [] if self.ret is None else [f"gets ret {self.ret}"]
        said += [] if self.reaches is None else [f"reaches ({self.reaches:03d})"]
        return " and ".join(said)


def pc_of(program: Program, reaches: int | str | None) -> int | None:
    """The pc that is meant."""
    pc = program.labels.get(reaches) if isinstance(reaches, str) else reaches
    if reaches is not None and (pc is None or not 0 <= pc < len(program)):
        what = f"label {reaches!r}" if isinstance(reaches, str) else f"pc {reaches}"
        raise BpfError(f"the program has no {what}", f"its pcs are 0–{len(program) - 1}")
    return pc


def marked(program: Program, pc: int) -> Program:
    """The program made to accept what comes to pc, and nothing else."""
    insns = [
        Insn(0x06, 0, 0, 0) if BY_CODE[insn.code].cls is Class.RET else insn
        for insn in program.insns
    ]
    insns[pc] = Insn(0x06, 0, 0, 1)
    return Program(tuple(insns), linktype=program.linktype)


def leading(program: Program, targets: set[int]) -> set[int]:
    """The instructions from which some way leads to one of these, themselves included."""
    found = set(targets)
    for pc in reversed(range(len(program))):
        if any(target in found for target, _ in successors(program.insns, pc)):
            found.add(pc)
    return found
