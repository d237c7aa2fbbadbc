"""Which roles a caller can become, and how it could widen itself. Pure.

Three edges lead from a caller to a role: it may assume it; it may pass it to a service that
runs code and start that code; or it may change code that already runs under it. Chains of them
are followed to the end.
Source: AWS IAM User Guide, "Roles terms and concepts" and "Cross-account policy evaluation
logic"; for a role in the same account, a trust policy that names the caller's ARN is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signoff.audit.iam.account import Account, Principal
from signoff.audit.iam.conditions import Context, holds, in_words
from signoff.audit.iam.documents import Statement
from signoff.audit.iam.evaluate import names_action
from signoff.audit.iam.globs import covers, matches, overlaps
from signoff.audit.iam.reach import Reach, Way

HOPS_MOST = 6


@dataclass(frozen=True, slots=True)
class Hop:
    """One step from a caller to a role: `how` in words, and the conditions that hold it up."""

    start: str
    end: str
    how: str
    ifs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """A role that can be reached, and the shortest way to it."""

    role: Principal
    hops: tuple[Hop, ...]

    def __str__(self) -> str:
        return "; then ".join(f"`{h.end.rpartition('/')[2]}` {h.how}" for h in self.hops)


@dataclass(frozen=True, slots=True)
class Escalation:
    """A way in which a caller widens itself by changing IAM. `breaks` says that it also gets
    round the caller's boundary."""

    needs: tuple[str, ...]
    says: str
    breaks: bool
    ifs: tuple[str, ...]


def hops_from(
    caller: Principal, found: Reach, account: Account, runners: Sequence[Mapping[str, Any]]
) -> tuple[Hop, ...]:
    """Every role that the caller reaches in one step, one hop each."""
    hops = []
    for role in account.principals:
        if role.arn == caller.arn or role.trust is None or role.for_aws_only:
            continue
        hop = _assumed(caller, found, role) or _run(caller, found, role, runners)
        if hop is not None:
            hops.append(hop)
    return tuple(hops)


def chains_from(
    caller: Principal, hops: Mapping[str, tuple[Hop, ...]], account: Account
) -> tuple[Chain, ...]:
    """Every role that can be reached from the caller, by the fewest steps. `hops` are those of
    each principal by its ARN."""
    by_arn = {p.arn: p for p in account.principals}
    ways: dict[str, tuple[Hop, ...]] = {caller.arn: ()}
    front = [caller.arn]
    for _ in range(HOPS_MOST):
        following = []
        for arn in front:
            for hop in hops.get(arn, ()):
                if hop.end not in ways:
                    ways[hop.end] = (*ways[arn], hop)
                    following.append(hop.end)
        front = following
    return tuple(Chain(by_arn[a], way) for a, way in ways.items() if way and a in by_arn)


def escalations(
    caller: Principal, found: Reach, rows: Sequence[Mapping[str, Any]], policies: Iterable[str]
) -> tuple[Escalation, ...]:
    """How the caller could widen itself, by the rows of `tables/escalations.toml`."""
    result = []
    own = tuple(policies)
    for row in rows:
        targets = _targets(str(row["on"]), caller, own)
        ways = [_open(found, action, targets) for action in row["needs"]]
        if targets and all(w is not None for w in ways):
            ifs = tuple(dict.fromkeys(i for w in ways if w for i in (*w.ifs, *w.unknown)))
            needs = tuple(str(a) for a in row["needs"])
            result.append(Escalation(needs, str(row["says"]), bool(row.get("breaks")), ifs))
    return tuple(result)


def _targets(on: str, caller: Principal, policies: tuple[str, ...]) -> tuple[str, ...]:
    partition = caller.arn.split(":")[1] if caller.arn.count(":") >= 5 else "aws"
    account = caller.account or "*"
    match on:
        case "self":
            kind = "user" if caller.is_user else "role"
            return (caller.arn or f"arn:{partition}:iam::{account}:{kind}/*",)
        case "policy":
            return policies or (f"arn:{partition}:iam::{account}:policy/*",)
        case _:
            return (f"arn:{partition}:iam::{account}:{on}/*",)


