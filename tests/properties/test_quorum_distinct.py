"""Invariant 2: never more approvers than distinct humans, and both counts agree.

The people here are hostile to counting: few keys shared by many names, names that read
alike, forged and relabelled rows. What a person is, is decided by an oracle that knows
nothing of either count: a graph of names and keys, walked.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from signing import HUMANS, NOW, Pen, a_hold, effect, human, signed, understanding
from signoff.approvals.holds import difference
from signoff.approvals.quorum import MOVES, Event, distinct_approvers, event_of, move
from signoff.approvals.recount import payload, recount
from signoff.approvals.signatures import Verifiers, check_signoff, payload_of
from signoff.model.decision import Hold, HoldState, SignOff, Verdict
from signoff.model.effect import Bound
from signoff.model.errors import SignOffInvalid, StateConflict
from signoff.model.human import Human, folded

NAMES = ("alice", "Alice", "аlice", "bob", "carol", "dora", "olga", "OLGA.", "fixer")
PENS = tuple(Pen(f"key{i}") for i in range(6))
TWO = a_hold(quorum=2)
OTHER = a_hold(quorum=2, seed="other")


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Human, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    return tuple(
        human(name, *draw(st.lists(st.sampled_from(PENS), min_size=1, max_size=3, unique=True)))
        for name in names
    )


@st.composite
def rows(draw: st.DrawFn, rejects: bool = True) -> tuple[SignOff, ...]:
    found = []
    for _ in range(draw(st.integers(0, 6))):
        verdict = draw(st.sampled_from(list(Verdict))) if rejects else Verdict.APPROVE
        row = signed(
            draw(st.sampled_from([TWO, TWO, TWO, OTHER])),
            draw(st.sampled_from((*NAMES, "mallory"))),
            verdict,
            pen=draw(st.sampled_from(PENS)),
            really=draw(st.sampled_from([None, None, None, Verdict.REJECT])),
        )
        found.append(replace(row, ticket=TWO.ticket) if draw(st.booleans()) else row)
    return tuple(found)


def walked(humans: tuple[Human, ...]) -> dict[str, frozenset[str]]:
    """For every name all names of the same person."""
    found = {}
    for start in humans:
        person, edge = {start.name}, [start]
        while edge:
            one = edge.pop()
            for other in humans:
                alike = folded(one.name) == folded(other.name)
                shared = {k.public for k in one.keys} & {k.public for k in other.keys}
                if other.name not in person and (alike or shared):
                    person.add(other.name)
                    edge.append(other)
        found[start.name] = frozenset(person)
    return found


def accepted(hold: Hold, given_rows: tuple[SignOff, ...], humans: tuple[Human, ...]):
    """The rows that get in, one after the other, as a daemon would let them in."""
    inside: tuple[SignOff, ...] = ()
    for row in given_rows:
        try:
            check_signoff(hold, row, humans, NOW, earlier=inside)
        except SignOffInvalid:
            continue
        inside = (*inside, row)
    return inside


@settings(max_examples=200, deadline=None)
@given(crowds(), rows())
def test_both_counts_agree_and_never_exceed_the_distinct_eligible_humans(
    humans: tuple[Human, ...], given_rows: tuple[SignOff, ...]
) -> None:
    inside = accepted(TWO, given_rows, humans)
    first = distinct_approvers(TWO, inside, humans)
    second = recount(TWO, inside, humans, 2, NOW, Verifiers())
    assert first == second.humans
    people = walked(humans)
    barred = {"olga", "fixer"}
    persons = {people[s.human] for s in inside if s.verdict is Verdict.APPROVE}
    able = {p for p in persons if not {folded(n) for n in p} & barred}
    if any(s.verdict is Verdict.REJECT for s in inside):
        assert first == frozenset()
    else:
        assert {people[name] for name in first} == able
        assert len(first) == len(able)


@settings(max_examples=200, deadline=None)
@given(crowds(), rows())
def test_the_recount_lets_no_unverified_row_count(
    humans: tuple[Human, ...], given_rows: tuple[SignOff, ...]
) -> None:
    raw = recount(TWO, given_rows, humans, 2, NOW, Verifiers())
    people = walked(humans)
    keys = {(h.name, k.fingerprint): k for h in humans for k in h.keys}
    really = set()
    for row in given_rows:
        key = keys.get((row.human, row.key))
        if key is None or row.ticket != TWO.ticket or row.verdict is Verdict.REJECT:
            continue
        try:
            Verifiers().verify(key, payload_of(TWO, Verdict.APPROVE), row.signature)
        except SignOffInvalid:
            continue
        really.add(people[row.human])
    assert {people[name] for name in raw.humans} <= really
    assert len(raw.humans) <= len(really)


@settings(max_examples=100, deadline=None)
@given(crowds(), rows(rejects=False), st.sampled_from(NAMES), st.sampled_from(PENS))
def test_adding_a_name_for_somebody_enrolled_never_raises_the_count(
    humans: tuple[Human, ...], given_rows: tuple[SignOff, ...], name: str, pen: Pen
) -> None:
    inside = accepted(TWO, given_rows, humans)
    if name in {h.name for h in humans} or not any(pen.enrolled in h.keys for h in humans):
        return
    more = (*humans, human(name, pen))
    both = (*inside, signed(TWO, name, pen=pen), *inside)
    before = distinct_approvers(TWO, inside, humans)
    after = distinct_approvers(TWO, both, more)
    owner_signed = any(
        s.key in {k.fingerprint for k in h.keys}
        for h in humans
        if pen.enrolled in h.keys
        for s in inside
    )
    assert len(after) <= len(before) + (0 if owner_signed else 1)


@settings(max_examples=100, deadline=None)
@given(rows())
def test_the_order_of_rows_changes_nothing(given_rows: tuple[SignOff, ...]) -> None:
    turned = given_rows[::-1]
    assert distinct_approvers(TWO, given_rows, HUMANS) == distinct_approvers(TWO, turned, HUMANS)
    there = recount(TWO, given_rows, HUMANS, 2, NOW, Verifiers()).humans
    assert there == recount(TWO, turned, HUMANS, 2, NOW, Verifiers()).humans


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_a_hold_is_claimed_at_most_once_and_only_after_a_quorum(events: list[Event]) -> None:
    state, passed = HoldState.OPEN, []
    for event in events:
        try:
            state = move(state, event)
        except StateConflict:
            assert event not in MOVES[state]
            continue
        passed.append(event)
    assert passed.count(Event.CLAIM) <= 1
    if Event.CLAIM in passed:
        assert passed[-1] is Event.CLAIM
        assert passed[-2] is Event.QUORUM
        assert Event.REJECTION not in passed


@settings(max_examples=100, deadline=None)
@given(crowds(), rows(rejects=False))
def test_the_event_of_a_quorum_means_two_persons(
    humans: tuple[Human, ...], given_rows: tuple[SignOff, ...]
) -> None:
    inside = accepted(TWO, given_rows, humans)
    if inside and event_of(TWO, inside, humans) is Event.QUORUM:
        assert len({walked(humans)[s.human] for s in inside}) >= 2


texts = st.text(max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(texts, texts, st.dictionaries(texts, plain, max_size=3), st.integers(0, 2**60))
def test_both_ways_of_building_the_payload_give_the_same_bytes(
    resource: str, unknown: str, card: dict[str, object], size: int
) -> None:
    hold = replace(
        TWO,
        targets=(replace(TWO.targets[0], resource=resource, bounds=(Bound(None, unknown),)),),
        unknown=(unknown,),
        card=card,
        ledger_size=size,
    )
    for verdict in Verdict:
        assert payload(hold, verdict.value) == payload_of(hold, verdict)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=4), st.data())
def test_fewer_is_never_stale_and_more_always_is(counts: list[int], data: st.DataObject) -> None:
    def known(numbers: list[int]):
        rows_of = [
            replace(effect(most=n), resource=replace(effect().resource, uid=f"t/{i}"))
            for i, n in enumerate(numbers)
        ]
        return understanding(*rows_of)

    hold = a_hold(known(counts))
    fewer = [data.draw(st.integers(0, n)) for n in counts]
    assert difference(hold, known(fewer), hold.bundle) == ()
    at = data.draw(st.integers(0, len(counts) - 1))
    more = [n + (i == at) for i, n in enumerate(counts)]
    assert len(difference(hold, known(more), hold.bundle)) == 1
