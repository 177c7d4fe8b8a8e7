"""Why a packet got its verdict: each claim is held against the run and against scapy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import bpfnb as bpf
from bpfnb import samples
from bpfnb.analysis.naming.flow import possible
from bpfnb.analysis.why import Reason, why
from bpfnb.cbpf.ancillary import AD_OFF
from bpfnb.cbpf.machine import follow
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.packets.linktype import find
from bpfnb.views.why import Why
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes
from tests.test_explain import dissected, fields_hold, programs

TCP = bpf.compile_filter("tcp port 80")
SYN = bytes.fromhex(
    "020000000002020000000001 0800 4500002c000100004006 0000 c0000201 c0000202"
    "d431 0050 00000001 00000000 5002 2000 0000 0000"
)


def reason(source: str, data: bytes) -> Reason:
    """The reason of an assembled program."""
    return why(trace(bpf.assemble(source), data))


@pytest.mark.parametrize("capture", samples.names())
def test_what_a_sentence_claims_is_so(capture: str) -> None:
    named = 0
    for program in programs(samples.captures[capture].linktype):
        for packet, fields in dissected(capture):
            run = program.trace(packet)
            said = why(run)
            claims_hold(run, said)
            named += fields_hold(said, fields, len(packet) < packet.wirelen)
    assert named > 20


def claims_hold(run: Trace, said: Reason) -> None:
    """The parts of a reason against the steps of its run."""
    last = run.steps[-1]
    assert run.ret is not None
    assert (said.ret, said.ended) == (run.ret, last.pc)
    assert said.accepted == (run.ret != 0)
    assert said.kept == min(run.ret, len(run.data))
    assert [test.pc for test in said.tests] == [
        step.pc for step in run.steps if step.insn.code & 7 == 5 and step.insn.jt != step.insn.jf
    ]
    assert said.sentence.startswith("accepted" if run.ret else "rejected")
    if last.missed is not None:
        assert said.missed is not None
        assert (said.missed.offset, said.missed.size) == (last.missed.offset, last.missed.size)
        assert said.decided == last.pc
        assert f"the packet has {len(run.data)}" in said.sentence
    elif said.decided is not None and last.insn.code & 7 == 6:
        decides(run, said)


def decides(run: Trace, said: Reason) -> None:
    """The test that is said to have decided is the last that could have."""
    kinds = possible(run.program)
    step = next(step for step in reversed(run.steps) if step.pc == said.decided)
    insn = step.insn
    true = step.after.pc == step.pc + 1 + insn.jt
    other = step.pc + 1 + (insn.jf if true else insn.jt)
    assert (not run.ret) in kinds[other]
    for later in run.steps[step.number + 1 :]:
        if later.insn.code & 7 == 5 and later.insn.jt != later.insn.jf:
            way = {later.pc + 1 + later.insn.jt, later.pc + 1 + later.insn.jf} - {later.after.pc}
            assert (not run.ret) not in kinds[way.pop()]
    assert f"({said.decided:03d})" in said.sentence
    assert (said.wanted is None) == said.accepted


@pytest.mark.parametrize(
    ("expression", "capture", "number", "sentence"),
    [
        (
            "tcp port 80", "mixed", 12,
            "rejected: (010) IP.proto is 17 (UDP), 6 (TCP) was wanted",
        ),
        (
            "tcp port 80", "arp", 1,
            "rejected: (008) Ether.type is 0x0806 (ARP), 0x86dd (IPv6) or 0x0800 (IPv4) was wanted",
        ),
        (
            "udp port 53", "fragments", 4,
            "rejected: (012) IP.frag is 185, 0 was wanted",
        ),
        (
            "udp port 53", "fragments", 3,
            ("rejected: (017) UDP.dport is 7, 53 was wanted; "
             "or 53 at (015), where UDP.sport is 45001"),
        ),
        (
            "tcp[tcpflags] & tcp-syn != 0", "tcp", 3,
            "accepted, 262144 bytes asked, 74 kept: (008) TCP.flags is 0x02 (SYN)",
        ),
        (
            "arp", "arp", 1,
            "accepted, 262144 bytes asked, 42 kept: (001) Ether.type is 0x0806 (ARP)",
        ),
    ],
)  # fmt: skip
def test_sentences(expression: str, capture: str, number: int, sentence: str) -> None:
    packet = samples.open(capture)[number - 1]
    assert why(bpf.compile_filter(expression).trace(packet)).sentence == sentence


def test_a_load_past_the_end_names_the_bytes_and_the_field() -> None:
    said = why(trace(TCP, SYN[:35]))
    assert said.sentence == "rejected: (014) wanted bytes 34–35 (TCP.sport), the packet has 35"
    assert said.missed is not None
    assert (said.missed.offset, said.missed.size, said.missed.have) == (34, 2, 35)
    assert (said.ended, said.decided, said.field, said.found) == (14, 14, "TCP.sport", None)
    assert why(trace(TCP, SYN[:35], wirelen=58)).sentence.endswith("the packet has 35 of its 58")


def test_the_parts_of_a_rejection() -> None:
    said = why(trace(TCP, SYN[:23] + b"\x11" + SYN[24:]))
    assert (said.accepted, said.ended, said.decided) == (False, 19, 10)
    assert (said.field, said.found, said.wanted) == ("IP.proto", 17, "6 (TCP)")


def test_the_parts_of_an_acceptance() -> None:
    said = why(trace(TCP, SYN))
    assert (said.accepted, said.ended, said.decided) == (True, 18, 17)
    assert (said.field, said.found, said.wanted) == ("TCP.dport", 80, None)
    assert said.kept == len(SYN)


@pytest.mark.parametrize(
    ("source", "data", "sentence"),
    [
        ("ldb [23]\njeq #6, y, n\ny: ret #1\nn: ret #0", SYN[:23] + b"\x11",
         "rejected: (001) byte 23 is 17, 6 was wanted"),
        ("ldh [2]\njgt #9, y, n\ny: ret #1\nn: ret #0", bytes(20),
         "rejected: (001) Ether.dst[2:2] is 0x0, more than 0x9 was wanted"),
        ("ldb [99]\nadd x\njset #6, y, n\ny: ret #1\nn: ret #0", bytes(100),
         "rejected: (002) byte 99 & 0x6 is 0x0, anything but 0 was wanted"),
        ("ldb [99]\nxor #3\njge #6, y, n\ny: ret #1\nn: ret #0", bytes(100),
         "rejected: (002) A is 0x3, 0x6 or more was wanted"),
        ("ld #len\njge #60, y, n\ny: ret #1\nn: ret #0", bytes(42),
         "rejected: (001) len is 42, 60 or more was wanted"),
        ("ldb [98]\ntax\nldb [99]\njeq x, y, n\ny: ret #1\nn: ret #0", bytes(98) + b"\x05\x04",
         "rejected: (003) byte 99 is 4, byte 98, 5, was wanted"),
        ("ret #0", b"", "rejected: (000) whatever the packet is, it is rejected"),
        ("ret #9", b"abc",
         "accepted, 9 bytes asked, 3 kept: (000) whatever the packet is, it is accepted"),
        ("ldb [0]\nret a", b"\x07", "accepted, 7 bytes asked, 1 kept: (001) A is 7 at the end"),
        ("ldb [0]\ndiv x\nret a", b"\x07", "rejected: (001) divides by X, which is 0"),
        ("ld ifidx\nret #1", b"\x07", "rejected: (000) finds no device"),
        ("ld [0xffe00000]\nret #1", b"",
         "rejected: (000) wanted 4 bytes at 0xffe00000, which this packet does not have"),
    ],
)  # fmt: skip
def test_hand_written_programs(source: str, data: bytes, sentence: str) -> None:
    assert reason(source, data).sentence == sentence


def test_ethernet_is_assumed_only_where_nothing_says_otherwise_and_is_said() -> None:
    source = "ldh [12]\njeq #0x800, y, n\ny: ret #1\nn: ret #0"
    assert reason(source, SYN).notes == ("the program has no link type: Ethernet is assumed",)
    assert "Ethernet is assumed" in Why.of(reason(source, SYN)).text()
    assert reason("ldb [99]\njeq #1, y, n\ny: ret #1\nn: ret #0", bytes(100)).notes == ()
    raw = why(trace(bpf.assemble(source), SYN), find("RAW").number)
    assert (raw.field, raw.notes) == (None, ())
    of_packet = bpf.why(bpf.assemble(source), bpf.Packet(SYN, linktype=find("RAW").number))
    assert of_packet.field is None


def test_a_later_fragment_has_no_ports_even_where_nobody_looked() -> None:
    source = (
        "ldh [12]\njeq #0x800, a, n\na: ldb [23]\njeq #6, b, n\nb: ldx 4*([14]&0xf)\n"
        "ldh [x+16]\njeq #81, y, n\ny: ret #1\nn: ret #0"
    )
    assert reason(source, SYN).field == "TCP.dport"
    fragment = SYN[:20] + b"\x00\x01" + SYN[22:]
    said = reason(source, fragment)
    assert said.field is None
    assert said.sentence == (
        "rejected: (006) the 2 bytes at 4*([14]&0xf) + 16 are 0x50, 0x51 was wanted"
    )


def test_a_run_has_names_where_the_program_as_a_whole_has_none() -> None:
    source = (
        "ldh [12]\njeq #0x800, both, next\nnext: jeq #0x86dd, both, n\n"
        "both: ldb [23]\njeq #17, y, n\ny: ret #1\nn: ret #0"
    )
    assert reason(source, SYN).field == "IP.proto"


@settings(max_examples=200, deadline=None)
@given(legal_programs() | close_programs(), packet_bytes() | close_packets())
def test_every_legal_run_has_a_reason(program: Program, data: bytes) -> None:
    run = trace(program, data)
    said = Why.of(why(run))
    claims_hold(run, said) if said.missed is None or said.missed.offset < 1 << 31 else None
    assert said.text()
    assert "<script" not in said.html()
    assert follow(program, data)[0][-1] == said.ended


def test_the_view_shows_the_tests_and_marks_the_one_that_decided() -> None:
    view = Why.of(why(trace(TCP, SYN)), "packet 1, <b>")
    lines = view.text().splitlines()
    assert lines[0] == (
        f"packet 1, <b>: ✓ accepted, 262144 bytes asked, {len(SYN)} kept: (017) TCP.dport is 80"
    )
    assert [line for line in lines if line.startswith("→")] == [
        "→ (017)  TCP.dport   80             anything but 80"
    ]
    html = view.html()
    assert "packet 1, &lt;b&gt;" in html
    assert "<b>→</b> (017)" in html


def test_a_long_run_shows_its_last_tests() -> None:
    rows = [(0x30, 0, 0, 0)]
    rows += [(0x15, 40 - at, 0, at + 1) for at in range(40)] + [(6, 0, 0, 0), (6, 0, 0, 1)]
    view = Why.of(why(trace(Program.from_insns(rows), b"\x00")))
    assert "the last 20 tests, 20 tests before" in view.text()
    assert view.wanted == "0x1, 0x2, 0x3, 0x4 or one of 36 more"
    assert "20 more tests" in view.html()


def test_no_device_is_told_from_its_extension() -> None:
    program = Program.from_insns([(0x20, 0, 0, AD_OFF + 8), (0x16, 0, 0, 0)])
    assert why(trace(program, b"")).decided == 0


def test_a_run_that_was_stopped_has_no_verdict_and_says_why() -> None:
    loop = bpf.assemble("again: ldb [0]\njeq #1, back, done\nback: ja again\ndone: ret #1")
    said = loop.why(b"\1", check=False)
    assert said.sentence == (
        "no verdict: stopped after 100,000 steps: it loops, (000) → (001) → (002) → (000)"
    )
    assert (said.ret, said.accepted, said.kept) == (None, False, 0)
    assert said.tests[0].found == 1
    assert said.text().startswith("✗ no verdict")
    assert loop.why(b"\0", check=False).accepted
    astray = bpf.Program.from_insns([(0xFF, 0, 0, 0)]).why(b"", check=False)
    assert astray.sentence == "no verdict: stopped: (000) no machine runs opcode 0xff"
    assert "no verdict" in astray.html()


def test_behind_an_ip_header_shorter_than_one_can_be_there_is_no_port() -> None:
    source = (
        "ldh [12]\njeq #0x800, a, n\na: ldb [23]\njeq #6, b, n\nb: ldh [20]\n"
        "jset #0x1fff, n, c\nc: ldx 4*([14]&0xf)\nldh [x+16]\njeq #81, y, n\ny: ret #1\nn: ret #0"
    )
    assert reason(source, SYN).field == "TCP.dport"
    assert reason(source, SYN[:14] + b"\x42" + SYN[15:]).field is None
