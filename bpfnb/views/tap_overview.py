"""A network tap as the paper's first figure draws it, with the packets counted.

From the wire up: drivers, one filter and one pair of buffers for each listener, the
border between kernel and user, and the processes that read; the protocol stack beside.
The counts are of a run; where packets end, a word says how.

The picture is an SVG on a light card; its twin is the same in lines of text.
Left out: the run itself, which comes as plain numbers (`bpfnb.course.tap` makes them).

Source: the paper, figure 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

from bpfnb.errors import brief
from bpfnb.views import style
from bpfnb.views.cfg import CARD, EDGE_OF_CARD, framed, twin
from bpfnb.views.svg import Svg, Value, polyline
from bpfnb.views.view import Picture

__all__ = ["Slot", "TapDriver", "TapListener", "TapOverview"]

INK, PALE, RULE, FLOW = "#1c1c1c", "#5f5f5f", "#bdbdbd", "#5a5a5a"
COLUMN, GAP, MARGIN = 176.0, 16.0, 20.0
PROCESS, BORDER, BUFFER, FILTER, DRIVER, WIRE = 20.0, 112.0, 146.0, 282.0, 388.0, 458.0  # tops
STACK = 124.0  # width of the protocol stack
NAMED = 24  # letters of a name in a box
MOST = 8  # listeners that are drawn


@dataclass(frozen=True)
class Slot:
    """A buffer: what it is doing, its bytes and packets."""

    role: str
    bytes: int
    packets: int


@dataclass(frozen=True)
class TapDriver:
    """An interface: frames on its wire, those its card took, lost, and for the stack."""

    name: str
    seen: int
    taken: int
    to_stack: int = 0
    sent: int = 0
    lost: int = 0
    promiscuous: bool = False


@dataclass(frozen=True)
class TapListener:
    """A listener on the driver of that number; `filter` is its filter in words."""

    name: str
    filter: str
    driver: int
    received: int
    rejected: int
    dropped: int
    delivered: int
    reads: int
    size: int
    slots: tuple[Slot, ...]
    kind: str = "BPF"

    @property
    def room(self) -> str:
        """How much its buffers hold."""
        return f"{'2 ×' if self.kind == 'BPF' else 'chunks of'} {self.size:,} bytes"

    @property
    def accepted(self) -> int:
        """What its filter let through."""
        return self.received - self.rejected


@dataclass(frozen=True)
class TapOverview(Picture):
    """Who got which packets, and where the others ended."""

    drivers: tuple[TapDriver, ...]
    listeners: tuple[TapListener, ...]

    def headline(self) -> str:
        """First the answer: how many packets each process got."""
        if not self.listeners:
            return "nobody listens"
        got = [
            f"{brief(each.name)} {each.delivered:,} of {each.received:,}"
            for each in self.listeners[:MOST]
        ]
        dropped = sum(each.dropped for each in self.listeners)
        return f"delivered: {', '.join(got)}; {style.plural(dropped, 'packet')} dropped"

    def text(self) -> str:
        """A line a driver and a listener, from the wire up."""
        lines = [self.headline()]
        for number, driver in enumerate(self.drivers):
            mode = "promiscuous: " if driver.promiscuous else ""
            lost = f", {driver.lost:,} lost for want of room" if driver.lost else ""
            taken = f"{driver.taken:,} of {driver.seen:,}"
            lines += [
                "",
                f"{brief(driver.name)}  {mode}{taken} frames taken{lost}",
                f"  protocol stack  {driver.to_stack:,} received, {driver.sent:,} sent",
            ]
            for each in (each for each in self.listeners if each.driver == number):
                slots = (
                    ", ".join(
                        f"{slot.role} {style.plural(slot.packets, 'packet')} ({slot.bytes:,} bytes)"
                        for slot in each.slots
                        if slot.packets
                    )
                    or "empty"
                )
                judged = (
                    f"{each.received:,} in, {each.rejected:,} rejected, {each.accepted:,} accepted"
                )
                lines += [
                    f"  {brief(each.name)}  ({each.kind})",
                    f"    filter   {brief(each.filter)}: {judged}",
                    f"    buffers  {each.room}: {slots}; {each.dropped:,} dropped",
                    f"    process  {each.delivered:,} in {style.plural(each.reads, 'read')}",
                ]
        return "\n".join(lines)

    def html(self) -> str:
        """The picture, and its twin in text folded under it."""
        html = style.caption(
            f"<b>{escape(self.headline())}</b> &nbsp; "
            f"{style.muted('from the wire up; numbers are packets')}"
        )
        return style.scroll(html + framed(self.svg, self.alt)) + twin(self.text())

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        return f"network tap: {self.headline()}"

    @cached_property
    def svg(self) -> str:
        """The picture as a document of its own."""
        columns = max(len(self.listeners[:MOST]), len(self.drivers), 1)
        width = 2 * MARGIN + columns * (COLUMN + GAP) + STACK
        drawing = Svg(width, WIRE + 44, self.alt)
        drawing.add(
            "rect", x=0.5, y=0.5, width=width - 1, height=WIRE + 43, rx=8, fill=CARD,
            stroke=EDGE_OF_CARD,
        )  # fmt: skip
        self.draw_ground(drawing, columns, width)
        room = columns * (COLUMN + GAP) / max(len(self.drivers), 1)
        places = [MARGIN - 8 + room * (at + 0.5) for at in range(len(self.drivers))]
        self.draw_stack(drawing, width - MARGIN - STACK, places)
        self.draw_drivers(drawing, places)
        for at, listener in enumerate(self.listeners[:MOST]):
            self.draw_listener(drawing, listener, MARGIN + at * (COLUMN + GAP), places)
        return str(drawing)

    def draw_ground(self, drawing: Svg, columns: int, width: float) -> None:
        """The border between user and kernel, the tap's frame, and the wire."""
        drawing.add(
            "line", x1=MARGIN, y1=BORDER, x2=width - MARGIN, y2=BORDER, stroke=RULE,
            stroke_dasharray="5 4",
        )  # fmt: skip
        say(drawing, width - MARGIN, BORDER - 6, "user", PALE, 11, text_anchor="end")
        say(drawing, width - MARGIN, BORDER + 14, "kernel", PALE, 11, text_anchor="end")
        drawing.add(
            "rect", x=MARGIN - 8, y=BUFFER - 12, width=columns * (COLUMN + GAP), rx=6,
            height=FILTER + 50 - BUFFER + 24, fill="#f4f4f4", stroke=RULE,
        )  # fmt: skip
        drawing.add(
            "line", x1=MARGIN, y1=WIRE, x2=width - MARGIN, y2=WIRE, stroke=INK, stroke_width=3
        )
        say(drawing, MARGIN, WIRE + 18, "the wire", PALE, 11)

    def draw_drivers(self, drawing: Svg, places: Sequence[float]) -> None:
        """A box a driver, around its middle."""
        for driver, middle in zip(self.drivers, places, strict=True):
            box(drawing, middle - COLUMN / 2, DRIVER, COLUMN, 40)
            mode = " · promiscuous" if driver.promiscuous else ""
            say(drawing, middle, DRIVER + 17, clip(f"driver {driver.name}{mode}"), INK, 12,
                text_anchor="middle")  # fmt: skip
            lost = f" · {driver.lost:,} lost" if driver.lost else ""
            say(drawing, middle, DRIVER + 33, f"{driver.taken:,} frames taken{lost}", PALE, 11,
                text_anchor="middle")  # fmt: skip
            arrow(drawing, [(middle, WIRE - 2), (middle, DRIVER + 42)], driver.seen)
            say(drawing, middle + 8, WIRE - 10, f"{driver.seen:,}", INK, 12)

    def draw_listener(
        self, drawing: Svg, each: TapListener, x: float, places: Sequence[float]
    ) -> None:
        """A column: filter, buffers, process, and what leaves on the way."""
        middle = x + COLUMN / 2 - 12
        whole = max(each.received, 1)
        if each.driver < len(places):
            start, turn = places[each.driver], DRIVER - 14
            way = [(start, DRIVER - 1), (start, turn), (middle, turn), (middle, FILTER + 52)]
            arrow(drawing, way, each.received)
        say(drawing, middle + 7, FILTER + 70, f"{each.received:,}", INK, 12)
        box(drawing, x, FILTER, COLUMN - GAP - 8, 50)
        say(drawing, middle, FILTER + 17, "filter" if each.kind == "BPF" else f"{each.kind} filter",
            PALE, 11, text_anchor="middle")  # fmt: skip
        say(drawing, middle, FILTER + 36, clip(each.filter), INK, 12, text_anchor="middle",
            font_family=style.MONO)  # fmt: skip
        arrow(drawing, [(middle, FILTER - 1), (middle, BUFFER + 92)], each.accepted, whole)
        say(drawing, middle + 7, FILTER - 14, f"✓ {each.accepted:,}", style.ACCEPT, 12)
        say(drawing, middle - 7, FILTER - 14, f"✗ {each.rejected:,}", style.REJECT, 12,
            text_anchor="end")  # fmt: skip
        self.draw_buffers(drawing, each, x)
        arrow(drawing, [(middle, BUFFER - 1), (middle, PROCESS + 58)], each.delivered, whole)
        reads = f"{each.delivered:,} in {style.plural(each.reads, 'read')}"
        say(drawing, middle + 7, BORDER - 10, reads, INK, 12)
        drawing.add(
            "rect", x=x, y=PROCESS, width=COLUMN - GAP - 8, height=56, rx=28, fill="#ffffff",
            stroke=INK, stroke_width=1.2,
        )  # fmt: skip
        say(drawing, middle, PROCESS + 33, clip(each.name), INK, 13, text_anchor="middle")

    def draw_buffers(self, drawing: Svg, each: TapListener, x: float) -> None:
        """How full each buffer is."""
        wide = COLUMN - GAP - 8
        box(drawing, x, BUFFER, wide, 90)
        say(drawing, x + 8, BUFFER + 16, each.room, PALE, 11)
        if each.dropped:
            say(drawing, x + wide - 8, BUFFER + 16, f"dropped {each.dropped:,}", style.REJECT, 12,
                text_anchor="end", font_weight="bold")  # fmt: skip
        for at, slot in enumerate(each.slots):
            y = BUFFER + 26 + 20 * at
            say(drawing, x + 8, y + 11, slot.role, INK, 12)
            room = wide - 96
            share = min(slot.bytes / max(each.size, 1), 1)
            drawing.add(
                "rect", x=x + 50, y=y + 2, width=room, height=10, fill="#ececec", stroke=RULE
            )
            drawing.add("rect", x=x + 50, y=y + 2, width=room * share, height=10, fill="#6a6a6a")
            say(drawing, x + wide - 8, y + 11, f"{slot.packets:,}", INK, 12, text_anchor="end")

    def draw_stack(self, drawing: Svg, x: float, places: Sequence[float]) -> None:
        """The protocol stack beside the tap: it gets its packets all the same."""
        box(drawing, x, BUFFER - 12, STACK, FILTER + 62 - BUFFER + 12)
        middle = x + STACK / 2
        got = sum(each.to_stack for each in self.drivers)
        sent = sum(each.sent for each in self.drivers)
        rows = ("protocol stack", f"{got:,} received", f"{sent:,} sent")
        for at, words in enumerate(rows):
            say(drawing, middle, BUFFER + 84 + 18 * at, words, PALE if at else INK, 12,
                text_anchor="middle")  # fmt: skip
        for start in places:
            turn = DRIVER + 20
            arrow(drawing, [(start + COLUMN / 2, turn), (middle, turn), (middle, FILTER + 64)], got)


