"""The AWS gate: HTTP in, the story, HTTP out. It translates, and decides nothing.

A request is authenticated by the run key that signed it, read into exactly one action,
and answered in the service's own protocol. What cannot be read is denied, what cannot be
recorded is denied, and a change is forwarded only in the form Signoff wrote itself.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from signoff.gates.aws_errors import NativeReply, denied_code, render
from signoff.gates.sigv4 import Verified, claimed_key_id, verify
from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Decision, Ruling
from signoff.model.errors import ExecutionFailed, MalformedRequest, Refused, SignoffError
from signoff.model.ports import Clock, Executor, Keys, Ledger, RunKey
from signoff.model.receipt import Mark
from signoff.pipeline import Pipeline
from signoff.steps.chain import Chain, Reply, Request
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import Reading, read
from signoff.surfaces.aws.wire import WireRequest

BODY_MOST = 64_000_000
OWN_PATH = "/.signoff/"
_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "date",
        "server",
    ]
)


Tickets = Callable[[str, Principal], Awaitable[dict[str, object] | None]]
"""What an agent may see of its own hold: by ticket and principal; None when not its own."""

ExecutorFor = Callable[[WireRequest, Reading, RunKey], Executor]
"""The executor that carries out one request's action against the target."""


@dataclass(frozen=True)
class GateTerms:
    """What the gate is told once: its account, where it only observes, and how many bytes
    the body of one request may have."""

    account: str
    observe: frozenset[str] = frozenset()
    body_most: int = BODY_MOST


class AwsGate:
    """One HTTP handler for every AWS service."""

    def __init__(
        self,
        pipeline: Pipeline,
        keys: Keys,
        ledger: Ledger,
        clock: Clock,
        models: Models,
        index: Index,
        executor_for: ExecutorFor,
        tickets: Tickets,
        terms: GateTerms,
    ) -> None:
        self._pipeline, self._keys, self._ledger, self._clock = pipeline, keys, ledger, clock
        self._models, self._index, self._executor_for = models, index, executor_for
        self._tickets, self._terms = tickets, terms
        self.unauthenticated = 0

    async def reply(self, wire: WireRequest, level: Level) -> NativeReply:
        """Answer one HTTP request. Never raises: any doubt ends in a native denial."""
        try:
            verified = await self._verify(wire)
        except SignoffError as error:
            self.unauthenticated += 1
            claimed = _claimed_service(wire.header("authorization") or "")
            return render_denial(self._models, wire, claimed, str(error))
        try:
            if wire.path.startswith(OWN_PATH):
                return await self._own(wire, verified.key.principal)
            return await self._answer(wire, verified, level)
        except SignoffError as error:
            return render_denial(self._models, wire, verified.service, str(error))
        except Exception as error:  # A fault of ours is a denial, never a way through.
            text = f"denied: signoff failed inside ({type(error).__name__}); next: signoff doctor"
            return render_denial(self._models, wire, verified.service, text)

    def refusal(self, authorization: str, text: str, status: int) -> NativeReply:
        """The answer to what could not be read to its end."""
        self.unauthenticated += 1
        denial = render_denial(self._models, None, _claimed_service(authorization), text)
        return replace(denial, status=status)

    async def _verify(self, wire: WireRequest) -> Verified:
        key = await self._keys.key(claimed_key_id(wire))
        return verify(
            wire,
            host=wire.header("host") or "",
            key_of=lambda key_id: key if key is not None and key.key_id == key_id else None,
            now_ms=self._clock.now_ms(),
        )

    async def _answer(self, wire: WireRequest, verified: Verified, level: Level) -> NativeReply:
        try:
            reading = read(
                self._models,
                self._index,
                wire,
                signing_name=verified.service,
                region=verified.region,
                account=self._terms.account,
            )
        except MalformedRequest as error:
            await self._note_malformed(wire, verified, level, error)
            raise
        action = reading.action
        request = Request(
            principal=verified.key.principal,
            action=action,
            gate="aws",
            level=level,
            observe=self._terms.observe,
        )
        executor = self._executor_for(wire, reading, verified.key)
        try:
            reply = await self._pipeline.handle(request, executor)
        except ExecutionFailed as error:
            text = f"in doubt: {error}; do not repeat it blindly, next: signoff log"
            return self._denial(wire, reading, text)
        if reply.outcome is not None and reply.outcome.reply is not None:
            return _forwarded(reply.outcome.reply)
        if reply.mark is Mark.READ and reply.outcome is not None and not reply.outcome.refused:
            text = f"the target gave no answer: {reply.outcome.error}"
            return self._denial(wire, reading, text, "ServiceUnavailable", 503)
        return self._denial(wire, reading, told(reply))

    async def _note_malformed(
        self, wire: WireRequest, verified: Verified, level: Level, error: MalformedRequest
    ) -> None:
        """What could not be read is written down too, as far as it is known."""
        unread = Action("aws", f"{verified.service}:unreadable", unknown=(error.what,))
        request = Request(verified.key.principal, unread, "aws", level)
        decision = Decision(Ruling.DENY, ("not-understood",), message=str(error))
        chain = Chain(self._ledger, self._clock, request)
        await chain.note(Mark.DECIDED, decision=decision, method=wire.method)

    async def _own(self, wire: WireRequest, principal: Principal) -> NativeReply:
        ticket = wire.path.removeprefix(OWN_PATH + "ticket/")
        seen = await self._tickets(ticket, principal)
        if seen is None:
            raise Refused(f"no hold `{ticket[:40]}` of this run", "", "check the ticket")
        kind = ("Content-Type", "application/json; charset=utf-8")
        return NativeReply(200, (kind,), json.dumps(seen).encode())

    def _denial(
        self, wire: WireRequest, reading: Reading, text: str, code: str = "", status: int = 403
    ) -> NativeReply:
        service, _, operation = reading.action.name.partition(":")
        return render(
            reading.protocol,
            service=service,
            operation=operation,
            code=code or denied_code(reading.protocol, service),
            message=text,
            status=status,
            request_id="signoff",
            head=wire.method == "HEAD",
        )


