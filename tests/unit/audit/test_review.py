"""What is on the list of production actions, and whose look takes it off."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from signoff.audit.review import Item, Why, chosen, counts, items
from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Obligation, Ruling
from signoff.model.effect import Effect, Resource, Understanding, Verb
from signoff.model.errors import ExecutionFailed
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from story import Stage, drawer

ANA = Principal("", "", "ana")


def listed(receipts: list[Receipt], **how: frozenset[str]) -> tuple[Item, ...]:
    rows: list[tuple[int, Mapping[str, object]]] = [
        (n, json.loads(r.leaf())) for n, r in enumerate(receipts)
    ]
    return items(rows, **how)


def look(human: str, actions: list[str], until: int, profile: str = "team") -> Receipt:
    detail = frozen(act="review", actions=actions, until=until, profile=profile, human=human)
    return Receipt(Mark.CONTROL, 9, "", Principal("", "", human), detail=detail)


async def changed(stage: Stage, key: str = "prod-a") -> str:
    """A production change with one sign-off; its action id."""
    held = await stage.ask(drawer("Put", key, "two"))
    await stage.sign(held.ticket, "ana")
    done = await stage.ask(drawer("Put", key, "two"))
    assert done.mark is Mark.SUCCEEDED
    return done.action_id


def decided(ruling: Ruling, *, where: str, notify: bool = False, observed: bool = False) -> Receipt:
    action = Action("aws", "s3:DeleteBucket", frozen(Bucket=where))
    effect = Effect(Verb.DELETE, Resource(f"arn:aws:s3:::{where}", "s3:bucket", where))
    owed = (Obligation.NOTIFY,) if notify else ()
    return Receipt(
        Mark.DECIDED,
        1,
        f"A-{where}-{ruling.value}-{notify}-{observed}",
        Principal("kit", "R-1", "olga"),
        action=action,
        understanding=Understanding(action, (effect,)),
        decision=Decision(ruling, ("boundary-x",), obligations=owed),
        detail=frozen(observed=observed),
    )


async def test_a_production_change_is_listed_with_who_signed_it_and_others_are_not() -> None:
    stage = Stage({"prod-a": "one", "dev-a": "one"})
    action = await changed(stage)
    await stage.ask(drawer("Put", "dev-a", "two"))
    await stage.ask(drawer("Look", "prod-a"))
    await stage.ask(drawer("Put", "prod-held", "never signed"))
    (item,) = listed(stage.store.receipts)
    assert (item.action_id, item.why, item.signed) == (action, (Why.DONE,), ("ana",))
    assert item.effects == (("update", "drawer/prod-a", "production"),)
    assert item.pending


async def test_somebody_elses_look_takes_it_off_and_the_operators_does_not() -> None:
    stage = Stage({"prod-a": "one"})
    action = await changed(stage)
    size = len(stage.store.receipts)
    own = [*stage.store.receipts, look("olga", [action], size)]
    (item,) = listed(own)
    assert item.pending
    assert item.own_look_only
    (item,) = listed([*own, look("bo", [action], size + 1)])
    assert not item.pending
    assert [(x.human, x.counts) for x in item.looks] == [("olga", False), ("bo", True)]


async def test_alone_the_operators_own_look_counts() -> None:
    stage = Stage({"prod-a": "one"})
    action = await changed(stage)
    size = len(stage.store.receipts)
    (item,) = listed([*stage.store.receipts, look("olga", [action], size, "solo")])
    assert not item.pending


async def test_what_happens_after_a_look_has_to_be_looked_at_again() -> None:
    stage = Stage({"prod-a": "one"})
    action = await changed(stage)
    seen = look("bo", [action], len(stage.store.receipts))
    await stage.store.append(seen)
    await stage.rewind.take_back(await stage.rewind.find(action_id=action), "cy", verified=True)
    found = {item.action_id: item for item in listed(stage.store.receipts)}
    assert found[action].why == (Why.DONE, Why.UNDONE)
    assert found[action].pending
    (undo,) = [item for name, item in found.items() if name != action]
    assert (undo.name, undo.operator) == ("signoff:Undo", "cy")


async def test_a_look_covers_nothing_that_was_written_after_it() -> None:
    stage = Stage({"prod-a": "one"})
    action = await changed(stage)
    claims_too_much = look("bo", [action], 1_000)
    await stage.store.append(claims_too_much)
    await stage.rewind.take_back(await stage.rewind.find(action_id=action), "cy", verified=True)
    found = {item.action_id: item for item in listed(stage.store.receipts)}
    assert found[action].pending


async def test_an_action_in_doubt_is_listed_until_it_is_settled_and_after() -> None:
    stage = Stage({"prod-a": "one"})
    held = await stage.ask(drawer("Put", "prod-a", "two"))
    await stage.sign(held.ticket, "ana")
    stage.world.cut = True
    with pytest.raises(ExecutionFailed):
        await stage.ask(drawer("Put", "prod-a", "two"))
    (item,) = listed(stage.store.receipts)
    assert item.why == (Why.DOUBT,)
    settled = Receipt(
        Mark.SETTLED, 5, "", ANA, detail=frozen(act="settle", action=item.action_id, state="failed")
    )
    (item,) = listed([*stage.store.receipts, settled])
    assert item.why == (Why.SETTLED,)


async def test_a_start_without_an_outcome_is_in_doubt() -> None:
    stage = Stage({"prod-a": "one"})
    await changed(stage)
    (item,) = listed(stage.store.receipts[:-1])
    assert item.why == (Why.DOUBT,)


async def test_a_change_whose_undo_could_not_be_saved_is_not_listed() -> None:
    stage = Stage({"prod-a": "one"})
    held = await stage.ask(drawer("Put", "prod-a", "two"))
    await stage.sign(held.ticket, "ana")
    stage.vault.budget = 1
    await stage.ask(drawer("Put", "prod-a", "two"))
    assert listed(stage.store.receipts) == ()


async def test_what_was_only_observed_is_listed_with_what_became_of_it() -> None:
    stage = Stage({"prod-a": "one"})
    await stage.ask(drawer("Put", "prod-a", "two"), observe=frozenset({"production"}))
    (item,) = listed(stage.store.receipts)
    assert item.why == (Why.OBSERVED, Why.DONE)


def test_an_attempt_at_a_boundary_is_listed_wherever_it_was_and_another_denial_is_not() -> None:
    found = listed(
        [
            decided(Ruling.DENY, where="production", notify=True),
            decided(Ruling.DENY, where="staging", notify=True),
            decided(Ruling.DENY, where="production"),
        ]
    )
    assert [item.why for item in found] == [(Why.BOUNDARY,)] * 2
    assert [item.environments for item in found] == [("staging",), ("production",)]


def test_an_environment_nobody_knows_counts_as_production() -> None:
    unknown = decided(Ruling.HOLD, where="attic", observed=True)
    assert [i.environments for i in listed([unknown])] == [("attic",)]
    assert listed([unknown], elsewhere=frozenset({"attic"})) == ()


def test_a_start_of_which_nothing_else_is_known_counts_as_production() -> None:
    known = decided(Ruling.ALLOW, where="staging")
    started = Receipt(Mark.STARTED, 2, "A-other", known.principal, action=known.action)
    assert listed([known, started]) == ()
    assert [i.why for i in listed([started])] == [(Why.DOUBT,)]


def test_receipts_that_make_no_sense_are_left_out() -> None:
    rows: list[tuple[int, Mapping[str, object]]] = [
        (0, {}),
        (1, {"mark": "nonsense"}),
        (2, {"mark": "decided", "action_id": "A", "time_ms": "x"}),
        (3, {"mark": "control", "action_id": "", "time_ms": 1, "detail": {"act": "review"}}),
        (4, {"mark": "settled", "action_id": "", "time_ms": 1}),
        (5, {"mark": "started", "action_id": "A", "time_ms": 1, "principal": 3, "action": {}}),
    ]
    assert items(rows) == ()


async def test_a_human_means_actions_or_what_is_left_of_a_run_or_up_to_a_receipt() -> None:
    stage = Stage({"prod-a": "one", "prod-b": "one"})
    first = await changed(stage)
    size = len(stage.store.receipts)
    second = await changed(stage, "prod-b")
    found = listed(stage.store.receipts)
    assert [i.action_id for i in found] == [second, first]
    assert [i.action_id for i in chosen(found, [first])] == [first]
    assert len(chosen(found, [], run="R-1")) == 2
    assert chosen(found, [], run="R-9") == ()
    assert [i.action_id for i in chosen(found, [], until=size - 1)] == [first]


@pytest.mark.parametrize("human", ["olga", "OLGA", " olga ", "оlga", "kit", "R-1"])
def test_no_spelling_of_the_side_that_asked_counts(human: str) -> None:
    assert not counts(human, "kit", "R-1", "olga", solo=False)
    assert counts(human, "kit", "R-1", "olga", solo=True)
    assert counts("ana", "kit", "R-1", "olga", solo=False)
