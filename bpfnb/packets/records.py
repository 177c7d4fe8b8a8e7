"""Following a long file's records natively, some megabytes at a time, into growing columns.

    rows = Rows()
    end = follow(file, record, rows, position)     as far as the records are sound

Between two parts of the file a keyboard interrupt is seen, a mapped file asked
whether it still has its bytes, and long work shows a bar.  Memory goes to the rows
alone, 28 bytes each; 24 where no record names an interface, for that column is
never written to then.
Left out: the walk itself (`lanes`), what a record is (`pcapfile`, `pcapng`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bpfnb import jit
from bpfnb.packets import lanes
from bpfnb.packets.filebytes import FileBytes
from bpfnb.packets.lanes import Record
from bpfnb.progress import progress

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["LONG", "PART", "Rows", "follow"]

LONG = 8 << 20  # bytes from which compiling the walk, some 50 ms, is time well spent
PART = 64 << 20  # bytes of the file between two looks around

KINDS = ("u8", "u4", "u4", "i8", "u4")  # of the columns, as numpy says it

pointer, i64 = ctypes.c_void_p, ctypes.c_uint64
SIGNATURE = (i64, pointer, *[i64] * 4, *[pointer] * 6)


class Rows:
    """Columns that grow: `count` rows of offset, length, wirelen, time and interface."""

    def __init__(self) -> None:
        self.count = 0
        self._columns: list[npt.NDArray[Any]] = []

    def room(self, more: int, share: float) -> None:
        """Make room for so many more rows; `share` of the file has given those there are."""
        import numpy as np

        if self._columns and self.count + more <= len(self._columns[0]):
            return
        foreseen = int(self.count / share * 1.02) if share else 0
        size = max(self.count, foreseen) + more  # memory that is not written to is not there
        grown: list[npt.NDArray[Any]] = [np.empty(size, kind) for kind in KINDS]
        for old, new in zip(self._columns, grown, strict=False):
            new[: self.count] = old[: self.count]
        self._columns = grown

    @property
    def places(self) -> list[int]:
        """Where the next row goes, in each column."""
        return [int(column.ctypes.data) + self.count * column.itemsize for column in self._columns]

    def add(self, *values: Any) -> None:
        """Put rows behind: an array or a list for each column."""
        self.room(len(values[0]), 0)
        behind = self.count + len(values[0])
        for column, given in zip(self._columns, values, strict=True):
            column[self.count : behind] = given
        self.count = behind

    def since(self, row: int) -> list[npt.NDArray[Any]]:
        """All columns from a row on, to be read or changed."""
        self.room(0, 0)
        return [column[row : self.count] for column in self._columns]


def follow(
    file: FileBytes,
    record: Record,
    rows: Rows,
    position: int,
    faces: int = 0,
    part: int = PART,
) -> int:
    """Add a row for each sound record from `position` on; where the first other thing is.

    `faces` bounds the interfaces that records may name, `part` is in bytes.
    UnavailableError without llvmlite.
    """
    import numpy as np

    walk, reached = compiled(record), ctypes.c_uint64(position)
    size, cold = len(file.view()), not file.in_memory()
    with progress(size - position, "bytes") as done:
        while position < size:
            end = min(position + part, size)
            if cold:
                file.bring(position, end)
            rows.room((end - position) // record.smallest + 1, position / size)
            base = np.frombuffer(file.view(), np.uint8).ctypes.data
            places = rows.places
            rows.count += walk(base, size, faces, position, end, *places, ctypes.byref(reached))
            done(reached.value - position)
            position = reached.value
            if position < end:
                break
    return position


@lru_cache(maxsize=8)
def compiled(record: Record) -> Callable[..., int]:
    """The walk for records of one kind, compiled once."""
    return jit.compile_ir(lanes.module(record)).function("walk", *SIGNATURE)