def _open(found: Reach, action: str, targets: tuple[str, ...]) -> Way | None:
    """The broadest way in which an action reaches one of the targets."""
    for way in found.ways.get(action, ()):
        for target in targets:
            taken = any(covers(e, target) for e in way.exceptions)
            if not taken and all(overlaps(p, target) for p in way.patterns):
                return way
    return None


def _assumed(caller: Principal, found: Reach, role: Principal) -> Hop | None:
    way = _open(found, "sts:AssumeRole", (role.arn,))
    trusted = trusts(role, caller)
    if trusted is None:
        return None
    named, ifs = trusted
    same = caller.account == role.account
    if way is None and not (named and same):
        return None
    conditions = (*(way.ifs if way else ()), *(way.unknown if way else ()), *ifs)
    return Hop(caller.arn, role.arn, "by sts:AssumeRole", tuple(dict.fromkeys(conditions)))


def trusts(role: Principal, caller: Principal) -> tuple[bool, tuple[str, ...]] | None:
    """Whether a role's trust policy lets a caller in: (whether it names the caller itself, the
    conditions in words), or None. What cannot be told counts as yes."""
    if role.trust is None:
        return None
    facts = _calling(caller)
    best: tuple[bool, tuple[str, ...]] | None = None
    for statement in role.trust.statements:
        if not names_action(statement, "sts:AssumeRole"):
            continue
        answers = [holds(c, facts) for c in statement.conditions]
        named = _names(statement, caller)
        if not statement.allow:
            if named is not None and all(answers):
                return None
            continue
        if named is None or any(a is False for a in answers):
            continue
        open_now = zip(statement.conditions, answers, strict=True)
        ifs = tuple(in_words(c) for c, a in open_now if a is None)
        if best is None or (len(ifs), not named) < (len(best[1]), not best[0]):
            best = (named, ifs)
    return best


def _calling(caller: Principal) -> Context:
    return {"aws:principalarn": (caller.arn,), "aws:principalaccount": (caller.account,)}


def _names(statement: Statement, caller: Principal) -> bool | None:
    """True when a Principal names the caller itself, False when it names everybody of its
    account or everybody, None when it does not name it."""
    answer: bool | None = None
    for kind, name in statement.principals:
        if kind != "AWS":
            continue
        if name == caller.arn:
            answer = True
        elif name == "*" or name == caller.account or name.endswith(f":{caller.account}:root"):
            answer = bool(answer)
    if statement.not_principal:
        # Everybody but those named; IAM advises against it, and it is read at its broadest.
        return None if answer is True else False
    return answer


def _run(
    caller: Principal, found: Reach, role: Principal, runners: Sequence[Mapping[str, Any]]
) -> Hop | None:
    passing = _open(found, "iam:PassRole", (role.arn,))
    for row in runners:
        service = str(row["service"])
        if not trusts_service(role, service):
            continue
        if passing is not None and _passable(passing, service, found):
            for needs in row["passing"]:
                if all(found.ways.get(a) for a in needs):
                    how = f"by iam:PassRole and {' + '.join(needs)} ({service})"
                    ifs = tuple(i for i in passing.ifs if "iam:PassedToService" not in i)
                    return Hop(caller.arn, role.arn, how, (*ifs, *passing.unknown))
        for needs in row["taking"]:
            if all(found.ways.get(a) for a in needs):
                how = f"by {' + '.join(needs)}, where {service} runs under it"
                return Hop(caller.arn, role.arn, how, ("if something runs under the role",))
    return None


def _passable(way: Way, service: str, found: Reach) -> bool:
    """Whether some PassRole statement lets the role go to this service."""
    facts: Context = {"iam:passedtoservice": (service,)}
    for other in (way, *found.ways.get("iam:PassRole", ())):
        if set(way.patterns) <= set(other.patterns) and all(
            holds(c, facts) is not False for c in other.allow.conditions
        ):
            return True
    return False


def trusts_service(role: Principal, service: str) -> bool:
    """Whether a role may be used by a service such as `lambda.amazonaws.com`."""
    if role.trust is None:
        return False
    return any(
        s.allow and kind == "Service" and (matches(name, service) or name == f"{service}.cn")
        for s in role.trust.statements
        for kind, name in s.principals
    )
