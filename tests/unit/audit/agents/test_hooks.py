"""Lines of hooks: which of them end well whatever happens, and with which exit codes."""

from __future__ import annotations

import pytest

from signoff.audit.agents.hooks import exit_codes, split, swallows


@pytest.mark.parametrize(
    "line", ["guard || true", "guard; true", "guard; exit 0", "guard | cat", "guard &", "guard||:"]
)
def test_a_line_that_ends_well_anyway_is_seen(line: str) -> None:
    assert swallows(line)


@pytest.mark.parametrize(
    "line", ["guard", "guard --or 'a || b'", "cd /opt && guard", "guard || exit 2", "guard 2>err"]
)
def test_a_line_that_keeps_its_exit_code_is_left_alone(line: str) -> None:
    assert not swallows(line)


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("exit 1", {1}),
        ("  [ -z $x ] && exit 2; exit 0", {0, 2}),
        ("sys.exit(1)", {1}),
        ("if (bad) process.exit(3);", {3}),
        ("# exit 1", set()),
        ("exit $code", set()),
        ("echo exit", set()),
    ],
)
def test_exit_codes_are_read_from_lines(line: str, codes: set[int]) -> None:
    assert exit_codes(line) == codes


def test_a_line_with_an_open_quote_still_has_words() -> None:
    assert split("guard 'x") == ["guard", "'x"]
