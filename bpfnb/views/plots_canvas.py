"""The paper that charts are drawn on, by matplotlib as SVG.

The same chart is the same bytes: no date, no creator, ids that hang on the content,
matplotlib's own settings and fonts instead of the user's.  Words are words, in the
page's fonts; no `$` in them means mathematics.  The only module that uses
matplotlib, which takes long to import and so is imported when a chart is drawn.

Left out: what is drawn (`plots_charts`).
"""

from __future__ import annotations

import io
import threading
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bpfnb.errors import showable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FOOT", "HEAD", "INK", "MARGIN", "RULE", "SMALL", "SOFT", "Sheet", "drawn", "sentence"]

WIDTH = 640.0  # of every chart: legible in a cell of 600 pixels and of 1000
POINTS = 72.0  # pixels an inch: one of the SVG's units is one pixel
MARGIN = 16.0
HEAD = 34.0  # pixels above the first row
FOOT = 42.0  # pixels under the last one, for a scale
SIZE, ADVANCE = 11.0, 6.7  # of the monospaced letters
SMALL = 10.0
LABEL = 26  # letters of a label that are drawn
GAP = 18.0  # pixels between columns
NARROW = 60.0  # pixels that marks have at least
SWATCH = 16.0  # pixels before a column's head, for its tone
INK, SOFT, RULE, CARD, EDGE = "#222222", "#5f5f5f", "#c4c4c4", "#fdfdfd", "#d4d4d4"
TICKS, STEPS = 7, (1, 2, 2.5, 5, 10)

SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bpfnb",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib carries these two
    "font.monospace": ["DejaVu Sans Mono"],
    "hatch.color": "#ffffff",
    "hatch.linewidth": 1.6,
}
METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
LOCK = threading.Lock()  # matplotlib's settings are the process's


def drawn(height: float, alt: str, paint: Callable[[Figure], object]) -> str:
    """The SVG that `paint` makes of a figure, whatever matplotlib's user has set."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **SETTINGS}
    settings = {key: value for key, value in settings.items() if not key.startswith("backend")}
    written = io.StringIO()
    with LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the measuring font lacks
        with matplotlib.rc_context(settings):  # the user's backend stays as it is
            figure = Figure((WIDTH / POINTS, height / POINTS), dpi=POINTS, facecolor="none")
            paint(figure)
            about = {**METADATA, "Title": line(alt)}
            figure.savefig(written, format="svg", metadata=about)
    return written.getvalue()


class Sheet:
    """A chart's parts: labels at the left, marks in the middle, numbers at the right.

    `page` counts pixels from the figure's top left corner; marks have the room from
    `left` to `right`.  A head that begins with ✓ or ✗ leaves room for its tone.
    """

    def __init__(
        self,
        figure: Figure,
        height: float,
        labels: Sequence[str] = (),
        heads: Sequence[str] = (),
        cells: Sequence[Sequence[str]] = (),
    ) -> None:
        self.figure, self.height, self.heads, self.cells = figure, height, heads, cells
        self.page = card(figure, height)
        self.left = MARGIN + ADVANCE * max((width_of(clip(each)) for each in labels), default=0)
        self.left += 12
        widths = [
            ADVANCE * max(len(head), *(len(row[at]) for row in cells if row))
            + GAP
            + (SWATCH if head[:1] in ("✓", "✗") else 0)
            for at, head in enumerate(heads)
        ]
        self.right = max(WIDTH - MARGIN - sum(widths) - 8, self.left + NARROW)
        self.ends = [WIDTH - MARGIN - sum(widths[at + 1 :]) for at in range(len(widths))]

    def columns(self, middle: Callable[[int], float]) -> None:
        """Write the numbers, a row's at its middle, under their heads."""
        for at, (head, x) in enumerate(zip(self.heads, self.ends, strict=True)):
            write(self.page, x, 22, head, tone=SOFT, ha="right")
            for number, row in enumerate(self.cells):
                if row:
                    write(self.page, x, middle(number) + 4, row[at], ha="right")

    def label(self, words: str, y: float) -> None:
        """A row's name, before its marks."""
        write(self.page, self.left - 12, y + 4, clip(words), ha="right")

    def heading(self, words: str, y: float) -> None:
        """A name over rows, at the margin."""
        write(self.page, MARGIN, y + 4, clip(words), weight="bold")

    def swatch(self, sign: str) -> float | None:
        """Where the tone of a head begins that starts with a sign."""
        for head, x in zip(self.heads, self.ends, strict=True):
            if head.startswith(sign):
                return x - ADVANCE * len(head) - SWATCH
        return None

    def plot(self) -> Axes:
        """The middle: across a scale, down pixels of the page; one thin rule."""
        bottom = self.height - FOOT + 4
        place = (
            self.left / WIDTH,
            1 - bottom / self.height,
            (self.right - self.left) / WIDTH,
            (bottom - HEAD) / self.height,
        )
        plot = self.figure.add_axes(place, facecolor="none")
        plot.set_ylim(bottom, HEAD)
        plot.set_yticks([])
        for side, spine in plot.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(RULE)
        return plot


