"""libpcap's optimised programs against its unoptimised ones: every pair is decided.

Where the two differ, `expressions/optimised.txt` has the expression, the shortest packet
and both verdicts; on packets on which neither ends in a load past the end they are proved
equal there too.  `python tests/test_optimiser.py` writes the file anew.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bpfnb.backends import run_many
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.program import Program
from bpfnb.errors import ExpressionError
from bpfnb.packets.packet import Packet, PacketBatch
from bpfnb.pcap import compile_filter, version
from tests.test_expressions import CORPUS, without_numbers

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.equivalence import Counterexample, Question, equivalent

FILE = Path(__file__).parent / "expressions" / "optimised.txt"
HEAD = """\
# Where libpcap's optimiser changes a filter's meaning, found by proof.
# {version}
# {pairs} expressions, no two alike but for a number, each with the optimiser and without
# (-O): {equal} pairs are proved equal on every packet, those below on every packet on which
# neither program ends in a load past the end.
# link type | expression | shortest packet | ret optimised | ret unoptimised
"""


@cache
def pairs() -> tuple[tuple[str, str, Program, Program], ...]:
    """Both programs of each expression that libpcap takes and that has no way back."""
    found = []
    for linktype, expression in CORPUS:
        try:
            optimised, plain = (
                compile_filter(expression, linktype, netmask=0, optimize=optimize)
                for optimize in (True, False)
            )
        except ExpressionError:
            continue
        if not check(optimised) and not check(plain):
            found.append((linktype, expression, optimised, plain))
    return tuple(found)


@cache
def decided() -> tuple[tuple[str, str, Counterexample | None, float], ...]:
    """The answer to each pair, and the seconds it took."""
    answers = []
    for linktype, expression, optimised, plain in pairs():
        begun = time.perf_counter()
        answer = equivalent(Question(optimised, plain), short=True)
        seconds = time.perf_counter() - begun
        found = answer if isinstance(answer, Counterexample) else None
        answers.append((linktype, expression, found, seconds))
    return tuple(answers)


def written() -> str:
    """The file as it should be."""
    rows = [
        f"{linktype} | {expression} | {found.found.data.hex()} | {found.rets[0]} | {found.rets[1]}"
        for linktype, expression, found, _ in decided()
        if found is not None
    ]
    count = len(pairs())
    head = HEAD.format(version=version(), pairs=count, equal=count - len(rows))
    return head + "".join(f"{row}\n" for row in rows)


def test_there_are_300_expressions_over_five_link_types_no_two_alike_but_for_a_number() -> None:
    assert len({without_numbers(expression) for _, expression, _, _ in pairs()}) >= 300
    assert len({linktype for linktype, _, _, _ in pairs()}) >= 5


def test_every_pair_is_decided_and_the_differences_are_those_on_record(
    record_property: Callable[[str, object], None],
) -> None:
    recorded = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in written().splitlines() if not line.startswith("#")] == recorded
    times = [1000 * seconds for *_, seconds in decided()]
    record_property("median_ms", round(statistics.median(times), 1))
    record_property("longest_ms", round(max(times), 1))


def test_those_that_differ_are_equal_where_no_load_lies_past_the_end() -> None:
    for _, expression, found, _ in decided():
        if found is not None:
            assert equivalent(replace(found.question, complete=True)), expression


@pytest.mark.parametrize("backend", ["libpcap", "linux", "pygen"])
def test_other_machines_see_the_same_differences(backend: str) -> None:
    for _, expression, found, _ in decided():
        if found is None:
            continue
        batch = PacketBatch.of([Packet(found.found.data, found.found.wirelen)])
        rets = [int(run_many(each, batch, backend)[0]) for each in found.question.programs]
        # The kernel shows of a ret no more than the packet's length; backends give it whole.
        assert tuple(rets) == found.rets, expression


if __name__ == "__main__":
    FILE.write_text(written())
