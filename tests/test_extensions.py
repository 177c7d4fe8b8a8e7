"""Linux's extensions: ours against the running kernel, on a socket pair and on a wire.

On the wire, a veth pair in a network namespace of its own, an AF_PACKET socket
shows what a socket pair cannot: protocol, packet type, device, VLAN tag, headers.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw

from bpfnb.cbpf.ancillary import EXTENSIONS, UNIX_SOCKET, Ancillary, derive
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.payload import find_attribute, find_nested_attribute, payload_offset
from bpfnb.cbpf.program import Program
from bpfnb.linux.probe import attempt, namespaces, packet_sockets, socket_filters
from bpfnb.linux.readout import digit_bits, rets
from tests.strategies import attributes

EN10MB, RAW, IPV4, IPV6, SLL, SLL2 = 1, 101, 228, 229, 113, 276
FILTERS = attempt("socket filters", socket_filters)
on_a_pair = pytest.mark.skipif(not FILTERS.works, reason=f"socket filters: {FILTERS.reason}")

SCRIPT = Path(__file__).with_name("veth_frames.py")
TO_US, FROM = "02:00:00:00:00:0b", "02:00:00:00:00:0a"


# nla and nlan


@on_a_pair
@settings(max_examples=150, deadline=None)
@given(attributes(), st.integers(0, 60), st.integers(0, 6) | st.sampled_from([0x4002, 0x10001]))
def test_nla_and_nlan_agree_with_the_kernel(data: bytes, a: int, x: int) -> None:
    for name, ours in (("nla", find_attribute), ("nlan", find_nested_attribute)):
        program = assemble(f"ldx #{x}\nld #{a}\nld {name}\nret a")
        assert ours(data, a, x) == rets(program, [data])[0]


def nlattr(kind: int, payload: bytes = b"") -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(-len(payload) % 4)


def test_an_attribute_is_found_by_its_type_without_flags() -> None:
    data = nlattr(1, b"abc") + nlattr(0x8002, nlattr(5) + nlattr(6, b"z"))
    assert find_attribute(data, 0, 2) == 8
    assert find_attribute(data, 0, 0x8002) == 0
    assert find_nested_attribute(data, 8, 6) == 16
    assert find_nested_attribute(data, 8, 1) == 0
    assert find_attribute(data, len(data), 1) == 0


# poff and what else a frame's own bytes tell


def frames() -> dict[str, bytes]:
    """A frame of each kind that the dissector tells apart, by a sentence."""
    ether = Ether(dst=TO_US, src=FROM)
    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    ip6 = IPv6(src="fe80::1", dst="fe80::2")
    tcp, udp, load = TCP(sport=1, dport=2), UDP(sport=1, dport=2), Raw(b"payload" * 4)
    routing = IPv6ExtHdrRouting(addresses=["fe80::9"])
    made: dict[str, Packet] = {
        "TCP": ether / ip / tcp / load,
        "TCP with options": ether / ip / TCP(options=[("MSS", 1460), ("NOP", None)] * 2) / load,
        "TCP, IPv4 options": ether / IP(src="10.0.0.1", options=[IPOption_NOP()] * 8) / tcp / load,
        "UDP": ether / ip / udp / load,
        "UDP-Lite": ether / ip.copy() / Raw(bytes(8)) / load,
        "ICMP": ether / ip / ICMP() / load,
        "SCTP": ether / ip / SCTP(sport=1, dport=2) / load,
        "first fragment": ether / IP(src="10.0.0.1", flags="MF", proto=17) / udp / load,
        "later fragment": ether / IP(src="10.0.0.1", frag=3, proto=6) / load,
        "IPv4 in IPv4": ether / ip / ip / tcp / load,
        "IPv6 in IPv4": ether / ip / ip6 / udp / load,
        "IPv6 TCP": ether / ip6 / tcp / load,
        "ICMPv6": ether / ip6 / ICMPv6EchoRequest() / load,
        "hop by hop": ether / ip6 / IPv6ExtHdrHopByHop() / udp / load,
        "three extension headers": ether / ip6 / routing / IPv6ExtHdrDestOpt() / udp / load,
        "IPv6 first fragment": ether / ip6 / IPv6ExtHdrFragment(m=1) / udp / load,
        "IPv6 later fragment": ether / ip6 / IPv6ExtHdrFragment(offset=9, nh=17) / load,
        "no next header": ether / IPv6(src="fe80::1", dst="fe80::2", nh=59) / load,
        "one tag": ether / Dot1Q(vlan=5, prio=3) / ip / udp / load,
        "two tags": ether / Dot1AD(vlan=7) / Dot1Q(vlan=5) / ip / tcp / load,
        "three tags": ether / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / ip / udp / load,
        "ARP": ether / ARP(hwsrc=FROM, psrc="10.0.0.1", pdst="10.0.0.2") / load,
        "broadcast": Ether(dst="ff:ff:ff:ff:ff:ff", src=FROM) / ip / udp / load,
        "multicast": Ether(dst="01:00:5e:00:00:01", src=FROM) / ip / udp / load,
        "802.3 with LLC": Dot3(dst=TO_US, src=FROM) / Raw(b"\x42\x42\x03" + bytes(40)),
        "802.3 without LLC": Dot3(dst=TO_US, src=FROM) / Raw(b"\xff\xff" + bytes(40)),
        "MPLS": Ether(dst=TO_US, src=FROM, type=0x8847) / Raw(b"\x00\x01\x01\x40") / ip / udp,
        "an unknown EtherType": Ether(dst=TO_US, src=FROM, type=0x9000) / load,
        "header length of 16": ether / IP(src="10.0.0.1", ihl=4, proto=17) / udp / load,
    }
    all_of_them = {name: bytes(packet) for name, packet in made.items()}
    udp_lite = bytearray(all_of_them["UDP-Lite"])
    udp_lite[23] = 136
    cut = {
        "cut in the IPv4 header": all_of_them["TCP"][:30],
        "cut in the TCP header": all_of_them["TCP"][:44],
        "cut before TCP's header length": all_of_them["TCP"][:46],
        "cut in the IPv6 header": all_of_them["IPv6 TCP"][:50],
        "cut in an extension header": all_of_them["hop by hop"][:55],
        "cut in the second tag": all_of_them["two tags"][:20],
        "twenty extension headers": tower(20),
        "fourteen extension headers": tower(14),
        "many tags": all_of_them["UDP"][:12] + b"\x81\0\0\x05" * 20 + all_of_them["UDP"][12:],
    }
    return {**all_of_them, "UDP-Lite": bytes(udp_lite), **cut}


def tower(height: int) -> bytes:
    """IPv6 with that many destination options headers before UDP."""
    data = bytes(Ether(dst=TO_US, src=FROM) / IPv6(src="fe80::1", dst="fe80::2", nh=60))
    return data + (b"\x3c" + bytes(7)) * (height - 1) + b"\x11" + bytes(7) + bytes(20)


def received(frame: bytes, ifindex: int) -> tuple[bytes, Ancillary]:
    """A frame as a filter on an AF_PACKET socket sees it: without its outer VLAN tag."""
    tpid, tci = int.from_bytes(frame[12:14], "big"), int.from_bytes(frame[14:16], "big")
    tagged = tpid in (0x8100, 0x88A8)
    seen = frame[:12] + frame[16:] if tagged else frame
    notes = replace(derive(seen, EN10MB), ifindex=ifindex)
    if tagged:
        notes = replace(notes, vlan_tci=tci, vlan_present=1, vlan_tpid=tpid)
    return seen, notes


READINGS = [
    "ld proto", "ld type", "ld ifidx", "ld hatype", "ld mark", "ld vlan_tci", "ld vlan_avail",
    "ld vlan_tpid", "ld poff", "ld len", "ldh [12]", "ldh [0xffe0000c]", "ldb [0xfff00000]",
    "ldh [0xfff00009]", "ldx #14\nldb [x + 0xffdffff2]", "ldx #4\nldh [x + 0xffeffffe]",
    "ldx #9\nldb [x + 0xffeffff9]", "ldb [0xffe000ff]",
]  # fmt: skip


def through_the_kernel(jobs: dict[str, object]) -> dict[str, object]:
    """Run veth_frames.py in a network namespace of its own."""
    own = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    command = ["unshare", *own, sys.executable, str(SCRIPT)]
    root = str(SCRIPT.parent.parent)
    done = subprocess.run(
        command,
        input=json.dumps(jobs),
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, object] = json.loads(done.stdout)
    return seen


def missing() -> str:
    """What a veth pair of one's own wants and this machine has not; empty: nothing."""
    if shutil.which("ip") is None:
        return "the command ip (iproute2)"
    own_network = attempt("network namespaces", namespaces)
    if not own_network.works:
        return f"network namespaces: {own_network.reason}"
    sockets = attempt("packet sockets", packet_sockets)
    return "" if sockets.works or os.geteuid() else f"packet sockets: {sockets.reason}"


