"""Asks the service every 100 ms whether it still answers, from a thread of its own."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Probe:
    """One question: seconds since the first one, the HTTP status (0: no answer), the answer."""

    at: float
    status: int
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """The service answered with a result."""
        return self.status == 200


@dataclass(frozen=True)
class Health:
    """What the probes say: how many, how many failed, the longest gap in seconds, the last."""

    probes: int
    failed: int
    longest_gap: float
    last: Probe | None = None


def health(probes: list[Probe]) -> Health:
    """Count the failures and the longest stretch from one good answer to the next.

    A stretch that never ends counts up to the last probe.
    """
    failed = sum(not probe.good for probe in probes)
    longest, since = 0.0, None
    for probe in probes:
        if probe.good:
            if since is not None:
                longest, since = max(longest, probe.at - since), None
        elif since is None:
            since = probe.at
    if since is not None:
        longest = max(longest, probes[-1].at - since)
    return Health(len(probes), failed, round(longest, 2), probes[-1] if probes else None)


class Prober:
    """A context: probes run inside it; `health()` at any time."""

    def __init__(self, port: int, path: str, every_seconds: float = 0.1) -> None:
        self._port, self._path, self._every = port, path, every_seconds
        self._probes: list[Probe] = []
        self._stop = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(5)

    def health(self) -> Health:
        """The health over all probes so far."""
        return health(list(self._probes))

    def ask(self) -> Probe:
        """One probe, now."""
        at = time.monotonic() - self._begun
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            return Probe(round(at, 3), answer.status, json.loads(answer.read()))
        except (OSError, http.client.HTTPException, ValueError):
            return Probe(round(at, 3), 0)
        finally:
            connection.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._probes.append(self.ask())
            due = max(due + self._every, time.monotonic())
            self._stop.wait(due - time.monotonic())
