"""The backend native: what it counts and refuses, threads, and that it stays in the packet.

That it returns what the others do is in `test_agreement`.
"""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfnb import jit
from bpfnb.backends import NAMES, llvm_module, native, run_many
from bpfnb.cbpf.ancillary import BY_NAME, Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.errors import BpfError, PacketError, UnavailableError
from bpfnb.packets.columns import Columns
from bpfnb.packets.packet import Packet, PacketBatch
from tests.strategies import legal_programs, packet_bytes

ROOT = Path(__file__).parents[1]
LINKTYPES = [None, 1, 101, 113, 276]
RAND = BY_NAME["rand"].k
IS_ARP = assemble("ldh [12]\njeq #0x806, yes, no\nyes: ret #262144\nno: ret #0")


def expected(program: Program, batch: PacketBatch) -> list[int]:
    return [run(program, each.data, each.wirelen, each.ancillary) for each in batch]


def batches() -> st.SearchStrategy[PacketBatch]:
    """Packets of one or several link types, some cut short, some with notes of their own."""
    notes = st.none() | st.builds(
        Ancillary, mark=st.integers(0, 9), net_offset=st.integers(0, 40), ifindex=st.integers(0, 9)
    )
    wirelens = st.integers(0, 0xFFFFFFFF)
    packet = st.builds(Packet, packet_bytes(), wirelens, notes, st.sampled_from(LINKTYPES))
    plain = st.builds(Packet, packet_bytes(), wirelens, st.none(), st.just(1))
    return st.builds(PacketBatch.of, st.lists(packet, max_size=5) | st.lists(plain, max_size=5))


@settings(max_examples=200, deadline=None)
@given(legal_programs(), batches(), st.integers(1, 3))
def test_native_agrees_with_the_machine(program: Program, batch: PacketBatch, jobs: int) -> None:
    if any(insn.k == RAND for insn in program.insns):
        program = IS_ARP
    made = native.Native(program)
    assert made.scan(batch, jobs).tolist() == expected(program, batch)


@settings(max_examples=100, deadline=None)
@given(legal_programs(), batches(), st.integers(1, 3))
def test_counts_are_those_of_the_traces(program: Program, batch: PacketBatch, jobs: int) -> None:
    if any(insn.k == RAND for insn in program.insns):
        program = IS_ARP
    ran, jumped = [0] * len(program), [0] * len(program)
    ended = [0] * len(program)
    for each in batch:
        steps = trace(program, each.data, each.wirelen, each.ancillary).steps
        for step in steps:
            ran[step.pc] += 1
            test = step.insn.code & 7 == 5 and step.insn.code != 5
            jumped[step.pc] += test and holds(step.insn, step.before.A, step.before.X)
        if steps and steps[-1].insn.code & 7 != 6:
            ended[steps[-1].pc] += 1
    rets, counts = native.Native(program).count(batch, jobs)
    assert rets.tolist() == expected(program, batch)
    assert counts.tolist() == [list(row) for row in zip(ran, jumped, ended, strict=True)]


def holds(insn: Insn, A: int, X: int) -> bool:
    """Whether a conditional jump takes jt."""
    v = X if insn.code & 8 else insn.k
    tests = {0x10: operator.eq, 0x20: operator.gt, 0x30: operator.ge, 0x40: operator.and_}
    return bool(tests[insn.code & 0xF0](A, v))


def guarded(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.guard_native", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_no_program_reads_outside_its_packet() -> None:
    done = guarded("--examples", "250", "--seed", str(os.getpid()))
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"{done.returncode} {last} {done.stderr[-2000:]}"
    assert done.stderr.endswith("agreed\n")


def test_the_guard_kills_what_reads_outside() -> None:
    done = guarded("--examples", "250", "--blind")
    assert done.returncode == -signal.SIGSEGV, done.stderr[-2000:]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("offset", "length"), [(0, 15), (8, 7), (15, 0), (1 << 63, 4), ((1 << 64) - 2, 4)]
)
def test_a_packet_outside_its_buffer_is_not_touched(name: str, offset: int, length: int) -> None:
    columns = Columns(
        np.array([0, offset], np.uint64), np.array([14, length], "u4"), np.array([14, 0], "u4"), 1
    )
    with pytest.raises(PacketError, match="packet 2 lies outside"):
        run_many(IS_ARP, PacketBatch(bytes(14), columns), name)


def test_columns_are_what_native_code_takes_them_for() -> None:
    three, two = np.zeros(3, np.uint64), np.zeros(2, np.uint32)
    with pytest.raises(PacketError, match="lengths has uint32 of shape"):
        Columns(three, two, two)
    with pytest.raises(PacketError, match=r"wirelens has int64 .* uint32"):
        Columns(np.zeros(2, np.uint64), two, np.zeros(2, np.int64))
    with pytest.raises(PacketError, match="offsets has float64"):
        Columns(np.zeros(2), two, two)  # type: ignore[arg-type]
    backwards = Columns(np.arange(6, dtype="u8")[::-2], np.ones(3, "u4"), np.ones(3, "u4"))
    batch = PacketBatch(bytes(range(6)), backwards)
    assert run_many(assemble("ldb [0]\nret a"), batch, "native").tolist() == [5, 3, 1]


