"""The backend `pygen`: the program as a Python function, generated and compiled once.

    print(source(program))           what was made of it, to read
    f = compiled(program)
    f(data, wirelen, notes)          ret

It is what a person would write who knows the program by heart, and several times
as fast as a machine that looks at each instruction anew.
Left out: writing the text (`python_source`); unchecked programs, which may loop.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from bpfnb.backends.interp import contents
from bpfnb.backends.python_source import source
from bpfnb.cbpf.linux_loads import Notes, extension, far_load
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

__all__ = ["compiled", "run_many", "source"]

KEPT = 64  # compiled programs
NUMBERS = count(1)

Function = Callable[[bytes, int, Notes], int]


class Elsewhere(Exception):  # noqa: N818  it carries an error and is none itself
    """An error of the kind that a load past the end raises, but from elsewhere."""


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose errors no `except` of the generated source takes for its own."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (IndexError, error) as raised:
            raise Elsewhere(raised) from raised

    return call


NAMES: dict[str, Any] = {
    "error": error,
    "extension": carried(extension),
    "far_load": carried(far_load),
    "word": Struct(">I").unpack_from,
}


@lru_cache(maxsize=KEPT)
def compiled(program: Program) -> Function:
    """A checked program as a function of a packet's bytes, wirelen and notes; made once.

    >>> compiled(Program.from_insns([(0x80, 0, 0, 0), (0x16, 0, 0, 0)]))(b"abc", 60, None)
    60
    """
    text = source(program)
    name = f"<pygen {next(NUMBERS) % KEPT}>"  # a traceback shows the lines of the last KEPT
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, Any] = dict(NAMES)
    exec(compile(text, name, "exec"), space)
    made: Function = space["accepts"]
    return made


def run_many(
    program: Program, batch: PacketBatch, budget: int | None = None, jobs: int = 1
) -> npt.NDArray[np.uint32]:
    """Run on each packet: uint32 of shape (len(batch),)."""
    import numpy as np

    if budget is not None:
        raise UnavailableError("pygen runs no unchecked program: that may loop for ever")
    accepts = compiled(program)
    rets = (accepts(data, wirelen, notes) for data, wirelen, notes in contents(batch))
    try:
        return np.fromiter(rets, np.uint32, len(batch))
    except Elsewhere as carrier:
        raise carrier.args[0] from None