def test_extensions_on_the_wire_agree_with_the_kernel() -> None:
    if reason := missing():
        pytest.skip(reason)
    programs = {text: assemble(f"{text}\nret a") for text in READINGS}
    all_frames = frames()
    rows, keys = [], []
    for text in READINGS:
        for bits in sorted({digit_bits(len(frame) - 4) for frame in all_frames.values()}):
            for shift in range(0, 32, bits):
                digit = f"rsh #{shift}\nand #{(1 << bits) - 1}\nadd #1\nret a"
                rows.append([list(i) for i in assemble(f"{text}\n{digit}").insns])
                keys.append((text, shift, bits))
    hexes = [frame.hex() for frame in all_frames.values()]
    answer = through_the_kernel({"frames": hexes, "programs": rows})
    ifindex, lengths = answer["ifindex"], answer["lengths"]
    assert isinstance(ifindex, int)
    assert isinstance(lengths, list)
    theirs: dict[tuple[str, str], int] = {}
    for (text, shift, bits), row in zip(keys, lengths, strict=True):
        for (name, frame), length in zip(all_frames.items(), row, strict=True):
            if digit_bits(len(frame) - 4) == bits:
                value = theirs.get((name, text), 0)
                theirs[name, text] = value | ((length or 1) - 1) << shift
    ours = {}
    for name, frame in all_frames.items():
        seen, notes = received(frame, ifindex)
        for text, program in programs.items():
            ours[name, text] = run(program, seen, ancillary=notes)
    differing = {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}
    assert differing == {}
    assert len(ours) == len(all_frames) * len(READINGS)


