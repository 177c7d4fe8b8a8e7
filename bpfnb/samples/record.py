"""Make all sample captures again: `sudo python -m bpfnb.samples.record [DIR]`.

Each scene of `scenes` runs between hosts in network namespaces of its own and
is recorded by tcpdump; then all files move to their place at once, and
RECORDED.txt says on what kernel and when.  DIR is the package's own directory
unless given.  What is missing is said in one line, and nothing is changed.

Left out: recording on anything but Linux.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bpfnb.errors import BpfError, UnavailableError
from bpfnb.samples import HERE, captures

__all__ = ["main", "missing", "record"]

TOOLS = {"ip": "iproute2", "tcpdump": "tcpdump", "ping": "iputils-ping"}
COMMAND = "python -m bpfnb.samples.record"


def missing() -> str:
    """Say in one line what this machine lacks for recording; empty: nothing."""
    if sys.platform != "linux":
        return f"needs Linux's network namespaces; this is {platform.system()}"
    if os.geteuid() != 0:
        return f"needs root, to make network namespaces: sudo {COMMAND}"
    lacking = [f"{tool} (package {package})" for tool, package in TOOLS.items()
               if shutil.which(tool) is None]  # fmt: skip
    if lacking:
        return f"needs {' and '.join(lacking)}"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun (modprobe tun)"
    return ""


def record(target: Path) -> None:
    """Record all samples into the directory `target`.

    Raises UnavailableError when the machine lacks something; files that were
    there are then as before.
    """
    lack = missing()
    if lack:
        raise UnavailableError(f"recording {lack}")
    from bpfnb.samples.lab import Lab  # needs modules that only Unix has
    from bpfnb.samples.scenes import SCENES

    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as folder:
        for name, scene in SCENES.items():
            path = Path(folder, f"{name}.pcap")
            with Lab(path) as lab:
                scene(lab)
            print(f"{name}: {path.stat().st_size} bytes")
        Path(folder, "RECORDED.txt").write_text(account(Path(folder)), encoding="utf-8")
        for path in sorted(Path(folder).iterdir(), reverse=True):  # RECORDED.txt last
            path.chmod(0o644)
            path.replace(target / path.name)


def account(folder: Path) -> str:
    """Return the text of RECORDED.txt: by what, where and when."""
    from bpfnb.packets.capture import open_capture

    said = subprocess.run(["tcpdump", "--version"], capture_output=True, text=True, check=False)
    tcpdump, libpcap = (said.stdout + said.stderr).splitlines()[:2]
    rows = [
        f"{sample.name:16} {len(open_capture(folder / sample.path.name)):4} packets  {sample.story}"
        for sample in captures
    ]
    facts = (
        "Recorded from real Linux stacks in network namespaces.  All traffic stayed inside them.",
        "",
        f"command  sudo {COMMAND}",
        f"date     {time.strftime('%Y-%m-%d', time.gmtime())}",
        f"kernel   {platform.system()} {platform.release()} {platform.machine()}",
        f"with     {tcpdump}, {libpcap}, Python {platform.python_version()}",
        "",
        "VLAN tags and MPLS labels were put on by TAP devices of the script, between two kernel",
        "stacks and over a veth wire; all other headers are the kernel's.",
        "",
        *rows,
    )
    return "\n".join(facts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run as a command; return its exit status."""
    if len(arguments) > 1 or any(word.startswith("-") for word in arguments):
        print(f"usage: {COMMAND} [DIR]", file=sys.stderr)
        return 2
    # So that namespaces are removed when the script is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        record(Path(arguments[0]) if arguments else HERE / "captures")
    except (BpfError, OSError) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
