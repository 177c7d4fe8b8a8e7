"""Lay out a graph in layers, top to bottom: where its nodes and edges go.

Named passes, each on what the one before made:

    levels     longest path from the roots; an edge that goes back is turned round
    expand     an edge over several layers becomes a chain of hidden nodes; edges
               of one kind to one target share theirs, as tracks to one station
    untangle   few crossings (`crossings`)
    ports      where edges touch their nodes, left to right as they go on
    assign     x, straight where it can be (`alignment`)
    tighten    long edges nearer to their ends (`alignment`)
    route      the pieces of edge, as points

Everything is decided by place and index: the same graph, the same picture.
Left out: drawing, and what the nodes mean.

Source: K. Sugiyama, S. Tagawa, M. Toda, *Methods for Visual Understanding of
Hierarchical System Structures*, 1981.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bpfnb.views.alignment import Piece, assign, tighten
from bpfnb.views.crossings import untangle

__all__ = ["Layout", "Link", "Track", "layout"]

GAPS = (40.0, 22.0)  # between two nodes of a layer, and where one is hidden
RISE = 54.0  # between layers, at least
STUB = 20.0  # an edge leaves its node straight down, so that words fit beside it
PITCH = 56.0  # between two edges that touch one node, at most
THIN = 2.0  # width of a hidden node
NEAR = 3  # layers within which an edge is soon back
CORNER = 12.0  # of a node, where no edge enters

Point = tuple[float, float]


@dataclass(frozen=True)
class Link:
    """An edge to lay out; links of one `kind` to one target share a track."""

    source: int
    target: int
    kind: str


@dataclass(frozen=True)
class Track:
    """A piece of edge, from layer to layer.

    It runs straight down from `start` to `knee`, then by a curve to `end`.  `links`
    are the indices of the links that run over it.  `leaves` says that it starts at
    a node, `enters` that it ends at one, `back` that it is run upwards.
    """

    start: Point
    knee: Point
    end: Point
    links: tuple[int, ...]
    leaves: bool
    enters: bool
    back: bool


@dataclass(frozen=True)
class Layout:
    """Where everything goes: `corners` are the nodes' upper left ones."""

    width: float
    height: float
    corners: tuple[Point, ...]
    tracks: tuple[Track, ...]


@dataclass
class Layers:
    """The graph between passes; nodes from `real` on are hidden.

    `pieces` join neighbouring layers; `loads[i]` are the links that run over
    the i-th.
    """

    real: int
    level: list[int]
    widths: list[float]
    pieces: list[tuple[int, int]]
    loads: list[list[int]]

    def neighbours(self) -> tuple[list[list[int]], list[list[int]]]:
        """For each node those above and those below it.

        A piece within a long edge is there twice: crossing it costs more, so that what
        crosses is what joins, and long edges run side by side.
        """
        ups: list[list[int]] = [[] for _ in self.level]
        downs: list[list[int]] = [[] for _ in self.level]
        for upper, lower in self.pieces:
            times = 2 if upper >= self.real and lower >= self.real else 1
            ups[lower] += [upper] * times
            downs[upper] += [lower] * times
        return ups, downs


def layout(sizes: Sequence[tuple[float, float]], links: Sequence[Link]) -> Layout:
    """Lay out nodes of the given (width, height); node 0 is the entry.

    >>> layout([(10, 10), (10, 10)], [Link(0, 1, "next")]).corners
    ((0.0, 0.0), (0.0, 64.0))
    """
    layers = expand(sizes, links, levels(len(sizes), links))
    rows = untangle(first_order(layers), *layers.neighbours())
    pieces = ports(layers, rows)
    x = assign(rows, pieces, layers.widths, layers.real, GAPS)
    x = tighten(x, rows, pieces, layers.widths, layers.real, GAPS)
    left = min((x[n] - width / 2 for n, width in enumerate(layers.widths)), default=0.0)
    x = [each - left for each in x]
    bands = heights(sizes, layers, rows, pieces, x)
    corners = tuple(
        (x[n] - width / 2, bands[layers.level[n]][0]) for n, (width, _) in enumerate(sizes)
    )
    tracks = route(sizes, links, layers, pieces, x, bands)
    width = max((x[n] + width / 2 for n, width in enumerate(layers.widths)), default=0.0)
    height = max((band[1] for band in bands), default=0.0)
    return Layout(width, height, corners, tracks)


def levels(count: int, links: Sequence[Link]) -> list[int]:
    """Each node's layer: one below the lowest of those with a link to it.

    Nodes are numbered in program order, so a link goes back when its target is
    no later than its source.  A root that is not the entry (code that nothing
    reaches) stands just above its highest target.
    """
    ways: list[set[int]] = [set() for _ in range(count)]
    roots = set(range(1, count))
    for link in links:
        low, high = sorted((link.source, link.target))
        if low != high:
            ways[low].add(high)
            roots.discard(high)
    level = [0] * count
    for node in range(count):
        for other in ways[node]:
            level[other] = max(level[other], level[node] + 1)
    for node in sorted(roots, reverse=True):
        if ways[node]:
            level[node] = min(level[other] for other in ways[node]) - 1
    return level


