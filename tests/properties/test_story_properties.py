"""What must always hold of the story, for any order of events hypothesis can think of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.explaining import explain_action
from signoff.model.decision import Ruling
from signoff.model.errors import LedgerUnavailable
from signoff.model.receipt import Mark
from signoff.policy.engine import CedarJudge
from signoff.surfaces.base import Places
from signoff.understand import Reader, find_surfaces
from signoff.world import AskedWorld
from story import Stage, drawer

KEYS = ("dev-a", "dev-b", "dev-c")
texts = st.text(alphabet="abc", min_size=1, max_size=4)
moves = st.tuples(st.sampled_from(("Put", "Remove")), st.sampled_from(KEYS), texts)
worlds = st.dictionaries(st.sampled_from(KEYS), texts)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


@settings(max_examples=150, deadline=None)
@given(held=worlds, asked=st.lists(moves, min_size=1, max_size=6))
def test_taking_back_a_whole_run_brings_back_what_was_there(
    held: dict[str, str], asked: list[tuple[str, str, str]]
) -> None:
    async def story() -> None:
        stage = Stage(held)
        for verb, key, text in asked:
            await stage.ask(drawer(verb, key, text))
        found = await stage.rewind.find(run="R-1")
        results = await stage.rewind.take_back(found, "ana", verified=True)
        assert {r.state for r in results} <= {"undone", "nothing to do"}
        assert not any(r.differences for r in results)
        assert stage.world.held == held

    run(story)


@settings(max_examples=150, deadline=None)
@given(
    held=worlds,
    asked=st.lists(moves, min_size=1, max_size=5),
    foreign=st.dictionaries(st.sampled_from(KEYS), st.just("FOREIGN"), min_size=1),
)
def test_an_undo_never_overwrites_what_someone_else_wrote_since(
    held: dict[str, str], asked: list[tuple[str, str, str]], foreign: dict[str, str]
) -> None:
    async def story() -> None:
        stage = Stage(held)
        for verb, key, text in asked:
            await stage.ask(drawer(verb, key, text))
        stage.world.held.update(foreign)
        before = dict(stage.world.held)
        found = await stage.rewind.find(run="R-1")
        results = await stage.rewind.take_back(found, "ana", verified=True)
        for key, text in foreign.items():
            assert stage.world.held[key] == text
        if results[-1].state == "conflict":
            # It stopped there, said what was changed, and did nothing to it.
            assert results[-1].conflicts
            stopped = found[len(results) - 1].action.parameters["key"]
            assert stage.world.held.get(str(stopped)) == before.get(str(stopped))

    run(story)


@settings(max_examples=150, deadline=None)
@given(held=worlds, asked=st.lists(moves, min_size=1, max_size=8), budget=st.integers(0, 2500))
def test_a_run_over_its_capture_budget_is_stopped_before_anything_happens(
    held: dict[str, str], asked: list[tuple[str, str, str]], budget: int
) -> None:
    async def story() -> None:
        stage = Stage(held)
        stage.vault.budget = budget
        for verb, key, text in asked:
            before = dict(stage.world.held)
            reply = await stage.ask(drawer(verb, key, text))
            if reply.ruling is Ruling.DENY:
                assert stage.world.held == before
            assert stage.vault.spent.get("R-1", 0) <= budget
        captured = [r for r in stage.store.receipts if r.mark is Mark.CAPTURED]
        assert len(stage.world.done) <= len(captured)

    run(story)


@settings(max_examples=100, deadline=None)
@given(held=worlds, move=moves, broken_at=st.integers(0, 4))
def test_no_step_runs_when_its_receipt_cannot_be_written(
    held: dict[str, str], move: tuple[str, str, str], broken_at: int
) -> None:
    async def story() -> None:
        stage = Stage(held)
        written = 0
        append = stage.store.append

        async def failing(receipt: Any, *changes: Any) -> Any:
            nonlocal written
            stage.store.broken = written >= broken_at
            written += 1
            return await append(receipt, *changes)

        stage.store.append = failing  # type: ignore[method-assign] # the disk fills up here
        stage.boot()
        with suppress(LedgerUnavailable):
            await stage.ask(drawer(*move))
        # decided, captured, started: only with all three may anything have happened.
        assert len(stage.world.done) <= (1 if broken_at >= 3 else 0)

    run(story)


OPERATIONS = (
    ("dynamodb", "DeleteTable", {"TableName": "orders"}),
    ("dynamodb", "GetItem", {"TableName": "orders", "Key": {"id": {"S": "1"}}}),
    ("s3", "DeleteBucket", {"Bucket": "invoices"}),
    ("s3", "ListObjectsV2", {"Bucket": "invoices"}),
    ("cloudformation", "DeleteStack", {"StackName": "billing"}),
    ("iam", "AttachRolePolicy", {"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/X"}),
    ("sts", "GetCallerIdentity", {}),
    ("kms", "ScheduleKeyDeletion", {"KeyId": "k"}),
    ("ec2", "TerminateInstances", {"InstanceIds": ["i-1"]}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "s"}),
    ("lambda", "Invoke", {"FunctionName": "f"}),
    ("nosuch", "Thing", {}),
)


@settings(max_examples=60, deadline=None)
@given(chosen=st.sampled_from(OPERATIONS), where=st.sampled_from(("", "production", "development")))
def test_explain_says_what_the_story_would_decide(
    chosen: tuple[str, str, dict[str, object]], where: str
) -> None:
    from signoff.explaining import AGENT, OTHERS, _judge
    from signoff.model.ports import Facts

    service, operation, parameters = chosen
    given_action = {"service": service, "operation": operation, "parameters": parameters}
    told = explain_action({"surface": "aws", "action": given_action, "env": where})

    async def story() -> None:
        surfaces = find_surfaces()
        scope = {"account": "000000000000", "region": "us-east-1"}
        action = surfaces["aws"].parse(given_action, scope)
        reader = Reader(surfaces, AskedWorld({}), Places(override=where))
        understanding = (await reader.understand(action)).understanding
        judge: CedarJudge = _judge()
        decision = judge.decide(AGENT, understanding, Facts(eligible=OTHERS, gate="explain"))
        assert told["ruling"] == decision.ruling.value
        assert told["effects"] == [e.as_data() for e in understanding.effects]
        assert told["unknown"] == list(understanding.unknown)

    run(story)
