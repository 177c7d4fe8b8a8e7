"""Each kind of remark by a program that earns it and a near miss; on any program, none is wrong."""

from __future__ import annotations

import sys
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb import samples
from bpfnb.analysis.lint import lint
from bpfnb.analysis.linting.remarks import KINDS, Remark, Report
from bpfnb.cbpf import machine
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_NAME, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.errors import CheckError, UndecidedError
from bpfnb.pcap import compile_filter
from bpfnb.views.lint import Lint
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.equivalence import Proof, Question, equivalent

ENDS = "\nkeep: ret #-1\ndrop: ret #0"
JA = BY_NAME["ja", Form.TARGET].code

# kind | the program | the pc of the remark | what it says | the near miss
CASES: list[tuple[str, str, int | None, str, str]] = [
    (
        "one_way",
        "ldh [12]; jeq #0x800, ip, drop; ip: ldh [12]; jeq #0x806, keep, drop" + ENDS,
        3,
        "never true: (001) has found that Ether.type is 0x0800 (IPv4)",
        "ldh [12]; jeq #0x800, keep, no; no: ldh [12]; jeq #0x806, keep, drop" + ENDS,
    ),
    (
        "one_way",
        "ldb [14]; jeq #256, keep, drop" + ENDS,
        1,
        "never true: byte 14 is at most 255",
        "ldb [14]; jeq #255, keep, drop" + ENDS,
    ),
    (
        "one_way",
        "ldh [14]; jgt #65535, keep, drop" + ENDS,
        1,
        "never true: bytes 14–15 are at most 65,535",
        "ldh [14]; jgt #65534, keep, drop" + ENDS,
    ),
    (
        "one_way",
        "ldb [14]; jset #0, keep, drop" + ENDS,
        1,
        "never true: 0 has no bit that could be set",
        "ldb [14]; jset #1, keep, drop" + ENDS,
    ),
    (
        "one_way",
        "ldb [14]; and #0xf0; jeq #5, keep, drop" + ENDS,
        2,
        "never true: of byte 14 & 0xf0 only the bits 0xf0 can be set",
        "ldb [14]; and #0xf0; jeq #0x50, keep, drop" + ENDS,
    ),
    (
        "one_way",
        "ldh [12]; jeq #0x800, more, drop; more: ld #len; jge #14, keep, drop" + ENDS,
        3,
        "always true: (000) has found that bytes 12–13 are there",
        "ldh [12]; jeq #0x800, more, drop; more: ld #len; jge #15, keep, drop" + ENDS,
    ),
    (
        "one_way",
        "ldh [12]; jeq #1, a, b; b: jeq #2, a, drop; a: jeq #3, keep, more\n"
        "more: ldb [0]; jeq #1, keep, drop" + ENDS,
        3,
        "never true: on every way here Ether.type is 0x0001 or 0x0002",
        "ldh [12]; jeq #1, a, b; b: jeq #2, a, a; a: jeq #3, keep, more\n"
        "more: ldb [0]; jeq #1, keep, drop" + ENDS,
    ),
    (
        "rejects_all",
        "ldb [14]; rsh #4; jeq #4, a, drop; a: jeq #6, keep, drop" + ENDS,
        None,
        "IP.version cannot be both 4 and 6",
        "ldb [14]; rsh #4; jeq #4, keep, a; a: jeq #6, keep, drop" + ENDS,
    ),
    (
        "rejects_all",
        "ldh [12]; jeq #0x800, a, drop; a: ldb [14]; rsh #4; jeq #4, b, drop\n"
        "b: ldb [14]; rsh #4; jeq #6, keep, drop" + ENDS,
        None,
        "rejects every packet: IP.version cannot be both 4 and 6",
        "ldh [12]; jeq #0x800, a, drop; a: ldb [14]; rsh #4; jeq #4, b, drop\n"
        "b: ldb [14]; and #15; jeq #6, keep, drop" + ENDS,
    ),
    (
        "rejects_all",
        "ld #len; jgt #10, drop, a; a: ldh [12]; jeq #0x800, keep, drop" + ENDS,
        None,
        "len is 10 or less (001) and bytes 12–13 are there (002)",
        "ld #len; jgt #14, drop, a; a: ldh [12]; jeq #0x800, keep, drop" + ENDS,
    ),
    ("rejects_all", "ldb [0]; ret #0", None, "no ret that accepts", "ldb [0]; ret a"),
    (
        "accepts_all",
        "ldh [12]; jeq #0x800, a, keep; a: jeq #0x806, drop, keep" + ENDS,
        None,
        "accepts every packet that is long enough",
        "ldh [12]; jeq #0x800, a, keep; a: ldb [14]; jeq #0x45, drop, keep" + ENDS,
    ),
    (
        "needless_test",
        "ldh [12]; jeq #1, a, b; a: ldb [0]; jeq #7, keep, drop\n"
        "b: ldb [0]; jeq #7, keep, drop" + ENDS,
        1,
        "both ways give each packet the same",
        "ldh [12]; jeq #1, a, b; a: ldb [0]; jeq #7, keep, drop\n"
        "b: ldb [0]; jeq #8, keep, drop" + ENDS,
    ),
    ("unreachable", "ldb [0]; ret a; ret #1", 2, "nothing leads to this", "ldb [0]; ret a"),
    (
        "unreachable",
        "ldb [0]; jeq #256, far, near; far: ldb [1]; ret a; near: ldb [2]; ret a",
        2,
        "no packet comes to these 2 instructions: only (001) would lead here, and never does",
        "ldb [0]; jeq #25, far, near; far: ldb [1]; ret a; near: ldb [2]; ret a",
    ),
    ("always_ends", "ld [300000]; ret a", 0, "more than 262,144 bytes", "ld [262140]; ret a"),
    (
        "repeated_load",
        "ldh [12]; jeq #0x800, a, drop; a: ldh [12]; ret a" + ENDS,
        2,
        "A holds Ether.type already",
        "ldh [12]; jeq #0x800, a, drop; a: ldh [14]; ret a" + ENDS,
    ),
    (
        "repeated_load",
        "ldxb 4*([14]&0xf); ldh [x + 14]; jeq #80, keep, n; n: ldxb 4*([14]&0xf); ldh [x + 16]\n"
        "jeq #80, keep, drop" + ENDS,
        3,
        "X holds 4*([14]&0xf) already",
        "ldxb 4*([14]&0xf); ldh [x + 14]; tax; jeq #80, keep, n\nn: ldxb 4*([14]&0xf)\n"
        "ldh [x + 16]; jeq #80, keep, drop" + ENDS,
    ),
    ("no_effect", "ldb [0]; and #0xff; ret a", 1, "the same", "ldb [0]; and #0xfe; ret a"),
    ("no_effect", "ldb [0]; jeq #1, a, a; a: ret a", 1, "both its ways", "ldb [0]; ret a"),
    ("no_effect", "ldx #0; ldb [x + 3]; ret a", 0, "X is 0 already", "ldx #1; ldb [x + 3]; ret a"),
    ("constant_result", "ldb [0]; and #0; ret a", 1, "A is 0 after", "ldb [0]; and #1; ret a"),
    ("constant_result", "ldb [0]; rsh #8; ret a", 1, "A is 0 after", "ldb [0]; rsh #7; ret a"),
    (
        "unused",
        "ldb [0]; st M[3]; ret a",
        1,
        "nothing reads M[3]",
        "ldb [0]; st M[3]; ld M[3]; ret a",
    ),
    (
        "unused",
        "ldb [0]; st M[3]; ld M[3]; ldb [1]; ret a",
        1,
        "only for what is unused itself",
        "ldb [0]; st M[3]; ld M[3]; tax; ldb [x + 1]; ret a",
    ),
    (
        "unused",
        "ld #hatype; ldb [1]; ret a",
        0,
        "ends the program where there is no device",
        "ld #hatype; add #1; ret a",
    ),
    (
        "unused",
        "ldb [9]; ldb [0]; ret a",
        0,
        "all it does is that it has a packet that lacks the bytes rejected",
        "ldb [9]; tax; ldb [x + 0]; ret a",
    ),
    (
        "wide_shift",
        "ldb [0]; tax; ld #1; lsh x; ret a",
        3,
        "X can be more than 31 here",
        "ldb [0]; and #31; tax; ld #1; lsh x; ret a",
    ),
    ("unset_x", "ldh [x + 14]; ret a", 0, "X is 0 here", "ldxb 4*([14]&0xf); ldh [x + 14]; ret a"),
    (
        "byte_order",
        "ldh [12]; jeq #0x8, keep, drop" + ENDS,
        1,
        "that is 0x0800 (IPv4) with its bytes the wrong way round",
        "ldh [14]; jeq #0x8, keep, drop" + ENDS,
    ),
    ("short_ret", "ldb [0]; jeq #1, a, drop; a: ret #1; drop: ret #0", 2, "cut to 1 byte",
     "ldb [0]; jeq #1, a, drop; a: ret #14; drop: ret #0"),
    ("ret_lengths", "ldb [0]; jeq #1, a, b; a: ret #-1; b: ret #96", None, "ret #96 at (003)",
     "ldb [0]; jeq #1, a, b; a: ret #96; b: ret #96"),
]  # fmt: skip