def say(
    drawing: Svg, x: float, y: float, words: str, tone: str, size: float, **looks: Value
) -> None:
    """A line of text."""
    usual: dict[str, Value] = {"font_family": style.SANS, "font_size": size, "fill": tone}
    drawing.text(x, y, words, **{**usual, **looks})


def box(drawing: Svg, x: float, y: float, width: float, height: float) -> None:
    """A white box with a thin rule."""
    drawing.add(
        "rect", x=x, y=y, width=width, height=height, rx=5, fill="#ffffff", stroke=INK,
        stroke_width=1.2,
    )  # fmt: skip


def arrow(
    drawing: Svg, way: Sequence[tuple[float, float]], count: int, whole: int | None = None
) -> None:
    """A way with a head at its end, as thick as it was busy; dashed where nothing came."""
    share = min(count / whole, 1) if whole else 1
    looks: dict[str, Value] = {"stroke": FLOW, "stroke_width": 1.2 + 2.2 * share}
    if not count:
        looks = {"stroke": RULE, "stroke_width": 1.2, "stroke_dasharray": "4 3"}
    drawing.add("path", d=polyline(way), fill="none", **looks)
    (x, y), tone = way[-1], FLOW if count else RULE
    drawing.add("path", d=f"{polyline([(x - 5, y + 8), (x, y), (x + 5, y + 8)])}Z", fill=tone)


def clip(words: str) -> str:
    """Words in one line, cut where they are long."""
    shown = brief(" ".join(words.split()))
    return shown if len(shown) <= NAMED else f"{shown[: NAMED - 1]}…"
