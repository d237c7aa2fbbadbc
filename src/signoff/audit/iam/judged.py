"""One caller, judged: what it could do where, through which roles, beside what it used.

Joins the pure parts with the tables. Nothing is asked of anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from signoff.audit.iam import actions
from signoff.audit.iam.account import Account, Principal, facts_of
from signoff.audit.iam.chains import Chain, Escalation, Hop, chains_from, escalations, hops_from
from signoff.audit.iam.powers import Able, Ground, Power, Rule, able
from signoff.audit.iam.reach import Reach, expanded_all, reach
from signoff.audit.iam.smaller import Names, Smaller, smaller
from signoff.audit.iam.used import Used

Progress = Callable[[str, int, int], None]
"""Hears what is being done, how many are done, and of how many."""


@dataclass(frozen=True)
class Judged:
    """A principal with all that was found out about it. `unmatched` are action patterns that
    stand for no known action; `smaller` is None when nobody said what was used."""

    principal: Principal
    reach: Reach
    ables: tuple[Able, ...]
    chains: tuple[Chain, ...]
    escalations: tuple[Escalation, ...]
    unmatched: tuple[str, ...]
    used: Used
    smaller: Smaller | None

    def those(self, power: Power, environment: str) -> tuple[Able, ...]:
        """The actions with a power in an environment."""
        return tuple(a for a in self.ables if power in a.powers and environment in a.environments)

    @property
    def environments(self) -> tuple[str, ...]:
        """Every environment it reaches, production first."""
        found = {e for a in self.ables for e in a.environments}
        return tuple(sorted(found, key=lambda e: (e != "production", e)))


def judge(
    account: Account,
    wanted: str,
    used: Used,
    rules: tuple[Rule, ...],
    progress: Progress,
) -> tuple[tuple[Judged, ...], dict[str, Judged]]:
    """The principals of that name (all for an empty one), each judged, and by its ARN every
    principal that was judged: the roles they can become are among them.

    Raises `SignoffError` when there is no such principal.
    """
    chosen = account.find(wanted)
    names = actions.by_service()
    found: dict[str, Reach] = {}
    hops: dict[str, tuple[Hop, ...]] = {}

    def reached(one: Principal) -> Reach:
        if one.arn not in found:
            found[one.arn] = reach(account.layers(one), facts_of(one), names)
        return found[one.arn]

    runners = actions.table("runners")["runner"]
    callers = [p for p in account.principals if p in chosen or not p.for_aws_only]
    for number, one in enumerate(callers):
        progress("roles", number, len(callers))
        hops[one.arn] = hops_from(one, reached(one), account, runners)
    result = []
    every: dict[str, Judged] = {}
    for one in chosen:
        ground = ground_of(one, rules)
        done = _judged(one, account, reached(one), hops, used, ground, progress)
        result.append(done)
        every[one.arn] = done
    for chain in [c for j in result for c in j.chains]:
        if chain.role.arn not in every:
            role, ground = chain.role, ground_of(chain.role, rules)
            every[role.arn] = _judged(role, account, reached(role), hops, Used(), ground, progress)
    return tuple(result), every


def _judged(
    one: Principal,
    account: Account,
    found: Reach,
    hops: dict[str, tuple[Hop, ...]],
    used: Used,
    ground: Ground,
    progress: Progress,
) -> Judged:
    ables = able(found, actions.known, ground, lambda n, of: progress(one.name, n, of))
    rows = actions.table("escalations")["escalation"]
    layers = account.layers(one)
    replaced = None
    if used:
        # Only what the caller really may do and really can touch is granted anew.
        touching = {a.action: a.ways for a in ables}
        denies = [s for s in layers.identity if not s.allow]
        replaced = smaller(Reach(touching), denies, used, naming(), ground)
    return Judged(
        principal=one,
        reach=found,
        ables=ables,
        chains=chains_from(one, hops, account),
        escalations=escalations(one, found, rows, account.policies),
        unmatched=_unmatched(one),
        used=used,
        smaller=replaced,
    )


def ground_of(one: Principal, rules: tuple[Rule, ...]) -> Ground:
    """Where a principal stands; the partition of its ARN, of `aws` when its policies name no
    other."""
    if one.arn.count(":") >= 5:
        return Ground(one.arn.split(":")[1], one.account, rules)
    texts = [r for p in one.identity for s in p.statements for r in s.resources]
    others = any(t.startswith(("arn:aws-", "arn:*")) for t in texts)
    return Ground("" if others else "aws", "", rules)


def naming() -> Names:
    """What is known of actions, for `smaller`."""
    return Names(actions.known, actions.lower_names(), actions.by_service(), actions.depends_on)


def _unmatched(one: Principal) -> tuple[str, ...]:
    statements: Iterable[tuple[str, ...]] = (
        s.actions for p in one.identity for s in p.statements if s.allow and not s.not_action
    )
    names = actions.by_service()
    patterns = {p for listed in statements for p in listed}
    return tuple(sorted(p for p in patterns if not expanded_all(p, names)))
