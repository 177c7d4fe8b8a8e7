"""x for the nodes of a layered graph: long edges straight, layers compact.

Each node is aligned with the median of its neighbours, into blocks that share
one vertical line; blocks are then packed.  Done four times (towards the upper
and the lower neighbours, packed left and right), and each node gets the middle
of its four places.  Pieces may leave and enter a node off its middle; a block's
nodes are shifted so that the line is straight all the same.  At last the vertical
parts of long edges are pulled to what joins them, as far as there is room.

Source: U. Brandes, B. Köpf, *Fast and Simple Horizontal Coordinate Assignment*,
2001; packing as a longest path over blocks, so that widths may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median_low

__all__ = ["Piece", "assign", "tighten"]

Rows = Sequence[Sequence[int]]
Ways = dict[int, list[tuple[int, float]]]
Pairs = set[tuple[int, int]]


@dataclass(frozen=True)
class Piece:
    """An edge between neighbouring layers.

    `leave` and `enter` are where it touches its nodes, from their middles.
    """

    upper: int
    lower: int
    leave: float = 0.0
    enter: float = 0.0


def assign(
    rows: Rows,
    pieces: Sequence[Piece],
    widths: Sequence[float],
    real: int,
    gaps: tuple[float, float],
) -> list[float]:
    """The middle of each node; nodes from `real` on are hidden.

    `gaps` are the space between two real nodes, and where one is hidden.

    >>> assign([[0], [1]], [Piece(0, 1)], [10, 20], 2, (5, 5))
    [0.0, 0.0]
    """
    forbidden = conflicts(rows, pieces, real)
    runs = []
    for down in (True, False):
        ordered = rows if down else rows[::-1]
        for leftmost in (True, False):
            sign = 1.0 if leftmost else -1.0
            facing = [row if leftmost else row[::-1] for row in ordered]
            ways = neighbours(facing, pieces, down, sign)
            root, shift = align(facing, ways, forbidden)
            x = pack(facing, root, shift, widths, real, gaps)
            runs.append([sign * each for each in x])
    return balance(runs, widths)


def conflicts(rows: Rows, pieces: Sequence[Piece], real: int) -> Pairs:
    """Pairs of nodes not to align.

    Their piece crosses a long edge, or joins it half-way, and would bend it.
    """
    place = {node: at for row in rows for at, node in enumerate(row)}
    level = {node: at for at, row in enumerate(rows) for node in row}
    between: list[list[tuple[int, int, Piece]]] = [[] for _ in rows]
    for piece in pieces:
        between[level[piece.upper]].append((place[piece.upper], place[piece.lower], piece))
    found: Pairs = set()
    for layer in between:
        inner = [(a, b) for a, b, p in layer if p.upper >= real and p.lower >= real]
        held = {b for _, b in inner}
        for a, b, piece in layer:
            if piece.upper >= real and piece.lower >= real:
                continue
            if b in held or any((a < c and b > d) or (a > c and b < d) for c, d in inner):
                found.add((piece.upper, piece.lower))
    return found


def neighbours(rows: Rows, pieces: Sequence[Piece], down: bool, sign: float) -> Ways:
    """For each node those in the row before, left to right, each with a shift.

    The shift makes the piece between the two straight.
    """
    place = {node: at for row in rows for at, node in enumerate(row)}
    ways: Ways = {node: [] for row in rows for node in row}
    for piece in pieces:
        shift = sign * (piece.leave - piece.enter)
        if down:
            ways[piece.lower].append((piece.upper, shift))
        else:
            ways[piece.upper].append((piece.lower, -shift))
    for each in ways.values():
        each.sort(key=lambda way: place[way[0]])
    return ways


def align(rows: Rows, ways: Ways, forbidden: Pairs) -> tuple[dict[int, int], dict[int, float]]:
    """Blocks: each node's root, and its shift against it."""
    place = {node: at for row in rows for at, node in enumerate(row)}
    root = {node: node for node in place}
    shift = dict.fromkeys(place, 0.0)
    for row in rows:
        free = -1  # nodes up to this one in the row before are aligned already
        for node in row:
            near = ways[node]
            middles = {(len(near) - 1) // 2, len(near) // 2} if near else set()
            for middle in sorted(middles):
                other, off = near[middle]
                barred = (other, node) in forbidden or (node, other) in forbidden
                if root[node] != node or barred or place[other] <= free:
                    continue
                root[node], shift[node] = root[other], shift[other] + off
                free = place[other]
    return root, shift


def pack(
    rows: Rows,
    root: dict[int, int],
    shift: dict[int, float],
    widths: Sequence[float],
    real: int,
    gaps: tuple[float, float],
) -> list[float]:
    """Put the blocks as far left as they go, then close gaps from the right."""
    after: dict[int, dict[int, float]] = {block: {} for block in root.values()}
    for row in rows:
        for left, right in pairwise(row):
            gap = gaps[0] if left < real and right < real else gaps[1]
            apart = (widths[left] + widths[right]) / 2 + gap + shift[left] - shift[right]
            ways = after[root[left]]
            ways[root[right]] = max(ways.get(root[right], apart), apart)
    order = topological(after)
    x = dict.fromkeys(after, 0.0)
    for block in order:
        for other, apart in after[block].items():
            x[other] = max(x[other], x[block] + apart)
    for block in reversed(order):
        room = [x[other] - apart for other, apart in after[block].items()]
        if room:
            x[block] = max(x[block], min(room))
    return [x[root[node]] + shift[node] for node in sorted(root)]


def topological(after: dict[int, dict[int, float]]) -> list[int]:
    """Blocks, each before those to its right."""
    waits = dict.fromkeys(after, 0)
    for ways in after.values():
        for other in ways:
            waits[other] += 1
    ready = [block for block, wait in waits.items() if not wait]
    for block in ready:  # grows while it is read
        for other in after[block]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return ready


def balance(runs: Sequence[Sequence[float]], widths: Sequence[float]) -> list[float]:
    """Line the four runs up with the narrowest, and take each node's middle.

    Runs 0 and 2 are packed to the left, 1 and 3 to the right.
    """
    if not widths:
        return []

    def ends(x: Sequence[float]) -> tuple[float, float]:
        low = min(each - width / 2 for each, width in zip(x, widths, strict=True))
        return low, max(each + width / 2 for each, width in zip(x, widths, strict=True))

    bounds = [ends(x) for x in runs]
    low, high = min(bounds, key=lambda pair: pair[1] - pair[0])
    moved = []
    for index, (x, (left, right)) in enumerate(zip(runs, bounds, strict=True)):
        delta = low - left if index % 2 == 0 else high - right
        moved.append([each + delta for each in x])
    middles = [sorted(places)[1:3] for places in zip(*moved, strict=True)]
    return [sum(pair) / 2 for pair in middles]


def tighten(
    x: Sequence[float],
    rows: Rows,
    pieces: Sequence[Piece],
    widths: Sequence[float],
    real: int,
    gaps: tuple[float, float],
) -> list[float]:
    """Pull each vertical run of hidden nodes to the middle of what joins it.

    It stays between its neighbours; no real node moves.
    """
    found = list(x)
    beside: dict[int, tuple[int | None, int | None]] = {}
    for row in rows:
        for at, node in enumerate(row):
            after = row[at + 1] if at + 1 < len(row) else None
            beside[node] = (row[at - 1] if at else None, after)
    ends: dict[int, list[tuple[int, float]]] = {}
    for piece in pieces:
        ends.setdefault(piece.upper, []).append((piece.lower, piece.enter))
        ends.setdefault(piece.lower, []).append((piece.upper, piece.leave))

    def room(run: Iterable[int], side: int) -> float:
        """The furthest x that the neighbours on one side, 0 or 1, leave to a run."""
        sign = 1 if side else -1
        limits = [
            found[other] - sign * ((widths[node] + widths[other]) / 2 + gaps[1])
            for node in run
            if (other := beside[node][side]) is not None
        ]
        return sign * min((sign * each for each in limits), default=inf)

    every = runs_of(found, rows, pieces, real)
    for _ in range(2):
        for run in every:
            inside = set(run)
            joins = [found[o] + off for node in run for o, off in ends[node] if o not in inside]
            low, high = room(run, 0), room(run, 1)
            if joins and low <= high:
                place = max(low, min(median_low(sorted(joins)), high))
                for node in run:
                    found[node] = place
    return found


def runs_of(
    x: Sequence[float], rows: Rows, pieces: Sequence[Piece], real: int
) -> list[tuple[int, ...]]:
    """Hidden nodes that stand straight under one another, joined; top ones first."""
    below = {
        piece.upper: piece.lower
        for piece in pieces
        if piece.upper >= real and piece.lower >= real and abs(x[piece.upper] - x[piece.lower]) < 1
    }
    inner = set(below.values())
    runs = []
    for row in rows:
        for node in row:
            if node >= real and node not in inner:
                run = [node]
                while run[-1] in below:
                    run.append(below[run[-1]])
                runs.append(tuple(run))
    return runs
