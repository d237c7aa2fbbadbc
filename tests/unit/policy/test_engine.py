"""The decision point: the four ways Cedar can fail open, computed holds, and every vector."""

from __future__ import annotations

import json
from dataclasses import replace

import cedarpy
import pytest

from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Obligation, Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.errors import PolicyInvalid
from signoff.model.ports import Facts
from signoff.policy.bundle import compile_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.statements import Source
from unit.policy.vectors import FOLDER, HUMANS, judge, judge_vector, load_text, shipped

AGENT = Principal("deployer", "R-1", "olga")
ELIGIBLE = frozenset({"ana", "bo", "cy"})
VECTORS = sorted(FOLDER.glob("*.txt"))
BROAD = '@id("broad") @why("everything") permit(principal, action, resource);'


def effect(
    verb: Verb,
    environment: str = "production",
    reversibility: Reversibility = Reversibility.NONE,
    uid: str = "arn:aws:dynamodb:::table/orders",
    kind: Kind = Kind.DATA,
    bounds: tuple[Bound, ...] = (),
) -> Effect:
    return Effect(verb, Resource(uid, "dynamodb:table", environment, kind), bounds, reversibility)


def asked(*effects: Effect, unknown: tuple[str, ...] = (), safer: str = "") -> Understanding:
    return Understanding(Action("aws", "dynamodb:Operation"), effects, unknown, safer=safer)


def judge_with(text: str, profile: str = "team") -> CedarJudge:
    return CedarJudge(compile_bundle(profile, [Source("owner.cedar", text)], humans=HUMANS))


def decide(text: str, understanding: Understanding, facts: Facts | None = None) -> Decision:
    return judge_with(text).decide(AGENT, understanding, facts or Facts(eligible=ELIGIBLE))


READ = asked(effect(Verb.READ, reversibility=Reversibility.EXACT))


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_the_shipped_policies_decide_as_the_vector_says(path) -> None:
    _, given, expected = load_text(path.read_text())
    decision = judge_vector(given)
    assert decision.ruling.value == expected["ruling"]
    assert decision.quorum == expected["quorum"]
    assert list(decision.reasons) == expected["reasons"]
    assert [o.value for o in decision.obligations] == expected["obligations"]


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_every_shipped_policy_decides_at_least_one_vector(profile: str) -> None:
    spoke = set()
    for path in VECTORS:
        _, given, expected = load_text(path.read_text())
        if given["profile"] == profile:
            spoke.update(expected["reasons"])
    # The files that both profiles share need one vector in either profile.
    if profile == "solo":
        ids = {p.id for p in shipped(profile).policies if p.file == "solo.cedar"}
    else:
        ids = {p.id for p in shipped(profile).policies}
    assert ids <= spoke, sorted(ids - spoke)


# Trap 1: a forbid that errs is left out, and Cedar says Allow.

OVERFLOW = (
    '@id("too-many") @why("no more than that") forbid(principal, action, resource) '
    "when { context.hourUtc * 9223372036854775807 > 0 };"
)


def test_a_forbid_that_errs_denies_though_the_engine_says_allow() -> None:
    facts = Facts(eligible=ELIGIBLE, now_ms=5 * 3_600_000)
    judged = judge_with(OVERFLOW)
    case = judged._case(AGENT, READ, facts)
    request = {
        "principal": {"type": "Agent", "id": "deployer"},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": "Environment", "id": "production"},
        "context": case.asks[0].with_signers(
            {"approvals": 0, "approvers": [], "approverTeams": [], "operatorSigned": False}
        ),
    }
    chosen = judged.bundle.slice("Agent", "read", "production").policies
    raw = cedarpy.is_authorized(request, chosen, case.entities, judged.bundle.schema)
    assert raw.decision is cedarpy.Decision.Allow, "the trap is gone: the test is out of date"
    decision = judged.decide(AGENT, READ, facts)
    assert decision.ruling is Ruling.DENY
    assert decision.reasons[0] == "evaluation-error"


# Trap 2: an entity that is not there makes a guard err, or never match.


def test_an_environment_nobody_configured_is_judged_as_production() -> None:
    decision = decide(BROAD, asked(effect(Verb.DELETE, environment="attic")))
    assert decision.ruling is Ruling.HOLD
    assert decision.quorum == 2


def test_a_human_nobody_enrolled_is_denied_though_a_policy_permits_everything() -> None:
    decision = judge_with(BROAD).decide(Principal("", "", "mallory"), READ, Facts())
    assert decision.ruling is Ruling.DENY
    assert decision.reasons == ("unknown-principal",)


