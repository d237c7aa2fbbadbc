"""The decision point: an understanding and the facts in, a ruling out. Pure.

Allowed is only what the engine allows in so many words, without an evaluation error, for
entities it knows. `hold` is computed: denied with the sign-offs there are, allowed with n
more by people who may really sign; the smallest such n. Cedar has two outcomes; this
module asks again instead of adding a third.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import cedarpy

from signoff.model.action import Principal
from signoff.model.decision import Decision, Obligation, Ruling
from signoff.model.effect import Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.bundle import OWN_TARGETS, PROVED, Bundle, agent_entity
from signoff.policy.request import (
    Ask,
    base_context,
    effect_context,
    signers_context,
    verb_asked,
)

SUBSETS_MOST = 256
"""How many sets of people are tried before a hold is given up as a denial."""

AGENTS_MOST = 512
"""How many agents the engine remembers beyond those the bundle names."""

VERDICTS_MOST = 8_192
"""How many of the engine's answers are remembered; then it starts over."""

UNDOABLE_NEVER = frozenset({Verb.READ, Verb.DISCLOSE, Verb.UNKNOWN})
"""Verbs that leave nothing to capture, whatever an effect claims."""


@dataclass(frozen=True)
class Verdict:
    """What the engine said to one request. Anything but a clean Allow is a denial."""

    allowed: bool
    reasons: tuple[str, ...]
    erred: bool = False


@dataclass(frozen=True)
class _Case:
    """One action before the engine: who asks, what is asked, who signed, who could."""

    kind: str
    name: str
    entities: cedarpy.Entities
    asks: tuple[Ask, ...]
    operator: str
    signed: frozenset[str]
    eligible: frozenset[str]


@dataclass(frozen=True)
class _Way:
    """People who could sign, and what the engine says if they do."""

    people: frozenset[str]
    verdicts: tuple[Verdict, ...]


