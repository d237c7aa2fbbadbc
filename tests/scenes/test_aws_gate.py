"""Conversations at the AWS gate."""

from __future__ import annotations

from signoff.model.decision import Verdict
from signoff.model.receipt import Mark
from signoff.testing.scene import (
    Again,
    Call,
    Denied,
    Foreign,
    Held,
    Passed,
    Passes,
    Scene,
    Signs,
)

KEY = {"id": {"S": "1"}}
DELETE = Call("dynamodb:DeleteItem", TableName="orders", Key=KEY)
DEV = Call("dynamodb:DeleteItem", TableName="dev-orders", Key=KEY)
READ = Call("dynamodb:GetItem", TableName="orders", Key=KEY)
ORDERS = {"orders": {"1": "paid"}, "dev-orders": {"1": "paid"}}


async def test_a_read_passes() -> None:
    await (Scene(ORDERS) >> READ << Passed()).play()


async def test_a_production_change_waits_for_one_person_and_runs_once() -> None:
    scene = Scene(ORDERS) >> DELETE << Held(1) >> Signs("ana") >> Again() << Passed()
    await (scene >> Again() << Held(1)).play()
    assert scene.target.tables["orders"] == {}


async def test_a_development_change_passes_and_can_be_undone() -> None:
    scene = await (Scene(ORDERS) >> DEV << Passed()).play()
    assert Mark.CAPTURED in [r.mark for r in scene.store.receipts]


async def test_a_change_of_the_item_after_the_sign_off_is_fine_and_its_undo_is_newer() -> None:
    scene = Scene(ORDERS) >> DELETE << Held(1) >> Signs("ana")
    await (scene >> Foreign("orders", "1", "refunded") >> Again() << Passed()).play()


async def test_an_approval_does_not_outlive_its_hour() -> None:
    scene = Scene(ORDERS) >> DELETE << Held(1) >> Signs("ana") >> Passes(61)
    await (scene >> Again() << Held(1)).play()
    assert scene.target.sent == []


async def test_a_rejected_deletion_is_denied_and_says_so() -> None:
    scene = Scene(ORDERS) >> DELETE << Held(1) >> Signs("ana", Verdict.REJECT)
    await (scene >> Again() << Denied("rejected")).play()


async def test_sql_inside_a_data_call_is_never_milder_than_unknown() -> None:
    sql = Call("dynamodb:ExecuteStatement", Statement="DELETE FROM \"orders\" WHERE id = '1'")
    await (Scene(ORDERS) >> sql << Held(2)).play()