def program(text: str, linktype: int | None = None) -> Program:
    return assemble(text.replace("; ", "\n"), None, linktype)


def kinds(report: Report) -> list[str]:
    return [each.kind for each in report.remarks]


@pytest.mark.parametrize(("kind", "text", "pc", "words", "near"), CASES)
def test_a_kind_is_found_where_it_is_and_not_where_it_nearly_is(
    kind: str, text: str, pc: int | None, words: str, near: str
) -> None:
    report = lint(program(text))
    found = [each for each in report.remarks if each.kind == kind and each.pc == pc]
    assert len(found) == 1, report.remarks
    assert words in found[0].message
    assert found[0].hint
    assert not report.undecided
    assert not [each for each in lint(program(near)).remarks if (each.kind, each.pc) == (kind, pc)]


def test_there_is_a_case_for_every_kind() -> None:
    assert {kind for kind, *_ in CASES} == set(KINDS)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("ip and ip6", "Ether.type cannot be both 0x0800 (IPv4) and 0x86dd (IPv6)"),
        ("ether proto 0x800 and arp", "Ether.type cannot be both 0x0800 (IPv4) and 0x0806 (ARP)"),
        ("tcp and udp and ip", "IP.proto cannot be both 17 (UDP) and 6 (TCP)"),
        ("len <= 10 and ip", "no packet has all of this: len is 10 or less"),
    ],
)
def test_expressions_that_reject_all_packets_say_why(expression: str, why: str) -> None:
    first = lint(compile_filter(expression, optimize=False)).remarks[0]
    assert first.kind == "rejects_all"
    assert why in first.message