def test_what_the_dissector_knows_and_we_do_not_gives_no_offset() -> None:
    # A named difference: the kernel looks into GRE and finds the inner UDP's payload.
    outer = IP(src="10.0.0.1", dst="10.0.0.2")
    data = bytes(outer / GRE() / outer / UDP(sport=1, dport=2) / b"x")
    assert payload_offset(data, 0x800, 0) == 0


@given(st.binary(max_size=120), st.sampled_from([0x800, 0x86DD, 0x8100, 0x8847, 0x806, 4]))
def test_poff_of_any_bytes_is_an_offset(data: bytes, proto: int) -> None:
    # At most the longest transport header behind what there is: TCP's 60 bytes.
    assert 0 <= payload_offset(data, proto, 0) <= len(data) + 60


# derive


def test_without_a_linktype_a_packet_is_one_of_a_socket_pair() -> None:
    assert derive(bytes(60), None) is UNIX_SOCKET


def test_a_cooked_header_tells_what_it_says() -> None:
    sll = bytes.fromhex("0004 0001 0006 020000000001 0000 0800") + bytes(20)
    notes = derive(sll, SLL)
    assert (notes.proto, notes.pkttype, notes.hatype, notes.net_offset) == (0x800, 4, 1, 16)
    sll2 = bytes.fromhex("86dd 0000 00000007 0304 02 06 0200000000010000") + bytes(40)
    notes = derive(sll2, SLL2)
    assert (notes.proto, notes.pkttype, notes.ifindex) == (0x86DD, 2, 7)
    assert (notes.hatype, notes.net_offset, notes.link_offset) == (772, 20, None)


@pytest.mark.parametrize("linktype", [RAW, IPV4, IPV6])
def test_a_raw_packet_tells_its_version(linktype: int) -> None:
    assert derive(b"\x45" + bytes(19), linktype).proto == 0x800
    assert derive(b"\x60" + bytes(39), linktype).proto == 0x86DD
    assert derive(b"\x00", linktype).proto == 0
    assert derive(b"", linktype).proto == 0


@given(st.binary(max_size=40), st.sampled_from([EN10MB, RAW, SLL, SLL2, 9, 147]))
def test_notes_come_from_any_bytes(data: bytes, linktype: int) -> None:
    notes = derive(data, linktype)
    read = [Program.from_insns([(0x20, 0, 0, e.k), (0x16, 0, 0, 0)]) for e in EXTENSIONS]
    for program in read:
        assert 0 <= run(program, data, ancillary=notes) < 1 << 32
