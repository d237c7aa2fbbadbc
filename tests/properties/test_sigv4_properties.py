"""For any request: what Signoff signs, botocore signs alike, and the gate verifies."""

from __future__ import annotations

import datetime as dt
from unittest import mock
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.gates.sigv4 import Credentials, SigningKeys, sign, verify
from signoff.model.action import Principal
from signoff.model.errors import SignoffError
from signoff.model.ports import RunKey
from signoff.surfaces.aws.wire import WireRequest

NOW_MS = 1_760_000_000_123
HOST = "service.eu-west-1.example:8080"
KEYS = SigningKeys()

services = st.sampled_from(["s3", "dynamodb", "sqs", "iam", "ec2", "lambda", "cloudformation"])
regions = st.sampled_from(["eu-west-1", "us-east-1", "cn-north-1"])
words = st.text(max_size=12).filter(lambda s: all(not 0xD800 <= ord(c) < 0xE000 for c in s))
paths = st.lists(words, max_size=4).map(lambda p: "/" + "/".join(quote(w, safe="~") for w in p))
pairs = st.lists(st.tuples(words.filter(bool), words), max_size=5)
names = st.sampled_from(
    ["x-amz-target", "content-type", "x-amz-meta-a", "range", "user-agent", "content-md5", "accept"]
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


@st.composite
def requests(draw: st.DrawFn) -> WireRequest:
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in draw(pairs))
    headers = draw(st.dictionaries(names, values, max_size=5))
    return WireRequest(
        method=draw(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"])),
        path=draw(paths),
        query=query,
        headers=tuple(headers.items()),
        body=draw(st.binary(max_size=64)),
    )


def by_botocore(
    wire: WireRequest, credentials: Credentials, service: str, region: str
) -> dict[str, str]:
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    url = f"http://{HOST}{wire.path}" + (f"?{wire.query}" if wire.query else "")
    request = AWSRequest(method=wire.method, url=url, headers=dict(wire.headers), data=wire.body)
    boto = BotoCredentials(
        credentials.access_key, credentials.secret_key, credentials.token or None
    )
    now = dt.datetime.fromtimestamp(NOW_MS // 1000, dt.UTC)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=now):
        signer(boto, service, region).add_auth(request)
    return {k.lower(): v for k, v in request.headers.items()}


@settings(max_examples=400, deadline=None)
@given(requests(), services, regions, st.sampled_from(["", "token/+="]))
def test_a_signature_equals_botocores_bit_for_bit(
    wire: WireRequest, service: str, region: str, token: str
) -> None:
    credentials = Credentials("AKIAEXAMPLE", "secret/key+", token)
    ours = dict(sign(wire, credentials, region=region, service=service, host=HOST, now_ms=NOW_MS))
    theirs = by_botocore(wire, credentials, service, region)
    assert ours.pop("host") == HOST
    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(requests(), services, regions, st.sampled_from(["", "run-token"]), st.data())
def test_what_botocore_signs_verifies_and_any_altered_part_does_not(
    wire: WireRequest, service: str, region: str, token: str, data: st.DataObject
) -> None:
    key = RunKey("AKIARUN", "s3cret", Principal("a", "R-1", "h"), 0, NOW_MS + 1000, token=token)
    signed = by_botocore(wire, Credentials(key.key_id, key.secret, token), service, region)
    signed["host"] = HOST
    good = WireRequest(wire.method, wire.path, wire.query, tuple(signed.items()), wire.body)

    def check(w: WireRequest) -> str:
        lookup = {key.key_id: key}.get
        return verify(w, host=HOST, key_of=lookup, now_ms=NOW_MS, signing_key_cache=KEYS).service

    assert check(good) == service
    part = data.draw(st.sampled_from(["method", "path", "query", "body", "header"]))
    headers = list(good.headers)
    match part:
        case "method":
            bad = WireRequest("PATCH", good.path, good.query, good.headers, good.body)
        case "path":
            bad = WireRequest(good.method, good.path + "x", good.query, good.headers, good.body)
        case "query":
            bad = WireRequest(good.method, good.path, good.query + "&x=1", good.headers, good.body)
        case "body":
            bad = WireRequest(good.method, good.path, good.query, good.headers, good.body + b"x")
        case _:
            headers.append(("x-amz-extra", "1"))
            bad = WireRequest(good.method, good.path, good.query, tuple(headers), good.body)
    with pytest.raises(SignoffError):
        check(bad)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=10),
    st.text(max_size=20),
    st.text(max_size=20),
    st.lists(st.tuples(st.text(max_size=12), st.text(max_size=30)), max_size=4),
    st.text(max_size=80),
)
def test_hostile_requests_get_a_clear_error_and_never_another_exception(
    method: str, path: str, query: str, headers: list[tuple[str, str]], authorization: str
) -> None:
    everything = (
        *headers,
        ("host", HOST),
        ("authorization", "AWS4-HMAC-SHA256 " + authorization),
    )
    wire = WireRequest(method, "/" + path, query, everything, b"")
    with pytest.raises(SignoffError):
        verify(wire, host=HOST, key_of={}.get, now_ms=NOW_MS, signing_key_cache=KEYS)
