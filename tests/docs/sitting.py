"""Somebody who follows a page: terminals, and a local AWS behind their profile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3

from docs.pages import ROOT, blocks
from docs.terminals import Ran, Terminal, newcomer
from real.servers import local_aws

START = ROOT / "docs" / "start.md"
TICKET = re.compile(r"\bH-[0-9A-Z]{8}\b")
RUN = re.compile(r"\bR-[0-9a-f]{8}\b")
GRANT = re.compile(r"\bG-[0-9A-Z]{8}\b")


def steps(page: Path, section: str = "") -> list[tuple[str, str]]:
    """The page's (or one section's) runnable commands in order, each with its terminal.

    A shell block is runnable when its first line names a terminal: ```sh you.
    """
    return [
        (block.info[1], command)
        for block in blocks(page)
        if block.info[:1] == ("sh",) and len(block.info) == 2
        if not section or section in block.headings
        for command in block.commands
    ]


class Sitting:
    """A newcomer's home with `you` and `daemon` as its terminals, and a second home,
    `elsewhere`, that has nothing at all."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.aws = stack.enter_context(local_aws(folder)).url
        self.home = newcomer(folder / "home", self.aws)
        self.other = folder / "other"
        self.other.mkdir()
        homes = {"you": self.home, "daemon": self.home, "elsewhere": self.other}
        self.terminals = {name: Terminal(home) for name, home in homes.items()}
        for terminal in self.terminals.values():
            stack.callback(terminal.close)

    def follow(self, page: Path, section: str = "", until: str = "") -> list[Ran]:
        """Type the commands of a page, up to the one called `until`; what each showed, but
        for the daemon's."""
        seen: list[Ran] = []
        for terminal, command in steps(page, section):
            if command == until:
                return seen
            if terminal == "daemon":
                self.terminals[terminal].start(command, "people reach it")
            else:
                seen.append(self.type(command, terminal))
        return seen

    def type(self, command: str, terminal: str = "you") -> Ran:
        """Type one command. A ticket, a run or a grant that the page made up stands for the
        open hold, the run and the newest grant there are."""
        if TICKET.search(command):
            told = self.terminals["you"].run("signoff holds --json").screen
            (hold,) = json.loads(told[told.index("{") :])["holds"]
            command = TICKET.sub(hold["ticket"], command)
        if GRANT.search(command):
            told = self.terminals["you"].run("signoff grants --json").screen
            newest = json.loads(told[told.index("{") :])["grants"][0]
            command = GRANT.sub(newest["grant"], command)
        return self.terminals[terminal].run(RUN.sub('"$SIGNOFF_RUN"', command))

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


@contextmanager
def sitting() -> Iterator[Sitting]:
    """A fresh one; everything it started ends with it."""
    with ExitStack() as stack:
        # A socket's path has at most 107 bytes, and pytest's own folders have long names.
        folder = stack.enter_context(TemporaryDirectory(prefix="start-"))
        yield Sitting(Path(folder), stack)


def of(seen: list[Ran], start: str) -> list[Ran]:
    """The commands that start so."""
    return [ran for ran in seen if ran.command.startswith(start)]


def ended(seen: list[Ran], start: str, *codes: int) -> list[Ran]:
    """The commands that start so, after a check of their exit codes in order."""
    found = of(seen, start)
    assert [ran.code for ran in found] == list(codes), "\n".join(r.screen for r in found)
    return found
