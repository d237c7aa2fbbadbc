"""Attempts to make Signoff let something through by breaking what it stands on.

A full disk, a target that lies, stalls or hangs up, and answers made to exhaust it. The
ending is always the same: nothing runs unrecorded, nobody's signature is stretched, and a
production change without its humans stays where it is.
"""

from __future__ import annotations

import gzip
import os
import resource
import signal
import sqlite3
from typing import Any

import pytest

from attacks.commands import signoff
from attacks.conftest import MakeScene, Scene
from attacks.fake_aws import Reply, failed, said


def fill_disk(scene: Scene, most: int) -> None:
    """From now on no file of the daemon grows beyond `most` bytes (setrlimit(2), FSIZE)."""
    process = scene.guard.process
    assert process is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def empty_disk(scene: Scene) -> None:
    """The disk has room again."""
    fill_disk(scene, resource.RLIM_INFINITY)


@pytest.mark.parametrize("most", [0, 4096, 65536])
def test_without_room_for_a_receipt_nothing_passes_reads_included(
    own: MakeScene, most: int
) -> None:
    scene = own()
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    scene.aws.asked.clear()
    fill_disk(scene, most)
    # What still fits into the room that is left is recorded and may pass; then it is over.
    answers = [scene.dynamodb("ListTables") for _ in range(40)]
    assert answers[-1].status == 403
    assert scene.put(2).status == 403 or scene.aws.changes() == ["PutItem"]
    stopped = scene.aws.changes()
    assert scene.dynamodb("PutItem", TableName="dev-orders", Item={"id": {"S": "a"}}).status == 403
    assert scene.aws.changes() == stopped
    for command in ("log", "verify", "status"):
        assert signoff(scene.guard, command).code == 0, command
    empty_disk(scene)
    scene.guard.kill()
    scene.guard.start()
    assert scene.dynamodb("ListTables").status == 200
    assert signoff(scene.guard, "verify").code == 0
    passed = sum(seen.status == 200 for seen in answers)
    reads = [r for r in scene.receipts() if r["mark"] == "read"]
    assert len(reads) >= passed + 1


LIES: dict[str, Any] = {
    "a table that is said not to exist": lambda body: failed("ResourceNotFoundException"),
    "an answer that is no JSON": lambda body: (200, {}, b"\xff\xfe<html>"),
    "an answer that is another shape": lambda body: said({"Table": ["x"], "Responses": 7}),
    "an empty answer": lambda body: (200, {"Content-Type": "application/x-amz-json-1.0"}, b""),
    "an answer of the wrong types": lambda body: said(
        {"Table": {"KeySchema": "id", "ItemCount": "many", "TableArn": 5, "Tags": {"a": 1}}}
    ),
    "a redirect to elsewhere": lambda body: (
        307,
        {"Location": "http://169.254.169.254/latest/meta-data/"},
        b"",
    ),
    "a bomb in gzip": lambda body: (
        200,
        {"Content-Type": "application/x-amz-json-1.0", "Content-Encoding": "gzip"},
        gzip.compress(b" " * 100_000_000),
    ),
    "an answer a thousand levels deep": lambda body: (200, {}, b'{"a":' * 100_000),
    "an answer of eighty megabytes": lambda body: (200, {}, b'{"Table":"' + b"x" * (80 << 20)),
    "a failure inside": lambda body: failed("InternalServerError", 500),
    "throttling": lambda body: failed("ThrottlingException"),
}


@pytest.mark.parametrize("sentence", LIES)
def test_a_target_that_lies_lends_no_change_a_smaller_quorum(scene: Scene, sentence: str) -> None:
    for name in ("DescribeTable", "BatchGetItem", "ListTagsOfResource", "Scan"):
        scene.aws.lies[name] = LIES[sentence]
    answers = (
        scene.put(2),
        scene.dynamodb("DeleteItem", TableName="orders", Key={"id": {"S": "first"}}),
        scene.dynamodb("DeleteTable", TableName="orders"),
    )
    for seen in answers:
        assert seen.status == 403
        if seen.ticket:
            assert scene.held(seen)["quorum"] >= 1
    assert scene.arrived() == []
    scene.aws.lies.clear()
    assert scene.alive()


def test_what_cannot_be_looked_at_wants_two_people(scene: Scene) -> None:
    for name in ("DescribeTable", "BatchGetItem", "Scan"):
        scene.aws.lies[name] = LIES["a failure inside"]
    delete = scene.dynamodb("DeleteItem", TableName="orders", Key={"id": {"S": "first"}})
    assert not delete.ticket or scene.held(delete)["quorum"] == 2
    assert scene.arrived() == []


def test_a_target_that_takes_back_what_it_said_makes_the_approval_stale(scene: Scene) -> None:
    # It says "no such item" while people look, and tells the truth afterwards.
    truth = scene.aws.lies
    truth["BatchGetItem"] = lambda body: said({"Responses": {"orders": []}, "UnprocessedKeys": {}})
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    truth.clear()
    seen = scene.put(2)
    assert seen.status == 403
    assert "stale" in seen.text
    assert scene.arrived() == []


def test_an_answer_with_a_bomb_in_it_is_passed_on_as_it_came(scene: Scene) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)

    def lie(body: dict[str, Any]) -> Reply:
        return 200, {"Content-Encoding": "gzip", "Content-Type": "text/plain"}, bomb

    scene.aws.lies["GetItem"] = lie
    seen = scene.dynamodb("GetItem", TableName="orders", Key={"id": {"S": "first"}})
    assert seen.body == bomb
    assert scene.alive()


def test_a_change_whose_answer_never_came_is_in_doubt_and_not_tried_again(own: MakeScene) -> None:
    scene = own()
    scene.guard.decide(scene.put(2).ticket, "ana")
    scene.aws.lies["PutItem"] = lambda body: failed("InternalServerError", 500)
    seen = scene.put(2)
    assert "in doubt" in seen.text
    tries = [name for name, _ in scene.aws.asked if name == "PutItem"]
    assert tries == ["PutItem"]
    assert len(scene.guard.control.status()["in_doubt"]) == 1
    scene.aws.lies.clear()
    assert scene.put(2).ticket, "the sign-offs are spent"


def test_a_ledger_locked_by_somebody_else_stops_everything(own: MakeScene) -> None:
    scene = own()
    with sqlite3.connect(scene.guard.config.ledger_path, timeout=1) as db:
        db.execute("BEGIN EXCLUSIVE")
        seen = scene.dynamodb("ListTables")
        change = scene.dynamodb("PutItem", TableName="dev-orders", Item={"id": {"S": "a"}})
        db.execute("ROLLBACK")
    assert seen.status == 403
    assert change.status == 403
    assert scene.arrived() == []
    assert scene.alive()


def test_a_second_daemon_does_not_open_a_second_way(own: MakeScene) -> None:
    scene = own()
    ran = signoff(scene.guard, "up")
    assert ran.code != 0
    assert "next:" in ran.err
    assert scene.alive()


def test_a_stopped_daemon_is_a_closed_gate(own: MakeScene) -> None:
    scene = own()
    process = scene.guard.process
    assert process is not None
    os.kill(process.pid, signal.SIGTERM)
    process.wait(20)
    with pytest.raises(OSError):
        scene.put(2)
    assert scene.arrived() == []
