"""Text -> Program: the language, every dialect back in, and every mistake named."""

from __future__ import annotations

import pytest

from bpfnb.cbpf.asm import READERS, assemble
from bpfnb.cbpf.insn import Insn
from bpfnb.errors import AssemblyError, BpfError

ONE_LINE = [
    ("ldh [12]", Insn(0x28, 0, 0, 12)),
    ("LDH [0xC]", Insn(0x28, 0, 0, 12)),
    ("ld [x+14]", Insn(0x40, 0, 0, 14)),
    ("ld [x + 14]", Insn(0x40, 0, 0, 14)),
    ("ldb [%x+0b10]", Insn(0x50, 0, 0, 2)),
    ("ld [x - 4]", Insn(0x40, 0, 0, 0xFFFFFFFC)),
    ("ld [x + -4]", Insn(0x40, 0, 0, 0xFFFFFFFC)),
    ("ld [x]", Insn(0x40, 0, 0, 0)),
    ("ld #-1", Insn(0x00, 0, 0, 0xFFFFFFFF)),
    ("ldi 7", Insn(0x00, 0, 0, 7)),
    ("ldi #017", Insn(0x00, 0, 0, 15)),
    ("ldxi #7", Insn(0x01, 0, 0, 7)),
    ("ld M[15]", Insn(0x60, 0, 0, 15)),
    ("ldx m[3]", Insn(0x61, 0, 0, 3)),
    ("ld len", Insn(0x80, 0, 0, 0)),
    ("ld #len", Insn(0x80, 0, 0, 0)),
    ("ldx #pktlen", Insn(0x81, 0, 0, 0)),
    ("ldx 4*([14]&0xf)", Insn(0xB1, 0, 0, 14)),
    ("ldxb 4 * ( [14] & 15 )", Insn(0xB1, 0, 0, 14)),
    ("st M[0]", Insn(0x02, 0, 0, 0)),
    ("stx M[1]", Insn(0x03, 0, 0, 1)),
    ("ja +3", Insn(0x05, 0, 0, 3)),
    ("jeq #0x800, +1, +2", Insn(0x15, 1, 2, 0x800)),
    ("jeq #0x800, +1", Insn(0x15, 1, 0, 0x800)),
    ("jneq #1, +5", Insn(0x15, 0, 5, 1)),
    ("jne x, +5", Insn(0x1D, 0, 5, 0)),
    ("jlt #9, +4", Insn(0x35, 0, 4, 9)),
    ("jle #9, +4, +1", Insn(0x25, 1, 4, 9)),
    ("jset %x, +1, +2", Insn(0x4D, 1, 2, 0)),
    ("add x", Insn(0x0C, 0, 0, 0)),
    ("neg", Insn(0x84, 0, 0, 0)),
    ("xor #5", Insn(0xA4, 0, 0, 5)),
    ("mod %x", Insn(0x9C, 0, 0, 0)),
    ("ret #TRUE", Insn(0x06, 0, 0, 0xFFFFFFFF)),
    ("ret a", Insn(0x16, 0, 0, 0)),
    ("ret %a", Insn(0x16, 0, 0, 0)),
    ("ret", Insn(0x16, 0, 0, 0)),
    ("ret x", Insn(0x0E, 0, 0, 0)),
    ("jeq #ETHERTYPE_IP, +0", Insn(0x15, 0, 0, 0x800)),
    ("jeq #etherproto_arp, +0", Insn(0x15, 0, 0, 0x806)),
    ("jeq #192.0.2.1, +0", Insn(0x15, 0, 0, 0xC0000201)),
    ("ld proto", Insn(0x20, 0, 0, 0xFFFFF000)),
    ("ldb #vlan_pr", Insn(0x30, 0, 0, 0xFFFFF030)),
    ("ldh [vlan_avail]", Insn(0x28, 0, 0, 0xFFFFF030)),
    ("ld [-4096]", Insn(0x20, 0, 0, 0xFFFFF000)),
    (".insn 0xff, 1, 2, 3", Insn(0xFF, 1, 2, 3)),
    ("tax ; comment", Insn(0x07, 0, 0, 0)),
    ("tax # comment", Insn(0x07, 0, 0, 0)),
    ("tax /* comment */", Insn(0x07, 0, 0, 0)),
    ("L: M: txa", Insn(0x87, 0, 0, 0)),
]


@pytest.mark.parametrize(("text", "insn"), ONE_LINE)
def test_an_instruction_is_read(text: str, insn: Insn) -> None:
    assert assemble(text).insns == (insn,)


