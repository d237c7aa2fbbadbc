"""Things the owners made, and how they look: the situations the gate's tests start from."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from real.gate_world import REGION, Gate

ROLE = "arn:aws:iam::123456789012:role/app/worker"
AWKWARD = "a b/ü+=&'(1)~ %41.txt"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
RIGHTS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}
_VOLATILE = ("Date", "Time", "Timestamp", "ItemCount", "SizeBytes", "TableId", "ResponseMetadata")


def table(gate: Gate, name: str, items: int = 30) -> dict[str, Any]:
    """A table of some items with every kind of value."""
    dynamo = gate.owner("dynamodb")
    dynamo.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    rows = [
        {
            "pk": {"S": f"k{number}"},
            "n": {"N": str(number)},
            "set": {"SS": ["b", "a"]},
            "deep": {"M": {"raw": {"B": b"\x00\xff"}, "list": {"L": [{"NULL": True}]}}},
        }
        for number in range(items)
    ]
    for start in range(0, items, 25):
        puts = [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]
        dynamo.batch_write_item(RequestItems={name: puts})
    return {"TableName": name}


def bucket(gate: Gate, name: str) -> dict[str, Any]:
    """An empty bucket."""
    where = {"LocationConstraint": REGION}
    gate.owner("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return {"Bucket": name}


def filled(gate: Gate, name: str) -> dict[str, Any]:
    """A bucket with two objects, one of them under an awkward name."""
    given = bucket(gate, name)
    for key in (AWKWARD, "two"):
        gate.owner("s3").put_object(
            Bucket=name,
            Key=key,
            Body=b"old " + key.encode(),
            ContentType="text/x-old",
            Metadata={"made": "before"},
            Tagging="x=1&y=2",
        )
    return given


def versioned(gate: Gate, name: str) -> dict[str, Any]:
    """The same, keeping versions."""
    given = bucket(gate, name)
    enabled = {"Status": "Enabled"}
    gate.owner("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration=enabled)
    for key in (AWKWARD, "two", "two-more"):
        gate.owner("s3").put_object(Bucket=name, Key=key, Body=b"old " + key.encode())
    return given


def role(gate: Gate, name: str) -> dict[str, Any]:
    """A role with an inline policy."""
    gate.owner("iam").create_role(
        RoleName=name,
        Path="/app/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for tests",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    gate.owner("iam").put_role_policy(
        RoleName=name, PolicyName="own", PolicyDocument=json.dumps(RIGHTS)
    )
    return {"RoleName": name}


def attached(gate: Gate, name: str) -> dict[str, Any]:
    """A role with a managed policy on it."""
    given = role(gate, name)
    made = gate.owner("iam").create_policy(
        PolicyName=f"{name}-policy", PolicyDocument=json.dumps(RIGHTS)
    )
    given["PolicyArn"] = made["Policy"]["Arn"]
    gate.owner("iam").attach_role_policy(**given)
    return given


def queue(gate: Gate, name: str) -> dict[str, Any]:
    """A queue with settings and a tag."""
    made = gate.owner("sqs").create_queue(
        QueueName=name,
        Attributes={"VisibilityTimeout": "45", "MessageRetentionPeriod": "86400"},
        tags={"team": "a"},
    )
    return {"QueueUrl": made["QueueUrl"]}


def database(gate: Gate, name: str) -> dict[str, Any]:
    """A small database."""
    rds = gate.owner("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="owner",
        MasterUserPassword="not-a-secret",
        BackupRetentionPeriod=0,
        DeletionProtection=False,
        Tags=[{"Key": "team", "Value": "a"}],
    )
    # moto names automated snapshots by the minute, so a restore within it would collide.
    for taken in rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"]:
        rds.delete_db_snapshot(DBSnapshotIdentifier=taken["DBSnapshotIdentifier"])
    return {"DBInstanceIdentifier": name}


def template(name: str, *, timeout: int = 30) -> str:
    """A stack of a table, a bucket, a queue and a role."""
    schema = {
        "TableName": f"{name}-table",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    }
    jobs = {"QueueName": f"{name}-jobs", "VisibilityTimeout": timeout}
    worker = {"RoleName": f"{name}-worker", "AssumeRolePolicyDocument": TRUST}
    resources = {
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": schema},
        "Files": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"{name}-files"}},
        "Jobs": {"Type": "AWS::SQS::Queue", "Properties": jobs},
        "Worker": {"Type": "AWS::IAM::Role", "Properties": worker},
    }
    return json.dumps({"Resources": resources})


def stack(gate: Gate, name: str) -> dict[str, Any]:
    """A stack with data in its table and its bucket."""
    gate.owner("cloudformation").create_stack(
        StackName=name,
        TemplateBody=template(name),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": "team", "Value": "a"}],
    )
    for number in range(40):
        item = {"pk": {"S": f"k{number}"}, "v": {"N": str(number)}}
        gate.owner("dynamodb").put_item(TableName=f"{name}-table", Item=item)
    for number in range(5):
        gate.owner("s3").put_object(Bucket=f"{name}-files", Key=f"f{number}", Body=b"x")
    return {"StackName": name}


def change_set(gate: Gate, name: str) -> dict[str, Any]:
    """The same stack with a change set that alters its queue."""
    given = stack(gate, name)
    gate.owner("cloudformation").create_change_set(
        **given,
        ChangeSetName="fix",
        ChangeSetType="UPDATE",
        TemplateBody=template(name, timeout=60),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    return {**given, "ChangeSetName": "fix"}


def nothing(gate: Gate, name: str) -> dict[str, Any]:
    """Nothing at all."""
    return {}


def look(gate: Gate, name: str) -> dict[str, Any]:
    """Everything the owners see of what carries this name, without what AWS counts itself."""
    seen = {
        "table": _table(gate, name),
        "bucket": _bucket(gate, name),
        "role": _role(gate, name),
        "queue": _queue(gate, name),
        "database": _ask(gate, "rds", "describe_db_instances", DBInstanceIdentifier=name),
        "stack": _stack(gate, name),
    }
    found: dict[str, Any] = plain({k: v for k, v in seen.items() if v})
    return found


def _ask(gate: Gate, service: str, method: str, **given: Any) -> Any:
    try:
        return getattr(gate.owner(service), method)(**given)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (400, 404):
            raise
        return {}


def plain(value: Any) -> Any:
    """An answer without dates and what AWS counts itself."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if not k.endswith(_VOLATILE)}
    return [plain(v) for v in value] if isinstance(value, list) else value


