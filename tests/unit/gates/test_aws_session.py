"""Which session signs a run's call, how long it is kept, and what ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.server import ThreadedMotoServer
from moto.sts.models import sts_backends

from signoff.gates.aws_credentials import EnvironmentSource, Lent
from signoff.gates.aws_session import Openness, RunSessions, StsLender
from signoff.gates.sigv4 import Credentials
from signoff.model.action import Principal
from signoff.model.errors import ExecutionFailed, Refused
from signoff.model.grant import Grant
from signoff.testing import FakeClock, MemoryStore

WHO = Principal("builder", "R-1", "olga")
ACCOUNT = "123456789012"
HOUR = 3_600_000


def permits(text: str, action: str) -> bool:
    return IAMPolicy(text).is_action_permitted(action) is PermissionResult.PERMITTED


class FakeLender:
    """Lends numbered credentials for an hour of the clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str, int]] = []

    def assume(self, session: str, policy: str, seconds: int) -> Lent:
        self.asked.append((session, policy, seconds))
        number = len(self.asked)
        return Lent(Credentials(f"ASIA{number}", "s", "t"), self.clock.now_ms() + HOUR)


class Stand:
    """Sessions over a store in memory."""

    def __init__(self, openness: Openness | None = None, configured: str = "") -> None:
        self.clock, self.store = FakeClock(), MemoryStore()
        self.lender = FakeLender(self.clock)
        self.sessions = RunSessions(
            self.lender,
            self.store,
            self.clock,
            openness=openness or Openness(),
            configured=configured,
            now_ms=self.clock.now_ms,
        )

    def grant(self, name: str = "G-1", verbs: tuple[str, ...] = ("update",), **how: object) -> None:
        now = self.clock.now_ms()
        made = Grant(name, WHO.run, "production", frozenset(verbs), 3, 0, now, now + HOUR)
        members = {"agent": WHO.agent, "operator": WHO.operator, **how}
        self.store.grant_rows[name] = replace(made, **members)  # type: ignore[arg-type] # by name

    async def key(self, name: str = "s3:PutObject", *, reads: bool = False) -> str:
        name = "s3:GetObject" if reads and name == "s3:PutObject" else name
        return (await self.sessions.credentials(WHO, name, reads)).access_key


async def test_a_changing_call_without_a_grant_gets_no_session() -> None:
    stand = Stand()
    with pytest.raises(Refused, match="no grant"):
        await stand.key()
    assert stand.lender.asked == []


async def test_a_reading_call_gets_a_session_that_only_reads() -> None:
    stand = Stand()
    assert await stand.key(reads=True) == "ASIA1"
    ((session, policy, _),) = stand.lender.asked
    assert session == "signoff-R-1"
    assert permits(policy, "s3:GetObject")
    assert not permits(policy, "s3:PutObject")


async def test_what_the_story_took_for_a_read_has_a_session_that_lets_it_through() -> None:
    stand = Stand()
    await stand.key("cloudformation:CreateChangeSet", reads=True)
    policy = stand.lender.asked[0][1]
    assert permits(policy, "cloudformation:CreateChangeSet")
    assert not permits(policy, "cloudformation:ExecuteChangeSet")
    await stand.key("cloudformation:DescribeStacks", reads=True)
    assert not permits(stand.lender.asked[1][1], "cloudformation:CreateChangeSet")


async def test_where_reads_need_a_grant_a_run_without_one_reads_nothing() -> None:
    stand = Stand(Openness(reads_need_one=True))
    with pytest.raises(Refused):
        await stand.key(reads=True)
    stand.grant(verbs=("read",))
    assert await stand.key(reads=True)
    # A reading session also under a grant that would let it change.
    stand.grant("G-2")
    await stand.key(reads=True)
    assert not permits(stand.lender.asked[-1][1], "s3:PutObject")


async def test_a_session_is_kept_for_its_run_service_and_verbs() -> None:
    stand = Stand()
    stand.grant()
    first = await asyncio.gather(*(stand.key() for _ in range(5)))
    assert set(first) == {"ASIA1"}
    assert await stand.key("dynamodb:PutItem") == "ASIA2"
    assert await stand.key() == "ASIA1"
    stand.clock.pass_ms(HOUR - 5 * 60_000)
    assert await stand.key() == "ASIA3"


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_when_a_grant_is_over_its_sessions_are_over(end: str) -> None:
    stand = Stand()
    stand.grant()
    await stand.key()
    if end == "revoked":
        stand.grant(revoked_ms=1)
    else:
        stand.clock.pass_ms(HOUR)
    with pytest.raises(Refused):
        await stand.key()
    stand.grant("G-2")
    assert await stand.key() == "ASIA2"


async def test_the_last_change_still_has_its_session() -> None:
    stand = Stand()
    stand.grant(used=3)
    assert await stand.key() == "ASIA1"


async def test_a_grant_of_another_agent_or_operator_lends_nothing() -> None:
    for other in ({"agent": "x"}, {"operator": "x"}):
        stand = Stand()
        stand.grant(**other)
        with pytest.raises(Refused):
            await stand.key()


async def test_a_session_lives_no_longer_than_its_grant_as_far_as_aws_lets_it() -> None:
    for minutes, seconds in ((5, 900), (30, 1800), (240, 3600)):
        stand = Stand()
        stand.grant(until_ms=stand.clock.now_ms() + minutes * 60_000)
        await stand.key()
        assert stand.lender.asked[0][2] == seconds


async def test_what_is_mapped_outside_production_needs_a_session_too() -> None:
    stand = Stand(Openness(outside=True))
    await stand.key()
    assert permits(stand.lender.asked[0][1], "s3:PutObject")


async def test_the_owners_session_policy_narrows_every_session() -> None:
    only = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    stand = Stand(configured=json.dumps({"Statement": [only]}))
    stand.grant()
    await stand.key()
    policy = stand.lender.asked[0][1]
    assert permits(policy, "s3:PutObject")
    assert not permits(policy, "s3:DeleteObject")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.mark.real
async def test_sts_is_given_the_runs_own_policy_and_name(moto: str) -> None:
    base = EnvironmentSource({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "hush"})
    role = f"arn:aws:iam::{ACCOUNT}:role/agents"
    lender = StsLender(base, role, region="eu-west-1", endpoint=moto)
    stand = Stand()
    stand.grant()
    sessions = RunSessions(lender, stand.store, stand.clock, openness=Openness())
    keys = await sessions.credentials(WHO, "dynamodb:PutItem", False)
    assumed = next(
        a for a in sts_backends[ACCOUNT]["aws"].assumed_roles if a.access_key_id == keys.access_key
    )
    assert (assumed.session_name, assumed.role_arn) == ("signoff-R-1", role)
    assert permits(assumed.policy, "dynamodb:UpdateItem")
    assert not permits(assumed.policy, "dynamodb:PutResourcePolicy")
    assert not permits(assumed.policy, "s3:PutObject")
    assert await sessions.credentials(WHO, "dynamodb:PutItem", False) is keys


@pytest.mark.real
async def test_a_role_that_cannot_be_had_sends_nothing(moto: str) -> None:
    base = EnvironmentSource({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "hush"})
    lender = StsLender(base, "no role", region="eu-west-1", endpoint=moto)
    stand = Stand()
    stand.grant()
    sessions = RunSessions(lender, stand.store, stand.clock, openness=Openness())
    with pytest.raises(ExecutionFailed, match="no session of the role"):
        await sessions.credentials(WHO, "dynamodb:PutItem", False)
