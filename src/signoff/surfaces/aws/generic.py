"""Any operation that no service module reads: its targets by name, its effect by class. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from signoff.model.effect import Effect, Kind, Resource, Reversibility, Verb
from signoff.model.values import Data, Value
from signoff.surfaces.aws.case import Case, Reading
from signoff.surfaces.aws.classify import Class, noun_of
from signoff.surfaces.base import PRODUCTION

NAMING = ("Arn", "ARN", "Arns", "ARNs", "Identifier", "Name", "Id", "ID", "Ids", "Names", "Url")
ALSO_NAMING = frozenset(
    {
        "arn",
        "arns",
        "Bucket",
        "bucket",
        "cluster",
        "Domain",
        "domain",
        "id",
        "identifier",
        "ids",
        "instances",
        "name",
        "names",
        "Namespace",
        "namespace",
        "ResourceARNList",
        "Resource",
        "resource",
        "Resources",
        "Rule",
        "service",
        "task",
        "Values",
    }
)
"""Members that name a target only in some operations: they can make a place stricter, and
never lend it a name."""
ROLES = frozenset(
    {
        "RoleArn",
        "RoleARN",
        "roleArn",
        "Role",
        "role",
        "ExecutionRoleArn",
        "executionRoleArn",
        "TaskRoleArn",
        "taskRoleArn",
        "ServiceRoleArn",
        "serviceRole",
        "ServiceRole",
        "IamRoleArn",
        "IamInstanceProfile",
        "InstanceProfileName",
    }
)
"""Members that hand a role to a service, which then acts with it (`iam:PassRole`)."""


def read(case: Case, found: Class) -> Reading:
    """The effects of an operation nobody reads in depth: one for each thing it names.

    Nothing is captured for these, so a change cannot be taken back.
    """
    type_ = f"{case.service}:{noun_of(case.operation) or case.operation}"
    because = found.because
    known = Reversibility.EXACT if found.verb is Verb.READ else Reversibility.NONE
    places = [case.resource(uid, type_, found.kind) for uid in targets(case)]
    if found.verb is not Verb.READ:
        places = _placed(case, places)
    effects = tuple(Effect(found.verb, place, (), known, because=because) for place in places)
    passed = () if found.verb in (Verb.READ, Verb.UNKNOWN) else passed_roles(case)
    unknown = (f"`{case.action.name}`: {because}",) if found.verb is Verb.UNKNOWN else ()
    return Reading((*effects, *passed), unknown)


def passed_roles(case: Case) -> tuple[Effect, ...]:
    """A `permit` for every role the request hands to a service."""
    if case.service in ("iam", "sts"):
        return ()
    found = sorted({uid for uid in _roles(case.action.parameters) if uid})
    return tuple(
        Effect(
            Verb.PERMIT,
            case.resource(_role_uid(case, uid), "iam:role", Kind.ACCESS),
            reversibility=Reversibility.BOUNDED,
            residue="what was done with the role meanwhile",
            because="hands the role to a service",
        )
        for uid in found
    )


def moved_places(case: Case, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """A `permit` when the request writes tags and a trusted tag decides what is production.

    Whoever writes such a tag decides under which rules the resource is judged from then on,
    so it is judged as in production, wherever the resource is now.
    """
    if not any(rule.get("tag") and rule.get("tags_trusted") for rule in case.places.rules):
        return ()
    words = (case.operation, *case.action.parameters)
    # A template can write the tags of whatever it describes without naming them here.
    names_tags = case.service == "cloudformation" or any("tag" in w.lower() for w in words)
    writes = [e for e in effects if not e.is_read]
    if not names_tags or not writes:
        return ()
    if case.operation.startswith(("Create", "Run")) and "Tag" not in case.operation:
        return ()  # What is new has no people yet who rely on it.
    here = replace(writes[0].resource, environment=case.places.override or PRODUCTION)
    why = "writes tags, and a trusted tag decides what is production"
    return (Effect(Verb.PERMIT, here, (), Reversibility.BOUNDED, because=why),)


def targets(case: Case) -> tuple[str, ...]:
    """ARNs of what the request names: ARNs first, then names and ids, else the service."""
    given = case.action.parameters
    arns = tuple(v for _, v in _named(given) if v.startswith("arn:"))
    if arns:
        return tuple(dict.fromkeys(arns))
    named = tuple(f"{member}/{value}" for member, value in _named(given))
    if not named:
        return (case.arn(case.service, "*"),)
    if all(isinstance(given.get(n.partition("/")[0]), str) for n in named):
        return (case.arn(case.service, ":".join(named)),)
    return tuple(dict.fromkeys(case.arn(case.service, n) for n in named))


def _placed(case: Case, places: list[Resource]) -> list[Resource]:
    """The same resources, where everything the request names lies in one environment.

    Which of its names is the target is not known here, so no name lends its environment to
    another: one that lies elsewhere takes the request to production.
    """
    others = {
        case.resource(uid, "", Kind.OTHER).environment for uid in _mentioned(case.action.parameters)
    }
    if others <= {place.environment for place in places}:
        return places
    return [replace(place, environment=PRODUCTION) for place in places]


def _mentioned(value: Value, member: str = "") -> Iterator[str]:
    """Every name, id and ARN in the request at any depth, roles for services apart."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in ROLES:
                yield from _mentioned(inner, name)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _mentioned(inner, member)
    elif isinstance(value, str) and value:
        if value.startswith("arn:"):
            yield value
        elif member.endswith(NAMING) or member in ALSO_NAMING:
            yield f"{member}/{value}"


def _named(given: Data) -> Iterator[tuple[str, str]]:
    for member, value in given.items():
        if member in ROLES or not member.endswith(NAMING):
            continue
        values: tuple[Value, ...] = value if isinstance(value, tuple) else (value,)
        for one in values:
            if isinstance(one, str) and one:
                yield member, one


def _roles(value: Value) -> Iterator[str]:
    if isinstance(value, Mapping):
        for member, inner in value.items():
            if member in ROLES and isinstance(inner, str):
                yield inner
            else:
                yield from _roles(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _roles(inner)


def _role_uid(case: Case, given: str) -> str:
    return given if given.startswith("arn:") else case.arn("iam", f"role/{given}")
