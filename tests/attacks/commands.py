"""`signoff` commands as a person, or an attacker with the same login, would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from signoff.demo.children import bare_environment
from signoff.demo.guard import Guard

COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def signoff(guard: Guard, *words: str, **variables: str) -> Ran:
    """Run one command over the guard's settings to its end."""
    shell = bare_environment(
        HOME=str(guard.folder),
        SIGNOFF_CONFIG=str(guard.config.path),
        **{"AWS_ACCESS_KEY_ID": "OWNERSREALKEYID00000", "AWS_SECRET_ACCESS_KEY": "s", **variables},
    )
    ran = subprocess.run(
        [sys.executable, "-m", "signoff", *words],
        env=shell,
        cwd=guard.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def is_root() -> bool:
    """Whether the tests run as root."""
    return os.geteuid() == 0
