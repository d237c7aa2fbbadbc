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
from typing import cast

import httptools

from signoff.gates.aws_errors import NativeReply
from signoff.gates.http_heads import BAD_GATEWAY, NO_BODY, written_head
from signoff.gates.level import level_of
from signoff.model.action import Level
from signoff.model.errors import MalformedRequest
from signoff.surfaces.aws.wire import WireRequest

HEAD_MOST = 65_536
HEADERS_MOST = 256
SWEEP_SECONDS = 5.0
SHUTDOWN_SECONDS = 60.0
QUIET_SECONDS = 1.0
"""A connection that is quiet for so long makes room for another when the gate is full."""

SMALL_MOST = 1_000_000
"""A body up to this many bytes is read however much is held for others."""

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
    """Bytes of one body, seconds for a head and a body to arrive (and for an answer to be
    read) and for a connection to stay idle, how many connections may be open at once, and
    how many of the largest bodies they may hold together."""

    body_most: int
    head_seconds: float = 30.0
    body_seconds: float = 300.0
    idle_seconds: float = 75.0
    connections_most: int = 512
    bodies_most: int = 16


class Door:
    """Where agents connect: any number of listening sockets, one way to answer."""

    def __init__(self, answer: Answer, refusal: Refusal, terms: DoorTerms) -> None:
        self.answer, self.refusal, self.terms = answer, refusal, terms
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.held = 0
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

    def has_room(self, now: float) -> bool:
        """Whether one more may connect; when full, the quietest connection makes room."""
        if len(self.connections) < self.terms.connections_most:
            return True
        quiet = [c for c in self.connections if c.quiet(now) > QUIET_SECONDS]
        if not quiet:
            return False
        longest = max(quiet, key=lambda c: c.quiet(now))
        self.connections.discard(longest)
        longest.abort()
        return True

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
        self._last = self._passed = False
        self._owes_continue = False
        self._since = self._loop.time()
        self._held = self._answering = 0
        self._begin()

    def _begin(self) -> None:
        """Ready for the next message."""
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: bytes | bytearray = b""
        self._head_bytes = self._body_bytes = self._beside = 0
        self._head_done = False
        self._reading = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or close at once when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._door.has_room(self._loop.time()):
            self.abort()
            return
        self._door.connections.add(self)
        self._level = level_of(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone. What is being answered goes on to its receipt."""
        self._transport = None
        self._door.connections.discard(self)
        self._queue.clear()
        self._release(self._held - self._answering)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; whole messages are queued by its callbacks."""
        if self._last:
            return
        before, self._passed = self._body_bytes, False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("no other protocol is spoken here")
        except httptools.HttpParserError as error:
            self._refuse(f"this cannot be read as HTTP: {error}"[:200])
        if self._reading and self._body_bytes == before and not self._passed:
            # A head, the extension of a chunk or a trailer: llhttp bounds none of them.
            self._beside += len(data)
            if self._beside > HEAD_MOST:
                self._refuse(f"what is no body has at most {HEAD_MOST:,} bytes at a time")
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
        self._since = self._loop.time()

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
        self._beside = 0
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
        door, terms, size = self._door, self._door.terms, len(body)
        self._body_bytes += size
        if self._body_bytes > terms.body_most:
            self._refuse(too_big(terms.body_most), 403)
        elif self._body_bytes > SMALL_MOST and door.held > terms.body_most * terms.bodies_most:
            self._refuse("too many large bodies arrive at once; try again later", 503)
        elif not self._last:
            self._held += size
            door.held += size
            # A body of tiny chunks may not cost more than its bytes.
            if not self._body:
                self._body = body
            elif isinstance(self._body, bytes):
                self._body = bytearray(self._body) + body
            else:
                self._body += body

    def on_message_complete(self) -> None:
        """A request is whole. One that offers another protocol ends at its head for llhttp,
        whatever body follows: it is refused, not answered without its body."""
        if self._last or self._parser.should_upgrade():
            return
        # Who did not wait for it has sent the body anyway.
        self._owes_continue, self._passed = False, True
        keep = self._parser.should_keep_alive()
        self._queue.append((self._wire(), keep))
        self._last = not keep
        self._begin()
        if len(self._queue) > 1 and self._transport is not None:
            self._transport.pause_reading()

    def _wire(self) -> WireRequest | Unread:
        target = self._url.decode("utf-8", "surrogateescape")
        if not target.startswith("/"):
            self._release(self._body_bytes)
            return Unread("the request target is not a path")
        path, _, query = target.partition("?")
        method = self._parser.get_method().decode("latin-1")
        return WireRequest(method, path, query, tuple(self._headers), bytes(self._body))

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
                    self._answering = len(request.body)
                    reply = await self._door.answer(request, self._level)
                    method = request.method
                    self._answered()
                self._write(reply, method, keep)
                if self._room is not None:
                    await self._room
                elif self._queue:
                    # Who sends thousands at once takes turns with everybody else.
                    await asyncio.sleep(0)
        except BaseException:
            self.abort()
            raise
        finally:
            self._task = None
            self._answered()
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
        empty = method == "HEAD" or reply.status in NO_BODY or head.startswith(BAD_GATEWAY)
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

    def _release(self, size: int) -> None:
        """So many bytes of bodies are done with."""
        self._held -= size
        self._door.held -= size

    def _answered(self) -> None:
        self._release(self._answering)
        self._answering = 0

    def _authorization(self) -> str:
        return next((v for k, v in self._headers if k == "authorization"), "")

    # Time.

    def quiet(self, now: float) -> float:
        """For how many seconds this has waited for its client; 0 while it is answered."""
        waits = self._task is None or self._room is not None
        return now - self._since if waits else 0.0

    def expire(self, now: float) -> None:
        """Close a connection that idles, whose request does not end, or that does not take
        its answer."""
        terms = self._door.terms
        most = terms.idle_seconds
        if self._room is not None:
            most = terms.body_seconds
        elif self._reading:
            most = terms.body_seconds if self._head_done else terms.head_seconds
        if self.quiet(now) > most:
            self.abort()

    def finish(self) -> None:
        """Close after what is being answered; what only waits is not begun any more."""
        self._last = True
        self._queue.clear()
        if self._task is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()


def too_big(most: int) -> str:
    """What a client is told whose body is over the bound (bytes)."""
    return str(
        MalformedRequest(
            "the body is too large",
            f"at most {most // 1_000_000} MB pass in one request",
            "send large objects as a multipart upload",
        )
    )
