"""pygen's Python source is proved to do what the program does, on every packet.

All programs of tests/expressions, optimised and not, those of the case files, the samples'
filters, and random ones.  The formula of the source is `python_meaning`'s, which is held
here against really running it; and a source that is broken on purpose is found out.

Left out: programs that the checker refuses, which pygen never sees.
"""

from __future__ import annotations

import ast
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bpfnb import samples
from bpfnb.backends import pygen
from bpfnb.backends.pygen import source
from bpfnb.cbpf import machine
from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program
from bpfnb.errors import ExpressionError, UndecidedError
from bpfnb.pcap import compile_filter
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes
from tests.test_cases import RUN
from tests.test_expressions import CORPUS
from tests.test_pygen import deep, drawn, tangle

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.equivalence import LONGEST
from bpfnb.analysis.proving.any_packet import AnyPacket
from bpfnb.analysis.proving.formula import mean
from bpfnb.analysis.proving.solve import Found, Search
from bpfnb.analysis.proving.terms import truth
from tests.python_meaning import Outcome, differs, read
from tests.python_numbers import BITS, Unsupported
from tests.test_formula import concrete, notes, solvable

SECONDS = 60.0  # the most that a proof may take
EFFORT = 1.0  # the same for a random program, of which few are filters


def told_apart(program: Program, text: str, seconds: float = SECONDS) -> Found | None:
    """The shortest packet on which a source does not do what the program does; None: proved."""
    about = AnyPacket(LONGEST)
    search = Search(about, seconds)
    meaning = mean(program, about)
    about.given.append(truth(differs(read(text, about, meaning), meaning)))
    model = search.model(())
    if model is None:
        return None
    length = search.shortest((), search.number(model, about.caplen))
    return search.read(search.model([about.caplen == length]), length)


def ran(text: str, data: bytes, wirelen: int, notes: Ancillary | None) -> int | str:
    """What a source returns when it is run, or the name of what it raises."""
    space: dict[str, Any] = dict(pygen.NAMES)
    exec(compile(text, "<source>", "exec"), space)
    try:
        value = space["accepts"](data, wirelen, notes)
    except Exception as error:  # noqa: BLE001  whatever it raises is compared
        return type(error).__name__
    return value if isinstance(value, int) else str(value)


def confirmed(program: Program, text: str, found: Found) -> bool:
    """Whether a packet that was found does tell them apart when both are run."""
    ret = machine.run(program, found.data, found.wirelen, found.ancillary)
    return ran(text, found.data, found.wirelen, found.ancillary) != ret


# Proofs


@cache
def corpus() -> dict[str, Program]:
    """The programs of all expressions, no two the same; "-O" as libpcap first makes them."""
    found: dict[str, Program] = {}
    seen: set[tuple[Insn, ...]] = set()
    for linktype, expression in CORPUS:
        for optimize in (True, False):
            try:
                program = compile_filter(expression, linktype, optimize=optimize, netmask=0)
            except ExpressionError:
                continue
            name = f"{linktype}: {'' if optimize else '-O '}{expression}"
            if program.insns not in seen:
                found[name] = program
            seen.add(program.insns)
    return found


def test_all_expressions_make_checked_programs_but_those_that_follow_a_chain_of_headers() -> None:
    names = [name for name, program in corpus().items() if check(program)]
    assert all("protochain" in name for name in names)
    assert len(corpus()) - len(names) > 800


def test_the_source_of_every_expressions_program_is_proved(
    record_property: Callable[[str, object], None],
) -> None:
    times = []
    for name, program in corpus().items():
        if not check(program):
            begun = time.process_time()
            found = told_apart(program, source(program))
            times.append(1000 * (time.process_time() - begun))
            assert found is None, (name, found.data.hex())
    record_property("proofs", len(times))
    record_property("median_ms", round(statistics.median(times), 1))
    record_property("longest_ms", round(max(times), 1))


