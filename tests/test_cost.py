"""What a program costs at most, held against runs: none costs more, and some way costs as much."""

from __future__ import annotations

from hypothesis import given

from bpfnb.analysis.cost import Cost, cost
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from tests.strategies import close_packets, close_programs


@given(close_programs(), close_packets())
def test_no_run_costs_more(program: Program, data: bytes) -> None:
    steps = trace(program, data).steps
    most = cost(program)
    reads = [read.size for step in steps for read in step.reads]
    assert len(steps) <= most.steps <= most.instructions == len(program)
    assert len(reads) <= most.loads
    assert sum(reads) <= most.bytes


def test_the_dearest_way_is_counted() -> None:
    # ldb [0]; jeq #1: then ld [0] and ret, else ret at once
    rows = [(0x30, 0, 0, 0), (0x15, 0, 1, 1), (0x20, 0, 0, 0), (0x06, 0, 0, 9)]
    program = Program.from_insns(rows)
    assert cost(program) == Cost(instructions=4, steps=4, loads=2, bytes=5)
    assert len(trace(program, b"\x01\0\0\0").steps) == 4
    assert cost(Program(())) == Cost(0, 0, 0, 0)
