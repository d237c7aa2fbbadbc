"""botocore itself reads every denial: the code, the whole message, and no wish to retry."""

from __future__ import annotations

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from signoff.gates.aws_errors import MESSAGE_MOST, denied_code, one_line, render

MESSAGE = "held: needs two people <ticket T-7F & more>; next: signoff ticket `T-7F` --wait"
CASES = [
    ("query", "iam", "DeleteRole"),
    ("query", "cloudformation", "DeleteStack"),
    ("ec2", "ec2", "TerminateInstances"),
    ("json", "dynamodb", "DeleteTable"),
    ("json", "sqs", "DeleteQueue"),
    ("rest-json", "lambda", "DeleteFunction"),
    ("rest-xml", "route53", "DeleteHostedZone"),
    ("rest-xml", "s3", "DeleteBucket"),
    ("smithy-rpc-v2-cbor", "cloudwatch", "DeleteAlarms"),
]


def parsed(protocol: str, service: str, operation: str, message: str) -> dict[str, object]:
    reply = render(
        protocol,
        service=service,
        operation=operation,
        code="AccessDeniedException",
        message=message,
        status=403,
        request_id="req-1",
    )
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    response = {
        "headers": dict(reply.headers),
        "status_code": reply.status,
        "body": reply.body,
        "context": {"operation_name": operation},
    }
    result: dict[str, object] = create_parser(protocol).parse(response, model.output_shape)
    return result


@pytest.mark.parametrize(("protocol", "service", "operation"), CASES)
def test_botocore_reads_the_code_and_the_message_in_every_protocol(
    protocol: str, service: str, operation: str
) -> None:
    result = parsed(protocol, service, operation, MESSAGE)
    error = result["Error"]
    assert isinstance(error, dict)
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == MESSAGE


@given(st.sampled_from(CASES), st.text(max_size=60))
def test_hostile_text_arrives_as_one_line_and_changes_nothing_else(
    case: tuple[str, str, str], text: str
) -> None:
    result = parsed(*case, "denied: `" + text + "`")
    error = result["Error"]
    assert isinstance(error, dict)
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == one_line("denied: `" + text + "`")
    assert "\n" not in error["Message"]


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        ("dynamodb", "delete_table", {"TableName": "t-1"}),
        ("s3", "delete_bucket", {"Bucket": "bucket-1"}),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-1"]}),
        ("s3", "head_object", {"Bucket": "bucket-1", "Key": "k"}),
    ],
)
def test_boto3_shows_the_denial_and_sends_the_request_once(
    service: str, call: str, arguments: dict[str, object]
) -> None:
    client = boto3.client(
        service,
        region_name="eu-west-1",
        aws_access_key_id="AKIARUN",
        aws_secret_access_key="s",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"mode": "standard", "max_attempts": 4}),
    )
    operation = client.meta.method_to_api_mapping[call]
    reply = render(
        client.meta.service_model.resolved_protocol,
        service=service,
        operation=operation,
        code="AccessDeniedException",
        message=MESSAGE,
        status=403,
        request_id="req-1",
    )
    sent: list[object] = []

    def answer(request: object, **_: object) -> AWSResponse:
        sent.append(request)
        raw = type("Raw", (), {"stream": lambda self, **kw: iter([reply.body])})()
        return AWSResponse("http://127.0.0.1:9", reply.status, dict(reply.headers), raw)

    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(**arguments)
    assert len(sent) == 1
    if operation == "HeadObject":
        assert "403" in str(caught.value)
    else:
        assert f"when calling the {operation} operation: {MESSAGE}" in str(caught.value)


def test_an_answer_to_head_has_no_body_and_keeps_its_message_in_a_header() -> None:
    reply = render(
        "rest-json",
        service="lambda",
        operation="X",
        code="AccessDeniedException",
        message="denied:\r\nx-evil: 1 ü",
        status=403,
        request_id="req\r\nx: 1",
        head=True,
    )
    assert reply.body == b""
    assert dict(reply.headers)["x-signoff-message"] == "denied: x-evil: 1 ?"
    assert all("\r" not in v and "\n" not in v for _, v in reply.headers)


def test_a_json_reply_names_the_version_it_was_asked_in() -> None:
    reply = render(
        "json",
        service="logs",
        operation="DeleteLogGroup",
        code="X",
        message="m",
        status=400,
        request_id="r",
        version="1.1",
    )
    assert dict(reply.headers)["content-type"] == "application/x-amz-json-1.1"


def test_a_long_message_is_cut_and_says_so() -> None:
    line = one_line("x" * (MESSAGE_MOST + 1))
    assert len(line) == MESSAGE_MOST
    assert line.endswith("…")


def test_each_protocol_has_its_own_word_for_access_denied() -> None:
    assert denied_code("ec2") == "UnauthorizedOperation"
    assert denied_code("query") == "AccessDenied"
    assert denied_code("rest-xml", "s3") == "AccessDenied"
    assert denied_code("json") == "AccessDeniedException"
