"""The past judged again: what a candidate bundle would have ruled, and what that would have
cost the people who sign. Pure.

Receipts in, a report out. The judge is the one that decides for the gates; nothing is asked
of the world. What the past cannot say stands in the report: `Report.limits` always, and
`Report.assumed` when receipts kept no facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from signoff.approvals.quorum import eligible
from signoff.model.action import Principal
from signoff.model.decision import Decision, Ruling
from signoff.model.human import Human
from signoff.policy.bundle import Bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.past import ASSUMED, Closed, History, Past

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
TELL_EVERY = 2_500
LIMITS = (
    "each action is judged by what was understood then: a candidate that maps resources to "
    "other environments is not applied to them",
    "who could sign and what is disposable is as the candidate's settings say",
    "the agents would have asked for the same, whatever they were told",
    "a hold joins equal requests of a run until it is carried out, closed or expired",
)

NOBODY = "nobody is enrolled under the candidate: what would wait for people counts as denied"


class Kind(str, Enum):
    """How a ruling changed. `more` and `fewer` are held then and now, with another quorum."""

    DENIED = "newly denied"
    HELD = "newly held"
    ALLOWED = "newly allowed"
    MORE = "needs more sign-offs"
    FEWER = "needs fewer sign-offs"


@dataclass(frozen=True)
class Candidate:
    """What the past is judged by. `humans` are those enrolled; `lifetime_ms` is how long a
    hold waits."""

    bundle: Bundle
    humans: tuple[Human, ...] = ()
    disposable: frozenset[str] = frozenset()
    lifetime_ms: int = HOUR_MS


@dataclass(frozen=True)
class Example:
    """The first action of its kind, before and after. `policy` is the one that decides now
    (for what is newly allowed: the one that stopped it then)."""

    index: int
    action_id: str
    time_ms: int
    name: str
    resources: tuple[str, ...]
    environments: tuple[str, ...]
    principal: Principal
    before: str
    after: str
    policy: str
    why: str
    place: str

    @property
    def words(self) -> str:
        """The example as one sentence."""
        who = self.principal
        asked = f"{who.agent} (run {who.run})" if who.is_agent else who.operator
        where = ", ".join(self.environments) or "no environment"
        what = ", ".join(self.resources[:2]) + (" and more" if len(self.resources) > 2 else "")
        why = f": {self.why}" if self.why else ""
        at = f", {self.place}" if self.place else ""
        return (
            f"{self.action_id}: {self.name} on {what or 'nothing known'} in {where}, asked by "
            f"{asked}; was {self.before}, would be {self.after} by `{self.policy}`{at}{why}"
        )

    def as_data(self) -> dict[str, object]:
        """The example as `--json` prints it."""
        return {
            "index": self.index,
            "action": self.action_id,
            "time_ms": self.time_ms,
            "name": self.name,
            "resources": list(self.resources),
            "environments": list(self.environments),
            "agent": self.principal.agent,
            "run": self.principal.run,
            "operator": self.principal.operator,
            "before": self.before,
            "after": self.after,
            "policy": self.policy,
            "why": self.why,
            "place": self.place,
            "words": self.words,
        }


@dataclass(frozen=True)
class Group:
    """Actions whose ruling changed in one way, by one policy."""

    kind: Kind
    policy: str
    count: int
    example: Example


@dataclass(frozen=True)
class Load:
    """What signing costs one person: holds they could be asked to sign, and the sign-offs
    that fall to them when every hold is shared evenly among those who could sign."""

    asked: int = 0
    share: float = 0.0

    def as_data(self, days: int) -> dict[str, object]:
        """The load as `--json` prints it, in all and a day."""
        return {
            "asked": self.asked,
            "asked_per_day": round(self.asked / days, 2),
            "share": round(self.share, 2),
            "share_per_day": round(self.share / days, 2),
        }


@dataclass(frozen=True)
class Report:
    """What judging again found. `before` and `after` count by ruling; `holds` are (then,
    now); `load` is (then, now) by person. `days` are calendar days (UTC), at least one."""

    actions: int
    days: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    groups: tuple[Group, ...]
    holds: tuple[int, int]
    load: Mapping[str, tuple[Load, Load]]
    bundle: str
    other_bundles: int
    without_facts: int
    skipped: int
    limits: tuple[str, ...] = LIMITS

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was assumed for receipts that keep no facts; empty when all keep them."""
        return ASSUMED if self.without_facts else ()

    def count(self, kind: Kind) -> int:
        """How many rulings changed so."""
        return sum(group.count for group in self.groups if group.kind is kind)

    @property
    def changed(self) -> int:
        """How many rulings, or quorums, differ."""
        return sum(group.count for group in self.groups)

    def as_data(self) -> dict[str, object]:
        """The report as `--json` prints it."""
        return {
            "actions": self.actions,
            "days": self.days,
            "bundle": self.bundle,
            "changed": self.changed,
            "before": dict(self.before),
            "after": dict(self.after),
            "counts": {kind.name.lower(): self.count(kind) for kind in Kind},
            "changes": [
                {
                    "kind": g.kind.value,
                    "policy": g.policy,
                    "count": g.count,
                    "example": g.example.as_data(),
                }
                for g in self.groups
            ],
            "holds": {"before": self.holds[0], "after": self.holds[1]},
            "people": {
                name: {"before": then.as_data(self.days), "after": now.as_data(self.days)}
                for name, (then, now) in self.load.items()
            },
            "decided_by_other_bundles": self.other_bundles,
            "without_facts": self.without_facts,
            "assumed": list(self.assumed),
            "skipped": self.skipped,
            "limits": list(self.limits),
        }


