"""Velocity, repetition and budgets, with time as an argument."""

from __future__ import annotations

import pytest

from signoff.breaker import HOUR_MS, MINUTE_MS, SATURATED, Attempt, Breaker, Limits, Pace
from signoff.model.action import Principal

NOW = 1_800_000_000_000
RUN = Principal("fixer", "R-1", "olga")
NEXT_RUN = Principal("fixer", "R-2", "olga")
OTHER = Principal("other", "R-3", "olga")
DROP = (("delete", "table/orders"),)


def change(digest: str = "d", outcome: str = "done", **more: object) -> Attempt:
    return Attempt(digest, outcome, is_change=True, **more)


def read(digest: str = "r") -> Attempt:
    return Attempt(digest, "done", is_change=False)


def test_a_call_counts_for_a_minute_and_then_no_longer() -> None:
    breaker = Breaker()
    breaker.record(RUN, read(), NOW)
    assert breaker.counts(RUN, "x", NOW + MINUTE_MS - 1).calls_last_minute == 1
    assert breaker.counts(RUN, "x", NOW + MINUTE_MS + 1_000).calls_last_minute == 0


def test_a_window_never_counts_too_few_at_any_offset() -> None:
    for offset in range(0, 2_000, 137):
        breaker = Breaker()
        breaker.record(RUN, read(), NOW + offset)
        assert breaker.counts(RUN, "x", NOW + offset + MINUTE_MS - 1).calls_last_minute == 1


def test_changes_are_counted_apart_from_calls() -> None:
    breaker = Breaker()
    for _ in range(3):
        breaker.record(RUN, read(), NOW)
    breaker.record(RUN, change(), NOW)
    counts = breaker.counts(RUN, "x", NOW)
    assert (counts.calls_last_minute, counts.changes_last_minute) == (4, 1)


def test_a_new_run_of_the_same_agent_is_no_new_start() -> None:
    breaker = Breaker()
    for i in range(10):
        breaker.record(RUN, change(str(i)), NOW)
    counts = breaker.counts(NEXT_RUN, "x", NOW)
    assert (counts.run.changes_last_minute, counts.agent.changes_last_minute) == (0, 10)
    assert counts.changes_last_minute == 10
    assert breaker.counts(OTHER, "x", NOW).changes_last_minute == 0


@pytest.mark.parametrize("times", [0, 1, 2, 7])
def test_the_same_action_with_the_same_outcome_repeats(times: int) -> None:
    breaker = Breaker()
    for _ in range(times):
        breaker.record(RUN, change(), NOW)
    assert breaker.counts(RUN, "d", NOW).repeats == times
    assert breaker.counts(RUN, "another", NOW).repeats == 0


def test_another_outcome_starts_the_repetition_anew() -> None:
    breaker = Breaker()
    for outcome in ("failed", "failed", "failed", "done"):
        breaker.record(RUN, change(outcome=outcome), NOW)
    assert breaker.counts(RUN, "d", NOW).repeats == 1


@pytest.mark.parametrize("period", [2, 3])
def test_an_alternation_of_two_or_three_repeats(period: int) -> None:
    breaker = Breaker()
    for i in range(period * 4):
        breaker.record(RUN, change(f"d{i % period}"), NOW)
    assert breaker.counts(RUN, "d0", NOW).repeats == 4
    assert breaker.counts(RUN, f"d{period - 1}", NOW).repeats == 1


def test_an_alternation_counts_from_its_second_round() -> None:
    breaker = Breaker()
    for digest in "ab":
        breaker.record(RUN, change(digest), NOW)
    assert breaker.counts(RUN, "a", NOW).repeats == 0
    for digest in "ab":
        breaker.record(RUN, change(digest), NOW)
    assert breaker.counts(RUN, "a", NOW).repeats == 2


def test_progress_is_no_repetition() -> None:
    breaker = Breaker()
    for i in range(30):
        breaker.record(RUN, change(f"d{i}"), NOW)
    assert breaker.counts(RUN, "d30", NOW).repeats == 0


def test_reads_in_between_do_not_hide_that_changes_repeat() -> None:
    breaker = Breaker()
    for i in range(5):
        breaker.record(RUN, change(), NOW)
        breaker.record(RUN, read(f"r{i}"), NOW)
    assert breaker.counts(RUN, "d", NOW).repeats == 5
    assert breaker.counts(RUN, "d", NOW, is_change=False).repeats == 0


def test_repetition_is_seen_across_runs_of_an_agent() -> None:
    breaker = Breaker()
    breaker.record(RUN, change(), NOW)
    breaker.record(NEXT_RUN, change(), NOW)
    assert breaker.counts(Principal("fixer", "R-9", "olga"), "d", NOW).repeats == 2


def test_a_denial_is_remembered_by_effect_whatever_the_bytes_and_the_run() -> None:
    breaker = Breaker()
    breaker.record(RUN, change("one", "denied", effects=DROP, denied=True), NOW)
    asked = breaker.counts(NEXT_RUN, "two", NOW + 5, effects=(*DROP, ("update", "other")))
    assert asked.denials == 1
    assert breaker.counts(RUN, "one", NOW, effects=(("delete", "other"),)).denials == 0
    assert breaker.counts(RUN, "one", NOW).denials == 0
    assert breaker.counts(OTHER, "one", NOW, effects=DROP).denials == 0


