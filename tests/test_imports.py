"""Who imports whom: the floors, and what a first `%load_ext bpfnb` must not load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "bpfnb").rglob("*.py"))
BELOW_MAIN = [path for path in MODULES if path.name != "__main__.py"]
HEAVY = ["IPython", "ipykernel", "ipywidgets", "libpcap", "matplotlib", "numpy", "scapy"]


def run_python(code: str) -> str:
    """Run code in a fresh interpreter; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_floor_imports_only_from_those_below() -> None:
    # Without its cache, which takes a module that came later for a name in its parent.
    code = "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("path", BELOW_MAIN, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_import_each_other_by_full_path(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert "bpfnb" not in [alias.name for alias in node.names], node.lineno
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            if node.module == "bpfnb":  # a floor as a whole, not a name of the public face
                names = [alias.name for alias in node.names]
                floors = {file.stem for file in (ROOT / "bpfnb").iterdir()}
                assert path == ROOT / "bpfnb" / "__init__.py" or floors.issuperset(names), names


def test_import_bpfnb_loads_nothing_heavy() -> None:
    code = f"import json, sys, bpfnb; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    assert json.loads(run_python(code)) == []


def test_load_ext_loads_nothing_heavy_but_ipython() -> None:
    code = f"""
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
bare = set(sys.modules)
shell.run_line_magic("load_ext", "bpfnb")
assert "bpf" in shell.magics_manager.magics["cell"]
print(json.dumps([m for m in {HEAVY} if m in sys.modules and m not in bare]))
"""
    assert json.loads(run_python(code).splitlines()[-1]) == []


def test_the_machine_of_1993_loads_the_standard_library_alone() -> None:
    paths = [path.relative_to(ROOT) for path in MODULES if path.parent.name == "cbpf"]
    names = [".".join(path.with_suffix("").parts) for path in paths]
    code = f"""
import importlib, json, sys
before = set(sys.modules)
for name in {names}:
    importlib.import_module(name)
fresh = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(fresh - sys.stdlib_module_names)))
"""
    assert json.loads(run_python(code)) == ["bpfnb"]
