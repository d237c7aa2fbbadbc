"""Carrying out one step at AWS: written anew, sent once, waited for, its answer read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from signoff.gates.aws_client import AwsClient, Unsent, UpstreamReply
from signoff.gates.aws_session import SessionFor
from signoff.gates.aws_waiting import Progressing, until
from signoff.gates.sigv4 import Credentials
from signoff.model.action import Action
from signoff.model.errors import ExecutionFailed, Refused, SignoffError
from signoff.model.ports import Outcome
from signoff.model.values import EMPTY, Data, Value, frozen
from signoff.surfaces.aws.models import is_sensitive
from signoff.surfaces.aws.replies import parse_reply
from signoff.surfaces.aws.wire import WireRequest

MINT = "signoff:MintRunKey"
"""The step that answers a credential-issuing call with a run key."""

Mint: TypeAlias = Callable[[Action], Awaitable[UpstreamReply]]
Progress: TypeAlias = Callable[[str], None]
"""Told in one line what is being waited for."""

SETTLE_SECONDS = 600.0
POLL_SECONDS = 3.0
_UNCERTAIN = frozenset({500, 502, 504})
_NOT_DONE = frozenset(["Throttling", "ThrottlingException", "SlowDown", "ServiceUnavailable"])


class AwsExecutor:
    """The Executor port for one request.

    `protocol` and `body` are those of the request as it was read (its plain body, when the
    action refers to one). `verbatim` is the request as it was received: once the story
    has understood it as a read, for certain (`reading`), it is forwarded like that, and
    its failures are passed on as they come. Until then every step counts as a change.
    """

    def __init__(
        self,
        client: AwsClient,
        *,
        protocol: str = "",
        body: bytes | None = None,
        verbatim: WireRequest | None = None,
        mint: Mint | None = None,
        session: SessionFor | None = None,
        progress: Progress | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._client, self._protocol, self._body = client, protocol, body
        self._verbatim, self._only_reads = verbatim, False
        self._mint, self._progress, self._session = mint, progress, session
        self._settle_seconds, self._poll_seconds = settle_seconds, poll_seconds

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        """Send the step once. `succeeded=False`: the target said no, or nothing was sent.

        With `until`, also waits for that state; reaching a failed one is a failure. Raises
        `ExecutionFailed` when nobody knows whether it happened.
        """
        if action.name == MINT:
            return await self._minted(action)
        protocol = self._protocol if original else ""
        try:
            reply = await self._sent(action, original, protocol)
        except Unsent as error:
            refused = isinstance(error.__cause__, Refused)
            return Outcome(False, str(error), refused=refused)
        outcome = self._read(action, reply, protocol)
        if outcome.succeeded and until:
            failure = await self.wait(until, action)
            if failure:
                return Outcome(False, failure, outcome.response, reply)
        return outcome

    def reading(self) -> AwsExecutor:
        """The same for an action that was understood, for certain, as only reading."""
        twin = object.__new__(AwsExecutor)
        twin.__dict__.update(self.__dict__)
        twin._only_reads = True
        return twin

    async def wait(self, name: str, action: Action) -> str:
        """Wait for a state by its name (`stack settled`); "" when reached, else what failed.

        Raises `ExecutionFailed` when it is not reached in `settle_seconds`.
        """
        state = until(name)
        if state is None:
            return f"nobody knows how to wait for `{name}`"
        question = state.question(action)
        deadline = time.monotonic() + self._settle_seconds
        while True:
            answer = await self._client.ask(question)
            if not answer.unanswered:
                seen = state.judge(action, answer)
                if seen.state is Progressing.REACHED:
                    return ""
                if seen.state is Progressing.FAILED:
                    return f"`{name}` was not reached: {seen.status}"
            status = answer.unanswered or seen.status
            if time.monotonic() >= deadline:
                raise ExecutionFailed(
                    f"`{name}` was not reached in {self._settle_seconds:.0f} s",
                    f"the target last said {status}",
                    "look at the target; it may still be working",
                )
            if self._progress is not None:
                self._progress(f"{name}: {status}")
            await asyncio.sleep(self._poll_seconds)

    async def _sent(self, action: Action, original: bool, protocol: str) -> UpstreamReply:
        service, _, operation = action.name.partition(":")
        lent = await self._lent(action.name)
        as_received = original and self._only_reads and self._verbatim is not None
        if as_received and not self._client.models.operation(service, operation).host_prefix:
            assert self._verbatim is not None
            try:
                return await self._client.forward(
                    self._verbatim,
                    service=service,
                    region=action.scope.get("region", ""),
                    lent=lent,
                )
            except ExecutionFailed:
                raise
            except SignoffError as error:
                raise Unsent(error.what, error.why, error.next_step) from error
        body = self._body if original else None
        return await self._client.execute_step(action, body=body, protocol=protocol, lent=lent)

    async def _lent(self, name: str) -> Credentials | None:
        """The run's own session for the call; None where the daemon's credentials serve."""
        if self._session is None:
            return None
        try:
            return await self._session(name, self._only_reads)
        except SignoffError as error:
            raise Unsent(error.what, error.why, error.next_step) from error

    async def _minted(self, action: Action) -> Outcome:
        if self._mint is None:
            return Outcome(False, "no run keys are minted here")
        try:
            reply = await self._mint(action)
        except SignoffError as error:
            return Outcome(False, str(error))
        return Outcome(200 <= reply.status < 300, reply=reply)

    def _read(self, action: Action, reply: UpstreamReply, protocol: str) -> Outcome:
        models = self._client.models
        service, _, operation = action.name.partition(":")
        if self._only_reads and reply.status == 200:
            return Outcome(True, reply=reply)  # Nobody rests anything on what a read said.
        read = parse_reply(
            models,
            service,
            operation,
            reply.status,
            reply.headers,
            reply.body,
            protocol=protocol,
        )
        if read.ok:
            shape = models.operation(service, operation).output
            return Outcome(True, response=without_secrets(shape, read.data), reply=reply)
        code = read.error_code
        if reply.status in _UNCERTAIN and code not in _NOT_DONE and not self._only_reads:
            raise ExecutionFailed(
                f"the target answered {reply.status} to `{action.name}`",
                "nobody knows whether it was carried out",
                "look at the target before anything is tried again",
            )
        said = f"{code}: {read.error_message}" if read.error_message else code
        return Outcome(False, said, reply=reply)


def without_secrets(shape: Any, data: Data) -> Data:
    """The reply without what botocore's model marks as sensitive, and without raw bytes."""
    kept = _kept(shape, data) if shape is not None else None
    return frozen(**kept) if isinstance(kept, dict) else EMPTY


def _kept(shape: Any, value: Value) -> object:
    """The value without its secrets; None where nothing is left."""
    if is_sensitive(shape) or isinstance(value, (bytes, bytearray)):
        return None
    if isinstance(value, Mapping):
        kept = {}
        for name, inner in value.items():
            below = shape.members.get(name) if shape.type_name == "structure" else None
            if shape.type_name == "map":
                below = shape.value
            left = _kept(below, inner) if below is not None else None
            if left is not None:
                kept[name] = left
        return kept
    if isinstance(value, tuple):
        member = getattr(shape, "member", None)
        return [_kept(member, inner) for inner in value] if member is not None else None
    return value
