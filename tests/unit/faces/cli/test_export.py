"""The ledger leaves as events and records: to stdout, a file, an endpoint; and goes on later."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from signoff.config import Config
from signoff.faces.cli import run_command

from ..test_delivery import Receiver, receiver
from .history import START, receipts, write_history

__all__ = ["receiver"]
COUNT = 13


@pytest.fixture
def ledger(home: Config) -> Path:
    asyncio.run(write_history(home.ledger_path))
    return home.ledger_path


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def records(text: str) -> list[dict[str, Any]]:
    return [
        record
        for line in text.splitlines()
        for resource in json.loads(line)["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]


def test_one_event_a_receipt_goes_to_stdout_and_how_to_go_on_to_stderr(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["export", "ocsf"]) == 0
    said = capsys.readouterr()
    found = events(said.out)
    assert [e["metadata"]["sequence"] for e in found] == list(range(COUNT))
    checkpoint = found[0]["unmapped"]["signoff"]["checkpoint"]
    assert (checkpoint["origin"], checkpoint["size"]) == ("signoff/test", COUNT)
    assert len(checkpoint["root"]) == 64
    assert "signoff export ocsf --after 12" in said.err


def test_an_export_goes_on_where_the_last_one_ended(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    assert run_command(["export", "ocsf", "--to", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["receipts"], told["last"]) == (COUNT, COUNT - 1)
    whole = file.read_text()
    again = ["export", "ocsf", "--to", str(file), "--after", "9"]
    assert run_command(again) == 0
    assert [e["metadata"]["sequence"] for e in events(file.read_text()[len(whole) :])] == [
        10,
        11,
        12,
    ]
    assert run_command(["export", "ocsf", "--to", str(file)]) == 0
    assert file.read_text() == whole
    assert file.stat().st_mode & 0o077 == 0
    assert run_command(["export", "ocsf", "--after", "12"]) == 0


def test_an_export_that_would_go_on_behind_the_end_is_refused(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    assert run_command(["export", "ocsf", "--to", str(file), "--after", str(COUNT)]) == 1
    said = capsys.readouterr().err
    assert f"there is no receipt {COUNT}" in said
    assert "cut short" in said
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_no_fault_of_the_ledger(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["export", "otel", "--to", str(tmp_path / "none" / "x")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_how_to_go_on_names_the_file(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    assert run_command(["export", "ocsf", "--to", str(file)]) == 0
    assert f"signoff export ocsf --to {file} --after 12" in capsys.readouterr().out


def test_records_of_a_time_on_are_exported_and_the_rest_is_done_with(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs.jsonl"
    run_command(["export", "otel", "--since", "2026-09-21T14:13:24Z", "--to", str(file), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["last"] == COUNT - 1
    found = records(file.read_text())
    assert len(found) == told["receipts"] == 4
    assert int(found[0]["timeUnixNano"]) == (START + 4000) * 1_000_000


def test_batches_are_posted_to_an_endpoint_with_the_path_of_the_specification(
    ledger: Path, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer hush\n")
    url = f"http://127.0.0.1:{receiver.port}"
    command = ["export", "otel", "--endpoint", url, "--headers", str(headers), "--json"]
    assert run_command(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["receipts"], told["rejected"]) == (COUNT, 0)
    ((path, sent, body),) = receiver.got
    assert path == "/v1/logs"
    assert sent["Authorization"] == "Bearer hush"
    assert len(records(body.decode())) == COUNT
    assert run_command(["export", "ocsf", "--endpoint", f"{url}/services/collector"]) == 0
    path, sent, body = receiver.got[1]
    assert (path, sent["Content-Type"]) == ("/services/collector", "application/x-ndjson")
    assert len(events(body.decode())) == COUNT


def test_a_refused_batch_says_where_to_go_on(
    ledger: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("signoff.faces.cli.export.BATCH", 5)
    receiver.answers = [(200, b"{}", {}), (401, b"who are you", {})]
    assert run_command(["export", "otel", "--endpoint", f"http://127.0.0.1:{receiver.port}"]) == 1
    said = capsys.readouterr().err
    assert "who are you" in said
    assert "signoff export otel --after 4" in said


def test_records_a_collector_does_not_take_make_the_exit_code_1(
    ledger: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [(200, b'{"partialSuccess":{"rejectedLogRecords":"2"}}', {})]
    assert run_command(["export", "otel", "--endpoint", f"http://127.0.0.1:{receiver.port}"]) == 1
    assert "rejected  2 records" in capsys.readouterr().out


def test_what_cannot_be_is_said(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["export", "otel", "--to", "x", "--endpoint", "http://127.0.0.1:1"]
    assert run_command(both) == 1
    assert run_command(["export", "otel", "--endpoint", "http://collector.example"]) == 1
    assert "is not https" in capsys.readouterr().err
    assert run_command(["export", "ocsf", "--to", str(tmp_path)]) == 1
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run_command(["export", "ocsf", "--to", str(tmp_path / "link")]) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_without_a_ledger_the_error_names_it(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["export", "ocsf"]) == 5
    assert "no ledger at" in capsys.readouterr().err


class Asked:
    """A daemon that pages its ledger out, for a user who may not read the file."""

    def __init__(self, size: int) -> None:
        self.size, self.pages = size, 0

    def status(self) -> dict[str, object]:
        return {"ledger": {"size": self.size, "root": "cd" * 32}}

    def log(self, start: int, most: int, wait_ms: int = 0) -> dict[str, object]:
        self.pages += 1
        end = min(self.size, start + most)
        rows = [json.loads(r.leaf()) | {"index": n} for n, r in enumerate(receipts())]
        return {"receipts": rows[start:end], "next": end, "size": self.size}


def test_a_user_who_may_not_read_the_file_asks_the_daemon(
    home: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Asked(COUNT)
    monkeypatch.setattr("signoff.faces.cli.parts.control", lambda: daemon)
    monkeypatch.setattr("signoff.faces.cli.ledgers.PAGE", 5)
    assert run_command(["export", "ocsf", "--after", "1"]) == 0
    found = events(capsys.readouterr().out)
    assert [e["metadata"]["sequence"] for e in found] == list(range(2, COUNT))
    assert daemon.pages == 3
    own = found[0]["unmapped"]["signoff"]
    assert own["checkpoint"] == {"origin": home.ledger.origin, "size": COUNT, "root": "cd" * 32}
    assert run_command(["review", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pending"] == 3
    assert run_command(["policy", "replay", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["actions"] == 5
