"""The README shows what the project does today: its code runs, its picture and badges are made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from bpfnb.packets.capture import open_capture

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.S | re.M)


def shell() -> InteractiveShell:
    """A shell with the extension and the packets of the five minutes."""
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_cell("%load_ext bpfnb").raise_error()
    return made


def test_every_block_of_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tour = shell()
    cells = [body for language, body in BLOCKS if language in ("ipython", "python")]
    assert len(cells) == 8
    for cell in cells:
        tour.run_cell(cell).raise_error()
    assert tour.user_ns["result"].rets.tolist() == [0, 0xFFFFFFFF]
    kept = tour.user_ns["prog"].filter(tour.user_ns["capture"])
    assert 0 < len(kept) == len(open_capture(tmp_path / "dns.pcap"))


def test_the_listing_and_the_mistake_are_as_shown() -> None:
    listing, mistake = (body for language, body in BLOCKS if language == "text")
    tour = shell()
    tour.run_cell("%bpf -q -o icmp icmp").raise_error()
    assert str(tour.user_ns["icmp"]) + "\n" == listing
    outcome = tour.run_cell("%%bpf\n        ldh [12]\n        jeqq #ETHERTYPE_IP, ip, drop\n")
    assert str(outcome.error_in_exec) + "\n" == mistake


def test_the_picture_is_what_the_project_draws() -> None:
    tour = shell()
    tour.run_cell("import bpfnb as bpf\nmixed = bpf.samples.open('mixed')").raise_error()
    tour.run_cell("%bpf -q -p mixed -o result icmp or arp").raise_error()
    picture = ROOT / "notebooks" / "pictures" / "icmp_or_arp.svg"
    # made anew by: tour.user_ns["result"].graph.save(picture)
    assert tour.user_ns["result"].graph.svg.rstrip() == picture.read_text(encoding="utf-8").rstrip()


def test_badges_are_made_from_the_one_address() -> None:
    script = ROOT / ".ci" / "badges"
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0
    badges = run_path(str(script))["badges"]
    assert badges("https://repository.invalid/bpfnb") == ""
    made = badges("https://git.example/people/bpfnb/")
    assert "https%3A%2F%2Fgit.example%2Fpeople%2Fbpfnb/HEAD" in made
    assert made.startswith("[![")