@pytest.mark.parametrize("name", samples.filters.names())
def test_the_source_of_every_sample_filter_is_proved(name: str) -> None:
    program = assemble(samples.filters[name].text)
    assert told_apart(program, source(program)) is None


def test_the_source_of_every_case_is_proved() -> None:
    apart = [case.name for case in RUN if told_apart(case.program, source(case.program))]
    assert apart == []


@pytest.mark.parametrize(
    "program",
    [deep(30), tangle(40), drawn(40, 1), drawn(60, 2)],
    ids=["deep", "tangle", "drawn", "longer drawn"],
)
def test_the_source_of_what_nests_badly_is_proved(program: Program) -> None:
    assert told_apart(program, source(program)) is None


def test_the_source_of_any_program_is_proved(
    record_property: Callable[[str, object], None],
) -> None:
    undecided: list[Program] = []

    @settings(max_examples=200)
    @given(legal_programs() | close_programs())
    def prove(program: Program) -> None:
        text = source(program)
        try:
            found = told_apart(program, text, EFFORT)
        except UndecidedError:
            undecided.append(program)
            return
        assert found is None, (text, found.data.hex(), confirmed(program, text, found))

    prove()
    record_property("undecided", len(undecided))
    assert len(undecided) < 15


# The formula against runs


def happened(
    about: AnyPacket, outcome: Outcome, data: bytes, wirelen: int, notes: Ancillary
) -> Any:
    """What the formula says of one packet: what is returned, or the name of what is raised."""

    def of(word: Any) -> Any:
        return concrete(about, word, data, wirelen, notes)

    found: list[Any] = [error for when, error in outcome.raises if of(when)]
    for when, number in outcome.returns:
        if of(when):
            value = of(number.low)
            if number.full is not None:
                value = of(number.full)
                value -= value >> BITS - 1 << BITS
            elif number.least == number.most:
                value = number.least
            found.append("None" if of(number.none) else value)
    (one,) = found
    return one


def breaks(text: str) -> list[tuple[int, int]]:
    """All ways to break one thing in a source: which node, and which of its changes."""
    nodes = enumerate(ast.walk(ast.parse(text)))
    return [(at, each) for at, node in nodes for each in range(len(changes(node)))]


def broken(text: str, at: int, change: int) -> str:
    """The source with one thing broken."""
    tree = ast.parse(text)
    node = list(ast.walk(tree))[at]
    changes(node)[change](node)
    return ast.unparse(tree)


SIGNS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE,
    ast.LtE: ast.Lt, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitXor, ast.BitXor: ast.BitOr,
    ast.LShift: ast.Mult, ast.RShift: ast.FloorDiv,
}  # fmt: skip


def unmask(node: ast.BinOp) -> None:
    node.op, node.right = ast.Add(), ast.Constant(0)


def changes(node: ast.AST) -> list[Callable[[Any], None]]:
    """Ways to break a node: a sign, a number, an operator, a line that is left out."""

    def setting(name: str, value: object) -> Callable[[Any], None]:
        return lambda other: setattr(other, name, value)

    match node:
        case ast.Compare(_, [op], _) if type(op) in SIGNS:
            return [setting("ops", [SIGNS[type(op)]()])]
        case ast.Constant(int(value)):
            return [setting("value", each) for each in (value + 1, value - 1, value ^ 0x40)]
        case ast.BinOp(_, op, _):
            unmasked = isinstance(op, ast.BitAnd)
            return [setting("op", OTHER[type(op)]()), *[unmask] * unmasked]
        case ast.BoolOp(op):
            return [setting("op", ast.Or() if isinstance(op, ast.And) else ast.And()),
                    lambda other: other.values.reverse()]  # fmt: skip
        case ast.If():
            return [setting("test", ast.Constant(1)), setting("body", [ast.Pass()])]
        case ast.Assign():
            return [setting("value", ast.Constant(0)), setting("targets", [ast.Name("unused")])]
        case ast.Tuple([ast.Name(), ast.Name()]):
            return [setting("elts", [ast.Name("IndexError")])]
    return []


