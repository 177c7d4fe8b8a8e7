"""The rules of chapters, and the normaliser that keeps most of them.

That outputs are right is nbval's part: it runs every chapter in the same pytest
run.  Here stands what nbval does not see, and a proof that it does see a change.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from bpfnb.course import exercises, try_it
from bpfnb.course.normalise import (
    WIDGET_VIEW,
    chapter_titles,
    keep_unstable,
    main,
    navigation,
    normal_text,
    normalise,
    title,
    with_solutions,
)
from bpfnb.course.notebooks import chapters, notebooks_folder
from bpfnb.errors import BpfError

Notebook = dict[str, Any]
Cell = dict[str, Any]

UNSTABLE = "nbval-ignore-output"
MARGIN = 64  # pixels that a listing's margin of arcs may be wide
TAGS = {UNSTABLE, "raises-exception"}
CHAPTERS = chapters()
SOLUTIONS = with_solutions(CHAPTERS)[len(CHAPTERS) :]
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
each_notebook = pytest.mark.parametrize(
    "path", CHAPTERS + SOLUTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def read(path: Path) -> Notebook:
    notebook: Notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return notebook


def code_cells(notebook: Notebook) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tags(cell: Cell) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def shown_html(notebook: Notebook) -> Iterator[str]:
    """All HTML and Markdown that a reader sees: text cells and outputs."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield cell["source"]
        for output in cell.get("outputs", []):
            yield "".join(output.get("data", {}).get("text/html", ""))


def test_the_course_has_its_first_chapters() -> None:
    numbers = [path.name[:2] for path in CHAPTERS]
    assert {"00", "02", "03", "05", "06", "07"} <= set(numbers)
    assert len(set(numbers)) == len(numbers)


