"""No request that can be asked breaks a premise of the proof: that is what discharges them."""

from __future__ import annotations

import json
from functools import cache
from unittest import mock

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

from properties.test_policy import AGENT, HUMANS, facts, understandings
from signoff.config.values import QuorumRow
from signoff.model.action import Principal
from signoff.model.effect import Verb
from signoff.policy import engine
from signoff.policy.bundle import Bundle, compile_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.premises import premises
from signoff.policy.quorums import Quorums

PEOPLE = {"olga": ("ops",), "ana": ("ops", "leads"), "bo": ("data",), "cy": ()}
PLACES = {"prod-eu": "production", "lab": "development"}
ROWS = (
    [],
    [QuorumRow("production", (), 2, 3)],
    [QuorumRow("prod-eu", ("deployer",), 1, 2, ("ops", "data")), QuorumRow("production", (), 3, 2)],
    [QuorumRow("staging", ("other",), 1, 1), QuorumRow("lab", (), 2, 2), QuorumRow("workspace")],
    [QuorumRow("production", ("other", 'odd "name*'), 0, 0, ("leads",))],
)
SETTINGS = st.fixed_dictionaries(
    {
        "calls_per_minute": st.sampled_from([1, 600]),
        "grants_required": st.booleans(),
        "grants_reads": st.booleans(),
        "rows": st.sampled_from(range(len(ROWS))),
    }
)
ASKING = st.sampled_from(
    [AGENT, Principal("other", "R-2", "ana"), Principal("olga", "R-3", "olga")]
    + [Principal("", "", name) for name in HUMANS]
)


@cache
def bundle(profile: str, chosen: str) -> Bundle:
    given = json.loads(chosen)
    rows = ROWS[given.pop("rows")] if profile == "team" else []
    given["quorum"] = [row.as_data() for row in rows]
    return compile_bundle(profile, humans=PEOPLE, environments=PLACES, settings=given)


@cache
def stated(profile: str, chosen: str) -> cedarpy.PolicySet:
    """Every premise as a `permit` of its own, by its number."""
    found = premises(bundle(profile, chosen))
    text = "\n".join(
        f'@id("{n}") permit (principal, action, resource) when {{ {p.expression} }};'
        for n, p in enumerate(found)
    )
    return cedarpy.PolicySet.from_str(text)


@given(st.sampled_from(["team", "solo"]), SETTINGS, ASKING, understandings, facts)
@settings(max_examples=400, deadline=None)
def test_every_request_the_engine_is_asked_satisfies_every_premise(
    profile, chosen, who, understanding, known
) -> None:
    asked = json.dumps(chosen)
    made = bundle(profile, asked)
    seen: list[tuple[dict[str, object], cedarpy.Entities]] = []
    really = cedarpy.is_authorized

    def noted(request, policies, entities, schema):
        seen.append((request, entities))
        return really(request, policies, entities, schema)

    with mock.patch.object(engine.cedarpy, "is_authorized", noted):
        decision = CedarJudge(made).decide(who, understanding, known)
    assert decision.reasons != ("engine-error",)
    number = len(premises(made))
    for request, entities in seen:
        result = really(request, stated(profile, asked), entities, made.schema)
        assert not result.diagnostics.errors
        held = {int(name.removeprefix("policy")) for name in result.diagnostics.reasons}
        broken = set(range(number)) - held
        assert not broken, [premises(made)[n].expression for n in broken]


@given(
    st.lists(
        st.builds(
            QuorumRow,
            environment=st.sampled_from(["production", "prod-eu", "staging"]),
            agents=st.sampled_from([(), ("a",), ("a", "b")]),
            undoable=st.integers(0, 4),
            irreversible=st.integers(0, 4),
        ),
        max_size=4,
    ),
    st.sampled_from(["", "a", "b", "c"]),
    st.sampled_from(Verb),
    st.sampled_from([("production",), ("prod-eu", "production"), ("staging",), ("attic",)]),
    st.booleans(),
    st.integers(0, 3),
)
def test_the_first_row_that_matches_says_how_many(
    rows, agent, verb, within, certain, reversibility
) -> None:
    found = Quorums(tuple(rows)).of(
        agent, verb, within, certain=certain, reversibility=reversibility
    )
    undoable = (
        certain
        and reversibility > 1
        and verb in {Verb.CREATE, Verb.UPDATE, Verb.DELETE, Verb.REPLACE}
    )
    expected = 0
    if verb is not Verb.READ:
        if "production" in within:
            expected = 1 if undoable else 2
        for row in reversed(rows):
            if agent and row.environment in within and (agent in row.agents or not row.agents):
                expected = row.undoable if undoable else row.irreversible
    assert found.people == expected
