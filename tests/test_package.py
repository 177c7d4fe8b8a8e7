"""The wheel: what it carries, what it declares, and that it works when installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest

import bpfnb
from bpfnb.course.normalise import with_solutions
from bpfnb.course.notebooks import chapters

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own, without its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    words = "pip install -q --no-deps --no-index --target"
    done = subprocess.run(
        [sys.executable, "-m", *words.split(), str(folder), str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def names_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_one_version_everywhere() -> None:
    assert bpfnb.__version__ == PROJECT["version"] == version("bpfnb")
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_wheel_carries_every_module_and_sample(wheel: Path) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bpfnb").rglob("*")
        if path.is_file() and not re.search(r"/(\.|__pycache__)", path.as_posix())
    }
    assert "bpfnb/py.typed" in files
    assert files - names_in(wheel) == set()


def test_the_wheel_carries_the_chapters_and_the_kernelspec(wheel: Path) -> None:
    names = names_in(wheel)
    for path in with_solutions(chapters()):
        name = path.relative_to(ROOT / "notebooks").as_posix()
        assert f"bpfnb/notebooks/{name}" in names
    share = f"bpfnb-{PROJECT['version']}.data/data/share/jupyter/kernels/bpfnb"
    for name in ("kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"):
        assert f"{share}/{name}" in names


def test_the_wheel_carries_nothing_of_the_workshop(wheel: Path) -> None:
    strays = [
        name
        for name in names_in(wheel)
        if re.search(r"(^|/)(tests|benchmarks|\.ci|\.ipynb_checkpoints|__pycache__)/", name)
    ]
    assert strays == []


def test_the_metadata_say_licence_python_and_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Provides-Extra") == ["course", "native", "prove", "test"]
    assert len(metadata.get_all("Project-URL") or []) == 1


def test_the_installed_wheel_finds_its_own_chapters(unpacked: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(unpacked)!r})
from bpfnb.course.notebooks import notebooks_folder
print(notebooks_folder())
from bpfnb.__main__ import main
main(["course", "--no-open", {str(tmp_path / "mine")!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(unpacked / "bpfnb" / "notebooks")
    delivered = [path.name for path in chapters(tmp_path / "mine")]
    assert delivered == [path.name for path in chapters()]


def test_every_pin_is_met_by_what_is_declared() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, pin = line.partition("==")
            assert re.fullmatch(r"[\w.]+", pin), line
            pins[name] = pin
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["course"], *extras["test"]]:
        name, _, bound = requirement.partition(">=")
        if not name.startswith("bpfnb["):
            assert bound, f"{name} has no lower bound"
            assert name in pins or name == "pip", f"{name} is not pinned in constraints.txt"
