"""From the solver's model to a request the engine can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import z3

from signoff.policy.symbolic.logic import Term, Truth
from signoff.policy.symbolic.questions import Found
from signoff.policy.symbolic.schema import Bool, EntityOf, Long, RequestEnvironment, Text
from signoff.policy.symbolic.world import Collection, Fields, Scalar, Uid, Value, World

ENTITIES_MOST = 200


@dataclass(frozen=True)
class Example:
    """One request, and the entities it speaks of, as the engine takes them."""

    request: Mapping[str, Any]
    entities: tuple[Mapping[str, Any], ...]


class Decoder:
    """Reads one model of a world."""

    def __init__(self, world: World, found: Found) -> None:
        self._world = world
        self._model = found.model
        self._texts = dict(found.texts.by_value)
        self._key = found.texts.key
        self._names: dict[tuple[str, int], str] = {}
        self._todo: list[tuple[str, Term]] = []
        self._literal_names = {
            (kind, self._key(term)): name for (kind, name), term in world.literals.items()
        }

    def example(self, environment: RequestEnvironment) -> Example:
        """The request of the model, and every entity it leads to."""
        world = self._world
        request = {
            "principal": self._uid(world.principal),
            "action": {"type": "Action", "id": environment.action},
            "resource": self._uid(world.resource),
            "context": self._plain(world.context),
        }
        return Example(request, tuple(self._entities()))

    def _value(self, term: Term) -> Term:
        return self._model.eval(term, model_completion=True)

    def _holds(self, truth: Truth) -> bool:
        return truth if isinstance(truth, bool) else z3.is_true(self._value(truth))

    def _uid(self, entity: Scalar) -> Mapping[str, str]:
        assert isinstance(entity.type, EntityOf)
        kind, key = entity.type.name, self._key(entity.term)
        if (kind, key) not in self._names:
            taken = {name for (other, _), name in self._names.items() if other == kind}
            name = self._literal_names.get((kind, key)) or _fresh(f"any-{kind.lower()}", taken)
            self._names[kind, key] = name
            self._todo.append((kind, self._value(entity.term)))
        return {"type": kind, "id": self._names[kind, key]}

    def _plain(self, value: Value) -> Any:
        match value:
            case Fields(members=members):
                return {
                    name: self._plain(each.value)
                    for name, each in members.items()
                    if each.value is not None and self._holds(each.present)
                }
            case Collection():
                return self._members(value)
            case Scalar(Bool(), truth):
                return self._holds(truth)
            case Scalar(Long(), term):
                return self._value(term).as_long()
            case Scalar(Text(), term):
                return self._text(term)
            case Scalar(EntityOf()):
                return {"__entity": self._uid(value)}
        raise TypeError(f"`{type(value).__name__}` is no part of a request")

    def _text(self, term: Term) -> str:
        key = self._key(term)
        if key not in self._texts:
            self._texts[key] = _fresh("something", set(self._texts.values()))
        return self._texts[key]

    def _members(self, held: Collection) -> list[Any]:
        """The elements the model speaks of; an endless set loses its others, and the engine
        then has the last word."""
        assert held.type.element is not None
        found, candidates = {}, list(self._candidates(held))
        for candidate in candidates:
            key = self._key(candidate)
            if key not in found and self._holds(z3.Select(held.term, candidate)):
                found[key] = self._plain(Scalar(held.type.element, candidate))
        return list(found.values())

    def _candidates(self, held: Collection) -> Iterator[Term]:
        term = self._value(held.term)
        while z3.is_app_of(term, z3.Z3_OP_STORE):
            yield term.arg(1)
            term = term.arg(0)
        if z3.is_K(term) and z3.is_false(term.arg(0)):
            return
        match held.type.element:
            case EntityOf(kind):
                yield from self._world.footprint.get(kind, {}).values()
            case Text():
                yield from self._world.literal_texts.values()

    def _entities(self) -> Iterator[Mapping[str, Any]]:
        for kind, terms in list(self._world.footprint.items()):
            for term in list(terms.values()):
                self._uid(Scalar(EntityOf(kind), term))
        done: list[tuple[str, Term, dict[str, Any]]] = []
        while self._todo and len(done) < ENTITIES_MOST:
            kind, term = self._todo.pop()
            if self._holds(self._world.exists(kind, term)):
                has = {"attrs": self._attributes(kind, term), "tags": self._tags(kind, term)}
                done.append((kind, term, has))
        for kind, term, has in done:
            yield {
                "uid": self._uid(Scalar(EntityOf(kind), term)),
                **has,
                "parents": list(self._above(kind, term)),
            }

    def _attributes(self, kind: str, term: Term) -> dict[str, Any]:
        found = {}
        for name in self._world.schema.entities[kind].attributes.attributes:
            member = self._world.attribute(kind, term, name)
            if member.value is not None and self._holds(member.present):
                found[name] = self._plain(member.value)
        return found

    def _tags(self, kind: str, term: Term) -> dict[str, Any]:
        if self._world.schema.entities[kind].tags is None:
            return {}
        found = {}
        for name in list(self._world.tag_names.values()):
            member = self._world.tag(kind, term, name)
            if member.value is not None and self._holds(member.present):
                found[self._text(name)] = self._plain(member.value)
        return found

    def _above(self, kind: str, term: Term) -> Iterator[Mapping[str, str]]:
        for other, key in list(self._names):
            if (other, key) == (kind, self._key(term)):
                continue
            ancestor = self._term(other, key)
            if ancestor is not None and self._holds(self._world.is_in(kind, term, other, ancestor)):
                yield {"type": other, "id": self._names[other, key]}

    def _term(self, kind: str, key: int) -> Term | None:
        terms = self._world.footprint.get(kind, {}).values()
        return next((term for term in terms if self._key(term) == key), None)


def uid_of(plain: Mapping[str, str]) -> Uid:
    """A uid as this package writes it."""
    return plain["type"], plain["id"]


def _fresh(name: str, taken: set[str]) -> str:
    number, found = 2, name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found
