"""Chapter 01's detour: bytes arrive as they were, nobody stays behind, ratios hold."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import pytest

from bpfnb.course import detour
from bpfnb.course.detour import chain as chains
from bpfnb.course.detour import measured
from bpfnb.course.detour.chain import Chain, Counts, Hop
from bpfnb.errors import BpfError, UnavailableError


def reason_against() -> str:
    try:
        with socket.socket() as tried:
            tried.bind(("127.0.0.1", 0))
    except OSError as error:
        return str(error)
    return ""


loopback = pytest.mark.skipif(bool(reason_against()), reason=f"no loopback: {reason_against()}")
ALL_BYTES = bytes(range(256))


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Chain(proxies=2) as made:
        yield made


def gone(pids: list[int]) -> bool:
    """Whether all of them are gone; children that ended are waited for by who started them."""
    return not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    return True


# What arrives


@loopback
@pytest.mark.parametrize("through", [0, 1, 2])
@pytest.mark.parametrize("times", [1, 40, 40_000], ids=["256 bytes", "10 KiB", "10 MB"])
def test_bytes_arrive_as_they_were(chain: Chain, through: int, times: int) -> None:
    question = ALL_BYTES * times
    assert chain.ask(question, through) == question
    assert chain.ask(b"x", through) == b"x"  # nothing is left over


@loopback
def test_every_process_counts_what_it_copies() -> None:
    with Chain(proxies=2) as made:
        made.ask(bytes(100), through=2)
        made.ask(bytes(30), through=1)
    assert made.counts == {
        "proxy 2": Counts(2, 2, 400),
        "proxy 1": Counts(4, 4, 520),
        "server": Counts(2, 2, 260),
    }
    assert str(made) == "<Chain: a server and 2 proxies>"


@loopback
def test_the_end_of_a_question_is_handed_on(chain: Chain) -> None:
    with socket.create_connection(("127.0.0.1", chain.ports[2]), 10) as way:
        way.sendall(ALL_BYTES)
        way.shutdown(socket.SHUT_WR)
        answer = b""
        while more := way.recv(1000):
            answer += more
    assert answer == ALL_BYTES


@loopback
def test_who_goes_away_early_disturbs_nobody(chain: Chain) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", chain.ports[2]), 10) as way:
            way.sendall(bytes(300_000))
    assert chain.ask(ALL_BYTES) == ALL_BYTES


@loopback
@pytest.mark.parametrize("through", [-1, 3])
def test_more_proxies_than_there_are_is_said(chain: Chain, through: int) -> None:
    with pytest.raises(BpfError, match=f"through {through} proxies: there are 2"):
        chain.ask(b"x", through)
    with pytest.raises(BpfError, match="give 0 to 8"):
        Chain(-1)


# Who is left


@loopback
def test_all_processes_are_gone_afterwards() -> None:
    with Chain(proxies=2) as made:
        pids = [hop.process.pid for hop in made.hops]
        assert len(pids) == 3
        assert not gone(pids)
    assert gone(pids)
    made.close()  # twice is once


@loopback
def test_they_are_gone_when_something_goes_wrong_too() -> None:
    made = Chain(proxies=1)
    pids = [hop.process.pid for hop in made.hops]
    made.ask(bytes(10))
    with contextlib.suppress(KeyboardInterrupt), made:
        raise KeyboardInterrupt
    assert gone(pids)


@loopback
def test_they_go_when_who_started_them_is_killed() -> None:
    code = (
        "import time\nfrom bpfnb.course.detour import Chain\nmade = Chain(2)\nmade.ask(b'x')\n"
        "print(*(hop.process.pid for hop in made.hops), flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while not gone(pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone(pids)


@loopback
def test_an_interrupt_is_for_who_asks_alone() -> None:
    with Chain(proxies=1) as made:
        groups = {os.getpgid(hop.process.pid) for hop in made.hops}
        assert os.getpgid(0) not in groups
        assert made.ask(b"x") == b"x"


def test_a_process_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "PATIENCE", 0.3)
    hop = Hop("pipe")  # waits for a question, and does not listen
    with pytest.raises(UnavailableError, match="no answer from a process"):
        hop.listens()
    hop.end()
    assert gone([hop.process.pid])


def test_where_loopback_is_refused_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = tmp_path_factory.mktemp("refusing") / "hop.py"
    source = chains.PROGRAM.read_text(encoding="utf-8")
    program.write_text(source.replace('"127.0.0.1", 0', '"192.0.2.1", 0'), encoding="utf-8")
    monkeypatch.setattr(chains, "PROGRAM", program)
    with pytest.raises(UnavailableError, match=r"^loopback cannot be used here: ") as caught:
        detour.latencies(1)
    assert "\n" not in str(caught.value)


def test_where_no_process_can_be_started_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UnavailableError, match=r"^no process can be started here: No such file"):
        Chain()
    with pytest.raises(UnavailableError, match=r"^no process can be started here"):
        detour.prices(rounds=1)


# What it costs


@loopback
def test_every_proxy_costs_something() -> None:
    times = detour.latencies(requests=120)
    assert list(times) == ["direct", "1 proxy", "2 proxies"]
    assert {len(each) for each in times.values()} == {120}
    middle = detour.medians(times)
    assert middle["2 proxies"] > 1.2 * middle["direct"]
    assert middle["1 proxy"] > middle["direct"]


def test_prices_are_in_the_order_that_the_chapter_says() -> None:
    found = detour.prices(rounds=15)
    each = {name: median(times) for name, times in found.items()}
    assert each["a system call"] > 1.1 * each["a call"]
    assert each["copy 1 MiB"] > 10 * each["copy 1 KiB"]
    assert each["wake a process"] > 2 * each["a system call"]
    assert {len(times) for times in found.values()} == {15}


@pytest.mark.parametrize("size", [0, 1, 64, 100_000])
def test_a_copier_copies(size: int) -> None:
    copy = measured.copier(size)
    cells = dict(zip(copy.__code__.co_freevars, copy.__closure__ or (), strict=True))
    source, target = cells["source"].cell_contents, cells["target"].cell_contents
    assert (len(source), len(target)) == (size, size)
    target[:] = b"\xff" * size
    copy()
    assert target == source == bytes(size)
