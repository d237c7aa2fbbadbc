"""Real requests for every operation of botocore: its own clients, serialisers and signers
write them, and they are caught before they are sent."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore import xform_name
from botocore.config import Config

from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.wire import WireRequest

DEEP = ("cloudformation", "s3", "dynamodb", "rds", "iam", "sqs", "sts")
# Members that vouch for the bytes of a body, or that only the client itself reads.
TRANSPORT = ("Checksum", "ContentMD5", "SourceRegion", "SSECustomer", "CopySourceSSECustomer")
MOMENT = datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)


class Caught(BaseException):
    """The request, caught instead of sent. Not an Exception, so nothing retries it."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


@dataclass(frozen=True)
class Sample:
    service: str
    operation: str
    given: dict[str, Any]
    wire: WireRequest
    signing: str


def dummy(shape: Any, *, full: bool, seen: tuple[str, ...] = (), name: str = "") -> Any:
    """A value of this shape: required members only, or `full`: every member once."""
    match shape.type_name:
        case "structure":
            if shape.metadata.get("document"):
                return {"a": [1, "x", None, {"b": True}]}
            if shape.name in seen or len(seen) > 8:
                return {}
            inner = (*seen, shape.name)
            wanted = list(shape.members) if full else list(shape.required_members)
            if shape.metadata.get("union") and shape.members:
                wanted = [next(iter(shape.members))]
            return {
                k: dummy(shape.members[k], full=full, seen=inner, name=k)
                for k in wanted
                if not shape.members[k].serialization.get("eventstream")
                and shape.members[k].name not in inner
            }
        case "list":
            size = max(1, shape.metadata.get("min", 1)) if full else shape.metadata.get("min", 1)
            return [dummy(shape.member, full=full, seen=seen) for _ in range(min(size or 1, 3))]
        case "map":
            key = shape.key.metadata.get("enum", ["k"])[0]
            return {key: dummy(shape.value, full=full, seen=seen)}
        case "string" | "character":
            return _text(shape, name)
        case "integer" | "long":
            return max(1, int(shape.metadata.get("min", 1)))
        case "float" | "double":
            return 1.5
        case "boolean":
            return True
        case "blob":
            return b"blob\x00\xff"
        case "timestamp":
            return MOMENT
    raise AssertionError(shape.type_name)


def _text(shape: Any, name: str) -> str:
    options = shape.metadata.get("enum")
    if options:
        return str(options[0])
    if shape.serialization.get("hostLabel"):
        return "label"
    if name == "AccountId":
        return "123456789012"
    return "a" * max(12 if "min" in shape.metadata else 3, int(shape.metadata.get("min", 1)))


def catch(client: Any, operation: str, params: dict[str, Any]) -> tuple[WireRequest, str]:
    """The request botocore would send, and the name it signed it for."""
    try:
        getattr(client, xform_name(operation))(**params)
    except Caught as caught:
        request = caught.request
    url = urlsplit(request.url)
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    headers = [
        (k.lower(), v.decode() if isinstance(v, bytes) else str(v))
        for k, v in request.headers.items()
    ]
    headers.append(("host", url.netloc))
    signing = ""
    for key, value in headers:
        if key == "authorization" and "Credential=" in value:
            signing = value.partition("Credential=")[2].split("/")[3]
    wire = WireRequest(request.method, url.path or "/", url.query, tuple(headers), bytes(body))
    return wire, signing


def client_of(session: Any, service: str, url: str = "http://127.0.0.1:1") -> Any:
    """A client that catches what it would send."""
    client = session.create_client(
        service,
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="0",
        endpoint_url=url,
        config=Config(
            inject_host_prefix=False,
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )

    def stop(request: Any, **_: Any) -> None:
        raise Caught(request)

    client.meta.events.register("before-send", stop)
    return client


def names(models: Models, services: Iterable[str]) -> list[tuple[str, str]]:
    return [(s, o) for s in services for o in models.service(s).operation_names]


def chosen(models: Models, size: int, seed: int) -> list[tuple[str, str]]:
    """The deep services whole, and as many operations of the others by seed."""
    every = names(models, models.services())
    rest = [pair for pair in every if pair[0] not in DEEP]
    return [p for p in every if p[0] in DEEP] + sorted(random.Random(seed).sample(rest, size))


def samples(
    models: Models, pairs: Iterable[tuple[str, str]], *, full: bool = False
) -> Iterator[Sample | tuple[str, str, str]]:
    """A sample for each operation, or (service, operation, why) where botocore's own client
    does not build a request from dummy parameters."""
    session = botocore.session.Session()
    clients: dict[str, Any] = {}
    for service, operation in pairs:
        if service not in clients:
            clients.clear()
            clients[service] = client_of(session, service)
        facts = models.operation(service, operation)
        params = dummy(facts.input, full=full) if facts.input is not None else {}
        if service == "s3" and "Bucket" in params:
            params["Bucket"] = "bucket"
        for name in [n for n in params if n.startswith(TRANSPORT)]:
            del params[name]
        given = dict(params)
        try:
            wire, signing = catch(clients[service], operation, params)
        except Exception as error:
            yield (service, operation, type(error).__name__)
            continue
        yield Sample(service, operation, given, wire, signing)
