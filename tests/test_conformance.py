"""The conformance table, run live: what differs is named, and what is named differs.

A libpcap or a kernel that behaves otherwise than those the table was made with
fails here with the row's name.  Then the processes that the programs run in,
and how the table shows itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb.backends import child, conformance
from bpfnb.backends.child import Answer, Job, ask
from bpfnb.backends.conformance import AGREEMENTS, Machine, Outcome, Row, conform
from bpfnb.backends.differences import DIFFERENCES, explains
from bpfnb.backends.questions import EVERY, Question
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.linux.probe import Ability, attempt, socket_filters
from bpfnb.linux.sockfilter import accepts
from bpfnb.pcap.library import CHOICE, PLACES, Library, load
from bpfnb.views.conformance import Conformance
from tests.strategies import legal_programs, near_legal_programs, packet_bytes
from tests.test_cases import CASES

HERE = attempt("socket filters", socket_filters)
on_the_kernel = pytest.mark.skipif(not HERE.works, reason=f"socket filters: {HERE.reason}")
signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

# What each machine answers: ours, Linux, every libpcap up to 1.10.
KNOWN = {
    "shift by X of 32 or more": ("ret 2", "ret 2", "ret 0"),
    "X + k beyond 32 bits": ("ret 7", "ret 7", "ret 0"),
    "load from the network header": ("ret 7", "ret 7", "ret 0"),
    "length of a packet cut short": ("ret 1500", "ret 4", "ret 1500"),
    "attribute in a packet of several pieces": ("ret 4", "ret 0", "ret 0"),
    "extension without a device": ("ret 7", "ret 7", "ret 0"),
    "VLAN extension by ldb": ("ret 5", "ret 5", "ret 0"),
    "extension": ("ret 6", "ret 6", "ret 0"),
    "unknown extension": ("refused: extension", "refused: EINVAL", "ret 0"),
    "constant shift by 32 or more": ("refused: shift_width", "refused: EINVAL", "ret 2"),
    "opcode never reached": ("refused: known_opcode", "refused: EINVAL", "ret 1"),
    "ret x": ("refused: known_opcode", "refused: EINVAL", "aborts (SIGABRT)"),
    "opcode outside the 49": ("refused: known_opcode", "refused: EINVAL", "aborts (SIGABRT)"),
    "jump backwards without end": (
        "refused: jump_target", "refused: EINVAL", "does not end within 1 s",
    ),
    "jump backwards that ends": ("refused: jump_target", "refused: EINVAL", "ret 1"),
    "more than 4096 instructions": ("refused: length", "refused: EINVAL", "ret 0"),
    "scratch word written on every way": ("refused: scratch_written", "refused: EINVAL", "ret 1"),
    "scratch word read unwritten": ("refused: scratch_written", "refused: EINVAL", "ret varies"),
    "translation beyond a jump's reach": ("ret 1", "refused: EINVAL", "ret 1"),
    "translation beyond a socket's memory": ("ret 1", "refused: ENOMEM", "ret 1"),
    "division by X of 0": ("ret 0",) * 3,
    "modulo by X of 0": ("ret 0",) * 3,
    "division by the constant 0": (
        "refused: constant_divisor", "refused: EINVAL", "refused: bpf_validate",
    ),
    "division of a large number": ("ret 127",) * 3,
    "comparison with a large number": ("ret 1",) * 3,
    "product beyond 32 bits": (f"ret {0x10001 * 0x10001 & 0xFFFFF}",) * 3,
    "neg": ("ret 5",) * 3,
    "mod and xor": ("ret 5",) * 3,
    "test against X": ("ret 1",) * 3,
    "word at the very end": ("ret 7",) * 3,
    "word one byte past the end": ("ret 0",) * 3,
    "ldxb past the end": ("ret 0",) * 3,
    "load past the captured bytes": ("ret 0",) * 3,
    "offset of 2**31": ("ret 0",) * 3,
    "empty packet": ("ret 1",) * 3,
    "ret above the packet's length": ("ret 262144",) * 3,
    "empty program": ("refused: length", "refused: EINVAL", "refused: bpf_validate"),
    "M[16]": ("refused: scratch_index", "refused: EINVAL", "refused: bpf_validate"),
    "jump past the end": ("refused: jump_target", "refused: EINVAL", "refused: bpf_validate"),
    "last instruction no ret": (
        "refused: last_instruction", "refused: EINVAL", "refused: bpf_validate",
    ),
    "broken rule never reached": (
        "refused: scratch_index", "refused: EINVAL", "refused: bpf_validate",
    ),
}  # fmt: skip
NAMED = [row.name for row in DIFFERENCES]
# Rows without a case: there ours and the kernel answer one program differently.
NO_CASE = {
    "attribute in a packet of several pieces",
    "translation beyond a jump's reach",
    "translation beyond a socket's memory",
}


@pytest.fixture(scope="module")
def live() -> Conformance:
    return bpf.conformance()


# The table


@signals
@pytest.mark.parametrize("name", KNOWN)
def test_each_machine_answers_as_it_is_known_to(name: str, live: Conformance) -> None:
    answers = zip(live.machines, live.row(name).answers, strict=True)
    found = {machine.name: answer.words for machine, answer in answers}
    assert found == {m.name: KNOWN[name][EVERY.index(m.kind)] for m in live.machines}


@signals
def test_the_machines_differ_on_exactly_the_named_differences(live: Conformance) -> None:
    assert [row.name for row in live.surprises] == []
    if {machine.kind for machine in live.machines} == set(EVERY):
        assert {row.name for row in live.differences} == set(NAMED)


def test_every_machine_here_was_asked(live: Conformance) -> None:
    paths = {library.path for library in libpcaps()}
    assert {m.path for m in live.machines if m.kind == "libpcap"} == paths
    assert ("linux" in {m.kind for m in live.machines}) == HERE.works
    assert len(live.machines) + len(live.missing) == 2 + len(PLACES)


def test_each_row_has_a_name_of_its_own_what_is_at_stake_and_a_reason() -> None:
    rows = (*DIFFERENCES, *AGREEMENTS)
    assert [row.name for row in rows] == list(KNOWN)
    assert all(row.stake and row.paper for row in rows)
    assert all(row.differs and row.why for row in DIFFERENCES)
    assert not any(row.differs or row.why for row in AGREEMENTS)


def test_only_what_the_kernel_and_ours_answer_differently_has_no_case() -> None:
    different = {
        name
        for name in NAMED
        if KNOWN[name][0].startswith("ret") and KNOWN[name][1] != KNOWN[name][0]
    }
    # a case may give its packet a wire length, and is then not asked of the kernel
    assert different - {"length of a packet cut short"} == NO_CASE


@pytest.mark.parametrize(
    "row", [r for r in DIFFERENCES if r.name not in NO_CASE], ids=lambda row: row.name
)
def test_every_named_difference_has_a_case(row: Question) -> None:
    ours = KNOWN[row.name][0]
    matching = [case for case in CASES if case.program == row.program]
    if ours.startswith("refused"):
        assert f"refused: {matching[0].rule}" == ours
    else:
        examples = [each for case in matching for each in case.examples]
        asked = [each for each in examples if (each.data, each.wirelen) == (row.data, row.wirelen)]
        assert [f"ret {each.ret}" for each in asked] == [ours]


def test_every_case_of_a_difference_belongs_to_a_row() -> None:
    programs = [row.program for row in DIFFERENCES]
    strays = [case.name for case in CASES if case.name.startswith("difference/")]
    assert strays
    assert [name for name in strays if read_case(name) not in programs] == []


def read_case(name: str) -> Program:
    return next(case.program for case in CASES if case.name == name)


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.name)
def test_a_row_is_explained_by_its_own_name(row: Question) -> None:
    if row.name.startswith("translation"):
        pytest.importorskip("resource", reason="this limit is Linux's")
        if not HERE.works:
            pytest.skip(HERE.reason)
    assert explains(row.program, row.data, row.wirelen) == row.name


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.name)
def test_the_machines_that_a_row_calls_alike_are_alike(row: Question, live: Conformance) -> None:
    answers = [
        answer
        for machine, answer in zip(live.machines, live.row(row.name).answers, strict=True)
        if machine.kind in row.alike
    ]
    assert all(answer.agrees(answers[0]) for answer in answers)
    assert explains(row.program, row.data, row.wirelen, between=row.alike) is None


@pytest.mark.parametrize("row", AGREEMENTS, ids=lambda row: row.name)
def test_what_agrees_is_explained_by_nothing(row: Question) -> None:
    assert explains(row.program, row.data, row.wirelen) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ldx #33\nlsh x\nret a", None),  # 0 shifted by anything
        ("ld #1\nldx #31\nlsh x\nret a", None),
        ("ldx #0xffffffff\nldb [x + 200]\nret a", None),  # past the end in 32 bits too
        ("ret #1\nldb vlan_avail\nret a", None),  # never executed
        ("ldh vlan_avail\nret a", "extension"),
        ("ldx #0xfff00000\nldb [x + 1]\nret a", "load from the network header"),
        ("ldxb 4*([0xfff00000]&0xf)\nret #1", "load from the network header"),
        ("ld proto\nld #1\nldx #32\nlsh x\nret a", "extension"),  # the first names it
        ("ret #1\nld M[1]\nret a", "scratch word written on every way"),  # it is on none
    ],
)
def test_only_what_is_executed_explains(text: str, name: str | None) -> None:
    assert explains(assemble(text), b"\x45\x06\0") == name


# Nothing else differs


def libpcaps() -> list[Library]:
    found = []
    for place in PLACES:
        try:
            found.append(load(place))
        except UnavailableError:
            continue
    return found


@settings(max_examples=400, deadline=None)
@given(near_legal_programs())
@example(assemble("ret #1\nret x"))
def test_who_refuses_a_program_that_others_take_has_a_name(program: Program) -> None:
    verdicts = {not check(program), *(library.validate(program) for library in libpcaps())}
    if HERE.works:
        verdicts.add(accepts(program).accepted)
    if len(verdicts) > 1:
        assert explains(program, b"") in NAMED


@settings(max_examples=400, deadline=None)
@given(legal_programs(), packet_bytes(), st.sampled_from([0, 0, 7]))
def test_rets_that_differ_have_a_name(program: Program, data: bytes, cut: int) -> None:
    wirelen = len(data) + cut
    theirs = {library.evaluator(program).run(data, wirelen) for library in libpcaps()}
    if theirs - {run(program, data, wirelen)}:
        assert explains(program, data, wirelen, between=("interp", "libpcap")) in NAMED


# Processes


def jobs(*texts: str) -> list[Job]:
    return [Job(assemble(text)) for text in texts]


def pcap_path() -> str:
    try:
        return load().path
    except UnavailableError as error:
        pytest.skip(str(error))


def words(*texts: str, seconds: float = 0.2) -> list[str]:
    return [a.words for a in ask("libpcap", pcap_path(), jobs(*texts), seconds)]


LOOP = "top: ja top\nret #1"


@signals
def test_a_lost_process_costs_one_answer_wherever_it_stands() -> None:
    assert words("ret x", "ret #1", LOOP, LOOP, "ret #2", "st M[16]\nret #1", "ret x") == [
        "aborts (SIGABRT)",
        "ret 1",
        "does not end within 0.2 s",
        "does not end within 0.2 s",
        "ret 2",
        "refused: bpf_validate",
        "aborts (SIGABRT)",
    ]


def test_no_jobs_need_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert ask("interp", "", []) == ()


@signals
def test_nothing_is_left_behind(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.path.append(sys.argv[1])\n"
        "from bpfnb.backends.child import Job, ask\n"
        "from bpfnb.cbpf.asm import assemble\n"
        "def files(): return len(os.listdir('/dev/fd'))\n"
        "before = files()\n"
        f"jobs = [Job(assemble(text)) for text in ('ret x', {LOOP!r})]\n"
        "found = ask('libpcap', sys.argv[2], jobs, 0.1)\n"
        "assert [answer.kind for answer in found] == ['killed', 'endless']\n"
        "assert files() == before\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: print('no child, and so no zombie')"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent.parent), pcap_path()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "no child, and so no zombie\n", done.stderr
    assert list(tmp_path.iterdir()) == []


@signals
def test_a_process_that_aborts_leaves_no_core_file(tmp_path: Path) -> None:
    abort = "import os; os.abort()"
    unlimited = "import resource as r; c = r.RLIMIT_CORE; r.setrlimit(c, (r.getrlimit(c)[1],) * 2)"
    ours = "from bpfnb.backends.child import leave_no_core as n; n()"
    if not dumped(f"{unlimited}; {abort}", tmp_path):
        pytest.skip("this system writes no core files at all")
    assert not dumped(f"{unlimited}; {ours}; {abort}", tmp_path)


def dumped(code: str, folder: Path) -> bool:
    """Whether a Python that runs the code leaves a core, as the kernel says."""
    root = str(Path(__file__).parent.parent)
    start = f"import os; os.chdir({str(folder)!r}); import sys; sys.path.append({root!r}); {code}"
    command = [sys.executable, "-c", start]
    null = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=null)
    status = os.waitpid(pid, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status)


def test_what_lies_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "ctypes", "bpfnb", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert [a.words for a in ask("interp", "", jobs("ret #4"))] == ["ret 4"]


@pytest.mark.parametrize("executable", ["", "/nowhere/python", os.devnull])
def test_without_a_second_python_one_line_says_so(
    executable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(UnavailableError, match="second Python") as caught:
        ask("interp", "", jobs("ret #1"))
    assert "\n" not in str(caught.value)


def test_a_library_that_cannot_be_loaded_there_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "libpcap.so"
    broken.write_bytes(b"")
    with pytest.raises(UnavailableError, match="second Python does not start") as caught:
        ask("libpcap", str(broken), jobs("ret #1"))
    assert "\n" not in str(caught.value)


READY = "print('ready', flush=True);"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ready\nhello\n", "no answer: hello"),
        ('ready\n[1, "ret", "", 5]\n', "no answer"),  # out of order
        ('ready\n[0, "ret", "", 5]\n[0, "ret", "", 5]\n', "no answer"),
        ('ready\n[0, "ret", "", -1]\n', "no answer"),
        ('ready\n[0, "ret", "", 4294967296]\n', "no answer"),
        ('ready\n[0, "ret", "", true]\n', "no answer"),
        ('ready\n[0, "ret", "", null]\n', "no answer"),
        ('ready\n[0, "refused", "", 5]\n', "no answer"),
        ('ready\n[0, "killed", "", null]\n', "no answer"),  # only a dead one is that
        ('ready\n[0, "refused", 7, null]\n', "no answer"),
        ("ready\n7\n", "no answer"),
        ("ready\n\n", "no answer"),
        ("ready\n" + '[0, "ret", "", 5]\n' * 3, "3 answers to 2 jobs"),
        ("hello\n", "it says nothing"),
        ("", "it says nothing"),
    ],
)
def test_only_answers_are_taken_for_answers(said: str, words: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        child.parse(said, 2, "")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_that_is_cut_off_is_no_answer_yet() -> None:
    assert child.parse('ready\n[0, "ret", "", 5]\n[1, "ret"', 2, "") == [Answer("ret", "", 5)]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os._exit(0)", "ends the process (exit status 0)"),
        ("raise SystemExit(7)", "ends the process (exit status 7)"),
        ("import os; os.kill(os.getpid(), 11)", "ends the process (SIGSEGV)"),
        ("import os; os.kill(os.getpid(), 9)", "ends the process (SIGKILL)"),
    ],
)
@signals
def test_each_way_to_be_lost_has_its_words(
    code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "START", READY + code)
    assert [a.words for a in ask("interp", "", jobs("ret #1"))] == [words]


def test_a_process_that_only_sleeps_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "START", READY + "import time; time.sleep(60)")
    monkeypatch.setattr(child, "WALL", 2.5)
    (answer,) = ask("interp", "", jobs("ret #1"))
    assert (answer.kind, answer.words) == ("endless", "does not end within 2.5 s")


def test_refusals_agree_whatever_their_words_and_fates_only_when_alike() -> None:
    refused, other = Answer("refused", "EINVAL"), Answer("refused", "length")
    assert refused.agrees(other)
    assert not refused.agrees(Answer("ret", ret=0))
    assert Answer("ret", ret=0).agrees(Answer("ret", ret=0))
    assert not Answer("ret", ret=0).agrees(Answer("ret", ret=1))
    assert not Answer("killed", "aborts").agrees(Answer("killed", "ends"))


# Machines that are not here


def test_a_machine_that_is_not_here_is_said_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(conformance, "attempt", lambda *_: Ability("", False, "no such thing"))
    monkeypatch.setenv(CHOICE, str(tmp_path / "none.so"))
    monkeypatch.setattr(conformance, "PLACES", ())
    outcome = conform(DIFFERENCES[:2])
    assert [machine.kind for machine in outcome.machines] == ["interp"]
    assert [row.name for row in outcome.rows] == NAMED[:2]
    assert outcome.missing[0] == "Linux: no such thing"
    assert "none.so" in outcome.missing[1]
    shown = Conformance(outcome)
    assert "they agree on all" in shown.text()
    assert "not here: Linux: no such thing" in shown.text()
    assert shown.surprises == ()  # that nobody differs is no wonder here


def test_the_library_that_the_user_chose_is_asked_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = Path(pcap_path())
    copy = tmp_path / original.name
    copy.write_bytes(original.read_bytes())
    monkeypatch.setenv(CHOICE, str(copy))
    monkeypatch.setattr(conformance, "PLACES", ("carried",))
    names = [m.name for m in conform(AGREEMENTS[:1]).machines if m.kind == "libpcap"]
    assert len(names) == 2
    assert names[1] == f"{names[0]} #2"
    monkeypatch.setenv(CHOICE, str(original))  # the same file is asked once
    assert len([m for m in conform(AGREEMENTS[:1]).machines if m.kind == "libpcap"]) == 1


def test_no_machine_at_all_gives_an_empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    outcome = conform(AGREEMENTS[:2])
    assert outcome.machines == ()
    assert all("second Python" in line for line in outcome.missing if ":" in line)
    assert len(outcome.missing) >= len(EVERY)
    shown = Conformance(outcome)
    assert shown.text().startswith("0 machines, 2 programs")
    assert "<table" in shown.html()


# How it shows itself

ROWS = (
    Row(DIFFERENCES[0], (Answer("ret", ret=2), Answer("ret", ret=2), Answer("ret", ret=0))),
    Row(
        DIFFERENCES[11],
        (
            Answer("refused", "known_opcode"),
            Answer("refused", "EINVAL"),
            Answer("killed", "aborts"),
        ),
    ),
    Row(AGREEMENTS[0], (Answer("ret", ret=0),) * 3),
)
MACHINES = (
    Machine("bpfnb", "interp", "of this package"),
    Machine("Linux 9", "linux", "9.1"),
    Machine("libpcap 2", "libpcap", "2.0, carried"),
)
TABLE = Conformance(Outcome(MACHINES, ROWS, ("libpcap of its own: none",)))


def test_first_the_answer_then_a_line_an_answer_with_who_gives_it() -> None:
    assert TABLE.text() == (
        "3 machines, 3 programs: they differ on 2\n"
        "  bpfnb: of this package\n"
        "  Linux 9: 9.1\n"
        "  libpcap 2: 2.0, carried\n"
        "  not here: libpcap of its own: none\n"
        "≠ shift by X of 32 or more  ret 2              bpfnb, Linux 9\n"
        "                            ret 0              libpcap 2\n"
        "≠ ret x                     refused            bpfnb (known_opcode), Linux 9 (EINVAL)\n"
        "                            aborts             libpcap 2\n"
        "                            not in its tables  the paper\n"
        "= division by X of 0        ret 0              all 3\n"
        "                            ends the program   the paper"
    )


def test_its_data_are_plain() -> None:
    assert TABLE.names == ("bpfnb", "Linux 9", "libpcap 2")
    assert [row.name for row in TABLE.differences] == [DIFFERENCES[0].name, "ret x"]
    assert TABLE.row("ret x").groups == ((0, 1), (2,))
    assert TABLE.surprises == ()
    with pytest.raises(BpfError, match="did you mean 'ret x'"):
        TABLE.row("retx")


def test_a_machine_that_is_new_to_the_table_is_told_loudly() -> None:
    agreed = Row(DIFFERENCES[0], (Answer("ret", ret=2),) * 3)
    differed = Row(AGREEMENTS[0], (*(Answer("ret", ret=0),) * 2, Answer("ret", ret=1)))
    new = Conformance(Outcome(MACHINES, (agreed, differed)))
    loud = f"NOT AS THE TABLE KNOWS THESE MACHINES: {agreed.name}, {differed.name}"
    assert f"✗ {loud}" in new.text().splitlines()
    assert loud in new.html()
    assert "NOT AS" not in TABLE.text() + TABLE.html()


def test_html_says_the_same_and_not_by_colour_alone() -> None:
    html = TABLE.html()
    for words in ("they differ on 2", "libpcap 2", "≠ ret 0", "≠ aborts", ">=</b>", "not here"):
        assert words in html
    assert html.count("≠ ret") == 1  # the second machine agrees with the first
    assert DIFFERENCES[0].why[:30] in html
    assert "≠ refused" not in html
    assert html == Conformance(Outcome(MACHINES, ROWS, ("libpcap of its own: none",))).html()


class Balance(HTMLParser):
    """Counts that every element is closed, and which there are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_everything_is_escaped() -> None:
    evil = "<script>&\"'"
    question = Question(evil, evil, f"; {evil}\nret #1", paper=evil, why=evil)
    rows = (Row(question, (Answer("killed", evil), Answer("ret", ret=1))),)
    machines = (Machine(evil, "interp", evil), Machine(f"{evil} 2", "libpcap", evil))
    parser = Balance()
    parser.feed(Conformance(Outcome(machines, rows, (evil,))).html())
    assert parser.open == []
    assert "script" not in parser.seen


def test_the_live_table_is_balanced_folded_and_saved(live: Conformance, tmp_path: Path) -> None:
    parser = Balance()
    parser.feed(live.html())
    assert parser.open == []
    assert f"{len(KNOWN) - 20} more programs" in live.html()
    assert live.text() in live.save(tmp_path / "x.txt").read_text(encoding="utf-8")
    assert "<table" in live.save(tmp_path / "x.html").read_text(encoding="utf-8")


def test_conformance_is_public_and_loads_nothing_heavy() -> None:
    code = (
        "import json, sys, bpfnb as bpf\n"
        "shown = bpf.conformance()\n"
        "heavy = ['numpy', 'IPython', 'scapy', 'matplotlib', 'llvmlite']\n"
        "print(json.dumps([len(shown.rows), [name for name in heavy if name in sys.modules]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert json.loads(done.stdout) == [len(KNOWN), []]
