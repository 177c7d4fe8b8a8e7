"""Frames over a veth pair, through filters on AF_PACKET sockets.  Run by test_extensions.

    unshare --net python tests/veth_frames.py < jobs.json

Reads {"frames": [hex], "programs": [[[code, jt, jf, k]]]}, sends every frame
through every program and writes the lengths received: for each program and
frame a number, or null for nothing.  "Nothing" is proven: a second socket
without a filter has seen the frame by then, and a sentinel sent after it comes
out of the filtered socket first.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from bpfnb.cbpf.program import Program
from bpfnb.linux.sockfilter import attach, detach

SEND, RECEIVE = "bpfnb-a", "bpfnb-b"
MAC = "02:00:00:00:00:0b"
ETH_P_ALL = 3
OUTGOING = 4  # PACKET_OUTGOING
SECONDS = 10.0
SENTINEL = bytes.fromhex("02000000000b 02000000000a 88b5") + b"bpfnb sentinel"


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)


def make_interfaces() -> None:
    ip(f"link add {SEND} type veth peer name {RECEIVE} address {MAC}")
    for name in (SEND, RECEIVE):
        # a quiet wire: nothing but our frames
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        ip(f"link set {name} arp off up")


def open_socket(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((name, ETH_P_ALL))
    opened.settimeout(SECONDS)
    return opened


class Wire:
    """A sender, a witness without a filter, and the filtered socket."""

    def __init__(self) -> None:
        self.sender = open_socket(SEND)
        self.witness = open_socket(RECEIVE)
        self.filtered = open_socket(RECEIVE)

    def through(self, program: Program, frame: bytes) -> int | None:
        """The length received of one frame; None where the filter rejects it."""
        attach(self.filtered, program)
        self.sender.send(frame)
        self.witness.recv(1 << 16)
        detach(self.filtered)
        self.sender.send(SENTINEL)
        self.witness.recv(1 << 16)
        got = self.filtered.recv(1 << 16)
        if got == SENTINEL:
            return None
        if self.filtered.recv(1 << 16) != SENTINEL:
            raise SystemExit("the sentinel did not come second")
        return len(got)


def main() -> None:
    jobs = json.load(sys.stdin)
    make_interfaces()
    wire = Wire()
    frames = [bytes.fromhex(frame) for frame in jobs["frames"]]
    programs = [Program.from_insns(rows) for rows in jobs["programs"]]
    lengths = [[wire.through(program, frame) for frame in frames] for program in programs]
    seen = {"lengths": lengths, "ifindex": socket.if_nametoindex(RECEIVE)}
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
