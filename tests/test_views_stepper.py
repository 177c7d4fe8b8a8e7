"""The stepper's score is the trace; where there is no widget it is the trace's table.

What the page does with it is in `browser/test_stepper.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import bpfnb as bpf
from bpfnb.cbpf.cfg import graph, successors
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.views.minimap import MOST as SMALL
from bpfnb.views.minimap import minimap
from bpfnb.views.stepper import MODULES, MOST, OCTETS, STEPS, STYLE, Stepper, module
from tests.strategies import close_packets, close_programs, legal_programs, packet_bytes

WIDGET = "application/vnd.jupyter.widget-view+json"
FRAMES = bpf.samples.open("mixed")
PROGRAM = bpf.compile_filter("tcp port 80")


def played(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The states that the page shows, in order: before each step, and the end."""
    return [*run["steps"], run["end"]]


@settings(max_examples=150, deadline=None)
@given(
    legal_programs() | close_programs(),
    packet_bytes() | close_packets(),
)
def test_the_score_is_the_trace(program: Program, data: bytes) -> None:
    found = trace(program, data)
    score = Stepper([found]).score()
    json.dumps(score)
    (run,) = score["runs"]
    assert len(score["listing"]) == len(program)
    assert run["ret"] == found.ret
    assert bytes.fromhex(run["bytes"]) == data
    assert run["wirelen"] == found.wirelen
    assert [step.missed is not None for step in found.steps] == [
        *[False] * (len(found.steps) - 1),
        run["missed"],
    ]
    states = [*(step.before for step in found.steps), found.steps[-1].after]
    for shown, state in zip(played(run), states, strict=True):
        assert (shown["A"], shown["X"]) == (state.A, state.X)
        assert [shown["M"].get(f"M[{k}]", 0) for k in range(16)] == list(state.M)
    for shown, step, after in zip(run["steps"], found.steps, states[1:], strict=True):
        assert shown["pc"] == step.pc
        assert shown["reads"] == [[read.offset, read.size] for read in step.reads]
        if after.ret is None:
            assert after.pc in [to for _, to in score["listing"][step.pc]["ways"]]
        changed = {
            name for name in ("A", "X") if getattr(after, name) != getattr(step.before, name)
        }
        changed |= {f"M[{k}]" for k in range(16) if after.M[k] != step.before.M[k]}
        assert changed <= set(shown["wrote"])


def test_without_a_widget_it_is_the_table() -> None:
    steps = PROGRAM.trace(FRAMES[0]).stepper()
    assert steps.text() == steps.table.text()
    assert steps.html() == steps.table.html()
    data, _ = steps._repr_mimebundle_()
    assert {WIDGET, "text/html", "text/plain"} <= set(data)
    assert data["text/html"] == steps._repr_html_()
    assert steps.html() in data["text/html"]
    assert data["text/plain"] == steps.text()


def test_many_packets_are_left_out_and_counted() -> None:
    many = [PROGRAM.trace(FRAMES[0])] * (MOST + 7)
    score = Stepper(many).score()
    assert (len(score["runs"]), score["left"]) == (MOST, 7)
    late = Stepper(many, first=MOST + 2).score()
    assert (len(late["runs"]), late["first"], late["left"]) == (MOST + 1, MOST, 6)
    long = bpf.Program.from_insns([*[(0x30, 0, 0, 0)] * 4095, (0x16, 0, 0, 0)]).trace(b"\7")
    assert len(Stepper([long] * 50).score()["runs"]) == STEPS // 4096
    large = PROGRAM.trace(bytes(65_535))
    assert len(Stepper([large] * 50, first=45).score()["runs"]) == OCTETS // 65_535
    assert Stepper([large] * 2, total=1_000_000).score()["left"] == 999_998


