"""The target's side of HTTP: one request, one answer, and never a second try by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from signoff.gates.http_client import (
    HEAD_MOST,
    Cut,
    Gone,
    Origin,
    Sending,
    Unreachable,
    Upstream,
    written,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\nx-a: 2\r\n\r\ndone"


class Target:
    """A server that says these bytes to each request, and counts what reaches it."""

    def __init__(self) -> None:
        self.says: list[bytes | None] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.closes = self.waits = False
        self.origin = Origin("http", "127.0.0.1", 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.says.pop(0) if self.says else OK
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if self.closes:
                    break
                while self.waits:  # noqa: ASYNC110 - what is waited for sets no event
                    await asyncio.sleep(0.001)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
    yield made
    server.close()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    yield made
    await made.close()


def get(method: str = "GET", most: int = 1_000, seconds: float = 5) -> Sending:
    head = written(method, "/", (("host", "x"),), b"", keep=True)
    return Sending(method, head, b"", seconds, most)


async def test_an_answer_comes_with_every_header_in_order(
    target: Target, upstream: Upstream
) -> None:
    reply = await upstream.exchange(target.origin, get(), reuse=True)
    assert (reply.status, reply.body) == (200, b"done")
    assert [h for h in reply.headers if h[0] == "x-a"] == [("x-a", "1"), ("x-a", "2")]


async def test_reads_share_a_connection_and_changes_never_do(
    target: Target, upstream: Upstream
) -> None:
    for _ in range(3):
        await upstream.exchange(target.origin, get(), reuse=True)
    assert target.connections == 1
    for _ in range(2):
        await upstream.exchange(target.origin, get(), reuse=False)
    assert target.connections == 3


async def test_an_answer_to_head_ends_with_its_head_and_the_connection_stays(
    target: Target, upstream: Upstream
) -> None:
    target.says = [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", OK]
    reply = await upstream.exchange(target.origin, get("HEAD"), reuse=True)
    assert (dict(reply.headers)["content-length"], reply.body) == ("9999", b"")
    assert (await upstream.exchange(target.origin, get(), reuse=True)).body == b"done"
    assert target.connections == 1


async def test_an_answer_that_more_is_to_come_is_not_the_answer(
    target: Target, upstream: Upstream
) -> None:
    target.says = [b"HTTP/1.1 100 Continue\r\n\r\n" + OK]
    assert (await upstream.exchange(target.origin, get(), reuse=True)).status == 200


async def test_chunks_are_joined(target: Target, upstream: Upstream) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-late: 1\r\n\r\n"
    target.says = [b"HTTP/1.1 200 OK\r\n" + chunked]
    reply = await upstream.exchange(target.origin, get(), reuse=True)
    assert reply.body == b"abcde"
    assert "x-late" not in dict(reply.headers)


async def test_an_answer_without_a_length_ends_with_its_connection(
    target: Target, upstream: Upstream
) -> None:
    target.says, target.closes = [b"HTTP/1.1 200 OK\r\n\r\nall of it"], True
    assert (await upstream.exchange(target.origin, get(), reuse=True)).body == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 O",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"a" * 1001,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (HEAD_MOST + 1),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_whole_is_cut_and_nothing_is_asked_again(
    target: Target, upstream: Upstream, answer: bytes | None
) -> None:
    target.says, target.closes = [answer], True
    with pytest.raises(Cut):
        await upstream.exchange(target.origin, get(), reuse=True)
    assert len(target.heads) == 1


async def test_an_answer_that_takes_too_long_is_cut(target: Target, upstream: Upstream) -> None:
    target.says = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    with pytest.raises(Cut, match="too long"):
        await upstream.exchange(target.origin, get(seconds=0.05), reuse=True)


async def test_a_kept_connection_that_was_closed_meanwhile_says_so(
    target: Target, upstream: Upstream
) -> None:
    await upstream.exchange(target.origin, get(), reuse=True)
    target.says = [None]
    with pytest.raises(Gone):
        await upstream.exchange(target.origin, get(), reuse=True)


async def test_what_comes_unasked_is_no_answer_to_the_next_request(
    target: Target, upstream: Upstream
) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    target.says = [OK + forged, OK]
    await upstream.exchange(target.origin, get(), reuse=True)
    reply = await upstream.exchange(target.origin, get(), reuse=True)
    assert reply.body == b"done"
    assert target.connections == 2


async def test_a_target_that_is_not_there_is_unreachable(upstream: Upstream) -> None:
    with pytest.raises(Unreachable):
        await upstream.exchange(Origin("http", "127.0.0.1", 1), get(), reuse=True)


async def test_nothing_is_sent_after_the_end(target: Target, upstream: Upstream) -> None:
    await upstream.close()
    with pytest.raises(Unreachable):
        await upstream.exchange(target.origin, get(), reuse=True)
    assert not target.heads


async def test_closing_cuts_what_still_waits(target: Target, upstream: Upstream) -> None:
    target.says = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    waiting = asyncio.create_task(upstream.exchange(target.origin, get(), reuse=True))
    async with asyncio.timeout(5):
        while not target.heads:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
    await upstream.close()
    with pytest.raises(Cut):
        await waiting


@pytest.mark.parametrize(
    ("method", "path", "value"),
    [
        ("GET", "/a b", "v"),
        ("GET", "/a\r\nX: 1", "v"),
        ("GET", "/\N{LATIN SMALL LETTER E WITH ACUTE}", "v"),
        ("GET", "/", "v\r\nX-Forged: 1"),
        ("GET", "/", "v\nX-Forged: 1"),
        ("GET", "/", "v\0"),
        ("GET X", "/", "v"),
    ],
)
def test_what_would_end_a_line_early_is_not_written(method: str, path: str, value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        written(method, path, (("x", value),), b"", keep=True)


def test_a_method_with_a_body_always_states_its_length() -> None:
    assert b"content-length: 0\r\n" in written("POST", "/", (), b"", keep=True)
    assert b"content-length" not in written("GET", "/", (), b"", keep=True)
    assert b"content-length: 2\r\n" in written("DELETE", "/", (), b"ab", keep=True)
    assert b"connection: close\r\n" in written("PUT", "/", (), b"", keep=False)


@pytest.mark.parametrize(
    ("scheme", "authority", "origin"),
    [
        ("https", "s3.amazonaws.com", Origin("https", "s3.amazonaws.com", 443)),
        ("http", "127.0.0.1:4566", Origin("http", "127.0.0.1", 4566)),
        ("http", "[::1]:80", Origin("http", "::1", 80)),
        ("https", "[::1]", Origin("https", "::1", 443)),
    ],
)
def test_an_origin_is_read_from_its_authority(scheme: str, authority: str, origin: Origin) -> None:
    assert Origin.of(scheme, authority) == origin


@pytest.mark.parametrize(("scheme", "authority"), [("ftp", "a"), ("http", "a:b"), ("http", ":1")])
def test_what_is_no_address_is_refused(scheme: str, authority: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Origin.of(scheme, authority)


@pytest.mark.parametrize(
    ("first", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 8_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: ", b"a" * 8_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=", b"a" * 8_000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 300),
    ],
)
async def test_an_answer_that_only_announces_itself_has_an_end(
    target: Target, upstream: Upstream, first: bytes, endless: bytes
) -> None:
    target.says = [first + endless * (4 * HEAD_MOST // len(endless))]
    with pytest.raises(Cut, match="beside its body"):
        await upstream.exchange(target.origin, get(), reuse=True)


async def test_a_body_after_an_answer_to_head_ends_the_connection(
    target: Target, upstream: Upstream
) -> None:
    target.says = [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"forged", OK]
    assert (await upstream.exchange(target.origin, get("HEAD"), reuse=True)).body == b""
    assert (await upstream.exchange(target.origin, get(), reuse=True)).body == b"done"
    assert target.connections == 2


async def test_a_connection_on_which_half_a_request_still_waits_is_not_used_again(
    target: Target, upstream: Upstream
) -> None:
    body = b"GET / HTTP/1.1\r\n\r\n" * 2_000_000
    head = written("POST", "/", (("host", "x"),), body, keep=True)
    early = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    target.says = [early]
    target.waits = True
    sending = Sending("POST", head, body, 5, 1_000)
    assert (await upstream.exchange(target.origin, sending, reuse=True)).status == 403
    target.waits = False
    assert (await upstream.exchange(target.origin, get(), reuse=True)).body == b"done"
    assert target.connections == 2


async def test_who_finds_no_room_waits_for_a_while_and_sends_nothing(
    target: Target, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "_room", asyncio.Semaphore(1))
    target.says = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    first = asyncio.create_task(upstream.exchange(target.origin, get(seconds=0.5), reuse=True))
    async with asyncio.timeout(5):
        while not target.heads:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
    with pytest.raises(Unreachable, match="under way"):
        await upstream.exchange(target.origin, get(seconds=0.01), reuse=True)
    assert len(target.heads) == 1
    with pytest.raises(Cut):
        await first
    assert (await upstream.exchange(target.origin, get(), reuse=True)).body == b"done"