def test_nobody_moves_a_packet_behind_natives_back() -> None:
    batch = PacketBatch.of([Packet(b"abcd")] * 2)
    native.run_many(IS_ARP, batch)
    with pytest.raises(ValueError, match="read-only"):
        batch.columns.offsets[1] = 1 << 40


def test_threads_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = PacketBatch.of([Packet(bytes(12) + each.to_bytes(2, "big")) for each in range(5000)])
    alone = native.run_many(IS_ARP, batch)
    assert np.flatnonzero(alone).tolist() == [0x806]
    for small in (1, 100, 10_000):
        monkeypatch.setattr(native, "SMALL", small)
        for jobs in (2, 3, 7, 10**9):
            assert (native.run_many(IS_ARP, batch, jobs=jobs) == alone).all()
    for wrong in (0, -1, 1.5, "2", None):
        with pytest.raises(BpfError, match=f"jobs is {wrong!r}; it counts threads"):
            run_many(IS_ARP, batch, "native", jobs=wrong)  # type: ignore[arg-type]


def test_what_one_thread_raises_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SMALL", 100)
    asked: list[int] = []

    def fail() -> int:
        asked.append(1)
        if len(asked) == 50:
            raise LookupError("no more")
        return 1

    batch = PacketBatch.of([Packet(b"", ancillary=Ancillary(random=fail))] * 20_000)
    with pytest.raises(LookupError, match="no more"):
        native.run_many(assemble("ld rand\nret a"), batch, jobs=2)
    assert len(asked) < 3000  # a thread's own piece at once, the other's when it is done


INTERRUPTED = """
import _thread, sys, threading, time
from bpfnb.backends import native
from bpfnb.cbpf.asm import assemble
from bpfnb.packets.packet import Packet, PacketBatch
work = "\\n".join(["ld len", "tax", "mul #0x9e3779b1", *["div x", "add #0x9e3779b1"] * 200])
slow = native.compiled(assemble(work + "\\nret a"))
few = PacketBatch.of([Packet(bytes(60))] * 20_000)
begin = time.perf_counter()
slow.scan(few)
whole = 100 * (time.perf_counter() - begin)
many = few.take(list(range(len(few))) * 100)
threading.Timer(whole / 20, _thread.interrupt_main).start()
begin = time.perf_counter()
try:
    slow.scan(many, jobs=int(sys.argv[1]))
except KeyboardInterrupt:
    assert time.perf_counter() - begin < whole / 3
    print("interrupted")
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_is_seen_between_two_pieces(jobs: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(jobs)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout == "interrupted\n", done.stderr


def test_the_lock_is_free_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that needs Python's lock goes on while another scans."""
    batch = PacketBatch.of([Packet(bytes(60))] * 200_000)
    work = "\n".join(["ld len", "tax", "mul #0x9e3779b1", *["div x", "add #0x9e3779b1"] * 200])
    slow = native.compiled(assemble(f"{work}\nret a"))
    monkeypatch.setattr(native, "PIECE", len(batch))
    beats, done = [0], threading.Event()

    def beat() -> None:
        while not done.wait(0.001):
            beats[0] += 1

    thread = threading.Thread(target=beat)
    thread.start()
    slow.scan(batch)
    done.set()
    thread.join()
    assert beats[0] > 3


def test_chance_is_asked_at_each_run() -> None:
    answers = iter([5, 6, 7])
    notes = Ancillary(random=lambda: next(answers))
    batch = PacketBatch.of([Packet(b"", ancillary=notes)] * 3)
    assert native.run_many(assemble("ld rand\nret a"), batch).tolist() == [5, 6, 7]
    with pytest.raises(StopIteration):
        native.run_many(assemble("ld rand\nret a"), batch)


def test_unchecked_programs_are_refused() -> None:
    with pytest.raises(UnavailableError, match="unchecked"):
        native.run_many(IS_ARP, PacketBatch.of([]), 1000)


def test_without_llvmlite_it_says_so_in_one_line() -> None:
    script = """
import sys
sys.modules["llvmlite"] = None
import bpfnb as bpf
from bpfnb.errors import UnavailableError
try:
    bpf.assemble("ret #7").run_many([b"x"], backend="native")
except UnavailableError as error:
    assert "pip install 'bpfnb[native]'" in str(error) and "\\n" not in str(error)
else:
    raise SystemExit("it ran")
assert bpf.assemble("ret #7").run_many([b"x"] * 60000).tolist() == [7] * 60000
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_program_is_compiled_once() -> None:
    assert native.compiled(IS_ARP) is native.compiled(Program(IS_ARP.insns))


def test_what_it_became_can_be_read() -> None:
    made = native.compiled(IS_ARP)
    assert "; ldh [12]" in made.source
    assert "i32 @filter" in made.source
    assert "@scan" in made.ir
    assert "scan:" in made.assembly


def test_lines_of_the_text_for_people_are_pcs() -> None:
    assembly = jit.compile_ir(llvm_module.located_module(IS_ARP)).assembly
    lines = {int(row.split()[2]) for row in assembly.splitlines() if row.startswith("\t.loc\t")}
    assert lines <= {0, 1, 2, 3, 4}
    assert 1 in lines
