"""A bundle is proved, or a request is named that breaks it, or nothing is claimed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cedarpy
import pytest

from signoff.model.errors import PolicyInvalid
from signoff.policy.bundle import Bundle, compile_bundle, shipped_schema, with_only
from signoff.policy.counterexamples import policy_set
from signoff.policy.premises import premises
from signoff.policy.proofs import Outcome, Premise, Proof
from signoff.policy.prove import proof_digest, prove
from signoff.policy.statements import Policy, Source, policies
from signoff.policy.symbolic import questions

HUMANS = {"ana": ["sre"], "bo": ["data"]}
GUARDS = {"one-person", "two-person", "two-person-grave"}
NO_BILLING = (
    '@id("no-billing") @why("no agent changes billing") forbid (principal is Agent, '
    'action in Action::"change", resource) when { context.surface == "billing" };'
)


def bundle(*texts: str, profile: str = "team", without: Sequence[str] = (), **more) -> Bundle:
    """The shipped policies and a file for each text, less some of the shipped ones."""
    sources = [Source(f"extra-{n}.cedar", text) for n, text in enumerate(texts)]
    whole = compile_bundle(profile, sources, humans=HUMANS, **more)
    return with_only(whole, [p for p in whole.policies if p.id not in without])


def bare(*texts: str, **more) -> Bundle:
    """Nothing but a file for each text: what is permitted is what they permit."""
    whole = bundle(*texts, **more)
    return with_only(whole, [p for p in whole.policies if not p.shipped])


def stated(text: str) -> list[Policy]:
    """Invariants of one's own."""
    return policies(Source("own.cedar", text), cedarpy.Schema.from_json_str(shipped_schema()))


def proof(
    of: Bundle, invariant: str = "", more: Sequence[Premise] = (), settings: bool = True
) -> Proof:
    """The proof of a bundle, by what its settings say and some premises more."""
    given = (*(premises(of) if settings else ()), *more)
    return prove(of, premises=given, invariants=stated(invariant) if invariant else None)


def billing(condition: str, name: str = "bills") -> str:
    """A permit that lets any agent do anything, on a condition."""
    return (
        f'@id("{name}") @why("x")\npermit (principal is Agent, action == Action::"update", '
        f'resource) when {{ context.surface == "billing" && {condition} }};'
    )


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_the_shipped_policies_are_proved(profile: str) -> None:
    found = proof(compile_bundle(profile))
    assert found.outcome is Outcome.PROVED, found
    assert found.proved
    assert not found.counterexamples
    assert not found.unknown
    assert len(found.invariants) >= 15


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_no_permit_of_an_owner_breaks_what_the_shipped_forbids_keep(profile: str) -> None:
    broad = '@id("broad") @why("x") permit (principal is Agent, action, resource);'
    assert proof(bundle(broad, profile=profile)).outcome is Outcome.PROVED


def test_a_bad_permit_is_named_with_its_file_and_line() -> None:
    text = "// Costs are only data.\n\n" + (
        '@id("costs") @why("x")\npermit (principal is Agent, action == Action::"delete", '
        'resource in Environment::"production")\n'
        'when { context.name like "ce:*" && context.approvals >= 1 };'
    )
    found = proof(bundle(text, without=sorted(GUARDS)))
    assert found.outcome is Outcome.VIOLATED
    (each,) = found.counterexamples
    assert each.invariant == "invariant-two-person"
    (culprit,) = each.culprits
    assert (culprit.id, culprit.file, culprit.line) == ("costs", "extra-0.cedar", 3)
    assert "`costs` (extra-0.cedar line 3)" in each.words
    assert each.words.startswith("agent `any-agent` deletes a resource (by `ce:`) in `production`")
    assert "1 person signed" in each.words


def test_a_counterexample_is_plain_wherever_it_does_not_matter() -> None:
    found = proof(bare(billing("context.bound > 7")), NO_BILLING, settings=False)
    context = found.counterexamples[0].request["context"]
    told = {name: value for name, value in context.items() if value not in (False, 0, "", [])}
    assert told.pop("bound") > 7
    assert told == {"surface": "billing", "target": {"uid": "", "type": "", "kind": ""}}


def test_a_counterexample_is_a_request_the_engine_allows() -> None:
    of = bare(billing("context.bound > 7"))
    (each,) = proof(of, NO_BILLING).counterexamples
    rows = [row for row in each.entities if row["uid"]["type"] != "Action"]
    entities = cedarpy.Entities.from_json_str(json.dumps(rows), schema=of.schema_text)
    whole = policy_set({p.id: p.est for p in of.policies})
    said = cedarpy.is_authorized(dict(each.request), whole, entities, of.schema)
    assert said.decision is cedarpy.Decision.Allow
    assert "bills" in said.diagnostics.reasons


def test_every_permit_that_breaks_an_invariant_is_named() -> None:
    of = bare(billing("context.bound > 7"), billing("context.weekday == 2", "mondays"))
    found = proof(of, NO_BILLING)
    named = {culprit.id for each in found.counterexamples for culprit in each.culprits}
    assert {"bills", "mondays"} <= named