class CedarJudge:
    """`ports.Judge` on a loaded bundle."""

    def __init__(self, bundle: Bundle, *, needs_proof: bool = False) -> None:
        """`needs_proof`: whatever touches production is denied unless the bundle is proved.
        A daemon needs it; who only explains does not."""
        self.bundle = bundle
        self._unproved = needs_proof and bundle.safeguard != PROVED
        self._known: OrderedDict[str, cedarpy.Entities] = OrderedDict()
        self._verdicts: dict[Hashable, Verdict] = {}

    def introduce(self, agent: str) -> cedarpy.Entities:
        """Make an agent known to the engine (called when its run key is issued, so that
        its first request need not). Returns the entities with the agent among them."""
        if agent in self.bundle.agents:
            return self.bundle.entities
        if found := self._known.get(agent):
            self._known.move_to_end(agent)
            return found
        row = json.dumps([agent_entity(agent)])
        entities = self.bundle.entities.with_added_json_str(row)
        self._known[agent] = entities
        if len(self._known) > AGENTS_MOST:
            self._known.popitem(last=False)
        return entities

    def decide(self, principal: Principal, understanding: Understanding, facts: Facts) -> Decision:
        """The ruling over all effects, the strictest of each. Total: an error inside is a
        denial with the reason `engine-error`."""
        try:
            return self._decide(principal, understanding, facts)
        except Exception as error:  # A judge that fails must deny, whatever it was.
            what = f"denied: the policy engine failed ({type(error).__name__}); next: tell a human"
            return self._ruled(Ruling.DENY, ("engine-error",), what)

    def _decide(self, principal: Principal, understanding: Understanding, facts: Facts) -> Decision:
        effects = understanding.effects
        if not effects:
            what = "denied: nothing is known about what this would do; next: ask for one action"
            return self._ruled(Ruling.DENY, ("no-effects",), what)
        if not principal.is_agent and principal.operator not in self.bundle.humans:
            what = "denied: nobody enrolled this human; next: enrol them first"
            return self._ruled(Ruling.DENY, ("unknown-principal",), what)
        if self._unproved and any(self._inside(e.resource.environment) for e in effects):
            what = "denied: the safeguard of these policies is not proved; next: tell a human"
            return self._ruled(Ruling.DENY, ("not-proved",), what)
        case = self._case(principal, understanding, facts)
        now = [self._ask(case, ask, case.signed) for ask in case.asks]
        if all(v.allowed for v in now):
            return self._allowed(understanding, now)
        erring = tuple(dict.fromkeys(r for v in now if v.erred for r in v.reasons))
        if any(v.erred for v in now):
            what = "denied: a policy could not be evaluated; next: tell the policies' author"
            return self._ruled(Ruling.DENY, ("evaluation-error", *erring), what)
        way = self._more(case, now)
        if way is not None:
            return self._held(case, understanding, now, way)
        return self._denied(case, understanding)

    def _inside(self, environment: str) -> bool:
        return "production" in self.bundle.within(environment)

    def _case(self, principal: Principal, understanding: Understanding, facts: Facts) -> _Case:
        # One human under the agent's name or the operator's never counts for both.
        apart = {principal.agent, principal.operator}
        if self.bundle.profile == "solo":
            apart = {principal.agent}
        humans = frozenset(self.bundle.humans) or facts.approvers | facts.eligible
        signed = (facts.approvers & humans) - apart
        return _Case(
            kind="Agent" if principal.is_agent else "Human",
            name=principal.agent or principal.operator,
            entities=(
                self.introduce(principal.agent) if principal.is_agent else self.bundle.entities
            ),
            asks=self._asks(principal, understanding, facts),
            operator=principal.operator,
            signed=signed,
            eligible=(facts.eligible & humans) - apart - signed,
        )

    def _asks(
        self, principal: Principal, understanding: Understanding, facts: Facts
    ) -> tuple[Ask, ...]:
        """One request for each effect; effects the policies cannot tell apart share one."""
        base = base_context(principal, understanding.action, facts, self.bundle.limits)
        asks: list[Ask] = []
        grouped: set[tuple[object, ...]] = set()
        for effect in understanding.effects:
            place, verb = effect.resource, verb_asked(effect, understanding)
            told = place.uid if self.bundle.looks_at_target else place.uid.startswith(OWN_TARGETS)
            kind = (verb, place.type, place.environment, place.kind)
            group = (kind, told, effect.bounds, effect.reversibility)
            if group in grouped:
                continue
            grouped.add(group)
            within = self.bundle.within(place.environment)
            own = effect_context(
                effect, understanding, facts, within, self.bundle.limits, principal.agent
            )
            asks.append(Ask(verb.value, within[0], {**base, **own}))
        return tuple(asks)

    def _ask(self, case: _Case, ask: Ask, signed: frozenset[str]) -> Verdict:
        bundle = self.bundle
        operator_signed = bundle.profile == "solo" and case.operator in signed
        counted = signed - {case.operator}
        chosen = bundle.slice(case.kind, ask.verb, ask.environment)
        told = chosen.told.of(ask.context)
        known = (case.kind, case.name, ask.verb, ask.environment, counted, operator_signed, told)
        found = self._verdicts.get(known) if told is not None else None
        if found is not None:
            return found
        signers = signers_context(counted, bundle.humans, operator_signed)
        request = {
            "principal": {"type": case.kind, "id": case.name},
            "action": {"type": "Action", "id": ask.verb},
            "resource": {"type": "Environment", "id": ask.environment},
            "context": ask.with_signers(signers),
        }
        result = cedarpy.is_authorized(request, chosen.policies, case.entities, bundle.schema)
        erred = bool(result.diagnostics.errors) or (
            result.decision not in (cedarpy.Decision.Allow, cedarpy.Decision.Deny)
        )
        reasons = tuple(sorted(result.diagnostics.reasons))
        verdict = Verdict(result.decision is cedarpy.Decision.Allow and not erred, reasons, erred)
        if told is not None and not erred:
            if len(self._verdicts) >= VERDICTS_MOST:
                self._verdicts.clear()
            self._verdicts[known] = verdict
        return verdict

    def _more(self, case: _Case, now: list[Verdict]) -> _Way | None:
        """The smallest set of people whose sign-offs would allow everything, or None."""
        # What is denied now most likely stays denied: asking it first ends a try early.
        order = sorted(range(len(now)), key=lambda i: now[i].allowed)
        for people in islice(self._subsets(case.eligible), SUBSETS_MOST):
            verdicts = []
            for i in order:
                verdicts.append(self._ask(case, case.asks[i], case.signed | people))
                if not verdicts[-1].allowed:
                    break
            else:
                return _Way(people, tuple(verdicts))
        return None

    def _subsets(self, eligible: frozenset[str]) -> Iterator[frozenset[str]]:
        # Who is in a group the settings ask for is tried first.
        wanted, teams = self.bundle.limits.quorums.groups, self.bundle.humans
        names = sorted(eligible, key=lambda n: (-len(wanted & set(teams.get(n, ()))), n))
        for size in range(1, len(names) + 1):
            if self.bundle.names_people or self.bundle.profile == "solo":
                yield from (frozenset(people) for people in combinations(names, size))
            else:
                yield frozenset(names[:size])

    def _allowed(self, understanding: Understanding, now: list[Verdict]) -> Decision:
        reasons = tuple(dict.fromkeys(r for v in now for r in v.reasons))
        owed = _captures(understanding)
        return self._ruled(Ruling.ALLOW, reasons, "allowed", obligations=owed)

    def _held(
        self, case: _Case, understanding: Understanding, now: list[Verdict], way: _Way
    ) -> Decision:
        blocking = self._ordered(v for v in now if not v.allowed)
        reasons = blocking or self._ordered(iter(way.verdicts))
        why = self._why(reasons) if blocking else f"nothing permits it unsigned ({reasons[0]})"
        more = len(way.people)
        quorum = len(case.signed) + more
        people = "1 person has" if more == 1 else f"{more} people have"
        still = f"{people} to sign" if not case.signed else f"{more} more of {quorum} have to sign"
        text = f"held: {why}; {still}; next: wait for the ticket"
        owed = (*_captures(understanding), Obligation.NOTIFY)
        return self._ruled(
            Ruling.HOLD, reasons, _with_safer(text, understanding), quorum=quorum, obligations=owed
        )

    def _denied(self, case: _Case, understanding: Understanding) -> Decision:
        # What still forbids it when everyone has signed is why; the rest is noise.
        best = [self._ask(case, ask, case.signed | case.eligible) for ask in case.asks]
        reasons = self._ordered(v for v in best if not v.allowed) or ("no-permit",)
        first = self.bundle.by_id.get(reasons[0])
        step = (first.next_step if first else "") or "ask a human, or choose another way"
        step = _filled(step, case)
        text = f"denied: {self._why(reasons)}; next: {step}"
        boundary = any(r in self.bundle.boundaries for r in reasons)
        owed = (Obligation.NOTIFY,) if boundary else ()
        return self._ruled(Ruling.DENY, reasons, _with_safer(text, understanding), obligations=owed)

    def _ordered(self, verdicts: Iterator[Verdict]) -> tuple[str, ...]:
        """The policies that spoke, boundaries first, then in the order of the bundle."""
        rank = {p.id: (not p.boundary, i) for i, p in enumerate(self.bundle.policies)}
        found = {r for v in verdicts for r in v.reasons}
        return tuple(sorted(found, key=lambda r: rank.get(r, (True, len(rank)))))

    def _why(self, reasons: tuple[str, ...]) -> str:
        policy = self.bundle.by_id.get(reasons[0])
        why = policy.why if policy else "no policy permits it"
        return f"{why} ({reasons[0]})"

    def _ruled(
        self,
        ruling: Ruling,
        reasons: tuple[str, ...],
        message: str,
        *,
        quorum: int = 0,
        obligations: tuple[Obligation, ...] = (),
    ) -> Decision:
        return Decision(
            ruling=ruling,
            reasons=reasons,
            quorum=quorum,
            obligations=obligations,
            message=message,
            bundle=self.bundle.digest,
            safeguard=self.bundle.safeguard,
        )


def _filled(step: str, case: _Case) -> str:
    """The next step with the names of this very request in the places that ask for them."""
    wanting = [a for a in case.asks if a.context["grantNeeded"] and not a.context["granted"]]
    asks = wanting or list(case.asks)
    names = {
        "{run}": str(asks[0].context["run"]),
        "{operator}": case.operator,
        "{environment}": asks[0].environment,
        "{verbs}": ",".join(sorted({a.verb for a in asks})),
    }
    for name, text in names.items():
        step = step.replace(name, text)
    return step


def _captures(understanding: Understanding) -> tuple[Obligation, ...]:
    """An undo is owed for every change that claims to be exact or bounded."""
    claims = any(
        e.verb not in UNDOABLE_NEVER and e.reversibility.rank >= 2 for e in understanding.effects
    )
    return (Obligation.CAPTURE,) if claims else ()


def _with_safer(text: str, understanding: Understanding) -> str:
    safer = " ".join(understanding.safer.split())
    return f"{text}; safer: {safer}" if safer else text
