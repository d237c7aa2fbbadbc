"""AWS Signature Version 4: verifying what an agent sent, signing what Signoff sends. Pure.

Source: AWS, "Create a signed AWS API request" (Signature Version 4). The canonical form is
the one AWS computes: every signed header folded, query pairs re-encoded and sorted, the
path encoded once more for every service but S3. One code path serves both directions, so
the gate accepts exactly what it would have signed itself.

What is accepted besides a plain signed body, and for S3 alone: `UNSIGNED-PAYLOAD` and
`STREAMING-UNSIGNED-PAYLOAD-TRAILER`. There the client's signature does not cover the body;
everything else about the request is still covered.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from signoff.gates.sigv4_signing import (
    DERIVED,
    KEYS_MOST,
    S3_NAMES,
    SCHEME,
    UNSIGNED,
    Credentials,
    Headers,
    SigningKeys,
    body_sha256,
    canonical_request,
    fold,
    sign,
    signature_of,
)
from signoff.model.errors import MalformedRequest, Refused
from signoff.model.ports import RunKey
from signoff.surfaces.aws.wire import WireRequest

__all__ = [
    "KEYS_MOST",
    "S3_NAMES",
    "SKEW_MS",
    "UNSIGNED",
    "Credentials",
    "Headers",
    "SigningKeys",
    "Verified",
    "claimed_key_id",
    "sign",
    "verify",
]

SKEW_MS = 15 * 60 * 1000
"""How far a client's clock may be off, in milliseconds; AWS allows the same."""

_PRESIGNED = frozenset(
    {"x-amz-signature", "x-amz-credential", "x-amz-algorithm", "signature", "awsaccesskeyid"}
)
_NEXT_CLIENT = "use an AWS SDK or the AWS CLI with the run key's variables"


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature holds: who signed it, and the scope it was signed for.

    `date` is `YYYYMMDD`; `payload_sha256` is the body's hash in hex, or one of `UNSIGNED`
    as the client sent it.
    """

    key: RunKey = field(repr=False)
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    payload_sha256: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """An Authorization header taken apart, not yet believed."""

    key_id: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str


def claimed_key_id(wire: WireRequest) -> str:
    """The access key id the request says it is signed with; nothing is believed yet.

    Raises like `verify` when the request is not one plainly signed request.
    """
    _check_line(wire.method, wire.path, wire.query)
    # A second Authorization header is refused by `verify`, with everything else.
    return _claim(next((v for n, v in wire.headers if n == "authorization"), None)).key_id


def verify(
    wire: WireRequest,
    *,
    host: str,
    key_of: Callable[[str], RunKey | None],
    now_ms: int,
    signing_key_cache: SigningKeys | None = None,
    skew_ms: int = SKEW_MS,
) -> Verified:
    """Who signed the request, once its signature, scope, time, token and body hash hold.

    `host` is the Host the request came with; `key_of` gives the run key of an access key
    id, None when it is unknown or revoked; `now_ms` is in milliseconds since the epoch.
    Raises `MalformedRequest` when the request is not one plainly signed request, `Refused`
    when it is and does not count.
    """
    _check_line(wire.method, wire.path, wire.query)
    headers = fold(wire.headers)
    claim = _claim(headers.get("authorization"))
    if headers.get("host") != " ".join(host.split()):
        raise MalformedRequest("the Host header is not the one the request came with")
    key = _live_key(claim, key_of, headers, now_ms)
    stamp = _check_time(claim, headers, now_ms, skew_ms)
    _check_signed(claim, headers)
    payload = _check_payload(claim.service, headers, wire.body)
    expected = signature_of(
        canonical_request(wire, headers, claim.signed, claim.service, payload),
        (signing_key_cache or DERIVED).key(key.secret, claim.date, claim.region, claim.service),
        stamp,
        f"{claim.date}/{claim.region}/{claim.service}/aws4_request",
    )
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
        raise Refused(
            "the request's signature does not match",
            f"`{claim.key_id}` did not sign these bytes, or its secret differs",
            "check that client and gate use the same run key, and that nothing between "
            "them rewrites requests",
        )
    return Verified(key, claim.date, claim.region, claim.service, claim.signed, payload)


@lru_cache(maxsize=256)
def _check_line(method: str, path: str, query: str) -> None:
    line = method + path + query
    plain = line.isascii() and line.isprintable() and " " not in line
    blank = not plain and any(c <= " " or c == "\x7f" for c in line)
    if blank or not path.startswith("/"):
        raise MalformedRequest(
            "the request line holds a blank or control character, or no path",
            "such bytes must be percent-encoded",
            _NEXT_CLIENT,
        )
    if not query:
        return
    if "+" in query:
        raise MalformedRequest(
            "the query holds a bare `+`",
            "it means a blank to some readers and a plus to others",
            "encode it as `%20` or `%2B`",
        )
    for pair in query.split("&"):
        name = _text(pair.partition("=")[0]).lower()
        if name in _PRESIGNED:
            raise Refused(
                "presigned URLs are not accepted",
                f"the query holds `{name}`",
                "send the request signed in its Authorization header",
            )


@lru_cache(maxsize=64)
def _claim(authorization: str | None) -> _Claim:
    if not authorization:
        raise MalformedRequest(
            "the request is not signed",
            "it has no Authorization header",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a run key's",
        )
    scheme, _, rest = authorization.partition(" ")
    if scheme != SCHEME:
        raise Refused(*_other_scheme(scheme))
    members: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not value or name in members:
            raise _bad_authorization(f"`{name}` is repeated or has no value")
        members[name] = value
    if members.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise _bad_authorization("it must hold Credential, SignedHeaders and Signature")
    scope = members["Credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request" or not all(scope):
        raise _bad_authorization(
            "its scope must be KEY/DATE/REGION/SERVICE/aws4_request, "
            f"got `{members['Credential'][:120]}`"
        )
    signed = tuple(members["SignedHeaders"].split(";"))
    if list(signed) != sorted(set(signed)) or any(n != n.lower() or not n for n in signed):
        raise _bad_authorization("SignedHeaders must be lower case, sorted and without repeats")
    return _Claim(scope[0], scope[1], scope[2], scope[3], signed, members["Signature"])


def _other_scheme(scheme: str) -> tuple[str, str, str]:
    if scheme == "AWS":
        return (
            "signature version 2 is not accepted",
            "it does not cover the whole request",
            "use signature version 4",
        )
    if scheme.startswith("AWS4-ECDSA"):
        return (
            "signature version 4A is not accepted",
            "the gate signs for one region at a time",
            "name one region instead of a multi-region access point",
        )
    return (
        f"the authorization scheme `{scheme[:40]}` is not accepted",
        f"a run key signs with {SCHEME}",
        _NEXT_CLIENT,
    )


def _bad_authorization(why: str) -> MalformedRequest:
    return MalformedRequest("the Authorization header cannot be read", why, _NEXT_CLIENT)


def _live_key(
    claim: _Claim, key_of: Callable[[str], RunKey | None], headers: dict[str, str], now_ms: int
) -> RunKey:
    key = key_of(claim.key_id)
    if key is None:
        raise Refused(
            f"the access key id `{claim.key_id[:64]}` is not a run key",
            "it is unknown here or was revoked",
            "ask the operator for a run key (signoff key new)",
        )
    if now_ms >= key.expires_ms:
        raise Refused(
            f"the run key `{claim.key_id[:64]}` has expired",
            f"it was good until {_iso(key.expires_ms)}",
            "ask the operator for a new one (signoff key new)",
        )
    token = headers.get("x-amz-security-token", "")
    if not hmac.compare_digest(token.encode("utf-8", "replace"), key.token.encode()):
        raise Refused(
            "the session token does not belong to the access key id",
            "it is missing, or of another key" if key.token else "this run key has none",
            "set AWS_SESSION_TOKEN exactly as the run key came, or unset it",
        )
    return key


def _check_time(claim: _Claim, headers: dict[str, str], now_ms: int, skew_ms: int) -> str:
    """The request's own time stamp, `YYYYMMDDTHHMMSSZ`, near enough to now."""
    stamp = headers.get("x-amz-date", "")
    sent_ms = _sent_ms(stamp)
    if sent_ms is None:
        raise MalformedRequest(
            f"the header `x-amz-date` is not a time: `{stamp[:40]}`",
            "it must be YYYYMMDDTHHMMSSZ",
            _NEXT_CLIENT,
        )
    if stamp[:8] != claim.date:
        raise _bad_authorization(f"its scope is of {claim.date[:16]}, x-amz-date of {stamp[:8]}")
    off = abs(sent_ms - now_ms)
    if off > skew_ms:
        raise Refused(
            f"the request's time is {off // 1000} s away from the gate's",
            f"at most {skew_ms // 1000} s are accepted",
            "set the client's clock",
        )
    return stamp


