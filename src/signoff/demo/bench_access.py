"""How soon a running gate knows that a grant is over: taken back, and run out by itself.

Time on the clock, not CPU: what counts is how long an agent could still change something.
The agent asks for a production change through a real daemon; while the grant lives it is
held for a sign-off, afterwards it is denied for want of a grant.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from signoff.demo.bench_aws import measured_guard
from signoff.demo.guard import Guard
from signoff.model.errors import SignoffError

TRIES = 9
LIFE_MS = 60_000
LEAD_SECONDS = 0.25
MOST_SECONDS = 2.0
WANTING = "has no grant"


@dataclass(frozen=True)
class Ends:
    """Seconds from the end of a grant to the first answer that knows of it, the longest of
    the tries: revoked (from the moment the command is given), and expired."""

    revoked: float
    expired: float


def ends(tell: Callable[[str], None]) -> Ends:
    """Measure both on one daemon. Raises `SignoffError` when a grant never let the agent ask,
    or outlived its end by 2 s."""
    folder = tempfile.TemporaryDirectory(prefix="signoff-bench-")
    with folder as name, measured_guard(Path(name)) as (guard, _):
        tell(f"access: taking {TRIES} grants back, and one runs out in {LIFE_MS // 1000} s")
        late = guard.key(granted=False)
        until = _until(guard, guard.grant(late["run"], ttl_ms=LIFE_MS))
        revoked = max(_revoked(guard) for _ in range(TRIES))
        tell("access: waiting for the other to run out")
        time.sleep(max(0.0, until - LEAD_SECONDS - time.time()))
        return Ends(revoked, _over(_client(guard, late), until) - until)


def _revoked(guard: Guard) -> float:
    key = guard.key(granted=False)
    client = _client(guard, key)
    granted = guard.grant(key["run"])
    if WANTING in _asked(client):
        raise SignoffError("a grant that was just signed does not count", "nothing was measured")
    given = time.time()
    guard.control.revoke_grant(granted)
    return _over(client, given) - given


def _over(client: Any, end: float) -> float:
    """When the first answer came that knows the grant is over."""
    while time.time() < end + MOST_SECONDS:
        if WANTING in _asked(client):
            return time.time()
        time.sleep(0.01)
    raise SignoffError("a grant outlived its end", f"by more than {MOST_SECONDS:g} s")


def _until(guard: Guard, granted: str) -> float:
    """When a grant ends, in seconds since the epoch."""
    for row in guard.control.grants(""):
        if isinstance(row, dict) and granted in row.values():
            return int(str(row["until_ms"])) / 1000
    raise SignoffError(f"no grant `{granted}`", "it was signed and is not listed")


def _client(guard: Guard, key: dict[str, str]) -> Any:
    return Session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=guard.endpoint,
        aws_access_key_id=key["key_id"],
        aws_secret_access_key=key["secret"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def _asked(client: Any) -> str:
    """What the gate says to a change in production; nothing of it is ever signed."""
    try:
        client.delete_item(TableName="orders", Key={"pk": {"S": "order-0001"}})
    except ClientError as error:
        return str(error)
    raise SignoffError("a production change passed unsigned", "nothing was measured")
