"""The magics on a real IPython shell: what they return, show, keep and refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from bpfnb.backends import MANY, NAMES
from bpfnb.errors import (
    AssemblyError,
    BpfError,
    CheckError,
    ExpressionError,
    LinktypeError,
    PacketError,
    RunError,
)
from bpfnb.jupyter import runs
from bpfnb.jupyter.magics import register
from bpfnb.jupyter.result import Result

ICMP = """\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 5
(002) ldb      [23]
(003) jeq      #0x1             jt 4\tjf 5
(004) ret      #262144
(005) ret      #0"""

CRAFT = """
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
ip = IP(src="192.0.2.1", dst="192.0.2.2")
pkts = [ether/ip/ICMP(), ether/ip/TCP(dport=80), ether/ip/UDP(dport=53)]
snaplen, port = 96, 80
"""
ONE_EACH = "%%bpf -p pkts\n        ldb [23]\n        ret a"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux kernel")


@pytest.fixture(scope="module")
def started() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    shell.run_line_magic("load_ext", "bpfnb")
    assert shell.run_cell(CRAFT).success
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(started: InteractiveShell) -> Iterator[InteractiveShell]:
    """The shell with the variables of CRAFT and no others."""
    before = dict(started.user_ns)
    yield started
    started.user_ns.clear()
    started.user_ns.update(before)


def run(shell: InteractiveShell, cell: str) -> Any:
    """Run a cell; its value, or the exception that failed it."""
    done = shell.run_cell(cell)
    if done.error_before_exec or done.error_in_exec:
        raise done.error_before_exec or done.error_in_exec
    return done.result


def text(value: Any) -> str:
    """What a notebook stores as the value's text."""
    formatter = InteractiveShell.instance().display_formatter
    assert formatter is not None
    formatted: dict[str, str] = formatter.format(value)[0]
    assert set(formatted) >= {"text/plain", "text/html"}
    return formatted["text/plain"]


def test_an_expression_shows_what_tcpdump_shows_and_nothing_else(shell: InteractiveShell) -> None:
    assert text(run(shell, "%bpf icmp")) == ICMP
    assert text(run(shell, "%bpf -d icmp")) == ICMP


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs the tcpdump binary")
@pytest.mark.parametrize("options", ["-d", "-dd", "-ddd", "-dd -O", "-d -s 96", "-d -y RAW"])
def test_the_forms_of_d_are_those_of_tcpdump(shell: InteractiveShell, options: str) -> None:
    expression = "ip and tcp[13] & 2 != 0"
    command = ["tcpdump", *options.split(), "-y", "EN10MB", expression]
    if "-y" in options:
        command[-3:-1] = []
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours = text(run(shell, f"%bpf --libpcap system {options} {expression}"))
    assert ours == theirs.removesuffix("\n")


