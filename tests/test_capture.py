"""Capture files: every variant that is read, held against tcpdump and scapy."""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader, RawPcapReader

from bpfnb.errors import CaptureError, PacketError
from bpfnb.packets import filebytes
from bpfnb.packets.capture import open_capture
from bpfnb.packets.hexdump import parse
from bpfnb.packets.packet import PacketBatch
from tests.capture_files import (
    MAGIC_NS,
    MAGIC_US,
    Frame,
    block,
    epb,
    idb,
    option,
    pcap,
    pcap_header,
    pcapng,
    shb,
    spb,
)

FRAMES = [
    Frame(b"\x02\0\0\0\0\x0b\x02\0\0\0\0\x0a\x08\x06" + bytes(28), 42, 1_700_000_000_123_456_000),
    Frame(bytes(range(60)), 1500, 1_700_000_001_000_001_000),
    Frame(b"\xff" * 14, 14, 0x7FFFFFFF * 10**9 + 999_999_000),
    Frame(bytes(15), 60, 0),
]


def saved(folder: Path, data: bytes, name: str = "x.pcap") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def rows(path: Path) -> list[Frame]:
    capture = open_capture(path)
    assert capture.error is None
    return [Frame(each.data, each.wirelen, each.time_ns) for each in capture]


def tcpdump_rows(path: Path) -> list[tuple[bytes, int]]:
    """Bytes and time of each packet, by the tcpdump binary."""
    if shutil.which("tcpdump") is None:
        pytest.skip("this machine has no tcpdump")
    command = ["tcpdump", "-nn", "-tt", "--nano", "-xx", "-r", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    times = re.findall(r"^(\d+)\.(\d{9}) ", text, re.MULTILINE)
    dumps = [packet.data for packet in parse(text)]
    seconds = [int(whole) * 10**9 + int(rest) for whole, rest in times]
    return list(zip(dumps, seconds, strict=True))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MAGIC_US, MAGIC_NS])
def test_pcap_in_both_byte_orders_and_precisions(tmp_path: Path, order: str, magic: int) -> None:
    path = saved(tmp_path, pcap(FRAMES, order, magic))
    assert rows(path) == FRAMES
    assert open_capture(path).linktype == 1
    assert tcpdump_rows(path) == [(each.data, each.time_ns) for each in FRAMES]
    scale = 1 if magic == MAGIC_NS else 1000
    with RawPcapReader(str(path)) as reader:
        read = [
            Frame(data, meta.wirelen, meta.sec * 10**9 + meta.usec * scale) for data, meta in reader
        ]
    assert read == FRAMES


def test_pcap_times_go_to_2106(tmp_path: Path) -> None:
    last = Frame(b"a", 1, 0xFFFFFFFF * 10**9 + 999_999_999)  # tcpdump prints up to 2038
    assert rows(saved(tmp_path, pcap([last], magic=MAGIC_NS))) == [last]


@pytest.mark.parametrize("order", ["<", ">"])
def test_kuznetzovs_pcap(tmp_path: Path, order: str) -> None:
    data = pcap_header(order, 0xA1B2CD34)
    for each in FRAMES:
        seconds, rest = divmod(each.time_ns or 0, 10**9)
        head = (seconds, rest // 1000, len(each.data), each.wirelen, 2, 0x800, 0, 0)
        data += struct.pack(f"{order}IIIIIHBB", *head) + each.data
    path = saved(tmp_path, data)
    assert rows(path) == FRAMES
    assert tcpdump_rows(path) == [(each.data, each.time_ns) for each in FRAMES]


@pytest.mark.parametrize(("number", "linktype"), [(1, 1), (12, 101), (101, 101), (0x10000001, 1)])
def test_the_link_type_of_a_pcap(tmp_path: Path, number: int, linktype: int) -> None:
    assert open_capture(saved(tmp_path, pcap([], linktype=number))).linktype == linktype


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "units"), [(None, 10**6), (6, 10**6), (9, 10**9), (3, 10**3), (0x8A, 1 << 10)]
)
def test_pcapng_clocks(tmp_path: Path, order: str, resolution: int | None, units: int) -> None:
    options = b"" if resolution is None else option(order, 9, bytes([resolution]))
    ticks = 1_700_000_000 * units + 3
    data = shb(order) + idb(order, 1, options=options) + epb(order, 0, ticks, b"abc", 60)
    path = saved(tmp_path, data)
    time_ns = 1_700_000_000 * 10**9 + 3 * 10**9 // units
    assert rows(path) == [Frame(b"abc", 60, time_ns)]
    if resolution != 0x8A:  # tcpdump rounds a clock in powers of two
        assert tcpdump_rows(path) == [(b"abc", time_ns)]


