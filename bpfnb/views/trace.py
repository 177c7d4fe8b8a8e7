"""A run, step by step: as a table, and as bpf_dbg's users expect it.

Both end with the verdict and, in short, why.  The table has what each step
read and what it changed; the log has all registers before each step, with the
instruction and both its successors.

Left out: bytes drawn as a packet, and a full account of a verdict in terms of
fields.  Source of the log's content: the kernel's bpf_dbg, whose commands and
fields were looked at, not its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.disasm import line, sentence
from bpfnb.cbpf.machine import State
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.trace import Read, Step, Trace
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["TraceLog", "TraceTable", "happening", "headline", "log", "registers", "why"]

HEADS = ("step", "pc", "instruction", "bytes read", "A", "X", "M[]", "what happens")
NUMBERS = {"step", "pc", "A", "X"}


@dataclass(frozen=True)
class TraceTable(View):
    """A line a step: what ran, what it read, A, X and M[] after it.

    A register that the step changed is marked: by `*` in text, bold in HTML.
    `title` says which packet it was.
    """

    trace: Trace
    title: str = ""

    def text(self) -> str:
        """The verdict, then all steps."""
        body = [cells(self.trace, step) for step in self.trace.steps]
        changed = [changes(step) for step in self.trace.steps]
        for row, names in zip(body, changed, strict=True):
            for name in names & {"A", "X"}:
                row[name] += "*"
            for name in {"A", "X"} - names:
                row[name] += " "
        heads = [head for head in HEADS if any(row[head].strip() for row in body)]
        widths = {head: max(len(head), *(len(row[head]) for row in body)) for head in heads}
        lines = [headline(self.trace, self.title)]
        for row in [{head: head for head in heads}, *body] if body else []:
            fields = [
                f"{row[head]:>{widths[head]}}"
                if head in NUMBERS
                else f"{row[head]:<{widths[head]}}"
                for head in heads
            ]
            lines.append("  ".join(fields).rstrip())
        return "\n".join([*lines, *left(self.trace)])

    def html(self) -> str:
        """The same as a table, folded after twenty steps."""
        heads = [head for head in HEADS if head != "M[]" or self.uses_memory]
        rows = [
            style.row(html_cell(self.trace, step, head) for head in heads)
            for step in self.trace.steps[: style.MOST]
        ]
        top = style.heads((head, side(head)) for head in heads)
        html = style.caption(headline_html(self.trace, self.title))
        html += style.table(rows, "step", top)
        html += style.left_out(len(self.trace.steps) - len(rows), "step")
        return style.scroll(html + "".join(style.caption(each) for each in left(self.trace)))

    @property
    def uses_memory(self) -> bool:
        """Whether any step changed scratch memory."""
        return any("M[]" in changes(step) for step in self.trace.steps)


@dataclass(frozen=True)
class TraceLog(View):
    """All registers before each step, the way bpf_dbg shows them."""

    trace: Trace
    title: str = ""

    def text(self) -> str:
        """A paragraph a step, then the verdict."""
        paragraphs = [log(self.trace, step) for step in self.trace.steps]
        return "\n\n".join([*paragraphs, *left(self.trace), headline(self.trace, self.title)])

    def html(self) -> str:
        """The text as it is, under the verdict."""
        return style.scroll(
            style.caption(headline_html(self.trace, self.title))
            + f'<pre style="font-family:{style.MONO};font-size:13px;line-height:20px;margin:0;'
            f'background:transparent">{escape(self.text())}</pre>'
        )


def headline(trace: Trace, title: str) -> str:
    """First the answer: which packet, the verdict, how many steps, and why.

    Of a run that was stopped, that, since there is no verdict.
    """
    said = ": ".join(parts(trace))
    return f"{title}: {said}" if title else said


def headline_html(trace: Trace, title: str) -> str:
    """The same with the verdict's tone."""
    verdict, reason = parts(trace)
    shape, _, words = verdict.partition(" ")
    colour = style.ACCEPT if trace.ret else style.REJECT
    lead = f"{escape(title)}: " if title else ""
    shown = f'<b><span style="color:{colour}">{shape}</span> {escape(words)}</b>'
    return f"{lead}{shown}: {escape(reason)}"


