"""Who is in an account: roles and users with every policy that applies to them. Pure.

Two sources give the same values: the answer of `iam get-account-authorization-details`, read
from a file or live, and policy documents given one by one for a role that is described.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from signoff.audit.iam.conditions import Context
from signoff.audit.iam.documents import Layer, Policy, parse_json, policy_of
from signoff.audit.iam.evaluate import Layers
from signoff.model.errors import SignoffError

DUMP_MOST = 64 * 1_048_576
"""Largest authorization dump that is read, in characters."""
NEXT = "aws iam get-account-authorization-details > account.json"
SERVICE_ROLES = "/aws-service-role/"
"""The path of roles that only AWS itself can use; no caller can assume them."""


@dataclass(frozen=True)
class Principal:
    """A role or a user: what grants to it (`identity`), its `boundary` (None without one, an
    empty policy when it could not be read), who may assume it, and its tags."""

    arn: str
    name: str
    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    trust: Policy | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    missing: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """The account of the ARN; empty when it is not known."""
        parts = self.arn.split(":")
        return parts[4] if len(parts) > 5 else ""

    @property
    def is_user(self) -> bool:
        """Whether it is a user, whose keys do not expire."""
        return ":user/" in self.arn

    @property
    def for_aws_only(self) -> bool:
        """Whether only an AWS service can use it."""
        return self.path.startswith(SERVICE_ROLES)


@dataclass(frozen=True)
class Account:
    """What was read: the principals, the customer managed policies' ARNs, and what limits all
    of them: levels of service control policies, and a session policy."""

    principals: tuple[Principal, ...]
    policies: tuple[str, ...] = ()
    scps: tuple[tuple[Policy, ...], ...] = ()
    session: tuple[Policy, ...] = ()
    files: tuple[str, ...] = ()

    def layers(self, principal: Principal) -> Layers:
        """Everything that decides about a principal's requests."""
        limits = [tuple(s for p in level for s in p.statements) for level in self.scps]
        if principal.boundary is not None:
            limits.append(principal.boundary.statements)
        if self.session:
            limits.append(tuple(s for p in self.session for s in p.statements))
        return Layers(tuple(s for p in principal.identity for s in p.statements), tuple(limits))

    def find(self, wanted: str) -> tuple[Principal, ...]:
        """The principals of that name or ARN; all that an agent could use for an empty one.

        Raises `SignoffError` when there is none.
        """
        if not wanted:
            return tuple(p for p in self.principals if not p.for_aws_only)
        found = tuple(p for p in self.principals if wanted in (p.arn, p.name))
        if not found:
            names = ", ".join(f"`{p.name}`" for p in self.principals[:8]) or "none"
            why = f"there are {len(self.principals)} roles and users: {names}"
            raise SignoffError(f"no role `{wanted}`", why, "name one of them, or leave --role out")
        return found


def facts_of(principal: Principal) -> Context:
    """What is certain of every request of a principal.

    Its tags count only while nobody who assumes the role may set others for the session.
    """
    if not principal.arn:
        return {}
    facts: dict[str, tuple[str, ...]] = {
        "aws:principalarn": (principal.arn,),
        "aws:principalisawsservice": ("false",),
    }
    if principal.account:
        facts["aws:principalaccount"] = (principal.account,)
    if principal.is_user:
        facts["aws:username"] = (principal.name,)
        facts["aws:principaltype"] = ("User",)
    else:
        facts["aws:principaltype"] = ("AssumedRole",)
    if principal.is_user or not _tags_may_change(principal):
        for key, value in principal.tags.items():
            facts[f"aws:principaltag/{key.lower()}"] = (value,)
    return facts


def _tags_may_change(principal: Principal) -> bool:
    if principal.trust is None:
        return True
    allowed = [a.lower() for s in principal.trust.statements if s.allow for a in s.actions]
    return any(a in ("*", "sts:*", "sts:tagsession") or "*" in a for a in allowed)


