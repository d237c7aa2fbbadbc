"""The bug, in numbers."""

from __future__ import annotations

from signoff.demo.service import total


def test_the_wrong_setting_rounds_every_line_to_whole_units() -> None:
    assert total(["0.4", "0.4", "0.4"], 0) == "0"
    assert total(["0.4", "0.4", "0.4"], 2) == "1.20"
    assert total(["0.5", "1.5"], 0) == "3"