MISTAKES = [
    ("ldh [12", 1, 8, "']'", ""),
    ("jeqq #3", 1, 1, "jeqq", "did you mean jeq?"),
    ("ldh [12]\n jeq #1, fooo\nfoo: ret #0", 2, 10, "no label fooo", "did you mean foo?"),
    ("ret 0", 1, 5, "bare number", "#0"),
    ("ldb #3", 1, 5, "no ldb with #k", ""),
    ("ret #99999999999", 1, 6, "does not fit", ""),
    ("ld #08", 1, 5, "octal", "write 8"),
    ("jeq x", 1, 6, "needs a target", "label"),
    ("jeq #1, 5", 1, 9, "a target is a label", "+5"),
    ("jeq #1, +1, +1, +1", 1, 17, "too many", ""),
    ("a: tax\na: txa", 2, 1, "second time", "rename"),
    ("1: tax", 1, 1, "no label", "L1:"),
    ("b: tax\njeq #1, b", 2, 9, "back", "turn"),
    ("ldx 4*([14]&0xe)", 1, 13, "0xf", ""),
    ("ldh [12] ldh [12]", 1, 10, "does not belong", "comments"),
    ("// hello", 1, 1, "no instruction", "comments start with"),
    ("ld porto", 1, 4, "porto", "did you mean proto?"),
    ("jeq #ETHERTYPE_IPP, +1", 1, 6, "ETHERTYPE_IPP", "did you mean ETHERTYPE_IP?"),
    ("ld #300.1.1.1", 1, 5, "IPv4", ""),
    ("", 1, 1, "no instruction", "ret #0"),
    ("\tldh [12", 1, 9, "']'", ""),
    (".insn 1, 2, 300, 4", 1, 13, "does not fit", ""),
    (".insn 1, 2", 1, 11, "','", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), MISTAKES)
def test_a_mistake_has_its_place_and_cure(
    text: str, line: int, column: int, message: str, hint: str
) -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint
    caret = str(error).splitlines()[2]
    source = str(error).splitlines()[1]
    assert caret.index("^") == 4 + column - 1 or "\t" in source


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble("ldh [12\njeqq #1\njeq #1, nowhere\nret #0")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]
    assert "3 problems" in str(caught.value)


def test_a_far_target_is_refused_with_its_number() -> None:
    text = "jeq #1, far\n" + "tax\n" * 300 + "far: ret #0"
    with pytest.raises(
        AssemblyError, match="jt would skip 300 instructions, the field holds 0–255"
    ):
        assemble(text)
    assert assemble(text.replace("jeq #1, far", "ja far")).insns[0].k == 300


def test_labels_and_lines_are_kept() -> None:
    program = assemble("; a filter\nldh [12]\n\njeq #0x800, yes, no\nyes: ret #-1\nno: ret #0")
    assert dict(program.labels) == {"yes": 2, "no": 3}
    assert [line.number for line in program.lines] == [2, 4, 5, 6]


