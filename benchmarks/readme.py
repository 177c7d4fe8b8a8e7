"""Write the README's section about speed from benchmarks/speed.json.

    python benchmarks/readme.py           write it
    python benchmarks/readme.py --check   exit with 1 where that would change README.md

Rows of one group that share a target become one line, with the range of their
medians.  A target that is missed is said as plainly as one that is reached.
"""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rows import short

__all__ = ["section"]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- speed: .*?-->\n).*?(<!-- end of speed -->)", re.S)
COMMAND = "python benchmarks/speed.py --json benchmarks/speed.json"

Row = dict[str, Any]  # as rows.as_json makes it


def section(found: dict[str, Any]) -> str:
    """The section's Markdown, from all that the JSON holds."""
    rows = [row for row in found["rows"] if row["goal"]]
    noise = [row for row in found["rows"] if not row["goal"]]
    return "\n\n".join([opening(found), "\n".join(table(rows)), closing(rows, noise)]) + "\n"


def opening(found: dict[str, Any]) -> str:
    """What ran where, with which versions."""
    machine = found["machine"]
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    place = f"{machine['processor']}, {cores}, {machine['cache']} of cache, {machine['kernel']}"
    rivals = [f"{name} {number(machine[name])}" for name in ("libpcap", "tcpdump", "gcc")]
    versions = [machine["python"], f"llvmlite {machine['llvmlite']}", *rivals]
    return filled(
        f"`{COMMAND}` races the back ends against others, in turns, on pinned packets"
        " (a capture of 766 MB, made in ~/.cache/bpfnb)."
        f" This was on {found['date']}: {place}; {', '.join(versions)}."
    )


def filled(text: str) -> str:
    """A paragraph, its lines as long as the README's."""
    return textwrap.fill(text, 106, break_long_words=False, break_on_hyphens=False)


def number(said: str) -> str:
    """The version in what a program says of itself.

    The last word that looks like one: gcc tells its packager's before its own.
    """
    words = re.findall(r"(?<![\w.-])\d+(?:\.\d+)+(?![\w.-])", said)
    return words[-1] if words else said


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A line for the rows that share group, packets and target."""
    yield "| | over | ours | theirs | ratio | target |"
    yield "|---|---|---|---|---|---|"
    measured = (row for row in rows if row["figure"])
    for _, members in groupby(
        measured, lambda row: [row[key] for key in ("group", "where", "target")]
    ):
        yield line(list(members))


def line(rows: Sequence[Row]) -> str:
    """One line of the table."""
    first = rows[0]
    what = first["group"] if len(rows) > 1 else f"{first['group']}: {first['what']}"
    sides = [extent([row[side] for row in rows], first["unit"]) for side in ("ours", "theirs")]
    cells = [what, first["where"], *sides, compared(rows), judged(rows)]
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def extent(spreads: Sequence[list[float] | None], unit: str) -> str:
    """From the least to the largest median: "1.2–3.4 ns"."""
    medians = sorted(each[1] for each in spreads if each)
    if not medians:
        return ""
    ends = dict.fromkeys(map(short, (medians[0], medians[-1])))
    return f"{'–'.join(ends)} {unit}"


def compared(rows: Sequence[Row]) -> str:
    """The ratios in words."""
    first = rows[0]
    if not first["theirs"]:
        return ""
    faster = first["target"] and first["target"][0] == "≥"
    return extent([row["figure"] for row in rows], "× as fast" if faster else "× the time")


def judged(rows: Sequence[Row]) -> str:
    """The target, and how many rows reach it where not all do."""
    if not rows[0]["target"]:
        return ""
    sign, bound = rows[0]["target"]
    reached = sum(row["reached"] for row in rows)
    mark = "✓" if reached == len(rows) else f"✗ ({reached} of {len(rows)})" if reached else "✗"
    return f"{sign} {bound:,g} {mark}"


def closing(rows: Sequence[Row], noise: Sequence[Row]) -> str:
    """How to read it, what is missed, what is not measured."""
    said = ["Times are medians; a range goes over several filters, of 4 to 100 instructions."]
    if noise:
        ratios = [row["figure"] for row in noise]
        said.append(f"Raced against itself, native took {extent(ratios, '× the time')}.")
    verdicts = [row["reached"] for row in rows if row["reached"] is not None]
    said.append(f"{sum(verdicts)} of {len(verdicts)} targets are reached.")
    missing = sorted({f"{row['group']} ({row['missing']})" for row in rows if row["missing"]})
    if missing:
        said.append(f"Not measured: {'; '.join(missing)}.")
    return filled(" ".join(said))


def main() -> int:
    """Write or check."""
    found = json.loads((ROOT / "benchmarks" / "speed.json").read_text(encoding="utf-8"))
    if found["quick"]:
        raise SystemExit("speed.json is of a --quick run, which is held against no target")
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda match: match[1] + section(found) + match[2], old)
    if new == old:
        return 0
    if "--check" in sys.argv[1:]:
        print("README.md's figures are not speed.json's: run benchmarks/readme.py", file=sys.stderr)
        return 1
    written = readme.with_suffix(".new")
    written.write_text(new, encoding="utf-8")
    os.replace(written, readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
