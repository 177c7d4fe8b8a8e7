"""The page's conditions mean what the debugger's do: every case of one file, in Chromium.

The same file runs in Python in `../test_conditions.py`; what the two say of a wrong
text is compared as well.  No JupyterLab is needed.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from bpfnb.analysis.debugging.conditions import WORDS, parse
from bpfnb.analysis.debugging.predicates import Facts, facts
from bpfnb.analysis.debugging.templates import parse_template
from bpfnb.cbpf.asm import assemble
from bpfnb.cbpf.trace import Read, trace
from bpfnb.errors import ConditionError
from bpfnb.views.stepper import MODULES, Stepper

pytestmark = pytest.mark.browser

FILE = Path(__file__).parents[1] / "cases" / "conditions.json"
CASES: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = CASES["steps"]
PROGRAM = assemble("\n".join(CASES["program"]))
TRACES = [trace(PROGRAM, bytes.fromhex(step["packet"]), step["wirelen"]) for step in STEPS.values()]

# Each gets texts, and for each the facts it is about: a run's number and a step's, or null.
TRY = """
const attempt = (does) => {
    try { return does(); } catch (error) {
        if (!(error instanceof ConditionError)) throw error;
        return { column: error.column, length: error.length, message: error.message,
                 cure: error.cure };
    }
};
const facts = (place) => factsOf(runs[place[0]], place[1]);
"""
CONDITIONS = f"""({{ runs, asked }}) => {{
    {TRY}
    return asked.map(([text, place]) => attempt(() => {{
        const tree = readCondition(text);
        return place === null ? true : holds(tree, facts(place));
    }}));
}}"""
TEMPLATES = f"""({{ runs, asked }}) => {{
    {TRY}
    return asked.map(([text, place]) => attempt(() => {{
        const parts = readTemplate(text);
        return place === null ? "" : fill(parts, facts(place));
    }}));
}}"""


@pytest.fixture
def loaded(page: Page) -> Page:
    """An empty page with the functions in it; an error of the page's fails the test."""
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.set_content("<!doctype html><title>conditions</title>")
    page.add_script_tag(content=MODULES[0].read_text(encoding="utf-8"))
    return page


def answers(page: Page, script: str, cases: list[dict[str, Any]]) -> list[Any]:
    """What the page says of cases, each about the step it names, as the score has it."""
    places = {name: (at, step["number"]) for at, (name, step) in enumerate(STEPS.items())}
    asked = [(case["text"], places[case["step"]] if "step" in case else None) for case in cases]
    found: list[Any] = page.evaluate(
        script, {"runs": Stepper(TRACES).score()["runs"], "asked": asked}
    )
    assert len(found) == len(cases)
    return found


def right(case: dict[str, Any], key: str, found: Any) -> bool:
    """Whether an answer is what a case tells; a wrong text has a column instead."""
    if "column" not in case:
        return bool(found == case[key]) and type(found) is type(case[key])
    return isinstance(found, dict) and bool(found["column"] == case["column"])


def blamed(read: Any, text: str) -> dict[str, Any] | None:
    """What Python says of a text, in the page's words; None where nothing is wrong."""
    try:
        read(text)
    except ConditionError as error:
        return {
            "column": error.column,
            "length": error.length,
            "message": error.message,
            "cure": error.hint,
        }
    return None


def test_the_facts_of_a_step_in_the_page_are_those_of_the_file(loaded: Page) -> None:
    runs = Stepper(TRACES).score()["runs"]
    numbers = [step["number"] for step in STEPS.values()]
    script = "({ runs, numbers }) => runs.map((run, at) => factsOf(run, numbers[at]))"
    found = loaded.evaluate(script, {"runs": runs, "numbers": numbers})
    for given, step in zip(found, STEPS.values(), strict=True):
        assert bytes(given.pop("P")).hex() == step["packet"]
        assert given == step["facts"]


# One that loops has no verdict; its last step that was kept jumps, as any other may.
LOOPING = [
    trace(assemble("again: ld #1\nja again\nret #0"), b"", budget=budget) for budget in (7, 8)
]


def test_the_facts_of_every_step_are_pythons(loaded: Page) -> None:
    traces = [*TRACES, *LOOPING]
    runs = Stepper(traces).score()["runs"]
    script = "runs => runs.map(run => run.steps.map((_, at) => factsOf(run, at)))"
    assert [facts(run, len(run.steps) - 1).jumped for run in LOOPING] == [False, True]
    for told, run in zip(loaded.evaluate(script, runs), traces, strict=True):
        assert len(told) == len(run.steps)
        for at, given in enumerate(told):
            assert in_python(given) == facts(run, at)


