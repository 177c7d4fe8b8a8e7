"""The trace: what each step did, in a table and in a log, and why it ended."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings

from bpfnb.cbpf.ancillary import AD_OFF
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.views.cfg import Graph
from bpfnb.views.listing import Listing
from bpfnb.views.trace import TraceLog, TraceTable, why
from tests.strategies import legal_programs, packet_bytes

ICMP = Program.from_insns(
    [(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 1), (6, 0, 0, 262144),
     (6, 0, 0, 0)]
)  # fmt: skip
PING = bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x01" + bytes(18)
UDP = bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x11" + bytes(18)


def test_the_table_has_a_line_a_step_with_what_it_read_and_changed() -> None:
    text = TraceTable(trace(ICMP, UDP), "packet 4").text()
    assert [" ".join(line.split()) for line in text.splitlines()[1:]] == [
        "step pc instruction bytes read A X what happens",
        "0 (000) ldh [12] 12: 08 00 0x800* 0x0 load the half word at byte 12 of the packet into A",
        "1 (001) jeq #0x800 jt 2 jf 5 0x800 0x0 A == 0x800 is true, go to 2",
        "2 (002) ldb [23] 23: 11 0x11* 0x0 load the byte at byte 23 of the packet into A",
        "3 (003) jeq #0x1 jt 4 jf 5 0x11 0x0 A == 0x1 is false, go to 5",
        "4 (005) ret #0 0x11 0x0 ✗ reject",
    ]


def test_the_first_line_is_the_verdict_and_why() -> None:
    assert TraceTable(trace(ICMP, UDP), "packet 4").text().splitlines()[0] == (
        "packet 4: ✗ reject after 5 steps: ret at (005) is 0; "
        "the test at (003), A == 0x1, was false: A was 0x11"
    )


@pytest.mark.parametrize(
    ("insns", "data", "expected"),
    [
        ([(6, 0, 0, 96)], bytes(200), "✓ accept: ret is 96, which keeps the first 96 of 200 bytes"),
        ([(6, 0, 0, 96)], bytes(42), "✓ accept: ret is 96, which keeps all 42 bytes"),
        ([(6, 0, 0, 0)], b"", "✗ reject: ret at (000) is 0"),
        (
            [(0x28, 0, 0, 54), (0x16, 0, 0, 0)],
            bytes(42),
            "✗ reject: load past the end at (000): wanted bytes 54–55, the packet has 42",
        ),
        (
            [(0x30, 0, 0, 42), (0x16, 0, 0, 0)],
            bytes(42),
            "✗ reject: load past the end at (000): wanted byte 42, the packet has 42",
        ),
        (
            [(0x20, 0, 0, 0xFFE00000), (0x16, 0, 0, 0)],
            bytes(42),
            (
                "✗ reject: load past the end at (000): wanted 4 bytes at 0xffe00000, "
                "which this packet does not have"
            ),
        ),
        ([(0x3C, 0, 0, 0), (0x16, 0, 0, 0)], b"", "✗ reject: division by X = 0 at (000)"),
        ([(0x9C, 0, 0, 0), (0x16, 0, 0, 0)], b"", "✗ reject: division by X = 0 at (000)"),
        (
            [(0x20, 0, 0, AD_OFF + 8), (0x16, 0, 0, 0)],
            b"",
            "✗ reject: (000) found no device and ended the program",
        ),
        (
            [(0x1D, 0, 1, 0), (0x2D, 0, 0, 0), (6, 0, 0, 0)],
            b"",
            (
                "✗ reject: ret at (002) is 0; the test at (000), A == X, was true: "
                "A was 0x0 and X was 0x0"
            ),
        ),
    ],
)
def test_why(insns: list[tuple[int, int, int, int]], data: bytes, expected: str) -> None:
    assert why(trace(Program.from_insns(insns), data)) == expected


def test_a_trace_without_end_is_cut_in_html_and_says_so() -> None:
    loop = Program.from_insns(
        [(0x04, 0, 0, 1), (0x25, 0, 1, 1500), (6, 0, 0, 1), (5, 0, 0, 2**32 - 4)]
    )
    html = TraceTable(trace(loop, b"", budget=10_000)).html()
    assert html.count("<tr") == 1000 + 2
    assert "steps behind these not shown" in html


def test_scratch_memory_has_a_column_only_where_it_is_written() -> None:
    stores = Program.from_insns([(0x00, 0, 0, 7), (0x02, 0, 0, 3), (0x16, 0, 0, 0)])
    assert "M[3]=0x7" in TraceTable(trace(stores, b"")).text()
    assert "M[]" in TraceTable(trace(stores, b"")).html()
    assert "M[]" not in TraceTable(trace(ICMP, PING)).text()
    assert "M[]" not in TraceTable(trace(ICMP, PING)).html()


def test_html_marks_what_changed_and_gives_decimals_on_hover() -> None:
    html = TraceTable(trace(ICMP, PING)).html()
    assert "<b>0x800</b>" in html
    assert 'title="2048"' in html
    assert html.count("<b>0x") == 2


def test_the_log_has_all_that_bpf_dbg_shows_before_each_step() -> None:
    stores = Program.from_insns(
        [(0x00, 0, 0, 7), (0x02, 0, 0, 3), (0x15, 0, 1, 7), (0x16, 0, 0, 0), (6, 0, 0, 0)]
    )
    paragraphs = TraceLog(trace(stores, b"")).text().split("\n\n")
    assert paragraphs[2].splitlines() == [
        "step 2",
        "  pc:     [2]",
        "  code:   [0x15] jt[0] jf[1] k[7]",
        "  curr:   (002) jeq #0x7 jt 3 jf 4",
        "  jt:     (003) ret",
        "  jf:     (004) ret #0",
        "  A:      [0x00000007] [7]",
        "  X:      [0x00000000] [0]",
        "  M[3]:   [0x00000007] [7]",
    ]
    assert paragraphs[0].splitlines()[4] == "  next:   (001) st M[3]"
    assert paragraphs[-1].startswith("✓ accept after 4 steps")


@settings(max_examples=40, deadline=None)
@given(legal_programs(), packet_bytes())
def test_every_legal_run_can_be_shown(program: Program, data: bytes) -> None:
    run = trace(program, data)
    assert len(TraceTable(run).text().splitlines()) == len(run.steps) + 2
    assert TraceLog(run).text().count("\nstep ") == len(run.steps) - 1
    assert why(run).startswith("✓ accept: " if run.ret else "✗ reject: ")
    assert Listing(program, path=run.path).text().count("•") == len(set(run.path))
    graph = Graph(program, path=run.path)
    assert len(graph.taken) == len(graph.entered) - 1
    ET.fromstring(graph.svg)
