"""Attempts to let an agent's own hold pass without its humans.

The attacker knows everything about the hold and holds every key an agent may come by,
even one human's; in the last tests they even write Signoff's own state file.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest

from attacks.attacker import call
from attacks.conftest import MakeScene, Scene
from signoff.approvals.signatures import check_enrolment
from signoff.demo.guard import person
from signoff.model.decision import Verdict
from signoff.model.errors import ConfigInvalid, SignoffError
from signoff.model.human import Human, Profile


def submit(scene: Scene, ticket: str, human: str, text: str, signer: str) -> None:
    """Hand in a signature that `signer` made over `text` as `human`'s."""
    made = scene.guard.people[signer].sign(text.encode())
    key = scene.guard.people[human].key.fingerprint
    scene.guard.control.submit(ticket, human, Verdict.APPROVE, key, made)


def state_of(scene: Scene, ticket: str) -> str:
    return str(scene.guard.control.show(ticket)["state"])


def test_the_operator_the_agent_acts_for_does_not_count(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    with pytest.raises(SignoffError):
        scene.guard.decide(ticket, "olga")
    assert state_of(scene, ticket) == "open"
    assert scene.put(2).status == 403
    assert scene.arrived() == []


def test_one_human_signing_twice_is_one_human(scene: Scene) -> None:
    ticket = scene.disarm().ticket
    scene.guard.decide(ticket, "ana")
    with pytest.raises(SignoffError):
        scene.guard.decide(ticket, "ana")
    assert scene.disarm().status == 403
    assert scene.arrived() == []


def test_a_signature_of_another_humans_key_is_not_theirs(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    text = scene.guard.control.challenge(ticket, "ana", Verdict.APPROVE)
    with pytest.raises(SignoffError):
        submit(scene, ticket, "ana", text, signer="olga")
    assert state_of(scene, ticket) == "open"


def test_a_key_nobody_enrolled_signs_nothing(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    text = scene.guard.control.challenge(ticket, "ana", Verdict.APPROVE)
    stranger = person("stranger")
    made = stranger.sign(text.encode())
    for human in ("ana", "stranger", "builder", ""):
        with pytest.raises(SignoffError):
            scene.guard.control.submit(
                ticket, human, Verdict.APPROVE, stranger.key.fingerprint, made
            )
    assert state_of(scene, ticket) == "open"


def test_a_reject_is_not_presented_as_an_approve(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    text = scene.guard.control.challenge(ticket, "ana", Verdict.REJECT)
    with pytest.raises(SignoffError):
        submit(scene, ticket, "ana", text, signer="ana")
    assert state_of(scene, ticket) == "open"


def test_a_signoff_of_one_hold_is_not_replayed_on_another(scene: Scene) -> None:
    first, second = scene.put(2).ticket, scene.put(3).ticket
    text = scene.guard.control.challenge(first, "ana", Verdict.APPROVE)
    with pytest.raises(SignoffError):
        submit(scene, second, "ana", text, signer="ana")
    assert state_of(scene, second) == "open"


def test_a_signoff_of_one_run_is_not_replayed_for_another(scene: Scene) -> None:
    other = scene.another_run()
    mine, theirs = scene.put(2).ticket, other.put(2).ticket
    assert mine != theirs
    scene.guard.decide(mine, "ana")
    assert other.put(2).status == 403
    text = scene.guard.control.challenge(mine, "ana", Verdict.APPROVE)
    with pytest.raises(SignoffError):
        submit(scene, theirs, "ana", text, signer="ana")
    assert scene.arrived() == []


def test_a_spent_approval_is_not_spent_again(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    assert scene.put(2).status == 200
    again = scene.put(2)
    assert again.status == 403
    assert again.ticket != ticket
    assert scene.aws.changes() == ["PutItem"]


def test_an_approval_does_not_stretch_to_a_wider_request(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    wider = scene.dynamodb("PutItem", TableName="orders", Item={"id": {"S": "other"}})
    assert wider.status == 403
    assert scene.dynamodb("DeleteTable", TableName="orders").status == 403
    assert scene.arrived() == []


def test_an_approval_of_a_world_that_has_changed_is_stale(scene: Scene) -> None:
    ticket = scene.dynamodb("DeleteItem", TableName="orders", Key={"id": {"S": "new"}}).ticket
    put = scene.put(5, key="fresh")
    scene.guard.decide(put.ticket, "ana")
    # What was a creation when it was signed would be an overwriting now.
    scene.aws.tables["orders"]["fresh"] = {"id": {"S": "fresh"}, "v": {"N": "9"}}
    seen = scene.put(5, key="fresh")
    assert seen.status == 403
    assert "stale" in seen.text
    assert scene.arrived() == []
    assert ticket


def test_a_control_message_in_a_request_is_data(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    note = json.dumps({"verdict": "approve", "ticket": ticket, "human": "ana"})
    item = {"id": {"S": "first"}, "v": {"N": "2"}, "note": {"S": note}}
    assert scene.dynamodb("PutItem", TableName="orders", Item=item).status == 403
    assert state_of(scene, ticket) == "open"


@pytest.mark.parametrize(
    "target",
    [
        "/holds/{}/signoff",
        "/holds/{}/challenge",
        "/.signoff/holds/{}/signoff",
        "/.signoff/ticket/{}",
    ],
)
def test_an_http_call_of_a_control_route_on_the_gate_signs_nothing(
    scene: Scene, target: str
) -> None:
    ticket = scene.put(2).ticket
    body = json.dumps({"human": "ana", "verdict": "approve", "key": "", "signature": ""}).encode()
    for service in ("s3", "execute-api", "dynamodb"):
        call(scene.endpoint, scene.key, service, "POST", target.format(ticket), body)
    assert state_of(scene, ticket) == "open"
    assert scene.guard.control.show(ticket)["signoffs"] == []


@pytest.mark.parametrize("spelling", ["ana", "Ana", "ANA", "аna", "ana\u200b"])
def test_one_human_under_two_names_or_two_keys_does_not_load_as_two(spelling: str) -> None:
    ana, olga, second = person("ana"), person("olga"), person("x")
    try:
        twin = Human(spelling, (second.key,))
    except (ConfigInvalid, ValueError):
        return
    if spelling == "аna":  # A Cyrillic letter: two names to a machine, one to a reader.
        with pytest.raises(ConfigInvalid):
            check_enrolment((olga.human, ana.human, twin), 2, Profile.TEAM)
        return
    with pytest.raises(ConfigInvalid):
        check_enrolment((olga.human, ana.human, twin), 2, Profile.TEAM)


def test_one_key_under_two_humans_does_not_load() -> None:
    ana, olga = person("ana"), person("olga")
    twin = Human("zoe", ana.human.keys)
    with pytest.raises(ConfigInvalid):
        check_enrolment((olga.human, ana.human, twin), 2, Profile.TEAM)


def test_a_second_key_of_the_operator_is_the_operator(own: MakeScene) -> None:
    scene = own(start=False)
    olga, second = scene.guard.people["olga"], person("olga")
    both = replace(olga.human, keys=(*olga.human.keys, second.key))
    assert both.keys[1] != both.keys[0]
    text = scene.guard.config.path.read_text()
    rows = '",\n  "'.join(k.public for k in both.keys)
    scene.guard.config.path.write_text(text.replace(olga.key.public, rows))
    scene.guard.start()
    scene.key = scene.guard.key()
    ticket = scene.put(2).ticket
    challenge = scene.guard.control.challenge(ticket, "olga", Verdict.APPROVE)
    with pytest.raises(SignoffError):
        scene.guard.control.submit(
            ticket,
            "olga",
            Verdict.APPROVE,
            second.key.fingerprint,
            second.sign(challenge.encode()),
        )
    assert scene.put(2).status == 403
    assert scene.arrived() == []


# --- the attacker writes the state file, which only the daemon's own user can (advisory) ---


def write_row(scene: Scene, ticket: str, human: str, signature: bytes) -> None:
    """A sign-off written past Signoff, with what was forged."""
    key = scene.guard.people[human].key.fingerprint
    now = scene.guard.control.show(ticket)["opened_ms"]
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=10) as db:
        db.execute(
            "INSERT INTO signoffs VALUES (?, ?, 'approve', ?, ?, ?, 0)",
            (ticket, human, key, signature, now),
        )


def move_hold(scene: Scene, ticket: str) -> None:
    """The hold's state set to approved past Signoff."""
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=10) as db:
        db.execute("UPDATE holds SET state = 'approved' WHERE ticket = ?", (ticket,))


def test_a_row_without_a_signature_written_into_the_state_does_not_count(own: MakeScene) -> None:
    scene = own()
    ticket = scene.put(2).ticket
    write_row(scene, ticket, "ana", b"\0" * 64)
    move_hold(scene, ticket)
    assert scene.put(2).status == 403
    assert scene.arrived() == []


def test_a_real_signature_moved_to_another_hold_does_not_count(own: MakeScene) -> None:
    scene = own()
    first, second = scene.put(2).ticket, scene.put(3).ticket
    text = scene.guard.control.challenge(first, "ana", Verdict.APPROVE)
    write_row(scene, second, "ana", scene.guard.people["ana"].sign(text.encode()))
    move_hold(scene, second)
    assert scene.put(3).status == 403
    assert scene.arrived() == []


def test_a_hold_moved_to_approved_with_one_of_two_signoffs_does_not_run(own: MakeScene) -> None:
    scene = own()
    ticket = scene.disarm().ticket
    scene.guard.decide(ticket, "ana")
    move_hold(scene, ticket)
    assert scene.disarm().status == 403
    assert scene.arrived() == []


def test_a_quorum_lowered_in_the_state_does_not_run(own: MakeScene) -> None:
    scene = own()
    ticket = scene.disarm().ticket
    scene.guard.decide(ticket, "ana")
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=10) as db:
        (body,) = db.execute("SELECT body FROM holds WHERE ticket = ?", (ticket,)).fetchone()
        lowered = body.replace(b'"quorum":2', b'"quorum":1')
        assert lowered != body
        db.execute(
            "UPDATE holds SET body = ?, state = 'approved' WHERE ticket = ?", (lowered, ticket)
        )
    assert scene.disarm().status == 403
    assert scene.arrived() == []


def test_a_spent_hold_set_back_to_approved_does_not_run_again(own: MakeScene) -> None:
    scene = own()
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    assert scene.put(2).status == 200
    move_hold(scene, ticket)
    scene.put(2)
    assert scene.aws.changes() == ["PutItem"]
