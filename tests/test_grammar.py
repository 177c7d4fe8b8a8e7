"""The grammar of a magic's line, settled by a table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from bpfnb.backends import NAMES
from bpfnb.cbpf.asm import looks_assembled
from bpfnb.jupyter.grammar import BY_FLAG, FOREIGN, end_of_value, parse
from bpfnb.jupyter.options import OPTIONS, Options, Takes
from bpfnb.jupyter.values import is_file

Fields = dict[str, Any]

# A line; the options it asks for, those left out being as without the line; the expression.
LINES: list[tuple[str, Fields, str]] = [
    # nothing but an expression: it reaches libpcap to the letter
    ("", {}, ""),
    ("icmp", {}, "icmp"),
    ("   icmp   ", {}, "icmp"),
    ("tcp[13] & 2 != 0", {}, "tcp[13] & 2 != 0"),
    ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", {}, "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0"),
    (r"ether proto \ip", {}, r"ether proto \ip"),
    ("host 'a b'", {}, "host 'a b'"),
    ('"tcp port 80"', {}, '"tcp port 80"'),
    ("len - 14 > 100", {}, "len - 14 > 100"),
    ("-1 < len", {}, "-1 < len"),
    ("- 1 < len", {}, "- 1 < len"),
    ("ip[6:2]  &  0x1fff = 0", {}, "ip[6:2]  &  0x1fff = 0"),
    ("tcp -p", {}, "tcp -p"),
    ("tcp --cfg", {}, "tcp --cfg"),
    ("-- -i", {}, "-i"),
    ("-O -- --cfg", {"optimize": False}, "--cfg"),
    # tcpdump's own options
    ("-d icmp", {"show": ("listing",)}, "icmp"),
    ("-dd icmp", {"show": ("c",)}, "icmp"),
    ("-d -d icmp", {"show": ("c",)}, "icmp"),
    ("-ddd icmp", {"show": ("decimal",)}, "icmp"),
    ("-dddd icmp", {"show": ("decimal",)}, "icmp"),
    ("-O tcp port 80", {"optimize": False}, "tcp port 80"),
    ("-Od tcp", {"optimize": False, "show": ("listing",)}, "tcp"),
    ("-y RAW -s 96 ip", {"linktype": "RAW", "snaplen": 96}, "ip"),
    ("-yRAW -s96 ip", {"linktype": "RAW", "snaplen": 96}, "ip"),
    ("-s 0 ip", {"snaplen": 262144}, "ip"),
    ("--linktype=RAW ip", {"linktype": "RAW"}, "ip"),
    ("--snapshot-length 96 ip", {"snaplen": 96}, "ip"),
    ("-i any ip", {"interface": "any"}, "ip"),
    ("-i eth0 ip", {"ignored": ("-i eth0",)}, "ip"),
    ("-nnvr x.pcap ip", {"read": "x.pcap", "ignored": ("-n", "-v")}, "ip"),
    ("-r 'my file.pcap' ip", {"read": "my file.pcap"}, "ip"),
    ("-c 5 --count -Q in ip", {"ignored": ("-c 5", "--count", "-Q in")}, "ip"),
    ("-w out.pcap ip", {"ignored": ("-w out.pcap",)}, "ip"),
    # the value of -p: to the end of its brackets, or quoted and unquoted once
    ("-p pkts icmp", {"packets": "pkts"}, "icmp"),
    ("-ppkts icmp", {"packets": "pkts"}, "icmp"),
    ("--packets pkts icmp", {"packets": "pkts"}, "icmp"),
    ("--packets=pkts icmp", {"packets": "pkts"}, "icmp"),
    ("-p pkts", {"packets": "pkts"}, ""),
    (
        "-p [IP()/TCP(dport=p) for p in (80, 81)] tcp",
        {"packets": "[IP()/TCP(dport=p) for p in (80, 81)]"},
        "tcp",
    ),
    ("-p IP(src='a) b')/TCP() tcp", {"packets": "IP(src='a) b')/TCP()"}, "tcp"),
    ("-p pkts[1:3] (tcp or udp)", {"packets": "pkts[1:3]"}, "(tcp or udp)"),
    ("-p {'a b': 1}['a b'] tcp", {"packets": "{'a b': 1}['a b']"}, "tcp"),
    (r"-p b'\xff \'' tcp", {"packets": r"b'\xff \''"}, "tcp"),
    ("-p f('''a ' b''') tcp", {"packets": "f('''a ' b''')"}, "tcp"),
    ("-p 'IP() / TCP()' tcp", {"packets": "IP() / TCP()", "packets_quoted": True}, "tcp"),
    ("-p \"p['a']\" tcp", {"packets": "p['a']", "packets_quoted": True}, "tcp"),
    (r'-p "f(\"a\")" tcp', {"packets": 'f("a")', "packets_quoted": True}, "tcp"),
    ("-p 'a' 'b'", {"packets": "a", "packets_quoted": True}, "'b'"),
    ("-p 'ab'.encode() tcp", {"packets": "'ab'.encode()"}, "tcp"),
    ("-p x.pcap -O tcp", {"packets": "x.pcap", "optimize": False}, "tcp"),
    # our own options
    ("--on linux -p p ip", {"on": ("linux",), "packets": "p"}, "ip"),
    ("--on=interp,linux -p p ip", {"on": ("interp", "linux"), "packets": "p"}, "ip"),
    ("--on all -p p ip", {"on": NAMES, "packets": "p"}, "ip"),
    ("--show cfg,listing ip", {"show": ("cfg", "listing")}, "ip"),
    ("--show asm --show paper ip", {"show": ("asm", "paper")}, "ip"),
    ("--show native,pygen ip", {"show": ("native", "pygen")}, "ip"),
    ("--cfg ip", {"show": ("cfg",)}, "ip"),
    ("-d --cfg ip", {"show": ("listing", "cfg")}, "ip"),
    ("--cfg --show cfg ip", {"show": ("cfg",)}, "ip"),
    ("--bytes -p p ip", {"show": ("bytes",), "packets": "p"}, "ip"),
    ("--bytes=2 -p p ip", {"show": ("bytes",), "bytes": 2, "packets": "p"}, "ip"),
    (
        "--trace=3 --bytes=2 -p p ip",
        {"show": ("trace", "bytes"), "trace": 3, "bytes": 2, "packets": "p"},
        "ip",
    ),
    ("--show bytes,listing -p p ip", {"show": ("bytes", "listing"), "packets": "p"}, "ip"),
    ("--trace -p p ip", {"show": ("trace",), "packets": "p"}, "ip"),
    ("--trace=2 -p p ip", {"show": ("trace",), "trace": 2, "packets": "p"}, "ip"),
    ("--step -p p ip", {"show": ("step",), "packets": "p"}, "ip"),
    ("--step=3 --cfg -p p ip", {"show": ("step", "cfg"), "step": 3, "packets": "p"}, "ip"),
    ("-p p --trace 2 = 3", {"show": ("trace",), "packets": "p"}, "2 = 3"),
    ("--why -p p ip", {"show": ("why",), "packets": "p"}, "ip"),
    ("--why=2 -p p ip", {"show": ("why",), "why": 2, "packets": "p"}, "ip"),
    ("-p p --trace=3 --why ip", {"show": ("trace", "why"), "trace": 3, "packets": "p"}, "ip"),
    ("--show why,explain -p p ip", {"show": ("why", "explain"), "packets": "p"}, "ip"),
    ("--show explain ip", {"show": ("explain",)}, "ip"),
    ("--time --unchecked -p p ip", {"time": True, "unchecked": True, "packets": "p"}, "ip"),
    ("--rules libpcap ip", {"rules": "libpcap"}, "ip"),
    ("-o r -q ip", {"out": "r", "quiet": True}, "ip"),
    ("--out r --quiet ip", {"out": "r", "quiet": True}, "ip"),
    ("-qor ip", {"out": "r", "quiet": True}, "ip"),
    ("--program=prog ip", {"program": "prog"}, "ip"),
    ("-F f.txt", {"file": "f.txt"}, ""),
    ("--netmask 255.0.0.0 ip broadcast", {"netmask": "255.0.0.0"}, "ip broadcast"),
    ("--libpcap system ip", {"libpcap": "system"}, "ip"),
    ("--dialect paper", {"dialect": "paper"}, ""),
    ("--exercise 07.2", {"exercise": "07.2"}, ""),
    ("--exercise=07.2 -q ip", {"exercise": "07.2", "quiet": True}, "ip"),
    ("--exercise '07.2' -p bytes(42)", {"exercise": "07.2", "packets": "bytes(42)"}, ""),
    ("-p p --exercise 05.4 --cfg", {"exercise": "05.4", "packets": "p", "show": ("cfg",)}, ""),
    ("--any-linktype -p p ip", {"any_linktype": True, "packets": "p"}, "ip"),
    ("--version", {"version": True}, ""),
    # a pasted command line: quotes are the shell's, options tcpdump's, wherever they stand
    ("tcpdump", {}, ""),
    (
        "tcpdump -nn -r x.pcap port 80",
        {"read": "x.pcap", "ignored": ("-n",)},
        "port 80",
    ),
    ("sudo tcpdump -i any 'port 80'", {"interface": "any"}, "port 80"),
    ("/usr/sbin/tcpdump -ddO port 80", {"show": ("c",), "optimize": False}, "port 80"),
    ("tcpdump port 80 -nX", {"ignored": ("-n", "-X")}, "port 80"),
    ("tcpdump -i eth0 -pq tcp", {"ignored": ("-p", "-q", "-i eth0")}, "tcp"),
    (r"tcpdump 'ether proto \ip' and \( tcp or udp \)", {}, r"ether proto \ip and ( tcp or udp )"),
    ("tcpdump 'tcp[13] & 2 != 0'", {}, "tcp[13] & 2 != 0"),
    ("tcpdump -s0 -c10 --interface=lo ip", {"ignored": ("-c 10", "-i lo")}, "ip"),
    ("tcpdump -- -n", {}, "-n"),
    ("--cfg tcpdump -n ip", {"show": ("cfg",), "ignored": ("-n",)}, "ip"),
    ("-p p tcpdump -n ip", {"packets": "p", "ignored": ("-n",)}, "ip"),
    ("host tcpdump", {}, "host tcpdump"),
    ("sudo", {}, "sudo"),
]


@pytest.mark.parametrize(("line", "fields", "expression"), LINES, ids=[row[0] for row in LINES])
def test_a_line_is_read_as_the_table_says(line: str, fields: Fields, expression: str) -> None:
    assert parse(line) == (Options(**fields), expression)


def test_the_table_has_at_least_forty_lines_no_two_alike() -> None:
    assert len({line for line, _, _ in LINES}) == len(LINES) >= 40


# A line that is refused, and words that its message has.
REFUSED = [
    ("--packet p ip", "did you mean --packets?"),
    ("--pack p ip", "there is no option --pack"),
    ("--trac ip", "did you mean --trace?"),
    ("--cgf ip", "did you mean --cfg?"),
    ("-k ip", "there is no option -k"),
    ("-p", "-p wants a value"),
    ("-p  ", "-p wants a value"),
    ("--on", "--on wants a value"),
    ("-y", "-y wants a value"),
    ("-p [IP() tcp", "] is missing in the value of -p"),
    ("-p IP()) tcp", "a ) too many in the value of -p"),
    ("-p (IP()] tcp", "a ] too many in the value of -p"),
    ("-p 'IP() tcp", "closing ' is missing in the value of -p"),
    ("-p IP() / TCP() tcp", "put the value in quotes"),
    ("-p IP()/ TCP() tcp", "put the value in quotes"),
    ("-p a -r b ip", "packets are given twice"),
    ("--bytes ip", "--show bytes needs packets to run on"),
    ("--bytes=0 -p p ip", "as in --bytes=2"),
    ("--byte ip", "did you mean --bytes?"),
    ("--lint ip", "it is a view: --show lint"),
    ("--show graph ip", "did you mean cfg?"),
    ("--trace ip", "--show trace needs packets to run on"),
    ("--why ip", "--show why needs packets to run on"),
    ("--why=0 -p p ip", "--why=0: packets count from 1, as in --why=2"),
    ("--wy -p p ip", "did you mean --why?"),
    ("--show verdicts ip", "--show verdicts needs packets to run on"),
    ("--on linux ip", "--on needs packets to run on"),
    ("--time ip", "--time needs packets to run on"),
    ("--trace=0 -p p ip", "packets count from 1"),
    ("--trace=x -p p ip", "packets count from 1"),
    ("--cfg=2 ip", "--cfg takes no value"),
    ("--show lisitng ip", "did you mean listing?"),
    ("--show listing, cfg ip", "no blanks"),
    ("--on linus -p p ip", "did you mean linux?"),
    ("--unchecked --on linux -p p ip", "--unchecked needs --on interp"),
    ("--rules bsd ip", "there is no rule set 'bsd'"),
    ("--dialect tcpdmp", "did you mean tcpdump?"),
    ("--exercise", "--exercise wants a value"),
    ("--exercis 07.2", "did you mean --exercise?"),
    ("--exercise 07.2 --step ip", "--show step needs packets"),
    ("-s many ip", "a snapshot length is a number"),
    ("-s 262145 ip", "a snapshot length is a number"),
    ("-o 2x ip", "no name for a variable"),
    ("-o class ip", "no name for a variable"),
    ("-o get_ipython ip", "no name for a variable"),
    ("--program __builtins__ ip", "no name for a variable"),
    ("-p '' ip", "-p wants a value"),
    ("-p x --trace=" + "9" * 5000 + " ip", "packets count from 1"),
    ("-s " + "9" * 5000 + " ip", "a snapshot length"),
    ("--program a.b ip", "no name for a variable"),
    ("-h", "the help is %bpf?"),
    ("--help", "the help is %bpf?"),
    ("tcpdump --cfg ip", "put it before the word tcpdump"),
    ("tcpdump -r", "-r wants a value"),
    ("tcpdump 'ip", "the command line is cut off"),
]


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[row[0][:40] for row in REFUSED])
def test_a_wrong_line_is_refused_with_a_cure(line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert words in str(caught.value)


@given(st.text(st.sampled_from("-pdnrO'\"[](){}=,/ \\tcpudm13"), max_size=30))
def test_no_line_raises_anything_but_usage_errors(line: str) -> None:
    try:
        _, expression = parse(line)
    except UsageError:
        return
    assert expression == expression.strip()


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_an_expression_behind_two_dashes_comes_through_to_the_letter(expression: str) -> None:
    kept = expression.strip()
    if kept.split()[:1] not in (["tcpdump"], ["sudo"]) and "tcpdump" not in kept:
        assert parse(f"-- {expression}") == (Options(), kept)


@pytest.mark.parametrize("text", ["IP()/TCP()", "[a, b][0]", "f('x y')", "{1: 2}", "p", '"a b".x'])
def test_a_value_of_balanced_brackets_ends_at_the_blank_behind_it(text: str) -> None:
    assert end_of_value(f"{text} tcp", 0) == len(text)


FILES: list[tuple[str, Fields, bool]] = [
    ("x.pcap", {}, True),
    ("x.pcapng", {}, True),
    ("x.pcap.gz", {}, True),
    ("captures/x", {}, True),
    ("/tmp/x", {"tmp": 1, "x": 2}, True),
    ("./x", {}, True),
    ("~/x", {}, True),
    ("my captures/x.pcap", {}, True),
    ("a-b/c", {}, True),
    ("pkts", {}, False),
    ("capture.packets", {}, False),
    ("eth/ip", {"eth": 1, "ip": 2}, False),
    ("eth/ip", {"eth": 1}, True),
    ("Ether()/IP()", {}, False),
    ("[p for p in x]", {}, False),
    ("'x.pcap'", {}, False),
    ("open_capture('a/b.pcap')", {}, False),
]


@pytest.mark.parametrize(("text", "namespace", "file"), FILES)
def test_a_word_with_a_slash_or_a_known_ending_is_a_file(
    text: str, namespace: Fields, file: bool
) -> None:
    assert is_file(text, namespace) is file


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("ldh [12]\nret #0", True),
        ("; a comment\n# another\n/* a third */ start: ret #0", True),
        ("(000) ldh      [12]\n", True),
        ("{ 0x28, 0, 0, 0x0000000c },", True),
        ("1\n6 0 0 0\n", True),
        ("1,6 0 0 0", True),
        ("iptables -m bpf --bytecode '1,6 0 0 0'", True),
        (".insn 6, 0, 0, 0", True),
        ("tcp port 80", False),
        ("# why\n(tcp or udp) and not arp", False),
        ("10.0.0.1 or 10.0.0.2", False),
        ("", False),
    ],
)
def test_a_file_says_by_its_first_word_what_it_holds(text: str, program: bool) -> None:
    assert looks_assembled(text) is program


def test_every_option_has_flags_help_and_a_field() -> None:
    fields = set(Options.__dataclass_fields__)
    for row in OPTIONS:
        assert row.flags
        assert row.help
        assert bool(row.metavar) is (row.takes is not Takes.NOTHING), row.name
        assert row.name in {*fields, "cfg", "dump", "unoptimized"}
    assert len(BY_FLAG) == sum(len(row.flags) for row in OPTIONS)


def test_flags_of_tcpdump_are_known_one_way_or_the_other() -> None:
    usage = "AbdDefHIJKlLnNOpqStuUvxX#BcCEFGijMQrsTVwWyzZ"  # tcpdump 4.99.3 --help, and -m, -h
    for letter in usage:
        assert f"-{letter}" in BY_FLAG or f"-{letter}" in FOREIGN, letter