def test_pcapng_clock_offsets_and_times_beyond_64_bits(tmp_path: Path) -> None:
    for offset, ticks, expected in [
        (1_000_000, 5, 1_000_000 * 10**9 + 5000),
        (-10, 3, -10 * 10**9 + 3000),
        (0, (1 << 64) - 1, None),
    ]:
        options = option("<", 14, struct.pack("<q", offset))
        data = shb("<") + idb("<", 1, options=options) + epb("<", 0, ticks, b"a", 1)
        assert rows(saved(tmp_path, data)) == [Frame(b"a", 1, expected)]
    options = option("<", 9, b"\x7f") + option("<", 14, struct.pack("<q", 1 << 62))
    data = shb("<") + idb("<", 1, options=options) + epb("<", 0, 1, b"a", 1)
    assert rows(saved(tmp_path, data)) == [Frame(b"a", 1, None)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_packet_blocks_of_all_kinds(tmp_path: Path, order: str) -> None:
    old = struct.pack(f"{order}HHIIII", 0, 7, 0, 1_000_000, 3, 99) + b"old"
    data = (
        shb(order)
        + idb(order, 1, snaplen=5)
        + block(order, 5, bytes(12))
        + epb(order, 0, 2_000_000, b"epb", 60, option(order, 1, b"a comment"))
        + spb(order, b"simpl", 9)
        + block(order, 2, old)
        + block(order, 0x0BAD, b"of nobody's kind")
        + spb(order, b"abc", 3)
    )
    path = saved(tmp_path, data)
    expected = [
        Frame(b"epb", 60, 2 * 10**9),
        Frame(b"simpl", 9, None),
        Frame(b"old", 99, 10**9),
        Frame(b"abc", 3, None),
    ]
    assert rows(path) == expected
    assert tcpdump_rows(path) == [(each.data, each.time_ns or 0) for each in expected]


def test_pcapng_with_interfaces_of_several_link_types(tmp_path: Path) -> None:
    data = shb("<") + idb("<", 1) + idb("<", 101) + idb("<", 113)
    data += epb("<", 1, 0, b"raw", 3) + epb("<", 0, 0, b"eth", 3) + epb("<", 1, 0, b"raw", 3)
    capture = open_capture(saved(tmp_path, data, "x.pcapng"))
    assert [each.linktype for each in capture] == [101, 1, 101]
    assert (capture.linktype, capture.linktypes) == (None, (1, 101))
    assert repr(capture) == "<Capture x.pcapng: 3 packets, EN10MB and RAW>"
    part = capture.select([1, 0, 1])
    assert type(part) is PacketBatch
    assert part.linktype == 101


def test_pcapng_sections_start_anew_in_either_byte_order(tmp_path: Path) -> None:
    data = shb("<") + idb("<", 1) + idb("<", 101) + epb("<", 1, 0, b"one", 3)
    data += shb(">") + idb(">", 113) + epb(">", 0, 0, b"two", 3)
    capture = open_capture(saved(tmp_path, data))
    assert [(each.data, each.linktype) for each in capture] == [(b"one", 101), (b"two", 113)]


def test_an_empty_pcapng_has_its_interfaces_link_type(tmp_path: Path) -> None:
    assert open_capture(saved(tmp_path, shb("<") + idb("<", 113))).linktype == 113
    both = open_capture(saved(tmp_path, shb("<") + idb("<", 113) + idb("<", 1)))
    assert (len(both), both.linktype, both.error) == (0, None, None)


def test_pcapng_agrees_with_scapy(tmp_path: Path) -> None:
    for order in "<>":
        path = saved(tmp_path, pcapng(FRAMES, order))
        with PcapNgReader(str(path)) as reader:
            read = [Frame(bytes(each), each.wirelen or 0, ns_of(each.time)) for each in reader]
        assert rows(path) == read == FRAMES


def ns_of(time: object) -> int:
    assert isinstance(time, Decimal)
    return int(time * 10**9)


@pytest.mark.parametrize("data", [pcap(FRAMES), pcapng(FRAMES, "<")], ids=["pcap", "pcapng"])
def test_gzip_reads_like_the_file_in_it(tmp_path: Path, data: bytes) -> None:
    half = len(data) // 2
    members = gzip.compress(data[:half]) + gzip.compress(data[half:]) + bytes(7)
    for packed in (gzip.compress(data), gzip.compress(data, 0), members):
        path = saved(tmp_path, packed, "x.pcap.gz")
        assert rows(path) == FRAMES
        assert open_capture(path)[1].data == FRAMES[1].data


def test_gzip_over_many_pieces(tmp_path: Path) -> None:
    frames = [Frame(bytes([n % 256]) * 1000, 1000, n * 1000) for n in range(3000)]
    path = saved(tmp_path, gzip.compress(pcap(frames)), "x.pcap.gz")
    assert rows(path) == frames


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    path = saved(tmp_path, gzip.compress(pcap([]) + bytes(50_000_000)), "bomb.pcap.gz")
    assert path.stat().st_size < 100_000
    with pytest.raises(CaptureError, match="unpacks to more than 1000000 bytes"):
        open_capture(path, limit=1_000_000)


def damaged(path: Path) -> tuple[list[Frame], CaptureError]:
    capture = open_capture(path)
    assert capture.error is not None
    assert len(capture) == len(list(capture))
    with pytest.raises(CaptureError) as caught:
        open_capture(path, strict=True)
    assert str(caught.value) == str(capture.error)
    return [Frame(each.data, each.wirelen, each.time_ns) for each in capture], capture.error


def test_a_truncated_gzip_gives_the_packets_before(tmp_path: Path) -> None:
    frames = [Frame(bytes([n]) * 100, 100, n * 1000) for n in range(50)]
    packed = gzip.compress(pcap(frames))
    good, error = damaged(saved(tmp_path, packed[:-20], "x.pcap.gz"))
    assert good == frames[: len(good)]
    assert len(good) > 25
    assert (error.record, "too early" in error.message) == (len(good) + 1, True)
    wrong_sum = packed[:-8] + bytes(4) + packed[-4:]
    good, error = damaged(saved(tmp_path, wrong_sum, "x.pcap.gz"))
    assert good == frames
    assert (error.record, "broken" in error.message) == (51, True)


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 30])
def test_a_pcap_cut_short_gives_the_packets_before(tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path, pcap(FRAMES)[:-cut])
    good, error = damaged(path)
    assert good == FRAMES[:3]
    assert error.record == 4
    assert "the file ends" in error.message
    assert repr(open_capture(path)).startswith(
        "<Capture x.pcap: 3 packets, EN10MB; record 4: the file ends in the record"
    )


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF, 262145])
def test_a_record_that_claims_too_much_is_named(tmp_path: Path, claim: int) -> None:
    data = pcap(FRAMES[:2]) + struct.pack("<IIII", 1, 1, claim, claim) + bytes(300_000)
    good, error = damaged(saved(tmp_path, data))
    assert good == FRAMES[:2]
    assert (error.record, str(claim) in error.message) == (3, True)


