"""A small writer of SVG: shapes as strings, every value escaped.

Numbers are written with at most one decimal, so that pictures are the same on
every machine.  Characters that XML has not are replaced: a viewer would refuse the
whole picture.  Left out: everything the views do not draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bpfnb.errors import showable

__all__ = ["Svg", "Value", "curve", "element", "number", "polyline", "title"]

Value = str | float


def number(value: float) -> str:
    """A coordinate: one decimal, no trailing zero, no minus zero.

    >>> number(3.0), number(2.25), number(-0.01)
    ('3', '2.2', '0')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def element(name: str, content: str = "", /, **attributes: Value) -> str:
    """One element; `stroke_width` is written `stroke-width`, `class_` `class`.

    `content` is ready SVG: pass text through `title` or `Svg.text`.

    >>> element("line", x1=0, y1=0, x2=1.5, y2=2, stroke="a<b")
    '<line x1="0" y1="0" x2="1.5" y2="2" stroke="a&lt;b"/>'
    """
    shown = ""
    for key, value in attributes.items():
        words = escape(showable(value)) if isinstance(value, str) else number(value)
        shown += f' {key.rstrip("_").replace("_", "-")}="{words}"'
    return f"<{name}{shown}>{content}</{name}>" if content else f"<{name}{shown}/>"


def title(text: str) -> str:
    """What is said on hover, and to who cannot see."""
    return f"<title>{escape(showable(text))}</title>"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    """A path's `d` through points, in straight lines.

    >>> polyline([(0, 0), (5, 5.5)])
    'M0 0L5 5.5'
    """
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    """The rest of a `d` from start to end: leaves and arrives vertically.

    >>> curve((0, 0), (10, 20))
    'C0 10 10 10 10 20'
    """
    (x0, y0), (x1, y1) = start, end
    if abs(x0 - x1) < 0.05:
        return f"V{number(y1)}"
    middle = (y0 + y1) / 2
    pairs = ((x0, middle), (x1, middle), (x1, y1))
    return "C" + " ".join(f"{number(x)} {number(y)}" for x, y in pairs)


class Svg:
    """A drawing that grows by shapes, in the order of their call."""

    def __init__(self, width: float, height: float, words: str = "") -> None:
        self.width, self.height, self.words = width, height, words
        self.parts: list[str] = []

    def add(self, name: str, content: str = "", /, **attributes: Value) -> None:
        """Add one element."""
        self.parts.append(element(name, content, **attributes))

    def text(self, x: float, y: float, words: str, /, **attributes: Value) -> None:
        """Add a line of text; blanks are kept."""
        self.add("text", escape(showable(words), quote=False), x=x, y=y, **attributes)

    def __str__(self) -> str:
        head = title(self.words) if self.words else ""
        width, height = number(self.width), number(self.height)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">{head}{"".join(self.parts)}</svg>'
        )
