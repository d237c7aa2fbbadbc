"""The agents' side of HTTP: what is read, what is refused, and in which order it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from signoff.gates.aws_errors import NativeReply
from signoff.gates.http_heads import written_head
from signoff.gates.http_server import (
    HEAD_MOST,
    HEADERS_MOST,
    QUIET_SECONDS,
    SMALL_MOST,
    Door,
    DoorTerms,
)
from signoff.model.action import Level
from signoff.surfaces.aws.wire import WireRequest

GET = b"GET /a?b=%20c HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\n"
BODY_MOST = 1_000
TERMS = DoorTerms(BODY_MOST, connections_most=4)


class Gate:
    """Answers with what it saw; `open` lets those through that wait for it."""

    def __init__(self) -> None:
        self.seen: list[WireRequest] = []
        self.refused: list[tuple[str, str, int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.reply = NativeReply(200, (("x-told", "yes"),), b"done")
        self.door = Door(self.answer, self.refusal, TERMS)
        self.port = 0

    async def answer(self, wire: WireRequest, level: Level) -> NativeReply:
        self.seen.append(wire)
        await self.open.wait()
        return self.reply

    def refusal(self, authorization: str, text: str, status: int) -> NativeReply:
        self.refused.append((authorization, text, status))
        return NativeReply(status, (), text.encode())


@pytest_asyncio.fixture
async def gate() -> AsyncIterator[Gate]:
    made = Gate()
    _, made.port = await made.door.listen("127.0.0.1", 0)
    yield made
    made.open.set()
    await made.door.close(1)


async def until(true: Callable[[], object]) -> None:
    """Let the loop turn until it is so; at most 5 s."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


