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

Request: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]

WORDS_MOST = 60
"""How many letters of a value are shown in a counterexample's words."""


@dataclass(frozen=True)
class Stated:
    """A premise, and its expression as the condition of a policy."""

    premise: Premise
    policy: Policy


@dataclass(frozen=True)
class Confirmation:
    """Asks the engine about requests that seem to break one invariant of a bundle."""

    bundle: Bundle
    invariant: Policy
    premises: tuple[Stated, ...]

    def confirmed(self, request: Request, named: frozenset[str]) -> Counterexample | None:
        """The counterexample, when the engine allows the request, the invariant forbids it
        and every premise holds for it. `named` are permits already blamed: one of the
        determining permits is none of them."""
        culprits = self._culprits(request)
        if not culprits - named:
            return None
        request, culprits = self._plainest(request, culprits, named)
        blamed = tuple(self.bundle.by_id[name] for name in sorted(culprits))
        read = self.invariant.paths.union(*(policy.paths for policy in blamed))
        return Counterexample(
            invariant=self.invariant.id,
            why=self.invariant.why,
            request=request,
            entities=tuple(self._entities(request)),
            words=words(request, self.invariant, blamed),
            culprits=blamed,
            premises=tuple(s.premise for s in self.premises if s.policy.paths & read),
        )

    def _culprits(self, request: Request) -> frozenset[str]:
        """The permits that allow a request which breaks the invariant; none when the engine
        does not agree that it is one."""
        handle = self._handle(request)
        kind, verb, place = (request[part] for part in ("principal", "action", "resource"))
        chosen = self.bundle.slice(kind["type"], verb["id"], place["id"]).policies
        reasons = self._allowed_by(request, chosen, handle)
        if not reasons or not self._allowed_by(request, self._whole, handle):
            return frozenset()
        against = cedarpy.is_authorized(dict(request), self._forbids, handle, self.bundle.schema)
        matched, erring = set(against.diagnostics.reasons), against.diagnostics.errors
        wanted = {stated.policy.id for stated in self.premises}
        if not wanted <= matched:
            return frozenset()
        return reasons if self.invariant.id in matched or erring else frozenset()

    def _allowed_by(
        self, request: Request, policies: cedarpy.PolicySet, handle: cedarpy.Entities
    ) -> frozenset[str]:
        result = cedarpy.is_authorized(dict(request), policies, handle, self.bundle.schema)
        if result.decision is not cedarpy.Decision.Allow or result.diagnostics.errors:
            return frozenset()
        return frozenset(result.diagnostics.reasons)

    @cached_property
    def _whole(self) -> cedarpy.PolicySet:
        return _policy_set({policy.id: policy.est for policy in self.bundle.policies})

    @cached_property
    def _forbids(self) -> cedarpy.PolicySet:
        # A premise is the condition of a `forbid` of its own: it holds where that matches. One
        # that errs does not match, so that no error here but the invariant's counts.
        stated = {each.policy.id: each.policy.est for each in self.premises}
        return _policy_set({**stated, self.invariant.id: self.invariant.est})

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
        for plainer in _plainer(request, self.bundle.schema_text):
            changed = plainer(request)
            if changed is None:
                continue
            found = self._culprits(changed)
            if found <= culprits and found - named:
                request, culprits = changed, found
        return request, culprits


def _policy_set(static: Mapping[str, object]) -> cedarpy.PolicySet:
    text = json.dumps({"staticPolicies": static, "templates": {}, "templateLinks": []})
    return cedarpy.PolicySet.from_json_str(text)


def _plainer(request: Request, schema_text: str) -> Iterator[Callable[[Request], Request | None]]:
    """Each way to make one part of a request plainer, the plainest of a part last."""
    kind = request["principal"]["type"]
    yield _changed(("principal", "id"), f"any-{kind.lower()}")
    yield _changed(("resource", "id"), "production")
    verb = request["action"]["id"]
    context = read_schema(schema_text).actions[verb].context
    yield from _plainer_record(("context",), context)


def _plainer_record(path: Path, kind: RecordOf) -> Iterator[Callable[[Request], Request | None]]:
    for name, each in kind.attributes.items():
        at = (*path, name)
        match each.type:
            case Bool():
                yield _changed(at, False)
            case Long():
                yield from (_changed(at, number) for number in (3, 2, 1, 0))
            case Text():
                yield _changed(at, "")
            case SetOf():
                yield _changed(at, [])
            case RecordOf() as inner:
                yield from _plainer_record(at, inner)
        if not each.required:
            yield _changed(at, None)


def _changed(path: Path, value: object) -> Callable[[Request], Request | None]:
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


def words(request: Request, invariant: Policy, culprits: Sequence[Policy]) -> str:
    """What the request is, who lets it through and what it breaks, as one paragraph."""
    who, verb, place = (request[part] for part in ("principal", "action", "resource"))
    context = request["context"]
    read = invariant.paths.union(*(policy.paths for policy in culprits))
    seen = ", ".join(_said(path, context) for path in sorted(read) if path not in _TOLD)
    given = f" ({seen})" if seen else ""
    allowed = " and ".join(f"`{p.id}` ({p.file} line {p.line})" for p in culprits)
    return (
        f"{who['type'].lower()} `{who['id']}` may {_DONE.get(verb['id'], verb['id'])} in "
        f"`{place['id']}` {_signed(context)}{given}: allowed by {allowed}; "
        f"against `{invariant.id}`: {invariant.why}"
    )


_TOLD = frozenset({"approvals", "operatorSigned", "", "target"})
_DONE = {
    "disarm": "remove a safeguard",
    "permit": "widen rights",
    "execute": "run code",
    "disclose": "give out a secret",
    "unknown": "do what is not understood",
}


def _signed(context: Request) -> str:
    """How many have signed, in words."""
    count = context["approvals"]
    others = {0: "without a sign-off", 1: "with 1 sign-off"}.get(count, f"with {count} sign-offs")
    if not context["operatorSigned"]:
        return others
    own = "with the operator's own sign-off"
    return own if count == 0 else f"{own} and {others.removeprefix('with ')}"


def _said(path: str, context: Request) -> str:
    value: Any = context
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return f"no `{path}`"
        value = value[name]
    text = json.dumps(value, ensure_ascii=False)
    return f"`{path}` {text if len(text) <= WORDS_MOST else text[:WORDS_MOST] + '...'}"
