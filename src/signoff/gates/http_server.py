"""HTTP/1.1 towards the agents, on llhttp: bounded heads, bodies, times and connections.

One connection answers its requests one after the other. What llhttp does not accept in
its strict mode (two lengths, a length beside chunks, a bare newline, a folded header) is
answered 400 and the connection is closed, so that nobody behind can read it otherwise.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import cast

import httptools

from signoff.gates.aws_errors import NativeReply
from signoff.gates.level import level_of
from signoff.model.action import Level
from signoff.model.errors import MalformedRequest
from signoff.surfaces.aws.wire import WireRequest

HEAD_MOST = 65_536
HEADERS_MOST = 256
SWEEP_SECONDS = 5.0
SHUTDOWN_SECONDS = 60.0
_NO_BODY = frozenset({204, 304})
_BAD = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_WHOLE_MOST = 65_536
"""Answers up to this many bytes are written together with their head."""

Answer = Callable[[WireRequest, Level], Awaitable[NativeReply]]
"""Answers one request; never raises."""

Refusal = Callable[[str, str, int], NativeReply]
"""The answer to what could not be read: the `authorization` header as far as it came, one
line that says why, and the HTTP status."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A request that could not be read: why, in one line, and the status to answer with."""

    text: str
    status: int = 400


@dataclass(frozen=True, slots=True)
class DoorTerms:
    """Bytes of one body, seconds for a head and a body to arrive and for a connection to
    stay idle, and how many connections may be open at once."""

    body_most: int
    head_seconds: float = 30.0
    body_seconds: float = 300.0
    idle_seconds: float = 75.0
    connections_most: int = 512


