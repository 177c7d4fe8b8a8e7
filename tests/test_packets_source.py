"""What people have packets in, and getting it back as the type given."""

from __future__ import annotations

import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot3, Ether
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw
from scapy.plist import PacketList, QueryAnswer, SndRcvList

from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.errors import LinktypeError, PacketError
from bpfnb.face import Program
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.packets.source import is_path, packets

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def frame(port: int) -> ScapyPacket:
    return Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(dport=port)


def test_a_scapy_packet_is_its_bytes_and_its_layers_link_type() -> None:
    batch = packets(frame(80))
    assert (len(batch), batch.linktype) == (1, 1)
    assert batch[0].data == bytes(frame(80))
    assert batch[0].wirelen == len(bytes(frame(80)))


@pytest.mark.parametrize(
    ("packet", "linktype"),
    [
        (Ether(src=A, dst=B) / ARP(), 1),
        (Dot3(src=A, dst=B), 1),
        (IP(src="10.0.0.1", dst="10.0.0.2"), 101),
        (IPv6(src="fe80::1", dst="fe80::2"), 101),
        (TCP(), None),
        (Raw(b"abc"), None),
    ],
    ids=lambda value: value.summary() if isinstance(value, ScapyPacket) else str(value),
)
def test_the_outermost_layer_tells_the_link_type(packet: ScapyPacket, linktype: int | None) -> None:
    assert packets(packet).linktype == linktype


def test_a_class_of_ones_own_counts_as_its_base() -> None:
    class Mine(Ether):
        pass

    assert packets(Mine(src=A, dst=B)).linktype == 1


def test_a_list_may_mix_scapy_packets_and_bytes() -> None:
    given: list[Any] = [frame(80), bytes(frame(81)), bytearray(b"abc"), memoryview(b"de")]
    batch = packets(given)
    assert [packet.data for packet in batch] == [bytes(each) for each in given]
    assert batch.linktype == 1


def test_different_layers_keep_a_link_type_each() -> None:
    batch = packets([frame(80), frame(80)[IP], b"abc"])
    assert batch.linktype is None
    assert batch.linktypes == (1, 101)
    assert [packet.linktype for packet in batch] == [1, 101, None]
    assert repr(batch) == "<PacketBatch: 3 packets, EN10MB and RAW>"
    with pytest.raises(LinktypeError, match="packet 2 is RAW"):
        batch.require_linktype(1)
    batch[:1].require_linktype(1)


def test_a_filter_is_refused_when_one_packet_in_a_list_is_of_another_link_type() -> None:
    program = Program.from_insns([(6, 0, 0, 1)], linktype=1)
    assert program.run_many([frame(80), b"abc"]).tolist() == [1, 1]
    with pytest.raises(LinktypeError, match=r"made for EN10MB .* packet 2 is RAW"):
        program.run_many([frame(80), frame(80)[IP]])
    mixed = packets([frame(80)[IP], frame(80)])
    with pytest.raises(LinktypeError, match="packet 2 is EN10MB"):
        mixed.require_linktype(12)  # libpcap's number for RAW


def test_the_link_type_given_is_for_packets_that_do_not_say() -> None:
    assert packets([b"abc"], linktype="RAW").linktype == 101
    assert packets([frame(80)], linktype="RAW").linktype == 1
    mixed = packets([frame(80), frame(80)[IP], b"abc"], linktype=113)
    assert [packet.linktype for packet in mixed] == [1, 101, 113]
    assert packets([frame(80)]).relabel("RAW").linktype == 101
    assert mixed.relabel(1).linktype == 1


def test_accepted_packets_come_back_as_the_type_given() -> None:
    given = [frame(80), frame(81), frame(82)]
    mask = np.array([1, 0, 7], np.uint32)
    chosen = packets(given).select(mask)
    assert chosen[0] is given[0]
    assert chosen[1] is given[2]
    assert type(chosen) is list
    assert packets(tuple(given)).select(mask) == (given[0], given[2])
    listed = packets(PacketList(given, name="mine")).select(mask)
    assert isinstance(listed, PacketList)
    assert listed.res == [given[0], given[2]]
    assert packets([b"a", b"b", b"c"]).select(mask) == [b"a", b"c"]
    assert packets(given[0]).select([True]) == [given[0]]
    assert packets(given[0]).select([False]) == []
    assert packets(b"abc").select([1]) == [b"abc"]
    assert packets(iter(given)).select(mask) == [given[0], given[2]]


def test_packets_and_batches_come_back_as_they_are() -> None:
    notes = Ancillary(mark=7)
    kept = [Packet(b"abc", 100, notes, 1, 5), Packet(b"de", linktype=1)]
    batch = packets(kept)
    assert list(batch) == kept
    assert batch[0].ancillary.mark == 7
    assert batch.select([1, 0]) == kept[:1]
    assert packets(batch) is batch
    part = PacketBatch.of(kept).select([0, 1])
    assert isinstance(part, PacketBatch)
    assert list(part) == kept[1:]
    assert packets(part).take([0])[0] == kept[1]


def test_a_packet_with_ranges_stands_for_all_of_them() -> None:
    many = IP(src="10.0.0.1", dst="10.0.0.0/30") / TCP(dport=[80, 81])
    batch = packets(many)
    assert len({packet.data for packet in batch}) == len(batch) == 8
    kept = batch.select([True] + [False] * 7)
    assert [type(each) for each in kept] == [IP]
    assert len(packets(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=(1, 5)))) == 5


