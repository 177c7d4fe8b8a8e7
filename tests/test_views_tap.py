"""A tap's pictures: the numbers they show, their twins in text, and the same bytes each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest

import bpfnb as bpf
from bpfnb.course import tap
from bpfnb.samples import ALICE, BOB
from bpfnb.views.plots_lines import Lines
from bpfnb.views.tap_overview import TapListener, TapOverview
from bpfnb.views.tap_records import ReadBytes
from bpfnb.views.tap_timeline import BufferTimeline, step_of
from bpfnb.views.view import Picture

SVG = "{http://www.w3.org/2000/svg}"
US, MS = tap.MICROSECOND, tap.MILLISECOND


def words(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def texts(svg: str) -> list[tuple[float, float, str]]:
    return [
        (float(each.get("x", "nan")), float(each.get("y", "nan")), "".join(each.itertext()))
        for each in ET.fromstring(svg).iter(f"{SVG}text")
    ]


def figure_1() -> TapOverview:
    le0 = tap.Interface("le0", ALICE.mac)
    for text in ("tcp", "icmp or icmp6", "rarp"):
        tap.Reader(le0.listen(text, bpf.compile_filter(text), timeout_ns=tap.SECOND))
    le0.play(tap.replay(bpf.samples.open("mixed")))
    le0.clock.run()
    return tap.overview(le0)


def loaded() -> tap.Listener:
    le0 = tap.Interface("le0", BOB.mac)
    monitor = le0.listen("monitor", bufsize=1024, timeout_ns=20 * MS)
    tap.Reader(monitor, per_packet=MS)
    le0.play(tap.bursts(tap.sized(200, 40), size=20, every=200 * US, pause=30 * MS))
    le0.clock.run()
    return monitor


def read() -> ReadBytes:
    listener = tap.Interface("le0", BOB.mac).listen("x", immediate=True)
    for size in (60, 61, 64):
        listener.tap(tap.sized(size)[0])
    return tap.read_bytes(listener.poll())


def every_picture() -> list[Picture]:
    curves = Lines({"a": [(1, 2.0), (2, 4.0)], "b": [(1, 3.0)]}, "n", "ms", "a grows")
    return [figure_1(), tap.timeline(loaded()), read(), curves]


@pytest.mark.parametrize("at", range(4))
def test_a_picture_is_the_same_each_time_and_has_words_for_who_cannot_see_it(at: int) -> None:
    one, other = every_picture()[at], every_picture()[at]
    assert one.svg == other.svg
    assert str(one) == str(other)
    assert one._repr_html_() == other._repr_html_()
    alt = re.search(r'<img alt="([^"]+)"', one._repr_html_())
    assert alt is not None
    assert len(alt[1]) > 30


def test_the_overview_shows_every_count() -> None:
    view = figure_1()
    shown = words(view.svg)
    for each in view.listeners:
        assert f"✓ {each.accepted:,}" in shown
        assert f"✗ {each.rejected:,}" in shown
        assert f"{each.delivered:,} in {each.reads} read{'' if each.reads == 1 else 's'}" in shown
        assert f"{each.received:,} in, {each.rejected:,} rejected" in view.text()
    assert {"102 frames taken", "43 received", "59 sent", "the wire"} <= set(shown)
    assert view.headline().startswith("delivered: tcp 62 of 102, icmp or icmp6 11 of 102, rarp 0")


def test_the_overview_shows_drops_and_what_is_buffered() -> None:
    monitor = tap.Interface("le0", BOB.mac).listen("x", bufsize=200)
    for packet in tap.sized(60, 6):
        monitor.tap(packet)
    le0 = tap.Interface("le0", BOB.mac)
    le0.listeners.append(monitor)
    view = tap.overview(le0, filters={"x": "all of it"})
    assert "dropped 2" in words(view.svg)
    assert "all of it" in words(view.svg)
    assert "store 2 packets (158 bytes), hold 2 packets (158 bytes); 2 dropped" in view.text()


def test_an_overview_of_nobody_and_of_many() -> None:
    assert tap.overview(tap.Interface()).headline() == "nobody listens"
    le0, le1 = tap.Interface("le0"), tap.Interface("le1")
    for number in range(12):
        (le0, le1)[number % 2].listen(f"listener {number}")
    view = tap.overview(le0, le1)
    assert isinstance(view.listeners[0], TapListener)
    assert "listener 11" in view.text()
    width = float(ET.fromstring(view.svg).get("width", "0"))
    assert all(0 <= x <= width for x, _, _ in texts(view.svg))


def test_nits_chunks_stand_where_bpfs_buffers_do() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    le0.listen_by_nit("x", chunksize=160)
    le0.play(tap.steady(tap.sized(60, 3), US))
    le0.clock.run()
    view = tap.overview(le0)
    assert "chunks of 160 bytes" in words(view.svg)
    assert "NIT filter" in words(view.svg)
    assert "chunk 1 packet (68 bytes), head 2 packets (136 bytes)" in view.text()
    assert "chunk" in words(tap.timeline(le0.listeners[0]).svg)


def test_the_timeline_tells_stored_packets_reads_and_drops() -> None:
    monitor = loaded()
    view = tap.timeline(monitor)
    counts = monitor.counts
    assert counts.dropped
    stored, reads = counts.accepted - counts.dropped, counts.reads
    assert view.headline() == (
        f"monitor: {stored} packets stored, {reads} reads, {counts.dropped} packets dropped"
    )
    assert {f"read {reads}", f"dropped {counts.dropped}", "store", "free"} <= set(words(view.svg))
    assert 'fill="url(#held)"' in view.svg


def test_a_buffers_stretches_are_what_it_did_from_the_beginning_to_the_end() -> None:
    view = tap.timeline(loaded())
    for lane in (0, 1):
        stretches = list(view.stretches(lane))
        assert stretches[0][0] == ("store", "free")[lane]
        times = [(points[0][0], points[-1][0]) for _, points in stretches]
        assert times[0][0] == 0
        assert times[-1][1] == view.until
        assert all(end == start for (_, end), (start, _) in pairwise(times))


def test_an_empty_timeline_and_one_that_is_cut() -> None:
    quiet = tap.Interface("le0").listen("quiet")
    assert "0 packets stored" in tap.timeline(quiet).text()
    ET.fromstring(tap.timeline(quiet).svg)
    monitor = loaded()
    early = tap.timeline(monitor, until=2 * MS)
    assert early.until == 2 * MS
    assert all(time <= 2 * MS for time, *_ in early.rows)
    assert len(early.rows) < len(tap.timeline(monitor).rows)


def test_a_long_timeline_is_folded_in_text() -> None:
    rows: tuple[Any, ...] = tuple(
        (at, ("stored", "read")[at % 2], (("store", 1), ("free", 0))) for at in range(200)
    )
    assert BufferTimeline("x", 10, rows, 200).text().endswith("… and 160 more lines")


@pytest.mark.parametrize("length", [0.001, 0.42, 1, 7, 100, 12345])
def test_a_scale_has_a_few_round_marks(length: float) -> None:
    assert 2 < length / step_of(length) <= 6


def test_what_a_read_gave_has_every_byte_once() -> None:
    view = read()
    assert view.headline() == "one read: 3 packets in 242 bytes, 3 bytes of them padding"
    covered = [k for each in view.stretches for k in range(each.start, each.stop)]
    assert covered == list(range(len(view.data)))
    shown = words(view.svg)
    bytes_drawn = [
        each for x, _, each in texts(view.svg) if x > 58 and re.fullmatch("[0-9a-f]{2}", each)
    ]
    assert bytes_drawn == [f"{byte:02x}" for byte in view.data]
    assert {"caplen 60", "datalen 64", "hdrlen 18", "packet 1: 60 bytes"} <= set(shown)
    assert "78–79        padding  pad: 00 00" in view.text()


def test_what_is_long_is_cut_and_says_so() -> None:
    listener = tap.Interface("le0", BOB.mac).listen("x", immediate=True)
    for packet in tap.sized(1000, 3):
        listener.tap(packet)
    view = tap.read_bytes(listener.poll(), rows=4)
    assert len(view.data) == 64
    assert "shown: the first 64" in view.headline()


def test_lines_are_drawn_and_told() -> None:
    view = Lines({"up": [(0, 1.0), (10, 3.0)], "down": [(0, 3.0), (5, 0.25)]}, "n", "ms", "yes")
    shown = words(view.svg)
    assert {"up", "down", "ms", "n"} <= set(shown)
    assert str(view).splitlines() == [
        "yes",
        "   n   up   down",
        "   0  1.0    3.0",
        "   5       0.250",
        "  10  3.0",
    ]
    assert view.alt.startswith("line chart: yes; 0: up 1.0, down 3.0")


def test_names_of_curves_that_end_together_stand_apart_and_inside() -> None:
    view = Lines({f"curve {at}": [(0, 1.0), (1, at / 100)] for at in range(6)}, "n", "ms", "")
    places = sorted(y for _, y, each in texts(view.svg) if each.startswith("curve"))
    assert all(b - a > 11 for a, b in pairwise(places))
    assert max(places) < 300


def test_lines_without_a_place_on_the_scale_are_refused() -> None:
    with pytest.raises(bpf.BpfError, match="nothing to draw"):
        Lines({"none": []}, "n", "ms", "")
    with pytest.raises(bpf.BpfError, match="nothing to draw"):
        Lines({"zero": [(1, 0.0)]}, "n", "ms", "", logarithmic=True)
    assert "1,000" in words(
        Lines({"a": [(1, 5.0), (2, 5000.0)]}, "n", "", "", logarithmic=True).svg
    )
