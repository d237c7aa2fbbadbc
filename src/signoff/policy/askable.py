"""Every request Signoff itself can make, before one bundle or two: for comparing and linting.

The solver chooses a request and who signs it; what the settings make of both (how many
count, in which teams, which quorum is asked, where the environment lies) follows from each
bundle. What the solver finds is put together again the way a gate does it, so that the
judge of the daemon has the last word on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise, zip_longest
from typing import Any

import cedarpy
import z3

from signoff.config.values import Config
from signoff.model.action import Action, Principal
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.bundle import Bundle, agent_entity
from signoff.policy.premises import premises
from signoff.policy.request import (
    LONG_MOST,
    base_context,
    effect_context,
    signers_context,
)
from signoff.policy.spelling import SURFACES, named_people, signers_asked
from signoff.policy.statements import Policy, Source, policies
from signoff.policy.symbolic.decoding import Decoder
from signoff.policy.symbolic.logic import Truth
from signoff.policy.symbolic.policies import Compiled, Compiler
from signoff.policy.symbolic.questions import Found, Questions, Unsure
from signoff.policy.symbolic.schema import (
    EntityOf,
    Long,
    RequestEnvironment,
    SetOf,
    Text,
    read_schema,
)
from signoff.policy.symbolic.world import Collection, Fields, Known, Member, Scalar, World

PEOPLE_MOST = 16
"""How many people who could sign are looked at, of each set of teams as many as of any other;
each is a truth value to the solver."""

INVENTED = 3
"""How many people are invented at least where no settings name any."""

KINDS = ("Agent", "Human")
OF_A_SIDE = (
    "approvals",
    "approvers",
    "approverTeams",
    "operatorSigned",
    "callsMost",
    "changesMost",
    "quorum",
    "quorumGroups",
    "grantNeeded",
)
"""What of a context follows from a bundle's settings."""

_ONLY_REAL = (
    "context.callsLastMinute >= 0 && context.changesLastMinute >= 0 && context.repeats >= 0 && "
    "context.captureLeftBytes >= 0 && (context.undo || !context.overwritesNewer) && "
    "(principal is Human || (!context.undo && !context.requesterVerified))"
)
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000


@dataclass(frozen=True)
class Candidate:
    """A bundle, and the settings it was made of (None: nobody knows them)."""

    bundle: Bundle
    config: Config | None = None

    @property
    def disposable(self) -> frozenset[str] | None:
        """The environments its owners marked disposable."""
        return None if self.config is None else self.config.disposable

    @property
    def expressions(self) -> list[str]:
        """What is true of every request to it, in Cedar, but for who can sign: that is said
        exactly, name by name."""
        anybody = replace(self.bundle, humans={})
        return [premise.expression for premise in premises(anybody, self.config)]


@dataclass(frozen=True)
class Request:
    """One request as a gate would bring it before the judge, and who signed it."""

    principal: Principal
    understanding: Understanding
    facts: Facts
    signers: frozenset[str]

    @property
    def effect(self) -> Effect:
        """What it would do."""
        return self.understanding.effects[0]

    def facts_for(self, side: Side, *, signed: bool) -> Facts:
        """The facts one bundle judges it by, with or without the sign-offs."""
        people = frozenset(side.people)
        approvers = self.signers & people if signed else frozenset[str]()
        disposable = self.facts.disposable
        if side.disposable is not None:
            disposable = side.disposable
        return replace(
            self.facts, approvers=approvers, eligible=people - approvers, disposable=disposable
        )

    def as_data(self, side: Side) -> Mapping[str, Any]:
        """The request as one bundle's engine is asked it (as cedarpy takes it)."""
        effect, facts = self.effect, self.facts_for(side, signed=True)
        bundle, who = side.bundle, self.principal
        within = bundle.within(effect.resource.environment)
        own_signature = bundle.profile == "solo" and who.operator in facts.approvers
        context = {
            **base_context(who, self.understanding.action, facts, bundle.limits),
            **effect_context(effect, self.understanding, facts, within, bundle.limits, who.agent),
            **signers_context(facts.approvers - {who.operator}, bundle.humans, own_signature),
        }
        kind = "Agent" if who.is_agent else "Human"
        return {
            "principal": {"type": kind, "id": who.agent or who.operator},
            "action": {"type": "Action", "id": effect.verb.value},
            "resource": {"type": "Environment", "id": within[0]},
            "context": context,
        }


