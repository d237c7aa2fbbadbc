"""What of a context a set of policies can tell apart."""

from __future__ import annotations

import cedarpy
import pytest

from signoff.policy.bundle import shipped_schema
from signoff.policy.statements import Source, policies
from signoff.policy.told import Told, told

CONTEXT = {
    "name": "dynamodb:Put",
    "target": {"uid": "arn:x", "type": "t", "kind": "data"},
    "hourUtc": 3,
    "callsLastMinute": 5,
    "callsMost": 600,
    "changesLastMinute": 0,
    "repeats": 0,
    "lowered": [],
}


def looked_at(condition: str) -> Told:
    text = f'@id("p") @why("x") forbid(principal, action, resource) when {{ {condition} }};'
    schema = cedarpy.Schema.from_json_str(shipped_schema())
    return told(policies(Source("p.cedar", text), schema))


@pytest.mark.parametrize(
    ("condition", "other", "tells"),
    [
        ("context.callsLastMinute > context.callsMost", {"callsLastMinute": 6}, False),
        ("context.callsLastMinute > context.callsMost", {"callsLastMinute": 601}, True),
        ("context.callsLastMinute > context.callsMost", {"callsMost": 4}, True),
        ("5 >= context.callsLastMinute", {"callsLastMinute": 6}, True),
        ("context.callsLastMinute + 1 > context.callsMost", {"callsLastMinute": 6}, True),
        ("context.callsLastMinute == 5", {"callsLastMinute": 6}, True),
        ("context.hourUtc < 12", {"hourUtc": 4}, True),
        ("context.repeats > 5", {"hourUtc": 4}, False),
        ('context.lowered.contains("b")', {"lowered": ["b"]}, True),
    ],
)
def test_a_difference_counts_exactly_when_a_policy_looks_at_it(
    condition: str, other: dict[str, object], tells: bool
) -> None:
    looks = looked_at(condition)
    assert (looks.of(CONTEXT) != looks.of({**CONTEXT, **other})) is tells


@pytest.mark.parametrize(
    ("condition", "uid", "tells"),
    [
        ('context.target.uid like "signoff:*"', "arn:y", False),
        ('context.target.uid like "signoff:*"', "signoff:boundary/x", True),
        ('context.target.uid like "*y"', "arn:y", True),
        ('context.target.uid like "arn:x"', "arn:y", True),
        ('context.target.uid == "arn:x"', "arn:y", True),
        ('context.target.type == "t"', "arn:y", False),
    ],
)
def test_a_target_counts_by_its_beginning_where_that_is_all_that_is_looked_at(
    condition: str, uid: str, tells: bool
) -> None:
    looks = looked_at(condition)
    other = {**CONTEXT, "target": {**CONTEXT["target"], "uid": uid}}  # type: ignore[dict-item]  # a dict
    assert (looks.of(CONTEXT) != looks.of(other)) is tells


def test_what_json_may_not_carry_unharmed_is_left_to_the_engine() -> None:
    other = {**CONTEXT, "target": {"uid": "arn:\ud800", "type": "t", "kind": "data"}}
    assert looked_at("context.repeats > 5").of(other) is None
