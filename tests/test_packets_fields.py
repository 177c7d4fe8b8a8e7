"""Fields and their bytes: what a span says is what its bytes hold, and nothing raises."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.config import conf
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import (
    ARP,
    LLC,
    STP,
    CookedLinux,
    CookedLinuxV2,
    Dot1AD,
    Dot1Q,
    Dot3,
    Ether,
)
from scapy.layers.sctp import SCTP
from scapy.layers.vxlan import VXLAN
from scapy.packet import NoPayload, Packet, Raw

import bpfnb as bpf
from bpfnb import samples
from bpfnb.analysis.naming.headers import HEADERS
from bpfnb.packets.fields import Field, at, fields
from bpfnb.packets.layer_names import NAMES, called
from bpfnb.packets.linktype import LINKTYPES, find

FRAME = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
NET = IP(src="192.0.2.1", dst="192.0.2.2")
NET6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
ASK = ARP(hwsrc="02:00:00:00:00:0a", psrc="192.0.2.1", pdst="192.0.2.2")

CRAFTED: dict[str, tuple[Packet, int]] = {
    "tcp": (FRAME / NET / TCP(sport=1, dport=80, seq=7, options=[("MSS", 1460)]) / b"GET /", 1),
    "udp": (FRAME / NET / UDP(sport=1, dport=40000) / bytes(9), 1),
    "icmp": (FRAME / NET / ICMP(id=7, seq=9) / b"abcd", 1),
    "icmp error": (FRAME / NET / ICMP(type=3, code=3) / NET / UDP(sport=5, dport=6), 1),
    "ip options": (
        FRAME
        / IP(src=NET.src, dst=NET.dst, options=[IPOption_RR(), IPOption_Router_Alert()])
        / UDP(sport=1, dport=2),
        1,
    ),
    "arp": (FRAME / ASK, 1),
    "vlan": (FRAME / Dot1Q(vlan=10, prio=5) / NET / TCP(sport=1, dport=2), 1),
    "qinq": (FRAME / Dot1AD(vlan=100) / Dot1Q(vlan=10) / ASK, 1),
    "ipv6": (FRAME / NET6 / UDP(sport=1, dport=2) / b"x", 1),
    "ipv6 extensions": (
        FRAME / NET6 / IPv6ExtHdrHopByHop(options=[RouterAlert()])
        / IPv6ExtHdrFragment(m=1, id=7) / UDP(sport=1, dport=2) / b"xyz",
        1,
    ),
    "ping6": (FRAME / NET6 / ICMPv6EchoRequest(id=1, seq=2, data=b"abc"), 1),
    "padding": (FRAME / NET / UDP(sport=1, dport=2) / b"x", 1),
    "tunnel": (NET / NET / UDP(sport=1, dport=2), 101),
    "vxlan": (FRAME / NET / UDP(sport=1, dport=4789) / VXLAN(vni=42) / FRAME / ASK, 1),
    "dns": (FRAME / NET / UDP(sport=1, dport=53) / DNS(id=3, qd=[DNSQR(qname="bob.example")]), 1),
    "bridge": (Dot3(src="02:00:00:00:00:0a", dst="01:80:c2:00:00:00") / LLC() / STP(), 1),
}  # fmt: skip


def made(name: str) -> tuple[bytes, int]:
    packet, linktype = CRAFTED[name]
    data = bytes(packet)
    return (data + bytes(60 - len(data)) if name == "padding" else data), linktype


def layers(packet: Packet) -> list[Any]:
    found = []
    while not isinstance(packet, NoPayload):
        found.append(packet)
        packet = packet.payload
    return found


def number(field: Field, data: bytes) -> int:
    """What stands in a field's bits."""
    whole = int.from_bytes(data[field.start : field.stop], "big")
    if field.width is None or field.bit is None:
        return whole
    return whole >> (8 * field.size - field.bit - field.width) & ((1 << field.width) - 1)


@pytest.mark.parametrize("name", CRAFTED)
def test_the_bytes_of_each_field_are_what_scapy_makes_of_its_value(name: str) -> None:
    """Asked the other way round: scapy writes each value, and it stands where we say."""
    data, linktype = made(name)
    kind: Any = {1: Ether, 101: IP}[linktype]
    spans = list(fields(data, linktype))
    met: dict[str, int] = {}
    for layer in layers(kind(data)):
        word = called(type(layer))
        met[word] = met.get(word, 0) + 1
        mine = word if met[word] == 1 else f"{word}:{met[word]}"
        for description in layer.fields_desc:
            value = layer.fields.get(description.name)
            title = NAMES.get(f"{word}.{description.name}", description.name)
            span = next((each for each in spans if each.title == f"{mine}.{title}"), None)
            if span is None:
                continue
            spans.remove(span)
            if span.width is None:
                written = description.addfield(layer, b"", value)
                written = written if isinstance(written, bytes) else b""
                assert not written or data[span.start : span.stop] == written, span
            else:
                assert number(span, data) == int(value), span
    assert not spans, "a field of no layer"