def test_shifts_are_those_of_the_rule_set() -> None:
    shifted = program("ldx #32; ld #1; lsh x; jeq #1, keep, drop" + ENDS)
    linux, libpcap = lint(shifted), lint(shifted, rules="libpcap")
    said = [[e.message for e in r.remarks if e.kind == "one_way"] for r in (linux, libpcap)]
    assert said[0][0].startswith("always true")
    assert said[1][0].startswith("never true")
    assert "rejects_all" in kinds(libpcap)
    assert "rejects_all" not in kinds(linux)


def test_the_filters_shipped_have_nothing_odd() -> None:
    for name in samples.filters.names():
        report = lint(assemble(samples.filters[name].text))
        assert not report.remarks, (name, report.remarks)


def test_libpcaps_common_programs_have_nothing_odd() -> None:
    for expression in ("icmp", "tcp port 80", "host 192.0.2.1 and udp", "vlan 5 and arp"):
        assert not lint(compile_filter(expression)).remarks


def test_a_long_filter_is_decided_and_a_very_long_one_in_no_time_is_honest() -> None:
    long = compile_filter(" or ".join(f"port {k}" for k in range(36)))
    assert not lint(long).undecided
    many = compile_filter(" or ".join(f"host 10.0.{i}.{j}" for i in range(4) for j in range(56)))
    report = lint(many, seconds=0.5)
    assert "there may be more" in report.undecided or "not decided" in report.undecided
    assert not report.remarks
    assert "so far" in Lint.of(report).text()


