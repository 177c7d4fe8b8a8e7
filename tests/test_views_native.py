"""A program beside LLVM's text and the processor's code, and as Python: what stands where."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import time
from html import unescape
from pathlib import Path

import pytest

import bpfnb as bpf
from bpfnb import jit
from bpfnb.backends import python_source
from bpfnb.backends.flow import choices, reached
from bpfnb.backends.llvm_module import located_module
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.disasm import line as listed
from bpfnb.cbpf.program import Program
from bpfnb.views.code import PythonCode
from bpfnb.views.located import Line, assembly, ir_lines
from bpfnb.views.native import MOST, NativeCode

needs_llvmlite = pytest.mark.skipif(not jit.works(), reason="native code needs llvmlite")
on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64's code")

DIVIDES = """
        ld [20]
        ldx #3
        div x
        st M[2]
        ldb [x + 14]
        ldx M[2]
        div x
        ja on
        ret #9
on:     ret a"""

# Each number stands in one instruction alone, so that its code can be told by it.
NUMBERS = """
        ld [0]
        jeq #0x12345678, one, a
a:      ld [40]
        jgt #0x23456789, two, b
b:      ldx #len
        ldh [x + 600]
        add #31234
        mul x
        jge #0x3456789a, three, no
one:    ret #11111
two:    ret #22222
three:  ret a
no:     ret #0"""

PROGRAMS = {
    "icmp": bpf.compile_filter("icmp"),
    "a port": bpf.compile_filter("tcp port 80"),
    "a host": bpf.compile_filter("host 192.0.2.1"),
    "ports": bpf.compile_filter("tcp port 80 or 443 or 8080"),
    "division": bpf.assemble(DIVIDES),
    "numbers": bpf.assemble(NUMBERS),
    "extensions": bpf.assemble("ld #rand\nadd x\nld ifidx\nret a"),
    "a table": bpf.assemble(
        "ldb [0]\n"
        + "".join(f"jeq #{k}, y{k}, n{k}\ny{k}: ret #{k * 7 % 13}\nn{k}:" for k in range(12))
        + "ret #99"
    ),
    "one ret": bpf.assemble("ret #7"),
}
LONG = Program.from_insns(
    [(0x28, 0, 0, at % 1500) if at % 2 == 0 else (0x15, 0, 1, at) for at in range(4094)]
    + [(6, 0, 0, 1), (6, 0, 0, 0)]
)


