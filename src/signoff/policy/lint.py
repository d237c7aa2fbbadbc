"""Policies that do not do what they seem to: never match, never count, err, name nothing.

Names are compared with what there is (`spelling.py`); the rest is asked of the solver, over
every request Signoff can make. What is said to happen is confirmed by the engine; what is
said never to happen was shown impossible. The shipped policies are left out: what they do
under every setting is for tests to show.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from signoff.policy.askable import KINDS, Asked, Candidate, Heard, Side
from signoff.policy.bundle import ENVIRONMENTS
from signoff.policy.spelling import misspelt, only_itself, places_named, twins, unlowerable
from signoff.policy.statements import Policy
from signoff.policy.symbolic.logic import Truth
from signoff.policy.symbolic.policies import Compiled
from signoff.policy.symbolic.questions import Found, Unsure
from signoff.policy.words import sentence

SECONDS = 120.0
"""How long the solver is asked before what is left is named as not looked at."""

TOGETHER = 60
"""How many policies share a solver: its questions grow with what it was told before."""

Progress = Callable[[int, int], None]


class Weight(str, Enum):
    """`warning`: it does not do what it says. `info`: it does, and does not matter."""

    WARNING = "warning"
    INFO = "info"


RULES: Mapping[str, tuple[Weight, str]] = {
    "never-matches": (Weight.WARNING, "no request matches it: its conditions contradict"),
    "always-overridden": (Weight.WARNING, "whatever it permits, a `forbid` forbids"),
    "errs": (Weight.WARNING, "on some request it cannot be evaluated, which is then denied"),
    "unknown-name": (Weight.WARNING, "it names something that nothing has"),
    "cannot-be-lowered": (
        Weight.WARNING,
        "a two-person boundary that does not ask whether it is lowered",
    ),
    "only-itself": (
        Weight.WARNING,
        "a `forbid` for one environment with `==`, not for those that lie in it",
    ),
    "changes-nothing": (Weight.INFO, "without it every ruling would be the same"),
    "twin": (Weight.INFO, "another policy says the same"),
}
"""Every rule of `signoff policy lint`, how much it weighs, and what it found."""


@dataclass(frozen=True)
class Finding:
    """One policy that a rule found. `says` is it in words, `next_step` what to do; `example`
    is a request, where one shows it; `others` are the policies it is found beside."""

    rule: str
    policy: Policy
    says: str
    next_step: str = ""
    example: str = ""
    others: tuple[Policy, ...] = ()

    @property
    def weight(self) -> Weight:
        """How much it weighs."""
        return RULES[self.rule][0]


@dataclass(frozen=True)
class Linted:
    """What was found, warnings first, and what nobody knows."""

    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    queries: int = 0

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that have to be corrected."""
        return tuple(f for f in self.findings if f.weight is Weight.WARNING)


def lint(
    candidate: Candidate, *, progress: Progress | None = None, seconds: float = SECONDS
) -> Linted:
    """Everything that is wrong with the owner's policies of a bundle."""
    found = list(_named(candidate))
    misnamed = {finding.policy.id for finding in found if finding.rule == "unknown-name"}
    twins_found = (finding for finding in found if finding.rule == "twin")
    twice = {p.id for finding in twins_found for p in (finding.policy, *finding.others)}
    asking = _Asking(candidate, twice, progress or (lambda done, of: None), seconds)
    # What a wrong name does is told once.
    found += (
        finding
        for finding in asking.findings()
        if finding.rule != "never-matches" or finding.policy.id not in misnamed
    )
    order = {policy.id: at for at, policy in enumerate(candidate.bundle.policies)}
    found.sort(key=lambda f: (f.weight is Weight.INFO, order[f.policy.id], f.rule))
    return Linted(tuple(found), tuple(asking.unknown), asking.queries)


def _named(candidate: Candidate) -> Iterator[Finding]:
    """What needs no solver."""
    bundle = candidate.bundle
    for each in misspelt(bundle, settings_known=candidate.config is not None):
        step = f"write `{each.near}`" if each.near else "correct the name, or the settings"
        yield Finding(
            "unknown-name", each.policy, f"there is no {each.sort} called `{each.name}`", step
        )
    for policy in unlowerable(bundle):
        says = "two people can lower it, and it holds all the same"
        step = f'add `unless {{ context.lowered.contains("{policy.id}") }}`'
        yield Finding("cannot-be-lowered", policy, says, step)
    for policy in only_itself(bundle):
        place = policy.est["resource"]["entity"]["id"]
        says = f"an environment that lies in `{place}` is not `== {place}`"
        yield Finding("only-itself", policy, says, f'write `resource in Environment::"{place}"`')
    for policy, first in twins(bundle):
        says = f"`{first.id}` says the same"
        yield Finding("twin", policy, says, "remove one of them", others=(first,))


@dataclass
class _Seen:
    """What is known of one policy so far: `matched` by some request, `counted` when it
    permits and nothing forbids, `alone` when a ruling rests on it only."""

    policy: Policy
    matched: bool = False
    counted: bool = False
    alone: bool = False
    vague: bool = False
    erring: str = ""
    heard: Heard | None = None


