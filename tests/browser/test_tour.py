"""Chapter 00, opened in JupyterLab and run as a reader runs it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from bpfnb.course.notebooks import chapters, notebooks_folder
from tests.browser.conftest import Lab

pytestmark = pytest.mark.browser

PATIENCE = 120  # seconds a chapter may take in a browser


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def kernel_is(page: Page, status: str) -> None:
    """Wait until the notebook's toolbar shows this status of the kernel."""
    indicator = page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator")
    expect(indicator).to_have_attribute("data-status", status)


def choose(page: Page, menu: str, entry: str) -> None:
    """Click an entry of a menu, as a person would."""
    page.get_by_role("menubar").get_by_text(menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()


def saved_run(page: Page, path: Path, before: float) -> list[dict[str, Any]]:
    """Save until the file has a number in every code cell; return those cells."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        cells = code_cells(path)
        if path.stat().st_mtime > before and all(cell["execution_count"] for cell in cells):
            return cells
    raise AssertionError(f"not all cells of {path.name} ran within {PATIENCE} s")


def open_chapter(lab: Lab, page: Page, path: Path) -> None:
    """Open a chapter and wait until its kernel is ready."""
    page.goto(lab.page_url(path.name))
    expect(page.locator(".jp-Notebook")).to_be_visible()
    expect(page.locator(".jp-Toolbar-kernelName")).to_have_text("BPF (Python)")
    kernel_is(page, "idle")


def first_output(page: Page) -> Locator:
    """The first output in the notebook that shows something."""
    return page.locator(".jp-Notebook .jp-OutputArea-output").first


def test_the_tour_runs_in_jupyterlab(lab: Lab, page: Page, tmp_path: Path) -> None:
    tours = [path for path in chapters(lab.folder) if path.name.startswith("00_")]
    assert tours, "there is no chapter 00"
    path = tours[0]
    stored = code_cells(path)

    open_chapter(lab, page, path)
    choose(page, "Edit", "Clear Outputs of All Cells")
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-Notebook .jp-OutputArea-output")).to_have_count(0)
    before = time.time()
    choose(page, "Run", "Run All Cells")
    ran = saved_run(page, path, before)
    kernel_is(page, "idle")

    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))
    for cell, known in zip(ran, stored, strict=True):
        failed = [out for out in cell["outputs"] if out["output_type"] == "error"]
        meant = "raises-exception" in known["metadata"].get("tags", [])
        assert bool(failed) == meant, (cell["source"], failed)
        assert bool(cell["outputs"]) == bool(known["outputs"]), cell["source"]

    shown = first_output(page)
    shown.scroll_into_view_if_needed()
    expect(shown).to_be_visible()
    assert shown.bounding_box()["height"] > 10  # type: ignore[index]
    picture = tmp_path / "tour.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("name", [path.name for path in chapters()])
def test_stored_outputs_show_before_anything_is_run(lab: Lab, page: Page, name: str) -> None:
    # A fresh copy is not trusted: JupyterLab takes styles, scripts and inline SVG out.
    path = lab.folder / name
    if name.startswith("00_"):
        path = path.with_name("00_fresh.ipynb")  # the test above saves over the copy
        path.write_bytes((notebooks_folder() / name).read_bytes())
    stored = [out for cell in code_cells(path) for out in cell["outputs"]]
    pictures = sum("".join(out.get("data", {}).get("text/html", "")).count("<img ")
                   for out in stored)  # fmt: skip

    open_chapter(lab, page, path)
    for output in page.locator(".jp-Notebook .jp-Cell").all():
        output.scroll_into_view_if_needed()
    expect(page.locator(".jp-OutputArea-output img")).to_have_count(pictures)
    widths = page.locator(".jp-OutputArea-output img").evaluate_all(
        "images => images.map(image => image.complete ? image.naturalWidth : -1)"
    )
    assert all(width > 0 for width in widths), widths
    assert "model not found" not in page.locator(".jp-Notebook").inner_text().lower()
