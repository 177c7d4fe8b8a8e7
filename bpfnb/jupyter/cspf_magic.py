"""The magic %%cspf: a program for the stack machine before BPF, in the cell's body.

    %%cspf -p mixed --trace=3
    PUSHWORD+6
    PUSHLIT|EQ ETHERTYPE_IP

The line is read as %%bpf's is, by the same grammar; what means nothing for this machine is
refused.  A wrong program raises a BpfError, which fails the cell and shows one message;
wrong options raise IPython's UsageError.

Left out: other machines, which are about BPF; `{{…}}` is filled in as there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from IPython.core.error import UsageError
from IPython.core.magic_arguments import magic_arguments

from bpfnb.errors import BpfError, brief, showable
from bpfnb.jupyter import lessons
from bpfnb.jupyter.grammar import parse
from bpfnb.jupyter.options import OPTIONS, Options, declare
from bpfnb.views import style
from bpfnb.views.page import Page
from bpfnb.views.view import View

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from bpfnb.cbpf.cspf import CspfTrace
    from bpfnb.cspf import Program
    from bpfnb.packets.packet import PacketBatch
    from bpfnb.views.cspf import CspfListing
    from bpfnb.views.cspf_runs import CspfSteps, CspfVerdicts
    from bpfnb.views.cspf_tree import StackTree
    from bpfnb.views.exercise import Answered

__all__ = ["TAKEN", "VIEWS", "CspfResult", "register"]

VIEWS = ("listing", "verdicts", "trace", "tree")
TAKEN = ("packets", "read", "show", "trace", "exercise", "file", "out", "program", "quiet")
HELP = """Assemble a program for CSPF, the stack machine before BPF; run it, draw its tree.

    %%cspf [options]               a program in the cell's body

Examples
--------

::

    %%cspf -p pkts --trace=2
    PUSHWORD+6                     ; push word 6 of the packet: bytes 12 and 13
    PUSHLIT|EQ ETHERTYPE_IP        ; push 0x0800, then compare: 1 or 0
    PUSHWORD+11
    PUSH00FF|AND                   ; a byte is a word behind a mask
    PUSHLIT|EQ 17
    AND                            ; 1 if both are

--exercise 04.3 holds it against an exercise of the course.  --show takes listing,
verdicts, trace and tree.  The object returned has .program, .accepted, .listing,
.verdicts, .trace(2), .tree and .answered.
"""


def register(shell: InteractiveShell) -> None:
    """Add %%cspf to a shell."""
    register_function: Any = shell.register_magic_function
    register_function(magic_of(shell), "cell", "cspf")


def magic_of(shell: InteractiveShell) -> Callable[..., Any]:
    """The magic's function for a shell, with the help that `%%cspf?` shows."""

    def cspf(line: str, cell: str, local_ns: dict[str, Any] | None = None) -> Any:
        __tracebackhide__ = True
        try:
            options, expression = parse(line)
            refuse(options, expression)
        except UsageError as error:
            raise UsageError(showable(str(error)).replace("%bpf?", "%%cspf?")) from None
        result = answer(options, cell, {**shell.user_ns, **(local_ns or {})})
        for name, value in ((options.out, result), (options.program, result.program)):
            if name:
                shell.user_ns[name] = value
        return None if options.quiet else result

    cspf.__doc__ = HELP
    cspf.needs_local_scope = True  # type: ignore[attr-defined]  # what needs_local_scope does
    documented: Any = magic_arguments()
    said = f"what to show instead: any of {', '.join(VIEWS)}, with commas between"
    rows = [
        replace(row, help=said) if row.name == "show" else row
        for row in OPTIONS
        if row.name in TAKEN
    ]
    return cast("Callable[..., Any]", documented(declare(cspf, rows)))


def refuse(options: Options, expression: str) -> None:
    """What %%bpf knows and this machine has no use for."""
    if expression:
        raise UsageError(f"%%cspf takes a program in its body, not {brief(expression)!r}")
    for view in options.show:
        if view not in VIEWS:
            raise UsageError(
                f"there is no view {view!r} of a stack program; there are {', '.join(VIEWS)}"
            )
    plain = Options()
    flags = {row.name: row.flags[-1] for row in OPTIONS}
    flags["optimize"] = flags["unoptimized"]
    for each in fields(Options):
        known = each.name in TAKEN or each.name == "packets_quoted"
        if not known and getattr(options, each.name) != getattr(plain, each.name):
            flag = options.ignored[0] if each.name == "ignored" else flags[each.name]
            raise UsageError(f"%%cspf takes no {flag}: that is about BPF")


