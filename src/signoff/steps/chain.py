"""One action's chain of receipts, and what goes in and comes out of the story.

Every step of a change leaves a receipt before the next begins; `Chain.note` is the only
way the story writes one. If it raises, the story stops there: no receipt, no step.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Decision, Ruling
from signoff.model.effect import Understanding, Verb
from signoff.model.ports import Change, Clock, Facts, Ledger, Outcome
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import EMPTY, frozen

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_RANDOM: list[int] = []
"""Random numbers of 40 bits that were not used yet."""


@dataclass(frozen=True)
class Request:
    """One action as a gate hands it over.

    `observe` names the environments in which the gate forwards what would be stopped, and
    only records the ruling. `undo` marks the taking back of earlier actions by a human;
    `requester_verified` says that this human proved who they are for this very request,
    and `overwrites_newer` that newer work would be overwritten.
    """

    principal: Principal
    action: Action
    gate: str
    level: Level = Level.ADVISORY
    observe: frozenset[str] = frozenset()
    undo: bool = False
    requester_verified: bool = False
    overwrites_newer: bool = False

    def only_observes(self, understanding: Understanding) -> bool:
        """Whether every effect is in an environment that is only observed.

        A secret or a credential never passes, watched or not.
        """
        effects = understanding.effects
        discloses = any(e.verb is Verb.DISCLOSE for e in effects)
        known = bool(effects) and not discloses
        return known and self.observe.issuperset(understanding.environments)


@dataclass(frozen=True)
class Reply:
    """How the story ended for one request. `mark` is the last receipt's; `message` is one
    line for the agent with the ruling, the reason and the next step."""

    action_id: str
    mark: Mark
    decision: Decision
    understanding: Understanding
    ticket: str = ""
    outcome: Outcome | None = None
    message: str = ""

    @property
    def ruling(self) -> Ruling:
        """`allow` when it was carried out, whichever way that went."""
        if self.outcome is not None:
            return Ruling.ALLOW
        return Ruling.HOLD if self.mark is Mark.HELD else Ruling.DENY


class Chain:
    """The receipts of one action, in order."""

    def __init__(self, ledger: Ledger, clock: Clock, request: Request) -> None:
        self.request = request
        self.action_id = _new_id(clock.now_ms())
        self._ledger = ledger
        self._clock = clock

    async def note(
        self,
        mark: Mark,
        *changes: Change,
        understanding: Understanding | None = None,
        decision: Decision | None = None,
        **detail: object,
    ) -> None:
        """Write one receipt, and make the changes in the same transaction."""
        receipt = Receipt(
            mark=mark,
            time_ms=self._clock.now_ms(),
            action_id=self.action_id,
            principal=self.request.principal,
            gate=self.request.gate,
            level=self.request.level,
            action=self.request.action,
            understanding=understanding,
            decision=decision,
            detail=frozen(**detail) if detail else EMPTY,
        )
        await self._ledger.append(receipt, *changes)

    async def decided(
        self, mark: Mark, known: Understanding, ruled: Decision, facts: Facts, **detail: object
    ) -> None:
        """The receipt of a decision: what was understood, the ruling, and the facts it rests
        on, so that it can be made again."""
        detail["facts"] = facts.as_data()
        await self.note(mark, understanding=known, decision=ruled, **detail)


def _new_id(now_ms: int) -> str:
    """`A-`, the time, and 40 random bits: sorts by time, unique across restarts."""
    if not _RANDOM:
        # Drawn in bulk: asking the kernel for each would let another thread in each time.
        drawn = secrets.token_bytes(5 * 512)
        _RANDOM.extend(int.from_bytes(drawn[at : at + 5], "big") for at in range(0, len(drawn), 5))
    number = (now_ms << 40) | _RANDOM.pop()
    pairs = []
    while number:
        pairs.append(_PAIRS[number & 1023])
        number >>= 10
    return f"A-{''.join(reversed(pairs)).lstrip(_ALPHABET[0])}"
