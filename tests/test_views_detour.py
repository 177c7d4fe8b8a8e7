"""Chapter 01's pictures: a route, a spread of times, a history."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from bpfnb.course import history
from bpfnb.errors import BpfError
from bpfnb.views.history import Event, History
from bpfnb.views.plots_spread import Spread, duration
from bpfnb.views.route import Route
from bpfnb.views.view import Picture

NASTY = "<script>x</script> $y$ \x1b[2J"
TIMES = {
    "direct": [50e3, 51e3, 52e3, 90e3],
    "2 proxies": [200e3] * 4 + [205e3] * 5 + [210e3, 2e9],
}
VIEWS: list[Picture] = [
    Route(("client", NASTY, "server")),
    Spread(TIMES, "request"),
    Spread({NASTY: [5.0], "b": [50_000.0]}),
    history.timeline(),
    History((Event(2000, NASTY, NASTY, NASTY),), NASTY),
]


def words(view: Picture) -> list[str]:
    """All texts of its picture."""
    texts = ElementTree.fromstring(view.svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(each.itertext()) for each in texts]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_a_picture_is_an_image_with_words_and_nothing_acts(view: Picture) -> None:
    html = view._repr_html_()
    assert not re.search(r"<(svg|style|script)\b|var\(--|\x1b", html)
    (alt,) = re.findall(r'<img alt="([^"]*)"', html)
    assert len(unescape(alt)) > 20
    assert "\x1b" not in view.svg + str(view)
    assert view.svg == view.svg.encode().decode()
    ElementTree.fromstring(view.svg)


def test_a_route_counts_each_crossing() -> None:
    for proxies in range(5):
        route = Route(("client", *["proxy"] * proxies, "server"))
        assert route.crossings == 2 * (proxies + 1)
        assert sum(what.startswith(("read", "write")) for _, what in route.told()) == (
            route.crossings
        )
        numbers = [int(each) for each in words(route) if each.isdigit()]
        assert numbers == list(range(1, route.crossings + 1))


@pytest.mark.parametrize("stops", [(), ("one",), ("x",) * 9])
def test_a_route_has_two_ends_and_not_too_many_between(stops: tuple[str, ...]) -> None:
    with pytest.raises(BpfError, match="give 2 to 8"):
        Route(stops)


def test_a_spread_compares_medians() -> None:
    plot = Spread(TIMES, "request")
    assert plot.answer() == "2 proxies: 4.0× the time of direct"
    assert plot.ratio("2 proxies") == pytest.approx(205 / 51.5)
    assert Spread(TIMES, against="2 proxies").cells()[0][-1] == "0.3×"
    assert "205 µs" in words(plot)
    assert "time of a request; 1 took longer than is drawn" in words(plot)  # the 2 s
    assert Spread({"a": [12.0]}).answer() == "a: 12.0 ns"
    assert Spread({}).answer() == "no times to compare"
    assert Spread({}).svg


def test_times_far_apart_are_on_a_logarithmic_scale() -> None:
    far, near = Spread({"a": [50.0], "b": [9e6]}), Spread({"a": [50.0], "b": [90.0]})
    assert {"100 ns", "10 µs", "time, logarithmic scale"} <= set(words(far))
    assert {"0", "20 ns", "time"} <= set(words(near))


@pytest.mark.parametrize("wrong", [[], [0.0], [-1.0], [float("nan")], [float("inf")]])
def test_what_is_no_time_is_said(wrong: list[float]) -> None:
    with pytest.raises(BpfError, match="a: these are no times"):
        Spread({"a": wrong})
    with pytest.raises(BpfError, match="no times of c"):
        Spread({"a": [1.0]}, against="c")


@pytest.mark.parametrize(
    ("ns", "said"),
    [(0.5, "0.50 ns"), (9.994, "9.99 ns"), (99.94, "99.9 ns"), (99.96, "100 ns"), (2e9, "2.00 s")],
)
def test_durations_have_three_digits(ns: float, said: str) -> None:
    assert duration(ns) == said


def test_the_history_is_in_order_and_every_year_has_a_source() -> None:
    view = history.timeline()
    assert all(one.year <= two.year for one, two in pairwise(view.events))
    html = unescape(view.html())
    for each in view.events:
        assert each.source
        assert each.source in html
        assert any(word.startswith(each.name) for word in words(view))
        assert f"{each.year} {each.name}" in view.alt


def test_nothing_comes_of_what_comes_later() -> None:
    with pytest.raises(BpfError, match="did not come before"):
        History((Event(1, "a", "", "", "b"), Event(2, "b", "", "")), "")
