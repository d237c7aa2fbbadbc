"""An account of realistic agent roles, as `get-account-authorization-details` shows it."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data

ACCOUNT = "111122223333"
MANAGED = json.loads(aws_managed_policies_data)
TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/orders"


def allow(action: object, resource: object = "*", **more: object) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: object, resource: object = "*", **more: object) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def trust(**principal: object) -> dict[str, Any]:
    return document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal})


def aws_managed(name: str) -> dict[str, Any]:
    return _policy(f"arn:aws:iam::aws:policy/{name}", name, MANAGED[name]["Document"])


def _policy(policy_arn: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    version = {"VersionId": "v1", "IsDefaultVersion": True, "Document": given}
    return {"Arn": policy_arn, "PolicyName": name, "PolicyVersionList": [version]}


def role(
    name: str,
    *statements: dict[str, Any],
    attached: tuple[str, ...] = (),
    boundary: str = "",
    trusts: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> dict[str, Any]:
    inline = [{"PolicyName": "inline", "PolicyDocument": document(*statements)}]
    made: dict[str, Any] = {
        "RoleName": name,
        "Arn": arn(name),
        "Path": "/",
        "AssumeRolePolicyDocument": trusts or trust(Service="ec2.amazonaws.com"),
        "RolePolicyList": inline if statements else [],
        "AttachedManagedPolicies": [{"PolicyArn": a, "PolicyName": a} for a in attached],
        "Tags": [{"Key": k, "Value": v} for k, v in (tags or {}).items()],
    }
    if boundary:
        made["PermissionsBoundary"] = {"PermissionsBoundaryArn": boundary}
    return made


BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/agents"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
POWER = "arn:aws:iam::aws:policy/PowerUserAccess"

NOT_ACTION = role(
    "agent-not-action",
    {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
    deny(["dynamodb:DeleteTable", "dynamodb:DeleteBackup"]),
)
CONDITIONS = role(
    "agent-conditions",
    allow(
        ["rds:*", "dynamodb:*"],
        Condition={
            "StringEquals": {"aws:RequestedRegion": "eu-west-1", "aws:ResourceTag/stage": "test"}
        },
    ),
    allow(["s3:*"], Condition={"StringMatchesRegex": {"acme:Team": "a.*"}}),
    allow("ec2:TerminateInstances", Condition={"StringEquals": {"aws:PrincipalTag/team": "ops"}}),
    deny("s3:DeleteBucket", Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}),
    deny("rds:DeleteDBCluster", Condition={"StringEquals": {"aws:PrincipalTag/team": "web"}}),
    tags={"team": "web"},
)
BOUNDED = role("agent-bounded", attached=(ADMIN,), boundary=BOUNDARY)
CHAINED = role("agent-chained", allow("sts:AssumeRole", [arn("deployer"), arn("stranger")]))
DEPLOYER = role(
    "deployer",
    allow(["cloudformation:*", "lambda:*"]),
    allow(
        "iam:PassRole",
        arn("*"),
        Condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    ),
    trusts=trust(AWS=arn("agent-chained")),
)
WORKER = role("worker", allow("dynamodb:*", TABLE), trusts=trust(Service="lambda.amazonaws.com"))
BUILDER = role("builder", allow("s3:*"), trusts=trust(Service="codebuild.amazonaws.com"))
STRANGER = role("stranger", allow("*"), trusts=trust(AWS=arn("somebody-else")))
BROAD = role(
    "agent-broad", allow(["s3:*", "dynamodb:*", "rds:*", "cloudformation:*", "logs:*", "sqs:*"])
)
ADMINISTRATOR = role("administrator", attached=(ADMIN,))
POWER_USER = role("power-user", attached=(POWER,))

ROLES = (
    NOT_ACTION,
    CONDITIONS,
    BOUNDED,
    CHAINED,
    DEPLOYER,
    WORKER,
    BUILDER,
    STRANGER,
    BROAD,
    ADMINISTRATOR,
    POWER_USER,
)


def account(*roles: dict[str, Any]) -> dict[str, Any]:
    """The dump of an account with these roles (all of the above when none is named)."""
    limits = document(
        allow(["dynamodb:*", "logs:*", "s3:Get*", "s3:List*", "iam:PutRolePolicy"]),
        deny(["dynamodb:DeleteTable"]),
    )
    return {
        "RoleDetailList": list(roles or ROLES),
        "UserDetailList": [],
        "GroupDetailList": [],
        "Policies": [
            aws_managed("AdministratorAccess"),
            aws_managed("PowerUserAccess"),
            _policy(BOUNDARY, "agents", limits),
        ],
        "IsTruncated": False,
    }