@lru_cache(maxsize=64)
def _sent_ms(stamp: str) -> int | None:
    """The time of `YYYYMMDDTHHMMSSZ` in milliseconds; None for any other text."""
    digits = stamp[:8] + stamp[9:15]
    framed = len(stamp) == 16 and stamp[8] == "T" and stamp[15] == "Z"
    if not (framed and digits.isascii() and digits.isdigit()):
        return None
    month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(4, 14, 2))
    try:
        sent = datetime(int(digits[:4]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(sent.timestamp()) * 1000


def _check_signed(claim: _Claim, headers: dict[str, str]) -> None:
    signed = set(claim.signed)
    missing = [n for n in claim.signed if n not in headers]
    if missing:
        raise MalformedRequest(f"the signed header `{missing[0][:64]}` is not in the request")
    for name in headers:
        must = name in ("host", "content-type", "smithy-protocol") or name.startswith("x-amz-")
        if must and name not in signed:
            raise Refused(
                f"the header `{name[:64]}` is not signed",
                "it decides what the request does, so the signature must cover it",
                _NEXT_CLIENT,
            )


def _check_payload(service: str, headers: dict[str, str], body: bytes) -> str:
    said = headers.get("x-amz-content-sha256")
    if said in UNSIGNED and service in S3_NAMES:
        return said
    if said is not None and (said in UNSIGNED or said.startswith("STREAMING-")):
        raise Refused(
            f"a body signed as `{said[:64]}` is not accepted for `{service[:40]}`",
            "its bytes cannot be checked against the signature",
            "send the body in one piece, signed (payload signing on, chunked encoding off)",
        )
    if said is None and service in S3_NAMES:
        raise MalformedRequest("the header `x-amz-content-sha256` is missing", "", _NEXT_CLIENT)
    real = body_sha256(body)
    if said is not None and not hmac.compare_digest(said.encode("utf-8", "replace"), real.encode()):
        raise Refused(
            "the body is not the one that was signed",
            "its hash differs from `x-amz-content-sha256`",
            "send it again, unaltered",
        )
    return real


def _text(raw: str) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
