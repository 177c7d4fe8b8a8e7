"""Records in a buffer, byte for byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb.course import tap
from bpfnb.samples import BOB


def test_a_buffer_byte_for_byte() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    listener = le0.listen("x", bpf.assemble("ret #15"), immediate=True)
    frames = [bytes(range(20)), bytes(range(100, 116))]
    le0.clock.run(until=3_000_007_999)
    for frame in frames:
        listener.tap(bpf.Packet(frame, wirelen=90, linktype=1))
    assert listener.poll().hex(" ", -4) == (
        "00000003 00000007 0000000f 0000005a 0012"  # 3 s 7 µs, 15 of 90 bytes, behind 18
        "0001 02030405 06070809 0a0b0c0d 0e"
        "000000 "  # 33 bytes, padded to 36
        "00000003 00000007 0000000f 0000005a 0012"
        "6465 66676869 6a6b6c6d 6e6f7071 72"  # the last record is not padded
    )


def test_the_network_header_begins_on_a_word() -> None:
    for linktype, link in ((1, 14), (101, 0), (113, 16), (276, 20)):
        assert tap.hdrlen(linktype) >= 18
        assert (tap.hdrlen(linktype) + link) % 4 == 0
        assert tap.hdrlen(linktype) < 18 + 4


def test_padding_of_a_longer_header_is_zero() -> None:
    record = tap.framed(b"\x45", 1, 1, 0, 20)
    assert record[18:] == b"\0\0\x45"


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 2**32 * 10**9 - 1)), max_size=8))
def test_records_are_read_as_they_were_written(packets: list[tuple[bytes, int]]) -> None:
    buffer = b""
    for data, time_ns in packets:
        buffer += bytes(-len(buffer) % 4) + tap.framed(data, len(data), 1514, time_ns, 18)
    found = list(tap.records(buffer))
    assert [(each.data, each.time_ns) for each in found] == [
        (data, time_ns // 1000 * 1000) for data, time_ns in packets
    ]
    assert all(each.start % 4 == 0 and each.datalen == 1514 for each in found)


@given(st.binary(max_size=120))
def test_bytes_that_are_no_records_are_told(data: bytes) -> None:
    try:
        found = list(tap.records(data))
    except bpf.BpfError:
        return
    assert all(each.stop <= len(data) for each in found)


@pytest.mark.parametrize("size", [1, 17, 19, 77])
def test_a_buffer_that_ends_too_soon_is_told(size: int) -> None:
    whole = tap.framed(bytes(60), 60, 60, 0, 18)
    with pytest.raises(bpf.BpfError, match="byte 0"):
        list(tap.records(whole[:size]))


def test_a_header_that_says_it_is_shorter_than_it_can_be_is_told() -> None:
    with pytest.raises(bpf.BpfError):
        list(tap.records(struct.pack(">IIIIH", 0, 0, 0, 0, 0)))
