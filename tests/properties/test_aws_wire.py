"""Reading requests: total on hostile bytes, and what is read survives being written."""

from __future__ import annotations

from datetime import UTC, datetime

import cbor2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import aws_corpus
from signoff.model.action import Action
from signoff.model.errors import MalformedRequest
from signoff.surfaces.aws import cbor
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import parse_given, parse_wire
from signoff.surfaces.aws.serialise import round_trips, serialise
from signoff.surfaces.aws.wire import WireRequest

MODELS = Models()
INDEX = Index.build([*aws_corpus.DEEP, "cloudwatch", "lambda"], MODELS)
SIGNING = ("s3", "dynamodb", "iam", "rds", "sqs", "cloudformation", "monitoring", "lambda", "")
BOUGHT = [
    s.wire
    for s in aws_corpus.samples(
        MODELS,
        [
            ("s3", "DeleteObjects"),
            ("s3", "DeleteObject"),
            ("s3", "PutBucketLifecycleConfiguration"),
            ("dynamodb", "TransactWriteItems"),
            ("dynamodb", "DeleteTable"),
            ("iam", "PutRolePolicy"),
            ("rds", "DeleteDBInstance"),
            ("cloudformation", "CreateChangeSet"),
            ("lambda", "Invoke"),
        ],
        full=True,
    )
    if not isinstance(s, tuple)
]

texts = st.text(max_size=20) | st.sampled_from(
    ["/", "//", "/b/k", "%2f", "/b/%2e%2e", "a=b", "delete", "%", "?", "\x00", "\udcff"]
)
header_names = st.sampled_from(
    [
        "content-type",
        "x-amz-target",
        "smithy-protocol",
        "content-encoding",
        "x-amz-content-sha256",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
        "x-amz-meta-a",
        "x-amz-copy-source",
        "host",
    ]
)
header_values = texts | st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "application/x-amz-json-1.0",
        "application/cbor",
        "rpc-v2-cbor",
        "aws-chunked",
        "gzip",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "DynamoDB_20120810.PutItem",
        "AmazonSQS.SendMessage",
        "5",
    ]
)
bodies = st.binary(max_size=80) | st.sampled_from(
    [
        b"Action=DeleteRole&Version=2010-05-08&RoleName=a",
        b"Action=CreateUser&Version=2010-05-08&Tags.member.1.Key=a",
        b'{"TableName":"t","Item":{"a":{"S":"x"}}}',
        b"<Delete><Object><Key>k</Key></Object></Delete>",
        b"5\r\nhello\r\n0\r\n\r\n",
    ]
)
wires = st.builds(
    WireRequest,
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "x"]),
    texts,
    texts,
    st.lists(st.tuples(header_names, header_values), max_size=5).map(tuple),
    bodies,
)


def parse(wire: WireRequest, signing: str) -> Action | str:
    try:
        return parse_wire(MODELS, INDEX, wire, signing_name=signing, region="r", account="1")
    except MalformedRequest as error:
        return str(error)


@given(wires, st.sampled_from(SIGNING))
@settings(max_examples=400, deadline=None)
def test_any_request_is_read_or_refused_and_always_the_same_way(
    wire: WireRequest, signing: str
) -> None:
    found = parse(wire, signing)
    assert parse(wire, signing) == found
    if isinstance(found, Action):
        assert len(found.digest) == 64


@given(st.sampled_from(BOUGHT), st.data())
@settings(max_examples=300, deadline=None)
def test_a_real_request_with_one_byte_changed_is_never_the_same_action_in_disguise(
    wire: WireRequest, data: st.DataObject
) -> None:
    """What comes out of a changed request is refused, or says exactly what will be sent."""
    assume(wire.body)
    at = data.draw(st.integers(0, len(wire.body) - 1))
    byte = data.draw(st.integers(0, 255))
    body = wire.body[:at] + bytes([byte]) + wire.body[at + 1 :]
    headers = tuple(
        (k, v)
        for k, v in wire.headers
        if k not in ("x-amz-content-sha256", "content-md5") and "checksum" not in k
    )
    changed = WireRequest(wire.method, wire.path, wire.query, headers, body)
    signing = next(
        v.split("Credential=")[1].split("/")[3] for k, v in wire.headers if k == "authorization"
    )
    found = parse(changed, signing)
    if isinstance(found, Action):
        try:
            again = serialise(MODELS, found, body, host="h")
        except MalformedRequest:
            return
        assert round_trips(MODELS, INDEX, found, again)


names = st.text(min_size=1, max_size=12)
attribute = st.recursive(
    st.builds(lambda v: {"S": v}, st.text(max_size=8))
    | st.builds(lambda v: {"N": str(v)}, st.integers())
    | st.builds(lambda v: {"B": v}, st.binary(max_size=8))
    | st.builds(lambda v: {"BOOL": v}, st.booleans()),
    lambda inner: (
        st.builds(lambda v: {"L": v}, st.lists(inner, max_size=3))
        | st.builds(lambda v: {"M": v}, st.dictionaries(names, inner, max_size=3))
    ),
    max_leaves=8,
)


def survives(service: str, operation: str, **parameters: object) -> bool:
    whole = {"service": service, "operation": operation, "parameters": parameters}
    action = parse_given(MODELS, whole, {"account": "1", "region": "r"})
    assume(not action.unknown)
    return round_trips(MODELS, INDEX, action, serialise(MODELS, action, None, host="h"))


@given(st.dictionaries(names, attribute, max_size=4))
def test_any_item_survives(item: dict[str, object]) -> None:
    assert survives("dynamodb", "PutItem", TableName="t", Item=item)


@given(st.text(min_size=1, max_size=20))
def test_any_key_survives_or_is_refused_for_its_dots(key: str) -> None:
    assume(not {".", ".."} & set(key.split("/")))
    assert survives("s3", "DeleteObject", Bucket="b", Key=key)


@given(
    st.text(max_size=20),
    st.lists(st.tuples(names, st.text(max_size=5)), max_size=4),
)
def test_any_form_survives(text: str, tags: list[tuple[str, str]]) -> None:
    listed = [{"Key": k, "Value": v} for k, v in tags]
    assert survives("cloudformation", "CreateStack", StackName="s", TemplateBody=text, Tags=listed)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_any_time_survives_in_every_protocol(moment: datetime) -> None:
    utc = moment.replace(tzinfo=UTC)
    assert survives("dynamodb", "ListBackups", TimeRangeLowerBound=utc)
    assert survives("rds", "DescribeEvents", StartTime=utc)
    assert survives(
        "cloudwatch",
        "GetMetricStatistics",
        Namespace="n",
        MetricName="m",
        StartTime=utc,
        EndTime=utc,
        Period=60,
    )


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_cbor_is_read_as_another_implementation_wrote_it(value: object) -> None:
    assert cbor.decode(cbor2.dumps(value)) == value


@given(st.binary(max_size=60))
def test_cbor_is_total(data: bytes) -> None:
    try:
        cbor.decode(data)
    except ValueError:
        return
