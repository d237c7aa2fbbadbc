"""What a sign-off is not good for: another world, another call, another run, another time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from real import gate_setups as made
from real.gate_world import Agent, Gate, fresh
from signoff.config import LimitSettings, write_config
from signoff.faces.client import Answered
from signoff.model.decision import Verdict

pytestmark = pytest.mark.real


def drop(agent: Agent, name: str) -> Callable[[], Any]:
    """The call that deletes a table."""
    return lambda: agent.client("dynamodb").delete_table(TableName=name)


def approved(gate: Gate, agent: Agent, call: Callable[[], Any]) -> str:
    """The ticket of a call that is signed and not made again yet."""
    ticket = agent.held(call)
    people = ("ana", "bo")[: gate.quorum(ticket)]
    assert gate.sign(ticket, *people) == "approved"
    return ticket


def fill(gate: Gate, name: str, start: int, stop: int) -> None:
    """Items the owners add."""
    for number in range(start, stop):
        gate.owner("dynamodb").put_item(TableName=name, Item={"pk": {"S": f"k{number}"}})


def there(gate: Gate, name: str) -> bool:
    """Whether the table exists."""
    return name in gate.owner("dynamodb").list_tables()["TableNames"]


def test_an_approval_is_stale_when_more_would_be_lost_than_was_signed(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=10)
    ticket = approved(gate, agent, drop(agent, name))
    fill(gate, name, 10, 12)
    at = gate.at()
    said = str(agent.refused(drop(agent, name)))
    assert "stale" in said
    assert "12 items, at most 10 were signed" in said
    assert there(gate, name)
    assert "DeleteTable" not in gate.sent(at)
    assert gate.guard.control.show(ticket)["state"] == "stale"
    rows = gate.receipts(agent.run, at)
    assert rows[-1]["mark"] == "stale"
    assert "12 items" in str(rows[-1]["detail"]["differences"])
    assert agent.held(drop(agent, name)) != ticket, "asking again asks people again"


def test_an_approval_holds_when_less_would_be_lost(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=10)
    approved(gate, agent, drop(agent, name))
    for number in range(4):
        key = {"pk": {"S": f"k{number}"}}
        gate.owner("dynamodb").delete_item(TableName=name, Key=key)
    drop(agent, name)()
    assert not there(gate, name)


def test_an_approval_is_stale_when_the_way_back_has_gone(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.versioned(gate, name)

    def delete() -> Any:
        return agent.client("s3").delete_object(Bucket=name, Key="two")

    approved(gate, agent, delete)
    off = {"Status": "Suspended"}
    gate.owner("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration=off)
    said = str(agent.refused(delete))
    assert "stale" in said
    assert "was signed" in said
    assert gate.owner("s3").head_object(Bucket=name, Key="two")["ContentLength"] == 7


def test_an_approval_is_used_up_by_its_one_action(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    ticket = approved(gate, agent, drop(agent, name))
    drop(agent, name)()
    made.table(gate, name, items=2)
    assert agent.held(drop(agent, name)) != ticket
    assert there(gate, name)
    with pytest.raises(Answered):
        gate.sign(ticket, "cy")


@pytest.mark.parametrize(
    "wider",
    [
        {"Key": "two", "BypassGovernanceRetention": True},
        {"Key": made.AWKWARD},
        {"Key": "two-more"},
    ],
    ids=["with a bypass", "another key", "a longer name"],
)
def test_an_approval_does_not_widen(gate: Gate, wider: dict[str, Any]) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.versioned(gate, name)
    before = made.look(gate, name)
    s3 = agent.client("s3")
    ticket = approved(gate, agent, lambda: s3.delete_object(Bucket=name, Key="two"))
    assert agent.held(lambda: s3.delete_object(Bucket=name, **wider)) != ticket
    assert made.look(gate, name) == before


def test_an_approval_for_one_object_does_not_delete_two(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.versioned(gate, name)
    before = made.look(gate, name)

    def delete(*keys: str) -> Any:
        objects = [{"Key": key} for key in keys]
        return agent.client("s3").delete_objects(Bucket=name, Delete={"Objects": objects})

    ticket = approved(gate, agent, lambda: delete("two"))
    assert agent.held(lambda: delete("two", "two-more")) != ticket
    assert made.look(gate, name) == before


def test_an_approval_of_one_run_is_none_for_another(gate: Gate) -> None:
    one, other, name = gate.agent(), gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    ticket = approved(gate, one, drop(one, name))
    assert other.held(drop(other, name)) != ticket
    assert there(gate, name)
    drop(one, name)()
    assert not there(gate, name)


def signed_by(gate: Gate, ticket: str, who: str, verdict: Verdict) -> bytes:
    """A person's signature over what they are shown, not handed in yet."""
    text = gate.guard.control.challenge(ticket, who, verdict)
    return gate.guard.people[who].sign(text.encode())


def hand_in(gate: Gate, ticket: str, who: str, verdict: Verdict, signature: bytes) -> str:
    """The state of the hold after a sign-off as it is handed in."""
    key = gate.guard.people[who].key.fingerprint
    return str(gate.guard.control.submit(ticket, who, verdict, key, signature)["state"])


