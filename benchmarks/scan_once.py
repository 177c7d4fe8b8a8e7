"""Open, index and filter a capture once: the process whose memory `own_costs` watches.

    python benchmarks/scan_once.py FILE EXPRESSION

It says "ready" when everything is imported, works when it is told to by a line, says how
many packets it accepted, and goes at the next line.
"""

from __future__ import annotations

import sys

import numpy as np

import bpfnb
from bpfnb import jit
from bpfnb.backends import native


def main() -> None:
    """Two lines in, two lines out."""
    path, expression = sys.argv[1:]
    program = bpfnb.compile_filter(expression)
    jit.require()
    print("ready", native.__name__, flush=True)
    sys.stdin.readline()
    rets = program.run_many(bpfnb.open_capture(path), backend="native")
    print(np.count_nonzero(rets), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
