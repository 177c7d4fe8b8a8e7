"""Text -> Program: `assemble` reads every dialect, and finds out which it is.

    asm, paper   source for people (`language`)
    tcpdump      the listing of tcpdump -d
    c            the rows of tcpdump -dd, and C arrays with BPF_STMT or fields
    decimal      the lines of tcpdump -ddd
    xt_bpf       iptables' one-line form
    ss           what ss -0b prints

Every mistake in the text is reported at once, with place, rule and cure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from bpfnb.cbpf import listings
from bpfnb.cbpf.language import read_source
from bpfnb.cbpf.operands import MNEMONICS
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.source import Source
from bpfnb.errors import BpfError

__all__ = ["MNEMONICS", "READERS", "assemble", "looks_assembled"]

# How a program's first line can begin, and no expression does.
PROGRAM = re.compile(
    r"\(\d+\)\s|\{|\d+\s*(?:,|\n)|[A-Za-z_]\w*\s*:(?!:)|BPF_|\.insn|bpf filter|ip6?tables\s"
)
COMMENTS = re.compile(r"(?:\s|/\*.*?\*/|[;#][^\n]*)*", re.S)

READERS: dict[str, Callable[[Source], Program]] = {
    "asm": read_source,
    "paper": read_source,
    **listings.READERS,
}


def assemble(text: str, dialect: str | None = None, linktype: int | None = None) -> Program:
    r"""Read a program in any dialect; find out which when `dialect` is None.

    `linktype` is the LINKTYPE_ number the program is meant for.  Raises
    AssemblyError with every mistake in the text.

    >>> assemble("ldh [12]\njeq #0x800, yes\nret #0\nyes: ret #-1").insns[1]
    Insn(code=21, jt=1, jf=0, k=2048)
    """
    if dialect is not None and dialect not in READERS:
        raise BpfError(f"there is no dialect {dialect!r}", f"it is one of {', '.join(READERS)}")
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    name = dialect or listings.guess(normal)
    return replace(READERS[name](Source(normal)), linktype=linktype)


def looks_assembled(text: str) -> bool:
    """Whether a text is a program and no filter expression, by its first word.

    >>> looks_assembled("ldh [12]"), looks_assembled("tcp port 80")
    (True, False)
    """
    start = COMMENTS.match(text)
    code = text[start.end() :] if start else text
    word = code.split(None, 1)[0].lower() if code.strip() else ""
    return word in MNEMONICS or PROGRAM.match(code) is not None
