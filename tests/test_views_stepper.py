"""The stepper's score is the trace; where there is no widget it is the trace's table.

What the page does with it is in `browser/test_stepper.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings

import bpfnb as bpf
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.views.stepper import MOST, STEPS, Stepper, module
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
    assert data["text/html"] == steps.html()
    assert data["text/plain"] == steps.text()


def test_many_packets_are_left_out_and_counted() -> None:
    many = [PROGRAM.trace(FRAMES[0])] * (MOST + 7)
    score = Stepper(many).score()
    assert (len(score["runs"]), score["left"]) == (MOST, 7)
    late = Stepper(many, first=MOST + 2).score()
    assert (len(late["runs"]), late["first"], late["left"]) == (MOST + 1, MOST, 6)
    long = bpf.Program.from_insns([*[(0x30, 0, 0, 0)] * 4095, (0x16, 0, 0, 0)]).trace(b"\7")
    assert len(Stepper([long] * 50).score()["runs"]) == STEPS // 4096


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


@pytest.mark.parametrize("name", ["stepper.js", "conditions.js", "stepper.css"])
def test_its_files_are_in_the_package(name: str) -> None:
    from bpfnb.views import stepper

    assert (stepper.HERE / name).stat().st_size > 1000
