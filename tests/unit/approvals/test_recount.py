"""The second count decides from the signed rows alone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from signing import ALICE, BOB, HUMANS, NOW, OLGA, Pen, a_hold, effect, human, signed, understanding
from signoff.approvals.quorum import distinct_approvers
from signoff.approvals.recount import Recount, payload, recount
from signoff.approvals.signatures import Verifiers, payload_of
from signoff.model.action import Principal
from signoff.model.decision import Hold, HoldState, SignOff, Verdict
from signoff.model.effect import Effect, Resource, Reversibility, Verb
from signoff.model.human import Human


def count(
    hold: Hold,
    rows: list[SignOff],
    humans: tuple[Human, ...] = HUMANS,
    quorum: int = 2,
    now_ms: int = NOW + 2,
    solo: bool = False,
) -> Recount:
    return recount(hold, rows, humans, quorum, now_ms, Verifiers(), operator_counts=solo)


def test_both_counts_build_the_same_bytes() -> None:
    hold = a_hold(
        understanding(effect(), effect(most=None, unit="bytes"), unknown=("a \U0001f600",))
    )
    hold = replace(hold, card={"b": b"\x00\xff", "deep": {"list": (1, None, True, "ü")}})
    for verdict in Verdict:
        assert payload(hold, verdict.value) == payload_of(hold, verdict)


def test_two_good_rows_by_two_humans_are_enough() -> None:
    hold = a_hold()
    found = count(hold, [signed(hold, "alice"), signed(hold, "bob")])
    assert found.humans == {"alice", "bob"}
    assert found.enough
    assert not found.left_out


def test_one_human_with_two_rows_is_not_enough() -> None:
    spare = Pen("spare")
    humans = (human("alice", Pen("alice"), spare), BOB, OLGA)
    hold = a_hold()
    found = count(hold, [signed(hold, "alice"), signed(hold, "alice", pen=spare)], humans)
    assert found.humans == {"alice"}
    assert not found.enough


def test_names_joined_by_a_shared_key_are_one_human() -> None:
    humans = (
        human("ann", Pen("k1"), Pen("k2")),
        human("ben", Pen("k3"), Pen("k4")),
        human("cem", Pen("k2"), Pen("k3")),
    )
    hold = a_hold()
    rows = [signed(hold, "ann", pen=Pen("k1")), signed(hold, "ben", pen=Pen("k4"))]
    assert count(hold, rows, humans).humans == {"ann"}


CHAIN = (
    human("ann", Pen("k1"), Pen("k2")),
    human("ben", Pen("k2"), Pen("k3")),
    human("cem", Pen("k3"), Pen("k4")),
    human("dan", Pen("k4"), Pen("k1")),
)


@pytest.mark.parametrize("humans", list(itertools.permutations(CHAIN)))
@pytest.mark.parametrize("left_out", range(4))
def test_a_chain_of_shared_keys_is_one_human_in_any_order(
    humans: tuple[Human, ...], left_out: int
) -> None:
    some = tuple(h for i, h in enumerate(humans) if i != left_out)
    hold = a_hold()
    pens = {"ann": "k1", "ben": "k2", "cem": "k3", "dan": "k4"}
    rows = [signed(hold, h.name, pen=Pen(pens[h.name])) for h in some]
    assert len(count(hold, rows, some).humans) == 1
    assert distinct_approvers(hold, rows, some) == count(hold, rows, some).humans


def test_a_forged_row_is_left_out_and_said() -> None:
    hold = a_hold()
    forged = replace(signed(hold, "bob"), signature=bytes(64))
    found = count(hold, [signed(hold, "alice"), forged])
    assert found.humans == {"alice"}
    assert len(found.left_out) == 1


def test_a_row_signed_with_somebody_elses_key_is_left_out() -> None:
    hold = a_hold()
    row = signed(hold, "bob", pen=Pen("alice"))
    assert count(hold, [signed(hold, "alice"), row]).humans == {"alice"}


def test_a_reject_relabelled_as_an_approve_is_left_out() -> None:
    hold = a_hold()
    row = signed(hold, "bob", Verdict.APPROVE, really=Verdict.REJECT)
    assert count(hold, [signed(hold, "alice"), row]).humans == {"alice"}


def test_one_good_rejection_leaves_nobody_and_a_forged_one_stops_nothing() -> None:
    hold = a_hold()
    good = [signed(hold, "alice"), signed(hold, "bob")]
    assert not count(hold, [*good, signed(hold, "carol", Verdict.REJECT)]).humans
    forged = signed(hold, "carol", Verdict.REJECT, really=Verdict.APPROVE)
    assert count(hold, [*good, forged]).enough


@pytest.mark.parametrize(
    "altered",
    [
        {"nonce": "0" * 64},
        {"quorum": 1},
        {"bundle": "c" * 64},
        {"action_digest": "d" * 64},
        {"plan": ("another",)},
        {"unknown": ("something",)},
        {"expires_ms": NOW + 9_000_000},
        {"ledger_root": "1" * 64},
        {"ledger_size": 8},
        {"targets": ()},
        {"card": {"effects": "harmless"}},
        {"principal": Principal("fixer", "R-2", "olga")},
        {"principal": Principal("fixer", "R-1", "mallory")},
        {"principal": Principal("other", "R-1", "olga")},
    ],
    ids=lambda a: str(next(iter(a))),
)
def test_no_member_of_a_signed_hold_can_be_altered(altered: dict[str, object]) -> None:
    hold = a_hold()
    rows = [signed(hold, "alice"), signed(hold, "bob")]
    assert not count(replace(hold, **altered), rows, quorum=1).humans


def test_the_operator_is_not_counted_under_any_name() -> None:
    humans = (ALICE, human("olga", Pen("o1")), human("second", Pen("o1"), Pen("o2")))
    hold = a_hold()
    rows = [signed(hold, "second", pen=Pen("o2")), signed(hold, "alice")]
    assert count(hold, rows, humans).humans == {"alice"}


def test_nobody_called_like_the_agent_is_counted() -> None:
    hold = a_hold()
    assert not count(hold, [signed(hold, "fixer")], (*HUMANS, human("fixer"))).humans


def test_the_larger_of_both_quorums_is_needed_and_never_none() -> None:
    hold = a_hold(quorum=1)
    assert count(hold, [], quorum=0).needed == 1
    assert not count(hold, [], quorum=0).enough
    assert count(hold, [], quorum=3).needed == 3
    assert count(a_hold(quorum=2), [], quorum=1).needed == 2
    nobody = count(replace(a_hold(), quorum=0), [], quorum=0)
    assert nobody.needed == 1
    assert not nobody.enough


def test_a_row_filed_under_another_ticket_or_key_is_left_out() -> None:
    hold = a_hold()
    row = signed(hold, "alice")
    assert not count(hold, [replace(row, ticket="H-00000000")]).humans
    assert not count(hold, [replace(row, key=Pen("bob").enrolled.fingerprint)]).humans


def test_an_expired_hold_counts_nobody() -> None:
    hold = a_hold()
    rows = [signed(hold, "alice"), signed(hold, "bob")]
    assert count(hold, rows, now_ms=hold.expires_ms - 1).enough
    assert not count(hold, rows, now_ms=hold.expires_ms).humans


@pytest.mark.parametrize("state", HoldState)
def test_only_a_hold_that_waits_counts_anybody(state: HoldState) -> None:
    hold = a_hold()
    rows = [signed(hold, "alice"), signed(hold, "bob")]
    found = count(replace(hold, state=state), rows)
    assert found.enough == (state in (HoldState.OPEN, HoldState.APPROVED))


def test_rows_of_another_run_count_nobody() -> None:
    first = a_hold()
    second = a_hold(principal=Principal("fixer", "R-2", "olga"), seed="other")
    rows = [replace(signed(first, n), ticket=second.ticket) for n in ("alice", "bob")]
    assert not count(second, rows).humans
    assert not count(second, [signed(first, n) for n in ("alice", "bob")]).humans


def test_in_solo_the_operator_counts_when_shown_to_be_there() -> None:
    hold = a_hold(quorum=1)
    assert count(hold, [signed(hold, "olga")], quorum=1, solo=True).humans == {"olga"}
    assert not count(hold, [signed(hold, "olga")], quorum=1, solo=False).humans
    assert not count(hold, [signed(hold, "olga")], quorum=2, solo=True).humans
    own = a_hold(quorum=1, principal=Principal("", "", "olga"))
    assert not count(own, [signed(own, "olga")], quorum=1, solo=True).humans
    humans = (human("olga", Pen("olga", "ssh")),)
    row = signed(hold, "olga", pen=Pen("olga", "ssh"))
    assert not count(hold, [row], humans, quorum=1, solo=True).humans


IRREVERSIBLE = effect(reversibility=Reversibility.NONE)
GRAVE = effect(verb=Verb.PERMIT, reversibility=Reversibility.EXACT)


def quorum_of_one(*effects: Effect, unknown: tuple[str, ...] = ()) -> Hold:
    """A hold that settings or a policy let ask one person only."""
    return replace(a_hold(understanding(*effects, unknown=unknown)), quorum=1)


@pytest.mark.parametrize(
    "hold",
    [
        quorum_of_one(IRREVERSIBLE),
        quorum_of_one(GRAVE),
        quorum_of_one(effect(), GRAVE),
        quorum_of_one(effect(), unknown=("a member",)),
        quorum_of_one(effect(Resource("t", "dynamodb:table", "attic"), Verb.EXECUTE)),
    ],
    ids=["irreversible", "grave", "one of two", "unknown", "unmapped"],
)
def test_no_quorum_lets_one_person_sign_what_an_agent_cannot_take_back(hold: Hold) -> None:
    found = count(hold, [signed(hold, "alice")], quorum=0)
    assert (found.needed, found.enough) == (2, False)
    assert count(hold, [signed(hold, "alice"), signed(hold, "bob")], quorum=0).enough


@pytest.mark.parametrize(
    "hold",
    [
        quorum_of_one(effect()),
        quorum_of_one(effect(Resource("t", "dynamodb:table", "staging"), Verb.EXECUTE)),
        quorum_of_one(IRREVERSIBLE, effect(verb=Verb.READ, reversibility=Reversibility.NONE)),
    ],
    ids=["undoable", "staging", "read beside"],
)
def test_the_least_of_two_is_for_irreversible_production_changes(hold: Hold) -> None:
    expected = 2 if any(t.reversibility is Reversibility.NONE for t in hold.targets) else 1
    assert count(hold, [signed(hold, "alice")], quorum=0).needed == expected
    human_asks = replace(hold, principal=Principal("", "", "olga"))
    assert count(human_asks, [], quorum=0).needed == 1
