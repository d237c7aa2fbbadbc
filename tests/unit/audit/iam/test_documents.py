from __future__ import annotations

import json

import pytest

from signoff.audit.iam.documents import DOCUMENT_MOST, Layer, line_of, parse_json, read_policy
from signoff.model.errors import SignoffError

GOOD = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},

    {"Effect": "Deny", "NotAction": ["iam:Get*"], "Resource": ["*"],
     "Condition": {"Bool": {"aws:MultiFactorAuthPresent": false}}}
  ]
}"""


def test_every_statement_knows_its_line() -> None:
    policy = read_policy(GOOD, "p", Layer.IDENTITY, "p.json")
    assert [(s.allow, s.not_action, s.line) for s in policy.statements] == [
        (True, False, 4),
        (False, True, 6),
    ]
    assert policy.statements[1].place == "p (p.json:6)"
    assert policy.statements[1].conditions[0].values == ("false",)


def refused(text: str, layer: Layer = Layer.IDENTITY) -> str:
    with pytest.raises(SignoffError) as caught:
        read_policy(text, "p", layer, "p.json")
    assert caught.value.exit_code == 1
    assert caught.value.next_step
    return str(caught.value)


def statement(**more: object) -> str:
    one = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", **more}
    kept = {k: v for k, v in one.items() if v is not None}
    return '{"Version": "2012-10-17",\n"Statement": [\n' + json.dumps(kept) + "]}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ('{"Statement": [', "line 1, column 16"),
        ("[]", "not a list"),
        ("null", "not nothing"),
        ('{"Version": "2012-10-17"}', "no Statement"),
        ('{"Version": "2031-01-01", "Statement": []}', "Version is `2031-01-01`"),
        ('{"Version": "2012-10-17", "Version": "2008-10-17"}', "`Version` twice"),
        ('{"Version": "2012-10-17", "Statement": [3]}', "not a number"),
        (statement(NotAction="x:y"), "line 3, `Statement[0]`: it has both Action and NotAction"),
        (statement(Action=None), "neither Action nor NotAction"),
        (statement(Resource=None), "neither Resource nor NotResource"),
        (statement(Effect="Maybe"), "Effect is `Maybe`"),
        (statement(Action=[]), "`Statement[0].Action`"),
        (statement(Action=["s3:*", 3]), "none of them empty"),
        (statement(Action="DeleteBucket"), "names no service"),
        (statement(Condition=[]), "an object, not a list"),
        (statement(Condition={"Bool": {"a": [{}]}}), "values are texts"),
        (statement(Principal="*"), "Principal"),
        (statement(Actoin="s3:*"), "`Actoin` is no member"),
        ('{"Statement": ' + "[" * 100_000, "nests too deeply"),
        ('{"Statement": NaN}', "no JSON number"),
    ],
)
def test_what_aws_would_refuse_is_refused_with_its_place(text: str, says: str) -> None:
    assert says in refused(text)


def test_a_gigantic_document_is_refused_by_its_size() -> None:
    told = refused(" " * (DOCUMENT_MOST + 1))
    assert "1,048,577 characters" in told
    assert "at most 1,048,576" in told


def test_only_a_trust_policy_has_principals() -> None:
    text = '{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}}'
    (one,) = read_policy(text, "t", Layer.TRUST).statements
    assert one.principals == (("AWS", "*"),)
    assert "names a Principal" in refused(statement(), Layer.TRUST)


def test_the_line_of_a_path_survives_braces_and_escapes_in_texts() -> None:
    text = '{"a": "}{\\"",\n"b": [1,\n{"c": "]"},\n{"d": 5}]}'
    assert line_of(text, "b[2].d") == 4
    assert line_of(text, "b[0]") == 2
    assert line_of(text, "nothing.there") == 1
    assert parse_json(text, "x")["b"][2] == {"d": 5}