@pytest.mark.parametrize("name", CRAFTED)
def test_each_byte_is_in_a_field(name: str) -> None:
    data, linktype = made(name)
    inside = {at for each in fields(data, linktype) for at in range(each.start, each.stop)}
    assert inside == set(range(len(data)))


@pytest.mark.parametrize(
    ("name", "title", "start", "size", "value"),
    [
        ("tcp", "Ether.type", 12, 2, "0x0800 (IPv4)"),
        ("tcp", "IP.proto", 23, 1, "6 (tcp)"),
        ("tcp", "IP.src", 26, 4, "192.0.2.1"),
        ("tcp", "TCP.dport", 36, 2, "80"),
        ("tcp", "TCP.options", 54, 4, "MSS 1460"),
        ("tcp", "Raw.load", 58, 5, '"GET /"'),
        ("udp", "IP.proto", 23, 1, "17 (udp)"),
        ("udp", "UDP.dport", 36, 2, "40000"),
        ("udp", "Raw.load", 42, 9, "00 00 00 00 00 00 00 00 00"),
        ("icmp", "ICMP.type", 34, 1, "8 (echo-request)"),
        ("icmp error", "UDPerror.dport", 64, 2, "6"),
        ("icmp error", "IPerror.proto", 51, 1, "17 (udp)"),
        ("ip options", "IP.options", 34, 8, "IPOption_RR, IPOption_Router_Alert, IPOption_EOL"),
        ("ip options", "UDP.dport", 44, 2, "2"),
        ("arp", "ARP.op", 20, 2, "1 (who-has)"),
        ("arp", "ARP.psrc", 28, 4, "192.0.2.1"),
        ("vlan", "VLAN.type", 16, 2, "0x0800 (IPv4)"),
        ("vlan", "IP.proto", 27, 1, "6 (tcp)"),
        ("qinq", "VLAN.type", 16, 2, "0x8100 (802.1Q)"),
        ("ipv6", "IPv6.nh", 20, 1, "17 (UDP)"),
        ("ipv6", "IPv6.src", 22, 16, "2001:db8::1"),
        ("ipv6 extensions", "Fragment.id", 66, 4, "7"),
        ("ipv6 extensions", "UDP.dport", 72, 2, "2"),
        ("padding", "Padding.load", 43, 17, "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 …"),
        ("tunnel", "IP:2.src", 32, 4, "192.0.2.1"),
        ("vxlan", "Ether:2.type", 62, 2, "0x0806 (ARP)"),
        ("dns", "DNS.qd", 54, 17, "DNSQR"),
    ],
)  # fmt: skip
def test_fields_lie_where_the_protocols_say(
    name: str, title: str, start: int, size: int, value: str
) -> None:
    (found,) = [each for each in fields(*made(name)) if each.title == title]
    assert (found.start, found.size, found.value, found.width) == (start, size, value, None)


def test_a_byte_is_shared_by_its_bit_fields() -> None:
    found = {each.title: each for each in fields(*made("tcp"))}
    assert found["IP.version"] == Field("IP", "version", 14, 1, "4", 0, 4)
    assert found["IP.ihl"] == Field("IP", "ihl", 14, 1, "5", 4, 4)
    assert found["IP.flags"] == Field("IP", "flags", 20, 1, "0x0", 0, 3)
    assert found["IP.frag"] == Field("IP", "frag", 20, 2, "0", 3, 13)
    assert found["TCP.flags"].value == "0x002 (S)"
    tags = {each.title: each for each in fields(*made("vlan"))}
    assert tags["VLAN.prio"] == Field("VLAN", "prio", 14, 1, "5", 0, 3)
    assert tags["VLAN.id"] == Field("VLAN", "id", 14, 2, "10", 4, 12)


