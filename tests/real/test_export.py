"""What leaves for a collector arrives: through a real one, and only over TLS that checks out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from real.collector import backend, behind_tls, collector
from signoff.demo.children import bare_environment
from unit.faces.cli.history import receipts, write_history

pytestmark = pytest.mark.real


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    asyncio.run(write_history(path))
    return path


def exported(ledger: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`signoff export otel` as its own process, without settings."""
    command = [sys.executable, "-m", "signoff", "export", "otel", "--db", str(ledger), *options]
    return subprocess.run(
        command,
        env=bare_environment(HOME=str(ledger.parent)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def value(record: LogRecord, key: str) -> Any:
    for pair in record.attributes:
        if pair.key == key:
            return getattr(pair.value, pair.value.WhichOneof("value"))
    return None


def test_every_receipt_comes_through_a_real_collector_as_it_was_sent(
    ledger: Path, tmp_path: Path
) -> None:
    with backend() as end, collector(tmp_path, end.url) as url:
        done = exported(ledger, "--endpoint", url)
        assert done.returncode == 0, done.stderr
        found = end.records(len(receipts()))
    found.sort(key=lambda record: value(record, "signoff.receipt"))
    marks = [value(record, "signoff.mark") for record in found]
    assert marks == [receipt.mark.value for receipt in receipts()]
    assert [r.time_unix_nano for r in found] == [x.time_ms * 1_000_000 for x in receipts()]
    boundary = found[9]
    assert boundary.severity_text == "ERROR"
    assert value(boundary, "gen_ai.agent.name") == "kit"
    assert value(boundary, "log.record.uid") == "signoff/test/9"
    assert value(boundary, "signoff.checkpoint.size") == len(receipts())


def test_an_export_through_tls_goes_to_the_collector_whose_certificate_checks_out(
    ledger: Path, tmp_path: Path
) -> None:
    with (
        backend() as end,
        collector(tmp_path, end.url) as plain,
        behind_tls(plain, tmp_path) as (url, certificate),
    ):
        refused = exported(ledger, "--endpoint", url)
        assert refused.returncode == 1
        assert "its certificate: self-signed certificate" in refused.stderr
        by_number = url.replace("localhost", "127.0.0.1")
        other = exported(ledger, "--endpoint", by_number, "--ca", str(certificate))
        assert other.returncode == 1
        assert "its certificate" in other.stderr
        assert end.taken.empty()
        done = exported(ledger, "--endpoint", url, "--ca", str(certificate))
        assert done.returncode == 0, done.stderr
        assert len(end.records(len(receipts()))) == len(receipts())
