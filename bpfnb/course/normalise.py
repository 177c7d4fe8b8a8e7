"""One command that runs every chapter, writes it the one right way, and links them.

    python -m bpfnb.course.normalise [--check] [--no-run] [NOTEBOOK …]

A normal chapter has code cells numbered 1…n (strict nbval skips a cell without
a number), no widget views and no widget state (a trusted notebook opened
without its kernel would show "model not found" in place of the static form),
no timing metadata, tags as the only cell metadata, the exercises of its sheet behind
the cell `try-it`, and navigation as its last cell.  Solutions are notebooks made of the
sheets alone.  `--check` writes nothing and fails where it would change something.

Left out: whether outputs are right; nbval and the reader see to that.
Needs nbformat and nbclient, which the extra `test` brings.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bpfnb.course import exercises, try_it
from bpfnb.course.notebooks import Cell, Notebook, chapters, source, title, write_whole

__all__ = [
    "KERNELSPEC",
    "execute",
    "main",
    "navigation",
    "normal_text",
    "normalise",
    "title",
    "with_solutions",
]

KERNELSPEC = {"display_name": "BPF (Python)", "language": "python", "name": "bpfnb"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
UNSTABLE = "nbval-ignore-output"
NAVIGATION = "navigation"
TIMEOUT = 120  # seconds a cell may take
PROCESSES = 2


def navigation(titles: dict[str, str], name: str) -> Cell:
    r"""Make the cell that links chapter `name` to its neighbours.

    `titles` maps file names to titles, in reading order.

    >>> navigation({"00_a.ipynb": "A", "05_b.ipynb": "B"}, "00_a.ipynb")["source"]
    '---\n\nNext: [B](05_b.ipynb)'
    """
    names = list(titles)
    place = names.index(name)
    links = []
    if place > 0:
        before = names[place - 1]
        links.append(f"Previous: [{titles[before]}]({before})")
    if place + 1 < len(names):
        after = names[place + 1]
        links.append(f"Next: [{titles[after]}]({after})")
    text = " · ".join(links) or "This is the only chapter."
    return {
        "cell_type": "markdown",
        "id": NAVIGATION,
        "metadata": {},
        "source": f"---\n\n{text}",
    }


def normalise(notebook: Notebook, last: Cell) -> Notebook:
    """Return a chapter in its one normal form, with `last` as its navigation.

    The argument is left as it is.  Doing it twice changes nothing.
    """
    cells = [copy.deepcopy(c) for c in notebook["cells"] if c.get("id") != NAVIGATION]
    ids: set[str] = {NAVIGATION}
    number = 0
    for place, cell in enumerate(cells, 1):
        cell["id"] = stable_id(cell.get("id"), place, ids)
        ids.add(cell["id"])
        cell["source"] = source(cell).rstrip("\n")
        tags = sorted(set(cell["metadata"].get("tags", [])))
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            number += 1
            cell["execution_count"] = number
            cell["outputs"] = normal_outputs(cell["outputs"], number)
    return {
        "cells": [*cells, last],
        "metadata": {"kernelspec": dict(KERNELSPEC), "language_info": dict(LANGUAGE)},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def stable_id(present: str | None, place: int, taken: set[str]) -> str:
    """Keep a cell's id; give one by its place where it has none or shares it."""
    if present and present not in taken:
        return present
    name = f"cell-{place:02d}"
    while name in taken:
        name += "b"
    return name


