"""Random typed policies and requests, and the prover's terms pinned to one request.

A world pinned to a request leaves nothing open: what the engine says of the decision, and of
each policy (satisfied, in error), must then follow.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import cedarpy
import z3

from signoff.policy.statements import Policy
from signoff.policy.symbolic import policies as compiling
from signoff.policy.symbolic import strings
from signoff.policy.symbolic.schema import (
    Bool,
    EntityOf,
    Long,
    Text,
    Type,
    read_schema,
)
from signoff.policy.symbolic.world import Collection, Fields, Known, Scalar, Value, World

LONG = {"type": "Long"}
TEXT = {"type": "String"}
BOOL = {"type": "Boolean"}
WORDS = {"type": "Set", "element": TEXT}
NUMBERS = {"type": "Set", "element": LONG}
ABOUT = {"type": "Record", "attributes": {"x": LONG, "note": {**TEXT, "required": False}}}
CONTEXT = {
    "n": LONG,
    "m": {**LONG, "required": False},
    "flag": BOOL,
    "hint": {**BOOL, "required": False},
    "name": TEXT,
    "words": WORDS,
    "numbers": NUMBERS,
    "about": ABOUT,
    "by": {"type": "Entity", "name": "User", "required": False},
}
APPLIES = {
    "principalTypes": ["User"],
    "resourceTypes": ["Doc"],
    "context": {"type": "Record", "attributes": CONTEXT},
}
SCHEMA = {
    "": {
        "entityTypes": {
            "User": {
                "memberOfTypes": ["Group"],
                "shape": {
                    "type": "Record",
                    "attributes": {
                        "level": LONG,
                        "nick": {**TEXT, "required": False},
                        "boss": {"type": "Entity", "name": "User", "required": False},
                    },
                },
            },
            "Group": {"memberOfTypes": ["Group"]},
            "Doc": {
                "memberOfTypes": ["Folder"],
                "shape": {
                    "type": "Record",
                    "attributes": {
                        "owner": {"type": "Entity", "name": "User"},
                        "size": LONG,
                        "open": BOOL,
                        "flags": WORDS,
                        "about": ABOUT,
                    },
                },
                "tags": TEXT,
            },
            "Folder": {"memberOfTypes": ["Folder"]},
        },
        "actions": {
            "change": {},
            "grave": {"memberOf": [{"id": "change"}]},
            "read": {"appliesTo": APPLIES},
            "write": {"memberOf": [{"id": "change"}], "appliesTo": APPLIES},
            "erase": {"memberOf": [{"id": "grave"}], "appliesTo": APPLIES},
        },
    }
}
SCHEMA_TEXT = json.dumps(SCHEMA)
ACTIONS = ("read", "write", "erase")
TEXTS = ("", "a", "b", "ab", "abc", "a*c", "ü")
LONGS = (0, 1, 2, 3, -1, 7, 2**62, 2**63 - 1, -(2**63))
NAMES: Mapping[str, tuple[str, ...]] = {
    "User": ("u0", "u1", "u2", "ghost"),
    "Group": ("g0", "g1", "g2"),
    "Doc": ("d0", "d1", "gone"),
    "Folder": ("f0", "f1"),
}
MISSING = frozenset({("User", "ghost"), ("Doc", "gone")})


@cache
def schema() -> cedarpy.Schema:
    """The engine's own."""
    return cedarpy.Schema.from_json_str(SCHEMA_TEXT)


