"""IAM: roles, what is attached to them, and policy versions. Pure.

Inline policies and trust policies are settings (`mirrors.py`); here is what has a shape
of its own. Credentials of users are never read: their making is `disclose`.
Source: AWS IAM API Reference; IAM User Guide, "IAM identifiers" (RoleId is new each time).
"""

from __future__ import annotations

import json

from signoff.model.effect import Bound, Kind, Reversibility, Step, Verb
from signoff.model.values import Value, thaw
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.aws.classify import classify
from signoff.surfaces.base import Restoration

ROLE_RESIDUE = "the role's id (AROA...): grants bound to it break"
MEANWHILE = "what was done with the rights meanwhile"

_OWNERS = {"Role": "RoleName", "User": "UserName", "Group": "GroupName"}


def _owner(case: Case) -> tuple[str, str]:
    """(`Role`, `User` or `Group`; its name) that a policy is attached to or taken from."""
    for kind, member in _OWNERS.items():
        if case.text(member):
            return kind, case.text(member)
    return "Role", ""


def attachment(case: Case) -> Reading:
    """Attaching widens; so may detaching, when the policy denies."""
    kind, name = _owner(case)
    uid = case.arn("iam", f"{kind.lower()}/{name}")
    resource = case.resource(uid, f"iam:{kind.lower()}", Kind.ACCESS, name=name)
    _attached(case)
    verb = Verb.PERMIT
    why = f"{classify(case.action).because}: {case.text('PolicyArn')}"
    return c.single(effect(verb, resource, Reversibility.BOUNDED, residue=MEANWHILE, because=why))


def _attached(case: Case) -> frozenset[str] | None:
    """ARNs of the attached policies; None when nobody knows."""
    kind, name = _owner(case)
    given = {_OWNERS[kind]: name}
    answer = case.ask(f"iam:ListAttached{kind}Policies", given, paginate=True)
    if not answer.ok or answer.truncated:
        return None
    return frozenset(
        c.text(p.get("PolicyArn")) for p in c.entries(answer.value.get("AttachedPolicies"))
    )


def restore_attachment(undoing: Undoing) -> Restoration:
    """Attached again if it was, detached if it was not."""
    case = undoing.case()
    kind, name = _owner(case)
    before = _attached(case)
    policy = case.text("PolicyArn")
    if before is None:
        return Restoration((), ("what was attached was not captured",))
    now = _attached(Case(undoing.action, undoing.captured.now or undoing.captured.after))
    if now is not None and (policy in before) == (policy in now):
        return Restoration(())
    how = "Attach" if policy in before else "Detach"
    given = {_OWNERS[kind]: name, "PolicyArn": policy}
    return Restoration((case.step(f"iam:{how}{kind}Policy", given),), (MEANWHILE,))


# --- roles -----------------------------------------------------------------------------------


def _role(case: Case) -> str:
    return case.text("RoleName")


def delete_role(case: Case) -> Reading:
    """A role: made anew it has the same ARN and another id."""
    uid = case.arn("iam", f"role/{_role(case)}")
    answer = case.ask("iam:GetRole", RoleName=_role(case))
    tags = c.tags(c.mapping(answer.value.get("Role")).get("Tags")) if answer.ok else {}
    resource = case.resource(uid, "iam:role", Kind.ACCESS, name=_role(case), tags=tags)
    known = Reversibility.BOUNDED if answer.ok else Reversibility.NONE
    why = "deletes the role; IAM does so only when nothing is attached"
    return c.single(
        effect(Verb.DELETE, resource, known, Bound(1, "roles"), residue=ROLE_RESIDUE, because=why)
    )


def capture_role(case: Case) -> None:
    """The role with its policies."""
    name = _role(case)
    case.ask("iam:GetRole", RoleName=name)
    case.ask("iam:ListAttachedRolePolicies", RoleName=name, paginate=True)
    inline = case.ask("iam:ListRolePolicies", RoleName=name, paginate=True)
    for policy in c.texts(inline.value.get("PolicyNames")):
        case.ask("iam:GetRolePolicy", RoleName=name, PolicyName=policy)


