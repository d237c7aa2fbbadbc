"""Opening holds, joining them, and every way an approval goes stale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signing import (
    AGENT,
    BUCKET,
    HUMANS,
    NOW,
    TABLE,
    a_hold,
    effect,
    signed,
    some_bytes,
    understanding,
)
from signoff.approvals.holds import (
    HOUR_MS,
    OPEN_MOST,
    TICKET_ALPHABET,
    Kind,
    Terms,
    check_open,
    difference,
    joined,
    new_ticket,
    open_hold,
    recently_rejected,
)
from signoff.approvals.signatures import verify_signoff
from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Hold, HoldState, Ruling
from signoff.model.effect import Bound, Reversibility, Understanding, Verb
from signoff.model.errors import ConfigInvalid, Refused, SignOffInvalid
from signoff.model.values import frozen

BUNDLE = "b" * 64


def stale(before: Understanding, now: Understanding, bundle: str = BUNDLE) -> list[Kind]:
    return [d.kind for d in difference(a_hold(before), now, bundle)]


def test_an_unchanged_world_is_not_stale() -> None:
    known = understanding(effect(), effect(BUCKET), unknown=("whether a trigger fires",))
    assert stale(known, known) == []


@pytest.mark.parametrize("most", [0, 11, 12])
def test_smaller_and_equal_counts_are_not_stale(most: int) -> None:
    assert stale(understanding(), understanding(effect(most=most))) == []


def test_a_vanished_target_is_not_stale() -> None:
    assert stale(understanding(effect(), effect(BUCKET)), understanding(effect(BUCKET))) == []


def test_a_better_reversibility_is_not_stale() -> None:
    now = understanding(effect(reversibility=Reversibility.EXACT))
    assert stale(understanding(), now) == []


def test_one_more_than_the_ceiling_is_stale_and_both_numbers_are_shown() -> None:
    hold = a_hold()
    (found,) = difference(hold, understanding(effect(most=4_000)), BUNDLE)
    assert found.kind is Kind.BOUND
    assert str(found) == (
        "delete `arn:aws:dynamodb:::table/orders`: 4,000 items, at most 12 were signed"
    )
    assert difference(hold, understanding(effect(most=13)), BUNDLE)


def test_a_bound_that_nobody_knows_any_more_is_stale() -> None:
    assert stale(understanding(), understanding(effect(most=None))) == [Kind.BOUND]


def test_a_bound_that_nobody_states_any_more_is_stale() -> None:
    now = understanding(replace(effect(), bounds=()))
    assert stale(understanding(), now) == [Kind.BOUND]


def test_a_bound_in_a_unit_without_a_ceiling_is_stale() -> None:
    more = replace(effect(), bounds=(*effect().bounds, Bound(1, "bytes")))
    assert stale(understanding(), understanding(more)) == [Kind.BOUND]


def test_signers_who_saw_that_nobody_knows_the_bound_agreed_to_any() -> None:
    before = understanding(effect(most=None))
    assert stale(before, understanding(effect(most=10**9))) == []
    assert stale(before, before) == []


def test_a_unit_named_twice_counts_by_its_lowest_ceiling_and_highest_bound() -> None:
    low = replace(effect(), bounds=(Bound(5, "items"), Bound(9, "items")))
    assert stale(understanding(low), understanding(effect(most=6))) == [Kind.BOUND]
    assert stale(understanding(effect(most=6)), understanding(low)) == [Kind.BOUND]
    unsure = replace(effect(), bounds=(Bound(None, "items"), Bound(1, "items")))
    assert stale(understanding(effect(most=6)), understanding(unsure)) == [Kind.BOUND]


def test_a_new_target_or_verb_is_stale() -> None:
    assert stale(understanding(), understanding(effect(), effect(BUCKET))) == [Kind.TARGET]
    assert stale(understanding(), understanding(effect(verb=Verb.PERMIT))) == [Kind.TARGET]
    assert stale(understanding(), understanding(effect(verb=Verb.UNKNOWN))) == [Kind.TARGET]


def test_the_same_effect_twice_is_stale_when_it_was_signed_once() -> None:
    assert stale(understanding(), understanding(effect(), effect())) == [Kind.TARGET]
    twice = understanding(effect(), effect())
    assert stale(twice, twice) == []


def test_ceilings_of_two_equal_targets_are_not_lent_to_each_other() -> None:
    exact = effect(most=10, reversibility=Reversibility.EXACT)
    lost = effect(most=1, reversibility=Reversibility.NONE)
    assert stale(understanding(exact, lost), understanding(lost, exact)) == []
    now = understanding(replace(exact, bounds=lost.bounds), replace(lost, bounds=exact.bounds))
    assert stale(understanding(exact, lost), now)
    assert stale(understanding(exact, lost), understanding(replace(lost, bounds=exact.bounds)))


def test_one_ceiling_covers_one_target() -> None:
    signed_for = understanding(effect(most=12), effect(most=5))
    assert stale(signed_for, understanding(effect(most=5), effect(most=12))) == []
    assert stale(signed_for, understanding(effect(most=10), effect(most=4))) == []
    assert stale(signed_for, understanding(effect(most=4), effect(most=10))) == []
    assert stale(signed_for, understanding(effect(most=10), effect(most=10))) == [Kind.BOUND]


def test_a_lower_reversibility_is_stale() -> None:
    for worse in (Reversibility.DEGRADED, Reversibility.NONE):
        now = understanding(effect(reversibility=worse))
        assert stale(understanding(), now) == [Kind.REVERSIBILITY]


def test_another_environment_is_stale_in_either_direction() -> None:
    staging = effect(replace(TABLE, environment="staging"))
    assert stale(understanding(staging), understanding()) == [Kind.ENVIRONMENT]
    assert stale(understanding(), understanding(staging)) == [Kind.ENVIRONMENT]


def test_another_bundle_is_stale() -> None:
    assert stale(understanding(), understanding(), "c" * 64) == [Kind.BUNDLE]


def test_something_newly_unknown_is_stale_and_something_cleared_up_is_not() -> None:
    unsure = understanding(unknown=("what the trigger runs",))
    assert stale(understanding(), unsure) == [Kind.UNKNOWN]
    assert stale(unsure, understanding()) == []


def test_knowing_nothing_any_more_is_stale() -> None:
    nothing = replace(understanding(), effects=())
    assert stale(understanding(), nothing) == [Kind.UNKNOWN]


def test_a_changed_plan_is_stale() -> None:
    assert stale(understanding(plan=1), understanding(plan=2)) == [Kind.PLAN]
    assert stale(understanding(plan=2), understanding(plan=1)) == [Kind.PLAN]
    known = understanding(plan=2)
    turned = replace(known, plan=known.plan[::-1])
    assert stale(known, turned) == [Kind.PLAN]
    waits = replace(known, plan=(known.plan[0], replace(known.plan[1], until="stack settled")))
    assert stale(known, waits) == [Kind.PLAN]


def test_another_action_is_stale_and_a_fresh_token_is_not() -> None:
    known = understanding()

    def asked(**parameters: object) -> Understanding:
        action = Action(
            "aws",
            known.action.name,
            frozen(TableName="orders", **parameters),
            generated=frozenset({"ClientToken"}),
        )
        return replace(known, action=action)

    assert stale(asked(ClientToken="1"), asked(ClientToken="2")) == []
    assert stale(asked(), asked(Force=True)) == [Kind.ACTION]


def test_reads_are_no_targets() -> None:
    look = effect(BUCKET, Verb.READ)
    assert stale(understanding(), understanding(effect(), look)) == []


def test_every_difference_is_one_printable_line() -> None:
    odd = replace(BUCKET, uid="evil\x1b[2J\nname")
    now = understanding(effect(odd), unknown=("a\nb",), plan=3)
    for found in difference(a_hold(), now, "c" * 64):
        assert str(found).isprintable()


# Opening.


def test_ceilings_are_the_bounds_seen_unless_a_margin_is_stated() -> None:
    assert a_hold().targets[0].bounds == (Bound(12, "items"),)
    decision = Decision(Ruling.HOLD, (), quorum=2, bundle=BUNDLE)
    known = understanding(effect(), effect(BUCKET, most=None))
    hold = open_hold(
        AGENT,
        known,
        decision,
        now_ms=NOW,
        random=some_bytes(),
        ledger=(0, ""),
        terms=Terms(margin_percent=10),
    )
    assert [t.bounds[0].most for t in hold.targets] == [14, None]
    assert difference(hold, understanding(effect(most=14)), BUNDLE) == ()
    assert difference(hold, understanding(effect(most=15)), BUNDLE)
    assert stale(understanding(), understanding(effect(most=14))) == [Kind.BOUND]


def test_a_hold_carries_what_its_signers_agree_to() -> None:
    hold = a_hold()
    assert hold.state is HoldState.OPEN
    assert hold.expires_ms == NOW + HOUR_MS
    assert (hold.quorum, hold.bundle, hold.action_id) == (2, BUNDLE, "A-1")
    assert len(bytes.fromhex(hold.nonce)) == 32
    assert hold.card["effects"] == [effect().as_data()]
    assert (hold.ledger_size, hold.ledger_root) == (7, "0" * 64)


def test_a_decision_without_a_quorum_still_opens_a_hold_for_one() -> None:
    assert a_hold(quorum=0).quorum == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"lifetime_ms": 59_999},
        {"lifetime_ms": 7 * 24 * HOUR_MS + 1},
        {"margin_percent": -1},
        {"margin_percent": 101},
    ],
)
def test_terms_outside_their_bounds_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigInvalid, match=r"the least is|0 to 100"):
        Terms(**wrong)


def test_tickets_are_unambiguous_and_use_all_their_bits() -> None:
    assert not set("ILOU") & set(TICKET_ALPHABET)
    assert len(set(TICKET_ALPHABET)) == 32
    assert new_ticket(lambda n: b"\x00" * n) == "H-00000000"
    assert new_ticket(lambda n: b"\xff" * n) == "H-ZZZZZZZZ"
    assert new_ticket(lambda n: bytes([0x08, 0, 0, 0, 1])) == "H-10000001"


def test_two_holds_never_share_a_nonce_or_a_ticket() -> None:
    random = some_bytes()
    decision = Decision(Ruling.HOLD, (), quorum=1, bundle=BUNDLE)
    made = [
        open_hold(AGENT, understanding(), decision, now_ms=NOW, random=random, ledger=(0, ""))
        for _ in range(50)
    ]
    assert len({h.nonce for h in made}) == len({h.ticket for h in made}) == 50


# Joining, and the limit.


def test_an_equal_request_of_the_same_run_joins_the_waiting_hold() -> None:
    hold = a_hold()
    assert joined([hold], "R-1", hold.action_digest, NOW) is hold
    approved = replace(hold, state=HoldState.APPROVED)
    assert joined([approved], "R-1", hold.action_digest, NOW) is approved
    newer = replace(hold, ticket="H-2", opened_ms=NOW + 5)
    assert joined([newer, hold], "R-1", hold.action_digest, NOW + 6) is newer


def test_nothing_joins_a_hold_of_another_run_another_action_or_one_that_has_ended() -> None:
    hold = a_hold()
    assert joined([hold], "R-2", hold.action_digest, NOW) is None
    assert joined([hold], "R-1", "0" * 64, NOW) is None
    assert joined([hold], "R-1", hold.action_digest, hold.expires_ms) is None
    for state in set(HoldState) - {HoldState.OPEN, HoldState.APPROVED}:
        assert joined([replace(hold, state=state)], "R-1", hold.action_digest, NOW) is None


def test_a_run_has_at_most_five_open_holds() -> None:
    holds = [a_hold(seed=str(i)) for i in range(OPEN_MOST)]
    check_open(holds[:-1], "R-1", NOW)
    check_open(holds, "R-2", NOW)
    check_open(holds, "R-1", holds[0].expires_ms)
    check_open([replace(holds[0], state=HoldState.APPROVED), *holds[1:]], "R-1", NOW)
    with pytest.raises(Refused, match="5 open holds"):
        check_open(holds, "R-1", NOW)


# Not asking again.


def rejected(hold: Hold | None = None) -> Hold:
    return replace(hold or a_hold(), state=HoldState.REJECTED)


def test_a_rejected_effect_is_not_asked_again_for_an_hour_in_whatever_bytes() -> None:
    no = rejected()
    other_words = replace(understanding(), action=Action("shell", "aws dynamodb delete-table"))
    when = {no.ticket: NOW + 1_000}
    last = NOW + 1_000 + HOUR_MS - 1
    assert recently_rejected([no], "R-1", other_words, last, when) is no
    assert recently_rejected([no], "R-1", other_words, last + 1, when) is None


def test_one_rejected_effect_among_others_is_enough() -> None:
    both = understanding(effect(BUCKET), effect())
    assert recently_rejected([rejected()], "R-1", both, NOW) is not None
    assert recently_rejected([rejected(a_hold(both))], "R-1", understanding(), NOW) is not None


def test_another_effect_another_run_or_no_rejection_may_be_asked() -> None:
    no = rejected()
    assert recently_rejected([no], "R-2", understanding(), NOW) is None
    assert recently_rejected([a_hold()], "R-1", understanding(), NOW) is None
    other = replace(understanding(effect(BUCKET)), action=Action("aws", "s3:DeleteBucket"))
    assert recently_rejected([no], "R-1", other, NOW) is None
    softer = replace(understanding(effect(verb=Verb.UPDATE)), action=Action("aws", "x:Update"))
    assert recently_rejected([no], "R-1", softer, NOW) is None


def test_a_rejected_action_that_nobody_understood_is_not_asked_again_either() -> None:
    unclear = replace(understanding(unknown=("all of it",)), effects=())
    assert recently_rejected([rejected(a_hold(unclear))], "R-1", unclear, NOW) is not None


def test_a_rejection_without_a_known_time_counts_from_the_latest_it_can_have_been() -> None:
    no = rejected()
    assert recently_rejected([no], "R-1", understanding(), no.expires_ms + HOUR_MS - 1) is no
    assert recently_rejected([no], "R-1", understanding(), no.expires_ms + HOUR_MS) is None


def test_an_approval_of_one_run_is_worth_nothing_for_another() -> None:
    first, second = a_hold(), a_hold(principal=Principal("fixer", "R-2", "olga"), seed="2")
    stolen = replace(signed(first, "alice"), ticket=second.ticket)
    with pytest.raises(SignOffInvalid):
        verify_signoff(second, stolen, HUMANS, NOW)
