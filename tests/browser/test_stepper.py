"""The stepper in JupyterLab, by real keys and clicks; and where there is no widget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab

pytestmark = pytest.mark.browser

SETUP = """
%load_ext bpfnb
import bpfnb as bpf
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
ether = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
wire = ether / IP(src="192.0.2.1", dst="192.0.2.2")
evil = b"<script>document.title = 'taken'</script>"
packets = [wire / UDP(sport=5000, dport=53), wire / TCP(dport=80) / evil]
""".strip()
STEP = "%bpf -p packets --step tcp port 80"
LONG = """
import time
rows = [(0x30, 0, 0, at % 9000) for at in range(4095)]
prog = bpf.Program.from_insns([*rows, (0x16, 0, 0, 0)])
prog.trace(bytes(range(256)) * 36).stepper()
""".strip()


def notebook(folder: Path, name: str, *cells: str) -> str:
    """Write a notebook of code cells; its file name."""
    content = {
        "cells": [
            {"cell_type": "code", "id": f"c{at}", "metadata": {}, "execution_count": None,
             "outputs": [], "source": source}
            for at, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "bpfnb", "display_name": "BPF (Python)"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return name


def run_all(lab: Lab, page: Page, name: str) -> Locator:
    """Open a notebook and run it; its stepper."""
    page.goto(lab.page_url(name))
    indicator = page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator")
    expect(indicator).to_have_attribute("data-status", "idle")
    page.get_by_role("menubar").get_by_text("Run", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
    stepper = page.locator(".bpfnb-stepper").last
    expect(stepper).to_be_visible()
    return stepper


@pytest.fixture
def stepper(lab: Lab, page: Page) -> Locator:
    return run_all(lab, page, notebook(lab.folder, "step.ipynb", SETUP, STEP))


def position(stepper: Locator) -> str:
    return stepper.locator(".count").inner_text()


def test_keys_step_forth_and_back_and_the_kernel_is_not_needed(
    lab: Lab, page: Page, stepper: Locator
) -> None:
    page.get_by_role("menubar").get_by_text("Kernel", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Shut Down Kernel", exact=True).click()
    said = stepper.get_by_role("status")
    expect(said).to_contain_text("Nothing has run yet.")
    stepper.get_by_role("listbox").focus()
    page.keyboard.press("ArrowRight")
    expect(stepper.locator(".octet.now")).to_have_text(["08", "00"])
    expect(said).to_contain_text("(000) load the half word at byte 12 of the packet into A")
    registers = stepper.get_by_role("table", name="registers")
    expect(registers).to_contain_text("0x800")
    page.keyboard.press("End")
    expect(said).to_contain_text("✗ reject")
    last = position(stepper)
    page.keyboard.press("b")
    page.keyboard.press("s")
    assert position(stepper) == last
    page.keyboard.press("Home")
    assert position(stepper).startswith("step 0 of ")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    for key in ("b", "x", "c", "r", "?"):  # JupyterLab's own keys: new cell, cut, copy, raw, help
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    expect(stepper.locator(".help")).to_be_visible()


def test_breakpoints_by_click_and_the_cursor(page: Page, stepper: Locator) -> None:
    rows = stepper.get_by_role("option").filter(has_text="ret")
    target = stepper.get_by_role("option").filter(has_text="(009)")
    target.click()
    expect(target).to_have_attribute("aria-description", "breakpoint")
    stepper.get_by_role("button", name="run to the next breakpoint").click()
    expect(stepper.locator(".row.here")).to_contain_text("(009)")
    stepper.get_by_role("button", name="run to the next breakpoint").click()
    expect(stepper.get_by_role("status")).to_contain_text("reject")
    assert rows.count() == 2
    stepper.get_by_role("combobox", name="packet").select_option("1")
    expect(stepper.locator(".count")).to_contain_text("step 0 of ")
    page.keyboard.press("End")
    stepper.get_by_role("listbox").focus()
    page.keyboard.press("End")
    expect(stepper.get_by_role("status")).to_contain_text("✓ accept")


def test_what_a_packet_says_stays_text(page: Page, stepper: Locator) -> None:
    stepper.get_by_role("combobox", name="packet").select_option("1")
    assert "taken" not in page.title()
    assert stepper.locator("script").count() == 0


def test_a_long_program_and_a_long_packet_are_quick(
    lab: Lab, page: Page, record_property: Any
) -> None:
    stepper = run_all(lab, page, notebook(lab.folder, "long.ipynb", SETUP, LONG))
    stepper.get_by_role("listbox").focus()
    times = stepper.evaluate(
        """root => {
            const took = [];
            const box = root.querySelector('[role=listbox]');
            const press = key =>
                box.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
            for (const key of ['s', 's', 's', 'End', 'b', 'b', 'b', 'Home', 's']) {
                const begin = performance.now();
                press(key);
                root.getBoundingClientRect();
                took.push(performance.now() - begin);
            }
            return took;
        }"""
    )
    record_property("ms a step", times)
    assert sorted(times)[len(times) // 2] < 200  # 16 is wanted; a shared machine may be slow


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_serious_violation(page: Page, stepper: Locator, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.get_by_role("menubar").get_by_text("Settings", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
    page.locator(".lm-Menu-itemLabel").get_by_text(theme, exact=True).click()
    stepper.get_by_role("listbox").focus()
    for key in ("s", "s", "x", "?"):
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    response = Axe().run(page, context=".bpfnb-stepper").response
    assert len(response["passes"]) > 5
    found = response["violations"]
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_narrow_page_puts_the_panels_below_each_other(page: Page, stepper: Locator) -> None:
    wide = stepper.locator(".panels > div").evaluate_all("all => all.map(e => e.offsetTop)")
    assert len(set(wide)) == 1
    stepper.evaluate("root => { root.style.width = '600px' }")
    narrow = stepper.locator(".panels > div").evaluate_all("all => all.map(e => e.offsetTop)")
    assert narrow[0] < narrow[1]
