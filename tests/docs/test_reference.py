"""The reference pages are what the code says, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from signoff.config.settings import SETTINGS
from signoff.faces import reference
from signoff.faces.cli import COMMANDS, run_command

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_a_page_is_what_the_code_says_now(name: str) -> None:
    written = (PAGES / name).read_text()
    assert written == reference.pages()[name], "run `make docs`"


@pytest.mark.parametrize(("name", "text"), list(reference.help_texts()), ids=lambda v: v[:30])
def test_a_help_block_equals_the_real_help(
    name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*name.split(" ")[1:], "--help"]) == 0
    assert capsys.readouterr().out.rstrip() == text.rstrip()
    assert f"## {name}\n\n```text\n{text.rstrip()}\n```\n" in (PAGES / "cli.md").read_text()


def test_every_setting_has_its_heading() -> None:
    page = (PAGES / "config.md").read_text()
    assert all(f"### {setting.heading}\n" in page for setting in SETTINGS)


def test_every_error_has_its_heading() -> None:
    page = (PAGES / "errors.md").read_text()
    assert all(f"## {kind.__name__}\n" in page for kind in reference.error_classes())


def test_every_command_has_its_heading() -> None:
    page = (PAGES / "cli.md").read_text()
    assert all(f"## signoff {name}\n" in page for name in COMMANDS)
