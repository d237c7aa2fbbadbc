"""The story: 1 understand, 2 decide, 3 hold, 4 capture, 5 execute, 6 record.

Read it aloud. Every step of a change leaves a receipt before the next begins; one that
fails ends the story with nothing done. There is no other way to the target.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from signoff.model import ports
from signoff.model.decision import Decision, Hold, HoldState, Obligation, Ruling
from signoff.model.errors import CaptureFailed, ExecutionFailed
from signoff.model.ports import Executor, Facts, Outcome, Undo
from signoff.model.receipt import Mark
from signoff.model.values import frozen
from signoff.steps.chain import Chain, Reply, Request
from signoff.steps.circumstances import Circumstances
from signoff.steps.keeping import Keeper
from signoff.steps.waiting import WaitingRoom
from signoff.understand import Reader, Seen


@dataclass(frozen=True)
class Pipeline:
    """The one path from a request to the target."""

    reader: Reader
    judge: ports.Judge
    circumstances: Circumstances
    waiting: WaitingRoom
    keeper: Keeper
    ledger: ports.Ledger
    clock: ports.Clock

    async def handle(self, request: Request, executor: Executor) -> Reply:
        """Carry one request through the story; the reply says where it ended."""
        chain = Chain(self.ledger, self.clock, request)

        # 1. Understand: what would this do to the world?
        seen = await self.reader.understand(request.action)

        # 2. Decide: may this principal have these effects, as things stand?
        decision, facts = await self._decide(request, seen)
        if seen.understanding.is_read and decision.ruling is Ruling.ALLOW:
            return await self._read(chain, seen, decision, facts, executor)
        observed = request.only_observes(seen.understanding)
        await chain.decided(Mark.DECIDED, seen.understanding, decision, facts, observed=observed)
        if decision.ruling is Ruling.DENY and not observed:
            return self._stop(chain, Mark.DECIDED, decision, seen)

        # 3. Hold: people sign one exact action. Once they have, look at the world AGAIN:
        #    if it has changed for the worse, so has the question.
        hold: Hold | None = None
        if decision.ruling is Ruling.HOLD and not observed:
            hold = await self.waiting.join(chain, seen, decision)
            if hold.state is not HoldState.APPROVED:
                return self._stop(chain, Mark.HELD, decision, seen, "", hold.ticket)
            seen = await self.reader.understand(request.action)
            stale = await self.waiting.differences(chain, hold, seen)
            if stale:
                told = f"stale: {'; '.join(stale)}; next: ask again for a new hold"
                return self._stop(chain, Mark.STALE, decision, seen, told, hold.ticket)
            decision, facts = await self._decide(request, seen, hold)
            doubt = await self.waiting.doubt(hold, decision)
            if doubt:
                await chain.note(Mark.DECIDED, decision=decision, hold=hold.ticket, doubt=doubt)
                return self._stop(chain, Mark.DECIDED, decision, seen, doubt, hold.ticket)

        # 4. Capture: nothing runs until its undo is in the vault, read back and checked.
        undo: Undo | None = None
        seen = seen.as_asked() if observed else seen
        try:
            owed = Obligation.CAPTURE in decision.obligations
            undo = await self.keeper.capture(chain, seen, owed=owed)
        except CaptureFailed as error:
            await chain.note(Mark.FAILED, error=str(error), step="capture")
            if not observed:
                return self._stop(chain, Mark.FAILED, decision, seen, f"denied: {error}")
        if undo is not None:
            await chain.note(Mark.CAPTURED, ports.SaveUndo(undo), vault=undo.vault)
        uses, why_not = await self.circumstances.claim(request, seen, facts)
        if why_not:
            await chain.note(Mark.FAILED, error=why_not, step="capture")
            return self._stop(chain, Mark.FAILED, decision, seen, f"denied: {why_not}")

        # 5. Execute: the intent is committed, and sign-offs and grants are spent, before the act.
        claim = [ports.MoveHold(hold.ticket, HoldState.APPROVED, HoldState.CLAIMED)] if hold else []
        start = ports.StartAction(chain.action_id, request.action, request.principal)
        ticket, spent = hold.ticket if hold else "", [use.grant_id for use in uses]
        await chain.note(Mark.STARTED, start, *claim, *uses, hold=ticket, grants=spent)
        try:
            outcome = await self._execute(seen, executor)
        except ExecutionFailed as error:
            unknown = ports.FinishAction(chain.action_id, Mark.IN_DOUBT.value)
            await chain.note(Mark.IN_DOUBT, unknown, error=str(error))
            raise

        # 6. Record, whichever way it went; what is there now becomes part of the undo.
        mark = Mark.SUCCEEDED if outcome.succeeded else Mark.FAILED
        kept = [ports.SaveUndo(await self.keeper.observe(undo, outcome))] if undo else []
        finish = ports.FinishAction(chain.action_id, mark.value)
        await chain.note(mark, finish, *kept, error=outcome.error)
        self.circumstances.happened(request, seen, outcome)
        return Reply(chain.action_id, mark, decision, seen.understanding, outcome=outcome)

    async def _read(
        self, chain: Chain, seen: Seen, decision: Decision, facts: Facts, executor: Executor
    ) -> Reply:
        """A read leaves one receipt, durable before its answer is released."""
        known = seen.understanding
        try:
            outcome = await self._execute(seen, executor.reading())
        except ExecutionFailed as error:  # Nothing was changed, so nothing is in doubt.
            outcome = Outcome(False, str(error))
        await chain.decided(Mark.READ, known, decision, facts, error=outcome.error)
        self.circumstances.happened(chain.request, seen, outcome)
        return Reply(chain.action_id, Mark.READ, decision, known, outcome=outcome)

    def _stop(self, chain: Chain, mark: Mark, ruled: Decision, seen: Seen, *told: str) -> Reply:
        """The end of a story in which nothing was done; `told` is a message and a ticket."""
        self.circumstances.happened(chain.request, seen, None, waits=mark is Mark.HELD)
        message, ticket = (*told, "", "")[:2]
        known = seen.understanding
        return Reply(chain.action_id, mark, ruled, known, ticket, None, message or ruled.message)

    async def _decide(
        self, request: Request, seen: Seen, hold: Hold | None = None
    ) -> tuple[Decision, Facts]:
        """The ruling, and the facts it rests on, which the receipt keeps."""
        approvers = await self.waiting.approvers(hold) if hold else frozenset[str]()
        facts = await self.circumstances.gather(request, seen, approvers)
        ruled = self.judge.decide(request.principal, seen.understanding, facts)
        return (ruled if hold else self.waiting.second_look(request, seen, ruled)), facts

    async def _execute(self, seen: Seen, executor: Executor) -> Outcome:
        """Every step once, in order, stopping at the first that fails."""
        answer, responses, plan = Outcome(False, "no step"), {}, seen.understanding.plan
        for number, step in enumerate(plan):
            outcome = await executor.execute(step.action, original=step.original, until=step.until)
            responses[str(number)] = outcome.response
            if step.original or not outcome.succeeded:
                answer = outcome
            if not outcome.succeeded:
                break
        if len(plan) > 1:
            answer = replace(answer, response=frozen(**{**answer.response, "steps": responses}))
        return answer
