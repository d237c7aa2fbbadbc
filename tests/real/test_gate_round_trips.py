"""Act through the gate, take back through the control socket, compare by looking.

Each row is one call of boto3's by an agent with a run key. What the owners see afterwards
has to be what they saw before; nothing of Signoff's own is asked whether it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from real import gate_setups as made
from real.gate_world import Agent, Gate, fresh
from signoff.faces.backend import Act
from signoff.faces.client import Answered

pytestmark = pytest.mark.real

SIGNERS = ("bo", "cy")
OPEN_TRUST = json.dumps(made.TRUST).replace("ec2", "lambda")
MORE_RIGHTS = json.dumps(made.RIGHTS).replace("s3:GetObject", "*")
KEY = {"pk": {"S": "k1"}}
EXPIRING = {
    "Rules": [
        {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    ]
}
TAGS = {"TagSet": [{"Key": "a", "Value": "b"}]}
BOTH = {"Objects": [{"Key": made.AWKWARD}, {"Key": "two"}]}
SCHEMA = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@dataclass(frozen=True)
class Trip:
    """One call on one situation. `place` is the prefix of the name: where it happens."""

    service: str
    method: str
    setup: Callable[[Gate, str], dict[str, Any]]
    given: dict[str, Any] = field(default_factory=dict)
    named: str = ""
    place: str = "shop"

    @property
    def id(self) -> str:
        """The row's name."""
        return f"{self.method}-{self.setup.__name__}-{self.place}"


def trip(
    service: str, method: str, setup: Any, named: str = "", place: str = "shop", **given: Any
) -> Trip:
    return Trip(service, method, setup, given, named, place)


TRIPS = (
    trip("dynamodb", "put_item", made.table, Item={"pk": {"S": "new"}, "n": {"N": "1"}}),
    trip(
        "dynamodb",
        "put_item",
        made.table,
        Item={"pk": {"S": "k1"}, "other": {"S": "x"}},
        place="dev",
    ),
    trip(
        "dynamodb",
        "update_item",
        made.table,
        Key=KEY,
        UpdateExpression="SET n = :x REMOVE deep ADD seen :one",
        ExpressionAttributeValues={":x": {"S": "text"}, ":one": {"N": "1"}},
    ),
    trip("dynamodb", "delete_item", made.table, Key=KEY, place="dev"),
    trip("dynamodb", "update_table", made.table, DeletionProtectionEnabled=True),
    trip("dynamodb", "delete_table", made.table),
    trip("dynamodb", "create_table", made.nothing, "TableName", place="dev", **SCHEMA),
    trip("s3", "put_object", made.filled, Key=made.AWKWARD, Body=b"new"),
    trip("s3", "put_object", made.versioned, Key=made.AWKWARD, Body=b"new", place="dev"),
    trip("s3", "put_object", made.bucket, Key=made.AWKWARD, Body=b"new", place="dev"),
    trip("s3", "delete_object", made.filled, Key=made.AWKWARD),
    trip("s3", "delete_objects", made.filled, Delete=BOTH),
    trip("s3", "delete_objects", made.versioned, Delete=BOTH, place="dev"),
    trip("s3", "delete_bucket", made.bucket),
    trip(
        "s3",
        "put_bucket_versioning",
        made.versioned,
        VersioningConfiguration={"Status": "Suspended"},
    ),
    trip("s3", "put_bucket_lifecycle_configuration", made.filled, LifecycleConfiguration=EXPIRING),
    trip("s3", "put_object_tagging", made.filled, Key="two", Tagging=TAGS, place="dev"),
    trip("iam", "create_role", made.nothing, "RoleName", AssumeRolePolicyDocument=OPEN_TRUST),
    trip("iam", "delete_role_policy", made.role, PolicyName="own"),
    trip("iam", "update_assume_role_policy", made.role, PolicyDocument=OPEN_TRUST),
    trip("iam", "put_role_policy", made.role, PolicyName="own", PolicyDocument=MORE_RIGHTS),
    trip("iam", "detach_role_policy", made.attached),
    trip(
        "sqs",
        "set_queue_attributes",
        made.queue,
        Attributes={"VisibilityTimeout": "5", "DelaySeconds": "9"},
    ),
    trip("sqs", "create_queue", made.nothing, "QueueName", place="dev"),
    trip("sqs", "delete_queue", made.queue),
    trip(
        "rds",
        "modify_db_instance",
        made.database,
        DBInstanceClass="db.m5.large",
        ApplyImmediately=True,
    ),
    trip("rds", "delete_db_instance", made.database, SkipFinalSnapshot=True, place="dev"),
    trip(
        "cloudformation",
        "update_termination_protection",
        made.stack,
        EnableTerminationProtection=True,
    ),
    trip("cloudformation", "execute_change_set", made.change_set),
    trip("cloudformation", "delete_stack", made.stack, place="dev-signed"),
)