def read_dump(text: str, file: str) -> Account:
    """The account of an authorization dump (or of one page of it).

    Raises `SignoffError` with the file and the path within it for what is malformed.
    """
    return account_of(parse_json(text, file, DUMP_MOST), file)


def account_of(given: object, file: str) -> Account:
    """The account of an answer already parsed; `file` is what it is called in messages."""
    if not isinstance(given, Mapping):
        raise _wrong(file, "", "it is no object")
    keys = ("RoleDetailList", "UserDetailList", "GroupDetailList", "Policies")
    if not any(k in given for k in keys):
        raise _wrong(file, "", f"it has none of {', '.join(keys)}")
    if given.get("IsTruncated") is True:
        raise _wrong(file, "IsTruncated", "the answer goes on: fetch all pages")
    dump = _Dump(given, file)
    roles = [dump.role(n, r) for n, r in dump.each("RoleDetailList")]
    users = [dump.user(n, u) for n, u in dump.each("UserDetailList")]
    own = [arn for arn in dump.managed if ":aws:policy/" not in arn]
    return Account((*roles, *users), tuple(own), files=(file,))


def merged(accounts: Iterable[Account]) -> Account:
    """Several pages or accounts as one."""
    found = Account(())
    for one in accounts:
        found = replace(
            found,
            principals=(*found.principals, *one.principals),
            policies=(*found.policies, *one.policies),
            scps=(*found.scps, *one.scps),
            session=(*found.session, *one.session),
            files=(*found.files, *one.files),
        )
    return found


