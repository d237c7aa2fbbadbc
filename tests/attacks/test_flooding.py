"""Attempts to drown the people, the ledger, or the gate itself."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

from attacks.attacker import Seen, call, send
from attacks.conftest import MakeScene, Scene
from signoff.demo.guard import receipts


def of_run(scene: Scene) -> list[dict[str, object]]:
    """The open holds of this attacker."""
    return [h for h in scene.guard.control.holds() if h["run"] == scene.key["run"]]


def test_a_run_has_five_open_holds_and_not_one_more(scene: Scene) -> None:
    answers = [scene.put(n) for n in range(10, 40)]
    assert {seen.status for seen in answers} == {403}
    assert len(of_run(scene)) == 5
    assert scene.arrived() == []


def test_five_open_holds_are_five_when_asked_for_at_the_same_moment(scene: Scene) -> None:
    answers: list[Seen] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(scene.put(n))) for n in range(50, 70)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(of_run(scene)) == 5


def test_equal_requests_are_one_hold_and_one_question(scene: Scene) -> None:
    tickets = {scene.put(2).ticket for _ in range(8)}
    assert len(tickets) == 1
    assert len(of_run(scene)) == 1


def test_one_runs_flood_takes_no_other_runs_place(scene: Scene) -> None:
    for n in range(20):
        scene.put(n)
    assert scene.another_run().put(2).ticket


def test_a_run_that_goes_too_fast_is_stopped_and_another_is_not(own: MakeScene) -> None:
    scene = own(start=False)
    path = scene.guard.config.path
    text = path.read_text()
    assert "calls_per_minute = 600" in text
    path.write_text(text.replace("calls_per_minute = 600", "calls_per_minute = 50"))
    scene.guard.start()
    scene.key = scene.guard.key(agent="hasty")
    answers = [scene.dynamodb("ListTables") for _ in range(120)]
    assert answers[0].status == 200
    assert answers[-1].status == 403
    assert "rate" in answers[-1].text
    assert scene.another_run("calm").dynamodb("ListTables").status == 200
    # A new key of the same agent is no new start.
    assert scene.another_run("hasty").dynamodb("ListTables").status == 403


def test_requests_without_a_run_key_leave_nothing_behind(scene: Scene) -> None:
    before = len(receipts(scene.guard))
    for _ in range(200):
        send(scene.endpoint, "POST", "/", b"{}", {"X-Amz-Target": "DynamoDB_20120810.DeleteTable"})
    assert len(receipts(scene.guard)) == before
    assert scene.aws.wires == []
    assert scene.alive()


def test_a_very_large_body_is_refused_and_nothing_else_suffers(scene: Scene) -> None:
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.PutItem",
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(10**12),
    }
    host = urlsplit(scene.endpoint)
    with socket.create_connection((host.hostname or "", host.port or 80), 10) as wire:
        lines = ["POST / HTTP/1.1", f"Host: {host.netloc}"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        wire.settimeout(10)
        assert wire.recv(100).startswith(b"HTTP/1.1 4")
    assert scene.alive()


def test_connections_that_never_finish_a_request_hold_up_nobody(scene: Scene) -> None:
    host = urlsplit(scene.endpoint)
    with ExitStack() as stack:
        for _ in range(150):
            wire = socket.create_connection((host.hostname or "", host.port or 80), 10)
            stack.enter_context(wire)
            wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert scene.alive()


def test_hostile_depth_and_width_end_in_a_denial(scene: Scene) -> None:
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.PutItem",
        "Content-Type": "application/x-amz-json-1.0",
    }
    deep = b'{"TableName":"orders","Item":' + b'{"M":{"a":' * 20_000 + b"1" + b"}}" * 20_000 + b"}"
    wide = b'{"TableName":"orders","Item":{' + b",".join(
        b'"a%d":{"S":"x"}' % n for n in range(20_000)
    )
    for body in (deep, wide + b"}}", b"[" * 100_000, b'{"TableName":"' + b"\\ud800" * 9 + b'"}'):
        assert call(scene.endpoint, scene.key, "dynamodb", body=body, headers=headers).status >= 400
    assert scene.arrived() == []
    assert scene.alive()
