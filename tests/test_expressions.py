"""Every primitive of pcap-filter(7), held against the tcpdump binary.

The corpus is `expressions/LINKTYPE.txt`, one expression a line.  tcpdump is
asked with `-y`, without an interface; it then compiles for a netmask of 0.
`python tests/test_expressions.py` writes `expressions/DIFFERENCES.txt` anew.
"""

from __future__ import annotations

import gzip
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bpfnb.cbpf import machine
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.disasm import text
from bpfnb.cbpf.program import Program
from bpfnb.errors import BpfError, ExpressionError, UnavailableError
from bpfnb.pcap import compile_filter, load, version

FOLDER = Path(__file__).parent / "expressions"
DIFFERENCES = FOLDER / "DIFFERENCES.txt"
MANUALS = ("/usr/share/man/man7", "/usr/local/share/man/man7")
FLAGS = {"tcpdump": "-d", "c": "-dd", "decimal": "-ddd"}
ICMP = """\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 5
(002) ldb      [23]
(003) jeq      #0x1             jt 4\tjf 5
(004) ret      #262144
(005) ret      #0"""


def rows(file: Path) -> list[str]:
    lines = file.read_text("ascii").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def corpus() -> Iterator[tuple[str, str]]:
    for file in sorted(FOLDER.glob("[A-Z]*.txt")):
        if file != DIFFERENCES:
            yield from ((file.stem, expression) for expression in rows(file))


CORPUS = tuple(corpus())
LINKTYPES = tuple(dict.fromkeys(linktype for linktype, _ in CORPUS))
REFUSED = tuple(
    (linktype.strip(), expression.strip())
    for linktype, _, expression in (row.partition("|") for row in rows(FOLDER / "refused.txt"))
)
each = pytest.mark.parametrize(
    ("linktype", "expression"), CORPUS, ids=[f"{name}: {text}" for name, text in CORPUS]
)


@cache
def tcpdump() -> str:
    """tcpdump's path, with the libpcap it uses known to be the one "system" loads."""
    path = shutil.which("tcpdump") or shutil.which("tcpdump", path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip("no tcpdump binary here")
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    lines = (shown.stdout + shown.stderr).splitlines()
    own = next(line for line in lines if line.startswith("libpcap"))
    try:
        ours = version("system")
    except UnavailableError as error:
        pytest.skip(f"tcpdump has {own}, but {error}")
    if own != ours:
        pytest.skip(f"tcpdump has {own}, the system's library is {ours}")
    return path


def asked(linktype: str, *arguments: str) -> tuple[bytes, str]:
    """What tcpdump prints, and its error text."""
    command = [tcpdump(), "-y", linktype, *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout, done.stderr.decode("utf-8").removeprefix("tcpdump: ").removesuffix("\n")


def need_services(expression: str) -> None:
    """Skip where /etc/services lacks a port's name."""
    for name in re.findall(r"\b(?:port(?:range)?|or) (domain|http|ntp|ftp-data|ssh)\b", expression):
        try:
            socket.getservbyname(name)
        except OSError:
            pytest.skip(f"/etc/services has no port named {name}")


def compiled(linktype: str, expression: str, library: str, optimize: bool = True) -> Program:
    return compile_filter(expression, linktype, optimize=optimize, netmask=0, library=library)


def without_numbers(expression: str) -> str:
    return re.sub(r"(?<![A-Za-z0-9])(0x[0-9a-f]+|[0-9][0-9a-f]*)", "N", expression)


def test_the_corpus_has_300_expressions_over_five_link_types_no_two_alike_but_for_a_number() -> (
    None
):
    assert len(LINKTYPES) >= 5
    shapes = [without_numbers(expression) for _, expression in CORPUS]
    assert len(set(shapes)) == len(shapes) >= 300


def alternatives(pattern: str) -> Iterator[str]:
    before, brace, rest = pattern.partition("{")
    if not brace:
        yield pattern
        return
    values, _, after = rest.partition("}")
    edge = "" if after.startswith("[") else r"(?![\w-])"
    yield from (f"{before}{re.escape(value)}{edge}{after}" for value in values.split())


PRIMITIVES = tuple(
    (heading, pattern)
    for heading, _, patterns in (row.partition(" : ") for row in rows(FOLDER / "primitives.txt"))
    for pattern in alternatives(patterns)
)


@pytest.mark.parametrize(("heading", "pattern"), PRIMITIVES)
def test_every_primitive_and_value_of_the_manual_is_in_the_corpus(
    heading: str, pattern: str
) -> None:
    pool = REFUSED if heading.startswith("gateway") else CORPUS
    assert any(re.search(pattern, expression) for _, expression in pool)


def test_the_list_of_primitives_is_the_installed_manuals() -> None:
    pages = [page for folder in MANUALS for page in Path(folder).glob("pcap-filter.7*")]
    if not pages:
        pytest.skip("no manual page pcap-filter(7) here")
    raw = pages[0].read_bytes()
    page = (gzip.decompress(raw) if pages[0].suffix == ".gz" else raw).decode("utf-8")
    allowed = page.partition("Allowable primitives are:")[2]
    headings = re.findall(r"^\.IP +(\S.*)$", allowed, re.MULTILINE)
    plain = {re.sub(r'\\f[BIPR]|"', "", heading).strip() for heading in headings}
    assert plain - {heading for heading, _ in PRIMITIVES} == set()


@each
@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "as compiled"])
def test_d_dd_and_ddd_equal_tcpdumps_to_the_byte(
    linktype: str, expression: str, optimize: bool
) -> None:
    need_services(expression)
    program = compiled(linktype, expression, "system", optimize)
    flags = [] if optimize else ["-O"]
    for dialect, flag in FLAGS.items():
        printed, _ = asked(linktype, *flags, flag, expression)
        assert f"{text(program, dialect)}\n".encode("ascii") == printed


