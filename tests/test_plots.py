"""Plots: the numbers they show, their bytes, and what labels may hold."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import bpfnb as bpf
from bpfnb.backends import MANY
from bpfnb.errors import BpfError, CheckError
from bpfnb.jupyter.result import Result
from bpfnb.jupyter.timing import Timing, Timings
from bpfnb.views import plots_instructions, style
from bpfnb.views.plots import InstructionCounts, Times, VerdictCounts
from bpfnb.views.plots_table import Plot

SVG = "{http://www.w3.org/2000/svg}"
NASTY = (
    "<script>alert(1)</script>",
    "$x^2$ \\frac{1}{2}",
    "two\nlines\tof\x00\x1b[2J it",
    "emoji \N{GRINNING FACE} \N{CJK UNIFIED IDEOGRAPH-6F22}",
    "x" * 10_000,
    "\ud800 alone",
    "a\"b & c'd",
    "",
)
RETS = {"icmp": [0, 96, 0, 0, 96], "arp": [0, 0, 0, 0, 0], "ip": [9, 9, 9, 9, 0]}


def root(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def words(svg: str) -> list[str]:
    """All text in a picture, in the order drawn."""
    return ["".join(each.itertext()) for each in root(svg).iter(f"{SVG}text")]


def place(word: str, svg: str) -> list[tuple[float, float]]:
    """Where a text stands."""
    return [
        (float(each.get("x", "nan")), float(each.get("y", "nan")))
        for each in root(svg).iter(f"{SVG}text")
        if each.text == word
    ]


def tick(word: str, svg: str) -> float:
    """Where a number stands under the scale, which is below all other text."""
    return max(place(word, svg), key=lambda at: at[1])[0]


def boxes(svg: str, fill: str) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of every path of a fill."""
    found = []
    for path in root(svg).iter(f"{SVG}path"):
        if re.search(rf"fill: {fill}(;|$)", path.get("style", "")):
            numbers = [float(each) for each in re.findall(r"-?[\d.]+", path.get("d", ""))]
            xs, ys = numbers[::2], numbers[1::2]
            found.append((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)))
    return found


def accepted(svg: str) -> list[float]:
    """Widths of bars in the tone of accepted packets, without the one at the head."""
    tone = style.ACCEPT.lower()
    return [width for _, top, width, _ in boxes(svg, tone) if top > 30]


def rejected(svg: str) -> list[float]:
    """Widths of hatched bars."""
    return [width for _, top, width, _ in boxes(svg, r"url\(#\w+\)") if top > 30]


def every_plot(names: tuple[str, ...]) -> list[Plot]:
    return [
        VerdictCounts({name: [0, 96] for name in names}),
        VerdictCounts({name: [0, 96, 20] for name in names}),
        InstructionCounts({name: {4: 2, 6: 1} for name in names}),
        Times({name: [4.0, 5.0, 6.0] for name in names}),
        Times({name: [4.0 * 10**at, 5.0 * 10**at] for at, name in enumerate(names)}),
    ]


def test_verdict_bars_are_as_long_as_packets_are_many() -> None:
    svg = VerdictCounts(RETS, by_ret=False).svg
    icmp, ip = accepted(svg)  # arp accepts none: it has no such bar
    assert ip == pytest.approx(2 * icmp, rel=1e-3)
    three, five, one = rejected(svg)
    assert three == pytest.approx(3 * one, rel=1e-3)
    assert five == pytest.approx(5 * one, rel=1e-3)
    assert five == pytest.approx(icmp + three, rel=1e-3)


def test_verdicts_have_a_word_and_a_hatch_beside_their_tone() -> None:
    svg = VerdictCounts(RETS).svg
    assert {"✓ accept", "✗ reject"} <= set(words(svg))
    (pattern,) = root(svg).iter(f"{SVG}pattern")
    assert pattern[0].get("fill") == style.REJECT.lower()
    assert "stroke: #ffffff" in pattern[1].get("style", "")


def test_a_verdict_that_is_not_none_is_seen() -> None:
    one = np.zeros(1_000_000, np.uint32)
    one[77] = 96
    plot = VerdictCounts({"rare": one})
    assert plot.answer() == "rare accepts 1 of 1,000,000 packets"
    assert min(accepted(plot.svg)) >= 1
    assert "<1%" in words(plot.svg)
    assert ">99%" in plot.text()


