"""AWS down, slow, broken off or failing: a clean error for a read, in doubt for a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from real import gate_setups as made
from real.gate_world import Agent, Gate, fresh
from real.recorder import Trouble, cut_before_the_answer, cut_in_the_body, failing, slow

pytestmark = pytest.mark.real


def put(agent: Agent, name: str) -> Callable[[], Any]:
    """A change that passes in development."""
    item = {"pk": {"S": "k1"}, "v": {"S": "agent"}}
    return lambda: agent.client("dynamodb").put_item(TableName=name, Item=item)


def written(gate: Gate, name: str) -> bool:
    """Whether the change is there."""
    found = gate.owner("dynamodb").get_item(TableName=name, Key={"pk": {"S": "k1"}})
    return "v" in found.get("Item", {})


@pytest.mark.parametrize(
    ("trouble", "done"),
    [
        (cut_before_the_answer, True),
        (cut_in_the_body, True),
        (failing(500), False),
        (failing(502), False),
        (failing(504), False),
    ],
    ids=["no answer", "half an answer", "500", "502", "504"],
)
def test_a_change_without_an_answer_is_in_doubt_and_never_sent_again(
    gate: Gate, trouble: Trouble, done: bool
) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=2)
    at = gate.at()
    with gate.upstream.troubled("PutItem", trouble):
        error = agent.refused(put(agent, name))
    assert "in doubt" in str(error)
    assert "next: " in str(error)
    assert gate.sent(at).count("PutItem") == 1
    assert written(gate, name) is done
    marks = [r["mark"] for r in gate.receipts(agent.run, at)]
    assert marks == ["decided", "captured", "started", "in_doubt"]
    action = agent.last_change()
    doubtful: Any = gate.guard.control.status()["in_doubt"]
    assert action in str(doubtful)


@pytest.mark.parametrize(
    "trouble",
    [cut_before_the_answer, cut_in_the_body, failing(500), failing(503)],
    ids=["no answer", "half an answer", "500", "503"],
)
def test_a_read_without_an_answer_is_a_clean_error_and_not_in_doubt(
    gate: Gate, trouble: Trouble
) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    at = gate.at()
    client = agent.client("dynamodb", tries=1)
    with (
        gate.upstream.troubled("Scan", trouble),
        pytest.raises(ClientError) as caught,
    ):
        client.scan(TableName=name)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503)
    rows = gate.receipts(agent.run, at)
    assert {r["mark"] for r in rows} == {"read"}
    assert rows[-1]["detail"]["error"]
    assert len(client.scan(TableName=name)["Items"]) == 2, "afterwards it works"


def test_boto3_asks_a_read_again_by_itself_until_it_is_answered(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    failures = iter([True])
    fails = failing(503)

    def once(handler: Any, sent: Any) -> bool:
        return next(failures, False) and fails(handler, sent)

    with gate.upstream.troubled("Scan", once):
        answer = agent.client("dynamodb").scan(TableName=name)
    assert len(answer["Items"]) == 2
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


def test_with_aws_down_a_read_says_so_and_a_change_does_not_run(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=2)
    dynamo = agent.client("dynamodb", tries=1)
    at = gate.at()
    with gate.upstream.down():
        with pytest.raises(ClientError, match="cannot be reached") as caught:
            dynamo.scan(TableName=name)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        with pytest.raises(ClientError) as caught:
            dynamo.put_item(TableName=name, Item={"pk": {"S": "k1"}, "v": {"S": "agent"}})
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert gate.sent(at) == []
    assert "started" not in {r["mark"] for r in gate.receipts(agent.run, at)}
    put(gate.agent(), name)()
    assert written(gate, name)


def test_what_cannot_be_looked_at_is_judged_by_the_worst(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=2)
    with gate.upstream.troubled("DescribeTable", failing(500)):
        ticket = agent.held(lambda: agent.client("dynamodb").delete_table(TableName=name))
    shown: Any = gate.guard.control.show(ticket)
    assert {e["reversibility"] for e in shown["card"]["effects"]} == {"none"}
    assert name in gate.owner("dynamodb").list_tables()["TableNames"]


def test_what_cannot_be_captured_does_not_run(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=2)
    at = gate.at()
    with gate.upstream.troubled("BatchGetItem", failing(500)):
        assert "cannot save the undo" in str(agent.refused(put(agent, name)))
    assert "PutItem" not in gate.sent(at)
    assert not written(gate, name)


def test_a_slow_target_is_given_up_on_in_time(moving: Gate) -> None:
    agent, name = moving.agent(), fresh("dev")
    made.table(moving, name, items=2)
    at = moving.at()
    client = agent.client("dynamodb", tries=1)
    with (
        moving.upstream.troubled("Scan", slow(4)),
        pytest.raises(ClientError, match="did not finish") as caught,
    ):
        client.scan(TableName=name)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    with moving.upstream.troubled("PutItem", slow(4)):
        error = agent.refused(put(agent, name))
    assert "in doubt" in str(error)
    marks = [r["mark"] for r in moving.receipts(agent.run, at)]
    assert marks == ["read", "decided", "captured", "started", "in_doubt"]


def test_an_answer_that_nobody_can_read_is_no_success_of_a_capture(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=2)
    before = made.look(gate, name)
    asked = iter([False, True])
    fails = failing(200)

    def second(handler: Any, sent: Any) -> bool:
        return next(asked, True) and fails(handler, sent)

    at = gate.at()
    with gate.upstream.troubled("BatchGetItem", second):
        error = agent.refused(put(agent, name))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "PutItem" not in gate.sent(at)
    assert made.look(gate, name) == before


def test_halfway_through_a_rewritten_deletion_the_rest_is_not_sent(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    given = made.stack(gate, name)
    before = made.look(gate, name)

    def delete() -> Any:
        return agent.client("cloudformation").delete_stack(**given)

    assert gate.sign(agent.held(delete), "ana") == "approved"
    at = gate.at()
    with gate.upstream.troubled("UpdateStack", failing(500)):
        error = agent.refused(delete)
    assert "in doubt" in str(error)
    assert gate.sent(at).count("UpdateStack") == 1
    assert "DeleteStack" not in gate.sent(at)
    assert made.look(gate, name) == before
