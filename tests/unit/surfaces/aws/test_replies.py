"""What the target answered, as data."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.replies import UNREADABLE, parse_reply

MODELS = Models()
XML = (("content-type", "text/xml"),)


def test_a_json_answer_is_data_by_botocores_names() -> None:
    body = b'{"Item":{"a":{"B":"AAE="}}}'
    ok, code, message, data = parse_reply(MODELS, "dynamodb", "GetItem", 200, {}, body)
    assert (ok, code, message) == (True, "", "")
    assert data == {"Item": {"a": {"B": b"\x00\x01"}}}


def test_a_form_protocol_answers_in_xml() -> None:
    body = (
        b"<CreateStackResponse><CreateStackResult><StackId>arn:x</StackId>"
        b"</CreateStackResult></CreateStackResponse>"
    )
    reply = parse_reply(MODELS, "cloudformation", "CreateStack", 200, XML, body)
    assert reply.data == {"StackId": "arn:x"}


def test_an_error_has_the_targets_own_code() -> None:
    body = b'{"__type":"com.amazonaws#ResourceNotFoundException","message":"no table"}'
    reply = parse_reply(MODELS, "dynamodb", "DeleteTable", 400, {}, body)
    assert (reply.ok, reply.error_code) == (False, "ResourceNotFoundException")
    assert reply.error_message == "no table"
    assert reply.data == {}


def test_an_error_of_s3_inside_a_success_is_an_error() -> None:
    body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>m</Message></Error>"
    reply = parse_reply(MODELS, "s3", "CopyObject", 200, XML, body)
    assert (reply.ok, reply.error_code, reply.error_message) == (False, "SlowDown", "m")


def test_an_error_without_a_body_has_its_status_as_code() -> None:
    reply = parse_reply(MODELS, "s3", "HeadObject", 404, {}, b"")
    assert (reply.ok, reply.error_code) == (False, "404")


def test_headers_are_part_of_the_answer_and_an_object_comes_as_bytes() -> None:
    headers = {"x-amz-version-id": "v", "ETag": '"e"'}
    reply = parse_reply(MODELS, "s3", "GetObject", 200, headers, b"\x00content")
    assert reply.data["Body"] == b"\x00content"
    assert reply.data["VersionId"] == "v"


def test_a_large_object_is_named_by_hash_and_size() -> None:
    body = b"x" * 100
    reply = parse_reply(MODELS, "s3", "GetObject", 200, {}, body, body_most=99)
    sha = hashlib.sha256(body).hexdigest()
    assert reply.data == {"Body": {"$body": {"sha256": sha, "size": 100}}}


def test_a_success_nobody_can_read_still_happened() -> None:
    reply = parse_reply(MODELS, "dynamodb", "DeleteTable", 200, {}, b"\xff<junk")
    assert (reply.ok, reply.error_code) == (True, UNREADABLE)
    unknown = parse_reply(MODELS, "dynamodb", "Nonsense", 200, {}, b"{}")
    assert (unknown.ok, unknown.error_code) == (True, UNREADABLE)


@given(
    st.sampled_from(
        [
            ("s3", "ListObjectsV2"),
            ("s3", "GetObject"),
            ("dynamodb", "Query"),
            ("rds", "DescribeDBInstances"),
            ("cloudwatch", "ListMetrics"),
        ]
    ),
    st.integers(100, 599),
    st.binary(max_size=60) | st.sampled_from([b"<Error>", b"<a/>", b"[]", b'{"Items":3}', b"\xa1"]),
)
@pytest.mark.filterwarnings("ignore")
def test_no_junk_raises(operation: tuple[str, str], status: int, body: bytes) -> None:
    reply = parse_reply(MODELS, *operation, status, {"content-type": "x"}, body)
    assert reply.ok == (200 <= status < 300) or body == b"<Error>"


@pytest.mark.parametrize(
    ("inside", "place"), [(b"eu-west-1", "eu-west-1"), (b"EU", "EU"), (b"", "")]
)
def test_where_a_bucket_is_is_the_answers_own_text(inside: bytes, place: str) -> None:
    start = b'<?xml version="1.0"?><LocationConstraint xmlns="http://s3.amazonaws.com/doc/">'
    body = start + inside + b"</LocationConstraint>"
    reply = parse_reply(MODELS, "s3", "GetBucketLocation", 200, XML, body)
    assert reply.ok
    assert reply.data["LocationConstraint"] == place


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("dynamodb", "BatchGetItem"),
        ("lambda", "ListFunctions"),
        ("s3", "GetBucketVersioning"),
        ("cloudformation", "DescribeStacks"),
    ],
)
@pytest.mark.parametrize("body", [b"<html><body>x</body></html>", b"<!DOCTYPE html><html></html>"])
def test_a_page_is_not_an_answer_without_members(service: str, operation: str, body: bytes) -> None:
    reply = parse_reply(MODELS, service, operation, 200, XML, body)
    assert (reply.ok, reply.error_code) == (True, UNREADABLE)


def test_an_answer_without_members_is_one() -> None:
    assert parse_reply(MODELS, "dynamodb", "GetItem", 200, {}, b"{}").error_code == ""
    empty = b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
    assert parse_reply(MODELS, "s3", "GetBucketVersioning", 200, XML, empty).error_code == ""
    assert parse_reply(MODELS, "s3", "PutBucketTagging", 204, (), b"").error_code == ""
