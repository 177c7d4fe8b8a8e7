"""Ways to run one program on many packets: one protocol, a registry by name.

    interp    our machine, the reference
    pygen     the program as a Python function
    native    the program as this processor's instructions
    libpcap   pcap's own evaluator
    linux     the running kernel

Each backend is a module with a `run_many`; it is imported when it is first
asked for.  Left out: checking programs, which callers do first.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from bpfnb import jit
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bpfnb.packets.packet import PacketBatch

    Rets = npt.NDArray[np.uint32]

__all__ = [
    "MANY",
    "NAMES",
    "Backend",
    "checked_jobs",
    "first_difference",
    "get",
    "quickest",
    "run_many",
]

NAMES: tuple[str, ...] = ("interp", "pygen", "native", "libpcap", "linux")
# Packets from which compiling for the processor is time well spent
MANY = 50_000  # for any program,
EACH = 500  # and more for each instruction


class Backend(Protocol):
    """What a backend's module has."""

    def run_many(
        self, program: Program, batch: PacketBatch, budget: int | None = None, jobs: int = 1
    ) -> Rets:
        """Run a program on each packet: uint32 of shape (len(batch),), one ret each.

        `budget` is None for a checked program, else a bound on the steps on each
        packet.  `jobs` threads may share the work, where a backend can use them.
        UnavailableError, its message one line, where this machine lacks what the
        backend needs, or the backend what the program asks for.
        """


def get(name: str) -> Backend:
    """Find a backend by name.

    >>> get("interp").__name__
    'bpfnb.backends.interp'
    """
    if name not in NAMES:
        near = get_close_matches(str(name), NAMES, 1)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}, and auto"
        raise BpfError(f"there is no backend {name!r}", cure)
    return cast(Backend, import_module(f"bpfnb.backends.{name}"))


def quickest(program: Program, packets: int, budget: int | None = None) -> str:
    """The backend that is soonest done with so many packets, compiling included.

    Unchecked programs, which have a budget, run on interp alone.

    >>> tiny = Program.from_insns([(6, 0, 0, 1)])
    >>> quickest(tiny, 100), quickest(tiny, 100, budget=1000)
    ('pygen', 'interp')
    """
    if budget is not None:
        return "interp"
    return "native" if packets >= MANY + EACH * len(program) and jit.works() else "pygen"


def run_many(
    program: Program,
    batch: PacketBatch,
    backend: str = "auto",
    budget: int | None = None,
    jobs: int = 1,
) -> Rets:
    """Run a program on each packet of a batch, on the backend of that name.

    "auto" is the quickest one.  `jobs` threads share the work on native; the
    other backends hold Python's lock and take one.
    """
    checked_jobs(jobs)
    name = quickest(program, len(batch), budget) if backend == "auto" else backend
    return get(name).run_many(program, batch, budget, jobs)


def checked_jobs(jobs: int) -> int:
    """A number of threads; BpfError for what is none."""
    if not isinstance(jobs, int) or jobs < 1:
        raise BpfError(f"jobs is {jobs!r}; it counts threads, from 1")
    return jobs


def first_difference(rets: Mapping[str, Rets]) -> int | None:
    """The index of the first packet on which two backends differ; None: they agree.

    `rets` has each backend's array, all of one length.
    """
    first, *others = rets.values()
    places = [int((first != other).argmax()) for other in others if (first != other).any()]
    return min(places, default=None)
