"""Hostile packets, labels, files and words in JupyterLab: nothing runs, nothing is markup.

The same cells are run live, stepper included, and opened with stored outputs, trusted and not.
Watched are a flag that each attack sets, dialogs, errors of the page, requests to other hosts,
and every element and attribute of what is shown.  All that text alone can show is in
`tests/test_injection.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat import NotebookNode, write
from nbformat import v4 as notebooks
from nbformat.sign import NotebookNotary
from playwright.sync_api import Locator, Page, expect
from traitlets.config import Config

from bpfnb.jupyter.options import VIEWS
from tests.browser.conftest import Lab
from tests.browser.test_stepper import notebook, run_all

pytestmark = pytest.mark.browser

SCRIPT = "<script>window.hacked=1</script>"
IMAGE = "<img src=https://evil.invalid/x onerror=window.hacked=1>"
BREAK = "\" onmouseover='window.hacked=1' x=\""
CLOSE = "</td></pre></span><!--<svg/onload=window.hacked=1>"
MATH = r"$\href{https://evil.invalid/}{x}$ \(x^2\) $$\frac{y}{z}$$"
ATTACKS = [SCRIPT, IMAGE, BREAK, CLOSE, MATH, "\x1b[31m\x1b]8;;https://evil.invalid/\x07x\u202e"]
ALL = ",".join(VIEWS)

SETUP = f"""
%load_ext bpfnb
import bpfnb as bpf
import struct
from pathlib import Path
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
attacks = {ATTACKS!r}
wire = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")/IP(src="192.0.2.1", dst="192.0.2.2")
packets = [wire / ICMP() / each for each in attacks]
packets += [wire / UDP(sport=5000, dport=53) / DNS(qd=DNSQR(qname=each.replace(".", "")[:60] + "."))
            for each in attacks]
kept = [bytes(each) for each in packets]
records = b"".join(struct.pack("<IIII", 0, 0, len(each), len(each)) + each for each in kept)
damaged = Path("".join(attacks).replace("/", "")[:120] + ".pcap")
_ = damaged.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records[:-1])
""".strip()
BODY = f"""
        ldh [12]                ; {IMAGE} {BREAK} {MATH}
        jeq #0x800, yes, no     /* {SCRIPT} {CLOSE} */
