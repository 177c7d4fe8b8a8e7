"""The paper's two tables and the drawn instruction: complete, and as the C header says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, OPCODES, Form, Opcode, Since
from bpfnb.errors import BpfError
from bpfnb.views.encoding import Encoding, parts
from bpfnb.views.instruction_set import AddressingModes, InstructionSet, mode_name

HEADERS = [Path("/usr/include/linux") / name for name in ("bpf_common.h", "filter.h")]
LATER = {"jeq x", "jgt x", "jge x", "jset x", "mod #k", "mod x", "xor #k", "xor x", "neg"}
insns = st.builds(
    Insn,
    st.integers(0, 0xFFFF) | st.sampled_from(sorted(BY_CODE)),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 0xFFFFFFFF),
)


class Balance(HTMLParser):
    """Every tag that opens closes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"


def test_table_1_has_the_papers_22_mnemonics_and_40_opcodes() -> None:
    table = InstructionSet(since="paper")
    names = "ldb ldh ld ldx st stx jmp jeq jgt jge jset add sub mul div and or lsh rsh ret tax txa"
    assert [row.mnemonic for row in table.rows] == names.split()
    assert len(re.findall("0x[0-9a-f]{2}", table.text())) == 40
    assert "+" not in table.text().replace("[x+k]", "")


def test_today_there_are_nine_more_and_each_is_marked() -> None:
    table = InstructionSet()
    marked = {int(code, 16) for code in re.findall(r"\+(0x..)", table.text())}
    assert marked == {row.code for row in OPCODES if row.since is Since.LATER}
    assert {BY_CODE[code].name.removesuffix(",Lt,Lf") for code in marked} == LATER
    assert len(table.rows) == 25
    assert len(table.opcodes) == 49


@pytest.mark.parametrize("row", OPCODES, ids=lambda row: row.name)
def test_each_opcode_stands_under_its_mode(row: Opcode) -> None:
    lines = InstructionSet().text().split("\n")
    word = {"ja": "jmp", "ldxb": "ldx"}.get(row.mnemonic, row.mnemonic)
    line = next(each for each in lines[2:] if each.split()[0] == word)
    at = re.search(rf"(?<= ){re.escape(mode_name(row.form))}(?= |$)", lines[1])
    assert at is not None
    mark = "" if row.since is Since.PAPER else "+"
    assert line[at.start() :].split()[0] == f"{mark}{row.code:#04x}"


def test_table_2_says_who_takes_each_mode() -> None:
    table = AddressingModes(since="paper")
    assert table.takers(Form.ABS) == ("ldb", "ldh", "ld")
    assert table.takers(Form.MSH) == ("ldx",)
    assert Form.X_TARGETS not in table.modes
    assert sum(len(table.takers(form)) for form in table.modes) == 40
    assert "+ jeq jgt jge jset" in AddressingModes().text()


@pytest.mark.parametrize("since", ["paper", "all"])
def test_the_html_of_both_tables_holds_the_words_of_the_text(since: str) -> None:
    for view in (InstructionSet(since), AddressingModes(since)):
        shown = Balance(view.html()).words.split()
        assert shown == view.text().split()


def test_there_is_no_third_table() -> None:
    with pytest.raises(BpfError, match="1992"):
        InstructionSet(since="1992")


@given(insns)
def test_a_code_is_the_sum_of_its_parts(insn: Insn) -> None:
    found = parts(insn.code)
    assert sum(part.value for part in found) == insn.code
    assert "".join(part.bits for part in found) == f"{insn.code:016b}"


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_part_of_a_legal_code_has_its_word(code: int) -> None:
    for part in parts(code):
        assert part.word if part.name else part.value == 0


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_the_words_are_the_c_headers(code: int) -> None:
    missing = [str(path) for path in HEADERS if not path.exists()]
    if missing:
        pytest.skip(f"{missing} not there (Debian: linux-libc-dev)")
    text = "".join(path.read_text() for path in HEADERS)
    defined = dict(re.findall(r"#define\s+BPF_(\w+)\s+(0x[0-9a-f]+)", text))
    for part in parts(code):
        if part.name:
            assert int(defined[part.word], 16) == part.value


@given(insns, st.integers(0, 4095))
def test_any_instruction_can_be_drawn(insn: Insn, pc: int) -> None:
    view = Encoding(insn, pc)
    rows = view.text().split("\n")[1:]
    digits = [re.sub(" ", "", row[6:41]) for row in rows]
    widths = zip(insn, (16, 8, 8, 32), strict=True)
    assert digits == [f"{value:0{width}b}" for value, width in widths]
    ElementTree.fromstring(view.svg)
    Balance(view.html())


def test_a_jump_says_where_it_leads() -> None:
    text = Encoding(
        assemble("jeq #1, +0, +3\nret #0\nret #0\nret #0\nret #0").insns[0], pc=7
    ).text()
    assert "true: 7 + 1 + 0 = 8" in text
    assert "false: 7 + 1 + 3 = 11" in text
    assert "not used" not in text


def test_an_extension_is_a_load_from_a_negative_offset() -> None:
    text = Encoding(assemble("ld proto\nret a").insns[0]).text()
    assert "0xfffff000 = -4096   the extension proto" in text
    assert "mode ABS 0x20 + size W 0x00 + class LD 0x00" in text


def test_the_picture_holds_every_bit_once(tmp_path: Path) -> None:
    file = Encoding(Insn(0x15, 1, 2, 0x0A0B0C0D)).save(tmp_path / "jeq.svg")
    root = ElementTree.parse(file).getroot()
    words = [(node.text or "", node.get("x", "")) for node in root.iter() if node.get("x")]
    bits = [(text, x.split()) for text, x in words if set(text) <= {"0", "1"} and " " in x]
    assert sum(len(text) for text, _ in bits) >= 62  # a lone bit of its kind has no list
    assert all(len(text) == len(places) for text, places in bits)


def test_a_number_too_large_for_its_field_is_refused() -> None:
    with pytest.raises(BpfError, match="jt is 256"):
        Encoding(Insn(0x15, 256, 0, 0))
