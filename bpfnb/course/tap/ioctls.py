"""/dev/bpf as a small object to learn its calls with: a model, not the device.

    bpf0 = Device({"le0": le0})
    bpf0.ioctl("BIOCSBLEN", 16384)
    bpf0.ioctl("BIOCSETIF", "le0")
    bpf0.ioctl("BIOCSETF", program)
    bpf0.read(16384)

It takes and refuses what the BSD kernel takes and refuses, with the same errno and, as
the kernel does not, with the reason.  Where a real process would sleep in `read`, the
interface's clock runs until it wakes.

Read, not run: all of it, in net/bpf.c of 4.4BSD-Lite2 (bpfopen, bpfread, bpfioctl,
bpf_setf, bpf_setif); BIOCSETWF, BIOCLOCK, and ENXIO for a read before BIOCSETIF in
FreeBSD's.  Where bpf(4) differs, the code
wins: a read of the wrong size is EINVAL there and EIO in the manual.  A filter is judged
by Linux's rules, which are stricter, and by BSD's limit of 512 instructions.
Left out: writing packets, select and signals, the list of link types, zero-copy buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bpfnb.cbpf import checker
from bpfnb.cbpf.program import Program
from bpfnb.course.tap.buffers import MAXBUFSIZE, MINBUFSIZE
from bpfnb.course.tap.interface import Interface
from bpfnb.course.tap.listener import BUFSIZE, Listener
from bpfnb.errors import BpfError, brief
from bpfnb.packets.linktype import find

__all__ = ["MAXINSNS", "Device", "RefusedError"]

MAXINSNS = 512  # BPF_MAXINSNS in the BSD code; Linux takes 4,096
VERSION = (1, 1)  # BPF_MAJOR_VERSION, BPF_MINOR_VERSION
LOCKED = frozenset({
    "BIOCGBLEN", "BIOCFLUSH", "BIOCGDLT", "BIOCGETIF", "BIOCGRTIMEOUT", "BIOCGSTATS",
    "BIOCVERSION", "FIONREAD", "BIOCLOCK", "BIOCSRTIMEOUT", "BIOCIMMEDIATE",
})  # fmt: skip


class RefusedError(BpfError):
    """The device says no.  `errno` is the name that the kernel answers with, and all it says."""

    def __init__(self, errno: str, message: str, hint: str = "") -> None:
        super().__init__(f"{errno}: {message}", hint)
        self.errno = errno


class Device:
    """One open /dev/bpf; `interfaces` are those of the machine, by name."""

    def __init__(self, interfaces: Mapping[str, Interface], name: str = "bpf0") -> None:
        self.interfaces, self.name = interfaces, name
        self.bufsize = BUFSIZE
        self.program: Program | None = None
        self.write_program: Program | None = None
        self.immediate = self.promiscuous = self.locked = False
        self.timeout_ns = 0
        self.interface: Interface | None = None
        self.listener: Listener | None = None

    def ioctl(self, request: str, argument: Any = None) -> Any:
        """One request; what it answers.  Raises RefusedError."""
        call = CALLS.get(request)
        if call is None:
            raise RefusedError("EINVAL", f"there is no request {brief(str(request))}", LIST)
        if self.locked and request not in LOCKED:
            raise RefusedError(
                "EPERM", f"{request} after BIOCLOCK", "a locked device is set up for good"
            )
        return call(self, argument)

    def read(self, size: int) -> bytes:
        """Read the hold buffer, sleeping for it; b"" after a time-out with nothing there."""
        if self.listener is None:
            raise RefusedError("ENXIO", "read before BIOCSETIF", "attach it to an interface first")
        if size != self.listener.bufsize:
            raise RefusedError(
                "EINVAL",
                f"a read of {size} bytes; the buffer has {self.listener.bufsize}",
                "ask BIOCGBLEN for the length, and read exactly that",
            )
        if not self.sleep(self.listener):
            return b""
        return self.listener.take()[0]

    def sleep(self, listener: Listener) -> bool:
        """Let the clock run until there is something to read, or the time-out is over."""
        clock = listener.clock
        over = clock.now + listener.timeout_ns if listener.timeout_ns else None
        while not listener.ready():
            if over is not None and (clock.due is None or clock.due > over):
                clock.run(over)
                return listener.ready() or listener.expire()
            if not clock.step():
                raise RefusedError(
                    "EINTR",
                    "this read would sleep for ever: no packet is on its way, and there is "
                    f"no time-out ({listener.buffered} packets are stored, none is held)",
                    "set BIOCSRTIMEOUT or BIOCIMMEDIATE, or let more packets come",
                )
        return True

    def close(self) -> None:
        """Close it: the interface is no longer listened to by this one."""
        if self.interface is not None and self.listener is not None:
            self.interface.listeners.remove(self.listener)
            self.interface.promiscuous -= self.promiscuous
        self.interface = self.listener = None
        self.promiscuous = False

    def attached(self, request: str) -> tuple[Interface, Listener]:
        """The interface and the listener; EINVAL where there are none."""
        if self.interface is None or self.listener is None:
            raise RefusedError("EINVAL", f"{request} before BIOCSETIF", "attach it first")
        return self.interface, self.listener

    def __repr__(self) -> str:
        where = "on no interface" if self.interface is None else f"on {self.interface.name}"
        return f"<model of /dev/{self.name}: {where}, buffers of {self.bufsize} bytes>"


def set_buffer_length(device: Device, argument: Any) -> int:
    """BIOCSBLEN: before an interface only; answers the nearest size there can be."""
    if device.interface is not None:
        raise RefusedError("EINVAL", "BIOCSBLEN after BIOCSETIF", "the buffers are made by then")
    device.bufsize = min(max(whole(argument), MINBUFSIZE), MAXBUFSIZE)
    return device.bufsize


def set_interface(device: Device, argument: Any) -> None:
    """BIOCSETIF: attach by name, and flush."""
    interface = device.interfaces.get(argument)
    if interface is None:
        raise RefusedError("ENXIO", f"there is no interface {brief(str(argument))}")
    if not interface.up:
        raise RefusedError("ENETDOWN", f"{interface.name} is down")
    if interface is not device.interface:
        device.close()
        device.interface = interface
        device.listener = interface.listen(device.name, device.program, bufsize=device.bufsize)
    assert device.listener is not None
    device.listener.immediate, device.listener.timeout_ns = device.immediate, device.timeout_ns
    device.listener.flush()


def set_filter(device: Device, argument: Any) -> None:
    """BIOCSETF: a program, or None for none; and flush.  A refused one leaves the old one."""
    device.program = legal(argument)
    if device.listener is not None:
        device.listener.program = device.program
        device.listener.flush()


def set_write_filter(device: Device, argument: Any) -> None:
    """BIOCSETWF: the same for what the process sends; here it is only kept."""
    device.write_program = legal(argument)


def legal(program: Any) -> Program | None:
    """A program that may be installed.  Raises RefusedError."""
    if program is None:
        return None
    if not isinstance(program, Program):
        raise RefusedError("EINVAL", "a filter is a Program", "compile or assemble one")
    if len(program) > MAXINSNS:
        raise RefusedError("EINVAL", f"{len(program)} instructions; BSD takes at most {MAXINSNS}")
    faults = checker.check(program)
    if faults:
        raise RefusedError("EINVAL", str(faults[0]), "the kernel says EINVAL and no more")
    return program


def set_promiscuous(device: Device, argument: Any) -> None:
    """BIOCPROMISC: the interface's card takes all frames, for everybody who listens."""
    interface, listener = device.attached("BIOCPROMISC")
    if not interface.up:
        raise RefusedError("ENETDOWN", f"{interface.name} is down")
    if not device.promiscuous:
        device.promiscuous = listener.promiscuous = True
        interface.promiscuous += 1