class Author:
    """Writes random well-typed Cedar, errors and all."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def one(self, *ways: str | Callable[[], str]) -> str:
        """One of several ways to write something; only the chosen one is written."""
        way = self.dice.choice(ways)
        return way if isinstance(way, str) else way()

    def policy(self, number: int) -> str:
        """One policy with scope and up to two conditions."""
        effect = self.one("permit", "permit", "forbid")
        conditions = " ".join(
            f"{self.one('when', 'when', 'unless')} {{ {self.truth(3)} }}"
            for _ in range(self.dice.choice((0, 1, 1, 1, 2)))
        )
        scopes = f"{self._who()}, {self._what()}, {self._where()}"
        return f'@id("p{number}") {effect} ({scopes}) {conditions};'

    def _who(self) -> str:
        return self.one(
            *("principal", "principal", "principal", "principal is User"),
            lambda: f"principal == {self.entity('User')}",
            lambda: f"principal in {self.entity('Group')}",
            lambda: f"principal is User in {self.entity('Group')}",
        )

    def _what(self) -> str:
        return self.one(
            *("action", "action", 'action in Action::"change"', 'action in Action::"grave"'),
            'action == Action::"write"',
            'action in [Action::"read", Action::"grave"]',
        )

    def _where(self) -> str:
        return self.one(
            *("resource", "resource", "resource", "resource is Doc"),
            lambda: f"resource == {self.entity('Doc')}",
            lambda: f"resource in {self.entity('Folder')}",
        )

    def entity(self, kind: str) -> str:
        """A literal."""
        return f'{kind}::"{self.one(*NAMES[kind])}"'

    def user(self) -> str:
        """A user, some of which are missing."""
        others = ("principal", "resource.owner", "principal.boss", "context.by")
        return self.one(*others, lambda: self.entity("User"))

    def long(self, depth: int) -> str:
        """A number, overflowing now and then."""
        if depth <= 0 or self.dice.random() < 0.4:
            return self.one(
                *("context.n", "context.m", "principal.level", "resource.size"),
                *("context.about.x", "resource.about.x", lambda: f"{self.user()}.level"),
                *(str(self.dice.choice(LONGS)) for _ in range(3)),
            )
        left, right = self.long(depth - 1), self.long(depth - 1)
        match self.dice.randrange(5):
            case 0:
                return f"(if {self.truth(depth - 1)} then {left} else {right})"
            case 1:
                return f"(-({left}))"
        return f"({left} {self.one('+', '-', '*')} {right})"

    def text(self, depth: int) -> str:
        """A string."""
        if depth > 0 and self.dice.random() < 0.15:
            condition = self.truth(depth - 1)
            return f"(if {condition} then {self.text(depth - 1)} else {self.text(depth - 1)})"
        return self.one(
            *("context.name", "context.name", "principal.nick", "context.about.note"),
            *(lambda: f'resource.getTag("{self.one(*TEXTS[:3])}")', self._quoted),
            "resource.getTag(context.name)",
        )

    def _quoted(self) -> str:
        return f'"{self.one(*TEXTS)}"'

    def _written(self, kind: Callable[[], str]) -> str:
        return "[" + ", ".join(kind() for _ in range(self.dice.choice((1, 1, 2, 3)))) + "]"

    def words(self) -> str:
        """A set of strings."""
        written = partial(self._written, lambda: self.text(0))
        return self.one("context.words", "resource.flags", written)

    def numbers(self) -> str:
        """A set of numbers."""
        return self.one("context.numbers", partial(self._written, lambda: self.long(0)))

    def about(self) -> str:
        """A record."""
        return self.one(
            *("context.about", "resource.about"),
            lambda: f'{{"x": {self.long(0)}, "note": {self.text(0)}}}',
            lambda: f'{{"x": {self.long(0)}}}',
        )

    def _pattern(self) -> str:
        return "".join(self.one("a", "b", "*", "*", r"\*") for _ in range(3))

    def truth(self, depth: int) -> str:
        """A condition."""
        if depth > 0 and self.dice.random() < 0.55:
            left, right = self.truth(depth - 1), self.truth(depth - 1)
            match self.dice.randrange(6):
                case 0 | 1:
                    return f"({left} && {right})"
                case 2 | 3:
                    return f"({left} || {right})"
                case 4:
                    return f"(!({left}))"
            return f"(if {self.truth(depth - 1)} then {left} else {right})"
        deeper = depth - 1
        return self.one(
            *(lambda: self._compared(deeper), lambda: self._compared(deeper)),
            *(lambda: self._equal(deeper), lambda: self._equal(deeper)),
            *(self._belongs, self._there, lambda: self._held(deeper), lambda: self._held(deeper)),
            lambda: f'{self.text(deeper)} like "{self._pattern()}"',
            lambda: self.one("context.flag", "context.hint", "resource.open", "true", "false"),
        )

    def _compared(self, depth: int) -> str:
        operator = self.one("<", "<=", ">", ">=")
        return f"({self.long(depth)} {operator} {self.long(depth)})"

    def _equal(self, depth: int) -> str:
        operator = self.one("==", "!=")
        kind = self.dice.choice(
            (
                *(lambda: self.long(depth), lambda: self.text(depth), self.user),
                *(self.words, self.numbers, self.about),
                lambda: self.one("context.flag", "context.hint", "resource.open"),
                lambda: self.one("action", 'Action::"write"'),
            )
        )
        return f"({kind()} {operator} {kind()})"

    def _belongs(self) -> str:
        return self.one(
            lambda: f"{self.user()} in {self.entity('Group')}",
            lambda: f"{self.user()} in {self._written(lambda: self.entity('Group'))}",
            lambda: f"{self.user()} in {self.user()}",
            lambda: f"{self.entity('Group')} in {self.entity('Group')}",
            lambda: f"resource in {self.entity('Folder')}",
            lambda: f"{self.user()} is User in {self.entity('Group')}",
            lambda: f"{self.user()} is Group",
            'action in Action::"change"',
            'action in [Action::"grave", Action::"read"]',
        )

    def _there(self) -> str:
        return self.one(
            *("context has m", "context has hint", "context has by", "context has nothing"),
            *("principal has nick", "principal has level", "resource has size"),
            *("context.about has note", "resource.about has note", "context.about has x"),
            lambda: f"{self.user()} has boss",
            lambda: f'resource.hasTag("{self.one(*TEXTS[:3])}")',
            "resource.hasTag(context.name)",
        )

    def _held(self, depth: int) -> str:
        many = self.one("containsAll", "containsAny")
        return self.one(
            lambda: f"{self.words()}.contains({self.text(depth)})",
            lambda: f"{self.words()}.{many}({self.words()})",
            lambda: f"{self.numbers()}.contains({self.long(depth)})",
            lambda: f"{self.numbers()}.{many}({self.numbers()})",
            lambda: f"{self.words()}.isEmpty()",
        )


def store(dice: random.Random) -> list[dict[str, Any]]:
    """Entities: some missing, in a random hierarchy, with and without what is optional."""
    rows = []
    for kind, names in NAMES.items():
        for at, name in enumerate(names):
            if (kind, name) in MISSING:
                continue
            row: dict[str, Any] = {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": []}
            row["attrs"] = _attributes(kind, dice)
            if kind == "Doc" and dice.random() < 0.7:
                row["tags"] = {t: dice.choice(TEXTS) for t in dice.sample(TEXTS[:3], 2)}
            above = {"User": "Group", "Group": "Group", "Doc": "Folder", "Folder": "Folder"}[kind]
            higher = NAMES[above][at + 1 :] if above == kind else NAMES[above]
            chosen = [each for each in higher if dice.random() < 0.4]
            row["parents"] = [{"type": above, "id": each} for each in chosen]
            rows.append(row)
    return rows


def _attributes(kind: str, dice: random.Random) -> dict[str, Any]:
    if kind == "User":
        found: dict[str, Any] = {"level": dice.choice(LONGS)}
        if dice.random() < 0.5:
            found["nick"] = dice.choice(TEXTS)
        if dice.random() < 0.5:
            found["boss"] = {"__entity": {"type": "User", "id": dice.choice(NAMES["User"])}}
        return found
    if kind == "Doc":
        return {
            "owner": {"__entity": {"type": "User", "id": dice.choice(NAMES["User"])}},
            "size": dice.choice(LONGS),
            "open": dice.random() < 0.5,
            "flags": dice.sample(TEXTS, dice.randrange(3)),
            "about": _about(dice),
        }
    return {}


def _about(dice: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"x": dice.choice(LONGS)}
    if dice.random() < 0.5:
        found["note"] = dice.choice(TEXTS)
    return found


def request(dice: random.Random) -> dict[str, Any]:
    """A random request; optional attributes come and go, entities may be missing."""
    context: dict[str, Any] = {
        "n": dice.choice(LONGS),
        "flag": dice.random() < 0.5,
        "name": dice.choice(TEXTS),
        "words": dice.sample(TEXTS, dice.randrange(4)),
        "numbers": dice.sample(LONGS, dice.randrange(3)),
        "about": _about(dice),
    }
    if dice.random() < 0.5:
        context["m"] = dice.choice(LONGS)
    if dice.random() < 0.5:
        context["hint"] = dice.random() < 0.5
    if dice.random() < 0.5:
        context["by"] = {"__entity": {"type": "User", "id": dice.choice(NAMES["User"])}}
    return {
        "principal": {"type": "User", "id": dice.choice(NAMES["User"])},
        "action": {"type": "Action", "id": dice.choice(ACTIONS)},
        "resource": {"type": "Doc", "id": dice.choice(NAMES["Doc"])},
        "context": context,
    }


def parsed(text: str) -> list[Policy]:
    """Policies without the strict validation a bundle insists on: what errs is wanted."""
    static = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    found = []
    for name, est in static.items():
        called = est.get("annotations", {}).get("id", name)
        found.append(Policy(called, "why", "random.cedar", 1, est))
    return found


@dataclass(frozen=True)
class Said:
    """What was said of one request: by the engine, or to be shown of the terms."""

    allowed: bool
    satisfied: frozenset[str]
    erring: frozenset[str]


class Engine:
    """The engine's own word on each policy, asked one by one and together."""

    def __init__(self, policies: Iterable[Policy], entities: cedarpy.Entities, own: Any) -> None:
        found = list(policies)
        self._entities, self._schema = entities, own
        self._whole = _set({p.id: p.est for p in found})
        self._single = {p.id: _set({p.id: p.est}) for p in found}

    def says(self, asked: dict[str, Any]) -> Said:
        """What the engine says of a request."""
        whole = self._ask(asked, self._whole)
        satisfied, erring = set(), set()
        for name, single in self._single.items():
            result = self._ask(asked, single)
            assert result.decision is not cedarpy.Decision.NoDecision, result.diagnostics.errors
            satisfied |= set(result.diagnostics.reasons)
            if result.diagnostics.errors:
                erring.add(name)
        clean = whole.decision is cedarpy.Decision.Allow and not whole.diagnostics.errors
        return Said(clean, frozenset(satisfied), frozenset(erring))

    def _ask(self, asked: dict[str, Any], policies: cedarpy.PolicySet) -> cedarpy.AuthzResult:
        return cedarpy.is_authorized(asked, policies, self._entities, self._schema)


