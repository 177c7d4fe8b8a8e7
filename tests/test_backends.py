"""The registry of backends, interp and linux; what works here and what does not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bpfnb import backends
from bpfnb.cbpf.ancillary import Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.linux import sockfilter
from bpfnb.linux.limits import environment_limit
from bpfnb.linux.probe import attempt, probe, run_command, socket_filters
from bpfnb.packets.packet import Packet, PacketBatch
from tests.strategies import legal_programs, packet_bytes

HERE = attempt("socket filters", socket_filters)
on_the_kernel = pytest.mark.skipif(not HERE.works, reason=f"socket filters: {HERE.reason}")
ETHERNET = 1
ARP = bytes.fromhex("ffffffffffff 020000000001 0806") + bytes(28)
IPV4 = bytes.fromhex("020000000002 020000000001 0800 45000014") + bytes(16)
IS_ARP = assemble("ldh [12]\njeq #0x806, yes, no\nyes: ret #262144\nno: ret #0")


def batch(*packets: Packet | bytes) -> PacketBatch:
    made = (p if isinstance(p, Packet) else Packet(p, linktype=ETHERNET) for p in packets)
    return PacketBatch.of(made)


def test_each_name_has_a_backend_that_answers_one_ret_a_packet() -> None:
    for name in (*backends.NAMES, "auto"):
        if name == "linux" and not HERE.works:
            continue
        rets = backends.run_many(IS_ARP, batch(ARP, IPV4, b""), name)
        assert rets.dtype == np.uint32
        assert rets.tolist() == [262144, 0, 0]


@pytest.mark.parametrize("name", backends.NAMES)
def test_no_packets_give_no_rets(name: str) -> None:
    if name == "linux" and not HERE.works:
        pytest.skip(HERE.reason)
    rets = backends.run_many(IS_ARP, batch(), name)
    assert rets.shape == (0,)
    assert rets.dtype == np.uint32


def test_a_wrong_name_is_met_with_the_right_one() -> None:
    with pytest.raises(BpfError, match="did you mean linux"):
        backends.get("linx")
    with pytest.raises(BpfError, match="there are interp, pygen, native, libpcap, linux"):
        backends.get("solaris")


def test_a_budget_bounds_an_unchecked_program_on_interp() -> None:
    loop = Program.from_insns([(0x05, 0, 0, 0xFFFFFFFF), (6, 0, 0, 0)])
    with pytest.raises(BpfError, match="1000 steps"):
        backends.run_many(loop, batch(ARP), "interp", 1000)


def test_interp_uses_each_packets_wire_length_and_notes() -> None:
    packets = batch(ARP, IPV4, Packet(b"", wirelen=9), Packet(b"", ancillary=Ancillary(mark=4)))
    for text, rets in (
        ("ld proto\nret a", [0x806, 0x800, 0, 0]),
        ("ld type\nret a", [1, 0, 0, 0]),
        ("ld len\nret a", [42, 34, 9, 0]),
        ("ld mark\nret a", [0, 0, 0, 4]),
    ):
        assert backends.run_many(assemble(text), packets, "interp").tolist() == rets


@on_the_kernel
@settings(max_examples=100, deadline=None)
@given(legal_programs(), st.lists(packet_bytes(), max_size=6))
def test_interp_and_linux_agree_where_linux_answers(program: Program, data: list[bytes]) -> None:
    packets = PacketBatch.of(Packet(each) for each in data)
    try:
        linux = backends.run_many(program, packets, "linux")
    except UnavailableError:
        assume(False)
    interp = backends.run_many(program, packets, "interp")
    assert backends.first_difference({"interp": interp, "linux": linux}) is None


@on_the_kernel
@pytest.mark.parametrize(
    ("load", "name"),
    [
        ("ld proto", "proto"),
        ("ld type", "type"),
        ("ld hatype", "hatype"),
        ("ld poff", "poff"),
        ("ldb [0xfff00000]", "the network header"),
        ("ldb [0xffe00000]", "the link header"),
        ("ld rand", "rand"),
        ("ld cpu", "cpu"),
    ],
)
def test_linux_refuses_what_a_socket_pair_would_answer_otherwise(load: str, name: str) -> None:
    with pytest.raises(UnavailableError, match=name) as caught:
        backends.run_many(assemble(f"{load}\nret a"), batch(ARP), "linux")
    assert "\n" not in str(caught.value)


@on_the_kernel
def test_linux_refuses_len_only_where_the_packet_was_cut() -> None:
    program = assemble("ld len\nret a")
    assert backends.run_many(program, batch(ARP), "linux").tolist() == [len(ARP)]
    with pytest.raises(UnavailableError, match="packet 2"):
        backends.run_many(program, batch(ARP, Packet(ARP, wirelen=60)), "linux")


@on_the_kernel
def test_linux_answers_extensions_where_the_packet_is_like_one_of_its_own() -> None:
    packets = PacketBatch.of([Packet(bytes(40))])
    for text, ret in (("ld proto", 0), ("ld #9\nld ifidx", 9), ("ldx #3\nld alu_xor_x", 3)):
        assert backends.run_many(assemble(f"{text}\nret a"), packets, "linux").tolist() == [ret]


@on_the_kernel
def test_linux_runs_no_unchecked_program() -> None:
    with pytest.raises(UnavailableError, match="unchecked"):
        backends.run_many(IS_ARP, batch(ARP), "linux", 1000)


@on_the_kernel
def test_linux_passes_on_the_kernels_refusal() -> None:
    unknown = Program.from_insns([(0xFF, 0, 0, 0), (6, 0, 0, 0)])
    with pytest.raises(sockfilter.KernelRefused, match="EINVAL"):
        backends.run_many(unknown, batch(ARP), "linux")


def test_the_first_difference_is_the_first_of_any_backend() -> None:
    a, b, c = (np.array(rets, np.uint32) for rets in ([1, 2, 3, 4], [1, 2, 9, 4], [1, 2, 3, 9]))
    assert backends.first_difference({"a": a, "c": c, "b": b}) == 2
    assert backends.first_difference({"a": a, "other": a.copy()}) is None
    assert backends.first_difference({"a": a}) is None
    assert backends.first_difference({"a": a[:0], "b": b[:0]}) is None


# linux.probe


@on_the_kernel
def test_abilities_are_named_and_reasoned() -> None:
    abilities = probe()
    assert abilities[0].name == "socket filters"
    assert len({each.name for each in abilities}) == len(abilities) == 5
    for each in abilities:
        assert each.reason
        assert "\n" not in each.reason
        assert str(each) == f"{'✓' if each.works else '✗'} {each.name}: {each.reason}"


def test_probing_leaves_nothing_open() -> None:
    script = """
