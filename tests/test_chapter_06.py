"""Chapter 06: each exercise as shipped is judged wrong, by name, and its solution right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import bpfnb as bpf
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.errors import UnavailableError
from bpfnb.linux.sockfilter import SocketPair, accepts

CHAPTER = Path(__file__).parent.parent / "notebooks" / "06_read_the_instruction_set.ipynb"

# What each check says of the exercise as shipped, what to replace in it, and by what.
EXERCISES: dict[int, tuple[str, str, str]] = {
    1: (
        "an ICMP echo is rejected, and should not be",
        "{ 0x15, 1, 3, 0x00000800 }",
        "{ 0x15, 0, 3, 0x00000800 }",
    ),
    2: (
        "0x30 is ldb [k], not ldb [x+14]",
        '"ldb [x+14]": 0x30,\n    "and x": 0x54,\n    "txa": 0x07',
        '"ldb [x+14]": 0x50,\n    "and x": 0x5C,\n    "txa": 0x87',
    ),
    3: ("row 1 is (72, 0, 0, 16), and what you wrote gives (40, 0, 0, 16)", "[16]", "[x+16]"),
    4: ("port 1024 is accepted, and should not be", "jgt  #1024", "jge  #1024"),
    5: (
        "instruction 3, jeq x,Lt,Lf, is not in Table 1",
        "jeq  x, yes, no",
        "sub  x\n        jeq  #0, yes, no",
    ),
}
# Answers that look right and are not: what to replace, by what, and what is said.
NEAR: list[tuple[int, str, str, str]] = [
    (1, "{ 0x15, 1, 3", "{ 0x15, 0, 2", "an ARP request is accepted"),
    (2, "0x30", "0x50", "0x54 is and #k, not and x"),
    (3, "ldh  [16]", "ldh  [x+16]\n        tax", "row 2 is (21, 0, 1, 80)"),
    (
        3,
        "[16]\n        jeq  #80, yes, no\nyes:    ret  #96\nno:     ret  #0",
        "[x+16]\n        jeq  #80, yes, no\nyes:    ret  #96\nno:     ret  #0\n        ret  #0",
        "there are 5 rows, and you wrote 6",
    ),
    (4, "jgt  #1024, no, yes", "jgt  #1022, no, yes", "port 1023 is rejected"),
    (4, "jgt  #1024, no, yes", "ldh  [36]\n jlt  #1024, yes, no", "the test is not"),
    (5, "jeq  x, yes, no", "jeq  #53, yes, no", "from port 1053 to port 53 is accepted"),
]


def sources() -> dict[str, str]:
    """The chapter's code cells by id."""
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    return {each["id"]: "".join(each["source"]) for each in cells if each["cell_type"] == "code"}


def judge(number: int, old: str = "", new: str = "") -> None:
    """Run an exercise, changed, and its check; AssertionError where it is wrong."""
    cells = sources()
    names: dict[str, Any] = {}
    setup = cells["setup"].replace("%load_ext bpfnb\n", "")
    exec(setup + "\n" + cells["packets"].replace("hex(proto.run(echo))", ""), names)
    exercise = cells[f"exercise-{number}"]
    assert old in exercise
    exercise = exercise.replace(old, new) if old else exercise
    if exercise.startswith("%%bpf"):
        line, _, body = exercise.partition("\n")
        names[line.removeprefix("%%bpf --program ").strip()] = bpf.assemble(body)
    else:
        exec(exercise, names)
    exec(cells[f"check-{number}"], names)


@pytest.mark.parametrize("number", EXERCISES)
def test_as_shipped_each_exercise_is_wrong_and_told_where(number: int) -> None:
    with pytest.raises(AssertionError) as wrong:
        judge(number)
    assert str(wrong.value) == EXERCISES[number][0]


@pytest.mark.parametrize("number", EXERCISES)
def test_each_exercise_can_be_solved(number: int) -> None:
    _, old, new = EXERCISES[number]
    judge(number, old, new)


@pytest.mark.parametrize(("number", "old", "new", "said"), NEAR)
def test_what_is_nearly_right_is_wrong(number: int, old: str, new: str, said: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(said)):
        judge(number, old, new)


def test_every_exercise_as_shipped_is_a_legal_program() -> None:
    bodies = [text for name, text in sources().items() if name.startswith("exercise")]
    programs = [bpf.assemble(text.partition("\n")[2]) for text in bodies if text.startswith("%%")]
    assert len(programs) == 4
    assert all(program.check() == () for program in programs)


def test_the_papers_slip_is_a_slip() -> None:
    returns = [(0x06, 0, 0, pc) for pc in range(1, 257)]
    program = bpf.Program.from_insns([(0x15, 255, 0, 0), *returns])
    assert program.run(b"") == 256
    assert list(program.run_many([b"x" * 300], backend="interp")) == [256]


def test_of_all_65536_codes_the_kernel_takes_the_49() -> None:
    def program(code: int) -> bpf.Program:
        rows = [(0x02, 0, 0, 1), (code, 0, 0, 1), (0x06, 0, 0, 0), (0x06, 0, 0, 0)]
        return bpf.Program.from_insns(rows)

    try:
        pair = SocketPair()
    except UnavailableError as why:
        pytest.skip(str(why))
    with pair:
        assert {code for code in range(1 << 16) if accepts(program(code), pair).accepted} == set(
            BY_CODE
        )
