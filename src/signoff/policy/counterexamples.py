"""A counterexample is believed only when the engine agrees, and shown at its plainest.

The solver's request is asked again: of the policies the judge would choose for it, of all of
them, of the invariant and of each premise. Then whatever does not matter in it is made plain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import cedarpy

from signoff.policy.bundle import Bundle, agent_entity
from signoff.policy.proofs import Counterexample, Premise
from signoff.policy.statements import Policy
from signoff.policy.symbolic.schema import Bool, Long, RecordOf, SetOf, Text, read_schema
from signoff.policy.words import sentence

Request: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]
Plainer: TypeAlias = Callable[[Request], Request | None]


@dataclass(frozen=True)
class Stated:
    """A premise, and its expression as the condition of a policy."""

    premise: Premise
    policy: Policy


@dataclass(frozen=True)
class Confirmation:
    """Asks the engine about requests that seem to break one invariant of a bundle."""

    bundle: Bundle
    whole: cedarpy.PolicySet
    invariant: Policy
    premises: tuple[Stated, ...]

    def confirmed(self, request: Request, named: frozenset[str]) -> Counterexample | None:
        """The counterexample, when the engine allows the request, the invariant forbids it
        and every premise holds for it. `named` are permits already blamed: one of the
        determining permits is none of them."""
        culprits = self._culprits(request)
        if not culprits - named or not self._allowed(request):
            return None
        plain, fewer = self._plainest(request, culprits, named)
        if self._allowed(plain):
            request, culprits = plain, fewer
        blamed = tuple(self.bundle.by_id[name] for name in sorted(culprits))
        leant = tuple(self._leant_on(request, blamed))
        entities = tuple(self._entities(request))
        return Counterexample(
            invariant=self.invariant.id,
            why=self.invariant.why,
            request=request,
            entities=entities,
            words=words(request, entities, self.invariant, blamed, leant),
            culprits=blamed,
            premises=leant,
        )

    def _leant_on(self, request: Request, culprits: Sequence[Policy]) -> Iterator[Premise]:
        """The premises that keep this request as it is: they no longer hold when something
        changes that the invariant or a culprit looks at."""
        read = self.invariant.paths.union(*(policy.paths for policy in culprits)) - {""}
        handle, lost = self._handle(request), set[str]()
        wanted = {stated.policy.id for stated in self.premises}
        for path in sorted(read) if wanted else ():
            for changed in _otherwise(request, path):
                found = cedarpy.is_authorized(
                    dict(changed), self._forbids, handle, self.bundle.schema
                )
                if found.decision is not cedarpy.Decision.NoDecision:
                    lost |= wanted - set(found.diagnostics.reasons)
        yield from (stated.premise for stated in self.premises if stated.policy.id in lost)

    def _culprits(self, request: Request) -> frozenset[str]:
        """The permits that allow a request which breaks the invariant; none when the engine
        does not agree that it is one."""
        handle = self._handle(request)
        against = self._against(request, handle).diagnostics
        wanted = {stated.policy.id for stated in self.premises}
        if not wanted <= set(against.reasons):
            return frozenset()
        if self.invariant.id not in against.reasons and not against.errors:
            return frozenset()
        kind, verb, place = (request[part] for part in ("principal", "action", "resource"))
        chosen = self.bundle.slice(kind["type"], verb["id"], place["id"]).policies
        return self._allowed_by(request, chosen, handle)

    def _allowed(self, request: Request) -> bool:
        """Whether all the policies together allow a request, as those chosen for it do."""
        return bool(self._allowed_by(request, self.whole, self._handle(request)))

    def _against(self, request: Request, handle: cedarpy.Entities) -> cedarpy.AuthzResult:
        return cedarpy.is_authorized(dict(request), self._forbids, handle, self.bundle.schema)

    def _allowed_by(
        self, request: Request, policies: cedarpy.PolicySet, handle: cedarpy.Entities
    ) -> frozenset[str]:
        result = cedarpy.is_authorized(dict(request), policies, handle, self.bundle.schema)
        if result.decision is not cedarpy.Decision.Allow or result.diagnostics.errors:
            return frozenset()
        return frozenset(result.diagnostics.reasons)

    @cached_property
    def _forbids(self) -> cedarpy.PolicySet:
        # A premise is the condition of a `forbid` of its own: it holds where that matches. One
        # that errs does not match, so that no error here but the invariant's counts.
        stated = {each.policy.id: each.policy.est for each in self.premises}
        return policy_set({**stated, self.invariant.id: self.invariant.est})

    def _entities(self, request: Request) -> Iterator[Mapping[str, Any]]:
        yield from json.loads(str(self.bundle.entities))
        who = request["principal"]
        if who["type"] == "Agent" and who["id"] not in self.bundle.agents:
            yield agent_entity(who["id"])

    def _handle(self, request: Request) -> cedarpy.Entities:
        who = request["principal"]
        if who["type"] == "Agent" and who["id"] not in self.bundle.agents:
            return self.bundle.entities.with_added_json_str(json.dumps([agent_entity(who["id"])]))
        return self.bundle.entities

    def _plainest(
        self, request: Request, culprits: frozenset[str], named: frozenset[str]
    ) -> tuple[Request, frozenset[str]]:
        """The same case with empty, zero or false wherever that does not matter."""
        for ways in self._plainer(request):
            for way in ways:
                changed = way(request)
                if changed is None:
                    break
                found = self._culprits(changed)
                if found <= culprits and found - named:
                    request, culprits = changed, found
                    break
        return request, culprits

    def _plainer(self, request: Request) -> Iterator[tuple[Plainer, ...]]:
        """Each way to make one part of a request plainer, in the order to try."""
        kind = request["principal"]["type"]
        # A human whom nobody enrolled is refused, so one of those has to be named.
        if kind == "Agent" or not self.bundle.humans:
            yield (_changed(("principal", "id"), f"any-{kind.lower()}"),)
        yield (_changed(("resource", "id"), "production"),)
        schema = read_schema(self.bundle.schema_text)
        yield from _plainer_record(("context",), schema.actions[request["action"]["id"]].context)


def policy_set(static: Mapping[str, object]) -> cedarpy.PolicySet:
    """Policies, by id in Cedar's JSON form, as the engine takes them."""
    text = json.dumps({"staticPolicies": static, "templates": {}, "templateLinks": []})
    return cedarpy.PolicySet.from_json_str(text)


