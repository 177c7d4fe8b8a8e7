"""The packet view in Chromium: in an untrusted notebook, and on a light and a dark page."""

from __future__ import annotations

import pytest
from nbformat import v4 as notebooks
from nbformat import write
from playwright.sync_api import Page, expect

import bpfnb as bpf
from bpfnb.views.packet import PacketBytes
from tests.browser.conftest import Lab

pytestmark = pytest.mark.browser


def view(sample: str = "tcp", number: int = 4) -> PacketBytes:
    packet = bpf.samples.open(sample)[number]
    return bpf.compile_filter("tcp port 80").trace(packet).bytes()


def test_an_untrusted_notebook_keeps_the_grid_with_its_boxes(lab: Lab, page: Page) -> None:
    # JupyterLab's sanitiser takes out what it does not know; tables there have habits of their own.
    cell = notebooks.new_code_cell(
        "trace.bytes()",
        execution_count=1,
        outputs=[
            notebooks.new_output("execute_result", {"text/html": view().html()}, execution_count=1)
        ],
    )
    path = lab.folder / "packet_bytes.ipynb"
    write(notebooks.new_notebook(cells=[cell]), path)
    page.goto(lab.page_url(path.name))
    grid = page.locator(".jp-OutputArea-output table").first
    expect(grid).to_be_visible()
    looks = grid.evaluate("table => getComputedStyle(table).tableLayout")
    assert looks == "fixed"
    byte = grid.locator("td[title^='byte 12 ']")
    expect(byte).to_have_text("08")
    edges = byte.evaluate(
        "cell => ['Top', 'Left'].map(side => getComputedStyle(cell)[`border${side}Style`])"
    )
    assert edges == ["solid", "solid"]
    sizes = grid.locator("td[title^='byte ']").evaluate_all(
        "cells => [...new Set(cells.map(cell => Math.round(cell.getBoundingClientRect().width)))]"
    )
    assert max(sizes) - min(sizes) <= 2, "all bytes are as wide as each other"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("sample", "number"), [("tcp", 4), ("arp", 0), ("vlan", 10), ("ipv6", 6)])
def test_a_page_of_a_thousand_pixels_holds_it_on_light_and_on_dark(
    page: Page, scheme: str, sample: str, number: int
) -> None:
    page.set_viewport_size({"width": 1000, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_content(view(sample, number).document())
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    box = page.locator("div[style*='overflow-x']").first
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    read = page.locator("td[title^='byte 12 ']")
    ink = read.evaluate("cell => getComputedStyle(cell).borderTopColor")
    assert ink == ("rgb(255, 255, 255)" if scheme == "dark" else "rgb(0, 0, 0)")
    page.locator("summary").click()
    expect(page.get_by_text("Ether.dst", exact=True)).to_be_visible()