yes:    ret #-1
no:     ret #0
""".strip()
LABELLED = """
labels = dict(zip(attacks, range(6)))
wild = bpf.Program(bpf.compile_filter("icmp").insns, labels, origin=" ".join(attacks))
wild.native()
""".strip()
LOGGED = f"""
debug = bpf.compile_filter("icmp").debug(packets)
debug.cmd("log 0 " + {(IMAGE + CLOSE)!r} + " {{A}}")
debug.run(1)
""".strip()
# A cell, and whether it is meant to fail.
CELLS: list[tuple[str, bool]] = [
    (SETUP, False),
    (f"%%bpf -p packets --show {ALL}\n{BODY}", False),
    (f"%bpf -p damaged --show {','.join(each for each in VIEWS if each != 'step')} icmp", False),
    (LABELLED, False),
    ("%bpf -w '<img/src=x/onerror=window.hacked=1>' -i $0$ icmp", False),
    (LOGGED, False),
    ("bpf.open_capture('/nowhere/' + ''.join(attacks))", True),
    ("bpf.assemble('xyz ' + ' '.join(attacks))", True),
    ("bpf.compile_filter(' '.join(attacks[:4]))", True),
    ("%bpf --show <script>window.hacked=1</script> icmp", True),
    ("raise bpf.BpfError(' '.join(attacks), attacks[0])", True),
    ("%bpf -p packets --show verdicts,step,bytes icmp", False),
]

# What is foreign in outputs: elements that views do not use, attributes that run or load.
FOREIGN = """all => all.flatMap(root => [...root.querySelectorAll('*')]).flatMap(each => {
    const known = new Set(('b br caption details div img pre span summary table tbody td th thead'
      + ' tr button input select option label form ul li kbd p svg g path rect text title line'
      + ' polygon circle textarea code i').split(' '));
    // JupyterLab makes links of addresses in errors and other plain text, named as they lead.
    const own = each.localName === 'a' && each.closest('.jp-RenderedText')
        && (!each.href || (each.textContent === each.getAttribute('href')
        && /^https?:/.test(each.href) && each.rel === 'noopener'));
    if (own) return [];
    const found = known.has(each.localName) ? [] : [`<${each.localName}>`];
    for (const { name, value } of each.attributes) {
        if (/^on/i.test(name)) found.push(`${name}=${value}`);
        if (/^(src|href|xlink:href|action|data|formaction|srcdoc)$/.test(name)
            && !value.startsWith('data:image/svg+xml;base64,')) found.push(`${name}=${value}`);
        if (/hacked|evil/.test(value) && !/^(title|alt|aria-|data-)/.test(name)
            && !(name === 'value')) found.push(`${name}=${value}`);
    }
    return found;
})"""
OUTPUTS = ".jp-OutputArea-output"


class Watch:
    """What a page does that it must not."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page, self.seen = page, list[str]()
        home = urlsplit(lab.url).netloc

        def asked(url: str) -> None:
            out = urlsplit(url).scheme in ("http", "https", "ws", "wss")
            if out and (urlsplit(url).netloc != home or "evil" in url):
                self.seen.append(f"a request to {url}")

        def opened(dialog: Any) -> None:
            self.seen.append(f"a dialog: {dialog.message}")
            dialog.dismiss()

        page.on("request", lambda request: asked(request.url))
        page.on("dialog", opened)
        page.on("pageerror", lambda error: self.seen.append(f"an error of the page: {error}"))
        page.on("popup", lambda popup: self.seen.append(f"a popup: {popup.url}"))
        page.on("console", lambda line: self.console(line.type, line.text))

    def console(self, kind: str, text: str) -> None:
        """A script that was refused says so here."""
        if kind == "error" and ("hacked" in text or "evil" in text or "Content Security" in text):
            self.seen.append(f"the console: {text}")

    def is_clean(self) -> None:
        """Nothing ran, nothing was fetched, nothing but what views use is shown."""
        outputs = self.page.locator(OUTPUTS)
        for each in outputs.all():  # JupyterLab draws what is seen
            each.scroll_into_view_if_needed()
        for summary in outputs.locator("summary").all():
            summary.evaluate("summary => { summary.parentElement.open = true }")
        self.page.wait_for_timeout(1500)  # formulas are set, pictures fail, a little later
        for target in outputs.locator("td[title]").all()[:5]:
            target.dispatch_event("mouseover")
        assert outputs.evaluate_all(FOREIGN) == []
        assert self.page.locator("mjx-container, .MathJax").count() == 0
        assert self.page.evaluate("window.hacked === undefined")
        assert self.seen == []


@pytest.fixture
def watch(lab: Lab, page: Page) -> Watch:
    return Watch(page, lab)


def shows(outputs: Locator, words: str) -> None:
    """Words stand there as they are."""
    text = "\n".join(outputs.all_text_contents())
    assert words in text, words


