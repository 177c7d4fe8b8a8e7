"""The tree of a filter: its verdicts are the program's, and the paper's numbers."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.analysis.tree import tree
from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not, Or, grouped, holds, leaves
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.symbols import Calculation, Ended, Load, Number, Seen
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError
from bpfnb.pcap import compile_filter
from bpfnb.samples import open as sample
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes
from tests.test_cases import CASES
from tests.test_expressions import CORPUS

ETHERNET = [expression for linktype, expression in CORPUS if linktype == "EN10MB"]


def shape(formula: Formula) -> str:
    """A formula in one line, tests by their pc."""
    if isinstance(formula, Test):
        return f"{'' if formula.wanted else '!'}{formula.pc}"
    if isinstance(formula, Constant):
        return str(formula.accepted)
    if isinstance(formula, Not):
        return f"not {shape(formula.part)}"
    word = " and " if isinstance(formula, And) else " or "
    return f"({word.join(map(shape, formula.parts))})"


def test_host_foo_has_the_papers_tree_and_the_papers_numbers() -> None:
    found = tree(compile_filter("host 192.0.2.1"))
    assert shape(found.root) == "((1 and (3 or 5)) or ((6 or 7) and (9 or 11)))"  # figure 6
    assert (found.tests, found.operations) == (7, 6)
    cost = found.graph
    assert (cost.tests, cost.most, cost.mean) == (7, 5, Fraction(49, 16))  # section 3.2.1


def test_ip_or_arp_has_the_papers_tree() -> None:
    found = tree(compile_filter("ip or arp"))
    assert shape(found.root) == "(1 or 2)"  # figure 4
    assert [str(test) for test in leaves(found.root)] == ["P[12:2] == 0x800", "P[12:2] == 0x806"]


def test_an_unoptimised_filter_has_a_tree_as_well_and_it_is_larger() -> None:
    found = tree(compile_filter("host 192.0.2.1", optimize=False))
    assert found.tests > 7
    assert found.graph.tests > 7


def test_what_all_wants_no_stands_under_one_not() -> None:
    found = tree(compile_filter("not arp and not ip6 and not tcp port 80"))
    assert shape(found.root) == "not (1 or 2 or (3 and 5 and !7 and (10 or 12)))"
    assert shape(tree(compile_filter("tcp and not port 80")).root).count("not") >= 1
    assert shape(tree(assemble("jeq #1, a, b\na: ret #0\nb: ret #1")).root) == "True"  # A is 0


def test_a_program_without_a_test_is_a_constant() -> None:
    assert tree(assemble("ret #1")).root == Constant(True)
    assert tree(assemble("ldb [0]\nret #0")).root == Constant(False)


def test_a_load_that_nothing_asks_for_is_a_leaf_of_its_own() -> None:
    found = tree(assemble("ldb [9]\nret #1"))
    assert [str(test) for test in leaves(found.root)] == ["P[9:1] there"]
    assert found.accepts(bytes(10))
    assert not found.accepts(bytes(9))


def test_a_register_with_another_value_on_each_way_tells_the_tests_apart() -> None:
    shared = "ldb [0]\njeq #1, a, b\na: ldb [1]\nja c\nb: ldb [2]\nc: jeq #7, yes, no\n"
    found = tree(assemble(f"{shared}yes: ret #1\nno: ret #0"))
    assert [str(test) for test in leaves(found.root)] == [
        "P[0:1] == 1", "P[1:1] == 7", "P[0:1] != 1", "P[2:1] == 7",
    ]  # fmt: skip


def test_a_returned_register_is_a_test_of_it() -> None:
    found = tree(assemble("ldb [0]\nand #0x0f\nret a"))
    assert [str(test) for test in leaves(found.root)] == ["P[0:1]&0xf != 0"]


def test_what_has_no_tree_says_why() -> None:
    with pytest.raises(BpfError, match="reads rand"):
        tree(assemble("ld rand\njeq #1, +0, no\nret #1\nno: ret #0"))
    with pytest.raises(BpfError, match="backwards"):
        tree(Program.from_insns([(0x05, 0, 0, 0xFFFFFFFF), (6, 0, 0, 0)]))
    grows = "ldb [0]\n" + "tax\nadd x\n" * 6 + "jeq #1, +0, no\nret #1\nno: ret #0"
    with pytest.raises(BpfError, match="grows beyond 60 parts"):
        tree(assemble(grows))
    many = " or ".join(f"(tcp port {k} and host 192.0.2.{k})" for k in range(1, 30))
    with pytest.raises(BpfError, match="would hold more than 250 tests"):
        tree(compile_filter(many, optimize=False))


def agrees(program: Program, packets: list[bytes]) -> bool:
    """Whether the tree's verdict is the program's on all packets; False where there is no tree."""
    try:
        found = tree(program)
    except BpfError:
        return False
    for packet in packets:
        assert found.accepts(packet) == (run(program, packet) != 0), packet.hex()
    return True


def cut(packets: list[bytes], seed: int) -> list[bytes]:
    """The packets, and each with a few bytes changed and cut somewhere."""
    dice = random.Random(seed)
    made = list(packets)
    for packet in packets:
        changed = bytearray(packet)
        for _ in range(dice.randrange(1, 5)):
            changed[dice.randrange(len(changed))] = dice.choice([0, 1, 6, 17, 80, 255])
        made.append(bytes(changed[: dice.randrange(len(changed) + 1)]))
    return made


@pytest.mark.parametrize("optimize", [True, False])
def test_libpcaps_programs_and_their_trees_give_the_same_verdicts(optimize: bool) -> None:
    packets = cut([packet.data for packet in sample("mixed")][:60], 7)
    count = 0
    for expression in ETHERNET:
        try:
            program = compile_filter(expression, optimize=optimize)
        except BpfError:
            continue
        count += agrees(program, packets)
    assert count > 0.9 * len(ETHERNET)


def test_the_case_files_trees_give_their_verdicts() -> None:
    count = 0
    for case in CASES:
        if case.rule is not None:
            continue
        try:
            found = tree(case.program)
        except BpfError:
            continue
        count += 1
        for each in case.examples:
            accepted = found.accepts(each.data, each.wirelen, each.ancillary)
            assert accepted == (each.ret != 0), case.name
    assert count > 100


@settings(deadline=None, max_examples=300)
@given(close_programs(), st.lists(close_packets(), min_size=1, max_size=12))
def test_filters_and_their_trees_agree(program: Program, packets: list[bytes]) -> None:
    agrees(program, packets)


@settings(deadline=None, max_examples=200)
@given(legal_programs(), st.lists(packet_bytes(64), min_size=1, max_size=6))
def test_any_program_and_its_tree_agree(program: Program, packets: list[bytes]) -> None:
    agrees(program, packets)


P0 = Calculation("and", Load(0, 1), Number(3))
tests = st.builds(
    Test, st.integers(0, 9), st.sampled_from(["==", ">", "&"]), st.sampled_from([P0, Load(1, 1)]),
    st.builds(Number, st.integers(0, 3)), wanted=st.booleans(),
)  # fmt: skip
formulas = st.recursive(
    tests,
    lambda part: st.builds(
        lambda kind, parts: kind(tuple(parts)),
        st.sampled_from([And, Or]),
        st.lists(part, min_size=2, max_size=4),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(formulas, close_packets(2))
def test_grouping_under_not_changes_no_outcome(formula: Formula, packet: bytes) -> None:
    def outcome(each: Formula) -> bool | str:
        try:
            return holds(each, Seen(packet, len(packet)))
        except Ended:
            return "ended"

    assert outcome(grouped(formula)) == outcome(formula)
