"""A shelf: things shipped with the package, each with a name and a one-line story.

Left out: what stands on the shelves, which `bpfnb.samples` says.
"""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from bpfnb.errors import BpfError

if TYPE_CHECKING:
    from bpfnb.packets.capture import Capture

__all__ = ["Filter", "Sample", "Shelf"]


@dataclass(frozen=True, repr=False)
class Sample:
    """One capture file: `linktype` is its link type's name, as in "EN10MB"."""

    name: str
    path: Path
    story: str
    linktype: str

    def open(self) -> Capture:
        """Open the file."""
        from bpfnb.packets.capture import open_capture

        return open_capture(self.path)

    def columns(self) -> dict[str, str]:
        """Return the cells of this sample's row in the table."""
        return {
            "name": self.name,
            "packets": str(len(self.open())),
            "link type": self.linktype,
            "story": self.story,
        }

    def __repr__(self) -> str:
        return f"Sample {self.name} ({self.linktype}): {self.story}"


@dataclass(frozen=True, repr=False)
class Filter:
    """One hand-written filter, for Ethernet, in bpf_asm's syntax."""

    name: str
    path: Path
    story: str

    @property
    def text(self) -> str:
        """The program's source."""
        return self.path.read_text(encoding="utf-8")

    def columns(self) -> dict[str, str]:
        """Return the cells of this filter's row in the table."""
        return {"name": self.name, "story": self.story}

    def __repr__(self) -> str:
        return f"Filter {self.name}: {self.story}"


Item = TypeVar("Item", Sample, Filter)


class Shelf(Generic[Item]):
    """Samples or filters by name; iterating gives them in the order of the table."""

    def __init__(self, kind: str, items: Sequence[Item]) -> None:
        self.kind = kind
        self._items: dict[str, Item] = {item.name: item for item in items}

    def __getitem__(self, name: str) -> Item:
        try:
            return self._items[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._items, n=1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise BpfError(
                f"no {self.kind} is called {name!r}", f"{guess}there are {', '.join(self._items)}"
            ) from None

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def names(self) -> tuple[str, ...]:
        """Return all names, in the order of the table."""
        return tuple(self._items)

    def path(self, name: str) -> Path:
        """Return where the file lies.  Raises BpfError for a wrong name."""
        return self[name].path

    def story(self, name: str) -> str:
        """Return the one-line story.  Raises BpfError for a wrong name."""
        return self[name].story

    def __repr__(self) -> str:
        rows = [item.columns() for item in self]
        rows.insert(0, {title: title for title in rows[0]})
        widths = {title: max(len(row[title]) for row in rows) for title in rows[0]}
        lines = ("  ".join(f"{row[title]:{widths[title]}}" for title in row) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        rows = [item.columns() for item in self]
        head = "".join(
            f'<th style="text-align:left">{html.escape(title)}</th>' for title in rows[0]
        )
        body = "".join(f"<tr>{''.join(map(cell, row.values()))}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cell(text: str) -> str:
    """Return one table cell, escaped."""
    return f'<td style="text-align:left">{html.escape(text)}</td>'
