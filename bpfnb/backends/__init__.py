"""Ways to run one program on many packets: one protocol, a registry by name.

    interp   our machine, the reference
    linux    the running kernel

Each backend is a module with a `run_many`; it is imported when it is first
asked for.  Left out: checking programs, which callers do first, and the fast
backends of a later issue.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

    Rets = npt.NDArray[np.uint32]

__all__ = ["NAMES", "Backend", "first_difference", "get", "run_many"]

NAMES: tuple[str, ...] = ("interp", "linux")
AUTO = "interp"  # the fastest backend that is installed


class Backend(Protocol):
    """What a backend's module has."""

    def run_many(self, program: Program, batch: PacketBatch, budget: int | None = None) -> Rets:
        """Run a program on each packet: uint32 of shape (len(batch),), one ret each.

        `budget` is None for a checked program, else a bound on the steps on
        each packet.  UnavailableError, its message one line, where this machine
        lacks what the backend needs, or the backend what the program asks for.
        """


def get(name: str) -> Backend:
    """Find a backend by name; "auto" is the fastest one installed.

    >>> get("interp").__name__
    'bpfnb.backends.interp'
    """
    if name == "auto":
        name = AUTO
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
        raise BpfError(f"there is no backend {name!r}", cure)
    return cast(Backend, import_module(f"bpfnb.backends.{name}"))


def run_many(
    program: Program, batch: PacketBatch, backend: str = "auto", budget: int | None = None
) -> Rets:
    """Run a program on each packet of a batch, on the backend of that name."""
    return get(backend).run_many(program, batch, budget)


def first_difference(rets: Mapping[str, Rets]) -> int | None:
    """The index of the first packet on which two backends differ; None: they agree.

    `rets` has each backend's array, all of one length.
    """
    first, *others = rets.values()
    places = [int((first != other).argmax()) for other in others if (first != other).any()]
    return min(places, default=None)
