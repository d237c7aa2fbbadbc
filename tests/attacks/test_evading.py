"""Attempts to destroy by a door whose name does not say so.

The attacker asks through an SDK or by hand; nothing but reads may reach the target, and
what is asked of people names at least two of them, or nobody can allow it.
"""

from __future__ import annotations

from typing import Any

import pytest

from attacks.attacker import call
from attacks.conftest import Scene

BUCKET = {"Bucket": "invoices"}
KEY = {"id": {"S": "first"}}

# sentence: service, operation, parameters
TWO_OR_NOBODY: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PartiQL deletes an item": (
        "dynamodb",
        "ExecuteStatement",
        {"Statement": "DELETE FROM orders WHERE id='first'"},
    ),
    "a batch of PartiQL deletes items": (
        "dynamodb",
        "BatchExecuteStatement",
        {"Statements": [{"Statement": "DELETE FROM orders WHERE id='first'"}]},
    ),
    "a transaction of PartiQL deletes items": (
        "dynamodb",
        "ExecuteTransaction",
        {"TransactStatements": [{"Statement": "DELETE FROM orders WHERE id='first'"}]},
    ),
    "time to live deletes the items later": (
        "dynamodb",
        "UpdateTimeToLive",
        {
            "TableName": "orders",
            "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "v"},
        },
    ),
    "the deletion protection of a table goes first": (
        "dynamodb",
        "UpdateTable",
        {"TableName": "orders", "DeletionProtectionEnabled": False},
    ),
    "the continuous backups go first": (
        "dynamodb",
        "UpdateContinuousBackups",
        {
            "TableName": "orders",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
        },
    ),
    "cloud control deletes a table": (
        "cloudcontrol",
        "DeleteResource",
        {"TypeName": "AWS::DynamoDB::Table", "Identifier": "orders"},
    ),
    "cloud control patches protection away": (
        "cloudcontrol",
        "UpdateResource",
        {
            "TypeName": "AWS::DynamoDB::Table",
            "Identifier": "orders",
            "PatchDocument": "[]",
        },
    ),
    "a stack's termination protection goes first": (
        "cloudformation",
        "UpdateTerminationProtection",
        {"StackName": "prod", "EnableTerminationProtection": False},
    ),
    "a stack policy is replaced": (
        "cloudformation",
        "SetStackPolicy",
        {"StackName": "prod", "StackPolicyBody": "{}"},
    ),
    "a change set nobody can look into is executed": (
        "cloudformation",
        "ExecuteChangeSet",
        {"ChangeSetName": "innocent", "StackName": "prod"},
    ),
    "an import into a stack set reaches other accounts": (
        "cloudformation",
        "CreateStackInstances",
        {"StackSetName": "s", "Accounts": ["1"], "Regions": ["us-east-1"]},
    ),
    "a lifecycle rule expires every object": (
        "s3",
        "PutBucketLifecycleConfiguration",
        {
            **BUCKET,
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "ID": "all",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "Expiration": {"Days": 1},
                    }
                ]
            },
        },
    ),
    "versioning is suspended first": (
        "s3",
        "PutBucketVersioning",
        {**BUCKET, "VersioningConfiguration": {"Status": "Suspended"}},
    ),
    "many objects are deleted in one post": (
        "s3",
        "DeleteObjects",
        {**BUCKET, "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}},
    ),
    "an object is deleted": ("s3", "DeleteObject", {**BUCKET, "Key": "a"}),
    "an old version is deleted": (
        "s3",
        "DeleteObject",
        {**BUCKET, "Key": "a", "VersionId": "v1"},
    ),
    "a bucket policy opens the bucket": (
        "s3",
        "PutBucketPolicy",
        {**BUCKET, "Policy": "{}"},
    ),
    "SQL over the data API drops a table": (
        "rds-data",
        "ExecuteStatement",
        {"resourceArn": "arn:x", "secretArn": "arn:y", "sql": "drop table orders"},
    ),
    "an automation document runs anything": (
        "ssm",
        "StartAutomationExecution",
        {"DocumentName": "AWS-DeleteStack"},
    ),
    "a command runs on a machine": (
        "ssm",
        "SendCommand",
        {"DocumentName": "AWS-RunShellScript", "Targets": []},
    ),
    "a function is invoked": ("lambda", "Invoke", {"FunctionName": "janitor"}),
    "a schedule does it later": (
        "scheduler",
        "CreateSchedule",
        {
            "Name": "later",
            "ScheduleExpression": "rate(1 days)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:dynamodb:deleteTable", "RoleArn": "r"},
        },
    ),
    "a rule does it later": (
        "events",
        "PutRule",
        {"Name": "r", "ScheduleExpression": "rate(1 day)"},
    ),
    "a service is scaled to nothing": (
        "ecs",
        "UpdateService",
        {"service": "shop", "desiredCount": 0},
    ),
    "a group of machines is scaled to nothing": (
        "autoscaling",
        "UpdateAutoScalingGroup",
        {"AutoScalingGroupName": "shop", "MinSize": 0, "MaxSize": 0},
    ),
    "a record that sends the traffic is deleted": (
        "route53",
        "ChangeResourceRecordSets",
        {
            "HostedZoneId": "Z1",
            "ChangeBatch": {
                "Changes": [
                    {"Action": "DELETE", "ResourceRecordSet": {"Name": "a.example", "Type": "A"}}
                ]
            },
        },
    ),
    "the log retention deletes the logs": (
        "logs",
        "PutRetentionPolicy",
        {"logGroupName": "audit", "retentionInDays": 1},
    ),
    "a key is scheduled for deletion": (
        "kms",
        "ScheduleKeyDeletion",
        {"KeyId": "k", "PendingWindowInDays": 7},
    ),
    "the trail is stopped": ("cloudtrail", "StopLogging", {"Name": "trail"}),
    "a snapshot is shared with another account": (
        "rds",
        "ModifyDBSnapshotAttribute",
        {"DBSnapshotIdentifier": "s", "AttributeName": "restore", "ValuesToAdd": ["666666666666"]},
    ),
    "a policy widens what may be done next": (
        "iam",
        "PutRolePolicy",
        {"RoleName": "app", "PolicyName": "p", "PolicyDocument": "{}"},
    ),
    "a role's trust is widened": (
        "iam",
        "UpdateAssumeRolePolicy",
        {"RoleName": "app", "PolicyDocument": "{}"},
    ),
}


