"""Scenes where the link layer is the point: tags, labels, tunnels, odd devices.

A scene takes an empty `Lab` and leaves its capture at `lab.path`.  Left out:
VLAN and MPLS devices of the kernel; see `lab`.

Source: ip-link(8), tcpdump(8), IEEE 802.1D, RFC 7348 (VXLAN).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bpfnb.samples.hosts import ALICE, BOB, BROADCAST, GROUP
from bpfnb.samples.lab import Lab, Node
from bpfnb.samples.services import GET, HELLO
from bpfnb.samples.tagging import Tag, mpls, vlans
from bpfnb.samples.talk import shout, talk_tcp, talk_udp

__all__ = ["LINK_SCENES", "VLAN_10", "tag_both"]

VLAN_10, VLAN_20 = vlans((0x8100, 10)), vlans((0x8100, 20), priority=5)
QINQ = vlans((0x88A8, 100), (0x8100, 10))


def tag_both(lab: Lab, hosts: tuple[Node, Node], device: str, tag: Tag, network: str) -> None:
    """Give both hosts a tagging device, with the addresses .1 and .2 of a network."""
    for last, node in enumerate(hosts, start=1):
        lab.tagged(node, device, tag, f"{network}.{last}/24")


def vlan(lab: Lab) -> None:
    alice, bob = hosts = lab.pair()
    tag_both(lab, hosts, "vlan10", VLAN_10, "198.51.100")
    tag_both(lab, hosts, "vlan20", VLAN_20, "203.0.113")
    with lab.capture(alice, "eth0"):
        alice.ping(BOB.ipv4)
        alice.ping("198.51.100.2")
        alice.ping("203.0.113.2")
        converse_on(alice, bob, "198.51.100", 49001)


def converse_on(alice: Node, bob: Node, network: str, port: int) -> None:
    """UDP and TCP between the addresses .1 and .2 of a network."""
    near, far = alice.at(f"{network}.1"), bob.at(f"{network}.2")
    talk_udp(near, far, (port, 7), [HELLO])
    talk_tcp(near, far, (port, 80), [GET])


def qinq(lab: Lab) -> None:
    alice, bob = hosts = lab.pair()
    tag_both(lab, hosts, "inner10", QINQ, "198.51.100")
    with lab.capture(alice, "eth0"):
        alice.ping("198.51.100.2")
        converse_on(alice, bob, "198.51.100", 49002)


def labelled(lab: Lab) -> None:
    alice, bob = hosts = lab.pair()
    for device, tag, network in (
        ("one", mpls(100), "198.51.100"),
        ("two", mpls(1000, 200), "203.0.113"),
    ):
        tag_both(lab, hosts, device, tag, network)
        alice.ip(f"neigh add {network}.2 lladdr {BOB.mac} dev {device}")
        bob.ip(f"neigh add {network}.1 lladdr {ALICE.mac} dev {device}")
    with lab.capture(alice, "eth0"):
        for network in ("198.51.100", "203.0.113"):
            alice.ping(f"{network}.2")
            converse_on(alice, bob, network, 49003)


def vxlan(lab: Lab) -> None:
    alice, bob = hosts = lab.pair()
    for last, (node, other) in enumerate(((alice, BOB), (bob, ALICE)), start=1):
        node.ip(
            f"link add overlay address 00:00:5e:00:53:1{last} type vxlan id 42 dstport 4789 "
            f"local {node.host.ipv4} remote {other.ipv4} dev eth0"
        )
        node.plain("overlay")
        node.ip(f"addr add 198.51.100.{last}/24 dev overlay")
        node.ip("link set overlay up")
    with lab.capture(alice, "eth0"):
        alice.ping("198.51.100.2")
        converse_on(*hosts, "198.51.100", 49004)


def stp(lab: Lab) -> None:
    alice, bob = lab.pair()
    bob.ip(f"link add bridge0 address {BOB.mac} type bridge stp_state 1 hello_time 100")
    bob.ip("link set eth0 master bridge0")
    bob.ip("link set bridge0 up")
    with lab.capture(alice, "eth0"):
        time.sleep(3.5)


def loopback(lab: Lab) -> None:
    alice = lab.node(ALICE)
    alice.sysctl("ipv6/conf/lo/disable_ipv6", 0)
    home = alice.at("127.0.0.1")
    with lab.capture(alice, "lo"):
        alice.ping("127.0.0.1")
        alice.ping("::1")
        talk_udp(home, home, (50001, 7), [HELLO])
        talk_tcp(home, home, (50002, 80), [GET])


def every_interface(lab: Lab) -> None:
    alice, bob = lab.pair(ipv6=True)
    with lab.capture(alice, "any"):
        alice.ping(BOB.ipv4)
        alice.ping(ALICE.ipv4)
        alice.ping(BOB.ipv6)
        shout(alice, BROADCAST, (50003, 9), b"hello, everybody")
        shout(bob, BROADCAST, (50003, 9), b"hello, everybody")
        shout(bob, GROUP, (50003, 9), b"hello, everybody")


def raw(lab: Lab) -> None:
    alice, bob = lab.node(ALICE), lab.node(BOB)
    lab.tunnel(alice, bob)
    lab.ipv6(alice, bob, device="tun0")
    with lab.capture(alice, "tun0"):
        alice.ping(BOB.ipv4)
        alice.ping(BOB.ipv6)
        talk_udp(alice, bob, (50004, 7), [HELLO])
        talk_tcp(alice, bob, (50005, 80), [GET])


LINK_SCENES: dict[str, Callable[[Lab], None]] = {
    "vlan": vlan,
    "qinq": qinq,
    "mpls": labelled,
    "vxlan": vxlan,
    "stp": stp,
    "loopback": loopback,
    "any": every_interface,
    "raw": raw,
}
