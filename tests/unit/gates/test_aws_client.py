"""The client against a stub on loopback: what is signed and sent, and what is known after."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from signoff.gates.aws_client import AwsClient, Limits, Unsent
from signoff.gates.aws_credentials import EnvironmentSource, Lent
from signoff.gates.aws_endpoints import Endpoints
from signoff.gates.aws_errors import NativeReply
from signoff.gates.aws_executor import AwsExecutor
from signoff.gates.sigv4 import Credentials, SigningKeys, verify
from signoff.model.action import Action, Principal, Question
from signoff.model.errors import ConfigInvalid, ExecutionFailed, Refused
from signoff.model.ports import RunKey
from signoff.model.values import frozen
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.wire import WireRequest
from unit.gates.stub_aws import StubAws, cut_off, hang_up, reply, silence, stub_aws

REAL = Credentials("AKIAREAL", "real-secret", "real-token")
NOW_MS = 1_760_000_000_000
MODELS = Models()
SCOPE = {"account": "123456789012", "region": "eu-west-1"}
DELETE = Action("aws", "dynamodb:DeleteTable", frozen(TableName="t"), SCOPE)
DESCRIBE = Question("aws", "dynamodb:DescribeTable", frozen(TableName="t"), SCOPE)
JSON = ("content-type", "application/x-amz-json-1.0")
DONE = reply(200, b'{"TableDescription": {"TableName": "t"}}', JSON)


class Fixed:
    def load(self) -> Lent:
        return Lent(REAL)


@asynccontextmanager
async def client_of(stub: StubAws, **limits: float) -> AsyncIterator[AwsClient]:
    client = AwsClient(
        MODELS,
        Endpoints(MODELS, ("eu-west-1",), stub.url),
        Fixed(),
        region="eu-west-1",
        limits=Limits(**limits),  # type: ignore[arg-type]  # bounds are given as numbers
        clock_ms=lambda: NOW_MS,
    )
    async with client:
        yield client


def verified_by_real_key(stub: StubAws, number: int = 0) -> str:
    """The service the request was signed for, once its real signature holds."""
    got = stub.got[number]
    method, target, _ = got.line.split(" ")
    path, _, query = target.partition("?")
    wire = WireRequest(method, path, query, tuple(got.headers), got.body)
    key = RunKey("AKIAREAL", "real-secret", Principal("", "", ""), 0, NOW_MS + 1, "real-token")
    return verify(
        wire,
        host=got.header("host"),
        key_of={"AKIAREAL": key}.get,
        now_ms=NOW_MS,
        signing_key_cache=SigningKeys(),
    ).service


async def test_a_change_is_written_signed_with_the_real_key_and_sent_once() -> None:
    async with stub_aws(DONE) as stub, client_of(stub) as client:
        answer = await client.execute_step(DELETE)
    assert answer.status == 200
    assert len(stub.got) == 1
    assert json.loads(stub.got[0].body) == {"TableName": "t"}
    assert verified_by_real_key(stub) == "dynamodb"


async def test_a_read_is_forwarded_as_received_without_the_agents_credentials() -> None:
    wire = WireRequest(
        "GET",
        "/bucket/a%20b/%C3%BC+=&.txt",
        "list-type=2&prefix=a%2Fb",
        (
            ("host", "127.0.0.1:1"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=AKIARUN/x"),
            ("x-amz-security-token", "run-token"),
            ("connection", "keep-alive"),
            ("accept-encoding", "gzip"),
            ("range", "bytes=0-9"),
        ),
        b"",
    )
    part = reply(206, b"\x1f\x8b", ("content-encoding", "gzip"))
    async with stub_aws(part) as stub, client_of(stub) as client:
        answer = await client.forward(wire, service="s3", region="eu-west-1")
    assert (answer.status, answer.body) == (206, b"\x1f\x8b")
    assert stub.got[0].line == f"GET {wire.path}?{wire.query} HTTP/1.1"
    assert stub.got[0].header("range") == "bytes=0-9"
    assert "AKIARUN" not in str(stub.got[0].headers)
    assert stub.got[0].header("x-amz-security-token") == "real-token"
    assert verified_by_real_key(stub) == "s3"


@pytest.mark.parametrize("ending", [hang_up, cut_off])
async def test_a_change_cut_off_is_in_doubt_and_never_sent_again(ending: object) -> None:
    async with stub_aws(ending) as stub, client_of(stub) as client:  # type: ignore[arg-type]  # two endings
        with pytest.raises(ExecutionFailed, match="nobody knows") as caught:
            await client.execute_step(DELETE)
    assert not isinstance(caught.value, Unsent)
    assert len(stub.got) == 1


async def test_an_idempotent_change_cut_off_is_not_sent_again_either() -> None:
    delete = Action("aws", "s3:DeleteObject", frozen(Bucket="b", Key="k"), SCOPE)
    async with stub_aws(hang_up) as stub, client_of(stub) as client:
        with pytest.raises(ExecutionFailed):
            await client.execute_step(delete)
    assert [got.line for got in stub.got] == ["DELETE /b/k HTTP/1.1"]


async def test_a_change_that_is_never_answered_is_in_doubt() -> None:
    async with stub_aws(silence) as stub, client_of(stub, total_seconds=0.2) as client:
        with pytest.raises(ExecutionFailed, match="nobody knows"):
            await client.execute_step(DELETE)
    assert len(stub.got) == 1


async def test_a_change_that_could_not_be_sent_has_failed_for_certain() -> None:
    async with stub_aws(DONE) as stub, client_of(stub) as client:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
            client._endpoints = Endpoints(MODELS, ("eu-west-1",), nobody)
            with pytest.raises(Unsent):
                await client.execute_step(DELETE)
            outcome = await AwsExecutor(client).execute(DELETE, original=True, until="")
    assert not outcome.succeeded
    assert "cannot be reached" in outcome.error


async def test_a_read_on_a_connection_that_was_closed_meanwhile_is_asked_again() -> None:
    found = reply(200, b'{"Table": {}}', JSON)
    async with stub_aws(hang_up, found) as stub, client_of(stub) as client:
        answer = await client.ask(DESCRIBE)
    assert answer.ok
    assert len(stub.got) == 2


async def test_a_redirect_is_handed_back_and_not_followed() -> None:
    away = reply(307, b"", ("location", "http://127.0.0.1:1/elsewhere"))
    async with stub_aws(away) as stub, client_of(stub) as client:
        outcome = await AwsExecutor(client).execute(DELETE, original=True, until="")
    assert not outcome.succeeded
    assert len(stub.got) == 1


async def test_an_answer_over_the_bound_is_not_kept_in_memory() -> None:
    async with (
        stub_aws(reply(200, b"x" * 200_000)) as stub,
        client_of(stub, body_most=100_000) as c,
    ):
        with pytest.raises(ExecutionFailed):
            await c.execute_step(DELETE)


async def test_a_question_answered_no_is_an_answer() -> None:
    no = reply(400, b'{"__type": "x#ResourceNotFoundException"}', JSON)
    async with stub_aws(no) as stub, client_of(stub) as client:
        answer = await client.ask(DESCRIBE)
    assert answer.error == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "ending",
    [reply(500, b"{}", JSON), reply(400, b'{"__type": "ThrottlingException"}', JSON), cut_off],
)
async def test_a_question_without_a_real_answer_stays_unanswered(
    ending: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.gates.aws_client._PAUSES", (0.0,))
    async with stub_aws(ending) as stub, client_of(stub) as client:  # type: ignore[arg-type]  # endings
        answer = await client.ask(DESCRIBE)
    assert answer.unanswered
    assert not answer.error


async def test_a_slow_question_is_unanswered_in_time() -> None:
    async with stub_aws(silence) as stub, client_of(stub, ask_seconds=0.1) as client:
        answer = await client.ask(DESCRIBE)
    assert "took over" in answer.unanswered


def _page(items: int, last: str) -> bytes:
    page: dict[str, object] = {"Items": [{"k": {"S": "v"}}] * items, "Count": items}
    if last:
        page["LastEvaluatedKey"] = {"k": {"S": last}}
    return json.dumps(page).encode()


async def test_pages_are_merged_into_one_answer() -> None:
    scan = Question("aws", "dynamodb:Scan", frozen(TableName="t"), SCOPE, paginate=True)
    pages = [reply(200, _page(2, "a"), JSON), reply(200, _page(3, ""), JSON)]
    async with stub_aws(*pages) as stub, client_of(stub) as client:
        answer = await client.ask(scan)
    assert answer.ok
    assert not answer.truncated
    assert answer.value["Count"] == 5
    assert len(answer.value["Items"]) == 5  # type: ignore[arg-type]  # a list of items
    assert json.loads(stub.got[1].body)["ExclusiveStartKey"] == {"k": {"S": "a"}}


async def test_pages_stop_at_the_most_and_say_so() -> None:
    scan = Question("aws", "dynamodb:Scan", frozen(TableName="t"), SCOPE, paginate=True, most=4)
    pages = [reply(200, _page(2, str(n)), JSON) for n in range(5)]
    async with stub_aws(*pages) as stub, client_of(stub) as client:
        answer = await client.ask(scan)
    assert answer.truncated
    assert len(stub.got) == 2


async def test_a_target_that_repeats_its_token_does_not_loop() -> None:
    scan = Question("aws", "dynamodb:Scan", frozen(TableName="t"), SCOPE, paginate=True)
    async with stub_aws(reply(200, _page(1, "same"), JSON)) as stub, client_of(stub) as client:
        answer = await client.ask(scan)
    assert answer.truncated
    assert len(stub.got) == 2


@pytest.mark.parametrize("body", [b"\x00\xff", b"plain text", b""])
async def test_an_object_comes_back_as_bytes(body: bytes) -> None:
    get = Question("aws", "s3:GetObject", frozen(Bucket="b", Key="ü k"), SCOPE)
    async with (
        stub_aws(reply(200, body, ("etag", '"e"'))) as stub,
        client_of(stub) as client,
    ):
        answer = await client.ask(get)
    assert answer.value["Body"] == body
    assert stub.got[0].line == "GET /b/%C3%BC%20k HTTP/1.1"


async def test_a_region_or_account_outside_the_pinned_ones_is_refused_before_sending() -> None:
    away = Action("aws", "dynamodb:DeleteTable", frozen(TableName="t"), {"region": "us-west-2"})
    other = Action("aws", DELETE.name, DELETE.parameters, {**SCOPE, "account": "999999999999"})
    async with stub_aws(DONE) as stub, client_of(stub) as client:
        for action in (away, other):
            with pytest.raises(Unsent):
                await client.execute_step(action)
    assert stub.got == []


async def test_credentials_of_another_account_are_refused_at_start() -> None:
    async with stub_aws(DONE) as stub:
        client = AwsClient(
            MODELS,
            Endpoints(MODELS, (), stub.url),
            Fixed(),
            region="eu-west-1",
            account="999999999999",
        )
        with pytest.raises(Refused, match="belong to account 123456789012"):
            await client.start()
        with pytest.raises(Unsent):
            await client.execute_step(Action("aws", DELETE.name, DELETE.parameters))


async def test_an_error_of_the_target_fails_the_step_with_its_own_words() -> None:
    no = reply(400, b'{"__type": "ResourceInUseException", "message": "busy"}', JSON)
    async with stub_aws(no) as stub, client_of(stub) as client:
        outcome = await AwsExecutor(client).execute(DELETE, original=True, until="")
    assert outcome.error == "ResourceInUseException: busy"
    assert isinstance(outcome.reply, NativeReply)


async def test_a_change_answered_500_is_in_doubt_and_a_read_is_not() -> None:
    async with stub_aws(reply(500, b"{}", JSON)) as stub, client_of(stub) as client:
        with pytest.raises(ExecutionFailed):
            await AwsExecutor(client).execute(DELETE, original=True, until="")
        reading = AwsExecutor(client).reading()
        outcome = await reading.execute(DELETE, original=True, until="")
    assert not outcome.succeeded
    assert outcome.reply is not None


async def test_only_what_was_understood_as_a_read_goes_as_it_was_received() -> None:
    body = b'{ "TableName": "t" }'
    received = WireRequest("POST", "/", "", (("x-amz-target", "DynamoDB_20120810.X"),), body)
    async with stub_aws(reply(200, b"{}", JSON)) as stub, client_of(stub) as client:
        executor = AwsExecutor(client, verbatim=received)
        await executor.execute(DELETE, original=True, until="")
        await executor.reading().execute(DELETE, original=False, until="")
        await executor.reading().execute(DELETE, original=True, until="")
        await executor.execute(DELETE, original=True, until="")
    written = b'{"TableName": "t"}'
    assert [got.body for got in stub.got] == [written, written, body, written]


async def test_s3_saying_200_to_a_failure_is_a_failure() -> None:
    copy = Action("aws", "s3:CopyObject", frozen(Bucket="b", Key="k", CopySource="b/j"), SCOPE)
    no = reply(200, b"<Error><Code>InternalError</Code><Message>m</Message></Error>")
    async with stub_aws(no) as stub, client_of(stub) as client:
        outcome = await AwsExecutor(client).execute(copy, original=True, until="")
    assert not outcome.succeeded
    assert outcome.error.startswith("InternalError")


async def test_the_stored_response_holds_no_secret() -> None:
    create = Action("aws", "iam:CreateAccessKey", frozen(UserName="u"), SCOPE)
    body = (
        b"<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><UserName>u</UserName>"
        b"<AccessKeyId>AKIANEW</AccessKeyId><SecretAccessKey>hush</SecretAccessKey>"
        b"</AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>"
    )
    async with stub_aws(reply(200, body)) as stub, client_of(stub) as client:
        outcome = await AwsExecutor(client).execute(create, original=True, until="")
    assert "hush" not in str(outcome.response)
    assert "AKIANEW" in str(outcome.response)


def _stack(status: str) -> bytes:
    return (
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName>"
        f"<StackStatus>{status}</StackStatus></member></Stacks></DescribeStacksResult>"
        "</DescribeStacksResponse>"
    ).encode()


@pytest.mark.parametrize(
    ("last", "good"), [("UPDATE_COMPLETE", True), ("ROLLBACK_COMPLETE", False)]
)
async def test_a_step_waits_until_the_stack_is_settled(last: str, good: bool) -> None:
    update = Action("aws", "cloudformation:UpdateStack", frozen(StackName="s"), SCOPE)
    done = reply(200, b"<UpdateStackResponse><UpdateStackResult/></UpdateStackResponse>")
    busy, end = reply(200, _stack("UPDATE_IN_PROGRESS")), reply(200, _stack(last))
    told: list[str] = []
    async with stub_aws(done, busy, end) as stub, client_of(stub) as client:
        executor = AwsExecutor(client, progress=told.append, poll_seconds=0)
        outcome = await executor.execute(update, original=True, until="stack settled")
    assert outcome.succeeded is good
    assert told == ["stack settled: UPDATE_IN_PROGRESS"]
    assert (last in outcome.error) is not good


async def test_a_deleted_stack_that_is_gone_is_settled() -> None:
    delete = Action("aws", "cloudformation:DeleteStack", frozen(StackName="s"), SCOPE)
    gone = reply(400, b"<ErrorResponse><Error><Code>ValidationError</Code></Error></ErrorResponse>")
    async with stub_aws(gone) as stub, client_of(stub) as client:
        assert await AwsExecutor(client).wait("stack settled", delete) == ""


async def test_waiting_has_an_end() -> None:
    update = Action("aws", "cloudformation:UpdateStack", frozen(StackName="s"), SCOPE)
    busy = reply(200, _stack("UPDATE_IN_PROGRESS"))
    async with stub_aws(busy) as stub, client_of(stub) as client:
        executor = AwsExecutor(client, settle_seconds=0, poll_seconds=0)
        with pytest.raises(ExecutionFailed, match="was not reached in 0 s"):
            await executor.wait("stack settled", update)


async def test_an_unknown_state_to_wait_for_fails_the_step() -> None:
    async with stub_aws(DONE) as stub, client_of(stub) as client:
        outcome = await AwsExecutor(client).execute(DELETE, original=True, until="moon full")
    assert not outcome.succeeded
    assert "moon full" in outcome.error


async def test_a_minted_key_is_answered_without_the_target() -> None:
    async def mint(_: Action) -> NativeReply:
        return NativeReply(200, (), b"minted")

    async with stub_aws(DONE) as stub, client_of(stub) as client:
        executor = AwsExecutor(client, mint=mint)
        outcome = await executor.execute(
            Action("aws", "signoff:MintRunKey"), original=True, until=""
        )
    assert outcome.succeeded
    assert outcome.reply == NativeReply(200, (), b"minted")
    assert stub.got == []


def test_the_host_is_computed_from_the_service_and_never_from_the_client() -> None:
    endpoints = Endpoints(MODELS, ("eu-west-1",))
    found = endpoints.find("dynamodb", "eu-west-1")
    assert (found.scheme, found.host) == ("https", "dynamodb.eu-west-1.amazonaws.com")
    iam = endpoints.find("iam", "us-east-1")
    assert (iam.host, iam.region) == ("iam.amazonaws.com", "us-east-1")
    control = endpoints.find("s3control", "eu-west-1")
    assert control.signing_name == "s3"


@pytest.mark.parametrize("region", ["eu-west-2", "evil.example/", "", "cn-north-1"])
def test_a_region_nobody_allowed_has_no_endpoint(region: str) -> None:
    with pytest.raises(Refused, match="not allowed"):
        Endpoints(MODELS, ("eu-west-1",)).find("dynamodb", region)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:80",
        "http://aws.example",
        "ftp://127.0.0.1",
        "https://h/p",
        "https://u@h",
        "x",
    ],
)
def test_an_endpoint_in_the_clear_beyond_loopback_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid):
        Endpoints(MODELS, (), url)


def test_no_text_of_a_holder_shows_a_secret() -> None:
    source = EnvironmentSource({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "hush"})
    lent = source.load()
    assert lent.credentials.secret_key == "hush"
    assert "hush" not in repr(lent) + repr(lent.credentials) + repr(source)


def test_an_environment_without_credentials_says_so() -> None:
    with pytest.raises(ExecutionFailed, match="no AWS credentials"):
        EnvironmentSource({}).load()


async def test_policy_documents_of_iam_come_back_as_the_text_it_takes() -> None:
    get = Question("aws", "iam:GetRolePolicy", frozen(RoleName="r", PolicyName="p"), SCOPE)
    body = (
        b"<GetRolePolicyResponse><GetRolePolicyResult><RoleName>r</RoleName><PolicyName>p"
        b"</PolicyName><PolicyDocument>%7B%22Version%22%3A%20%22a%25%22%7D</PolicyDocument>"
        b"</GetRolePolicyResult></GetRolePolicyResponse>"
    )
    async with stub_aws(reply(200, body)) as stub, client_of(stub) as client:
        answer = await client.ask(get)
    assert answer.value["PolicyDocument"] == '{"Version": "a%"}'
    assert answer.value["RoleName"] == "r"
