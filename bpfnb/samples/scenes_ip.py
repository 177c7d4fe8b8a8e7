"""Scenes on a plain wire: one function a capture, for IP and what it carries.

A scene takes an empty `Lab` and leaves its capture at `lab.path`.  Networks
beyond the hosts' own are 198.51.100.0/24 and 203.0.113.0/24, set aside for
documentation too (RFC 5737).  Left out: the stories, which `bpfnb.samples`
tells.

Source: ping(8), ip(7), ipv6(7), ip-route(8), RFC 791, RFC 8200.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from bpfnb.samples.headers import (
    DESTINATION,
    HOP_BY_HOP,
    LONG_DESTINATION,
    PADDING,
    RECORD_ROUTE,
    TIMESTAMP,
    extensions,
    ip_options,
)
from bpfnb.samples.hosts import ALICE, BOB, BROADCAST, GROUP, NOBODY
from bpfnb.samples.lab import Lab, Node
from bpfnb.samples.services import FINGER, GET, HELLO, LONG_TEXT, ask_dns, browse, lookups
from bpfnb.samples.talk import (
    abort,
    connection,
    datagram,
    knock,
    shout,
    talk_tcp,
    talk_udp,
)

__all__ = ["IP_SCENES", "headed"]


def arp(lab: Lab) -> None:
    alice, _ = lab.pair()
    with lab.capture(alice, "eth0"):
        alice.ping(BOB.ipv4)
        alice.ping(NOBODY)
        time.sleep(2.2)


def ping(lab: Lab) -> None:
    alice, _ = lab.pair()
    with lab.capture(alice, "eth0"):
        alice.ping(BOB.ipv4, count=3)


def icmp_errors(lab: Lab) -> None:
    alice, bob = lab.pair()
    for network in ("198.51.100.0/24", "203.0.113.0/24"):
        alice.ip(f"route add {network} via {BOB.ipv4}")
    bob.sysctl("ipv4/ip_forward", 1)
    bob.ip("route add unreachable 198.51.100.8")
    bob.ip("route add prohibit 198.51.100.9")
    bob.ip(f"route add 203.0.113.0/24 via {ALICE.ipv4} mtu lock 600")
    with lab.capture(alice, "eth0"):
        datagram(alice, BOB.ipv4, (40001, 9))
        alice.ping("203.0.113.7", "-t", "1")
        for last in (7, 8, 9):
            time.sleep(1.1)  # Linux says "no route" once a second at most
            datagram(alice, f"198.51.100.{last}", (40002, 9))
        datagram(alice, "203.0.113.7", (40003, 9), bytes(1000))
        with alice.socket(socket.AF_INET, socket.SOCK_RAW, 253) as raw:
            raw.sendto(b"hello", (BOB.ipv4, 0))
            time.sleep(0.1)


def dns(lab: Lab) -> None:
    alice, bob = lab.pair()
    with lab.capture(alice, "eth0"):
        lookups(alice, bob)
        ask_dns(alice, bob, 41004, "bob.example", "TXT", LONG_TEXT)


def http(lab: Lab) -> None:
    alice, bob = lab.pair()
    with lab.capture(alice, "eth0"):
        browse(alice, bob)


def snapped(lab: Lab) -> None:
    alice, bob = lab.pair()
    with lab.capture(alice, "eth0", "-s", "60"):
        lookups(alice, bob)
        browse(alice, bob)


def tcp(lab: Lab) -> None:
    alice, bob = lab.pair()
    alice.ip(f"neigh add {NOBODY} lladdr 00:00:5e:00:53:99 dev eth0")
    with lab.capture(alice, "eth0"):
        talk_tcp(alice, bob, (43001, 7), [HELLO])
        with connection(alice, bob, (43002, 7)) as (near, far):
            far.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            near.send(b"!", socket.MSG_OOB)
            far.recv(1)
        knock(alice, BOB.ipv4, (43003, 9))
        abort(alice, bob, (43004, 7))
        knock(alice, NOBODY, (43005, 7), patience=3.5)


def udp(lab: Lab) -> None:
    alice, bob = lab.pair()
    with lab.capture(alice, "eth0"):
        turns = [(b"x" * size, b"y" * size) for size in (0, 1, 2, 100, 1000, 1472)]
        talk_udp(alice, bob, (44001, 7), turns)
        for target in (BROADCAST, GROUP):
            shout(alice, target, (44002, 9), b"hello, everybody")


def fragments(lab: Lab) -> None:
    alice, bob = lab.pair()
    with lab.capture(alice, "eth0"):
        talk_udp(alice, bob, (45001, 7), [(bytes(4000), b"got it"), (b"again", bytes(2000))])
        alice.ping(BOB.ipv4, "-s", "3000")


def optioned(lab: Lab) -> None:
    alice, bob = lab.pair()
    group = socket.inet_aton(GROUP) + socket.inet_aton(BOB.ipv4)
    member = bob.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with member, lab.capture(alice, "eth0"):
        alice.ping(BOB.ipv4)
        alice.ping(BOB.ipv4, "-R")
        alice.ping(BOB.ipv4, "-T", "tsonly")
        for port, data in ((46001, PADDING), (46002, RECORD_ROUTE), (46003, TIMESTAMP)):
            talk_udp(alice, bob, (port, 7), [HELLO], options=ip_options(data))
        talk_tcp(alice, bob, (46004, 79), [FINGER], options=ip_options(PADDING + RECORD_ROUTE))
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        time.sleep(1.5)  # until the second report: both come within a second


def ipv6(lab: Lab) -> None:
    alice, bob = lab.pair(ipv6=True)
    with lab.capture(alice, "eth0"):
        alice.ping(BOB.ipv6, count=2)
        answers = [socket.inet_pton(socket.AF_INET6, BOB.ipv6)]
        ask_dns(alice, bob, 47001, "bob.example", "AAAA", answers, socket.AF_INET6)
        talk_tcp(alice, bob, (47002, 80), [GET], socket.AF_INET6)
        datagram(alice, BOB.ipv6, (47003, 9))


def ndp(lab: Lab) -> None:
    alice, bob = lab.node(ALICE), lab.node(BOB)
    lab.wire(alice, bob, address=False)
    lab.ipv6(bob)
    alice.sysctl("ipv6/conf/eth0/dad_transmits", 1)
    alice.sysctl("ipv6/conf/eth0/router_solicitations", 1)
    alice.sysctl("ipv6/conf/eth0/router_solicitation_delay", 0)
    with lab.capture(bob, "eth0"):
        lab.ipv6(alice)
        alice.ping(BOB.ipv6)
        alice.ping("2001:db8::99")
        time.sleep(2.2)


def headed(
    alice: Node, bob: Node, port: int, hop: bytes, destination: bytes, size: int = 5
) -> None:
    """One UDP datagram with extension headers, and its plain answer."""
    options = extensions(hop, destination)
    talk_udp(alice, bob, (port, 7), [(bytes(size), b"hello")], socket.AF_INET6, options)


def ipv6_extensions(lab: Lab) -> None:
    alice, bob = lab.pair(ipv6=True)
    with lab.capture(alice, "eth0"):
        headed(alice, bob, 48001, b"", b"")
        headed(alice, bob, 48002, HOP_BY_HOP, b"")
        headed(alice, bob, 48003, b"", DESTINATION)
        headed(alice, bob, 48004, HOP_BY_HOP, LONG_DESTINATION)
        headed(alice, bob, 48005, b"", b"", 3000)
        headed(alice, bob, 48006, HOP_BY_HOP, DESTINATION, 3000)
        options = extensions(HOP_BY_HOP, DESTINATION)
        talk_tcp(alice, bob, (48007, 80), [GET], socket.AF_INET6, options)


IP_SCENES: dict[str, Callable[[Lab], None]] = {
    "arp": arp,
    "ping": ping,
    "icmp_errors": icmp_errors,
    "udp": udp,
    "dns": dns,
    "tcp": tcp,
    "http": http,
    "snapped": snapped,
    "fragments": fragments,
    "ip_options": optioned,
    "ipv6": ipv6,
    "ndp": ndp,
    "ipv6_extensions": ipv6_extensions,
}
