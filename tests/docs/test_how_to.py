"""What the README shows and what the how-to pages say, typed at real terminals."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest

from docs.pages import ROOT, blocks
from docs.sitting import START, Sitting, ended, of, sitting, steps
from signoff.gates.run import probe

pytestmark = [pytest.mark.real, pytest.mark.slow]
HOW_TO = ROOT / "docs" / "how-to"
DISARM = "aws dynamodb update-table --table-name orders --no-deletion-protection-enabled"
READ = "aws dynamodb list-tables"
AGENT = """
import os, boto3
print("tables:", *boto3.client("dynamodb").list_tables()["TableNames"])
print("home:", os.listdir(os.environ["HOME"]))
"""
MADE_UP = re.compile(r"\b(H-[0-9A-Z]{8}|R-[0-9a-f]{8}|A-[0-9a-z]{17})\b")


@pytest.fixture(scope="module")
def team() -> Iterator[Sitting]:
    """Three people, a protected table, and an agent with a run key; nothing asked yet."""
    with sitting() as one:
        one.follow(START, "With three people", until=DISARM)
        yield one


def disarm(team: Sitting) -> None:
    """The agent takes the protection off, with two people's sign-offs."""
    assert team.type(DISARM).code != 0
    assert team.type("signoff approve --as bo").code == 0
    assert team.type("signoff approve --as mila").code == 0
    assert team.type(DISARM).code == 0


def flat(text: str) -> str:
    """The text on one line, with every name that Signoff made up replaced."""
    return " ".join(MADE_UP.sub("NAME", text).split())


def test_the_readme_shows_what_a_terminal_shows(team: Sitting) -> None:
    (shown,) = (b for b in blocks(ROOT / "README.md") if b.info == ("console",))
    assert len(shown.typed) >= 5
    screens = re.split(r"^\$ .*\n", shown.text, flags=re.M)[1:]
    for command, screen in zip(shown.typed, screens, strict=True):
        real = flat(team.type(command).screen)
        for part in (p for line in screen.splitlines() for p in line.split("...")):
            assert flat(part) in real, f"after `{command}`: `{part}`"


def test_a_run_is_taken_back_as_the_page_says(team: Sitting) -> None:
    disarm(team)
    dry, done = team.follow(HOW_TO / "take-back-a-run.md")
    assert (dry.code, done.code) == (0, 0), done.screen
    assert "dynamodb:UpdateTable" in dry.screen
    assert team.table("orders")["DeletionProtectionEnabled"] is True


def test_stopping_takes_effect_at_once_and_going_on_is_signed(team: Sitting) -> None:
    page = HOW_TO / "freeze-and-halt.md"
    seen = team.follow(page, until="signoff resume --as bo")
    assert [ran.code for ran in seen] == [0, 0, 0, 0]
    told = team.type("signoff status").screen
    assert all(word in told for word in ("all", "agent/kit", "run/R-", "frozen    production"))
    assert "halted" in team.type(READ).screen
    again = team.follow(page)
    ended(again, "signoff resume", 0, 0, 0)
    ended(again, "signoff freeze", 0, 0)
    assert team.type(READ).code == 0
    assert "halted" not in team.type("signoff status").screen


def test_a_peer_lets_a_run_in_and_takes_that_back(team: Sitting) -> None:
    assert team.type('eval "$(signoff key new --agent kit --operator ana)"').code == 0
    denied = team.type(DISARM)
    assert denied.code != 0
    asked = "ask a peer of ana: signoff grant R-"
    assert asked in flat_screen(denied.screen), denied.screen
    page = HOW_TO / "access.md"
    granted, listed = team.follow(page, until="signoff grant revoke G-CMNYYJM5")
    assert granted.code == 0, granted.screen
    for line in ("where     production", "disarm, update; 5 changes in all", "signs     as `bo`"):
        assert line in granted.screen
    assert "0 of 5 used" in listed.screen
    assert "2 people have to sign" in flat_screen(team.type(DISARM).screen)
    revoked, every = (team.type(command) for _, command in steps(page)[2:])
    assert revoked.code == 0, revoked.screen
    assert "revoked" in every.screen
    assert asked in flat_screen(team.type(DISARM).screen)
    assert team.type("signoff reject --as bo").code == 0


def flat_screen(text: str) -> str:
    return " ".join(text.split())


def test_a_boundary_is_lowered_by_two_people_for_a_time(team: Sitting) -> None:
    denied = team.type("aws cloudformation delete-stack --stack-name orders-prod")
    assert "boundary-container" in denied.screen
    seen = team.follow(HOW_TO / "lower-a-boundary.md")
    ended(seen, "signoff policy lower", 3, 0)
    ended(seen, "signoff approve", 0, 0)
    (status,) = of(seen, "signoff status")
    assert "boundary-container/production" in status.screen


def test_the_ledger_is_verified_on_a_machine_that_has_nothing(team: Sitting) -> None:
    page = HOW_TO / "verify-the-ledger.md"
    seen = team.follow(
        page, until="signoff verify --file ledger.txt --key ledger.pub --checkpoint checkpoint.txt"
    )
    assert [ran.code for ran in seen] == [0] * len(seen), seen
    for file in (team.home / "ledger.txt", team.home / "checkpoint.txt"):
        shutil.copy(file, team.other)
    shutil.copy(team.home / ".config" / "signoff" / "ledger.pub", team.other)
    command = "signoff verify --file ledger.txt --key ledger.pub --checkpoint checkpoint.txt"
    there = team.type(command, "elsewhere")
    assert there.code == 0, there.screen
    assert "result    verified" in there.screen
    whole = (team.other / "ledger.txt").read_text()
    (team.other / "ledger.txt").write_text(whole.replace('"kit"', '"cat"', 1))
    assert team.type(command, "elsewhere").code == 5


def test_an_agent_runs_in_its_sandbox_or_not_at_all(team: Sitting) -> None:
    project = team.home / "project"
    project.mkdir()
    (project / "agent.py").write_text(AGENT)
    key, ran = team.follow(HOW_TO / "run-an-agent.md")
    assert key.code == 0, key.screen
    if probe().works:
        assert (ran.code, "tables: orders" in ran.screen) == (0, True), ran.screen
        assert "home: []" in ran.screen
    else:
        assert ran.code == 1
        assert "advisory" in ran.screen


def test_without_the_daemon_looking_works_from_the_files(team: Sitting) -> None:
    team.terminals["daemon"].interrupt()
    for command, code in (("status", 1), ("log", 0), ("verify", 0), ("holds", 1)):
        ran = team.type(f"signoff {command}")
        assert ran.code == code, ran.screen
    assert team.type(READ).code != 0
