"""What lint says of a policy is so; and of a policy that does its work it says nothing."""

from __future__ import annotations

import pytest

from signoff.policy.askable import Candidate
from signoff.policy.bundle import compile_bundle
from signoff.policy.filler import filler_rules
from signoff.policy.lint import RULES, Linted, Weight, lint
from signoff.policy.statements import Source

AGENT = "principal is Agent"
CHANGE = 'action in Action::"change"'
INSIDE = 'resource in Environment::"production"'


def rule(
    effect: str,
    when: str,
    what: str = "action",
    where: str = "resource",
    who: str = AGENT,
    name: str = "own",
    notes: str = "",
) -> str:
    return f'@id("{name}") @why("x") {notes} {effect} ({who}, {what}, {where}) when {{ {when} }};\n'


def linted(*rules: str, profile: str = "team", **known: object) -> Linted:
    return lint(Candidate(compile_bundle(profile, [Source("own.cedar", "".join(rules))], **known)))


def rules_found(found: Linted) -> list[tuple[str, str]]:
    assert found.unknown == ()
    return [(finding.rule, finding.policy.id) for finding in found.findings]


@pytest.mark.parametrize(
    "when",
    [
        "context.approvals > 3 && context.approvals < 2",
        'context.name like "s3:*" && context.name like "dynamodb:*"',
        'context.name == "s3:PutObject" && !(context.name like "s3:*")',
        "context.hourUtc > 23",
        "context.weekday == 0",
        "context.approvals < 0",
        "context.reversibility > 3",
        "context.certain && context.reversibility == 3 && !context.certain",
        "context.disposable && resource in Environment::\"production\"",
        "context.undo",
    ],
)  # fmt: skip
def test_a_policy_that_no_request_matches_is_found(when: str) -> None:
    assert rules_found(linted(rule("forbid", when))) == [("never-matches", "own")]


@pytest.mark.parametrize(
    "when",
    [
        "context.approvals < 3",
        'context.name like "s3:*" && context.name like "*:Put*"',
        "context.hourUtc > 22",
        "context.weekday == 7",
        "context.reversibility == 3",
        "context.disposable",
        "context.bound == 9223372036854775807",
        'context.approverTeams.contains("sre")',
        'context.approvers.contains("bo") && context.approvals == 3',
        'context.target has region && context.target.region == "eu-west-1"',
    ],
)
def test_a_forbid_that_does_its_work_is_left_alone(when: str) -> None:
    assert rules_found(linted(rule("forbid", when))) == []


def test_a_permit_that_a_forbid_always_overrides_is_found_with_that_forbid() -> None:
    text = rule("permit", "context.reversibility == 0 && context.approvals == 0", CHANGE, INSIDE)
    found = linted(text)
    assert rules_found(found) == [("always-overridden", "own")]
    (finding,) = found.warnings
    assert "two-person" in {p.id for p in finding.others}
    assert "it cannot be taken back, nobody signed" in finding.example


def test_a_forbid_of_the_owner_can_be_what_overrides() -> None:
    permit = rule("permit", "context.certain", 'action == Action::"read"', who="principal is Human")
    assert rules_found(linted(permit)) == []
    forbid = rule("forbid", "context.certain", who="principal is Human", name="people")
    assert ("always-overridden", "own") in rules_found(linted(permit, forbid))


def test_a_policy_that_errs_is_found_with_a_request_that_makes_it_err() -> None:
    found = linted(rule("forbid", "context.bound * 2 > 100"))
    assert rules_found(found) == [("errs", "own")]
    assert "4,611,686,018,427,387,904 rows or items" in found.findings[0].example


def test_a_sum_that_cannot_leave_the_range_does_not_err() -> None:
    assert rules_found(linted(rule("forbid", "context.hourUtc * 60 > 1000"))) == []


@pytest.mark.parametrize(
    ("when", "sort", "name", "near"),
    [
        ('context.target.kind == "databse"', "kind", "databse", "data"),
        ('["contaner", "data"].contains(context.target.kind)', "kind", "contaner", "container"),
        ('context.surface == "azure"', "surface", "azure", ""),
        ('!(context.lowered.contains("boundary-keys"))', "boundary", "boundary-keys",
         "boundary-key"),
    ],
    ids=["kind", "kinds", "surface", "boundary"],
)  # fmt: skip
def test_a_name_that_nothing_has_is_found(when: str, sort: str, name: str, near: str) -> None:
    found = linted(rule("forbid", when))
    assert ("unknown-name", "own") in rules_found(found)
    (finding,) = (f for f in found.findings if f.rule == "unknown-name")
    assert finding.says == f"there is no {sort} called `{name}`"
    if near:
        assert finding.next_step == f"write `{near}`"