def normal_outputs(outputs: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Number results, drop widget views, join the pieces of a stream."""
    normal: list[dict[str, Any]] = []
    for output in outputs:
        output.pop("transient", None)
        if "data" in output:
            output["data"].pop(WIDGET_VIEW, None)
            output["metadata"] = {}
        if output["output_type"] == "execute_result":
            output["execution_count"] = number
        if output["output_type"] == "stream":
            text = output["text"]
            output["text"] = text if isinstance(text, str) else "".join(text)
            previous = normal[-1] if normal else {}
            if previous.get("name") == output["name"]:
                previous["text"] += output["text"]
                continue
        normal.append(output)
    return normal


def execute(notebook: Notebook, folder: Path) -> Notebook:
    """Run a chapter on the kernel `bpfnb`, in its own folder, and return it with outputs.

    The progress of whoever runs it is left alone.  Raises nbclient's CellExecutionError
    where a cell fails that is not tagged `raises-exception`.
    """
    import nbformat
    from nbclient import NotebookClient

    client = NotebookClient(
        nbformat.from_dict(notebook),
        kernel_name=KERNELSPEC["name"],
        timeout=TIMEOUT,
        resources={"metadata": {"path": str(folder)}},
    )
    with tempfile.TemporaryDirectory(prefix="bpfnb-") as data:
        ran: Notebook = client.execute(env={**os.environ, "BPFNB_DATA_DIR": data})
    return ran


def keep_unstable(fresh: Notebook, stored: Notebook) -> None:
    """Put the stored outputs of cells tagged as unstable into `fresh`.

    Timings differ on every run; to check, only a changed source counts.
    """
    known = {(c.get("id"), source(c)): c for c in stored["cells"] if c["cell_type"] == "code"}
    for cell in fresh["cells"]:
        old = known.get((cell.get("id"), source(cell)))
        if old is not None and UNSTABLE in cell["metadata"].get("tags", []):
            cell["outputs"] = copy.deepcopy(old["outputs"])


def normal_text(path: Path, titles: dict[str, str], *, run: bool, check: bool) -> str:
    """Return the text that the notebook's file should have.

    `run` executes it first; `check` keeps stored outputs that differ by nature.
    """
    import nbformat

    stored = read(path)
    if path.parent.name == try_it.FOLDER:
        notebook, last = solved(path, stored)
    else:
        notebook, last = exercised(path, stored), navigation(titles, path.name)
    if run:
        notebook = execute(notebook, path.parent if path.exists() else path.parent.parent)
    if run and check:
        keep_unstable(notebook, stored)
    node = nbformat.from_dict(normalise(notebook, last))
    nbformat.validate(node)
    return str(nbformat.writes(node)) + "\n"


def read(path: Path) -> Notebook:
    """Return a notebook; one without cells where there is no file yet."""
    import nbformat

    if not path.exists():
        return {"cells": []}
    notebook: Notebook = nbformat.read(path, as_version=4)
    return notebook


def exercised(path: Path, stored: Notebook) -> Notebook:
    """Return a chapter with its exercises, if it has any."""
    asked = exercises.chapters().get(path.name[:2])
    return try_it.with_exercises(stored, asked, path.name) if asked else stored


def solved(path: Path, stored: Notebook) -> tuple[Notebook, Cell]:
    """Return the solutions of a chapter, and their way back to it."""
    chapter = read(path.parent.parent / path.name)
    asked, name = exercises.chapters()[path.name[:2]], title(chapter)
    setup = "%load_ext bpfnb"
    if any(each.reference_line for each in asked):  # they may need what the chapter imports
        setup = next(source(cell) for cell in chapter["cells"] if cell["cell_type"] == "code")
    old = {cell.get("id"): cell for cell in stored["cells"]}
    back = f"---\n\nBack to [{name}](../{path.name})"
    last = {"cell_type": "markdown", "id": NAVIGATION, "metadata": {}, "source": back}
    return try_it.solutions(asked, path.name, name, setup, old), last


def with_solutions(paths: Sequence[Path]) -> list[Path]:
    """Return chapters, and behind them the solutions that there are or should be."""
    known = exercises.chapters()
    return [
        *paths,
        *(path.parent / try_it.FOLDER / path.name for path in paths if path.name[:2] in known),
    ]


def differences(path: Path, text: str) -> list[str]:
    """Return what would change in the file, as at most twenty lines of a diff."""
    lines = list(
        difflib.unified_diff(
            path.read_text(encoding="utf-8").splitlines() if path.exists() else [],
            text.splitlines(),
            f"{path} as it is",
            f"{path} as it should be",
            lineterm="",
            n=1,
        )
    )
    rest = len(lines) - 20
    return [*(line[:200] for line in lines[:20]), *([f"… {rest} more lines"] if rest > 0 else [])]


def chapter_titles(folder: Path) -> dict[str, str]:
    """Map the file names of all chapters in `folder` to their titles, in reading order."""
    import nbformat

    return {path.name: title(nbformat.read(path, as_version=4)) for path in chapters(folder)}


def job(path: Path, titles: dict[str, str], run: bool, check: bool) -> list[str]:
    """Do one notebook; return what changed or would change."""
    text = normal_text(path, titles, run=run, check=check)
    changes = differences(path, text)
    if changes and not check:
        write_whole(path, text.encode())
    return changes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 where `--check` finds a difference or a cell fails."""
    parser = argparse.ArgumentParser(prog="python -m bpfnb.course.normalise")
    parser.add_argument(
        "notebook", nargs="*", type=Path, help="files (default: all chapters and solutions)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a change")
    parser.add_argument("--no-run", action="store_true", help="leave outputs as they are stored")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.notebook] or with_solutions(chapters())
    folders = {path.parent for path in paths}
    titles = {folder: chapter_titles(folder) for folder in folders}
    changed = 0
    with ProcessPoolExecutor(PROCESSES) as pool:
        tasks = [
            pool.submit(job, path, titles[path.parent], not options.no_run, options.check)
            for path in paths
        ]
        for path, task in zip(paths, tasks, strict=True):
            changes = task.result()
            changed += bool(changes)
            name = path.relative_to(path.parent.parent)
            print(f"{name}: {'differs' if changes else 'as it should be'}")
            if options.check:
                print("\n".join(changes), end="\n" if changes else "")
    if options.check and changed:
        print(f"{changed} of {len(paths)} notebooks differ; run python -m bpfnb.course.normalise")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
