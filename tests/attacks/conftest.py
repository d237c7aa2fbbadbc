"""A running daemon in front of a target that lists what reached it, and its attackers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from attacks.attacker import Seen, dynamodb
from attacks.fake_aws import FakeAws
from signoff.config import MapRow
from signoff.demo.guard import Guard, prepare, receipts
from signoff.model.decision import Verdict
from signoff.model.errors import SignoffError

READS = ("Get", "List", "Describe", "BatchGet", "Scan", "Query", "Head", "Simulate")
FIRST = {"id": {"S": "first"}, "v": {"N": "1"}}
_NUMBERS = itertools.count(1)


@dataclass
class Scene:
    """One attacker with a run key of their own, the daemon, and its target."""

    guard: Guard
    aws: FakeAws
    key: dict[str, str]

    @property
    def endpoint(self) -> str:
        """The gate's address."""
        return self.guard.endpoint

    def another_run(self, agent: str = "", operator: str = "olga") -> Scene:
        """The same daemon with the key of another run."""
        name = agent or f"agent-{next(_NUMBERS)}"
        return Scene(self.guard, self.aws, self.guard.key(agent=name, operator=operator))

    def dynamodb(self, operation: str, **body: Any) -> Seen:
        """One DynamoDB call through the gate."""
        return dynamodb(self.endpoint, self.key, operation, **body)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """An SDK's client with the run key; it tries everything once."""
        return botocore.session.Session().create_client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key["key_id"],
            aws_secret_access_key=self.key["secret"],
            config=BotoConfig(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                inject_host_prefix=False,
                parameter_validation=False,
            ),
        )

    def try_call(self, service: str, operation: str, /, **parameters: Any) -> str:
        """What an SDK is told: "" when it succeeded, else the error."""
        client = self.client(service)
        try:
            client._make_api_call(operation, parameters)
        except (ClientError, BotoCoreError) as error:
            return str(error)
        return ""

    def put(self, value: int, key: str = "first") -> Seen:
        """A change of one production item; its hold wants one person."""
        item = {"id": {"S": key}, "v": {"N": str(value)}}
        return self.dynamodb("PutItem", TableName="orders", Item=item)

    def disarm(self) -> Seen:
        """A change whose hold wants two people."""
        return self.dynamodb("UpdateTable", TableName="orders", DeletionProtectionEnabled=False)

    def held(self, seen: Seen) -> dict[str, Any]:
        """The hold an answer speaks of, as people see it."""
        assert seen.ticket, seen.text
        return self.guard.control.show(seen.ticket)

    def receipts(self) -> list[dict[str, Any]]:
        """The receipts of this attacker's run."""
        return [r for r in receipts(self.guard) if _run(r) == self.key["run"]]

    def arrived(self) -> list[str]:
        """Everything but reads that reached the target."""
        return arrived(self.aws)

    def alive(self) -> bool:
        """Whether the daemon still answers a harmless read of a fresh run."""
        seen = self.another_run().dynamodb("ListTables")
        return seen.status == 200


def _run(receipt: dict[str, Any]) -> str:
    return str(receipt["principal"]["run"])


def arrived(aws: FakeAws) -> list[str]:
    """Everything but reads that reached a target: JSON and query operations, REST calls."""
    found = [name for name, _ in aws.asked if not name.startswith((*READS, "/"))]
    return [name for name in found if name.partition(" ")[0] not in ("GET", "HEAD")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every attack is on a real daemon."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first daemon leaves its operations index for the next."""
    return tmp_path_factory.mktemp("index") / "aws-operations.json"


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory, index: Path
) -> Iterator[tuple[Guard, FakeAws]]:
    """One daemon for every attack that cannot stop it."""
    aws = FakeAws({"orders": {}, "dev-orders": {}})
    rules = (MapRow("development", name="dev-*"),)
    made = prepare(tmp_path_factory.mktemp("shared") / "guard", aws.url, rules=rules, index=index)
    made.start()
    try:
        yield made, aws
    finally:
        made.stop()
        aws.stop()


@pytest.fixture
def scene(shared: tuple[Guard, FakeAws]) -> Iterator[Scene]:
    """A fresh attacker; afterwards nothing of theirs waits."""
    guard, aws = shared
    aws.tables = {"orders": {"first": dict(FIRST)}, "dev-orders": {"first": dict(FIRST)}}
    aws.lies, aws.protected = {}, True
    for record in (aws.effects, aws.asked, aws.wires):
        record.clear()
    yield Scene(guard, aws, guard.key(agent=f"agent-{next(_NUMBERS)}"))
    aws.lies = {}
    for hold in guard.control.holds():
        with suppress(SignoffError):
            guard.decide(str(hold["ticket"]), "bo", Verdict.REJECT)


MakeScene = Callable[..., Scene]


@pytest.fixture
def own(tmp_path: Path, index: Path) -> Iterator[MakeScene]:
    """A daemon of the test's own, which it may stop, break and start again."""
    made: list[tuple[Guard, FakeAws]] = []

    def make(*, start: bool = True, **how: Any) -> Scene:
        aws = FakeAws({"orders": {"first": dict(FIRST)}, "dev-orders": {}})
        how.setdefault("rules", (MapRow("development", name="dev-*"),))
        guard = prepare(tmp_path / f"guard-{len(made)}", aws.url, index=index, **how)
        made.append((guard, aws))
        if not start:
            return Scene(guard, aws, {})
        guard.start()
        return Scene(guard, aws, guard.key())

    yield make
    for guard, aws in made:
        guard.kill()
        aws.stop()
