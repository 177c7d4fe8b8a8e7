"""bpfnb: learn and debug packet filters, from the 1993 paper on.

    import bpfnb as bpf
    prog = bpf.compile_filter("icmp")
    print(prog)                    # what tcpdump -d prints
    prog.run(packet)               # how many bytes it accepts, 0 rejects

In a notebook: `%load_ext bpfnb`, then `%bpf icmp` and `%%bpf` cells.  Names
are imported when first used, so that `import bpfnb` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from bpfnb import samples as samples
    from bpfnb.ask import conformance as conformance
    from bpfnb.ask import covering_packets as covering_packets
    from bpfnb.ask import debug as debug
    from bpfnb.ask import diff as diff
    from bpfnb.ask import equivalent as equivalent
    from bpfnb.ask import explain as explain
    from bpfnb.ask import lint as lint
    from bpfnb.ask import optimizer as optimizer
    from bpfnb.ask import synthesize as synthesize
    from bpfnb.ask import tree as tree
    from bpfnb.ask import why as why
    from bpfnb.cbpf.ancillary import Ancillary as Ancillary
    from bpfnb.cbpf.insn import Insn as Insn
    from bpfnb.errors import AssemblyError as AssemblyError
    from bpfnb.errors import BpfError as BpfError
    from bpfnb.errors import CaptureError as CaptureError
    from bpfnb.errors import CheckError as CheckError
    from bpfnb.errors import ConditionError as ConditionError
    from bpfnb.errors import ExpressionError as ExpressionError
    from bpfnb.errors import RunError as RunError
    from bpfnb.errors import UndecidedError as UndecidedError
    from bpfnb.face import Program as Program
    from bpfnb.face import Trace as Trace
    from bpfnb.face import assemble as assemble
    from bpfnb.face import compile_filter as compile_filter
    from bpfnb.packets.capture import Capture as Capture
    from bpfnb.packets.capture import open_capture as open_capture
    from bpfnb.packets.packet import Packet as Packet
    from bpfnb.packets.packet import PacketBatch as PacketBatch
    from bpfnb.pcap import version as pcap_version
    from bpfnb.views.debugger import Debugger as Debugger

__version__ = "0.1.0"

HOMES = {
    "bpfnb.cbpf.ancillary": ["Ancillary"],
    "bpfnb.cbpf.insn": ["Insn"],
    "bpfnb.errors": [
        *("AssemblyError", "BpfError", "CaptureError", "CheckError", "ConditionError"),
        *("ExpressionError", "RunError", "UndecidedError"),
    ],
    "bpfnb.ask": [
        *("conformance", "covering_packets", "debug", "diff", "equivalent", "explain", "lint"),
        *("optimizer", "synthesize", "tree", "why"),
    ],
    "bpfnb.face": ["Program", "Trace", "assemble", "compile_filter"],
    "bpfnb.packets.capture": ["Capture", "open_capture"],
    "bpfnb.packets.packet": ["Packet", "PacketBatch"],
    "bpfnb.views.debugger": ["Debugger"],
}
HOME_OF = {name: home for home, names in HOMES.items() for name in names}

__all__ = [
    *HOME_OF,
    "load_ipython_extension",
    "pcap_version",
    "samples",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used."""
    if name == "samples":
        return importlib.import_module("bpfnb.samples")
    if name == "pcap_version":
        return importlib.import_module("bpfnb.pcap").version
    if name not in HOME_OF:
        raise AttributeError(f"module 'bpfnb' has no attribute {name!r}")
    value = getattr(importlib.import_module(HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext bpfnb`: add the magics %bpf and %%bpf and their completion."""
    magics = importlib.import_module("bpfnb.jupyter.magics")
    magics.register(shell)
