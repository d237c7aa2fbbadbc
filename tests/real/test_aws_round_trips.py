"""Act, take back, compare: the surface driven directly against a local AWS.

Each row of the table is one operation on one situation. Before, after and afterwards are
compared by the fingerprints of what was captured, and where that says little, by looking.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from real.aws_world import LocalAws, Trip, action, ask_all, differences

pytestmark = pytest.mark.real

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::BUCKET/*",
            }
        ],
    }
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
OTHER_TRUST = TRUST.replace("ec2", "lambda")
RIGHTS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
    }
)
OTHER_RIGHTS = RIGHTS.replace("s3:Get*", "*")
EXPIRING = {
    "Rules": [
        {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    ]
}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    local = LocalAws()
    yield local
    local.stop()


Given = dict[str, Any]
Setup = Callable[[LocalAws, str], Given]


def table(aws: LocalAws, name: str) -> Given:
    aws.call(
        "dynamodb:CreateTable",
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    for number in range(30):
        item = {
            "pk": {"S": f"k{number}"},
            "n": {"N": str(number)},
            "set": {"SS": ["b", "a"]},
            "deep": {"M": {"raw": {"B": b"\x00\xff"}, "list": {"L": [{"NULL": True}]}}},
        }
        aws.call("dynamodb:PutItem", TableName=name, Item=item)
    return {"TableName": name}


def bucket(aws: LocalAws, name: str) -> Given:
    aws.call(
        "s3:CreateBucket",
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    return {"Bucket": name}


def filled(aws: LocalAws, name: str) -> Given:
    given = bucket(aws, name)
    for key in ("a b/ü+=&.txt", "two"):
        aws.call(
            "s3:PutObject",
            Bucket=name,
            Key=key,
            Body=b"old " + key.encode(),
            ContentType="text/x-old",
            Metadata={"made": "before"},
            Tagging="x=1&y=2",
        )
    return given


def versioned(aws: LocalAws, name: str) -> Given:
    given = bucket(aws, name)
    enabled = {"Status": "Enabled"}
    aws.call("s3:PutBucketVersioning", Bucket=name, VersioningConfiguration=enabled)
    for key in ("a b/ü+=&.txt", "two", "two-more"):
        aws.call("s3:PutObject", Bucket=name, Key=key, Body=b"old " + key.encode())
    return given


def role(aws: LocalAws, name: str) -> Given:
    aws.call(
        "iam:CreateRole",
        RoleName=name,
        Path="/app/",
        AssumeRolePolicyDocument=TRUST,
        Description="for tests",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    return {"RoleName": name}


def role_with_policy(aws: LocalAws, name: str) -> Given:
    given = role(aws, name)
    aws.call("iam:PutRolePolicy", RoleName=name, PolicyName="p", PolicyDocument=RIGHTS)
    return given


def managed(aws: LocalAws, name: str) -> Given:
    made = aws.call("iam:CreatePolicy", PolicyName=name, PolicyDocument=RIGHTS)
    return {"PolicyArn": made["Policy"]["Arn"]}


def attached(aws: LocalAws, name: str) -> Given:
    given = {**role(aws, name), **managed(aws, f"{name}-policy")}
    aws.call("iam:AttachRolePolicy", **given)
    return given


def detached(aws: LocalAws, name: str) -> Given:
    return {**role(aws, name), **managed(aws, f"{name}-policy")}


def queue(aws: LocalAws, name: str) -> Given:
    made = aws.call(
        "sqs:CreateQueue",
        QueueName=name,
        Attributes={"VisibilityTimeout": "45", "MessageRetentionPeriod": "86400"},
        tags={"team": "a"},
    )
    return {"QueueUrl": made["QueueUrl"]}


def database(aws: LocalAws, name: str) -> Given:
    aws.call(
        "rds:CreateDBInstance",
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="owner",
        MasterUserPassword="not-a-secret",
        BackupRetentionPeriod=7,
        DeletionProtection=False,
        Tags=[{"Key": "team", "Value": "a"}],
    )
    return {"DBInstanceIdentifier": name}


def template(name: str, *, timeout: int = 30) -> str:
    return json.dumps(
        {
            "Parameters": {"Stage": {"Type": "String", "Default": "one"}},
            "Resources": {
                "Table": {
                    "Type": "AWS::DynamoDB::Table",
                    "Properties": {
                        "TableName": f"{name}-table",
                        "BillingMode": "PAY_PER_REQUEST",
                        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                    },
                },
                "Files": {
                    "Type": "AWS::S3::Bucket",
                    "Properties": {"BucketName": f"{name}-files"},
                },
                "Jobs": {
                    "Type": "AWS::SQS::Queue",
                    "Properties": {"QueueName": f"{name}-jobs", "VisibilityTimeout": timeout},
                },
                "Worker": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {
                        "RoleName": f"{name}-worker",
                        "AssumeRolePolicyDocument": json.loads(TRUST),
                    },
                },
            },
        }
    )


def stack(aws: LocalAws, name: str) -> Given:
    aws.call(
        "cloudformation:CreateStack",
        StackName=name,
        TemplateBody=template(name),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "two"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": "team", "Value": "a"}],
    )
    for number in range(40):
        item = {"pk": {"S": f"k{number}"}, "v": {"N": str(number)}}
        aws.call("dynamodb:PutItem", TableName=f"{name}-table", Item=item)
    for number in range(5):
        aws.call("s3:PutObject", Bucket=f"{name}-files", Key=f"f{number}", Body=b"x")
    return {"StackName": name}


def changed_stack(aws: LocalAws, name: str) -> Given:
    given = stack(aws, name)
    aws.call(
        "cloudformation:CreateChangeSet",
        **given,
        ChangeSetName="fix",
        ChangeSetType="UPDATE",
        TemplateBody=template(name, timeout=60),
        Parameters=[{"ParameterKey": "Stage", "UsePreviousValue": True}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    return {**given, "ChangeSetName": "fix"}


def batch(aws: LocalAws, name: str) -> Given:
    table(aws, name)
    writes = [{"PutRequest": {"Item": NEW}}, {"DeleteRequest": {"Key": KEY}}]
    return {"RequestItems": {name: writes}}


def transaction(aws: LocalAws, name: str) -> Given:
    table(aws, name)
    writes = [
        {"Put": {"TableName": name, "Item": NEW}},
        {"Delete": {"TableName": name, "Key": KEY}},
        {"Update": {"TableName": name, "Key": {"pk": {"S": "k2"}}, **SET}},
    ]
    return {"TransactItems": writes}


def copied(aws: LocalAws, name: str) -> Given:
    versioned(aws, name)
    return {"Bucket": name, "Key": "two", "CopySource": f"{name}/two-more"}


def opened(aws: LocalAws, name: str) -> Given:
    given = bucket(aws, name)
    aws.call("s3:PutBucketPolicy", **given, Policy=POLICY.replace("BUCKET", name))
    return given


def opening(aws: LocalAws, name: str) -> Given:
    return {**bucket(aws, name), "Policy": POLICY.replace("BUCKET", name)}


def new_stack(aws: LocalAws, name: str) -> Given:
    given = {"StackName": name, "TemplateBody": template(name)}
    return {**given, "Capabilities": ["CAPABILITY_NAMED_IAM"]}


def updated_stack(aws: LocalAws, name: str) -> Given:
    given = {**stack(aws, name), "TemplateBody": template(name, timeout=60)}
    parameters = [{"ParameterKey": "Stage", "UsePreviousValue": True}]
    return {**given, "Parameters": parameters, "Capabilities": ["CAPABILITY_NAMED_IAM"]}


def planned_stack(aws: LocalAws, name: str) -> Given:
    return {**updated_stack(aws, name), "ChangeSetName": "fix", "ChangeSetType": "UPDATE"}


def named(member: str) -> Setup:
    return lambda aws, name: {member: name}


@dataclass(frozen=True)
class Row:
    """One operation on one situation, and what it is understood to be."""

    operation: str
    setup: Setup
    given: Given
    effects: str

    @property
    def id(self) -> str:
        return f"{self.operation}-{self.setup.__name__}"


def row(operation: str, setup: Setup, effects: str, **given: Any) -> Row:
    return Row(operation, setup, given, effects)


KEY = {"pk": {"S": "k1"}}
NEW = {"pk": {"S": "new"}, "n": {"N": "1"}}
OVER = {"pk": {"S": "k1"}, "other": {"S": "x"}}
SET = {
    "UpdateExpression": "SET n = :x REMOVE deep",
    "ExpressionAttributeValues": {":x": {"S": "text"}},
}
OBJECT = "a b/ü+=&.txt"
BOTH = {"Objects": [{"Key": OBJECT}, {"Key": "two"}]}

ROWS = (
    row("dynamodb:PutItem", table, "create exact", Item=NEW),
    row("dynamodb:PutItem", table, "update exact", Item=OVER),
    row("dynamodb:UpdateItem", table, "update exact", Key=KEY, **SET),
    row("dynamodb:DeleteItem", table, "delete exact", Key=KEY),
    row("dynamodb:UpdateTable", table, "update bounded", DeletionProtectionEnabled=True),
    row("dynamodb:UpdateTable", table, "disarm bounded", DeletionProtectionEnabled=False),
    row(
        "dynamodb:UpdateTimeToLive",
        table,
        "update bounded, delete none",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
    ),
    row("dynamodb:DeleteTable", table, "delete bounded"),
    row(
        "dynamodb:CreateTable",
        named("TableName"),
        "create bounded",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ),
    row("s3:PutObject", filled, "update bounded", Key=OBJECT, Body=b"new"),
    row("s3:PutObject", versioned, "update exact", Key=OBJECT, Body=b"new"),
    row("s3:PutObject", bucket, "create exact", Key=OBJECT, Body=b"new"),
    row("s3:DeleteObject", filled, "delete bounded", Key=OBJECT),
    row("s3:DeleteObject", versioned, "delete exact", Key="two"),
    row("s3:DeleteObjects", filled, "delete bounded, delete bounded", Delete=BOTH),
    row("s3:DeleteObjects", versioned, "delete exact, delete exact", Delete=BOTH),
    row("s3:DeleteBucket", bucket, "delete degraded"),
    row(
        "s3:PutBucketVersioning",
        versioned,
        "disarm bounded",
        VersioningConfiguration={"Status": "Suspended"},
    ),
    row(
        "s3:PutBucketLifecycleConfiguration",
        filled,
        "update bounded, delete none",
        LifecycleConfiguration=EXPIRING,
    ),
    row(
        "s3:PutBucketTagging",
        bucket,
        "update bounded",
        Tagging={"TagSet": [{"Key": "a", "Value": "b"}]},
    ),
    row(
        "s3:PutObjectTagging",
        filled,
        "update bounded",
        Key=OBJECT,
        Tagging={"TagSet": [{"Key": "a", "Value": "b"}]},
    ),
    row("iam:CreateRole", named("RoleName"), "permit bounded", AssumeRolePolicyDocument=TRUST),
    row("iam:DeleteRole", role, "delete bounded"),
    row("iam:UpdateAssumeRolePolicy", role, "permit bounded", PolicyDocument=OTHER_TRUST),
    row(
        "iam:PutRolePolicy",
        role_with_policy,
        "permit bounded",
        PolicyName="p",
        PolicyDocument=OTHER_RIGHTS,
    ),
    row("iam:PutRolePolicy", role, "permit bounded", PolicyName="p", PolicyDocument=OTHER_RIGHTS),
    row("iam:DeleteRolePolicy", role_with_policy, "permit bounded", PolicyName="p"),
    row("iam:AttachRolePolicy", detached, "permit bounded"),
    row("iam:DetachRolePolicy", attached, "permit bounded"),
    row(
        "iam:CreatePolicyVersion",
        managed,
        "permit bounded",
        PolicyDocument=OTHER_RIGHTS,
        SetAsDefault=True,
    ),
    row(
        "sqs:SetQueueAttributes",
        queue,
        "update bounded",
        Attributes={"VisibilityTimeout": "5", "DelaySeconds": "9"},
    ),
    row("sqs:DeleteQueue", queue, "delete degraded"),
    row("sqs:CreateQueue", named("QueueName"), "create bounded"),
    row(
        "rds:ModifyDBInstance",
        database,
        "update bounded",
        DBInstanceClass="db.m5.large",
        ApplyImmediately=True,
    ),
    row("dynamodb:BatchWriteItem", batch, "create exact, delete exact"),
    row("dynamodb:TransactWriteItems", transaction, "create exact, delete exact, update exact"),
    row("s3:CopyObject", copied, "update exact"),
    row("s3:PutBucketPolicy", opening, "permit bounded"),
    row("s3:DeleteBucketPolicy", opened, "permit bounded"),
    row("cloudformation:UpdateStack", updated_stack, "update bounded, update bounded"),
    row("cloudformation:CreateChangeSet", planned_stack, "read exact"),
    row(
        "cloudformation:CreateStack",
        new_stack,
        "create bounded, create bounded, create bounded, create bounded, permit bounded",
    ),
    row(
        "cloudformation:UpdateTerminationProtection",
        stack,
        "update bounded",
        EnableTerminationProtection=True,
    ),
    row("cloudformation:ExecuteChangeSet", changed_stack, "update bounded, update bounded"),
)


def act(aws: LocalAws, request: pytest.FixtureRequest, one: Row) -> Trip:
    name = f"trip-{abs(hash(request.node.name)) % 10**9}"
    return Trip(aws, action(one.operation, **one.setup(aws, name), **one.given))


@pytest.mark.parametrize("one", ROWS, ids=lambda r: r.id)
def test_what_was_done_is_taken_back(
    aws: LocalAws, request: pytest.FixtureRequest, one: Row
) -> None:
    trip = act(aws, request, one)
    assert trip.effect == one.effects
    assert not trip.understanding.unknown
    if one.effects != "disarm bounded" or "Suspended" in str(one.given):
        assert differences(trip.questions, trip.before, trip.after), "the act left no trace"
    assert not trip.conflicts()
    assert not trip.undo()


def test_a_deleted_database_comes_back_from_its_final_snapshot(aws: LocalAws) -> None:
    given = database(aws, "trip-db")
    trip = Trip(aws, action("rds:DeleteDBInstance", **given, SkipFinalSnapshot=True))
    assert trip.effect == "delete bounded"
    (step,) = trip.understanding.plan
    assert step.action.parameters["SkipFinalSnapshot"] is False
    assert step.action.parameters["DeleteAutomatedBackups"] is False
    # moto makes an automated snapshot at every creation and names it by the minute.
    for one in aws.call("rds:DescribeDBSnapshots")["DBSnapshots"]:
        if one["DBSnapshotIdentifier"].startswith("rds:trip-db"):
            aws.call("rds:DeleteDBSnapshot", DBSnapshotIdentifier=one["DBSnapshotIdentifier"])
    assert not trip.undo()


def test_a_deleted_stack_comes_back_with_its_data_and_says_what_does_not(aws: LocalAws) -> None:
    given = stack(aws, "trip-stack")
    items = aws.call("dynamodb:Scan", TableName="trip-stack-table")["Items"]
    trip = Trip(aws, action("cloudformation:DeleteStack", **given))
    verbs = {e.resource.type: (e.verb.value, e.reversibility.value) for e in _effects(trip)}
    assert verbs == {
        "cloudformation:stack": ("delete", "bounded"),
        "dynamodb:table": ("update", "bounded"),
        "s3:bucket": ("update", "bounded"),
        "sqs:queue": ("delete", "degraded"),
        "iam:role": ("delete", "bounded"),
    }
    counts = {b.unit: b.most for e in _effects(trip) for b in e.bounds}
    assert counts["items"] == 40
    assert counts["objects"] == 5
    names = [s.action.name for s in trip.understanding.plan]
    assert names == ["cloudformation:UpdateStack", "cloudformation:DeleteStack"]
    assert aws.call("dynamodb:Scan", TableName="trip-stack-table")["Items"] == items
    with pytest.raises(aws.client("cloudformation").exceptions.ClientError):
        aws.call("cloudformation:DescribeStacks", **given)
    assert any("messages" in r for r in trip.restoration().residue)
    assert any("AROA" in r for r in trip.restoration().residue)
    assert not trip.undo()
    assert aws.call("dynamodb:Scan", TableName="trip-stack-table")["Items"] == items
    assert len(aws.call("s3:ListObjectsV2", Bucket="trip-stack-files")["Contents"]) == 5
    status = aws.call("cloudformation:DescribeStacks", **given)["Stacks"][0]["StackStatus"]
    assert status == "UPDATE_COMPLETE"


def _effects(trip: Trip) -> tuple[Any, ...]:
    return trip.understanding.effects


# --- changed since -----------------------------------------------------------------------------


def test_an_item_someone_wrote_since_is_a_conflict_and_the_fence_holds(aws: LocalAws) -> None:
    given = table(aws, "conflict-item")
    trip = Trip(aws, action("dynamodb:PutItem", **given, Item=OVER))
    aws.call("dynamodb:PutItem", **given, Item={**KEY, "theirs": {"S": "newer"}})
    assert trip.conflicts() == ["dynamodb:BatchGetItem"]
    (step,) = trip.restoration().steps
    with pytest.raises(aws.client("dynamodb").exceptions.ConditionalCheckFailedException):
        aws.run(step.action)
    assert aws.call("dynamodb:GetItem", **given, Key=KEY)["Item"]["theirs"] == {"S": "newer"}


def test_one_newer_item_stops_the_undo_of_a_whole_batch(aws: LocalAws) -> None:
    given = batch(aws, "conflict-batch")
    trip = Trip(aws, action("dynamodb:BatchWriteItem", **given))
    aws.call("dynamodb:PutItem", TableName="conflict-batch", Item=OVER)
    assert trip.conflicts()
    (step,) = trip.restoration().steps
    with pytest.raises(aws.client("dynamodb").exceptions.TransactionCanceledException):
        aws.run(step.action)
    there = {"TableName": "conflict-batch", "Key": {"pk": NEW["pk"]}}
    assert aws.call("dynamodb:GetItem", **there)["Item"] == NEW


def test_an_object_someone_wrote_since_is_a_conflict_and_the_fence_holds(aws: LocalAws) -> None:
    given = filled(aws, "conflict-object")
    trip = Trip(aws, action("s3:PutObject", **given, Key="two", Body=b"new"))
    aws.call("s3:PutObject", **given, Key="two", Body=b"theirs")
    assert "s3:GetObject" in trip.conflicts()
    (step,) = trip.restoration().steps
    with pytest.raises(aws.client("s3").exceptions.ClientError, match="PreconditionFailed"):
        aws.run(step.action)
    assert aws.call("s3:GetObject", **given, Key="two")["Body"].read() == b"theirs"


def test_an_object_made_again_since_its_deletion_is_not_overwritten(aws: LocalAws) -> None:
    given = filled(aws, "conflict-remade")
    trip = Trip(aws, action("s3:DeleteObject", **given, Key="two"))
    aws.call("s3:PutObject", **given, Key="two", Body=b"theirs")
    assert trip.conflicts()
    (step,) = trip.restoration().steps
    with pytest.raises(aws.client("s3").exceptions.ClientError, match="PreconditionFailed"):
        aws.run(step.action)


def test_a_table_that_was_filled_since_its_creation_is_a_conflict(aws: LocalAws) -> None:
    given = table(aws, "conflict-source")
    made = Trip(
        aws,
        action(
            "dynamodb:CreateTable",
            TableName="conflict-made",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        ),
    )
    assert not made.conflicts()
    aws.call("dynamodb:PutItem", TableName="conflict-made", Item=NEW)
    assert made.conflicts() == ["dynamodb:Scan"]
    assert given["TableName"] == "conflict-source"


def test_a_setting_or_policy_someone_changed_since_is_a_conflict(aws: LocalAws) -> None:
    one = Trip(
        aws,
        action(
            "iam:PutRolePolicy",
            **role(aws, "conflict-role"),
            PolicyName="p",
            PolicyDocument=RIGHTS,
        ),
    )
    aws.call(
        "iam:PutRolePolicy", RoleName="conflict-role", PolicyName="p", PolicyDocument=OTHER_RIGHTS
    )
    assert one.conflicts() == ["iam:GetRolePolicy"]
    given = queue(aws, "conflict-queue")
    other = Trip(
        aws, action("sqs:SetQueueAttributes", **given, Attributes={"VisibilityTimeout": "5"})
    )
    aws.call("sqs:SetQueueAttributes", **given, Attributes={"VisibilityTimeout": "6"})
    assert other.conflicts() == ["sqs:GetQueueAttributes"]


def test_a_stack_someone_updated_since_is_a_conflict(aws: LocalAws) -> None:
    trip = Trip(
        aws, action("cloudformation:ExecuteChangeSet", **changed_stack(aws, "conflict-stack"))
    )
    aws.call(
        "cloudformation:UpdateStack",
        StackName="conflict-stack",
        TemplateBody=template("conflict-stack", timeout=90),
        Parameters=[{"ParameterKey": "Stage", "UsePreviousValue": True}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    assert trip.conflicts() == ["cloudformation:GetTemplate"]
    (step,) = trip.restoration().steps
    (stage,) = [dict(p) for p in step.action.parameters["Parameters"]]
    assert stage == {"ParameterKey": "Stage", "ParameterValue": "two"}
    assert list(step.action.parameters["Capabilities"]) == ["CAPABILITY_NAMED_IAM"]


def test_an_undo_can_be_undone(aws: LocalAws) -> None:
    given = table(aws, "redo")
    first = Trip(aws, action("dynamodb:PutItem", **given, Item=OVER))
    (back,) = first.restoration().steps
    second = Trip(aws, back.action)
    assert not differences(first.questions, first.before, ask_all(aws, first.questions))
    assert not second.undo()
    assert not differences(first.questions, first.after, ask_all(aws, first.questions))
