"""What the writer of a refused expression probably meant.

Each function knows one kind of mistake and returns the cure, or the empty
string.  `cure` asks them in order.  Left out: changing the expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network

from bpfnb.pcap.place import Place, tokens
from bpfnb.pcap.words import APPLICATIONS, DISPLAY, FIELDS, KEYWORDS, SYNONYMS

__all__ = ["Refusal", "cure"]

WANTING = {
    "and": "a test",
    "or": "a test",
    "not": "a test",
    "&&": "a test",
    "||": "a test",
    "!": "a test",
    "host": "an address or a name",
    "net": "a network, such as 10.0.0.0/8",
    "mask": "a netmask, such as 255.255.0.0",
    "port": "a port, by number or name",
    "portrange": "two ports, such as 6000-6008",
    "proto": "a protocol, by number or name",
    "protochain": "a protocol, by number or name",
    "src": "an address, or host, net, port and then a value",
    "dst": "an address, or host, net, port and then a value",
    "gateway": "a host's name",
    "less": "a number of bytes",
    "greater": "a number of bytes",
    "type": "mgt, ctl or data",
}
STARTS = {*KEYWORDS, "(", "!"} - {"and", "or", "mask", "proto", "protochain"}
RELATIONS = {"=", "==", "!=", "<", ">", "<=", ">="}
OPERATORS = {*RELATIONS, "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"}
DISPLAY_FIELD = re.compile(
    r"(?<![-.\w])([a-z0-9]+(?:\.[a-z_0-9]+)+)\s*(==|!=|>=|<=|=|>|<|\beq\b|\bcontains\b|\bmatches\b)"
    r"\s*([^\s)&|]*)"
)

LINKTYPES = {
    "inbound/outbound": "frames of LINUX_SLL, LINUX_SLL2, PPP and SLIP say it; others do not",
    "802.11": "compile it for such frames: link type IEEE802_11 or IEEE802_11_RADIO",
    "PF linktype": "compile it for pf's log: link type PFLOG",
    "ATM": "compile it for ATM: link type SUNATM",
}  # words of the error text -> where the primitive has a meaning


@dataclass(frozen=True)
class Refusal:
    """A refused expression, libpcap's `reason`, the `place` if it was found."""

    expression: str
    reason: str
    place: Place | None

    @property
    def word(self) -> str:
        """The text at the place."""
        return self.place.of(self.expression) if self.place else ""

    @property
    def unread(self) -> bool:
        """Whether the words make no sense to libpcap, rather than their values."""
        return "syntax error" in self.reason

    @property
    def before(self) -> list[str]:
        """The tokens before the place, nearest first."""
        stop = self.place.start if self.place else 0
        return [place.of(self.expression) for place in reversed(tokens(self.expression[:stop]))]


def cure(refusal: Refusal) -> str:
    """One sentence that mends the expression, or the empty string."""
    return next((found for mistake in MISTAKES if (found := mistake(refusal))), "")


def display_filter(refusal: Refusal) -> str:
    """`tcp.port == 80`: the language of Wireshark's display filters."""
    if not refusal.unread:
        return ""
    for field, relation, value in DISPLAY_FIELD.findall(refusal.expression):
        form = DISPLAY.get(field)
        if form is None and field.split(".")[0] not in {*KEYWORDS, *SYNONYMS, *APPLICATIONS}:
            continue
        lead = f"{field} is a display filter of Wireshark; "
        if form is None or not value:
            return lead + "libpcap has words such as tcp port 80, and bytes such as ip[8] = 64"
        if " = " in form and relation in RELATIONS:
            return lead + f"libpcap writes: {form.replace('=', relation).format(value)}"
        negation = "not " if relation == "!=" else ""
        return lead + f"libpcap writes: {negation}{form.format(value)}"
    return ""


def quotes(refusal: Refusal) -> str:
    """Quotes, which a shell would have taken away."""
    if refusal.word in ("'", '"', "`"):
        return "leave the quotes out: libpcap reads the words themselves"
    return ""


def upper_case(refusal: Refusal) -> str:
    """`TCP port 80`."""
    lower = refusal.word.lower()
    if refusal.word != lower and lower in KEYWORDS:
        return f"libpcap's words are in lower case: {lower}"
    return ""


def keyword_as_value(refusal: Refusal) -> str:
    r"""`proto tcp`, where only `proto \tcp` is a value."""
    before = refusal.before
    if refusal.word in KEYWORDS and before and before[0] in ("proto", "protochain"):
        return rf"{refusal.word} is a keyword; as a value it is \{refusal.word}"
    return ""


def comparison(refusal: Refusal) -> str:
    """`port = 80`, `tcp port == 80`."""
    before = refusal.before
    if refusal.word not in RELATIONS or not before:
        return ""
    if before[0] in WANTING:
        return f"{before[0]} takes its value without a sign: {before[0]} 80"
    return "what is compared is a number: bytes as in ip[8] = 64, or len"