LISTING = """\
tcpdump -d icmp
Warning: assuming Ethernet
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 5
(002) ldb      [23]
(003) jeq      #0x1             jt 4\tjf 5
(004) ret      #262144
(005) ret      #0"""
ICMP = (
    (40, 0, 0, 12),
    (21, 0, 3, 2048),
    (48, 0, 0, 23),
    (21, 0, 1, 1),
    (6, 0, 0, 262144),
    (6, 0, 0, 0),
)
DIALECTS = {
    "tcpdump": "$ " + LISTING,
    "c": """/* icmp */ struct sock_filter code[] = {
        { 0x28, 0, 0, 0x0000000c }, // ethertype
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
        BPF_STMT(BPF_LD+BPF_B+BPF_ABS, 23),
        { .code = 0x15, .jf = 1, .k = IPPROTO_ICMP },
        { BPF_RET, 0, 0, 262144U }, { 0x6 },
    };""",
    "decimal": "6\n40 0 0 12\n21 0 3 2048\n48 0 0 23\n21 0 1 1\n6 0 0 262144\n6 0 0 0\n",
    "xt_bpf": "'6,40 0 0 12,21 0 3 2048,48 0 0 23,21 0 1 1,6 0 0 262144,6 0 0 0'",
    "ss": "p_raw UNCONN 0 0 *:eth0 *\n\tbpf filter (6):  0x28 0 0 12, 0x15 0 3 2048, 0x30 0 0 23,"
    " 0x15 0 1 1, 0x06 0 0 262144, 0x06 0 0 0,\nnext 1 2",
    "paper": "ldh [12]\njeq #ETHERTYPE_IP, L1, L3\nL1: ldb [23]\njeq #IPPROTO_ICMP, L2, L3\n"
    "L2: ret #262144\nL3: ret #0",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_is_read_and_found_by_itself(dialect: str) -> None:
    assert assemble(DIALECTS[dialect]).insns == ICMP
    assert assemble(DIALECTS[dialect], dialect).insns == ICMP


LISTING_MISTAKES = [
    ("(000) ldh [12]\n(002) ret #0", 2, "numbered 002, but 1 comes here"),
    ("(000) jeq #1 jt 0 jf 1\n(001) ret #0", 1, "an offset of -1"),
    ("(000) jeq #1 jt 1 jf 900\n(001) ret #0", 1, "an offset of 899"),
    ("(000) ret #0\nhello", 2, "no line of a listing"),
    ("(000) frob #1", 1, "there is no frob"),
    ("3,40 0 0 12", 1, "3 instructions are announced"),
    ("1\n40 0 300 12\n", 2, "jf is 300"),
    ("{ 1, 2, 3, 4, 5 }", 1, "a value too many"),
    ("{ 0x28, 0, 256, 12 }", 1, "the field holds 0–255"),
    ("{ .cod = 3, .k = 4 }", 1, "no field cod"),
    ("BPF_STMT(BPF_LDD, 1)", 1, "BPF_LDD is no name"),
]


@pytest.mark.parametrize(("text", "line", "message"), LISTING_MISTAKES)
def test_a_broken_listing_says_where(text: str, line: int, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble(text)
    assert caught.value.line == line
    assert message in str(caught.value)


def test_a_message_shows_no_escape_sequence_and_a_window_of_a_long_line() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble("\x1b[31m jeq " + "x" * 5000)
    assert "\x1b" not in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 400


LONG = {
    "blanks in a listing": "(000) ldh [12]" + " " * 100_000 + "x",
    "jt again and again": "(000) jeq #1" + " jt 1" * 20_000,
    "braces": "{" * 100_000,
    "rows never closed": "{1,2,3,4" * 20_000,
    "brackets": "BPF_STMT(" + "(" * 100_000,
    "ss again and again": "bpf filter (1): " * 10_000,
    "empty lines": "\n" * 100_000,
    "comments never closed": "/*" * 50_000,
    "digits": "ld #" + "9" * 100_000,
    "a row never closed": "{1,2" + "," * 100_000,
    "comments with blanks never closed": "ret #0\n" + "/* " * 33_000,
    "a mistake a line": "x\n" * 50_000,
    "an address of long parts": "jeq #" + "1" * 5_000 + ".1.1.1, +1",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_wrong_text_is_refused_before_anyone_waits(text: str) -> None:
    # A pattern that backtracks would take minutes here: the runner's own limit ends it.
    for dialect in (None, *READERS):
        with pytest.raises(AssemblyError):
            assemble(text, dialect)


def test_a_target_as_people_write_it_is_refused_in_a_listing() -> None:
    with pytest.raises(AssemblyError, match="no target stands here") as caught:
        assemble("(000) jeq #1,+1,+1\n(001) ret #0")
    assert (caught.value.line, caught.value.column) == (1, 14)


def test_what_a_message_quotes_is_harmless_and_short() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble("{1,2,3,4,\x1b[31m" + "z" * 10_000 + "}", "c")
    assert "\x1b" not in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 600


def test_a_comment_that_nothing_closes_is_none_and_columns_stay() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble("/* a */ ret #0 ; */ /*\n/**/ retx /* /* */\n/* ret #0")
    found = [(problem.line, problem.column) for problem in caught.value.problems]
    assert found == [(2, 6), (3, 1)]


def test_an_unknown_dialect_names_the_known() -> None:
    with pytest.raises(BpfError, match="xt_bpf"):
        assemble("ret #0", "masm")
    assert set(READERS) == {"asm", "paper", "tcpdump", "c", "decimal", "xt_bpf", "ss"}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{0x28,0,0,12}, {6,0", 1, 16),
        ("BPF_STMT(BPF_RET|BPF_K, 5), BPF_STMT(BPF_RET", 1, 29),
        ("struct sock_filter c[] = {\n{ 0x28, 0, 0, 12,\n{ 6, 0, 0, 1 }};", 2, 1),
    ],
)
def test_a_row_of_c_that_does_not_end_is_not_lost(text: str, line: int, column: int) -> None:
    with pytest.raises(AssemblyError, match="this row does not end") as caught:
        assemble(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_pasted_sock_fprog_is_no_row() -> None:
    row = "struct sock_filter c[] = {{ 6, 0, 0, 1 }};"
    text = f"{row}\nstruct sock_fprog p = {{ .len = 1, .filter = c }};"
    assert len(assemble(text)) == 1


def test_a_command_line_of_iptables_has_its_program_behind_bytecode() -> None:
    text = "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"
    for quote in ("'", '"'):
        pasted = f"iptables -A INPUT -m bpf --bytecode {quote}{text}{quote} -p 6 -j ACCEPT"
        assert assemble(pasted) == assemble(text)
    with pytest.raises(AssemblyError, match="5 instructions are announced") as caught:
        assemble(f"iptables -m bpf --bytecode '5{text[1:]}' -j DROP")
    assert caught.value.column == 29


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("ldh 12", "a packet offset is written [12]"),
        ("add 3", "a constant is written #3"),
        ("jeq 4, +0, +0", "a constant is written #4"),
        ("ldx [34]", "what is in the packet is loaded into A; then copy it: tax"),
        ("stx [3]", "a packet cannot be changed; a scratch word is written: stx M[0]"),
        ("ldb #5", "a constant is loaded with ld"),
    ],
)
def test_a_cure_offers_what_the_instruction_takes(line: str, cure: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble(line)
    assert caught.value.hint == cure