def test_live_outputs_and_the_stepper(lab: Lab, page: Page, watch: Watch) -> None:
    name = notebook(lab.folder, "hostile.ipynb", *(source for source, _ in CELLS))
    content = json.loads((lab.folder / name).read_text("utf-8"))
    for cell, (_, fails) in zip(content["cells"], CELLS, strict=True):
        cell["metadata"]["tags"] = ["raises-exception"] if fails else []
    (lab.folder / name).write_text(json.dumps(content), "utf-8")
    stepper = run_all(lab, page, name)
    expect(page.locator(".bpfnb-stepper")).to_have_count(2)

    for number in range(len(ATTACKS)):
        stepper.get_by_role("combobox", name="packet").select_option(str(number))
        stepper.get_by_role("listbox", name="program").focus()
        page.keyboard.press("End")
    hints = stepper.locator(".octet").evaluate_all("all => all.map(each => each.title).join()")
    assert "ICMP" in hints
    stepper.get_by_role("combobox", name="packet").select_option("1")
    hints = stepper.locator(".octet").evaluate_all("all => all.map(each => each.title).join()")
    assert IMAGE[:40] in hints
    names = stepper.get_by_role("combobox", name="packet").locator("option").all_inner_texts()
    assert any("<script>" in each for each in names)

    stepper.get_by_role("option").filter(has_text="(001)").click()
    log = "<img src=x onerror=window.hacked=1></div><script>window.hacked=1</script> $x^2$ {A:#x}"
    stepper.get_by_role("combobox", name="kind").select_option("log")
    stepper.get_by_role("textbox").fill(log)
    page.keyboard.press("Enter")
    stepper.get_by_role("listbox", name="program").focus()
    page.keyboard.press("End")
    expect(stepper.get_by_role("log")).to_contain_text("<img src=x onerror=window.hacked=1></div>")
    points = stepper.get_by_role("list", name="breakpoints, watches and logs")
    expect(points).to_contain_text("<script>window.hacked=1</script>")
    stepper.get_by_role("combobox", name="kind").select_option("watch")
    for wrong in ("A == <img src=x onerror=window.hacked=1>", "constructor == 1", "__proto__"):
        stepper.get_by_role("textbox").fill(wrong)
        page.keyboard.press("Enter")
        expect(stepper.get_by_role("alert")).to_contain_text("column ")
    for template in ("{A.constructor}", "{constructor}", "{__proto__}"):
        stepper.get_by_role("combobox", name="kind").select_option("log")
        stepper.get_by_role("textbox").fill(template)
        page.keyboard.press("Enter")
        expect(stepper.get_by_role("alert")).to_contain_text("column ")
    watch.is_clean()
    for words in (SCRIPT, IMAGE, BREAK[:20], CLOSE[:20], MATH[:30]):
        shows(page.locator(OUTPUTS), words)


@pytest.fixture(scope="module")
def stored(lab: Lab) -> NotebookNode:
    """The cells with the outputs that a kernel would have stored."""
    before = Path.cwd()
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    os.chdir(lab.folder)
    cells = []
    try:
        for source, fails in CELLS:
            with capture_output():
                result = shell.run_cell(source)
            assert result.success != fails, source
            cells.append(cell_of(shell, source, result))
    finally:
        os.chdir(before)
        InteractiveShell.clear_instance()
    made: NotebookNode = notebooks.new_notebook(cells=cells)
    return made


def cell_of(shell: InteractiveShell, source: str, result: Any) -> NotebookNode:
    """A cell as it is stored, without the widget's model, which no kernel is there for."""
    outputs = []
    error = result.error_in_exec or result.error_before_exec
    if error is not None:
        lines = getattr(error, "_render_traceback_", lambda: [f"UsageError: {error}"])()
        kind = type(error).__name__
        outputs = [notebooks.new_output("error", ename=kind, evalue=str(error), traceback=lines)]
    elif result.result is not None:
        assert shell.display_formatter is not None
        data, _ = shell.display_formatter.format(result.result)
        data = {kind: each for kind, each in data.items() if kind.startswith("text/")}
        outputs = [notebooks.new_output("execute_result", data, execution_count=1)]
    made: NotebookNode = notebooks.new_code_cell(source, execution_count=1, outputs=outputs)
    return made


@pytest.mark.parametrize("trusted", [False, True], ids=["untrusted", "trusted"])
def test_stored_outputs(
    lab: Lab, page: Page, watch: Watch, stored: NotebookNode, trusted: bool
) -> None:
    path = lab.folder / f"stored_{trusted}.ipynb"
    write(stored, path)
    if trusted:  # in the store of the lab's own server
        notary = NotebookNotary(data_dir=str(lab.folder.parent / "data"))
        notary.sign(stored)
        notary.store.close()
    page.goto(lab.page_url(path.name))
    outputs = page.locator(OUTPUTS)
    expect(outputs.first).to_be_visible()
    assert (page.locator(f"{OUTPUTS}.jp-mod-trusted").count() > 0) == trusted
    watch.is_clean()
    for words in (SCRIPT, IMAGE, BREAK[:20], CLOSE[:20], MATH[:30]):
        shows(outputs, words)
