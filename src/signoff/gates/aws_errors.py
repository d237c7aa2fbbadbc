"""Denials in each AWS protocol's own words, so that any client shows them as an error. Pure.

A client that cannot parse an error reports a parser fault instead of the reason, and one
that thinks the error is temporary tries again. So each protocol gets its native form, and
status 403 with an access-denied code, which no SDK repeats.

Sources: the protocols of the Smithy specification (awsJson1_0, awsJson1_1, restJson1,
restXml, awsQuery, ec2Query, rpcV2Cbor) and Amazon S3's error responses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from xml.sax.saxutils import escape

import cbor2

MESSAGE_MOST = 2_000
"""The longest message in characters; HTTP clients and screens cut longer ones anyway."""

_S3_SHAPED = frozenset({"s3", "s3express"})
_CODE_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


@dataclass(frozen=True, slots=True)
class NativeReply:
    """An HTTP answer an AWS client understands: status, headers in order, the whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render(
    protocol: str,
    *,
    service: str,
    operation: str,
    code: str,
    message: str,
    status: int,
    request_id: str,
    version: str | None = None,
    head: bool = False,
) -> NativeReply:
    """The error in the protocol's own form.

    `protocol` is botocore's name (`query ec2 json rest-json rest-xml smithy-rpc-v2-cbor`;
    anything else is answered like `rest-json`), `service` botocore's service name,
    `version` the JSON protocol's (`1.0` or `1.1`). The message is made one line of at most
    `MESSAGE_MOST` characters. `head` leaves out the body, as the answer to a HEAD request
    must; the message is then in `x-signoff-message`. S3's HeadObject and HeadBucket are
    known by their names.
    """
    code = "".join(c for c in code if c in _CODE_SAFE) or "AccessDenied"
    text, request_id = one_line(message), _header(request_id)
    if head or (service in _S3_SHAPED and operation.startswith("Head")):
        headers = (
            ("x-amz-request-id", request_id),
            ("x-amzn-requestid", request_id),
            ("x-amzn-errortype", code),
            ("x-signoff-message", _header(text)),
        )
        return NativeReply(status, headers, b"")
    match protocol:
        case "query":
            body = _nested(code, text, request_id)
            return _xml(status, request_id, body)
        case "ec2":
            return _xml(status, request_id, _ec2(code, text, request_id))
        case "rest-xml":
            shape = _s3 if service in _S3_SHAPED else _nested
            return _xml(status, request_id, shape(code, text, request_id))
        case "json":
            kind = f"application/x-amz-json-{version or '1.0'}"
            return _json(status, request_id, code, text, kind)
        case "smithy-rpc-v2-cbor" | "rpc-v2-cbor":
            return _cbor(status, request_id, code, text)
        case _:
            return _json(status, request_id, code, text, "application/json")


def denied_code(protocol: str, service: str = "") -> str:
    """The code the protocol's services use for `access denied`."""
    if protocol == "ec2":
        return "UnauthorizedOperation"
    if protocol in ("query", "rest-xml") or service in _S3_SHAPED:
        return "AccessDenied"
    return "AccessDeniedException"


def one_line(text: str) -> str:
    """The text on one line: control characters become blanks, lone surrogates `?`, and
    what XML 1.0 cannot hold is gone; cut at `MESSAGE_MOST` characters."""
    plain = text.encode("utf-8", "replace").decode()
    kept = "".join(c if _xml_char(c) else " " for c in plain)
    line = " ".join(kept.split())
    return line if len(line) <= MESSAGE_MOST else line[: MESSAGE_MOST - 1] + "…"


def _xml_char(char: str) -> bool:
    point = ord(char)
    return (0x20 <= point < 0x7F) or (point >= 0xA0 and point not in (0xFFFE, 0xFFFF))


def _header(text: str) -> str:
    """The text as a header value: printable ASCII, anything else as `?`."""
    return "".join(c if " " <= c <= "~" else "?" for c in text).strip()


def _nested(code: str, text: str, request_id: str) -> str:
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{escape(text)}</Message></Error>"
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )


def _ec2(code: str, text: str, request_id: str) -> str:
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(text)}</Message>"
        f"</Error></Errors><RequestID>{escape(request_id)}</RequestID></Response>"
    )


def _s3(code: str, text: str, request_id: str) -> str:
    return (
        f"<Error><Code>{code}</Code><Message>{escape(text)}</Message>"
        f"<RequestId>{escape(request_id)}</RequestId></Error>"
    )


def _xml(status: int, request_id: str, body: str) -> NativeReply:
    headers = (
        ("content-type", "text/xml"),
        ("x-amzn-requestid", request_id),
        ("x-amz-request-id", request_id),
    )
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return NativeReply(status, headers, text.encode())


def _json(status: int, request_id: str, code: str, text: str, kind: str) -> NativeReply:
    headers = (
        ("content-type", kind),
        ("x-amzn-requestid", request_id),
        ("x-amzn-errortype", code),
    )
    return NativeReply(status, headers, json.dumps({"__type": code, "message": text}).encode())


def _cbor(status: int, request_id: str, code: str, text: str) -> NativeReply:
    headers = (
        ("content-type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
        ("x-amzn-requestid", request_id),
    )
    return NativeReply(status, headers, cbor2.dumps({"__type": code, "message": text}))
