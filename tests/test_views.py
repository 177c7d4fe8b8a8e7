"""What holds for every view: safe and well-formed HTML, the same each time, saved whole."""

from __future__ import annotations

import base64
import re
import stat
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bpfnb.cbpf.checker import check, unsafe_reads
from bpfnb.cbpf.program import Program, SourceLine
from bpfnb.cbpf.trace import trace
from bpfnb.errors import BpfError
from bpfnb.views import style
from bpfnb.views.cfg import Graph
from bpfnb.views.code import PythonCode
from bpfnb.views.hits import Hits
from bpfnb.views.listing import Listing
from bpfnb.views.native import NativeCode
from bpfnb.views.page import Page
from bpfnb.views.trace import TraceLog, TraceTable
from bpfnb.views.verdicts import VerdictRow, Verdicts
from bpfnb.views.view import View

NASTY = "<script>alert(\"x\" & 'y')</script>"
VOID = {"img", "br"}

# What JupyterLab's sanitiser lets through in an untrusted notebook, of what we use.
TAGS = {
    "b", "br", "caption", "details", "div", "img", "pre", "span", "summary", "table", "tbody",
    "td", "th", "thead", "tr",
}  # fmt: skip
ATTRIBUTES = {"alt", "colspan", "height", "src", "style", "title", "width"}
PROPERTIES = {
    "background", "border", "border-bottom", "border-collapse", "border-left", "border-top",
    "color", "cursor", "display", "font-family", "font-size", "font-weight", "height",
    "line-height", "margin", "margin-right", "max-height", "max-width", "min-width", "opacity",
    "overflow-x", "overflow-y", "padding", "padding-bottom", "padding-top", "table-layout",
    "text-align", "vertical-align", "white-space", "width",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects tags, attributes and words, and checks that each tag is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def program(count: int = 0) -> Program:
    """icmp, or a longer program whose tests all end in one ret."""
    if not count:
        return Program.from_insns(
            [(0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 1),
             (6, 0, 0, 262144), (6, 0, 0, 0)]
        )  # fmt: skip
    tests = [(0x15, min(255, count - at), 0, at) for at in range(count)]
    return Program.from_insns([*tests, (6, 0, 0, 0), (6, 0, 0, 1)])


def ping(length: int = 42) -> bytes:
    frame = bytes(12) + b"\x08\x00\x45\x00" + bytes(7) + b"\x01" + bytes(18)
    return frame[:length]


def named() -> Program:
    return Program(
        program().insns,
        labels={NASTY: 5},
        lines=tuple(SourceLine(at, f"{NASTY} {at}") for at in range(6)),
        origin=NASTY,
    )


def listing() -> Listing:
    return Listing(named(), hits=(3, 3, 2, 2, 1, 2), packets=3, notes={0: NASTY})


def faulty() -> Listing:
    bad = Program.from_insns([(0x60, 0, 0, 3), (0x15, 9, 0, 0), (0x64, 0, 0, 40), (0xFF, 0, 0, 0)])
    return Listing(bad, faults=check(bad), warnings=unsafe_reads(bad), caption=NASTY)


def verdicts() -> Verdicts:
    rows = [VerdictRow(at, NASTY, (at % 2, 7), 60, 2, 1, NASTY) for at in range(1, 31)]
    return Verdicts(rows, ("interp", NASTY), caption=NASTY)


def graph() -> Graph:
    runs = [trace(program(), ping()), trace(program(), bytes(60))]
    return Graph(program(), Hits.of(program(), runs), runs[0].path, caption=NASTY)


VIEWS: dict[str, Callable[[], View]] = {
    "listing": listing,
    "listing with a path": lambda: Listing(program(), path=(0, 1, 5)),
    "listing with faults": faulty,
    "long listing": lambda: Listing(program(300), hits=[0] * 302),
    "listing of nothing": lambda: Listing(Program(())),
    "verdicts": verdicts,
    "graph": graph,
    "large graph": lambda: Graph(program(60)),
    "graph of nothing": lambda: Graph(Program(())),
    "graph too large": lambda: Graph(program(500)),
    "trace": lambda: TraceTable(trace(program(), ping()), NASTY),
    "trace log": lambda: TraceLog(trace(program(), ping(20)), NASTY),
    "native": lambda: NativeCode(named()),
    "long native": lambda: NativeCode(program(300)),
    "native of what is not legal": lambda: NativeCode(Program(())),
    "pygen": lambda: PythonCode(named()),
    "long pygen": lambda: PythonCode(program(300)),
    "pygen of what is not legal": lambda: PythonCode(Program(())),
    "page": lambda: Page((listing(), verdicts())),
}


@pytest.fixture(params=list(VIEWS))
def make(request: pytest.FixtureRequest) -> Callable[[], View]:
    return VIEWS[request.param]


def declarations(reader: Reader) -> Iterator[tuple[str, str]]:
    for _, name, value in reader.attributes:
        if name == "style":
            for each in filter(None, value.split(";")):
                prop, colon, setting = each.partition(":")
                assert colon, each
                yield prop.strip(), setting.strip()


def test_html_is_well_formed_and_passes_a_sanitiser_whole(make: Callable[[], View]) -> None:
    reader = read(make().html())
    assert reader.tags <= TAGS
    assert {name for _, name, _ in reader.attributes} <= ATTRIBUTES
    assert {prop for prop, _ in declarations(reader)} <= PROPERTIES
    assert not any("var(" in setting or "!" in setting for _, setting in declarations(reader))


def test_every_picture_carries_its_svg_and_has_words(make: Callable[[], View]) -> None:
    html = make().html()
    images = re.findall(r"<img [^>]*>", html)
    for image in images:
        assert 'alt="' in image
        prefix, _, data = image.partition("data:image/svg+xml;base64,")
        assert prefix, image
        root = ET.fromstring(base64.b64decode(data.split('"')[0]))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.get("width", "0")) > 0


