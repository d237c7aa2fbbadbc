"""A scene at the AWS gate: a test that reads as the conversation it is about.

    await (
        Scene({"orders": {"1": "paid"}})
        >> Call("dynamodb:DeleteItem", TableName="orders", Key={"id": {"S": "1"}})
        << Held(1)
        >> Signs("ana")
        >> Again()
        << Passed()
    ).play()

`>>` is what someone does, `<<` what the gate answers. Real bytes go in and come out: the
request is written and signed as a client's, and the answer read in the service's own
protocol. Behind the gate stand the fakes of this package and the shipped policies.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from signoff.approvals.desk import Desk
from signoff.approvals.granting import GrantDesk, SignedGrants
from signoff.approvals.keys import create_key, sign
from signoff.breaker import Breaker
from signoff.gates.aws import AwsGate, GateTerms
from signoff.gates.aws_errors import NativeReply
from signoff.gates.sigv4 import Credentials
from signoff.gates.sigv4 import sign as sign_request
from signoff.model.action import Action, Answer, Level, Principal, Question
from signoff.model.decision import SignOff, Verdict
from signoff.model.human import EnrolledKey, Human
from signoff.model.ports import Executor, Outcome, RunKey
from signoff.model.values import Data, canonical, frozen, thaw
from signoff.pipeline import Pipeline
from signoff.policy.bundle import Bundle, load_bundle
from signoff.policy.engine import CedarJudge
from signoff.steps.circumstances import Circumstances
from signoff.steps.keeping import Keeper
from signoff.steps.waiting import WaitingRoom
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import Reading
from signoff.surfaces.aws.replies import parse_reply
from signoff.surfaces.aws.serialise import serialise
from signoff.surfaces.aws.wire import WireRequest
from signoff.surfaces.base import Places
from signoff.testing import FakeClock, MemoryStore, MemoryVault, SilentNotifier
from signoff.understand import Reader

HOST = "gate.test:4690"
ACCOUNT, REGION = "111122223333", "eu-west-1"
PASSPHRASE = "a passphrase for scenes"  # noqa: S105 - it opens nothing but a scene's keys
PEOPLE = ("olga", "ana", "bo", "cy")
"""`olga` operates the agent; the others can sign."""

RUN = Principal("builder", "R-1", "olga")


@dataclass(frozen=True)
class Call:
    """The agent calls an operation."""

    name: str
    parameters: Mapping[str, object]

    def __init__(self, name: str, **parameters: object) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameters", parameters)


@dataclass(frozen=True)
class Again:
    """The agent makes its last call again."""


@dataclass(frozen=True)
class Signs:
    """A person signs the hold the last call met."""

    who: str
    verdict: Verdict = Verdict.APPROVE


@dataclass(frozen=True)
class Grants:
    """A person grants the run production: these verbs, so many changes, so many minutes."""

    who: str
    verbs: tuple[str, ...] = ("create", "update", "delete")
    changes: int = 10
    minutes: int = 60
    environment: str = "production"


@dataclass(frozen=True)
class Revokes:
    """Somebody takes the newest grant back."""


@dataclass(frozen=True)
class Foreign:
    """Someone else writes an item straight into the target."""

    table: str
    key: str
    text: str


@dataclass(frozen=True)
class Passes:
    """Time goes by, in minutes."""

    minutes: int


@dataclass(frozen=True)
class Passed:
    """The call was carried out; `sent` is how often its operation reached the target in all."""

    sent: int = 1


@dataclass(frozen=True)
class Held:
    """The call waits for so many people."""

    quorum: int


@dataclass(frozen=True)
class Denied:
    """The call is refused; `word` stands in the reason the agent is told."""

    word: str = ""


Doing: TypeAlias = Call | Again | Signs | Grants | Revokes | Foreign | Passes
Answering: TypeAlias = Passed | Held | Denied


@dataclass
class FakeDynamo:
    """A target with tables of items `{key: text}`; `sent` lists every call that reached it."""

    tables: dict[str, dict[str, str]]
    sent: list[str] = field(default_factory=list)

    async def ask(self, question: Question) -> Answer:
        """What a read would be answered; unknown operations are not answered."""
        return self._do(question.name, question.parameters)

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        """Carry out a call, and answer it as the service would on the wire."""
        self.sent.append(action.name)
        answer = self._do(action.name, action.parameters)
        if not answer.ok:
            return Outcome(False, answer.error or answer.unanswered)
        body = json.dumps(thaw(answer.value)).encode()
        headers = (("content-type", "application/x-amz-json-1.0"),)
        return Outcome(True, response=answer.value, reply=NativeReply(200, headers, body))

    def reading(self) -> FakeDynamo:
        """Reads go the same way here."""
        return self

    def _do(self, name: str, parameters: Data) -> Answer:
        operation = name.partition(":")[2]
        table = str(parameters.get("TableName", ""))
        if operation == "ListTables":
            return Answer(frozen(TableNames=sorted(self.tables)))
        if table not in self.tables:
            return Answer(error="ResourceNotFoundException")
        items = self.tables[table]
        if operation == "DescribeTable":
            return Answer(frozen(Table=_described(table, len(items))))
        if operation in ("GetItem", "DeleteItem", "PutItem"):
            given = parameters["Item" if operation == "PutItem" else "Key"]
            key = _text(given, "id")
            if operation == "PutItem":
                items[key] = _text(given, "text")
            elif operation == "DeleteItem":
                items.pop(key, None)
            elif key in items:
                return Answer(frozen(Item={"id": {"S": key}, "text": {"S": items[key]}}))
            return Answer()
        return Answer(unanswered=f"`{name}` is not part of the scene")


class Scene:
    """A conversation at the gate, collected with `>>` and `<<` and played by `play`.

    With `grants` the run needs a grant for production (`Grants`), as in a team it does.
    """

    def __init__(
        self, tables: Mapping[str, Mapping[str, str]] | None = None, *, grants: bool = False
    ) -> None:
        self._needs_grants = grants
        self.target = FakeDynamo({name: dict(items) for name, items in (tables or {}).items()})
        self.clock, self.store = FakeClock(), MemoryStore()
        self._steps: list[Doing | Answering] = []
        self._ticket = ""
        self._call: Call | None = None
        self._answer: NativeReply | None = None
        now = self.clock.now_ms()
        self._key = RunKey("AKIASCENE0000000TEST", "scene", RUN, now, now + 86_400_000)
        self.store.keys[self._key.key_id] = self._key
        self._build()

    def __rshift__(self, step: Doing) -> Scene:
        self._steps.append(step)
        return self

    def __lshift__(self, step: Answering) -> Scene:
        self._steps.append(step)
        return self

    async def play(self) -> Scene:
        """Play it; an `AssertionError` names the step at which it went another way."""
        for number, step in enumerate(self._steps, 1):
            try:
                await self._one(step)
            except AssertionError as error:
                raise AssertionError(f"step {number}, {step}: {error}") from error
        return self

    async def _one(self, step: Doing | Answering) -> None:
        match step:
            case Call():
                self._call = step
                self._answer = await self._send(step)
            case Again():
                assert self._call is not None, "nothing was called yet"
                self._answer = await self._send(self._call)
            case Signs(who, verdict):
                await self._sign(who, verdict)
            case Grants():
                await self._grant(step)
            case Revokes():
                await self.granting.revoke(list(self.store.grant_rows.values())[-1])
            case Foreign(table, key, text):
                self.target.tables[table][key] = text
            case Passes(minutes):
                self.clock.pass_ms(minutes * 60_000)
            case Passed() | Held() | Denied():
                self._expect(step)

    def _expect(self, step: Answering) -> None:
        assert self._answer is not None, "nothing was called yet"
        assert self._call is not None, "nothing was called yet"
        service, _, operation = self._call.name.partition(":")
        body = self._answer.body
        headers = tuple((k.lower(), v) for k, v in self._answer.headers)
        told = parse_reply(_models(), service, operation, self._answer.status, headers, body)
        if isinstance(step, Passed):
            assert told.ok, told.error_message
            assert self.target.sent.count(self._call.name) == step.sent, self.target.sent
            return
        assert not told.ok, "it passed"
        assert told.error_code == "AccessDeniedException", told.error_code
        waits = next((h for h in self.store.holds.values() if h.ticket in told.error_message), None)
        if isinstance(step, Denied):
            assert waits is None or "ticket" not in told.error_message, told.error_message
            assert step.word in told.error_message, told.error_message
            return
        assert waits is not None, told.error_message
        assert waits.quorum == step.quorum, f"it waits for {waits.quorum}"
        self._ticket = waits.ticket

    async def _send(self, call: Call) -> NativeReply:
        action = Action("aws", call.name, frozen(**call.parameters), {"region": REGION})
        wire = serialise(_models(), action, None, host=HOST)
        headers = sign_request(
            wire,
            Credentials(self._key.key_id, self._key.secret),
            region=REGION,
            service=call.name.partition(":")[0],
            host=HOST,
            now_ms=self.clock.now_ms(),
        )
        sent = WireRequest(wire.method, wire.path, wire.query, headers, wire.body)
        return await self.gate.reply(sent, Level.ADVISORY)

    async def _sign(self, who: str, verdict: Verdict) -> None:
        text = await self.desk.text(self._ticket, verdict)
        encrypted, key = _people()[1][who]
        made = sign(encrypted, PASSPHRASE, text)
        now = self.clock.now_ms()
        await self.desk.sign(SignOff(self._ticket, who, verdict, key.fingerprint, made, now))

    async def _grant(self, step: Grants) -> None:
        ttl_ms = step.minutes * 60_000
        grant = self.granting.draft(RUN, step.environment, step.verbs, step.changes, ttl_ms)
        encrypted, key = _people()[1][step.who]
        made = sign(encrypted, PASSPHRASE, canonical(grant.payload()))
        await self.granting.sign(grant.id, step.who, key.fingerprint, made)

    def _build(self) -> None:
        humans, _ = _people()
        bundle = _bundle(self._needs_grants)
        store, clock, vault = self.store, self.clock, MemoryVault()
        reader = Reader(
            {"aws": SURFACE},
            self.target,
            Places(({"environment": "development", "name": "dev-*"},)),
        )
        waiting = WaitingRoom(
            store, store, clock, SilentNotifier(), humans, bundle=lambda: bundle.digest
        )
        signed = SignedGrants(store, humans)
        facts = Circumstances(store, vault, Breaker(), clock, humans=humans, grants=signed)
        judge, keeper = CedarJudge(bundle), Keeper(reader, vault, clock)
        self.pipeline = Pipeline(reader, judge, facts, waiting, keeper, store, clock)
        self.desk = Desk(store, store, clock, humans)
        self.granting = GrantDesk(store, clock, humans)
        self.gate = AwsGate(
            self.pipeline,
            store,
            store,
            clock,
            _models(),
            _index(),
            self._executor_for,
            self._no_ticket,
            GateTerms(ACCOUNT),
        )

    def _executor_for(self, wire: WireRequest, reading: Reading, key: RunKey) -> Executor:
        return self.target

    async def _no_ticket(self, ticket: str, principal: Principal) -> dict[str, object] | None:
        return None


def _described(table: str, count: int) -> dict[str, object]:
    return {
        "TableName": table,
        "TableStatus": "ACTIVE",
        "TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}",
        "ItemCount": count,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }


def _text(given: object, name: str) -> str:
    """The text of one attribute of an item."""
    typed = given.get(name) if isinstance(given, Mapping) else None
    return str(typed.get("S", "")) if isinstance(typed, Mapping) else ""


@functools.cache
def _people() -> tuple[tuple[Human, ...], dict[str, tuple[str, EnrolledKey]]]:
    humans, kept = [], {}
    for name in PEOPLE:
        made = create_key(PASSPHRASE, cost=1 << 14)
        key = EnrolledKey.parse(made.public)
        humans.append(Human(name, (key,)))
        kept[name] = (made.encrypted, key)
    return tuple(humans), kept


@functools.cache
def _bundle(grants: bool = False) -> Bundle:
    people = dict.fromkeys(PEOPLE, ())
    settings = {"grants_required": grants}
    return load_bundle("team", agents={RUN.agent: ()}, humans=people, settings=settings)


@functools.cache
def _models() -> Models:
    return Models()


@functools.cache
def _index() -> Index:
    return Index.build(["dynamodb"], _models())
