"""Proofs held against runs, and whether a wrong encoding would be caught so.

A sample of the corpus; `python -m tests.soak_proofs` does all of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bpfnb as bpf

pytest.importorskip("z3", reason="z3 is not installed")

from bpfnb.analysis.equivalence import Proof, Question, equivalent
from bpfnb.analysis.proving import terms
from bpfnb.analysis.proving.terms import z3
from tests.soak_proofs import MUTATIONS, Pair, cross_check, pairs, proved

SAMPLE = tuple(pairs(every=29, largest=80))


def test_the_sample_has_several_link_types_and_ten_thousand_mutations_a_pair() -> None:
    assert len(SAMPLE) >= 15
    assert len({pair.name.split(":")[0] for pair in SAMPLE}) >= 4
    assert MUTATIONS >= 10_000


@pytest.mark.parametrize("pair", SAMPLE, ids=lambda pair: pair.name)
def test_what_is_proved_holds_on_every_branch_length_and_mutation(pair: Pair) -> None:
    proof = proved(pair)
    assert proof
    tally = cross_check(proof)
    assert tally.packets > MUTATIONS
    assert not tally.apart, (tally.apart[0].data.hex(), tally.apart[0].wirelen)


WRONG = [
    ("jgt", lambda a, v: a >= v, z3.UGE, "ldb [0]\njgt #5, a, b\na: ret #1\nb: ret #0",
     "ldb [0]\njge #5, a, b\na: ret #1\nb: ret #0"),
    ("jset", lambda a, v: a & v == v, lambda a, v: a & v == v,
     "ldh [2]\njset #3, a, b\na: ret #1\nb: ret #0",
     "ldh [2]\nand #3\njeq #3, a, b\na: ret #1\nb: ret #0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "known", "unknown", "one", "other"), WRONG)
def test_a_wrong_encoding_is_caught(
    monkeypatch: pytest.MonkeyPatch, name: str, known: object, unknown: object, one: str, other: str
) -> None:
    p, q = bpf.assemble(one), bpf.assemble(other)
    assert not equivalent(Question(p, q))
    monkeypatch.setitem(terms.COMPARE, name, (known, unknown))
    proof = equivalent(Question(p, q))
    assert isinstance(proof, Proof), "the wrong encoding proves it"
    assert cross_check(proof).apart


def test_a_wrong_length_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from bpfnb.analysis.proving.any_packet import AnyPacket

    p = bpf.assemble("ldb [9]\nret #1")
    q = bpf.assemble("ldb [10]\nret #1")
    assert not equivalent(Question(p, q))
    right = AnyPacket.load
    monkeypatch.setattr(AnyPacket, "load", lambda self, at, size: right(self, at, 2))
    wrong = bpf.assemble("ldh [9]\nret #1")
    proof = equivalent(Question(p, wrong))
    assert isinstance(proof, Proof), "the wrong encoding proves it"
    assert cross_check(proof).apart


def test_the_whole_of_it_still_starts() -> None:
    command = [sys.executable, "-m", "tests.soak_proofs", "--every", "400", "--mutations", "100"]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " proofs, " in done.stdout
    assert ", 0 wrong, " in done.stdout
