"""Hex dumps as the programs print them, and as people break them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, LLC, STP, Dot1Q, Dot3, Ether
from scapy.utils import hexdump as scapy_hexdump

from bpfnb.errors import BpfError, PacketError
from bpfnb.packets.hexdump import guess_linktype, parse
from bpfnb.packets.source import packets

FRAME = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
NET = IP(src="10.0.0.1", dst="10.0.0.2")
SYN = bytes(FRAME / NET / TCP())
# Text columns full of what looks like hex, two packets, one of odd length.
TRICKY = [
    bytes(FRAME / NET / UDP() / b"cafe dead beef  ab ab cd 0x0000:  4500 |12|"),
    bytes(FRAME / NET / UDP() / b"  ab "),
    bytes(FRAME / NET / ICMP() / bytes(range(256))),
]


def blobs(text: str) -> list[bytes]:
    return [packet.data for packet in parse(text)]


def run(*command: str, data: bytes = b"") -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"this machine has no {command[0]}")
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()


def save(path: Path, frames: list[bytes], linktype: int = 1) -> str:
    records = [struct.pack("<IIII", 1, 2, len(each), len(each)) + each for each in frames]
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
    path.write_bytes(header + b"".join(records))
    return str(path)


@pytest.mark.parametrize("more", [[], ["-v"], ["-e", "-tttt"], ["-#"], ["-q", "-t"]], ids=" ".join)
@pytest.mark.parametrize("option", ["-xx", "-XX", "-x", "-X"])
def test_a_paste_from_tcpdump(option: str, more: list[str], tmp_path: Path) -> None:
    path = save(tmp_path / "x.pcap", [*TRICKY, SYN])
    read = parse(run("tcpdump", "-nn", *more, option, "-r", path))
    whole = option.lower() == "-xx"
    assert [packet.data for packet in read] == [
        each if whole else each[14:] for each in [*TRICKY, SYN]
    ]
    assert {packet.linktype for packet in read} == {1 if whole else 101}


@pytest.mark.parametrize("data", [*TRICKY, bytes(8), bytes(9), bytes(16), bytes(24), b"abab"])
def test_a_paste_from_other_programs(data: bytes) -> None:
    assert blobs(scapy_hexdump(data, dump=True) or "") == [data]
    assert blobs(run("od", "-A", "x", "-t", "x1z", "-v", data=data)) == [data]


@pytest.mark.parametrize("data", [*TRICKY, bytes(8), bytes(24), b"abab"])
@pytest.mark.parametrize(
    "command", [["xxd"], ["xxd", "-g1"], ["xxd", "-c", "32"], ["xxd", "-p"], ["hexdump", "-Cv"]]
)
def test_a_paste_from_xxd_and_hexdump(command: list[str], data: bytes) -> None:
    assert blobs(run(*command, data=data)) == [data]


WIRESHARK = """\
0000   02 00 00 00 00 0b 02 00 00 00 00 0a 08 06 00 01   ................
0010   08 00 06 04 00 01 02 00 00 00 00 0a 0a 00 00 01   ................
0020   00 00 00 00 00 00 0a 00 00 02                     ..........

