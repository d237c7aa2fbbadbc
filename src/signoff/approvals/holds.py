"""Opening a hold, joining it, and whether an approval still fits the world. Pure.

Signers agree to targets and to a *ceiling* for every bound. Right before the action the
world is read again: less is fine, anything else makes the approval stale, and what is
different is said in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from signoff.model.action import Principal
from signoff.model.decision import Decision, Hold, HoldState, Target, targets_of
from signoff.model.effect import Bound, Reversibility, Understanding
from signoff.model.errors import ConfigInvalid, Refused

HOUR_MS = 3_600_000
LIFETIME_MS = HOUR_MS
LIFETIME_LEAST_MS, LIFETIME_MOST_MS = 60_000, 7 * 24 * HOUR_MS
MARGIN_MOST_PERCENT = 100
OPEN_MOST = 5
QUIET_MS = HOUR_MS
"""How long a run does not ask again for an effect that people rejected."""
TICKET_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so a ticket survives being read aloud."""
_WAITING = (HoldState.OPEN, HoldState.APPROVED)

RandomSource = Callable[[int], bytes]
"""So many random bytes, from a source fit for keys."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The owner's settings for holds: how long one lives (1 min to 7 d, 1 h unless
    stated) and how far a ceiling may lie above the bound that was seen (0 to 100 %,
    none unless stated). Raises `ConfigInvalid` outside these bounds."""

    lifetime_ms: int = LIFETIME_MS
    margin_percent: int = 0

    def __post_init__(self) -> None:
        if not LIFETIME_LEAST_MS <= self.lifetime_ms <= LIFETIME_MOST_MS:
            raise ConfigInvalid(
                f"a hold that lives {self.lifetime_ms / 1000:g} s",
                f"the least is {LIFETIME_LEAST_MS // 1000} s, "
                f"the most {LIFETIME_MOST_MS // 1000} s",
                "set a lifetime within these bounds",
            )
        if not 0 <= self.margin_percent <= MARGIN_MOST_PERCENT:
            raise ConfigInvalid(
                f"a margin of {self.margin_percent} %",
                f"a ceiling may lie 0 to {MARGIN_MOST_PERCENT} % above the bound seen",
                "set a margin within these bounds",
            )


class Kind(str, Enum):
    """What can differ between what was signed and what is."""

    ACTION = "action"
    BUNDLE = "bundle"
    TARGET = "target"
    ENVIRONMENT = "environment"
    REVERSIBILITY = "reversibility"
    BOUND = "bound"
    UNKNOWN = "unknown"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was signed; `text` is one line for people."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return self.text


def open_hold(
    principal: Principal,
    understanding: Understanding,
    decision: Decision,
    *,
    now_ms: int,
    random: RandomSource,
    ledger: tuple[int, str],
    action_id: str = "",
    terms: Terms | None = None,
    card: Mapping[str, object] | None = None,
) -> Hold:
    """A hold for what an action would do now, under the decision that asked for it.

    `ledger` is the committed size and root (hex) the signers will see; `random` gives
    the ticket and the 32-byte nonce. `card` is added to what people are shown.
    """
    terms = terms or Terms()
    return Hold(
        ticket=new_ticket(random),
        principal=principal,
        action_digest=understanding.action.digest,
        understanding_digest=understanding.digest,
        targets=tuple(_with_ceilings(t, terms) for t in targets_of(understanding)),
        unknown=understanding.unknown,
        plan=plan_of(understanding),
        quorum=max(1, decision.quorum),
        bundle=decision.bundle,
        nonce=random(32).hex(),
        opened_ms=now_ms,
        expires_ms=now_ms + terms.lifetime_ms,
        ledger_size=ledger[0],
        ledger_root=ledger[1],
        action_id=action_id,
        card={**card_of(understanding), **(card or {})},
    )


def new_ticket(random: RandomSource) -> str:
    """`H-` and eight characters of Crockford's base 32: 40 random bits."""
    number = int.from_bytes(random(5), "big")
    return "H-" + "".join(TICKET_ALPHABET[number >> (5 * i) & 31] for i in reversed(range(8)))


