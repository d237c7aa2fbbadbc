"""Attempts to do something the ledger does not show, or to be read as something else."""

from __future__ import annotations

import gzip
import json

import pytest

from attacks.attacker import call, query_call, raw, send, signed
from attacks.conftest import Scene

JSON = {"Content-Type": "application/x-amz-json-1.0"}
FORM = "application/x-www-form-urlencoded; charset=utf-8"
LIST = {**JSON, "X-Amz-Target": "DynamoDB_20120810.ListTables"}


def request(scene: Scene, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    """One request as bytes."""
    host = scene.endpoint.removeprefix("http://")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{k}: {v}" for k, v in headers.items() if k.lower() != "host"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def statuses(answer: bytes) -> list[int]:
    """The status of every answer on a connection."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "LOCK", "X"]
)
def test_an_unusual_method_reaches_nothing(scene: Scene, method: str) -> None:
    path, headers = signed(scene.endpoint, scene.key, "s3", method, "/invoices/a")
    answer = raw(scene.endpoint, request(scene, method, path, headers, b""), timeout=1.0)
    assert all(status >= 400 for status in statuses(answer))
    assert scene.aws.wires == []


def test_a_head_is_a_read_with_a_receipt(scene: Scene) -> None:
    call(scene.endpoint, scene.key, "s3", "HEAD", "/invoices/a")
    assert [r["mark"] for r in scene.receipts()][-1:] in (["read"], ["decided"])


def test_what_cannot_be_read_is_in_the_ledger_too(scene: Scene) -> None:
    for body in (b"{", b"\xff\xfe", b"[]", b'{"TableName": 1e999}', b'{"a":' * 5000):
        headers = {**JSON, "X-Amz-Target": "DynamoDB_20120810.DeleteTable"}
        seen = call(scene.endpoint, scene.key, "dynamodb", body=body, headers=headers)
        assert seen.status >= 400
    assert scene.arrived() == []
    decided = [r for r in scene.receipts() if r["mark"] == "decided"]
    assert len(decided) == 5
    assert {r["decision"]["ruling"] for r in decided} <= {"deny", "hold"}


def test_every_attempt_leaves_a_receipt_before_its_answer(scene: Scene) -> None:
    before = len(scene.receipts())
    scene.dynamodb("ListTables")
    scene.put(2)
    scene.dynamodb("DeleteTable", TableName="orders")
    named = [r["action"]["name"] for r in scene.receipts()[before:] if r.get("action")]
    for name in ("dynamodb:ListTables", "dynamodb:PutItem", "dynamodb:DeleteTable"):
        assert name in named


def test_an_absolute_target_is_no_way_to_another_host(scene: Scene) -> None:
    for target in ("http://169.254.169.254/latest/meta-data/", "https://evil.example/", "*"):
        _, headers = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", b"{}", LIST)
        data = request(scene, "POST", target, {**headers, "Content-Length": "2"}, b"{}")
        answer = raw(scene.endpoint, data, timeout=1.0)
        assert all(status >= 400 for status in statuses(answer)), target
    assert scene.aws.wires == []


def test_a_second_request_hidden_in_the_body_of_the_first_is_not_run(scene: Scene) -> None:
    # CL.TE: the length covers both, the chunks end early; the rest is a request of its own.
    inner = request(scene, "POST", "/", {**LIST, "Content-Length": "2"}, b"{}")
    body = b"0\r\n\r\n" + inner
    _, headers = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", body, LIST)
    for also in ("chunked", "Chunked", " chunked", "identity, chunked", "x-chunked"):
        both = {**headers, "Content-Length": str(len(body)), "Transfer-Encoding": also}
        answer = raw(scene.endpoint, request(scene, "POST", "/", both, body), timeout=1.0)
        assert all(status >= 400 for status in statuses(answer)), also
    assert scene.aws.wires == []


def test_two_lengths_are_one_too_many(scene: Scene) -> None:
    _, headers = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", b"{}", LIST)
    data = request(scene, "POST", "/", headers, b"{}")
    double = data.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\nContent-Length: 200\r\n\r\n", 1)
    assert all(status >= 400 for status in statuses(raw(scene.endpoint, double, timeout=1.0)))
    assert scene.aws.wires == []


def test_pipelined_requests_are_each_signed_decided_and_recorded(scene: Scene) -> None:
    _, good = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", b"{}", LIST)
    body = json.dumps({"TableName": "orders"}).encode()
    target = {**JSON, "X-Amz-Target": "DynamoDB_20120810.DeleteTable"}
    _, bad = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", body, target)
    data = request(scene, "POST", "/", {**good, "Content-Length": "2"}, b"{}")
    data += request(scene, "POST", "/", {**bad, "Content-Length": str(len(body))}, body)
    # Unsigned: it rides on the connection of the two before it, which lends it nothing.
    data += request(scene, "POST", "/", {**target, "Content-Length": str(len(body))}, body)
    assert statuses(raw(scene.endpoint, data, timeout=2.0)) == [200, 403, 403]
    assert scene.arrived() == []


def test_a_replayed_request_of_a_change_is_held_like_the_first(scene: Scene) -> None:
    body = json.dumps({"TableName": "orders"}).encode()
    target = {**JSON, "X-Amz-Target": "DynamoDB_20120810.DeleteTable"}
    path, headers = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", body, target)
    first = send(scene.endpoint, "POST", path, body, headers)
    again = send(scene.endpoint, "POST", path, body, headers)
    assert first.status == again.status == 403
    assert first.ticket == again.ticket
    assert scene.arrived() == []


def test_a_body_exchanged_after_signing_is_refused(scene: Scene) -> None:
    path, headers = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", b"{}", LIST)
    seen = send(scene.endpoint, "POST", path, b'{"Limit": 1}', headers)
    assert seen.status == 403
    assert scene.aws.wires == []


def test_a_header_added_after_signing_decides_nothing(scene: Scene) -> None:
    path, headers = signed(scene.endpoint, scene.key, "s3", "PUT", "/invoices/a", b"x")
    for name in ("x-amz-copy-source", "x-amz-acl", "x-amz-bypass-governance-retention"):
        seen = send(scene.endpoint, "PUT", path, b"x", {**headers, name: "/secrets/a"})
        assert seen.status == 403, name
    assert scene.aws.wires == []


def test_two_actions_in_one_form_are_not_understood(scene: Scene) -> None:
    forms = (
        "Action=GetCallerIdentity&Version=2011-06-15&Action=DeleteStack&StackName=prod",
        "Action=DescribeStacks&Version=2010-05-15&Action=DeleteStack&StackName=prod",
    )
    for form in forms:
        for service in ("sts", "cloudformation"):
            seen = query_call(scene.endpoint, scene.key, service, form)
            assert seen.status >= 400
    assert scene.aws.asked == []


def test_an_action_in_the_query_does_not_contradict_the_one_in_the_body(scene: Scene) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    seen = call(
        scene.endpoint,
        scene.key,
        "cloudformation",
        "POST",
        "/?Action=DescribeStacks&Version=2010-05-15",
        b"Action=DeleteStack&Version=2010-05-15&StackName=prod",
        headers,
    )
    assert seen.status >= 400
    assert scene.arrived() == []


def test_a_member_given_twice_in_json_is_not_two_meanings(scene: Scene) -> None:
    headers = {**JSON, "X-Amz-Target": "DynamoDB_20120810.DeleteTable"}
    body = b'{"TableName": "dev-orders", "TableName": "orders"}'
    seen = call(scene.endpoint, scene.key, "dynamodb", body=body, headers=headers)
    assert seen.status == 403
    assert scene.arrived() == []
    assert "orders" in scene.aws.tables


@pytest.mark.parametrize(
    "path",
    ["/invoices/../secrets/a", "/invoices/%2e%2e/a", "//invoices//a", "/invoices/a%00b", "/%"],
)
def test_an_odd_path_is_the_same_path_to_both_sides_or_none(scene: Scene, path: str) -> None:
    seen = call(scene.endpoint, scene.key, "s3", "DELETE", path)
    assert seen.status >= 400
    assert scene.arrived() == []


def test_nothing_is_answered_without_a_run_key_and_nothing_reaches_the_target(
    scene: Scene,
) -> None:
    nobody = {**scene.key, "key_id": "AKIAAAAAAAAAAAAAAAAA"}
    wrong = {**scene.key, "secret": "guessed"}
    for key in (nobody, wrong):
        assert call(scene.endpoint, key, "dynamodb", body=b"{}", headers=LIST).status == 403
    assert send(scene.endpoint, "POST", "/", b"{}", LIST).status >= 400
    basic = {**LIST, "Authorization": "Basic b2xnYTpwdw=="}
    assert send(scene.endpoint, "POST", "/", b"{}", basic).status >= 400
    assert scene.aws.wires == []


TWO_TONGUES = {
    "a target header over a form that deletes a queue": (
        "sqs",
        {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": FORM},
        b"Action=DeleteQueue&Version=2012-11-05&QueueUrl=http://x/1/orders",
    ),
    "a form over a target header that deletes a queue": (
        "sqs",
        {"X-Amz-Target": "AmazonSQS.DeleteQueue", "Content-Type": FORM},
        b"Action=ListQueues&Version=2012-11-05",
    ),
    "a target header over a form that deletes alarms": (
        "monitoring",
        {"X-Amz-Target": "GraniteServiceVersion20100801.ListMetrics", "Content-Type": FORM},
        b"Action=DeleteAlarms&Version=2010-08-01&AlarmNames.member.1=pager",
    ),
    "a protocol header over a target header": (
        "monitoring",
        {
            "Smithy-Protocol": "rpc-v2-cbor",
            "X-Amz-Target": "GraniteServiceVersion20100801.DeleteAlarms",
            "Content-Type": "application/x-amz-json-1.0",
        },
        b'{"AlarmNames": ["pager"]}',
    ),
    "a body in gzip that says something else": (
        "dynamodb",
        {
            "X-Amz-Target": "DynamoDB_20120810.DeleteTable",
            "Content-Type": "application/x-amz-json-1.0",
            "Content-Encoding": "gzip",
        },
        gzip.compress(b'{"TableName": "orders"}'),
    ),
    "a body in another alphabet": (
        "dynamodb",
        {
            "X-Amz-Target": "DynamoDB_20120810.DeleteTable",
            "Content-Type": "application/x-amz-json-1.0; charset=utf-16",
        },
        '{"TableName": "orders"}'.encode("utf-16"),
    ),
    "a method override": (
        "s3",
        {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"},
        b"",
    ),
}


@pytest.mark.parametrize("sentence", TWO_TONGUES)
def test_a_request_in_two_tongues_is_not_run_in_either(scene: Scene, sentence: str) -> None:
    service, headers, body = TWO_TONGUES[sentence]
    path = "/invoices/a" if service == "s3" else "/"
    seen = call(scene.endpoint, scene.key, service, "POST", path, body, headers)
    assert seen.status >= 400, seen.text
    assert scene.arrived() == []


def test_a_method_override_on_a_read_is_not_passed_on(scene: Scene) -> None:
    headers = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
    call(scene.endpoint, scene.key, "s3", "GET", "/invoices/a", b"", headers)
    assert "override" not in str(scene.aws.wires).lower()


def test_two_headers_of_one_name_are_not_two_meanings(scene: Scene) -> None:
    body = b'{"TableName": "orders"}'
    target = {**JSON, "X-Amz-Target": "DynamoDB_20120810.DeleteTable"}
    _, headers = signed(scene.endpoint, scene.key, "dynamodb", "POST", "/", body, target)
    whole = request(scene, "POST", "/", {**headers, "Content-Length": str(len(body))}, body)
    for also in (b"X-Amz-Target: DynamoDB_20120810.ListTables", b"Content-Type: text/plain"):
        for twice in (
            whole.replace(b"\r\n", b"\r\n" + also + b"\r\n", 1),
            whole.replace(b"\r\n\r\n", b"\r\n" + also + b"\r\n\r\n", 1),
        ):
            answer = raw(scene.endpoint, twice, timeout=1.0)
            assert all(status >= 400 for status in statuses(answer))
    assert scene.arrived() == []


def test_a_bucket_named_by_the_host_is_the_bucket_that_is_judged(scene: Scene) -> None:
    for host in ("invoices.s3.us-east-1.amazonaws.com", "s3.amazonaws.com", "invoices"):
        seen = call(scene.endpoint, scene.key, "s3", "DELETE", "/a", headers={"Host": host})
        assert seen.status == 403, host
        if seen.ticket:
            assert "arn:aws:s3:::" in str(scene.held(seen)["targets"])
    assert scene.arrived() == []