def left(trace: Trace) -> list[str]:
    """Under the first steps of a run that went on: that it did."""
    return [f"… the first {style.plural(len(trace.steps), 'step')}"] if trace.loop else []


def parts(trace: Trace) -> tuple[str, str]:
    """The verdict with the number of steps, and the reason."""
    if trace.stopped:
        stopped, _, reason = trace.stopped.partition(": ")
        return f"✗ {stopped}", reason
    verdict, _, reason = why(trace).partition(": ")
    return f"{verdict} after {style.plural(len(trace.steps), 'step')}", reason


def why(trace: Trace) -> str:
    """The verdict and why, in short.

    >>> from bpfnb.cbpf.program import Program
    >>> from bpfnb.cbpf.trace import trace
    >>> why(trace(Program.from_insns([(0x20, 0, 0, 54), (0x16, 0, 0, 0)]), bytes(42)))
    '✗ reject: load past the end at (000): wanted bytes 54–57, the packet has 42'
    """
    if trace.ret is None:
        return ": ".join(parts(trace))
    last = trace.steps[-1]
    row = BY_CODE.get(last.insn.code)
    lead = f"{style.verdict(trace.ret)}: "
    if last.missed is not None:
        return f"{lead}load past the end at ({last.pc:03d}): {beyond(trace, last.missed)}"
    if row is not None and row.mnemonic in ("div", "mod"):
        return f"{lead}division by X = 0 at ({last.pc:03d})"
    if row is None or row.mnemonic != "ret":
        return f"{lead}({last.pc:03d}) found no device and ended the program"
    if not trace.ret:
        return f"{lead}{cause(trace)}"
    have = len(trace.data)
    kept = f"all {have}" if trace.ret >= have else f"the first {trace.ret} of {have}"
    return f"{lead}ret is {trace.ret}, which keeps {kept} bytes"


def beyond(trace: Trace, missed: Read) -> str:
    """What a load wanted that is not there."""
    have = len(trace.data)
    if missed.offset >= 0x80000000:
        return f"wanted {missed.size} bytes at {missed.offset:#x}, which this packet does not have"
    return f"wanted {span(missed)}, the packet has {have}"


def span(read: Read) -> str:
    """The bytes of a read.

    >>> span(Read(12, 2)), span(Read(23, 1))
    ('bytes 12–13', 'byte 23')
    """
    if read.size == 1:
        return f"byte {read.offset}"
    return f"bytes {read.offset}–{read.offset + read.size - 1}"


def cause(trace: Trace) -> str:
    """Why a ret 0 was reached: the last test before it, and what A was."""
    last = trace.steps[-1]
    ended = f"ret at ({last.pc:03d}) is 0"
    for step in reversed(trace.steps[:-1]):
        row = BY_CODE.get(step.insn.code)
        if row is not None and row.form.jumps and step.insn.jt != step.insn.jf:
            registers = f"A was {step.before.A:#x}"
            if row.form is Form.X_TARGETS:
                registers += f" and X was {step.before.X:#x}"
            test, _, held = outcome(step).partition(" is ")
            return f"{ended}; the test at ({step.pc:03d}), {test}, was {held}: {registers}"
    return ended


def outcome(step: Step) -> str:
    """A test's question with its number, and the answer.

    >>> from bpfnb.cbpf.insn import Insn
    >>> from bpfnb.cbpf.machine import State
    >>> outcome(Step(0, State(A=17), Insn(0x15, 0, 1, 6), State(pc=2)))
    'A == 0x6 is false'
    """
    insn, row = step.insn, BY_CODE[step.insn.code]
    test = row.transfer.split("(")[1].split(")")[0].format(k=f"{insn.k:#x}")
    held = step.after.pc == step.pc + 1 + insn.jt
    return f"{test} is {'true' if held else 'false'}"


