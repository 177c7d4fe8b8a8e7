"""What a program costs at most, whatever the packet: told from its graph alone.

Each figure is the greatest over all ways through, whether or not a packet takes that way.
Left out: what really happens on packets (`views.plots`), and programs with a way back.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program

__all__ = ["Cost", "cost"]


@dataclass(frozen=True)
class Cost:
    """A program's size, and the most that one packet can cost.

    `instructions` in the listing; `steps` executed, `loads` from the packet and `bytes` of
    it read, on the way that has most of them; a byte that is read twice counts twice.
    """

    instructions: int
    steps: int
    loads: int
    bytes: int


def cost(program: Program) -> Cost:
    """The cost of a program without a way back.

    >>> cost(Program.from_insns([(40, 0, 0, 12), (21, 0, 1, 2048), (6, 0, 0, 9), (6, 0, 0, 0)]))
    Cost(instructions=4, steps=3, loads=1, bytes=2)
    """
    insns = program.insns
    most: list[tuple[int, int, int]] = [(0, 0, 0)] * len(insns)
    for pc in reversed(range(len(insns))):
        onward = [most[target] for target, _ in successors(insns, pc) if target > pc]
        size = read(insns[pc])
        own = (1, int(size > 0), size)
        most[pc] = tuple(  # type: ignore[assignment]  # three numbers again
            mine + max((each[at] for each in onward), default=0) for at, mine in enumerate(own)
        )
    return Cost(len(insns), *most[0]) if most else Cost(0, 0, 0, 0)


def read(insn: Insn) -> int:
    """How many bytes of the packet an instruction reads."""
    row = BY_CODE.get(insn.code)
    if row is None or (row.form is Form.ABS and insn.k in BY_K):
        return 0
    return row.size
