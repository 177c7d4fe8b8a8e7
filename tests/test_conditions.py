"""Conditions and templates of the debugger, by the file of cases that a page runs too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpfnb.analysis.debugging.conditions import DEEPEST, WORDS, parse
from bpfnb.analysis.debugging.predicates import OPERATORS, Facts, evaluate, facts
from bpfnb.analysis.debugging.templates import parse_template
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.trace import Read, trace
from bpfnb.errors import ConditionError

FILE = Path(__file__).with_name("cases") / "conditions.json"
CASES: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = CASES["steps"]
PROGRAM = assemble("\n".join(CASES["program"]))


def told(step: dict[str, Any]) -> Facts:
    """The facts as the file tells them."""
    given = step["facts"]
    return Facts(
        **{
            **given,
            "M": tuple(given["M"]),
            "P": bytes.fromhex(step["packet"]),
            "reads": tuple(Read(*each) for each in given["reads"]),
            "changed": frozenset(given["changed"]),
        }
    )


def name(case: dict[str, Any]) -> str:
    """A case's text and what comes of it."""
    end = case.get("step", f"column {case.get('column')}")
    return f"{case['text'][:40]!r} {end}"


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
def test_the_facts_of_the_file_are_those_of_a_run(step: dict[str, Any]) -> None:
    run = trace(PROGRAM, bytes.fromhex(step["packet"]), step["wirelen"])
    assert facts(run, step["number"]) == told(step)


@pytest.mark.parametrize("case", CASES["conditions"], ids=name)
def test_a_condition_holds_or_is_wrong_at_a_place(case: dict[str, Any]) -> None:
    if "column" in case:
        with pytest.raises(ConditionError) as caught:
            parse(case["text"])
        assert caught.value.column == case["column"]
        assert str(caught.value).startswith(f"column {case['column']}: ")
    else:
        assert parse(case["text"]).holds(told(STEPS[case["step"]])) is case["holds"]


@pytest.mark.parametrize("case", CASES["templates"], ids=name)
def test_a_template_says_something_or_is_wrong_at_a_place(case: dict[str, Any]) -> None:
    if "column" in case:
        with pytest.raises(ConditionError) as caught:
            parse_template(case["text"])
        assert caught.value.column == case["column"]
    else:
        assert parse_template(case["text"]).fill(told(STEPS[case["step"]])) == case["says"]


def test_the_file_has_every_word_and_operator_and_both_answers() -> None:
    texts = [case["text"].lower() for case in CASES["conditions"] if "step" in case]
    for word in (*OPERATORS, *WORDS, "&", "(", ")", "m[", "p[", "0x", "-", "."):
        assert any(word in text for text in texts), word
    answers = [case["holds"] for case in CASES["conditions"] if "step" in case]
    assert min(answers.count(True), answers.count(False)) >= 20


def test_an_error_shows_its_place_and_a_cure() -> None:
    with pytest.raises(ConditionError) as caught:
        parse("A = 0x800")
    assert str(caught.value).splitlines() == [
        "column 3: '=' is no sign of a condition",
        "    A = 0x800",
        "      ^",
        "  cure: write ==",
    ]


def test_a_misspelt_word_gets_the_right_one() -> None:
    for wrong, right in {"jumpd": "jumped", "read 23": "reads", "chnged A": "changed"}.items():
        with pytest.raises(ConditionError) as caught:
            parse(wrong)
        assert right in caught.value.hint


def test_columns_count_in_the_whole_line() -> None:
    line = "breakpoint 4 if A = 1"
    with pytest.raises(ConditionError) as caught:
        parse(line, line.index("A"))
    assert caught.value.column == 19
    assert parse("breakpoint 4 if A == 1 ", 16).text == "A == 1"


def test_the_depth_of_parentheses_is_bounded_not_pythons_stack() -> None:
    deepest = "(" * DEEPEST + "jumped" + ")" * DEEPEST
    assert parse(deepest).holds(Facts(jumped=True))
    for endless in ("(" * 100_000, "not " * 100_000, "(not " * 50_000):
        with pytest.raises(ConditionError, match="32"):
            parse(endless)
    assert parse(" and ".join(["pc == 0"] * 20_000)).holds(Facts())


SCRAPS = """A X M P pc len ret reads changed jumped missed and or not ( ) [ ] : - & == != < <= > >=
= 3 16 23 0x800 0x 010 1.2.3.4 1.2 99999999999 M[3] P[12:2] { } {A {A:#x} :x é"""
TEXTS = st.text() | st.lists(st.sampled_from([*SCRAPS.split(), "\t"]), max_size=12).map(" ".join)


def misplaced(read: Callable[[str], object], text: str) -> bool:
    """Read a text; whether the error, if there is one, is our own but has a wrong place."""
    try:
        read(text)
    except ConditionError as error:
        return not 1 <= error.column <= len(text) + 1 or not str(error)
    return False


@given(TEXTS)
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    assert not misplaced(lambda words: parse(words).holds(Facts()), text)


@given(TEXTS)
def test_no_template_does_either(text: str) -> None:
    assert not misplaced(lambda words: parse_template(words).fill(Facts()), text)


NUMBERS = st.sampled_from([0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]) | st.integers(
    0, 0xFFFFFFFF
)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_of_two_numbers_one_of_three_holds(A: int, X: int, k: int) -> None:
    now = Facts(A=A, X=X)
    for left, right in (("A", "X"), ("A", f"{k:#x}"), (f"A & {k}", "X")):
        held = [parse(f"{left} {op} {right}").holds(now) for op in ("<", "==", ">")]
        assert held.count(True) == 1
        turned = [parse(f"{left} {op} {right}").holds(now) for op in (">=", "!=", "<=")]
        assert turned == [not each for each in held]
    assert parse(f"A == {'.'.join(map(str, A.to_bytes(4, 'big')))}").holds(now)


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_and_or_not_are_those_of_logic(values: list[bool]) -> None:
    a, b, c = values
    now = replace(Facts(jumped=a, missed=b), ret=1 if c else None)
    for text, meant in {
        "jumped and missed and ret == 1": a and b and c,
        "jumped or missed or ret == 1": a or b or c,
        "not jumped and missed": (not a) and b,
        "not (jumped and missed) or ret == 1": not (a and b) or c,
        "jumped and (missed or not ret == 1)": a and (b or not c),
    }.items():
        assert evaluate(parse(text).tree, now) is meant, text
