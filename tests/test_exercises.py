"""The exercises of the course: right answers pass, wrong ones get a packet, and it is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from scapy.layers.l2 import Ether
from traitlets.config import Config

from bpfnb.analysis.cost import cost
from bpfnb.analysis.sameness import tells_apart
from bpfnb.backends import run_many
from bpfnb.cbpf import checker, machine
from bpfnb.cbpf.disasm import text
from bpfnb.course import exercises, judging
from bpfnb.course.exercises import SHEETS, Exercise, Wrong, chapters, find, known
from bpfnb.course.judging import Answer, judge
from bpfnb.course.notebooks import chapters as notebooks
from bpfnb.errors import BpfError, UnavailableError, UndecidedError
from bpfnb.jupyter.cspf_magic import CspfResult
from bpfnb.jupyter.result import Result
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.pcap import compile_filter

ALL = list(known().values())
PROGRAMS = [each for each in ALL if not each.reaches]
WRONG = [(each, wrong) for each in ALL for wrong in each.wrong]
every = pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
every_program = pytest.mark.parametrize("exercise", PROGRAMS, ids=lambda each: each.id)


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPFNB_DATA_DIR", str(tmp_path))


class Classroom:
    """A shell in which the first cell of an exercise's chapter has run."""

    def __init__(self) -> None:
        self.shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        self.shell.run_line_magic("load_ext", "bpfnb")
        self.chapter = ""

    def enter(self, number: str) -> None:
        if number == self.chapter:
            return
        (path,) = (path for path in notebooks() if path.name.startswith(number))
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        setup = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        self.shell.run_cell(setup, silent=True).raise_error()
        self.chapter = number

    def answer(self, exercise: Exercise, body: str, line: str = "") -> Any:
        """What a cell with that answer returns."""
        self.enter(exercise.chapter)
        first, _, rest = exercise.cell(body, line).partition("\n")
        magic, _, given = first.removeprefix("%%").partition(" ")
        result = self.shell.run_cell_magic(magic, given, rest)
        assert isinstance(result, CspfResult if exercise.machine == "cspf" else Result)
        return result

    def said(self, line: str) -> str:
        """What a line magic shows."""
        name, _, rest = line.removeprefix("%").partition(" ")
        return str(self.shell.run_line_magic(name, rest))


@pytest.fixture(scope="module")
def classroom() -> Classroom:
    return Classroom()


def answer_in(classroom: Classroom, exercise: Exercise, wrong: Wrong) -> Any:
    return classroom.answer(exercise, wrong.program or exercise.reference, wrong.line)


def confirmed(answer: Answer, body: str) -> None:
    """The packet of a wrong answer: both programs really differ on it, here and in the kernel."""
    exercise, packet = answer.exercise, answer.packet
    assert packet is not None
    program, reference = exercise.assembled(body), exercise.program
    run = [machine.run(each, packet.data, packet.wirelen, packet.ancillary)
           for each in (program, reference)]  # fmt: skip
    rets = run[0], run[1]
    assert rets == answer.rets
    assert tells_apart(exercise.same, *rets, len(packet))
    if exercise.filter is not None:
        assert machine.run(exercise.filter, packet.data, packet.wirelen, packet.ancillary)
    if packet.wirelen != len(packet):
        return  # a socket pair carries packets that are all there
    try:
        batch = PacketBatch.of([packet])
        kernel = tuple(int(run_many(each, batch, "linux")[0]) for each in (program, reference))
    except UnavailableError as why:
        pytest.skip(f"the kernel cannot be asked: {why}")
    assert kernel == rets


# What is asked


def test_each_chapter_has_three_to_five_exercises_and_its_first_is_to_be_mended() -> None:
    assert set(chapters()) == {path.name[:2] for path in notebooks()}
    for number, row in chapters().items():
        assert 3 <= len(row) <= 5
        assert [each.id for each in row] == [f"{number}.{at}" for at in range(1, len(row) + 1)]
        assert row[0].title.startswith("Mend")
    # Here packets are asked for.
    assert [each.id for each in ALL if each.reaches] == ["02.5", "04.5", "05.4", "05.5"]


