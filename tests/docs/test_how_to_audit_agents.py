"""The audits of Signoff itself, of agents and of a database, typed as the page says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import asyncpg
import pytest

from docs.sitting import START, of, sitting
from docs.terminals import Ran
from docs.test_how_to import DISARM, HOW_TO
from real.postgres_server import Postgres, postgres

pytestmark = [pytest.mark.real, pytest.mark.slow]
PAGE = HOW_TO / "audit-agents.md"
SETTINGS = {
    "permissions": {"defaultMode": "bypassPermissions", "allow": ["Bash(aws *)"]},
    "env": {"DEPLOY_TOKEN": "planted-token-0000"},
}
ROLE = """
create role app login password 'a password of the tests';
create table orders (id serial primary key, note text);
insert into orders (note) select 'n' from generate_series(1, 900);
analyze orders;
grant select, insert, delete on orders to app;
"""
USED = "select note from orders where id = $1;\ninsert into orders (note) values ($1);\n"


async def prepare(server: Postgres) -> None:
    connection = await asyncpg.connect(server.dsn())
    await connection.execute(ROLE)
    await connection.close()


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Ran]]:
    """What each command of the page showed: three people, a daemon, an agent's settings in
    the home, and a database."""
    import asyncio

    with postgres() as server, sitting() as one:
        asyncio.run(prepare(server))
        one.follow(START, "With three people", until=DISARM)
        (one.home / ".claude").mkdir()
        (one.home / ".claude" / "settings.json").write_text(json.dumps(SETTINGS, indent=2))
        (one.home / "used.sql").write_text(USED)
        assert one.type(f"export SHOP={server.dsn()}").code == 0
        ran = one.follow(PAGE)
        written = (one.home / "smaller.sql").read_text()
        page = (one.home / "agents.html").read_text()
        yield [*ran, Ran("smaller.sql", 0, written), Ran("agents.html", 0, page)]


def test_the_audit_of_itself_ends_as_the_page_says(seen: list[Ran]) -> None:
    first, tolerant = of(seen, "signoff audit self")
    assert first.code == 6, first.screen
    assert "all lie on this machine" in first.screen
    assert tolerant.code == 0


def test_the_audit_of_agents_finds_what_was_planted(seen: list[Ran]) -> None:
    first, as_json, page = of(seen, "signoff audit agents")
    assert [first.code, as_json.code, page.code] == [6, 6, 6]
    assert "bypassPermissions" in first.screen
    assert ".claude/settings.json:3" in first.screen
    told = json.loads(as_json.screen[as_json.screen.index("{") :])
    found = {row["check"] for row in told["findings"]}
    assert {"bypass-mode", "allow-destructive", "secret"} <= found
    assert "hook-missing" not in found
    (html,) = of(seen, "agents.html")
    assert "bypassPermissions" in html.screen
    assert "planted-token" not in "".join(ran.screen for ran in seen)


def test_the_smaller_role_keeps_what_is_used_and_drops_the_rest(seen: list[Ran]) -> None:
    first, written = of(seen, "signoff audit postgres")
    assert [first.code, written.code] == [6, 6], first.screen
    assert "could delete rows of table `public.orders` (about 900 rows)" in first.screen
    (sql,) = of(seen, "smaller.sql")
    assert "grant select, insert on table public.orders to app_small;" in sql.screen
    assert "delete" not in sql.screen


def test_doctor_tries_what_has_to_be_denied(seen: list[Ran]) -> None:
    plain, canary = of(seen, "signoff doctor")
    assert "signs     key: agent signoff-doctor" in canary.screen
    for ran in (plain, canary):
        for check in ("canary deny", "canary credential", "denials in the ledger"):
            (line,) = [row for row in ran.screen.splitlines() if f" {check}, aws http" in row]
            assert line.startswith("ok "), line