def other_words(refusal: Refusal) -> str:
    """`ipv6`, `http`, and keywords mistyped."""
    word = refusal.word
    if word in KEYWORDS or not is_word(word):
        return ""
    if word in SYNONYMS:
        return f"libpcap's word for {word} is {SYNONYMS[word]}"
    if not refusal.unread and not refusal.reason.startswith("unknown host"):
        return ""
    if word in APPLICATIONS:
        return f"libpcap knows no {word}; by its number it is: {APPLICATIONS[word]}"
    close = get_close_matches(word, (*KEYWORDS, *FIELDS), n=1, cutoff=0.7)
    if close:
        return f"did you mean {close[0]}?"
    if refusal.unread and not refusal.before:
        return f"a name or an address wants a word before it: host {word}"
    return ""


def is_word(text: str) -> bool:
    """Whether it begins with a letter: no number, no sign."""
    return text[:1].isalpha()


def unfinished(refusal: Refusal) -> str:
    """The expression ends too early."""
    if not refusal.unread or refusal.place is None or refusal.word:
        return ""
    before = refusal.before
    opened, closed = before.count("("), before.count(")")
    if before[0] in WANTING:
        return f"{before[0]} wants {WANTING[before[0]]} after it"
    if before[0] in OPERATORS:
        return f"{before[0]} wants a number after it"
    if before.count("[") > before.count("]"):
        return "a [ is not closed"
    if opened > closed:
        return "a ( is not closed"
    return "this is a number, not yet a test: compare it, as in tcp[13] & 2 != 0"


def joined(refusal: Refusal) -> str:
    """Two tests side by side, commas, a bracket too many, a value that is none."""
    if not refusal.unread:
        return ""
    before = refusal.before
    if refusal.word in (",", ";"):
        return "between two values or tests stands and, or or: port 80 or 443"
    if refusal.word == ")" and before.count("(") <= before.count(")"):
        return "there is no ( for this )"
    if refusal.word in STARTS and before and before[0] not in {*WANTING, *OPERATORS, "("}:
        return "between two tests stands and, or or"
    if before and before[0] in WANTING:
        return f"{before[0]} wants {WANTING[before[0]]} after it"
    return ""


def networks(refusal: Refusal) -> str:
    """Masks at hosts, bits outside masks."""
    address = re.search(r"(?<![-.\w:])([0-9a-fA-F.:]+)\s*/\s*(\d+)", refusal.expression)
    if address is None or not refusal.reason.startswith(("Mask syntax", "non-network bits")):
        return ""
    network = network_of(*address.groups())
    return f"a network with its other bits 0 is: net {network}" if network else ""


def network_of(address: str, length: str) -> IPv4Network | IPv6Network | None:
    """The network an address lies in, None where the two make none."""
    if "." in address:
        address += ".0" * (3 - address.count("."))
    try:
        return ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return None


def port_range(refusal: Refusal) -> str:
    """`port 80-90`."""
    match = re.fullmatch(r"unknown port '(\d+-\d+)'", refusal.reason)
    return f"a range of ports is: portrange {match[1]}" if match else ""


def link_types(refusal: Refusal) -> str:
    """A primitive that this link type does not have."""
    if " supported " not in refusal.reason:
        return ""
    return next((hint for words, hint in LINKTYPES.items() if words in refusal.reason), "")


def by_reason(refusal: Refusal) -> str:
    """Error texts that have one cure each."""
    return next((hint for words, hint in REASONS.items() if words in refusal.reason), "")


REASONS = {
    "rejects all packets": "its tests exclude each other on this link type; compiled without "
    "the optimiser (-O, optimize=False) the program can be looked at",
    "netmask not known": "give the network's mask: netmask='255.255.255.0'; "
    "tcpdump -d takes 0.0.0.0",
    "data size must be": "three bytes are four, shifted: tcp[0:4] >> 8",
    "overflows 32 bits": "a number holds 0–4294967295",
    "ethernet address used": "say ether host, ether src or ether dst before it",
    "bogus ethernet address": "an Ethernet address has six bytes: 00:53:00:00:00:01",
    "invalid IPv4 address": "each of its four numbers is 0–255",
    "illegal link layer address": "ether wants an address such as 00:53:00:00:00:01; "
    "an IP address stands behind host",
    "modifier applied to ip6 host": "an IPv6 address stands behind ip6 host",
    "unknown host": "names are looked up on this machine; write the address instead",
    "unknown port": "names are looked up in this machine's /etc/services; write the number",
    "unknown network": "names are looked up on this machine; write it as net 10.0.0.0/8",
    "unknown ether host": "names are looked up in this machine's /etc/ethers; write the address",
    "'gateway' not supported": "libpcap with IPv6 has no gateway; "
    "say: ether host MAC and not host ADDRESS",
    "memory exhausted": "the parser holds 10,000 tokens at once; bracket less",
}

MISTAKES: tuple[Callable[[Refusal], str], ...] = (
    display_filter,
    quotes,
    upper_case,
    keyword_as_value,
    comparison,
    unfinished,
    port_range,
    other_words,
    joined,
    networks,
    link_types,
    by_reason,
)
