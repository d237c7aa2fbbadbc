"""Attempts in two steps, through undo, through budgets, and with other runs' tickets."""

from __future__ import annotations

import json

import pytest

from attacks.attacker import call
from attacks.conftest import MakeScene, Scene
from signoff.demo.guard import receipts
from signoff.model.decision import Verdict
from signoff.model.errors import SignoffError


def signed_by_two(scene: Scene, ticket: str) -> None:
    for who in ("ana", "bo"):
        scene.guard.decide(ticket, who)


def test_disarming_first_does_not_make_the_delete_any_cheaper(scene: Scene) -> None:
    assert scene.held(scene.disarm())["quorum"] == 2
    signed_by_two(scene, scene.disarm().ticket)
    assert scene.disarm().status == 200
    delete = scene.dynamodb("DeleteTable", TableName="orders")
    assert delete.status == 403
    assert scene.aws.changes() == ["UpdateTable"]


def test_widening_rights_is_held_before_they_can_be_used(scene: Scene) -> None:
    told = scene.try_call(
        "iam", "AttachRolePolicy", RoleName="app", PolicyArn="arn:aws:iam::aws:policy/Admin"
    )
    ticket = told.partition("ticket `")[2].partition("`")[0]
    assert scene.guard.control.show(ticket)["quorum"] == 2
    assert scene.arrived() == []


def test_creating_again_under_the_same_name_is_asked_too(scene: Scene) -> None:
    seen = scene.dynamodb(
        "CreateTable",
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert seen.status == 403
    assert scene.arrived() == []


def test_many_small_deletes_are_each_asked_and_soon_too_many(scene: Scene) -> None:
    scene.aws.tables["orders"] = {str(n): {"id": {"S": str(n)}} for n in range(30)}
    for n in range(30):
        key = {"id": {"S": str(n)}}
        assert scene.dynamodb("DeleteItem", TableName="orders", Key=key).status == 403
    assert len(scene.aws.tables["orders"]) == 30
    mine = [h for h in scene.guard.control.holds() if h["run"] == scene.key["run"]]
    assert len(mine) <= 5


def test_asking_again_after_a_no_is_refused_in_other_words_too(scene: Scene) -> None:
    key = {"id": {"S": "first"}}
    ticket = scene.dynamodb("DeleteItem", TableName="orders", Key=key).ticket
    scene.guard.decide(ticket, "ana", Verdict.REJECT)
    again = scene.dynamodb("DeleteItem", TableName="orders", Key=key)
    batch = {"orders": [{"DeleteRequest": {"Key": key}}]}
    other = scene.dynamodb("BatchWriteItem", RequestItems=batch)
    for seen in (again, other):
        assert seen.status == 403
        assert not seen.ticket
        assert "rejected" in seen.text


# --- undo ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/undo/plan", "/act", "/.signoff/undo", "/.signoff/undo/plan", "/.signoff/act"]
)
def test_an_agent_has_no_way_to_ask_for_an_undo(scene: Scene, target: str) -> None:
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    body = json.dumps({"action": "", "run": scene.key["run"], "since_ms": 0}).encode()
    for service in ("signoff", "s3", "execute-api"):
        call(scene.endpoint, scene.key, service, "POST", target, body)
    assert scene.aws.changes() == ["PutItem"]
    assert not [r for r in scene.receipts() if r["mark"] == "undone"]


def test_an_undo_does_not_overwrite_newer_work_on_one_humans_word(scene: Scene) -> None:
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    newer = {"id": {"S": "first"}, "v": {"N": "777"}}
    scene.aws.tables["orders"]["first"] = newer
    result = scene.guard.undo("ana", run=scene.key["run"])
    assert result["state"] != "done"
    assert scene.aws.tables["orders"]["first"] == newer
    assert scene.aws.changes() == ["PutItem"]


def test_an_undo_signed_by_nobody_enrolled_does_nothing(scene: Scene) -> None:
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    control = scene.guard.control
    plan = control.undo_plan("", scene.key["run"], 0)
    members = {"action": "", "run": scene.key["run"], "since_ms": 0, "plan": plan["digest"]}
    from signoff.faces.backend import Act

    nonce, text = control.propose(Act.UNDO, members, "ana")
    forged = scene.guard.people["olga"].sign(text.encode())
    with pytest.raises(SignoffError):
        control.act(nonce, scene.guard.people["ana"].key.fingerprint, forged)
    assert scene.aws.changes() == ["PutItem"]


def test_a_budget_used_up_stops_the_destructive_act_and_not_the_capture(own: MakeScene) -> None:
    scene = own(start=False)
    path = scene.guard.config.path
    path.write_text(path.read_text().replace("budget_mb = 1024", "budget_mb = 1"))
    assert "budget_mb = 1\n" in path.read_text()
    scene.guard.start()
    scene.key = scene.guard.key()
    big = {str(n): {"id": {"S": str(n)}, "v": {"S": f"{n}" * 300_000}} for n in range(8)}
    scene.aws.tables["dev-orders"] = dict(big)
    seen = scene.dynamodb("DeleteTable", TableName="dev-orders")
    assert seen.status == 403
    assert scene.aws.tables["dev-orders"] == big
    assert scene.arrived() == []


def test_a_vault_that_cannot_be_written_stops_the_change(own: MakeScene) -> None:
    scene = own()
    vault = scene.guard.config.vault_dir
    for path in sorted(vault.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    vault.rmdir()
    vault.write_text("not a directory any more")
    item = {"id": {"S": "a"}}
    seen = scene.dynamodb("PutItem", TableName="dev-orders", Item=item)
    assert seen.status == 403
    assert scene.arrived() == []


# --- tickets --------------------------------------------------------------------------------


def test_a_ticket_of_another_run_is_as_unknown_as_one_that_never_was(scene: Scene) -> None:
    other = scene.another_run()
    theirs = other.put(2).ticket
    own = scene.put(2).ticket

    def look(ticket: str) -> tuple[int, str]:
        path = f"/.signoff/ticket/{ticket}"
        seen = call(scene.endpoint, scene.key, "signoff", "GET", path)
        return seen.status, seen.text.replace(ticket, "T")

    assert look(own)[0] == 200
    assert look(theirs) == look("H-00000000")
    assert look(theirs)[0] == 403


def test_asking_with_another_runs_ticket_in_the_request_joins_nothing(scene: Scene) -> None:
    other = scene.another_run()
    theirs = other.put(2).ticket
    scene.guard.decide(theirs, "ana")
    seen = scene.put(2)
    assert seen.status == 403
    assert seen.ticket != theirs
    assert scene.arrived() == []
    assert [r for r in receipts(scene.guard) if r["mark"] == "approved"]


def test_a_halted_run_is_stopped_whatever_was_signed(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    scene.guard.control.halt("", scene.key["run"])
    assert scene.put(2).status == 403
    assert scene.dynamodb("ListTables").status == 403
    assert scene.arrived() == []
