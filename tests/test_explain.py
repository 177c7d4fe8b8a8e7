"""A program in words: its names are scapy's, wherever it gives one."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb import samples
from bpfnb.analysis.explain import Account, explain
from bpfnb.analysis.naming.flow import State, forward
from bpfnb.analysis.naming.names import read
from bpfnb.analysis.naming.values import Bits, Note, Term
from bpfnb.analysis.why import Reason, why
from bpfnb.cbpf.machine import MASK, follow
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.packets.linktype import find
from bpfnb.packets.packet import Packet
from bpfnb.views.why import Explanation
from tests.scapy_fields import Span, spans
from tests.strategies import (
    close_packets,
    close_programs,
    legal_programs,
    near_legal_programs,
    packet_bytes,
)

EXPRESSIONS = (
    "ip", "arp", "ip6", "icmp", "icmp6", "tcp", "udp", "tcp port 80", "port 53", "udp port 53",
    "tcp src port 80", "host 192.0.2.1", "src host 192.0.2.1", "net 192.0.2.0/24",
    "ip proto 1", "tcp[13] & 2 != 0", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "ip[6:2] & 0x1fff != 0", "ip[8] < 64",
    "ip[0] & 0xf != 5", "icmp[icmptype] = icmp-echo", "icmp6[0] = 135", "ip6 proto 17",
    "udp[4:2] > 100", "arp[6:2] = 1", "greater 100 and tcp", "ip host 192.0.2.1 and not tcp",
    "tcp dst portrange 80-443", "ip6 host 2001:db8::1", "ip or ip6 and len > 60",
    "not tcp and not arp",
)  # fmt: skip
ON_ETHERNET = (
    "vlan", "vlan 10", "vlan 10 and ip", "vlan and vlan and udp", "mpls", "mpls 100",
    "ether host 02:00:00:00:00:01", "ether broadcast", "stp", "llc", "ether[12:2] = 0x800",
    "ether proto 0x88cc", "rarp", "multicast",
)  # fmt: skip


@cache
def dissected(capture: str) -> list[tuple[Packet, list[Span]]]:
    """A capture's packets with scapy's fields; at most forty."""
    return [(each, spans(each)) for each in list(samples.open(capture))[:40]]


@cache
def programs(linktype: str) -> tuple[bpf.Program, ...]:
    """All the programs for a link type, optimised and not."""
    texts = EXPRESSIONS + (ON_ETHERNET if linktype == "EN10MB" else ())
    found = []
    for text in texts:
        found.append(bpf.compile_filter(text, linktype, optimize=False))
        with suppress(bpf.ExpressionError):  # "arp" on raw IP rejects all packets
            found.append(bpf.compile_filter(text, linktype))
    if linktype == "EN10MB":
        found += [bpf.assemble(each.path.read_text()) for each in samples.filters]
    return tuple(found)


def later_fragment(fields: list[Span]) -> bool:
    """Whether scapy sees a fragment that is not the first."""
    return any(each.name in ("IP.frag", "Fragment.offset") and each.value for each in fields)


@pytest.mark.parametrize("capture", samples.names())
def test_a_byte_that_has_a_name_is_that_field_by_scapy(capture: str) -> None:
    checked = 0
    for program in programs(samples.captures[capture].linktype):
        account = explain(program)
        for packet, fields in dissected(capture):
            checked += names_hold(program, account, packet, fields)
    assert checked > 20


def names_hold(program: bpf.Program, account: Account, packet: Packet, fields: list[Span]) -> int:
    """Hold each named read of a run against scapy; how many there were."""
    checked = 0
    for step in program.trace(packet).steps:
        line = account.lines[step.pc]
        assert line.reached, (program.origin, step.pc)
        named = [each for each in line.fields if "." in each]
        if not step.reads or not named or (line.unless and later_fragment(fields)):
            continue
        read = step.reads[0]
        low, high = 8 * read.offset, 8 * (read.offset + read.size)
        there = {each.name for each in fields if each.start < high and each.stop > low}
        if not there and packet.wirelen > len(packet):
            continue  # scapy dissects no header that is cut off
        holds = any if "/" in (line.field or "") else all
        assert holds(name in there or name == "TCP.reserved" for name in named), (
            program.origin, step.pc, named, there, packet.data.hex()
        )  # fmt: skip
        checked += 1
    return checked


def fields_hold(said: Reason, fields: list[Span], cut: bool) -> int:
    """Each field that is named whole has the value that scapy finds; how many there were."""
    checked = 0
    for test in said.tests:
        name = test.field or ""
        if not re.fullmatch(r"[A-Z]\w*\.\w+", name) or name == "TCP.reserved":
            continue
        values = {each.value for each in fields if each.name == name}
        if not values and cut:
            continue  # scapy dissects no header that is cut off
        if name == "TCP.flags":  # scapy counts a ninth
            values = {value & 0xFF for value in values if value is not None}
        assert test.found in values, (said.sentence, name, test.found, values)
        checked += 1
    return checked


@st.composite
def crossed_programs(draw: st.DrawFn) -> bpf.Program:
    """Filters with some of their tests' ways led elsewhere, or turned round: ways meet anew."""
    whole = draw(st.sampled_from([each for each in programs("EN10MB") if len(each) > 4]))
    insns = list(whole.insns)
    tests = [pc for pc, insn in enumerate(insns) if insn.code & 7 == 5 and insn.code >> 4]
    for pc in draw(st.lists(st.sampled_from(tests), min_size=1, max_size=5)) if tests else []:
        room = st.integers(0, min(255, len(insns) - pc - 2))
        insn = insns[pc]
        ways = st.sampled_from([(insn.jf, insn.jt), (insn.jt, draw(room)), (draw(room), insn.jf)])
        jt, jf = draw(ways)
        insns[pc] = insn._replace(jt=jt, jf=jf)
    crossed = bpf.Program.from_insns(insns, linktype=whole.linktype)
    assume(not crossed.check())  # M[] may be read unwritten now
    return crossed