def test_bit_fields_of_bytes_turned_round_lie_in_the_byte_that_holds_them() -> None:
    """Bluetooth's ACL header: 0x2040 stands as 40 20, its highest bits in the second byte."""
    found = {each.name: each for each in fields(bytes.fromhex("02 40 20 08 00 04 00 04 00"), 187)}
    assert found["BC"] == Field("HCI_ACL_Hdr", "BC", 2, 1, "0", 0, 2)
    assert found["PB"] == Field("HCI_ACL_Hdr", "PB", 2, 1, "2", 2, 2)
    assert found["connection_handle"] == Field(
        "HCI_ACL_Hdr", "connection_handle", 1, 2, "64", 4, 12
    )


def test_fields_whose_reading_raises_any_exception_are_left_out() -> None:
    """Some of scapy's fields raise Exception itself; scapy catches it, and so do we."""
    for packet in (bytes.fromhex("61cc") + bytes(40), bytes.fromhex("41ff") + b"\xff" * 40):
        for linktype in (195, 230):
            assert_lawful(packet, linktype)


@pytest.mark.parametrize(
    ("offset", "size", "name"),
    [
        (23, 1, "IP.proto"),
        (26, 4, "IP.src"),
        (36, 2, "TCP.dport"),
        (12, 2, "Ether.type"),
        (14, 1, "IP.version, IP.ihl"),
        (20, 2, "IP.flags, IP.frag"),
        (20, 1, "IP.flags, IP.frag[0]"),
        (21, 1, "IP.frag[1]"),
        (8, 4, "Ether.src[2:4]"),
        (10, 4, "Ether.src[4:2], Ether.type"),
        (58, 2, "Raw.load[0:2]"),
        (60, 1, "Raw.load[2]"),
        (62, 4, "Raw.load[4], bytes 63–65"),
        (70, 2, "bytes 70–71"),
    ],
)
def test_a_read_has_a_name(offset: int, size: int, name: str) -> None:
    assert at(fields(*made("tcp")), offset, size) == name


def test_without_fields_a_read_is_named_by_its_bytes() -> None:
    assert fields(b"abc", None) == fields(b"abc", 117) == fields(b"", 1) == ()
    assert at((), 12, 2) == "bytes 12–13"


def test_the_packet_made_by_scapy_tells_the_layer_where_there_is_no_link_type() -> None:
    packet = UDP(sport=5, dport=6)
    assert fields(bytes(packet), None, packet)[1].title == "UDP.dport"


def test_a_header_cut_off_keeps_the_fields_that_are_whole() -> None:
    data, linktype = made("tcp")
    assert [each.title for each in fields(data[:9], linktype)] == ["Ether.dst", "Ether"]
    cut = fields(data[:41], linktype)
    assert [each.title for each in cut][-3:] == ["TCP.sport", "TCP.dport", "TCP"]
    assert at(cut, 36, 2) == "TCP.dport"
    assert at(cut, 38, 2) == "TCP[0:2]"
    assert at(fields(data[:30], linktype), 26, 4) == "IP.src"


def test_no_name_or_value_has_control_characters_or_comes_from_this_machine() -> None:
    data = bytes(FRAME / NET / TCP(sport=22, dport=80) / Raw(b"\x1b[31m\r\n<script>\xe2\x80\xae"))
    found = {each.title: each.value for each in fields(data, 1)}
    assert found["TCP.sport"] == "22"
    assert found["TCP.dport"] == "80"
    error = bytes(FRAME / NET / ICMP(type=3, code=3) / NET / UDP(sport=53, dport=80))
    said = {each.title: each.value for each in fields(error, 1)}
    assert said["UDPerror.dport"] == "80"
    for title, value in found.items():
        assert title.isprintable()
        assert value.isprintable()


def test_scapys_settings_are_left_as_they_were() -> None:
    before = (conf.noenum, conf.resolve, conf.debug_dissector, IP.proto.i2s)
    fields(*made("tcp"))
    fields(b"abc", 1)
    assert (conf.noenum, conf.resolve, conf.debug_dissector, IP.proto.i2s) == before


def assert_lawful(data: bytes, linktype: int | None) -> None:
    """In the packet, in order, apart from each other but for the bits of a byte; plain text."""
    found = fields(data, linktype)
    assert found == fields(data, linktype)
    for each in found:
        assert 0 <= each.start < each.stop <= len(data)
        assert f"{each.title}{each.value}".isprintable()
        assert (each.bit is None) == (each.width is None)
    for one, other in pairwise(found):
        assert one.start <= other.start
        assert one.stop <= other.start or (one.width and other.width), (one, other)


@pytest.mark.parametrize("sample", samples.names())
def test_fields_of_the_sample_captures_are_lawful_and_leave_nothing_out(sample: str) -> None:
    for packet in samples.open(sample):
        assert_lawful(packet.data, packet.linktype)
        inside = {
            at
            for each in fields(packet.data, packet.linktype)
            for at in range(each.start, each.stop)
        }
        assert inside == set(range(len(packet.data)))