def plan_of(understanding: Understanding) -> tuple[str, ...]:
    """One line for each request that will be sent: its name, its digest, what it waits for."""
    lines = []
    for step in understanding.plan:
        until = f" until {step.until}" if step.until else ""
        added = "" if step.original else " (added by signoff)"
        lines.append(f"{step.action.name} {step.action.digest}{until}{added}")
    return tuple(lines)


def card_of(understanding: Understanding) -> dict[str, object]:
    """What people are shown of an understanding, as plain data."""
    return {
        "action": understanding.action.name,
        "scope": dict(understanding.action.scope),
        "public": understanding.action.public,
        "effects": [e.as_data() for e in understanding.effects if not e.is_read],
        "unknown": list(understanding.unknown),
        "safer": understanding.safer,
    }


def difference(hold: Hold, now: Understanding, bundle: str) -> tuple[Difference, ...]:
    """Why an approval of the hold is stale for the world as it is now; empty when it fits.

    Stale is: another action, bundle or plan, a new target or verb, another environment,
    a lower reversibility, a bound above its ceiling (nobody knowing it, or nobody
    stating it any more, counts as above), something newly unknown. Smaller counts and
    targets that are gone are fine. A ceiling that was unknown when signed covers all:
    the signers saw that nobody knew.
    """
    found = []
    if now.action.digest != hold.action_digest:
        found.append(Difference(Kind.ACTION, "the action itself is another than the one signed"))
    if bundle != hold.bundle:
        text = f"policy bundle is `{_short(bundle)}`, `{_short(hold.bundle)}` was signed"
        found.append(Difference(Kind.BUNDLE, text))
    found += _target_differences(hold.targets, targets_of(now))
    for text in now.unknown:
        if text not in hold.unknown:
            found.append(Difference(Kind.UNKNOWN, f"newly unknown: {_line(text)}"))
    if hold.targets and not now.effects:
        found.append(Difference(Kind.UNKNOWN, "nothing is known any more of what it would do"))
    found += _plan_differences(hold.plan, plan_of(now))
    return tuple(found)


def joined(holds: Iterable[Hold], run: str, action_digest: str, now_ms: int) -> Hold | None:
    """The waiting hold that an equal request of the same run joins, the newest first."""
    equal = [h for h in _waiting(holds, run, now_ms) if h.action_digest == action_digest]
    return max(equal, key=lambda h: h.opened_ms, default=None)


def check_open(holds: Iterable[Hold], run: str, now_ms: int, most: int = OPEN_MOST) -> None:
    """Raise `Refused` when the run already has as many open holds as it may."""
    waiting = [h for h in _waiting(holds, run, now_ms) if h.state is HoldState.OPEN]
    if len(waiting) >= most:
        tickets = ", ".join(f"`{h.ticket}`" for h in waiting[:most])
        raise Refused(
            f"run `{run}` already has {len(waiting)} open holds",
            f"the most is {most}, so that people read what they sign",
            f"wait for one of {tickets}",
        )


def recently_rejected(
    holds: Iterable[Hold],
    run: str,
    understanding: Understanding,
    now_ms: int,
    rejected_ms: Mapping[str, int] | None = None,
) -> Hold | None:
    """The rejected hold, less than an hour old, of the same run with an effect of these.

    Effects are the same by verb and resource, whatever bytes ask for them. `rejected_ms`
    gives the time of the rejection by ticket; where it is missing the latest possible
    time, the hold's expiry, is taken.
    """
    asked = {(t.verb, t.resource) for t in targets_of(understanding)}
    when = rejected_ms or {}
    for hold in sorted(holds, key=lambda h: h.opened_ms, reverse=True):
        if hold.principal.run != run or hold.state is not HoldState.REJECTED:
            continue
        if now_ms >= when.get(hold.ticket, hold.expires_ms) + QUIET_MS:
            continue
        same = hold.action_digest == understanding.action.digest
        if same or asked & {(t.verb, t.resource) for t in hold.targets}:
            return hold
    return None


