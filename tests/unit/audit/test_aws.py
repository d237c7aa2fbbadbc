from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from signoff.audit.aws import audit_aws
from signoff.audit.findings import Finding, Report, Severity
from signoff.audit.iam import actions
from signoff.audit.iam.account import account_of
from signoff.audit.iam.judged import Judged
from signoff.audit.iam.powers import Power
from signoff.audit.iam.smaller import MANAGED_MOST, SESSION_MOST, size_of
from signoff.audit.iam.used import Used, read_used

from . import roles

STAGING = {"environment": "staging", "tag": "stage=test", "tags_trusted": "true"}
AGENTS = (
    "administrator",
    "power-user",
    "agent-not-action",
    "agent-conditions",
    "agent-bounded",
    "agent-broad",
    "deployer",
)
USED = f"""
dynamodb:Query {roles.TABLE}
dynamodb:TransactGetItems {roles.TABLE}
s3:ListObjectsV2 arn:aws:s3:::reports
s3:GetObject arn:aws:s3:::reports/2026/a.csv
logs:FilterLogEvents
cloudformation:DescribeStacks
sqs:SendMessageBatch arn:aws:sqs:eu-west-1:{roles.ACCOUNT}:jobs
"""


@cache
def whole(text: str = "") -> tuple[Report, tuple[Judged, ...]]:
    """The audit of every role, beside what the text says was used."""
    return audit_of(roles.account(), text)


def audit_of(dump: dict[str, Any], text: str) -> tuple[Report, tuple[Judged, ...]]:
    used = read_used(text, "used.txt", actions.needed_by, actions.service_of) if text else Used()
    account = account_of(dump, "account.json")
    return audit_aws(account, "", used, (STAGING,), frozenset({"staging"}), lambda *_: None)


def audited(name: str, text: str = "") -> tuple[tuple[Finding, ...], Judged]:
    """The ranked findings on one role, and what they rest on."""
    report, judged = whole(text)
    (one,) = (j for j in judged if j.principal.name == name)
    return tuple(f for f in report.ranked if f.subject == name), one


def found(name: str, check: str, environment: str = "production") -> Finding:
    findings, _ = audited(name)
    (one,) = (f for f in findings if f.check == check and f" in {environment}:" in f.what)
    return one


def could(name: str, power: Power, environment: str = "production") -> set[str]:
    return {a.action for a in audited(name)[1].those(power, environment)}


def test_an_account_without_roles_is_named_as_one() -> None:
    dump = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    assert audit_of(dump, "")[0].title == "AWS permissions of no role"


def test_an_administrator_could_destroy_everything_there_is() -> None:
    destroys = could("administrator", Power.DESTROY)
    for action in (
        "cloudformation:DeleteStack",
        "rds:DeleteDBInstance",
        "kms:ScheduleKeyDeletion",
        "backup:DeleteRecoveryPoint",
        "s3:DeleteObject",
        "iam:DeleteRole",
        "organizations:CloseAccount",
    ):
        assert action in destroys
    assert found("administrator", "aws.destroy").severity is Severity.CRITICAL


def test_a_power_user_could_destroy_all_but_identities() -> None:
    destroys = could("power-user", Power.DESTROY)
    assert {"cloudformation:DeleteStack", "rds:DeleteDBInstance"} <= destroys
    assert "iam:DeleteRole" not in destroys
    assert "organizations:CloseAccount" not in destroys


def test_not_action_allows_all_that_it_does_not_name_and_its_denies_count() -> None:
    destroys = could("agent-not-action", Power.DESTROY)
    assert {"rds:DeleteDBInstance", "dynamodb:DeleteItem"} <= destroys
    assert not {"iam:DeleteRole", "dynamodb:DeleteTable", "dynamodb:DeleteBackup"} & destroys


def test_a_region_and_a_trusted_tag_narrow_what_is_reached() -> None:
    assert "rds:DeleteDBInstance" in could("agent-conditions", Power.DESTROY, "staging")
    assert "rds:DeleteDBInstance" not in could("agent-conditions", Power.DESTROY)
    assert found("agent-conditions", "aws.destroy", "staging").severity is Severity.MEDIUM


def test_a_condition_nobody_understands_makes_nothing_milder() -> None:
    assert "s3:DeleteObject" in could("agent-conditions", Power.DESTROY)
    findings, _ = audited("agent-conditions")
    (named,) = (f for f in findings if f.check == "aws.condition-not-understood")
    assert "`StringMatchesRegex` on `acme:Team`, which is not understood" in named.what


def test_a_deny_without_a_second_factor_protects_nothing() -> None:
    assert "s3:DeleteBucket" in could("agent-conditions", Power.DESTROY)
    assert any(
        "not counted as protection" in e for e in found("agent-conditions", "aws.destroy").evidence
    )


def test_tags_of_the_caller_count_when_nobody_can_set_others() -> None:
    reached = audited("agent-conditions")[1].reach.ways
    assert "ec2:TerminateInstances" not in reached
    assert "rds:DeleteDBCluster" not in reached


def test_a_boundary_takes_what_it_does_not_allow() -> None:
    destroys = could("agent-bounded", Power.DESTROY)
    assert "dynamodb:DeleteItem" in destroys
    assert not {"dynamodb:DeleteTable", "rds:DeleteDBInstance", "s3:DeleteObject"} & destroys


def test_writing_itself_a_policy_stays_within_the_boundary() -> None:
    findings, _ = audited("agent-bounded")
    (named,) = (f for f in findings if f.check == "aws.escalation")
    assert named.severity is Severity.HIGH
    assert "its boundary still holds" in named.what
    (free,) = (f for f in audited("administrator")[0] if f.check == "aws.escalation")
    assert free.severity is Severity.CRITICAL


