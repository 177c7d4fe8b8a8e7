"""Goal 4: a capture file from nothing to verdicts, against tcpdump and scapy.

Ours is `open_capture`, its index, and `run_many` on native with one job, in a Python
that has its modules and the compiled filter; letting go of the file comes after
the clock has stopped.  tcpdump's time includes its start, a few ms.  scapy reads
the first packets only, and the time a packet is compared.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import bpfnb
from bpfnb.packets.capture import Capture
from filters import EXPRESSIONS, HUNDRED, TWENTY
from rounds import take_turns
from rows import Heading, NotMeasured, Row, faster
from setting import Setting

__all__ = ["measured"]

READ = ("ip", TWENTY, HUNDRED)
SCAPY = 4_000  # packets that scapy reads
SCAPYS = ("rdpcap and a loop", "sniff(offline=…)")


def measured(setting: Setting) -> Iterator[Row]:
    """Three rows for tcpdump, two for scapy."""
    size, where = setting.packets, setting.mapped.where
    group = "open, index and filter a capture, against tcpdump -r -w"
    try:
        for name in READ:
            times = take_turns(tcpdump_and_ours(setting, name), setting.rounds(11))
            heading = Heading(4, group, where, setting.label(name))
            yield faster(heading, times["ours"], times["tcpdump"], (size, size), 4)
    except NotMeasured as reason:
        yield Row(Heading(4, group, where, "three filters"), missing=str(reason))

    group = f"the same for each packet, against scapy on the first {SCAPY:,}"
    with TemporaryDirectory(dir=setting.folder) as folder:
        racers = scapy_and_ours(setting, Path(folder) / "first.pcap")
        times = take_turns(racers, setting.rounds(5))
    for rival in SCAPYS:
        heading = Heading(4, group, where, rival)
        yield faster(heading, times["ours"], times[rival], (size, SCAPY), 1000)


def reading(setting: Setting, name: str) -> Callable[[], tuple[Capture, int]]:
    """Ours: from the file's name to the number of packets accepted."""
    program, path = setting.programs[name], setting.path

    def read() -> tuple[Capture, int]:
        capture = bpfnb.open_capture(path)
        return capture, int(np.count_nonzero(program.run_many(capture, backend="native")))

    return read


def tcpdump_and_ours(setting: Setting, name: str) -> dict[str, Callable[[], object]]:
    """Both, found to accept as many packets; NotMeasured where there is no tcpdump."""
    tcpdump = shutil.which("tcpdump")
    if tcpdump is None:
        raise NotMeasured("no tcpdump")
    start, ours = [tcpdump, "-r", str(setting.path)], reading(setting, name)
    shown = run([*start, "--count", EXPRESSIONS[name]])
    told = re.match(rb"(\d+) packets?\n", shown)
    if not told:
        raise NotMeasured("this tcpdump has no --count: it is older than 4.99")
    accepted = ours()[1]
    if int(told[1]) != accepted:
        raise AssertionError(f"{name}: tcpdump accepts {int(told[1])} packets, native {accepted}")
    return {
        "ours": ours,
        "tcpdump": lambda: run([*start, "-w", "/dev/null", EXPRESSIONS[name]]),
    }


def run(command: list[str]) -> bytes:
    """What a command prints; it must succeed."""
    return subprocess.run(command, check=True, capture_output=True).stdout


def scapy_and_ours(setting: Setting, path: Path) -> dict[str, Callable[[], object]]:
    """Ours on the capture; scapy's two ways on its first packets, in a file of their own."""
    from scapy.layers.inet import TCP
    from scapy.sendrecv import sniff
    from scapy.utils import rdpcap

    setting.opened.write(path, np.arange(setting.packets) < SCAPY)

    def wanted(packet: Any) -> bool:
        return TCP in packet and 80 in (packet[TCP].sport, packet[TCP].dport)

    return {
        "ours": reading(setting, TWENTY),
        SCAPYS[0]: lambda: [each for each in rdpcap(str(path)) if wanted(each)],
        SCAPYS[1]: lambda: sniff(offline=str(path), lfilter=wanted),
    }