@pytest.mark.parametrize("backend", ["interp", "auto"])
def test_verdicts_are_those_of_each_packet_by_itself(backend: str) -> None:
    capture = bpf.samples.open("mixed")
    filters = {text: bpf.compile_filter(text) for text in ("icmp", "tcp", "udp port 53")}
    plot = VerdictCounts.of(filters, capture, backend)
    for name, program in filters.items():
        yes = sum(program.run(packet) > 0 for packet in capture)
        assert plot.accepted()[name] == (yes, len(capture))
        assert f"{yes}" in words(plot.svg)
        assert f"{len(capture) - yes}" in words(plot.svg)


def test_the_answer_names_who_accepts_most_and_fewest() -> None:
    assert VerdictCounts(RETS).answer() == "most accepted: ip, 4 of 5 packets; fewest: arp, 0"
    assert VerdictCounts({"a": [1, 0], "b": [0, 1]}).answer() == "both accept 1 of 2 packets"
    unlike = VerdictCounts({"a": [1, 0, 0], "b": [1]})
    assert unlike.answer() == "most accepted: b, 1 of 1 packet; fewest: a, 1 of 3"
    many = VerdictCounts({**{str(at): [0] for at in range(9)}, "x": [1]})
    assert many.answer() == "most accepted: x, 1 of 1 packet; fewest: 0, 1 and 7 more, 0"


def test_several_rets_have_a_row_each() -> None:
    plot = VerdictCounts({"lengths": [20, 0, 20, 24, 60, 60, 60]})
    assert plot.answer() == "lengths accepts 6 of 7 packets, with 3 different rets"
    shown = words(plot.svg)
    assert [each for each in shown if "ret " in each] == [
        "✗ ret 0", "✓ ret 20", "✓ ret 24", "✓ ret 60",
    ]  # fmt: skip
    twenty, once, sixty = accepted(plot.svg)
    assert (twenty / once, sixty / once) == pytest.approx((2, 3), rel=1e-3)
    assert "ret" not in VerdictCounts(plot.rets, by_ret=False).text()
    assert "✗ ret 0" in words(VerdictCounts(RETS, by_ret=True).svg)


def test_very_many_rets_are_put_together_and_none_is_lost() -> None:
    rets = np.arange(1_000_000, dtype=np.uint32)
    plot = VerdictCounts({"len": rets})
    rows = plot.cells()
    assert rows[0][1:4] == ["0", "✗ reject", "1"]
    assert rows[-1][1] == "999,992 others"
    assert sum(int(row[3].replace(",", "")) for row in rows) == 1_000_000


@pytest.mark.parametrize("wrong", [3, "abc", [None], [-1], [[1]], [[1], [1, 2]], [0.5]])
def test_what_is_no_ret_is_said(wrong: object) -> None:
    with pytest.raises(BpfError, match="these are no rets"):
        VerdictCounts({"x": wrong}).text()


def test_instructions_are_counted_as_traces_count_them() -> None:
    capture = bpf.samples.open("mixed")
    text = "tcp port 80 or udp port 53"
    programs = {
        "short": bpf.compile_filter(text),
        "long": bpf.compile_filter(text, optimize=False),
    }
    plot = InstructionCounts.of(programs, capture)
    for name, program in programs.items():
        lengths = [len(program.trace(packet).steps) for packet in capture]
        assert plot.counts[name] == Counter(lengths)
        assert f"{sum(lengths) / len(lengths):.1f}" in words(plot.svg)
        assert f"{max(lengths)}" in words(plot.svg)
        assert plot.sizes[name] == len(program)
    assert plot.answer().startswith("fewest instructions a packet: short, ")


def test_a_histogram_stands_over_its_numbers_and_is_as_high_as_they_are_many() -> None:
    svg = InstructionCounts({"x": {2: 10, 4: 30}}).svg
    first, second = boxes(svg, "#8a8a8a")
    assert second[3] == pytest.approx(3 * first[3], rel=1e-3)
    assert first[0] + first[2] / 2 == pytest.approx(tick("2", svg), abs=0.01)
    assert second[0] + second[2] / 2 == pytest.approx(tick("4", svg), abs=0.01)
    assert place("30", svg)[0][1] < second[1]  # the count is above its bar


