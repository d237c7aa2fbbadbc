"""What changes from one bundle to another is told by requests the engine rules on so."""

from __future__ import annotations

import json

import cedarpy
import pytest

from signoff.model.decision import Ruling
from signoff.policy.askable import Candidate
from signoff.policy.bundle import agent_entity, compile_bundle
from signoff.policy.diff import Difference, Direction, diff
from signoff.policy.filler import filler_rules
from signoff.policy.statements import Source

HUMANS = {"ana": ("sre",), "bo": (), "mila": ("sre",), "cy": ()}
WEEKEND = (
    '@id("weekend") @why("not on weekends") forbid (principal is Agent, action in '
    'Action::"change", resource in Environment::"production") when { '
    'context.target.uid like "*:table/orders*" && context.weekday >= 6 };'
)
SRE = (
    '@id("sre-deletes") @why("sre signs") forbid (principal is Agent, action in '
    'Action::"destroy", resource in Environment::"production") '
    'when { context.target.kind == "data" } unless { context.approverTeams.contains("sre") };'
)
STAGING = (
    '@id("staging-free") @why("free") permit (principal is Agent, action == Action::"update", '
    'resource in Environment::"staging") when { context.name == "s3:PutObject" };'
)


def candidate(text: str = "", profile: str = "team", **known: object) -> Candidate:
    extra = [Source("own.cedar", text)] if text else []
    return Candidate(compile_bundle(profile, extra, **{"humans": HUMANS, **known}))


def assert_the_engine_agrees(found: Difference, old: Candidate, new: Candidate) -> None:
    """Each example, asked of the engine once more, with nothing of this package between."""
    assert found.examples
    for example in found.examples:
        refusing = old if example.direction is Direction.ALLOWED else new
        bundle, asked = refusing.bundle, dict(example.request)
        rows = json.dumps([agent_entity(asked["principal"]["id"])])
        everything = json.dumps(
            {
                "staticPolicies": {p.id: p.est for p in bundle.policies},
                "templates": {},
                "templateLinks": [],
            }
        )
        entities = bundle.entities
        if asked["principal"]["type"] == "Agent":
            entities = entities.with_added_json_str(rows)
        said = cedarpy.is_authorized(asked, everything, entities, bundle.schema)
        assert said.decision is cedarpy.Decision.Deny or said.diagnostics.errors, example.words
        allowed = (example.before.ruling is Ruling.ALLOW, example.after.ruling is Ruling.ALLOW)
        assert allowed == (example.direction is Direction.REFUSED, refusing is old)


def cells(found: Difference, direction: Direction) -> set[tuple[str, str, str]]:
    return {
        (e.principal, e.verb, e.environment) for e in found.examples if e.direction is direction
    }


def test_a_new_forbid_is_told_with_the_request_it_refuses() -> None:
    old, new = candidate(), candidate(WEEKEND)
    found = diff(old, new)
    assert_the_engine_agrees(found, old, new)
    assert cells(found, Direction.ALLOWED) == set()
    assert {place for _, _, place in cells(found, Direction.REFUSED)} == {"production"}
    first = found.groups[0].first
    assert ":table/orders" in first.words
    assert "on a S" in first.words
    assert [p.id for p in first.after.policies] == ["weekend"]
    assert (str(first.asked_before), str(first.asked_after)) == ("hold (1 person)", "deny")
    assert found.unknown == ()


def test_the_way_back_is_told_the_other_way_round() -> None:
    there = diff(candidate(), candidate(WEEKEND))
    back = diff(candidate(WEEKEND), candidate())
    assert cells(back, Direction.ALLOWED) == cells(there, Direction.REFUSED)
    assert cells(back, Direction.REFUSED) == set()


def test_a_change_that_another_one_hides_is_told_too() -> None:
    old, new = candidate(), candidate(WEEKEND + SRE)
    found = diff(old, new)
    assert_the_engine_agrees(found, old, new)
    told = {p.id for e in found.examples for p in e.after.policies}
    assert told == {"weekend", "sre-deletes"}


def test_who_signs_can_be_all_that_makes_the_difference() -> None:
    found = diff(candidate(), candidate(SRE))
    first = found.groups[0].first
    assert not {"ana", "mila"} & set(first.signers)
    assert str(first.asked_before) == str(first.asked_after) == "hold (1 person)"


