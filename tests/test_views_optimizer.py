"""libpcap's optimiser off and on: numbers, signs, verdicts."""

from __future__ import annotations

import dataclasses

import bpfnb as bpf
from bpfnb.cbpf.program import Program
from bpfnb.packets.source import packets
from bpfnb.views.optimizer import Measured, Optimizer, way

ICMP = bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x01" + bytes(18)
ARP = bytes(12) + b"\x08\x06" + bytes(28)


TWO = """\
6 instructions became 5; longest way 5 → 4
− stands only before, + only after: compared in order, without targets

optimiser off: 6 instructions                 optimiser on: 5 instructions
  (000) ldh      [12]                           (000) ldh      [12]
  (001) jeq      #0x800           jt 4 jf 2     (001) jeq      #0x800           jt 3 jf 2
− (002) ldh      [12]                           (002) jeq      #0x806           jt 3 jf 4
  (003) jeq      #0x806           jt 4 jf 5     (003) ret      #262144
  (004) ret      #262144                        (004) ret      #0
  (005) ret      #0"""


def test_numbers_come_first_and_signs_mark_what_only_one_has() -> None:
    assert bpf.optimizer("ip or arp").text() == TWO


def test_nothing_changed_is_said() -> None:
    said = bpf.optimizer("ip").headline()
    assert said == "the optimiser changed nothing: 4 instructions, longest way 3"


def test_on_packets_it_says_what_ran_and_that_verdicts_are_the_same() -> None:
    found = bpf.optimizer("ip or arp", [ICMP, ARP])
    assert found.measured == Measured(2, 3 + 5, 3 + 4)
    assert (
        "on 2 packets: 4.0 instructions each became 3.5; ✓ the same verdict on all" in found.text()
    )
    assert "✓</b> the same verdict on all" in found.html()


def test_another_verdict_is_said_loudly() -> None:
    yes, no = (Program.from_insns([(6, 0, 0, k)]) for k in (1, 0))
    measured = Measured.of(yes, no, packets([ICMP] * 7))
    assert measured.differences == 7
    said = Optimizer(yes, no, measured=measured).text()
    assert "✗ the verdicts differ on 7 packets: 1, 2, 3, 4, 5, …" in said


def test_only_the_first_packets_are_run_and_it_is_said() -> None:
    measured = dataclasses.replace(Measured(10, 20, 20), left_out=90)
    assert measured.sentence().startswith("on the first 10 of 100 packets: 2.0 instructions")
    assert Measured(0, 0, 0).sentence() == "no packets to run on"


def test_the_longest_way_is_counted_in_instructions() -> None:
    assert way(bpf.compile_filter("host 192.0.2.1")) == "9"
    assert way(Program.from_insns([(0x05, 0, 0, 0xFFFFFFFF)])) == "without end"
    assert way(Program(())) == "0"


def test_html_is_static_with_both_graphs_and_escaped() -> None:
    found = Optimizer(*bpf.optimizer("ip or arp").programs, expression="<b>x</b>")
    html = found.html()
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert html.count('<img alt="control flow graph: optimiser o') == 2
    assert "flex-wrap:wrap" in html
    assert "var(--" not in html
    assert html == found.html()
