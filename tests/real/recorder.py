"""A recording reverse proxy between the daemon and the local AWS, which can be made to fail.

What it has seen is what left Signoff; what it is told to do is what a network does to it.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Sent:
    """One request that left the daemon."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """The operation as the protocol names it: a target, an Action, else method and path."""
        target = self.headers.get("x-amz-target", "").rpartition(".")[2]
        if target:
            return target
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return parse_qs(self.body.decode())["Action"][0]
        return f"{self.method} {self.path}"

    @property
    def key_id(self) -> str:
        """The access key id it was signed with."""
        return self.headers["authorization"].partition("Credential=")[2].partition("/")[0]


Trouble = Callable[["Handler", Sent], bool]
"""What goes wrong with a request; False lets it pass to the target as if nothing was."""


class Handler(BaseHTTPRequestHandler):
    """One connection of the daemon's."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {k.lower(): v for k, v in self.headers.items()}
        sent = Sent(self.command, self.path, headers, body)
        recorder = self.server.recorder
        recorder.seen.append(sent)
        if recorder.trouble is None or not recorder.trouble(self, sent):
            self.answer(*self.forward(sent))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _any

    def forward(self, sent: Sent) -> tuple[int, list[tuple[str, str]], bytes]:
        """The target's own answer."""
        where = urlsplit(self.server.recorder.target)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.request(sent.method, sent.path, sent.body, sent.headers)
            response = connection.getresponse()
            body = response.read()
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP]
            if sent.method == "HEAD":
                kept.append(("content-length", response.getheader("content-length") or "0"))
            return response.status, kept, body
        finally:
            connection.close()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """One whole answer."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was sent is kept, not printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, recorder: Recorder) -> None:
        self.recorder = recorder
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:  # type: ignore[no-untyped-def]
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """A client that leaves is no news here."""


class Recorder:
    """The proxy. `seen` are the requests so far, `trouble` what happens to the next ones."""

    def __init__(self, target: str) -> None:
        self.target, self.seen = target, list[Sent]()
        self.trouble: Trouble | None = None
        self._server = self._serve(0)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def _serve(self, port: int) -> _Server:
        server = _Server(port, self)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def stop(self) -> None:
        """Close the listener and every open connection."""
        self._server.shutdown()
        for one in list(self._server.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def count(self, operation: str, since: int = 0) -> int:
        """How many requests of this operation left the daemon."""
        return sum(s.operation == operation for s in self.seen[since:])

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens."""
        self.stop()
        try:
            yield
        finally:
            self._server = self._serve(self.port)

    @contextmanager
    def troubled(self, operation: str, how: Trouble) -> Iterator[None]:
        """Something goes wrong with every request of this operation."""

        def only(handler: Handler, sent: Sent) -> bool:
            return sent.operation == operation and how(handler, sent)

        self.trouble = only
        try:
            yield
        finally:
            self.trouble = None


def cut_before_the_answer(handler: Handler, sent: Sent) -> bool:
    """The target does it; the connection breaks before a byte of its answer."""
    handler.forward(sent)
    return _cut(handler)


def cut_in_the_body(handler: Handler, sent: Sent) -> bool:
    """The target does it; the connection breaks in the middle of its answer."""
    status, headers, body = handler.forward(sent)
    handler.send_response_only(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body) + 100))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    return _cut(handler)


def failing(status: int) -> Trouble:
    """The target answers with a server error of its own, and does nothing."""

    def answer(handler: Handler, sent: Sent) -> bool:
        text = b"<html><body>internal trouble</body></html>"
        handler.answer(status, [("content-type", "text/html")], text)
        return True

    return answer


def slow(seconds: float) -> Trouble:
    """The answer comes late."""

    def wait(handler: Handler, sent: Sent) -> bool:
        time.sleep(seconds)
        return False

    return wait


def _cut(handler: Handler) -> bool:
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)
    return True
