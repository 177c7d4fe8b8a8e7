"""What counts as the same answer of two programs on one packet.

    "ret"       the same number
    "kept"      as many bytes of the packet kept, and both accept or both reject
    "verdict"   both accept or both reject

Left out: all packets at once (`equivalence`).
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Same", "tells_apart", "told"]

Same = Literal["ret", "kept", "verdict"]


def tells_apart(same: Same, p: int, q: int, caplen: int) -> bool:
    """Whether two rets on a packet of `caplen` bytes count as different.

    >>> tells_apart("ret", 60, 99, 42), tells_apart("kept", 60, 99, 42)
    (True, False)
    """
    if same == "ret" or p == q:
        return p != q
    if same == "kept" and min(p, caplen) != min(q, caplen):
        return True
    return bool(p) != bool(q)


def told(same: Same, ret: int, caplen: int) -> str:
    """What a ret does to the packet, as far as it counts: "accepts it".

    >>> told("kept", 60, 42), told("ret", 60, 42)
    ('keeps 42 bytes of it', 'returns 60')
    """
    if same == "ret":
        return f"returns {ret:,}"
    if same == "kept" and ret:
        return f"keeps {min(ret, caplen):,} bytes of it"
    return "accepts it" if ret else "rejects it"
