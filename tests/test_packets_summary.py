"""Summaries by scapy: right, the same everywhere, and never an exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.config import conf
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from bpfnb.packets.dissect import summary
from bpfnb.packets.linktype import LINKTYPES
from bpfnb.packets.source import packets

FRAME = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
NET = IP(src="10.0.0.1", dst="10.0.0.2")


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (FRAME / NET / TCP(sport=20, dport=80), "Ether / IP / TCP 10.0.0.1:20 > 10.0.0.2:80 S"),
        (NET / UDP(sport=1024, dport=4000), "IP / UDP 10.0.0.1:1024 > 10.0.0.2:4000"),
        (FRAME / NET / ICMP(), "Ether / IP / ICMP 10.0.0.1 > 10.0.0.2 echo-request 0"),
        (NET.copy() / TCP(sport=20, dport=80), "IP / TCP 10.0.0.1:20 > 10.0.0.2:80 S"),
        (TCP(sport=20, dport=80), "TCP 20 > 80 S"),
    ],
)
def test_ports_are_numbers_whatever_this_machine_calls_them(packet: Ether, line: str) -> None:
    assert packets(packet).summary(0) == line


def test_protocols_have_names_that_do_not_come_from_this_machine() -> None:
    fragment = IP(src="10.0.0.1", dst="10.0.0.2", proto=17, frag=2) / b"abc"
    assert packets(fragment).summary(0).startswith("10.0.0.1 > 10.0.0.2 udp frag:2")
    assert "250" in packets(IP(src="10.0.0.1", dst="10.0.0.2", proto=250)).summary(0)


def test_scapys_settings_are_left_as_they_were() -> None:
    before = (conf.noenum, conf.resolve, conf.debug_dissector, IP.proto.i2s)
    conf.debug_dissector = True
    try:
        packets(FRAME / NET / TCP()).summary(0)
        assert conf.debug_dissector is True
    finally:
        conf.debug_dissector = before[2]
    assert (conf.noenum, conf.resolve, conf.debug_dissector, IP.proto.i2s) == before


def test_without_a_link_type_the_first_bytes_stand_for_the_layers() -> None:
    assert summary(b"", None) == "link type unknown, 0 bytes"
    assert summary(b"a", None) == "link type unknown, 1 byte: 61"
    long = summary(bytes(20), None)
    assert long == "link type unknown, 20 bytes: 0000 0000 0000 0000 0000 0000 0000 0000 …"
    assert summary(b"abc", 117).startswith("PFLOG, 3 bytes")
    assert summary(b"abc", 60000).startswith("LINKTYPE_60000, 3 bytes")


def test_no_bytes_are_no_packet_of_scapys_defaults() -> None:
    assert summary(b"", 1) == "EN10MB, 0 bytes"
    assert summary(b"", None, FRAME) == "link type unknown, 0 bytes"


def test_control_characters_and_endless_names_are_tamed() -> None:
    question = DNS(qd=DNSQR(qname=b"a\x1b[31m\n.example."))
    line = packets(FRAME / NET / UDP(dport=53) / question).summary(0)
    assert line.isprintable()
    tags = bytes.fromhex("ffffffffffff 020000000001") + bytes.fromhex("8100 0001") * 4000
    assert len(summary(tags, 1)) <= 160


LAYERS = [row.number for row in LINKTYPES if row.layer]
HEADS = [
    b"",
    bytes(FRAME),
    bytes(FRAME / NET / UDP(dport=53)),
    bytes(FRAME / NET / UDP(dport=161)),
    bytes(FRAME / NET / TCP(dport=445)),
    bytes(NET / UDP(dport=67)),
    bytes(FRAME)[:12] + b"\x86\xdd\x60\0\0\0\0\x20\0\xff",
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(LAYERS), st.sampled_from(HEADS), st.binary(max_size=300))
def test_no_bytes_make_a_summary_raise_or_waver(linktype: int, head: bytes, data: bytes) -> None:
    line = summary(head + data, linktype)
    assert line
    assert line.isprintable()
    assert line == summary(head + data, linktype)