def test_a_packet_that_stands_for_too_many_is_refused() -> None:
    with pytest.raises(PacketError, match="more than 65536"):
        packets(IP(src="10.0.0.1", dst="10.0.0.0/8"))


def test_a_packet_scapy_cannot_build_is_named() -> None:
    with pytest.raises(PacketError, match=r"packet 2 \(IP / TCP\): scapy cannot build it"):
        packets([frame(80), IP(src="10.0.0.1", dst="10.0.0.2") / TCP(dport=70000)])


def test_wirelen_and_time_of_a_scapy_packet_are_kept() -> None:
    packet: Any = Ether(bytes(frame(80)))
    packet.wirelen, packet.time = 1500, Decimal("1700000000.123456789")
    made = packets(packet)[0]
    assert (made.wirelen, made.time_ns) == (1500, 1700000000123456789)
    packet.wirelen, packet.time = 3, 1.5
    made = packets(packet)[0]
    assert (made.wirelen, made.time_ns) == (len(packet), 1500000000)
    for time in (float("nan"), 1e30, Decimal("NaN"), None):
        packet.time = time
        assert packets(packet)[0].time_ns is None


def test_nothing_is_an_empty_batch() -> None:
    batch = packets([])
    assert (len(batch), batch.linktype, list(batch)) == (0, None, [])
    assert batch.select([]) == []
    assert repr(batch) == "<PacketBatch: 0 packets, link type unknown>"


def test_a_packet_of_no_bytes_is_a_packet() -> None:
    batch = packets([b"", b"a", b""])
    assert [packet.data for packet in batch] == [b"", b"a", b""]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (None, "None is no packet"),
        (3, "an int is no packet"),
        ({"a": b"b"}, "a dict is no packet"),
        ({b"a"}, "a set is no packet"),
        ([b"a", "45 00"], "packet 2 is a str"),
        ([None], "packet 1 is None"),
        ([[b"a"]], "packet 1 is a list"),
        (np.arange(3), "packet 1 is an int64"),
    ],
    ids=str,
)
def test_other_types_are_named_with_what_is_accepted(wrong: Any, what: str) -> None:
    with pytest.raises(PacketError) as caught:
        packets(wrong)
    assert what in caught.value.message
    assert "scapy packets" in caught.value.hint


def test_pairs_of_question_and_answer_are_told_apart() -> None:
    with pytest.raises(PacketError, match="take one side"):
        packets(SndRcvList([QueryAnswer(frame(80), frame(81))]))


def test_text_is_a_path_or_a_hex_dump(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    path.write_bytes(header + struct.pack("<IIII", 1, 2, 3, 60) + b"abc")
    for given in (path, str(path)):
        batch = packets(given)
        assert [packet.data for packet in batch] == [b"abc"]
        assert isinstance(batch.select([True]), PacketBatch)
    assert packets("61 62 63")[0].data == b"abc"
    with pytest.raises(PacketError, match="no such file"):
        packets("missing.pcap")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("x.pcap", True),
        ("X.PCAPNG", True),
        ("x.pcap.gz", True),
        ("./x", True),
        ("/tmp/x", True),
        ("45 00", False),
        ("12:00:00.1 IP a/b\n\t0x0000:  4500", False),
    ],
)
def test_which_text_is_a_path(text: str, path: bool) -> None:
    assert is_path(text) is path


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(PacketError, match="mask"):
        packets([b"a", b"b"]).select([True])


def test_a_batch_is_a_sequence() -> None:
    batch = packets([b"a", b"bb", b"ccc"])
    assert [packet.data for packet in batch[1:]] == [b"bb", b"ccc"]
    assert [packet.data for packet in batch[::-1]] == [b"ccc", b"bb", b"a"]
    index: Any = np.int64(2)
    assert batch[-1].data == batch[index].data == b"ccc"
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            batch[wrong]


def test_a_packet_notes_what_it_is_told() -> None:
    packet = Packet(bytes(frame(80)), linktype=1)
    assert packet.ancillary.proto == 0x0800
    assert packet.noted(wirelen=1500).wirelen == 1500
    assert packet.noted(ancillary=Ancillary(mark=3)).ancillary.mark == 3
    assert packet.noted() == packet
    assert hash(packet.noted()) == hash(packet)
    assert packet.noted(wirelen=1500) != packet
    assert repr(packet.noted(wirelen=1500)) == "<Packet: 54 of 1500 bytes, EN10MB>"
    for wirelen in (-1, 1 << 32):
        with pytest.raises(PacketError, match="wirelen"):
            Packet(b"", wirelen)


def test_a_large_batch_costs_no_object_a_packet() -> None:
    batch = PacketBatch.of([Packet(b"abcd", linktype=1)]).take(np.zeros(1_000_000, np.int64))
    assert len(batch) == 1_000_000
    columns = batch.columns
    held = (columns.offsets, columns.lengths, columns.wirelens, columns.times_ns)
    assert sum(each.nbytes for each in held if each is not None) == 24_000_000
    assert batch[999_999].data == b"abcd"


def test_importing_packets_loads_neither_scapy_nor_numpy() -> None:
    code = (
        "import sys, bpfnb.packets.source;"
        "print([name for name in ('scapy', 'numpy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
