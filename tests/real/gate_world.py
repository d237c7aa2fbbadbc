"""A real daemon for the tests of the gate, its agents, its owners, and what left it."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from real.recorder import Recorder
from signoff.demo.guard import Guard
from signoff.faces.cli.keys import variables
from signoff.gates.sigv4 import Credentials, sign
from signoff.model.decision import Verdict
from signoff.surfaces.aws.wire import WireRequest

REGION = "eu-west-1"
ACCOUNT = "123456789012"
REAL_KEY = "OWNERSREALKEYID00000"
_TICKET = re.compile(r"H-[0-9A-Z]{8}")
_NUMBER = count(1)


def fresh(prefix: str) -> str:
    """A name no other test uses. `dev-` names are development, the rest is production."""
    return f"{prefix}-{next(_NUMBER)}"


@dataclass
class Gate:
    """The daemon, the owners' way round it, and the record of what it sent."""

    guard: Guard
    upstream: Recorder
    session: Any = field(default_factory=boto3.Session)
    _owners: dict[str, Any] = field(default_factory=dict)

    def agent(self) -> Agent:
        """A new agent with a run key of its own."""
        return Agent(self, self.guard.key(fresh("agent")))

    def holding(self, agent: Agent, found: Mapping[str, Any]) -> Agent:
        """Somebody with what an agent was given as temporary credentials."""
        given = {
            "key_id": found["AccessKeyId"],
            "secret": found["SecretAccessKey"],
            "token": found["SessionToken"],
        }
        return Agent(self, {**agent.issued, **given})

    def owner(self, service: str) -> Any:
        """A client straight to the local AWS, as its owners have it."""
        if service not in self._owners:
            self._owners[service] = self.session.client(
                service,
                endpoint_url=self.upstream.target,
                region_name=REGION,
                aws_access_key_id="OWNER",
                aws_secret_access_key="owner",
                config=Config(s3={"addressing_style": "path"}),
            )
        return self._owners[service]

    def sign(self, ticket: str, *people: str, verdict: Verdict = Verdict.APPROVE) -> str:
        """These people sign; the state of the hold afterwards."""
        state = "open"
        for who in people:
            state = str(self.guard.decide(ticket, who, verdict)["state"])
        return state

    def quorum(self, ticket: str) -> int:
        """How many people a hold asks for."""
        found = self.guard.control.show(ticket)["quorum"]
        assert isinstance(found, int)
        return found

    def at(self) -> tuple[int, int]:
        """Where the record and the ledger stand."""
        size = self.guard.control.log(0, 1)["size"]
        assert isinstance(size, int)
        return len(self.upstream.seen), size

    def receipts(self, run: str, since: tuple[int, int] = (0, 0)) -> list[dict[str, Any]]:
        """The receipts of one run, oldest first."""
        rows: Any = self.guard.control.log(since[1], 10_000)["receipts"]
        return [r for r in rows if r["principal"]["run"] == run]

    def marks(self, run: str, since: tuple[int, int] = (0, 0)) -> list[str]:
        """What was done in one run: `held dynamodb:PutItem`, ..."""
        rows = self.receipts(run, since)
        return [f"{r['mark']} {r['action']['name']}" for r in rows if r.get("action")]

    def sent(self, since: tuple[int, int]) -> list[str]:
        """The operations that left the daemon since then."""
        return [s.operation for s in self.upstream.seen[since[0] :]]


@dataclass(frozen=True)
class Answered:
    """What the gate answered: status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Agent:
    """Somebody with a run key and nothing else."""

    gate: Gate
    issued: dict[str, str]
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> str:
        """Its run."""
        return self.issued["run"]

    def client(self, service: str, tries: int = 0) -> Any:
        """boto3 as it is: its own retries, its own checksums, its own everything; with
        `tries`, at most so many attempts."""
        name = f"{service} {tries}"
        if name not in self._clients:
            self._clients[name] = self.gate.session.client(
                service,
                endpoint_url=self.issued["endpoint"],
                region_name=REGION,
                aws_access_key_id=self.issued["key_id"],
                aws_secret_access_key=self.issued["secret"],
                aws_session_token=self.issued["token"] or None,
                config=Config(retries={"total_max_attempts": tries}) if tries else None,
            )
        return self._clients[name]

    def forget(self) -> None:
        """Drop the clients: the gate has moved to another port."""
        self._clients.clear()

    def get(self, path: str) -> Answered:
        """A GET of the gate's own, signed with the run key."""
        return self.send("GET", path)

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        service: str = "execute-api",
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One request of exactly these bytes, signed with the run key."""
        signed = self.sign(method, path, body, service, headers or {})
        return self.raw(method, path, body, signed)

    def raw(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answered:
        """One request of exactly these bytes and headers."""
        where = urlsplit(self.issued["endpoint"])
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = tuple(headers) or (("host", where.netloc),)
            for name, value in given:
                connection.putheader(name, value)
            if body and not any(name == "content-length" for name, _ in given):
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            found = {k.lower(): v for k, v in response.getheaders()}
            return Answered(response.status, found, response.read())
        finally:
            connection.close()

    def sign(
        self, method: str, path: str, body: bytes, service: str, headers: Mapping[str, str]
    ) -> tuple[tuple[str, str], ...]:
        """The headers of a request signed with the run key, as a raw socket sends them."""
        host = urlsplit(self.issued["endpoint"]).netloc
        given = {"host": host, "content-length": str(len(body)), **headers}
        wire = WireRequest(
            method, path.partition("?")[0], path.partition("?")[2], tuple(given.items()), body
        )
        return sign(
            wire,
            Credentials(self.issued["key_id"], self.issued["secret"], self.issued["token"]),
            region=REGION,
            service=service,
            host=host,
            now_ms=time.time_ns() // 1_000_000,
        )

    def cli(self, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """The AWS CLI as it is, with the shell variables `signoff key new` prints."""
        aws = Path(sys.executable).parent / "aws"
        found = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables(dict(self.issued))}
        return subprocess.run(
            [str(aws), *words],
            env=found,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refused(self, call: Callable[[], Any]) -> ClientError:
        """The native error of a call that does not pass; asked once and never again."""
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
        return caught.value

    def held(self, call: Callable[[], Any]) -> str:
        """The ticket of a call that is held."""
        return ticket_in(str(self.refused(call)))

    def signed(self, call: Callable[[], Any], people: Sequence[str] = ("ana", "bo")) -> Any:
        """The call after as many of these people as it needs signed it."""
        ticket = self.held(call)
        state = self.gate.sign(ticket, *people[: self.gate.quorum(ticket)])
        assert state == "approved"
        return call()

    def last_change(self) -> str:
        """The id of the newest action of this run that was started."""
        rows = self.gate.receipts(self.run)
        return [str(r["action_id"]) for r in rows if r["mark"] == "started"][-1]


def ticket_in(text: str) -> str:
    """The one ticket a message names."""
    found = set(_TICKET.findall(text))
    assert len(found) == 1, text
    return found.pop()
