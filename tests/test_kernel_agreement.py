"""Our checker and machine against the running kernel, and the kernel's own ways."""

from __future__ import annotations

import errno
import os
import platform
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings

from bpfnb.cbpf.ancillary import BY_NAME
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, CheckError, PacketError
from bpfnb.linux.limits import environment_limit, prologue, translated_lengths
from bpfnb.linux.probe import attempt, socket_filters
from bpfnb.linux.readout import digit_program, ret, rets
from bpfnb.linux.sockfilter import KernelRefused, SocketPair, accepts, overhead, verdicts
from tests.strategies import EDGES, legal_programs, near_legal_programs, packet_bytes

ON_6_18 = platform.release().startswith("6.18.") and platform.machine() == "x86_64"
HERE = attempt("socket filters", socket_filters)
pytestmark = pytest.mark.skipif(not HERE.works, reason=f"socket filters: {HERE.reason}")

# Nobody can foretell these: the one difference that has no other name.
FICKLE = {BY_NAME["rand"].k, BY_NAME["cpu"].k}


@pytest.fixture
def pair() -> Iterator[SocketPair]:
    with SocketPair() as opened:
        yield opened


@settings(max_examples=250, deadline=None)
@given(near_legal_programs())
@example(assemble("jeq #0, w, no\nw: st M[3]\nja r\nno: ret #0\nr: ld M[3]\nret a"))
def test_the_kernel_takes_exactly_what_the_checker_takes(program: Program) -> None:
    assert accepts(program).errno == (errno.EINVAL if check(program, "linux") else 0)


@settings(max_examples=250, deadline=None)
@given(legal_programs(), packet_bytes())
def test_every_bit_of_ret_agrees(program: Program, data: bytes) -> None:
    assume(not any(insn.k in FICKLE for insn in program.insns))
    assert ret(program, data) == run(program, data)


@settings(max_examples=150, deadline=None)
@given(legal_programs(), packet_bytes())
def test_the_accepted_length_is_the_smaller_of_ret_and_length(
    program: Program, data: bytes
) -> None:
    assume(not any(insn.k in FICKLE for insn in program.insns))
    assert verdicts(program, [data]) == [min(run(program, data), len(data))]


def test_of_all_opcodes_the_kernel_takes_the_49_in_the_table(pair: SocketPair) -> None:
    taken = set()
    for code in range(0x10000):
        # M[0] is written first; k = 1 is no division by 0 and no shift too wide
        last = [] if code in (0x06, 0x16) else [Insn(6, 0, 0, 0)]
        program = Program((Insn(2, 0, 0, 1), Insn(code, 0, 0, int(code != 0x05)), *last))
        if accepts(program, pair).accepted:
            taken.add(code)
    assert taken == set(BY_CODE)


@pytest.mark.parametrize("shape", ["a, constant", "a, x"])
def test_arithmetic_agrees_on_every_pair_of_edges(shape: str, pair: SocketPair) -> None:
    packet = bytes(256)
    for name in ("add", "sub", "mul", "div", "mod", "and", "or", "xor", "lsh", "rsh"):
        for a in EDGES:
            for v in EDGES:
                operand = "x" if shape == "a, x" else f"#{v}"
                text = f"ldx #{v}\nld #{a}\n{name} {operand}\nret a"
                program = assemble(text)
                if check(program):
                    assert accepts(program, pair).errno == errno.EINVAL
                else:
                    assert ret(program, packet, pair) == run(program, packet), text


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 15, 16, 255, 256, 1000])
def test_all_bits_are_read_through_packets_of_any_length(size: int, pair: SocketPair) -> None:
    for value in (0, 1, 0xDEADBEEF, 0xFFFFFFFF, 0x80000000):
        for text in ("ret #{}", "ld #{}\nret a", "ld #{}\nld ifidx\nret #3"):
            program = assemble(text.format(value))
            assert ret(program, bytes(size), pair) == value
    assert ret(assemble("ldb [2000]\nret #5"), bytes(size), pair) == 0


def test_packets_of_many_lengths_are_read_in_one_call() -> None:
    program = assemble("ldx #0x12345\nld len\nmul x\nret a")
    packets = [bytes(n) for n in (300, 0, 7, 1, 1500, 2, 64)]
    assert rets(program, packets) == [run(program, data) for data in packets]


def test_reading_all_bits_of_a_program_that_leaves_no_room_says_so() -> None:
    program = Program.from_insns([(0x04, 0, 0, 1)] * 4093 + [(6, 0, 0, 0)])
    with pytest.raises(BpfError, match="4100 instructions"):
        digit_program(program, 0, 8)