def card(figure: Figure, height: float) -> Axes:
    """A light card over the whole figure, so that it can be read on any page; in pixels."""
    from matplotlib.patches import FancyBboxPatch

    page = figure.add_axes((0, 0, 1, 1))
    page.set_axis_off()
    page.set_xlim(0, WIDTH)
    page.set_ylim(height, 0)
    corners = "round,pad=0,rounding_size=8"
    page.add_patch(
        FancyBboxPatch(
            (0.5, 0.5), WIDTH - 1, height - 1, corners, facecolor=CARD, edgecolor=EDGE, linewidth=1
        )
    )
    return page


def sentence(words: str) -> str:
    """A card that only says something."""

    def paint(figure: Figure) -> None:
        write(Sheet(figure, 44).page, MARGIN, 27, words, 13, family="sans-serif")

    return drawn(44, words, paint)


def scale(plot: Axes, words: str, whole: bool = False) -> None:
    """Ticks in plain numbers, and what they count; `whole` numbers only, if so."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if plot.get_xscale() == "log":
        plot.xaxis.set_major_locator(LogLocator(numticks=TICKS))
        plot.xaxis.set_minor_locator(NullLocator())
    else:
        plot.xaxis.set_major_locator(MaxNLocator(TICKS, integer=whole, steps=STEPS))
    plot.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    plot.tick_params(axis="x", length=3, color=RULE, labelcolor=SOFT, labelsize=SMALL, pad=3)
    plot.set_xlabel(words, fontsize=SMALL, color=SOFT, labelpad=2, loc="left", parse_math=False)


def write(
    axes: Axes, x: float, y: float, words: str, size: float = SIZE, tone: str = INK, **looks: Any
) -> None:
    """A line of text as it is, its baseline at y; monospaced unless `family` is another."""
    if words:
        own: dict[str, Any] = {"family": "monospace", "va": "baseline", "parse_math": False}
        axes.text(x, y, line(words), fontsize=size, color=tone, clip_on=False, **{**own, **looks})


def rule(
    axes: Axes, xs: tuple[float, float], ys: tuple[float, float], tone: str, wide: float
) -> None:
    """A straight line."""
    axes.plot(xs, ys, color=tone, linewidth=wide, solid_capstyle="butt", clip_on=False)


def dot(axes: Axes, x: float, y: float, shape: str, size: float) -> None:
    """A mark at one place; `shape` is matplotlib's letter."""
    axes.plot([x], [y], shape, color=INK, markersize=size, markeredgewidth=0, clip_on=False)


def line(words: str) -> str:
    """Words in one line, without the characters that XML has no place for."""
    return showable(" ".join(words.split()))


def clip(words: str) -> str:
    r"""A label in one line, cut where it is longer than LABEL letters.

    >>> clip("a\nb"), len(clip("x" * 400))
    ('a b', 26)
    """
    shown = line(words[: 16 * LABEL])
    if width_of(shown) <= LABEL:
        return shown
    while width_of(shown) >= LABEL:
        shown = shown[:-1]
    return f"{shown}…"


def width_of(words: str) -> int:
    """Letters that words take in a monospaced font: some take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in words)
