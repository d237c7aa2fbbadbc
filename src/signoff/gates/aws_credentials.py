"""The real credentials: where they come from, and how they stay fresh off the request's path.

Only `AwsClient` holds one of these. Nothing here is logged, printed or written anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.credentials import EnvProvider
from botocore.exceptions import BotoCoreError, ClientError

from signoff.gates.sigv4 import Credentials
from signoff.model.errors import ExecutionFailed, Refused

REFRESH_SECONDS = 60.0
AHEAD_MS = 5 * 60 * 1000
"""A credential is replaced this long before it expires, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Lent:
    """Credentials and when they stop working (milliseconds since the epoch, None: never)."""

    credentials: Credentials
    expires_ms: int | None = None


class Source(Protocol):
    """Where credentials come from. `load` may block; it runs in a thread."""

    def load(self) -> Lent:
        """Credentials that work now; raises `ExecutionFailed` when there are none."""
        ...


class ProfileSource:
    """A profile of the AWS configuration the daemon reads; "" is botocore's own chain."""

    def __init__(self, profile: str = "") -> None:
        self._session = botocore.session.Session(profile=profile or None)
        self._profile = profile

    @property
    def session(self) -> Any:
        """The botocore session of the profile."""
        return self._session

    def load(self) -> Lent:
        """The profile's credentials, renewed by botocore when they are about to expire."""
        try:
            found = self._session.get_credentials()
            if found is None:
                raise _none(f"profile `{self._profile or 'default'}`")
            # botocore renews inside; asking again every minute is what keeps them fresh.
            return Lent(_credentials(found.get_frozen_credentials()))
        except (BotoCoreError, ClientError) as error:
            raise _unloaded(error) from error


class EnvironmentSource:
    """The usual shell variables (`AWS_ACCESS_KEY_ID` and its company), and nothing else."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._session = botocore.session.Session()
        self._variables = dict(variables)

    @property
    def session(self) -> Any:
        """A botocore session with these credentials set on it."""
        lent = self.load().credentials
        self._session.set_credentials(lent.access_key, lent.secret_key, lent.token or None)
        return self._session

    def load(self) -> Lent:
        """The variables' credentials, as they were when the daemon started."""
        try:
            found = EnvProvider(environ=self._variables).load()
        except BotoCoreError as error:
            raise _unloaded(error) from error
        if found is None:
            raise _none("the shell variables")
        return Lent(_credentials(found.get_frozen_credentials()))


class RoleSource:
    """A role assumed from another source, narrowed by a session policy."""

    def __init__(
        self,
        base: ProfileSource | EnvironmentSource,
        role_arn: str,
        *,
        region: str,
        session_policy: str = "",
        endpoint: str = "",
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        self._base, self._role_arn, self._region = base, role_arn, region
        self._session_policy, self._endpoint = session_policy, endpoint
        self._now_ms = clock_ms or _now_ms
        self._lent: Lent | None = None

    def load(self) -> Lent:
        """The role's credentials; assumed anew `AHEAD_MS` before they expire."""
        lent = self._lent
        if lent is not None and (lent.expires_ms or 0) - self._now_ms() > AHEAD_MS:
            return lent
        asked = {"RoleArn": self._role_arn, "RoleSessionName": "signoff"}
        if self._session_policy:
            asked["Policy"] = self._session_policy
        try:
            client = self._base.session.create_client(
                "sts",
                region_name=self._region,
                endpoint_url=self._endpoint or None,
                config=Config(connect_timeout=5, read_timeout=20, proxies={}),
            )
            given = client.assume_role(**asked)["Credentials"]
        except (BotoCoreError, ClientError) as error:
            raise _unloaded(error) from error
        expires: datetime = given["Expiration"]
        keys = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        self._lent = Lent(keys, int(expires.timestamp() * 1000))
        return self._lent


Check = Callable[[Credentials], Awaitable[None]]
"""Asks whose credentials these are; raises when they are not of the pinned account."""


class FreshCredentials:
    """The current credentials, replaced in the background before they expire.

    New credentials are checked before anything is signed with them. When no fresh ones
    can be had the old ones serve until their time is over; then nothing is signed.
    """

    def __init__(
        self, source: Source, check: Check, *, clock_ms: Callable[[], int] | None = None
    ) -> None:
        self._source, self._check = source, check
        self._now_ms = clock_ms or _now_ms
        self._lent: Lent | None = None
        self._task: asyncio.Task[None] | None = None
        self.trouble = ""

    def __repr__(self) -> str:
        return "FreshCredentials(hidden)"

    async def start(self) -> None:
        """Load and check the first credentials; raises when that fails."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """End the background refresh and forget the credentials."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._task, self._lent = None, None

    def current(self) -> Credentials:
        """The credentials to sign with; raises `ExecutionFailed` when there are none."""
        lent = self._lent
        if lent is None:
            raise _none("the configured source")
        if lent.expires_ms is not None and self._now_ms() >= lent.expires_ms:
            raise ExecutionFailed(
                "the daemon's credentials have expired",
                self.trouble or "no fresh ones were given out",
                "renew them (aws sso login), then signoff doctor",
            )
        return lent.credentials

    async def refresh(self) -> None:
        """Load once, in a thread; check what is new, then use it."""
        lent = await asyncio.to_thread(self._source.load)
        if self._lent is None or lent.credentials != self._lent.credentials:
            await self._check(lent.credentials)
        self._lent = lent
        self.trouble = ""

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except Refused as error:  # Another account's credentials are never used.
                self._lent, self.trouble = None, str(error)
            except Exception as error:  # The old ones serve while they last; status shows why.
                self.trouble = f"{type(error).__name__}: {error}"


def _credentials(frozen: Any) -> Credentials:
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")


def _none(where: str) -> ExecutionFailed:
    return ExecutionFailed(
        f"no AWS credentials in {where}",
        "nothing can be signed",
        "check `aws.credentials` in signoff.toml, then signoff doctor",
    )


def _unloaded(error: Exception) -> ExecutionFailed:
    return ExecutionFailed(
        "the AWS credentials cannot be loaded",
        f"{type(error).__name__}: {error}",
        "check `[aws]` in signoff.toml, then signoff doctor",
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
