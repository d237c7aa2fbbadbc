"""One effect as one Cedar request: what the policies see. Pure.

The Cedar resource is the environment, a static entity, and the concrete target is part
of the context (docs/decisions/0001-resource-in-context.md): no entity is parsed on a
request's path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from signoff.model.action import Action, Principal
from signoff.model.effect import Bound, Effect, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.quorums import Quorums

LONG_MOST = 2**63 - 1
"""Cedar's largest Long; it also stands for a bound nobody knows, so that `> 1000` holds."""

Context: TypeAlias = Mapping[str, object]

# What the policies see, in the words of docs/reference/policy.md; a test compares the
# names with the schema.
ATTRIBUTES: Mapping[str, str] = {
    "requester": "the agent, or the human, that asks",
    "operator": "the human the agent acts for; for a human the same as `requester`",
    "run": "the run; empty for a human",
    "surface": "the surface of the action: `aws`",
    "name": "the surface's own name of the action: `dynamodb:DeleteTable`",
    "gate": "the gate that asks: `aws`, `hook`; empty in `explain`",
    "target": "what is touched: `uid`, `type`, `kind`, and `account` and `region` where known",
    "reversibility": "3 exact, 2 bounded, 1 degraded, 0 none; 0 for whatever is not certain",
    "certain": "whether nothing about the action stayed unknown",
    "bound": "the most rows, items or objects; the largest Long when nobody knows",
    "boundBytes": "the most bytes; the largest Long when nobody knows, 0 when none are counted",
    "approvals": "how many distinct verified humans signed, besides requester and operator",
    "approvers": "their names",
    "approverTeams": "the teams they are in",
    "quorum": "how many people the settings ask for (`[[quorum]]`); unless a row says so, in "
    "production 1 for what can be taken back, else 2 (in solo 1), and elsewhere 0",
    "quorumGroups": "the groups of which the settings want one each among those who sign",
    "operatorSigned": "the operator signed with user verification; solo only, else false",
    "frozen": "whether the environment, or one it lies in, is frozen",
    "halted": "whether the run or the agent is halted",
    "disposable": "whether the owners marked the environment disposable; never production",
    "lowered": "the ids of the boundaries that are lowered for this environment",
    "callsLastMinute": "calls of the run in the last minute",
    "callsMost": "how many calls a run may make in a minute (the setting `calls_per_minute`)",
    "changesLastMinute": "changes of the run in the last minute",
    "changesMost": "how many changes a run may make in a minute (`changes_per_minute`)",
    "repeats": "how often the same action failed in the run",
    "captureLeftBytes": "what is left of the run's budget for undo material, in bytes",
    "undo": "whether an earlier action is taken back by a human",
    "overwritesNewer": "whether the undo would overwrite what someone else wrote since",
    "requesterVerified": "whether the human who asks proved who they are",
    "granted": "a live grant covers this run, environment and verb, and one more change",
    "grantNeeded": "the settings ask for a grant for this verb in this environment (`[grants]`)",
    "hourUtc": "the hour of the day, 0 to 23, UTC",
    "weekday": "the day of the week, 1 (Monday) to 7 (Sunday), UTC",
}
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Limits:
    """How fast a run may go: calls and changes per minute; and whether it needs a grant for
    production changes (`grants_required`), and for reads as well (`grants_reads`). `quorums`
    is how many people its changes need."""

    calls_per_minute: int = 600
    changes_per_minute: int = 60
    grants_required: bool = False
    grants_reads: bool = False
    quorums: Quorums = field(default_factory=Quorums)

    def needs_grant(self, verb: Verb, within: tuple[str, ...]) -> bool:
        """Whether a run needs a grant for the verb in an environment that lies `within`."""
        asked = self.grants_required and (self.grants_reads or verb is not Verb.READ)
        return asked and "production" in within


@dataclass(frozen=True)
class Ask:
    """One question for the engine, without the sign-offs: verb, environment as the
    bundle knows it, and the context."""

    verb: str
    environment: str
    context: Context = field(compare=False)

    def with_signers(self, signers: Context) -> str:
        """The whole context as JSON; `signers` comes from `signers_context`."""
        return json.dumps({**self.context, **signers})