def test_the_mean_is_marked_where_it_is() -> None:
    svg = InstructionCounts({"x": {2: 10, 4: 10}}).svg
    between = (tick("2", svg) + tick("4", svg)) / 2
    marks = [float(each.get("x", "nan")) for each in root(svg).iter(f"{SVG}use")]
    assert any(abs(mark - between) < 0.01 for mark in marks)


def test_long_programs_share_bars_and_rows_too_unlike_have_their_own_heights() -> None:
    spread = dict.fromkeys(range(1, 4097), 1)
    plot = InstructionCounts({"long": spread, "short": {3: 50}})
    assert any("100 a bar; heights by row" in word for word in words(plot.svg))
    assert len(boxes(plot.svg, "#8a8a8a")) == 42
    assert "… 4,085 more" in plot.text()


def test_of_a_large_batch_evenly_chosen_packets_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plots_instructions, "COUNTED", 10)
    program = bpf.compile_filter("icmp")
    batch = bpf.samples.open("mixed")
    plot = InstructionCounts.of({"icmp": program}, batch)
    assert plot.every == 11
    lengths = [len(program.trace(packet).steps) for packet in list(batch)[::11]]
    assert plot.counts["icmp"] == Counter(lengths)
    assert plot.answer().endswith(f"over {len(lengths)} packets, one in 11")


def test_a_program_that_is_not_legal_is_not_counted_unless_it_is_bounded() -> None:
    loop = bpf.Program.from_insns([(0x05, 0, 0, 0xFFFFFFFF), (6, 0, 0, 0)])
    with pytest.raises(CheckError):
        InstructionCounts.of(loop, [b"x"])
    with pytest.raises(BpfError, match="within 50 steps"):
        InstructionCounts.of(loop, [b"x"], budget=50)


def test_times_are_medians_over_a_scale_from_zero() -> None:
    plot = Times({"a": [10.0, 30.0, 20.0], "b": [40.0]}, 1000)
    assert plot.answer() == (
        "a is fastest, 20.0 ns a packet; b slowest, 40.0, 2.0× the time, over 1,000 packets"
    )
    first, second = boxes(plot.svg, "#8a8a8a")
    assert second[2] == pytest.approx(2 * first[2], rel=1e-3)
    assert {"20.0", "10.0 – 30.0", "40.0", "ns per packet"} <= set(words(plot.svg))


def test_times_far_apart_have_a_logarithmic_scale_and_say_so() -> None:
    plot = Times({"a": [4.0], "b": [40.0], "c": [4000.0]})
    assert "ns per packet, logarithmic scale" in words(plot.svg)
    assert not boxes(plot.svg, "#8a8a8a")  # a bar over such a scale would have no beginning
    ten, hundred, thousand = (tick(word, plot.svg) for word in ("10", "100", "1,000"))
    assert hundred - ten == pytest.approx(thousand - hundred, abs=0.01)
    assert not Times({"a": [4.0], "b": [80.0]}).logarithmic
    assert not Times({"a": [0.0], "b": [80.0]}).logarithmic
    assert Times({"a": [0.0]}).svg


@pytest.mark.parametrize("wrong", [[], [float("nan")], [-1.0], [float("inf")]])
def test_what_is_no_time_is_said(wrong: list[float]) -> None:
    with pytest.raises(BpfError, match="a: these are no times"):
        Times({"a": wrong})


def test_timings_draw_themselves() -> None:
    timings = Timings((Timing("native", (4.0, 5.0)), Timing("libpcap", (50.0,))), 9)
    assert timings.plot == Times({"native": (4.0, 5.0), "libpcap": (50.0,)}, 9)


def test_labels_stay_words() -> None:
    for plot in every_plot(NASTY):
        shown = words(plot.svg)
        assert "<script>alert(1)</script>" in shown
        assert "$x^2$ \\frac{1}{2}" in shown
        assert any(each.startswith("two lines of\N{REPLACEMENT CHARACTER}") for each in shown)
        assert all(len(each) < 80 for each in shown)
        assert not list(root(plot.svg).iter(f"{SVG}tspan"))
        assert "<script" not in plot.html()
        assert "<script" not in plot.svg


