"""What was meant by a line whose rest is no expression: a slip in the options before it.

Left out: mistakes in the expression itself (`pcap.cures`).
"""

from __future__ import annotations

from bpfnb.cbpf.asm import MNEMONICS
from bpfnb.errors import brief
from bpfnb.jupyter.grammar import BY_FLAG
from bpfnb.jupyter.options import VIEWS, Options

__all__ = ["slip"]

NUMBERED = ("bytes", "trace", "why", "step")  # views of one packet, whose number stands behind =


def slip(options: Options, expression: str) -> str:
    """A cure for a line that libpcap could not read; "" where the options seem right.

    >>> slip(Options(show=("why",)), "2 icmp")
    'the number of a packet stands behind =, without a blank: --why=2'
    >>> slip(Options(), "icmp -p packets")
    'options stand before the expression: %bpf -p … icmp'
    """
    words = expression.split()
    first = words[0] if words else ""
    shown = [each for each in options.show if each in NUMBERED]
    if shown and first.isdecimal():
        return f"the number of a packet stands behind =, without a blank: --{shown[-1]}={first}"
    if options.show and first.strip(",") in VIEWS:
        views = ",".join([*options.show, first.strip(",")])
        return f"views stand with commas and no blanks between: --show {views}"
    if first.lower() in MNEMONICS:
        return "a program stands in the body of a cell that begins with %%bpf"
    for at, word in enumerate(words):
        flag, equals, _ = word.partition("=")
        if at and flag in BY_FLAG:
            value = "=…" if equals else " …" if BY_FLAG[flag].metavar else ""
            before = brief(" ".join(words[:at]))
            return f"options stand before the expression: %bpf {flag}{value} {before}"
    return ""