def test_an_agent_in_a_team_is_bound_by_a_policy_about_the_team() -> None:
    rule = (
        '@id("no-interns") @why("interns only look") '
        'forbid(principal in Team::"interns", action in Action::"change", resource);'
    )
    bundle = compile_bundle("team", [Source("owner.cedar", rule)], agents={"temp": ["interns"]})
    update = asked(effect(Verb.UPDATE, "staging", Reversibility.EXACT))
    judged = CedarJudge(bundle)
    assert judged.decide(Principal("temp", "R-1", "olga"), update, Facts()).ruling is Ruling.DENY
    assert judged.decide(AGENT, update, Facts()).ruling is Ruling.ALLOW


# Trap 3: action groups live in the entities; without them a forbid never matches.


def test_a_bundle_whose_action_groups_are_lost_does_not_load(monkeypatch) -> None:
    parse = cedarpy.Entities.from_json_str
    monkeypatch.setattr(cedarpy.Entities, "from_json_str", lambda text, schema=None: parse(text))
    with pytest.raises(PolicyInvalid, match="canary"):
        compile_bundle("team", [Source("owner.cedar", BROAD)])


def test_a_policy_about_an_action_group_matches_every_action_in_it() -> None:
    rule = '@id("calm") @why("no changes") forbid(principal, action in Action::"change", resource);'
    for verb in Verb:
        decision = decide(rule, asked(effect(verb, "staging", Reversibility.EXACT)))
        assert (decision.ruling is Ruling.ALLOW) == (verb is Verb.READ), verb


# Trap 4: what the engine cannot read is neither Allow nor Deny.


def test_a_request_the_engine_cannot_read_is_denied() -> None:
    strange = replace(READ, action=Action("aws", "dynamodb:\ud800"))
    decision = decide(BROAD, strange)
    assert decision.ruling is Ruling.DENY


def test_no_decision_is_a_denial(monkeypatch) -> None:
    judged = judge_with(BROAD)
    case = judged._case(AGENT, READ, Facts())
    context = {**case.asks[0].context, "reversibility": 1.5}
    broken = replace(case, asks=(replace(case.asks[0], context=context),))
    monkeypatch.setattr(judged, "_case", lambda *_: broken)
    decision = judged.decide(AGENT, READ, Facts())
    assert decision.ruling is Ruling.DENY
    assert decision.reasons[0] == "evaluation-error"


def test_an_error_inside_is_a_denial_that_says_so(monkeypatch) -> None:
    judged = judge_with(BROAD)

    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(judged, "_case", fail)
    decision = judged.decide(AGENT, READ, Facts())
    assert decision.ruling is Ruling.DENY
    assert decision.reasons == ("engine-error",)
    assert "secret detail" not in decision.message


# Guard rails against an owner's own policies.


@pytest.mark.parametrize("verb", [v for v in Verb if v is not Verb.READ])
def test_a_broad_permit_of_the_owner_does_not_get_round_two_people(verb: Verb) -> None:
    decision = decide(BROAD, asked(effect(verb)))
    assert decision.ruling is Ruling.HOLD
    assert decision.quorum == 2


def test_an_environment_that_lies_in_production_is_production() -> None:
    bundle = compile_bundle("team", humans=HUMANS, environments={"prod-eu": "production"})
    decision = CedarJudge(bundle).decide(
        AGENT, asked(effect(Verb.DELETE, "prod-eu")), Facts(eligible=ELIGIBLE)
    )
    assert (decision.ruling, decision.quorum) == (Ruling.HOLD, 2)


def test_freezing_production_freezes_what_lies_in_it() -> None:
    bundle = compile_bundle("team", humans=HUMANS, environments={"prod-eu": "production"})
    decision = CedarJudge(bundle).decide(
        AGENT, asked(effect(Verb.UPDATE, "prod-eu")), Facts(frozen=frozenset({"production"}))
    )
    assert decision.reasons[0] == "frozen" or "frozen" in decision.reasons


# Computed holds.

NEEDS_DATA = (
    '@id("data-team") @why("tables need somebody of the data team") '
    'forbid(principal is Agent, action in Action::"change", resource) '
    'when { context.target.type == "dynamodb:table" } '
    'unless { context.approverTeams.contains("data") };'
)


def test_a_hold_counts_only_people_whose_sign_off_would_help() -> None:
    update = asked(effect(Verb.UPDATE, reversibility=Reversibility.EXACT))
    decision = decide(NEEDS_DATA, update)
    assert (decision.ruling, decision.quorum) == (Ruling.HOLD, 1)
    nobody = decide(NEEDS_DATA, update, Facts(eligible=frozenset({"ana"})))
    assert nobody.ruling is Ruling.DENY
    assert "data-team" in nobody.reasons


