"""The page on changing the settings, typed at real terminals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docs.pages import ROOT
from docs.sitting import START, Sitting, ended, of, sitting

pytestmark = [pytest.mark.real, pytest.mark.slow]
PAGE = ROOT / "docs" / "how-to" / "change.md"
FIRST_CALL = "aws dynamodb update-table --table-name orders --no-deletion-protection-enabled"


@pytest.fixture(scope="module")
def team() -> Iterator[Sitting]:
    """Three people and a running daemon."""
    with sitting() as one:
        one.follow(START, "With three people", until=FIRST_CALL)
        yield one


def test_the_settings_are_changed_as_the_page_says(team: Sitting) -> None:
    before = team.type("signoff status").screen
    assert "as `signoff init` wrote it" in before
    seen = team.follow(PAGE)
    dry, asked, done = ended(seen, "signoff apply", 0, 3, 0)
    for ran in (dry, asked):
        assert "limits.calls_per_minute: `600` becomes `300`" in ran.screen
        assert "safeguard proved" in ran.screen
    for ran in ended(seen, "signoff approve", 0, 0):
        assert "signoff:ChangeConfiguration" in ran.screen
        assert "limits.calls_per_minute: `600` becomes `300`" in ran.screen
    assert "and runs" in done.screen
    (status,) = of(seen, "signoff status")
    assert "signed by ana and bo" in status.screen
    assert "DIFFERS" not in status.screen
    assert "sealed" in team.type("signoff log").screen


def test_an_edit_that_breaks_the_safeguard_is_refused_with_its_line(team: Sitting) -> None:
    settings = "~/.config/signoff/signoff.toml"
    team.type(f"cp {settings} kept.toml")
    row = r'\n[[quorum]]\nagents = ["kit"]\nirreversible = 0\n'
    team.type(f"printf '{row}' >> {settings}")
    refused = team.type("signoff apply --dry-run")
    assert refused.code == 4
    assert "the safeguard does not hold" in refused.screen
    team.type(f"cp kept.toml {settings}")
    same = team.type("signoff apply")
    assert same.code == 0
    assert "as it is" in same.screen
