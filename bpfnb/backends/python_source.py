"""A checked program as Python that people can read: nested ifs, no loop, no dispatch.

Each test is an `if`; where ways meet again, what follows stands behind the ifs
that led there.  Where not all of them lead there, `at` says whose turn it is.
A program too deep to be nested stands as a row of such ifs.

A load is P[k] * 256 + P[k + 1].  One that is only compared with a number is left as
bytes, the last of them first: reading it tells whether all are there, and for a
port or a type it is most often the one that differs.

    if P[13] == 0xdd and P[12] == 0x86:    # 0 ldh [12]; 1 jeq #0x86dd

Left out: how the program nests (`structure`), compiling the text (`pygen`).

Legend: A, X, M0 … M15 the registers, P the packet's bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bpfnb.backends.flow import SIGNED
from bpfnb.backends.structure import ASKS, Node, Structure, is_extension, structure, uses
from bpfnb.cbpf.ancillary import BY_K, FIRST_ETHERTYPE
from bpfnb.cbpf.disasm import line as listed
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Class, Form
from bpfnb.cbpf.program import Program

__all__ = ["source"]

MASK = 0xFFFFFFFF
DEEPEST = 40  # levels of ifs; Python itself ends at 100
COMMENT = 56  # the column where comments stand
HEAD = '''\
def accepts(P, wirelen, notes):
    """Return how many bytes of the packet P to accept; 0 rejects it."""
'''
DIRECT = {"add": "+", "sub": "-", "mul": "*", "div": "//", "mod": "%", "and": "&", "or": "|"}
OPERATORS = {**DIRECT, "xor": "^", "lsh": "<<", "rsh": ">>"}
OPPOSITE = {"==": "!=", ">": "<=", ">=": "<", "in": "not in"}
TESTS = {"jeq": "==", "jgt": ">", "jge": ">="}


class TooDeepError(Exception):
    """The ifs of a program would be nested deeper than Python takes."""


def source(program: Program) -> str:
    """The function `accepts(P, wirelen, notes)` for a checked program.

    >>> print(source(Program.from_insns([(0x30, 0, 0, 9), (0x15, 0, 1, 6), (6, 0, 0, 1),
    ...     (6, 0, 0, 0)])))
    def accepts(P, wirelen, notes):
        \"\"\"Return how many bytes of the packet P to accept; 0 rejects it.\"\"\"
        try:
            if P[9] == 6:                                   # 0 ldb [9]; 1 jeq #0x6
                return 1                                    # 2 ret #1
            return 0                                        # 3 ret #0
        except IndexError:
            return 0                                        # a load past the end
    """
    made = structure(program)
    writer = Writer(made)
    try:
        writer.region(0, None, 2, Known())
    except TooDeepError:
        writer = Writer(made)
        writer.in_a_row()
    return framed(program, made, writer.lines)


def framed(program: Program, made: Structure, lines: Sequence[str]) -> str:
    """The function around its lines: registers that begin with 0, loads that can fail."""
    loads = any(BY_CODE[insn.code].size for insn in program.insns)
    zero = sorted(made.nodes[0].live)
    begin = [f"    {' = '.join(zero)} = 0"] if zero else []
    if not loads:
        return HEAD + "\n".join([*begin, *(row[4:] for row in lines)])
    missed = "(IndexError, error)" if any("word(" in row for row in lines) else "IndexError"
    end = [f"    except {missed}:", said("        return 0", "a load past the end")]
    return HEAD + "\n".join([*begin, "    try:", *lines, *end])


def said(line: str, words: str) -> str:
    """A line with a comment."""
    return f"{line:<{COMMENT - 2}}  # {words}"


@dataclass(frozen=True)
class Known:
    """What is known of the registers on the way to a line.

    `waiting` is the load that A stands for without having been made: (place, size).
    A and X are at most `A` and `X`.
    """

    waiting: tuple[str, int, int] | None = None
    A: int = MASK
    X: int = MASK


@dataclass
class Writer:
    """Writes the lines, nodes in an order in which every jump goes down."""

    made: Structure
    lines: list[str] = field(default_factory=list)
    guarded: set[int] = field(default_factory=set)
    said: list[int] = field(default_factory=list)

    # Shape

    def region(self, pc: int, after: int | None, indent: int, known: Known) -> bool:
        """A node and all that it dominates; whether control can come out at the end.

        What comes out is meant for the meeting `after`, unless it has set `at`.
        """
        while True:
            node = self.made.nodes[pc]
            self.guard(node)
            place = node.meets[0] if node.meets else after
            for each in node.pcs[:-1]:
                known = self.plain(each, indent, known)
            onward = self.last(node, place, indent, known)
            if isinstance(onward, tuple):
                if not node.meets:
                    pc, known = onward
                    continue
                onward = self.region(onward[0], place, indent, onward[1])
            if not node.meets:
                return onward
            for meeting, behind in zip(node.meets, [*node.meets[1:], after], strict=True):
                if meeting in self.guarded:
                    self.write(indent, f"if at == {meeting}:")
                    before = len(self.lines)
                    self.region(meeting, behind, indent + 1, Known())
                    if len(self.lines) == before:
                        self.write(indent + 1, "pass")
                elif meeting != node.meets[-1]:
                    self.region(meeting, behind, indent, Known())
            if node.meets[-1] in self.guarded:
                return True
            pc, known = node.meets[-1], Known()

    def guard(self, node: Node) -> None:
        """Mark the meetings of a node that some way passes by."""
        nodes, is_meeting = self.made.nodes, self.made.is_meeting
        out: set[int] = set()
        for target in node.targets:
            out |= {target} if is_meeting(target) else self.beyond(target)
        for meeting in node.meets:
            if out - {meeting}:
                self.guarded.add(meeting)
            out = (out | nodes[meeting].beyond) - {meeting}

    def beyond(self, pc: int) -> set[int]:
        """Where ways out of all that a node dominates lead; a ret leads nowhere."""
        return self.made.nodes[pc].beyond

    def in_a_row(self) -> None:
        """Every node behind an `if` of its own."""
        self.guarded = set(self.made.nodes)
        for pc in sorted(self.made.nodes):
            node = self.made.nodes[pc]
            if pc:
                self.write(2, f"if at == {pc}:")
            indent, known = 3 if pc else 2, Known()
            for each in node.pcs[:-1]:
                known = self.plain(each, indent, known)
            self.last(node, None, indent, known, nest=False)

    def last(
        self, node: Node, place: int | None, indent: int, known: Known, nest: bool = True
    ) -> bool | tuple[int, Known]:
        """A node's last instruction, and the ways out of it.

        True or False: whether control comes out; or the node that follows, unnested.
        """
        pc = node.pcs[-1]
        if len(node.targets) < 2:
            known = self.plain(pc, indent, known)
            if not node.targets:
                return False
            return self.go(node.targets[0], place, indent, known, nest)
        yes, no, known = self.test(node, indent, known)
        true, false = node.targets
        if self.made.is_ret(false) and not self.made.is_ret(true):
            yes, no, true, false = no, yes, false, true
        words = self.words()
        first, first_out = self.aside(true, place, indent + 1, known, nest)
        if not first:
            yes, true, false = no, false, true
            first, first_out = self.aside(true, place, indent + 1, known, nest)
        self.lines.append(said(f"{'    ' * indent}if {yes}:", words))
        self.lines += first or [f"{'    ' * (indent + 1)}pass"]
        if not first_out:
            return self.go(false, place, indent, known, nest)
        second, second_out = self.aside(false, place, indent + 1, known, nest)
        if second:
            self.lines += [f"{'    ' * indent}else:", *second]
        return first_out or second_out

    def aside(
        self, target: int, place: int | None, indent: int, known: Known, nest: bool
    ) -> tuple[list[str], bool]:
        """The lines of one way, and whether control comes out of them."""
        if indent > DEEPEST:
            raise TooDeepError
        kept, self.lines = self.lines, []
        onward = self.go(target, place, indent, known, nest)
        if isinstance(onward, tuple):
            onward = self.region(onward[0], place, indent, onward[1])
        lines, self.lines = self.lines, kept
        return lines, onward

    def go(
        self, target: int, place: int | None, indent: int, known: Known, nest: bool
    ) -> bool | tuple[int, Known]:
        """Go on at a node: return, fall to it, name it in `at`, or say that it follows here."""
        if self.made.is_ret(target):
            self.plain(target, indent, known)
            return False
        if nest and not self.made.is_meeting(target):
            return target, known
        if known.waiting and "A" in self.made.nodes[target].live:
            self.take(indent, known)
        if target != place or target in self.guarded:
            self.write(indent, f"at = {target}")
        return True

    # Lines

    def write(self, indent: int, line: str) -> None:
        """A line, and in a comment the instructions that it stands for."""
        words = self.words()
        self.lines.append(said("    " * indent + line, words) if words else "    " * indent + line)

    def words(self) -> str:
        """The instructions to be named in the next comment, as tcpdump lists them."""
        insns = self.made.program.insns
        shown = [
            f"{pc} {' '.join(listed(insns[pc], pc).split(' jt ')[0].split())}" for pc in self.said
        ]
        self.said = []
        return "; ".join(shown)

    def test(self, node: Node, indent: int, known: Known) -> tuple[str, str, Known]:
        """The last instruction's test, its opposite, and what is known behind it."""
        pc = node.pcs[-1]
        insn = self.made.program.insns[pc]
        row = BY_CODE[insn.code]
        numbers = node.choice.ks if node.choice else (insn.k,)
        if known.waiting:
            constant = row.form is Form.IMM_TARGETS
            told = by_bytes(row.mnemonic, numbers, known.waiting) if constant else None
            if told:
                self.said += [pc]
                return (*told, known)
            known = self.take(indent, known)
        self.said += [pc, *(node.choice.others if node.choice else ())]
        if row.mnemonic == "jset":
            common = f"A & {'X' if row.form is Form.X_TARGETS else hex(insn.k)}"
            return common, f"not {common}", known
        if len(numbers) > 1:
            among = f"({', '.join(map(number, numbers))})"
            return f"A in {among}", f"A not in {among}", known
        sign = TESTS[row.mnemonic]
        value = "X" if row.form is Form.X_TARGETS else number(insn.k)
        return f"A {sign} {value}", f"A {OPPOSITE[sign]} {value}", known

    def take(self, indent: int, known: Known) -> Known:
        """Make the load that A has been standing for."""
        assert known.waiting is not None
        base, k, size = known.waiting
        self.write(indent, f"A = {bytes_at(base, k, size)}")
        return replace(known, waiting=None)

    def plain(self, pc: int, indent: int, known: Known) -> Known:
        """An instruction that is no test; what is known behind it."""
        insn = self.made.program.insns[pc]
        row = BY_CODE[insn.code]
        if row.cls is Class.JMP:
            return known
        known = self.ready(pc, indent, known)
        if row.size:
            return self.load(pc, insn, indent, known)
        self.said.append(pc)
        if row.cls is Class.ALU:
            return self.arithmetic(insn, indent, known)
        if row.cls is Class.RET:
            self.write(indent, f"return {'A' if row.form is Form.A else insn.k}")
            return known
        return self.move(insn, indent, known)

    def ready(self, pc: int, indent: int, known: Known) -> Known:
        """Make a load that has been waiting where an instruction reads A, or changes its X."""
        if not known.waiting:
            return known
        reads, writes = uses(self.made.program.insns[pc])
        moved = known.waiting[0] == "X" and "X" in writes
        if "A" in reads or (moved and "A" in self.made.live[pc]):
            return self.take(indent, known)
        return replace(known, waiting=None) if moved else known

    def move(self, insn: Insn, indent: int, known: Known) -> Known:
        """Loads of what is no packet byte, stores, tax and txa."""
        row = BY_CODE[insn.code]
        if row.cls in (Class.ST, Class.STX):
            self.write(indent, f"M{insn.k} = {'A' if row.cls is Class.ST else 'X'}")
            return known
        into = "X" if row.cls is Class.LDX or row.mnemonic == "tax" else "A"
        value, most = {
            Form.IMM: (number(insn.k), insn.k),
            Form.LEN: (f"wirelen & {MASK:#x}", MASK),
            Form.MEM: (f"M{insn.k}", MASK),
            Form.NONE: ("A", known.A) if into == "X" else ("X", known.X),
        }[row.form]
        self.write(indent, f"{into} = {value}")
        if into == "X":
            return replace(known, X=most)
        return replace(known, A=most, waiting=None)

    def arithmetic(self, insn: Insn, indent: int, known: Known) -> Known:
        """A <- A op k, or A op X; cut to 32 bits where it can have more."""
        row = BY_CODE[insn.code]
        if row.mnemonic == "neg":
            self.write(indent, f"A = -A & {MASK:#x}")
            return replace(known, A=MASK)
        with_x = row.form is Form.X
        value = "X" if with_x else (hex(insn.k) if row.hexadecimal else str(insn.k))
        if with_x and row.mnemonic in ("div", "mod"):
            self.write(indent, "if X == 0:")
            self.write(indent + 1, "return 0")
        if with_x and row.mnemonic in ("lsh", "rsh"):
            value = "(X & 31)"
        most = at_most(row.mnemonic, known.A, known.X if with_x else insn.k, with_x)
        made = f"A {OPERATORS[row.mnemonic]} {value}"
        wide = most > MASK or row.mnemonic == "sub"
        self.write(indent, f"A = ({made}) & {MASK:#x}" if wide else f"A = {made}")
        return replace(known, A=min(most, MASK))

    def load(self, pc: int, insn: Insn, indent: int, known: Known) -> Known:
        """A <- P[k:size], P[X+k:size] or an extension; X <- 4*(P[k:1]&0xf)."""
        row = BY_CODE[insn.code]
        self.said.append(pc)
        if is_extension(insn):
            return self.extension(insn, indent, known)
        indirect = row.form is Form.IND
        if insn.k + row.size + (known.X if indirect else 0) > SIGNED:
            return self.far(insn, indent, known)
        base = "X" if indirect else ""
        if row.form is Form.MSH:
            self.write(indent, f"X = 4 * (P[{insn.k}] & 15)")
            return replace(known, X=60)
        known = replace(known, A=(1 << 8 * row.size) - 1, waiting=(base, insn.k, row.size))
        return known if self.only_compared(pc) else self.take(indent, known)

    def only_compared(self, pc: int) -> bool:
        """Whether the next instruction tells from the bytes alone, and reads the last of them."""
        program = self.made.program
        insn = program.insns[pc + 1]
        row = BY_CODE[insn.code]
        if pc + 1 in self.made.nodes or len(self.made.targets(pc + 1)) != 2:
            return False  # other ways lead there too, or it goes one way only
        if row.form is not Form.IMM_TARGETS or row.mnemonic not in ("jeq", "jset"):
            return False
        choice = self.made.chosen.get(pc + 1)
        if choice and len(choice.ks) > 1:
            return False
        size = BY_CODE[program.insns[pc].code].size
        return by_bytes(row.mnemonic, (insn.k,), ("", 0, size)) is not None

    def extension(self, insn: Insn, indent: int, known: Known) -> Known:
        """A <- what Linux's extension reads; without a device: return A."""
        name = BY_K[insn.k].name
        asked = ", ".join(each if each in ASKS.get(name, ()) else "0" for each in "AX")
        device = name in ("ifidx", "hatype")
        into = "read" if device else "A"
        self.write(indent, f"{into} = extension({insn.k:#x}, {asked}, P, notes)")
        if device:
            self.write(indent, "if read is None:")
            self.write(indent + 1, "return A")
            self.write(indent, "A = read")
        return replace(known, A=MASK, waiting=None)

    def far(self, insn: Insn, indent: int, known: Known) -> Known:
        """A load that may count from the network or link header."""
        row = BY_CODE[insn.code]
        place = f"(X + {insn.k}) & {MASK:#x}" if row.form is Form.IND else hex(insn.k)
        self.write(indent, f"read = far_load({place}, {row.size}, P, notes)")
        self.write(indent, "if read is None:")
        self.write(indent + 1, "return 0")
        if row.form is Form.MSH:
            self.write(indent, "X = 4 * (read & 15)")
            return replace(known, X=60)
        self.write(indent, "A = read")
        return replace(known, A=(1 << 8 * row.size) - 1, waiting=None)


