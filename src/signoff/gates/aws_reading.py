"""A target's reply to a question, as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote

from signoff.gates.aws_errors import NativeReply
from signoff.model.action import Answer
from signoff.model.values import frozen
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.replies import UNREADABLE, parse_reply

_DOCUMENTS = frozenset({"AssumeRolePolicyDocument", "Document", "PolicyDocument"})
_TRANSIENT = frozenset(
    {
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def read_reply(models: Models, name: str, reply: NativeReply) -> Answer:
    """A reply to a question (`service:Operation`) as an answer: 4xx is the target's own
    `no`; a 5xx, a throttled or an unreadable reply leaves the question unanswered."""
    service, _, operation = name.partition(":")
    # botocore's parser would decode plain bytes as UTF-8, also where a member is a blob.
    body = (
        cast(bytes, bytearray(reply.body)) if _is_blob(models, service, operation) else reply.body
    )
    read = parse_reply(models, service, operation, reply.status, reply.headers, body)
    if reply.status >= 500 or read.error_code in _TRANSIENT or read.error_code == UNREADABLE:
        return Answer(unanswered=f"`{name}`: {reply.status} {read.error_code}".rstrip())
    if not read.ok:
        return Answer(error=read.error_code)
    data = read.data if service != "iam" else frozen(**cast(dict[str, object], _plain(read.data)))
    return Answer(value=data)


def _plain(value: object, name: str = "") -> object:
    """The data with IAM's policy documents as JSON text: IAM answers them percent-encoded
    and takes them plain, and botocore's client, not its parser, evens that out."""
    if isinstance(value, Mapping):
        return {k: _plain(v, k) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v, name) for v in value]
    if isinstance(value, str) and name in _DOCUMENTS and value.startswith("%7B"):
        return unquote(value)
    return value


def _is_blob(models: Models, service: str, operation: str) -> bool:
    """Whether the answer's whole body is a member nobody interprets."""
    shape = models.operation(service, operation).output
    payload = shape.serialization.get("payload") if shape is not None else None
    return bool(payload) and shape.members[payload].type_name == "blob"
