"""The listing: tcpdump's to the byte, columns after it, arcs beside it."""

from __future__ import annotations

import base64
import re

from hypothesis import given
from hypothesis import strategies as st

from bpfnb.cbpf.checker import check, unsafe_reads
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program, SourceLine
from bpfnb.cbpf.trace import trace
from bpfnb.views.arcs import LANES, ROW, Arcs, jumps
from bpfnb.views.hits import Hits
from bpfnb.views.listing import Listing, bar

ICMP = Program.from_insns(
    [(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 1), (6, 0, 0, 262144),
     (6, 0, 0, 0)]
)  # fmt: skip

# tcpdump 4.99.3, libpcap 1.10.3: tcpdump -d -y EN10MB icmp
TCPDUMP = """\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 5
(002) ldb      [23]
(003) jeq      #0x1             jt 4\tjf 5
(004) ret      #262144
(005) ret      #0"""


def drawn(html: str) -> list[str]:
    """The SVGs in some HTML, in order."""
    found = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    return [base64.b64decode(each).decode() for each in found]


def test_with_nothing_to_add_the_text_is_tcpdumps_listing() -> None:
    assert Listing(ICMP).text() == TCPDUMP


def test_counts_and_meanings_stand_in_columns_after_tcpdumps_line() -> None:
    lines = Listing(ICMP, hits=(8, 8, 6, 6, 1, 7), packets=8).text().splitlines()
    columns = []
    for line, theirs in zip(lines, TCPDUMP.splitlines(), strict=True):
        assert line.startswith(theirs)
        columns.append(line.expandtabs()[len("(001) jeq      #0x800           jt 2    jf 5") :])
    assert columns == [
        "  8 ████████  A <- P[12:2]",
        "  8 ████████  pc <- (A == 0x800) ? 2 : 5",
        "  6 ██████    A <- P[23:1]",
        "  6 ██████    pc <- (A == 0x1) ? 4 : 5",
        "  1 █         return 262144",
        "  7 ███████   return 0",
    ]


NAMES = {0: "Ether.type", 1: "IPv4", 2: "IP.proto", 3: "ICMP"}


def test_names_join_the_columns_where_there_are_any_and_leave_tcpdumps_text_alone() -> None:
    named = Listing(ICMP, notes=NAMES, footnote="why")
    assert named.text() == TCPDUMP
    lines = Listing(ICMP, hits=(8, 8, 6, 6, 1, 7), notes=NAMES, footnote="why").text().splitlines()
    assert [line.partition("█")[2].lstrip("█▊ ") for line in lines[:-1]] == [
        "Ether.type  A <- P[12:2]",
        "IPv4        pc <- (A == 0x800) ? 2 : 5",
        "IP.proto    A <- P[23:1]",
        "ICMP        pc <- (A == 0x1) ? 4 : 5",
        "return 262144",
        "return 0",
    ]
    assert lines[-1] == "why"
    html = named.html()
    assert "  Ether.type  A &lt;- P[12:2]</span>" in html
    assert "A &lt;- P[12:2]</span>" in Listing(ICMP).html()
    assert html.endswith(">why</span></div></div>")


def test_a_name_is_escaped_in_html() -> None:
    assert "&lt;b&gt;" in Listing(ICMP, notes={0: "<b>"}).html()


def test_a_path_alone_is_dots_beside_what_ran() -> None:
    lines = Listing(ICMP, path=(0, 1, 5)).text().splitlines()
    assert ["•" in line for line in lines] == [True, True, False, False, False, True]


def test_faults_stand_under_their_instruction_with_rule_and_cure() -> None:
    bad = Program.from_insns([(0x20, 0, 0, 0), (0x64, 0, 0, 40), (6, 0, 0, 1)])
    lines = Listing(bad, faults=check(bad)).text().splitlines()
    assert lines[1].startswith("(001) lsh")
    assert lines[2].startswith("      ✗ shift_width: lsh by 40 bits")
    assert lines[3].strip().startswith("cure: ")
    assert lines[4].startswith("(002) ret")
    html = Listing(bad, faults=check(bad)).html()
    assert html.index("lsh by 40 bits") < html.index("cure: ") < html.index("return 1")
    assert "1 fault" in html


def test_a_fault_behind_the_last_instruction_is_still_said() -> None:
    nothing = Program(())
    assert "the program is empty" in Listing(nothing, faults=check(nothing)).text()
    assert "the program is empty" in Listing(nothing, faults=check(nothing)).html()


def test_a_read_that_is_legal_but_unsafe_is_a_warning_with_its_way() -> None:
    unsafe = Program.from_insns([(0x05, 0, 0, 0), (0x60, 0, 0, 3), (0x16, 0, 0, 0)])
    text = Listing(unsafe, warnings=unsafe_reads(unsafe)).text()
    assert "⚠ M[3] can be read unwritten, on the way 0 → 1" in text


def test_html_has_labels_source_lines_and_the_sentence_on_hover() -> None:
    program = Program(
        ICMP.insns, {"drop": 5}, tuple(SourceLine(at + 10, f"source {at}") for at in range(6))
    )
    html = Listing(program).html()
    assert "drop: 5" in html
    assert "end: accept the first 0 bytes, 0 rejects\nline 15: source 5" in html


