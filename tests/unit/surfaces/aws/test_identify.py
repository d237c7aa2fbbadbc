"""Which operation a request asks for: the whole of botocore, and the hard cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import aws_corpus
from signoff.model.errors import ConfigInvalid, MalformedRequest
from signoff.surfaces.aws.identify import TWINS, Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import identify
from signoff.surfaces.aws.wire import WireRequest

MODELS = Models()


@pytest.fixture(scope="module")
def deep() -> Index:
    return Index.build(aws_corpus.DEEP, MODELS)


@pytest.fixture(scope="module")
def whole() -> Index:
    return Index.build(None, MODELS)


def rest(method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> WireRequest:
    path, _, query = target.partition("?")
    return WireRequest(method, path, query, headers, body)


def rates(index: Index, pairs: list[tuple[str, str]]) -> tuple[int, int, int]:
    """How many requests there were, how many were settled right with the signing name
    alone, and how many are right among the candidates."""
    total = right = among = 0
    for sample in aws_corpus.samples(MODELS, pairs):
        if isinstance(sample, tuple):
            continue
        total += 1
        want = (sample.service, sample.operation)
        canonical = (TWINS.get(sample.service, sample.service), sample.operation)
        found = identify(index, sample.wire, sample.signing)
        right += found in ((want,), (canonical,))
        among += want in found or canonical in found
    return total, right, among


@pytest.mark.slow
def test_the_deep_services_and_a_sample_of_the_others_are_identified(whole: Index) -> None:
    total, right, among = rates(whole, aws_corpus.chosen(MODELS, 800, seed=20261122))
    assert total > 1400
    assert right / total >= 0.979
    assert among / total >= 0.99


@pytest.mark.slow
def test_every_operation_of_botocore_is_identified(whole: Index) -> None:
    total, right, among = rates(whole, aws_corpus.names(MODELS, MODELS.services()))
    assert total > 19_000
    assert right / total >= 0.979
    assert among / total >= 0.998


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("GET", "/bucket", "ListObjects"),
        ("GET", "/bucket/?list-type=2", "ListObjectsV2"),
        ("PUT", "/bucket", "CreateBucket"),
        ("DELETE", "/bucket/", "DeleteBucket"),
        ("PUT", "/bucket//", "PutObject"),
        ("PUT", "/bucket/a//b/", "PutObject"),
        ("POST", "/bucket?delete", "DeleteObjects"),
        ("DELETE", "/bucket/key?versionId=v", "DeleteObject"),
        ("DELETE", "/bucket/key?uploadId=u", "AbortMultipartUpload"),
        ("DELETE", "/bucket?lifecycle", "DeleteBucketLifecycle"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", "UploadPart"),
    ],
)
def test_the_shape_of_an_s3_request_names_its_operation(
    deep: Index, method: str, target: str, operation: str
) -> None:
    wire = rest(method, target, ("x-amz-content-sha256", "x"))
    assert identify(deep, wire, "s3") == (("s3", operation),)


def test_a_copy_is_told_from_an_upload_by_its_required_header(deep: Index) -> None:
    wire = rest("PUT", "/b/k", ("x-amz-copy-source", "c/k"))
    assert identify(deep, wire, "s3") == (("s3", "CopyObject"),)


def test_an_api_under_several_names_is_called_by_one() -> None:
    index = Index.build(("rds", "docdb", "neptune"), MODELS)
    wire = rest(
        "POST",
        "/",
        ("content-type", "application/x-www-form-urlencoded"),
        body=b"Action=DeleteDBCluster&Version=2014-10-31",
    )
    assert identify(index, wire, "rds") == (("rds", "DeleteDBCluster"),)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_twins_share_their_endpoint_and_their_signing_name(name: str) -> None:
    one, other = MODELS.service(name), MODELS.service(TWINS[name])
    assert one.endpoint_prefix == other.endpoint_prefix
    assert one.signing_name == other.signing_name


def test_operations_that_differ_are_all_returned() -> None:
    index = Index.build(("bedrock-agent", "bedrock-agent-runtime"), MODELS)
    found = identify(index, rest("POST", "/agents/abc/"), "bedrock")
    assert len(found) == 2


def test_an_unsigned_request_reaches_only_operations_that_need_no_signature(deep: Index) -> None:
    assert identify(deep, rest("DELETE", "/bucket"), "") == ()
    target = rest("POST", "/", ("x-amz-target", "DynamoDB_20120810.DeleteTable"))
    assert identify(deep, target, "") == ()
    form = rest(
        "POST",
        "/",
        ("content-type", "application/x-www-form-urlencoded"),
        body=b"Action=DeleteRole&Version=2010-05-08",
    )
    assert identify(deep, form, "") == ()


def test_a_target_of_a_service_the_signature_is_not_for_is_nobody(deep: Index) -> None:
    wire = rest("POST", "/", ("x-amz-target", "DynamoDB_20120810.DeleteTable"))
    assert identify(deep, wire, "dynamodb") == (("dynamodb", "DeleteTable"),)
    assert identify(deep, wire, "sqs") == ()


@pytest.mark.parametrize(
    "wire",
    [
        rest("GET", "/", ("x-amz-target", "DynamoDB_20120810.DeleteTable")),
        rest("POST", "/x", ("x-amz-target", "DynamoDB_20120810.DeleteTable")),
        rest("POST", "/?a=b", ("x-amz-target", "DynamoDB_20120810.DeleteTable")),
        rest("POST", "/", ("smithy-protocol", "rpc-v1")),
        rest("POST", "/", ("x-amz-target", "a.b"), ("smithy-protocol", "rpc-v2-cbor")),
        rest("POST", "/", ("x-amz-target", "a.b"), ("x-amz-target", "a.c")),
        rest("POST", "/?Action=ListUsers", ("content-type", "application/x-www-form-urlencoded")),
        rest(
            "POST",
            "/",
            ("content-type", "application/x-www-form-urlencoded"),
            body=b"Action=ListUsers&Action=DeleteUser",
        ),
        rest("GET", "/b/../c"),
        rest("GET", "/b/%2e%2E/c"),
        rest("GET", "/b/a%2f..%2fc"),
        rest("PUT", "/bucket%2Fkey"),
        rest("GET", "//bucket"),
        rest("GET", "/b/k?X-Amz-Signature=x"),
    ],
)
def test_what_contradicts_itself_is_refused(deep: Index, wire: WireRequest) -> None:
    with pytest.raises(MalformedRequest):
        identify(deep, wire, "s3")


def test_a_saved_index_answers_like_the_one_that_was_built(deep: Index, tmp_path: Path) -> None:
    deep.save(tmp_path / "index.json")
    loaded = Index.load(tmp_path / "index.json")
    assert loaded.services == deep.services
    wire = rest("DELETE", "/bucket/key")
    assert identify(loaded, wire, "s3") == identify(deep, wire, "s3") == (("s3", "DeleteObject"),)


def test_an_index_that_is_not_there_is_built_and_kept(
    deep: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.json"
    monkeypatch.setattr(Index, "build", classmethod(lambda *_: deep))
    assert Index.ready(path) is deep
    assert Index.ready(path) is not deep
    assert Index.ready(path).services == deep.services
    assert Index.ready(tmp_path / "no" / "where.json") is deep


def test_an_index_of_another_botocore_is_not_used(deep: Index, tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    deep.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "botocore": "0.1"}))
    with pytest.raises(ConfigInvalid, match=r"0\.1"):
        Index.load(path)
    path.write_text("[]")
    with pytest.raises(ConfigInvalid):
        Index.load(path)
