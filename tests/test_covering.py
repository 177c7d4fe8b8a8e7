"""Packets that take every branch: each is run, and what none takes is tried on small packets."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings

import bpfnb as bpf
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.covering import Branch, Covering, branches, covering_packets, taken


def assert_true(covering: Covering) -> None:
    """All that is claimed of the packets, by running them."""
    program = covering.program
    met: set[Branch] = set()
    for packet, takes in zip(covering, covering.takes, strict=True):
        assert taken(trace(program, packet.data, packet.wirelen, packet.ancillary)) == takes
        met |= takes
    assert met == set(covering.taken)
    assert met <= set(branches(program))
    assert met | {*covering.untaken, *covering.undecided} == set(branches(program))
    assert met.isdisjoint([*covering.untaken, *covering.undecided])
    for number in range(len(covering)):
        others = [each for at, each in enumerate(covering.takes) if at != number]
        assert covering.takes[number] - frozenset().union(*others), "a packet is not needed"
        assert covering.new(number)


@settings(max_examples=60, deadline=None)
@given(legal_programs() | close_programs(), packet_bytes() | close_packets())
def test_what_is_claimed_of_any_program_is_so(program: Program, data: bytes) -> None:
    covering = covering_packets(program)
    assert_true(covering)
    assert taken(trace(program, data)).isdisjoint(covering.untaken)
    if not covering.reason.startswith("where"):
        assert not covering.undecided


@settings(max_examples=40, deadline=None)
@given(close_programs(max_size=14))
def test_what_no_packet_takes_no_small_packet_takes(program: Program) -> None:
    covering = covering_packets(program, max_len=4)
    assert_true(covering)
    met: set[Branch] = set()
    for size in range(5):
        for octets in product((0, 1, 2, 3, 0x41), repeat=size):
            met |= taken(trace(program, bytes(octets)))
    assert met.isdisjoint(covering.untaken)
    assert met <= set(covering.taken)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize(
    "expression",
    ["icmp or arp", "tcp port 80", "host 192.0.2.1 and not port 22", "ip6 host fe80::1",
     "vlan 7 and udp", "tcp[tcpflags] & tcp-syn != 0 and len > 60"],
)  # fmt: skip
def test_filters_are_covered(expression: str, optimize: bool) -> None:
    program = bpf.compile_filter(expression, optimize=optimize)
    covering = covering_packets(program)
    assert_true(covering)
    assert not covering.undecided
    kinds = {each.way for each in covering.untaken}
    assert kinds <= ({"load"} if optimize else {"load", "true", "false"})


def test_every_end_of_a_program_is_a_branch() -> None:
    program = bpf.assemble(
        "ld ifidx\nldx #0\njeq #3, a, b\na: div x\nret a\nb: ldb [3]\ntax\nmod x\nret a"
    )
    covering = covering_packets(program)
    assert_true(covering)
    assert [str(each) for each in covering.taken] == [
        "(000) no device", "(002) false", "(002) true", "(003) by zero", "(005) past the end",
        "(007) by zero", "(008) ret",
    ]  # fmt: skip
    assert covering.untaken == (Branch(4, "ret"),)
    assert covering.sentence == (
        f"{len(covering)} packets take 7 of 8 branches; no packet of up to 262,144 bytes takes 1"
    )


def test_a_program_of_one_instruction() -> None:
    covering = covering_packets(bpf.assemble("ret #1"))
    assert covering.sentence == "1 packet takes the only branch"
    assert len(covering) == 1


def test_when_the_time_is_over_the_rest_is_open() -> None:
    covering = covering_packets(bpf.compile_filter("tcp port 80 or udp"), seconds=0)
    assert covering.undecided
    assert not covering.untaken
    assert "not decided within 0 s" in covering.sentence


def test_they_are_packets_to_run_and_to_give_to_others() -> None:
    program = bpf.compile_filter("tcp port 80")
    covering = bpf.covering_packets(program)
    assert len(program.run_many(covering)) == len(covering)
    assert {bool(ret) for ret in program.run_many(covering)} == {True, False}
    assert len(program.filter(covering)) == sum(program.run_many(covering) != 0)
    assert all(packet.linktype == 1 for packet in covering)
    assert covering[0] == next(iter(covering))
    assert len(covering[1:3]) == 2
    again = bpf.covering_packets(program)
    assert [each.data for each in again] == [each.data for each in covering]


def test_the_view_has_a_row_a_packet() -> None:
    program = bpf.compile_filter("icmp")
    view = bpf.covering_packets(program)
    text, html = str(view), view._repr_html_()
    assert text.splitlines()[0] == "5 packets take all 8 branches"
    assert len(text.splitlines()) == 7
    assert "(002) past the end" in text
    assert "(002) past the end" in html
    assert "✓" in html
    untaken = str(bpf.covering_packets(bpf.assemble("ld #1\njeq #2, a, b\na: ret #1\nb: ret #0")))
    assert untaken.endswith("no packet takes: (001) true, (002) ret")
