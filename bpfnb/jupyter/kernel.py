"""The kernel "BPF (Python)": ipykernel's own, with the bpfnb extension loaded.

Its language is still Python, so every notebook written for it also runs on a
plain Python kernel, whose first cell says `%load_ext bpfnb`.

Left out: magics and completion, which are `jupyter.magics` and
`jupyter.completer`; installing the kernelspec, which is `jupyter.kernelspecs`.
Source: ipykernel's documentation on wrapper kernels.
"""

from __future__ import annotations

from importlib.metadata import metadata, version
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from traitlets import default

from bpfnb.jupyter.magics import register

__all__ = ["BpfKernel", "project_links"]


def project_links() -> list[dict[str, str]]:
    """Links into the project's repository, as Jupyter's Help menu takes them.

    None as long as `[project.urls]` holds a placeholder, whose host ends in
    `.invalid`: a dead link is worse than no link.
    """
    links = []
    for entry in metadata("bpfnb").get_all("Project-URL") or []:
        name, _, url = entry.partition(", ")
        if ".invalid" not in url:
            links.append({"text": f"bpfnb: {name}", "url": url})
    return links


class BpfKernel(IPythonKernel):
    """A Python kernel in which `%bpf` works from the first cell on."""

    implementation = "bpfnb"
    implementation_version = version("bpfnb")

    @default("help_links")
    def _links_first_ours(self) -> list[dict[str, str]]:
        usual = IPythonKernel.help_links.default() or []
        return [*project_links(), *usual]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # ipykernel's has no types
        # Not by the extension manager: `%load_ext bpfnb` in a first cell stays silent.
        if self.shell is not None:
            register(self.shell)

    @property
    def banner(self) -> str:  # type: ignore[override]  # a plain attribute only in the base class
        """What a console shows before its first prompt."""
        return (
            f"bpfnb {self.implementation_version}: Python with BPF.  "
            "`%bpf icmp` compiles a filter, `%%bpf` assembles one, `%bpf?` is the help.\n"
            f"{super().banner}"
        )


if __name__ == "__main__":
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(kernel_class=BpfKernel)
