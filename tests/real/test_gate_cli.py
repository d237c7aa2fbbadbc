"""The AWS CLI, unmodified, with nothing but the shell variables of a run key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from real import gate_setups as made
from real.gate_world import ACCOUNT, REAL_KEY, Gate, fresh, ticket_in

pytestmark = pytest.mark.real

FAILED = 255
"""What version 1 of the CLI ends with when the service answered with an error."""
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app/worker"


def test_the_cli_reads_every_service_in_depth(gate: Gate, tmp_path: Path) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.stack(gate, name)
    made.database(gate, name)
    url = agent.issued["endpoint"]
    words = {
        "StackName": f"cloudformation describe-stacks --stack-name {name}",
        f"{name}-table": f"dynamodb describe-table --table-name {name}-table",
        f"{name}-worker": f"iam get-role --role-name {name}-worker",
        # The CLI's first version has old host names of SQS built in, and prefers them to the
        # shell variable; its option leads.
        f"{name}-jobs": f"sqs get-queue-url --queue-name {name}-jobs --endpoint-url {url}",
        "db.t3.micro": f"rds describe-db-instances --db-instance-identifier {name}",
        ACCOUNT: "sts get-caller-identity",
        "f4": f"s3 ls s3://{name}-files",
    }
    for expected, line in words.items():
        done = agent.cli(*line.split(), folder=tmp_path)
        assert (done.returncode, expected in done.stdout) == (0, True), (line, done.stderr)
    assert {r["mark"] for r in gate.receipts(agent.run) if r.get("action")} == {"read"}


def test_the_cli_pages_through_a_table(gate: Gate, tmp_path: Path) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=12)
    at = gate.at()
    done = agent.cli("dynamodb", "scan", "--table-name", name, "--page-size", "5", folder=tmp_path)
    assert len(json.loads(done.stdout)["Items"]) == 12
    assert gate.sent(at) == ["Scan"] * 3


def test_the_cli_waits(gate: Gate, tmp_path: Path) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=1)
    done = agent.cli("dynamodb", "wait", "table-exists", "--table-name", name, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_cli_copies_a_large_file_with_an_awkward_name_there_and_back(
    gate: Gate, tmp_path: Path
) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.bucket(gate, name)
    content = bytes(range(256)) * (9 << 12)
    (tmp_path / "out").write_bytes(content)
    place = f"s3://{name}/{made.AWKWARD}"
    done = agent.cli("s3", "cp", "out", place, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert gate.owner("s3").get_object(Bucket=name, Key=made.AWKWARD)["Body"].read() == content
    done = agent.cli("s3", "cp", place, "back", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == content


def test_a_denied_command_shows_the_reason_and_fails_without_trying_again(
    gate: Gate, tmp_path: Path
) -> None:
    agent, at = gate.agent(), gate.at()
    line = "rds delete-db-snapshot --db-snapshot-identifier nightly"
    done = agent.cli(*line.split(), folder=tmp_path)
    assert done.returncode == FAILED
    assert "An error occurred (AccessDenied) when calling the DeleteDBSnapshot" in done.stderr
    assert "boundary-recovery" in done.stderr
    assert done.stdout == ""
    assert gate.marks(agent.run, at) == ["decided rds:DeleteDBSnapshot"]
    assert "DeleteDBSnapshot" not in gate.sent(at)


def test_a_held_command_names_its_ticket_and_runs_once_after_two_sign_offs(
    gate: Gate, tmp_path: Path
) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.role(gate, name)
    words = ["iam", "update-assume-role-policy", "--role-name", name]
    words += ["--policy-document", json.dumps(made.TRUST).replace("ec2", "lambda")]
    at = gate.at()
    done = agent.cli(*words, folder=tmp_path)
    assert done.returncode == FAILED
    ticket = ticket_in(done.stderr)
    assert gate.marks(agent.run, at) == ["decided " + A_ROLE, "held " + A_ROLE]
    assert gate.quorum(ticket) == 2
    assert gate.sign(ticket, "ana") == "open"
    assert ticket_in(agent.cli(*words, folder=tmp_path).stderr) == ticket
    assert gate.sign(ticket, "bo") == "approved"
    done = agent.cli(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    role = gate.owner("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert "lambda" in json.dumps(role)
    again = agent.cli(*words, folder=tmp_path)
    assert ticket_in(again.stderr) != ticket
    assert gate.sent(at).count("UpdateAssumeRolePolicy") == 1


A_ROLE = "iam:UpdateAssumeRolePolicy"


def test_assuming_a_role_gives_a_run_key_that_works_here_and_is_no_real_credential(
    gate: Gate, tmp_path: Path
) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=1)
    at = gate.at()
    line = f"sts assume-role --role-arn {ROLE} --role-session-name night-shift"
    done = agent.cli(*line.split(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    expected = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/night-shift"
    assert answer["AssumedRoleUser"]["Arn"] == expected
    assert gate.sent(at) == [], "AWS was never asked for a credential"
    found = answer["Credentials"]
    assert found["AccessKeyId"] not in (REAL_KEY, agent.issued["key_id"])
    child = gate.holding(agent, found)
    assert name in child.client("dynamodb").list_tables()["TableNames"]
    key = {"pk": {"S": "k0"}}
    held = child.held(lambda: child.client("dynamodb").delete_item(TableName=name, Key=key))
    assert gate.guard.control.show(held)["run"] == agent.run, "it is still the same run"
    assert {s.key_id for s in gate.upstream.seen[at[0] :]} == {REAL_KEY}


def test_a_session_token_is_a_run_key_too_and_dies_with_its_run(gate: Gate, tmp_path: Path) -> None:
    agent, at = gate.agent(), gate.at()
    done = agent.cli("sts", "get-session-token", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    child = gate.holding(agent, json.loads(done.stdout)["Credentials"])
    child.client("sts").get_caller_identity()
    assert gate.sent(at) == ["GetCallerIdentity"]
    gate.guard.control.halt("", agent.run)
    assert "halted" in str(child.refused(child.client("sts").get_caller_identity))
    minted = [r for r in gate.receipts(agent.run, at) if r["mark"] == "control"]
    assert [(r["detail"]["act"], r["detail"]["parent"]) for r in minted] == [
        ("mint", agent.issued["key_id"])
    ]


def test_a_federation_token_names_who_asked(gate: Gate) -> None:
    answer = gate.agent().client("sts").get_federation_token(Name="joe")
    assert answer["FederatedUser"]["Arn"].endswith(":federated-user/joe")


def test_the_ledger_holds_no_secret_of_a_minted_key(gate: Gate, tmp_path: Path) -> None:
    agent = gate.agent()
    found = agent.client("sts").get_session_token()["Credentials"]
    rows = json.dumps(gate.receipts(agent.run))
    assert found["AccessKeyId"] in rows
    assert found["SecretAccessKey"] not in rows
    assert found["SessionToken"] not in rows
    assert agent.issued["secret"] not in rows


ISSUING = (
    "iam create-access-key --user-name worker",
    "ecr get-authorization-token",
    "redshift get-cluster-credentials --db-user u --cluster-identifier c",
    "secretsmanager get-secret-value --secret-id s",
    "ssm start-session --target i-1234567890abcdef0",
)


@pytest.mark.parametrize("line", ISSUING, ids=lambda v: v.split(" --")[0])
def test_a_command_that_issues_a_credential_gives_the_agent_nothing(
    gate: Gate, tmp_path: Path, line: str
) -> None:
    agent, at = gate.agent(), gate.at()
    done = agent.cli(*line.split(), folder=tmp_path)
    assert done.returncode == FAILED, done.stdout
    assert done.stdout == ""
    assert "boundary-credentials" in done.stderr
    assert gate.sent(at) == []


ISSUING_CALLS = (
    (
        "sts",
        "assume_role_with_saml",
        {"RoleArn": ROLE, "PrincipalArn": ROLE, "SAMLAssertion": "YQ=="},
    ),
    (
        "sts",
        "assume_role_with_web_identity",
        {"RoleArn": ROLE, "RoleSessionName": "night", "WebIdentityToken": "x" * 20},
    ),
    ("cognito-identity", "get_credentials_for_identity", {"IdentityId": "eu-west-1:x"}),
    ("ec2", "get_password_data", {"InstanceId": "i-1234567890abcdef0"}),
    ("codeartifact", "get_authorization_token", {"domain": "house"}),
    ("redshift", "get_cluster_credentials_with_iam", {"ClusterIdentifier": "c"}),
    ("lakeformation", "get_temporary_glue_table_credentials", {"TableArn": "arn:aws:glue:::table"}),
    ("kms", "decrypt", {"CiphertextBlob": b"x"}),
    ("emr", "get_cluster_session_credentials", {"ClusterId": "j-1", "ExecutionRoleArn": ROLE}),
)


@pytest.mark.parametrize(("service", "method", "given"), ISSUING_CALLS, ids=lambda v: str(v)[:30])
def test_a_call_that_issues_a_credential_is_denied_and_never_sent(
    gate: Gate, service: str, method: str, given: dict[str, object]
) -> None:
    agent, at = gate.agent(), gate.at()
    error = agent.refused(lambda: getattr(agent.client(service), method)(**given))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert gate.sent(at) == []


def test_a_presigned_address_is_refused_at_the_gate(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("dev")
    made.filled(gate, name)
    url = agent.client("s3").generate_presigned_url("get_object", {"Bucket": name, "Key": "two"})
    path = "/" + url.split("/", 3)[3]
    at = gate.at()
    answer = agent.raw("GET", path)
    assert answer.status == 403
    assert b"presigned" in answer.body
    assert gate.sent(at) == []
