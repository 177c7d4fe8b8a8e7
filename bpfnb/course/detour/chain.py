"""A server and some proxies before it, each a process of its own, on loopback.

    with Chain(proxies=2) as chain:
        chain.ask(b"how are you?", through=1)
    chain.counts                       # what each of them read, wrote and copied

The client is this process.  `through` says how many of the proxies a question takes: 0
asks the server itself.  All are gone when the `with` statement ends, whatever happens
in it; should this process be killed, they go by themselves.

Left out: what they do (`hop`), and how long it takes (`measured`).
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bpfnb.errors import BpfError, UnavailableError, brief

__all__ = ["Chain", "Counts", "Hop"]

PATIENCE = 10.0  # seconds that a start, an answer or an end may take
MOST = 8  # proxies
SIZE = 1 << 16
PROGRAM = Path(__file__).with_name("hop.py")


@dataclass(frozen=True)
class Counts:
    """How often a process read and wrote, and how many bytes went in and out by that."""

    reads: int
    writes: int
    copied: int


class Hop:
    """One process of `hop`, from its start to its end."""

    def __init__(self, *words: str) -> None:
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # an interrupt is for the notebook alone
            )
        except OSError as error:
            reason = error.strerror or error
            raise UnavailableError(f"no process can be started here: {reason}") from error

    def listens(self) -> int:
        """The port that it listens on; UnavailableError where it cannot."""
        word, _, rest = self.line().partition(" ")
        if word != "port":
            raise UnavailableError(
                f"loopback cannot be used here: {brief(rest) or 'no answer from a process'}"
            )
        return int(rest)

    def line(self) -> str:
        """The next line that it says; "" where it says none in time."""
        assert self.process.stdout is not None
        late = threading.Timer(PATIENCE, self.process.kill)
        late.start()
        try:
            said = b""
            while not said.endswith(b"\n") and (more := self.process.stdout.read(1)):
                said += more
        finally:
            late.cancel()
        return said.decode(errors="replace").strip()

    def end(self) -> str:
        """Let it go; what it said last."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            return self.line()
        finally:
            self.process.stdout.close()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Chain:
    """A server and `proxies` before it.  Use it in a `with` statement.

    UnavailableError where no process can be started, or loopback is refused.
    """

    def __init__(self, proxies: int = 2) -> None:
        if not 0 <= proxies <= MOST:
            raise BpfError(f"{proxies} proxies: give 0 to {MOST}")
        self.counts: dict[str, Counts] = {}
        self.hops: list[Hop] = []
        self.ports: list[int] = []
        self.ways: dict[int, socket.socket] = {}
        try:
            for at in range(proxies + 1):
                self.hops.append(Hop("proxy", str(self.ports[-1])) if at else Hop("server"))
                self.ports.append(self.hops[-1].listens())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Chain:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        proxies = len(self.ports) - 1
        return f"<Chain: a server and {proxies} {'proxy' if proxies == 1 else 'proxies'}>"

    def ask(self, question: bytes, through: int | None = None) -> bytes:
        """Send a question, and return the answer, which is as long.

        It goes through so many proxies, else through all, on a connection that is kept.
        """
        way = self.way(len(self.ports) - 1 if through is None else through)
        sender = threading.Thread(target=way.sendall, args=(question,), daemon=True)
        if len(question) > SIZE:  # more than buffers may hold: read meanwhile
            sender.start()
        else:
            way.sendall(question)
        answer = bytearray()
        while len(answer) < len(question):
            more = way.recv(SIZE)
            if not more:
                raise BpfError(f"the connection ended after {len(answer)} bytes")
            answer += more
        return bytes(answer)

    def way(self, through: int) -> socket.socket:
        """The connection that goes through so many proxies."""
        if through not in self.ways:
            if not 0 <= through < len(self.ports):
                raise BpfError(f"through {through} proxies: there are {len(self.ports) - 1}")
            try:
                made = socket.create_connection(("127.0.0.1", self.ports[through]), PATIENCE)
            except OSError as error:
                reason = error.strerror or error
                raise UnavailableError(f"loopback cannot be used here: {reason}") from error
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.ways[through] = made
        return self.ways[through]

    def close(self) -> None:
        """End all processes, the one that was asked first at first; keep their counts."""
        for way in self.ways.values():
            way.close()
        self.ways.clear()
        while self.hops:
            number = len(self.hops) - 1
            said = self.hops.pop().end()
            if said.startswith("{"):
                self.counts[f"proxy {number}" if number else "server"] = Counts(**json.loads(said))