@every
def test_an_exercise_says_what_is_needed_and_not_the_answer(exercise: Exercise) -> None:
    assert exercise.statement
    assert exercise.solution
    assert 2 <= len(exercise.hints) <= 3
    assert len(exercise.wrong) >= 3
    own = {line.partition(";")[0].strip() for line in exercise.reference.splitlines()}
    new = own - {line.partition(";")[0].strip() for line in exercise.starter.splitlines()}
    new.discard("")
    starter = exercise.starter, exercise.starter_line
    assert starter != (exercise.reference, exercise.reference_line)
    for said in (exercise.statement, exercise.hints[0]):
        words = " ".join(said.split())
        assert not [line for line in new if " ".join(line.split()) in words]
        assert not exercise.reference_line or exercise.reference_line.strip() not in words


@every_program
def test_the_packets_that_matter_are_among_those_asked_about(exercise: Exercise) -> None:
    for name, packet in exercise.packets.items():
        if exercise.filter is not None:
            assert machine.run(exercise.filter, packet.data, packet.wirelen), name
    verdicts = {bool(machine.run(exercise.program, each.data, each.wirelen))
                for each in exercise.packets.values()}  # fmt: skip
    assert exercise.same != "verdict" or verdicts == {True, False}


def test_shared_packets_are_used_and_have_right_lengths_and_checksums() -> None:
    used = {name for each in ALL for name in each.packets}
    for name, digits in exercises.shared().items():
        assert name in used, name
        data = bytes.fromhex(digits)
        packet = Ether(data)
        for layer in packet.layers():
            fields = packet[layer].fields
            for field in ("chksum", "cksum", "len", "plen"):
                if field in fields and "fragment" not in name:
                    packet[layer].delfieldval(field)
        assert bytes(packet) == data, name


@pytest.mark.parametrize("path", sorted(SHEETS.glob("*.bpf")), ids=lambda path: path.stem)
def test_which_packets_matter_is_a_legal_filter_with_a_name(path: Path) -> None:
    exercise = Exercise("0", "", "", "", "ret #0", "", (), given=path.stem)
    assert exercise.filter is not None
    assert checker.check(exercise.filter) == ()
    assert re.fullmatch(r"every [\w ]+", exercise.among)
    assert path.stem in {each.given for each in ALL} | {"frames"}


# What is right


@every_program
def test_the_reference_is_right_and_proved(exercise: Exercise) -> None:
    answer = judge(exercise, exercise.program)
    assert answer.right
    assert answer.proved
    assert answer.sentence.endswith("up to 2,048 bytes long")
    assert answer.packet is None


@every
def test_in_the_notebook_the_reference_is_right(classroom: Classroom, exercise: Exercise) -> None:
    result = classroom.answer(exercise, exercise.reference, exercise.reference_line)
    assert result.answered is not None
    assert result.answered.right
    last = "proved" if not exercise.reaches else exercise.reaches
    assert result.answered.sentence.endswith(last)
    assert str(result).startswith(f"✓ {exercise.id} {exercise.title}: right. ")


@every
def test_the_starter_is_not_right_yet(classroom: Classroom, exercise: Exercise) -> None:
    result = classroom.answer(exercise, exercise.starter, exercise.starter_line)
    assert result.answered is not None
    assert not result.answered.right
    assert str(result).startswith(f"✗ {exercise.id} {exercise.title}: not yet. ")
    assert result.answered.lines[-1] == f"%bpf_hint {exercise.id} gives a hint"
    faulty = checker.check(exercise.assembled(exercise.starter))
    assert bool(faulty) == (exercise.id == "07.4")
    if not exercise.reaches and not faulty:
        answer = judge(exercise, exercise.assembled(exercise.starter))
        assert answer.packet is None or answer.name in exercise.packets  # z3 is not needed for it


