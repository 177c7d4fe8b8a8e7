"""The packet view: bytes, layers, fields, and what a program reads of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb import samples
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Read, trace
from bpfnb.packets.fields import Field, fields
from bpfnb.packets.packet import Packet
from bpfnb.views.packet import PacketBytes
from bpfnb.views.packet_layout import Layout
from bpfnb.views.reads import Reads, reads
from tests.strategies import legal_programs, packet_bytes

ICMP = Program.from_insns(
    [(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 1), (6, 0, 0, 262144),
     (6, 0, 0, 0)]
)  # fmt: skip
PORT = Program.from_insns([(0xB1, 0, 0, 14), (0x48, 0, 0, 16), (6, 0, 0, 1)])
IP = bytes.fromhex("45000018 00010000 4011 b6d0 c0000201 c0000202")
FRAME = bytes.fromhex("020000000002 020000000001 0800") + IP + b"abcd"
ARP = bytes.fromhex("ffffffffffff 020000000001 0806") + bytes(28)


def shown(data: bytes, program: Program = ICMP, *others: bytes, **more: Any) -> PacketBytes:
    traces = [trace(program, each) for each in others]
    return PacketBytes.of(trace(program, data), Packet(data, linktype=1, **more), traces)


def test_the_first_line_is_the_answer() -> None:
    assert shown(FRAME).answer() == "this program read 3 of 38 bytes: Ether.type, IP.proto"
    assert shown(ARP).answer() == "this program read 2 of 42 bytes: Ether.type"
    assert shown(FRAME, Program.from_insns([(6, 0, 0, 0)])).answer() == (
        "this program read none of 38 bytes"
    )
    cut = shown(FRAME, wirelen=1514)
    assert cut.answer().startswith("this program read 3 of 38 bytes captured of 1,514")
    assert PacketBytes(FRAME, fields(FRAME, 1)).answer() == "38 bytes: Ether, IP, UDP"
    assert PacketBytes(FRAME, fields(FRAME, 1), reads(ICMP)).answer() == (
        "this program can read 3 of 38 bytes: Ether.type, IP.proto"
    )


def test_a_load_past_the_end_is_part_of_the_answer() -> None:
    late = Program.from_insns([(0x20, 0, 0, 100), (6, 0, 0, 1)])
    assert shown(FRAME, late).answer() == (
        "this program read none of 38 bytes; (000) wanted bytes 100–103, past the end"
    )
    far = Program.from_insns([(0x20, 0, 0, 0xFFE00000), (6, 0, 0, 1)])
    assert "; (000) wanted 4 bytes at 0xffe00000" in shown(FRAME, far).answer()
    assert "not in this packet" in shown(FRAME, late).text()


def test_the_text_has_layers_bytes_marks_and_fields() -> None:
    text = shown(FRAME, ICMP, FRAME, ARP).text()
    assert text.splitlines()[:14] == [
        "this program read 3 of 38 bytes: Ether.type, IP.proto",
        "             0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15",
        "           ┌ Ether ─────────────────────────────────┐┌ IP ─",
        "   0 0x000   02 00 00 00 00 02 02 00 00 00 00 01[08 00]45 00",
        "            IP ────────────────────────────────────────────",
        "  16 0x010   00 18 00 01 00 00 40[11]b6 d0 c0 00 02 01 c0 00",
        "            IP ─┐┌ UDP ─────┐",
        "  32 0x020   02 02 61 62 63 64",
        "     [ ] read on this packet",
        "  bytes  field       value              read by  here  of 2 packets",
        "    0–5  Ether.dst   02:00:00:00:00:02",
        "   6–11  Ether.src   02:00:00:00:00:01",
        "  12–13  Ether.type  0x0800 (IPv4)      (000)    read  2",
        "     14  IP.version  4",
    ]
    assert "     23  IP.proto    17 (udp)           (002)    read  1" in text.splitlines()


def test_a_layer_that_a_row_cuts_in_two_has_its_name_over_both() -> None:
    tagged = FRAME[:12] + bytes.fromhex("8100000a") + FRAME[12:]
    rows = str(PacketBytes(tagged, fields(tagged, 1))).splitlines()
    assert rows[2].endswith("┐┌ VLAN")
    assert rows[4].strip().startswith("VLAN┐┌ IP ")


def test_bytes_that_another_run_would_read_are_marked_otherwise() -> None:
    text = shown(ARP).text()
    assert "01[08 06]00" in text
    assert "00(00)00" in text
    assert "( ) read on other ways through the program" in text
    html = shown(ARP).html()
    assert "1px dashed" in html
    assert "dashed: read on other ways" in html


def test_marks_that_touch_share_their_edge() -> None:
    both = Program.from_insns([(0x28, 0, 0, 0), (0x15, 0, 1, 0), (0x28, 0, 0, 2), (6, 0, 0, 0)])
    assert "[ff ff|ff ff)ff" in shown(ARP, both).text()


def test_loads_by_x_are_told_from_runs_only() -> None:
    known = reads(PORT)
    assert known.can == {14: (0,)}
    assert known.unsettled == (1,)
    assert known.places == {14}
    ran = reads(PORT, trace(PORT, FRAME), [trace(PORT, FRAME), trace(PORT, ARP)])
    assert ran.did == {14: (0,), 36: (1,), 37: (1,)}
    assert ran.times == {14: 2, 36: 1, 37: 1, 16: 1, 17: 1}
    assert ran.by(16) == (1,)
    assert "(001): its offset is known only when it runs" in shown(FRAME, PORT).text()


def test_loads_that_no_path_reaches_and_extensions_read_nothing() -> None:
    program = Program.from_insns(
        [(0x20, 0, 0, 0xFFFFF000), (6, 0, 0, 1), (0x20, 0, 0, 4), (6, 0, 0, 0)]
    )
    assert reads(program) == Reads()


def test_the_missed_load_is_known() -> None:
    late = Program.from_insns([(0x20, 0, 0, 100), (6, 0, 0, 1)])
    assert reads(late, trace(late, FRAME)).missed == (0, Read(100, 4))


def test_a_long_payload_is_left_out_and_its_size_said() -> None:
    data = FRAME[:14] + IP[:9] + b"\x3d" + IP[10:] + b"a" * 1400
    view = shown(data)
    assert view.layout.rows == (0, 1, 2, 3)
    assert "… 1,370 more bytes" in view.text()
    assert "1,370 more bytes" in view.html()
    deep = Program.from_insns([(0x30, 0, 0, 1000), (6, 0, 0, 0)])
    assert 1000 // 16 in shown(data, deep).layout.rows
    assert "Padding.load[962]" in shown(data, deep).answer()


def test_nothing_at_all_can_be_shown() -> None:
    assert PacketBytes(b"").text() == "0 bytes"
    assert (
        PacketBytes(b"", reads=reads(ICMP))
        .text()
        .startswith("this program can read none of 0 bytes")
    )
    assert "0 bytes" in PacketBytes(b"").html()
    assert "    0–2         \n" not in PacketBytes(b"abc").text()
    assert "bytes 0–2" in PacketBytes(b"abc").text()


def test_a_packet_of_no_link_type_is_read_as_the_programs() -> None:
    program = Program(ICMP.insns, linktype=1)
    view = PacketBytes.of(trace(program, FRAME), Packet(FRAME))
    assert view.answer().endswith("Ether.type, IP.proto")
    plain = PacketBytes.of(trace(ICMP, FRAME), Packet(FRAME))
    assert plain.answer().endswith("bytes 12–13, byte 23")


def test_layers_have_tones_of_their_own_and_payload_none() -> None:
    view = shown(FRAME[:36] + bytes.fromhex("0035 0035 000c 0000"))
    assert view.grid.tone("Ether") != view.grid.tone("IP")
    assert view.grid.tone("Raw") == view.grid.tone("no layer")


@pytest.mark.parametrize("name", ["tcp", "arp", "vlan", "ipv6", "any", "raw", "snapped", "stp"])
def test_the_html_is_well_formed_literal_and_the_same_each_time(name: str) -> None:
    for packet in list(samples.open(name))[:4]:
        view = PacketBytes.of(trace(ICMP, packet.data), packet)
        html = view.html()
        assert html == PacketBytes.of(trace(ICMP, packet.data), packet).html()
        root = ET.fromstring(f"<body>{html.replace('<br>', '<br/>')}</body>")
        assert {each.tag for each in root.iter()} <= {
            "body", "div", "table", "tbody", "thead", "tr", "td", "th", "span", "b", "br",
            "details", "summary",
        }  # fmt: skip
        assert "var(" not in html
        assert "class=" not in html
        assert not re.search(r"\b(color|background):#(fff|000)", html)


def test_what_a_packet_says_stays_text() -> None:
    data = FRAME[:14] + IP[:9] + b"\x3d" + IP[10:] + b"<script>alert('x')</script>\x1b[31m"
    view = shown(data, Program.from_insns([(0x30, 0, 0, 34), (6, 0, 0, 0)]))
    assert "<script" not in view.html()
    assert "\x1b" not in view.html()
    assert "\x1b" not in view.text()
    named = PacketBytes(b"a", (Field("<b>", "<i>", 0, 1, '"<script>'),), title="<script>")
    assert "<script" not in named.html()
    assert "<i>" not in named.html()


def test_every_field_has_its_line_with_name_and_value() -> None:
    packet = samples.open("tcp")[4]
    view = PacketBytes.of(trace(ICMP, packet.data), packet)
    text = view.text()
    for each in view.fields:
        assert re.search(rf"{re.escape(each.title)} +{re.escape(each.value)}", text)


@settings(deadline=None)
@given(legal_programs(), packet_bytes(), st.sampled_from([None, 1, 101]))
def test_any_run_can_be_shown(program: Program, data: bytes, linktype: int | None) -> None:
    run = trace(program, data)
    view = PacketBytes.of(run, Packet(data, linktype=linktype), [run])
    assert view.text() == view.text()
    assert view.html()
    layout = Layout(data, view.fields, view.reads)
    read = {
        k
        for step in run.steps
        for each in step.reads
        for k in range(each.offset, each.offset + each.size)
    }
    assert {k for k in range(len(data)) if layout.mark(k) == "did"} == read
    here = {
        k for line in layout.touched if line.here for k in range(line.start, line.start + line.size)
    }
    assert here == read
