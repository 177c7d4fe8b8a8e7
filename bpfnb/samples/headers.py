"""IPv4 options and IPv6 extension headers, for sockets of the samples.

Left out: source routes, which Linux does not accept unless told to.

Source: RFC 791 (options), RFC 8200 (extension headers), ip(7), ipv6(7).
"""

from __future__ import annotations

import socket

from bpfnb.samples.talk import Options

__all__ = [
    "DESTINATION",
    "HOP_BY_HOP",
    "LONG_DESTINATION",
    "PADDING",
    "RECORD_ROUTE",
    "TIMESTAMP",
    "extensions",
    "ip_options",
]

# Record route with room for two, a timestamp with room for two, four no-operations.
RECORD_ROUTE = bytes([7, 11, 4, *bytes(8), 0])
TIMESTAMP = bytes([68, 12, 5, 0, *bytes(8)])
PADDING = bytes([1, 1, 1, 1])

# The first byte, next header, is left to the kernel.  Hop-by-hop with router
# alert; destination options of 8 and of 24 bytes with an experimental option
# (0x1e, RFC 4727) that receivers skip.
HOP_BY_HOP = bytes([0, 0, 5, 2, 0, 0, 1, 0])
DESTINATION = bytes([0, 0, 0x1E, 4, 1, 2, 3, 4])
LONG_DESTINATION = bytes([0, 2, 0x1E, 20, *range(20)])


def ip_options(data: bytes) -> Options:
    """Return the socket option that puts IPv4 options into each header."""
    return ((socket.IPPROTO_IP, socket.IP_OPTIONS, data),)


def extensions(hop: bytes = b"", destination: bytes = b"") -> Options:
    """Return the socket options that put extension headers into each packet."""
    rows = ((socket.IPV6_HOPOPTS, hop), (socket.IPV6_DSTOPTS, destination))
    return tuple((socket.IPPROTO_IPV6, option, data) for option, data in rows if data)
