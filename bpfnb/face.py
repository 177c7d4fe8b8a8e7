"""The Program and Trace that users hold: cbpf's plain ones with everything one can do.

The functions below take a text as well where a program is wanted: assembly or a pasted
listing is assembled, anything else is an expression, for libpcap to compile.

Lower floors pass the plain ones on; these add run, trace, text, check and
pictures, which live on floors that the plain ones must not know.  It is the
only place where that knot is tied.  Left out: any work of its own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bpfnb.cbpf import asm, checker, disasm, machine, program, trace
from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.cbpf.cfg import Cfg, graph
from bpfnb.cbpf.checker import UnsafeRead
from bpfnb.errors import AssemblyError, BpfError, Fault, LinktypeError, Problem, brief
from bpfnb.packets.linktype import by_name, by_number, refuse_other_linktype

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.analysis.sameness import Same
    from bpfnb.packets.packet import Packet
    from bpfnb.views.cfg import Graph
    from bpfnb.views.code import PythonCode
    from bpfnb.views.conformance import Conformance
    from bpfnb.views.debugger import Debugger
    from bpfnb.views.difference import Difference
    from bpfnb.views.lint import Lint
    from bpfnb.views.listing import Listing
    from bpfnb.views.made import CoveringPackets, MadePacket
    from bpfnb.views.native import NativeCode
    from bpfnb.views.optimizer import Optimizer
    from bpfnb.views.packet import PacketBytes
    from bpfnb.views.proof import Counterexample, Proof
    from bpfnb.views.stepper import Stepper
    from bpfnb.views.trace import TraceLog, TraceTable
    from bpfnb.views.tree import FilterTree
    from bpfnb.views.why import Explanation, Why

__all__ = [
    "Program",
    "Trace",
    "assemble",
    "compile_filter",
    "conformance",
    "covering_packets",
    "debug",
    "diff",
    "equivalent",
    "explain",
    "lint",
    "optimizer",
    "synthesize",
    "why",
]

UNCHECKED_BUDGET = 100_000  # steps an unchecked program may take on one packet
ETHERNET = "EN10MB"  # what an expression is compiled for when nothing says another


@dataclass(frozen=True)
class Trace(trace.Trace):
    """Every step of a run on `packet`; shown as a table of what each one did.

    `steps` has one Step an instruction executed, `path` their pcs, `ret` the
    verdict.
    """

    packet: Packet = field(repr=False, kw_only=True)

    def table(self) -> TraceTable:
        """A line a step: what ran, what it read, what it changed."""
        from bpfnb.views.trace import TraceTable

        return TraceTable(self)

    def bytes(self) -> PacketBytes:
        """The packet byte by byte: its fields, and what the program read of it."""
        from bpfnb.views.packet import PacketBytes

        return PacketBytes.of(self, self.packet)

    def why(self) -> Why:
        """Why the packet got its verdict: a sentence, and its parts."""
        from bpfnb.analysis import why
        from bpfnb.views.why import Why

        return Why.of(why.why(self, self.packet.linktype))

    def log(self) -> TraceLog:
        """All registers before each step, as bpf_dbg's users expect it."""
        from bpfnb.views.trace import TraceLog

        return TraceLog(self)

    def stepper(self) -> Stepper:
        """The run to step through, forwards and back, in a notebook."""
        from bpfnb.views.stepper import Stepper

        return Stepper([self])

    def save(self, path: str | Path) -> Path:
        """Save the table as .txt or .html."""
        return self.table().save(path)

    def __str__(self) -> str:
        return str(self.table())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