@dataclass(frozen=True, eq=False)
class Side:
    """One of the bundles: who could sign under it, and its policies in the world."""

    bundle: Bundle
    people: Mapping[str, tuple[str, ...]]
    disposable: frozenset[str] | None
    context: Fields
    resource: Scalar
    compiler: Compiler
    premises: tuple[Policy, ...]

    def chosen(
        self, kind: str, place: str, among: Iterable[Policy] | None = None
    ) -> Iterator[Policy]:
        """The policies (all, or `among` these) whose scope can match there."""
        within = self.bundle.within(place)
        policies = self.bundle.policies if among is None else among
        return (p for p in policies if _may_speak(p, kind, within))

    def heard(self, request: Request) -> Heard:
        """What the engine itself says to a request with its sign-offs, all policies asked."""
        entities, bundle = self.bundle.entities, self.bundle
        if request.principal.is_agent and request.principal.agent not in bundle.agents:
            row = json.dumps([agent_entity(request.principal.agent)])
            entities = entities.with_added_json_str(row)
        data = request.as_data(self)
        names = (data[part] for part in ("principal", "action", "resource"))
        kind, verb, place = (str(each["type" if n == 0 else "id"]) for n, each in enumerate(names))
        chosen = bundle.slice(kind, verb, place).policies
        said = cedarpy.is_authorized(dict(data), chosen, entities, bundle.schema)
        erred = bool(said.diagnostics.errors)
        allowed = said.decision is cedarpy.Decision.Allow and not erred
        return Heard(allowed, frozenset(said.diagnostics.reasons), erred, data)


@dataclass(frozen=True)
class Heard:
    """The engine's word on one request: allowed, by which policies, and whether any erred."""

    allowed: bool
    reasons: frozenset[str]
    erred: bool
    data: Mapping[str, Any]