def test_only_what_a_change_can_reach_is_told() -> None:
    old, new = candidate(), candidate(STAGING)
    assert diff(old, new).groups == ()
    unsigned = STAGING.replace('name == "s3:PutObject"', "reversibility == 0")
    assert diff(old, candidate(unsigned)).groups == ()


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_other_formatting_order_names_and_words_change_no_ruling(profile: str) -> None:
    own = WEEKEND + SRE
    renamed = (SRE + "\n\n// a comment\n" + WEEKEND.replace(" when", "\n\n  when")).replace(
        '@id("weekend") @why("not on weekends")', '@why("other words") @id("no-weekend")'
    )
    found = diff(candidate(own, profile), candidate(renamed, profile))
    assert found.groups == ()
    assert found.policies == ()
    assert found.settings == ()
    assert found.unknown == ()
    assert [(a.id, b.id) for a, b in found.texts] == [("weekend", "no-weekend")]
    assert found.queries == 0


def test_what_is_said_otherwise_and_means_the_same_changes_no_ruling() -> None:
    turned = WEEKEND.replace("context.weekday >= 6", "!(context.weekday < 6)")
    found = diff(candidate(WEEKEND), candidate(turned))
    assert found.groups == ()
    assert [(a and a.id, b and b.id) for a, b in found.policies] == [("weekend", "weekend")]
    assert found.queries > 0


@pytest.mark.parametrize(
    ("old", "new", "direction", "kind", "place"),
    [
        ({}, {"humans": {n: g for n, g in HUMANS.items() if n != "cy"}},
         Direction.REFUSED, "Agent", "production"),
        ({"environments": {"prod-eu": "production"}}, {"environments": {"prod-eu": "staging"}},
         Direction.ALLOWED, "Agent", "prod-eu"),
        ({}, {"environments": {"attic": "development"}}, Direction.ALLOWED, "Agent", "attic"),
        ({}, {"settings": {"calls_per_minute": 10}}, Direction.REFUSED, "Agent", "staging"),
        ({}, {"settings": {"grants_required": True}}, Direction.REFUSED, "Agent", "production"),
        ({}, {"settings": {"quorum": [{"undoable": 1, "irreversible": 3}]}},
         Direction.REFUSED, "Agent", "production"),
        ({"profile": "solo"}, {}, Direction.REFUSED, "Human", "production"),
    ],
    ids=["human-gone", "remapped", "new-place", "limit", "grants", "quorum", "profile"],
)  # fmt: skip
def test_a_setting_that_changes_rulings_is_told_by_a_request(
    old: dict[str, object],
    new: dict[str, object],
    direction: Direction,
    kind: str,
    place: str,
) -> None:
    before, after = candidate(**old), candidate(**new)
    found = diff(before, after)
    assert_the_engine_agrees(found, before, after)
    assert (kind, place) in {(k, p) for k, _, p in cells(found, direction)}
    assert found.settings
    assert found.unknown == ()


def test_a_hold_of_fewer_people_is_told_in_those_words() -> None:
    fewer = {"quorum": [{"undoable": 1, "irreversible": 2, "environment": "staging"}]}
    found = diff(candidate(), candidate(settings=fewer))
    told = {(str(e.asked_before), str(e.asked_after)) for e in found.examples}
    assert ("hold (1 person)", "hold (2 people)") in told


def test_a_planted_permit_among_many_rules_is_found() -> None:
    rules = filler_rules(60).text
    human = (
        '@id("look") @why("people look") permit (principal is Human, action == Action::"read", '
        'resource in Environment::"development") when { context.requesterVerified };'
    )
    found = diff(candidate(rules), candidate(rules + human))
    assert cells(found, Direction.ALLOWED) == {("Human", "read", "development")}
    assert [p.id for e in found.examples for p in e.after.policies] == ["look"]


def test_a_comparison_that_runs_out_of_time_says_where_it_did_not_look() -> None:
    found = diff(candidate(), candidate(WEEKEND), seconds=0)
    assert found.groups == ()
    (line,) = found.unknown
    assert line.startswith("not looked at within 0 s: agent read in `development`")


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    diff(candidate(), candidate(WEEKEND), progress=lambda done, of: told.append((done, of)))
    assert told[-1][0] == told[-1][1] == len(told)


def test_a_boundary_that_can_be_lowered_from_now_on_is_told() -> None:
    text = (
        '@id("boundary-x") @why("x") @boundary("never") forbid (principal is Agent, action, '
        'resource) when { context.weekday == 3 } unless { context.lowered.contains("boundary-x") };'
    )
    found = diff(candidate(text), candidate(text.replace('"never"', '"two-person"')))
    assert found.settings == ("the boundary `boundary-x` can be lowered",)