def set_immediate(device: Device, argument: Any) -> None:
    """BIOCIMMEDIATE: reads wake at every packet."""
    device.immediate = bool(argument)
    if device.listener is not None:
        device.listener.immediate = device.immediate


def set_timeout(device: Device, argument: Any) -> None:
    """BIOCSRTIMEOUT: milliseconds here; a struct timeval on a real system."""
    device.timeout_ns = whole(argument) * 1_000_000
    if device.listener is not None:
        device.listener.timeout_ns = device.timeout_ns


def flush(device: Device, argument: Any) -> None:
    """BIOCFLUSH: forget what is buffered and counted."""
    if device.listener is not None:
        device.listener.flush()


def stats(device: Device, argument: Any) -> dict[str, int]:
    """BIOCGSTATS: struct bpf_stat.  bs_recv counts rejected packets too."""
    listener = device.listener
    recv, drop = (listener.recv, listener.dropped) if listener else (0, 0)
    return {"bs_recv": recv, "bs_drop": drop}


def readable(device: Device, argument: Any) -> int:
    """FIONREAD: the bytes in store and hold buffer."""
    if device.listener is None:
        return 0
    return sum(len(each.data) for each in device.listener.buffers.all)


def lock(device: Device, argument: Any) -> None:
    """BIOCLOCK: nothing about filter and interface can be changed any more."""
    device.locked = True


def whole(argument: Any) -> int:
    """A u_int."""
    if not isinstance(argument, int) or not 0 <= argument <= 0xFFFFFFFF:
        raise RefusedError("EINVAL", f"{brief(repr(argument))} is no u_int")
    return argument


CALLS: dict[str, Callable[[Device, Any], Any]] = {
    "BIOCGBLEN": lambda device, argument: device.bufsize,
    "BIOCSBLEN": set_buffer_length,
    "BIOCGETIF": lambda device, argument: device.attached("BIOCGETIF")[0].name,
    "BIOCSETIF": set_interface,
    "BIOCSETF": set_filter,
    "BIOCSETWF": set_write_filter,
    "BIOCPROMISC": set_promiscuous,
    "BIOCIMMEDIATE": set_immediate,
    "BIOCSRTIMEOUT": set_timeout,
    "BIOCGRTIMEOUT": lambda device, argument: device.timeout_ns // 1_000_000,
    "BIOCFLUSH": flush,
    "BIOCGSTATS": stats,
    "BIOCGDLT": lambda device, argument: find(device.attached("BIOCGDLT")[0].linktype).dlt,
    "BIOCVERSION": lambda device, argument: VERSION,
    "BIOCLOCK": lock,
    "FIONREAD": readable,
}
LIST = f"there are {', '.join(CALLS)}"
