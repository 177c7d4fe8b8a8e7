"""The public face: what `import bpfnb as bpf` gives, as people use it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.plist import PacketList

import bpfnb as bpf
from bpfnb.samples import ALICE, BOB

WIRE = Ether(src=ALICE.mac, dst=BOB.mac) / IP(src=ALICE.ipv4, dst=BOB.ipv4)
PING, DATAGRAM = WIRE / ICMP(), WIRE / UDP(sport=5000, dport=53)


@pytest.fixture
def icmp() -> bpf.Program:
    return bpf.compile_filter("icmp")


def test_every_public_name_is_there() -> None:
    for name in bpf.__all__:
        assert getattr(bpf, name) is not None
        assert not isinstance(getattr(bpf, name), ModuleType) or name == "samples"
    assert set(bpf.__all__) <= set(dir(bpf))
    with pytest.raises(AttributeError, match="nonsense"):
        bpf.__getattr__("nonsense")


def test_a_program_is_a_value(icmp: bpf.Program) -> None:
    again = bpf.assemble(str(icmp))
    assert again == icmp
    assert hash(again) == hash(icmp)
    assert bpf.Program.from_insns(icmp.insns) == bpf.Program.from_bytes(bytes(icmp)) == icmp
    assert len(icmp) == 6
    assert repr(icmp) == "<Program: 6 instructions, icmp>"
    assert str(icmp) == icmp.text("tcpdump") == icmp.text()


def test_a_program_runs_on_scapy_bytes_and_many(icmp: bpf.Program) -> None:
    assert icmp.run(PING) == icmp.run(bytes(PING)) == 262144
    assert icmp.run(DATAGRAM) == 0
    assert icmp.run_many([PING, DATAGRAM]).tolist() == [262144, 0]
    assert icmp.run(PING, backend="linux") == 262144


def test_filter_gives_back_the_type_it_was_given(icmp: bpf.Program) -> None:
    assert icmp.filter([PING, DATAGRAM]) == [PING]
    assert icmp.filter([bytes(PING), bytes(DATAGRAM)]) == [bytes(PING)]
    listed = icmp.filter(PacketList([PING, DATAGRAM]))
    assert isinstance(listed, PacketList)
    assert list(listed) == [PING]


def test_wirelen_and_notes_can_be_given() -> None:
    assert bpf.assemble("ld #len\nret a").run(b"abc", wirelen=1500) == 1500
    mark = bpf.assemble("ld mark\nret a")
    assert mark.run(b"", ancillary=bpf.Ancillary(mark=7)) == 7


def test_a_filter_for_another_link_type_is_refused(icmp: bpf.Program) -> None:
    with pytest.raises(bpf.BpfError, match=r"EN10MB.*RAW|RAW.*EN10MB"):
        icmp.run(IP(src=ALICE.ipv4, dst=BOB.ipv4) / ICMP())
    raw = bpf.compile_filter("icmp", linktype="RAW")
    assert raw.run(IP(src=ALICE.ipv4, dst=BOB.ipv4) / ICMP()) == 262144


def test_an_illegal_program_runs_only_when_asked_and_not_for_ever() -> None:
    loop = bpf.assemble("again: ja again\nret #0")
    with pytest.raises(bpf.CheckError) as caught:
        loop.run(b"")
    assert [fault.rule for fault in caught.value.faults] == ["jump_target"]
    with pytest.raises(bpf.RunError, match="may loop"):
        loop.run(b"", check=False)
    assert loop.trace(b"", check=False).loop == (0,)
    assert bpf.assemble("lsh #33\nret #5").run(b"", check=False) == 5


def test_a_trace_has_its_packet_and_shows_itself(icmp: bpf.Program) -> None:
    trace = icmp.trace(DATAGRAM)
    assert trace.ret == icmp.run(DATAGRAM) == 0
    assert trace.path == (0, 1, 2, 3, 5)
    assert trace.packet.data == bytes(DATAGRAM)
    assert "A == 0x1 is false, go to 5" in str(trace)
    assert "jt" in str(trace.log())
    assert "Ether.type, IP.proto" in str(trace.bytes())


class Balance(HTMLParser):
    """Counts that every element is closed."""

    VOID = ("br", "img", "hr", "col")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_programs_and_traces_show_themselves_as_html(icmp: bpf.Program) -> None:
    for shown in (icmp, icmp.trace(PING), bpf.assemble("s: ret #0")):
        parser = Balance()
        parser.feed(shown._repr_html_())
        assert parser.open == []


def test_pictures_and_listings_are_saved(icmp: bpf.Program, tmp_path: Path) -> None:
    assert "<svg" in icmp.save(tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert str(icmp) in icmp.save(tmp_path / "listing.txt").read_text(encoding="utf-8")
    assert "<table" in icmp.trace(PING).save(tmp_path / "trace.html").read_text(encoding="utf-8")
    with pytest.raises(bpf.BpfError, match=r"\.pdf"):
        icmp.save(tmp_path / "listing.pdf")


def test_one_packet_is_wanted_where_one_is_meant(icmp: bpf.Program) -> None:
    with pytest.raises(bpf.BpfError, match="run_many"):
        icmp.run([PING, DATAGRAM])


LISTED = "(000) ldh [12]\n(001) jeq #0x806 jt 2 jf 3\n(002) ret #262144\n(003) ret #0"


def test_a_text_is_a_program_where_one_is_wanted() -> None:
    assert bpf.why("icmp", DATAGRAM).sentence == bpf.compile_filter("icmp").why(DATAGRAM).sentence
    assert bpf.why("icmp", IP() / ICMP()).accepted  # compiled for the packet's own link type
    assert bpf.explain(LISTED).lines[0].field == "Ether.type"
    assert bpf.debug("icmp", PING).program == bpf.compile_filter("icmp")


def test_proofs_take_texts_too() -> None:
    pytest.importorskip("z3")
    raw = bpf.compile_filter("udp", linktype="RAW")
    assert bpf.equivalent("arp", LISTED)
    assert bpf.equivalent("udp", raw), "an expression is for the other one's packets"
    assert not bpf.equivalent("udp", "udp or arp")
    assert bpf.equivalent("udp", "udp or arp", given="not arp", complete=True)
    assert bpf.diff("arp", LISTED).differs is False
    assert bpf.synthesize(LISTED).data.hex().endswith("0806")
    assert len(bpf.covering_packets("arp")) == 3
    assert not bpf.lint("arp").remarks


def test_what_is_no_program_is_refused_in_words(icmp: bpf.Program) -> None:
    number: Any = 3
    for call in (bpf.explain, bpf.lint, bpf.synthesize, bpf.covering_packets):
        with pytest.raises(bpf.BpfError, match="a program is wanted here, not an int"):
            call(number)
    packet: Any = PING
    with pytest.raises(bpf.BpfError, match="a program is wanted here, not an Ether"):
        bpf.why(packet, icmp)  # the wrong way round
    with pytest.raises(bpf.BpfError, match="a program is wanted here, not an Ether"):
        bpf.equivalent(icmp, packet)
    with pytest.raises(bpf.BpfError, match="not of text") as caught:
        bpf.Program("icmp")  # type: ignore[arg-type]
    assert "compile_filter" in caught.value.hint
    with pytest.raises(bpf.BpfError, match="a program's text is wanted, not a list"):
        bpf.assemble(["ret #0"])  # type: ignore[arg-type]
    with pytest.raises(bpf.AssemblyError, match="this is a filter expression") as said:
        bpf.assemble("udp port 53")
    assert "compile_filter('udp port 53')" in said.value.hint


def test_programs_for_different_packets_are_not_compared(icmp: bpf.Program) -> None:
    raw = bpf.compile_filter("icmp", linktype="RAW")
    for compare in (bpf.equivalent, bpf.diff):
        with pytest.raises(bpf.BpfError, match="made for different packets: EN10MB and RAW"):
            compare(icmp, raw)


def test_a_way_to_be_the_same_that_there_is_none_is_refused(icmp: bpf.Program) -> None:
    with pytest.raises(bpf.BpfError, match="same is 'verdicts'") as caught:
        bpf.equivalent(icmp, icmp, same="verdicts")  # type: ignore[arg-type]
    assert caught.value.hint == "did you mean verdict?"
