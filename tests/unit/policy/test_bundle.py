"""Loading a bundle: wholly or not at all, and the message names file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from signoff.model.action import Action, Principal
from signoff.model.decision import Ruling
from signoff.model.effect import Effect, Resource, Understanding, Verb
from signoff.model.errors import PolicyInvalid
from signoff.model.ports import Facts
from signoff.policy.bundle import OWN_TARGETS, compile_bundle, load_bundle, shipped_sources
from signoff.policy.engine import CedarJudge
from signoff.policy.filler import filler_rules
from signoff.policy.statements import Source

GOOD = '@id("mine") @why("because") forbid(principal, action, resource) when { context.frozen };'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n\npermit(principal, action, resource", "line 3: the policy never ends"),
        ('// fine\n@id("a\n;', "line 2: a string never ends"),
        (f"{GOOD}\n\npermit(principal, action resource);", "line 3: not a Cedar policy"),
        (
            f"{GOOD}\n// a comment; with a semicolon\npermit(principal, action, resource);",
            "line 3: the policy has no `@id`",
        ),
        ('@id("a")\npermit(principal, action, resource);', "line 1: the policy has no `@why`"),
        ('@id("A b") @why("x") permit(principal, action, resource);', "`A b` is not an id"),
        ('@id("a") @why("x\\ny") permit(principal, action, resource);', "is not one line"),
        ('@id("a") @why("") permit(principal, action, resource);', "is not one line"),
        (
            '@id("a") @why("x") @bondary("never") permit(principal, action, resource);',
            "nobody knows the annotation `@bondary`",
        ),
        (
            '@id("a") @why("x") @boundary("maybe") forbid(principal, action, resource);',
            "`maybe` is no kind of boundary",
        ),
        (
            '@id("a") @why("x") permit(principal, action, resource) when { context.rows > 1 };',
            "`a` is not valid",
        ),
        (
            '@id("a") @why("x") permit(principal, action, resource) '
            'when { context.target.region == "x" };',
            "`a` is not valid",
        ),
        (
            '@id("a") @why("x") permit(principal, action == Action::"delte", resource);',
            "`a` is not valid",
        ),
        ('@id("a") @why("x") permit(principal == ?principal, action, resource);', "a template"),
        (";", "line 1"),
        (
            '@id("two-person") @why("x") permit(principal, action, resource);',
            "`two-person` is already the id of a policy in `team.cedar`",
        ),
        (f"{GOOD}\n{GOOD}", "line 2: `mine` is already the id of a policy in `owner.cedar` line 1"),
    ],
)
def test_a_policy_that_does_not_load_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        compile_bundle("team", [Source("owner.cedar", text)])
    assert says in str(caught.value)
    assert "`owner.cedar` line" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_owner_is_read(tmp_path: Path) -> None:
    file = tmp_path / "owner.cedar"
    file.write_text(GOOD)
    assert load_bundle("team", [file]).by_id["mine"].file == str(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"missing\.cedar"):
        load_bundle("team", [tmp_path / "missing.cedar"])
    (tmp_path / "binary.cedar").write_bytes(b"\n\xff")
    with pytest.raises(PolicyInvalid, match=r"line 2.*UTF-8"):
        load_bundle("team", [tmp_path / "binary.cedar"])
    (tmp_path / "big.cedar").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(PolicyInvalid, match="at most 1,048,576"):
        load_bundle("team", [tmp_path / "big.cedar"])


def test_there_are_two_profiles() -> None:
    with pytest.raises(PolicyInvalid, match="no profile `lax`"):
        compile_bundle("lax")


def test_an_environment_lies_in_a_shipped_one_or_in_none() -> None:
    with pytest.raises(PolicyInvalid, match="lies in `prod`"):
        compile_bundle("team", environments={"prod-eu": "prod"})
    with pytest.raises(PolicyInvalid, match="a shipped one lies in none"):
        compile_bundle("team", environments={"production": "staging"})


def test_the_digest_does_not_change_with_the_format_and_does_with_the_meaning() -> None:
    spaced = GOOD.replace(") when", ")\n  // why not\nwhen")
    other = GOOD.replace("frozen", "halted")
    digests = [compile_bundle("team", [Source("f", t)]).digest for t in (GOOD, spaced, other)]
    assert digests[0] == digests[1] != digests[2]
    plain = compile_bundle("team").digest
    assert plain != compile_bundle("solo").digest
    assert plain != compile_bundle("team", humans={"ana": []}).digest
    assert plain != compile_bundle("team", settings={"x": 1}).digest
    assert plain != compile_bundle("team", environments={"prod-eu": "production"}).digest


def test_a_policy_that_forbids_everything_loads() -> None:
    text = '@id("closed") @why("closed today") forbid(principal, action, resource);'
    assert "closed" in compile_bundle("team", [Source("f", text)]).by_id


def test_semicolons_and_slashes_inside_strings_end_nothing() -> None:
    text = (
        '@id("a") @why("a; b // c \\" d") forbid(principal, action, resource) '
        'when { context.name == "x;//" };'
    )
    assert compile_bundle("team", [Source("f", text)]).by_id["a"].why == 'a; b // c " d'


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_boundaries_say_whether_two_people_can_lower_them(profile: str) -> None:
    assert compile_bundle(profile).boundaries == {
        "boundary-container": True,
        "boundary-recovery": True,
        "boundary-audit": True,
        "boundary-key": True,
        "boundary-credentials": False,
        "boundary-signoff": False,
    }


@pytest.mark.parametrize(
    ("condition", "people", "targets"),
    [
        ('context.approvers.contains("ana")', True, False),
        ('context.approverTeams.contains("data")', True, False),
        ("context.approvals > 1", False, False),
        ('context.target.uid == "x"', False, True),
        ('context.target.type == "x"', False, False),
        ('context.target has region && context.target.region == "x"', False, False),
        ("[context.target].contains(context.target)", False, True),
    ],
)
def test_the_bundle_knows_what_its_policies_look_at(
    condition: str, people: bool, targets: bool
) -> None:
    text = f'@id("a") @why("x") forbid(principal, action, resource) when {{ {condition} }};'
    bundle = compile_bundle("team", [Source("f", text)])
    assert bundle.names_people is people
    assert bundle.looks_at_target is targets


def test_filler_rules_load_and_decide_nothing() -> None:
    bundle = compile_bundle("team", [filler_rules(75)])
    assert len(bundle.policies) == len(compile_bundle("team").policies) + 75
    assert bundle.looks_at_target is False
    assert bundle.names_people is False


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_the_shipped_policies_look_at_a_uid_only_for_signoffs_own(profile: str) -> None:
    conditions = [p for p in compile_bundle(profile).policies if "target.uid" in p.paths]
    assert conditions
    for source in shipped_sources(profile):
        for line in source.text.splitlines():
            if "target.uid" in line:
                assert f'context.target.uid like "{OWN_TARGETS}*"' in line
    for policy in compile_bundle(profile).policies:
        assert not policy.paths & {"target", ""}, policy.id


def test_the_limits_of_the_settings_are_those_the_policies_compare_with() -> None:
    limited = compile_bundle("team", settings={"calls_per_minute": 3})
    read = Understanding(
        Action("aws", "s3:ListBuckets"), (Effect(Verb.READ, Resource("b", "s3:bucket", "staging")),)
    )
    who = Principal("deployer", "R-1", "olga")
    for calls, ruling in ((3, Ruling.ALLOW), (4, Ruling.DENY)):
        decision = CedarJudge(limited).decide(who, read, Facts(calls_last_minute=calls))
        assert decision.ruling is ruling
    with pytest.raises(PolicyInvalid, match="changes_per_minute"):
        compile_bundle("team", settings={"changes_per_minute": 0})
