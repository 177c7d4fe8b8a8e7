"""No bytes make the reader raise anything but our error, or show a wrong packet."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bpfnb.errors import BpfError
from bpfnb.packets.capture import Capture, open_capture
from tests.capture_files import Frame, epb, idb, option, pcap, pcapng, shb, spb

FRAMES = [Frame(bytes([n]) * (n * 7), n * 9, n * 10**9) for n in range(1, 6)]
MIXED = shb("<") + idb("<", 1, options=option("<", 9, b"\x09") + option("<", 14, bytes(8)))
MIXED += epb("<", 0, 5, b"abc", 60) + spb("<", b"abcdef", 6) + shb(">") + idb(">", 101)
MIXED += epb(">", 0, 1 << 40, b"raw ip", 6)
WHOLE = [
    pcap(FRAMES),
    pcap(FRAMES, ">"),
    pcapng(FRAMES, "<"),
    pcapng(FRAMES, ">"),
    MIXED,
    gzip.compress(pcap(FRAMES), mtime=0),
    gzip.compress(MIXED, mtime=0),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage") / "x.pcap"


def look(path: Path, data: bytes) -> Capture | None:
    """Open and use what can be used; None when the file header is refused."""
    path.write_bytes(data)
    try:
        capture = open_capture(path, limit=1 << 22)
    except BpfError:
        return None
    packets = list(capture)
    assert len(packets) == len(capture)
    assert sum(len(each.data) for each in packets) <= len(capture.buffer)
    assert [len(each.data) for each in packets] == capture.columns.lengths.tolist()
    if capture.error is not None:
        assert capture.error.record == len(capture) + 1
    assert repr(capture).startswith("<Capture x.pcap: ")
    copy = path.with_name("copy.pcapng" if capture.family == "pcapng" else "copy.pcap")
    capture.write(copy)
    assert list(open_capture(copy, strict=True)) == packets
    return capture


MAGICS = [data[:4] for data in WHOLE] + [MIXED[:28], MIXED[:60], pcap([])[:24]]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([b"", *MAGICS]), st.binary(max_size=400))
def test_arbitrary_bytes(path: Path, head: bytes, data: bytes) -> None:
    look(path, head + data)


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 1 << 16),
        st.sampled_from(["set", "drop", "insert", "cut"]),
        st.one_of(st.binary(min_size=1, max_size=4), st.just(b"\xff\xff\xff\xff")),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(WHOLE), CHANGES)
@example(WHOLE[0], [(32, "set", b"\xff\xff\xff\xff")])
@example(WHOLE[2], [(32, "set", b"\xff\xff\xff\xff")])
def test_damaged_files(path: Path, data: bytes, changes: list[tuple[int, str, bytes]]) -> None:
    for at, change, piece in changes:
        at %= len(data) + 1
        if change == "set":
            data = data[:at] + piece + data[at + len(piece) :]
        elif change == "drop":
            data = data[:at] + data[at + len(piece) :]
        elif change == "insert":
            data = data[:at] + piece + data[at:]
        else:
            data = data[:at]
    look(path, data)


@pytest.mark.parametrize("data", WHOLE[:4], ids=["pcap <", "pcap >", "pcapng <", "pcapng >"])
def test_a_file_cut_anywhere_gives_the_packets_that_are_whole(path: Path, data: bytes) -> None:
    counts = []
    for size in range(len(data) + 1):
        capture = look(path, data[:size])
        if capture is not None:
            found = [(each.data, each.wirelen, each.time_ns) for each in capture]
            assert found == FRAMES[: len(found)]
            counts.append(len(found))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(FRAMES))


def test_a_gzip_damaged_anywhere_gives_true_packets_or_an_error(path: Path) -> None:
    packed = gzip.compress(pcap(FRAMES * 20), 6)
    for at in range(10, len(packed)):
        capture = look(path, packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :])
        assert capture is None or capture.error is not None
