"""The native walk through capture files finds what the walk in Python finds, whatever they hold."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.packets import filebytes, pcapfile, pcapng
from bpfnb.packets.capture import open_capture
from bpfnb.packets.columns import Columns, Index
from bpfnb.packets.filebytes import FileBytes
from bpfnb.packets.lanes import WINDOW
from bpfnb.packets.records import Rows, follow
from tests.capture_files import (
    MAGIC_NS,
    MAGIC_US,
    Frame,
    block,
    epb,
    idb,
    option,
    pcap,
    shb,
    spb,
)

ROOT = Path(__file__).parents[1]
CLOCKS = [None, 6, 9, 3, 12, 0x80 | 10, 0x80 | 40]


def index(data: bytes) -> Index:
    """As `open_capture` finds the packets."""
    file = FileBytes("x", data)
    if data[:4] == pcapng.MAGIC:
        pcapng.read_header(data, "x")
        return pcapng.index(file)
    return pcapfile.index(file, pcapfile.read_header(data, "x"))


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that looks through a file natively and in Python: both give the same."""

    def look(data: bytes) -> Index:
        for module in (pcapfile, pcapng):
            monkeypatch.setattr(module, "LONG", 1 << 62)
        python = index(data)
        for module in (pcapfile, pcapng):
            monkeypatch.setattr(module, "LONG", 0)
        native = index(data)
        assert same(native.columns, python.columns)
        assert native.end == python.end
        assert str(native.error) == str(python.error)
        return native

    return look


def same(one: Columns, two: Columns) -> bool:
    """Whether all columns are equal, their types too."""
    for name in ("offsets", "lengths", "wirelens", "times_ns", "linktypes"):
        first, second = getattr(one, name), getattr(two, name)
        if (first is None) != (second is None):
            return False
        if first is not None and (first.dtype != second.dtype or not np.array_equal(first, second)):
            return False
    return one.linktype == two.linktype


def frames(rng: random.Random, count: int, most: int = 200) -> list[Frame]:
    """Packets of random bytes, cut short now and then, at times of all sizes."""
    made = []
    for _ in range(count):
        size = rng.choice([0, 1, 14, 60, rng.randrange(most + 1)])
        seconds = rng.choice([0, 1_700_000_000, 0xFFFFFFFF, rng.getrandbits(32)])
        wirelen = rng.choice([size, size, 1500, 0, 0xFFFFFFFF])
        fraction = rng.randrange(10**6) * 1000
        made.append(Frame(rng.randbytes(size), wirelen, seconds * 10**9 + fraction))
    return made


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MAGIC_US, MAGIC_NS])
def test_pcap_in_both_byte_orders_and_precisions(both: Any, order: str, magic: int) -> None:
    rng = random.Random(magic)
    for count in (0, 1, 2, 5, 300):
        found = both(pcap(frames(rng, count), order=order, magic=magic))
        assert len(found.columns.offsets) == count
        assert found.error is None


def test_kuznetzovs_pcap(both: Any) -> None:
    rows = [struct.pack("<IIIIIHBB", 7, 8, n, 99, 1, 0x800, 0, 0) + bytes(n) for n in range(40)]
    found = both(struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1) + b"".join(rows))
    assert found.columns.lengths.tolist() == list(range(40))


@pytest.mark.parametrize("order", ["<", ">"])
def test_damage_anywhere_ends_both_walks_in_the_same_place(both: Any, order: str) -> None:
    rng = random.Random(9)
    for whole in (pcap(frames(rng, 40), order=order), mixed(rng, order)):
        start = 24 if whole[:4] != pcapng.MAGIC else 28
        for _ in range(150):
            data = bytearray(whole)
            if rng.random() < 0.5:
                del data[rng.randrange(start, len(data)) :]
            for _ in range(rng.randrange(4)):
                data[rng.randrange(start, len(data))] = rng.choice([0, 1, 0xFF, rng.randrange(256)])
            both(bytes(data))


