"""Bytes nobody should send, at the real gate: refused, nothing forwarded, the gate alive."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from real import gate_setups as made
from real.gate_world import Agent, Answered, Gate, fresh

pytestmark = pytest.mark.real

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
JSON = {"content-type": "application/x-amz-json-1.0"}
DROP = {**JSON, "x-amz-target": "DynamoDB_20120810.DeleteTable"}
STACKS = "cloudformation"


def refused(gate: Gate, agent: Agent, answer: Answered, at: tuple[int, int]) -> None:
    """The answer is a denial, nothing left the daemon, and it works as before."""
    assert 400 <= answer.status < 500, answer
    assert b"Traceback" not in answer.body
    assert gate.sent(at) == []
    assert agent.client("sts").get_caller_identity()["Account"]


CONTRADICTIONS: dict[str, tuple[str, str, str, dict[str, str], bytes]] = {
    "two actions": (
        STACKS, "POST", "/", FORM,
        b"Action=ListStacks&Action=DeleteStack&StackName=s&Version=2010-05-15",
    ),
    "an action in the address and another in the body": (
        STACKS, "POST", "/?Action=ListStacks&Version=2010-05-15", FORM,
        b"Action=DeleteStack&StackName=s&Version=2010-05-15",
    ),
    "a parameter twice": (
        STACKS, "POST", "/", FORM,
        b"Action=DeleteStack&StackName=a&StackName=b&Version=2010-05-15",
    ),
    "another version of the service": (
        STACKS, "POST", "/", FORM, b"Action=DeleteStack&StackName=s&Version=1999-01-01",
    ),
    "no action": (STACKS, "POST", "/", FORM, b"StackName=s&Version=2010-05-15"),
    "an action nobody knows": (
        STACKS, "POST", "/", FORM, b"Action=DestroyAll&Version=2010-05-15",
    ),
    "a header against the body": (
        "sqs", "POST", "/",
        {**FORM, "x-amz-target": "AmazonSQS.ListQueues"},
        b"Action=DeleteQueue&QueueUrl=q&Version=2012-11-05",
    ),
    "a header for another service than the signature": (
        "s3", "POST", "/", {**DROP}, b'{"TableName": "t"}',
    ),
    "a target of another service": (
        "sqs", "POST", "/", {**DROP}, b'{"TableName": "t"}',
    ),
    "a member twice": (
        "dynamodb", "POST", "/", DROP, b'{"TableName": "a", "TableName": "b"}',
    ),
    "a member nobody knows": (
        "dynamodb", "POST", "/", DROP, b'{"TableName": "a", "Force": true}',
    ),
    "not JSON": ("dynamodb", "POST", "/", DROP, b"\xff\xfe{"),
    "JSON without an end": ("dynamodb", "POST", "/", DROP, b'{"TableName": "a"'),
    "JSON a thousand deep": ("dynamodb", "POST", "/", DROP, b"[" * 100_000),
    "a number where a name belongs": ("dynamodb", "POST", "/", DROP, b'{"TableName": 1e999}'),
    "a read by its method, a change by its target": (
        "dynamodb", "GET", "/", DROP, b'{"TableName": "a"}',
    ),
    "a method override": (
        "s3", "GET", "/bucket/key", {"x-http-method-override": "DELETE", "x-amz-acl": "private"},
        b"",
    ),
    "a path with a parent": ("s3", "DELETE", "/one/../other/key", {}, b""),
    "a path with an encoded parent": ("s3", "DELETE", "/one/%2e%2e/other", {}, b""),
    "a path with an encoded slash for a bucket": ("s3", "DELETE", "/one%2Fother", {}, b""),
    "a path with two slashes first": ("s3", "DELETE", "//one/key", {}, b""),
    "a path of another service": ("dynamodb", "POST", "/bucket/key", DROP, b'{"TableName": "a"}'),
    "a broken escape": ("s3", "DELETE", "/one/%zz", {}, b""),
    "a subresource twice": ("s3", "DELETE", "/one?tagging&policy", {}, b""),
    "a subresource nobody knows": ("s3", "PUT", "/one?sudo", {}, b"<a/>"),
    "XML with an entity": (
        "s3", "POST", "/one?delete", {"content-type": "text/xml"},
        b'<!DOCTYPE d [<!ENTITY a "k">]><Delete><Object><Key>&a;</Key></Object></Delete>',
    ),
    "a service nobody knows": ("nonsense", "POST", "/", DROP, b"{}"),
    "a presigned address that is signed as well": (
        "s3", "GET", "/one/key?X-Amz-Signature=00&X-Amz-Credential=x", {}, b"",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_says_two_things_or_nothing_is_refused(gate: Gate, case: str) -> None:
    service, method, path, headers, body = CONTRADICTIONS[case]
    agent, at = gate.agent(), gate.at()
    answer = agent.send(method, path, body, service, headers)
    assert b"does not match" not in answer.body, "it was signed well, and refused for what it says"
    refused(gate, agent, answer, at)


def headers_of(agent: Agent, body: bytes, **more: str) -> dict[str, str]:
    """The signed headers of one honest DeleteTable."""
    return dict(agent.sign("POST", "/", body, "dynamodb", {**DROP, **more}))


def test_a_body_that_was_exchanged_after_signing_is_refused(gate: Gate) -> None:
    agent, at = gate.agent(), gate.at()
    signed = headers_of(agent, b'{"TableName": "one"}')
    answer = agent.raw("POST", "/", b'{"TableName": "two"}', tuple(signed.items()))
    refused(gate, agent, answer, at)


def test_a_header_that_was_added_after_signing_is_refused(gate: Gate) -> None:
    agent, at, body = gate.agent(), gate.at(), b'{"TableName": "one"}'
    added = [*headers_of(agent, body).items(), ("x-amz-security-token", "t")]
    refused(gate, agent, agent.raw("POST", "/", body, added), at)
    at = gate.at()
    twice = [*headers_of(agent, body).items(), ("x-amz-target", "DynamoDB_20120810.ListTables")]
    refused(gate, agent, agent.raw("POST", "/", body, twice), at)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
        "AWS4-ECDSA-P256-SHA256 Credential=A/20260101/dynamodb/aws4_request, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKIAQQQQQQQQQQQQQQQQ/20260101/eu-west-1/dynamodb/aws4_request,"
        " SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=, Signature=",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic YTpi",
    ],
    ids=["unsigned", "version 2", "version 4A", "unknown key", "empty", "bearer", "basic"],
)
def test_another_signature_than_a_run_keys_is_refused(gate: Gate, authorization: str) -> None:
    agent, at, body = gate.agent(), gate.at(), b'{"TableName": "one"}'
    signed = headers_of(agent, body)
    del signed["authorization"]
    if authorization:
        signed["authorization"] = authorization
    refused(gate, agent, agent.raw("POST", "/", body, tuple(signed.items())), at)


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("sts", "get_caller_identity"),
        ("s3", "list_buckets"),
        ("dynamodb", "list_tables"),
        ("lambda", "list_functions"),
        ("ec2", "describe_instances"),
    ],
)
def test_a_wrong_secret_is_refused_in_words_the_client_shows(
    gate: Gate, service: str, method: str
) -> None:
    agent, at = gate.agent(), gate.at()
    thief = Agent(gate, {**agent.issued, "secret": "guessed"})
    error = thief.refused(getattr(thief.client(service), method))
    assert "does not match" in str(error)
    assert gate.sent(at) == []


def test_a_region_that_is_not_allowed_is_refused(gate: Gate) -> None:
    agent, at = gate.agent(), gate.at()
    elsewhere = gate.session.client(
        "dynamodb",
        endpoint_url=agent.issued["endpoint"],
        region_name="ap-south-1",
        aws_access_key_id=agent.issued["key_id"],
        aws_secret_access_key=agent.issued["secret"],
    )
    made.table(gate, fresh("shop"), items=1)
    error = agent.refused(lambda: elsewhere.delete_table(TableName="anything"))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert gate.sent(at) == []


UNFINISHED = {"noise", "nothing", "a TLS hello", "a body that never comes"}
UNFINISHED |= {"a chunk beyond all bounds"}
"""Here the gate rightly waits for more, until the other side hangs up."""


def spoken(gate: Gate, sent: bytes, *, unfinished: bool = False) -> bytes:
    """What a raw connection is answered, up to the end of the first answer's bytes."""
    where = urlsplit(gate.guard.endpoint)
    answer = b""
    with socket.create_connection((where.hostname, where.port), 10) as one, suppress(OSError):
        one.sendall(sent)
        if not unfinished:
            answer = one.recv(65_536)
        one.shutdown(socket.SHUT_WR)
        while len(answer) < 100_000 and (piece := one.recv(65_536)):
            answer += piece
    return answer