class Program(program.Program):
    """A classic BPF program: text, verdicts, traces and pictures of it.

    Made by `assemble`, `compile_filter`, `Program.from_insns` and
    `Program.from_bytes`.  Two are equal when their instructions are.
    """

    @classmethod
    def of(cls, plain: program.Program) -> Self:
        """Give a plain program this face."""
        return cls(**{each.name: getattr(plain, each.name) for each in fields(plain)})

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        count = f"{len(self)} instruction{'' if len(self) == 1 else 's'}"
        return f"<Program: {count}{f', {brief(self.origin)}' if self.origin else ''}>"

    def text(self, dialect: str = "tcpdump") -> str:
        """The program in a dialect: tcpdump, asm, c, decimal, xt_bpf or paper."""
        return disasm.text(self, dialect)

    def check(self, rules: str = "linux") -> tuple[Fault, ...]:
        """All rules that the program breaks: the kernel's verdict, () when legal."""
        return checker.check(self, rules)

    def unsafe_reads(self) -> tuple[UnsafeRead, ...]:
        """Reads of M[] that some path reaches unwritten, whatever the kernel says."""
        return checker.unsafe_reads(self)

    def cfg(self) -> Cfg:
        """The control flow graph."""
        return graph(self)

    def packet(
        self, packet: Any, wirelen: int | None = None, ancillary: Ancillary | None = None
    ) -> Packet:
        """One packet of any accepted kind, with `wirelen` and `ancillary` put in."""
        from bpfnb.packets.source import packets

        batch = packets(packet, linktype=self.linktype)
        if len(batch) != 1:
            raise BpfError(f"one packet is wanted here, not {len(batch)}", "use run_many or filter")
        self.require_linktype(batch.linktype)
        return batch[0].noted(wirelen=wirelen, ancillary=ancillary)

    def require_linktype(self, linktype: int | None) -> None:
        """Refuse packets of another link type than the program is made for."""
        refuse_other_linktype(self.linktype, linktype)

    def run(
        self,
        packet: Any,
        wirelen: int | None = None,
        ancillary: Ancillary | None = None,
        backend: str = "interp",
        check: bool = True,
    ) -> int:
        """Run on one packet, bytes or scapy: ret, 0 <= ret < 2**32; 0 rejects.

        Raises CheckError when the program is not legal, unless `check` is False:
        then it runs on interp, with a bound on its steps.
        """
        one = self.packet(packet, wirelen, ancillary)
        if check:
            checker.require(self)
        if backend != "interp":
            return int(self.run_many([one], backend, check)[0])
        budget = None if check else UNCHECKED_BUDGET
        return machine.run(self, one.data, one.wirelen, one.ancillary, budget)

    def run_many(
        self, packets: Any, backend: str = "auto", check: bool = True, jobs: int = 1
    ) -> npt.NDArray[np.uint32]:
        """Run on many packets: a numpy array of uint32, one ret a packet.

        "auto" takes the quickest backend for so many.  `jobs` threads share the
        work on native; the others hold Python's lock and take one.  Warns of a capture
        that is damaged behind its last packet.
        """
        from bpfnb import backends
        from bpfnb.packets import source

        batch = source.packets(packets, linktype=self.linktype)
        batch.require_linktype(self.linktype)
        if check:
            checker.require(self)
        if batch.error is not None:
            said = f"only the packets before that were used: {batch.error.message}"
            warnings.warn(said, stacklevel=2)
        return backends.run_many(self, batch, backend, None if check else UNCHECKED_BUDGET, jobs)

    def filter(self, packets: Any, backend: str = "auto", check: bool = True, jobs: int = 1) -> Any:
        """The accepted packets, in the type given; the rest as in `run_many`."""
        from bpfnb.packets import source

        batch = source.packets(packets, linktype=self.linktype)
        return batch.select(self.run_many(batch, backend, check, jobs) != 0)

    def trace(
        self,
        packet: Any,
        wirelen: int | None = None,
        ancillary: Ancillary | None = None,
        check: bool = True,
    ) -> Trace:
        """Every step of a run on one packet."""
        one = self.packet(packet, wirelen, ancillary)
        if check:
            checker.require(self)
        budget = None if check else UNCHECKED_BUDGET
        plain = trace.trace(self, one.data, one.wirelen, one.ancillary, budget)
        parts = {each.name: getattr(plain, each.name) for each in fields(plain)}
        return Trace(**parts, packet=one)

    def debug(self, packets: Any, check: bool = True) -> Debugger:
        """Step through runs on packets, forwards and back; break, watch, log: bpf_dbg's commands.

        Raises CheckError when the program is not legal, unless `check` is False.
        """
        from bpfnb.views.debugger import Debugger

        return Debugger(self, packets, check)

    def why(
        self,
        packet: Any,
        wirelen: int | None = None,
        ancillary: Ancillary | None = None,
        check: bool = True,
    ) -> Why:
        """Why one packet gets its verdict: a sentence, the field that decided, what was wanted."""
        return self.trace(packet, wirelen, ancillary, check).why()

    def explain(self) -> Explanation:
        """The program in words, with the names of fields where its tests fix the protocol."""
        from bpfnb.analysis import explain
        from bpfnb.views.why import Explanation

        return Explanation.of(explain.explain(self))

    def lint(self, rules: str = "linux", seconds: float = 10) -> Lint:
        """What is odd about the program, as `lint`."""
        return lint(self, rules, seconds=seconds)

    def listing(self) -> Listing:
        """The listing as a view, with fields' names and what the checker says of each line."""
        from bpfnb.analysis.naming.meanings import footnote, meanings
        from bpfnb.views.listing import Listing

        names = meanings(self)
        return Listing(
            self,
            faults=self.check(),
            warnings=self.unsafe_reads(),
            notes=names,
            footnote=footnote(self, None, names),
        )

    def graph(self, dominators: bool = False) -> Graph:
        """The control flow graph as a picture.

        With `dominators` it says of each block which tests every packet that comes there
        has passed.
        """
        from bpfnb.views.cfg import Graph
        from bpfnb.views.dominators import Dominators

        return Dominators(self) if dominators else Graph(self)

    def tree(self) -> FilterTree:
        """The filter as a tree of And, Or and Not over its tests, and what that costs.

        Raises BpfError where there is none that could be read.
        """
        from bpfnb.views.tree import FilterTree

        return FilterTree.of(self)

    def native(self) -> NativeCode:
        """LLVM's text and this processor's code beside the listing; needs llvmlite."""
        from bpfnb.views.native import NativeCode

        return NativeCode(self)

    def pygen(self) -> PythonCode:
        """The Python function that the backend pygen runs in the program's place."""
        from bpfnb.views.code import PythonCode

        return PythonCode(self)

    def save(self, path: str | Path) -> Path:
        """Save the listing as .txt or .html, the graph as .svg."""
        view = self.graph() if str(path).endswith(".svg") else self.listing()
        return view.save(path)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self.listing()))

    def _repr_html_(self) -> str:
        return self.listing()._repr_html_()


