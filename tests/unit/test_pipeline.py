"""The story, told with fakes: what stops where, and what is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signoff.model.action import Principal
from signoff.model.decision import Decision, HoldState, Ruling, Verdict
from signoff.model.effect import Understanding
from signoff.model.errors import ExecutionFailed, LedgerUnavailable, Refused
from signoff.model.ports import Facts
from signoff.model.receipt import Mark
from signoff.model.values import frozen
from story import AGENT, Stage, bundle, drawer

pytestmark = pytest.mark.filterwarnings("error")


def marks(stage: Stage) -> list[Mark]:
    return [r.mark for r in stage.store.receipts]


async def test_a_read_passes_and_leaves_one_receipt() -> None:
    stage = Stage({"dev-a": "one"})
    reply = await stage.ask(drawer("Look", "dev-a"))
    assert reply.ruling is Ruling.ALLOW
    assert reply.outcome is not None
    assert reply.outcome.reply == "one"
    assert marks(stage) == [Mark.READ]


async def test_a_change_outside_production_is_captured_before_it_starts() -> None:
    stage = Stage({"dev-a": "one"})
    reply = await stage.ask(drawer("Put", "dev-a", "two"))
    assert reply.mark is Mark.SUCCEEDED
    assert marks(stage) == [Mark.DECIDED, Mark.CAPTURED, Mark.STARTED, Mark.SUCCEEDED]
    assert stage.world.held["dev-a"] == "two"


async def test_a_production_change_waits_for_one_person_and_runs_once() -> None:
    stage = Stage({"prod-a": "one"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    assert held.ruling is Ruling.HOLD
    assert held.ticket
    assert stage.world.done == []
    await stage.sign(held.ticket, "ana")
    first = await stage.ask(action)
    assert first.mark is Mark.SUCCEEDED
    assert stage.world.done == ["Put prod-a"]
    again = await stage.ask(action)
    assert again.ruling is Ruling.HOLD
    assert again.ticket != held.ticket
    assert stage.world.done == ["Put prod-a"]


async def test_an_irreversible_production_change_needs_two_people() -> None:
    stage = Stage({"prod-fire": "one"})
    action = drawer("Remove", "prod-fire")
    held = await stage.ask(action)
    assert held.decision.quorum == 2
    await stage.sign(held.ticket, "ana")
    assert (await stage.ask(action)).ruling is Ruling.HOLD
    await stage.sign(held.ticket, "bo")
    assert (await stage.ask(action)).mark is Mark.SUCCEEDED


async def test_equal_requests_join_one_hold() -> None:
    stage = Stage({"prod-a": "one"})
    first = await stage.ask(drawer("Put", "prod-a", "two"))
    second = await stage.ask(drawer("Put", "prod-a", "two"))
    assert first.ticket == second.ticket


async def test_a_sixth_open_hold_of_a_run_is_refused() -> None:
    stage = Stage({})
    for number in range(5):
        assert (await stage.ask(drawer("Put", f"prod-{number}", "x"))).ticket
    with pytest.raises(Refused, match="5 open holds"):
        await stage.ask(drawer("Put", "prod-6", "x"))


async def test_a_rejected_effect_is_not_asked_again_by_that_run() -> None:
    stage = Stage({"prod-a": "one"})
    held = await stage.ask(drawer("Put", "prod-a", "two"))
    await stage.sign(held.ticket, "ana", Verdict.REJECT)
    with pytest.raises(Refused, match="rejected"):
        await stage.ask(drawer("Put", "prod-a", "three"))


async def test_a_larger_bound_after_the_sign_off_makes_it_stale_and_says_so() -> None:
    stage = Stage({"prod-a": "one"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    await stage.sign(held.ticket, "ana")
    stage.world.held["prod-a"] = "much longer than before"
    reply = await stage.ask(action)
    assert reply.mark is Mark.STALE
    assert "3" in reply.message
    assert "23" in reply.message
    assert stage.world.done == []
    assert stage.store.holds[held.ticket].state is HoldState.STALE


async def test_a_smaller_bound_after_the_sign_off_is_not_stale() -> None:
    stage = Stage({"prod-a": "four"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    await stage.sign(held.ticket, "ana")
    stage.world.held["prod-a"] = "x"
    assert (await stage.ask(action)).mark is Mark.SUCCEEDED


async def test_another_run_cannot_use_the_sign_off() -> None:
    stage = Stage({"prod-a": "one"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    await stage.sign(held.ticket, "ana")
    other = await stage.ask(action, principal=replace(AGENT, run="R-2"))
    assert other.ruling is Ruling.HOLD
    assert other.ticket != held.ticket
    assert stage.world.done == []


async def test_an_approval_that_expired_is_not_used() -> None:
    stage = Stage({"prod-a": "one"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    await stage.sign(held.ticket, "ana")
    stage.clock.pass_ms(3_600_001)
    reply = await stage.ask(action)
    assert reply.ruling is Ruling.HOLD
    assert reply.ticket != held.ticket
    assert stage.world.done == []


async def test_nothing_runs_when_the_undo_cannot_be_saved() -> None:
    stage = Stage({"dev-a": "one"})
    stage.vault.full = True
    reply = await stage.ask(drawer("Put", "dev-a", "two"))
    assert reply.ruling is Ruling.DENY
    assert reply.mark is Mark.FAILED
    assert stage.world.done == []


async def test_nothing_runs_when_no_receipt_can_be_written() -> None:
    stage = Stage({"dev-a": "one"})
    stage.store.broken = True
    with pytest.raises(LedgerUnavailable):
        await stage.ask(drawer("Put", "dev-a", "two"))
    assert stage.world.done == []


async def test_an_answer_that_never_came_leaves_the_action_in_doubt() -> None:
    stage = Stage({"dev-a": "one"})
    stage.world.cut = True
    with pytest.raises(ExecutionFailed):
        await stage.ask(drawer("Put", "dev-a", "two"))
    assert marks(stage)[-1] is Mark.IN_DOUBT
    assert list(stage.store.started.values()) == ["in_doubt"]


async def test_a_world_that_does_not_answer_costs_the_undo_and_raises_the_quorum() -> None:
    stage = Stage({"prod-a": "one"})
    stage.world.deaf = True
    reply = await stage.ask(drawer("Put", "prod-a", "two"))
    assert reply.ruling is Ruling.HOLD
    assert reply.decision.quorum == 2


async def test_observing_forwards_captures_and_records_the_ruling() -> None:
    stage = Stage({"prod-a": "one"})
    reply = await stage.ask(drawer("Put", "prod-a", "two"), observe=frozenset({"production"}))
    assert reply.mark is Mark.SUCCEEDED
    assert reply.decision.ruling is Ruling.HOLD
    assert Mark.CAPTURED in marks(stage)


async def test_an_action_no_surface_claims_is_unknown_and_never_runs_by_itself() -> None:
    stage = Stage({})
    reply = await stage.ask(replace(drawer("Put", "dev-a", "x"), surface="fortran"))
    assert reply.ruling is not Ruling.ALLOW
    assert stage.world.done == []


async def test_a_halt_while_the_undo_is_saved_stops_the_action() -> None:
    stage = Stage({"dev-a": "one"})
    kept = stage.vault.put

    async def halting(run: str, content: bytes) -> str:
        stage.store.settings["halt/all"] = frozen(since_ms=1)
        return await kept(run, content)

    stage.vault.put = halting  # type: ignore[method-assign] # somebody presses it now
    reply = await stage.ask(drawer("Put", "dev-a", "two"))
    assert reply.ruling is Ruling.DENY
    assert stage.world.done == []


class Lenient:
    """A judge gone wrong: it asks for `quorum` people, and allows once they signed."""

    def __init__(self, quorum: int) -> None:
        self.quorum = quorum

    def decide(self, principal: Principal, understanding: Understanding, facts: Facts) -> Decision:
        if len(facts.approvers) >= self.quorum:
            return Decision(Ruling.ALLOW, ("wrong",), obligations=(), bundle=bundle().digest)
        return Decision(Ruling.HOLD, ("wrong",), quorum=self.quorum, bundle=bundle().digest)


async def test_no_policy_lets_an_agent_change_production_without_a_hold() -> None:
    stage = Stage({"prod-a": "one", "dev-a": "one"})
    stage.pipeline = replace(stage.pipeline, judge=Lenient(0))
    reply = await stage.ask(drawer("Put", "prod-a", "two"))
    assert reply.ruling is Ruling.DENY
    assert reply.decision.reasons == ("nobody-signed",)
    assert stage.world.done == []
    assert (await stage.ask(drawer("Look", "prod-a"))).mark is Mark.READ
    assert (await stage.ask(drawer("Put", "dev-a", "two"))).mark is Mark.SUCCEEDED


async def test_no_policy_lets_one_person_sign_what_cannot_be_taken_back() -> None:
    stage = Stage({"prod-fire": "one"})
    stage.pipeline = replace(stage.pipeline, judge=Lenient(1))
    action = drawer("Remove", "prod-fire")
    held = await stage.ask(action)
    assert held.decision.quorum == 1
    await stage.sign(held.ticket, "ana")
    reply = await stage.ask(action)
    assert "1 of 2 sign-offs" in reply.message
    assert stage.world.done == []
