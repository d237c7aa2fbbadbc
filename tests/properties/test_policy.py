"""What no facts and no effects may bring about, whatever the profile and the owner's permits."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import combinations

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.model.action import Action, Principal
from signoff.model.decision import Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.bundle import compile_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.filler import filler_rules
from signoff.policy.request import signers_context
from signoff.policy.statements import Source

HUMANS = {"olga": (), "ana": (), "bo": (), "cy": ()}
SCOPED = Source(
    "scoped.cedar",
    '@id("s1") @why("x") forbid(principal, action, resource == Environment::"production");'
    '@id("s2") @why("x") permit(principal is Human, action, resource is Environment);'
    '@id("s3") @why("x") forbid(principal == Agent::"deployer", action in [Action::"destroy", '
    'Action::"read"], resource is Environment in Environment::"staging");'
    '@id("s4") @why("x") forbid(principal, action == Action::"update", '
    'resource in Environment::"production") when { context.bound * 2 > 0 };',
)
BROAD = Source("owner.cedar", '@id("broad") @why("x") permit(principal, action, resource);')
LOOKING = Source(
    "looking.cedar",
    '@id("l1") @why("x") permit(principal, action, resource) when { context.hourUtc < 12 };'
    '@id("l2") @why("x") forbid(principal, action, resource) '
    'when { context.target.uid like "arn:*" && context.callsLastMinute >= 600 };'
    '@id("l3") @why("x") forbid(principal, action, resource) '
    'when { context.target.uid like "*boundary*" || context.name == "dynamodb:Put" };'
    '@id("l4") @why("x") forbid(principal, action, resource) '
    "when { context.changesLastMinute + context.repeats > 79 };"
    '@id("l5") @why("x") forbid(principal, action, resource) '
    'when { context.target has region && context.target.region == "eu-west-1" };',
)
AGENT = Principal("deployer", "R-1", "olga")
GRAVE = {Verb.DISARM, Verb.PERMIT, Verb.EXECUTE, Verb.DISCLOSE, Verb.UNKNOWN}
NAMES = frozenset(HUMANS)

places = st.sampled_from(["production", "prod-eu", "staging", "development", "attic"])
effects = st.builds(
    Effect,
    verb=st.sampled_from(Verb),
    resource=st.builds(
        Resource,
        uid=st.sampled_from(["arn:aws:x", "signoff:boundary/boundary-key", "ü *"]),
        type=st.sampled_from(["dynamodb:table", "iam:role"]),
        environment=places,
        kind=st.sampled_from(Kind),
    ),
    bounds=st.tuples(st.builds(Bound, st.none() | st.integers(0, 1 << 70), st.just("items"))),
    reversibility=st.sampled_from(Reversibility),
)
understandings = st.builds(
    Understanding,
    action=st.builds(Action, st.just("aws"), st.sampled_from(["dynamodb:Put", "sts:AssumeRole"])),
    effects=st.lists(effects, max_size=3).map(tuple),
    unknown=st.sampled_from([(), (), ("a member",)]),
)
people = st.frozensets(st.sampled_from(["olga", "ana", "bo", "cy", "eve", "deployer"]))
facts = st.builds(
    Facts,
    approvers=people,
    eligible=people,
    frozen=st.frozensets(places, max_size=1),
    halted=st.sampled_from([False, False, True]),
    calls_last_minute=st.sampled_from([0, 600, 601]),
    changes_last_minute=st.sampled_from([0, 60, 61]),
    repeats=st.sampled_from([0, 19, 20]),
    capture_left_bytes=st.sampled_from([1 << 40, 1 << 40, 0, -1]),
    lowered=st.frozensets(
        st.tuples(st.sampled_from(["boundary-container", "boundary-key"]), places), max_size=2
    ),
    disposable=st.frozensets(places, max_size=2),
    undo=st.booleans(),
    overwrites_newer=st.booleans(),
    requester_verified=st.booleans(),
    now_ms=st.integers(0, 1 << 42),
)


@cache
def judge(profile: str, extra: Source = BROAD) -> CedarJudge:
    return CedarJudge(
        compile_bundle(
            profile,
            [extra],
            humans=HUMANS,
            environments={"prod-eu": "production"},
        )
    )


def in_production(effect: Effect) -> bool:
    return effect.resource.environment in {"production", "prod-eu", "attic"}


def irreversible(effect: Effect, understanding: Understanding) -> bool:
    """Said again in plain words, sharing nothing with the engine."""
    if effect.verb is Verb.READ:
        return bool(understanding.unknown)
    if effect.verb in GRAVE or understanding.unknown:
        return True
    return effect.reversibility in {Reversibility.NONE, Reversibility.DEGRADED}


@given(understandings, facts)
@settings(max_examples=400, deadline=None)
def test_no_irreversible_production_change_by_an_agent_without_two_others(
    understanding: Understanding, given_facts: Facts
) -> None:
    decision = judge("team").decide(AGENT, understanding, given_facts)
    others = (given_facts.approvers & NAMES) - {"olga", "deployer"}
    for effect in understanding.effects:
        if in_production(effect) and irreversible(effect, understanding):
            assert decision.ruling is not Ruling.ALLOW or len(others) >= 2
            assert decision.ruling is not Ruling.HOLD or decision.quorum >= 2
        elif in_production(effect) and not effect.is_read:
            assert decision.ruling is not Ruling.ALLOW or len(others) >= 1


@given(understandings, facts)
@settings(max_examples=300, deadline=None)
def test_alone_no_irreversible_production_change_by_an_agent_at_all(
    understanding: Understanding, given_facts: Facts
) -> None:
    decision = judge("solo").decide(AGENT, understanding, given_facts)
    for effect in understanding.effects:
        if in_production(effect) and irreversible(effect, understanding):
            # Removing a safeguard or widening rights counts alone by its undo.
            undoable = effect.reversibility.rank >= 2 and not understanding.unknown
            if not (effect.verb in {Verb.DISARM, Verb.PERMIT} and undoable):
                assert decision.ruling is Ruling.DENY


@given(understandings, facts, st.sampled_from(["team", "solo"]))
@settings(max_examples=300, deadline=None)
def test_a_hold_is_resolved_by_as_many_sign_offs_as_it_asks_for_and_by_no_fewer(
    understanding: Understanding, given_facts: Facts, profile: str
) -> None:
    decision = judge(profile).decide(AGENT, understanding, given_facts)
    if decision.ruling is not Ruling.HOLD:
        assert decision.quorum == 0
        return
    apart = {"deployer"} if profile == "solo" else {"deployer", "olga"}
    signed = (given_facts.approvers & NAMES) - apart
    more = sorted((given_facts.eligible & NAMES) - apart - signed)
    missing = decision.quorum - len(signed)
    assert 0 < missing <= len(more)

    def with_more(count: int) -> list[Ruling]:
        return [
            judge(profile)
            .decide(AGENT, understanding, replace(given_facts, approvers=signed | set(chosen)))
            .ruling
            for chosen in combinations(more, count)
        ]

    assert Ruling.ALLOW in with_more(missing)
    assert Ruling.ALLOW not in with_more(missing - 1)


@given(understandings, facts, people)
@settings(max_examples=200, deadline=None)
def test_another_sign_off_never_turns_an_allowed_action_down(
    understanding: Understanding, given_facts: Facts, more: frozenset[str]
) -> None:
    before = judge("team").decide(AGENT, understanding, given_facts)
    after = judge("team").decide(
        AGENT, understanding, replace(given_facts, approvers=given_facts.approvers | more)
    )
    if before.ruling is Ruling.ALLOW:
        assert after.ruling is Ruling.ALLOW


@given(understandings, facts)
@settings(max_examples=200, deadline=None)
def test_a_better_undo_never_turns_an_allowed_action_down_while_the_budget_lasts(
    understanding: Understanding, given_facts: Facts
) -> None:
    plenty = replace(given_facts, capture_left_bytes=1 << 40)
    better = replace(
        understanding,
        effects=tuple(replace(e, reversibility=Reversibility.EXACT) for e in understanding.effects),
    )
    if judge("team").decide(AGENT, understanding, plenty).ruling is Ruling.ALLOW:
        assert judge("team").decide(AGENT, better, plenty).ruling is Ruling.ALLOW


@given(understandings, facts)
@settings(max_examples=200, deadline=None)
def test_a_boundary_no_one_lowered_here_stands_whoever_signs(
    understanding: Understanding, given_facts: Facts
) -> None:
    everyone = replace(given_facts, approvers=NAMES, undo=False)
    decision = judge("team").decide(AGENT, understanding, everyone)
    for effect in understanding.effects:
        place = effect.resource.environment
        container = (
            effect.verb in {Verb.DELETE, Verb.REPLACE}
            and effect.resource.kind is Kind.CONTAINER
            and in_production(effect)
            and ("boundary-container", place) not in given_facts.lowered
        )
        own = not effect.is_read and effect.resource.uid.startswith("signoff:")
        if container or own:
            assert decision.ruling is Ruling.DENY


@given(understandings, facts)
@settings(max_examples=200, deadline=None)
def test_a_halted_run_does_nothing_and_a_frozen_place_does_not_change(
    understanding: Understanding, given_facts: Facts
) -> None:
    decision = judge("team").decide(AGENT, understanding, given_facts)
    frozen = any(
        not e.is_read and e.resource.environment in given_facts.frozen
        for e in understanding.effects
    )
    if given_facts.halted or frozen or not understanding.effects:
        assert decision.ruling is Ruling.DENY


@given(understandings, facts)
@settings(max_examples=150, deadline=None)
def test_a_slice_of_the_policies_decides_as_all_of_them_do(
    understanding: Understanding, given_facts: Facts
) -> None:
    judged = judge("team", SCOPED)
    bundle = judged.bundle
    static = {p.id: p.est for p in bundle.policies}
    whole = cedarpy.PolicySet.from_json_str(
        json.dumps({"staticPolicies": static, "templates": {}, "templateLinks": []})
    )
    for principal in (AGENT, Principal("", "", "olga")):
        case = judged._case(principal, understanding, given_facts)
        for ask in case.asks:
            request = {
                "principal": {"type": case.kind, "id": case.name},
                "action": {"type": "Action", "id": ask.verb},
                "resource": {"type": "Environment", "id": ask.environment},
                "context": ask.with_signers(signers_context(case.signed, {}, False)),
            }
            part = bundle.slice(case.kind, ask.verb, ask.environment).policies
            one = cedarpy.is_authorized(request, part, case.entities, bundle.schema)
            all_of_them = cedarpy.is_authorized(request, whole, case.entities, bundle.schema)
            assert one.decision is all_of_them.decision
            assert bool(one.diagnostics.errors) is bool(all_of_them.diagnostics.errors)
            assert sorted(one.diagnostics.reasons) == sorted(all_of_them.diagnostics.reasons)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=150, deadline=None)
def test_hostile_names_never_raise_and_never_widen(agent: str, name: str, uid: str) -> None:
    effect = Effect(Verb.DELETE, Resource(uid, name, "production"))
    understanding = Understanding(Action("aws", name), (effect,))
    decision = judge("team").decide(
        Principal(agent or "a", "R", "olga"), understanding, Facts(eligible=NAMES)
    )
    assert decision.ruling is not Ruling.ALLOW


@settings(max_examples=150, deadline=None)
@given(understandings, facts, st.sampled_from([BROAD, LOOKING, SCOPED, filler_rules(9)]))
def test_a_remembered_answer_is_the_one_the_engine_would_give(
    understanding: Understanding, given_facts: Facts, extra: Source
) -> None:
    remembering = judge("team", extra)
    forgetful = CedarJudge(remembering.bundle)
    assert remembering.decide(AGENT, understanding, given_facts) == forgetful.decide(
        AGENT, understanding, given_facts
    )
