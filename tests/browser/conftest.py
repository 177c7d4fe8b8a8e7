"""A JupyterLab of the test's own, with Notebook 7 beside it, and a Chromium to look at them.

The server listens on loopback, on a port the system chooses, with a token, and
keeps its settings, data and files in temporary folders.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bpfnb.course.notebooks import deliver

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "a-token-for-this-test"
PATIENCE = 60  # seconds for a server or a page to be there


APPS = {"jupyterlab": "lab/tree/", "notebook": "notebooks/"}  # where each shows a notebook


@dataclass(frozen=True)
class Lab:
    """A running server: its address, the folder whose files it shows, and by which application."""

    url: str
    folder: Path
    app: str = "jupyterlab"

    def page_url(self, notebook: str) -> str:
        # reset: without the tabs that an earlier test left open
        return f"{self.url}{APPS[self.app]}{notebook}?reset&token={TOKEN}"


def stop(server: subprocess.Popen[str]) -> None:
    """End the server, and with it the kernels it started."""
    server.terminate()
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def url_when_ready(server: subprocess.Popen[str], runtime: Path, log: Path) -> str:
    """Wait until the server answers; return its address, which it writes to a file."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = str(json.loads(file.read_text())["url"])
                with urllib.request.urlopen(f"{url}api?token={TOKEN}", timeout=5):
                    return url
            except (OSError, ValueError):
                continue
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a fresh copy of the chapters, as `bpfnb course` delivers them."""
    if find_spec("jupyterlab") is None:
        pytest.skip("JupyterLab is missing: pip install 'bpfnb[course]'")
    home = tmp_path_factory.mktemp("lab")
    folder = deliver(home / "course").folder
    environment = {name: value for name, value in os.environ.items() if "JUPYTER" not in name}
    environment |= {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    log = home / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ip=127.0.0.1",
                "--port=0",
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.root_dir={folder}",
                "--LabApp.news_url=None",  # no question to a host outside
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )
    try:
        yield Lab(url_when_ready(server, home / "runtime", log), folder)
    finally:
        stop(server)


@pytest.fixture(params=APPS)
def front(request: pytest.FixtureRequest, lab: Lab) -> Lab:
    """JupyterLab, then Notebook 7: one server shows both."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is missing: pip install 'bpfnb[test]'")
    return replace(lab, app=request.param)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    if find_spec("playwright") is None:
        pytest.skip("playwright is missing: pip install 'bpfnb[test]'")
    found = [path for path in map(shutil.which, CHROMIUM) if path]
    if not found:
        pytest.skip(f"no browser: none of {', '.join(CHROMIUM)} is installed")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=found[0], args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own, wide enough for a notebook."""
    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()