def test_an_assembled_program_shows_its_listing_and_its_check(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%%bpf\n ldh [12]\n jeq #0x806, yes, no\nyes: ret #-1\nno: ret #0"))
    listing, check = shown.split("\n\n")
    assert listing.splitlines()[1] == "(001) jeq      #0x806           jt 2\tjf 3"
    assert check == "✓ legal by linux's rules: 4 instructions"


def test_any_dialect_is_a_body(shell: InteractiveShell) -> None:
    program = run(shell, "%bpf icmp").program
    for dialect in ("tcpdump", "asm", "c", "decimal", "xt_bpf", "paper"):
        assert run(shell, f"%%bpf\n{program.text(dialect)}").program == program, dialect


def test_an_illegal_program_is_shown_with_its_fault_but_not_run(shell: InteractiveShell) -> None:
    body = "\n ld M[3]\n ret a"
    shown = text(run(shell, f"%%bpf{body}"))
    assert shown.startswith("✗ linux refuses this program: 1 fault\n\n(000) ld       M[3]\n")
    with pytest.raises(CheckError, match="scratch_written"):
        run(shell, f"%%bpf -p pkts{body}")
    result = run(shell, f"%%bpf -p pkts --unchecked{body}")
    assert result.rets.tolist() == [0, 0, 0]
    assert run(shell, f"%%bpf -p pkts --rules libpcap{body}").rets.tolist() == [0, 0, 0]


def test_an_unchecked_program_ends_though_it_loops(shell: InteractiveShell) -> None:
    loop = "\nagain: ja again\n ret #0"
    with pytest.raises(RunError, match="packet 1: the program did not end within"):
        run(shell, f"%%bpf -p pkts --unchecked{loop}")
    with pytest.raises(RunError, match="packet 1"):
        run(shell, f"%%bpf -p pkts --unchecked --show verdicts,trace{loop}")


@pytest.mark.parametrize("view", ["--step", "--trace=2", "--show log"])
def test_the_first_steps_of_one_that_does_not_end_can_be_seen(
    shell: InteractiveShell, view: str
) -> None:
    result = run(shell, f"%%bpf -p pkts --unchecked {view}\nagain: ja again\n ret #0")
    shown = text(result)
    assert shown.startswith("✗ there are no verdicts: packet 1: the program did not end within")
    assert "✗ stopped after 100,000 steps: it loops, (000) → (000)" in shown
    assert "… the first 1,000 steps" in shown
    with pytest.raises(RunError, match="there are no verdicts"):
        _ = result.rets
    if view == "--step":
        data, _ = result._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data


def test_packets_give_verdicts_and_hit_counts(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf -p pkts icmp")
    assert isinstance(result, Result)
    assert result.rets.tolist() == [262144, 0, 0]
    assert result.accepted == [shell.user_ns["pkts"][0]]
    assert result.accepted[0] is shell.user_ns["pkts"][0]
    assert result.run is not None
    assert result.run.hits.pcs == (3, 3, 3, 3, 1, 2)
    verdicts, listing = text(result).split("\n\n")
    assert verdicts.splitlines()[0] == "1 of 3 packets accepted"
    assert listing.splitlines()[4].startswith("(004) ret      #262144                        1 ")
    assert repr(result) == "<Result: 6 instructions, icmp, 1 of 3 packets accepted>"


@pytest.mark.parametrize(
    "value",
    [
        "pkts[1]",
        "bytes(pkts[1])",
        "[pkts[1]]",
        "'ether / ip / TCP(dport=80)'",
        "PacketList(pkts)[1:2]",
    ],
)
def test_any_kind_of_packet_is_taken(shell: InteractiveShell, value: str) -> None:
    run(shell, "from scapy.plist import PacketList")
    assert (run(shell, f"%bpf -p {value} tcp port 80").rets != 0).tolist() == [True]


def test_a_list_comprehension_needs_no_quotes(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf -p [ether/ip/TCP(dport=p) for p in (80, port + 1)] tcp port 80")
    assert (result.rets != 0).tolist() == [True, False]


def test_a_function_s_own_variables_are_seen(shell: InteractiveShell) -> None:
    shell.run_cell("def f(mine):\n    return get_ipython().run_line_magic('bpf', '-p mine icmp')")
    assert run(shell, "f(pkts[:1])").rets.tolist() == [262144]


@pytest.mark.parametrize(
    "how", ["-p {p}", "-r {p}", "-p '{p}'", "-p \"'{p}'\"", "-p path", "tcpdump -r {p}"]
)
def test_a_capture_file_is_read(shell: InteractiveShell, tmp_path: Path, how: str) -> None:
    shell.user_ns["path"] = tmp_path / "x.pcap"
    run(shell, "from scapy.utils import wrpcap\nwrpcap(str(path), pkts)")
    result = run(shell, f"%bpf {how.format(p=tmp_path / 'x.pcap')} icmp")
    assert (result.rets != 0).tolist() == [True, False, False]
    assert len(result.accepted) == 1


def test_packets_before_a_broken_record_stay_usable(
    shell: InteractiveShell, tmp_path: Path
) -> None:
    path = tmp_path / "cut.pcap"
    shell.user_ns["path"] = path
    run(shell, "from scapy.utils import wrpcap\nwrpcap(str(path), pkts)")
    path.write_bytes(path.read_bytes()[:-10])
    result = run(shell, "%bpf -p path icmp")
    assert (result.rets != 0).tolist() == [True, False]
    first = text(result).splitlines()[0]
    assert first.startswith("✗ the file is damaged, only the packets before that were used: ")
    assert "record 3" in first
    with pytest.warns(UserWarning, match=r"only the packets before that .* record 3"):
        assert result.program.run_many(path).tolist() == result.rets.tolist()


@on_linux
def test_backends_stand_side_by_side(shell: InteractiveShell) -> None:
    result = run(shell, ONE_EACH.replace("pkts", "pkts --on all"))
    assert {name: rets.tolist() for name, rets in result.by_backend.items()} == {
        name: [1, 6, 17] for name in NAMES
    }
    assert set(NAMES) <= set(text(result).splitlines()[1].split())
    assert "DIFFER" not in text(result)


@on_linux
def test_a_difference_is_loud_wherever_it_is(shell: InteractiveShell) -> None:
    """libpcap shifts by 33 where Linux and our machine shift by 1."""
    result = run(
        shell,
        "%%bpf -p [bytes([1])]*250+[bytes([33])] --on interp,libpcap\n"
        " ldb [0]\n tax\n ld #1\n lsh x\n ret a",
    )
    assert result.by_backend["interp"].tolist() == [2] * 251
    assert result.by_backend["libpcap"].tolist() == [2] * 250 + [0]
    assert [row.number for row in result.verdicts.differing] == [251]
    said = (
        "✗ THE BACKENDS DIFFER on 1 packet, first on packet 251: "
        "interp gives 2; libpcap gives 0 (shift by X of 32 or more)"
    )
    assert said in text(result).splitlines()
    elsewhere = run(
        shell,
        "%%bpf -p [bytes([33])] --on all --show pygen\n ldb [0]\n tax\n ld #1\n lsh x\n ret a",
    )
    assert text(elsewhere).startswith("✗ THE BACKENDS DIFFER on 1 packet, first on packet 1: ")


def test_a_backend_alone_is_named_and_the_path_is_interps(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%bpf -p pkts --on libpcap icmp"))
    answer = "1 of 3 packets accepted by libpcap; ran and ended at are interp's"
    assert shown.splitlines()[0] == answer


def test_chance_is_no_difference(shell: InteractiveShell) -> None:
    result = run(shell, "%%bpf -p pkts --on interp,pygen,native\n ld #rand\n ret a")
    assert len(set(map(tuple, (rets.tolist() for rets in result.by_backend.values())))) > 1
    assert "DIFFER" not in text(result)
    assert "rand is another number each time: rets are not compared" in text(result)


@on_linux
def test_a_limit_of_the_kernel_leaves_the_other_answers(shell: InteractiveShell) -> None:
    shell.user_ns["loads"] = "ldh [0]\n" * 3000
    result = run(shell, "%%bpf -p pkts --on all\n ja end\n{{loads}}\nend: ret #1")
    assert list(result.by_backend) == [name for name in NAMES if name != "linux"]
    (said,) = [line for line in text(result).splitlines() if line.startswith("not run: linux")]
    assert "linux takes no such program: (000) jumps over" in said


def test_unchecked_all_runs_on_interp_and_names_the_others(shell: InteractiveShell) -> None:
    result = run(shell, "%%bpf -p pkts --unchecked --on all\n ld M[3]\n ret #5")
    assert {name: rets.tolist() for name, rets in result.by_backend.items()} == {"interp": [5] * 3}
    for name in NAMES[1:]:
        assert f"not run: {name} runs no unchecked program" in text(result)


def test_an_instruction_behind_a_semicolon_is_said_to_be_none(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%%bpf\n ldb [1]; add #4 ; tax\n ret a ; the byte"))
    said = [line for line in shown.splitlines() if "begins a comment" in line]
    assert said == ['line 2: ";" begins a comment, so "add #4" is no part of the program']


@on_linux
def test_a_backend_that_cannot_run_this_is_named_and_the_others_run(
    shell: InteractiveShell,
) -> None:
    result = run(shell, "%%bpf -p pkts --on interp,linux\n ld #rand\n and #0\n ret a")
    assert list(result.by_backend) == ["interp"]
    assert "not run: linux reads ret in several runs" in text(result)
    with pytest.raises(BpfError, match="linux reads ret in several runs"):
        run(shell, "%%bpf -p pkts --on linux\n ld #rand\n and #0\n ret a")


def test_time_says_the_median_and_the_spread(shell: InteractiveShell) -> None:
    # On three packets alone either backend may be the quicker one.
    result = run(shell, "%bpf -p (pkts * 100) --time icmp")
    assert [timing.backend for timing in result.timings.timings] == ["interp", "libpcap"]
    for timing in result.timings.timings:
        assert 0 < min(timing.runs) <= timing.median <= max(timing.runs)
    assert "takes " in text(result)
    assert "× libpcap's time" in text(result)
    assert "ns per packet over 300 packets: median of" in text(result)


def test_bytes_are_of_the_packet_asked_for(shell: InteractiveShell) -> None:
    first = text(run(shell, "%bpf -p pkts --bytes icmp"))
    assert first.startswith("packet 1, Ether / IP / ICMP")
    assert "this program read 3 of 42 bytes: Ether.type, IP.proto" in first
    assert "of 3 packets" in first
    second = run(shell, "%bpf -p pkts --bytes=2 --trace icmp")
    shown = text(second)
    assert shown.startswith("packet 2, Ether / IP / TCP")
    assert "packet 1, Ether / IP / ICMP" in shown
    assert text(second.bytes(2)) in shown
    assert text(run(shell, "%bpf -p pkts --show bytes icmp")) == first
    with pytest.raises(BpfError, match="there is no packet 4 in 3 packets"):
        run(shell, "%bpf -p pkts --bytes=4 icmp")
    with pytest.raises(BpfError, match="there were no packets"):
        run(shell, "%bpf icmp").bytes()


def test_bytes_without_a_link_type_are_read_as_the_program_s(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%bpf -p bytes(pkts[0]) --bytes icmp"))
    assert "this program read 3 of 42 bytes: Ether.type, IP.proto" in shown
    assert "packets" not in shown
    cell = "%%bpf -p bytes(pkts[0]) --bytes\nldb [23]\nret #1"
    assert "this program read 1 of 42 bytes: byte 23" in text(run(shell, cell))
    cell = "%%bpf -p pkts[0] --bytes\nldb [23]\nret #1"
    assert "this program read 1 of 42 bytes: IP.proto" in text(run(shell, cell))


def test_of_many_packets_the_first_say_how_often_a_byte_is_read(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf -p [bytes(p) for p in pkts]*1000 --bytes=2900 icmp")
    assert "of the first 1,000 packets" in text(result)


def test_trace_is_of_the_packet_asked_for(shell: InteractiveShell) -> None:
    assert text(run(shell, "%bpf -p pkts --trace icmp")).startswith("packet 1, Ether / IP / ICMP")
    second = run(shell, "%bpf -p pkts --trace=2 icmp")
    assert text(second).startswith("packet 2, Ether / IP / TCP")
    assert second.traces[1].path == (0, 1, 2, 3, 5)
    assert [each.ret for each in second.traces[1:]] == [0, 0]
    log = text(run(shell, "%bpf -p pkts --show log icmp"))
    assert "A:      [0x00000800] [2048]" in log
    with pytest.raises(BpfError, match="there is no packet 4 in 3 packets"):
        run(shell, "%bpf -p pkts --trace=4 icmp")


def test_why_is_of_the_packet_asked_for_and_explain_needs_none(shell: InteractiveShell) -> None:
    second = run(shell, "%bpf -p pkts --why=2 icmp")
    assert text(second).startswith("packet 2, Ether / IP / TCP")
    assert "rejected: (003) IP.proto is 6 (TCP), 1 (ICMP) was wanted" in text(second)
    assert second.why(1).accepted
    assert second.why(2).found == 6
    with pytest.raises(BpfError, match="there is no packet 4 in 3 packets"):
        run(shell, "%bpf -p pkts --why=4 icmp")
    explained = run(shell, "%bpf --show explain icmp")
    assert "\n(000–001) Ether.type is read; 0x0800 (IPv4) goes on at 2" in text(explained)
    assert explained.explanation.lines[2].field == "IP.proto"


def test_a_program_without_a_link_type_takes_its_packets_for_names(shell: InteractiveShell) -> None:
    body = "%%bpf -r bpfnb/samples/captures/raw.pcap --show why,explain\nldb [0]\nret a"
    assert "Ethernet is assumed" not in text(run(shell, body))
    assert "Ethernet is assumed" in text(run(shell, "%%bpf --show explain\nldb [0]\nret a"))


def test_the_stepper_begins_with_the_packet_asked_for(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf -p pkts --step=2 icmp")
    assert text(result).startswith("packet 2, Ether / IP / TCP")
    score = result.stepper.score()
    assert (score["first"], len(score["runs"])) == (1, 3)
    data, _ = result._repr_mimebundle_()
    assert data["text/plain"] == text(result)
    assert "application/vnd.jupyter.widget-view+json" in data
    beside = run(shell, "%bpf -p pkts --show verdicts,step,listing icmp")
    above, below = beside.page.parts[0].html(), beside.page.parts[2].html()
    live = beside.live_stepper.score()
    assert (live["above"], live["below"]) == (above, below)
    with pytest.raises(BpfError, match="there is no packet 4 in 3 packets"):
        run(shell, "%bpf -p pkts --step=4 icmp")
    assert isinstance(run(shell, "%bpf -p pkts icmp")._repr_mimebundle_(), dict)


def test_of_many_packets_the_stepper_has_the_first_and_the_one_asked_for(
    shell: InteractiveShell,
) -> None:
    result = run(shell, "%bpf -p pkts*1000 --step=2999 icmp")
    assert text(result).startswith("packet 2999, Ether / IP / TCP")
    assert len(result.stepper.traces) == 201  # a trace of each would take minutes and gigabytes
    score = result.stepper.score()
    assert (score["first"], len(score["runs"]), score["left"]) == (200, 201, 2799)
    assert score["runs"][200]["title"].startswith("packet 2999, Ether / IP / TCP")
    assert run(shell, "%bpf -p pkts*1000 --step icmp").stepper.score()["left"] == 2800


def test_show_says_which_views_and_in_which_order(shell: InteractiveShell) -> None:
    both = text(run(shell, "%bpf --show decimal,listing icmp"))
    assert both.startswith("6\n40 0 0 12\n")
    assert both.endswith(f"\n\n{ICMP}")
    graph = run(shell, "%bpf --cfg icmp")
    assert "block 0" in text(graph)
    assert "<img" in graph._repr_html_()


def test_native_and_pygen_show_what_the_program_becomes(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf --show native icmp")
    shown = text(result)
    assert shown.startswith("6 instructions of BPF, 30 of LLVM")
    for line in ICMP.expandtabs().splitlines():
        assert line in shown
    assert shown == result.native.text() == result.program.native().text()
    python = text(run(shell, "%bpf --show pygen icmp"))
    assert python.startswith("def accepts(P, wirelen, notes):\n")
    assert python == result.pygen.text() == result.program.pygen().text()
    both = run(shell, "%%bpf --show native,pygen,listing\n ldb [0]\n ret a")
    assert [type(part).__name__ for part in both.page.parts] == [
        "NativeCode", "PythonCode", "Listing",
    ]  # fmt: skip
    assert "ldb" in both.html()
    after = run(shell, "%bpf -p pkts --show verdicts,native icmp")
    assert text(after) == f"{after.verdicts.text()}\n\n{shown}"


def test_an_illegal_program_has_no_native_code_and_no_python(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%%bpf --show native,pygen\n ld M[3]\n ret a"))
    verdict, native, python = shown.split("\n\n")
    assert verdict == "✗ linux refuses this program: 1 fault"
    assert native == (
        "✗ no native code is made of a program that fails its check: linux finds 1 fault, "
        "first scratch_written at (000)"
    )
    assert python == native.replace("native code", "Python")
    assert run(shell, "%%bpf --rules libpcap --show native\n ld M[3]\n ret a").text() == native
    unchecked = "%%bpf -p pkts --unchecked --show verdicts,native\n ld M[3]\n ret a"
    assert text(run(shell, unchecked)).endswith(native)


WITHOUT_LLVMLITE = """
import sys
sys.modules["llvmlite"] = None
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "bpfnb")
result = shell.run_line_magic("bpf", "--show native,listing icmp")
print(result)
assert "pip install" in result.html()
"""


def test_a_page_shows_its_other_views_where_llvmlite_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LLVMLITE], capture_output=True, text=True, check=True
    )
    said = [line for line in done.stdout.splitlines() if "llvmlite" in line]
    assert len(said) == 1
    assert "pip install" in said[0]
    assert done.stdout.endswith(f"\n\n{ICMP}\n")


def test_pictures_and_pages_are_saved(shell: InteractiveShell, tmp_path: Path) -> None:
    result = run(shell, "%bpf -p pkts icmp")
    assert result.save(tmp_path / "x.svg").read_text().startswith("<svg")
    assert result.save(tmp_path / "x.txt").read_text() == f"{result}\n"
    assert "1 of 3 packets accepted" in result.save(tmp_path / "x.html").read_text()
    with pytest.raises(BpfError, match="no form for the ending"):
        result.save(tmp_path / "x.png")


def test_results_go_into_variables_and_quiet_shows_nothing(shell: InteractiveShell) -> None:
    assert run(shell, "%bpf -q -o r --program prog icmp") is None
    assert text(shell.user_ns["r"]) == ICMP
    assert shell.user_ns["prog"].run(shell.user_ns["pkts"][0]) == 262144
    assert run(shell, "again = %bpf icmp\nagain.program == prog") is True


def test_python_values_are_put_into_a_body(shell: InteractiveShell) -> None:
    run(shell, "import ipaddress\nhost = ipaddress.ip_address('192.0.2.1')")
    body = """
        ld [26]          ; {{not Python}} in a comment is left alone
        jeq #{{host}}, here, {{"no" + "where"}}
    here: ret #{{ {"a": {"b": snaplen // 2}}["a"]["b"] }}
    nowhere: ret #{{0}}"""
    assert run(shell, f"%%bpf -p pkts{body}").rets.tolist() == [48] * 3
    again = run(shell, "again = %bpf icmp\nagain.program")
    assert run(shell, '%%bpf\n{{again.program.text("asm")}}').program == again


def test_a_c_array_keeps_its_braces(shell: InteractiveShell) -> None:
    body = "struct sock_filter code[] = {{ 0x28, 0, 0, 12 }, { 0x6, 0, 0, 0 }};"
    assert len(run(shell, f"%%bpf\n{body}").program) == 2
    assert (
        len(run(shell, f"%%bpf\n{body.replace('{{', '{{').replace('0x6', ' 0x06')}").program) == 2
    )


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1.5", "line 3: 1.5 is of type float"),
        ("None", "is of type NoneType"),
        ("", "line 3 is empty"),
        ("(1", "too many in the value of {{…}} on line 3"),
    ],
)
def test_values_that_are_no_numbers_are_refused(
    shell: InteractiveShell, expression: str, words: str
) -> None:
    with pytest.raises(BpfError) as caught:
        run(shell, f"%%bpf\n ld #1\n ret #{{{{{expression}}}}}")
    assert words in str(caught.value)


def test_a_typo_shows_one_message_with_the_cell_s_line_and_a_caret(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssemblyError) as caught:
        run(shell, "%%bpf\n    ldh [12]\n    jeqq #0x800, yes\nyes: ret #0")
    assert (caught.value.line, caught.value.column) == (3, 5)
    shown = capsys.readouterr().out
    assert "AssemblyError: line 3, column 5:" in shown
    assert "\n        jeqq #0x800, yes\n        ^^^^\n" in shown
    assert "did you mean jeq?" in shown
    assert "Traceback" not in shown
    assert "magics.py" not in shown


@pytest.mark.parametrize("dialect", ["tcpdump", "c", "decimal", "xt_bpf"])
def test_lines_are_the_cell_s_own_in_every_dialect(shell: InteractiveShell, dialect: str) -> None:
    good = run(shell, "%bpf icmp").program.text(dialect)
    last = good.rindex("0")
    with pytest.raises(AssemblyError) as caught:
        run(shell, f"%%bpf\n{good[:last]}zzz{good[last + 1 :]}")
    assert caught.value.line == good.count("\n") + 2


def test_a_source_line_s_number_is_the_cell_s_own(shell: InteractiveShell) -> None:
    program = run(shell, "%%bpf\n\n ld #1\n ret a").program
    assert [line.number for line in program.lines] == [3, 4]


def test_libpcap_s_refusal_has_its_words_and_a_caret(shell: InteractiveShell) -> None:
    with pytest.raises(ExpressionError, match="syntax error") as caught:
        run(shell, "%bpf tcp prot 80")
    assert "    tcp prot 80\n        ^" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("-p p --why 2 icmp", "--why=2"),
        ("-p p --show bytes why icmp", "--show bytes,why"),
        ("icmp -p p", "%bpf -p … icmp"),
        ("icmp --cfg", "%bpf --cfg icmp"),
        ("-p p ldh [12]", "begins with %%bpf"),
        ("icpm", "did you mean icmp?"),
    ],
)
def test_a_slip_in_the_options_is_told_from_a_mistake_in_the_expression(
    shell: InteractiveShell, line: str, cure: str
) -> None:
    shell.user_ns["p"] = [bytes(60)]
    with pytest.raises(ExpressionError) as caught:
        run(shell, f"%bpf {line}")
    assert cure in caught.value.hint


def test_an_expression_in_a_cell_s_body_is_called_one(shell: InteractiveShell) -> None:
    with pytest.raises(AssemblyError, match="this is a filter expression") as caught:
        run(shell, "%%bpf\nudp port 53")
    assert (caught.value.line, "%bpf udp port 53" in caught.value.hint) == (2, True)
    with pytest.raises(AssemblyError, match="no instruction 'ldq'"):
        run(shell, "%%bpf\nldq [12]")


def test_mistakes_in_the_user_s_python_show_the_user_s_frames(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NameError):
        run(shell, "%bpf -p nosuch icmp")
    shown = capsys.readouterr().out
    assert "NameError: name 'nosuch' is not defined" in shown
    assert "----> 1 nosuch" in shown
    assert "magics.py" not in shown
    with pytest.raises(SyntaxError):
        run(shell, "%bpf -p [1,,2] icmp")
    with pytest.raises(ZeroDivisionError):
        run(shell, "%%bpf\n ret #{{1 // 0}}")


@pytest.mark.parametrize("value", ["3", "None", "object()", "[1, 2]"])
def test_what_is_no_packet_is_refused_with_a_sentence(shell: InteractiveShell, value: str) -> None:
    with pytest.raises(PacketError):
        run(shell, f"%bpf -p {value} icmp")


def test_the_link_type_is_y_else_the_packets_else_ethernet(shell: InteractiveShell) -> None:
    assert run(shell, "%bpf icmp").program.linktype == 1
    assert run(shell, "%bpf -i any icmp").program.linktype == 276
    assert run(shell, "%bpf -y RAW icmp").program.linktype == 101
    raw = run(shell, "%bpf -p ip/ICMP() icmp")
    assert raw.program.linktype == 101
    assert raw.rets.tolist() == [262144]
    assert run(shell, "%bpf -i any -p pkts icmp").program.linktype == 1
    assert run(shell, "%%bpf\n ret #0").program.linktype is None
    assert run(shell, "%%bpf -y RAW\n ret #0").program.linktype == 101


def test_another_link_type_is_refused_unless_asked(shell: InteractiveShell) -> None:
    with pytest.raises(LinktypeError, match="--any-linktype"):
        run(shell, "%bpf -y RAW -p pkts icmp")
    assert run(shell, "%bpf -y RAW --any-linktype -p pkts icmp").rets.tolist() == [0, 0, 0]


def test_ignored_flags_are_named_in_one_line(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%bpf tcpdump -nnv -c 5 icmp"))
    assert shown.startswith(f"{ICMP}\n\n")
    assert shown.splitlines()[-1].endswith(": -n, -v, -c 5")


def test_no_escape_sequence_of_a_line_is_shown(shell: InteractiveShell) -> None:
    result = shell.run_line_magic("bpf", "-i \x1b[31meth0 icmp")
    assert "eth0" in str(result)
    assert "\x1b" not in str(result) + result._repr_html_()


def test_no_escape_sequence_of_a_file_s_name_is_shown(shell: InteractiveShell) -> None:
    with pytest.raises(PacketError, match="there is no such file") as caught:
        shell.run_line_magic("bpf", "-r \x1b[2Jx.pcap icmp")
    assert "\x1b" not in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(shell: InteractiveShell, tmp_path: Path) -> None:
    path = tmp_path / "filter.txt"
    path.write_text("icmp\n", encoding="utf-8-sig")
    assert str(shell.run_line_magic("bpf", f"-F {path}")) == ICMP


def test_an_open_comment_hides_no_braces(shell: InteractiveShell) -> None:
    body = "/* {{1/0}} */ ret #{{7}} ; {{1/0}} */\n"
    assert shell.run_cell_magic("bpf", "", body).program.insns[0].k == 7
    with pytest.raises(AssemblyError):
        shell.run_cell_magic("bpf", "", "/* {{7}}\n" * 30_000)


def test_expressions_and_programs_come_from_files(shell: InteractiveShell, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("# pings\nicmp # and\n or arp\n")
    (tmp_path / "f.bpf").write_text(
        "/* ARP */ ldh [12]\n jeq #0x806, yes, no\nyes: ret #1\nno: ret #0\n"
    )
    both = run(shell, "%bpf icmp or arp").program
    assert run(shell, f"%bpf -F {tmp_path}/f.txt").program == both
    assert len(run(shell, f"%bpf -F {tmp_path}/f.bpf").program) == 4
    assert len(run(shell, f"%%bpf -F {tmp_path}/f.bpf\n\n").program) == 4
    with pytest.raises(BpfError, match="cannot be read"):
        run(shell, f"%bpf -F {tmp_path}/nothing")


@pytest.mark.parametrize(
    "cell",
    [
        "%bpf --lsting icmp",
        "%bpf -p",
        "%%bpf icmp\nret #0",
        "%%bpf -F x\nret #0",
        "%bpf -F x icmp",
        "%bpf --trace icmp",
    ],
)
def test_wrong_options_are_usage_errors(shell: InteractiveShell, cell: str) -> None:
    with pytest.raises(UsageError):
        run(shell, cell)


def test_a_name_in_braces_on_the_line_is_ipython_s_own(shell: InteractiveShell) -> None:
    assert run(shell, "%bpf tcp port {port}").program == run(shell, "%bpf tcp port 80").program
    assert run(shell, "%bpf tcp port $port").program == run(shell, "%bpf tcp port 80").program


def test_versions_are_said_on_request(shell: InteractiveShell) -> None:
    shown = text(run(shell, "%bpf --version"))
    assert shown.startswith("bpfnb ")
    assert "libpcap" in shown


def test_no_packets_at_all_are_fine(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf -p [] icmp")
    assert result.rets.tolist() == []
    assert text(result).startswith("0 of 0 packets accepted")


def test_what_needs_a_run_says_so(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf icmp")
    for name in ("rets", "accepted", "traces", "verdicts"):
        with pytest.raises(BpfError, match="-p"):
            getattr(result, name)


def test_the_help_has_every_option_and_examples(shell: InteractiveShell) -> None:
    magic = shell.find_line_magic("bpf")
    assert magic is not None
    words = magic.__doc__ or ""
    for flag in (
        "--packets",
        "--on",
        "--show",
        "--bytes[=N]",
        "--trace[=N]",
        "--time",
        "--quiet",
        "-F FILE",
        "-O",
    ):
        assert flag in words
    assert "%bpf tcpdump -nn -r wire.pcap port 80" in words


def test_registering_again_changes_nothing(shell: InteractiveShell) -> None:
    assert shell.Completer is not None
    before = len(shell.Completer.custom_matchers)
    register(shell)
    register(shell)
    assert len(shell.Completer.custom_matchers) == before
    assert text(run(shell, "%bpf icmp")) == ICMP


def test_outputs_are_the_same_each_time(shell: InteractiveShell) -> None:
    cell = (
        "%bpf -p pkts --show verdicts,listing,cfg,bytes,trace,log,why,explain,asm,native,pygen icmp"
    )
    first, second = run(shell, cell), run(shell, cell)
    assert first._repr_mimebundle_() == second._repr_mimebundle_()


def test_what_packets_say_is_escaped(shell: InteractiveShell) -> None:
    run(shell, "from scapy.packet import Raw\nevil = ether/ip/UDP(dport=80)/Raw(b'<script>')")
    html = run(
        shell, "%bpf -p evil --show verdicts,listing,cfg,bytes,trace,log,why,explain udp"
    )._repr_html_()
    assert "<script" not in html
    assert "<script" not in run(shell, "%bpf --show listing ether host 02:00:00:00:00:01").html()


def test_many_packets_keep_a_row_for_the_first_ones_only(shell: InteractiveShell) -> None:
    result = run(shell, "%bpf -p [bytes(p) for p in pkts]*1000 icmp")
    assert len(result.rets) == 3000
    assert len(result.verdicts.rows) == runs.ROWS
    assert result.verdicts.accepted_count == 1000
    assert result.run.hits.pcs[4] == 1000
    assert text(result).startswith("1,000 of 3,000 packets accepted")
    assert "and 2,980 more packets" in text(result)


def test_native_counts_what_many_packets_do(shell: InteractiveShell) -> None:
    """So many that our machine does not walk them: the listing has native's counts."""
    asked = f"-p [bytes(p) for p in pkts]*{MANY // 3 + 1}"
    result = run(shell, f"%bpf {asked} --on native tcp port 80 or icmp")
    walked = run(shell, f"%bpf {asked} --on interp tcp port 80 or icmp")
    assert list(result.by_backend) == ["native"]
    assert result.run.hits == walked.run.hits
    assert (result.rets == walked.rets).all()
    assert result.verdicts.rows == walked.verdicts.rows


LAZY = """
import sys
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance().run_line_magic("load_ext", "bpfnb")
heavy = ("numpy", "scapy", "matplotlib", "libpcap", "tqdm", "llvmlite", "anywidget", "ipywidgets")
print([name for name in heavy if name in sys.modules])
"""
NOT_ASKED = """
str(InteractiveShell.instance().run_line_magic("bpf", "--show listing,pygen icmp"))
print("llvmlite" in sys.modules)
str(InteractiveShell.instance().run_line_magic("bpf", "--show native icmp"))
print("llvmlite" in sys.modules)
"""


def test_loading_the_extension_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(find_spec("llvmlite") is None, reason="native code needs llvmlite")
def test_llvmlite_is_imported_when_native_is_asked_for() -> None:
    script = LAZY + NOT_ASKED
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "False", "True"]


def test_packets_of_link_type_0_are_not_taken_for_ethernet(shell: InteractiveShell) -> None:
    run(
        shell,
        "from bpfnb import Packet\nloop = [Packet(b'\\2\\0\\0\\0' + bytes(ip/ICMP()), linktype=0)]",
    )
    result = run(shell, "%bpf -p loop icmp")
    assert result.program.linktype == 0
    assert (result.rets != 0).tolist() == [True]
