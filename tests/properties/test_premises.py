"""No request that can be asked breaks a premise of the proof: that is what discharges them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

from properties.test_policy import AGENT, HUMANS, facts, understandings
from signing import Pen
from signoff.config import parse_config
from signoff.config.values import QuorumRow
from signoff.model.action import Principal
from signoff.model.effect import Verb
from signoff.policy import engine
from signoff.policy.bundle import Bundle, compile_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.loading import bundle_of
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
def stated(expressions: tuple[str, ...]) -> cedarpy.PolicySet:
    """Every premise as a `permit` of its own, by its number."""
    return cedarpy.PolicySet.from_str(
        "\n".join(f"permit (principal, action, resource) when {{ {e} }};" for e in expressions)
    )


def assert_kept(made, expressions, who, understanding, known) -> None:
    """Every request the engine is asked on the way to a decision satisfies every premise."""
    seen: list[tuple[dict[str, object], cedarpy.Entities]] = []
    really = cedarpy.is_authorized

    def noted(request, policies, entities, schema):
        seen.append((request, entities))
        return really(request, policies, entities, schema)

    with mock.patch.object(engine.cedarpy, "is_authorized", noted):
        decision = CedarJudge(made).decide(who, understanding, known)
    assert decision.reasons != ("engine-error",)
    for request, entities in seen:
        result = really(request, stated(expressions), entities, made.schema)
        assert not result.diagnostics.errors
        held = {int(name.removeprefix("policy")) for name in result.diagnostics.reasons}
        broken = set(range(len(expressions))) - held
        assert not broken, [expressions[n] for n in broken]


@given(st.sampled_from(["team", "solo"]), SETTINGS, ASKING, understandings, facts)
@settings(max_examples=400, deadline=None)
def test_every_request_the_engine_is_asked_satisfies_every_premise(
    profile, chosen, who, understanding, known
) -> None:
    made = bundle(profile, json.dumps(chosen))
    assert_kept(made, tuple(p.expression for p in premises(made)), who, understanding, known)


CONFIGURED = (
    'profile = "team"\nstate_dir = "state"\n'
    + "".join(
        f'[[human]]\nname = "{n}"\nkeys = ["{Pen(n).enrolled.public}"]\ngroups = {json.dumps(g)}\n'
        for n, g in PEOPLE.items()
    )
    + '[environment.prod-eu]\nwithin = "production"\n[environment.attic]\ncriticality = "high"\n'
    + '[environment.lab]\nwithin = "development"\ndisposable = true\n'
    + "[environment.staging]\ndisposable = true\n"
    + "[limits]\ncalls_per_minute = 7\n[grants]\nreads = true\n"
    + '[[quorum]]\nenvironment = "prod-eu"\nagents = ["deployer"]\nirreversible = 3\n'
    + '[[quorum]]\nenvironment = "staging"\nundoable = 1\ngroups = ["ops"]\n'
)


@given(ASKING, understandings, facts)
@settings(max_examples=200, deadline=None)
def test_the_premises_of_whole_settings_hold_for_every_request_too(
    who, understanding, known
) -> None:
    made, text = whole()
    known = replace(known, disposable=frozenset({"lab", "staging"}))
    assert_kept(made, text, who, understanding, known)


@cache
def whole() -> tuple[Bundle, tuple[str, ...]]:
    config = parse_config(CONFIGURED, Path("/etc/signoff/signoff.toml"))
    assert config.disposable == {"lab", "staging"}
    made = bundle_of(config)
    return made, tuple(p.expression for p in premises(made, config))


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
