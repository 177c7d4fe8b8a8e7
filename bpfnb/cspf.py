"""The stack machine before BPF, as users hold it: `from bpfnb import cspf`.

    program = cspf.assemble("PUSHWORD+6  PUSHLIT|EQ ETHERTYPE_IP")
    program.run(packet), program.filter(packets), program.trace(packet), program.tree()
    cspf.from_tree(bpf.compile_filter("icmp"))     # a BPF program's tree, for the stack machine
    cspf.models(bpf.compile_filter("icmp"), pkts)  # tree and graph, and what each costs

Left out: any work of its own.  The machine is `cbpf.cspf`, its text `cbpf.cspf_text`; trees
become programs in `analysis.trees.stack_code` and `analysis.trees.jump_code`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from bpfnb import face
from bpfnb.cbpf import cspf, cspf_text, program
from bpfnb.errors import BpfError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.analysis.tree import Tree
    from bpfnb.analysis.trees.boolean import Formula
    from bpfnb.packets.packet import Packet
    from bpfnb.views.cspf import CspfListing
    from bpfnb.views.cspf_runs import CspfSteps
    from bpfnb.views.cspf_tree import Models, StackTree
    from bpfnb.views.tree import FilterTree

    Treelike = program.Program | FilterTree | Tree | Formula

__all__ = ["Program", "Trace", "assemble", "from_tree", "models", "to_bpf"]


@dataclass(frozen=True)
class Trace(cspf.CspfTrace):
    """A run on `packet`: `steps`, `accepted`; shown as a table of what the stack held."""

    title: str = field(repr=False, default="")

    def table(self) -> CspfSteps:
        """A line a step."""
        from bpfnb.views.cspf_runs import CspfSteps

        return CspfSteps(self, self.title)

    def __str__(self) -> str:
        return str(self.table())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


@dataclass(frozen=True)
class Program(cspf.CspfProgram):
    """A program for the stack machine; `insns` are its instructions, `words` its encoding.

    Packets are what they are for a BPF program: bytes, scapy's, a list, a capture.
    """

    @classmethod
    def of(cls, plain: cspf.CspfProgram) -> Self:
        """Give a plain program this face."""
        return cls(plain.insns)

    def __repr__(self) -> str:
        count = f"{len(self)} instruction{'' if len(self) == 1 else 's'}"
        return f"<CSPF program: {count} in {len(self.words)} words>"

    def __str__(self) -> str:
        return self.text()

    def text(self, dialect: str = "names") -> str:
        """The program as text: names, c or decimal."""
        return cspf_text.text(self, dialect)

    def packet(self, packet: Any) -> Packet:
        """One packet of any accepted kind."""
        from bpfnb.packets.source import packets

        batch = packets(packet)
        if len(batch) != 1:
            raise BpfError(f"one packet is wanted here, not {len(batch)}", "use run_many or filter")
        return batch[0]

    def run(self, packet: Any) -> bool:
        """Whether it accepts one packet."""
        return super().run(self.packet(packet).data)

    def run_many(self, packets: Any) -> npt.NDArray[np.bool_]:
        """Whether it accepts each of many packets: a numpy array of bool."""
        import numpy as np

        from bpfnb.packets import source

        batch = source.packets(packets)
        found = (cspf.trace(self, each.data).accepted for each in batch)
        return np.fromiter(found, np.bool_, len(batch))

    def filter(self, packets: Any) -> Any:
        """The accepted packets, in the type given."""
        from bpfnb.packets import source

        batch = source.packets(packets)
        return batch.select(self.run_many(batch))

    def trace(self, packet: Any) -> Trace:
        """Every step of a run on one packet."""
        plain = cspf.trace(self, self.packet(packet).data)
        return Trace(**{each.name: getattr(plain, each.name) for each in fields(plain)})

    def listing(self) -> CspfListing:
        """The listing as a view, with the stack's depth behind each instruction."""
        from bpfnb.views.cspf import CspfListing

        return CspfListing(self)

    def tree(self) -> StackTree:
        """The expression that the stack calculates; BpfError where it cannot be read."""
        from bpfnb.views.cspf_tree import StackTree

        return StackTree.of(self)

    def to_bpf(self) -> face.Program:
        """A BPF program that accepts exactly what this one accepts."""
        from bpfnb.analysis.trees.stack_tree import formula

        return to_bpf(formula(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def assemble(text: str) -> Program:
    """Read a program: names as in PUSHLIT|EQ 0x800, C with ENF_ names, or its words as numbers.

    Raises AssemblyError with every mistake in the text.

    >>> assemble("PUSHWORD+6, PUSHLIT|EQ, 0x800").run(bytes(12) + bytes([8, 0]))
    True
    """
    return Program.of(cspf_text.assemble(text))


def from_tree(what: Treelike, short_circuit: bool = False) -> Program:
    """A stack program for a tree, or for a BPF program's tree.

    It accepts the same packets, as long as they have every word that it names; with
    `short_circuit` it uses CAND, COR and their like where they fit.  Raises BpfError for what
    CSPF cannot say.

    >>> from bpfnb.face import compile_filter
    >>> print(from_tree(compile_filter("arp")))
    PUSHWORD+6
    PUSHLIT|EQ 0x0806
    """
    from bpfnb.analysis.trees.stack_code import stack_code

    return Program.of(stack_code(formula_of(what), short_circuit))


def to_bpf(what: Treelike) -> face.Program:
    """A BPF program for a tree: jumps that stop when they know; it accepts all or nothing.

    It accepts the same packets, short ones too.

    >>> from bpfnb.face import compile_filter
    >>> foo = compile_filter("host 192.0.2.1")
    >>> foo.tree().tree.tests, len(foo), len(to_bpf(foo))
    (7, 14, 14)
    """
    from bpfnb.analysis.trees.jump_code import jump_code

    return face.Program.of(jump_code(formula_of(what)))


def formula_of(what: Treelike) -> Formula:
    """The formula of a tree, or of a program."""
    from bpfnb.analysis.tree import Tree, tree
    from bpfnb.views.tree import FilterTree

    if isinstance(what, program.Program):
        return tree(what).root
    if isinstance(what, FilterTree):
        return what.tree.root
    return what.root if isinstance(what, Tree) else what


def models(program: program.Program, packets: Any = None) -> Models:
    """A filter as tree and as graph, beside each other; with packets, what each model costs."""
    from bpfnb.packets import source
    from bpfnb.views.cfg import Graph
    from bpfnb.views.cspf_tree import Models
    from bpfnb.views.tree import FilterTree

    batch = None if packets is None else source.packets(packets, linktype=program.linktype)
    lacking = ""
    try:
        from_tree(program), from_tree(program, True)
    except BpfError as error:
        lacking = error.message
    tree = FilterTree.of(program, None, None if batch is None else batch.linktype)
    return Models.of(tree, Graph(program), lambda short: from_tree(program, short), batch, lacking)