GET, POST = (line + b" / HTTP/1.1\r\nHost: a\r\n" for line in (b"GET", b"POST"))
RAW = {
    "noise": bytes(range(256)) * 8,
    "nothing": b"",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 80,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: b\r\n\r\n",
    "a proxy request": b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "options of everything": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "a length and chunks": POST + b"Content-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET + b"\r\n",
    "a length below zero": POST + b"Content-Length: -1\r\n\r\n",
    "a length without an end": POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
    "a body that never comes": POST + b"Content-Length: 10\r\n\r\nabc",
    "broken chunks": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    "a chunk beyond all bounds": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "a folded header": GET + b"X-Amz-Date: 1\r\n 2\r\n\r\n",
    "a blank before the colon": GET + b"X-Amz-Date : 1\r\n\r\n",
    "a NUL in a header": GET + b"X-A: \x00\r\n\r\n",
    "a header of a megabyte": GET + b"X-A: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "an address of a megabyte": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "ten thousand headers": GET + b"a: b\r\n" * 10_000 + b"\r\n",
    "line feeds alone": b"GET / HTTP/1.1\nHost: a\n\n",
    "bytes above 127 in the address": b"GET /\xff\xfe\xc3( HTTP/1.1\r\nHost: a\r\n\r\n",
    "a blank in the address": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "compressed": POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "an upgrade": GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "asking first": POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "two requests at once": (GET + b"\r\n") * 2,
    "a body over the bound": POST + b"Content-Length: 99999999999\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", RAW)
