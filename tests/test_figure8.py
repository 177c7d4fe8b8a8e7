"""Figure 8 again: the four filters mean the same on both machines, and counts are true."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bpfnb as bpf
from bpfnb.analysis.equivalence import Proof
from bpfnb.course import figure8
from bpfnb.course.figure8 import processor
from bpfnb.course.figure8.traffic import SHARES, SNAPLEN
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.views.plots_panels import Panels

FOUR = figure8.FILTERS
CAMPUS = figure8.campus()
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "09_measure_the_filters.ipynb"
SENTENCES = {
    1: "ip",
    2: "ip host 192.0.2.1",
    3: "ip and tcp and port (79 or 53 or 513 or 514)",
    4: "host 192.0.2.1 and host 192.0.2.2",
}
every = pytest.mark.parametrize("number", FOUR)


def mutated() -> PacketBatch:
    """Frames of 78 bytes or more with some bits turned round; the programs lack nothing there."""
    random = np.random.RandomState(1993)
    found = []
    for packet in [*CAMPUS[:600], *bpf.samples.open("mixed")]:
        data = bytearray(packet.data.ljust(80, b"\0"))
        for _ in range(random.randint(1, 4)):
            data[random.randint(12, 44)] ^= 1 << random.randint(8)
        found.append(Packet(bytes(data), linktype=1))
    return PacketBatch.of(found)


@every
def test_a_filter_is_libpcaps_for_the_same_sentence(number: int) -> None:
    theirs = bpf.compile_filter(SENTENCES[number])
    assert bpf.equivalent(FOUR[number].bpf, theirs, same="verdict")


@every
def test_both_machines_agree_where_all_words_are_there(number: int) -> None:
    each = FOUR[number]
    wire = mutated()
    wanted = (each.bpf.run_many(wire) > 0).tolist()
    assert 0 < sum(wanted) < len(wanted)
    long = bpf.assemble("ldb [77]\nret #1")
    for stack in (each.cspf, each.short):
        assert stack.run_many(wire).tolist() == wanted
        proof = bpf.equivalent(each.bpf, stack.to_bpf(), 1514, same="verdict", given=long)
        assert isinstance(proof, Proof)


def test_the_traffic_is_the_same_each_time_and_of_all_kinds() -> None:
    assert sum(SHARES.values()) == 100
    again = figure8.campus()
    assert [each.data for each in again] == [each.data for each in CAMPUS]
    assert figure8.campus(50)[49].data == CAMPUS[49].data
    assert {len(each.data) for each in CAMPUS} <= set(range(60, SNAPLEN + 1))
    assert all(each.wirelen >= len(each.data) for each in CAMPUS)
    for kind in ("tcp", "udp", "icmp", "arp", "rarp", "ip[6:2] & 0x1fff != 0", "ip[0] & 0xf != 5"):
        assert len(bpf.compile_filter(kind).filter(CAMPUS)) > 0, kind


def test_scapy_reads_the_traffic() -> None:
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Ether

    for packet in CAMPUS[:300]:
        frame = Ether(packet.data)
        if frame.type == 0x800:
            assert frame[IP].len == packet.wirelen - 14 or packet.wirelen == 60
            assert frame[IP].src.startswith("192.0.2.")


def test_instructions_are_counted_as_traces_have_them() -> None:
    few = CAMPUS[:40]
    found = figure8.executed(few)
    for at, each in enumerate(FOUR.values()):
        for name, program in each.programs.items():
            mean = sum(len(program.trace(packet).steps) for packet in few) / len(few)
            assert found[name][at] == pytest.approx(mean)


def test_the_recording_says_how_it_was_made_and_fits_the_filters() -> None:
    recorded = figure8.recorded()
    assert {"date", "command", "kernel", "valgrind", "gcc", "libpcap"} <= set(recorded.about)
    assert recorded.origin.startswith("recorded on 20")
    assert recorded.packets == len(CAMPUS)
    accepted = [int((each.bpf.run_many(CAMPUS) > 0).sum()) for each in FOUR.values()]
    assert list(recorded.accepted) == 3 * accepted
    assert json.loads(recorded.json())["costs"]["BPF"] == list(recorded.costs["BPF"])


def test_what_is_counted_here_is_like_the_recording() -> None:
    if lack := processor.missing():
        pytest.skip(f"{lack} is missing")
    few = CAMPUS[:200]
    found = figure8.counted(few)
    assert found.origin == "counted here"
    assert found == figure8.counted(few)  # the same each time
    for at, each in enumerate(FOUR.values()):
        assert found.accepted[at] == int((each.bpf.run_many(few) > 0).sum())
    ratios = [c / b for b, c in zip(found.costs["BPF"], found.costs["CSPF"], strict=True)]
    assert 1 < ratios[0] < ratios[1] < ratios[3]


def test_the_c_evaluator_gives_our_verdicts_on_odd_packets() -> None:
    if "gcc" in processor.missing():
        pytest.skip("gcc is missing")
    cut = [packet.data[: 20 + at % 50] for at, packet in enumerate(CAMPUS[:500])]
    for wire in (mutated(), PacketBatch.of([Packet(data, linktype=1) for data in cut])):
        wanted = [
            int(np.count_nonzero(each.programs[name].run_many(wire)))
            for name in figure8.MACHINES
            for each in FOUR.values()
        ]
        assert processor.accepted(wire) == tuple(wanted)


def test_without_valgrind_the_recording_is_shown_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UnavailableError, match="needs valgrind and gcc"):
        figure8.counted(CAMPUS)
    shown = figure8.counts()
    assert shown.recorded
    assert shown.costs == figure8.recorded().costs
    assert shown.origin.startswith("counting instructions here needs valgrind and gcc; recorded on")
    assert figure8.timed(CAMPUS) == {}


def test_nothing_to_count_is_said() -> None:
    if lack := processor.missing():
        pytest.skip(f"{lack} is missing")
    with pytest.raises(BpfError, match="no packets"):
        figure8.counted([])


def test_the_figure_has_the_papers_numbers_and_is_the_same_each_time() -> None:
    figure = figure8.beside({"the paper": figure8.PAPER}, "said", "asked")
    assert re.findall(r"(\d+\.\d)×", figure.text()) == ["1.5", "3.4", "4.4", "18.1"]
    again = replace(figure)
    assert figure.svg == again.svg
    assert "<title>bar chart: said; 1 IP packets, the paper: BPF 62, CSPF 96; " in figure.svg
    html = figure._repr_html_()
    assert "<b>said</b>" in html
    assert 'alt="bar chart: said;' in html


def test_panels_refuse_what_they_have_no_room_for() -> None:
    with pytest.raises(BpfError, match="room for 3 panels"):
        Panels(("a",), {str(at): {"x": (1,)} for at in range(4)}, "")
    with pytest.raises(BpfError, match="a number a row"):
        Panels(("a", "b"), {"p": {"x": (1,)}}, "")
    empty = Panels((), {}, "nothing")
    assert "nothing" in empty.svg
    assert str(empty) == "nothing"
    assert "0" in Panels(("a",), {"p": {"x": (0,), "y": (0,)}}, "none").text()


def test_hostile_names_stay_text() -> None:
    made = Panels(("<script>$x$",), {"<b>\x1b[2J": {"<i>": (1,), "y": (2,)}}, "<u>")
    for words in (made._repr_html_(), made.svg):
        assert "<script>" not in words
        assert "\x1b" not in words


def test_the_chapter_has_the_programs_of_the_figure() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    bodies = ["".join(each["source"]) for each in cells if each["cell_type"] == "code"]
    for number in (1, 2):
        written = [
            bpf.assemble(each.partition("\n")[2])
            for each in bodies
            if each.startswith("%%bpf -p campus") and "{{" not in each
        ][number - 1]
        assert written.insns == FOUR[number].bpf.insns
        stack = [
            bpf.cspf.assemble(each.partition("\n")[2])
            for each in bodies
            if each.startswith("%%cspf -p campus") and "{{" not in each
        ][number - 1]
        assert stack.insns == FOUR[number].cspf.insns


def test_the_script_says_whether_the_recording_still_holds() -> None:
    if lack := processor.missing():
        pytest.skip(f"{lack} is missing")
    script = Path(__file__).parents[1] / "benchmarks" / "valgrind_counts.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1].startswith(("as recorded", "differs from"))
