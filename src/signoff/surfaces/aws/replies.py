"""What the target answered, as plain data, through botocore's own parsers.

Total: a reply nobody can read gives an error code of Signoff's own, never an exception.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from botocore.awsrequest import HeadersDict
from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError, create_parser

from signoff.model.errors import MalformedRequest
from signoff.model.values import EMPTY, Data, freeze
from signoff.surfaces.aws.models import Models, Operation
from signoff.surfaces.aws.parse_xml import xml_tree

BODY_MOST = 64 * 1024 * 1024
UNREADABLE = "UnreadableReply"

_PARSERS: dict[str, Any] = {}
_UNREAD = (
    ResponseParserError,
    BotoCoreError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class Reply(NamedTuple):
    """What the target said: done or refused with its own code, and what it returned."""

    ok: bool
    error_code: str
    error_message: str
    data: Data


def parse_reply(
    models: Models,
    service: str,
    operation: str,
    status: int,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    *,
    protocol: str = "",
    body_most: int = BODY_MOST,
) -> Reply:
    """The reply as data by botocore's names.

    A streaming body comes as bytes, one above `body_most` bytes as `{"$body": {"sha256",
    "size"}}`; an event stream is not read. `ok` is whether the target did as asked (S3
    says 200 to some failures). An unreadable success has `ok` set and the code
    `UnreadableReply`: it happened, and nobody knows what came back. Never raises.
    """
    ok = 200 <= status < 300
    try:
        facts = models.operation(service, operation)
        if facts.model.has_event_stream_output and ok:
            return Reply(True, "", "", EMPTY)
        streams = facts.model.has_streaming_output
        if len(body) > body_most:
            if ok and streams:
                return Reply(
                    True, "", "", MappingProxyType({_body_member(facts): _reference(body)})
                )
            return Reply(ok, UNREADABLE, f"{len(body)} bytes, at most {body_most} are read", EMPTY)
        if ok and service == "s3" and not streams and _is_error(body):
            ok, status = False, 500
        # botocore takes a streaming body for text when it is handed over as bytes.
        whole = ok and streams
        parsed = _parse(models, facts, status, headers, b"" if whole else body, protocol)
        if whole:
            parsed[_body_member(facts)] = body
        error = parsed.pop("Error", {}) if not ok else {}
        parsed.pop("ResponseMetadata", None)
        if ok and not whole and not parsed:
            _check_is_answer(facts, body, protocol or models.protocol(service))
        if ok and (service, operation) == ("s3", "GetBucketLocation"):
            # The answer is the root element's own text, which botocore's client reads, not
            # its parser (botocore.handlers.parse_get_bucket_location).
            parsed["LocationConstraint"] = (xml_tree(body).text or "").strip()
        data = freeze(parsed) if ok else EMPTY
    except MalformedRequest as problem:
        return Reply(ok, UNREADABLE, str(problem), EMPTY)
    except _UNREAD as problem:
        return Reply(ok, UNREADABLE, type(problem).__name__, EMPTY)
    if not isinstance(error, dict):
        error = {}
    code = str(error.get("Code") or ("" if ok else status))
    shown = data if isinstance(data, Mapping) else EMPTY
    return Reply(ok, code, str(error.get("Message") or ""), shown)


def _body_member(operation: Operation) -> str:
    """The output member that is the whole body."""
    return str(operation.output.serialization["payload"])


def _parse(
    models: Models,
    operation: Operation,
    status: int,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    protocol: str,
) -> dict[str, Any]:
    protocol = protocol or models.protocol(operation.service)
    parser = _PARSERS.get(protocol)
    if parser is None:
        parser = _PARSERS.setdefault(protocol, create_parser(protocol))
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    response = {
        "status_code": status,
        "headers": HeadersDict({str(k): str(v) for k, v in pairs}),
        "body": body,
        "context": {"operation_name": operation.name},
    }
    parsed = parser.parse(response, operation.output)
    return parsed if isinstance(parsed, dict) else {}


def _check_is_answer(operation: Operation, body: bytes, protocol: str) -> None:
    """Raise `ValueError` for a body in which botocore's parser found no member because it is
    no answer at all: it takes text that is not JSON, and any XML, for an empty success."""
    payload = operation.output.serialization.get("payload") if operation.output else None
    if not body.strip() or payload:
        return
    if protocol in ("json", "rest-json"):
        json.loads(body)
    elif body.lstrip()[:14].lower().startswith((b"<html", b"<!doctype html")):
        raise ValueError("a page, no answer")


def _is_error(body: bytes) -> bool:
    if b"<Error" not in body[:1024]:
        return False
    try:
        return xml_tree(body).tag.rpartition("}")[2] == "Error"
    except MalformedRequest:
        return False


def _reference(body: bytes) -> Data:
    inner: Data = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    return MappingProxyType({"$body": MappingProxyType(inner)})