def told(reply: Reply) -> str:
    """One line for the agent: the ruling, the reason, the ticket, the next step."""
    text = reply.message or reply.decision.message or reply.ruling.value
    if reply.outcome is not None:
        how = "denied" if reply.outcome.refused else "the call failed"
        return f"{how}: {reply.outcome.error}"
    if reply.mark is Mark.HELD:
        again = "make the same call again once it is signed"
        return f"ticket `{reply.ticket}`: {text}; {again}: signoff ticket {reply.ticket} --wait"
    return text


def render_denial(models: Models, wire: WireRequest | None, service: str, text: str) -> NativeReply:
    """A denial in the most likely protocol, when the operation itself is not known."""
    protocol = "rest-json"
    if wire is not None:
        kind = wire.header("content-type") or ""
        if wire.header("smithy-protocol"):
            protocol = "smithy-rpc-v2-cbor"
        elif wire.header("x-amz-target"):
            protocol = "json"
        elif kind.startswith("application/x-www-form-urlencoded"):
            protocol = "query"
        elif service in models.services():
            protocol = models.protocol(service)
    elif service in models.services():
        protocol = models.protocol(service)
    return render(
        protocol,
        service=service,
        operation="",
        code=denied_code(protocol, service),
        message=text,
        status=403,
        request_id="signoff",
        head=wire is not None and wire.method == "HEAD",
    )


def _claimed_service(authorization: str) -> str:
    """The service a request says it was signed for; only the form of a denial rests on it."""
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) == 5 else ""


def _forwarded(reply: object) -> NativeReply:
    """The target's answer without what concerned only the connection it came on."""
    if not isinstance(reply, NativeReply):
        raise TypeError("the reply is opaque to the story, but not to the gate")
    kept = tuple(pair for pair in reply.headers if pair[0] not in _HOP)
    return NativeReply(reply.status, kept, reply.body)
