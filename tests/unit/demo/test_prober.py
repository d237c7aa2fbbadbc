"""What the probes say about the service."""

from __future__ import annotations

from signoff.demo.prober import Probe, Prober, health


def probes(*statuses: int) -> list[Probe]:
    return [Probe(number / 10, status) for number, status in enumerate(statuses)]


def test_a_service_that_always_answers_has_no_gap() -> None:
    found = health(probes(200, 200, 200))
    assert (found.probes, found.failed, found.longest_gap) == (3, 0, 0.0)


def test_the_longest_gap_runs_from_the_first_failure_to_the_next_good_answer() -> None:
    found = health(probes(200, 503, 200, 503, 0, 503, 200))
    assert (found.failed, found.longest_gap) == (4, 0.3)


def test_a_gap_that_never_ends_counts_up_to_the_last_probe() -> None:
    assert health(probes(200, 503, 503, 503)).longest_gap == 0.2


def test_no_probe_is_no_health() -> None:
    assert health([]).last is None


def test_a_port_nobody_listens_on_is_a_failed_probe_and_no_error() -> None:
    assert Prober(1, "/").ask().status == 0
