"""Conversations about access: a run in production under a grant, and without one."""

from __future__ import annotations

import asyncio

from signoff.model.receipt import Mark
from signoff.testing.scene import (
    Again,
    Call,
    Denied,
    Grants,
    Held,
    Passed,
    Passes,
    Revokes,
    Scene,
    Signs,
)

KEY = {"id": {"S": "1"}}
DELETE = Call("dynamodb:DeleteItem", TableName="orders", Key=KEY)
PUT = Call("dynamodb:PutItem", TableName="orders", Item={**KEY, "text": {"S": "void"}})
DEV = Call("dynamodb:DeleteItem", TableName="dev-orders", Key=KEY)
READ = Call("dynamodb:GetItem", TableName="orders", Key=KEY)
ORDERS = {"orders": {"1": "paid"}, "dev-orders": {"1": "paid"}}


def guarded() -> Scene:
    return Scene(ORDERS, grants=True)


async def test_without_a_grant_a_run_changes_nothing_in_production_and_reads_on() -> None:
    scene = guarded() >> DELETE << Denied("no grant") >> READ << Passed() >> DEV
    await (scene << Passed()).play()
    assert scene.target.tables["orders"] == {"1": "paid"}


async def test_the_denial_says_what_to_ask_whom() -> None:
    asked = (
        "ask a peer of olga: signoff grant R-1 --environment production --verbs delete "
        "--changes 10 --hours 1"
    )
    await (guarded() >> DELETE << Denied(asked)).play()


async def test_a_grant_opens_the_door_and_a_person_still_signs_the_change() -> None:
    scene = guarded() >> Grants("ana") >> DELETE << Held(1) >> Signs("bo") >> Again()
    await (scene << Passed()).play()
    (grant,) = scene.store.grant_rows.values()
    assert grant.used == 1
    started = [r for r in scene.store.receipts if r.mark is Mark.STARTED]
    assert [r.detail["grants"] for r in started] == [(grant.id,)]


async def test_a_grant_for_other_verbs_opens_nothing() -> None:
    await (guarded() >> Grants("ana", ("read", "update")) >> DELETE << Denied("no grant")).play()


async def test_a_grant_that_is_used_up_opens_nothing_more() -> None:
    scene = guarded() >> Grants("ana", changes=1) >> DELETE << Held(1) >> Signs("bo") >> Again()
    await (scene << Passed() >> PUT << Denied("no grant")).play()


async def test_a_grant_that_expires_while_people_sign_opens_nothing() -> None:
    scene = guarded() >> Grants("ana", minutes=10) >> DELETE << Held(1) >> Signs("bo")
    await (scene >> Passes(10) >> Again() << Denied("no grant")).play()
    assert scene.target.sent == []


async def test_a_grant_taken_back_while_people_sign_opens_nothing() -> None:
    scene = guarded() >> Grants("ana") >> DELETE << Held(1) >> Signs("bo")
    await (scene >> Revokes() >> Again() << Denied("no grant")).play()
    assert scene.target.sent == []


async def test_a_second_grant_goes_on_where_the_first_ended() -> None:
    first = guarded() >> Grants("ana", changes=1) >> PUT << Held(1) >> Signs("bo") >> Again()
    second = first << Passed() >> Grants("cy", changes=1) >> DELETE << Held(1)
    await (second >> Signs("bo") >> Again() << Passed()).play()
    assert [g.used for g in second.store.grant_rows.values()] == [1, 1]


async def test_two_actions_cannot_use_the_same_last_change() -> None:
    scene = guarded() >> Grants("ana", changes=1) >> DELETE << Held(1) >> Signs("bo")
    await (scene >> PUT << Held(1) >> Signs("cy")).play()
    both = await asyncio.gather(scene._send(DELETE), scene._send(PUT))
    assert sorted(answer.status for answer in both) == [200, 403]
    assert len(scene.target.sent) == 1
