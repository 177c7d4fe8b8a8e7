"""How far a reader has come: kept in one file, whole, and never at the cost of work."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from bpfnb.course.exercises import known
from bpfnb.course.progress import Progress, Record, folder
from bpfnb.errors import BpfError
from bpfnb.views.exercise import Answered, Chapter, Hint, Standing
from bpfnb.views.exercise import Progress as Shown

NOBODY = 65534  # a user who may do little
RIGHT = "ldh [12]\njeq #ETHERTYPE_ARP, +0, +1\nret #-1\nret #0"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BPFNB_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "progress.json"


@pytest.fixture(scope="module")
def shell() -> InteractiveShell:
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "bpfnb")
    return shell


def answer(shell: InteractiveShell, body: str) -> str:
    return str(shell.run_cell_magic("bpf", "--exercise 00.1", body))


def test_tries_are_counted_up_to_the_right_one(file: Path) -> None:
    for right in (False, False, True, False, True):
        Progress.read().answered("00.1", right)
    Progress.read().hinted("00.1", 2)
    Progress.read().hinted("00.1", 1)
    assert Progress.read()["00.1"] == Record(tries=3, hints=2, right=True)
    assert Progress.read()["00.2"] == Record()
    assert json.loads(file.read_text()) == {
        "version": 1,
        "exercises": {"00.1": {"tries": 3, "hints": 2, "right": True}},
    }


def test_it_is_in_the_readers_own_data_folder_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPFNB_DATA_DIR", "~/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / "mine"
    monkeypatch.setenv("BPFNB_DATA_DIR", "~nobody-of-this-name/x")
    assert folder() == Path("~nobody-of-this-name/x")
    monkeypatch.delenv("BPFNB_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert tmp_path not in folder().parents  # as nbval runs it
    assert folder() == folder()
    monkeypatch.delenv("PYTEST_VERSION")
    assert folder().name == "bpfnb"
    assert tmp_path in folder().parents


def test_nothing_but_the_file_is_written(file: Path) -> None:
    Progress.read().answered("00.1", True)
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]
    inode = file.stat().st_ino
    Progress.read().answered("00.2", True)
    assert file.stat().st_ino != inode  # a whole new file took its place
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


def test_two_notebooks_do_not_lose_each_others_answers(file: Path) -> None:
    one, other = Progress.read(), Progress.read()
    one.answered("00.1", True)
    other.answered("00.2", False)
    one.hinted("00.2", 1)
    assert Progress.read().records == {"00.1": Record(1, 0, True), "00.2": Record(1, 1, False)}
    assert file.exists()


def test_whoever_reads_meanwhile_finds_it_whole(file: Path) -> None:
    Progress.read().answered("00.0", True)
    stop = threading.Event()
    problems: list[str] = []

    def write(name: str) -> None:
        for number in range(60):
            progress = Progress.read()
            progress.answered(f"{name}.{number}", False)
            problems.extend(progress.notes)

    def look() -> None:
        while not stop.is_set():
            json.loads(file.read_text())

    reader = threading.Thread(target=look)
    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for each in (reader, *writers):
        each.start()
    for each in writers:
        each.join()
    stop.set()
    reader.join()
    assert problems == []
    assert Progress.read()["00.0"].right


DAMAGED: dict[str, bytes] = {
    "cut off": b'{"version": 1, "exerc',
    "empty": b"",
    "something else": b'["00.1"]',
    "no records": b'{"exercises": [1]}',
    "a record that is none": b'{"exercises": {"00.1": 3}}',
    "no numbers": b'{"exercises": {"00.1": {"tries": "many"}}}',
    "no text": b"\xff\xfe\x00",
    "a number too long": b'{"exercises": {"00.1": {"tries": ' + b"9" * 5000 + b"}}}",
    "nested too deep": b"[" * 200_000,
    "too large": b" " * ((1 << 20) + 1),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_put_aside_and_named(
    file: Path, shell: InteractiveShell, content: bytes
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    said = answer(shell, RIGHT)
    assert said.startswith("✓ 00.1")
    assert "it is now progress.damaged.json" in said
    assert (file.parent / "progress.damaged.json").read_bytes() == content
    assert Progress.read()["00.1"] == Record(1, 0, True)
    assert "damaged" not in answer(shell, RIGHT)


def test_fields_and_exercises_of_another_version_are_no_damage(file: Path) -> None:
    file.parent.mkdir()
    rows = {"99.1": {"right": True, "stars": 5}, "00.1": {"tries": -3}}
    file.write_text(json.dumps({"version": 2, "exercises": rows, "more": 1}))
    progress = Progress.read()
    assert progress.records == {"99.1": Record(right=True), "00.1": Record()}
    progress.answered("00.2", True)
    assert Progress.read()["99.1"].right
    assert progress.notes == []


def is_a_file(path: Path) -> None:
    path.write_text("")


def is_read_only(path: Path) -> None:
    path.mkdir(mode=0o500)


def has_a_folder_there(path: Path) -> None:
    (path / "progress.json").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [is_a_file, is_read_only, has_a_folder_there])
def test_where_nothing_can_be_written_it_says_so_and_goes_on(
    file: Path,
    shell: InteractiveShell,
    spoil: Callable[[Path], None],
    request: pytest.FixtureRequest,
) -> None:
    spoil(file.parent)
    if spoil is is_read_only and os.geteuid() == 0:
        request.addfinalizer(lambda: os.seteuid(0))
        os.seteuid(NOBODY)  # root may write anywhere
    said = answer(shell, RIGHT)
    assert said.startswith("✓ 00.1")
    assert "progress is not kept: cannot " in said
    assert "BPFNB_DATA_DIR names another folder" in said
    assert "progress is not kept" in str(shell.run_line_magic("bpf_hint", "00.1"))
    assert f"0 of {len(known())} exercises right" in str(shell.run_line_magic("bpf_progress", ""))


def test_a_folder_that_cannot_be_made_is_told(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPFNB_DATA_DIR", "/proc/self/nowhere")
    said = answer(shell, RIGHT)
    assert said.startswith("✓ 00.1")
    assert "progress is not kept: cannot write /proc/self/nowhere/progress.json: " in said


def test_a_file_that_cannot_be_read_is_not_written_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Progress.read().answered("00.1", True)

    def refuse(path: Path) -> dict[str, Record]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("bpfnb.course.progress.records", refuse)
    progress = Progress.read()
    progress.answered("00.2", True)
    (note,) = progress.notes
    assert note.startswith(f"progress is not kept: cannot read {file}: Permission denied; ")
    monkeypatch.undo()
    assert json.loads(file.read_text())["exercises"].keys() == {"00.1"}


def test_forget_deletes_it(file: Path, shell: InteractiveShell) -> None:
    answer(shell, RIGHT)
    assert f"1 of {len(known())} exercises right" in str(shell.run_line_magic("bpf_progress", ""))
    assert f"0 of {len(known())} exercises right" in str(
        shell.run_line_magic("bpf_progress", "--forget")
    )
    assert not file.exists()
    assert f"0 of {len(known())} exercises right" in str(
        shell.run_line_magic("bpf_progress", "--forget")
    )
    file.mkdir()
    with pytest.raises(BpfError, match="cannot delete"):
        Progress(file).forget()


def test_the_page_shows_chapter_by_chapter_what_is_right_tried_and_open(
    file: Path, shell: InteractiveShell
) -> None:
    Progress.read().answered("00.1", True)
    Progress.read().answered("07.2", False)
    Progress.read().hinted("07.2", 2)
    shown = shell.run_line_magic("bpf_progress", "")
    lines = str(shown).splitlines()
    assert lines[0] == f"1 of {len(known())} exercises right"
    assert "00 Take the tour: 1 of 4" in lines
    assert "  ● 00.1  Mend it           right (1 try)" in lines
    assert "  ◐ 07.2  The opposite            tried (1 try, 2 hints)" in lines
    assert "  ○ 07.3  First fragments         not tried yet" in lines
    assert lines[-1].startswith(f"kept in {file}, and nowhere else; ")
    html = shown._repr_html_()
    assert "1 of 4" in html
    assert "not tried yet" in html


def test_what_a_view_is_given_does_nothing_in_a_page() -> None:
    evil = '<img src=x onerror="alert(1)">'
    standing = Standing(evil, evil, "tried", 1, 2)
    for view in (
        Answered(evil, evil, False, evil, (evil,)),
        Hint(evil, 1, 2, f"`{evil}` *{evil}* {evil}", (evil,)),
        Shown((Chapter(evil, evil, (standing,)),), evil, (evil,)),
    ):
        html = view._repr_html_()
        assert "<img" not in html
        assert "&lt;img" in html
    path = Progress(Path("a\x1b[2J\n<b>"))
    path.spare("\x1b[31m")
    assert "\x1b" not in str(Answered("0", "0", True, "", tuple(path.notes)))
