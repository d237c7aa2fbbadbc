"""Commands over the whole ledger: judging it again, reviewing it, without a daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from signoff.config import Config
from signoff.faces.cli import run_command
from signoff.model.action import Principal
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen

from .conftest import PASSPHRASE, Office
from .history import START, write_history
from .test_signing import typed

STRICT = '@id("no-updates") @why("tables stay as they are") forbid(principal, \
action == Action::"update", resource);'


@pytest.fixture
def ledger(home: Config) -> Path:
    """The settings' ledger, with a small past in it."""
    asyncio.run(write_history(home.ledger_path))
    return home.ledger_path


def told(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> Any:
    assert run_command([*command, "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_candidate_policy_is_judged_against_the_ledger_without_a_daemon(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = tmp_path / "strict.cedar"
    candidate.write_text(STRICT)
    found = told(capsys, "policy", "replay", str(candidate))
    assert (found["actions"], found["changed"], found["counts"]["denied"]) == (5, 3, 3)
    (change,) = [c for c in found["changes"] if c["policy"] == "no-updates"]
    assert change["example"]["action"] == "A-0002"
    assert set(found["people"]) == {"ana", "bo", "mila"}
    assert run_command(["policy", "replay", str(candidate)]) == 0
    screen = capsys.readouterr().out
    assert "3 newly denied by `no-updates`" in screen
    assert "A-0002: dynamodb:UpdateItem on arn:aws:dynamodb" in screen
    assert "tables stay as they are" in screen


def test_what_was_decided_by_these_very_policies_stays_as_it_was(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, "policy", "replay", "--since", "2026-09-21T00:00:00Z")
    assert (found["actions"], found["changed"]) == (5, 0)
    assert found["holds"] == {"before": 2, "after": 2}
    later = told(capsys, "policy", "replay", "--since", "2030-01-01")
    assert later["actions"] == 0


def test_a_time_or_a_candidate_that_is_none_is_a_clear_error(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["policy", "replay", "--since", "yesterday"]) == 1
    assert "is not a time such as" in capsys.readouterr().err
    assert run_command(["policy", "replay", str(tmp_path / "none.cedar")]) == 4
    assert run_command(["policy", "replay", "--db", str(tmp_path / "none.db")]) == 5
    assert "no ledger at" in capsys.readouterr().err


def test_the_review_lists_what_nobody_looked_at_newest_first(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, "review")
    assert [(i["action"], i["why"]) for i in found["items"]] == [
        ("A-0005", ["in doubt"]),
        ("A-0004", ["tried a boundary"]),
        ("A-0003", ["carried out"]),
    ]
    assert found["items"][2]["signed"] == ["bo"]
    assert found["pending"] == 3
    assert told(capsys, "review", "--run", "R-9")["items"] == []
    assert told(capsys, "review", "--since", "2030-01-01")["pending"] == 3
    assert run_command(["review"]) == 0
    screen = capsys.readouterr().out
    assert "3 actions to look at" in screen
    assert "next      signoff review done A-0005" in screen


def test_a_look_is_a_receipt_and_takes_the_action_off_the_list(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = frozen(act="review", human="bo", actions=["A-0003"], until=13, profile="team")
    look = Receipt(Mark.CONTROL, START + 9_000, "", Principal("", "", "bo"), detail=detail)
    asyncio.run(write_history(home.ledger_path, (look,)))
    assert [i["action"] for i in told(capsys, "review")["items"]] == ["A-0005", "A-0004"]
    every = told(capsys, "review", "--all")["items"]
    assert [i["pending"] for i in every] == [True, True, False]
    run_command(["review", "--all"])
    assert "looked at by bo" in capsys.readouterr().out


def test_a_look_is_signed_at_a_terminal_over_the_actions_that_were_shown(
    ledger: Path, office: Office
) -> None:
    code, screen = typed(["review", "done", "A-0003", "--as", "bo"], ("passphrase", PASSPHRASE))
    assert code == 0, screen
    assert office.acts == [("review", {"actions": ["A-0003"], "until": 13})]
    assert "carried out" in screen
    assert "you are on the side that asked" in screen
    code, screen = typed(["review", "done", "--until", "9", "--as", "bo"], ("passph", PASSPHRASE))
    assert office.acts[1][1]["actions"] == ["A-0004", "A-0003"]
    code, screen = typed(["review", "done", "--run", "R-1", "--as", "bo"], ("passph", PASSPHRASE))
    assert office.acts[2][1]["actions"] == ["A-0005", "A-0004", "A-0003"]


def test_nobody_signs_for_nothing_or_for_what_is_not_there(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["review", "done", "--run", "R-9"]) == 0
    assert "nothing to look at" in capsys.readouterr().out
    assert run_command(["review", "done", "A-9999"]) == 2
    assert "no action `A-9999`" in capsys.readouterr().err
    assert run_command(["review", "done"]) == 1
    assert run_command(["review", "done", "A-0003", "--run", "R-1"]) == 1
