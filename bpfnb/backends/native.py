"""The backend `native`: a program as this processor's own instructions, by LLVM.

    native = compiled(program)
    native.scan(batch, jobs=2)     one ret a packet
    native.ir, native.assembly     what it became

A batch is scanned where it lies, in pieces: no object is made for a packet, a
keyboard interrupt is seen between two pieces, and each piece asks anew whether
a mapped file still has all its bytes.  While a piece runs Python's global lock
is free, so that `jobs` threads share the work.

Native code reads nothing outside a packet, whatever the program: each load is
checked against the captured length (`lowering`).
Left out: unchecked programs, which may loop.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from bpfnb import jit
from bpfnb.backends import facts, lowering
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, PacketError, UnavailableError
from bpfnb.progress import progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.columns import Columns
    from bpfnb.packets.packet import PacketBatch

    Rets = npt.NDArray[np.uint32]
    Counts = npt.NDArray[np.int64]

__all__ = ["Native", "compiled", "run_many"]

PIECE = 1 << 18  # packets between two looks at the file and the keyboard
KEPT = 64  # compiled programs

pointer, i32, i64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
ASK = ctypes.CFUNCTYPE(i32, i64, i32, i32, i32)
SCAN = (None, *[pointer] * 5, i64, pointer, pointer, ctypes.c_bool, i64, i64)


class Native:
    """A checked program, compiled.  UnavailableError without llvmlite.

    `source` is the text that LLVM was given, `asks` the facts the program needs.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.asks = facts.needed(program)
        self.reach = lowering.reach_of(program)
        self.source = lowering.module(program)
        self._code = jit.compile_ir(self.source)
        self._scan = self._code.function("scan", *SCAN)

    @cached_property
    def _counting_scan(self) -> Callable[..., None]:
        """The scan that counts, compiled when it is first asked for."""
        code = jit.compile_ir(lowering.counting_module(self.program))
        return code.function("scan", *SCAN, pointer)

    @property
    def ir(self) -> str:
        """LLVM's text after optimisation."""
        return self._code.ir

    @property
    def assembly(self) -> str:
        """The processor's instructions."""
        return self._code.assembly

    def scan(self, batch: PacketBatch, jobs: int = 1, out: Rets | None = None) -> Rets:
        """Run on each packet: uint32 of shape (len(batch),), in `out` where it is given.

        PacketError when a packet lies outside the batch's buffer.
        """
        work = Work(self, self._scan, batch, out)
        work.done_by([()] * jobs)
        return work.rets

    def count(self, batch: PacketBatch, jobs: int = 1) -> tuple[Rets, Counts]:
        """Run and count: rets, and int64 of shape (len(program), 3).

        The three are how often an instruction ran, jumped by jt, and ended the
        program though it is no ret (a load past the end, a division by 0).
        """
        import numpy as np

        rooms = np.zeros((jobs, len(self.program), 3), np.int64)
        work = Work(self, self._counting_scan, batch)
        work.done_by([(room.ctypes.data,) for room in rooms])
        return work.rets, rooms.sum(axis=0)


