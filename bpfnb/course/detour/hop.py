"""One hop of a detour: a program that runs as a process of its own.

    python hop.py server              answers with the bytes that it was sent
    python hop.py proxy PORT          hands them on to PORT, and the answers back
    python hop.py pipe                answers on a pipe, in place of a socket

A server or a proxy says `port N` when it listens on loopback, or `error` and a reason;
when its standard input ends it says what it counted, and is gone.  So none outlives
who started it.

Left out: all that a proxy is good for.  It decides nothing, changes nothing and
encrypts nothing.  The standard library alone is needed, for a quick start.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading

__all__ = ["copy", "main"]

SIZE = 1 << 16  # bytes that one read may bring
LONGEST = 300.0  # seconds after which it goes in any case
COUNTS = {"reads": 0, "writes": 0, "copied": 0}  # `copied`: bytes in and out


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on all that comes, and its end."""
    while data := await reader.read(SIZE):
        writer.write(data)
        await writer.drain()
        COUNTS["reads"] += 1
        COUNTS["writes"] += 1
        COUNTS["copied"] += 2 * len(data)
    writer.write_eof()


async def relay(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy's side of a connection: a second one to `port`, and a copy at work each way."""
    beyond, onward = await asyncio.open_connection("127.0.0.1", port)
    at_once(onward)
    ways = [asyncio.ensure_future(copy(*way)) for way in ((reader, onward), (beyond, writer))]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()
        onward.close()


def at_once(writer: asyncio.StreamWriter) -> None:
    """Send small messages at once."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def listen(port: int | None) -> None:
    """Serve, or relay to `port`, until the standard input ends."""

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_once(writer)
        try:
            await (copy(reader, writer) if port is None else relay(port, reader, writer))
        except OSError:  # an end of the connection has gone
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(hand_on, "127.0.0.1", 0)
    except OSError as error:
        say(f"error {error.strerror or error}")
        return
    say(f"port {server.sockets[0].getsockname()[1]}")
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    wait = threading.Thread(target=until_the_end, args=(loop, ended), daemon=True)
    wait.start()
    try:
        await asyncio.wait_for(ended.wait(), LONGEST)
    except TimeoutError:
        pass
    server.close()
    say(json.dumps(COUNTS))


def until_the_end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Wait for the end of the standard input, then tell the loop."""
    while os.read(0, 1):
        pass
    loop.call_soon_threadsafe(ended.set)


def answer() -> None:
    """Answer on the standard output with what comes in on the standard input."""
    while data := os.read(0, SIZE):
        os.write(1, data)


def say(words: str) -> None:
    """A line to who started this."""
    os.write(1, f"{words}\n".encode())


def main(words: list[str]) -> None:
    """Be what the words say."""
    if words[0] == "pipe":
        answer()
        return
    asyncio.run(listen(int(words[1]) if words[0] == "proxy" else None))
    sys.stdout.flush()
    os._exit(0)  # the thread may still wait where the time was up


if __name__ == "__main__":
    main(sys.argv[1:])
