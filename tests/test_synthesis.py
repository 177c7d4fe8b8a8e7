"""Packets that were made: each is run, and looks as packets do."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

import bpfnb as bpf
from bpfnb.cbpf import machine
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.errors import PacketError, UnavailableError
from bpfnb.packets.dissect import layer_class
from bpfnb.packets.linktype import find
from bpfnb.samples import ALICE, BOB
from tests.strategies import close_packets, close_programs, legal_programs

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.naming.headers import ROOTS
from bpfnb.analysis.proving.usual import stack, usual
from bpfnb.analysis.proving.whole import checksum, layers, put_right
from bpfnb.analysis.synthesis import synthesize

WIRE = Ether(src=ALICE.mac, dst=BOB.mac) / IP(src=ALICE.ipv4, dst=BOB.ipv4)
LENGTHS = ("len", "chksum", "plen", "cksum")


def rebuilt(data: bytes, linktype: int) -> bytes:
    """The packet as scapy builds it, all lengths and checksums its own."""
    layer = layer_class(linktype)
    assert layer is not None
    packet: Any = layer(data)
    for kind in packet.layers():
        for name in LENGTHS:
            if name in packet[kind].fields:
                packet[kind].delfieldval(name)
    return bytes(packet)


@pytest.mark.parametrize("linktype", ROOTS)
def test_usual_packets_are_what_scapy_would_build(linktype: int) -> None:
    kinds = usual(linktype)
    assert len(kinds) >= 5
    assert len({each.data for each in kinds}) == len(kinds)
    for each in kinds:
        if "SCTP" not in each.layers:  # its checksum is left out here
            assert rebuilt(each.data, linktype) == each.data, each.layers


def test_usual_packets_have_the_layers_they_are_called_by() -> None:
    for each in usual(1):
        names = each.layers.partition(",")[0].split("/")
        if "fragment" not in each.layers:
            assert [layer.row.name for layer in layers(each.data, 1)][1:] == names
    assert usual(147) == usual(None) == ()


def test_stacks_of_layers_that_cannot_be_are_refused() -> None:
    for names, linktype, said in (
        ("IP/TPC", 1, "no layer 'TPC'"), ("ARP/TCP", 1, "ARP does not carry TCP"),
        ("TCP", 1, "name the layers between, as in 'IP/TCP'"),
        ("ARP", 101, "RAW begins with ARP"), ("", 1, "no layers"), ("IP/TCP", 147, "begins with"),
        ("IPv6/TCP", 228, "IPV4 begins with IPv6"),
    ):  # fmt: skip
        with pytest.raises(PacketError, match=said):
            stack(names, linktype)
    assert stack("ether/vlan/vlan/ipv6/udp")[12:22].hex() == "81000007810000078" + "6dd"[0:3]


@given(st.binary(max_size=120), st.sampled_from([*ROOTS, 147, None]))
def test_put_right_takes_any_bytes_and_once_is_enough(data: bytes, linktype: int | None) -> None:
    once = put_right(data, linktype)
    assert len(once) == len(data)
    assert put_right(once, linktype) == once


@given(st.binary(max_size=60))
def test_the_checksum_of_what_has_its_checksum_is_0(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + checksum(even).to_bytes(2, "big")) == 0


EXPRESSIONS = [
    "arp", "icmp", "tcp port 80", "udp portrange 1000-2000", "ip6 host fe80::1", "vlan 5 and ip",
    "net 10.0.0.0/8 and dst port 53", "greater 1000", "less 20", "icmp6[0] = 135", "ip proto 47",
    "tcp[tcpflags] & tcp-syn != 0 and host 192.0.2.77", "ether multicast", "ip[2:2] > 100",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_made_is_accepted_and_nothing_shorter_is(expression: str) -> None:
    program = bpf.compile_filter(expression)
    made = synthesize(program)
    assert made
    assert made.packet is not None
    assert program.run(made.packet) == program.run(made.data) == made.trace.ret != 0
    size = len(made.data)
    assert not size or not synthesize(program, max_len=size - 1).packet or expression == "less 20"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_rejected_one_and_each_pc(expression: str) -> None:
    program = bpf.compile_filter(expression)
    rejected = synthesize(program, accept=False)
    assert rejected.trace.ret == 0
    for pc in range(len(program)):
        made = synthesize(program, reaches=pc)
        assert made, made.sentence
        assert pc in made.trace.path


@pytest.mark.parametrize(
    ("expression", "names"),
    [("tcp port 443", "IP/TCP"), ("tcp port 443", "IPv6/TCP"), ("host 192.0.2.77", "IP/UDP"),
     ("vlan and udp port 53", "VLAN/IP/UDP"), ("ip[0] & 0xf > 5", "IP/ICMP"),
     ("greater 500", "IPv6/ICMPv6"), ("ip[2:2] > 300", "IP/UDP"), ("arp[6:2] = 2", "ARP")],
)  # fmt: skip
def test_with_layers_it_is_whole_and_valid(expression: str, names: str) -> None:
    program = bpf.compile_filter(expression)
    made = synthesize(program, layers=names)
    assert made.trace.ret
    assert [each.row.name for each in layers(made.data, 1)][1:] == names.split("/")
    assert rebuilt(made.data, 1) == made.data


def test_scapys_layers_keep_what_they_say() -> None:
    program = bpf.compile_filter("tcp port 443")
    made = synthesize(program, layers=IP(src="192.0.2.8", dst="192.0.2.9") / TCP(sport=5, dport=6))
    packet = Ether(made.data)
    assert (packet[IP].src, packet[IP].dst) == ("192.0.2.8", "192.0.2.9")
    assert 443 in (packet[TCP].sport, packet[TCP].dport)
    assert rebuilt(made.data, 1) == made.data


def test_layers_that_a_filter_never_accepts_are_a_proof() -> None:
    made = synthesize(bpf.compile_filter("tcp port 80"), layers="IP/UDP")
    assert not made
    assert made.packet is None
    assert made.sentence.startswith("no IP/UDP packet of up to 262,144 bytes is accepted")
    with pytest.raises(bpf.BpfError, match="no IP/UDP packet"):
        _ = made.data


def test_like_a_packet_changes_as_little_as_can_be() -> None:
    given = bytes(WIRE / UDP(sport=5000, dport=5001) / b"payload")
    made = synthesize(bpf.compile_filter("udp dst port 53"), like=given)
    assert len(made.data) == len(given)
    assert [at for at in range(len(given)) if made.data[at] != given[at]] == [36, 37]
    assert (
        made.sentence == f"this packet of {len(given)} bytes is accepted; 2 bytes of it are changed"
    )
    same = synthesize(bpf.compile_filter("udp"), like=WIRE / UDP(sport=5000, dport=5001))
    assert same.sentence.endswith("is accepted, as it was given")
    longer = synthesize(bpf.compile_filter("udp[100] = 7"), like=given)
    assert longer.data.startswith(given)
    assert longer.data[134] == 7
    shorter = synthesize(bpf.compile_filter("less 20 and arp"), like=given)
    assert shorter.data[:12] == given[:12]


def test_what_cannot_be_says_which_test_is_in_the_way() -> None:
    program = bpf.assemble(
        "ldh [12]\njeq #0x800, again, drop\nagain: ldh [12]\n"
        "jeq #0x806, keep, drop\nkeep: ret #5\ndrop: ret #0"
    )
    made = synthesize(program)
    assert made.sentence == (
        "no packet of up to 262,144 bytes is accepted: (003) jeq #0x806 is never true"
    )
    assert made.blamed == (3,)
    assert synthesize(program, reaches="keep").blamed == (3,)
    assert synthesize(program, reaches="again").trace.path[-2:] == (3, 5)
    past = synthesize(bpf.assemble("ld [5000]\nret #1"), max_len=100)
    assert past.sentence.endswith("(000) ld [5000] is always the end")
    with pytest.raises(bpf.BpfError, match="no label 'nowhere'"):
        synthesize(program, reaches="nowhere")
    with pytest.raises(bpf.BpfError, match="its pcs are 0–5"):
        synthesize(program, reaches=6)


NOTED = [
    ("ld mark\njeq #7, a, b\na: ret #1\nb: ret #0", {"mark": 7}),
    ("ld ifidx\njeq #3, a, b\na: ret #1\nb: ret #0", {"ifindex": 3}),
    ("ld vlan_avail\njeq #1, a, b\na: ret #1\nb: ret #0", {"vlan_present": 1}),
    ("ld rand\nst M[0]\nld rand\nldx M[0]\nsub x\njeq #3, a, b\na: ret #1\nb: ret #0", {}),
    ("ld poff\njeq #54, a, b\na: ret #1\nb: ret #0", {"proto": 0x800}),
]


@pytest.mark.parametrize(("text", "notes"), NOTED)
def test_what_the_kernel_would_know_comes_with_the_packet(text: str, notes: dict[str, int]) -> None:
    program = bpf.assemble(text)
    made = synthesize(program)
    assert made.packet is not None
    for _ in range(3):
        assert program.run(made.packet) == 1
    for name, value in notes.items():
        assert getattr(made.packet.ancillary, name) == value


def test_notes_are_those_of_the_packet_where_they_are_free() -> None:
    program = bpf.assemble("ld proto\njeq #0x86dd, a, b\na: ldh [12]\nret a\nb: ret #0", linktype=1)
    made = synthesize(program)
    assert made.packet is not None
    assert made.packet.data[12:14] == b"\x86\xdd"


def test_by_libpcaps_rules_it_is_libpcap_that_runs_it() -> None:
    program = bpf.assemble("ld #1\nldx #40\nlsh x\njeq #0, a, b\na: ret #1\nb: ret #0")
    assert synthesize(program, rules="libpcap")
    assert not synthesize(program)
    assert synthesize(program, rules="libpcap", reaches="a")


@settings(max_examples=150, deadline=None)
@given(close_programs(max_size=12) | legal_programs(max_size=10), st.data())
def test_any_program_gets_what_can_be(program: Program, data: st.DataObject) -> None:
    like = data.draw(close_packets())
    ran = trace(program, like)
    reaches = data.draw(st.sampled_from(ran.path))
    assume(not any(insn.k >= 0xFFF00000 for insn in program.insns))
    by_pc = synthesize(program, reaches=reaches)
    assert reaches in by_pc.trace.path
    assert len(by_pc.data) <= len(like)
    assert ran.ret is not None
    by_ret = synthesize(program, ret=ran.ret)
    assert by_ret.packet is not None
    assert machine.run(program, by_ret.data, by_ret.packet.wirelen) == ran.ret
    near = synthesize(program, ret=ran.ret, like=like)
    assert near.data == like


def test_the_view_shows_bytes_fields_and_scapys_words() -> None:
    made = bpf.synthesize(bpf.compile_filter("tcp port 443"), layers="IP/TCP")
    text, html = str(made), made._repr_html_()
    assert text.startswith("✓ this packet of 54 bytes, IP/TCP, is accepted\n  Ether / IP / TCP ")
    assert "TCP.dport     443" in text
    assert "is accepted" in html
    none = bpf.synthesize(bpf.compile_filter("tcp"), ret=3)
    assert str(none) == "✗ no packet of up to 262,144 bytes gets ret 3"
    assert "no packet of up to" in none._repr_html_()
    notes = str(bpf.synthesize(bpf.assemble(NOTED[0][0])))
    assert "  no bytes at all\n  with mark = 7" in notes


def test_without_z3_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("bpfnb.analysis."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(UnavailableError, match="z3, which is not installed"):
        importlib.import_module("bpfnb.analysis.synthesis")


def test_link_types_by_name() -> None:
    for name in ("RAW", "LINUX_SLL2", "NULL", "PPP"):
        program = bpf.compile_filter("udp", linktype=name)
        made = synthesize(program, layers="IP/UDP")
        assert made.packet is not None
        assert made.packet.linktype == find(name).number
        assert rebuilt(made.data, find(name).number) == made.data
