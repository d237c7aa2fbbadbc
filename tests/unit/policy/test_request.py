"""What the policies see is what the schema says and the reference describes."""

from __future__ import annotations

import json

from signoff.model.action import Action, Principal
from signoff.model.effect import Effect, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.bundle import shipped_schema
from signoff.policy.request import ATTRIBUTES, Limits, base_context, effect_context, signers_context

SHAPE = json.loads(shipped_schema())[""]["commonTypes"]["Request"]["attributes"]


def built(effect: Effect, facts: Facts, *unknown: str) -> dict[str, object]:
    action = Action("aws", "s3:Get", scope={"account": "1", "region": ""})
    understanding = Understanding(action, (effect,), unknown)
    return {
        **base_context(Principal("a", "R-1", "olga"), action, facts, Limits()),
        **effect_context(effect, understanding, facts, ("production",)),
        **signers_context(frozenset({"bo"}), {"bo": ("data",)}, False),
    }


TABLE = Resource("t", "dynamodb:table", "production")


def test_the_context_has_exactly_what_the_schema_and_the_reference_say() -> None:
    context = built(Effect(Verb.READ, TABLE), Facts())
    assert set(context) == set(SHAPE) == set(ATTRIBUTES)


def test_a_scope_member_that_is_not_known_is_left_out() -> None:
    context = built(Effect(Verb.READ, TABLE), Facts())
    assert context["target"] == {
        "uid": "t", "type": "dynamodb:table", "kind": "other", "account": "1"
    }  # fmt: skip


def test_what_is_not_certain_cannot_be_taken_back() -> None:
    exact = Effect(Verb.UPDATE, TABLE, reversibility=Reversibility.EXACT)
    assert built(exact, Facts())["reversibility"] == 3
    assert built(exact, Facts(), "a member")["reversibility"] == 0
    for verb in (Verb.UNKNOWN, Verb.DISCLOSE):
        claim = Effect(verb, TABLE, reversibility=Reversibility.EXACT)
        assert built(claim, Facts())["reversibility"] == 0


def test_the_clock_is_told_in_hours_and_days_of_utc() -> None:
    # 2024-01-01 was a Monday.
    context = built(Effect(Verb.READ, TABLE), Facts(now_ms=1_704_067_200_000 + 13 * 3_600_000))
    assert (context["hourUtc"], context["weekday"]) == (13, 1)


def test_only_boundaries_lowered_in_this_environment_are_lowered() -> None:
    lowered = frozenset({("boundary-key", "staging"), ("boundary-audit", "production")})
    assert built(Effect(Verb.READ, TABLE), Facts(lowered=lowered))["lowered"] == ["boundary-audit"]
