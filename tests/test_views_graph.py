"""The control flow graph: what it says, and where its layout puts things."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.pcap import compile_filter
from bpfnb.views.alignment import Piece, tighten
from bpfnb.views.cfg import Graph
from bpfnb.views.crossings import crossings, untangle
from bpfnb.views.dominators import Dominators
from bpfnb.views.hits import Hits
from bpfnb.views.layout import GAPS, Layout, Link, layout

ICMP = Program.from_insns(
    [(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 1), (6, 0, 0, 262144),
     (6, 0, 0, 0)]
)  # fmt: skip
PING = bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x01" + bytes(18)
UDP = bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x11" + bytes(18)
ARP = bytes(12) + b"\x08\x06" + bytes(28)
SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> list[str]:
    """All text in a picture."""
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_text_twin_lists_blocks_instructions_and_edges() -> None:
    assert Graph(ICMP).text() == (
        "6 instructions in 4 basic blocks, 3 ways through\n"
        "\n"
        "block 0\n"
        "    (000) ldh      [12]\n"
        "    (001) jeq      #0x800           jt 2\tjf 5\n"
        "  true -> block 1\n"
        "  false -> block 3\n"
        "\n"
        "block 1\n"
        "    (002) ldb      [23]\n"
        "    (003) jeq      #0x1             jt 4\tjf 5\n"
        "  true -> block 2\n"
        "  false -> block 3\n"
        "\n"
        "block 2\n"
        "    (004) ret      #262144\n"
        "\n"
        "block 3\n"
        "    (005) ret      #0"
    )


def test_counts_and_shares_stand_beside_each_edge_in_both_forms() -> None:
    hits = Hits.of(ICMP, [trace(ICMP, each) for each in (PING, UDP, UDP, ARP)])
    graph = Graph(ICMP, hits)
    said = words(graph.svg)
    for expected in ("true 3 · 75%", "false 1 · 25%", "true 1 · 33%", "false 2 · 67%"):
        assert expected in said
        assert f"  {expected} -> block " in graph.text()
    assert {"4 of 4", "3 of 4", "1 of 4"} <= set(said)


def test_one_packets_way_is_thick_and_named() -> None:
    graph = Graph(ICMP, path=trace(ICMP, UDP).path)
    assert graph.text().count("<- taken") == 2
    assert "false -> block 3  <- taken" in graph.text()
    thick = [e for e in ET.fromstring(graph.svg).iter() if e.get("stroke-width") == "3.2"]
    assert len(thick) == 2
    assert [e.get("stroke-dasharray") for e in thick] == [None, "6 4"]


def test_counts_of_the_only_packet_are_left_out_beside_its_way() -> None:
    run = trace(ICMP, UDP)
    assert Graph(ICMP, Hits.of(ICMP, [run]), run.path).svg == Graph(ICMP, path=run.path).svg
    both = Graph(ICMP, Hits.of(ICMP, [run, run]), run.path)
    assert "true 2 · 100%" in words(both.svg)
    assert "black: the way of one" in both.text()


def test_true_and_false_differ_by_word_and_by_dashes() -> None:
    picture = ET.fromstring(Graph(ICMP).svg)
    lines = [e for e in picture.iter(f"{SVG}path") if e.get("fill") == "none"]
    dashed = [e for e in lines if e.get("stroke-dasharray")]
    assert len(dashed) == 3  # 0 -> 3 over two layers, and 1 -> 3
    assert len(lines) - len(dashed) == 2
    assert words(Graph(ICMP).svg).count("true") == 2
    assert words(Graph(ICMP).svg).count("false") == 2


def test_a_ret_says_its_verdict_with_word_and_shape() -> None:
    said = words(Graph(ICMP).svg)
    assert [each for each in said if each in "✓✗"] == ["✓", "✗"]
    assert "accept" in said
    assert "reject" in said
    unknown = Program.from_insns([(0x16, 0, 0, 0)])
    assert not {"accept", "reject"} & set(words(Graph(unknown).svg))


def test_what_nothing_reaches_says_so() -> None:
    island = Program.from_insns([(0x05, 0, 0, 1), (0x04, 0, 0, 1), (6, 0, 0, 0)])
    assert "block 1 (unreachable)" in Graph(island).text()
    assert "unreachable" in words(Graph(island).svg)
    assert "unreachable" not in words(Graph(ICMP).svg)


def test_jumps_that_go_back_and_stay_are_drawn_too() -> None:
    back = Program.from_insns([(0x15, 0, 1, 0), (0x05, 0, 0, 0xFFFFFFFE), (0x05, 0, 0, 0xFFFFFFFF)])
    assert "with a way back" in Graph(back).text()
    ET.fromstring(Graph(back).svg)
    assert "goes -> block 0" in Graph(back).text()


def test_a_long_block_shows_its_ends_and_says_how_much_is_between() -> None:
    long = Program.from_insns([(0x04, 0, 0, at) for at in range(100)] + [(6, 0, 0, 1)])
    said = words(Graph(long).svg)
    assert "… 84 more …" in said
    assert "add  #0" in said
    assert "add  #99" in said
    assert "add  #50" not in said


def test_too_many_blocks_get_a_sentence_and_the_text_still_has_them() -> None:
    count = 500
    tests = [(0x15, 0, min(255, count - at), at) for at in range(count)]
    many = Program.from_insns([*tests, (6, 0, 0, 0), (6, 0, 0, 1)])
    assert words(Graph(many).svg) == [
        "502 basic blocks are too many to draw: the text form lists them"
    ]
    assert "block 501" in Graph(many).text()


def test_the_number_of_ways_is_exact_and_stops_at_a_million() -> None:
    def chain(tests: int) -> Program:
        rows = [row for _ in range(tests) for row in ((0x15, 0, 1, 0), (0x04, 0, 0, 1))]
        return Program.from_insns([*rows, (6, 0, 0, 0)])

    assert "1,024 ways through" in Graph(chain(10)).text()
    assert "more than a million ways through" in Graph(chain(20)).text()


def test_a_wide_picture_scrolls_and_a_small_one_scales() -> None:
    assert "max-width:100%" in Graph(ICMP).html()
    # Seven tests in a tree, eight rets side by side.
    tree = [(0x15, 1 + at, at, 0) for at in range(7)]
    wide = Program.from_insns([*tree[:7], *[(6, 0, 0, at) for at in range(9)]])
    assert float(re.findall(r'width="([\d.]+)"', Graph(wide).svg)[0]) > 1100
    assert "max-width:none" in Graph(wide).html()
    assert "overflow-x:auto" in Graph(wide).html()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[Link]]:
    """Up to 14 nodes; mostly links forward, as programs have them, some back."""
    count = draw(st.integers(1, 14))
    sizes = draw(
        st.lists(
            st.tuples(st.integers(40, 200), st.integers(20, 90)), min_size=count, max_size=count
        )
    )
    links = []
    for node in range(count):
        for kind in draw(st.sampled_from([(), ("next",), ("true", "false"), ("true", "false")])):
            low = 0 if draw(st.integers(0, 9)) == 0 else min(node + 1, count - 1)
            links.append(Link(node, draw(st.integers(low, count - 1)), kind))
    return [(float(w), float(h)) for w, h in sizes], links


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_nodes_never_overlap_and_the_picture_holds_them_all(
    graph: tuple[list[tuple[float, float]], list[Link]],
) -> None:
    sizes, links = graph
    placed = layout(sizes, links)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(placed.corners, sizes, strict=True)]
    for left, top, right, bottom in boxes:
        assert left >= -0.01
        assert top >= 0
        assert right <= placed.width + 0.01
        assert bottom <= placed.height + 0.01
    for one, other in combinations(boxes, 2):
        apart_x = max(one[0], other[0]) - min(one[2], other[2])
        apart_y = max(one[1], other[1]) - min(one[3], other[3])
        assert apart_x >= GAPS[0] - 0.01 or apart_y > 0


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_each_link_runs_unbroken_from_its_upper_node_to_its_lower(
    graph: tuple[list[tuple[float, float]], list[Link]],
) -> None:
    sizes, links = graph
    placed = layout(sizes, links)
    for at, link in enumerate(links):
        if link.source != link.target:
            follow(placed, sizes, at, *sorted((link.source, link.target)))


def follow(
    placed: Layout, sizes: list[tuple[float, float]], at: int, upper: int, lower: int
) -> None:
    """Walk a link's tracks downwards, and check both of its ends."""
    tracks = sorted((t for t in placed.tracks if at in t.links), key=lambda t: t.start[1])
    assert tracks[0].leaves
    assert tracks[-1].enters
    for track in tracks:
        assert track.start[1] <= track.knee[1] < track.end[1]
        assert track.start[0] == track.knee[0]
    for before, after in pairwise(tracks):
        assert before.end == after.start
    (left, top), (width, height) = placed.corners[upper], sizes[upper]
    assert tracks[0].start[1] == top + height
    assert left <= tracks[0].start[0] <= left + width
    (left, top), (width, _) = placed.corners[lower], sizes[lower]
    assert tracks[-1].end[1] == top
    assert left <= tracks[-1].end[0] <= left + width