import os
from bpfnb.linux.probe import probe
probe()
before = sorted(os.listdir("/proc/self/fd"))
probe()
assert sorted(os.listdir("/proc/self/fd")) == before
"""
    if sys.platform != "linux":
        pytest.skip("counts open files in /proc, which is Linux's")
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


OTHER_SYSTEM = """
import sys
from typing import Any
sys.platform = "darwin"
import bpfnb.linux.limits, bpfnb.linux.readout
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError
from bpfnb.linux.probe import probe
from bpfnb.linux.sockfilter import verdicts
assert not any(each.works for each in probe() if each.name != "tcpdump")
assert all("Linux only; this is darwin" in each.reason for each in probe()[:4])
try:
    verdicts(Program.from_insns([(6, 0, 0, 0)]), [b""])
except UnavailableError as error:
    assert "darwin" in str(error) and "\\n" not in str(error)
else:
    raise SystemExit("no UnavailableError")
"""


def test_elsewhere_it_says_in_one_line_that_this_is_no_linux() -> None:
    subprocess.run([sys.executable, "-c", OTHER_SYSTEM], check=True)


def test_a_command_that_hangs_is_a_reason() -> None:
    said = run_command([sys.executable, "-c", "import time; time.sleep(60)"])
    assert isinstance(said, str)
    assert "timed out" in said


@on_the_kernel
def test_a_program_that_attaches_meets_no_limit() -> None:
    assert environment_limit(IS_ARP) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0x30, 0, 0, -1), r"\(001\) k is -1; the field holds 0–4294967295"),
        ((0x05, 0, 0, 1 << 32), r"\(001\) k is 4294967296"),
        ((0x15, -1, 0, 0), r"\(001\) jt is -1; the field holds 0–255"),
        ((0x15, 0, 256, 0), r"\(001\) jf is 256"),
        ((1 << 16, 0, 0, 0), r"\(001\) code is 65536"),
        ((0x06, 0, 0), r"\(001\) an instruction has 4 fields"),
    ],
)
def test_no_program_holds_what_no_instruction_can(row: tuple[int, ...], words: str) -> None:
    """What native code is made of has been through this: it trusts each field's width."""
    with pytest.raises(BpfError, match=words):
        Program((Insn(6, 0, 0, 0), row))  # type: ignore[arg-type]
    with pytest.raises(BpfError, match=words):
        Program.from_insns([(6, 0, 0, 0), row])


@pytest.mark.parametrize("name", ["", None, 3, "NATIVE "])
def test_what_is_no_backends_name_is_told(name: Any) -> None:
    with pytest.raises(BpfError, match="there is no backend"):
        backends.get(name)


@on_the_kernel
def test_a_load_at_x_that_counts_from_a_header_is_not_asked_of_a_socket_pair() -> None:
    """Whether it does depends on X: our machine runs first."""
    program = Program.from_insns([(0x01, 0, 0, 0xFFF00000), (0x50, 0, 0, 0), (0x16, 0, 0, 0)])
    frame = PacketBatch.of([Packet(bytes(range(60)), linktype=1)])
    with pytest.raises(UnavailableError, match=r"packet 1 has them, and a load at X \+ k counts"):
        backends.run_many(program, frame, "linux")
    bare = PacketBatch.of([Packet(bytes([9, 8]))])
    assert backends.run_many(program, bare, "linux").tolist() == [9]