PACKETS = [packet for sample in samples.captures for packet in list(sample.open())[:12]]


@settings(deadline=None)
@given(st.sampled_from(PACKETS), st.data())
def test_cut_off_anywhere_a_packets_fields_are_lawful(packet: Any, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(packet.data)))
    assert_lawful(packet.data[:cut], packet.linktype)


@settings(deadline=None)
@given(st.sampled_from(PACKETS), st.data())
def test_with_bytes_changed_a_packets_fields_are_lawful(packet: Any, data: st.DataObject) -> None:
    changed = bytearray(packet.data)
    for at_ in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=6)):
        changed[at_] = data.draw(st.integers(0, 255))
    assert_lawful(bytes(changed), packet.linktype)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([row.number for row in LINKTYPES] + [None, 60000]))
def test_no_bytes_of_any_link_type_raise(data: bytes, linktype: int | None) -> None:
    assert_lawful(data, linktype)


@given(st.integers(0, 80), st.integers(1, 8))
def test_a_name_says_all_bytes_of_a_read(offset: int, size: int) -> None:
    name = at(fields(*made("tcp")), offset, size)
    assert name
    assert name.isprintable()


MPLS = bytes.fromhex("02000000000b 02000000000a 8847") + bytes.fromhex("00064a40 00013b3f")