def test_without_z3_the_graph_is_looked_at_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("bpfnb.analysis.")]:
        if name.rpartition(".")[2] in ("terms", "formula", "solve", "proofs", "idle", "endings",
                                       "one_way", "equivalence"):  # fmt: skip
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    report = lint(program("ldb [0]; st M[3]; ret a; ret #1"))
    assert kinds(report) == ["unused", "unreachable"]
    assert "only what the graph shows" in report.undecided
    assert "pip install 'bpfnb[prove]'" in report.undecided


def test_an_illegal_program_is_refused() -> None:
    with pytest.raises(CheckError):
        lint(Program((Insn(0x30, 0, 0, 0),)))


def test_the_view_says_the_answer_first_and_escapes() -> None:
    view = Lint.of(lint(compile_filter("ip and ip6", optimize=False)))
    assert str(view).startswith("⚠ 4 remarks on 6 instructions\n      rejects every packet: ")
    assert str(view).endswith("proved for every packet of up to 262,144 bytes")
    assert "cure: leave it out" in view.html()
    clean = Lint.of(lint(program("ldh [12]; jeq #0x800, keep, drop" + ENDS)))
    assert str(clean).startswith("✓ nothing odd in 4 instructions")
    assert "<script" not in view.html()


def test_what_names_rest_on_is_said() -> None:
    text = "ldh [12]; jeq #0x800, a, drop; a: ldh [12]; ret a" + ENDS
    assert "Ethernet is assumed" in str(Lint.of(lint(program(text))))
    assert "Ethernet" not in str(Lint.of(lint(program(text, 1))))


# --- on any program, nothing is said that is not so

PACKETS = st.lists(packet_bytes() | close_packets(), min_size=20, max_size=60)
PROGRAMS = legal_programs() | close_programs()


def paths(tested: Program, packets: list[bytes]) -> list[tuple[tuple[int, ...], int]]:
    ran = [trace(tested, data) for data in packets]
    return [(run.path, run.ret or 0) for run in ran]


def proved_equal(one: Program, two: Program) -> bool:
    try:
        return isinstance(equivalent(Question(one, two)), Proof)
    except UndecidedError:
        return True  # nla and nlan, of which nothing is known
    except CheckError:
        return True  # a store without which the kernel refuses a load that is unused, too


def without(tested: Program, pc: int) -> Program:
    """The program with a jump to the next instruction in the place of one."""
    return Program((*tested.insns[:pc], Insn(JA, 0, 0, 0), *tested.insns[pc + 1 :]))


@settings(max_examples=150)
@given(PROGRAMS, PACKETS)
def test_no_run_does_what_lint_says_that_none_does(tested: Program, packets: list[bytes]) -> None:
    report = lint(tested)
    ran = paths(tested, packets)
    for each in report.remarks:
        check_against_runs(tested, each, ran, packets)
        if each.kind in ("repeated_load", "no_effect") and each.pc is not None:
            insn = tested.insns[each.pc]
            if not insn.jt:  # a test with one target is a jump that goes on being one
                assert proved_equal(tested, without(tested, each.pc)), each
        if each.kind == "unused" and "all it does" not in each.message and each.pc is not None:
            assert proved_equal(tested, without(tested, each.pc)), each
        if each.kind == "needless_test" and each.pc is not None:
            assert proved_equal_if_forced(tested, each), each


