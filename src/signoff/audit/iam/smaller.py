"""The smaller policy: what was used and no more, within AWS's limits of size. Pure.

It never allows what the old policies did not: a used action keeps the conditions under which
it was granted, and every Deny is kept. Where it has to be wider than what was used, a note
says so; what destroys and was not used is never let in by a widening.
Source: AWS IAM User Guide, "IAM and AWS STS quotas".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from signoff.audit.iam.documents import Clause, Statement
from signoff.audit.iam.globs import covers, matches, overlaps
from signoff.audit.iam.powers import Ground, Known
from signoff.audit.iam.reach import Reach, Way
from signoff.audit.iam.used import Used
from signoff.model.effect import Verb

MANAGED_MOST = 6_144
"""Characters of a managed policy, white space not counted."""
MANAGED_EACH = 10
"""How many managed policies a role may have by default."""
SESSION_MOST = 2_048
"""Characters of a session policy given with AssumeRole, white space counted."""
VERSION = "2012-10-17"
RISKY = frozenset(Verb) - {Verb.READ, Verb.CREATE, Verb.UPDATE}
ANY = ("*",)

Document = dict[str, object]


@dataclass(frozen=True)
class Smaller:
    """Policies that replace the old ones: `managed` together, `session` alone (None when it
    does not fit). `kept` are used actions in it, `dropped` risky ones that are gone, and
    `ungranted` uses the old policies did not allow either."""

    managed: tuple[Document, ...]
    session: Document | None
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    ungranted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Need:
    action: str
    resources: tuple[str, ...]
    conditions: tuple[Clause, ...]


@dataclass
class _Draft:
    needs: list[_Need] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ungranted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Names:
    """What is known of actions: see `actions`. `lower` gives a name by its lower case."""

    known: Callable[[str], Known]
    lower: Mapping[str, str]
    by_service: Mapping[str, tuple[str, ...]]
    depends_on: Callable[[str], frozenset[str]]


def smaller(
    found: Reach, denies: Iterable[Statement], used: Used, names: Names, ground: Ground
) -> Smaller:
    """The policies that allow what was used, of what was granted."""
    draft = _Draft()
    for action, arns in sorted(used.actions.items()):
        _need(draft, names.lower.get(action.lower(), action), arns, found, names, ground)
    for service in sorted(used.whole):
        _whole(draft, service, found, names)
    _passing(draft, found, names)
    kept = tuple(sorted({n.action for n in draft.needs}))
    dropped = tuple(
        sorted(a for a in found.ways if a not in set(kept) and names.known(a).verbs & RISKY)
    )
    statements = [_statement(*group) for group in _groups(draft.needs)]
    statements += [json.loads(s.source) for s in dict.fromkeys(denies)]
    managed = _packed(statements, draft.notes)
    session = _session(draft, names)
    return Smaller(
        managed, session, kept, dropped, tuple(draft.ungranted), tuple(dict.fromkeys(draft.notes))
    )


def _need(
    draft: _Draft,
    action: str,
    arns: frozenset[str],
    found: Reach,
    names: Names,
    ground: Ground,
) -> None:
    ways = found.ways.get(action, ())
    if not ways:
        draft.ungranted.append(action)
        return
    what = names.known(action)
    if what.arns == ANY:
        whole = [w for w in ways if all(matches(p, "*") for p in w.patterns)]
        free = [w for w in whole if not w.allow.conditions]
        for way in free[:1] or whole:
            draft.needs.append(_Need(action, ANY, way.allow.conditions))
        if not whole:
            _as_granted(draft, action, ways)
        return
    exact = [_fitting(arn, what.arns) for arn in sorted(arns)]
    if exact and all(exact):
        wanted = sorted({r for some in exact for r in some})
        covered = {r: by for r in wanted if (by := _covering(r, ways)) is not None}
        if len(covered) == len(wanted):
            for resource, by in covered.items():
                draft.needs.append(_Need(action, (resource,), by.allow.conditions))
            return
        draft.notes.append(
            f"`{action}` was used on something these policies do not name: kept as it was granted"
        )
    elif arns:
        draft.notes.append(f"`{action}` was used on an ARN of another form: kept as it was granted")
    else:
        draft.notes.append(f"nobody wrote down what `{action}` was used on: kept as it was granted")
    _as_granted(draft, action, ways)


def _as_granted(draft: _Draft, action: str, ways: tuple[Way, ...]) -> None:
    for way in ways:
        narrowest = max(way.patterns, key=len)
        draft.needs.append(_Need(action, (narrowest,), way.allow.conditions))


def _whole(draft: _Draft, service: str, found: Reach, names: Names) -> None:
    granted = [a for a in names.by_service.get(service, ()) if a in found.ways]
    mild = [a for a in granted if not names.known(a).verbs & RISKY]
    if not granted:
        draft.ungranted.append(f"{service}:*")
        return
    for action in mild:
        _as_granted(draft, action, found.ways[action])
    draft.notes.append(
        f"`{service}` was used, and nobody wrote down which actions: all {len(mild)} granted ones "
        f"that only read or change are kept, the {len(granted) - len(mild)} others are not"
    )


def _passing(draft: _Draft, found: Reach, names: Names) -> None:
    """`iam:PassRole` leaves no record, so it is kept for what needs it, where it is narrow."""
    if any(n.action == "iam:PassRole" for n in draft.needs):
        return
    needing = sorted(
        {n.action for n in draft.needs if "iam:PassRole" in names.depends_on(n.action)}
    )
    ways = found.ways.get("iam:PassRole", ())
    if not needing or not ways:
        return
    shown = ", ".join(f"`{a}`" for a in needing[:5])
    narrow = [w for w in ways if not any(_any_role(p) for p in w.patterns)]
    for way in narrow:
        _as_granted(draft, "iam:PassRole", (way,))
    if narrow:
        draft.notes.append(f"{shown} may need iam:PassRole, of which no log tells: kept")
    else:
        draft.notes.append(
            f"{shown} may need iam:PassRole, of which no log tells, and it was granted for any "
            "role: left out; add it for the one role that is passed"
        )


def _any_role(pattern: str) -> bool:
    return covers(pattern, "arn:aws:iam::*:role/*") or pattern.endswith(":role/*")


def _fitting(arn: str, forms: tuple[str, ...] | None) -> tuple[str, ...]:
    """A used ARN as the action takes it: itself, its bucket, or what lies inside; () when it
    is of another form."""
    fits = [f for f in forms if matches(f, arn)] if forms is not None else []
    # A sign of a log that means something in a policy is written so that it does not.
    arn = "".join(f"${{{c}}}" if c in "*?$" else c for c in arn)
    if forms is None:
        return (arn,)
    is_s3 = arn.split(":", 3)[2:3] == ["s3"] and ":accesspoint/" not in arn
    if is_s3:
        bucket, slash, _ = arn.partition("/")
        objects = any(f.endswith(":::*/*") for f in forms)
        if objects:
            return (arn,) if slash else (f"{bucket}/*",)
        return (bucket,) if fits else ()
    if not fits:
        return ()
    if ":dynamodb:" in arn and "/index/" not in arn and any("/index/" in f for f in forms):
        # A query names its table; the index it goes through is authorized by itself.
        return (arn, f"{arn}/index/*")
    return (arn,)


def _covering(resource: str, ways: tuple[Way, ...]) -> Way | None:
    """A way that surely allows all of a resource, without conditions if there is one."""
    sure = [
        w
        for w in ways
        if all(covers(p, resource) for p in w.patterns)
        and not any(overlaps(e, resource) for e in w.exceptions)
    ]
    if resource.endswith("/index/*") and not sure:
        return _covering(resource.removesuffix("/index/*"), ways)
    return min(sure, key=lambda w: len(w.allow.conditions), default=None)


Group = tuple[tuple[str, ...], tuple[str, ...], tuple[Clause, ...]]


def _groups(needs: Iterable[_Need]) -> list[Group]:
    """(actions, resources, conditions): actions on the same resources in one statement."""
    by_action: dict[tuple[str, tuple[Clause, ...]], set[str]] = {}
    for need in needs:
        by_action.setdefault((need.action, need.conditions), set()).update(need.resources)
    by_resources: dict[tuple[tuple[str, ...], tuple[Clause, ...]], list[str]] = {}
    for (action, conditions), resources in by_action.items():
        # Only a pattern contains others; `${*}` is no pattern but the sign itself.
        wide = {r for r in resources if ("*" in r or "?" in r) and "${" not in r}
        kept = tuple(sorted(r for r in resources if not _inside(r, wide)))
        by_resources.setdefault((kept, conditions), []).append(action)
    return [
        (tuple(sorted(set(actions))), resources, conditions)
        for (resources, conditions), actions in sorted(
            by_resources.items(), key=lambda item: (item[0][0], str(item[0][1]))
        )
    ]


def _inside(resource: str, others: set[str]) -> bool:
    return any(o != resource and covers(o, resource) for o in others)


def _statement(
    actions: tuple[str, ...], resources: tuple[str, ...], conditions: tuple[Clause, ...]
) -> Document:
    statement: Document = {"Effect": "Allow", "Action": _one(actions), "Resource": _one(resources)}
    if conditions:
        told: dict[str, dict[str, object]] = {}
        for clause in conditions:
            told.setdefault(clause.operator, {})[clause.key] = _one(clause.values)
        statement["Condition"] = told
    return statement


def _one(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def size_of(document: Mapping[str, object]) -> int:
    """Characters of a document without white space between its parts."""
    return len(compact(document))


def compact(document: Mapping[str, object]) -> str:
    """A document as the shortest text."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _document(statements: list[Document]) -> Document:
    return {"Version": VERSION, "Statement": statements}


