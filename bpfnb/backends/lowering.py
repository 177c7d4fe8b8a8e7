"""A checked program's instructions in LLVM's intermediate language.

    Lowering(program).function("filter", attributes)     the program as a function, as text

Each instruction becomes a few lines under its own label, headed by its line of
`tcpdump -d`; A, X and M[] are memory that LLVM turns into registers.  A run of jeqs,
and both ports of a packet, become one comparison (`flow`).

No load is emitted without a check against the captured length before it, in
64 bits, where no sum of a 32-bit offset and a size can wrap.
Left out: what stands around the function (`llvm_module`).

Legend: %P the packet's first byte, %len its captured bytes, %wire its length on
the wire, %notes its row of facts (`facts`), %at its number in the batch, %ask
the callback for what only Python can say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bpfnb.backends.facts import ASKED, NOTES
from bpfnb.backends.flow import (
    SIGNED,
    Choice,
    Pair,
    choices,
    known_bytes,
    pairs,
    reached,
)
from bpfnb.cbpf.ancillary import BY_K, Extension
from bpfnb.cbpf.disasm import line
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, MEMWORDS, Form, Opcode
from bpfnb.cbpf.program import Program

__all__ = ["LOCATIONS", "PACKET", "Lowering"]

LOCATIONS = 10  # the number of the first instruction's location

ARITHMETIC = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "div": "udiv",
    "mod": "urem",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "lsh": "shl",
    "rsh": "lshr",
}
TESTS = {"jeq": "eq", "jgt": "ugt", "jge": "uge"}
PACKET = "ptr readonly %P, i64 %len, i32 %wire, ptr readonly %notes, i64 %at, ptr %ask"


@dataclass
class Lowering:
    """One pass over the instructions; `lines` is the text so far.

    Loads that end before `trusted` are not checked: the function is only called
    for packets that have as many bytes.
    """

    program: Program
    trusted: int = 0
    counting: bool = False
    located: bool = False
    lines: list[str] = field(default_factory=list)
    named: int = 0
    pc: int = 0
    known: int = 0
    choices: Mapping[int, Choice] = field(default_factory=dict)
    pairs: Mapping[int, Pair] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.counting:
            self.choices = choices(self.program)
            self.pairs = pairs(self.program, self.choices)

    def function(self, name: str, attributes: str) -> str:
        """The program as the function `name`."""
        counts = ", ptr %counts" if self.counting else ""
        sure = f"dereferenceable({self.trusted}) " if self.trusted else ""
        packet = PACKET.replace("%P", f"{sure}%P")
        self.lines = [f"define internal i32 @{name}({packet}{counts}) nounwind {attributes} {{"]
        for register in self.registers():
            self.lines += [f"  %{register} = alloca i32", f"  store i32 0, ptr %{register}"]
        self.goto(0)
        ways = reached(self.program, self.choices)
        for pc, known in enumerate(known_bytes(self.program, self.trusted)):
            if known is not None and ways[pc]:
                self.pc, self.known = pc, known
                self.instruction(self.program.insns[pc])
        self.lines += ["reject:", "  ret i32 0", "}"]
        return "\n".join(self.lines)

    def registers(self) -> list[str]:
        """A, X and the scratch words."""
        memory = [insn.k for insn in self.program.insns if BY_CODE[insn.code].form is Form.MEM]
        return ["A", "X", *(f"M{k}" for k in range(MEMWORDS) if k in memory)]

    def instruction(self, insn: Insn) -> None:
        """One instruction under its label."""
        row = BY_CODE[insn.code]
        self.lines.append(f"pc{self.pc}: ; {' '.join(line(insn, self.pc).split())}")
        first = len(self.lines)
        self.counted(0)
        if self.pc in self.pairs:
            self.two_at_once(self.pairs[self.pc])
        EMIT[row.form](self, row, insn)
        if self.located:
            place = f", !dbg !{LOCATIONS + self.pc}"
            for at in range(first, len(self.lines)):
                self.lines[at] += place if self.lines[at].startswith("  ") else ""

    # Pieces of text

    def new(self, expression: str) -> str:
        """Name the value of an expression."""
        self.named += 1
        self.lines.append(f"  %v{self.named} = {expression}")
        return f"%v{self.named}"

    def get(self, register: str) -> str:
        """The value of a register."""
        return self.new(f"load i32, ptr %{register}")

    def put(self, register: str, value: str) -> None:
        """register <- value."""
        self.lines.append(f"  store i32 {value}, ptr %{register}")

    def goto(self, pc: int) -> None:
        """Go on at an instruction."""
        self.lines.append(f"  br label %pc{pc}")

    def require(self, condition: str) -> str:
        """Go on where a condition holds, else end with 0; the label under which it goes on."""
        self.named += 1
        on, out = f"on{self.named}", f"out{self.named}" if self.counting else "reject"
        self.lines.append(f"  br i1 {condition}, label %{on}, label %{out}, !prof !0")
        if self.counting:
            self.lines.append(f"{out}:")
            self.counted(2)
            self.lines.append("  br label %reject")
        self.lines.append(f"{on}:")
        return on

    def counted(self, which: int) -> None:
        """Count one of three things: 0 the instruction runs, 1 it jumps by jt, 2 it ends here."""
        if self.counting:
            place = self.new(f"getelementptr i64, ptr %counts, i64 {3 * self.pc + which}")
            more = self.new(f"add i64 {self.new(f'load i64, ptr {place}')}, 1")
            self.lines.append(f"  store i64 {more}, ptr {place}")

    # Operand forms

    def absolute(self, row: Opcode, insn: Insn) -> None:
        """A <- P[k:size], or an extension."""
        if insn.k in BY_K:
            self.extension(BY_K[insn.k])
        else:
            self.put("A", self.at_constant(insn.k, row.size))
        self.goto(self.pc + 1)

    def header_length(self, row: Opcode, insn: Insn) -> None:
        """X <- 4*(P[k:1]&0xf)."""
        low = self.new(f"and i32 {self.at_constant(insn.k, 1)}, 15")
        self.put("X", self.new(f"shl i32 {low}, 2"))
        self.goto(self.pc + 1)

    def indirect(self, row: Opcode, insn: Insn) -> None:
        """A <- P[X+k:size]."""
        offset = self.new(f"add i32 {self.get('X')}, {insn.k}")
        start = self.new(f"zext i32 {offset} to i64")
        end = self.new(f"add i64 {start}, {row.size}")
        inside = self.new(f"icmp ule i64 {end}, %len")
        self.named += 1
        here, far, read = (f"{name}{self.named}" for name in ("here", "far", "read"))
        self.lines += [
            f"  br label %{here}",
            f"{here}:",
            f"  br i1 {inside}, label %{read}, label %{far}, !prof !0",
            f"{far}:",
        ]
        other, found = self.negative(start, row.size)
        self.lines += [f"  br label %{read}", f"{read}:"]
        place = self.new(f"phi i64 [ {start}, %{here} ], [ {other}, %{found} ]")
        self.put("A", self.read(place, row.size))
        self.goto(self.pc + 1)

    def at_constant(self, k: int, size: int) -> str:
        """The bytes at a constant offset."""
        if k >= SIGNED:
            start, _ = self.negative(str(k), size)
            return self.read(start, size)
        if k + size > self.known:
            self.require(self.new(f"icmp uge i64 %len, {k + size}"))
        return self.read(str(k), size)

    def negative(self, offset: str, size: int) -> tuple[str, str]:
        """Where bytes lie whose offset (i64) counts from a header; the label it goes on under."""
        asked = f"i64 {offset}, i64 {size}, i64 %len, ptr %notes"
        start = self.new(f"call i64 @far({asked})")
        return start, self.require(self.new(f"icmp sge i64 {start}, 0"))

    def read(self, start: str, size: int) -> str:
        """`size` bytes that are known to be there, in network order."""
        place = self.new(f"getelementptr i8, ptr %P, i64 {start}")
        kind = f"i{8 * size}"
        value = self.new(f"load {kind}, ptr {place}, align 1")
        if size > 1 and sys.byteorder == "little":
            value = self.new(f"call {kind} @llvm.bswap.{kind}({kind} {value})")
        return value if size == 4 else self.new(f"zext {kind} {value} to i32")

    def note(self, name: str) -> str:
        """A fact about the packet, i64."""
        place = self.new(f"getelementptr i64, ptr %notes, i64 {NOTES.index(name)}")
        return self.new(f"load i64, ptr {place}, !invariant.load !1")

    def extension(self, wanted: Extension) -> None:
        """A <- what one of Linux's extensions reads."""
        name = wanted.name
        if name == "alu_xor_x":
            value = self.new(f"xor i32 {self.get('A')}, {self.get('X')}")
        elif name in ASKED:
            which = f"i32 {ASKED.index(name)}, i32 {self.get('A')}, i32 {self.get('X')}"
            value = self.new(f"call i32 %ask(i64 %at, {which})")
        else:
            fact = self.note(name)
            if name in ("ifidx", "hatype"):
                self.needs_device(fact)
            value = self.new(f"trunc i64 {fact} to i32")
        self.put("A", value)

    def needs_device(self, fact: str) -> None:
        """End with A where the packet has no device, which a negative fact tells."""
        there = self.new(f"icmp sge i64 {fact}, 0")
        self.named += 1
        on, out = f"on{self.named}", f"out{self.named}"
        self.lines += [f"  br i1 {there}, label %{on}, label %{out}", f"{out}:"]
        self.counted(2)
        self.lines += [f"  ret i32 {self.get('A')}", f"{on}:"]

    def scratch(self, row: Opcode, insn: Insn) -> None:
        """M[k] <- A or X, A or X <- M[k]."""
        register = "X" if row.mnemonic in ("ldx", "stx") else "A"
        if row.mnemonic in ("st", "stx"):
            self.put(f"M{insn.k}", self.get(register))
        else:
            self.put(register, self.get(f"M{insn.k}"))
        self.goto(self.pc + 1)

    def length(self, row: Opcode, insn: Insn) -> None:
        """A or X <- len."""
        self.put("X" if row.mnemonic == "ldx" else "A", "%wire")
        self.goto(self.pc + 1)

    def constant(self, row: Opcode, insn: Insn) -> None:
        """A or X <- k; return k; A <- A op k."""
        if row.mnemonic == "ret":
            self.lines.append(f"  ret i32 {insn.k}")
            return
        if row.mnemonic in ("ld", "ldx"):
            self.put("A" if row.mnemonic == "ld" else "X", str(insn.k))
        else:
            operator = ARITHMETIC[row.mnemonic]
            self.put("A", self.new(f"{operator} i32 {self.get('A')}, {insn.k}"))
        self.goto(self.pc + 1)

    def with_x(self, row: Opcode, insn: Insn) -> None:
        """A <- A op X; a shift takes X & 31, a division by 0 ends."""
        X = self.get("X")
        if row.mnemonic in ("lsh", "rsh"):
            X = self.new(f"and i32 {X}, 31")
        elif row.mnemonic in ("div", "mod"):
            self.require(self.new(f"icmp ne i32 {X}, 0"))
        self.put("A", self.new(f"{ARITHMETIC[row.mnemonic]} i32 {self.get('A')}, {X}"))
        self.goto(self.pc + 1)

    def alone(self, row: Opcode, insn: Insn) -> None:
        """tax, txa, neg."""
        if row.mnemonic == "tax":
            self.put("X", self.get("A"))
        elif row.mnemonic == "txa":
            self.put("A", self.get("X"))
        else:
            self.put("A", self.new(f"sub i32 0, {self.get('A')}"))
        self.goto(self.pc + 1)

    def return_a(self, row: Opcode, insn: Insn) -> None:
        """Return A."""
        self.lines.append(f"  ret i32 {self.get('A')}")

    def constant_ret(self, pc: int) -> int | None:
        """What the instruction there returns, if it is `ret #k`."""
        insn = self.program.insns[pc]
        row = BY_CODE[insn.code]
        return insn.k if row.mnemonic == "ret" and row.form is Form.IMM else None

    def jump(self, row: Opcode, insn: Insn) -> None:
        """pc += k."""
        self.goto(self.pc + 1 + insn.k)

    def any_of(self, value: str, ks: tuple[int, ...]) -> str:
        """Whether a value is one of several constants: all compared at once, without a branch."""
        if len(ks) == 1:
            return self.new(f"icmp eq i32 {value}, {ks[0]}")
        lanes = 1 << (len(ks) - 1).bit_length()
        values = ", ".join(f"i32 {k}" for k in [*ks, *[ks[0]] * (lanes - len(ks))])
        kind = f"<{lanes} x i32>"
        one = self.new(f"insertelement {kind} poison, i32 {value}, i64 0")
        same = f"shufflevector {kind} {one}, {kind} poison, {kind} zeroinitializer"
        equal = self.new(f"icmp eq {kind} {self.new(same)}, <{values}>")
        bits = self.new(f"bitcast <{lanes} x i1> {equal} to i{lanes}")
        return self.new(f"icmp ne i{lanes} {bits}, 0")

    def decide(self, test: str, true: int, false: int) -> None:
        """Go on at one of two instructions."""
        ends = [self.constant_ret(true), self.constant_ret(false)]
        if None in ends:
            self.lines.append(f"  br i1 {test}, label %pc{true}, label %pc{false}")
        else:
            # Two rets are a choice of two numbers: no branch to guess wrong.
            ret = self.new(f"select i1 {test}, i32 {ends[0]}, i32 {ends[1]}, !unpredictable !1")
            self.lines.append(f"  ret i32 {ret}")

    def two_at_once(self, pair: Pair) -> None:
        """A pair of loads judged by one comparison, where both lie inside the packet.

        Where they may not, the instructions follow one by one, under a label of their own.
        """
        insns = [self.program.insns[pc] for pc in (pair.first, pair.second)]
        sizes = [BY_CODE[insn.code].size for insn in insns]
        starts = [str(insn.k) for insn in insns]
        end = max(insn.k + size for insn, size in zip(insns, sizes, strict=True))
        if BY_CODE[insns[0].code].form is Form.IND:
            X = self.new(f"zext i32 {self.get('X')} to i64")
            inside = self.new(f"icmp ule i64 {self.new(f'add i64 {X}, {end}')}, %len")
            starts = [self.new(f"add i64 {X}, {insn.k}") for insn in insns]
        else:
            inside = self.new(f"icmp uge i64 %len, {end}") if end > self.known else "true"
        both, alone = f"both{self.pc}", f"alone{self.pc}"
        self.lines += [
            f"  br i1 {inside}, label %{both}, label %{alone}, !prof !0",
            f"{both}:",
        ]
        values = [self.read(start, size) for start, size in zip(starts, sizes, strict=True)]
        tests = [self.any_of(v, c.ks) for v, c in zip(values, pair.choices, strict=True)]
        self.put("A", self.new(f"select i1 {tests[0]}, i32 {values[0]}, i32 {values[1]}"))
        if side_by_side(pair, insns):
            met = self.either_half(starts[0], pair.choices[0].ks)
        else:
            met = self.new(f"or i1 {tests[0]}, {tests[1]}")
        self.decide(met, pair.true, pair.false)
        self.lines.append(f"{alone}:")

    def either_half(self, start: str, ks: tuple[int, ...]) -> str:
        """Whether one of two halves side by side is one of several constants: all compared at once.

        Both ports of a packet, most often.  The halves stay in the order of their bytes.
        """
        lanes = 2 << (len(ks) - 1).bit_length()  # two for each constant, a power of two
        swapped = [k.to_bytes(2, "big") for k in [*ks, *[ks[0]] * (lanes // 2 - len(ks))]]
        halves = [int.from_bytes(each, sys.byteorder) for each in swapped for _ in range(2)]
        values = ", ".join(f"i16 {half}" for half in halves)
        place = self.new(f"getelementptr i8, ptr %P, i64 {start}")
        both = self.new(f"load i32, ptr {place}, align 1")
        words, kind = f"<{lanes // 2} x i32>", f"<{lanes} x i16>"
        one = self.new(f"insertelement {words} poison, i32 {both}, i64 0")
        same = f"shufflevector {words} {one}, {words} poison, {words} zeroinitializer"
        alike = self.new(f"bitcast {words} {self.new(same)} to {kind}")
        equal = self.new(f"icmp eq {kind} {alike}, <{values}>")
        bits = self.new(f"bitcast <{lanes} x i1> {equal} to i{lanes}")
        return self.new(f"icmp ne i{lanes} {bits}, 0")

    def test(self, row: Opcode, insn: Insn) -> str:
        """Whether A passes the test against k or X."""
        value = self.get("X") if row.form is Form.X_TARGETS else str(insn.k)
        if row.mnemonic == "jset":
            common = self.new(f"and i32 {self.get('A')}, {value}")
            return self.new(f"icmp ne i32 {common}, 0")
        return self.new(f"icmp {TESTS[row.mnemonic]} i32 {self.get('A')}, {value}")

    def conditional(self, row: Opcode, insn: Insn) -> None:
        """pc += (A test k) ? jt : jf, or with X."""
        true, false = self.pc + 1 + insn.jt, self.pc + 1 + insn.jf
        if not self.counting:
            wide = self.choices.get(self.pc)
            if wide is None:
                self.decide(self.test(row, insn), true, false)
            else:
                self.decide(self.any_of(self.get("A"), wide.ks), wide.true, wide.false)
            return
        test = self.test(row, insn)
        self.lines += [
            f"  br i1 {test}, label %jt{self.pc}, label %pc{false}",
            f"jt{self.pc}:",
        ]
        self.counted(1)
        self.goto(true)


def side_by_side(pair: Pair, insns: Sequence[Insn]) -> bool:
    """Whether a pair's loads are halves one behind the other, compared with the same numbers."""
    one, two = pair.choices
    halves = all(BY_CODE[insn.code].size == 2 for insn in insns)
    adjacent = insns[1].k == insns[0].k + 2
    return halves and adjacent and set(one.ks) == set(two.ks) and max(one.ks) <= 0xFFFF


EMIT: dict[Form, Callable[[Lowering, Opcode, Insn], None]] = {
    Form.NONE: Lowering.alone,
    Form.IMM: Lowering.constant,
    Form.LEN: Lowering.length,
    Form.MEM: Lowering.scratch,
    Form.ABS: Lowering.absolute,
    Form.IND: Lowering.indirect,
    Form.MSH: Lowering.header_length,
    Form.A: Lowering.return_a,
    Form.X: Lowering.with_x,
    Form.TARGET: Lowering.jump,
    Form.IMM_TARGETS: Lowering.conditional,
    Form.X_TARGETS: Lowering.conditional,
}
