"""Basic blocks, edges, reachability, dominators and paths."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.cfg import Cfg, graph
from bpfnb.cbpf.program import Program
from tests.strategies import legal_programs

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


def without(cfg: Cfg, removed: int) -> set[int]:
    """The blocks that some path from the entry reaches past a block: the definition."""
    seen: set[int] = set()
    work = [0] if removed else []
    while work:
        index = work.pop()
        if index not in seen and index != removed:
            seen.add(index)
            work += [edge.target for edge in cfg.blocks[index].edges]
    return seen


def check_dominators(cfg: Cfg) -> None:
    for block in range(len(cfg.blocks)):
        if block not in cfg.reachable:
            assert cfg.dominators[block] == frozenset()
            assert cfg.immediate_dominators[block] is None
            continue
        expected = {d for d in cfg.reachable if d == block or block not in without(cfg, d)}
        assert cfg.dominators[block] == expected
        assert {d for d in cfg.reachable if cfg.dominates(d, block)} == expected
        nearest = cfg.immediate_dominators[block]
        if block:
            assert nearest is not None
            assert expected - {block} == cfg.dominators[nearest]


@settings(deadline=None)
@given(legal_programs())
def test_dominators_are_what_no_path_goes_round(program: Program) -> None:
    check_dominators(graph(program))


jumps = st.tuples(st.just(0x15), st.integers(0, 6), st.integers(0, 6), st.just(0))
back = st.integers(1, 8).map(lambda far: (0x05, 0, 0, 2**32 - far))


@settings(deadline=None)
@given(st.lists(st.one_of(jumps, jumps, back), min_size=1, max_size=14))
def test_dominators_of_graphs_that_go_back(rows: list[tuple[int, int, int, int]]) -> None:
    check_dominators(graph(Program.from_insns([*rows, (6, 0, 0, 0), (6, 0, 0, 1)])))


def test_the_only_way_in_is_an_edge_and_ways_back_do_not_count() -> None:
    cfg = graph(HOST_FOO)
    only = cfg.only_way(2)
    assert only is not None
    assert (only.source, only.kind) == (1, "false")
    assert cfg.only_way(5) is None  # ARP and RARP meet there
    loop = graph(Program.from_insns([(0x15, 0, 1, 0), (0x05, 0, 0, 2**32 - 2), (6, 0, 0, 0)]))
    assert loop.only_way(0) is None
    assert loop.only_way(1) == loop.blocks[0].edges[0]


def test_dominators_of_the_longest_chain_are_found_at_once() -> None:
    chain = [(0x15, 0, 0 if at == 4093 else 1, at) for at in range(4094)]
    cfg = graph(Program.from_insns([*chain, (6, 0, 0, 0), (6, 0, 0, 1)]))
    assert len(cfg.blocks) > 4000
    assert cfg.immediate_dominators[1] == 0
    assert len(cfg.immediate_dominators) == len(cfg.blocks)