def replay(
    receipts: Iterable[tuple[int, bytes]],
    candidate: Candidate,
    *,
    since_ms: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Judge every decision in the receipts again (index and canonical bytes, in order).

    `progress` hears the number of actions judged, now and then. Total on receipts: what
    cannot be read is counted in `Report.skipped`.
    """
    history, again = History(), _Again(candidate)
    for past in history.read(receipts, since_ms):
        if isinstance(past, Closed):
            again.close(past)
            continue
        again.judge(past)
        if progress is not None and again.actions % TELL_EVERY == 0:
            progress(again.actions)
    return again.report(history.skipped)


@dataclass
class _Holds:
    """The holds that rulings lead to: equal requests of a run wait for one."""

    lifetime_ms: int
    opened: int = 0
    load: dict[str, Load] = field(default_factory=dict)
    _open: dict[tuple[str, str], int] = field(default_factory=dict)

    def ask(self, past: Past, quorum: int, able: frozenset[str]) -> None:
        key = (past.principal.run or past.principal.operator, past.digest)
        since = self._open.get(key)
        if since is not None and past.time_ms < since + self.lifetime_ms:
            return
        self._open[key] = past.time_ms
        self.opened += 1
        for name in able:
            known = self.load.get(name, Load())
            self.load[name] = Load(known.asked + 1, known.share + min(1.0, quorum / len(able)))

    def close(self, closed: Closed) -> None:
        self._open.pop((closed.run, closed.digest), None)


@dataclass
class _Again:
    candidate: Candidate
    actions: int = 0
    first_ms: int = 0
    last_ms: int = 0
    other_bundles: int = 0
    without_facts: int = 0

    def __post_init__(self) -> None:
        self.judge_now = CedarJudge(self.candidate.bundle)
        self.then = _Holds(self.candidate.lifetime_ms)
        self.now = _Holds(self.candidate.lifetime_ms)
        self.able: dict[Principal, frozenset[str]] = {}
        self.before = {ruling.value: 0 for ruling in Ruling}
        self.after = {ruling.value: 0 for ruling in Ruling}
        self.groups: dict[tuple[Kind, str], Group] = {}

    def close(self, closed: Closed) -> None:
        """An end of a hold: the next equal request would open another."""
        self.then.close(closed)
        self.now.close(closed)

    def judge(self, past: Past) -> None:
        """Judge one action again, and count what differs."""
        able = self.able.get(past.principal)
        if able is None:
            able = self.able[past.principal] = _able(past.principal, self.candidate)
        facts = replace(past.facts, eligible=able, disposable=self.candidate.disposable)
        found = self.judge_now.decide(past.principal, past.understanding, facts)
        self.first_ms = self.first_ms if self.actions else past.time_ms
        self.actions += 1
        self.last_ms = max(self.last_ms, past.time_ms)
        self.other_bundles += past.bundle != self.candidate.bundle.digest
        self.without_facts += past.assumed
        self.before[past.ruling.value] += 1
        self.after[found.ruling.value] += 1
        if past.ruling is Ruling.HOLD:
            self.then.ask(past, past.quorum, able)
        if found.ruling is Ruling.HOLD:
            self.now.ask(past, found.quorum, able)
        kind = _kind(past, found)
        if kind is not None:
            self._differs(kind, past, found)

    def _differs(self, kind: Kind, past: Past, found: Decision) -> None:
        reasons = past.reasons if kind in (Kind.ALLOWED, Kind.FEWER) else found.reasons
        policy = next(iter(reasons), "no-permit")
        known = self.groups.get((kind, policy))
        if known is not None:
            self.groups[kind, policy] = replace(known, count=known.count + 1)
            return
        self.groups[kind, policy] = Group(
            kind, policy, 1, _example(past, found, policy, self.candidate)
        )

    def report(self, skipped: int) -> Report:
        """What was found."""
        days = self.last_ms // DAY_MS - self.first_ms // DAY_MS + 1
        names = sorted({h.name for h in self.candidate.humans} | set(self.then.load))
        rank = {kind: i for i, kind in enumerate(Kind)}
        groups = sorted(self.groups.values(), key=lambda g: (rank[g.kind], -g.count, g.policy))
        return Report(
            actions=self.actions,
            days=days,
            before=self.before,
            after=self.after,
            groups=tuple(groups),
            holds=(self.then.opened, self.now.opened),
            load={n: (self.then.load.get(n, Load()), self.now.load.get(n, Load())) for n in names},
            bundle=self.candidate.bundle.digest,
            other_bundles=self.other_bundles,
            without_facts=self.without_facts,
            skipped=skipped,
            limits=LIMITS if self.candidate.humans else (NOBODY, *LIMITS),
        )


def _able(who: Principal, candidate: Candidate) -> frozenset[str]:
    solo = candidate.bundle.profile == "solo"
    return eligible(who, candidate.humans, operator_counts=solo)


def _kind(past: Past, found: Decision) -> Kind | None:
    if found.ruling is not past.ruling:
        return {
            Ruling.DENY: Kind.DENIED,
            Ruling.HOLD: Kind.HELD,
            Ruling.ALLOW: Kind.ALLOWED,
        }[found.ruling]
    if found.ruling is Ruling.HOLD and found.quorum != past.quorum:
        return Kind.MORE if found.quorum > past.quorum else Kind.FEWER
    return None


def _example(past: Past, found: Decision, policy: str, candidate: Candidate) -> Example:
    known = candidate.bundle.by_id.get(policy)
    effects = past.understanding.effects
    return Example(
        index=past.index,
        action_id=past.action_id,
        time_ms=past.time_ms,
        name=past.understanding.action.name,
        resources=tuple(dict.fromkeys(e.resource.uid for e in effects)),
        environments=past.understanding.environments,
        principal=past.principal,
        before=_told(past.ruling, past.quorum),
        after=_told(found.ruling, found.quorum),
        policy=policy,
        why=known.why if known else "",
        place=f"{known.file} line {known.line}" if known else "",
    )


def _told(ruling: Ruling, quorum: int) -> str:
    return f"{ruling.value} ({quorum})" if ruling is Ruling.HOLD else ruling.value
