from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

from signoff.audit.iam import actions
from signoff.audit.iam.documents import Layer, policy_of
from signoff.audit.iam.evaluate import Layers
from signoff.audit.iam.judged import naming
from signoff.audit.iam.powers import Ground
from signoff.audit.iam.reach import reach
from signoff.audit.iam.smaller import MANAGED_MOST, SESSION_MOST, Smaller, size_of, smaller
from signoff.audit.iam.used import Used

from .. import roles

BUCKET = "arn:aws:s3:::reports"


def made(
    used: dict[str, frozenset[str]], *statements: dict[str, Any], whole: tuple[str, ...] = ()
) -> Smaller:
    """The smaller policies of these statements (everything, when none is given)."""
    policy = policy_of(roles.document(*(statements or (roles.allow("*"),))), "p", Layer.IDENTITY)
    found = reach(Layers(policy.statements), {}, actions.by_service())
    denies = [s for s in policy.statements if not s.allow]
    uses = Used(used, frozenset(whole), sources=("test",))
    return smaller(found, denies, uses, naming(), Ground("aws", roles.ACCOUNT))


def allows(pages: list[Any], action: str, resource: str) -> bool:
    seen = [IAMPolicy(json.dumps(p)).is_action_permitted(action, resource) for p in pages]
    return PermissionResult.PERMITTED in seen and PermissionResult.DENIED not in seen


def test_many_names_are_split_over_policies_that_each_fit() -> None:
    keys = [f"{BUCKET}/year={2000 + n}/a-rather-long-name-of-an-object-{n:04}" for n in range(400)]
    result = made({"s3:GetObject": frozenset(keys)})
    assert len(result.managed) > 1
    assert all(size_of(p) <= MANAGED_MOST for p in result.managed)
    assert all(allows(list(result.managed), "s3:GetObject", key) for key in keys)


def test_a_session_policy_that_would_not_fit_is_widened_and_says_so() -> None:
    keys = [f"{BUCKET}/logs/{n:04}-a-rather-long-name-of-an-object" for n in range(200)]
    result = made({"s3:GetObject": frozenset(keys), "s3:DeleteObject": frozenset(keys[:1])})
    assert result.session is not None
    assert size_of(result.session) <= SESSION_MOST
    assert all(allows([result.session], "s3:GetObject", key) for key in keys)
    assert not allows([result.session], "s3:GetObject", f"{BUCKET}/secret/key")
    assert any(n.startswith("session policy, to fit 2,048") for n in result.notes)


def test_wildcards_in_a_session_policy_let_in_nothing_but_reads() -> None:
    services = ("rds", "redshift", "elasticache", "autoscaling")
    reads = [a for s in services for a in actions.by_service()[s] if ":Describe" in a]
    result = made({a: frozenset() for a in reads})
    assert result.session is not None
    assert all(allows([result.session], a, "*") for a in reads)
    every = [a for s in services for a in actions.by_service()[s]]
    risky = [a for a in every if actions.is_risky(actions.known(a).verbs)]
    assert risky
    assert not any(allows([result.session], a, "*") for a in risky)


def test_what_can_never_fit_a_session_policy_gets_none_and_says_why() -> None:
    names = [a for a in actions.catalogue() if actions.known(a).arns == ("*",)][:400]
    result = made({a: frozenset() for a in names})
    assert result.session is None
    assert any("no session policy" in n for n in result.notes)


def test_a_name_in_a_log_is_a_name_and_no_pattern() -> None:
    result = made({"s3:GetObject": frozenset({f"{BUCKET}/*", f"{BUCKET}/${{aws:username}}/a?"})})
    text = json.dumps(result.managed)
    assert f"{BUCKET}/${{*}}" in text
    assert f"{BUCKET}/${{$}}{{aws:username}}/a${{?}}" in text
    assert not allows(list(result.managed), "s3:GetObject", f"{BUCKET}/other")


def test_a_bucket_in_the_log_stands_for_its_objects_and_an_object_for_its_bucket() -> None:
    result = made(
        {"s3:GetObject": frozenset({BUCKET}), "s3:ListBucket": frozenset({f"{BUCKET}/a"})}
    )
    pages = list(result.managed)
    assert allows(pages, "s3:GetObject", f"{BUCKET}/a")
    assert allows(pages, "s3:ListBucket", BUCKET)
    assert not allows(pages, "s3:GetObject", "arn:aws:s3:::other/a")


def test_a_service_of_which_only_its_use_is_known_keeps_what_is_mild() -> None:
    result = made({}, whole=("sqs",))
    assert "sqs:GetQueueAttributes" in result.kept
    assert not {"sqs:DeleteQueue", "sqs:PurgeQueue"} & set(result.kept)
    assert any("nobody wrote down which actions" in n for n in result.notes)


def test_passing_a_role_is_kept_where_it_was_narrow_and_left_out_where_it_was_any() -> None:
    used = {"lambda:CreateFunction": frozenset[str]()}
    wide = made(used)
    assert "iam:PassRole" not in wide.kept
    assert any("left out" in n for n in wide.notes)
    narrow = made(used, roles.allow("lambda:*"), roles.allow("iam:PassRole", roles.arn("worker")))
    assert "iam:PassRole" in narrow.kept
    assert allows(list(narrow.managed), "iam:PassRole", roles.arn("worker"))


def test_names_of_actions_have_no_case() -> None:
    result = made({"DYNAMODB:getitem": frozenset({roles.TABLE})})
    assert result.kept == ("dynamodb:GetItem",)
