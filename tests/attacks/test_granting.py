"""Letting oneself into production: grants forged, replayed, widened, overdrawn, outlived."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from attacks.conftest import MakeScene, Scene
from signoff.faces.client import Answered

ASKED: Mapping[str, Any] = {
    "environment": "production",
    "verbs": ["create", "update"],
    "changes": 1,
    "ttl_ms": 3_600_000,
    "why": "",
}


@pytest.fixture
def outside(scene: Scene) -> Scene:
    """An attacker whose run nobody granted anything."""
    key = scene.guard.key(agent=f"{scene.key['agent']}-outside", granted=False)
    return Scene(scene.guard, scene.aws, key)


def draft(scene: Scene, **other: object) -> tuple[str, bytes]:
    """A grant for the attacker's run that waits for a signature: its id and its text."""
    made = scene.guard.control.draft_grant({"run": scene.key["run"], **ASKED, **other})
    text = str(made["payload"])
    return str(json.loads(text)["grant"]), text.encode()


def hand_in(scene: Scene, name: str, who: str, signature: bytes, key: str = "") -> str:
    """What the daemon says to a signature; "" when it opened the grant."""
    fingerprint = key or scene.guard.people[who].key.fingerprint
    try:
        scene.guard.control.sign_grant(name, who, fingerprint, signature)
    except Answered as error:
        return str(error)
    return ""


def stays_outside(scene: Scene) -> None:
    """The run still changes nothing in production."""
    seen = scene.put(7)
    assert seen.status == 403 or seen.status == 400
    assert "no grant" in seen.text
    assert scene.arrived() == []


def test_a_run_without_a_grant_changes_nothing_and_reads_and_works_outside(outside: Scene) -> None:
    stays_outside(outside)
    assert outside.disarm().ticket == ""
    item = {"id": {"S": "x"}, "v": {"N": "1"}}
    assert outside.dynamodb("GetItem", TableName="orders", Key={"id": {"S": "first"}}).status == 200
    assert outside.dynamodb("PutItem", TableName="dev-orders", Item=item).status == 200


def test_a_draft_that_nobody_signed_opens_nothing(outside: Scene) -> None:
    draft(outside)
    stays_outside(outside)


def test_the_operator_does_not_grant_to_their_own_run(outside: Scene) -> None:
    name, text = draft(outside)
    assert "cannot grant" in hand_in(outside, name, "olga", outside.guard.people["olga"].sign(text))
    stays_outside(outside)


def test_the_operator_does_not_sign_as_a_peer(outside: Scene) -> None:
    signature = outside.guard.people["olga"].sign
    name, text = draft(outside)
    assert "does not count" in hand_in(outside, name, "ana", signature(text))
    name, text = draft(outside)
    own = outside.guard.people["olga"].key.fingerprint
    assert "is not enrolled for" in hand_in(outside, name, "ana", signature(text), own)
    stays_outside(outside)


def test_a_peers_grant_for_another_run_is_not_replayed_for_this_one(outside: Scene) -> None:
    other = outside.another_run()
    _, text = draft(other)
    mine, _ = draft(outside)
    assert "does not count" in hand_in(outside, mine, "ana", outside.guard.people["ana"].sign(text))
    stays_outside(outside)


@pytest.mark.parametrize(
    "wider",
    [{"changes": 900}, {"verbs": ["create", "delete", "update"]}, {"ttl_ms": 7_200_000}],
)
def test_a_peers_signature_does_not_stretch_to_a_wider_grant(
    outside: Scene, wider: dict[str, object]
) -> None:
    _, text = draft(outside)
    mine, _ = draft(outside, **wider)
    assert "does not count" in hand_in(outside, mine, "ana", outside.guard.people["ana"].sign(text))
    stays_outside(outside)


def test_a_signature_of_a_hold_is_not_one_of_a_grant(outside: Scene) -> None:
    granted = outside.another_run()
    held = granted.held(granted.put(3))
    message = outside.guard.control.challenge(str(held["ticket"]), "ana", _approve())
    name, _ = draft(outside)
    signature = outside.guard.people["ana"].sign(message.encode())
    assert "does not count" in hand_in(outside, name, "ana", signature)
    stays_outside(outside)


def _approve() -> Any:
    from signoff.model.decision import Verdict

    return Verdict.APPROVE


def test_a_signed_grant_is_not_opened_twice(outside: Scene) -> None:
    name, text = draft(outside)
    signature = outside.guard.people["ana"].sign(text)
    assert hand_in(outside, name, "ana", signature) == ""
    assert "waits for a signature" in hand_in(outside, name, "ana", signature)
    (grant,) = outside.guard.control.grants(outside.key["run"])
    assert grant["changes"] == 1


def test_a_run_key_signs_no_grant(outside: Scene) -> None:
    name, _ = draft(outside)
    secret = base64.b64encode(outside.key["secret"].encode()).decode().encode()
    assert "is not enrolled for" in hand_in(outside, name, "ana", secret, outside.key["key_id"])
    stays_outside(outside)


def approved(scene: Scene, value: int, key: str) -> None:
    """A change of one item that a person has signed and that has not run yet."""
    scene.guard.decide(str(scene.held(scene.put(value, key))["ticket"]), "bo")