PAIR = "192.0.2.1", "192.0.2.2"
OTHERS = [
    ("00.1", "arp"),
    ("00.2", "ip and (tcp or udp)"),
    ("00.2", "ip and not ip proto 0 and (ip proto 6 or ip proto 17)"),
    ("00.3", "ip"),
    ("00.4", "ether broadcast"),
    ("00.4", "ether dst ff:ff:ff:ff:ff:ff"),
    ("01.1", "icmp"),
    ("01.2", "not arp and not ip6"),
    ("01.3", "udp port 53"),
    ("01.4", "ip[4:2] & 0xf = 0"),
    ("05.3", "less 23 or not (ip and ip proto 17)"),
    ("06.4", "udp[2:2] < 1024"),
    ("07.1", "ip and (tcp or udp) and dst port 53"),
    ("07.1", "ip and not ip[6:2] & 0x1fff != 0 and (tcp dst port 53 or udp dst port 53)"),
    ("07.2", "not ip src 192.0.2.1"),
    ("07.2", "not ip or not ip[12:4] = 0xc0000201"),
    ("07.3", "ip[6:2] & 0x3fff = 0x2000"),
    ("07.5", "ip proto 6 or ip proto 17 or ip proto 132"),
    ("08.1", "ip and udp dst port 53"),
    ("08.2", "ether[12:2] = 0x8100 and (ether[14:2] & 0xfff = 10 or ether[14:2] & 0xfff = 20)"),
    ("08.4", "ip6 and (udp dst port 53 or (ip6[6]=0 and ip6[40]=17 and ip6[50+8*ip6[41]:2]=53))"),
    ("08.5", "tcp and ((ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2)) != 0"),
    ("09.1", "ip host {0} and ip host {1} or (arp host {0} and arp host {1})".format(*PAIR)),
    ("09.2", "ip and tcp and port (79 or 513)"),
    ("09.3", "ip and tcp and dst portrange 512-514"),
    ("09.5", "ip src 192.0.2.1 and not tcp"),
]


@pytest.mark.parametrize(("id", "expression"), OTHERS)
def test_libpcaps_program_for_the_same_is_right(id: str, expression: str) -> None:
    exercise = find(id)
    snaplen = 42 if exercise.same == "kept" else 262144
    answer = judge(exercise, compile_filter(expression, exercise.linktype, snaplen))
    if id == "00.2" and "not" in expression:
        assert answer.sentence.endswith("but it has 8 instructions, and 7 are enough")
    else:
        assert answer.right, answer.sentence
        assert answer.proved


