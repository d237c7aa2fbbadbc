"""`signoff audit postgres`: what a database role could destroy, and the smaller role."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import click

from signoff.audit.postgres import audit_postgres, has_password, statements_in
from signoff.faces.cli.audit import present, report_options
from signoff.faces.cli.shared import tell, write_own
from signoff.model.errors import ConfigInvalid

USED_BYTES_MOST = 50_000_000


@click.command()
@click.option(
    "--dsn",
    required=True,
    help="postgresql://USER@HOST/DATABASE; the password better from PGPASSWORD or ~/.pgpass.",
)
@click.option("--role", default="", help="The role to look at (default: the connected one).")
@click.option(
    "--used",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Statements it uses: SQL, or JSON lines with `query`.",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the SQL of the smaller role here.",
)
@click.option("--force", is_flag=True, help="Replace the file of `--write`.")
@click.option("--name", default="", help="The smaller role's name (default: ROLE_small).")
@report_options
def postgres(
    dsn: str,
    role: str,
    used: Path | None,
    write: Path | None,
    force: bool,
    name: str,
    as_json: bool,
    html: Path | None,
    tolerance: str,
) -> int:
    """What a role could destroy, disarm or reach, ranked by rows.

    Reads catalogs in a read-only transaction. `--write` makes the SQL of a smaller role
    that keeps what `--used` and pg_stat_statements show; nothing is changed.
    """
    if has_password(dsn):
        tell("every process here can read a password on the command line: use ~/.pgpass")
    statements = read_used(used) if used else []
    found = asyncio.run(audit_postgres(dsn, role, statements, name))
    report = found.report
    if write is not None:
        if not found.sql:
            raise ConfigInvalid(
                "there is nothing to make a smaller role from",
                "no statements in `--used`, none in pg_stat_statements",
                "name a file of the statements it uses with `--used`",
            )
        _write(write, found.sql, force)
        tell(f"the smaller role is `{write}`; read it before you run it")
        report = replace(report, written=(str(write),))
    return present(report, as_json, html, tolerance)


def _write(path: Path, sql: str, force: bool) -> None:
    try:
        write_own(path, sql, replace=force)
    except FileExistsError as error:
        raise ConfigInvalid(
            f"`{path}` is there already", "it is not replaced", "name another file, or --force"
        ) from error


def read_used(path: Path) -> list[str]:
    """The statements of a file: SQL separated by `;`, or one JSON object with `query` a line.
    Raises `ConfigInvalid` with the line that is neither."""
    if path.stat().st_size > USED_BYTES_MOST:
        raise ConfigInvalid(f"`{path}` is too large", f"at most {USED_BYTES_MOST} bytes are read")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"`{path}` is no UTF-8 text", str(error.reason)) from error
    if not text.lstrip().startswith("{"):
        return statements_in(text)
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            query = row["query"]
            if not isinstance(query, str):
                raise TypeError("`query` is not a text")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigInvalid(
                f"line {number} of `{path}` is no object with a `query`",
                str(error).lower()[:100],
                'one object a line: {"query": "select ..."}',
            ) from error
        found += statements_in(query)
    return found
