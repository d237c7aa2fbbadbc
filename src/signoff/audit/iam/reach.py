"""What a caller's policies allow, over every action at once and without a request. Pure.

A *way* is one manner in which an action is allowed: patterns its resource must match, what is
taken out, in which regions, on which tags, and under which conditions. Every step errs to the
side of allowing: a Deny counts as protection only where it surely holds, and a condition on an
Allow restricts only where it surely fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar

from signoff.audit.iam.conditions import Context, holds, in_words, negated, operator_of, understood
from signoff.audit.iam.documents import Clause, Statement
from signoff.audit.iam.evaluate import Layers, filled
from signoff.audit.iam.globs import compiled, covers, overlaps

T = TypeVar("T")
WAYS_MOST = 64
"""How many ways are kept for one action; beyond it only the broadest, without conditions."""


@dataclass(frozen=True, slots=True)
class Way:
    """One manner in which an action is allowed. The resource matches all of `patterns` and
    none of `exceptions`; `regions` and `tags` narrow it further when they are not None or
    empty. `ifs` are conditions in words, `unknown` those that are not understood, `uncounted`
    Denys that do not surely hold. `allow` is the statement that grants it."""

    patterns: tuple[str, ...]
    allow: Statement
    exceptions: tuple[str, ...] = ()
    regions: tuple[str, ...] | None = None
    no_regions: tuple[str, ...] = ()
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    no_tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ifs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    @property
    def breadth(self) -> tuple[int, int, int]:
        """Larger for what allows more, to show the broadest first."""
        shortest = min(len(p) for p in self.patterns)
        return (-len(self.ifs) - len(self.unknown), -len(self.tags), -shortest)


@dataclass(frozen=True)
class Reach:
    """Every action some way of which is allowed, with its ways (broadest first)."""

    ways: Mapping[str, tuple[Way, ...]] = field(default_factory=dict)


def reach(layers: Layers, facts: Context, names: Mapping[str, tuple[str, ...]]) -> Reach:
    """All that the layers allow a caller with these facts. `names` are the known actions by
    service; a pattern is expanded over them."""
    every = [s for s in layers.every if not _never(s, facts)]
    named = {id(s): _expanded(s, names) for s in every}
    by_action: dict[str, list[int]] = {}
    for number, statement in enumerate(every):
        for action in named[id(statement)]:
            by_action.setdefault(action, []).append(number)
    # Few different combinations of statements serve thousands of actions.
    layer_of = _layers_of(layers, every)
    solved: dict[tuple[int, ...], tuple[Way, ...]] = {}
    found = {}
    for action, numbers in by_action.items():
        key = tuple(numbers)
        if key not in solved:
            chosen = [(every[n], layer_of[n]) for n in key]
            solved[key] = _ways(chosen, len(layers.limits), facts)
        if solved[key]:
            found[action] = solved[key]
    return Reach(found)


def _layers_of(layers: Layers, every: list[Statement]) -> list[int]:
    """The layer of each statement: -1 for identity, else the place of the limit."""
    where = {id(s): -1 for s in layers.identity}
    for number, limit in enumerate(layers.limits):
        where.update({id(s): number for s in limit})
    return [where[id(s)] for s in every]


def _expanded(statement: Statement, names: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The known actions a statement is about."""
    found: set[str] = set()
    for pattern in statement.actions:
        found |= expanded(pattern, _Names.of(names))
    if statement.not_action:
        return _Names.of(names).every - found
    return frozenset(found)


class _Names:
    """The known names by service, hashable by identity so that expansions are kept."""

    _kept: tuple[Mapping[str, tuple[str, ...]], _Names] | None = None

    def __init__(self, names: Mapping[str, tuple[str, ...]]) -> None:
        self.names = names
        self.every = frozenset(n for found in names.values() for n in found)

    @classmethod
    def of(cls, names: Mapping[str, tuple[str, ...]]) -> _Names:
        if cls._kept is None or cls._kept[0] is not names:
            cls._kept = (names, cls(names))
        return cls._kept[1]


