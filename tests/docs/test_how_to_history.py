"""Reviewing, exporting and judging the past again, typed at a terminal as the pages say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import blocks
from docs.sitting import START, Sitting, ended, sitting, steps
from docs.test_how_to import DISARM, HOW_TO, disarm
from real.collector import backend, collector

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def team() -> Iterator[Sitting]:
    """Three people, and an agent whose disarming of a table two of them signed."""
    with sitting() as one:
        one.follow(START, "With three people", until=DISARM)
        disarm(one)
        yield one


def test_what_happened_is_reviewed_by_somebody_who_did_not_ask_for_it(team: Sitting) -> None:
    own = team.type('signoff review done --run "$SIGNOFF_RUN" --as ana')
    assert own.code == 0, own.screen
    assert "you are on the side that asked" in own.screen
    seen = team.follow(HOW_TO / "review.md")
    ended(seen, "signoff review", 0, 0, 0, 0)
    assert "carried out" in seen[0].screen
    assert "dynamodb:UpdateTable" in seen[0].screen
    assert "signed off by" in seen[0].screen
    assert "looked at by bo" in seen[3].screen
    assert "0 actions to look at" in seen[3].screen
    assert team.type("signoff verify").code == 0


def test_the_ledger_is_exported_to_files_and_a_real_collector(
    team: Sitting, tmp_path: Path
) -> None:
    with backend() as end, collector(tmp_path, end.url) as url:
        for _, command in steps(HOW_TO / "export.md"):
            ran = team.type(command.replace("http://127.0.0.1:4318", url))
            assert ran.code == 0, ran.screen
        events = [json.loads(x) for x in (team.home / "events.jsonl").read_text().splitlines()]
        records = end.records(1)
    assert {e["class_uid"] for e in events} == {6002, 6003, 3004}
    assert [e["metadata"]["sequence"] for e in events[:3]] == [0, 1, 2]
    assert records[0].event_name.startswith("signoff.")
    assert (team.home / "logs.jsonl").read_text().startswith('{"resourceLogs"')


def test_the_settings_that_decided_would_decide_the_same_again(team: Sitting) -> None:
    told = team.type("signoff policy replay --json")
    assert told.code == 0, told.screen
    report = json.loads(told.screen[told.screen.index('{"candidate') :])
    assert report["actions"] >= 2
    assert (report["changed"], report["decided_by_other_bundles"]) == (0, 0)
    assert (report["without_facts"], report["skipped"]) == (0, 0)


def test_a_policy_of_the_page_is_judged_against_what_happened(team: Sitting) -> None:
    page = HOW_TO / "write-a-policy.md"
    first = next(b for b in blocks(page) if b.info == ("cedar",))
    always = first.text.split("when")[0].rstrip() + ";\n"
    (team.home / "weekend.cedar").write_text(always)
    seen = team.follow(page, "Judge the past again")
    ended(seen, "signoff policy replay", 0, 0)
    assert "newly denied" in seen[0].screen
    assert "no-weekend-orders" in seen[0].screen
    assert "dynamodb:UpdateTable" in seen[0].screen
