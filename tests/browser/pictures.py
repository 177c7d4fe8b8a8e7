"""Take a picture of every view, as JupyterLab shows it, in light and in dark.

    pytest -n0 -o addopts="" tests/browser/pictures.py

Pictures land in the folder that PICTURES names, else in a temporary one; those that the
README shows are put into notebooks/pictures.  Each is to be looked at: no test can say
whether a view is clear.  Left out: comparing pictures, which differ by machine.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.browser.conftest import Lab
from tests.browser.test_stepper import notebook, run_all

README = Path(__file__).parents[2] / "notebooks" / "pictures"
SHOWN = ("step", "bytes")  # in the README
SETUP = """
%load_ext bpfnb
import bpfnb as bpf
mixed = bpf.samples.open("mixed")
http = bpf.samples.open("http")
both = [bpf.compile_filter("port 80 or port 443", optimize=o) for o in (True, False)]
""".strip()
VIEWS = {
    "listing": "%bpf -p mixed udp port 53",
    "backends": "%bpf -p http --on all --show verdicts tcp port 80",
    "cfg": "%bpf -p mixed --cfg icmp or arp",
    "cfg_large": "%bpf --cfg port 80 or port 443 or host 192.0.2.1",
    "dominators": "%bpf --show dominators tcp port 80",
    "tree": "%bpf --show tree host 192.0.2.1",
    "optimizer": "%bpf -p mixed --show optimizer ip and tcp and ip host 192.0.2.1",
    "bytes": "%bpf -p http --bytes=4 tcp[tcpflags] & tcp-push != 0 and port 80",
    "trace": "%bpf -p http --trace=4 tcp port 80",
    "why": "%bpf -p mixed --why=3 tcp port 80",
    "explain": "%bpf --show explain udp port 53",
    "native": "%bpf --show native icmp",
    "pygen": "%bpf --show pygen tcp port 80",
    "plots": "%bpf -p mixed --show plots --on interp,native --time tcp port 80",
    "lint": "%%bpf --show lint\nldb [14]\\nrsh #4\\njeq #4, +0, no\\nldb [14]\\nrsh #4\\n"
    "jeq #6, yes, no\\nyes: ret #-1\\nno: ret #0".replace("\\n", "\n"),
    "counterexample": "bpf.equivalent(*both, same='verdict')",
    "proof": "bpf.equivalent(*both, same='verdict', complete=True)",
    "difference": "bpf.diff(*both)",
    "synthesis": 'bpf.synthesize(both[0], layers="IP/TCP")',
    "covering": "bpf.covering_packets(both[0])",
    "debugger": "both[0].debug(http)",
    "wrong": "%%bpf --exercise 07.1\nldh [12]\njeq #0x800, +0, no\nldb [23]\njeq #17, +0, no\n"
    "ldh [36]\njeq #53, yes, no\nyes: ret #-1\nno: ret #0",
    "progress": "%bpf_progress",
    "mistake": "%%bpf\nldh [12]\njeqq #0x800, yes, no\nyes: ret #1\nno: ret #0",
    "stack": "%%cspf -p mixed --show verdicts,listing,trace,tree\nPUSHWORD+6\nPUSHLIT|CAND "
    "ETHERTYPE_IP\nPUSHWORD+11\nPUSH00FF|AND\nPUSHLIT|EQ 17",
    "models": "__import__('bpfnb.cspf').cspf.models(bpf.compile_filter('host 192.0.2.1'), mixed)",
    "step": "%bpf -p http --step=4 tcp[tcpflags] & tcp-push != 0 and port 80",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_is_taken(lab: Lab, page: Page, tmp_path: Path, theme: str) -> None:
    """One notebook, one cell a view, one picture a cell."""
    folder = Path(os.environ.get("PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": 1280, "height": 1400})
    name = notebook(lab.folder, f"views_{theme}.ipynb", SETUP, *(
        # A failing cell would stop the others.
        f"try:\n    get_ipython().run_cell({cell!r}).raise_error()\nexcept Exception:\n    pass"
        if key == "mistake" else cell
        for key, cell in VIEWS.items()
    ))  # fmt: skip
    stepper = run_all(lab, page, name)
    no = page.locator(".Toastify__toast").get_by_role("button", name="No", exact=True)
    with suppress(PlaywrightTimeoutError):  # it is asked once
        no.click(timeout=5000)
    page.get_by_role("menubar").get_by_text("Settings", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
    page.locator(".lm-Menu-itemLabel").get_by_text(f"JupyterLab {theme.title()}").first.click()
    stepper.get_by_role("listbox", name="program").focus()
    for key in ("s", "s", "s", "s", "s"):
        page.keyboard.press(key)
    cells = page.locator(".jp-CodeCell")
    for at, view in enumerate(VIEWS, 1):
        output = cells.nth(at).locator(".jp-Cell-outputArea")
        cells.nth(at).scroll_into_view_if_needed()
        expect(output).to_be_visible()
        picture = folder / f"{view}_{theme}.png"
        output.screenshot(path=picture)
        if view in SHOWN:
            shutil.copy(picture, README / picture.name)
