"""The command line keeps its contract: exit codes, streams, one next step, no traceback."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from signoff.config import Config, load_config
from signoff.faces import cli
from signoff.faces.cli import parts, run_command, setup
from signoff.faces.cli.explain import batch_answers
from signoff.model.errors import ProofInvalid, Refused, SignoffError

from .conftest import HOLD, Office


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command, the ones inside groups too."""
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        found += leaves(inner, (*path, name))
    return found


ALL = leaves(cli.signoff)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*path, "--help"]) == 0
    assert "Usage: signoff " + " ".join(path) in capsys.readouterr().out


@pytest.mark.parametrize("path", [p for p in ALL if p != ("run",)], ids=" ".join)
def test_every_command_speaks_json(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run_command([*path, "--help"])
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given",
    [["nope"], ["status", "--nope"], ["key", "new"], ["halt", "--agent", "a", "--run", "b"]],
)
def test_a_wrong_command_line_fails_with_1_and_never_2_which_means_denied(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(given) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("signoff: ")
    assert "next: signoff" in told.err


@pytest.mark.parametrize(
    ("error", "code"),
    [(SignoffError("a", "b", "c"), 1), (Refused("a", "b"), 2), (ProofInvalid("a"), 5)],
)
def test_an_error_is_three_lines_on_stderr_and_its_own_exit_code(
    error: SignoffError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails() -> Any:
        raise error

    monkeypatch.setattr("signoff.faces.cli.look.control", fails)
    assert run_command(["holds", "--json"]) == code
    told = capsys.readouterr()
    assert told.err.startswith("signoff: a\n")
    assert json.loads(told.out)["error"]["exit_code"] == code


def test_what_nobody_expected_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> Any:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("signoff.faces.cli.look.control", fails)
    monkeypatch.delenv("SIGNOFF_DEBUG", raising=False)
    assert run_command(["holds"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("signoff: unexpected ZeroDivisionError: a b\n")
    assert "Traceback" not in told
    monkeypatch.setenv("SIGNOFF_DEBUG", "1")
    run_command(["holds"])
    assert "Traceback" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explain", "--batch", "/nowhere/x"]) == 1
    told = capsys.readouterr().err
    assert "`/nowhere/x`" in told
    assert "no such file" in told
    assert "unexpected" not in told


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from signoff.faces.cli import run_command; run_command(['--help']);"
        "heavy = {'aiohttp', 'botocore', 'cedarpy', 'cryptography', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_holds_and_show_answer_on_stdout_with_the_next_step_last(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["holds"]) == 0
    told = capsys.readouterr()
    assert HOLD.ticket in told.out
    assert told.out.splitlines()[-1].startswith("next ")
    assert told.err == ""
    assert run_command(["show", HOLD.ticket, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"]["action"] == "dynamodb:DeleteTable"


def test_the_only_open_hold_needs_no_ticket_and_one_of_several_does(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command(["show"]) == 0
    assert HOLD.ticket in capsys.readouterr().out
    for waiting, said in (((), "no hold waits"), (({"ticket": "H-1"}, {"ticket": "H-2"}), "`H-2`")):

        async def holds(waiting: Any = waiting) -> Any:
            return waiting

        monkeypatch.setattr(office, "holds", holds)
        assert run_command(["approve", "--as", "bo"]) == 1
        assert said in capsys.readouterr().err
    assert office.signed == []


def test_a_command_that_is_misspelt_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["hold"]) == 1
    assert "did you mean `holds`?" in capsys.readouterr().err.lower()


def test_init_takes_the_next_port_when_its_own_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(setup, "PORT", taken.getsockname()[1])
        assert setup._free_port() > setup.PORT
    assert "is taken; the gate gets" in capsys.readouterr().err


def test_a_profile_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "aws").write_text("[profile ops]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("SIGNOFF_CONFIG", str(tmp_path / "etc" / "signoff.toml"))
    assert run_command(["init", "aws", "--profile", "opz", "--yes", "--human", "ana"]) == 1
    told = capsys.readouterr().err
    assert "no AWS profile `opz`" in told
    assert "`ops`" in told


def test_a_hold_that_is_not_there_is_refused_in_the_daemons_words(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["show", "H-9"]) == 2
    assert "no hold `H-9`" in capsys.readouterr().err


def test_halt_and_freeze_need_no_terminal(office: Office) -> None:
    assert run_command(["halt", "--run", "R-1"]) == 0
    assert run_command(["freeze"]) == 0
    assert office.acts == [
        ("halt", {"agent": "", "run": "R-1"}),
        ("freeze", {"environment": "production"}),
    ]


def test_a_halt_of_a_name_nobody_has_says_so(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["halt", "--run", "R-typo"]) == 0
    assert "is the name right?" in capsys.readouterr().out
    assert run_command(["halt", "--run", "R-1"]) == 0
    assert "is the name right?" not in capsys.readouterr().out


def test_status_works_with_the_daemon_down(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["status", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["daemon"] == "not running"
    assert told["profile"] == "team"
    assert told["warnings"]


def test_without_settings_a_command_says_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNOFF_CONFIG", str(tmp_path / "none.toml"))
    assert run_command(["holds"]) == 1
    assert "next: signoff init" in capsys.readouterr().err


def test_doctor_finds_a_key_that_others_can_read(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    home.vault.key_file.chmod(0o644)
    assert run_command(["doctor", "--json"]) == 6
    checks = {c["check"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["settings"]["good"]
    assert not checks["vault key"]["good"]
    assert "chmod 600" in checks["vault key"]["next_step"]
    assert checks["ledger key"]["good"]
    assert not checks["daemon"]["good"]
    assert not checks["configuration"]["tried"]


def test_log_reads_receipts_from_the_daemon(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mark"] == "startup"


def explained(asked: dict[str, object]) -> dict[str, object]:
    if asked.get("action") == "break":
        raise ZeroDivisionError("inside")
    return {"id": asked.get("id"), "ruling": str(asked.get("action")), "quorum": 0}


def test_every_line_of_a_batch_gets_an_answer_in_order() -> None:
    lines = [
        b'{"id": 1, "action": "allow"}\n',
        b"\n",
        b"{not json\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"id": 2, "action": "break"}\n',
        b"[" * 200_000 + b"\n",
        b'{"id": 3, "action": "deny"}',
    ]
    answers = list(batch_answers(lines, explained))
    assert [a["id"] for a in answers] == [1, None, None, None, 2, None, 3]
    assert [a["ruling"] for a in answers] == ["allow", *["deny"] * 6]
    assert all(a["unknown"] for a in answers[1:6])


@pytest.mark.parametrize(("ruling", "code"), [("allow", 0), ("deny", 2), ("hold", 3)])
def test_explain_answers_with_the_rulings_exit_code(
    ruling: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("signoff.faces.cli.explain.reach", lambda *_: explained)
    assert run_command(["explain", ruling]) == code
    assert f"ruling    {ruling}" in capsys.readouterr().out


def test_explain_reads_an_object_and_a_batch_from_stdin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, object]] = []

    def noted(given: dict[str, object]) -> dict[str, object]:
        asked.append(given)
        return {"id": None, "ruling": "allow"}

    monkeypatch.setattr("signoff.faces.cli.explain.reach", lambda *_: noted)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"service": "s3"}'))
    assert run_command(["explain", "--env", "staging", "--json", "-"]) == 0
    assert asked == [{"surface": "aws", "action": {"service": "s3"}, "env": "staging"}]
    assert json.loads(capsys.readouterr().out)["ruling"] == "allow"


def test_init_by_options_alone_writes_settings_that_load(
    tmp_path: Path,
    keys: dict[str, tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SIGNOFF_CONFIG", str(tmp_path / "etc" / "signoff.toml"))
    people = [w for name, (_, public) in keys.items() for w in ("--human", f"{name}={public}")]
    given = ["--development", "account=123456789012,name=dev-*", "--region", "eu-west-1"]
    command = ["init", "aws", "--yes", "--state-dir", str(tmp_path / "state"), *people, *given]
    assert run_command(command) == 0
    told = capsys.readouterr().out
    assert "development  account=123456789012, name=dev-*" in told
    assert "production   everything else" in told
    config = load_config(tmp_path / "etc" / "signoff.toml")
    assert config.profile == "team"
    assert config.vault.key_file.stat().st_mode & 0o777 == 0o600
    assert run_command(command) == 1
    assert "already" in capsys.readouterr().err


def test_init_of_one_human_is_solo_and_a_bad_match_writes_nothing(
    tmp_path: Path, keys: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "etc" / "signoff.toml"
    monkeypatch.setenv("SIGNOFF_CONFIG", str(path))
    given = [
        "init",
        "--yes",
        "--state-dir",
        str(tmp_path / "s"),
        "--human",
        f"ana={keys['ana'][1]}",
    ]
    assert run_command([*given, "--staging", "everything"]) == 1
    assert run_command([*given, "--account", "12"]) == 1
    assert not path.exists()
    assert run_command(given) == 0
    assert load_config(path).profile == "solo"


def test_human_add_enrols_and_refuses_a_key_twice(
    home: Config, keys: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["human", "add", "eve", "--public", keys["bo"][1]]) == 1
    assert "enrolled for" in capsys.readouterr().err
    other = "signoff-ed25519 " + "A" * 43 + "="
    assert run_command(["human", "add", "eve", "--public", other, "--group", "sre"]) == 0
    found = load_config(home.path)
    assert [h.name for h in found.humans] == ["ana", "bo", "mila", "eve"]
    assert found.humans[-1].groups == ("sre",)


def test_a_part_that_is_not_installed_is_said_so() -> None:
    with pytest.raises(SignoffError, match="not part of this installation"):
        parts.reach("signoff.nowhere", "x")
    with pytest.raises(SignoffError, match="not part of this installation"):
        parts.reach("signoff.faces", "x")


def test_a_ledger_that_is_not_there_is_not_exported(
    home: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["log", "--export", str(tmp_path / "ledger.txt")]) == 5
    assert str(home.ledger_path) in capsys.readouterr().err
    assert not (tmp_path / "ledger.txt").exists()


def test_a_checkpoint_that_cannot_be_kept_is_said_so(
    home: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"size": 1, "root": "ab", "findings": [], "note": "a note\n"}
    monkeypatch.setattr("signoff.faces.cli.log.reach", lambda *_: lambda *_: found)
    assert run_command(["verify", "--keep", str(tmp_path / "nowhere" / "note")]) == 5
    assert "cannot write" in capsys.readouterr().err
    assert run_command(["verify", "--keep", str(tmp_path / "note")]) == 0
    assert (tmp_path / "note").read_text() == "a note\n"


def test_a_ledger_that_does_not_verify_leaves_no_checkpoint(
    home: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"size": 1, "root": "ab", "findings": ["altered"], "note": "a note\n"}
    monkeypatch.setattr("signoff.faces.cli.log.reach", lambda *_: lambda *_: found)
    assert run_command(["verify", "--keep", str(tmp_path / "note")]) == 5
    assert not (tmp_path / "note").exists()
