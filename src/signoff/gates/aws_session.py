"""One run's own session at AWS: the role, narrowed to what the run was granted.

Whatever the story decided, AWS itself then refuses what nobody granted. A session is kept
for one run, one service and one set of verbs; when the verbs of a run change (a grant was
signed, taken back, or its time is over) every session of before is forgotten. Nothing here
is logged, printed or written anywhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from signoff.approvals.grants import READ, VERBS, Grant, GrantState
from signoff.gates.aws_credentials import AHEAD_MS, Lent
from signoff.gates.aws_session_policy import SessionPolicy, session_policy
from signoff.gates.sigv4 import Credentials
from signoff.model.action import Principal
from signoff.model.errors import ExecutionFailed, Refused
from signoff.model.ports import Clock, Grants
from signoff.surfaces.aws.levels import READS, level_of

SECONDS_LEAST, SECONDS_MOST = 900, 3_600
"""How long a session may be asked for: AWS gives none for less than 15 minutes."""
RUNS_MOST = 1_024

SessionFor: TypeAlias = Callable[[str, bool], Awaitable[Credentials]]
"""The credentials for a call, by botocore's name of its operation (`s3:GetObject`); `True`:
it only reads."""


class Lender(Protocol):
    """Assumes the role; blocks, so it runs in a thread."""

    def assume(self, session: str, policy: str, seconds: int) -> Lent:
        """Fresh credentials of the role under a session policy; raises `ExecutionFailed`."""
        ...


class StsLender:
    """AssumeRole with the credentials the daemon holds."""

    def __init__(self, base: Any, role_arn: str, *, region: str, endpoint: str = "") -> None:
        self._base, self._role_arn = base, role_arn
        self._region, self._endpoint = region, endpoint
        self._client: Any = None

    def assume(self, session: str, policy: str, seconds: int) -> Lent:
        """One AssumeRole; the session's name shows the run in CloudTrail."""
        try:
            if self._client is None:
                self._client = self._base.session.create_client(
                    "sts",
                    region_name=self._region,
                    endpoint_url=self._endpoint or None,
                    config=Config(connect_timeout=5, read_timeout=20, proxies={}),
                )
            given = self._client.assume_role(
                RoleArn=self._role_arn,
                RoleSessionName=session,
                Policy=policy,
                DurationSeconds=seconds,
            )["Credentials"]
        except (BotoCoreError, ClientError) as error:
            raise ExecutionFailed(
                "no session of the role could be had for this run",
                f"{type(error).__name__}: {error}",
                "check `aws.assume_role` in signoff.toml, then signoff doctor",
            ) from error
        expires: datetime = given["Expiration"]
        keys = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return Lent(keys, int(expires.timestamp() * 1000))


@dataclass(frozen=True, slots=True)
class Openness:
    """What needs no grant by the settings. `outside`: something in the account is mapped
    outside production, which a session policy cannot tell apart."""

    required: bool = True
    reads_need_one: bool = False
    outside: bool = False

    def verbs(self, *, reads: bool) -> frozenset[str]:
        """The verbs that are open to every run for a reading or a changing call."""
        if reads:
            closed = self.required and self.reads_need_one and not self.outside
            return frozenset() if closed else frozenset({READ})
        return frozenset() if self.required and not self.outside else frozenset(VERBS)


@dataclass
class _Kept:
    """The sessions of one run, good while its verbs are these."""

    verbs: frozenset[str]
    lent: dict[tuple[str, frozenset[str], str], Lent] = field(default_factory=dict)
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)


class RunSessions:
    """The credentials with which each run's own calls are signed."""

    def __init__(
        self,
        lender: Lender,
        grants: Grants,
        clock: Clock,
        *,
        openness: Openness,
        configured: str = "",
        signing_name: Callable[[str], str] = lambda service: "",
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._lender, self._grants, self._clock = lender, grants, clock
        self._openness, self._configured = openness, configured
        self._signing_name = signing_name
        # What AWS says of its own sessions is by the wall clock, not by the ledger's.
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._runs: dict[str, _Kept] = {}
        self.widened: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"RunSessions({len(self._runs)} runs)"

    async def credentials(self, who: Principal, name: str, reads: bool) -> Credentials:
        """The session of this run for a call of the named operation (`s3:GetObject`).

        Raises `Refused` when nothing is granted for such a call, `ExecutionFailed` when AWS
        gives no session out.
        """
        now = self._clock.now_ms()
        live = [g for g in await self._grants.grants(who.run) if g.principal == who]
        live = [g for g in live if g.state(now) in (GrantState.LIVE, GrantState.USED_UP)]
        kept = self._of(who.run, _granted(live))
        verbs = self._openness.verbs(reads=reads)
        verbs |= kept.verbs & {READ} if reads else kept.verbs
        if not verbs:
            raise Refused(
                f"run `{who.run}` has no grant by now",
                "no session of the role is asked for without one",
                f"ask a peer of {who.operator}: signoff grant {who.run}",
            )
        service, _, operation = name.partition(":")
        level = level_of(service, operation)
        also = operation if reads and level is not None and level[1] not in READS else ""
        named = (service, verbs, also)
        async with kept.one_at_a_time:
            lent = kept.lent.get(named)
            if lent is None or (lent.expires_ms or 0) - self._now_ms() <= AHEAD_MS:
                seconds = _seconds(live, now)
                policy = self._policy(*named)
                asked = (f"signoff-{who.run}"[:64], policy.text, seconds)
                lent = kept.lent[named] = await asyncio.to_thread(self._lender.assume, *asked)
        return lent.credentials

    def _of(self, run: str, verbs: frozenset[str]) -> _Kept:
        kept = self._runs.get(run)
        if kept is None or kept.verbs != verbs:
            if len(self._runs) >= RUNS_MOST:
                self._runs.clear()
            kept = self._runs[run] = _Kept(verbs)
        return kept

    def _policy(self, service: str, verbs: frozenset[str], also: str) -> SessionPolicy:
        name = self._signing_name(service)
        made = session_policy(service, verbs, self._configured, signing_name=name, also=also)
        if made.widened:
            self.widened[service] = made.widened
        return made


def _granted(live: list[Grant]) -> frozenset[str]:
    """What the run's grants name. A grant that is used up still counts here: the last change
    was counted before it is sent, and nothing is sent that was not counted."""
    return frozenset({READ, *(v for g in live for v in g.verbs)}) if live else frozenset()


def _seconds(live: list[Grant], now_ms: int) -> int:
    """Until the last of the grants ends, within what AWS gives out."""
    left = max((g.until_ms - now_ms for g in live), default=SECONDS_MOST * 1000) // 1000
    return max(SECONDS_LEAST, min(SECONDS_MOST, left))
