"""A request is told as a sentence that says what matters, and nothing else."""

from __future__ import annotations

import pytest

from signoff.model.action import Action, Principal
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.bundle import compile_bundle
from signoff.policy.request import Limits, base_context, effect_context, signers_context
from signoff.policy.words import paths_of, sentence, uid_of

WHO = Principal("deployer", "R-1", "olga")


def request(
    verb: Verb = Verb.DELETE,
    kind: Kind = Kind.DATA,
    facts: Facts | None = None,
    signers: dict[str, tuple[str, ...]] | None = None,
    place: str = "production",
    **changed: object,
) -> dict[str, object]:
    """A request as the engine gets it, with some of its context changed."""
    effect = Effect(
        verb,
        Resource("arn:aws:dynamodb:eu-west-1:1:table/orders", "dynamodb:table", place, kind),
        bounds=(Bound(5000, "items"),),
        reversibility=Reversibility.BOUNDED,
    )
    understanding = Understanding(Action("aws", "dynamodb:DeleteTable"), (effect,))
    facts = facts or Facts()
    people = signers or {}
    return {
        "principal": {"type": "Agent", "id": WHO.agent},
        "action": {"type": "Action", "id": verb.value},
        "resource": {"type": "Environment", "id": place},
        "context": {
            **base_context(WHO, understanding.action, facts, Limits()),
            **effect_context(effect, understanding, facts, (place,)),
            **signers_context(frozenset(people), people, False),
            **changed,
        },
    }


def test_what_always_counts_is_said_without_anything_else() -> None:
    assert sentence(request(), ()) == (
        "agent `deployer` deletes a resource in `production`: "
        "it can be taken back within bounds, nobody signed"
    )


def test_what_the_policies_look_at_is_said_too() -> None:
    told = sentence(request(), {"target.kind", "target.uid", "name", "bound", "certain"})
    assert told == (
        "agent `deployer` deletes a store of data (`arn:aws:dynamodb:eu-west-1:1:table/orders`, "
        "by `dynamodb:DeleteTable`) in `production`: it can be taken back within bounds, "
        "at most 5,000 rows or items, nobody signed"
    )


def test_signers_are_named_where_it_matters_who_they_are() -> None:
    people = {"bo": ("sre",), "ana": ("sre", "dev")}
    told = sentence(request(signers=people), {"approvers", "approverTeams"})
    assert told.endswith("2 people signed (`ana`, `bo`), of `dev`, `sre`")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"frozen": True}, "the environment is frozen"),
        ({"halted": True}, "the run or the agent is halted"),
        ({"disposable": True}, "the environment is marked disposable"),
        ({"lowered": ["boundary-key"]}, "lowered there: `boundary-key`"),
        ({"callsLastMinute": 601}, "601 calls in the last minute"),
        ({"changesLastMinute": 61}, "61 changes in the last minute"),
        ({"repeats": 20}, "the same action failed 20 times before"),
        ({"captureLeftBytes": 0}, "the run's budget for undo material is used up"),
        ({"hourUtc": 17}, "between 17:00 and 17:59 UTC"),
        ({"weekday": 5}, "on a Friday"),
        ({"bound": 2**63 - 1}, "nobody knows how many rows or items"),
        ({"operatorSigned": True}, "the operator signed"),
        ({"certain": False}, "part of it is not understood"),
        ({"newcomer": True}, "`newcomer` is true"),
        ({"newcomer": "x"}, "`newcomer` is `x`"),
    ],
    ids=str,
)
def test_every_circumstance_has_its_words(changed: dict[str, object], said: str) -> None:
    (path,) = changed
    asked = request(**changed)
    assert said in sentence(asked, {path})
    assert (said in sentence(asked, ())) == (path == "operatorSigned")


def test_what_has_its_everyday_value_is_left_out() -> None:
    everyday = request(place="workspace")
    everyday["context"]["hourUtc"], everyday["context"]["weekday"] = 8, 1
    paths = paths_of(compile_bundle("team").policies)
    told = sentence(everyday, paths)
    for word in ("frozen", "halted", "disposable", "lowered", "minute", "failed", "budget"):
        assert word not in told


def test_a_human_is_told_as_one() -> None:
    asked = {**request(undo=True), "principal": 'Human::"olga"'}
    told = sentence(asked, {"undo", "requesterVerified"})
    assert told.startswith("human `olga` deletes a resource in `production`")
    assert told.endswith("it takes back an earlier action, they did not prove who they are")


def test_an_environment_is_told_with_what_it_lies_in() -> None:
    rows = (
        {
            "uid": {"type": "Environment", "id": "prod-eu"},
            "attrs": {},
            "parents": [{"type": "Environment", "id": "production"}],
        },
    )
    assert "in `prod-eu` (within `production`)" in sentence(request(place="prod-eu"), (), rows)


@pytest.mark.parametrize(
    "uid",
    [
        {"type": "Agent", "id": "kit"},
        {"__entity": {"type": "Agent", "id": "kit"}},
        'Agent::"kit"',
    ],
    ids=str,
)
def test_every_way_to_write_an_entity_is_read(uid: object) -> None:
    assert uid_of(uid) == ("Agent", "kit")
