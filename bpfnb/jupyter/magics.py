"""The magics %bpf and %%bpf: a line's options, named passes, one Result.

    %bpf [options] EXPRESSION        tcpdump's face
    %%bpf [options]                  a program in the cell's body, in any dialect

A wrong program raises a BpfError, which fails the cell and shows one message;
wrong options raise IPython's UsageError.  Line numbers in messages are the
cell's own: the magic's line is line 1.

Left out: everything that takes thought.  The grammar is `grammar`, the options
`options`, running `runs`, the views a floor below.  Nothing heavy is imported
before a magic runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from IPython.core.error import UsageError
from IPython.core.magic_arguments import magic_arguments

from bpfnb.errors import showable
from bpfnb.jupyter import completer, cspf_magic, lessons
from bpfnb.jupyter.grammar import parse
from bpfnb.jupyter.options import Options, declare

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from bpfnb.face import Program
    from bpfnb.jupyter.result import Result, Words
    from bpfnb.packets.packet import PacketBatch

__all__ = ["register"]

ETHERNET = "EN10MB"  # the link type of an expression when nothing says another
COOKED = "LINUX_SLL2"  # what `-i any` captures

STEPS = {"step", "trace", "log"}  # views of a run that need no verdict

HELP = """Compile a filter expression, or assemble a program; check it, run it, draw it.

    %bpf [options] EXPRESSION      an expression of pcap-filter(7)
    %%bpf [options]                a program in the cell's body, in any dialect

Examples
--------

::

    %bpf icmp                              what tcpdump -d icmp prints
    %bpf -dd -O tcp port 80                as rows of C, without the optimiser
    %bpf --cfg tcp[13] & 2 != 0            as a graph
    %bpf --show native icmp                beside LLVM's and the processor's code
    %bpf -p pkts icmp                      run on the packets in pkts
    %bpf -p [IP()/TCP(dport=p) for p in (80, 81)] tcp port 80
    %bpf -p wire.pcap --bytes arp          the first packet's bytes, and which of them are read
    %bpf -p wire.pcap --trace=2 arp        each step on the second packet
    %bpf -p wire.pcap --step arp           step through it, forwards and back
    %bpf -p wire.pcap --why=2 arp          why the second packet got its verdict
    %bpf --show explain icmp               the program in words
    %bpf -p pkts --show plots icmp         verdicts and instructions counted, as bar charts
    %bpf -p pkts --on interp,linux icmp    in the running kernel as well
    %bpf tcpdump -nn -r wire.pcap port 80  a pasted command line

    %%bpf -p pkts -o result
            ldh [12]
            jeq #ETHERTYPE_IP, yes, no     ; or a listing of tcpdump -d, -dd …
    yes:    ret #{{snaplen}}               ; {{…}} is a Python value
    no:     ret #0

