from __future__ import annotations

from typing import Any

import pytest

from signoff.audit.iam import actions
from signoff.audit.iam.account import Account, Principal, account_of, facts_of
from signoff.audit.iam.chains import chains_from, escalations, hops_from, trusts, trusts_service
from signoff.audit.iam.reach import Reach, reach

from .. import roles

RUNNERS = actions.table("runners")["runner"]


def account(*given: dict[str, Any]) -> Account:
    return account_of(roles.account(*given), "account.json")


def reached(one: Principal, whole: Account) -> Reach:
    return reach(whole.layers(one), facts_of(one), actions.by_service())


def chain_names(whole: Account) -> dict[str, str]:
    """What the first role can become, by name, and how."""
    hops = {p.arn: hops_from(p, reached(p, whole), whole, RUNNERS) for p in whole.principals}
    found = chains_from(whole.principals[0], hops, whole)
    return {c.role.name: str(c) for c in found}


def trusting(statement: dict[str, Any]) -> Principal:
    made = roles.role("target", trusts=roles.document(statement))
    return account(made).principals[0]


CALLER = account(roles.role("caller")).principals[0]


def trusted(principal: object, **more: object) -> tuple[bool, tuple[str, ...]] | None:
    given = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more}
    return trusts(trusting(given), CALLER)


@pytest.mark.parametrize(
    ("principal", "answer"),
    [
        ({"AWS": roles.arn("caller")}, (True, ())),
        ({"AWS": roles.ACCOUNT}, (False, ())),
        ({"AWS": f"arn:aws:iam::{roles.ACCOUNT}:root"}, (False, ())),
        ({"AWS": "*"}, (False, ())),
        ("*", (False, ())),
        ({"AWS": ["999999999999", roles.arn("caller")]}, (True, ())),
        ({"AWS": roles.arn("other")}, None),
        ({"AWS": "999999999999"}, None),
        ({"Service": "ec2.amazonaws.com"}, None),
    ],
)
def test_a_trust_policy_lets_in_whom_it_names(principal: object, answer: object) -> None:
    assert trusted(principal) == answer


def test_a_trust_under_a_condition_is_a_trust_that_says_so() -> None:
    when = {"StringEquals": {"sts:ExternalId": "x"}}
    answer = trusted({"AWS": roles.arn("caller")}, Condition=when)
    assert answer is not None
    assert "external id" in answer[1][0]


def test_a_condition_the_caller_does_not_meet_shuts_it_out() -> None:
    when = {"StringEquals": {"aws:PrincipalAccount": "999999999999"}}
    assert trusted({"AWS": "*"}, Condition=when) is None


def test_everybody_but_somebody_is_read_at_its_broadest() -> None:
    given = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "NotPrincipal": {"AWS": roles.arn("other")},
    }
    assert trusts(trusting(given), CALLER) == (False, ())


def test_a_deny_in_a_trust_policy_shuts_the_named_caller_out() -> None:
    open_to_all = {"Effect": "Allow", "Action": "sts:*", "Principal": "*"}
    never = {**open_to_all, "Effect": "Deny", "Principal": {"AWS": roles.arn("caller")}}
    made = roles.role("target", trusts=roles.document(open_to_all, never))
    assert trusts(account(made).principals[0], CALLER) is None


def test_a_trust_of_the_account_needs_a_permission_and_one_of_the_caller_does_not() -> None:
    plain = roles.role("a", roles.allow("ec2:DescribeInstances"))
    by_account = roles.role("by-account", trusts=roles.trust(AWS=roles.ACCOUNT))
    by_name = roles.role("by-name", trusts=roles.trust(AWS=roles.arn("a")))
    assert set(chain_names(account(plain, by_account, by_name))) == {"by-name"}
    allowed = roles.role("a", roles.allow("sts:AssumeRole", roles.arn("by-account")))
    assert set(chain_names(account(allowed, by_account, by_name))) == {"by-account", "by-name"}


def test_chains_are_followed_and_circles_end() -> None:
    a = roles.role("a", roles.allow("sts:AssumeRole"), trusts=roles.trust(AWS=roles.arn("c")))
    b = roles.role("b", roles.allow("sts:AssumeRole"), trusts=roles.trust(AWS=roles.arn("a")))
    c = roles.role("c", roles.allow("sts:AssumeRole"), trusts=roles.trust(AWS=roles.arn("b")))
    assert chain_names(account(a, b, c)) == {
        "b": "`b` by sts:AssumeRole",
        "c": "`b` by sts:AssumeRole; then `c` by sts:AssumeRole",
    }


@pytest.mark.parametrize(
    ("allowed", "becomes"),
    [
        (("iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"), True),
        (("iam:PassRole", "lambda:CreateFunction"), False),
        (("lambda:CreateFunction", "lambda:InvokeFunction"), False),
        (("lambda:UpdateFunctionCode",), True),
        (("iam:PassRole", "ec2:RunInstances"), False),
    ],
)
def test_a_role_of_a_service_is_reached_by_giving_that_service_code(
    allowed: tuple[str, ...], becomes: bool
) -> None:
    caller = roles.role("caller", roles.allow(list(allowed)))
    names = chain_names(account(caller, roles.WORKER))
    assert ("worker" in names) is becomes


def test_a_role_only_aws_can_use_is_never_reached() -> None:
    made = {**roles.WORKER, "Path": "/aws-service-role/lambda.amazonaws.com/"}
    caller = roles.role("caller", roles.allow("*"))
    assert chain_names(account(caller, made)) == {}
    assert trusts_service(account(roles.WORKER).principals[0], "lambda.amazonaws.com")


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (roles.allow("iam:PutRolePolicy", roles.arn("caller")), "another inline policy"),
        (roles.allow("iam:PutRolePolicy", roles.arn("other")), ""),
        (roles.allow("iam:CreatePolicyVersion"), "new version of a policy"),
        (roles.allow("iam:UpdateAssumeRolePolicy"), ""),
        (roles.allow(["iam:UpdateAssumeRolePolicy", "sts:AssumeRole"]), "into any role"),
        (roles.allow("iam:DeleteRolePermissionsBoundary"), "removes its own boundary"),
    ],
)
def test_a_caller_that_may_change_what_binds_it_could_widen_itself(
    statement: dict[str, Any], says: str
) -> None:
    whole = account(roles.role("caller", statement))
    (caller,) = whole.principals
    rows = actions.table("escalations")["escalation"]
    found = escalations(caller, reached(caller, whole), rows, whole.policies)
    assert [says in e.says for e in found] == ([True] if says else [])