def test_an_illegal_program_is_not_made_legal_by_the_rewriting(pair: SocketPair) -> None:
    # `ret` goes on with the words written before it, `ja` with all of them
    program = assemble("ret #1\nld M[2]\nret a")
    assert check(program)
    assert accepts(digit_program(program, 0, 8), pair).accepted
    with pytest.raises(KernelRefused):
        ret(program, b"", pair)


# The socket's side of it.


def test_nothing_received_is_told_from_an_empty_packet(pair: SocketPair) -> None:
    pair.attach(assemble("ldb [0]\njeq #1, yes, no\nyes: ret #-1\nno: ret #0"))
    assert pair.send([b"\x01ab", b"\x02ab", b""]) == [3, None, None]
    pair.attach(assemble("ret #1"))
    assert pair.send([b"", b"ab"]) == [0, 1]
    pair.prove()


def test_a_late_packet_would_be_seen(pair: SocketPair) -> None:
    pair.sender.send(b"late")
    with pytest.raises(BpfError, match="late"):
        pair.prove()


def test_the_program_can_be_read_back(pair: SocketPair) -> None:
    program = assemble("ldh [12]\njeq #0x800, yes\nret #0\nyes: ret #-1")
    assert pair.instructions() == ()
    pair.attach(program)
    assert pair.instructions() == program.insns
    pair.detach()
    assert pair.instructions() == ()


def test_a_refused_program_leaves_the_old_one(pair: SocketPair) -> None:
    pair.attach(assemble("ret #7"))
    with pytest.raises(KernelRefused, match="EINVAL") as caught:
        pair.attach(Program.from_insns([(0x0E, 0, 0, 0)]))
    assert caught.value.errno == errno.EINVAL
    assert pair.instructions() == (Insn(6, 0, 0, 7),)


def test_a_locked_filter_stays(pair: SocketPair) -> None:
    pair.attach(assemble("ret #7"))
    pair.lock()
    with pytest.raises(KernelRefused, match="locked") as caught:
        pair.attach(assemble("ret #8"))
    assert caught.value.errno == errno.EPERM
    with pytest.raises(KernelRefused, match="locked"):
        pair.detach()
    assert pair.send([bytes(9)]) == [7]


def test_detaching_nothing_is_refused(pair: SocketPair) -> None:
    with pytest.raises(KernelRefused, match="ENOENT"):
        pair.detach()


def test_the_empty_program_is_refused(pair: SocketPair) -> None:
    assert accepts(Program(()), pair).errno == errno.EINVAL


def test_a_program_too_long_to_hand_over_is_refused_by_us(pair: SocketPair) -> None:
    with pytest.raises(BpfError, match="65535"):
        pair.attach(Program((Insn(6, 0, 0, 0),) * 65536))


def test_a_large_packet_makes_the_buffer_grow_until_the_system_forbids(pair: SocketPair) -> None:
    pair.attach(assemble("ret #-1"))
    assert pair.send([bytes(250_000), b"ab"]) == [250_000, 2]
    with open("/proc/sys/net/core/wmem_max") as file:
        most = 2 * int(file.read())
    with pytest.raises(PacketError, match="packet 2 has"):
        pair.send([b"", bytes(most)])


# Limits of the environment: legal programs that this kernel refuses all the same.


def loads(count: int) -> list[tuple[int, int, int, int]]:
    return [(0x28, 0, 0, 12)] * count


ADD, RET, JEQ_NEXT = (0x04, 0, 0, 1), (0x06, 0, 0, 0), (0x15, 0, 0, 1)


