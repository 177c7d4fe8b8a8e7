"""The Program and Trace that users hold: cbpf's plain ones with everything one can do.

Lower floors pass the plain ones on; these add run, trace, text, check and
pictures, which live on floors that the plain ones must not know.  It is the
only place where that knot is tied.  Left out: any work of its own, and what is asked of
programs from outside (`ask`).
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
from bpfnb.errors import AssemblyError, BpfError, Fault, Problem, brief
from bpfnb.packets.linktype import by_name, refuse_other_linktype

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import Packet
    from bpfnb.views.cfg import Graph
    from bpfnb.views.code import PythonCode
    from bpfnb.views.debugger import Debugger
    from bpfnb.views.lint import Lint
    from bpfnb.views.listing import Listing
    from bpfnb.views.native import NativeCode
    from bpfnb.views.packet import PacketBytes
    from bpfnb.views.stepper import Stepper
    from bpfnb.views.trace import TraceLog, TraceTable
    from bpfnb.views.tree import FilterTree
    from bpfnb.views.why import Explanation, Why

__all__ = ["Program", "Trace", "assemble", "compile_filter", "kind_of"]

UNCHECKED_BUDGET = 100_000  # steps an unchecked program may take on one packet


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
        """What is odd about the program, each remark proved and with a cure."""
        from bpfnb.analysis.lint import lint
        from bpfnb.views.lint import Lint

        return Lint.of(lint(self, self.linktype, rules, seconds))

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