def agree(program: Program, text: str, data: bytes, wirelen: int, notes: Ancillary) -> None:
    """The formula of a source on one packet, made with and without cuts, against its run."""
    about = AnyPacket(4096)
    meaning = mean(program, about)
    is_run = ran(text, data, wirelen, notes)
    for like in (None, meaning):
        outcome = read(text, about, like)
        assert happened(about, outcome, data, wirelen, notes) == is_run
        wrong = concrete(about, differs(outcome, meaning), data, wirelen, notes)
        assert wrong == (is_run != machine.run(program, data, wirelen, notes))


programs = (legal_programs() | close_programs()).filter(solvable)


@settings(max_examples=100)
@given(programs, packet_bytes() | close_packets(), notes, st.integers(0, 9))
def test_the_formula_of_a_source_is_what_running_it_does(
    program: Program, data: bytes, notes: Ancillary, cut: int
) -> None:
    agree(program, source(program), data, len(data) + cut, notes)


@settings(max_examples=150)
@given(programs, packet_bytes() | close_packets(), notes, st.data())
def test_the_formula_of_a_broken_source_is_what_running_it_does(
    program: Program, data: bytes, notes: Ancillary, chosen: st.DataObject
) -> None:
    text = source(program)
    text = broken(text, *chosen.draw(st.sampled_from(breaks(text))))
    try:
        agree(program, text, data, len(data), notes)
    except Unsupported as error:
        event(f"unsupported: {error}")


