"""From an action back to an HTTP request, through botocore's own serialisers.

What is sent to AWS is written here and nowhere else, from what was judged. `round_trips`
is the check that the two are the same: reading the written request gives the action.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError
from botocore.serialize import create_serializer
from botocore.utils import percent_encode_sequence

from signoff.model.action import Action
from signoff.model.errors import MalformedRequest
from signoff.model.values import frozen, thaw
from signoff.surfaces.aws import chunked
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models, Operation
from signoff.surfaces.aws.parse import parse_wire
from signoff.surfaces.aws.parse_rest import body_reference
from signoff.surfaces.aws.scalars import refuse
from signoff.surfaces.aws.wire import WireRequest

_WRITERS: dict[str, Any] = {}


def operation_of(models: Models, action: Action) -> Operation:
    """The operation an action names; raises `MalformedRequest` when there is none."""
    service, _, name = action.name.partition(":")
    return models.operation(service, name)


def serialise(
    models: Models,
    action: Action,
    body: bytes | None,
    *,
    host: str,
    protocol: str = "",
    host_prefix: bool = True,
) -> WireRequest:
    """The request for an action, ready to be signed for `host`.

    `body` is the plain body when the parameters refer to one by `$body`. `protocol`
    defaults to the one botocore's client speaks; give the one a request came in, so that
    the answer can be passed on. `host_prefix` puts the operation's prefix before the
    host. Raises `MalformedRequest` when the action cannot be written.
    """
    operation = operation_of(models, action)
    protocol = protocol or models.protocol(operation.service)
    parameters = _with_body(operation, action, body)
    try:
        made = _writer(protocol).serialize_to_request(parameters, operation.model)
    except (BotoCoreError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        refuse(f"`{action.name}` cannot be written as a request", type(error).__name__)
    path, query, headers, payload = _parts(operation, made, protocol)
    prefix = made.get("host_prefix") or ""
    headers["host"] = f"{prefix}{host}" if host_prefix else host
    _add_fixed_headers(operation, headers)
    _add_checksum(operation, action, headers, payload)
    if payload or made["method"] in ("POST", "PUT", "PATCH"):
        headers["content-length"] = str(len(payload))
    pairs = tuple((name, value) for name, value in headers.items())
    return WireRequest(made["method"], path, query, pairs, payload)


def write(
    models: Models,
    index: Index,
    action: Action,
    body: bytes | None,
    *,
    host: str,
    protocol: str = "",
    host_prefix: bool = True,
) -> WireRequest:
    """`serialise`, and the proof that reading the request gives the action again.

    The form in which a change is sent. Raises `MalformedRequest` when it does not.
    """
    wire = serialise(models, action, body, host=host, protocol=protocol, host_prefix=host_prefix)
    if not round_trips(models, index, action, wire):
        refuse(
            f"`{action.name}` would not be sent as it was judged",
            "its parameters hold what its protocol cannot carry",
            "leave control characters and empty structures out",
        )
    return wire


def round_trips(
    models: Models,
    index: Index,
    action: Action,
    wire: WireRequest,
) -> bool:
    """Whether reading the written request gives the same action again."""
    service = action.name.partition(":")[0]
    try:
        again = parse_wire(
            models,
            index,
            wire,
            signing_name=index.signing_name(service),
            region=action.scope.get("region", ""),
            account=action.scope.get("account", ""),
        )
    except (MalformedRequest, KeyError):
        return False
    wanted = _as_read(operation_of(models, action), action)
    return again.digest == wanted.digest and again.parameters == wanted.parameters


def _as_read(operation: Operation, action: Action) -> Action:
    """The action as reading writes it: a whole body by its hash (an undo holds the bytes)."""
    body = action.parameters.get(operation.body) if operation.raw else None
    if not isinstance(body, bytes):
        return action
    members = {k: v for k, v in action.parameters.items() if k != operation.body}
    if body:
        members[operation.body] = body_reference(body)
    return replace(action, parameters=frozen(**members))


def _writer(protocol: str) -> Any:
    writer = _WRITERS.get(protocol)
    if writer is None:
        writer = _WRITERS.setdefault(protocol, create_serializer(protocol, False))
    return writer


def _with_body(operation: Operation, action: Action, body: bytes | None) -> dict[str, Any]:
    parameters = thaw(action.parameters)
    if not isinstance(parameters, dict):
        refuse(f"`{action.name}` has no parameters")
    reference = parameters.get(operation.body) if operation.raw else None
    if isinstance(reference, dict) and "$body" in reference:
        held = body or b""
        stated = reference["$body"]
        if stated != {"sha256": hashlib.sha256(held).hexdigest(), "size": len(held)}:
            refuse("the body is not the one that was judged", f"of `{action.name}`")
        parameters[operation.body] = held
    return parameters


def _parts(
    operation: Operation, made: dict[str, Any], protocol: str
) -> tuple[str, str, dict[str, str], bytes]:
    path, _, query = made["url_path"].partition("?")
    if made["query_string"]:
        more = percent_encode_sequence(made["query_string"])
        query = f"{query}&{more}" if query else more
    headers = {str(k).lower(): _header_text(v) for k, v in made["headers"].items()}
    payload = made["body"]
    if isinstance(payload, dict):
        payload = urlencode(payload, doseq=True).encode()
    if protocol == "rest-xml" and _is_structured(operation):
        # Line ends here are part of values, and an XML reader would turn \r into \n.
        payload = payload.replace(b"\r", b"&#xD;").replace(b"\n", b"&#xA;")
    return path or "/", query, headers, bytes(payload)


def _is_structured(operation: Operation) -> bool:
    """Whether the body is written from members, and is not one text or blob."""
    if operation.input is None or not operation.body:
        return True
    return str(operation.input.members[operation.body].type_name) == "structure"


def _header_text(value: object) -> str:
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    if any(c in text for c in "\r\n\0"):
        refuse("a header value with a line end")
    return text


def _add_fixed_headers(operation: Operation, headers: dict[str, str]) -> None:
    """What botocore's client adds for some services besides its serialisers."""
    if operation.service == "apigateway":
        headers.setdefault("accept", "application/json")
    if operation.service == "glacier":
        headers["x-amz-glacier-version"] = operation.model.metadata["apiVersion"]
    if operation.model.is_endpoint_discovery_operation:
        headers["x-amz-api-version"] = operation.model.metadata["apiVersion"]


def _add_checksum(
    operation: Operation, action: Action, headers: dict[str, str], payload: bytes
) -> None:
    """The checksum an operation demands of its body (S3: Content-MD5 or x-amz-checksum)."""
    described = operation.model.http_checksum
    needed = described.get("requestChecksumRequired") or operation.model.http_checksum_required
    if operation.raw:
        member = described.get("requestAlgorithmMember")
        stated = action.parameters.get(member) if member else None
        if isinstance(stated, str):
            name = chunked.CHECKSUM_PREFIX + stated.lower()
            computed = chunked.checksum(stated, payload)
            if computed is not None and name not in headers:
                headers[name] = computed
        return
    if needed and "content-md5" not in headers:
        digest = hashlib.md5(payload, usedforsecurity=False).digest()
        headers["content-md5"] = base64.b64encode(digest).decode()
