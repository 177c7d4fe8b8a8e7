"""The tree as a picture: its words, its numbers, where it lies."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

import bpfnb as bpf
from bpfnb.cbpf.trace import trace
from bpfnb.errors import BpfError
from bpfnb.views.hits import Hits
from bpfnb.views.tree import FilterTree, place

SVG = "{http://www.w3.org/2000/svg}"
IP_OR_ARP = bpf.compile_filter("ip or arp")
HOST = bpf.compile_filter("host 192.0.2.1")


def words(svg: str) -> list[str]:
    """All text in a picture."""
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_text_twin_has_numbers_names_and_loads() -> None:
    assert IP_OR_ARP.tree().text() == (
        "the tree: 2 tests and 1 operation, all for each packet; "
        "the graph: 2 tests, at most 2 for a packet\n"
        "in the graph 1.50 tests on average, if each were a coin's toss\n"
        "a test whose load lies past the packet's end rejects the packet, "
        "if it is looked at from left to right\n"
        "\n"
        "OR\n"
        "    (001) Ether.type is 0x0800 (IPv4)   P[12:2] == 0x800\n"
        "    (002) Ether.type is 0x0806 (ARP)   P[12:2] == 0x806"
    )


def test_the_picture_says_what_the_text_says() -> None:
    said = words(HOST.tree().svg)
    assert said.count("OR") == 4
    assert said.count("AND") == 2
    for expected in ("IP.src is 192.0.2.1", "P[26:4] == 0xc0000201", "ARP.pdst is 192.0.2.1"):
        assert expected in said


def test_a_small_tree_stands_and_a_wide_one_lies() -> None:
    small, wide = (FilterTree.of(each) for each in (IP_OR_ARP, HOST))
    for view, upright in ((small, True), (wide, False)):
        root = ET.fromstring(view.svg)
        ys = {e.get("y") for e in root.iter(f"{SVG}rect") if e.get("height") == "42"}
        xs = {e.get("x") for e in root.iter(f"{SVG}rect") if e.get("height") == "42"}
        assert (len(ys) == 1) is upright
        assert (len(xs) > 1) is True
        assert float(root.get("width", "0")) <= 1040


@pytest.mark.parametrize("upright", [True, False])
def test_boxes_never_overlap(upright: bool) -> None:
    program = bpf.compile_filter("(tcp port 80 or udp port 53) and not net 10.0.0.0/8 and not arp")
    view = FilterTree.of(program)
    root = view.placed(view.tree.root)
    place(root, upright)
    for one, other in combinations(root.everything(), 2):
        apart_x = abs(one.x - other.x) - (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) - (one.height + other.height) / 2
        assert apart_x > 5 or apart_y > 5


def test_with_packets_it_says_what_the_graph_took() -> None:
    runs = [trace(HOST, bytes(60)), trace(HOST, bytes(12) + b"\x08\x00" + bytes(40))]
    view = FilterTree.of(HOST, Hits.of(HOST, runs))
    assert "; 3.00 on these 2 packets" in view.text()  # three tests and three


def test_several_accepting_values_are_told() -> None:
    two = bpf.assemble("ldb [0]\njeq #1, a, b\na: ret #1\nb: ret #2")
    assert "how much is accepted differs" in two.tree().text()
    assert "how much is accepted differs" not in HOST.tree().text()


def test_a_constant_is_one_box() -> None:
    assert bpf.assemble("ret #1").tree().headline() == "every packet is accepted: no tests"
    assert "reject" in words(bpf.assemble("ret #0").tree().svg)


def test_a_refusal_is_an_error_in_python() -> None:
    with pytest.raises(BpfError, match="reads rand"):
        bpf.assemble("ld rand\njeq #1, +0, no\nret #1\nno: ret #0").tree()


def test_it_is_the_same_each_time_and_static() -> None:
    html = HOST.tree().html()
    assert html == FilterTree.of(HOST).html()
    assert "var(--" not in html
    assert "<svg" not in html
    assert 'alt="the filter as a tree:' in html
