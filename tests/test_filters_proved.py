"""Filters written by hand, the paper's and ours, proved against libpcap's for the same words."""

from __future__ import annotations

import pytest

from bpfnb import samples
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.program import Program
from bpfnb.pcap import compile_filter

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.equivalence import Counterexample, Proof, Question, equivalent

# Sample filter, expression, packets that matter: all where the last is empty.
PAIRS = [
    ("p1_ip", "ip", ""),
    ("p2_not_from", "ip and not src net 198.51.100.0/24 and not src net 203.0.113.0/24", ""),
    ("p4_port", "ip[2 * (ip[0] & 0xf) * 2 + 2 : 2] = 79", "ip"),
    ("p6_tcp_port", "ip and tcp dst port 79", ""),
    ("host_foo", "host 192.0.2.2", ""),
    ("fragment", "ip[6:2] & 0x3fff != 0", ""),
    ("tcp_syn", "tcp[tcpflags] & (tcp-syn | tcp-ack) == tcp-syn", ""),
    ("http_get", "tcp[(tcp[12] & 0xf0) >> 2 : 4] = 0x47455420", ""),
]


def hand_written(name: str) -> Program:
    return assemble(samples.filters[name].text, None, 1)


@pytest.mark.parametrize(("name", "expression", "given"), PAIRS, ids=[name for name, *_ in PAIRS])
@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "unoptimised"])
def test_a_filter_written_by_hand_accepts_what_libpcaps_does(
    name: str, expression: str, given: str, optimize: bool
) -> None:
    theirs = compile_filter(expression, "EN10MB", optimize=optimize)
    matter = compile_filter(given, "EN10MB") if given else None
    answer = equivalent(Question(hand_written(name), theirs, "verdict", matter))
    assert isinstance(answer, Proof), answer


def test_the_two_ways_to_a_port_are_one() -> None:
    question = Question(hand_written("p4_port"), hand_written("p5_port_msh"))
    assert isinstance(equivalent(question), Proof)


def test_libpcaps_vlan_looks_for_other_tags_too() -> None:
    answer = equivalent(Question(hand_written("vlan_10"), compile_filter("vlan 10", "EN10MB")))
    assert isinstance(answer, Counterexample)
    assert answer.found.data[12:14] in (b"\x88\xa8", b"\x91\x00")
