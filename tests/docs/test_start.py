"""The first ten minutes of docs/start.md, typed word for word at real terminals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest

from docs.pages import ROOT, blocks
from docs.terminals import Ran, Terminal, newcomer
from real.servers import local_aws

pytestmark = [pytest.mark.real, pytest.mark.slow]
PAGE = ROOT / "docs" / "start.md"
COMMANDS_MOST = 12


def steps(section: str) -> list[tuple[str, str]]:
    """The section's commands in order, each with the terminal it is typed at."""
    return [
        (block.info[1], command)
        for block in blocks(PAGE)
        if block.info[:1] == ("sh",) and section in block.headings
        for command in block.commands
    ]


class Sitting:
    """Somebody who follows the page: two terminals, and a local AWS behind the profile."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.aws = stack.enter_context(local_aws(folder)).url
        home = newcomer(folder / "home", self.aws)
        self.terminals = {name: Terminal(home) for name in ("you", "daemon")}
        for terminal in self.terminals.values():
            stack.callback(terminal.close)

    def follow(self, section: str) -> list[Ran]:
        """Type all of the section's commands; what each of `you`'s showed."""
        seen = []
        for terminal, command in steps(section):
            if terminal == "daemon":
                self.terminals[terminal].start(command, "people reach it")
            else:
                seen.append(self.terminals[terminal].run(command))
        return seen

    def owner(self) -> Any:
        """A DynamoDB client of the account's owner, past the gate."""
        return boto3.client(
            "dynamodb",
            endpoint_url=self.aws,
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def table(self, name: str) -> dict[str, Any]:
        """A table as its owner sees it."""
        found: dict[str, Any] = self.owner().describe_table(TableName=name)["Table"]
        return found


@pytest.fixture
def sitting() -> Iterator[Sitting]:
    with ExitStack() as stack:
        # A socket's path has at most 107 bytes, and pytest's own folders have long names.
        folder = stack.enter_context(TemporaryDirectory(prefix="start-"))
        yield Sitting(Path(folder), stack)


def of(seen: list[Ran], start: str) -> list[Ran]:
    return [ran for ran in seen if ran.command.startswith(start)]


def ended(seen: list[Ran], start: str, *codes: int) -> list[Ran]:
    """The commands that start so, after a check of their exit codes in order."""
    found = of(seen, start)
    assert [ran.code for ran in found] == list(codes), "\n".join(r.screen for r in found)
    return found


def test_the_first_ten_minutes_are_at_most_twelve_commands() -> None:
    assert 0 < len(steps("Alone")) <= COMMANDS_MOST


def test_one_person_gets_from_init_to_halt(sitting: Sitting) -> None:
    seen = sitting.follow("Alone")
    (init,) = ended(seen, "signoff init", 0)
    assert "solo" in init.screen
    assert "production   everything else" in init.screen
    ended(seen, "eval", 0)
    ended(seen, "aws dynamodb list-tables", 0)
    held, ran = of(seen, "aws dynamodb create-table")
    assert held.code != 0
    assert "AccessDeniedException" in held.screen
    assert "ticket `H-" in held.screen
    assert ran.code == 0, ran.screen
    assert "signoff-try" in ran.screen
    (holds,) = ended(seen, "signoff holds", 0)
    assert "0 of 1" in holds.screen
    (approve,) = ended(seen, "signoff approve", 0)
    assert "table/signoff-try  [production]" in approve.screen
    (undo,) = ended(seen, "signoff undo", 0)
    assert "undone" in undo.screen
    assert sitting.owner().list_tables()["TableNames"] == []
    (log,) = ended(seen, "signoff log", 0)
    assert [mark in log.screen for mark in ("held", "approved", "captured", "undone")] == [True] * 4
    (verify,) = ended(seen, "signoff verify", 0)
    assert "result    verified" in verify.screen
    ended(seen, "signoff halt", 0)
    after = sitting.terminals["you"].run("aws dynamodb list-tables")
    assert after.code != 0
    assert "halted" in after.screen
    assert "1 untouched" in sitting.terminals["daemon"].interrupt()


def test_three_people_sign_as_the_page_says(sitting: Sitting) -> None:
    seen = sitting.follow("With three people")
    (init,) = ended(seen, "signoff init", 0)
    assert "team" in init.screen
    ended(seen, "aws --profile work", 0)
    held, done = of(seen, "aws dynamodb update-table")
    assert held.code != 0
    assert "2 people have to sign" in held.screen
    assert done.code == 0, done.screen
    assert '"DeletionProtectionEnabled": false' in done.screen
    bo, mila = ended(seen, "signoff approve", 0, 0)
    assert "1 more needed" in bo.screen
    assert "approved" in mila.screen
    ended(seen, "signoff undo", 0)
    assert sitting.table("orders")["DeletionProtectionEnabled"] is True
    ended(seen, "signoff verify", 0)
