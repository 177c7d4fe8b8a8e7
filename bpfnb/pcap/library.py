"""libpcap itself, reached by ctypes: which one, and the nine functions used.

    "carried"   the one inside the PyPI package `libpcap` (1.10.6), so that an
                expression gives the same program on every machine
    "system"    the machine's own
    "pcapy-ng"  the one inside that PyPI package (1.9.1), where it is installed
    a path      any other

Without a choice it is the environment variable BPFNB_LIBPCAP's, else the first
of these that can be loaded, in this order.

A package is only asked where its file lies.  Importing `libpcap` would take a fifth
of a second, could be told only once in a process which library to use, and
would put that library's names into the global scope, where the next libpcap
loaded finds them instead of its own.  Here each library is loaded by itself,
so that several stand side by side.  Left out: capturing.

Source: pcap_compile(3PCAP), pcap/bpf.h, dlopen(3).
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from ctypes.util import find_library
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path

from bpfnb.cbpf.checker import check
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.errors import CheckError, Fault, UnavailableError

__all__ = [
    "CHOICE",
    "PLACES",
    "Evaluator",
    "Library",
    "carried_path",
    "load",
    "system_path",
    "version",
]

CHOICE = "BPFNB_LIBPCAP"
PLATFORMS = {
    "linux": ("linux", "libpcap.so"),
    "darwin": ("macos", "libpcap.dylib"),
    "win32": ("windows", "pcap.dll"),
}  # sys.platform -> folder and file in the package `libpcap`
MACHINES = {"amd64": "x86_64", "i386": "x86", "i486": "x86", "i586": "x86", "i686": "x86"}

# libpcap up to 1.7 has one parser for the whole process, up to 1.9 one buffer
# for bpf_image, and C's getprotobyname() has one still: one caller at a time.
LOCK = threading.RLock()


class BpfInsn(ctypes.Structure):
    """`struct bpf_insn`: the same eight bytes as `struct sock_filter`."""

    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    )


class BpfProgram(ctypes.Structure):
    """`struct bpf_program`: a count, and instructions that libpcap allocated."""

    _fields_ = (("bf_len", ctypes.c_uint), ("bf_insns", ctypes.POINTER(BpfInsn)))


INSNS = ctypes.POINTER(BpfInsn)
PROGRAM = ctypes.POINTER(BpfProgram)
SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "pcap_lib_version": (ctypes.c_char_p, ()),
    "pcap_open_dead": (ctypes.c_void_p, (ctypes.c_int, ctypes.c_int)),
    "pcap_compile": (
        ctypes.c_int,
        (ctypes.c_void_p, PROGRAM, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32),
    ),
    "pcap_geterr": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "pcap_freecode": (None, (PROGRAM,)),
    "pcap_close": (None, (ctypes.c_void_p,)),
    "bpf_image": (ctypes.c_char_p, (INSNS, ctypes.c_int)),
    "bpf_validate": (ctypes.c_int, (INSNS, ctypes.c_int)),
    # The instructions and the packet by their addresses; a packet may be bytes, too.
    "bpf_filter": (
        ctypes.c_uint,
        (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint),
    ),
}


class Library:
    """One loaded libpcap.  `load` makes them; `path` is what was loaded."""

    def __init__(self, path: str) -> None:
        # RTLD_DEEPBIND: a library's calls to itself stay in it, even when
        # another libpcap has put the same names into the global scope.
        mode = ctypes.DEFAULT_MODE | getattr(os, "RTLD_DEEPBIND", 0)
        self.path = path
        self._dll = ctypes.CDLL(path, mode=mode)
        for name, (restype, argtypes) in SIGNATURES.items():
            function = getattr(self._dll, name)
            function.restype, function.argtypes = restype, argtypes

    def __repr__(self) -> str:
        return f"Library({self.version!r})"

    @cached_property
    def version(self) -> str:
        """Its own words, such as "libpcap version 1.10.6 (with TPACKET_V3)"."""
        with LOCK:
            return str(self._dll.pcap_lib_version().decode("ascii", "replace"))

    def compile(
        self, expression: bytes, dlt: int, snaplen: int, optimize: bool, netmask: int
    ) -> bytes | str:
        """`struct bpf_insn[]` for an expression, or libpcap's error text.

        `dlt` is a DLT_ number, `netmask` the mask as a number in the usual
        reading (255.255.255.0 is 0xffffff00).
        """
        program = BpfProgram()
        with LOCK:
            handle = self._dll.pcap_open_dead(dlt, snaplen)
            if not handle:
                raise MemoryError("pcap_open_dead has no memory left")
            try:
                if self._dll.pcap_compile(
                    handle, ctypes.byref(program), expression, int(optimize), netmask
                ):
                    reason: bytes = self._dll.pcap_geterr(handle)
                    return reason.decode("utf-8", "replace")
                size = program.bf_len * ctypes.sizeof(BpfInsn)
                code = ctypes.string_at(program.bf_insns, size)
                self._dll.pcap_freecode(ctypes.byref(program))
                return code
            finally:
                self._dll.pcap_close(handle)

    def image(self, insn: tuple[int, int, int, int], pc: int) -> str:
        """`bpf_image`: one line as `tcpdump -d` prints it, "(000) " and all."""
        with LOCK:
            shown: bytes = self._dll.bpf_image(ctypes.byref(BpfInsn(*insn)), pc)
            return shown.decode("ascii", "replace")

    def validate(self, program: Program) -> bool:
        """`bpf_validate`: libpcap's verdict on a program."""
        return bool(self._dll.bpf_validate(insns_of(program), len(program)))

    def evaluator(self, program: Program, guarded: bool = True) -> Evaluator:
        """`bpf_filter` for one program, held against the validator here and not again.

        That machine trusts its validator and aborts the whole process on an
        opcode it does not know, so CheckError is raised for either.  Not
        `guarded`, such an opcode is let through: in a process that may be lost.
        """
        if not self.validate(program):
            faults = check(program, rules="libpcap")
            raise CheckError(faults or (Fault("bpf_validate", 0, "refused"),), rules="libpcap")
        if guarded:
            for pc, insn in enumerate(program.insns):
                if insn.code not in BY_CODE:
                    message = f"opcode {insn.code:#04x} would abort this process"
                    raise CheckError((Fault("known_opcode", pc, message),), rules="libpcap")
        return Evaluator(self._dll.bpf_filter, program)

    def evaluate(self, program: Program, data: bytes, wirelen: int | None = None) -> int:
        """`bpf_filter`: what libpcap's own machine returns for a packet.

        CheckError as in `evaluator`.  A program that jumps backwards may never
        come back.  The extensions are no part of this machine: a load from one
        lies far past the end and returns 0.
        """
        return self.evaluator(program).run(data, wirelen)