def test_without_settings_an_environment_of_the_owner_is_not_called_unknown() -> None:
    text = rule("forbid", "context.bound > 9", where='resource in Environment::"prod-eu"')
    assert rules_found(linted(text)) == []
    known = linted(text, environments={"prod-eu": "production"})
    assert rules_found(known) == []


@pytest.mark.parametrize(
    ("when", "who"),
    [
        ('principal == Human::"ana"', "principal"),
        ('principal in Team::"sre"', "principal is Human"),
        ("context.approvals == 9", AGENT),
        ('context.approvers == ["bo", "cy"]', AGENT),
        ('context.requester == "kit"', AGENT),
        ('context.surface == "shell"', AGENT),
    ],
)
def test_without_settings_there_are_people_of_every_name(when: str, who: str) -> None:
    assert rules_found(linted(rule("forbid", when, who=who))) == []


def test_with_people_known_more_of_them_cannot_sign() -> None:
    three = {"ana": (), "bo": (), "mila": ()}
    assert rules_found(linted(rule("forbid", "context.approvals == 3"), humans=three)) == []
    assert rules_found(linted(rule("forbid", "context.approvals == 4"), humans=three)) == [
        ("never-matches", "own")
    ]


def test_of_many_people_every_team_is_looked_at() -> None:
    many = {f"h{n:03}": ("rest",) for n in range(200)} | {"zoe": ("sre",)}
    text = rule("forbid", 'context.approverTeams == ["sre"] && context.approvals == 1')
    assert rules_found(linted(text, humans=many)) == []


def test_a_boundary_that_can_be_lowered_in_vain_is_found() -> None:
    notes = '@boundary("two-person")'
    text = rule("forbid", "context.weekday == 4", notes=notes)
    assert rules_found(linted(text)) == [("cannot-be-lowered", "own")]
    asks = 'context.weekday == 4 && !(context.lowered.contains("own"))'
    assert rules_found(linted(rule("forbid", asks, notes=notes))) == []


def test_a_forbid_for_one_environment_by_name_only_is_found() -> None:
    one = 'resource == Environment::"production"'
    assert rules_found(linted(rule("forbid", "context.bound > 9", where=one))) == [
        ("only-itself", "own")
    ]


def test_what_changes_no_ruling_is_an_info_and_no_warning() -> None:
    found = linted(
        rule("permit", "context.approvals >= 2", 'action == Action::"update"', INSIDE, name="more"),
        rule("forbid", "context.approvals == 0", 'action == Action::"update"', INSIDE, name="less"),
        rule("forbid", "context.weekday == 3", name="one"),
        rule("forbid", "context.weekday == 3", name="two"),
    )
    assert rules_found(found) == [
        ("changes-nothing", "more"),
        ("changes-nothing", "less"),
        ("twin", "two"),
    ]
    assert found.warnings == ()
    assert {RULES[f.rule][0] for f in found.findings} == {Weight.INFO}


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_the_shipped_bundles_have_no_findings(profile: str) -> None:
    assert linted(profile=profile) == Linted()


@pytest.mark.slow
def test_among_a_hundred_rules_only_those_that_cannot_match_are_warned_of() -> None:
    found = lint(Candidate(compile_bundle("team", [filler_rules(100)])))
    # Every fifth asks for fewer sign-offs than none; a permit of a production change that asks
    # for none of them is forbidden as long as nobody signs.
    told = {rule: {f.policy.id for f in found.findings if f.rule == rule} for rule in RULES}
    assert told["never-matches"] == {f"filler-{n}" for n in range(0, 100, 5)}
    assert told["always-overridden"] == {"filler-16", "filler-46", "filler-76"}
    assert {rule for rule, ids in told.items() if ids} == {
        "never-matches",
        "always-overridden",
        "changes-nothing",
    }
    assert found.unknown == ()


def test_lint_that_runs_out_of_time_names_what_it_did_not_look_at() -> None:
    bundle = compile_bundle("team", [Source("own.cedar", rule("forbid", "context.bound > 9"))])
    found = lint(Candidate(bundle), seconds=0)
    assert found.findings == ()
    assert found.unknown == ("`own` (`own.cedar`): not looked at in time",)
