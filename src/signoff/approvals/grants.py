"""Whether a run may enter an environment: bounds of a grant, and what it covers. Pure.

A grant holds for one run of one agent acting for one human, in the one environment it
names, for its verbs, until its time is over, its changes are used up, or somebody takes
it back. What is not in its text is not granted. Reading comes with every grant and is not
counted, also when its changes are used up: whoever changed something may look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from signoff.approvals.holds import TICKET_ALPHABET
from signoff.model.action import Principal
from signoff.model.effect import Verb
from signoff.model.errors import ConfigInvalid, Refused
from signoff.model.grant import Grant, GrantSignature, GrantState

__all__ = [
    "CHANGES_MOST",
    "HOURS_MOST",
    "VERBS",
    "Grant",
    "GrantSignature",
    "GrantState",
    "GrantTerms",
    "chosen",
    "covered",
    "covers",
    "draft_grant",
]

HOUR_MS = 3_600_000
HOURS_MOST = 7 * 24
CHANGES_MOST = 10_000
WHY_MOST = 500
MINUTE_MS = 60_000
VERBS = tuple(v.value for v in Verb)
"""Every verb a grant can name: the model's changes, and `read`."""
READ = Verb.READ.value
_ENDED = (GrantState.REVOKED, GrantState.EXPIRED)


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """The owner's bounds: hours a grant may live (1 to 168) and changes it may allow (1 to
    10,000). Raises `ConfigInvalid` outside these."""

    hours_most: int = 24
    changes_most: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.hours_most <= HOURS_MOST:
            raise ConfigInvalid(
                f"`grants.hours_most` is `{self.hours_most}`",
                f"a grant lives 1 to {HOURS_MOST} hours",
                "set a time within these bounds",
            )
        if not 1 <= self.changes_most <= CHANGES_MOST:
            raise ConfigInvalid(
                f"`grants.changes_most` is `{self.changes_most}`",
                f"a grant allows 1 to {CHANGES_MOST:,} changes",
                "set a number within these bounds",
            )


def covers(grant: Grant, run: str, environment: str, verb: str, now_ms: int) -> bool:
    """Whether the grant lets this run do one more of this verb in this environment now."""
    if grant.run != run or grant.environment != environment or not run:
        return False
    state = grant.state(now_ms)
    if verb == READ:
        return state not in _ENDED
    return state is GrantState.LIVE and verb in grant.verbs


def covered(
    grants: Iterable[Grant], who: Principal, pairs: Iterable[tuple[str, str]], now_ms: int
) -> frozenset[tuple[str, str]]:
    """Which of these (environment, verb) some grant covers for this very principal now."""
    mine = [grant for grant in grants if grant.principal == who]
    return frozenset(
        (environment, verb)
        for environment, verb in pairs
        if any(covers(grant, who.run, environment, verb, now_ms) for grant in mine)
    )


def chosen(
    grants: Iterable[Grant], who: Principal, pairs: Iterable[tuple[str, str]], now_ms: int
) -> tuple[Grant, ...] | None:
    """The grants that one action uses, each once: few, and those that end first.

    `pairs` are the (environment, verb) of its effects. None when one of them has no grant.
    """
    mine = sorted(
        (g for g in grants if g.principal == who), key=lambda g: (g.until_ms, g.opened_ms, g.id)
    )
    found: list[Grant] = []
    for environment, verb in sorted(set(pairs)):
        fitting = [g for g in mine if covers(g, who.run, environment, verb, now_ms)]
        if not fitting:
            return None
        if not any(g in found for g in fitting):
            found.append(fitting[0])
    return tuple(found)


def draft_grant(
    who: Principal,
    environment: str,
    verbs: Iterable[str],
    changes: int,
    ttl_ms: int,
    *,
    now_ms: int,
    random: Callable[[int], bytes],
    ledger: tuple[int, str],
    terms: GrantTerms,
    why: str = "",
) -> Grant:
    """A grant to be signed; it grants nothing before that. Raises `Refused` out of bounds.

    `random` gives the id and the 32-byte nonce, `ledger` is the committed size and root.
    """
    wanted = frozenset(verbs)
    strange = sorted(wanted - set(VERBS))
    if strange or not wanted:
        said = f"`{strange[0][:40]}` is no verb" if strange else "no verb is named"
        raise Refused(said, f"a grant is for some of {', '.join(VERBS)}", "name them: --verbs")
    if not 1 <= changes <= terms.changes_most:
        raise Refused(
            f"a grant of {changes:,} changes",
            f"1 to {terms.changes_most:,} are possible (`grants.changes_most`)",
            "choose another `--changes`",
        )
    if not MINUTE_MS <= ttl_ms <= terms.hours_most * HOUR_MS:
        raise Refused(
            f"a grant that lives {ttl_ms / HOUR_MS:g} h",
            f"1 min to {terms.hours_most} h are possible (`grants.hours_most`)",
            "choose another `--hours`",
        )
    if len(why) > WHY_MOST:
        raise Refused(f"a reason of {len(why):,} characters", f"at most {WHY_MOST}", "say it short")
    return Grant(
        id=_new_id(random),
        run=who.run,
        environment=environment,
        verbs=wanted,
        changes=changes,
        used=0,
        opened_ms=now_ms,
        until_ms=now_ms + ttl_ms,
        agent=who.agent,
        operator=who.operator,
        why=why,
        nonce=random(32).hex(),
        ledger_size=ledger[0],
        ledger_root=ledger[1],
    )


def _new_id(random: Callable[[int], bytes]) -> str:
    """`G-` and eight characters of Crockford's base 32: 40 random bits."""
    number = int.from_bytes(random(5), "big")
    return "G-" + "".join(TICKET_ALPHABET[number >> (5 * i) & 31] for i in reversed(range(8)))
