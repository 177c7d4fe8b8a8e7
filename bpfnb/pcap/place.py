"""Where in an expression libpcap stopped reading.

libpcap says what is wrong, seldom where.  The place is found by asking it
again about the front of the expression, cut behind one token after another:

    a syntax error    The parser reads one token ahead and stops at the first
                      that cannot follow.  Behind the cut goes MARKER, a token
                      whose own error libpcap reports as soon as it reads it.
                      If that is what it says, all before was well so far; if
                      it still says "syntax error", it stopped before MARKER.
    anything else     The first cut that gives the same error.

So a caret stands only where libpcap itself drew the line.  Left out: errors
that belong to no place (a filter that rejects everything), which the
optimiser finds, after the parser.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Place", "is_syntax", "locate", "tokens"]

MARKER = " 1:2:3:4:5"
MARKER_REASON = "bogus ethernet address"
MAX_LENGTH = 4096  # characters; a dozen questions about more take seconds

TOKEN = re.compile(
    r"""
      (?:[0-9A-Fa-f]{0,4}:){2,}[0-9A-Fa-f:.]*   # a MAC or IPv6 address
    | \\?[A-Za-z0-9](?:[-.\w]*[.\w])?           # a word, a number, an IPv4 address
    | && | \|\| | << | >> | [<>=!]=
    | \S
    """,
    re.VERBOSE | re.ASCII,
)
QUOTED = re.compile(r"""'([^']+)'|"([^"]+)\"""")

Attempt = Callable[[str], str | None]


class Place(NamedTuple):
    """Characters `start` to `stop` - 1 of the expression, counted from 0."""

    start: int
    stop: int

    @property
    def column(self) -> int:
        """Counted from 1, as messages do."""
        return self.start + 1

    def of(self, expression: str) -> str:
        """The text at this place; empty behind the end."""
        return expression[self.start : self.stop]


def tokens(expression: str) -> list[Place]:
    """The places of words, numbers, addresses and signs, in order.

    >>> [place.of("tcp[13]&2!=0") for place in tokens("tcp[13]&2!=0")]
    ['tcp', '[', '13', ']', '&', '2', '!=', '0']
    """
    return [Place(*match.span()) for match in TOKEN.finditer(expression)]


def is_syntax(reason: str) -> bool:
    """Whether it is the parser that gave up, rather than some rule's check."""
    return reason.endswith("syntax error")


def locate(expression: str, reason: str, attempt: Attempt) -> Place | None:
    """Where `reason` comes from; None where the place cannot be found.

    `attempt` compiles without the optimiser and returns libpcap's error text,
    or None when all is well.
    """
    if len(expression) > MAX_LENGTH:
        return None
    places = tokens(expression)
    named = only_name(expression, reason, places)
    if named is not None:
        return named
    if attempt(expression) != reason:
        return None
    tail = MARKER if is_syntax(reason) else ""
    if tail and not (attempt(tail) or "").startswith(MARKER_REASON):
        return None

    def stopped(place: Place) -> bool:
        return attempt(expression[: place.stop] + tail) == reason

    index = bisect_left(places, True, key=stopped)
    if index == len(places):
        end = len(expression.rstrip())
        return Place(end, end)
    return places[index] if tail else culprit(expression, reason, places[: index + 1])


def only_name(expression: str, reason: str, places: list[Place]) -> Place | None:
    """The name that cannot be looked up, if it stands there just once.

    Looking up a name may take seconds; this asks for none a second time.
    """
    if not reason.startswith("unknown "):
        return None
    names = quoted(reason)
    found = [place for place in places if place.of(expression) in names]
    return found[0] if len(found) == 1 else None


def culprit(expression: str, reason: str, read: list[Place]) -> Place:
    """The words that `reason` quotes, else the last token `read`."""
    last = read[-1]
    for name in quoted(reason):
        pattern = rf"(?<![-.\w]){re.escape(name)}(?![-.\w])"
        found = list(re.finditer(pattern, expression[: last.stop]))
        if found:
            return Place(*found[-1].span())
    if last.of(expression) in "])" and len(read) > 1:
        return read[-2]
    return last


def quoted(reason: str) -> list[str]:
    """What stands in quotes in an error text."""
    return [single or double for single, double in QUOTED.findall(reason)]
