"""The backend `native`: a program as this processor's own instructions, by LLVM.

    native = compiled(program)
    native.scan(batch, jobs=2)     one ret a packet
    native.ir, native.assembly     what it became

A batch is scanned where it lies, in pieces: no object is made for a packet, a
keyboard interrupt is seen between two pieces, and each piece asks anew whether
a mapped file still has all its bytes.  (One cut short while a piece runs ends the
process, as it does every program that maps files.)  While a piece runs Python's
global lock is free, so that `jobs` threads share the work.

Native code reads nothing outside a packet, whatever the program: each load is
checked against the captured length (`lowering`).
Left out: unchecked programs, which may loop.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from threading import Thread
from typing import TYPE_CHECKING, Any

from bpfnb import jit
from bpfnb.backends import checked_jobs, facts, llvm_module
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError
from bpfnb.progress import progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

    Rets = npt.NDArray[np.uint32]
    Counts = npt.NDArray[np.int64]

__all__ = ["Native", "compiled", "run_many"]

PIECE = 1 << 18  # packets between two looks at the file and the keyboard,
SMALL, SHARES = 1 << 15, 4  # fewer where threads share them: each gets so many pieces
KEPT = 64  # compiled programs

pointer, i32, i64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
ASK = ctypes.CFUNCTYPE(i32, i64, i32, i32, i32)
SCAN = (None, *[pointer] * 5, i64, pointer, pointer, ctypes.c_bool, i64, i64)


class Native:
    """A checked program, compiled.  UnavailableError without llvmlite.

    `source` is the text that LLVM was given, `asks` the facts the program needs, `reach`
    the length from which a packet has all bytes that loads at constant offsets read.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.asks = facts.needed(program)
        self.reach = llvm_module.reach_of(program)
        self.source = llvm_module.module(program)
        self._code = jit.compile_ir(self.source)
        self._scan = self._code.function("scan", *SCAN)

    @cached_property
    def _counting_scan(self) -> Callable[..., None]:
        """The scan that counts, compiled when it is first asked for."""
        code = jit.compile_ir(llvm_module.counting_module(self.program))
        return code.function("scan", *SCAN, pointer)

    @property
    def ir(self) -> str:
        """LLVM's text after optimisation."""
        return self._code.ir

    @property
    def assembly(self) -> str:
        """The processor's instructions."""
        return self._code.assembly

    def scan(self, batch: PacketBatch, jobs: int = 1) -> Rets:
        """Run on each packet by `jobs` threads: uint32 of shape (len(batch),).

        PacketError when a packet lies outside the batch's buffer.
        """
        work = Work(self, self._scan, batch, jobs)
        work.do([()] * work.jobs)
        return work.rets

    def count(self, batch: PacketBatch, jobs: int = 1) -> tuple[Rets, Counts]:
        """Run and count: rets, and int64 of shape (len(program), 3).

        The three are how often an instruction ran, jumped by jt, and ended the
        program though it is no ret (a load past the end, a division by 0).
        """
        import numpy as np

        work = Work(self, self._counting_scan, batch, jobs)
        rooms = np.zeros((work.jobs, len(self.program), 3), np.int64)
        work.do([(room.ctypes.data,) for room in rooms])
        return work.rets, rooms.sum(axis=0)


class Work:
    """One scan: a batch as native code takes it, where the rets go, and who has which piece.

    `jobs` are as many threads as were asked for, but no more than there are pieces.
    """

    def __init__(
        self, native: Native, scan: Callable[..., None], batch: PacketBatch, jobs: int
    ) -> None:
        import numpy as np

        size, wanted = len(batch), checked_jobs(jobs)
        self.scan, self.batch, self.asks, self.reach = scan, batch, native.asks, native.reach
        self.columns = batch.columns
        self.rets: Rets = np.empty(size, np.uint32)
        self.facts = facts.shared(batch, native.asks) if native.asks else b""
        # Several threads get more pieces than one each: they are done at the same time.
        self.step = PIECE if wanted == 1 else max(SMALL, min(PIECE, -(-size // (wanted * SHARES))))
        self.jobs = max(1, min(wanted, -(-size // self.step)))
        self.firsts = iter(range(0, size, self.step))  # whoever takes the next one has it alone
        self.raised: list[BaseException] = []

    def do(self, threads: Sequence[tuple[int, ...]]) -> None:
        """Scan it all; each thread, of which this is one, has further arguments for `scan`.

        What one of them raises, a keyboard interrupt too, ends all of them at their
        next piece, and is raised here.
        """
        with progress(len(self.rets), "packets") as done:
            others = [Thread(target=self.pieces, args=(done, *each)) for each in threads[1:]]
            for other in others:
                other.start()
            self.pieces(done, *threads[0])
            for other in others:
                try:
                    other.join()
                except KeyboardInterrupt as error:
                    self.raised.append(error)
                    other.join()
        if self.raised:
            raise self.raised[0]

    def pieces(self, done: Callable[[int], None], *extra: int) -> None:
        """Scan pieces until there are none left, or somebody has failed."""
        try:
            for first in self.firsts:
                if self.raised:
                    break
                last = min(first + self.step, len(self.rets))
                self.piece(first, last, *extra)
                done(last - first)
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
            self.raised.append(error)

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
            *map(address, (self.columns.offsets, self.columns.lengths, self.columns.wirelens)),
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
            if raised:
                return 0
            try:
                return facts.answer(self.batch[at], which, A, X)
            except BaseException as error:  # noqa: BLE001  no error may cross native code
                raised.append(error)
                return 0

        return ASK(ask), raised


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
        raise UnavailableError("native runs no unchecked program: that may loop for ever")
    return compiled(program).scan(batch, jobs)
