"""Which requests change ruling from one bundle to another, each by one concrete example.

    for each principal, verb and environment where the policies differ:
        is there a request that the new bundle allows and the old one does not?
        is there one that the old bundle allows and the new one does not?

Both are asked of the solver, over every request Signoff can make and everybody who could
sign it. What it finds is judged by the judge of the daemon under both bundles; only what
that confirms is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from signoff.model.decision import Decision, Ruling
from signoff.policy.askable import KINDS, Asked, Candidate, Request, Side
from signoff.policy.bundle import Bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.spelling import meaning
from signoff.policy.statements import Policy
from signoff.policy.symbolic.logic import Truth
from signoff.policy.symbolic.policies import Compiled
from signoff.policy.symbolic.questions import Unsure
from signoff.policy.words import paths_of, sentence

SECONDS = 120.0
"""How long a comparison looks for examples before it says where it did not look."""

Progress = Callable[[int, int], None]


class Direction(str, Enum):
    """Which of the two bundles lets a request through."""

    ALLOWED = "newly allowed"
    REFUSED = "no longer allowed"


@dataclass(frozen=True)
class Ruled:
    """One ruling, and the policies that made it. `quorum` is that of a hold."""

    ruling: Ruling
    quorum: int
    reasons: tuple[str, ...]
    policies: tuple[Policy, ...]
    message: str

    def __str__(self) -> str:
        if self.ruling is not Ruling.HOLD:
            return str(self.ruling.value)
        return f"hold ({self.quorum} {'person' if self.quorum == 1 else 'people'})"


@dataclass(frozen=True)
class Example:
    """One request whose ruling differs, as the judge confirmed.

    `before` and `after` are the rulings with the sign-offs of `signers`; `asked_before` and
    `asked_after` those when nobody has signed yet. `request` is what the engine is asked
    under the bundle that does not allow it.
    """

    direction: Direction
    principal: str
    verb: str
    environment: str
    words: str
    request: Mapping[str, Any]
    signers: tuple[str, ...]
    before: Ruled
    after: Ruled
    asked_before: Ruled
    asked_after: Ruled

    @property
    def tells(self) -> frozenset[tuple[int, str]]:
        """The policies it tells of: 0 for the old bundle or 1 for the new one, and the id."""
        made = ((0, self.before), (1, self.after))
        return frozenset((number, p.id) for number, ruled in made for p in ruled.policies)

    @property
    def alike(self) -> tuple[object, ...]:
        """What examples have in common that are told as one."""
        return (
            self.direction,
            self.principal,
            str(self.asked_before),
            str(self.asked_after),
            self.before.reasons,
            self.after.reasons,
        )


@dataclass(frozen=True)
class Group:
    """Examples of one kind: the first is told, of the others verb and environment."""

    examples: tuple[Example, ...]

    @property
    def first(self) -> Example:
        """The one that is told."""
        return self.examples[0]

    @property
    def places(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each environment with the verbs that have an example in it."""
        found: dict[str, list[str]] = {}
        for each in self.examples:
            found.setdefault(each.environment, []).append(each.verb)
        return tuple((place, tuple(verbs)) for place, verbs in found.items())


@dataclass(frozen=True)
class Difference:
    """What changes from one bundle to another.

    `policies` are those that decide something else or are there in only one, as (old, new);
    `texts` those that differ only in id or annotations. `settings` are changes of which no
    policy is told. `unknown` says, one line each, where nobody knows.
    """

    groups: tuple[Group, ...] = ()
    policies: tuple[tuple[Policy | None, Policy | None], ...] = ()
    texts: tuple[tuple[Policy, Policy], ...] = ()
    settings: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    queries: int = 0

    @property
    def examples(self) -> tuple[Example, ...]:
        """Every example."""
        return tuple(each for group in self.groups for each in group.examples)


def diff(
    old: Candidate,
    new: Candidate,
    *,
    progress: Progress | None = None,
    seconds: float = SECONDS,
) -> Difference:
    """Compare two bundles. At most one example a direction for each kind of principal, verb
    and environment. Stops asking after `seconds`, and says what was left out."""
    policies, texts = _changed(old.bundle, new.bundle)
    looking = _Looking(old, new, progress or (lambda done, of: None), seconds)
    examples = list(looking.examples())
    groups: dict[tuple[object, ...], list[Example]] = {}
    for each in examples:
        groups.setdefault(each.alike, []).append(each)
    return Difference(
        groups=tuple(Group(tuple(each)) for each in groups.values()),
        policies=policies,
        texts=texts,
        settings=tuple(_settings(old, new)),
        unknown=tuple(looking.unknown),
        queries=looking.queries,
    )


