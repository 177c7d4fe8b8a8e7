"""Record how many instructions the processor executes in each evaluator, for chapter 09.

    python benchmarks/valgrind_counts.py             write the recording that is shipped
    python benchmarks/valgrind_counts.py --check     count anew, and say where it differs

The recording is shown where valgrind or gcc is missing, and beside what is counted there.
Left out: the counting itself (`bpfnb.course.figure8.processor`).
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from dataclasses import replace

from bpfnb.course.figure8 import processor, traffic
from bpfnb.pcap.library import load
from host import described, said_by

COMMAND = "python benchmarks/valgrind_counts.py"


def main() -> int:
    """Run the command; 1 where `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    here = described()
    about = {
        "date": datetime.date.today().isoformat(),
        "command": COMMAND,
        "packets": "bpfnb.course.figure8.campus()",
        "valgrind": said_by("valgrind"),
        "gcc": f"gcc {said_by('gcc').split()[-1]} {' '.join(processor.FLAGS)}",
        "libpcap": f"{load().version}, carried by the package libpcap",
        "kernel": str(here["kernel"]),
        "architecture": platform.machine(),
        "processor": str(here["processor"]),
    }
    found = replace(processor.counted(traffic.campus()), about=about, recorded=True)
    for name, means in found.costs.items():
        print(f"{name:<16}", *(f"{mean:>8.1f}" for mean in means))
    if not options.check:
        processor.RECORDING.write_text(found.json(), encoding="utf-8")
        return 0
    old = processor.recorded()
    same = old.costs == found.costs and old.accepted == found.accepted
    print("as recorded" if same else f"differs from what was {old.origin}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
