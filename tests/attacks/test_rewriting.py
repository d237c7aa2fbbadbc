"""Attempts to rewrite Signoff's own files: receipts, holds, the whole state, the captures.

At the level `advisory` the agent can write them, so what is promised is that it is noticed:
`signoff verify` exits 5, the daemon refuses to start, or every open hold is void.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from attacks.commands import signoff
from attacks.conftest import MakeScene, Scene
from signoff.model.errors import SignoffError

TRIGGERS = ("receipts_are_not_changed", "receipts_are_not_removed")


def with_history(make: MakeScene) -> Scene:
    """A daemon that did something and was stopped."""
    scene = make()
    scene.dynamodb("ListTables")
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    scene.put(3)
    scene.guard.stop()
    return scene


def edit(scene: Scene, statement: str) -> None:
    """Change the state file as its owner can."""
    with sqlite3.connect(scene.guard.config.ledger_path) as db:
        for name in TRIGGERS:
            db.execute(f"DROP TRIGGER {name}")
        assert db.execute(statement).rowcount > 0


def refuses_to_start(scene: Scene) -> None:
    """The next start ends with the ledger's exit code and a reason."""
    ran = signoff(scene.guard, "up")
    assert ran.code == 5, ran.err
    assert "next:" in ran.err


EDITS = {
    "one receipt tells another story": (
        "UPDATE receipts SET body = replace(body, '\"PutItem', '\"GetItem')"
    ),
    "one byte of one receipt is changed": (
        "UPDATE receipts SET body = CAST(replace(CAST(body AS TEXT), 'builder', 'buildes') AS BLOB)"
        " WHERE at = (SELECT max(at) FROM receipts WHERE mark = 'succeeded')"
    ),
    "the newest receipts are removed": (
        "DELETE FROM receipts WHERE at > (SELECT max(at) - 3 FROM receipts)"
    ),
    "one receipt in the middle is removed": "DELETE FROM receipts WHERE at = 2",
    "everything is removed": "DELETE FROM receipts",
}


@pytest.mark.parametrize("sentence", list(EDITS)[1:])
def test_a_rewritten_ledger_does_not_verify_and_does_not_start(
    own: MakeScene, sentence: str
) -> None:
    scene = with_history(own)
    assert signoff(scene.guard, "verify").code == 0
    edit(scene, EDITS[sentence])
    ran = signoff(scene.guard, "verify")
    assert ran.code == 5, (ran.out, ran.err)
    refuses_to_start(scene)


def test_a_forged_receipt_behind_the_last_one_does_not_verify(own: MakeScene) -> None:
    scene = with_history(own)
    edit(
        scene,
        "INSERT INTO receipts SELECT max(at) + 1, time_ms, mark, action_id, run, body"
        " FROM receipts",
    )
    assert signoff(scene.guard, "verify").code == 5
    refuses_to_start(scene)


def test_receipts_and_head_removed_together_are_missed_at_the_mark(own: MakeScene) -> None:
    scene = with_history(own)
    with sqlite3.connect(scene.guard.config.ledger_path) as db:
        for name in TRIGGERS:
            db.execute(f"DROP TRIGGER {name}")
        sizes = [row[0] for row in db.execute("SELECT size FROM checkpoints ORDER BY size")]
        cut = sizes[-3]
        db.execute("DELETE FROM checkpoints WHERE size > ?", (cut,))
        db.execute("DELETE FROM receipts WHERE at >= ?", (cut,))
    assert signoff(scene.guard, "verify").code == 5
    scene.guard.start()
    warnings = str(scene.guard.control.status()["warnings"])
    assert "rolled back" in warnings


