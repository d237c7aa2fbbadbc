"""The closing table and its JSON say the same."""

from __future__ import annotations

import io
import json

from rich.console import Console

from signoff.demo.ending import Check, Ending
from signoff.demo.table import as_json, show

RIGHT = Ending("guarded", "denied", "kept", "all kept", (Check("kept", True),), 1.25, True)
WRONG = Ending("observe", "seen", "kept", "lost", (Check("items kept", False, "0 items"),))


def test_an_ending_without_a_check_is_never_right() -> None:
    assert not Ending("arm", "", "", "").right
    assert RIGHT.right
    assert not WRONG.right


def test_one_wrong_ending_makes_the_whole_wrong() -> None:
    assert json.loads(as_json("kiro", 1, (RIGHT,), 2.0))["right"] is True
    assert json.loads(as_json("kiro", 1, (RIGHT, WRONG), 2.0))["right"] is False
    assert json.loads(as_json("kiro", 1, (), 2.0))["right"] is False


def test_the_table_shows_every_arm_and_why_an_ending_is_wrong() -> None:
    out = io.StringIO()
    show("kiro", 4, (RIGHT, WRONG), 2.0, Console(file=out, width=160))
    text = out.getvalue()
    for part in ("guarded", "1.2 s", "equal", "WRONG", "expected items kept; found 0 items"):
        assert part in text
