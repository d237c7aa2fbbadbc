"""One request against policies, as IAM decides it, in three values. Pure.

Source: AWS IAM User Guide, "Policy evaluation logic": an explicit Deny anywhere wins; every
layer that is there must allow; what nothing allows is denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from signoff.audit.iam.conditions import Context, holds
from signoff.audit.iam.documents import Statement
from signoff.audit.iam.globs import matches


class Ruling(str, Enum):
    """What IAM would say. `perhaps` depends on conditions the context does not settle."""

    ALLOWED = "allowed"
    DENIED = "denied"
    PERHAPS = "perhaps"


@dataclass(frozen=True, slots=True)
class Layers:
    """What applies to one caller. Each of `limits` (a boundary, one level of SCPs, a session
    policy) must allow what `identity` grants; a Deny in any of them wins."""

    identity: tuple[Statement, ...]
    limits: tuple[tuple[Statement, ...], ...] = ()

    @property
    def every(self) -> tuple[Statement, ...]:
        """All statements of all layers."""
        return (*self.identity, *(s for limit in self.limits for s in limit))


def names_action(statement: Statement, action: str) -> bool:
    """Whether a statement is about `service:Action`; action names have no case."""
    found = any(matches(p, action, any_case=True) for p in statement.actions)
    return found is not statement.not_action


def names_resource(statement: Statement, resource: str, context: Context) -> bool | None:
    """Whether a statement is about a resource; None when a variable in it is unknown."""
    unknown = False
    for given in statement.resources:
        pattern = filled(given, context) if statement.variables else given
        if pattern is None:
            unknown = True
        elif matches(pattern, resource):
            return not statement.not_resource
    return None if unknown else statement.not_resource


def filled(pattern: str, context: Context) -> str | None:
    """A pattern with its `${key}` variables replaced; None when one is unknown or absent.

    `${*}`, `${?}` and `${$}` stand for the signs themselves; the first two are left as
    wildcards, so they count as unknown too.
    """
    done, rest = "", pattern
    while "${" in rest:
        before, _, after = rest.partition("${")
        name, closed, rest = after.partition("}")
        if not closed or name in ("*", "?"):
            return None
        if name == "$":
            done += before + "$"
            continue
        key, _, default = name.partition(",")
        values = context.get(key.strip().lower())
        if values is None or len(values) > 1:
            return None
        if not values and not default:
            return None
        done += before + (values[0] if values else default.strip().strip("'"))
    return done + rest


def decide(layers: Layers, action: str, resource: str, context: Context) -> Ruling:
    """What IAM would say to one request under these policies."""
    denied = _strongest(layers.every, False, action, resource, context)
    if denied is True:
        return Ruling.DENIED
    sure = denied is False
    for layer in (layers.identity, *layers.limits):
        allowed = _strongest(layer, True, action, resource, context)
        if allowed is False:
            return Ruling.DENIED
        sure = sure and allowed is True
    return Ruling.ALLOWED if sure else Ruling.PERHAPS


def _strongest(
    statements: Iterable[Statement], allow: bool, action: str, resource: str, context: Context
) -> bool | None:
    """Whether some statement of this effect applies: yes, no, or perhaps (None)."""
    answer: bool | None = False
    for statement in statements:
        if statement.allow is not allow or not names_action(statement, action):
            continue
        clauses: Sequence[bool | None] = [
            names_resource(statement, resource, context),
            *(holds(c, context) for c in statement.conditions),
        ]
        if all(clauses):
            return True
        if not any(c is False for c in clauses):
            answer = None
    return answer