@dataclass
class _Asking:
    """The questions that need the solver."""

    candidate: Candidate
    twice: set[str]
    progress: Progress
    seconds: float
    unknown: list[str] = field(default_factory=list)
    queries: int = 0

    def findings(self) -> Iterator[Finding]:
        """What the solver shows, and the engine confirms."""
        bundle = self.candidate.bundle
        known = {*bundle.environments}
        owned = [
            p
            for p in bundle.policies
            # Without settings nobody knows the owner's environments.
            if not p.shipped and (self.candidate.config or places_named(p) <= known)
        ]
        end = time.monotonic() + self.seconds
        done = 0
        for at in range(0, len(owned), TOGETHER):
            chunk = [_Seen(policy) for policy in owned[at : at + TOGETHER]]
            for kind in KINDS:
                asked = Asked(kind, (self.candidate,))
                for seen in chunk:
                    done += 1
                    if time.monotonic() > end:
                        self._give_up(seen, "not looked at in time")
                        continue
                    _Looking(asked, [s.policy for s in chunk], self._give_up).at(seen)
                    self.progress(done, len(KINDS) * len(owned))
                self.queries += asked.questions.count
            for seen in chunk:
                yield from self._told(seen)

    def _give_up(self, seen: _Seen, why: str) -> None:
        if not seen.vague:
            self.unknown.append(f"`{seen.policy.id}` (`{seen.policy.file}`): {why}")
        seen.vague = True

    def _told(self, seen: _Seen) -> Iterator[Finding]:
        policy = seen.policy
        if seen.erring:
            step = "compare before you calculate: numbers above 9,223,372,036,854,775,807 err"
            yield Finding("errs", policy, "such a request is denied", step, seen.erring)
        if seen.vague:
            return
        if not seen.matched:
            step = "remove it, or correct its conditions"
            says = "no request matches it: its conditions contradict each other, or any request"
            yield Finding("never-matches", policy, says, step)
        elif policy.effect == "permit" and not seen.counted:
            yield self._overridden(seen)
        elif not seen.alone and policy.id not in self.twice:
            verb = "permits" if policy.effect == "permit" else "forbids"
            other = "permitted" if policy.effect == "permit" else "forbidden, or not permitted,"
            says = f"whatever it {verb} is {other} without it"
            yield Finding("changes-nothing", policy, says, "remove it, or leave it as a note")

    def _overridden(self, seen: _Seen) -> Finding:
        """With a request it permits, and what forbids that one."""
        by_id, example = self.candidate.bundle.by_id, ""
        others: tuple[Policy, ...] = ()
        if seen.heard is not None:
            example = sentence(seen.heard.data, seen.policy.paths)
            others = tuple(by_id[name] for name in sorted(seen.heard.reasons) if name in by_id)
        says = "whatever it permits is forbidden all the same"
        step = "remove it: a `forbid` always wins"
        return Finding("always-overridden", seen.policy, says, step, example, others)


class _Looking:
    """The questions about the policies of one chunk, for one kind of principal."""

    def __init__(
        self, asked: Asked, chunk: Sequence[Policy], give_up: Callable[[_Seen, str], None]
    ) -> None:
        self.asked = asked
        self.side: Side = asked.sides[0]
        self.beside = [*(p for p in self.side.bundle.policies if p.shipped), *chunk]
        self.give_up = give_up
        named = {place for p in self.beside for place in places_named(p)}
        own = {name for name in self.side.bundle.environments if name not in ENVIRONMENTS}
        # No rule but one that names them tells the others of the shipped ones apart.
        wanted = {"production", "staging", *named, *own, *(self.side.disposable or ())}
        self.places = sorted(wanted & set(self.side.bundle.environments))

    def at(self, seen: _Seen) -> None:
        """Ask about one policy until nothing more is to be known."""
        for place in self.places:
            for verb in self.asked.verbs:
                if seen.alone and seen.erring:
                    return
                (mine, *_) = self._compiled([seen.policy], verb, place) or (None,)
                if mine is None:
                    continue
                if not seen.erring and mine.errs is not False:
                    self._erring(seen, mine, verb, place)
                if not seen.alone:
                    self._matching(seen, mine, verb, place)

    def _erring(self, seen: _Seen, mine: Compiled, verb: str, place: str) -> None:
        heard = self._heard(seen, verb, place, mine.errs)
        if heard is not None and heard.erred:
            seen.erring = sentence(heard.data, seen.policy.paths)

    def _matching(self, seen: _Seen, mine: Compiled, verb: str, place: str) -> None:
        logic, permits = self.asked.world.logic, seen.policy.effect == "permit"
        others = [
            c for c in self._compiled(self.beside, verb, place) if c.policy is not mine.policy
        ]
        permitted = logic.any(*(c.satisfied for c in others if c.policy.effect == "permit"))
        free = logic.no(logic.any(*(c.satisfied for c in others if c.policy.effect == "forbid")))
        swayed = logic.no(permitted) if permits else permitted
        heard = self._heard(seen, verb, place, mine.satisfied, free, swayed)
        if heard is not None:
            seen.matched = True
            decides = heard.reasons == {seen.policy.id} and heard.allowed is permits
            seen.counted |= permits and heard.allowed
            seen.alone |= decides
            if not decides and not heard.erred:
                # A policy that is not in this chunk had its say: nothing is claimed.
                seen.alone = seen.counted = True
        elif not seen.counted and permits:
            heard = self._heard(seen, verb, place, mine.satisfied, free)
            seen.matched |= heard is not None
            seen.counted |= heard is not None
        if not seen.matched:
            seen.heard = self._heard(seen, verb, place, mine.satisfied)
            seen.matched = seen.heard is not None

    def _compiled(self, among: Sequence[Policy], verb: str, place: str) -> list[Compiled]:
        return self.asked.compiled(self.side, verb, place, among)

    def _heard(self, seen: _Seen, verb: str, place: str, *conditions: Truth) -> Heard | None:
        """What the engine says to a request that satisfies the conditions; None: there is
        none, or nobody knows."""
        found = self.asked.ask(*conditions, *self.asked.at(verb, place))
        if isinstance(found, Unsure):
            self.give_up(seen, f"the solver gave up ({found.why})")
        if not isinstance(found, Found):
            return None
        return self.side.heard(self.asked.request(found, verb, place))
