"""Keep settings, history and progress of whoever runs the tests out of them, and unchanged."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("bpfnb", deadline=None)
settings.load_profile("bpfnb")

HOME = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give IPython, Jupyter, matplotlib and us folders of their own, inherited by kernels."""
    config.stash[HOME] = tempfile.TemporaryDirectory(prefix="bpfnb-tests-")
    home = Path(config.stash[HOME].name)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = str(home / name.lower())
    os.environ["MPLCONFIGDIR"] = str(home / "matplotlib")
    os.environ["BPFNB_DATA_DIR"] = str(home / "data")  # a test is nobody's progress


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what passing tests measured: what they record by `record_property`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid}: {name}: {value}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove them."""
    config.stash[HOME].cleanup()