# A slash stands between instructions; what is set in goes on with the line above.
WRITTEN_DIFFERENTLY = """
00.1 ldh [12] / jeq #0x806, +0, no / ret #1 / no: ret #0
00.1 ld [10] / and #0xffff / jeq #2054, +0, no / ret #262144 / no: ret #0
00.2 ldb [23] / jeq #6, ip, +0 / jeq #17, ip, no / ip: ldh [12] / jeq #0x800, +0, no / ret #-1 /
     no: ret #0
00.3 ldh [12] / sub #0x800 / jeq #0, +0, no / ld #42 / ret a / no: ret #0
01.2 ldh [12] / sub #0x806 / jeq #0, no, +0 / jeq #0x7ed7, no, +0 / ret #1 / no: ret #0
01.3 ldh [34] / jeq #53, yes, +0 / ldh [36] / jeq #53, yes, no / yes: ret #1 / no: ret #0
01.4 ldh [12] / jeq #0x800, +0, no / ldb [19] / jset #0xf, no, +0 / ret #1 / no: ret #0
05.1 ldx 4*([14]&0xf) / txa / add #14 / ret a
05.2 ld [34] / rsh #16 / tax / ld [34] / and #0xffff / sub x / ret a
05.2 ldh [34] / neg / tax / ldh [36] / add x / ret a
05.3 ldh [12] / jeq #0x800, +0, keep / ld #len / jlt #24, keep, +0 / ldb [23] / jeq #17, no,
     keep / keep: ret #1 / no: ret #0
06.3 ldb [14] / and #0xf / lsh #2 / tax / ldh [x+16] / jneq #80, no / ret #96 / no: ret #0
06.4 ldh [36] / jlt #1024, yes, no / yes: ret #1 / no: ret #0
06.4 ldb [36] / jset #0xfc, no, yes / yes: ret #1 / no: ret #0
06.5 ldh [36] / tax / ldh [34] / sub x / jgt #0, no, yes / yes: ret #1 / no: ret #0
07.1 ldh [12] / jeq #0x800, +0, no / ldh [20] / jset #0x1fff, no, +0 / ldb [14] / and #0xf0 /
     jeq #0x40, +0, no / ldb [23] / jeq #6, +1, +0 / jeq #17, +0, no / ldx 4*([14]&0xf) / ldh
     [x+16] / jeq #53, +0, no / ret #1 / no: ret #0
07.3 ldh [12] / jeq #0x800, +0, no / ldh [20] / and #0x3fff / jeq #0x2000, +0, no / ret #1 / no:
     ret #0
07.4 ld #len / st M[1] / jgt #60, long, short / short: ret #0 / long: ld M[1] / sub #14 / ret a
07.4 ld #len / sub #14 / st M[1] / jgt #46, +0, no / ld M[1] / ret a / no: ret #0
08.3 ldh [12] / jeq #0x800, ip, +0 / jeq #0x8100, +0, no / ldx #4 / ldh [16] / jeq #0x800, ip,
     no / ip: ld [x+30] / jeq #0xc0000202, +0, no / ld [x+26] / jeq #0xc0000201, +0, no / ldb [x+23]
     / jeq #17, +0, no / ret #1 / no: ret #0
08.4 ldh [12] / jeq #0x86dd, +0, no / ldb [20] / jeq #17, udp, +0 / jeq #0, +0, no / ldb [54] / jeq
     #17, +0, no / ldb [55] / mul #8 / add #8 / tax / udp: ldh [x+56] / jeq #53, +0, no / ret #1 /
     no: ret #0
09.3 ldh [12] / jeq #0x800, +0, no / ldb [23] / jeq #6, +0, no / ldh [20] / jset #0x1fff, no, +0 /
     ldx 4*([14]&0xf) / ldh [x+16] / sub #512 / jgt #2, no, +0 / ret #1 / no: ret #0
09.4 ld [12] / rsh #8 / jeq #0x080045, +0, no / ldb [23] / jeq #17, +0, no / ret #1 / no: ret #0
"""
ANSWERS = [
    tuple(row.split(" ", 1))
    for row in WRITTEN_DIFFERENTLY.replace("\n     ", " ").split("\n")
    if row
]


@pytest.mark.parametrize(("id", "body"), ANSWERS)
def test_a_right_answer_may_be_written_differently(id: str, body: str) -> None:
    exercise = find(id)
    program = exercise.assembled(body.replace(" / ", "\n"))
    assert checker.check(program) == ()
    answer = judge(exercise, program)
    assert answer.right, answer.sentence
    assert answer.proved


# What is wrong


@pytest.mark.parametrize(
    ("exercise", "wrong"), WRONG, ids=[f"{each.id} {wrong.says[:30]}" for each, wrong in WRONG]
)
def test_a_wrong_answer_gets_a_packet_that_shows_it(
    classroom: Classroom, exercise: Exercise, wrong: Wrong
) -> None:
    if exercise.reaches:
        (packet,) = answer_in(classroom, exercise, wrong).batch
        answer = judge(exercise, exercise.program, [packet])
    else:
        answer = judge(exercise, exercise.assembled(wrong.program))
        confirmed(answer, wrong.program)
    assert not answer.right
    assert wrong.says in answer.sentence
    assert answer.packet is not None
    assert answer.packet.linktype in (1, None)