def proved_equal_if_forced(tested: Program, remark: Remark) -> bool:
    assert remark.pc is not None
    insn = tested.insns[remark.pc]
    ways = [insn.jt, insn.jf]
    if "both ways" not in remark.message:
        goes_on = int(remark.message.rpartition("(")[2].rstrip(")"))
        ways = [goes_on - remark.pc - 1]
    return all(
        proved_equal(
            tested,
            Program(
                (*tested.insns[: remark.pc], Insn(JA, 0, 0, way), *tested.insns[remark.pc + 1 :])
            ),
        )
        for way in ways
    )


def check_against_runs(
    tested: Program,
    remark: Remark,
    ran: list[tuple[tuple[int, ...], int]],
    packets: list[bytes],
) -> None:
    for (path, ret), data in zip(ran, packets, strict=True):
        if remark.kind == "rejects_all":
            assert ret == 0
        if remark.kind == "accepts_all" and "long enough" not in remark.message:
            assert ret
        if remark.kind == "unreachable":
            assert not set(path) & set(remark.pcs)
        if remark.pc not in path:
            continue
        at = path.index(remark.pc)
        insn = tested.insns[remark.pc]
        if remark.kind == "one_way":
            true = remark.message.startswith("always true")
            assert path[at + 1] == remark.pc + 1 + (insn.jt if true else insn.jf)
        if remark.kind == "always_ends":
            assert at == len(path) - 1
        if remark.kind == "constant_result":
            step = trace(tested, data).steps[at]
            assert int(remark.message.split()[2], 0) == step.after.A


# Tests of a byte against 0 to 3 do not tell 4 to 7 from those above.
TINY = [bytes(data) for size in range(3) for data in product(range(8), repeat=size)]


@st.composite
def tiny_programs(draw: st.DrawFn) -> Program:
    """Two to four bytes loaded and tested, all numbers below 4."""
    insns: list[Insn] = []
    size = draw(st.integers(3, 9))
    while len(insns) < size - 2:
        left = size - 3 - len(insns)
        jump = st.builds(Insn, st.sampled_from([0x15, 0x25, 0x35, 0x45]), st.integers(0, left),
                         st.integers(0, left), st.integers(0, 3))  # fmt: skip
        load = st.builds(Insn, st.just(0x30), st.just(0), st.just(0), st.integers(0, 1))
        insns.append(draw(jump | load))
    return Program((*insns, Insn(6, 0, 0, 1), Insn(6, 0, 0, 0)))


@settings(max_examples=200)
@given(tiny_programs())
def test_on_tiny_programs_lint_finds_all_that_is_unreachable(tested: Program) -> None:
    reached = {pc for path, _ in paths(tested, TINY) for pc in path}
    report = lint(tested)
    lost = {pc for each in report.remarks if each.kind == "unreachable" for pc in each.pcs}
    assert lost == set(range(len(tested))) - reached
    taken = {(a, b) for path, _ in paths(tested, TINY) for a, b in pairwise(path)}
    for pc in reached:
        ways = [
            target for target, kind in successors(tested.insns, pc) if kind in ("true", "false")
        ]
        if len(ways) == 2:
            one_way = any((e.kind, e.pc) == ("one_way", pc) for e in report.remarks)
            assert one_way == any((pc, way) not in taken for way in ways)
    rets = {machine.run(tested, data) for data in TINY if len(data) == 2}
    assert ("rejects_all" in kinds(report)) == (rets == {0})


def test_the_magic_shows_it_and_a_refused_program_has_none() -> None:
    from bpfnb.face import Program as Face
    from bpfnb.jupyter.result import Result

    good = Face.of(compile_filter("ip and ip6", optimize=False))
    assert "cannot be both" in Result(good, show=("lint",)).text()
    bad = Face.of(Program((Insn(0x30, 0, 0, 0),)))
    said = Result(bad, bad.check(), show=("lint",)).text()
    assert "no lint of a program that linux refuses" in said
