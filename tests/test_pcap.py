"""libpcap: which one is loaded, what is refused, and where the caret stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bpfnb.cbpf.disasm import line
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, CheckError, ExpressionError, UnavailableError
from bpfnb.pcap import compile_filter, load, version
from bpfnb.pcap.library import CHOICE, carried_path, system_path
from bpfnb.pcap.place import locate
from bpfnb.pcap.words import APPLICATIONS, DISPLAY, FIELDS, KEYWORDS, SYNONYMS

ROOT = str(Path(__file__).parent.parent)
IPV4 = bytes.fromhex("005300000002 005300000001 0800 4500001c000100004001b6dec0000201c0000202")
ARP = bytes.fromhex("ffffffffffff 005300000001 0806 0001080006040001")


@pytest.fixture
def system() -> str:
    try:
        return system_path()
    except UnavailableError as error:
        pytest.skip(str(error))


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    env = {**os.environ, "PYTHONPATH": ROOT, **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


def refusal(expression: str, linktype: str = "EN10MB") -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_filter(expression, linktype)
    return caught.value


# Which library


def test_the_carried_library_is_the_packages_own_choice() -> None:
    asked = python(
        "import libpcap; libpcap.config(LIBPCAP='tcpdump');"
        "from libpcap._platform import DLL_PATH; print(DLL_PATH);"
        "print(libpcap.lib_version().decode())"
    )
    assert asked.splitlines() == [str(carried_path()), version("carried")]


def test_the_package_libpcap_itself_is_not_imported() -> None:
    code = (
        "import sys; from bpfnb.pcap import *\n"
        "compile_filter('ip'); print('libpcap' in sys.modules)"
    )
    assert python(code) == "False\n"


def test_two_libraries_stand_side_by_side(system: str) -> None:
    carried, own = load("carried"), load("system")
    assert carried.path != own.path == system
    assert compile_filter("icmp", library="carried") == compile_filter("icmp", library="system")
    assert {carried.version, own.version} == {version("carried"), version("system")}


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc's loader what it bound")
def test_a_library_in_the_global_scope_is_not_mistaken_for_ours(system: str) -> None:
    code = (
        "import ctypes, os; from bpfnb.pcap import *\n"
        "from bpfnb.pcap.library import carried_path\n"
        "ctypes.CDLL(str(carried_path()), mode=os.RTLD_GLOBAL | os.RTLD_NOW)\n"
        "compile_filter('ip multicast', library='system')"
    )
    env = {**os.environ, "PYTHONPATH": ROOT, "LD_DEBUG": "bindings"}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stderr
    bound = set(re.findall(rf"binding file {re.escape(system)} \[0\] to (\S+) \[0\]", said))
    if not bound:
        pytest.skip("this loader does not tell its bindings (LD_DEBUG)")
    assert system in bound
    assert str(carried_path()) not in bound


def test_a_path_is_loaded_by_itself(tmp_path: Path) -> None:
    copy = tmp_path / "libpcap-copy.so"
    shutil.copy(carried_path(), copy)
    assert load(copy).path == str(copy)
    assert load(copy) is not load("carried")
    assert compile_filter("udp", library=copy) == compile_filter("udp", library="carried")


def test_the_environment_chooses_where_the_caller_does_not(system: str) -> None:
    code = "from bpfnb.pcap import *; print(version()); print(version('carried'))"
    chosen = python(code, **{CHOICE: "system"}).splitlines()
    assert chosen == [version("system"), version("carried")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's loader goes by bare names")
def test_the_systems_library_is_named_by_its_whole_path(system: str) -> None:
    assert Path(system).is_absolute()
    assert Path(system).is_file()


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty.so"
    empty.write_bytes(b"")
    for path in (empty, tmp_path / "missing.so"):
        with pytest.raises(UnavailableError, match=re.escape(str(path))) as caught:
            version(path)
        assert "\n" not in str(caught.value)


def test_a_library_that_is_no_libpcap_is_refused() -> None:
    libc = "libc.so.6" if sys.platform == "linux" else "libc.dylib"
    with pytest.raises(UnavailableError, match=r"is no libpcap: .*pcap_lib_version"):
        load(libc)


def test_without_the_package_the_systems_library_serves(system: str) -> None:
    code = (
        "import sys; sys.modules['libpcap'] = None\n"
        "from bpfnb.pcap import *; from bpfnb.errors import UnavailableError\n"
        "print(version())\n"
        "try: version('carried')\n"
        "except UnavailableError as error: print(error)"
    )
    shown = python(code).splitlines()
    assert shown[0] == version("system")
    assert "pip install" in shown[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the layout is that of a Linux wheel")
def test_the_library_in_pcapy_ng_is_the_next_choice(tmp_path: Path) -> None:
    """Its wheel's layout, with another library in it; its own is 1.9.1."""
    (tmp_path / "pcapy_ng.libs").mkdir()
    (tmp_path / "pcapy.py").write_text("")
    library = tmp_path / "pcapy_ng.libs" / "libpcap-2b6f73a4.so.1.9.1"
    shutil.copy(carried_path(), library)
    code = "from bpfnb.pcap import *; print(load('pcapy-ng').path)"
    assert python(code, PYTHONPATH=f"{ROOT}:{tmp_path}") == f"{library}\n"
    library.unlink()
    code = (
        "from bpfnb.pcap import *; from bpfnb.errors import UnavailableError\n"
        "try: load('pcapy-ng')\n"
        "except UnavailableError as error: print(error)"
    )
    assert "carries no libpcap here" in python(code, PYTHONPATH=f"{ROOT}:{tmp_path}")