def test_what_comes_from_users_is_text_and_never_markup(make: Callable[[], View]) -> None:
    html = make().html()
    assert "<script" not in html
    reader = read(html)
    assert "script" not in reader.tags
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)


@pytest.mark.parametrize("name", ["listing", "verdicts", "graph", "trace", "native"])
def test_what_comes_from_users_is_shown_as_they_wrote_it(name: str) -> None:
    assert NASTY in read(VIEWS[name]().html()).words


def test_two_views_of_the_same_are_the_same_to_the_byte(make: Callable[[], View]) -> None:
    assert make()._repr_mimebundle_() == make()._repr_mimebundle_()
    assert " at 0x" not in make().text()


def test_a_bundle_has_text_and_html_and_obeys_include_and_exclude(
    make: Callable[[], View],
) -> None:
    view = make()
    assert view._repr_mimebundle_() == {"text/plain": str(view), "text/html": view._repr_html_()}
    assert set(view._repr_mimebundle_(include={"text/html"})) == {"text/html"}
    assert set(view._repr_mimebundle_(exclude={"text/html"})) == {"text/plain"}


def test_pretty_printing_gives_the_text() -> None:
    class Printer:
        said = ""

        def text(self, obj: str) -> None:
            self.said += obj

    printer = Printer()
    Listing(program())._repr_pretty_(printer, cycle=False)
    assert printer.said == Listing(program()).text()


def test_saving_writes_the_form_that_the_ending_names(tmp_path: Path) -> None:
    view = graph()
    assert view.save(tmp_path / "a.txt").read_text("utf-8") == view.text() + "\n"
    assert view.save(tmp_path / "a.svg").read_text("utf-8") == view.svg
    page = view.save(str(tmp_path / "a.HTML")).read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert view.html() in page


def test_a_saved_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("", "utf-8")
    saved = Listing(program()).save(tmp_path / "saved.txt")
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_saving_over_a_file_replaces_it_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old " * 1000, "utf-8")
    Listing(program()).save(target)
    assert target.read_text("utf-8").startswith("(000) ldh")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["x.png", "x", "x.svg"])
def test_an_ending_without_a_form_is_refused_with_those_there_are(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BpfError, match=r"has no form .*\n.*\.txt, \.html"):
        Listing(program()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a\0.txt", "\ud800.txt"])
def test_a_name_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BpfError, match="cannot write"):
        Listing(Program.from_insns([(6, 0, 0, 0)])).save(tmp_path / name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BpfError, match="cannot write"):
        Listing(program()).save(tmp_path / "nowhere" / "x.txt")


def luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", [style.ACCEPT, style.REJECT, style.LINE, style.PATH, style.BAR])
def test_signs_and_lines_stand_out_on_light_and_dark_pages(colour: str, page: str) -> None:
    # WCAG 2.2, 1.4.11: 3 to 1 for graphics that carry meaning.
    assert contrast(colour, page) >= 3


def test_each_instruction_class_has_a_tone_and_loads_and_stores_share_theirs() -> None:
    assert len(set(style.TONES.values())) == 6
    assert style.tone(0x28) == style.tone(0xB1)
    assert style.tone(0x02) == style.tone(0x03)
    assert style.tone(0xFF) == style.GREY


@pytest.mark.parametrize(
    ("rows", "open_rows", "says"),
    [(20, 20, ""), (21, 21, ""), (22, 20, "2 more packets"), (120, 20, "100 more packets")],
)
def test_tables_fold_after_twenty_rows_and_say_how_many_follow(
    rows: int, open_rows: int, says: str
) -> None:
    html = style.table([style.row([style.cell("x")])] * rows, "packet")
    shown, _, folded = html.partition("<details>")
    assert shown.count("<tr") == open_rows
    assert folded.count("<tr") == rows - open_rows
    assert says in folded
    read(html)