def _set(static: Mapping[str, object]) -> cedarpy.PolicySet:
    text = json.dumps({"staticPolicies": static, "templates": {}, "templateLinks": []})
    return cedarpy.PolicySet.from_json_str(text)


class Pinned:
    """Compiled policies, and a solver that is told one request at a time."""

    def __init__(
        self,
        policies: Iterable[Policy],
        schema_text: str = SCHEMA_TEXT,
        kinds: tuple[str, str] = ("User", "Doc"),
        known: Known | None = None,
        rows: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.policies = list(policies)
        types = read_schema(schema_text)
        action = next(name for name, each in types.actions.items() if each.principals)
        self.world = World(types, *kinds, types.actions[action].context, known)
        self.compiler = compiling.Compiler(self.world)
        self.compiled = {
            name: [self.compiler.policy(p, name) for p in self.policies]
            for name, each in types.actions.items()
            if each.principals
        }
        self._rows = list(rows)
        self._solver = z3.Solver(ctx=self.world.logic.context)
        if known is None:
            self._pin_entities()
        self._pin_words()

    def agrees(self, asked: Mapping[str, Any], said: Said) -> bool:
        """Whether what the engine said of a request follows from the terms."""
        logic, compiled = self.world.logic, self.compiled[asked["action"]["id"]]
        told = [
            logic.same(compiling.allowed(logic, compiled), said.allowed),
            *(logic.same(each.satisfied, each.policy.id in said.satisfied) for each in compiled),
            *(logic.same(each.errs, each.policy.id in said.erring) for each in compiled),
        ]
        pins = [logic.term(pin) for pin in self._request(asked)]
        # What is true of texts the request brought stays true for the next one.
        self._pin_words()
        self._solver.push()
        try:
            self._solver.add(*pins)
            assert self._solver.check() == z3.sat, "the request itself is impossible"
            self._solver.add(logic.term(logic.no(logic.all(*told))))
            return self._solver.check() == z3.unsat
        finally:
            self._solver.pop()

    def possible(self, asked: Mapping[str, Any], said: Said) -> bool:
        """Whether what the engine said of a request is among what the terms allow."""
        logic, compiled = self.world.logic, self.compiled[asked["action"]["id"]]
        pins = [logic.term(pin) for pin in self._request(asked)]
        # What is true of texts the request brought stays true for the next one.
        self._pin_words()
        self._solver.push()
        try:
            self._solver.add(*pins)
            for each in compiled:
                name = each.policy.id
                self._solver.add(logic.term(logic.same(each.satisfied, name in said.satisfied)))
                self._solver.add(logic.term(logic.same(each.errs, name in said.erring)))
            return self._solver.check() == z3.sat
        finally:
            self._solver.pop()

    def _request(self, asked: Mapping[str, Any]) -> Iterator[Any]:
        for part in (self.world.principal, self.world.resource):
            uid = asked["principal" if part is self.world.principal else "resource"]
            yield part.term == self.world.literal(uid["type"], uid["id"])
        yield from self._pin(self.world.context, asked["context"])

    def _pin(self, value: Value, plain: Any) -> Iterator[Any]:
        logic = self.world.logic
        match value:
            case Fields(members=members):
                for name, each in members.items():
                    yield logic.same(each.present, name in plain)
                    if name in plain and each.value is not None:
                        yield from self._pin(each.value, plain[name])
            case Collection(kind, term):
                found = logic.empty(term.sort().domain())
                for each in plain:
                    found = z3.Store(found, self._concrete(kind.element, each), True)
                yield term == found
            case Scalar(Bool(), term):
                yield logic.same(term, plain)
            case Scalar(kind, term):
                yield term == self._concrete(kind, plain)

    def _concrete(self, kind: Type | None, plain: Any) -> Any:
        match kind:
            case Long():
                return self.world.logic.long(plain)
            case Text():
                return self.world.text(plain)
            case EntityOf():
                return self.world.literal(plain["__entity"]["type"], plain["__entity"]["id"])
        raise TypeError(f"{kind} is not pinned")

    def _pin_entities(self) -> None:
        logic, world = self.world.logic, self.world
        rows = {(r["uid"]["type"], r["uid"]["id"]): r for r in self._rows}
        above = {uid: _closure(uid, rows) for uid in [(k, n) for k in NAMES for n in NAMES[k]]}
        for uid, ups in above.items():
            kind, term = uid[0], world.literal(*uid)
            row = rows.get(uid)
            self._solver.add(logic.term(logic.same(world.exists(kind, term), row is not None)))
            for other in above:
                if other[0] in world.schema.entities[kind].above:
                    inside = world._below(kind, term, other[0], world.literal(*other))
                    self._solver.add(logic.term(logic.same(inside, other in ups)))
            if row is not None:
                self._pin_attributes(uid, row)

    def _pin_attributes(self, uid: tuple[str, str], row: Mapping[str, Any]) -> None:
        logic, world = self.world.logic, self.world
        kind, term = uid[0], world.literal(*uid)
        for name in world.schema.entities[kind].attributes.attributes:
            member = world.attribute(kind, term, name)
            pins = [logic.same(member.present, name in row["attrs"])]
            if name in row["attrs"] and member.value is not None:
                pins += self._pin(member.value, row["attrs"][name])
            self._solver.add(*map(logic.term, pins))
        if world.schema.entities[kind].tags is None:
            return
        for text in TEXTS:
            tag = world.tag(kind, term, world.text(text))
            there = text in row.get("tags", {})
            pins = [logic.same(tag.present, there)]
            if there and tag.value is not None:
                pins += self._pin(tag.value, row["tags"][text])
            self._solver.add(*map(logic.term, pins))

    def _pin_words(self) -> None:
        world = self.world
        self._solver.add(*map(world.logic.term, world.facts()))
        for pattern in {pattern for pattern, _, _ in world.patterns.values()}:
            for text, term in world.literal_texts.items():
                holds = world.likeness(pattern)(term)
                self._solver.add(
                    world.logic.term(world.logic.same(holds, strings.matches(text, pattern)))
                )


def _closure(uid: tuple[str, str], rows: Mapping[tuple[str, str], Any]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    todo = [uid]
    while todo:
        for parent in rows.get(todo.pop(), {"parents": ()})["parents"]:
            up = (parent["type"], parent["id"])
            if up not in found:
                found.add(up)
                todo.append(up)
    return found


@dataclass(frozen=True)
class Disagreement:
    """A request of which the terms do not say what the engine says."""

    policies: str
    request: Mapping[str, Any]
    said: Said


def compare(
    text: str, rows: list[dict[str, Any]], asked: Iterable[dict[str, Any]]
) -> Iterator[Disagreement]:
    """The disagreements over some requests to some policies."""
    policies = parsed(text)
    entities = cedarpy.Entities.from_json_str(json.dumps(rows), schema=SCHEMA_TEXT)
    engine, terms = Engine(policies, entities, schema()), Pinned(policies, rows=rows)
    for each in asked:
        said = engine.says(each)
        if not terms.agrees(each, said):
            yield Disagreement(text, each, said)


def random_case(seed: int, requests: int) -> Iterator[Disagreement]:
    """The disagreements of one random set of policies."""
    dice = random.Random(seed)
    author = Author(dice)
    text = "\n".join(author.policy(n) for n in range(dice.randint(1, 6)))
    yield from compare(text, store(dice), [request(dice) for _ in range(requests)])