@every
def test_wrong_answers_come_with_the_stepper_on_that_packet(
    classroom: Classroom, exercise: Exercise
) -> None:
    result = answer_in(classroom, exercise, exercise.wrong[0])
    if exercise.machine == "cspf":
        assert result.show == ("verdicts", "trace")
        assert str(result).startswith(f"{result.answered}\n\n")
        return
    assert result.show == ("step",)
    assert len(result.batch) == 1
    view = result.answered
    assert view is not None
    assert str(result).startswith(f"{view}\n\npacket 1, ")
    if not exercise.reaches:
        assert re.match(r"your filter: (rejected|accepted)", view.lines[0])
    bundle = result._repr_mimebundle_()[0]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_what_only_an_extension_reads_is_named() -> None:
    exercise = find("00.1")
    answer = judge(exercise, exercise.assembled("ld proto\njeq #0x806, +0, +1\nret #1\nret #0"))
    assert answer.sentence.startswith(judging.MADE)
    assert answer.notes == ("beside its bytes, as the kernel's extensions read: proto is 2054",)


@pytest.mark.parametrize(("id", "dialect"), [("06.1", "c"), ("06.2", "decimal")])
def test_a_dialect_that_is_asked_for_may_come_from_tcpdump(id: str, dialect: str) -> None:
    exercise = find(id)
    assert judge(exercise, exercise.assembled(text(exercise.program, dialect))).right


def test_an_answer_as_long_as_it_likes_is_held_to_what_is_asked() -> None:
    exercise = find("07.5")
    starter = judge(exercise, exercise.assembled(exercise.starter))
    assert starter.sentence == (
        "its answers are right, but one way through it loads from the packet 4 times, "
        "and 2 are enough"
    )
    words = exercise.assembled(exercise.reference.replace("ldb  [23]", "ldh [22]\n and #0xff"))
    assert judge(exercise, words).sentence == (
        "its answers are right, but one way through it reads 4 bytes, and 3 are enough"
    )
    assert cost(words).bytes == 4
    stored = find("05.2").assembled("ldh [34]\n st M[0]\n ldx M[0]\n ldh [36]\n sub x\n ret a")
    assert judge(find("05.2"), stored).sentence == (
        "its answers are right, but (001) is st M[k]; do it without st and stx"
    )
    unused = find("07.4").assembled("ld #len\njgt #60, +0, +2\nsub #14\nret a\nret #0")
    assert judge(find("07.4"), unused).sentence == (
        "its answers are right, but it is to be done with st"
    )
    starter = judge(find("06.5"), find("06.5").assembled(find("06.5").starter))
    assert starter.sentence.endswith("is jeq x,Lt,Lf, which Table 1 of the paper does not have")


@pytest.mark.parametrize(
    ("id", "dialect", "words"),
    [
        ("06.1", "asm", "it is to be written as rows of C, like those of -dd"),
        ("06.2", "tcpdump", "it is to be written as decimal numbers, like those of -ddd"),
        ("06.2", "xt_bpf", "it is to be written as decimal numbers, like those of -ddd"),
        ("06.3", "decimal", "it is to be written in mnemonics"),
    ],
)
def test_an_answer_is_to_be_in_the_dialect_asked_for(
    classroom: Classroom, id: str, dialect: str, words: str
) -> None:
    exercise = find(id)
    result = classroom.answer(exercise, text(exercise.program, dialect))
    assert result.answered is not None
    assert not result.answered.right
    assert result.answered.sentence == f"Its answers are right, but {words}"


