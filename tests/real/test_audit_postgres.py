"""The audit of a database role against a real PostgreSQL: what it finds, and the smaller role
it writes, which is then tried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from real.postgres_server import Postgres, postgres
from signoff.audit.findings import Finding, Severity
from signoff.audit.postgres import audit_postgres
from signoff.faces.cli import run_command
from signoff.model.errors import ConfigInvalid, WorldUnanswered

pytestmark = pytest.mark.real
WORDS = "a password of the tests"
SETUP = f"""
create extension pg_stat_statements;
create extension dblink;
create role app_owner nologin;
create role pipeline nologin createrole;
create role agent login password '{WORDS}';
create role quiet login password '{WORDS}';
grant app_owner to agent;
grant pipeline to agent with inherit false, set true;
grant pg_signal_backend to agent;
grant pg_read_all_data to app_owner with admin option;
create schema shop authorization app_owner;
create table shop.orders (id serial primary key, note text, total int);
create table shop.customers (id int primary key, name text);
create table public.audit_log (id bigint, said text);
create table public.notes (id int, "Weird Name" text);
create view public.names as select id, name from shop.customers;
alter table shop.orders owner to app_owner;
insert into shop.orders (note, total) select 'n', g from generate_series(1, 5000) g;
insert into shop.customers select g, 'c' from generate_series(1, 300) g;
analyze shop.orders; analyze shop.customers;
grant select, insert, update, delete on shop.customers to agent;
grant truncate on public.audit_log to public;
grant update ("Weird Name") on public.notes to agent;
grant select on public.names to agent;
alter default privileges in schema public grant delete on tables to agent;
grant set on parameter session_replication_role to agent;
grant execute on function lo_export(oid, text) to agent;
create function public.as_owner() returns int language sql security definer as 'select 1';
create function public.as_owner_safely() returns int language sql security definer
    set search_path = pg_catalog, pg_temp as 'select 1';
grant create on schema public to agent;
"""
USED = """
-- what the service does
select o.id, o.note from shop.orders o join names on names.id = o.id where o.total > $1;
insert into shop.orders (note, total) values ($1, $2);
update shop.customers set name = $1 where id = $2;
begin; commit;
vacuum shop.orders;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


async def found(server: Postgres, role: str) -> list[Finding]:
    return list((await audit_postgres(server.dsn(), role)).report.ranked)


def of(findings: list[Finding], check: str) -> list[str]:
    return [f.what for f in findings if f.check == check]


async def test_each_planted_right_is_found(server: Postgres) -> None:
    await ready(server)
    findings = await found(server, "agent")
    assert "CREATEROLE" in of(findings, "role-createrole")[0]
    assert "through pipeline" in of(findings, "role-createrole")[0]
    assert {w.split("`")[1] for w in of(findings, "predefined-role")} == {
        "pg_signal_backend",
        "pg_read_all_data",
    }
    assert "pg_read_all_data" in of(findings, "admin-option")[0]
    assert "schema `shop`" in of(findings, "owns-schema")[0]
    destroys = {f.where.name: f for f in findings if f.check == "destroys"}
    assert destroys["table shop.orders"].what.startswith("could drop table")
    assert "delete rows of" in destroys["table shop.customers"].what
    assert "empty table `public.audit_log`" in destroys["table public.audit_log"].what
    assert "from public;" in destroys["table public.audit_log"].next_step
    assert destroys["table public.notes"].severity is Severity.MEDIUM
    assert "sequence shop.orders_id_seq" in destroys
    rows = [f.where.name for f in findings if f.check == "destroys" and f.severity.rank == 3]
    assert rows.index("table shop.orders") < rows.index("table shop.customers")
    assert any("DELETE on every new object" in w for w in of(findings, "grant-default"))
    assert any("session_replication_role" in w for w in of(findings, "grant-parameter"))
    assert any("schema `public`" in w for w in of(findings, "grant-schema"))
    dangerous = " ".join(of(findings, "dangerous-function"))
    assert "lo_export" in dangerous
    assert "dblink_exec" in dangerous
    definer = {f.where.name: f.severity for f in findings if f.check == "security-definer"}
    assert definer["function public.as_owner()"] is Severity.HIGH
    assert definer["function public.as_owner_safely()"] is Severity.LOW