def test_mpls_has_fields_and_the_users_scapy_still_knows_nothing_of_it() -> None:
    import subprocess
    import sys

    data = MPLS + bytes(NET / UDP(sport=1, dport=2))
    found = {each.title: each for each in fields(data, 1)}
    assert found["MPLS.label"] == Field("MPLS", "label", 14, 3, "100", 0, 20)
    assert found["MPLS.s"].value == "0"
    assert found["MPLS:2.label"].value == "19"
    assert found["MPLS:2.cos"] == Field("MPLS:2", "cos", 20, 1, "5", 4, 3)
    assert found["MPLS:2.s"] == Field("MPLS:2", "s", 20, 1, "1", 7, 1)
    assert found["MPLS:2.ttl"] == Field("MPLS:2", "ttl", 21, 1, "63")
    assert found["IP.src"].start == 34
    assert found["UDP.dport"].value == "2"
    for cut in range(len(data)):
        assert_lawful(data[:cut], 1)
    code = (
        "import sys; from bpfnb.packets.fields import fields; "
        f"found = fields(bytes.fromhex('{data.hex()}'), 1); "
        "assert [each.title for each in found][3] == 'MPLS.label', found; "
        "from scapy.layers.l2 import Ether; "
        f"assert Ether(bytes.fromhex('{data.hex()}')).payload.name == 'Raw'; "
        "assert 'scapy.contrib.mpls' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Parts of a byte, which a load has whole and a test then masks; TCP's ninth flag, which the
# table counts to what is reserved; and a length, which only the packet tells from a type.
OTHERWISE = {
    ("IP.ihl", "IP.version, IP.ihl"),
    ("TCP.flags", "TCP.flags[1]"),
    ("TCP.dataofs, TCP.reserved", "TCP.dataofs, TCP.reserved, TCP.flags[0]"),
    ("Ether.type", "Ether.len"),
}
FRAMES: dict[str, tuple[bytes, str]] = {
    **{
        name: (bytes(packet), "EN10MB") if linktype == 1 else (bytes(packet), "RAW")
        for name, (packet, linktype) in CRAFTED.items()
        if linktype in (1, 101)
    },
    "sctp": (bytes(FRAME / NET / SCTP(sport=1, dport=2, tag=3) / b"12345678"), "EN10MB"),
    "sctp 6": (bytes(FRAME / NET6 / SCTP(sport=1, dport=2, tag=3) / b"12345678"), "EN10MB"),
    "neighbour": (bytes(FRAME / NET6 / ICMPv6ND_NS(tgt="2001:db8::2")), "EN10MB"),
    "mpls": (MPLS + bytes(NET / UDP()), "EN10MB"),
    "llc": (bytes(Dot3(src=FRAME.src, dst=FRAME.dst) / LLC() / STP()), "EN10MB"),
    "cooked": (bytes(CookedLinux(src=b"12345678") / NET / TCP(sport=1, dport=80)), "LINUX_SLL"),
    "cooked 2": (bytes(CookedLinuxV2(src=b"12345678") / NET / UDP(dport=53)), "LINUX_SLL2"),
    "cooked arp": (bytes(CookedLinuxV2(proto=0x806, src=b"12345678") / ASK), "LINUX_SLL2"),
    "raw": (bytes(NET / TCP(sport=1, dport=80)), "RAW"),
    "raw 6": (bytes(NET6 / UDP(sport=1, dport=53)), "RAW"),
    "ipv4": (bytes(NET / ICMP()), "IPV4"),
    "ipv6": (bytes(NET6 / ICMPv6EchoRequest()), "IPV6"),
    "null": (b"\0\0\0\2" + bytes(NET / TCP(dport=80)), "NULL"),
    "null, turned": (b"\2\0\0\0" + bytes(NET / TCP(dport=80)), "NULL"),
    "loop": (b"\0\0\0\2" + bytes(NET / UDP(dport=53)), "LOOP"),
    "loop 6": (b"\0\0\0\x18" + bytes(NET6 / UDP(dport=53)), "LOOP"),
    "ppp": (b"\xff\3\0\x21" + bytes(NET / TCP(dport=80)), "PPP"),
    "ppp serial": (b"\xff\3\0\x57" + bytes(NET6 / TCP(dport=80)), "PPP_SERIAL"),
}
ASKED = (
    "tcp port 80", "udp port 53", "icmp", "arp", "rarp", "host 192.0.2.1", "ip6", "icmp6",
    "sctp port 2", "ip[6:2] & 0x1fff != 0", "ip[8] > 1", "ip6[6] = 58", "ip6[6] = 44",
    "tcp[12] & 0xf0 != 0x50", "tcp[4:4] > 1", "udp[4:2] > 1", "icmp[icmptype] = 8",
    "icmp6[icmp6type] = 135", "icmp6[1] = 0", "arp[6:2] = 1", "ip6 host 2001:db8::1",
)  # fmt: skip
ASKED_ON_ETHERNET = (
    "vlan 10", "vlan 10 and ip", "vlan and vlan and arp", "mpls 100", "mpls", "llc", "stp",
    "ether host 02:00:00:00:00:0a", "ip6 proto 44",
)  # fmt: skip


def alike(said: str) -> str:
    """A name by `analysis.naming.headers` in the words of a dissection."""
    low, several, high = said.partition(" to ")
    if several:  # of a header's fields the first and the last
        fields_ = [f"{low.partition('.')[0]}.{each.name}" for each in
                   HEADERS[low.partition(".")[0]].fields]  # fmt: skip
        return ", ".join(fields_[fields_.index(low) : fields_.index(high) + 1])
    return said.replace(" and ", ", ")


@pytest.mark.parametrize("frame", FRAMES)
def test_explain_and_the_dissection_use_the_same_names(frame: str) -> None:
    data, linktype = FRAMES[frame]
    compared = 0
    found = fields(data, find(linktype).number)
    assert found
    for expression in ASKED + (ASKED_ON_ETHERNET if linktype == "EN10MB" else ()):
        try:
            program = bpf.compile_filter(expression, linktype, optimize=False)
        except bpf.ExpressionError:
            continue  # there is no ARP on RAW
        named = bpf.explain(program).fields_by_pc()
        for step in program.trace(data).steps:
            if step.reads and (said := named.get(step.pc)):
                (read,) = step.reads
                compared += names_agree(said, found, read.offset, read.size)
    assert compared > 9


def names_agree(said: str, found: tuple[Field, ...], offset: int, size: int) -> int:
    """Hold a name against the dissection of the bytes; 0 where scapy has none."""
    theirs = re.sub(r":\d+\.", ".", at(found, offset, size))
    layer, _, field = said.partition(".")
    ours = [f"{each}.{field}" for each in layer.split("/")] if field else [said]
    assert any(alike(each) == theirs or (alike(each), theirs) in OTHERWISE for each in ours), (
        said,
        theirs,
    )
    return 1


@pytest.mark.parametrize("sample", samples.names())
def test_names_are_the_same_on_real_packets(sample: str) -> None:
    capture = samples.open(sample)
    compared = 0
    for expression in ASKED:
        try:
            program = bpf.compile_filter(expression, capture.linktype or 1)
        except bpf.ExpressionError:
            continue
        named = bpf.explain(program).fields_by_pc()
        for packet in list(capture)[:12]:
            found = fields(packet.data, packet.linktype)
            for step in program.trace(packet).steps:
                if step.reads and (said := named.get(step.pc)):
                    (read,) = step.reads
                    compared += names_agree(said, found, read.offset, read.size)
    assert compared > 20
