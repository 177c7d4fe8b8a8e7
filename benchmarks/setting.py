"""What all measurements share: the packets, the programs, how many rounds.

Packets are measured in two states: the capture, mapped, with all its pages in
memory but far more than a cache holds; and 2,000 of its packets, gone through a
hundred times in a call, which stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import bpfnb
from bpfnb.face import Program
from bpfnb.packets.capture import Capture
from bpfnb.packets.columns import Columns
from bpfnb.packets.packet import PacketBatch
from filters import expressions
from traffic import MILLION, QUICK, capture

__all__ = ["InMemory", "Setting"]

HOT = 2_000  # packets that stay in the cache
AGAIN = 100  # times that a call goes through them


@dataclass(frozen=True)
class InMemory:
    """A batch and what a loop in C is handed: where everything lies."""

    where: str
    batch: PacketBatch

    def __len__(self) -> int:
        return len(self.batch)

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """The buffer's bytes and the three columns."""
        columns = self.batch.columns
        return {
            "base": np.frombuffer(self.batch.buffer, np.uint8),
            "offsets": np.ascontiguousarray(columns.offsets, np.uint64),
            "lengths": np.ascontiguousarray(columns.lengths, np.uint32),
            "wirelens": np.ascontiguousarray(columns.wirelens, np.uint32),
        }


@dataclass(frozen=True)
class Setting:
    """`quick`: fewer packets and rounds; `folder`: where files may be made."""

    quick: bool
    folder: Path

    @property
    def packets(self) -> int:
        """How many the capture has."""
        return QUICK if self.quick else MILLION

    def rounds(self, usual: int) -> int:
        """So many, but three when quick."""
        return 3 if self.quick else usual

    @cached_property
    def programs(self) -> dict[str, Program]:
        """The six."""
        return expressions()

    def label(self, name: str) -> str:
        """A filter's name and size, for the table."""
        return f"{name}, {len(self.programs[name])} instructions"

    @cached_property
    def path(self) -> Path:
        """The capture file; making it reads it, so it is in the page cache."""
        return capture(self.folder, self.packets)

    @cached_property
    def mapped(self) -> InMemory:
        """The capture, opened and indexed."""
        return InMemory(f"{self.packets:,} packets", self.opened)

    @cached_property
    def opened(self) -> Capture:
        """The capture itself."""
        return bpfnb.open_capture(self.path)

    @cached_property
    def hot_packets(self) -> list[bytes]:
        """2,000 packets, from all over the capture."""
        return [self.opened[at].data for at in range(0, self.packets, self.packets // HOT)]

    @cached_property
    def hot(self) -> InMemory:
        """The same in one buffer, a hundred times in the columns."""
        sizes = np.array([len(each) for each in self.hot_packets], np.uint32)
        ends = np.cumsum(sizes, dtype=np.uint64)
        lengths = np.tile(sizes, AGAIN)
        columns = Columns(np.tile(ends - sizes, AGAIN), lengths, lengths, self.opened.linktype)
        batch = PacketBatch(b"".join(self.hot_packets), columns)
        return InMemory(f"{HOT:,} packets in the cache", batch)
