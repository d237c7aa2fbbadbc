"""A target's reply to a question, as an answer."""

from __future__ import annotations

from typing import cast

from signoff.gates.aws_errors import NativeReply
from signoff.model.action import Answer
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.replies import UNREADABLE, parse_reply

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
    return Answer(value=read.data) if read.ok else Answer(error=read.error_code)


def _is_blob(models: Models, service: str, operation: str) -> bool:
    """Whether the answer's whole body is a member nobody interprets."""
    shape = models.operation(service, operation).output
    payload = shape.serialization.get("payload") if shape is not None else None
    return bool(payload) and shape.members[payload].type_name == "blob"