def _packed(statements: list[Document], notes: list[str]) -> tuple[Document, ...]:
    """Statements in as few policies as fit, each within the limit."""
    pages: list[list[Document]] = []
    for statement in statements:
        for part in _split(statement):
            if size_of(_document([part])) > MANAGED_MOST:
                notes.append("a statement of the old policies is too large alone: keep its policy")
                continue
            for page in pages:
                if size_of(_document([*page, part])) <= MANAGED_MOST:
                    page.append(part)
                    break
            else:
                pages.append([part])
    if len(pages) > MANAGED_EACH:
        notes.append(
            f"it takes {len(pages)} managed policies, and a role has {MANAGED_EACH} by default: "
            "ask AWS for more, or split the role"
        )
    return tuple(_document(page) for page in pages)


def _split(statement: Document) -> list[Document]:
    """A statement as several when it alone is too large for a policy."""
    if size_of(_document([statement])) <= MANAGED_MOST or statement["Effect"] != "Allow":
        return [statement]
    for member in ("Action", "Resource"):
        values = statement.get(member)
        if isinstance(values, list) and len(values) > 1:
            half = len(values) // 2
            parts = ({**statement, member: values[:half]}, {**statement, member: values[half:]})
            return [small for part in parts for small in _split(part)]
    return [statement]


