"""Several views one after another, as one view."""

from __future__ import annotations

from dataclasses import dataclass

from bpfnb.views.view import View

__all__ = ["Page"]


@dataclass(frozen=True)
class Page(View):
    """Views in reading order.

    >>> from bpfnb.cbpf.program import Program
    >>> from bpfnb.views.listing import Listing
    >>> tiny = Listing(Program.from_insns([(6, 0, 0, 0)]))
    >>> print(Page((tiny, tiny)))
    (000) ret      #0
    <BLANKLINE>
    (000) ret      #0
    """

    parts: tuple[View, ...]

    def text(self) -> str:
        """The parts' texts, an empty line between them."""
        return "\n\n".join(part.text() for part in self.parts)

    def html(self) -> str:
        """The parts' HTML, space between them."""
        gap = '<div style="height:14px"></div>'
        return gap.join(part.html() for part in self.parts)
