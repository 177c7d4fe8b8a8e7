"""Linux hosts on a wire, in network namespaces of their own, and tcpdump beside.

A `Lab` makes namespaces, joins them with veth pairs and takes everything away
again when it is left, whatever happened.  A `Node` is one host in it: programs
and sockets run inside its namespace.  The stacks are the kernel's; nothing
here leaves the namespaces.

Left out: VLAN and MPLS devices of the kernel, which many kernels lack.
`Lab.tagged` makes them in user space: a TAP device whose frames a thread tags
and sends through the real wire.

Source: ip-netns(8), veth(4), packet(7), linux/if_tun.h, linux/ethtool.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from bpfnb.errors import UnavailableError
from bpfnb.samples.hosts import ALICE, BOB, Host
from bpfnb.samples.tagging import PACKET_AUXDATA, SOL_PACKET, Tag, read_frame

__all__ = ["Lab", "Node", "inside"]

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0001, 0x0002, 0x1000
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO = 0x17, 0x1F, 0x24, 0x2C
SETTLE = 2.5  # seconds until IPv6's first reports are over (RFC 3810: within one)


def command(*words: str) -> str:
    """Run a program, return what it printed; its complaint becomes an error."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        said = one_line(done.stderr or done.stdout)
        raise UnavailableError(f"`{' '.join(words)}` failed: {said}")
    return done.stdout