def expand(sizes: Sequence[tuple[float, float]], links: Sequence[Link], level: list[int]) -> Layers:
    """Give each link over several layers a hidden node in each between."""
    layers = Layers(len(sizes), list(level), [width for width, _ in sizes], [], [])
    hidden: dict[tuple[int, str, int], int] = {}
    found: dict[tuple[int, int, str], int] = {}
    for at, link in enumerate(links):
        if link.source == link.target:
            continue
        top, bottom = sorted((link.source, link.target))
        # A link that goes back shares nothing: its track is read upwards.
        name = link.kind if link.source == top else f"back {at}"
        way = [top]
        for row in range(level[top] + 1, level[bottom]):
            key = (bottom, name, row)
            if key not in hidden:
                hidden[key] = len(layers.level)
                layers.level.append(row)
                layers.widths.append(THIN)
            way.append(hidden[key])
        way.append(bottom)
        for upper, lower in pairwise(way):
            piece = (upper, lower, name)
            if piece not in found:
                found[piece] = len(layers.pieces)
                layers.pieces.append((upper, lower))
                layers.loads.append([])
            layers.loads[found[piece]].append(at)
    return layers


def first_order(layers: Layers) -> list[list[int]]:
    """Rows as a walk from the entry meets them, depth first, first ways first."""
    _, downs = layers.neighbours()
    rows: list[list[int]] = [[] for _ in range(max(layers.level, default=-1) + 1)]
    seen: set[int] = set()
    for root in range(len(layers.level)):
        work = [root]
        while work:
            node = work.pop()
            if node not in seen:
                seen.add(node)
                rows[layers.level[node]].append(node)
                work += reversed(downs[node])
    return rows


def ports(layers: Layers, rows: Sequence[Sequence[int]]) -> list[Piece]:
    """Where each piece touches its nodes: in the order of their other ends."""
    place = {node: at for row in rows for at, node in enumerate(row)}
    leaving: dict[int, list[int]] = {}
    entering: dict[int, list[int]] = {}
    for at, (upper, lower) in enumerate(layers.pieces):
        leaving.setdefault(upper, []).append(at)
        entering.setdefault(lower, []).append(at)
    leave = [0.0] * len(layers.pieces)
    enter = [0.0] * len(layers.pieces)
    for ways, end, offsets in ((leaving, 1, leave), (entering, 0, enter)):
        for node, each in ways.items():
            each.sort(key=lambda at, end=end: (place[layers.pieces[at][end]], at))  # type: ignore[misc]
            for index, at in enumerate(each):
                offsets[at] = port(index, len(each), layers.widths[node], node < layers.real)
    for node, each in entering.items():
        # A node's only way in need not lead to its middle: a chain of tests then stands
        # straight, and does not drift to the side by half a box a test.  Where the other
        # way out is soon back, it does drift, to make room for that one.
        if len(each) == 1 and node < layers.real and not detour(layers, each[0], leaving):
            reach = max(layers.widths[node] / 2 - CORNER, 0.0)
            enter[each[0]] = max(-reach, min(leave[each[0]], reach))
    return [
        Piece(upper, lower, leave[at], enter[at]) for at, (upper, lower) in enumerate(layers.pieces)
    ]


def detour(layers: Layers, at: int, leaving: Mapping[int, Sequence[int]]) -> bool:
    """Whether another way out of a piece's upper node ends within a few layers."""
    upper = layers.pieces[at][0]
    for other in leaving[upper]:
        _, lower = layers.pieces[other]
        hidden = lower >= layers.real
        while lower >= layers.real and layers.level[lower] - layers.level[upper] < NEAR:
            _, lower = layers.pieces[leaving[lower][0]]
        if hidden and lower < layers.real:
            return True
    return False


def port(index: int, count: int, width: float, real: bool = True) -> float:
    """Where the n-th of some pieces touches a node, from its middle.

    >>> port(0, 1, 100), port(0, 2, 100), port(1, 2, 100)
    (0.0, -25.0, 25.0)
    """
    pitch = min(width / count, PITCH) if real else 0.0
    return (index - (count - 1) / 2) * pitch


def heights(
    sizes: Sequence[tuple[float, float]],
    layers: Layers,
    rows: Sequence[Sequence[int]],
    pieces: Sequence[Piece],
    x: Sequence[float],
) -> list[tuple[float, float]]:
    """Each layer's top and bottom; more room under it where edges run far sideways."""
    far = [0.0] * len(rows)
    for piece in pieces:
        run = abs(x[piece.upper] + piece.leave - x[piece.lower] - piece.enter)
        level = layers.level[piece.upper]
        far[level] = max(far[level], run)
    bands, top = [], 0.0
    for row, run in zip(rows, far, strict=True):
        tall = max((sizes[node][1] for node in row if node < layers.real), default=0.0)
        bands.append((top, top + tall))
        top += tall + RISE + min(run * 0.06, 48.0)
    return bands


def route(
    sizes: Sequence[tuple[float, float]],
    links: Sequence[Link],
    layers: Layers,
    pieces: Sequence[Piece],
    x: Sequence[float],
    bands: Sequence[tuple[float, float]],
) -> tuple[Track, ...]:
    """The pieces as points: down through the layer, then over to the next."""
    tracks = []
    for piece, load in zip(pieces, layers.loads, strict=True):
        upper, lower = piece.upper, piece.lower
        top, bottom = bands[layers.level[upper]]
        leaves, enters = upper < layers.real, lower < layers.real
        from_x, to_x = x[upper] + piece.leave, x[lower] + piece.enter
        start = top + sizes[upper][1] if leaves else top
        tracks.append(
            Track(
                (from_x, start),
                (from_x, bottom + (STUB if leaves else 0.0)),
                (to_x, bands[layers.level[lower]][0]),
                tuple(load),
                leaves,
                enters,
                links[load[0]].source > links[load[0]].target,
            )
        )
    return tuple(tracks)