def test_an_older_copy_put_back_voids_every_open_hold_and_does_not_verify(own: MakeScene) -> None:
    scene = own()
    waiting, signed = scene.put(2).ticket, scene.put(3).ticket
    scene.guard.decide(signed, "ana")
    scene.guard.stop()
    copy = scene.guard.folder / "older-copy"
    shutil.copytree(scene.guard.config.state_dir, copy, ignore=shutil.ignore_patterns("*.sock"))
    scene.guard.start()
    scene.guard.decide(waiting, "bo")
    assert scene.put(2).status == 200
    assert scene.put(3).status == 200
    scene.guard.stop()
    # The attacker wants to spend the signed hold a second time.
    shutil.rmtree(scene.guard.config.state_dir)
    shutil.copytree(copy, scene.guard.config.state_dir)
    assert signoff(scene.guard, "verify").code == 5
    scene.guard.start()
    assert "rolled back" in str(scene.guard.control.status()["warnings"])
    assert scene.guard.control.holds() == []
    again = scene.put(3)
    assert again.status == 403
    assert again.ticket != signed
    assert scene.aws.changes() == ["PutItem", "PutItem"]


def test_a_state_thrown_away_is_noticed_at_the_mark(own: MakeScene) -> None:
    scene = with_history(own)
    shutil.rmtree(scene.guard.config.state_dir)
    scene.guard.start()
    assert "rolled back" in str(scene.guard.control.status()["warnings"])


def test_a_high_water_mark_removed_or_forged_is_noticed(own: MakeScene) -> None:
    scene = with_history(own)
    mark: Path = scene.guard.config.high_water
    changes: tuple[Callable[[], object], ...] = (
        mark.unlink,
        lambda: mark.write_text("signoff\n0\nAAAA\n\n- x y\n"),
    )
    for change in changes:
        change()
        scene.guard.start()
        assert "mark" in str(scene.guard.control.status()["warnings"])
        scene.guard.stop()


def test_the_ledgers_key_exchanged_signs_another_ledger(own: MakeScene) -> None:
    scene = with_history(own)
    scene.guard.config.ledger.key_file.chmod(0o600)
    scene.guard.config.ledger.key_file.write_bytes(scene.guard.config.vault.key_file.read_bytes())
    assert signoff(scene.guard, "verify").code == 5
    assert signoff(scene.guard, "up").code != 0


def test_a_run_key_written_into_the_state_is_no_run_key(own: MakeScene) -> None:
    scene = own()
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=10) as db:
        db.execute(
            "INSERT INTO run_keys SELECT 'AKIAFORGEDFORGEDFORG', run, agent, 'ana', issued_ms,"
            " expires_ms, NULL, sealed FROM run_keys"
        )
    forged = {**scene.key, "key_id": "AKIAFORGEDFORGEDFORG"}
    seen = Scene(scene.guard, scene.aws, forged).dynamodb("ListTables")
    assert seen.status == 403


def test_a_run_key_given_another_operator_in_the_state_is_no_key_any_more(own: MakeScene) -> None:
    scene = own()
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=10) as db:
        db.execute("UPDATE run_keys SET operator = 'cy'")
    scene.guard.stop()
    scene.guard.start()
    seen = scene.put(2)
    assert seen.status == 403
    if seen.ticket:
        with pytest.raises(SignoffError):
            scene.guard.decide(seen.ticket, "olga")
    assert scene.arrived() == []


def test_a_boundary_lowered_in_the_state_file_is_not_lowered(
    own: MakeScene,
) -> None:
    scene = own()
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=10) as db:
        db.execute(
            "INSERT INTO switches VALUES ('lowered/boundary-container/production',"
            " CAST('{\"until_ms\":99999999999999}' AS BLOB), 0)"
        )
    told = scene.try_call("cloudformation", "DeleteStack", StackName="prod")
    assert told
    assert scene.arrived() == []
    with pytest.raises(SignoffError, match="altered"):
        scene.guard.control.status()


def test_captures_thrown_away_or_altered_undo_nothing_and_change_nothing(own: MakeScene) -> None:
    scene = own()
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    now = dict(scene.aws.tables["orders"])
    files = [p for p in scene.guard.config.vault_dir.rglob("*") if p.is_file() and p.stat().st_size]
    assert files
    for path in files:
        path.chmod(0o600)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    for _ in range(2):
        try:
            state = str(scene.guard.undo("ana", run=scene.key["run"])["state"])
        except SignoffError:
            state = "refused"
        assert state != "done"
        assert scene.aws.tables["orders"] == now
        for path in files:
            path.unlink(missing_ok=True)
