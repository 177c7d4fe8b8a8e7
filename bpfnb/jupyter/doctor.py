"""What works on this machine, and why something does not: `bpfnb doctor`.

Each examination returns one Finding: a name, whether it works, what was found
or the reason, and the cure.  Those the course cannot do without are marked.

Left out: mending anything.
"""

from __future__ import annotations

import platform
import shutil
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bpfnb.course.notebooks import chapters
from bpfnb.errors import BpfError, UnavailableError
from bpfnb.jupyter.kernelspecs import NAME, find_kernelspec
from bpfnb.linux.probe import probe
from bpfnb.pcap.library import version as libpcap_version

__all__ = ["Finding", "examine", "table"]

PACKAGES = ("ipykernel", "ipython", "ipywidgets", "matplotlib", "numpy", "scapy")
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "firefox", "firefox-esr", "microsoft-edge",
)  # fmt: skip
CURES = {  # by the name of what is missing
    "native code": "python -m pip install 'bpfnb[native]'; all but `--on native` works without",
    "socket filters": "all but `--on linux` works without",
    "packet sockets": "run as root; the course does without",
    "network namespaces": "allow user namespaces, or be root; the course does without",
    "bpf(2)": "run as root, or with CAP_BPF; the course does without",
    "tcpdump": "install the package tcpdump; the course does without",
}


@dataclass(frozen=True)
class Finding:
    """One thing examined.  `needed`: the course cannot do without it."""

    name: str
    ok: bool
    detail: str
    cure: str = ""
    needed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def examine() -> tuple[Finding, ...]:
    """Examine everything once; nothing is changed on the machine."""
    return (
        python(),
        packages(),
        course_chapters(),
        *libpcaps(),
        native_code(),
        kernelspec(),
        jupyterlab(),
        browser(),
        *kernel(),
    )


def python() -> Finding:
    """Name the interpreter; one too old could not have imported this."""
    what = f"{platform.python_version()} at {sys.executable}, {platform.platform(terse=True)}"
    return Finding("Python", True, what, needed=True)


def packages() -> Finding:
    """Look for the packages that bpfnb stands on."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        cure = f"python -m pip install {' '.join(missing)}"
        return Finding("packages", False, f"missing: {', '.join(missing)}", cure, needed=True)
    return Finding("packages", True, ", ".join(found), needed=True)


def course_chapters() -> Finding:
    """Look for the chapters this installation carries."""
    try:
        found = chapters()
    except BpfError as error:
        return Finding("chapters", False, error.message, error.hint, needed=True)
    if not found:
        return Finding("chapters", False, "this installation has none", "reinstall it", needed=True)
    return Finding("chapters", True, f"{len(found)} in {found[0].parent}", needed=True)


def libpcaps() -> Iterator[Finding]:
    """Load libpcap, the carried one and the system's; the course needs one of them."""
    cures = {
        "carried": "expressions are compiled by the system's instead",
        "system": "install the package libpcap0.8 or libpcap; expressions use the carried one",
    }
    findings = []
    for which, cure in cures.items():
        try:
            finding = Finding(f"libpcap, {which}", True, libpcap_version(which))
        except BpfError as error:
            finding = Finding(f"libpcap, {which}", False, first_line(error.message), cure)
        findings.append(finding)
    if any(finding.ok for finding in findings):
        yield from findings
        return
    for finding in findings:
        cure = "install the package libpcap0.8 or libpcap; without one there is no `%bpf`"
        yield Finding(finding.name, False, finding.detail, cure, needed=True)


def native_code() -> Finding:
    """Make a filter into this processor's instructions and run it."""
    from bpfnb.backends import native
    from bpfnb.cbpf.asm import assemble

    try:
        code = native.compiled(assemble("ret #1")).assembly
    except UnavailableError as error:
        return Finding("native code", False, error.message, CURES["native code"])
    return Finding("native code", bool(code), f"llvmlite {version('llvmlite')}")


def kernelspec() -> Finding:
    """Ask Jupyter for our kernelspec, and whether its interpreter is there."""
    name, cure = f"kernelspec {NAME}", "bpfnb kernel install"
    found = find_kernelspec()
    if found is None:
        return Finding(name, False, "Jupyter does not find it", cure, needed=True)
    folder, command = found
    if shutil.which(command[0]) is None and not command[0].startswith("python"):
        return Finding(name, False, f"{command[0]}, which it starts, is gone", cure, needed=True)
    return Finding(name, True, str(folder), needed=True)


def jupyterlab() -> Finding:
    """Look for JupyterLab in this environment."""
    try:
        return Finding("JupyterLab", True, version("jupyterlab"))
    except PackageNotFoundError:
        cure = "python -m pip install 'bpfnb[course]', or use another Jupyter with the kernelspec"
        return Finding("JupyterLab", False, "not in this environment", cure)


def browser() -> Finding:
    """Look for a browser, by the names of usual ones and as Python's webbrowser does."""
    found = [path for path in map(shutil.which, BROWSERS) if path]
    if found:
        return Finding("browser", True, ", ".join(found))
    try:
        return Finding("browser", True, f"the system's own ({webbrowser.get().name})")
    except webbrowser.Error:
        cure = "install one, or open the address JupyterLab prints on another machine"
        return Finding("browser", False, "none found", cure)


def kernel() -> Iterator[Finding]:
    """Try what the running kernel offers."""
    for ability in probe():
        cure = "" if ability.works else CURES.get(ability.name, "")
        yield Finding(ability.name, ability.works, ability.reason, cure)


def table(findings: Sequence[Finding]) -> str:
    """Lay findings out as text, one a line, the cure below what does not work.

    >>> print(table([Finding("a", True, "1.0"), Finding("tool", False, "gone", "get it")]))
    ✓ a     1.0
    ✗ tool  gone
            cure: get it
    """
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        mark = "✓" if finding.ok else "✗"
        must = " (the course needs it)" if finding.needed and not finding.ok else ""
        lines.append(f"{mark} {finding.name:{width}}  {finding.detail}{must}")
        if finding.cure:
            lines.append(f"{'':{width + 4}}cure: {finding.cure}")
    return "\n".join(lines)


def first_line(message: str) -> str:
    """Return the first line of a message."""
    return message.strip().partition("\n")[0]