def _changed(
    old: Bundle, new: Bundle
) -> tuple[tuple[tuple[Policy | None, Policy | None], ...], tuple[tuple[Policy, Policy], ...]]:
    """The policies that differ in what they decide, and those that differ only in words."""
    before, after = _by_meaning(old), _by_meaning(new)
    gone = [p for said, each in before.items() for p in each[len(after.get(said, ())) :]]
    come = [p for said, each in after.items() for p in each[len(before.get(said, ())) :]]
    texts = [
        pair
        for said, each in before.items()
        for pair in zip(each, after.get(said, ()), strict=False)
        if pair[0].est.get("annotations") != pair[1].est.get("annotations")
    ]
    other = {policy.id: policy for policy in come}
    pairs: list[tuple[Policy | None, Policy | None]] = [
        (policy, other.pop(policy.id, None)) for policy in gone
    ]
    return (*pairs, *((None, policy) for policy in other.values())), tuple(texts)


def _by_meaning(bundle: Bundle) -> Mapping[str, list[Policy]]:
    found: dict[str, list[Policy]] = {}
    for policy in bundle.policies:
        found.setdefault(meaning(policy), []).append(policy)
    return found


def _settings(old: Candidate, new: Candidate) -> Iterator[str]:
    """What changes beside the policies, in words."""
    before, after = old.bundle, new.bundle
    if before.profile != after.profile:
        yield f"the profile: `{before.profile}`, now `{after.profile}`"
    for name in sorted({*before.environments, *after.environments}):
        was, now = before.environments.get(name), after.environments.get(name)
        if was != now:
            yield f"`{name}` {_lies(was)}, now it {_lies(now)}"
    for name in sorted({*before.humans, *after.humans}):
        teams, others = before.humans.get(name), after.humans.get(name)
        if teams != others:
            yield f"the human `{name}` {_groups(teams)}, now {_groups(others)}"
    if before.limits != after.limits:
        yield "limits, quorums or grants"
    kinds = (before.boundaries, after.boundaries)
    for name in sorted(set(kinds[0]) & set(kinds[1])):
        if kinds[0][name] != kinds[1][name]:
            yield f"the boundary `{name}` can {'' if kinds[1][name] else 'no longer '}be lowered"
    if old.config is not None and new.config is not None:
        if old.config.rules != new.config.rules:
            yield "the map: what is in which environment"
        if old.config.observe != new.config.observe:
            yield "where changes are only observed"


def _lies(within: str | None) -> str:
    if within is None:
        return "is not known, so judged as `production`"
    return f"lies in `{within}`" if within else "lies in no other"


def _groups(groups: tuple[str, ...] | None) -> str:
    if groups is None:
        return "is not enrolled"
    return "in " + ", ".join(f"`{g}`" for g in groups) if groups else "in no group"


@dataclass
class _Looking:
    """One search for examples, over all kinds of requests."""

    old: Candidate
    new: Candidate
    progress: Progress
    seconds: float
    unknown: list[str] = field(default_factory=list)
    queries: int = 0

    def examples(self) -> Iterator[Example]:
        """Every example the judge confirms: one for each direction of each kind of request,
        then one for each changed policy that none of these tells of."""
        end = time.monotonic() + self.seconds
        places = sorted({*self.old.bundle.environments, *self.new.bundle.environments})
        left: list[str] = []
        told: set[tuple[int, str]] = set()
        for at, kind in enumerate(KINDS):
            cells = _Cells(Asked(kind, (self.old, self.new)), self.unknown)
            todo = [(verb, place) for verb in cells.asked.verbs for place in places]
            for n, (verb, place) in enumerate(todo):
                if time.monotonic() > end:
                    left.append(f"{kind.lower()} {verb} in `{place}`")
                    continue
                for example in cells.at(verb, place):
                    told |= example.tells
                    yield example
                self.progress(at * len(todo) + n + 1, len(KINDS) * len(todo))
            for name in dict.fromkeys(policy.id for _, policy in cells.changed):
                if {(0, name), (1, name)} & told:
                    continue
                if time.monotonic() > end:
                    left.append(f"`{name}`")
                elif found := cells.because_of(name, todo):
                    told |= found.tells
                    yield found
            self.queries += cells.asked.questions.count
        if left:
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            self.unknown.append(
                f"not looked at within {self.seconds:g} s: {', '.join(left[:3])}{more}"
            )


