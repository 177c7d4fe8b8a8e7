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

PATIENCE = 3.0  # seconds before the bar appears


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
                bar = bar_of(total, seen, unit)

    try:
        yield done
    finally:
        if bar is not None:
            bar.close()


def bar_of(total: int, seen: int, unit: str) -> Any:
    """tqdm's bar, imported when it is needed."""
    from tqdm import tqdm

    in_bytes = unit == "bytes"
    shown = "B" if in_bytes else f" {unit}"
    return tqdm(total=total, initial=seen, unit=shown, unit_scale=in_bytes, leave=False)