class Work:
    """One scan: a batch as native code takes it, and where the rets go."""

    def __init__(
        self,
        native: Native,
        scan: Callable[..., None],
        batch: PacketBatch,
        out: Rets | None = None,
    ) -> None:
        import numpy as np

        self.scan, self.batch, self.asks, self.reach = scan, batch, native.asks, native.reach
        self.columns = placed(batch.columns)
        self.rets: Rets = np.empty(len(batch), np.uint32) if out is None else out
        self.facts = facts.shared(batch, native.asks) if native.asks else b""

    def done_by(self, threads: Sequence[tuple[int, ...]]) -> None:
        """Scan it all; each thread has its own further arguments for `scan`."""
        size = len(self.rets)
        step = max(1, min(PIECE, -(-size // len(threads))))
        # The threads take turns at one list's iterator, which hands out each piece once.
        todo = iter([(first, min(first + step, size)) for first in range(0, size, step)])
        with progress(size, "packets") as done:
            if len(threads) == 1:
                self.pieces(todo, done, *threads[0])
                return
            with ThreadPoolExecutor(len(threads)) as pool:
                for each in [pool.submit(self.pieces, todo, done, *extra) for extra in threads]:
                    each.result()

    def pieces(
        self, todo: Iterator[tuple[int, int]], done: Callable[[int], None], *extra: int
    ) -> None:
        """Scan pieces until there are none left."""
        for first, last in todo:
            self.piece(first, last, *extra)
            done(last - first)

    def piece(self, first: int, last: int, *extra: int) -> None:
        """Scan the packets first … last - 1."""
        buffer = self.batch.buffer
        rows, stride = self.facts, 0
        if rows is None:
            rows, stride = facts.each(self.batch[first:last], self.asks), len(facts.NOTES)
        ask, raised = self.callback()
        self.columns.require_inside(len(buffer))
        self.scan(
            buffer if isinstance(buffer, bytes) else address(buffer),
            *self.columns.addresses,
            rows if isinstance(rows, bytes) else address(rows) - first * stride * rows.itemsize,
            stride,
            ask,
            address(self.rets),
            self.columns.shortest >= self.reach,
            first,
            last,
            *extra,
        )
        if raised:
            raise raised[0]

    def callback(self) -> tuple[Any, list[BaseException]]:
        """What answers for the extensions of `facts.ASKED`, and where it leaves an error."""
        raised: list[BaseException] = []
        if not self.asks & set(facts.ASKED):
            return None, raised

        def ask(at: int, which: int, A: int, X: int) -> int:
            try:
                return facts.answer(self.batch[at], which, A, X)
            except BaseException as error:  # noqa: BLE001  no error may cross native code
                raised.append(error)
                return 0

        return ASK(ask), raised


class Placed:
    """The columns of a batch, at rest in memory as native code reads them.

    `end` is one past the last byte of any packet, `shortest` the least length.
    """

    def __init__(self, columns: Columns) -> None:
        import numpy as np

        self.offsets = np.ascontiguousarray(columns.offsets, np.uint64)
        self.lengths = np.ascontiguousarray(columns.lengths, np.uint32)
        self.wirelens = np.ascontiguousarray(columns.wirelens, np.uint32)
        self.addresses = tuple(map(address, (self.offsets, self.lengths, self.wirelens)))
        parts = range(0, len(self.offsets), PIECE)
        self.shortest = int(self.lengths.min(initial=0xFFFFFFFF))
        self.end = max((self.end_of(slice(first, first + PIECE)) for first in parts), default=0)

    def end_of(self, part: slice) -> int:
        """One past the last byte of some packets; 2**64 where that cannot be."""
        offsets = self.offsets[part]
        ends = offsets + self.lengths[part]
        return int(ends.max()) if bool((ends >= offsets).all()) else 1 << 64

    def require_inside(self, size: int) -> None:
        """Raise PacketError unless all packets lie in a buffer of so many bytes."""
        if self.end <= size:
            return
        ends = self.offsets + self.lengths
        first = int(((ends > size) | (ends < self.offsets)).argmax())
        raise PacketError(f"packet {first + 1} lies outside the batch's buffer")


PLACED: WeakKeyDictionary[Columns, Placed] = WeakKeyDictionary()


def placed(columns: Columns) -> Placed:
    """The columns at rest, looked at once: a small batch is scanned in less time than that."""
    found = PLACED.get(columns)
    if found is None:
        found = PLACED[columns] = Placed(columns)
    return found


def address(memory: Any) -> int:
    """Where a buffer lies."""
    import numpy as np

    return int(np.frombuffer(memory, np.uint8).__array_interface__["data"][0])


@lru_cache(maxsize=KEPT)
def compiled(program: Program) -> Native:
    """A checked program, compiled once."""
    return Native(program)


def run_many(
    program: Program, batch: PacketBatch, budget: int | None = None, jobs: int = 1
) -> Rets:
    """Run on each packet by `jobs` threads: uint32 of shape (len(batch),)."""
    if budget is not None:
        raise UnavailableError("native runs no unchecked program: it may loop for ever")
    if jobs < 1:
        raise BpfError(f"jobs is {jobs}; it counts threads, from 1")
    return compiled(program).scan(batch, jobs)