0000  61 62 63 64 65 66 67 68  61 62 63 64 65 66 67 68   abcdefgh abcdefgh
0010  61 62                                              ab
"""
HEXDUMP_C = """\
00000000  61 62 63 64 65 66 67 68  61 62 63 64 65 66 67 68  |abcdefghabcdefgh|
00000010  61 62 63 64 65 66 67 68                           |abcdefgh|
00000018
"""
XXD = """\
00000000: 6162 6364 6566 6768 6162 6364 6566 6768  abcdefghabcdefgh
00000010: 6162 6162                                abab
"""
OLD_TCPDUMP = """\
12:00:00.000001 10.0.0.1.20 > 10.0.0.2.80: S 0:0(0) win 8192
\t\t\t 4500 0028 0001 0000 4006 66cd 0a00 0001
\t\t\t 0a00 0002 0014 0050 0000 0000 0000 0000
\t\t\t 5002 2000 917c 0000
12:00:00.000002 10.0.0.1.20 > 10.0.0.2.80: S 0:0(0) win 8192
\t\t\t 4500
"""


def test_recorded_pastes_read_alike() -> None:
    arp, text = blobs(WIRESHARK)
    assert arp == bytes(FRAME / ARP(hwsrc="02:00:00:00:00:0a", psrc="10.0.0.1", pdst="10.0.0.2"))
    assert text == b"abcdefghabcdefghab"
    assert blobs(HEXDUMP_C) == [b"abcdefghabcdefghabcdefgh"]
    assert blobs(XXD) == [b"abcdefghabcdefghabab"]
    old = blobs(OLD_TCPDUMP)
    assert [len(each) for each in old] == [40, 2]
    assert parse(OLD_TCPDUMP)[0].linktype == 101


@pytest.mark.parametrize(
    "text",
    [
        "45000028abcd",
        "45 00 00 28 ab cd",
        "4500 0028 ABCD",
        "45:00:00:28:ab:cd",
        "45-00-00-28-ab-cd",
        "0x45, 0x0, 0x00, 0x28,\n0xab, 0xcd",
        "{ 0x45,0x00,0x00,0x28, 0xab,0xcd };",
        r'"\x45\x00\x00\x28"' + "\n" + r'"\xab\xcd"',
        "# a comment\n45 00\n// another\n0028abcd\n",
        "0x45000028abcd",
    ],
)
def test_plain_hex_with_any_separator(text: str) -> None:
    assert blobs(text) == [bytes.fromhex("45000028abcd")]


def test_plain_packets_are_separated_by_empty_lines() -> None:
    assert blobs("45\n00\n\n\n46\n \n47") == [b"\x45\0", b"\x46", b"\x47"]


@pytest.mark.parametrize(
    ("text", "place", "what", "cure"),
    [
        ("45 0g", "line 1, column 5", "'g' is not hex", "Path"),
        ("45\n 4 00", "line 2, column 2", "'4' is half a byte", "two hex digits"),
        ("450", "line 1, column 1", "'450' has 3 digits", "two hex digits"),
        ("hello", "line 1, column 1", "not hex", ""),
        ("0x0000:  4500 00zz", "line 1, column 15", "'00zz' is no group", "two hex digits"),
        ("0x0000:  4500 002", "line 1, column 15", "'002' is no group", "two hex digits"),
        ("0x0010:  4500", "line 1, column 1", "0x0010 where 0x0000 bytes", "missing"),
        ("0x0000:  4500\n0x0010:  4500", "line 2, column 1", "0x0010 where 0x0002", "missing"),
        ("0x0000:  4500\n0x0O10:  45", "line 2, column 1", "no offset", "0x0010:"),
        ("x\n\t0x0000:  4500\n\t0x0010  45", "line 3, column 2", "no offset", "0x0010:"),
        ("00000000  61 61\n*\n00000020", "line 2, column 1", "left out", "hexdump -v"),
        ("0000000 0045 2800", "line 1, column 1", "host's order", "hexdump -C"),
    ],
)
def test_mistakes_are_placed_and_cured(text: str, place: str, what: str, cure: str) -> None:
    with pytest.raises(PacketError) as caught:
        parse(text)
    assert caught.value.message.startswith(f"{place}: ")
    assert what in caught.value.message
    assert cure in caught.value.hint
    caret = caught.value.message.splitlines()[-1]
    assert caret.strip() == "^"


@pytest.mark.parametrize("text", ["", "  \n", "# only a comment", "0x0000:", "12:00:00.1 IP a"])
def test_a_dump_without_bytes_is_refused(text: str) -> None:
    with pytest.raises(PacketError, match="no byte"):
        parse(text)


def test_a_long_line_is_shown_around_the_mistake() -> None:
    with pytest.raises(PacketError) as caught:
        parse("00" * 5000 + " zz " + "00" * 5000)
    lines = caught.value.message.splitlines()
    assert "column 10002" in lines[0]
    assert len(lines[1]) < 100
    assert lines[1][lines[2].index("^")] == "z"


TAGGED = Ether(src=FRAME.src, dst=FRAME.dst) / Dot1Q(vlan=5) / NET / UDP()


@pytest.mark.parametrize(
    ("data", "linktype"),
    [
        (SYN, 1),
        (SYN + bytes(6), 1),
        (SYN[:50], 1),
        (bytes(TAGGED), 1),
        (bytes(FRAME / IPv6(src="fe80::1", dst="fe80::2") / UDP()), 1),
        (bytes(FRAME / ARP(psrc="10.0.0.1", pdst="10.0.0.2")), 1),
        (bytes(Dot3(src=FRAME.src, dst="01:80:c2:00:00:00") / LLC() / STP()), 1),
        (SYN[14:], 101),
        (SYN[14:] + bytes(6), 101),
        (SYN[14:40], 101),
        (bytes(IPv6(src="fe80::1", dst="fe80::2") / UDP()), 101),
        (SYN[2:], None),
        (SYN[14:] + bytes(60), None),
        (bytes(60), None),
        (b"", None),
        (b"\x45", None),
        (SYN[14:24] + b"\0\0" + SYN[26:40], None),
    ],
)
def test_the_link_type_is_told_only_where_lengths_agree(data: bytes, linktype: int | None) -> None:
    assert guess_linktype([data]) == linktype


def test_a_mixed_paste_has_no_link_type_but_the_one_given() -> None:
    text = f"{SYN.hex()}\n\n{SYN[14:].hex()}"
    assert {packet.linktype for packet in parse(text)} == {None}
    assert {packet.linktype for packet in parse(text, "EN10MB")} == {1}
    assert packets(text, linktype="RAW").linktype == 101
    assert packets(SYN.hex(), linktype="RAW").linktype == 1


@given(st.text(alphabet="0123456789abcdefxX: \t\n|.*-\\g", max_size=200))
def test_no_text_raises_anything_but_our_error(text: str) -> None:
    try:
        found = parse(text)
    except BpfError:
        return
    assert found
    assert all(packet.data for packet in found)


@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=4))
def test_what_tcpdump_would_print_reads_back(frames: list[bytes]) -> None:
    lines = []
    for data in frames:
        lines.append("12:00:00.000000 IP somewhere")
        for at in range(0, len(data), 16):
            row = data[at : at + 16]
            text = "".join(chr(byte) if 32 < byte < 127 else "." for byte in row)
            lines.append(f"\t0x{at:04x}:  {row.hex(' ', -2):<39}  {text}")
    assert blobs("\n".join(lines)) == frames
