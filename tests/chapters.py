"""A chapter of the course, its cells run in a real IPython shell, for the tests of exercises."""

from __future__ import annotations

import json
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


class Chapter:
    """The code cells of a notebook by id, and a shell in which those before the exercises ran."""

    def __init__(self, name: str) -> None:
        cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        self.sources = {
            each["id"]: "".join(each["source"]) for each in cells if each["cell_type"] == "code"
        }
        self.shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        tagged = {each["id"] for each in cells if "raises-exception" in str(each["metadata"])}
        for cell, source in self.sources.items():
            if cell not in tagged and not cell.startswith("exercise-"):
                self.shell.run_cell(source, silent=True).raise_error()

    def judge(self, number: int, old: str = "", new: str = "") -> str:
        """Run an exercise, changed, and its check: what is wrong with it, "" when it is right."""
        exercise = self.sources[f"exercise-{number}"]
        assert old in exercise
        changed = exercise.replace(old, new) if old else exercise
        self.shell.run_cell(changed, silent=True).raise_error()
        outcome = self.shell.run_cell(self.sources[f"check-{number}"], silent=True)
        if outcome.error_in_exec is None:
            outcome.raise_error()
            return ""
        assert isinstance(outcome.error_in_exec, AssertionError)
        return str(outcome.error_in_exec)
