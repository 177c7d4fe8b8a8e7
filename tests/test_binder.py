"""binder/: read by repo2docker as Binder would, without Docker.

Installing it in a fresh environment and running the chapters there needs the
package index, so the gate does that: see .ci/run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What repo2docker would build, from a copy without .git and environments."""
    if find_spec("repo2docker") is None:
        pytest.skip("repo2docker is missing: pip install 'bpfnb[test]'")
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "binder", folder / "binder")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    done = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_image_has_a_python_that_the_package_takes(dockerfile: str) -> None:
    assert "environment-2epy-2d3-2e11-2d" in dockerfile  # environment.py-3.11-…, escaped


def test_the_image_installs_binder_requirements_after_the_repository_is_there(
    dockerfile: str,
) -> None:
    install = 'pip install --no-cache-dir -r "binder/requirements.txt"'
    assert dockerfile.count(install) == 1
    assert dockerfile.index("COPY --chown=0:0 src/ ${REPO_DIR}/") < dockerfile.index(install)


def test_pip_reads_the_requirements_from_the_root_of_the_repository() -> None:
    words = (
        "pip install --dry-run --no-deps --no-index --no-build-isolation --ignore-installed"
        " -r binder/requirements.txt"
    )
    done = subprocess.run(
        [sys.executable, "-m", *words.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Would install bpfnb-0.1.0" in done.stdout
