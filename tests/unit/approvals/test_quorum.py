"""The life of a hold, move by move, and the counting of humans."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from signing import ALICE, BOB, HUMANS, OLGA, Pen, a_hold, human, signed
from signoff.approvals.quorum import (
    MOVES,
    Event,
    distinct_approvers,
    eligible,
    event_of,
    is_expired,
    is_final,
    move,
    persons,
    table,
)
from signoff.model.action import Principal
from signoff.model.decision import HoldState, Verdict
from signoff.model.errors import StateConflict

SPEC = Path(__file__).resolve().parents[3] / "docs" / "spec" / "hold.md"

LEGAL = {
    ("open", Event.APPROVAL): "open",
    ("open", Event.QUORUM): "approved",
    ("open", Event.REJECTION): "rejected",
    ("open", Event.EXPIRY): "expired",
    ("open", Event.CHANGE): "stale",
    ("open", Event.VOIDING): "void",
    ("approved", Event.REJECTION): "rejected",
    ("approved", Event.EXPIRY): "expired",
    ("approved", Event.CHANGE): "stale",
    ("approved", Event.CLAIM): "claimed",
    ("approved", Event.VOIDING): "void",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(HoldState, Event)))
def test_a_move_is_legal_exactly_when_the_table_says_so(state: HoldState, event: Event) -> None:
    expected = LEGAL.get((state.value, event))
    if expected is None:
        with pytest.raises(StateConflict) as refused:
            move(state, event)
        assert state.value in refused.value.what
    else:
        assert move(state, event) is HoldState(expected)


def test_the_table_knows_every_state_and_lets_nothing_out_of_the_final_ones() -> None:
    assert set(MOVES) == set(HoldState)
    final = {s for s in HoldState if is_final(s)}
    assert {s.value for s in final} == {"rejected", "expired", "stale", "claimed", "void"}


def test_only_an_approved_hold_is_ever_claimed_and_only_a_quorum_approves_one() -> None:
    assert [s for s in HoldState if Event.CLAIM in MOVES[s]] == [HoldState.APPROVED]
    ways = {(s, e) for s in HoldState for e, t in MOVES[s].items() if t is HoldState.APPROVED}
    assert ways == {(HoldState.OPEN, Event.QUORUM)}


def test_the_table_in_the_specification_is_the_table_in_the_code() -> None:
    assert table() in SPEC.read_text()


def test_the_example_in_the_specification_is_what_is_signed() -> None:
    text = SPEC.read_text()
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    assert example == a_hold().payload(Verdict.APPROVE)
    assert f"`{ALICE.keys[0].public}`" in text
    assert f"`{ALICE.keys[0].fingerprint}`" in text


def test_the_specification_names_every_signed_member() -> None:
    text = SPEC.read_text()
    assert all(f"`{member}`" in text for member in a_hold().payload(Verdict.APPROVE))


def test_a_hold_is_over_at_its_expiry_and_not_a_millisecond_earlier() -> None:
    hold = a_hold()
    assert not is_expired(hold, hold.expires_ms - 1)
    assert is_expired(hold, hold.expires_ms)


def test_two_humans_are_two_and_one_human_signing_twice_is_one() -> None:
    hold = a_hold()
    assert distinct_approvers(hold, [signed(hold, "alice"), signed(hold, "bob")], HUMANS) == {
        "alice",
        "bob",
    }
    assert distinct_approvers(hold, [signed(hold, "alice")] * 2, HUMANS) == {"alice"}


def test_one_human_with_two_keys_is_one() -> None:
    spare = Pen("alice-spare")
    humans = (human("alice", Pen("alice"), spare), BOB, OLGA)
    hold = a_hold()
    rows = [signed(hold, "alice"), signed(hold, "alice", pen=spare)]
    assert distinct_approvers(hold, rows, humans) == {"alice"}


@pytest.mark.parametrize(
    "other", ["ALICE", "alice ", "аlice", "al\u200bice", "ａｌｉｃｅ", "alicé"]
)
def test_one_human_under_two_names_is_one(other: str) -> None:
    humans = (ALICE, human(other, Pen("second")), OLGA)
    hold = a_hold()
    rows = [signed(hold, "alice"), signed(hold, other, pen=Pen("second"))]
    assert len(distinct_approvers(hold, rows, humans)) == 1


def test_names_that_share_a_key_over_a_chain_are_one_human() -> None:
    humans = (
        human("ann", Pen("k1"), Pen("k2")),
        human("ben", Pen("k3"), Pen("k4")),
        human("cem", Pen("k2"), Pen("k3")),
        OLGA,
    )
    assert len({persons(humans)[n] for n in ("ann", "ben", "cem")}) == 1
    hold = a_hold()
    rows = [signed(hold, "ann", pen=Pen("k1")), signed(hold, "ben", pen=Pen("k4"))]
    assert len(distinct_approvers(hold, rows, humans)) == 1


def test_one_key_pair_as_passphrase_key_and_as_ssh_key_is_one_human() -> None:
    humans = (human("ann", Pen("k")), human("ben", Pen("k", "sk")), OLGA)
    assert persons(humans)["ann"] == persons(humans)["ben"]


def test_a_group_signs_nothing() -> None:
    humans = (human("alice", groups=("admins",)), BOB, OLGA)
    hold = a_hold()
    rows = [signed(hold, "admins", pen=Pen("alice")), signed(hold, "alice")]
    assert distinct_approvers(hold, rows, humans) == {"alice"}


def test_a_requester_cannot_sign_off_their_own_hold() -> None:
    hold = a_hold()
    rows = [signed(hold, "olga"), signed(hold, "alice")]
    assert distinct_approvers(hold, rows, HUMANS) == {"alice"}
    own = a_hold(principal=Principal("", "", "alice"))
    assert distinct_approvers(own, [signed(own, "alice")], HUMANS) == frozenset()


def test_the_operator_under_a_second_name_or_key_does_not_count_either() -> None:
    humans = (ALICE, human("olga", Pen("o1")), human("second", Pen("o1"), Pen("o2")))
    hold = a_hold()
    row = signed(hold, "second", pen=Pen("o2"))
    assert distinct_approvers(hold, [row], humans) == frozenset()
    assert eligible(hold.principal, humans) == {"alice"}


def test_nobody_called_like_the_agent_or_its_run_counts() -> None:
    humans = (*HUMANS, human("fixer"), human("R-1"))
    assert eligible(a_hold().principal, humans) == {"alice", "bob", "carol"}


def test_the_operator_counts_in_solo_for_a_quorum_of_one_and_never_for_two() -> None:
    one, two = a_hold(quorum=1), a_hold(quorum=2)
    assert distinct_approvers(one, [signed(one, "olga")], HUMANS, operator_counts=True) == {"olga"}
    rows = [signed(two, "olga"), signed(two, "alice")]
    assert distinct_approvers(two, rows, HUMANS, operator_counts=True) == {"alice"}
    own = a_hold(quorum=1, principal=Principal("", "", "olga"))
    assert not distinct_approvers(own, [signed(own, "olga")], HUMANS, operator_counts=True)


def test_one_rejection_ends_it_whoever_approved_before() -> None:
    hold = a_hold()
    rows = [signed(hold, "alice"), signed(hold, "bob"), signed(hold, "carol", Verdict.REJECT)]
    assert distinct_approvers(hold, rows, HUMANS) == frozenset()
    assert event_of(hold, rows, HUMANS) is Event.REJECTION
    assert event_of(hold, [signed(hold, "olga", Verdict.REJECT)], HUMANS) is Event.REJECTION


def test_a_sign_off_of_another_hold_or_by_another_humans_key_does_not_count() -> None:
    hold, other = a_hold(), a_hold(seed="other")
    assert not distinct_approvers(hold, [signed(other, "alice")], HUMANS)
    assert not distinct_approvers(hold, [signed(hold, "alice", pen=Pen("bob"))], HUMANS)
    assert not distinct_approvers(hold, [signed(hold, "mallory")], HUMANS)


@pytest.mark.parametrize(("quorum", "events"), [(1, "Q"), (2, "AQ"), (3, "AAQ")])
def test_the_quorum_is_reached_by_exactly_so_many_humans(quorum: int, events: str) -> None:
    hold = a_hold(quorum=quorum)
    rows = [signed(hold, n) for n in ("alice", "bob", "carol")]
    got = [event_of(hold, rows[: i + 1], HUMANS) for i in range(quorum)]
    assert got == [{"Q": Event.QUORUM, "A": Event.APPROVAL}[e] for e in events]


def test_a_quorum_of_zero_still_needs_a_human() -> None:
    hold = replace(a_hold(), quorum=0)
    assert event_of(hold, [signed(hold, "olga")], HUMANS) is Event.APPROVAL
    assert event_of(hold, [signed(hold, "alice")], HUMANS) is Event.QUORUM


def test_no_sign_off_is_no_event() -> None:
    with pytest.raises(StateConflict):
        event_of(a_hold(), [], HUMANS)
