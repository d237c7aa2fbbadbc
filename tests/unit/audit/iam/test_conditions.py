from __future__ import annotations

import pytest

from signoff.audit.iam.conditions import holds, in_words, understood
from signoff.audit.iam.documents import Clause

KEY = "aws:RequestedRegion"


def judged(operator: str, values: tuple[str, ...], *given: str, key: str = KEY) -> bool | None:
    return holds(Clause(operator, key, values), {key.lower(): given})


@pytest.mark.parametrize(
    ("operator", "values", "given", "holds_so"),
    [
        ("StringEquals", ("a", "b"), ("b",), True),
        ("StringEquals", ("a",), ("A",), False),
        ("StringEqualsIgnoreCase", ("a",), ("A",), True),
        ("StringLike", ("eu-*",), ("eu-west-1",), True),
        ("StringNotLike", ("eu-*",), ("eu-west-1",), False),
        ("StringNotEquals", ("a", "b"), ("b",), False),
        ("StringNotEquals", ("a",), (), True),
        ("StringEquals", ("a",), (), False),
        ("StringEqualsIfExists", ("a",), (), True),
        ("ForAllValues:StringEquals", ("a", "b"), ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a",), ("a", "b"), False),
        ("ForAllValues:StringEquals", ("a",), (), True),
        ("ForAnyValue:StringEquals", ("a",), ("a", "b"), True),
        ("ForAnyValue:StringEquals", ("a",), (), False),
        ("NumericLessThan", ("10",), ("9.5",), True),
        ("NumericGreaterThanEquals", ("10",), ("9",), False),
        ("DateGreaterThan", ("2026-01-01T00:00:00Z",), ("2026-06-01T00:00:00Z",), True),
        ("DateLessThan", ("1767225600",), ("2026-06-01T00:00:00Z",), False),
        ("Bool", ("true",), ("True",), True),
        ("IpAddress", ("10.0.0.0/8",), ("10.2.3.4",), True),
        ("NotIpAddress", ("10.0.0.0/8",), ("8.8.8.8",), True),
        ("IpAddress", ("2001:db8::/32",), ("2001:db8::1",), True),
        ("ArnLike", ("arn:aws:iam::*:role/a*",), ("arn:aws:iam::1:role/ab",), True),
        ("ArnLike", ("arn:aws:iam::*",), ("arn:aws:iam::1:role/ab",), False),
        ("ArnNotEquals", ("arn:aws:iam::1:role/a",), ("arn:aws:iam::1:role/b",), True),
        ("BinaryEquals", ("YQ==",), ("YQ==",), True),
        ("Null", ("true",), (), True),
        ("Null", ("false",), ("x",), True),
        ("Null", ("true",), ("x",), False),
    ],
)
def test_an_operator_holds_as_the_iam_guide_says(
    operator: str, values: tuple[str, ...], given: tuple[str, ...], holds_so: bool
) -> None:
    assert judged(operator, values, *given) is holds_so


@pytest.mark.parametrize(
    ("operator", "values", "given"),
    [
        ("StringMatchesRegex", ("a.*",), ("ab",)),
        ("NumericEquals", ("many",), ("1",)),
        ("DateEquals", ("soon",), ("2026-01-01",)),
        ("IpAddress", ("10.0.0.0/8",), ("here",)),
        ("BinaryEquals", ("?",), ("YQ==",)),
        ("StringEquals", ("${aws:username}",), ("a",)),
    ],
)
def test_what_cannot_be_judged_is_neither_yes_nor_no(
    operator: str, values: tuple[str, ...], given: tuple[str, ...]
) -> None:
    assert judged(operator, values, *given) is None


def test_a_key_the_request_does_not_tell_is_unknown() -> None:
    assert holds(Clause("Bool", "aws:MultiFactorAuthPresent", ("true",)), {}) is None


@pytest.mark.parametrize(
    ("operator", "key", "known"),
    [
        ("StringEquals", "aws:ResourceTag/env", True),
        ("ForAllValues:StringLikeIfExists", "aws:TagKeys", True),
        ("StringEquals", "acme:Colour", False),
        ("StringMatchesRegex", "aws:SourceIp", False),
    ],
)
def test_an_unknown_key_or_operator_is_named_as_not_understood(
    operator: str, key: str, known: bool
) -> None:
    clause = Clause(operator, key, ("x",))
    assert understood(clause) is known
    assert ("not understood" in in_words(clause)) is not known