def test_hostile_bytes_are_refused_or_hung_up_on(gate: Gate, case: str) -> None:
    agent, at = gate.agent(), gate.at()
    answer = spoken(gate, RAW[case], unfinished=case in UNFINISHED)
    statuses = [
        line.split()[1]
        for line in answer.split(b"\r\n")
        if line.startswith(b"HTTP/") and len(line.split()) > 1
    ]
    assert statuses or case in UNFINISHED
    assert all(s == b"100" or s.startswith(b"4") for s in statuses), answer[:400]
    assert b"Traceback" not in answer
    assert gate.sent(at) == []
    assert agent.client("sts").get_caller_identity()["Account"]


def test_a_body_that_grows_over_the_bound_is_cut_off(gate: Gate) -> None:
    agent, at = gate.agent(), gate.at()
    start = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b"a" * (1 << 20) + b"\r\n"
    answer = spoken(gate, start + chunk * 66)
    assert not answer or answer.startswith(b"HTTP/1.1 403"), answer[:200]
    assert b"Traceback" not in answer
    assert gate.sent(at) == []
    assert agent.client("sts").get_caller_identity()["Account"]


def test_a_body_over_the_owners_bound_is_refused(moving: Gate) -> None:
    agent, name = moving.agent(), fresh("dev")
    made.bucket(moving, name)
    at = moving.at()
    s3 = agent.client("s3")
    fits, over = b"a" * 900_000, b"a" * 1_000_001
    error = agent.refused(lambda: s3.put_object(Bucket=name, Key="over", Body=over))
    assert "at most 1 MB pass in one request" in str(error)
    assert moving.sent(at) == []
    s3.put_object(Bucket=name, Key="fits", Body=fits)
    assert moving.owner("s3").get_object(Bucket=name, Key="fits")["Body"].read() == fits


def test_what_was_refused_leaves_no_fault_in_the_daemons_log(gate: Gate) -> None:
    for case, one in RAW.items():
        spoken(gate, one, unfinished=case in UNFINISHED)
    log = (gate.guard.folder / "daemon.log").read_text(errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") :][:1500]
    assert "signoff failed inside" not in log


def test_what_could_not_be_read_is_in_the_ledger_as_denied(gate: Gate) -> None:
    agent, at = gate.agent(), gate.at()
    _, method, path, headers, body = CONTRADICTIONS["two actions"]
    agent.send(method, path, body, STACKS, headers)
    rows: list[dict[str, Any]] = gate.receipts(agent.run, at)
    assert [(r["mark"], r["decision"]["ruling"]) for r in rows] == [("decided", "deny")]
    assert "s" not in rows[0]["action"].get("parameters", {})
