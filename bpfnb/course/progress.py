"""How far a reader has come, kept in one small file of theirs.

    progress = Progress.read()
    progress.answered("07.2", right=True), progress.hinted("07.2")

The file is `progress.json` in the reader's own data folder, or in the folder that
BPFNB_DATA_DIR names.  It is written whole or not at all, is sent nowhere, and may be
deleted at any time.  One that cannot be read is put aside, not written over.  What nbval
runs is no reader's answer: under pytest it is a file that goes when the kernel does.

Left out: exercises (`exercises`), and how it looks (`views.exercise`).
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

from platformdirs import user_data_path

from bpfnb.course.notebooks import write_whole
from bpfnb.errors import BpfError

__all__ = ["Progress", "Record", "folder"]

NAME = "progress.json"
MOST = 1 << 20  # bytes of a file that is read


@dataclass(frozen=True)
class Record:
    """What a reader has done with one exercise: `right` after so many `tries`."""

    tries: int = 0
    hints: int = 0
    right: bool = False


@dataclass
class Progress:
    """All records by the exercises' ids; `notes` say what went wrong with the file.

    Where `kept` is false nothing is written: there is a file that cannot be read.
    """

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kept: bool = True

    @classmethod
    def read(cls) -> Progress:
        """The reader's progress; none where there is no file."""
        progress = cls(folder() / NAME)
        try:
            progress.records = records(progress.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            progress.spare(f"cannot read {progress.path}: {error.strerror or error}")
        except ValueError as error:
            progress.put_aside(str(error))
        return progress

    def __getitem__(self, id: str) -> Record:
        return self.records.get(id, Record())

    def answered(self, id: str, right: bool) -> None:
        """Note an answer, and keep it; after a right one there is nothing more to note."""
        old = self.fresh(id)
        if not old.right:
            self.keep(id, replace(old, tries=old.tries + 1, right=right))

    def hinted(self, id: str, number: int) -> None:
        """Note that hint `number` was seen, and keep it."""
        old = self.fresh(id)
        if number > old.hints:
            self.keep(id, replace(old, hints=number))

    def fresh(self, id: str) -> Record:
        """A record as it is in the file now: another notebook may have written there."""
        with suppress(OSError, ValueError):
            self.records = records(self.path)
        return self[id]

    def keep(self, id: str, record: Record) -> None:
        """Write all records; where that cannot be, a note says so and work goes on."""
        self.records[id] = record
        if not self.kept:
            return
        rows = {name: asdict(each) for name, each in sorted(self.records.items())}
        text = json.dumps({"version": 1, "exercises": rows}, indent=1) + "\n"
        try:
            write_whole(self.path, text.encode())
        except OSError as error:
            self.spare(f"cannot write {self.path}: {error.strerror or error}")

    def spare(self, why: str) -> None:
        """Write nothing from now on, and say why."""
        self.kept = False
        self.notes.append(f"progress is not kept: {why}; BPFNB_DATA_DIR names another folder")

    def forget(self) -> None:
        """Delete the file."""
        self.records.clear()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise BpfError(
                f"cannot delete {self.path}: {error.strerror or error}", "delete it yourself"
            ) from error

    def put_aside(self, why: str) -> None:
        """Move a file that is no progress out of the way, and say where it is."""
        aside = self.path.with_suffix(".damaged.json")
        try:
            os.replace(self.path, aside)
        except OSError:
            self.spare(f"{self.path} is no progress file: {why}")
        else:
            self.notes.append(f"{self.path} could not be read ({why}); it is now {aside.name}")


def folder() -> Path:
    """Where it is kept: the reader's data folder, or the one of BPFNB_DATA_DIR."""
    if given := os.environ.get("BPFNB_DATA_DIR", ""):
        return Path(os.path.expanduser(given))
    if "PYTEST_VERSION" in os.environ:
        return Path(passing().name)
    return user_data_path("bpfnb", appauthor=False)


@cache
def passing() -> tempfile.TemporaryDirectory[str]:
    """A folder as long as this process."""
    return tempfile.TemporaryDirectory(prefix="bpfnb-")


def records(path: Path) -> dict[str, Record]:
    """The records of a file; ValueError for one that is something else."""
    with path.open("rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"it has more than {MOST:,} bytes")
    try:
        given = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(given, dict) or not isinstance(given.get("exercises"), dict):
        raise ValueError("it has no exercises")
    return {str(id): record(row) for id, row in given["exercises"].items()}


def record(row: object) -> Record:
    """One exercise's record; fields of a later version are left out."""
    if not isinstance(row, dict):
        raise ValueError("an exercise is no record")
    tries, hints, right = (row.get(name, 0) for name in ("tries", "hints", "right"))
    if not (isinstance(tries, int) and isinstance(hints, int)):
        raise ValueError("tries and hints are not numbers")
    return Record(max(int(tries), 0), max(int(hints), 0), bool(right))
