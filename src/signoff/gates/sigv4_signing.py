"""The canonical form of AWS Signature Version 4, and signing with it. Pure.

Source: AWS, "Create a signed AWS API request". Every signed header is folded, query pairs
are re-encoded and sorted, the path is encoded once more for every service but S3.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from signoff.model.errors import MalformedRequest
from signoff.surfaces.aws.wire import WireRequest

KEYS_MOST = 4_096
S3_NAMES = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
"""Signing names that follow S3's rules: the path is signed as sent, the body hash is a header."""

UNSIGNED = frozenset({"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

Headers = tuple[tuple[str, str], ...]

SCHEME = "AWS4-HMAC-SHA256"
_ONCE = frozenset(
    {
        "authorization",
        "content-length",
        "content-type",
        "host",
        "smithy-protocol",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-target",
    }
)
_NEVER_SIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
_NOT_FORWARDED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-s3session-token",
        "x-amz-security-token",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    }
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs a request. Its secret and token never show in a text of it."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class SigningKeys:
    """Derived keys by secret, date, region and service: four HMACs saved per request.

    Bounded: at `KEYS_MOST` entries it starts over.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, str], hmac.HMAC] = {}

    def __repr__(self) -> str:
        return f"SigningKeys({len(self._known)} keys)"

    def key(self, secret: str, date: str, region: str, service: str) -> hmac.HMAC:
        """An HMAC under the signing key, to be copied for each text.

        A copy costs less than a one-shot HMAC, which hands the interpreter to another
        thread and waits to get it back.
        """
        name = (secret, date, region, service)
        found = self._known.get(name)
        if found is None:
            key = b"AWS4" + secret.encode("utf-8", "surrogateescape")
            for part in (date, region, service, "aws4_request"):
                key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
            found = hmac.new(key, digestmod="sha256")
            if len(self._known) >= KEYS_MOST:
                self._known.clear()
            self._known[name] = found
        return found


DERIVED = SigningKeys()
"""The derived keys of whoever brings no cache of their own."""


def sign(
    wire: WireRequest,
    credentials: Credentials,
    *,
    region: str,
    service: str,
    host: str,
    now_ms: int,
    payload: str | None = None,
    signing_key_cache: SigningKeys | None = None,
) -> Headers:
    """All headers to send, signed as botocore's SigV4Auth and S3SigV4Auth would.

    Everything the client's own connection and credentials left behind is dropped (see
    `_NOT_FORWARDED`); the rest is kept in order. `payload` is the hash to sign in hex or
    one of `UNSIGNED`; None hashes the body. `service` is the signing name. Content-Length
    is left to whoever sends, unsigned, as botocore does.
    """
    stamp = _stamp(now_ms // 1000)
    asked_sha = any(name == "x-amz-content-sha256" for name, _ in wire.headers)
    digest = payload if payload is not None else body_sha256(wire.body)
    kept = [(k, v) for k, v in wire.headers if k not in _NOT_FORWARDED]
    kept += [("host", host), ("x-amz-date", stamp)]
    if service in S3_NAMES or asked_sha:
        kept.append(("x-amz-content-sha256", digest))
    if credentials.token:
        name = "x-amz-s3session-token" if service == "s3express" else "x-amz-security-token"
        kept.append((name, credentials.token))
    headers = fold(kept, strict=False)
    signed = tuple(sorted(name for name in headers if name not in _NEVER_SIGNED))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    keys = signing_key_cache or DERIVED
    signature = signature_of(
        canonical_request(wire, headers, signed, service, digest),
        keys.key(credentials.secret_key, stamp[:8], region, service),
        stamp,
        scope,
    )
    kept.append(
        (
            "authorization",
            f"{SCHEME} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}",
        )
    )
    return tuple(kept)


@lru_cache(maxsize=4)
def _stamp(second: int) -> str:
    """The time in the form of the header `x-amz-date`."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")


def fold(headers: Sequence[tuple[str, str]], *, strict: bool = True) -> dict[str, str]:
    """Header values by lower-case name, blanks folded, repeated ones joined by commas."""
    folded: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        text = value
        if not value.isprintable() or "  " in value or value[:1] == " " or value[-1:] == " ":
            text = " ".join(value.split())
        if name not in folded:
            folded[name] = text
        elif strict and name in _ONCE:
            raise MalformedRequest(
                f"the header `{name}` comes more than once",
                "which of them counts is not certain",
                "send it once",
            )
        else:
            folded[name] = f"{folded[name]},{text}"
    return folded


def canonical_request(
    wire: WireRequest, headers: dict[str, str], signed: Sequence[str], service: str, payload: str
) -> str:
    """The canonical request: six parts, one a line."""
    lines = "".join([f"{name}:{headers[name]}\n" for name in signed])
    path = wire.path if service in S3_NAMES else _plain_path(wire.path)
    return (
        f"{wire.method.upper()}\n{path}\n{_canonical_query(wire.query)}\n"
        f"{lines}\n{';'.join(signed)}\n{payload}"
    )


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        pairs.append((_encoded(name), _encoded(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encoded(text: str) -> str:
    """The same text percent-encoded in the one way AWS signs it (RFC 3986 unreserved kept)."""
    return text if text.isalnum() and text.isascii() else quote(unquote_to_bytes(text), safe="")


def _plain_path(path: str) -> str:
    """The path without dot segments and repeated slashes, encoded once more."""
    if path == "/" or not path:
        return "/"
    if "//" in path or "/." in path:
        kept: list[str] = []
        for part in path.split("/"):
            if part == "..":
                if kept:
                    kept.pop()
            elif part and part != ".":
                kept.append(part)
        trailing = "/" if path.endswith("/") and kept else ""
        path = "/" + "/".join(kept) + trailing
    return quote(path, safe="/~")


def signature_of(canonical: str, key: hmac.HMAC, stamp: str, scope: str) -> str:
    """The signature in hex: 64 characters."""
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = f"{SCHEME}\n{stamp}\n{scope}\n{hashed}"
    keyed = key.copy()
    keyed.update(text.encode("utf-8", "surrogateescape"))
    return keyed.hexdigest()


def body_sha256(body: bytes) -> str:
    """The body's SHA-256 in hex."""
    return hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