def test_without_any_library_all_that_is_missing_is_said() -> None:
    code = (
        "import sys; sys.modules['libpcap'] = sys.modules['pcapy'] = None\n"
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "from bpfnb.pcap import *; from bpfnb.errors import UnavailableError\n"
        "try: compile_filter('ip')\n"
        "except UnavailableError as error: print(error)"
    )
    shown = python(code)
    assert shown.count("\n") == 1
    for words in ("libpcap is not installed", "no libpcap of its own", "pcapy-ng is not installed"):
        assert words in shown


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_two_thousand_compilations_leave_no_memory_behind() -> None:
    code = (
        "from bpfnb.pcap.library import load\n"
        "def pages():\n"
        "    with open('/proc/self/statm') as file: return int(file.read().split()[1])\n"
        "def grown():\n"
        "    before = pages()\n"
        "    for i in range(2000):\n"
        "        load().compile(b'port %d or port 2 or port 3' % (i + 1), 1, 96, False, 0)\n"
        "        load().compile(b'vlan 5000', 1, 96, False, 0)\n"
        "    return pages() - before\n"
        "grown(); print(grown())"
    )
    kib = int(python(code)) * os.sysconf("SC_PAGESIZE") // 1024
    assert kib < 1024  # a program has 1.5, a handle more


def test_threads_compile_at_the_same_time() -> None:
    expressions = [f"tcp port {port} and not src net 10.{port}" for port in range(1, 65)] * 4
    alone = [compile_filter(expression) for expression in expressions]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(compile_filter, expressions)) == alone


# Options


def test_link_type_and_expression_stay_with_the_program() -> None:
    program = compile_filter("icmp", linktype="LINUX_SLL2")
    assert (program.linktype, program.origin) == (276, "icmp")
    assert program.insns[0] == Insn(0x28, 0, 0, 0)
    assert compile_filter("icmp", linktype=276) == program


def test_raw_is_a_linktype_number_not_the_systems_dlt() -> None:
    program = compile_filter("icmp", linktype=101)
    assert program == compile_filter("icmp", linktype="RAW")
    assert program.linktype == 101


def test_snaplen_is_what_an_accepted_packet_returns() -> None:
    assert compile_filter("ip", snaplen=96).insns[-2] == Insn(6, 0, 0, 96)
    for snaplen in (0, -1, 1 << 31):
        with pytest.raises(BpfError, match=f"snaplen is {snaplen}"):
            compile_filter("ip", snaplen=snaplen)