@settings(max_examples=150, deadline=None)
@given(crossed_programs(), st.sampled_from(["mixed", "fragments", "ip_options", "vlan"]))
def test_names_are_scapys_in_filters_whose_ways_were_crossed(
    program: bpf.Program, capture: str
) -> None:
    account = explain(program)
    for packet, fields in dissected(capture)[::3]:
        names_hold(program, account, packet, fields)
        fields_hold(why(program.trace(packet)), fields, len(packet) < packet.wirelen)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("icmp", {0: "Ether.type", 1: "Ether.type", 2: "IP.proto", 3: "IP.proto"}),
        (
            "ip[6:2] & 0x1fff != 0",
            {0: "Ether.type", 1: "Ether.type", 2: "IP.flags and IP.frag", 3: "IP.frag"},
        ),
        (
            "vlan 10",
            {0: "Ether.type", 1: "Ether.type", 2: "Ether.type", 3: "Ether.type",
             4: "VLAN.prio to VLAN.id", 5: "VLAN.id", 6: "VLAN.id"},
        ),
        ("len > 100", {0: "len", 1: "len"}),
        ("arp[6:2] = 1", {0: "Ether.type", 1: "Ether.type", 2: "ARP.op", 3: "ARP.op"}),
    ],
)  # fmt: skip
def test_fields_are_named_at_loads_and_tests(expression: str, names: dict[int, str]) -> None:
    said = explain(bpf.compile_filter(expression))
    assert {line.pc: line.field for line in said.lines if line.field} == names


def test_a_port_is_found_behind_a_header_of_any_length() -> None:
    p6 = explain(bpf.assemble(samples.filters["p6_tcp_port"].path.read_text()))
    assert [line.field for line in p6.lines if line.field][-2:] == ["TCP.dport", "TCP.dport"]
    assert "IP.ihl" in str([line.field for line in p6.lines])