def _plainer_record(path: Path, kind: RecordOf) -> Iterator[tuple[Plainer, ...]]:
    for name, each in kind.attributes.items():
        at = (*path, name)
        match each.type:
            case Bool():
                yield (_changed(at, False),)
            case Long():
                yield tuple(_changed(at, number) for number in range(4))
            case Text():
                yield (_changed(at, ""),)
            case SetOf():
                yield (_changed(at, []),)
            case RecordOf() as inner:
                yield from _plainer_record(at, inner)
        if not each.required:
            yield (_changed(at, None),)


def _changed(path: Path, value: object) -> Plainer:
    """A request with one part replaced, or left out for None; None when it is so already."""

    def change(request: Request) -> Request | None:
        changed = deepcopy(dict(request))
        held: Any = changed
        for name in path[:-1]:
            held = held[name]
        if held.get(path[-1]) == value and type(held.get(path[-1])) is type(value):
            return None
        if value is None:
            del held[path[-1]]
        else:
            held[path[-1]] = value
        return changed

    return change


def words(
    request: Request,
    entities: Sequence[Mapping[str, Any]],
    invariant: Policy,
    culprits: Sequence[Policy],
    premises: Sequence[Premise],
) -> str:
    """What the request is, who lets it through and what it breaks, as one paragraph."""
    read = invariant.paths.union(*(policy.paths for policy in culprits)) - {""}
    allowed = " and ".join(f"`{p.id}` ({_place(p.file, p.line)})" for p in culprits)
    told = [p for p in premises if p.file]
    settings = "".join(f"; {p.says} ({_place(p.file, p.line)})" for p in told)
    return (
        f"{sentence(request, read, entities)}; allowed by {allowed}{settings}; "
        f"against `{invariant.id}`: {invariant.why}"
    )


def _place(file: str, line: int) -> str:
    return f"{file} line {line}" if line else file


def _otherwise(request: Request, path: str) -> Iterator[Request]:
    """The request with one part of its context changed."""
    value: Any = request["context"]
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    others: list[object] = []
    match value:
        case bool():
            others = [not value]
        case int():
            others = [number for number in (0, 1, 2, 3, value + 1) if number != value]
        case str():
            others = ["something else"]
        case list():
            others = [["something else"]] if not value else [[]]
    for other in others:
        changed = _changed(("context", *path.split(".")), other)(request)
        if changed is not None:
            yield changed
