"""Where people sign: the text they sign, and what their signature moves.

The desk checks every signature before it is stored; the recount checks all of them again
before the action runs. A hold moves only by the table in `quorum.py`, and each move is a
receipt in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from signoff.approvals.quorum import Event, event_of, is_expired, is_final, move
from signoff.approvals.signatures import Verifier, Verifiers, check_signoff, payload_of
from signoff.model.decision import Hold, SignOff, Verdict
from signoff.model.errors import SignOffInvalid
from signoff.model.human import Human, Profile
from signoff.model.ports import AddSignOff, Change, Clock, Holds, Ledger, MoveHold
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import EMPTY, frozen


@dataclass(frozen=True)
class Desk:
    """The signing desk of one daemon."""

    holds: Holds
    ledger: Ledger
    clock: Clock
    humans: tuple[Human, ...]
    profile: Profile = Profile.TEAM
    verifier: Verifier | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def text(self, ticket: str, verdict: Verdict) -> bytes:
        """The exact bytes a human signs. Raises `SignOffInvalid` when nothing waits."""
        return payload_of(await self._waiting(ticket), verdict)

    async def sign(self, signoff: SignOff) -> Hold:
        """Add one sign-off, and move the hold if it decides it.

        Raises `SignOffInvalid` when it does not count; then nothing is written but a
        receipt that says who tried.
        """
        # Two people who sign in the same moment must see each other's row, or both would
        # think theirs the first and the quorum would never be noticed.
        async with self._one_at_a_time:
            return await self._sign(signoff)

    async def _sign(self, signoff: SignOff) -> Hold:
        hold = await self._waiting(signoff.ticket)
        rows = await self.holds.signoffs(hold.ticket)
        now = self.clock.now_ms()
        verifier = self.verifier or Verifiers()
        try:
            # ssh-keygen may take a while; the loop must not wait for it.
            verified = await asyncio.to_thread(
                check_signoff,
                hold,
                signoff,
                self.humans,
                now,
                verifier=verifier,
                earlier=rows,
                profile=self.profile,
            )
        except SignOffInvalid as error:
            await self._note(
                hold, Mark.CONTROL, refused=str(error), human=signoff.human, hold=hold.ticket
            )
            raise
        event = event_of(
            hold, (*rows, signoff), self.humans, operator_counts=self.profile is Profile.SOLO
        )
        state = move(hold.state, event)
        changes: list[Change] = [AddSignOff(signoff)]
        if state is not hold.state:
            changes.append(MoveHold(hold.ticket, hold.state, state))
        mark = {Event.QUORUM: Mark.APPROVED, Event.REJECTION: Mark.REJECTED}.get(event, Mark.SIGNED)
        await self._note(
            hold,
            mark,
            *changes,
            hold=hold.ticket,
            human=verified.human.name,
            verdict=signoff.verdict.value,
            key=signoff.key,
            signature=signoff.signature,
            user_verified=verified.user_verified,
        )
        return replace(hold, state=state)

    async def expire(self) -> int:
        """Close every hold whose time is over; how many there were."""
        closed = 0
        for hold in await self.holds.open():
            if is_expired(hold, self.clock.now_ms()):
                await self._move(hold, Event.EXPIRY, Mark.EXPIRED, why="nobody signed in time")
                closed += 1
        return closed

    async def void(self, why: str) -> int:
        """Void every hold that waits, with all its sign-offs; how many there were."""
        waiting: Sequence[Hold] = await self.holds.open()
        for hold in waiting:
            await self._move(hold, Event.VOIDING, Mark.VOIDED, why=why)
        return len(waiting)

    async def _move(self, hold: Hold, event: Event, mark: Mark, *, why: str) -> None:
        change = MoveHold(hold.ticket, hold.state, move(hold.state, event))
        await self._note(hold, mark, change, hold=hold.ticket, why=why)

    async def _waiting(self, ticket: str) -> Hold:
        hold = await self.holds.get(ticket)
        if hold is None:
            raise SignOffInvalid(f"no hold `{ticket[:40]}`", "", "signoff holds")
        if is_final(hold.state):
            raise SignOffInvalid(
                f"hold `{ticket}` is `{hold.state.value}`",
                "nothing waits for a signature there",
                "the agent has to ask again",
            )
        if is_expired(hold, self.clock.now_ms()):
            await self._move(hold, Event.EXPIRY, Mark.EXPIRED, why="nobody signed in time")
            raise SignOffInvalid(f"hold `{ticket}` expired", "", "the agent has to ask again")
        return hold

    async def _note(self, held: Hold, mark: Mark, *changes: Change, **detail: object) -> None:
        receipt = Receipt(
            mark=mark,
            time_ms=self.clock.now_ms(),
            action_id=held.action_id,
            principal=held.principal,
            gate="control",
            detail=frozen(**detail) if detail else EMPTY,
        )
        await self.ledger.append(receipt, *changes)
