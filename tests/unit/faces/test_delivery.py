"""A batch reaches its collector, or the error says why; never in the clear to another host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from signoff.faces.delivery import (
    TRIES_MOST,
    WAIT_SECONDS_MOST,
    Collector,
    checked_url,
    headers_from,
)
from signoff.model.errors import ConfigInvalid, ExecutionFailed


@dataclass
class Receiver:
    """An HTTP server that answers as it is told, and keeps what it was sent."""

    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/logs"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append((self.path, dict(self.headers), body))
            status, answer, headers = told.answers.pop(0) if told.answers else (200, b"{}", {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()


def collector(url: str, waits: list[float] | None = None, **headers: str) -> Collector:
    return Collector(
        url, "application/json", headers, sleep=(waits if waits is not None else []).append
    )


def test_a_batch_is_posted_with_its_type_and_headers(receiver: Receiver) -> None:
    one = collector(receiver.url, Authorization="Bearer hush")
    one.post(b"{}")
    one.post(b"[]")
    path, headers, body = receiver.got[0]
    assert (path, body) == ("/v1/logs", b"{}")
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer hush"
    assert receiver.got[1][2] == b"[]"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_collector_that_asks_for_it_is_tried_again_after_the_time_it_names(
    receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, b"", {"Retry-After": "7"}), (status, b"", {}), (200, b"", {})]
    waits: list[float] = []
    collector(receiver.url, waits).post(b"x")
    assert waits == [7.0, 2.0]
    assert len(receiver.got) == 3


def test_tries_and_waits_are_bounded(receiver: Receiver) -> None:
    receiver.answers = [(503, b"busy", {"Retry-After": "99999"})] * 20
    waits: list[float] = []
    with pytest.raises(ExecutionFailed, match=r"busy \(5 tries\)"):
        collector(receiver.url, waits).post(b"x")
    assert len(receiver.got) == TRIES_MOST
    assert waits == [WAIT_SECONDS_MOST] * (TRIES_MOST - 1)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 500])
def test_any_other_refusal_ends_it_with_the_collectors_words(
    receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, b"no such tenant", {"Location": "http://127.0.0.1:1/"})]
    with pytest.raises(ExecutionFailed, match="no such tenant"):
        collector(receiver.url).post(b"x")
    assert len(receiver.got) == 1


def test_nobody_there_is_tried_again_and_then_said(receiver: Receiver) -> None:
    waits: list[float] = []
    gone = collector("http://127.0.0.1:1/v1/logs", waits)
    with pytest.raises(ExecutionFailed, match="refused"):
        gone.post(b"x")
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_what_a_collector_did_not_take_of_a_batch_is_counted(receiver: Receiver) -> None:
    receiver.answers = [
        (200, b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"old"}}', {}),
        (200, b'{"partialSuccess":null}', {}),
        (200, b"not json", {}),
        (200, b'{"partialSuccess":{"rejectedLogRecords":2}}', {}),
    ]
    one = collector(receiver.url)
    for _ in range(4):
        one.post(b"x")
    assert one.rejected == 5


@pytest.mark.parametrize(
    "url",
    [
        "http://collector.example/v1/logs",
        "http://127.0.0.1.evil.example/",
        "http://10.0.0.1:4318",
        "http://0.0.0.0:4318",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1:4318",
        "http://",
        "http://127.0.0.1:99999/",
        "https://me:secret@collector.example/",
        "",
    ],
)
def test_an_endpoint_that_is_none_or_not_safe_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid) as found:
        checked_url(url)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    "url",
    ["https://collector.example", "http://127.0.0.1:4318", "http://[::1]/", "http://localhost"],
)
def test_https_goes_anywhere_and_http_stays_here(url: str) -> None:
    assert checked_url(url).hostname


def test_headers_come_from_a_file_and_a_bad_line_is_named_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer a:b\n\nX-Scope: one\n")
    assert headers_from(file) == {"Authorization": "Bearer a:b", "X-Scope": "one"}
    for text in ("hunter2", "a b: c", "X-A: one\rX-B: two\x00", "Ü: x", "X: ü"):
        file.write_bytes(text.encode())
        with pytest.raises(ConfigInvalid, match="is no header") as found:
            headers_from(file)
        assert "hunter2" not in str(found.value)
    with pytest.raises(ConfigInvalid, match="cannot read"):
        headers_from(tmp_path / "none")


def test_certificates_that_are_none_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot use the certificates"):
        Collector("https://collector.example", "x", ca=str(tmp_path / "none.pem"))
