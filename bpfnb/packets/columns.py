"""Where the packets of a batch are, as arrays: one entry a packet.

Source: none; the layout is what a loop in C wants to be handed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from bpfnb.errors import CaptureError, PacketError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["NO_TIME", "UNKNOWN", "Columns", "Index"]

NO_TIME = -(1 << 63)  # in `times_ns`: unknown
UNKNOWN = -1  # in `linktypes`: unknown
PART = 1 << 18  # packets that are looked at together, for the memory's sake
KINDS = {
    "offsets": "uint64",
    "lengths": "uint32",
    "wirelens": "uint32",
    "linktypes": "int32",
    "times_ns": "int64",
}


@dataclass(frozen=True, eq=False)
class Columns:
    """`offsets` (uint64) and `lengths` (uint32) are bytes in the buffer.

    `wirelens` is uint32; `times_ns` int64 with NO_TIME for unknown, or None: all
    unknown.  `linktypes` is int32 with UNKNOWN for unknown; None says that all
    packets are `linktype`, which may be None for unknown.

    The arrays are read-only, so that whoever has looked at them once need not again.
    PacketError when one is of another type or length than it must be.
    """

    offsets: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint32]
    wirelens: npt.NDArray[np.uint32]
    linktype: int | None = None
    linktypes: npt.NDArray[np.int32] | None = None
    times_ns: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        import numpy as np

        for name, kind in KINDS.items():
            given = getattr(self, name)
            if given is None:
                continue
            array = np.ascontiguousarray(given).view()
            if array.dtype != kind or array.shape != np.shape(self.offsets):
                raise PacketError(
                    f"{name} has {array.dtype} of shape {array.shape}; "
                    f"{kind} of shape {np.shape(self.offsets)} is wanted"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @cached_property
    def shortest(self) -> int:
        """The least length; 2**32 - 1 where there is no packet."""
        return int(self.lengths.min(initial=0xFFFFFFFF))

    @cached_property
    def end(self) -> int:
        """One past the last byte of any packet; 2**64 where that cannot be."""
        parts = range(0, len(self.offsets), PART)
        return max((self.end_of(slice(first, first + PART)) for first in parts), default=0)

    def end_of(self, part: slice) -> int:
        """The same of some packets."""
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

    @classmethod
    def in_a_row(
        cls,
        lengths: Sequence[int],
        wirelens: Sequence[int],
        linktypes: Sequence[int | None],
        times_ns: Sequence[int | None],
    ) -> Columns:
        """Columns of packets that lie one behind the other.

        An unknown link type becomes the one that all the others share.
        """
        import numpy as np

        known = set(linktypes) - {None}
        default = known.pop() if len(known) == 1 else None
        labels = [default if each is None else each for each in linktypes]
        sizes = np.array(lengths, np.uint32)
        ends = np.cumsum(sizes, dtype=np.uint64)
        return cls(
            offsets=ends - sizes,
            lengths=sizes,
            wirelens=np.array(wirelens, np.uint32),
            times_ns=np.array([NO_TIME if each is None else each for each in times_ns], np.int64),
        ).labelled(np.array([UNKNOWN if each is None else each for each in labels], np.int32))

    def take(self, rows: Any) -> Columns:
        """The columns of some packets: an array of indices or a slice."""
        taken = replace(
            self,
            offsets=self.offsets[rows],
            lengths=self.lengths[rows],
            wirelens=self.wirelens[rows],
            times_ns=None if self.times_ns is None else self.times_ns[rows],
            linktypes=None,
        )
        return taken if self.linktypes is None else taken.labelled(self.linktypes[rows])

    def labelled(self, linktypes: int | npt.NDArray[np.int32]) -> Columns:
        """The same with other link types: one for all, or one a packet."""
        if isinstance(linktypes, int):
            return replace(self, linktype=linktypes, linktypes=None)
        if len(linktypes) and bool((linktypes != linktypes[0]).any()):
            return replace(self, linktype=None, linktypes=linktypes)
        only = int(linktypes[0]) if len(linktypes) else UNKNOWN
        return replace(self, linktype=None if only == UNKNOWN else only, linktypes=None)

    def filled(self, linktype: int) -> Columns:
        """The same with `linktype` where it is unknown."""
        import numpy as np

        if self.linktypes is None:
            return self if self.linktype is not None else self.labelled(linktype)
        if UNKNOWN not in self.linktypes:
            return self
        known = np.where(self.linktypes == UNKNOWN, np.int32(linktype), self.linktypes)
        return self.labelled(known.astype(np.int32))


class Index(NamedTuple):
    """What a look through a file found.

    `columns` of the good packets, which lie before byte `end`; `error`: what is
    wrong there, None when that is the file's end.
    """

    columns: Columns
    end: int
    error: CaptureError | None
