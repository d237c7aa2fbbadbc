"""The third step of the story: joining a hold, noticing that it is stale, counting twice."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from signoff.approvals.holds import Terms, check_open, difference, open_hold, recently_rejected
from signoff.approvals.quorum import Event, distinct_approvers, is_expired, move
from signoff.approvals.recount import OUTSIDE, recount, unsigned
from signoff.approvals.signatures import Verifier, Verifiers
from signoff.model.decision import Decision, Hold, HoldState, Ruling, Verdict
from signoff.model.errors import Refused, StateConflict
from signoff.model.human import Human, Profile
from signoff.model.ports import Clock, Holds, Ledger, MoveHold, Notifier, OpenHold
from signoff.model.receipt import Mark
from signoff.steps.chain import Chain, Request
from signoff.understand import Seen


class WaitingRoom:
    """Where held actions wait for people, and where their approval is looked at again."""

    def __init__(
        self,
        holds: Holds,
        ledger: Ledger,
        clock: Clock,
        notifier: Notifier,
        humans: Sequence[Human],
        *,
        bundle: Callable[[], str],
        profile: Profile = Profile.TEAM,
        verifier: Verifier | None = None,
        terms: Terms | None = None,
        open_most: int = 5,
        outside: frozenset[str] = OUTSIDE,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._holds, self._ledger, self._clock, self._notifier = holds, ledger, clock, notifier
        self._humans, self._bundle, self._profile = tuple(humans), bundle, profile
        self._verifier = verifier or Verifiers()
        self._terms, self._open_most, self._random = terms or Terms(), open_most, random
        self._outside = outside

    async def join(self, chain: Chain, seen: Seen, decision: Decision) -> Hold:
        """The hold of this run for this very action: the waiting one, or a new one.

        Raises `Refused` when people said no to this effect within the hour, or the run
        has as many open holds as it may.
        """
        who, now = chain.request.principal, self._clock.now_ms()
        hold = await self._holds.find(who.run, seen.understanding.action.digest)
        if hold is not None and hold.state in (HoldState.OPEN, HoldState.APPROVED):
            if hold.principal == who and not is_expired(hold, now):
                return hold
            closed = move(hold.state, Event.EXPIRY)
            await chain.note(
                Mark.EXPIRED, MoveHold(hold.ticket, hold.state, closed), hold=hold.ticket
            )
        no = await self._rejected(who.run, seen, now)
        if no is not None:
            await chain.note(Mark.DECIDED, decision=decision, refused="rejected", hold=no.ticket)
            raise Refused(
                f"people rejected this in `{no.ticket}`",
                "a rejected effect is not asked again for an hour",
                seen.understanding.safer or "choose another way to the same end",
            )
        check_open(await self._holds.open(), who.run, now, self._open_most)
        hold = open_hold(
            who,
            seen.understanding,
            decision,
            now_ms=now,
            random=self._random,
            ledger=self._ledger.head(),
            action_id=chain.action_id,
            terms=self._terms,
        )
        opening = OpenHold(hold, self._open_most)
        try:
            await chain.note(Mark.HELD, opening, hold=hold.ticket, quorum=hold.quorum)
        except StateConflict:  # An equal request was quicker; both wait for its hold.
            theirs = await self._holds.find(who.run, hold.action_digest)
            if theirs is None or theirs.principal != who or theirs.state is not HoldState.OPEN:
                raise
            return theirs
        await self._notifier.notify(hold)
        return hold

    async def _rejected(self, run: str, seen: Seen, now: int) -> Hold | None:
        """The hold in which people said no to one of these effects within the hour."""
        rejected = await self._holds.rejected(run)
        when: dict[str, int] = {}
        for hold in rejected:
            rows = await self._holds.signoffs(hold.ticket)
            times = [s.signed_ms for s in rows if s.verdict is Verdict.REJECT]
            when.update({hold.ticket: max(times)} if times else {})
        return recently_rejected(rejected, run, seen.understanding, now, when)

    async def differences(self, chain: Chain, hold: Hold, seen: Seen) -> tuple[str, ...]:
        """Why the approval is stale, one line each; the hold is then closed as stale."""
        found = tuple(str(d) for d in difference(hold, seen.understanding, self._bundle()))
        if found:
            closed = MoveHold(hold.ticket, hold.state, move(hold.state, Event.CHANGE))
            await chain.note(
                Mark.STALE,
                closed,
                understanding=seen.understanding,
                hold=hold.ticket,
                differences=found,
            )
        return found

    async def approvers(self, hold: Hold) -> frozenset[str]:
        """The first count: distinct humans whose stored approval of this hold counts."""
        rows = await self._holds.signoffs(hold.ticket)
        solo = self._profile is Profile.SOLO
        return distinct_approvers(hold, rows, self._humans, operator_counts=solo)

    def second_look(self, request: Request, seen: Seen, decision: Decision) -> Decision:
        """The decision about what nobody signed: as it is, or denied when it would let an
        agent change production, whatever made the policies say so."""
        why = unsigned(request.principal, seen.understanding, self._outside)
        if decision.ruling is not Ruling.ALLOW or not why:
            return decision
        text = f"denied: {why}, and the policies allowed it; next: tell a human"
        return replace(
            decision, ruling=Ruling.DENY, reasons=("nobody-signed",), obligations=(), message=text
        )

    async def doubt(self, hold: Hold, decision: Decision) -> str:
        """Why the approved hold may not run after all; empty when it may.

        The second count, from the signed rows alone, must give the very humans of the
        first, enough of them, and the policy must have said yes to them.
        """
        if decision.ruling is not Ruling.ALLOW:
            return decision.message
        rows = await self._holds.signoffs(hold.ticket)
        second = await asyncio.to_thread(
            recount,
            hold,
            rows,
            self._humans,
            hold.quorum,
            self._clock.now_ms(),
            self._verifier,
            operator_counts=self._profile is Profile.SOLO,
            outside=self._outside,
        )
        if second.enough and second.humans == await self.approvers(hold):
            return ""
        count = f"{len(second.humans)} of {second.needed} sign-offs of `{hold.ticket}` count"
        return "; ".join((f"denied: {count}", *second.left_out, "next: ask again for a new hold"))
