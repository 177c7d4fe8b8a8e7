"""Loads that do not simply fit into the packet, as Linux takes them.

    ld [k]      with k of an extension: one of the kernel's notes, or a helper's answer
    ld [k]      from NET_OFF on: bytes counted from the network header
    ld [k]      from LL_OFF on: bytes counted from the link header

Anything else lies past the end.  Left out: loads inside the packet (`machine`).

Source: linux/filter.h (SKF_NET_OFF, SKF_LL_OFF), net/core/filter.c
(bpf_internal_load_pointer_neg_helper), checked against the kernel in the tests.
"""

from __future__ import annotations

from collections.abc import Callable

from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF, UNIX_SOCKET, Ancillary
from bpfnb.cbpf.payload import find_attribute, find_nested_attribute, payload_offset

__all__ = ["Notes", "extension", "far_load", "place"]

# The kernel's notes, or what makes them when an instruction asks; None: UNIX_SOCKET.
Notes = Ancillary | Callable[[], Ancillary] | None


def known(notes: Notes) -> Ancillary:
    """The notes themselves."""
    if notes is None:
        return UNIX_SOCKET
    return notes() if callable(notes) else notes


def place(k: int, size: int, P: bytes, notes: Notes) -> int | None:
    """Where in the packet the `size` bytes at offset k begin; None: not all are in it.

    >>> place(NET_OFF + 9, 1, bytes(34), Ancillary(net_offset=14))
    23
    """
    start: int | None = k
    if k >= NET_OFF:
        start = known(notes).net_offset + k - NET_OFF
    elif k >= LL_OFF:
        link = known(notes).link_offset
        start = None if link is None else link + k - LL_OFF
    return start if start is not None and 0 <= start <= len(P) - size else None


def far_load(k: int, size: int, P: bytes, notes: Notes) -> int | None:
    """P[k:size] with k from a header, in network order; None past the end."""
    start = place(k, size, P, notes)
    return None if start is None else int.from_bytes(P[start : start + size], "big")


def extension(k: int, A: int, X: int, P: bytes, notes: Notes) -> int | None:
    """What the extension k reads, in 32 bits; None where the packet has no device."""
    value = READERS[BY_K[k].name](A, X, P, known(notes))
    return None if value is None else int(value) & 0xFFFFFFFF


READERS: dict[str, Callable[[int, int, bytes, Ancillary], int | None]] = {
    "proto": lambda A, X, P, notes: notes.proto,
    "type": lambda A, X, P, notes: notes.pkttype,
    "ifidx": lambda A, X, P, notes: notes.ifindex,
    "nla": lambda A, X, P, notes: find_attribute(P, A, X),
    "nlan": lambda A, X, P, notes: find_nested_attribute(P, A, X),
    "mark": lambda A, X, P, notes: notes.mark,
    "queue": lambda A, X, P, notes: notes.queue,
    "hatype": lambda A, X, P, notes: notes.hatype,
    "rxhash": lambda A, X, P, notes: notes.rxhash,
    "cpu": lambda A, X, P, notes: notes.cpu,
    "alu_xor_x": lambda A, X, P, notes: A ^ X,
    "vlan_tci": lambda A, X, P, notes: notes.vlan_tci,
    "vlan_avail": lambda A, X, P, notes: notes.vlan_present,
    "poff": lambda A, X, P, notes: payload_offset(
        P, notes.proto, notes.net_offset, notes.vlan_present
    ),
    "rand": lambda A, X, P, notes: notes.random(),
    "vlan_tpid": lambda A, X, P, notes: notes.vlan_tpid,
}
