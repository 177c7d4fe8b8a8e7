"""The command `bpfnb`: course, doctor, kernel.

    bpfnb course [FOLDER] [--no-open] [-- options of JupyterLab]
    bpfnb doctor [--json]
    bpfnb kernel install [--user | --sys-prefix | --prefix FOLDER]

Left out: the work, which the modules called here do.  Exit status: 0 when all
went well, 1 when something is missing or wrong, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bpfnb.course.notebooks import chapters, deliver
from bpfnb.errors import BpfError, UnavailableError

__all__ = ["lab_command", "main"]

FOLDER = "bpfnb-course"


def lab_command(folder: Path, more: Sequence[str] = ()) -> list[str]:
    """Return the command that opens JupyterLab on the first chapter in `folder`.

    Raises UnavailableError where JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        raise UnavailableError(
            "JupyterLab is not installed in this environment",
            "install it by: python -m pip install 'bpfnb[course]'",
        )
    first = chapters(folder)[:1] or [folder]
    # JupyterLab refuses to start as root unless told; the reader chose to be root.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [sys.executable, "-m", "jupyterlab", *as_root, str(first[0]), *more]


def course(options: argparse.Namespace) -> int:
    """Copy the chapters and open JupyterLab on them."""
    delivery = deliver(options.folder)
    print("\n".join(delivery.lines()))
    if options.no_open:
        return 0
    command = lab_command(delivery.folder, options.lab)
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:  # how people end JupyterLab
        return 0


def doctor(options: argparse.Namespace) -> int:
    """Say what works here; fail where something the course needs does not."""
    from bpfnb.jupyter.doctor import examine, table

    findings = examine()
    if options.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        print(table(findings))
    return 0 if all(finding.ok for finding in findings if finding.needed) else 1


def kernel_install(options: argparse.Namespace) -> int:
    """Install the kernelspec, for this user unless told otherwise."""
    from bpfnb.jupyter.kernelspecs import install_kernelspec

    prefix = sys.prefix if options.sys_prefix else options.prefix
    print(f"Installed the kernelspec in {install_kernelspec(prefix)}.")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(prog="bpfnb", description="BPF in Jupyter notebooks")
    parser.add_argument("--version", action="version", version=f"bpfnb {version('bpfnb')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    part = commands.add_parser(
        "course",
        help="copy the chapters and open JupyterLab on them",
        epilog="What stands after -- goes to JupyterLab, for example: bpfnb course -- --no-browser",
    )
    part.add_argument(
        "folder", nargs="?", type=Path, default=Path(FOLDER), help=f"where to (default: {FOLDER})"
    )
    part.add_argument("--no-open", action="store_true", help="only copy them")
    part.set_defaults(run=course)

    part = commands.add_parser("doctor", help="say what works on this machine, and why not")
    part.add_argument("--json", action="store_true", help="for programs")
    part.set_defaults(run=doctor)

    kernel = commands.add_parser("kernel", help="the Jupyter kernel BPF (Python)")
    kernels = kernel.add_subparsers(required=True, metavar="COMMAND")
    part = kernels.add_parser("install", help="make it known to another Jupyter")
    where = part.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (the default)")
    where.add_argument("--sys-prefix", action="store_true", help="for this environment")
    where.add_argument("--prefix", metavar="FOLDER", help="below this folder")
    part.set_defaults(run=kernel_install)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--") if "--" in words else len(words)
    options = build_parser().parse_args(words[:split])
    options.lab = words[split + 1 :]
    try:
        return int(options.run(options))
    except BpfError as error:
        print(f"bpfnb: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