@settings(deadline=None)
@given(graphs())
def test_the_same_graph_is_laid_out_the_same(
    graph: tuple[list[tuple[float, float]], list[Link]],
) -> None:
    assert layout(*graph) == layout(*graph)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=18, max_size=18))
def test_untangling_never_makes_it_worse(ways: list[list[int]]) -> None:
    rows = [list(range(at, at + 6)) for at in (0, 6, 12, 18)]
    downs = [sorted({node // 6 * 6 + 6 + to for to in each}) for node, each in enumerate(ways)]
    downs += [[] for _ in range(6)]
    ups: list[list[int]] = [[] for _ in range(24)]
    for node, each in enumerate(downs):
        for to in each:
            ups[to].append(node)
    found = untangle(rows, ups, downs)
    assert [sorted(row) for row in found] == rows
    assert crossings(found, downs) <= crossings(rows, downs)


def test_a_tree_is_drawn_without_crossings() -> None:
    downs = [[5, 4], [6, 3], [], [], [], [], []]
    ups = [[], [], [], [1], [0], [0], [1]]
    assert crossings(untangle([[0, 1], [3, 4, 5, 6]], ups, downs), downs) == 0


def test_a_long_edge_is_straight_between_its_ends() -> None:
    # One test jumps over a chain of five blocks.
    sizes = [(100.0, 40.0)] * 7
    links = [Link(at, at + 1, "next") for at in range(6)] + [Link(0, 6, "false")]
    tracks = [t for t in layout(sizes, links).tracks if 6 in t.links]
    inner = {t.start[0] for t in tracks[1:]}
    assert len(tracks) == 6
    assert len(inner) == 1


def test_a_chain_of_tests_stands_straight() -> None:
    ways = [(at, to, kind) for at in range(60) for to, kind in ((61, "true"), (at + 1, "false"))]
    found = layout([(100.0, 30.0)] * 62, [Link(*way) for way in ways])
    lefts = {x for x, _ in found.corners[1:56]}  # the last are at their end
    assert len(lefts) == 1  # and not further to the side with each test
    assert found.width < 400


def test_a_hundred_instructions_fit_in_a_cell_and_no_edge_runs_through_a_box() -> None:
    hosts = " or ".join(f"(tcp port {port} and host 192.0.2.{port})" for port in range(1, 12))
    unoptimized = "(tcp port 80 or 443) and (net 10.0.0.0/8 or host 192.0.2.1)"
    for program in (compile_filter(hosts), compile_filter(unoptimized, optimize=False)):
        assert len(program) > 90
        graph = Graph(program)
        sizes = [
            (graph.room(block, made), made.height)
            for block in graph.cfg.blocks
            for made in [graph.box(block)]
        ]
        placed = layout(sizes, [Link(e.source, e.target, e.kind) for e in graph.cfg.edges])
        assert placed.width < 1000
        untouched(placed, sizes)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_no_edge_runs_through_a_box(
    graph: tuple[list[tuple[float, float]], list[Link]],
) -> None:
    sizes, links = graph
    untouched(layout(sizes, links), sizes)


def untouched(placed: Layout, sizes: list[tuple[float, float]]) -> None:
    """Straight pieces pass boxes by; curves run where no box stands."""
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(placed.corners, sizes, strict=True)]
    for track in placed.tracks:
        for left, top, right, bottom in boxes:
            x, (low, high) = track.start[0], (track.start[1], track.knee[1])
            assert not (left < x < right and low < bottom - 0.1 and high > top + 0.1)
            assert not (track.knee[1] < bottom - 0.1 and track.end[1] > top + 0.1)


def test_a_hidden_run_is_pulled_to_what_joins_it_and_no_further_than_its_neighbours() -> None:
    rows = [[0], [1, 2], [3, 4], [5]]  # 2 and 4 are hidden: the long edge from 0 to 5
    pieces = [Piece(0, 1), Piece(0, 2), Piece(1, 3), Piece(2, 4), Piece(3, 5), Piece(4, 5)]
    names = {0: 0, 1: 1, 2: 4, 3: 2, 4: 5, 5: 3}  # real ones first
    rows = [[names[node] for node in row] for row in rows]
    pieces = [Piece(names[p.upper], names[p.lower]) for p in pieces]
    x = tighten([0, 0, 0, 0, 300, 300], rows, pieces, [40, 40, 40, 40, 2, 2], 4, (40, 22))
    assert x == [0, 0, 0, 0, 43, 43]


def test_dominators_name_the_last_test_and_all_of_them() -> None:
    host = compile_filter("host 192.0.2.1")
    view = Dominators(host)
    assert [str(each) for each in view.passed(6)] == [
        "(001) false",
        "(006) either way",
        "(009) false",
    ]
    assert view.passed(0) == ()
    said = words(view.svg)
    assert "every packet" in said
    assert "after (003) false" in said
    assert said.count("after (001) either way") == 2  # both rets
    text = view.text()
    assert "block 5 (after (006) either way)" in text
    assert "  block 6: (001) false; (006) either way; (009) false" in text
    assert text.endswith(
        "the tree of dominators:\n  block 0\n    block 1\n      block 2\n    block 3\n"
        "      block 4\n      block 5\n        block 6\n    block 7\n    block 8"
    )


def test_thick_is_the_only_way_into_a_block() -> None:
    view = Dominators(compile_filter("host 192.0.2.1"))
    thick = [e for e in ET.fromstring(view.svg).iter() if e.get("stroke-width") == "2.6"]
    assert len(thick) == 5  # into 1, 2, 3, 4 and 6


def test_dominators_leave_out_what_nothing_reaches() -> None:
    island = Program.from_insns([(0x05, 0, 0, 1), (0x04, 0, 0, 1), (6, 0, 0, 0)])
    view = Dominators(island)
    assert "block 1 (unreachable)" in view.text()
    assert "block 1:" not in view.text()
    assert view.passed(2) == ()  # a ja is no test
