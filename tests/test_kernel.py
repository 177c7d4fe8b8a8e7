"""The kernel "BPF (Python)", by Jupyter's own conformance tests and a few of ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupyter_kernel_test
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import start_new_kernel

from bpfnb.jupyter.kernelspecs import SOURCE, find_kernelspec, install_kernelspec


class TestConformance(jupyter_kernel_test.KernelTests):  # type: ignore[misc]  # comes without types
    """The messages of the Jupyter protocol, checked by jupyter-kernel-test."""

    kernel_name = "bpfnb"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [  # noqa: RUF012  the base class says so
        {"text": "zi", "matches": {"zip"}},
        {"text": "%bp", "matches": {"%bpf", "%%bpf", "%bpf_hint", "%bpf_progress"}},
    ]
    complete_code_samples = ["1", "print('hello')", "%bpf icmp", "%%bpf\nret #0\n\n"]  # noqa: RUF012
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]  # noqa: RUF012
    invalid_code_samples = ["import = 7q"]  # noqa: RUF012
    code_page_something = "%bpf?"
    code_generate_error = "1 / 0"
    code_execute_result = [  # noqa: RUF012
        {"code": "1+2+3", "result": "6"},
        {"code": "2**32", "result": "4294967296"},
    ]
    code_display_data = [  # noqa: RUF012
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
            "mime": "text/html",
        },
    ]
    code_clear_output = "from IPython.display import clear_output; clear_output()"
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search")  # as with ipykernel's own
    code_inspect_sample = "zip"


@pytest.fixture(scope="module")
def client() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="bpfnb")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def ask(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """Run code; return what it shows, in order."""
    shown: list[dict[str, Any]] = []
    client.execute_interactive(code, timeout=60, output_hook=shown.append)
    wanted = ("stream", "execute_result", "display_data", "error")
    return [message["content"] for message in shown if message["msg_type"] in wanted]


def test_it_introduces_itself(client: BlockingKernelClient) -> None:
    client.kernel_info()
    content = client.get_shell_msg(timeout=60)["content"]
    assert content["implementation"] == "bpfnb"
    assert content["banner"].startswith("bpfnb 0.")
    assert "%bpf?" in content["banner"]
    links = content["help_links"]
    assert "Python Reference" in [link["text"] for link in links]
    assert not [link for link in links if ".invalid" in link["url"]]


def test_the_magic_works_in_the_first_cell(client: BlockingKernelClient) -> None:
    (shown,) = ask(client, "%bpf icmp")
    assert shown["data"]["text/plain"].startswith("(000) ldh      [12]")


def test_loading_the_extension_again_prints_nothing(client: BlockingKernelClient) -> None:
    assert ask(client, "%load_ext bpfnb") == []
    assert ask(client, "%load_ext bpfnb")[0]["name"] == "stdout"  # IPython's own remark


def test_a_wrong_program_fails_its_cell_without_a_traceback(client: BlockingKernelClient) -> None:
    (shown,) = ask(client, "%%bpf\nldq [12]\nret #0")
    assert shown["ename"] == "AssemblyError"
    assert "line 2, column 1" in "\n".join(shown["traceback"])
    assert "Traceback" not in "\n".join(shown["traceback"])


def test_the_installed_kernelspec_is_the_one_in_the_package() -> None:
    found = find_kernelspec()
    assert found is not None
    folder, command = found
    assert command[1:3] == ["-m", "bpfnb.jupyter.kernel"]
    for file in SOURCE.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_install_for_another_jupyter_names_this_interpreter(tmp_path: Path) -> None:
    folder = install_kernelspec(str(tmp_path))
    assert folder == tmp_path / "share" / "jupyter" / "kernels" / "bpfnb"
    spec = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    assert spec["argv"][0] == sys.executable
    manager = KernelSpecManager(kernel_dirs=[str(folder.parent)])
    assert manager.get_kernel_spec("bpfnb").display_name == "BPF (Python)"


@pytest.mark.parametrize("size", [32, 64])
def test_logos_are_pngs_of_their_size(size: int) -> None:
    header = (SOURCE / f"logo-{size}x{size}.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20]) == int.from_bytes(header[20:24]) == size
