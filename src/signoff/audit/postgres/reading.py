"""Asking a live PostgreSQL server about one role: catalogs alone, in a read-only transaction.

Nothing is changed, no row of any table is read, and the password is in no message. TLS with a
checked certificate is the default for every host but the loopback interface.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]  # the package ships no types

from signoff.audit.postgres.facts import Function, Grant, Membership, Relation, Role, Server
from signoff.audit.postgres.judging import DANGEROUS
from signoff.model.errors import ConfigInvalid, WorldUnanswered

CONNECT_SECONDS = 10
STATEMENT_MS = 30_000
STATEMENTS_MOST = 5_000
GENERIC_PLAN_SINCE = 16

Rows = Callable[..., Awaitable[list[Any]]]

_USER = "left(n.nspname, 3) <> 'pg_' and n.nspname <> 'information_schema'"
_GRANTEE = "case when a.grantee = 0 then 'PUBLIC' else pg_get_userbyid(a.grantee) end"


@cache
def _queries() -> Mapping[str, str]:
    """The queries of catalogs.sql by name."""
    text = (resources.files("signoff.audit.postgres") / "catalogs.sql").read_text("utf-8")
    parts = text.split("-- name: ")[1:]
    named = (part.partition("\n") for part in parts)
    return {
        name.strip(): query.strip().replace(":user", _USER).replace(":grantee", _GRANTEE)
        for name, _, query in named
    }


def has_password(dsn: str) -> bool:
    """Whether a DSN brings its password along. Raises `ConfigInvalid` when it is none."""
    _target(dsn)
    return bool(urlsplit(dsn).password)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    """A connection in one read-only transaction that is rolled back at the end.

    Raises `ConfigInvalid` for a DSN that is none, `WorldUnanswered` when the server does not
    answer or refuses; no message holds the password.
    """
    where, options = _target(dsn)
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, **options)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise WorldUnanswered(
            f"cannot connect to `{where}`", _told(error, dsn), "check host, user and TLS"
        ) from None
    except ValueError as error:
        raise ConfigInvalid("`--dsn` is not understood", _told(error, dsn)) from None
    try:
        transaction = connection.transaction(readonly=True)
        await transaction.start()
        await connection.execute(f"set local statement_timeout = {STATEMENT_MS}")
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise WorldUnanswered(f"`{where}` did not answer", _told(error, dsn)) from None
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def read_server(connection: Any, role: str = "") -> Server:
    """What the server says about a role (default: the one that is connected). Raises
    `ConfigInvalid` when there is no such role, `WorldUnanswered` when it cannot be asked."""
    who, database = await connection.fetchrow("select session_user::text, current_database()")
    version = connection.get_server_version().major
    found = await connection.fetch(_queries()["roles"])
    roles = tuple(Role(*row[:7]) for row in found)
    inherits = {row[0]: row[7] for row in found}
    name = role or who
    if name not in inherits:
        raise ConfigInvalid(f"there is no role `{name}`", "", "name one with `--role`")
    unread: list[str] = []
    names = list(DANGEROUS)
    asked = _queries()

    async def rows(query: str, *values: object) -> list[Any]:
        found: list[Any] = await connection.fetch(asked[query], *values)
        return found

    path = await connection.fetchval("select current_schemas(false)") if name == who else ["public"]
    return Server(
        role=name,
        database=database,
        version=version,
        tls=_tls(connection),
        roles=roles,
        memberships=await _memberships(rows, version, inherits),
        relations=tuple(_relation(row) for row in await rows("relations")),
        grants=await _grants(rows, version, names),
        functions=tuple(Function(*row) for row in await rows("functions", names)),
        schemas=tuple((r[0], r[1]) for r in await rows("schemas")),
        databases=tuple((r[0], r[1]) for r in await rows("databases")),
        extensions=tuple(r[0] for r in await rows("extensions")),
        event_triggers=tuple((r[0], r[1], r[2] != "D") for r in await rows("event_triggers")),
        search_path=tuple(path or ("public",)),
        statements=await _statements(connection, name, unread),
        unread=tuple(unread),
    )


async def written_relations(connection: Any, statement: str) -> dict[str, str] | None:
    """What the planner says a statement writes: `schema.name` and INSERT, UPDATE, DELETE or
    MERGE. None when it cannot say (a utility statement, an old server, no right to plan it).

    EXPLAIN without ANALYZE runs nothing; it takes one statement alone.
    """
    generic = (
        ", generic_plan" if connection.get_server_version().major >= GENERIC_PLAN_SINCE else ""
    )
    try:
        async with connection.transaction():
            raw = await connection.fetchval(f"explain (verbose, format json{generic}) {statement}")
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    found: dict[str, str] = {}
    _walk(json.loads(raw), found)
    return found


def _walk(node: object, found: dict[str, str]) -> None:
    if isinstance(node, list):
        for child in node:
            _walk(child, found)
    elif isinstance(node, dict):
        if node.get("Node Type") == "ModifyTable":
            named = f"{node.get('Schema')}.{node.get('Relation Name')}"
            found[named] = str(node.get("Operation", "")).upper()
        for child in node.values():
            _walk(child, found)


def _relation(row: Any) -> Relation:
    schema, name, kind, owner, count, size, sequences = row
    return Relation(schema, name, kind, owner, count, size, tuple(sequences))


async def _memberships(
    rows: Rows, version: int, inherits: Mapping[str, bool]
) -> tuple[Membership, ...]:
    # Before version 16 a member always could SET ROLE, and inheriting was the member's own.
    query = "members_since_16" if version >= 16 else "members_before_16"
    return tuple(
        Membership(r[0], r[1], inherits.get(r[1], True) if r[3] is None else r[3], r[4], r[2])
        for r in await rows(query)
    )


async def _grants(rows: Rows, version: int, names: list[str]) -> tuple[Grant, ...]:
    found = []
    for kind, schema, name, grantee, privilege, grantable in await rows("relation_grants"):
        full = Relation(schema, name, "", "").full
        found.append(Grant(kind, full, grantee, privilege, grantable))
    for schema, name, arguments, grantee, grantable in await rows("function_grants", names):
        full = Function(schema, name, arguments, "").full
        found.append(Grant("function", full, grantee, "EXECUTE", grantable))
    found += [Grant(*row) for row in await rows("other_grants")]
    if version >= 15:
        found += [Grant(*row) for row in await rows("parameters")]
    return tuple(found)


async def _statements(connection: Any, role: str, unread: list[str]) -> tuple[str, ...]:
    try:
        async with connection.transaction():
            rows = await connection.fetch(_queries()["statements"], role, STATEMENTS_MOST)
    except asyncpg.PostgresError as error:
        unread.append(f"pg_stat_statements: {str(error).splitlines()[0].lower()}")
        return ()
    return tuple(row[0] for row in rows if not row[0].startswith("<insufficient privilege>"))


def _tls(connection: Any) -> bool:
    transport = getattr(connection, "_transport", None)
    return bool(transport is not None and transport.get_extra_info("ssl_object"))


def _target(dsn: str) -> tuple[str, dict[str, object]]:
    """Where a DSN leads, without its password, and how to secure the way there."""
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        # What urlsplit says may hold a piece of a password with a `/` in it.
        raise ConfigInvalid(
            "`--dsn` is not understood",
            "it is no URL",
            "write `/`, `:` and `@` in a password as %2F, %3A and %40",
        ) from None
    if parts.scheme not in ("postgres", "postgresql"):
        raise ConfigInvalid(
            "`--dsn` is not understood", "it starts with postgresql://",
            "for example postgresql://auditor@db.internal/orders",
        )  # fmt: skip
    query = parse_qs(parts.query)
    host = parts.hostname or (query.get("host") or [""])[0]
    where = f"{host or 'the local socket'}{f':{port}' if port else ''}{parts.path}"
    if "sslmode" in query or _near(host):
        return where, {} if "sslmode" in query else {"ssl": False}
    return where, {"ssl": ssl.create_default_context()}


def _near(host: str) -> bool:
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _told(error: BaseException, dsn: str) -> str:
    """The error's first line, without the password whatever the client put into it."""
    text = (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
    secret = urlsplit(dsn).password or ""
    shown = text.replace(secret, "...") if secret else text
    return shown.lower()[:200]
