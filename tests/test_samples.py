"""The samples: what their stories claim is held against tcpdump and scapy."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bpfnb import samples
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.machine import run
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.samples import record
from bpfnb.samples.shelf import Filter, Sample, Shelf

needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is missing")
needs_namespaces = pytest.mark.skipif(bool(record.missing()), reason=record.missing() or "-")


def tcpdump(name: str, *words: str) -> list[str]:
    """Lines that tcpdump prints of a sample, without times."""
    return tcpdump_file(samples.path(name), *words)


def tcpdump_file(path: Path, *words: str) -> list[str]:
    done = subprocess.run(
        ["tcpdump", "-nn", "-t", "-r", path, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def count(name: str, expression: str) -> int:
    """How many packets of a sample libpcap accepts."""
    done = subprocess.run(
        ["tcpdump", "--count", "-nn", "-r", samples.path(name), expression],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[0])


# What each story says, as a filter and how many packets it accepts.
CLAIMS = [
    ("arp", "arp[6:2] = 1 and arp[24:4] = 0xc0000202", 1),
    ("arp", "arp[6:2] = 2 and arp[14:4] = 0xc0000202", 1),
    ("arp", "arp[6:2] = 1 and arp[24:4] = 0xc0000263", 3),
    ("ping", "arp", 2),
    ("ping", "icmp[icmptype] = icmp-echo", 3),
    ("ping", "icmp[icmptype] = icmp-echoreply", 3),
    ("icmp_errors", "icmp[0] = 3 and icmp[1] = 3", 1),
    ("icmp_errors", "icmp[0] = 3 and icmp[1] = 2", 1),
    ("icmp_errors", "icmp[0] = 3 and icmp[1] = 0", 1),
    ("icmp_errors", "icmp[0] = 3 and icmp[1] = 1", 1),
    ("icmp_errors", "icmp[0] = 3 and icmp[1] = 13", 1),
    ("icmp_errors", "icmp[0] = 11", 1),
    ("icmp_errors", "icmp[0] = 3 and icmp[1] = 4", 1),
    ("icmp_errors", "icmp and src host 192.0.2.2", 7),
    ("udp", "udp", 14),
    ("udp", "udp[4:2] = 8", 2),
    ("udp", "udp[4:2] = 1480", 2),
    ("udp", "ether broadcast and udp", 1),
    ("udp", "ip multicast", 1),
    ("dns", "udp dst port 53", 4),
    ("dns", "udp src port 53 and udp[11] & 0xf = 3", 1),
    ("dns", "udp src port 53 and udp[10] & 2 != 0", 1),
    ("dns", "tcp dst port 53 and tcp[13] = 2", 1),
    ("tcp", "tcp[13] = 2 and dst host 192.0.2.2", 4),
    ("tcp", "tcp[13] & 0x20 != 0", 1),
    ("tcp", "tcp[13] & 4 != 0 and src port 9", 1),
    ("tcp", "tcp[13] & 4 != 0 and dst port 7", 1),
    ("http", "tcp[13] = 2", 1),
    ("http", "tcp dst port 80 and tcp[tcp[12] / 16 * 4 : 4] = 0x47455420", 2),
    ("http", "src port 80 and greater 500", 3),
    ("snapped", "port 53", 6),
    ("snapped", "greater 61", 27),
    ("fragments", "ip[6:2] & 0x3fff != 0", 11),
    ("fragments", "ip[6:2] & 0x1fff != 0", 7),
    ("fragments", "ip[6:2] & 0x3fff != 0 and port 7", 2),
    ("ip_options", "ip[0] & 0xf = 15", 4),
    ("ip_options", "ip and ip[0] & 0xf = 5", 5),
    ("ip_options", "ip[0] & 0xf > 5 and (ip[20] = 7 or ip[21] = 7 or ip[24] = 7)", 13),
    ("ip_options", "ip[20] = 68", 3),
    ("ip_options", "ip[20:4] = 0x01010101 and udp", 1),
    ("ipv6", "icmp6[0] = 128", 2),
    ("ipv6", "udp port 53", 2),
    ("ipv6", "tcp port 80 and tcp", 10),
    ("ipv6", "icmp6[0] = 1", 1),
    ("ipv6", "ip6", 20),
    ("ndp", "icmp6[0] = 135 and src host ::", 1),
    ("ndp", "icmp6[0] = 133", 1),
    ("ndp", "icmp6[0] = 135 and src host 2001:db8::1", 4),
    ("ndp", "icmp6[0] = 136", 1),
    ("ipv6_extensions", "ip6[6] = 0", 11),
    ("ipv6_extensions", "ip6[6] = 60", 1),
    ("ipv6_extensions", "ip6[6] = 44", 3),
    ("ipv6_extensions", "ip6[6] = 0 and ip6[40] = 60 and ip6[48] = 44", 3),
    ("ipv6_extensions", "ip6[6] = 0 and ip6[40] = 60 and ip6[48] = 6", 6),
    ("ipv6_extensions", "ip6[6] = 0 and ip6[40] = 60 and ip6[49] = 2", 1),
    ("vlan", "not vlan", 4),
    ("vlan", "vlan 10", 16),
    ("vlan", "vlan 20 and ether[14] & 0xe0 = 0xa0", 4),
    ("qinq", "vlan 100 and vlan 10", 16),
    ("qinq", "ether[12:2] = 0x88a8 and ether[16:2] = 0x8100", 16),
    ("mpls", "mpls 100", 14),
    ("mpls", "mpls 1000 and mpls 200", 14),
    ("vxlan", "udp port 4789 and udp[12:4] = 0x2a00", 16),
    ("vxlan", "not arp and not udp port 4789", 0),
    ("stp", "stp and ether[12:2] <= 1500", 3),
    ("loopback", "ether src 0:0:0:0:0:0 and ether dst 0:0:0:0:0:0", 16),
    ("any", "ifindex 1", 2),
    ("any", "inbound", 8),
    ("any", "outbound", 5),
    ("raw", "ip", 14),
    ("raw", "ip6", 2),
    ("mixed", "arp", 7),
    ("mixed", "icmp", 7),
    ("mixed", "icmp6", 4),
    ("mixed", "udp port 53", 8),
    ("mixed", "tcp dst port 79", 12),
    ("mixed", "dst port 23 or dst port 513 or dst port 514", 3),
    ("mixed", "net 198.51.100.0/24", 16),
    ("mixed", "vlan 10", 6),
    ("mixed", "ip[6:2] & 0x3fff != 0", 3),
    ("mixed", "ip[0] & 0xf != 5", 6),
    ("mixed", "ip6 and tcp", 10),
    ("mixed", "ip6 protochain 17", 2),
    ("mixed", "ether broadcast", 7),
]


@needs_tcpdump
@pytest.mark.parametrize(("name", "expression", "number"), CLAIMS)
def test_a_story_says_what_is_in_the_capture(name: str, expression: str, number: int) -> None:
    assert count(name, expression) == number


def test_every_sample_has_a_claim_and_every_claim_a_sample() -> None:
    assert {name for name, _, _ in CLAIMS} == set(samples.names())


@needs_tcpdump
def test_the_silent_host_is_asked_again_and_again() -> None:
    lines = tcpdump("tcp", "dst host 192.0.2.99")
    assert len(lines) >= 3
    assert len({re.search(r"seq \d+", line)[0] for line in lines}) == 1  # type: ignore[index]


def test_the_bridge_says_hello_once_a_second() -> None:
    times = [packet.time_ns or 0 for packet in samples.open("stp")]
    gaps = [later - now for now, later in pairwise(times)]
    assert all(0.5e9 < gap < 1.5e9 for gap in gaps)


@needs_tcpdump
def test_checksums_are_right_but_on_loopback() -> None:
    for name in samples.names():
        said = "\n".join(tcpdump(name, "-vv"))
        assert bool(re.search(r"incorrect|bad [a-z ]*c?k?sum", said)) == (name == "loopback"), name


@pytest.mark.parametrize("name", samples.names())
def test_a_sample_opens_and_has_the_link_type_it_says(name: str) -> None:
    sample = samples.captures[name]
    number = struct.unpack("<I", sample.path.read_bytes()[20:24])[0]
    assert {"EN10MB": 1, "RAW": 101, "LINUX_SLL2": 276}[sample.linktype] == number
    capture = samples.open(name)
    assert capture.linktype == number
    assert len(capture) > 0
    assert all(len(packet.data) <= packet.wirelen for packet in capture)


def test_only_the_snapped_capture_is_cut() -> None:
    for sample in samples.captures:
        cut = [p for p in sample.open() if len(p.data) < p.wirelen]
        if sample.name == "snapped":
            assert all(42 < len(p.data) <= 60 for p in cut)
            assert len(cut) == 27
        else:
            assert not cut


def test_the_recording_account_has_the_right_counts() -> None:
    text = (samples.HERE / "captures" / "RECORDED.txt").read_text(encoding="utf-8")
    counts = dict(re.findall(r"^(\w+) +(\d+) packets", text, re.MULTILINE))
    assert counts == {s.name: str(len(s.open())) for s in samples.captures}
    for word in ("command", "date", "kernel"):
        assert re.search(rf"^{word} +\S", text, re.MULTILINE)


def test_files_are_small_and_none_is_left_over() -> None:
    files = {path.name: path.stat().st_size for path in (samples.HERE / "captures").iterdir()}
    assert set(files) == {f"{name}.pcap" for name in samples.names()} | {"RECORDED.txt"}
    assert sum(files.values()) < 300_000
    written = {path.stem for path in (samples.HERE / "filters").iterdir()}
    assert written == set(samples.filters.names())


# For documentation, multicast, broadcast, or none: loopback, or what ARP asks for.
MACS = re.compile(r"00:00:5e:00:53|33:33|01:00:5e|01:80:c2:00:00|(ff:){5}ff|(00:){5}00")
NETWORKS = [
    ipaddress.ip_network(text)
    for text in (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "0.0.0.0/32", "224.0.0.22/32"),
        *("233.252.0.0/24", "2001:db8::/32", "fe80::/10", "ff02::/16", "::/128"),
    )
]


def words(layer: object) -> Iterator[str]:
    """Every text value in a scapy packet, layer by layer, field by field."""
    from scapy.packet import Packet

    if isinstance(layer, Packet):
        yield from (w for value in layer.fields.values() for w in words(value))
        yield from words(layer.payload) if layer.payload else ()
    elif isinstance(layer, list | tuple):
        yield from (w for value in layer for w in words(value))
    elif isinstance(layer, str):
        yield layer


@pytest.mark.parametrize("name", samples.names())
def test_no_address_belongs_to_anybody(name: str) -> None:
    from scapy.all import rdpcap
    from scapy.contrib.mpls import MPLS

    seen: set[str] = set()
    for packet in rdpcap(str(samples.path(name))):
        assert (MPLS in packet) == (name == "mpls")  # scapy knows labels once it is imported
        seen.update(words(packet))
    macs = {word for word in seen if re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", word)}
    assert all(MACS.match(mac) for mac in macs)
    found = 0
    for word in seen - macs:
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            continue
        found += 1
        known = any(address in network for network in NETWORKS)
        assert known or (name == "loopback" and address.is_loopback), word
    assert found or name == "stp"


def test_the_two_hosts_have_addresses_for_documentation() -> None:
    for host in (samples.ALICE, samples.BOB):
        number = bytearray(bytes.fromhex(host.mac.replace(":", "")))
        number[0] ^= 2
        ending = bytes(number[:3]) + b"\xff\xfe" + bytes(number[3:])
        made = ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + ending)
        assert host.link_local == str(made)
        assert ipaddress.ip_address(host.ipv4) in NETWORKS[0]
        assert host.ipv6.startswith("2001:db8::")


def test_names_path_open_and_story_agree() -> None:
    assert samples.names()[0] == "mixed"
    assert [sample.name for sample in samples] == list(samples.names())  # type: ignore[attr-defined]
    for name in samples.names():
        assert samples.path(name).is_file()
        assert "\n" not in samples.story(name)
        assert len(samples.story(name)) < 130


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    for ask in (samples.path, samples.open, samples.story):
        with pytest.raises(BpfError, match="did you mean 'fragments'"):
            ask("fragmets")
    with pytest.raises(BpfError, match="did you mean 'p6_tcp_port'"):
        samples.filters.path("p6_tcp_prot")
    with pytest.raises(BpfError, match="there are mixed, arp"):
        samples.story("xyzzy")


def test_the_table_is_text_and_html() -> None:
    text = repr(samples)
    assert text.splitlines()[0].split() == ["name", "packets", "link", "type", "story"]
    assert len(text.splitlines()) == 1 + len(samples.names())
    assert str(samples.HERE) not in text
    html = samples._repr_html_()  # type: ignore[attr-defined]
    assert html.count("<tr>") == 1 + len(samples.names())
    assert all(f">{name}<" in html for name in samples.names())


def test_the_table_escapes() -> None:
    shelf = Shelf("filter", [Filter("<b>", Path("x"), 'a & "b" <script>')])
    html = shelf._repr_html_()
    assert "<b>" not in html
    assert "<script" not in html
    assert "a &amp; &quot;b&quot; &lt;script&gt;" in html


def test_a_record_shows_itself_without_its_place() -> None:
    sample = samples.captures["raw"]
    assert repr(sample) == f"Sample raw (RAW): {sample.story}"
    assert isinstance(sample, Sample)


def test_importing_samples_is_light() -> None:
    code = "import sys, bpfnb.samples; print([m for m in ('scapy', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# A filter of ours, and the expression that means the same to libpcap.
TWINS = [
    ("p1_ip", "ip"),
    ("p2_not_from", "ip and not src net 198.51.100.0/24 and not src net 203.0.113.0/24"),
    ("p6_tcp_port", "ip and tcp dst port 79"),
    ("host_foo", "ip host 192.0.2.2 or arp host 192.0.2.2 or rarp host 192.0.2.2"),
    ("fragment", "ip[6:2] & 0x3fff != 0"),
    ("vlan_10", "ether[12:2] = 0x8100 and ether[14:2] & 0xfff = 10"),
    ("tcp_syn", "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn"),
    ("http_get", "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420"),
]
ETHERNET = [sample.name for sample in samples.captures if sample.linktype == "EN10MB"]


@needs_tcpdump
@pytest.mark.parametrize(("name", "expression"), TWINS)
def test_a_filter_accepts_what_libpcap_accepts(name: str, expression: str) -> None:
    program = assemble(samples.filters[name].text)
    some = 0
    for capture in ETHERNET:
        accepted = [p for p in samples.open(capture) if run(program, p.data, p.wirelen)]
        assert len(accepted) == count(capture, expression), capture
        some += len(accepted)
    assert some


def test_the_papers_filters_have_the_papers_lengths() -> None:
    lengths = {"p1_ip": 4, "p2_not_from": 8, "p4_port": 8, "p5_port_msh": 5, "p6_tcp_port": 11}
    for name, length in lengths.items():
        assert len(assemble(samples.filters[name].text)) == length


def test_the_short_way_to_the_port_gives_what_the_long_way_gives() -> None:
    long, short = (assemble(samples.filters[name].text) for name in ("p4_port", "p5_port_msh"))
    header = assemble(samples.filters["p3_header_length"].text)
    rets = set()
    for packet in samples.open("mixed"):
        ret = run(long, packet.data, packet.wirelen)
        assert ret == run(short, packet.data, packet.wirelen)
        rets.add(ret)
        assert run(header, packet.data, packet.wirelen) == packet.data[14] % 16 * 4
    assert rets == {0, 0xFFFFFFFF}


def recorder(target: Path, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """The script, run in a process of its own that looks for programs along `path`."""
    return subprocess.run(
        [sys.executable, "-m", "bpfnb.samples.record", str(target)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(samples.__file__).parents[2],
        env={"PATH": path},
    )


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
def test_the_script_says_in_one_line_that_it_needs_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert record.main([str(tmp_path / "new")]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "needs root" in said.err
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root gets so far")
def test_the_script_says_in_one_line_which_tools_it_needs(tmp_path: Path) -> None:
    done = recorder(tmp_path / "new", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ip (package iproute2) and tcpdump" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
def test_the_script_says_how_it_is_used(tmp_path: Path) -> None:
    assert record.main(["--help"]) == 2
    assert record.main(["a", "b"]) == 2


@needs_namespaces
def test_recording_again_gives_the_same_packets(tmp_path: Path) -> None:
    from bpfnb.samples.lab import Lab
    from bpfnb.samples.scenes import SCENES

    assert list(SCENES) == list(samples.names())
    for name in ("ping", "qinq"):
        path = tmp_path / f"{name}.pcap"
        with Lab(path) as lab:
            SCENES[name](lab)
        shapes = [
            [re.sub(r"(id|seq|ack|val|ecr) \d+(:\d+)?", "", line) for line in lines]
            for lines in (tcpdump_file(path), tcpdump(name))
        ]
        assert shapes[0] == shapes[1]


@needs_namespaces
def test_a_scene_that_fails_leaves_no_namespace_behind(tmp_path: Path) -> None:
    from bpfnb.samples.lab import Lab
    from bpfnb.samples.scenes_link import VLAN_10

    def namespaces() -> str:
        found = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        return "\n".join(line for line in found.splitlines() if f"-{os.getpid()}" in line)

    def scene() -> None:
        with Lab(tmp_path / "x.pcap") as lab:
            alice, bob = lab.pair()
            lab.tagged(alice, "vlan10", VLAN_10, "198.51.100.1/24")
            assert "bpfnb-alice" in namespaces()
            with lab.capture(bob, "eth0"):
                alice.run("no-such-program")

    with pytest.raises(UnavailableError, match="no-such-program"):
        scene()
    assert namespaces() == ""


@needs_namespaces
def test_a_socket_of_a_host_is_in_its_namespace_and_the_thread_is_back(tmp_path: Path) -> None:
    from bpfnb.samples.lab import Lab

    before = os.readlink("/proc/thread-self/ns/net")
    with Lab(tmp_path / "x.pcap") as lab:
        alice, _ = lab.pair()
        with alice.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((samples.ALICE.ipv4, 0))
        assert os.readlink("/proc/thread-self/ns/net") == before
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError):  # noqa: PT011
            other.bind((samples.ALICE.ipv4, 0))
