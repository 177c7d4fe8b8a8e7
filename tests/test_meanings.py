"""Words beside a listing: names only where they are certain, and what a value is called."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings

import bpfnb as bpf
from bpfnb import samples
from bpfnb.analysis.explain import explain
from bpfnb.analysis.naming.meanings import MOST, footnote, meanings
from bpfnb.cbpf.program import Program
from bpfnb.packets.linktype import find
from tests.strategies import close_programs, near_legal_programs
from tests.test_explain import programs


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("icmp", ["Ether.type", "IPv4", "IP.proto", "ICMP", "", ""]),
        (
            "host 192.0.2.1",
            ["Ether.type", "IPv4", "IP.src", "192.0.2.1", "IP.dst", "192.0.2.1",
             "Ether.type ARP", "RARP", "ARP.psrc", "192.0.2.1", "ARP.pdst", "192.0.2.1", "", ""],
        ),
        (
            "tcp[tcpflags] & tcp-syn != 0",
            ["Ether.type", "IPv4", "IP.proto", "TCP", "IP.flags and IP.frag", "IP.frag",
             "4*IP.ihl", "TCP.flags", "SYN", "", ""],
        ),
        ("ip[0] & 0xf != 5", ["Ether.type", "IPv4", "IP.version and IP.ihl", "IP.ihl", "", "", ""]),
        ("ether src 02:00:00:00:00:01", ["Ether.src[2:4]", "", "Ether.src[0:2]", "", "", ""]),
        ("len > 60", ["", "", "", ""]),
    ],
)  # fmt: skip
def test_each_line_has_its_field_or_the_name_of_a_value(expression: str, words: list[str]) -> None:
    program = bpf.compile_filter(expression)
    found = program.listing().notes
    assert [found.get(pc, "") for pc in range(len(program))] == words


@pytest.mark.parametrize("linktype", ["EN10MB", "RAW", "LINUX_SLL", "LINUX_SLL2"])
def test_a_load_has_the_field_that_explain_names(linktype: str) -> None:
    for program in programs(linktype):
        found = meanings(program)
        for line in explain(program).lines:
            loads = program.insns[line.pc].code & 7 < 2
            if loads and line.pc in found:
                assert found[line.pc].removeprefix("4*") == line.field
                assert not line.unless
            elif loads:
                assert line.unless or "." not in (line.field or ""), line


def test_a_length_in_x_is_not_called_what_a_holds() -> None:
    program = bpf.assemble("ldh [12]\njeq #0x800, ip, drop\nip: ldx len\nret x\ndrop: ret #0")
    assert meanings(program, 1) == {0: "Ether.type", 1: "IPv4"}


def test_a_part_that_is_multiplied_stands_in_parentheses() -> None:
    program = bpf.assemble(
        "ldh [12]\njeq #0x800, ip, drop\nip: ldxb 4*([15]&0xf)\ntxa\ndrop: ret a"
    )
    assert meanings(program, 1)[2] == "4*(IP.tos & 0xf)"


def test_where_later_fragments_were_not_ruled_out_there_is_no_name() -> None:
    program = bpf.assemble(
        "ldh [12]\njeq #0x800, a, no\na: ldb [23]\njeq #6, b, no\n"
        "b: ldx 4*([14]&0xf)\nldh [x+16]\njeq #80, yes, no\nyes: ret #1\nno: ret #0"
    )
    assert list(meanings(program)) == [0, 1, 2, 3, 4]


def test_what_names_rest_on_is_said() -> None:
    program = bpf.assemble("ldh [12]\njeq #0x800, yes, no\nyes: ret #1\nno: ret #0")
    assert "Ethernet is assumed" in program.listing().html()
    raw = find("RAW").number
    assert meanings(program, raw) == {}
    assert footnote(program, raw, {}) == ""
    assert footnote(program, find("EN10MB").number, meanings(program)) == ""
    assert bpf.compile_filter("icmp").listing().footnote == ""
    assert "address byte" in bpf.compile_filter("icmp", "PPP").listing().footnote
    assert bpf.assemble("ld #1\nret a").listing().footnote == ""


def test_ppp_without_address_and_control_has_no_names() -> None:
    program = bpf.compile_filter("icmp", "PPP")
    framed = bpf.Packet(bytes.fromhex("ff03c021 00"), linktype=find("PPP").number)
    bare = bpf.Packet(bytes.fromhex("c021 0000 00"), linktype=find("PPP").number)
    assert program.why(framed).field == "PPP.proto"
    assert program.why(bare).field is None


def test_a_program_too_long_to_be_read_has_none() -> None:
    rows = [(0x28, 0, 0, 12)] + [(0x15, 0, 0, at) for at in range(MOST)] + [(6, 0, 0, 0)]
    assert meanings(Program.from_insns(rows)) == {}
    assert meanings(Program.from_insns(rows[:9] + rows[-1:]))[0] == "Ether.type"


def test_a_notebook_shows_them_and_the_text_stays_tcpdumps() -> None:
    program = bpf.compile_filter("icmp")
    assert str(program.listing()) == program.text("tcpdump")
    assert "Ether.type" in program._repr_html_()


def test_nothing_of_it_is_imported_before_it_is_shown() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell; import bpfnb; "
        "bpfnb.load_ipython_extension(InteractiveShell.instance()); "
        "assert 'bpfnb.analysis.naming.meanings' not in sys.modules; "
        "assert 'bpfnb.analysis.naming.names' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=100, deadline=None)
@given(near_legal_programs() | close_programs())
def test_no_program_makes_it_raise(program: Program) -> None:
    found = meanings(program)
    assert all(words and words == words.strip() for words in found.values())
    assert set(found) <= set(range(len(program)))


def test_every_filter_shipped_has_names() -> None:
    for each in samples.filters:
        program = bpf.assemble(each.path.read_text())
        assert meanings(program) or program.insns[0].k == 14, each
