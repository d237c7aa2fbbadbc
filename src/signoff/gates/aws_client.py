"""The only thing that holds real AWS credentials: it signs, sends, and reads answers.

A change is sent once, on a connection of its own, and never again: a kept-alive connection
that the other side has just closed would leave nobody knowing whether it arrived. Reads use
a pool and may be asked twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeAlias

from signoff.gates.aws_credentials import FreshCredentials, Source
from signoff.gates.aws_endpoints import Endpoint, Endpoints
from signoff.gates.aws_errors import NativeReply
from signoff.gates.aws_pages import Pages
from signoff.gates.aws_reading import read_reply
from signoff.gates.http_client import Cut, Gone, Origin, Sending, Unreachable, Upstream, written
from signoff.gates.sigv4 import UNSIGNED, Credentials, SigningKeys, sign
from signoff.model.action import Action, Answer, Question
from signoff.model.errors import ExecutionFailed, Refused, SignoffError
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.serialise import round_trips, serialise
from signoff.surfaces.aws.wire import WireRequest

UpstreamReply: TypeAlias = NativeReply
"""What the target answered: status, headers as they came, the whole body."""

_PAUSES = (0.1, 0.4)


class Unsent(ExecutionFailed):
    """Nothing was sent, so for certain nothing happened."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how large: seconds and bytes."""

    connect_seconds: float = 5.0
    total_seconds: float = 60.0
    ask_seconds: float = 20.0
    body_most: int = 256 << 20
    answer_most: int = 64 << 20