def test_a_policy_that_needs_both_teams_is_met_by_two_of_them() -> None:
    rule = NEEDS_DATA + NEEDS_DATA.replace("data-team", "platform-team").replace(
        '"data")', '"platform")'
    )
    update = asked(effect(Verb.UPDATE, reversibility=Reversibility.EXACT))
    assert decide(rule, update).quorum == 2
    signed = Facts(approvers=frozenset({"ana"}), eligible=frozenset({"bo", "cy"}))
    assert decide(rule, update, signed).quorum == 2
    assert decide(rule, update, Facts(approvers=frozenset({"ana", "bo"}))).ruling is Ruling.ALLOW


def test_a_sign_off_that_one_effect_needs_and_another_refuses_is_no_way_out() -> None:
    rule = (
        '@id("needs-bo") @why("bo owns it") forbid(principal, action == Action::"delete", resource)'
        ' unless { context.approvers.contains("bo") };'
        '@id("not-bo") @why("bo left") forbid(principal, action == Action::"update", resource)'
        ' when { context.approvers.contains("bo") };'
    )
    both = asked(effect(Verb.DELETE), effect(Verb.UPDATE))
    assert decide(rule, both).ruling is Ruling.DENY


def test_people_the_bundle_does_not_know_do_not_count() -> None:
    facts = Facts(approvers=frozenset({"eve", "mallory"}), eligible=ELIGIBLE)
    assert decide("", asked(effect(Verb.DELETE)), facts).quorum == 2
    assert decide("", asked(effect(Verb.DELETE)), replace(facts, eligible=frozenset())).ruling is (
        Ruling.DENY
    )


def test_reads_of_two_targets_are_told_apart_when_a_policy_does() -> None:
    rule = (
        '@id("secret-table") @why("nobody reads this one") '
        'forbid(principal, action == Action::"read", resource) '
        'when { context.target.uid == "secret" };'
    )
    both = asked(effect(Verb.READ), effect(Verb.READ, uid="secret"))
    assert decide(rule, both).reasons == ("secret-table",)


def test_many_targets_that_no_policy_tells_apart_are_asked_about_once() -> None:
    many = asked(*(effect(Verb.DELETE, uid=f"key-{n}") for n in range(500)))
    judged = judge_with("")
    assert len(judged._case(AGENT, many, Facts()).asks) == 1
    own = asked(*many.effects, effect(Verb.DELETE, uid="signoff:boundary/boundary-key"))
    assert judged.decide(AGENT, own, Facts(eligible=ELIGIBLE)).reasons == ("boundary-signoff",)


def test_a_bound_nobody_knows_is_above_every_limit() -> None:
    rule = (
        '@id("small") @why("at most 100 at once") '
        'forbid(principal, action in Action::"change", resource) when { context.bound > 100 };'
    )

    def ruling(bound: Bound) -> Ruling:
        one = effect(Verb.UPDATE, "staging", Reversibility.EXACT, bounds=(bound,))
        return decide(rule, asked(one)).ruling

    assert ruling(Bound(100, "items")) is Ruling.ALLOW
    assert ruling(Bound(101, "items")) is Ruling.DENY
    assert ruling(Bound(None, "items")) is Ruling.DENY
    assert ruling(Bound(1 << 80, "items")) is Ruling.DENY


# What an agent is told.


def test_a_denial_says_why_and_what_to_do_and_the_safer_way_in_one_line() -> None:
    stack = asked(effect(Verb.DELETE, kind=Kind.CONTAINER), safer="a change set\nthat keeps data")
    decision = decide("", stack)
    assert decision.message.startswith("denied: no agent deletes")
    assert "(boundary-container); next: " in decision.message
    assert decision.message.endswith("safer: a change set that keeps data")
    assert "\n" not in decision.message
    assert decision.obligations == (Obligation.NOTIFY,)


def test_a_hold_says_how_many_have_still_to_sign() -> None:
    decision = decide("", asked(effect(Verb.DELETE)))
    assert "2 people have to sign" in decision.message
    one = Facts(approvers=frozenset({"ana"}), eligible=frozenset({"bo"}))
    assert "1 more of 2 have to sign" in decide("", asked(effect(Verb.DELETE)), one).message


def test_every_decision_names_its_bundle_and_says_that_nothing_is_proved() -> None:
    decision = judge("team").decide(AGENT, READ, Facts())
    assert decision.bundle == shipped("team").digest
    assert decision.safeguard == "safeguard not proved"


def test_the_vectors_hold_nothing_but_what_they_are() -> None:
    for path in VECTORS:
        sentence, given, expected = load_text(path.read_text())
        assert sentence
        assert set(expected) == {"ruling", "quorum", "reasons", "obligations"}
        assert json.dumps(given)


def test_a_new_agent_is_known_after_its_first_request_and_the_old_are_forgotten_in_order() -> None:
    judged = judge_with("")
    first = judged.introduce("a-0")
    assert judged.introduce("a-0") is first
    for number in range(1, 513):
        judged.introduce(f"a-{number}")
    assert judged.introduce("a-0") is not first
