"""What all views can do: be text, be HTML, be saved.

A view is a value that answers one question.  IPython finds the methods it
looks for here by their names; nothing here knows IPython.

What a view holds may come from anywhere: a packet, a file's name, a label.  Children
escape it for HTML; whatever of it would act all the same is made harmless here, on the
way out: characters that move a terminal's cursor or turn the direction of writing round,
surrogates that no file can hold, and formulas, which notebooks make of $…$ in HTML.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from html import escape
from pathlib import Path
from typing import Protocol

from bpfnb.errors import BpfError, harmless, showable
from bpfnb.views import style

__all__ = ["Picture", "View", "inert"]

NBSP = "\N{NO-BREAK SPACE}"
NO_MATH = "tex2jax_ignore mathjax_ignore"  # classes of what MathJax 2, and 3, leaves alone


class Printer(Protocol):
    """The one method used of the pretty printer that asks for a text."""

    def text(self, obj: str) -> object:
        """Take a piece of text."""


class View(ABC):
    """Something to look at.  Children give `text` and `html`."""

    @abstractmethod
    def text(self) -> str:
        """The form for a terminal, without a final newline."""

    @abstractmethod
    def html(self) -> str:
        """The form for a notebook: safe, literal, the same each time."""

    def __str__(self) -> str:
        return showable(self.text())

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:
        printer.text("…" if cycle else str(self))

    def _repr_html_(self) -> str:
        return f'<div class="{NO_MATH}">{inert(self.html())}</div>'

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        forms = {"text/plain": self.__str__, "text/html": self._repr_html_}
        return {
            kind: form()
            for kind, form in forms.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }

    def forms(self) -> dict[str, Callable[[], str]]:
        """What `save` can write: file ending to content."""
        return {".txt": lambda: f"{self}\n", ".html": self.document}

    def document(self) -> str:
        """The HTML form as a page of its own."""
        name = escape(type(self).__name__)
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{name}</title>\n'
            '<meta name="color-scheme" content="light dark">\n'
            f'<body style="font-family:{style.SANS};margin:24px">\n{self._repr_html_()}\n</body>\n'
            "</html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the view to a file, in the form its ending names; return the path.

        The file is there whole or not at all.  An ending that this view has no
        form for, or a folder that is not there, is a BpfError.
        """
        target = Path(path)
        forms = self.forms()
        form = forms.get(target.suffix.lower())
        if form is None:
            raise BpfError(
                f"{target.name}: {type(self).__name__} has no form for the ending "
                f"{target.suffix or 'that is missing'!r}",
                f"end the name in {', '.join(forms)}",
            )
        try:
            write_whole(target, form())
        except (OSError, ValueError) as error:  # ValueError: a name no file can have
            reason = error.strerror if isinstance(error, OSError) else None
            raise BpfError(f"cannot write {target}: {reason or error}") from error
        return target


class Picture(View):
    """A view that is also an SVG."""

    @property
    @abstractmethod
    def svg(self) -> str:
        """The picture as a document of its own."""

    def forms(self) -> dict[str, Callable[[], str]]:
        """What `save` can write, the picture first."""
        return {".svg": lambda: self.svg, **super().forms()}


def inert(html: str) -> str:
    r"""HTML without characters that act; no-break spaces, which views use, stay.

    >>> inert("<b>x\x1b[2J</b>")
    '<b>x�[2J</b>'
    """
    return "\n".join(
        line
        if line.replace(NBSP, " ").isprintable()
        else "".join(char if char == NBSP else harmless(char) for char in line)
        for line in html.split("\n")
    )


def write_whole(target: Path, content: str) -> None:
    """Write beside the target, then put it in place in one move."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # as open() would have made it
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