class Asked:
    """All requests of one kind of principal, before one bundle or two at once."""

    def __init__(self, kind: str, candidates: Sequence[Candidate]) -> None:
        bundles = [each.bundle for each in candidates]
        schema = read_schema(bundles[0].schema_text)
        actions = schema.actions
        self.kind = kind
        self.verbs = tuple(name for name, each in actions.items() if kind in each.principals)
        shape = actions[self.verbs[0]].context
        self.world = World(schema, kind, "Environment", shape, Known(exist=True))
        self.questions = Questions(self.world)
        self._signed: dict[str, Truth] = {}
        self._agents: set[str] = set()
        self._compiled: dict[tuple[int, str, str], list[Compiled]] = {}
        self._allowed: dict[tuple[int, tuple[str, ...], str], Truth] = {}
        crowd = [people_of(bundle, bundles) for bundle in bundles]
        self.same = _same_settings(candidates, crowd)
        marked = all(each.disposable is not None for each in candidates)
        self._apart = (*OF_A_SIDE, *(("disposable",) if marked else ()))
        self.sides = tuple(
            self._side(n, each, crowd[n], self.same) for n, each in enumerate(candidates)
        )
        self._real(candidates[0].bundle)

    # --- the sides ---------------------------------------------------------------

    def _side(
        self, number: int, given: Candidate, people: Mapping[str, tuple[str, ...]], same: bool
    ) -> Side:
        bundle = replace(given.bundle, humans=people)
        world, name = self.world, "" if same else f"{number}:"
        world.known = self._known(bundle)
        assert isinstance(world.context, Fields)
        members = dict(world.context.members)
        if not same or not number:
            for each in self._apart:
                if each in members:
                    kind = world.context.type.attributes[each].type
                    own = world.value(kind, world.logic.constant, f"{name}{each}")
                    members[each] = Member(True, own)
            members.update(self._signatures(bundle, people))
        context = Fields(world.context.type, members)
        place = world.logic.constant(f"{name}place", world.sort(EntityOf("Environment")))
        resource = Scalar(EntityOf("Environment"), place)
        world.context, world.resource = context, resource
        compiler = Compiler(world)
        return Side(
            bundle=bundle,
            people=people,
            disposable=given.disposable if "disposable" in self._apart else None,
            context=context,
            resource=resource,
            compiler=compiler,
            premises=_stated(bundle, [*given.expressions, _ONLY_REAL]),
        )

    def _known(self, bundle: Bundle) -> Known:
        places = {
            ("Environment", name): frozenset(("Environment", up) for up in bundle.within(name)[1:])
            for name in bundle.environments
        }
        teams = {
            ("Human", name): frozenset(("Team", team) for team in groups)
            for name, groups in bundle.humans.items()
        }
        closed = {"Environment", "Human"}
        if not bundle.agents:
            # An agent that no bundle names is in no team.
            closed.add("Agent")
        return Known({**places, **teams}, frozenset(closed), exist=True)

    def _signatures(
        self, bundle: Bundle, people: Mapping[str, tuple[str, ...]]
    ) -> Mapping[str, Member]:
        """How many count, who they are and in which teams: all of it follows from who signs."""
        world, logic = self.world, self.world.logic
        term = logic.term
        count = logic.long(0)
        names, teams = logic.empty(world.texts), logic.empty(world.texts)
        for name in people:
            signed = self.signed(name)
            count = count + z3.If(signed, logic.long(1), logic.long(0))
            names = z3.Store(names, world.text(name), signed)
        for team in sorted({team for groups in people.values() for team in groups}):
            there = logic.any(*(self.signed(n) for n, groups in people.items() if team in groups))
            teams = z3.Store(teams, world.text(team), term(there))
        texts = SetOf(Text())
        own: Truth = self.signed("") if bundle.profile == "solo" else False
        assert isinstance(world.context, Fields)
        flag = world.context.type.attributes["operatorSigned"].type
        return {
            "approvals": Member(True, Scalar(Long(), count)),
            "approvers": Member(True, Collection(texts, names)),
            "approverTeams": Member(True, Collection(texts, teams)),
            "operatorSigned": Member(True, Scalar(flag, own)),
        }

    def signed(self, name: str) -> Truth:
        """Whether this person signed; the empty name is the operator (solo)."""
        if name not in self._signed:
            self._signed[name] = self.world.logic.constant(f"signs {name}", self.world.logic.bools)
        return self._signed[name]

    def _real(self, bundle: Bundle) -> None:
        """Nobody signs for themselves; kinds and lowered boundaries are those there are."""
        world, logic = self.world, self.world.logic
        operator, requester = self.text("operator"), self.text("requester")
        for name in self._signed:
            if not name:
                continue
            others = [operator != world.text(name), requester != world.text(name)]
            if self.kind == "Human":
                others.append(world.principal.term != world.literal("Human", name))
            self.questions.given(logic.implies(self.signed(name), logic.all(*others)))
        self._askers(operator, requester)
        closed = ((("target", "kind"), [kind.value for kind in Kind]), (("surface",), SURFACES))
        for path, names in closed:
            term = self.text(*path)
            self.questions.given(logic.any(*(term == world.text(name) for name in names)))
        for path in (("name",), ("operator",), ("target", "uid"), ("target", "type")):
            self.questions.given(self.text(*path) != world.text(""))
        empty = self.text("run") == world.text("")
        self.questions.given(empty if self.kind == "Human" else logic.no(empty))
        lowered = self._member("lowered")
        for name in bundle.boundaries:
            if all(not side.bundle.boundaries.get(name) for side in self.sides):
                self.questions.given(logic.no(z3.Select(lowered, world.text(name))))

    def _in_order(self) -> set[str]:
        """Of people whom nothing tells apart the first sign first, and only the last one asks:
        whoever it is, it could be them. Returns those who may ask."""
        logic, askers = self.world.logic, set[str]()
        texts = frozenset(t for s in self.sides for p in s.bundle.policies for t in _texts(p.est))
        alike: dict[tuple[object, ...], list[str]] = {}
        for name in sorted({name for side in self.sides for name in side.people}):
            teams = tuple(side.people.get(name) for side in self.sides)
            alike.setdefault((teams, name if name in texts else ""), []).append(name)
        for names in alike.values():
            askers.add(names[-1])
            for first, second in pairwise(names):
                ordered = logic.implies(self.signed(second), self.signed(first))
                self.questions.given(ordered, self.text("operator") != self.world.text(first))
        return askers

    def _askers(self, operator: Any, requester: Any) -> None:
        """A human is enrolled on every side, and asks in their own name. An agent's operator
        is enrolled where their own sign-off counts."""
        world, logic = self.world, self.world.logic
        known = set.intersection(*(set(side.people) for side in self.sides)) & self._in_order()
        if self.kind == "Human":
            self.questions.given(operator == requester)
            self.questions.given(
                logic.any(
                    *(
                        logic.all(
                            world.principal.term == world.literal("Human", name),
                            operator == world.text(name),
                        )
                        for name in sorted(known)
                    )
                )
            )
        elif "" in self._signed:
            enrolled = (operator == world.text(name) for name in sorted(known))
            self.questions.given(logic.implies(self.signed(""), logic.any(*enrolled)))

    # --- parts of a request --------------------------------------------------------

    def text(self, *path: str) -> Any:
        """The term of a text in the context."""
        return self._member(*path)

    def _member(self, *path: str) -> Any:
        value: Any = self.sides[0].context
        for name in path:
            value = value.members[name].value
        return value.term

    # --- asking ----------------------------------------------------------------------

    def compiled(
        self, side: Side, verb: str, place: str, among: Iterable[Policy] | None = None
    ) -> list[Compiled]:
        """The policies of a side (all, or `among` these) that can speak there."""
        self._turn(side)
        if among is not None:
            return side.compiler.policies(side.chosen(self.kind, place, among), verb)
        key = (self.sides.index(side), verb, side.bundle.within(place)[0])
        if key not in self._compiled:
            self._compiled[key] = side.compiler.policies(side.chosen(self.kind, place), verb)
        return self._compiled[key]

    def at(self, verb: str, place: str) -> list[Truth]:
        """What is true of a request for this verb in this environment, on every side."""
        found: list[Truth] = []
        for side in self.sides:
            self._turn(side)
            there = self.world.literal("Environment", side.bundle.within(place)[0])
            found.append(side.resource.term == there)
            found += [side.compiler.policy(each, verb).satisfied for each in side.premises]
            if side.disposable is not None:
                marked = place in side.disposable
                marked = marked and "production" not in side.bundle.within(place)
                flag = side.context.members["disposable"].value
                assert isinstance(flag, Scalar)
                found.append(self.world.logic.same(flag.term, marked))
        return found

    def _turn(self, side: Side) -> None:
        """Compile for this side from here on."""
        self.world.context, self.world.resource = side.context, side.resource
        self.world.known = self._known(side.bundle)

    def allowed(self, side: Side, verb: str, place: str) -> Truth:
        """Whether the judge allows under a side: a permit, no forbid, no error."""
        held = self.compiled(side, verb, place)
        # A disjunction over a thousand policies is dear to build, and few differ.
        key = (self.sides.index(side), tuple(c.policy.id for c in held), verb)
        if key not in self._allowed:
            logic = self.world.logic
            permits = [c.satisfied for c in held if c.policy.effect == "permit"]
            forbids = [c.satisfied for c in held if c.policy.effect == "forbid"]
            errors = [c.errs for c in held]
            self._allowed[key] = logic.all(
                logic.any(*permits), logic.no(logic.any(*forbids)), logic.no(logic.any(*errors))
            )
        return self._allowed[key]

    def ask(self, *conditions: Truth) -> Found | Unsure | None:
        """A request that satisfies all conditions."""
        if self.kind == "Agent":
            requester = self.text("requester")
            for kind, name in list(self.world.literals):
                if kind == "Agent" and name not in self._agents:
                    # An agent asks in its own name, in whichever way a policy looks at it.
                    self._agents.add(name)
                    is_it = self.world.principal.term == self.world.literal(kind, name)
                    by_name = requester == self.world.text(name)
                    self.questions.given(self.world.logic.same(is_it, by_name))
        return self.questions.find(*conditions)

    def find(self, *conditions: Truth, rank: int = 0) -> Found | Unsure | None:
        """A request that satisfies all conditions, made as plain as the conditions let it;
        of `rank` (3 exact, 0 none) rather than of another reversibility."""
        found = self.ask(*conditions)
        if not isinstance(found, Found):
            return found
        chosen = list(conditions)

        def prefer(wishes: list[Truth]) -> None:
            nonlocal found
            better = self.ask(*chosen, *wishes)
            if isinstance(better, Found):
                found = better
                chosen.extend(wishes)
            elif len(wishes) > 1:
                half = len(wishes) // 2
                prefer(wishes[:half])
                prefer(wishes[half:])

        reversibility = _term(self.sides[0].context.members, "reversibility")
        prefer([*self._plain_wishes, reversibility == rank])
        return found

    @cached_property
    def _plain_wishes(self) -> list[Truth]:
        logic, members = self.world.logic, self.sides[0].context.members
        wishes = [logic.no(signed) for signed in self._signed.values()]
        for name in ("frozen", "halted", "overwritesNewer", "disposable"):
            wishes.append(logic.no(_term(members, name)))
        for name in ("repeats", "callsLastMinute", "changesLastMinute", "boundBytes"):
            wishes.append(_term(members, name) == 0)
        wishes.append(_term(members, "captureLeftBytes") == 1 << 40)
        wishes.append(self._member("lowered") == logic.empty(self.world.texts))
        wishes.append(self.text("gate") == self.world.text("aws"))
        wishes.append(_term(members, "certain"))
        wishes.append(_term(members, "bound") == 1)
        wishes.append(self.text("target", "kind") == self.world.text("data"))
        wishes.append(self.text("surface") == self.world.text("aws"))
        # A name that no policy speaks of.
        texts = self.world.literal_texts.items()
        named = (term for text, term in texts if text not in self._agents)
        wishes.append(logic.all(*(self.text("requester") != term for term in named)))
        wishes += [_term(members, name) for name in ("granted",) if name in members]
        if self.kind == "Human":
            wishes += [_term(members, name) for name in ("undo", "requesterVerified")]
        return wishes

    # --- back to a request -----------------------------------------------------------

    def request(self, found: Found, verb: str, place: str) -> Request:
        """What the solver found, as a gate would bring it before the judge."""
        self._turn(self.sides[0])
        environment = RequestEnvironment(self.kind, verb, "Environment")
        told = Decoder(self.world, found).example(environment).request
        context, who = told["context"], str(told["principal"]["id"])
        if self.kind == "Agent" and context["requester"] in self.world.literal_texts:
            who = context["requester"]
        signers = {name for name, truth in self._signed.items() if self._holds(found, truth)}
        operator = context["operator"] or "an-operator"
        principal = Principal(who, context["run"] or "R-1", operator)
        if self.kind == "Human":
            principal = Principal("", "", who)
        if "" in signers:
            signers = (signers - {""}) | {principal.operator}
        target = context["target"]
        scope = {name: target[name] for name in ("account", "region") if target.get(name)}
        action = Action(context["surface"], context["name"] or "service:Operation", scope=scope)
        resource = Resource(
            target["uid"] or "a-target", target["type"] or "a-type", place, Kind(target["kind"])
        )
        effect = Effect(
            Verb(verb), resource, tuple(_bounds(context)), _RANKS[context["reversibility"]]
        )
        certain = context["certain"] or verb == "unknown"
        understanding = Understanding(action, (effect,), () if certain else ("a member",))
        return Request(principal, understanding, _facts(context, place, verb), frozenset(signers))

    def _holds(self, found: Found, truth: Truth) -> bool:
        held = found.model.eval(self.world.logic.term(truth), model_completion=True)
        return bool(z3.is_true(held))


