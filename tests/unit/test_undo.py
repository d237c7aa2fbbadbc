"""Taking back: exactly or not at all, never over what someone else wrote since."""

from __future__ import annotations

from signoff.model.receipt import Mark
from story import Stage, drawer


async def test_an_undo_brings_back_what_was_there() -> None:
    stage = Stage({"dev-a": "one"})
    reply = await stage.ask(drawer("Remove", "dev-a"))
    found = await stage.rewind.find(action_id=reply.action_id)
    (result,) = await stage.rewind.take_back(found, "ana", verified=True)
    assert result.state == "undone"
    assert not result.differences
    assert stage.world.held == {"dev-a": "one"}


async def test_a_run_is_taken_back_newest_first() -> None:
    stage = Stage({"dev-a": "one"})
    await stage.ask(drawer("Put", "dev-a", "two"))
    await stage.ask(drawer("Put", "dev-b", "new"))
    await stage.ask(drawer("Put", "dev-a", "three"))
    results = await stage.rewind.take_back(await stage.rewind.find(run="R-1"), "ana", verified=True)
    assert [r.state for r in results] == ["undone"] * 3
    assert stage.world.held == {"dev-a": "one"}
    assert stage.world.done[3:] == ["Put dev-a", "Remove dev-b", "Put dev-a"]


async def test_a_foreign_change_is_never_overwritten_and_is_listed() -> None:
    stage = Stage({"dev-a": "one"})
    reply = await stage.ask(drawer("Put", "dev-a", "two"))
    stage.world.held["dev-a"] = "someone else's"
    found = await stage.rewind.find(action_id=reply.action_id)
    (result,) = await stage.rewind.take_back(found, "ana", verified=True)
    assert result.state == "conflict"
    assert "dev-a" in result.conflicts[0]
    assert stage.world.held == {"dev-a": "someone else's"}
    assert stage.store.receipts[-1].mark is Mark.CONFLICT


async def test_overwriting_newer_production_work_needs_two_other_people() -> None:
    stage = Stage({"prod-a": "one"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    await stage.sign(held.ticket, "ana")
    done = await stage.ask(action)
    stage.world.held["prod-a"] = "foreign"
    found = await stage.rewind.find(action_id=done.action_id)
    (first,) = await stage.rewind.take_back(found, "ana", verified=True, overwrite=True)
    assert first.state == "held"
    assert first.ticket
    await stage.sign(first.ticket, "bo")
    await stage.sign(first.ticket, "cy")
    (second,) = await stage.rewind.take_back(found, "ana", verified=True, overwrite=True)
    assert second.state == "undone"
    assert stage.world.held == {"prod-a": "one"}


async def test_an_undo_can_itself_be_undone() -> None:
    stage = Stage({"dev-a": "one"})
    reply = await stage.ask(drawer("Put", "dev-a", "two"))
    (back,) = await stage.rewind.take_back(
        await stage.rewind.find(action_id=reply.action_id), "ana", verified=True
    )
    undone = await stage.store.undo(reply.action_id)
    assert back.state == "undone"
    assert undone is not None
    (forth,) = await stage.rewind.take_back(
        await stage.rewind.find(action_id=undone.undone_by), "ana", verified=True
    )
    assert forth.state == "undone"
    assert stage.world.held == {"dev-a": "two"}


async def test_someone_who_did_not_prove_who_they_are_takes_nothing_back() -> None:
    stage = Stage({"prod-a": "one"})
    action = drawer("Put", "prod-a", "two")
    held = await stage.ask(action)
    await stage.sign(held.ticket, "ana")
    done = await stage.ask(action)
    found = await stage.rewind.find(action_id=done.action_id)
    (result,) = await stage.rewind.take_back(found, "ana", verified=False)
    assert result.state in {"denied", "held"}
    assert stage.world.held == {"prod-a": "two"}


async def test_an_expired_undo_says_when_it_was_captured_and_how_long_it_was_kept() -> None:
    stage = Stage({"dev-a": "one"})
    reply = await stage.ask(drawer("Put", "dev-a", "two"))
    stage.clock.pass_ms(8 * 86_400_000)
    found = await stage.rewind.find(action_id=reply.action_id)
    (result,) = await stage.rewind.take_back(found, "ana", verified=True)
    assert result.state == "failed"
    assert "captured 8 d ago, kept 7 d" in result.message