def test_the_largest_program_that_fits_the_sockets_memory() -> None:
    with open("/proc/sys/net/core/optmem_max") as file:
        optmem_max = int(file.read())
    one, two = (accepts(Program.from_insns([*loads(n), RET])).translated for n in (1, 2))
    assert one is not None
    assert two is not None
    count = 1 + ((optmem_max - 1 - overhead()) // 8 - one) // (two - one)
    if count >= 4096:
        pytest.skip(f"optmem_max is {optmem_max}: no legal program is too large for it")
    fits, too_large = (Program.from_insns([*loads(n), RET]) for n in (count, count + 1))
    assert not check(fits)
    assert not check(too_large)
    assert accepts(fits).translated == one + (count - 1) * (two - one)
    assert environment_limit(fits) is None
    assert accepts(too_large).errno == errno.ENOMEM
    limit = environment_limit(too_large)
    assert limit is not None
    assert (limit.name, limit.errno) == ("socket memory", errno.ENOMEM)
    assert str(limit).endswith("[socket memory: ENOMEM]")
    if optmem_max == 131072 and ON_6_18:
        assert count == 1168


@pytest.mark.parametrize("kind", ["a jump that long", "a jump that late", "a long test that late"])
def test_jumps_of_the_translation_reach_32767_instructions(kind: str) -> None:
    refused = []
    count = (32767 - 20) // translated_lengths(Program.from_insns(loads(1)))[0]
    for more in range(40):
        body = [*loads(count), *[ADD] * more]
        rows = {
            "a jump that long": [(5, 0, 0, len(body)), *body, RET],
            "a jump that late": [*body, JEQ_NEXT, RET],
            "a long test that late": [*body, (0x15, 1, 1, 0xFFFFFFFF), RET, RET],
        }[kind]
        program = Program.from_insns(rows)
        assert not check(program)
        limit = environment_limit(program)
        assert accepts(program).errno == (limit.errno if limit else 0)
        refused.append(limit is not None and limit.name == "jump reach")
    # the first ones are refused for their size alone, if at all: the reach begins in between
    assert refused == sorted(refused)
    assert set(refused) == {False, True}


@pytest.mark.skipif(not ON_6_18, reason=f"recorded on Linux 6.18; this is {platform.release()}")
def test_translated_lengths_are_those_recorded() -> None:
    text = """ldh [12]
        ld [0]
        ldb [0]
        ldh [40000]
        ld [x + 2]
        ldxb 4*([14]&0xf)
        tax
        div x
        st M[2]
        ld M[2]
        neg
        jeq #1, a1, a1
    a1: jset #1, a2, a3
    a2: ja a3
    a3: ret #1"""
    lengths = translated_lengths(assemble(text))
    assert lengths == (14, 13, 12, 16, 9, 19, 1, 5, 1, 1, 1, 1, 2, 1, 2)


def test_the_lengths_add_up_to_the_kernels() -> None:
    rng = random.Random(7)
    poff = (0x20, 0, 0, BY_NAME["poff"].k)
    tests = [(0x15, 1, 2, 0x800), (0x15, 0, 0, 0xFFFFFFFF), (0x45, 0, 3, 1)]
    rows = [(0x28, 0, 0, 12), *tests, (0xB1, 0, 0, 14), (0x3C, 0, 0, 0), poff, (0x05, 0, 0, 1)]
    for _ in range(50):
        body = [rng.choice(rows) for _ in range(30)]
        for loading in (True, False):
            if not loading:
                body = [row for row in body if row[0] not in (0x28, 0xB1)]
            program = Program.from_insns([*body, RET, RET, RET, RET])
            whole = prologue(program) + sum(translated_lengths(program))
            assert accepts(program).translated == whole


def test_no_limit_is_asked_of_an_illegal_program() -> None:
    with pytest.raises(CheckError):
        environment_limit(Program.from_insns([(0xFF, 0, 0, 0), RET]))


# What differs, by name, and what cannot be foretold.


def test_the_soak_of_this_still_runs() -> None:
    script = Path(__file__).with_name("soak_kernel.py")
    command = [sys.executable, str(script), "--cases", "3000", "--processes", "1"]
    env = {**os.environ, "PYTHONPATH": str(script.parent.parent)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "   0  differences" in done.stdout


def test_nla_gives_nothing_in_a_packet_too_large_for_one_piece() -> None:
    # A named difference: the kernel searches only packets whose bytes lie in one piece,
    # and keeps a datagram of more than about four pages in several.
    program = assemble("ldx #1\nld #0\nld nla\nret a")
    found = struct.pack("=HHHH", 4, 9, 4, 1)
    assert ret(program, found + bytes(300)) == run(program, found) == 4
    assert ret(program, found + bytes(100_000)) == 0


def test_rand_gives_other_numbers_each_time(pair: SocketPair) -> None:
    pair.attach(assemble("ld rand\nand #0xff\nadd #1\nret a"))
    seen = pair.send([bytes(256)] * 64)
    assert len(set(seen)) > 8


def test_cpu_is_one_of_this_machines(pair: SocketPair) -> None:
    pair.attach(assemble("ld cpu\nadd #1\nret a"))
    seen = pair.send([bytes(5000)] * 64)
    assert all(number is not None and number >= 1 for number in seen)
    assert {(number or 0) - 1 for number in seen} <= os.sched_getaffinity(0)