def number(k: int) -> str:
    """A constant: in decimal as ports and protocols are, types and masks in hexadecimal.

    >>> number(80), number(0x86DD)
    ('80', '0x86dd')
    """
    return str(k) if k < FIRST_ETHERTYPE else hex(k)


def octet(byte: int) -> str:
    """A byte of an EtherType."""
    return f"{byte:#04x}"


def place(base: str, k: int) -> str:
    """A packet byte."""
    if base:
        return f"P[X + {k}]" if k else "P[X]"
    return f"P[{k}]"


def bytes_at(base: str, k: int, size: int) -> str:
    """A number in network order."""
    if size == 1:
        return place(base, k)
    if size == 2:
        return f"{place(base, k)} * 256 + {place(base, k + 1)}"
    return f"word(P, {place(base, k)[2:-1]})[0]"


def by_bytes(
    mnemonic: str, numbers: Sequence[int], waiting: tuple[str, int, int]
) -> tuple[str, str] | None:
    """A test of a load, and its opposite, byte by byte from the last; None: it needs A."""
    base, k, size = waiting
    value = numbers[0]
    if len(numbers) > 1 or value >> 8 * size:
        return None
    parts = list(enumerate(value.to_bytes(size, "big"), k))[::-1]
    if mnemonic == "jeq":
        shown = octet if size == 2 and value >= FIRST_ETHERTYPE else str
        yes = " and ".join(f"{place(base, at)} == {shown(byte)}" for at, byte in parts)
        no = " or ".join(f"{place(base, at)} != {shown(byte)}" for at, byte in parts)
        return yes, no
    if mnemonic == "jset" and parts[0][1]:
        masks = [
            place(base, at) if mask == 0xFF else f"{place(base, at)} & {mask:#x}"
            for at, mask in parts
            if mask
        ]
        any_ = " or ".join(masks)
        return any_, f"not ({any_})" if len(masks) > 1 else f"not {any_}"
    return None


def at_most(mnemonic: str, A: int, v: int, with_x: bool) -> int:
    """A bound of A op v, where A and v are bounds, or v is k itself."""
    if mnemonic in ("or", "xor"):
        return int((1 << max(A, v).bit_length()) - 1)
    if mnemonic == "lsh":
        return MASK << 31 if with_x else A << v
    bounds = {
        "add": A + v,
        "sub": MASK,
        "mul": A * v,
        "div": A if with_x else A // max(v, 1),
        "mod": A if with_x else v - 1,
        "and": min(A, v),
        "rsh": A if with_x else A >> v,
    }
    return bounds[mnemonic]
