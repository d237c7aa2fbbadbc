"""Every way a request can fail to be one plainly signed request of a live run key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from signoff.gates.sigv4 import (
    KEYS_MOST,
    SKEW_MS,
    Credentials,
    SigningKeys,
    claimed_key_id,
    sign,
    verify,
)
from signoff.model.action import Principal
from signoff.model.errors import MalformedRequest, Refused, SignoffError
from signoff.model.ports import RunKey
from signoff.surfaces.aws.wire import WireRequest

NOW_MS = 1_760_000_000_000
HOST = "127.0.0.1:4566"
KEY = RunKey("AKIARUN", "s3cret", Principal("agent", "R-1", "ana"), 0, NOW_MS + 60_000)
CHILD = replace(KEY, key_id="ASIACHILD", token="run-token")
PLAIN = WireRequest(
    "POST",
    "/",
    "",
    (("x-amz-target", "DynamoDB_20120810.GetItem"), ("content-type", "application/x-amz-json-1.0")),
    b"{}",
)
KNOWN = {key.key_id: key for key in (KEY, CHILD)}


def signed(
    wire: WireRequest = PLAIN,
    *,
    key: RunKey = KEY,
    service: str = "dynamodb",
    now_ms: int = NOW_MS,
    payload: str | None = None,
) -> WireRequest:
    credentials = Credentials(key.key_id, key.secret, key.token)
    headers = sign(
        wire,
        credentials,
        region="eu-west-1",
        service=service,
        host=HOST,
        now_ms=now_ms,
        payload=payload,
    )
    return replace(wire, headers=headers)


def with_header(wire: WireRequest, name: str, change: Callable[[str], str]) -> WireRequest:
    return replace(wire, headers=tuple((k, change(v) if k == name else v) for k, v in wire.headers))


def without(wire: WireRequest, name: str) -> WireRequest:
    return replace(wire, headers=tuple((k, v) for k, v in wire.headers if k != name))


def check(wire: WireRequest, *, now_ms: int = NOW_MS) -> object:
    return verify(wire, host=HOST, key_of=KNOWN.get, now_ms=now_ms)


def refusal(wire: WireRequest, *, now_ms: int = NOW_MS) -> str:
    with pytest.raises(SignoffError) as caught:
        check(wire, now_ms=now_ms)
    assert isinstance(caught.value, (Refused, MalformedRequest))
    assert KEY.secret not in str(caught.value)
    return str(caught.value)


def test_a_signed_request_names_its_run_and_its_scope() -> None:
    found = verify(signed(), host=HOST, key_of=KNOWN.get, now_ms=NOW_MS)
    assert found.key is KEY
    assert (found.date, found.region, found.service) == ("20251009", "eu-west-1", "dynamodb")
    assert "x-amz-target" in found.signed_headers
    assert KEY.secret not in repr(found)


def test_a_child_key_needs_its_session_token() -> None:
    good = signed(key=CHILD)
    check(good)
    assert "session token" in refusal(without(good, "x-amz-security-token"))
    assert "session token" in refusal(with_header(good, "x-amz-security-token", lambda _: "other"))
    assert "session token" in refusal(signed(key=replace(KEY, token="made-up")))


def test_an_unsigned_request_is_refused_with_the_way_to_sign_it() -> None:
    assert "AWS_ACCESS_KEY_ID" in refusal(PLAIN)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("AWS AKIARUN:c2ln", "version 2"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "version 4A"),
        ("Bearer t", "`Bearer`"),
        ("Basic dTpw", "`Basic`"),
    ],
)
def test_other_schemes_are_refused_by_name(scheme: str, said: str) -> None:
    assert said in refusal(with_header(signed(), "authorization", lambda _: scheme))


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=ab",
        "X-Amz-Credential=ab",
        "x-amz-algorithm=ab",
        "AWSAccessKeyId=ab&Expires=1",
        "Signature=ab",
        "X%2DAmz-Signature=ab",
    ],
)
def test_presigned_urls_are_refused_however_they_are_spelled(query: str) -> None:
    assert "presigned" in refusal(signed(replace(PLAIN, query=query)))


@pytest.mark.parametrize(
    "name", ["authorization", "host", "x-amz-date", "x-amz-target", "content-type"]
)
def test_a_header_that_counts_once_may_not_come_twice(name: str) -> None:
    good = signed()
    twice = replace(good, headers=(*good.headers, (name, "again")))
    assert f"`{name}` comes more than once" in refusal(twice)


@pytest.mark.parametrize("name", ["x-amz-acl", "smithy-protocol", "X-Amz-Bypass-Governance"])
def test_a_header_that_decides_something_must_be_signed(name: str) -> None:
    good = signed(without(PLAIN, "content-type"))
    assert "is not signed" in refusal(replace(good, headers=(*good.headers, (name, "v"))))


def test_an_unsigned_content_type_is_refused() -> None:
    good = signed(without(PLAIN, "content-type"))
    more = replace(good, headers=(*good.headers, ("content-type", "text/xml")))
    assert "`content-type` is not signed" in refusal(more)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.replace("aws4_request", "aws4"),
        lambda a: a.replace("/dynamodb/", "/"),
        lambda a: a.replace("/eu-west-1/", "//"),
        lambda a: a.replace("Signature=", "Sig="),
        lambda a: a + ", Signature=00",
        lambda a: a.replace("SignedHeaders=content-type;", "SignedHeaders=x-amz-zz;content-type;"),
        lambda a: a.replace("SignedHeaders=content-type;", "SignedHeaders=gone;host;"),
        lambda a: a.replace("SignedHeaders=content-type;", "SignedHeaders=Content-Type;"),
        lambda a: "AWS4-HMAC-SHA256",
        lambda a: "AWS4-HMAC-SHA256 ,,,",
    ],
)
def test_an_authorization_header_that_is_not_exactly_one_is_refused(
    change: Callable[[str], str],
) -> None:
    refusal(with_header(signed(), "authorization", change))


@pytest.mark.parametrize("part", ["/dynamodb/", "/eu-west-1/", "/20251009/"])
def test_another_scope_than_the_signed_one_does_not_count(part: str) -> None:
    refusal(with_header(signed(), "authorization", lambda a: a.replace(part, "/other/")))


def test_an_unknown_key_is_told_from_an_expired_one() -> None:
    assert "unknown here or was revoked" in refusal(signed(key=replace(KEY, key_id="AKIANONE")))
    late = KEY.expires_ms
    assert "has expired" in refusal(signed(now_ms=late), now_ms=late)


def test_a_wrong_secret_does_not_match() -> None:
    assert "does not match" in refusal(signed(key=replace(KEY, secret="guess")))


def test_the_clock_may_be_off_by_a_quarter_of_an_hour_and_no_more() -> None:
    check(signed(now_ms=NOW_MS - SKEW_MS))
    check(signed(now_ms=NOW_MS + SKEW_MS))
    assert "901 s away" in refusal(signed(now_ms=NOW_MS - SKEW_MS - 1_000))
    assert "901 s away" in refusal(signed(now_ms=NOW_MS + SKEW_MS + 1_000))


@pytest.mark.parametrize(
    "stamp",
    ["", "now", "20251009T000000", "20251309T000000Z", "20251009t000000z", "２0251009T00000Z"],
)
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    assert "x-amz-date" in refusal(with_header(signed(), "x-amz-date", lambda _: stamp))


def test_a_request_for_another_host_is_refused() -> None:
    with pytest.raises(MalformedRequest, match="Host"):
        verify(signed(), host="other:80", key_of=KNOWN.get, now_ms=NOW_MS)


def test_a_body_that_was_swapped_is_refused() -> None:
    assert "does not match" in refusal(replace(signed(), body=b"{ }"))
    stated = replace(PLAIN, headers=(*PLAIN.headers, ("x-amz-content-sha256", "set by sign")))
    assert "the body is not the one" in refusal(replace(signed(stated), body=b"{ }"))


@pytest.mark.parametrize("said", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_an_unsigned_body_passes_for_s3_alone(said: str) -> None:
    put = WireRequest("PUT", "/bucket/key", "", (), b"any")
    found = verify(
        signed(put, service="s3", payload=said), host=HOST, key_of=KNOWN.get, now_ms=NOW_MS
    )
    assert found.payload_sha256 == said
    marked = replace(put, headers=(("x-amz-content-sha256", "x"),))
    assert "is not accepted" in refusal(signed(marked, service="dynamodb", payload=said))


def test_a_body_signed_chunk_by_chunk_is_refused_with_the_way_out() -> None:
    put = WireRequest("PUT", "/bucket/key", "", (), b"any")
    streaming = signed(put, service="s3", payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    assert "chunked encoding off" in refusal(streaming)


def test_an_s3_request_without_its_body_hash_is_refused() -> None:
    put = signed(WireRequest("PUT", "/bucket/key", "", (), b"any"), service="s3")
    assert "x-amz-content-sha256" in refusal(without(put, "x-amz-content-sha256"))


@pytest.mark.parametrize(
    ("path", "query"),
    [("/a b", ""), ("/a\nb", ""), ("a", ""), ("/", "x=a b"), ("/", "x=a+b"), ("/\x7f", "")],
)
def test_a_request_line_that_reads_two_ways_is_refused(path: str, query: str) -> None:
    refusal(signed(replace(PLAIN, path=path, query=query)))


def test_the_order_of_query_pairs_does_not_matter_and_their_content_does() -> None:
    good = signed(replace(PLAIN, query="b=2&a=2&a=1"))
    check(replace(good, query="a=1&a=2&b=2"))
    refusal(replace(good, query="a=1&b=2"))


def test_s3_paths_are_signed_as_sent_and_others_once_more_encoded() -> None:
    path = "/a//b/../ü%20".replace("ü", "%C3%BC")
    s3 = signed(replace(PLAIN, path=path), service="s3")
    other = signed(replace(PLAIN, path=path))
    check(s3)
    check(other)
    refusal(replace(s3, path="/a/%C3%BC%20"))
    check(replace(other, path="/a/%C3%BC%20"))


def test_signing_leaves_nothing_of_the_clients_credentials_or_connection() -> None:
    dirty = (
        ("authorization", "AWS4-HMAC-SHA256 Credential=AKIARUN/..."),
        ("x-amz-security-token", "run-token"),
        ("x-amz-date", "20200101T000000Z"),
        ("connection", "keep-alive"),
        ("accept-encoding", "gzip"),
        ("expect", "100-continue"),
        ("host", "127.0.0.1"),
        ("content-length", "2"),
    )
    headers = sign(
        replace(PLAIN, headers=dirty),
        Credentials("AKIAREAL", "real"),
        region="eu-west-1",
        service="dynamodb",
        host="real.example",
        now_ms=NOW_MS,
    )
    assert [name for name, _ in headers] == ["host", "x-amz-date", "authorization"]
    assert "AKIARUN" not in str(headers)


def test_the_claimed_key_id_is_read_before_anything_is_believed() -> None:
    assert claimed_key_id(signed(key=replace(KEY, key_id="AKIANONE"))) == "AKIANONE"
    with pytest.raises(MalformedRequest):
        claimed_key_id(PLAIN)


def test_derived_keys_are_kept_and_bounded() -> None:
    keys = SigningKeys()
    first = keys.key("s", "20250101", "eu-west-1", "s3")
    assert keys.key("s", "20250101", "eu-west-1", "s3") is first
    for number in range(KEYS_MOST + 10):
        keys.key("s", "20250101", str(number), "s3")
    assert repr(keys) == "SigningKeys(11 keys)"