async def spoken(gate: Gate, *parts: bytes) -> bytes:
    """Everything the gate says to these bytes until it closes, or until one side waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def test_a_request_arrives_whole_with_every_header_in_order(gate: Gate) -> None:
    head = b"POST /p?q=1&q=2 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\n"
    answer = await spoken(gate, head, b"ab", b"c")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nx-told: yes\r\nContent-Length: 4\r\n")
    assert answer.endswith(b"\r\n\r\ndone")
    (wire,) = gate.seen
    assert (wire.method, wire.path, wire.query, wire.body) == ("POST", "/p", "q=1&q=2", b"abc")
    assert [h for h in wire.headers if h[0] == "x-a"] == [("x-a", "1"), ("x-a", "2")]


async def test_chunks_are_joined_and_trailers_say_nothing(gate: Gate) -> None:
    chunks = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: admin\r\n\r\n"
    await spoken(gate, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    (wire,) = gate.seen
    assert wire.body == b"abcde"
    assert wire.header("x-trailer") is None


async def test_requests_sent_at_once_are_answered_in_their_order(gate: Gate) -> None:
    answer = await spoken(gate, GET.replace(b"/a", b"/1") + GET.replace(b"/a", b"/2") + GET)
    assert [w.path for w in gate.seen] == ["/1", "/2", "/a"]
    assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_a_second_request_is_not_begun_before_the_first_is_answered(gate: Gate) -> None:
    gate.open.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(GET + GET)
    await writer.drain()
    await until(lambda: gate.seen)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(gate.seen) == 1
    gate.open.set()
    await asyncio.wait_for(reader.readuntil(b"done"), 5)
    await asyncio.wait_for(reader.readuntil(b"done"), 5)
    assert len(gate.seen) == 2
    writer.close()


@pytest.mark.parametrize(
    "hostile",
    [
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\nZ\r\nabc\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_two_readers_could_read_differently_is_refused(
    gate: Gate, hostile: bytes
) -> None:
    answer = await spoken(gate, hostile + GET)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not gate.seen
    assert gate.refused


@pytest.mark.parametrize(
    "body", [b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"]
)
async def test_a_body_over_the_bound_is_refused_as_soon_as_that_is_known(
    gate: Gate, body: bytes
) -> None:
    answer = await spoken(gate, POST + b"Authorization: a\r\n" + body + b"a" * 1001)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"the body is too large" in answer
    assert gate.refused[0][0] == "a"
    assert not gate.seen


async def test_a_body_of_exactly_the_bound_passes(gate: Gate) -> None:
    await spoken(gate, POST + b"Content-Length: 1000\r\n\r\n" + b"a" * BODY_MOST)
    assert len(gate.seen[0].body) == BODY_MOST


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * (HEAD_MOST + 1),
        b"GET / HTTP/1.1\r\nA: " + b"b" * (HEAD_MOST + 1),
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEADERS_MOST + 1) + b"\r\n",
    ],
)
async def test_a_head_without_end_is_refused(gate: Gate, head: bytes) -> None:
    assert (await spoken(gate, head)).startswith(b"HTTP/1.1 400 ")
    assert not gate.seen


async def test_who_waits_to_be_told_to_go_on_is_told(gate: Gate) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    await asyncio.wait_for(reader.readuntil(b"done"), 5)
    writer.close()
    assert gate.seen[0].body == b"abc"


async def test_who_expects_to_send_too_much_is_not_told_to_go_on(gate: Gate) -> None:
    answer = await spoken(gate, POST + b"Expect: 100-continue\r\nContent-Length: 9999\r\n\r\n")
    assert b"100 Continue" not in answer
    assert answer.startswith(b"HTTP/1.1 403 ")


async def test_an_answer_to_head_has_the_targets_length_and_no_body(gate: Gate) -> None:
    gate.reply = NativeReply(200, (("content-length", "77"),), b"")
    answer = await spoken(gate, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 77\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_states_no_length(gate: Gate, status: int) -> None:
    gate.reply = NativeReply(status, (), b"not sent")
    answer = await spoken(gate, GET)
    assert b"Content-Length" not in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_an_old_client_gets_its_answer_and_the_end(gate: Gate) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    assert b"Connection: close\r\n" in answer
    writer.close()


@pytest.mark.parametrize("value", ["a\r\nX-Forged: 1", "a\nb", "a\0b", "a\r"])
def test_a_header_with_a_line_break_in_it_becomes_a_bad_gateway(value: str) -> None:
    head = written_head(NativeReply(200, (("x-a", value),), b"abc"), "GET", True)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"Forged" not in head


async def test_more_connections_than_the_bound_are_closed_at_once(gate: Gate) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(6)]
    await until(lambda: len(gate.door.connections) >= TERMS.connections_most)
    ended = [asyncio.create_task(reader.read()) for reader, _ in opened]
    done, waiting = await asyncio.wait(ended, timeout=2, return_when=asyncio.FIRST_COMPLETED)
    assert done
    assert len(waiting) >= TERMS.connections_most
    for _, writer in opened:
        writer.close()
    for task in waiting:
        task.cancel()


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (b"", TERMS.idle_seconds),
        (b"GET / HTT", TERMS.head_seconds),
        (POST + b"Content-Length: 3\r\n\r\na", TERMS.body_seconds),
    ],
)
async def test_a_connection_that_takes_too_long_is_closed(
    gate: Gate, sent: bytes, seconds: float
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(sent)
    await writer.drain()
    await until(lambda: gate.door.connections)
    for _ in range(20):
        await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    (connection,) = gate.door.connections
    connection.expire(now + seconds - 1)
    assert gate.door.connections == {connection}
    connection.expire(now + seconds + 1)
    assert not await asyncio.wait_for(_ended(reader), 5)
    writer.close()


async def _ended(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_what_is_being_answered_is_not_closed_however_long_it_takes(gate: Gate) -> None:
    gate.open.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(GET)
    await until(lambda: gate.seen)
    (connection,) = gate.door.connections
    connection.expire(asyncio.get_running_loop().time() + 10_000)
    gate.open.set()
    assert b"done" in await asyncio.wait_for(reader.readuntil(b"done"), 5)
    writer.close()


async def test_closing_waits_for_what_is_being_answered(gate: Gate) -> None:
    gate.open.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(GET)
    await until(lambda: gate.seen)
    closing = asyncio.create_task(gate.door.close(5))
    await asyncio.sleep(0)
    gate.open.set()
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"done")
    await closing
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", gate.port)
    writer.close()


async def test_a_client_that_goes_away_does_not_end_what_it_asked_for(gate: Gate) -> None:
    gate.open.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(GET)
    await until(lambda: gate.seen)
    # Without a linger the connection is reset, not closed.
    wrapped = writer.get_extra_info("socket")
    wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: not gate.door.connections)
    (task,) = gate.door.tasks
    gate.open.set()
    await asyncio.wait_for(task, 5)
    assert not task.cancelled()


@pytest.mark.parametrize(
    "around", [b"0\r\nX-Trailer: ", b"3;", b"0\r\n" + b"X-T: a\r\n" * 4, b'3;a="']
)
async def test_what_stands_beside_a_body_has_an_end(gate: Gate, around: bytes) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(head + around)
    await writer.drain()
    with contextlib.suppress(ConnectionError):
        for _ in range(3 * HEAD_MOST // 8_000):
            writer.write(around[-8:] if around.endswith(b"\r\n") else b"a" * 8_000)
            writer.write(b"X-T: a\r\n" * 1_000 if around.endswith(b"\r\n") else b"")
            await writer.drain()
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400 ")
    await until(lambda: not gate.door.connections)
    assert gate.refused
    assert not gate.seen
    writer.close()


async def test_a_body_of_tiny_chunks_costs_no_more_than_its_bytes(gate: Gate) -> None:
    gate.door.terms = DoorTerms(1_000_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    await until(lambda: gate.door.connections)
    tracemalloc.start()
    try:
        for _ in range(20):
            writer.write(b"2\r\nab\r\n" * 10_000)
            await writer.drain()
        await until(lambda: gate.door.held == 400_000)
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()
    writer.write(b"0\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"done"), 5)
    assert gate.seen[0].body == b"ab" * 200_000
    assert gate.door.held == 0
    writer.close()


async def test_a_client_that_never_reads_is_not_waited_for_forever(gate: Gate) -> None:
    gate.reply = NativeReply(200, (), b"a" * 20_000_000)
    _, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=1)
    writer.write(GET * 2)
    await until(lambda: any(c.quiet(float("inf")) for c in gate.door.connections) and gate.seen)
    (connection,) = gate.door.connections
    now = asyncio.get_running_loop().time()
    connection.expire(now + TERMS.body_seconds - 5)
    await asyncio.sleep(0)
    assert gate.door.connections
    connection.expire(now + TERMS.body_seconds + 5)
    await until(lambda: not gate.door.connections and not gate.door.tasks)
    writer.close()


async def test_who_only_sits_in_a_full_gate_makes_room(gate: Gate) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(4)]
    await until(lambda: len(gate.door.connections) == TERMS.connections_most)
    gate.open.clear()
    opened[0][1].write(GET)
    await until(lambda: gate.seen)
    await asyncio.sleep(QUIET_SECONDS + 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(GET)
    await until(lambda: len(gate.seen) == 2)
    gate.open.set()
    await asyncio.wait_for(reader.readuntil(b"done"), 5)
    await asyncio.wait_for(opened[0][0].readuntil(b"done"), 5)
    for _, one in [*opened, (reader, writer)]:
        one.close()


async def test_large_bodies_are_held_for_so_many_at_a_time_and_small_ones_for_all(
    gate: Gate,
) -> None:
    gate.door.terms = DoorTerms(2 * SMALL_MOST, bodies_most=1)
    large = b"Content-Length: %d\r\n\r\n" % (2 * SMALL_MOST)
    opened = []
    for sent in (SMALL_MOST + 200_000, SMALL_MOST - 100_000):
        _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(POST + large + b"a" * sent)
        opened.append(writer)
    await until(lambda: gate.door.held > 2 * SMALL_MOST)
    assert (await spoken(gate, POST + b"Content-Length: 3\r\n\r\nabc")).startswith(b"HTTP/1.1 200 ")
    with contextlib.suppress(ConnectionError):
        answer = await spoken(gate, POST + large + b"a" * (SMALL_MOST + 1))
        assert answer.startswith(b"HTTP/1.1 503 ")
    assert gate.refused[-1][2] == 503
    for writer in opened:
        writer.close()
    await until(lambda: not gate.door.connections)
    assert gate.door.held == 0
    answer = await spoken(gate, POST + large + b"a" * 2 * SMALL_MOST)
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("target", [b"/p", b"*"])
async def test_what_was_held_of_a_body_is_let_go_once_it_is_answered(
    gate: Gate, target: bytes
) -> None:
    sent = POST.replace(b"/p", target) + b"Content-Length: 3\r\n\r\nabc"
    answer = await spoken(gate, sent * 3 + sent[:-1])
    assert answer.count(b"HTTP/1.1 ") == 3
    await until(lambda: not gate.door.connections)
    assert gate.door.held == 0


async def test_many_requests_in_one_read_are_no_long_head(gate: Gate) -> None:
    answer = await spoken(gate, GET * 5_000 + GET[:10], GET[10:])
    assert answer.count(b"HTTP/1.1 200 OK") == 5_001
    assert not gate.refused


async def test_who_sends_thousands_at_once_takes_turns_with_the_others(gate: Gate) -> None:
    _, flood = await asyncio.open_connection("127.0.0.1", gate.port)
    flood.write(GET * 3_000)
    await until(lambda: gate.seen)
    await spoken(gate, GET.replace(b"/a", b"/other"))
    assert "/other" in [w.path for w in gate.seen[:2_000]]
    flood.close()


async def test_what_only_waits_is_not_begun_when_the_door_closes(gate: Gate) -> None:
    gate.open.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(GET * 3)
    await until(lambda: gate.seen)
    closing = asyncio.create_task(gate.door.close(5))
    await asyncio.sleep(0)
    gate.open.set()
    assert (await asyncio.wait_for(reader.read(), 5)).count(b"HTTP/1.1 200 OK") == 1
    await closing
    assert len(gate.seen) == 1
    writer.close()


@pytest.mark.parametrize(
    "half",
    [
        b"Content-Length: 10\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        b"Content-Length: 4\r\n",
        b"Content-Length: 0",
    ],
)
async def test_a_request_cut_in_half_is_no_request(gate: Gate, half: bytes) -> None:
    await spoken(gate, GET + POST + half)
    assert [wire.method for wire in gate.seen] == ["GET"]