def base_context(
    principal: Principal, action: Action, facts: Facts, limits: Limits
) -> dict[str, object]:
    """What is the same for every effect of an action."""
    return {
        "requester": principal.agent or principal.operator,
        "operator": principal.operator,
        "run": principal.run,
        "surface": action.surface,
        "name": action.name,
        "gate": facts.gate,
        "halted": facts.halted,
        "callsLastMinute": _long(facts.calls_last_minute),
        "callsMost": limits.calls_per_minute,
        "changesLastMinute": _long(facts.changes_last_minute),
        "changesMost": limits.changes_per_minute,
        "repeats": _long(facts.repeats),
        "captureLeftBytes": _long(facts.capture_left_bytes),
        "undo": facts.undo,
        "overwritesNewer": facts.overwrites_newer,
        "requesterVerified": facts.requester_verified,
        "hourUtc": facts.now_ms % _DAY_MS // 3_600_000,
        # The epoch began on a Thursday, the fourth day of the week.
        "weekday": (facts.now_ms // _DAY_MS + 3) % 7 + 1,
    }


def effect_context(
    effect: Effect,
    understanding: Understanding,
    facts: Facts,
    within: tuple[str, ...],
    limits: Limits | None = None,
    agent: str = "",
) -> dict[str, object]:
    """What is particular to one effect. `within` is its environment, as the bundle knows
    it, followed by those it lies in; `agent` is who asks, empty for a human."""
    limits = limits or Limits()
    verb = verb_asked(effect, understanding)
    resource, scope = effect.resource, understanding.action.scope
    target: dict[str, object] = {
        "uid": resource.uid,
        "type": resource.type,
        "kind": resource.kind.value,
    }
    for name in ("account", "region"):
        if scope.get(name):
            target[name] = scope[name]
    certain = not understanding.unknown and effect.verb is not Verb.UNKNOWN
    # A disclosed secret cannot be taken back, whatever a table says.
    kept = certain and effect.verb is not Verb.DISCLOSE
    reversibility = effect.reversibility.rank if kept else 0
    quorum = limits.quorums.of(agent, verb, within, certain=certain, reversibility=reversibility)
    named = {resource.environment, *within}
    return {
        "target": target,
        "reversibility": reversibility,
        "certain": certain,
        "quorum": quorum.people,
        "quorumGroups": sorted(set(quorum.groups)),
        "bound": _most([b for b in effect.bounds if b.unit != "bytes"], LONG_MOST),
        "boundBytes": _most([b for b in effect.bounds if b.unit == "bytes"], 0),
        "frozen": not named.isdisjoint(facts.frozen),
        "disposable": resource.environment in facts.disposable and "production" not in within,
        "lowered": sorted(b for b, place in facts.lowered if place == resource.environment),
        # A grant is for the environment it names, and for none that lies in it.
        "granted": (resource.environment, verb.value) in facts.granted,
        "grantNeeded": limits.needs_grant(verb, within),
    }


def signers_context(
    counted: frozenset[str], teams: Mapping[str, tuple[str, ...]], operator_signed: bool
) -> dict[str, object]:
    """The sign-offs as policies see them. `counted` are distinct verified humans, neither
    requester nor operator."""
    return {
        "approvals": len(counted),
        "approvers": sorted(counted),
        "approverTeams": sorted({team for human in counted for team in teams.get(human, ())}),
        "operatorSigned": operator_signed,
    }


def verb_asked(effect: Effect, understanding: Understanding) -> Verb:
    """The verb to judge. A read that was not wholly understood is no read."""
    if effect.is_read and understanding.unknown:
        return Verb.UNKNOWN
    return effect.verb


def _most(bounds: list[Bound], none: int) -> int:
    most = none if not bounds else 0
    for bound in bounds:
        most = max(most, LONG_MOST if bound.most is None else _long(bound.most))
    return most


def _long(number: int) -> int:
    return max(-LONG_MOST, min(LONG_MOST, int(number)))