def mixed(rng: random.Random, order: str) -> bytes:
    """A pcapng file of several sections, interfaces with clocks of their own, other blocks."""
    parts = []
    for _ in range(rng.randrange(1, 4)):
        parts.append(shb(order))
        faces = rng.randrange(1, 4)
        for _ in range(faces):
            parts.append(clocked(rng, order))
        for _ in range(rng.randrange(60)):
            kind = rng.random()
            data = rng.randbytes(rng.randrange(90))
            if kind < 0.8:
                ticks = rng.choice([rng.getrandbits(50), rng.getrandbits(64), 1 << 63])
                parts.append(epb(order, rng.randrange(faces), ticks, data, 1500))
            elif kind < 0.9:
                parts.append(spb(order, data, len(data)))
            elif kind < 0.95:
                parts.append(block(order, 0x0BAD, data))
            else:
                parts.append(clocked(rng, order))
    return b"".join(parts)


def clocked(rng: random.Random, order: str) -> bytes:
    """An interface with a clock."""
    resolution = rng.choice(CLOCKS)
    options = b"" if resolution is None else option(order, 9, bytes([resolution]))
    if rng.random() < 0.3:
        options += option(order, 14, struct.pack(f"{order}q", rng.choice([-5, 10**9])))
    return idb(order, rng.choice([1, 1, 101, 276]), 0, options)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_every_make(both: Any, order: str) -> None:
    rng = random.Random(3)
    sizes = [len(both(mixed(rng, order)).columns.offsets) for _ in range(60)]
    assert max(sizes) > 50


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 40), st.integers(1, 3000))
def test_any_part_and_any_bytes_give_the_same(tail: bytes, count: int, part: int) -> None:
    """Parts of a few bytes: each record lies across one, and most guesses are wrong."""
    data = pcap(frames(random.Random(count), count)) + tail
    header = pcapfile.read_header(data, "x")
    wanted = Rows()
    end = pcapfile.walk(data, header, wanted)
    rows = Rows()
    found = follow(FileBytes("x", data), pcapfile.record(header), rows, 24, part=part)
    assert found == end
    for mine, theirs in zip(rows.since(0)[:4], wanted.since(0)[:4], strict=True):
        assert np.array_equal(mine, theirs)


def test_records_within_packets_deceive_nobody(both: Any) -> None:
    """A capture of captures being copied: every guess inside a packet looks like a record."""
    inner = pcap(frames(random.Random(5), 400))[24:]
    rows = [Frame(inner[at : at + 1400], 1400, at) for at in range(0, len(inner), 700)]
    found = both(pcap(rows * 20))
    assert len(found.columns.offsets) == len(rows) * 20


def test_a_file_longer_than_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some windows, mapped; records of 16 bytes and of 64 KiB in one file."""
    rng = random.Random(1)
    sizes = [*([0] * 70_000), *[65_000] * 150, *[rng.randrange(1500) for _ in range(9000)]]
    rng.shuffle(sizes)
    payload = rng.randbytes(65_000)
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap([Frame(payload[:size], size, 10**9) for size in sizes]))
    assert path.stat().st_size > 3 * WINDOW
    monkeypatch.setattr(filebytes, "WHOLE", 0)
    capture = open_capture(path)
    assert capture.columns.lengths.tolist() == sizes
    assert capture.error is None
    assert capture[70_000].data == payload[: sizes[70_000]]


def test_an_interrupt_is_seen_between_windows(tmp_path: Path) -> None:
    script = """
import signal, sys
from bpfnb.packets import pcapfile, records
from bpfnb.packets.filebytes import FileBytes
data = open(sys.argv[1], "rb").read()
header = pcapfile.read_header(data, "x")
record = pcapfile.record(header)
records.compiled(record)
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    while True:
        records.follow(FileBytes("x", data), record, records.Rows(), 24, part=64)
except KeyboardInterrupt:
    print("interrupted")
"""
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(frames(random.Random(2), 2000)))
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "interrupted\n"