def test_every_notebook_is_a_chapter_or_its_solutions() -> None:
    assert {path.name[:2] for path in SOLUTIONS} == set(exercises.chapters())
    found = sorted(notebooks_folder().rglob("*.ipynb"))
    assert found == sorted(CHAPTERS + SOLUTIONS)
    for path in found:
        assert re.fullmatch(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*\.ipynb", path.name)


@each_notebook
def test_a_notebook_is_in_its_normal_form(path: Path) -> None:
    titles = chapter_titles(path.parent)
    assert normal_text(path, titles, run=False, check=True) == path.read_text(encoding="utf-8")


@each_chapter
def test_a_chapter_begins_with_its_title_and_loads_the_extension_first(path: Path) -> None:
    notebook = read(path)
    assert notebook["cells"][0]["source"].startswith("# ")
    assert code_cells(notebook)[0]["source"].startswith("%load_ext bpfnb\n")


@each_notebook
def test_nothing_stands_above_a_cell_magic(path: Path) -> None:
    for cell in code_cells(read(path)):
        first, *rest = cell["source"].splitlines() or [""]
        assert first.strip(), f"an empty first line: {cell['source']!r}"
        assert not [line for line in rest if line.startswith("%%")], cell["source"]


@each_notebook
def test_every_code_cell_is_numbered(path: Path) -> None:
    # Strict nbval skips a cell without a number, whatever it prints.
    cells = code_cells(read(path))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@each_notebook
def test_few_outputs_go_uncompared_and_those_cells_assert(path: Path) -> None:
    cells = code_cells(read(path))
    for cell in cells:
        assert tags(cell) <= TAGS
        if UNSTABLE in tags(cell):
            assert re.search(r"^\s*assert ", cell["source"], re.MULTILINE), cell["source"]
    assert sum(UNSTABLE in tags(cell) for cell in cells) * 10 <= len(cells)


@each_notebook
def test_a_stored_error_is_one_that_was_meant(path: Path) -> None:
    for cell in code_cells(read(path)):
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        assert failed == ("raises-exception" in tags(cell)), cell["source"]


@each_notebook
def test_outputs_are_of_kinds_that_are_compared_and_hold_no_addresses(path: Path) -> None:
    for cell in code_cells(read(path)):
        for output in cell["outputs"]:
            kinds = set(output.get("data", {}))
            assert not kinds & {"image/png", "image/jpeg", WIDGET_VIEW}, cell["source"]
            assert not re.search(r" at 0x[0-9a-f]{6,}>", json.dumps(output)), cell["source"]


@each_notebook
def test_every_picture_has_a_text_in_its_place(path: Path) -> None:
    for text in shown_html(read(path)):
        assert not re.search(r"!\[\s*\]\(", text), "a Markdown picture without a text"
        for image in re.findall(r"<img\b[^>]*>", text):
            alt = re.search(r'\balt="([^"]*)"', image)
            width = re.search(r'\bwidth="(\d+)"', image)
            assert alt, image[:200]
            # Only strokes beside a line that says the same in text go without words.
            assert alt[1] or (width and int(width[1]) <= MARGIN), image[:200]


@each_chapter
def test_a_chapter_asks_for_nothing_that_its_sheet_does_not(path: Path) -> None:
    asked = exercises.chapters()[path.name[:2]]
    cells = {cell["id"]: cell for cell in read(path)["cells"]}
    assert f"](solutions/{path.name})" in cells[try_it.TRY_IT]["source"]
    made = [name for name in cells if name.startswith(try_it.PREFIXES)]
    assert made == [f"{kind}{each.slug}" for each in asked for kind in try_it.PREFIXES]
    for each in asked:
        (output,) = cells[f"answer-{each.slug}"]["outputs"]
        assert output["data"]["text/plain"].startswith(f"✗ {each.id} {each.title}: not yet. ")


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solutions_are_right_and_explained_and_lead_back(path: Path) -> None:
    notebook = read(path)
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    for each in exercises.chapters()[path.name[:2]]:
        (output,) = cells[f"answer-{each.slug}"]["outputs"]
        assert output["data"]["text/plain"].startswith(f"✓ {each.id} {each.title}: right. ")
        assert cells[f"solution-{each.slug}"]["source"] == each.solution
    assert f"](../{path.name})" in notebook["cells"][-1]["source"]
    assert (path.parent / ".." / path.name).exists()


@each_chapter
def test_a_chapter_runs_on_a_plain_python_kernel(path: Path) -> None:
    words = "pytest -q -n0 -p no:cacheprovider --nbval --nbval-kernel-name=python3"
    done = subprocess.run(
        [sys.executable, "-m", *words.split(), str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
    )
    assert done.returncode == 0, done.stdout[-4000:]


# The normaliser, on a notebook made for it


def cell(kind: str, source: str, **more: Any) -> Cell:
    code: Cell = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source, **code, **more}


@pytest.fixture
def rough() -> Notebook:
    """What JupyterLab might save: widget views, timing, no numbers, a shared id."""
    result = {
        "output_type": "execute_result",
        "execution_count": 17,
        "metadata": {"needs_background": "light"},
        "data": {"text/plain": "IntSlider(value=0)", WIDGET_VIEW: {"model_id": "5f"}},
    }
    printed = [{"output_type": "stream", "name": "stdout", "text": t} for t in ("a\n", "b\n")]
    warned = {"output_type": "stream", "name": "stderr", "text": "c\n"}
    return {
        "cells": [
            cell("markdown", "# Take a look\n", id="one"),
            cell("code", "slider", id="two", outputs=[result], execution_count=17),
            cell("code", "print('a'); print('b')", id="two", outputs=[*printed, warned]),
            cell("code", "1", metadata={"execution": {"iopub.status.busy": "2026"}, "tags": []}),
        ],
        "metadata": {"widgets": {"state": {}}, "language_info": {"version": "3.11.7"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


LAST = navigation({"00_a.ipynb": "A"}, "00_a.ipynb")


def test_normalise_numbers_code_cells(rough: Notebook) -> None:
    cells = code_cells(normalise(rough, LAST))
    assert [c["execution_count"] for c in cells] == [1, 2, 3]
    assert cells[0]["outputs"][0]["execution_count"] == 1


def test_normalise_drops_widgets_and_timing(rough: Notebook) -> None:
    text = json.dumps(normalise(rough, LAST))
    for word in (WIDGET_VIEW, "widgets", "iopub", "3.11.7", "needs_background"):
        assert word not in text
    assert "IntSlider(value=0)" in text


def test_normalise_joins_the_pieces_of_one_stream(rough: Notebook) -> None:
    outputs = code_cells(normalise(rough, LAST))[1]["outputs"]
    assert [(o["name"], o["text"]) for o in outputs] == [("stdout", "a\nb\n"), ("stderr", "c\n")]


def test_normalise_gives_every_cell_one_id_of_its_own(rough: Notebook) -> None:
    ids = [c["id"] for c in normalise(rough, LAST)["cells"]]
    assert ids == ["one", "two", "cell-03", "cell-04", "navigation"]


def test_normalise_twice_is_normalise_once_and_spares_its_argument(rough: Notebook) -> None:
    before = copy.deepcopy(rough)
    once = normalise(rough, LAST)
    assert rough == before
    assert normalise(once, LAST) == once
    nbformat.validate(nbformat.from_dict(once))


def test_navigation_links_both_neighbours() -> None:
    titles = {"00_a.ipynb": "A", "05_b.ipynb": "B", "06_c.ipynb": "C"}
    sources = [navigation(titles, name)["source"].removeprefix("---\n\n") for name in titles]
    assert sources == [
        "Next: [B](05_b.ipynb)",
        "Previous: [A](00_a.ipynb) · Next: [C](06_c.ipynb)",
        "Previous: [B](05_b.ipynb)",
    ]


def test_a_comment_is_no_title() -> None:
    cells = [cell("code", "# not this"), cell("markdown", "## nor this\n# Write filters")]
    assert title({"cells": cells}) == "Write filters"


def test_check_keeps_outputs_that_differ_by_nature() -> None:
    stored = {"cells": [cell("code", "time()", id="a", metadata={"tags": [UNSTABLE]})]}
    fresh = copy.deepcopy(stored)
    stored["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    fresh["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "2"}]
    changed = copy.deepcopy(fresh)
    changed["cells"][0]["source"] = "time() + 1"
    keep_unstable(fresh, stored)
    keep_unstable(changed, stored)
    assert fresh["cells"][0]["outputs"][0]["text"] == "1"
    assert changed["cells"][0]["outputs"][0]["text"] == "2"


# Exercises, put in by the normaliser


def test_exercises_come_from_the_sheet_and_keep_their_outputs() -> None:
    asked = exercises.chapters()["07"][:2]
    output = {"output_type": "stream", "name": "stdout", "text": "✗"}
    stale = [
        cell("markdown", "an old statement", id="exercise-07-1"),
        cell("code", "%%bpf\nmy own try", id="answer-07-1", outputs=[output]),
        cell("code", "gone", id="answer-07-9"),
    ]
    place = cell("markdown", "## Try it, as it was", id="try-it")
    frame = [cell("markdown", "# A", id="a"), cell("markdown", "## Summary", id="summary")]
    notebook = {"cells": [frame[0], *stale, place, frame[1]], "metadata": {}}
    cells = try_it.with_exercises(notebook, asked, "07_a.ipynb")["cells"]
    ids = ["exercise-07-1", "answer-07-1", "exercise-07-2", "answer-07-2"]
    assert [each["id"] for each in cells] == ["a", "try-it", *ids, "summary"]
    assert cells[2]["source"] == f"**1. Mend it.** {asked[0].statement}"
    assert cells[3]["source"].startswith("%%bpf --exercise 07.1\n        ldh  [12]\n")
    assert cells[3]["outputs"] == [output]
    again = try_it.with_exercises({"cells": cells}, asked, "07_a.ipynb")
    assert again["cells"] == cells


def test_exercises_need_a_place() -> None:
    notebook = {"cells": [cell("markdown", "# A", id="a")], "metadata": {}}
    with pytest.raises(BpfError, match="has exercises and no place for them"):
        try_it.with_exercises(notebook, exercises.chapters()["07"], "07_a.ipynb")


def test_check_sees_a_starter_that_is_not_the_sheets(tmp_path: Path) -> None:
    chapter = next(path for path in CHAPTERS if path.name.startswith("07"))
    path = tmp_path / chapter.name
    path.write_text(chapter.read_text(encoding="utf-8").replace("port, port\\n", "port, no\\n"))
    titles = {chapter.name: "Write filters"}
    assert "port, port\\n" in normal_text(path, titles, run=False, check=True)


# The whole command, and nbval behind it, on a chapter in a folder of its own


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    path = tmp_path / "99_try.ipynb"  # of a chapter without a sheet
    cells = [cell("markdown", "# Try"), cell("code", "%load_ext bpfnb\nimport math"),
             cell("code", "math.factorial(5)")]  # fmt: skip
    for place, each in enumerate(cells):
        each["id"] = f"c{place}"
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_the_command_runs_writes_and_then_finds_nothing_to_change(
    trial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = trial.read_text(encoding="utf-8")
    assert main(["--check", str(trial)]) == 1
    assert trial.read_text(encoding="utf-8") == before
    assert "1 of 1 notebooks differ" in capsys.readouterr().out
    assert main([str(trial)]) == 0
    assert code_cells(read(trial))[1]["outputs"][0]["data"]["text/plain"] == "120"
    assert main(["--check", str(trial)]) == 0


def test_nbval_sees_a_changed_output(trial: Path) -> None:
    main([str(trial)])
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "--nbval", str(trial)]
    right = subprocess.run(command, capture_output=True, text=True, check=False, cwd=trial.parent)
    assert right.returncode == 0, right.stdout
    trial.write_text(trial.read_text(encoding="utf-8").replace('"120"', '"121"'), encoding="utf-8")
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, cwd=trial.parent)
    assert wrong.returncode == 1
    assert "1 failed" in wrong.stdout
