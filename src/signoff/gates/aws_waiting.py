"""What "settled" means: for each state a step may wait for, the question and its answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from signoff.model.action import Action, Answer, Question
from signoff.model.values import Value, frozen


class Progressing(str, Enum):
    """Whether to go on waiting."""

    WAITING = "waiting"
    REACHED = "reached"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far it is, and the target's own word for it."""

    state: Progressing
    status: str


@dataclass(frozen=True, slots=True)
class Until:
    """One state to wait for: `question` asks the target, `judge` reads the answer."""

    question: Callable[[Action], Question]
    judge: Callable[[Action, Answer], Seen]


def until(name: str) -> Until | None:
    """The state by the name a step gives it; None when nobody knows it."""
    return _STATES.get(name)


def _member(action: Action, *names: str) -> str:
    """The first of the members that is given, as text."""
    found = (action.parameters.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), "")


def _ask(action: Action, name: str, **members: str) -> Question:
    given = frozen(**{k: v for k, v in members.items() if v})
    return Question("aws", name, given, dict(action.scope))


def _at(value: Value, *path: str | int) -> str:
    """The text at a path into plain data; empty when there is none."""
    for part in path:
        if isinstance(part, str) and isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(part, int) and isinstance(value, tuple) and len(value) > part:
            value = value[part]
        else:
            return ""
    return value if isinstance(value, str) else ""


def _stack(action: Action, answer: Answer) -> Seen:
    deleting = action.name == "cloudformation:DeleteStack"
    if answer.error:
        # The service says ValidationError for a stack that is not there (any more).
        gone = deleting and answer.error in ("ValidationError", "ValidationException")
        return Seen(Progressing.REACHED if gone else Progressing.FAILED, answer.error)
    status = _at(answer.value, "Stacks", 0, "StackStatus")
    if not status or status.endswith("_IN_PROGRESS"):
        return Seen(Progressing.WAITING, status or "no status")
    good = {"DELETE_COMPLETE"} if deleting else _STACK_GOOD
    return Seen(Progressing.REACHED if status in good else Progressing.FAILED, status)


_STACK_GOOD = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE"}


def _change_set(_: Action, answer: Answer) -> Seen:
    if answer.error:
        return Seen(Progressing.FAILED, answer.error)
    status = _at(answer.value, "Status")
    if status == "CREATE_COMPLETE":
        return Seen(Progressing.REACHED, status)
    if status in ("CREATE_PENDING", "CREATE_IN_PROGRESS", ""):
        return Seen(Progressing.WAITING, status)
    return Seen(Progressing.FAILED, f"{status} {_at(answer.value, 'StatusReason')}".strip())


def _status(
    path: tuple[str | int, ...], good: str, bad: tuple[str, ...], absent: tuple[str, ...]
) -> Callable[[Action, Answer], Seen]:
    """Wait until the status at the path is `good`; what is not there yet may still come."""

    def judge(_: Action, answer: Answer) -> Seen:
        if answer.error:
            state = Progressing.WAITING if answer.error in absent else Progressing.FAILED
            return Seen(state, answer.error)
        status = _at(answer.value, *path)
        if status == good:
            return Seen(Progressing.REACHED, status)
        failed = status.lower().startswith(bad)
        return Seen(Progressing.FAILED if failed else Progressing.WAITING, status)

    return judge


_STATES: Mapping[str, Until] = {
    "stack settled": Until(
        lambda a: _ask(a, "cloudformation:DescribeStacks", StackName=_member(a, "StackName")),
        _stack,
    ),
    "change set ready": Until(
        lambda a: _ask(
            a,
            "cloudformation:DescribeChangeSet",
            StackName=_member(a, "StackName"),
            ChangeSetName=_member(a, "ChangeSetName"),
        ),
        _change_set,
    ),
    "table active": Until(
        lambda a: _ask(
            a, "dynamodb:DescribeTable", TableName=_member(a, "TargetTableName", "TableName")
        ),
        _status(
            ("Table", "TableStatus"),
            "ACTIVE",
            ("inaccessible", "archiv"),
            ("ResourceNotFoundException",),
        ),
    ),
    "db instance available": Until(
        lambda a: _ask(
            a,
            "rds:DescribeDBInstances",
            DBInstanceIdentifier=_member(a, "NewDBInstanceIdentifier", "DBInstanceIdentifier"),
        ),
        _status(
            ("DBInstances", 0, "DBInstanceStatus"),
            "available",
            ("failed", "incompatible", "inaccessible", "restore-error", "stop"),
            ("DBInstanceNotFound", "DBInstanceNotFoundFault"),
        ),
    ),
    "db cluster available": Until(
        lambda a: _ask(
            a,
            "rds:DescribeDBClusters",
            DBClusterIdentifier=_member(a, "NewDBClusterIdentifier", "DBClusterIdentifier"),
        ),
        _status(
            ("DBClusters", 0, "Status"),
            "available",
            ("failed", "incompatible", "inaccessible", "stop"),
            ("DBClusterNotFoundFault",),
        ),
    ),
}
