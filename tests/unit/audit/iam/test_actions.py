from __future__ import annotations

import pytest

from signoff.audit.iam import actions
from signoff.model.effect import Kind, Verb


@pytest.mark.parametrize(
    ("operation", "needs"),
    [
        ("s3:ListObjectsV2", ("s3:ListBucket",)),
        ("s3:HeadObject", ("s3:GetObject",)),
        ("s3:CopyObject", ("s3:GetObject", "s3:PutObject")),
        ("lambda:Invoke", ("lambda:InvokeFunction",)),
        ("stepfunctions:StartExecution", ("states:StartExecution",)),
        ("elbv2:DeleteLoadBalancer", ("elasticloadbalancing:DeleteLoadBalancer",)),
        ("dynamodb:GetItem", ("dynamodb:GetItem",)),
        ("somethingnew:DoIt", ("somethingnew:DoIt",)),
    ],
)
def test_an_api_call_needs_the_actions_aws_names(operation: str, needs: tuple[str, ...]) -> None:
    assert actions.actions_of(operation) == needs


@pytest.mark.parametrize(
    ("action", "verb"),
    [
        ("s3:DeleteObject", Verb.DELETE),
        ("s3:DeleteObjectVersion", Verb.DELETE),
        ("s3:PutLifecycleConfiguration", Verb.DELETE),
        ("dynamodb:UpdateTable", Verb.DISARM),
        ("rds:ModifyDBInstance", Verb.DISARM),
        ("cloudtrail:StopLogging", Verb.DISARM),
        ("secretsmanager:GetSecretValue", Verb.DISCLOSE),
        ("sts:AssumeRole", Verb.DISCLOSE),
        ("iam:PassRole", Verb.PERMIT),
        ("iam:AttachRolePolicy", Verb.PERMIT),
        ("lambda:InvokeFunction", Verb.EXECUTE),
        ("apigateway:DELETE", Verb.DELETE),
        ("nobody:KnowsThis", Verb.UNKNOWN),
    ],
)
def test_an_action_has_the_worst_that_any_of_its_requests_may_do(action: str, verb: Verb) -> None:
    assert verb in actions.known(action).verbs


def test_reads_only_read() -> None:
    for action in ("ec2:DescribeInstances", "s3:ListBucket", "dynamodb:PartiQLSelect"):
        assert actions.known(action).verbs == {Verb.READ}


def test_every_action_that_the_tables_name_is_one_that_is_known() -> None:
    named = {a for r in actions.table("runners")["runner"] for s in r["passing"] for a in s}
    named |= {a for r in actions.table("runners")["runner"] for s in r["taking"] for a in s}
    named |= {a for r in actions.table("escalations")["escalation"] for a in r["needs"]}
    named |= set(actions.table("headlines")["actions"]) | set(actions.table("actions")["verbs"])
    for rows in ("operations", "either", "besides"):
        named |= {a for listed in actions.table("actions")[rows].values() for a in listed}
    assert named - set(actions.catalogue()) == set()


def test_every_operation_of_the_models_is_behind_some_action() -> None:
    covered = {o for operations in actions.catalogue().values() for o in operations}
    assert len(covered) > 19_000
    assert {"s3:ListObjectsV2", "apigateway:DeleteRestApi"} <= covered


def test_what_an_action_can_be_limited_to_is_what_aws_says() -> None:
    assert actions.known("ec2:DescribeInstances").arns == ("*",)
    assert "arn:*:s3:::*/*" in (actions.known("s3:DeleteObject").arns or ())
    assert actions.known("nobody:KnowsThis").arns is None
    assert actions.known("dynamodb:DeleteTable").kind is Kind.DATA