def test_a_rejection_presented_as_an_approval_is_refused(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    ticket = agent.held(drop(agent, name))
    no = signed_by(gate, ticket, "ana", Verdict.REJECT)
    with pytest.raises(Answered):
        hand_in(gate, ticket, "ana", Verdict.APPROVE, no)
    assert gate.guard.control.show(ticket)["signed"] == []
    assert agent.held(drop(agent, name)) == ticket
    assert hand_in(gate, ticket, "ana", Verdict.REJECT, no) == "rejected"
    assert "rejected" in str(agent.refused(drop(agent, name)))
    assert there(gate, name)


def test_an_approval_handed_in_for_another_hold_is_refused(gate: Gate) -> None:
    agent, name, other = gate.agent(), fresh("shop"), fresh("shop")
    for table in (name, other):
        made.table(gate, table, items=2)
    first, second = agent.held(drop(agent, name)), agent.held(drop(agent, other))
    yes = signed_by(gate, first, "ana", Verdict.APPROVE)
    with pytest.raises(Answered):
        hand_in(gate, second, "ana", Verdict.APPROVE, yes)
    assert hand_in(gate, first, "ana", Verdict.APPROVE, yes) == "approved"
    assert agent.held(drop(agent, other)) == second


def test_one_persons_signature_under_anothers_name_is_refused(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.role(gate, name)

    def widen() -> Any:
        document = '{"Version": "2012-10-17", "Statement": []}'
        return agent.client("iam").put_role_policy(
            RoleName=name, PolicyName="more", PolicyDocument=document
        )

    ticket = agent.held(widen)
    assert gate.quorum(ticket) == 2
    yes = signed_by(gate, ticket, "ana", Verdict.APPROVE)
    assert hand_in(gate, ticket, "ana", Verdict.APPROVE, yes) == "open"
    with pytest.raises(Answered):
        hand_in(gate, ticket, "bo", Verdict.APPROVE, yes)
    with pytest.raises(Answered):
        gate.guard.control.submit(
            ticket, "bo", Verdict.APPROVE, gate.guard.people["ana"].key.fingerprint, yes
        )
    assert gate.guard.control.show(ticket)["signed"] == ["ana"]
    assert agent.held(widen) == ticket


@pytest.mark.parametrize("who", ["olga", "mallory"])
def test_neither_the_operator_nor_a_stranger_signs(gate: Gate, who: str) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.table(gate, name, items=2)
    ticket = agent.held(drop(agent, name))
    signer = gate.guard.people["olga"]
    text = gate.guard.control.challenge(ticket, "ana", Verdict.APPROVE)
    signature = signer.sign(text.encode())
    with pytest.raises(Answered):
        gate.guard.control.submit(ticket, who, Verdict.APPROVE, signer.key.fingerprint, signature)
    assert gate.guard.control.show(ticket)["signed"] == []
    assert agent.held(drop(agent, name)) == ticket


def test_the_same_person_twice_is_one_person(gate: Gate) -> None:
    agent, name = gate.agent(), fresh("shop")
    made.role(gate, name)

    def widen() -> Any:
        return agent.client("iam").attach_role_policy(
            RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        )

    ticket = agent.held(widen)
    assert gate.sign(ticket, "ana") == "open"
    yes = signed_by(gate, ticket, "ana", Verdict.APPROVE)
    with suppress(Answered):
        hand_in(gate, ticket, "ana", Verdict.APPROVE, yes)
    assert gate.guard.control.show(ticket)["signed"] == ["ana"]
    assert agent.held(widen) == ticket


def later(moving: Gate, seconds: int) -> None:
    """So much time passes for the daemon."""
    clock = moving.guard.folder.parent / "clock"
    clock.write_text(str(int(clock.read_text()) + seconds))


@pytest.mark.parametrize("signed_first", [True, False])
def test_an_approval_expires(moving: Gate, signed_first: bool) -> None:
    agent, name = moving.agent(), fresh("shop")
    made.table(moving, name, items=2)
    ticket = agent.held(drop(agent, name))
    yes = signed_by(moving, ticket, "ana", Verdict.APPROVE)
    if signed_first:
        assert hand_in(moving, ticket, "ana", Verdict.APPROVE, yes) == "approved"
    later(moving, 61)
    if not signed_first:
        with pytest.raises(Answered, match="expired"):
            hand_in(moving, ticket, "ana", Verdict.APPROVE, yes)
    again = agent.held(drop(agent, name))
    assert again != ticket
    assert there(moving, name)
    assert moving.guard.control.show(ticket)["state"] == "expired"
    with pytest.raises(Answered):
        hand_in(moving, again, "ana", Verdict.APPROVE, yes)


def test_an_approval_under_another_policy_is_stale_once_that_is_sealed(
    moving: Gate,
) -> None:
    agent, name = moving.agent(), fresh("shop")
    made.table(moving, name, items=2)
    ticket = approved(moving, agent, drop(agent, name))
    guard = moving.guard
    guard.config = replace(guard.config, limits=LimitSettings(changes_per_minute=30))
    assert guard.config.path is not None
    write_config(guard.config, guard.config.path)
    guard.apply()
    agent.forget()
    said = str(agent.refused(drop(agent, name)))
    assert "stale" in said
    assert "policy bundle" in said
    assert there(moving, name)
    assert moving.guard.control.show(ticket)["state"] == "stale"