@pytest.fixture(params=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> bpf.Program:
    return PROGRAMS[request.param]


def blocks(text: str) -> dict[int, list[str]]:
    """The text's lines under each instruction, up to what belongs to none."""
    found: dict[int, list[str]] = {}
    pc: int | None = None
    for line in text.splitlines():
        if head := re.match(r"\((\d+)\) ", line):
            pc = int(head[1])
            found[pc] = [line]
        elif re.match(r"( {4}shared|entry|reject|tables|…)", line):
            pc = None
        elif pc is not None:
            found[pc].append(line)
    return found


def words(html: str) -> str:
    """What some HTML says."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def shown_code(view: NativeCode) -> list[Line]:
    """The processor's lines as the view has sorted them."""
    groups = view.groups
    return [
        *groups.entry.code,
        *(line for group in groups.at for line in (*group.code, *group.shared)),
    ]


def test_each_instruction_stands_with_its_line_of_the_listing(program: bpf.Program) -> None:
    found = blocks(program.native().text())
    assert list(found) == list(range(len(program)))
    for pc, insn in enumerate(program.insns):
        head = f"({pc:03d}) {listed(insn, pc)}".expandtabs().rstrip()
        assert found[pc][0].startswith(head)


def test_llvms_text_stands_with_its_instruction_and_all_of_it_is_there(
    program: bpf.Program,
) -> None:
    groups = NativeCode(program).groups
    ways = reached(program, choices(program))
    for pc in range(len(program)):
        lines = [line.text for line in groups.at[pc].ir]
        if not ways[pc]:
            assert lines == []
        else:
            assert lines[0] == f"pc{pc}:"
            assert not any(re.fullmatch(r"pc\d+:", line) for line in lines[1:])
    together = [*groups.entry.ir, *(line for at in groups.at for line in at.ir), *groups.out.ir]
    body = located_module(program).split("{\n", 1)[1].split("\n}", 1)[0].splitlines()
    assert len(together) == len(body)
    for line, whole in zip(together, body, strict=True):
        assert whole.strip().startswith(line.text)
        assert not re.search(r"!\w+ !\d", line.text)


def test_an_instruction_without_code_says_why() -> None:
    unreachable = blocks(PROGRAMS["division"].native().text())
    assert unreachable[8] == ["(008) ret      #9   nothing leads here"]
    assert "nothing leads here" in PROGRAMS["division"].native().html()
    ports = PROGRAMS["ports"].native()
    joined = {pc: rows for pc, rows in blocks(ports.text()).items() if "asked together" in rows[0]}
    assert joined
    for pc, rows in joined.items():
        assert len(rows) == 1
        (first,) = re.findall(r"asked together with \((\d+)\)", rows[0])
        assert ports.program.insns[int(first)].code == ports.program.insns[pc].code
        assert len(blocks(ports.text())[int(first)]) > 1


@needs_llvmlite
def test_the_processors_code_is_all_there_once_and_numbered(program: bpf.Program) -> None:
    view = program.native()
    numbers = [line.number for line in shown_code(view) if line.number]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    for group in view.groups.at:
        ordered = [line.number for line in group.code if line.number]
        assert ordered == sorted(ordered)


@needs_llvmlite
def test_labels_are_those_that_are_jumped_to(program: bpf.Program) -> None:
    view = program.native()
    code = shown_code(view)
    heads = {line.text.removesuffix(":") for line in code if not line.number}
    tables = [] if isinstance(view.made, str) else view.made.tables
    text = "\n".join([*(line.text for line in code if line.number), *tables])
    assert all(re.search(rf"{re.escape(head)}\b(?!:)", text) for head in heads)
    assert not any("tmp" in head or "func" in head for head in heads)
    named = set(re.findall(r"\.LBB\w+", text))
    assert named == {head for head in heads if head.startswith(".LBB")}


@needs_llvmlite
@on_x86_64
@pytest.mark.parametrize(
    ("pc", "number"),
    [
        (1, int.from_bytes((0x12345678).to_bytes(4, "big"), "little")),
        (3, 0x23456789),
        (5, 600),
        (6, 31234),
        (8, 0x3456789A),
    ],
)
def test_a_constant_is_found_in_the_code_of_its_instruction(pc: int, number: int) -> None:
    groups = PROGRAMS["numbers"].native().groups
    having = [
        at
        for at, group in enumerate(groups.at)
        if any(re.search(rf"\b{number}\b", line.text) for line in group.code)
    ]
    assert having == [pc]


@needs_llvmlite
@on_x86_64
def test_the_code_of_icmp_stands_beside_what_it_came_from() -> None:
    found = blocks(PROGRAMS["icmp"].native().text())
    assert re.search(r"%v1 = icmp uge i64 %len, 14 .*\d+ +jb +\.LBB", "\n".join(found[0]))
    assert "12(%rdi)" in "\n".join(found[1])
    assert "23(%rdi)" in "\n".join(found[3])
    assert "call i16 @llvm.bswap.i16" in "\n".join(found[0])


@needs_llvmlite
@on_x86_64
@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs the objdump binary")
def test_instructions_and_bytes_are_as_many_as_objdump_finds(
    program: bpf.Program, tmp_path: Path
) -> None:
    import llvmlite.binding as llvm

    view = program.native()
    code = jit.compile_ir(view.module)
    triple = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = triple.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    path = tmp_path / "filter.o"
    path.write_bytes(machine.emit_object(llvm.parse_assembly(code.ir)))
    done = subprocess.run(["objdump", "-d", path], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines() if re.match(r" +\w+:\t", line)]
    count = sum(len(row) > 2 for row in rows)
    size = sum(len(row[1].split()) for row in rows)
    assert view.answer().endswith(f", {count} of x86-64: {size} bytes")


def test_the_answer_counts_what_is_shown() -> None:
    view = PROGRAMS["icmp"].native()
    assert view.answer().startswith("6 instructions of BPF, 30 of LLVM")
    assert view.text().splitlines()[0] == view.answer()
    assert words(view.html()).startswith(view.answer())


def test_text_fits_a_hundred_columns(program: bpf.Program) -> None:
    assert max(map(len, program.native().text().splitlines())) <= 100


def test_html_says_what_the_text_says(program: bpf.Program) -> None:
    view = program.native()
    said = "".join(words(view.html()).split())
    for group in view.groups.at:
        for line in group.code:
            assert "".join(line.text.split()) in said
    for pc, insn in enumerate(program.insns):
        assert "".join(listed(insn, pc).split()) in said


def test_html_folds_after_twenty_instructions_and_says_how_many() -> None:
    short, longer = PROGRAMS["a port"].native(), PROGRAMS["ports"].native()
    assert "more instruction" not in short.html()
    assert "6 more instructions" in longer.html()
    assert longer.html().count("overflow-x:auto") == 1


@needs_llvmlite
def test_the_optimised_text_is_folded_under_the_table_with_its_pcs() -> None:
    html = PROGRAMS["icmp"].native().html()
    folded = html[html.rindex("<details>") :]
    assert "LLVM IR after optimisation, 15 instructions" in folded
    assert "%v4 = load i16" in words(folded)
    assert "alloca" not in folded
    assert "!dbg" not in html


@needs_llvmlite
@on_x86_64
def test_tables_that_the_code_reads_stand_under_it() -> None:
    view = PROGRAMS["a table"].native()
    tables = view.text().split("\ntables\n")[1]
    assert ", ".join(str(k * 7 % 13) for k in range(12)) in tables
    (name,) = re.findall(r"^ +(\S+):$", tables, re.M)
    assert name in view.text().split("\ntables\n")[0]
    assert name in words(view.html())


def test_markup_in_labels_and_lines_and_origin_stays_text() -> None:
    evil = "<script>alert(1)</script>"
    program = Program(
        PROGRAMS["icmp"].insns,
        {evil: 4},
        tuple(bpf.assemble("ret #1 ; " + evil).lines * 6),
        origin=evil,
    )
    for view in (NativeCode(program), PythonCode(program)):
        assert "<script" not in view.html()
        assert evil not in view.text()
    assert evil in words(NativeCode(program).html())
    assert all(
        char.isprintable() or char in "\n\N{NO-BREAK SPACE}"
        for char in NativeCode(Program(program.insns, {"\x1b[2J": 4})).html()
    )


@pytest.mark.parametrize("kind", [NativeCode, PythonCode])
@pytest.mark.parametrize(
    "rows",
    [[], [(6, 9, 0, 0), (0xFF, 0, 0, 0)], [(0x60, 0, 0, 3), (0x16, 0, 0, 0)], [(5, 0, 0, 9)]],
)
def test_a_program_that_fails_its_check_has_no_code_and_says_so(
    kind: type[NativeCode | PythonCode], rows: list[tuple[int, int, int, int]]
) -> None:
    bad = Program.from_insns(rows)
    first = check(bad)[0]
    for view in (kind(bad), kind(bad, "libpcap")):
        (line,) = view.text().splitlines()
        assert line.startswith("✗ no ")
        assert f"first {first.rule} at ({first.pc:03d})" in line or "libpcap" in line
        assert words(view.html()) == line


def test_what_another_rule_set_refuses_has_no_code_either() -> None:
    program = bpf.assemble("ld #rand\nret a")
    refused = check(program, "libpcap")
    assert check(program) == ()
    said = NativeCode(program, "libpcap").text()
    assert ("libpcap finds" in said) is bool(refused)


def test_long_programs_show_their_first_instructions_and_say_so() -> None:
    begun = time.monotonic()
    view = NativeCode(LONG)
    text, html = view.text(), view.html()
    assert time.monotonic() - begun < 30
    assert len(blocks(text)) == MOST
    assert text.splitlines()[-1] == f"… {4096 - MOST:,} instructions behind these not shown"
    assert f"{MOST - 20} more instructions" in html
    assert f"{4096 - MOST:,} instructions behind these not shown" in html
    assert len(text) < 500_000
    assert len(html) < 1_500_000


def test_python_is_what_pygen_runs_and_nothing_else(program: bpf.Program) -> None:
    view = program.pygen()
    assert view.text() == python_source.source(program)
    compile(view.text(), "accepts", "exec")
    assert view.text() in words(view.html())


def test_long_python_folds_and_says_how_many_lines() -> None:
    view = PythonCode(LONG)
    lines = view.text().count("\n") + 1
    assert lines > 4000
    assert "940 more lines" in view.html()
    assert f"{lines - 1000:,} lines behind these not shown" in view.html()


def test_views_are_saved(tmp_path: Path) -> None:
    view = PROGRAMS["icmp"].native()
    assert view.save(tmp_path / "x.txt").read_text() == f"{view}\n"
    assert view.html() in view.save(tmp_path / "x.html").read_text()


SHOW = """
import bpfnb as bpf
for expression in ("icmp", "tcp port 80 or 443 or 8080", "host 192.0.2.1 and not port 22"):
    for view in (bpf.compile_filter(expression).native(), bpf.compile_filter(expression).pygen()):
        print(view.text())
        print(view.html())
"""


def test_two_processes_show_the_same() -> None:
    shown = [
        subprocess.run(
            [sys.executable, "-c", SHOW],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(bpf.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert len(shown[0]) > 10_000
    assert " at 0x" not in shown[0]


WITHOUT = """
import sys
sys.modules["llvmlite"] = None
import bpfnb as bpf
view = bpf.compile_filter("icmp").native()
print(view.text())
print("-----")
print(view.html())
print("-----")
print(bpf.compile_filter("icmp").pygen().text())
"""


def test_without_llvmlite_a_line_says_what_is_missing_and_the_rest_is_shown() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.stderr == ""
    text, html, python = done.stdout.split("-----\n")
    lines = text.splitlines()
    assert lines[0] == "6 instructions of BPF, 30 of LLVM"
    assert lines[1].startswith("⚠ llvmlite is not installed (pip install 'bpfnb[native]')")
    assert "llvmlite is not installed" in html
    found = blocks(text)
    assert list(found) == list(range(6))
    assert "%v1 = icmp uge i64 %len, 14" in found[0][2]
    assert "after optimisation" not in html
    assert python.startswith("def accepts(")


MODULE = """
; ModuleID = 'x'
define i32 @filter(ptr %P) !dbg !3 {
pc0:
  %v1 = icmp eq ptr %P, null, !dbg !6
  br i1 %v1, label %on2, label %out, !dbg !6, !prof !7

on2:                                              ; preds = %pc0
  switch i32 7, label %out [
    i32 1, label %on2
    i32 2, label %out
  ], !dbg !8

out:                                              ; preds = %pc0, %on2
  ret i32 0
}

declare i16 @llvm.bswap.i16(i16)
!6 = !DILocation(line: 1, scope: !3)
!8 = !DILocation(line: 4, scope: !3)
!9 = !DILocation(line: 0, scope: !3)
"""


def test_ir_keeps_its_lines_and_gives_labels_to_what_they_head() -> None:
    assert ir_lines(MODULE) == [
        Line("pc0:", 0),
        Line("%v1 = icmp eq ptr %P, null", 0, 1),
        Line("br i1 %v1, label %on2, label %out", 0, 2),
        Line("on2:", 3),
        Line("switch i32 7, label %out [ i32 1, label %on2 i32 2, label %out ]", 3, 3),
        Line("out:", None),
        Line("ret i32 0", None, 4),
    ]


ASSEMBLY = """
\t.file\t"<string>"
\t.section\t.rodata.cst16,"aM",@progbits,16
.LCPI0_0:
\t.long\t80
\t.long\t443
\t.zero\t8
.LCPI0_1:
\t.long\t1
\t.text
\t.globl\tfilter
filter:
.Lfunc_begin0:
\t.file\t1 "filter"
\t.loc\t1 0 0
\t.cfi_startproc
\tpushq\t%rbx
.Ltmp0:
\t.loc\t1 1 0 prologue_end
\tmovq\t.LCPI0_0(%rip), %rax
\tjb\t.LBB0_2
.LBB0_1:
\t.loc\t1 0 0 is_stmt 0
\tnop
\t.loc\t1 3 0 is_stmt 1
.LBB0_2:
\tjmpq\t*.LJTI0_0(,%rax,8)
.LBB0_3:
\tretq
.Lfunc_end0:
\t.size\tfilter, .Lfunc_end0-filter
\t.cfi_endproc
\t.section\t.rodata,"a",@progbits
.LJTI0_0:
\t.quad\t.LBB0_3
\t.section\t.debug_info,"",@progbits
.Lcu_begin0:
\t.long\t7
"""


@pytest.mark.parametrize("name", ["filter", "_filter"])  # macOS puts an underscore before names
def test_assembly_keeps_instructions_and_labels_in_use_and_tables_in_use(name: str) -> None:
    code, tables = assembly(ASSEMBLY.replace("\nfilter:", f"\n{name}:"))
    assert code == [
        Line("pushq  %rbx", None, 1),
        Line("movq   .LCPI0_0(%rip), %rax", 0, 2),
        Line("jb     .LBB0_2", 0, 3),
        Line("nop", None, 4),
        Line(".LBB0_2:", 2),
        Line("jmpq   *.LJTI0_0(,%rax,8)", 2, 5),
        Line(".LBB0_3:", 2),
        Line("retq", 2, 6),
    ]
    assert tables == [
        ".LCPI0_0:", ".long   80, 443", ".zero   8",
        ".LJTI0_0:", ".quad   .LBB0_3",
    ]  # fmt: skip


@needs_llvmlite
def test_reading_is_quick_enough_to_sit_in_a_page() -> None:
    text = jit.compile_ir(located_module(LONG)).assembly
    begun = time.monotonic()
    code, _ = assembly(text)
    assert time.monotonic() - begun < 5
    assert len(code) > 1000
