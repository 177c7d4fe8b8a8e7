"""All scenes by the name of their sample, and the one that has a bit of each.

Left out: the running of scenes, which `record` does.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from bpfnb.samples.headers import DESTINATION, HOP_BY_HOP, PADDING, ip_options
from bpfnb.samples.hosts import BOB, BROADCAST, NOBODY
from bpfnb.samples.lab import Lab
from bpfnb.samples.scenes_ip import IP_SCENES, headed
from bpfnb.samples.scenes_link import LINK_SCENES, VLAN_10, tag_both
from bpfnb.samples.services import FINGER, GET, LONG_TEXT, ask_dns, browse, lookups
from bpfnb.samples.talk import datagram, knock, shout, talk_tcp, talk_udp

__all__ = ["SCENES"]


def mixed(lab: Lab) -> None:
    alice, bob = hosts = lab.pair(ipv6=True)
    for last, node in enumerate(hosts, start=1):
        node.ip(f"addr add 198.51.100.{last}/24 dev eth0")
    tag_both(lab, hosts, "vlan10", VLAN_10, "203.0.113")
    second = alice.at("198.51.100.1"), bob.at("198.51.100.2")
    tagged = alice.at("203.0.113.1"), bob.at("203.0.113.2")
    with lab.capture(alice, "eth0"):
        alice.ping(BOB.ipv4, count=2)
        alice.ping(BOB.ipv6)
        lookups(alice, bob)
        browse(alice, bob, ("/",))
        talk_tcp(alice, bob, (51001, 79), [FINGER])
        for port in (23, 513, 514):
            knock(alice, BOB.ipv4, (51002, port))
        alice.ping("198.51.100.2")
        ask_dns(*second, 51003, "bob.example", "TXT", LONG_TEXT)
        alice.ping("203.0.113.2")
        ask_dns(*tagged, 51004, "bob.example", "A", [socket.inet_aton(BOB.ipv4)])
        talk_udp(alice, bob, (51005, 7), [(bytes(4000), b"got it")])
        talk_tcp(alice, bob, (51006, 79), [FINGER], options=ip_options(PADDING))
        headed(alice, bob, 51007, HOP_BY_HOP, DESTINATION)
        talk_tcp(alice, bob, (51008, 80), [GET], socket.AF_INET6)
        datagram(alice, BOB.ipv4, (51009, 9))
        shout(alice, BROADCAST, (51010, 9), b"hello, everybody")
        alice.ping(NOBODY)
        time.sleep(2.2)  # the third unanswered ARP request


SCENES: dict[str, Callable[[Lab], None]] = {"mixed": mixed, **IP_SCENES, **LINK_SCENES}
