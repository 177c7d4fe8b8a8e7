"""Chapter 06: what it says of jumps and of the kernel's codes."""

from __future__ import annotations

import pytest

import bpfnb as bpf
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.errors import UnavailableError
from bpfnb.linux.sockfilter import SocketPair, accepts


def test_the_papers_slip_is_a_slip() -> None:
    returns = [(0x06, 0, 0, pc) for pc in range(1, 257)]
    program = bpf.Program.from_insns([(0x15, 255, 0, 0), *returns])
    assert program.run(b"") == 256
    assert list(program.run_many([b"x" * 300], backend="interp")) == [256]


def test_of_all_65536_codes_the_kernel_takes_the_49() -> None:
    def program(code: int) -> bpf.Program:
        rows = [(0x02, 0, 0, 1), (code, 0, 0, 1), (0x06, 0, 0, 0), (0x06, 0, 0, 0)]
        return bpf.Program.from_insns(rows)

    try:
        pair = SocketPair()
    except UnavailableError as why:
        pytest.skip(str(why))
    with pair:
        assert {code for code in range(1 << 16) if accepts(program(code), pair).accepted} == set(
            BY_CODE
        )
