"""Install the kernelspec "BPF (Python)" where another Jupyter finds it.

A wheel puts the kernelspec under its own environment's `share/jupyter`, with
`python` as the command, which Jupyter takes to be its own interpreter.  A
Jupyter in another environment needs this interpreter's full path instead.

Left out: the kernel itself, which is `jupyter.kernel`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from bpfnb.errors import BpfError

__all__ = ["NAME", "SOURCE", "find_kernelspec", "install_kernelspec"]

NAME = "bpfnb"
SOURCE = Path(__file__).resolve().parent / "kernelspec"


def install_kernelspec(prefix: str | None = None) -> Path:
    """Install below the folder `prefix`, or for this user.

    Return the folder it is in now.  Raises BpfError where that cannot be written.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / NAME
        shutil.copytree(SOURCE, copy)
        spec = json.loads((copy / "kernel.json").read_text(encoding="utf-8"))
        spec["argv"][0] = sys.executable
        (copy / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
        try:
            return Path(
                KernelSpecManager().install_kernel_spec(
                    str(copy), kernel_name=NAME, user=not prefix, prefix=prefix
                )
            )
        except OSError as error:
            raise BpfError(
                f"cannot install the kernelspec: {error}",
                "name a folder of your own: bpfnb kernel install --prefix FOLDER",
            ) from error


def find_kernelspec() -> tuple[Path, list[str]] | None:
    """Return the folder and the command of the kernelspec Jupyter finds, or None."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(NAME)
    except NoSuchKernel:
        return None
    return Path(spec.resource_dir), list(spec.argv)