class Door:
    """Where agents connect: any number of listening sockets, one way to answer."""

    def __init__(self, answer: Answer, refusal: Refusal, terms: DoorTerms) -> None:
        self.answer, self.refusal, self.terms = answer, refusal, terms
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeping: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on TCP; the address and port that were taken. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), host, port)
        self._opened(server)
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    async def listen_at(self, path: str) -> None:
        """Listen on a unix socket. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._opened(await loop.create_unix_server(lambda: Connection(self), path))

    async def close(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Take no more requests, and wait for those that are being answered."""
        for server in self._servers:
            server.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self.connections):
            connection.finish()
        if self.tasks:
            await asyncio.wait(tuple(self.tasks), timeout=seconds)
        for task in tuple(self.tasks):
            task.cancel()
        for connection in tuple(self.connections):
            connection.abort()
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await server.wait_closed()

    def _opened(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        """Close what takes too long: one look at all connections now and then costs less
        than a timer for each request."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in tuple(self.connections):
                connection.expire(now)


class Connection(asyncio.Protocol):
    """One client: what it sent is parsed, queued and answered in order."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._level = Level.ADVISORY
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[tuple[WireRequest | Unread, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._last = False
        self._owes_continue = False
        self._since = self._loop.time()
        self._begin()
        self._reading = False

    def _begin(self) -> None:
        """Ready for the next message."""
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._chunks: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._head_done = False
        self._reading = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or close at once when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._door.connections) >= self._door.terms.connections_most:
            self.abort()
            return
        self._door.connections.add(self)
        self._level = level_of(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone. What is being answered goes on to its receipt."""
        self._transport = None
        self._door.connections.discard(self)
        self._queue.clear()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; whole messages are queued by its callbacks."""
        if self._last:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("no other protocol is spoken here")
        except httptools.HttpParserError as error:
            self._refuse(f"this is no HTTP/1.1 request: {error}"[:200])
        if self._reading and not self._head_done:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MOST:
                self._refuse(f"the head of a request has at most {HEAD_MOST:,} bytes")
        if self._queue and self._task is None:
            self._task = self._loop.create_task(self._answer_all())
            self._door.tasks.add(self._task)
            self._task.add_done_callback(self._door.tasks.discard)

    def eof_received(self) -> bool:
        """The client sends no more; it still gets its answers."""
        self._last = True
        return self._task is not None

    def pause_writing(self) -> None:
        """The client reads slowly: the next answer waits."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """There is room again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    # The parser's side.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begin()
        self._reading = True
        self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line. Trailers of a chunked body say nothing an action rests on."""
        if self._head_done:
            return
        self._head_bytes += len(name) + len(value)
        text = value.decode("utf-8", "surrogateescape")
        self._headers.append((name.decode("latin-1").lower(), text))

    def on_headers_complete(self) -> None:
        """The head is whole: refuse what is too large before it is sent."""
        self._head_done = True
        if len(self._headers) > HEADERS_MOST or self._head_bytes + len(self._url) > HEAD_MOST:
            self._refuse(f"a head has at most {HEADERS_MOST} lines and {HEAD_MOST:,} bytes")
        for name, value in self._headers:
            if name == "content-length" and int(value) > self._door.terms.body_most:
                self._refuse(too_big(self._door.terms.body_most), 403)
            elif name == "expect" and value.lower() == "100-continue":
                self._owes_continue = True
        if self._owes_continue and not self._last and self._task is None and not self._queue:
            self._continue()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._door.terms.body_most:
            self._refuse(too_big(self._door.terms.body_most), 403)
        elif not self._last:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """A request is whole. One that offers another protocol ends at its head for llhttp,
        whatever body follows: it is refused, not answered without its body."""
        if self._last or self._parser.should_upgrade():
            return
        # Who did not wait for it has sent the body anyway.
        self._owes_continue = False
        keep = self._parser.should_keep_alive()
        self._queue.append((self._wire(), keep))
        self._last = not keep
        self._begin()
        if len(self._queue) > 1 and self._transport is not None:
            self._transport.pause_reading()

    def _wire(self) -> WireRequest | Unread:
        target = self._url.decode("utf-8", "surrogateescape")
        if not target.startswith("/"):
            return Unread("the request target is not a path")
        path, _, query = target.partition("?")
        method = self._parser.get_method().decode("latin-1")
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return WireRequest(method, path, query, tuple(self._headers), body)

    # Answering.

    async def _answer_all(self) -> None:
        """Answer what is queued, in order; then read on."""
        try:
            while self._queue:
                request, keep = self._queue.popleft()
                if isinstance(request, Unread):
                    claimed, method = self._authorization(), ""
                    reply = self._door.refusal(claimed, request.text, request.status)
                else:
                    reply = await self._door.answer(request, self._level)
                    method = request.method
                self._write(reply, method, keep)
                if self._room is not None:
                    await self._room
        except BaseException:
            self.abort()
            raise
        finally:
            self._task = None
            self._since = self._loop.time()
        if self._transport is None:
            return
        if self._last:
            self._transport.close()
        else:
            if self._owes_continue:
                self._continue()
            self._transport.resume_reading()

    def _write(self, reply: NativeReply, method: str, keep: bool) -> None:
        if self._transport is None:
            return
        head = written_head(reply, method, keep)
        empty = method == "HEAD" or reply.status in _NO_BODY or head.startswith(_BAD)
        body = b"" if empty else reply.body
        if len(body) <= _WHOLE_MOST:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def _continue(self) -> None:
        self._owes_continue = False
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, text: str, status: int = 400) -> None:
        """The last answer of this connection, after those that are queued."""
        if not self._last:
            self._last = True
            self._queue.append((Unread(text, status), False))

    def _authorization(self) -> str:
        return next((v for k, v in self._headers if k == "authorization"), "")

    # Time.

    def expire(self, now: float) -> None:
        """Close a connection that idles, or whose request does not end."""
        terms = self._door.terms
        if self._task is not None:
            return
        most = terms.idle_seconds
        if self._reading:
            most = terms.body_seconds if self._head_done else terms.head_seconds
        if now - self._since > most:
            self.abort()

    def finish(self) -> None:
        """Close after what is being answered."""
        self._last = True
        if self._task is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()


def written_head(reply: NativeReply, method: str, keep: bool) -> bytes:
    """Status line and headers. The length is that of the body; of an answer to HEAD it is
    what the target said the length would be. An answer with a line break or NUL inside a
    header is answered as a bad gateway: somebody could forge a second answer with it."""
    lines = [_status_line(reply.status)]
    said = ""
    for name, value in reply.headers:
        if name.lower() == "content-length":
            said = value
        else:
            lines.append(f"{name}: {value}")
    if reply.status not in _NO_BODY:
        kept = method == "HEAD" and said.isdecimal()
        lines.append(f"Content-Length: {said if kept else len(reply.body)}")
    lines.append(_date(int(time())))
    if not keep:
        lines.append("Connection: close")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        return _BAD
    return (text + "\r\n\r\n").encode("utf-8", "surrogateescape")


def too_big(most: int) -> str:
    """What a client is told whose body is over the bound (bytes)."""
    return str(
        MalformedRequest(
            "the body is too large",
            f"at most {most // 1_000_000} MB pass in one request",
            "send large objects as a multipart upload",
        )
    )


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}"


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}"
