"""Which headers of a request carry meaning. Pure.

A header is either part of the operation by botocore's model, or known to say nothing
about what is asked, and then dropped. Anything else that could change the meaning of the
request is refused, because it would be lost when the request is written again.
"""

from __future__ import annotations

from signoff.surfaces.aws.scalars import clip, refuse
from signoff.surfaces.aws.wire import WireRequest

# What the transport, the signature and the client's own bookkeeping add.
NOISE = frozenset(
    {
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "amz-sdk-retry",
        "authorization",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "smithy-protocol",
        "user-agent",
        "x-amz-api-version",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-glacier-version",
        "x-amz-security-token",
        "x-amz-target",
        "x-amz-te",
        "x-amz-trailer",
        "x-amz-user-agent",
        "x-amzn-query-mode",
        "x-amzn-trace-id",
    }
)

# Families in which an unknown header could change what the service does.
_MEANINGFUL = ("x-amz", "if-", "content-", "range", "x-http-method", "cache-control", "expires")

_SINGLE = frozenset(
    {"authorization", "content-type", "content-encoding", "host", "smithy-protocol", "range"}
)


def distinct(wire: WireRequest) -> dict[str, str]:
    """The headers by name. Refuses duplicates of those that matter, and texts that no
    header may hold; of the others the first is kept."""
    found: dict[str, str] = {}
    for name, value in wire.headers:
        if name in found:
            if name.startswith(_MEANINGFUL) or name in _SINGLE:
                refuse(f"the header {clip(name)} appears twice", "only one of them would count")
            continue
        found[name] = value
    return found


def clean(name: str, value: str) -> str:
    """A header's value, if it is text that every party reads in the same way."""
    if not value.isprintable() and any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in value):
        refuse(f"the header {clip(name)} holds a control character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        refuse(f"the header {clip(name)} is not UTF-8")
    return value


def refuse_unread(unread: set[str], *, gzip: bool) -> None:
    """Refuse headers that nobody read and that could matter."""
    for name in unread:
        if name in NOISE or (name == "content-encoding" and gzip):
            continue
        if name.startswith(_MEANINGFUL):
            refuse(
                f"unknown header {clip(name)}",
                "botocore's model of the operation lacks it, so its effect is not known",
            )