def answer(options: Options, cell: str, namespace: dict[str, Any]) -> CspfResult:
    """The passes in their order: packets, program, views that can be made."""
    __tracebackhide__ = True
    from bpfnb import cspf
    from bpfnb.jupyter.magics import take_packets
    from bpfnb.jupyter.values import fill, read_text

    batch = take_packets(options, namespace)
    if options.file and cell.strip():
        raise UsageError("-F gives the body; leave the cell's own empty")
    # The empty line stands for the magic's own, so that line numbers are the cell's.
    text = read_text(options.file) if options.file else fill(f"\n{cell}", namespace)
    program = cspf.assemble(text)
    if options.exercise:
        return with_exercise(options, program, batch)
    show = options.show or (("listing",) if batch is None else ("verdicts", "listing"))
    result = CspfResult(program, batch, show, options.trace)
    if "trace" in show:
        result.trace(options.trace)  # a packet that is not there fails the cell, not its display
    if "tree" in show:
        _ = result.tree
    return result


def with_exercise(options: Options, program: Program, batch: PacketBatch | None) -> CspfResult:
    """The result with its answer; the packet that shows it stands for those of -p.

    The program is held against the exercise as the BPF program that accepts the same.
    """
    from bpfnb.course.exercises import find
    from bpfnb.packets.packet import PacketBatch

    exercise = find(options.exercise, "cspf")
    answered, packet = lessons.examine(exercise, program.to_bpf())
    if packet is not None:
        shown = options.show or ("verdicts", "trace")
        return CspfResult(program, PacketBatch.of([packet]), shown, 1, answered)
    shown = options.show or (() if batch is None else ("verdicts",))
    return CspfResult(program, batch, shown, options.trace, answered)


@dataclass(frozen=True)
class CspfResult(View):
    """A stack program, and its run on packets if there were any; `show` names the views.

    `answered` is what was found of it as an answer to an exercise.
    """

    program: Program
    packets: PacketBatch | None = None
    show: tuple[str, ...] = ("listing",)
    number: int = field(default=1)
    answered: Answered | None = None

    def __repr__(self) -> str:
        said = f", {self.verdicts.answer()}" if self.packets is not None else ""
        return f"<CspfResult: {len(self.program)} instructions{said}>"

    @property
    def batch(self) -> PacketBatch:
        """The packets, or a sentence that there were none."""
        if self.packets is None:
            raise BpfError("there were no packets", "give some with -p")
        return self.packets

    @cached_property
    def runs(self) -> tuple[CspfTrace, ...]:
        """A run a packet, step by step."""
        from bpfnb.cbpf.cspf import trace

        return tuple(trace(self.program, each.data) for each in self.batch)

    @property
    def accepted(self) -> Any:
        """The accepted packets, in the type given."""
        import numpy as np

        return self.batch.select(np.array([run.accepted for run in self.runs], dtype=bool))

    @cached_property
    def listing(self) -> CspfListing:
        """The listing, with hit counts where it ran."""
        from bpfnb.views.cspf import CspfListing

        if self.packets is None:
            return CspfListing(self.program)
        hits = [0] * len(self.program)
        for run in self.runs:
            for step in run.steps:
                hits[step.pc] += 1
        return CspfListing(self.program, tuple(hits), len(self.batch))

    @cached_property
    def verdicts(self) -> CspfVerdicts:
        """Which packets were accepted, and what each run cost."""
        from bpfnb.views.cspf_runs import CspfVerdict, CspfVerdicts

        batch = self.batch
        rows = tuple(
            CspfVerdict.of(at + 1, batch.summary(at), run)
            for at, run in enumerate(self.runs[: style.MOST])
        )
        return CspfVerdicts(rows, len(batch), sum(run.accepted for run in self.runs))

    def trace(self, number: int = 1) -> CspfSteps:
        """The run on packet `number`, counted from 1."""
        from bpfnb.views.cspf_runs import CspfSteps

        batch = self.batch
        if not 1 <= number <= len(batch):
            have = style.plural(len(batch), "packet")
            raise BpfError(f"there is no packet {number} in {have}; they are counted from 1")
        return CspfSteps(self.runs[number - 1], f"packet {number}, {batch.summary(number - 1)}")

    @cached_property
    def tree(self) -> StackTree:
        """The expression that the stack calculates; BpfError where it cannot be read."""
        return self.program.tree()

    def part(self, name: str) -> View:
        """One view by its name."""
        if name == "trace":
            return self.trace(self.number)
        if name not in VIEWS:
            raise BpfError(f"there is no view {brief(name)!r}", f"there are {', '.join(VIEWS)}")
        view: View = getattr(self, name)
        return view

    @cached_property
    def page(self) -> Page:
        """The views asked for."""
        answered = () if self.answered is None else (self.answered,)
        return Page((*answered, *(self.part(name) for name in self.show)))

    def text(self) -> str:
        """The page's text."""
        return self.page.text()

    def html(self) -> str:
        """The page's HTML."""
        return self.page.html()
