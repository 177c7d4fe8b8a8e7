"""Program -> text, in six dialects.

    tcpdump   the listing of `tcpdump -d`, to the byte
    c         the rows of `tcpdump -dd`
    decimal   the lines of `tcpdump -ddd`
    xt_bpf    one line for iptables' bpf match
    asm       source that Linux's bpf_asm reads, with labels
    paper     source as the 1993 paper writes it, well-known numbers by name

`asm` reads all of them back.  What a dialect cannot say (an unknown opcode, a
field that means nothing but is not 0, a jump out of the program) stands in
"asm" and "paper" as `.insn code, jt, jf, k`.  Left out: columns beside the
listing, which are `views.listing`.

Source: outputs of tcpdump 4.99.3 and libpcap 1.10.3 and 1.10.6.
"""

from __future__ import annotations

from collections.abc import Callable

from bpfnb.cbpf.ancillary import BY_K
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.constants import ETHERTYPES, PROTOCOLS
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

__all__ = ["DIALECTS", "line", "operand", "sentence", "text", "transfer"]

LISTED: dict[Form, str] = {
    Form.ABS: "[{k}]",
    Form.IND: "[x + {k}]",
    Form.LEN: "#pktlen",
    Form.A: "",
    Form.IMM_TARGETS: "#{k}",
    Form.X_TARGETS: "x",
}  # where tcpdump's words differ from `Form`'s own


def signed(k: int) -> int:
    """The 32 bits of `k` as C's int."""
    return k - (1 << 32) if k >= 1 << 31 else k


def line(insn: Insn, pc: int) -> str:
    r"""One line of `tcpdump -d`, without its number.

    >>> line(Insn(0x15, 0, 3, 0x800), 1)
    'jeq      #0x800           jt 2\tjf 5'
    """
    row = BY_CODE.get(insn.code)
    if row is None or (row.mnemonic == "ldx" and row.form is Form.LEN):
        return f"{'unimp':<8} {insn.code:#x}"  # libpcap's table lacks `ldx #len`
    shown = operand(insn, pc)
    if not row.form.jumps:
        return f"{row.mnemonic:<8} {shown}"
    return f"{row.mnemonic:<8} {shown:<16} jt {pc + 1 + insn.jt}\tjf {pc + 1 + insn.jf}"


def operand(insn: Insn, pc: int) -> str:
    """The operand as tcpdump prints it, the targets of a test left out.

    >>> operand(Insn(0x20, 0, 0, 0xfffff004), 0)
    '[type]'
    """
    row = BY_CODE[insn.code]
    if row.form is Form.ABS and insn.k in BY_K:
        extension = BY_K[insn.k]
        return f"[{extension.listed or extension.name}]"
    if row.form is Form.TARGET:
        return str(signed((pc + 1 + insn.k) & 0xFFFFFFFF))
    k = f"{insn.k:#x}" if row.hexadecimal else str(signed(insn.k))
    template: str = LISTED.get(row.form, row.form.value)
    return template.format(k=k)


def transfer(insn: Insn, pc: int) -> str:
    """The register transfer with its numbers filled in.

    >>> transfer(Insn(0x28, 0, 0, 12), 0)
    'A <- P[12:2]'
    >>> transfer(Insn(0x15, 0, 3, 0x800), 1)
    'pc <- (A == 0x800) ? 2 : 5'
    """
    row = BY_CODE.get(insn.code)
    if row is None:
        return "no machine runs this"
    if row.form is Form.ABS and insn.k in BY_K:
        return f"A <- {BY_K[insn.k].name}"
    if row.form is Form.TARGET:
        return f"pc <- {(pc + 1 + insn.k) & 0xFFFFFFFF}"
    k = f"{insn.k:#x}" if row.hexadecimal else str(signed(insn.k) if row.size else insn.k)
    if not row.form.jumps:
        return row.transfer.format(k=k)
    test = row.transfer.format(k=k).split("(")[1].split(")")[0]
    return f"pc <- ({test}) ? {pc + 1 + insn.jt} : {pc + 1 + insn.jf}"


def sentence(insn: Insn, pc: int) -> str:
    """The instruction in words.

    >>> sentence(Insn(0x15, 0, 3, 0x800), 1)
    'if A equals 0x800, go to 2, else to 5'
    """
    row = BY_CODE.get(insn.code)
    if row is None:
        return f"opcode {insn.code:#04x}: no machine runs this"
    if row.form is Form.ABS and insn.k in BY_K:
        return f"load into A {BY_K[insn.k].sentence}"
    k = f"{insn.k:#x}" if row.hexadecimal else str(signed(insn.k) if row.size else insn.k)
    if row.form is Form.TARGET:
        return f"go to {(pc + 1 + insn.k) & 0xFFFFFFFF}"
    words = row.sentence.format(k=k)
    if row.form.jumps:
        condition = words.split(", jump")[0]
        return f"{condition}, go to {pc + 1 + insn.jt}, else to {pc + 1 + insn.jf}"
    return words


def listing(program: Program) -> str:
    """`tcpdump -d`, without its final newline."""
    return "\n".join(f"({pc:03d}) {line(insn, pc)}" for pc, insn in enumerate(program.insns))


def rows(program: Program) -> str:
    """`tcpdump -dd`: one C initialiser a line."""
    return "\n".join(f"{{ {i.code:#x}, {i.jt}, {i.jf}, 0x{i.k:08x} }}," for i in program.insns)