def _table(gate: Gate, name: str) -> dict[str, Any]:
    found = _ask(gate, "dynamodb", "describe_table", TableName=name)
    if not found:
        return {}
    items = gate.owner("dynamodb").scan(TableName=name)["Items"]
    arn = found["Table"]["TableArn"]
    return {
        "table": found["Table"],
        "items": sorted(items, key=lambda i: i["pk"]["S"]),
        "tags": _ask(gate, "dynamodb", "list_tags_of_resource", ResourceArn=arn),
        "ttl": _ask(gate, "dynamodb", "describe_time_to_live", TableName=name),
    }


def _bucket(gate: Gate, name: str) -> dict[str, Any]:
    if not _ask(gate, "s3", "head_bucket", Bucket=name):
        return {}
    objects = {}
    for row in gate.owner("s3").list_objects_v2(Bucket=name).get("Contents", []):
        got = gate.owner("s3").get_object(Bucket=name, Key=row["Key"])
        tags = gate.owner("s3").get_object_tagging(Bucket=name, Key=row["Key"])["TagSet"]
        body = got["Body"].read()
        objects[row["Key"]] = [body, got["ContentType"], got["Metadata"], tags]
    return {
        "objects": objects,
        "versioning": _ask(gate, "s3", "get_bucket_versioning", Bucket=name).get("Status"),
        "lifecycle": _ask(gate, "s3", "get_bucket_lifecycle_configuration", Bucket=name),
        "tags": _ask(gate, "s3", "get_bucket_tagging", Bucket=name),
        "policy": _ask(gate, "s3", "get_bucket_policy", Bucket=name),
        "public": _ask(gate, "s3", "get_public_access_block", Bucket=name),
    }


def _role(gate: Gate, name: str) -> dict[str, Any]:
    found = _ask(gate, "iam", "get_role", RoleName=name)
    if not found:
        return {}
    iam, inline = gate.owner("iam"), {}
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        own = iam.get_role_policy(RoleName=name, PolicyName=policy)
        inline[policy] = own["PolicyDocument"]
    members = ("Path", "AssumeRolePolicyDocument", "Description", "Tags", "MaxSessionDuration")
    return {
        "role": {k: found["Role"].get(k) for k in members},
        "inline": inline,
        "attached": iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
    }


def _queue(gate: Gate, name: str) -> dict[str, Any]:
    found = _ask(gate, "sqs", "get_queue_url", QueueName=name)
    if not found:
        return {}
    sqs, url = gate.owner("sqs"), found["QueueUrl"]
    known = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    attributes = {k: v for k, v in known.items() if not k.startswith("Approximate")}
    return {"attributes": attributes, "tags": sqs.list_queue_tags(QueueUrl=url).get("Tags")}


def _stack(gate: Gate, name: str) -> dict[str, Any]:
    found = _ask(gate, "cloudformation", "describe_stacks", StackName=name)
    if not found:
        return {}
    one, owner = found["Stacks"][0], gate.owner("cloudformation")
    rows = owner.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return {
        "protected": one.get("EnableTerminationProtection"),
        "tags": one["Tags"],
        "resources": sorted((r["LogicalResourceId"], r["PhysicalResourceId"]) for r in rows),
        "table": _table(gate, f"{name}-table"),
        "files": _bucket(gate, f"{name}-files"),
        "jobs": _queue(gate, f"{name}-jobs"),
        "worker": _role(gate, f"{name}-worker"),
    }