@pytest.mark.parametrize("netmask", ["255.255.255.0", 0xFFFFFF00])
def test_the_netmask_makes_the_broadcast_address(netmask: str | int) -> None:
    ks = [insn.k for insn in compile_filter("ip broadcast", netmask=netmask, optimize=False).insns]
    assert 0x000000FF in ks


@pytest.mark.parametrize("netmask", ["255.255", "mask", -1, 1 << 32])
def test_a_bad_netmask_is_shown_with_a_good_one(netmask: str | int) -> None:
    with pytest.raises(BpfError, match=r"255\.255\.255\.0"):
        compile_filter("ip broadcast", netmask=netmask)


def test_the_empty_expression_accepts_everything() -> None:
    for expression in ("", "  ", "\n"):
        assert compile_filter(expression) == Program.from_insns([(6, 0, 0, 262144)])


# Errors: place and cure

PLACES = {
    "tcp.port == 80": ("tcp.port", "tcp port 80"),
    "ip.addr==192.0.2.1": ("ip.addr", "host 192.0.2.1"),
    "ip.src != 192.0.2.1": ("ip.src", "not src host 192.0.2.1"),
    "arp or frame.len > 100": ("frame.len", "len > 100"),
    "tcp.flags.syn == 1": ("tcp.flags.syn", "tcp[tcpflags] & tcp-syn != 0"),
    "http.host contains x": ("http.host", "display filter"),
    "prot tcp": ("prot", "did you mean proto?"),
    "tcp prot 80": ("prot", "did you mean proto?"),
    "tcp porrt 80": ("porrt", "did you mean port?"),
    "tcp[tcpflag] & 2 != 0": ("tcpflag", "did you mean tcpflags?"),
    "tcp[tcpflags] & tcp-sin != 0": ("tcp-sin", "did you mean tcp-syn?"),
    "TCP port 80": ("TCP", "lower case: tcp"),
    "ipv6 and tcp": ("ipv6", "ip6"),
    "icmp and ipv6": ("ipv6", "ip6"),
    "source host 192.0.2.1": ("source", "src"),
    "http": ("http", "tcp port 80"),
    "192.0.2.1": ("192.0.2.1", ""),
    "localhost": ("localhost", "host localhost"),
    '"tcp port 80"': ('"', "quotes"),
    "port 80, 443": (",", "port 80 or 443"),
    "src host 192.0.2.1 dst host 192.0.2.2": ("dst", "and"),
    "tcp port 80 and and udp": ("and udp", "and wants a test"),
    "tcp and @": ("@", "and wants a test"),
    "proto tcp": ("tcp", r"\tcp"),
    "tcp src port = 80": ("=", "port 80"),
    "tcp = 3": ("=", "number"),
    "tcp)": (")", "no ("),
    "(port 80 or 443": ("", "( is not closed"),
    "ether[0": ("", "[ is not closed"),
    "tcp port": ("", "port wants"),
    "tcp and": ("", "and wants a test"),
    "ip[0] <<": ("", "<< wants a number"),
    "tcp[13] & 2": ("", "compare it"),
    "port 80-90": ("80-90", "portrange 80-90"),
    "port 99999": ("99999", ""),
    "port 22 or port nowhere": ("nowhere", "/etc/services"),
    "host 192.0.2.1/24": ("192.0.2.1/24", "net 192.0.2.0/24"),
    "host 192.0.2.0/24": ("24", "net 192.0.2.0/24"),
    "net 10.1.2.3/8": ("10.1.2.3/8", "net 10.0.0.0/8"),
    "ip and net 10.1/8 and tcp": ("10.1/8", "net 10.0.0.0/8"),
    "net 2001:db8::1/32": ("2001:db8::1/32", "net 2001:db8::/32"),
    "host 10.0.0.256": ("10.0.0.256", "0–255"),
    "ip host ::1": ("ip", "ip6 host"),
    "host 00:53:00:00:00:01": ("00:53:00:00:00:01", "ether host"),
    "ether host 192.0.2.1": ("192.0.2.1", "00:53:00:00:00:01"),
    "ether host 1:2:3:4:5": ("1:2:3:4:5", "six bytes"),
    "ip and ether proto nothing": ("nothing", ""),
    "tcp[0:3] = 1": ("3", "tcp[0:4] >> 8"),
    "udp and 1/0 = 1": ("0", ""),
    "4294967296 = len": ("4294967296", "4294967295"),
    "vlan and vlan 5000": ("5000", ""),
    "ip broadcast": ("ip broadcast", "255.255.255.0"),
    "gateway router": ("gateway", "ether host"),
    "wlan ra 00:53:00:00:00:01": ("ra", "IEEE802_11"),
    "vpi 1": ("vpi", "SUNATM"),
    "ifname em0": ("em0", "PFLOG"),
}  # expression -> the text under the carets (or, for two tokens, from there), words of the cure


