"""Find the chapters, and hand a reader copies that are never overwritten.

A wheel carries the chapters in `bpfnb/notebooks`; a checkout, and
`pip install -e` of it, has them beside the package.  `deliver` copies them to
a folder of the reader's and keeps a manifest there: the hash of each file as
it was delivered.  A file that still has this hash is unedited and may be
brought up to date; any other file is the reader's and stays.

Left out: starting JupyterLab, which is the command's part.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpfnb.errors import BpfError, UnavailableError

__all__ = [
    "MANIFEST",
    "Cell",
    "Delivery",
    "Notebook",
    "chapters",
    "deliver",
    "notebooks_folder",
    "source",
    "title",
    "titles",
]

Notebook = dict[str, Any]
Cell = dict[str, Any]

MANIFEST = ".bpfnb-course.json"
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Delivery:
    """What `deliver` did: names of files, relative to `folder`, by what befell them."""

    folder: Path
    new: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Say it in sentences, what the reader must know last."""
        said = [
            f"{len(names)} {word}"
            for names, word in [
                (self.new, "new"),
                (self.updated, "brought up to date"),
                (self.same, "already there"),
            ]
            if names
        ]
        lines = [f"Chapters in {self.folder}: {', '.join(said) or 'nothing new'}."]
        lines += [
            f"Kept your edited {name}; move it away to get the chapter as shipped."
            for name in self.kept
        ]
        return lines


def notebooks_folder(package: Path = PACKAGE) -> Path:
    """Return the folder the chapters are in: inside the package, or beside it.

    Raises UnavailableError where neither is there.

    >>> (notebooks_folder() / "no_such_chapter.ipynb").exists()
    False
    """
    carried = package / "notebooks"
    checkout = package.parent / "notebooks"
    if carried.is_dir():
        return carried
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    raise UnavailableError(
        f"this installation has no chapters: neither {carried} nor {checkout} is there",
        "reinstall bpfnb from its wheel or its repository",
    )


def chapters(folder: Path | None = None) -> list[Path]:
    """Return the chapters' paths in reading order: `NN_lower_case_title.ipynb`."""
    return sorted((folder or notebooks_folder()).glob("[0-9][0-9]_*.ipynb"))


def title(notebook: Notebook) -> str:
    r"""Return the first heading of a chapter, without its marks.

    >>> title({"cells": [{"cell_type": "markdown", "source": "# Write filters\n\nText"}]})
    'Write filters'
    """
    for cell in notebook["cells"]:
        for line in source(cell).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return ""


def source(cell: Cell) -> str:
    """Return a cell's text; nbformat allows a list of lines too."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def titles() -> dict[str, str]:
    """Return the chapters' titles by their numbers; none where there are no chapters.

    >>> titles()["07"]
    'Write filters'
    """
    try:
        paths = chapters()
    except UnavailableError:
        return {}
    return {path.name[:2]: title(json.loads(path.read_text("utf-8"))) for path in paths}


def deliver(folder: Path, source: Path | None = None) -> Delivery:
    """Copy the chapters of `source` into `folder`, keeping what the reader edited.

    Files are written whole or not at all.  Raises BpfError when `folder`
    cannot be written to.
    """
    source = source or notebooks_folder()
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        delivered = read_manifest(folder)
        fates: dict[str, list[str]] = {"new": [], "updated": [], "same": [], "kept": []}
        for name in shipped(source):
            content = (source / name).read_bytes()
            fate = judge(folder / name, content, delivered.get(name))
            if fate in ("new", "updated"):
                write_whole(folder / name, content)
            if fate != "kept":
                delivered[name] = digest(content)
            fates[fate].append(name)
        manifest = json.dumps({"files": delivered}, indent=1, sort_keys=True) + "\n"
        write_whole(folder / MANIFEST, manifest.encode())
    except OSError as error:
        raise BpfError(
            f"cannot put the chapters into {folder}: {error.strerror or error}",
            "name another folder: bpfnb course FOLDER",
        ) from error
    return Delivery(folder, **{fate: tuple(names) for fate, names in fates.items()})


def judge(target: Path, content: bytes, hash_delivered: str | None) -> str:
    """Decide what befalls `target`: "new", "updated", "same" or "kept"."""
    if not os.path.lexists(target):
        return "new"
    if target.is_symlink() or not target.is_file():
        return "kept"
    present = target.read_bytes()
    if present == content:
        return "same"
    return "updated" if digest(present) == hash_delivered else "kept"


def shipped(source: Path) -> Iterator[str]:
    """Yield the names of all files to copy, with `/`, leaving out hidden ones."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        hidden = any(part.startswith((".", "__")) for part in relative.parts)
        if path.is_file() and not hidden:
            yield relative.as_posix()


def digest(content: bytes) -> str:
    """SHA-256 in hex.

    >>> digest(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path) -> dict[str, str]:
    """Read the hashes of files as delivered; none where there is no readable manifest.

    A lost or broken manifest is harmless: every changed file then counts as edited.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {str(name): str(value) for name, value in files.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, then move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".bpfnb-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o666 & ~current_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def current_umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
