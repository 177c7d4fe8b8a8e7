"""The adversary: whatever a packet, a file, a label or a user's words hold stays text.

HOSTILE has what is tried, SCENES the places where it gets in.  Each scene is shown by each
view there is (`VIEWS`, so that a new one is attacked too), and each field of each view that
holds words is filled with it.  Read by an HTML parser, no element, attribute or address may
appear that our views do not use; nothing moves a terminal's cursor; what can be read is there.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import struct
import sys
import warnings
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import bpfnb as bpf
import bpfnb.jupyter
import bpfnb.views
from bpfnb import cspf
from bpfnb.analysis import equivalence
from bpfnb.analysis.covering import covering_packets
from bpfnb.analysis.equivalence import Question as EquivalenceQuestion
from bpfnb.analysis.equivalence import equivalent
from bpfnb.analysis.synthesis import synthesize
from bpfnb.analysis.tree import tree
from bpfnb.backends import llvm_module, python_source
from bpfnb.backends.child import Answer
from bpfnb.backends.conformance import Machine, Outcome, Row
from bpfnb.backends.questions import Question
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.program import SourceLine
from bpfnb.errors import BpfError, CaptureError, Problem
from bpfnb.jupyter.completer import complete
from bpfnb.jupyter.cspf_magic import CspfResult
from bpfnb.jupyter.options import OPTIONS, VIEWS, Takes
from bpfnb.jupyter.result import Result, Words
from bpfnb.jupyter.runs import run_all
from bpfnb.jupyter.timing import Timing, Timings
from bpfnb.packets.capture import write_capture
from bpfnb.packets.packet import PacketBatch
from bpfnb.packets.source import packets
from bpfnb.views.conformance import Conformance
from bpfnb.views.cspf_runs import CspfSteps, CspfVerdict, CspfVerdicts
from bpfnb.views.debugger import Debugger, SaidView, StopView
from bpfnb.views.encoding import Encoding
from bpfnb.views.exercise import Chapter, Progress, Standing
from bpfnb.views.history import Event, History
from bpfnb.views.instruction_set import AddressingModes, InstructionSet
from bpfnb.views.made import CoveringPackets, MadePacket
from bpfnb.views.page import Page
from bpfnb.views.plots_lines import Lines
from bpfnb.views.plots_panels import Panels
from bpfnb.views.proof import Counterexample, Proof
from bpfnb.views.route import Route
from bpfnb.views.stepper import Stepper
from bpfnb.views.tap_overview import Slot, TapDriver, TapListener, TapOverview
from bpfnb.views.tap_records import ReadBytes, Stretch
from bpfnb.views.tap_timeline import BufferTimeline
from bpfnb.views.view import NO_MATH, View
from tests.capture_files import Frame, block, epb, idb, option, pcap
from tests.test_views import ATTRIBUTES, TAGS, VOID

MARK = "hacked"  # each attack has it, so that it is found wherever it gets to

HOSTILE = {
    "script": "<script>hacked()</script>",
    "image": "<img src=x onerror=hacked()>",
    "svg": "<svg/onload=hacked()>",
    "attribute": '" onmouseover="hacked()" x="',
    "apostrophe": "' onfocus='hacked()' autofocus '",
    "style": '";background:url(//hacked/)',
    "closing": "</td></table></pre></details></title></style>--> ]]><b onclick=hacked()>",
    "comment": "<!-- hacked",
    "declaration": "<![CDATA[<!DOCTYPE hacked ><?php hacked ?>",
    "entities": "&lt;hacked&gt;&#60;b&#62;&amp;lt;&quot;&NotEqualTilde",
    "address": "javascript:hacked() data:text/html,<b>",
    "formula": r"$\href{javascript:hacked()}{x}$ \(hacked^2\) $$\frac{$$ \begin{hacked}",
    "format": "{A.__class__} {0.__globals__} {hacked!r:>9} %s%n {{hacked}}",
    "terminal": "\x1b[2J\x1b]0;hacked\x07\x9b31m\x08\x7f",
    "lines": "hacked\r\n\x0b\x0c\x85\u2028\u2029\x1c\nhacked",
    "bidi": "\u202ehacked\u2066\u200f\ufeff\u2069",
    "nothing": "\0hacked\0",
    "surrogates": "\ud800hacked\udcff",
    "code": 'hacked"""\nimport os; os.system("hacked")\n#"""; !0 = !{hacked}\n}',
    "path": "../../hacked/$(hacked)`hacked`;hacked|hacked",
    "long": "<b>hacked" * 20_000,
}


