"""From the wire to an action: what is read, and what is refused."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from datetime import UTC, datetime

import cbor2
import pytest

import aws_corpus
from signoff.model.action import Action
from signoff.model.errors import MalformedRequest
from signoff.model.values import Data
from signoff.surfaces.aws.chunked import plain_body
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import parse_given, parse_wire, read
from signoff.surfaces.aws.wire import WireRequest

MODELS = Models()
INDEX = Index.build([*aws_corpus.DEEP, "ec2", "cloudwatch", "lambda", "secretsmanager"], MODELS)
FORM = ("content-type", "application/x-www-form-urlencoded; charset=utf-8")
JSON = ("content-type", "application/x-amz-json-1.0")
SCOPE = {"account": "1", "region": "eu-west-1"}


def parse(service: str, wire: WireRequest, **more: tuple[str, ...]) -> Action:
    return parse_wire(
        MODELS, INDEX, wire, signing_name=service, region="eu-west-1", account="1", **more
    )


def dynamodb(operation: str, body: bytes, *headers: tuple[str, str]) -> WireRequest:
    target = ("x-amz-target", f"DynamoDB_20120810.{operation}")
    return WireRequest("POST", "/", "", (JSON, target, *headers), body)


def form(body: str, *headers: tuple[str, str]) -> WireRequest:
    return WireRequest("POST", "/", "", (FORM, *headers), body.encode())


def s3(method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> WireRequest:
    path, _, query = target.partition("?")
    return WireRequest(method, path, query, headers, body)


def read_s3(method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Data:
    return parse("s3", s3(method, target, *headers, body=body)).parameters


def test_an_action_says_what_and_where() -> None:
    action = parse("dynamodb", dynamodb("DeleteTable", b'{"TableName":"t"}'))
    assert (action.surface, action.name) == ("aws", "dynamodb:DeleteTable")
    assert dict(action.scope) == SCOPE
    assert dict(action.parameters) == {"TableName": "t"}
    assert action.unknown == ()


def test_blobs_are_bytes_and_lists_are_tuples() -> None:
    body = b'{"TableName":"t","Item":{"a":{"B":"AAE="},"l":{"L":[{"N":"1"},{"NULL":true}]}}}'
    item = parse("dynamodb", dynamodb("PutItem", body)).parameters["Item"]
    assert item == {"a": {"B": b"\x00\x01"}, "l": {"L": ({"N": "1"}, {"NULL": True})}}


def test_null_members_count_as_absent() -> None:
    action = parse("dynamodb", dynamodb("DeleteTable", b'{"TableName":"t"}'))
    body = b'{"TableName":"t","Unused":null}'
    with pytest.raises(MalformedRequest, match="Unused"):
        parse("dynamodb", dynamodb("DeleteTable", body))
    body = b'{"TableName":"t","Limit":null}'
    scan = parse("dynamodb", dynamodb("Scan", body))
    assert dict(scan.parameters) == dict(action.parameters)


def test_generated_members_are_not_part_of_the_digest() -> None:
    texts = [
        json.dumps({"TransactItems": [], "ClientRequestToken": token}).encode()
        for token in ("one", "two")
    ]
    one, two = (parse("dynamodb", dynamodb("TransactWriteItems", t)) for t in texts)
    assert one.generated == {"ClientRequestToken"}
    assert one.parameters != two.parameters
    assert one.digest == two.digest


def test_forms_are_read_by_the_model() -> None:
    action = parse(
        "cloudformation",
        form(
            "Action=CreateStack&Version=2010-05-15&StackName=s+1&Tags.member.1.Key=a"
            "&Tags.member.1.Value=b%26&Capabilities=&DisableRollback=true"
        ),
    )
    assert action.parameters == {
        "StackName": "s 1",
        "Tags": ({"Key": "a", "Value": "b&"},),
        "Capabilities": (),
        "DisableRollback": True,
    }


def test_a_form_may_come_as_the_query_of_a_get() -> None:
    wire = WireRequest("GET", "/", "Action=GetRole&Version=2010-05-08&RoleName=r", (), b"")
    assert parse("iam", wire).parameters == {"RoleName": "r"}


def test_ec2_lists_and_names_are_read() -> None:
    text = "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-1&InstanceId.2=i-2"
    assert parse("ec2", form(text)).parameters == {"InstanceIds": ("i-1", "i-2")}


def test_cbor_is_read_like_json() -> None:
    body = cbor2.dumps({"AlarmNames": ["a"]})
    headers = (("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor"))
    path = "/service/GraniteServiceVersion20100801/operation/DeleteAlarms"
    found = read(
        MODELS,
        INDEX,
        WireRequest("POST", path, "", headers, body),
        signing_name="monitoring",
        region="r",
        account="1",
    )
    assert found.protocol == "smithy-rpc-v2-cbor"
    assert found.action.name == "cloudwatch:DeleteAlarms"
    assert found.action.parameters == {"AlarmNames": ("a",)}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/b/a%20b", "a b"),
        ("/b/a+b", "a+b"),
        ("/b/%C3%BC", "ü"),
        ("/b/a%25b", "a%b"),
        ("/b/dir/", "dir/"),
        ("/b//lead", "/lead"),
        ("/b/a//b", "a//b"),
        ("/b/a%2Fb", "a/b"),
        ("/b/%3Fx%26y=z", "?x&y=z"),
    ],
)
def test_a_key_is_read_exactly(path: str, key: str) -> None:
    assert read_s3("GET", path) == {"Bucket": "b", "Key": key}


def test_a_bucket_in_the_host_is_the_same_as_one_in_the_path() -> None:
    wire = s3("DELETE", "/k/", ("host", "my.bucket.s3.local:8080"))
    action = parse("s3", wire, virtual_hosts=("s3.local",))
    assert action.parameters == {"Bucket": "my.bucket", "Key": "k/"}
    bare = s3("DELETE", "/", ("host", "my.bucket.s3.local"))
    assert parse("s3", bare, virtual_hosts=("s3.local",)).name == "s3:DeleteBucket"


def test_an_upload_is_known_by_hash_and_size_and_metadata_by_name() -> None:
    found = read_s3("PUT", "/b/k", ("x-amz-meta-a", "1"), ("content-length", "5"), body=b"hello")
    assert found == {
        "Bucket": "b",
        "Key": "k",
        "Metadata": {"a": "1"},
        "Body": {"$body": {"sha256": hashlib.sha256(b"hello").hexdigest(), "size": 5}},
    }


def chunks(body: bytes, trailer: bytes) -> bytes:
    half = len(body) // 2
    pieces = [p for p in (body[:half], body[half:]) if p]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailer + b"\r\n"


def chunked(body: bytes, framed: bytes, *more: tuple[str, str]) -> WireRequest:
    return s3(
        "PUT",
        "/b/k",
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", str(len(body))),
        *more,
        body=framed,
    )


def test_a_chunked_upload_is_the_same_action_as_a_plain_one() -> None:
    crc = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    trailer = f"x-amz-checksum-crc32:{crc}\r\n".encode()
    announced = ("x-amz-trailer", "x-amz-checksum-crc32")
    wire = chunked(b"hello", chunks(b"hello", trailer), announced)
    plain = s3("PUT", "/b/k", ("x-amz-checksum-crc32", crc), body=b"hello")
    assert parse("s3", wire).digest == parse("s3", plain).digest
    assert plain_body(wire) == b"hello"
    with pytest.raises(MalformedRequest, match="checksum"):
        parse("s3", chunked(b"hullo", chunks(b"hullo", trailer), announced))


@pytest.mark.parametrize(
    "framed",
    [b"", b"5\r\nhello\r\n", b"5\r\nhell\r\n0\r\n\r\n", b"zz\r\n", b"6\r\nhello\r\n0\r\n\r\n"],
)
def test_a_broken_chunked_body_is_refused(framed: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse("s3", chunked(b"hello", framed))


def test_a_body_signed_chunk_by_chunk_is_refused_with_the_way_out() -> None:
    streaming = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    with pytest.raises(MalformedRequest, match="https"):
        parse("s3", s3("PUT", "/b/k", streaming, body=b"x"))


def test_a_compressed_body_is_read_where_the_operation_allows_it() -> None:
    text = cbor2.dumps({"Namespace": "n"})
    headers = (
        ("smithy-protocol", "rpc-v2-cbor"),
        ("content-type", "application/cbor"),
        ("content-encoding", "gzip"),
    )
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    wire = WireRequest("POST", path, "", headers, gzip.compress(text))
    assert parse("monitoring", wire).parameters == {"Namespace": "n"}


DELETE = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Object><Key> a&amp;&#xD;b </Key></Object><Object><Key>c</Key></Object></Delete>"
)


def test_xml_bodies_are_read_exactly() -> None:
    found = read_s3("POST", "/b?delete", body=DELETE)
    assert found["Delete"] == {"Objects": ({"Key": " a&\rb "}, {"Key": "c"})}


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><Delete/>',
        b"<Delete><!-- x --></Delete>",
        b"<Delete><?php ?></Delete>",
        b"<Other/>",
        b"<Delete><Objekt/></Delete>",
        b"<Delete><Quiet>true</Quiet><Quiet>false</Quiet></Delete>",
        b"<Delete><Quiet>yes</Quiet></Delete>",
        b"<Delete>text</Delete>",
        b"<Delete><Object xmlns='other'><Key>k</Key></Object></Delete>",
        b"<Delete a='b'/>",
        b'<?xml version="1.0" encoding="UTF-16"?><Delete/>',
        b"<Delete/>x",
        b"\xff",
    ],
)
def test_doubtful_xml_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_s3("POST", "/b?delete", body=body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"TableName":"a","TableName":"b"}',
        b'{"TableName":"a","tableName":"b"}',
        b'{"TableName":1}',
        b'{"TableName":"\\ud800"}',
        b'{"TableName":"a"}x',
        b'{"TableName":"a"',
        b"\xef\xbb\xbf{}",
        b'{"TableName":"\xff"}',
        b"[]",
        b"null",
    ],
)
def test_doubtful_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse("dynamodb", dynamodb("DeleteTable", body))


@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"1e999", b'"1"', b"1.0", b"true", b"9" * 9999]
)
def test_numbers_are_numbers(value: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse("dynamodb", dynamodb("Scan", b'{"TableName":"t","Limit":' + value + b"}"))


def test_nesting_is_bounded() -> None:
    deep = b'{"M":{"a":' * 5000 + b'{"S":"x"}' + b"}}" * 5000
    with pytest.raises(MalformedRequest, match="deep"):
        parse("dynamodb", dynamodb("PutItem", b'{"TableName":"t","Item":{"a":' + deep + b"}}"))


@pytest.mark.parametrize(
    "text",
    [
        "Action=DeleteRole&Version=2010-05-08&RoleName=a&RoleName=b",
        "Action=DeleteRole&Version=2010-05-08&Roles=a",
        "Action=DeleteRole&Version=2010-05-08&RoleName.x=a",
        "Action=DeleteRole&Version=2010-05-08&RoleName=%zz",
        "Action=DeleteRole&Version=2010-05-08&RoleName=%ff",
        "Action=DeleteRole&Version=1999-01-01&RoleName=a",
        "Action=CreateUser&Version=2010-05-08&UserName=u&Tags.member.2.Key=a",
        "Action=CreateUser&Version=2010-05-08&UserName=u&Tags.member.01.Key=a",
        "Action=CreateUser&Version=2010-05-08&UserName=u&Tags.1.Key=a",
        "Action=CreateUser&Version=2010-05-08&UserName=u&Tags.member.1=a&Tags.member.1.Key=b",
    ],
)
def test_doubtful_forms_are_refused(text: str) -> None:
    with pytest.raises(MalformedRequest):
        parse("iam", form(text))


@pytest.mark.parametrize(
    "wire",
    [
        s3("DELETE", "/b/k?surprise=1"),
        s3("DELETE", "/b/k?versionId=1&versionId=2"),
        s3("DELETE", "/b/k", ("x-amz-surprise", "1")),
        s3("DELETE", "/b/k", ("if-none-match", "*")),
        s3("DELETE", "/b/k", ("x-amz-mfa", "a"), ("x-amz-mfa", "b")),
        s3("DELETE", "/b/k", body=b"<x/>"),
        s3("PUT", "/b/k", ("x-amz-content-sha256", "0" * 64), body=b"x"),
        s3("PUT", "/b/k", ("content-md5", "AAAA"), body=b"x"),
        s3("PUT", "/b/k", ("x-amz-meta-a", "\udcff"), body=b"x"),
        s3("POST", "/b"),
    ],
)
def test_what_nobody_knows_on_an_s3_request_is_refused(wire: WireRequest) -> None:
    with pytest.raises(MalformedRequest):
        parse("s3", wire)


def test_what_clients_add_for_themselves_is_dropped() -> None:
    noise = (("amz-sdk-invocation-id", "1"), ("user-agent", "x"), ("x-amz-user-agent", "y"))
    assert read_s3("DELETE", "/b/k?x-id=DeleteObject", *noise) == {"Bucket": "b", "Key": "k"}


def test_public_holds_names_and_numbers_and_no_content() -> None:
    wire = WireRequest(
        "POST",
        "/",
        "",
        (("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "secretsmanager.X")),
        b"",
    )
    target = ("x-amz-target", "secretsmanager.CreateSecret")
    body = b'{"Name":"n","SecretString":"s3cret","ClientRequestToken":"tok","Tags":[]}'
    wire = WireRequest("POST", "/", "", (wire.headers[0], target), body)
    action = parse("secretsmanager", wire)
    assert dict(action.public) == {"Name": "n", "Tags": "list of 0"}
    sent = dynamodb("PutItem", b'{"TableName":"t","Item":{"a":{"S":"hidden"}}}')
    assert dict(parse("dynamodb", sent).public) == {"TableName": "t", "Item": "map of 1"}


def test_content_that_is_short_is_still_content() -> None:
    target = ("x-amz-target", "AmazonSQS.SendMessage")
    body = b'{"QueueUrl":"https://q/1/a?sig=x","MessageBody":"hidden"}'
    public = parse("sqs", WireRequest("POST", "/", "", (JSON, target), body)).public
    assert public == {"QueueUrl": "https://q/1/a", "MessageBody": "text of 6 characters"}


def given(service: str, operation: str, **parameters: object) -> Action:
    whole = {"service": service, "operation": operation, "parameters": parameters}
    return parse_given(MODELS, whole, SCOPE)


def test_an_action_given_by_name_is_the_one_on_the_wire() -> None:
    wire = parse("dynamodb", dynamodb("DeleteTable", b'{"TableName":"t"}'))
    assert given("dynamodb", "DeleteTable", TableName="t").digest == wire.digest
    uploaded = parse("s3", s3("PUT", "/b/k", body=b"hello"))
    assert given("s3", "PutObject", Bucket="b", Key="k", Body="hello").digest == uploaded.digest
    copied = parse("s3", s3("PUT", "/b/k", ("x-amz-copy-source", "c/a%20b")))
    source = {"Bucket": "c", "Key": "a b"}
    assert given("s3", "CopyObject", Bucket="b", Key="k", CopySource=source).digest == copied.digest


def test_what_the_client_encodes_is_given_as_the_client_takes_it() -> None:
    action = given("ec2", "RunInstances", MinCount=1, MaxCount=1, UserData="#!x")
    assert action.parameters["UserData"] == base64.b64encode(b"#!x").decode()


def test_times_given_as_text_become_times() -> None:
    action = given("cloudwatch", "GetMetricWidgetImage", MetricWidget="x")
    assert action.unknown == ()
    action = given("dynamodb", "ListBackups", TimeRangeLowerBound="2024-01-01T00:00:00Z")
    assert action.parameters["TimeRangeLowerBound"] == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "whole",
    [
        None,
        [],
        {},
        {"service": "s3"},
        {"service": "nonsense", "operation": "X"},
        {"service": "s3", "operation": "Nonsense", "parameters": {"a": 1}},
        {"service": "s3", "operation": "DeleteBucket", "parameters": {"Bukkit": "b"}},
        {"service": "s3", "operation": "DeleteBucket", "parameters": {}},
        {"service": "s3", "operation": "DeleteBucket", "parameters": {"Bucket": object()}},
        {"service": "s3", "operation": "DeleteBucket", "parameters": []},
        {"service": "s3", "operation": "ListBuckets", "parameters": {}, "dry": True},
        {"service": "s3", "operation": "DeleteBucket", "parameters": {"Bucket": "\udc00"}},
    ],
)
def test_what_is_not_understood_is_unknown_and_never_an_error(whole: object) -> None:
    action = parse_given(MODELS, whole, SCOPE)
    assert action.unknown
    assert action.surface == "aws"
    assert len(action.digest) == 64
