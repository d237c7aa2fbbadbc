"""Granting at a terminal: what is shown is what is signed, and what is signed is what was typed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from signoff.approvals.granting import GrantDesk
from signoff.approvals.grants import Grant
from signoff.faces.cli import run_command
from signoff.faces.client import Answered, ControlClient
from signoff.model.action import Principal
from signoff.model.errors import Refused
from signoff.model.values import canonical
from signoff.testing import FakeClock, MemoryStore

from .conftest import PASSPHRASE, Office
from .test_signing import typed

WHO = Principal("kit", "R-1", "ana")
ASKED = ["grant", "R-1", "--changes", "5", "--hours", "2", "--verbs", "update,disarm"]


class Granting:
    """Grants as the daemon gives them; `wider` alters the text that is handed out."""

    def __init__(self, office: Office) -> None:
        self.store, self.clock = MemoryStore(), FakeClock()
        self.desk = GrantDesk(self.store, self.clock, office.config.humans)
        self.wider: dict[str, Any] = {}

    async def grants(self, run: str) -> tuple[dict[str, Any], ...]:
        rows = reversed(self.store.grant_rows.values())
        return tuple(self.told(g) for g in rows if run in ("", g.run))

    async def draft(self, run: str, *given: Any) -> dict[str, Any]:
        if run != WHO.run:
            raise Refused(f"no run `{run}`", "no run key was issued for it", "signoff status")
        grant = self.desk.draft(WHO, *given)
        text = canonical(replace(grant, **self.wider).payload()).decode()
        return {"grant": self.told(grant), "payload": text, "eligible": ["bo", "mila"]}

    async def sign(self, grant: str, *given: Any) -> dict[str, Any]:
        return self.told(await self.desk.sign(grant, *given))

    async def revoke(self, grant: str) -> dict[str, Any]:
        await self.desk.revoke(self.store.grant_rows[grant])
        return self.told(self.store.grant_rows[grant])

    def told(self, grant: Grant) -> dict[str, Any]:
        state = grant.state(self.clock.now_ms()).value
        return {**grant.payload(), "state": state, "used": grant.used, "by": list(grant.by)}


@pytest.fixture
def granting(office: Office) -> Granting:
    made = Granting(office)
    office.granting = made  # type: ignore[attr-defined] # the daemon has one too
    return made


def test_a_peer_reads_the_grant_and_signs_it_at_a_terminal(granting: Granting) -> None:
    command = [*ASKED, "--as", "bo", "--why", "table settings"]
    code, screen = typed(command, ("passphrase of `bo`", PASSPHRASE))
    assert code == 0, screen
    for part in (
        "run       R-1 of kit for ana",
        "where     production",
        "may       disarm, update; 5 changes in all",
        "why       table settings",
        "signs     as `bo`",
        "granted   G-",
        "signoff grant revoke G-",
    ):
        assert part in screen
    (grant,) = granting.store.grant_rows.values()
    assert (grant.verbs, grant.changes, grant.by) == ({"disarm", "update"}, 5, ("bo",))
    assert grant.until_ms - grant.opened_ms == 2 * 3_600_000


def test_the_operator_is_told_to_ask_a_peer(granting: Granting) -> None:
    code, screen = typed([*ASKED, "--as", "ana"], ("passphrase of `ana`", PASSPHRASE))
    assert code == 2
    assert "ask a peer: bo, mila" in screen
    assert granting.store.grant_rows == {}


@pytest.mark.parametrize(
    "wider",
    [
        {"changes": 500},
        {"environment": "prod-eu"},
        {"verbs": frozenset({"delete"})},
        {"run": "R-2"},
        {"until_ms": 1 << 50},
    ],
)
def test_a_daemon_that_shows_another_grant_gets_no_signature(
    granting: Granting, wider: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    granting.wider = wider
    assert run_command([*ASKED, "--as", "bo"]) == 2
    assert "over another grant" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--changes", "0", "--hours", "1"],
        ["--changes", "1001", "--hours", "1"],
        ["--changes", "1", "--hours", "25"],
        ["--changes", "1", "--hours", "1", "--verbs", "everything"],
        ["--changes", "1", "--hours", "1", "--verbs", ","],
    ],
)
def test_a_grant_out_of_bounds_is_refused_before_anybody_signs(
    granting: Granting, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["grant", "R-1", *options, "--as", "bo"]) == 2
    assert granting.desk.drafts == {}
    assert "next:" in capsys.readouterr().err


def test_a_run_nobody_knows_gets_nothing(
    granting: Granting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["grant", "R-9", *ASKED[2:], "--as", "bo"]) == 2
    assert "no run `R-9`" in capsys.readouterr().err


def test_how_many_and_how_long_are_said_by_whoever_grants(
    granting: Granting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["grant", "R-1", "--hours", "1"]) == 1
    assert "--changes" in capsys.readouterr().err


def test_grants_are_listed_and_taken_back_without_a_signature(
    granting: Granting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["grants"]) == 0
    assert "no run has a live grant" in capsys.readouterr().out
    code, screen = typed([*ASKED, "--as", "bo"], ("passphrase", PASSPHRASE))
    assert code == 0, screen
    (name,) = granting.store.grant_rows
    assert run_command(["grants", "--run", "R-1"]) == 0
    line = capsys.readouterr().out
    for part in (name, "live", "R-1", "production", "disarm,update", "0 of 5 used", "by bo"):
        assert part in line
    assert run_command(["grant", "revoke", name]) == 0
    assert "revoked" in capsys.readouterr().out
    assert run_command(["grants", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"grants": []}
    assert run_command(["grants", "--all", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["grants"]
    assert (told["grant"], told["state"]) == (name, "revoked")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"run": "R-1", "verbs": "update", "changes": 1, "ttl_ms": 60_000},
        {"run": "R-1", "verbs": [1], "changes": 1, "ttl_ms": 60_000},
        {"run": "R-1", "verbs": ["update"], "changes": True, "ttl_ms": 60_000},
        {"run": "R-1", "verbs": ["update"], "changes": 1, "ttl_ms": "1"},
        {"run": 1, "verbs": ["update"], "changes": 1, "ttl_ms": 60_000},
    ],
)
def test_a_body_of_another_form_is_refused(granting: Granting, body: dict[str, Any]) -> None:
    client = ControlClient(granting_socket())
    with pytest.raises(Answered) as caught:
        client.draft_grant(body)
    assert caught.value.exit_code == 2
    assert granting.desk.drafts == {}


def granting_socket() -> Any:
    from signoff.config import load_config

    return load_config().control_socket


@pytest.mark.parametrize("hours", ["nan", "inf", "-inf"])
def test_what_is_no_number_of_hours_is_a_mistake_of_whoever_typed_it(
    granting: Granting, capsys: pytest.CaptureFixture[str], hours: str
) -> None:
    command = ["grant", "R-1", "--changes", "5", f"--hours={hours}", "--as", "bo"]
    assert run_command(command) == 1
    assert f"{hours} is not a number of hours" in capsys.readouterr().err


def test_a_run_that_was_left_out_is_what_is_missing(
    granting: Granting, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["grant", "--verbs", "update", "--changes", "5", "--hours", "1", "--as", "bo"]
    assert run_command(command) == 1
    assert "missing argument `RUN`" in capsys.readouterr().err
