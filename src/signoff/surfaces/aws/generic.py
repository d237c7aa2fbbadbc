"""Any operation that no service module reads: its targets by name, its effect by class. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from signoff.model.effect import Effect, Kind, Reversibility, Verb
from signoff.model.values import Data, Value
from signoff.surfaces.aws.case import Case, Reading
from signoff.surfaces.aws.classify import Class, noun_of

NAMING = ("Arn", "ARN", "Arns", "ARNs", "Identifier", "Name", "Id", "ID", "Ids", "Names", "Url")
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
    effects = tuple(
        Effect(found.verb, case.resource(uid, type_, found.kind), (), known, because=because)
        for uid in targets(case)
    )
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
