"""What lint has to say of a program: a remark each, of one of a few kinds.

Left out: finding them (`lint`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bpfnb.cbpf.program import Program

__all__ = ["KINDS", "Kind", "Remark", "Report"]

Kind = Literal[
    "rejects_all",
    "accepts_all",
    "one_way",
    "needless_test",
    "unreachable",
    "always_ends",
    "repeated_load",
    "no_effect",
    "constant_result",
    "unused",
    "wide_shift",
    "unset_x",
    "byte_order",
    "short_ret",
    "ret_lengths",
]

# The ONE table of kinds, those about the whole program first.
KINDS: dict[Kind, str] = {
    "rejects_all": "no packet is accepted",
    "accepts_all": "no packet is rejected, or only one too short for a load",
    "one_way": "a test that always has the same outcome",
    "needless_test": "a test on which no verdict depends",
    "unreachable": "instructions that no packet comes to",
    "always_ends": "a load that is always past the end, a division always by 0",
    "repeated_load": "a load of what the register holds already",
    "no_effect": "an instruction that changes nothing",
    "constant_result": "arithmetic whose result does not depend on A",
    "unused": "a value, or a scratch word, that nothing reads later",
    "wide_shift": "a shift by X where X can be more than 31",
    "unset_x": "X is used where nothing has set it",
    "byte_order": "a number with its bytes the wrong way round",
    "short_ret": "an accepting ret that keeps one byte",
    "ret_lengths": "accepting rets that keep different lengths",
}


@dataclass(frozen=True)
class Remark:
    """One thing that is odd at instruction `pc`; None where it is the whole program.

    `pcs` are all instructions that it is about, `because` those that are its reason;
    `message` says what is so and why, `hint` the cure.
    """

    kind: Kind
    pc: int | None
    message: str
    hint: str = ""
    pcs: tuple[int, ...] = ()
    because: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = "" if self.pc is None else f"({self.pc:03d}) "
        cure = f"\n  cure: {self.hint}" if self.hint else ""
        return f"{where}{self.message} [{self.kind}]{cure}"


@dataclass(frozen=True)
class Report:
    """All remarks on a program, the whole program's first, then in its order.

    Each is true of every packet of up to `max_len` bytes, on a machine with these
    `rules`.  `undecided` says what was not looked at, `basis` what names rest on; "" for
    nothing.
    """

    program: Program
    remarks: tuple[Remark, ...]
    undecided: str = ""
    rules: str = "linux"
    max_len: int = 0
    basis: str = ""
