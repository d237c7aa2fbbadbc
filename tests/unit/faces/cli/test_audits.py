"""`signoff audit self` and `signoff audit agents` as commands: exit codes, JSON, bad input."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signoff.config import Config
from signoff.faces.cli import run_command

Text = pytest.CaptureFixture[str]
NOBODY = 65_534


@pytest.fixture
def agent_home(tmp_path: Path) -> Path:
    """A home with nothing of any agent in it, and an empty machine."""
    for name in ("user", "work", "machine"):
        (tmp_path / name).mkdir()
    return tmp_path


def agents(place: Path, *words: str) -> int:
    where = ["--home", str(place / "user"), "--project", str(place / "work")]
    return run_command(["audit", "agents", *where, "--root", str(place / "machine"), *words])


def test_without_any_agent_there_is_nothing_to_find(agent_home: Path, capsys: Text) -> None:
    assert agents(agent_home) == 0
    assert "no findings" in capsys.readouterr().out


def test_a_bypass_mode_ends_with_6_and_names_file_and_line(agent_home: Path, capsys: Text) -> None:
    file = agent_home / "user" / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text('{\n  "permissions": {\n    "defaultMode": "bypassPermissions"\n  }\n}\n')
    page = agent_home / "page.html"
    assert agents(agent_home, "--json", "--html", str(page)) == 6
    told = json.loads(capsys.readouterr().out)
    first = told["findings"][0]
    assert (first["check"], first["where"]["file"], first["where"]["line"]) == (
        "bypass-mode",
        str(file),
        3,
    )
    assert "bypassPermissions" in page.read_text()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("settings.json", '{"permissions": [1,,]}', "not JSON"),
        ("settings.json", '{"a": {"b": 1}', "ends in the middle"),
        ("settings.json", "[1, 2]", "no object"),
        ("settings.json", '{"a": ' + "[" * 200 + "]" * 200 + "}", "too deep"),
        ("settings.json", '{"a": "\0"}', "nul"),
    ],
)
def test_settings_that_cannot_be_read_are_a_finding_with_a_place(
    agent_home: Path, capsys: Text, name: str, text: str, says: str
) -> None:
    file = agent_home / "user" / ".claude" / name
    file.parent.mkdir()
    file.write_text(text)
    assert agents(agent_home, "--agent", "claude", "--json") == 6
    rows = json.loads(capsys.readouterr().out)["findings"]
    (found,) = [r for r in rows if r["check"] == "unreadable"]
    assert says.lower() in (found["what"] + found["why"]).lower()
    assert found["where"]["file"] == str(file)
    assert found["next_step"]


def test_an_unknown_agent_is_an_error_that_names_the_known(agent_home: Path, capsys: Text) -> None:
    assert agents(agent_home, "--agent", "hal") == 1
    told = capsys.readouterr().err
    assert "`hal`" in told
    assert "codex" in told


def test_an_unknown_user_is_an_error(agent_home: Path, capsys: Text) -> None:
    assert agents(agent_home, "--agent-user", "nobody-of-that-name") == 1
    assert "nobody-of-that-name" in capsys.readouterr().err


def test_the_audit_of_signoff_itself_finds_keys_that_lie_together(
    home: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_command(["audit", "self", "--json"]) == 6
    told = json.loads(capsys.readouterr().out)
    found = {row["check"] for row in told["findings"]}
    assert "keys-together" in found
    assert {row["thing"] for row in told["sections"][0]["rows"]} >= {"vault key", "ledger key"}
    assert told["sections"][1]["rows"][0]["human"] == "ana"


def test_an_unknown_user_of_the_agent_is_an_error_here_too(home: Config, capsys: Text) -> None:
    assert run_command(["audit", "self", "--agent-user", "nobody-of-that-name"]) == 1
    assert "nobody-of-that-name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"permissions": ["Bash(*)"]}', "permissions"),
        ('{"permissions": {"allow": "Bash(*)"}}', "permissions.allow"),
        ('{"hooks": {"PreToolUse": [true]}}', "hooks.PreToolUse[0]"),
    ],
)
def test_a_shape_the_table_does_not_know_is_a_finding(
    agent_home: Path, capsys: Text, text: str, key: str
) -> None:
    file = agent_home / "user" / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text(text)
    assert agents(agent_home, "--agent", "claude", "--json") == 6
    rows = json.loads(capsys.readouterr().out)["findings"]
    assert [r["where"]["name"] for r in rows if r["check"] == "not-understood"] == [key]


@contextmanager
def a_home_of_somebody_without_rights() -> Iterator[Path]:
    """Like `agent_home`; root, who may look at everything, is somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for part in ("user", "work", "machine"):
            (place / part).mkdir(mode=0o755)
        own = os.geteuid()
        folder = place / "user" / ".claude"
        folder.mkdir()
        (folder / "settings.json").write_text("{}")
        folder.chmod(0)
        if own == 0:
            os.seteuid(NOBODY)
        try:
            yield place
        finally:
            if own == 0:
                os.seteuid(own)
            folder.chmod(0o755)