def happening(trace: Trace, step: Step) -> str:
    """One step in words, with the numbers of this run."""
    insn, after = step.insn, step.after
    row = BY_CODE.get(insn.code)
    if step.missed is not None:
        return f"past the end: {beyond(trace, step.missed)}"
    if row is None:
        return sentence(insn, step.pc)
    if row.mnemonic == "ret":
        ret = after.ret or 0
        return style.verdict(ret) + (f", at most {ret} bytes" if ret else "")
    if after.ret is not None:
        return why(trace).partition(": ")[2]
    if row.form.jumps and insn.jt != insn.jf:
        return f"{outcome(step)}, go to {after.pc}"
    return sentence(insn, step.pc)


def changes(step: Step) -> set[str]:
    """Which of A, X and M[] the instruction wrote, be it the same value."""
    row = BY_CODE.get(step.insn.code)
    if row is None or step.after.ret is not None:
        return set()
    written = row.transfer.partition(" <- ")[0]
    return {"M[]"} if written.startswith("M[") else {written} & {"A", "X"}


def memory(step: Step) -> str:
    """The scratch word that a step wrote."""
    if "M[]" not in changes(step):
        return ""
    word = step.insn.k
    return f"M[{word}]={step.after.M[word]:#x}"


def reads(trace: Trace, step: Step) -> str:
    """Offsets and bytes of what a step read; long runs are cut."""
    shown = []
    for read in step.reads:
        data = trace.data[read.offset : read.offset + read.size]
        shown.append(f"{read.offset}: {data.hex(' ')}")
    return ", ".join(shown)


def cells(trace: Trace, step: Step) -> dict[str, str]:
    """One step's words, by column."""
    return {
        "step": str(step.number),
        "pc": f"({step.pc:03d})",
        "instruction": " ".join(line(step.insn, step.pc).split()),
        "bytes read": reads(trace, step),
        "A": f"{step.after.A:#x}",
        "X": f"{step.after.X:#x}",
        "M[]": memory(step),
        "what happens": happening(trace, step),
    }


def html_cell(trace: Trace, step: Step, head: str) -> str:
    """One cell of a step: changed values bold, kept ones muted."""
    words = cells(trace, step)[head]
    shown = escape(words)
    if head in ("A", "X"):
        value = getattr(step.after, head)
        shown = f"<b>{shown}</b>" if head in changes(step) else style.muted(shown)
        return style.cell(shown, "right", hover=str(value))
    if head == "instruction":
        edge = f";border-left:4px solid {style.tone(step.insn.code)}"
        return style.cell(shown, left=8, more=edge, hover=sentence(step.insn, step.pc))
    if head == "what happens":
        for shape, colour in (("✓", style.ACCEPT), ("✗", style.REJECT)):
            shown = shown.replace(shape, f'<b style="color:{colour}">{shape}</b>')
        shown = style.plain(shown, least=240)
    return style.cell(style.muted(shown) if head in ("step", "pc") else shown, side(head))


def side(head: str) -> str:
    """Words stand left, numbers right."""
    return "right" if head in NUMBERS else "left"


def log(trace: Trace, step: Step) -> str:
    """One step as bpf_dbg's users know it: the state before it runs."""
    insn, state = step.insn, step.before
    insns = trace.program.insns

    def shown(pc: int) -> str:
        return f"({pc:03d}) {' '.join(line(insns[pc], pc).split())}"

    ways = successors(insns, step.pc)
    rows = [
        ("pc", f"[{step.pc}]"),
        ("code", f"[{insn.code:#04x}] jt[{insn.jt}] jf[{insn.jf}] k[{insn.k}]"),
        ("curr", shown(step.pc)),
        *(({"true": "jt", "false": "jf"}.get(kind, "next"), shown(to)) for to, kind in ways),
    ]
    lines = [f"  {name + ':':<7} {value}" for name, value in rows]
    return "\n".join([f"step {step.number}", *lines, registers(state)])


def registers(state: State) -> str:
    """A, X and the words of M[] that are not 0, in hex and in decimal, a line each."""
    words = {"A": state.A, "X": state.X}
    words |= {f"M[{at}]": word for at, word in enumerate(state.M) if word}
    lines = [f"  {name + ':':<7} [{word:#010x}] [{word}]" for name, word in words.items()]
    return "\n".join(lines)
