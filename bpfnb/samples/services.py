"""DNS and HTTP between the hosts of the samples.

The web server and its client are Python's own; the name server is a few lines
here that answer what they are told to.  Left out: everything a name server
knows but one question and its records.

Source: RFC 1035 (DNS messages), RFC 7766 (DNS by TCP), RFC 9110.
"""

from __future__ import annotations

import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Sequence

from bpfnb.samples.hosts import ALICE, BOB
from bpfnb.samples.lab import Node, inside
from bpfnb.samples.talk import talk_tcp, talk_udp

__all__ = ["FINGER", "GET", "HELLO", "LONG_TEXT", "ask_dns", "browse", "lookups"]

DNS_TYPES = {"A": 1, "TXT": 16, "AAAA": 28}

# Turns of a conversation: what the client says, what it is answered.
HELLO = (b"hello", b"hello")
GET = (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nHello, Alice.\n")
FINGER = (b"bob\r\n", b"Login: bob\r\n")

# Three text records that are together too long for DNS by UDP.
LONG_TEXT = (bytes([200]) + b"a long text " * 16 + b"and more",) * 3


def ask_dns(
    client: Node,
    server: Node,
    port: int,
    name: str,
    kind: str,
    answers: Sequence[bytes],
    family: int = socket.AF_INET,
) -> None:
    """Ask for a name's records and answer; what is too long for UDP goes by TCP.

    No answers: the name does not exist.
    """
    question = dns_question(name, kind, ident=port & 0xFF)
    reply = dns_reply(question, kind, answers)
    short = len(reply) <= 512
    cut = reply if short else dns_reply(question, kind, [], truncated=True)
    talk_udp(client, server, (port, 53), [(question, cut)], family)
    if not short:
        long_question, long_reply = (
            struct.pack("!H", len(part)) + part for part in (question, reply)
        )
        talk_tcp(client, server, (port, 53), [(long_question, long_reply)], family)


def dns_question(name: str, kind: str, ident: int) -> bytes:
    """Return a query for one name, recursion desired."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    head = struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0)
    return head + labels + struct.pack("!BHH", 0, DNS_TYPES[kind], 1)


def dns_reply(
    question: bytes, kind: str, answers: Sequence[bytes], truncated: bool = False
) -> bytes:
    """Return the answer: the question again, then one record an answer, or NXDOMAIN."""
    flags = 0x8580 | (0x0200 if truncated else 0 if answers else 3)
    head = question[:2] + struct.pack("!5H", flags, 1, len(answers), 0, 0)
    records = [
        struct.pack("!HHHIH", 0xC00C, DNS_TYPES[kind], 1, 300, len(data)) + data for data in answers
    ]
    return head + question[12:] + b"".join(records)


def lookups(alice: Node, bob: Node) -> None:
    """Two questions about bob.example, one about a name that does not exist."""
    ask_dns(alice, bob, 41001, "bob.example", "A", [socket.inet_aton(BOB.ipv4)])
    ipv6 = socket.inet_pton(socket.AF_INET6, BOB.ipv6)
    ask_dns(alice, bob, 41002, "bob.example", "AAAA", [ipv6])
    ask_dns(alice, bob, 41003, "nobody.example", "A", [])


class Page(http.server.BaseHTTPRequestHandler):
    """A web server of one page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"<p>Hello, Alice.</p>\n" * (160 if self.path == "/" else 1)
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def browse(alice: Node, bob: Node, paths: tuple[str, ...] = ("/", "/missing")) -> None:
    """Get pages from bob's port 80 over one connection."""
    with inside(bob.namespace):
        server = http.server.HTTPServer((BOB.ipv4, 80), Page)
    served = threading.Thread(target=server.handle_request)
    served.start()
    client = http.client.HTTPConnection(BOB.ipv4, source_address=(ALICE.ipv4, 42001), timeout=2)
    with inside(alice.namespace):
        client.connect()
    for path in paths:
        client.request("GET", path)
        client.getresponse().read()
    client.close()
    served.join()
    server.server_close()
    time.sleep(0.1)