def decimal(program: Program) -> str:
    """`tcpdump -ddd`: the count, then four numbers a line."""
    numbers = [f"{i.code} {i.jt} {i.jf} {i.k}" for i in program.insns]
    return "\n".join([str(len(program)), *numbers])


def xt_bpf(program: Program) -> str:
    """One line: the count, then four numbers an instruction, all behind commas."""
    return decimal(program).replace("\n", ",")


def asm(program: Program) -> str:
    """Source that bpf_asm reads; a program's own labels are kept."""
    return source(program, lambda insn, _: bare(insn), colon_width=0)


def paper(program: Program) -> str:
    """Source as the paper sets it: labels in a column of their own."""
    return source(program, paper_words, colon_width=8)


Words = Callable[[Insn, Insn | None], tuple[str, str]]


def source(program: Program, words: Words, colon_width: int) -> str:
    """Lay out labels, mnemonics and operands; `words` gives the last two."""
    insns = program.insns
    labels = label_names(program)
    lines = []
    loaded: Insn | None = None
    for pc, insn in enumerate(insns):
        label = labels.get(pc)
        if label is not None and not colon_width:
            lines.append(f"{label}:")
        lead = f"{label}:" if label is not None and colon_width else ""
        if sayable(program, pc):
            mnemonic, shown = words(insn, loaded)
            row = BY_CODE[insn.code]
            if row.form is Form.TARGET:
                shown = labels[pc + 1 + insn.k]
            elif row.form.jumps:
                shown += f", {labels[pc + 1 + insn.jt]}, {labels[pc + 1 + insn.jf]}"
        else:
            mnemonic, shown = ".insn", f"{insn.code:#x}, {insn.jt}, {insn.jf}, {insn.k:#x}"
        lines.append(f"{lead:<{colon_width or 8}}{mnemonic:<5} {shown}".rstrip())
        loaded = insn if insn.code & 0x07 != 5 else loaded
    return "\n".join(lines)


def sayable(program: Program, pc: int) -> bool:
    """Whether assembler words say all of this instruction's four fields."""
    insn = program.insns[pc]
    row = BY_CODE.get(insn.code)
    if (
        row is None
        or (not row.form.uses_k and insn.k)
        or (not row.form.jumps and insn.jt | insn.jf)
    ):
        return False
    if row.form is Form.TARGET:
        return pc + 1 + insn.k < len(program)
    return not row.form.jumps or pc + 1 + max(insn.jt, insn.jf) < len(program)


def label_names(program: Program) -> dict[int, str]:
    """A label for each jump target: the program's own, else L1, L2 … in order."""
    names: dict[int, str] = {}
    for name, pc in program.labels.items():
        names.setdefault(pc, name)
    targets = {
        target
        for pc in range(len(program))
        for target, kind in successors(program.insns, pc)
        if kind != "next" and sayable(program, pc)
    }
    taken, number = set(names.values()), 0
    for target in sorted(targets - names.keys()):
        number += 1
        while f"L{number}" in taken:
            number += 1
        names[target] = f"L{number}"
    return {pc: name for pc, name in names.items() if pc in targets}


def bare(insn: Insn) -> tuple[str, str]:
    """Mnemonic and operand as bpf_asm writes them, without targets."""
    row = BY_CODE[insn.code]
    if row.form is Form.ABS and insn.k in BY_K:
        return row.mnemonic, BY_K[insn.k].name
    if row.form.jumps or row.form is Form.TARGET:
        k = f"{insn.k:#x}"
        return ("jmp" if row.form is Form.TARGET else row.mnemonic), (
            "x" if row.form is Form.X_TARGETS else f"#{k}"
        )
    k = f"{insn.k:#x}" if row.hexadecimal or insn.k > 0x7FFFFFFF else str(insn.k)
    if row.form is Form.IND:
        return row.mnemonic, f"[x + {k}]"  # bpf_asm takes +14 for a number
    return row.mnemonic, row.form.value.format(k=k)


def paper_words(insn: Insn, loaded: Insn | None) -> tuple[str, str]:
    """As `bare`, in the paper's words; `loaded` is what A holds, as far as seen."""
    mnemonic, shown = bare(insn)
    row = BY_CODE[insn.code]
    if row.form is Form.MSH:
        return "ldx", shown
    if row.form is Form.IND:
        return mnemonic, shown.replace(" ", "")
    if row.form is Form.IMM_TARGETS and mnemonic == "jeq" and loaded is not None:
        names = {Insn(0x28, 0, 0, 12): ETHERTYPES, Insn(0x30, 0, 0, 23): PROTOCOLS}.get(loaded, {})
        for name, value in names.items():
            if value == insn.k:
                return mnemonic, f"#{name}"
    return mnemonic, shown


DIALECTS: dict[str, Callable[[Program], str]] = {
    "tcpdump": listing,
    "asm": asm,
    "c": rows,
    "decimal": decimal,
    "xt_bpf": xt_bpf,
    "paper": paper,
}


def text(program: Program, dialect: str = "tcpdump") -> str:
    """A program's text in one of DIALECTS, without a final newline.

    >>> print(text(Program.from_insns([(0x28, 0, 0, 12), (6, 0, 0, 0)])))
    (000) ldh      [12]
    (001) ret      #0
    """
    if dialect not in DIALECTS:
        raise BpfError(f"there is no dialect {dialect!r}", f"it is one of {', '.join(DIALECTS)}")
    return DIALECTS[dialect](program)
