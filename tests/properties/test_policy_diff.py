"""A comparison leaves out no kind of request whose ruling differs, whoever asks and signs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.model.action import Action, Principal
from signoff.model.decision import Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.askable import Candidate
from signoff.policy.bundle import compile_bundle
from signoff.policy.diff import Direction, diff
from signoff.policy.engine import CedarJudge
from signoff.policy.statements import Source

HUMANS = {"olga": (), "ana": ("sre",), "bo": (), "cy": ("sre",)}
OWN = {
    "none": "",
    "hours": 'forbid (principal is Agent, action, resource) when { context.hourUtc < 8 };',
    "sre": 'forbid (principal is Agent, action in Action::"destroy", resource) '
    'unless { context.approverTeams.contains("sre") };',
    "names": 'forbid (principal, action in Action::"change", resource in '
    'Environment::"production") when { context.name like "iam:*" || '
    'context.target.uid == "arn:x" };',
    "sums": "forbid (principal is Agent, action, resource) when { context.bound + 10 > 500 };",
    "one": 'permit (principal == Agent::"kit", action == Action::"update", resource in '
    'Environment::"staging") when { context.reversibility >= 1 };',
    "human": "permit (principal is Human, action, resource) when { context.requesterVerified };",
    "lower": 'forbid (principal is Agent, action in Action::"grave", resource) '
    'unless { context.lowered.contains("boundary-audit") || context.frozen };',
}  # fmt: skip
PAIRS = (
    ("none", "hours", "team"),
    ("hours", "none", "solo"),
    ("sre", "names", "team"),
    ("sums", "one", "team"),
    ("human", "lower", "team"),
    ("lower", "sre", "solo"),
)
PLACES = {"prod-eu": "production"}

effects = st.builds(
    Effect,
    verb=st.sampled_from(Verb),
    resource=st.builds(
        Resource,
        uid=st.sampled_from(["arn:x", "arn:y", "signoff:boundary/boundary-key"]),
        type=st.just("dynamodb:table"),
        environment=st.sampled_from(["production", "prod-eu", "staging", "workspace"]),
        kind=st.sampled_from(Kind),
    ),
    bounds=st.tuples(st.builds(Bound, st.none() | st.integers(0, 1000), st.just("items"))),
    reversibility=st.sampled_from(Reversibility),
)
requests = st.builds(
    Understanding,
    action=st.builds(Action, st.just("aws"), st.sampled_from(["dynamodb:Put", "iam:PassRole"])),
    effects=effects.map(lambda effect: (effect,)),
    unknown=st.sampled_from([(), (), ("a member",)]),
)
facts = st.builds(
    Facts,
    approvers=st.frozensets(st.sampled_from(sorted(HUMANS))),
    frozen=st.frozensets(st.sampled_from(["staging", "production"]), max_size=1),
    repeats=st.sampled_from([0, 0, 20]),
    disposable=st.frozensets(st.just("staging")),
    lowered=st.frozensets(st.just(("boundary-audit", "production")), max_size=1),
    now_ms=st.integers(0, 7 * 86_400_000),
)
agents = st.sampled_from([Principal("kit", "R-1", "olga"), Principal("dev", "R-2", "olga")])
humans = st.sampled_from([Principal("", "", "olga"), Principal("", "", "bo")])


@cache
def candidate(name: str, profile: str) -> Candidate:
    text = f'@id("own") @why("x") {OWN[name]}' if OWN[name] else ""
    bundle = compile_bundle(
        profile, [Source("own.cedar", text)], humans=HUMANS, environments=PLACES
    )
    return Candidate(bundle)


@cache
def told(old: str, new: str, profile: str) -> frozenset[tuple[str, str, str, Direction]]:
    found = diff(candidate(old, profile), candidate(new, profile))
    assert found.unknown == ()
    return frozenset((e.principal, e.verb, e.environment, e.direction) for e in found.examples)


@pytest.mark.parametrize(("old", "new", "profile"), PAIRS)
@settings(max_examples=150, deadline=None)
@given(
    who=agents | humans,
    what=requests,
    given_facts=facts,
    undo=st.booleans(),
    verified=st.booleans(),
)
def test_every_kind_of_request_that_differs_has_its_example(
    old: str,
    new: str,
    profile: str,
    who: Principal,
    what: Understanding,
    given_facts: Facts,
    undo: bool,
    verified: bool,
) -> None:
    if not who.is_agent:
        given_facts = replace(given_facts, undo=undo, requester_verified=verified)
    before, after = (
        CedarJudge(candidate(name, profile).bundle).decide(who, what, given_facts).ruling
        for name in (old, new)
    )
    if (before is Ruling.ALLOW) is (after is Ruling.ALLOW):
        return
    direction = Direction.ALLOWED if after is Ruling.ALLOW else Direction.REFUSED
    (effect,) = what.effects
    # A read that is not wholly understood is asked as `unknown`.
    verb = Verb.UNKNOWN if effect.is_read and what.unknown else effect.verb
    kind = "Agent" if who.is_agent else "Human"
    cell = (kind, verb.value, effect.resource.environment, direction)
    assert cell in told(old, new, profile)


@pytest.mark.parametrize(("old", "new", "profile"), PAIRS)
def test_every_one_of_these_pairs_differs(old: str, new: str, profile: str) -> None:
    assert told(old, new, profile)