def test_a_record_as_large_as_the_files_snaplen_is_believed(tmp_path: Path) -> None:
    large = Frame(bytes(300_000), 300_000, 0)
    data = bytearray(pcap([large]))
    data[16:20] = struct.pack("<I", 300_000)
    assert rows(saved(tmp_path, bytes(data))) == [large]


GOOD = shb("<") + idb("<", 1) + epb("<", 0, 0, b"good", 4)
BAD_PACKET = struct.pack("<IIIII", 0, 0, 0, 5000, 5000) + b"abcd"


@pytest.mark.parametrize(
    ("tail", "what"),
    [
        (bytes(4), "the file ends in the block"),
        (struct.pack("<II", 6, 1 << 30) + bytes(100), "the file ends in the block"),
        (struct.pack("<III", 9, 8, 8), "says it is 8 bytes long"),
        (struct.pack("<II", 9, 13) + bytes(9), "says it is 13 bytes long"),
        (struct.pack("<III", 9, 12, 16), "12 bytes long at its start, 16 at its end"),
        (epb("<", 1, 0, b"x", 1), "interface 1, its section has 1 so far"),
        (shb(">") + epb(">", 0, 0, b"x", 1), "interface 0, its section has 0 so far"),
        (block("<", 6, BAD_PACKET), "caplen at byte"),
        (block("<", 6, b"abcd"), "says it is 16 bytes long"),
        (spb("<", b"abc", 4000), "caplen at byte"),
        (idb("<", 1, options=struct.pack("<HH", 9, 60)), "option 9"),
        (idb("<", 1, options=option("<", 9, b"abc")), "clock option"),
        (shb("<")[:8] + b"\x01\x02\x03\x04" + shb("<")[12:], "byte-order magic 01020304"),
        (shb("<")[:12] + b"\2" + shb("<")[13:], "version 2"),
    ],
)
def test_a_damaged_pcapng_block_ends_the_batch(tmp_path: Path, tail: bytes, what: str) -> None:
    good, error = damaged(saved(tmp_path, GOOD + tail))
    assert [each.data for each in good] == [b"good"]
    assert error.record == 2
    assert what in error.message
    assert "at byte" in error.message


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"\xd4", "too few"),
        (b"hello world, this is no capture", "68656c6c"),
        (pcap_header("<", MAGIC_US)[:23], "ends in its header"),
        (struct.pack("<IHHiIII", MAGIC_US, 2, 3, 0, 0, 65535, 1), "version 2.3"),
        (struct.pack("<IHHiIII", MAGIC_US, 543, 0, 0, 0, 65535, 1), "version 543.0"),
        (shb("<")[:27], "the file ends"),
        (shb("<")[:-4] + bytes(4), "at its end"),
        (shb("<")[:8] + bytes(4) + shb("<")[12:], "byte-order magic"),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd"),
        (b"BZh9" + bytes(40), "bunzip2"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(b"nothing to see", mtime=0), "6e6f7468"),
        (b"\x1f\x8b" + bytes(30), "empty"),
    ],
)
def test_a_broken_file_header_raises_at_once(tmp_path: Path, data: bytes, what: str) -> None:
    path = saved(tmp_path, data)
    with pytest.raises(CaptureError) as caught:
        open_capture(path)
    assert caught.value.record is None
    assert what in str(caught.value)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    saved(tmp_path, pcap([]), "http.pcap")
    with pytest.raises(PacketError) as caught:
        open_capture(tmp_path / "htpp.pcap")
    assert "no such file" in caught.value.message
    assert caught.value.hint == f"did you mean {tmp_path / 'http.pcap'}?"
    cases: Iterable[tuple[str, str]] = [
        (str(tmp_path), "a directory"),
        ("/dev/zero", "a device"),
        (f"{tmp_path}/none/x.pcap", "no such file"),
        (f"{tmp_path}/http.pcap/x", "ot a directory"),
        ("a\0b.pcap", "null"),
        ("x" * 5000 + ".pcap", "too long"),
    ]
    for path, what in cases:
        with pytest.raises(PacketError, match=what):
            open_capture(path)


def test_a_large_file_is_mapped_and_may_be_cut_short_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filebytes, "WHOLE", 10)
    path = saved(tmp_path, pcap(FRAMES * 200))
    capture = open_capture(path)
    part = capture[10:20]
    assert len(capture) == 800
    assert part[0].data == capture[10].data == FRAMES[2].data
    path.write_bytes(b"")
    for batch in (capture, part):
        with pytest.raises(CaptureError, match="became shorter"):
            list(batch)


def test_what_the_disk_does_not_give_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, pcap(FRAMES, "<", MAGIC_US))
    with path.open("ab") as unreadable:
        file = filebytes.FileBytes(str(path), path.read_bytes(), file=unreadable)
        with pytest.raises(CaptureError, match="byte 0 cannot be read: "):
            file.bring(0, 24)


def test_a_file_read_whole_does_not_care(tmp_path: Path) -> None:
    path = saved(tmp_path, pcap(FRAMES))
    capture = open_capture(path)
    path.write_bytes(b"")
    assert [each.data for each in capture] == [each.data for each in FRAMES]