def restore_role(undoing: Undoing) -> Restoration:
    """The role, its trust, tags, inline and attached policies."""
    case = undoing.case()
    name = _role(case)
    role = c.mapping(case.ask("iam:GetRole", RoleName=name).value.get("Role"))
    if not role:
        return Restoration((), (f"the role `{name}` was not captured",))
    boundary = c.mapping(role.get("PermissionsBoundary")).get("PermissionsBoundaryArn")
    given: dict[str, object] = {
        "RoleName": name,
        "Path": role.get("Path"),
        "AssumeRolePolicyDocument": document(role.get("AssumeRolePolicyDocument")),
        "Description": role.get("Description"),
        "MaxSessionDuration": role.get("MaxSessionDuration"),
        "PermissionsBoundary": boundary,
        "Tags": role.get("Tags"),
    }
    steps = [case.step("iam:CreateRole", {k: v for k, v in given.items() if v})]
    steps += _policies(case, name)
    return Restoration(tuple(steps), (ROLE_RESIDUE,))


def _policies(case: Case, name: str) -> list[Step]:
    steps = []
    inline = case.ask("iam:ListRolePolicies", RoleName=name, paginate=True)
    for policy in c.texts(inline.value.get("PolicyNames")):
        read = case.ask("iam:GetRolePolicy", RoleName=name, PolicyName=policy)
        text = document(read.value.get("PolicyDocument"))
        steps.append(
            case.step("iam:PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=text)
        )
    attached = case.ask("iam:ListAttachedRolePolicies", RoleName=name, paginate=True)
    for one in c.entries(attached.value.get("AttachedPolicies")):
        steps.append(
            case.step("iam:AttachRolePolicy", RoleName=name, PolicyArn=one.get("PolicyArn"))
        )
    return steps


def document(value: Value) -> str:
    """A policy document as the text IAM takes; botocore decodes what IAM returns."""
    return value if isinstance(value, str) else json.dumps(thaw(value))


def create_role(case: Case) -> Reading:
    """A role says who may assume it: that is `permit`."""
    uid = case.arn("iam", f"role/{_role(case)}")
    resource = case.resource(uid, "iam:role", Kind.ACCESS, name=_role(case))
    case.ask("iam:GetRole", RoleName=_role(case))
    why = "a role says who may assume it"
    return c.single(
        effect(Verb.PERMIT, resource, Reversibility.BOUNDED, residue=MEANWHILE, because=why)
    )


def restore_created_role(undoing: Undoing) -> Restoration:
    """Delete the role that was made, unless it was there before."""
    case = undoing.case()
    if not c.absent(case.ask("iam:GetRole", RoleName=_role(case))):
        return Restoration((), (f"`{_role(case)}` was there before",))
    return Restoration((case.step("iam:DeleteRole", RoleName=_role(case)),), (MEANWHILE,))


# --- policy versions -------------------------------------------------------------------------


def policy_version(case: Case) -> Reading:
    """A new version of a managed policy, or another default one: `permit`."""
    uid = case.text("PolicyArn")
    resource = case.resource(uid, "iam:policy", Kind.ACCESS)
    _versions(case)
    why = classify(case.action).because
    return c.single(
        effect(Verb.PERMIT, resource, Reversibility.BOUNDED, residue=MEANWHILE, because=why)
    )


def _versions(case: Case) -> dict[str, bool]:
    """Version id -> whether it is the default one."""
    answer = case.ask("iam:ListPolicyVersions", PolicyArn=case.text("PolicyArn"), paginate=True)
    found = c.entries(answer.value.get("Versions")) if answer.ok else ()
    return {c.text(v.get("VersionId")): v.get("IsDefaultVersion") is True for v in found}


def restore_version(undoing: Undoing) -> Restoration:
    """The old default again, and the versions that are new since gone."""
    case = undoing.case()
    before = _versions(case)
    now = _versions(Case(undoing.action, undoing.captured.now or undoing.captured.after))
    policy = case.text("PolicyArn")
    old = [v for v, default in before.items() if default]
    if not old:
        return Restoration((), ("the versions of the policy were not captured",))
    steps = []
    if not now.get(old[0], False):
        steps.append(case.step("iam:SetDefaultPolicyVersion", PolicyArn=policy, VersionId=old[0]))
    for version in now:
        if version not in before:
            steps.append(case.step("iam:DeletePolicyVersion", PolicyArn=policy, VersionId=version))
    return Restoration(tuple(steps), (MEANWHILE,))


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    **{
        f"iam:{how}{kind}Policy": (attachment, _attached, restore_attachment)
        for how in ("Attach", "Detach")
        for kind in _OWNERS
    },
    "iam:DeleteRole": (delete_role, capture_role, restore_role),
    "iam:CreateRole": (create_role, capture_role, restore_created_role),
    "iam:CreatePolicyVersion": (policy_version, _versions, restore_version),
    "iam:SetDefaultPolicyVersion": (policy_version, _versions, restore_version),
}
"""How each operation is read, captured and restored."""