def test_settings_that_may_not_be_looked_at_are_unknown(
    capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_home_of_somebody_without_rights() as place:
        monkeypatch.setenv("HOME", str(place / "machine"))
        assert agents(place, "--agent", "claude", "--json") == 6
    rows = json.loads(capsys.readouterr().out)["findings"]
    assert "unreadable" in {r["check"] for r in rows}


def test_a_file_that_other_programs_read_is_no_sign_of_an_agent(
    agent_home: Path, capsys: Text
) -> None:
    file = agent_home / "work" / ".vscode" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"editor.tabSize": 4}')
    (agent_home / "work" / ".mcp.json").write_text('{"mcpServers": {}}')
    assert agents(agent_home, "--json") == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    file.write_text('{"kiroAgent.trustedCommands": ["*"]}')
    assert agents(agent_home, "--json") == 6
    rows = json.loads(capsys.readouterr().out)["findings"]
    assert [r["check"] for r in rows] == ["allow-everything"]


def test_an_agent_whose_defaults_allow_everything_is_found_without_a_file(
    agent_home: Path, capsys: Text
) -> None:
    (agent_home / "user" / ".config" / "opencode").mkdir(parents=True)
    assert agents(agent_home, "--no-hook", "--json") == 6
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert found["check"] == "default-allows"
    assert found["where"]["file"].startswith(str(agent_home / "user"))


def test_a_hook_with_a_token_on_its_line_is_told_without_it(agent_home: Path, capsys: Text) -> None:
    file = agent_home / "user" / ".claude" / "settings.json"
    file.parent.mkdir()
    secret = "ghp_" + "a" * 36
    hook = {"type": "command", "command": f"guard --note {secret} || true"}
    rules = {"allow": [f"Bash(curl -H 'Authorization: {secret}' *)", "Bash(*)"]}
    hooks = {"PreToolUse": [{"matcher": "*", "hooks": [hook]}]}
    file.write_text(json.dumps({"hooks": hooks, "permissions": rules}))
    page = agent_home / "page.html"
    for words in (("--html", str(page)), ("--json",)):
        assert agents(agent_home, *words) == 6
        told = capsys.readouterr()
        assert "ends well whatever" in told.out
        assert secret not in told.out + told.err
    assert secret not in page.read_text()


def test_a_page_is_not_written_through_a_symbolic_link(agent_home: Path, capsys: Text) -> None:
    victim, page = agent_home / "victim", agent_home / "page.html"
    victim.write_text("mine")
    page.symlink_to(victim)
    assert agents(agent_home, "--html", str(page)) == 1
    assert victim.read_text() == "mine"
    assert "page.html" in capsys.readouterr().err


def test_a_page_is_its_owners_alone(agent_home: Path) -> None:
    page = agent_home / "page.html"
    agents(agent_home, "--html", str(page))
    assert page.stat().st_mode & 0o077 == 0
