"""Grants at a running gate: their time passes, and AWS itself is told what they allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from real import gate_setups as made
from real.gate_world import ACCOUNT, REGION, Agent, Gate, fresh
from real.recorder import Recorder
from signoff.config import write_config
from signoff.demo.children import Child
from signoff.demo.guard import prepare

pytestmark = pytest.mark.real

ROLE = f"arn:aws:iam::{ACCOUNT}:role/agents"


def outsider(gate: Gate) -> Agent:
    """An agent whose run nobody granted anything."""
    return Agent(gate, gate.guard.key(fresh("agent"), granted=False))


def put(agent: Agent, name: str, key: str = "new") -> Callable[[], Any]:
    """The call that writes one item."""
    return lambda: agent.client("dynamodb").put_item(TableName=name, Item={"pk": {"S": key}})


def passes(moving: Gate, seconds: int) -> None:
    clock = moving.guard.folder.parent / "clock"
    clock.write_text(str(int(clock.read_text()) + seconds))


def test_a_grant_whose_time_is_over_opens_nothing_more(moving: Gate) -> None:
    owner, agent, name = moving.agent(), outsider(moving), fresh("shop")
    made.table(moving, name, items=1)
    moving.guard.grant(agent.run, "ana", verbs=("create", "update"), ttl_ms=60_000)
    ticket = agent.held(put(agent, name))
    assert moving.sign(ticket, "bo") == "approved"
    at = moving.at()
    passes(moving, 20)
    (live,) = moving.guard.control.grants(agent.run)
    assert live["state"] == "live"
    passes(moving, 40)
    assert "no grant" in str(agent.refused(put(agent, name)))
    (over,) = moving.guard.control.grants(agent.run)
    assert (over["state"], over["used"]) == ("expired", 0)
    assert "PutItem" not in moving.sent(at)
    assert owner.client("dynamodb").describe_table(TableName=name)


def test_a_revoked_grant_is_over_at_the_next_call(gate: Gate) -> None:
    agent, name = outsider(gate), fresh("shop")
    made.table(gate, name, items=1)
    grant = gate.guard.grant(agent.run, "ana", verbs=("create", "update"))
    agent.signed(put(agent, name))
    gate.guard.control.revoke_grant(grant)
    assert "no grant" in str(agent.refused(put(agent, name, "other")))
    receipts = gate.receipts(agent.run)
    assert [r["detail"]["grants"] for r in receipts if r["mark"] == "started"] == [[grant]]
    assert [r["detail"]["act"] for r in receipts if r["mark"] == "control"][-1] == "grant-revoked"


@pytest.fixture(scope="module")
def assuming(
    shared_aws: Child, operations_index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    """A daemon that assumes a role; nothing in its account is outside production."""
    recorder = Recorder(shared_aws.url)
    folder = tmp_path_factory.mktemp("assuming") / "guard"
    ready = prepare(folder, recorder.url, regions=(REGION,), index=operations_index)
    ready.config = replace(ready.config, aws=replace(ready.config.aws, assume_role=ROLE))
    assert ready.config.path is not None
    write_config(ready.config, ready.config.path)
    try:
        ready.start()
        yield Gate(ready, recorder)
    finally:
        ready.stop()
        recorder.stop()


def sessions(gate: Gate, since: int) -> list[tuple[str, str]]:
    """(session name, policy) of every role session that was asked for."""
    asked = [s for s in gate.upstream.seen[since:] if s.operation == "AssumeRole"]
    forms = [parse_qs(s.body.decode()) for s in asked]
    return [(f["RoleSessionName"][0], f.get("Policy", [""])[0]) for f in forms]


def permits(text: str, action: str) -> bool:
    return IAMPolicy(text).is_action_permitted(action) is PermissionResult.PERMITTED


def test_a_runs_calls_are_signed_with_a_session_of_what_it_was_granted(assuming: Gate) -> None:
    agent, name = outsider(assuming), fresh("shop")
    made.table(assuming, name, items=1)
    since = len(assuming.upstream.seen)
    agent.client("dynamodb").describe_table(TableName=name)
    ((session, policy),) = sessions(assuming, since)
    assert session == f"signoff-{agent.run}"
    assert permits(policy, "dynamodb:DescribeTable")
    assert not permits(policy, "dynamodb:PutItem")
    assert "no grant" in str(agent.refused(put(agent, name)))
    assert len(sessions(assuming, since)) == 1

    grant = assuming.guard.grant(agent.run, "ana", verbs=("create", "update"))
    at = len(assuming.upstream.seen)
    agent.signed(put(agent, name))
    ((session, policy),) = sessions(assuming, at)
    assert session == f"signoff-{agent.run}"
    assert permits(policy, "dynamodb:PutItem")
    assert not permits(policy, "dynamodb:PutResourcePolicy")
    assert not permits(policy, "s3:PutObject")
    sent = [s for s in assuming.upstream.seen[at:] if s.operation == "PutItem"]
    lent = {s.key_id for s in assuming.upstream.seen[at:] if s.operation != "PutItem"}
    assert [s.key_id.startswith("ASIA") for s in sent] == [True]
    assert sent[0].key_id not in lent, "the daemon's own questions are not the run's"

    agent.signed(put(agent, name, "again"))
    assert len(sessions(assuming, at)) == 1, "a session is kept"
    assuming.guard.control.revoke_grant(grant)
    assert "no grant" in str(agent.refused(put(agent, name, "late")))
    assert len(sessions(assuming, at)) == 1


def test_two_runs_share_no_session(assuming: Gate) -> None:
    one, two, name = assuming.agent(), assuming.agent(), fresh("shop")
    made.table(assuming, name, items=1)
    since = len(assuming.upstream.seen)
    for agent in (one, two):
        agent.client("dynamodb").describe_table(TableName=name)
    assert [s for s, _ in sessions(assuming, since)] == [f"signoff-{a.run}" for a in (one, two)]
