"""What is odd about a program: remarks that are proved, each with its reason and a cure.

    lint(program).remarks

What the graph shows needs nothing; the rest is asked of z3 where runs on made packets have
not shown the opposite, within a time.  Nothing is said that is not certain.  Without z3
the report has what the graph shows, and says that it is no more.

Left out: what the checker refuses (CheckError), and laying it out (`views.lint`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bpfnb.analysis.linting.liveness import reached_by_jumps
from bpfnb.analysis.linting.remarks import KINDS, Remark, Report
from bpfnb.analysis.linting.structural import single_target, unreachable, unset, unused
from bpfnb.analysis.naming.names import rests_on
from bpfnb.cbpf.checker import require
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError, UndecidedError

if TYPE_CHECKING:
    from bpfnb.analysis.linting.proofs import Proofs

__all__ = ["LONGEST", "SECONDS", "lint"]

LONGEST = 262_144  # bytes of a packet: what tcpdump takes of one
SECONDS = 10.0
NAMED = re.compile(r"\b[A-Z]\w*\.[a-z]")  # IP.proto
ORDER = list(KINDS)
BESIDE_UNUSED = ("repeated_load", "no_effect", "always_ends")  # these say it better


def lint(
    program: Program,
    linktype: int | None = None,
    rules: str = "linux",
    seconds: float = SECONDS,
    max_len: int = LONGEST,
) -> Report:
    """All remarks on a legal program; CheckError for another.

    `linktype` is that of its packets, for a program that has none of its own; names rest
    on it.  What is not decided within `seconds` is not said, and the report says so.

    >>> rows = [(0x30, 0, 0, 14), (0x15, 0, 1, 300), (6, 0, 0, 96), (6, 0, 0, 0)]
    >>> lint(Program.from_insns(rows)).remarks[1].message
    'never true: byte 14 is at most 255'
    """
    require(program, rules)
    linktype = program.linktype if program.linktype is not None else linktype
    found: list[Remark] = []
    try:
        undecided = proved(found, program, linktype, rules, seconds, max_len)
    except UnavailableError as error:
        found = structural(program, rules, None)
        undecided = f"only what the graph shows: {error.message} ({error.hint})"
    shown = ordered(found)
    named = any(NAMED.search(each.message) for each in shown)
    return Report(program, shown, undecided, rules, max_len, rests_on(linktype) if named else "")


def proved(
    found: list[Remark],
    program: Program,
    linktype: int | None,
    rules: str,
    seconds: float,
    max_len: int,
) -> str:
    """Remarks into `found`, as far as time goes; what was left open, "" for nothing."""
    from bpfnb.analysis.linting.proofs import Proofs

    try:
        proofs = Proofs(program, rules, seconds, max_len)
    except UndecidedError as error:
        found += structural(program, rules, None)
        return error.message
    found += structural(program, rules, proofs)
    try:
        for remarks in questions(proofs, linktype):
            found += remarks
            if proofs.late:
                break
    except UndecidedError as error:
        return error.message
    return proofs.left_open


def structural(program: Program, rules: str, proofs: Proofs | None) -> list[Remark]:
    """What the graph shows; sharper where `proofs` has found more."""
    reached, certain = reached_by_jumps(program), frozenset[int]()
    if proofs is not None:
        reached = frozenset(pc for pc, here in enumerate(proofs.reached) if here)
        loads = [pc for pc in proofs.meaning.passes if pc in reached]
        certain = frozenset(pc for pc in loads if proofs.always_passes(pc))
    return [
        *unreachable(program, reached),
        *single_target(program),
        *unused(program, rules, certain),
        *unset(program, rules),
    ]


def questions(proofs: Proofs, linktype: int | None) -> Iterable[Iterable[Remark]]:
    """What is asked of z3, the most useful first."""
    from bpfnb.analysis.linting import endings, idle, one_way
    from bpfnb.analysis.linting.findings import Findings

    findings = Findings(proofs.program, linktype, proofs.rules)
    yield one_way.one_way(proofs, findings)
    yield one_way.always_ends(proofs, findings)
    yield endings.all_alike(proofs, findings)
    yield endings.kept(proofs)
    yield idle.swapped(proofs, findings)
    yield idle.wide(proofs)
    yield idle.idle(proofs, findings)
    yield idle.needless(proofs)


def ordered(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """The whole program's first, then by instruction; what says the same twice only once."""
    remarks = list(remarks)
    unreached = {pc for each in remarks if each.kind == "unreachable" for pc in each.pcs}
    odd = {each.pc for each in remarks if each.kind in BESIDE_UNUSED}
    alike = any(each.kind in ("rejects_all", "accepts_all") for each in remarks)
    shown = [
        each
        for each in remarks
        if not (each.kind != "unreachable" and each.pc in unreached)
        and not (each.kind == "unused" and each.pc in odd)
        and not (each.kind == "needless_test" and alike)
    ]
    return tuple(
        sorted(shown, key=lambda each: (-1 if each.pc is None else each.pc, ORDER.index(each.kind)))
    )
