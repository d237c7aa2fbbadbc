"""Names in policies that nothing has: what no solver needs to be asked. Pure.

A misspelt kind, boundary, group or environment makes a condition false for ever, and a
`forbid` that never matches looks just like one that does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from signoff.model.effect import Kind
from signoff.policy.bundle import Bundle
from signoff.policy.statements import Policy, path_of

SURFACES = ("shell", "files", "git", "sql", "aws", "kubernetes", "terraform", "mcp")


@dataclass(frozen=True)
class Misspelt:
    """A name in a policy that nothing has; `near` is one that something has, if any is like
    it, and `sort` says what was named."""

    policy: Policy
    sort: str
    name: str
    near: str = ""


def misspelt(bundle: Bundle, *, settings_known: bool) -> Iterator[Misspelt]:
    """Every name in the owner's and the shipped policies that nothing has.

    Groups, people and the owner's environments are known only with the settings.
    """
    known = _known(bundle, settings_known)
    for policy in bundle.policies:
        seen = set()
        for sort, name in (*_compared(policy.est), *_entities(policy.est)):
            names = known.get(sort)
            if names is not None and name not in names and (sort, name) not in seen:
                seen.add((sort, name))
                near = get_close_matches(name, sorted(names), 1)
                yield Misspelt(policy, sort, name, near[0] if near else "")


def unlowerable(bundle: Bundle) -> Iterator[Policy]:
    """Boundaries that two people could lower in vain: their own condition does not ask
    whether they are lowered."""
    for policy in bundle.policies:
        asked = {name for sort, name in _compared(policy.est) if sort == "boundary"}
        if policy.boundary == "two-person" and policy.id not in asked:
            yield policy


def only_itself(bundle: Bundle) -> Iterator[Policy]:
    """Forbids that name an environment with `==`, although others lie in it or can."""
    for policy in bundle.policies:
        place = policy.est["resource"]
        if (
            policy.effect == "forbid"
            and place["op"] == "=="
            and not bundle.environments.get(place["entity"]["id"])
        ):
            yield policy


def twins(bundle: Bundle) -> Iterator[tuple[Policy, Policy]]:
    """Policies that say the same as an earlier one, and that one."""
    first: dict[str, Policy] = {}
    for policy in bundle.policies:
        said = meaning(policy)
        if said in first:
            yield policy, first[said]
        first.setdefault(said, policy)


def meaning(policy: Policy) -> str:
    """What a policy decides, as text: its own form without its annotations."""
    return repr(_sorted({k: v for k, v in policy.est.items() if k != "annotations"}))


def places_named(policy: Policy) -> frozenset[str]:
    """The environments a policy names."""
    return frozenset(name for sort, name in _entities(policy.est) if sort == "environment")


def named_people(policies: Iterable[Policy]) -> tuple[frozenset[str], frozenset[str]]:
    """The people and the groups that policies speak of, by name."""
    found: list[tuple[str, str]] = []
    for policy in policies:
        found += [*_compared(policy.est), *_entities(policy.est)]
    people = frozenset(name for sort, name in found if sort == "human")
    return people, frozenset(name for sort, name in found if sort in ("group", "team"))


def signers_asked(policies: Iterable[Policy]) -> int:
    """The largest number of sign-offs that a policy compares `approvals` with."""
    return max((n for policy in policies for n in _compared_with_approvals(policy.est)), default=0)


def _compared_with_approvals(node: object) -> Iterator[int]:
    if isinstance(node, (list, tuple)):
        for each in node:
            yield from _compared_with_approvals(each)
    if not isinstance(node, Mapping):
        return
    left, right = node.get("left"), node.get("right")
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            number = other.get("Value")
            if path_of(one) == "approvals" and type(number) is int:
                yield number
    for inner in node.values():
        yield from _compared_with_approvals(inner)


def _sorted(node: object) -> object:
    if isinstance(node, Mapping):
        return {key: _sorted(node[key]) for key in sorted(node)}
    return [_sorted(each) for each in node] if isinstance(node, (list, tuple)) else node


def _known(bundle: Bundle, settings_known: bool) -> Mapping[str, Collection[str]]:
    known: dict[str, Collection[str]] = {
        "kind": [kind.value for kind in Kind],
        "surface": SURFACES,
        "boundary": list(bundle.boundaries),
    }
    if settings_known:
        known["environment"] = list(bundle.environments)
        known["group"] = {team for teams in bundle.humans.values() for team in teams}
        known["human"] = list(bundle.humans)
    return known


_SORTS: Mapping[str, str] = {
    "target.kind": "kind",
    "surface": "surface",
    "lowered": "boundary",
    "approverTeams": "group",
    "approvers": "human",
    "operator": "human",
}


def _compared(node: object) -> Iterator[tuple[str, str]]:
    """Every text that a path of a closed vocabulary is compared with, or looked up by."""
    if isinstance(node, (list, tuple)):
        for each in node:
            yield from _compared(each)
    if not isinstance(node, Mapping):
        return
    for operator, inner in node.items():
        if operator in _LOOKS and isinstance(inner, Mapping):
            yield from _pairs(inner.get("left"), inner.get("right"))
        yield from _compared(inner)


_LOOKS = frozenset({"==", "!=", "contains", "containsAny", "containsAll"})


def _pairs(left: object, right: object) -> Iterator[tuple[str, str]]:
    for one, other in ((left, right), (right, left)):
        path = path_of(one) if isinstance(one, Mapping) else None
        if path is not None and path in _SORTS:
            for text in _texts(other):
                yield _SORTS[path], text


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("Value"), str):
            yield str(node["Value"])
        for each in node.get("Set", ()):
            yield from _texts(each)


def _entities(est: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Environments, people and teams named in the scope or in a condition."""
    for uid in _uids(est):
        sort = {"Environment": "environment", "Human": "human", "Team": "team"}.get(
            str(uid.get("type"))
        )
        if sort:
            yield sort, str(uid["id"])


def _uids(node: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, (list, tuple)):
        for each in node:
            yield from _uids(each)
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("entity", "__entity") and isinstance(value, Mapping):
                yield value
            else:
                yield from _uids(value)