def test_without_any_test_before_it_a_port_is_only_bytes() -> None:
    p5 = explain(bpf.assemble(samples.filters["p5_port_msh"].path.read_text()))
    assert not any(line.field for line in p5.lines)
    assert "the 2 bytes at 4*([14]&0xf) + 16" in p5.paragraphs[0].sentence


def test_where_ways_of_different_protocols_meet_a_byte_has_no_name() -> None:
    program = bpf.assemble(
        "ldh [12]\njeq #0x800, both, next\nnext: jeq #0x86dd, both, no\n"
        "both: ldb [23]\njeq #6, yes, no\nyes: ret #1\nno: ret #0"
    )
    lines = explain(program).lines
    assert (lines[0].field, lines[3].field) == ("Ether.type", None)
    assert lines[3].sentence == "byte 23 is read"
    assert lines[4].sentence == "byte 23: 6 is accepted at 5, anything else is rejected at 6"


def test_a_field_that_several_protocols_share_is_named_for_all_of_them() -> None:
    said = explain(bpf.compile_filter("ip and port 53"))
    assert "TCP/UDP/SCTP.sport" in {line.field for line in said.lines}


def test_a_later_fragment_is_spoken_of_where_nobody_looked() -> None:
    program = bpf.assemble(
        "ldh [12]\njeq #0x800, a, no\na: ldb [23]\njeq #6, b, no\n"
        "b: ldx 4*([14]&0xf)\nldh [x+16]\njeq #80, yes, no\nyes: ret #1\nno: ret #0"
    )
    said = explain(program)
    assert said.lines[5].field == "TCP.dport"
    assert said.lines[5].unless
    assert any("later fragment" in note for note in said.notes)
    assert not any(line.unless for line in explain(bpf.compile_filter("tcp port 80")).lines)


def test_bytes_tested_one_by_one_fix_a_protocol_too() -> None:
    program = bpf.assemble(
        "ldb [12]\njeq #8, a, no\na: ldb [13]\njeq #0, b, no\n"
        "b: ldb [23]\njeq #6, yes, no\nyes: ret #1\nno: ret #0"
    )
    assert explain(program).lines[4].field == "IP.proto"


def test_a_fixed_header_length_names_ports_at_fixed_offsets() -> None:
    program = bpf.assemble(
        "ldh [12]\njeq #0x800, a, no\na: ldb [14]\njeq #0x45, b, no\nb: ldb [23]\n"
        "jeq #17, c, no\nc: ldh [36]\njeq #53, yes, no\nyes: ret #1\nno: ret #0"
    )
    assert explain(program).lines[6].field == "UDP.dport"


@pytest.mark.parametrize(
    ("linktype", "fields"),
    [
        ("RAW", ["IP.proto"]),
        ("IPV4", ["IP.proto"]),
        ("LINUX_SLL", ["SLL.proto", "IP.proto"]),
        ("LINUX_SLL2", ["SLL2.proto", "IP.proto"]),
        ("NULL", ["Null.family", "IP.proto"]),
        ("LOOP", ["Loop.family", "IP.proto"]),
        ("PPP", ["PPP.proto", "IP.proto"]),
    ],
)
def test_other_link_types_have_names_too(linktype: str, fields: list[str]) -> None:
    said = explain(bpf.compile_filter("icmp", linktype))
    loads = [line.field for line in said.lines if line.field and "is read" in line.sentence]
    assert [each for each in loads if "version" not in each] == fields


def test_a_link_type_that_is_not_known_here_has_no_names_and_says_so() -> None:
    program = Program.from_insns(
        [(0x28, 0, 0, 12), (6, 0, 0, 0)], linktype=find("USB_LINUX").number
    )
    said = explain(program)
    assert said.lines[0].field is None
    assert "not known here" in said.notes[0]
    unknown = explain(Program.from_insns(program.insns))
    assert unknown.lines[0].field == "Ether.type"
    assert unknown.notes[0] == "the program has no link type: Ethernet is assumed"


