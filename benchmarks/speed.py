"""How fast the back ends are: one command, a table, a JSON.

    python benchmarks/speed.py [--quick] [--json benchmarks/speed.json] [--cache DIR]

The goals, by whose numbers the rows are grouped:
    1  native against libpcap's bpf_filter in a loop in C
    2  native against the same filters written by hand in C
    3  a packet a call from Python: interp, pygen, native
    4  a capture file from its name to verdicts, against tcpdump and scapy
    5  what compiling costs, what a second thread gains
    6  how much memory a scan takes

Every comparison is a race in turns, on one machine in one run (`rounds`); shown
are the median ratio, its quartiles and its target.  The first run makes a capture
of a million packets, 766 MB, in DIR ($XDG_CACHE_HOME/bpfnb) and leaves it there.
What is not installed is not measured, and its row says so.  --quick takes 50,000
packets and three rounds: a smoke test, whose figures are held against no target.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import against_c
import against_python
import against_tools
import own_costs
from bpfnb.backends import native
from host import described
from rounds import on_one_core
from rows import Row, as_json, lines
from setting import Setting

LEGEND = """
ours, theirs: medians of all rounds, ns a packet; × [quartiles]: median of the rounds' own
ratios, theirs/ours where the target is ≥, ours/theirs where it is ≤"""


def main() -> None:
    """Measure, show each row as it comes, write the JSON."""
    options = arguments()
    setting = Setting(options.quick, options.cache)
    options.cache.mkdir(parents=True, exist_ok=True)
    host = described()
    rows: list[Row] = []
    print("\n".join(f"{name:10} {value}" for name, value in host.items()))
    print(LEGEND)
    for text in lines(kept(measured(setting), rows, judged=not options.quick)):
        print(text, flush=True)
    verdicts = [row.reached for row in rows if row.reached is not None]
    if verdicts:
        print(f"\n{verdicts.count(True)} of {len(verdicts)} targets reached")
    if options.json:
        write(options.json, summary(setting, host, rows))


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--cache", type=Path, default=cache(), help="where captures are kept")
    return parser.parse_args()


def cache() -> Path:
    """The user's own cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bpfnb"


def measured(setting: Setting) -> Iterator[Row]:
    """All rows; what takes one thread stays on one core."""
    with on_one_core():
        yield from against_c.measured(setting)
        yield from against_python.measured(setting)
    yield from against_tools.measured(setting)
    with on_one_core():
        yield from own_costs.compiling(setting)
    yield from own_costs.threads(setting)
    yield from own_costs.memory(setting)


def kept(rows: Iterator[Row], into: list[Row], judged: bool) -> Iterator[Row]:
    """The rows, put into a list as they pass; without their targets when not judged."""
    for row in rows:
        into.append(row if judged else replace(row, target=None))
        yield into[-1]


def summary(setting: Setting, host: dict[str, str | int], rows: list[Row]) -> dict[str, Any]:
    """All that is worth keeping of a run."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "quick": setting.quick,
        "packets": setting.packets,
        "accepted": accepted(setting),
        "machine": host,
        "rows": [as_json(row) for row in rows],
    }


def accepted(setting: Setting) -> dict[str, int]:
    """How many packets of the capture each filter lets through."""
    scans = {
        name: native.compiled(program).scan(setting.opened)
        for name, program in setting.programs.items()
    }
    return {name: int((rets != 0).sum()) for name, rets in scans.items()}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the JSON, a row a line, whole or not at all."""
    rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in content["rows"])
    head = json.dumps({**content, "rows": []}, indent=1, ensure_ascii=False)
    text = head.removesuffix("[]\n}") + f"[\n{rows}\n ]\n}}\n"
    with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


if __name__ == "__main__":
    main()
