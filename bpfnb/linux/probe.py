"""What of the kernel's BPF works here, and why something does not.

Each probe tries the thing itself rather than reading settings about it, takes
milliseconds and leaves nothing behind.  Left out: what needs no kernel
(`bpfnb doctor` adds that).

Source: packet(7), bpf(2), user_namespaces(7); the syscall's numbers from
asm/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError
from bpfnb.linux.sockfilter import verdicts

__all__ = ["Ability", "probe"]

SECONDS = 2.0  # how long a command tried here may take
SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
BPF_PROG_LOAD, SOCKET_FILTER = 5, 1
# r0 = 0; exit
EBPF = struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)


@dataclass(frozen=True)
class Ability:
    """One thing that may work here; `reason` says why not, or what was seen."""

    name: str
    works: bool
    reason: str

    def __str__(self) -> str:
        return f"{'✓' if self.works else '✗'} {self.name}: {self.reason}"


def probe() -> tuple[Ability, ...]:
    """Try everything once."""
    return tuple(attempt(name, act) for name, act in PROBES.items())


def attempt(name: str, act: Callable[[], tuple[bool, str]]) -> Ability:
    """One probe's outcome; off Linux it is not tried."""
    if sys.platform != "linux" and name != TCPDUMP:
        return Ability(name, False, f"Linux only; this is {sys.platform}")
    return Ability(name, *act())


def socket_filters() -> tuple[bool, str]:
    """A filter on a socket pair lets through what it should, and no more."""
    try:
        got = verdicts(Program.from_insns([(0x30, 0, 0, 0), (0x16, 0, 0, 0)]), [b"\x02ab", b"\0ab"])
    except (BpfError, OSError) as error:
        return False, first_line(error)
    if got != [2, 0]:
        return False, f"the kernel takes a filter but does not apply it (lengths {got})"
    return True, f"Linux {platform.release()}, no privilege needed"


def packet_sockets() -> tuple[bool, str]:
    """Open a socket for link-layer frames; protocol 0 receives none."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        needs = "; needs CAP_NET_RAW" if error.errno == errno.EPERM else ""
        return False, f"{first_line(error)}{needs}"
    return True, "frames of any interface can be captured and sent"


def namespaces() -> tuple[bool, str]:
    """Run `true` in a user and network namespace of its own."""
    command = shutil.which("unshare")
    if command is None:
        return False, "the command unshare (util-linux) is missing"
    said = run_command([command, "--user", "--map-root-user", "--net", "true"])
    if isinstance(said, str):
        return False, said
    if said.returncode:
        return False, first_line(said.stderr or f"unshare ended with {said.returncode}")
    return True, "a network of one's own, with interfaces and captures"


def bpf_syscall() -> tuple[bool, str]:
    """Load a socket filter of two eBPF instructions, and let it go."""
    number = SYS_BPF.get(platform.machine())
    if number is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False, f"the syscall's number on {platform.machine()} is not known here"
    library = ctypes.CDLL(None, use_errno=True)
    code, licence = ctypes.create_string_buffer(EBPF), ctypes.create_string_buffer(b"BSD")
    attributes = struct.pack(
        "=IIQQIIQ",
        SOCKET_FILTER, len(EBPF) // 8, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0,
    )  # fmt: skip
    buffer = ctypes.create_string_buffer(attributes)
    descriptor = library.syscall(number, BPF_PROG_LOAD, buffer, len(attributes))
    if descriptor >= 0:
        os.close(descriptor)
        return True, "eBPF programs can be loaded"
    problem = ctypes.get_errno()
    if problem in (errno.EPERM, errno.EACCES):
        return False, f"{os.strerror(problem)}; needs CAP_BPF"
    return False, os.strerror(problem)


def tcpdump() -> tuple[bool, str]:
    """Ask tcpdump for its version."""
    command = shutil.which("tcpdump")
    if command is None:
        return False, "the command is missing; nothing but comparisons needs it"
    said = run_command([command, "--version"])
    if isinstance(said, str):
        return False, said
    lines = (said.stdout + said.stderr).splitlines()[:2]
    return said.returncode == 0, ", ".join(lines) or f"ended with {said.returncode}"


def run_command(command: list[str]) -> subprocess.CompletedProcess[str] | str:
    """Run a command that soon ends; where it cannot be, the reason."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return first_line(error)


def first_line(what: object) -> str:
    """The first line of a message."""
    return str(what).strip().split("\n", 1)[0]


TCPDUMP = "tcpdump"
PROBES: dict[str, Callable[[], tuple[bool, str]]] = {
    "socket filters": socket_filters,
    "packet sockets": packet_sockets,
    "network namespaces": namespaces,
    "bpf(2)": bpf_syscall,
    TCPDUMP: tcpdump,
}