class AwsClient:
    """Reads and changes at the target, signed with the credentials the daemon holds.

    Use it as `async with`, or `start` and `stop`. `account` is the pinned account (12
    digits); empty pins the one the first credentials belong to. With `index` a change is sent
    only when the request, read as an agent's would be, is the very action that was judged.
    """

    def __init__(
        self,
        models: Models,
        endpoints: Endpoints,
        source: Source,
        *,
        region: str,
        account: str = "",
        limits: Limits | None = None,
        clock_ms: Callable[[], int] | None = None,
        index: Index | None = None,
    ) -> None:
        self._models, self._endpoints, self._region = models, endpoints, region
        self._index = index
        self._limits = limits or Limits()
        self._now_ms = clock_ms or _now_ms
        self._fresh = FreshCredentials(source, self._check_account, clock_ms=self._now_ms)
        self._derived = SigningKeys()
        self._pages = Pages()
        self._upstream: Upstream | None = None
        self.account = account

    def __repr__(self) -> str:
        return f"AwsClient(account={self.account!r}, region={self._region!r})"

    @property
    def models(self) -> Models:
        """The service models requests are written and read by."""
        return self._models

    async def start(self) -> None:
        """Open the connections, load the credentials and check whose they are.

        Raises `ExecutionFailed` when there are none, `Refused` when they belong to another
        account than the pinned one.
        """
        self._upstream = Upstream(self._limits.connect_seconds)
        try:
            await self._fresh.start()
        except SignoffError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection and forget the credentials."""
        await self._fresh.stop()
        if self._upstream is not None:
            await self._upstream.close()
        self._upstream = None

    async def __aenter__(self) -> AwsClient:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def trouble(self) -> str:
        """Why the credentials could not be renewed last time; empty when they could."""
        return self._fresh.trouble

    async def forward(
        self,
        wire: WireRequest,
        *,
        service: str,
        region: str,
        host_prefix: str = "",
        lent: Credentials | None = None,
    ) -> UpstreamReply:
        """A read, exactly as received but for the signature.

        `service` is botocore's name of the identified service, `host_prefix` its
        operation's, with labels filled in. Raises `ExecutionFailed` when no answer came,
        `Refused` for a region that is not allowed.
        """
        endpoint = await self._endpoint(service, region)
        host = endpoint.host if endpoint.fixed else f"{host_prefix}{endpoint.host}"
        said = wire.header("x-amz-content-sha256")
        payload = said if said in UNSIGNED else None
        return await self._read(wire, endpoint, host, payload, self._limits.body_most, lent)

    async def execute_step(
        self,
        action: Action,
        *,
        body: bytes | None = None,
        protocol: str = "",
        lent: Credentials | None = None,
    ) -> UpstreamReply:
        """A change: written from the action, signed, sent once.

        `body` is the plain body the action's parameters refer to, `protocol` the one the
        request came in ("" is botocore's own). Raises `Unsent` when nothing was sent,
        `ExecutionFailed` when it was cut off or timed out and nobody knows.
        """
        try:
            wire, endpoint, host = await self._written(action, body, protocol)
            if self._index is not None and not round_trips(self._models, self._index, action, wire):
                raise Refused(
                    f"`{action.name}` would not be sent as it was judged",
                    "what was written does not read back as the same action",
                    "leave control characters and empty structures out",
                )
            headers = self._signed(wire, endpoint, host, None, lent)
        except SignoffError as error:
            raise Unsent(error.what, error.why, error.next_step) from error
        most = self._limits.body_most
        return await self._send(wire, endpoint, host, headers, most, reuse=False)

    async def ask(self, question: Question) -> Answer:
        """What the target says to a read-only question. Never raises.

        A target's own `no` (4xx) is an answer with `error`; a 5xx, a throttled or an
        unfinished one is `unanswered`. Pages are merged up to `question.most` entries.
        """
        try:
            async with asyncio.timeout(self._limits.ask_seconds):
                return await self._ask(question)
        except TimeoutError:
            seconds = f"{self._limits.ask_seconds:.0f} s"
            return Answer(unanswered=f"`{question.name}` took over {seconds}")
        except SignoffError as error:
            return Answer(unanswered=f"`{question.name}`: {error}")

    async def _ask(self, question: Question) -> Answer:
        service, _, operation = question.name.partition(":")
        if not question.paginate:
            return await self._ask_once(question)
        rule = await asyncio.to_thread(self._pages.rule, service, operation)
        if rule is None:
            return await self._ask_once(question)
        merged = rule.start(question)
        while merged.following is not None:
            answer = await self._ask_once(replace(question, parameters=merged.following))
            if not answer.ok:
                return answer
            merged.add(answer)
        return merged.answer()

    async def _ask_once(self, question: Question) -> Answer:
        action = Action("aws", question.name, question.parameters, question.scope)
        wire, endpoint, host = await self._written(action, None, "")
        answer = Answer(unanswered="not asked")
        for pause in (*_PAUSES, None):
            reply = await self._read(wire, endpoint, host, None, self._limits.answer_most)
            answer = read_reply(self._models, question.name, reply)
            if not answer.unanswered or pause is None:
                break
            await asyncio.sleep(pause)
        return answer

    async def _written(
        self, action: Action, body: bytes | None, protocol: str
    ) -> tuple[WireRequest, Endpoint, str]:
        """The action as a request, where it goes, and the host to sign it for."""
        account = action.scope.get("account", "")
        if account and self.account and account != self.account:
            raise Refused(
                f"the action is for account `{account[:12]}`",
                f"the credentials are of {self.account}",
                "set `aws.account` to the account the credentials belong to",
            )
        service = action.name.partition(":")[0]
        endpoint = await self._endpoint(service, action.scope.get("region") or self._region)
        wire = serialise(
            self._models,
            action,
            body,
            host=endpoint.host,
            protocol=protocol,
            host_prefix=not endpoint.fixed,
        )
        return wire, endpoint, wire.header("host") or endpoint.host

    async def _endpoint(self, service: str, region: str) -> Endpoint:
        known = self._endpoints.known(service, region)
        if known is not None:
            return known
        return await asyncio.to_thread(self._endpoints.find, service, region)

    def _signed(
        self,
        wire: WireRequest,
        endpoint: Endpoint,
        host: str,
        payload: str | None,
        lent: Credentials | None = None,
    ) -> tuple[tuple[str, str], ...]:
        """The headers, signed with what a run was lent, else with the daemon's own."""
        if host != endpoint.host and not _is_below(host, endpoint.host):
            raise Refused(f"the host `{host[:80]}` is not below `{endpoint.host}`")
        return sign(
            wire,
            lent or self._fresh.current(),
            region=endpoint.region,
            service=endpoint.signing_name,
            host=host,
            now_ms=self._now_ms(),
            payload=payload,
            signing_key_cache=self._derived,
        )

    async def _read(
        self,
        wire: WireRequest,
        endpoint: Endpoint,
        host: str,
        payload: str | None,
        most: int,
        lent: Credentials | None = None,
    ) -> UpstreamReply:
        """Send a read; once more when a kept connection turned out to be closed."""
        headers = self._signed(wire, endpoint, host, payload, lent)
        try:
            return await self._send(wire, endpoint, host, headers, most, reuse=True)
        except ExecutionFailed as error:
            if not isinstance(error.__cause__, Gone):
                raise
        return await self._send(wire, endpoint, host, headers, most, reuse=False)

    async def _send(
        self,
        wire: WireRequest,
        endpoint: Endpoint,
        host: str,
        headers: tuple[tuple[str, str], ...],
        most: int,
        *,
        reuse: bool,
    ) -> UpstreamReply:
        if self._upstream is None:
            raise Unsent("the connection to AWS is closed", "the daemon is stopping", "")
        target = f"{wire.path}?{wire.query}" if wire.query else wire.path
        try:
            origin = Origin.of(endpoint.scheme, host)
            head = written(wire.method, target, headers, wire.body, keep=reuse)
        except ValueError as error:
            raise Unsent("the request cannot be sent", str(error), "") from error
        seconds = self._limits.total_seconds
        sending = Sending(wire.method, head, wire.body, seconds, most)
        try:
            return await self._upstream.exchange(origin, sending, reuse=reuse)
        except Unreachable as error:
            raise Unsent(
                f"`{host}` cannot be reached", str(error) or "timed out", "try again later"
            ) from error
        except Cut as error:
            raise ExecutionFailed(
                f"`{host}` did not finish its answer",
                f"{error}: nobody knows whether the request was carried out",
                "look at the target before anything is tried again",
            ) from error

    async def _check_account(self, credentials: Credentials) -> None:
        """Whose credentials these are; raises `Refused` when not the pinned account's."""
        asked = Action("aws", "sts:GetCallerIdentity", scope={"region": self._region})
        wire, endpoint, host = await self._written(asked, None, "")
        headers = sign(
            wire,
            credentials,
            region=endpoint.region,
            service=endpoint.signing_name,
            host=host,
            now_ms=self._now_ms(),
        )
        most = self._limits.answer_most
        reply = await self._send(wire, endpoint, host, headers, most, reuse=True)
        answer = read_reply(self._models, asked.name, reply)
        if not answer.ok:
            raise ExecutionFailed(
                "AWS does not accept the daemon's credentials",
                answer.error or answer.unanswered,
                "check `[aws]` in signoff.toml, then signoff doctor",
            )
        theirs = str(answer.value.get("Account", ""))
        if self.account and theirs != self.account:
            raise Refused(
                f"the daemon's credentials belong to account {theirs}",
                f"`aws.account` is {self.account}",
                "use credentials of that account",
            )
        self.account = theirs


def _is_below(host: str, parent: str) -> bool:
    """Whether the host is the parent behind a plain prefix (`data-`, `123456789012.`)."""
    prefix = host.removesuffix(parent)
    plain = all(c.isascii() and (c.isalnum() or c in "-.") for c in prefix)
    return prefix != host and plain and not prefix.startswith((".", "-"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
