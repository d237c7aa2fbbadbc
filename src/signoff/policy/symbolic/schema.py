"""The types of a Cedar schema, as the compiler needs them. Pure.

https://docs.cedarpolicy.com/schema/json-schema.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


class NotUnderstood(Exception):
    """A form this compiler does not know: nothing can be said about what holds it."""


@dataclass(frozen=True)
class Bool:
    """True or false."""


@dataclass(frozen=True)
class Long:
    """A signed integer of 64 bits."""


@dataclass(frozen=True)
class Text:
    """A string."""


@dataclass(frozen=True)
class EntityOf:
    """A reference to an entity of one type."""

    name: str


@dataclass(frozen=True)
class ActionName:
    """The action of a request, or one a policy names."""


@dataclass(frozen=True)
class SetOf:
    """A set; `element` is None for the empty literal."""

    element: Type | None


@dataclass(frozen=True)
class Attribute:
    """The type of one attribute, and whether it is always there."""

    type: Type
    required: bool = True


@dataclass(frozen=True)
class RecordOf:
    """A record and its attributes."""

    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Extension:
    """`decimal`, `ipaddr`, `datetime` or `duration`: compared by nothing here."""

    name: str


Type: TypeAlias = Bool | Long | Text | EntityOf | ActionName | SetOf | RecordOf | Extension


@dataclass(frozen=True)
class EntityType:
    """What entities of a type have; `above` are the types of all their possible ancestors."""

    attributes: RecordOf
    above: frozenset[str]
    tags: Type | None = None


@dataclass(frozen=True)
class ActionType:
    """What an action applies to; `groups` are all it is in, its own name left out."""

    groups: frozenset[str]
    principals: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    context: RecordOf = field(default_factory=lambda: RecordOf({}))


@dataclass(frozen=True)
class RequestEnvironment:
    """One typed kind of request: who, what and on what."""

    principal: str
    action: str
    resource: str


@dataclass(frozen=True)
class Schema:
    """Entity types and actions by name."""

    entities: Mapping[str, EntityType]
    actions: Mapping[str, ActionType]

    def environments(self) -> Iterator[RequestEnvironment]:
        """Every kind of request the engine accepts."""
        for name, action in self.actions.items():
            for principal in action.principals:
                for resource in action.resources:
                    yield RequestEnvironment(principal, name, resource)


@lru_cache(maxsize=8)
def read_schema(text: str) -> Schema:
    """A schema from Cedar's JSON form. Raises `NotUnderstood` for namespaces and for types
    that are none of Cedar's."""
    parsed = json.loads(text)
    if set(parsed) != {""}:
        raise NotUnderstood("a schema with namespaces")
    spaces = parsed[""]
    types = _Types(spaces.get("commonTypes", {}), frozenset(spaces.get("entityTypes", {})))
    parents = {n: d.get("memberOfTypes", []) for n, d in spaces.get("entityTypes", {}).items()}
    groups = {
        n: [group["id"] for group in d.get("memberOf") or []]
        for n, d in spaces.get("actions", {}).items()
    }
    return Schema(
        entities={
            name: EntityType(
                types.record(given.get("shape", {"type": "Record", "attributes": {}})),
                above(name, parents),
                types.read(given["tags"]) if "tags" in given else None,
            )
            for name, given in spaces.get("entityTypes", {}).items()
        },
        actions={
            name: _action(types, given, above(name, groups))
            for name, given in spaces.get("actions", {}).items()
        },
    )


def _action(types: _Types, given: Mapping[str, Any], groups: frozenset[str]) -> ActionType:
    applies = given.get("appliesTo")
    if not applies:
        return ActionType(groups)
    return ActionType(
        groups,
        tuple(applies["principalTypes"]),
        tuple(applies["resourceTypes"]),
        types.record(applies.get("context", {"type": "Record", "attributes": {}})),
    )


def above(one: T, direct: Mapping[T, list[T]]) -> frozenset[T]:
    """Everything over one thing, by the things directly over each."""
    found: set[T] = set()
    todo = [one]
    while todo:
        for parent in direct.get(todo.pop(), ()):
            if parent not in found:
                found.add(parent)
                todo.append(parent)
    return frozenset(found)


@dataclass(frozen=True)
class _Types:
    common: Mapping[str, Any]
    entities: frozenset[str]

    def record(self, given: Mapping[str, Any]) -> RecordOf:
        found = self.read(given)
        if not isinstance(found, RecordOf):
            raise NotUnderstood(f"`{given}` is not a record")
        return found

    def read(self, given: Mapping[str, Any]) -> Type:
        match given["type"]:
            case "Boolean" | "Bool":
                return Bool()
            case "Long":
                return Long()
            case "String":
                return Text()
            case "Set":
                return SetOf(self.read(given["element"]))
            case "Record":
                return RecordOf(
                    {
                        name: Attribute(self.read(each), each.get("required", True))
                        for name, each in given["attributes"].items()
                    }
                )
            case "Extension":
                return Extension(given["name"])
            case "Entity" | "EntityOrCommon":
                return self._named(given["name"])
            case name:
                return self._named(name)

    def _named(self, name: str) -> Type:
        if name in self.common:
            return self.read(self.common[name])
        if name in self.entities:
            return EntityOf(name)
        if name in ("decimal", "ipaddr", "datetime", "duration"):
            return Extension(name)
        if name in ("Bool", "Boolean", "Long", "String"):
            return self.read({"type": name})
        raise NotUnderstood(f"the type `{name}`")
