"""What an attacker has: a run key, the gate's address and its socket, and any bytes they like.

Requests are signed by botocore's own signer, over exactly what the attacker wants to send.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Seen:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def ticket(self) -> str:
        """The ticket a held call is answered with; "" when there is none."""
        _, found, rest = self.text.partition("ticket `")
        return rest.partition("`")[0] if found else ""


def signed(
    endpoint: str,
    key: Mapping[str, str],
    service: str,
    method: str = "POST",
    path: str = "/",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    region: str = "us-east-1",
) -> tuple[str, dict[str, str]]:
    """The target and the headers of a request that this run key signs."""
    request = AWSRequest(method, endpoint + path, data=body, headers=dict(headers or {}))
    request.context["payload_signing_enabled"] = True
    who = Credentials(key["key_id"], key["secret"], key.get("token") or None)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(who, service, region).add_auth(request)
    return path, {k: str(v) for k, v in request.headers.items()}


def send(
    endpoint: str,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Seen:
    """One request on a connection of its own. Raises `OSError` or `HTTPException`."""
    host = urlsplit(endpoint)
    connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=timeout)
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        reply = connection.getresponse()
        return Seen(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        connection.close()


def call(
    endpoint: str,
    key: Mapping[str, str],
    service: str,
    method: str = "POST",
    path: str = "/",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    region: str = "us-east-1",
) -> Seen:
    """Sign and send."""
    target, given = signed(endpoint, key, service, method, path, body, headers, region)
    return send(endpoint, method, target, body, given)


def dynamodb(endpoint: str, key: Mapping[str, str], operation: str, **body: Any) -> Seen:
    """One DynamoDB operation."""
    return json_call(endpoint, key, "dynamodb", f"DynamoDB_20120810.{operation}", body)


def json_call(
    endpoint: str,
    key: Mapping[str, str],
    service: str,
    target: str,
    body: Mapping[str, Any],
    version: str = "1.0",
) -> Seen:
    """One operation of a JSON service."""
    headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}
    return call(endpoint, key, service, body=json.dumps(body).encode(), headers=headers)


def query_call(endpoint: str, key: Mapping[str, str], service: str, form: str) -> Seen:
    """One operation of a query service, `form` as it is written in the body."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return call(endpoint, key, service, body=form.encode(), headers=headers)


def raw(endpoint: str, data: bytes, timeout: float = 5.0) -> bytes:
    """Bytes as they are; everything that comes back until the other side is quiet."""
    host = urlsplit(endpoint)
    found = b""
    with socket.create_connection((host.hostname or "", host.port or 80), timeout) as connection:
        connection.sendall(data)
        connection.settimeout(timeout)
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65536):
                found += chunk
    return found
