from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from signoff.audit.iam.account import facts_of, read_dump
from signoff.model.errors import SignoffError

from .. import roles


def read(given: dict[str, Any]) -> Any:
    return read_dump(json.dumps(given), "account.json")


def test_a_role_has_its_inline_and_attached_policies_and_its_boundary() -> None:
    account = read(roles.account())
    (bounded,) = account.find("agent-bounded")
    assert [p.name for p in bounded.identity] == ["AdministratorAccess"]
    assert bounded.boundary.name == "agents"
    assert len(account.layers(bounded).limits) == 1
    assert account.policies == (roles.BOUNDARY,)


def test_documents_may_be_encoded_as_the_api_answers() -> None:
    one = roles.role("a", roles.allow("s3:*"))
    one["AssumeRolePolicyDocument"] = quote(json.dumps(one["AssumeRolePolicyDocument"]))
    (policy,) = one["RolePolicyList"]
    policy["PolicyDocument"] = quote(json.dumps(policy["PolicyDocument"]))
    (found,) = read(roles.account(one)).principals
    assert found.identity[0].statements[0].actions == ("s3:*",)


def test_a_user_has_the_policies_of_its_groups() -> None:
    given = roles.account(roles.WORKER)
    given["UserDetailList"] = [
        {"UserName": "u", "Arn": "arn:aws:iam::111122223333:user/u", "GroupList": ["g", "lost"]}
    ]
    document = roles.document(roles.allow("rds:*"))
    given["GroupDetailList"] = [
        {
            "GroupName": "g",
            "GroupPolicyList": [{"PolicyName": "p", "PolicyDocument": document}],
            "AttachedManagedPolicies": [{"PolicyArn": roles.POWER}],
        }
    ]
    (user,) = read(given).find("u")
    assert [p.name for p in user.identity] == ["p", "PowerUserAccess"]
    assert user.missing == ("the group `lost`",)


def test_tags_of_a_role_are_facts_only_when_no_session_may_set_others() -> None:
    trusting = roles.trust(Service="ec2.amazonaws.com")
    trusting["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    open_role = roles.role("a", roles.allow("s3:*"), trusts=trusting, tags={"team": "web"})
    fixed = roles.role("b", roles.allow("s3:*"), tags={"team": "web"})
    one, other = read(roles.account(open_role, fixed)).principals
    assert "aws:principaltag/team" not in facts_of(one)
    assert facts_of(other)["aws:principaltag/team"] == ("web",)


def broken(change: Any) -> str:
    given = roles.account(roles.role("a", roles.allow("s3:*"), boundary=roles.BOUNDARY))
    change(given)
    with pytest.raises(SignoffError) as caught:
        read(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(IsTruncated=True), "`IsTruncated`: the answer goes on"),
        (lambda d: d.update(RoleDetailList={}), "`RoleDetailList`: it is no list"),
        (lambda d: d.update(RoleDetailList=[3]), "`RoleDetailList[0]`: it is no object"),
        (lambda d: d["RoleDetailList"][0].pop("RoleName"), "`RoleDetailList[0].RoleName`"),
        (
            lambda d: d["RoleDetailList"][0].pop("AssumeRolePolicyDocument"),
            "it has no AssumeRolePolicyDocument",
        ),
        (
            lambda d: d["RoleDetailList"][0]["RolePolicyList"][0].update(PolicyDocument=5),
            "`RoleDetailList[0].RolePolicyList[0].PolicyDocument`",
        ),
        (
            lambda d: d["Policies"][0]["PolicyVersionList"][0].update(IsDefaultVersion=False),
            "`Policies[0]`: none of its versions is the default one",
        ),
    ],
)
def test_a_malformed_dump_names_the_place(change: Any, says: str) -> None:
    assert says in broken(change)


def test_something_else_is_no_dump() -> None:
    for text in ("[]", '{"Roles": []}'):
        with pytest.raises(SignoffError, match="no account authorization dump"):
            read_dump(text, "x.json")


def test_a_boundary_that_was_not_read_limits_nothing_and_is_named() -> None:
    one = roles.role("a", roles.allow("s3:*"), boundary="arn:aws:iam::1:policy/gone")
    (found,) = read(roles.account(one)).principals
    assert found.boundary is None
    assert found.missing == ("the boundary `arn:aws:iam::1:policy/gone`",)


def test_a_role_that_is_not_there_is_an_error_that_names_others() -> None:
    with pytest.raises(SignoffError, match="`agent-broad`"):
        read(roles.account(roles.BROAD)).find("nobody")
