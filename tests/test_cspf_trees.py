"""Trees, stack programs and jumps say the same: proved, or run on captures and mutated packets."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb import cspf
from bpfnb.analysis.tree import tree
from bpfnb.analysis.trees.boolean import And, Constant, Formula, Not, Or, holds, leaves
from bpfnb.analysis.trees.decisions import Test
from bpfnb.analysis.trees.jump_code import jump_code
from bpfnb.analysis.trees.stack_code import stack_code
from bpfnb.analysis.trees.stack_tree import formula
from bpfnb.analysis.trees.symbols import Calculation, Ended, Load, Number, Seen, Symbol
from bpfnb.cbpf import machine
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.cspf import CspfProgram, trace
from bpfnb.errors import BpfError
from tests.test_cspf import packets, programs

EXPRESSIONS = [
    "ip or arp",
    "host 192.0.2.1",
    "not host 192.0.2.1",
    "icmp",
    "tcp port 80",
    "port 53 or port 80",
    "portrange 20-1000",
    "net 192.0.2.0/24",
    "ether host 00:00:5e:00:53:01",
    "ether multicast",
    "vlan 10",
    "ip6 host 2001:db8::1",
    "ether[13] = 6",
    "ether[13:2] = 0x4500",
    "ether[12:4] & 0x0fff00ff = 0x08000000",
    "ip[2:2] >= 100",
    "ip[8] < 64",
    "ip[12:4] > 0xc0000201",
    "ip[13:4] <= 0x2010000",
    "ip[13:4] & 0xff0000ff > 0x05000107",
    "ip[12:4] & 0xfffff0f0 > 0xc0000200",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[0:2] > tcp[2:2]",
    "(tcp port 80 or udp port 53) and not net 10.0.0.0/8 and not arp",
]
SAMPLES = ("mixed", "arp", "udp", "fragments", "ip_options", "vlan")
FOO = bpf.assemble(bpf.samples.filters["host_foo"].text, linktype="EN10MB")


def frames() -> list[bytes]:
    """Captured packets, and the same with a few bytes changed."""
    chance = random.Random(4)
    found = [packet.data for name in SAMPLES for packet in bpf.samples.open(name)]
    for data in [*found]:
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(min(len(data), 60))
            changed[at] = chance.choice([0, 1, 2, 6, 8, 17, 53, 80, 255, chance.randrange(256)])
        found.append(bytes(changed))
    return found


FRAMES = frames()


def proved(p: bpf.Program, q: bpf.Program, given: bpf.Program | None = None) -> bool:
    pytest.importorskip("z3")
    return bool(bpf.equivalent(p, q, same="verdict", given=given, seconds=30))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_jumps_made_of_a_tree_mean_what_the_program_meant(expression: str) -> None:
    program = bpf.compile_filter(expression)
    made = cspf.to_bpf(program)
    assert made.check() == ()
    assert len(made) <= len(program) + 2
    assert proved(program, made)


NOTES = [
    "ldh [12]\njeq #0x800, a, b\na: ld ifidx\njeq #2, yes, no\nb: ld vlan_tci\njeq #7, yes, no\n",
    "ld #5\nld ifidx\njeq #2, yes, no\n",
    "ldx #3\nldb [0]\nld nla\njeq #0, no, yes\n",
    "ld mark\ntax\nldh [2]\njgt x, yes, no\n",
    "ldx 4*([14]&0xf)\nldh [x+14]\nst M[0]\nldh [x+16]\ntax\nld M[0]\njge x, yes, no\n",
    "ldb [0]\ntax\nld #100\ndiv x\njeq #10, yes, no\n",
    "ld #len\nsub #3\nneg\njset #0x10, yes, no\n",
]


@pytest.mark.parametrize("text", NOTES)
def test_jumps_bring_what_a_load_asks_for(text: str) -> None:
    program = bpf.assemble(f"{text}yes: ret #-1\nno: ret #0")
    made = cspf.to_bpf(program)
    known = bpf.Ancillary(vlan_tci=7, mark=1)
    for data in [*FRAMES[:80], bytes(8), b"\x0a", b""]:
        for notes in (None, known):
            wanted = program.run(data, ancillary=notes)
            assert (made.run(data, ancillary=notes) > 0) == (wanted > 0), data.hex()


@pytest.mark.parametrize("short_circuit", [False, True])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_stack_program_says_the_same_on_whole_packets(
    expression: str, short_circuit: bool
) -> None:
    program = bpf.compile_filter(expression)
    made = cspf.from_tree(program, short_circuit)
    assert cspf.assemble(str(made)) == made
    whole = 0
    for data in FRAMES:
        run = trace(made, data)
        if not (run.steps and run.steps[-1].failed):  # it lacks a word that the program names
            whole += 1
            assert run.accepted == (program.run(data) > 0), data.hex()
    assert whole > len(FRAMES) // 2


@pytest.mark.parametrize("short_circuit", [False, True])
def test_it_is_proved_there_and_back(short_circuit: bool) -> None:
    # Bytes 0–41 hold every word that the stack program names.
    there = cspf.from_tree(FOO, short_circuit)
    assert proved(FOO, there.to_bpf(), given=bpf.assemble("ldb [41]\nret #1"))


@given(programs, packets)
def test_a_stack_program_and_its_jumps_agree_on_every_packet(
    program: CspfProgram, packet: bytes
) -> None:
    try:
        found = formula(program)
    except BpfError:
        return
    jumps = jump_code(found)
    assert check(jumps) == ()
    assert (machine.run(jumps, packet) > 0) == trace(program, packet).accepted


loads = st.builds(Load, st.integers(0, 4), st.sampled_from([1, 2, 4]))
masked = st.builds(lambda a, b: Calculation("and", a, b), loads, st.integers(0, 300).map(Number))
symbols: st.SearchStrategy[Symbol] = st.one_of(loads, masked)
tests = st.builds(
    lambda op, left, k, wanted: Test(0, op, left, Number(k), wanted=wanted),
    st.sampled_from(["==", "==", ">", ">=", "&"]), symbols,
    st.one_of(st.integers(0, 3), st.sampled_from([255, 256, 257, 0x10000, 0x01000100])),
    st.booleans(),
)  # fmt: skip
formulas: st.SearchStrategy[Formula] = st.recursive(
    st.one_of(tests, st.booleans().map(Constant)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda each: And(tuple(each))),
        st.lists(inner, min_size=1, max_size=4).map(lambda each: Or(tuple(each))),
        inner.map(Not),
    ),
    max_leaves=12,
)


def value(found: Formula, packet: bytes) -> bool:
    try:
        return holds(found, Seen(packet, len(packet)))
    except Ended:
        return False


@given(formulas, packets)
def test_jumps_say_what_a_formula_says_short_packets_too(found: Formula, packet: bytes) -> None:
    jumps = jump_code(found)
    assert check(jumps) == ()
    assert (machine.run(jumps, packet) > 0) == value(found, packet)


@given(formulas, st.lists(st.sampled_from([0, 1, 2, 255]), min_size=10, max_size=10).map(bytes))
def test_both_stack_programs_say_what_a_formula_says(found: Formula, packet: bytes) -> None:
    for short_circuit in (False, True):
        run = trace(stack_code(found, short_circuit), packet)
        if not (run.steps and "full" in run.steps[-1].why):
            assert run.accepted == value(found, packet)


@given(formulas)
def test_a_graph_asks_no_more_than_its_tree(found: Formula) -> None:
    jumps = jump_code(found)
    assert sum(insn.jt != insn.jf for insn in jumps.insns) <= len(list(leaves(found)))


# The numbers of the paper


def test_the_tree_and_the_graph_of_host_foo() -> None:
    found = tree(FOO)
    assert (found.tests, found.operations) == (7, 6)
    assert (found.graph.most, found.graph.mean) == (5, Fraction(49, 16))
    assert cspf.to_bpf(FOO).insns == FOO.insns  # the same fourteen, found from its tree


def test_host_foo_on_the_stack() -> None:
    full, short = cspf.from_tree(FOO), cspf.from_tree(FOO, True)
    assert (len(full), len(full.words), full.too_long) == (32, 43, True)
    run = full.trace(bytes(42))
    assert (len(run.steps), run.comparisons, run.reads) == (32, 11, 11)
    assert len(short.words) == 42


def test_ip_or_arp_is_what_anyone_would_write() -> None:
    program = bpf.compile_filter("ip or arp")
    assert str(cspf.from_tree(program)).split("\n") == [
        "PUSHWORD+6", "PUSHLIT|EQ 0x0800", "PUSHWORD+6", "PUSHLIT|EQ 0x0806", "OR",
    ]  # fmt: skip
    assert str(cspf.from_tree(program, True)).split("\n") == [
        "PUSHWORD+6", "PUSHLIT|COR 0x0800", "PUSHWORD+6", "PUSHLIT|EQ 0x0806",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("greater 100", "len may have more than 16 bits"),
        ("tcp[(tcp[12] >> 4):2] = 1", "PUSHIND counts words"),
    ],
)
def test_what_the_stack_machine_cannot_say(expression: str, said: str) -> None:
    with pytest.raises(BpfError, match="CSPF cannot say this filter") as caught:
        cspf.from_tree(bpf.compile_filter(expression))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "PUSHWORD PUSHWORD+1|EQ PUSHWORD+2|ADD",
        "PUSHLIT 8 PUSHWORD|LSH",
        "PUSHWORD PUSHWORD+1|EQ PUSHIND",
    ],
)
def test_a_program_without_a_tree_says_so(words: str) -> None:
    with pytest.raises(BpfError, match="no tree that could be read"):
        cspf.assemble(words).tree()


def test_jumps_that_are_too_far_go_by_ja() -> None:
    many = Or(tuple(And((Test(0, "==", Load(0, 1), Number(k)), Test(0, ">", Load(k, 1), Number(k))))
                    for k in range(140)))  # fmt: skip
    jumps = jump_code(many)
    assert check(jumps) == ()
    assert any(insn.code == 0x05 for insn in jumps.insns)
    for k in (0, 3, 139, 200):
        packet = bytes([k]) + bytes([255]) * 200
        assert (machine.run(jumps, packet) > 0) == value(many, packet)
