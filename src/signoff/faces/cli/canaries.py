"""Canaries: requests that must be denied, sent to the running gates from the agent's side.

Each is harmless if the guard fails: it names things that cannot exist, made up for this one
request, and the shipped policies deny it before anything is asked of the target.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from signoff.gates.run import Probe, Sandbox, start
from signoff.gates.sigv4 import Credentials, sign
from signoff.model.errors import DaemonUnreachable, SignoffError
from signoff.surfaces.aws.wire import WireRequest

REGION = "us-east-1"
SECONDS = 30
ANSWER_BYTES_MOST = 100_000
REACHED = 70
"""The exit code of the look around inside a sandbox when it found what it must not."""

_LOOK = (
    f"import os,sys\nsys.exit({REACHED} if any(os.path.exists(p) for p in sys.argv[1:]) else 0)\n"
)


@dataclass(frozen=True, slots=True)
class RunKey:
    """What an agent holds: enough to sign a request to the gate."""

    key_id: str
    secret: str
    token: str = ""
    run: str = ""
    region: str = REGION


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gate answered: the HTTP status, and the body's beginning."""

    status: int
    body: str

    @property
    def refused(self) -> bool:
        """Whether the request was denied, and not held, failed or let through."""
        return self.status == 403 and "ticket `" not in self.body


class _Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def unsigned(address: str) -> Answer:
    """A request nobody signed; must be refused."""
    return _send(address, "GET", "/", b"", ())


def made_up_key(address: str) -> Answer:
    """A well-signed request under a key that was never issued; must be refused."""
    return signed(address, RunKey(f"SGNCANARY{secrets.token_hex(6).upper()}", secrets.token_hex()))


def wrong_secret(address: str, key: RunKey) -> Answer:
    """A request under an issued key, signed with another secret; must be refused."""
    return signed(address, RunKey(key.key_id, secrets.token_hex(), key.token))


def destroy(address: str, key: RunKey) -> Answer:
    """Delete an audit trail that cannot exist; must be refused (`boundary-audit`)."""
    name = f"signoff-canary-{secrets.token_hex(8)}"
    target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.DeleteTrail"
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
    body = json.dumps({"Name": name}).encode()
    return signed(address, key, "POST", "cloudtrail", body, headers)


def disclose(address: str, key: RunKey) -> Answer:
    """Ask for the key of a user that cannot exist; must be refused (`boundary-credentials`)."""
    name = f"signoff-canary-{secrets.token_hex(8)}"
    form = {"Action": "CreateAccessKey", "Version": "2010-05-08", "UserName": name}
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return signed(address, key, "POST", "iam", urlencode(form).encode(), headers)


def read(address: str, key: RunKey) -> Answer:
    """Ask who one is: a read, which should pass."""
    form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return signed(address, key, "POST", "sts", urlencode(form).encode(), headers)


def signed(
    address: str,
    key: RunKey,
    method: str = "GET",
    service: str = "s3",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One signed request as an AWS client sends it."""
    host = urlsplit(address).netloc or "localhost"
    given = {"host": host, **(headers or {})}
    made = sign(
        WireRequest(method, "/", "", tuple(given.items()), body),
        Credentials(key.key_id, key.secret, key.token),
        region=key.region,
        service=service,
        host=host,
        now_ms=time.time_ns() // 1_000_000,
    )
    return _send(address, method, "/", body, made)


def sandbox_reaches(probed: Probe, gate: Path, kept: tuple[Path, ...]) -> bool:
    """Whether an agent in a sandbox, started as `signoff run` starts one, sees any of `kept`.

    Raises `SignoffError` when the sandbox cannot look.
    """
    with tempfile.TemporaryDirectory(prefix="signoff-canary-") as folder:
        agent = (sys.executable, "-I", "-S", "-c", _LOOK, *(str(p) for p in kept))
        code = start(Sandbox(Path(folder), gate, agent, {}), seen=probed)
    if code not in (0, REACHED):
        raise SignoffError("the sandbox could not look around", f"exit code {code}")
    return code == REACHED


def _send(
    address: str, method: str, path: str, body: bytes, headers: tuple[tuple[str, str], ...]
) -> Answer:
    where = urlsplit(address)
    connection = (
        http.client.HTTPConnection(where.netloc, timeout=SECONDS)
        if where.scheme == "http"
        else _Local(address)
    )
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = headers or (("host", where.netloc or "localhost"),)
        for name, value in given:
            connection.putheader(name, value)
        if body:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        raw = response.read(ANSWER_BYTES_MOST)
    except (OSError, http.client.HTTPException) as error:
        reason = (getattr(error, "strerror", None) or str(error) or "no answer").lower()
        raise DaemonUnreachable(f"the gate at `{address}` does not answer", reason) from error
    finally:
        connection.close()
    return Answer(response.status, raw.decode("utf-8", "replace")[:2000])
