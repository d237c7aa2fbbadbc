"""The page about audits, typed at a real terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from docs.pages import ROOT
from docs.sitting import Sitting, ended, sitting

pytestmark = [pytest.mark.real, pytest.mark.slow]
PAGE = ROOT / "docs" / "how-to" / "audit.md"


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Sitting]:
    """Somebody with an AWS profile and no settings of Signoff."""
    with sitting() as one:
        yield one


def policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_an_account_is_audited_and_a_role_made_smaller_as_the_page_says(newcomer: Sitting) -> None:
    iam: Any = boto3.client(
        "iam",
        endpoint_url=newcomer.aws,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "123456789012"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="deploy-agent", AssumeRolePolicyDocument=document)
    iam.put_role_policy(
        RoleName="deploy-agent", PolicyName="inline", PolicyDocument=policy("dynamodb:*", "s3:*")
    )
    seen = newcomer.follow(PAGE, "AWS")
    ended(seen, "aws iam", 0, 0)
    audits = ended(seen, "signoff audit aws", 6, 6, 6, 6)
    assert all("dynamodb:DeleteTable" in ran.screen for ran in audits)
    assert (newcomer.home / "report.html").read_text().startswith("<!doctype html>")
    written = json.loads((newcomer.home / "smaller" / "deploy-agent.managed-1.json").read_text())
    actions = {a for s in written["Statement"] for a in [s["Action"]]}
    assert actions == {"dynamodb:DescribeTable", "s3:ListBucket"}