def people_of(bundle: Bundle, bundles: Sequence[Bundle]) -> Mapping[str, tuple[str, ...]]:
    """Who could sign: the enrolled humans, or, where no settings name any, invented ones:
    some, and one for each name and each team that a policy speaks of."""
    if any(each.humans for each in bundles):
        return _of_each_team(bundle.humans)
    policies = [policy for each in bundles for policy in each.policies]
    names, teams = named_people(policies)
    some = max(INVENTED, signers_asked(policies) + 1)
    people: dict[str, tuple[str, ...]] = {
        f"person-{n}": () for n in range(1, min(some, PEOPLE_MOST) + 1)
    }
    people.update(dict.fromkeys(sorted(names), ()))
    people.update({f"one-of-{team}": (team,) for team in sorted(teams)})
    return dict(list(people.items())[:PEOPLE_MOST])


def _of_each_team(humans: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """At most `PEOPLE_MOST` of the people, in turn one of each set of teams."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(humans):
        alike.setdefault(humans[name], []).append(name)
    turns = (name for turn in zip_longest(*alike.values()) for name in turn if name)
    return {name: humans[name] for name in sorted(islice(turns, PEOPLE_MOST))}


def _same_settings(
    candidates: Sequence[Candidate], crowd: Sequence[Mapping[str, tuple[str, ...]]]
) -> bool:
    """Whether all that the settings say of a request is the same for both bundles."""
    said = [
        (
            c.bundle.profile,
            c.bundle.limits,
            dict(c.bundle.environments),
            c.disposable,
            list(people.items()),
        )
        for c, people in zip(candidates, crowd, strict=True)
    ]
    return all(each == said[0] for each in said)


def _stated(bundle: Bundle, expressions: Iterable[str]) -> tuple[Policy, ...]:
    """Each expression as the condition of a policy, which Cedar itself has then checked."""
    text = "\n".join(
        f'@id("premise-{n}") @why("a premise") forbid (principal, action, resource) '
        f"when {{ {expression} }};"
        for n, expression in enumerate(expressions)
        if expression != "true"
    )
    return tuple(policies(Source("premises", text), bundle.schema))


def _may_speak(policy: Policy, kind: str, within: tuple[str, ...]) -> bool:
    who, place = policy.est["principal"], policy.est["resource"]
    if who["op"] == "is" and who["entity_type"] != kind:
        return False
    if place["op"] == "==":
        return bool(place["entity"]["id"] == within[0])
    return bool(place["op"] != "in" or place["entity"]["id"] in within)


def _texts(node: object) -> Iterator[str]:
    """Every text in a policy, whatever it stands for."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _texts(value)


def _term(members: Mapping[str, Member], name: str) -> Any:
    value = members[name].value
    assert isinstance(value, Scalar)
    return value.term


_RANKS = {each.rank: each for each in Reversibility}


def _bounds(context: Mapping[str, Any]) -> Iterator[Bound]:
    for name, unit, none in (("bound", "items", LONG_MOST), ("boundBytes", "bytes", 0)):
        count = context[name]
        if count != none:
            yield Bound(None if count == LONG_MOST else count, unit)


def _facts(context: Mapping[str, Any], place: str, verb: str) -> Facts:
    # The epoch began on a Thursday, the fourth day of the week.
    now = ((context["weekday"] - 4) % 7) * _DAY_MS + context["hourUtc"] * _HOUR_MS
    there = frozenset({place})
    return Facts(
        frozen=there if context["frozen"] else frozenset(),
        halted=context["halted"],
        calls_last_minute=context["callsLastMinute"],
        changes_last_minute=context["changesLastMinute"],
        repeats=context["repeats"],
        capture_left_bytes=context["captureLeftBytes"],
        lowered=frozenset((name, place) for name in context["lowered"]),
        granted=frozenset({(place, verb)}) if context.get("granted") else frozenset(),
        disposable=there if context["disposable"] else frozenset(),
        gate=context["gate"],
        undo=context["undo"],
        overwrites_newer=context["overwritesNewer"],
        requester_verified=context["requesterVerified"],
        now_ms=now,
    )
