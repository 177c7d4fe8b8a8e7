"""The benchmarks run end to end, on the packets they say, and the README's figures are theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpfnb as bpf

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
GOALS = range(1, 7)


@pytest.fixture(scope="module", autouse=True)
def _scripts_find_their_neighbours() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(cache: Path) -> Any:
    """What a quick run writes."""
    made = cache / "speed.json"
    command = [sys.executable, str(BENCHMARKS / "speed.py"), "--quick"]
    command += ["--json", str(made), "--cache", str(cache)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {**json.loads(made.read_text(encoding="utf-8")), "shown": run.stdout}


def test_a_quick_run_has_a_row_for_every_goal(found: Any) -> None:
    rows = found["rows"]
    assert {row["goal"] for row in rows} == {0, *GOALS} or "no gcc" in found["shown"]
    assert {row["goal"] for row in rows} >= set(GOALS)
    for row in rows:
        assert row["missing"] or row["figure"][0] > 0
        assert row["what"] in found["shown"]
        if row["figure"]:
            assert row["figure"] == sorted(row["figure"])
    assert set(found["machine"]) >= {"processor", "kernel", "python", "llvmlite", "libpcap", "gcc"}


def test_a_quick_run_is_held_against_no_target(found: Any) -> None:
    assert found["quick"]
    assert all(row["target"] is row["reached"] is None for row in found["rows"])


def test_its_filters_accept_what_libpcap_accepts(found: Any, cache: Path) -> None:
    capture = bpf.open_capture(next(cache.glob("traffic-*.pcap")))
    assert len(capture) == found["packets"]
    for name, program in import_module("filters").expressions().items():
        accepted = int((program.run_many(capture, backend="libpcap") != 0).sum())
        assert 0 < found["accepted"][name] == accepted < len(capture)


def test_contenders_that_disagree_are_not_timed(cache: Path) -> None:
    loops = import_module("c_loops")
    rows = import_module("rows")
    setting = import_module("setting").Setting(True, cache)
    try:
        built = loops.Loops(cache)
    except rows.NotMeasured as reason:
        pytest.skip(str(reason))
    race = import_module("against_c").contenders
    assert "by hand" in race(setting, built, setting.mapped, "tcp_port_80")
    setting.programs["tcp_port_80"] = bpf.compile_filter("tcp port 81")
    with pytest.raises(AssertionError, match="by hand and native differ on packet"):
        race(setting, built, setting.mapped, "tcp_port_80")


def test_the_filters_are_as_long_as_they_say() -> None:
    filters = import_module("filters")
    sizes = {name: len(program) for name, program in filters.expressions().items()}
    assert (sizes[filters.TWENTY], sizes[filters.HUNDRED]) == (20, 100)
    assert list(sizes.values()) == sorted(sizes.values())
    for program in (filters.deny_list(), filters.mixture()):
        assert len(program) == 4096
        assert program.check() == ()


def test_packets_are_of_every_kind_and_size(cache: Path) -> None:
    traffic = import_module("traffic")
    capture = bpf.open_capture(traffic.capture(cache, traffic.QUICK))
    sizes = capture.columns.lengths
    assert capture.error is None
    assert (sizes.min(), sizes.max()) == (60, 1514)
    assert 740 < sizes.mean() < 760
    shares = {
        "tcp": (0.5, 0.6),
        "udp": (0.25, 0.32),
        "arp": (0.01, 0.04),
        "ip6": (0.1, 0.2),
        "icmp6": (0.01, 0.02),
        "vlan": (0.03, 0.05),
        "ip[6:2] & 0x1fff != 0": (0.01, 0.03),
        "ip[0] & 0xf > 5": (0.01, 0.02),
        "ether[12:2] < 1501": (0.01, 0.03),
    }
    for expression, (low, high) in shares.items():
        share = len(bpf.compile_filter(expression).filter(capture)) / len(capture)
        assert low < share < high, expression


def test_other_packets_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    traffic = import_module("traffic")
    good = traffic.capture(tmp_path, traffic.QUICK)
    with good.open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    with pytest.raises(ValueError, match="is not the pinned input"):
        traffic.capture(tmp_path, traffic.QUICK)


def test_contenders_take_turns() -> None:
    rounds = import_module("rounds")
    order: list[str] = []
    taken = rounds.take_turns({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert "".join(order) == "ab" + "ababab"
    assert all(len(each) == 3 for each in taken.values())
    assert rounds.ratio([4.0, 6.0, 80.0], [2.0, 2.0, 8.0]).median == 3.0


def a_run(**changed: Any) -> dict[str, Any]:
    """What speed.py writes, made up."""
    row = {
        "goal": 1, "group": "native against it", "where": "9 packets", "what": "ip", "unit": "ns",
        "ours": [1, 2, 3], "theirs": [9, 10, 11], "figure": [4.5, 5, 5.5],
        "target": ["≥", 3], "reached": True, "missing": "",
    }  # fmt: skip
    machine = {
        "processor": "A Processor", "cores": 2, "cache": "1 MiB", "kernel": "Linux 6.1",
        "python": "CPython 3.11.7", "llvmlite": "0.45.0",
        "libpcap": "libpcap version 1.10.6 (64-bit time_t, with TPACKET_V3)",
        "tcpdump": "none", "gcc": "gcc (Debian 12.2.0-14+deb12u1) 12.2.1",
    }  # fmt: skip
    second = {**row, "what": "arp", **changed}
    return {"date": "2026-01-02", "quick": False, "machine": machine, "rows": [row, second]}


def told(run: dict[str, Any]) -> str:
    """The README's section about a run, on one line."""
    return " ".join(import_module("readme").section(run).split())


def test_the_readme_tells_what_is_reached_and_what_is_not() -> None:
    good = told(a_run(figure=[6, 7, 8]))
    assert "A Processor, 2 cores, 1 MiB of cache, Linux 6.1" in good
    assert "llvmlite 0.45.0, libpcap 1.10.6, tcpdump none, gcc 12.2.1" in good
    assert (
        "| native against it | 9 packets | 2.00 ns | 10.0 ns | 5.00–7.00 × as fast | ≥ 3 ✓ |"
        in good
    )
    assert "2 of 2 targets are reached." in good
    bad = told(a_run(figure=[1, 2, 3], reached=False))
    assert "| 2.00–5.00 × as fast | ≥ 3 ✗ (1 of 2) |" in bad
    assert "1 of 2 targets are reached." in bad
    lacking = told(a_run(figure=None, reached=None, missing="no gcc"))
    assert "Not measured: native against it (no gcc)." in lacking


def test_the_readme_shows_the_recorded_run() -> None:
    script = [sys.executable, str(BENCHMARKS / "readme.py"), "--check"]
    assert subprocess.run(script, check=False).returncode == 0
    recorded = json.loads((BENCHMARKS / "speed.json").read_text(encoding="utf-8"))
    made = import_module("readme").section(recorded)
    assert made in (ROOT / "README.md").read_text(encoding="utf-8")
    assert recorded["machine"]["processor"] in told(recorded)
    assert not recorded["quick"]
    assert recorded["packets"] == import_module("traffic").MILLION


def test_medians_have_quartiles_around_them() -> None:
    spread = import_module("rounds").spread(np.arange(101.0).tolist())
    assert tuple(spread) == (25, 50, 75)