def assemble(text: str, dialect: str | None = None, linktype: str | int | None = None) -> Program:
    """Read a program in any dialect; AssemblyError names every mistake.

    >>> print(assemble("ret #0"))
    (000) ret      #0
    """
    if not isinstance(text, str):
        raise BpfError(
            f"a program's text is wanted, not {kind_of(text)}",
            "numbers and bytes are taken by Program.from_insns and Program.from_bytes",
        )
    number = by_name(linktype).number if isinstance(linktype, str) else linktype
    try:
        return Program.of(asm.assemble(text, dialect, number))
    except AssemblyError as error:
        if dialect is None and is_expression(text):
            raise AssemblyError((meant_for_libpcap(error.problems[0], text),)) from None
        raise


def is_expression(text: str) -> bool:
    """Whether a line that is no program is what libpcap compiles."""
    line = text.strip()
    if not line or "\n" in line or asm.looks_assembled(line):
        return False
    try:
        compile_filter(line, optimize=False)
    except BpfError:
        return False
    return True


def meant_for_libpcap(problem: Problem, text: str) -> Problem:
    """The problem of a text that is an expression."""
    line = text.strip()
    cure = f"%bpf {line} compiles it, and in Python compile_filter({line!r})"
    message = "this is a filter expression, no program"
    return replace(problem, length=len(line), message=message, rule="", hint=cure)


