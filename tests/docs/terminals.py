"""Real terminals for what the documentation tells people to type.

A newcomer's machine is a home of its own with one AWS profile, `work`, whose endpoint is a
local AWS; everything they type is what the page says, word for word.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pexpect

PASSPHRASE = "four unrelated words here"
PROMPT = r"\[(\d+)\] typed> "
ANSWERS = (
    (r"passphrase (?:of|for) `\w+`[^\n]*: ", PASSPHRASE),
    (r"the same again: ", PASSPHRASE),
    (r"regions agents may call[^\n]*: ", ""),
    (r"what is \w+\?[^\n]*: ", ""),
    (r"who signs\?[^\n]*: ", "ana"),
)
"""What the newcomer answers: a passphrase, their name, and otherwise nothing."""
_NOISE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


@dataclass(frozen=True)
class Ran:
    """One command as typed, its exit code, and all that the terminal showed."""

    command: str
    code: int
    screen: str


class Terminal:
    """One shell at one terminal, in the newcomer's home."""

    def __init__(self, home: Path) -> None:
        self.child = pexpect.spawn(
            "/bin/bash",
            ["--norc", "--noprofile"],
            env=variables(home),
            encoding="utf-8",
            timeout=90,
            cwd=str(home),
            dimensions=(60, 400),
        )
        self.child.expect(PROMPT)

    def run(self, command: str) -> Ran:
        """Type the command, answer what it asks, and wait until it ends."""
        self.child.sendline(command)
        self.child.expect_exact("\n")
        screen = ""
        while True:
            found = self.child.expect([PROMPT, *(question for question, _ in ANSWERS)])
            screen += self.child.before
            if found == 0:
                code = int(self.child.match[1])
                return Ran(command, code, _NOISE.sub("", screen))
            screen += self.child.after
            self.child.sendline(ANSWERS[found - 1][1])

    def start(self, command: str, until: str) -> None:
        """Type a command that stays in the foreground; wait until it shows `until`."""
        self.child.sendline(command)
        if self.child.expect([until, PROMPT]) == 1:
            raise AssertionError(f"`{command}` ended: {self.child.before}")

    def interrupt(self) -> str:
        """Ctrl-C, and what the program says at its end."""
        self.child.sendintr()
        self.child.expect(PROMPT)
        return _NOISE.sub("", str(self.child.before))

    def close(self) -> None:
        """Hang up; whatever still runs here ends."""
        self.child.close(force=True)


def variables(home: Path) -> dict[str, str]:
    """The shell variables of a newcomer: nothing of AWS, and settings under their home."""
    shown = ("LANG", "LC_ALL", "TZ")
    return {
        **{name: os.environ[name] for name in shown if name in os.environ},
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PS1": r"[$?] typed> ",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "SIGNOFF_CONFIG": str(home / ".config" / "signoff" / "signoff.toml"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
    }


def newcomer(home: Path, endpoint: str) -> Path:
    """A home with the AWS profile `work`, which leads to the local AWS."""
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text(
        f"[profile work]\nregion = eu-west-1\nendpoint_url = {endpoint}\n"
    )
    (home / ".aws" / "credentials").write_text(
        "[work]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    return home
