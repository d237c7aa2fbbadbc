"""The load of the gate's benchmark: signed requests, kept-alive connections, CPU counted.

The requests are written and signed by botocore's own client, so the server sees what an
agent sends. CPU is what the kernel charged the server's process (all its threads) between
the first and the last answer; the load itself runs in another process and is not in it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop
from botocore.session import Session

from signoff.model.errors import SignoffError

CONNECTIONS = 8
_TICKS = os.sysconf("SC_CLK_TCK")


class Caught(BaseException):
    """The request, caught instead of sent. Not an Exception, so nothing retries it."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


def written(
    endpoint: str, key: Mapping[str, str], asked: Sequence[Mapping[str, Any]]
) -> list[bytes]:
    """GetItem requests for these parameters as bytes, signed with a run key, as boto sends
    them."""
    client = Session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=key["key_id"],
        aws_secret_access_key=key["secret"],
    )

    def stop(request: Any, **_: Any) -> None:
        raise Caught(request)

    client.meta.events.register("before-send", stop)
    found = []
    for parameters in asked:
        try:
            client.get_item(**parameters)
        except Caught as caught:
            found.append(_bytes(caught.request))
    return found


def _bytes(request: Any) -> bytes:
    url = urlsplit(request.url)
    body: bytes = request.body or b""
    lines = [f"{request.method} {url.path or '/'} HTTP/1.1", f"Host: {url.netloc}"]
    for name, value in request.headers.items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        lines.append(f"{name}: {text}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, user and system, all threads (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class _Connection(asyncio.Protocol):
    """Sends its requests one after the other, each once the one before is answered."""

    def __init__(self, requests: Sequence[bytes], count: int) -> None:
        self._requests, self._left, self._sent = requests, count, 0
        self._held = b""
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        """Take the answer, check it, send the next."""
        self._held += data
        head, blank, rest = self._held.partition(b"\r\n\r\n")
        if not blank:
            return
        _, _, value = head.lower().partition(b"\r\ncontent-length:")
        size = int(value.partition(b"\r\n")[0] or b"0")
        if len(rest) < size:
            return
        self._held = rest[size:]
        if not head.startswith(b"HTTP/1.1 200 "):
            self._end(SignoffError("a request was not answered", rest[:300].decode(), ""))
            return
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that is closed early ends the measurement."""
        self._end(SignoffError("the server closed a connection", str(exc or ""), ""))

    def _next(self) -> None:
        if self._left == 0 or self._transport is None:
            self._end(None)
            return
        self._left -= 1
        self._sent += 1
        self._transport.write(self._requests[self._sent % len(self._requests)])

    def _end(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


async def _drive(port: int, requests: Sequence[bytes], count: int) -> None:
    loop = asyncio.get_running_loop()
    share = max(1, len(requests) // CONNECTIONS)
    ends = []
    for number in range(CONNECTIONS):
        own = [*requests[number * share :], *requests[: number * share]]
        _, connection = await loop.create_connection(
            lambda own=own: _Connection(own, count // CONNECTIONS),  # type: ignore[misc] # a default argument binds the loop's variable
            "127.0.0.1",
            port,
        )
        ends.append(connection.done)
    await asyncio.gather(*ends)


def cpu_per_request(pid: int, port: int, requests: Sequence[bytes], count: int) -> float:
    """Seconds of the server's CPU for each of `count` requests over 8 connections.

    Raises `SignoffError` when a request is not answered with 200.
    """
    before = cpu_seconds(pid)
    uvloop.run(_drive(port, requests, count))
    sent = count // CONNECTIONS * CONNECTIONS
    return (cpu_seconds(pid) - before) / sent