class Evaluator:
    """One program in libpcap's machine; `Library.evaluator` makes them.

    It keeps the instructions where the machine reads them.
    """

    def __init__(self, function: Callable[..., int], program: Program) -> None:
        self._kept = insns_of(program)
        self._insns = ctypes.c_void_p(ctypes.addressof(self._kept))
        self._function = function

    def run(self, data: bytes, wirelen: int | None = None) -> int:
        """The ret for one packet."""
        return self._function(
            self._insns, data, len(data) if wirelen is None else wirelen, len(data)
        )

    def run_at(
        self, addresses: Iterable[int], wirelens: Iterable[int], caplens: Iterable[int]
    ) -> Iterator[int]:
        """The ret for each packet that lies in memory: its address and both lengths.

        Nothing is checked here: `caplen` bytes must be there.
        """
        return map(self._function, repeat(self._insns), addresses, wirelens, caplens)


def insns_of(program: Program) -> ctypes.Array[BpfInsn]:
    """The program as a C array."""
    return (BpfInsn * len(program)).from_buffer_copy(bytes(program))


def carried_path() -> Path:
    """Where the PyPI package `libpcap` keeps the library for this machine."""
    spec = find_spec("libpcap")
    if spec is None or spec.origin is None:
        raise UnavailableError("the Python package libpcap is not installed: pip install libpcap")
    machine = platform.machine().lower()
    folder, file = PLATFORMS.get(sys.platform, (sys.platform, "libpcap.so"))
    arch = MACHINES.get(machine, machine)
    path = Path(spec.origin).parent / "_platform" / folder / arch / "tcpdump" / file
    if not path.is_file():
        raise UnavailableError(f"the Python package libpcap carries none for {folder} on {machine}")
    return path


def pcapy_path() -> Path:
    """Where the PyPI package `pcapy-ng` keeps its library (on Linux, in a wheel)."""
    spec = find_spec("pcapy")
    if spec is None or spec.origin is None:
        raise UnavailableError("the Python package pcapy-ng is not installed")
    found = sorted(Path(spec.origin).parent.glob("pcapy_ng.libs/libpcap-*.so*"))
    if not found:
        raise UnavailableError("the Python package pcapy-ng carries no libpcap here")
    return found[0]


def system_path() -> str:
    """Where the machine's own libpcap lies.

    On Linux a whole path, asked of ldconfig: by its bare name the loader would
    hand out a library already loaded that calls itself the same.
    """
    name = find_library("pcap") or find_library("wpcap")
    if name is None:
        raise UnavailableError("this machine has no libpcap of its own (apt install libpcap0.8)")
    if sys.platform == "linux" and "/" not in name:
        return next((path for known, path in ldconfig() if known == name), name)
    return name


def ldconfig() -> list[tuple[str, str]]:
    """(name, path) of the libraries the loader's cache knows, best first."""
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        if os.access(program, os.X_OK):
            shown = subprocess.run([program, "-p"], capture_output=True, text=True, check=False)
            rows = (line.partition(" => ") for line in shown.stdout.splitlines())
            return [(left.split()[0], path) for left, _, path in rows if path]
    return []


PLACES: dict[str, Callable[[], str | Path]] = {
    "carried": carried_path,
    "system": system_path,
    "pcapy-ng": pcapy_path,
}


def load(library: str | os.PathLike[str] | None = None) -> Library:
    """The libpcap asked for; each file is loaded once in a process.

    >>> load("carried").version.split()[:2]
    ['libpcap', 'version']
    """
    choice = os.fspath(library) if library is not None else os.environ.get(CHOICE, "")
    if choice:
        return load_one(choice)
    missing = []
    for place in PLACES:
        try:
            return load_one(place)
        except UnavailableError as error:
            missing.append(error.message)
    raise UnavailableError(f"no libpcap here: {'; '.join(missing)}")


@cache
def load_one(choice: str) -> Library:
    """Load one of PLACES or a path; UnavailableError says why it cannot."""
    path = str(PLACES[choice]()) if choice in PLACES else choice
    try:
        return Library(path)
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        raise UnavailableError(f"libpcap cannot be loaded from {path}: {error}") from None
    except AttributeError as error:
        raise UnavailableError(f"{path} is no libpcap: {error}") from None


def version(library: str | os.PathLike[str] | None = None) -> str:
    """The version in libpcap's own words.

    >>> version().startswith("libpcap version ")
    True
    """
    return load(library).version