@pytest.mark.parametrize("expression", PLACES)
def test_the_caret_stands_under_the_mistake(expression: str) -> None:
    where, words = PLACES[expression]
    error = refusal(expression)
    column = expression.index(where) + 1 if where else len(expression) + 1
    assert error.column == column
    shown, caret = str(error).split("\n")[1:3]
    assert shown == f"    {expression}"
    assert caret == " " * (column + 3) + "^" * max(1, len(where.removesuffix(" udp")))
    assert words in error.hint


def test_libpcaps_own_text_leads() -> None:
    lines = str(refusal("tcp and and")).split("\n")
    assert lines[0] == "libpcap: can't parse filter expression: syntax error"


def test_a_filter_that_rejects_everything_has_no_place() -> None:
    error = refusal("ip and arp")
    assert (error.reason, error.column) == ("expression rejects all packets", None)
    assert "optimize=False" in error.hint
    assert len(compile_filter("ip and arp", optimize=False)) > 1


def test_a_name_that_is_known_elsewhere_is_marked_where_it_is_not() -> None:
    expression = "ether proto loopback or ip proto loopback"
    assert refusal(expression).column == expression.rindex("loopback") + 1


def test_a_libpcap_that_does_not_tell_the_marker_gives_no_place() -> None:
    assert locate("tcp and and", "syntax error", lambda _: "syntax error") is None


def test_a_very_long_expression_is_refused_without_a_place() -> None:
    assert refusal("ip or " * 700 + "and").column is None


@pytest.mark.parametrize("tail", ["]", "= =", "80 80", "mask", ")"])
@pytest.mark.parametrize("head", ["tcp port 80", "ip[6:2] & 0x1fff = 0", "net 10.0.0.0/8 or arp"])
def test_what_is_right_is_never_under_the_caret(head: str, tail: str) -> None:
    column = refusal(f"{head} {tail}").column
    assert column is not None
    assert column > len(head)


def test_line_breaks_and_tabs_leave_the_caret_in_its_column() -> None:
    shown = str(refusal("tcp\tport 80\nand and")).split("\n")
    assert shown[1:3] == ["    tcp port 80 and and", "                    ^^^"]


@pytest.mark.parametrize(
    ("expression", "reason", "column"),
    [
        ("tcp\0udp", "a NUL ends its text", 4),
        ("host zürich", "U+00FC is not ASCII", 7),
        ("\ud800", "U+D800 is not ASCII", 1),
    ],
)
def test_what_is_no_ascii_text_is_shown(expression: str, reason: str, column: int) -> None:
    error = refusal(expression)
    assert (error.reason, error.column) == (reason, column)
    str(error).encode("utf-8")


def test_only_text_is_an_expression() -> None:
    with pytest.raises(BpfError, match="not bytes"):
        compile_filter(b"tcp")  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["ip||", "vlan&&", "!", "("])
def test_an_expression_of_the_greatest_length_does_not_end_the_process(part: str) -> None:
    code = (
        "import sys, threading; from bpfnb.pcap import *; from bpfnb.errors import BpfError\n"
        f"text = {part!r} * ((16384 - 2) // len({part!r})) + 'ip'\n"
        "def work():\n"
        "    try: print(len(compile_filter(text, optimize=False)) > 2)\n"
        "    except BpfError as error: print('libpcap: ' in str(error))\n"
        "threading.stack_size(256 << 10)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()"
    )
    assert python(code) == "True\n"
    with pytest.raises(ExpressionError, match="takes 16384 characters"):
        compile_filter("ip or " * 3000 + "ip")