def test_a_corrected_permit_is_proved() -> None:
    fine = billing('context.bound > 7 && context.surface == "aws"')
    assert proof(bare(fine), NO_BILLING).outcome is Outcome.PROVED


# --- what the engine does, and what the judge refuses ------------------------------


def test_a_permit_that_always_errs_allows_nothing() -> None:
    errs = billing("9223372036854775807 + 1 > context.bound")
    assert proof(bare(errs), NO_BILLING).outcome is Outcome.PROVED


def test_a_forbid_that_errs_is_refused_by_the_judge_and_no_counterexample() -> None:
    errs = (
        '@id("overflows") @why("x") forbid (principal, action, resource) '
        "when { context.bound + 9223372036854775807 > 0 };"
    )
    of = bare(billing("context.bound > 0"), errs)
    assert proof(of, NO_BILLING).outcome is Outcome.PROVED


def test_overflow_is_an_error_and_no_large_number() -> None:
    wraps = billing("context.bound * 4 < 0 && context.bound > 0")
    assert proof(bare(wraps), NO_BILLING).outcome is Outcome.PROVED


def test_an_invariant_that_errs_is_broken() -> None:
    errs = (
        '@id("own") @why("x") forbid (principal is Agent, action == Action::"update", resource) '
        "when { context.bound + 1 < 0 };"
    )
    found = proof(bare(billing("context.bound > 5")), errs, settings=False)
    assert found.outcome is Outcome.VIOLATED
    assert found.counterexamples[0].request["context"]["bound"] == 2**63 - 1


def test_patterns_that_exclude_each_other_are_never_both_matched() -> None:
    never = billing('context.name like "dynamodb:*" && context.name like "s3:*"')
    assert proof(bare(never), NO_BILLING).outcome is Outcome.PROVED


def test_a_text_for_several_patterns_is_found() -> None:
    hard = billing(
        'context.name like "a*c" && context.name like "*b*" && '
        'context.name != "abc" && !(context.name like "*bb*")'
    )
    (each, *_) = proof(bare(hard), NO_BILLING).counterexamples
    name = each.request["context"]["name"]
    assert name.startswith("a")
    assert name.endswith("c")
    assert "b" in name
    assert "bb" not in name


def test_a_team_counts_as_the_bundle_knows_it() -> None:
    crew = (
        '@id("crew") @why("x") permit (principal in Team::"crew", action, resource) '
        'when { context.surface == "billing" };'
    )
    nobody = bare(crew, agents={"deployer": ["other"]})
    assert proof(nobody, NO_BILLING).outcome is Outcome.PROVED
    someone = bare(crew, agents={"deployer": ["crew"]})
    (each, *_) = proof(someone, NO_BILLING).counterexamples
    assert each.request["principal"] == {"type": "Agent", "id": "deployer"}


def test_a_human_of_a_counterexample_is_enrolled() -> None:
    anyone = '@id("anyone") @why("x") permit (principal is Human, action, resource);'
    own = (
        '@id("own") @why("x") forbid (principal is Human, action == Action::"delete", resource) '
        "unless { context.requesterVerified };"
    )
    (each, *_) = proof(bundle(anyone), own).counterexamples
    assert each.request["principal"]["type"] == "Human"
    assert each.request["principal"]["id"] in HUMANS


@pytest.mark.parametrize(("scope", "outcome"), [("==", "violated"), ("in", "proved")])
def test_a_guard_for_production_alone_does_not_guard_what_lies_in_it(
    scope: str, outcome: str
) -> None:
    guard = (
        '@id("guard") @why("x") forbid (principal is Agent, action in Action::"change", '
        f'resource {scope} Environment::"production") unless {{ context.approvals >= 2 }};'
        '@id("broad") @why("x") permit (principal is Agent, action, resource);'
    )
    of = bare(guard, environments={"prod-eu": "production"})
    own = (
        '@id("own") @why("x") forbid (principal is Agent, action in Action::"change", '
        'resource in Environment::"production") unless { context.approvals >= 2 };'
    )
    found = proof(of, own)
    assert found.outcome.value == outcome
    for each in found.counterexamples:
        assert each.request["resource"]["id"] == "prod-eu"
        assert "in `prod-eu` (within `production`)" in each.words


# --- premises ----------------------------------------------------------------------


def test_a_premise_constrains_what_is_asked_and_is_stated() -> None:
    of = bare(billing("context.bound > 7"))
    never = Premise("context.bound <= 7", "nothing is large", "signoff.toml", 12, "request.py")
    assert proof(of, NO_BILLING, settings=False).outcome is Outcome.VIOLATED
    found = proof(of, NO_BILLING, [never], settings=False)
    assert found.outcome is Outcome.PROVED
    (taken,) = [a for a in found.assumptions if a.says == "nothing is large"]
    assert (taken.file, taken.line, taken.discharged_by) == ("signoff.toml", 12, "request.py")


