"""The case files: each runs on our machine and, where it can, on the running kernel.

    a line or two on what it shows
    -- asm             a program, in any dialect
    -- packet          bytes in hex; then, each for this packet alone:
    -- wirelen         the length on the wire, where it is not the packet's
    -- ancillary       notes of the kernel, `name = value`
    -- ret             what the program returns; another packet may follow
    -- reject RULE     or, in place of packets: the checker's rule that it breaks
    -- byteorder       little or big, where the packet is one machine's own

A case with a wire length or notes of its own runs on our machine alone: a
socket pair has neither.  `test_extensions` asks the kernel about those.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from bpfnb.cbpf.ancillary import BY_K, EXTENSIONS, UNIX_SOCKET, Ancillary
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.checker import RULES, check
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.opcodes import OPCODES, Form
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.linux.probe import attempt, socket_filters
from bpfnb.linux.readout import rets
from bpfnb.linux.sockfilter import accepts, verdicts

FOLDER = Path(__file__).with_name("cases")
HERE = attempt("socket filters", socket_filters)
on_the_kernel = pytest.mark.skipif(not HERE.works, reason=f"socket filters: {HERE.reason}")


@dataclass(frozen=True)
class Example:
    """One packet, and what the program returns for it."""

    data: bytes
    ret: int
    wirelen: int | None = None
    ancillary: Ancillary = UNIX_SOCKET

    @property
    def plain(self) -> bool:
        """True when a packet sent over a socket pair is no different."""
        return self.wirelen is None and self.ancillary == UNIX_SOCKET


@dataclass(frozen=True)
class Case:
    """A case file."""

    name: str
    program: Program
    rule: str | None = None
    examples: tuple[Example, ...] = ()
    byteorder: str = sys.byteorder


class CaseError(Exception):
    """A case file that cannot be read."""


@dataclass
class Reader:
    """Reads the sections of one file, in order."""

    name: str
    text: str = ""
    rule: str | None = None
    byteorder: str = sys.byteorder
    examples: list[Example] = field(default_factory=list)
    packet: dict[str, str] = field(default_factory=dict)

    def section(self, head: str, body: str) -> None:
        kind, _, rest = head.partition(" ")
        if kind == "asm":
            self.text = body
        elif kind == "reject":
            self.rule = rest
        elif kind == "byteorder":
            self.byteorder = body.strip()
        elif kind in ("packet", "wirelen", "ancillary"):
            self.packet[kind] = body
        elif kind == "ret":
            self.examples.append(self.example(int(body, 0)))
            self.packet = {}
        else:
            raise CaseError(f"{self.name}: there is no section {head!r}")

    def example(self, ret: int) -> Example:
        given = self.packet
        if "packet" not in given:
            raise CaseError(f"{self.name}: -- ret without -- packet")
        wirelen = int(given["wirelen"], 0) if "wirelen" in given else None
        rows = [row.partition("=") for row in given.get("ancillary", "").splitlines() if row]
        notes = {name.strip(): int(value, 0) for name, _, value in rows}
        return Example(bytes.fromhex(given["packet"]), ret, wirelen, Ancillary(**notes))  # type: ignore[arg-type]

    def case(self) -> Case:
        if not self.text or bool(self.examples) == bool(self.rule) or self.packet:
            raise CaseError(f"{self.name}: a program, and either packets with rets or a rule")
        program = assemble(self.text)
        return Case(self.name, program, self.rule, tuple(self.examples), self.byteorder)


def read(path: Path, folder: Path = FOLDER) -> Case:
    """Read a case file."""
    reader = Reader(path.relative_to(folder).with_suffix("").as_posix())
    for part in ("\n" + path.read_text(encoding="utf-8")).split("\n-- ")[1:]:
        head, _, body = part.partition("\n")
        reader.section(head.strip(), body)
    return reader.case()


CASES = [read(path) for path in sorted(FOLDER.rglob("*.case"))]
RUN = [case for case in CASES if case.rule is None]
REFUSED = [case for case in CASES if case.rule is not None]


def named(cases: list[Case]) -> list[object]:
    """Parameters, one a case; of those for the other byte order skipped ones."""
    reason = "the packet is in another machine's byte order, not in {}-endian"
    return [
        pytest.param(
            case,
            id=case.name,
            marks=pytest.mark.skipif(
                case.byteorder != sys.byteorder, reason=reason.format(sys.byteorder)
            ),
        )
        for case in cases
    ]


@pytest.mark.parametrize("case", named(RUN))
def test_our_machine_returns_it(case: Case) -> None:
    assert check(case.program) == ()
    for each in case.examples:
        assert run(case.program, each.data, each.wirelen, each.ancillary) == each.ret
        assert trace(case.program, each.data, each.wirelen, each.ancillary).ret == each.ret


@on_the_kernel
@pytest.mark.parametrize("case", named([c for c in RUN if any(e.plain for e in c.examples)]))
def test_the_kernel_returns_it(case: Case) -> None:
    plain = [each for each in case.examples if each.plain]
    packets = [each.data for each in plain]
    lengths = [min(each.ret, len(each.data)) for each in plain]
    assert verdicts(case.program, packets) == lengths
    if len(case.program) < 4096:  # the longest leaves no room for reading all bits
        assert rets(case.program, packets) == [each.ret for each in plain]


@pytest.mark.parametrize("case", named(REFUSED))
def test_our_checker_names_the_rule(case: Case) -> None:
    faults = check(case.program)
    assert case.rule in {fault.rule for fault in faults}
    assert all(fault.message for fault in faults)


@on_the_kernel
@pytest.mark.parametrize("case", named(REFUSED))
def test_the_kernel_refuses_it(case: Case) -> None:
    assert accepts(case.program).errno == errno.EINVAL


def executed() -> Iterator[tuple[Case, int]]:
    """Every instruction that some case executes, as (case, pc)."""
    for case in RUN:
        for each in case.examples:
            for pc in trace(case.program, each.data, each.wirelen, each.ancillary).path:
                yield case, pc


def test_every_opcode_has_a_case() -> None:
    codes = {case.program.insns[pc].code for case, pc in executed()}
    assert [row.name for row in OPCODES if row.code not in codes] == []


def test_every_extension_has_a_case() -> None:
    absolute = {row.code for row in OPCODES if row.form is Form.ABS}
    insns = [case.program.insns[pc] for case, pc in executed()]
    read_ones = {BY_K[i.k].name for i in insns if i.code in absolute and i.k in BY_K}
    assert [row.name for row in EXTENSIONS if row.name not in read_ones] == []


def test_every_rule_has_a_case_that_breaks_it_alone() -> None:
    alone = {case.rule for case in REFUSED if {f.rule for f in check(case.program)} == {case.rule}}
    assert {rule.__name__ for rule in RULES["linux"]} <= alone


def test_every_note_stands_in_a_case() -> None:
    notes = [each.ancillary for case in RUN for each in case.examples]
    usual = {f.name for f in fields(Ancillary) if f.name != "random"}
    assert {
        n for n in usual if all(getattr(a, n) == getattr(UNIX_SOCKET, n) for a in notes)
    } == set()


@pytest.mark.parametrize(
    "text",
    [
        "-- asm\nret #0\n",
        "-- asm\nret #0\n-- ret\n1\n",
        "-- asm\nret #0\n-- packet\n00\n",
        "-- packet\n00\n-- ret\n1\n",
        "-- asm\nret #0\n-- weather\nfine\n",
        "-- asm\nret #0\n-- packet\n00\n-- ret\n0\n-- reject length\n",
    ],
)
def test_a_broken_case_file_is_not_passed_over(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.case"
    path.write_text(text)
    with pytest.raises(CaseError):
        read(path, tmp_path)
