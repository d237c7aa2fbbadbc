"""From an action back to the wire: what is sent is what was judged."""

from __future__ import annotations

import base64
import hashlib

import pytest

import aws_corpus
from signoff.model.action import Action
from signoff.model.errors import MalformedRequest
from signoff.model.values import freeze, frozen
from signoff.surfaces.aws.identify import TWINS, Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import parse_given, read
from signoff.surfaces.aws.serialise import round_trips, serialise, write
from signoff.surfaces.aws.wire import WireRequest

MODELS = Models()
SCOPE = {"account": "1", "region": "us-east-1"}
# Members a client adds on its own account.
ADDED = frozenset({"ChecksumMode", "EncodingType", "ChecksumAlgorithm", "ChecksumCRC32"})


@pytest.fixture(scope="module")
def deep() -> Index:
    return Index.build([*aws_corpus.DEEP, "servicediscovery", "apigateway"], MODELS)


@pytest.fixture(scope="module")
def whole() -> Index:
    return Index.build(None, MODELS)


def given(service: str, operation: str, **parameters: object) -> Action:
    whole = {"service": service, "operation": operation, "parameters": parameters}
    action = parse_given(MODELS, whole, SCOPE)
    assert action.unknown == ()
    return action


def without_empty(value: object) -> object:
    """The value without empty structures, which a form has no way to write."""
    if isinstance(value, dict):
        kept = {k: without_empty(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in ({}, [])}
    if isinstance(value, list):
        return [v for v in map(without_empty, value) if v not in ({}, [])]
    return value


def outcome(index: Index, sample: aws_corpus.Sample) -> tuple[bool, bool]:
    """Whether the parameters are read as they were given, and whether they survive being
    written and read once more."""
    try:
        found = read(
            MODELS,
            index,
            sample.wire,
            signing_name=sample.signing,
            region="us-east-1",
            account="1",
        )
        action = found.action
        wire = serialise(MODELS, action, found.body, host="h", protocol=found.protocol)
    except MalformedRequest:
        return False, False
    service, _, operation = action.name.partition(":")
    wanted = parse_given(
        MODELS, {"service": service, "operation": operation, "parameters": sample.given}, SCOPE
    )
    ignored = {n for n in action.generated | ADDED if n not in sample.given}
    thawed = [
        without_empty({k: v for k, v in a.as_data()["parameters"].items() if k not in ignored})
        for a in (wanted, action)
    ]
    return thawed[0] == thawed[1], round_trips(MODELS, index, action, wire)


def check(index: Index, pairs: list[tuple[str, str]], *, full: bool) -> None:
    total = same = round_trip = 0
    for sample in aws_corpus.samples(MODELS, pairs, full=full):
        if isinstance(sample, tuple) or TWINS.get(sample.service):
            continue
        if not sample.signing and sample.service != "sts":
            continue
        total += 1
        as_given, again = outcome(index, sample)
        same += as_given
        round_trip += again
    assert total
    assert same / total >= 0.99
    assert round_trip / total >= 0.99


@pytest.mark.slow
def test_every_operation_of_the_deep_services_survives_with_all_its_members(deep: Index) -> None:
    check(deep, aws_corpus.names(MODELS, aws_corpus.DEEP), full=True)


@pytest.mark.slow
def test_a_sample_of_all_other_operations_survives(whole: Index) -> None:
    check(whole, aws_corpus.chosen(MODELS, 800, seed=7)[-800:], full=False)


@pytest.mark.slow
def test_every_operation_of_botocore_survives(whole: Index) -> None:
    check(whole, aws_corpus.names(MODELS, MODELS.services()), full=True)


@pytest.mark.parametrize(
    "key", ["a b", "a+b", "ü", "a%b", "dir/", "/lead", "a//b", "?x&y=z", "~'()*!", "a\tb"]
)
def test_a_key_survives_exactly(deep: Index, key: str) -> None:
    action = given("s3", "DeleteObject", Bucket="b", Key=key)
    wire = serialise(MODELS, action, None, host="s3.local")
    assert wire.path.startswith("/b/")
    assert round_trips(MODELS, deep, action, wire)


def test_keys_with_line_ends_survive_inside_a_body(deep: Index) -> None:
    objects = {"Objects": [{"Key": "a\r\nb"}, {"Key": " c "}]}
    action = given("s3", "DeleteObjects", Bucket="b", Delete=objects)
    wire = serialise(MODELS, action, None, host="s3.local")
    assert round_trips(MODELS, deep, action, wire)
    md5 = base64.b64encode(hashlib.md5(wire.body).digest()).decode()
    assert wire.header("content-md5") == md5


def test_an_upload_is_sent_only_with_the_body_that_was_judged(deep: Index) -> None:
    action = given("s3", "PutObject", Bucket="b", Key="k", Body=b"hello")
    wire = serialise(MODELS, action, b"hello", host="s3.local")
    assert wire.body == b"hello"
    assert wire.header("content-length") == "5"
    assert round_trips(MODELS, deep, action, wire)
    for other in (b"hullo", b"", None):
        with pytest.raises(MalformedRequest, match="judged"):
            serialise(MODELS, action, other, host="s3.local")


def test_an_upload_that_names_a_checksum_gets_it(deep: Index) -> None:
    action = given(
        "s3", "PutObject", Bucket="b", Key="k", Body=b"hello", ChecksumAlgorithm="SHA256"
    )
    wire = serialise(MODELS, action, b"hello", host="s3.local")
    expected = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    assert wire.header("x-amz-checksum-sha256") == expected


def test_a_host_prefix_is_put_back(deep: Index) -> None:
    action = given("servicediscovery", "DiscoverInstances", NamespaceName="n", ServiceName="s")
    assert serialise(MODELS, action, None, host="h:1").header("host") == "data-h:1"
    bare = serialise(MODELS, action, None, host="h:1", host_prefix=False)
    assert bare.header("host") == "h:1"


def test_the_answer_comes_in_the_protocol_that_is_asked_for(deep: Index) -> None:
    action = given("dynamodb", "DeleteTable", TableName="t")
    wire = serialise(MODELS, action, None, host="h")
    assert wire.header("x-amz-target") == "DynamoDB_20120810.DeleteTable"
    assert wire.header("content-type") == "application/x-amz-json-1.0"


def test_a_different_request_does_not_round_trip(deep: Index) -> None:
    action = given("iam", "DeleteRole", RoleName="a")
    other = serialise(MODELS, given("iam", "DeleteRole", RoleName="b"), None, host="h")
    assert not round_trips(MODELS, deep, action, other)
    assert not round_trips(MODELS, deep, action, WireRequest("GET", "/", "", (), b""))


@pytest.mark.parametrize("body", [b"", b"old", b"\x00\xff" * 40])
def test_bytes_that_an_undo_puts_back_round_trip_as_the_body_they_become(
    deep: Index, body: bytes
) -> None:
    action = Action("aws", "s3:PutObject", frozen(Bucket="b", Key="k", Body=body), SCOPE)
    wire = write(MODELS, deep, action, None, host="h")
    assert wire.body == body
    other = Action("aws", "s3:PutObject", frozen(Bucket="b", Key="k", Body=body + b"x"), SCOPE)
    assert not round_trips(MODELS, deep, other, wire)


def test_what_the_protocol_cannot_carry_is_not_sent(deep: Index) -> None:
    kept = given("s3", "DeleteObjects", Bucket="b", Delete={"Objects": [{"Key": "k"}]})
    assert write(MODELS, deep, kept, None, host="h").body
    lost = given("s3", "DeleteObjects", Bucket="b", Delete={"Objects": [{"Key": "\x01"}]})
    with pytest.raises(MalformedRequest, match="judged"):
        write(MODELS, deep, lost, None, host="h")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("s3:DeleteBucket", {}),
        ("s3:DeleteBucket", {"Bukkit": "b"}),
        ("s3:PutObject", {"Bucket": "b", "Key": "k", "CacheControl": "a\r\nx-evil: 1"}),
        ("nonsense:X", {}),
        ("nonsense", {}),
        ("dynamodb:Scan", {"TableName": "t", "Limit": {"$bytes": "x"}, "x": b""}),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, parameters: dict[str, object]) -> None:
    frozen = freeze(parameters)
    assert not isinstance(frozen, str)
    action = Action(surface="aws", name=name, parameters=frozen, scope=SCOPE)  # type: ignore[arg-type]
    with pytest.raises(MalformedRequest):
        serialise(MODELS, action, None, host="h")