def test_a_counterexample_names_the_premises_it_leant_on() -> None:
    of = bare(billing("context.approvals >= 1"))
    low = Premise("context.approvals <= 1", "one person signs", "signoff.toml", 4)
    other = Premise("context.weekday == 3", "it is Wednesday", "signoff.toml", 9)
    (each, *_) = proof(of, NO_BILLING, [low, other], settings=False).counterexamples
    assert each.premises == (low,)
    assert "one person signs (signoff.toml line 4)" in each.words
    assert "Wednesday" not in each.words


def test_premises_that_contradict_each_other_prove_nothing() -> None:
    both = [Premise("context.bound > 3", "more"), Premise("context.bound < 2", "less")]
    found = proof(compile_bundle("team"), more=both)
    assert found.outcome is Outcome.UNKNOWN
    assert "contradict" in found.unknown[0]


def test_a_premise_that_leaves_no_request_of_a_kind_is_told() -> None:
    none = Premise('!(action == Action::"disclose")', "nothing discloses")
    found = proof(compile_bundle("team"), more=[none])
    assert found.outcome is Outcome.PROVED
    told = [a.says for a in found.assumptions]
    assert "the premises leave no request of an agent that asks to `disclose`" in told


@pytest.mark.parametrize(
    "expression",
    [
        "context.nothing",
        "context.bound +",
        "true }; permit (principal, action, resource) when { true",
    ],
)
def test_a_premise_that_is_no_condition_is_refused_with_its_line(expression: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"`signoff\.toml` line 3"):
        proof(compile_bundle("team"), more=[Premise(expression, "x", "signoff.toml", 3)])


# --- nothing is claimed that was not shown -----------------------------------------


def test_what_the_engine_does_not_confirm_is_unknown() -> None:
    never = billing('decimal("1.7").lessThan(decimal("1.6"))')
    found = proof(bare(never), NO_BILLING)
    assert found.outcome is Outcome.UNKNOWN
    assert any("the engine does not allow" in text for text in found.unknown)


def test_what_the_engine_confirms_is_a_counterexample_however_it_was_found() -> None:
    always = billing('decimal("1.5").lessThan(decimal("1.6"))')
    assert proof(bare(always), NO_BILLING).outcome is Outcome.VIOLATED


def with_form(of: Bundle, name: str, **change: object) -> Bundle:
    """A bundle in which one policy has a form Cedar does not have yet."""
    changed = [replace(p, est={**p.est, **change}) if p.id == name else p for p in of.policies]
    return replace(of, policies=tuple(changed))


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": [{"kind": "when", "body": {"newOperator": {"arg": {"Value": True}}}}]},
        {"conditions": [{"kind": "whenever", "body": {"Value": True}}]},
        {"conditions": [{"kind": "when"}]},
        {"principal": {"op": "==", "slot": "?principal"}},
        {"principal": {"op": "near", "entity": {"type": "Agent", "id": "a"}}},
    ],
    ids=["operator", "condition", "no-body", "template", "scope"],
)
def test_a_form_nobody_knows_is_unknown_and_named(change: dict[str, object]) -> None:
    of = with_form(bare(billing("true")), "bills", **change)
    found = proof(of, NO_BILLING)
    assert found.outcome is Outcome.UNKNOWN
    assert all("`bills` (extra-0.cedar line 1)" in text for text in found.unknown)


def test_a_solver_that_gives_up_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "EFFORT_MOST", 1)
    found = proof(compile_bundle("team"))
    assert found.outcome is Outcome.UNKNOWN
    assert "gave up" in found.unknown[0]


# --- how it is asked ---------------------------------------------------------------


def test_progress_goes_from_nothing_to_everything() -> None:
    told: list[tuple[int, int]] = []
    prove(compile_bundle("solo"), progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 20)
    assert told[-1] == (20, 20)
    assert told == sorted(told)


def test_the_digest_covers_all_that_a_proof_depends_on() -> None:
    of, more = compile_bundle("team"), [Premise("true", "x")]
    found = {
        proof_digest(of),
        proof_digest(compile_bundle("solo")),
        proof_digest(bare(billing("true"))),
        proof_digest(of, more),
        proof_digest(of, [Premise("true", "y")]),
        proof_digest(of, (), stated(NO_BILLING)),
    }
    assert len(found) == 6
    assert prove(of, premises=more).digest == proof_digest(of, more)


def test_what_a_proof_rests_on_is_always_said() -> None:
    says = " ".join(a.says for a in proof(compile_bundle("team")).assumptions)
    for taken in ("errs is refused", "human whom the bundle does not know", "distinct verified"):
        assert taken in says


def test_two_proofs_at_once_do_not_disturb_each_other() -> None:
    bad = bare(billing("context.bound > 7"))
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(proof, *each) for each in ((compile_bundle("team"),), (bad, NO_BILLING)) * 3
        ]
    outcomes = [job.result().outcome for job in jobs]
    assert outcomes == [Outcome.PROVED, Outcome.VIOLATED] * 3


def test_the_solver_is_loaded_only_to_prove() -> None:
    code = (
        "import sys; import signoff.policy.prove, signoff.policy.engine; "
        "sys.exit('z3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