def _waiting(holds: Iterable[Hold], run: str, now_ms: int) -> list[Hold]:
    return [
        h for h in holds if h.principal.run == run and h.state in _WAITING and now_ms < h.expires_ms
    ]


def _with_ceilings(target: Target, terms: Terms) -> Target:
    def ceiling(bound: Bound) -> Bound:
        if bound.most is None:
            return bound
        return Bound(-(-bound.most * (100 + terms.margin_percent) // 100), bound.unit)

    return replace(target, bounds=tuple(ceiling(b) for b in target.bounds))


def _target_differences(signed: tuple[Target, ...], now: tuple[Target, ...]) -> list[Difference]:
    """Each target of now takes one signed target that covers it: equal ones first, then
    the largest, so that what became smaller is not taken for something new."""
    left = list(signed)
    unmatched = []
    for target in now:
        if target in left:
            left.remove(target)
        else:
            unmatched.append(target)
    found: list[Difference] = []
    for target in sorted(unmatched, key=_size, reverse=True):
        same = [t for t in left if (t.verb, t.resource) == (target.verb, target.resource)]
        if not same:
            text = f"new: {target.verb} `{_line(target.resource)}` in {target.environment}"
            found.append(Difference(Kind.TARGET, text))
            continue
        wider = [(_widened(agreed, target), agreed) for agreed in same]
        best, taken = min(wider, key=lambda pair: len(pair[0]))
        found += best
        left.remove(taken)
    return found


def _size(target: Target) -> tuple[int, list[float]]:
    return -target.reversibility.rank, sorted((_amount(b) for b in target.bounds), reverse=True)


def _widened(signed: Target, now: Target) -> list[Difference]:
    what = f"{now.verb} `{_line(now.resource)}`"
    found = []
    if now.environment != signed.environment:
        text = f"{what} is in {now.environment}, {signed.environment} was signed"
        found.append(Difference(Kind.ENVIRONMENT, text))
    if now.reversibility.rank < signed.reversibility.rank:
        text = f"{what} can be taken back {_how(now)}, {_how(signed)} was signed"
        found.append(Difference(Kind.REVERSIBILITY, text))
    # A unit named twice: the lowest ceiling and the highest bound are what counts.
    ceilings = {b.unit: b.most for b in sorted(signed.bounds, key=_amount, reverse=True)}
    stated = {b.unit: b.most for b in sorted(now.bounds, key=_amount)}
    for unit in sorted({*ceilings, *stated}):
        most = stated.get(unit)
        if unit not in ceilings:
            text = f"{what}: {_count(most)} {unit}, no ceiling for them was signed"
        elif ceilings[unit] is None:
            continue
        elif most is None or most > (ceilings[unit] or 0):
            text = f"{what}: {_count(most)} {unit}, at most {_count(ceilings[unit])} were signed"
        else:
            continue
        found.append(Difference(Kind.BOUND, text))
    return found


def _amount(bound: Bound) -> float:
    return float("inf") if bound.most is None else bound.most


def _plan_differences(signed: tuple[str, ...], now: tuple[str, ...]) -> list[Difference]:
    for number, (was, is_now) in enumerate(zip(signed, now, strict=False), 1):
        if was != is_now:
            text = f"step {number} of the plan is `{_brief(is_now)}`, `{_brief(was)}` was signed"
            return [Difference(Kind.PLAN, text)]
    if len(signed) != len(now):
        text = f"the plan has {len(now)} steps, {len(signed)} were signed"
        return [Difference(Kind.PLAN, text)]
    return []


def _how(target: Target) -> str:
    return {
        Reversibility.EXACT: "exactly",
        Reversibility.BOUNDED: "within bounds",
        Reversibility.DEGRADED: "in part",
        Reversibility.NONE: "not at all",
    }[target.reversibility]


def _count(most: int | None) -> str:
    return "nobody knows how many" if most is None else f"{most:,}"


def _short(digest: str) -> str:
    return digest[:12]


def _brief(line: str) -> str:
    name, _, rest = line.partition(" ")
    return f"{_line(name)} {rest[:12]}"


def _line(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would act on."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:300]