@pytest.mark.parametrize("linktype", ["LINUX_SLL2", "RAW", "PPP", "NULL", "IEEE802_11_RADIO"])
def test_what_is_said_for_ethernet_means_elsewhere_what_tcpdump_says(linktype: str) -> None:
    for _, expression in (row for row in CORPUS if row[0] == "EN10MB"):
        try:
            ours = text(compiled(linktype, expression, "system"), "decimal") + "\n", ""
        except ExpressionError as error:
            ours = "", error.reason
        printed, complaint = asked(linktype, "-ddd", expression)
        assert ours == (printed.decode("ascii"), complaint), expression


@pytest.mark.parametrize(("linktype", "expression"), REFUSED)
def test_a_refusal_keeps_libpcaps_own_text(linktype: str, expression: str) -> None:
    _, complaint = asked(linktype, "-d", expression)
    with pytest.raises(ExpressionError) as refusal:
        compiled(linktype, expression, "system")
    assert refusal.value.reason == complaint.removeprefix("Warning: assuming Ethernet\ntcpdump: ")


def test_icmp_is_the_listing_everybody_knows() -> None:
    assert text(compile_filter("icmp")) == ICMP


def test_the_optimiser_shortens_many_and_lengthens_none() -> None:
    shorter = 0
    for linktype, expression in CORPUS:
        if not re.search("port(range)? [a-z]", expression):
            plain = len(compiled(linktype, expression, "carried", optimize=False))
            optimised = len(compiled(linktype, expression, "carried"))
            assert optimised <= plain, expression
            shorter += optimised < plain
    assert shorter > len(CORPUS) / 4


def packets(count: int) -> Iterator[bytes]:
    """Frames of IPv4, IPv6 and ARP under several headers, with bytes changed at random."""
    chance = random.Random(1993)
    ipv4 = bytes.fromhex("4500003c1c4640004006b1e6c0000201c0000202c35000500000000100000000a0027210")
    ipv6 = bytes.fromhex("60000000001406402001 0db8" + "00" * 11 + "01" + "20010db8" + "00" * 11)
    arp = bytes.fromhex("0001080006040001005300000001c0000201000000000000c0000202")
    links = ("005300000002005300000001", "00040001000600530000000100000000", "0f000800", "ff03", "")
    for _ in range(count):
        kind, payload = chance.choice((("0800", ipv4), ("86dd", ipv6), ("0806", arp)))
        link = chance.choice(links)
        frame = bytearray(bytes.fromhex(link + (kind if link else "")) + payload + bytes(20))
        for _ in range(chance.randrange(6)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        yield bytes(frame[: chance.randrange(1, len(frame) + 1)])


PACKETS = tuple(packets(40))
EXTENSION = 0xFFFFF000


@each
def test_libpcaps_machine_and_ours_return_the_same(linktype: str, expression: str) -> None:
    need_services(expression)
    program = compiled(linktype, expression, "carried")
    assert check(program, rules="libpcap") == ()
    assert load().validate(program)
    if any(insn.code & 7 == 0 and insn.k >= EXTENSION for insn in program.insns):
        return  # bpf_filter() gives 0 for the extensions; the kernel judges them
    for data in PACKETS:
        for wirelen in (None, len(data) + 1000):
            mine = machine.run(program, data, wirelen, budget=100_000)
            assert mine == load().evaluate(program, data, wirelen)


BOTH = ("carried", "system")


def difference(linktype: str, expression: str, optimize: bool) -> str:
    """One row of DIFFERENCES, or "" where both libraries make the same."""
    made = []
    for library in BOTH:
        try:
            made.append(text(compiled(linktype, expression, library, optimize)))
        except ExpressionError as error:
            made.append(f"refused: {error.reason}")
    if made[0] == made[1]:
        return ""
    heading = f"{linktype}{'' if optimize else ' -O'}: {expression}"
    labelled = (f"-- {load(name).version.split()[2]}\n{made[i]}" for i, name in enumerate(BOTH))
    return "\n".join((heading, *labelled))


def table_of_differences() -> str:
    found = [
        row
        for linktype, expression in (*CORPUS, *REFUSED)
        for optimize in (True, False)
        if (row := difference(linktype, expression, optimize))
    ]
    lead = f"# Where {load('carried').version}\n# and   {load('system').version} part.\n"
    count = f"# {len(CORPUS) + len(REFUSED)} expressions, each with the optimiser and without (-O)."
    return "\n\n".join((lead + count, *found)) + "\n"


def test_where_the_carried_library_compiles_differently_is_written_down() -> None:
    recorded = DIFFERENCES.read_text("utf-8")
    try:
        versions = {load(name).version for name in BOTH}
    except UnavailableError as error:
        pytest.skip(f"two libraries are compared: {error}")
    if not all(f" {shown}" in recorded for shown in versions):
        pytest.skip(f"recorded for other versions than {' and '.join(sorted(versions))}")
    for _, expression in CORPUS:
        need_services(expression)
    assert table_of_differences() == recorded


def test_an_unknown_link_type_is_no_link_type_of_tcpdumps_either() -> None:
    assert "invalid data link type" in asked("NO_SUCH", "-d", "ip")[1]
    with pytest.raises(BpfError):
        compile_filter("ip", linktype="NO_SUCH")


if __name__ == "__main__":
    DIFFERENCES.write_text(table_of_differences(), "utf-8")