class _Dump:
    """One answer, with its managed policies and groups by name."""

    def __init__(self, given: Mapping[str, Any], file: str) -> None:
        self.given, self.file = given, file
        self.managed = {str(p.get("Arn")): self._managed(n, p) for n, p in self.each("Policies")}
        self.groups = {str(g.get("GroupName")): (n, g) for n, g in self.each("GroupDetailList")}

    def each(self, key: str) -> list[tuple[int, Mapping[str, Any]]]:
        listed = self.given.get(key, [])
        if not isinstance(listed, list):
            raise _wrong(self.file, key, "it is no list")
        for number, one in enumerate(listed):
            if not isinstance(one, Mapping):
                raise _wrong(self.file, f"{key}[{number}]", "it is no object")
        return list(enumerate(listed))

    def role(self, number: int, given: Mapping[str, Any]) -> Principal:
        at = f"RoleDetailList[{number}]"
        trust_at = f"{at}.AssumeRolePolicyDocument"
        trust = given.get("AssumeRolePolicyDocument")
        if trust is None:
            raise _wrong(self.file, at, "it has no AssumeRolePolicyDocument")
        name = self._text(given, "RoleName", at)
        inline = self._inline(given.get("RolePolicyList", []), f"{at}.RolePolicyList")
        attached, missing = self._attached(given, at)
        boundary, unread = self._boundary(given)
        return Principal(
            arn=self._text(given, "Arn", at),
            name=name,
            identity=(*inline, *attached),
            boundary=boundary,
            trust=self._document(trust, f"trust of {name}", Layer.TRUST, trust_at),
            tags=_tags(given.get("Tags", [])),
            path=str(given.get("Path", "/")),
            missing=(*missing, *unread),
        )

    def user(self, number: int, given: Mapping[str, Any]) -> Principal:
        at = f"UserDetailList[{number}]"
        inline = list(self._inline(given.get("UserPolicyList", []), f"{at}.UserPolicyList"))
        attached, missing = self._attached(given, at)
        for group in given.get("GroupList", []) or []:
            if group not in self.groups:
                missing = (*missing, f"the group `{group}`")
                continue
            place, details = self.groups[group]
            inside = f"GroupDetailList[{place}]"
            inline += self._inline(details.get("GroupPolicyList", []), f"{inside}.GroupPolicyList")
            more, lost = self._attached(details, inside)
            attached, missing = (*attached, *more), (*missing, *lost)
        boundary, unread = self._boundary(given)
        return Principal(
            arn=self._text(given, "Arn", at),
            name=self._text(given, "UserName", at),
            identity=(*inline, *attached),
            boundary=boundary,
            tags=_tags(given.get("Tags", [])),
            path=str(given.get("Path", "/")),
            missing=(*missing, *unread),
        )

    def _managed(self, number: int, given: Mapping[str, Any]) -> Policy:
        at = f"Policies[{number}]"
        versions = given.get("PolicyVersionList")
        if not isinstance(versions, list):
            raise _wrong(self.file, at, "it has no PolicyVersionList")
        for place, version in enumerate(versions):
            if isinstance(version, Mapping) and version.get("IsDefaultVersion"):
                name = str(given.get("PolicyName", given.get("Arn", at)))
                inside = f"{at}.PolicyVersionList[{place}].Document"
                return self._document(version.get("Document"), name, Layer.IDENTITY, inside)
        raise _wrong(self.file, at, "none of its versions is the default one")

    def _inline(self, given: object, at: str) -> tuple[Policy, ...]:
        if not isinstance(given, list):
            raise _wrong(self.file, at, "it is no list")
        found = []
        for number, one in enumerate(given):
            inside = f"{at}[{number}]"
            if not isinstance(one, Mapping):
                raise _wrong(self.file, inside, "it is no object")
            name = str(one.get("PolicyName", "inline"))
            document = one.get("PolicyDocument")
            found.append(self._document(document, name, Layer.IDENTITY, f"{inside}.PolicyDocument"))
        return tuple(found)

    def _attached(
        self, given: Mapping[str, Any], at: str
    ) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
        listed = given.get("AttachedManagedPolicies", [])
        if not isinstance(listed, list) or not all(isinstance(a, Mapping) for a in listed):
            raise _wrong(self.file, f"{at}.AttachedManagedPolicies", "it is no list of objects")
        arns = [str(a.get("PolicyArn")) for a in listed]
        found = tuple(self.managed[a] for a in arns if a in self.managed)
        return found, tuple(f"the policy `{a}`" for a in arns if a not in self.managed)

    def _boundary(self, given: Mapping[str, Any]) -> tuple[Policy | None, tuple[str, ...]]:
        named = given.get("PermissionsBoundary")
        if not isinstance(named, Mapping):
            return None, ()
        arn = str(named.get("PermissionsBoundaryArn"))
        if arn not in self.managed:
            # A boundary that cannot be read protects nothing, and the reader is told.
            return None, (f"the boundary `{arn}`",)
        found = self.managed[arn]
        return replace(found, layer=Layer.BOUNDARY), ()

    def _text(self, given: Mapping[str, Any], key: str, at: str) -> str:
        found = given.get(key)
        if not isinstance(found, str) or not found:
            raise _wrong(self.file, f"{at}.{key}", "it is no text")
        return found

    def _document(self, given: object, name: str, layer: Layer, at: str) -> Policy:
        # The API answers with a text that is URL-encoded; the command line has decoded it.
        if isinstance(given, str):
            text = given if given.lstrip().startswith("{") else unquote(given)
            given = parse_json(text, f"{self.file} {at}")
        return policy_of(given, name, layer, self.file, at=at)


def _tags(given: object) -> Mapping[str, str]:
    if not isinstance(given, list):
        return {}
    return {str(t["Key"]): str(t.get("Value", "")) for t in given if _is_tag(t)}


def _is_tag(given: object) -> bool:
    return isinstance(given, Mapping) and "Key" in given


def _wrong(file: str, path: str, why: str) -> SignoffError:
    told = f"at `{path}`: {why}" if path else why
    return SignoffError(f"`{file}` is no account authorization dump", told, NEXT)