@lru_cache(maxsize=16_384)
def expanded(pattern: str, names: _Names) -> frozenset[str]:
    """The known actions an action pattern stands for."""
    if not pattern.strip("*"):
        return names.every
    service = pattern.partition(":")[0].lower()
    test = compiled(pattern, True).match
    if "*" in service or "?" in service:
        return frozenset(n for n in names.every if test(n))
    return frozenset(n for n in names.names.get(service, ()) if test(n))


def expanded_all(pattern: str, names: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The known actions an action pattern stands for, of the names by service."""
    return expanded(pattern, _Names.of(names))


def _never(statement: Statement, facts: Context) -> bool:
    return any(holds(c, facts) is False for c in statement.conditions)


def _left(statement: Statement, facts: Context) -> tuple[Clause, ...]:
    """The conditions the facts do not settle."""
    return tuple(c for c in statement.conditions if holds(c, facts) is not True)


def _ways(chosen: list[tuple[Statement, int]], limits: int, facts: Context) -> tuple[Way, ...]:
    ways = _granted((s for s, at in chosen if s.allow and at < 0), facts)
    for number in range(limits):
        limit = _granted((s for s, at in chosen if s.allow and at == number), facts)
        ways = _fewest(both for way in ways for inner in limit if (both := _within(way, inner)))
    for statement, _ in chosen:
        if not statement.allow:
            ways = _fewest(left for way in ways if (left := _without(way, statement, facts)))
    return ways


def _granted(statements: Iterable[Statement], facts: Context) -> tuple[Way, ...]:
    found = []
    for statement in statements:
        base = _narrowed(statement, facts)
        if statement.not_resource:
            taken = tuple(p for r in statement.resources if (p := _surely(r, statement, facts)))
            found.append(replace(base, patterns=("*",), exceptions=taken))
            continue
        for resource in statement.resources:
            found.append(replace(base, patterns=(_perhaps(resource, statement, facts),)))
    return _fewest(found)


def _narrowed(statement: Statement, facts: Context) -> Way:
    """A way with what the Allow's conditions say; regions and tags narrow it, the rest is
    told in words."""
    way = Way(("*",), statement)
    for clause in _left(statement, facts):
        narrower = _place(way, clause, turned=False)
        if narrower is not None:
            way = narrower
        elif understood(clause):
            way = replace(way, ifs=(*way.ifs, in_words(clause)))
        else:
            way = replace(way, unknown=(*way.unknown, in_words(clause)))
    return way


def _place(way: Way, clause: Clause, turned: bool) -> Way | None:
    """The way narrowed by a clause on regions or tags of the resource; None for others.
    `turned` is for a Deny: what it denies is what is left out."""
    name, quantifier, if_exists = operator_of(clause.operator)
    key, _, tag = clause.key.partition("/")
    exact = name.startswith(("stringequals", "stringlike", "stringnot")) and not quantifier
    if not exact or "ignorecase" in name or any("${" in v for v in clause.values):
        return None
    out = negated(clause) is not turned
    if key.lower() == "aws:requestedregion":
        if out:
            return replace(way, no_regions=(*way.no_regions, *clause.values))
        kept = clause.values
        if way.regions is not None:
            kept = tuple(r for r in way.regions if any(overlaps(r, v) for v in clause.values))
        return replace(way, regions=kept)
    if key.lower() in ("aws:resourcetag", "ec2:resourcetag") and tag:
        if out:
            # An Allow with "not equals" and a Deny with "equals" both let the untagged through.
            return replace(way, no_tags=(*way.no_tags, (tag, clause.values)))
        if if_exists and not turned:
            return None
        return replace(way, tags=(*way.tags, (tag, clause.values)))
    return None


def _within(way: Way, limit: Way) -> Way | None:
    """What is left of a way inside one way of a boundary, SCP or session policy."""
    patterns = list(way.patterns)
    for pattern in limit.patterns:
        if not all(overlaps(pattern, p) for p in patterns):
            return None
        if not any(covers(pattern, p) for p in patterns):
            patterns = [p for p in patterns if not covers(p, pattern)] + [pattern]
    if any(covers(e, p) for e in limit.exceptions for p in patterns):
        return None
    regions = way.regions
    if limit.regions is not None:
        inside = limit.regions
        regions = inside if regions is None else _both_regions(regions, inside)
    return replace(
        way,
        patterns=tuple(dict.fromkeys(patterns)),
        exceptions=_joined(way.exceptions, limit.exceptions),
        regions=regions,
        no_regions=_joined(way.no_regions, limit.no_regions),
        tags=_joined(way.tags, limit.tags),
        no_tags=_joined(way.no_tags, limit.no_tags),
        ifs=_joined(way.ifs, limit.ifs),
        unknown=_joined(way.unknown, limit.unknown),
    )


def _both_regions(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(r for r in one if any(overlaps(r, o) for o in other))


def _without(way: Way, deny: Statement, facts: Context) -> Way | None:
    """What a Deny leaves of a way; None when nothing."""
    left = _left(deny, facts)
    if len(left) == 1 and not deny.not_resource and _touches_all(way, deny, facts):
        narrowed = _place(way, left[0], turned=True)
        if narrowed is not None:
            return narrowed
    if left:
        told = " and ".join(in_words(c) for c in left)
        words = f"a Deny in {deny.place or 'a policy'} that holds only {told}"
        return replace(way, uncounted=_joined(way.uncounted, (words,)))
    if deny.not_resource:
        kept = [_perhaps(r, deny, facts) for r in deny.resources]
        inside = [p for p in kept if all(overlaps(p, mine) for mine in way.patterns)]
        if not inside:
            return None
        if any(covers(p, mine) for p in inside for mine in way.patterns) or len(inside) > 1:
            return way
        return replace(way, patterns=(*way.patterns, inside[0]))
    taken = [p for r in deny.resources if (p := _surely(r, deny, facts))]
    if any(covers(p, mine) for p in taken for mine in way.patterns):
        return None
    partly = [p for p in taken if all(overlaps(p, mine) for mine in way.patterns)]
    return replace(way, exceptions=_joined(way.exceptions, tuple(partly)))


def _touches_all(way: Way, deny: Statement, facts: Context) -> bool:
    taken = [p for r in deny.resources if (p := _surely(r, deny, facts))]
    return any(covers(p, mine) for p in taken for mine in way.patterns)


def _perhaps(resource: str, statement: Statement, facts: Context) -> str:
    """The pattern of a resource, with what is unknown of it taken as anything."""
    if not statement.variables or "${" not in resource:
        return resource
    found = filled(resource, facts)
    if found is not None:
        return found
    done, rest = "", resource
    while "${" in rest:
        before, _, after = rest.partition("${")
        done, rest = f"{done}{before}*", after.partition("}")[2]
    return done + rest


def _surely(resource: str, statement: Statement, facts: Context) -> str:
    """The pattern of a resource; empty when a variable in it is unknown."""
    if not statement.variables or "${" not in resource:
        return resource
    return filled(resource, facts) or ""


def _fewest(ways: Iterable[Way]) -> tuple[Way, ...]:
    """The ways without those another one contains; at most `WAYS_MOST`, broadest first."""
    ordered = sorted(dict.fromkeys(ways), key=lambda w: w.breadth, reverse=True)
    kept: list[Way] = []
    for way in ordered[: WAYS_MOST * 16]:
        # Regions that exclude each other leave nothing.
        if way.regions != () and not any(_contains(wide, way) for wide in kept):
            kept.append(way)
    if len(kept) <= WAYS_MOST and len(ordered) <= WAYS_MOST * 16:
        return tuple(kept)
    # Too many to tell apart: one way stands for all, as broad as any of them could be.
    return (Way(("*",), ordered[0].allow),)


def _contains(wide: Way, way: Way) -> bool:
    free = not (wide.exceptions or wide.regions or wide.no_regions or wide.tags or wide.no_tags)
    plain: Callable[[Way], bool] = lambda w: not (w.ifs or w.unknown)  # noqa: E731
    inside = all(any(covers(p, mine) for mine in way.patterns) for p in wide.patterns)
    same = replace(way, patterns=wide.patterns, allow=wide.allow, ifs=wide.ifs) == wide
    return inside and ((free and plain(wide)) or (same and way.ifs == wide.ifs))


def _joined(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*one, *other)))