def test_a_denial_is_forgotten_after_an_hour() -> None:
    breaker = Breaker()
    breaker.record(RUN, change(effects=DROP, denied=True), NOW)
    assert breaker.counts(RUN, "d", NOW + HOUR_MS - 1, effects=DROP).denials == 1
    assert breaker.counts(RUN, "d", NOW + HOUR_MS, effects=DROP).denials == 0


def test_what_was_allowed_is_no_denial() -> None:
    breaker = Breaker()
    breaker.record(RUN, change(effects=DROP), NOW)
    assert breaker.counts(RUN, "d", NOW, effects=DROP).denials == 0


def test_flooding_the_memory_of_denials_makes_nobody_look_calm() -> None:
    breaker = Breaker(Limits(denials=10))
    breaker.record(RUN, change(effects=DROP, denied=True), NOW)
    for i in range(10):
        breaker.record(RUN, change(effects=(("delete", str(i)),), denied=True), NOW)
    assert breaker.counts(RUN, "d", NOW, effects=DROP).denials == SATURATED
    assert breaker.counts(RUN, "d", NOW + HOUR_MS, effects=DROP).denials == 0


def test_budgets_are_totals_and_never_go_down() -> None:
    breaker = Breaker()
    breaker.record(RUN, change(affected=500), NOW)
    breaker.record(RUN, change(affected=-100), NOW)
    breaker.record(NEXT_RUN, change(affected=7), NOW + 5 * HOUR_MS)
    breaker.record(RUN, read(), NOW + 5 * HOUR_MS)
    counts = breaker.counts(RUN, "x", NOW + 5 * HOUR_MS)
    assert (counts.run.changes, counts.run.affected) == (2, 500)
    assert (counts.agent.changes, counts.agent.affected) == (3, 507)


def test_irreversible_changes_count_for_an_hour() -> None:
    breaker = Breaker()
    breaker.record(RUN, change(irreversible=True), NOW)
    at = breaker.counts(RUN, "x", NOW + HOUR_MS - 1)
    assert at.run.irreversible_last_hour == 1
    assert breaker.counts(RUN, "x", NOW + HOUR_MS + MINUTE_MS).run.irreversible_last_hour == 0


def test_a_clock_that_goes_back_empties_no_window() -> None:
    breaker = Breaker()
    breaker.record(RUN, read(), NOW)
    breaker.record(RUN, read(), NOW - HOUR_MS)
    assert breaker.counts(RUN, "x", NOW - 2 * HOUR_MS).calls_last_minute == 2
    breaker.record(RUN, change(effects=DROP, denied=True), NOW - 2 * HOUR_MS)
    assert breaker.counts(RUN, "x", NOW, effects=DROP).denials == 1


def test_memory_is_bounded_and_a_principal_without_room_counts_as_the_worst() -> None:
    breaker = Breaker(Limits(principals=2))
    for i in range(100):
        breaker.record(Principal(f"a{i}", f"R-{i}", "olga"), read(), NOW)
    assert len(breaker) <= 4
    counts = breaker.counts(Principal("a99", "R-99", "olga"), "x", NOW, effects=DROP)
    assert counts.calls_last_minute == counts.repeats == counts.denials == SATURATED
    assert breaker.counts(Principal("a0", "R-0", "olga"), "x", NOW).calls_last_minute == 1


def test_room_is_made_by_forgetting_who_was_idle_for_an_hour() -> None:
    breaker = Breaker(Limits(principals=1))
    breaker.record(RUN, read(), NOW)
    later = NOW + HOUR_MS
    breaker.record(OTHER, read(), later)
    assert breaker.counts(OTHER, "x", later).calls_last_minute == 1
    assert len(breaker) == 2


def test_a_long_run_stays_within_its_memory() -> None:
    breaker = Breaker()
    for i in range(5_000):
        breaker.record(RUN, change(f"d{i % 7}", effects=DROP, denied=True), NOW + i)
    counts = breaker.counts(RUN, "x", NOW + 5_000, effects=DROP)
    assert counts.run.changes == 5_000
    assert counts.denials <= 120


def test_a_forgotten_run_leaves_its_agent_counted() -> None:
    breaker = Breaker()
    breaker.record(RUN, change(), NOW)
    breaker.forget("R-1")
    counts = breaker.counts(RUN, "d", NOW)
    assert (counts.run.changes, counts.agent.changes) == (0, 1)


def test_a_humans_own_actions_are_not_an_agents() -> None:
    breaker = Breaker()
    breaker.record(Principal("", "", "fixer"), change(), NOW)
    assert breaker.counts(RUN, "d", NOW).changes_last_minute == 0


def test_the_pace_is_the_part_of_the_counts_that_policies_compare() -> None:
    breaker = Breaker(Limits(principals=2))
    for number in range(7):
        breaker.record(RUN, change() if number % 2 else read("d"), NOW + number)
    for is_change in (False, True):
        for who in (RUN, NEXT_RUN, OTHER):
            counts = breaker.counts(who, "d", NOW + 9, is_change=is_change)
            pace = breaker.pace(who, "d", NOW + 9, is_change=is_change)
            assert pace == Pace(
                counts.calls_last_minute, counts.changes_last_minute, counts.repeats
            )


def test_who_found_no_room_in_memory_has_no_pace_to_spare() -> None:
    breaker = Breaker(Limits(principals=1))
    breaker.record(RUN, change(), NOW)
    pace = breaker.pace(OTHER, "d", NOW, is_change=True)
    assert pace == Pace(SATURATED, SATURATED, SATURATED)