async def test_a_superuser_is_one_critical_finding_and_the_whole_table(server: Postgres) -> None:
    await ready(server)
    report = (await audit_postgres(server.dsn())).report
    assert report.ranked[0].check == "role-superuser"
    assert report.ranked[0].severity is Severity.CRITICAL
    objects = [row[0] for row in report.sections[0].rows]
    assert objects[0] == "shop.orders"
    assert not of(list(report.findings), "destroys")


async def test_what_everybody_has_is_named_for_a_role_without_any_grant(server: Postgres) -> None:
    await ready(server)
    findings = await found(server, "quiet")
    assert of(findings, "destroys") == [
        "could empty table `public.audit_log` (an unknown number of rows)"
    ]
    assert not of(findings, "predefined-role")


async def test_the_smaller_role_does_what_was_used_and_none_of_the_rest(server: Postgres) -> None:
    await ready(server)
    audited = await audit_postgres(server.dsn(), "agent", USED.split(";"), "smaller")
    assert "-- not kept, what it needs could not be told: vacuum shop.orders" in audited.sql
    assert "PUBLIC still has truncate on public.audit_log" in audited.sql
    owner = await asyncpg.connect(server.dsn())
    await owner.execute(audited.sql)
    await owner.execute(f"alter role smaller password '{WORDS}'")
    await owner.close()
    small = await asyncpg.connect(server.dsn("smaller", WORDS.replace(" ", "%20")))
    await small.fetch(
        "select o.id, o.note from shop.orders o join names on names.id = o.id where o.total > 1"
    )
    await small.execute("insert into shop.orders (note, total) values ('x', 1)")
    await small.execute("update shop.customers set name = 'y' where id = 1")
    for statement in (
        "delete from shop.customers",
        "delete from shop.orders",
        "update shop.orders set total = 0",
        "drop table shop.orders",
        "truncate shop.orders",
        "insert into shop.customers values (-1, 'z')",
        "drop schema shop cascade",
        "create role mine",
        "set session_replication_role = replica",
        "select lo_export(1, '/tmp/x')",
        "set role app_owner",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await small.execute(statement)
    await small.close()


async def test_what_the_server_counted_as_used_is_kept(server: Postgres) -> None:
    await ready(server)
    agent = await asyncpg.connect(server.dsn("agent", WORDS.replace(" ", "%20")))
    await agent.execute("delete from shop.customers where id = 299")
    await agent.close()
    sql = (await audit_postgres(server.dsn(), "agent")).sql
    assert "delete" in sql.partition("on table shop.customers")[0].rpartition("grant")[2]


async def test_no_message_holds_the_password(server: Postgres) -> None:
    with pytest.raises(WorldUnanswered) as caught:
        await audit_postgres(server.dsn("agent", "not-the-password"))
    assert "not-the-password" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(ConfigInvalid) as bad:
        await audit_postgres("mysql://a:not-the-password@h/d")
    assert "not-the-password" not in str(bad.value)


async def test_a_role_that_is_not_there_is_an_error(server: Postgres) -> None:
    with pytest.raises(ConfigInvalid, match="nobody_here"):
        await audit_postgres(server.dsn(), "nobody_here")


def test_the_command_writes_the_role_and_ends_with_6(
    server: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used, write = tmp_path / "used.jsonl", tmp_path / "role.sql"
    used.write_text(json.dumps({"query": "select count(*) from pg_class"}) + "\n")
    words = ["audit", "postgres", "--dsn", server.dsn(), "--role", "owner", "--json"]
    assert run_command([*words, "--used", str(used), "--write", str(write)]) == 6
    out, err = capsys.readouterr()
    assert json.loads(out)["findings"][0]["check"] == "role-superuser"
    assert server.password not in out + err
    assert "create role owner_small login nosuperuser" in write.read_text()
    again = [*words, "--used", str(used), "--write", str(write)]
    assert run_command(again) == 1
    assert "is there already" in capsys.readouterr().err
    assert run_command([*again, "--force"]) == 6
    capsys.readouterr()
    used.write_text('{"query": 1}\n')
    assert run_command([*words, "--used", str(used)]) == 1
    assert "line 1" in capsys.readouterr().err


async def ready(server: Postgres) -> None:
    """The shop, made once."""
    connection = await asyncpg.connect(server.dsn())
    try:
        if not await connection.fetchval("select 1 from pg_roles where rolname = 'agent'"):
            await connection.execute(SETUP)
    finally:
        await connection.close()
