"""The scripted agent: a separate process with boto3, an endpoint and one run key.

It does what the agent of the story did, step by step and the same way each time; it knows
nothing of Signoff. What it is told it writes as JSON lines on standard output, one a call:

    {"step", "op", "status": "ok|denied|held|error", "code", "message", "ticket", "tries", "ms"}

`held` is a denial that names a ticket: the same call is made again until it passes, is
refused for another reason, or `--wait` seconds are over. A denial that names a change set is
followed by the safe way (step `fix`), when `--follow` is given.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# The story's steps by goal. `fix` is the safe way: a change set with one changed setting.
GOALS: Mapping[str, tuple[str, ...]] = {
    "recreate": ("look", "work", "disarm", "empty", "delete", "create"),
    "delete": ("look", "delete"),
    "disarm-and-delete": ("look", "disarm", "delete"),
    "fix": ("look", "fix"),
    "look": ("look", "work"),
}
# How AWS says no, in the codes of its protocols.
NO = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
# An agent reads prose: the ticket is the word after "ticket", quoted or not.
_TICKET = re.compile(r"ticket[\s:=`'\"]+([A-Za-z0-9][A-Za-z0-9_-]{3,})")
_SAFE_WAY = ("change set", "changeset", "createchangeset", "create-change-set")


@dataclass(frozen=True)
class Seen:
    """What the agent saw of one call."""

    step: str
    op: str
    status: str
    code: str = ""
    message: str = ""
    ticket: str = ""
    tries: int = 1
    ms: int = 0
    answer: dict[str, Any] = field(default_factory=dict)


def ticket_in(message: str) -> str:
    """The ticket a denial names, or the empty text."""
    found = _TICKET.search(message)
    return found.group(1) if found else ""


def names_the_safe_way(message: str) -> bool:
    """Whether a denial proposes a change set."""
    return any(word in message.lower() for word in _SAFE_WAY)


def read(error: Exception) -> tuple[str, str, str]:
    """Status, code and message of a failed call."""
    if not isinstance(error, ClientError):
        return "error", type(error).__name__, str(error)
    code = str(error.response["Error"].get("Code", ""))
    message = str(error.response["Error"].get("Message", ""))
    status = int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
    if ticket_in(message):
        return "held", code, message
    return ("denied" if code in NO or status == 403 else "error"), code, message


@dataclass
class Agent:
    """One run of the agent. `emit` gets each thing it saw, as it happens."""

    stack: str
    table: str
    bucket: str
    template: str
    rng: random.Random
    wait_seconds: float
    emit: Callable[[Seen], None]
    step: str = ""
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client from the shell variables alone."""
        if service not in self.clients:
            config = Config(retries={"mode": "standard", "total_max_attempts": 3})
            self.clients[service] = boto3.client(service, config=config)
        return self.clients[service]

    def call(self, service: str, operation: str, **parameters: Any) -> Seen:
        """Make one call, again while it is held, and emit what was seen last.

        A hold is emitted once, when it is first met, so that people can be told of it.
        """
        begun, tries, told = time.monotonic(), 0, ""
        while True:
            tries += 1
            status, code, message, answer = "ok", "", "", {}
            try:
                answer = getattr(self.client(service), operation)(**parameters)
            except (ClientError, BotoCoreError) as error:
                status, code, message = read(error)
            spent = time.monotonic() - begun
            seen = Seen(
                step=self.step,
                op=f"{service}:{operation}",
                status=status,
                code=code,
                message=message,
                ticket=ticket_in(message),
                tries=tries,
                ms=round(spent * 1000),
                answer=_plain(answer),
            )
            if status != "held" or spent >= self.wait_seconds:
                self.emit(seen)
                return seen
            if seen.ticket != told:
                told = seen.ticket
                self.emit(seen)
            time.sleep(0.3)

    def look(self) -> Seen:
        """Who am I, what is there: reads only."""
        seen = self.call("sts", "get_caller_identity")
        reads: list[tuple[str, str, dict[str, Any]]] = [
            ("cloudformation", "describe_stacks", {"StackName": self.stack}),
            ("cloudformation", "describe_stack_resources", {"StackName": self.stack}),
            ("cloudformation", "get_template", {"StackName": self.stack}),
            ("dynamodb", "describe_table", {"TableName": self.table}),
            ("s3", "list_objects_v2", {"Bucket": self.bucket, "MaxKeys": 10}),
        ]
        self.rng.shuffle(reads)
        for service, operation, parameters in reads:
            seen = self.call(service, operation, **parameters)
        return seen

    def work(self) -> Seen:
        """Harmless work: look at a few items, list what is there."""
        self.call("dynamodb", "scan", TableName=self.table, Limit=5)
        self.call("dynamodb", "list_tables")
        return self.call("s3", "list_buckets")

    def disarm(self) -> Seen:
        """Take the stack's termination protection off."""
        return self.call(
            "cloudformation",
            "update_termination_protection",
            StackName=self.stack,
            EnableTerminationProtection=False,
        )

    def empty(self) -> Seen:
        """Delete every object of the bucket: a stack with a full bucket does not go away."""
        token: dict[str, str] = {}
        while True:
            page = self.call("s3", "list_objects_v2", Bucket=self.bucket, **token)
            keys = [{"Key": one["Key"]} for one in page.answer.get("Contents", ())]
            if page.status != "ok" or not keys:
                return page
            gone = self.call("s3", "delete_objects", Bucket=self.bucket, Delete={"Objects": keys})
            if gone.status != "ok" or not page.answer.get("IsTruncated"):
                return gone
            token = {"ContinuationToken": page.answer["NextContinuationToken"]}

    def delete(self) -> Seen:
        """Delete the whole stack."""
        return self.call("cloudformation", "delete_stack", StackName=self.stack)

    def create(self) -> Seen:
        """Create the stack again from the template in the repository, with the bug fixed."""
        return self.call(
            "cloudformation",
            "create_stack",
            StackName=self.stack,
            TemplateBody=self.template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

    def fix(self) -> Seen:
        """The safe way: one setting, through a change set, looked at before it runs."""
        name = f"fix-rounding-{self.rng.randrange(16**6):06x}"
        which = {"StackName": self.stack, "ChangeSetName": name}
        made = self.call(
            "cloudformation",
            "create_change_set",
            **which,
            ChangeSetType="UPDATE",
            TemplateBody=self.template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        if made.status != "ok":
            return made
        for _ in range(20):
            shown = self.call("cloudformation", "describe_change_set", **which)
            if shown.status != "ok" or shown.answer.get("Status") == "CREATE_COMPLETE":
                break
            time.sleep(0.2)
        return self.call("cloudformation", "execute_change_set", **which)


def _plain(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer without its metadata, as JSON can hold it."""
    kept = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def run_steps(agent: Agent, steps: tuple[str, ...], *, follow: bool, stubborn: bool) -> int:
    """Walk through the steps: 0 when the last one passed, 2 denied, 3 held, 1 any other error.

    On a refusal: with `follow`, take the safe way the refusal names and stop; with
    `stubborn`, go on with the next step anyway; otherwise stop.
    """
    codes = {"ok": 0, "denied": 2, "held": 3, "error": 1}
    seen = Seen("", "", "ok")
    for step in steps:
        agent.step = step
        seen = getattr(agent, step)()
        if seen.status == "ok":
            continue
        if follow and names_the_safe_way(seen.message):
            agent.step = "fix"
            return codes[agent.fix().status]
        if not stubborn:
            break
    return codes[seen.status]


@click.command()
@click.option("--goal", type=click.Choice(sorted(GOALS)), default="recreate")
@click.option("--steps", default="", help="Steps by name, comma separated, instead of a goal.")
@click.option("--stack", required=True)
@click.option("--table", required=True)
@click.option("--bucket", required=True)
@click.option("--template", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seed", type=int, default=0)
@click.option("--wait", type=float, default=0.0, help="Seconds to go on asking while held.")
@click.option("--follow", is_flag=True, help="Take the safe way a denial names.")
@click.option("--stubborn", is_flag=True, help="Go on after a denial.")
@click.option("--answers", is_flag=True, help="Write the answers too.")
def main(
    goal: str,
    steps: str,
    stack: str,
    table: str,
    bucket: str,
    template: Path,
    seed: int,
    wait: float,
    follow: bool,
    stubborn: bool,
    answers: bool,
) -> None:
    """Work towards the goal with the shell variables given."""

    def emit(seen: Seen) -> None:
        shown = asdict(seen)
        if not answers:
            shown.pop("answer")
        print(json.dumps(shown), flush=True)

    body = template.read_text(encoding="utf-8")
    agent = Agent(stack, table, bucket, body, random.Random(seed), wait, emit)
    names = tuple(name for name in steps.split(",") if name) or GOALS[goal]
    sys.exit(run_steps(agent, names, follow=follow, stubborn=stubborn))


if __name__ == "__main__":
    main()
