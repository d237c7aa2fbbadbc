"""Child processes that end with their parent, whatever ends it.

A child is started with a pipe as its standard input and leaves when that pipe closes,
which the kernel does also when the parent is killed. It tells its port in one JSON line.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff.model.errors import SignoffError

COPY = "/.copy"
"""POST here and the local AWS forks: the answer names the process (`pid`) and the `port` of a
second one that begins with everything the first one holds."""


def exit_when_stdin_closes() -> None:
    """End this process when its parent is gone (the other end of stdin closes)."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def bare_environment(**more: str) -> dict[str, str]:
    """The shell variables a child needs and no credential, profile or home of the operator."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **more,
    }


@dataclass
class Child:
    """One running child; `hello` is the JSON line it printed when it was ready."""

    process: subprocess.Popen[bytes]
    hello: dict[str, Any]
    log: Path

    @property
    def port(self) -> int:
        """The loopback TCP port it serves."""
        return int(self.hello["port"])

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, grace_seconds: float = 2.0) -> None:
        """Close its input, wait, and kill it if it stays. Safe to call twice."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    ready_seconds: float = 30.0,
) -> Child:
    """Start `python -m module arguments` and wait for its JSON line.

    Its standard error goes to a file in `folder`. Raises `SignoffError` with the end of
    that file when the child ends or says nothing within `ready_seconds`.
    """
    log = folder / f"{module.rpartition('.')[2]}-{time.monotonic_ns()}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    child = Child(process, {}, log)
    if process.stdout is not None and select.select([process.stdout], [], [], ready_seconds)[0]:
        with suppress(ValueError):
            child.hello = json.loads(process.stdout.readline())
            return child
    child.stop()
    tail = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise SignoffError(
        f"`{module}` did not start within {ready_seconds:g} s",
        tail[0] if tail else "it said nothing",
        f"read {log}",
    )
