"""The rules that are measured are like an owner's, and the planted permit is what is found."""

from __future__ import annotations

import pytest

from signoff.demo import bench, bench_prove
from signoff.demo.bench_prove import Proved
from signoff.model.errors import SignoffError
from signoff.policy.bundle import compile_bundle
from signoff.policy.premises import premises
from signoff.policy.proofs import Outcome
from signoff.policy.prove import prove


def test_the_rules_are_valid_and_break_nothing() -> None:
    bundle = compile_bundle("team", [bench_prove.owners_rules(25)], humans=bench_prove.HUMANS)
    own = [policy for policy in bundle.policies if not policy.shipped]
    assert len(own) == 25
    assert {policy.effect for policy in own} == {"permit", "forbid"}
    assert prove(bundle, premises=premises(bundle)).outcome is Outcome.PROVED


def test_a_planted_permit_is_found_and_named_in_a_process_of_its_own() -> None:
    found = bench_prove.measured("team", 5, planted=True)
    assert (found.outcome, found.blamed) == ("violated", ("planted",))
    assert found.seconds > 0


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (Proved(0.1, "proved", ()), False),
        (Proved(0.1, "violated", ("read",)), False),
        (Proved(0.1, "unknown", ()), False),
        (Proved(0.1, "violated", ("planted",)), True),
    ],
)
def test_another_answer_than_the_planted_one_is_no_measurement(found: Proved, right: bool) -> None:
    if right:
        assert bench._proved("x", 0.5, found, planted=True).ok
    else:
        with pytest.raises(SignoffError):
            bench._proved("x", 0.5, found, planted=True)
