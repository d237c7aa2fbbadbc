"""Re-judging the past: what differs, in words, and what it costs the people who sign."""

from __future__ import annotations

import base64
from dataclasses import replace

from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.human import EnrolledKey, Human
from signoff.model.ports import Facts
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.policy.bundle import Bundle, compile_bundle
from signoff.policy.past import ASSUMED, History, Past
from signoff.policy.replay import NOBODY, Candidate, Report, replay
from signoff.policy.replay import Kind as Change
from signoff.policy.statements import Source

NO_FACTS = Facts()
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
KIT = Principal("kit", "R-1", "olga")
NAMES = ("olga", "ana", "bo", "cy")
PEOPLE = tuple(
    Human(n, (EnrolledKey.parse(f"signoff-ed25519 {base64.b64encode(bytes([i]) * 32).decode()}"),))
    for i, n in enumerate(NAMES)
)
NO_UPDATES = '@id("no-updates") @why("tables stay as they are") forbid(principal, \
action == Action::"update", resource);'
READS_NEED_ONE = '@id("look-twice") @why("somebody else looks first") forbid(principal, \
action == Action::"read", resource in Environment::"production") \
when { context.approvals < 1 };'
THREE = '@id("three") @why("three people look") forbid(principal, action == Action::"delete", \
resource in Environment::"production") when { context.approvals < 3 };'
FAST = '@id("calm") @why("slowly") forbid(principal, action, resource) \
when { context.callsLastMinute >= 2 };'


def made(*texts: str) -> Candidate:
    sources = [Source(f"own{n}.cedar", text) for n, text in enumerate(texts)]
    bundle: Bundle = compile_bundle("team", sources, humans=dict.fromkeys(NAMES, ()))
    return Candidate(bundle, PEOPLE)


def done(
    number: int,
    verb: Verb = Verb.UPDATE,
    *,
    ruling: Ruling = Ruling.HOLD,
    quorum: int = 1,
    at: int = 0,
    where: str = "production",
    facts: Facts | None = NO_FACTS,
    table: str = "orders",
    mark: Mark = Mark.DECIDED,
    who: Principal = KIT,
) -> Receipt:
    action = Action("aws", f"dynamodb:{verb.value}", frozen(t=table), {"region": "eu-west-1"})
    uid = f"arn:aws:dynamodb:eu-west-1:1:table/{table}"
    effect = Effect(
        verb,
        Resource(uid, "dynamodb:table", where, Kind.DATA),
        (Bound(1, "items"),),
        Reversibility.NONE if verb is Verb.DELETE else Reversibility.EXACT,
    )
    noted = {} if facts is None else {"facts": replace(facts, now_ms=at).as_data()}
    return Receipt(
        mark=mark,
        time_ms=at,
        action_id=f"A-{number}",
        principal=who,
        gate="aws",
        action=action,
        understanding=Understanding(action, (effect,)),
        decision=Decision(ruling, ("then",), quorum, bundle="old"),
        detail=frozen(**noted),
    )


def switch(act: str, name: str, at: int, **more: object) -> Receipt:
    who = Principal("", "", "ana")
    return Receipt(Mark.CONTROL, at, "", who, detail=frozen(act=act, switch=name, **more))


def report(receipts: list[Receipt], candidate: Candidate, since: int = 0) -> Report:
    return replay([(n, r.leaf()) for n, r in enumerate(receipts)], candidate, since_ms=since)


def test_what_a_policy_would_newly_deny_is_told_with_an_example_in_words() -> None:
    found = report(
        [done(1), done(2, at=5), done(3, Verb.READ, ruling=Ruling.ALLOW, quorum=0)],
        made(NO_UPDATES),
    )
    (group,) = found.groups
    assert (group.kind, group.policy, group.count) == (Change.DENIED, "no-updates", 2)
    assert group.example.words == (
        "A-1: dynamodb:update on arn:aws:dynamodb:eu-west-1:1:table/orders in production, asked "
        "by kit (run R-1); was hold (1), would be deny by `no-updates`, own0.cedar line 1: "
        "tables stay as they are"
    )
    assert (found.before["hold"], found.after["deny"], found.after["allow"]) == (2, 2, 1)


def test_what_is_newly_held_asks_people_each_day() -> None:
    reads = [
        done(n, Verb.READ, ruling=Ruling.ALLOW, quorum=0, at=n * DAY, table=f"t{n}")
        for n in range(4)
    ]
    found = report(reads, made(READS_NEED_ONE))
    assert found.count(Change.HELD) == 4
    assert found.days == 4
    assert found.holds == (0, 4)
    then, now = found.load["ana"]
    assert (then.asked, now.asked) == (0, 4)
    assert round(now.share, 6) == round(4 / 3, 6)  # ana, bo and cy share; olga is the operator.
    assert found.load["olga"][1].asked == 0


def test_a_policy_that_no_longer_stops_is_named_as_the_one_that_did() -> None:
    found = report([done(1, Verb.READ, ruling=Ruling.DENY, quorum=0)], made())
    (group,) = found.groups
    assert (group.kind, group.policy) == (Change.ALLOWED, "then")