def act(gate: Gate, agent: Agent, one: Trip, name: str) -> Callable[[], Any]:
    """The call, not made yet."""
    given = {**one.setup(gate, name), **one.given}
    if one.named:
        given[one.named] = name
    method = getattr(agent.client(one.service), one.method)
    return lambda: method(**given)


def passed(agent: Agent, call: Callable[[], Any], place: str) -> None:
    """Development passes at once (`dev-signed` loses a queue's messages, which takes a person
    there too); production passes once it is signed."""
    if place == "dev":
        call()
    else:
        agent.signed(call)


def taken_back(gate: Gate, action: str) -> dict[str, Any]:
    """The undo by `ana`; where it is not wholly understood, after `bo` and `cy` signed it."""
    undone: dict[str, Any] = gate.guard.undo("ana", action=action)
    if undone["state"] == "held":
        assert gate.sign(undone["ticket"], *SIGNERS[: gate.quorum(undone["ticket"])]) == "approved"
        undone = gate.guard.undo("ana", action=action)
    return undone


@pytest.mark.parametrize("one", TRIPS, ids=lambda t: t.id)
def test_what_an_agent_did_is_taken_back(gate: Gate, one: Trip) -> None:
    agent, name = gate.agent(), fresh(one.place)
    call = act(gate, agent, one, name)
    before = made.look(gate, name)
    passed(agent, call, one.place)
    if one.method != "delete_queue":  # moto's bin keeps a queue's name in view for a while.
        assert made.look(gate, name) != before, "the call left no trace"
    undone = taken_back(gate, agent.last_change())
    assert undone["state"] == "done", undone
    assert [u["differences"] for u in undone["undone"]] == [[]]
    assert made.look(gate, name) == before


def test_a_whole_run_is_taken_back_newest_first(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=3)
    made.filled(gate, name)
    made.queue(gate, name)
    before = made.look(gate, name)
    dynamo, s3, sqs = (agent.client(s) for s in ("dynamodb", "s3", "sqs"))
    for text in ("once", "twice", "thrice"):
        dynamo.put_item(TableName=name, Item={"pk": {"S": "k1"}, "v": {"S": text}})
    s3.delete_object(Bucket=name, Key=made.AWKWARD)
    dynamo.delete_item(TableName=name, Key={"pk": {"S": "k1"}})
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "9"})
    s3.put_object(Bucket=name, Key=made.AWKWARD, Body=b"newer")
    undone = gate.guard.undo("ana", run=agent.run)
    assert undone["state"] == "done", undone
    assert len(undone["undone"]) == 7  # type: ignore[arg-type]
    assert made.look(gate, name) == before


def test_an_undo_can_be_undone(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=3)
    item = {"pk": {"S": "k1"}, "v": {"S": "new"}}
    agent.signed(lambda: agent.client("dynamodb").put_item(TableName=name, Item=item))
    after = made.look(gate, name)
    first: dict[str, Any] = gate.guard.undo("ana", action=agent.last_change())
    assert made.look(gate, name) != after
    rows: Any = gate.guard.control.log(0, 10_000)["receipts"]
    back = [r["action_id"] for r in rows if r["mark"] == "started"][-1]
    assert first["undone"][0]["takes_back"] == "dynamodb:PutItem"
    assert taken_back(gate, back)["state"] == "done"
    assert made.look(gate, name) == after


