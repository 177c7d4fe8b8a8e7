"""The cells that exercises have in notebooks, made from their sheets.

    with_exercises(notebook, exercises, "07_write_filters.ipynb")
    solutions(exercises, "07_write_filters.ipynb", "Write filters", setup, {})

In a chapter they stand behind the cell `try-it`: for each exercise a statement and a cell
to edit.  The solutions are a notebook of their own, in the folder `solutions`.

Left out: what an exercise asks (`exercises`), and running notebooks (`normalise`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bpfnb.course.exercises import Exercise
from bpfnb.course.notebooks import Cell, Notebook
from bpfnb.errors import BpfError

__all__ = ["FOLDER", "TRY_IT", "solutions", "with_exercises"]

FOLDER = "solutions"
TRY_IT = "try-it"
PREFIXES = ("exercise-", "answer-")  # of the ids of cells that are made here


def with_exercises(notebook: Notebook, exercises: Sequence[Exercise], name: str) -> Notebook:
    """A chapter with its exercises as their sheet has them; an answer keeps its outputs."""
    old = {cell.get("id"): cell for cell in notebook["cells"]}
    if TRY_IT not in old:
        raise BpfError(
            f"{name} has exercises and no place for them",
            f"give it a text cell with the id {TRY_IT}",
        )
    cells: list[Cell] = []
    for cell in notebook["cells"]:
        if cell.get("id") == TRY_IT:
            cells.append(text_cell(TRY_IT, invitation(exercises[0], name)))
            cells += [each for one in exercises for each in asked(one, old)]
        elif not str(cell.get("id")).startswith(PREFIXES):
            cells.append(cell)
    return {**notebook, "cells": cells}


def invitation(first: Exercise, name: str) -> str:
    """How exercises are done."""
    return (
        "## Try it\n\n"
        "Edit a cell and run it: it answers by itself. What is not right yet gets one packet that "
        f"shows it, to step through. `%bpf_hint {first.id}` gives a hint, `%bpf_progress` shows "
        f"how far you are. [Solutions]({FOLDER}/{name}) are for afterwards."
    )


def asked(exercise: Exercise, old: Mapping[Any, Cell]) -> Iterator[Cell]:
    """A statement, and a cell to edit."""
    yield statement(exercise)
    source = exercise.cell(exercise.starter, exercise.starter_line)
    yield code_cell(f"answer-{exercise.slug}", source, old)


def statement(exercise: Exercise) -> Cell:
    """The statement behind number and title."""
    number = exercise.id.partition(".")[2]
    said = f"**{number}. {exercise.title}.** {exercise.statement}"
    return text_cell(f"exercise-{exercise.slug}", said)


def solutions(
    exercises: Sequence[Exercise], name: str, title: str, setup: str, old: Mapping[Any, Cell]
) -> Notebook:
    """The solutions of a chapter; `setup` is its first code cell, `old` cells keep outputs."""
    cells = [
        text_cell("title", f"# Solutions: {title}\n\nTo the exercises of [{title}](../{name})."),
        code_cell("setup", setup, old),
    ]
    for each in exercises:
        source = each.cell(each.reference, each.reference_line)
        cells += [
            statement(each),
            code_cell(f"answer-{each.slug}", source, old),
            text_cell(f"solution-{each.slug}", each.solution),
        ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def text_cell(id: str, source: str) -> Cell:
    """A cell of Markdown."""
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": source}


def code_cell(id: str, source: str, old: Mapping[Any, Cell]) -> Cell:
    """A cell of code, with the outputs of the one there was."""
    outputs = old.get(id, {}).get("outputs", [])
    return {
        "cell_type": "code",
        "id": id,
        "metadata": {},
        "source": source,
        "outputs": outputs,
        "execution_count": None,
    }
