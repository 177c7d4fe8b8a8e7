"""What the hosts of the samples say to each other, in the order they say it.

One thread plays both ends: a socket in each namespace, first one speaks, then
the other.  So a conversation is recorded in the same order every time; ports
are fixed, while the kernel chooses sequence numbers, IP ids and times.
Left out: what is said in DNS and HTTP (`services`), and which conversations
make a sample (`scenes`).

Source: socket(7), ip(7), ipv6(7), tcp(7), udp(7).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from bpfnb.samples.lab import Node

__all__ = [
    "Options",
    "abort",
    "connection",
    "datagram",
    "knock",
    "shout",
    "talk_tcp",
    "talk_udp",
]

# What setsockopt takes: level, option, value.
Options = Sequence[tuple[int, int, int | bytes]]


def address(node: Node, family: int) -> str:
    """Return the host's address of a family."""
    return node.host.ipv4 if family == socket.AF_INET else node.host.ipv6


def ready(node: Node, family: int, kind: int, port: int, options: Options = ()) -> socket.socket:
    """Return a socket of the host, bound to its address and `port`, options set."""
    made = node.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, option, value in options:
        made.setsockopt(level, option, value)
    made.bind((address(node, family), port))
    return made


@contextmanager
def connection(
    client: Node,
    server: Node,
    ports: tuple[int, int],
    family: int = socket.AF_INET,
    options: Options = (),
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect by TCP from `ports[0]` to `ports[1]`; the client closes first."""
    with ready(server, family, socket.SOCK_STREAM, ports[1]) as listener:
        listener.listen()
        near = ready(client, family, socket.SOCK_STREAM, ports[0], options)
        near.connect((address(server, family), ports[1]))
        far, _ = listener.accept()
        far.settimeout(2)
    with far:
        with near:
            yield near, far
        while far.recv(65536):
            pass
    time.sleep(0.05)


def talk_tcp(
    client: Node,
    server: Node,
    ports: tuple[int, int],
    turns: Sequence[tuple[bytes, bytes]],
    family: int = socket.AF_INET,
    options: Options = (),
) -> None:
    """One TCP connection; in each turn the client says something and is answered."""
    with connection(client, server, ports, family, options) as (near, far):
        for question, answer in turns:
            near.sendall(question)
            receive(far, len(question))
            far.sendall(answer)
            receive(near, len(answer))


def receive(end: socket.socket, size: int) -> None:
    """Read `size` bytes."""
    while size:
        size -= len(end.recv(size))


def talk_udp(
    client: Node,
    server: Node,
    ports: tuple[int, int],
    turns: Sequence[tuple[bytes, bytes]],
    family: int = socket.AF_INET,
    options: Options = (),
) -> None:
    """UDP both ways: in each turn the client sends one datagram and gets one back."""
    with (
        ready(client, family, socket.SOCK_DGRAM, ports[0], options) as near,
        ready(server, family, socket.SOCK_DGRAM, ports[1]) as far,
    ):
        for question, answer in turns:
            near.sendto(question, (address(server, family), ports[1]))
            _, sender = far.recvfrom(65536)
            far.sendto(answer, sender)
            near.recv(65536)


def datagram(
    client: Node,
    target: str,
    ports: tuple[int, int],
    data: bytes = b"hello",
    options: Options = (),
) -> None:
    """Send one UDP datagram to an address where perhaps nobody listens."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with ready(client, family, socket.SOCK_DGRAM, ports[0], options) as near:
        near.sendto(data, (target, ports[1]))
        time.sleep(0.1)


def shout(client: Node, target: str, ports: tuple[int, int], data: bytes) -> None:
    """Send one UDP datagram to a broadcast or multicast address, out of eth0."""
    me = socket.inet_aton(client.host.ipv4)
    options = (
        (socket.SOL_SOCKET, socket.SO_BROADCAST, 1),
        (socket.IPPROTO_IP, socket.IP_MULTICAST_IF, me),
    )
    datagram(client, target, ports, data, options)


def knock(client: Node, target: str, ports: tuple[int, int], patience: float = 0.2) -> None:
    """Try to connect to a port that refuses, or to a host that is silent."""
    with ready(client, socket.AF_INET, socket.SOCK_STREAM, ports[0]) as near:
        near.settimeout(patience)
        with suppress(ConnectionRefusedError, TimeoutError):
            near.connect((target, ports[1]))


def abort(client: Node, server: Node, ports: tuple[int, int]) -> None:
    """Connect, say something, and drop the connection by a reset."""
    with suppress(ConnectionResetError), connection(client, server, ports) as (near, far):
        near.sendall(b"never mind")
        receive(far, 10)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
