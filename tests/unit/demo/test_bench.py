"""The benchmark says what it measured, against which bound, and fails when one is missed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.demo import bench, bench_load, bench_parts, bench_servers
from signoff.demo.bench import Row
from signoff.demo.children import bare_environment, start
from signoff.ledger.checkpoint import Signer
from signoff.ledger.log import ExportedLedger, leaves
from signoff.ledger.verify import verify_ledger
from signoff.model.decision import Ruling
from signoff.model.effect import Verb
from signoff.model.errors import SignoffError

QUICK = Row("decide", "a read", 150.0, 300.0, "us of CPU")
SLOW = Row("aws", "a read through the gate", 4.5, 3.0, "x a bare pass-through")
KEY = {"key_id": "AKIABENCH", "secret": "hush"}


def ran(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    each = {row.name: (lambda _, row=row: [row]) for row in rows}
    monkeypatch.setattr(bench, "BENCHES", each)


def test_a_bound_that_holds_is_exit_code_0_and_a_missed_one_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(monkeypatch, QUICK, SLOW)
    assert bench.main("decide", False) == 0
    assert bench.main("aws", False) == 1
    assert bench.main("", False) == 1
    assert "missed" in capsys.readouterr().out


def test_json_carries_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(monkeypatch, QUICK, SLOW)
    bench.main("", True)
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [(r["name"], r["ratio"], r["ok"]) for r in told["rows"]] == [
        ("decide", 0.5, True),
        ("aws", 1.5, False),
    ]


def test_a_least_is_missed_from_below() -> None:
    row = Row("verify", "receipts", 99_000.0, 100_000.0, "receipts/s", at_least=True)
    assert not row.ok
    assert Row("verify", "receipts", 100_000.0, 100_000.0, "receipts/s", at_least=True).ok


def test_a_bench_nobody_knows_is_a_clear_error() -> None:
    with pytest.raises(SignoffError, match="no bench `speed`"):
        bench.main("speed", False)


def test_the_measured_requests_are_what_a_client_sends_with_a_run_key() -> None:
    asked = [{"TableName": "orders", "Key": {"pk": {"S": "1"}}}]
    (request,) = bench_load.written("http://127.0.0.1:9", KEY, asked)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert b"Credential=AKIABENCH/" in head
    assert json.loads(body)["TableName"] == "orders"


async def answered(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(size)
    writer.close()
    return body


async def test_the_pass_through_answers_as_the_upstream_does(tmp_path: Path) -> None:
    module = "signoff.demo.bench_servers"
    (request,) = bench_load.written(
        "http://127.0.0.1:9", KEY, [{"TableName": "orders", "Key": {"pk": {"S": "1"}}}]
    )
    upstream = start(module, ["upstream"], tmp_path, bare_environment())
    try:
        bare = start(module, ["passthrough", "--to", upstream.url], tmp_path, bare_environment())
        try:
            direct = await answered(upstream.port, request)
            passed = await answered(bare.port, request)
            seconds = await asyncio.to_thread(
                bench_load.cpu_per_request, bare.process.pid, bare.port, [request], 16
            )
        finally:
            bare.stop()
    finally:
        upstream.stop()
    assert direct == passed == bench_servers._ITEM
    assert seconds >= 0


def test_a_hundred_policies_are_loaded_for_decisions() -> None:
    assert len(bench_parts.full_bundle().policies) == 100


def test_what_is_decided_is_a_read_that_passes_and_a_change_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench_parts, "DECISIONS", 3)
    assert bench_parts.decisions(Verb.READ, Ruling.ALLOW, fresh=True) > 0
    assert bench_parts.decisions(Verb.UPDATE, Ruling.HOLD, fresh=False) > 0
    with pytest.raises(SignoffError, match="was not ruled `allow`"):
        bench_parts.decisions(Verb.UPDATE, Ruling.ALLOW, fresh=False)


def test_the_ledger_that_is_verified_is_a_real_one(tmp_path: Path) -> None:
    signer = Signer("signoff.test/ledger", Ed25519PrivateKey.generate())
    with ExportedLedger(bench_parts._exported(tmp_path, signer, 50)) as exported:
        seen = verify_ledger(leaves(exported), exported.checkpoint(), signer.key)
    assert seen.head.size == 50