Options come first and are not abbreviated; all that is left is the
expression, to the letter.  With packets the answer is a table of verdicts and
the listing with hit counts.  The object returned has .program, .rets,
.accepted, .traces, .verdicts, .listing, .graph, .native, .pygen, .answered,
.plots, .bytes(2), .trace(2) and .save("x.svg").
"""


def register(shell: InteractiveShell) -> None:
    """Add the magics and their completion to a shell; again is the same as once."""
    register_function: Any = shell.register_magic_function  # its annotations miss a self
    register_function(magic_of(shell), "line_cell", "bpf")
    cspf_magic.register(shell)
    lessons.register(shell)
    completer.register(shell)


def magic_of(shell: InteractiveShell) -> Callable[..., Any]:
    """The magic's function for a shell, with the help that `%bpf?` shows."""

    def bpf(line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        __tracebackhide__ = True  # an exception in the user's own Python shows the user's frames
        namespace = {**shell.user_ns, **(local_ns or {})}
        try:
            options, expression = parse(line)
        except UsageError as error:  # it quotes the line, which may be pasted from anywhere
            raise UsageError(showable(str(error))) from None
        if options.version:
            return versions(options)
        result = answer(options, Source(expression, cell, namespace))
        keep(shell, options, result)
        return None if options.quiet else result

    bpf.__doc__ = HELP
    bpf.needs_local_scope = True  # type: ignore[attr-defined]  # what needs_local_scope does
    documented: Any = magic_arguments()
    return cast("Callable[..., Any]", documented(declare(bpf)))


@dataclass(frozen=True)
class Source:
    """Where a program comes from: the line's expression, or the cell's body.

    `cell` is None for %bpf; `namespace` has the user's variables.
    """

    expression: str
    cell: str | None
    namespace: dict[str, Any]


def answer(options: Options, source: Source) -> Result:
    """The passes in their order: packets, program, check; exercise; with packets run and time."""
    __tracebackhide__ = True
    from bpfnb.cbpf import checker
    from bpfnb.jupyter.result import Result

    options = for_exercise(options)
    batch = take_packets(options, source.namespace)
    program, from_body = make_program(options, source, batch)
    compares = "optimizer" in options.show and not from_body
    result = Result(
        program,
        checker.check(program, options.rules),
        show=options.show or (("listing",) if batch is None else ("verdicts", "listing")),
        numbers={
            "bytes": options.bytes,
            "trace": options.trace,
            "log": options.trace,
            "step": options.step,
            "why": options.why,
        },
        rules=options.rules,
        assembled=from_body,
        both=both(options, program, batch) if compares else None,
        notes=notes(options, source),
    )
    if options.exercise:
        result, batch = with_exercise(options, result, batch)
    return result if batch is None else with_run(options, result, batch)


def for_exercise(options: Options) -> Options:
    """The options with the exercise's link type."""
    if not options.exercise:
        return options
    from bpfnb.course.exercises import find

    exercise = find(options.exercise, "bpf")
    if options.linktype not in ("", exercise.linktype):
        raise UsageError(f"{exercise.id} is about {exercise.linktype}: leave out -y")
    return replace(options, linktype=exercise.linktype)


def with_exercise(
    options: Options, result: Result, batch: PacketBatch | None
) -> tuple[Result, PacketBatch | None]:
    """The result with its answer; the packet that shows it stands for those of -p."""
    from bpfnb.course.exercises import find
    from bpfnb.packets.packet import PacketBatch

    exercise = find(options.exercise)
    answered, packet = lessons.examine(
        exercise, result.program, () if batch is None else batch, result.assembled
    )
    result = replace(result, answered=answered)
    if packet is not None:
        show = options.show or ("step",)
        if exercise.reaches and batch is not None:
            numbers = dict.fromkeys(result.numbers, [*batch].index(packet) + 1)
            return replace(result, show=show, numbers=numbers), batch
        numbers = dict.fromkeys(result.numbers, 1)  # there is one packet now
        return replace(result, show=show, numbers=numbers), PacketBatch.of([packet])
    if result.faults:
        return replace(result, show=("listing",)), None
    return replace(result, show=options.show or (() if batch is None else ("verdicts",))), batch


def with_run(options: Options, result: Result, batch: PacketBatch) -> Result:
    """The result with its program run on a batch, if it may."""
    from bpfnb.errors import CheckError, RunError
    from bpfnb.face import UNCHECKED_BUDGET
    from bpfnb.jupyter.runs import run_all
    from bpfnb.jupyter.timing import measure

    program = result.program
    if result.faults and not options.unchecked:
        raise CheckError(result.faults, options.rules)
    if not options.any_linktype:
        require_linktype(program, batch)
    ends = options.rules == "linux" and not options.unchecked  # the check has shown that it does
    budget = None if ends else UNCHECKED_BUDGET
    result = replace(result, packets=batch, budget=budget)
    try:
        run = run_all(program, batch, options.on or ("interp",), budget)
    except RunError as error:
        if not STEPS & {*options.show} or {"verdicts", "plots"} & {*options.show}:
            raise
        return replace(require_packets(options, result), stopped=error.message)
    said = [missing(name, why) for name, why in run.missing.items()]
    if not run.compared:
        said.append("rand is another number each time: rets are not compared")
    timings = measure(program, batch, run.backends, budget) if options.time and len(batch) else None
    notes = (*result.notes, *said)
    return require_packets(options, replace(result, run=run, timings=timings, notes=notes))


def require_packets(options: Options, result: Result) -> Result:
    """The result; a packet that is not there fails the cell, not its display."""
    for name in set(result.numbers) & set(options.show):
        result.traced(result.numbers[name])
    return result


def missing(name: str, why: str) -> str:
    """A line for a backend that did not run; the reason may begin with its name."""
    return f"not run: {why}" if why.startswith(f"{name} ") else f"{name} did not run: {why}"


def take_packets(options: Options, namespace: dict[str, Any]) -> PacketBatch | None:
    """The packets of -p or -r; None when there are none."""
    __tracebackhide__ = True
    from bpfnb.jupyter.values import packets_value
    from bpfnb.packets.source import packets

    if options.read:
        return packets(Path(options.read).expanduser())
    if options.packets:
        return packets(packets_value(options.packets, namespace))
    return None


def require_linktype(program: Program, batch: PacketBatch) -> None:
    """Refuse packets of another link type, and say how to ask for it."""
    from bpfnb.errors import LinktypeError

    try:
        batch.require_linktype(program.linktype)
    except LinktypeError as error:
        error.hint += "; --any-linktype runs it all the same"
        raise


def make_program(
    options: Options, source: Source, batch: PacketBatch | None
) -> tuple[Program, bool]:
    """The program, and whether it was assembled and not compiled."""
    __tracebackhide__ = True
    from bpfnb.cbpf.asm import looks_assembled
    from bpfnb.jupyter.values import fill, read_text

    refuse_twice(options, source)
    text = read_text(options.file) if options.file else ""
    if text and (source.cell is not None or looks_assembled(text)):
        return assembled(options, text), True  # a file's {{…}} is not run: anyone may have sent it
    if source.cell is not None:
        # The empty line stands for the magic's own, so that line numbers are the cell's.
        return assembled(options, fill(f"\n{source.cell}", source.namespace)), True
    return compiled(options, source.expression or without_comments(text), batch), False


def refuse_twice(options: Options, source: Source) -> None:
    """One place gives the program: the line, the body or a file."""
    if source.cell is not None and source.expression:
        raise UsageError(
            f"%%bpf takes a program in its body, not {source.expression!r}; "
            "an expression stands behind %bpf, on one line"
        )
    if options.file and source.expression:
        raise UsageError(f"-F gives the expression; leave out {source.expression!r}")
    if options.file and source.cell is not None and source.cell.strip():
        raise UsageError("-F gives the body; leave the cell's own empty")


def compiled(options: Options, expression: str, batch: PacketBatch | None) -> Program:
    """Compile an expression for -y, else the packets' link type, else Ethernet."""
    from bpfnb.errors import ExpressionError
    from bpfnb.face import compile_filter
    from bpfnb.jupyter.slips import slip

    own = None if batch is None else batch.linktype
    linktype: str | int = COOKED if options.interface == "any" else ETHERNET
    if own is not None:
        linktype = own
    try:
        return compile_filter(
            expression,
            options.linktype or linktype,
            options.snaplen,
            options.optimize,
            options.netmask or 0,  # as tcpdump -d takes it
            options.libpcap or None,
        )
    except ExpressionError as error:
        error.hint = slip(options, expression) or error.hint
        raise


def both(options: Options, program: Program, batch: PacketBatch | None) -> tuple[Program, Program]:
    """A compiled expression's program without and with the optimiser."""
    other = compiled(replace(options, optimize=not options.optimize), program.origin, batch)
    return (other, program) if options.optimize else (program, other)


def assembled(options: Options, text: str) -> Program:
    """Assemble in the dialect and for the link type asked for."""
    from bpfnb.face import assemble

    return assemble(text, options.dialect or None, options.linktype or None)


def without_comments(text: str) -> str:
    """An expression from a file, as tcpdump reads it: `#` up to the line's end is a comment."""
    return " ".join(line.partition("#")[0].strip() for line in text.splitlines()).strip()


def notes(options: Options, source: Source) -> tuple[str, ...]:
    """What a reader must be told beside the views."""
    from bpfnb.errors import brief
    from bpfnb.jupyter.values import swallowed

    said = list(swallowed(f"\n{source.cell}")) if source.cell else []
    if options.ignored:
        ignored = ", ".join(map(brief, options.ignored))
        said.append(f"ignored, as nothing is captured or printed here: {ignored}")
    return tuple(said)


def keep(shell: InteractiveShell, options: Options, result: Result) -> None:
    """Put result and program into the variables asked for."""
    if options.out:
        shell.user_ns[options.out] = result
    if options.program:
        shell.user_ns[options.program] = result.program


def versions(options: Options) -> Words:
    """What compiles here."""
    from importlib.metadata import version

    from bpfnb.jupyter.result import Words
    from bpfnb.pcap import version as of_libpcap

    return Words(f"bpfnb {version('bpfnb')}\n{of_libpcap(options.libpcap or None)}")