# Python that pygen does not write, or only where it is needed: source, packet, what it does.
ODD = [
    ("return P[-1]", b"\1\2", 2),
    ("return P[-3]", b"\1\2", "IndexError"),
    ("return word(P, -4)[0]", b"\1\2\3\4\5", 0x02030405),
    ("return word(P, -3)[0]", b"\1\2\3\4\5", "error"),
    ("return word(P, 2)[0]", b"\1\2\3\4\5", "error"),
    ("return P[P[0] - 2]", b"\1\2", 2),
    ("return P[P[0] * 0x1000000 * 256]", b"\1\2", "IndexError"),
    ("return P[0] - 9", b"\1", -8),
    ("return P[0] + -1", b"\0", -1),
    ("return -P[0] + (P[1] - 300)", b"\1\2", -299),
    ("return (P[0] - 9) * (P[0] - 3)", b"\1", 16),
    ("return P[0] - 9 & 0xff", b"\1", 0xF8),
    ("return -P[0] & 0xffffffff", b"\1", 0xFFFFFFFF),
    ("return P[0] + 0xffffffff", b"\1", 1 << 32),
    ("return (P[0] << 31) * 8", b"\1", 1 << 34),
    ("return 1 << P[0] % 64", b"\x28", 1 << 40),
    ("return 7 >> P[0] % 64", b"\x28", 0),
    ("return (P[0] << 40) >> 38", b"\3", 12),
    ("return (P[0] << 40) // (P[0] * 3)", b"\3", (1 << 40) // 3),
    ("return (P[0] << 40) % 1000", b"\3", (3 << 40) % 1000),
    ("return 9 // P[0]", b"\0", "ZeroDivisionError"),
    ("return 9 % P[0]", b"\0", "ZeroDivisionError"),
    ("if P[0] == 1:\n        A = 5\n    return A", b"\0", "UnboundLocalError"),
    ("if P[0] == 1:\n        A = 5\n    return A", b"\1", 5),
    ("if P[0] - 3 > P[1] - 300:\n        return 1\n    return 2", b"\0\0", 1),
    ("if P[0] and P[7]:\n        return 1\n    return 2", b"\0", 2),
    ("if P[0] or P[7]:\n        return 1\n    return 2", b"\0", "IndexError"),
    ("A = 1", b"", "None"),
    ("return extension(0xfffff008, 0, 0, P, notes)", b"", "None"),
    ("return extension(0xfffff008, 0, 0, P, notes) + 1", b"", "TypeError"),
    ("return far_load(P[0], 2, P, notes)", b"\1\2\3", 0x0203),
    ("try:\n        return word(P, 1)[0]\n    except IndexError:\n        return 7", b"1", "error"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "data", "does"), ODD, ids=[body for body, *_ in ODD])
def test_the_formula_knows_what_python_does(body: str, data: bytes, does: int | str) -> None:
    text = f"def accepts(P, wirelen, notes):\n    {body}"
    assert ran(text, data, len(data), Ancillary()) == does
    agree(Program.from_insns([(6, 0, 0, 5)]), text, data, len(data), Ancillary())


@pytest.mark.parametrize(
    "body",
    [
        "for A in P:\n        return A",
        "while P[0]:\n        A = 1",
        "return P[0:2]",
        "return len(P)",
        "return 1.5",
        "return P[0] ** 2",
        "return P[0] if P[1] else 2",
        "P = b''",
        "A += 1",
        "return 1 << P[0]",
        "return min(P[0], 3)",
        "return extension(5, 0, 0, P, notes)",
        "return (lambda: 1)()",
        "if P[0] < P[1] < P[2]:\n        return 1",
        "try:\n        return P[0]\n    except KeyError:\n        return 0",
        "try:\n        return P[0]\n    except:\n        return 0",
    ],
)
def test_what_the_formula_does_not_know_is_refused(body: str) -> None:
    with pytest.raises(Unsupported):
        read(f"def accepts(P, wirelen, notes):\n    {body}", AnyPacket(100))


# Broken sources

BROKEN = [
    ("tcp port 80", "P[23] != 6", "P[23] == 6"),
    ("tcp port 80", "P[X + 15] == 80", "P[X + 16] == 80"),
    ("tcp port 80", "P[14] & 15", "P[14] & 7"),
    ("tcp port 80", "P[20] & 0x1f", "P[20] & 0x3f"),
    ("tcp port 80", "P[56] == 0", "P[56] == 1"),
    ("tcp port 80", "P[12] == 0x86", "P[12] >= 0x86"),
    ("tcp port 80", "and P[X + 14] == 0", "or P[X + 14] == 0"),
    ("tcp port 80", "return 262144", "return 262143"),
    ("tcp port 80", "except IndexError:\n        return 0", "except IndexError:\n        return 1"),
    ("ip[16:4] > 3", "except (IndexError, error)", "except IndexError"),
    ("ip[16:4] > 3", "word(P, 30)", "word(P, 31)"),
    ("ip[0:4] - ip[4] > 3", " & 0xffffffff", ""),
    ("ip[2:2] / ip[8] > 3", "if X == 0:", "if X == 1:"),
    ("ip[2:2] * 70000 > 300000000", " & 0xffffffff", ""),
]


@pytest.mark.parametrize(("expression", "right", "wrong"), BROKEN)
def test_a_broken_source_is_found_out(expression: str, right: str, wrong: str) -> None:
    program = compile_filter(expression)
    text = source(program)
    assert right in text
    found = told_apart(program, text.replace(right, wrong, 1))
    assert found is not None
    assert confirmed(program, text.replace(right, wrong, 1), found)


def test_each_broken_source_of_some_filters_is_found_out_or_proved_to_do_the_same(
    record_property: Callable[[str, object], None],
) -> None:
    found_out = harmless = unknown = 0
    for expression in ("udp[2:2] = 53", "ip[2:2] / ip[8] > 3"):
        program = compile_filter(expression)
        for text in (broken(source(program), *each) for each in breaks(source(program))):
            try:
                found = told_apart(program, text)
            except Unsupported:
                unknown += 1
                continue
            assert found is None or confirmed(program, text, found), text
            found_out, harmless = found_out + bool(found), harmless + (found is None)
    record_property("found_out", found_out)
    record_property("harmless", harmless)
    record_property("unsupported", unknown)
    assert found_out > 10 * harmless
    assert found_out > 50 * unknown