def one_line(text: str) -> str:
    """Return a program's complaint in one line."""
    return "; ".join(text.split("\n")).strip("; ")


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in the namespace `namespace`; sockets made meanwhile stay in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as away:
        if libc.setns(away.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {namespace}")
        try:
            yield
        finally:
            if libc.setns(home.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns back home")


@dataclass(frozen=True)
class Node:
    """One host: a namespace and the addresses it has there."""

    namespace: str
    host: Host

    def run(self, *words: str) -> str:
        """Run a program in this host and return what it printed."""
        return command("ip", "netns", "exec", self.namespace, *words)

    def ping(self, target: str, *options: str, count: int = 1) -> None:
        """Send echo requests by the ping program; no answer is no error."""
        words = ("ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", *options, target)
        prefix = ("ip", "netns", "exec", self.namespace)
        subprocess.run(prefix + words, capture_output=True, timeout=30, check=False)

    def ip(self, words: str) -> None:
        """Configure this host by one command of the ip program."""
        command("ip", "-n", self.namespace, *words.split())

    def sysctl(self, key: str, value: int) -> None:
        """Set a network sysctl of this host: `key` as a path below /proc/sys/net."""
        with inside(self.namespace):
            Path("/proc/sys/net", key).write_text(f"{value}\n")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket of this host, with a time-out of two seconds."""
        with inside(self.namespace):
            made = socket.socket(family, kind, protocol)
        made.settimeout(2)
        return made

    def at(self, ipv4: str) -> Node:
        """Return this host, speaking from another of its IPv4 addresses."""
        return Node(self.namespace, replace(self.host, ipv4=ipv4))

    def plain(self, device: str) -> None:
        """Let this host fill in checksums and cut segments itself.

        A veth device passes both on to hardware that is not there, and a
        capture would show what no wire ever carries.
        """
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
            for order in (ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM):
                value = ctypes.create_string_buffer(struct.pack("=II", order, 0))
                request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
                fcntl.ioctl(ask, SIOCETHTOOL, request)


class Lab:
    """Namespaces for one scene; leaving it removes them and stops its programs.

    `path` is where `capture` writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def node(self, host: Host) -> Node:
        """Make a host without any device but lo, which is up."""
        namespace = f"bpfnb-{host.name}-{os.getpid()}"
        command("ip", "netns", "add", namespace)
        self._stack.callback(command, "ip", "netns", "del", namespace)
        node = Node(namespace, host)
        node.sysctl("ipv6/conf/lo/disable_ipv6", 1)
        node.sysctl("ipv6/conf/default/disable_ipv6", 1)
        node.sysctl("ipv6/conf/default/router_solicitations", 0)
        node.sysctl("ipv6/conf/default/dad_transmits", 0)
        node.sysctl("ipv6/icmp/ratelimit", 0)
        node.sysctl("ipv4/icmp_ratelimit", 0)
        node.ip("link set lo up")
        return node

    def wire(self, left: Node, right: Node, address: bool = True) -> None:
        """Join two hosts by a veth pair, `eth0` in both; IPv4 addresses on request."""
        command(
            *f"ip -n {left.namespace} link add eth0 address {left.host.mac} type veth".split(),
            *f"peer name eth0 address {right.host.mac} netns {right.namespace}".split(),
        )
        for node in (left, right):
            node.plain("eth0")
            if address:
                node.ip(f"addr add {node.host.ipv4}/24 dev eth0")
            node.ip("link set eth0 up")

    def pair(self, ipv6: bool = False) -> tuple[Node, Node]:
        """Make alice and bob, joined by a wire; they do not know each other yet."""
        alice, bob = self.node(ALICE), self.node(BOB)
        self.wire(alice, bob)
        if ipv6:
            self.ipv6(alice, bob)
        return alice, bob

    def ipv6(self, *nodes: Node, device: str = "eth0") -> None:
        """Switch IPv6 on for a device, give it its address, and wait until it is quiet."""
        for node in nodes:
            node.sysctl(f"ipv6/conf/{device}/disable_ipv6", 0)
            node.ip(f"addr add {node.host.ipv6}/64 dev {device} nodad")
        time.sleep(SETTLE)

    @contextmanager
    def capture(self, node: Node, device: str, *options: str) -> Iterator[None]:
        """Let tcpdump record what passes `device` of `node` into `path`."""
        words = ["ip", "netns", "exec", node.namespace, "tcpdump", "-i", device, "-U", "-w", "-"]
        with (
            self.path.open("wb") as file,
            subprocess.Popen(
                [*words, "--immediate-mode", "-Z", "root", *options],
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
            ) as tcpdump,
        ):
            assert tcpdump.stderr is not None
            said = ""
            try:
                while "listening on" not in said:
                    line = tcpdump.stderr.readline()
                    said += line
                    if not line:
                        raise UnavailableError(f"tcpdump did not start: {one_line(said)}")
                yield
                time.sleep(0.3)
            finally:
                tcpdump.send_signal(signal.SIGINT)
            said = tcpdump.stderr.read()
        if "\n0 packets dropped by kernel" not in said:
            raise UnavailableError(f"tcpdump lost packets: {one_line(said)}")

    def tagged(self, node: Node, device: str, tag: Tag, address: str) -> None:
        """Make a device that puts `tag` on what it sends through eth0.

        It answers to the host's MAC address, as a VLAN device of Linux does.
        """
        tap = self._tap(node, device, IFF_TAP)
        wire = node.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._stack.callback(wire.close)
        wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        wire.bind(("eth0", 3))
        node.ip(f"link set {device} address {node.host.mac} mtu 1400")
        node.ip(f"addr add {address} dev {device}")
        node.ip(f"link set {device} up")

        def send() -> None:
            frame = tag.push(os.read(tap, 65536))
            if frame is not None:
                wire.send(frame)

        def receive() -> None:
            frame = tag.pop(read_frame(wire))
            if frame is not None:
                os.write(tap, frame)

        self._copy({tap: send, wire.fileno(): receive})

    def tunnel(self, left: Node, right: Node) -> None:
        """Join two hosts by `tun0` devices: IP packets with no link layer at all."""
        ends = [self._tap(node, "tun0", IFF_TUN) for node in (left, right)]
        for node in (left, right):
            node.sysctl("ipv6/conf/tun0/addr_gen_mode", 1)
            node.ip(f"addr add {node.host.ipv4}/24 dev tun0")
            node.ip("link set tun0 up")

        def over() -> None:
            os.write(ends[1], os.read(ends[0], 65536))

        def back() -> None:
            os.write(ends[0], os.read(ends[1], 65536))

        self._copy({ends[0]: over, ends[1]: back})

    def _tap(self, node: Node, device: str, kind: int) -> int:
        """Make a TAP or TUN device in a host; return its file descriptor."""
        with inside(node.namespace):
            end = os.open("/dev/net/tun", os.O_RDWR)
            self._stack.callback(os.close, end)
            fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", device.encode(), kind | IFF_NO_PI))
        return end

    def _copy(self, readers: dict[int, Callable[[], None]]) -> None:
        """Call a descriptor's reader whenever it has something, until the lab ends."""
        over = threading.Event()

        def loop() -> None:
            while not over.is_set():
                for ready in select.select(list(readers), [], [], 0.1)[0]:
                    readers[ready]()

        thread = threading.Thread(target=loop)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(over.set)
