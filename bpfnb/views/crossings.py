"""Order the nodes of each layer so that few edges cross.

Sweeps down and up the layers sort each by the median of its neighbours in the
one before; then neighbours swap places where that removes crossings.  The best
order seen is kept.  Ties go by what stood left before, so it is always the
same.  Left out: an optimum, which is NP-hard to find.

Source: E. Gansner, E. Koutsofios, S. North, K.-P. Vo, *A Technique for Drawing
Directed Graphs*, 1993, section 3.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["count", "untangle"]

Rows = list[list[int]]
Neighbours = Sequence[Sequence[int]]
SWEEPS, PATIENCE = 24, 6
LARGE = 3000  # nodes and hidden nodes from which fewer sweeps must do


def untangle(rows: Rows, ups: Neighbours, downs: Neighbours) -> Rows:
    """The rows, re-ordered; `ups[n]` are n's neighbours above, `downs[n]` below.

    >>> untangle([[0, 1], [2, 3]], [[], [], [1], [0]], [[3], [2], [], []])
    [[0, 1], [3, 2]]
    """
    best = [list(row) for row in rows]
    fewest = crossings(best, downs)
    order = [list(row) for row in rows]
    sweeps = SWEEPS if sum(map(len, rows)) < LARGE else 4
    idle = 0
    for turn in range(sweeps):
        if not fewest or idle >= PATIENCE:
            break
        sweep(order, ups if turn % 2 == 0 else downs, down=turn % 2 == 0)
        if sweeps == SWEEPS:
            swap(order, ups, downs)
        crossed = crossings(order, downs)
        idle += 1
        if crossed < fewest:
            best, fewest, idle = [list(row) for row in order], crossed, 0
    return best


def sweep(rows: Rows, neighbours: Neighbours, down: bool) -> None:
    """Sort each row by the medians in the row before it, down or up."""
    indices = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
    for index in indices:
        before = rows[index - 1 if down else index + 1]
        at = {node: place for place, node in enumerate(before)}
        keys = {}
        for place, node in enumerate(rows[index]):
            middle = median(sorted(at[other] for other in neighbours[node] if other in at))
            keys[node] = float(place) if middle is None else middle
        rows[index].sort(key=lambda node: keys[node])


def median(places: Sequence[int]) -> float | None:
    """The middle; of an even number the mean of two, leaning to the denser side.

    >>> median([1, 2, 9]), median([0, 4]), median([])
    (2.0, 2.0, None)
    """
    size = len(places)
    middle = size // 2
    if not size:
        return None
    if size % 2:
        return float(places[middle])
    if size == 2:
        return (places[0] + places[1]) / 2
    left = places[middle - 1] - places[0]
    right = places[-1] - places[middle]
    if left + right == 0:
        return (places[middle - 1] + places[middle]) / 2
    return (places[middle - 1] * right + places[middle] * left) / (left + right)


def swap(rows: Rows, ups: Neighbours, downs: Neighbours) -> None:
    """Swap neighbours in a row while that removes crossings; a few rounds."""
    at = {node: place for row in rows for place, node in enumerate(row)}
    for _ in range(8):
        better = False
        for row in rows:
            for place in range(len(row) - 1):
                left, right = row[place], row[place + 1]
                gain = 0
                for side in (ups, downs):
                    here = sorted(at[each] for each in side[left])
                    there = sorted(at[each] for each in side[right])
                    gain += inversions(here, there) - inversions(there, here)
                if gain > 0:
                    row[place], row[place + 1] = right, left
                    at[left], at[right] = place + 1, place
                    better = True
        if not better:
            return


def inversions(left: Sequence[int], right: Sequence[int]) -> int:
    """Crossings between a node's edges and those of its right neighbour."""
    return sum(len(left) - bisect_right(left, each) for each in right)


def crossings(rows: Rows, downs: Neighbours) -> int:
    """All crossings."""
    return sum(count(upper, lower, downs) for upper, lower in pairwise(rows))


def count(upper: Sequence[int], lower: Sequence[int], downs: Neighbours) -> int:
    """Crossings between two neighbouring layers.

    >>> count([0, 1], [2, 3], [[3], [2], [], []])
    1
    """
    at = {node: place for place, node in enumerate(lower)}
    seen: list[int] = []
    total = 0
    for node in upper:
        ends = sorted(at[other] for other in downs[node])
        total += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return total