def readable(attack: str) -> bool:
    """Whether all of it, and its quoted form, can be shown as it is."""
    short = len(attack) < 60 and "." not in attack  # a name's parts are told apart
    return short and attack.isascii() and attack.isprintable() and repr(attack)[1:-1] == attack


def together(size: int) -> list[str]:
    """All attacks, as many in a string as have room: each breaks out by itself or not at all."""
    found = [""]
    for attack in HOSTILE.values():
        if len(found[-1] + attack) > size:
            found.append("")
        found[-1] += attack
    return found


def in_bytes(attack: str) -> bytes:
    return attack.encode("utf-8", "surrogatepass")


# Reading what is shown


class Reader(HTMLParser):
    """All words and hints of a page; fails where anything else than views use is in it."""

    def __init__(self, tags: set[str]) -> None:
        super().__init__()
        self.allowed = tags
        self.open: list[str] = []
        self.words = ""
        self.classes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.allowed, tag
        for name, value in attrs:
            assert name in {*ATTRIBUTES, "class", "lang", "charset", "name", "content"}, (tag, name)
            value = value or ""
            if name in ("title", "alt"):
                self.words += f"\n{value}\n"
            elif name == "src":
                self.words += f"\n{picture(value)}\n"
            else:
                assert MARK not in value, (name, value)
                assert "url(" not in value
            if name == "class":
                self.classes.append(value)
        if tag not in {*VOID, "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert not self.open or self.open[-1] not in ("script", "style")
        self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        assert decl == "DOCTYPE html"

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")


def read(html: str, more: set[str] | None = None) -> Reader:
    reader = Reader(TAGS | {"code", "i"} | (more or set()))  # an exercise's hint has these two
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def picture(address: str) -> str:
    """The words of a picture that stands in its own address."""
    prefix, data = address[:26], address[26:]
    assert prefix == "data:image/svg+xml;base64,"
    return svg_words(base64.b64decode(data, validate=True).decode())


def svg_words(text: str) -> str:
    """The words of an SVG; fails where it is not well-formed, runs or loads anything."""
    words = ""
    for element in ET.fromstring(text).iter():
        tag = element.tag.rpartition("}")[2]
        active = {"script", "foreignObject", "a", "iframe", "image", "animate", "set", "handler"}
        assert tag not in active, tag
        words += f"{element.text or ''}\n{element.tail or ''}\n"
        for name, value in element.attrib.items():
            bare = name.rpartition("}")[2]
            assert not bare.startswith("on"), name
            assert bare != "href" or value.startswith("#"), value
            assert MARK not in value or bare == "aria-label", (name, value)
        assert tag != "style" or MARK not in (element.text or "")
    return words


def assert_harmless(text: str, keeps: str = "\n\t") -> None:
    """No character moves a cursor, turns writing round, or cannot be stored."""
    found = sorted({char for char in text if not char.isprintable() and char not in keeps})
    assert not found, [hex(ord(char)) for char in found]


def audit(view: View, folder: Path) -> str:
    """Look at every form of a view; the words of its HTML."""
    text = str(view)
    assert_harmless(text)
    bundle = View._repr_mimebundle_(view)
    assert bundle["text/plain"] == text
    html = bundle["text/html"]
    assert_harmless(html, "\n\t\N{NO-BREAK SPACE}")
    found = read(html)
    # Notebooks set $…$ of HTML as formulas, which can be links: not where this class is.
    assert html.startswith(f'<div class="{NO_MATH}">')
    assert found.classes == [NO_MATH]
    page = view.save(folder / "x.html").read_text("utf-8")
    assert found.words.strip() in read(page, {"html", "meta", "title", "body"}).words
    assert view.save(folder / "x.txt").read_text("utf-8") == f"{text}\n"
    if ".svg" in view.forms():
        svg_words(view.save(folder / "x.svg").read_text("utf-8"))
    live = view.live_stepper if isinstance(view, Result) and "step" in view.show else view
    words = found.words
    if isinstance(live, Stepper):
        words += audit_score(live.score())
    return words


def audit_score(score: dict[str, Any]) -> str:
    """What the live stepper is given: two pieces of HTML, and else what it sets as text."""
    json.dumps(score, ensure_ascii=False).encode()  # surrogates would not pass
    words = read(score["above"]).words + read(score["below"]).words
    for each in strings({**score, "above": "", "below": ""}):
        assert_harmless(each)
        words += f"\n{each}\n"
    for insn in score["listing"]:
        assert re.fullmatch("#[0-9A-Fa-f]{6}", insn["tone"])  # this one sets a style
    return words


def strings(value: Any) -> Iterator[str]:
    """All strings within plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from strings(key)
            yield from strings(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from strings(each)


# The places where it gets in: packets, their file, and the program


PINGS = (
    (0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 1), (6, 0, 0, 262144),
    (6, 0, 0, 0),
)  # fmt: skip
HOSTS = bytes.fromhex("02000000000b 02000000000a 0800")


def shown_by(program: bpf.Program, given: Any, **more: Any) -> Result:
    """The result of a run, as the magic makes it."""
    batch = packets(given)
    run = run_all(program, batch, ("interp", "pygen"))
    return Result(program, packets=batch, run=run, show=("verdicts",), numbers={}, **more)


def plain_program() -> bpf.Program:
    return bpf.Program.from_insns(PINGS)


def hostile_program() -> bpf.Program:
    """A label, a line of source for each attack, and an origin of them all."""
    attacks = list(HOSTILE.values())
    load = [(0x30, 0, 0, at) for at in range(len(attacks))]
    return bpf.Program(
        tuple(Insn(*row) for row in (*load, *PINGS)),
        labels={attack: at for at, attack in enumerate(attacks)},
        lines=tuple(SourceLine(at, each) for at, each in enumerate([*attacks, *map(str, PINGS)])),
        origin=" ".join(attacks),
    )


def scapy_packets(layer: Callable[[bytes], Any], linktype: int = 1) -> PacketBatch:
    """A packet an attack: what scapy builds of it, which is all that a capture would keep."""
    return packets([bytes(layer(in_bytes(each)[:400])) for each in HOSTILE.values()], linktype)


def ether() -> Any:
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Ether

    wire = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
    return wire / IP(src="192.0.2.1", dst="192.0.2.2")


def payload() -> PacketBatch:
    from scapy.layers.inet import ICMP

    return scapy_packets(lambda attack: ether() / ICMP() / attack)


def dns() -> PacketBatch:
    from scapy.layers.dns import DNS, DNSQR
    from scapy.layers.inet import UDP

    def asked(attack: bytes) -> Any:
        name = attack.replace(b".", b"").replace(b"\0", b"")[:60]
        return ether() / UDP(sport=5000, dport=53) / DNS(qd=DNSQR(qname=name + b"."))

    return scapy_packets(asked)


def ssid() -> PacketBatch:
    from scapy.layers.dot11 import Dot11, Dot11Beacon, Dot11Elt

    air = Dot11(type=0, subtype=8, addr1="02:00:00:00:00:01", addr2="02:00:00:00:00:02")
    return scapy_packets(
        lambda attack: air / Dot11Beacon() / Dot11Elt(ID="SSID", info=attack[:200]), 105
    )


def dhcp() -> PacketBatch:
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.inet import UDP

    def asked(attack: bytes) -> Any:
        names = [("hostname", attack[:200]), ("vendor_class_id", attack[:200]), "end"]
        boot = BOOTP(sname=attack[:64], file=attack[:128])
        return ether() / UDP(sport=68, dport=67) / boot / DHCP(options=names)

    return scapy_packets(asked)


def names_on_udp() -> PacketBatch:
    """NetBIOS, TFTP and SNMP by turns."""
    from scapy.layers.inet import UDP
    from scapy.layers.netbios import NBNSHeader, NBNSQueryRequest
    from scapy.layers.snmp import SNMP
    from scapy.layers.tftp import TFTP, TFTP_RRQ

    kinds: list[Callable[[bytes], Any]] = [
        lambda attack: (
            UDP(sport=137, dport=137) / NBNSHeader() / NBNSQueryRequest(QUESTION_NAME=attack[:15])
        ),
        lambda attack: UDP(sport=5000, dport=69) / TFTP() / TFTP_RRQ(filename=attack),
        lambda attack: UDP(sport=5000, dport=161) / SNMP(community=attack[:100]),
    ]
    turns = iter(range(len(HOSTILE)))
    return scapy_packets(lambda attack: ether() / kinds[next(turns) % 3](attack))


def http() -> PacketBatch:
    from scapy.layers.inet import TCP

    line = b"GET /%b HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\n\r\n"
    return scapy_packets(
        lambda attack: ether() / TCP(sport=5000, dport=80) / (line % (attack, attack, attack))
    )


def named_file(folder: Path) -> Result:
    """A damaged file with a hostile name; one that no UTF-8 is."""
    attack = "".join(HOSTILE[each] for each in ("image", "formula", "terminal", "bidi", "lines"))
    name = os.fsencode(attack.replace("/", ""))[:200] + b"\xff.pcap"
    path = folder / os.fsdecode(name)
    frames = [Frame(HOSTS + bytes(30), 44, 0), Frame(bytes(60), 60, 0)]
    path.write_bytes(pcap(frames)[:-1])
    return shown_by(plain_program(), path)


def options_file(folder: Path) -> Result:
    """pcapng with hostile words wherever the format has room for words."""
    words = in_bytes("".join(each for name, each in HOSTILE.items() if name != "long"))
    notes = option("<", 1, words) + option("<", 2, words) + option("<", 4, words)
    interface = b"".join(option("<", code, words) for code in (1, 2, 3, 11, 12, 15))
    head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    data = HOSTS + bytes(30)
    path = folder / "options.pcapng"
    path.write_bytes(
        block("<", 0x0A0D0D0A, head + notes)
        + idb("<", 1, options=interface)
        + block("<", 4, struct.pack("<HH", 1, 4 + len(words)) + bytes(4) + words + bytes(8))
        + epb("<", 0, 0, data, len(data), option("<", 1, words) + bytes(4))
        + epb("<", 0, 0, data, len(data))
    )
    return shown_by(plain_program(), path)


def words_of_users(folder: Path) -> Result:
    """What else stands beside views: notes, and a check's words."""
    return shown_by(plain_program(), [HOSTS + bytes(30)], notes=tuple(HOSTILE.values()))


Scene = Callable[[Path], Result]


def of_packets(made: Callable[[], PacketBatch]) -> Scene:
    return lambda folder: shown_by(plain_program(), made())


SCENES: dict[str, Scene] = {
    "program": lambda folder: shown_by(hostile_program(), [HOSTS + bytes(30)]),
    "payload": of_packets(payload),
    "dns": of_packets(dns),
    "ssid": of_packets(ssid),
    "dhcp": of_packets(dhcp),
    "udp": of_packets(names_on_udp),
    "http": of_packets(http),
    "file": named_file,
    "options": options_file,
    "notes": words_of_users,
}
# Views of one packet; the stepper has them all.
NUMBERED = {"log", *(row.name for row in OPTIONS if row.takes is Takes.NUMBER)} - {"step"}
# Where readable attacks must stand as they are: scene, view.
READ = {
    ("program", "listing"), ("program", "native"), ("payload", "bytes"), ("payload", "step"),
    ("dns", "verdicts"), ("dns", "trace"), ("dns", "why"), ("ssid", "verdicts"), ("ssid", "bytes"),
    ("notes", "listing"),
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Result]:
    return cache(lambda name: SCENES[name](tmp_path_factory.mktemp("scene")))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("place", SCENES)
def test_what_is_hostile_stays_text(
    scene: Callable[[str], Result], tmp_path: Path, place: str, view: str
) -> None:
    result = scene(place)
    words = ""
    for number in range(1, len(result.batch) + 1 if view in NUMBERED else 2):
        result.numbers[view] = number  # type: ignore[index]  # a dict, so that views stay cached
        words += audit(result.part(view), tmp_path)
    if place == "notes":
        words = audit(dataclasses.replace(result, show=(view,)), tmp_path)
    if (place, view) in READ:
        for attack in filter(readable, HOSTILE.values()):
            assert attack[:40] in words


def test_there_is_something_to_read() -> None:
    assert sum(map(readable, HOSTILE.values())) >= 6
    assert all(MARK in attack for attack in HOSTILE.values())


@pytest.mark.parametrize("place", SCENES)
def test_a_page_of_several_views_and_the_stepper_between_them(
    scene: Callable[[str], Result], tmp_path: Path, place: str
) -> None:
    result = scene(place)
    show = ("verdicts", "bytes", "step", "listing", "cfg")
    audit(dataclasses.replace(result, show=show, numbers={}), tmp_path)
    assert_harmless(repr(result))
    assert_harmless(repr(result.packets))
    assert_harmless(repr(result.program))


# Every field of every view that holds words


def every_view() -> list[type[View]]:
    """All classes of views that can be made."""
    for package in (bpfnb.views, bpfnb.jupyter):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")

    def below(kind: Any) -> Iterator[type[View]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    kinds = dict.fromkeys(below(View))
    return [each for each in kinds if not inspect.isabstract(each) and is_ours(each)]


def is_ours(kind: type[View]) -> bool:
    return kind.__module__.startswith("bpfnb.") and not hasattr(kind, "_esm")


def conformance(words: str) -> Conformance:
    question = Question(words, words, "ret #1", paper=words, why=words)
    machines = (Machine(words, "interp", words, words), Machine("x", "linux", words))
    row = Row(question, (Answer("ret", "", 1), Answer("refused", words, None)))
    return Conformance(Outcome(machines, (row,), (words,)))


def stop(words: str) -> StopView:
    debugger = Debugger(plain_program(), [HOSTS + bytes(30)])
    debugger.logpoint(0, words.replace("{", "{{").replace("}", "}}"))
    made = debugger.run()
    assert isinstance(made, StopView)
    return made


def counterexample() -> Counterexample:
    plain, never = plain_program(), bpf.Program.from_insns([(6, 0, 0, 0)])
    wild = bpf.Program(plain.insns, hostile_program().labels, origin=hostile_program().origin)
    found = equivalent(EquivalenceQuestion(wild, never))
    assert isinstance(found, equivalence.Counterexample)
    return Counterexample.of(found)


# Views that no scene has: one of each, its words given.
def stack_program() -> cspf.Program:
    """All that can be said with one: the machine's words, and numbers."""
    return cspf.assemble("PUSHWORD+6 PUSHLIT|CAND ETHERTYPE_IP PUSHWORD+11 PUSH00FF|AND")


SAMPLES: dict[str, Callable[[str], View]] = {
    "AddressingModes": lambda words: AddressingModes(),
    "BufferTimeline": lambda words: BufferTimeline(
        words, 9, ((1, words, ((words, 4), ("hold", 9))), (5, "read", (("store", 4),))), 9
    ),
    "Conformance": conformance,
    "CspfListing": lambda words: stack_program().listing(),
    "CspfResult": lambda words: CspfResult(
        stack_program(), packets([in_bytes(words)]), ("verdicts", "listing", "trace", "tree")
    ),
    "CspfSteps": lambda words: CspfSteps(stack_program().trace(in_bytes(words)), words),
    "CspfVerdicts": lambda words: CspfVerdicts(
        [CspfVerdict.of(1, words, stack_program().trace(in_bytes(words)))], 1, 0
    ),
    "Encoding": lambda words: Encoding(Insn(0x28, 0, 0, 12)),
    "Counterexample": lambda words: counterexample(),
    "CoveringPackets": lambda words: CoveringPackets.of(covering_packets(hostile_program())),
    "History": lambda words: History((Event(1993, words, words, words),), words),
    "InstructionSet": lambda words: InstructionSet(),
    "Lines": lambda words: Lines(
        {words: [(1, 2.0), (2, 3.0)], "x": [(1, 1.0)]}, words, words, words, words
    ),
    "MadePacket": lambda words: MadePacket.of(synthesize(hostile_program())),
    "Models": lambda words: dataclasses.replace(
        cspf.models(hostile_program(), [in_bytes(words)]), lacking=words
    ),
    "Page": lambda words: Page((Words(words), Words(words, code=True))),
    "Panels": lambda words: Panels((words,), {words: {words: (1.0,), "x": (2.0,)}}, words, words),
    "Progress": lambda words: Progress(
        (Chapter(words, words, (Standing(words, words, "tried"),)),), words
    ),
    "Proof": lambda words: Proof(EquivalenceQuestion(hostile_program(), hostile_program())),
    "ReadBytes": lambda words: ReadBytes(
        in_bytes(words)[:40], (Stretch(0, 9, words, words), Stretch(9, 20, "padding", words)), 40, 1
    ),
    "Route": lambda words: Route((words, "x", words)),
    "SaidView": lambda words: SaidView(words, code=True),
    "StackTree": lambda words: stack_program().tree(),
    "StopView": stop,
    "TapOverview": lambda words: TapOverview(
        (TapDriver(words, 9, 8, lost=1),),
        (TapListener(words, words, 0, 8, 1, 2, 4, 1, 64, (Slot(words, 30, 1),), words),),
    ),
    "Timings": lambda words: Timings((Timing(words, (1.0,)), Timing("interp", (2.0,))), 1),
}
# Others are made of their fields without a default.
BY_TYPE: dict[str, Callable[[str], Any]] = {
    "Mapping[str, Any]": lambda words: {words: np.array([0, 7], np.uint32)},
    "Mapping[str, Mapping[int, int]]": lambda words: {words: {1: 2}, "x": {3: 1}},
    "Mapping[str, Sequence[float]]": lambda words: {words: [1.0, 2.0], "x": [3.0]},
    "Program": lambda words: hostile_program(),
    "Tree": lambda words: tree(bpf.Program(plain_program().insns, {words: 1}, origin=words)),
    "bool": bool,
    "tuple[Row, ...]": lambda words: (),
    "int": len,
    "str": str,
}
HTML_BY_CONTRACT = {("Stepper", "above"), ("Stepper", "below")}


def sample(kind: type[View], result: Result, words: str) -> View:
    """One view of a kind."""
    if kind.__name__ in SAMPLES:
        return SAMPLES[kind.__name__](words)
    if kind is Result:
        return result
    for name in VIEWS:
        if type(made := result.part(name)) is kind:
            return made
    assert dataclasses.is_dataclass(kind)
    needed = [each for each in dataclasses.fields(kind) if is_needed(each)]
    unknown = [each.type for each in needed if each.type not in BY_TYPE]
    assert not unknown, f"add a {kind.__name__} to SAMPLES, or {unknown} to BY_TYPE"
    return kind(**{each.name: BY_TYPE[str(each.type)](words) for each in needed})


def is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing


def filled(field: dataclasses.Field[Any], old: Any, words: str) -> Any:
    """A field's value with words in place of its own; None where it has none."""
    kind = str(field.type)
    if kind in ("str", "str | None"):
        return words
    if kind in ("tuple[str, ...]", "Sequence[str]"):
        return tuple(words for _ in old) or (words,)
    if kind == "Mapping[int, str]":
        return dict.fromkeys(old or (0,), words)
    if kind.startswith("Mapping[str,"):
        return {f"{words}{at or ''}": value for at, value in enumerate(old.values())}
    return None


@pytest.mark.parametrize("kind", every_view(), ids=lambda kind: kind.__name__)
def test_each_field_of_words_of_each_view_stays_text(
    scene: Callable[[str], Result], tmp_path: Path, kind: type[View]
) -> None:
    result = dataclasses.replace(scene("payload"), numbers={})
    assert dataclasses.is_dataclass(kind)
    for words in together(160):
        view = sample(kind, result, words)
        audit(view, tmp_path)
        assert_harmless(repr(view))
        for field in dataclasses.fields(kind):
            made = filled(field, getattr(view, field.name), words)
            if made is None or (kind.__name__, field.name) in HTML_BY_CONTRACT:
                continue
            try:
                audit(dataclasses.replace(view, **{field.name: made}), tmp_path)
            except BpfError as error:  # it takes a few words only
                assert_harmless(str(error))


# Errors


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    shell.run_line_magic("load_ext", "bpfnb")
    yield shell
    InteractiveShell.clear_instance()


def debugger(command: str) -> Callable[[str], object]:
    return lambda words: Debugger(plain_program(), [bytes(60)]).cmd(command + words)


def with_file(words: str) -> object:
    """A file of that name, as far as there can be one."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        name = words.replace("/", "").replace("\0", "")[:80]
        path = Path(folder, f"{name}.pcap")
        try:
            path.write_bytes(b"\0" * 60)
        except (OSError, UnicodeEncodeError):
            raise BpfError("there can be no such file") from None
        return bpf.open_capture(path)


FAILING: dict[str, Callable[[str], object]] = {
    "a capture's name": bpf.open_capture,
    "a broken capture's name": with_file,
    "a hex dump": lambda words: packets(f"0x0000: {words}"),
    "a program": lambda words: bpf.assemble(f"xyz {words}"),
    "an operand": lambda words: bpf.assemble(f"ret #\n{words}"),
    "a label": lambda words: bpf.assemble(f"{words}: jeq #1, {words}, {words}"),
    "a C array": lambda words: bpf.assemble(f"{{ {words} }}", "c"),
    "a dialect": lambda words: bpf.assemble("ret #0", words),
    "an expression": lambda words: bpf.compile_filter(f"icmp {words} icmp"),
    "a link type": lambda words: bpf.compile_filter("icmp", words),
    "a library": lambda words: bpf.compile_filter("icmp", library=f"/nowhere/{words}"),
    "a dialect of a text": lambda words: plain_program().text(words),
    "rules": lambda words: plain_program().check(words),
    "a backend": lambda words: plain_program().run_many([b""], words),
    "a view's file": lambda words: plain_program().listing().save(f"/nowhere/{words}.txt"),
    "a view's ending": lambda words: plain_program().listing().save(f"/nowhere/x.{words}"),
    "a written capture": lambda words: write_capture(f"/nowhere/{words}.pcap", packets([b"x"], 1)),
    "a command": debugger(""),
    "a condition": debugger("watch A == "),
    "a breakpoint": debugger("breakpoint 0 if "),
    "a template": debugger("log 0 {x"),
    "a template's form": debugger("log 0 {A:"),
    "a capture of the debugger": debugger("load pcap /nowhere/"),
    "a program of the debugger": debugger("load bpf xyz "),
    "a problem": lambda words: raised(bpf.AssemblyError((Problem(1, 1, 1, *[words] * 4),))),
    "a broken record": lambda words: raised(CaptureError(words, 1, words, words)),
    "a sample": lambda words: bpf.samples.open(words),
    "a scapy packet": lambda words: packets({words: 1}),
}


def raised(error: Exception) -> object:
    raise error


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("place", FAILING)
def test_an_error_shows_what_is_hostile_and_does_nothing(place: str, attack: str) -> None:
    with pytest.raises(BpfError) as caught:
        FAILING[place](HOSTILE[attack])
    assert_harmless(str(caught.value))
    assert_harmless("\n".join(caught.value._render_traceback_()))


LINES = (
    "--{}", "-{}", "--show {}", "--on {}", "-s {}", "-p ({}", "-p {}", "-o {}", "--program {}",
    "-F /nowhere/{}", "-r /nowhere/{}", "tcpdump --{}", "tcpdump -r {}.pcap", "--rules {}",
    "--trace={}", "-y {} icmp", "--libpcap /nowhere/{} icmp",
)  # fmt: skip


@pytest.mark.parametrize("attack", ["image", "terminal", "bidi", "surrogates", "nothing", "format"])
@pytest.mark.parametrize("line", LINES)
def test_a_wrong_line_is_told_without_doing_anything(
    shell: InteractiveShell, line: str, attack: str
) -> None:
    own = (SyntaxError, NameError, UnicodeError) if line == "-p {}" else ()  # their own Python
    with pytest.raises((UsageError, BpfError, *own)) as caught:
        shell.run_line_magic("bpf", line.format(HOSTILE[attack].replace(" ", "")))
    if not isinstance(caught.value, own):
        assert_harmless(str(caught.value))


def test_an_ignored_flag_and_a_swallowed_instruction_are_named_harmlessly(
    shell: InteractiveShell, tmp_path: Path
) -> None:
    for attack in HOSTILE.values():
        word = re.sub(r"""[\s"'\\]""", "", attack)[:400]
        audit(shell.run_line_magic("bpf", f"-i {word} -w {word} icmp"), tmp_path)
    wild = "\x1b[2J\x9b31m" + HOSTILE["bidi"] + HOSTILE["image"]
    result = shell.run_cell_magic("bpf", "", f"ldb [0]; /* {wild} */ tax\nret #1 /* {wild} */")
    assert "is no part of the program" in audit(result, tmp_path)


def test_a_damaged_file_is_told_harmlessly_wherever_it_is_told(tmp_path: Path) -> None:
    result = named_file(tmp_path)
    assert_harmless(repr(result.packets))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result.program.run_many(result.packets)
    assert said
    for each in said:
        assert_harmless(str(each.message))
    debug = result.program.debug(result.packets)
    stop = debug.run()
    assert isinstance(stop, View)
    assert "damaged" in audit(stop, tmp_path)
    assert_harmless(str(debug) + repr(debug))
    read(debug._repr_html_())


def test_only_words_of_an_assembler_are_offered() -> None:
    for attack in HOSTILE.values():
        for before in ("jeq #1, ", "ld ", "", "ld #"):
            text = f"%%bpf\n{attack}: ret #0\n{before}"
            line = text.count("\n")
            _, choices, _ = complete(text, line, len(text.split("\n")[line]))
            offered = [word for words, _ in choices for word in words]
            assert all(re.fullmatch(r"#?\w[\w.]*", word) for word in offered), offered


# Nothing runs


HEARD: list[str] | None = None
RUNS = ("exec", "compile", "import", "os.", "subprocess.", "pickle.", "socket.", "ctypes.dlopen",
        "shutil.", "urllib.", "webbrowser.")  # fmt: skip


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if HEARD is not None and event.startswith(RUNS):
        HEARD.append(f"{event} {arguments!r:.200}")


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Fail where Python is told to compile, import, start or connect to anything."""
    global HEARD
    if listen not in AUDITED:
        sys.addaudithook(listen)
        AUDITED.append(listen)
    HEARD = []
    try:
        yield
        heard = HEARD
    finally:
        HEARD = None
    # Files are looked for and looked at; `spec` and `listdir` run nothing.
    assert [each for each in heard if not each.startswith(("os.listdir", "os.scandir"))] == []


AUDITED: list[object] = []
EVIL = "__import__('os').system('touch hacked')"


def test_the_ear_hears() -> None:
    with pytest.raises(AssertionError, match="compile"), nothing_runs():
        eval("1 + 1")


def test_opening_and_showing_a_capture_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "evil.pcap"
    wild = [EVIL, f"{{{{{EVIL}}}}}", f"{{0.__class__}}{EVIL}", *HOSTILE.values()]
    frames = [ping(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR." + in_bytes(each)) for each in wild]
    path.write_bytes(pcap(frames))
    good = tmp_path / "good.pcap"
    good.write_bytes(pcap([ping(b"x")]))

    def shows(file: Path) -> None:
        batch = bpf.open_capture(file)
        for number in range(len(batch)):
            batch.summary(number)
            trace = program.trace(batch[number])
            str(trace.bytes()), trace.bytes().html(), str(trace.why()), str(trace.table())

    program = plain_program()
    shows(good)  # what is imported when it is first needed
    with nothing_runs():
        shows(path)


def ping(data: bytes) -> Frame:
    from scapy.layers.inet import ICMP

    whole = bytes(ether() / ICMP() / data[:500])
    return Frame(whole, len(whole), 0)


TEXTS = (
    EVIL, f"ret #{EVIL}", f"ret #{{{{{EVIL}}}}}", f"{{ 0x28, 0, 0, {EVIL} }},", f"6 0 0 {EVIL}",
    f"1,6 0 0 {EVIL}", f"(000) ret #{EVIL}", f"ldh [{EVIL}]", "ret #0 /* {A.__class__} */",
    f"BPF_STMT(BPF_RET, {EVIL}),", "0x0000:  4500 0028 " + EVIL, "ret #(1 << 99999999)",
    "ret #9**9**9**9", "ret #0x" + "f" * 99_999,
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_reading_a_listing_or_a_dump_runs_nothing(text: str) -> None:
    def reads() -> None:
        for read_one in (bpf.assemble, packets):
            try:
                read_one(text)
            except BpfError:
                pass

    reads()
    with nothing_runs():
        reads()


def test_python_in_braces_runs_from_a_cell_and_not_from_a_file(
    shell: InteractiveShell, tmp_path: Path
) -> None:
    path = tmp_path / "filter.bpf"
    path.write_text("ld #1\nret #{{touched.append(1) or 7}}\n", "utf-8")
    touched: list[int] = []
    shell.user_ns["touched"] = touched
    with pytest.raises(BpfError, match="line 2"):
        shell.run_line_magic("bpf", f"-F {path}")
    with pytest.raises(BpfError, match="line 2"):
        shell.run_cell_magic("bpf", f"-F {path}", "\n")
    assert touched == []
    shell.run_cell_magic("bpf", "", path.read_text("utf-8"))
    assert touched == [1]


@pytest.mark.parametrize(
    "template",
    ["{A.__class__}", "{A!r}", "{0.real}", "{A:{X}}", "{__import__('os')}", "{M.real}", "{A[0]}"],
)
def test_a_template_reads_numbers_and_no_attributes(template: str) -> None:
    with pytest.raises(BpfError):
        Debugger(plain_program(), [bytes(60)]).logpoint(0, template)


def test_generated_code_is_made_of_the_instructions_alone() -> None:
    wild = hostile_program()
    plain = bpf.Program.from_insns(wild.insns)
    assert python_source.source(wild) == python_source.source(plain)
    for module in (llvm_module.module, llvm_module.located_module, llvm_module.counting_module):
        assert module(wild) == module(plain)
        assert MARK not in module(wild)


def test_a_number_that_is_none_is_no_instruction() -> None:
    class Evil(int):
        def __format__(self, spec: str) -> str:
            return EVIL

        __str__ = __repr__ = lambda self: EVIL

    for k in (EVIL, b"1", None, 1.0):
        with pytest.raises(BpfError):
            bpf.Program.from_insns([(6, 0, 0, k)])  # type: ignore[list-item]
    made = bpf.Program.from_insns([(6, 0, 0, Evil(7))])
    assert "import" not in python_source.source(made) + llvm_module.module(made) + str(made)


# Files


def test_saving_over_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine", "utf-8")
    link = tmp_path / "x.txt"
    link.symlink_to(victim)
    plain_program().listing().save(link)
    assert victim.read_text("utf-8") == "mine"
    assert not link.is_symlink()
    assert link.read_text("utf-8").startswith("(000)")


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_view_is_saved_under_that_name_and_nowhere_else(tmp_path: Path, attack: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    name = f"{HOSTILE[attack].replace('/', '_')}.txt"
    try:
        saved = plain_program().listing().save(folder / name)
    except BpfError as error:
        assert_harmless(str(error))
        assert list(folder.iterdir()) == []
    else:
        assert list(folder.iterdir()) == [saved]
    assert list(tmp_path.iterdir()) == [folder]


def test_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../hacked", "x")
    path = tmp_path / "x.pcap"
    path.write_bytes(packed.getvalue())
    with pytest.raises(CaptureError, match="packed by zip"):
        bpf.open_capture(path)
    assert list(tmp_path.iterdir()) == [path]