class _Cells:
    """The kinds of requests of one kind of principal, asked one by one."""

    def __init__(self, asked: Asked, unknown: list[str]) -> None:
        self.asked = asked
        self.unknown = unknown
        said = [{meaning(p) for p in side.bundle.policies} for side in asked.sides]
        self.changed = [
            (number, policy)
            for number, side in enumerate(asked.sides)
            for policy in side.bundle.policies
            if meaning(policy) not in said[1 - number]
        ]

    def at(self, verb: str, place: str) -> Iterator[Example]:
        """At most one example a direction."""
        if not self.asked.same or self._apart(verb, place):
            for direction in Direction:
                if found := self._ask(direction, verb, place):
                    yield found

    def because_of(self, name: str, cells: Sequence[tuple[str, str]]) -> Example | None:
        """A request whose ruling differs although of the changed policies only that of this
        id says anything to it, before or after."""
        logic = self.asked.world.logic
        for verb, place in cells:
            here = [
                (c.policy.id, logic.any(c.satisfied, c.errs)) for _, c in self._apart(verb, place)
            ]
            speaks = logic.any(*(truth for policy, truth in here if policy == name))
            quiet = [logic.no(truth) for policy, truth in here if policy != name]
            for direction in Direction:
                if speaks is False:
                    continue
                if found := self._ask(direction, verb, place, speaks, *quiet):
                    return found
        return None

    def _apart(self, verb: str, place: str) -> list[tuple[int, Compiled]]:
        """The changed policies that can speak to such a request, each with its side."""
        return [
            (number, compiled)
            for number, side in enumerate(self.asked.sides)
            for compiled in self.asked.compiled(
                side, verb, place, [p for n, p in self.changed if n == number]
            )
        ]

    def _ask(
        self, direction: Direction, verb: str, place: str, *conditions: Truth
    ) -> Example | None:
        asked, logic = self.asked, self.asked.world.logic
        old, new = (asked.allowed(side, verb, place) for side in asked.sides)
        allows = direction is Direction.ALLOWED
        differs = logic.all(new, logic.no(old)) if allows else logic.all(old, logic.no(new))
        found = asked.find(differs, *asked.at(verb, place), *conditions, rank=0 if allows else 3)
        what = f"{asked.kind.lower()} {verb} in `{place}`, {direction.value}"
        if isinstance(found, Unsure):
            self.unknown.append(f"{what}: the solver gave up ({found.why})")
            return None
        if found is None:
            return None
        example = self._confirmed(asked.request(found, verb, place), direction)
        if example is None:
            self.unknown.append(f"{what}: the engine did not confirm what the solver found")
        return example

    def _confirmed(self, request: Request, direction: Direction) -> Example | None:
        """The example, when the judge rules under both bundles as the solver expects."""
        old, new = self.asked.sides
        before, after = ruled(old, request), ruled(new, request)
        allows = direction is Direction.ALLOWED
        ruled_so = (before.ruling is Ruling.ALLOW, after.ruling is Ruling.ALLOW)
        if ruled_so != (not allows, allows):
            return None
        made = [(0, p) for p in before.policies] + [(1, p) for p in after.policies]
        changed = {(number, policy.id) for number, policy in self.changed}
        telling = [p for number, p in made if (number, p.id) in changed]
        # What refuses a request is explained by what its own settings make of it.
        data = request.as_data(old if allows else new)
        return Example(
            direction=direction,
            principal=self.asked.kind,
            verb=request.effect.verb.value,
            environment=request.effect.resource.environment,
            words=sentence(data, paths_of(telling or [p for _, p in made])),
            request=data,
            signers=tuple(sorted(request.signers)),
            before=before,
            after=after,
            asked_before=ruled(old, request, signed=False),
            asked_after=ruled(new, request, signed=False),
        )


def ruled(side: Side, request: Request, *, signed: bool = True) -> Ruled:
    """What the daemon's judge says to a request under one bundle."""
    judge = CedarJudge(side.bundle)
    facts = request.facts_for(side, signed=signed)
    decision = judge.decide(request.principal, request.understanding, facts)
    return Ruled(
        decision.ruling,
        decision.quorum,
        decision.reasons,
        _policies(side.bundle, decision),
        decision.message,
    )


def _policies(bundle: Bundle, decision: Decision) -> tuple[Policy, ...]:
    found: Sequence[Policy | None] = [bundle.by_id.get(name) for name in decision.reasons]
    return tuple(policy for policy in found if policy is not None)
