"""Answers to credential-issuing STS calls that hold a run key instead of a credential. Pure.

The agent's SDK gets the native reply it expects and works with it as before, through the
gate. What it holds is worth nothing anywhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from signoff.gates.aws_errors import NativeReply
from signoff.model.errors import MalformedRequest
from signoff.model.ports import RunKey

MINTED = frozenset({"AssumeRole", "GetSessionToken", "GetFederationToken"})
"""The STS operations that are answered with a run key; every other issuing call is denied."""

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def new_key_id(random_bytes: bytes, *, child: bool = False) -> str:
    """An access key id of 20 characters: `AKIA...` for a run key, `ASIA...` for a child of
    one. `random_bytes` are at least 10 unguessable bytes; the first 10 are used (80 bits).

    Raises `ValueError` for fewer.
    """
    if len(random_bytes) < 10:
        raise ValueError(f"10 random bytes are needed, got {len(random_bytes)}")
    number = int.from_bytes(random_bytes[:10], "big")
    letters = "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
    return ("ASIA" if child else "AKIA") + letters


def render_minted(
    operation: str,
    key: RunKey,
    *,
    account: str,
    request_id: str,
    role_arn: str = "",
    session: str = "",
) -> NativeReply:
    """The native reply of an STS operation, carrying the run key.

    `role_arn` and `session` are what an AssumeRole asked for (the role's ARN and its
    RoleSessionName); for GetFederationToken `session` is the Name. `account` has 12 digits.
    Raises `MalformedRequest` for an operation that is not in `MINTED`, and `ValueError`
    for a key without a session token: an SDK would not accept the reply.
    """
    if operation not in MINTED:
        raise MalformedRequest(
            f"`sts:{operation[:80]}` hands out a credential and is not answered",
            "a real credential never passes the gate",
            "work with the run key you have",
        )
    if not key.token:
        raise ValueError("a minted key needs a session token")
    credentials = (
        f"<Credentials><AccessKeyId>{escape(key.key_id)}</AccessKeyId>"
        f"<SecretAccessKey>{escape(key.secret)}</SecretAccessKey>"
        f"<SessionToken>{escape(key.token)}</SessionToken>"
        f"<Expiration>{_iso(key.expires_ms)}</Expiration></Credentials>"
    )
    about = _about(operation, key, account, role_arn, session)
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<{operation}Response xmlns={quoteattr(_NAMESPACE)}><{operation}Result>"
        f"{about}{credentials}</{operation}Result><ResponseMetadata>"
        f"<RequestId>{escape(request_id)}</RequestId></ResponseMetadata></{operation}Response>"
    )
    headers = (("content-type", "text/xml"), ("x-amzn-requestid", request_id))
    return NativeReply(200, headers, body.encode())


def _about(operation: str, key: RunKey, account: str, role_arn: str, session: str) -> str:
    """Who the reply says the caller now is, in the form each operation gives it."""
    if operation == "AssumeRole":
        pieces = role_arn.split(":", 5)
        partition = pieces[1] if len(pieces) == 6 else "aws"
        owner = pieces[4] if len(pieces) == 6 else account
        role = role_arn.rpartition("/")[2]
        arn = f"arn:{partition}:sts::{owner}:assumed-role/{role}/{session}"
        return (
            f"<AssumedRoleUser><AssumedRoleId>{escape('AROA' + key.key_id[4:] + ':' + session)}"
            f"</AssumedRoleId><Arn>{escape(arn)}</Arn></AssumedRoleUser>"
        )
    if operation == "GetFederationToken":
        arn = f"arn:aws:sts::{account}:federated-user/{session}"
        return (
            f"<FederatedUser><FederatedUserId>{escape(account + ':' + session)}"
            f"</FederatedUserId><Arn>{escape(arn)}</Arn></FederatedUser>"
        )
    return ""


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