def test_a_role_has_what_it_can_become() -> None:
    findings, judged = audited("agent-chained")
    assert could("agent-chained", Power.DESTROY) == set()
    chains = {c.role.name: [h.how for h in c.hops] for c in judged.chains}
    assert chains["deployer"] == ["by sts:AssumeRole"]
    assert len(chains["worker"]) == 2
    assert "iam:PassRole" in chains["worker"][1]
    told = [f for f in findings if f.check == "aws.chain"]
    assert any("cloudformation:DeleteStack" in f.what for f in told)
    assert any("dynamodb:DeleteTable" in f.what and "worker" in f.what for f in told)


def test_a_role_that_does_not_trust_the_caller_is_not_reached() -> None:
    _, judged = audited("agent-chained")
    assert "stranger" not in {c.role.name for c in judged.chains}


def test_a_role_is_passed_only_to_the_service_the_policy_names() -> None:
    _, judged = audited("deployer")
    assert "builder" not in {c.role.name for c in judged.chains}


def test_a_plain_broad_role_is_named_by_its_worst_actions() -> None:
    one = found("agent-broad", "aws.destroy")
    assert "`cloudformation:DeleteStack`" in one.what
    assert "`dynamodb:DeleteTable`" in one.what
    assert one.severity is Severity.CRITICAL


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_the_smaller_policy_allows_what_was_used_and_nothing_risky_besides(name: str) -> None:
    """Judged by moto's evaluator, which shares nothing with Signoff's."""
    _, judged = audited(name, USED)
    policies = judged.smaller
    assert policies is not None
    used = read_used(USED, "used.txt", actions.needed_by, actions.service_of).actions
    granted = {a for a in used if a in judged.reach.ways}
    # The inline policy of the conditional role stands under tags that moto's evaluator refuses.
    documents = [IAMPolicy(json.dumps(_unconditional(d))) for d in policies.managed]
    for action in granted:
        for resource in used[action] or {"*"}:
            assert _allowed(documents, action, resource), (name, action, resource)
    assert set(policies.kept) == granted
    risky = [a for a in judged.reach.ways if actions.is_risky(actions.known(a).verbs)]
    dropped = [a for a in risky if a not in used]
    assert dropped
    for action in dropped:
        for resource in ("*", roles.TABLE, "arn:aws:s3:::reports/2026/a.csv"):
            assert not _allowed(documents, action, resource), (name, action)
    session = [IAMPolicy(json.dumps(policies.session))]
    for action in granted:
        for resource in used[action] or {"*"}:
            assert _allowed(session, action, resource)
    assert not any(_allowed(session, a, "*") for a in dropped)


def test_a_chained_role_may_still_become_what_it_became_and_nobody_else() -> None:
    text = f"sts:AssumeRole {roles.arn('deployer')}"
    _, judged = audit_of(roles.account(roles.CHAINED, roles.DEPLOYER, roles.STRANGER), text)
    (one,) = (j for j in judged if j.principal.name == "agent-chained")
    assert one.smaller is not None
    for written in (one.smaller.managed, (one.smaller.session,)):
        documents = [IAMPolicy(json.dumps(page)) for page in written]
        assert _allowed(documents, "sts:AssumeRole", roles.arn("deployer"))
        assert not _allowed(documents, "sts:AssumeRole", roles.arn("stranger"))


@pytest.mark.parametrize("name", AGENTS)
def test_the_smaller_policies_fit_what_aws_takes(name: str) -> None:
    policies = audited(name, USED)[1].smaller
    assert policies is not None
    assert all(size_of(d) <= MANAGED_MOST for d in policies.managed)
    assert policies.session is not None
    assert len(json.dumps(policies.session, separators=(",", ":"))) <= SESSION_MOST


def test_the_smaller_policy_keeps_conditions_and_denies() -> None:
    _, (judged,) = audit_of(roles.account(roles.CONDITIONS), f"dynamodb:Query {roles.TABLE}")
    policies = judged.smaller
    assert policies is not None
    (page,) = policies.managed
    statements = page["Statement"]
    assert isinstance(statements, list)
    grants = [s for s in statements if s["Effect"] == "Allow"]
    assert all(s["Condition"]["StringEquals"]["aws:ResourceTag/stage"] == "test" for s in grants)
    assert {s["Action"] for s in statements if s["Effect"] == "Deny"} == {
        "s3:DeleteBucket",
        "rds:DeleteDBCluster",
    }


def test_a_use_that_was_never_granted_is_not_granted_now() -> None:
    _, (judged,) = audit_of(
        roles.account(roles.BROAD), "kms:Decrypt\ns3:GetObject arn:aws:s3:::a/b"
    )
    assert judged.smaller is not None
    assert judged.smaller.ungranted == ("kms:Decrypt",)
    assert "kms" not in json.dumps(judged.smaller.managed)


def test_what_is_all_used_is_no_more_than_a_medium_finding() -> None:
    text = "\n".join(f"{a} {roles.TABLE}" for a in could("worker", Power.DESTROY))
    report, _ = audit_of(roles.account(roles.WORKER), text)
    findings = report.ranked
    one, _ = (f for f in findings if f.check == "aws.destroy")
    assert " in production:" in one.what
    assert one.severity is Severity.MEDIUM
    assert "gate" in one.next_step


def _unconditional(page: dict[str, Any]) -> dict[str, Any]:
    statements = [{k: v for k, v in s.items() if k != "Condition"} for s in page["Statement"]]
    return {**page, "Statement": [s for s in statements if s["Effect"] == "Allow"]}


def _allowed(policies: list[IAMPolicy], action: str, resource: str) -> bool:
    results = [p.is_action_permitted(action, resource) for p in policies]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results
