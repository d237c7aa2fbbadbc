"""Proving, comparing and linting, typed at a terminal as the page says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from docs.pages import blocks
from docs.sitting import START, of, steps
from docs.terminals import Ran, Terminal, newcomer
from docs.test_how_to import HOW_TO
from signoff.policy.lint import RULES

PAGE = HOW_TO / "prove.md"


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Ran]]:
    """What each command of the page showed, in the home of somebody who has just begun."""
    with TemporaryDirectory(prefix="prove-") as folder:
        home = newcomer(Path(folder) / "home", "http://127.0.0.1:9")
        (cedar,) = (block for block in blocks(PAGE) if block.info == ("cedar",))
        (home / "weekend.cedar").write_text(cedar.text)
        terminal = Terminal(home)
        try:
            (init, *_) = (c for _, c in steps(START, "With three people") if " init " in c)
            assert terminal.run(init).code == 0
            yield [terminal.run(command) for _, command in steps(PAGE)]
        finally:
            terminal.close()


pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_proofs_end_as_the_page_says(seen: list[Ran]) -> None:
    proofs = of(seen, "signoff policy prove")
    assert [ran.code for ran in proofs] == [0, 0, 4, 0], proofs
    for word in ("outcome", "proved", "assumes", "weakened"):
        assert f"\n{word:<9} " in proofs[0].screen
    for word in ("violated", "request", "allowed", "set by"):
        assert f"\n{word:<9} " in proofs[2].screen
    assert "invariant-two-person" in proofs[2].screen
    assert "`candidate.toml` line" in proofs[2].screen or "candidate.toml` line" in proofs[2].screen
    assert [ran.code for ran in of(seen, "signoff policy check")] == [0]


def test_the_comparisons_show_an_example_in_words(seen: list[Ran]) -> None:
    own, settings = of(seen, "signoff policy diff")
    assert (own.code, settings.code) == (0, 0), own.screen + settings.screen
    assert "no longer allowed" in own.screen
    assert "by `no-weekend-orders` (`weekend.cedar` line 1)" in own.screen
    for word in ("before", "after", "unsigned"):
        assert f"\n{word:<9} " in own.screen


def test_lint_has_nothing_to_say_of_the_policy_of_the_page(seen: list[Ran]) -> None:
    (ran,) = of(seen, "signoff policy lint")
    assert (ran.code, "findings  none" in ran.screen) == (0, True), ran.screen


def test_the_page_tells_of_every_rule_of_lint() -> None:
    text = PAGE.read_text("utf-8")
    for name, (weight, _) in RULES.items():
        assert f"| `{name}` | {weight.value} |" in text
