"""Tab in %bpf and %%bpf: by IPython's own completer, and by a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from traitlets.config import Config

from bpfnb import samples
from bpfnb.jupyter.completer import complete

BODY = """%%bpf -p pkts
        ldh [12]
        jeq #ETHERTYPE_IP, yes, nothing
yes:    ret #-1
nothing: ret #0
"""


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "bpfnb")
    shell.user_ns.update(packets_of_mine=[b""], packets_of_others=[b""])
    yield shell
    InteractiveShell.clear_instance()


def offered(shell: InteractiveShell, text: str) -> dict[str, str | None]:
    """What Tab offers at the `|` in a cell: the whole text it leads to, and its type."""
    at = text.index("|")
    cell = text.replace("|", "", 1)
    assert shell.Completer is not None
    with provisionalcompleter():
        found = list(shell.Completer.completions(cell, at))
    return {cell[: each.start] + each.text + cell[each.end :]: each.type for each in found}


@pytest.mark.parametrize("jedi", [True, False])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%bpf --li|", {"--libpcap": "option"}),
        ("%bpf --tr|", {"--trace": "option"}),
        ("%bpf --by|", {"--bytes": "option"}),
        ("%bpf --show by|", {"bytes": "view"}),
        ("%bpf --wh|", {"--why": "option"}),
        ("%bpf --show expl|", {"explain": "view"}),
        ("r = %bpf -O --cf|", {"--cfg": "option"}),
        ("%%bpf -p pkts --qu|\n ret #0", {"--quiet": "option"}),
        ("%bpf --on li|", {"libpcap": "backend", "linux": "backend"}),
        ("%bpf --on=interp,li|", {"libpcap": "backend", "linux": "backend"}),
        ("%bpf --show ver|", {"verdicts": "view"}),
        ("%bpf --show cfg,xt|", {"xt_bpf": "view"}),
        ("%bpf --show native,py|", {"pygen": "view"}),
        ("%bpf -y LINUX_SLL2|", {"LINUX_SLL2": "link type"}),
        ("%bpf --rules lib|", {"libpcap": "rule set"}),
        ("%bpf --dialect dec|", {"decimal": "dialect"}),
        ("%bpf -i an|", {"any": "interface"}),
        ("%bpf_progress --f|", {"--forget": "option"}),
        ("%%bpf\n    tx|", {"txa": "mnemonic"}),
        ("%%bpf\nagain:  jne|\n ret #0", {"jneq": "mnemonic", "jne": "mnemonic"}),
        ("%%bpf\n ld hat|", {"hatype": "extension"}),
        ("%%bpf\n jeq #ethertype_ipv|", {"ETHERTYPE_IPV6": "constant"}),
        ("%%bpf\n ld #le|", {"len": "constant"}),
    ],
)
def test_what_begins_like_this_is_offered(
    shell: InteractiveShell, jedi: bool, text: str, expected: dict[str, str]
) -> None:
    assert shell.Completer is not None
    shell.Completer.use_jedi = jedi
    at = text.index("|")
    found = offered(shell, text)
    lead = text[:at].rstrip("abcdefghijklmnopqrstuvwxyz_LINUXS2-")
    assert found == {f"{lead}{word}{text[at + 1 :]}": kind for word, kind in expected.items()}


def test_labels_of_this_cell_are_offered_to_a_jump(shell: InteractiveShell) -> None:
    found = offered(shell, BODY.replace("yes, nothing", "yes, not|"))
    assert list(found) == [BODY]
    assert set(found.values()) == {"label"}


def test_the_users_names_are_offered_behind_p(shell: InteractiveShell) -> None:
    for start in ("-p ", "--packets=", "-p [x for x in ", "-p 'packets_of_mine + "):
        found = offered(shell, f"%bpf {start}packets_of|")
        assert [whole.rpartition("packets")[2] for whole in found] == ["_of_mine", "_of_others"]
    assert "%bpf -p packets_of_mine.append" in offered(shell, "%bpf -p packets_of_mine.app|")
    assert "%%bpf\nret #{{packets_of_mine" in offered(shell, "%%bpf\nret #{{packets_of_mi|")


def test_sample_captures_are_offered_behind_p_and_r(shell: InteractiveShell) -> None:
    dns = samples.path("dns")
    assert f"%bpf -p {dns}" in offered(shell, "%bpf -p dn|")
    assert f"%bpf -r {dns}" in offered(shell, "%bpf -r |")


def test_exercises_are_offered_where_one_is_wanted(shell: InteractiveShell) -> None:
    ids = {f"07.{number}" for number in range(1, 6)}
    for start in ("%bpf --exercise ", "%%bpf -q --exercise=", "%bpf_hint "):
        found = offered(shell, f"{start}07.|")
        assert {whole.removeprefix(start) for whole in found} == ids
        assert set(found.values()) == {"exercise"}


def test_nothing_of_ours_is_offered_elsewhere(shell: InteractiveShell) -> None:
    for text in ("x = 1\nx.re|", "%bpfother --sh|", "%%bpf\n ret #0 ; st|", "# %bpf\n--sh|"):
        assert not set(offered(shell, text).values()) & {"option", "mnemonic", "view"}, text


def test_a_cell_s_body_is_not_python(shell: InteractiveShell) -> None:
    """The cursor's column counts in its line, not in the cell."""
    assert set(offered(shell, "%%bpf\n ldh [12]\n r|").values()) == {"mnemonic"}
    assert complete("%%bpf\n ldh [12]\n r", 2, 2)[0] == "r"


@pytest.fixture(scope="module")
def client() -> Iterator[object]:
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive("%load_ext bpfnb", timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    ("cell", "matches"),
    [
        ("%bpf --show li", ["lint", "listing"]),
        ("%%bpf -p x\n  ldh [12]\n  stx", ["stx"]),
        ("%%bpf\nno: ret #0\n jeq #1, n", ["no"]),
    ],
)
def test_a_kernel_answers_complete_requests(client: object, cell: str, matches: list[str]) -> None:
    reply = client.complete(cell, len(cell), reply=True, timeout=60)["content"]  # type: ignore[attr-defined]
    assert reply["matches"] == matches
    assert reply["cursor_end"] == len(cell)
    assert cell[reply["cursor_start"] :] in matches[0]
