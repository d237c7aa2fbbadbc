"""One action with what is known of the world, and the pen that writes its effects. Pure.

A service is read once for both purposes: `ask` looks an answer up and writes the question
down. What was asked and has no answer yet are the open questions; what the reading says
meanwhile is what is known without them. Less knowledge never gives a better class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.effect import (
    Bound,
    Effect,
    Kind,
    Resource,
    Reversibility,
    Step,
    Understanding,
    Verb,
)
from signoff.model.values import Data, Value, freeze, frozen
from signoff.surfaces.aws.arns import GLOBAL, arn, name_of, place_of
from signoff.surfaces.base import Captured, Places, Restoration

NOT_ASKED = Answer(unanswered="not asked")

ITEMS_MOST = 10_000
"""Items of a table that are copied for an undo; a larger table is not captured."""

BYTES_MOST = 64 << 20
"""Bytes of a table that are copied for an undo."""

OBJECT_BYTES_MOST = 8 << 20
"""Bytes of one object that are copied for an undo."""

TABLE_ACTIVE = "table active"
STACK_SETTLED = "stack settled"
CHANGE_SET_READY = "change set ready"
INSTANCE_AVAILABLE = "db instance available"
CLUSTER_AVAILABLE = "db cluster available"

ABSENT = frozenset(
    {
        "404",
        "NoSuchKey",
        "NotFound",
        "NoSuchBucket",
        "NoSuchVersion",
        "NoSuchEntity",
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "NoSuchTagSet",
        "NoSuchCORSConfiguration",
        "NoSuchWebsiteConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchOwnershipControls",
        "OwnershipControlsNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
        "ReplicationConfigurationNotFoundError",
        "ObjectLockConfigurationNotFoundError",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
        "DBClusterNotFoundFault",
        "DBSnapshotNotFound",
        "NotFoundException",
        "ParameterNotFound",
        "TableNotFoundException",
        "ChangeSetNotFound",
        "NoSuchEntityException",
    }
)
"""Error codes that say, for certain, that the thing is not there."""


def absent(answer: Answer) -> bool:
    """Whether the world said that the thing does not exist."""
    return answer.error in ABSENT


@dataclass
class Case:
    """An action being read. `asked` grows with every `ask`, in order, each once."""

    action: Action
    answers: Answers
    places: Places = field(default_factory=Places)
    asked: dict[str, Question] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """botocore's service name: the part before the colon."""
        return self.action.name.partition(":")[0]

    @property
    def operation(self) -> str:
        """The operation's name: the part after the colon."""
        return self.action.name.partition(":")[2]

    def get(self, member: str) -> Value:
        """A member of the request; None when it is not there."""
        return self.action.parameters.get(member)

    def text(self, member: str) -> str:
        """A member of the request that is text; empty when it is not."""
        value = self.get(member)
        return value if isinstance(value, str) else ""

    def ask(
        self,
        name: str,
        given: Mapping[str, object] | None = None,
        *,
        paginate: bool = False,
        most: int = 10_000,
        **members: object,
    ) -> Answer:
        """The answer to an AWS read (`given` and `members` together), or `NOT_ASKED`;
        either way the question is noted."""
        asked = {k: v for k, v in {**(given or {}), **members}.items() if v is not None}
        scope = dict(self.action.scope)
        question = Question("aws", name, frozen(**asked), scope, paginate=paginate, most=most)
        self.asked.setdefault(question.key, question)
        return self.answers.get(question.key, NOT_ASKED)

    def open(self) -> tuple[Question, ...]:
        """The noted questions nobody has answered yet."""
        return tuple(q for k, q in self.asked.items() if k not in self.answers)

    def arn(self, service: str, rest: str) -> str:
        """An ARN in this action's account and region."""
        return arn(service, self.action.scope, rest)

    def resource(
        self,
        uid: str,
        type_: str,
        kind: Kind,
        *,
        name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Resource:
        """A resource with the environment it resolves to; a global one has no region."""
        account, region = place_of(uid, self.action.scope)
        environment = self.places.environment_of(
            account=account,
            region="" if type_.partition(":")[0] in GLOBAL else region,
            name=name or name_of(uid),
            tags=tags or {},
        )
        return Resource(uid=uid, type=type_, environment=environment, kind=kind)

    def step(
        self,
        name: str,
        given: Mapping[str, object] | None = None,
        *,
        original: bool = False,
        until: str = "",
        **members: object,
    ) -> Step:
        """One request in this action's account and region: `given` and `members` together."""
        parameters = frozen(**{**(given or {}), **members})
        action = Action("aws", name, parameters, dict(self.action.scope))
        return Step(action, original=original, until=until)


@dataclass(frozen=True)
class Reading:
    """What one service says of an action: the parts of an `Understanding`."""

    effects: tuple[Effect, ...]
    unknown: tuple[str, ...] = ()
    plan: tuple[Step, ...] = ()
    safer: str = ""

    def of(self, action: Action) -> Understanding:
        """The understanding, with the action itself as the plan unless it was rewritten."""
        return Understanding(
            action=action,
            effects=self.effects,
            unknown=(*action.unknown, *self.unknown),
            plan=self.plan or (Step(action),),
            safer=self.safer,
        )


@dataclass(frozen=True)
class Undoing:
    """A captured action on its way back: answers before, right after and now."""

    action: Action
    captured: Captured

    def case(self) -> Case:
        """The action again, for building steps and asking for what it captured."""
        return Case(self.action, self.captured.before)

    def before(self, name: str, **members: object) -> Answer:
        """The captured answer to a question, as it was before the act."""
        return self._find(self.captured.before, name, members)

    def now(self, name: str, **members: object) -> Answer:
        """The same question's answer now; right after the act when nobody asked since."""
        found = self._find(self.captured.now, name, members)
        return self._find(self.captured.after, name, members) if found is NOT_ASKED else found

    def _find(self, answers: Answers, name: str, members: Mapping[str, object]) -> Answer:
        wanted = freeze(members)
        for question in self.captured.questions:
            if question.name == name and _covers(question.parameters, wanted):
                return answers.get(question.key, NOT_ASKED)
        return NOT_ASKED


def _covers(parameters: Data, wanted: Value) -> bool:
    if not isinstance(wanted, Mapping):
        return False
    return all(parameters.get(k) == v for k, v in wanted.items())


def mapping(value: Value) -> Data:
    """A mapping, or an empty one: answers are data from outside."""
    return value if isinstance(value, Mapping) else {}


def entries(value: Value) -> tuple[Data, ...]:
    """The mappings of a list, or none."""
    return tuple(v for v in value if isinstance(v, Mapping)) if isinstance(value, tuple) else ()


def texts(value: Value) -> tuple[str, ...]:
    """The texts of a list, or none."""
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, tuple) else ()


