"""What reaches a terminal: no text from elsewhere leads it."""

from __future__ import annotations

import json

import pytest

from signoff.faces.cli.shared import dumped, tell

HOSTILE = "a\x1b[2J\x9b31m\u202eb\ud800\u2066"


def test_a_line_for_the_reader_holds_nothing_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(f"judged: {HOSTILE}")
    told = capsys.readouterr().err
    assert told.rstrip("\n").isprintable()
    assert told.startswith("signoff: judged: a\\x1b")


def test_json_holds_nothing_a_terminal_obeys_and_says_the_same() -> None:
    text = dumped({"name": HOSTILE})
    assert text.isprintable()
    text.encode()
    assert json.loads(text) == {"name": HOSTILE}
    assert dumped({"name": "mila ü 日本"}) == '{"name": "mila ü 日本"}'