def test_what_is_accepted_is_told_way_by_way() -> None:
    said = explain(bpf.compile_filter("icmp or arp", snaplen=96))
    assert said.accepted == (
        "(005) 96 bytes: Ether.type is 0x0800 (IPv4); IP.proto is 1 (ICMP)",
        "(005) 96 bytes: Ether.type is 0x0806 (ARP)",
    )
    assert explain(bpf.compile_filter("")).accepted == (
        "(000) 262144 bytes: whatever the packet is",
    )


def test_what_no_packet_reaches_is_said() -> None:
    program = bpf.assemble("ld #1\njeq #1, yes, no\nyes: ret #1\nno: ret #0")
    said = explain(program)
    assert not said.lines[3].reached
    assert said.lines[1].sentence == "A: always 0x1, so it is accepted at 2"


@settings(max_examples=150, deadline=None)
@given(near_legal_programs())
def test_no_program_makes_it_raise(program: Program) -> None:
    view = Explanation.of(explain(program))
    assert len(view.lines) == len(program)
    assert view.text()
    assert "<script" not in view.html()


@settings(max_examples=150, deadline=None)
@given(legal_programs() | close_programs())
def test_an_instruction_that_runs_was_said_to_be_reached(program: Program) -> None:
    lines = explain(program).lines
    for data in (b"", bytes(64), bytes(range(64)), b"\xff" * 64):
        assert all(lines[pc].reached for pc in follow(program, data)[0])


def value_of(term: Term, data: bytes) -> int | None:
    """A term's value in a packet; None where the packet does not have it."""
    if isinstance(term, Note):
        return len(data) if term.name == "len" else None
    return read(term, data)


def known_is_so(program: Program, states: tuple[State | None, ...], data: bytes) -> None:
    """Hold all that is known at each step of a run against the machine's registers."""
    for step in trace(program, data).steps:
        state = states[step.pc]
        assert state is not None
        for held, register in ((state.A, step.before.A), (state.X, step.before.X)):
            if held is not None:
                values = [value_of(term, data) for term in held.terms]
                if None not in values:
                    total = held.k + sum(each for each in values if each is not None)
                    assert total & MASK == register, (program, step)
        for term, known in state.facts.terms.items():
            value = value_of(term, data)
            assert value is None or known.permits(value), (program, step, term, known, value)
        for place, (mask, expected) in state.facts.bytes.items():
            byte = read(Bits(place, 1, 0xFF), data)
            assert byte is None or byte & mask == expected, (program, step, place)


@settings(max_examples=400, deadline=None)
@given(legal_programs() | close_programs(), packet_bytes() | close_packets())
def test_what_is_known_before_an_instruction_is_so_on_every_run(
    program: Program, data: bytes
) -> None:
    known_is_so(program, forward(program), data)


@pytest.mark.parametrize("capture", ["mixed", "ip_options", "fragments", "vlan", "raw", "any"])
def test_what_is_known_is_so_on_real_packets(capture: str) -> None:
    for program in programs(samples.captures[capture].linktype):
        states = forward(program)
        for packet in list(samples.open(capture))[:25]:
            known_is_so(program, states, packet.data)


def test_the_view_folds_escapes_and_can_be_saved(tmp_path: object) -> None:
    view = Explanation.of(explain(bpf.compile_filter("tcp port 80")))
    assert view.fields_by_pc()[16] == "TCP.dport"
    lines = view.text().splitlines()
    assert lines[0] == "accepted:"
    assert lines[1 + len(view.accepted)] == (
        "(000–001) Ether.type is read; 0x86dd (IPv6) goes on at 2, anything else goes on at 8"
    )
    html = view.html()
    assert "<style" not in html
    assert (
        "4*([14]&amp;0xf)"
        in Explanation.of(
            explain(bpf.assemble(samples.filters["p5_port_msh"].path.read_text()))
        ).html()
    )