Writer = Callable[[Gate, str], Any]

CONFLICTS: tuple[tuple[Trip, Writer], ...] = (
    (
        trip("dynamodb", "put_item", made.table, Item={"pk": {"S": "k1"}, "v": {"S": "agent"}}),
        lambda gate, name: gate.owner("dynamodb").put_item(
            TableName=name, Item={"pk": {"S": "k1"}, "v": {"S": "somebody else"}}
        ),
    ),
    (
        trip("s3", "put_object", made.filled, Key=made.AWKWARD, Body=b"agent"),
        lambda gate, name: gate.owner("s3").put_object(
            Bucket=name, Key=made.AWKWARD, Body=b"somebody else"
        ),
    ),
    (
        trip("iam", "update_assume_role_policy", made.role, PolicyDocument=OPEN_TRUST),
        lambda gate, name: gate.owner("iam").update_assume_role_policy(
            RoleName=name, PolicyDocument=OPEN_TRUST.replace("lambda", "ecs")
        ),
    ),
    (
        trip("sqs", "set_queue_attributes", made.queue, Attributes={"VisibilityTimeout": "5"}),
        lambda gate, name: gate.owner("sqs").set_queue_attributes(
            QueueUrl=gate.owner("sqs").get_queue_url(QueueName=name)["QueueUrl"],
            Attributes={"VisibilityTimeout": "77"},
        ),
    ),
    (
        trip(
            "rds",
            "modify_db_instance",
            made.database,
            DBInstanceClass="db.m5.large",
            ApplyImmediately=True,
        ),
        lambda gate, name: gate.owner("rds").modify_db_instance(
            DBInstanceIdentifier=name, DBInstanceClass="db.m5.xlarge", ApplyImmediately=True
        ),
    ),
    (
        trip("cloudformation", "execute_change_set", made.change_set),
        lambda gate, name: gate.owner("cloudformation").update_stack(
            StackName=name,
            TemplateBody=made.template(name, timeout=99),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        ),
    ),
)


@pytest.mark.parametrize(("one", "writer"), CONFLICTS, ids=lambda v: getattr(v, "id", ""))
def test_what_somebody_else_wrote_since_is_overwritten_only_when_two_people_say_so(
    gate: Gate, one: Trip, writer: Writer
) -> None:
    agent, name = gate.agent(), fresh(one.place)
    call = act(gate, agent, one, name)
    before = made.look(gate, name)
    agent.signed(call)
    action = agent.last_change()
    writer(gate, name)
    theirs = made.look(gate, name)

    plan: Any = gate.guard.control.undo_plan(action, "", 0)
    assert plan["conflicts"], "the list of what was changed since is shown"
    assert all(line.startswith(f"{one.service}:") for line in plan["conflicts"])
    asked: dict[str, Any] = gate.guard.undo("ana", action=action)
    assert asked["state"] == "held"
    assert made.look(gate, name) == theirs
    assert gate.quorum(asked["ticket"]) == 2

    gate.sign(asked["ticket"], "bo")
    assert gate.guard.undo("ana", action=action)["state"] == "held"
    assert made.look(gate, name) == theirs

    assert gate.sign(asked["ticket"], "cy") == "approved"
    undone: dict[str, Any] = gate.guard.undo("ana", action=action)
    assert undone["state"] == "done", undone
    assert made.look(gate, name) == before


def test_an_undo_the_world_moved_away_from_between_looking_and_signing_is_refused(
    gate: Gate,
) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=3)
    write = {"TableName": name, "Item": {"pk": {"S": "k1"}, "v": {"S": "agent"}}}
    agent.client("dynamodb").put_item(**write)
    action = agent.last_change()
    plan = gate.guard.control.undo_plan(action, "", 0)
    gate.owner("dynamodb").put_item(TableName=name, Item={"pk": {"S": "k1"}})
    theirs = made.look(gate, name)
    members = {"action": action, "run": "", "since_ms": 0, "plan": plan["digest"]}
    with pytest.raises(Answered, match="no longer what was shown"):
        gate.guard.act(Act.UNDO, "ana", **members)
    assert made.look(gate, name) == theirs
