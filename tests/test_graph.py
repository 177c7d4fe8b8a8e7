"""Basic blocks, edges, reachability, dominators and paths."""

from __future__ import annotations

from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.cfg import graph
from bpfnb.cbpf.program import Program

HOST_FOO = assemble(
    """
        ldh [12]
        jeq #ETHERTYPE_IP, ip, other
ip:     ld [26]
        jeq #192.0.2.1, yes, +0
        ld [30]
        jeq #192.0.2.1, yes, no
other:  jeq #ETHERTYPE_ARP, arp, +0
        jeq #ETHERTYPE_RARP, arp, no
arp:    ld [28]
        jeq #192.0.2.1, yes, +0
        ld [38]
        jeq #192.0.2.1, yes, no
yes:    ret #TRUE
no:     ret #0
"""
)


def test_blocks_begin_at_targets_and_end_at_jumps() -> None:
    blocks = graph(HOST_FOO).blocks
    assert [(block.start, block.stop) for block in blocks] == [
        (0, 2), (2, 4), (4, 6), (6, 7), (7, 8), (8, 10), (10, 12), (12, 13), (13, 14),
    ]  # fmt: skip
    assert [(edge.target, edge.kind) for edge in blocks[0].edges] == [(1, "true"), (3, "false")]


def test_the_papers_ten_paths_through_host_foo() -> None:
    tests = sorted(len(path) - 1 for path in graph(HOST_FOO).paths())
    assert tests == [2, 3, 3, 3, 3, 4, 4, 4, 5, 5]  # section 3.2.1: five comparisons at most


def test_unreachable_blocks_are_known_and_dominate_nothing() -> None:
    cfg = graph(assemble("ja end\ntax\nend: ret #0"))
    assert cfg.reachable == {0, 2}
    assert cfg.dominators == (frozenset({0}), frozenset(), frozenset({0, 2}))


def test_a_join_is_dominated_by_the_test_before_it() -> None:
    cfg = graph(assemble("jeq #1, a, b\na: tax\nja c\nb: txa\nc: ret a"))
    assert cfg.dominators[3] == {0, 3}
    assert cfg.block_of(4).index == 3


def test_two_ways_to_one_place_are_one_edge() -> None:
    cfg = graph(assemble("jeq #1, +0, +0\nret a"))
    assert [edge.kind for edge in cfg.edges] == ["always"]


def test_a_jump_out_of_the_program_is_no_edge() -> None:
    assert graph(assemble("jeq #1, +7, +0\nret a")).edges[0].kind == "false"


def test_a_program_without_instructions_has_no_blocks() -> None:
    assert graph(Program(())).blocks == ()
    assert list(graph(Program(())).paths()) == []