def test_no_control_character_of_a_program_reaches_its_html() -> None:
    wild = "ret #0 ; \x1b[31m\x9b\ud800<b>"
    html = Listing(Program((Insn(6, 0, 0, 0),), {"\x1b[2J": 0}, (SourceLine(1, wild),))).html()
    assert all(char.isprintable() or char == "\n" for char in html)
    assert "ret #0 ; \N{REPLACEMENT CHARACTER}[31m" in html


def test_what_never_ran_is_dimmed() -> None:
    html = Listing(ICMP, hits=(1, 1, 0, 0, 0, 1)).html()
    assert [";opacity:0.5" in row for row in html.split("<tr")[1:]] == [
        False, False, True, True, True, False,
    ]  # fmt: skip


def test_a_bar_is_as_long_as_its_share_and_never_empty_for_a_count() -> None:
    assert [len(bar(count, 8)) for count in range(9)] == list(range(9))
    assert bar(1, 4096) == "▏"


def test_long_listings_fold_and_very_long_ones_say_what_they_leave_out() -> None:
    long = Program.from_insns([(0x04, 0, 0, 1)] * 4095 + [(6, 0, 0, 0)])
    html = Listing(long).html()
    assert html.count("<details>") == 1
    assert "980 more instructions" in html
    assert "3,096 instructions behind these not shown" in html
    assert len(Listing(long).text().splitlines()) == 4096


def test_the_margin_says_in_words_where_each_jump_goes() -> None:
    html = Listing(ICMP).html()
    assert re.findall('alt="([^"]*)"', html) == ["", "jumps to 5", "", "jumps to 5", "", ""]


def test_jumps_to_one_target_share_a_lane_and_nested_ones_do_not() -> None:
    assert [lane.sources for lane in Arcs(ICMP).lanes] == [{1, 3}]
    nested = Program.from_insns(
        [(0x15, 0, 3, 0), (0x15, 0, 1, 0), (6, 0, 0, 1), (6, 0, 0, 2), (6, 0, 0, 0)]
    )
    assert [(lane.target, lane.place) for lane in Arcs(nested).lanes] == [(3, 0), (4, 1)]


def test_a_margin_without_room_says_how_many_jumps_it_leaves_out() -> None:
    nested = [(0x15, 2 * (30 - at) - 1, 0, 0) for at in range(30)]
    program = Program.from_insns([*nested, *[(6, 0, 0, 0)] * 32])
    assert len(Arcs(program).lanes) == LANES
    assert "18 more jumps than the margin has room for" in Listing(program).html()


def test_the_way_taken_is_drawn_thick_from_the_jump_to_its_target_only() -> None:
    rows = drawn(Listing(ICMP, path=(0, 1, 2, 3, 5)).html())
    assert all('stroke-width="3"' in row for row in rows)
    assert "<circle" not in rows[4]
    assert all("<circle" in rows[pc] for pc in (0, 1, 2, 3, 5))
    accepted = drawn(Listing(ICMP, path=(0, 1, 2, 3, 4)).html())
    assert ['stroke-width="3"' in row for row in accepted] == [True] * 5 + [False]
    assert all('stroke-width="1.2"' in row for row in accepted[1:])


def test_lines_of_the_margin_go_on_beside_a_fault() -> None:
    bad = Program.from_insns([(0x15, 0, 2, 0), (0x64, 0, 0, 40), (6, 0, 0, 1), (6, 0, 0, 0)])
    pictures = drawn(Listing(bad, faults=check(bad)).html())
    assert len(pictures) == 5
    assert f'height="{2 * ROW}"' in pictures[2]
    assert f"0V{2 * ROW}" in pictures[2]


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=60),
)
def test_no_two_lanes_ever_cover_each_other(offsets: list[tuple[int, int]]) -> None:
    count = len(offsets)
    insns = [
        (0x15, min(jt, count - at - 1), min(jf, count - at - 1), 0)
        for at, (jt, jf) in enumerate(offsets)
    ]
    program = Program.from_insns([*insns, (6, 0, 0, 0)])
    arcs = Arcs(program)
    used: set[tuple[int, int]] = set()
    for lane in arcs.lanes:
        assert lane.place < LANES
        rows = {(lane.place, row) for row in range(lane.first, lane.last + 1)}
        assert not used & rows
        used |= rows
    drawn_jumps = sum(len(lane.sources) for lane in arcs.lanes)
    assert drawn_jumps + arcs.dropped == sum(map(len, jumps(program).values()))


def test_hits_count_instructions_and_ways_over_many_packets() -> None:
    packets = [bytes(12) + b"\x08\x00" + bytes(9) + b"\x01", bytes(60), b""]
    hits = Hits.of(ICMP, (trace(ICMP, each) for each in packets))
    assert hits.packets == 3
    assert hits.pcs == (3, 2, 1, 1, 1, 1)
    assert dict(hits.ways) == {(0, 1): 2, (1, 2): 1, (1, 5): 1, (2, 3): 1, (3, 4): 1}
