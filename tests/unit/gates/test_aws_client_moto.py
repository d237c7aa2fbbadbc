"""The client against moto: a role is assumed, things are made, listed and taken away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from signoff.gates.aws_client import AwsClient
from signoff.gates.aws_credentials import EnvironmentSource, RoleSource
from signoff.gates.aws_endpoints import Endpoints
from signoff.gates.aws_executor import AwsExecutor
from signoff.model.action import Action, Question
from signoff.model.values import frozen
from signoff.surfaces.aws.models import Models

pytestmark = pytest.mark.real

ACCOUNT = "123456789012"
SCOPE = {"account": ACCOUNT, "region": "eu-west-1"}
TEMPLATE = '{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}'


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
async def client(moto: str) -> object:
    models = Models()
    base = EnvironmentSource({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "hush"})
    role = RoleSource(
        base,
        f"arn:aws:iam::{ACCOUNT}:role/signoff",
        region="eu-west-1",
        session_policy='{"Version": "2012-10-17", "Statement": []}',
        endpoint=moto,
    )
    async with AwsClient(
        models, Endpoints(models, ("eu-west-1",), moto), role, region="eu-west-1", account=ACCOUNT
    ) as client:
        yield client


def act(name: str, **members: object) -> Action:
    return Action("aws", name, frozen(**members), SCOPE)


def ask(name: str, *, paginate: bool = False, **members: object) -> Question:
    return Question("aws", name, frozen(**members), SCOPE, paginate=paginate)


async def test_objects_are_written_listed_in_pages_read_and_deleted(client: AwsClient) -> None:
    executor = AwsExecutor(client)
    bucket = act(
        "s3:CreateBucket",
        Bucket="bucket-1",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    made = await executor.execute(bucket, original=True, until="")
    assert made.succeeded, made.error
    for name in ("a b/ü+=&.txt", "b", "c"):
        put = act("s3:PutObject", Bucket="bucket-1", Key=name, Body=name.encode())
        outcome = await executor.execute(put, original=True, until="")
        assert outcome.succeeded, outcome.error
        assert outcome.response["ETag"]
    listed = await client.ask(ask("s3:ListObjectsV2", paginate=True, Bucket="bucket-1", MaxKeys=1))
    contents = listed.value["Contents"]
    assert isinstance(contents, tuple)
    assert [c["Key"] for c in contents] == ["a b/ü+=&.txt", "b", "c"]  # type: ignore[index,call-overload]  # rows
    read = await client.ask(ask("s3:GetObject", Bucket="bucket-1", Key="a b/ü+=&.txt"))
    assert read.value["Body"] == "a b/ü+=&.txt".encode()
    gone = await client.ask(ask("s3:GetObject", Bucket="bucket-1", Key="none"))
    assert gone.error == "NoSuchKey"


async def test_a_stack_is_created_waited_for_and_deleted(client: AwsClient) -> None:
    executor = AwsExecutor(client, poll_seconds=0.01)
    create = act("cloudformation:CreateStack", StackName="s-1", TemplateBody=TEMPLATE)
    outcome = await executor.execute(create, original=True, until="stack settled")
    assert outcome.succeeded, outcome.error
    assert outcome.response["StackId"]
    delete = act("cloudformation:DeleteStack", StackName="s-1")
    outcome = await executor.execute(delete, original=True, until="stack settled")
    assert outcome.succeeded, outcome.error


async def test_every_protocol_can_be_asked(client: AwsClient) -> None:
    for question in (
        ask("dynamodb:ListTables", paginate=True),
        ask("sqs:ListQueues", paginate=True),
        ask("iam:ListRoles", paginate=True),
        ask("ec2:DescribeInstances", paginate=True),
        ask("rds:DescribeDBInstances", paginate=True),
        ask("lambda:ListFunctions", paginate=True),
        ask("route53:ListHostedZones", paginate=True),
        ask("cloudwatch:DescribeAlarms", paginate=True),
        ask("sts:GetCallerIdentity"),
    ):
        answer = await client.ask(question)
        assert answer.ok, (question.name, answer)
