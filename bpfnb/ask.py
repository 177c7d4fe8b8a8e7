"""Questions about programs: what the package answers beside running and drawing them.

    why, explain, debug, tree                 one program, and packets
    equivalent, diff, optimizer               two programs
    synthesize, covering_packets, lint        one program, and every packet there can be
    conformance                               the machines

Wherever a program is wanted a text will do: assembly or a pasted listing is assembled,
anything else is an expression, for libpcap to compile.
Left out: any work of its own, as in `face`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpfnb.cbpf import asm, program
from bpfnb.errors import BpfError, LinktypeError
from bpfnb.face import Program, assemble, compile_filter, kind_of
from bpfnb.packets.linktype import by_number

if TYPE_CHECKING:
    from bpfnb.analysis.sameness import Same
    from bpfnb.views.conformance import Conformance
    from bpfnb.views.debugger import Debugger
    from bpfnb.views.difference import Difference
    from bpfnb.views.lint import Lint
    from bpfnb.views.made import CoveringPackets, MadePacket
    from bpfnb.views.optimizer import Optimizer
    from bpfnb.views.proof import Counterexample, Proof
    from bpfnb.views.tree import FilterTree
    from bpfnb.views.why import Explanation, Why

__all__ = [
    "conformance",
    "covering_packets",
    "debug",
    "diff",
    "equivalent",
    "explain",
    "lint",
    "optimizer",
    "synthesize",
    "tree",
    "why",
]

ETHERNET = "EN10MB"  # what an expression is compiled for when nothing says another


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


def tree(program: program.Program | str) -> FilterTree:
    """A filter as AND, OR and NOT over its tests, beside what its graph takes for the same.

    Raises BpfError for a program that has no such form: one with a way back, or too large.

    >>> tree("ip or arp").text().partition(",")[0]
    'the tree: 2 tests and 1 operation'
    """
    return Program.of(program_of(program)).tree()


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