@pytest.mark.parametrize("sentence", TWO_OR_NOBODY)
def test_destruction_by_another_name_wants_two_people_or_nobody_may(
    scene: Scene, sentence: str
) -> None:
    service, operation, parameters = TWO_OR_NOBODY[sentence]
    told = scene.try_call(service, operation, **parameters)
    assert told, "it went through"
    assert scene.arrived() == []
    _, _, rest = told.partition("ticket `")
    ticket = rest.partition("`")[0]
    if ticket:
        assert scene.guard.control.show(ticket)["quorum"] == 2
    else:
        assert "denied" in told, told


def test_a_batch_job_that_runs_its_manifest_wants_two_people_or_nobody_may(scene: Scene) -> None:
    headers = {"x-amz-account-id": "123456789012", "Content-Type": "application/xml"}
    body = b"<CreateJobRequest><Operation><S3DeleteObjectTagging/></Operation></CreateJobRequest>"
    seen = call(scene.endpoint, scene.key, "s3", "POST", "/v20180820/jobs", body, headers)
    assert seen.status >= 400
    assert scene.arrived() == []


def test_a_batch_of_deletes_is_counted_as_every_delete_in_it(scene: Scene) -> None:
    scene.aws.tables["orders"] = {str(n): {"id": {"S": str(n)}} for n in range(25)}
    deletes = [{"DeleteRequest": {"Key": {"id": {"S": str(n)}}}} for n in range(25)]
    seen = scene.dynamodb("BatchWriteItem", RequestItems={"orders": deletes})
    hold = scene.held(seen)
    assert len(hold["targets"]) == 25
    assert {t["verb"] for t in hold["targets"]} == {"delete"}
    assert scene.arrived() == []


