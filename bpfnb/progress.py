"""A bar on stderr for work that turns out to be long.

    with progress(len(batch), "packets") as done:
        done(4096)          so many more

It appears after PATIENCE seconds and goes when the work is over; short work shows
nothing and imports nothing.
Left out: estimating, which is tqdm's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["progress"]

PATIENCE = 3.0  # seconds before the bar appears,
OFTEN = 1.0  # and between two states of it: a notebook that is saved keeps each of them


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """The function to call with what has been done since the last call.

    Bytes are shown in thousands and millions of them.  It may be called from any thread.
    """
    began, seen, turn = time.monotonic(), 0, threading.Lock()
    bar: Any = None

    def done(more: int) -> None:
        nonlocal bar, seen
        with turn:
            seen += more
            if bar is not None:
                bar.update(more)
            elif seen < total and time.monotonic() - began > PATIENCE:
                bar = bar_of(total, seen, unit, time.monotonic() - began)

    try:
        yield done
    finally:
        if bar is not None:
            bar.close()


def bar_of(total: int, seen: int, unit: str, spent: float) -> Any:
    """tqdm's bar, imported when it is needed, for work that has taken so many seconds yet."""
    from tqdm import tqdm

    in_bytes = unit == "bytes"
    shown = "B" if in_bytes else f" {unit}"
    bar = tqdm(total=total, initial=seen, unit=shown, unit_scale=in_bytes, leave=False,
               mininterval=OFTEN)  # fmt: skip
    bar.start_t -= spent
    return bar
