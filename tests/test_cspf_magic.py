"""%%cspf: what it takes, what it refuses, what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import bpfnb as bpf
from bpfnb import cspf
from bpfnb.errors import AssemblyError, BpfError
from bpfnb.jupyter.completer import complete
from bpfnb.jupyter.cspf_magic import CspfResult
from tests.test_views import ATTRIBUTES, PROPERTIES, TAGS, declarations, read

BODY = """PUSHWORD+6
PUSHLIT|CAND ETHERTYPE_IP
PUSHWORD+11
PUSH00FF|AND              ; a byte
PUSHLIT|EQ {{protocol}}
"""


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    shell.run_line_magic("load_ext", "bpfnb")
    shell.user_ns |= {"protocol": 17, "mixed": bpf.samples.open("mixed")}
    yield shell
    InteractiveShell.clear_instance()


def run(shell: InteractiveShell, line: str, body: str = BODY) -> Any:
    return shell.run_cell_magic("cspf", line, body)


def test_without_packets_it_lists(shell: InteractiveShell) -> None:
    result = run(shell, "")
    assert result.text() == (
        "5 instructions in 7 words\n"
        "pc    instruction          stack  what it does\n"
        "(00)  PUSHWORD+6               1  push word 6 (bytes 12–13)\n"
        "(01)  PUSHLIT|CAND 0x0800      0  push 0x0800, then if both are not equal, end: reject\n"
        "(02)  PUSHWORD+11              1  push word 11 (bytes 22–23)\n"
        "(03)  PUSH00FF|AND             1  push 0x00ff, then push the bits that both have\n"
        "(04)  PUSHLIT|EQ 0x0011        1  push 0x0011, then push 1 if both are equal, else 0"
    )
    with pytest.raises(BpfError, match="there were no packets"):
        _ = result.verdicts


def test_with_packets_it_judges_and_keeps(shell: InteractiveShell) -> None:
    result = run(shell, "-p mixed --program prog -o kept")
    assert repr(result) == "<CspfResult: 5 instructions, 14 of 102 packets accepted>"
    assert shell.user_ns["kept"] is result
    assert shell.user_ns["prog"] == result.program
    assert list(result.accepted) == list(
        bpf.compile_filter("udp and ip").filter(shell.user_ns["mixed"])
    )
    first = result.verdicts.rows[0]
    assert (first.accepted, first.ran, first.comparisons, first.reads) == (False, 2, 1, 1)
    assert result.listing.hits == (102, 102, 73, 73, 73)
    assert "… and 82 more packets" in result.text()


def test_a_trace_shows_the_stack_before_and_after(shell: InteractiveShell) -> None:
    lines = run(shell, "-p mixed --trace=3").text().split("\n")
    assert lines[0].endswith("✗ reject after 5 steps: 0 is on top at the end")
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "0 (00) PUSHWORD+6 6 – 0x0800 push word 6",
        "1 (01) PUSHLIT|CAND 0x0800 0x0800 – ==, so go on",
        "2 (02) PUSHWORD+11 11 – 0x4001 push word 11",
        "3 (03) PUSH00FF|AND 0x4001 1 0x4001 AND 0x00ff is 1",
        "4 (04) PUSHLIT|EQ 0x0011 1 0 1 EQ 0x0011 is 0",
    ]
    with pytest.raises(BpfError, match="there is no packet 103 in 102 packets"):
        run(shell, "-p mixed --trace=103")


def test_a_tree_is_drawn(shell: InteractiveShell) -> None:
    result = run(shell, "--show tree")
    assert result.text() == (
        "the tree: 2 comparisons of 16 bits and 1 operation; "
        "1 of the comparisons can end it early\n\n"
        "AND\n    (01) P[12:2] == 0x800   word 6\n    (04) P[22:2]&0xff == 0x11   word 11"
    )
    assert "P[12:2] == 0x800" in result.tree.svg


def test_quiet_is_quiet(shell: InteractiveShell) -> None:
    assert run(shell, "-q -p mixed -o kept") is None
    assert isinstance(shell.user_ns["kept"], CspfResult)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("icmp", "%%cspf takes a program in its body, not 'icmp'"),
        ("--cfg", "there is no view 'cfg' of a stack program"),
        ("--show verdict", "there is no view 'verdict'; did you mean verdicts?"),
        ("--trace", "--show trace needs packets to run on"),
        ("-p mixed --on linux", "%%cspf takes no --on: that is about BPF"),
        ("-O", "%%cspf takes no -O"),
        ("-y EN10MB", "%%cspf takes no -y"),
        ("-nn", "%%cspf takes no -n"),
        ("--help", "the help is %%cspf?"),
        ("--\x1b[2J", "there is no option --�"),
    ],
)
def test_what_means_nothing_here_is_refused(shell: InteractiveShell, line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(shell, line)
    assert said in str(caught.value)


def test_a_mistake_has_the_cells_line(shell: InteractiveShell) -> None:
    with pytest.raises(AssemblyError) as caught:
        run(shell, "", "PUSHWORD+6\nPUSHLIT|EQQ 3")
    assert (caught.value.line, caught.value.column) == (3, 9)


def test_the_help_has_only_what_it_takes(shell: InteractiveShell) -> None:
    words = shell.find_cell_magic("cspf").__doc__ or ""
    assert "--show VIEWS" in words
    assert "any of listing, verdicts, trace, tree" in " ".join(words.split())
    assert "--cfg" not in words


@pytest.mark.parametrize("line", ["", "-p mixed --show verdicts,listing,trace,tree"])
def test_its_html_is_what_notebooks_let_through(shell: InteractiveShell, line: str) -> None:
    reader = read(run(shell, line).html())
    assert not reader.open
    assert reader.tags <= TAGS
    assert {name for _, name, _ in reader.attributes} <= ATTRIBUTES
    assert {prop for prop, _ in declarations(reader)} <= PROPERTIES


def completed(text: str) -> tuple[str, list[str]]:
    lines = text.split("\n")
    word, choices, _ = complete(text, len(lines) - 1, len(lines[-1]))
    return word, [each for words, _ in choices for each in words]


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("%%cspf --s", "--s", ["--show"]),
        ("%%cspf --show listing,t", "t", ["tree", "trace"]),
        ("%%cspf --c", "--c", []),
        ("%%cspf\npushw", "pushw", ["PUSHWORD"]),
        ("%%cspf\nPUSHLIT|CN", "CN", ["CNOR", "CNAND"]),
        ("%%cspf\nPUSHLIT|EQ ETHERTYPE_A", "ETHERTYPE_A", ["ETHERTYPE_ARP"]),
        ("%%cspf\nPUSHONE ; PUS", "", []),
    ],
)
def test_tab_knows_its_words(text: str, word: str, expected: list[str]) -> None:
    assert completed(text) == (word, expected)


# Both models of one filter


def test_models_count_what_each_machine_did() -> None:
    foo = bpf.assemble(bpf.samples.filters["host_foo"].text, linktype="EN10MB")
    shown = cspf.models(foo, bpf.samples.open("mixed"))
    head, _, *rows = shown.text().split("\n")[:5]
    assert head == (
        "on 102 packets CSPF executed 5.22 times as many instructions as BPF, each machine its own"
    )
    assert [" ".join(row.split()) for row in rows] == [
        "CSPF, everything 32 32.00 32 11.00 11.00",
        "CSPF, short-circuit 31 18.20 31 7.60 6.10",
        "BPF 14 6.13 8 2.81 2.31",
    ]
    assert "the verdicts are the same on all of them" in shown.text()
    assert shown.html().count("<img ") == 2


def test_models_tell_where_verdicts_differ_and_what_cannot_be_said() -> None:
    icmp = bpf.compile_filter("icmp")
    # 23 bytes: BPF reads byte 22, CSPF the word that it is half of.
    short = bytes(12) + b"\x08\x06" + bytes(7)
    assert (
        "✗ the verdicts differ on 1 packet"
        in cspf.models(bpf.compile_filter("not icmp"), [short]).text()
    )
    assert cspf.models(icmp).text().startswith("the tree: 2 tests and 1 operation")
    told = cspf.models(bpf.compile_filter("greater 100"), [bytes(120)])
    assert "CSPF cannot say this filter" in told.text()
    assert len(told.costs) == 1


def test_an_exercise_is_for_its_own_machine(shell: InteractiveShell) -> None:
    ours = "PUSHWORD+6\nPUSHLIT|EQ 0x0806"
    with pytest.raises(BpfError, match=r"exercise 00\.1 is not for %%cspf") as caught:
        shell.run_cell_magic("cspf", "--exercise 00.1", ours)
    assert "%%bpf --exercise 00.1 takes it" in str(caught.value)
    with pytest.raises(BpfError, match=r"exercise 04\.3 is not for %%bpf"):
        shell.run_cell_magic("bpf", "--exercise 04.3", "ret #0")
    result = shell.run_cell_magic("cspf", "--exercise 04.3", ours)
    assert str(result).startswith("✗ 04.3 One, but not both: not yet. ")
    assert len(result.batch) == 1
