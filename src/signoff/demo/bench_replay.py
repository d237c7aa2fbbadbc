"""A past made up from a seed, and what judging it again costs."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from signoff.approvals.quorum import eligible
from signoff.demo.bench_parts import SCOPE, full_bundle
from signoff.model.action import Action, Principal
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.errors import SignoffError
from signoff.model.human import EnrolledKey, Human
from signoff.model.ports import Facts
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.policy.bundle import compile_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.filler import filler_rules
from signoff.policy.replay import Candidate, Report, replay
from signoff.policy.statements import Source

ACTIONS = 10_000
SEED = 20_261_122
STEP_MS = 4_000
NAMES = ("olga", "ana", "bo", "cy")
VERBS = (Verb.READ,) * 14 + (Verb.CREATE, Verb.UPDATE, Verb.UPDATE, Verb.DELETE, Verb.PERMIT)
PLACES = ("production", "production", "staging", "development")
STRICTER = Source(
    "stricter.cedar",
    '@id("office-hours") @why("changes of production happen while people are there") '
    'forbid(principal is Agent, action in Action::"change", '
    'resource in Environment::"production") '
    "when { context.hourUtc < 8 || context.weekday > 5 };"
    '@id("reads-of-secrets") @why("somebody looks before a secret is read") '
    'forbid(principal is Agent, action == Action::"read", resource) '
    'when { context.name == "service7:Get" && context.approvals < 1 };',
)


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU for judging `actions` again, and what was found."""

    seconds: float
    report: Report


def people() -> tuple[Human, ...]:
    """Four enrolled people."""
    keys = (base64.b64encode(bytes([n]) * 32).decode() for n in range(len(NAMES)))
    parsed = (EnrolledKey.parse(f"signoff-ed25519 {key}") for key in keys)
    return tuple(Human(name, (key,)) for name, key in zip(NAMES, parsed, strict=True))


def stricter() -> Candidate:
    """The full bundle of the other benches, made stricter by two rules."""
    shipped = compile_bundle("team").policies
    rules = [filler_rules(100 - len(shipped)), STRICTER]
    return Candidate(compile_bundle("team", rules, humans=dict.fromkeys(NAMES, ())), people())


def past(seed: int, actions: int) -> Iterator[tuple[int, bytes]]:
    """Receipts of that many actions of five runs, decided by the full bundle."""
    dice, judge, humans = random.Random(seed), CedarJudge(full_bundle()), people()
    for number in range(actions):
        who = Principal("builder", f"R-{dice.randrange(5)}", "olga")
        understanding = _understood(dice)
        facts = Facts(
            calls_last_minute=dice.randrange(40),
            changes_last_minute=dice.randrange(8),
            gate="aws",
            now_ms=number * STEP_MS,
        )
        able = eligible(who, humans)
        receipt = Receipt(
            mark=Mark.READ if understanding.is_read else Mark.DECIDED,
            time_ms=facts.now_ms,
            action_id=f"A-{number:08d}",
            principal=who,
            gate="aws",
            action=understanding.action,
            understanding=understanding,
            decision=judge.decide(who, understanding, replace(facts, eligible=able)),
            detail=frozen(facts=facts.as_data()),
        )
        yield number, receipt.leaf()


def _understood(dice: random.Random) -> Understanding:
    verb, service = dice.choice(VERBS), dice.randrange(40)
    name = f"service{service}:{'Get' if verb is Verb.READ else verb.value.title()}"
    where = dice.choice(PLACES)
    effects = tuple(
        Effect(
            verb,
            Resource(
                f"arn:aws:service{service}:us-east-1:1:thing/{dice.randrange(5_000)}",
                f"service{service}:thing",
                where,
                dice.choice(tuple(Kind)),
            ),
            (Bound(dice.choice((1, 10, None)), "items"),),
            dice.choice(tuple(Reversibility)),
        )
        for _ in range(dice.choice((1, 1, 1, 2, 4)))
    )
    action = Action("aws", name, frozen(Name=str(dice.randrange(5_000))), SCOPE)
    return Understanding(action, effects)


def replayed(tell: Callable[[str], None], actions: int = ACTIONS) -> Cost:
    """Judge a made-up past again, by stricter rules; raises `SignoffError` when nothing
    differs, for then nothing was measured."""
    rows = list(past(SEED, actions))
    tell(f"replay: judging {actions:,} actions again, seed {SEED}")
    begun = time.process_time()
    report = replay(
        rows, stricter(), progress=lambda count: tell(f"replay: {count:,} actions judged")
    )
    spent = time.process_time() - begun
    if report.actions != actions or not report.changed or report.skipped:
        raise SignoffError("the past was not judged again", f"{report.actions:,} of {actions:,}")
    return Cost(spent, report)