def test_where_a_packet_is_asked_for_the_program_stays_and_a_packet_is_there(
    classroom: Classroom,
) -> None:
    exercise = find("05.4")
    said = judge(exercise, exercise.assembled("ret #1"), [Packet(bytes(42))]).sentence
    assert said == "the program is part of the question: leave it as it was"
    assert judge(exercise, exercise.program).sentence == "a packet is asked for: give one with -p"
    none = [Packet(bytes(size)) for size in (1, 2)]
    assert judge(exercise, exercise.program, none).sentence == (
        "none of the 2 packets gets there, no step has pc == 6: "
        "the first ends at (005), with 4,294,965,533 in A and 1 in X"
    )
    result = classroom.answer(exercise, exercise.reference, "-p [bytes(60),bytes(42)]")
    assert result.answered is not None
    assert result.answered.sentence == "Packet 2 gets there: step 5 has pc == 6"
    assert (len(result.batch), result.number("step")) == (2, 2)
    assert "packet 2, " in str(result)


def test_a_program_that_the_kernel_refuses_is_not_run(classroom: Classroom) -> None:
    exercise = find("07.4")
    for line in ("", "-p bytes(60)", "--unchecked -p bytes(60) --step", "--rules libpcap"):
        result = classroom.answer(exercise, exercise.starter, line)
        assert result.answered is not None
        assert result.answered.sentence == (
            "The kernel refuses it at (005): M[1] is read unwritten, "
            "in the kernel's one pass down the listing"
        )
        assert result.run is None
        assert "ld       M[1]" in str(result) or line == "--rules libpcap"


def test_other_views_of_the_packet_can_be_asked_for(classroom: Classroom) -> None:
    exercise = find("07.1")
    line = "-p [bytes(60)]*3 --on interp,pygen --why=3 --show verdicts,listing"
    result = classroom.answer(exercise, exercise.starter, line)
    assert result.show == ("why", "verdicts", "listing")
    assert len(result.batch) == 1
    assert "sctp" in str(result)


# How it is said


def test_a_right_answer_is_compared_with_the_reference(classroom: Classroom) -> None:
    lines = {}
    for name, body in {
        "same": find("06.4").reference,
        "shorter": "ldb [36]\n jset #0xfc, no, yes\nyes: ret #-1\nno: ret #0",
        "longer": "ldh [36]\n rsh #10\n jeq #0, yes, no\nyes: ret #-1\nno: ret #0",
    }.items():
        view = classroom.answer(find("06.4"), body).answered
        assert view is not None
        lines[name] = view.lines
    reference = "4 instructions, at most 3 run, at most 1 load (2 bytes)"
    shorter = "4 instructions, at most 3 run, at most 1 load (1 byte)"
    longer = "5 instructions, at most 4 run, at most 1 load (2 bytes)"
    assert lines == {
        "same": (f"{reference}, like the reference",),
        "shorter": (f"{shorter}: better than the reference, which has {reference}",),
        "longer": (f"{longer}; the reference has {reference}",),
    }


def test_what_libpcap_wrote_is_called_so(classroom: Classroom) -> None:
    result = classroom.shell.run_line_magic("bpf", "--exercise 00.1 arp")
    assert result.answered.right
    assert result.answered.lines[-1] == "libpcap wrote this one"


