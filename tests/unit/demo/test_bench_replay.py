"""The made-up past is the same for the same seed, and judging it again is what is measured."""

from __future__ import annotations

from signoff.demo import bench_replay
from signoff.demo.bench_parts import full_bundle
from signoff.policy.replay import Candidate, replay


def test_the_same_seed_makes_the_same_past_and_another_seed_another() -> None:
    first = list(bench_replay.past(7, 40))
    assert first == list(bench_replay.past(7, 40))
    assert first != list(bench_replay.past(8, 40))


def test_the_made_up_past_was_decided_by_its_bundle() -> None:
    rows = list(bench_replay.past(3, 200))
    report = replay(rows, Candidate(full_bundle(), bench_replay.people()))
    assert (report.actions, report.changed, report.skipped) == (200, 0, 0)
    assert len(report.before) == 3
    assert all(count > 0 for count in (report.before["allow"], report.before["hold"]))


def test_what_is_measured_is_every_action_and_something_differs() -> None:
    told: list[str] = []
    cost = bench_replay.replayed(told.append, 300)
    assert cost.report.actions == 300
    assert cost.report.changed > 0
    assert cost.seconds > 0
    assert told == ["replay: judging 300 actions again, seed 20261122"]
