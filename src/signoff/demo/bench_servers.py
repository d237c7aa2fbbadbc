"""The two small servers of the gate's benchmark, each a process of its own.

`upstream` answers every request from memory, so that what is measured is the gate;
`passthrough` is aiohttp and uvloop forwarding a request and nothing more: the bare cost of
a proxy of that make, which the gate's cost is divided by. Each prints `{"port": N}`.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

import aiohttp
import click
import uvloop
from aiohttp import web
from yarl import URL

from signoff.demo.children import exit_when_stdin_closes

ACCOUNT = "123456789012"
_ITEM = b'{"Item":{"pk":{"S":"order-0001"},"total":{"N":"42.50"},"note":{"S":"a small item"}}}'
_WHO = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    f"<GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/bench</Arn><UserId>U</UserId>"
    f"<Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
).encode()
_DROPPED = frozenset(["connection", "content-length", "date", "host", "server", "keep-alive"])


class Trivial(asyncio.Protocol):
    """Answers as DynamoDB would answer GetItem, and as STS says whose keys these are."""

    def __init__(self) -> None:
        self._held = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._held += data
        while self._transport is not None:
            head, blank, rest = self._held.partition(b"\r\n\r\n")
            size = _length(head)
            if not blank or len(rest) < size:
                return
            self._held = rest[size:]
            asks_who = b"GetCallerIdentity" in rest[:size]
            self._transport.write(_answer("text/xml", _WHO) if asks_who else _GET_ITEM)


def _length(head: bytes) -> int:
    _, found, value = head.lower().partition(b"\r\ncontent-length:")
    return int(value.partition(b"\r\n")[0]) if found else 0


def _answer(kind: str, body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Sun, 22 Nov 2026 19:00:00 GMT\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n"
        "x-amzn-RequestId: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEF\r\n"
        "x-amz-crc32: 2745614147\r\n\r\n"
    )
    return head.encode() + body


_GET_ITEM = _answer("application/x-amz-json-1.0", _ITEM)


class Passthrough:
    """Forwards a request and its answer, headers and all; judges, signs and writes nothing."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=200, limit_per_host=64),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def handle(self, incoming: web.Request) -> web.Response:
        """One request there, one answer back."""
        kept = {k: v for k, v in incoming.headers.items() if k.lower() not in _DROPPED}
        async with self._session.request(
            incoming.method,
            URL(self._upstream + incoming.raw_path, encoded=True),
            headers=kept,
            data=await incoming.read(),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            given = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED}
            return web.Response(status=answer.status, headers=given, body=body)


async def serve(kind: str, upstream: str) -> None:
    """Serve on a free loopback port until the process ends."""
    if kind == "upstream":
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Trivial, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    else:
        # As aiohttp's own guide builds a server: an application with one route.
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", Passthrough(upstream).handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
    print(json.dumps({"port": port}), flush=True)
    await asyncio.Event().wait()


@click.command()
@click.argument("kind", type=click.Choice(["upstream", "passthrough"]))
@click.option("--to", default="", help="Where the pass-through forwards to.")
def main(kind: str, to: str) -> None:
    """Serve until standard input closes."""
    exit_when_stdin_closes()
    uvloop.run(serve(kind, to))


if __name__ == "__main__":
    main()