def test_a_put_over_an_existing_item_is_an_update_and_asks(scene: Scene) -> None:
    hold = scene.held(scene.put(7))
    assert [t["verb"] for t in hold["targets"]] == ["update"]
    assert scene.arrived() == []


def test_a_put_over_an_object_of_an_unknown_bucket_asks_two_people(scene: Scene) -> None:
    told = scene.try_call("s3", "PutObject", Bucket="invoices", Key="2026.csv", Body=b"")
    assert "ticket `" in told
    assert scene.arrived() == []


def test_a_copy_source_is_part_of_what_is_asked(scene: Scene) -> None:
    headers = {"x-amz-copy-source": "/secrets/all.csv"}
    seen = call(scene.endpoint, scene.key, "s3", "PUT", "/public/all.csv", b"", headers)
    assert seen.status == 403
    assert scene.arrived() == []


@pytest.mark.parametrize(
    "host", ["DYNAMODB.us-east-1.AMAZONAWS.com", "evil.example", "169.254.169.254"]
)
def test_the_host_header_decides_nothing(scene: Scene, host: str) -> None:
    before = len(scene.aws.wires)
    headers = {
        "Host": host,
        "X-Amz-Target": "DynamoDB_20120810.DeleteTable",
        "Content-Type": "application/x-amz-json-1.0",
    }
    seen = call(
        scene.endpoint, scene.key, "dynamodb", body=b'{"TableName": "orders"}', headers=headers
    )
    assert seen.status == 403
    assert scene.arrived() == []
    hosts = {wire[2].get("host") for wire in scene.aws.wires[before:]}
    assert hosts <= {scene.aws.url.removeprefix("http://")}


def test_a_twin_services_name_does_not_change_what_is_asked(scene: Scene) -> None:
    # Signed for one service, spoken in another's words: whichever it is read as, it is refused.
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.DeleteTable",
        "Content-Type": "application/x-amz-json-1.0",
    }
    for service in ("sts", "docdb", "neptune", "dax", "elasticloadbalancing", "nothing"):
        seen = call(
            scene.endpoint, scene.key, service, body=b'{"TableName": "orders"}', headers=headers
        )
        assert seen.status >= 400, service
    assert scene.arrived() == []


@pytest.mark.parametrize(
    "target", ["dynamodb_20120810.deletetable", "DynamoDB_20120810.DELETETABLE"]
)
def test_an_operation_in_other_letters_is_no_other_operation(scene: Scene, target: str) -> None:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    seen = call(
        scene.endpoint, scene.key, "dynamodb", body=b'{"TableName": "orders"}', headers=headers
    )
    assert seen.status >= 400
    assert scene.arrived() == []


def test_a_region_nobody_knows_leads_nowhere(scene: Scene) -> None:
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Content-Type": "application/x-amz-json-1.0",
    }
    for region in ("mars-1", "us-east-1.evil.example", "aws-global@evil"):
        seen = call(
            scene.endpoint, scene.key, "dynamodb", body=b"{}", headers=headers, region=region
        )
        assert seen.status >= 400, region
    assert all(wire[0] != "CONNECT" for wire in scene.aws.wires)
    assert scene.aws.asked == []


def test_another_region_is_another_place_and_inherits_no_leniency(scene: Scene) -> None:
    client = scene.client("dynamodb", region="eu-west-1")
    with pytest.raises(client.exceptions.ClientError, match=r"ticket|denied"):
        client.delete_table(TableName="orders")
    assert scene.arrived() == []


def test_development_does_not_lend_its_name_to_production(scene: Scene) -> None:
    scene.aws.tables["orders-dev-copy"] = {}
    seen = scene.dynamodb("DeleteTable", TableName="orders-dev-copy")
    assert seen.status == 403
    mixed = {
        "dev-orders": [{"DeleteRequest": {"Key": KEY}}],
        "orders": [{"DeleteRequest": {"Key": KEY}}],
    }
    assert scene.dynamodb("BatchWriteItem", RequestItems=mixed).ticket
    assert scene.arrived() == []
