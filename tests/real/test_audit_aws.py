"""`signoff audit aws --live` against a real IAM endpoint, and what it writes, enforced by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from signoff.faces.cli import run_command

pytestmark = pytest.mark.real
REGION = "eu-west-1"
BROAD = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["dynamodb:*", "s3:*", "sqs:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"},
    ],
}
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
}
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"AWS": "arn:aws:iam::123456789012:role/agent"},
        }
    ],
}
OPEN = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An empty account at an address of its own; the shell variables of its owner."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_CONFIG_FILE", str(tmp_path / "none")),
        ("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none")),
        ("SIGNOFF_CONFIG", str(tmp_path / "none.toml")),
    ):
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        yield url
    finally:
        enforce(url, None)
        _post(url, "reset")
        server.stop()


def enforce(url: str, after: int | None) -> None:
    """From now on (or never, for None) every call needs a permission."""
    _post(url, "reset-auth", b"inf" if after is None else str(after).encode())


def _post(url: str, what: str, data: bytes = b"") -> None:
    plain = {"Content-Type": "text/plain"}
    asked = Request(f"{url}/moto-api/{what}", data=data, headers=plain, method="POST")
    with urlopen(asked) as answer:
        assert answer.status == 200


def client(url: str, service: str, **keys: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name=REGION, **keys)


def test_a_live_account_is_read_audited_and_made_smaller(
    aws: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    iam = client(aws, "iam")
    iam.create_role(RoleName="agent", AssumeRolePolicyDocument=json.dumps(OPEN))
    iam.put_role_policy(RoleName="agent", PolicyName="broad", PolicyDocument=json.dumps(BROAD))
    iam.create_role(RoleName="keeper", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="keeper", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    table = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
    used = tmp_path / "used.txt"
    used.write_text(f"dynamodb:DescribeTable {table}\ndynamodb:ListTables\ns3:ListBuckets\n")
    out = tmp_path / "out"
    asked = ["audit", "aws", "--live", "--endpoint", aws, "--role", "agent", "--json"]
    asked += ["--used", str(used), "--write", str(out), "--html", str(tmp_path / "page.html")]
    code = run_command(asked)
    told = json.loads(capsys.readouterr().out)
    assert code == 6
    checks = {f["check"] for f in told["findings"]}
    assert {"aws.destroy", "aws.chain", "aws.trust"} <= checks
    assert any("dynamodb:DeleteTable" in f["what"] for f in told["findings"])
    assert "keeper" in (tmp_path / "page.html").read_text()
    _enforced(aws, (out / "agent.managed-1.json").read_text())


def _enforced(url: str, policy: str) -> None:
    """The written policy alone, attached to a caller whose every call is checked."""
    iam, owner = client(url, "iam"), client(url, "dynamodb")
    owner.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    iam.create_user(UserName="agent")
    iam.put_user_policy(UserName="agent", PolicyName="smaller", PolicyDocument=policy)
    made = iam.create_access_key(UserName="agent")["AccessKey"]
    keys = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
    }
    enforce(url, 0)
    dynamodb, s3 = client(url, "dynamodb", **keys), client(url, "s3", **keys)
    assert dynamodb.list_tables()["TableNames"] == ["orders"]
    assert s3.list_buckets()["Buckets"] == []
    for call in (
        lambda: dynamodb.delete_table(TableName="orders"),
        lambda: dynamodb.delete_item(TableName="orders", Key={"id": {"S": "a"}}),
        lambda: s3.delete_bucket(Bucket="reports"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_account_that_does_not_answer_is_one_clear_line(
    aws: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = run_command(["audit", "aws", "--live", "--endpoint", "http://127.0.0.1:9"])
    told = capsys.readouterr()
    assert code == 1
    assert told.out == ""
    assert "AWS did not show the account's permissions" in told.err
    assert "next: " in told.err