def kind_of(value: Any) -> str:
    """What a value is, with its article.

    >>> kind_of(3), kind_of(b"")
    ('an int', 'a bytes')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def compile_filter(
    expression: str,
    linktype: str | int = "EN10MB",
    snaplen: int = 262144,
    optimize: bool = True,
    netmask: str | int | None = None,
    library: str | None = None,
) -> Program:
    """Compile a pcap-filter(7) expression by libpcap.

    `snaplen` is what an accepting ret returns.  `library` is "carried" (with
    the libpcap package, the default), "system" or a path.  Raises
    ExpressionError with libpcap's own words.
    """
    from bpfnb import pcap

    return Program.of(
        pcap.compile_filter(expression, linktype, snaplen, optimize, netmask, library)
    )


def program_of(given: program.Program | str, linktype: int | None = None) -> program.Program:
    """A program as it is given, or what a text says: assembly, a listing, or an expression.

    An expression is compiled for `linktype`, else for Ethernet.

    >>> program_of("ret #0"), program_of("arp")
    (<Program: 1 instruction, assembly>, <Program: 4 instructions, arp>)
    """
    if isinstance(given, str):
        if asm.looks_assembled(given):
            return assemble(given)
        return compile_filter(given, ETHERNET if linktype is None else linktype)
    if isinstance(given, program.Program):
        return given
    inside = isinstance(getattr(given, "program", None), program.Program)
    raise BpfError(
        f"a program is wanted here, not {kind_of(given)}",
        "its attribute .program is one"
        if inside
        else "give what compile_filter or assemble return, or their text",
    )


def programs_of(*given: program.Program | str | None) -> list[program.Program]:
    """Several programs about the same packets; None is left out.

    An expression is compiled for the link type that another one has.  Raises LinktypeError
    for programs of two link types.
    """
    plain = [each for each in given if isinstance(each, program.Program)]
    known = {each.linktype for each in plain if each.linktype is not None}
    if len(known) > 1:
        one, other = (by_number(number).name for number in sorted(known)[:2])
        raise LinktypeError(
            f"these programs are made for different packets: {one} and {other}",
            "compile them for one link type: linktype=…",
        )
    shared = next(iter(known), None)
    return [program_of(each, shared) for each in given if each is not None]


def optimizer(
    expression: str,
    packets: Any = None,
    linktype: str | int = "EN10MB",
    snaplen: int = 262144,
    netmask: str | int | None = None,
    library: str | None = None,
) -> Optimizer:
    """Compare what libpcap makes of an expression without and with its optimiser.

    `before` and `after` are the programs; with packets, `measured` says how many
    instructions ran on them, and whether the verdicts are the same.

    >>> optimizer("ip or arp").headline()
    '6 instructions became 5; longest way 5 → 4'
    """
    from bpfnb.packets import source
    from bpfnb.views.optimizer import Measured, Optimizer

    before, after = (
        compile_filter(expression, linktype, snaplen, optimize, netmask, library)
        for optimize in (False, True)
    )
    if packets is None:
        return Optimizer(before, after, expression)
    batch = source.packets(packets, linktype=after.linktype)
    after.require_linktype(batch.linktype)
    return Optimizer(before, after, expression, Measured.of(before, after, batch))


def why(program: program.Program | str, packet: Any) -> Why:
    """Why a packet gets its verdict from a program, or from a text that is one.

    Shown as a sentence and the tests that ran.  Its parts: `sentence`, `accepted`,
    `ended` and `decided` (pcs), `field`, `found`, `wanted`, `missed`, `tests`.

    >>> why(compile_filter("arp"), bytes(12) + bytes([8, 0])).sentence
    'rejected: (001) Ether.type is 0x0800 (IPv4), 0x0806 (ARP) was wanted'
    """
    plain, packet = with_packets(program, packet)
    return Program.of(plain).why(packet)


def debug(program: program.Program | str, packets: Any, check: bool = True) -> Debugger:
    """Step through a program's runs on packets, as `Program.debug`; a text may be a program.

    >>> debug("arp", bytes(12) + bytes([8, 0])).run().reason
    'ran 1 packet: 0 accepted, 1 rejected'
    """
    plain, packets = with_packets(program, packets)
    return Program.of(plain).debug(packets, check)


def with_packets(given: program.Program | str, packets: Any) -> tuple[program.Program, Any]:
    """A program, and packets to run it on; an expression is compiled for their link type."""
    if not isinstance(given, str):
        return program_of(given), packets
    from bpfnb.packets import source

    batch = source.packets(packets)
    return program_of(given, batch.linktype), batch


def explain(program: program.Program | str) -> Explanation:
    """A program, or a text that is one, in words: loads, what each test wants, what is accepted.

    A load has its field's name where the tests before it have fixed the protocol
    on all ways; elsewhere its bytes are told.

    >>> explain(compile_filter("arp")).lines[0].field
    'Ether.type'
    """
    return Program.of(program_of(program)).explain()


def equivalent(
    p: program.Program | str,
    q: program.Program | str,
    max_len: int = 262144,
    same: Same = "ret",
    given: program.Program | str | None = None,
    complete: bool = False,
    rules: str = "linux",
    seconds: float = 10,
    like: Any = None,
    short: bool = False,
) -> Proof | Counterexample:
    """Decide whether two programs mean the same on every packet of up to `max_len` bytes.

    Each is a Program, or a text: an expression, assembly, a listing.  A Proof is true; a
    Counterexample is false and has the `packet`, both `rets` and `traces`.  `same` is "ret",
    "kept" where the number of bytes kept matters, or "verdict" where only accepting does.
    `given`, a program too, says which packets matter; `complete` leaves out those on
    which either program ends in a load past the end.  A counterexample is as near to the
    packet `like` as can be, else a sensible one, or if `short` the shortest.  Raises
    UndecidedError when `seconds` are over, UnavailableError without z3.

    >>> bool(equivalent("ip or arp", "arp or ip"))
    True
    """
    from bpfnb.analysis import equivalence
    from bpfnb.views.proof import Counterexample, Proof

    first, second, *matter = programs_of(p, q, given)
    accepted = matter[0] if matter else None
    question = equivalence.Question(first, second, same, accepted, complete, max_len, rules)
    wished = b"" if like is None else Program.of(first).packet(like).data
    answer = equivalence.equivalent(question, seconds, wished, short)
    if isinstance(answer, equivalence.Proof):
        return Proof.of(answer)
    return Counterexample.of(answer)


def synthesize(
    program: program.Program | str,
    accept: bool | None = None,
    ret: int | None = None,
    reaches: int | str | None = None,
    like: Any = None,
    layers: Any = None,
    max_len: int = 262144,
    rules: str = "linux",
    seconds: float = 10,
) -> MadePacket:
    """Make a packet that a program, or a text that is one, accepts, or prove that there is none.

    Instead it may be rejected (`accept=False`), get a `ret`, or come to a pc or label that
    it `reaches`.  It is the shortest there is, or, with `like`, the nearest to a packet of
    any kind, or, with `layers` ("IP/TCP", or scapy's), a whole one.  True where there is
    one: `packet`, `data`, `trace`; its `sentence` says all.  Raises UndecidedError when
    `seconds` are over, UnavailableError without z3.

    >>> synthesize("arp").data.hex()
    '00005e00530200005e0053010806'
    """
    from bpfnb.analysis import synthesis
    from bpfnb.views.made import MadePacket

    plain = program_of(program)
    made = synthesis.synthesize(plain, accept, ret, reaches, like, layers, max_len, rules, seconds)
    return MadePacket.of(made)


def covering_packets(
    program: program.Program | str, max_len: int = 262144, seconds: float = 10
) -> CoveringPackets:
    """Packets that together take every branch of a program, or of a text that is one.

    A test set by construction: a sequence of packets, to run, to filter, to give to `-p`;
    shown as a table of what each one takes.  `untaken` are branches that no packet of up to
    `max_len` bytes takes, proved; `undecided` those for which `seconds` were too few.
    UnavailableError without z3.

    >>> [len(packet) for packet in covering_packets("arp")]
    [54, 42, 0]
    """
    from bpfnb.analysis import covering
    from bpfnb.views.made import CoveringPackets

    return CoveringPackets.of(covering.covering_packets(program_of(program), max_len, seconds))


def lint(
    program: program.Program | str,
    rules: str = "linux",
    max_len: int = 262144,
    seconds: float = 10,
) -> Lint:
    """What is odd about a program, or a text that is one: `remarks`, proved, each with a cure.

    Tests that can only go one way, code that no packet comes to, loads that repeat, values
    that nothing uses, a filter that rejects or accepts everything, and why, in field names.
    What is not decided in `seconds` is left out, and the report says so; without z3 it has
    what the graph alone shows.  Raises CheckError for a program that the rules refuse.

    >>> lint(compile_filter("ip and ip6", optimize=False)).remarks[0].message
    'rejects every packet: Ether.type cannot be both 0x0800 (IPv4) and 0x86dd (IPv6)'
    """
    from bpfnb.analysis.lint import lint as find
    from bpfnb.views.lint import Lint

    plain = program_of(program)
    return Lint.of(find(plain, plain.linktype, rules, seconds, max_len))


def diff(
    p: program.Program | str,
    q: program.Program | str,
    max_len: int = 262144,
    same: Same = "ret",
    rules: str = "linux",
    seconds: float = 10,
) -> Difference:
    """Two programs side by side: `rows`, where they part, and a packet that shows it.

    Each is a Program, or a text: an expression, assembly, a listing.
    `answer` is what `equivalent` gives, `differs` whether a packet tells them apart: None
    where that is not decided in `seconds`, and `undecided` says so.

    >>> [row.sign for row in diff("ip", "arp").rows]
    ['=', '≠', '=', '=']
    """
    from bpfnb.analysis.difference import difference
    from bpfnb.analysis.equivalence import Question
    from bpfnb.views.difference import Difference

    first, second = programs_of(p, q)
    question = Question(first, second, same, max_len=max_len, rules=rules)
    return Difference.of(difference(question, seconds))


def conformance() -> Conformance:
    """Ask every machine here the same questions: where classic BPF is not one language.

    Ours, the running kernel's and each libpcap that can be loaded, live, in processes
    of their own; it takes a few seconds.  Shown as a table; `rows`, `differences`,
    `names` and `missing` are its data.
    """
    from bpfnb.backends.conformance import conform
    from bpfnb.views.conformance import Conformance

    return Conformance(conform())
