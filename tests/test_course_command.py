"""`bpfnb course`, `bpfnb doctor` and `bpfnb kernel`, as typed by a reader."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bpfnb.__main__ import lab_command, main
from bpfnb.course.notebooks import MANIFEST, chapters, deliver, notebooks_folder
from bpfnb.errors import BpfError, UnavailableError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two chapters and a picture, as a wheel would carry them."""
    folder = tmp_path / "source"
    (folder / "pictures").mkdir(parents=True)
    (folder / "00_one.ipynb").write_text("first")
    (folder / "05_two.ipynb").write_text("second")
    (folder / "pictures" / "a.svg").write_text("<svg/>")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "00_one.ipynb").write_text("stray")
    return folder


def test_a_first_delivery_brings_everything_but_hidden_files(source: Path, tmp_path: Path) -> None:
    delivery = deliver(tmp_path / "mine", source)
    assert delivery.new == ("00_one.ipynb", "05_two.ipynb", "pictures/a.svg")
    present = {p.relative_to(tmp_path / "mine").as_posix() for p in (tmp_path / "mine").rglob("*")}
    assert present == {*delivery.new, "pictures", MANIFEST}


def test_a_second_delivery_changes_nothing(source: Path, tmp_path: Path) -> None:
    deliver(tmp_path / "mine", source)
    before = (tmp_path / "mine" / "00_one.ipynb").stat()
    delivery = deliver(tmp_path / "mine", source)
    assert delivery.same == ("00_one.ipynb", "05_two.ipynb", "pictures/a.svg")
    after = (tmp_path / "mine" / "00_one.ipynb").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_an_edited_chapter_stays_and_is_named(source: Path, tmp_path: Path) -> None:
    deliver(tmp_path / "mine", source)
    mine = tmp_path / "mine" / "00_one.ipynb"
    mine.write_text("first, with my notes")
    for text in ("first", "first, second edition"):
        (source / "00_one.ipynb").write_text(text)
        delivery = deliver(tmp_path / "mine", source)
        assert delivery.kept == ("00_one.ipynb",)
        assert mine.read_text() == "first, with my notes"
        assert delivery.lines()[-1].startswith("Kept your edited 00_one.ipynb;")


def test_an_unedited_chapter_is_brought_up_to_date(source: Path, tmp_path: Path) -> None:
    deliver(tmp_path / "mine", source)
    (source / "05_two.ipynb").write_text("second, mended")
    assert deliver(tmp_path / "mine", source).updated == ("05_two.ipynb",)
    assert (tmp_path / "mine" / "05_two.ipynb").read_text() == "second, mended"
    (tmp_path / "mine" / "05_two.ipynb").write_text("mine now")
    assert deliver(tmp_path / "mine", source).kept == ("05_two.ipynb",)


def test_a_file_that_was_there_before_is_the_readers(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "00_one.ipynb").write_text("my own")
    (mine / "05_two.ipynb").mkdir()
    delivery = deliver(mine, source)
    assert delivery.kept == ("00_one.ipynb", "05_two.ipynb")
    assert (mine / "00_one.ipynb").read_text() == "my own"


def test_a_link_is_the_readers(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "00_one.ipynb").symlink_to(tmp_path / "elsewhere")
    assert deliver(mine, source).kept == ("00_one.ipynb",)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("manifest", ["", "[]", '{"files": 3}', '{"files": {"00_one.ipynb": 1}}'])
def test_with_a_broken_manifest_nothing_of_the_readers_is_lost(
    source: Path, tmp_path: Path, manifest: str
) -> None:
    deliver(tmp_path / "mine", source)
    (tmp_path / "mine" / MANIFEST).write_text(manifest)
    (tmp_path / "mine" / "00_one.ipynb").write_text("edited")
    assert deliver(tmp_path / "mine", source).kept == ("00_one.ipynb",)


def test_delivered_files_have_the_usual_permissions(source: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        deliver(tmp_path / "mine", source)
    finally:
        os.umask(before)
    mode = (tmp_path / "mine" / "00_one.ipynb").stat().st_mode
    assert stat.S_IMODE(mode) == 0o640


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path, source: Path) -> None:
    # A file-size limit of 64 KiB stands for the full disk; it needs its own process.
    (source / "00_one.ipynb").write_text("x" * 200_000)
    mine = tmp_path / "mine"
    code = f"""
import resource, signal
from pathlib import Path
from bpfnb.course.notebooks import deliver
from bpfnb.errors import BpfError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    deliver(Path({str(mine)!r}), Path({str(source)!r}))
except BpfError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot put the chapters into" in done.stdout
    assert list(mine.iterdir()) == []


def test_a_folder_that_is_a_file_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    assert main(["course", "--no-open", str(tmp_path / "taken")]) == 1
    assert "cannot put the chapters into" in capsys.readouterr().err
    with pytest.raises(BpfError, match="name another folder"):
        deliver(tmp_path / "taken")


def test_chapters_are_found_in_a_wheel_and_in_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "bpfnb"
    package.mkdir()
    with pytest.raises(UnavailableError, match="no chapters"):
        notebooks_folder(package)
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(UnavailableError):  # any folder of that name beside us will not do
        notebooks_folder(package)
    (tmp_path / "pyproject.toml").write_text("")
    assert notebooks_folder(package) == tmp_path / "notebooks"
    (package / "notebooks").mkdir()
    assert notebooks_folder(package) == package / "notebooks"


def test_course_copies_the_real_chapters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["course", "--no-open", str(tmp_path / "course")]) == 0
    assert [p.name for p in chapters(tmp_path / "course")] == [p.name for p in chapters()]
    assert capsys.readouterr().out.startswith(f"Chapters in {tmp_path / 'course'}:")


def test_jupyterlab_is_started_on_the_first_chapter(source: Path) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is missing: pip install 'bpfnb[course]'")
    command = lab_command(source, ["--no-browser"])
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[-2:] == [str(source / "00_one.ipynb"), "--no-browser"]


def test_what_stands_after_two_dashes_reaches_jupyterlab(tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is missing: pip install 'bpfnb[course]'")
    done = subprocess.run(
        [sys.executable, "-m", "bpfnb", "course", str(tmp_path / "course"), "--", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1][0].isdigit()


def test_doctor_names_every_part_once(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)
    names = [finding["name"] for finding in findings]
    assert len(set(names)) == len(names)
    for part in ("Python", "packages", "chapters", "libpcap, carried", "libpcap, system",
                 "native code", "kernelspec bpfnb", "JupyterLab", "browser", "socket filters",
                 "network namespaces", "bpf(2)", "tcpdump"):  # fmt: skip
        assert part in names
    assert status == (0 if all(f["ok"] for f in findings if f["needed"]) else 1)
    assert all(finding["detail"] for finding in findings)


def test_doctor_shows_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ Python")
    assert all(line[0] in "✓✗ " for line in lines if line)


def test_doctor_says_what_is_missing_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no tcpdump and no browser there
    main(["doctor", "--json"])
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    for name in ("tcpdump", "browser"):
        assert not found[name]["ok"]
        assert found[name]["cure"]


def test_kernel_install_below_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "install", "--prefix", str(tmp_path)]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert (tmp_path / "share" / "jupyter" / "kernels" / "bpfnb" / "kernel.json").is_file()


@pytest.mark.parametrize("words", [[], ["cours"], ["kernel"], ["course", "--nope"]])
def test_a_wrong_command_line_ends_with_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