def test_a_last_change_that_is_raced_for_passes_once(outside: Scene) -> None:
    outside.guard.grant(outside.key["run"], "ana", verbs=("create", "update"), changes=1)
    keys = ("first", "second", "third")
    for key in keys:
        approved(outside, 5, key)
    with ThreadPoolExecutor(len(keys)) as pool:
        seen = list(pool.map(lambda key: outside.put(5, key).status, keys))
    assert sorted(seen)[0] == 200
    assert seen.count(200) == 1
    assert outside.aws.changes().count("PutItem") == 1
    (grant,) = outside.guard.control.grants(outside.key["run"])
    assert (grant["used"], grant["state"]) == (1, "used up")


def test_a_child_key_has_its_runs_grant_and_its_count_and_no_more(outside: Scene) -> None:
    outside.guard.grant(outside.key["run"], "ana", verbs=("create", "update"), changes=1)
    given = outside.client("sts").get_session_token()["Credentials"]
    child = {
        "key_id": given["AccessKeyId"],
        "secret": given["SecretAccessKey"],
        "token": given["SessionToken"],
    }
    twin = Scene(outside.guard, outside.aws, {**outside.key, **child})
    approved(twin, 5, "first")
    assert twin.put(5, "first").status == 200
    for who in (twin, outside):
        seen = who.put(6, "second")
        assert "no grant" in seen.text
    assert outside.aws.changes().count("PutItem") == 1


def test_a_grant_taken_back_while_people_sign_stops_the_change(outside: Scene) -> None:
    name = outside.guard.grant(outside.key["run"], "ana", verbs=("create", "update"))
    approved(outside, 5, "first")
    outside.guard.control.revoke_grant(name)
    stays_outside(outside)
    assert "no grant" in outside.put(5, "first").text
    assert outside.arrived() == []


def test_a_grant_taken_back_while_the_undo_is_saved_stops_the_change(own: MakeScene) -> None:
    scene = own()
    key = scene.guard.key(agent="late", granted=False)
    late = Scene(scene.guard, scene.aws, key)
    name = late.guard.grant(key["run"], "ana", verbs=("create", "update"))
    approved(late, 4, "second")
    late.aws.asked.clear()
    assert late.put(4, "second").status == 200
    # What was asked before the change: the last of it is the read that saves the undo.
    before = [operation for operation, _ in late.aws.asked].index("PutItem")
    approved(late, 5, "first")
    reached, go_on = threading.Event(), threading.Event()
    late.aws.asked.clear()
    late.aws.effects.clear()

    def delay(operation: str) -> None:
        if len(late.aws.asked) == before:
            reached.set()
            assert go_on.wait(30)

    late.aws.delay = delay
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(late.put, 5, "first")
        assert reached.wait(30)
        late.guard.control.revoke_grant(name)
        go_on.set()
        seen = waiting.result(60)
    assert seen.status in (400, 403)
    assert "grant" in seen.text
    assert "PutItem" not in [operation for operation, _ in late.aws.asked]


def test_a_grant_written_into_the_state_or_put_back_opens_nothing(own: MakeScene) -> None:
    scene = own()
    guard = scene.guard
    used = guard.key(agent="spender", granted=False)
    spender = Scene(guard, scene.aws, used)
    guard.grant(used["run"], "ana", verbs=("create", "update"), changes=1)
    file = guard.config.ledger_path
    guard.stop()
    with closing(sqlite3.connect(file)) as db:
        query = "SELECT sealed FROM grants WHERE run = ?"
        (fresh,) = db.execute(query, (used["run"],)).fetchone()
    guard.start()
    approved(spender, 5, "first")
    assert spender.put(5, "first").status == 200
    guard.stop()
    thief = "R-nobody"
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE grants SET sealed = ? WHERE run = ?", (fresh, used["run"]))
        row = db.execute("SELECT id, opened_at FROM grants WHERE run = ?", (used["run"],))
        name, at = row.fetchone()
        db.execute("INSERT INTO grants VALUES (?,?,?,?)", (f"{name}x", thief, at, fresh))
        db.commit()
    guard.start()
    scene.aws.effects.clear()
    approved(spender, 6, "second")
    seen = spender.put(6, "second")
    assert seen.status in (400, 403)
    assert "not as the ledger says" in seen.text
    assert scene.aws.changes().count("PutItem") == 0


def test_an_older_copy_of_the_state_gives_no_used_change_back(own: MakeScene) -> None:
    scene = own()
    guard = scene.guard
    spender = Scene(guard, scene.aws, guard.key(agent="spender", granted=False))
    run = spender.key["run"]
    guard.grant(run, "ana", verbs=("create", "update"), changes=1)
    guard.stop()
    copy = guard.folder / "older-copy"
    shutil.copytree(guard.config.state_dir, copy, ignore=shutil.ignore_patterns("*.sock"))
    guard.start()
    approved(spender, 5, "first")
    assert spender.put(5, "first").status == 200
    guard.stop()
    shutil.rmtree(guard.config.state_dir)
    shutil.copytree(copy, guard.config.state_dir)
    guard.start()
    (grant,) = guard.control.grants(run)
    assert grant["state"] == "revoked"
    assert "no grant" in spender.put(6, "second").text
    assert scene.aws.changes() == ["PutItem"]