def text(value: Value) -> str:
    """Text, or empty."""
    return value if isinstance(value, str) else ""


def number(value: Value) -> int | None:
    """A whole number (SQS writes them as text), or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdigit() else None


def tags(value: Value) -> dict[str, str]:
    """Tags in any of the three forms AWS writes them: a map, Key/Value or key/value lists."""
    if isinstance(value, Mapping):
        return {k: v for k, v in value.items() if isinstance(v, str)}
    return {
        text(e.get("Key", e.get("key"))): text(e.get("Value", e.get("value")))
        for e in entries(value)
    }


def single(effect: Effect, *, safer: str = "", plan: Iterable[Step] = ()) -> Reading:
    """A reading with one effect."""
    return Reading((effect,), safer=safer, plan=tuple(plan))


def effect(
    verb: Verb,
    resource: Resource,
    reversibility: Reversibility = Reversibility.NONE,
    *bounds: Bound,
    residue: str = "",
    because: str = "",
) -> Effect:
    """An effect, its bounds last, for tables of them."""
    return Effect(verb, resource, bounds, reversibility, residue, because)


def nothing_to_restore(_: Undoing) -> Restoration:
    """The way back of what has none: no step, and a residue that says so."""
    return Restoration((), ("nothing was captured that could take this back",))


def capture_nothing(_: Case) -> None:
    """The capture of what has no undo."""


Read = Callable[[Case], Reading]
Capture = Callable[[Case], object]
Restore = Callable[[Undoing], Restoration]
