from __future__ import annotations

import pytest

from signoff.audit.iam import actions
from signoff.audit.iam.documents import Layer, policy_of
from signoff.audit.iam.evaluate import Layers
from signoff.audit.iam.powers import Able, Ground, Power, able, name_of, powers_of
from signoff.audit.iam.reach import reach
from signoff.model.effect import Verb

from .. import roles

ROWS = (
    {"environment": "staging", "name": "test-*"},
    {"environment": "development", "account": "222233334444"},
    {"environment": "staging", "region": "eu-north-1"},
)


def could(*statements: dict[str, object]) -> dict[str, Able]:
    policy = policy_of(roles.document(*statements), "p", Layer.IDENTITY)
    found = reach(Layers(policy.statements), {}, actions.by_service())
    return {a.action: a for a in able(found, actions.known, Ground("aws", roles.ACCOUNT, ROWS))}


def table(name: str, region: str = "*", account: str = "*") -> str:
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        (roles.allow("dynamodb:*"), {"production", "staging"}),
        (roles.allow("dynamodb:*", table("test-*")), {"staging"}),
        (roles.allow("dynamodb:*", table("test*")), {"staging", "production"}),
        (roles.allow("dynamodb:*", table("prod-*")), {"production", "staging"}),
        (roles.allow("dynamodb:*", table("prod-*", "eu-west-1")), {"production"}),
        (roles.allow("dynamodb:*", table("x", "eu-north-1")), {"staging"}),
        (roles.allow("dynamodb:*", table("x", "eu-west-1", "222233334444")), {"development"}),
        (
            roles.allow(
                "dynamodb:*", Condition={"StringEquals": {"aws:RequestedRegion": "eu-north-1"}}
            ),
            {"staging"},
        ),
    ],
)
def test_an_action_counts_in_every_environment_its_resources_could_be_in(
    statement: dict[str, object], where: set[str]
) -> None:
    assert could(statement)["dynamodb:DeleteTable"].environments == where


def test_a_deny_on_all_that_a_row_names_takes_that_environment_away() -> None:
    denied = roles.deny("dynamodb:DeleteTable", table("test-*"))
    north = roles.deny("*", Condition={"StringEquals": {"aws:RequestedRegion": "eu-north-1"}})
    found = could(roles.allow("dynamodb:*"), denied, north)
    assert found["dynamodb:DeleteTable"].environments == {"production"}
    assert found["dynamodb:DeleteItem"].environments == {"production", "staging"}


def test_resources_of_one_service_grant_nothing_on_another() -> None:
    found = could(roles.allow("*", "arn:aws:s3:::reports*"))
    assert "s3:DeleteObject" in found
    assert "dynamodb:DeleteTable" not in found
    assert "ec2:DescribeInstances" not in found


def test_what_the_reference_may_not_know_yet_counts_where_its_service_is_named() -> None:
    found = could(roles.allow("ec2:*", f"arn:aws:ec2:eu-west-1:{roles.ACCOUNT}:instance/*"))
    assert "ec2:DescribeInstances" in found


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (table("test-*"), "test-*"),
        ("arn:aws:s3:::bucket/a/*", "bucket"),
        ("arn:aws:sqs:*:*:test-*", "test-*"),
        ("arn:aws:lambda:*:*:function:f", "f"),
        ("arn:aws:dynamodb:*:*:table*", "*"),
        ("arn:aws:*", "*"),
        ("*", "*"),
    ],
)
def test_the_name_of_a_thing_is_read_from_its_pattern(pattern: str, name: str) -> None:
    assert name_of(pattern) == name


def test_a_delete_is_told_as_destroying_and_not_as_changing_too() -> None:
    assert powers_of(frozenset({Verb.DELETE, Verb.CREATE, Verb.READ})) == {Power.DESTROY}
    assert powers_of(frozenset({Verb.UPDATE, Verb.READ})) == {Power.CHANGE}
    assert powers_of(frozenset({Verb.UNKNOWN})) == {Power.DESTROY}