def test_another_quorum_is_a_change_too() -> None:
    found = report([done(1, Verb.DELETE, quorum=2)], made(THREE))
    assert [(g.kind, g.example.after) for g in found.groups] == [(Change.MORE, "hold (3)")]
    fewer = report([done(1, Verb.DELETE, quorum=3)], made())
    assert [g.kind for g in fewer.groups] == [Change.FEWER]


def test_equal_requests_wait_for_one_hold_until_it_is_carried_out_or_expires() -> None:
    asked = [done(n, at=n * MINUTE) for n in range(3)]
    assert report(asked, made()).holds == (1, 1)
    started = done(3, at=3 * MINUTE, mark=Mark.STARTED)
    assert report([*asked, started, done(4, at=4 * MINUTE)], made()).holds == (2, 2)
    assert report([*asked, done(5, at=2 * HOUR)], made()).holds == (2, 2)


def test_a_hold_that_people_rejected_is_over() -> None:
    held = replace(done(1, mark=Mark.HELD), detail=frozen(hold="H-1"))
    no = Receipt(Mark.REJECTED, 2, "A-1", KIT, detail=frozen(hold="H-1"))
    assert report([done(1), held, done(2), no, done(3)], made()).holds == (2, 2)


def test_the_facts_a_receipt_keeps_are_those_it_is_judged_by() -> None:
    calm = done(1, Verb.READ, ruling=Ruling.ALLOW, quorum=0, facts=Facts(calls_last_minute=1))
    fast = done(2, Verb.READ, ruling=Ruling.ALLOW, quorum=0, facts=Facts(calls_last_minute=2))
    found = report([calm, fast], made(FAST))
    assert (found.count(Change.DENIED), found.assumed) == (1, ())
    frozen_place = Facts(frozen=frozenset({"production"}))
    assert report([done(1, facts=frozen_place)], made()).count(Change.DENIED) == 1


def test_an_older_receipt_is_judged_by_what_stands_before_it_and_the_rest_is_said() -> None:
    old = [done(n, Verb.READ, ruling=Ruling.ALLOW, quorum=0, at=n, facts=None) for n in range(3)]
    found = report(old, made(FAST))
    assert (found.count(Change.DENIED), found.without_facts) == (1, 3)
    assert found.assumed == ASSUMED


def test_a_freeze_and_a_halt_before_an_older_receipt_still_count_and_end() -> None:
    asked = done(1, at=10, facts=None)
    told = [switch("freeze", "freeze/production", 1), asked, switch("lift", "freeze/production", 2)]
    found = report([*told, done(2, at=11, facts=None)], made())
    assert [(g.kind, g.example.action_id) for g in found.groups] == [(Change.DENIED, "A-1")]
    halted = report([switch("halt", "halt/run/R-1", 1), asked], made(), since=5)
    assert halted.count(Change.DENIED) == 1


def test_a_boundary_that_was_lowered_for_an_older_receipt_is_lowered_again() -> None:
    name = "lowered/boundary-container/production"
    rows = [switch("lower", name, 1, until_ms=50), done(1, at=49, facts=None), done(2, at=50)]
    facts = [
        p.facts.lowered
        for p in History().read(enumerate(r.leaf() for r in rows))
        if isinstance(p, Past)
    ]
    assert facts == [frozenset({("boundary-container", "production")}), frozenset()]


def test_only_what_happened_since_is_judged() -> None:
    asked = [done(n, at=n * HOUR) for n in range(5)]
    assert report(asked, made(), since=3 * HOUR).actions == 2


def test_what_cannot_be_read_is_counted_and_left_out() -> None:
    rows = [(0, b"{}"), (1, b"\xff"), (2, b"[]"), (3, done(1).leaf())]
    found = replay(rows, made())
    assert (found.actions, found.skipped) == (1, 3)


def test_where_nobody_could_sign_the_report_says_so() -> None:
    nobody = Candidate(compile_bundle("team"))
    found = report([done(1)], nobody)
    assert found.count(Change.DENIED) == 1
    assert found.limits[0] == NOBODY
    assert NOBODY not in report([done(1)], made()).limits


def test_an_empty_ledger_is_a_report_too() -> None:
    found = replay([], made())
    assert (found.actions, found.days, found.changed, found.groups) == (0, 1, 0, ())


def test_facts_are_read_back_as_they_were_written() -> None:
    facts = Facts(
        approvers=frozenset({"ana"}),
        frozen=frozenset({"production"}),
        halted=True,
        calls_last_minute=7,
        lowered=frozenset({("boundary-key", "production")}),
        granted=frozenset({("production", "update")}),
        now_ms=5,
    )
    receipt = Receipt(Mark.DECIDED, 1, "A", KIT, detail=frozen(facts=facts.as_data()))
    assert Facts.from_data(receipt.detail["facts"]) == facts  # type: ignore[arg-type] # is Data
    assert Facts().as_data() == {}
