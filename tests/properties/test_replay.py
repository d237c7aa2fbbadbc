"""Judging the past again says what the judge says, and nothing where nothing changed."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from properties.test_policy import BROAD, HUMANS, LOOKING, SCOPED, facts, understandings
from properties.test_story_properties import moves, worlds
from signoff.approvals.quorum import eligible
from signoff.model.action import Principal
from signoff.model.decision import Decision, Ruling
from signoff.model.effect import Understanding
from signoff.model.errors import Refused
from signoff.model.human import EnrolledKey, Human
from signoff.model.ports import Facts
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.policy.bundle import Bundle, compile_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.filler import filler_rules
from signoff.policy.replay import Candidate, Kind, Report, replay
from story import Stage, bundle, drawer, people

SOURCES = {s.name: s for s in (BROAD, LOOKING, SCOPED, filler_rules(9))}
PEOPLE = tuple(
    Human(
        name,
        (EnrolledKey.parse(f"signoff-ed25519 {base64.b64encode(bytes([n]) * 32).decode()}"),),
    )
    for n, name in enumerate(HUMANS)
)
principals = st.sampled_from(
    [Principal("deployer", "R-1", "olga"), Principal("kit", "R-2", "ana"), Principal("", "", "bo")]
)
pasts = st.lists(st.tuples(principals, understandings, facts), min_size=1, max_size=6)
chosen = st.tuples(st.sampled_from(["team", "solo"]), st.sampled_from(sorted(SOURCES)))


@cache
def loaded(profile: str, name: str) -> Bundle:
    return compile_bundle(
        profile, [SOURCES[name]], humans=HUMANS, environments={"prod-eu": "production"}
    )


def candidate(profile: str, name: str) -> Candidate:
    return Candidate(loaded(profile, name), PEOPLE, frozenset({"development"}))


def decided(
    by: Candidate, who: Principal, understanding: Understanding, given_facts: Facts
) -> Decision:
    """The judge asked directly, as the gates ask it."""
    able = eligible(who, PEOPLE, operator_counts=by.bundle.profile == "solo")
    known = replace(given_facts, eligible=able, disposable=by.disposable, gate="aws")
    return CedarJudge(by.bundle).decide(who, understanding, known)


def receipt(by: Candidate, number: int, past: tuple[Principal, Understanding, Facts]) -> Receipt:
    who, understanding, given_facts = past
    return Receipt(
        mark=Mark.DECIDED,
        time_ms=given_facts.now_ms,
        action_id=f"A-{number}",
        principal=who,
        gate="aws",
        action=understanding.action,
        understanding=understanding,
        decision=decided(by, who, understanding, given_facts),
        detail=frozen(observed=False, facts=given_facts.as_data()),
    )


def replayed(
    then: Candidate, now: Candidate, asked: list[tuple[Principal, Understanding, Facts]]
) -> Report:
    rows = [(n, receipt(then, n, past).leaf()) for n, past in enumerate(asked)]
    return replay(rows, now)


@given(pasts, chosen)
@settings(max_examples=150, deadline=None)
def test_the_same_bundle_changes_nothing(
    asked: list[tuple[Principal, Understanding, Facts]], which: tuple[str, str]
) -> None:
    same = candidate(*which)
    report = replayed(same, same, asked)
    assert (report.actions, report.changed, report.skipped) == (len(asked), 0, 0)
    assert report.before == report.after
    assert all(then == now for then, now in report.load.values())


@given(pasts, chosen, chosen)
@settings(max_examples=150, deadline=None)
def test_a_candidate_is_said_to_rule_as_the_judge_rules_with_it(
    asked: list[tuple[Principal, Understanding, Facts]],
    before: tuple[str, str],
    after: tuple[str, str],
) -> None:
    then, now = candidate(*before), candidate(*after)
    report = replayed(then, now, asked)
    wanted: Counter[Kind] = Counter()
    rulings: Counter[str] = Counter()
    for past in asked:
        was, would = decided(then, *past), decided(now, *past)
        rulings[would.ruling.value] += 1
        if would.ruling is not was.ruling:
            wanted[Kind(f"newly {_word(would.ruling)}")] += 1
        elif would.ruling is Ruling.HOLD and would.quorum != was.quorum:
            wanted[Kind.MORE if would.quorum > was.quorum else Kind.FEWER] += 1
    assert {kind: report.count(kind) for kind in Kind} == {k: wanted[k] for k in Kind}
    assert {r: n for r, n in report.after.items() if n} == dict(rulings)
    for group in report.groups:
        assert group.example.action_id in group.example.words


@settings(max_examples=60, deadline=None)
@given(held=worlds, asked=st.lists(moves, min_size=1, max_size=6), signs=st.booleans())
def test_a_real_story_judged_by_the_bundle_that_judged_it_is_the_same(
    held: dict[str, str], asked: list[tuple[str, str, str]], signs: bool
) -> None:
    async def story() -> None:
        stage = Stage(held)
        for verb, key, text in asked:
            stage.clock.pass_ms(7_000)
            reply = await stage.ask(drawer(verb, key, text))
            if reply.ticket and signs:
                await stage.sign(reply.ticket, "ana")
                await stage.sign(reply.ticket, "bo")
                await stage.ask(drawer(verb, key, text))
        with suppress(Refused):  # There may be nothing to take back.
            found = await stage.rewind.find(run="R-1")
            await stage.rewind.take_back(found, "ana", verified=True)
        rows = [(n, r.leaf()) for n, r in enumerate(stage.store.receipts)]
        report = replay(rows, Candidate(bundle(), people()[0]))
        assert report.actions >= len(asked)
        assert (report.changed, report.without_facts, report.skipped) == (0, 0, 0)

    asyncio.run(story())


def _word(ruling: Ruling) -> str:
    return {Ruling.DENY: "denied", Ruling.HOLD: "held", Ruling.ALLOW: "allowed"}[ruling]
