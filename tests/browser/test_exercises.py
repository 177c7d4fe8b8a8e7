"""An exercise in JupyterLab and Notebook 7: the answer stands above a live stepper."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from bpfnb.course.exercises import find
from tests.browser.conftest import Lab
from tests.browser.test_stepper import notebook, run_all

pytestmark = pytest.mark.browser


def test_a_wrong_answer_gets_its_packet_in_a_live_stepper(front: Lab, page: Page) -> None:
    exercise = find("07.1")
    cells = exercise.cell(exercise.reference, ""), exercise.cell(exercise.starter, "")
    name = notebook(front.folder, f"exercise_{front.app}.ipynb", "%load_ext bpfnb", *cells)
    stepper = run_all(front, page, name)
    outputs = page.locator(".jp-OutputArea-output")
    expect(outputs.filter(has_text="07.1 Mend it: right.")).to_be_visible()
    wrong = outputs.filter(has_text="07.1 Mend it: not yet.")
    expect(wrong).to_contain_text("An SCTP packet to port 53: your filter accepts it")
    expect(wrong.locator(".bpfnb-stepper")).to_be_visible()
    stepper.get_by_text("run", exact=True).click()
    expect(stepper.locator(".count")).to_have_text("step 9 of 9")
    said = wrong.get_by_text("An SCTP packet to port 53").bounding_box()
    played = stepper.locator(".count").bounding_box()
    assert said
    assert played
    assert said["y"] < played["y"]
