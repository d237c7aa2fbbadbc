"""boto3, unmodified, through the gate: what passes, what is held once, what is denied."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from real import gate_setups as made
from real.gate_world import ACCOUNT, REAL_KEY, Agent, Gate, fresh, ticket_in
from signoff.faces.backend import Act
from signoff.faces.client import Answered

pytestmark = pytest.mark.real

SEVERAL_MB = 9 << 20

READS: tuple[tuple[str, str, Callable[[Gate, str], dict[str, Any]]], ...] = (
    ("cloudformation", "describe_stacks", made.stack),
    ("cloudformation", "get_template", made.stack),
    ("s3", "list_objects_v2", made.filled),
    ("s3", "get_bucket_location", made.bucket),
    ("dynamodb", "describe_table", made.table),
    ("dynamodb", "scan", made.table),
    ("rds", "describe_db_instances", made.database),
    ("iam", "get_role", made.role),
    ("sqs", "list_queue_tags", made.queue),
    ("sts", "get_caller_identity", made.nothing),
)


@pytest.mark.parametrize(("service", "method", "setup"), READS, ids=lambda v: str(v)[:24])
def test_a_read_passes_and_says_what_the_target_says(
    gate: Gate, service: str, method: str, setup: Callable[[Gate, str], dict[str, Any]]
) -> None:
    agent, given = gate.agent(), setup(gate, fresh("shop"))
    at = gate.at()
    told = getattr(agent.client(service), method)(**given)
    assert len(gate.sent(at)) == 1, "one read is one request"
    owned = getattr(gate.owner(service), method)(**given)
    assert made.plain(told) == made.plain(owned)
    assert [r["mark"] for r in gate.receipts(agent.run, at)] == ["read"]


def test_everything_that_leaves_is_signed_by_the_owners_key_and_nothing_by_the_run_key(
    gate: Gate,
) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.table(gate, name, items=2)
    at = gate.at()
    agent.client("dynamodb").scan(TableName=name)
    agent.client("dynamodb").delete_item(TableName=name, Key={"pk": {"S": "k0"}})
    sent = gate.upstream.seen[at[0] :]
    assert {s.key_id for s in sent} == {REAL_KEY}
    assert agent.issued["secret"] not in str(sent)
    assert agent.issued["key_id"] not in str(sent)


def test_pages_are_asked_one_after_another_to_the_end(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=23)
    made.filled(gate, name)
    for number in range(5):
        gate.owner("s3").put_object(Bucket=name, Key=f"page {number}/ü", Body=b"x")
    rows = agent.client("dynamodb").get_paginator("scan").paginate(
        TableName=name, PaginationConfig={"PageSize": 5}
    )  # fmt: skip
    assert [len(page["Items"]) for page in rows] == [5, 5, 5, 5, 3]
    keys = agent.client("s3").get_paginator("list_objects_v2").paginate(
        Bucket=name, PaginationConfig={"PageSize": 2}
    )  # fmt: skip
    found = [row["Key"] for page in keys for row in page["Contents"]]
    assert found == sorted([made.AWKWARD, "two", *(f"page {n}/ü" for n in range(5))])


def test_pages_of_the_query_protocol_are_asked_to_the_end(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    for number in range(5):
        made.role(gate, f"{name}-{number}")
    pages = agent.client("iam").get_paginator("list_roles").paginate(
        PaginationConfig={"PageSize": 3}
    )  # fmt: skip
    found = [role["RoleName"] for page in pages for role in page["Roles"]]
    assert {f"{name}-{n}" for n in range(5)} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("service", "waiter", "setup"),
    [
        ("dynamodb", "table_exists", made.table),
        ("s3", "bucket_exists", made.bucket),
        ("rds", "db_instance_available", made.database),
        ("iam", "role_exists", made.role),
        ("cloudformation", "stack_create_complete", made.stack),
    ],
)
def test_a_waiter_waits_through_the_gate(
    gate: Gate, service: str, waiter: str, setup: Callable[[Gate, str], dict[str, Any]]
) -> None:
    agent, given = gate.agent(), setup(gate, fresh("shop"))
    agent.client(service).get_waiter(waiter).wait(**given, WaiterConfig={"MaxAttempts": 1})


def test_a_waiter_sees_that_something_is_gone(gate: Gate) -> None:
    agent, once = gate.agent(), {"MaxAttempts": 1}
    nowhere = fresh("shop")
    agent.client("s3").get_waiter("bucket_not_exists").wait(Bucket=nowhere, WaiterConfig=once)
    agent.client("dynamodb").get_waiter("table_not_exists").wait(
        TableName=nowhere, WaiterConfig=once
    )


@pytest.mark.parametrize(
    "key", [made.AWKWARD, "plus+and space", "日本/ключ", "%2F%25", "a//b", "dots..", "?q=1"]
)
def test_an_object_keeps_its_name_and_its_bytes(gate: Gate, key: str) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.bucket(gate, name)
    s3, content = agent.client("s3"), bytes(range(256)) * 3
    s3.put_object(Bucket=name, Key=key, Body=content, Metadata={"by": "agent"})
    assert [r["Key"] for r in gate.owner("s3").list_objects_v2(Bucket=name)["Contents"]] == [key]
    assert gate.owner("s3").get_object(Bucket=name, Key=key)["Body"].read() == content
    got = s3.get_object(Bucket=name, Key=key)
    assert (got["Body"].read(), got["Metadata"]) == (content, {"by": "agent"})
    head = s3.head_object(Bucket=name, Key=key)
    assert head["ContentLength"] == len(content)


def test_a_large_object_is_uploaded_in_parts(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.bucket(gate, name)
    content = b"0123456789abcdef" * (SEVERAL_MB // 16)
    at = gate.at()
    agent.client("s3").upload_fileobj(io.BytesIO(content), name, made.AWKWARD)
    assert gate.owner("s3").get_object(Bucket=name, Key=made.AWKWARD)["Body"].read() == content
    parts = [s for s in gate.upstream.seen[at[0] :] if "partNumber=" in s.path]
    assert len(parts) == 2
    marks = gate.marks(agent.run, at)
    assert marks[-1] == "succeeded s3:CompleteMultipartUpload"
    back = io.BytesIO()
    agent.client("s3").download_fileobj(name, made.AWKWARD, back)
    assert back.getvalue() == content


def test_a_large_upload_to_production_waits_for_people_before_its_first_byte(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.bucket(gate, name)
    at = gate.at()
    with pytest.raises(ClientError, match="ticket") as caught:
        agent.client("s3").create_multipart_upload(Bucket=name, Key="k")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert not any(s.method == "POST" for s in gate.upstream.seen[at[0] :])


DENIED: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("rds", "delete_db_snapshot", {"DBSnapshotIdentifier": "s"}, "AccessDenied"),
    (
        "dynamodb",
        "delete_backup",
        {"BackupArn": f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/x/backup/01489602797-73d8d5bc"},
        "AccessDeniedException",
    ),
    ("cloudtrail", "stop_logging", {"Name": "t"}, "AccessDeniedException"),
    ("kms", "disable_key", {"KeyId": str(uuid.UUID(int=1))}, "AccessDeniedException"),
    ("ec2", "delete_snapshot", {"SnapshotId": "snap-12345678"}, "UnauthorizedOperation"),
    ("backup", "delete_backup_vault", {"BackupVaultName": "vault"}, "AccessDeniedException"),
)  # fmt: skip


@pytest.mark.parametrize(("service", "method", "given", "code"), DENIED, ids=lambda v: str(v)[:20])
def test_a_denied_call_is_the_services_own_error_and_is_not_tried_again(
    gate: Gate, service: str, method: str, given: dict[str, Any], code: str
) -> None:
    agent, at = gate.agent(), gate.at()
    error = agent.refused(lambda: getattr(agent.client(service), method)(**given))
    assert error.response["Error"]["Code"] == code
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "boundary-" in str(error)
    assert "next: " in str(error)
    rows = gate.receipts(agent.run, at)
    assert [r["mark"] for r in rows] == ["decided"], "it was asked once"
    assert rows[0]["decision"]["ruling"] == "deny"
    assert not any(s.lower().startswith(("delete", "stop", "disable")) for s in gate.sent(at))


def test_a_denied_head_request_says_why_in_a_header(gate: Gate) -> None:
    agent, other = gate.agent(), gate.agent()
    other.client("s3").list_buckets()
    gate.guard.control.halt("", agent.run)
    error = agent.refused(lambda: agent.client("s3").head_bucket(Bucket="anything"))
    said = error.response["ResponseMetadata"]["HTTPHeaders"]
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "halted" in said["x-signoff-message"]
    other.client("s3").list_buckets()


def test_a_halt_is_never_refused_and_says_when_nobody_has_the_name(gate: Gate) -> None:
    agent, control = gate.agent(), gate.guard.control
    assert control.halt("", agent.run)["known"] is True
    assert control.halt("", "R-typo") == {
        "state": "halted",
        "switch": "halt/run/R-typo",
        "known": False,
    }
    assert control.halt("nobody-at-all", "")["known"] is False


def test_a_boundary_is_not_lowered_where_there_is_no_such_environment(gate: Gate) -> None:
    given = {"boundary": "boundary-container", "environment": "mars", "ttl_ms": 60_000}
    with pytest.raises(Answered, match="no environment `mars`"):
        gate.guard.act(Act.LOWER, "ana", **given)


def add_one(agent: Agent, name: str) -> Any:
    """Adds one to a number: done twice, it shows."""
    return agent.client("dynamodb").update_item(
        TableName=name,
        Key={"pk": {"S": "k1"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def add_in_transaction(agent: Agent, name: str) -> Any:
    """The same under a token that botocore makes anew each time (ClientRequestToken)."""
    update = {
        "TableName": name,
        "Key": {"pk": {"S": "k1"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    return agent.client("dynamodb").transact_write_items(TransactItems=[{"Update": update}])


@pytest.mark.parametrize("call", [add_one, add_in_transaction])
def test_a_held_call_answers_at_once_and_succeeds_exactly_once_when_it_is_signed(
    gate: Gate, call: Callable[[Agent, str], Any]
) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=3)
    at = gate.at()

    def number() -> str:
        key = {"pk": {"S": "k1"}}
        return str(gate.owner("dynamodb").get_item(TableName=name, Key=key)["Item"]["n"]["N"])

    ticket = agent.held(lambda: call(agent, name))
    assert agent.held(lambda: call(agent, name)) == ticket, "equal requests join one hold"
    assert [h["ticket"] for h in gate.guard.control.holds() if h["run"] == agent.run] == [ticket]
    assert number() == "1"
    assert gate.sign(ticket, "ana") == "approved"
    call(agent, name)
    assert number() == "2"
    again = agent.held(lambda: call(agent, name))
    assert again != ticket, "a used approval is no approval"
    assert number() == "2"
    changes = [s for s in gate.sent(at) if s in ("UpdateItem", "TransactWriteItems")]
    assert len(changes) == 1
    marks = [r["mark"] for r in gate.receipts(agent.run, at)]
    assert marks.count("started") == marks.count("succeeded") == 1


def test_an_approved_call_that_eight_make_at_once_runs_once(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=3)
    ticket = agent.held(lambda: add_one(agent, name))
    assert gate.sign(ticket, "ana") == "approved"
    at = gate.at()

    def outcome(_: int) -> str:
        try:
            add_one(agent, name)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "done"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(outcome, range(8)))
    assert outcomes == ["AccessDeniedException"] * 7 + ["done"]
    assert gate.sent(at).count("UpdateItem") == 1
    found = gate.owner("dynamodb").get_item(TableName=name, Key={"pk": {"S": "k1"}})["Item"]
    assert found["n"] == {"N": "2"}


def test_equal_calls_of_eight_at_once_join_one_hold(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=3)
    agent.client("dynamodb")
    with ThreadPoolExecutor(8) as pool:
        tickets = set(pool.map(lambda _: agent.held(lambda: add_one(agent, name)), range(8)))
    assert len(tickets) == 1
    opened = [r for r in gate.receipts(agent.run) if r["mark"] == "held"]
    assert len(opened) == 1


def test_a_run_has_five_holds_open_and_no_sixth(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=7)

    def delete(number: int) -> Any:
        key = {"pk": {"S": f"k{number}"}}
        return agent.client("dynamodb").delete_item(TableName=name, Key=key)

    tickets = {agent.held(lambda n=number: delete(n)) for number in range(5)}
    assert len(tickets) == 5
    assert "5 open holds" in str(agent.refused(lambda: delete(5)))
    assert agent.held(lambda: delete(0)) in tickets, "a known question is answered still"


def test_a_held_stack_update_with_a_fresh_token_runs_once_after_its_sign_offs(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.stack(gate, name)
    at = gate.at()

    def update() -> Any:
        return agent.client("cloudformation").create_change_set(
            StackName=name,
            ChangeSetName="fix",
            ChangeSetType="UPDATE",
            TemplateBody=made.template(name, timeout=60),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            ClientToken=str(uuid.uuid4()),
        )

    def execute() -> Any:
        return agent.client("cloudformation").execute_change_set(
            StackName=name, ChangeSetName="fix", ClientRequestToken=str(uuid.uuid4())
        )

    try:
        update()
    except ClientError as error:
        ticket = ticket_in(str(error))
        gate.sign(ticket, *("ana", "bo")[: gate.quorum(ticket)])
        update()
    ticket = agent.held(execute)
    assert agent.held(execute) == ticket, "a fresh token is not another action"
    gate.sign(ticket, *("ana", "bo")[: gate.quorum(ticket)])
    execute()
    assert made.look(gate, name)["stack"]["jobs"]["attributes"]["VisibilityTimeout"] == "60"
    with pytest.raises(ClientError):
        execute()
    assert gate.sent(at).count("ExecuteChangeSet") == 1


def test_a_database_change_with_a_fresh_final_name_needs_its_own_sign_offs(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    given = made.database(gate, name)
    agent.signed(
        lambda: agent.client("rds").modify_db_instance(
            **given, DBInstanceClass="db.m5.large", ApplyImmediately=True
        )
    )
    seen = gate.owner("rds").describe_db_instances(**given)["DBInstances"][0]
    assert seen["DBInstanceClass"] == "db.m5.large"
    other = agent.held(
        lambda: agent.client("rds").modify_db_instance(
            **given, DBInstanceClass="db.m5.xlarge", ApplyImmediately=True
        )
    )
    assert gate.guard.control.show(other)["signed"] == []


def test_the_agent_sees_its_own_ticket_and_nobody_elses(gate: Gate) -> None:
    agent, other, name = gate.agent(), gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    ticket = agent.held(lambda: add_one(agent, name))
    mine = agent.get(f"/.signoff/ticket/{ticket}")
    assert mine.status == 200
    seen = json.loads(mine.body)
    assert (seen["state"], seen["quorum"], seen["signed"]) == ("open", 1, 0)
    assert ticket in json.dumps(seen)
    assert other.get(f"/.signoff/ticket/{ticket}").status == 403


@pytest.mark.parametrize("place", ["dev", "shop"])
def test_the_same_call_passes_with_an_undo_in_development_and_is_held_in_production(
    gate: Gate, place: str
) -> None:
    agent, name = gate.agent(), fresh(place)
    made.table(gate, name, items=3)
    before = made.look(gate, name)
    if place == "shop":
        agent.held(lambda: add_one(agent, name))
        assert made.look(gate, name) == before
        return
    add_one(agent, name)
    marks = [r["mark"] for r in gate.receipts(agent.run) if r.get("action")]
    assert marks == ["decided", "captured", "started", "succeeded"]
    assert gate.guard.undo(run=agent.run)["state"] == "done"
    assert made.look(gate, name) == before


def test_a_name_in_development_does_not_make_a_production_target_development(gate: Gate) -> None:
    agent, name, shop = gate.agent(), fresh("dev"), fresh("shop")
    made.table(gate, name, items=2)
    made.table(gate, shop, items=2)
    both = {table: [{"PutRequest": {"Item": {"pk": {"S": "k9"}}}}] for table in (name, shop)}
    ticket = agent.held(lambda: agent.client("dynamodb").batch_write_item(RequestItems=both))
    environments = {t["environment"] for t in gate.guard.control.show(ticket)["targets"]}  # type: ignore[attr-defined]
    assert environments == {"development", "production"}
