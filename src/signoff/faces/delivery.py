"""Posting batches to a collector: TLS checked, tries bounded, nothing sent in the clear.

https is required for any host but this one. Redirects are not followed. A batch is tried
again when the collector asks for it (429, 502, 503, 504: the OTLP specification's list) or
does not answer; every other refusal ends the export with the collector's words.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from signoff.model.errors import ConfigInvalid, ExecutionFailed

TRIES_MOST = 5
TIMEOUT_SECONDS = 30.0
WAIT_SECONDS_MOST = 60.0
ANSWER_BYTES_MOST = 1 << 20
HEADERS_BYTES_MOST = 64 * 1024
AGAIN = frozenset({429, 502, 503, 504})


@dataclass
class Collector:
    """One endpoint. `headers` are sent with every batch; `sleep` waits so many seconds.
    `rejected` counts the records the collector said it did not take (OTLP partial success)."""

    url: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    ca: str = ""
    sleep: Callable[[float], None] = time.sleep
    rejected: int = 0
    _connection: http.client.HTTPConnection | None = None

    def __post_init__(self) -> None:
        self._parts = checked_url(self.url)
        self._context = _context(self.ca) if self._parts.scheme == "https" else None

    def post(self, body: bytes) -> None:
        """Deliver one batch; raises `ExecutionFailed` when it was not taken."""
        why = ""
        for number in range(TRIES_MOST):
            try:
                status, answer, wait = self._once(body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise self._failed(f"its certificate: {error.verify_message}") from error
                why, wait = (str(error) or type(error).__name__).lower(), None
            else:
                if 200 <= status < 300:
                    self._accepted(answer)
                    return
                why = f"status {status}: {answer[:200].decode('utf-8', 'replace')}".strip(": ")
                if status not in AGAIN:
                    raise self._failed(why)
            if number + 1 < TRIES_MOST:
                self.sleep(min(2.0**number if wait is None else wait, WAIT_SECONDS_MOST))
        raise self._failed(f"{why} ({TRIES_MOST} tries)")

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _once(self, body: bytes) -> tuple[int, bytes, float | None]:
        if self._connection is None:
            host, port = self._parts.hostname or "", self._parts.port
            self._connection = (
                http.client.HTTPSConnection(
                    host, port, timeout=TIMEOUT_SECONDS, context=self._context
                )
                if self._context is not None
                else http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            )
        query = f"?{self._parts.query}" if self._parts.query else ""
        headers = {**self.headers, "Content-Type": self.content_type}
        self._connection.request("POST", (self._parts.path or "/") + query, body, headers)
        response = self._connection.getresponse()
        answer = response.read(ANSWER_BYTES_MOST)
        if response.will_close:
            self.close()
        return response.status, answer, _seconds(response.headers.get("Retry-After"))

    def _accepted(self, answer: bytes) -> None:
        try:
            partial = json.loads(answer).get("partialSuccess") or {}
            self.rejected += int(partial.get("rejectedLogRecords") or 0)
        except (ValueError, AttributeError, TypeError):
            return  # No words about it: everything was taken.

    def _failed(self, why: str) -> ExecutionFailed:
        return ExecutionFailed(f"`{self.url}` did not take a batch", " ".join(why.split()), "")


def checked_url(url: str) -> SplitResult:
    """The parts of an endpoint; raises `ConfigInvalid` for one that is no URL, that carries a
    password, or that would send the ledger in the clear to another host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigInvalid(f"`{url}` is not an endpoint", str(error).lower(), "") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigInvalid(
            f"`{url}` is not an endpoint", "", "give a URL such as https://collector.example:4318"
        )
    if parts.username or parts.password:
        raise ConfigInvalid(
            "an endpoint with a password in it",
            "others see it in the list of processes",
            "put it into a file for `--headers`",
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigInvalid(
            f"`{url}` is not https",
            "what the ledger holds would be sent in the clear",
            "use https; http is for this machine alone",
        )
    return parts


def headers_from(path: Path) -> dict[str, str]:
    """Headers, one `Name: value` a line, empty lines left out; raises `ConfigInvalid`."""
    try:
        text = path.read_bytes()[: HEADERS_BYTES_MOST + 1].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigInvalid(f"cannot read `{path}`", reason, "name another file") from error
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        fine = value.isascii() and value.strip().isprintable()
        if not colon or not plain or not fine:
            # The line may hold a secret, so it is not repeated.
            raise ConfigInvalid(
                f"`{path}` line {number} is no header", "", "write each as `Name: value`"
            )
        found[name] = value.strip()
    return found


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise ConfigInvalid(
            f"cannot use the certificates in `{ca}`", (error.strerror or str(error)).lower(), ""
        ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; a date is not waited for, the usual pause is."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
