"""The machine and the versions that figures were taken on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bpfnb.pcap.library import load

__all__ = ["cores", "described"]

PACKAGES = ("numpy", "llvmlite", "scapy", "pcapy-ng")
NONE = "none"


def described() -> dict[str, str | int]:
    """Processor, cores, memory, kernel, and the version of everything raced."""
    return {
        "processor": processor(),
        "cores": cores(),
        "cache": last_level_cache(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: package(name) for name in PACKAGES},
        "libpcap": load("carried").version,
        "tcpdump": said_by("tcpdump"),
        "gcc": said_by("gcc"),
    }


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Its name, and on Linux its numbers: a virtual machine's name alone says little."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.M))
    name = fields.get("model name", platform.machine())
    numbers = [
        f"{key.removeprefix('cpu ')} {fields[key]}"
        for key in ("cpu family", "model")
        if key in fields
    ]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def last_level_cache() -> str:
    """The size of the largest cache, as Linux tells it in KiB."""
    sizes = [
        int(path.read_text(encoding="ascii").strip().removesuffix("K"))
        for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    ]
    return f"{max(sizes) / 1024:g} MiB" if sizes else NONE


def package(name: str) -> str:
    """The version of a Python package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return NONE


def said_by(program: str) -> str:
    """The first line of what a program says of its version."""
    found = shutil.which(program)
    if found is None:
        return NONE
    shown = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return ((shown.stdout or shown.stderr).splitlines() or [NONE])[0]