def test_a_long_label_stays_left_of_its_marks() -> None:
    svg = VerdictCounts({"x" * 400: [1, 0], "y": [1, 1]}).svg
    (cut,) = (each for each in words(svg) if each.startswith("xxx"))
    assert cut.endswith("…")
    assert len(cut) == 26
    (x, _) = place(cut, svg)[0]
    assert x - 26 * 6.7 > 0
    assert min(left for left, top, _, _ in boxes(svg, style.ACCEPT.lower()) if top > 30) > x


def test_two_labels_alike_in_their_first_letters_are_two() -> None:
    plot = VerdictCounts({"x" * 200 + "1": [1], "x" * 200 + "2": [0]})
    assert len(plot.cells()) == 2
    assert plot.accepted() == {"x" * 200 + "1": (1, 1), "x" * 200 + "2": (0, 1)}


@pytest.mark.parametrize(
    "plot",
    [
        VerdictCounts({}),
        VerdictCounts({"icmp": []}),
        VerdictCounts({"icmp": [0]}),
        InstructionCounts({}),
        InstructionCounts({"icmp": {}}),
        InstructionCounts({"icmp": {}, "arp": {4: 1}}),
        Times({}),
        *every_plot(tuple(str(at) for at in range(200))),
    ],
)
def test_nothing_one_and_two_hundred_are_drawn(plot: Plot) -> None:
    picture = root(plot.svg)
    width, height = (float(each) for each in picture.get("viewBox", "").split()[2:])
    assert width == 640
    assert 0 < height < 1400
    assert len(plot.text().splitlines()) <= 24
    assert "nan" not in plot.svg


def test_of_many_rows_the_first_are_drawn_and_it_is_said() -> None:
    plot = VerdictCounts({f"filter {at}": [at % 2] for at in range(200)})
    assert sum(each.startswith("filter") for each in words(plot.svg)) == style.FOLD
    assert "The first 20 of 200 rows are drawn" in plot.html()
    assert "… and 180 more rows" in plot.text()
    assert "filter 199" in plot.html()


@pytest.mark.parametrize("at", range(5))
def test_the_picture_is_an_image_with_words_and_survives_a_sanitiser(at: int) -> None:
    plot = every_plot(("icmp", "a <b>"))[at]
    html = plot.html()
    assert not re.search(r"<(svg|style|script)\b|var\(--", html)
    found = re.search(r'<img alt="([^"]*)"[^>]* src="data:image/svg\+xml;base64,([^"]*)"', html)
    assert found is not None
    assert base64.b64decode(found[2]).decode() == plot.svg
    assert unescape(found[1]) == plot.alt
    assert plot.alt.startswith(f"bar chart: {plot.answer()}; icmp: ")
    (title,) = root(plot.svg).findall(f"{SVG}title")
    assert title.text == plot.alt
    assert plot.question in unescape(html)
    for row in plot.cells():  # the table has every number of the chart
        assert all(each in unescape(html) for each in row)


def test_pictures_have_no_date_no_creator_and_the_page_s_own_letters() -> None:
    for plot in every_plot(("icmp", "arp")):
        assert not re.search(r"<dc:(date|creator)|matplotlib\.org|Created with", plot.svg, re.I)
        assert "<text" in plot.svg
        assert set(re.findall(r"font-family: ([^;]*);", plot.svg)) <= {
            "'DejaVu Sans', sans-serif",
            "'DejaVu Sans Mono', monospace",
        }


SAME = """
import hashlib, sys
from tests.test_plots import NASTY, every_plot
print(hashlib.sha256("".join(each.svg + each.text() for each in every_plot(NASTY)).encode(
    "utf-8", "surrogatepass")).hexdigest())
"""


def test_the_same_numbers_are_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(
        "svg.fonttype: path\ntext.usetex: True\naxes.facecolor: red\nfont.size: 30\n"
        "svg.hashsalt: mine\nlines.linewidth: 9\nxtick.direction: in\naxes.grid: True\n"
    )
    found = set()
    for seed, folder in (("0", ""), ("1", ""), ("2", str(tmp_path))):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        if folder:
            environment["MATPLOTLIBRC"] = folder
        ran = subprocess.run(
            [sys.executable, "-c", SAME], env=environment, capture_output=True, text=True,
            cwd=Path(__file__).parents[1], check=True,
        )  # fmt: skip
        found.add(ran.stdout)
        assert not ran.stderr
    assert len(found) == 1


