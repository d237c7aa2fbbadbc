"""HTTP/1.1 towards the target, on llhttp: a pool of connections, and one-use ones.

A request is written once. Whether an answer that never came was carried out nobody can
tell, so nothing here tries again; `Gone` says that a kept connection had been closed
before anything came back, and the caller knows whether asking again is harmless.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import httptools

from signoff.gates.aws_errors import NativeReply

KEPT_SECONDS = 10.0
KEPT_MOST = 64
OPEN_MOST = 200
"""Exchanges at one time; the next one waits."""
HEAD_MOST = 262_144
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Unreachable(OSError):
    """No connection was made, so nothing was sent."""


class Cut(OSError):
    """The answer did not come whole: nobody knows whether the request was carried out."""


class Gone(Cut):
    """A kept connection was closed before any of the answer came."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection goes: `https` or `http`, host and port."""

    scheme: str
    host: str
    port: int

    @classmethod
    @lru_cache(maxsize=1_024)
    def of(cls, scheme: str, authority: str) -> Origin:
        """From a scheme and `HOST[:PORT]`. Raises `ValueError`."""
        host, colon, port = authority.rpartition(":")
        if not colon or authority.endswith("]"):
            host, port = authority, "443" if scheme == "https" else "80"
        if not port.isdecimal() or not host or scheme not in ("http", "https"):
            raise ValueError("not an address")
        return cls(scheme, host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Sending:
    """One request as bytes, and what its answer may be: `head` ends with the empty line,
    `seconds` bounds the whole exchange, `most` the bytes of the body."""

    method: str
    head: bytes
    body: bytes
    seconds: float
    most: int


class Upstream:
    """Connections to the targets. `exchange` sends one request and reads one answer."""

    def __init__(self, connect_seconds: float = 5.0) -> None:
        self._connect_seconds = connect_seconds
        self._kept: dict[Origin, list[Exchange]] = {}
        self._open: set[Exchange] = set()
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        self._room = asyncio.Semaphore(OPEN_MOST)

    async def exchange(self, origin: Origin, sending: Sending, *, reuse: bool) -> NativeReply:
        """The answer to one request, on a kept connection where `reuse` allows it.

        Raises `Unreachable` when nothing was sent, `Gone` or `Cut` when no whole answer
        came in time.
        """
        if self._room.locked():
            await self._wait_for_room(sending.seconds)
        else:
            await self._room.acquire()
        try:
            return await self._exchange(origin, sending, reuse)
        finally:
            self._room.release()

    async def _wait_for_room(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError as error:
            raise Unreachable(f"{OPEN_MOST} requests were under way for {seconds:g} s") from error

    async def _exchange(self, origin: Origin, sending: Sending, reuse: bool) -> NativeReply:
        if self._closed:
            raise Unreachable("the daemon is stopping")
        found = self._take(origin) if reuse else None
        connection = found or await self._connect(origin)
        try:
            reply = await connection.send(sending, used=found is not None)
        except BaseException:
            connection.abort()
            raise
        kept = self._kept.setdefault(origin, [])
        if reuse and connection.reusable and len(kept) < KEPT_MOST and not self._closed:
            connection.kept_at = asyncio.get_running_loop().time()
            kept.append(connection)
        else:
            connection.abort()
        return reply

    async def close(self) -> None:
        """Close every connection; what waits for an answer is cut."""
        self._closed = True
        for connection in tuple(self._open):
            connection.abort()
        self._kept.clear()
        await asyncio.sleep(0)

    def _take(self, origin: Origin) -> Exchange | None:
        """A kept connection that is still open and was used a moment ago."""
        kept = self._kept.get(origin)
        now = asyncio.get_running_loop().time()
        while kept:
            connection = kept.pop()
            if connection.reusable and now - connection.kept_at < KEPT_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin) -> Exchange:
        loop = asyncio.get_running_loop()
        if origin.scheme == "https" and self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        secure = origin.scheme == "https"
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, made = await loop.create_connection(
                    lambda: Exchange(self._open),
                    origin.host,
                    origin.port,
                    ssl=self._tls if secure else None,
                    server_hostname=origin.host if secure else None,
                )
        except (OSError, TimeoutError, ssl.CertificateError, UnicodeError) as error:
            raise Unreachable(str(error) or "timed out") from error
        return made


class Exchange(asyncio.Protocol):
    """One connection: at any time one request is under way, or none."""

    def __init__(self, among: set[Exchange]) -> None:
        self._among = among
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[NativeReply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sending: Sending | None = None
        self._used = self._began = False
        self._broken = False
        self.kept_at = 0.0
        self._beside = 0
        self._begin()

    def _begin(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._body: bytes | bytearray = b""
        self._size = 0
        self._head_done = self._framed = False

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent on it."""
        transport = self._transport
        if transport is None or self._broken or self._answer is not None:
            return False
        # An answer that came before the whole request was sent leaves the rest in the way.
        return not transport.is_closing() and not transport.get_write_buffer_size()

    async def send(self, sending: Sending, *, used: bool) -> NativeReply:
        """Write one request and wait for its answer; raises `Cut` or `Gone`."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            raise Gone("the connection was closed")
        self._begin()
        self._beside = 0
        self._began, self._used, self._sending = False, used, sending
        answer: asyncio.Future[NativeReply] = loop.create_future()
        self._answer = answer
        self._timer = loop.call_later(sending.seconds, self._late)
        if len(sending.body) <= HEAD_MOST:
            self._transport.write(sending.head + sending.body)
        else:
            self._transport.write(sending.head)
            self._transport.write(sending.body)
        try:
            return await answer
        finally:
            self._timer.cancel()
            self._answer = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._among.add(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser. What comes unasked makes the connection worthless."""
        if self._answer is None or self._answer.done():
            self._broken = True
            self.abort()
            return
        self._began = True
        before = self._size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Cut("it changes to another protocol"))
        except httptools.HttpParserError as error:
            self._fail(Cut(f"it is no HTTP/1.1: {error}"[:200]))
        if self._size == before:
            # Heads, also of answers that only announce one, extensions of chunks, trailers.
            self._beside += len(data)
            if self._beside > HEAD_MOST:
                self._fail(Cut(f"it has over {HEAD_MOST:,} bytes beside its body"))

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer without a length ends here; any other is cut."""
        self._transport = None
        self._broken = True
        self._among.discard(self)
        if exc is None and self._head_done and not self._framed:
            self._done()
        elif self._used and not self._began:
            self._fail(Gone("the kept connection had been closed"))
        else:
            self._fail(Cut(str(exc) if exc else "the connection was closed"))

    # The parser's side.

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for."""
        if self._answer is None or self._answer.done():
            self._broken = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; trailers are dropped."""
        if not self._head_done:
            told = name.decode("latin-1").lower()
            self._headers.append((told, value.decode("utf-8", "surrogateescape")))
            self._framed = self._framed or told in ("content-length", "transfer-encoding")

    def on_headers_complete(self) -> None:
        """The head is whole. An answer to HEAD ends here, whatever length it states."""
        self._head_done = True
        status = self._parser.get_status_code()
        if self._sending is not None and self._sending.method == "HEAD" and status >= 200:
            self._done()
            # This parser waits for a body that never comes; the next answer gets another.
            self._broken = self._broken or not self._parser.should_keep_alive()
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._size += len(body)
        if self._answer is None or self._answer.done():
            self._broken = True
        elif self._sending is not None and self._size > self._sending.most:
            self._fail(Cut(f"its body is over {self._sending.most >> 20} MiB"))
        elif not self._body:
            self._body = body
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body) + body
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole, unless it only said that more is to come (1xx)."""
        if self._parser.get_status_code() < 200:
            self._begin()
            return
        self._broken = self._broken or not self._parser.should_keep_alive()
        self._done()

    def _done(self) -> None:
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            reply = NativeReply(status, tuple(self._headers), bytes(self._body))
            self._answer.set_result(reply)

    def _fail(self, error: Cut) -> None:
        self._broken = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _late(self) -> None:
        self._fail(Cut("it took too long"))
        self.abort()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()


def written(
    method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, *, keep: bool
) -> bytes:
    """The head of a request: its line, its headers, the length of its body where the
    method has one. Raises `ValueError` for what would end a line early."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method not in _BODILESS:
        lines.append(f"content-length: {len(body)}")
    if not keep:
        lines.append("connection: close")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    plain = target.isascii() and target.isprintable() and " " not in target and method.isalpha()
    if not plain or text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise ValueError("a line break, a blank or a control character where none may be")
    return (text + "\r\n\r\n").encode("utf-8", "surrogateescape")
