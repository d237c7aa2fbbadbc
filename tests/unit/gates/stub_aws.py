"""A stub of AWS on loopback: it answers what a test tells it to, and keeps what it got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[["Got", asyncio.StreamWriter], Awaitable[None]]

IDENTITY = (
    b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/d"
    b"</Arn><UserId>U</UserId><Account>123456789012</Account></GetCallerIdentityResult>"
    b"</GetCallerIdentityResponse>"
)


@dataclass
class Got:
    """One request as it arrived, byte for byte."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k == name), "")


@dataclass
class StubAws:
    """Answers with `script` in order; its last entry repeats. The caller's identity is
    answered aside and not kept."""

    script: list[Answer] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    url: str = ""
    identity: bytes = IDENTITY

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await _read(reader)
                if b"Action=GetCallerIdentity" in request.body:
                    await reply(200, self.identity, ("content-type", "text/xml"))(request, writer)
                    continue
                self.got.append(request)
                answer = self.script[min(len(self.got), len(self.script)) - 1]
                await answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Got:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines)]
    length = next((int(v) for k, v in headers if k == "content-length"), 0)
    return Got(first, headers, await reader.readexactly(length))


@asynccontextmanager
async def stub_aws(*script: Answer) -> AsyncIterator[StubAws]:
    stub = StubAws(list(script))
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()


def reply(status: int, body: bytes, *headers: tuple[str, str]) -> Answer:
    """A whole answer, keeping the connection."""

    async def answer(_: Got, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers)]
        writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)

    return answer


async def hang_up(_: Got, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    writer.close()


async def cut_off(_: Got, writer: asyncio.StreamWriter) -> None:
    """Begin an answer, and close in the middle of its body."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
    await writer.drain()
    writer.close()


async def silence(_: Got, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()
