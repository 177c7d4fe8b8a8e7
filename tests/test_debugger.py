"""The debugger: bpf_dbg's commands and ours, on really captured packets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb import samples
from bpfnb.analysis.debugging.commands import COMMANDS
from bpfnb.analysis.debugging.debugger import Debugger
from bpfnb.analysis.debugging.stops import Said, Stop
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.program import Program
from bpfnb.views.debugger import hexdump
from tests.strategies import legal_programs, packet_bytes

ICMP = bpf.compile_filter("icmp")
XT = "6,40 0 0 12,21 0 3 2048,48 0 0 23,21 0 1 1,6 0 0 262144,6 0 0 0"
LOOP = "again: ld #1\nja again\nret #0"
CPU_AND_RAND = (0xFFFFF024, 0xFFFFF038)  # two runs may read different values there


@pytest.fixture
def debugger() -> Debugger:
    """icmp on eight packets: two of ARP, six of ping."""
    return ICMP.debug(samples.open("ping"))


def stop(answer: Stop | Said) -> Stop:
    """An answer that must be a Stop."""
    assert isinstance(answer, Stop)
    return answer


def words(answer: Stop | Said) -> str:
    """An answer that must be in words."""
    assert isinstance(answer, Said)
    return answer.words


def test_it_begins_before_the_first_step_on_the_first_packet(debugger: Debugger) -> None:
    here = stop(debugger.here)
    assert (here.packet, here.position, here.state.pc, here.ret) == (1, 0, 0, None)
    assert repr(debugger) == "<Debugger: packet 1 of 8, step 0 of 3>"


def test_a_stop_shows_what_bpf_dbg_shows(debugger: Debugger) -> None:
    debugger.select(3)
    text = str(debugger.cmd("step 3"))
    assert text.splitlines()[0].endswith(": 3 steps on")
    assert text.startswith("packet 3 of 8, ")
    for line in (
        "step 3", "  pc:     [3]", "  code:   [0x15] jt[0] jf[1] k[1]",
        "  curr:   (003) jeq #0x1 jt 4 jf 5", "  jt:     (004) ret #262144",
        "  jf:     (005) ret #0", "  A:      [0x00000001] [1]", "  X:      [0x00000000] [0]",
        "packet, 98 bytes",
    ):  # fmt: skip
        assert line in text.splitlines()
    assert " 00 54 f4 08 40 00 40 01 " in text
    assert " 40 00 40[01]" in str(debugger.step(-1))  # what (002) is about to read


def test_scratch_words_that_are_not_zero_are_shown_in_hex_and_decimal() -> None:
    debugger = bpf.assemble("ld #255\nst M[7]\nret a").debug(b"abc")
    assert "  M[7]:   [0x000000ff] [255]" in str(debugger.step(2))
    assert "  M[7]:" not in str(debugger.step(-1))
    end = debugger.step(9)
    assert (end.moved, end.ret) == (2, 255)
    assert "✓ accept after 3 steps" in str(end)
    assert "M[7]" in str(end)


def test_steps_stay_in_the_run_and_say_so(debugger: Debugger) -> None:
    back = debugger.step(-1)
    assert (back.moved, back.position) == (0, 0)
    assert "no more" in back.reason
    end = debugger.step(100)
    assert (end.moved, end.ended, end.ret) == (3, True, 0)
    assert debugger.step(-100).position == 0


def test_run_counts_verdicts_and_begins_anew_behind_the_last_packet(debugger: Debugger) -> None:
    capture = samples.open("ping")
    rets = ICMP.run_many(capture).tolist()
    for _ in range(2):
        end = debugger.run()
        assert (end.packet, end.ended, end.accepted, end.rejected) == (8, True, 6, 2)
        assert end.reason == "ran 8 packets: 6 accepted, 2 rejected"
    assert [debugger.run(1).ret for _ in rets] == rets
    debugger.select(7)
    assert debugger.run(5).reason == "ran 2 packets: 2 accepted, 0 rejected"
    debugger.select(1)
    debugger.step()
    assert debugger.run(2).packet == 2


def test_a_breakpoint_stops_each_packet_that_gets_there_once(debugger: Debugger) -> None:
    debugger.breakpoint(2)
    found = []
    while not (at := debugger.run()).ended:
        assert (at.state.pc, at.position) == (2, 2)
        found.append(at.packet)
    assert found == [3, 4, 5, 6, 7, 8]
    assert debugger.run().reason == (
        "breakpoint at (002); before it 2 packets: 0 accepted, 2 rejected"
    )
    debugger.breakpoint("reset")
    assert debugger.run().ended


def test_a_breakpoint_at_the_first_instruction_stops_the_first_packet_too(
    debugger: Debugger,
) -> None:
    debugger.breakpoint(0)
    assert [(at.packet, at.position) for at in (debugger.run(), debugger.run())] == [(1, 0), (2, 0)]
    debugger.select(1)
    assert debugger.run().packet == 1
    debugger.step()
    assert debugger.run().packet == 2


def test_a_run_over_few_packets_may_end_before_a_breakpoint(debugger: Debugger) -> None:
    debugger.breakpoint(2)
    assert debugger.run(2).reason == "ran 2 packets: 0 accepted, 2 rejected"
    assert debugger.run(1).reason == "breakpoint at (002)"


def test_a_condition_picks_the_packet() -> None:
    debugger = bpf.compile_filter("tcp").debug(samples.open("tcp"))
    debugger.cmd("breakpoint 0 if P[36:2] == 9 and P[47] & 2 != 0")
    at = stop(debugger.cmd("run"))
    wanted = [one.data[36:38] == b"\0\x09" and one.data[47] & 2 for one in samples.open("tcp")]
    assert at.reason.startswith("breakpoint at (000) if P[36:2] == 9")
    assert at.packet == wanted.index(2) + 1


def test_a_watch_stops_where_it_becomes_true_in_each_packet(debugger: Debugger) -> None:
    debugger.watch("A == 0x800")
    first, second = debugger.run(), debugger.run()
    assert [(at.packet, at.position) for at in (first, second)] == [(3, 1), (4, 1)]
    assert first.reason.startswith("watch: A == 0x800 became true; before it 2 packets")
    debugger.watch("reset")
    debugger.watch("reads 23")
    assert debugger.run().step == debugger.place.trace.steps[2]
    debugger.cmd("watch reset")
    debugger.cmd("watch ret == 0")
    debugger.select(1)
    assert (debugger.run().packet, debugger.place.position) == (1, 2)


def test_a_logpoint_speaks_when_its_instruction_runs_and_stops_nothing(
    debugger: Debugger,
) -> None:
    debugger.logpoint(3, "proto {A}, type {P[12:2]:#06x}")
    end = debugger.run(4)
    assert end.logged == (
        "packet 3 (003) proto 1, type 0x0800", "packet 4 (003) proto 1, type 0x0800",
    )  # fmt: skip
    assert end.logged[0] in str(end)
    debugger.step(-2)
    assert debugger.step().logged == end.logged[1:]
    assert debugger.logged == (*end.logged, end.logged[1])
    debugger.breakpoint(3)
    assert debugger.run().logged == ()
    assert debugger.step().logged == ("packet 5 (003) proto 1, type 0x0800",)


def test_a_long_log_is_cut_in_the_view_and_its_length_said() -> None:
    debugger = bpf.assemble("ret #0").debug([b""] * 30)
    debugger.logpoint(0, "{len}")
    end = debugger.run()
    assert len(end.logged) == 30
    assert "… 10 lines before\npacket 11 (000) 0\n" in str(end)


def test_points_are_listed_replaced_and_taken_away(debugger: Debugger) -> None:
    assert words(debugger.cmd("breakpoint")) == "no breakpoint is set"
    debugger.cmd("breakpoint 4 if A == 1")
    debugger.cmd("breakpoint 1")
    assert words(debugger.cmd("breakpoint 4")) == "breakpoint (001)\nbreakpoint (004)"
    assert words(debugger.cmd("watch X > 20")) == "watch      X > 20"
    assert words(debugger.cmd("log 3 A is {A:#x}")) == "log        (003) A is {A:#x}"
    for kind in ("breakpoint", "watch", "log"):
        assert words(debugger.cmd(f"{kind} reset")) == f"no {kind} is set"


def test_the_listing_marks_breakpoints_and_what_runs_next(debugger: Debugger) -> None:
    debugger.breakpoint(2)
    debugger.select(3)
    debugger.step()
    lines = words(debugger.disassemble()).splitlines()
    assert [line[:2] for line in lines] == ["  ", " →", "● ", "  ", "  ", "  "]
    assert [line[3:] for line in lines] == str(ICMP).splitlines()
    assert words(debugger.dump()) == ICMP.text("c")
    debugger.step(9)
    assert "→" not in words(debugger.disassemble())


def test_programs_and_packets_can_be_loaded_later() -> None:
    debugger = Debugger()
    assert "no program" in words(debugger.here)
    assert "no packets" in words(debugger.cmd(f"load bpf {XT}"))
    assert debugger.program == ICMP
    assert words(debugger.dump()) == ICMP.text("c")
    with pytest.raises(bpf.BpfError, match="no packets"):
        debugger.run()
    loaded = stop(debugger.cmd(f"load pcap {samples.path('ping')}"))
    assert loaded.reason == "loaded 8 packets"
    debugger.breakpoint(2)
    assert debugger.run().packet == 3
    assert stop(debugger.cmd("load bpf ret #5")).position == 0
    assert not debugger.points
    assert debugger.run(1).ret == 5


def test_blanks_of_a_line_may_be_tabs() -> None:
    debugger = Debugger()
    assert "no packets" in words(debugger.cmd("load\tbpf \tret\t#5"))
    assert stop(debugger.cmd(f"load pcap\t{samples.path('ping')}")).reason == "loaded 8 packets"


def test_numbers_may_be_numpys(debugger: Debugger) -> None:
    (found,) = np.flatnonzero(ICMP.run_many(samples.open("ping")))[:1]
    chosen = debugger.select(found + 1)
    assert (chosen.packet, type(chosen.packet)) == (3, int)
    assert debugger.step(np.int64(2)).position == 2
    assert words(debugger.breakpoint(np.uint32(4))) == "breakpoint (004)"
    assert debugger.run(np.int32(1)).reason == "breakpoint at (004)"
    for wrong in (np.float64(1), np.array([1, 2]), np.bool_(True)):
        with pytest.raises(bpf.BpfError, match="whole number"):
            debugger.select(wrong)  # type: ignore[arg-type]


def test_a_file_is_one_even_without_an_ending(tmp_path: Path) -> None:
    file = tmp_path / "a capture"
    file.write_bytes(samples.path("ping").read_bytes())
    debugger = Debugger(ICMP)
    assert stop(debugger.cmd(f"load pcap {file}")).reason == "loaded 8 packets"
    file.write_bytes(samples.path("ping").read_bytes()[:-1])
    assert "damaged" in stop(debugger.load_pcap(file)).reason
    assert "damaged" in debugger.run().reason
    with pytest.raises(bpf.BpfError, match="None"):
        debugger.load_pcap(None)


def test_what_fails_changes_nothing(debugger: Debugger) -> None:
    debugger.breakpoint(2)
    debugger.run()
    before = (debugger.place, debugger.points, debugger.program, debugger.batch)
    for line in (
        "load pcap /nowhere.pcap", "load bpf ldx", "load bpf ja +5", "load", "load x y", "select 0",
        "select 9", "select", "step x", "step 1.5", "run 0", "run -1", "run x", "breakpoint 6",
        "breakpoint -1", "breakpoint x", "breakpoint 1 A == 1", "breakpoint 1 if", "watch A",
        "breakpoint 1 if A = 1", "watch =", "log 1", "log x y", "log 9 x", "log 1 {", "dump 3",
        "disassemble 1", "quit now", "nonsense", "d", "s 3", "help me", "l",
    ):  # fmt: skip
        with pytest.raises(bpf.BpfError):
            debugger.cmd(line)
    for wrong in (1.5, "3", True, None):
        with pytest.raises(bpf.BpfError):
            debugger.select(wrong)  # type: ignore[arg-type]
    assert before == (debugger.place, debugger.points, debugger.program, debugger.batch)


def test_an_unknown_command_gets_the_nearest_and_the_list(debugger: Debugger) -> None:
    with pytest.raises(bpf.BpfError) as caught:
        debugger.cmd("stpe 3")
    assert "did you mean step?" in caught.value.hint
    for each in COMMANDS:
        assert each.name in caught.value.hint
        assert each.usage in words(debugger.cmd("help"))
    with pytest.raises(bpf.BpfError, match="select or step"):
        debugger.cmd("s")


def test_the_eight_commands_of_bpf_dbg_come_first_and_may_be_cut_short(debugger: Debugger) -> None:
    eight = ["load", "select", "step", "run", "breakpoint", "disassemble", "dump", "quit"]
    assert [each.name for each in COMMANDS[:8]] == eight
    assert stop(debugger.cmd("sel 3")).packet == 3
    assert stop(debugger.cmd("  st   +2 ")).position == 2
    assert stop(debugger.cmd("st -1\n")).position == 1
    assert stop(debugger.cmd("")).position == 1
    assert words(debugger.cmd("B 2 IF A == 1")) == "breakpoint (002) if A == 1"
    assert stop(debugger.cmd("r 2")).packet == 4


def test_columns_of_a_command_line_count_from_its_beginning(debugger: Debugger) -> None:
    for line in ("breakpoint 4 if A = 1", "watch A = 1", "log 3 A = {A = 1}"):
        with pytest.raises(bpf.BpfError) as caught:
            debugger.cmd(line)
        assert caught.value.column == line.rindex("= ") + 1  # type: ignore[attr-defined]


def test_quit_lets_go_of_everything(debugger: Debugger) -> None:
    assert "left by quit" in words(debugger.quit())
    for line in ("run", "step", "select 1", "dump", "breakpoint 1", f"load bpf {XT}"):
        with pytest.raises(bpf.BpfError, match="left by quit"):
            debugger.cmd(line)
    assert "left by quit" in repr(debugger)
    assert "left by quit" in str(debugger)


def test_an_illegal_program_is_debugged_only_when_asked() -> None:
    shift = bpf.assemble("ld #1\nlsh #33\nret a")
    with pytest.raises(bpf.CheckError):
        shift.debug(b"")
    assert shift.debug(b"", check=False).run().ret == 2
    with pytest.raises(bpf.BpfError, match=r"packet 1: .* past its end: pc is 0"):
        bpf.Program.from_insns([]).debug(b"", check=False)
    with pytest.raises(bpf.BpfError, match="EN10MB"):
        ICMP.debug(samples.open("raw"))


ENDLESS = "stopped after 100,000 steps: it loops, (000) → (001) → (000)"


def test_a_program_that_loops_can_be_stepped_through_and_is_stopped() -> None:
    debugger = bpf.assemble(LOOP).debug([b"", b"x"], check=False)
    assert debugger.step(3).state.pc == 1
    assert debugger.step(-2).state.pc == 1
    end = debugger.run()
    assert (end.packet, end.position, end.ret) == (1, 1000, None)
    assert end.reason == f"{ENDLESS}; these are the first 1,000"
    assert f"✗ {ENDLESS}" in str(end)
    assert debugger.step().reason == f"0 steps on: {ENDLESS}"
    assert debugger.run().packet == 2
    debugger.watch("A == 1")
    assert (debugger.run().packet, debugger.place.position) == (1, 1)


def test_packets_that_end_are_counted_before_the_one_that_does_not() -> None:
    program = bpf.assemble("again: ldb [0]\njeq #1, back, done\nback: ja again\ndone: ret #9")
    debugger = program.debug([b"\0", b"\2", b"\1", b"\3"], check=False)
    assert debugger.run().reason.endswith("before it 2 packets: 2 accepted, 0 rejected")
    assert (debugger.place.packet, debugger.place.ended) == (3, True)
    assert debugger.run().reason == "ran 1 packet: 1 accepted, 0 rejected"


def test_a_program_that_goes_astray_stands_where_it_was() -> None:
    past = bpf.assemble("ld #5\nja +7").debug(b"", check=False)
    assert past.run().reason == (
        "stopped: the program ran past its end: pc is 9, the last instruction 1"
    )
    assert past.here.state.A == 5  # type: ignore[union-attr]
    strange = bpf.Program.from_insns([(0xFF, 0, 0, 0)]).debug(b"", check=False)
    assert "no machine runs opcode 0xff" in str(strange)
    assert strange.run().ret is None


def test_no_packets_at_all_leave_the_listing() -> None:
    debugger = ICMP.debug([])
    assert "no packet" in str(debugger)
    assert words(debugger.dump()) == ICMP.text("c")
    with pytest.raises(bpf.BpfError, match="0 packets"):
        debugger.step()


def test_it_shows_itself_in_a_notebook(debugger: Debugger) -> None:
    from bpfnb.views.debugger import Debugger as Shown
    from bpfnb.views.debugger import SaidView, StopView

    assert isinstance(debugger, Shown)
    assert "before step 0" in debugger._repr_html_()
    assert str(debugger) == str(debugger.here)
    debugger.logpoint(0, "<b>&")
    end = debugger.run(1)
    assert isinstance(end, StopView)
    assert "&lt;b&gt;&amp;" in end.html()
    listing = debugger.cmd("disassemble")
    assert isinstance(listing, SaidView)
    assert "<pre" in listing.html()
    assert "<pre" not in debugger.quit().html()  # type: ignore[attr-defined]


def test_a_long_packet_is_cut_but_for_what_is_read() -> None:
    debugger = bpf.assemble("ldb [1000]\nret a").debug(bytes(1500))
    lines = str(debugger).splitlines()
    assert "     … 672 bytes not shown" in lines
    assert any(line.startswith("   992 0x03e0 ") and "[00]" in line for line in lines)
    assert lines[-1] == "     … 492 bytes not shown"
    assert hexdump(b"") == []


@settings(deadline=None)
@given(legal_programs(), packet_bytes(), st.lists(st.integers(-30, 30), max_size=5), st.data())
def test_a_step_and_the_same_back_changes_nothing(
    program: Program, data: bytes, way: list[int], draw: st.DataObject
) -> None:
    debugger = Debugger(program, data)
    for n in way:
        debugger.step(n)
    before = debugger.place
    moved = debugger.step(draw.draw(st.integers(-30, 30))).moved
    debugger.step(-moved)
    assert debugger.place == before


@settings(deadline=None)
@given(legal_programs(), st.lists(packet_bytes(), min_size=1, max_size=4), st.booleans())
def test_running_to_the_end_is_running(program: Program, data: list[bytes], step: bool) -> None:
    assume(all(insn.k not in CPU_AND_RAND for insn in program.insns))
    assert not check(program)
    prog = bpf.Program.of(program)
    debugger = Debugger(program, data)
    rets = [prog.run(each) for each in data]
    if step:
        assert debugger.step(len(program)).ret == rets[0]
        debugger.select(1)
    assert debugger.run().ret == rets[-1]
    debugger.watch("len > 100000")  # never true, yet every packet is looked at
    again = debugger.run()
    assert (again.accepted, again.rejected) == (sum(map(bool, rets)), rets.count(0))
    assert [debugger.run(1).ret for _ in rets] == rets


@settings(deadline=None)
@given(legal_programs(), packet_bytes())
def test_breakpoints_everywhere_are_steps(program: Program, data: bytes) -> None:
    debugger = Debugger(program, data)
    steps = len(debugger.place.trace.steps)
    for pc in range(len(program)):
        debugger.breakpoint(pc)
    positions = [debugger.run().position for _ in range(steps + 1)]
    assert positions == list(range(steps + 1))


LINES = st.lists(
    st.sampled_from(
        [each.name for each in COMMANDS if each.name != "load"]
        + ["reset", "if", "A", "==", "1", "-1", "{A}", "{", "3", "x", "bpf", "reads", "not"]
    ),
    max_size=6,
).map(" ".join)


@given(st.lists(LINES | st.text(max_size=20), max_size=4))
def test_no_line_makes_it_raise_anything_else(lines: list[str]) -> None:
    debugger = Debugger(ICMP, bytes(60))
    for line in lines:
        try:
            answer: object = debugger.cmd(line)
        except bpf.BpfError as error:
            answer = str(error)
        assert answer
