"""The loops in C that are raced, built by gcc and called by ctypes.

`handwritten.c` has the six filters by hand, `bpf_loop.c` a loop over bpf_filter,
which is that of the very libpcap that compiled the expressions.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpfnb.cbpf.program import Program
from bpfnb.pcap.library import insns_of, load
from rows import NotMeasured
from setting import InMemory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rets = npt.NDArray[np.uint32]

__all__ = ["FLAGS", "Loops"]

# gcc may use all instructions of this processor, as LLVM does.
FLAGS = ("-O3", "-march=native")
SOURCES = ("handwritten.c", "bpf_loop.c")


class Loops:
    """The loops, built; NotMeasured where there is no gcc."""

    def __init__(self, folder: Path) -> None:
        gcc = shutil.which("gcc")
        if gcc is None:
            raise NotMeasured("no gcc")
        here, made = Path(__file__).parent, str(folder / "loops.so")
        sources = [str(here / name) for name in SOURCES]
        command = [gcc, *FLAGS, "-shared", "-fPIC", *sources, "-o", made]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise NotMeasured(f"gcc fails: {built.stderr.strip().splitlines()[-1]}")
        self._dll = ctypes.CDLL(made)

    def by_hand(
        self, name: str, memory: InMemory, rets: Rets, prefetch: bool
    ) -> Callable[[], object]:
        """The filter of this name over all packets."""
        function = self._dll[f"{name}_{'prefetch' if prefetch else 'plain'}"]
        return bound(function, *addresses(memory, "base", "offsets", "lengths"), rets)

    def bpf_filter(self, program: Program, memory: InMemory, rets: Rets) -> Callable[[], object]:
        """libpcap's evaluator over all packets."""
        library = ctypes.CDLL(load("carried").path)  # loaded already: the same one
        evaluator = ctypes.cast(library.bpf_filter, ctypes.c_void_p)
        places = addresses(memory, "base", "offsets", "lengths", "wirelens")
        return bound(self._dll["bpf_loop"], evaluator, insns_of(program), *places, rets)


def addresses(memory: InMemory, *names: str) -> list[ctypes.c_void_p]:
    """Where the arrays of these names lie."""
    return [ctypes.c_void_p(memory.arrays[name].ctypes.data) for name in names]


def bound(function: Any, *arguments: Any) -> Callable[[], object]:
    """A call of a loop; the last argument is the rets, whose count follows it."""
    *first, rets = arguments
    place, count = ctypes.c_void_p(rets.ctypes.data), ctypes.c_size_t(len(rets))

    def call() -> object:
        assert len(rets) == count.value  # and so the array lives as long as this call
        return function(*first, place, count)

    return call