def in_python(given: dict[str, Any]) -> Facts:
    """The page's facts as Python's."""
    return Facts(
        **{
            **given,
            "M": tuple(given["M"]),
            "P": bytes(given["P"]),
            "reads": tuple(Read(*each) for each in given["reads"]),
            "changed": frozenset(given["changed"]),
        }
    )


@pytest.mark.parametrize(
    ("script", "kind", "key"),
    [(CONDITIONS, "conditions", "holds"), (TEMPLATES, "templates", "says")],
    ids=["conditions", "templates"],
)
def test_every_case_of_the_file_has_its_answer_in_the_page(
    loaded: Page, script: str, kind: str, key: str, record_property: Any
) -> None:
    cases = CASES[kind]
    assert all(("column" in case) != (key in case) for case in cases)
    found = answers(loaded, script, cases)
    pairs = list(zip(cases, found, strict=True))
    wrong = [(case, given) for case, given in pairs if not right(case, key, given)]
    assert wrong == []
    record_property("cases", len(pairs))
    assert len(pairs) == len(cases) >= {"conditions": 150, "templates": 30}[kind]


@pytest.mark.parametrize(
    ("script", "kind", "read"),
    [(CONDITIONS, "conditions", parse), (TEMPLATES, "templates", parse_template)],
    ids=["conditions", "templates"],
)
def test_of_a_wrong_text_both_say_the_same(loaded: Page, script: str, kind: str, read: Any) -> None:
    texts = [case["text"] for case in CASES[kind] if "column" in case]
    strange = ("\u200b", "\u2028", "\xad", "\ufeff", "\\", "'", '"', "é", "\0", "\x85", "\u3000")
    texts += [f"A == {sign}" if kind == "conditions" else f"{{A:{sign}}}" for sign in strange]
    texts += ["A == \n"] if kind == "conditions" else ["{A:\t}", "{A:\"\\'}", "{A: '\r\n}"]
    if kind == "conditions":
        texts += ["jumpd", "read 23", "chnged A", "caplne == 1", "zzz", "not " * 50_000]
        texts += [word[1] + word[0] + word[2:] for word in WORDS if len(word) > 2]
        texts = [text for text in texts if blamed(read, text) is not None]
    found = answers(loaded, script, [{"text": text} for text in texts])
    assert found == [blamed(read, text) for text in texts]


SCRAPS = """A X M P pc len ret reads changed jumped missed and or not ( ) [ ] : - & == != < <= > >=
= 3 16 23 0x800 0x 010 1.2.3.4 1.2 99999999999 M[3] P[12:2] { } {A {A:#x} :x jmuped"""


@pytest.mark.parametrize(
    ("script", "read", "given"),
    [(CONDITIONS, parse, "holds"), (TEMPLATES, parse_template, "fill")],
    ids=["conditions", "templates"],
)
def test_of_any_text_both_say_the_same(loaded: Page, script: str, read: Any, given: str) -> None:
    draw = random.Random(1993)
    steps = list(STEPS)
    cases, meant = [], []
    for _ in range(3000):
        text = draw.choice(("", " ")).join(draw.choices(SCRAPS.split(), k=draw.randint(1, 7)))
        step = draw.choice(steps)
        at = steps.index(step)
        now = facts(TRACES[at], STEPS[step]["number"])
        cases.append({"text": text, "step": step})
        meant.append(blamed(read, text) or getattr(read(text), given)(now))
    found = answers(loaded, script, cases)
    differing = [each for each in zip(cases, found, meant, strict=True) if each[1] != each[2]]
    assert differing == []
    assert sum(not isinstance(each, dict) for each in meant) > 30  # some are right


def test_columns_count_characters_and_the_caret_goes_by_the_pages_own(loaded: Page) -> None:
    text = "\U0001f41d {A:z}"
    (found,) = answers(loaded, TEMPLATES, [{"text": text}])
    told = blamed(parse_template, text)
    assert told is not None
    assert found == told
    script = "text => { try { readTemplate(text) } catch (error) { return error.offset } }"
    assert loaded.evaluate(script, text) == told["column"]  # a bee is two of JavaScript's


def test_many_tests_in_one_condition_are_no_matter(loaded: Page) -> None:
    text = " and ".join(["pc == 0"] * 20_000)
    assert answers(loaded, CONDITIONS, [{"text": text, "step": "type"}]) == [True]


def test_no_text_is_run_as_code() -> None:
    source = "".join(each.read_text(encoding="utf-8") for each in MODULES)
    for word in ("eval(", "Function(", "import(", "setTimeout("):
        assert word not in source
    assert "export" not in MODULES[0].read_text(encoding="utf-8").replace("no export", "")
