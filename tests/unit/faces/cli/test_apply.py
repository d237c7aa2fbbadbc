"""`signoff apply`: what it shows, what it asks for, and what it refuses."""

from __future__ import annotations

import json

import pytest

from signoff.config import Config, read_texts
from signoff.faces.cli import run_command

from .conftest import PASSPHRASE, Office
from .test_signing import typed


def edited(office: Office, home: Config, more: str = "\n[gate]\nport = 2\n") -> str:
    """The settings as they are run by the daemon, and then edited; the new digest."""
    office.sealed = read_texts(home.path)
    assert home.path is not None
    text = home.path.read_text()
    home.path.write_text(text.replace("[gate]", "[gate] # edited") if not more else text + more)
    return read_texts(home.path).digest


def test_the_difference_is_shown_signed_for_by_digest_and_held(
    office: Office, home: Config
) -> None:
    digest = edited(office, home, "")
    code, screen = typed(["apply", "--as", "bo"], ("passphrase of `bo`", PASSPHRASE))
    assert code == 3, screen
    assert "gate.port: `1` becomes `2`" in screen
    assert "proved" in screen
    assert f"configuration {digest[:12]}" in screen
    assert "signoff approve H-3" in screen
    assert office.acts == [("apply", {"configuration": digest})]


def test_a_dry_run_asks_for_nothing(
    office: Office, home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(office, home, "")
    assert run_command(["apply", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changes"] == ["gate.port: `1` becomes `2`"]
    assert told["state"] == "considered"
    assert office.acts == []


def test_nothing_is_asked_where_nothing_differs(
    office: Office, home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["apply"]) == 0
    assert "as it is" in capsys.readouterr().out
    assert office.considered == []


@pytest.mark.parametrize("more", ["# never\n", "[[[", "unknown = 1\n"])
def test_what_would_not_load_ends_with_exit_code_4_and_is_not_signed(
    office: Office, home: Config, capsys: pytest.CaptureFixture[str], more: str
) -> None:
    office.sealed = read_texts(home.path)
    assert home.path is not None
    home.path.write_text(home.path.read_text() + more)
    assert run_command(["apply", "--as", "bo"]) == 4
    assert "next:" in capsys.readouterr().err
    assert office.acts == []


def test_without_a_terminal_nothing_is_asked_for(office: Office, home: Config) -> None:
    edited(office, home, "")
    assert run_command(["apply", "--as", "bo"]) == 2
    assert office.acts == []


def test_those_who_sign_are_those_of_the_sealed_settings(office: Office, home: Config) -> None:
    office.sealed = read_texts(home.path)
    assert home.path is not None
    text = home.path.read_text()
    begin = text.index("[[human]]")
    home.path.write_text(text[:begin] + text[begin:].replace('name = "bo"', 'name = "zoe"'))
    code, screen = typed(["apply", "--as", "zoe"])
    assert code == 2, screen
    assert "`zoe` is not enrolled" in screen
