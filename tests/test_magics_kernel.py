"""The magics in a real kernel: what a front end gets, and that a wrong cell fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client: Any, cell: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a cell as nbval does: its reply, and what it sent."""
    sent: list[dict[str, Any]] = []
    reply = client.execute_interactive(
        cell, timeout=120, store_history=False, output_hook=sent.append
    )
    return reply["content"], [each for each in sent if each["msg_type"] != "status"]


def test_loading_says_nothing_and_again_neither(client: Any) -> None:
    for _ in range(2):
        reply, sent = execute(client, "from bpfnb import load_ipython_extension\n%load_ext bpfnb")
        assert reply["status"] == "ok"
        said = [each for each in sent if each["msg_type"] not in ("execute_input",)]
        assert said == [] or "already loaded" in said[0]["content"].get("text", "")


def test_a_result_is_text_and_html(client: Any) -> None:
    reply, sent = execute(client, "%bpf icmp")
    assert reply["status"] == "ok"
    (shown,) = [each["content"] for each in sent if each["msg_type"] == "execute_result"]
    assert set(shown["data"]) == {"text/plain", "text/html"}
    assert shown["data"]["text/plain"].startswith("(000) ldh      [12]\n")


def test_a_typo_fails_the_cell_with_one_message(client: Any) -> None:
    reply, _ = execute(client, "%%bpf\n ldh [12]\n jeqq #1, a\na: ret #0")
    assert reply["status"] == "error"
    assert reply["ename"] == "AssemblyError"
    shown = "\n".join(reply["traceback"])
    assert shown.startswith("AssemblyError: line 3, column 2:")
    assert "^^^^" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("%bpf tcp prot 80", "ExpressionError"),
        ("%%bpf -p [b'']\n ld #1", "CheckError"),
        ("%bpf -p 3 icmp", "PacketError"),
        ("%bpf -r /nothing.pcap icmp", "PacketError"),
        ("%bpf -p nosuch icmp", "NameError"),
    ],
)
def test_wrong_input_fails_the_cell(client: Any, cell: str, name: str) -> None:
    reply, _ = execute(client, cell)
    assert (reply["status"], reply.get("ename")) == ("error", name)


def test_help_is_a_page(client: Any) -> None:
    reply, _ = execute(client, "%bpf?")
    (page,) = reply["payload"]
    assert "pcap-filter(7)" in page["data"]["text/plain"]
    assert "--packets" in page["data"]["text/plain"]