def test_hints_come_one_by_one_and_the_first_again(classroom: Classroom) -> None:
    first, second, third = find("07.1").hints
    assert classroom.said("%bpf_hint 07.1") == (
        f"07.1, hint 1 of 3: {first}\n  2 more hints: %bpf_hint 07.1"
    )
    assert classroom.said("%bpf_hint 07.1").startswith(f"07.1, hint 2 of 3: {second}\n")
    assert classroom.said("%bpf_hint 07.1 1").startswith(f"07.1, hint 1 of 3: {first}\n")
    for _ in range(2):
        assert classroom.said("%bpf_hint 07.1") == f"07.1, hint 3 of 3: {third}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%bpf_hint", "wants an exercise, as in %bpf_hint 07.2"),
        ("%bpf_hint 07.1 1 2", "wants an exercise"),
        ("%bpf_hint 07.1 4", "07.1 has hints 1–3, not '4'"),
        ("%bpf_hint 07.1 0", "07.1 has hints 1–3, not '0'"),
        ("%bpf_hint 07.1 x", "07.1 has hints 1–3, not 'x'"),
        (f"%bpf_hint 07.1 {'9' * 5000}", "07.1 has hints 1–3"),
        ("%bpf --exercise 07.1 -y RAW ip", "07.1 is about EN10MB: leave out -y"),
        ("%bpf_progress --all", "takes --forget or nothing, not '--all'"),
    ],
    ids=lambda words: words[:30],
)
def test_a_wrong_line_is_refused(classroom: Classroom, line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        classroom.said(line)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("07.9", "there are 07.1, 07.2, 07.3, 07.4, 07.5"),
        ("7.1", "did you mean 07.1?"),
        ("x", "chapters 00, "),
        ("<script>\x1b[2J", "chapters 00, "),
    ],
)
def test_an_unknown_exercise_is_named_with_those_there_are(
    classroom: Classroom, id: str, hint: str
) -> None:
    with pytest.raises(BpfError) as caught:
        find(id)
    assert caught.value.hint.startswith(hint)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["bpf_hint", "bpf_progress"])
def test_the_magics_explain_themselves(classroom: Classroom, name: str) -> None:
    said = classroom.shell.magics_manager.magics["line"][name].__doc__
    assert said
    assert f"%{name}" in said
    assert len(said.split()) > 40


# Where no proof can be had


def test_without_z3_the_samples_are_tried_and_it_says_that_this_is_no_proof() -> None:
    code = """
import sys
sys.modules["z3"] = None
from bpfnb.course.exercises import known
from bpfnb.course.judging import judge
for each in known().values():
    if not each.reaches:
        right = judge(each, each.program)
        assert right.right and not right.proved and right.tried > len(each.packets), each.id
        assert right.sentence.endswith(f"on the {right.tried:,} packets that were tried")
        assert right.notes[0].startswith("this is no proof: proofs and made packets need z3")
        for wrong in each.wrong:
            if not wrong.says.startswith("a packet made"):
                assert wrong.says in judge(each, each.assembled(wrong.program)).sentence
fragile = known()["07.1"]
late = judge(fragile, fragile.assembled(fragile.reference.replace("[x+16]", "[x+15]")))
assert not late.right and late.name in fragile.packets
print(judge(known()["00.4"], known()["00.4"].assembled(known()["00.4"].wrong[-1].program)).right)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"  # no sample has such a frame: without a proof it is not found


def test_a_sample_packet_may_show_it_where_no_proof_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def undecided(*_: object) -> Iterator[None]:
        raise UndecidedError("not decided within 10 s")

    monkeypatch.setattr(judging, "prove", undecided)
    exercise = find("00.2")
    (made,) = (each for each in exercise.wrong if each.says.startswith("a packet made"))
    answer = judge(exercise, exercise.assembled(made.program))
    assert re.match(r"packet \d+ of the sample \w+: your filter accepts it; ", answer.sentence)
    confirmed(answer, made.program)
    right = judge(exercise, exercise.program)
    assert right.notes == ("this is no proof: not decided within 10 s",)


def test_a_right_filter_that_keeps_one_byte_is_told_so(classroom: Classroom) -> None:
    exercise = find("07.1")
    for ret, said in (("ret #1", True), ("ret #TRUE", False)):
        answer = exercise.reference.replace("ret  #TRUE", ret)
        result = classroom.answer(exercise, answer)
        assert result.answered is not None
        assert result.answered.right
        assert any("keeps no more than 1 byte" in line for line in result.answered.lines) is said


def test_packets_of_the_reader_s_own_are_not_passed_over_in_silence(classroom: Classroom) -> None:
    exercise = find("07.1")
    result = classroom.answer(exercise, exercise.starter, "-p [bytes(60)]*3")
    assert result.answered is not None
    assert "below is the packet that shows it, not those of -p" in result.answered.lines