def test_the_user_s_matplotlib_changes_nothing_and_is_not_changed() -> None:
    import matplotlib
    import matplotlib.style

    make: Callable[[], str] = lambda: Times({"a": [1.0, 2.0], "b": [3.0]}).svg  # noqa: E731
    plain = make()
    with matplotlib.style.context(["dark_background", {"font.size": 40, "axes.grid": True}]):
        before = dict(matplotlib.rcParams)
        assert make() == plain
        assert dict(matplotlib.rcParams) == before
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_threads_draw_the_same() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: VerdictCounts(RETS).svg, range(16)))
    assert len(found) == 1


def test_matplotlib_is_imported_when_a_chart_is_drawn() -> None:
    code = (
        "import sys, bpfnb.views.plots as p, bpfnb.jupyter.result\n"
        "plot = p.Times({'a': [1.0]}); plot.text(); plot.alt\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.svg; assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plot_is_saved_as_the_picture_it_is(tmp_path: Path) -> None:
    plot = VerdictCounts(RETS)
    assert plot.save(tmp_path / "x.svg").read_text("utf-8") == plot.svg
    assert plot.save(tmp_path / "x.txt").read_text("utf-8") == f"{plot.text()}\n"


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}})
    made = InteractiveShell.instance(config=config, colors="nocolor")
    made.run_line_magic("load_ext", "bpfnb")
    made.user_ns["pkts"] = bpf.samples.open("mixed")
    yield made
    InteractiveShell.clear_instance()


def ran(shell: InteractiveShell, line: str) -> Result:
    result = shell.run_line_magic("bpf", line)
    assert isinstance(result, Result)
    return result


def test_show_plots_has_verdicts_and_instructions_of_the_cell(shell: InteractiveShell) -> None:
    result = ran(shell, "-p pkts --show plots icmp")
    capture, program = shell.user_ns["pkts"], bpf.compile_filter("icmp")
    yes = sum(program.run(packet) > 0 for packet in capture)
    steps = Counter(len(program.trace(packet).steps) for packet in capture)
    text = result.text()
    assert f"icmp accepts {yes} of {len(capture)} packets" in text
    assert result.instruction_counts.counts == {"icmp": steps}
    assert result.instruction_counts.text() in text
    assert result.html().count("<img alt=") == 2
    assert "How long" not in result.html()
    assert ran(shell, "-p pkts --show plots icmp").html() == result.html()


def test_backends_stand_side_by_side_and_times_only_where_taken(shell: InteractiveShell) -> None:
    result = ran(shell, "-p pkts --on interp,libpcap --show plots --time icmp")
    assert list(result.verdict_counts.counts) == ["interp", "libpcap"]
    assert result.verdict_counts.answer() == "both accept 7 of 102 packets"
    assert result.html().count("<img alt=") == 3
    assert "libpcap" in result.plots.parts[-1].text()


def test_an_assembled_program_is_called_one(shell: InteractiveShell) -> None:
    result = shell.run_cell_magic("bpf", "-p pkts --show plots", "ldb [14]\nand #15\nret a")
    assert result.text().startswith("this program accepts ")


def test_a_batch_that_native_ran_is_counted_all_the_same(shell: InteractiveShell) -> None:
    pytest.importorskip("llvmlite")
    batch = bpf.samples.open("mixed")
    many = batch.take(np.tile(np.arange(len(batch)), 2 + 2 * MANY // len(batch)))
    shell.user_ns["many"] = many
    result = ran(shell, "-p many --on native --any-linktype --show plots -y RAW icmp")
    assert result.run is not None
    assert result.run.steps is None
    steps = result.instruction_counts.counts["icmp"]
    whole = result.instruction_counts.every
    assert sum(steps.values()) == -(-len(many) // whole)
    if whole == 1:
        assert sum(n * packets for n, packets in steps.items()) == sum(result.run.hits.pcs)


def test_plots_need_packets(shell: InteractiveShell) -> None:
    with pytest.raises(UsageError, match="--show plots needs packets"):
        ran(shell, "--show plots icmp")
    with pytest.raises(BpfError, match="there were no packets"):
        _ = ran(shell, "icmp").plots
