"""Expression -> Program, by libpcap's own compiler.

    compile_filter("icmp")      what `tcpdump -d icmp` compiles

Names of hosts, networks, ports and protocols are looked up on this machine,
by libpcap, which may ask a name server.  Left out: filters for an interface;
libpcap compiles for packets from a file here.

Limits, met by running: above about 30,000 characters libpcap's recursion
overflows an ordinary stack and ends the process, so MAX_LENGTH is refused;
and its optimiser takes 2 s for 150 ports joined by `or`, 17 s for 300.

Source: pcap_compile(3PCAP), pcap-filter(7).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import AddressValueError, IPv4Address

from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, ExpressionError
from bpfnb.packets import linktype as linktypes
from bpfnb.pcap.cures import Refusal, cure
from bpfnb.pcap.library import load
from bpfnb.pcap.place import locate

__all__ = ["compile_filter"]

NETMASK_UNKNOWN = 0xFFFFFFFF  # PCAP_NETMASK_UNKNOWN
MAX_SNAPLEN = 0x7FFFFFFF
MAX_LENGTH = 16384  # characters
SHORT = 1024  # characters that any thread's stack has room for
STACK = 64 << 20  # bytes; libpcap was seen to use 100 a character
STACK_LOCK = threading.Lock()


def compile_filter(
    expression: str,
    linktype: str | int = "EN10MB",
    snaplen: int = 262144,
    optimize: bool = True,
    netmask: int | str | None = None,
    library: str | os.PathLike[str] | None = None,
) -> Program:
    """Compile a filter expression, as tcpdump does.

    `linktype` is a LINKTYPE_ name or number; `snaplen` the bytes that an
    accepted packet returns; `netmask` the mask of the captured network, as
    text or number, which `ip broadcast` alone needs (tcpdump -d takes 0);
    `library` "carried", "system" or a path (see `bpfnb.pcap.library`).  An
    empty expression accepts everything.

    Raise ExpressionError with libpcap's own words for an expression that it
    refuses, BpfError for the other arguments, UnavailableError without
    libpcap.

    >>> from bpfnb.cbpf.disasm import text
    >>> print(text(compile_filter("arp", snaplen=96), "c"))
    { 0x28, 0, 0, 0x0000000c },
    { 0x15, 0, 1, 0x00000806 },
    { 0x6, 0, 0, 0x00000060 },
    { 0x6, 0, 0, 0x00000000 },
    """
    readable(expression)
    link = linktypes.find(linktype)
    bits = mask(netmask)
    if not 1 <= snaplen <= MAX_SNAPLEN:
        raise BpfError(f"snaplen is {snaplen}; it counts 1–{MAX_SNAPLEN} bytes")
    pcap = load(library)

    def ask(text: str, optimized: bool) -> bytes | str:
        code = text.encode("ascii")
        return roomy(len(text), lambda: pcap.compile(code, link.dlt, snaplen, optimized, bits))

    answer = ask(expression, optimize)
    if isinstance(answer, bytes):
        insns = Program.from_bytes(answer).insns
        return Program(insns, linktype=link.number, origin=expression)
    raise refused(expression, answer, ask)


def refused(
    expression: str, reason: str, ask: Callable[[str, bool], bytes | str]
) -> ExpressionError:
    """The error for an expression that libpcap refuses: its words, place, cure."""

    def attempt(text: str) -> str | None:
        answer = ask(text, False)
        return answer if isinstance(answer, str) else None

    place = locate(expression, reason, attempt)
    hint = cure(Refusal(expression, reason, place))
    if place is None:
        return ExpressionError(one_line(expression), reason, hint=hint)
    return ExpressionError(
        one_line(expression), reason, place.column, max(1, place.stop - place.start), hint
    )


def readable(expression: str) -> None:
    """Refuse what cannot be handed to libpcap whole: its text is ASCII up to a NUL."""
    if not isinstance(expression, str):
        raise BpfError(f"an expression is text, not {type(expression).__name__}")
    if len(expression) > MAX_LENGTH:
        reason = f"takes {MAX_LENGTH} characters here; this has {len(expression)}"
        hint = "more would overflow its stack; split the filter"
        raise ExpressionError(f"{one_line(expression[:60])} …", reason, hint=hint)
    for index, char in enumerate(expression):
        if not 0 < ord(char) < 0x80:
            what = "a NUL ends its text" if char == "\0" else f"U+{ord(char):04X} is not ASCII"
            raise ExpressionError(one_line(expression), what, index + 1)


def one_line(expression: str) -> str:
    """The expression as it can be shown above a caret: one column a character."""
    return "".join(" " if char.isspace() else visible(char) for char in expression)


def visible(char: str) -> str:
    """A character, or a picture of one that has no shape."""
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    return "\N{REPLACEMENT CHARACTER}" if 0xD800 <= ord(char) < 0xE000 else char


def mask(netmask: int | str | None) -> int:
    """A netmask as libpcap takes it.

    >>> hex(mask("255.255.255.0"))
    '0xffffff00'
    """
    if netmask is None:
        return NETMASK_UNKNOWN
    try:
        return int(IPv4Address(netmask))
    except AddressValueError:
        hint = "write it as '255.255.255.0' or 0xffffff00"
        raise BpfError(f"netmask is {netmask!r}", hint) from None


def roomy(length: int, call: Callable[[], bytes | str]) -> bytes | str:
    """Call with a stack that is deep enough for an expression of this length."""
    if length <= SHORT:
        return call()
    with ThreadPoolExecutor(1) as pool:
        with STACK_LOCK:
            former = threading.stack_size(STACK)
            try:
                future = pool.submit(call)  # this is what starts the thread
            finally:
                threading.stack_size(former)
        return future.result()
