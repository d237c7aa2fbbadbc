"""The heads of answers to agents. What came from a target cannot end a line early.

Source: RFC 9112.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from signoff.gates.aws_errors import NativeReply

NO_BODY = frozenset({204, 304})
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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
    if reply.status not in NO_BODY:
        kept = method == "HEAD" and said.isdecimal()
        lines.append(f"Content-Length: {said if kept else len(reply.body)}")
    lines.append(_date(int(time())))
    if not keep:
        lines.append("Connection: close")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        return BAD_GATEWAY
    return (text + "\r\n\r\n").encode("utf-8", "surrogateescape")


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