def test_a_stack_for_long_expressions_is_not_left_to_other_threads() -> None:
    before = threading.stack_size()
    compile_filter("ip or " * 500 + "ip")
    assert threading.stack_size() == before


STRANGE = ("99999999999", "1:2:3:4:5:6", "net 10/8", "\\tcp", "ü", "\0", "_")
SIGNS = (*"()[]=!<>&|+-*/:,;\"'#$%^~`{}", "<<", "80", "0x1", "10.0.0.1", "::1")
WORDS = st.sampled_from([*KEYWORDS, *FIELDS, *SIGNS, *STRANGE])


@settings(deadline=None, max_examples=300)
@given(st.lists(WORDS, max_size=8).map(" ".join), st.sampled_from(["EN10MB", "IEEE802_11"]))
@example("tcp ] and", "EN10MB")
def test_nothing_but_an_expression_error_comes_of_any_words(text: str, linktype: str) -> None:
    column = None
    try:
        program = compile_filter(text, linktype, optimize=False)
    except ExpressionError as error:
        column = error.column
    else:
        assert load().validate(program)
    assert column is None or 1 <= column <= len(text) + 1


@pytest.mark.parametrize("word", [word for word in KEYWORDS if word not in ("and", "or", "mask")])
def test_each_keyword_is_libpcaps(word: str) -> None:
    """A word that libpcap does not know is a syntax error where it stands."""
    first = []
    for linktype in ("EN10MB", "IEEE802_11", "SUNATM", "PFLOG"):
        try:
            compile_filter(word, linktype, optimize=False, netmask=0)
        except ExpressionError as error:
            first += [error] if error.column == 1 and "syntax error" in error.reason else []
    assert first == []


@pytest.mark.parametrize("form", [*APPLICATIONS.values(), *SYNONYMS.values(), *DISPLAY.values()])
def test_what_a_cure_proposes_compiles(form: str) -> None:
    value = "::1" if "ip6" in form else "2"
    if re.search("ether (src|dst|host)|wlan", form):
        value = "00:53:00:00:00:01"
    elif "host" in form and "ip6" not in form:
        value = "192.0.2.1"
    linktype = "IEEE802_11" if "wlan" in form else "EN10MB"
    if form in SYNONYMS.values():
        assert set(form.split()) <= set(KEYWORDS)
    else:
        assert len(compile_filter(form.format(value), linktype)) > 1


# The library's own image, validator and machine


@pytest.mark.parametrize("code", BY_CODE)
def test_our_listing_is_libpcaps_image(code: int) -> None:
    for k in (0, 12, 0xFFFF, 0x7FFFFFFF):
        insn = Insn(code, 1, 2, k)
        if BY_CODE[code].form is not Form.TARGET or k < 0xFFFF:
            assert f"(007) {line(insn, 7)}" == load("carried").image(insn, 7)


def test_libpcaps_machine_runs_a_program() -> None:
    program = compile_filter("ip", snaplen=64)
    assert load().evaluate(program, IPV4) == 64
    assert load().evaluate(program, ARP) == 0
    length = Program.from_insns([(0x80, 0, 0, 0), (0x16, 0, 0, 0)])
    assert load().evaluate(length, ARP, wirelen=1500) == 1500


@pytest.mark.parametrize(
    "rows",
    [
        [(0x15, 9, 9, 0), (6, 0, 0, 0)],  # a jump out of the program
        [(0x28, 0, 0, 12)],  # no return
        [(0x28, 0, 0, 12), (0x0E, 0, 0, 0)],  # ret x: its validator agrees, its machine aborts
    ],
)
def test_what_would_end_the_process_is_not_run(rows: list[tuple[int, int, int, int]]) -> None:
    with pytest.raises(CheckError):
        load().evaluate(Program.from_insns(rows), ARP)


def test_the_validator_is_libpcaps() -> None:
    assert load().validate(Program.from_insns([(6, 0, 0, 0)]))
    assert not load().validate(Program.from_insns([(0x28, 0, 0, 12)]))
    assert not load().validate(Program(()))