def test_static_forms_are_the_same_in_every_process() -> None:
    code = (
        "import bpfnb as bpf, hashlib\n"
        "steps = bpf.compile_filter('icmp').trace(bpf.samples.open('mixed')[0]).stepper()\n"
        "print(hashlib.sha256((steps.text() + steps.html()).encode()).hexdigest())"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout


def test_anywidget_is_imported_when_it_is_shown_and_not_before() -> None:
    code = (
        "import sys, bpfnb as bpf\n"
        "steps = bpf.compile_filter('icmp').trace(bytes(60)).stepper()\n"
        "str(steps), steps.html()\n"
        "assert 'anywidget' not in sys.modules\n"
        "steps._repr_mimebundle_()\n"
        "assert 'anywidget' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_and_names_go_into_the_score_as_they_are() -> None:
    program = bpf.assemble("evil: ldb [0]\nret a")
    score = program.trace(b"\5").stepper().score()
    assert score["listing"][0]["label"] == "evil"
    assert Stepper([program.trace(b"\5")], ["<script>"]).score()["runs"][0]["title"] == "<script>"
    assert "<script" not in Stepper([program.trace(b"\5")], ["<script>"]).html()


def names(stepper: Stepper) -> list[str]:
    """What each step of the first packet read, by name."""
    (run, *_) = stepper.score()["runs"]
    return [step["names"] for step in run["steps"]]


def test_what_a_step_read_has_the_name_and_value_of_its_field() -> None:
    data = bytes.fromhex("02000000000b02000000000a08004500001c0001000040110000c0000201c0000202")
    program = bpf.assemble("ldh [12]\nld [26]\nldb [14]\nldh [28]\nldb [23]\nret a")
    told = [
        "bytes 12–13: Ether.type = 0x0800 (IPv4)",
        "bytes 26–29: IP.src = 192.0.2.1",
        "byte 14: IP.version, IP.ihl",
        "bytes 28–29: IP.src[2:2]",
        "byte 23: IP.proto = 17 (udp)",
        "",
    ]
    plain = trace(program, data)
    assert names(Stepper([plain], linktypes=[1])) == told
    assert names(Stepper([plain])) == [""] * 6  # nothing says what the bytes are
    assert Stepper([plain]).score()["runs"][0]["fields"] == []
    packet = bpf.Packet(data, linktype=1)
    assert names(program.trace(packet).stepper()) == told
    assert names(Stepper([program.trace(packet)], linktypes=[101])) != told
    compiled = bpf.compile_filter("udp", linktype="EN10MB")
    assert "IP.proto = 17 (udp)" in " ".join(names(Stepper([trace(compiled, data)])))
    fields = Stepper([plain], linktypes=[1]).score()["runs"][0]["fields"]
    assert [23, 1, "IP.proto = 17 (udp)"] in fields


def test_the_pages_module_has_one_export_and_needs_no_other() -> None:
    lines = module().splitlines()
    assert [line for line in lines if line.startswith("export ")] == ["export default { render };"]
    assert [line for line in lines if line.startswith("import ")] == []


def test_its_parts_name_nothing_twice() -> None:
    # They become one module: what two of them name would stop it in every page.
    pattern = re.compile(r"^(?:const|let|class|function|async function) (\w+)", re.MULTILINE)
    found = Counter(pattern.findall(module()))
    assert {"Stepper", "Minimap", "Sheet", "holds", "render"} <= set(found)
    assert [name for name, times in found.items() if times > 1] == []


@pytest.mark.parametrize("path", [*MODULES, STYLE], ids=lambda path: str(path.name))
def test_its_files_are_in_the_package(path: Path) -> None:
    assert path.parent == Path(bpf.__file__).parent / "views"
    assert path.stat().st_size > 1000


# The small graph

NUMBERS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


@settings(max_examples=150)
@given(legal_programs() | close_programs())
def test_the_small_graph_has_each_instruction_and_each_way_once(program: Program) -> None:
    plan = minimap(program)
    json.dumps(plan)
    if "left" in plan:
        assert len(graph(program).blocks) > SMALL
        return
    pcs = [pc for block in plan["blocks"] for pc in range(block["start"], block["stop"])]
    assert pcs == list(range(len(program)))
    last = [block["stop"] - 1 for block in plan["blocks"]]
    ways = [(pc, to, kind) for pc in last for to, kind in successors(program.insns, pc)]
    assert [(edge["from"], edge["to"], edge["kind"]) for edge in plan["edges"]] == ways
    drawn = {at for track in plan["tracks"] for at in track["edges"]}
    assert drawn == set(range(len(ways)))
    for track in plan["tracks"]:
        assert {plan["edges"][at]["kind"] for at in track["edges"]} == {track["kind"]}
    for block in plan["blocks"]:
        assert 0 <= block["x"] <= block["x"] + block["width"] <= plan["width"]
        assert 0 <= block["y"] <= block["y"] + block["height"] <= plan["height"]


def test_blocks_of_the_small_graph_do_not_touch() -> None:
    blocks = minimap(bpf.compile_filter("tcp port 80 or udp port 53"))["blocks"]
    for one, other in combinations(blocks, 2):
        beside = min(one["x"] + one["width"], other["x"] + other["width"]) + 8 <= max(
            one["x"], other["x"]
        )
        below = one["y"] + one["height"] + 8 <= other["y"]
        assert beside or below or other["y"] + other["height"] + 8 <= one["y"], (one, other)


def test_ends_say_their_verdict_and_dead_code_that_nothing_reaches_it() -> None:
    source = "ldb [0]\njeq #1, yes, no\nyes: ret #1\nno: ret #0\nja dead\ndead: ret a"
    blocks = minimap(bpf.assemble(source))["blocks"]
    assert [block["label"] for block in blocks] == ["0–1", "2 ✓", "3 ✗", "4", "5 ret"]
    assert [block["reachable"] for block in blocks] == [True, True, True, False, False]


def test_a_jump_back_points_upwards_and_one_to_itself_has_an_ear() -> None:
    back = (5, 0, 0, 0xFFFFFFFE)
    plan = minimap(Program.from_insns([(0, 0, 0, 1), back, (5, 0, 0, 0xFFFFFFFF), (6, 0, 0, 0)]))
    ways = [(edge["from"], edge["to"]) for edge in plan["edges"]]
    assert ways == [(1, 0), (2, 2)]
    tips = [[float(each) for each in NUMBERS.findall(track["tip"])] for track in plan["tracks"]]
    assert all(len(tip) == 6 for tip in tips)
    (ear,) = (tip for tip, track in zip(tips, plan["tracks"], strict=True) if track["edges"] == [1])
    block = plan["blocks"][1]
    assert ear[2] == block["x"]
    assert block["y"] < ear[3] < block["y"] + block["height"]


@pytest.mark.parametrize(("blocks", "there"), [(SMALL, True), (SMALL + 1, False)])
def test_a_large_graph_is_left_out(blocks: int, there: bool) -> None:
    rows = [(0x15, 1, 0, at) for at in range(blocks - 2)]
    program = Program.from_insns([*rows, (6, 0, 0, 1), (6, 0, 0, 0)])
    assert len(graph(program).blocks) == blocks
    plan = Stepper([trace(program, b"")]).score()["map"]
    assert ("left" not in plan) == there
    if not there:
        assert plan == {"left": f"{blocks} basic blocks are too many for a small graph"}
