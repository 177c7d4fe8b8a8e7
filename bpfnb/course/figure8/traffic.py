"""Traffic of many hosts on one Ethernet, made up: what a monitor on a campus might see.

    campus()          3,000 frames, the same on every machine

The paper's traces, from Berkeley, are not to be had, and it does not say what was in
them.  So the shares below are ours, and only the kinds are of that time: remote logins,
mail and news by TCP, files by NFS in fragments of UDP, ARP, and protocols that are not
IP.  Few packets are Alice's or Bob's, and fewer go between the two.

Of each frame the first 68 bytes are kept, as tcpdump did by default then; `wirelen` is
the whole.  Left out: payloads, checksums, conversations that make sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from struct import pack
from typing import TypeVar

from bpfnb.packets.linktype import EN10MB
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.samples.hosts import ALICE, BOB

__all__ = ["SHARES", "campus"]

FRAMES, SEED, SNAPLEN, SMALLEST = 3000, 1993, 68, 60
HOSTS = (ALICE.ipv4, BOB.ipv4, *(f"192.0.2.{number}" for number in range(10, 70)))
SELDOM = 0.03  # of all hosts drawn: Alice, and as often Bob
PAIR = 0.01  # of all packets: from one of the two to the other
TCP_PORTS = (23, 23, 23, 513, 514, 25, 25, 119, 119, 20, 21, 6000, 6000, 79, 53)
UDP_PORTS = (53, 53, 520, 513, 123, 69)
SIZES = (0, 0, 0, 1, 1, 2, 40, 128, 512, 512, 1024, 1460)  # bytes of data
BLOCK = 8192 + 128  # NFS: a block of a file and what is said of it
FOREIGN = (0x6003, 0x6004, 0x809B, 0x80F3, 0x0600, 0x8137)  # DECnet, LAT, AppleTalk, XNS, IPX

T = TypeVar("T")


class Drawn:
    """Chance that is the same everywhere: Python promises that of random() alone."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        return int(self.random() * limit)

    def of(self, row: tuple[T, ...]) -> T:
        """One of a row."""
        return row[self.below(len(row))]

    def hosts(self) -> tuple[int, int]:
        """The numbers of two hosts, from and to."""
        if self.random() < PAIR:
            return self.of(((0, 1), (1, 0)))
        source = target = self.host()
        while target == source:
            target = self.host()
        return source, target

    def host(self) -> int:
        """The number of a host."""
        drawn = self.random()
        return int(drawn / SELDOM) if drawn < 2 * SELDOM else 2 + self.below(len(HOSTS) - 2)


Maker = Callable[[Drawn, int, int], tuple[int, bytes, int]]  # EtherType, bytes, all bytes


def campus(frames: int = FRAMES, seed: int = SEED) -> PacketBatch:
    """So many frames, a millisecond apart.

    >>> campus(), campus(60)[7].data[:14].hex() == campus(60)[7].data[:14].hex()
    (<PacketBatch: 3000 packets, EN10MB>, True)
    """
    drawn = Drawn(seed)
    kinds = tuple(kind for kind, share in SHARES.items() for _ in range(share))
    found = []
    for at in range(frames):
        source, target = drawn.hosts()
        proto, body, size = MAKERS[drawn.of(kinds)](drawn, source, target)
        head = mac(target) + mac(source) + pack("!H", proto)
        data = (head + body[:size]).ljust(SMALLEST, b"\0")[:SNAPLEN]
        wirelen = max(len(head) + size, SMALLEST)
        found.append(Packet(data, wirelen, None, EN10MB, at * 1_000_000))
    return PacketBatch.of(found)


def mac(host: int) -> bytes:
    """A host's address on the Ethernet; the first two are Alice's and Bob's."""
    return bytes((0, 0, 0x5E, 0, 0x53, host + 1))


def address(host: int) -> bytes:
    """A host's IPv4 address."""
    return bytes(map(int, HOSTS[host].split(".")))


def ip(
    protocol: int, source: int, target: int, segment: bytes, size: int,
    fragment: int = 0, options: bytes = b"",
) -> tuple[int, bytes, int]:  # fmt: skip
    """An IPv4 packet with a segment of `size` bytes."""
    words = 5 + len(options) // 4
    length = 4 * words + size
    head = pack("!BBHHHBBH", 0x40 | words, 0, length, 1, fragment, 60, protocol, 0)
    return 0x0800, head + address(source) + address(target) + options + segment, length


def tcp(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """A segment to or from a service, now and then behind four bytes of options."""
    ports = (1024 + drawn.below(4000), drawn.of(TCP_PORTS))
    ports = ports[::-1] if drawn.below(2) else ports
    size = 20 + drawn.of(SIZES)
    options = bytes(4) if not drawn.below(50) else b""
    head = pack("!HHIIHHHH", *ports, drawn.below(1 << 31), drawn.below(1 << 31), 0x5010, 4096, 0, 0)
    return ip(6, source, target, head + bytes(8), size, 0, options)


def udp(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """A question or an answer of a small service."""
    ports = (1024 + drawn.below(4000), drawn.of(UDP_PORTS))
    ports = ports[::-1] if drawn.below(2) else ports
    size = 8 + 30 + drawn.below(200)
    return ip(17, source, target, pack("!HHHH", *ports, size, 0) + bytes(30), size)


def nfs(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """A call by NFS, or one of the six fragments of a block."""
    place = drawn.below(9)
    if place > 5:
        size = 8 + 100 + drawn.below(40)
        return ip(17, source, target, pack("!HHHH", 1023, 2049, size, 0) + bytes(40), size)
    size = min(1480, 8 + BLOCK - 1480 * place)
    more = 0x2000 if place < 5 else 0
    data = pack("!HHHH", 2049, 1023, 8 + BLOCK, 0) if not place else b"data" * 10
    return ip(17, source, target, data.ljust(40, b"\0"), size, more | 185 * place)


def icmp(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """A ping or its answer."""
    return ip(1, source, target, bytes((drawn.of((0, 8)),)) + bytes(40), 64)


def arp(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """Who has whose address?  Requests, and half as many answers."""
    op = drawn.of((1, 1, 2))
    body = pack("!HHBBH", 1, 0x0800, 6, 4, op) + mac(source) + address(source)
    return 0x0806, body + (mac(target) if op == 2 else bytes(6)) + address(target), 28


def rarp(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """What is my address?  An answer."""
    del drawn
    body = pack("!HHBBH", 1, 0x0800, 6, 4, 4) + mac(source) + address(source)
    return 0x8035, body + mac(target) + address(target), 28


def foreign(drawn: Drawn, source: int, target: int) -> tuple[int, bytes, int]:
    """A protocol that is not IP."""
    del source, target
    return drawn.of(FOREIGN), bytes(drawn.below(256) for _ in range(50)), 50 + drawn.below(500)


SHARES: Mapping[str, int] = {
    "tcp": 44, "nfs": 26, "udp": 10, "icmp": 2, "arp": 5, "rarp": 1, "foreign": 12,
}  # fmt: skip
MAKERS: Mapping[str, Maker] = {
    "tcp": tcp, "nfs": nfs, "udp": udp, "icmp": icmp, "arp": arp, "rarp": rarp,
    "foreign": foreign,
}  # fmt: skip
