"""The headers of the packets that are measured, a row a packet.

Each maker takes random words, shape (len(WORD), n), and the packets' sizes in bytes,
and returns their headers: uint8 of shape (n, header bytes), every packet of a kind
having headers of one length.  KINDS has the makers, how many packets of a
thousand are of each kind, and how long such a packet is at least.
Left out: checksums, which stay 0.

Source: the RFCs of the headers; IEEE 802.1D for the spanning tree's frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.int64]
    Bytes = npt.NDArray[np.uint8]
    Maker = Callable[[Words, npt.NDArray[np.int64]], Bytes]

__all__ = ["KINDS", "WORD", "Kind"]

# What each random word of a packet is for
WORD = {name: row for row, name in enumerate(("kind", "size", "source", "target", "port", "rest"))}
SMALLEST, LARGEST = 60, 1514  # bytes of an Ethernet frame without its check sequence
ETHERNET, TAG, IPV4, IPV6, IN_TCP, IN_UDP = 14, 4, 20, 40, 20, 8
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
FLAGS = np.repeat([0x10, 0x18, 0x02, 0x12, 0x11, 0x04], [52, 32, 4, 4, 6, 2])  # of a hundred
SERVICES = {  # ports, of a hundred packets
    TCP: np.repeat([443, 80, 22, 25, 993, 8080, 3306, 5432], [48, 22, 8, 5, 5, 5, 4, 3]),
    UDP: np.repeat([53, 443, 123, 161, 500, 5060, 51820], [38, 34, 8, 4, 4, 6, 6]),
}
PREFIXES = np.array(  # the upper two bytes of an address: some private, some public
    [0x0A00, 0x0A01, 0xC0A8, 0xAC10, 0xC000, 0xC633, 0xCB00, 0x0808, 0x5DB8, 0x2D21]
)
FRAGMENT_OFFSETS = np.array([185, 370, 555, 740])  # in eights of bytes


def field(values: Any, size: int) -> Bytes:
    """Numbers of `size` bytes, 1 to 8, in network order."""
    wide: Bytes = np.asarray(values).astype(">u8")[:, None].view(np.uint8)
    return wide[:, 8 - size :]


def same(text: str, count: int) -> Bytes:
    """The same bytes, given in hex, for each of `count` packets."""
    return np.tile(np.frombuffer(bytes.fromhex(text), np.uint8), (count, 1))


def ethernet(words: Words, ethertype: str) -> Bytes:
    """Locally administered addresses of a few hosts, and the type (hex)."""
    count = words.shape[1]
    hosts = [same("0200 0000 00", count), field(words[WORD["target"]] % 64, 1)]
    hosts += [same("0200 0000 00", count), field(words[WORD["source"]] % 64, 1)]
    return np.hstack([*hosts, same(ethertype, count)])


def addresses(words: Words) -> tuple[Any, Any]:
    """IPv4 source and target: one of ten networks, any host."""
    drawn = [words[WORD[name]] for name in ("source", "target")]
    source, target = (PREFIXES[each % 10] << 16 | (each >> 32 & 0xFFFF) for each in drawn)
    return source, target


def ipv4(words: Words, length: Any, protocol: int, options: int = 0, late: bool = False) -> Bytes:
    """An IPv4 header with `options` words of no-operations; `late` fragments begin further on."""
    source, target = addresses(words)
    count, rest = words.shape[1], words[WORD["rest"]]
    fragment = FRAGMENT_OFFSETS[rest % 4] if late else np.full(count, 0x4000)
    start = [same(f"{0x45 + options:02x} 00", count), field(length, 2), field(rest >> 16, 2)]
    middle = [field(fragment, 2), same(f"40 {protocol:02x} 0000", count)]
    end = [field(source, 4), field(target, 4), same("01" * 4 * options, count)]
    return np.hstack([*start, *middle, *end])


def ipv6(words: Words, length: Any, protocol: int) -> Bytes:
    """An IPv6 header; the addresses are of 2001:db8::/32."""
    count = words.shape[1]
    start = [same("6000 0000", count), field(length, 2), same(f"{protocol:02x} 40", count)]
    source = [same("2001 0db8 0000 0000", count), field(words[WORD["source"]], 8)]
    target = [same("2001 0db8 0000 0000", count), field(words[WORD["target"]], 8)]
    return np.hstack([*start, *source, *target])


def ports(words: Words, protocol: int) -> Bytes:
    """A service's port and a client's, either way round."""
    word = words[WORD["port"]]
    service, client = SERVICES[protocol][word % 100], 1024 + (word >> 16) % 64512
    upward = (word >> 40 & 1).astype(bool)
    return np.hstack(
        [field(np.where(upward, client, service), 2), field(np.where(upward, service, client), 2)]
    )


def tcp(words: Words) -> Bytes:
    """A TCP header; most have ACK alone, one in seven opens or closes."""
    count, rest = words.shape[1], words[WORD["rest"]]
    start = [ports(words, TCP), field(rest, 4), field(rest >> 32, 4), same("50", count)]
    return np.hstack([*start, field(FLAGS[rest % 100], 1), same("ffff 0000 0000", count)])


def udp(words: Words, length: Any) -> Bytes:
    """A UDP header."""
    return np.hstack([ports(words, UDP), field(length, 2), same("0000", words.shape[1])])


def in_ipv4(words: Words, sizes: Any, protocol: int, options: int = 0, tagged: bool = False) -> Any:
    """TCP, UDP or ICMP in an IPv4 packet, perhaps behind a VLAN tag."""
    below = ETHERNET + TAG * tagged
    vlan = "8100 0007 0800" if tagged else "0800"
    header = ipv4(words, sizes - below, protocol, options)
    return np.hstack([ethernet(words, vlan), header, inner(words, sizes - below - IPV4, protocol)])


def in_ipv6(words: Words, sizes: Any, protocol: int) -> Any:
    """The same in an IPv6 packet."""
    length = sizes - ETHERNET - IPV6
    header = ipv6(words, length, protocol)
    return np.hstack([ethernet(words, "86dd"), header, inner(words, length, protocol)])


def inner(words: Words, length: Any, protocol: int) -> Bytes:
    """The transport header; ICMP's is an echo request's."""
    if protocol == TCP:
        return tcp(words)
    if protocol == UDP:
        return udp(words, length)
    start = "0800 0000" if protocol == ICMP else "8000 0000"
    return np.hstack([same(start, words.shape[1]), field(words[WORD["rest"]], 4)])


def fragment(words: Words, sizes: Any) -> Any:
    """A fragment that is not the first: what follows the IP header is no TCP header."""
    return np.hstack(
        [ethernet(words, "0800"), ipv4(words, sizes - ETHERNET, TCP, late=True), field(words[3], 8)]
    )


def arp(words: Words, sizes: Any) -> Any:
    """An ARP request."""
    count, (source, target) = words.shape[1], addresses(words)
    start = [ethernet(words, "0806"), same("0001 0800 0604 0001 0200 0000 0001", count)]
    return np.hstack([*start, field(source, 4), same("00" * 6, count), field(target, 4)])


def spanning_tree(words: Words, sizes: Any) -> Any:
    """An IEEE 802.3 frame: its type field is a length."""
    return np.hstack([ethernet(words, "0026"), same("4242 03 0000 00 00 00", words.shape[1])])


class Kind(NamedTuple):
    """A kind of packet: `share` of a thousand, `least` to `most` bytes, its headers' `maker`."""

    share: int
    least: int
    maker: Maker
    most: int = LARGEST


KINDS = {
    "tcp": Kind(470, SMALLEST, partial(in_ipv4, protocol=TCP)),
    "udp": Kind(230, SMALLEST, partial(in_ipv4, protocol=UDP)),
    "icmp": Kind(25, SMALLEST, partial(in_ipv4, protocol=ICMP), 98),
    "tcp with options": Kind(15, 70, partial(in_ipv4, protocol=TCP, options=4)),
    "fragment": Kind(20, SMALLEST, fragment),
    "tcp in a vlan": Kind(25, 64, partial(in_ipv4, protocol=TCP, tagged=True)),
    "udp in a vlan": Kind(15, 64, partial(in_ipv4, protocol=UDP, tagged=True)),
    "tcp over ipv6": Kind(90, 74, partial(in_ipv6, protocol=TCP)),
    "udp over ipv6": Kind(50, 62, partial(in_ipv6, protocol=UDP)),
    "icmp over ipv6": Kind(15, 62, partial(in_ipv6, protocol=ICMP6), 118),
    "arp": Kind(25, SMALLEST, arp, SMALLEST),
    "spanning tree": Kind(20, SMALLEST, spanning_tree, SMALLEST),
}
