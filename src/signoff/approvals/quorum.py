"""The life of a hold as one table, and who counts toward its quorum. Pure.

Rule 1: every move of a hold stands in `MOVES`. What is not there is illegal: it raises,
and changes nothing. Four states end a hold without the action, `claimed` ends it with
the action running; nothing ever leads out of any of the five.

Rule 2: humans are counted, not signatures, keys, names or groups. The requester and the
operator the agent acts for never count, and one rejection by anyone enrolled ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from signoff.model.action import Principal
from signoff.model.decision import Hold, HoldState, SignOff, Verdict
from signoff.model.errors import StateConflict
from signoff.model.human import Human, folded


class Event(str, Enum):
    """What can happen to a hold."""

    APPROVAL = "approval below quorum"
    QUORUM = "approval reaching quorum"
    REJECTION = "rejection"
    EXPIRY = "expiry passes"
    CHANGE = "world changed"
    CLAIM = "claim"
    VOIDING = "void"


OPEN, APPROVED, REJECTED = HoldState.OPEN, HoldState.APPROVED, HoldState.REJECTED
EXPIRED, STALE, CLAIMED, VOID = (
    HoldState.EXPIRED,
    HoldState.STALE,
    HoldState.CLAIMED,
    HoldState.VOID,
)

MOVES: Mapping[HoldState, Mapping[Event, HoldState]] = {
    OPEN: {
        Event.APPROVAL: OPEN,
        Event.QUORUM: APPROVED,
        Event.REJECTION: REJECTED,
        Event.EXPIRY: EXPIRED,
        Event.CHANGE: STALE,
        Event.VOIDING: VOID,
    },
    # An approved hold still waits for the agent to ask again; people may change their
    # mind, its time may run out and the world may move until the moment it is claimed.
    APPROVED: {
        Event.REJECTION: REJECTED,
        Event.EXPIRY: EXPIRED,
        Event.CHANGE: STALE,
        Event.CLAIM: CLAIMED,
        Event.VOIDING: VOID,
    },
    REJECTED: {},
    EXPIRED: {},
    STALE: {},
    CLAIMED: {},
    VOID: {},
}


def move(state: HoldState, event: Event) -> HoldState:
    """The state after the event; raises `StateConflict` when the table has no such move."""
    try:
        return MOVES[state][event]
    except KeyError:
        raise StateConflict(
            f"a hold that is `{state.value}` takes no `{event.value}`",
            "it has ended" if not MOVES[state] else "this is not one of its moves",
            "ask for the action again; a new hold is opened when one is needed",
        ) from None


def is_final(state: HoldState) -> bool:
    """Whether nothing can happen to a hold in this state any more."""
    return not MOVES[state]


def is_expired(hold: Hold, now_ms: int) -> bool:
    """Whether its time is over. The last millisecond is `expires_ms - 1`."""
    return now_ms >= hold.expires_ms


def table() -> str:
    """`MOVES` as a Markdown table: a row for each state, a column for each event."""
    rows = ["| state | " + " | ".join(e.value for e in Event) + " |", "|---" * 8 + "|"]
    for state in HoldState:
        cells = (MOVES[state].get(event) for event in Event)
        rows.append(f"| {state.value} | " + " | ".join(c.value if c else "-" for c in cells) + " |")
    return "\n".join(rows) + "\n"


def persons(humans: Sequence[Human]) -> dict[str, str]:
    """Every enrolled name, and the one name its person is counted by.

    Names are joined when they read the same or when any key material is shared, however
    long the chain. A checked enrolment has no such pair; the count does not rely on it.
    """
    joined = {h.name: h.name for h in humans}

    def root(name: str) -> str:
        while joined[name] != name:
            name = joined[name]
        return name

    owner: dict[object, str] = {}
    for human in humans:
        for mark in (folded(human.name), *(key.material for key in human.keys)):
            first, second = sorted((root(owner.setdefault(mark, human.name)), root(human.name)))
            joined[second] = first
    return {name: root(name) for name in joined}


def eligible(
    principal: Principal, humans: Sequence[Human], *, operator_counts: bool = False
) -> frozenset[str]:
    """The persons who could sign for this principal: enrolled, with a key, not excluded.

    The operator is excluded, and whoever is called like the agent or its run. For a
    human's own action the operator is that human. `operator_counts` is for the solo
    profile and a quorum of one alone; `signatures` then demands user verification.
    """
    person = persons(humans)
    barred = {folded(n) for n in (principal.agent, principal.run) if n}
    if not (operator_counts and principal.is_agent):
        barred.add(folded(principal.operator))
    shut = {person[h.name] for h in humans if folded(h.name) in barred}
    return frozenset(person[h.name] for h in humans if h.keys and person[h.name] not in shut)


def distinct_approvers(
    hold: Hold,
    signoffs: Iterable[SignOff],
    humans: Sequence[Human],
    *,
    operator_counts: bool = False,
) -> frozenset[str]:
    """The distinct humans whose approval of this very hold counts; empty after a rejection.

    The sign-offs must have passed `signatures.verify_signoff`. A sign-off counts only
    when the key that made it is still enrolled for the human it names.
    """
    person = persons(humans)
    enrolled = {(h.name, k.fingerprint) for h in humans for k in h.keys}
    real = [s for s in signoffs if s.ticket == hold.ticket and (s.human, s.key) in enrolled]
    if any(s.verdict is Verdict.REJECT for s in real):
        return frozenset()
    alone = operator_counts and hold.quorum == 1
    able = eligible(hold.principal, humans, operator_counts=alone)
    return frozenset(person[s.human] for s in real if s.verdict is Verdict.APPROVE) & able


def event_of(
    hold: Hold,
    signoffs: Iterable[SignOff],
    humans: Sequence[Human],
    *,
    operator_counts: bool = False,
) -> Event:
    """What the newest of these verified sign-offs (the last) means for the hold.

    Raises `StateConflict` when there is none.
    """
    rows = tuple(signoffs)
    if not rows:
        raise StateConflict("no sign-off", "a hold moves by a sign-off or by time", "sign first")
    if any(s.verdict is Verdict.REJECT for s in rows):
        return Event.REJECTION
    count = distinct_approvers(hold, rows, humans, operator_counts=operator_counts)
    return Event.QUORUM if len(count) >= max(1, hold.quorum) else Event.APPROVAL
