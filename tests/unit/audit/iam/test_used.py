from __future__ import annotations

import json

import pytest

from signoff.audit.iam.actions import needed_by, service_of
from signoff.audit.iam.used import Used, from_receipts, merged, read_used
from signoff.model.errors import SignoffError

TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"


def used(text: str) -> Used:
    return read_used(text, "used", needed_by, service_of)


def record(source: str, name: str, *arns: str, **more: object) -> dict[str, object]:
    resources = [{"ARN": a} for a in arns]
    return {"eventSource": source, "eventName": name, "resources": resources, **more}


def test_lines_name_calls_and_become_the_actions_they_need() -> None:
    found = used(
        f"# a comment\ns3:ListObjectsV2 arn:aws:s3:::a\n\nlambda:Invoke\ndynamodb:Query {TABLE}"
    )
    assert found.actions == {
        "s3:ListBucket": frozenset({"arn:aws:s3:::a"}),
        "lambda:InvokeFunction": frozenset(),
        "dynamodb:Query": frozenset({TABLE}),
    }
    assert found.calls == 3


def test_cloudtrail_counts_what_was_answered_and_knows_its_own_names() -> None:
    records = [
        record("dynamodb.amazonaws.com", "GetItem", TABLE),
        record("lambda.amazonaws.com", "ListFunctions20150331"),
        record("monitoring.amazonaws.com", "PutMetricAlarm"),
        record("dynamodb.amazonaws.com", "DeleteTable", TABLE, errorCode="AccessDenied"),
    ]
    found = used(json.dumps({"Records": records}))
    assert set(found.actions) == {
        "dynamodb:GetItem",
        "lambda:ListFunctions",
        "cloudwatch:PutMetricAlarm",
    }
    events = [{"CloudTrailEvent": json.dumps(r)} for r in records]
    assert used(json.dumps({"Events": events})).actions == found.actions


def test_access_advisor_names_actions_and_services_without_any() -> None:
    services = [
        {
            "ServiceNamespace": "s3",
            "LastAuthenticated": "2026-01-01",
            "TrackedActionsLastAccessed": [
                {"ActionName": "GetObject", "LastAccessedTime": "2026-01-01"},
                {"ActionName": "DeleteObject"},
            ],
        },
        {"ServiceNamespace": "sqs", "LastAuthenticated": "2026-01-01"},
        {"ServiceNamespace": "rds"},
    ]
    found = used(json.dumps({"ServicesLastAccessed": services}))
    assert found.actions == {"s3:GetObject": frozenset()}
    assert found.whole == {"sqs"}


def receipt(
    mark: str, name: str, chain: str, run: str = "R-1", surface: str = "aws", effects: bool = True
) -> dict[str, object]:
    made: dict[str, object] = {
        "mark": mark,
        "action_id": chain,
        "principal": {"run": run},
        "action": {"surface": surface, "name": name},
    }
    if effects:
        made["effects"] = [{"resource": TABLE}, {"resource": "arn:aws:s3:::?"}]
    return made


def test_the_ledger_shows_what_went_through_and_not_what_was_refused() -> None:
    receipts = [
        receipt("read", "dynamodb:GetItem", "A-1"),
        receipt("decided", "dynamodb:PutItem", "A-2", run="R-2"),
        receipt("started", "dynamodb:PutItem", "A-2", run="R-2", effects=False),
        receipt("succeeded", "dynamodb:PutItem", "A-2", run="R-2", effects=False),
        receipt("decided", "dynamodb:DeleteTable", "A-3"),
        receipt("decided", "dynamodb:UpdateItem", "A-4"),
        receipt("failed", "dynamodb:UpdateItem", "A-4", effects=False),
        receipt("read", "SELECT", "A-5", surface="sql"),
        receipt("read", "sts:AssumeRole", "A-6"),
    ]
    found = from_receipts(receipts, "ledger", needed_by)
    assert found.actions == {
        "dynamodb:GetItem": frozenset({TABLE}),
        "dynamodb:PutItem": frozenset({TABLE}),
    }
    assert any("CloudTrail" in note for note in found.notes)
    only = from_receipts(receipts, "ledger", needed_by, run="R-2")
    assert set(only.actions) == {"dynamodb:PutItem"}


def test_an_action_seen_once_without_its_resource_has_none() -> None:
    whole = merged([used(f"dynamodb:Query {TABLE}"), used("dynamodb:Query")])
    assert whole.actions == {"dynamodb:Query": frozenset()}
    assert whole.calls == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("DeleteTable", "line 1: `DeleteTable` is no `service:Operation`"),
        ("s3:GetObject bucket/key", "`bucket/key` is no ARN"),
        ('{"Records": [{"eventSource": "s3.amazonaws.com"}]}', "`Records[0]` has no `eventName`"),
        ('{"Records": [{"eventName": "GetObject"}]}', "has no `eventSource`"),
        ('{"Events": [{}]}', "`Events[0]` has no `CloudTrailEvent`"),
        ('{"ServicesLastAccessed": [{}]}', "`ServicesLastAccessed[0]`"),
        ('{"ServicesLastAccessed": 3}', "is no list"),
        ('{"other": 1}', "neither"),
        ("{", "is not JSON"),
    ],
)
def test_what_says_nothing_of_use_is_an_error_with_its_place(text: str, says: str) -> None:
    with pytest.raises(SignoffError) as caught:
        used(text)
    assert says in str(caught.value)