# The session policy.


def _session(draft: _Draft, names: Names) -> Document | None:
    """One policy within `SESSION_MOST`: the role's own conditions and Denys stay in force
    beside it, so it needs neither; it is widened step by step until it fits."""
    plain = [_Need(n.action, n.resources, ()) for n in draft.needs]
    if not plain:
        return None
    steps: tuple[tuple[str, Callable[[], list[Group]]], ...] = (
        ("", lambda: _groups(plain)),
        ("names of things are shortened to a common beginning", lambda: _groups(_shorter(plain))),
        (
            "reads are written with wildcards that let in nothing but reads",
            lambda: _reading(_groups(_shorter(plain)), names),
        ),
        ("it names no resources", lambda: _reading(_groups(_anywhere(plain)), names)),
    )
    for note, groups in steps:
        document = _document([_statement(*g) for g in groups()])
        if size_of(document) <= SESSION_MOST:
            if note:
                draft.notes.append(f"session policy, to fit {SESSION_MOST:,} characters: {note}")
            return document
    draft.notes.append(
        f"no session policy of {SESSION_MOST:,} characters covers what was used: give the managed "
        "ones to AssumeRole by their ARNs, at most 10"
    )
    return None


def _shorter(needs: list[_Need]) -> list[_Need]:
    """Resources of one action and kind under their longest common beginning."""
    every = sorted({r for n in needs for r in n.resources if r != "*"})
    heads: dict[str, list[str]] = {}
    for resource in every:
        parts = resource.split(":", 5)
        kind = parts[5].partition("/")[0] if len(parts) == 6 and parts[2] != "s3" else ""
        heads.setdefault(":".join(parts[:5]) + ":" + kind, []).append(resource)
    short = {}
    for listed in heads.values():
        common = _common(listed) if len(listed) > 3 else ""
        for resource in listed:
            short[resource] = f"{common}*" if common.count(":") >= 5 else resource
    return [
        _Need(n.action, tuple(dict.fromkeys(short.get(r, r) for r in n.resources)), ())
        for n in needs
    ]


def _common(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    count = 0
    while count < min(len(first), len(last)) and first[count] == last[count] != "*":
        count += 1
    return first[:count]


def _anywhere(needs: list[_Need]) -> list[_Need]:
    return [_Need(n.action, ANY, ()) for n in needs]


def _reading(groups: list[Group], names: Names) -> list[Group]:
    return [(_wild(actions, names), resources, c) for actions, resources, c in groups]


def _wild(actions: tuple[str, ...], names: Names) -> tuple[str, ...]:
    """Actions with `service:Get*` and the like, where every known action so named only reads."""
    found: list[str] = []
    for action in actions:
        service, _, name = action.partition(":")
        for word in ("BatchGet", "Describe", "Get", "List"):
            inside = [
                a for a in names.by_service.get(service, ()) if a.startswith(f"{service}:{word}")
            ]
            mine = sum(a.startswith(f"{service}:{word}") for a in actions)
            only_reads = all(names.known(a).verbs == {Verb.READ} for a in inside)
            if name.startswith(word) and mine > 1 and only_reads:
                found.append(f"{service}:{word}*")
                break
        else:
            found.append(action)
    return tuple(dict.fromkeys(found))
