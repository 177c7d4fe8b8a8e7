"""What `%load_ext bpfnb` costs over bare IPython, in fresh interpreters.

    python benchmarks/load_ext.py [ROUNDS]

Three programs take turns, so that a slow spell of the machine meets all: bare
IPython's shell made; the same and `%load_ext bpfnb`; the same and the first
`%bpf icmp`.  Each is timed from outside, as a person waits.  Shown are medians
with quartiles, the difference and the ratio to the first.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 20
BARE = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
"""
PROGRAMS = {
    "bare IPython": BARE,
    "%load_ext bpfnb": BARE + "shell.run_line_magic('load_ext', 'bpfnb')\n",
    "and first %bpf icmp": BARE
    + "shell.run_line_magic('load_ext', 'bpfnb')\nstr(shell.run_line_magic('bpf', 'icmp'))\n",
}


def milliseconds(code: str, folder: str) -> float:
    """Run code in a fresh interpreter; return how long that took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, capture_output=True)
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    """Measure in turns and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        for code in PROGRAMS.values():  # once unmeasured: .pyc files, disk cache
            milliseconds(code, folder)
        for _ in range(rounds):
            for name, code in PROGRAMS.items():
                times[name].append(milliseconds(code, folder))
    base = statistics.median(times["bare IPython"])
    print(f"{rounds} rounds in turns, Python {sys.version.split()[0]}; ms, median [quartiles]")
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(
            f"{name:22}{middle:7.1f} [{low:.1f}–{high:.1f}]"
            f"  {middle - base:+7.1f} ms  ratio {middle / base:.2f}"
        )


if __name__ == "__main__":
    main()
