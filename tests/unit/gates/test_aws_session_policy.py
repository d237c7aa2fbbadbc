"""What a session policy allows, by an evaluator that is not Signoff's own (moto's)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.iam.access_control import IAMPolicy, PermissionResult

from signoff.approvals.grants import VERBS
from signoff.gates.aws_session_policy import (
    CHARACTERS_MOST,
    LEVELS,
    ORCHESTRATORS,
    levels_of,
    session_policy,
)
from signoff.model.errors import ConfigInvalid
from signoff.surfaces.aws.levels import READS, actions_of, iam_prefix
from signoff.surfaces.aws.models import Models

SERVICES = ("dynamodb", "s3", "rds", "sqs", "lambda", "iam", "ec2", "kms", "sts", "logs")
READ, CHANGE = frozenset({"read"}), frozenset({"read", "create", "update"})
VERB_SETS = (READ, CHANGE, frozenset({"delete"}), frozenset({"permit"}), frozenset(VERBS))


def permits(text: str, action: str) -> bool:
    return IAMPolicy(text).is_action_permitted(action) is PermissionResult.PERMITTED


@pytest.mark.parametrize("verbs", VERB_SETS, ids=lambda v: "+".join(sorted(v))[:30])
@pytest.mark.parametrize("service", SERVICES)
def test_of_its_service_a_session_may_do_what_its_levels_say_and_nothing_else(
    service: str, verbs: frozenset[str]
) -> None:
    made, levels, prefix = session_policy(service, verbs), levels_of(verbs), iam_prefix(service)
    for name, level in actions_of(prefix).items():
        if service == "kms":  # Keys are also reached on behalf of other services.
            assert permits(made.text, f"kms:{name}") or level not in levels
        else:
            assert permits(made.text, f"{prefix}:{name}") is (level in levels), (name, level)
    for other in ("s3:DeleteBucket", "rds:DeleteDBInstance", "iam:CreateUser"):
        if not other.startswith(f"{prefix}:"):
            assert not permits(made.text, other)


def test_without_a_verb_nothing_is_allowed() -> None:
    made = session_policy("s3", frozenset())
    assert not permits(made.text, "s3:GetObject")
    assert json.loads(made.text)["Statement"] == [
        {"Effect": "Deny", "Action": "*", "Resource": "*"}
    ]


@pytest.mark.slow
@pytest.mark.parametrize("verbs", [READ, CHANGE, frozenset(VERBS)], ids=["read", "change", "all"])
def test_for_every_service_the_text_is_short_enough_and_nothing_granted_is_missing(
    verbs: frozenset[str],
) -> None:
    levels = levels_of(verbs)
    models = Models()
    for service in models.services():
        signing = str(models.service(service).signing_name)
        made = session_policy(service, verbs, signing_name=signing)
        assert len(made.text) <= CHARACTERS_MOST, service
        prefix = iam_prefix(service) if actions_of(iam_prefix(service)) else signing
        known = actions_of(prefix)
        # An evaluator of regular expressions is slow; a tenth of every service shows it.
        for name, level in sorted(known.items())[::10]:
            if level in levels and service not in ORCHESTRATORS:
                assert permits(made.text, f"{prefix}:{name}"), (service, name)
            elif level not in levels and not made.widened and prefix != "kms":
                assert not permits(made.text, f"{prefix}:{name}"), (service, name)
        if not known:
            assert made.widened


def test_stacks_may_touch_everything_but_who_may_do_what() -> None:
    made = session_policy("cloudformation", CHANGE)
    assert "all services" in made.widened
    for allowed in ("dynamodb:CreateTable", "cloudformation:UpdateStack", "iam:PassRole"):
        assert permits(made.text, allowed)
    for refused in ("iam:CreateUser", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        assert not permits(made.text, refused)
    assert permits(
        session_policy("cloudformation", frozenset({"permit"})).text, "iam:PutRolePolicy"
    )
    looked = session_policy("cloudformation", READ)
    assert not permits(looked.text, "dynamodb:CreateTable")
    assert not permits(looked.text, "cloudformation:UpdateStack")


ACTIONS = ["s3:*", "s3:Get*", "s3:PutObject", "s3:Delete*", "dynamodb:*", "dynamodb:*Item", "*"]
STATEMENTS = st.builds(
    lambda effect, key, actions: {"Effect": effect, key: actions, "Resource": "*"},
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from(["Action", "Action", "NotAction"]),
    st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(STATEMENTS, min_size=1, max_size=3),
    st.sampled_from(["s3", "dynamodb"]),
    st.sampled_from([READ, CHANGE]),
)
def test_what_the_owners_session_policy_refuses_no_session_may_do(
    statements: list[dict[str, object]], service: str, verbs: frozenset[str]
) -> None:
    configured = json.dumps({"Version": "2012-10-17", "Statement": statements})
    made, levels = session_policy(service, verbs, configured), levels_of(verbs)
    for name, level in actions_of(service).items():
        action = f"{service}:{name}"
        theirs = permits(configured, action)
        ours = permits(made.text, action)
        assert theirs or not ours, (action, made.text)
        if not made.widened:
            assert ours is (theirs and level in levels), (action, made.text)


def test_resources_and_conditions_of_the_owners_policy_are_kept() -> None:
    statement = {
        "Sid": "Mine",
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::mine/*",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }
    configured = json.dumps({"Version": "2012-10-17", "Statement": statement})
    (kept,) = json.loads(session_policy("s3", READ, configured).text)["Statement"]
    assert kept["Resource"] == "arn:aws:s3:::mine/*"
    assert kept["Condition"] == statement["Condition"]
    assert "s3:GetObject" not in kept["Action"] or "s3:*" not in kept["Action"]
    assert not any(a.startswith("s3:Put") for a in kept["Action"])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"Statement": [{"Effect": "Maybe", "Action": "*"}]}', '{"Statement": [{}]}'],
)
def test_a_configured_text_that_is_no_policy_is_refused(text: str) -> None:
    if not text:
        assert session_policy("s3", READ, text).text
        return
    with pytest.raises(ConfigInvalid, match="not a policy"):
        session_policy("s3", READ, text)


def test_verbs_need_the_levels_they_read_and_write_by() -> None:
    assert levels_of(()) == frozenset()
    assert levels_of({"read"}) == READS
    assert levels_of({"delete"}) == READS | {"Write", "Tagging"}
    assert levels_of({"unknown"}) == LEVELS
